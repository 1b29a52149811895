"""Figures of many methods: accuracy with bands, a ranking, what each layer keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from labcore.plots.style import (
    ACCURACY,
    MARKED,
    dense_level,
    in_style,
    legend_above,
    mean_and_range,
    new_figure,
    styles_of,
    two_digits,
)

__all__ = ["accuracy_bands", "density_map", "parted_ranking"]

Curves = Mapping[str, Mapping[float, Sequence[float]]]  # name -> sparsity -> runs


@in_style
def accuracy_bands(
    panels: Mapping[str, Curves], dense: Sequence[float], title: str = ""
) -> Figure:
    """Accuracy by sparsity, mean and range of the runs; one panel for each group."""
    figure = new_figure(title, 4 * len(panels), 4.2)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False).ravel()
    places = {s for curves in panels.values() for c in curves.values() for s in c}
    places = sorted(places)
    for ax, (name, curves) in zip(axes, panels.items(), strict=True):
        dense_level(ax, np.mean(dense), min(dense), max(dense))
        for label, runs in curves.items():
            left = [1 - sparsity for sparsity in runs]
            mean_and_range(ax, left, runs.values(), label=label)
        ax.set_xscale("log")
        ax.set_xticks([1 - s for s in places], [f"{s:.0%}" for s in places])
        ax.minorticks_off()
        ax.set(xlim=(1.15 * (1 - places[0]), 0.85 * (1 - places[-1])), ylim=(0, 100))
        ax.set(xlabel="sparsity (log scale of the density)", title=name)
        ax.legend(loc="lower left")
    axes[0].set_ylabel(ACCURACY)
    return figure


@in_style
def parted_ranking(
    runs: Mapping[str, Sequence[float]], when: Mapping[str, str], title: str = ""
) -> Axes:
    """Methods ranked by mean accuracy, with a point for each run and their range.

    A dashed line separates two neighbours if every run above it is better than every
    run below it. Between two lines, the runs do not decide the order.
    when   name -> the group it belongs to, shown by its marker
    """
    order = sorted(runs, key=lambda name: -np.mean(runs[name]))
    ax = new_figure(title, 7.5, 0.3 * len(order) + 1.4).subplots()
    styles = styles_of(dict.fromkeys(when.values()))
    points = {group: style | {"linestyle": "none"} for group, style in styles.items()}
    for place, name in enumerate(order):
        colour = styles[when[name]]["color"]
        ax.hlines(place, min(runs[name]), max(runs[name]), color=colour)
        ax.plot(runs[name], [place] * len(runs[name]), **points[when[name]])
    for place in range(1, len(order)):
        above = min(min(runs[name]) for name in order[:place])
        if above > max(max(runs[name]) for name in order[place:]):
            ax.axhline(place - 0.5, color="black", linestyle="--", linewidth=1)
    for group, style in points.items():
        ax.plot([], [], label=group, **style)
    ax.set_yticks(range(len(order)), order, fontsize=9)
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=ACCURACY)
    legend_above(ax)
    return ax


@in_style
def density_map(
    densities: Mapping[str, Mapping[str, float]], title: str = ""
) -> Figure:
    """What each method keeps of each layer; dark means much, a cross means nothing."""
    names = list(densities)
    layers = list(densities[names[0]])
    shares = np.array([[densities[n][layer] for layer in layers] for n in names])
    figure = new_figure(title, 2.6 + 1.1 * len(layers), 0.32 * len(names) + 1.2)
    ax = figure.subplots()
    least = 1e-4
    norm = LogNorm(least, 1)
    ax.imshow(np.clip(shares, least, 1), cmap="Blues", norm=norm, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        dark = norm(max(share, least)) > 0.6
        text = "none" if share == 0 else f"{two_digits(100 * share)} %"
        place = {"ha": "center", "va": "center", "fontsize": 9}
        ax.text(column, row, text, color="white" if dark else "black", **place)
        if share == 0:
            cross = {"color": MARKED, "linewidth": 1, "linestyle": "-", "marker": ""}
            ax.plot([column - 0.5, column + 0.5], [row - 0.5, row + 0.5], **cross)
            ax.plot([column - 0.5, column + 0.5], [row + 0.5, row - 0.5], **cross)
    ax.set_xticks(range(len(layers)), layers)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure
