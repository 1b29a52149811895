"""Figures as functions of plain data. Kept weights are dark, removed ones light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

__all__ = ["layer_points", "predictions", "tails", "weight_histograms"]

KEPT, REMOVED, LINE = "#1f3b57", "#c9d3dc", "#b3541e"
DPI = 80


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
    figure, axes = plt.subplots(2, 6, figsize=(10, 4.2), dpi=DPI)
    for ax, image, shares, label in zip(
        axes.flat, np.asarray(images), np.asarray(probabilities), labels, strict=True
    ):
        best = int(shares.argmax())
        right = best == int(label)
        height, width = image.shape[1:]
        ax.imshow(_pixels(image), cmap="gray_r")
        for share, colour in ((1, REMOVED), (shares[best], KEPT if right else LINE)):
            bar = Rectangle((0, height + 1), width * share, 3, color=colour)
            ax.add_patch(bar)
        ax.set(xlim=(-1, width), ylim=(height + 4, -1))
        ax.axis("off")
        answer = f"{classes[best]} {shares[best]:.0%}"
        verdict = "" if right else f"\n(it is: {classes[int(label)]})"
        ax.set_title(answer + verdict, fontsize=9, weight=None if right else "bold")
    figure.suptitle(title, fontsize=11)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.82, wspace=0.1, hspace=0.45)
    return figure


def _pixels(image: np.ndarray) -> np.ndarray:
    """(channels, h, w) in any range -> (h, w) or (h, w, 3) in [0, 1]."""
    scaled = (image - image.min()) / max(np.ptp(image), 1e-9)
    return scaled[0] if len(image) == 1 else scaled.transpose(1, 2, 0)


def weight_histograms(
    weights: Mapping[str, object], threshold: float = 0.0, title: str = ""
) -> Figure:
    """One histogram a layer, each on its own scale; below the threshold it turns light.

    The line on each side of zero is the same threshold in every panel.
    """
    rows = math.ceil(len(weights) / 3)
    figure, axes = plt.subplots(rows, 3, figsize=(10, 2 * rows), dpi=DPI, squeeze=False)
    for ax, (name, weight) in zip(axes.flat, weights.items(), strict=False):
        values = np.asarray(weight).ravel()
        bins = min(100, int(len(values) ** 0.5) * 2)
        edge = np.abs(values).max() or 1.0
        ax.hist(values, bins, range=(-edge, edge), color=KEPT)
        panel = f"{name.split('.')[-1]}: {len(values):,} weights"
        if threshold:
            small = values[np.abs(values) < threshold]
            ax.hist(small, bins, range=(-edge, edge), color=REMOVED)
            for x in (-threshold, threshold):
                ax.axvline(x, color=LINE, linewidth=1, linestyle="--")
            ax.set_xlim(-edge, edge)
            panel += f", {len(small) / len(values):.0%} removed"
        ax.set_title(panel, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(weights) :]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_ylabel("count", fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("weight value", fontsize=8)
    return _finished(figure, title)


def layer_points(
    series: Mapping[str, Mapping[str, float]],
    ylabel: str,
    title: str = "",
    line: tuple[float, str] | None = None,
) -> Axes:
    """One value a layer for each series, on a log axis; `line` is one to compare."""
    _, ax = plt.subplots(figsize=(7, 3.4), dpi=DPI)
    styles = (("o", KEPT, "-"), ("s", LINE, ":"), ("^", "#6f8f4e", "--"))
    for (name, values), (marker, colour, style) in zip(
        series.items(), styles, strict=False
    ):
        x = range(len(values))
        ax.plot(
            x, list(values.values()), style, marker=marker, color=colour, label=name
        )
        ax.set_xticks(x, [key.split(".")[-1] for key in values], rotation=30)
    if line:
        ax.axhline(line[0], color="grey", linestyle="--", linewidth=1, label=line[1])
    ax.set(yscale="log", ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    _finished(ax.figure, title)
    return ax


def tails(weight, title: str = "") -> Axes:
    """A layer's histogram on a log axis beside the normal curve of the same spread."""
    values = np.asarray(weight).ravel()
    mean, std = values.mean(), values.std()
    _, ax = plt.subplots(figsize=(7.5, 3.2), dpi=DPI)
    ax.hist(values, 80, density=True, color=REMOVED, label="weights")
    x = np.linspace(values.min(), values.max(), 200)
    normal = np.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
    ax.plot(x, normal, color=KEPT, label="normal, same mean and spread")
    floor = 0.5 / (len(values) * np.ptp(values) / 80)  # half a weight a bin
    ax.set(yscale="log", xlabel="weight value", ylabel="density", ylim=(floor, None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    _finished(ax.figure, title)
    return ax


def _finished(figure: Figure, title: str) -> Figure:
    if title:
        figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure
