"""`labcore submit`: what a student is told, and the file that is handed in."""

import os
from contextlib import suppress
from unittest.mock import Mock

import nbformat
import pytest
from notebooks import ROOT, answer, check, code, free_text, notebook, prose, read, write
from serving import caught_by_command

from labcore import __main__ as cli
from labcore.runtime import LabError
from labcore.student import environment, running
from labcore.student import submit as command
from labcore.student.find import find
from labcore.student.kernel import Kernel
from labcore.student.notebooks import grading
from labcore.student.running import tried
from labcore.student.splice import splice
from labcore.student.tasks import (
    Work,
    job_of,
    read_lab,
    rows_of,
    take_answers,
)

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
    helper = code("helper", "exec('names_of = lambda model: []')")
    course(small_lab({"count-zeros": wrong, "layer-names": elsewhere}, more=[helper]))
    said = capsys.readouterr().out
    table = rows(said)
    assert table["0.1 count_zeros"] == "failed 0 of 1"
    assert table["0.2 weights_per_output"] == "todo 0 of 2"
    assert table["0.3 layer_names"] == "failed 0 of 2"
    assert table["question 0.1"] == "todo up to 2, by hand"
    assert "likely    you count all values" in said
    assert "NameError: name 'names_of' is not defined" in said
    assert "no cell that an answer can use binds this name" in said
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


def outcomes(nb, seeds=(1, 2), lab=None):
    """What is found of each exercise that was written, in this notebook."""
    lab, own = read_lab(lab or small_lab(), "00"), Work()
    take_answers(own, nb, lab)
    return list(tried(job_of(own, lab, lab.tasks, seeds, 60, **command.LIMITS)))


def test_a_cell_too_long_for_grading_is_said_before_it_is_handed_in(course):
    long = RIGHT["count-zeros"] + "\n" + 25_000 * "# x\n"
    with pytest.raises(LabError, match="'count-zeros' has 100,0.. characters"):
        course(small_lab({"count-zeros": long}))
    assert not course.file.exists()


def test_without_the_tools_of_a_lab_the_file_is_written_and_nothing_is_tried(
    course, monkeypatch
):
    monkeypatch.setattr(running, "TOOLS", {"labcore.checks.lab00": ("a_compiler",)})
    with pytest.raises(LabError, match="need a_compiler: .* The file .* is written"):
        course(small_lab(RIGHT))
    assert course.file.exists()


def test_an_answer_does_not_get_what_only_a_demonstration_makes():
    """Lab 03 makes its bench in a demonstration, which is not run for an answer."""
    answer = "def changed_answers(first, second, labels):\n    return bench"
    asked = {"id": "3.2", "name": "changed_answers", "points": 4, "others": []}
    job = command.LIMITS | {
        "checks": "labcore.checks.lab03",
        "setup": [],
        "given": [],
        "lend": [],
        "seeds": [1],
        "seconds": 60,
        "wall": 600,
        "exercises": [asked | {"answer": answer, "above": 0}],
    }
    (found,) = tried(job)
    assert found.status == "failed"
    assert "name 'bench' is not defined" in found.message


def test_an_answer_that_fits_the_usual_seed_only_fails_and_the_worst_seed_counts():
    cheat = (
        "seen = []\ndef count_zeros(tensor):\n    seen.append(tensor)\n"
        "    return (tensor == 0).sum().item() if len(seen) < 8 else 99"  # at first 7
    )
    (found,) = outcomes(small_lab({"count-zeros": cheat}), (0, 7))
    assert (found.status, found.points, found.seed) == ("failed", 0, 7)
    (row,) = (r for r in rows_of_one(found) if r.exercise == "0.1")
    assert command._explained(row).endswith("LABCORE_CHECK_SEED=7")


def rows_of_one(found):
    lab, own = read_lab(small_lab(), "00"), Work()
    take_answers(own, small_lab({"count-zeros": RIGHT["count-zeros"]}), lab)
    return rows_of(own, lab.tasks, [found])


def test_five_different_seeds_are_drawn_each_time():
    drawn = [command._seeds() for _ in range(2)]
    assert [len(set(seeds)) for seeds in drawn] == [5, 5]
    assert not set(drawn[0]) & set(drawn[1])


LOOP = "def count_zeros(tensor):\n    while True:\n        pass"
DIES = "import os\nos._exit(1)"
LIMIT = 5  # seconds, waited for; a right answer takes milliseconds
INTERRUPT = "labcore.student.kernel.INTERRUPT_SECONDS"


