"""Cells of a notebook as plain Python: magics, and what a cell borrows from others."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["borrowed", "plain"]

BINDERS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)


def plain(source: str) -> str:
    """Python without the lines that only IPython understands."""
    try:
        ast.parse(source)
    except SyntaxError:
        try:
            from IPython.core.inputtransformer2 import TransformerManager

            changed = TransformerManager().transform_cell(source)
            ast.parse(changed)
            return changed
        except (ImportError, SyntaxError):
            pass  # the cell's own error says more
    return source


def borrowed(
    answer: str, others: Sequence[str], scope: Mapping[str, object]
) -> list[str]:
    """Statements of other cells that bind names which the answer needs, in order.

    So a helper function or an import in a cell of the student's own is no mistake.
    """
    statements = [found for cell in others for found in _statements(plain(cell))]
    binder = {name: at for at, (names, _) in enumerate(statements) for name in names}
    wanted, taken = _needed(answer), set()
    while wanted:
        name = wanted.pop()
        if name in scope or hasattr(builtins, name) or name not in binder:
            continue
        if (at := binder[name]) not in taken:
            taken.add(at)
            wanted |= _needed(statements[at][1])
    return [statements[at][1] for at in sorted(taken)]


def _statements(source: str) -> Iterator[tuple[list[str], str]]:
    """The names that each top statement of a cell binds, and its text."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in body:
        if not isinstance(statement, BINDERS):
            continue
        if isinstance(statement, ast.Assign):
            targets = [n for t in statement.targets for n in ast.walk(t)]
            names = [n.id for n in targets if isinstance(n, ast.Name)]
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names = [(a.asname or a.name).split(".")[0] for a in statement.names]
        else:
            names = [statement.name]
        yield names, ast.unparse(statement)


def _needed(source: str) -> set[str]:
    """The names that this code looks up and does not bind itself."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
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
