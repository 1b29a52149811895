"""Figures of channels: where they live, and what a network is worth without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
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
    pixels,
)

__all__ = [
    "channel_places",
    "cut_curves",
    "recovery",
    "soft_labels",
    "what_did_it",
]


@in_style
def channel_places(
    first,
    norm: Mapping[str, Sequence[float]],
    second,
    picked: Collection[int],
    title: str = "",
) -> Figure:
    """Two layers as matrices with a BatchNorm between them; picked channels light up.

    first    (channels, inputs): a channel is a row
    norm     parameter or buffer -> one number for each channel
    second   (outputs, channels): a channel is a column
    """
    first, second = np.asarray(first), np.asarray(second)
    entries = np.stack([np.asarray(values) for values in norm.values()], axis=1)
    rows, columns = np.zeros_like(first, bool), np.zeros_like(second, bool)
    rows[list(picked)], columns[:, list(picked)] = True, True
    between = np.zeros_like(entries, bool)
    between[list(picked)] = True
    widths = [first.shape[1] + 1, len(norm) + 2, second.shape[1] + 1]
    figure = new_figure(title, 9, 3.8)
    axes = figure.subplots(1, 3, width_ratios=widths)
    _matrix(axes[0], first, rows, "first layer: a row")
    _matrix(axes[1], entries, between, "BatchNorm: one entry of each")
    _matrix(axes[2], second, columns, "next layer: a column")
    _name_axes(axes[0], "channel", "input")
    _name_axes(axes[1], "channel", "")
    axes[1].set_xticklabels([name.replace("_", "\n") for name in norm])
    _name_axes(axes[2], "output", "channel")
    count = int(rows.sum() + between.sum() + columns.sum())
    where = ", ".join(map(str, sorted(picked))) or "none"
    describe(
        figure,
        f"Three tables of numbers side by side. Highlighted channels: {where}. They "
        f"take {rows.sum()} numbers of the first layer (rows), {between.sum()} of the "
        f"BatchNorm and {columns.sum()} of the next layer (columns), {count} in all.",
    )
    return figure


def _matrix(ax: Axes, values: np.ndarray, lit: np.ndarray, title: str) -> None:
    """A box for each number; those that are lit are filled, and bold."""
    for (row, column), value in np.ndenumerate(values):
        on = lit[row, column]
        style = {"colour": LIT, "weight": "bold"} if on else {}
        box(ax, (column, row), text=number(value, "g"), **style)
    ax.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), aspect="equal")
    ax.set_title(title)
    ax.spines[:].set_visible(False)


def _name_axes(ax: Axes, down: str, across: str) -> None:
    rows, columns = int(ax.get_ylim()[0]), int(ax.get_xlim()[1])
    ax.set_yticks(np.arange(rows) + 0.5, range(rows), fontsize=8)
    ax.set_xticks(np.arange(columns) + 0.5, range(columns), fontsize=8)
    ax.tick_params(length=0)
    ax.set_xlabel(across, fontsize=9)
    ax.set_ylabel(down, fontsize=9)


@in_style
def recovery(
    accuracies: Mapping[str, float],
    margins: Mapping[str, float],
    dense: float,
    title: str = "",
) -> Axes:
    """A bar with its 95 % interval for each network, and a dashed line for dense."""
    ax = new_figure(title, 7.5, 0.45 * len(accuracies) + 1.4).subplots()
    names, values = list(accuracies), list(accuracies.values())
    places = range(len(names))
    error = [margins[name] for name in names]
    ax.barh(places, values, color=REMOVED, edgecolor=KEPT)
    ax.errorbar(values, places, xerr=error, fmt="none", color=KEPT)
    for place, value, margin in zip(places, values, error, strict=True):
        inside = value > 0.8 * dense
        where = (value - 2, place) if inside else (value + margin + 1, place)
        ha = "right" if inside else "left"
        ax.annotate(f"{value:.1f}", where, va="center", ha=ha)
    ax.axvline(dense, **REFERENCE)
    ax.annotate("dense ", (dense, -0.55), ha="right", va="bottom", **NOTE)
    ax.set_yticks(places, names)
    ax.set(xlim=(0, 100), ylim=(len(names) - 0.4, -0.8), xlabel=ACCURACY)
    told = [f"{name} {accuracies[name]:.1f} ± {margins[name]:.1f} %" for name in names]
    describe(ax, f"Bars: {'; '.join(told)}. The dense network reaches {dense:.1f} %.")
    return ax


@in_style
def cut_curves(
    ratios: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    dense: float,
    chance: float,
    title: str = "",
    guess: float | None = None,
) -> Figure:
    """Accuracy by prune ratio, a panel for each treatment of the pruned networks.

    panels   title of a panel -> name of an order -> for each run its accuracies, in
             the order of the ratios; several runs are drawn as mean and range
    guess    a predicted accuracy, drawn in every panel
    """
    figure = new_figure(title, 3.6 * len(panels) + 1.6, 3.8)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    told = []
    for ax, (panel, curves) in zip(axes, panels.items(), strict=True):
        for name, runs in curves.items():
            label = name if len(runs) == 1 else f"{len(runs)} {name}, mean and range"
            mean_and_range(ax, ratios, zip(*runs, strict=True), label=label)
            told.append(f"{panel}, {label}: {_run_of_means(runs)}")
        ax.axhline(dense, **REFERENCE)
        ax.axhline(chance, **LIMIT)
        ax.set(xlabel="prune ratio (share of channels removed)", title=panel)
        ax.set(ylim=(0, 102), xticks=ratios)
        guessed(ax, guess)
    right = axes[-1].get_yaxis_transform()
    for height, text in ((dense, " dense"), (chance, " guessing")):
        axes[-1].annotate(text, (1, height), xycoords=right, va="center", **NOTE)
    axes[0].set_ylabel(ACCURACY)
    axes[0].legend(loc="lower left", bbox_to_anchor=(0, 0.08))
    levels = ", ".join(f"{ratio:g}" for ratio in ratios)
    describe(
        figure,
        f"Accuracy on val in % at the prune ratios {levels}; dense {dense:.1f}. "
        f"{'; '.join(told)}.",
    )
    return figure


def _run_of_means(runs: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{np.mean(values):.0f}" for values in zip(*runs, strict=True))


@in_style
def soft_labels(
    image,
    shares: Mapping[str, Sequence[float]],
    classes: Sequence[str],
    title: str = "",
) -> Figure:
    """An image beside the shares that a teacher gives to each class.

    image    (channels, height, width), any range of values
    shares   name of a panel (a temperature) -> one share for each class
    """
    figure = new_figure(title, 2.4 + 2.7 * len(shares), 3.2)
    widths = [2, *(2.7 for _ in shares)]
    first, *axes = figure.subplots(1, 1 + len(shares), width_ratios=widths)
    first.imshow(pixels(np.asarray(image)), cmap="gray")
    first.axis("off")
    told = []
    for ax, (name, values) in zip(axes, shares.items(), strict=True):
        percent = 100 * np.asarray(values)
        ax.barh(range(len(percent)), percent, color=KEPT)
        for place, value in enumerate(percent):
            ax.annotate(f" {value:.0f}", (value, place), va="center", fontsize=8)
        ax.set(xlim=(0, 118), ylim=(len(percent) - 0.4, -0.6), title=name)
        ax.set(xlabel="share, %", yticks=range(len(percent)))
        ax.set_yticklabels(classes if ax is axes[0] else [], fontsize=8)
        best = np.argsort(percent)[::-1][:3]
        top = ", ".join(f"{classes[c]} {percent[c]:.0f} %" for c in best)
        told.append(f"{name}: {top}")
    describe(figure, f"One image and the teacher's shares. {'; '.join(told)}.")
    return figure


@in_style
def what_did_it(
    stages: Sequence[str],
    accuracies: Mapping[str, Sequence[float]],
    differences: Mapping[str, tuple[float, float]],
    dense: float,
    title: str = "",
) -> Figure:
    """Networks at several stages, and how far the last stage is from the best recipe.

    accuracies    name -> its accuracy at each stage
    differences   recipe -> paired difference to the first network's last stage, and
                  half the 95 % interval, in percentage points
    """
    figure = new_figure(title, 9.5, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    for name, values in accuracies.items():
        left.plot(range(len(stages)), values, label=name)
    left.axhline(dense, **REFERENCE)
    left.annotate("dense", (-0.25, dense + 1), **NOTE)
    left.set_xticks(range(len(stages)), stages)
    left.set(ylim=(0, 105), xlim=(-0.3, len(stages) - 0.7), ylabel=ACCURACY)
    left.legend(loc="lower right")
    names = list(differences)
    for place, name in enumerate(names):
        value, spread = differences[name]
        right.errorbar(value, place, xerr=spread, fmt="o", color=KEPT, capsize=3)
        right.annotate(
            f"{number(value, '+.2f')} ± {spread:.2f}",
            (value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    right.axvline(0, **REFERENCE)
    right.set_yticks(range(len(names)), names)
    right.set(ylim=(len(names) - 0.5, -0.7), xlabel="difference, percentage points")
    first = next(iter(accuracies))
    right.set_title(f"after training, against {first}", fontsize=9)
    rows = [
        f"{name}: {', '.join(f'{v:.1f}' for v in values)}"
        for name, values in accuracies.items()
    ]
    told = [f"{name} {d:+.2f} ± {m:.2f}" for name, (d, m) in differences.items()]
    describe(
        figure,
        f"Accuracy on val in % {', '.join(s.replace(chr(10), ' ') for s in stages)}. "
        f"{'; '.join(rows)}; dense {dense:.1f}. After training, against {first}, in "
        f"percentage points: {'; '.join(told)}.",
    )
    return figure
