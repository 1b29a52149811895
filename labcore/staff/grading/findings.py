"""What a class did in one lab, counted from the stored results; runs nothing."""

from __future__ import annotations

import builtins
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from labcore.checks.engine.message import parts
from labcore.staff.grading.byhand import number_in
from labcore.staff.grading.store import Store

__all__ = [
    "OUTCOMES",
    "Attempt",
    "Exercise",
    "Findings",
    "Mistake",
    "Question",
    "findings",
]

OUTCOMES = ("passed", "partly", "failed", "left")
LEFT = ("todo", "lent", "missing", "damaged")
STEP = re.compile(r"FAILED at step (\d{1,3}) of (\d{1,3}): (.+)")
HELP = re.compile(r'Help "(.+)", just below')
ERROR = re.compile(r"\b(\w+)(?::|$)")
FROM_LINE = "the error comes from line"  # then follows the student's code
LONGEST = 300  # characters of a sentence
ENDED = {
    "timeout": "it runs longer than is allowed",
    "memory": "it needs more memory than is allowed",
}
UNKNOWN = "a mistake that the check does not know"


@dataclass(frozen=True)
class Attempt:
    """What one student made of one exercise."""

    outcome: str  # one of OUTCOMES
    step: tuple[int, int, str] | None = None  # the failed one's number, of, title
    cause: str = ""
    read: str = ""  # the hint that the message pointed to
    source: str = ""


@dataclass(frozen=True)
class Mistake:
    """A cause in the words of the check, and the attempts that had it."""

    exercise: str
    cause: str
    tried: int  # students who wrote an answer to this exercise
    attempts: tuple[Attempt, ...]

    @property
    def count(self) -> int:
        return len(self.attempts)

    @property
    def known(self) -> bool:
        return self.cause != UNKNOWN

    @property
    def read(self) -> str:
        return Counter(attempt.read for attempt in self.attempts).most_common(1)[0][0]


@dataclass
class Exercise:
    id: str
    title: str
    attempts: list[Attempt] = field(default_factory=list)

    @cached_property
    def outcomes(self) -> dict[str, int]:
        counts = Counter(attempt.outcome for attempt in self.attempts)
        return {outcome: counts[outcome] for outcome in OUTCOMES}

    @property
    def tried(self) -> int:
        return len(self.attempts) - self.outcomes["left"]

    @cached_property
    def steps(self) -> list[tuple[tuple[int, int, str], int]]:
        """Each step at which answers failed, in the check's order, with how many."""
        return sorted(Counter(a.step for a in self.attempts if a.step).items())

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """The commonest first; what the check does not know comes last."""
        by_cause: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            if attempt.cause:
                by_cause.setdefault(attempt.cause, []).append(attempt)
        found = [
            Mistake(self.id, cause, self.tried, tuple(attempts))
            for cause, attempts in by_cause.items()
        ]
        return sorted(found, key=lambda m: (not m.known, -m.count, m.cause))


@dataclass
class Question:
    """A free text: how many wrote one, and the points of those that were read."""

    id: str
    title: str
    of: float
    written: int = 0
    points: list[float] = field(default_factory=list)

    @property
    def unread(self) -> int:
        return self.written - len(self.points)


@dataclass(frozen=True)
class Findings:
    lab: str
    exercises: dict[str, Exercise]
    questions: dict[str, Question]
    code: dict[str, tuple[float, float] | None]  # student: points, of; None: no file
    tampered: int  # rows with remarks, which count but are not quoted

    @property
    def mistakes(self) -> list[Mistake]:
        """Those of all exercises that the check knows, the commonest first."""
        every = [m for e in self.exercises.values() for m in e.mistakes if m.known]
        return sorted(every, key=lambda mistake: -mistake.count)


def findings(store: Store) -> Findings:
    results, exercises, questions = store.results(), {}, {}
    graded = store.table("grades.csv", "student", "exercise", "points")
    by_hand = {(row["student"], row["exercise"]): row for row in graded}
    code: dict[str, tuple[float, float] | None] = {}
    tampered = 0
    for student, result in results.items():
        for row in result["rows"]:
            known = exercises.setdefault(
                row["exercise"], Exercise(row["exercise"], row["title"])
            )
            known.attempts.append(_attempt(row))
            tampered += bool(row.get("remarks"))
        for text in result["texts"]:
            _count_text(questions, text, by_hand.get((student, text["exercise"]), {}))
        code[student] = _code_points(student, result["rows"], by_hand)
    for student in sorted({student for student, _ in by_hand} - results.keys()):
        code[student] = None  # on the roster, but absent
        for exercise in exercises.values():
            exercise.attempts.append(Attempt("left"))
    return Findings(store.run()["lab"], exercises, questions, code, tampered)


def _count_text(questions: dict[str, Question], text: Mapping, graded: Mapping) -> None:
    asked = questions.setdefault(
        text["exercise"], Question(text["exercise"], text["title"], text["of"])
    )
    if text["status"] == "review":
        asked.written += 1
        points = number_in(graded.get("points", ""))
        if points is not None:
            asked.points.append(points)


def _code_points(
    student: str, rows: Sequence[Mapping], by_hand: Mapping
) -> tuple[float, float] | None:
    """The points for code, overrides included; None if no notebook was handed in."""
    if all(row["status"] == "missing" for row in rows):
        return None
    graded = [
        (number_in(by_hand.get((student, row["exercise"]), {}).get("points", "")), row)
        for row in rows
    ]
    points = sum(row["points"] if p is None else p for p, row in graded)
    return points, sum(row["of"] for row in rows)


def _attempt(row: Mapping) -> Attempt:
    status = row["status"]
    if status in LEFT:
        return Attempt("left")
    if status == "passed":
        return Attempt("passed")
    outcome = "partly" if row["points"] else "failed"
    if row.get("remarks"):
        return Attempt(outcome, cause=UNKNOWN)
    title, said = parts(row["message"])
    step = None
    if found := STEP.search(title):
        step = int(found[1]), int(found[2]), found[3][:LONGEST]
    cause = _cause(status, title, said)[:LONGEST]
    return Attempt(outcome, step, cause, said.get("read", ""), row["source"])


def _cause(status: str, title: str, said: Mapping[str, str]) -> str:
    """Why it failed, without anything that the student wrote."""
    if status in ENDED:
        return ENDED[status]
    likely = said.get("likely", "")
    if likely and not likely.startswith(FROM_LINE):
        return likely
    if found := HELP.fullmatch(said.get("read", "")):
        return found[1]
    if status == "error":
        return f"its cell does not run{_error_in(title)}"
    if said.get("expected") == "a result":
        return f"it stops with an error{_error_in(said.get('got', ''))}"
    return UNKNOWN


def _error_in(text: str) -> str:
    """The first error in the text that Python itself knows, as a sentence's end."""
    for name in ERROR.findall(text):
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return f": {name}"
    return ""
