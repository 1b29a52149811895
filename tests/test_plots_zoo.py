"""The figures of Lab 09: bands, the lines that part them, what layers keep."""

import matplotlib.pyplot as plt
import pytest

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

CURVES = {
    "after training": {
        "magnitude": {0.75: [82, 84], 0.9: [76, 80], 0.98: [30, 40]},
        "N:M": {0.5: [83, 83], 0.75: [80, 81]},
    },
    "at the start": {"SynFlow": {0.75: [79, 80], 0.9: [77, 78], 0.98: [74, 75]}},
}


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.lines}


def test_bands_show_the_mean_of_the_runs_and_one_panel_a_group():
    figure = plots.accuracy_bands(CURVES, [82, 83], "Bands")
    assert figure.get_suptitle() == "Bands"
    assert [ax.get_title() for ax in figure.axes] == list(CURVES)
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


def test_seven_curves_can_be_told_apart_without_colours():
    curves = {f"method {i}": {0.5: [80], 0.9: [70]} for i in range(7)}
    figure = plots.accuracy_bands({"all": curves}, [82])
    drawn = [line for name, line in lines(figure.axes[0]).items() if name in curves]
    looks = {(line.get_marker(), line.get_linestyle()) for line in drawn}
    assert len(looks) == 7


def test_a_line_parts_methods_only_where_no_run_overlaps():
    runs = {"low": [10, 20], "mid": [58, 70], "high": [68, 72], "best": [80, 81]}
    when = {"low": "start", "mid": "end", "high": "end", "best": "start"}
    ax = plots.parted_ranking(runs, when, "Where they part")
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
    figure = plots.density_map(densities, "Collapse")
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["2 %", "2 %", "none", "50 %"]
    assert len(ax.lines) == 2, "one cross"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["fc1", "fc2"]
    assert ax.texts[3].get_color() == "white" and ax.texts[0].get_color() == "black"


def test_the_slider_of_lab_09_redraws_the_map():
    pytest.importorskip("ipywidgets")
    seen = []

    def look(sparsity, exact=True):
        seen.append(sparsity)
        return plots.density_map({"uniform": {"fc1": 1 - sparsity}})

    start = {"start": 0.5, "stop": 0.995, "step": 0.005, "value": 0.98}
    slider, picture = plots.explore(look, name="sparsity", **start).children
    first = bytes(picture.value)
    slider.value = 0.6
    assert seen == [0.98, 0.6]
    assert bytes(picture.value) != first
    assert plt.get_fignums() == []
