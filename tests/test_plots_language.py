"""The figures of Lab 10: bits a byte by method, and what a model writes."""

import pytest

from labcore import plots
from labcore.plots.alt import alt_text

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def test_bars_carry_their_values_and_the_dense_level():
    ax = plots.bit_bars({"gzip": 1.92, "TinyLM": 1.31}, 1.3, "Title", guess=4)
    assert [text.get_text() for text in ax.texts] == [
        *("1.92", "1.31", "dense", "your guess")
    ]
    assert ax.get_xlim()[1] > 4, "the guess is inside"
    assert alt_text(ax.figure) == (
        "Title. Bits a byte, against 1.30 of the dense model: gzip 1.92, TinyLM 1.31"
    )


def test_curves_say_every_point():
    curves = {"magnitude": [1.4, 2.8], "SparseGPT": [1.35, 2.0]}
    ax = plots.bit_curves([0.3, 0.7], curves, 1.3)
    assert [list(line.get_ydata()) for line in ax.lines[1:]] == list(curves.values())
    assert alt_text(ax.figure).endswith(
        "needs 1.30. magnitude 1.40 at 0.3, 2.80 at 0.7; SparseGPT 1.35 at 0.3, 2.00 "
        "at 0.7"
    )


def test_a_table_has_a_row_for_each_group_and_a_mark_for_each_score():
    table = {
        "layer": {"magnitude": 1.6, "Wanda": 1.5},
        "row": {"magnitude": 1.8, "Wanda": 1.7},
    }
    ax = plots.bit_table(table, 1.3)
    marks = [line for line in ax.lines if len(line.get_xdata()) == 1]
    found = [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in marks]
    assert found == [(1.6, 0), (1.5, 0), (1.8, 1), (1.7, 1)]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["dense", "magnitude", "Wanda"]
    assert "row: magnitude 1.80, Wanda 1.70" in alt_text(ax.figure)


def test_completions_stand_side_by_side_and_are_read_aloud():
    written = {"dense": "return x\n", "pruned": "$" * 82 + "\x00", "wide": "a"}
    figure = plots.completions("def f(x):\n", written)
    shown = [ax.texts[0].get_text() for ax in figure.axes if ax.texts]
    assert shown[0] == "def f(x):\nreturn x\n"
    assert shown[1].split("\n") == ["def f(x):", "\\$" * 72, "\\$" * 10 + "□"]
    assert len(figure.axes) == 4 and not figure.axes[3].texts
    assert "dense writes: return x; pruned writes: $$" in alt_text(figure)
