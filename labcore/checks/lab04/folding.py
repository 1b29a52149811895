"""Exercise 4.6: a BatchNorm folded into the convolution before it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from torch import nn

from labcore.checks.engine.compare import show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.likeness import NO_RETURN
from labcore.checks.engine.returned import drawn
from labcore.checks.engine.trial import Trial

__all__ = ["fold_batchnorm", "lab"]

lab = Lab(__package__)


@lab.exercise("4.6", points={"idea": 0, "any convolution": 0})
def fold_batchnorm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = 0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(scale[:, None, None, None] * conv.weight)
    folded.bias = nn.Parameter(norm.bias + scale * (bias - norm.running_mean))
    return folded


def of_layer(read: Callable[[nn.Module], dict]) -> Callable:
    """A scenario: what `read` says of the convolution that an answer returns."""

    @functools.wraps(read)
    def scenario(answer: Callable, conv: nn.Module, norm: nn.Module) -> dict:
        made = answer(conv, norm)
        if not isinstance(made, nn.Conv2d):
            return {"result": show(made) if made is None else type(made).__name__}
        return {"result": "Conv2d"} | read(made)

    return scenario


@of_layer
def _folded(made):
    """weight and bias of the result"""
    bias = "none" if made.bias is None else made.bias.detach()
    return {"weight": made.weight.detach(), "bias": bias}


@of_layer
def _convolution(made):
    """the result, printed"""
    parameters = sorted(name for name, _ in made.named_parameters())
    printed = repr(made).replace(", bias=False", "")
    return {"layer": printed, "parameters": parameters}


def _both_afterwards(answer: Callable, conv: nn.Module, norm: nn.Module) -> dict:
    """conv and norm afterwards, once the result's parameters were set to 0"""
    made = answer(conv, norm)
    if isinstance(made, nn.Module):
        for parameter in made.parameters():
            parameter.detach().zero_()
    layers = {"conv": conv, "norm": norm}
    return {
        f"{name}.{kind}": values.detach()
        for name, layer in layers.items()
        for kind, values in layer.state_dict().items()
    }


def _pair(ask: Trial, channels: int = 3, eps: float = 1e-5, **options) -> tuple:
    options = {"kernel_size": 3, "bias": False} | options
    conv = nn.Conv2d(3, channels, **options)
    return drawn(conv, ask.rng), drawn(nn.BatchNorm2d(channels, eps=eps), ask.rng)


@lab.step("idea", "one weight, one channel")
def _(ask: Trial) -> None:
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)
    numbers_of = ((conv.weight, 2.0), (norm.weight, 3.0), (norm.bias, 1.0))
    for values, number in (*numbers_of, (norm.running_mean, 4), (norm.running_var, 4)):
        values.detach().fill_(number)
    ask.through(_folded, conv.eval(), norm.eval())


@lab.step("idea", "three channels")
def _(ask: Trial) -> None:
    ask.through(_folded, *_pair(ask, eps=0.0))


@lab.step("any convolution", "epsilon")
def _(ask: Trial) -> None:
    ask.through(_folded, *_pair(ask, eps=0.5))


@lab.step("any convolution", "stride and padding")
def _(ask: Trial) -> None:
    pair = _pair(ask, 4, kernel_size=(3, 5), stride=2, padding=1)
    ask.through(_convolution, *pair)


@lab.step("any convolution", "a bias of its own")
def _(ask: Trial) -> None:
    ask.through(_folded, *_pair(ask, 4, bias=True))


@lab.step("any convolution", "a new layer")
def _(ask: Trial) -> None:
    ask.through(_both_afterwards, *_pair(ask, 4, bias=True))


def _folding(
    weight: Callable = lambda w, scale: scale[:, None, None, None] * w,
    scale: Callable = lambda n: n.weight / (n.running_var + n.eps).sqrt(),
    bias: Callable = lambda n, s, b: n.bias + s * (b - n.running_mean),
) -> Callable:
    """Folding in which one part is another one."""

    def mistaken(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        folded, by = copy.deepcopy(conv), scale(norm)
        old = torch.zeros(len(by)) if conv.bias is None else conv.bias
        folded.weight = nn.Parameter(weight(conv.weight, by))
        folded.bias = nn.Parameter(bias(norm, by, old))
        return folded

    return mistaken


lab.mistake(NO_RETURN, lambda conv, norm: None)
lab.mistake(
    "the weights are not scaled",
    _folding(weight=lambda w, scale: w.detach().clone()),
)
lab.mistake(
    "divide by the root of the variance: .sqrt() is missing",
    _folding(scale=lambda n: n.weight / (n.running_var + n.eps)),
)
lab.mistake(
    "norm.weight is missing in the scale",
    _folding(scale=lambda n: 1 / (n.running_var + n.eps).sqrt()),
)
lab.mistake(
    "norm.eps is missing under the root",
    _folding(scale=lambda n: n.weight / n.running_var.sqrt()),
)
lab.mistake(
    "norm.eps belongs under the root",
    _folding(scale=lambda n: n.weight / (n.running_var.sqrt() + n.eps)),
)
lab.mistake(
    "the scale belongs to the outputs, the first axis: scale[:, None, None, None]",
    _folding(weight=lambda w, scale: w * scale[None, :, None, None]),
)
lab.mistake(
    "the scale belongs to the outputs, the first axis; yours meets the last one",
    _folding(weight=lambda w, scale: w * scale),
)
lab.mistake(
    "the mean is scaled as well: norm.bias - scale * norm.running_mean",
    _folding(bias=lambda n, s, b: n.bias + s * b - n.running_mean),
)
lab.mistake(
    "the running mean is missing in the bias",
    _folding(bias=lambda n, s, b: n.bias + s * b),
)
lab.mistake(
    "the mean is subtracted, not added",
    _folding(bias=lambda n, s, b: n.bias + s * (b + n.running_mean)),
)
lab.mistake(
    "norm.bias is missing", _folding(bias=lambda n, s, b: s * (b - n.running_mean))
)
lab.mistake(
    "the convolution's own bias is lost: it is scaled as the weights are",
    _folding(bias=lambda n, s, b: n.bias - s * n.running_mean),
)
lab.mistake(
    "the convolution's own bias is scaled too",
    _folding(bias=lambda n, s, b: n.bias + b - s * n.running_mean),
)


@lab.mistake("the new convolution has lost stride and padding: begin with a copy")
def _(conv, norm):
    right = fold_batchnorm(conv, norm)
    made = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)
    made.load_state_dict(right.state_dict())
    return made


@lab.mistake("you changed the convolution you were given: begin with a copy")
def _(conv, norm):
    right = fold_batchnorm(conv, norm)
    conv.weight, conv.bias = right.weight, right.bias
    return conv
