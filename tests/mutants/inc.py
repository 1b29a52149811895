"""Small changes of C, one at a time: for Exercise 11.2, whose answers are C."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labcore.staff.mutants import Mutant

__all__ = ["mutants"]

TOKEN = re.compile(r"//[^\n]*|\d[\w.]*|\w+|<<|>>|\+\+|--|&&|\|\||[-+*/&|^<>=!]=|\S")
OTHERS = {
    **{"<": ("<=", ">"), "<=": ("<",), ">": (">=",), "==": ("!=",), "!=": ("==",)},
    **{
        "+": ("-",),
        "-": ("+",),
        "/": ("*",),
        "%": ("/",),
        "<<": (">>",),
        ">>": ("<<",),
    },
    **{"&": ("|",), "|": ("&",), "&&": ("||",), "~": ("",), "!": ("",)},
    **{"+=": ("-=", "="), "-=": ("+=",), "&=": ("|=", "="), ">>=": ("<<=",)},
    **{"++": ("--", ""), "if": ("while",), "while": ("if",)},
}


def mutants(source: str) -> list[Mutant]:
    """Every change of an operator or a number, in the function's body."""
    body = source.index("{")
    found = []
    for token in TOKEN.finditer(source, body):
        for new in _others(token[0]):
            text = source[: token.start()] + new + source[token.end() :]
            start = source.rfind("\n", 0, token.start()) + 1
            end = source.find("\n", token.end())
            before, after = (
                source[start:end],
                text[start : end + len(text) - len(source)],
            )
            line = source.count("\n", 0, start) + 1
            found.append(Mutant(text, line, before.strip(), after.strip()))
    return found


def _others(token: str) -> Iterator[str]:
    yield from OTHERS.get(token, ())
    if number := re.fullmatch(r"(\d+)(\.\d+)?(\D*)", token):
        value = float(token.rstrip("f")) if number[2] else int(number[1])
        yield from (f"{value + 1}{number[3]}", f"{value - 1}{number[3]}")
