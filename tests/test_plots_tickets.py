"""Figures of lottery tickets, drawn from plain data."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from test_plots import legend

from labcore import plots
from labcore.plots.style import MARKED

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

LEFT = [51.4, 26.4, 3.9]
CURVES = {
    "ticket": [[82, 81, 80], [84, 83, 82], [83, 82, 81]],
    "other values": [[80, 78, 70], [81, 79, 75], [82, 77, 71]],
}


def drawn(**options):
    return plots.curves_by_weights_left(
        LEFT, CURVES, [81, 83, 82], "accuracy, %", **options
    )


def texts(ax):
    return {text.get_text(): text for text in ax.texts}


def guesses(ax):
    """The lines in the colour and style of a guess, as (x data, y data)."""
    found = [line for line in ax.lines if line.get_linestyle() == "-."]
    found = [line for line in found if to_hex(line.get_color()) == MARKED]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in found]


def test_curves_are_means_with_bars_for_the_range_of_the_seeds():
    ax = drawn()
    dense, ticket, other = ax.lines
    assert set(dense.get_ydata()) == {82} and dense.get_linestyle() == "--"
    assert list(ticket.get_xdata()) == LEFT
    assert list(ticket.get_ydata()) == [83, 82, 81]
    assert list(other.get_ydata()) == pytest.approx([81, 78, 72])
    bars = [bar.get_segments() for bar in ax.collections]
    first, last = ([seg[:, 1] for seg in each] for each in bars)
    assert [tuple(ends) for ends in first] == [(82, 84), (81, 83), (80, 82)]
    assert tuple(last[-1]) == (70, 75)


def test_bars_of_two_curves_stand_beside_each_other():
    ticket, other = (bar.get_segments() for bar in drawn().collections)
    for one, two in zip(ticket, other, strict=True):
        assert one[0, 0] > two[0, 0] and one[0, 0] / two[0, 0] < 1.05


def test_each_curve_is_named_at_its_end_and_no_name_hides_another():
    close = {name: [[80, 80, 80.0 + i / 10]] for i, name in enumerate("abcd")}
    ax = plots.curves_by_weights_left(LEFT, close, [82], "accuracy, %")
    names = [texts(ax)[name] for name in "abcd"]
    heights = [name.xy[1] for name in names]
    assert min(np.diff(heights)) > 0.06
    assert [to_hex(name.get_color()) for name in names] == [
        to_hex(line.get_color()) for line in ax.lines[1:]
    ]


def test_fewer_weights_lie_further_right_and_are_named():
    ax = drawn()
    left, right = ax.get_xlim()
    assert left > LEFT[0] > LEFT[-1] > right and ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        *("51", "26", "3.9")
    ]
    assert ax.get_yscale() == "linear"


def test_a_margin_is_a_band_and_keeps_noise_small():
    ax = plots.curves_by_weights_left(
        LEFT, {"ticket": [[81.9, 82, 82.1]]}, [82], "accuracy, %", margin=1
    )
    (band,) = ax.patches
    assert (band.get_y(), band.get_height()) == (81, 2)
    low, high = ax.get_ylim()
    assert low <= 76 and high >= 85
    assert any("± 1.0" in text for text in texts(ax))


def test_values_over_several_sizes_get_a_logarithmic_axis():
    ax = plots.curves_by_weights_left(
        LEFT, {"ticket": [[3, 1, 0.2]]}, [8], "norm", log=True
    )
    assert ax.get_yscale() == "log"


def test_a_guess_is_drawn_only_where_there_is_one():
    assert guesses(drawn()) == []
    assert guesses(drawn(guess=77)) == [([0, 1], [77, 77])]


def test_a_road_shows_the_loss_at_each_position():
    positions = [0, 0.5, 1]
    roads = {"ticket": [[0.5, 0.5, 0.4]] * 3, "scratch": [[0.5, 1.5, 0.6]] * 3}
    ax = plots.road(positions, roads, guess=2)
    flat, mountain = ax.lines[:2]
    assert list(flat.get_xdata()) == positions
    assert list(mountain.get_ydata()) == pytest.approx([0.5, 1.5, 0.6])
    assert ax.get_ylim()[0] == 0 and legend(ax) == list(roads)
    assert guesses(ax) == [([0, 1], [2, 2])]
    assert "ticket 0.50" in ax.figure.description
    assert "scratch 1.50" in ax.figure.description


def test_bars_of_values_with_margins_stand_in_the_given_order():
    values = {"ticket": 83.3, "not trained": 61.0}
    margins = {"ticket": 1.0, "not trained": 1.4}
    ax = plots.value_bars(values, margins, dense=85.3, guess=50)
    assert [bar.get_width() for bar in ax.patches] == [83.3, 61.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(values)
    top, bottom = (bar.get_y() for bar in ax.patches)
    low, high = ax.get_ylim()
    assert top < bottom and low > high
    assert {"83.3 ± 1.0", "61.0 ± 1.4", "dense 85.3"} <= set(texts(ax))
    assert guesses(ax) == [([50, 50], [0, 1])]
