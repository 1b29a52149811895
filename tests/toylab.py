"""A small lab of three exercises and a question, and notebooks handed in for it."""

from __future__ import annotations

import copy
from pathlib import Path

from notebooks import answer, check, code, free_text, notebook, prose, write

from labcore.staff.authoring.release import lab_text
from labcore.student.notebooks import grading, parse_notebook

STEM = "90_toy"
RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "flip": "def flip(tensor):\n    tensor *= -1\n    return tensor.sum().item()",
    "quadruple": "def quadruple(x):\n    return double(double(x))",
    "why": "Claim: *double* because x + x is 2 x.",
}
ALL = {"90.1": 3, "90.2": 2, "90.3": 1}
WHY = """\
### BEGIN SOLUTION
It doubles.
### BEGIN MARK SCHEME
One point each.
### END MARK SCHEME
### END SOLUTION"""


def _region(head: str, body: str) -> str:
    return f"{head}\n    ### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION"


def solution():
    return notebook(
        prose("title", "# Lab 90: a toy"),
        code("imports", "import toy_checks as lab90", tags=["setup"]),
        prose("ex-1", "### Exercise 90.1: twice"),
        answer("double", _region("def double(x):", "return x + x")),
        check("check-double", "lab90.check_double(double)", points=3),
        prose("ex-2", "### Exercise 90.2: flip"),
        answer(
            "flip",
            _region("def flip(tensor):", "tensor.neg_()\n    return tensor.sum()"),
        ),
        check("check-flip", "lab90.check_flip(flip)", points=2),
        prose("ex-3", "### Exercise 90.3: four times"),
        answer("quadruple", _region("def quadruple(x):", "return double(double(x))")),
        check("check-quadruple", "lab90.check_quadruple(quadruple)", points=1),
        prose("question", "### Question 90.1: why?"),
        free_text("why", WHY, points=2),
    )


def course(root: Path) -> Path:
    """The clone of a course that has only this lab."""
    source = solution()
    write(root / f"solutions/{STEM}.ipynb", source)
    labs = root / "labs"
    labs.mkdir(parents=True)
    text = lab_text(source, STEM)
    (labs / f"{STEM}.ipynb").write_text(text, encoding="utf-8", newline="\n")
    return root


def handed_in(lab=None, **answers: str):
    """The lab with these answers; those not named are right, `None` leaves a stub."""
    lab = lab or parse_notebook(lab_text(solution(), STEM), STEM)
    lab = copy.deepcopy(lab)
    for cell in lab.cells:
        name = grading(cell).get("grade_id")
        source = answers.get(name, RIGHT.get(name))
        if source is not None and grading(cell).get("solution"):
            cell.source = source
    return lab


def stub(name: str) -> str:
    return cell_of(handed_in(**{name: None}), name).source


def cell_of(nb, name: str):
    return next(cell for cell in nb.cells if grading(cell).get("grade_id") == name)
