"""Figures of channels: where they are stored, how they are sorted, what is left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import (
    ACCURACY,
    KEPT,
    LIT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    box,
    in_style,
    new_figure,
    number,
)

__all__ = ["channel_places", "compare_orders", "recovery"]


@in_style
def channel_places(
    first,
    norm: Mapping[str, Sequence[float]],
    second,
    picked: Collection[int],
    title: str = "",
) -> Figure:
    """Two layers as matrices with a BatchNorm between them; picked channels light up.

    first    (channels, inputs): a channel is a row
    norm     parameter or buffer -> one number for each channel
    second   (outputs, channels): a channel is a column
    """
    first, second = np.asarray(first), np.asarray(second)
    entries = np.stack([np.asarray(values) for values in norm.values()], axis=1)
    rows, columns = np.zeros_like(first, bool), np.zeros_like(second, bool)
    rows[list(picked)], columns[:, list(picked)] = True, True
    between = np.zeros_like(entries, bool)
    between[list(picked)] = True
    widths = [first.shape[1] + 1, len(norm) + 2, second.shape[1] + 1]
    figure = new_figure(title, 9, 3.8)
    axes = figure.subplots(1, 3, width_ratios=widths)
    _matrix(axes[0], first, rows, "first layer: a row")
    _matrix(axes[1], entries, between, "BatchNorm: one entry of each")
    _matrix(axes[2], second, columns, "next layer: a column")
    _name_axes(axes[0], "channel", "input")
    _name_axes(axes[1], "channel", "")
    axes[1].set_xticklabels([name.replace("_", "\n") for name in norm])
    _name_axes(axes[2], "output", "channel")
    return figure


def _matrix(ax: Axes, values: np.ndarray, lit: np.ndarray, title: str) -> None:
    """A box for each number; those that are lit are filled, and bold."""
    for (row, column), value in np.ndenumerate(values):
        on = lit[row, column]
        style = {"colour": LIT, "weight": "bold"} if on else {}
        box(ax, (column, row), text=number(value, "g"), **style)
    ax.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), aspect="equal")
    ax.set_title(title)
    ax.spines[:].set_visible(False)


def _name_axes(ax: Axes, down: str, across: str) -> None:
    rows, columns = int(ax.get_ylim()[0]), int(ax.get_xlim()[1])
    ax.set_yticks(np.arange(rows) + 0.5, range(rows), fontsize=8)
    ax.set_xticks(np.arange(columns) + 0.5, range(columns), fontsize=8)
    ax.tick_params(length=0)
    ax.set_xlabel(across, fontsize=9)
    ax.set_ylabel(down, fontsize=9)


@in_style
def compare_orders(
    importance: Sequence[float],
    expected: Sequence[int],
    yours: Sequence[int],
    title: str = "",
) -> Figure:
    """The importances before sorting, in the expected order, and in yours.

    Bars that differ from the expected order are hatched.
    importance        one number for each channel, in the old order
    expected, yours   which old channel stands at each place
    """
    orders = {"before": range(len(importance)), "expected": expected, "yours": yours}
    figure = new_figure(title, 8, 4.6)
    axes = figure.subplots(3, 1, sharey=True)
    for ax, (name, order) in zip(axes, orders.items(), strict=True):
        wrong = [
            name == "yours" and mine != due
            for mine, due in zip(order, expected, strict=True)
        ]
        heights = [importance[channel] for channel in order]
        bars = ax.bar(range(len(heights)), heights)
        for bar, is_wrong in zip(bars, wrong, strict=True):
            bar.set(facecolor=MARKED if is_wrong else KEPT, edgecolor="white")
            bar.set_hatch("//" if is_wrong else None)
        ax.set_xticks(range(len(heights)), order, fontsize=8)
        count = f", {sum(wrong)} of {len(wrong)} differ" if name == "yours" else ""
        ax.set_title(name + count, loc="left")
    axes[1].set_ylabel("importance")
    axes[2].set_xlabel("channel number in the old network")
    return figure


@in_style
def recovery(
    accuracies: Mapping[str, float],
    margins: Mapping[str, float],
    dense: float,
    title: str = "",
) -> Axes:
    """A bar with its 95 % interval for each network, and a dashed line for dense."""
    ax = new_figure(title, 7.5, 0.45 * len(accuracies) + 1.4).subplots()
    names, values = list(accuracies), list(accuracies.values())
    places = range(len(names))
    error = [margins[name] for name in names]
    ax.barh(places, values, color=REMOVED, edgecolor=KEPT)
    ax.errorbar(values, places, xerr=error, fmt="none", color=KEPT)
    for place, value, margin in zip(places, values, error, strict=True):
        inside = value > 0.8 * dense
        where = (value - 2, place) if inside else (value + margin + 1, place)
        ha = "right" if inside else "left"
        ax.annotate(f"{value:.1f}", where, va="center", ha=ha)
    ax.axvline(dense, **REFERENCE)
    ax.annotate("dense ", (dense, -0.55), ha="right", va="bottom", **NOTE)
    ax.set_yticks(places, names)
    ax.set(xlim=(0, 100), ylim=(len(names) - 0.4, -0.8), xlabel=ACCURACY)
    return ax
