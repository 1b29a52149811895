"""Figures of a plan: what each layer tolerates and keeps, and what was predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import (
    ACCURACY,
    KEPT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    in_style,
    legend_above,
    new_figure,
    number,
    panel_grid,
    short_name,
    two_digits,
)

__all__ = ["layer_curves", "plan_picture", "prediction_errors"]

Curves = Mapping[str, Mapping[float, float]]  # layer -> sparsity -> accuracy
Intervals = Mapping[str, Mapping[float, tuple[float, float]]]


@in_style
def layer_curves(
    accuracy: Curves,
    interval: Intervals,
    dense: float,
    shares: Mapping[str, Mapping[str, float]],
    title: str = "",
) -> Figure:
    """A panel for each layer: its curve with 95 % intervals, the others behind it.

    shares   of what ("of the weights") -> layer -> share, drawn as bars on the right
    """
    figure = new_figure(title, 11, 5.2)
    left, right = figure.subfigures(1, 2, width_ratios=(2.4, 1))
    panels = panel_grid(left, len(accuracy), columns=3, sharex=True, sharey=True)
    behind = {"color": REMOVED, "linewidth": 0.8, "linestyle": "-", "marker": ""}
    for name, ax in zip(accuracy, panels, strict=True):
        for row in accuracy.values():
            ax.plot(list(row), list(row.values()), **behind)
        levels, values = list(accuracy[name]), list(accuracy[name].values())
        low, high = zip(*interval[name].values(), strict=True)
        ax.fill_between(levels, low, high, color=MARKED, alpha=0.35, linewidth=0)
        ax.plot(levels, values, markersize=3)
        ax.axhline(dense, **REFERENCE)
        ax.set_title(short_name(name), fontsize=9)
        ax.set_yscale("function", functions=_stretch(dense + 2))
        ax.set(xlim=(0, 1), ylim=(0, dense + 1))
        ax.set_yticks([10, 60, 85, dense], ["10", "60", "85", "dense"])
        ax.tick_params(labelsize=8)
    left.supxlabel("sparsity of this layer alone", fontsize=9)
    left.supylabel(f"{ACCURACY} (stretched at the top)", fontsize=9)
    _share_bars(right.subplots(), shares)
    return figure


def _stretch(ceiling: float) -> tuple[Callable, Callable]:
    """A scale with room near the top, where most points and their intervals are."""
    return (
        lambda accuracy: -np.log(ceiling - np.minimum(accuracy, ceiling - 0.5)),
        lambda height: ceiling - np.exp(-height),
    )


def _share_bars(ax: Axes, shares: Mapping[str, Mapping[str, float]]) -> None:
    """Bars with their values in percent, the first layer on top."""
    height = 0.8 / len(shares)
    for place, (label, row) in enumerate(shares.items()):
        places = np.arange(len(row)) + place * height
        percent = 100 * np.array(list(row.values()))
        style = {"color": (KEPT, REMOVED)[place % 2], "edgecolor": KEPT}
        bars = ax.barh(places, percent, height, label=label, linewidth=0.5, **style)
        ax.bar_label(bars, [two_digits(p) for p in percent], fontsize=7, padding=2)
        names = [short_name(layer) for layer in row]
    ax.set_yticks(np.arange(len(names)) + height / 2, names)
    ax.invert_yaxis()
    ax.set_xlabel("share of the network, %", fontsize=9)
    ax.margins(x=0.15)
    ax.tick_params(labelsize=8)
    legend_above(ax)


@in_style
def plan_picture(
    kept: Mapping[str, float],
    dense: Mapping[str, float],
    limit: float,
    predicted: float,
    measured: float,
    interval: float,
) -> Figure:
    """A plan for all layers: the KiB it keeps; its accuracy, predicted and measured.

    kept, dense   layer -> KiB with and without pruning
    limit         KiB that all layers may take together
    interval      half of the 95 % interval of `measured`, in percentage points
    """
    figure = new_figure("", 10, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    names = [short_name(layer) for layer in dense]
    left.barh(names, list(dense.values()), color=REMOVED, label="removed")
    left.barh(names, list(kept.values()), color=KEPT, label="kept")
    left.invert_yaxis()
    total = sum(kept.values())
    verdict = "fits" if total <= limit else "too large"
    left.set_title(f"{total:,.0f} KiB of at most {limit:,.0f}: {verdict}")
    left.set_xlabel("size, KiB")
    left.legend()
    heights = [max(predicted, 0), measured]
    bars = right.bar(["predicted", "measured"], heights, width=0.6)
    for bar, colour, hatch in zip(bars, (REMOVED, KEPT), ("//", ""), strict=True):
        bar.set(facecolor=colour, hatch=hatch, edgecolor="white")
    right.errorbar(1, measured, interval, color=MARKED, capsize=4)
    right.bar_label(bars, [number(v, ".1f") for v in (predicted, measured)], padding=4)
    right.set(ylim=(0, 112), ylabel=ACCURACY)
    error = number(predicted - measured, "+.1f")
    right.set_title(f"prediction off by {error} points")
    return figure


@in_style
def prediction_errors(
    predicted: Sequence[float], measured: Sequence[float], title: str = ""
) -> Axes:
    """Each plan as a point; on the dashed line the prediction would be right."""
    ax = new_figure(title, 5.2, 4.2).subplots()
    low = min(0, *predicted)
    ax.plot([low, 100], [low, 100], **REFERENCE)
    ax.annotate("prediction right", (97, 99), ha="right", **NOTE)
    ax.plot(predicted, measured, "o", color=KEPT)
    ax.set(xlabel="predicted: dense minus all losses, %", ylabel="measured, %")
    ax.set(xlim=(low - 2, 102), ylim=(0, 102))
    return ax
