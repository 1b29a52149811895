"""What holds for every figure of the course, and the sliders above them.

A new figure needs one line in EXAMPLES. What a figure shows is tested in the file
named after its module.
"""

import asyncio
import base64
import functools
import inspect
import itertools
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, ScalarFormatter, StrMethodFormatter
from nbformat.v4 import new_code_cell, new_notebook

from labcore import plots
from labcore.plots import alt, sliders, style
from labcore.staff.authoring.execute import client_for
from labcore.staff.authoring.outputs import FIGURE

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(4, 5))
MASK = np.abs(WEIGHT) > 0.5
LAYERS = {f"backbone.conv{i}": RANDOM.normal(size=(8, 9)) for i in range(4)}
SHARES = {name: 0.25 for name in LAYERS}
LEVELS = (0.0, 0.5, 0.9)
FALLING = dict(zip(LEVELS, (1.0, 0.6, 0.2), strict=True))
ACCURACIES = dict.fromkeys(LAYERS, dict(zip(LEVELS, (90, 80, 10), strict=True)))
INTERVALS = dict.fromkeys(LAYERS, dict.fromkeys(LEVELS, (8, 92)))
THREE_SEEDS = {name: RANDOM.uniform(50, 90, size=(3, 3)) for name in "abc"}
TABLE = {name: {"random": [10, 12], "size": [60, 65]} for name in ("uniform", "ERK")}
DENSE_LAYER = {"parameters": ["weight", "bias"], "hooks": []}
PRUNED_LAYER = {"parameters": ["weight_orig", "bias"], "hooks": ["L1Unstructured"]}
PATH = ["conv1", "bn1", "conv2", "add", "last"]
COUPLED = [{("conv1", 0), ("bn1", 0), ("conv2", 1), ("side", 1)}, {("last", 1)}]
FRONT = {"uniform": [(10, 30), (20, 50)], "global": [(10, 40), (20, 80)]}

