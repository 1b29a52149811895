"""Figures of the toolbox, drawn from plain data."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from test_plots import titles

from labcore import plots
from labcore.plots.style import GREY, KEPT, LIT

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


def test_a_guess_is_drawn_as_a_line_and_none_draws_nothing():
    curves = {"removed": [0.5, 0.702]}
    assert len(plots.round_curves(curves, "epoch", "sparsity").lines) == 1
    ax = plots.round_curves(curves, "epoch", "sparsity", guess=60)
    assert list(ax.lines[1].get_ydata()) == [60, 60]


def masks():
    """Two filters of four 1x2 kernels; the second filter keeps its first kernel."""
    mask = np.ones((2, 4, 1, 2))
    mask[1, 1:] = 0
    return mask


def test_each_weight_of_a_filter_is_a_square_and_the_kept_ones_are_dark():
    (ax,) = plots.filter_masks({"mine": masks()}, columns=1).axes
    dark = [to_hex(each.get_facecolor()) == KEPT for each in ax.patches]
    assert len(dark) == 16 and sum(dark) == 10
    said = [text.get_text() for text in ax.texts]
    assert said == [*(f"input {i}" for i in range(4)), "filter 0", "filter 1"]


def test_kernels_do_not_touch():
    (ax,) = plots.filter_masks({"mine": masks()}, columns=1).axes
    starts = sorted({each.get_x() for each in ax.patches})
    assert starts == [0, 1, 3, 4, 6, 7, 9, 10], "a gap after every two"


def test_counts_say_how_many_channels_are_kept_at_each_position():
    figure = plots.filter_masks({"mine": masks()}, columns=1, counts=True)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[-5:] == ["channels kept", "4", "4", "1", "1"]
    assert "of 16 weights the filters keep 8, 2" in figure.description
    assert "at each position 1 to 4 channels are kept" in figure.description
