"""`labcore submit`: what a student is told, and the file that is handed in."""

import ast
import json
import os

import nbformat
import pytest
from notebooks import ROOT, answer, check, code, free_text, notebook, prose, read, write

from labcore import __main__ as cli
from labcore.runtime import LabError
from labcore.student import alone, environment
from labcore.student import submit as command
from labcore.student.find import find
from labcore.student.kernel import Kernel
from labcore.student.notebooks import grading
from labcore.student.splice import splice
from labcore.student.tasks import IMPORT, Task, tasks

RIGHT = {
    "count-zeros": "def count_zeros(tensor):\n    return (tensor == 0).sum().item()",
    "weights-per-output": (
        "def weights_per_output(weight):\n    return weight[0].numel()"
    ),
    "layer-names": (
        "def layer_names(model):\n    kinds = (nn.Conv2d, nn.Linear)\n"
        "    return [n for n, m in model.named_modules() if isinstance(m, kinds)]"
    ),
}
POINTS = {"count-zeros": 1, "weights-per-output": 2, "layer-names": 2}
STUB = '# YOUR CODE HERE\n    raise NotImplementedError("exercise not done yet")'


def small_lab(answers=(), text="YOUR ANSWER HERE", more=()):
    """Lab 00 without its demonstrations, with these answers; others are undone."""
    cells = [
        prose("title", "# Lab 00: First steps"),
        code(
            "imports",
            "import torch\nfrom torch import nn\nfrom labcore.checks import lab00",
            tags=["setup"],
        ),
    ]
    for number, (grade_id, points) in enumerate(POINTS.items(), 1):
        name = grade_id.replace("-", "_")
        cells.append(prose(f"ex-{number}", f"### Exercise 0.{number}: {name}"))
        undone = f"def {name}(it):\n    {STUB}"
        cells.append(answer(grade_id, dict(answers).get(grade_id, undone)))
        cells.append(check(f"check-{grade_id}", f"lab00.check_{name}({name})", points))
    cells.append(prose("question", "### Question 0.1: why"))
    return notebook(*cells, free_text("question-0-1-answer", text), *more)


@pytest.fixture
def course(tmp_path):
    """A folder with labs/; returns what puts a notebook into work/ and submits it."""
    write(tmp_path / "labs" / "00_first_steps.ipynb", small_lab())

    def hand_in(nb):
        path = write(tmp_path / "work" / "00_first_steps.ipynb", nb)
        command.submit("0", path.parent, tmp_path / "labs")

    hand_in.file = tmp_path / "work" / "submissions" / "00_first_steps.ipynb"
    return hand_in


def rows(text: str) -> dict[str, str]:
    """The table's rows by their first two words."""
    split = [line.split() for line in text.splitlines()]
    return {" ".join(words[:2]): " ".join(words[2:]) for words in split if words}


def test_right_answers_earn_all_points_and_the_file_holds_them(course, capsys):
    nb = small_lab(RIGHT, text="Claim, evidence, because.")
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="of a run")]
    course(nb)
    said = capsys.readouterr().out
    assert rows(said)["0.1 count_zeros"] == "passed 1 of 1"
    assert rows(said)["0.2 weights_per_output"] == "passed 2 of 2"
    assert rows(said)["0.3 layer_names"] == "passed 2 of 2"
    assert rows(said)["question 0.1"] == "written up to 2, by hand"
    assert "5 of 5, and up to 2 for the text" in said
    assert "All 7 cells run." in said
    assert "To hand in: work/submissions/00_first_steps.ipynb (" in said.replace(
        "\\", "/"
    )
    handed_in = read(course.file)
    sources = {grading(cell).get("grade_id"): cell.source for cell in handed_in.cells}
    assert sources.items() >= RIGHT.items()
    assert sources["question-0-1-answer"] == "Claim, evidence, because."
    assert not any(cell.get("outputs") for cell in handed_in.cells)
    assert list(course.file.parent.iterdir()) == [course.file]


def test_wrong_and_undone_answers_are_explained_and_handed_in(course, capsys):
    wrong = "def count_zeros(tensor):\n    return tensor.numel()"
    elsewhere = "def layer_names(model):\n    return names_of(model)"
    helper = code("helper", "for names_of in [lambda model: []]:\n    pass")
    course(small_lab({"count-zeros": wrong, "layer-names": elsewhere}, more=[helper]))
    said = capsys.readouterr().out
    table = rows(said)
    assert table["0.1 count_zeros"] == "failed 0 of 1"
    assert table["0.2 weights_per_output"] == "todo 0 of 2"
    assert table["0.3 layer_names"] == "failed 0 of 2"
    assert table["question 0.1"] == "todo up to 2, by hand"
    assert "likely    you count all values" in said
    assert "NameError: name 'names_of' is not defined" in said
    assert "what else it needs stands in its own cell" in said
    assert "LABCORE_CHECK_SEED=" in said
    assert wrong in [cell.source for cell in read(course.file).cells]


