"""Lab 04's checks, held against right and wrong answers."""

import copy
import math
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import assert_complete, assert_fails, assert_passes, table
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


def spoiled(spoil, select=select):
    """Select rightly, then spoil it: spoil(new parts, old parts, index)."""

    def answer(model, i, index):
        made = select(model, i, index)
        new, old = (SimpleNamespace(**named(m, i)) for m in (made, model))
        spoil(new, old, index)
        return made

    return answer


def named(model, i):
    conv, norm, following = parts(model, i)
    return {"conv": conv, "norm": norm, "next": following, "model": model}


def no_norm(new, old, index):
    for name in NORM:
        setattr(new.norm, name, copy.deepcopy(getattr(old.norm, name)))
    new.norm.num_features = old.norm.num_features


def no_statistics(new, old, index):
    for name in NORM[2:]:
        setattr(new.norm, name, getattr(old.norm, name).clone())


def fresh_norm(new, old, index):
    fresh = nn.BatchNorm2d(len(index))
    for name in NORM:
        setattr(new.norm, name, getattr(fresh, name))


def fresh_statistics(new, old, index):
    new.norm.running_mean = torch.zeros(len(index))
    new.norm.running_var = torch.ones(len(index))


def no_next(new, old, index):
    new.next.weight = copy.deepcopy(old.next.weight)


def rows_of_next(new, old, index):
    new.next.weight = nn.Parameter(old.next.weight[index])


def stale(new, old, index):
    new.conv.out_channels = old.conv.out_channels
    new.norm.num_features = old.norm.num_features
    new.next.in_channels = old.next.in_channels


def stale_conv(new, old, index):
    new.conv.out_channels = old.conv.out_channels


def stale_norm(new, old, index):
    new.norm.num_features = old.norm.num_features


def stale_next(new, old, index):
    new.next.in_channels = old.next.in_channels


def learned_mean(new, old, index):
    new.norm.running_mean = nn.Parameter(new.norm.running_mean)


def learned_statistics(new, old, index):
    for name in NORM[2:]:
        values = nn.Parameter(getattr(new.norm, name), requires_grad=False)
        setattr(new.norm, name, values)


def frozen(new, old, index):
    new.model.requires_grad_(False)


def no_padding(new, old, index):
    new.conv.padding = (0, 0)


def in_training(new, old, index):
    new.model.train()


def reindexed(change):
    """Select other channels: change(index, channels)."""

    def answer(model, i, index):
        return select(model, i, change(index, convs(model)[i].out_channels))

    return answer


def the_others(index, channels):
    listed = index.tolist()
    return torch.tensor([c for c in range(channels) if c not in listed])


@torch.no_grad()
def only_zeroed(model, i, index):
    model = copy.deepcopy(model)
    following = parts(model, i)[2]
    following.weight[:, the_others(index, following.in_channels)] = 0
    return model


def only_silenced(model, i, index):
    """Zero in the BatchNorm instead."""
    model = copy.deepcopy(model)
    norm = parts(model, i)[1]
    for name in NORM[:2]:
        getattr(norm, name).data[the_others(index, norm.num_features)] = 0
    return model


def modules_before_the_copy(model, i, index):
    made = copy.deepcopy(model)
    without_copy(select)(model, i, index)
    return made


def changing_index(change):
    def answer(model, i, index):
        made = select(model, i, index)
        change(index)
        return made

    return answer


def without_copy(answer):
    """The same, in the network handed over itself."""

    def in_place(model, *rest):
        made = answer(model, *rest)
        model.backbone, model.classifier = made.backbone, made.classifier
        return model

    return in_place


def shallow(model, i, index):
    copied = copy.copy(model)
    return without_copy(select)(copied, i, index) and model


def prune(model, prune_ratio, select=select):
    pruned = convs(model)[:-1]
    several = isinstance(prune_ratio, list)
    for i, conv in enumerate(pruned):
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


def prune_with(spoil):
    return lambda model, ratio: prune(model, ratio, spoiled(spoil))


