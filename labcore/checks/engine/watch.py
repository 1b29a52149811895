"""An answer is watched while it runs: it must not call what does its work for it."""

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

clock: AbstractContextManager = nullcontext()  # runs while an answer does
remarks: list[str] = []  # what an answer did that no honest one does
_watches: list[_Watch] = []  # of the answers that run now, the innermost last


@dataclass
class _Watch:
    exercise: Exercise
    entered: list[str]  # the refused functions that the answer called

    def see(self, frame, event: str, _arg) -> None:
        """A profiler: it sees every call, and so looks first at what is cheap."""
        if event != "call":
            return
        module = _module_of(frame.f_code.co_filename)
        refused = module.startswith(self.exercise.refused) and module != __name__
        if refused and not self._is_ours(frame.f_back):
            self.entered.append(f"{module}.{frame.f_code.co_name}")

    def _is_ours(self, caller) -> bool:
        """Whether labcore calls it, or what an answer was handed or lent."""
        module = _module_of(caller.f_code.co_filename)
        if module == __name__:
            return caller.f_code.co_name == "on_our_side"
        return module.startswith(("labcore.", *self.exercise.refused))


def watched(
    exercise: Exercise, entered: list[str], function: Callable, *args, **kwargs
):
    """Call it; the names of refused functions that it enters go into `entered`."""
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
    """The module that was read from this file; a global `__name__` could be forged."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get("__file__") == file:
            return name
    return ""


class Watched:
    """An answer: calls of it, and of its instance's methods where it is a class."""

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
    """Marks what a check hands over to be called, so that an answer may call it."""

    @functools.wraps(function)
    def on_our_side(*args, **kwargs):
        return function(*args, **kwargs)

    return on_our_side


def lent(exercise: Exercise) -> Callable:
    """The reference, marked: it helps other exercises but earns nothing in its own."""

    @functools.wraps(exercise.reference)
    def reference(*args, **kwargs):
        if any(watch.exercise is exercise for watch in _watches):
            return exercise.reference(*args, **kwargs)  # its own check: no answer
        if _watches and _later(exercise, _watches[-1].exercise):
            remark = f"it calls the reference of exercise {exercise.id}"
            remarks.append(remark) if remark not in remarks else None
        return helping(*args, **kwargs)

    helping = handed(exercise.reference)
    reference.lent = exercise
    return reference


def _later(one: Exercise, other: Exercise) -> bool:
    """Whether it comes later in the same lab, so that the other cannot build on it."""
    places = [tuple(map(int, exercise.id.split("."))) for exercise in (one, other)]
    return places[0][0] == places[1][0] and places[0] > places[1]
