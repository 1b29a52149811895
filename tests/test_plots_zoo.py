"""The figures of Lab 09: bands, the lines that part them, what layers keep."""

import pytest
from test_plots import lines, titles

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

CURVES = {
    "after training": {
        "magnitude": {0.75: [82, 84], 0.9: [76, 80], 0.98: [30, 40]},
        "N:M": {0.5: [83, 83], 0.75: [80, 81]},
    },
    "at the start": {"SynFlow": {0.75: [79, 80], 0.9: [77, 78], 0.98: [74, 75]}},
}


def test_bands_show_the_mean_of_the_runs_and_one_panel_a_group():
    figure = plots.accuracy_bands(CURVES, [82, 83])
    assert titles(figure) == list(CURVES)
    drawn = lines(figure.axes[0])
    assert list(drawn["magnitude"].get_ydata()) == [83, 78, 35]
    assert list(drawn["N:M"].get_xdata()) == [0.5, 0.25]
    bands = figure.axes[0].collections
    assert len(bands) == len(CURVES["after training"])
    assert bands[0].get_datalim(figure.axes[0].transData).y0 == pytest.approx(30)


def test_every_panel_has_the_same_sparsities_with_the_most_on_the_right():
    figure = plots.accuracy_bands(CURVES, [82, 83])
    for ax in figure.axes:
        labels = [tick.get_text() for tick in ax.get_xticklabels()]
        assert labels == ["50%", "75%", "90%", "98%"]
        left, right = ax.get_xlim()
        assert left > 0.5 > 0.02 > right


def test_a_line_parts_methods_only_where_no_run_overlaps():
    runs = {"low": [10, 20], "mid": [58, 70], "high": [68, 72], "best": [80, 81]}
    when = {"low": "start", "mid": "end", "high": "end", "best": "start"}
    ax = plots.parted_ranking(runs, when)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["best", "high", "mid", "low"]
    parts = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert parts == [0.5, 2.5], "high and mid overlap"
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the best stands uppermost"
    assert {"start", "end"} <= set(lines(ax))


def test_the_map_writes_what_is_left_and_crosses_what_is_empty():
    densities = {
        "uniform": {"fc1": 0.02, "fc2": 0.02},
        "global": {"fc1": 0.0, "fc2": 0.5},
    }
    figure = plots.density_map(densities)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["2 %", "2 %", "none", "50 %"]
    assert len(ax.lines) == 2, "one cross"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["fc1", "fc2"]
    assert ax.texts[3].get_color() == "white" and ax.texts[0].get_color() == "black"
