"""An exercise: its reference, its steps from cheap to deep, and known mistakes.

A lab's module declares them from top to bottom. Each step and mistake belongs to the
exercise above it::

    lab = Lab(__name__)

    @lab.exercise("1.1", points={"idea": 2, "any tensor": 2})
    def get_sparsity(tensor):
        ...

    lab.step("idea", "no zeros", lambda ask: ask(torch.ones(3)))

    @lab.mistake("that is a percentage; a sparsity lies between 0 and 1")
    def _(tensor):
        return 100 * get_sparsity(tensor)

A check only calls the answer, and reads what comes back: tensors, numbers, dicts,
networks and the inputs that it passed.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from labcore import runtime
from labcore.checks.engine.confirm import Comparison, Otherwise
from labcore.checks.engine.message import message
from labcore.checks.engine.trial import Trial, Unnamed, Unwritten, Wrong
from labcore.checks.engine.watch import lent
from labcore.runtime import LabError

__all__ = [
    "REFUSED",
    "CheckFailed",
    "CheckTodo",
    "Exercise",
    "Fold",
    "Lab",
    "Mistake",
    "Step",
    "Verdict",
]

# modules that do what an exercise asks for: an answer has to do it itself
REFUSED = ("labcore.measure", "labcore.scan", "labcore.checks")
BY_HAND, REDRAWN = 12, 20  # an input of so many values is small; else draw so often


class CheckFailed(AssertionError):
    """A wrong answer. Notebooks show only the message; nbval and pytest still fail."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class CheckTodo(CheckFailed):
    """The exercise is unwritten or lent: raised in strict runs, otherwise printed."""


@dataclass(frozen=True)
class Verdict:
    status: str  # passed | partial | failed | todo | lent
    points: int
    of: int
    message: str


@dataclass(frozen=True)
class Step:
    """One test of an answer; `run` calls the answer through the Trial it receives."""

    group: str
    title: str
    run: Callable[[Trial], object]


@dataclass(frozen=True)
class Mistake:
    """A wrong function, called with all arguments in order, and its explanation."""

    sentence: str
    function: Callable
    help: str = ""  # the text of its Help fold in the lab

    @property
    def words(self) -> str:
        """The part that the fold quotes: the sentence up to the first `;` or `:`."""
        return re.split("[;:]", self.sentence)[0]


@dataclass(frozen=True)
class Fold:
    """A Help fold for the messages that contain any of these words."""

    words: list[str]
    text: str


@dataclass(eq=False)
class Exercise:
    """Everything that one check knows.

    reference  simple, readable, correct; students write a function of the same name
    points     for each group of steps, in the order in which they are earned
    refused    modules whose functions an answer must not call
    help       Help folds that belong to no mistake: words of a message -> text
    """

    id: str
    reference: Callable
    points_of: Mapping[str, int]
    refused: tuple[str, ...] = REFUSED
    steps: list[Step] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    help: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.reference.__name__

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.reference).parameters)

    @property
    def may_return_none(self) -> bool:
        """Whether the reference says so, as in `-> str | None`."""
        annotation = str(inspect.signature(self.reference).return_annotation)
        return annotation != "None" and "None" in annotation

    @property
    def points(self) -> int:
        return sum(self.points_of.values())

    def check(self, answer, *, bench=None) -> None:
        """Print ok or TODO; raise CheckFailed if the answer is wrong.

        bench   ignored; only notebooks from earlier terms pass it
        """
        verdict = self.run(answer)
        if verdict.status in ("failed", "partial"):
            raise CheckFailed(verdict.message)
        if verdict.status != "passed" and runtime.strict():
            raise CheckTodo(verdict.message)
        print(verdict.message)

    def run(
        self,
        answer,
        *,
        seed: int | None = None,
        note: Callable[[int], object] = lambda points: None,
    ) -> Verdict:
        """Run the steps in order and stop at the first that fails. Prints nothing.

        note   called after each step that passes, with the points earned so far
        """
        seed = runtime.check_seed() if seed is None else seed
        if getattr(answer, "lent", None) is self:
            text = "LENT  this is the reference; write your own to earn the points"
            return self._verdict("lent", 0, text)
        history: list[tuple] = []
        for done, step in enumerate(self.steps):

            def confirms(mistaken: Callable, done=done) -> bool:
                return self._agree(done, seed, answer, mistaken)

            before = list(history)
            try:
                self._take(step, seed, Trial, answer, history, confirms)
            except Unwritten as todo:
                return self._verdict("todo", 0, f"TODO  {todo}")
            except Wrong as wrong:
                ask = (answer, before, confirms)
                return self._wrong(done, self._smaller(step, seed, wrong, *ask))
            note(self._points_after(done + 1))
        titles = ", ".join(step.title for step in self.steps)
        total = len(self.steps)
        text = f"ok    {total} of {total}: {titles}"
        return self._verdict("passed", self.points, text)

    def _seed_of(self, step: Step, seed: int, draw: int | None) -> int:
        """A seed per step, so that adding a step does not change the others' inputs."""
        text = f"{seed} {self.id} {step.title}" + ("" if draw is None else f" {draw}")
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])

    def _take(
        self, step: Step, seed: int, kind: type[Trial], answer, *more, draw=None
    ) -> None:
        """Run a step with networks seeded, then restore torch's own random state.

        draw   the number of other random inputs
        """
        seed = self._seed_of(step, seed, draw)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rng = torch.Generator().manual_seed(seed)
            step.run(kind(self, answer, rng, *more))

    def _smaller(self, step: Step, seed: int, wrong: Wrong, answer, history, *more):
        """The failure with the smallest input, of this one and some drawn again.

        So a beginner can redo by hand what a random case shows.
        """
        found = {None: wrong.size}  # draw: size of its input
        for draw in range(REDRAWN if wrong.size > BY_HAND else 0):
            try:
                self._take(step, seed, Unnamed, answer, list(history), draw=draw)
            except Unwritten:
                break
            except Wrong as other:
                found[draw] = other.size or math.inf
        if (best := min(found, key=found.get)) is not None:
            try:
                self._take(step, seed, Trial, answer, list(history), *more, draw=best)
            except Wrong as smaller:
                return smaller
        return wrong

    def _agree(self, done: int, seed: int, answer, mistaken: Callable) -> bool:
        """Whether answer and mistake agree in this step and the rest of its group."""
        group = self.steps[done].group
        for step in (step for step in self.steps[done:] if step.group == group):
            try:
                self._take(step, seed, Comparison, answer, [], None, mistaken)
            except Otherwise:
                return False
            except Exception:  # the step judges by itself, so it shows nothing
                continue
        return True

    def _wrong(self, done: int, wrong: Wrong) -> Verdict:
        """The verdict if the first `done` steps passed and the next one failed."""
        earned = self._points_after(done)
        title = f"FAILED at step {done + 1} of {len(self.steps)}: "
        title += self.steps[done].title
        lines = wrong.lines | {"read": self._read(wrong.lines)}
        status = "partial" if earned else "failed"
        return self._verdict(status, earned, title, lines, wrong.picture)

    def _points_after(self, done: int) -> int:
        """Points of the groups whose steps are all among the first `done`."""
        still_open = {step.group for step in self.steps[done:]}
        return sum(
            points
            for group, points in self.points_of.items()
            if group not in still_open
        )

    def _read(self, lines: Mapping[str, str]) -> str:
        """Where a student finds help: the lab's fold that contains these words."""
        said = " ".join(lines.get(label, "") for label in ("likely", "got"))
        for fold in self.folds:
            if words := next((words for words in fold.words if words in said), ""):
                return f'Help "{words}", just below'
        return f"Hint 1 of exercise {self.id}, just below"

    @property
    def folds(self) -> list[Fold]:
        """The Help folds that the lab shows below the hints of this exercise."""
        words_of: dict[str, list[str]] = {}
        helping = [(m.words, m.help) for m in self.mistakes if m.help]
        for words, text in [*helping, *self.help.items()]:
            known = words_of.setdefault(text, [])
            if not any(shorter in words for shorter in known):
                known.append(words)
        return [Fold(words, text) for text, words in words_of.items()]

    def _verdict(self, status: str, points: int, title: str, *below) -> Verdict:
        text = message(f"[{self.id} {self.name}] {title}", *below)
        return Verdict(status, points, self.points, text)


