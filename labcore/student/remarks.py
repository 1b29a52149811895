"""Traces of tampering: the instructor is told, but the points stay.

Checks run in the same process as the answer, and students have the references, so
anyone who knows Python's internals can forge a verdict. Forging leaves traces that no
honest answer leaves. This module looks for them.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from labcore.student.cells import parsed

__all__ = ["Untouched", "reading_frames"]

LOOKING_AROUND = {
    *("_getframe", "_current_frames", "currentframe", "f_back", "f_locals"),
    *("get_objects", "get_referrers", "get_referents", "tb_frame"),
    *("setprofile", "settrace", "__closure__", "cell_contents"),
}


class Untouched:
    """The functions that decide a verdict, as they were before the answer ran."""

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
        """A remark for each place where one of these functions was replaced."""
        for place, before in zip(self.places, self.before, strict=True):
            now = dict(_functions(place))
            names = [
                name
                for name, what in before.items()
                if now.get(name) != what
                and not _wrapped_by_torch(getattr(place, name, None), what)
            ]
            if names:
                some = ", ".join(sorted(names)[:3])
                yield f"it replaced {some} in {getattr(place, '__name__', place)}"


def _wrapped_by_torch(value: object, before: tuple[int, int]) -> bool:
    """Whether PyTorch itself put a wrapper around the function.

    It does so with manual_seed, when the first optimizer is made.
    """
    import torch

    inner = inspect.unwrap(value) if callable(value) else value
    code = getattr(value, "__code__", None)
    return (
        inner is not value
        and (id(inner), id(getattr(inner, "__code__", None))) == before
        and code is not None
        and Path(code.co_filename).is_relative_to(Path(torch.__file__).parent)
    )


def _functions(place) -> Iterator[tuple[str, tuple[int, int]]]:
    """For each function or class in `place`: its identity and that of its code."""
    for name, value in list(vars(place).items()):
        if callable(value):
            yield name, (id(value), id(getattr(value, "__code__", None)))


def reading_frames(sources: Iterable[str]) -> Iterator[str]:
    """A remark for each line that inspects other functions' frames or all objects."""
    for source in sources:
        tree = parsed(source)
        for node in ast.walk(tree) if tree else ():
            name = getattr(node, "attr", getattr(node, "id", ""))
            if name in LOOKING_AROUND:
                line = source.splitlines()[node.lineno - 1].strip()
                yield f"it uses {name}: {line[:200]}"
