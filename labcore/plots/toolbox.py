"""Figures of Lab 06: the parts of a layer, and its sparsity after each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.style import GREY, LIT, box, in_style, new_figure

__all__ = ["module_parts", "round_curves"]

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
    return figure


@in_style
def round_curves(
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    first: int = 0,
) -> Axes:
    """Shares after each round, in percent; the last one is written beside its curve.

    first   number of the round that the first value belongs to
    """
    ax = new_figure(title, 7, 3.4).subplots()
    for name, shares in curves.items():
        rounds = range(first, first + len(shares))
        percent = [100 * share for share in shares]
        every = max(1, len(shares) // 12)
        (line,) = ax.plot(rounds, percent, label=name, markevery=every)
        end, text = (rounds[-1], percent[-1]), f"  {percent[-1]:.1f} %"
        ax.annotate(text, end, color=line.get_color(), va="center")
    ax.set(xlabel=xlabel, ylabel=f"{ylabel}, %")
    ax.set_xmargin(0.02)
    ax.locator_params(axis="x", integer=True)
    ax.legend()
    return ax
