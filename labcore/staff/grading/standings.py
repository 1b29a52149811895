"""What counts for each student: results, reviews, overrides, lateness and absence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from labcore.staff.grading.byhand import (
    earned,
    overrides_in,
    reviewed,
    reviews_in,
    row_of,
)
from labcore.staff.grading.late import Policy, policy_of
from labcore.staff.grading.moments import moment
from labcore.staff.grading.roster import Entry, Roster, roster_in
from labcore.staff.grading.store import Store

__all__ = ["Gathered", "Standing", "gathered", "listed"]

LATE = "late"  # in overrides.csv, the points to take off, instead of an exercise
ABSENT = "missing: nothing was handed in"


@dataclass
class Standing:
    """One student's rows, and what else decides their points."""

    rows: list[dict]
    notes: list[str]
    entry: Entry | None = None  # on the roster
    absent: bool = False
    off: float = 0  # points taken off for being late

    @property
    def points(self) -> float:
        return max(0, sum(row["points"] or 0 for row in self.rows) - self.off)

    @property
    def of(self) -> float:
        return sum(row["of"] for row in self.rows)

    @property
    def waiting(self) -> int:
        """How many free texts have no points yet."""
        return sum(row["points"] is None for row in self.rows)


@dataclass
class Gathered:
    students: dict[str, Standing]
    results: Mapping[str, dict]
    reviews: Mapping[tuple, dict]
    all_taken: bool  # whether every filled row of review.csv could be used
    roster: Roster | None
    ungraded: list[str]
    said: list[str] = field(default_factory=list)

    def same_file(self, student: str) -> list[str]:
        """All who handed in the very file of this student."""
        return self._owners[self.results[student]["digest"]]

    @cached_property
    def _owners(self) -> dict[str, list[str]]:
        owners = defaultdict(list)
        for student, result in self.results.items():
            if result["digest"]:
                owners[result["digest"]].append(student)
        return owners


def gathered(store: Store) -> Gathered:
    """Everything in the folder of grades, put together; `said` is worth a look."""
    results, said = store.results(), []
    roster, policy = roster_of(store), policy_of(store.late())
    ungraded = [student for student in store.found() if student not in results]
    if ungraded:
        said.append(f"{listed(ungraded)} not graded yet: continue with --resume")
    entries = _entries(roster, [*results, *ungraded], said)
    if roster:
        results = _with_absent(results, roster, entries, said)
    reviews, all_taken = reviews_in(store, results, said)
    overrides = overrides_in(store, _with_late(results), said)
    students = {
        student: Standing(
            rows=[
                *map(dict, result["rows"]),
                *(reviewed(student, text, reviews, said) for text in result["texts"]),
            ],
            notes=list(result["notes"]),
            entry=entries.get(student),
            absent=result.get("absent", False),
        )
        for student, result in results.items()
    }
    if policy:
        decided = {student for student, what in overrides if what == LATE}
        _take_off(students, results, policy, decided, said)
    for (student, exercise), (points, reason) in overrides.items():
        _override(students[student], exercise, points, reason)
    return Gathered(students, results, reviews, all_taken, roster, ungraded, said)


def roster_of(store: Store) -> Roster | None:
    """The list that was given with --roster, now or earlier."""
    data = store.roster()
    return None if data is None else roster_in(data, "roster.csv")


def listed(names: Collection[str], most: int = 200) -> str:
    """How many they are, and their names, for a terminal."""
    text = "".join(c if c.isprintable() else "?" for c in ", ".join(names))
    count = f"{len(names)} student{'s' * (len(names) != 1)}"
    return f"{count} ({text if len(text) <= most else f'{text[:most]} ...'})"


def _entries(
    roster: Roster | None, students: Collection[str], said: list[str]
) -> dict[str, Entry]:
    if roster is None:
        return {}
    entries = roster.matched(students)
    if unknown := [student for student in students if student not in entries]:
        said.append(f"roster.csv, which lacks {listed(unknown)} with an upload")
    often = Counter(entry.row for entry in entries.values())
    for row in (row for row, count in often.items() if count > 1):
        same = [student for student, entry in entries.items() if entry.row == row]
        said.append(f"roster.csv, where {' and '.join(same)} are one student")
    return entries


def _with_absent(
    results: Mapping, roster: Roster, entries: dict, said: list[str]
) -> dict[str, dict]:
    """The results, and for all others on the list one with every exercise missing.

    Adds their entries too.
    """
    lacking = {
        kind: {
            row["exercise"]: row | {"points": 0, "status": "missing"}
            for result in results.values()
            for row in result[kind]
        }.values()
        for kind in ("rows", "texts")
    }
    empty = {"message": "", "source": "", "remarks": []}
    absent = {entry.upload: entry for entry in roster.absent(entries)}
    for student, entry in absent.items():
        entries[student] = entry
        results[student] = {
            "student": student,
            "digest": "",
            "notes": [ABSENT],
            "absent": True,
            **{kind: [row | empty for row in rows] for kind, rows in lacking.items()},
        }
    if absent:
        said.append(f"roster.csv: nothing was handed in by {listed(absent)}")
    return dict(sorted(results.items()))


def _with_late(results: Mapping) -> dict:
    """The results, with what lateness costs as one more thing to override."""
    return {
        student: result
        | {
            "rows": [
                *result["rows"],
                {
                    "exercise": LATE,
                    "of": sum(r["of"] for r in (*result["rows"], *result["texts"])),
                },
            ]
        }
        for student, result in results.items()
    }


def _take_off(
    students: Mapping[str, Standing],
    results: Mapping[str, dict],
    policy: Policy,
    decided: Collection[str],  # by hand
    said: list[str],
) -> None:
    unknown, unread = [], {}
    for student, standing in students.items():
        written = standing.entry.submitted if standing.entry else ""
        written = written or results[student].get("submitted", "")
        if standing.absent or student in decided:
            continue
        if not written:
            unknown.append(student)
            continue
        try:
            submitted = moment(written, policy.zone)
        except ValueError as error:
            unread[student] = error
            continue
        if policy.behind(submitted):
            standing.off = policy.off(submitted, standing.of)
            standing.notes.append(policy.sentence(submitted, standing.off, standing.of))
    for student, error in list(unread.items())[:1]:
        said.append(
            f"the times of handing in: nothing is taken off from {listed(unread)}, "
            f"because the time cannot be read ({student}: {error})"
        )
    if unknown:
        named = [student for student in unknown if results[student].get("late")]
        late = f"; by the name of the file late: {listed(named)}" if named else ""
        said.append(
            f"the times of handing in: nothing is taken off from {listed(unknown)}, "
            f"because no time is known{late}"
        )


def _override(standing: Standing, exercise: str, points: float, reason: str) -> None:
    if exercise == LATE:
        standing.off = points
        standing.notes.append(
            f"taken off for being late: {points:g}; changed by hand: {reason}"
        )
        return
    row = row_of(standing.rows, exercise)
    above = f" (more than the {row['of']:g} there are)"
    by_hand = f"Changed by hand{above if points > row['of'] else ''}: {reason}"
    row["message"] = "\n".join(filter(None, (row["message"], by_hand)))
    row["points"] = points
    if row["status"] == "review":
        row["status"] = earned(points, row["of"])