@pytest.mark.parametrize(
    ("source", "status", "sentence"),
    [
        (LOOP, "timeout", "still running after 5 seconds of processor time"),
        (DIES, "error", "it ended its process, with exit code 1"),
    ],
)
def test_a_cell_that_loops_or_dies_ends_in_a_sentence_and_the_file_is_written(
    course, capsys, monkeypatch, source, status, sentence
):
    monkeypatch.setattr(command, "SECONDS", LIMIT)
    with (
        suppress(LabError)
        if status == "error"
        else pytest.raises(
            LabError, match="0.1 does not end: fix that and submit again"
        )
    ):
        course(small_lab(RIGHT | {"count-zeros": source}))
    said = capsys.readouterr().out
    assert sentence in " ".join(said.split())
    assert f"count_zeros {status} 0 of 1" in " ".join(said.split())
    assert rows(said)["0.3 layer_names"] == "passed 2 of 2"
    assert course.file.exists()


def test_a_demonstration_that_loops_is_named_and_costs_nothing(
    course, capsys, monkeypatch
):
    monkeypatch.setattr(command, "CELL_SECONDS", LIMIT)
    monkeypatch.setattr(INTERRUPT, 60)
    more = [code("fails", "1 / 0"), code("loops", "while True:\n    pass")]
    nb = small_lab(RIGHT, more=more)
    nb.cells = [cell for cell in nb.cells if cell.id != "imports"]  # torch takes long
    with pytest.raises(command.LabError) as stop:
        course(nb)
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


def test_ctrl_c_ends_the_run_from_the_line_that_promises_it(monkeypatch):
    said = Mock(side_effect=[KeyboardInterrupt, None])
    monkeypatch.setattr(command, "print", said, raising=False)
    with caught_by_command():
        command._run_all(small_lab(), "00_first_steps.ipynb", Mock())
    first, last = said.call_args_list
    assert "Press Ctrl-C to stop" in first.args[0] and first.kwargs == {"flush": True}
    assert last.args == ("Stopped. The file to hand in is complete.",)


def test_the_kernel_outlives_loops_floods_and_its_own_end(tmp_path, monkeypatch):
    monkeypatch.setattr(INTERRUPT, 60)
    ignores = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with Kernel(tmp_path, dict(os.environ)) as kernel:
        late = kernel.run("while True: pass", 1)
        assert late.late and not late.lost and late.error == "KeyboardInterrupt"
        flood = kernel.run("print('x' * 1_000_000 + '\\n' * 1000)\n1 / 0", 60)
        assert flood.error == "ZeroDivisionError: division by zero"
        assert kernel.run("input()", 60).error.startswith("StdinNotImplementedError")
        assert kernel.run("x = 1", 60).error == ""
        monkeypatch.setattr(INTERRUPT, 1)
        assert kernel.run(ignores + "while True: pass", 1).lost
        assert kernel.run("x", 60).error.startswith("NameError"), "started again"
        assert kernel.run("import os; os._exit(3)", 60).lost


def test_a_kernel_that_ctrl_c_met_at_its_start_is_ended(tmp_path, monkeypatch):
    started = []

    def interrupted(manager):
        started.append(manager)
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_client.manager.KernelManager.client", interrupted)
    with pytest.raises(KeyboardInterrupt), Kernel(tmp_path, dict(os.environ)) as kernel:
        kernel.run("1", 60)
    assert not started[0].has_kernel


def test_a_helper_of_the_students_own_cells_is_seen():
    answer = "def count_zeros(t):\n    return total(t == 0)"
    helper = "import math\ndef total(t): return math.fsum(t.flatten())"
    nb = small_lab({"count-zeros": answer}, more=[code("own", helper)])
    (found,) = outcomes(nb)
    assert found.status == "passed", found.message


def test_a_file_beside_the_notebook_is_said_at_once(course, capsys):
    nb = small_lab(RIGHT, more=[code("own", "from helpers import total")])
    folder = course.file.parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "helpers.py").write_text("total = sum\n", encoding="utf-8")
    course(nb)
    said = capsys.readouterr().out
    assert "imports helpers, a file beside it that is not handed in" in said


def test_a_given_function_of_the_students_own_is_lent():
    lab = small_lab()
    given = code("given", f"def get_sparsity(t):\n    {STUB}", tags=["given"])
    given.metadata["own"] = {"get_sparsity": "01"}
    lab.cells.insert(2, given)
    uses = "def count_zeros(t):\n    return round(get_sparsity(t) * t.numel())"
    (found,) = outcomes(small_lab({"count-zeros": uses}), lab=lab)
    assert found.status == "passed", found.message


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
    assert "Your notebook comes from another release" in said


def test_a_process_that_ctrl_c_met_before_it_was_ready_is_ended(monkeypatch):
    started = []

    def start(job):
        started.append(running.plainly(job))
        return started[0]

    monkeypatch.setattr(running._Alone, "_ready", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(tried({"checks": "", "exercises": [{}]}, start))
    assert started[0].poll() is not None


def test_a_signal_without_a_name_is_told_by_its_number():
    trial = running._Trial(
        {"seconds": 1, "wall": 1, "memory": 0}, {"id": "1", "name": "f", "points": 1}
    )
    assert trial._fault(-40, False) == ("error", "it crashed (signal 40)")


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