def test_one_wrong_exercise_costs_no_other_and_checks_of_the_student_do_not_count(
    course, capsys
):
    nb = small_lab(RIGHT | {"count-zeros": "def count_zeros(tensor): return 1 +"})
    by_id = {cell.id: cell for cell in nb.cells}
    by_id["check-count-zeros"].source = "pass"
    by_id["layer-names"].source += "\n\nassert count_zeros(torch.zeros(3)) == 3"
    course(nb)
    said = capsys.readouterr().out
    assert rows(said)["0.1 count_zeros"] == "error 0 of 1"
    assert "its cell cannot run: SyntaxError" in said
    assert rows(said)["0.3 layer_names"] == "passed 2 of 2"


def verdicts(nb, seeds=(1, 2), others=()):
    """Those of the first exercise, in this process."""
    cell = tasks(nb, "00", list(others), small_lab())[0].cell(seeds)
    call = cell.removeprefix(f"{IMPORT}; alone.show_verdicts(").removesuffix(")")
    return list(alone._verdicts(**json.loads(ast.literal_eval(call))))


def test_a_cell_too_long_for_grading_is_said_before_it_is_handed_in():
    long = RIGHT["count-zeros"] + "\n" + 25_000 * "# x\n"
    nb = small_lab({"count-zeros": long})
    with pytest.raises(LabError, match="'count-zeros' has 100,0.. characters"):
        tasks(nb, "00", [], small_lab())


@pytest.mark.parametrize(
    ("answer", "said"), [("{}", "100.00%"), ("bench", "name 'bench' is not defined")]
)
def test_a_check_gets_its_data_and_the_answer_does_not(answer, said):
    """Lab 03 makes its bench in a demonstration, which is not run for an answer."""
    (found,) = alone._verdicts(
        lab="03",
        name="choose_sparsities",
        prepare=["from labcore.checks import lab03"],
        lend=[],
        answers=[f"def choose_sparsities():\n    return {answer}"],
        others=[],
        seeds=[1],
    )
    assert found["status"] == "failed"
    assert said in found["message"]


def test_an_answer_that_fits_the_usual_seed_only_fails():
    cheat = (
        "def count_zeros(tensor):\n    import os\n"
        '    usual = os.environ["LABCORE_CHECK_SEED"] == "0"\n'
        "    return (tensor == 0).sum().item() if usual else 99"
    )
    found = verdicts(small_lab({"count-zeros": cheat}), (0, 7))
    assert [verdict["status"] for verdict in found] == ["passed", "failed"]
    assert "LABCORE_CHECK_SEED" not in os.environ


LOOP = "def count_zeros(tensor):\n    while True:\n        pass"
DIES = "import os\nos._exit(1)"
LIMIT = 5  # seconds; a right answer takes milliseconds


@pytest.mark.parametrize(
    ("source", "status", "sentence"),
    [
        (LOOP, "timeout", "count_zeros: it does not end within 5 seconds"),
        (DIES, "error", "count_zeros: it ends the whole Python process"),
    ],
)
def test_a_cell_that_loops_or_dies_ends_in_a_sentence_after_the_file_is_written(
    course, capsys, monkeypatch, source, status, sentence
):
    monkeypatch.setattr(command, "EXERCISE_SECONDS", LIMIT)
    with pytest.raises(command.LabError, match=sentence):
        course(small_lab(RIGHT | {"count-zeros": source}))
    said = capsys.readouterr().out
    assert f"count_zeros {status} 0 of 1" in " ".join(said.split())
    assert rows(said)["0.3 layer_names"] == "passed 2 of 2"
    assert course.file.exists()


def test_a_demonstration_that_loops_is_named_and_costs_nothing(
    course, capsys, monkeypatch
):
    monkeypatch.setattr(command, "CELL_SECONDS", LIMIT)
    more = [code("fails", "1 / 0"), code("loops", "while True:\n    pass")]
    with pytest.raises(command.LabError) as stop:
        course(small_lab(RIGHT, more=more))
    assert "00_first_steps.ipynb, cell 'loops' (while True:)" in str(stop.value)
    assert rows(capsys.readouterr().out)["0.1 count_zeros"] == "passed 1 of 1"


