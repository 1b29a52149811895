"""Figures of masks: which weights are zero, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labcore.plots.figures import DPI, KEPT, LINE, REMOVED, _finished

__all__ = ["compare_masks", "mask_by_rank", "mask_grid", "order_curves", "zero_curves"]

STYLES = (("o", KEPT, "-"), ("s", LINE, ":"), ("^", "#6f8f4e", "--"))


def compare_masks(values, expected, yours, title: str = "") -> Figure:
    """A matrix under two masks, and where these differ."""
    values, expected, yours = map(np.asarray, (values, expected, yours))
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), dpi=DPI)
    wrong = expected != yours
    count = f"difference: {wrong.sum()} of {wrong.size}"
    _cells(axes[0], values, expected, "expected")
    _cells(axes[1], values, yours, "yours")
    _cells(axes[2], values, ~wrong, count, kept="white", removed=LINE)
    return _finished(figure, title)


def mask_by_rank(values, mask, title: str = "") -> Figure:
    """A matrix under a mask, and its magnitudes in order; kept dark, removed light."""
    values, mask = np.asarray(values), np.asarray(mask)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3.5), dpi=DPI, width_ratios=(1, 1.8)
    )
    _cells(left, values, mask, f"{(~mask).sum()} of {mask.size} removed")
    order = np.abs(values).ravel().argsort(kind="stable")
    colours = [KEPT if keep else REMOVED for keep in mask.ravel()[order]]
    right.bar(range(1, mask.size + 1), np.abs(values).ravel()[order], color=colours)
    right.set(xlabel="rank of the weight", ylabel="magnitude")
    right.set_title("dark: kept, light: removed", fontsize=10)
    right.spines[["top", "right"]].set_visible(False)
    return _finished(figure, title)


def mask_grid(
    panels: Mapping[str, Sequence], columns: int = 2, title: str = ""
) -> Figure:
    """For each panel the masks of some layers side by side, kept weights dark."""
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.5 * columns, 1.9 * rows + 0.5), dpi=DPI, squeeze=False
    )
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (name, masks) in zip(axes.flat, panels.items(), strict=False):
        left = 0
        for mask in map(np.asarray, masks):
            _cells(ax, None, mask, left=left)
            left += mask.shape[1] + 1
        ax.set(xlim=(-0.2, left - 0.8))
        ax.set_title(name, fontsize=10)
    return _finished(figure, title)


def _cells(
    ax: Axes,
    values: np.ndarray | None,
    mask: np.ndarray,
    title: str = "",
    kept: str = KEPT,
    removed: str = REMOVED,
    left: int = 0,
) -> None:
    """One square a weight, with its value where values are given."""
    rows, columns = mask.shape
    for (row, column), keep in np.ndenumerate(mask):
        corner, colour = (left + column, row), kept if keep else removed
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="lightgrey"))
        if values is not None:
            ink = "white" if colour == KEPT else "black"
            text = f"{values[row, column]:.2f}".replace("-", "\N{MINUS SIGN}")
            weight = "bold" if colour == LINE else None
            place = (left + column + 0.5, row + 0.5)
            style = {"color": ink, "fontsize": 8, "weight": weight}
            ax.annotate(text, place, ha="center", va="center", **style)
    ax.set(xlim=(0, left + columns), ylim=(rows, 0), aspect="equal", title=title)
    ax.title.set_fontsize(10)
    ax.axis("off")


def order_curves(
    sparsities: Sequence[float],
    curves: Mapping[str, Sequence[Sequence[float]]],
    dense: float,
    chance: float,
    title: str = "",
) -> Axes:
    """Accuracy by sparsity; a curve of several runs is their mean with their range.

    curves   name -> one list of accuracies a run, in the order of the sparsities
    """
    _, ax = plt.subplots(figsize=(6.5, 3.6), dpi=DPI)
    for (name, runs), (marker, colour, line) in zip(
        curves.items(), STYLES, strict=False
    ):
        low, mean, high = np.min(runs, 0), np.mean(runs, 0), np.max(runs, 0)
        label = name if len(runs) == 1 else f"{name} ({len(runs)} draws, range)"
        ax.plot(sparsities, mean, line, marker=marker, color=colour, label=label)
        ax.fill_between(sparsities, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.axhline(dense, color="grey", linestyle="--", linewidth=1)
    ax.axhline(chance, color="grey", linestyle=":", linewidth=1)
    style = {"fontsize": 8, "color": "grey", "ha": "right"}
    ax.annotate("dense", (1, dense), va="bottom", **style)
    ax.annotate("guessing", (1, chance - 1), va="top", **style)
    ax.set(xlim=(0, 1), ylim=(0, 102))
    ax.set(xlabel="share of each layer's weights removed", ylabel="accuracy on val, %")
    return _with_legend(ax, title)


def zero_curves(curves: Mapping[str, Sequence[float]], title: str = "") -> Axes:
    """Share of the removed weights that is still zero, after 0, 1, 2 ... steps."""
    _, ax = plt.subplots(figsize=(6, 3.2), dpi=DPI)
    for (name, shares), (marker, colour, line) in zip(
        curves.items(), STYLES, strict=False
    ):
        percent = 100 * np.asarray(shares)
        ax.plot(percent, line, marker=marker, color=colour, label=name, markersize=4)
    ax.set(xlabel="training step", ylabel="still zero, %", ylim=(-4, 104))
    return _with_legend(ax, title)


def _with_legend(ax: Axes, title: str) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    _finished(ax.figure, title)
    return ax
