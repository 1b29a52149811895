"""Lab 04's checks, held against right and wrong answers."""

import copy
from decimal import Decimal

import numpy as np
import pytest
import torch
from answers import LabTests, verdict_on
from torch import nn

from labcore.checks import lab04
from labcore.checks.engine.picture import bars_picture
from labcore.nets import VGG


def parts(model, i):
    """conv i, its BatchNorm, the next conv"""
    names = (f"conv{i}", f"bn{i}", f"conv{i + 1}")
    return [getattr(model.backbone, name) for name in names]


def convs(model):
    return [m for m in model.backbone if isinstance(m, nn.Conv2d)]


NORM = ("weight", "bias", "running_mean", "running_var")


def select(model, i, index):
    model = copy.deepcopy(model)
    conv, norm, following = parts(model, i)
    conv.weight = nn.Parameter(conv.weight[index])
    for name in NORM[:2]:
        setattr(norm, name, nn.Parameter(getattr(norm, name)[index]))
    for name in NORM[2:]:
        setattr(norm, name, getattr(norm, name)[index])
    following.weight = nn.Parameter(following.weight[:, index])
    conv.out_channels = norm.num_features = following.in_channels = len(index)
    return model


def select_by_data(model, i, index):
    model = copy.deepcopy(model)
    conv, norm, following = parts(model, i)
    conv.weight.data = conv.weight.data.index_select(0, index)
    for name in NORM:
        values = getattr(norm, name)
        values.data = values.data.index_select(0, index)
    following.weight.data = following.weight.data.index_select(1, index)
    conv.out_channels = len(index)
    norm.num_features = following.in_channels = len(index)
    return model


def select_into_a_new_vgg(model, i, index):
    """A new network of the right shape, filled from the old one's numbers."""
    channels = [conv.out_channels for conv in convs(model)]
    channels[i] = len(index)
    state = {name: values.clone() for name, values in model.state_dict().items()}
    made = VGG(
        in_channels=convs(model)[0].in_channels,
        classes=model.classifier.out_features,
        channels=channels,
    )
    for name in (f"conv{i}.weight", *(f"bn{i}.{part}" for part in NORM)):
        state[f"backbone.{name}"] = state[f"backbone.{name}"][index]
    following = f"backbone.conv{i + 1}.weight"
    state[following] = state[following][:, index]
    made.load_state_dict(state)
    return made.train(model.training)


def select_without_padding(model, i, index):
    made = select(model, i, index)
    parts(made, i)[0].padding = (0, 0)
    return made


def select_for_training(model, i, index):
    return select(model, i, index).train()


def select_plain_tensors(model, i, index):
    model = copy.deepcopy(model)
    for layer in parts(model, i):
        layer.weight = layer.weight[index]
    return model


def select_and_move_index(model, i, index):
    made = select(model, i, index)
    index.add_(1)
    return made


def select_in_conv0(model, i, index):
    return copy.deepcopy(model) if i else select(model, i, index)


def prune(model, prune_ratio, select=select):
    several = isinstance(prune_ratio, list)
    for i, conv in enumerate(convs(model)[:-1]):
        ratio = prune_ratio[i] if several else prune_ratio
        keep = round(conv.out_channels * (1 - ratio))
        model = select(model, i, torch.arange(keep))
    return model


def prune_by_slices(model, prune_ratio):
    model = copy.deepcopy(model)
    count = len(convs(model)) - 1
    ratios = prune_ratio if isinstance(prune_ratio, list) else [prune_ratio] * count
    for i, ratio in enumerate(ratios):
        conv, norm, following = parts(model, i)
        keep = round(conv.out_channels * (1 - ratio))
        conv.weight.data = conv.weight.data[:keep]
        for name in NORM:
            getattr(norm, name).data = getattr(norm, name).data[:keep]
        following.weight.data = following.weight.data[:, :keep]
        conv.out_channels = norm.num_features = following.in_channels = keep
    return model


def prune_into_a_new_vgg(model, prune_ratio):
    return prune(model, prune_ratio, select_into_a_new_vgg)


def prune_by_one_ratio(model, prune_ratio):
    for i, conv in enumerate(convs(model)[:-1]):
        keep = round(conv.out_channels * (1 - prune_ratio))
        model = select(model, i, torch.arange(keep))
    return model


def importance(weight):
    return torch.linalg.vector_norm(weight, dim=(0, 2, 3))


def sort(model):
    for i, following in enumerate(convs(model)[1:]):
        order = importance(following.weight).argsort(descending=True)
        model = select(model, i, order)
    return model


def sort_by_python(model):
    model = copy.deepcopy(model)
    for i in range(len(convs(model)) - 1):
        norms = importance(parts(model, i)[2].weight).tolist()
        order = sorted(range(len(norms)), key=lambda c: norms[c], reverse=True)
        model = select(model, i, torch.tensor(order))
    return model


@torch.no_grad()
def sort_in_a_copy(model):
    """As the public lab does: the values move, the tensors stay."""
    model = copy.deepcopy(model)
    for i in range(len(convs(model)) - 1):
        conv, norm, following = parts(model, i)
        order = torch.argsort(importance(following.weight), descending=True)
        conv.weight.copy_(conv.weight.detach()[order].clone())
        for name in NORM:
            values = getattr(norm, name)
            values.copy_(values.detach()[order].clone())
        following.weight.copy_(following.weight.detach()[:, order].clone())
    return model


def sort_by_the_whole_norm(model):
    for i, following in enumerate(convs(model)[1:]):
        order = following.weight.norm().view(1).argsort(descending=True)
        model = select(model, i, order)
    return model


def to_keep(channels, prune_ratio):
    return round(channels * (1 - prune_ratio))