def test_a_demonstration_that_fails_is_named(course, capsys):
    more = [
        code("divides", "1 / 0"),
        code("on-purpose", "1 / 0", tags=["raises-exception"]),
    ]
    course(small_lab(RIGHT, more=more))
    said = capsys.readouterr().out
    assert "cell 'divides' (1 / 0) fails with ZeroDivisionError" in said
    assert "more" not in said.splitlines()[-1]


def test_the_kernel_outlives_loops_floods_and_its_own_end(tmp_path):
    ignores = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with Kernel(tmp_path, dict(os.environ), "x = 1") as kernel:
        late = kernel.run("while True: pass", 1)
        assert late.late and not late.lost and late.error == "KeyboardInterrupt"
        flood = kernel.run("print('x' * 1_000_000 + '\\n' * 1000)\n1 / 0", 60)
        assert flood.error == "ZeroDivisionError: division by zero"
        assert kernel.run("input()", 60).error.startswith("StdinNotImplementedError")
        assert kernel.run("x += 1", 60).error == ""
        assert kernel.run(ignores + "while True: pass", 1).lost
        assert kernel.run("assert x == 1", 60).error == "", "started anew"
        assert kernel.run("import os; os._exit(3)", 60).lost


def test_a_helper_of_the_students_own_cells_is_seen():
    nb = small_lab({"count-zeros": "def count_zeros(t):\n    return total(t == 0)"})
    helper = "import math\ndef total(t): return math.fsum(t.flatten())"
    first, second = verdicts(nb, others=[helper])
    assert (first["status"], first["seed"]) == ("passed", 1), first
    assert (second["status"], second["seed"]) == ("passed", 2)


def test_the_worst_seed_counts():
    task = Task("00", "count_zeros", 2, [], [], [], [])
    common = {"exercise": "0.1", "name": "count_zeros", "seed": 5, "message": "because"}
    verdicts = [
        common | {"status": "passed", "points": 2},
        common | {"status": "partial", "points": 1, "seed": 7},
        common | {"status": "passed", "points": 2},
    ]
    row = task.row(verdicts)
    assert (row.title, row.status, row.earned) == ("0.1 count_zeros", "partial", 1)
    assert row.message.endswith("LABCORE_CHECK_SEED=7")


def test_five_different_seeds_are_drawn_anew_for_every_exercise():
    class Recorder:
        drawn = []

        def run(self, source, seconds):
            self.drawn.append(source)
            return command.Outcome(data=[VERDICT])

    class Played:
        points, name = 2, "count_zeros"

        def cell(self, seeds):
            return tuple(seeds)

        def row(self, data):
            return data

    for _ in range(2):
        command._try(Played(), Recorder())
    assert [len(set(seeds)) for seeds in Recorder.drawn] == [5, 5]
    assert not set(Recorder.drawn[0]) & set(Recorder.drawn[1])


VERDICT = {"exercise": "0.1", "status": "passed"}


def test_a_given_function_of_the_students_own_is_lent():
    nb = small_lab()
    given = code("given", f"def count_zeros(t):\n    {STUB}", tags=["given"])
    given.metadata["own"] = {"get_sparsity": "01"}
    nb.cells.insert(2, given)
    first = tasks(nb, "00", [], nb)[0]
    assert first.prepare == [nb.cells[1].source, given.source]
    assert first.lend == [
        ("01", "get_sparsity"),
        ("00", "weights_per_output"),
        ("00", "layer_names"),
    ]


@pytest.fixture
def folders(tmp_path):
    write(tmp_path / "labs" / "00_first_steps.ipynb", small_lab())
    other = notebook(answer("double", "def double(x): pass"))
    write(tmp_path / "labs" / "01_doubling.ipynb", other)
    (tmp_path / "work").mkdir()
    return tmp_path / "work", tmp_path / "labs"


