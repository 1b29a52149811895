"""Figures of what a network costs: shares of the dense one, speed-ups, the roofline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import (
    KEPT,
    LIMIT,
    REFERENCE,
    REMOVED,
    in_style,
    log_scale,
    new_figure,
)

__all__ = ["cost_bars", "cost_shares", "roofline", "speedups", "time_by_channels"]


@in_style
def cost_shares(
    shares: Mapping[str, Mapping[float, float]], law: Mapping[float, float], title=""
) -> Axes:
    """Costs by prune ratio as shares of the dense network's, with a law and (1 - p)².

    shares   cost -> prune ratio -> share, drawn as points
    law      prune ratio -> predicted share, drawn as a curve
    """
    ax = new_figure(title, 6.5, 3.8).subplots()
    p = np.linspace(0, 1, 101)
    ax.plot(p, (1 - p) ** 2, label="$(1 - p)^2$", **REFERENCE)
    ax.plot(p, 1 - p, label="$1 - p$", **LIMIT)
    prediction = {"color": KEPT, "linestyle": "-", "marker": ""}
    ax.plot(list(law), list(law.values()), label="your prediction", **prediction)
    for name, points in shares.items():
        ax.plot(list(points), list(points.values()), linestyle="none", label=name)
    ax.set(xlabel="prune ratio p of the channels", ylabel="share of the dense network")
    ax.set(xlim=(0, 1), ylim=(0, None))
    ax.legend()
    return ax


@in_style
def speedups(curves: Mapping[str, Mapping[float, float]], title: str = "") -> Axes:
    """How many times faster than dense, by the share of weights removed.

    The dashed curve shows the gain if time were proportional to the weights.
    """
    ax = new_figure(title, 6.5, 4).subplots()
    for name, points in curves.items():
        ax.plot(list(points), list(points.values()), label=name)
    x = np.linspace(0, max(max(points) for points in curves.values()), 200)
    ax.plot(x, 1 / (1 - x), label="if time fell with the weights", **REFERENCE)
    ax.axhline(1, color="black", linewidth=1)
    ax.annotate("as fast as dense", (0.01, 0.95), fontsize=8, va="top")
    log_scale(ax, "y")
    ax.set(xlim=(0, 1.02))
    ax.set(xlabel="share of the weights removed", ylabel="speed-up over dense")
    ax.legend()
    return ax


@in_style
def cost_bars(shares: Mapping[str, float], title: str = "") -> Figure:
    """A bar for each cost, as a share of the dense network's; the first is on top."""
    figure = new_figure(title, 6.5, 2.4)
    ax = figure.subplots()
    names = list(shares)[::-1]
    values = [shares[name] for name in names]
    ax.barh(names, [1] * len(names), color=REMOVED)
    bars = ax.barh(names, values, color=KEPT, height=0.5)
    ax.bar_label(bars, [f"{value:.2f}" for value in values], padding=4, fontsize=9)
    ax.axvline(1, **REFERENCE)
    ax.set(xlim=(0, max(1.15, 1.1 * max(values))), xlabel="share of the dense network")
    return figure


@in_style
def time_by_channels(
    times: Mapping[int, float], multiple: int, title: str = ""
) -> Axes:
    """Time by the number of channels, with the square law through the largest number.

    Multiples of `multiple` have a filled marker.
    """
    ax = new_figure(title, 6.5, 3.4).subplots()
    channels, values = np.array(list(times)), np.array(list(times.values()))
    ax.plot(channels, values, color=REMOVED, marker="", zorder=1)
    for even, face, label in (
        (True, KEPT, f"multiples of {multiple}"),
        (False, "white", "other numbers"),
    ):
        chosen = (channels % multiple == 0) == even
        style = {"facecolor": face, "edgecolor": KEPT, "label": label, "zorder": 2}
        ax.scatter(channels[chosen], values[chosen], **style)
    last = channels.argmax()
    law = values[last] * (channels / channels[last]) ** 2
    ax.plot(channels, law, label="if time followed the MACs", **REFERENCE)
    ax.set(xlabel="channels", ylabel="time, largest = 1", ylim=(0, None))
    ax.legend()
    return ax


@in_style
def roofline(
    points: Mapping[str, tuple[float, float]],
    peak: float,
    bandwidth: float,
    title: str = "",
) -> Axes:
    """Measured rates below the roof that this machine sets, both axes logarithmic.

    points     name -> (operations per byte, operations per second)
    peak       the most operations per second
    bandwidth  the most bytes per second
    """
    ax = new_figure(title, 6.5, 3.8).subplots()
    lowest = min(x for x, _ in points.values()) / 2
    highest = max(*(x for x, _ in points.values()), peak / bandwidth) * 2
    x = np.geomspace(lowest, highest, 200)
    roof = np.minimum(peak, bandwidth * x) / 1e9
    ax.plot(x, roof, label="roof: bandwidth, then peak", **REFERENCE)
    for name, (intensity, rate) in points.items():
        ax.plot(intensity, rate / 1e9, "o", color=KEPT)
        place = {"xytext": (6, -3), "textcoords": "offset points", "fontsize": 8}
        ax.annotate(name, (intensity, rate / 1e9), **place)
    log_scale(ax, "x")
    log_scale(ax, "y")
    ax.set(xlabel="operations per byte moved", ylabel="billion operations per second")
    ax.legend()
    return ax
