"""Small changes of Python code, one at a time: for the checks' score and for talks.

Each operator yields edits of the text, so that comments and the other lines stay as
they were written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants"]

Edit = tuple[int, int, str]  # from, to, the new text; in bytes, as ast counts
Operator = Callable[["Text", ast.AST], Iterator[Edit]]

COMPARED = {
    ast.Lt: ("<", ["<=", ">"]),
    ast.LtE: ("<=", ["<", ">="]),
    ast.Gt: (">", [">=", "<"]),
    ast.GtE: (">=", [">", "<="]),
    ast.Eq: ("==", ["!="]),
    ast.NotEq: ("!=", ["=="]),
    ast.Is: ("is", ["is not"]),
    ast.IsNot: ("is not", ["is"]),
    ast.In: ("in", ["not in"]),
    ast.NotIn: ("not in", ["in"]),
}
EITHER = ("==", "!=", "is", "is not", "in", "not in")  # their swap is the negation
COMPUTED = {
    ast.Add: ("+", ["-"]),
    ast.Sub: ("-", ["+"]),
    ast.Mult: ("*", ["/"]),
    ast.Div: ("/", ["*", "//"]),
    ast.FloorDiv: ("//", ["/"]),
    ast.Mod: ("%", ["//"]),
    ast.Pow: ("**", ["*"]),
    ast.BitAnd: ("&", ["|"]),
    ast.BitOr: ("|", ["&"]),
}
SWAPPED = (ast.Sub, ast.Div)  # their operands change places
DROPPED = {
    *("abs", "clone", "contiguous", "copy", "deepcopy", "detach", "flatten", "float"),
    *("int", "item", "list", "round", "sorted", "sqrt", "square"),
}
LIBRARIES = {"copy", "math", "np", "numpy", "torch"}
OUT_OF_PLACE = {"abs", "add", "clamp", "div", "masked_fill", "mul", "neg", "sub"}
ORDERLESS = {"getattr", "hasattr", "isinstance", "setattr"}  # of arguments: never right
SILENT = {"strict"}  # keywords that change nothing but an error
ATOMS = (
    *(ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript),
    *(ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp),
)
KEPT = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
    *(ast.Pass, ast.Global, ast.Nonlocal, ast.Raise, ast.Assert),
)


@dataclass(frozen=True)
class Mutant:
    """The code with one change, and the line that it concerns."""

    source: str
    line: int  # from 1
    before: str  # the changed line as it was, without its indentation
    after: str


def mutants(source: str) -> list[Mutant]:
    """Every change of the code, none of them twice; none if it is not Python."""
    try:
        text = Text(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    found, seen = [], {ast.dump(text.tree)}
    for node in _walk(text.tree):
        for operator in OPERATORS:
            for edit in operator(text, node):
                made = text.edited(edit)
                try:
                    tree = ast.dump(ast.parse(made.source))
                except SyntaxError:
                    continue
                if tree not in seen:
                    seen.add(tree)
                    found.append(made)
    return sorted(found, key=lambda mutant: mutant.line)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes whose change a run can notice, in the order of the text."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            silent = isinstance(child, ast.keyword) and child.arg in SILENT
            if isinstance(child, ast.AST) and not silent:
                if not isinstance(child, ast.Raise | ast.Assert):
                    yield from _walk(child)


class Text:
    """Code, and where the parts of its syntax tree stand in it."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.bytes = source.encode()
        self.starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def start(self, node: ast.AST) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.AST) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.AST) -> str:
        return self.bytes[self.start(node) : self.end(node)].decode()

    def atom(self, node: ast.AST) -> str:
        """Its text, in brackets where it could fall apart."""
        return self.of(node) if isinstance(node, ATOMS) else f"({self.of(node)})"

    def replaced(self, node: ast.AST, new: str) -> Edit:
        return self.start(node), self.end(node), new

    def between(self, one: ast.AST, other: ast.AST, old: str, new: str) -> Edit:
        """Another operator between two operands."""
        start, end = self.end(one), self.start(other)
        words = re.escape(old).replace(r"\ ", r"\s+")
        bound = rf"\b{words}\b" if old.isalpha() or " " in old else words
        middle = self.bytes[start:end].decode()
        return start, end, re.sub(bound, new, middle, count=1)

    def edited(self, edit: Edit) -> Mutant:
        start, end, new = edit
        first = self.bytes.rfind(b"\n", 0, start) + 1
        last = self.bytes.find(b"\n", end)
        last = len(self.bytes) if last < 0 else last
        changed = self.bytes[first:start] + new.encode() + self.bytes[end:last]
        whole = self.bytes[:first] + changed + self.bytes[last:]
        before = self.bytes[first:last]
        line = self.bytes.count(b"\n", 0, start) + 1
        return Mutant(whole.decode(), line, _on_one_line(before), _on_one_line(changed))


def _on_one_line(text: bytes) -> str:
    return " ".join(text.decode().split())


# the operators


