"""The engine under every check: ordered steps, exact messages, points by group.

A check touches an answer only by calling it with tensors, numbers, dicts or networks,
and reads back values of these kinds and the inputs it handed over. So grading can call
an answer in another process, through a proxy.
"""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from labcore import runtime
from labcore.checks.engine.trial import Trial, Unwritten, Wrong, lent
from labcore.runtime import LabError

__all__ = ["CheckFailed", "CheckTodo", "Exercise", "Lab", "Step", "Verdict"]

WIDTH, LINES = 88, 8
# rooms that do what an exercise asks for: an answer has to do it itself
REFUSED = ("labcore.measure", "labcore.scan", "labcore.checks")


class CheckFailed(AssertionError):
    """A wrong answer. Notebooks show the message alone; nbval and pytest still fail."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class CheckTodo(CheckFailed):
    """An exercise not written yet, or lent: raised in strict runs, else printed."""


@dataclass(frozen=True)
class Verdict:
    status: str  # passed | partial | failed | todo | lent
    points: int
    of: int
    message: str


@dataclass(frozen=True)
class Step:
    """One thing that is tried; `run` asks the answer through the Trial it is given."""

    group: str
    title: str
    run: Callable[[Trial], object]


@dataclass(eq=False)
class Exercise:
    """One exercise: its oracle, its steps from cheap to deep, its known mistakes.

    spec       naive, readable, right; its name is the name of the function asked for
    points     points of each group of steps, in the order in which they are earned
    mistakes   sentence -> the wrong function it describes, called with all arguments
               in order; shown only where it explains every result so far
    read       where a student finds help
    refused    modules whose functions an answer must not call
    """

    id: str
    spec: Callable
    parameters: tuple[str, ...]
    groups: Mapping[str, int]
    read: str
    steps: Sequence[Step]
    mistakes: Mapping[str, Callable] = field(default_factory=dict)
    refused: tuple[str, ...] = REFUSED

    def __post_init__(self) -> None:
        if unknown := {step.group for step in self.steps} ^ set(self.groups):
            raise ValueError(f"{self.name}: groups without steps or points: {unknown}")
        titles = [step.title for step in self.steps]
        if len(set(titles)) < len(titles):
            raise ValueError(f"{self.name}: two steps have the same title: {titles}")

    @property
    def name(self) -> str:
        return self.spec.__name__

    @property
    def points(self) -> int:
        return sum(self.groups.values())

    def check(self, answer, *, bench=None) -> None:
        """Print ok or TODO; raise CheckFailed where the answer is wrong."""
        verdict = self.run(answer, bench=bench)
        if verdict.status in ("failed", "partial"):
            raise CheckFailed(verdict.message)
        if verdict.status != "passed" and runtime.strict():
            raise CheckTodo(verdict.message)
        print(verdict.message)

    def run(self, answer, *, bench=None, seed: int | None = None) -> Verdict:
        """Take the steps in order up to the first that fails. Prints nothing."""
        seed = runtime.check_seed() if seed is None else seed
        if getattr(answer, "lent", None) is self:
            text = "LENT  the reference stands in; write your own for the points"
            return self._verdict("lent", 0, text)
        passed: list[Step] = []
        history: list[tuple] = []
        for number, step in enumerate(self.steps):
            try:
                self._take(step, self._draw(seed, step), answer, bench, history)
            except Unwritten as todo:
                return self._verdict("todo", 0, f"TODO  {todo}")
            except Wrong as wrong:
                earned = self._points(passed)
                title = (
                    f"FAILED at step {number + 1} of {len(self.steps)}: {step.title}"
                )
                lines = wrong.lines | {"read": self.read}
                status = "partial" if earned else "failed"
                return self._verdict(status, earned, title, lines, wrong.picture)
            passed.append(step)
        titles = ", ".join(step.title for step in passed)
        text = f"ok    {len(passed)} of {len(self.steps)}: {titles}"
        return self._verdict("passed", self.points, text)

    def _draw(self, seed: int, step: Step) -> int:
        """The seed of one step's inputs: a step more changes no other's."""
        text = f"{seed} {self.id} {step.title}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])

    def _take(self, step: Step, seed: int, answer, bench, history: list) -> None:
        """One step, in which new networks are seeded; torch's own draws go on after."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rng = torch.Generator().manual_seed(seed)
            step.run(Trial(self, answer, rng, bench, history))

    def _points(self, passed: list[Step]) -> int:
        """Points of the groups all of whose steps are among those passed."""
        open_groups = {step.group for step in self.steps[len(passed) :]}
        return sum(p for group, p in self.groups.items() if group not in open_groups)

    def _verdict(
        self,
        status: str,
        points: int,
        title: str,
        lines: Mapping[str, str] | None = None,
        picture: Sequence[str] = (),
    ) -> Verdict:
        head = _fold(f"[{self.id} {self.name}] ", title, 2)
        rows = [
            _fold(f"  {label:<9} ", text, 2) for label, text in (lines or {}).items()
        ]
        room = LINES - len(head) - len(rows)  # lines left for what had to be folded
        shown = head
        for row in rows:
            extra = row[1 : 1 + max(0, room)]
            room -= len(extra)
            shown = shown + row[:1] + extra
            if len(row) > 1 + len(extra):
                shown[-1] = shown[-1][: WIDTH - 4].rstrip(" .") + " ..."
        message = "\n".join([*shown, *picture])
        return Verdict(status, points, self.points, message)


def _fold(label: str, text: str, most: int) -> list[str]:
    """`label` and `text` on at most `most` lines, the later ones indented below it."""
    return textwrap.wrap(
        "".join(c if c.isprintable() else " " for c in text),
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * min(len(label), 12),
        max_lines=most,
        placeholder=" ...",
        break_on_hyphens=False,
    )


class Lab:
    """The exercises of one notebook, by the name of the function asked for."""

    def __init__(self) -> None:
        self.exercises: dict[str, Exercise] = {}

    def exercise(self, id: str, spec: Callable, **parts) -> Exercise:
        exercise = Exercise(id, spec, **parts)
        self.exercises[exercise.name] = exercise
        return exercise

    def lend(self, name: str) -> None:
        """Put the reference of an exercise in place, so that the lab can go on."""
        if name not in self.exercises:
            raise LabError(
                f"There is no exercise {name!r} here: "
                f"choose one of {', '.join(self.exercises)}."
            )
        reference = lent(self.exercises[name])
        sys._getframe(1).f_globals[name] = reference
        print(self.exercises[name].run(reference).message)
