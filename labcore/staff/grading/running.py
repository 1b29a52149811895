"""Send submissions to the workers, and pass on their results as they arrive."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager

from labcore.runtime import LabError
from labcore.staff.grading import workers
from labcore.staff.grading.assignment import Assignment
from labcore.staff.grading.jobs import Terms, Work, job_of, read_work, rows_of, texts_of
from labcore.staff.grading.reading import Submission
from labcore.staff.grading.talk import telling
from labcore.staff.grading.talkpage import figure_for
from labcore.staff.grading.version import version_of
from labcore.student.tasks import Task

__all__ = ["graded_by", "result_of", "results", "work_of"]

AHEAD = 200  # jobs handed out at a time: enough for every worker of a large cluster


def work_of(submission: Submission, assignment: Assignment) -> Work:
    try:
        return read_work(submission, assignment)
    except Exception:
        work = Work(student=submission.student, file=submission.file)
        _broke(work)
        return work


def _broke(work: Work) -> None:
    """Record an error of ours: one bad file must not stop the batch."""
    work.status, work.problem = "damaged", "grading itself failed on this file"
    work.fault = traceback.format_exc()


def _job(work: Work, assignment: Assignment, terms: Terms, tasks) -> dict:
    try:
        return job_of(work, assignment, terms, tasks)
    except Exception:
        _broke(work)
        return job_of(work, assignment, terms, tasks)  # a damaged file has no answers


def results(
    works: Iterable[Work],
    tasks: Sequence[Task],
    assignment: Assignment,
    terms: Terms,
    jobs: int | None = None,
    dask: str | None = None,
) -> Iterator[dict]:
    """The results, in the order in which they finish.

    A refusal before any answer was examined would hit every job, so it ends the batch.
    A later refusal concerns only one job, which waits for --resume.
    """
    one_was_examined = False
    with _executor(jobs, dask) as executor:
        made = ((work, _job(work, assignment, terms, tasks)) for work in works)
        for work, answer in _answers(executor, made, version_of(assignment.lab.checks)):
            if one_was_examined and "refused" in answer:
                answer = {"broken": answer["refused"]}
            one_was_examined = one_was_examined or bool(answer.get("results"))
            yield result_of(work, assignment, tasks, answer)


def _answers(
    executor: Executor, jobs: Iterable[tuple[Work, dict]], version: str
) -> Iterator[tuple[Work, dict]]:
    under_way: dict[Future, Work] = {}

    def finished(patience: float | None) -> Iterator[tuple[Work, dict]]:
        done, _ = wait(under_way, patience, FIRST_COMPLETED)
        for future in [future for future in under_way if future in done]:
            yield under_way.pop(future), _answer(future, version)

    try:
        for work, job in jobs:
            under_way[executor.submit(workers.examined, job)] = work
            yield from finished(None if len(under_way) >= AHEAD else 0)
        while under_way:
            yield from finished(None)
    finally:
        for future in under_way:
            future.cancel()


def _answer(future: Future, version: str) -> dict:
    """What a worker found, or why it failed."""
    try:
        answer = future.result()
    except Exception as error:
        return {"broken": "".join(traceback.format_exception(error))}
    if answer.get("version") != version:
        raise LabError(
            f"A worker grades by {answer.get('version', 'an older labcore')}, but this "
            f"grader by {version}: give all the same course, then use --resume."
        )
    return answer


@contextmanager
def _executor(jobs: int | None, dask: str | None) -> Iterator[Executor]:
    if dask:
        executor = workers.cluster(dask)
    else:
        executor = workers.local(jobs or workers.sensible_jobs())
    all_done = False
    try:
        yield executor
        all_done = True
    finally:
        executor.shutdown(wait=all_done)
        workers.stop()  # what is still running ends immediately


def result_of(
    work: Work, assignment: Assignment, tasks: Sequence[Task], answer: dict
) -> dict:
    """What we store for a student: rows, free texts, and what they are based on."""
    if "refused" in answer:
        raise LabError(answer["refused"])
    verdicts = answer.get("results")
    if verdicts is None:  # our own mistake, never blamed on the student
        verdicts = [
            {
                "status": "error",
                "points": 0,
                "of": task.points,
                "message": f"[{task.id} {task.name}] the check itself failed",
            }
            for task in tasks
        ]
    found = {
        "student": work.student,
        "file": work.file,
        "digest": work.digest,
        "version": graded_by(assignment),
        "notes": work.notes,
        "late": work.late,
        "submitted": work.submitted,
        "fault": work.fault or answer.get("broken", ""),
        "rows": rows_of(work, tasks, verdicts),
        "texts": texts_of(work, assignment.questions),
    }
    if "changes" in answer:
        figure = figure_for(work.student, assignment.lab.notebook)
        found["talk"] = {"changes": telling(answer["changes"]), "figure": figure}
    return found


def graded_by(assignment: Assignment) -> str:
    """Everything that decides a verdict besides the answer: labcore, checks, lab."""
    return f"{version_of(assignment.lab.checks)}, lab {assignment.version}"
