"""The real labs through the grader: references full, blank and wrong ones nothing."""

import copy
import importlib
import shutil
import types

import corpus
import pytest
import toylab
from nbformat.v4 import new_code_cell
from notebooks import LABS, ROOT, code_cells, read

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore.staff.grading import api  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.batch import Options, grade_class  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402
from labcore.student import submit as command  # noqa: E402
from labcore.student.notebooks import grading  # noqa: E402
from labcore.student.running import tried  # noqa: E402
from labcore.student.tasks import Work, job_of, rows_of, take_answers  # noqa: E402

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)
TERMS = Terms(seeds=(3, 4), timeout=60, memory=3)
NUMBERS = [
    pytest.param(path.name[:2], marks=[] if "02_" in path.name else [pytest.mark.long])
    for path in LABS
]


def with_answers(assignment, answers):
    """The lab with these answers by the name of what is asked for."""
    nb = copy.deepcopy(assignment.lab.notebook)
    names = {task.grade_id: task.name for task in assignment.tasks}
    for cell in nb.cells:
        name = names.get(grading(cell).get("grade_id"))
        if name in answers:
            cell.source = answers[name]
    return nb


def references(assignment):
    """The solution's answers, by the name of what is asked for."""
    solution = read(ROOT / "solutions" / f"{assignment.stem}.ipynb")
    sources = {grading(cell).get("grade_id"): cell.source for cell in solution.cells}
    return {task.name: sources[task.grade_id] for task in assignment.tasks}


def grade(folder, number, terms=TERMS):
    options = Options(folder / "in", number, folder / "grades", ROOT, terms, jobs=2)
    grade_class(options)
    return Store(options.out).results()


def undone(task, assignment):
    """What it is in a fresh lab, which may borrow the reference itself."""
    cells = code_cells(assignment.lab.notebook)
    lends = any(f'lend("{task.name}")' in cell.source for cell in cells)
    return "lent" if lends else "todo"


@pytest.mark.parametrize("number", NUMBERS)
def test_references_get_all_points_and_fresh_or_wrong_ones_none(tmp_path, number):
    assignment = read_assignment(number, ROOT)
    wrong = "def {}(*args, **kwargs):\n    return 'nothing of the sort'"
    for student, answers in {
        "reference": references(assignment),
        "fresh": {},
        "wrong": {task.name: wrong.format(task.name) for task in assignment.tasks},
    }.items():
        corpus.save(with_answers(assignment, answers), tmp_path / "in" / student)
    found = grade(tmp_path, number)
    earned = {
        student: [(row["status"], row["points"]) for row in result["rows"]]
        for student, result in found.items()
    }
    assert earned == {
        "fresh": [(undone(task, assignment), 0) for task in assignment.tasks],
        "reference": [("passed", task.points) for task in assignment.tasks],
        "wrong": [("failed", 0) for _ in assignment.tasks],
    }, [row["message"] for result in found.values() for row in result["rows"]]


def submitted(nb, lab):
    """The rows of `labcore submit`: exercise -> status and points."""
    own = Work()
    take_answers(own, nb, lab)
    job = job_of(own, lab, lab.tasks, command._seeds(), 60, **command.LIMITS)
    rows = rows_of(own, lab.tasks, tried(job))
    return {row.exercise: (row.status, row.points) for row in rows}


def handed_in(nb, number, folder):
    """The rows of `labcore grade`: exercise -> status and points."""
    corpus.save(command._bare(nb), folder, "mine.ipynb")
    terms = Terms(seeds=(), timeout=60, memory=3)
    rows = api.grade(folder / "mine.ipynb", number, terms=terms).rows
    return {row.exercise: (row.status, row.points) for row in rows}


SPREAD_OUT = {  # Lab 02's answers with what they need in other cells, and the like
    "fine_grained_prune": """\
%%time
%matplotlib inline
from math import prod
def fine_grained_prune(tensor, sparsity):
    count = round(sparsity * prod(tensor.shape))
    return kept(tensor, ranked(tensor)[:count])""",
    "train_masked": "%time import math\n# below, in a cell of its own",
    "FineGrainedPruner": """\
class FineGrainedPruner:
    def __init__(self, model, sparsity_dict):
        self.masks = {}
        for name, sparsity in sparsity_dict.items():
            weight = model.get_submodule(name).weight
            self.masks[name] = fine_grained_prune(weight, sparsity)""",
    "times_smaller": """\
def times_smaller(model, masks):
    values = cat([p.flatten() for p in model.parameters()])
    return ONE * len(values) / float(values.count_nonzero())""",
}
OWN_CELLS = (
    "%%time\nimport torch as t\nONE: float = 1.0\nprint(undefined)",
    "def ranked(tensor):\n    return t.argsort(magnitudes(tensor))",
    "def magnitudes(tensor):\n    f\"{'a\u00a0b'}\"\n    return tensor.abs().flatten()",
    "@t.no_grad()\ndef kept(tensor, gone):\n"
    "    mask = t.ones(tensor.numel(), dtype=t.bool)\n    mask[gone] = False\n"
    "    mask = mask.view_as(tensor)\n    tensor *= mask\n    return mask",
    "!ls\nfrom torch import *",
    "def one_step(model, masks, images, labels, optimizer):\n"
    "    loss = t.nn.functional.cross_entropy(model(images), labels)\n"
    "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n"
    "    for name, mask in masks.items():\n"
    "        model.get_submodule(name).weight.data[~mask] = 0\n"
    "    return loss.item()",
    "train_masked = lambda model, masks, batches, optimizer: [\n"
    "    one_step(model.train(), masks, *batch, optimizer) for batch in batches\n]",
    "@t.no_grad()\ndef apply(self, model):\n    for name, mask in self.masks.items():\n"
    "        model.get_submodule(name).weight *= mask\n"
    "FineGrainedPruner.apply = apply",
)


