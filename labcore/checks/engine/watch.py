"""An answer is watched while it runs: it must not call what does its work for it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcore.checks.engine.exercise import Exercise

__all__ = ["Watched", "handed", "lent", "report", "watched"]

_watches: list[_Watch] = []  # of the answers that run now, the innermost last
_helpers: list[Callable] = []  # what they may call and runs now, so is not watched


@dataclass
class _Watch:
    exercise: Exercise
    entered: list[str]  # the refused functions that the answer called

    def note(self, module: str, function: str) -> None:
        if module != __name__ and module.startswith(self.exercise.refused):
            self.entered.append(f"{module}.{function}")


def watched(
    exercise: Exercise, entered: list[str], function: Callable, *args, **kwargs
):
    """Call it; the names of refused functions that it enters go into `entered`."""
    watch = _Watch(exercise, entered)

    def profile(frame, event: str, _arg) -> None:
        if event == "call" and not _helpers:  # first what is cheap: it sees every call
            watch.note(_module_of(frame.f_code.co_filename), frame.f_code.co_name)

    previous = sys.getprofile()
    _watches.append(watch)
    sys.setprofile(profile)
    try:
        return function(*args, **kwargs)
    finally:
        sys.setprofile(previous)
        _watches.pop()


def report(name: str) -> None:
    """An answer that runs in another process called this function of labcore there."""
    if _watches:
        module, _, function = name.rpartition(".")
        _watches[-1].note(module, function)


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
    def unwatched(*args, **kwargs):
        _helpers.append(function)
        try:
            return function(*args, **kwargs)
        finally:
            _helpers.pop()

    return unwatched


def lent(exercise: Exercise) -> Callable:
    """The reference, marked: it helps other exercises but earns nothing in its own."""

    @functools.wraps(exercise.reference)
    def reference(*args, **kwargs):
        own_check = any(watch.exercise is exercise for watch in _watches)
        return (exercise.reference if own_check else helping)(*args, **kwargs)

    helping = handed(exercise.reference)
    reference.lent = exercise
    return reference
