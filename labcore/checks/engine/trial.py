"""How one step deals with an answer: calling it, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import labcore
from labcore.checks.engine.compare import clone, difference, same, show, values_in
from labcore.checks.engine.likeness import changes, likeness, within
from labcore.checks.engine.picture import bars_picture, mask_picture
from labcore.checks.engine.watch import Watched, watched
from labcore.runtime import LabError

if TYPE_CHECKING:
    from labcore.checks.engine.exercise import Exercise

# what an unwritten exercise raises
STUBS = ("", "exercise not done yet")
# lines of these files tell students nothing: ours, Python's, those of packages
NOT_THE_STUDENTS = (
    str(Path(labcore.__file__).parent),
    *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")),
    "<frozen",
)

LABELS = ("given", "expected", "got", "likely")

__all__ = ["Trial", "Unnamed", "Unwritten", "Wrong"]


class Unwritten(Exception):
    """The answer, or a function that it uses, is still the stub."""


class Wrong(Exception):
    """What a step found: the message's lines below the title, and a picture.

    size   of the input, in values; 0 if it is not one to redo by hand, as a network
    """

    size = 0

    def __init__(self, picture: Sequence[str] = (), **lines: str) -> None:
        self.picture = picture
        self.lines = {label: lines[label] for label in LABELS if lines.get(label)}


@dataclass
class Trial:
    """A step's view of an answer: it calls the answer, and says what is wrong."""

    exercise: Exercise
    answer: object
    rng: torch.Generator
    # correct results so far: (how to ask a known mistake the same, the result)
    history: list[tuple[Callable, object]] = field(default_factory=list)
    # whether a known mistake explains the steps to come as well
    confirms: Callable[[Callable], bool] = lambda mistaken: True

    def __call__(self, *args, **kwargs) -> object:
        """Call the answer; compare its result and inputs with the reference's."""
        with sized(args):
            return self._compared(*args, **kwargs)

    def _compared(self, *args, **kwargs) -> object:
        args = tuple(clone(a) if isinstance(a, dict | list) else a for a in args)
        before, expected_args = clone(args), clone(args)
        given = self._given(args, kwargs)
        expected = self.exercise.reference(*expected_args, **clone(kwargs))
        got = self.call(*args, **kwargs)

        def asked(mistaken: Callable):
            return self._outcome(mistaken, before, kwargs)[0]

        if not same(expected, got):
            self._differs(expected, got, given, asked)
        if not same(expected_args, args):
            changed = self._changed_arguments(before, expected_args, args, kwargs, got)
            self.wrong(given=given, **changed)
        self.history.append((asked, got))
        return got

    def _changed_arguments(self, before, expected, args, kwargs, got) -> dict[str, str]:
        """The lines about the first argument that is not as it should be afterwards."""
        pairs = enumerate(zip(expected, args, strict=True))
        place = next(at for at, pair in pairs if not same(*pair))
        expected_text, got_text = difference(expected[place], args[place])
        name = self.exercise.parameters[place]
        if same(before, expected):
            expected_text = f"{name} unchanged"
            likely = _in_place(before[place], args[place])
        else:
            likely = self.known_mistake(before, kwargs, got, after=args)
            if not likely and same(before[place], args[place]):
                likely = f"{name} is unchanged; this function has to change it in place"
            if not likely:
                said = likeness(expected[place], args[place], seen=True)
                likely = said and within(name, said)
        return {
            "expected": expected_text,
            "got": f"{name} is now {got_text}",
            "likely": likely,
        }

    def call(self, *args, **kwargs):
        """The answer's result, not compared; whatever it raises becomes a finding."""
        given = self._given(args, kwargs)
        return self._guarded(lambda watch: watch(self.answer, *args, **kwargs), given)

    def through(
        self,
        scenario: Callable,
        *args,
        oracle: Callable | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Compare what `scenario(answer, *args)` returns, for an answer with methods or
        a result of which only a part matters.

        The scenario's docstring tells students what it does, before the arguments.
        oracle   what to compare the answer with, if not the reference
        names    of the arguments, if they differ from the answer's
        """
        with sized(args):
            self._played(scenario, args, oracle, names)

    def _played(self, scenario: Callable, args, oracle, names) -> None:
        expected = scenario(oracle or self.exercise.reference, *clone(args))
        before, given = clone(args), self._given(args, {}, names)
        given = "; ".join(filter(None, (scenario.__doc__, given)))

        def played(answer: Callable):
            # a copy: the answer's changes to it must not reach later steps
            return scenario(answer, *clone(before))

        got = self._guarded(lambda watch: played(Watched(self.answer, watch)), given)
        if not same(expected, got):
            self._differs(expected, got, given, played, seen=True)
        self.history.append((played, got))

    def _differs(
        self, expected, got, given: str, asked: Callable, seen: bool = False
    ) -> None:
        """Report a wrong result; `asked(mistake)` calls a mistake in the same way."""
        expected_text, got_text = difference(expected, got)
        may_be_none = self.exercise.may_return_none
        self.wrong(
            given=given,
            expected=expected_text,
            got=got_text,
            likely=self._first_like(got, asked)
            or self._changed(expected, got, asked)
            or likeness(expected, got, may_be_none=may_be_none, seen=seen),
            picture=bars_picture(expected, got) or mask_picture(expected, got),
        )

    def _guarded(self, ask: Callable[[Callable], object], given: str):
        """`ask(watch)`, which must call the answer only as `watch(answer, ...)`."""
        if not callable(self.answer):
            self.wrong(
                expected=f"a function {self.exercise.name}({self._signature()})",
                got=show(self.answer),
                likely="run the cell that defines it, and pass its name without ()",
            )
        forbidden: list[str] = []
        result = failure = None
        try:
            result = ask(functools.partial(watched, self.exercise, forbidden))
        except NotImplementedError as error:
            if str(error) in STUBS:  # torch raises it too, with other texts
                raise Unwritten(self._unwritten(error)) from None
            failure = error
        except (Exception, SystemExit) as error:
            failure = error
        if forbidden:
            self.wrong(
                expected="an answer of your own",
                got=f"a call of {forbidden[0]}",
                likely="that function does what this exercise asks you to write",
            )
        if failure:
            self.wrong(
                given=given,
                expected="a result",
                got=_told(failure),
                likely=self._cause(failure),
            )
        return result

    def wrong(self, picture: Sequence[str] = (), **lines: str) -> None:
        """End the step with lines for any of LABELS; they are shown in that order."""
        raise Wrong(picture, **lines)

    def known_mistake(self, args, kwargs, got, after=None) -> str:
        """The known mistake with this result (and, if given, these arguments after).

        It must also explain the correct results before.
        """

        def asked(mistaken: Callable):
            result, inputs = self._outcome(mistaken, args, kwargs)
            return result if after is None else (result, inputs[: len(after)])

        return self._first_like(got if after is None else (got, after), asked)

    def _first_like(self, got, ask: Callable[[Callable], object]) -> str:
        """The sentence of the first mistake that explains `got` and earlier results.

        If there are more steps in the group, the two have to agree there as well.
        """
        for mistake in self.exercise.mistakes:
            if self._explains(mistake.function, got, ask):
                return mistake.sentence
        return ""

    def _changed(self, expected, got, ask: Callable[[Callable], object]) -> str:
        """A sentence if all results are the right ones with one change, as `-x`."""
        for sentence, change in changes(expected, got):

            def mistaken(*args, change=change):
                return change(self.exercise.reference(*args))

            if self._explains(mistaken, got, ask):
                return sentence
        return ""

    def _explains(self, mistaken: Callable, got, ask) -> bool:
        """Whether it gives this result and the earlier ones, and agrees in the rest."""
        tried = [(ask, got), *self.history]  # the newest result rules out most mistakes
        try:
            explains = all(same(asked(mistaken), seen) for asked, seen in tried)
            return explains and self.confirms(mistaken)
        except Exception:  # it fails on these inputs, so it is another mistake
            return False

    def _outcome(self, mistaken: Callable, args, kwargs) -> tuple:
        """The mistake's result, and its arguments afterwards."""
        bound = inspect.signature(self.exercise.reference).bind(*args, **kwargs)
        bound.apply_defaults()  # so that a mistake need not know the names
        inputs = clone(bound.args)
        return mistaken(*inputs), inputs

    def _cause(self, error: BaseException) -> str:
        if isinstance(error, RecursionError):
            return "the function calls itself without end"
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if not f.filename.startswith(NOT_THE_STUDENTS)]
        if isinstance(error, TypeError) and not own:  # raised by the call
            return f"its arguments are ({self._signature()}), in this order"
        if not own or not own[-1].line:
            return ""
        mine = [f for f in own if f.name == self.exercise.name] or own
        if mine[-1].lineno == own[-1].lineno:  # or a comprehension there
            return f"the error comes from line {own[-1].lineno}: {own[-1].line}"
        return (
            f"the error comes from line {own[-1].lineno} of {own[-1].name}, which was "
            f"called from line {mine[-1].lineno}: {mine[-1].line}"
        )

    def _unwritten(self, error: NotImplementedError) -> str:
        place = traceback.extract_tb(error.__traceback__)[-1].name
        own = place in (self.exercise.name, "__init__")
        if own or hasattr(self.exercise.reference, place) or len(place) < 2:
            return "not written yet; fill the cell above and run again"
        return f"it uses {place}, which is not written yet; write that one first"

    def _signature(self) -> str:
        return ", ".join(self.exercise.parameters)

    def _given(self, args, kwargs, names: Sequence[str] = ()) -> str:
        names = names or self.exercise.parameters
        named = dict(zip(names, args, strict=False)) | kwargs
        shown = {name: f"{name} = {show(value, 220)}" for name, value in named.items()}
        return ", ".join(sorted(shown.values(), key=len))  # the last may be cut


class Unnamed(Trial):
    """Finds what is wrong, but not the likely cause, which would take longer."""

    def _first_like(self, *_) -> str:
        return ""

    def _changed(self, *_) -> str:
        return ""


@contextlib.contextmanager
def sized(args):
    """Note on a failure how large its input is."""
    try:
        yield
    except Wrong as wrong:
        wrong.size = values_in(args)
        raise


def _told(error: BaseException) -> str:
    if isinstance(error, LabError):
        return str(error)  # a sentence of ours
    return " ".join(traceback.format_exception_only(error))


def _in_place(before: object, changed: object) -> str:
    """What probably changed an input that should stay the same."""
    plain = isinstance(changed, dict | list)
    values = changed.values() if isinstance(changed, dict) else changed
    held = plain and any(isinstance(value, torch.Tensor) for value in values)
    if plain and not (held and len(before) == len(changed)):
        return "pop(), sort() and assignments change the input; copy it first"
    return (
        "an operation in place (x[...] = ..., or a name ending in _) changes the "
        "input; work on a copy"
    )
