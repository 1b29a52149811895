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
IN_C = {"sparse_dot"}  # its answers are functions that return C


@dataclass(frozen=True)
class Answer:
    """A right answer: its text with its helpers, and the names that it needs.

    name   of what the check is given; empty where the text itself is the answer, in C
    """

    exercise: Exercise
    title: str
    source: str
    name: str
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
        if name in IN_C:
            right = tests(lab).RIGHT[name][:ROWS]
            for title, answer in [("the reference", exercise.reference), *right]:
                yield Answer(exercise, title, answer(), "", {})
            continue
        yield _reference(exercise, package, references - {id(exercise.reference)})
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


def _reference(exercise: Exercise, home: str, apart: set[int]) -> Answer:
    parts = _Parts(home, apart)
    parts.add(exercise.reference)
    return Answer(exercise, "the reference", parts.source, exercise.name, parts.names)


def _of_row(exercise, title, expression, module, rows) -> Answer:
    """A row's answer; what other rows name is given, as in a lab."""
    mine = expression.id if isinstance(expression, ast.Name) else ""
    named = {
        row.id for rows in rows.values() for _, row in rows if isinstance(row, ast.Name)
    }
    apart = {id(getattr(module, name)) for name in named - {mine}}
    parts = _Parts(module.__name__, apart)
    parts.add_named(expression, vars(module))
    parts.texts.append(f"{ANSWER} = {ast.unparse(expression)}")
    return Answer(exercise, title, parts.source, ANSWER, vars(module) | parts.names)


class _Parts:
    """Functions and classes as text, each below what it needs; `apart` stay as names.

    home   the module, or package, whose functions are helpers of the answer
    """

    def __init__(self, home: str, apart: set[int]) -> None:
        self.home, self.seen = home, set(apart)
        self.texts: list[str] = []
        self.names: dict[str, object] = {}

    @property
    def source(self) -> str:
        return "\n\n".join(self.texts)

    def add(self, found) -> None:
        own = getattr(found, "__module__", None) or ""
        is_code = inspect.isfunction(found) or inspect.isclass(found)
        at_home = own == self.home or own.startswith(f"{self.home}.")
        if is_code and at_home and id(found) not in self.seen:
            self.seen.add(id(found))
            around = vars(sys.modules[own])
            self.names = around | self.names
            source = textwrap.dedent(inspect.getsource(inspect.unwrap(found)))
            self.add_named(ast.parse(source), around)
            self.texts.append(_without_ours(source))

    def add_named(self, tree: ast.AST, around: Mapping[str, object]) -> None:
        nodes = list(ast.walk(tree))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        local = {node.arg for node in nodes if isinstance(node, ast.arg)}
        local |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        for node in names:
            if node.id in around and node.id not in local:
                self.add(around[node.id])


def _without_ours(source: str) -> str:
    """Without the decorators that make it an exercise, or allow a call of it."""
    top, lines = ast.parse(source).body[0], source.splitlines()
    for decorator in top.decorator_list:
        if ast.unparse(decorator).startswith(("lab.exercise", "handed")):
            for line in range(decorator.lineno - 1, decorator.end_lineno):
                lines[line] = ""
    return "\n".join(lines).strip()
