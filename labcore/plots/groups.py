"""Figures of coupled channels: the groups in a network, and what each of them keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from labcore.plots.alt import describe
from labcore.plots.style import KEPT, REFERENCE, box, in_style, new_figure

__all__ = ["group_graph", "kept_shares"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLOURS = ("#e0ad8c", "#9fc0dd", "#b9d3a0", "#d9b8dd", "#e6d58a", "#a8d8cf")
WIDTH, HEIGHT, LOWER = 0.8, 0.9, -2.0  # size of a box, and the height of the shortcuts

Member = tuple[str, int]


@in_style
def group_graph(
    path: Sequence[str],
    shortcuts: Mapping[str, tuple[str, Sequence[str]]],
    groups: Sequence[Collection[Member]],
    whole: Collection[str] = (),
    title: str = "",
) -> Figure:
    """A network as boxes in a row, each half with the letter of its group.

    path       layers in order, and the names of the additions between them
    shortcuts  addition -> (layer whose output it also adds, layers on the way there)
    groups     of (layer, axis): axis 1 is the left half of a box, axis 0 the right one
    whole      layers whose box is not divided, the BatchNorms
    """
    group_of = {member: i for i, group in enumerate(groups) for member in group}
    figure = new_figure(title, 10, 4.1)
    ax = figure.subplots()
    at = {name: float(x) for x, name in enumerate(path)}
    for start, end in zip(path, path[1:], strict=False):
        _arrow(ax, (at[start] + WIDTH / 2, 0), (at[end] - WIDTH / 2, 0))
    for name in path:
        if name in shortcuts:
            ax.add_patch(Circle((at[name], 0), WIDTH / 2, facecolor="white", ec=KEPT))
            ax.annotate("+", (at[name], 0), ha="center", va="center", fontsize=13)
        else:
            _layer(ax, (at[name], 0), name, group_of, name in whole)
    for addition, (source, layers) in shortcuts.items():
        places = _below(ax, at[source] + WIDTH / 2 + 0.1, at[addition], len(layers))
        for name, x in zip(layers, places, strict=True):
            _layer(ax, (x, LOWER), name, group_of, name in whole)
    ax.set(xlim=(-0.7, len(path) - 0.3), ylim=(LOWER - 2.6, 2.9), aspect="equal")
    ax.axis("off")
    describe(figure, _graph_in_words(path, shortcuts, groups))
    return figure


def _graph_in_words(
    path: Sequence[str],
    shortcuts: Mapping[str, tuple[str, Sequence[str]]],
    groups: Sequence[Collection[Member]],
) -> str:
    """Its layers in order, the ways of the shortcuts, and the members of each group."""
    on_shortcuts = sum(len(layers) for _, layers in shortcuts.values())
    count = len(path) - len(shortcuts) + on_shortcuts
    plural = "" if len(shortcuts) == 1 else "s"
    told = [f"{count} layers, {len(shortcuts)} addition{plural}: {', '.join(path)}."]
    for addition, (source, layers) in shortcuts.items():
        way = f"through {' and '.join(layers)}" if layers else "without layers"
        told.append(f"A shortcut leads from {source} to {addition} {way}.")
    for letter, group in zip(LETTERS, groups, strict=False):
        rows = ", ".join(sorted(name for name, axis in group if axis == 0))
        columns = ", ".join(sorted(name for name, axis in group if axis == 1))
        sides = [f"the outputs of {rows}"] if rows else []
        sides += [f"the inputs of {columns}"] if columns else []
        told.append(f"Group {letter}, {len(group)} members: {'; '.join(sides)}.")
    return " ".join(told)


def _below(ax: Axes, start: float, end: float, count: int) -> list[float]:
    """Draw the line of a shortcut; returns the positions of the layers on it."""
    line = {"color": KEPT, "linewidth": 1, "linestyle": "-", "marker": ""}
    ax.plot([start, start, end], [0, LOWER, LOWER], zorder=0, **line)
    _arrow(ax, (end, LOWER), (end, -WIDTH / 2))
    step = (end - start) / (count + 1)
    return [start + step * (i + 1) for i in range(count)]


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": KEPT, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)


def _layer(
    ax: Axes,
    place: tuple[float, float],
    name: str,
    group_of: Mapping[Member, int],
    whole: bool,
) -> None:
    """A layer's box, whole or in two halves, with its name above or below."""
    left, below = place[0] - WIDTH / 2, place[1] - HEIGHT / 2
    sides = [(0, 0, WIDTH)] if whole else [(1, 0, WIDTH / 2), (0, WIDTH / 2, WIDTH / 2)]
    for axis, shift, width in sides:
        group = group_of.get((name, axis))
        letter, look = "", {}
        if group is not None:
            letter = LETTERS[group]
            look = {"colour": COLOURS[group % len(COLOURS)], "weight": "bold"}
        corner, size = (left + shift, below), (width, HEIGHT)
        half = box(ax, corner, size, text=letter, edge=KEPT, fontsize=9, **look)
        half.set_gid(f"{name} {axis}")
    above = place[1] == 0
    y = place[1] + (HEIGHT / 2 + 0.15) * (1 if above else -1)
    style = {"rotation": 90, "ha": "center", "fontsize": 8}
    ax.annotate(name, (place[0], y), va="bottom" if above else "top", **style)


@in_style
def kept_shares(
    counts: Mapping[str, Sequence[int]],
    dense: Sequence[int],
    names: Sequence[str],
    title: str = "",
) -> Axes:
    """The share of the channels that each method keeps in each layer or group."""
    ax = new_figure(title, 7, 3.4).subplots()
    x = range(len(names))
    for method, kept in counts.items():
        shares = [k / n for k, n in zip(kept, dense, strict=True)]
        ax.plot(x, shares, label=method)
    ax.axhline(1, **REFERENCE)
    ax.set_xticks(x, [f"{name}\n{n}" for name, n in zip(names, dense, strict=True)])
    ax.set(ylim=(0, 1.05), ylabel="share of channels kept")
    ax.legend()
    layers = [f"{name} ({n})" for name, n in zip(names, dense, strict=True)]
    told = [f"{method} {', '.join(map(str, kept))}" for method, kept in counts.items()]
    describe(
        ax,
        f"The share of channels kept, for the layers {', '.join(layers)}, with the "
        f"channels of the dense network in brackets. Channels kept: {'; '.join(told)}.",
    )
    return ax
