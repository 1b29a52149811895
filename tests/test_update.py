"""A student's answers: found in their notebook, and moved into a newer release."""

import copy
import json

import nbformat
import pytest
from notebooks import (
    DOUBLE,
    answer,
    check,
    code,
    notebook,
    prose,
    tiny,
    write,
)

from labcore.runtime import LabError
from labcore.staff.authoring.release import CODE_STUB, lab_text
from labcore.student.notebooks import parse_notebook, read_notebook
from labcore.student.splice import Unfit, splice
from labcore.student.update import update_work

NAME = "90_tiny.ipynb"
MINE = "def double(x):\n    return 2 * x"


def lab_of(source):
    return parse_notebook(lab_text(source, NAME), NAME)


def cell_of(nb, cell_id):
    return next(cell for cell in nb.cells if cell.get("id") == cell_id)


def solved(source=None):
    """A student's copy of the lab, with `double` and `why` answered."""
    nb = lab_of(source or tiny())
    cell_of(nb, "double").source = MINE
    cell_of(nb, "why").source = "Because."
    return nb


def found(report):
    return {answer.grade_id: answer.found_by for answer in report.moved}


def test_answers_are_found_by_grade_id_wherever_they_stand():
    mine = solved()
    mine.cells.reverse()
    nb, report = splice(mine, lab_of(tiny()))
    assert found(report) == {"double": "grade_id", "why": "grade_id"}
    assert cell_of(nb, "double").source == MINE
    assert cell_of(nb, "why").source == "Because."
    assert not report.missing and not report.duplicates and not report.unfit


def test_checks_points_and_kernel_are_the_references():
    mine = solved()
    cell_of(mine, "check-double").source = "pass"
    cell_of(mine, "check-double").metadata.nbgrader.points = 1000
    mine.metadata.kernelspec.name = "mine"
    nb, _ = splice(mine, lab_of(tiny()))
    reference = lab_of(tiny())
    assert cell_of(nb, "check-double") == cell_of(reference, "check-double")
    assert nb.metadata == reference.metadata


def test_neither_notebook_is_changed():
    mine, reference = solved(), lab_of(tiny())
    before = copy.deepcopy((mine, reference))
    splice(mine, reference)
    assert (mine, reference) == before


def test_the_last_copy_counts_and_the_others_are_named():
    mine = solved()
    again = copy.deepcopy(cell_of(mine, "double"))
    again.id, again.source = "pasted", "def double(x): return x"
    mine.cells.append(again)
    nb, report = splice(mine, lab_of(tiny()))
    assert cell_of(nb, "double").source == again.source
    assert report.duplicates == {"double": [3]}


def test_without_grading_metadata_the_cell_id_finds_answers():
    mine = solved()
    for cell in mine.cells:
        cell.metadata.pop("nbgrader", None)
    nb, report = splice(mine, lab_of(tiny()))
    assert found(report) == {"double": "cell id", "why": "cell id"}
    assert cell_of(nb, "double").source == MINE


def nameless(nb):
    for cell in nb.cells:
        cell.metadata.pop("nbgrader", None)
        cell.pop("id")
    return nb


def test_without_any_names_the_position_finds_answers():
    mine = nameless(solved())
    mine.cells.insert(1, {"cell_type": "code", "source": "1 + 1", "metadata": {}})
    mine.cells.insert(4, {"cell_type": "code", "source": "2 + 2", "metadata": {}})
    nb, report = splice(mine, lab_of(tiny()))
    assert found(report) == {"double": "position", "why": "position"}
    assert cell_of(nb, "double").source == MINE
    assert cell_of(nb, "why").source == "Because."


def test_without_any_names_a_deleted_answer_is_missing():
    mine = nameless(solved())
    del mine.cells[3]
    _, report = splice(mine, lab_of(tiny()))
    assert report.missing == ["double"] and found(report) == {"why": "position"}


def test_a_deleted_answer_is_missing_and_leaves_the_reference_alone():
    mine = solved()
    mine.cells.remove(cell_of(mine, "double"))
    mine.cells.append(code("scratch", "1 + 1"))
    nb, report = splice(mine, lab_of(tiny()))
    assert report.missing == ["double"]
    assert CODE_STUB.split("\n")[0] in cell_of(nb, "double").source


