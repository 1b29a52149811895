"""Stands in for training under masks where a check asks what a lottery round does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from labcore.checks.engine.watch import handed
from labcore.runtime import LabError

__all__ = ["MaskedTraining"]


class MaskedTraining:
    """Called as train(model, masks): one step that moves every number.

    What was small is large afterwards; what the masks remove is zero. A second call is
    an error. One entry a call:

    trained    the network
    seen       the number of kept weights by layer
    not_zero   how many weights that the masks remove were not zero before
    """

    def __init__(self) -> None:
        self.trained: list[nn.Module] = []
        self.seen: list[dict[str, int]] = []
        self.not_zero: list[int] = []

    @handed
    def __call__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        if self.trained:
            raise LabError("train is called twice; call it once")
        self.trained.append(model)
        self.seen.append({name: int(mask.sum()) for name, mask in masks.items()})
        weights = {name: model.get_submodule(name).weight for name in masks}
        removed = [weights[name][~mask] for name, mask in masks.items()]
        self.not_zero.append(sum(int(part.count_nonzero()) for part in removed))
        with torch.no_grad():
            largest = max(parameter.abs().max() for parameter in model.parameters())
            for parameter in model.parameters():  # no number keeps its magnitude
                sign = torch.where(parameter < 0, -1.0, 1.0)
                parameter.copy_(sign * (largest + 0.27 - parameter.abs() / 2))
            for name, mask in masks.items():
                weights[name].mul_(mask)
