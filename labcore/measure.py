"""What a network costs: parameters, zeros, bytes, multiply-adds, time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from labcore import runtime
from labcore.nets import layers

__all__ = [
    "Latency",
    "Paired",
    "StoredBytes",
    "latency",
    "macs",
    "macs_by_layer",
    "margin",
    "paired",
    "parameters",
    "sparsity",
    "stored_bytes",
]


def margin(accuracy: float, images: int) -> float:
    """Half the 95 % interval of an accuracy measured on so many images, in points."""
    share = accuracy / 100
    return 196 * (share * (1 - share) / images) ** 0.5


@dataclass(frozen=True)
class Paired:
    """How a second network compares with a first one on the same images.

    to_wrong     images that only the first names rightly
    to_right     images that only the second names rightly
    difference   second minus first, in percentage points
    margin       half the 95 % interval of that difference (as in McNemar's test)
    """

    to_wrong: int
    to_right: int
    difference: float
    margin: float

    def __str__(self) -> str:
        return f"{self.difference:+.2f} ± {self.margin:.2f} points"


def paired(first: Tensor, second: Tensor, labels: Tensor) -> Paired:
    """Compare the classes that two networks predict for the same images."""
    first_right, second_right = first == labels, second == labels
    to_wrong = (first_right & ~second_right).sum().item()
    to_right = (second_right & ~first_right).sum().item()
    share = (to_right - to_wrong) / len(labels)
    spread = ((to_wrong + to_right) / len(labels) - share**2) / len(labels)
    return Paired(to_wrong, to_right, 100 * share, 196 * spread**0.5)


def parameters(model: nn.Module, nonzero_only: bool = False) -> int:
    """Count all learnable numbers, with BatchNorm and biases; or only the nonzeros."""
    if nonzero_only:
        return sum(p.count_nonzero().item() for p in model.parameters())
    return sum(p.numel() for p in model.parameters())


def sparsity(thing: nn.Module | Tensor) -> float:
    """The share of zeros in a tensor or in a model's parameters."""
    tensors = [thing] if isinstance(thing, Tensor) else list(thing.parameters())
    zeros = sum((t == 0).sum().item() for t in tensors)
    return zeros / sum(t.numel() for t in tensors)


@dataclass(frozen=True)
class StoredBytes:
    """The size of a model's parameters in bytes, for three ways to store float32.

    formula   4 bytes per nonzero: a lower bound, as it does not say where they are
    bitmask   the same, plus one bit per parameter that says whether it is zero
    csr       4 bytes per value, column index and row start; 1-d tensors stay dense
    """

    formula: int
    bitmask: int
    csr: int


def stored_bytes(model: nn.Module) -> StoredBytes:
    total, kept = parameters(model), parameters(model, nonzero_only=True)
    return StoredBytes(
        formula=4 * kept,
        bitmask=4 * kept + (total + 7) // 8,
        csr=sum(_csr_bytes(p) for p in model.parameters()),
    )


def _csr_bytes(tensor: Tensor) -> int:
    if tensor.dim() < 2:
        return 4 * tensor.numel()
    return 8 * tensor.count_nonzero().item() + 4 * (tensor.shape[0] + 1)


def macs(model: nn.Module, example: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products, from torch's own counter."""
    return _counted(model, example).get_total_flops() // 2  # it counts each as two


def macs_by_layer(model: nn.Module, example: Tensor) -> dict[str, int]:
    """The same for each convolution and linear layer, by layer name."""
    counts = _counted(model, example).get_flop_counts()
    return {
        name: sum(counts[f"{type(model).__name__}.{name}"].values()) // 2
        for name in layers(model)
    }


def _counted(model: nn.Module, example: Tensor) -> FlopCounterMode:
    """The counter after one call; the model does not change."""
    was_training = model.training
    model.eval()  # otherwise BatchNorm would learn from the example
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(example)
    finally:
        model.train(was_training)
    return counter


@dataclass(frozen=True)
class Latency:
    """Seconds per call: the median of all rounds, with the quartiles around it."""

    median: float
    lower: float
    upper: float


def latency(
    variants: Mapping[str, Callable[[], object]],
    rounds: int = 50,
    warmup: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Time every variant once per round, on one thread, so that a busy moment hits all.

    Compare the results as ratios: the seconds depend on this machine and this hour.
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for round_number in runtime.progress(range(warmup + rounds), what="timing"):
                for name, call in variants.items():
                    start = clock()
                    call()
                    seconds = clock() - start
                    if round_number >= warmup:
                        times[name].append(seconds)
    finally:
        torch.set_num_threads(threads)
    quartiles = {name: statistics.quantiles(t, n=4) for name, t in times.items()}
    return {name: Latency(q[1], q[0], q[2]) for name, q in quartiles.items()}
