"""Tensors and networks as plain data, and back: nothing is pickled or imported.

A state is JSON beside its bytes. What a hostile state says is checked before it is
used: known types, sizes that fit their bytes, classes of torch.nn and labcore.nets.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import labcore.nets

__all__ = [
    "bytes_held",
    "class_named",
    "fill_module",
    "fill_tensor",
    "is_plain_tensor",
    "module_state",
    "name_of_class",
    "new_module",
    "new_tensor",
    "tensor_state",
]

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.complex64, torch.complex128),
    )
}
OWN = set(vars(nn.Module()))  # what every network has, its parameters and its hooks
NETS = (labcore.nets.__name__, "torch.nn.modules.")
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks")
MOST_HOOKS = 100
MOST_GAPS = 8  # memory of an odd layout, as a multiple of its values
MOST_BYTES, MOST_VALUES = 500_000_000, 100_000_000  # of one tensor


def name_of_class(kind: type) -> str:
    """Its full name, empty where it is none of torch.nn or labcore.nets."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name if _found(name) is kind else ""


def class_named(name: str) -> type[nn.Module]:
    if not (found := _found(name)):
        raise ValueError(f"{name[:80]!r} is no network of torch.nn or labcore.nets")
    return found


def _found(name: str) -> type[nn.Module] | None:
    module, _, kind = name.rpartition(".")
    if not (module == NETS[0] or module.startswith(NETS[1])):
        return None
    found = getattr(sys.modules.get(module), kind, None)
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def is_plain_tensor(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and str(value.dtype).removeprefix("torch.") in DTYPES
    )


def bytes_held(value: object) -> int:
    """What a tensor and its gradient take up; those of a network count themselves."""
    if not isinstance(value, Tensor):
        return 0
    layout = value.shape, value.stride()
    places = min(_span(*layout), _allowed(*layout))  # not what it is a view of
    grad = value.grad if value.is_leaf else None
    return places * value.itemsize + bytes_held(grad)


