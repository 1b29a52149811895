"""`labcore grade --talk`: small changes of a student's own code, and what they do.

The changes run after the answers themselves, in the process that is open anyway, for
no longer than the answers took. The three whose outcomes differ most are kept.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labcore.checks.engine.likeness import NO_RETURN
from labcore.checks.engine.message import parts
from labcore.staff.grading.intake import sound
from labcore.staff.mutants import Mutant, mutants
from labcore.student.cells import parsed
from labcore.student.running import WALL, Outcome

__all__ = ["KEPT", "Order", "changes_of", "telling"]

KEPT = 3
MOST, MOST_OF_ONE = 40, 12  # changes of a notebook, and of one answer
LONGEST_ANSWER, LONGEST_LINE = 6_000, 100  # characters
SECONDS = 2  # of processor time for a change: one that loops is dropped
SHARE = 0.8  # of the time that the answers took: the last change may take longer
ANSWERED = ("passed", "partial")
DULL = ("the error comes from line", NO_RETURN)  # other outcomes tell more


def changes_of(exercises: Sequence[dict], student: str) -> list[dict]:
    """Changed answers, as exercises that refer to the one they come from.

    Students with the same code get different changes.
    """
    found = []
    for number, asked in enumerate(exercises):
        for mutant in _some(asked["answer"], student):
            found.append(
                {
                    **{name: asked[name] for name in ("id", "name", "points")},
                    "of": number,
                    "answer": mutant.source,
                    "seconds": SECONDS,
                    "wall": WALL * SECONDS,
                    "line": mutant.line,
                    "before": mutant.before,
                    "after": mutant.after,
                }
            )
    return found


def _some(source: str, student: str) -> list[Mutant]:
    """A few changes of short lines, spread over them."""
    if len(source) > LONGEST_ANSWER or parsed(source) is None:
        return []
    short = [m for m in mutants(source) if 0 < len(m.after) <= LONGEST_LINE]
    by_line: dict[int, list[Mutant]] = {}
    for mutant in sorted(short, key=lambda mutant: _drawn(student + mutant.source)):
        by_line.setdefault(mutant.line, []).append(mutant)
    rounds = max(map(len, by_line.values()), default=0)
    spread = [
        ms[turn] for turn in range(rounds) for ms in by_line.values() if ms[turn:]
    ]
    return spread[:MOST_OF_ONE]


def _drawn(text: str) -> bytes:
    """A fixed place in a random order."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


class Order:
    """The numbers of the exercises to run: the answers, then changes while time lasts.

    Only answers that earned something are changed; `outcomes` fills meanwhile.
    """

    def __init__(self, exercises: Sequence[Mapping]) -> None:
        self.exercises = exercises
        self.answers = sum("of" not in asked for asked in exercises)
        self.outcomes: list[Outcome] = []
        self.ran: list[int] = []

    def __iter__(self) -> Iterator[int]:
        began = time.monotonic()
        yield from self._run(range(self.answers))
        now = time.monotonic()
        late = now + SHARE * (now - began)
        for number in self._changes():
            if time.monotonic() > late:
                return
            yield from self._run([number])

    def _run(self, numbers: Sequence[int]) -> Iterator[int]:
        for number in numbers:
            self.ran.append(number)
            yield number

    def _changes(self) -> list[int]:
        """One of each exercise in turn."""
        of: dict[int, list[int]] = {
            n: [] for n in range(self.answers) if self.outcomes[n].status in ANSWERED
        }
        for number, asked in enumerate(self.exercises):
            if asked.get("of") in of:
                of[asked["of"]].append(number)
        rounds = max(map(len, of.values()), default=0)
        turns = [ns[turn] for turn in range(rounds) for ns in of.values() if ns[turn:]]
        return turns[:MOST]

    def changes(self) -> list[dict]:
        """What the check said of each change that it refused."""
        pairs = zip(self.ran, self.outcomes, strict=False)
        return [
            _found(self.exercises[number], outcome)
            for number, outcome in pairs
            if "of" in self.exercises[number]
            and outcome.status in ("failed", "partial")
        ]


def _found(asked: Mapping, outcome: Outcome) -> dict:
    shown = ("id", "name", "line", "before", "after")
    texts = {name: sound(str(asked[name])) for name in shown}
    return texts | {"line": asked["line"], "message": sound(outcome.message)}


@dataclass(frozen=True)
class _Said:
    """What a check's message says of a change."""

    change: Mapping
    step: tuple[str, str]
    cause: str

    @property
    def line(self) -> tuple[str, int]:
        return self.change["id"], self.change["line"]


def telling(changes: Sequence[Mapping], most: int = KEPT) -> list[Mapping]:
    """Those that differ most: in the failing step, then in the cause, then the line."""
    left, kept = [_said(change) for change in changes], []
    while left and len(kept) < most:
        left.sort(key=lambda said: _news(said, kept), reverse=True)
        kept.append(left.pop(0))
        left = [said for said in left if said.line not in {k.line for k in kept}]
    return [said.change for said in kept]


def _said(change: Mapping) -> _Said:
    title, rows = parts(change["message"])
    return _Said(change, (change["id"], title), rows.get("likely", ""))


def _news(said: _Said, kept: Sequence[_Said]) -> tuple[bool, ...]:
    return (
        not said.cause.startswith(DULL),
        said.step not in {k.step for k in kept},
        said.step[0] not in {k.step[0] for k in kept},
        bool(said.cause) and said.cause not in {k.cause for k in kept},
    )
