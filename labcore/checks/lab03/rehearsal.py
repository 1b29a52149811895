"""Stands in for training where a check asks what a loop does, and not how well."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from labcore.checks.engine.watch import handed
from labcore.nets import layers

__all__ = ["Rehearsal", "zeros"]

MOST_CALLS = 50  # an endless loop would hang the check


def zeros(model: nn.Module) -> dict[str, int]:
    """The number of zeros in each layer's weights."""
    return {n: int((layer.weight == 0).sum()) for n, layer in layers(model).items()}


class Rehearsal:
    """Called as finetune(model, after_step): one step that moves every weight.

    What was small is large afterwards, and no zero stays. `handed` and `after` list
    the zeros by layer, one entry a call.
    """

    def __init__(self) -> None:
        self.handed: list[dict[str, int]] = []
        self.after: list[dict[str, int]] = []

    @handed
    def __call__(self, model: nn.Module, after_step: Callable) -> None:
        if len(self.handed) == MOST_CALLS:
            raise RuntimeError(f"finetune was called more than {MOST_CALLS} times")
        self.handed.append(zeros(model))
        with torch.no_grad():
            for parameter in model.parameters():
                size = parameter.abs()
                sign = torch.where(parameter < 0, -1.0, 1.0)
                parameter.copy_(sign * (size.max() + 1 - size))
        after_step(model)
        self.after.append(zeros(model))
