"""The picture in the README: the map of the course, one result, a check's message.

`make picture` draws docs/course.png and puts its alt text into README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...checks import lab01
from ...chip import BOARD, IMAGINARY, build, candidates, export
from ...files import write_bytes
from ...plots.alt import alt_text, describe
from ...plots.style import (
    GREY,
    KEPT,
    MARKED,
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
SMALL = "compact, 80 % zeros"  # of the networks that ship with Lab 11
LIMITS = {"flash": BOARD.flash / 1024, "RAM": BOARD.ram / 1024}  # in KiB
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


@dataclass(frozen=True)
class Result:
    """What one network needs on the chip, in KiB, and its accuracy on val."""

    name: str
    needs: Mapping[str, float]  # flash, RAM
    accuracy: float


@in_style
def draw(labs: Mapping[str, Header], results: Sequence[Result], said: str) -> Figure:
    """labs: their headers; said: a check's message"""
    figure = new_figure("", 12, 5.4)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    left.suptitle("the labs, and what each one needs")
    _map(left.subplots(), labs)
    above, below = right.subfigures(2, 1, height_ratios=(1.35, 1))
    above.suptitle("from a trained network to one that a microcontroller holds")
    for ax, memory in zip(above.subplots(1, 2, sharey=True), LIMITS, strict=True):
        _memory(ax, memory, results)
    below.suptitle("what a check says to a wrong answer")
    ax = below.subplots()
    ax.axis("off")
    ax.text(0, 0.98, said, va="top", family="monospace", fontsize=8.5)
    electives = [number for number in labs if labs[number].elective]
    describe(
        figure,
        f"A map of {len(labs)} labs, {', '.join(labs)}, of which {', '.join(electives)}"
        " are electives. "
        f"{' '.join(map(_sentence, results))} "
        f"The chip has {LIMITS['flash']:.0f} KiB of flash and "
        f"{LIMITS['RAM']:.0f} of RAM. "
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


def _memory(ax: Axes, memory: str, results: Sequence[Result]) -> None:
    """A bar for each network, and a line for what the chip has."""
    names = [f"{each.name}\n{each.accuracy:.1f} % right" for each in results]
    sizes, limit = [each.needs[memory] for each in results], LIMITS[memory]
    colours = [KEPT if size <= limit else REMOVED for size in sizes]
    ax.barh(names, sizes, 0.55, color=colours)
    for row, size in enumerate(sizes):  # beside the bar, and beside the line
        ax.text(max(size, limit), row, f" {size:,.0f}", va="center", fontsize=9)
    ax.axvline(limit, **REFERENCE | {"color": MARKED})
    ax.text(limit, -0.5, f" the chip: {limit:.0f}", **NOTE | {"color": MARKED})
    ax.set(xlabel=f"{memory}, KiB", xlim=(0, 1.2 * max(sizes)), ylim=(1.5, -0.7))


def _sentence(result: Result) -> str:
    flash, ram = result.needs["flash"], result.needs["RAM"]
    return (
        f"The {result.name} network is right for {result.accuracy:.1f} % of the "
        f"images and needs {flash:,.0f} KiB of flash and {ram:,.0f} of RAM."
    )


def measured(bench: Workbench) -> list[Result]:
    """The trained network as it is, and the small one of Lab 11."""
    networks = {
        "dense": (bench.dense(), "float32"),
        "pruned": (candidates()[SMALL], "sparse"),
    }
    found = []
    for name, (network, storage) in networks.items():
        firmware = build(export(network, storage), IMAGINARY)
        needs = {"flash": len(firmware.flash) / 1024, "RAM": firmware.ram / 1024}
        found.append(Result(name, needs, bench.accuracy(network)))
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
