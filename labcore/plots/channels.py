"""Figures of channels: where one lives, in which order they stand, what is left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labcore.plots.figures import DPI, KEPT, LINE, REMOVED, _finished

__all__ = ["channel_places", "compare_orders", "recovery"]

LIT = "#e0ad8c"


def channel_places(
    first,
    norm: Mapping[str, Sequence[float]],
    second,
    picked: Collection[int],
    title: str = "",
) -> Figure:
    """Two layers as matrices and the BatchNorm between; the picked channels light up.

    first    (channels, inputs): a channel is a row
    norm     four names -> one number a channel
    second   (outputs, channels): a channel is a column
    """
    first, second = np.asarray(first), np.asarray(second)
    entries = np.stack([np.asarray(values) for values in norm.values()], axis=1)
    rows, columns = np.zeros_like(first, bool), np.zeros_like(second, bool)
    rows[list(picked)], columns[:, list(picked)] = True, True
    between = np.zeros_like(entries, bool)
    between[list(picked)] = True
    widths = [first.shape[1] + 1, len(norm) + 2, second.shape[1] + 1]
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.8), dpi=DPI, width_ratios=widths)
    _lit(axes[0], first, rows, "first layer: a row")
    _lit(axes[1], entries, between, "BatchNorm: one entry of each")
    _lit(axes[2], second, columns, "next layer: a column")
    _name_axes(axes[0], "channel", "input")
    _name_axes(axes[1], "channel", "")
    axes[1].set_xticklabels([name.replace("_", "\n") for name in norm])
    _name_axes(axes[2], "output", "channel")
    return _finished(figure, title)


def _lit(ax: Axes, values: np.ndarray, lit: np.ndarray, title: str) -> None:
    """One square a number; those that are lit are filled, and bold."""
    for (row, column), value in np.ndenumerate(values):
        on = lit[row, column]
        square = Rectangle((column, row), 1, 1, facecolor=LIT if on else "white")
        square.set_edgecolor("grey")
        ax.add_patch(square)
        text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        style = {"weight": "bold" if on else None, "ha": "center", "va": "center"}
        ax.annotate(text, (column + 0.5, row + 0.5), **style)
    ax.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), aspect="equal")
    ax.set_title(title, fontsize=10)
    ax.spines[:].set_visible(False)


def _name_axes(ax: Axes, down: str, across: str) -> None:
    rows, columns = int(ax.get_ylim()[0]), int(ax.get_xlim()[1])
    ax.set_yticks(np.arange(rows) + 0.5, range(rows), fontsize=8)
    ax.set_xticks(np.arange(columns) + 0.5, range(columns), fontsize=8)
    ax.tick_params(length=0)
    ax.set_xlabel(across, fontsize=9)
    ax.set_ylabel(down, fontsize=9)


def compare_orders(
    importance: Sequence[float],
    expected: Sequence[int],
    yours: Sequence[int],
    title: str = "",
) -> Figure:
    """Importances before, in the expected order, and in yours; what differs is marked.

    importance   one number a channel, in the old order
    expected     which old channel stands at each place; `yours` alike
    """
    orders = {"before": range(len(importance)), "expected": expected, "yours": yours}
    figure, axes = plt.subplots(3, 1, figsize=(8, 4.6), dpi=DPI, sharey=True)
    for ax, (name, order) in zip(axes, orders.items(), strict=True):
        wrong = [
            name == "yours" and mine != due
            for mine, due in zip(order, expected, strict=True)
        ]
        heights = [importance[channel] for channel in order]
        bars = ax.bar(range(len(heights)), heights, color=KEPT)
        for bar, is_wrong in zip(bars, wrong, strict=True):
            bar.set(facecolor=LINE if is_wrong else KEPT, edgecolor="white")
            bar.set_hatch("//" if is_wrong else None)
        ax.set_xticks(range(len(heights)), order, fontsize=8)
        count = f", {sum(wrong)} of {len(wrong)} differ" if name == "yours" else ""
        ax.set_title(name + count, fontsize=10, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].set_ylabel("importance")
    axes[2].set_xlabel("number of the channel in the old network")
    return _finished(figure, title)


def recovery(
    accuracies: Mapping[str, float],
    margins: Mapping[str, float],
    dense: float,
    title: str = "",
) -> Axes:
    """One bar a network with its 95 % interval, against the dense one's dashed line."""
    _, ax = plt.subplots(figsize=(7.5, 0.45 * len(accuracies) + 1.4), dpi=DPI)
    names = list(accuracies)
    places = range(len(names))
    error = [margins[name] for name in names]
    ax.barh(places, list(accuracies.values()), color=REMOVED, edgecolor=KEPT)
    ax.errorbar(list(accuracies.values()), places, xerr=error, fmt="none", color=KEPT)
    for place, name in zip(places, names, strict=True):
        x = accuracies[name] + margins[name]
        inside = accuracies[name] > 0.8 * dense
        text = f"{accuracies[name]:.1f}"
        where = (accuracies[name] - 2, place) if inside else (x + 1, place)
        ax.annotate(text, where, va="center", ha="right" if inside else "left")
    ax.axvline(dense, color="grey", linestyle="--", linewidth=1)
    ax.annotate(
        "dense ", (dense, -0.55), ha="right", va="bottom", color="grey", fontsize=8
    )
    ax.set_yticks(places, names)
    ax.set(xlim=(0, 100), ylim=(len(names) - 0.4, -0.8), xlabel="accuracy on val, %")
    ax.spines[["top", "right"]].set_visible(False)
    _finished(ax.figure, title)
    return ax
