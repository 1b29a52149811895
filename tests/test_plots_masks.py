"""Figures of masks, drawn from plain data."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from test_plots import legend

from labcore import plots
from labcore.plots.style import KEPT, LIT, REMOVED

VALUES = torch.tensor([[0.1, -0.5, 0.3], [-0.2, 0.4, 0.6]])
MASK = VALUES.abs() > 0.25


pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def colours(ax) -> list[str]:
    """Of the cells, row by row."""
    return [to_hex(cell.get_facecolor()) for cell in ax.patches]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def by_mask(mask, kept=KEPT, removed=REMOVED) -> list[str]:
    return [kept if keep else removed for keep in np.asarray(mask).ravel()]


def test_a_matrix_is_drawn_with_its_values_row_0_on_top():
    cells, _ = plots.mask_by_rank(VALUES, MASK).axes
    assert colours(cells) == by_mask(MASK)
    assert texts(cells)[:2] == ["0.10", "\u22120.50"]
    assert (cells.get_xlim(), cells.get_ylim()) == ((0, 3), (2, 0))


def test_magnitudes_stand_in_order_and_removed_ones_are_light():
    figure = plots.mask_by_rank(VALUES, MASK)
    cells, bars = figure.axes
    assert cells.get_title() == "2 of 6 removed"
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert colours(bars) == [REMOVED] * 2 + [KEPT] * 4
    assert "magnitude 0.20, the smallest that stays has 0.30" in figure.description


@pytest.mark.parametrize("share", [0, 1])
def test_a_mask_of_one_kind_is_said_too(share):
    mask = torch.full(VALUES.shape, bool(share))
    said = plots.mask_by_rank(VALUES, mask).description
    assert said.startswith(f"{6 * (1 - share)} of 6 weights are removed")
    assert ("stays" in said) == bool(share)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_masks_of_layers_stand_side_by_side(count):
    panels = {f"method {i}": [MASK, torch.ones(2, 1).bool()] for i in range(count)}
    figure = plots.mask_grid(panels)
    drawn = [ax for ax in figure.axes if ax.patches]
    assert [ax.get_title() for ax in drawn] == list(panels)
    for ax in drawn:
        assert colours(ax) == by_mask(MASK) + [KEPT] * 2
        assert [cell.get_x() for cell in ax.patches][-2:] == [4, 4]
        assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > 5
        assert not any(texts(ax))
    assert "method 0: 67 %, 100 %" in figure.description


def test_each_mask_may_have_its_label_and_says_what_it_keeps():
    figure = plots.mask_grid({"a": [MASK, MASK]}, labels=["layer 1", "layer 2"])
    said = [text for text in texts(figure.axes[0]) if text]
    assert said == ["layer 1: 67 % kept", "layer 2: 67 % kept"]


def test_an_order_is_a_curve_and_several_draws_are_a_band():
    curves = {
        "smallest first": [{0: 90, 0.5: 80, 0.9: 70}],
        "random": [{0: 90, 0.5: 40, 0.9: y} for y in (10, 30, 20)],
    }
    ax = plots.order_curves(curves, dense=90, chance=10, xlabel="removed, %", guess=55)
    smallest, random = ax.lines[:2]
    assert list(smallest.get_xdata()) == pytest.approx([0, 50, 90])
    assert list(smallest.get_ydata()) == [90, 80, 70]
    assert list(random.get_ydata()) == [90, 40, 20]
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10, 90)
    assert legend(ax) == ["smallest first", "random, 3 draws"]
    assert {line.get_ydata()[0] for line in ax.lines[2:]} == {90, 10, 55}
    assert ax.get_ylim() == (0, 102), "the whole range"
    assert "random, 3 draws: 90 % at 0 %, 40 % at 50 %" in ax.figure.description


def test_runs_at_different_places_are_drawn_at_their_mean():
    runs = [{0: 90, 0.2: 50}, {0: 90, 0.4: 30}]
    ax = plots.order_curves({"a": runs}, dense=90, chance=10, xlabel="squares, %")
    assert list(ax.lines[0].get_xdata()) == pytest.approx([0, 30])
    assert list(ax.lines[0].get_ydata()) == [90, 40]


def test_zeros_are_drawn_by_step_in_percent():
    ax = plots.zero_curves({"held": [1, 1, 1], "not held": [1, 0.01, 0]}, guess=30)
    held, free, guess = ax.lines
    assert list(held.get_xdata()) == [0, 1, 2]
    assert list(free.get_ydata()) == pytest.approx([100, 1, 0])
    assert guess.get_ydata()[0] == 30
    assert "not held: 1.0 % after one step, 0.0 %" in ax.figure.description


def test_a_loop_is_a_row_of_boxes_and_the_marked_one_is_lit():
    figure = plots.loop_picture({"one": "f()", "two": "g()", "three": "h()"}, ["two"])
    (ax,) = figure.axes
    assert colours(ax) == ["#ffffff", LIT, "#ffffff"]
    assert texts(ax)[:2] == ["one", "f()"] and "next batch" in texts(ax)
    assert "3 steps" in figure.description and "Highlighted: two" in figure.description