# name of the function -> its arguments without the title
EXAMPLES = {
    "bit_bars": ({"gzip": 1.9, "TinyLM": 1.2}, 1.2),
    "bit_curves": ([0.3, 0.5], {"magnitude": [1.3, 1.4], "Wanda": [1.3, 1.5]}, 1.2),
    "bit_table": ({"row": {"magnitude": 1.4, "Wanda": 1.3}}, 1.2),
    "completions": ("def f(x):", {"dense": " return 2", "pruned": " retrun 2x"}),
    "channel_places": (WEIGHT, {"weight": [1, 2, 3, 4]}, WEIGHT.T, [1]),
    "convolution_picture": (np.ones((3, 2, 3, 3)), 1),
    "cost_bars": ({"MACs": 0.5, "time": 1.2},),
    "cost_shares": ({"MACs": FALLING, "time": FALLING}, FALLING),
    "curves_by_weights_left": ([50, 25, 4], THREE_SEEDS, [81, 83], "accuracy, %"),
    "cut_curves": (LEVELS, {"as cut": THREE_SEEDS, "measured": THREE_SEEDS}, 92, 10),
    "density_map": (
        {"uniform": {"fc1": 0.2, "fc2": 0.2}, "SNIP": {"fc1": 0, "fc2": 1}},
    ),
    "filter_masks": ({"all": np.ones((2, 3, 3, 3)), "none": np.zeros((2, 3, 3, 3))},),
    "group_graph": (PATH, {"add": ("bn1", ["side"])}, COUPLED, {"bn1"}),
    "kept_shares": ({"one": [8, 12], "two": [4, 16]}, [16, 16], ["conv0", "conv1"]),
    "layer_curves": (ACCURACIES, INTERVALS, 91, SHARES),
    "layer_points": ({"trained": SHARES, "at the start": SHARES}, "spread"),
    "loop_picture": ({"loss": "a()", "step": "b()", "mask": "c()"}, ["mask"]),
    "mask_by_rank": (WEIGHT, MASK),
    "mask_grid": ({"rows": [MASK, ~MASK], "columns": [MASK], "both": [MASK]},),
    "memory_bars": ({"flash": {"dense": 2261, "pruned": 226}}, {"flash": 256}),
    "memory_map": ({"flash": {"code": 7000, "conv0": 90000}}, {"flash": 65536}),
    "memory_steps": ({"conv0": (4, 64), "pool0": (64, 16), "fc": (0.5, 0.04)}, 64),
    "module_parts": ({"before": DENSE_LAYER, "after": PRUNED_LAYER},),
    "network_picture": (
        {"image": (1, 32, 32), "backbone.conv0": (16, 32, 32), "classifier": (10,)},
        {"backbone.conv0": 0.56, "classifier": 5},
        "KiB of weights",
    ),
    "order_curves": ({"a": [FALLING], "b": [FALLING] * 3}, 92, 10, "removed, %"),
    "pairwise_order": ({"a": [80, 81], "b": [10, 20], "c": [15, 70]},),
    "pareto": ({"before": FRONT, "after": FRONT}, (100, 92), 15),
    "plan_picture": (SHARES, SHARES, 1, -20, 70, 2),
    "prediction_errors": (LEVELS, [90, 60, -30], [91, 40, 12]),
    "predictions": (RANDOM.uniform(size=(12, 1, 8, 8)), np.eye(12), [1] * 12, PATH * 3),
    "ram_curves": ({"zeros": {0: 192, 0.9: 192}, "channels": {0: 192, 0.5: 96}}, 64),
    "recovery": ({"pruned": 46.4, "tuned": 94.1}, {"pruned": 1, "tuned": 1}, 94.5),
    "removal_curves": ({"one": FALLING, "own": FALLING}, 94),
    "road": ([0, 0.5, 1], THREE_SEEDS),
    "roofline": ([1, 64], [(0.5, 4e9), (30.0, 6e10)], 1e11, 1e10),
    "round_curves": (
        {"planned": [0.5, 0.98], "reached": [0.5, 0.7]},
        "epoch",
        "sparsity",
    ),
    "score_table": (
        {"before": TABLE, "after": TABLE},
        [82, 83],
    ),
    "size_curves": (LEVELS, {"formula": (90, 50, 10), "CSR": (180, 95, 20)}, 25, 90),
    "soft_labels": (
        WEIGHT[None],
        {"T = 1": [0.9, 0.1], "T = 4": [0.6, 0.4]},
        ["bag", "boot"],
    ),
    "speedups": ({"CSR": {0.5: 0.3, 0.9: 1.4}, "channels": {0.5: 1.9, 0.9: 8}},),
    "tails": (WEIGHT,),
    "time_by_channels": ({30: 0.9, 32: 0.8, 48: 1}, 16),
    "value_bars": ({"ticket": 83.3, "start": 61}, {"ticket": 1, "start": 1}),
    "weight_histograms": (LAYERS, 0.5),
    "what_did_it": (
        ["as cut", "trained"],
        {"sorted": [46, 94], "first": [25, 93]},
        {"first": (-0.6, 0.4)},
        94.5,
    ),
    "work_by_layer": ({"dense": {"conv0": 2.0, "conv1": 9.5}}, "million instructions"),
    "zero_curves": ({"mask held": [1, 1], "mask not held": [1, 0]},),
}
every_figure = pytest.mark.parametrize("name", EXAMPLES)


@functools.cache
def drawn(name: str) -> Figure:
    """The example, drawn once for all tests; a warning is an error."""
    function = getattr(plots, name)
    titled = "title" in inspect.signature(function).parameters
    result = function(*EXAMPLES[name], **({"title": "A title"} if titled else {}))
    figure = result if isinstance(result, Figure) else result.figure
    assert figure.get_suptitle() == ("A title" if titled else "")
    figure.canvas.draw()
    return figure


def visible_axes(name: str):
    return [ax for ax in drawn(name).axes if ax.axison]


