"""The cells of a notebook as plain Python, and what one cell needs from others."""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

__all__ = [
    "DEFINITIONS",
    "LONGEST_CELL",
    "amended",
    "as_text",
    "as_written",
    "borrowed",
    "bound",
    "is_lent",
    "newer_syntax",
    "parsed",
    "plain",
    "starred",
    "statements",
]

CELL_MAGIC = re.compile(r"\A(?:\s*%%(?:time|timeit|capture|prun)\b[^\n]*(?:\n|\Z))+")
MAGIC = re.compile(r"^[ \t]*[%!?]|=[ \t]*[%!]|\?[ \t]*$", re.MULTILINE)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp)
LONGEST_CELL = 100_000  # characters: parsing one takes a thousand times its size
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)


def plain(source: str) -> str:
    """Python without the lines that only IPython understands."""
    source = CELL_MAGIC.sub(lambda found: "\n" * found[0].count("\n"), source)
    if len(source) > LONGEST_CELL or parsed(source):
        return source
    if len(source) * len(MAGIC.findall(source)) > LONGEST_CELL:
        return source  # IPython would read the whole cell again for each magic
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        changed = TransformerManager().transform_cell(source)
        ast.parse(changed)
        return changed
    except (ImportError, *NO_PYTHON):
        return source  # the cell's own error says more


def parsed(source: str) -> ast.Module | None:
    """The parsed cell; None if it is not Python, or too long to parse."""
    if len(source) > LONGEST_CELL:
        return None
    try:
        return ast.parse(source)
    except NO_PYTHON:
        return None


def statements(source: str) -> list[ast.stmt]:
    """The top-level statements of a cell; none if it is not Python."""
    tree = parsed(source)
    return tree.body if tree else []


def borrowed(
    answer: str,
    others: Sequence[str],
    scope: Mapping[str, object],
    fixed: Collection[str] | None = None,
    above: int | None = None,
) -> list[str]:
    """The statements of other cells that the answer depends on, in order.

    Students may keep a helper function or an import in a cell of their own, and the
    answer should still work.

    fixed   names that keep their value in the scope (by default every name in it);
            any other name is whatever the student's cells made of it
    above   how many of the other cells stand above the answer (by default all). The
            cells below it are used only for names that nothing above defines
    """
    book = _read(others, scope, set(scope if fixed is None else fixed))
    end = sum(above is None or s.cell < above for s in book.statements)
    loan = _Loan(book, scope, end, keep_builtins=fixed is None)
    for at in book.stars:
        if at < end:
            loan.take(at)
    loan.want(_needed(statements(answer), answer))
    for at in book.stars if loan.unknown else ():
        loan.take(at)
    return loan.lines()


def _keeping(names: Iterable[str], text: str) -> list[str]:
    """The statement, followed by code that gives these names their old values back."""
    names = sorted(n for n in names if n.isidentifier() and not n.startswith("__"))
    if not names or not text:
        return [text] if text else []
    return [
        f"kept_ = {{n: globals()[n] for n in {names} if n in globals()}}",
        text,
        f"[globals().pop(n, None) for n in {names}]; globals().update(kept_)",
    ]


@dataclass(frozen=True)
class _Statement:
    """One top-level statement of a cell: the names it binds and those it may change.

    "f()" stands for calling the student's function f. A statement that calls f
    "binds" that name.
    """

    node: ast.stmt
    source: str
    cell: int
    binds: set[str]
    changes: set[str]
    star: bool

    @property
    def text(self) -> str:
        return as_text(self.node, self.source)

    def needed(self) -> set[str]:
        return _needed([self.node], self.text)


