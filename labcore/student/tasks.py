"""A lab's exercises, read from its notebook, and what a student made of them.

`submit` displays and `grade` stores the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nbformat import NotebookNode

from labcore.runtime import LabError
from labcore.student.cells import LONGEST_CELL, is_lent
from labcore.student.gather import completed, elsewhere
from labcore.student.notebooks import (
    checks_module,
    function_asked,
    grading,
    tags,
)
from labcore.student.running import WALL, Outcome
from labcore.student.splice import Report, splice

__all__ = [
    "HEADING",
    "Lab",
    "Question",
    "Row",
    "Task",
    "Work",
    "job_of",
    "read_lab",
    "rows_of",
    "take_answers",
    "text_rows",
    "to_run",
]

HEADING = re.compile(r"^### (Exercise|Question) (\d+\.\d+): (.+)$", re.MULTILINE)
LENT = "the reference was used instead"
MOST_OTHERS = 400_000  # characters


@dataclass(frozen=True)
class Task:
    """One exercise: its answer cell and what the answer must define."""

    id: str
    title: str
    grade_id: str
    name: str  # of the function or class that the answer defines
    points: int
    stub: str


@dataclass(frozen=True)
class Question:
    """A free text, graded by hand."""

    id: str
    title: str
    grade_id: str
    points: int
    stub: str
    rubric: str = ""
    model: str = ""
    text: str = ""  # what is asked


@dataclass(frozen=True)
class Lab:
    """A released notebook; `own` are functions of earlier labs still to be written."""

    number: str
    checks: str  # the name of the module with the checks
    notebook: NotebookNode
    setup: tuple[str, ...]
    given: tuple[str, ...]
    own: tuple[tuple[str, str], ...]
    tasks: tuple[Task, ...]
    questions: tuple[Question, ...]

    def task(self, id: str) -> Task:
        for task in self.tasks:
            if id in (task.id, task.name):
                return task
        raise LabError(
            f"There is no exercise {id!r} in lab {self.number}: "
            f"choose from {', '.join(task.id for task in self.tasks)}."
        )


@dataclass
class Work:
    """What we read from a student's notebook, and what we noticed while reading."""

    answers: dict[str, str] = field(default_factory=dict)  # by grade_id
    cells: list[tuple[str, str]] = field(default_factory=list)  # grade_id, source
    notes: list[str] = field(default_factory=list)
    status: str = ""  # "damaged" or "missing" if there is nothing to run
    problem: str = ""

    def own_cells(self) -> list[str]:
        """The student's cells that are not answers."""
        return [source for grade_id, source in self.cells if not grade_id]

    def others(self, task: Task) -> tuple[list[str], int]:
        """All cells but this answer, and how many of them stand above it."""
        names = [grade_id for grade_id, _ in self.cells]
        above = names.index(task.grade_id) if task.grade_id in names else len(names)
        others = [text for grade_id, text in self.cells if grade_id != task.grade_id]
        return others, above


@dataclass(frozen=True)
class Row:
    """One exercise or free text; a text has no points until it is read."""

    exercise: str
    title: str
    points: int | None
    of: int
    status: str
    message: str = ""
    name: str = ""  # of the function or class
    seed: int | None = None
    remarks: tuple[str, ...] = ()


def read_lab(notebook: NotebookNode, number: str) -> Lab:
    tasks, questions = [], []
    heading, answer = ("", ""), None
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := HEADING.search(cell.source)):
            heading = found.groups()[1:]
        meta = grading(cell)
        if meta.get("solution") and meta.get("grade"):
            questions.append(_question(heading, cell))
        elif meta.get("solution"):
            answer = cell
        elif meta.get("grade"):
            tasks.append(_task(heading, answer, cell))
    checks = checks_module(notebook, number)
    if not checks:
        raise LabError(
            f"No setup cell of lab {number} imports its checks, lab{number}."
        )
    return Lab(
        number=number,
        checks=checks,
        notebook=notebook,
        setup=tuple(_tagged(notebook, "setup")),
        given=tuple(_tagged(notebook, "given")),
        own=tuple(_own(notebook)),
        tasks=tuple(tasks),
        questions=tuple(questions),
    )


def _tagged(nb: NotebookNode, tag: str) -> Iterator[str]:
    for cell in nb.cells:
        if cell.cell_type == "code" and tag in tags(cell):
            yield cell.source


def _own(nb: NotebookNode) -> Iterator[tuple[str, str]]:
    for cell in nb.cells:
        for name, lab in cell.metadata.get("own", {}).items():
            yield f"labcore.checks.lab{lab}", name


def _task(heading, answer: NotebookNode, check: NotebookNode) -> Task:
    return Task(
        id=heading[0],
        title=heading[1],
        grade_id=grading(answer)["grade_id"],
        name=function_asked(check, answer.source),
        points=grading(check)["points"],
        stub=answer.source,
    )


