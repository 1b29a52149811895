"""Inputs that the checks of several labs use."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["distinct", "fill"]


def distinct(rng: torch.Generator, *shape: int, unit: float = 0.01) -> Tensor:
    """Random multiples of `unit`, none of them zero, all of different magnitude."""
    magnitudes = unit * (1 + torch.randperm(math.prod(shape), generator=rng))
    signs = 2 * torch.randint(2, magnitudes.shape, generator=rng) - 1
    return (signs * magnitudes).reshape(shape)


def fill(model: nn.Module, rng: torch.Generator, unit: float = 0.01) -> nn.Module:
    """The network, with different magnitudes within each of its parameters."""
    for parameter in model.parameters():
        parameter.detach().copy_(distinct(rng, *parameter.shape, unit=unit))
    return model.eval()
