"""What a lab asks for, read from its notebook and solution, not from submissions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from labcore.runtime import LabError
from labcore.staff.authoring.markers import MARKER, regions
from labcore.student.notebooks import digest, grading, read_notebook
from labcore.student.tasks import HEADING, Lab, Question, Task, read_lab

__all__ = ["Assignment", "read_assignment"]


@dataclass(frozen=True)
class Assignment:
    """A lab as released, with the rubrics and model answers from its solution."""

    lab: Lab
    stem: str
    questions: tuple[Question, ...]
    version: str  # changes with the lab and with its solution

    @property
    def number(self) -> str:
        return self.lab.number

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.lab.tasks


def read_assignment(number: str, root: Path) -> Assignment:
    """The lab with this two-digit number in the clone of the course at `root`."""
    paths = [_only(root / folder, number) for folder in ("labs", "solutions")]
    notebook, solution = map(read_notebook, paths)
    answers, asked = dict(_answers(solution)), dict(_asked(solution))
    lab = read_lab(notebook, number)
    references = [answers[task.grade_id] for task in lab.tasks]
    released = str(notebook.metadata.get("released"))
    return Assignment(
        lab=lab,
        stem=paths[0].stem,
        questions=tuple(
            replace(_with_model(q, answers[q.grade_id]), text=asked[q.grade_id])
            for q in lab.questions
        ),
        version=digest("\n".join([released, *references])),
    )


def _only(folder: Path, number: str) -> Path:
    found = sorted(folder.glob(f"{number}_*.ipynb"))
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(p.name[:2] for p in folder.glob("[0-9][0-9]_*.ipynb")))
    raise LabError(
        f"There is no {folder.name}/{number}_*.ipynb: name a lab by its two digits, "
        f"from {there or 'none at all'}."
    )


def _answers(solution: NotebookNode) -> Iterator[tuple[str, str]]:
    for cell in solution.cells:
        if grading(cell).get("solution"):
            yield grading(cell)["grade_id"], cell.source


def _asked(solution: NotebookNode) -> Iterator[tuple[str, str]]:
    """What stands between the heading of each free text and its answer."""
    text = ""
    for cell in solution.cells:
        if grading(cell).get("solution"):
            yield grading(cell)["grade_id"], text.strip()
        elif cell.cell_type == "markdown":
            *above, below = HEADING.split(cell.source)
            text = below if above else f"{text}\n\n{below}"


def _with_model(question: Question, solution: str) -> Question:
    parts = {region.kind: region.lines for region in regions(solution)}
    rubric = "\n".join(parts.get("MARK SCHEME", ())).strip()
    lines, inside = [], False
    for line in parts.get("SOLUTION", ()):
        if MARKER.fullmatch(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return replace(question, rubric=rubric, model="\n".join(lines).strip())