def tensor_state(tensor: Tensor, blobs: list[bytes]) -> dict:
    """Values, layout, whether it learns, and its gradient; bytes go into `blobs`."""
    plain = tensor.detach().as_subclass(Tensor).resolve_conj().resolve_neg()
    if _span(plain.shape, plain.stride()) > _allowed(plain.shape, plain.stride()):
        plain = plain.contiguous()  # a few rows of something large
    values = plain
    for axis, (size, stride) in enumerate(
        zip(plain.shape, plain.stride(), strict=True)
    ):
        if stride == 0 and size > 1:
            values = values.narrow(axis, 0, 1)
    blobs.append(values.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    grad = tensor.grad if tensor.is_leaf else None
    return {
        "dtype": str(plain.dtype).removeprefix("torch."),
        "size": list(plain.shape),
        "stride": list(plain.stride()),
        "blob": len(blobs) - 1,
        "learns": tensor.requires_grad,
        "parameter": isinstance(tensor, nn.Parameter),
        "grad": tensor_state(grad, blobs) if is_plain_tensor(grad) else None,
    }


def new_tensor(state: dict, blobs: list[bytearray], place: int = 0) -> Tensor:
    """A tensor of its own, in the layout described, from the bytes at `place`."""
    if type(state["blob"]) is not int or state["blob"] != place:
        raise ValueError("bytes belong to one tensor only, in their order")
    dtype, blob = DTYPES[state["dtype"]], blobs[place]
    size, stride = state["size"], state["stride"]
    for number in (*size, *stride):
        if type(number) is not int or number < 0:
            raise ValueError("sizes and strides are whole numbers from 0")
    stored = _stored(size, stride)
    if math.prod(stored) * dtype.itemsize != len(blob):
        raise ValueError("the bytes do not fit the size")
    span = _span(size, stride)
    if math.prod(size) > MOST_VALUES or span * dtype.itemsize > MOST_BYTES:
        raise ValueError("that is too large")
    if len(size) > 16 or span > _allowed(size, stride):
        raise ValueError("that layout is mostly gaps")
    made = torch.empty_strided(stored, stride, dtype=dtype)
    if blob:
        read = torch.uint8 if dtype is torch.bool else dtype
        flat = torch.frombuffer(blob, dtype=read).reshape(stored)
        made.copy_(flat != 0 if dtype is torch.bool else flat)
    made = made.expand(size)
    learns = bool(state["learns"]) and (dtype.is_floating_point or dtype.is_complex)
    if state["parameter"]:
        made = nn.Parameter(made, requires_grad=learns)
    elif learns:
        made.requires_grad_()
    if place == 0 and state["grad"] is not None:
        made.grad = new_tensor(state["grad"], blobs, place=1)
    return made


def _stored(size: Sequence[int], stride: Sequence[int]) -> list[int]:
    """The size without what an expansion repeats."""
    axes = zip(size, stride, strict=True)
    return [1 if step == 0 and count > 1 else count for count, step in axes]


def _span(size: Sequence[int], stride: Sequence[int]) -> int:
    """The number of places from its first value to its last."""
    axes = zip(size, stride, strict=True)
    return 0 if 0 in size else 1 + sum((count - 1) * step for count, step in axes)


def _allowed(size: Sequence[int], stride: Sequence[int]) -> int:
    return MOST_GAPS * math.prod(_stored(size, stride)) + 1024


def fill_tensor(tensor: Tensor, state: dict, blobs: list[bytearray]) -> None:
    """Make this very object what the state says."""
    made = new_tensor(state, blobs)
    plain = tensor.detach()
    alike = (plain.dtype, plain.shape, plain.stride())
    if alike == (made.dtype, made.shape, made.stride()) and 0 not in made.stride():
        plain.copy_(made.detach())
    else:
        tensor.data = made.detach()
    if tensor.is_leaf:
        if tensor.requires_grad != made.requires_grad:
            tensor.requires_grad_(made.requires_grad)
        tensor.grad = made.grad


def module_state(module: nn.Module, refer: Callable[[object], object]) -> dict:
    """What a network is made of; `refer` turns tensors, networks and data into JSON."""
    data = {}
    for name, value in sorted(vars(module).items()):
        if name not in OWN:
            try:
                data[name] = refer(value)
            except TypeError:  # a function it carries along: its class brings its own
                continue
    return {
        "class": name_of_class(type(module)),
        "hooks": [len(getattr(module, table)) for table in HOOKS],
        "training": module.training,
        "data": data,
        "parameters": [[n, refer(v)] for n, v in module._parameters.items()],
        "buffers": [
            [n, refer(v), n not in module._non_persistent_buffers_set]
            for n, v in module._buffers.items()
        ],
        "modules": [[n, refer(v)] for n, v in module._modules.items()],
    }


def new_module(state: dict) -> nn.Module:
    """An empty one of the class; `fill_module` gives it its parts."""
    kind = class_named(state["class"])
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    return made


def fill_module(
    module: nn.Module, state: dict, resolve: Callable[[object], object]
) -> None:
    """Make this very object what the state says; `resolve` is the inverse of refer."""
    kind = type(module)
    for name, value in state["data"].items():
        known = name in OWN or hasattr(nn.Module, name) or name[:2] == "__"
        if known or callable(getattr(kind, name, None)) or not _is_data(value):
            raise ValueError(f"a network's {name[:80]!r} cannot be set")
    data = {name: resolve(value) for name, value in state["data"].items()}
    parts = {
        "_parameters": (nn.Parameter, [row[:2] for row in state["parameters"]]),
        "_buffers": (Tensor, [row[:2] for row in state["buffers"]]),
        "_modules": (nn.Module, state["modules"]),
    }
    for place, (wanted, rows) in parts.items():
        table = {}
        for name, reference in rows:
            value = resolve(reference)
            if type(name) is not str or not isinstance(value, wanted | None):
                raise ValueError(f"a network's part {name!r} is of a wrong type")
            table[name] = value
        held = getattr(module, place)
        held.clear()
        held.update(table)
    module._non_persistent_buffers_set = {
        name for name, _, persistent in state["buffers"] if not persistent
    }
    for table, count in zip(HOOKS, state["hooks"], strict=True):
        _fill_hooks(getattr(module, table), count)
    for name in set(vars(module)) - OWN - set(data):
        del vars(module)[name]
    vars(module).update(data)
    vars(module)["training"] = state["training"] is True


def _is_data(value: object) -> bool:
    """Whether this JSON stands for data, and nothing in it can be called."""
    if not isinstance(value, list):
        return True
    kind, *rest = value
    if kind == "dict":
        rest = [part for pair in rest for part in pair]
    return kind not in ("far", "near", "class") and all(map(_is_data, rest))


def _fill_hooks(table: dict, count: int) -> None:
    """As many hooks as on the other side; what they do stays there."""
    if type(count) is not int or not 0 <= count <= MOST_HOOKS:
        raise ValueError("so many hooks")
    if len(table) != count:
        table.clear()
        table.update((number, _inert) for number in range(count))


def _inert(*_args) -> None:
    pass
