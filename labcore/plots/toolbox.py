"""Figures of Lab 06: parts of a layer, masks of filters, sparsity by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    GREY,
    KEPT,
    LIT,
    REMOVED,
    box,
    guessed,
    in_style,
    new_figure,
    panel_grid,
)

__all__ = ["filter_masks", "module_parts", "round_curves"]

Parts = Mapping[str, Sequence[str]]


@in_style
def module_parts(stages: Mapping[str, Parts], title: str = "") -> Figure:
    """What a module holds at each stage; parts that are new at a stage are filled.

    stages   title of a panel -> kind of part ("parameters", ...) -> its members
    """
    figure = new_figure(title, 3.3 * len(stages), 3.2)
    axes = figure.subplots(1, len(stages), squeeze=False)
    kinds = list(dict.fromkeys(kind for parts in stages.values() for kind in parts))
    rows = [
        max(len(parts.get(kind, ())) for parts in stages.values()) for kind in kinds
    ]
    before: Parts | None = None
    said = []
    for ax, (stage, parts) in zip(axes.flat, stages.items(), strict=True):
        top = 0.0
        for kind, count in zip(kinds, rows, strict=True):
            ax.annotate(kind, (0, top + 0.45), fontsize=9, color=GREY, va="center")
            for place, member in enumerate(parts.get(kind, ())):
                new = before is not None and member not in before.get(kind, ())
                look = {"colour": LIT, "weight": "bold"} if new else {}
                corner = (0, top + 0.8 + place)
                box(ax, corner, (4, 0.85), text=member, fontsize=9, **look)
            top += 0.8 + count + 0.2
        ax.set(xlim=(-0.05, 4.05), ylim=(top, 0), title=stage)
        ax.axis("off")
        before = parts
        said.append(f"{stage}: {_members(parts)}")
    describe(figure, f"A module at {len(stages)} stages. {'. '.join(said)}.")
    return figure


def _members(parts: Parts) -> str:
    """The parts of a module in words."""
    kinds = [f"{kind} {', '.join(names)}" for kind, names in parts.items() if names]
    return "; ".join(kinds) or "nothing"


@in_style
def filter_masks(
    panels: Mapping[str, np.ndarray],
    columns: int = 3,
    counts: bool = False,
    title: str = "",
) -> Figure:
    """Masks of convolutions: a filter in each row, its kernel for each input channel.

    panels   title of a panel -> mask of shape (out, in, kh, kw), kept weights dark
    counts   a last column says how many input channels are kept at each position
    """
    arrays = {name: np.asarray(mask) != 0 for name, mask in panels.items()}
    first = next(iter(arrays.values()))
    filters, inputs, height, width = first.shape
    across = inputs + counts
    size = (0.25 * across * (width + 1) + 0.6, 0.25 * filters * (height + 1) + 0.6)
    rows = -(-len(panels) // columns)
    figure = new_figure(title, size[0] * columns, size[1] * rows + 0.4)
    axes = panel_grid(figure, len(panels), columns)
    for ax, (name, mask) in zip(axes, arrays.items(), strict=True):
        for (row, column, y, x), kept in np.ndenumerate(mask):
            corner = (column * (width + 1) + x, row * (height + 1) + y)
            box(ax, corner, colour=KEPT if kept else REMOVED, edge="lightgrey")
        for column in range(inputs):
            middle = column * (width + 1) + width / 2
            _label(ax, f"input {column}", (middle, -0.3), va="bottom")
        for row in range(filters):
            middle = row * (height + 1) + height / 2
            _label(ax, f"filter {row}", (-0.4, middle), rotation=90, ha="right")
        if counts:
            _counts(ax, mask, inputs * (width + 1))
        end = (across * (width + 1) - 0.9, filters * (height + 1) - 0.9)
        ax.set(xlim=(-1.6, end[0]), ylim=(end[1], -1.6), aspect="equal", title=name)
        ax.axis("off")
    describe(figure, " ".join(_kept(*panel, counts) for panel in arrays.items()))
    return figure


def _label(ax: Axes, text: str, place: tuple[float, float], **style) -> None:
    style = {"ha": "center", "va": "center", "color": GREY, "fontsize": 8} | style
    ax.annotate(text, place, **style)


def _counts(ax: Axes, mask: np.ndarray, left: float) -> None:
    """The number of input channels kept at each position of each filter's kernels."""
    filters, _, height, width = mask.shape
    _label(ax, "channels kept", (left + width / 2, -0.3), va="bottom")
    for (row, y, x), kept in np.ndenumerate(mask.sum(axis=1)):
        corner = (left + x, row * (height + 1) + y)
        box(ax, corner, text=str(kept), fontsize=8, edge="lightgrey")


def _kept(name: str, mask: np.ndarray, counts: bool) -> str:
    """How many weights of each filter and each input are kept, in words."""
    by_filter = ", ".join(map(str, mask.sum(axis=(1, 2, 3))))
    by_input = ", ".join(map(str, mask.sum(axis=(0, 2, 3))))
    said = f"{name}: of {mask.size} weights the filters keep {by_filter}"
    said += f" and the input channels {by_input}"
    if counts:
        at = mask.sum(axis=1)
        said += f"; at each position {at.min()} to {at.max()} channels are kept"
    return f"{said}."


@in_style
def round_curves(
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    first: int = 0,
    guess: float | None = None,
) -> Axes:
    """Shares after each round, in percent; the last one is written beside its curve.

    first   number of the round that the first value belongs to
    guess   the student's prediction in percent, drawn as a line
    """
    ax = new_figure(title, 7, 3.4).subplots()
    said = []
    for name, shares in curves.items():
        rounds = range(first, first + len(shares))
        percent = [100 * share for share in shares]
        every = max(1, len(shares) // 12)
        (line,) = ax.plot(rounds, percent, label=name, markevery=every)
        end, text = (rounds[-1], percent[-1]), f"  {percent[-1]:.1f} %"
        ax.annotate(text, end, color=line.get_color(), va="center")
        said.append(f"{name} from {percent[0]:.1f} % to {percent[-1]:.1f} %")
    guessed(ax, guess)
    ax.set(xlabel=xlabel, ylabel=f"{ylabel}, %")
    ax.set_xmargin(0.02)
    ax.locator_params(axis="x", integer=True)
    ax.legend()
    rounds = f"{xlabel} {first} to {rounds[-1]}"
    describe(ax, f"{ylabel} by {rounds}: {'; '.join(said)}.")
    return ax
