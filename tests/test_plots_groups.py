"""Figures of coupled channels, drawn from plain data."""

import pytest
from matplotlib.colors import to_hex
from test_plots import lines

from labcore import plots
from labcore.plots.groups import COLOURS

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

PATH = ["conv1", "bn1", "conv2", "add", "last"]
SHORTCUTS = {"add": ("bn1", ["side"])}
GROUPS = [
    {("conv1", 0), ("bn1", 0), ("conv2", 1), ("side", 1)},
    {("conv2", 0), ("side", 0), ("last", 1)},
]


def graph():
    return plots.group_graph(PATH, SHORTCUTS, GROUPS, whole={"bn1"})


def halves(figure):
    """The colour of each side of each box: the number of its group, or None."""
    numbers = {colour: i for i, colour in enumerate(COLOURS)}
    boxes = [patch for patch in figure.axes[0].patches if patch.get_gid()]
    return {
        patch.get_gid(): numbers.get(to_hex(patch.get_facecolor())) for patch in boxes
    }


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_each_side_of_a_layer_has_the_colour_of_its_group():
    figure = graph()
    sides = {"conv1": (None, 0), "conv2": (0, 1), "side": (0, 1), "last": (1, None)}
    expected = {
        f"{n} {axis}": pair[1 - axis] for n, pair in sides.items() for axis in (0, 1)
    }
    assert halves(figure) == expected | {"bn1 0": 0}


def test_letters_say_the_groups_without_colours():
    shown = texts(graph())
    assert shown.count("A") == len(GROUPS[0]) and shown.count("B") == len(GROUPS[1])
    assert shown.count("+") == 1 and {"conv1", "side"} <= set(shown)


def test_the_left_half_reads_and_the_right_half_puts_out():
    boxes = {p.get_gid(): p for p in graph().axes[0].patches if p.get_gid()}
    assert boxes["conv2 1"].get_x() < boxes["conv2 0"].get_x()
    assert boxes["bn1 0"].get_width() == 2 * boxes["conv2 0"].get_width()


def test_the_alt_text_names_layers_shortcuts_and_members():
    said = graph().description
    assert said.startswith("5 layers, 1 addition: conv1, bn1, conv2, add, last.")
    assert "A shortcut leads from bn1 to add through side." in said
    assert (
        "Group A, 4 members: the outputs of bn1, conv1; the inputs of conv2, side."
        in said
    )


def test_the_alt_text_of_shares_has_the_numbers_of_channels():
    figure = plots.kept_shares({"one": [8, 12]}, [16, 16], ["a", "b"]).figure
    assert "for the layers a (16), b (16)" in figure.description
    assert "Channels kept: one 8, 12." in figure.description


def test_shares_are_kept_channels_over_the_dense_ones():
    counts = {"one": [8, 12], "other": [4, 16]}
    ax = plots.kept_shares(counts, [16, 16], ["a", "b"])
    drawn = lines(ax)
    assert list(drawn["one"].get_ydata()) == [0.5, 0.75]
    assert list(drawn["other"].get_ydata()) == [0.25, 1.0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a\n16", "b\n16"]
    assert ax.get_ylim()[0] == 0
