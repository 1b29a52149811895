"""Figures of lottery tickets: what is left, and the road between networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from labcore.plots.figures import DPI, REMOVED, _finished
from labcore.plots.fronts import SERIES

__all__ = ["curves_by_weights_left", "road"]

Runs = Sequence[Sequence[float]]  # one list of values a seed


def curves_by_weights_left(
    left: Sequence[float],
    curves: Mapping[str, Runs],
    dense: Sequence[float],
    ylabel: str,
    title: str = "",
    log: bool = False,
) -> Axes:
    """Means and ranges by the share of weights left, in percent, fewer rightwards.

    dense   the dense networks' values, one a seed
    """
    _, ax = plt.subplots(figsize=(7, 3.9), dpi=DPI)
    ax.axhspan(min(dense), max(dense), color=REMOVED, alpha=0.5, linewidth=0)
    ax.axhline(np.mean(dense), color="grey", linestyle="--", linewidth=1, label="dense")
    _bands(ax, left, curves)
    ax.set_xscale("log")
    ax.set_xlim(1.05 * max(left), min(left) / 1.05)
    ax.set_xticks(left, [f"{share:.2g}" for share in left])
    ax.minorticks_off()
    ax.set(xlabel="weights left, % of all", ylabel=ylabel)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
    return _with_legend(ax, _seeds(curves), title)


def road(
    positions: Sequence[float], curves: Mapping[str, Runs], title: str = ""
) -> Axes:
    """Loss on the straight line from one network, at 0, to another one, at 1."""
    _, ax = plt.subplots(figsize=(7, 3.9), dpi=DPI)
    _bands(ax, positions, curves)
    ax.set(xlabel="position: 0 = pruning solution, 1 = the other network")
    ax.set(ylabel="loss", ylim=(0, None))
    return _with_legend(ax, _seeds(curves), title)


def _bands(ax: Axes, x: Sequence[float], curves: Mapping[str, Runs]) -> None:
    """For each name the mean of its runs, and the range between them as a band."""
    for (name, runs), (marker, colour, line) in zip(
        curves.items(), SERIES, strict=False
    ):
        low, mean, high = np.min(runs, 0), np.mean(runs, 0), np.max(runs, 0)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(x, mean, line, marker=marker, color=colour, label=name, markersize=5)


def _seeds(curves: Mapping[str, Runs]) -> str:
    return f"mean and range of {len(next(iter(curves.values())))} seeds"


def _with_legend(ax: Axes, heading: str, title: str) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, title=heading, title_fontsize=8)
    _finished(ax.figure, title)
    return ax
