"""What no honest answer does: told to the instructor, while the points stay.

Checks run beside the answer, and references ship to students, so somebody who knows
Python's internals can forge a verdict. That leaves traces, and these are they.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator

from labcore.student.cells import parsed

__all__ = ["Untouched", "reading_frames"]

LOOKING_AROUND = {
    *("_getframe", "_current_frames", "currentframe", "f_back", "f_locals"),
    *("get_objects", "get_referrers", "get_referents", "tb_frame"),
    *("setprofile", "settrace", "__closure__", "cell_contents"),
}


class Untouched:
    """The functions that a verdict rests on, as they were before an answer ran."""

    def __init__(self) -> None:
        import torch

        engine = [
            module
            for name, module in sys.modules.items()
            if name.startswith("labcore.checks")
        ]
        self.places = [builtins, torch, torch.Tensor, *engine]
        self.before = [dict(_functions(place)) for place in self.places]

    def changed(self) -> Iterator[str]:
        """A remark for each place in which one of them is another one now."""
        for place, before in zip(self.places, self.before, strict=True):
            now = dict(_functions(place))
            names = [name for name, what in before.items() if now.get(name) != what]
            if names:
                some = ", ".join(sorted(names)[:3])
                yield f"it replaced {some} in {getattr(place, '__name__', place)}"


def _functions(place) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each function or class in it: which one it is, and which code it runs."""
    for name, value in list(vars(place).items()):
        if callable(value):
            yield name, (id(value), id(getattr(value, "__code__", None)))


def reading_frames(sources: Iterable[str]) -> Iterator[str]:
    """A remark for each line that looks into other functions or all objects."""
    for source in sources:
        tree = parsed(source)
        for node in ast.walk(tree) if tree else ():
            name = getattr(node, "attr", getattr(node, "id", ""))
            if name in LOOKING_AROUND:
                line = source.splitlines()[node.lineno - 1].strip()
                yield f"it uses {name}: {line[:200]}"
