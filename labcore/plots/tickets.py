"""Figures of lottery tickets: how they train, and the path between two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from labcore.plots.style import (
    dense_level,
    in_style,
    log_scale,
    mean_and_range,
    new_figure,
    two_digits,
)

__all__ = ["curves_by_weights_left", "road"]

Runs = Sequence[Sequence[float]]  # a list of values for each seed


@in_style
def curves_by_weights_left(
    left: Sequence[float],
    curves: Mapping[str, Runs],
    dense: Sequence[float],
    ylabel: str,
    title: str = "",
    log: bool = False,
) -> Axes:
    """Means and ranges by the percentage of weights left, fewer to the right.

    dense   the dense networks' values, one for each seed
    """
    ax = new_figure(title, 7, 3.9).subplots()
    dense_level(ax, np.mean(dense), min(dense), max(dense), label="dense")
    _draw_runs(ax, left, curves)
    ax.set_xscale("log")
    ax.set_xlim(1.05 * max(left), min(left) / 1.05)
    ax.set_xticks(left, [two_digits(share) for share in left])
    ax.minorticks_off()
    ax.set(xlabel="weights left, % of all", ylabel=ylabel)
    if log:
        log_scale(ax, "y")
    return ax


@in_style
def road(
    positions: Sequence[float], curves: Mapping[str, Runs], title: str = ""
) -> Axes:
    """The loss on the straight line from one network, at 0, to another, at 1."""
    ax = new_figure(title, 7, 3.9).subplots()
    _draw_runs(ax, positions, curves)
    ax.set(xlabel="position: 0 = pruning solution, 1 = the other network")
    ax.set(ylabel="loss", ylim=(0, None))
    return ax


def _draw_runs(ax: Axes, x: Sequence[float], curves: Mapping[str, Runs]) -> None:
    """A curve with its band for each name, and a legend that counts the seeds."""
    for name, runs in curves.items():
        mean_and_range(ax, x, zip(*runs, strict=True), label=name)
    seeds = len(next(iter(curves.values())))
    ax.legend(title=f"mean and range of {seeds} seeds")
