"""Figures of sizes: what a way of storing takes, and what accuracy a size allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.figures import DPI, KEPT, LINE, REMOVED, _finished

__all__ = ["pareto", "size_curves"]

GREEN = "#6f8f4e"
SERIES = (
    *(("o", KEPT, "-"), ("s", LINE, "--"), ("^", GREEN, ":")),
    *(("D", "#7a5c8e", "-."), ("v", "#8a8a8a", "-")),
)


def size_curves(
    sparsities: Sequence[float],
    sizes: Mapping[str, Sequence[float]],
    limit: float,
    dense: float,
    title: str = "",
) -> Axes:
    """KiB by sparsity for several ways to store a network, and the device's limit."""
    _, ax = plt.subplots(figsize=(7, 3.8), dpi=DPI)
    for (name, values), (marker, colour, line) in zip(
        sizes.items(), SERIES, strict=False
    ):
        ax.plot(sparsities, values, line, marker=marker, color=colour, label=name)
    for y, text in ((limit, f"{limit:g} KiB"), (dense, "dense")):
        ax.axhline(y, color="grey", linestyle="--", linewidth=1)
        ax.annotate(text, (0.25, y), fontsize=8, color="grey", va="top")
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="sparsity", ylabel="size, KiB")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    _finished(ax.figure, title)
    return ax


Point = tuple[float, float]  # (KiB, accuracy)


def pareto(
    panels: Mapping[str, Mapping[str, Sequence[Point]]],
    dense: Point,
    interval: float,
    limit: float,
    title: str = "",
) -> Figure:
    """Size against accuracy, a panel each for several stages of the same networks.

    interval   half of the 95 % interval of an accuracy, drawn around the dense one
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 3.9), dpi=DPI, squeeze=False
    )
    names = dict.fromkeys(name for series in panels.values() for name in series)
    styles = dict(zip(names, SERIES, strict=False))
    for ax, (stage, series) in zip(axes.flat, panels.items(), strict=True):
        low, high = dense[1] - interval, dense[1] + interval
        ax.axhspan(low, high, color=REMOVED, alpha=0.5, linewidth=0)
        ax.axhline(dense[1], color="grey", linestyle="--", linewidth=1)
        ax.axvline(limit, color="grey", linestyle=":", linewidth=1)
        for name, points in series.items():
            marker, colour, line = styles[name]
            kib, accuracy = zip(*sorted(points), strict=True)
            style = {"marker": marker, "color": colour, "markersize": 7}
            ax.plot(kib, accuracy, line, label=name, linewidth=1, **style)
        ax.annotate(f" {limit:g} KiB", (limit, low), fontsize=8, color="grey")
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set(xlabel="size by the formula, KiB", ylabel="accuracy on val, %")
        ax.set_title(stage, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8, loc="best")
    return _finished(figure, title)
