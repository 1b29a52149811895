"""Code to show a class, without names, comments, texts and long numbers."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

from labcore.student.cells import bound, parsed, plain
from labcore.student.tasks import Lab

__all__ = ["anonymous", "example", "known_names"]

MOST_LINES, MOST_READ = 30, 50  # of an example; candidates that are looked at
LARGEST = 9_999  # a longer number could be an id
TOO_ODD = (ValueError, RecursionError, MemoryError)


def example(sources: Iterable[str], name: str, known: Collection[str]) -> str:
    """The commonest form of `name` in these answers; empty if none is short enough."""
    shortest = sorted(sources, key=len)[:MOST_READ]
    forms = [form for source in shortest if (form := anonymous(source, name, known))]
    return Counter(forms).most_common(1)[0][0] if forms else ""


def anonymous(source: str, name: str, known: Collection[str]) -> str:
    """What defines `name`, printed from the syntax tree; only `known` names stay."""
    tree = parsed(plain(source))
    defining = [node for node in tree.body if name in bound(node)] if tree else []
    if not defining:
        return ""
    try:
        text = ast.unparse(_Nameless({name, *known}).visit(defining[-1]))
    except TOO_ODD:
        return ""
    return text if text.count("\n") < MOST_LINES else ""


class _Nameless(ast.NodeTransformer):
    """Every identifier is a text in some field of a node, whatever the node is."""

    def __init__(self, known: Collection[str]) -> None:
        self.known = known
        self.free = (letter for letter in string.ascii_lowercase if letter not in known)
        self.names: dict[str, str] = {}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if isinstance(value, str):
                setattr(node, field, self._renamed(value))
            elif isinstance(value, list) and value and isinstance(value[0], str):
                setattr(node, field, [self._renamed(name) for name in value])
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]
        return node

    def _renamed(self, name: str) -> str:
        return ".".join(map(self._letter, name.split(".")))  # a module has dots

    def _letter(self, name: str) -> str:
        if name in self.known or not name.isidentifier():
            return name  # the * of an import
        if name not in self.names:
            self.names[name] = next(self.free, f"name{len(self.names)}")
        return self.names[name]

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.JoinedStr):
            return None
        is_text = isinstance(getattr(node.value, "value", None), str)
        return None if is_text else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, str):
            return ast.Constant("...")
        if isinstance(value, bytes):
            return ast.Constant(b"...")
        long = isinstance(value, int | float | complex) and (
            abs(value) > LARGEST or len(str(value)) > len(str(LARGEST)) + 2
        )
        return ast.Name("number") if long else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("...")


@functools.cache
def _of_packages() -> frozenset[str]:
    """Names of Python, torch and numpy."""
    import numpy
    import torch

    places = [
        *(builtins, str, list, dict, set, tuple, float),
        *(torch, torch.Tensor, torch.nn, torch.nn.functional, torch.nn.Module),
        *(torch.nn.Conv2d(1, 1, 1), torch.nn.Linear(1, 1), torch.nn.BatchNorm2d(1)),
        *(torch.linalg, torch.optim, torch.optim.SGD, torch.utils, torch.Generator),
        *(numpy, numpy.ndarray, numpy.linalg, numpy.random),
    ]
    modules = "math copy itertools functools collections operator random time typing"
    return frozenset(
        [
            *modules.split(),
            *(name for place in places for name in dir(place)),
            *(n for place in places for n in _parameters(place) if len(n) > 1),
            *(name for module in modules.split() for name in dir(__import__(module))),
        ]
    )


def _parameters(place: object) -> Iterator[str]:
    """What the functions of a module or class call their arguments."""
    for name in dir(place):
        found = inspect.getattr_static(place, name, None)
        if name.startswith("_") or not callable(found):
            continue
        text = (inspect.getdoc(found) or "").partition("->")[0]
        written = re.match(rf"{re.escape(name)}\(([^)]*)\)", text)  # for C functions
        yield from re.findall(r"[a-z]\w*", written[1]) if written else ()
        with suppress(ValueError, TypeError):
            yield from inspect.signature(found).parameters


def known_names(lab: Lab) -> frozenset[str]:
    """What may stay in an example: names of packages, and those that the lab uses."""
    own = [*lab.setup, *lab.given, *(task.stub for task in lab.tasks)]
    return _of_packages() | {
        part
        for source in own
        if (tree := parsed(plain(source)))
        for node in ast.walk(tree)
        for _, value in ast.iter_fields(node)
        if isinstance(value, str) and not isinstance(node, ast.Constant)
        for part in value.split(".")
    }
