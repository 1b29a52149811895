"""Before a likely cause is named: does that mistake explain the next steps as well?

One wrong number has many explanations. So the answer and the mistake run side by side
through the steps of the group that are still to come, and have to agree there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labcore.checks.engine.compare import clone, same
from labcore.checks.engine.trial import Trial, Wrong
from labcore.checks.engine.watch import Watched, watched

__all__ = ["Comparison", "Otherwise"]

FAILED = object()  # the result of a call that raises


class Otherwise(Exception):
    """The answer does something else than the mistake."""


@dataclass
class Comparison(Trial):
    """A step's view of an answer that failed: it is compared with a known mistake."""

    mistaken: Callable = lambda *args: None

    def __call__(self, *args, **kwargs) -> object:
        """Compare the two results; the step goes on with the right one."""
        self._compare(
            lambda: self._watched(self.answer, *clone(args), **clone(kwargs)),
            lambda: self._outcome(self.mistaken, args, kwargs)[0],
        )
        return self.exercise.reference(*clone(args), **clone(kwargs))

    def call(self, *args, **kwargs):
        """A step that judges by itself has nothing to compare with."""
        raise Wrong

    def through(self, scenario: Callable, *args, **_how) -> None:
        answer = Watched(self.answer, self._watched)
        self._compare(
            lambda: scenario(answer, *clone(args)),
            lambda: scenario(self.mistaken, *clone(args)),
        )

    def _watched(self, answer: Callable, *args, **kwargs):
        return watched(self.exercise, [], answer, *args, **kwargs)

    def _compare(self, *both: Callable) -> None:
        one, other = map(_result, both)
        if (one is FAILED) != (other is FAILED) or not (
            one is FAILED or same(one, other)
        ):
            raise Otherwise


def _result(ask: Callable):
    try:
        return ask()
    except (Exception, SystemExit):
        return FAILED
