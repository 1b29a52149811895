"""Figures of many methods: scores by allocations, who beats whom, what layers keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    KEPT,
    MARKED,
    REFERENCE,
    box,
    guessed,
    in_style,
    new_figure,
    number,
    styles_of,
    two_digits,
)

__all__ = ["density_map", "pairwise_order", "score_table"]

Runs = Sequence[float]  # one accuracy for each seed
Table = Mapping[str, Mapping[str, Runs]]  # allocation -> score -> runs


@in_style
def score_table(
    panels: Mapping[str, Table],
    dense: Runs,
    title: str = "",
    guess: float | None = None,
) -> Figure:
    """Accuracy of every score in every allocation: a row each, a marker for a score.

    panels   what was measured -> table; the guess belongs to the last of them
    dense    accuracies of the dense network, to compare with
    """
    tables = list(panels.values())
    rows, scores = list(tables[0]), list(next(iter(tables[0].values())))
    figure = new_figure(title, 4.4 * len(panels) + 1, 0.75 * len(rows) + 1.6)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False).ravel()
    styles = styles_of(scores)
    for ax, (name, table) in zip(axes, panels.items(), strict=True):
        ax.axvline(np.mean(dense), **REFERENCE)
        for row, of_score in enumerate(table.values()):
            if row:
                ax.axhline(row - 0.5, color="#dddddd", linewidth=0.8, marker="")
            for place, score in enumerate(scores):
                y = row + 0.62 * ((place + 0.5) / len(scores) - 0.5)
                _runs_at(ax, y, of_score[score], styles[score])
        ax.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5), xlabel=ACCURACY, title=name)
        ax.set_yticks(range(len(rows)), rows)
        ax.tick_params(axis="y", length=0)
    guessed(axes[-1], guess, "x")
    handles = [
        axes[0].plot([], [], label=score, **styles[score] | {"linestyle": "none"})[0]
        for score in scores
    ]
    handles.append(axes[0].plot([], [], label="dense", **REFERENCE)[0])
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), title="score"
    )
    describe(figure, _table_in_words(panels, dense))
    return figure


def _runs_at(ax: Axes, y: float, runs: Runs, style: Mapping[str, str]) -> None:
    """The mean as a marker on the range of the runs."""
    ax.hlines(y, min(runs), max(runs), color=style["color"], linewidth=2)
    ax.plot(np.mean(runs), y, **style | {"linestyle": "none"})


def _table_in_words(panels: Mapping[str, Table], dense: Runs) -> str:
    name, table = list(panels.items())[-1]
    rows = []
    for allocation, of_score in table.items():
        found = ", ".join(f"{s} {np.mean(runs):.0f}" for s, runs in of_score.items())
        rows.append(f"{allocation}: {found}")
    return (
        f"Mean accuracy in percent of each score in each allocation, {name}: "
        f"{'; '.join(rows)}; the dense network has {np.mean(dense):.0f}."
    )


@in_style
def pairwise_order(runs: Mapping[str, Runs], title: str = "") -> Axes:
    """For each pair, how far the row is above the column; filled where every run is.

    The names are ordered by their mean. An empty box means that the runs overlap.
    """
    order = sorted(runs, key=lambda name: -np.mean(runs[name]))
    count = len(order)
    ax = new_figure(title, 0.72 * count + 3, 0.42 * count + 2.1).subplots()
    decided = 0
    for row, better in enumerate(order):
        for column in range(row + 1, count):
            worse = order[column]
            clear = min(runs[better]) > max(runs[worse])
            decided += clear
            gap = np.mean(runs[better]) - np.mean(runs[worse])
            box(
                ax,
                (column - 0.46, row - 0.46),
                (0.92, 0.92),
                KEPT if clear else "white",
                number(gap, "+.1f"),
                fontsize=9,
            )
    names = [f"{name}  ({np.mean(runs[name]):.1f} %)" for name in order]
    ax.set_yticks(range(count), names)
    ax.set_xticks(range(count), order, rotation=35, ha="left", fontsize=9)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    ax.set_xlabel("percentage points\nfilled: every run of the row beats the column's")
    pairs = count * (count - 1) // 2
    describe(
        ax,
        f"{decided} of {pairs} pairs are decided, because no runs overlap. By mean "
        f"accuracy in percent: {', '.join(_with_range(n, runs[n]) for n in order)}.",
    )
    return ax


def _with_range(name: str, runs: Runs) -> str:
    return f"{name} {np.mean(runs):.1f} ({min(runs):.1f} to {max(runs):.1f})"


@in_style
def density_map(
    densities: Mapping[str, Mapping[str, float]], title: str = ""
) -> Figure:
    """What each method keeps of each layer; dark means much, a cross means nothing."""
    names = list(densities)
    layers = list(densities[names[0]])
    shares = np.array([[densities[n][layer] for layer in layers] for n in names])
    figure = new_figure(title, 2.8 + 1.1 * len(layers), 0.36 * len(names) + 1.2)
    ax = figure.subplots()
    least = 1e-4
    norm = LogNorm(least, 1)
    ax.imshow(np.clip(shares, least, 1), cmap="Blues", norm=norm, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        dark = norm(max(share, least)) > 0.6
        place = {"ha": "center", "va": "center", "fontsize": 9}
        text = _percent(share)
        ax.text(column, row, text, color="white" if dark else "black", **place)
        if share == 0:
            cross = {"color": MARKED, "linewidth": 1, "linestyle": "-", "marker": ""}
            ax.plot([column - 0.5, column + 0.5], [row - 0.5, row + 0.5], **cross)
            ax.plot([column - 0.5, column + 0.5], [row + 0.5, row - 0.5], **cross)
    ax.set_xticks(range(len(layers)), layers)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    rows = [
        f"{name} keeps {', '.join(map(_percent, row))}"
        for name, row in zip(names, shares, strict=True)
    ]
    describe(figure, f"Of {', '.join(layers)}, {'; '.join(rows)}.")
    return figure


def _percent(share: float) -> str:
    return "none" if share == 0 else f"{two_digits(100 * share)} %"
