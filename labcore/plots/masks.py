"""Figures of masks: which weights are zero, and what that does to the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    GREY,
    KEPT,
    LIMIT,
    LIT,
    NOTE,
    REFERENCE,
    REMOVED,
    box,
    guessed,
    in_style,
    mean_and_range,
    new_figure,
    number,
    panel_grid,
    two_digits,
)

__all__ = ["loop_picture", "mask_by_rank", "mask_grid", "order_curves", "zero_curves"]

ARROW = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0}


@in_style
def mask_by_rank(values, mask, title: str = "") -> Figure:
    """A matrix under a mask, and its magnitudes sorted; kept dark, removed light."""
    values, mask = np.asarray(values), np.asarray(mask)
    figure = new_figure(title, 9, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.8))
    _cells(left, values, mask, f"{(~mask).sum()} of {mask.size} removed")
    magnitudes = np.abs(values)
    order = magnitudes.ravel().argsort(kind="stable")
    colours = [KEPT if keep else REMOVED for keep in mask.ravel()[order]]
    right.bar(range(1, mask.size + 1), magnitudes.ravel()[order], color=colours)
    right.set(xlabel="rank of the weight", ylabel="magnitude")
    right.set_title("dark: kept, light: removed")
    said = f"{(~mask).sum()} of {mask.size} weights are removed"
    if (~mask).any():
        said += f"; the largest of them has magnitude {magnitudes[~mask].max():.2f}"
    if mask.any():
        said += f", the smallest that stays has {magnitudes[mask].min():.2f}"
    describe(figure, f"{said}.")
    return figure


@in_style
def mask_grid(
    panels: Mapping[str, Sequence], title: str = "", labels: Sequence[str] = ()
) -> Figure:
    """One panel each, with the masks of some layers side by side; kept weights dark.

    labels   what each mask of a panel belongs to; the share kept is added
    """
    rows = -(-len(panels) // 2)
    figure = new_figure(title, 9, (2.2 if labels else 1.9) * rows + 0.5)
    axes = panel_grid(figure, len(panels), 2)
    said = []
    for ax, (name, masks) in zip(axes, panels.items(), strict=True):
        left, shares = 0, []
        for place, mask in enumerate(map(np.asarray, masks)):
            _cells(ax, None, mask, left=left)
            shares.append(f"{100 * mask.mean():.0f} %")
            if place < len(labels):
                middle = (left + mask.shape[1] / 2, len(mask) + 0.3)
                words = f"{labels[place]}: {shares[-1]} kept"
                ax.annotate(words, middle, ha="center", va="top", fontsize=9)
            left += mask.shape[1] + 1
        ax.set(xlim=(-0.2, left - 0.8), title=name)
        if labels:
            ax.set_ylim(ax.get_ylim()[0] + 1.3, 0)
        said.append(f"{name}: {', '.join(shares)}")
    describe(figure, f"Share of the weights kept in each mask. {'; '.join(said)}.")
    return figure


def _cells(
    ax: Axes,
    values: np.ndarray | None,
    mask: np.ndarray,
    title: str = "",
    left: int = 0,
) -> None:
    """A square for each weight, with its value if values are given."""
    rows, columns = mask.shape
    for (row, column), keep in np.ndenumerate(mask):
        text = "" if values is None else number(values[row, column], ".2f")
        colour = KEPT if keep else REMOVED
        corner = (left + column, row)
        box(ax, corner, colour=colour, text=text, edge="lightgrey", fontsize=8)
    ax.set(xlim=(0, left + columns), ylim=(rows, 0), aspect="equal", title=title)
    ax.axis("off")


@in_style
def order_curves(
    curves: Mapping[str, Sequence[Mapping[float, float]]],
    dense: float,
    chance: float,
    xlabel: str,
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """Accuracy by what is removed; several runs are drawn as mean and range.

    curves   name -> for each run: share removed (0 to 1) -> accuracy in percent
    guess    what the student typed, in percent of accuracy
    """
    ax = new_figure(title, 7.5, 3.8).subplots()
    said = []
    for name, runs in curves.items():
        places = [[100 * share for share in run] for run in runs]
        heights = [list(run.values()) for run in runs]
        x = np.mean(places, axis=0)
        label = name if len(runs) == 1 else f"{name}, {len(runs)} draws"
        mean_and_range(ax, x, zip(*heights, strict=True), label=label)
        means = np.mean(heights, axis=0)
        each = (
            f"{y:.0f} % at {two_digits(at)} %" for at, y in zip(x, means, strict=True)
        )
        said.append(f"{label}: {', '.join(each)}")
    ax.axhline(dense, **REFERENCE)
    ax.axhline(chance, **LIMIT)
    ax.annotate(" dense", (100, dense), va="center", **NOTE)
    ax.annotate(" guessing", (100, chance), va="center", **NOTE)
    ax.set(xlim=(0, 100), ylim=(0, 102), xlabel=xlabel, ylabel=ACCURACY)
    guessed(ax, guess)
    ax.legend(loc="upper left", bbox_to_anchor=(1.1, 1))
    describe(ax, f"Accuracy by {xlabel[:-3]}. {'; '.join(said)}.")
    return ax


@in_style
def zero_curves(
    curves: Mapping[str, Sequence[float]],
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """How much of the removed weights is still zero, after 0, 1, 2 ... steps.

    curves   name -> the shares (0 to 1), beginning before the first step
    guess    what the student typed for the first step, in percent
    """
    ax = new_figure(title, 6.5, 3.4).subplots()
    said = []
    for name, shares in curves.items():
        ax.plot(100 * np.asarray(shares), label=name, markersize=4)
        first, last = 100 * shares[1], 100 * shares[-1]
        said.append(f"{name}: {first:.1f} % after one step, {last:.1f} % at the end")
    ax.set(xlabel="training step", ylabel="removed weights still zero, %")
    ax.set(xlim=(-0.5, None), ylim=(-4, 104))
    guessed(ax, guess)
    ax.legend(loc="center right")
    describe(ax, f"Removed weights that are still zero. {'; '.join(said)}.")
    return ax


@in_style
def loop_picture(
    steps: Mapping[str, str], marked: Sequence[str] = (), title: str = ""
) -> Figure:
    """The steps of a loop as boxes in a row, with an arrow back to the first.

    steps    name -> what is written below it
    marked   names of the boxes to highlight
    """
    figure = new_figure(title, 10, 1.9)
    ax = figure.subplots()
    wide, gap, tall = 1.5, 0.45, 0.8
    for place, (name, below) in enumerate(steps.items()):
        left = place * (wide + gap)
        colour = LIT if name in marked else "white"
        box(ax, (left, 0), (wide, tall), colour=colour)
        middle = left + wide / 2
        style = {"ha": "center", "va": "center"}
        ax.annotate(name, (middle, 0.68 * tall), weight="bold", **style)
        ax.annotate(below, (middle, 0.3 * tall), fontsize=8, **style)
        if place:
            end, start = (left, tall / 2), (left - gap, tall / 2)
            ax.annotate("", end, start, arrowprops=ARROW)
    last = len(steps) * (wide + gap) - gap
    ends = (last - wide / 2, wide / 2)
    line = {"color": GREY, "linewidth": 1, "linestyle": "-", "marker": ""}
    ax.plot([ends[0], ends[0], ends[1]], [0, -0.4, -0.4], **line)
    ax.annotate("", (ends[1], 0), (ends[1], -0.4), arrowprops=ARROW)
    ax.annotate("next batch", (last / 2, -0.45), ha="center", va="top", **NOTE)
    ax.set(xlim=(-0.05, last + 0.05), ylim=(-0.75, tall + 0.05))
    ax.axis("off")
    said = ", then ".join(f"{name} ({below})" for name, below in steps.items())
    also = f" Highlighted: {', '.join(marked)}." if marked else ""
    describe(
        figure,
        f"A loop of {len(steps)} steps for each batch: {said}, and back to the first."
        f"{also}",
    )
    return figure