class Lab:
    """The exercises of one notebook, by function name.

    For each of them, the module that declares them gets a function `check_...`.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.exercises: dict[str, Exercise] = {}

    def exercise(
        self, id: str, points: Mapping[str, int], refused: tuple[str, ...] = REFUSED
    ) -> Callable[[Callable], Callable]:
        """A decorator for the reference; the steps below belong to this exercise."""

        def declare(reference: Callable) -> Callable:
            made = Exercise(id, reference, points, refused)
            self.exercises[made.name] = made
            setattr(sys.modules[self.module], f"check_{made.name}", made.check)
            return reference

        return declare

    def step(self, group: str, title: str, run: Callable | None = None) -> Callable:
        """Add a step: use it as a decorator, or call it with the function."""

        def declare(run: Callable) -> Callable:
            exercise = self._last()
            if group not in exercise.points_of:
                raise ValueError(f"{exercise.name} gives no points for {group!r}")
            if title in (step.title for step in exercise.steps):
                raise ValueError(f"{exercise.name} has two steps named {title!r}")
            exercise.steps.append(Step(group, title, run))
            return run

        return declare(run) if run else declare

    def mistake(
        self, sentence: str, function: Callable | None = None, *, help: str = ""
    ) -> Callable:
        """Add a known mistake: use it as a decorator, or call it with the function.

        Students see its sentence if the mistake explains every result so far. With
        `help`, the message also points to the lab's Help fold about this mistake.
        """

        def declare(function: Callable) -> Callable:
            self._last().mistakes.append(Mistake(sentence, function, help))
            return function

        return declare(function) if function else declare

    def help(self, words: str, text: str) -> None:
        """A Help fold for messages with these words that no known mistake explains."""
        self._last().help[words] = text

    def lend(self, name: str) -> Callable:
        """The reference of an exercise, to continue the lab: f = lab.lend("f")."""
        if name not in self.exercises:
            raise LabError(
                f"There is no exercise {name!r} here: "
                f"choose one of {', '.join(self.exercises)}."
            )
        exercise = self.exercises[name]
        call = f'{name} = {self.module.split(".")[-1]}.lend("{name}")'
        print(
            f"[{exercise.id} {name}] LENT  {call} puts the reference in place, for no "
            "points"
        )
        return lent(exercise)

    def _last(self) -> Exercise:
        if not self.exercises:
            raise ValueError("a step or mistake stands above the first exercise")
        return next(reversed(self.exercises.values()))
