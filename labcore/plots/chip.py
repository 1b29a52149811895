"""Figures of the chip: what fills its memory, and what it has to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    GREY,
    KEPT,
    LIT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    guessed,
    in_style,
    legend_above,
    new_figure,
    short_name,
)

__all__ = ["memory_map", "work_by_layer"]

KIB = 1024
SHADES = (REMOVED, "#8fa3b5")  # neighbours differ; KEPT is for the largest part
NARROW = 0.07  # of the width: a part below it has no room for its name


@in_style
def memory_map(
    parts: Mapping[str, Mapping[str, int]],
    limits: Mapping[str, int],
    title: str = "",
    guess: float | None = None,
) -> Figure:
    """What fills each memory of a device, part by part, and what stays free.

    parts    memory -> what -> bytes
    limits   memory -> bytes that the device has
    guess    what the student typed for the last memory, in KiB
    """
    figure = new_figure(title, 9, 1.2 + 1.1 * len(parts))
    axes = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    said = []
    for ax, (memory, amounts) in zip(axes, parts.items(), strict=True):
        amounts = {what: size / KIB for what, size in amounts.items() if size}
        said.append(_filled(ax, memory, amounts, limits[memory] / KIB))
    guessed(axes[-1], guess, "x")
    axes[-1].set(xlabel="KiB")
    describe(figure, " ".join(said))
    return figure


def _filled(ax: Axes, memory: str, amounts: Mapping[str, float], limit: float) -> str:
    """One bar of parts side by side; returns the sentence for it."""
    total, start = sum(amounts.values()), 0.0
    width = 1.12 * max(total, limit)
    largest = max(amounts, key=amounts.get)
    for place, (what, size) in enumerate(amounts.items()):
        colour = KEPT if what == largest else SHADES[place % 2]
        ax.barh(0, size, 0.6, left=start, color=colour, ec="white", linewidth=0.6)
        if size > NARROW * width:
            text = f"{short_name(what)}\n{size:,.0f}"
            ink = "white" if what == largest else "black"
            middle = start + size / 2
            ax.annotate(
                text, (middle, 0), ha="center", va="center", fontsize=8, color=ink
            )
        start += size
    if total < limit:
        rest = {"facecolor": "white", "edgecolor": GREY, "linestyle": ":"}
        ax.barh(0, limit - total, 0.6, left=total, **rest)
        state = f"{limit - total:,.0f} KiB free"
        colour = GREY
    else:
        state, colour = f"{total - limit:,.0f} KiB too many", MARKED
    ax.axvline(limit, **REFERENCE | {"color": MARKED, "linewidth": 1.5})
    where = {"xytext": (-3, 0), "textcoords": "offset points", "ha": "right"}
    words = f"the device has {limit:,.0f}: {state}"
    ax.annotate(words, (limit, 0.42), **where, **NOTE | {"color": colour})
    ax.set(xlim=(0, width), ylim=(-0.4, 0.62), yticks=[0], yticklabels=[memory])
    ax.spines["left"].set_visible(False)
    listed = ", ".join(f"{what} {size:,.1f}" for what, size in amounts.items())
    return f"{memory}, {total:,.0f} of {limit:,.0f} KiB, {state}: {listed}."


@in_style
def work_by_layer(
    work: Mapping[str, Mapping[str, float]], unit: str, title: str = ""
) -> Axes:
    """A group of bars for each layer, one bar for each network.

    work   network -> layer -> a number in this unit
    """
    ax = new_figure(title, 9, 3.4).subplots()
    layers = list(next(iter(work.values())))
    tall, places = 0.8 / len(work), np.arange(len(layers))
    colours = (REMOVED, KEPT, LIT, GREY)
    for row, (name, values) in enumerate(work.items()):
        heights = [values[layer] for layer in layers]
        where = places + (row - (len(work) - 1) / 2) * tall
        ax.bar(where, heights, tall, label=name, color=colours[row % 4], ec=KEPT)
    ax.set_xticks(places, [short_name(layer) for layer in layers])
    ax.set(ylabel=unit)
    legend_above(ax)
    said = []
    for name, values in work.items():
        most = max(values, key=values.get)
        said.append(
            f"{name}: {sum(values.values()):,.1f} {unit} together, most in "
            f"{short_name(most)}, {values[most]:,.1f}."
        )
    describe(ax, " ".join(said))
    return ax
