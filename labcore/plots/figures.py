"""Figures of answers and of weights. Kept weights are dark, removed ones light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labcore.plots.style import (
    KEPT,
    MARKED,
    REFERENCE,
    REMOVED,
    in_style,
    new_figure,
    panel_grid,
    short_name,
)

__all__ = ["layer_points", "predictions", "tails", "weight_histograms"]


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
    for ax, image, shares, label in zip(
        axes, np.asarray(images), np.asarray(probabilities), labels, strict=True
    ):
        best = int(shares.argmax())
        right = best == int(label)
        height, width = image.shape[1:]
        ax.imshow(_pixels(image), cmap="gray_r")
        for share, colour in ((1, REMOVED), (shares[best], KEPT if right else MARKED)):
            bar = Rectangle((0, height + 1), width * share, 3, color=colour)
            ax.add_patch(bar)
        ax.set(xlim=(-1, width), ylim=(height + 4, -1))
        ax.axis("off")
        answer = f"{classes[best]} {shares[best]:.0%}"
        verdict = "" if right else f"\n(correct: {classes[int(label)]})"
        ax.set_title(answer + verdict, fontsize=9, weight=None if right else "bold")
    return figure


def _pixels(image: np.ndarray) -> np.ndarray:
    """(channels, h, w) in any range -> (h, w) or (h, w, 3) in [0, 1]."""
    scaled = (image - image.min()) / max(np.ptp(image), 1e-9)
    return scaled[0] if len(image) == 1 else scaled.transpose(1, 2, 0)


@in_style
def weight_histograms(
    weights: Mapping[str, object], threshold: float = 0.0, title: str = ""
) -> Figure:
    """One histogram for each layer, on its own scale; light below the threshold.

    The lines on both sides of zero show the same threshold in every panel.
    """
    figure = new_figure(title, 10, 2 * math.ceil(len(weights) / 3))
    axes = panel_grid(figure, len(weights), columns=3)
    for ax, (name, weight) in zip(axes, weights.items(), strict=True):
        values = np.asarray(weight).ravel()
        bins = min(100, int(len(values) ** 0.5) * 2)
        edge = np.abs(values).max() or 1.0
        ax.hist(values, bins, range=(-edge, edge), color=KEPT)
        panel = f"{short_name(name)}: {len(values):,} weights"
        if threshold:
            small = values[np.abs(values) < threshold]
            ax.hist(small, bins, range=(-edge, edge), color=REMOVED)
            for x in (-threshold, threshold):
                ax.axvline(x, color=MARKED, linewidth=1, linestyle="--")
            ax.set_xlim(-edge, edge)
            panel += f", {len(small) / len(values):.0%} removed"
        ax.set_title(panel, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.locator_params(axis="x", nbins=6)
    figure.supxlabel("weight value", fontsize=9)
    figure.supylabel("count", fontsize=9)
    return figure


@in_style
def layer_points(
    series: Mapping[str, Mapping[str, float]],
    ylabel: str,
    title: str = "",
    line: tuple[float, str] | None = None,
) -> Axes:
    """Values by layer for each series, on a log axis.

    line   a value to compare with, and its label
    """
    ax = new_figure(title, 7, 3.4).subplots()
    for name, values in series.items():
        places = range(len(values))
        ax.plot(places, list(values.values()), label=name)
        ax.set_xticks(places, [short_name(layer) for layer in values], rotation=30)
    if line:
        ax.axhline(line[0], label=line[1], **REFERENCE)
    ax.set(yscale="log", xlabel="layer", ylabel=ylabel)
    ax.legend()
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
    return ax