@dataclass
class _Book:
    """What the statements of all cells do to each name."""

    fixed: set[str]
    statements: list[_Statement] = field(default_factory=list)
    binds: dict[str, list[int]] = field(default_factory=dict)
    uses: dict[str, list[int]] = field(default_factory=dict)  # binds or changes
    changers: dict[str, set[str]] = field(default_factory=dict)  # name -> "f()"
    stars: list[int] = field(default_factory=list)

    def kept_from(self, statement: _Statement) -> set[str]:
        """The fixed names that this statement might overwrite."""
        if statement.star:
            return self.fixed
        return {
            name
            for name in self.fixed
            if name in statement.binds
            or not statement.binds.isdisjoint(self.changers.get(name, ()))
        }


@dataclass
class _Loan:
    """What an answer takes from the other cells, while it is chosen.

    end             the first statement that stands below the answer
    keep_builtins   whether a cell that redefines print is left alone
    """

    book: _Book
    scope: Mapping[str, object]
    end: int
    keep_builtins: bool
    taken: set[int] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def take(self, at: int) -> None:
        self.taken.add(at)
        self.want(self.book.statements[at].needed())

    def want(self, names: set[str]) -> None:
        """Take what these names come from, and what that needs in turn."""
        while names:
            name = names.pop()
            if name in self.seen or name in self.book.fixed:
                continue
            self.seen.add(name)
            uses = self._uses(name)
            if uses is None:
                continue
            names |= self.book.changers.get(name, set())
            for at in uses - self.taken:
                self.taken.add(at)
                names |= self.book.statements[at].needed()

    def _uses(self, name: str) -> set[int] | None:
        """The statements that bind or change a name; None if it is known without."""
        known = name in self.scope or hasattr(builtins, name)
        if known and self.keep_builtins:
            return None
        uses = set(self.book.uses.get(name, ()))
        if any(at < self.end for at in self.book.binds.get(name, ())):
            return {at for at in uses if at < self.end}
        if known:
            return None
        if name.isidentifier() and not (uses or name in self.book.changers):
            self.unknown.add(name)
        return uses

    def lines(self) -> list[str]:
        """The statements in order; names that they should not change are restored."""
        lines = []
        for at in sorted(self.taken):
            statement = self.book.statements[at]
            keep = self.book.kept_from(statement)
            if statement.star and at >= self.end:
                keep = keep | (self.seen - self.unknown)
            lines += _keeping(keep, statement.text)
        return lines


