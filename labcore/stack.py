"""Copies of one linear network with different masks, trained side by side.

Comparing many ways to prune means training many small networks. Here they share their
batches, and one large matrix product computes the first layer of all copies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore import runtime
from labcore.nets import layers

__all__ = ["Stack"]

Masks = Mapping[str, Tensor]  # layer name -> True for a weight that is kept


class Stack:
    """The copies; weights that are removed stay zero.

    network    linear layers with ReLU between them, such as labcore.nets.MLP
    masks      one for each copy
    weights    layer name -> (copies, outputs, inputs)
    """

    def __init__(self, network: nn.Module, masks: Sequence[Masks]) -> None:
        runtime.use_threads()
        self._network = network
        self.masks: dict[str, Tensor] = {}  # stored as 0 and 1
        self.weights: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        for name, layer in layers(network).items():
            kept = torch.stack([mask[name] for mask in masks]).float()
            self.masks[name] = kept
            self.weights[name] = (layer.weight.detach() * kept).requires_grad_()
            self.biases[name] = layer.bias.detach().repeat(len(masks), 1)
            self.biases[name].requires_grad_()

    def scores(self, images: Tensor) -> Tensor:
        """(batch, inputs) -> (copies, batch, classes)."""
        values, last = images, list(self.weights)[-1]
        with runtime.autocast():
            for name, weights in self.weights.items():
                shared = values.dim() == 2  # all copies see the same images
                rule = "bi,koi->kbo" if shared else "kbi,koi->kbo"
                values = torch.einsum(rule, values, weights).float()
                values = values + self.biases[name][:, None]
                values = values if name == last else values.relu()
        return values

    def train(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        epochs: int,
        seed: int,
        lr: float = 0.2,
        batch_size: int = 250,
        after_step: Callable[[int, dict[str, Tensor]], object] | None = None,
    ) -> None:
        """Plain SGD.

        after_step   called with the step's number, counted from 1, and the gradients of
                     all weights by layer name, including those of removed weights
        """
        draw = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(len(images), generator=draw) for _ in range(epochs)]
        batches = [part for order in orders for part in order.split(batch_size)]
        bar = runtime.progress(batches, what="training")
        for step, picked in enumerate(bar, start=1):
            found = self._gradients(images[picked], labels[picked])
            with torch.no_grad():
                for name, gradient in zip(self.weights, found, strict=False):
                    kept = self.masks[name]
                    self.weights[name].addcmul_(gradient, kept, value=-lr)
                for bias, gradient in zip(
                    self.biases.values(), found[len(self.weights) :], strict=True
                ):
                    bias.sub_(gradient, alpha=lr)
                if after_step is not None:
                    after_step(step, dict(zip(self.weights, found, strict=False)))

    def _gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Gradients of each copy's own mean loss: all weights, then all biases."""
        scores = self.scores(images)
        copies = len(scores)
        loss = copies * F.cross_entropy(scores.flatten(0, 1), labels.repeat(copies))
        parts = [*self.weights.values(), *self.biases.values()]
        return torch.autograd.grad(loss, parts)

    @torch.no_grad()
    def put(self, k: int, masks: Masks) -> None:
        """Give copy k these masks; a weight that comes back starts at zero."""
        for name, mask in masks.items():
            self.masks[name][k] = mask
            self.weights[name][k] *= mask

    @torch.no_grad()
    def accuracies(self, images: Tensor, labels: Tensor) -> list[float]:
        """Share of the images that each copy classifies correctly, in percent."""
        parts = zip(images.split(500), labels.split(500), strict=True)
        right = [(self.scores(x).argmax(-1) == y).sum(1) for x, y in parts]
        return (100 * sum(right) / len(labels)).tolist()

    @torch.no_grad()
    def network(self, k: int) -> nn.Module:
        """Copy k as a network of its own, in eval mode."""
        found = copy.deepcopy(self._network).eval()
        for name, layer in layers(found).items():
            layer.weight.copy_(self.weights[name][k])
            layer.bias.copy_(self.biases[name][k])
        return found
