"""A student's notebook as a job for the examiner, and the verdicts as rows."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbformat import NotebookNode

from labcore.staff.grading.assignment import Assignment, Task
from labcore.staff.grading.intake import notebook_in, sound
from labcore.staff.grading.reading import Submission
from labcore.student.cells import LONGEST_CELL, is_lent
from labcore.student.gather import completed, elsewhere
from labcore.student.notebooks import grading
from labcore.student.splice import Report, splice

__all__ = [
    "Terms",
    "Work",
    "job_of",
    "read_work",
    "rows_of",
    "secret_seeds",
    "texts_of",
]

SEEDS = 2
MOST_OTHERS = 400_000  # characters
LENT = "the reference stood in for it"


@dataclass(frozen=True)
class Terms:
    """How answers are run."""

    seeds: tuple[int, ...]  # none: secret ones
    timeout: float = 60.0
    memory: float = 4.0  # GB
    sandbox: bool = True
    closed: tuple[str, ...] = ()  # files and folders that no answer may see


def secret_seeds() -> tuple[int, ...]:
    """For checks whose inputs nobody can foresee."""
    return tuple(secrets.randbelow(10**9) for _ in range(SEEDS))


@dataclass
class Work:
    """What was read of a submission: sources by grade_id, and what was noticed."""

    student: str
    file: str = ""
    digest: str = ""
    problem: str = ""
    status: str = ""  # damaged or missing, where there is nothing to run
    fault: str = ""  # of ours, where reading it broke down
    notes: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def read_work(submission: Submission, assignment: Assignment) -> Work:
    work = Work(submission.student, submission.file, notes=list(submission.notes))
    if submission.read is None:
        work.status, work.problem = "missing", submission.problem
        return work
    try:
        data = submission.read()
        work.digest = hashlib.sha256(data).hexdigest()
    except ValueError as error:
        work.status, work.problem = "damaged", f"the file was not read: {error}"
        return work
    try:
        notebook = notebook_in(data)
    except ValueError as error:
        work.status, work.problem = "damaged", str(error)
        return work
    try:
        _take_answers(work, notebook, assignment)
    except Exception:  # whatever cells that are none provoke
        work.status, work.problem = "damaged", "its cells are not those of a lab"
    return work


def _take_answers(work: Work, notebook: NotebookNode, assignment: Assignment) -> None:
    names = {grading(cell).get("grade_id") for cell in notebook.cells} - {None}
    ours = {grading(cell).get("grade_id") for cell in assignment.lab.cells} - {None}
    if names and not names & ours:
        work.status, work.problem = "missing", f"this is not lab {assignment.number}"
        return
    _, report = splice(notebook, assignment.lab)
    titles = {part.grade_id: part.id for part in _parts(assignment)}
    used = set()
    for answer in report.moved:
        used.add(answer.student)
        work.answers[answer.grade_id] = notebook.cells[answer.student].source
    work.notes += _remarks(report, titles, notebook, assignment)
    _take_others(
        work,
        [
            cell.source
            for index, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and index not in used and not grading(cell)
        ],
    )
    for task in assignment.tasks:
        answer = work.answers.get(task.grade_id)
        if found := elsewhere(answer, task.stub, task.name, work.others):
            work.answers[task.grade_id] = found
            work.notes.append(
                f"{task.id}: its cell defines no {task.name}; what another cell "
                "defines by that name counts"
            )


def _take_others(work: Work, sources: Sequence[str]) -> None:
    room = MOST_OTHERS
    for source in sources:
        if len(source) <= min(room, LONGEST_CELL):
            room -= len(source)
            work.others.append(source)
    if left := len(sources) - len(work.others):
        work.notes.append(f"cells beside the answers too long to be read: {left}")


def _parts(assignment: Assignment) -> tuple:
    return (*assignment.tasks, *assignment.questions)


def _remarks(
    report: Report,
    titles: Mapping[str, str],
    notebook: NotebookNode,
    assignment: Assignment,
) -> list[str]:
    remarks = [
        f"{titles[name]}: {len(copies) + 1} cells claim to be it; the last counts"
        for name, copies in report.duplicates.items()
        if name in titles
    ]
    remarks += [
        f"{titles[answer.grade_id]}: its cell had lost its name and was found by its "
        f"{answer.found_by}"
        for answer in report.moved
        if answer.found_by != "grade_id" and answer.grade_id in titles
    ]
    released = notebook.metadata.get("released")
    if released not in (None, assignment.lab.metadata.get("released")):
        remarks.append("the notebook is of another release of the lab")
    return remarks


def job_of(
    work: Work, assignment: Assignment, terms: Terms, tasks: Sequence[Task]
) -> dict:
    """What the examiner needs, as JSON: no file of ours or of the student's."""
    hidden = [assignment.checks]
    if parent := assignment.checks.rpartition(".")[0]:
        hidden.insert(0, parent)
    return {
        "checks": assignment.checks,
        "setup": assignment.setup,
        "hidden": hidden,
        "closed": terms.closed,
        "others": work.others,
        "seeds": terms.seeds,
        "timeout": terms.timeout,
        "memory": int(terms.memory * 1e9),
        "sandbox": terms.sandbox,
        "exercises": [
            {
                "name": task.name,
                "answer": completed(
                    work.answers[task.grade_id], task.name, work.others
                ),
                "before": [
                    *assignment.given,
                    *(t.reference for t in assignment.tasks if t is not task),
                ],
            }
            for task in _to_run(work, tasks)
        ],
    }


def _to_run(work: Work, tasks: Sequence[Task]) -> list[Task]:
    """The exercises whose answer is there, was written and is of a sane size."""
    return [task for task in tasks if not _unrun(work, task)]


def _unrun(work: Work, task: Task) -> tuple[str, str] | None:
    """Status and sentence of an answer that need not run."""
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
        if any(map(lent.search, [*work.others, source])):
            return "lent", LENT
        return "todo", "nothing was written yet"
    return None


def rows_of(work: Work, tasks, verdicts: list[dict]) -> list:
    """One row an exercise, in the lab's order."""
    verdicts = iter(verdicts)
    rows = []
    for task in tasks:
        if unrun := _unrun(work, task):
            status, sentence = unrun
            found = {"status": status, "points": 0, "of": task.points}
            found["message"] = f"[{task.id} {task.name}] {sentence}"
        else:
            found = next(verdicts)
        source = work.answers.get(task.grade_id, "")
        rows.append(
            {
                "exercise": task.id,
                "title": task.title,
                "points": found["points"],
                "of": found["of"],
                "status": found["status"],
                "message": sound(found["message"]),
                "source": source[:LONGEST_CELL],
            }
        )
    return rows


def texts_of(work: Work, assignment: Assignment) -> list[dict]:
    """The free texts: what was written waits for a reader."""
    found = []
    for question in assignment.questions:
        source = work.answers.get(question.grade_id)
        written = bool(source) and source.strip() not in ("", question.stub.strip())
        if work.status:
            status = work.status
        elif source is None:
            status = "missing"
        else:
            status = "review" if written else "todo"
        found.append(
            {
                "exercise": question.id,
                "title": question.title,
                "points": None if status == "review" else 0,
                "of": question.points,
                "status": status,
                "message": "",
                "source": source[:LONGEST_CELL] if written else "",
            }
        )
    return found