def _read(cells: Sequence[str], scope: Mapping[str, object], fixed: set[str]) -> _Book:
    book = _Book(fixed)
    found = [
        (node, source, number, list(_at_once(node)))
        for number, source in enumerate(map(plain, cells))
        for node in statements(source)
    ]
    functions = {p.name: p for f in found for p in f[3] if isinstance(p, FUNCTIONS)}
    modules = {name for node, *_ in found for name in _imported(node)}
    modules |= {name for name, it in scope.items() if isinstance(it, ModuleType)}
    for name in functions.keys() - fixed:
        for key in _effects(functions[name]) - modules:
            book.changers.setdefault(key, set()).add(f"{name}()")
    for at, (node, source, number, parts) in enumerate(found):
        binds, changes, star = _bound(parts), set(), any(map(_is_star, parts))
        for part in parts:
            changes |= {*amended(part), *(set(_receivers(part)) - modules)}
            called = part.func if isinstance(part, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in functions:
                binds.add(f"{called.id}()")
                changes |= {a.id for a in part.args if isinstance(a, ast.Name)}
        book.statements.append(_Statement(node, source, number, binds, changes, star))
        for name in binds:
            book.binds.setdefault(name, []).append(at)
        for name in binds | changes:
            book.uses.setdefault(name, []).append(at)
        if star:
            book.stars.append(at)
    return book


def _at_once(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run immediately: no function or class bodies."""
    todo = [node]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, DEFINITIONS):
            todo += node.decorator_list
            if isinstance(node, ast.ClassDef):
                todo += [*node.bases, *(k.value for k in node.keywords)]
            else:
                defaults = [*node.args.defaults, *node.args.kw_defaults]
                todo += [d for d in defaults if d]
        elif isinstance(node, ast.comprehension):
            todo += [node.iter, *node.ifs]
        elif not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)


def bound(statement: ast.stmt) -> set[str]:
    """The names that this statement may bind, whichever branch runs."""
    return _bound(_at_once(statement))


def _bound(parts: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in parts:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                names.add(node.id)
        elif isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, ast.alias) and node.name != "*":
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
    return names


def starred(statement: ast.stmt) -> bool:
    """Whether the statement is a `from module import *`."""
    return any(map(_is_star, _at_once(statement)))


def _is_star(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and not node.level
        and node.names[0].name == "*"
    )


def _imported(statement: ast.stmt) -> set[str]:
    """The names that an import binds; what they refer to belongs to the module."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return set()
    return bound(statement)


def as_text(statement: ast.stmt, source: str) -> str:
    """The statement in one form, without comments; empty if nested too deeply."""
    try:
        return ast.unparse(statement)
    except ValueError:  # odd characters in an f-string, or a very long number
        return as_written(statement, source)
    except RecursionError:
        return ""


def as_written(statement: ast.stmt, source: str) -> str:
    """The lines of a top-level statement, including its decorators."""
    above = [node.lineno for node in getattr(statement, "decorator_list", ())]
    first = min([statement.lineno, *above])
    lines = _lines(source)[first - 1 : statement.end_lineno]
    lines[-1] = lines[-1][: statement.end_col_offset]
    lines[0] = lines[0][statement.col_offset :]
    return b"\n".join(lines).decode()


@functools.lru_cache(maxsize=1)
def _lines(source: str) -> list[bytes]:
    return source.encode().splitlines()


def amended(statement: ast.AST) -> list[str]:
    """The names whose attribute or item it sets, as in Pruner.apply = apply."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign | ast.For):
        targets = [statement.target]
    elif isinstance(statement, ast.Expr) and _calls(statement.value, "setattr"):
        return [a.id for a in statement.value.args[:1] if isinstance(a, ast.Name)]
    else:
        return []
    return [name for t in targets if (name := _root(t)) and not isinstance(t, ast.Name)]


def _root(node: ast.expr) -> str:
    """Pruner for Pruner.masks[0]; empty if the expression starts with no name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _receivers(node: ast.AST) -> list[str]:
    """The names whose method it calls for the effect, as in TABLE.append(1)."""
    if not isinstance(node, ast.Expr):
        return []
    value = node.value
    if isinstance(value, COMPREHENSIONS):
        value = value.elt
    called = value.func if isinstance(value, ast.Call) else None
    name = _root(called) if isinstance(called, ast.Attribute) else ""
    return [name] if name else []


def _effects(function: ast.AST) -> set[str]:
    """The notebook's names that calling this function may bind or change."""
    declared, local, changed, called = set(), set(), set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            declared |= set(node.names)
        elif isinstance(node, ast.arg):
            local.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(f"{node.func.id}()")
        changed |= {*amended(node), *_receivers(node)}
    return declared | called | (changed - local)


def is_lent(source: str, name: str) -> bool:
    """Whether this cell ends with the name bound to a reference: f = lend("f")."""
    for statement in reversed(statements(source)):
        if name in bound(statement):
            return isinstance(statement, ast.Assign) and _calls(statement.value, "lend")
    return False


def _calls(value: ast.expr, name: str) -> bool:
    called = value.func if isinstance(value, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) == name


def _needed(body: Sequence[ast.stmt], source: str) -> set[str]:
    """The names that this code reads before it binds them, if it ever does."""
    now: set[str] = set()
    own: set[str] = set()
    for statement in body:
        now |= _looked_up(statement) - own
        own |= bound(statement)
    try:
        table = symtable.symtable(source, "cell", "exec")
    except NO_PYTHON:
        return now
    return now | (set(_looked_up_later(table)) - own)


def _looked_up(statement: ast.stmt) -> set[str]:
    names, inside = set(), set()
    for node in _at_once(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.comprehension):
            inside |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
    return names - inside


def _looked_up_later(table: symtable.SymbolTable) -> Iterator[str]:
    """The names that functions and classes look up when they run."""
    todo = [*table.get_children()]
    while todo:
        inner = todo.pop()
        todo += inner.get_children()
        for symbol in inner.get_symbols():
            if symbol.is_referenced() and symbol.is_global():
                yield symbol.get_name()


PARAMETER = r"\*{0,2}\w+(?:\s*:[^\n=\],]+)?"
DEFAULT = r"\s*=[^\n=\],]+"
PARAMETERS = rf"{PARAMETER}(?:\s*,\s*{PARAMETER})*"
DEFAULTS = rf"{PARAMETER}{DEFAULT}(?:\s*,\s*{PARAMETER}{DEFAULT})*"
NEWER = [  # how it is written, how older Pythons write it, and its name
    (re.compile(pattern, re.MULTILINE), older, name)
    for pattern, older, name in (
        (
            rf"\b((?:def|class)\s+\w+)\s*\[\s*(?:{PARAMETERS}\s*,\s*)?{DEFAULTS}\s*,?\s*\]",
            r"\1",
            "type parameters with defaults, which need Python 3.13",
        ),
        (
            rf"\b((?:def|class)\s+\w+)\s*\[\s*{PARAMETERS}\s*,?\s*\]",
            r"\1",
            "type parameters, which need Python 3.12",
        ),
        (
            r"^([ \t]*)type\s+(\w+)\s*(?:\[[^\]\n]*\])?\s*=(?!=)",
            r"\1\2 =",
            "a type statement, which needs Python 3.12",
        ),
        (
            r"^([ \t]*except\*?)[ \t]+([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)[ \t]*:",
            r"\1 (\2):",
            "several types after except without parentheses, which need Python 3.14",
        ),
        (
            r"(?<![\w\"'])(?:[tT]([rR]?)|([rR])[tT])(?=[\"'])",
            r"\1\2f",
            "template strings, which need Python 3.14",
        ),
    )
]
QUOTED = re.compile(  # f"{of["key"]}": the braces reuse the quotes of the string
    r"\b(?:[fF][rR]?|[rR][fF])(?P<quote>[\"'])"
    r"(?P<before>(?:(?!(?P=quote))[^\n])*\{(?:(?!(?P=quote))[^{}\n])*)"
    r"(?P=quote)(?P<text>[^\"'\\\n]*)(?P=quote)(?=[^{}\n]*\})"
)
LONGEST_QUOTED, MOST_QUOTED = 300, 20  # characters of a string, strings in a line


def newer_syntax(source: str) -> str:
    """Syntax that only a newer Python understands, if that is the only problem.

    Empty if this Python understands the code, and also if the code is wrong in every
    Python: rewritten the way older Pythons spell it, the code must be correct.
    """
    error = _mistake(source) if len(source) <= LONGEST_CELL else ""
    if not error:
        return ""
    if "f-string expression part cannot include a backslash" in error:
        return "a backslash inside the braces of an f-string, which needs Python 3.12"
    for pattern, older, name in NEWER:
        source, count = pattern.subn(older, source)
        if count and _mistake(source) is None:
            return name
    if _mistake("\n".join(map(_requoted, source.split("\n")))) is None:
        return (
            "the same quotes inside the braces of an f-string, which need Python 3.12"
        )
    return ""


def _mistake(source: str) -> str | None:
    """Python's message about a syntax error; None if there is none."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return str(error.msg)
    except NO_PYTHON:
        return ""
    return None


def _requoted(line: str) -> str:
    """The line with different quotes inside the braces of its f-strings."""
    for _ in range(MOST_QUOTED if len(line) <= LONGEST_QUOTED else 0):
        found = QUOTED.search(line)
        if not found:
            break
        other = "'" if found["quote"] == '"' else '"'
        text = f"{other}{found['text']}{other}"
        line = line[: found.end("before")] + text + line[found.end() :]
    return line
