"""Grade a class: do what is left to do, and store each result immediately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading.assignment import Assignment, read_assignment
from labcore.staff.grading.byhand import row_of
from labcore.staff.grading.jobs import Terms, Work, secret_seeds
from labcore.staff.grading.late import settings_with
from labcore.staff.grading.merge import merge
from labcore.staff.grading.reading import Submission, find_submissions, keep_apart
from labcore.staff.grading.roster import read_roster
from labcore.staff.grading.running import graded_by, results, work_of
from labcore.staff.grading.sandbox import kind_of_sandbox
from labcore.staff.grading.store import Store

__all__ = ["About", "Options", "grade_class", "merge_only", "regrade"]


@dataclass(frozen=True)
class About:
    """What is told of the class and kept in the folder of grades."""

    roster: Path | None = None
    late: Mapping = field(default_factory=dict)  # settings of the late policy


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
    about: About = About()


def grade_class(options: Options) -> None:
    assignment = read_assignment(options.number, options.root)
    if options.terms.sandbox and not options.dask:
        kind_of_sandbox()
    keep_apart(options.submissions, options.out)
    found = find_submissions(options.submissions, assignment.stem)
    if options.about.roster:
        _of_this_class(options.about.roster, found)
    store = Store(options.out)
    with store.locked():
        terms = _terms(store, assignment, options)
        _keep_about(store, options.about)
        store.set_found(submission.student for submission in found)
        done = store.results()
        works: Iterable[Work] = (
            work_of(submission, assignment) for submission in found
        )
        left = len(found)
        if done:
            works = _left(works, done, assignment, options.terms.talk)
            left = len(works)
        store.log("grade", version=graded_by(assignment), submissions=left)
        try:
            found_so_far = results(
                works, assignment.tasks, assignment, terms, options.jobs, options.dask
            )
            with closing(found_so_far):
                for count, result in enumerate(found_so_far, 1):
                    old = done.get(result["student"])
                    for change in _changes(old, result) if old else ():
                        print(change, flush=True)  # before anything is written
                    _keep(store, result, old)
                    # printed only after saving: a printed result is never lost
                    print(f"[{count} of {left}] {_line(result)}", flush=True)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("Stopped. Add --resume to continue.") from None
        finally:
            if store.run():
                _finish(store, assignment)


def _of_this_class(path: Path, found: list[Submission]) -> None:
    """LabError if the list and the uploads have no student in common."""
    _, roster = read_roster(path)
    students = [submission.student for submission in found]
    if not roster.matched(students):
        raise LabError(
            f"{path.name} has none of the {len(students)} students who handed in: it "
            f"lists {roster.entries[0].number!r}, for example, and an upload is of "
            f"{students[0]!r}. Name the list of this class."
        )


def _keep_about(store: Store, about: About) -> None:
    """Store the list and the late policy, if they are given; LabError before both."""
    roster = read_roster(about.roster)[0] if about.roster else None
    before = store.late()
    late = settings_with(before, about.late)
    if roster is not None and roster != store.roster():
        store.set_roster(roster)
        store.log("roster", file=about.roster.name)
    if late != before:
        store.set_late(late)
        store.log("late", before=before, now=late)


def _terms(store: Store, assignment: Assignment, options: Options) -> Terms:
    """The terms, with the seeds that this grades folder started with."""
    run = store.run()
    if run and not options.resume:
        raise LabError(
            f"{store.folder} holds grades already: add --resume to continue with them, "
            "--regrade EXERCISE to re-grade one exercise, or name another folder."
        )
    if run and run["lab"] != assignment.number:
        raise LabError(
            f"{store.folder} holds grades of lab {run['lab']}, not "
            f"{assignment.number}: name another folder."
        )
    if not run:
        seeds = options.terms.seeds or secret_seeds()
        run = {"lab": assignment.number, "seeds": list(seeds)}
        store.begin(run)
    closed = (options.root, options.submissions, options.out)
    return replace(
        options.terms,
        seeds=tuple(run["seeds"]),
        closed=tuple(str(place.resolve()) for place in closed),
    )


def _left(
    works: Iterable[Work], done: Mapping[str, dict], assignment: Assignment, talk: bool
) -> list[Work]:
    """Submissions whose file has no result yet; other versions' results stay valid.

    talk   a result without changes for the talk counts as none
    """
    left, graded, now = [], [], graded_by(assignment)
    for work in works:
        old = done.get(work.student)
        same = old and not old["fault"] and old["digest"] == work.digest
        same = same and (not talk or "talk" in old)
        if work.fault or not same:
            left.append(work)
        else:
            graded.append(old)
    if graded:
        print(f"{len(graded)} of {len(graded) + len(left)} are graded already.")
    by_another = [
        result
        for result in graded
        if any(row.get("version", result["version"]) != now for row in result["rows"])
    ]
    if by_another:
        print(
            f"{len(by_another)} were graded by another version of the checks; "
            "--regrade EXERCISE re-grades one exercise."
        )
    return left


def _keep(store: Store, result: dict, old: Mapping | None) -> None:
    student = result["student"]
    if old:
        store.log(
            "graded again",
            student=student,
            why=_why(old, result),
            before=_marks(old),
            after=_marks(result),
            version=result["version"],
        )
    if result["fault"]:
        _log_fault(store, result)
    store.save(result)


def _changes(old: Mapping, new: Mapping) -> Iterator[str]:
    """Who gains or loses by what was graded again."""
    for row in new["rows"]:
        before = row_of(old["rows"], row["exercise"])
        if before and before["points"] != row["points"]:
            what = "gains" if row["points"] > before["points"] else "loses"
            points = f"{before['points']:g} to {row['points']:g}"
            yield f"{what}  {_printable(new['student'])}, {row['exercise']}: {points}"


def _marks(result: Mapping) -> dict[str, list]:
    rows = (*result["rows"], *result["texts"])
    return {row["exercise"]: [row["points"], row["status"]] for row in rows}


def _why(old: Mapping, new: Mapping) -> str:
    if old["fault"]:
        return "grading failed before"
    return "the file changed" if old["digest"] != new["digest"] else "for the talk"


def _log_fault(store: Store, result: Mapping) -> None:
    store.log("fault", student=result["student"], text=result["fault"])
    print(
        f"{_printable(result['student'])}: grading itself failed, not the "
        "answer: see log.jsonl, then use --resume."
    )


def _line(result: dict) -> str:
    rows = result["rows"]
    points, of = sum(r["points"] for r in rows), sum(r["of"] for r in rows)
    statuses = " ".join(f"{row['exercise']} {row['status']}" for row in rows)
    student = _printable(result["student"])
    return f"{student}: {points:g} of {of:g} ({statuses})"


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def _finish(store: Store, assignment: Assignment) -> None:
    questions = {question.id: question for question in assignment.questions}
    for sentence in merge(store, assignment.number, questions):
        print(f"Look at {sentence}.")
    print(f"Grades, summary, review and feedback are in {store.folder}.")


def merge_only(out: Path, root: Path, about: About = About()) -> None:
    store = Store(out)
    if not store.run():
        raise LabError(f"There are no grades in {out}: grade submissions first.")
    with store.locked():
        _keep_about(store, about)
        store.log("merge")
        _finish(store, read_assignment(store.run()["lab"], root))


def regrade(options: Options, exercise: str, lower: bool) -> None:
    """Re-grade one exercise for every student; points only rise, unless `lower`."""
    assignment = read_assignment(options.number, options.root)
    task, store = assignment.lab.task(exercise), Store(options.out)
    if not store.run():
        raise LabError(f"There are no grades in {options.out}: grade first.")
    keep_apart(options.submissions, options.out)
    found = find_submissions(options.submissions, assignment.stem)
    with store.locked():
        terms = _terms(store, assignment, replace(options, resume=True))
        done = store.results()
        if gone := len(done.keys() - {submission.student for submission in found}):
            print(
                f"{gone} with grades have no file in {options.submissions}: "
                "theirs stay as they are."
            )
        works = (work_of(s, assignment) for s in found if s.student in done)
        fresh = results(works, [task], assignment, terms, options.jobs, options.dask)
        with closing(fresh):
            tried = list(fresh)
        pairs = [(done[new["student"]], new) for new in tried if not new["fault"]]
        for new in tried:
            if new["fault"]:
                _log_fault(store, new)
        # who gains and who loses is said before anything is changed
        changed = sum(_announce(result, new, lower) for result, new in pairs)
        for result, new in pairs:
            _replace(store, result, new, lower)
        print(f"{task.id}, re-graded for {len(tried)}: {changed} change in points.")
        _finish(store, assignment)


def _points(result: dict, found: dict) -> tuple[dict | None, float, float]:
    """The old row of what was re-graded, and its points before and after."""
    new = found["rows"][0]
    old = row_of(result["rows"], new["exercise"])
    return old, old["points"] if old else 0, new["points"]


def _announce(result: dict, found: dict, lower: bool) -> bool:
    """Say whether the student gains or loses; returns whether the points differ."""
    old, before, after = _points(result, found)
    exercise, student = found["rows"][0]["exercise"], _printable(result["student"])
    change = f"{student}, {exercise}: {before:g} to {after:g}"
    if not old:
        print(f"new         {change} (it was not in the lab before)")
    elif after > before:
        print(f"gains       {change}")
    elif after < before:
        print(f"{'loses     ' if lower else 'would lose'}  {change}")
    return after != before


def _replace(store: Store, result: dict, found: dict, lower: bool) -> None:
    """Replace the old row, but with fewer points only with `lower`."""
    old, before, after = _points(result, found)
    new = found["rows"][0] | {"version": found["version"]}
    kept = after < before and not lower
    if after != before:
        store.log(
            "regrade",
            student=result["student"],
            exercise=new["exercise"],
            before=before,
            after=after,
            applied=not kept,
            version=found["version"],
        )
    if kept:
        return
    rows = result["rows"]
    if old:
        rows[rows.index(old)] = new
    else:
        rows.append(new)
    store.save(result)