def legends(name: str):
    found = [ax.get_legend() for ax in drawn(name).axes]
    return [legend for legend in found if legend]


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines(ax) -> dict[str, Line2D]:
    """The drawn series by their labels."""
    return {line.get_label(): line for line in ax.lines}


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def test_every_figure_has_an_example():
    assert set(EXAMPLES) == set(plots.__all__) - {"explore", "explore_each"}


@every_figure
def test_nothing_is_cut_off(name):
    figure = drawn(name)
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) > -0.01
    assert box.x1 < width + 0.01 and box.y1 < height + 0.01


@every_figure
def test_a_figure_has_the_style_of_the_course(name):
    assert drawn(name).dpi == style.STYLE["figure.dpi"]
    for ax in visible_axes(name):
        assert not ax.spines["top"].get_visible()
        assert not ax.spines["right"].get_visible()
    for each in legends(name):
        assert not each.get_frame_on()


@every_figure
def test_an_axis_with_numbers_says_what_they_are(name):
    numeric = (ScalarFormatter, LogFormatter, StrMethodFormatter)
    for ax, which in itertools.product(visible_axes(name), "xy"):
        if isinstance(getattr(ax, f"{which}axis").get_major_formatter(), numeric):
            shared = getattr(ax, f"get_shared_{which}_axes")().get_siblings(ax)
            labels = [getattr(each, f"get_{which}label")() for each in shared]
            labels.append(getattr(ax.figure, f"get_sup{which}label")())
            assert any(labels), f"{which} axis of the panel {ax.get_title()!r}"


@every_figure
def test_what_a_legend_names_can_be_told_apart_in_grey(name):
    for each in legends(name):
        curves = [h for h in each.legend_handles if isinstance(h, Line2D)]
        areas = [h for h in each.legend_handles if not isinstance(h, Line2D)]
        looks = {(line.get_marker(), line.get_linestyle()) for line in curves}
        shades = {grey(area.get_facecolor()) for area in areas}
        assert len(looks) == len(curves) and len(shades) == len(areas)


def grey(colour) -> float:
    """From 0, black, to 1, white, in steps of a tenth."""
    return round(np.ravel(colour)[:3] @ (0.299, 0.587, 0.114), 1)


@every_figure
def test_the_first_series_has_the_first_style_and_so_on(name):
    expected = style.SERIES.by_key()["marker"]
    for each in legends(name):
        curves = [h for h in each.legend_handles if isinstance(h, Line2D)]
        markers = [line.get_marker() for line in curves]
        markers = [marker for marker in markers if marker not in ("", "None")]
        assert markers == expected[: len(markers)]


@every_figure
def test_a_figure_says_what_it_shows_in_a_sentence_with_its_numbers(name):
    said = drawn(name).description
    assert len(said.split()) >= 8 and re.search(r"\d", said)
    assert said.endswith(".") and "nan" not in said


def test_a_figure_is_put_out_as_an_image_with_its_alt_text():
    figure = style.new_figure("A <title>", 1, 1)
    alt.describe(figure, 'It says "12 %".')
    assert alt.alt_text(figure) == 'A <title>. It says "12 %"'
    text = alt.image_html(figure)
    assert 'alt="A &lt;title&gt;. It says &quot;12 %&quot;"' in text
    assert base64.b64decode(FIGURE.search(text)[1]).startswith(b"\x89PNG")


def test_a_notebook_shows_every_figure_not_only_the_first(tmp_path):
    draw = "figure = plots.memory_bars({'flash': {'dense': 3}}, {'flash': 2})"
    cells = [new_code_cell(f"from labcore import plots\n{draw}"), new_code_cell(draw)]
    nb = new_notebook(cells=cells)
    client_for(nb, tmp_path).execute()
    assert [len(cell.outputs) for cell in nb.cells] == [1, 1]