def test_a_notebook_is_found_by_number_or_path(folders):
    work, labs = folders
    mine = write(work / "00_first_steps.ipynb", small_lab())
    assert find("00", *folders) == (mine, labs / mine.name)
    renamed = mine.rename(work / "00_mine.ipynb")
    assert find("00", *folders)[0] == renamed, "the only one of that number"
    moved = write(work.parent / "Ann.ipynb", small_lab())
    assert find(str(moved), *folders) == (moved, labs / "00_first_steps.ipynb")
    bare = write(work.parent / "01_bare.ipynb", notebook(code("x", "1")))
    assert find(str(bare), *folders)[1] == labs / "01_doubling.ipynb"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("07", "There is no Lab 07 here: choose from 00, 01."),
        ("01", "There is no work/01_doubling.ipynb: `python -m labcore lab` puts it"),
        ("00", "several notebooks of Lab 00 in work/ (00_a.ipynb, 00_b.ipynb)"),
        ("nowhere.ipynb", "There is no notebook nowhere.ipynb: name a lab by its two"),
        (".", "There is no notebook .: name a lab by its two digits (00, 01)"),
        ("FOREIGN", "foreign.ipynb is none of the labs"),
        ("BROKEN", "broken.ipynb is damaged"),
    ],
)
def test_a_mistake_in_the_name_is_one_sentence(folders, name, sentence):
    work, _ = folders
    write(work / "00_a.ipynb", small_lab())
    write(work / "00_b.ipynb", small_lab())
    foreign = write(work.parent / "foreign.ipynb", notebook(code("x", "1")))
    broken = work.parent / "broken.ipynb"
    broken.write_text('{"cells": [', encoding="utf-8")
    names = {"FOREIGN": str(foreign), "BROKEN": str(broken)}
    with pytest.raises(command.LabError) as mistake:
        command.submit(names.get(name, name), *folders)
    assert sentence in str(mistake.value)
    assert not (work / "submissions").exists()


def test_the_command_submits_from_work_against_labs(monkeypatch):
    handed = []
    monkeypatch.setattr(environment, "enter", lambda arguments: None)
    monkeypatch.setattr(environment, "missing", lambda extra=None: [])
    monkeypatch.setattr(
        "labcore.student.submit.submit", lambda *given: handed.append(given)
    )
    assert cli.main(["submit", "02"]) == 0
    assert handed == [("02", ROOT / "work", ROOT / "labs")]


def test_an_earlier_release_copies_and_lost_cells_are_said():
    nb, lab = small_lab(RIGHT), small_lab()
    nb.metadata["released"] = "older"
    nb.cells.append(answer("count-zeros", RIGHT["count-zeros"]))
    nb.cells = [cell for cell in nb.cells if cell.id != "layer-names"]
    said = "\n".join(command._remarks(splice(nb, lab)[1], nb, lab))
    assert "count-zeros: there are several copies of this cell" in said
    assert "layer-names: this cell is missing from your notebook" in said
    assert "Your notebook is of another release" in said


def test_what_passes_here_passes_in_grade(course, capsys, tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("grading needs fork")
    from labcore.staff.grading import grade
    from labcore.staff.grading.jobs import Terms

    write(tmp_path / "solutions" / "00_first_steps.ipynb", small_lab(RIGHT))
    helped = "%%time\ndef count_zeros(tensor):\n    return total(tensor == 0)"
    helper = "from math import *\n\n\ndef total(it):\n    return fsum(it.flatten())"
    half_right = "def weights_per_output(weight):\n    return weight[0].numel() + 0.5"
    answers = {"count-zeros": helped, "weights-per-output": half_right}
    own = [code("own", helper), code("below", RIGHT["layer-names"])]
    course(small_lab(answers, text="Because.", more=own))
    table = rows(capsys.readouterr().out)
    result = grade(course.file, "00", terms=Terms((1, 2), sandbox=False), root=tmp_path)
    graded = {row.exercise: (row.status, row.points) for row in result.rows}
    assert graded["0.1"] == ("passed", 1) and table["0.1 count_zeros"][:6] == "passed"
    assert graded["0.2"] == ("failed", 0)
    assert table["0.2 weights_per_output"] == "failed 0 of 2"
    assert graded["0.3"] == ("passed", 2) and table["0.3 layer_names"][:6] == "passed"
    assert graded["Q0.1"] == ("review", None)


def test_all_that_was_written_is_handed_in_and_nothing_else_is_left():
    ran = code("own", "mine = 1", execution={"shell.execute_reply": "now"})
    ran.outputs = [nbformat.v4.new_output("stream", text="of a run")]
    ran.execution_count = 3
    nb = small_lab(RIGHT, more=[ran])
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    handed_in = command._bare(nb)
    assert [cell.source for cell in handed_in.cells] == [c.source for c in nb.cells]
    assert handed_in.cells[-1] == code("own", "mine = 1")
    assert "widgets" not in handed_in.metadata
