"""Stand-ins for labcore's functions that do just what an exercise asks for.

A profiler sees calls of them too, but an answer can switch it off; these it would have
to dig out. That is no wall: who copies the text of a function has it all the same.
"""

from __future__ import annotations

import dis
import gc
import importlib
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FunctionType

__all__ = ["mask", "needs"]


def mask(refused: tuple[str, ...], entered: Callable[[str], None]) -> None:
    """Every function of these modules, by whatever name it is held, calls `entered`
    with its own name first.
    """
    for name in refused:
        with suppress(ImportError):  # a prefix of names, or a module that is hidden
            importlib.import_module(name)
    for thing in gc.get_objects():
        if type(thing) is FunctionType and _origin(thing).startswith(refused):
            if not thing.__code__.co_freevars:
                _mask(thing, entered)


def needs(code: CodeType, refused: tuple[str, ...], scope: dict) -> bool:
    """Whether a function in this code, once called, would use these modules."""
    return any(
        any(_leads_to(step, refused, scope) for step in dis.get_instructions(inner))
        or needs(inner, refused, scope)
        for inner in code.co_consts
        if isinstance(inner, CodeType)
    )


def _leads_to(step: dis.Instruction, refused: tuple[str, ...], scope: dict) -> bool:
    if step.opname == "IMPORT_NAME":
        return step.argval.startswith(refused)
    if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME"):
        return False
    found = scope.get(step.argval)
    name = getattr(found, "__module__", None) or getattr(found, "__name__", "")
    return str(name).startswith(refused)


def _origin(function: FunctionType) -> str:
    return str(function.__globals__.get("__name__"))


def _mask(function: FunctionType, entered: Callable[[str], None]) -> None:
    name = function.__name__
    real = FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__
    )
    real.__kwdefaults__ = function.__kwdefaults__
    full_name = f"{_origin(function)}.{name}"

    def enter(*args, **kwargs):
        entered(full_name)
        return real(*args, **kwargs)

    def stand_in(*args, _enter, **kwargs):
        return _enter(*args, **kwargs)

    function.__defaults__, function.__kwdefaults__ = None, {"_enter": enter}
    function.__code__ = stand_in.__code__.replace(co_name=name)