def prune_keeping(count):
    """Keep another number of channels."""

    def answer(model, prune_ratio):
        pruned = convs(model)[:-1]
        if not isinstance(prune_ratio, list):
            prune_ratio = [prune_ratio] * len(pruned)
        for i, (conv, ratio) in enumerate(zip(pruned, prune_ratio, strict=True)):
            keep = count(conv.out_channels, ratio)
            model = select(model, i, torch.arange(keep))
        return model

    return answer


def prune_the_last_channels(model, prune_ratio):
    sizes = [conv.out_channels for conv in convs(model)]
    small = [conv.out_channels for conv in convs(prune(model, prune_ratio))[:-1]]
    for i, (size, keep) in enumerate(zip(sizes, small, strict=False)):
        model = select(model, i, torch.arange(size - keep, size))
    return model


def prune_only(i):
    """Only one of the convolutions: the first (0) or the last possible (-2)."""

    def answer(model, prune_ratio):
        last = len(convs(model)) - 2
        at = 0 if i == 0 else last
        ratio = prune_ratio[at] if isinstance(prune_ratio, list) else prune_ratio
        keep = round(convs(model)[at].out_channels * (1 - ratio))
        return select(model, at, torch.arange(keep))

    return answer


def prune_the_last_conv_too(model, prune_ratio):
    made = prune(model, prune_ratio)
    ratio = prune_ratio[-1] if isinstance(prune_ratio, list) else prune_ratio
    i = len(convs(made)) - 1
    conv, norm = getattr(made.backbone, f"conv{i}"), getattr(made.backbone, f"bn{i}")
    keep = round(conv.out_channels * (1 - ratio))
    conv.weight.data = conv.weight.data[:keep]
    for name in NORM:
        getattr(norm, name).data = getattr(norm, name).data[:keep]
    made.classifier.weight.data = made.classifier.weight.data[:, :keep]
    conv.out_channels = norm.num_features = made.classifier.in_features = keep
    return made


def prune_all_but_the_last_two(model, prune_ratio):
    pruned = convs(model)[:-2]
    several = isinstance(prune_ratio, list)
    for i, conv in enumerate(pruned):
        ratio = prune_ratio[i] if several else prune_ratio
        model = select(model, i, torch.arange(to_keep(conv.out_channels, ratio)))
    return model


def prune_from_a_stack(model, prune_ratio):
    if not isinstance(prune_ratio, list):
        prune_ratio = [prune_ratio] * (len(convs(model)) - 1)
    for i, conv in enumerate(convs(model)[:-1]):
        keep = to_keep(conv.out_channels, prune_ratio.pop(0))
        model = select(model, i, torch.arange(keep))
    return model


def prune_and_forget(model, prune_ratio):
    prune(model, prune_ratio)
    return model


def first_ratio_for_all(model, prune_ratio):
    first = prune_ratio[0] if isinstance(prune_ratio, list) else prune_ratio
    return prune(model, first)


def one_ratio_only(model, prune_ratio):
    return prune_keeping(lambda c, r: round(c * (1 - prune_ratio)))(model, 0.0)


def importance(weight):
    return torch.linalg.vector_norm(weight, dim=(0, 2, 3))


def sort(model, select=select, order=None):
    order = order or (lambda conv, following: -importance(following.weight))
    before = convs(model)
    for i, (conv, following) in enumerate(zip(before, before[1:], strict=False)):
        model = select(model, i, order(conv, following).argsort())
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


def sort_with(spoil):
    return lambda model: sort(model, spoiled(spoil))


def sort_upside_down(model):
    return sort(model, order=lambda conv, following: importance(following.weight))


def sort_by_columns(reduce):
    def order(conv, following):
        return -torch.stack(
            [reduce(part.detach()) for part in following.weight.unbind(1)]
        )

    return lambda model: sort(model, order=order)


def sort_by_norm(model):
    model = copy.deepcopy(model)
    for i in range(len(convs(model)) - 1):
        norm = parts(model, i)[1]
        model = select(model, i, norm.weight.abs().argsort(descending=True))
    return model


def sort_inverted(model):
    return sort(model, lambda model, i, index: select(model, i, index.argsort()))


def sort_first_pair(model):
    index = importance(convs(model)[1].weight).argsort(descending=True)
    return select(model, 0, index)


