"""Figures of answers and of weights, drawn from plain data."""

import numpy as np
import pytest
import torch
from test_plots import legend, titles

from labcore import plots

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


@pytest.fixture(autouse=True)
def random_numbers():
    torch.manual_seed(0)


def layers(count: int) -> dict[str, torch.Tensor]:
    return {f"conv{i}": torch.randn(4 + i, 3, 3, 3) * 0.1 for i in range(count)}


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_name_the_answer_and_what_it_should_have_been(channels):
    images = torch.randn(12, channels, 8, 8)
    shares = torch.full((12, 3), 0.1)
    shares[:, 1] = 0.8
    labels = torch.ones(12, dtype=torch.long)
    labels[5] = 2
    classes = ("shirt", "bag", "boot")
    figure = plots.predictions(images, shares, labels, classes)
    assert titles(figure)[0] == "bag 80 %"
    assert titles(figure)[5].startswith("bag 80 %\n") and "boot" in titles(figure)[5]
    whole, bar = figure.axes[0].patches
    assert bar.get_width() == pytest.approx(0.8 * whole.get_width())


def test_an_image_of_one_colour_is_drawn_too():
    images, shares = torch.zeros(12, 1, 8, 8), torch.ones(12, 1)
    plots.predictions(images, shares, [0] * 12, ["bag"])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_there_is_one_histogram_a_layer(count):
    weights = layers(count)
    figure = plots.weight_histograms(weights)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == count
    for ax, (name, weight) in zip(drawn, weights.items(), strict=True):
        assert ax.get_title() == f"{name.split('.')[-1]}: {weight.numel():,} weights"
        assert sum(bar.get_height() for bar in ax.patches) == weight.numel()


def test_a_threshold_says_how_much_of_each_layer_it_removes():
    weights = {"half": torch.tensor([0.1, -0.1, 1, -1]), "none": torch.ones(4)}
    figure = plots.weight_histograms(weights, threshold=0.5)
    assert titles(figure)[0].endswith("50 % removed")
    assert titles(figure)[1].endswith("0 % removed")
    for ax in figure.axes[:2]:
        assert sorted(line.get_xdata()[0] for line in ax.lines) == [-0.5, 0.5]


def test_a_layer_whose_weights_are_all_removed_is_drawn_too():
    plots.weight_histograms({"dead": torch.zeros(2, 3)}, threshold=0.1)


def test_numbers_stand_by_layer():
    series = {
        "trained": {"backbone.conv0": 0.1, "classifier": 0.2},
        "at the start": {"backbone.conv0": 0.3, "classifier": 0.4},
    }
    ax = plots.layer_points(series, "spread")
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["conv0", "classifier"]
    assert [line.get_ydata()[0] for line in ax.lines] == [0.1, 0.3]
    assert legend(ax) == ["trained", "at the start"]


def test_by_layer_an_axis_from_zero_can_be_chosen():
    series = {"one threshold": {"backbone.conv0": 5, "classifier": 80}}
    ax = plots.layer_points(series, "removed, %", log=False)
    assert ax.get_yscale() == "linear" and ax.get_ylim()[0] == 0
    assert "one threshold: conv0 5, classifier 80" in ax.figure.description


def test_curves_of_removal_are_in_percent_and_say_their_numbers():
    curves = {"one": {0.5: 94.0, 0.9: 20.0}, "own": {0.5: 92.0, 0.9: 15.0}}
    ax = plots.removal_curves(curves, 94.5)
    first, second, dense = ax.lines
    assert list(first.get_xdata()) == [50, 90]
    assert list(second.get_ydata()) == [92, 15]
    assert dense.get_ydata()[0] == 94.5
    assert legend(ax) == ["one", "own"]
    assert "one: 94.0 % at 50 %, 20.0 % at 90 %" in ax.figure.description


@pytest.mark.parametrize("which", ["x", "y"])
def test_a_guess_is_drawn_over_the_curves(which):
    without = plots.removal_curves({"one": {0.5: 94.0}}, 94.5)
    ax = plots.removal_curves({"one": {0.5: 94.0}}, 94.5, guess=70, which=which)
    assert len(ax.lines) == len(without.lines) + 1
    assert getattr(ax.lines[-1], f"get_{which}data")()[0] == 70


def test_tails_stand_beside_the_normal_curve_of_the_same_spread():
    weight = torch.randn(2_000) * 0.5 + 1
    ax = plots.tails(weight)
    assert ax.get_yscale() == "log"
    x, curve = ax.lines[0].get_data()
    assert x[curve.argmax()] == pytest.approx(weight.mean().item(), abs=0.05)
    area = np.trapezoid(curve, x) if hasattr(np, "trapezoid") else np.trapz(curve, x)
    assert area == pytest.approx(1, abs=0.01)
