"""Figures of plans, of sizes and of fronts, drawn from plain data."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from test_plots import legend

from labcore import plots
from labcore.plots.style import KEPT, MARKED, REMOVED

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


@pytest.mark.parametrize("layers", [1, 2, 4, 9])
def test_each_layer_has_its_curve_with_an_interval_and_its_share_of_the_weights(layers):
    accuracy, interval = scanned(layers)
    shares = {name: 0.002 for name in accuracy}
    figure = plots.layer_curves(accuracy, interval, 91.0, shares)
    panels = [ax for ax in figure.axes if ax.axison]
    titles = [f"conv{i}: 0.2 % of the weights" for i in range(layers)]
    assert [ax.get_title() for ax in panels] == titles
    for ax, row in zip(panels, accuracy.values(), strict=True):
        dense, own = ax.lines
        assert own.get_marker() == "o" and list(own.get_xdata()) == LEVELS
        assert list(own.get_ydata()) == list(row.values())
        assert set(dense.get_ydata()) == {91.0}
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (9, row[0.1] + 1)
        assert ax.get_yscale() == "linear" and ax.get_ylim() == (0, 100)
    assert f"conv{layers - 1} 10.0" in figure.description


def test_a_typed_guess_is_drawn_and_none_draws_nothing():
    accuracy, interval = scanned(2)
    case = accuracy, interval, 91.0, dict.fromkeys(accuracy, 0.5)
    counts = [
        [len(ax.lines) for ax in plots.layer_curves(*case, guess=guess).axes]
        for guess in (None, 70.0)
    ]
    assert counts == [[2, 2], [3, 2]]
    errors = [0.5, 0.9], [90, -30], [91, 10]
    axes = [plots.prediction_errors(*errors, guess=guess) for guess in (None, 40)]
    assert len(axes[1].lines) == len(axes[0].lines) + 1


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


def test_predictions_and_measurements_are_two_curves_and_none_is_cut_off():
    ax = plots.prediction_errors([0.5, 0.8, 0.9], [90, 60, -30], [91, 40, 12])
    predicted, measured, _ = ax.lines
    assert list(predicted.get_xdata()) == list(measured.get_xdata()) == [0.5, 0.8, 0.9]
    assert list(predicted.get_ydata()) == [90, 60, -30]
    assert list(measured.get_ydata()) == [91, 40, 12]
    assert ax.get_ylim()[0] < -30 and len(legend(ax)) == 2
    assert "\u221230.0 and 12.0 at 0.9" in ax.figure.description


def test_sizes_are_curves_over_the_whole_range_and_again_near_the_limit():
    sizes = {"formula": [100, 50, 10], "csr": [200, 100, 20], "bitmask": [103, 53, 13]}
    figure = plots.size_curves([0, 0.5, 0.9], sizes, limit=25, dense=100)
    whole, near = figure.axes
    assert legend(whole) == list(sizes)
    for ax in (whole, near):
        curves = [list(line.get_ydata()) for line in ax.lines[:3]]
        assert curves == list(sizes.values()) and ax.lines[3].get_ydata()[0] == 25
    assert whole.lines[4].get_ydata()[0] == 100 and whole.get_ylim()[1] > 200
    assert near.get_ylim() == (0, 75)
    assert "by formula at most 25 KiB from sparsity 0.9 on" in figure.description


def test_a_front_leaves_out_what_is_larger_and_no_better():
    stages = {
        "before": {"uniform": [(20, 50), (10, 30), (40, 45)], "yours": [(20, 80)]},
        "after": {"yours": [(20, 90)]},
    }
    ax = plots.pareto(stages, dense=(100, 92), limit=15)
    lines = {line.get_label(): line for line in ax.lines}
    before, after = lines["front before (hollow)"], lines["front after (filled)"]
    assert list(before.get_xdata()) == [10, 20, 100]
    assert list(before.get_ydata()) == [30, 80, 92]
    assert list(after.get_xdata()) == [20, 100]
    assert list(lines["uniform"].get_xdata()) == [20, 10, 40]
    yours = [line for line in ax.lines if line.get_marker() == "s"]
    assert [line.get_markerfacecolor() for line in yours] == ["white", MARKED]
    assert ax.get_xscale() == "log" and "80.0 % at 20 KiB" in ax.figure.description
