"""Grading a class: what is left to do is done, and every result is kept at once."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from labcore.authoring.notebooks import digest
from labcore.grading import workers
from labcore.grading.assignment import Assignment, Task, read_assignment
from labcore.grading.jobs import Terms, Work, job_of, read_work, rows_of, texts_of
from labcore.grading.merge import merge
from labcore.grading.reading import Submission, find_submissions
from labcore.grading.sandbox import kind_of_sandbox
from labcore.grading.store import Store
from labcore.runtime import LabError

__all__ = ["Options", "grade_class", "merge_only", "regrade", "result_of"]

SEEDS = 2
ENGINE = ("core", "trial", "compare")  # what all checks share


@dataclass(frozen=True)
class Options:
    submissions: Path
    number: str
    out: Path
    root: Path  # of the clone of the course
    terms: Terms
    jobs: int | None = None
    dask: str | None = None
    resume: bool = False


def grade_class(options: Options) -> None:
    assignment = read_assignment(options.number, options.root)
    if options.terms.sandbox and not options.dask:
        kind_of_sandbox()
    store = Store(options.out)
    with store.locked():
        terms = _terms(store, assignment, options)
        found = find_submissions(options.submissions, assignment.stem)
        todo = _left(store, found, assignment) if options.resume else found
        if len(todo) < len(found):
            print(f"{len(found) - len(todo)} of {len(found)} are graded already.")
        store.log("grade", version=graded_by(assignment), submissions=len(todo))
        try:
            results = _results(todo, assignment, terms, options)
            with closing(results):
                for count, result in enumerate(results, 1):
                    _keep(store, result)  # then said: what was said is never lost
                    print(f"[{count} of {len(todo)}] {_line(result)}", flush=True)
        finally:
            _finish(store, assignment)


def _keep(store: Store, result: dict) -> None:
    store.save(result)
    if fault := result["fault"]:
        store.log("fault", student=result["student"], text=fault)
        print("The check itself broke down: see log.jsonl, then use --resume.")


def _terms(store: Store, assignment: Assignment, options: Options) -> Terms:
    """With the seeds that this folder was begun with."""
    run = store.run()
    if run and not options.resume:
        raise LabError(
            f"{store.folder} holds grades already: add --resume to go on with them, "
            "--regrade EXERCISE to try one exercise anew, or name another folder."
        )
    if run and run["lab"] != assignment.number:
        raise LabError(
            f"{store.folder} holds grades of lab {run['lab']}, not "
            f"{assignment.number}: name another folder."
        )
    if not run:
        seeds = options.terms.seeds or [secrets.randbelow(10**9) for _ in range(SEEDS)]
        run = {"lab": assignment.number, "seeds": list(seeds)}
        store.begin(run)
    return replace(options.terms, seeds=tuple(run["seeds"]))


def _left(store: Store, found: Sequence[Submission], assignment) -> list[Submission]:
    """Those without a result of this very file and lab."""
    done, version = store.results(), graded_by(assignment)
    return [
        submission
        for submission in found
        if (old := done.get(submission.student)) is None
        or old["fault"]
        or (old["digest"], old["version"])
        != (read_work(submission, assignment).digest, version)
    ]


def _results(
    todo: Sequence[Submission],
    assignment: Assignment,
    terms: Terms,
    options: Options,
) -> Iterator[dict]:
    """The result of each, as they come."""
    with _executor(options) as executor:
        futures = {}
        for submission in todo:
            work = read_work(submission, assignment)
            job = job_of(work, assignment, terms, assignment.tasks)
            futures[executor.submit(workers.examined, job)] = work
        for future in as_completed(futures):
            answer = future.result()
            yield result_of(futures[future], assignment, assignment.tasks, answer)


@contextmanager
def _executor(options: Options) -> Iterator[Executor]:
    if options.dask:
        executor = workers.cluster(options.dask)
    else:
        executor = workers.local(options.jobs or workers.sensible_jobs())
    try:
        yield executor
    except BaseException:
        workers.stop()  # what runs now ends at once, what waits never starts
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
    workers.stop()


def result_of(
    work: Work, assignment: Assignment, tasks: Sequence[Task], answer: dict
) -> dict:
    """What is stored of a student: rows, free texts, and what they came from."""
    if "refused" in answer:
        raise LabError(answer["refused"])
    verdicts = answer.get("results")
    if verdicts is None:  # a fault of ours, never taken for the student's
        verdicts = [
            {
                "status": "error",
                "points": 0,
                "of": task.points,
                "message": f"[{task.id} {task.name}] the check itself broke down",
            }
            for task in tasks
        ]
    return {
        "student": work.student,
        "file": work.file,
        "digest": work.digest,
        "version": graded_by(assignment),
        "notes": work.notes,
        "fault": answer.get("broken", ""),
        "rows": rows_of(work, assignment, tasks, verdicts),
        "texts": texts_of(work, assignment),
    }


def graded_by(assignment: Assignment) -> str:
    """What decides a verdict beside the answer: labcore, the lab, its checks."""
    modules = [assignment.checks, *(f"labcore.checks.{name}" for name in ENGINE)]
    files = [Path(importlib.util.find_spec(module).origin) for module in modules]
    checks = digest("".join(file.read_text(encoding="utf-8") for file in files))
    course = version("pruning-lab")
    return f"labcore {course}, lab {assignment.version}, checks {checks}"


def _line(result: dict) -> str:
    rows = result["rows"]
    points, of = sum(r["points"] for r in rows), sum(r["of"] for r in rows)
    statuses = " ".join(f"{row['exercise']} {row['status']}" for row in rows)
    student = "".join(c if c.isprintable() else "?" for c in result["student"])
    return f"{student}: {points:g} of {of:g} ({statuses})"


def _finish(store: Store, assignment: Assignment) -> None:
    questions = {question.id: question for question in assignment.questions}
    for sentence in merge(store, assignment.number, questions):
        print(f"Look at {sentence}.")
    print(f"Grades, summary, review and feedback are in {store.folder}.")


def merge_only(out: Path, root: Path) -> None:
    store = Store(out)
    if not store.run():
        raise LabError(f"There are no grades in {out}: grade submissions first.")
    with store.locked():
        store.log("merge")
        _finish(store, read_assignment(store.run()["lab"], root))


def regrade(options: Options, exercise: str, lower: bool) -> None:
    """Try one exercise anew for all; points only rise, unless `lower`."""
    assignment = read_assignment(options.number, options.root)
    task, store = assignment.task(exercise), Store(options.out)
    if not store.run():
        raise LabError(f"There are no grades in {options.out}: grade first.")
    with store.locked():
        terms = _terms(store, assignment, replace(options, resume=True))
        done = store.results()
        found = find_submissions(options.submissions, assignment.stem)
        works = [read_work(s, assignment) for s in found if s.student in done]
        with _executor(options) as executor:
            jobs = [job_of(work, assignment, terms, [task]) for work in works]
            answers = executor.map(workers.examined, jobs)
            changed = 0
            for work, answer in zip(works, answers, strict=True):
                new = result_of(work, assignment, [task], answer)
                if new["fault"]:
                    store.log("fault", student=work.student, text=new["fault"])
                    print(f"{work.student}: the check broke down, see log.jsonl.")
                    continue
                old, row = done[work.student], new["rows"][0]
                changed += _replace(store, old, row, assignment, lower)
        print(f"{task.id}, tried anew for {len(works)}: {changed} differ in points.")
        _finish(store, assignment)


def _replace(store: Store, result: dict, new: dict, assignment, lower: bool) -> bool:
    """Put a row in the place of the old one if nobody loses by it, and say so.

    Returns whether its points differ.
    """
    student, rows = result["student"], result["rows"]
    at = next(i for i, r in enumerate(rows) if r["exercise"] == new["exercise"])
    old = rows[at]
    change = f"{student}, {new['exercise']}: {old['points']:g} to {new['points']:g}"
    kept = new["points"] < old["points"] and not lower
    if new["points"] > old["points"]:
        print(f"gains       {change}")
    elif new["points"] < old["points"]:
        print(f"{'would lose' if kept else 'loses     '}  {change}")
    if not kept:
        rows[at] = new
        store.save(result)
    if new["points"] != old["points"]:
        store.log(
            "regrade",
            student=student,
            exercise=new["exercise"],
            before=old["points"],
            after=new["points"],
            applied=not kept,
            version=graded_by(assignment),
        )
    return new["points"] != old["points"]
