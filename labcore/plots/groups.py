"""Figures of coupled channels: the groups in a network's graph, and what they keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from labcore.plots.figures import DPI, KEPT, LINE, _finished

__all__ = ["group_graph", "kept_shares"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLOURS = ("#e0ad8c", "#9fc0dd", "#b9d3a0", "#d9b8dd", "#e6d58a", "#a8d8cf")
STYLES = (
    ("o", KEPT, "-"),
    ("s", LINE, "--"),
    ("^", "#6f8f4e", ":"),
    ("D", "#7a5c8e", "-."),
)
WIDTH, HEIGHT, LOWER = 0.8, 0.9, -2.0  # of a box; where the shortcuts run

Member = tuple[str, int]


def group_graph(
    path: Sequence[str],
    shortcuts: Mapping[str, tuple[str, Sequence[str]]],
    groups: Sequence[Collection[Member]],
    whole: Collection[str] = (),
    lit: int | None = None,
    title: str = "",
) -> Figure:
    """A network as boxes in a row, each side with the letter of its group.

    path       layers in order, and the names of the additions between them
    shortcuts  addition -> (layer whose output it adds too, layers on the way there)
    groups     of (layer, axis): axis 1 is the left half of a box, axis 0 the right one
    whole      layers whose box is not halved, the BatchNorms
    lit        the one group to colour; all of them where it is None
    """
    group_of = {member: i for i, group in enumerate(groups) for member in group}
    figure, ax = plt.subplots(figsize=(10, 4.1), dpi=DPI)
    at = {name: float(x) for x, name in enumerate(path)}
    for start, end in zip(path, path[1:], strict=False):
        _arrow(ax, (at[start] + WIDTH / 2, 0), (at[end] - WIDTH / 2, 0))
    for name in path:
        if name in shortcuts:
            ax.add_patch(Circle((at[name], 0), WIDTH / 2, facecolor="white", ec=KEPT))
            ax.annotate("+", (at[name], 0), ha="center", va="center", fontsize=13)
        else:
            _box(ax, (at[name], 0), name, group_of, name in whole, lit)
    for addition, (source, layers) in shortcuts.items():
        places = _below(ax, at[source] + WIDTH / 2 + 0.1, at[addition], len(layers))
        for name, x in zip(layers, places, strict=True):
            _box(ax, (x, LOWER), name, group_of, name in whole, lit)
    ax.set(xlim=(-0.7, len(path) - 0.3), ylim=(LOWER - 2.6, 2.9), aspect="equal")
    ax.axis("off")
    return _finished(figure, title)


def _below(ax: Axes, start: float, end: float, count: int) -> list[float]:
    """Draw a shortcut's way; returns where its layers stand."""
    x, y = [start, start, end], [0, LOWER, LOWER]
    ax.plot(x, y, color=KEPT, linewidth=1, zorder=0)
    _arrow(ax, (end, LOWER), (end, -WIDTH / 2))
    step = (end - start) / (count + 1)
    return [start + step * (i + 1) for i in range(count)]


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": KEPT, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)


def _box(
    ax: Axes,
    place: tuple[float, float],
    name: str,
    group_of: Mapping[Member, int],
    whole: bool,
    lit: int | None,
) -> None:
    left, below = place[0] - WIDTH / 2, place[1] - HEIGHT / 2
    sides = [(0, 0, WIDTH)] if whole else [(1, 0, WIDTH / 2), (0, WIDTH / 2, WIDTH / 2)]
    for axis, shift, width in sides:
        number = group_of.get((name, axis))
        on = number is not None and lit in (None, number)
        colour = COLOURS[number % len(COLOURS)] if on else "white"
        half = Rectangle((left + shift, below), width, HEIGHT, facecolor=colour)
        half.set(edgecolor=KEPT, gid=f"{name} {axis}")
        ax.add_patch(half)
        if number is not None:
            style = {"weight": "bold" if on else None, "fontsize": 9}
            style |= {"color": "black" if on else "grey", "ha": "center"}
            middle = (left + shift + width / 2, place[1])
            ax.annotate(LETTERS[number], middle, va="center", **style)
    above = place[1] == 0
    y = place[1] + (HEIGHT / 2 + 0.15) * (1 if above else -1)
    style = {"rotation": 90, "ha": "center", "fontsize": 8}
    ax.annotate(name, (place[0], y), va="bottom" if above else "top", **style)


def kept_shares(
    counts: Mapping[str, Sequence[int]],
    dense: Sequence[int],
    names: Sequence[str],
    title: str = "",
) -> Axes:
    """Share of the channels that each method keeps in each layer or group."""
    _, ax = plt.subplots(figsize=(7, 3.4), dpi=DPI)
    x = range(len(names))
    for (method, kept), (marker, colour, line) in zip(
        counts.items(), STYLES, strict=False
    ):
        shares = [k / n for k, n in zip(kept, dense, strict=True)]
        ax.plot(x, shares, line, marker=marker, color=colour, label=method)
    ax.axhline(1, color="grey", linestyle="--", linewidth=1)
    ax.set_xticks(x, [f"{name}\n{n}" for name, n in zip(names, dense, strict=True)])
    ax.set(ylim=(0, 1.05), ylabel="share of channels kept")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    _finished(ax.figure, title)
    return ax
