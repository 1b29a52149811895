"""Exercise 4.1: channels cut out of every place where they live."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.likeness import NO_RETURN
from labcore.checks.engine.returned import input_afterwards, numbers
from labcore.checks.engine.trial import Trial
from labcore.checks.lab04.networks import (
    all_channels,
    any_net,
    convs,
    layers,
    masked,
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
    cut,
    cut_but,
    frozen,
    learned,
    new_layer,
    place_of,
    whole_following,
    whole_norm,
    whole_statistics,
)

__all__ = ["lab", "select_channels"]

lab = Lab(__package__)

WHOLE_NORM = "BatchNorm has an entry for each channel: cut its four tensors too"
WHOLE_STATISTICS = (
    "running_mean and running_var have an entry for each channel: cut them too"
)
NEW_NORM = "the BatchNorm's numbers are new: keep the old entries and statistics"
NEW_STATISTICS = "running_mean and running_var are new: keep the old entries"


@lab.exercise("4.1", points={"any channels": 2, "any network": 2})
def select_channels(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    model = copy.deepcopy(model)
    cut(place_of(model, i), index)
    return model


OUTER_TWO = torch.tensor([0, 2])


@lab.step("any channels", "shapes")
def _(ask: Trial) -> None:
    ask.through(shapes, net(ask, 5, 4), 0, OUTER_TWO)


@lab.step("any channels", "the first channels")
def _(ask: Trial) -> None:
    ask.through(numbers, net(ask, 3, 4), 0, torch.tensor([0, 1]))


@lab.step("any channels", "all channels, backwards")
def _(ask: Trial) -> None:
    """Nothing is removed, so the outputs are those of the network passed in."""
    backwards = torch.tensor([3, 2, 1, 0])
    ask.through(scores, net(ask, 4, 3), 0, backwards, oracle=_as_before)


def _as_before(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    return copy.deepcopy(model)


@lab.step("any channels", "other channels")
def _(ask: Trial) -> None:
    ask.through(numbers, net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any channels", "another order")
def _(ask: Trial) -> None:
    ask.through(numbers, net(ask, 3, 4), 0, torch.tensor([2, 0, 1]))


@lab.step("any network", "what the layers report")
def _(ask: Trial) -> None:
    ask.through(layers, net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any network", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, net(ask, 3, 4), 0, torch.tensor([0, 1, 2]))


@lab.step("any network", "any convolution")
def _(ask: Trial) -> None:
    ask.through(shapes, net(ask, 4, 4, 4, 4), 2, OUTER_TWO)
    for i in (3, 0, 2):
        model = any_net(ask)
        index = _index(ask, convs(model)[i].out_channels)
        ask.through(numbers, model, i, index)
        ask.through(layers, model, i, index)
    ask.through(scores, model, i, index, oracle=_select_masked)


def _index(ask: Trial, channels: int) -> Tensor:
    """Two or more of the channels, in any order."""
    keep = torch.randint(2, channels + 1, (), generator=ask.rng).item()
    return torch.randperm(channels, generator=ask.rng)[:keep]


def _select_masked(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    kept = all_channels(model)
    kept[i] = index
    return masked(model, kept)


def _new_norm(new: Place, old: Place, index: Tensor) -> None:
    new.norm.reset_parameters()


def _new_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.reset_running_stats()


def _first_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = old.norm.running_mean[: len(index)]
    new.norm.running_var = old.norm.running_var[: len(index)]


def _stale(new: Place, old: Place, index: Tensor) -> None:
    new.conv.out_channels = old.conv.out_channels
    new.norm.num_features = old.norm.num_features
    new.following.in_channels = old.following.in_channels


def _selecting(change: Change) -> Callable:
    """The right selection, in which a part is spoiled."""

    def mistaken(model: nn.Module, i: int, index: Tensor) -> nn.Module:
        model = copy.deepcopy(model)
        cut_but(place_of(model, i), index, change)
        return model

    return mistaken


def _first_entries(layer: str, *names: str) -> Callable:
    """The first entries of these tensors are kept instead of those in index."""

    def change(new: Place, old: Place, index: Tensor) -> None:
        for name in names:
            values = getattr(getattr(old, layer), name)
            first = torch.arange(len(index))
            cut = values[:, first] if layer == "following" else values[first]
            is_parameter = isinstance(values, nn.Parameter)
            cut = nn.Parameter(cut) if is_parameter else cut
            setattr(getattr(new, layer), name, cut)

    return _selecting(change)


lab.mistake(NO_RETURN, lambda model, i, index: None)
lab.mistake(
    "running_mean and running_var keep their first entries: take those in index",
    _selecting(_first_statistics),
)
lab.mistake(
    "running_mean keeps its first entries: take those in index",
    _first_entries("norm", "running_mean"),
)
lab.mistake(
    "like the draft, one of the six tensors keeps its first entries, whatever index "
    "says",
    _first_entries("norm", "running_var"),
)
lab.mistake(
    "weight and bias of the BatchNorm keep their first entries: take those in index",
    _first_entries("norm", "weight", "bias"),
)
lab.mistake(
    "the next convolution keeps its first columns: take those in index",
    _first_entries("following", "weight"),
)
lab.mistake(
    "the convolution keeps its first rows: take those in index",
    _first_entries("conv", "weight"),
)
lab.mistake(WHOLE_NORM, _selecting(whole_norm))
lab.mistake(WHOLE_STATISTICS, _selecting(whole_statistics))
lab.mistake(NEW_NORM, _selecting(_new_norm))
lab.mistake(NEW_STATISTICS, _selecting(_new_statistics))
lab.mistake(
    "the next convolution still expects the old channels: cut its columns [:, index]",
    _selecting(whole_following),
)


@lab.mistake(
    "weight[index] cuts rows; the next convolution's inputs are its columns, "
    "weight[:, index]"
)
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.following.weight = nn.Parameter(old.following.weight[index])


@lab.mistake("index lists the channels to keep, and you keep the others")
def _(model, i, index):
    stays = torch.ones(convs(model)[i].out_channels, dtype=torch.bool)
    stays[index] = False
    return select_channels(model, i, stays.nonzero().flatten())


lab.mistake(
    "you keep the first len(index) channels: keep those in index",
    lambda model, i, index: select_channels(model, i, torch.arange(len(index))),
)
lab.mistake(
    "the order counts: index says which old channel comes first",
    lambda model, i, index: select_channels(model, i, index.sort().values),
)
lab.mistake(
    "a channel of index is missing",
    lambda model, i, index: select_channels(model, i, index[:-1]),
)
lab.mistake(
    "you return the network uncut: take the modules from the copy",
    lambda model, i, index: copy.deepcopy(model),
)
lab.mistake("the channels are zero, but still there", _select_masked)
lab.mistake(
    "the layers report old sizes: set out_channels, num_features and in_channels",
    _selecting(_stale),
)


@lab.mistake("the convolution still has its old out_channels: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.conv.out_channels = old.conv.out_channels


@lab.mistake("the BatchNorm still has its old num_features: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.norm.num_features = old.norm.num_features


@lab.mistake("the next convolution still has its old in_channels: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.following.in_channels = old.following.in_channels


lab.mistake(LEARNED, _selecting(learned))
lab.mistake(FROZEN, _selecting(frozen))
lab.mistake(NEW_LAYER, _selecting(new_layer))
lab.mistake(TRAINING, lambda model, i, index: select_channels(model, i, index).train())
lab.mistake(
    "you cut convolution 0, whatever i is",
    lambda model, i, index: select_channels(model, 0, index),
)


@lab.mistake("you changed index itself (sort_, index[...] =): work on a copy of it")
def _(model, i, index):
    made = select_channels(model, i, index)
    index.copy_(index.sort().values)
    return made


lab.mistake(IN_PLACE, put_back(select_channels))
