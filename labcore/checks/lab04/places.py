"""Where the channels of a convolution live, a cut, and ways to spoil it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

__all__ = [
    "FROZEN",
    "IN_PLACE",
    "LEARNED",
    "NEW_LAYER",
    "TRAINING",
    "Change",
    "Place",
    "cut",
    "cut_but",
    "frozen",
    "learned",
    "new_layer",
    "place_of",
    "whole_following",
    "whole_norm",
    "whole_statistics",
]

# sentences for mistakes that a cut and a sorting share
NEW_LAYER = (
    "a new BatchNorm starts in training mode: call its eval(), or keep the old layer "
    "and cut its tensors"
)
TRAINING = "the network you return is in training mode: leave it in eval mode"
LEARNED = "running_mean and running_var are parameters now: leave them plain tensors"
FROZEN = "the parameters cannot be trained any more: wrap them in nn.Parameter"
IN_PLACE = "you changed the network you were given: begin with copy.deepcopy(model)"


class Place(NamedTuple):
    """A convolution, and the layers in which its channels have an entry too."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    following: nn.Conv2d


def place_of(model: nn.Module, i: int) -> Place:
    names = (f"conv{i}", f"bn{i}", f"conv{i + 1}")
    return Place(*(model.backbone.get_submodule(name) for name in names))


def cut(place: Place, index: Tensor) -> None:
    conv, norm, following = place
    conv.weight = nn.Parameter(conv.weight[index])
    norm.weight = nn.Parameter(norm.weight[index])
    norm.bias = nn.Parameter(norm.bias[index])
    norm.running_mean = norm.running_mean[index]
    norm.running_var = norm.running_var[index]
    following.weight = nn.Parameter(following.weight[:, index])
    conv.out_channels = norm.num_features = following.in_channels = len(index)


# a way to spoil a cut: change(new, old, index) gets the layers after and before it
Change = Callable[[Place, Place, Tensor], None]


def cut_but(place: Place, index: Tensor, change: Change | None) -> None:
    old = copy.deepcopy(place) if change else None
    cut(place, index)
    if change:
        change(place, old, index)


def whole_norm(new: Place, old: Place, index: Tensor) -> None:
    new.norm.weight, new.norm.bias = old.norm.weight, old.norm.bias
    whole_statistics(new, old, index)
    new.norm.num_features = old.norm.num_features


def whole_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = old.norm.running_mean
    new.norm.running_var = old.norm.running_var


def whole_following(new: Place, old: Place, index: Tensor) -> None:
    new.following.weight = old.following.weight


def learned(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = nn.Parameter(new.norm.running_mean)
    new.norm.running_var = nn.Parameter(new.norm.running_var)


def frozen(new: Place, old: Place, index: Tensor) -> None:
    for layer in new:
        layer.requires_grad_(False)


def new_layer(new: Place, old: Place, index: Tensor) -> None:
    new.norm.train()
