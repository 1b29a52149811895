"""Notebooks for the tests: the repository's, and tiny ones built in code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labcore.student.notebooks import NUMBERED, grading, read_notebook

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = sorted((ROOT / "solutions").glob(NUMBERED))
LABS = sorted((ROOT / "labs").glob(NUMBERED))

EXERCISE = re.compile(r"^### Exercise (\d+\.\d+): \S.*$", re.MULTILINE)

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "version": "3.11.7"},
}


def read(path: Path) -> NotebookNode:
    return read_notebook(path)


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def is_answer(cell: NotebookNode) -> bool:
    return grading(cell).get("solution", False)


def is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and grading(cell).get("grade", False)


def made(cell: NotebookNode) -> set[str]:
    """The names that a cell would have defined."""
    nodes = list(ast.walk(ast.parse(cell.source)))
    defined = (n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef))
    return {*defined, *_names(nodes, ast.Store)}


def needed(cell: NotebookNode) -> set[str]:
    """The names that a cell reads and does not itself define."""
    return _names(ast.walk(ast.parse(cell.source)), ast.Load) - made(cell)


def _names(nodes: Iterable[ast.AST], use: type[ast.expr_context]) -> set[str]:
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, use)}


def exercises(nb: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The cells of each exercise by its id: from its heading to the next heading."""
    found: dict[str, list[NotebookNode]] = {}
    current = None
    for cell in nb.cells:
        if cell.cell_type == "markdown" and re.search(
            r"^#{1,3} ", cell.source, re.MULTILINE
        ):
            match = EXERCISE.search(cell.source)
            current = found.setdefault(match[1], []) if match else None
        if current is not None:
            current.append(cell)
    return found


def notebook(*cells: NotebookNode, metadata: dict = KERNEL) -> NotebookNode:
    nb = new_notebook(metadata=nbformat.from_dict(metadata))
    nb.cells = list(cells)  # not in the call, which would mend repeated ids
    return nb


def prose(cell_id: str, source: str, **metadata) -> NotebookNode:
    return new_markdown_cell(source, id=cell_id, metadata=nbformat.from_dict(metadata))


def code(cell_id: str, source: str, **metadata) -> NotebookNode:
    return new_code_cell(source, id=cell_id, metadata=nbformat.from_dict(metadata))


def answer(cell_id: str, source: str) -> NotebookNode:
    flags = {"grade_id": cell_id, "solution": True, "grade": False, "locked": False}
    return code(cell_id, source, nbgrader=flags)


def check(cell_id: str, source: str, points: int = 1) -> NotebookNode:
    flags = {"grade_id": cell_id, "solution": False, "grade": True, "locked": True}
    return code(cell_id, source, nbgrader=flags | {"points": points})


def free_text(cell_id: str, source: str, points: int = 2) -> NotebookNode:
    flags = {"grade_id": cell_id, "solution": True, "grade": True, "locked": False}
    return prose(cell_id, source, nbgrader=flags | {"points": points})


DOUBLE = '''\
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    result = x + x
    return result
    ### END SOLUTION'''

WHY = """\
*Claim, evidence, because:*

### BEGIN SOLUTION
It doubles, because x + x is 2 x.
### BEGIN MARK SCHEME
One point for the claim, one for the reason.
### END MARK SCHEME
### END SOLUTION"""


def tiny(*more: NotebookNode) -> NotebookNode:
    """A source with one of each kind of cell, and more at the end."""
    return notebook(
        prose("title", "# Lab 90: doubling"),
        code("setup", "import math"),
        prose("ex-1", "### Exercise 90.1: double"),
        answer("double", DOUBLE),
        check("check-double", "assert double(4) == 8", points=3),
        free_text("why", WHY),
        code("claim-1", "assert math.isclose(double(0.1), 0.2)", tags=["claim"]),
        *more,
    )


def write(path: Path, nb: NotebookNode) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.v4.writes(nb) + "\n", encoding="utf-8", newline="\n")
    return path
