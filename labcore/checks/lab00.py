"""Checks of Lab 00, first steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.trial import Trial
from labcore.nets import VGG, LeNet, ResNet8

__all__ = ["EXERCISES", "lend"]

LAYERS = (nn.Conv2d, nn.Linear)

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


@lab.exercise("0.1", points={"idea": 1})
def count_zeros(tensor: Tensor) -> int:
    return sum(value == 0 for value in tensor.flatten().tolist())


lab.step("idea", "four values", lambda ask: ask(torch.tensor([0.5, 0, -1, 2])))
lab.step("idea", "a matrix", lambda ask: ask(torch.tensor([[0, 3.0], [0, 1e-9]])))


@lab.step("idea", "random tensors")
def _(ask: Trial) -> None:
    for _ in range(5):
        ask(torch.randint(-1, 2, (2, 3, 4), generator=ask.rng).float())


lab.mistake(
    "you count the values that are not zero",
    lambda t: t.count_nonzero().item(),
)
lab.mistake(
    "you count all values",
    lambda t: t.numel(),
    help="`tensor.numel()` counts every value. Compare with zero first, then count "
    "what is true.",
)
lab.mistake("you return a share; asked is a count", lambda t: (t == 0).double().mean())
lab.mistake("you count along the first axis only", lambda t: (t == 0).sum(dim=0))
lab.mistake(
    "you count small values too; only zeros count",
    lambda t: count_zeros(t * (t.abs() > 1e-3)),
)
lab.mistake("you count what is not positive", lambda t: (t <= 0).sum())
lab.mistake(
    "nonzero() gives a row of indices for each value; count the rows",
    lambda t: (t == 0).nonzero().numel(),
)
lab.mistake("that is the comparison itself; count its True values", lambda t: t == 0)


@lab.exercise("0.2", points={"idea": 1, "any layer": 1})
def weights_per_output(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


lab.step("idea", "a convolution", lambda ask: ask(torch.full((16, 2, 3, 3), 0.25)))
lab.step("idea", "a flat kernel", lambda ask: ask(torch.full((5, 4, 2, 7), 0.25)))
lab.step("any layer", "a linear layer", lambda ask: ask(torch.full((3, 6), 0.25)))


@lab.step("any layer", "random shapes")
def _(ask: Trial) -> None:
    for _ in range(5):
        shape = torch.randint(1, 9, (4,), generator=ask.rng).tolist()
        ask(torch.zeros(shape))


lab.mistake(
    "you count the weights of the whole layer",
    lambda w: w.numel(),
    help="`weight.numel()` includes the first axis, the outputs. Take one output "
    "first.",
)
lab.mistake("you return the number of outputs, shape[0]", lambda w: w.shape[0])
lab.mistake("you forget the input channels", lambda w: math.prod(w.shape[2:]))
lab.mistake("you forget the kernel's height and width", lambda w: w.shape[1])
lab.mistake(
    "you leave out the last axis; the outputs are the first",
    lambda w: math.prod(w.shape[:-1]),
)
lab.mistake(
    "those are the weights that one input meets (the fan-out), not one output",
    lambda w: w[:, 0].numel(),
)
lab.mistake(
    "you use the kernel's height twice; it need not be square",
    lambda w: w.shape[1] * w.shape[2] ** 2,
)
lab.mistake(
    "you use the kernel's width twice; it need not be square",
    lambda w: w.shape[1] * w.shape[3] ** 2,
)
lab.mistake(
    "that is a shape; asked is the product of its numbers",
    lambda w: w[0].shape,
)
lab.mistake("you add the axes' lengths; multiply them", lambda w: sum(w.shape[1:]))
lab.mistake("you add up the weights; asked is how many there are", lambda w: w[0].sum())


@lab.exercise("0.3", points={"idea": 1, "any network": 1})
def layer_names(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, LAYERS)]


lab.step("idea", "LeNet", lambda ask: ask(LeNet()))
lab.step("any network", "layers in blocks", lambda ask: ask(ResNet8(width=2)))
lab.step("any network", "VGG", lambda ask: ask(VGG(width=2)))


@lab.step("any network", "a linear layer first")
def _(ask: Trial) -> None:
    to_image = nn.Unflatten(1, (1, 2, 2))
    ask(nn.Sequential(nn.Linear(4, 4), to_image, nn.Conv2d(1, 1, kernel_size=1)))


def _names_of(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, kind)]


lab.mistake("you forget the linear layers", lambda model: _names_of(model, nn.Conv2d))
lab.mistake("you forget the convolutions", lambda model: _names_of(model, nn.Linear))
lab.mistake(
    "you return every module, whatever its type",
    lambda model: _names_of(model, nn.Module),
)
lab.mistake(
    "named_children() stays on the first level; named_modules() goes down",
    lambda model: [n for n, m in model.named_children() if isinstance(m, LAYERS)],
    help="Layers can sit inside blocks inside the network. `named_modules()` goes all "
    "the way down.",
)
lab.mistake(
    "these are the parameters' names; asked are the modules'",
    lambda model: [name for name, _ in model.named_parameters()],
)
lab.mistake(
    "the modules' names have no .weight",
    lambda model: [f"{name}.weight" for name in layer_names(model)],
)
lab.mistake(
    "you return the modules; asked are their names",
    lambda model: [m for m in model.modules() if isinstance(m, LAYERS)],
)
lab.mistake(
    "BatchNorm has a weight too; ask for the two types by isinstance()",
    lambda model: [n for n, m in model.named_modules() if hasattr(m, "weight")],
)
lab.mistake(
    "the order is the network's, not by type",
    lambda model: _names_of(model, nn.Conv2d) + _names_of(model, nn.Linear),
)
lab.mistake(
    "+= on a list adds a name letter by letter; use append()",
    lambda model: [*"".join(layer_names(model))],
)
lab.mistake(
    "a name is the whole path from the network down",
    lambda model: [name.split(".")[-1] for name in layer_names(model)],
)
