"""The conditions that a source notebook must meet before a lab is derived from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nbformat import NotebookNode
from nbformat.validator import iter_validate

from ...student.notebooks import grading, tags
from .markers import MarkerError, misspelt, regions

__all__ = ["problems"]


def problems(nb: NotebookNode, name: str) -> list[str]:
    """One sentence per problem: the notebook, the cell, what is wrong, what to do."""
    found = [f"{name}: {text}." for text in _of_notebook(nb)]
    for cell in nb.cells:
        where = f"{name}, cell {cell.get('id')!r}"
        found += [f"{where}: {text}." for text in _of_cell(cell)]
    if found:
        return found
    return [  # comes last, because its sentences are the hardest to understand
        f"{name}: the notebook format is violated ({error.message}); save it again."
        for error in iter_validate(nb, version=4, version_minor=5)
    ]


def _of_notebook(nb: NotebookNode) -> Iterator[str]:
    if (nb.nbformat, nb.nbformat_minor) < (4, 5) or not all(
        "id" in c for c in nb.cells
    ):
        yield "cells have no ids; save it in notebook format 4.5 and give each a name"
    kernel = nb.metadata.get("kernelspec", {})
    if (kernel.get("name"), kernel.get("language")) != ("python3", "python"):
        yield "the kernelspec is missing or not python3; choose the Python 3 kernel"
    for what, seen in (
        ("cell id", Counter(cell.get("id") for cell in nb.cells)),
        ("grade_id", Counter(grading(cell).get("grade_id") for cell in nb.cells)),
    ):
        for value, count in seen.items():
            if value and count > 1:
                yield f"the {what} {value!r} occurs {count} times; rename all but one"


def _of_cell(cell: NotebookNode) -> Iterator[str]:
    for line in cell.source.split("\n"):
        if "HIDDEN TEST" in line.upper() and line.lstrip().startswith("#"):
            yield f"{line.strip()!r}: there are no hidden tests here; remove them"
        elif misspelt(line):
            yield (
                f"{line.strip()!r} looks like a misspelled marker; "
                "write `### BEGIN SOLUTION` (or END, or MARK SCHEME) or other words"
            )
    if cell.get("attachments"):
        yield "it has an attachment; draw with code or link an SVG file instead"
    try:
        kinds = Counter(region.kind for region in regions(cell.source))
    except MarkerError as error:
        yield str(error)
        return
    yield from _of_grading(cell, kinds)


def _of_grading(cell: NotebookNode, kinds: Counter[str]) -> Iterator[str]:
    meta = grading(cell)
    answer, graded = meta.get("solution", False), meta.get("grade", False)
    if meta and not meta.get("grade_id"):
        yield "its nbgrader metadata has no grade_id; name it"
    if meta and "claim" in tags(cell):
        yield "a claim cell is never released; remove its nbgrader metadata"
    points = meta.get("points")
    if graded and (type(points) not in (int, float) or points < 0):
        yield "it is graded but has no points; add `points` to its nbgrader metadata"
    if not answer:
        if kinds:
            yield "it has a solution region but is no answer cell; set `solution: true`"
        return
    if kinds["SOLUTION"] != 1:
        yield (
            "an answer cell needs exactly one solution region, "
            f"not {kinds['SOLUTION']}; put the answer between "
            "`### BEGIN SOLUTION` and `### END SOLUTION`"
        )
    if cell.cell_type == "code":
        if graded:
            yield "a code answer is graded by its check cell; set `grade: false`"
        if kinds["MARK SCHEME"]:
            yield "a mark scheme belongs to free text only; remove it"
    elif not graded:
        yield "free text is graded by hand; set `grade: true` and `points`"
    elif kinds["SOLUTION"] and kinds["MARK SCHEME"] != 1:
        yield (
            "free text needs one rubric; put `### BEGIN MARK SCHEME` … "
            "`### END MARK SCHEME` at the end of its solution region"
        )