def _question(heading, cell: NotebookNode) -> Question:
    meta = grading(cell)
    return Question(
        id=f"Q{heading[0]}",
        title=heading[1],
        grade_id=meta["grade_id"],
        points=meta["points"],
        stub=cell.source,
    )


# a student's notebook


def take_answers(work: Work, notebook: NotebookNode, lab: Lab) -> Report:
    """Store in `work` what the notebook holds for this lab."""
    names = {grading(cell).get("grade_id") for cell in notebook.cells} - {None}
    ours = {grading(cell).get("grade_id") for cell in lab.notebook.cells} - {None}
    if names and not names & ours:
        work.status, work.problem = "missing", f"this is not lab {lab.number}"
        return Report()
    _, report = splice(notebook, lab.notebook)
    used = {answer.student: answer.grade_id for answer in report.moved}
    for place, grade_id in used.items():
        work.answers[grade_id] = notebook.cells[place].source
    copies = {place for places in report.duplicates.values() for place in places}
    _take_cells(work, notebook, used, copies)
    for task in lab.tasks:
        answer = work.answers.get(task.grade_id)
        if found := elsewhere(answer, task.stub, task.name, work.own_cells()):
            work.answers[task.grade_id] = found
            work.notes.append(
                f"{task.id}: its cell defines no {task.name}; what another cell "
                "defines by that name counts"
            )
    return report


def _take_cells(
    work: Work, notebook: NotebookNode, used: Mapping[int, str], copies: Collection[int]
) -> None:
    room, left = MOST_OTHERS, 0
    for index, cell in enumerate(notebook.cells):
        grade_id = used.get(index, "")
        known = bool(grading(cell)) and not grade_id and index not in copies
        if cell.cell_type != "code" or known:
            continue
        if grade_id or len(cell.source) <= min(room, LONGEST_CELL):
            room -= 0 if grade_id else len(cell.source)
            work.cells.append((grade_id, cell.source))
        else:
            left += 1
    if left:
        work.notes.append(f"cells beside the answers too long to be read: {left}")


def to_run(work: Work, tasks: Sequence[Task]) -> list[Task]:
    """The exercises with an answer that exists, was edited and is not too large."""
    return [task for task in tasks if not _unrun(work, task)]


def _unrun(work: Work, task: Task) -> tuple[str, str] | None:
    """Status and sentence for an answer that need not be run; None if it must be."""
    source = work.answers.get(task.grade_id)
    if work.status:
        return work.status, work.problem
    if source is None:
        return "missing", "its cell is not in the notebook"
    if len(source) > LONGEST_CELL:
        return "damaged", f"its cell is longer than {LONGEST_CELL:,} characters"
    if is_lent(source, task.name):
        return "lent", LENT
    if source.strip() in ("", task.stub.strip()):
        lent = re.compile(rf"\blend\(\s*[\"']{task.name}[\"']")
        if any(lent.search(text) for text in [*work.own_cells(), source]):
            return "lent", LENT
        return "todo", "nothing was written yet"
    return None


def job_of(
    work: Work,
    lab: Lab,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    seconds: float,
    **more,
) -> dict:
    """The job, as JSON, for the process that runs the answers; it names no files."""
    return {
        "checks": lab.checks,
        "setup": lab.setup,
        "given": lab.given,
        "lend": [*lab.own, *((lab.checks, task.name) for task in lab.tasks)],
        "seeds": list(seeds),
        "seconds": seconds,
        "wall": WALL * seconds,
        "exercises": [_asked(work, task) for task in to_run(work, tasks)],
        **more,
    }


def _asked(work: Work, task: Task) -> dict:
    others, above = work.others(task)
    answer = completed(work.answers[task.grade_id], task.name, work.own_cells())
    return {
        "id": task.id,
        "name": task.name,
        "points": task.points,
        "answer": answer,
        "others": others,
        "above": above,
    }


def rows_of(
    work: Work, tasks: Sequence[Task], outcomes: Iterable[Outcome]
) -> Iterator[Row]:
    """One row per exercise, in the lab's order."""
    outcomes = iter(outcomes)
    for task in tasks:
        if unrun := _unrun(work, task):
            status, said = unrun
            message = f"[{task.id} {task.name}] {said}"
            yield Row(task.id, task.title, 0, task.points, status, message, task.name)
        else:
            found = next(outcomes)
            yield Row(
                task.id,
                task.title,
                found.points,
                task.points,
                found.status,
                found.message,
                task.name,
                found.seed,
                tuple(found.remarks),
            )


def text_rows(work: Work, questions: Sequence[Question]) -> Iterator[Row]:
    """Rows for the free texts; those with an answer wait to be graded by hand."""
    for question in questions:
        source = work.answers.get(question.grade_id)
        written = bool(source) and source.strip() not in ("", question.stub.strip())
        if work.status:
            status = work.status
        elif source is None:
            status = "missing"
        else:
            status = "review" if written else "todo"
        points = None if status == "review" else 0
        yield Row(question.id, question.title, points, question.points, status)
