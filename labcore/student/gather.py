"""An answer of which parts stand in other cells of the student's own."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from textwrap import indent

from labcore.student.cells import (
    CELL_MAGIC,
    amended,
    as_text,
    as_written,
    borrowed,
    parsed,
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
        tree = parsed(_simple(answer))
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
    for cell in (_simple(other) for other in others if name in other):
        tree = parsed(cell)
        amending = [s for s in (tree.body if tree else ()) if name in amended(s)]
        if text := "\n".join(as_text(s, cell) for s in amending):
            helpers = borrowed(text, [cell], {name: ...})
            added = indent("\n".join([*helpers, text]), "    ")
            parts.append(f"try:\n{added}\nexcept Exception:\n    pass")
    return "\n\n".join(parts)


def _simple(source: str) -> str:
    """Without magics; IPython itself would take long over a hostile cell."""
    blank = CELL_MAGIC.sub(lambda found: "\n" * found[0].count("\n"), source)
    return MAGIC.sub("", blank)


def _same(answer: str, stub: str) -> bool:
    """Whether both say the same, but for comments."""
    return _texts(answer) == _texts(stub) != []


def _texts(source: str) -> list[str]:
    simple = _simple(source)
    tree = parsed(simple)
    return [as_text(s, simple) for s in (tree.body if tree else ())]


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
    simple = _simple(cell)
    tree = parsed(simple) if name in cell else None
    for node in reversed(tree.body if tree else ()):
        named = isinstance(node, DEFINITIONS) and node.name == name
        if named or _is_lambda(node, name):
            return as_written(node, simple)
    return None


def _is_lambda(node: ast.stmt, name: str) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Lambda)
        and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    )
