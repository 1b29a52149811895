"""Move what the student wrote in an older release of a lab into a newer one."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..files import write_bytes
from ..runtime import LabError
from .notebooks import digest, grading, notebook_text, read_notebook
from .splice import Report, splice

__all__ = ["merge", "update_work"]

KEPT = (
    "## Kept from your earlier work\n\n"
    "The answers below found no place in this release of the lab. Nothing here is "
    "graded: copy what you need, then delete the rest."
)


def update_work(work: Path, labs: Path) -> None:
    """Bring every notebook in work/ to the release in labs/, and print what changed."""
    for folder in (work, labs):
        if not folder.is_dir():
            raise LabError(
                f"There is no folder {folder}: run `python -m labcore lab` first, "
                "in the folder of the course."
            )
    lines = []
    for path in sorted(work.glob("*.ipynb")):
        if not (labs / path.name).exists():
            lines.append(f"{path.name}: not one of the labs, left alone.")
            continue
        try:
            lines += _update(path, labs / path.name)
        except LabError as error:
            lines.append(f"{path.name}: left alone. {error}")
    print("\n".join(lines or ["Nothing to update: work/ holds no notebook yet."]))


def _update(path: Path, lab_path: Path) -> list[str]:
    mine, lab = read_notebook(path), read_notebook(lab_path)
    if mine.metadata.get("released") == lab.metadata.get("released"):
        return [f"{path.name}: already the newest release."]
    merged, report, own = merge(mine, lab)
    backup = _backup(path)
    write_bytes(path, notebook_text(merged).encode())
    return [
        f"{path.name}: updated; your earlier version is {backup}.",
        *(f"  {line}" for line in _describe(report, own)),
    ]


def _backup(path: Path) -> str:
    """Copy the notebook to an unused, dated name; returns the name for the user."""
    folder = path.parent / "backup"
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    name, count = f"{path.stem}.{stamp}.ipynb", 1
    while (folder / name).exists():
        count += 1
        name = f"{path.stem}.{stamp}-{count}.ipynb"
    write_bytes(folder / name, path.read_bytes())
    return f"{path.parent.name}/backup/{name}"


def _describe(report: Report, own: int) -> list[str]:
    def names(values) -> str:
        return ", ".join(values) or "none"

    lines = [f"answers moved: {names(a.grade_id for a in report.moved)}"]
    if report.missing:
        lines.append(f"still to be written: {names(report.missing)}")
    if report.duplicates:
        copied = names(report.duplicates)
        lines.append(f"copied, and the last that defines its name counts: {copied}")
    for unfit in report.unfit:
        lines.append(f"did not fit, kept at the end: {unfit.grade_id} ({unfit.reason})")
    if own:
        lines.append(f"cells that you added or changed and that were kept: {own}")
    return [
        *lines,
        "Reload it in JupyterLab (File, Reload from Disk) and run it again.",
    ]


def merge(mine: NotebookNode, lab: NotebookNode) -> tuple[NotebookNode, Report, int]:
    """The new lab with the student's answers and other own cells, and their number.

    A cell that the student never edited belongs to the old lab, so the new lab's
    version replaces it.
    """
    written = [c for c in mine.cells if not (grading(c) and _untouched(c))]
    merged, report = splice({"cells": written}, lab)
    new_cells = {cell.id: cell for cell in merged.cells}
    taken = set(new_cells)
    homes = {id(written[a.student]): a.reference for a in report.moved}
    unfit = {id(written[u.student]) for u in report.unfit}
    texts = {cell.source: cell for cell in merged.cells}
    following: dict[str | None, list[NotebookNode]] = {}
    anchor, last, own = None, [], 0
    for cell in mine.cells:
        if id(cell) in homes:
            anchor = merged.cells[homes[id(cell)]].id
            continue
        place = new_cells.get(cell.get("id")) or texts.get(cell.source)
        anchor = place.id if place else anchor
        if _untouched(cell) or not cell.source.strip():
            continue
        if id(cell) in unfit:
            last.append(_own(cell, taken))
        elif cell.source in texts:
            continue
        elif place and _unchanged_by_release(cell, place):
            place.source = cell.source
            own += 1
        else:
            following.setdefault(anchor, []).append(_own(cell, taken))
            own += 1
    cells = following.get(None, [])
    for cell in merged.cells:
        cells += [cell, *following.get(cell.id, [])]
    if last:
        cells += [_own(nbformat.v4.new_markdown_cell(KEPT), taken), *last]
    merged.cells = cells
    return merged, report, own


def _untouched(cell: NotebookNode) -> bool:
    return cell.metadata.get("released") == digest(cell.source)


def _unchanged_by_release(cell: NotebookNode, place: NotebookNode) -> bool:
    """Whether the student edited a demonstration that the release did not change."""
    same = cell.metadata.get("released") == place.metadata.get("released")
    return same and _untouched(place) and not grading(place)


def _own(cell: NotebookNode, taken: set[str]) -> NotebookNode:
    """The student's cell as an ordinary cell with an unused id."""
    cell_id = str(cell.get("id", ""))
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id) or cell_id in taken:
        cell_id = uuid.uuid4().hex[:8]
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }.get(cell.cell_type, nbformat.v4.new_raw_cell)
    taken.add(cell_id)
    return make(cell.source, id=cell_id)
