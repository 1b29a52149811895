"""Right answers as text that can be changed: the references, and rows of the tests."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from labcore.checks.engine.exercise import Exercise

__all__ = ["Answer", "answers", "checks", "tests"]

HERE = Path(__file__).resolve().parents[1]
ANSWER = "answer"
ROWS = 2  # differently written answers of each exercise


@dataclass(frozen=True)
class Answer:
    """A right answer: its text with its helpers, and the names that it needs."""

    exercise: Exercise
    title: str
    source: str
    name: str  # of what the check is given
    names: Mapping[str, object]


def checks(lab: str) -> ModuleType:
    return importlib.import_module(f"labcore.checks.lab{lab}")


def tests(lab: str) -> ModuleType:
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return importlib.import_module(f"test_checks_lab{lab}")


def answers(lab: str) -> Iterator[Answer]:
    """Of each exercise: its reference, and differently written answers."""
    rows = _rows(tests(lab))
    package = checks(lab).__name__
    references = {id(e.reference) for e in checks(lab).EXERCISES.values()}
    for name, exercise in checks(lab).EXERCISES.items():
        reference, apart = exercise.reference, references - {id(exercise.reference)}
        yield _answer(exercise, "the reference", reference, package, apart)
        for title, expression in rows[name][:ROWS]:
            yield _of_row(exercise, title, expression, tests(lab), rows)


def _rows(module: ModuleType) -> dict[str, list[tuple[str, ast.expr]]]:
    """The expressions of the table of right answers."""
    tree = ast.parse(inspect.getsource(module))
    table = next(
        s.value
        for s in tree.body
        if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "RIGHT"
    )
    return {
        name: [(row.elts[0].value, row.elts[1]) for row in rows.elts]
        for name, rows in zip(module.RIGHT, table.values, strict=True)
    }


def _answer(exercise, title, function, home: str, apart: set[int]) -> Answer:
    names, parts = {}, []
    _collect(function, home, apart, names, parts)
    return Answer(exercise, title, "\n\n".join(parts), function.__name__, names)


def _of_row(exercise, title, expression, module, rows) -> Answer:
    """A row's answer; what other rows name is given, as in a lab."""
    mine = expression.id if isinstance(expression, ast.Name) else ""
    named = {
        row.id for rows in rows.values() for _, row in rows if isinstance(row, ast.Name)
    }
    apart = {id(getattr(module, name)) for name in named - {mine}}
    names, parts = dict(vars(module)), []
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id in vars(module):
            found = getattr(module, node.id)
            _collect(found, module.__name__, apart, names, parts)
    parts.append(f"{ANSWER} = {ast.unparse(expression)}")
    return Answer(exercise, title, "\n\n".join(parts), ANSWER, names)


def _collect(found, home: str, apart: set[int], names: dict, parts: list) -> None:
    """Add the text of a function or class, after that of its helpers."""
    own = getattr(found, "__module__", None) or ""
    if not (inspect.isfunction(found) or inspect.isclass(found)) or id(found) in apart:
        return
    if not (own == home or own.startswith(f"{home}.")):
        return
    plain = inspect.unwrap(found)
    source = _without_ours(textwrap.dedent(inspect.getsource(plain)))
    if source in parts or f"def {found.__name__}" in names.get("_busy", ()):
        return
    around = vars(sys.modules[own])
    names |= {k: v for k, v in around.items() if k not in names}
    busy = names.setdefault("_busy", [])
    busy.append(f"def {found.__name__}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in around:
            _collect(around[node.id], home, apart, names, parts)
    parts.append(source)


def _without_ours(source: str) -> str:
    """Without the decorators that make it an exercise or allow its calls."""
    tree = ast.parse(source)
    lines, top = source.splitlines(), tree.body[0]
    for decorator in getattr(top, "decorator_list", ()):
        if ast.unparse(decorator).startswith(("lab.exercise", "handed")):
            lines[decorator.lineno - 1 : decorator.end_lineno] = [
                "" for _ in range(decorator.lineno, decorator.end_lineno + 1)
            ]
    return "\n".join(lines).strip()
