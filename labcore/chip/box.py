"""The trained networks of Lab 11."""

from __future__ import annotations

import numpy as np
import torch

from labcore import assets
from labcore.nets import VGG

__all__ = ["candidates"]

FILE = "fashion-chip.npz"  # made by `labcore train chip`


def candidates() -> dict[str, VGG]:
    """Networks that were pruned and then trained, by name, in eval mode."""
    weights: dict[str, dict[str, torch.Tensor]] = {}
    with np.load(assets.path(FILE), allow_pickle=False) as arrays:
        for key in arrays.files:
            name, parameter = key.split("/")
            weights.setdefault(name, {})[parameter] = torch.from_numpy(arrays[key])
    return {name: _network(values) for name, values in weights.items()}


def _network(weights: dict[str, torch.Tensor]) -> VGG:
    channels = [len(v) for k, v in weights.items() if ".conv" in k]
    model = VGG(in_channels=1, channels=channels)
    model.load_state_dict(weights)
    return model.eval()
