"""Figures of a plan: what each layer tolerates and keeps, and what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    KEPT,
    MARKED,
    NOTE,
    REFERENCE,
    REMOVED,
    guessed,
    in_style,
    new_figure,
    number,
    panel_grid,
    short_name,
    two_digits,
)

__all__ = ["layer_curves", "plan_picture", "prediction_errors"]

Curves = Mapping[str, Mapping[float, float]]  # layer -> sparsity -> accuracy
Intervals = Mapping[str, Mapping[float, tuple[float, float]]]


@in_style
def layer_curves(
    accuracy: Curves,
    interval: Intervals,
    dense: float,
    shares: Mapping[str, float],
    title: str = "",
    guess: float | None = None,
) -> Figure:
    """A panel for each layer: the accuracy as this layer alone loses its weights.

    interval   the 95 % interval of each accuracy, drawn as a band
    shares     each layer's share of all weights, from 0 to 1
    guess      an accuracy predicted for the first layer
    """
    columns = min(3, len(accuracy))
    rows = -(-len(accuracy) // columns)
    figure = new_figure(title, 1 + 2.9 * columns, 0.8 + 1.9 * rows)
    panels = panel_grid(figure, len(accuracy), columns, sharex=True, sharey=True)
    lowest = min(low for row in interval.values() for low, _ in row.values())
    for name, ax in zip(accuracy, panels, strict=True):
        levels, values = list(accuracy[name]), list(accuracy[name].values())
        low, high = zip(*interval[name].values(), strict=True)
        ax.axhline(dense, **REFERENCE)
        ax.fill_between(levels, low, high, color=MARKED, alpha=0.35, linewidth=0)
        ax.plot(levels, values, markersize=4)
        last = (levels[-1], values[-1])
        ax.annotate(f"{values[-1]:.1f}", last, (5, -9), textcoords="offset points")
        percent = two_digits(100 * shares[name])
        ax.set_title(f"{short_name(name)}: {percent} % of the weights", fontsize=9)
        ax.set(xlim=(0, 1.12), ylim=(max(0, lowest - 9), 100))
        ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        ax.tick_params(labelsize=8)
    panels[0].annotate(
        "dense", (0.02, dense), (0, 3), textcoords="offset points", **NOTE
    )
    guessed(panels[0], guess)
    figure.supxlabel("sparsity of this layer alone", fontsize=9)
    figure.supylabel(ACCURACY, fontsize=9)
    describe(figure, _said_of_curves(accuracy, dense))
    return figure


def _said_of_curves(accuracy: Curves, dense: float) -> str:
    ends = [
        f"{short_name(name)} {list(row.values())[-1]:.1f}"
        for name, row in accuracy.items()
    ]
    level = list(next(iter(accuracy.values())))[-1]
    return (
        f"One curve for each of {len(accuracy)} layers: accuracy against the sparsity "
        f"of this layer alone. The dense network reaches {dense:.1f} %; at sparsity "
        f"{level:g} the accuracy in percent is {', '.join(ends)}."
    )


@in_style
def plan_picture(
    kept: Mapping[str, float],
    dense: Mapping[str, float],
    limit: float,
    predicted: float,
    measured: float,
    interval: float,
) -> Figure:
    """A plan for all layers: the KiB it keeps; its accuracy, predicted and measured.

    kept, dense   layer -> KiB with and without pruning
    limit         KiB that all layers may take together
    interval      half of the 95 % interval of `measured`, in percentage points
    """
    figure = new_figure("", 10, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    names = [short_name(layer) for layer in dense]
    left.barh(names, list(dense.values()), color=REMOVED, label="removed")
    left.barh(names, list(kept.values()), color=KEPT, label="kept")
    left.invert_yaxis()
    total = sum(kept.values())
    verdict = "fits" if total <= limit else "too large"
    left.set_title(f"{total:,.0f} KiB of at most {limit:,.0f}: {verdict}")
    left.set_xlabel("size, KiB")
    left.legend()
    heights = [max(predicted, 0), measured]
    bars = right.bar(["predicted", "measured"], heights, width=0.6)
    for bar, colour, hatch in zip(bars, (REMOVED, KEPT), ("//", ""), strict=True):
        bar.set(facecolor=colour, hatch=hatch, edgecolor="white")
    right.errorbar(1, measured, interval, color=MARKED, capsize=4)
    right.bar_label(bars, [number(v, ".1f") for v in (predicted, measured)], padding=4)
    right.set(ylim=(0, 112), ylabel=ACCURACY)
    error = number(predicted - measured, "+.1f")
    right.set_title(f"prediction off by {error} points")
    describe(
        figure,
        f"The plan keeps {total:,.0f} KiB of at most {limit:,.0f}, so it is {verdict}. "
        f"Predicted accuracy {number(predicted, '.1f')} %, measured {measured:.1f} %, "
        f"give or take {interval:.1f} points.",
    )
    return figure


@in_style
def prediction_errors(
    sparsities: Sequence[float],
    predicted: Sequence[float],
    measured: Sequence[float],
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """The predicted and the measured accuracy where all layers have one sparsity.

    guess   an accuracy typed by the student
    """
    ax = new_figure(title, 6.4, 3.9).subplots()
    ax.plot(sparsities, predicted, label="predicted: dense minus all losses")
    ax.plot(sparsities, measured, label="measured")
    ax.axhline(0, color=REMOVED, linewidth=1, zorder=0)
    guessed(ax, guess)
    ax.set(xlabel="sparsity of every layer", ylabel=ACCURACY)
    ax.set_ylim(min(0, *predicted) - 8, 102)
    ax.legend(loc="lower left")
    pairs = [
        f"{number(p, '.1f')} and {m:.1f} at {s:g}"
        for s, p, m in zip(sparsities, predicted, measured, strict=True)
    ]
    describe(
        ax,
        "Two curves against the sparsity of every layer. Predicted and measured "
        f"accuracy in percent: {', '.join(pairs)}.",
    )
    return ax
