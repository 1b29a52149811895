"""How many instructions a piece of Thumb code has, and how many clock cycles they take.

The cycles are those of Arm's "Cortex-M4 Technical Reference Manual", section 3.3.1, and
for the floating-point unit section 7.2.3. Where a number depends on what surrounds an
instruction, both ends are kept, so a time made from them is a range.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Cost", "cost_of"]

TAKEN = (2, 4)  # a branch that is taken; otherwise it takes 1
DIVIDE = (2, 12)


@dataclass(frozen=True)
class Cost:
    """Of a block that runs once; a branch at its end counts as not taken."""

    instructions: int
    fewest: int
    most: int


def cost_of(code: bytes) -> Cost:
    ranges = [_cycles(*each) for each in _instructions(code)]
    return Cost(
        len(ranges), sum(low for low, _ in ranges), sum(high for _, high in ranges)
    )


def _instructions(code: bytes) -> Iterator[tuple[int, int | None]]:
    """Each instruction as its first half, and its second half if it has one."""
    halves = iter(struct.unpack(f"<{len(code) // 2}H", code))
    for half in halves:
        long = half >> 11 in (0b11101, 0b11110, 0b11111)
        yield half, next(halves, 0) if long else None


def _cycles(first: int, second: int | None) -> tuple[int, int]:
    if second is None:
        return _short(first)
    group = first >> 8
    if group in (0xEC, 0xED):  # floating-point load and store, of one or of several
        single = first & 0xFF20 == 0xED00
        return (2, 2) if single else (1 + (second & 0xFF),) * 2
    if group == 0xEE:
        return (_floating(first),) * 2
    if group in (0xE8, 0xE9):
        several = not first & 0x40
        return (1 + second.bit_count() if several else 3,) * 2
    if group == 0xFB and first & 0xFFD0 == 0xFB90:
        return DIVIDE
    return (2, 2) if group in (0xF8, 0xF9) else (1, 1)


def _short(half: int) -> tuple[int, int]:
    if 0x4800 <= half < 0xA000:  # load and store of one
        return 2, 2
    if half & 0xF600 == 0xB400:  # push and pop; a pop of the program counter branches
        return 1 + (half & 0x1FF).bit_count(), 1 + (half & 0x1FF).bit_count()
    if half & 0xF000 == 0xC000:
        return (1 + (half & 0xFF).bit_count(),) * 2
    return 1, 1


def _floating(first: int) -> int:
    """Multiply-add takes 3, a division or a root 14, the rest 1."""
    operation = first & 0xFFB0
    if operation in (0xEE00, 0xEE10, 0xEE90, 0xEEA0):
        return 3
    return 14 if operation == 0xEE80 else 1
