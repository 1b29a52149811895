"""Pictures of a network, of a convolution, and of what fits into memory."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from test_plots import titles

from labcore import plots
from labcore.nets import VGG, layers, output_shapes
from labcore.plots.style import LIT

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

SHAPES = {"image": (1, 32, 32), "backbone.conv0": (16, 32, 32), "classifier": (10,)}


def test_the_shapes_are_those_of_the_layers_outputs_and_the_network_stays_as_it_was():
    model = VGG(width=2, in_channels=1).eval()
    shapes = output_shapes(model, torch.zeros(3, 1, 32, 32))
    assert list(shapes) == ["image", *layers(model)]
    assert shapes["image"] == (1, 32, 32)
    assert shapes["backbone.conv1"] == (4, 32, 32)
    assert shapes["backbone.conv7"] == (16, 4, 4)
    assert shapes["classifier"] == (10,)
    assert not any(m._forward_hooks for m in model.modules())


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_each_layer_is_a_block_with_its_name_and_output():
    figure = plots.network_picture(SHAPES)
    (ax,) = figure.axes
    assert texts(ax) == ["image\n1 × 32 × 32", "conv0\n16 × 32 × 32", "classifier\n10"]
    fronts = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    tall = [front.get_height() for front in fronts]
    wide = [front.get_width() for front in fronts]
    assert tall[0] == tall[1] > tall[2]
    assert wide[1] > wide[2] > wide[0]


def test_values_stand_below_the_layers_that_have_one():
    values = {"backbone.conv0": 0.5625, "classifier": 1280}
    figure = plots.network_picture(SHAPES, values, "KiB of weights")
    _, below = figure.axes
    assert [bar.get_height() for bar in below.patches] == [0.5625, 1280]
    assert texts(below) == ["0.56", "1,280"]
    assert [label.get_text() for label in below.get_xticklabels()] == [
        "conv0",
        "classifier",
    ]
    assert "KiB of weights: conv0 0.56, classifier 1,280" in figure.description


def lit(ax) -> int:
    return sum(to_hex(patch.get_facecolor()) == LIT for patch in ax.patches)


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (2, 3, 1, 2), (1, 1, 3, 3)])
def test_one_output_lights_the_weights_that_make_it(shape):
    outputs, inputs, high, wide = shape
    figure = plots.convolution_picture(np.ones(shape), lit=outputs - 1)
    left, middle, right = figure.axes
    assert len(middle.patches) == np.prod(shape)
    assert lit(middle) == lit(left) == inputs * high * wide
    assert lit(right) == 1
    assert f"its {inputs * high * wide} weights" in figure.description


def test_memory_that_does_not_fit_is_dark_and_said_to_be_too_large():
    needs = {"flash": {"dense": 2261, "pruned": 226}, "RAM": {"dense": 192}}
    figure = plots.memory_bars(needs, {"flash": 256, "RAM": 64})
    assert titles(figure) == ["flash", "RAM"]
    too_large, fits = figure.axes[0].patches
    assert sum(too_large.get_facecolor()[:3]) < sum(fits.get_facecolor()[:3])
    assert figure.axes[0].lines[0].get_xdata()[0] == 256
    assert "dense 2,261 KiB (too large), pruned 226 KiB (fits)" in figure.description
