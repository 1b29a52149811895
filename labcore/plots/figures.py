"""Figures of answers and of weights. Kept weights are dark, removed ones light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    KEPT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    guessed,
    in_style,
    log_scale,
    new_figure,
    number,
    panel_grid,
    pixels,
    short_name,
    two_digits,
)

__all__ = [
    "layer_points",
    "predictions",
    "removal_curves",
    "tails",
    "weight_histograms",
]


@in_style
def predictions(
    images,
    probabilities,
    labels,
    classes: Sequence[str],
    title: str = "",
) -> Figure:
    """Twelve images, each with the network's answer and a bar for its confidence.

    images         (12, channels, height, width), any range of values
    probabilities  (12, classes)
    """
    figure = new_figure(title, 10, 4.2)
    axes = panel_grid(figure, 12, columns=6)
    said = []
    for ax, image, shares, label in zip(
        axes, np.asarray(images), np.asarray(probabilities), labels, strict=True
    ):
        best = int(shares.argmax())
        right = best == int(label)
        height, width = image.shape[1:]
        ax.imshow(pixels(image), cmap="gray_r")
        for share, colour in ((1, REMOVED), (shares[best], KEPT if right else MARKED)):
            bar = Rectangle((0, height + 1), width * share, 3, color=colour)
            ax.add_patch(bar)
        ax.set(xlim=(-1, width), ylim=(height + 4, -1))
        ax.axis("off")
        answer = f"{classes[best]} {100 * shares[best]:.0f} %"
        verdict = "" if right else f"\n(correct: {classes[int(label)]})"
        ax.set_title(answer + verdict, fontsize=9, weight=None if right else "bold")
        said.append(
            f"{answer} {'right' if right else f'wrong ({classes[int(label)]})'}"
        )
    count = sum(text.endswith("right") for text in said)
    describe(figure, f"{count} of 12 answers are right: {', '.join(said)}.")
    return figure


@in_style
def weight_histograms(
    weights: Mapping[str, object], threshold: float = 0.0, title: str = ""
) -> Figure:
    """One histogram for each layer, on its own scale; light below the threshold.

    The lines on both sides of zero show the same threshold in every panel.
    """
    figure = new_figure(title, 10, 2 * math.ceil(len(weights) / 3))
    axes = panel_grid(figure, len(weights), columns=3)
    said = []
    for ax, (name, weight) in zip(axes, weights.items(), strict=True):
        values = np.asarray(weight).ravel()
        bins = min(100, int(len(values) ** 0.5) * 2)
        edge = np.abs(values).max() or 1.0
        ax.hist(values, bins, range=(-edge, edge), color=KEPT)
        panel = f"{short_name(name)}: {len(values):,} weights"
        text = f"{short_name(name)} spreads by {two_digits(values.std())}"
        if threshold:
            small = values[np.abs(values) < threshold]
            gone = f"{100 * len(small) / len(values):.0f} %"
            text += f" and loses {gone}"
            ax.hist(small, bins, range=(-edge, edge), color=REMOVED)
            for x in (-threshold, threshold):
                ax.axvline(x, color=MARKED, linewidth=1, linestyle="--")
            ax.set_xlim(-edge, edge)
            panel += f", {gone} removed"
        said.append(text)
        ax.set_title(panel, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.locator_params(axis="x", nbins=6)
    figure.supxlabel("weight value", fontsize=9)
    figure.supylabel("count", fontsize=9)
    kind = f", with a threshold at {threshold:g}" if threshold else ""
    describe(
        figure,
        f"A histogram of the weights for each of {len(weights)} layers, on its own "
        f"scale{kind}. By standard deviation: {'; '.join(said)}.",
    )
    return figure


@in_style
def layer_points(
    series: Mapping[str, Mapping[str, float]],
    ylabel: str,
    title: str = "",
    log: bool = True,
) -> Axes:
    """Values by layer for each series, on a log axis or on a plain one from 0."""
    ax = new_figure(title, 9, 3.6).subplots()
    for name, values in series.items():
        places = range(len(values))
        ax.plot(places, list(values.values()), label=name)
        ax.set_xticks(places, [short_name(layer) for layer in values], rotation=30)
    ax.set(xlabel="layer", ylabel=ylabel)
    if log:
        log_scale(ax, "y")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set(ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    said = [
        f"{name}: "
        + ", ".join(f"{short_name(n)} {two_digits(v)}" for n, v in values.items())
        for name, values in series.items()
    ]
    describe(ax, f"By layer, {ylabel}. {'; '.join(said)}.")
    return ax


@in_style
def removal_curves(
    curves: Mapping[str, Mapping[float, float]],
    dense: float,
    title: str = "",
    guess: float | None = None,
    which: str = "x",
) -> Axes:
    """Accuracy by the share of all weights removed, one curve for each method.

    curves   method -> share removed (0 to 1) -> accuracy in percent
    dense    accuracy of the network with all weights
    guess    what the student typed, in percent, drawn on the x or the y axis
    """
    ax = new_figure(title, 7.5, 3.8).subplots()
    said = []
    for name, points in curves.items():
        ax.plot([100 * share for share in points], list(points.values()), label=name)
        each = ", ".join(f"{y:.1f} % at {100 * x:.0f} %" for x, y in points.items())
        said.append(f"{name}: {each}")
    ax.axhline(dense, **REFERENCE)
    ax.annotate("dense", (0, dense), xytext=(4, 2), textcoords="offset points", **NOTE)
    ax.set(xlabel="share of all weights removed, %", ylabel=ACCURACY)
    ax.set(xlim=(0, 100), ylim=(0, 104))
    guessed(ax, guess, which)
    if len(curves) > 1:
        ax.legend(loc="lower left")
    describe(
        ax,
        f"Accuracy by the share of all weights removed; the dense network has "
        f"{dense:.1f} %. {'; '.join(said)}.",
    )
    return ax


@in_style
def tails(weight, title: str = "") -> Axes:
    """A layer's histogram on a log axis, and the normal curve with the same spread."""
    values = np.asarray(weight).ravel()
    mean, std = values.mean(), values.std()
    ax = new_figure(title, 7.5, 3.2).subplots()
    ax.hist(values, 80, density=True, color=REMOVED, label="weights")
    x = np.linspace(values.min(), values.max(), 200)
    normal = np.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
    ax.plot(x, normal, color=KEPT, marker="", label="normal, same mean and spread")
    floor = 0.5 / (len(values) * np.ptp(values) / 80)  # half a weight in a bin
    ax.set(yscale="log", xlabel="weight value", ylabel="density", ylim=(floor, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    far = float((np.abs(values - mean) > 3 * std).mean())
    describe(
        ax,
        f"Histogram of {len(values):,} weights on a log axis, with the normal curve of "
        f"the same mean, {number(mean, '.3f')}, and standard deviation, {std:.3f}. "
        f"{100 * far:.1f} % of the weights lie beyond three standard deviations; a "
        "normal distribution has 0.3 % there.",
    )
    return ax
