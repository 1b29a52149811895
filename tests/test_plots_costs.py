"""Figures of costs, drawn from plain data."""

import pytest
from test_plots import lines

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def test_measured_shares_stand_as_points_beside_the_laws():
    law = {0.0: 1.0, 0.5: 0.27, 1.0: 0.01}
    shares = {"MACs": {0.0: 1.0, 0.5: 0.26}, "time": {0.0: 1.0, 0.5: 0.4}}
    ax = plots.cost_shares(shares, law)
    drawn = lines(ax)
    assert list(drawn["MACs"].get_xdata()) == [0.0, 0.5]
    assert list(drawn["time"].get_ydata()) == [1.0, 0.4]
    assert list(drawn["your prediction"].get_ydata()) == list(law.values())
    square = drawn["$(1 - p)^2$"]
    assert square.get_ydata()[50] == pytest.approx(0.25)


def test_speedups_are_logarithmic_with_a_line_at_one():
    curves = {
        "zeros, dense kernel": {0.5: 1.0, 0.9: 0.98},
        "CSR": {0.5: 0.3, 0.9: 1.4},
        "fewer channels": {0.5: 1.9, 0.9: 8.0},
    }
    ax = plots.speedups(curves)
    assert ax.get_yscale() == "log" and ax.get_xlim()[0] == 0
    drawn = lines(ax)
    for name, points in curves.items():
        assert list(drawn[name].get_xdata()) == list(points)
        assert list(drawn[name].get_ydata()) == list(points.values())
    ideal = drawn["if time fell with the weights"]
    assert ideal.get_ydata()[-1] == pytest.approx(1 / (1 - 0.9))
    flat = [line for line in ax.lines if list(line.get_ydata()) == [1, 1]]
    assert len(flat) == 1


def test_a_speedup_figure_may_lack_a_curve():
    ax = plots.speedups({"fewer channels": {0.5: 1.9}})
    assert "CSR" not in lines(ax)


def test_cost_bars_stand_in_order_from_the_top_with_their_shares():
    figure = plots.cost_bars({"channels": 0.7, "MACs": 0.5, "time": 1.2})
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["time", "MACs", "channels"], "the first is drawn uppermost"
    widths = [bar.get_width() for bar in ax.containers[1]]
    assert widths == [1.2, 0.5, 0.7]
    assert ax.get_xlim()[1] > 1.2
    assert "0.50" in [text.get_text() for text in ax.texts]


def test_multiples_are_marked_and_the_square_law_ends_at_the_largest():
    times = {30: 0.9, 31: 0.95, 32: 0.8, 48: 1.0}
    ax = plots.time_by_channels(times, multiple=16)
    filled, empty = ax.collections
    assert [x for x, _ in filled.get_offsets()] == [32, 48]
    assert [x for x, _ in empty.get_offsets()] == [30, 31]
    law = list(lines(ax)["if time followed the MACs"].get_ydata())
    assert law[-1] == 1.0
    assert law[0] == pytest.approx((30 / 48) ** 2)


def test_the_roof_is_bandwidth_first_and_then_flat():
    points = {"1 input": (0.5, 4e9), "64 inputs": (30.0, 6e10)}
    ax = plots.roofline(points, peak=1e11, bandwidth=1e10)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    roof = lines(ax)["roof: bandwidth, then peak"]
    assert roof.get_ydata()[0] == pytest.approx(10 * roof.get_xdata()[0])
    assert roof.get_ydata()[-1] == pytest.approx(100)
    assert {text.get_text() for text in ax.texts} == set(points)
