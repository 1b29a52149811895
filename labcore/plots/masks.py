"""Figures of masks: which weights are zero, and what that does to the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import (
    ACCURACY,
    KEPT,
    LIMIT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    box,
    in_style,
    mean_and_range,
    new_figure,
    number,
    panel_grid,
)

__all__ = ["compare_masks", "mask_by_rank", "mask_grid", "order_curves", "zero_curves"]


@in_style
def compare_masks(values, expected, yours, title: str = "") -> Figure:
    """A matrix under two masks, and the places where the masks differ."""
    values, expected, yours = map(np.asarray, (values, expected, yours))
    figure = new_figure(title, 9, 3.3)
    axes = figure.subplots(1, 3)
    wrong = expected != yours
    count = f"difference: {wrong.sum()} of {wrong.size}"
    _cells(axes[0], values, expected, "expected")
    _cells(axes[1], values, yours, "yours")
    _cells(axes[2], values, ~wrong, count, kept="white", removed=MARKED)
    return figure


@in_style
def mask_by_rank(values, mask, title: str = "") -> Figure:
    """A matrix under a mask, and its magnitudes sorted; kept dark, removed light."""
    values, mask = np.asarray(values), np.asarray(mask)
    figure = new_figure(title, 9, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.8))
    _cells(left, values, mask, f"{(~mask).sum()} of {mask.size} removed")
    order = np.abs(values).ravel().argsort(kind="stable")
    colours = [KEPT if keep else REMOVED for keep in mask.ravel()[order]]
    right.bar(range(1, mask.size + 1), np.abs(values).ravel()[order], color=colours)
    right.set(xlabel="rank of the weight", ylabel="magnitude")
    right.set_title("dark: kept, light: removed")
    return figure


@in_style
def mask_grid(
    panels: Mapping[str, Sequence], columns: int = 2, title: str = ""
) -> Figure:
    """One panel each, with the masks of some layers side by side; kept weights dark."""
    rows = -(-len(panels) // columns)
    figure = new_figure(title, 4.5 * columns, 1.9 * rows + 0.5)
    axes = panel_grid(figure, len(panels), columns)
    for ax, (name, masks) in zip(axes, panels.items(), strict=True):
        left = 0
        for mask in map(np.asarray, masks):
            _cells(ax, None, mask, left=left)
            left += mask.shape[1] + 1
        ax.set(xlim=(-0.2, left - 0.8), title=name)
    return figure


def _cells(
    ax: Axes,
    values: np.ndarray | None,
    mask: np.ndarray,
    title: str = "",
    kept: str = KEPT,
    removed: str = REMOVED,
    left: int = 0,
) -> None:
    """A square for each weight, with its value if values are given."""
    rows, columns = mask.shape
    for (row, column), keep in np.ndenumerate(mask):
        colour = kept if keep else removed
        text = "" if values is None else number(values[row, column], ".2f")
        style = {"fontsize": 8, "weight": "bold" if colour == MARKED else None}
        corner = (left + column, row)
        box(ax, corner, colour=colour, text=text, edge="lightgrey", **style)
    ax.set(xlim=(0, left + columns), ylim=(rows, 0), aspect="equal", title=title)
    ax.axis("off")


@in_style
def order_curves(
    sparsities: Sequence[float],
    curves: Mapping[str, Sequence[Sequence[float]]],
    dense: float,
    chance: float,
    title: str = "",
) -> Axes:
    """Accuracy by sparsity; several runs are drawn as their mean with their range.

    curves   name -> for each run its accuracies, in the order of the sparsities
    """
    ax = new_figure(title, 6.5, 3.6).subplots()
    for name, runs in curves.items():
        label = name if len(runs) == 1 else f"{name} ({len(runs)} draws, range)"
        mean_and_range(ax, sparsities, zip(*runs, strict=True), label=label)
    ax.axhline(dense, **REFERENCE)
    ax.axhline(chance, **LIMIT)
    ax.annotate(" dense", (1, dense), va="center", **NOTE)
    ax.annotate(" guessing", (1, chance), va="center", **NOTE)
    ax.set(xlim=(0, 1), ylim=(0, 102))
    ax.set(xlabel="share of each layer's weights removed", ylabel=ACCURACY)
    ax.legend()
    return ax


@in_style
def zero_curves(curves: Mapping[str, Sequence[float]], title: str = "") -> Axes:
    """How much of the removed weights is still zero, after 0, 1, 2 ... steps."""
    ax = new_figure(title, 6, 3.2).subplots()
    for name, shares in curves.items():
        ax.plot(100 * np.asarray(shares), label=name, markersize=4)
    ax.set(xlabel="training step", ylabel="still zero, %", ylim=(-4, 104))
    ax.legend()
    return ax
