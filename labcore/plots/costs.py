"""Figures of costs: time and work as shares of the dense network's, memory, roof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from labcore.plots.alt import describe
from labcore.plots.style import (
    KEPT,
    LIMIT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    guessed,
    in_style,
    log_scale,
    new_figure,
    two_digits,
)

__all__ = [
    "cost_bars",
    "cost_shares",
    "memory_steps",
    "ram_curves",
    "roofline",
    "speedups",
    "time_by_channels",
]

OF_DENSE = "% of the dense network"


@in_style
def cost_shares(
    shares: Mapping[str, Mapping[float, float]],
    law: Mapping[float, float],
    title: str = "",
) -> Axes:
    """Costs by prune ratio in percent of the dense network's, with a law and (1 - p)².

    shares   cost -> prune ratio -> share (0 to 1), drawn as points
    law      prune ratio -> predicted share, drawn as a curve
    """
    ax = new_figure(title, 7, 4).subplots()
    p = np.linspace(0, 1, 101)
    ax.plot(100 * p, 100 * (1 - p), label="$1 - p$", **LIMIT)
    ax.plot(100 * p, 100 * (1 - p) ** 2, label="$(1 - p)^2$", **REFERENCE)
    prediction = {"color": KEPT, "linestyle": "-", "marker": ""}
    ax.plot(*_percent(law), label="your prediction", **prediction)
    for name, points in shares.items():
        ax.plot(*_percent(points), linestyle="none", label=name)
    ax.set(xlabel="prune ratio p of the channels, %", ylabel=OF_DENSE)
    ax.set(xlim=(0, 100), ylim=(0, None))
    ax.legend()
    series = {"your prediction": law, **shares}
    said = "; ".join(f"{name}: {_listed(points)}" for name, points in series.items())
    describe(
        ax, f"Percent of the dense network by prune ratio of the channels. {said}."
    )
    return ax


def _percent(points: Mapping[float, float]) -> tuple[list[float], list[float]]:
    return [100 * x for x in points], [100 * y for y in points.values()]


def _listed(points: Mapping[float, float]) -> str:
    return ", ".join(f"{100 * y:.0f} % at {100 * x:.0f} %" for x, y in points.items())


@in_style
def speedups(
    curves: Mapping[str, Mapping[float, float]],
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """How many times as fast as dense, by the share of weights removed.

    The dashed curve shows the gain if time were proportional to the weights.
    guess    what the student typed: a share of the weights in percent
    """
    ax = new_figure(title, 7.5, 4.2).subplots()
    for name, points in curves.items():
        ax.plot([100 * share for share in points], list(points.values()), label=name)
    x = np.linspace(0, max(max(points) for points in curves.values()), 200)
    ax.plot(100 * x, 1 / (1 - x), label="if time fell with the weights", **REFERENCE)
    ax.axhline(1, color="black", linewidth=1, marker="")
    place = {"xytext": (4, -4), "textcoords": "offset points", "va": "top"}
    ax.annotate("as fast as dense", (0, 1), fontsize=8, **place)
    log_scale(ax, "y")
    ax.set(xlim=(0, 102))
    ax.set(xlabel="share of the weights removed, %", ylabel="times as fast as dense")
    guessed(ax, guess, "x")
    ax.legend()
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{y:.2f} at {100 * x:.0f} %" for x, y in points.items())
        for name, points in curves.items()
    )
    describe(ax, f"Times as fast as dense, by the share of weights removed. {said}.")
    return ax


@in_style
def cost_bars(
    shares: Mapping[str, float], title: str = "", guess: float | None = None
) -> Figure:
    """A bar for each cost or network, in percent of the dense one; the first is on top.

    shares   name -> share of the dense network's (1 is the same)
    guess    what the student typed, in percent
    """
    figure = new_figure(title, 7, 1.4 + 0.3 * len(shares))
    ax = figure.subplots()
    names = list(shares)[::-1]
    values = [100 * shares[name] for name in names]
    ax.barh(names, [100] * len(names), color=REMOVED)
    bars = ax.barh(names, values, color=KEPT, height=0.5)
    ax.bar_label(bars, [f"{value:.0f} %" for value in values], padding=4, fontsize=9)
    ax.axvline(100, **REFERENCE)
    ax.set(xlim=(0, max(115, 1.15 * max(values))), xlabel=OF_DENSE)
    guessed(ax, guess, "x")
    said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    describe(figure, f"Bars in percent of the dense network: {said}.")
    return figure


@in_style
def time_by_channels(
    times: Mapping[int, float], multiple: int, title: str = ""
) -> Axes:
    """Time by the number of channels, with the square law through the largest number.

    Multiples of `multiple` have a filled marker.
    """
    ax = new_figure(title, 7, 3.6).subplots()
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
    named = [c for c in channels if c % multiple == 0]
    near = sorted({c + step for c in named for step in (-1, 0)} & set(channels))
    said = ", ".join(f"{c} channels {times[int(c)]:.2f}" for c in near)
    describe(
        ax,
        f"Time of a convolution with {channels.min()} to {channels.max()} channels, "
        f"the largest = 1, at each multiple of {multiple} and one below: {said}.",
    )
    return ax


@in_style
def memory_steps(
    steps: Mapping[str, tuple[float, float]], limit: float, title: str = ""
) -> Axes:
    """What is in memory while each layer runs, as stacked bars with a limit.

    steps    layer -> (KiB of its input, KiB of its output), in order
    limit    KiB that the device has
    """
    ax = new_figure(title, 9, 3.8).subplots()
    places = range(len(steps))
    inputs, outputs = zip(*steps.values(), strict=True)
    totals = [a + b for a, b in steps.values()]
    ax.bar(places, inputs, 0.7, color=REMOVED, edgecolor=KEPT, label="input")
    bars = ax.bar(places, outputs, 0.7, bottom=inputs, color=KEPT, label="output")
    labels = [_kib(total) for total in totals]
    ax.bar_label(bars, labels, fontsize=8, padding=2)
    ax.axhline(limit, **REFERENCE | {"color": MARKED, "linewidth": 1.5})
    beside = {"xytext": (0, 3), "textcoords": "offset points", "ha": "right"}
    style = NOTE | {"color": MARKED}
    ax.annotate(f"limit {limit:g} KiB", (len(steps) - 0.5, limit), **beside, **style)
    ax.set_xticks(places, list(steps), rotation=30)
    ax.set(xlabel="layer that runs", ylabel="activations in memory, KiB")
    ax.set(ylim=(0, 1.15 * max(*totals, limit)), xlim=(-0.6, len(steps) - 0.4))
    ax.legend(loc="upper right")
    each = ", ".join(f"{name} {_kib(a)} + {_kib(b)}" for name, (a, b) in steps.items())
    above = sum(total > limit for total in totals)
    describe(
        ax,
        f"KiB of input plus output while each layer runs: {each}. The peak is "
        f"{max(totals):.0f} KiB; {above} of {len(steps)} layers are above the limit of "
        f"{limit:g} KiB.",
    )
    return ax


def _kib(amount: float) -> str:
    return f"{amount:.0f}" if amount >= 10 else two_digits(amount)


@in_style
def ram_curves(
    curves: Mapping[str, Mapping[float, float]],
    limit: float,
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """Peak RAM by the share removed, with the limit of the device.

    curves   what is removed -> share (0 to 1) -> KiB
    limit    KiB that the device has
    guess    what the student typed: a share in percent
    """
    ax = new_figure(title, 7.5, 4).subplots()
    for name, points in curves.items():
        ax.plot([100 * share for share in points], list(points.values()), label=name)
    ax.axhline(limit, **REFERENCE | {"color": MARKED, "linewidth": 1.5})
    beside = {"xytext": (4, 3), "textcoords": "offset points"}
    ax.annotate(
        f"limit {limit:g} KiB", (0, limit), **beside, **NOTE | {"color": MARKED}
    )
    ax.set(xlabel="share removed, %", ylabel="peak RAM for activations, KiB")
    ax.set(xlim=(0, 100), ylim=(0, None))
    guessed(ax, guess, "x")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{y:.0f} KiB at {100 * x:.0f} %" for x, y in points.items())
        for name, points in curves.items()
    )
    describe(
        ax,
        f"Peak RAM for activations by share removed, with a limit of {limit:g} KiB. "
        f"{said}.",
    )
    return ax


@in_style
def roofline(
    inputs: Sequence[int],
    points: Sequence[tuple[float, float]],
    peak: float,
    bandwidth: float,
    title: str = "",
) -> Axes:
    """Measured rates below the roof that this machine sets, both axes logarithmic.

    inputs     how many inputs each point multiplies at once
    points     (operations per byte, operations per second)
    peak       the most operations per second
    bandwidth  the most bytes per second
    """
    ax = new_figure(title, 7.5, 4.2).subplots()
    across, rates = np.array(points).T
    edge = peak / bandwidth
    x = np.geomspace(min(across) / 2, max(*across, edge) * 2, 200)
    roof = np.minimum(peak, bandwidth * x) / 1e9
    ax.plot(x, roof, label="roof", **REFERENCE)
    ax.plot(across, rates / 1e9, color=KEPT, label="measured, by number of inputs")
    for count, place in zip(inputs, zip(across, rates / 1e9, strict=True), strict=True):
        near = {"xytext": (4, -12), "textcoords": "offset points", "fontsize": 8}
        ax.annotate(f"{count}", place, **near)
    log_scale(ax, "x")
    log_scale(ax, "y")
    ax.annotate(
        "limit: arithmetic",
        (x[-1], peak / 1e9),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        **NOTE,
    )
    ax.annotate(
        "limit: memory",
        (x[0], bandwidth * x[0] / 1e9),
        xytext=(0, 52),
        textcoords="offset points",
        **NOTE,
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.set(ylim=(0.6 * min(rates.min() / 1e9, roof[0]), 2 * peak / 1e9))
    ax.set(xlabel="operations per byte moved", ylabel="billion operations per second")
    ax.legend(loc="lower right")
    said = ", ".join(
        f"{count} inputs {100 * rate / min(peak, bandwidth * place):.0f} %"
        for count, place, rate in zip(inputs, across, rates, strict=True)
    )
    describe(
        ax,
        f"Measured rates below a roof that rises to {peak / 1e9:.0f} billion "
        f"operations per second at {edge:.1f} operations per byte. Percent of the roof "
        f"that is reached: {said}.",
    )
    return ax
