"""Figures of masks, drawn from plain data."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from test_plots import legend, titles

from labcore import plots
from labcore.plots.style import KEPT, MARKED, REMOVED

VALUES = torch.tensor([[0.1, -0.5, 0.3], [-0.2, 0.4, 0.6]])
MASK = VALUES.abs() > 0.25


pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def colours(ax) -> list[str]:
    """Of the cells, row by row."""
    return [to_hex(cell.get_facecolor()) for cell in ax.patches]


def by_mask(mask, kept=KEPT, removed=REMOVED) -> list[str]:
    return [kept if keep else removed for keep in np.asarray(mask).ravel()]


def test_two_masks_are_drawn_with_the_values_and_what_differs():
    yours = MASK.clone()
    yours[0, 0] = True
    figure = plots.compare_masks(VALUES, MASK, yours)
    left, middle, right = figure.axes
    assert titles(figure) == ["expected", "yours", "difference: 1 of 6"]
    assert colours(left) == by_mask(MASK)
    assert colours(middle) == by_mask(yours)
    assert colours(right) == by_mask(MASK == yours, kept="#ffffff", removed=MARKED)
    assert [text.get_text() for text in left.texts[:2]] == ["0.10", "\u22120.50"]
    bold = [text.get_text() for text in right.texts if text.get_weight() == "bold"]
    assert bold == ["0.10"], "a difference is marked by more than its colour"


def test_a_wide_matrix_is_drawn_wide():
    figure = plots.compare_masks(VALUES, MASK, MASK)
    for ax in figure.axes:
        assert (ax.get_xlim(), ax.get_ylim()) == ((0, 3), (2, 0)), "row 0 on top"


def test_magnitudes_stand_in_order_and_removed_ones_are_light():
    figure = plots.mask_by_rank(VALUES, MASK)
    cells, bars = figure.axes
    assert cells.get_title() == "2 of 6 removed"
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert colours(bars) == [REMOVED] * 2 + [KEPT] * 4


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


def test_an_order_is_a_curve_and_several_draws_are_a_band():
    curves = {
        "smallest first": [[90, 80, 70]],
        "random": [[90, 40, 10], [90, 20, 10], [90, 30, 10]],
    }
    ax = plots.order_curves([0, 0.5, 0.9], curves, dense=90, chance=10)
    smallest, random = ax.lines[:2]
    assert list(smallest.get_ydata()) == [90, 80, 70]
    assert list(random.get_ydata()) == [90, 30, 10]
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10, 90) and {20, 40} <= set(band)
    assert legend(ax) == ["smallest first", "random (3 draws, range)"]
    assert {line.get_ydata()[0] for line in ax.lines[2:]} == {90, 10}
    assert ax.get_ylim() == (0, 102), "the whole range"


def test_zeros_are_drawn_by_step_in_percent():
    ax = plots.zero_curves({"held": [1, 1, 1], "not held": [1, 0.01, 0]})
    held, free = ax.lines
    assert list(held.get_xdata()) == [0, 1, 2]
    assert list(free.get_ydata()) == pytest.approx([100, 1, 0])