def comparison(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for place, kind in enumerate(node.ops):
            old, others = COMPARED[type(kind)]
            for new in others:
                yield text.between(*operands[place : place + 2], old, new)


def arithmetic(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in COMPUTED:
        augmented = isinstance(node, ast.AugAssign)
        left, right = (
            (node.target, node.value) if augmented else (node.left, node.right)
        )
        old, others = COMPUTED[type(node.op)]
        for new in others:
            yield text.between(left, right, old, new)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield text.replaced(node, text.atom(node.operand))


def constant(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for new in (node.value + 1, node.value - 1):
            yield text.replaced(node, repr(new))


def boolean(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield text.replaced(node, repr(not node.value))
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for one, other in zip(node.values, node.values[1:], strict=False):
            yield text.between(one, other, old, new)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield text.replaced(node, text.atom(node.operand))
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield from _negated(text, node.test)
    for condition in getattr(node, "ifs", ()):
        yield from _negated(text, condition)


def _negated(text: Text, test: ast.expr) -> Iterator[Edit]:
    is_not = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    single = isinstance(test, ast.Compare) and len(test.ops) == 1
    if not is_not and not (single and COMPARED[type(test.ops[0])][0] in EITHER):
        yield text.replaced(test, f"not {text.atom(test)}")


def dropped_statement(text: Text, node: ast.AST) -> Iterator[Edit]:
    for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
        if isinstance(body, list) and not isinstance(node, ast.Module):
            for statement in body:
                if not isinstance(statement, KEPT) and not _is_text(statement):
                    yield text.replaced(statement, "pass")


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def dropped_keyword(text: Text, node: ast.AST) -> Iterator[Edit]:
    """Another axis, order or mode: without the keyword, the default holds."""
    if isinstance(node, ast.Call):
        before = node.func
        for part in sorted([*node.args, *node.keywords], key=text.start):
            if isinstance(part, ast.keyword) and part.arg not in {None, *SILENT}:
                first = before is node.func
                start = text.start(part) if first else text.end(before)
                yield start, text.end(part), ""
            before = part


def swapped(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call) and text.of(node.func) not in ORDERLESS:
        for one, other in zip(node.args, node.args[1:], strict=False):
            yield from _exchanged(text, one, other)
    if isinstance(node, ast.BinOp) and isinstance(node.op, SWAPPED):
        yield from _exchanged(text, node.left, node.right)
    if isinstance(node, ast.Slice) and not node.step:
        bounds = [bound for bound in (node.lower, node.upper) if bound]
        if len(bounds) == 1:
            (bound,) = bounds
            new = f":{text.of(bound)}" if node.lower else f"{text.of(bound)}:"
            yield text.replaced(node, new)


def _exchanged(text: Text, one: ast.expr, other: ast.expr) -> Iterator[Edit]:
    if not isinstance(one, ast.Starred) and not isinstance(other, ast.Starred):
        middle = text.bytes[text.end(one) : text.start(other)].decode()
        new = text.of(other) + middle + text.of(one)
        yield text.start(one), text.end(other), new


def dropped_call(text: Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name in DROPPED and (inner := _inner(node)):
            yield text.replaced(node, text.atom(inner))
        if name == "round" and isinstance(node.func, ast.Name):
            yield text.replaced(node.func, "int")
    if isinstance(node, ast.With) and len(node.items) == 1:
        context = node.items[0].context_expr
        if isinstance(context, ast.Call) and not node.items[0].optional_vars:
            yield text.start(node), text.end(context), "if True"
    for decorator in getattr(node, "decorator_list", ()):
        yield text.start(decorator) - 1, text.end(decorator), ""


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _inner(call: ast.Call) -> ast.expr | None:
    """What abs(x), torch.abs(x) or x.abs() is called on."""
    function = call.func
    of_library = isinstance(function, ast.Name) or (
        isinstance(function.value, ast.Name) and function.value.id in LIBRARIES
    )
    if not of_library:
        return function.value
    return call.args[0] if call.args else None


def in_place(text: Text, node: ast.AST) -> Iterator[Edit]:
    """In place instead of out of place, and back."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        end = text.end(node.func)
        if name in OUT_OF_PLACE:
            yield end, end, "_"
        if name.removesuffix("_") in OUT_OF_PLACE and name.endswith("_"):
            yield end - 1, end, ""
    if isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED:
        name, sign = text.of(node.target), COMPUTED[type(node.op)][0]
        yield text.replaced(node, f"{name} = {name} {sign} {text.atom(node.value)}")
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        value, name = node.value, text.of(node.targets[0])
        computed = isinstance(value, ast.BinOp) and type(value.op) in COMPUTED
        if computed and text.of(value.left) == name:
            sign = COMPUTED[type(value.op)][0]
            yield text.replaced(node, f"{name} {sign}= {text.of(value.right)}")


OPERATORS: tuple[Operator, ...] = (
    *(comparison, arithmetic, constant, boolean, dropped_statement),
    *(dropped_keyword, swapped, dropped_call, in_place),
)
