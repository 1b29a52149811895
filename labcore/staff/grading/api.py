"""Grading from Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading import workers
from labcore.staff.grading.assignment import read_assignment
from labcore.staff.grading.jobs import Terms, job_of, read_work, secret_seeds
from labcore.staff.grading.reading import find_submissions
from labcore.staff.grading.running import result_of
from labcore.student.environment import ROOT
from labcore.student.tasks import Row

__all__ = ["Result", "Row", "grade"]


@dataclass(frozen=True)
class Result:
    student: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def points(self) -> float:
        return sum(row.points or 0 for row in self.rows)

    @property
    def of(self) -> float:
        return sum(row.of for row in self.rows)


def grade(
    path: Path | str, lab: str, *, terms: Terms | None = None, root: Path = ROOT
) -> Result:
    """Grade one notebook for the lab with this two-digit number.

    The seeds are secret unless `terms` names some.
    """
    path = Path(path)
    if not path.is_file():
        raise LabError(f"There is no notebook {path}: name one file.")
    assignment = read_assignment(lab, root)
    submission, *more = find_submissions(path, assignment.stem)
    if more:
        raise LabError(
            f"{path.name} holds {len(more) + 1} submissions, but one is graded here: "
            "name one notebook, or use `labcore grade` for a class."
        )
    work = read_work(submission, assignment)
    terms = terms or Terms(seeds=())
    closed = tuple(str(place.resolve()) for place in (root, path.parent))
    terms = replace(terms, seeds=terms.seeds or secret_seeds(), closed=closed)
    try:
        with workers.local(1) as executor:
            job = job_of(work, assignment, terms, assignment.tasks)
            answer = executor.submit(workers.examined, job).result()
    finally:
        workers.stop()
    found = result_of(work, assignment, assignment.tasks, answer)
    shown = ("exercise", "title", "points", "of", "status", "message")
    rows = [
        Row(**{name: row[name] for name in shown}, remarks=tuple(row["remarks"]))
        for row in (*found["rows"], *found["texts"])
    ]
    return Result(work.student, tuple(rows), tuple(work.notes))
