"""Stands in for training under masks where a check asks what a lottery round does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from labcore.checks.engine.watch import handed

__all__ = ["MaskedTraining"]

MOST_CALLS = 20  # an endless loop would hang the check


class MaskedTraining:
    """Called as train(model, masks): one step that moves every number.

    What was small is large afterwards; what the masks remove is zero. `seen` lists
    the number of kept weights by layer, one entry a call.
    """

    def __init__(self) -> None:
        self.seen: list[dict[str, int]] = []

    @handed
    def __call__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        if len(self.seen) == MOST_CALLS:
            raise RuntimeError(f"train was called more than {MOST_CALLS} times")
        self.seen.append({name: int(mask.sum()) for name, mask in masks.items()})
        with torch.no_grad():
            largest = max(parameter.abs().max() for parameter in model.parameters())
            for parameter in model.parameters():  # different magnitudes stay different
                sign = torch.where(parameter < 0, -1.0, 1.0)
                parameter.copy_(sign * (largest + 0.1 - parameter.abs()))
            for name, mask in masks.items():
                model.get_submodule(name).weight.mul_(mask)
