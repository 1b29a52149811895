"""Figures of channels, drawn from plain data."""

import pytest
import torch
from matplotlib.colors import to_hex

from labcore import plots
from labcore.plots.style import KEPT, LIT, MARKED

FIRST = torch.tensor([[1.0, 2.0], [0.5, -1.0], [-2.0, 1.0]])
NORM = {"weight": [1.0, 2.0, 0.5], "running_mean": [0.0, 0.5, -1.0]}
SECOND = torch.tensor([[1.0, -1.0, 2.0], [0.0, 3.0, 1.0]])


pytestmark = pytest.mark.usefixtures("nothing_is_shown")


def lit(ax) -> list[str]:
    """The numbers whose squares are filled; they are the bold ones."""
    filled = [to_hex(square.get_facecolor()) == LIT for square in ax.patches]
    bold = [text.get_weight() == "bold" for text in ax.texts]
    assert bold == filled, "what is lit reads in grey too"
    return [
        text.get_text().replace("\u2212", "-")
        for text, on in zip(ax.texts, filled, strict=True)
        if on
    ]


def test_a_channel_lights_up_in_three_places():
    figure = plots.channel_places(FIRST, NORM, SECOND, [1])
    first, norm, second = figure.axes
    assert lit(first) == ["0.5", "-1"]
    assert lit(norm) == ["2", "0.5"]
    assert lit(second) == ["-1", "3"]
    assert (second.get_xlim(), second.get_ylim()) == ((0, 3), (2, 0)), "row 0 on top"


@pytest.mark.parametrize(("picked", "count"), [([], 0), ([0, 2], 4), ([0, 1, 2], 6)])
def test_any_number_of_channels_can_be_lit(picked, count):
    figure = plots.channel_places(FIRST, NORM, SECOND, picked)
    assert [len(lit(ax)) for ax in figure.axes] == [count] * 3


def test_orders_are_bars_and_what_differs_is_hatched():
    figure = plots.compare_orders([0.1, 0.9, 0.5, 0.7], [1, 3, 2, 0], [1, 2, 3, 0])
    before, expected, yours = figure.axes
    assert [bar.get_height() for bar in before.patches] == [0.1, 0.9, 0.5, 0.7]
    assert [bar.get_height() for bar in expected.patches] == [0.9, 0.7, 0.5, 0.1]
    assert [bar.get_height() for bar in yours.patches] == [0.9, 0.5, 0.7, 0.1]
    assert [text.get_text() for text in yours.get_xticklabels()] == ["1", "2", "3", "0"]
    assert [bool(bar.get_hatch()) for bar in yours.patches] == [
        False,
        True,
        True,
        False,
    ]
    assert {to_hex(bar.get_facecolor()) for bar in expected.patches} == {KEPT}
    assert to_hex(yours.patches[1].get_facecolor()) == MARKED
    assert yours.get_title(loc="left") == "yours, 2 of 4 differ"


def test_networks_are_bars_against_the_dense_line():
    accuracies = {"pruned": 46.4, "fine-tuned": 94.1}
    ax = plots.recovery(accuracies, {"pruned": 1.4, "fine-tuned": 0.7}, 94.5)
    bars = [bar.get_width() for bar in ax.patches]
    assert bars == [46.4, 94.1]
    assert [text.get_text() for text in ax.get_yticklabels()] == list(accuracies)
    assert {"46.4", "94.1"} <= {text.get_text() for text in ax.texts}
    assert ax.lines[-1].get_xdata()[0] == 94.5
    assert ax.get_xlim() == (0, 100), "the whole range"
