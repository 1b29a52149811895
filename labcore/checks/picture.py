"""Small pictures for the messages of the checks, drawn with letters."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mask_picture"]

LARGEST = 8  # rows and columns


def mask_picture(expected, got) -> list[str]:
    """Two masks side by side and where they differ; nothing unless both are small."""
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


def _is_small_mask(value) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype is torch.bool
        and value.dim() == 2
        and max(value.shape) <= LARGEST
    )


def _side_by_side(parts, width: int) -> str:
    return " " * 12 + "".join(part.ljust(width) for part in parts).rstrip()
