"""Figures of lottery tickets, drawn from plain data."""

import pytest
from test_plots import legend

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

LEFT = [51.4, 26.4, 3.9]
CURVES = {
    "ticket": [[82, 81, 80], [84, 83, 82], [83, 82, 81]],
    "other values": [[80, 78, 70], [81, 79, 75], [82, 77, 71]],
}


def drawn():
    return plots.curves_by_weights_left(LEFT, CURVES, [81, 83, 82], "accuracy, %")


def test_curves_are_means_with_the_range_of_the_seeds():
    ax = drawn()
    dense, ticket, other = ax.lines
    assert set(dense.get_ydata()) == {82} and dense.get_linestyle() == "--"
    assert list(ticket.get_xdata()) == LEFT
    assert list(ticket.get_ydata()) == [83, 82, 81]
    assert list(other.get_ydata()) == [81, 78, 72]
    bands = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    assert [(band.min(), band.max()) for band in bands] == [(80, 84), (70, 82)]
    assert legend(ax) == ["dense", *CURVES]
    assert ax.get_legend().get_title().get_text() == "mean and range of 3 seeds"


def test_fewer_weights_lie_further_right_and_are_named():
    ax = drawn()
    left, right = ax.get_xlim()
    assert left > LEFT[0] > LEFT[-1] > right and ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        *("51", "26", "3.9")
    ]
    assert ax.get_yscale() == "linear"


def test_values_over_several_sizes_get_a_logarithmic_axis():
    ax = plots.curves_by_weights_left(
        LEFT, {"ticket": [[3, 1, 0.2]]}, [8], "norm", log=True
    )
    assert ax.get_yscale() == "log"


def test_a_road_shows_the_loss_at_each_position():
    positions = [0, 0.5, 1]
    roads = {"ticket": [[0.5, 0.5, 0.4]] * 3, "scratch": [[0.5, 1.5, 0.6]] * 3}
    ax = plots.road(positions, roads)
    flat, mountain = ax.lines
    assert list(flat.get_xdata()) == positions
    assert list(mountain.get_ydata()) == pytest.approx([0.5, 1.5, 0.6])
    assert ax.get_ylim()[0] == 0 and legend(ax) == list(roads)
