"""From a submission to a job for the process that runs answers, and back to rows."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from nbformat import NotebookNode

from labcore.staff.grading.assignment import Assignment
from labcore.staff.grading.intake import notebook_in, sound
from labcore.staff.grading.reading import Submission
from labcore.staff.grading.talk import changes_of
from labcore.student import tasks as shared
from labcore.student.cells import LONGEST_CELL
from labcore.student.running import Outcome
from labcore.student.splice import Report
from labcore.student.tasks import Question, Row, Task, take_answers

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
FILES, FILE_BYTES = 64, 50_000_000


@dataclass(frozen=True)
class Terms:
    """The settings with which answers are run."""

    seeds: tuple[int, ...]  # empty: secret seeds
    timeout: float = 60.0
    memory: float = 4.0  # GB
    sandbox: bool = True
    talk: bool = False  # change the answers too, and see what happens
    closed: tuple[str, ...] = ()  # files and folders that no answer may see


def secret_seeds() -> tuple[int, ...]:
    """Seeds for checks whose inputs cannot be predicted."""
    return tuple(secrets.randbelow(10**9) for _ in range(SEEDS))


@dataclass
class Work(shared.Work):
    """A submission: the student who handed it in, and what we read from it."""

    student: str = ""
    file: str = ""
    digest: str = ""
    late: bool = False  # by the name of the file
    submitted: str = ""  # a time, if the platform tells one
    fault: str = ""  # our own mistake, if reading the file failed


def read_work(submission: Submission, assignment: Assignment) -> Work:
    work = Work(
        student=submission.student,
        file=submission.file,
        notes=list(submission.notes),
        late=submission.late,
        submitted=submission.submitted,
    )
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
        report = take_answers(work, notebook, assignment.lab)
        work.notes += _remarks(report, notebook, assignment)
    except Exception:  # malformed cells can raise anything
        work.status, work.problem = "damaged", "its cells are not those of a lab"
    return work


def _remarks(
    report: Report, notebook: NotebookNode, assignment: Assignment
) -> list[str]:
    parts = (*assignment.tasks, *assignment.questions)
    titles = {part.grade_id: part.id for part in parts}
    remarks = [
        f"{titles[name]}: {len(copies) + 1} cells claim to be it; the "
        "last that defines its name counts"
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
    if released not in (None, assignment.lab.notebook.metadata.get("released")):
        remarks.append("the notebook comes from another release of the lab")
    return remarks


def job_of(
    work: Work, assignment: Assignment, terms: Terms, tasks: Sequence[Task]
) -> dict:
    """What the process is told, and how to start that process."""
    memory = int(terms.memory * 1e9)
    limits = {
        "DATA": memory,
        "FSIZE": FILE_BYTES,
        "NOFILE": FILES,
        "CPU": int(10 * terms.timeout) + 60,
        "CORE": 0,
    }
    told = shared.job_of(
        work,
        assignment.lab,
        tasks,
        terms.seeds,
        terms.timeout,
        limits=limits,
        memory=memory,
        sealed=terms.sandbox,
    )
    if terms.talk:
        told["exercises"] += changes_of(told["exercises"], work.student)
    return {"told": told, "closed": terms.closed, "talk": terms.talk}


def rows_of(work: Work, tasks: Sequence[Task], outcomes: Iterable[Mapping]) -> list:
    """One row per exercise, in the lab's order, with the code that was handed in."""
    found = (Outcome(**outcome) for outcome in outcomes)
    rows = zip(tasks, shared.rows_of(work, tasks, found), strict=True)
    return [_stored(row, work.answers.get(task.grade_id, "")) for task, row in rows]


def texts_of(work: Work, questions: Sequence[Question]) -> list[dict]:
    """Rows for the free texts; those with an answer wait to be graded by hand."""
    rows = zip(questions, shared.text_rows(work, questions), strict=True)
    return [
        _stored(row, work.answers[part.grade_id] if row.status == "review" else "")
        for part, row in rows
    ]


def _stored(row: Row, source: str) -> dict:
    kept = asdict(row)
    for name in ("name", "seed"):
        del kept[name]
    kept["message"] = sound(row.message)
    kept["remarks"] = [sound(remark) for remark in row.remarks]
    return kept | {"source": source[:LONGEST_CELL]}