def sort_last_pair(model):
    index = importance(convs(model)[-1].weight).argsort(descending=True)
    return select(model, len(convs(model)) - 2, index)


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

ANY, LAYERS, COPY = "any convolution", "what the layers report", "a copy"
MASKED = "outputs of the masked dense network"
NO_RETURN = "the function ends without return"
BATCHNORM = "BatchNorm keeps an entry for each channel"
STATISTICS = "running_mean and running_var have one entry a channel: cut"
NEW_NORM = "the BatchNorm is a new one"
REPORT = "the sizes reported are old"
NEW_STATISTICS = "running_mean and running_var are new ones"
HANDED = "the network handed over is changed"
WHOLE = "a number of channels is whole"
OLD = "the network returned is the old one"
FROZEN = "the parameters cannot be trained"
LEARNED = "running_mean and running_var are plain tensors, not parameters"

WRONG = {
    "get_num_channels_to_keep": [
        ("removed", lambda c, r: round(c * r), "30 % of 10", "that is how many go"),
        ("a share", lambda c, r: 1 - r, "30 % of 10", "that is a share"),
        ("int", lambda c, r: int(c * (1 - r)), "30 % of 64", "int() and // cut off"),
        ("a fraction", lambda c, r: c * (1 - r), "30 % of 64", "channels are whole"),
        (
            "ceil",
            lambda c, r: math.ceil(c * (1 - r)),
            "30 % of 256",
            "math.ceil() rounds up",
        ),
        ("other halves", lambda c, r: c - round(c * r), "halves", "round what stays"),
        (
            "halves up",
            lambda c, r: math.floor(c * (1 - r) + 0.5),
            "halves",
            "halves go to the even number",
        ),
        ("at least one", lambda c, r: max(1, to_keep(c, r)), "any size", None),
        ("text", lambda c, r: str(to_keep(c, r)), "30 % of 10", "that is text"),
        ("float", lambda c, r: float(to_keep(c, r)), "any size", WHOLE),
        ("NumPy's float", lambda c, r: np.round(c * (1 - r)), "any size", WHOLE),
        (
            "float tensor",
            lambda c, r: torch.tensor(c * (1 - r)).round(),
            "any size",
            WHOLE,
        ),
    ],
    "select_channels": [
        ("nothing", lambda model, i, index: None, "shapes", NO_RETURN),
        ("no BatchNorm", spoiled(no_norm), "shapes", BATCHNORM),
        ("no statistics", spoiled(no_statistics), "shapes", STATISTICS),
        ("new BatchNorm", spoiled(fresh_norm), "the channels that stay", NEW_NORM),
        (
            "new statistics",
            spoiled(fresh_statistics),
            "the channels that stay",
            NEW_STATISTICS,
        ),
        ("next stays", spoiled(no_next), "shapes", "the next convolution still"),
        ("rows of next", spoiled(rows_of_next), "shapes", "weight[index] cuts rows"),
        ("the others", reindexed(the_others), "shapes", "index lists what stays"),
        (
            "the first ones",
            reindexed(lambda index, channels: torch.arange(len(index))),
            "the channels that stay",
            "you keep the first len(index) channels",
        ),
        (
            "the old order",
            reindexed(lambda index, channels: index.sort().values),
            "another order",
            "the order counts",
        ),
        ("zeroed", only_zeroed, "shapes", "the channels are zero, but still there"),
        ("stale", spoiled(stale), LAYERS, REPORT),
        ("stale conv", spoiled(stale_conv), LAYERS, "out_channels of the convolution"),
        ("stale norm", spoiled(stale_norm), LAYERS, "num_features of the BatchNorm"),
        ("stale next", spoiled(stale_next), LAYERS, "in_channels of the next"),
        ("silenced", only_silenced, "shapes", "the channels are zero, but still"),
        ("modules before the copy", modules_before_the_copy, "shapes", OLD),
        ("unchanged copy", lambda m, i, x: copy.deepcopy(m), "shapes", OLD),
        (
            "one less",
            reindexed(lambda index, channels: index[:-1]),
            "shapes",
            "a channel of index is missing",
        ),
        ("always conv0", lambda m, i, x: select(m, 0, x), ANY, "you cut convolution 0"),
        ("learned mean", spoiled(learned_mean), LAYERS, LEARNED),
        ("learned statistics", spoiled(learned_statistics), LAYERS, LEARNED),
        (
            "index sorted",
            changing_index(lambda index: index.copy_(index.sort().values)),
            "another order",
            "index itself is changed",
        ),
        ("index moved", changing_index(lambda index: index.add_(1)), "shapes", None),
        ("frozen", spoiled(frozen), LAYERS, FROZEN),
        ("no padding", spoiled(no_padding), LAYERS, None),
        ("training", spoiled(in_training), LAYERS, None),
        ("no copy", without_copy(select), COPY, HANDED),
        (
            "only conv0",
            lambda m, i, index: copy.deepcopy(m) if i else select(m, i, index),
            ANY,
            None,
        ),
    ],
    "channel_prune": [
        ("nothing", lambda model, ratio: None, "shapes", NO_RETURN),
        ("identity", lambda m, r: copy.deepcopy(m), "shapes", OLD),
        ("forgotten", prune_and_forget, "shapes", OLD),
        (
            "zeroed",
            lambda m, r: prune(m, r, only_zeroed),
            "shapes",
            "the channels are still there",
        ),
        (
            "all but two",
            prune_all_but_the_last_two,
            "shapes",
            "[:-1] leaves out the last convolution; you leave out the last two",
        ),
        ("learned mean", prune_with(learned_mean), LAYERS, LEARNED),
        ("frozen", prune_with(frozen), LAYERS, FROZEN),
        ("pop", prune_from_a_stack, "a ratio for each", "the list handed over"),
        (
            "the share stays",
            prune_keeping(lambda c, r: round(c * r)),
            "rounding",
            "prune_ratio is the share that goes",
        ),
        (
            "last conv",
            prune_the_last_conv_too,
            "shapes",
            "you prune the last convolution",
        ),
        ("first only", prune_only(0), "shapes", "only the first convolution"),
        ("last only", prune_only(-2), "shapes", "only the last pair"),
        ("last channels", prune_the_last_channels, MASKED, "the first channels stay"),
        (
            "int",
            prune_keeping(lambda c, r: int(c * (1 - r))),
            "rounding",
            "int() cuts off",
        ),
        ("no BatchNorm", prune_with(no_norm), "shapes", BATCHNORM),
        ("no statistics", prune_with(no_statistics), "shapes", STATISTICS),
        ("new BatchNorm", prune_with(fresh_norm), MASKED, NEW_NORM),
        ("new statistics", prune_with(fresh_statistics), MASKED, NEW_STATISTICS),
        ("stale", prune_with(stale), LAYERS, REPORT),
        ("first ratio", first_ratio_for_all, "a ratio for each", "every convolution"),
        ("no list", one_ratio_only, "a ratio for each", "the error comes from"),
        ("no copy", without_copy(prune), COPY, HANDED),
    ],
    "get_input_channel_importance": [
        (
            "outputs",
            lambda w: w.square().sum((1, 2, 3)).sqrt(),
            "three input channels",
            "that is one number for each output channel",
        ),
        (
            "the whole weight",
            lambda w: w.norm(),
            "three input channels",
            "that is one number for the whole weight",
        ),
        (
            "no root",
            lambda w: w.square().sum((0, 2, 3)),
            "three input channels",
            "the root is missing",
        ),
        (
            "L1",
            lambda w: w.abs().sum((0, 2, 3)),
            "three input channels",
            "that is the sum of magnitudes",
        ),
        (
            "mean",
            lambda w: w.abs().mean((0, 2, 3)),
            "three input channels",
            "that is the mean of the magnitudes",
        ),
        (
            "largest",
            lambda w: w.abs().amax((0, 2, 3)),
            "three input channels",
            "that is the largest magnitude",
        ),
        (
            "sum",
            lambda w: w.sum((0, 2, 3)),
            "three input channels",
            "that is a plain sum",
        ),
        (
            "root of the mean",
            lambda w: w.square().mean((0, 2, 3)).sqrt(),
            "three input channels",
            "that is a mean",
        ),
        (
            "kernels",
            lambda w: w.norm(dim=(2, 3)),
            "three input channels",
            "that is a norm for each kernel",
        ),
        (
            "norm with three axes",
            lambda w: w.norm(dim=(0, 2, 3)),
            "three input channels",
            "norm() takes two axes at most; torch.linalg.vector_norm takes three",
        ),
        (
            "torch.norm with three axes",
            lambda w: torch.norm(w, dim=(0, 2, 3)),
            "three input channels",
            "norm() takes two axes at most",
        ),
        (
            "double",
            lambda w: importance(w.double()),
            "three input channels",
            "right, but in float64",
        ),
        (
            "centre of the kernel",
            lambda w: w[:, :, 0, 0].norm(dim=0),
            "3x3 kernels",
            None,
        ),
    ],
    "apply_channel_sorting": [
        ("nothing", lambda model: None, "shapes", NO_RETURN),
        ("identity", copy.deepcopy, "one pair", "nothing is sorted"),
        (
            "ascending",
            sort_upside_down,
            "one pair",
            "the least important comes first",
        ),
        (
            "whole norm",
            lambda m: sort(m, order=lambda conv, n: n.weight.norm().view(1)),
            "shapes",
            None,
        ),
        ("no BatchNorm", sort_with(no_norm), "outputs", "BatchNorm has one entry"),
        (
            "no statistics",
            sort_with(no_statistics),
            "outputs",
            "running_mean and running_var have one entry a channel: reorder",
        ),
        ("next stays", sort_with(no_next), "outputs", "the next convolution does not"),
        (
            "by its own rows",
            lambda m: sort(m, order=lambda c, n: -c.weight.flatten(1).norm(dim=1)),
            "one pair",
            "that sorts by the layer's own rows",
        ),
        ("inverted", sort_inverted, "one pair", "you invert the permutation"),
        (
            "L1",
            sort_by_columns(lambda part: part.abs().sum()),
            "one pair",
            "that sorts by the sum of magnitudes",
        ),
        (
            "largest",
            sort_by_columns(lambda part: part.abs().max()),
            "one pair",
            "that sorts by the largest magnitude",
        ),
        ("by BatchNorm", sort_by_norm, "one pair", "that sorts by the BatchNorm's"),
        (
            "one less",
            lambda m: sort(m, lambda m, i, index: select(m, i, index[:-1])),
            "shapes",
            "a channel is missing",
        ),
        ("learned mean", sort_with(learned_mean), "five convolutions", LEARNED),
        ("frozen", sort_with(frozen), "five convolutions", FROZEN),
        ("first pair", sort_first_pair, "every pair", "only the first pair"),
        ("last pair", sort_last_pair, "every pair", "only the last pair"),
        ("no copy", without_copy(sort), COPY, HANDED),
    ],
}


