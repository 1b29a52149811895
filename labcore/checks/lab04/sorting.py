"""Exercises 4.2 and 4.3: how important a channel is, and channels sorted by it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.likeness import NO_RETURN
from labcore.checks.engine.returned import drawn, input_afterwards, of_network
from labcore.checks.engine.trial import Trial, Wrong
from labcore.checks.lab04.cutting import select_channels
from labcore.checks.lab04.networks import (
    any_net,
    convs,
    layers,
    net,
    put_back,
    scores,
    shapes,
)
from labcore.checks.lab04.places import (
    FROZEN,
    IN_PLACE,
    LEARNED,
    NEW_LAYER,
    TRAINING,
    Change,
    Place,
    cut_but,
    frozen,
    learned,
    new_layer,
    place_of,
    whole_following,
    whole_norm,
    whole_statistics,
)
from labcore.nets import VGG

__all__ = ["apply_channel_sorting", "get_input_channel_importance", "lab"]

lab = Lab(__package__)


@lab.exercise("4.2", points={"idea": 1, "any kernel": 1})
def get_input_channel_importance(weight: Tensor) -> Tensor:
    inputs = range(weight.shape[1])
    squares = [sum(v * v for v in weight[:, i].flatten().tolist()) for i in inputs]
    return torch.tensor([total**0.5 for total in squares])


def _importance(answer: Callable, weight: Tensor):
    """the importances"""
    result = answer(weight)
    if isinstance(result, Tensor) and result.is_floating_point():
        return result.detach().float()  # float64 is as good
    return result


@lab.step("idea", "three input channels")
def _(ask: Trial) -> None:
    weight = torch.zeros(2, 3, 3, 3)
    weight[0, 0, 1, :2], weight[1, 0, 2, 2] = torch.tensor([3.0, -4.0]), 12.0
    weight[0, 1, 0, 1:], weight[0, 1, 2, 0] = torch.tensor([2.0, 1.0]), -2.0
    weight[1, 1, 1, 1], weight[0, 2, 2, 1] = -4.0, -1.0
    weight[1, 2, 1] = torch.tensor([1.0, -1.0, 1.0])
    try:
        ask.through(_importance, weight)
    except Wrong as wrong:
        if "2-tuple" not in wrong.lines.get("got", ""):
            raise
        likely = "norm() takes two axes at most; torch.linalg.vector_norm takes three"
        ask.wrong(**wrong.lines | {"likely": likely})


@lab.step("any kernel", "drawn weights")
def _(ask: Trial) -> None:
    ask.through(_importance, torch.randn((2, 3, 3, 3), generator=ask.rng))


@lab.step("any kernel", "a parameter")
def _(ask: Trial) -> None:
    weight = nn.Parameter(torch.randn((4, 2, 3, 3), generator=ask.rng))
    ask.through(_importance, weight)
    ask.through(_weight_afterwards, weight)


@lab.step("any kernel", "any shape")
def _(ask: Trial) -> None:
    for _ in range(4):
        shape = torch.randint(1, 6, (4,), generator=ask.rng).tolist()
        ask.through(_importance, torch.randn(shape, generator=ask.rng))


def _weight_afterwards(answer: Callable, weight: Tensor):
    """the weight afterwards"""
    answer(weight)
    return weight.detach()


def reduced(reduce: Callable[[Tensor], Tensor]) -> Callable:
    """Another number for each input channel."""
    return lambda w: torch.stack([reduce(w[:, i].detach()) for i in range(w.shape[1])])


lab.mistake(
    "that is one number for each output channel; the inputs are the second axis",
    lambda weight: get_input_channel_importance(weight.transpose(0, 1)),
)
lab.mistake(
    "that is one number for the whole weight: return one for each input channel",
    lambda weight: weight.detach().norm(),
)
lab.mistake(
    "the root is missing: the norm is the root of the sum of squares",
    reduced(lambda part: part.square().sum()),
)
lab.mistake(
    "that is the sum of magnitudes: the Frobenius norm squares them first",
    reduced(lambda part: part.abs().sum()),
)
lab.mistake(
    "that is the mean of the magnitudes: the Frobenius norm squares them first",
    reduced(lambda part: part.abs().mean()),
)
lab.mistake(
    "that is the largest magnitude: the Frobenius norm takes all of them",
    reduced(lambda part: part.abs().max()),
)
lab.mistake(
    "that is a plain sum, in which +1 and -1 cancel: square first",
    reduced(lambda part: part.sum()),
)
lab.mistake(
    "that is a mean: the Frobenius norm is the root of the sum",
    reduced(lambda part: part.square().mean().sqrt()),
)
lab.mistake(
    "norms do not add up: take one norm over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)).sum(0),
)
lab.mistake(
    "that is the mean of the kernels' norms: take one norm over the axes 0, 2 and 3",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)).mean(0),
)
lab.mistake(
    "that is a norm for each filter window: take one over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)),
)
lab.mistake(
    "that is a norm over the outputs only: take one over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=0),
)


@lab.exercise("4.3", points={"idea": 3, "any network": 2})
def apply_channel_sorting(model: nn.Module) -> nn.Module:
    convs = [m for m in model.backbone if isinstance(m, nn.Conv2d)]
    for i, following in enumerate(convs[1:]):
        importance = get_input_channel_importance(following.weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


@of_network
def _importances(made):
    """the importance of each convolution's input channels, in their new order"""
    return {
        f"conv{i + 1}": get_input_channel_importance(conv.weight)
        for i, conv in enumerate(convs(made)[1:])
    }