RIGHT = {
    "get_num_channels_to_keep": [
        ("by round", to_keep),
        ("from the share", lambda c, r: round((1 - r) * c)),
        ("by halves", lambda c, r: int(Decimal(c * (1 - r)).to_integral_value())),
        ("NumPy's integer", lambda c, r: np.int64(np.round(c * (1 - r)))),
        ("integer tensor", lambda c, r: torch.tensor(c * (1 - r)).round().long()),
    ],
    "select_channels": [
        ("by .data", select_by_data),
        ("into a new VGG", select_into_a_new_vgg),
        ("by setattr", select),
    ],
    "channel_prune": [
        ("by slices", prune_by_slices),
        ("into a new VGG", prune_into_a_new_vgg),
        ("by select", prune),
    ],
    "get_input_channel_importance": [
        ("vector_norm", importance),
        ("by squares", lambda w: w.square().sum(dim=(0, 2, 3)).sqrt()),
        ("one by one", lambda w: torch.stack([p.norm() for p in w.unbind(1)])),
    ],
    "apply_channel_sorting": [
        ("by Python's sorted", sort_by_python),
        ("values moved in a copy", sort_in_a_copy),
        ("by select", sort),
    ],
}

ANY, LAYERS = "any convolution", "what the layers report"
WHOLE = "a number of channels is whole: wrap what is rounded in int()"
THREE, TWO_AXES = "three input channels", "norm() takes two axes at most"

WRONG = {
    "get_num_channels_to_keep": [
        ("at least one", lambda c, r: max(1, to_keep(c, r)), "any size", None),
        ("text", lambda c, r: str(to_keep(c, r)), "30 % of 10", "that is text"),
        ("float", lambda c, r: float(to_keep(c, r)), "any size", WHOLE),
        ("NumPy's float", lambda c, r: np.round(c * (1 - r)), "any size", WHOLE),
        ("tensor", lambda c, r: torch.tensor(c * (1 - r)).round(), "any size", WHOLE),
    ],
    "select_channels": [
        ("plain tensors", select_plain_tensors, "shapes", "the error comes from line"),
        ("index moved", select_and_move_index, "shapes", None),
        ("no padding", select_without_padding, LAYERS, None),
        ("training", select_for_training, LAYERS, None),
        ("only conv0", select_in_conv0, ANY, None),
    ],
    "channel_prune": [
        ("no list", prune_by_one_ratio, "a ratio for each", "the error comes from"),
    ],
    "get_input_channel_importance": [
        ("Tensor.norm", lambda w: w.norm(dim=(0, 2, 3)), THREE, TWO_AXES),
        ("torch.norm", lambda w: torch.norm(w, dim=(0, 2, 3)), THREE, TWO_AXES),
        ("corner", lambda w: w[:, :, 0, 0].norm(dim=0), "3x3 kernels", None),
    ],
    "apply_channel_sorting": [
        ("the whole norm", sort_by_the_whole_norm, "shapes", None),
    ],
}


class TestLab04(LabTests):
    lab, right, wrong = lab04, RIGHT, WRONG


@pytest.mark.parametrize(
    ("name", "words", "points"),
    [
        ("channel_prune", "the sizes reported are old", 2),
        ("apply_channel_sorting", "only the first pair is sorted", 3),
        ("apply_channel_sorting", "nothing is sorted", 0),
        ("apply_channel_sorting", "the least important comes first", 0),
    ],
)
def test_the_idea_earns_points_without_the_edge_cases(name, words, points):
    verdict = verdict_on(lab04.EXERCISES[name], words)
    assert verdict.status == ("partial" if points else "failed")
    assert verdict.points == points


def test_a_wrong_order_is_drawn_as_bars():
    verdict = lab04.EXERCISES["apply_channel_sorting"].run(copy.deepcopy)
    picture = verdict.message.split("  picture   ")[1].splitlines()
    assert picture[0] == "conv1: longer = larger, ! differs"
    assert picture[1].split() == ["expected", "yours"]
    due, mine = zip(*(line.split()[:2] for line in picture[2:]), strict=True)
    assert list(due) == sorted(due, key=len, reverse=True)
    assert sorted(due) == sorted(mine) and due != mine
    assert all(line.endswith("!") for line in picture[2:] if len(set(line.split())) > 2)


def test_rows_that_are_long_or_no_numbers_are_not_drawn():
    row = torch.tensor([2.0, 1.0])
    assert bars_picture({"a": row}, {"a": row.flip(0)})
    assert bars_picture({"a": row}, {"a": row}) == []
    assert bars_picture({"a": row}, {"b": row}) == []
    assert bars_picture({"a": torch.ones(9)}, {"a": torch.zeros(9)}) == []
    assert bars_picture({"a": "text"}, {"a": row}) == []
    assert bars_picture(row, row.flip(0)) == []


@pytest.mark.parametrize("ratio", [0.3, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0]])
def test_the_references_hold_on_a_wider_network(ratio):
    """What the checks compare with is itself right: outputs, and the published size."""
    torch.manual_seed(0)
    model = VGG(width=4, in_channels=1).eval()
    images = torch.randn(2, 1, 32, 32)
    small = lab04.channel_prune(model, ratio)
    masked = lab04._prune_masked(model, ratio)
    with torch.no_grad():
        assert torch.allclose(small(images), masked(images), atol=1e-5)
        after = lab04.apply_channel_sorting(model)
        assert torch.allclose(after(images), model(images), atol=1e-5)


def test_the_public_network_at_30_percent_has_the_published_size():
    small = lab04.channel_prune(VGG(width=64), 0.3)
    assert [conv.out_channels for conv in convs(small)] == [
        *(45, 90, 179, 179, 358, 358, 358, 512)
    ]
    assert sum(p.numel() for p in small.parameters()) == 5_013_666
