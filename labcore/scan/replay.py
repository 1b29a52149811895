"""A model that stores a batch's values and reruns only what follows one layer."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

import labcore.scan.graph as graph
from labcore.runtime import LabError

__all__ = ["Replay"]

Values = dict[fx.Node, object]


@dataclass
class Layer:
    """A layer with its BatchNorm folded in, and the steps to rerun after it."""

    module: nn.Module
    plain: Tensor  # the weight before folding
    weight: Tensor
    bias: Tensor | None
    relu: bool
    pool: nn.MaxPool2d | None  # applied before the ReLU: the order makes no difference
    steps: list[fx.Node]  # those that depend on the layer, in order, itself first
    reads: set[fx.Node]  # values that these steps take from elsewhere
    done: set[fx.Node]  # those of them that no later layer's steps read

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        if isinstance(self.module, nn.Linear):
            y = nn.functional.linear(x, weight, self.bias)
        else:  # this method knows the padding_mode
            y = self.module._conv_forward(x, weight, self.bias)
        if self.pool is not None:
            y = max_pooled(self.pool, y)
        return y.relu_() if self.relu else y


class Replay:
    """A copy of a model: `start` runs a batch, `again` reruns what follows a layer."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        """A few images as an example, to check that the copy computes the same."""
        self.model = graph.trace(model).to(example)
        found = graph.layers(self.model)
        folded = {name: graph.folded(self.model, node) for name, node in found.items()}
        tails = {name: graph.absorbed(self.model, node) for name, node in found.items()}
        self.nodes = list(self.model.graph.nodes)
        self.output = self.nodes[-1]
        self.layers: dict[str, Layer] = {}
        later: set[fx.Node] = set()
        for name, node in reversed(found.items()):
            module = self.model.get_submodule(node.target)
            steps, reads = self._behind(node)
            self.layers[name] = Layer(
                module,
                module.weight.detach(),
                *folded[name],
                *tails[name],
                steps,
                reads,
                reads - later,
            )
            later |= reads
        self.layers = {name: self.layers[name] for name in found}
        self.values: Values = {}
        self._prove(model, example)

    def _behind(self, start: fx.Node) -> tuple[list[fx.Node], set[fx.Node]]:
        """The steps that depend on `start`, and the values they read from outside."""
        steps = {start: None}
        for node in self.nodes:
            if any(read in steps for read in node.all_input_nodes):
                steps[node] = None
        reads = {read for node in steps for read in node.all_input_nodes} - set(steps)
        return list(steps), reads if self.output in steps else reads | {self.output}

    def _prove(self, model: nn.Module, example: Tensor) -> None:
        """Refuse a model for which the copy, or a rerun from some layer, differs."""
        expected = copy.deepcopy(model).eval().to(example)(example)
        if not isinstance(expected, Tensor) or expected.dim() != 2:
            raise LabError(
                "The scan needs a model that returns one tensor of scores, (images, "
                "classes): let forward() return only that."
            )
        try:
            got = [self.start(example)]
            got += [self.again(name, x.weight) for name, x in self.layers.items()]
            faithful = all(_close(scores, expected) for scores in got)
        except Exception:
            faithful = False
        if not faithful:
            raise LabError(
                "The scan's copy of the model gives other scores than the model: "
                "something in forward() escapes torch.fx, so scan it with a plain loop."
            )

    def to(self, dtype: torch.dtype) -> None:
        self.model.to(dtype)
        for layer in self.layers.values():
            layer.weight = channels_last(layer.weight.to(dtype))
            if layer.bias is not None:
                layer.bias = layer.bias.to(dtype)

    def start(self, images: Tensor) -> Tensor:
        """The dense network's scores; stores every value that `again` will read."""
        keep = set().union(*(layer.reads for layer in self.layers.values()))
        self.values = {}
        return self._run(self.nodes, self.values, keep, {}, images)

    def again(self, name: str, weight: Tensor) -> Tensor:
        """The scores with this (folded) weight in one layer."""
        layer = self.layers[name]
        values = {node: self.values[node] for node in layer.reads}
        return self._run(layer.steps, values, layer.reads, {name: weight})

    def leave(self, name: str) -> None:
        """Forget the values that only this layer and earlier ones needed."""
        for node in self.layers[name].done:
            del self.values[node]

    def _run(
        self,
        steps: Iterable[fx.Node],
        values: Values,
        keep: set[fx.Node],
        weights: dict[str, Tensor],
        images: Tensor | None = None,
    ) -> Tensor:
        last = {read: node for node in steps for read in node.all_input_nodes}
        for node in steps:
            values[node] = self._value(node, values, weights, images)
            for read in node.all_input_nodes:
                if last[read] is node and read not in keep:
                    del values[read]  # the next step can use its memory
        return values[self.output]

    def _value(self, node: fx.Node, values: Values, weights, images) -> object:
        args = fx.map_arg(node.args, values.__getitem__)
        kwargs = fx.map_arg(node.kwargs, values.__getitem__)
        if node.op == "placeholder":
            return args[0] if args else images
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self.model)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        if node.op == "call_function":
            return node.target(*args, **kwargs)
        if node.op == "output":
            return args[0]
        layer = self.layers.get(node.target)
        if layer is None:
            return self.model.get_submodule(node.target)(*args, **kwargs)
        return layer(*args, weights.get(node.target, layer.weight), **kwargs)


def _close(scores: object, expected: Tensor) -> bool:
    margin = 5e-3 * expected.abs().max().item()  # a GPU may round to TF32
    return torch.allclose(scores, expected, rtol=0, atol=margin, equal_nan=True)


def max_pooled(pool: nn.MaxPool2d, x: Tensor) -> Tensor:
    """pool(x); the usual 2x2 pool as two maxima, which takes half the time."""
    plain = (2, 2, 0, 1, False)
    how = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
    if how != plain or x.shape[-2] % 2 or x.shape[-1] % 2:
        return pool(x)
    x = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
    return torch.maximum(x[..., ::2], x[..., 1::2])


def channels_last(tensor: Tensor) -> Tensor:
    if tensor.dim() != 4:
        return tensor
    _, c, h, w = tensor.shape
    # with one channel both orders fit: the strides say which one a layer returns
    dense = tensor.contiguous(memory_format=torch.channels_last)
    return dense.as_strided(tensor.shape, (h * w * c, 1, w * c, c))