@lab.step("idea", "shapes")
def _(ask: Trial) -> None:
    try:
        model = VGG(in_channels=2, classes=3, channels=[4, 5, 3])
        ask.through(shapes, drawn(model, ask.rng))
    except Wrong as wrong:
        got = wrong.lines.get("got", "")
        if "tensors used as indices must be" not in got:
            raise
        likely = (
            "sort() returns values and places: argsort() gives the places, which are "
            "the channel numbers"
        )
        ask.wrong(**wrong.lines | {"likely": likely})


@lab.step("idea", "outputs")
def _(ask: Trial) -> None:
    ask.through(scores, net(ask, 4, 5, 3), oracle=copy.deepcopy)


@lab.step("idea", "one pair")
def _(ask: Trial) -> None:
    """A pair in which no other order looks like the one asked for."""
    model = net(ask, 5, 3)
    conv, following = (c.weight.detach() for c in convs(model))
    for channel in (0, 3):  # one weight is large, yet the sum of magnitudes is small
        following[0, channel, 0, 0] = 1000
    for channel, (row, column) in enumerate(((1, 3), (3, 5), (5, 1), (2, 4), (4, 2))):
        conv[channel] *= row / conv[channel].norm()
        following[:, channel] *= column / following[:, channel].norm()
    model.backbone.bn0.weight.detach().copy_(torch.tensor([4, 2, 3, 1, 5]) / 4)
    ask.through(_importances, model)


@lab.step("any network", "every pair")
def _(ask: Trial) -> None:
    ask.through(_importances, net(ask, 4, 5, 3))


@lab.step("any network", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, net(ask, 4, 5, 3))


@lab.step("any network", "five convolutions")
def _(ask: Trial) -> None:
    model = any_net(ask)
    ask.through(scores, model, oracle=copy.deepcopy)
    ask.through(_importances, model)
    ask.through(layers, model)


def _norm_of_columns(place: Place) -> Tensor:
    return get_input_channel_importance(place.following.weight)


def _of_columns(reduce: Callable[[Tensor], Tensor]) -> Callable[[Place], Tensor]:
    """Another number for each column of the next convolution."""
    return lambda place: reduced(reduce)(place.following.weight)


def _sorting(
    importance: Callable[[Place], Tensor] = _norm_of_columns,
    descending: bool = True,
    index: Callable[[Tensor], Tensor] = lambda order: order,
    change: Change | None = None,
    pairs: slice = slice(None),
) -> Callable:
    """Sorting in which one part is another one."""

    def mistaken(model: nn.Module) -> nn.Module:
        made = copy.deepcopy(model)
        for i in range(len(convs(model)) - 1)[pairs]:
            values = importance(place_of(model, i))
            order = values.argsort(descending=descending)
            cut_but(place_of(made, i), index(order), change)
        return made

    return mistaken


OWN_INPUTS = (
    "these are the importances of the convolution's own inputs: take the next "
    "convolution's weight"
)
lab.mistake(NO_RETURN, lambda model: None)
lab.mistake(
    "nothing is sorted: does the loop reach every pair, and does each round go on with "
    "the network that the round before returned?",
    copy.deepcopy,
)
lab.mistake(
    "the least important comes first: sort in descending order",
    _sorting(descending=False),
)
lab.mistake(
    "BatchNorm has an entry for each channel: reorder its four tensors too",
    _sorting(change=whole_norm),
)
lab.mistake(
    "running_mean and running_var have an entry for each channel: reorder them too",
    _sorting(change=whole_statistics),
)
lab.mistake(
    "the next convolution does not know the new order: reorder its columns",
    _sorting(change=whole_following),
)
lab.mistake(
    "you sort by the layer's own rows: take the norm of the next layer's columns",
    _sorting(lambda at: get_input_channel_importance(at.conv.weight.transpose(0, 1))),
)


def _by_own_inputs(model: nn.Module) -> nn.Module:
    for i, conv in enumerate(convs(model)[:-1]):
        importance = get_input_channel_importance(conv.weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


def _by_own_inputs_of_the_new_network(model: nn.Module) -> nn.Module:
    for i in range(len(convs(model)) - 1):
        importance = get_input_channel_importance(convs(model)[i].weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


lab.mistake(OWN_INPUTS, _by_own_inputs)
lab.mistake(OWN_INPUTS, _by_own_inputs_of_the_new_network)
lab.mistake(
    "you sort by the sum of magnitudes: take the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().sum())),
)
lab.mistake(
    "you sort by the largest magnitude: take the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().max())),
)
lab.mistake(
    "you sort by the BatchNorm's weight: take the norm of the next layer's columns",
    _sorting(lambda at: at.norm.weight.detach().abs()),
)
lab.mistake(
    "a channel is missing: sorting keeps them all",
    _sorting(index=lambda order: order[:-1]),
)
lab.mistake(
    "you invert the permutation: new channel k is old channel index[k]",
    _sorting(index=lambda order: order.argsort()),
)
lab.mistake(
    "only the first pair is sorted: return after the loop",
    _sorting(pairs=slice(0, 1)),
)
lab.mistake(
    "only the last pair is sorted: go on with the sorted network in the loop",
    _sorting(pairs=slice(-1, None)),
)
lab.mistake(LEARNED, _sorting(change=learned))
lab.mistake(FROZEN, _sorting(change=frozen))
lab.mistake(NEW_LAYER, _sorting(change=new_layer))
lab.mistake(TRAINING, lambda model: apply_channel_sorting(model).train())
lab.mistake(IN_PLACE, put_back(apply_channel_sorting))