@table(RIGHT)
def test_right_answers_pass(exercise, answer):
    assert_passes(lab04.EXERCISES[exercise], answer)


@table(WRONG)
def test_wrong_answers_fail_at_their_step_with_their_cause(
    exercise, answer, title, likely
):
    assert_fails(lab04.EXERCISES[exercise], answer, title, likely)


def test_every_exercise_and_every_known_mistake_is_tried():
    assert_complete(lab04.EXERCISES, RIGHT, WRONG)


def test_the_points_are_twenty():
    assert sum(exercise.points for exercise in lab04.EXERCISES.values()) == 20


def test_the_idea_earns_points_without_the_edge_cases():
    verdict = lab04.EXERCISES["channel_prune"].run(prune_with(stale))
    assert (verdict.status, verdict.points, verdict.of) == ("partial", 2, 4)
    verdict = lab04.EXERCISES["apply_channel_sorting"].run(sort_first_pair)
    assert (verdict.status, verdict.points, verdict.of) == ("partial", 3, 5)


def test_sorting_nothing_or_upside_down_earns_nothing():
    for answer in (lambda model: model, copy.deepcopy, sort_upside_down):
        verdict = lab04.EXERCISES["apply_channel_sorting"].run(answer)
        assert (verdict.status, verdict.points) == ("failed", 0)


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
