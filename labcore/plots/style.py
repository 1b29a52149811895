"""How every figure of the course looks, defined in one place.

A function that draws a figure is decorated with `in_style`. Inside it the plain calls
of matplotlib are enough: `ax.plot(x, y, label=name)` takes the next colour, marker and
line of `SERIES`, legends have no frame, and the layout makes room for the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle

from labcore.plots.alt import DescribedFigure

# One colour for one meaning. In grey, KEPT is dark, MARKED medium, the others light.
KEPT = "#1f3b57"  # weights that are kept, and measured values
REMOVED = "#c9d3dc"  # weights that are removed, and the background
MARKED = "#b3541e"  # look here: an error, a threshold, an interval
LIT = "#e0ad8c"  # a highlighted box among empty ones
GREY = "#666666"  # what a figure compares with: the dense network, a limit, a law

# Series differ by marker and line as well, so that they can be told apart in grey.
SERIES = cycler(
    color=[KEPT, MARKED, "#6f8f4e", "#7a5c8e", "#6ba3c4", "#b08a2e", "#2e8a8a"],
    marker=["o", "s", "^", "D", "v", "P", "X"],
    linestyle=["-", "--", ":", "-.", "-", "--", ":"],
)

STYLE = {
    "figure.dpi": 80,
    "figure.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,  # inches
    "figure.constrained_layout.w_pad": 0.08,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": SERIES,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 8,
    "lines.markersize": 5,
}

# A notebook's backend switches figures on when it is loaded. That has to happen here:
# inside in_style it would be undone, and only the first figure would be shown.
plt.switch_backend(matplotlib.get_backend())
in_style = matplotlib.rc_context(STYLE)

# Style of a line to compare with, which is not part of SERIES, and of its label.
REFERENCE = {"color": GREY, "linestyle": "--", "linewidth": 1, "marker": ""}
LIMIT = REFERENCE | {"linestyle": ":"}
NOTE = {"color": GREY, "fontsize": 8}

ACCURACY = "accuracy on val, %"


def new_figure(title: str, width: float, height: float) -> Figure:
    """An empty figure with its title; the size is in inches."""
    figure = plt.figure(figsize=(width, height), FigureClass=DescribedFigure)
    figure.suptitle(title)
    return figure


def panel_grid(figure: FigureBase, count: int, columns: int, **options) -> list[Axes]:
    """As many panels as needed, row by row; the rest of the last row is empty."""
    rows = -(-count // columns)
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for ax in axes[count:]:
        ax.axis("off")
    return list(axes[:count])


def styles_of(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Colour, marker and line for each name, so that other panels can repeat them."""
    return dict(zip(names, SERIES(), strict=False))


def mean_and_range(
    ax: Axes, x: Sequence[float], runs: Iterable[Sequence[float]], **style
) -> None:
    """The mean of several runs as a curve, and the range between them as a band.

    runs   for each x the values of all runs
    """
    runs = list(runs)
    (line,) = ax.plot(x, [np.mean(values) for values in runs], **style)
    low, high = [min(values) for values in runs], [max(values) for values in runs]
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def guessed(ax: Axes, guess: float | None, which: str = "y") -> None:
    """A line at the number the student predicted; nothing where none was typed."""
    if guess is None:
        return
    line = ax.axhline if which == "y" else ax.axvline
    line(guess, color=MARKED, linestyle="-.", linewidth=1.5, marker="")
    if which == "y":
        place, offset = (0, guess), (4, 3)
    else:
        place, offset = (guess, 1), (4, -10)
    transform = getattr(ax, f"get_{'yx'[which == 'x']}axis_transform")()
    ax.annotate(
        "your guess",
        place,
        xycoords=transform,
        xytext=offset,
        textcoords="offset points",
        color=MARKED,
        fontsize=8,
    )


def legend_above(ax: Axes) -> None:
    """A legend in one row above the axes, where it covers nothing."""
    names = ax.get_legend_handles_labels()[1]
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(names))


def log_scale(ax: Axes, which: str, base: int = 10) -> None:
    """A logarithmic x or y axis with plain numbers, 0.1 instead of a power of ten."""
    getattr(ax, f"set_{which}scale")("log", base=base)
    getattr(ax, f"{which}axis").set_major_formatter("{x:g}")


def box(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float] = (1, 1),
    colour: str = "white",
    text: str = "",
    edge: str = GREY,
    **style,
) -> Rectangle:
    """A filled box with a text in its middle, white on the dark colour."""
    frame = Rectangle(corner, *size, facecolor=colour, edgecolor=edge)
    ax.add_patch(frame)
    if text:
        middle = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
        style = {"color": "white" if colour == KEPT else "black", **style}
        ax.annotate(text, middle, ha="center", va="center", **style)
    return frame


def pixels(image: np.ndarray) -> np.ndarray:
    """(channels, h, w) in any range -> (h, w) or (h, w, 3) in [0, 1]."""
    scaled = (image - image.min()) / max(np.ptp(image), 1e-9)
    return scaled[0] if len(image) == 1 else scaled.transpose(1, 2, 0)


def short_name(layer: str) -> str:
    """conv0 for backbone.conv0."""
    return layer.split(".")[-1]


def number(value: float, form: str) -> str:
    """The value in this format, with a proper minus sign."""
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def two_digits(value: float) -> str:
    """12 or 0.34, and 100 instead of 1e+02."""
    return f"{float(f'{value:.2g}'):g}"
