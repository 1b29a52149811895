"""Figures of many methods: accuracy with bands, where they part, what layers keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from labcore.plots.figures import DPI, KEPT, LINE, _finished

__all__ = ["accuracy_bands", "density_map", "parted_ranking"]

STYLES = (
    *(("o", KEPT, "-"), ("s", LINE, "--"), ("^", "#6f8f4e", ":")),
    *(("D", "#7a5c8e", "-."), ("v", "#8a8a8a", "-"), ("P", "#b08a2e", "--")),
    ("X", "#2e8a8a", ":"),
)

Curves = Mapping[str, Mapping[float, Sequence[float]]]  # name -> sparsity -> runs


def accuracy_bands(
    panels: Mapping[str, Curves], dense: Sequence[float], title: str = ""
) -> Figure:
    """Accuracy by sparsity, one panel a group: the mean of the runs and their range."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4 * len(panels), 4.2), dpi=DPI, sharey=True
    )
    places = {s for curves in panels.values() for c in curves.values() for s in c}
    places = sorted(places)
    for ax, (name, curves) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        ax.axhspan(min(dense), max(dense), color="grey", alpha=0.25, linewidth=0)
        ax.axhline(np.mean(dense), color="grey", linestyle="--", linewidth=1)
        for (label, points), style in zip(curves.items(), STYLES, strict=False):
            _band(ax, label, points, style)
        ax.set_xscale("log")
        ax.set_xticks([1 - s for s in places], [f"{s:.0%}" for s in places])
        ax.minorticks_off()
        ax.set(xlim=(1.15 * (1 - places[0]), 0.85 * (1 - places[-1])), ylim=(0, 100))
        ax.set_xlabel("sparsity, by what stays (log)")
        ax.set_title(name, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8, loc="lower left")
    np.atleast_1d(axes)[0].set_ylabel("accuracy on val, %")
    return _finished(figure, title)


def _band(ax: Axes, label: str, points: Mapping[float, Sequence[float]], style) -> None:
    marker, colour, line = style
    x = [1 - sparsity for sparsity in points]
    runs = list(points.values())
    mean = [np.mean(each) for each in runs]
    low, high = [min(each) for each in runs], [max(each) for each in runs]
    ax.plot(x, mean, line, marker=marker, color=colour, markersize=5, label=label)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def parted_ranking(
    runs: Mapping[str, Sequence[float]], when: Mapping[str, str], title: str = ""
) -> Axes:
    """Methods by their mean accuracy, one point a run and the range.

    A dashed line parts two neighbours where every run above it is better than every
    run below it; between two lines there is no order.
    when   name -> the group it belongs to, by which markers differ
    """
    order = sorted(runs, key=lambda name: -np.mean(runs[name]))
    _, ax = plt.subplots(figsize=(7.5, 0.3 * len(order) + 1.4), dpi=DPI)
    styles = dict(zip(dict.fromkeys(when.values()), STYLES, strict=False))
    for place, name in enumerate(order):
        marker, colour, _ = styles[when[name]]
        ax.plot([min(runs[name]), max(runs[name])], [place] * 2, color=colour)
        points = {"marker": marker, "linestyle": "none", "color": colour}
        ax.plot(runs[name], [place] * len(runs[name]), **points)
    for place in range(1, len(order)):
        above = min(min(runs[name]) for name in order[:place])
        if above > max(max(runs[name]) for name in order[place:]):
            ax.axhline(place - 0.5, color="black", linestyle="--", linewidth=1)
    for group, (marker, colour, _) in styles.items():
        points = {"marker": marker, "linestyle": "none", "color": colour}
        ax.plot([], [], label=group, **points)
    ax.set_yticks(range(len(order)), order, fontsize=9)
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel="accuracy on val, %")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    _finished(ax.figure, title)
    return ax


def density_map(
    densities: Mapping[str, Mapping[str, float]], title: str = ""
) -> Figure:
    """What each layer keeps by each method; dark is much, a crossed cell is nothing."""
    names = list(densities)
    layers = list(densities[names[0]])
    shares = np.array([[densities[n][layer] for layer in layers] for n in names])
    figure, ax = plt.subplots(
        figsize=(2.6 + 1.1 * len(layers), 0.32 * len(names) + 1.2), dpi=DPI
    )
    least = 1e-4
    norm = LogNorm(least, 1)
    ax.imshow(np.clip(shares, least, 1), cmap="Blues", norm=norm, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        dark = norm(max(share, least)) > 0.6
        text = "none" if share == 0 else f"{100 * share:.2g} %"
        ink = "white" if dark else "black"
        place = {"ha": "center", "va": "center", "fontsize": 9, "color": ink}
        ax.text(column, row, text, **place)
        if share == 0:
            cross = {"color": LINE, "linewidth": 1}
            ax.plot([column - 0.5, column + 0.5], [row - 0.5, row + 0.5], **cross)
            ax.plot([column - 0.5, column + 0.5], [row + 0.5, row - 0.5], **cross)
    ax.set_xticks(range(len(layers)), layers)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return _finished(figure, title)
