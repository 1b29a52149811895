"""What a lab asks for, from its notebook and its solution: nothing of a student's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from labcore.runtime import LabError
from labcore.staff.authoring.folds import checks_module
from labcore.staff.authoring.markers import MARKER, regions
from labcore.student.notebooks import (
    digest,
    function_asked,
    grading,
    read_notebook,
    tags,
)

__all__ = ["Assignment", "Question", "Task", "read_assignment"]

HEADING = re.compile(r"^### (Exercise|Question) (\d+\.\d+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """One exercise: its answer cell, its check, and the reference."""

    id: str
    title: str
    grade_id: str
    name: str  # of the function or class asked for
    points: int
    reference: str
    stub: str


@dataclass(frozen=True)
class Question:
    """Free text: graded by hand."""

    id: str
    title: str
    grade_id: str
    points: int
    rubric: str
    model: str
    stub: str


@dataclass(frozen=True)
class Assignment:
    number: str
    stem: str
    checks: str  # the module
    lab: NotebookNode
    setup: tuple[str, ...]
    given: tuple[str, ...]
    tasks: tuple[Task, ...]
    questions: tuple[Question, ...]

    @property
    def version(self) -> str:
        """Changes with the lab and with its solution."""
        answers = [task.reference for task in self.tasks]
        return digest("\n".join([str(self.lab.metadata.get("released")), *answers]))

    def task(self, id: str) -> Task:
        for task in self.tasks:
            if id in (task.id, task.name):
                return task
        raise LabError(
            f"There is no exercise {id!r} in lab {self.number}: "
            f"choose from {', '.join(task.id for task in self.tasks)}."
        )


def read_assignment(number: str, root: Path) -> Assignment:
    """The lab of these two digits in the clone of the course at `root`."""
    paths = [_only(root / folder, number) for folder in ("labs", "solutions")]
    lab, solution = map(read_notebook, paths)
    answers = {
        grading(cell).get("grade_id"): cell.source
        for cell in solution.cells
        if grading(cell).get("solution")
    }
    tasks, questions = [], []
    heading, answer = ("", ""), None
    for cell in lab.cells:
        if cell.cell_type == "markdown" and (found := HEADING.search(cell.source)):
            heading = found.groups()[1:]
        meta = grading(cell)
        if meta.get("solution") and meta.get("grade"):
            questions.append(_question(heading, cell, answers[meta["grade_id"]]))
        elif meta.get("solution"):
            answer = cell
        elif meta.get("grade"):
            tasks.append(_task(heading, answer, cell, answers))
    checks = checks_module(lab, number)
    if not checks:
        raise LabError(f"{paths[0].name}: no setup cell imports lab{number}'s checks.")
    return Assignment(
        number=number,
        stem=paths[0].stem,
        checks=checks,
        lab=lab,
        setup=tuple(_tagged(lab, "setup")),
        given=tuple(_tagged(lab, "given")),
        tasks=tuple(tasks),
        questions=tuple(questions),
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


def _tagged(nb: NotebookNode, tag: str) -> list[str]:
    return [c.source for c in nb.cells if c.cell_type == "code" and tag in tags(c)]


def _task(heading, answer: NotebookNode, check: NotebookNode, answers) -> Task:
    grade_id = grading(answer)["grade_id"]
    return Task(
        id=heading[0],
        title=heading[1],
        grade_id=grade_id,
        name=function_asked(check, answer.source),
        points=grading(check)["points"],
        reference=answers[grade_id],
        stub=answer.source,
    )


def _question(heading, cell: NotebookNode, solution: str) -> Question:
    parts = {region.kind: region.lines for region in regions(solution)}
    rubric = "\n".join(parts.get("MARK SCHEME", ())).strip()
    lines, inside = [], False
    for line in parts.get("SOLUTION", ()):
        if MARKER.fullmatch(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    meta = grading(cell)
    return Question(
        id=f"Q{heading[0]}",
        title=heading[1],
        grade_id=meta["grade_id"],
        points=meta["points"],
        rubric=rubric,
        model="\n".join(lines).strip(),
        stub=cell.source,
    )
