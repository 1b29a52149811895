"""Checks of Lab 00, first steps."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.trial import Trial
from labcore.nets import VGG, LeNet, ResNet8

__all__ = ["EXERCISES", "lend"]

LAYERS = (nn.Conv2d, nn.Linear)

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


@dataclass(frozen=True)
class InTensor:
    """A number that is still a tensor, so that it can be told from a plain one."""

    number: float

    def __repr__(self) -> str:
        return f"tensor({self.number})"


def _plain(answer, tensor):
    """the value that comes back"""
    value = answer(tensor)
    boxed = isinstance(value, Tensor) and value.dim() == 0
    return InTensor(value.item()) if boxed else value


@lab.exercise("0.1", points={"idea": 1})
def count_zeros(tensor: Tensor) -> int:
    return sum(value == 0 for value in tensor.flatten().tolist())


@lab.step("idea", "five values")
def _(ask: Trial) -> None:
    ask.through(_plain, torch.tensor([0.5, 0, -1, 2, -3]))


@lab.step("idea", "a matrix")
def _(ask: Trial) -> None:
    ask(torch.tensor([[0, 3.0], [0, 1e-9], [0, 0]]))


@lab.step("idea", "random tensors")
def _(ask: Trial) -> None:
    for _ in range(5):
        ask(torch.randint(-1, 2, (2, 3, 4), generator=ask.rng).float())


BOXED = "this is a tensor that holds one number; .item() takes the number out"
lab.mistake(
    BOXED,
    lambda t: (t == 0).sum(),
    help="`sum()` of a tensor is a tensor, even if it holds a single number. Write "
    "`.item()` behind it.",
)
lab.mistake(BOXED, lambda t: (t == 0).sum(dim=0))
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
lab.mistake(
    "you return a share; return the number of zeros",
    lambda t: (t == 0).double().mean().item(),
)
lab.mistake(
    "len(tensor) is the length of the first axis; numel() counts all values",
    lambda t: len(t) - t.count_nonzero().item(),
)
lab.mistake(
    "you count small values too; only exact zeros count",
    lambda t: count_zeros(t * (t.abs() > 1e-3)),
)
lab.mistake(
    "int() turns 0.5 into 0; compare the values themselves with 0",
    lambda t: count_zeros(t.int()),
)
lab.mistake(
    "you count negative values too; only exact zeros count",
    lambda t: (t <= 0).sum().item(),
)
lab.mistake(
    "nonzero() gives a row of indices for each value; count the rows",
    lambda t: (t == 0).nonzero().numel(),
)
lab.mistake(
    "tolist() of a matrix is a list of lists, and none of them is 0; compare the "
    "tensor itself with 0",
    lambda t: t.tolist().count(0),
)
lab.mistake(
    "you return the comparison itself; count how many of its values are True",
    lambda t: t == 0,
)


@lab.exercise("0.2", points={"idea": 1, "any layer": 1})
def weights_per_output(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


lab.step("idea", "a convolution", lambda ask: ask(torch.full((16, 2, 3, 3), 0.25)))
lab.step("idea", "a flat window", lambda ask: ask(torch.full((5, 4, 2, 7), 0.25)))
lab.step("any layer", "a linear layer", lambda ask: ask(torch.full((3, 6), 0.25)))


@lab.step("any layer", "random shapes")
def _(ask: Trial) -> None:
    for _ in range(5):
        shape = torch.randint(1, 9, (4,), generator=ask.rng).tolist()
        ask(torch.zeros(shape))


lab.step("any layer", "one output", lambda ask: ask(torch.full((1, 3, 2, 2), 0.25)))

lab.mistake(
    "you count the weights of the whole layer",
    lambda w: w.numel(),
    help="`weight.numel()` includes the first axis, the output channels. Take one "
    "output channel first.",
)
lab.mistake(
    "you return the number of output channels; leave them out", lambda w: w.shape[0]
)
lab.mistake("you forget to count the input channels", lambda w: math.prod(w.shape[2:]))
lab.mistake("you forget the window's height and width", lambda w: w.shape[1])
lab.mistake(
    "you leave out the last axis; leave out the first one, the outputs",
    lambda w: math.prod(w.shape[:-1]),
)
lab.mistake(
    "you count the weights of one input channel; count those of one output channel",
    lambda w: w[:, 0].numel(),
)
lab.mistake(
    "you use the window's height twice; the width can be different",
    lambda w: w.shape[1] * w.shape[2] ** 2,
)
lab.mistake(
    "you use the window's width twice; the height can be different",
    lambda w: w.shape[1] * w.shape[3] ** 2,
)
lab.mistake(
    "you return a shape; return the product of its numbers",
    lambda w: w[0].shape,
)
lab.mistake("you add the axes' lengths; multiply them", lambda w: sum(w.shape[1:]))
lab.mistake("you add up the weights; return how many there are", lambda w: w[0].sum())


@lab.exercise("0.3", points={"idea": 1, "any network": 1})
def layer_names(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, LAYERS)]


class Unread:
    """A generator as a learner sees it; all of them look alike."""

    def __repr__(self) -> str:
        return "a generator"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unread)

    __hash__ = None


def _listed(answer, model):
    """the names that come back"""
    names = answer(model)
    return Unread() if inspect.isgenerator(names) else names


lab.step("idea", "LeNet", lambda ask: ask.through(_listed, LeNet()))
lab.step("any network", "layers in blocks", lambda ask: ask(ResNet8(width=2)))
lab.step("any network", "VGG", lambda ask: ask(VGG(width=2)))


@lab.step("any network", "a linear layer first")
def _(ask: Trial) -> None:
    to_image = nn.Unflatten(1, (1, 2, 2))
    ask(nn.Sequential(nn.Linear(4, 4), to_image, nn.Conv2d(1, 1, kernel_size=1)))


@lab.step("any network", "an embedding is left out")
def _(ask: Trial) -> None:
    ask(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)))


def _names_of(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, kind)]


lab.mistake("you forget the linear layers", lambda model: _names_of(model, nn.Conv2d))
lab.mistake("you forget the convolutions", lambda model: _names_of(model, nn.Linear))
lab.mistake(
    "you return every module, whatever its type; test both types by isinstance()",
    lambda model: _names_of(model, nn.Module),
)
lab.mistake(
    "named_children() stays on the first level; use named_modules()",
    lambda model: [n for n, m in model.named_children() if isinstance(m, LAYERS)],
    help="Layers can sit inside blocks inside the network. `named_modules()` goes all "
    "the way down.",
)

FIRST = "you return in the first round of the loop; return after the loop"
lab.mistake(
    FIRST,
    lambda model: layer_names(model)[:1],
    help="A `return` inside the loop ends the function at once. Move it to the left, "
    "below the loop.",
)
lab.mistake(FIRST, lambda model: layer_names(model)[0])
lab.mistake(
    "your list stays empty; append() each name, and return after the loop",
    lambda model: [],
)
lab.mistake(
    "this is a generator; square brackets make a list of it",
    lambda model: (name for name in layer_names(model)),
)
lab.mistake(
    "you return the types; return the names",
    lambda m: [type(each).__name__ for each in m.modules() if isinstance(each, LAYERS)],
)
lab.mistake(
    "you return the parameters' names; return the modules' names",
    lambda model: [name for name, _ in model.named_parameters()],
)
lab.mistake(
    "the modules' names have no .weight",
    lambda model: [f"{name}.weight" for name in layer_names(model)],
)
lab.mistake(
    "you return the modules; return their names",
    lambda model: [m for m in model.modules() if isinstance(m, LAYERS)],
)
lab.mistake(
    "other modules have a weight too; ask for the two types by isinstance()",
    lambda model: [n for n, m in model.named_modules() if hasattr(m, "weight")],
)
lab.mistake(
    "a weight of two axes can belong to another type; use isinstance()",
    lambda model: [
        name.removesuffix(".weight")
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1
    ],
)
lab.mistake(
    "you sort by type; keep the order of the network",
    lambda model: _names_of(model, nn.Conv2d) + _names_of(model, nn.Linear),
)
lab.mistake(
    "+= on a list adds a name letter by letter; use append()",
    lambda model: [*"".join(layer_names(model))],
)
lab.mistake(
    "you return the last part of each name; keep the whole name",
    lambda model: [name.split(".")[-1] for name in layer_names(model)],
)
