"""Wrappers around labcore's functions that do just what an exercise asks for.

A profiler sees calls of them too, but an answer can switch it off; these it would have
to dig out. That is no wall: who copies the text of a function has it all the same.
"""

from __future__ import annotations

import dis
import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, ModuleType

__all__ = ["needs", "wrap"]


def wrap(refused: tuple[str, ...], scope: dict, entered: Callable[[str], None]) -> None:
    """Every function and method of these modules calls `entered` with its name first.

    Replaced are those that a loaded module, a class of these modules or `scope` names.
    """
    for name in refused:
        with suppress(ImportError):  # a prefix of names, or a module that is hidden
            importlib.import_module(name)
    wrappers: dict[FunctionType, Callable] = {}

    def replace_in(names: dict, put: Callable[[str, Callable], None]) -> None:
        for name, thing in [*names.items()]:
            if type(thing) is FunctionType and _is_of(thing, refused):
                put(name, wrappers.setdefault(thing, _wrapper(thing, entered)))

    modules = [m for m in [*sys.modules.values()] if isinstance(m, ModuleType)]
    for names in [*map(vars, modules), scope]:
        replace_in(names, names.__setitem__)
    named = [thing for module in modules for thing in [*vars(module).values()]]
    classes = [thing for thing in named if issubclass(type(thing), type)]
    for kind in {kind for kind in classes if _is_of(kind, refused)}:
        replace_in(vars(kind), partial(setattr, kind))


def _is_of(thing: type | FunctionType, refused: tuple[str, ...]) -> bool:
    return str(getattr(thing, "__module__", "")).startswith(refused)


def _wrapper(real: FunctionType, entered: Callable[[str], None]) -> Callable:
    name = f"{real.__module__}.{real.__name__}"

    def call(*args, **kwargs):
        entered(name)
        return real(*args, **kwargs)

    return call


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