def test_seven_series_differ_by_marker_and_by_colour():
    styles = style.SERIES.by_key()
    assert len(set(styles["marker"])) == len(set(styles["color"])) == 7


def test_figures_of_the_learner_keep_their_own_style():
    plots.zero_curves({"mask held": [1, 1]})
    for setting in style.STYLE:
        assert matplotlib.rcParams[setting] == matplotlib.rcParamsOrig[setting]


@pytest.mark.parametrize(
    ("value", "text"), [(100, "100"), (99.7, "100"), (12.3, "12"), (0.0346, "0.035")]
)
def test_two_digits_are_never_written_as_a_power_of_ten(value, text):
    assert style.two_digits(value) == text


class Drawn:
    """A picture that remembers how often and how exactly it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, bool]] = []
        self.exact = asyncio.Event()

    def __call__(self, value, exact: bool) -> Figure:
        self.calls.append((value, exact))
        if exact:
            self.exact.set()
        figure, ax = plt.subplots(figsize=(1, 1))
        ax.set_title(f"{value}")
        return figure


IMAGE = '<div role="status"><img alt="'


def parts(explorer):
    """((number, slider), picture)"""
    controls, picture = explorer.children
    return controls.children, picture


def explored(draw, step=0.1):
    return plots.explore(draw, name="share", start=0, stop=1, step=step, value=0.5)


def test_a_slider_draws_again_when_it_is_moved():
    draw = Drawn()
    (number, slider), picture = parts(explored(draw))
    assert (slider.min, slider.max, slider.step) == (0, 1, 0.1)
    assert draw.calls == [(0.5, True)]
    first = picture.value
    assert first.startswith(IMAGE)
    slider.value = 0.9
    assert draw.calls == [(0.5, True), (0.9, True)]
    assert picture.value != first


def test_a_number_can_be_typed_instead():
    draw = Drawn()
    (number, slider), _ = parts(explored(draw))
    assert number.description == "share", "what a screen reader says"
    number.value = 0.7
    assert slider.value == 0.7
    assert draw.calls == [(0.5, True), (0.7, True)]


def test_a_slider_that_adds_up_steps_shows_a_short_number():
    (number, slider), _ = parts(explored(Drawn()))
    slider.value = 0.1 + 0.2
    assert number.value == 0.3


def test_no_figure_stays_open_to_be_shown_twice():
    (_, slider), _ = parts(explored(Drawn()))
    slider.value = 0.9
    assert plt.get_fignums() == []


def test_each_name_has_a_list_and_the_picture_gets_the_values_of_all():
    draw = Drawn()
    values = {"backbone.conv0": 0.0, "classifier": 0.5}
    row, picture = plots.explore_each(
        draw, values=values, options=[0.0, 0.3, 0.5]
    ).children
    assert [slider.description for slider in row.children] == ["conv0", "classifier"]
    first = picture.value
    row.children[1].value = 0.3
    row.children[0].value = 0.5
    assert draw.calls == [
        ({"backbone.conv0": 0.0, "classifier": 0.5}, True),
        ({"backbone.conv0": 0.0, "classifier": 0.3}, True),
        ({"backbone.conv0": 0.5, "classifier": 0.3}, True),
    ]
    assert picture.value != first


def test_in_a_kernel_a_moving_slider_is_quick_and_a_resting_one_exact(monkeypatch):
    monkeypatch.setattr(sliders, "REST_SECONDS", 0)
    draw = Drawn()

    async def kernel():
        (number, slider), picture = parts(explored(draw))
        draw.exact.clear()
        for value in (0.6, 0.7, 0.8):
            slider.value = value
        assert picture.value.startswith(IMAGE)
        await asyncio.wait_for(draw.exact.wait(), timeout=30)
        assert picture.value.startswith(IMAGE)

    asyncio.run(kernel())
    assert draw.calls == [
        (0.5, True),
        (0.6, False),
        (0.7, False),
        (0.8, False),
        (0.8, True),
    ]
    assert plt.get_fignums() == []
