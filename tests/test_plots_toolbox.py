"""Figures of the toolbox, drawn from plain data."""

import pytest
from matplotlib.colors import to_hex
from test_plots import titles

from labcore import plots
from labcore.plots.style import GREY, LIT

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

DENSE = {"parameters": ["weight", "bias"], "buffers": [], "hooks": []}
PRUNED = {
    "parameters": ["weight_orig", "bias"],
    "buffers": ["weight_mask"],
    "hooks": ["L1Unstructured"],
}


def filled(ax) -> list[str]:
    """The members that are filled; they are the bold ones."""
    members = [text for text in ax.texts if text.get_color() != GREY]
    new = [to_hex(frame.get_facecolor()) == LIT for frame in ax.patches]
    assert [text.get_weight() == "bold" for text in members] == new, "readable in grey"
    return [t.get_text() for t, on in zip(members, new, strict=True) if on]


def test_what_a_stage_adds_to_a_module_is_filled():
    stages = {"before": DENSE, "after prune": PRUNED, "after remove": DENSE}
    figure = plots.module_parts(stages)
    before, after, removed = figure.axes
    assert titles(figure) == list(stages)
    assert filled(before) == [], "nothing came before"
    assert filled(after) == ["weight_orig", "weight_mask", "L1Unstructured"]
    assert filled(removed) == ["weight"]


def test_a_part_stands_at_the_same_height_in_every_panel():
    figure = plots.module_parts({"before": DENSE, "after": PRUNED})
    heights = [
        {t.get_text(): t.xy[1] for t in ax.texts if t.get_color() == GREY}
        for ax in figure.axes
    ]
    assert heights[0] == heights[1] and list(heights[0]) == list(DENSE)


def test_shares_are_drawn_in_percent_with_the_last_one_written_out():
    curves = {"planned": [0.5, 0.75, 0.98], "reached": [0.5, 0.625, 0.702]}
    ax = plots.round_curves(curves, "epoch", "sparsity", first=3)
    assert [list(line.get_xdata()) for line in ax.lines] == [[3, 4, 5]] * 2
    assert list(ax.lines[0].get_ydata()) == [50, 75, 98]
    assert [text.get_text().strip() for text in ax.texts] == ["98.0 %", "70.2 %"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "sparsity, %")


def test_long_curves_have_few_markers():
    ax = plots.round_curves({"all": [0.5] * 99}, "epoch", "sparsity")
    assert ax.lines[0].get_markevery() == 8