def test_an_answer_without_a_place_does_not_fit():
    mine = solved(tiny(answer("gone", DOUBLE)))
    cell_of(mine, "why").cell_type = "code"
    _, report = splice(mine, lab_of(tiny()))
    assert report.missing == ["why"]
    assert report.unfit == [
        Unfit("why", 5, "it is a code cell, but must be markdown"),
        Unfit("gone", 6, "there is no such exercise"),
    ]


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [None, 1, "x", [], {}],
        [{"cell_type": "code", "source": None, "metadata": None, "id": 3}],
        [{"cell_type": "code", "source": [1], "metadata": {"nbgrader": []}}],
        [{"metadata": {"nbgrader": {"grade_id": ["double"], "solution": 1}}}],
    ],
)
def test_malformed_cells_are_no_answers(cells):
    nb, report = splice({"cells": cells}, lab_of(tiny()))
    assert report.missing == ["double", "why"] and nb == lab_of(tiny())


def test_plain_json_serves_as_well_as_notebook_nodes():
    mine = json.loads(nbformat.writes(solved()))
    reference = json.loads(nbformat.writes(lab_of(tiny())))
    assert isinstance(mine["cells"][3]["source"], list)
    assert splice(mine, reference) == splice(solved(), lab_of(tiny()))


def newer():
    """The next release: new words, one more exercise, a new order."""
    source = tiny(
        prose("ex-2", "### Exercise 90.2: triple"),
        answer("triple", DOUBLE.replace("double", "triple")),
        check("check-triple", "assert triple(4) == 12"),
    )
    cell_of(source, "title").source = "# Lab 90: doubling and tripling"
    cell_of(source, "double").source = DOUBLE.replace("Twice x.", "Two times x.")
    return source


@pytest.fixture
def course(tmp_path):
    """Folders `work` and `labs`, the lab newer than the student's solved copy."""
    write(tmp_path / "work" / NAME, solved())
    put_lab(tmp_path, newer())
    return tmp_path


def put_lab(course, source):
    labs = course / "labs"
    labs.mkdir(exist_ok=True)
    (labs / NAME).write_bytes(lab_text(source, NAME).encode())


def change(course, edit):
    mine = read_notebook(course / "work" / NAME)
    edit(mine)
    write(course / "work" / NAME, mine)


def update(course, capsys):
    update_work(course / "work", course / "labs")
    return read_notebook(course / "work" / NAME), capsys.readouterr().out


def test_answers_move_into_the_newer_release(course, capsys):
    nb, said = update(course, capsys)
    expected = lab_of(newer())
    cell_of(expected, "double").source = MINE
    cell_of(expected, "why").source = "Because."
    assert nb == expected
    assert "answers moved: double, why" in said
    assert "still to be written: triple" in said


def test_a_dated_backup_holds_the_old_bytes(course, capsys):
    before = (course / "work" / NAME).read_bytes()
    _, said = update(course, capsys)
    [backup] = (course / "work" / "backup").iterdir()
    assert backup.read_bytes() == before
    assert nbformat.read(backup, 4) and f"work/backup/{backup.name}" in said
    assert [path.name for path in (course / "work").glob("*.ipynb")] == [NAME]


def test_two_updates_within_a_second_keep_two_backups(course, capsys):
    update(course, capsys)
    put_lab(course, tiny())
    update(course, capsys)
    assert len(list((course / "work" / "backup").iterdir())) == 2


def test_an_untouched_stub_gives_way_to_the_new_one(course, capsys):
    write(course / "work" / NAME, lab_of(tiny()))
    nb, said = update(course, capsys)
    assert nb == lab_of(newer())
    assert "answers moved: none" in said


def test_nothing_is_done_twice(course, capsys):
    update(course, capsys)
    before = (course / "work" / NAME).read_bytes()
    _, said = update(course, capsys)
    assert said == f"{NAME}: already the newest release.\n"
    assert (course / "work" / NAME).read_bytes() == before


def test_own_cells_stay_after_the_cell_they_followed(course, capsys):
    def edit(mine):
        mine.cells.insert(4, code("scratch", "double(21)"))
        mine.cells.insert(0, prose("first", "my notes"))
        mine.cells.insert(0, code("empty", "  "))

    change(course, edit)
    nb, said = update(course, capsys)
    ids = [cell.id for cell in nb.cells]
    assert ids[0] == "first" and "empty" not in ids
    assert ids[ids.index("double") + 1] == "scratch"
    assert "kept: 2" in said


def test_own_cells_with_one_id_are_all_kept(course, capsys):
    def edit(mine):
        mine.cells += [code("mine", "1"), code("mine", "2"), code("mine", "3")]

    change(course, edit)
    nb, _ = update(course, capsys)
    assert [cell.source for cell in nb.cells][6:9] == ["1", "2", "3"]
    assert len({cell.id for cell in nb.cells}) == len(nb.cells)


