"""Figures of a language model: bits a byte by method, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labcore.plots.alt import describe
from labcore.plots.style import (
    KEPT,
    NOTE,
    REFERENCE,
    REMOVED,
    guessed,
    in_style,
    new_figure,
    styles_of,
)

__all__ = ["bit_bars", "bit_curves", "bit_table", "completions"]

BITS = "bits a byte"
WIDTH = 72  # characters of a line that a model wrote


@in_style
def bit_bars(
    bits: Mapping[str, float],
    dense: float | None = None,
    title: str = "",
    guess: float | None = None,
) -> Axes:
    """Bits a byte of each name as a bar, the first on top."""
    ax = new_figure(title, 7, 0.9 + 0.4 * len(bits)).subplots()
    places = range(len(bits))
    bars = ax.barh(places, list(bits.values()), height=0.62, color=KEPT)
    ax.bar_label(bars, fmt="%.2f", padding=4, fontsize=9)
    ax.set_yticks(places, list(bits))
    ax.set(ylim=(len(bits) - 0.5, -0.9), xlabel=BITS)
    ax.set_xlim(0, 1.12 * max([*bits.values(), guess or 0]))
    if dense is not None:
        ax.axvline(dense, **REFERENCE)
        at = ax.get_xaxis_transform()
        ax.annotate("dense", (dense, 1), ha="center", va="bottom", xycoords=at, **NOTE)
    guessed(ax, guess, "x")
    parts = [f"{name} {value:.2f}" for name, value in bits.items()]
    against = "" if dense is None else f", against {dense:.2f} of the dense model"
    describe(ax, f"Bits a byte{against}: {', '.join(parts)}.")
    return ax


@in_style
def bit_curves(
    sparsities: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    dense: float,
    title: str = "",
) -> Axes:
    """Bits a byte of each method by sparsity, up to four."""
    ax = new_figure(title, 7, 3.9).subplots()
    ax.axhline(dense, **REFERENCE)
    ax.annotate("dense", (sparsities[0], dense), (0, -11), **NOTE | _POINTS)
    for name, values in curves.items():
        ax.plot(sparsities, values, label=name)
    highest = max(max(values) for values in curves.values())
    top = min(4, 1.05 * highest)
    ax.set(xlabel="sparsity", ylabel=BITS, ylim=(dense - 0.15, top))
    ax.set_xticks(sparsities)
    ax.legend()
    described = []
    for name, values in curves.items():
        points = zip(sparsities, values, strict=True)
        told = ", ".join(f"{value:.2f} at {share:g}" for share, value in points)
        described.append(f"{name} {told}")
    describe(
        ax,
        f"Bits a byte by sparsity; the dense model needs {dense:.2f}. "
        f"{'; '.join(described)}.",
    )
    return ax


_POINTS = {"textcoords": "offset points"}


@in_style
def bit_table(
    table: Mapping[str, Mapping[str, float]], dense: float, title: str = ""
) -> Axes:
    """Bits a byte of every score (a marker) in every comparison group (a row)."""
    scores = list(next(iter(table.values())))
    ax = new_figure(title, 7, 0.62 * len(table) + 1.6).subplots()
    ax.axvline(dense, label="dense", **REFERENCE)
    for row, of_score in enumerate(table.values()):
        ax.axhspan(row - 0.45, row + 0.45, color=REMOVED, alpha=0.25, lw=0)
        for score, style in styles_of(scores).items():
            label = score if row == 0 else None
            alone = style | {"linestyle": "none"}
            ax.plot(of_score[score], row, label=label, markersize=7, **alone)
    ax.set_yticks(range(len(table)), list(table))
    ax.set(ylim=(len(table) - 0.4, -0.6), xlabel=BITS)
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    rows = [
        f"{name}: " + ", ".join(f"{score} {value:.2f}" for score, value in row.items())
        for name, row in table.items()
    ]
    describe(ax, f"Bits a byte, {dense:.2f} for the dense model. {'; '.join(rows)}.")
    return ax


@in_style
def completions(prompt: str, written: Mapping[str, str], title: str = "") -> Figure:
    """What each model writes after the prompt, side by side in panels."""
    texts = {name: _folded(prompt + text) for name, text in written.items()}
    lines = max(text.count("\n") for text in texts.values()) + 1
    rows = -(-len(texts) // 2)
    figure = new_figure(title, 9.6, rows * (0.15 * lines + 0.4) + 0.4)
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, (name, text) in zip(axes, texts.items(), strict=False):
        ax.set_title(name, loc="left")
        style = {"family": "monospace", "fontsize": 8.5, "va": "top"}
        ax.text(0, 1, text.replace("$", r"\$"), transform=ax.transAxes, **style)
    parts = [
        f"{name} writes: {' '.join(text.split())}" for name, text in written.items()
    ]
    describe(figure, f"After the prompt {prompt!r}, {'; '.join(parts)}.")
    return figure


def _folded(text: str) -> str:
    """Lines that are too long go on below; what cannot be shown becomes a box."""
    shown = [c if c.isprintable() or c == "\n" else "\N{WHITE SQUARE}" for c in text]
    folded = []
    for line in "".join(shown).split("\n"):
        starts = range(0, max(len(line), 1), WIDTH)
        folded += [line[start : start + WIDTH] for start in starts]
    return "\n".join(folded)
