"""Answers whose parts stand in several of the student's cells."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import indent

from labcore.student.cells import (
    CELL_MAGIC,
    DEFINITIONS,
    amended,
    as_text,
    as_written,
    borrowed,
    bound,
    parsed,
    starred,
    statements,
)

__all__ = ["choose", "completed", "elsewhere", "gathered", "local_imports"]

MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)


def gathered(answer: str, stub: str, name: str, others: Sequence[str]) -> str:
    """The complete text of an answer, wherever its parts stand."""
    return completed(elsewhere(answer, stub, name, others) or answer, name, others)


def elsewhere(
    answer: str | None, stub: str, name: str, others: Sequence[str]
) -> str | None:
    """The answer with its definition taken from another cell, if it has none itself.

    None if the answer defines the name or is not Python, or if no other cell helps.
    """
    unwritten = answer is None or not answer.strip() or _same(answer, stub)
    if not unwritten:
        tree = parsed(_simple(answer))
        if tree is None or _defines(answer, name) or any(map(starred, tree.body)):
            return None
    found, undone = None, _definition(stub, name)
    for cell in others:
        definition = _definition(cell, name)
        if definition and not (undone and _same(definition, undone)):
            found = definition
    if found is None or unwritten:
        return found
    return f"{answer}\n\n{found}"


def completed(answer: str, name: str, others: Sequence[str]) -> str:
    """The answer plus what other cells add to it later: Pruner.apply = apply.

    Other cells may also continue a class: class Pruner(Pruner). If the answer itself
    continues a class, it borrows the earlier parts instead.
    """
    parts = [answer]
    continued = any(_continues(s, name) for s in statements(_simple(answer)))
    for cell in (_simple(other) for other in others if name in other):
        added = [
            s
            for s in statements(cell)
            if name in amended(s) or (_continues(s, name) and not continued)
        ]
        if text := "\n".join(as_text(s, cell) for s in added):
            helpers = borrowed(text, [cell], {name: ...})
            lines = indent("\n".join([*helpers, text]), "    ")
            parts.append(f"try:\n{lines}\nexcept Exception:\n    pass")
    return "\n\n".join(parts)


def choose(copies: Sequence[str], name: str, stub: str = "") -> int:
    """Which of several cells with the same grade_id is the answer.

    For code, the last cell that defines the name; for a free text (name ""), the last
    cell that is not empty. A copy of the stub is used only if there is nothing else.
    """
    filled = [i for i, copy in enumerate(copies) if not _is_empty(copy, bool(name))]
    written = [i for i in filled if not _is_stub(copies[i], stub)]
    defining = [i for i in filled if name and _defines(copies[i], name)]
    done = [i for i in written if i in defining]
    return (done or defining or written or filled or [len(copies) - 1])[-1]


def local_imports(sources: Sequence[str], folder: Path) -> list[str]:
    """The modules that the notebook imports from the student's files beside it.

    Only the notebook is handed in, so these imports would fail in grading.
    """
    imported = dict.fromkeys(
        module for source in sources for module in _modules(_simple(source))
    )
    beside = [
        module
        for module in imported
        if module not in sys.stdlib_module_names and _stands_in(folder, module)
    ]
    installed = importlib.metadata.packages_distributions() if beside else {}
    return [module for module in beside if module not in installed]


def _modules(source: str) -> Iterator[str]:
    for node in (n for s in statements(source) for n in ast.walk(s)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def _stands_in(folder: Path, module: str) -> bool:
    package = folder / module
    try:
        return (folder / f"{module}.py").is_file() or any(package.glob("*.py"))
    except OSError:  # not a possible file name
        return False


def _continues(statement: ast.stmt, name: str) -> bool:
    """Whether it is a subclass with the same name: class Pruner(Pruner)."""
    return (
        isinstance(statement, ast.ClassDef)
        and statement.name == name
        and any(isinstance(b, ast.Name) and b.id == name for b in statement.bases)
    )


def _defines(cell: str, name: str) -> bool:
    body = statements(_simple(cell)) if name in cell else ()
    return any(name in bound(statement) for statement in body)


def _is_empty(cell: str, code: bool) -> bool:
    """Whether the cell holds nothing but comments."""
    tree = parsed(_simple(cell)) if code else None
    return not (tree.body if tree else cell.strip())


def _is_stub(cell: str, stub: str) -> bool:
    return cell.strip() == stub.strip() or _same(cell, stub)


def _simple(source: str) -> str:
    """The code without magics; IPython itself can be very slow on a hostile cell."""
    blank = CELL_MAGIC.sub(lambda found: "\n" * found[0].count("\n"), source)
    return MAGIC.sub("", blank)


def _same(answer: str, stub: str) -> bool:
    """Whether the two are the same apart from comments."""
    both = [(_simple(cell), statements(_simple(cell))) for cell in (answer, stub)]
    if not 0 < len(both[0][1]) == len(both[1][1]):
        return False
    texts = [[as_text(s, simple) for s in body] for simple, body in both]
    return texts[0] == texts[1]


def _definition(cell: str, name: str) -> str | None:
    """The text of the last top-level function or class with this name in the cell.

    A class that continues another one of the same name does not count as a definition.
    """
    simple = _simple(cell)
    for node in reversed(statements(simple) if name in cell else ()):
        named = isinstance(node, DEFINITIONS) and node.name == name
        if (named and not _continues(node, name)) or _is_lambda(node, name):
            return as_written(node, simple)
    return None


def _is_lambda(node: ast.stmt, name: str) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Lambda)
        and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    )
