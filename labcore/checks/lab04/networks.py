"""Networks to cut, and what the checks read of the networks that answers return."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labcore.checks.engine.returned import drawn, of_network
from labcore.checks.engine.trial import Trial
from labcore.nets import VGG

__all__ = [
    "all_channels",
    "any_net",
    "convs",
    "layers",
    "masked",
    "net",
    "put_back",
    "scores",
    "shapes",
]


def net(ask: Trial, *channels: int) -> VGG:
    """A network of these channels in which every number is drawn, statistics too."""
    return drawn(VGG(in_channels=1, classes=3, channels=channels), ask.rng)


def any_net(ask: Trial) -> VGG:
    return net(ask, *torch.randint(3, 7, (5,), generator=ask.rng).tolist())


def convs(model: nn.Module) -> list[nn.Conv2d]:
    return [m for m in model.backbone if isinstance(m, nn.Conv2d)]


@of_network
def shapes(made):
    """the shapes in the new network"""
    state = made.state_dict()
    printed = {name: str(tuple(values.shape)) for name, values in state.items()}
    weights = [values for name, values in state.items() if name.endswith("weight")]
    columns = [part for w in weights if w.dim() > 1 for part in w.unbind(1)]
    channels = [*(row for w in weights for row in w), *columns]
    return printed | {"channels of zeros": not all(part.any() for part in channels)}


@of_network
def layers(made):
    """the layers of the new network, printed"""
    kinds = nn.Conv2d | nn.BatchNorm2d
    printed = {n: repr(m) for n, m in made.named_modules() if isinstance(m, kinds)}
    names = [n for n in made.state_dict() if n.endswith(("weight", "bias"))]
    parameters = dict(made.named_parameters())
    return printed | {
        "just weights and biases are parameters": {*names} == {*parameters},
        "weights and biases require grad": all(
            parameters[name].requires_grad for name in names if name in parameters
        ),
        "layers in training mode": [n for n, m in made.named_modules() if m.training],
    }


@of_network
def scores(made):
    """the new network's class scores of 4 images"""
    state = made.state_dict()
    weights = [w for name, w in state.items() if w.dim() == 4]
    if not all(map(len, weights)):
        return {"scores": "none, because a layer has no channels"}
    rebuilt = VGG(
        in_channels=weights[0].shape[1],
        classes=len(state["classifier.bias"]),
        channels=[len(w) for w in weights],
    )
    rebuilt.load_state_dict(state)
    images = torch.randn(
        (4, weights[0].shape[1], 16, 16), generator=torch.Generator().manual_seed(4)
    )
    with torch.no_grad():  # double precision: the order of a sum hardly matters
        return {"scores": rebuilt.double().eval()(images.double())}


def masked(model: nn.Module, kept: list[Tensor]) -> nn.Module:
    """The dense network in which no next layer reads a removed channel.

    kept   for each convolution but the last the channels that stay
    """
    made = copy.deepcopy(model)
    for index, following in zip(kept, convs(made)[1:], strict=True):
        removed = torch.ones(following.in_channels, dtype=torch.bool)
        removed[index] = False
        following.weight.detach()[:, removed] = 0
    return made


def all_channels(model: nn.Module) -> list[Tensor]:
    return [torch.arange(conv.out_channels) for conv in convs(model)[:-1]]


def put_back(answer: Callable) -> Callable:
    """Changes the network that was passed in."""

    def in_place(model: nn.Module, *args) -> nn.Module:
        made = answer(model, *args)
        model.backbone, model.classifier = made.backbone, made.classifier
        return model

    return in_place