@pytest.mark.long
def test_so_do_answers_that_are_spread_over_cells(tmp_path):
    assignment = read_assignment("02", ROOT)
    nb = with_answers(assignment, SPREAD_OUT)
    nb.cells += [new_code_cell(source) for source in OWN_CELLS]
    table = submitted(nb, assignment.lab)
    assert table == {task.id: ("passed", task.points) for task in assignment.tasks}
    assert table.items() <= handed_in(nb, "02", tmp_path).items()


@pytest.mark.long
def test_wrong_and_undone_ones_fare_alike_in_both(tmp_path):
    assignment = read_assignment("02", ROOT)
    wrong = {
        "fine_grained_prune": "def fine_grained_prune(tensor, sparsity):\n    pass",
        "train_masked": "def train_masked(model, masks, *more):\n    return 1 +",
        "times_smaller": "def times_smaller(model, masks):\n    return unknown",
    }
    nb = with_answers(assignment, wrong)
    table = submitted(nb, assignment.lab)
    statuses = {exercise: status for exercise, (status, _) in table.items()}
    assert statuses == {"2.1": "failed", "2.2": "error", "2.3": "todo", "2.4": "failed"}
    assert table.items() <= handed_in(nb, "02", tmp_path).items()


def test_a_tables_points_are_those_of_the_checks():
    for path in LABS:
        assignment = read_assignment(path.name[:2], ROOT)
        checks = importlib.import_module(assignment.lab.checks).EXERCISES
        for task in assignment.tasks:
            assert checks[task.name].points == task.points
            assert checks[task.name].id == task.id


# The hostile and the damaged kinds again, in the words of Lab 02.
NAMES = {"double": "times_smaller", "flip": "fine_grained_prune"}
NAMES["quadruple"] = "train_masked"
COUNTS = (
    "sum(p.numel() for p in x.parameters())",
    "sum((p != 0).sum() for p in x.parameters())",
)
WORDS = {
    "def double(x)": "def times_smaller(x, masks)",
    "def flip(tensor)": "def fine_grained_prune(tensor, s)",
    "def quadruple(x)": "def train_masked(x, masks, batches, optimizer)",
    "return 2 * x": f"return {COUNTS[0]} / {COUNTS[1]}",
    "return tensor.neg_().sum()": "raise RuntimeError",
}
# what only a number can be asked, or what is the toy's own notebook
TOYS = {
    *("as released", "blank", "partly right", "whole number floats", "raises"),
    "answer copied, the last is wrong",
    *("late loop keeps what came before", "reads the solutions"),
    *("helper, import and magic in cells of their own", "lent", "script in the text"),
    *("cheat: takes the reference from another exercise", "wrong lab"),
    *("cheat: asks the check's module", "finds answers anywhere"),
    *("cheat: switches the profiler off", "answers below their cells"),
    *("a stub below its cell", "names that other cells bind in every way"),
    "what Python cannot rewrite, in helpers and amendments",
    *("lent in its cell", "uses and fills shared memory"),
}


@pytest.fixture(scope="module")
def lab02(tmp_path_factory):
    """All kinds that fit, handed in for Lab 02; and its tasks by the toy's ids."""
    folder = tmp_path_factory.mktemp("lab02")
    (folder / "in").mkdir()
    assignment = read_assignment("02", ROOT)
    tasks = {task.name: task for task in assignment.tasks}
    right = references(assignment)

    def handed_in(**answers):
        given = {}
        for name, source in answers.items():
            for word, other in WORDS.items():
                source = source.replace(word, other)
            given[NAMES.get(name)] = source
        nb = with_answers(assignment, right | given)
        if "why" in answers:  # so that files differ as the kinds' do
            nb.cells[0].source += answers["why"]
        return nb

    def cell_of(nb, name):
        name = (
            "check-" * name.startswith("check-")
            + tasks[NAMES[name.removeprefix("check-")]].grade_id
        )
        return toylab.cell_of(nb, name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corpus, "handed_in", handed_in)
        patched.setattr(corpus, "cell_of", cell_of)
        for name, kind in corpus.KINDS.items():
            if name not in TOYS:
                kind.fill(folder / "in")
    found = grade(folder, "02", Terms(seeds=(3,), timeout=10, memory=2))
    ids = dict(zip(toylab.ALL, map(tasks.get, NAMES.values()), strict=True))
    return types.SimpleNamespace(results=found, tasks=ids)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(set(corpus.KINDS) - TOYS))
def test_lab_02_gives_every_kind_the_same_outcome(lab02, kind):
    rows = {row["exercise"]: row for row in lab02.results[kind]["rows"]}
    for toy, (status, points) in corpus.KINDS[kind].expected.items():
        task = lab02.tasks[toy]
        row = rows[task.id]
        assert row["status"] == status, row["message"]
        assert row["points"] == (task.points if points else 0)


def test_what_notebooks_of_the_corpus_share_with_the_labs():
    """The kinds copy and delete cells by the names that every lab uses."""
    for path in LABS:
        names = [grading(cell).get("grade_id") for cell in read(path).cells]
        answers = [n for n in names if n and not n.startswith(("check-", "question-"))]
        assert all(f"check-{name}" in names for name in answers)
