"""Scenarios for answers that return a network: what is read of it, and of the old."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from labcore.checks.engine.compare import clone, same, show

__all__ = ["drawn", "input_afterwards", "numbers", "of_network"]


def of_network(read: Callable[[nn.Module], dict]) -> Callable:
    """A scenario: what `read` says of the network that an answer returns."""

    @functools.wraps(read)
    def scenario(answer, model, *rest):
        before = clone(rest)
        made = answer(model, *rest)
        if not isinstance(made, nn.Module):
            return {"result": show(made)}
        if not same(before, rest):
            return {"result": "a network, but an argument is changed"}
        return {"result": "a network"} | read(made)

    return scenario


@of_network
def numbers(made):
    """the new network's numbers"""
    return {name: values.detach() for name, values in made.state_dict().items()}


def input_afterwards(answer, model, *args):
    """the network passed in, after the new one's parameters were set to 0"""
    made = answer(model, *args)
    if isinstance(made, nn.Module):
        for parameter in made.parameters():
            parameter.detach().zero_()
    return {name: values.detach() for name, values in model.state_dict().items()}


def drawn(model: nn.Module, rng: torch.Generator) -> nn.Module:
    """The network with every number drawn, the BatchNorms' statistics too."""
    for name, values in model.state_dict().items():
        if name.endswith(("running_var", "weight")) and values.dim() == 1:
            values.copy_(0.5 + torch.rand(values.shape, generator=rng))
        elif values.is_floating_point():
            values.copy_(torch.randn(values.shape, generator=rng))
    return model.eval()
