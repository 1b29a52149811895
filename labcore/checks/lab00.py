"""Checks of Lab 00, first steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab, Step
from labcore.checks.engine.trial import Trial
from labcore.nets import VGG, LeNet, ResNet8

__all__ = ["EXERCISES", "lend"]

LAYERS = (nn.Conv2d, nn.Linear)

_lab = Lab()
EXERCISES, lend = _lab.exercises, _lab.lend


def count_zeros(tensor: Tensor) -> int:
    return sum(value == 0 for value in tensor.flatten().tolist())


def _random_zeros(ask: Trial) -> None:
    for _ in range(5):
        ask(torch.randint(-1, 2, (2, 3, 4), generator=ask.rng).float())


check_count_zeros = _lab.exercise(
    "0.1",
    count_zeros,
    parameters=("tensor",),
    groups={"idea": 1},
    read="Hint 1 of exercise 0.1, just below",
    steps=(
        Step("idea", "four values", lambda ask: ask(torch.tensor([0.5, 0, -1, 2]))),
        Step("idea", "a matrix", lambda ask: ask(torch.tensor([[0, 3.0], [0, 1e-9]]))),
        Step("idea", "random tensors", _random_zeros),
    ),
    mistakes={
        "you count the values that are not zero": lambda t: t.count_nonzero().item(),
        "you count all values": lambda t: t.numel(),
        "you return a share; asked is a count": lambda t: (t == 0).double().mean(),
        "you count along the first axis only": lambda t: (t == 0).sum(dim=0),
        "you count small values too; only zeros count": lambda t: count_zeros(
            t * (t.abs() > 1e-3)
        ),
        "you count what is not positive": lambda t: (t <= 0).sum(),
        "nonzero() gives a row of indices for each value; count the rows": lambda t: (
            (t == 0).nonzero().numel()
        ),
        "that is the comparison itself; count its True values": lambda t: t == 0,
    },
).check


def weights_per_output(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


def _random_shapes(ask: Trial) -> None:
    for _ in range(5):
        ask(torch.zeros(*torch.randint(1, 9, (4,), generator=ask.rng).tolist()))


check_weights_per_output = _lab.exercise(
    "0.2",
    weights_per_output,
    parameters=("weight",),
    groups={"idea": 1, "any layer": 1},
    read="Hint 1 of exercise 0.2, just below",
    steps=(
        Step("idea", "a convolution", lambda ask: ask(torch.full((16, 2, 3, 3), 0.25))),
        Step("idea", "a flat kernel", lambda ask: ask(torch.full((5, 4, 2, 7), 0.25))),
        Step("any layer", "a linear layer", lambda ask: ask(torch.full((3, 6), 0.25))),
        Step("any layer", "random shapes", _random_shapes),
    ),
    mistakes={
        "you count the weights of the whole layer": lambda w: w.numel(),
        "you return the number of outputs, shape[0]": lambda w: w.shape[0],
        "you forget the input channels": lambda w: math.prod(w.shape[2:]),
        "you forget the kernel's height and width": lambda w: w.shape[1],
        "you leave out the last axis; the outputs are the first": lambda w: math.prod(
            w.shape[:-1]
        ),
        "those are the weights that one input meets (the fan-out), not one output": (
            lambda w: w[:, 0].numel()
        ),
        "you use the kernel's height twice; it need not be square": (
            lambda w: w.shape[1] * w.shape[2] ** 2
        ),
        "you use the kernel's width twice; it need not be square": (
            lambda w: w.shape[1] * w.shape[3] ** 2
        ),
        "that is a shape; asked is the product of its numbers": lambda w: w[0].shape,
        "you add the axes' lengths; multiply them": lambda w: sum(w.shape[1:]),
        "you add up the weights; asked is how many there are": lambda w: w[0].sum(),
    },
).check


def layer_names(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, LAYERS)]


def _names_of(model: nn.Module, kind) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, kind)]


def _linear_first() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 4), nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 1, kernel_size=1)
    )


check_layer_names = _lab.exercise(
    "0.3",
    layer_names,
    parameters=("model",),
    groups={"idea": 1, "any network": 1},
    read="Hint 1 of exercise 0.3, just below",
    steps=(
        Step("idea", "LeNet", lambda ask: ask(LeNet())),
        Step("any network", "layers in blocks", lambda ask: ask(ResNet8(width=2))),
        Step("any network", "VGG", lambda ask: ask(VGG(width=2))),
        Step("any network", "a linear layer first", lambda ask: ask(_linear_first())),
    ),
    mistakes={
        "you forget the linear layers": lambda model: _names_of(model, nn.Conv2d),
        "you forget the convolutions": lambda model: _names_of(model, nn.Linear),
        "you return every module, whatever its type": lambda model: _names_of(
            model, nn.Module
        ),
        "named_children() stays on the first level; named_modules() goes down": (
            lambda model: [
                n for n, m in model.named_children() if isinstance(m, LAYERS)
            ]
        ),
        "these are the parameters' names; asked are the modules'": lambda model: [
            name for name, _ in model.named_parameters()
        ],
        "the modules' names have no .weight": lambda model: [
            f"{name}.weight" for name in layer_names(model)
        ],
        "you return the modules; asked are their names": lambda model: [
            m for m in model.modules() if isinstance(m, LAYERS)
        ],
        "BatchNorm has a weight too; ask for the two types by isinstance()": (
            lambda model: [n for n, m in model.named_modules() if hasattr(m, "weight")]
        ),
        "the order is the network's, not by type": lambda model: [
            *_names_of(model, nn.Conv2d),
            *_names_of(model, nn.Linear),
        ],
        "+= on a list adds a name letter by letter; use append()": lambda model: [
            *"".join(layer_names(model))
        ],
        "a name is the whole path from the network down": lambda model: [
            name.split(".")[-1] for name in layer_names(model)
        ],
    },
).check
