"""Figures of channels, drawn from plain data."""

import pytest
import torch
from matplotlib.colors import to_hex

from labcore import plots
from labcore.plots.style import LIT

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
    assert "6 in all" in figure.description


@pytest.mark.parametrize(("picked", "count"), [([], 0), ([0, 2], 4), ([0, 1, 2], 6)])
def test_any_number_of_channels_can_be_lit(picked, count):
    figure = plots.channel_places(FIRST, NORM, SECOND, picked)
    assert [len(lit(ax)) for ax in figure.axes] == [count] * 3


def test_networks_are_bars_against_the_dense_line():
    accuracies = {"pruned": 46.4, "fine-tuned": 94.1}
    ax = plots.recovery(accuracies, {"pruned": 1.4, "fine-tuned": 0.7}, 94.5)
    bars = [bar.get_width() for bar in ax.patches]
    assert bars == [46.4, 94.1]
    assert [text.get_text() for text in ax.get_yticklabels()] == list(accuracies)
    assert {"46.4", "94.1"} <= {text.get_text() for text in ax.texts}
    assert ax.lines[-1].get_xdata()[0] == 94.5
    assert ax.get_xlim() == (0, 100), "the whole range"


CUT = {
    "sorted": [[91, 46]],
    "random orders": [[90, 36], [85, 15]],
}


def series(ax) -> dict[str, list[float]]:
    return {
        line.get_label(): list(line.get_ydata())
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def test_each_treatment_has_a_panel_and_several_runs_are_a_band():
    panels = {"as cut": CUT, "recalibrated": CUT}
    figure = plots.cut_curves([0.1, 0.3], panels, 94, 10, guess=60)
    for ax, name in zip(figure.axes, panels, strict=True):
        assert ax.get_title() == name
        assert series(ax) == {
            "sorted": [91, 46],
            "2 random orders, mean and range": [87.5, 25.5],
        }
        assert any(text.get_text() == "your guess" for text in ax.texts)
    assert "as cut, sorted: 91, 46" in figure.description


def test_without_a_guess_nothing_is_drawn_for_it():
    (ax,) = plots.cut_curves([0.1, 0.3], {"as cut": CUT}, 94, 10).axes
    assert not any(text.get_text() == "your guess" for text in ax.texts)


@pytest.mark.parametrize("channels", [1, 3])
def test_soft_labels_are_bars_in_percent_beside_the_image(channels):
    shares = {"T = 1": torch.tensor([0.9, 0.1]), "T = 4": torch.tensor([0.6, 0.4])}
    figure = plots.soft_labels(torch.zeros(channels, 4, 4), shares, ["bag", "boot"])
    _, hard, soft = figure.axes
    assert [round(bar.get_width()) for bar in hard.patches] == [90, 10]
    assert [round(bar.get_width()) for bar in soft.patches] == [60, 40]
    assert [text.get_text() for text in hard.get_yticklabels()] == ["bag", "boot"]
    assert "T = 4: bag 60 %, boot 40 %" in figure.description


def test_stages_are_curves_and_differences_have_intervals():
    accuracies = {"sorted": [46, 94], "first": [25, 93]}
    differences = {"first": (-0.6, 0.4)}
    figure = plots.what_did_it(["cut", "trained"], accuracies, differences, 94.5)
    left, right = figure.axes
    assert series(left) == accuracies
    assert [text.get_text() for text in right.get_yticklabels()] == ["first"]
    assert right.texts[0].get_text() == "\N{MINUS SIGN}0.60 \N{PLUS-MINUS SIGN} 0.40"
    assert "first -0.60" in figure.description
