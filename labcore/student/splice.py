"""Put a student's answers into a reference notebook.

Nothing in the student's notebook is trusted or run: we take only the text of the answer
cells. The checks, the order, the kernel and the points come from the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from .cells import statements
from .gather import choose
from .notebooks import same_name

__all__ = ["Answer", "Report", "Unfit", "splice"]

Found = Literal["grade_id", "cell id", "position"]


@dataclass(frozen=True)
class Answer:
    """One answer cell: its index in both notebooks, and how the two were matched."""

    grade_id: str
    found_by: Found
    student: int
    reference: int


@dataclass(frozen=True)
class Unfit:
    """An answer cell of the student's for which the reference has no place."""

    grade_id: str
    student: int
    reason: str


@dataclass
class Report:
    moved: list[Answer] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    duplicates: dict[str, list[int]] = field(default_factory=dict)  # the other copies
    unfit: list[Unfit] = field(default_factory=list)


@dataclass(frozen=True)
class _Cell:
    kind: str
    id: str
    grade_id: str
    answer: bool
    source: str


def splice(
    student: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[NotebookNode, Report]:
    """A copy of the reference with the student's answers in its answer cells.

    An answer cell is matched by its grade_id, or else by its cell id. If there are
    several copies (splitting a cell makes some), the last one that defines the asked
    name counts. Positions decide only if no cell has a known name, because an editor
    dropped them all. Where an answer is missing, the reference's cell stays.
    """
    spliced = nbformat.v4.to_notebook(nbformat.from_dict(reference))
    theirs = [_cell(raw) for raw in student.get("cells", [])]
    ours = [_cell(raw) for raw in spliced.cells]
    report = Report()
    for index, cell in enumerate(ours):
        if cell.answer:
            found_by, copies = _copies(cell, theirs, ours)
            copies = _with_the_answer_last(copies, cell, theirs)
            _record(report, cell.grade_id, found_by, copies, index)
    if not _share_names(theirs, ours):
        _match_positions(report, theirs, ours)
    _find_unfit(report, theirs, ours)
    for answer in report.moved:
        cell = spliced.cells[answer.reference]
        cell.source = theirs[answer.student].source
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return spliced, report


def _cell(raw: Any) -> _Cell:
    """What matters in a cell; anything malformed counts as empty."""
    raw = raw if isinstance(raw, Mapping) else {}
    metadata = raw.get("metadata")
    graded = metadata.get("nbgrader") if isinstance(metadata, Mapping) else None
    graded = graded if isinstance(graded, Mapping) else {}
    source = raw.get("source")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return _Cell(
        kind=_text(raw.get("cell_type")),
        id=_text(raw.get("id")),
        grade_id=_text(graded.get("grade_id")),
        answer=graded.get("solution") is True,
        source=_text(source),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _copies(
    wanted: _Cell, theirs: list[_Cell], ours: list[_Cell]
) -> tuple[Found, list[int]]:
    """The indices of all the student's cells that could be this answer, in order."""
    same_kind = [(i, cell) for i, cell in enumerate(theirs) if cell.kind == wanted.kind]
    by_name = [i for i, cell in same_kind if cell.grade_id == wanted.grade_id]
    if by_name:
        return "grade_id", by_name
    names = {cell.grade_id for cell in ours if cell.grade_id}
    return "cell id", [
        i
        for i, cell in same_kind
        if wanted.id and cell.id == wanted.id and cell.grade_id not in names
    ]


def _with_the_answer_last(
    copies: list[int], wanted: _Cell, theirs: list[_Cell]
) -> list[int]:
    if len(copies) < 2:
        return copies
    sources = [theirs[i].source for i in copies]
    counts = copies[choose(sources, _asked(wanted), wanted.source)]
    return [*(i for i in copies if i != counts), counts]


def _asked(wanted: _Cell) -> str:
    """The name of the function or class that an answer cell asks for."""
    body = statements(wanted.source) if wanted.kind == "code" else ()
    names = [getattr(node, "name", "") for node in body]
    fitting = [name for name in names if same_name(wanted.grade_id, name)]
    return (fitting or list(filter(None, names)) or [""])[-1]


def _share_names(theirs: list[_Cell], ours: list[_Cell]) -> bool:
    names = [{n for c in cells for n in (c.id, c.grade_id)} for cells in (theirs, ours)]
    return bool((names[0] & names[1]) - {""})


def _record(
    report: Report, grade_id: str, found_by: Found, copies: list[int], reference: int
) -> None:
    if not copies:
        report.missing.append(grade_id)
        return
    *overruled, last = copies
    report.moved.append(Answer(grade_id, found_by, last, reference))
    if overruled:
        report.duplicates[grade_id] = overruled


def _match_positions(report: Report, theirs: list[_Cell], ours: list[_Cell]) -> None:
    """Align the notebooks by their unchanged cells; answers lie between these."""
    report.missing.clear()
    texts = [[(c.kind, c.source.strip()) for c in cells] for cells in (ours, theirs)]
    places: dict[int, int] = {}
    for _, i, i_end, j, j_end in SequenceMatcher(None, *texts, False).get_opcodes():
        for kind in ("code", "markdown"):
            wanted = [
                k for k in range(i, i_end) if ours[k].answer and ours[k].kind == kind
            ]
            offered = [
                k
                for k in range(j, j_end)
                if theirs[k].kind == kind and theirs[k].source
            ]
            # from the end of a gap, because an answer stands right above its check
            places.update(zip(reversed(wanted), reversed(offered), strict=False))
    for index, cell in enumerate(ours):
        if cell.answer:
            copies = [places[index]] if index in places else []
            _record(report, cell.grade_id, "position", copies, index)


def _find_unfit(report: Report, theirs: list[_Cell], ours: list[_Cell]) -> None:
    used = {answer.student for answer in report.moved}
    used.update(i for overruled in report.duplicates.values() for i in overruled)
    kinds = {cell.grade_id: cell.kind for cell in ours if cell.answer}
    for index, cell in enumerate(theirs):
        if not cell.answer or index in used:
            continue
        if cell.grade_id in kinds:
            reason = f"it is a {cell.kind} cell, but must be {kinds[cell.grade_id]}"
        else:
            reason = "there is no such exercise"
        report.unfit.append(Unfit(cell.grade_id, index, reason))
