"""Figures of plans, of sizes and of fronts, drawn from plain data."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from test_plots import legend

from labcore import plots
from labcore.plots.style import KEPT, REMOVED

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


LEVELS = [0.1, 0.5, 1.0]


def scanned(layers: int):
    """Accuracies that fall from layer to layer, with intervals of 2 points."""
    accuracy = {
        f"backbone.conv{i}": dict(zip(LEVELS, (90 - i, 80 - 5 * i, 10), strict=True))
        for i in range(layers)
    }
    interval = {
        name: {level: (value - 1, value + 1) for level, value in row.items()}
        for name, row in accuracy.items()
    }
    return accuracy, interval


@pytest.mark.parametrize("layers", [1, 3, 4, 9])
def test_each_layer_has_its_curve_with_an_interval_beside_bars_of_its_share(layers):
    accuracy, interval = scanned(layers)
    shares = {
        "of the weights": {name: 1 / layers for name in accuracy},
        "of the MACs": {name: 0.002 for name in accuracy},
    }
    figure = plots.layer_curves(accuracy, interval, 91.0, shares)
    *panels, bars = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in panels] == [f"conv{i}" for i in range(layers)]
    for ax, row in zip(panels, accuracy.values(), strict=True):
        *others, own, dense = ax.lines
        assert len(others) == layers and own.get_marker() == "o"
        assert list(own.get_xdata()) == LEVELS
        assert list(own.get_ydata()) == list(row.values())
        assert set(dense.get_ydata()) == {91.0}
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (9, row[0.1] + 1)
        assert ax.get_ylim() == (0, 92), "the whole range"
        heights = ax.transData.transform([(0, 88), (0, 90), (0, 50), (0, 52)])[:, 1]
        assert heights[1] - heights[0] > 3 * (heights[3] - heights[2])
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == pytest.approx([100 / layers] * layers + [0.2] * layers)
    assert legend(bars) == ["of the weights", "of the MACs"]
    assert bars.get_ylim()[0] > bars.get_ylim()[1], "the first layer on top"


KIB = {"backbone.conv0": 10.0, "classifier": 30.0}


def planned(predicted=80.0, kept=5.0) -> Figure:
    return plots.plan_picture(
        {"backbone.conv0": kept, "classifier": 15.0},
        KIB,
        limit=20,
        predicted=predicted,
        measured=70.0,
        interval=2.0,
    )


def test_a_plan_shows_what_stays_and_by_how_much_the_prediction_errs():
    left, right = planned().axes
    assert [bar.get_width() for bar in left.patches] == [10, 30, 5, 15]
    assert [to_hex(bar.get_facecolor()) for bar in left.patches[1:3]] == [REMOVED, KEPT]
    assert [bar.get_height() for bar in right.patches] == [80, 70]
    assert right.get_title() == "prediction off by +10.0 points"
    assert {bar.get_hatch() for bar in right.patches} == {"//", ""}


def test_a_plan_says_whether_it_fits():
    assert planned(kept=5.0).axes[0].get_title() == "20 KiB of at most 20: fits"
    assert planned(kept=6.0).axes[0].get_title().endswith("too large")


def test_a_prediction_below_zero_is_named_and_drawn_at_zero():
    right = planned(predicted=-40.0).axes[1]
    assert right.patches[0].get_height() == 0
    assert "\u221240.0" in [text.get_text() for text in right.texts]
    assert right.get_title() == "prediction off by \u2212110.0 points"


def test_predictions_stand_against_measurements_with_the_line_where_they_agree():
    ax = plots.prediction_errors([90, 60, -30], [91, 40, 12])
    line, points = ax.lines
    assert list(line.get_xdata()) == list(line.get_ydata()) == [-30, 100]
    assert list(points.get_xdata()) == [90, 60, -30]
    assert list(points.get_ydata()) == [91, 40, 12]
    assert ax.get_xlim()[0] < -30, "no point is cut off"


def test_sizes_are_curves_with_the_limit_and_the_dense_size():
    sizes = {"formula": [100, 50, 10], "csr": [200, 100, 20], "bitmask": [103, 53, 13]}
    ax = plots.size_curves([0, 0.5, 0.9], sizes, limit=25, dense=100)
    assert ax.get_yscale() == "log" and legend(ax) == list(sizes)
    curves, lines = ax.lines[:3], ax.lines[3:]
    assert [list(curve.get_ydata()) for curve in curves] == list(sizes.values())
    assert [line.get_ydata()[0] for line in lines] == [25, 100]
    assert [text.get_text() for text in ax.texts] == ["25 KiB", "dense"]


def test_a_front_has_a_panel_a_stage_and_points_in_order_of_size():
    panels = {
        "before": {"uniform": [(20, 50), (10, 30)], "yours": [(20, 80)]},
        "after": {"yours": [(20, 90)]},
    }
    figure = plots.pareto(panels, dense=(100, 92), interval=0.5, limit=15)
    before, after = figure.axes
    assert [before.get_title(), after.get_title()] == ["before", "after"]
    dense, limit, uniform, yours = before.lines
    assert set(dense.get_ydata()) == {92} and set(limit.get_xdata()) == {15}
    assert list(uniform.get_xdata()) == [10, 20]
    assert list(uniform.get_ydata()) == [30, 50]
    assert after.lines[2].get_marker() == yours.get_marker(), "a name keeps its style"
    assert legend(before) == ["uniform", "yours"] and before.get_xscale() == "log"
