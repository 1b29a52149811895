"""Figures of Lab 06: what a layer is made of, and sparsity round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labcore.plots.figures import DPI, KEPT, LINE, _finished

__all__ = ["module_parts", "round_curves"]

STYLES = (("o", LINE, "--"), ("s", KEPT, "-"), ("^", "#6f8f4e", ":"))
NEW = "#e0ad8c"

Parts = Mapping[str, Sequence[str]]


def module_parts(stages: Mapping[str, Parts], title: str = "") -> Figure:
    """What a module holds at each stage; what the stage before had not is filled.

    stages   title of a panel -> kind of part ("parameters", ...) -> its members
    """
    figure, axes = plt.subplots(
        1, len(stages), figsize=(3.3 * len(stages), 3.2), dpi=DPI, squeeze=False
    )
    kinds = list(dict.fromkeys(kind for parts in stages.values() for kind in parts))
    rows = [
        max(len(parts.get(kind, ())) for parts in stages.values()) for kind in kinds
    ]
    before: Parts | None = None
    for ax, (stage, parts) in zip(axes.flat, stages.items(), strict=True):
        top = 0.0
        for kind, count in zip(kinds, rows, strict=True):
            ax.annotate(kind, (0, top + 0.45), fontsize=9, color="grey", va="center")
            known = None if before is None else before.get(kind, ())
            for place, member in enumerate(parts.get(kind, ())):
                _part(
                    ax,
                    top + 0.8 + place,
                    member,
                    known is not None and member not in known,
                )
            top += 0.8 + count + 0.2
        ax.set(xlim=(-0.05, 4.05), ylim=(top, 0))
        ax.set_title(stage, fontsize=10)
        ax.axis("off")
        before = parts
    return _finished(figure, title)


def _part(ax: Axes, top: float, text: str, new: bool) -> None:
    """One member in its frame; what is new is filled and bold."""
    frame = Rectangle((0, top), 4, 0.85, facecolor=NEW if new else "white")
    frame.set_edgecolor("grey")
    ax.add_patch(frame)
    style = {"fontsize": 9, "weight": "bold" if new else None}
    ax.annotate(text, (0.15, top + 0.45), va="center", **style)


def round_curves(
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    first: int = 0,
) -> Axes:
    """Shares after each round in percent, the last one written beside its curve.

    first   number of the round that the first value belongs to
    """
    _, ax = plt.subplots(figsize=(7, 3.4), dpi=DPI)
    for (name, shares), (marker, colour, line) in zip(
        curves.items(), STYLES, strict=False
    ):
        rounds = range(first, first + len(shares))
        percent = [100 * share for share in shares]
        every = max(1, len(shares) // 12)
        style = {"marker": marker, "color": colour, "markevery": every}
        ax.plot(rounds, percent, line, label=name, markersize=5, **style)
        text = f"  {percent[-1]:.1f} %"
        ax.annotate(text, (rounds[-1], percent[-1]), color=colour, va="center")
    ax.set(xlabel=xlabel, ylabel=f"{ylabel}, %")
    ax.set_xmargin(0.02)
    ax.locator_params(axis="x", integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    _finished(ax.figure, title)
    return ax
