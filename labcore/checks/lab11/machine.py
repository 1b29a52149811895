"""A student's C on the emulated board."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from labcore.checks.engine.watch import handed
from labcore.chip.board import Emulator
from labcore.chip.firmware import compiled
from labcore.chip.program import packed
from labcore.runtime import LabError

__all__ = [
    "chosen",
    "compiles",
    "few_instructions",
    "known",
    "left",
    "measured",
    "product",
    "refused",
]

LONGEST = 4000  # characters; the answer needs about 300
BLOCKS = 20_000  # that a call may run
ROOM = 8192  # bytes for the mask, the values and x, each
GAP = torch.tensor([7777.0, 7777.0])  # on both sides of the values: to read on shows
ONE_TOO_MANY = 2**32 - 3  # a word on both sides, with nearly all its bits set
# what could read other files, or make a compiler work without end
ANYWHERE = (
    (r"\\", "a backslash"),
    (r"\?\?[/'()!<>-]", "a trigraph, two question marks and a sign"),
)
OUTSIDE_COMMENTS = (
    (r"#|%:|\?\?=", "a line that begins with # (a comment begins with //)"),
    (r"\b(?:asm|__asm|__asm__|_Pragma|__pragma)\b", "assembler or a pragma"),
)
# text between quotes, in which no comment begins; or a comment
QUOTED_OR_COMMENT = re.compile(
    r""""[^"\n\r]*"|'[^'\n\r]*'|(/\*.*?\*/|//[^\n\r]*)""", re.DOTALL
)


def source_of(answer: Callable) -> str:
    """The text that the answer returns; LabError if it may not be compiled."""
    source = answer()
    if not isinstance(source, str):
        kind = type(source).__name__
        raise LabError(f"The function returned {kind}: return C as text, a str.")
    if problem := refused(source):
        raise LabError(problem)
    return source


def refused(source: str) -> str:
    """Why a text is not compiled; empty if it is."""
    if len(source) > LONGEST:
        return (
            f"The C has {len(source):,} characters, and at most {LONGEST:,} are "
            "compiled. The answer needs about 300."
        )
    bare = _without_comments(source)
    for text, patterns in ((source, ANYWHERE), (bare, OUTSIDE_COMMENTS)):
        for pattern, what in patterns:
            if re.search(pattern, text):
                return f"The C contains {what}; it is not compiled here. Leave it out."
    return ""


def _without_comments(source: str) -> str:
    return QUOTED_OR_COMMENT.sub(lambda part: " " if part[1] else part[0], source)


known: list[str] = []  # wrong answers as C, which are compiled together


@functools.lru_cache(maxsize=64)
def _board(source: str) -> tuple[Emulator, str]:
    """A board with this sparse_dot, and the function's name there."""
    if source in known:
        return _board_of_known(), f"known_{known.index(source)}"
    firmware = compiled(source)
    if firmware.symbols["sparse_dot"].weak:
        raise LabError(
            "The C has no function sparse_dot: return the whole function, with the "
            "first line that stands above the exercise."
        )
    return Emulator(firmware), "sparse_dot"


@functools.cache
def _board_of_known() -> Emulator:
    """One board with all known wrong answers: it takes as long as to compile one."""
    renamed = [
        source.replace("sparse_dot", f"known_{place}", 1)
        for place, source in enumerate(known)
    ]
    return Emulator(compiled("\n".join(renamed)))


def _call(answer: Callable, kept: Mapping[int, float], n: int, count: bool = False):
    """What sparse_dot returns for x = 1, 2, ..., n, and what the board did."""
    board, function = _board(source_of(answer))
    weights, x = torch.zeros(n), torch.arange(1.0, n + 1)
    weights[list(kept)] = torch.tensor(list(kept.values()))
    words, values = packed(weights[None])
    parts = (
        F.pad(words[0], (1, 1), value=ONE_TOO_MANY).to(torch.uint32),
        torch.cat([GAP.half(), values, GAP.half()]),
        torch.cat([GAP, x, GAP]),
    )
    starts = [board.arena + ROOM * place for place in range(len(parts))]
    board.write(board.arena, torch.zeros(ROOM * len(parts) // 4))
    for start, content in zip(starts, parts, strict=True):
        board.write(start, content)
    at = [start + skipped for start, skipped in zip(starts, (4, 4, 8), strict=True)]
    work = board.call(function, *at, n, count=count, blocks=BLOCKS)
    if not torch.equal(board.read(at[2], n), x):
        raise LabError("sparse_dot has changed x: only read what the pointers show.")
    return board.returned()[1], work


def product(answer: Callable, kept: Mapping[int, float], n: int) -> float:
    """the board calls sparse_dot with these kept weights and with x = 1, 2, ..., n"""
    return round(_call(answer, kept, n)[0], 2)


def compiles(answer: Callable) -> bool:
    """the C is compiled for the board"""
    return bool(_board(source_of(answer)))


LONG = 32 * 40
SOME = {int(place): 1.0 for place in torch.linspace(0, LONG - 1, 200)}
FOR_A_WORD, FOR_A_WEIGHT = 16, 24  # instructions; the reference needs about half


def few_instructions(answer: Callable) -> dict[str, bool]:
    """the board counts instructions for 40 words, all empty at first, then 200 kept"""
    empty, some = (
        _call(answer, kept, LONG, count=True)[1].instructions for kept in ({}, SOME)
    )
    for_a_word, for_a_weight = 32 * empty / LONG, (some - empty) / len(SOME)
    return {
        f"at most {FOR_A_WORD} for an empty word": for_a_word <= FOR_A_WORD,
        f"at most {FOR_A_WEIGHT} for a kept weight": for_a_weight <= FOR_A_WEIGHT,
    }


def chosen(answer: Callable, accuracies: dict, needs: dict, limits: dict):
    """the function is called with a measure that looks numbers up"""
    return answer(accuracies, _Measure(needs), limits)


def measured(answer: Callable, accuracies: dict, needs: dict, limits: dict):
    """measure notes the names that it is called with, in their order"""
    measure, needed = _Measure(needs), []
    for name in sorted(accuracies, key=accuracies.get, reverse=True):
        needed.append(name)
        if all(needs[name][what] <= limit for what, limit in limits.items()):
            break
    answer(accuracies, measure, limits)
    not_needed = [name for name in measure.names if name not in needed]
    return {"measured": measure.names, "not needed": not_needed}


def left(answer: Callable, accuracies: dict, needs: dict, limits: dict):
    """accuracies and limits after the call"""
    answer(accuracies, _Measure(needs), limits)
    return {"accuracies": accuracies, "limits": limits}


class _Measure:
    """Looks up what a network needs, and notes its name."""

    def __init__(self, needs: dict[str, dict[str, int]]) -> None:
        self.needs, self.names = needs, []

    @handed
    def __call__(self, name: str) -> dict[str, int]:
        self.names.append(name)
        return dict(self.needs[name])
