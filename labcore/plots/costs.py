"""Figures of what a network costs: shares of the dense one, speed-ups, the roofline."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.figures import DPI, KEPT, LINE, REMOVED, _finished

__all__ = ["cost_bars", "cost_shares", "roofline", "speedups", "time_by_channels"]

STYLES = (
    ("o", KEPT, "-"),
    ("s", LINE, ":"),
    ("^", "#6f8f4e", "--"),
    ("D", "#7a5c8e", "-."),
)


def cost_shares(
    shares: Mapping[str, Mapping[float, float]], law: Mapping[float, float], title=""
) -> Axes:
    """Shares of the dense network's costs by prune ratio, beside a law and (1 - p)²."""
    _, ax = plt.subplots(figsize=(6.5, 3.8), dpi=DPI)
    p = np.linspace(0, 1, 101)
    ax.plot(p, (1 - p) ** 2, color="grey", linestyle="--", label="$(1 - p)^2$")
    ax.plot(p, 1 - p, color="grey", linestyle=":", linewidth=1, label="$1 - p$")
    ax.plot(list(law), list(law.values()), color=KEPT, label="your prediction")
    for (name, points), (marker, colour, _) in zip(
        shares.items(), STYLES, strict=False
    ):
        style = {"marker": marker, "color": colour, "linestyle": "none"}
        ax.plot(list(points), list(points.values()), label=name, **style)
    ax.set(xlabel="prune ratio p of the channels", ylabel="share of the dense network")
    ax.set(xlim=(0, 1), ylim=(0, None))
    return _with_legend(ax, title)


def speedups(curves: Mapping[str, Mapping[float, float]], title: str = "") -> Axes:
    """How many times faster than dense, by the share of weights removed; line at 1.

    The dashed curve is what would be gained if the time fell with the weights.
    """
    _, ax = plt.subplots(figsize=(6.5, 4), dpi=DPI)
    for (name, points), (marker, colour, line) in zip(
        curves.items(), STYLES, strict=False
    ):
        x, y = list(points), list(points.values())
        ax.plot(x, y, line, marker=marker, color=colour, label=name)
    x = np.linspace(0, max(max(points) for points in curves.values()), 200)
    ideal = "time falls with the weights"
    ax.plot(x, 1 / (1 - x), color="grey", linestyle="--", linewidth=1, label=ideal)
    ax.axhline(1, color="black", linewidth=1)
    ax.annotate("as fast as dense", (0.01, 0.95), fontsize=8, va="top")
    ax.set(yscale="log", xlim=(0, 1.02))
    ax.set(xlabel="share of the weights removed", ylabel="speed-up over dense")
    ax.yaxis.set_major_formatter("{x:g}")
    return _with_legend(ax, title)


def cost_bars(shares: Mapping[str, float], title: str = "") -> Figure:
    """One bar a cost, as a share of the dense network's."""
    figure, ax = plt.subplots(figsize=(6.5, 2.4), dpi=DPI)
    names = list(shares)[::-1]
    values = [shares[name] for name in names]
    ax.barh(names, [1] * len(names), color=REMOVED)
    bars = ax.barh(names, values, color=KEPT, height=0.5)
    ax.bar_label(bars, [f"{value:.2f}" for value in values], padding=4, fontsize=9)
    ax.axvline(1, color="grey", linestyle="--", linewidth=1)
    ax.set(xlim=(0, max(1.15, 1.1 * max(values))), xlabel="share of the dense network")
    ax.spines[["top", "right"]].set_visible(False)
    return _finished(figure, title)


def time_by_channels(
    times: Mapping[int, float], multiple: int, title: str = ""
) -> Axes:
    """Time by the number of channels, beside the square law through the largest.

    Multiples of `multiple` have a filled marker.
    """
    _, ax = plt.subplots(figsize=(6.5, 3.4), dpi=DPI)
    channels, values = np.array(list(times)), np.array(list(times.values()))
    ax.plot(channels, values, color=REMOVED, zorder=1)
    for even, face, label in (
        (True, KEPT, f"multiples of {multiple}"),
        (False, "white", "other numbers"),
    ):
        chosen = (channels % multiple == 0) == even
        style = {"facecolor": face, "edgecolor": KEPT, "label": label, "zorder": 2}
        ax.scatter(channels[chosen], values[chosen], **style)
    last = channels.argmax()
    law = values[last] * (channels / channels[last]) ** 2
    ax.plot(channels, law, "--", color="grey", linewidth=1, label="as the MACs")
    ax.set(xlabel="channels", ylabel="time, largest = 1", ylim=(0, None))
    return _with_legend(ax, title)


def roofline(
    points: Mapping[str, tuple[float, float]],
    peak: float,
    bandwidth: float,
    title: str = "",
) -> Axes:
    """Measured rates under the roof of this machine, both axes logarithmic.

    points     name -> (operations a byte, operations a second)
    peak       most operations a second
    bandwidth  most bytes a second
    """
    _, ax = plt.subplots(figsize=(6.5, 3.8), dpi=DPI)
    lowest = min(x for x, _ in points.values()) / 2
    highest = max(*(x for x, _ in points.values()), peak / bandwidth) * 2
    x = np.geomspace(lowest, highest, 200)
    roof = np.minimum(peak, bandwidth * x) / 1e9
    ax.plot(x, roof, color="grey", linestyle="--", label="roof: bandwidth, then peak")
    for number, (name, (intensity, rate)) in enumerate(points.items()):
        marker, colour, _ = STYLES[number % len(STYLES)]
        ax.plot(intensity, rate / 1e9, marker, color=colour)
        place = {"xytext": (6, -3), "textcoords": "offset points", "fontsize": 8}
        ax.annotate(name, (intensity, rate / 1e9), **place)
    ax.set(xscale="log", yscale="log")
    ax.set(
        xlabel="operations for each byte moved", ylabel="billion operations a second"
    )
    return _with_legend(ax, title)


def _with_legend(ax: Axes, title: str) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    _finished(ax.figure, title)
    return ax
