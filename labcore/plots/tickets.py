"""Figures of lottery tickets: how they train, and the path between two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    KEPT,
    NOTE,
    REFERENCE,
    REMOVED,
    SERIES,
    guessed,
    in_style,
    log_scale,
    new_figure,
    two_digits,
)

__all__ = ["curves_by_weights_left", "road", "value_bars"]

Runs = Sequence[Sequence[float]]  # a list of values for each seed
DODGE = 0.012  # how far the bars of two curves stand apart, as a share of the x axis


@in_style
def curves_by_weights_left(
    left: Sequence[float],
    curves: Mapping[str, Runs],
    dense: Sequence[float],
    ylabel: str,
    title: str = "",
    log: bool = False,
    margin: float | None = None,
    guess: float | None = None,
) -> Axes:
    """Means of the seeds, with bars for their range, by the percentage of weights left.

    left     falling; the curves run from many weights to few
    dense    the dense networks' values, one for each seed
    margin   of one measured value: a band around the dense mean, which no difference
             has to leave by chance alone
    guess    the value at the right end that the student predicted
    """
    ax = new_figure(title, 7, 3.9).subplots()
    ax.set_xscale("log")
    ax.set_xlim(1.08 * max(left), min(left) / 1.08)
    ax.set_xticks(left, [two_digits(share) for share in left])
    ax.minorticks_off()
    ax.set(xlabel="weights left, % of all", ylabel=ylabel)
    if log:
        log_scale(ax, "y")

    level = float(np.mean(dense))
    if margin is not None:
        ax.axhspan(level - margin, level + margin, color=REMOVED, alpha=0.6, lw=0)
        note = f"dense, mean ± {margin:.1f}: the margin of one accuracy"
    else:
        note = "dense, mean"
    ax.axhline(level, **REFERENCE)
    ends = _draw_runs(ax, left, curves)
    _set_room(ax, [*_values(curves), *dense], log, level, margin)
    corner = {"xy": (0, level + (margin or 0)), "xycoords": ax.get_yaxis_transform()}
    ax.annotate(note, **corner, xytext=(4, 3), textcoords="offset points", **NOTE)
    _label_ends(ax, ends)
    guessed(ax, guess)
    describe(ax, _curves_in_words(left, curves, level))
    return ax


@in_style
def road(
    positions: Sequence[float],
    curves: Mapping[str, Runs],
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """The loss on the straight line from one network, at 0, to another, at 1.

    guess   the loss half way that the student predicted
    """
    ax = new_figure(title, 7, 3.9).subplots()
    ax.set_xlim(min(positions) - 0.03, max(positions) + 0.03)
    _draw_runs(ax, positions, curves)
    ax.set(xlabel="position: 0 = pruning solution, 1 = the other network")
    ax.set(ylabel="loss on the training images", ylim=(0, None))
    seeds = len(next(iter(curves.values())))
    ax.legend(title=f"mean of {seeds} seeds; bars: their range")
    guessed(ax, guess)
    parts = [f"{name} {_of_means(runs, max):.2f}" for name, runs in curves.items()]
    last = ", ".join(
        f"{name} {np.mean([run[-1] for run in runs]):.2f}"
        for name, runs in curves.items()
    )
    describe(
        ax,
        f"Loss on straight roads to the pruning solution, mean of {seeds} seeds. "
        f"Highest point of each road: {', '.join(parts)}; at its far end: {last}.",
    )
    return ax


@in_style
def value_bars(
    values: Mapping[str, float],
    margins: Mapping[str, float],
    title: str = "",
    dense: float | None = None,
    guess: float | None = None,
) -> Axes:
    """One accuracy for each network as a bar, with its margin; the first on top."""
    ax = new_figure(title, 7, 0.9 + 0.42 * len(values)).subplots()
    for place, (name, value) in enumerate(values.items()):
        ax.barh(place, value, height=0.62, color=KEPT)
        text = f"{value:.1f} ± {margins[name]:.1f}"
        inside = value > 30
        style = {"ha": "right", "color": "white"} if inside else {"ha": "left"}
        offset = (-5, 0) if inside else (5, 0)
        ax.annotate(
            text,
            (value, place),
            offset,
            textcoords="offset points",
            va="center",
            **style,
        )
    ax.set_yticks(range(len(values)), list(values))
    ax.set(xlim=(0, 100), ylim=(len(values) - 0.5, -0.9), xlabel=ACCURACY)
    if dense is not None:
        ax.axvline(dense, **REFERENCE)
        place = {"xycoords": ax.get_xaxis_transform()}
        ax.annotate(
            f"dense {dense:.1f}", (dense, 1), ha="center", va="bottom", **place, **NOTE
        )
    guessed(ax, guess, "x")
    parts = [f"{name} {value:.1f} %" for name, value in values.items()]
    against = "" if dense is None else f", against {dense:.1f} % for the dense network"
    describe(ax, f"Accuracies of {len(parts)} networks{against}: {'; '.join(parts)}.")
    return ax


def _draw_runs(ax: Axes, x: Sequence[float], curves: Mapping[str, Runs]) -> dict:
    """A curve with bars for the range at each x; where each ends, and its colour."""
    ends = {}
    styles = zip(curves.items(), SERIES(), strict=False)
    for number, ((name, runs), style) in enumerate(styles):
        means = np.mean(runs, axis=0)
        low, high = np.min(runs, axis=0), np.max(runs, axis=0)
        spread = np.maximum([means - low, high - means], 0)  # rounding
        ax.plot(x, means, label=name, **style)
        shift = DODGE * (number - (len(curves) - 1) / 2)
        ax.errorbar(
            _moved(ax, x, shift), means, spread, fmt="none", color=style["color"], lw=1
        )
        ends[name] = float(means[-1]), style["color"]
    return ends


def _moved(ax: Axes, x: Sequence[float], share: float) -> np.ndarray:
    """The places, moved by this share of the axis, so that bars do not hide bars."""
    to_axis, from_axis = ax.transScale, ax.transScale.inverted()
    left, right = to_axis.transform([(end, 1) for end in ax.get_xlim()])[:, 0]
    places = to_axis.transform([(value, 1) for value in x])
    places[:, 0] += share * (right - left)
    return from_axis.transform(places)[:, 0]


def _values(curves: Mapping[str, Runs]) -> list[float]:
    return [value for runs in curves.values() for run in runs for value in run]


def _set_room(ax, values, log: bool, level: float, margin: float | None) -> None:
    """Limits around all values; with a margin at least six of them below the level."""
    low, high = min(values), max(values)
    if log:
        ax.set_ylim(low / 1.4, high * 1.4)
        return
    if margin is not None:
        low, high = min(low, level - 6 * margin), max(high, level + 3 * margin)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _label_ends(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Each curve's name at its right end; names that would overlap move apart."""
    low, high = ax.transScale.transform([(1, y) for y in ax.get_ylim()])[:, 1]
    heights = {
        name: (ax.transScale.transform((1, y))[1] - low) / (high - low)
        for name, (y, _) in ends.items()
    }
    lowest = -1.0
    for name in sorted(heights, key=heights.get):
        lowest = max(heights[name], lowest + 0.065)
        place = {"xycoords": "axes fraction", "textcoords": "offset points"}
        style = {"color": ends[name][1], "fontsize": 9, "va": "center"}
        ax.annotate(name, (1, lowest), (5, 0), annotation_clip=False, **place, **style)


def _of_means(runs: Runs, choose) -> float:
    return float(choose(np.mean(runs, axis=0)))


def _curves_in_words(left, curves: Mapping[str, Runs], level: float) -> str:
    parts = [
        f"{name} from {_three_digits(np.mean(runs, axis=0)[0])} "
        f"to {_three_digits(np.mean(runs, axis=0)[-1])}"
        for name, runs in curves.items()
    ]
    return (
        f"Dense networks lie at {_three_digits(level)}. As the weights left fall from "
        f"{two_digits(left[0])} % to {two_digits(left[-1])} %, the means go: "
        f"{', '.join(parts)}."
    )


def _three_digits(value: float) -> str:
    """84.3 or 0.215: three digits."""
    return f"{float(f'{value:.3g}'):g}"
