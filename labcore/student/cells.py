"""Cells of a notebook as plain Python: magics, and what a cell borrows from others."""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "LONGEST_CELL",
    "amended",
    "as_text",
    "as_written",
    "borrowed",
    "is_lent",
    "parsed",
    "plain",
]

CELL_MAGIC = re.compile(r"\A(?:\s*%%(?:time|timeit|capture|prun)\b[^\n]*(?:\n|\Z))+")
BINDERS = (
    *(ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)
PERHAPS = (ast.If, ast.Try, ast.TryStar, ast.With, ast.AugAssign)
MOST_STARS = 20
LONGEST_CELL = 100_000  # characters: to parse one costs a thousand times its size
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)


def plain(source: str) -> str:
    """Python without the lines that only IPython understands."""
    source = CELL_MAGIC.sub(lambda found: "\n" * found[0].count("\n"), source)
    try:
        ast.parse(source)
    except NO_PYTHON:
        try:
            from IPython.core.inputtransformer2 import TransformerManager

            changed = TransformerManager().transform_cell(source)
            ast.parse(changed)
            return changed
        except (ImportError, *NO_PYTHON):
            pass  # the cell's own error says more
    return source


def parsed(source: str) -> ast.Module | None:
    """None for a cell that is no Python, or too long to be looked at."""
    if len(source) > LONGEST_CELL:
        return None
    try:
        return ast.parse(source)
    except NO_PYTHON:
        return None


def borrowed(
    answer: str, others: Sequence[str], scope: Mapping[str, object]
) -> list[str]:
    """Statements of other cells that bind names which the answer needs, in order.

    So a helper function or an import in a cell of the student's own is no mistake.
    """
    sources = [plain(cell) for cell in others]
    statements = [found for source in sources for found in _statements(source)]
    binders: dict[str, list[int]] = {}
    for at, statement in enumerate(statements):
        for name in statement.names:
            if statement.anew:
                binders[name] = []
            binders.setdefault(name, []).append(at)
    wanted, taken, unknown = _needed(answer), set(), set()
    while wanted:
        name = wanted.pop()
        if name in scope or hasattr(builtins, name):
            continue
        if name not in binders:
            unknown.add(name)
        for at in set(binders.get(name, ())) - taken:
            taken.add(at)
            wanted |= _needed(statements[at].text)
    stars = dict.fromkeys(m for source in sources for m in _starred(source))
    return [
        *(
            f"from {module} import {name}"
            for module in [*stars][:MOST_STARS]
            for name in unknown
        ),
        *(statements[at].text for at in sorted(taken)),
    ]


@dataclass(frozen=True)
class _Statement:
    """A top statement of a cell, and the names that it binds."""

    names: list[str]
    anew: bool  # whatever they were before
    text: str


def _statements(source: str) -> Iterator[_Statement]:
    for statement in _body(source):
        text, anew = as_text(statement, source), isinstance(statement, BINDERS)
        if isinstance(statement, ast.AnnAssign) and not statement.value:
            continue
        if anew or isinstance(statement, PERHAPS):
            yield _Statement(_bound(text), anew, text)
        if names := amended(statement):
            yield _Statement(names, False, text)


def _body(source: str) -> list[ast.stmt]:
    tree = parsed(source)
    return tree.body if tree else []


def as_text(statement: ast.stmt, source: str) -> str:
    """In one form, without comments; empty for what nests too deep."""
    try:
        return ast.unparse(statement)
    except ValueError:  # odd characters in an f-string, a number of many digits
        return as_written(statement, source)
    except RecursionError:
        return ""


def as_written(statement: ast.stmt, source: str) -> str:
    """The lines of a top statement, with its decorators."""
    above = [node.lineno for node in getattr(statement, "decorator_list", ())]
    first = min([statement.lineno, *above])
    lines = _lines(source)[first - 1 : statement.end_lineno]
    lines[-1] = lines[-1][: statement.end_col_offset]
    lines[0] = lines[0][statement.col_offset :]
    return b"\n".join(lines).decode()


@functools.lru_cache(maxsize=1)
def _lines(source: str) -> list[bytes]:
    return source.encode().splitlines()


def _bound(source: str) -> list[str]:
    try:
        symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    except NO_PYTHON:
        return []
    return [s.get_name() for s in symbols if s.is_assigned() or s.is_imported()]


def amended(statement: ast.stmt) -> list[str]:
    """The names of which it sets an attribute or an item: Pruner.apply = apply."""
    if not isinstance(statement, ast.Assign):
        return []
    names = []
    for target in statement.targets:
        inner = target
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if inner is not target and isinstance(inner, ast.Name):
            names.append(inner.id)
    return names


def is_lent(source: str, name: str) -> bool:
    """Whether this cell binds the name, at last, to a reference: f = lend("f")."""
    for statement in reversed(_body(source)):
        if name in _bound(as_text(statement, source)):
            return isinstance(statement, ast.Assign) and _calls_lend(statement.value)
    return False


def _calls_lend(value: ast.expr) -> bool:
    called = value.func if isinstance(value, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) == "lend"


def _starred(source: str) -> Iterator[str]:
    """The modules of which it imports everything."""
    for statement in _body(source):
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and not node.level:
                if node.names[0].name == "*":
                    yield node.module


def _needed(source: str) -> set[str]:
    """The names that this code looks up and does not bind itself."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except NO_PYTHON:
        return set()
    own = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    return set(_looked_up(table)) - own


def _looked_up(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _looked_up(inner)
