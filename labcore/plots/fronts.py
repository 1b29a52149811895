"""Figures of sizes: bytes for each storage format, and the accuracy at each size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import (
    ACCURACY,
    LIMIT,
    NOTE,
    REFERENCE,
    dense_level,
    in_style,
    log_scale,
    new_figure,
    styles_of,
)

__all__ = ["pareto", "size_curves"]


@in_style
def size_curves(
    sparsities: Sequence[float],
    sizes: Mapping[str, Sequence[float]],
    limit: float,
    dense: float,
    title: str = "",
) -> Axes:
    """KiB by sparsity for several ways to store a network, and the device's limit."""
    ax = new_figure(title, 7, 3.8).subplots()
    for name, values in sizes.items():
        ax.plot(sparsities, values, label=name)
    for y, text in ((limit, f"{limit:g} KiB"), (dense, "dense")):
        ax.axhline(y, **REFERENCE)
        ax.annotate(text, (0.25, y), va="top", **NOTE)
    log_scale(ax, "y", base=2)
    ax.set(xlabel="sparsity", ylabel="size, KiB")
    ax.legend()
    return ax


Point = tuple[float, float]  # (KiB, accuracy)


@in_style
def pareto(
    panels: Mapping[str, Mapping[str, Sequence[Point]]],
    dense: Point,
    interval: float,
    limit: float,
    title: str = "",
) -> Figure:
    """Accuracy by size; one panel for each stage of the same networks.

    interval   half of the 95 % interval of an accuracy, drawn around the dense one
    """
    figure = new_figure(title, 5 * len(panels), 3.9)
    axes = figure.subplots(1, len(panels), squeeze=False)
    names = dict.fromkeys(name for series in panels.values() for name in series)
    styles = styles_of(names)
    for ax, (stage, series) in zip(axes.flat, panels.items(), strict=True):
        low, high = dense[1] - interval, dense[1] + interval
        dense_level(ax, dense[1], low, high)
        ax.axvline(limit, **LIMIT)
        for name, points in series.items():
            kib, accuracy = zip(*sorted(points), strict=True)
            ax.plot(kib, accuracy, label=name, linewidth=1, **styles[name])
        ax.annotate(f" {limit:g} KiB", (limit, low), va="top", **NOTE)
        log_scale(ax, "x", base=2)
        ax.set(xlabel="size by the formula, KiB", ylabel=ACCURACY, title=stage)
        ax.legend()
    return figure
