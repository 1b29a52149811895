"""The nbgrader course that a release writes, through nbgrader's own commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from notebooks import (
    DOUBLE,
    ROOT,
    answer,
    check,
    code,
    free_text,
    notebook,
    read,
    write,
)

from labcore.staff.authoring.course import release_course
from labcore.student.notebooks import notebook_text
from labcore.student.splice import splice

HALF = DOUBLE.replace("double", "half").replace("x + x", "x / 2")
QUESTION = """\
### BEGIN SOLUTION
It doubles.
### BEGIN MARK SCHEME
One point for the claim.
### END MARK SCHEME
### END SOLUTION"""
WARNS = "import warnings\nwarnings.warn('on stderr')\nassert half(4) == 2"


def graded_lab():
    return notebook(
        code("setup", "import math", tags=["setup"]),
        answer("double", DOUBLE),
        check("check-double", "assert double(4) == 8", points=3),
        answer("half", HALF),
        check("check-half", WARNS, points=2),
        free_text("why", QUESTION, points=4),
        code("claim-1", "assert double(0.5) == 1", tags=["claim"]),
    )


def fill(nb, **answers):
    for cell in nb.cells:
        if cell.id in answers:
            cell.source = f"def {cell.id}(x):\n    return {answers[cell.id]}"
    return nb


def copied(nb, cell_id, source=None):
    """As an editor does it: the same cell again, below, nbgrader metadata included."""
    at = [cell.id for cell in nb.cells].index(cell_id)
    again = nb.cells[at].copy()
    again.id = f"{cell_id}-again"
    again.source = source or again.source
    nb.cells.insert(at + 1, again)
    return nb


def without(nb, *ids):
    nb.cells = [cell for cell in nb.cells if cell.id not in ids]
    return nb


SUBMITTED = {
    "right": (5, lambda nb: fill(nb, double="x + x", half="x / 2")),
    "blank": (0, lambda nb: nb),
    "wrong": (2, lambda nb: fill(nb, double="x", half="x / 2")),
    "copied_check": (
        5,
        lambda nb: copied(fill(nb, double="x + x", half="x / 2"), "check-double"),
    ),
    "copied_answer": (
        2,
        lambda nb: copied(
            fill(nb, double="x + x", half="x / 2"),
            "double",
            "def double(x):\n    return 0",
        ),
    ),
    "deleted_checks": (
        3,
        lambda nb: without(
            fill(nb, double="x + x", half="x"), "check-double", "check-half", "setup"
        ),
    ),
    "deleted_answer": (2, lambda nb: without(fill(nb, half="x / 2"), "double")),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """An nbgrader course of one lab, released, handed in, graded, fed back."""
    root = tmp_path_factory.mktemp("clone")
    folder = root / "course"
    write(root / "solutions" / "00_toy.ipynb", graded_lab())
    release_course(root, folder, "00", None, True)
    nbgrader(folder, "generate_assignment", "00_toy")
    for student, (_, change) in SUBMITTED.items():
        nb = read(folder / "release" / "00_toy" / "00_toy.ipynb")
        write(folder / "submitted" / student / "00_toy" / "00_toy.ipynb", change(nb))
    nbgrader(folder, "autograde", "00_toy")
    nbgrader(folder, "generate_feedback", "00_toy")
    return folder


def nbgrader(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_nbgrader_releases_what_we_release(course):
    source = read(course / "source" / "00_toy" / "00_toy.ipynb")
    released = read(course / "release" / "00_toy" / "00_toy.ipynb")
    assert "claim-1" not in [cell.id for cell in source.cells]
    by_id = {cell.id: cell.source for cell in released.cells}
    assert by_id["double"].endswith(
        'raise NotImplementedError("exercise not done yet")'
    )
    assert by_id["why"] == "YOUR ANSWER HERE"
    assert "x + x" not in notebook_text(released)


def test_nbgrader_grades_damaged_notebooks_rightly(course, monkeypatch):
    expected = {student: points for student, (points, _) in SUBMITTED.items()}
    assert scores(course, "00_toy", SUBMITTED, monkeypatch) == expected


def test_every_student_gets_feedback(course):
    for student in SUBMITTED:
        page = course / "feedback" / student / "00_toy" / "00_toy.html"
        assert "double" in page.read_text(encoding="utf-8"), student


def scores(course, lab, students, monkeypatch):
    here = Path(sys.executable).parent  # nbgrader calls alembic by its name
    monkeypatch.setenv("PATH", str(here), prepend=os.pathsep)
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {who: book.find_submission(lab, who).score for who in students}


@pytest.mark.long
def test_the_reference_earns_all_points_of_a_real_lab(tmp_path, monkeypatch):
    lab = "00_first_steps"
    release_course(ROOT, tmp_path / "course", "00", None, True)
    nbgrader(tmp_path / "course", "generate_assignment", lab)
    fresh = read(tmp_path / "course" / "release" / lab / f"{lab}.ipynb")
    right, _ = splice(read(ROOT / "solutions" / f"{lab}.ipynb"), fresh)
    for student, nb in {"right": right, "blank": fresh}.items():
        file = tmp_path / "course" / "submitted" / student / lab / f"{lab}.ipynb"
        write(file, nb)
    nbgrader(tmp_path / "course", "autograde", lab)
    found = scores(tmp_path / "course", lab, ("right", "blank"), monkeypatch)
    assert found == {"right": 5, "blank": 0}
