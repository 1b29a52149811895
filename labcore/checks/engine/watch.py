"""Watch an answer while it runs: it must not call functions that do its work."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcore.checks.engine.exercise import Exercise

__all__ = ["Watched", "handed", "lent", "watched"]

clock: AbstractContextManager = nullcontext()  # runs only while an answer runs
remarks: list[str] = []  # what an answer did that no honest answer does
_watches: list[_Watch] = []  # of the answers that are running, the innermost last


@dataclass
class _Watch:
    exercise: Exercise
    entered: list[str]  # refused functions that the answer called

    def see(self, frame, event: str, _arg) -> None:
        """A profiler; it sees every call, so it makes the cheap tests first."""
        if event != "call":
            return
        module = _module_of(frame.f_code.co_filename)
        refused = module.startswith(self.exercise.refused) and module != __name__
        if refused and not self._is_ours(frame.f_back):
            self.entered.append(f"{module}.{frame.f_code.co_name}")

    def _is_ours(self, caller) -> bool:
        """Whether labcore made the call, or a function that the answer was given."""
        module = _module_of(caller.f_code.co_filename)
        if module == __name__:
            return caller.f_code.co_name == "on_our_side"
        return module.startswith(("labcore.", *self.exercise.refused))


def watched(
    exercise: Exercise, entered: list[str], function: Callable, *args, **kwargs
):
    """Call it; `entered` collects the names of the refused functions that it calls."""
    watch = _Watch(exercise, entered)
    previous = sys.getprofile()
    _watches.append(watch)
    sys.setprofile(watch.see)
    try:
        with clock:
            return function(*args, **kwargs)
    finally:
        sys.setprofile(previous)
        _watches.pop()


@functools.cache
def _module_of(file: str) -> str:
    """The module loaded from this file; a global `__name__` could be forged."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get("__file__") == file:
            return name
    return ""


class Watched:
    """A watched answer: calls of it, and of its methods if it is a class."""

    def __init__(self, inner, watch: Callable) -> None:
        self._inner, self._watch = inner, watch

    def __call__(self, *args):
        made = self._watch(self._inner, *args)
        is_class = isinstance(self._inner, type)
        return Watched(made, self._watch) if is_class else made

    def __getattr__(self, name: str):
        value = getattr(self._inner, name)
        return functools.partial(self._watch, value) if callable(value) else value


def handed(function: Callable) -> Callable:
    """Mark a function that a check passes to the answer, so that it may be called."""

    @functools.wraps(function)
    def on_our_side(*args, **kwargs):
        return function(*args, **kwargs)

    return on_our_side


def lent(exercise: Exercise) -> Callable:
    """The reference, marked: it helps other exercises but earns nothing in its own."""

    @functools.wraps(exercise.reference)
    def reference(*args, **kwargs):
        if any(watch.exercise is exercise for watch in _watches):
            return exercise.reference(*args, **kwargs)  # its own check: not an answer
        if _watches and _later(exercise, _watches[-1].exercise):
            remark = f"it calls the reference of exercise {exercise.id}"
            if remark not in remarks:
                remarks.append(remark)
        return helping(*args, **kwargs)

    helping = handed(exercise.reference)
    reference.lent = exercise
    return reference


def _later(one: Exercise, other: Exercise) -> bool:
    """Whether `one` comes later in the same lab, so `other` cannot build on it."""
    places = [tuple(map(int, exercise.id.split("."))) for exercise in (one, other)]
    return places[0][0] == places[1][0] and places[0] > places[1]
