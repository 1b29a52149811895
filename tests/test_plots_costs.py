"""Figures of costs, drawn from plain data."""

import pytest
from test_plots import lines

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def test_measured_shares_stand_in_percent_beside_the_laws():
    law = {0.0: 1.0, 0.5: 0.27, 1.0: 0.01}
    shares = {"MACs": {0.0: 1.0, 0.5: 0.26}, "time": {0.0: 1.0, 0.5: 0.4}}
    ax = plots.cost_shares(shares, law)
    drawn = lines(ax)
    assert list(drawn["MACs"].get_xdata()) == [0, 50]
    assert list(drawn["time"].get_ydata()) == [100, 40]
    assert list(drawn["your prediction"].get_ydata()) == [100, 27, 1]
    assert drawn["$(1 - p)^2$"].get_ydata()[50] == pytest.approx(25)
    assert "time: 100 % at 0 %, 40 % at 50 %" in ax.figure.description


def test_a_guess_is_drawn_where_a_number_was_typed():
    curves = {"CSR": {0.5: 0.3, 0.9: 1.4}}
    for draw, arguments in (
        (plots.speedups, (curves,)),
        (plots.ram_curves, (curves, 1)),
    ):
        for guess, count in ((None, 0), (40, 1)):
            texts = [text.get_text() for text in draw(*arguments, guess=guess).texts]
            assert texts.count("your guess") == count


def test_speedups_are_logarithmic_with_a_line_at_one():
    curves = {
        "zeros": {0.5: 1.0, 0.9: 0.98},
        "CSR": {0.5: 0.3, 0.9: 1.4},
        "fewer channels": {0.5: 1.9, 0.9: 8.0},
    }
    ax = plots.speedups(curves)
    assert ax.get_yscale() == "log" and ax.get_xlim()[0] == 0
    drawn = lines(ax)
    for name, points in curves.items():
        assert list(drawn[name].get_xdata()) == [100 * share for share in points]
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
    assert widths == [120, 50, 70]
    assert ax.get_xlim()[1] > 120
    assert "50 %" in [text.get_text() for text in ax.texts]


def test_multiples_are_marked_and_the_square_law_ends_at_the_largest():
    times = {30: 0.9, 31: 0.95, 32: 0.8, 48: 1.0}
    ax = plots.time_by_channels(times, multiple=16)
    filled, empty = ax.collections
    assert [x for x, _ in filled.get_offsets()] == [32, 48]
    assert [x for x, _ in empty.get_offsets()] == [30, 31]
    law = list(lines(ax)["if time followed the MACs"].get_ydata())
    assert law[-1] == 1.0
    assert law[0] == pytest.approx((30 / 48) ** 2)
    said = ax.figure.description
    assert "31 channels 0.95, 32 channels 0.80" in said


def test_memory_steps_stack_the_output_on_the_input_and_count_what_is_too_large():
    ax = plots.memory_steps({"conv0": (4, 64), "fc": (0.5, 0.04)}, limit=64)
    below, above = ax.containers[:2]
    assert [bar.get_height() for bar in below] == [4, 0.5]
    assert [bar.get_y() for bar in above] == [4, 0.5]
    said = ax.figure.description
    assert "The peak is 68 KiB; 1 of 2 layers are above the limit of 64 KiB" in said


def test_ram_curves_are_drawn_in_percent_with_the_limit():
    ax = plots.ram_curves({"zeros": {0.0: 192, 0.9: 192}}, limit=64)
    assert list(lines(ax)["zeros"].get_xdata()) == [0, 90]
    assert any(list(line.get_ydata()) == [64, 64] for line in ax.lines)


def test_the_roof_is_bandwidth_first_and_then_flat():
    points = [(0.5, 4e9), (30.0, 6e10)]
    ax = plots.roofline([1, 64], points, peak=1e11, bandwidth=1e10)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    roof = lines(ax)["roof"]
    assert roof.get_ydata()[0] == pytest.approx(10 * roof.get_xdata()[0])
    assert roof.get_ydata()[-1] == pytest.approx(100)
    assert {"1", "64"} < {text.get_text() for text in ax.texts}
    assert "1 inputs 80 %, 64 inputs 60 %" in ax.figure.description
