"""The figures of Lab 09: scores by allocations, who beats whom, what layers keep."""

import pytest
from matplotlib.patches import Rectangle
from test_plots import titles

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

TABLE = {
    "uniform": {"random": [10, 20], "magnitude": [30, 32]},
    "ERK": {"random": [40, 44], "magnitude": [68, 70]},
}


def test_a_table_has_a_row_for_each_allocation_and_a_mark_for_each_score():
    figure = plots.score_table({"before": TABLE, "after": TABLE}, [80, 82])
    assert titles(figure) == ["before", "after"]
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["uniform", "ERK"]
    marks = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in marks] == [15, 31, 42, 69]
    heights = [line.get_ydata()[0] for line in marks]
    assert heights == sorted(heights) and max(heights[:2]) < 0.5 < min(heights[2:])
    assert len({line.get_marker() for line in marks}) == 2, "readable in grey"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["random", "magnitude", "dense"]


@pytest.mark.parametrize("guess, drawn", [(None, 0), (55, 1)])
def test_a_guess_is_drawn_in_the_last_panel_only(guess, drawn):
    figure = plots.score_table({"before": TABLE, "after": TABLE}, [81], guess=guess)
    texts = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert texts == [[], ["your guess"] * drawn]


def test_a_box_is_filled_only_where_every_run_beats_every_run():
    runs = {"low": [10, 20], "mid": [58, 70], "high": [68, 72], "best": [80, 81]}
    ax = plots.pairwise_order(runs)
    names = [tick.get_text().split()[0] for tick in ax.get_yticklabels()]
    assert names == ["best", "high", "mid", "low"]
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    filled = [box.get_facecolor()[:3] != (1, 1, 1) for box in boxes]
    assert filled == [True, True, True, False, True, True], "high and mid overlap"
    assert [text.get_text() for text in ax.texts][0] == "+10.5"


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
