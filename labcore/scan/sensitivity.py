"""A fast sensitivity scan: how the accuracy falls when one layer is pruned.

A plain loop runs the whole network for every layer and sparsity. This scan runs a batch
through the network once, and then reruns only the part from the pruned layer on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labcore import runtime
from labcore.runtime import LabError
from labcore.scan.replay import Replay, channels_last

__all__ = ["Scan", "sensitivity_scan"]

Prune = Callable[[Tensor, float], Tensor]  # (weight, sparsity) -> mask, True = keep
Masks = dict[str, dict[float, Tensor]]


@dataclass(frozen=True)
class Scan:
    """Correct answers on `images`: the dense network's, then by layer and sparsity."""

    images: int
    dense_count: int
    counts: dict[str, dict[float, int]]

    @property
    def dense(self) -> float:
        """The dense network's accuracy in percent."""
        return 100 * self.dense_count / self.images

    @property
    def accuracy(self) -> dict[str, dict[float, float]]:
        """In percent: accuracy["backbone.conv0"][0.4]."""
        return self._each(lambda count: 100 * count / self.images)

    @property
    def interval(self) -> dict[str, dict[float, tuple[float, float]]]:
        """The 95 % confidence interval of each accuracy, in percent."""
        return self._each(lambda count: wilson(count, self.images))

    def _each(self, of: Callable[[int], object]) -> dict:
        return {
            layer: {sparsity: of(count) for sparsity, count in row.items()}
            for layer, row in self.counts.items()
        }


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent; it also works near 0 and 100."""
    share, spread = count / total, z * z / total
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return 100 * max(low, 0.0), 100 * min(high, 1.0)


@runtime.reused_memory()
def sensitivity_scan(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    prune: Prune,
    sparsities: Iterable[float],
    batch_size: int | None = None,
) -> Scan:
    """Accuracy with one layer pruned and all others dense, by layer and sparsity.

    prune        gets a copy of the layer's weight and a sparsity, and returns a mask
    batch_size   by default what fits in a CPU's caches, or what fills a GPU

    The model is never changed. Any model that torch.fx can trace will work.
    """
    runtime.use_threads()
    levels = _levels(sparsities)
    if len(images) == 0 or len(images) != len(labels):
        raise LabError(
            f"The scan got {len(images)} images and {len(labels)} labels: "
            "pass as many labels as images, and at least one."
        )
    device = runtime.device()
    dtype = torch.bfloat16 if runtime.precision() == "bf16" else torch.float32
    if batch_size is None:  # on a CPU 128 in float32, 256 in bfloat16: as many bytes
        batch_size = 512 // dtype.itemsize if device.type == "cpu" else 512
    with torch.no_grad():
        replay = Replay(model, images[:4].to(device, torch.float32))
        masks = _masks(replay, prune, levels)
        replay.to(dtype)
        dense, counts = 0, {name: dict.fromkeys(row, 0) for name, row in masks.items()}
        batches = range(0, len(images), batch_size)
        rounds = len(batches) * len(masks) * len(levels)
        with runtime.progress(total=rounds, what="scanning") as bar:
            for first in batches:
                batch = images[first : first + batch_size].to(device, dtype)
                right = labels[first : first + batch_size].to(device)
                dense += _right(replay.start(channels_last(batch)), right)
                for name, row in masks.items():
                    for level, mask in row.items():
                        scores = replay.again(name, replay.layers[name].weight * mask)
                        counts[name][level] += _right(scores, right)
                    replay.leave(name)
                    bar.update(len(row))
    numbers = {
        name: {k: int(n) for k, n in row.items()} for name, row in counts.items()
    }
    return Scan(len(images), int(dense), numbers)


def _levels(sparsities: Iterable[float]) -> list[float]:
    # round, because an arange's 0.7999999999999999 means 0.8 and is looked up as 0.8
    levels = [round(float(sparsity), 6) for sparsity in sparsities]
    if not levels or not all(0 <= level <= 1 for level in levels):
        raise LabError(
            f"The sparsities are {levels}, but a scan needs one or more, each between "
            "0 and 1: for example [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]."
        )
    return levels


def _masks(replay: Replay, prune: Prune, levels: list[float]) -> Masks:
    """Compute every mask once, before any image is used."""
    pairs = [(name, level) for name in replay.layers for level in levels]
    masks: Masks = {name: {} for name in replay.layers}
    for name, level in runtime.progress(pairs, what="pruning"):
        weight = replay.layers[name].plain
        mask = prune(weight.clone(memory_format=torch.contiguous_format), level)
        shape = tuple(weight.shape)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        elif mask.shape != weight.shape:
            got = f"shape {tuple(mask.shape)}"
        else:
            masks[name][level] = channels_last(mask.to(weight.device).clone())
            continue
        raise LabError(
            f"For {name} at sparsity {level} prune returned {got}, but the scan needs "
            f"a mask: a bool tensor of the weight's shape {shape}, True = keep."
        )
    return masks


def _right(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.argmax(dim=1) == labels).sum()  # .item() would wait for the GPU
