"""Small pictures for the checks' messages, made of characters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from labcore.checks.engine.compare import same

__all__ = ["bars_picture", "mask_picture"]

LARGEST = 8  # rows and columns
LONGEST = 16  # characters of a bar


def mask_picture(expected, got) -> list[str]:
    """Two masks side by side and where they differ; empty unless both are small."""
    if not (_is_small_mask(expected) and _is_small_mask(got)):
        return []
    if expected.shape != got.shape:
        return []
    width = max(2 * expected.shape[1], len("difference")) + 3
    heads = ("expected", "yours", "difference")
    lines = ["  picture   # kept, . removed, ! differs", _side_by_side(heads, width)]
    for row, other in zip(expected.tolist(), got.tolist(), strict=True):
        marks = (
            ["#" if keep else "." for keep in row],
            ["#" if keep else "." for keep in other],
            [
                "=" if keep == mine else "!"
                for keep, mine in zip(row, other, strict=True)
            ],
        )
        lines.append(_side_by_side(map(" ".join, marks), width))
    return lines


def bars_picture(expected, got) -> list[str]:
    """The first rows that differ, as bars side by side; empty unless they are small."""
    if not (isinstance(expected, Mapping) and isinstance(got, Mapping)):
        return []
    for key, row in expected.items():
        other = got.get(key)
        if same(row, other):
            continue
        if not (_is_small_row(row) and _is_small_row(other)) or len(row) != len(other):
            return []
        largest = max(row.abs().max().item(), other.abs().max().item(), 1e-9)
        lines = [
            f"  picture   {key}: longer = larger, ! differs",
            _side_by_side(("expected", "yours"), LONGEST + 3),
        ]
        for pair in zip(row.tolist(), other.tolist(), strict=True):
            bars = ["#" * round(LONGEST * abs(value) / largest) for value in pair]
            differs = [] if same(*pair) else ["!"]
            lines.append(_side_by_side([*bars, *differs], LONGEST + 3))
        return lines
    return []


def _is_small_row(value) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.dim() == 1
        and 0 < len(value) <= LARGEST
    )


def _is_small_mask(value) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype is torch.bool
        and value.dim() == 2
        and max(value.shape) <= LARGEST
    )


def _side_by_side(parts, width: int) -> str:
    return " " * 12 + "".join(part.ljust(width) for part in parts).rstrip()
