"""The picture in the README: the map of the course, one result, a check's message.

`make picture` draws docs/course.png and puts its alt text into README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...checks import lab01
from ...files import write_bytes
from ...nets import layers
from ...plots.alt import alt_text, describe
from ...plots.style import (
    ACCURACY,
    GREY,
    KEPT,
    NOTE,
    REFERENCE,
    REMOVED,
    box,
    in_style,
    new_figure,
)
from ...student.notebooks import NUMBERED, read_notebook
from ...tracks import Workbench, workbench

__all__ = ["Header", "draw", "headers"]

ROOT = Path(__file__).parents[3]
PICTURE = "docs/course.png"
SHARES = (0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
HEADER = re.compile(r"About (?P<minutes>\d+) minutes.*?Needs: (?P<needs>[^.]*)\.")


@dataclass(frozen=True)
class Header:
    """What the first cell of a lab says about it."""

    title: str
    minutes: int
    needs: tuple[str, ...]  # the labs' numbers
    elective: bool


def headers(solutions: Path) -> dict[str, Header]:
    """The header of each lab, by its number."""
    found = {}
    for path in sorted(solutions.glob(NUMBERED)):
        text = read_notebook(path).cells[0].source
        said = HEADER.search(text)
        title = re.match(r"# Lab \d\d: (.*)", text)[1]
        needs = tuple(re.findall(r"\d\d", said["needs"]))
        elective = "elective" in text.lower()
        found[path.name[:2]] = Header(title, int(said["minutes"]), needs, elective)
    return found


@in_style
def draw(labs: Mapping[str, Header], curve: Mapping[float, float], said: str) -> Figure:
    """labs: their headers; curve: share removed -> accuracy; said: a check's message"""
    figure = new_figure("", 12, 5.4)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    left.suptitle("the labs, and what each one needs")
    _map(left.subplots(), labs)
    above, below = right.subfigures(2, 1, height_ratios=(1.35, 1))
    above.suptitle("a trained network without its smallest weights, not retrained")
    _result(above.subplots(), curve)
    below.suptitle("what a check says to a wrong answer")
    ax = below.subplots()
    ax.axis("off")
    ax.text(0, 0.98, said, va="top", family="monospace", fontsize=8.5)
    electives = [number for number in labs if labs[number].elective]
    describe(
        figure,
        f"A map of {len(labs)} labs, {', '.join(labs)}, of which {', '.join(electives)}"
        " are electives. "
        f"A curve of accuracy against the share of weights removed: "
        f"{curve[0]:.0f} % with all weights, {curve[0.5]:.0f} % without half of them, "
        f"{curve[0.9]:.0f} % without nine tenths. "
        f"A check's message: {' '.join(said.split())}.",
    )
    return figure


def _map(ax: Axes, labs: Mapping[str, Header]) -> None:
    """Required labs in the left column, each elective beside the last lab it needs."""
    places: dict[str, tuple[float, float]] = {}
    taken: set[float] = set()
    required = [number for number, lab in labs.items() if not lab.elective]
    for number, lab in labs.items():
        row = _row(lab, places, taken) if lab.elective else required.index(number)
        taken |= {row} if lab.elective else set()
        places[number] = (1.35 if lab.elective else 0, -row)
    for number, lab in labs.items():
        x, y = places[number]
        colour = REMOVED if lab.elective else KEPT
        box(ax, (x, y - 0.35), (1.1, 0.7), colour, f"{number} {lab.title}", fontsize=9)
        if lab.elective:
            _arrow(ax, places[max(lab.needs)], (x, y))
    bottom = min(y for _, y in places.values())
    ax.set(xlim=(-0.05, 2.5), ylim=(bottom - 0.6, 0.9))
    ax.text(0.55, 0.5, "required, in this order", ha="center", **NOTE)
    ax.text(1.9, 0.5, "electives", ha="center", **NOTE)
    ax.axis("off")


def _arrow(ax: Axes, needed: tuple[float, float], lab: tuple[float, float]) -> None:
    """From a required lab to the right; from an elective above it downwards."""
    (from_x, from_y), (x, y) = needed, lab
    start, end = (from_x + 1.1, from_y), (x, y)
    if from_x == x:
        start, end = (x + 0.55, from_y - 0.35), (x + 0.55, y + 0.35)
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GREY})


def _row(lab: Header, places: Mapping, taken: set[float]) -> float:
    """The first free row from that of the last lab that it needs."""
    row = -places[max(lab.needs)][1]
    while row in taken:
        row += 1
    return row


def _result(ax: Axes, curve: Mapping[float, float]) -> None:
    shares = [100 * share for share in curve]
    ax.plot(shares, list(curve.values()))
    ax.axhline(curve[0], **REFERENCE)
    ax.annotate("dense", (100, curve[0]), va="bottom", ha="right", **NOTE)
    ax.set(xlabel="weights removed, %", ylabel=ACCURACY, xlim=(0, 100), ylim=(0, 102))


def measured(bench: Workbench) -> dict[float, float]:
    """Accuracy on val by the share removed: the smallest weights of all layers."""
    found = {}
    for share in SHARES:
        model = bench.dense()
        weights = [layer.weight.detach() for layer in layers(model).values()]
        magnitudes = torch.cat([weight.abs().flatten() for weight in weights]).sort()[0]
        threshold = magnitudes[round(share * len(magnitudes))]
        for weight in weights:
            weight[weight.abs() < threshold] = 0
        found[share] = bench.accuracy(model)
    return found


def message() -> str:
    """What the check of the first real exercise says to a percentage."""
    exercise = lab01.EXERCISES["get_sparsity"]

    def answer(tensor):
        return 100 * (tensor == 0).sum().item() / tensor.numel()

    return exercise.run(answer, seed=0).message


def main() -> None:
    figure = draw(headers(ROOT / "solutions"), measured(workbench()), message())
    figure.savefig(ROOT / PICTURE, dpi=100)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    alt = alt_text(figure).replace("[", "(").replace("]", ")")
    image = re.compile(rf"!\[[^\]]*\]\({PICTURE}\)")
    write_bytes(readme, image.sub(lambda _: f"![{alt}]({PICTURE})", text).encode())


if __name__ == "__main__":
    main()
