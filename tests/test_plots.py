"""Figures drawn from plain data, and a slider that is moved by the test."""

import asyncio

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from labcore import plots
from labcore.plots import sliders

pytestmark = pytest.mark.usefixtures("nothing_is_shown")


@pytest.fixture(autouse=True)
def random_numbers():
    torch.manual_seed(0)


def layers(count: int) -> dict[str, torch.Tensor]:
    return {f"conv{i}": torch.randn(4 + i, 3, 3, 3) * 0.1 for i in range(count)}


def texts(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_name_the_answer_and_what_it_should_have_been(channels):
    images = torch.randn(12, channels, 8, 8)
    shares = torch.full((12, 3), 0.1)
    shares[:, 1] = 0.8
    labels = torch.ones(12, dtype=torch.long)
    labels[5] = 2
    classes = ("shirt", "bag", "boot")
    figure = plots.predictions(images, shares, labels, classes, "Twelve images")
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "Twelve images"
    assert texts(figure)[0] == "bag 80%"
    assert texts(figure)[5].startswith("bag 80%\n") and "boot" in texts(figure)[5]
    whole, bar = figure.axes[0].patches
    assert bar.get_width() == pytest.approx(0.8 * whole.get_width())


def test_an_image_of_one_colour_is_drawn_too():
    images, shares = torch.zeros(12, 1, 8, 8), torch.ones(12, 1)
    plots.predictions(images, shares, [0] * 12, ["bag"])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_there_is_one_histogram_a_layer(count):
    weights = layers(count)
    figure = plots.weight_histograms(weights, title="Weights")
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == count
    for ax, (name, weight) in zip(drawn, weights.items(), strict=True):
        assert ax.get_title() == f"{name.split('.')[-1]}: {weight.numel():,} weights"
        assert sum(bar.get_height() for bar in ax.patches) == weight.numel()


def test_a_threshold_says_how_much_of_each_layer_it_removes():
    weights = {"half": torch.tensor([0.1, -0.1, 1, -1]), "none": torch.ones(4)}
    figure = plots.weight_histograms(weights, threshold=0.5)
    assert texts(figure)[0].endswith("50% removed")
    assert texts(figure)[1].endswith("0% removed")
    for ax in figure.axes[:2]:
        assert sorted(line.get_xdata()[0] for line in ax.lines) == [-0.5, 0.5]


def test_a_layer_whose_weights_are_all_removed_is_drawn_too():
    plots.weight_histograms({"dead": torch.zeros(2, 3)}, threshold=0.1)


def test_numbers_by_layer_stand_beside_a_line_to_compare():
    series = {
        "trained": {"backbone.conv0": 0.1, "classifier": 0.2},
        "at the start": {"backbone.conv0": 0.3, "classifier": 0.4},
    }
    ax = plots.layer_points(series, "spread", "Title", line=(1.0, "N(0, 1)"))
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["conv0", "classifier"]
    assert [line.get_ydata()[0] for line in ax.lines] == [0.1, 0.3, 1.0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["trained", "at the start", "N(0, 1)"]
    markers = {line.get_marker() for line in ax.lines[:2]}
    assert len(markers) == 2, "series differ by more than their colour"


def test_tails_stand_beside_the_normal_curve_of_the_same_spread():
    weight = torch.randn(2_000) * 0.5 + 1
    ax = plots.tails(weight, "Tails")
    assert ax.get_yscale() == "log"
    x, curve = ax.lines[0].get_data()
    assert x[curve.argmax()] == pytest.approx(weight.mean().item(), abs=0.05)
    area = np.trapezoid(curve, x) if hasattr(np, "trapezoid") else np.trapz(curve, x)
    assert area == pytest.approx(1, abs=0.01)


class Drawn:
    """A picture that remembers how often and how exactly it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, bool]] = []
        self.exact = asyncio.Event()

    def __call__(self, value: float, exact: bool) -> Figure:
        self.calls.append((value, exact))
        if exact:
            self.exact.set()
        figure, ax = plt.subplots(figsize=(1, 1))
        ax.set_title(f"{value}")
        return figure


PNG = b"\x89PNG"


def explored(draw):
    return plots.explore(draw, name="share", start=0, stop=1, step=0.1, value=0.5)


def test_a_slider_draws_anew_when_it_is_moved():
    draw = Drawn()
    slider, picture = explored(draw).children
    assert (slider.min, slider.max, slider.step) == (0, 1, 0.1)
    assert draw.calls == [(0.5, True)]
    first = bytes(picture.value)
    assert first.startswith(PNG)
    slider.value = 0.9
    assert draw.calls == [(0.5, True), (0.9, True)]
    assert bytes(picture.value) != first


def test_no_figure_stays_open_to_be_shown_twice():
    slider, _ = explored(Drawn()).children
    slider.value = 0.9
    assert plt.get_fignums() == []


def test_in_a_kernel_a_moving_slider_is_quick_and_a_resting_one_exact(monkeypatch):
    monkeypatch.setattr(sliders, "REST_SECONDS", 0)
    draw = Drawn()

    async def kernel():
        slider, picture = explored(draw).children
        draw.exact.clear()
        for value in (0.6, 0.7, 0.8):
            slider.value = value
        assert bytes(picture.value).startswith(PNG)
        await asyncio.wait_for(draw.exact.wait(), timeout=30)
        assert bytes(picture.value).startswith(PNG)

    asyncio.run(kernel())
    assert draw.calls == [
        (0.5, True),
        (0.6, False),
        (0.7, False),
        (0.8, False),
        (0.8, True),
    ]
    assert plt.get_fignums() == []