def test_an_edited_demonstration_survives_where_the_lab_left_it_alone(course, capsys):
    change(course, lambda mine: cell_of(mine, "setup").update(source="import cmath"))
    nb, _ = update(course, capsys)
    assert cell_of(nb, "setup").source == "import cmath"


def test_two_edits_under_one_id_are_both_kept(course, capsys):
    def edit(mine):
        cell_of(mine, "setup").source = "import cmath"
        again = copy.deepcopy(cell_of(mine, "setup"))
        again.source = "import random"
        mine.cells.insert(2, again)

    change(course, edit)
    nb, _ = update(course, capsys)
    assert [cell.source for cell in nb.cells][1:3] == ["import cmath", "import random"]


def test_an_edited_cell_that_the_lab_changed_is_kept_behind_it(course, capsys):
    change(course, lambda mine: cell_of(mine, "title").update(source="# Mine"))
    nb, _ = update(course, capsys)
    assert nb.cells[0].source == "# Lab 90: doubling and tripling"
    assert nb.cells[1].source == "# Mine"


def test_an_edited_check_is_the_labs_again_and_the_edit_an_ordinary_cell(
    course, capsys
):
    change(course, lambda mine: cell_of(mine, "check-double").update(source="pass"))
    nb, _ = update(course, capsys)
    place = [cell.id for cell in nb.cells].index("check-double")
    assert nb.cells[place].source == "assert double(4) == 8"
    assert nb.cells[place + 1].source == "pass"
    assert "nbgrader" not in nb.cells[place + 1].metadata


def test_an_answer_whose_exercise_is_gone_is_kept_at_the_end(course, capsys):
    put_lab(course, notebook(prose("title", "# Lab 90"), code("setup", "import math")))
    nb, said = update(course, capsys)
    assert [cell.id for cell in nb.cells[:2]] == ["title", "setup"]
    assert nb.cells[2].source.startswith("## Kept from your earlier work")
    assert [cell.source for cell in nb.cells[3:]] == [MINE, "Because."]
    assert all("nbgrader" not in cell.metadata for cell in nb.cells)
    assert "kept at the end: double (there is no such exercise)" in said


def test_overruled_copies_of_an_answer_are_kept_as_own_cells(course, capsys):
    def edit(mine):
        place = mine.cells.index(cell_of(mine, "double"))
        copies = [copy.deepcopy(mine.cells[place]) for _ in range(2)]
        copies[0].update(id="older", source="def double(x): ...")
        copies[1].update(id="same")
        mine.cells[place:place] = copies

    change(course, edit)
    nb, said = update(course, capsys)
    ids = [cell.id for cell in nb.cells]
    assert ids[ids.index("double") - 1] == "older" and "same" not in ids
    assert cell_of(nb, "double").source == MINE
    assert "the last that defines its name counts: double" in said


def test_an_old_format_and_lost_metadata_lose_no_answer(course, capsys):
    mine = nameless(solved())
    mine.metadata.clear()
    mine.nbformat_minor = 4
    for cell in mine.cells:
        cell.metadata.clear()
    path = course / "work" / NAME
    path.write_text(json.dumps(mine), encoding="utf-8")
    put_lab(course, tiny(code("new", "2")))
    nb, said = update(course, capsys)
    assert cell_of(nb, "double").source == MINE and "moved: double, why" in said
    assert [cell.id for cell in nb.cells] == [
        c.id for c in lab_of(tiny(code("new", "2"))).cells
    ]


def test_a_damaged_notebook_is_left_alone_and_the_others_go_on(course, capsys):
    damaged = course / "work" / "10_damaged.ipynb"
    damaged.write_text("{", encoding="utf-8")
    (course / "labs" / damaged.name).write_text("{}", encoding="utf-8")
    _, said = update(course, capsys)
    assert said.startswith(f"{damaged.name}: left alone. {damaged.name} is damaged")
    assert damaged.read_text(encoding="utf-8") == "{"
    assert "answers moved: double, why" in said


def test_a_notebook_of_ones_own_is_left_alone(course, capsys):
    write(course / "work" / "notes.ipynb", tiny())
    _, said = update(course, capsys)
    assert "notes.ipynb: not one of the labs, left alone." in said


def test_without_notebooks_or_folders_it_says_so(tmp_path, capsys):
    (tmp_path / "work").mkdir()
    with pytest.raises(LabError, match="python -m labcore lab"):
        update_work(tmp_path / "work", tmp_path / "labs")
    (tmp_path / "labs").mkdir()
    update_work(tmp_path / "work", tmp_path / "labs")
    assert "Nothing to update" in capsys.readouterr().out
