"""Derive labs/ from solutions/: the same input always gives the same bytes."""

from __future__ import annotations

import copy
from pathlib import Path

from nbformat import NotebookNode

from ...files import write_bytes
from ...runtime import LabError
from ...student.notebooks import (
    NUMBERED,
    digest,
    normalise,
    notebook_text,
    parse_notebook,
    read_notebook,
    tags,
)
from .folds import add_folds
from .markers import MARKER, public_lines, regions
from .structure import problems

__all__ = ["CODE_STUB", "TEXT_STUB", "contains", "lab_text", "release", "secrets"]

CODE_STUB = '# YOUR CODE HERE\nraise NotImplementedError("exercise not done yet")'
TEXT_STUB = "YOUR ANSWER HERE"


def release(solutions: Path, labs: Path, check: bool = False) -> list[str]:
    """Write every lab that differs from its solution; with `check`, only report them.

    Returns one sentence per file; an empty list means that all labs were up to date.
    """
    sources = sorted(solutions.glob(NUMBERED))
    present = {path.name for path in labs.glob(NUMBERED)}
    if present and not sources:
        raise LabError(f"There is no notebook in {solutions}: nothing was released.")
    fresh = _derive_all(sources)
    said = []
    for name in sorted(present | set(fresh)):
        path = labs / name
        where = f"{labs.name}/{name}"
        if name not in fresh:
            said.append(f"{where} has no source in {solutions.name}/")
        elif name not in present:
            said.append(f"{where} was missing")
        elif path.read_bytes() != fresh[name].encode():
            difference = _first_difference(path, fresh[name])
            said.append(f"{where} differs from its source, first at {difference}")
        else:
            continue
        if check:
            said[-1] += ": run `make release`."
        elif name in fresh:
            write_bytes(path, fresh[name].encode())
            said[-1] += ": written."
        else:
            path.unlink()
            said[-1] += ": removed."
    return said


def _derive_all(sources: list[Path]) -> dict[str, str]:
    """The text of every lab, by file name; if one lab fails, none is returned."""
    fresh, refused = {}, []
    for path in sources:
        try:
            fresh[path.name] = lab_text(read_notebook(path), path.name)
        except LabError as error:
            refused.append(str(error))
    if refused:
        raise LabError("\n".join(refused))
    return fresh


def lab_text(source: NotebookNode, name: str) -> str:
    """The student's version of a source notebook, as the text of its file."""
    if found := problems(source, name):
        raise LabError("\n".join(found))
    lab = copy.deepcopy(source)
    normalise(lab)
    lab.cells = [cell for cell in lab.cells if "claim" not in tags(cell)]
    lab = _clear(lab, name)
    add_folds(lab, name[:2])
    if leaks := _leaks(source, lab):
        raise LabError("\n".join(f"{name}, {leak}" for leak in leaks))
    for cell in lab.cells:
        cell.metadata["released"] = digest(cell.source)
    lab.metadata["released"] = digest(notebook_text(lab))
    return notebook_text(lab)


def _clear(nb: NotebookNode, name: str) -> NotebookNode:
    """Do what `nbgrader generate_assignment` does to a notebook, as a library call."""
    try:
        from nbgrader import preprocessors as p
    except ImportError:
        raise LabError(
            "Releasing the labs needs nbgrader, which is not installed here: "
            "add it with `python -m labcore setup instructor`."
        ) from None
    chain = (
        p.LockCells(),
        p.ClearSolutions(code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB),
        p.ClearOutput(),
        p.CheckCellMetadata(),
        p.ComputeChecksums(),
        p.CheckCellMetadata(),
    )
    resources: dict = {}
    try:
        for step in chain:
            nb, resources = step.preprocess(nb, resources)
    except Exception as error:  # nbgrader passes on any error that it meets
        raise LabError(f"{name}: nbgrader refuses it: {error}") from None
    return nb


def _leaks(source: NotebookNode, lab: NotebookNode) -> list[str]:
    """Secret lines that the lab shows although the source does not show them openly.

    A secret line may also stand in an open cell. But a whole answer of two lines or
    more may stand in the open only in a cell tagged `given`.
    """
    found = []
    released = [cell for cell in source.cells if "claim" not in tags(cell)]
    public = {line.strip() for c in released for line in public_lines(c.source)}
    answers = secrets(source)
    hidden = {line for lines in answers.values() for line in lines} - public
    for cell in lab.cells:
        shown = [line.strip() for line in cell.source.split("\n")]
        for line in shown:
            if line in hidden or MARKER.fullmatch(line):
                found.append(f"cell {cell.id!r} would show the secret line {line!r}.")
        if "given" in tags(cell):
            continue
        for owner, lines in answers.items():
            if len(lines) > 1 and contains(shown, lines):
                found.append(
                    f"cell {cell.id!r} would show the whole answer of {owner!r}: "
                    "shorten it or tag the cell `given`."
                )
    return found


def secrets(source: NotebookNode) -> dict[str, list[str]]:
    """The lines that students may not see, by the id of the cell that holds them."""
    hidden = {}
    for cell in source.cells:
        if "claim" in tags(cell):
            lines = cell.source.split("\n")
        else:
            found = regions(cell.source)
            lines = [ln for r in found if r.kind == "SOLUTION" for ln in r.lines]
        if lines := [line.strip() for line in lines if line.strip()]:
            hidden[cell.id] = lines
    return hidden


def contains(lines: list[str], part: list[str]) -> bool:
    lines = [line for line in lines if line]
    starts = range(len(lines) - len(part) + 1)
    return any(lines[start : start + len(part)] == part for start in starts)


def _first_difference(path: Path, fresh: str) -> str:
    """Where the file first differs from the new text, in words for a reader."""
    try:
        old = read_notebook(path)
    except LabError:
        return "its first byte (it is damaged)"
    new = parse_notebook(fresh, path.name)
    for index in range(max(len(old.cells), len(new.cells))):
        pair = [nb.cells[index] if index < len(nb.cells) else None for nb in (old, new)]
        if pair[0] != pair[1]:
            return f"cell {(pair[1] or pair[0]).get('id')!r}"
    return "the notebook's metadata"
