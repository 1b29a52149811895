"""Figures of sizes: bytes for each storage format, and the accuracy at each size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    ACCURACY,
    LIMIT,
    NOTE,
    REFERENCE,
    in_style,
    log_scale,
    new_figure,
    styles_of,
)

__all__ = ["pareto", "size_curves"]


@in_style
def size_curves(
    sparsities: Sequence[float],
    sizes: Mapping[str, Sequence[float]],
    limit: float,
    dense: float,
    title: str = "",
) -> Figure:
    """KiB by sparsity for several ways to store a network, and the device's limit.

    On the left the whole range; on the right what happens near the limit.
    """
    figure = new_figure(title, 9.6, 3.9)
    whole, near = figure.subplots(1, 2)
    for ax in (whole, near):
        for name, values in sizes.items():
            ax.plot(sparsities, values, label=name)
        ax.axhline(limit, **LIMIT)
        ax.set(xlabel="sparsity", ylabel="size, KiB")
    whole.axhline(dense, **REFERENCE)
    highest = max(max(values) for values in sizes.values())
    whole.set_ylim(0, 1.05 * highest)
    whole.annotate("dense", (max(sparsities), dense), va="bottom", ha="right", **NOTE)
    whole.set_title("the whole range")
    whole.legend()
    close = max(s for s in sparsities if s < 0.85) if min(sparsities) < 0.85 else 0
    near.set(xlim=(close, 1), ylim=(0, 3 * limit), title=f"near {limit:g} KiB")
    near.locator_params(axis="x", nbins=5)
    corner = (1, limit)
    near.annotate(f"{limit:g} KiB", corner, ha="right", va="bottom", **NOTE)
    describe(figure, _said_of_sizes(sparsities, sizes, limit, dense))
    return figure


def _said_of_sizes(sparsities, sizes, limit: float, dense: float) -> str:
    parts = []
    for name, values in sizes.items():
        fits = [s for s, size in zip(sparsities, values, strict=True) if size <= limit]
        where = f"from sparsity {min(fits):g} on" if fits else "at none of them"
        parts.append(f"by {name} at most {limit:g} KiB {where}")
    return (
        f"Size in KiB against sparsity for {len(sizes)} ways to store a network of "
        f"{dense:,.0f} KiB: {', '.join(parts)}."
    )


Point = tuple[float, float]  # (KiB, accuracy)


@in_style
def pareto(
    stages: Mapping[str, Mapping[str, Sequence[Point]]],
    dense: Point,
    limit: float,
    title: str = "",
) -> Axes:
    """Accuracy by size, with the front of each stage as a staircase.

    stages   up to two, for example before and after training: name -> method -> points
    """
    ax = new_figure(title, 8.2, 4.3).subplots()
    styles = styles_of(dict.fromkeys(m for each in stages.values() for m in each))
    unnamed, said = set(styles), []
    for stage, methods in stages.items():
        first = not said
        for method, points in methods.items():
            style = styles[method] | {"linestyle": "", "markersize": 7}
            style["markerfacecolor"] = "white" if first else styles[method]["color"]
            label = method if method in unnamed else "_"
            unnamed.discard(method)
            ax.plot(*zip(*points, strict=True), **style, label=label)
        best = _front([dense, *(p for points in methods.values() for p in points)])
        line = REFERENCE | {"linestyle": "--" if first else "-", "zorder": 0}
        label = f"front {stage} ({'hollow' if first else 'filled'})"
        ax.step(*zip(*best, strict=True), where="post", **line, label=label)
        steps = [f"{a:.1f} % at {k:,.0f} KiB" for k, a in best]
        said.append(f"The front {stage}: {', '.join(steps)}")
    ax.plot(*dense, "*", color="black", markersize=11)
    ax.annotate("dense", dense, (0, -16), textcoords="offset points", ha="center")
    ax.axvline(limit, **LIMIT)
    ax.annotate(f" {limit:g} KiB", (limit, 2), **NOTE)
    log_scale(ax, "x", base=2)
    ax.set(xlabel="size by the formula, KiB", ylabel=ACCURACY, ylim=(0, 102))
    ax.legend(loc="lower right")
    describe(ax, f"Accuracy against size. {'. '.join(said)}.")
    return ax


def _front(points: Sequence[Point]) -> list[Point]:
    """The points that no smaller or equal one reaches or exceeds, by size."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each[0], -each[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best
