"""Figures of a plan: how layers bear pruning, what stays, how well it is predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.figures import DPI, KEPT, LINE, REMOVED, _finished

__all__ = ["layer_curves", "plan_picture", "prediction_errors"]

Curves = Mapping[str, Mapping[float, float]]  # layer -> sparsity -> accuracy
Intervals = Mapping[str, Mapping[float, tuple[float, float]]]


def layer_curves(
    accuracy: Curves,
    interval: Intervals,
    dense: float,
    shares: Mapping[str, Mapping[str, float]],
    title: str = "",
) -> Figure:
    """A panel a layer: its curve with 95 % intervals, the others in grey behind it.

    shares   what is shared out -> layer -> share, drawn as bars on the right
    """
    figure = plt.figure(figsize=(11, 5.2), dpi=DPI)
    left, right = figure.subfigures(1, 2, width_ratios=(2.4, 1))
    rows = -(-len(accuracy) // 3)
    panels = left.subplots(rows, 3, sharex=True, sharey=True, squeeze=False).flat
    for name, ax in zip(accuracy, panels, strict=False):
        for row in accuracy.values():
            ax.plot(list(row), list(row.values()), color=REMOVED, linewidth=0.8)
        levels = list(accuracy[name])
        low, high = zip(*interval[name].values(), strict=True)
        ax.fill_between(levels, low, high, color=LINE, alpha=0.35, linewidth=0)
        values = list(accuracy[name].values())
        ax.plot(levels, values, color=KEPT, marker="o", markersize=3)
        ax.axhline(dense, color="grey", linestyle="--", linewidth=1)
        ax.set_title(name.split(".")[-1], fontsize=9)
        ax.set_yscale("function", functions=_stretch(dense + 2))
        ax.set(xlim=(0, 1), ylim=(0, dense + 1))
        ax.set_yticks([10, 60, 85, dense], ["10", "60", "85", "dense"])
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in list(panels):
        ax.axis("off")
    left.supxlabel("sparsity of this layer alone", fontsize=9)
    left.supylabel("accuracy on val, % (stretched at the top)", fontsize=9)
    left.subplots_adjust(0.1, 0.12, 0.98, 0.86, hspace=0.4)
    _share_bars(right.subplots(), shares)
    right.subplots_adjust(0.2, 0.12, 0.95, 0.86)
    figure.suptitle(title, fontsize=11)
    return figure


def _stretch(ceiling: float) -> tuple[Callable, Callable]:
    """A scale with room near the top, where most points and their intervals are."""
    return (
        lambda accuracy: -np.log(ceiling - np.minimum(accuracy, ceiling - 0.5)),
        lambda height: ceiling - np.exp(-height),
    )


def _share_bars(ax: Axes, shares: Mapping[str, Mapping[str, float]]) -> None:
    """Two bars a layer, the first layer on top, with their values in percent."""
    height = 0.8 / len(shares)
    for number, (label, row) in enumerate(shares.items()):
        places = np.arange(len(row)) + number * height
        percent = 100 * np.array(list(row.values()))
        style = {"color": (KEPT, REMOVED)[number % 2], "edgecolor": KEPT}
        bars = ax.barh(places, percent, height, label=label, linewidth=0.5, **style)
        ax.bar_label(bars, [f"{p:.2g}" for p in percent], fontsize=7, padding=2)
        names = [name.split(".")[-1] for name in row]
    ax.set_yticks(np.arange(len(names)) + height / 2, names, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("share of the network, %", fontsize=9)
    ax.margins(x=0.15)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def plan_picture(
    kept: Mapping[str, float],
    dense: Mapping[str, float],
    limit: float,
    predicted: float,
    measured: float,
    interval: float,
) -> Figure:
    """A plan for all layers: the KiB that stay; accuracy as predicted and as measured.

    kept, dense   layer -> KiB with and without pruning
    limit         KiB that all may take together
    interval      half of the 95 % interval of `measured`, points
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.4), dpi=DPI, width_ratios=(2.2, 1)
    )
    names = [name.split(".")[-1] for name in dense]
    left.barh(names, list(dense.values()), color=REMOVED, label="removed")
    left.barh(names, list(kept.values()), color=KEPT, label="kept")
    left.invert_yaxis()
    total = sum(kept.values())
    verdict = "fits" if total <= limit else "too large"
    left.set_title(f"{total:,.0f} KiB of at most {limit:,.0f}: {verdict}", fontsize=10)
    left.set_xlabel("KiB")
    left.legend(frameon=False, fontsize=9)
    bars = right.bar(
        ["predicted", "measured"], [max(predicted, 0), measured], width=0.6
    )
    for bar, colour, hatch in zip(bars, (REMOVED, KEPT), ("//", ""), strict=True):
        bar.set(facecolor=colour, hatch=hatch, edgecolor="white")
    right.errorbar(1, measured, interval, color=LINE, capsize=4)
    right.bar_label(bars, [f"{predicted:.1f}", f"{measured:.1f}"], padding=4)
    right.set(ylim=(0, 112), ylabel="accuracy on val, %")
    error = f"{predicted - measured:+.1f}".replace("-", "\N{MINUS SIGN}")
    right.set_title(f"prediction off by {error}", fontsize=10)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    return _finished(figure, "")


def prediction_errors(
    predicted: Sequence[float], measured: Sequence[float], title: str = ""
) -> Axes:
    """Each plan as a point; on the line the prediction would be right."""
    _, ax = plt.subplots(figsize=(5.2, 4.2), dpi=DPI)
    low = min(0, *predicted)
    ax.plot([low, 100], [low, 100], color="grey", linestyle="--", linewidth=1)
    ax.annotate("right", (97, 99), fontsize=8, color="grey", ha="right")
    ax.plot(predicted, measured, "o", color=KEPT)
    ax.set(xlabel="predicted: dense minus all losses, %", ylabel="measured, %")
    ax.set(xlim=(low - 2, 102), ylim=(0, 102))
    ax.spines[["top", "right"]].set_visible(False)
    _finished(ax.figure, title)
    return ax
