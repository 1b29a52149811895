"""An answer of which parts stand in other cells of the student's own."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from textwrap import indent

from labcore.grading.cellcode import (
    CELL_MAGIC,
    NO_PYTHON,
    amended,
    as_text,
    borrowed,
)

__all__ = ["completed", "elsewhere", "gathered"]

MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def gathered(answer: str, stub: str, name: str, others: Sequence[str]) -> str:
    """All that stands for the answer."""
    return completed(elsewhere(answer, stub, name, others) or answer, name, others)


def elsewhere(
    answer: str | None, stub: str, name: str, others: Sequence[str]
) -> str | None:
    """The answer with its definition out of another cell, if it has none itself.

    None where it has one, where there is no other, or where the cell is no Python.
    """
    unwritten = answer is None or not answer.strip() or _same(answer, stub)
    if not unwritten:
        tree = _tree(answer)
        if tree is None or any(_binds(node, name) for node in tree.body):
            return None
    found = None
    for cell in others:
        found = _definition(cell, name) or found
    if found is None or unwritten:
        return found
    return f"{answer}\n\n{found}"


def completed(answer: str, name: str, others: Sequence[str]) -> str:
    """The answer and what other cells add to it afterwards: Pruner.apply = apply."""
    parts = [answer]
    for cell in others:
        tree = _tree(cell) if name in cell else None
        amending = [s for s in (tree.body if tree else ()) if name in amended(s)]
        if text := "\n".join(map(as_text, amending)):
            helpers = borrowed(text, [_simple(cell)], {name: ...})
            added = indent("\n".join([*helpers, text]), "    ")
            parts.append(f"try:\n{added}\nexcept Exception:\n    pass")
    return "\n\n".join(parts)


def _simple(source: str) -> str:
    """Without magics; IPython itself would take long over a hostile cell."""
    blank = CELL_MAGIC.sub(lambda found: "\n" * found[0].count("\n"), source)
    return MAGIC.sub("", blank)


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(_simple(source))
    except NO_PYTHON:
        return None


def _same(answer: str, stub: str) -> bool:
    """Whether both say the same, but for comments."""
    trees = _tree(answer), _tree(stub)
    return None not in trees and as_text(trees[0]) == as_text(trees[1]) != ""


def _binds(node: ast.stmt, name: str) -> bool:
    """Whether this statement may bind the name, in whichever branch."""
    return any(
        (isinstance(part, DEFINITIONS) and part.name == name)
        or (isinstance(part, ast.Name) and part.id == name and _stored(part))
        or (isinstance(part, ast.alias) and (part.asname or part.name) in (name, "*"))
        for part in ast.walk(node)
    )


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _definition(cell: str, name: str) -> str | None:
    """The text of the last function or class of this name at the top of the cell."""
    tree = _tree(cell) if name in cell else None
    for node in reversed(tree.body if tree else ()):
        if isinstance(node, DEFINITIONS) and node.name == name:
            first = min(at.lineno for at in (node, *node.decorator_list))
            return "\n".join(_simple(cell).split("\n")[first - 1 : node.end_lineno])
        if _is_lambda(node, name):
            return ast.unparse(node)
    return None


def _is_lambda(node: ast.stmt, name: str) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Lambda)
        and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    )
