"""Pictures of a network: layers in a row, one convolution, what memory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from labcore.plots.alt import describe
from labcore.plots.style import (
    GREY,
    KEPT,
    LIT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    box,
    in_style,
    new_figure,
    short_name,
    two_digits,
)

__all__ = ["convolution_picture", "memory_bars", "network_picture"]

SIDE = "#8fa3b5"  # the side of a block, between REMOVED and KEPT
TIMES = "\N{MULTIPLICATION SIGN}"
SIZE = 6  # height and width of the small input images of a convolution


@in_style
def network_picture(
    shapes: Mapping[str, Sequence[int]],
    values: Mapping[str, float] | None = None,
    unit: str = "",
    title: str = "",
) -> Figure:
    """A network as a row of layers; a block is as large as its output.

    shapes   name -> (channels, height, width), or (outputs,) of a linear layer, in
             order; an input that is no layer may come first
    values   name -> a number for each layer, drawn as bars below; names may be missing
    unit     what the bars show, for example "KiB of weights"
    """
    figure = new_figure(title, 10, 4.0 if values else 2.7)
    if values:
        top, bottom = figure.subplots(2, 1, height_ratios=(1.5, 1), sharex=True)
    else:
        top, bottom = figure.subplots(), None
    largest = max(_height(shape) for shape in shapes.values())
    most = max(shape[0] for shape in shapes.values())
    right = None
    for place, (name, shape) in enumerate(shapes.items()):
        tall = max(_height(shape) / largest, 0.05)
        wide = 0.08 + 0.3 * (shape[0] / most) ** 0.5
        edges = _block(top, place, wide, tall)
        if right is not None:
            style = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 1, "shrinkB": 1}
            top.annotate("", (edges[0], 0), (right, 0), arrowprops=style)
        right = edges[1]
        words = f"{short_name(name)}\n{_size_text(shape)}"
        top.annotate(words, (place, -0.72), ha="center", va="top", fontsize=8)
    top.set(xlim=(-0.6, len(shapes) - 0.4), ylim=(-1.1, 0.8))
    top.axis("off")
    if bottom:
        _bars_below(bottom, list(shapes), values, unit)
    describe(figure, _network_sentence(shapes, values, unit))
    return figure


def _height(shape: Sequence[int]) -> int:
    return shape[1] if len(shape) > 1 else 1


def _size_text(shape: Sequence[int]) -> str:
    return f" {TIMES} ".join(map(str, shape))


def _block(ax: Axes, x: float, wide: float, tall: float) -> tuple[float, float]:
    """A box seen from the side; returns where its middle begins and ends."""
    deep, up = 0.16 * tall, 0.22 * tall
    left, low, high = x - (wide + deep) / 2, -tall / 2 - up / 2, tall / 2 - up / 2
    edge = left + wide
    style = {"edgecolor": KEPT, "linewidth": 0.8}
    ax.add_patch(Rectangle((left, low), wide, tall, facecolor=REMOVED, **style))
    roof = [(left, high), (left + deep, high + up), (edge + deep, high + up)]
    ax.add_patch(Polygon([*roof, (edge, high)], facecolor="white", **style))
    side = [(edge, low), (edge + deep, low + up), (edge + deep, high + up)]
    ax.add_patch(Polygon([*side, (edge, high)], facecolor=SIDE, **style))
    return left, edge + deep


def _bars_below(
    ax: Axes, names: list[str], values: Mapping[str, float], unit: str
) -> None:
    places = [i for i, name in enumerate(names) if name in values]
    heights = [values[names[i]] for i in places]
    bars = ax.bar(places, heights, width=0.6, color=KEPT)
    ax.bar_label(bars, [_amount(v) for v in heights], fontsize=8, padding=2)
    ax.set(ylim=(0, 1.2 * max(heights)), ylabel=unit.replace(" ", "\n", 1))
    ax.set_xticks(places, [short_name(names[i]) for i in places], fontsize=8)
    ax.tick_params(axis="x", length=0)
    ax.tick_params(axis="y", labelsize=8)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else two_digits(value)


def _network_sentence(shapes, values, unit: str) -> str:
    said = ", ".join(f"{short_name(n)} {_size_text(s)}" for n, s in shapes.items())
    text = f"A row of {len(shapes)} blocks, with the size of each output: {said}."
    if values:
        said = ", ".join(f"{short_name(n)} {_amount(v)}" for n, v in values.items())
        text += f" Bars below show {unit or 'a value'}: {said}."
    return text


@in_style
def convolution_picture(weight, lit: int = 0, title: str = "") -> Figure:
    """What a convolution reads, its weight of four axes, and its output.

    weight   (out, in, kh, kw), a few channels each
    lit      the output channel whose weights and one of whose values are highlighted
    """
    outputs, inputs, high, wide = np.asarray(weight).shape
    made = (SIZE - high + 1, SIZE - wide + 1)  # height and width of an output channel
    tall = max(inputs * (SIZE + 2), outputs * (max(high, made[0]) + 1))
    figure = new_figure(title, 9, 0.2 * tall + 1)
    left, middle, right = figure.subplots(1, 3)

    for channel, y in enumerate(_rows(inputs, SIZE, tall)):
        _small_grid(left, (0, y), (SIZE, SIZE), (1, 1, high, wide))
        _beside(left, (0, y + SIZE / 2), f"in {channel}")
    for output, y in enumerate(_rows(outputs, high, tall)):
        weight_of = {"weight": "bold"} if output == lit else {}
        _beside(middle, (0, y + high / 2), f"out {output}", **weight_of)
        for channel in range(inputs):
            x, lit_part = channel * (wide + 1), (0, 0, high, wide)
            grid = (high, wide)
            _small_grid(middle, (x, y), grid, lit_part if output == lit else None)
            if output == 0:
                place = (x + wide / 2, y - 0.3)
                middle.annotate(f"in {channel}", place, ha="center", fontsize=9)
    for output, y in enumerate(_rows(outputs, made[0], tall)):
        _small_grid(right, (0, y), made, (1, 1, 1, 1) if output == lit else None)
        _beside(right, (0, y + made[0] / 2), f"out {output}")

    weight_name = f"weight: {outputs} {TIMES} {inputs} {TIMES} {high} {TIMES} {wide}"
    for ax, across, name in (
        (left, SIZE, f"input: {inputs} channels"),
        (middle, inputs * (wide + 1) - 1, weight_name),
        (right, made[1], f"output: {outputs} channels"),
    ):
        spare = (0.8 * tall - across) / 2  # the same scale in all three panels
        ax.set(xlim=(-spare, across + spare), ylim=(tall, -1), aspect="equal")
        ax.set_title(name)
        ax.axis("off")
    describe(
        figure,
        f"The weight of a convolution drawn as a table of {outputs} rows, the output "
        f"channels, and {inputs} columns, the input channels; each cell is a window of "
        f"{high} by {wide} weights. Row {lit} is highlighted: its "
        f"{inputs * high * wide} weights make one value of output channel {lit} from a "
        f"window in each of the {inputs} input channels.",
    )
    return figure


def _rows(count: int, size: int, tall: float) -> list[float]:
    """Where boxes of this size begin if they share the height evenly."""
    return [(i + 0.5) * tall / count - size / 2 for i in range(count)]


def _beside(ax: Axes, place: tuple[float, float], text: str, **style) -> None:
    x, y = place
    ax.annotate(text, (x - 0.5, y), ha="right", va="center", fontsize=9, **style)


def _small_grid(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[int, int],
    lit: tuple[int, int, int, int] | None,
) -> None:
    """Boxes in rows and columns; those of (row, column, height, width) are filled."""
    x, y = corner
    for row in range(size[0]):
        for column in range(size[1]):
            on = lit and 0 <= row - lit[0] < lit[2] and 0 <= column - lit[1] < lit[3]
            box(ax, (x + column, y + row), colour=LIT if on else "white")


@in_style
def memory_bars(
    amounts: Mapping[str, Mapping[str, float]],
    limits: Mapping[str, float],
    title: str = "",
) -> Figure:
    """A panel for each kind of memory: how many KiB each network needs, and its limit.

    amounts   memory ("flash: weights") -> network ("dense") -> KiB
    limits    memory -> KiB that the device has
    """
    rows = max(len(needs) for needs in amounts.values())
    figure = new_figure(title, 9, 1.4 + 0.45 * rows)
    axes = figure.subplots(1, len(amounts))
    said = []
    for ax, (memory, needs) in zip(np.ravel(axes), amounts.items(), strict=True):
        limit = limits[memory]
        fits = [value <= limit for value in needs.values()]
        colours = [REMOVED if fit else KEPT for fit in fits]
        bars = ax.barh(list(needs), list(needs.values()), 0.6, color=colours, ec=KEPT)
        labels = [f"{value:,.0f} KiB" for value in needs.values()]
        ax.bar_label(bars, labels, fontsize=9, padding=4)
        ax.axvline(limit, **REFERENCE | {"color": MARKED, "linewidth": 1.5})
        ax.annotate(
            f"limit {limit:,.0f}",
            (limit, -0.62),
            xytext=(3, 0),
            textcoords="offset points",
            **NOTE | {"color": MARKED},
        )
        ax.set(xlim=(0, 1.3 * max(*needs.values(), limit)), xlabel="KiB")
        ax.set(ylim=(len(needs) - 0.5, -0.85), title=memory)
        values = ", ".join(
            f"{name} {value:,.0f} KiB" + (" (fits)" if fit else " (too large)")
            for (name, value), fit in zip(needs.items(), fits, strict=True)
        )
        said.append(f"{memory}, limit {limit:,.0f} KiB: {values}.")
    describe(figure, " ".join(said))
    return figure
