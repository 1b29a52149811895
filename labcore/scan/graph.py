"""Read a model with torch.fx: a copy made of steps that change nothing in place."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from labcore.runtime import LabError

__all__ = ["absorbed", "folded", "layers", "trace"]

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Tracer(fx.Tracer):
    """Treats each convolution and linear layer as one step, subclasses included."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, LAYERS) or super().is_leaf_module(module, name)


def trace(model: nn.Module) -> fx.GraphModule:
    """A copy of the model in eval mode, as a graph; the model does not change."""
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise LabError(
                f"{name or 'The model'} carries a forward hook, which the scan cannot "
                "follow: remove the hook and scan again."
            )
    try:
        frozen = copy.deepcopy(model).eval()
        traced = fx.GraphModule(frozen, _Tracer().trace(frozen))
    except Exception as reason:
        why = f"{type(reason).__name__}: {reason}".splitlines()[0]
        raise LabError(
            f"The scan cannot follow this model's forward() with torch.fx ({why}): "
            "rewrite it without conditions on tensor values."
        ) from None
    _without_inplace(traced)
    return traced


def _without_inplace(traced: fx.GraphModule) -> None:
    """Make every step produce a new tensor, so that a stored value never changes."""
    place = {node: i for i, node in enumerate(traced.graph.nodes)}
    for node, i in place.items():
        if _turned_functional(traced, node):
            changed = node.all_input_nodes[0]  # later readers meant the new value
            changed.replace_all_uses_with(node, lambda user, i=i: place[user] > i)


def _turned_functional(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Replace an in-place step by its functional twin; returns whether it was one."""
    if node.op == "call_module":
        module = traced.get_submodule(node.target)
        if not getattr(module, "inplace", False):
            return False
        module.inplace = False
    elif node.kwargs.get("inplace"):
        node.update_kwarg("inplace", False)
    elif node.op == "call_function" and hasattr(torch, _twin(node.target.__name__)):
        node.target = getattr(torch, _twin(node.target.__name__))
    elif node.op == "call_method" and _twin(node.target):
        node.target = _twin(node.target)
    else:
        if node.op == "call_method" and node.target == "view":
            node.target = "reshape"  # the scan uses channels-last tensors
        return False
    return True


def _twin(name: str) -> str:
    """ "relu" for "relu_"; empty if the name is not that of an in-place function."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else ""


def layers(traced: fx.GraphModule) -> dict[str, fx.Node]:
    """The steps for convolutions and linear layers, by layer name and in order."""
    nodes = list(traced.graph.nodes)
    called = Counter(node.target for node in nodes if node.op == "call_module")
    owners = Counter(
        id(parameter)
        for module in traced.modules()
        for parameter in module._parameters.values()
    )
    read = {node.target for node in nodes if node.op == "get_attr"}
    for name, module in traced.named_modules():
        if not isinstance(module, LAYERS):
            continue
        stock = next(kind for kind in LAYERS if isinstance(module, kind))
        if "forward" in vars(module) or type(module).forward is not stock.forward:
            trouble = "has a forward() of its own"
        elif called[name] != 1:
            trouble = f"is called {called[name]} times in one forward pass"
        elif (
            f"{name}.weight" in read or owners[id(module._parameters.get("weight"))] > 1
        ):
            trouble = "shares its weight"
        else:
            continue
        raise LabError(
            f"{name} {trouble}, but the scan needs ordinary layers, each called once "
            "with a weight of its own: change the model, or scan it with a loop."
        )
    found = {
        node.target: node
        for node in nodes
        if node.op == "call_module"
        and isinstance(traced.get_submodule(node.target), LAYERS)
    }
    if not found:
        raise LabError(
            "The model has no convolution and no linear layer, so there is nothing "
            "to scan: pass a network with such layers."
        )
    return found


def folded(traced: fx.GraphModule, node: fx.Node) -> tuple[Tensor, Tensor | None]:
    """A layer's weight and bias; if only a BatchNorm reads the layer, it is folded in.

    Folding multiplies each channel by one factor, so a mask fits the folded weight too.
    """
    module, norm = traced.get_submodule(node.target), _only_reader(traced, node)
    weight = module.weight.detach()
    bias = None if module.bias is None else module.bias.detach()
    foldable = isinstance(norm, NORMS) and not isinstance(module, nn.Linear)
    if not foldable or norm.running_mean is None:
        return weight, bias
    _absorb_reader(traced, node)
    statistics = norm.running_mean, norm.running_var, norm.eps
    fused = fuse_conv_bn_weights(weight, bias, *statistics, norm.weight, norm.bias)
    return fused[0].detach(), fused[1].detach()


def absorbed(traced: fx.GraphModule, node: fx.Node) -> tuple[bool, nn.Module | None]:
    """Remove a ReLU that alone reads the node, and a max-pool after it, from the graph.

    Returns whether there was a ReLU, and the pool or None.
    """
    users = list(node.users)
    relu = len(users) == 1 and (
        isinstance(_only_reader(traced, node), nn.ReLU)
        or users[0].target in ("relu", torch.relu, nn.functional.relu)
    )
    if not relu:
        return False, None
    _absorb_reader(traced, node)
    pool = _only_reader(traced, node)
    if not isinstance(pool, nn.MaxPool2d) or pool.return_indices:
        return True, None
    _absorb_reader(traced, node)
    return True, pool


def _only_reader(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that reads the node's value, if nothing else reads it."""
    users = list(node.users)
    if len(users) == 1 and users[0].op == "call_module":
        return traced.get_submodule(users[0].target)
    return None


def _absorb_reader(traced: fx.GraphModule, node: fx.Node) -> None:
    (reader,) = node.users
    reader.replace_all_uses_with(node)
    traced.graph.erase_node(reader)
