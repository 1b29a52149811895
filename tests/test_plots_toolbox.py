"""Figures of the toolbox, drawn from plain data; the slider of Lab 06, moved here."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex

from labcore import plots
from labcore.plots.toolbox import NEW

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

DENSE = {"parameters": ["weight", "bias"], "buffers": [], "hooks": []}
PRUNED = {
    "parameters": ["weight_orig", "bias"],
    "buffers": ["weight_mask"],
    "hooks": ["L1Unstructured"],
}


def filled(ax) -> list[str]:
    """The members that are filled; they are the bold ones."""
    members = [text for text in ax.texts if text.get_color() != "grey"]
    new = [to_hex(frame.get_facecolor()) == NEW for frame in ax.patches]
    assert [text.get_weight() == "bold" for text in members] == new, "readable in grey"
    return [t.get_text() for t, on in zip(members, new, strict=True) if on]


def test_what_a_stage_adds_to_a_module_is_filled():
    stages = {"before": DENSE, "after prune": PRUNED, "after remove": DENSE}
    figure = plots.module_parts(stages, "A layer")
    before, after, removed = figure.axes
    assert figure.get_suptitle() == "A layer"
    assert [ax.get_title() for ax in figure.axes] == list(stages)
    assert filled(before) == [], "nothing came before"
    assert filled(after) == ["weight_orig", "weight_mask", "L1Unstructured"]
    assert filled(removed) == ["weight"]


def test_a_part_stands_at_the_same_height_in_every_panel():
    figure = plots.module_parts({"before": DENSE, "after": PRUNED})
    heights = [
        {t.get_text(): t.xy[1] for t in ax.texts if t.get_color() == "grey"}
        for ax in figure.axes
    ]
    assert heights[0] == heights[1] and list(heights[0]) == list(DENSE)


def test_shares_are_drawn_in_percent_with_the_last_one_written_out():
    curves = {"planned": [0.5, 0.75, 0.98], "reached": [0.5, 0.625, 0.702]}
    ax = plots.round_curves(curves, "epoch", "sparsity", "Two curves", first=3)
    assert [list(line.get_xdata()) for line in ax.lines] == [[3, 4, 5]] * 2
    assert list(ax.lines[0].get_ydata()) == [50, 75, 98]
    assert [text.get_text().strip() for text in ax.texts] == ["98.0 %", "70.2 %"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "sparsity, %")
    styles = {(line.get_marker(), line.get_linestyle()) for line in ax.lines}
    assert len(styles) == 2, "differs without colour too"


def test_long_curves_have_few_markers():
    ax = plots.round_curves({"all": [0.5] * 99}, "epoch", "sparsity")
    assert ax.lines[0].get_markevery() == 8


def test_the_slider_draws_the_rounds_of_its_amount():
    drawn = []

    def look(amount: float, exact: bool):
        drawn.append(round(amount, 2))
        shares = [1 - (1 - amount) ** done for done in range(9)]
        return plots.round_curves({"gone": shares}, "round", "removed").figure

    slider, picture = plots.explore(
        look, name="amount", start=0.05, stop=0.95, step=0.05, value=0.2
    ).children
    first = bytes(picture.value)
    slider.value = 0.5
    assert drawn == [0.2, 0.5]
    assert bytes(picture.value) != first
    assert plt.get_fignums() == []
