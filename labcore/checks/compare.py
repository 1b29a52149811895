"""Values that pass between a check and an answer: copied, compared, shown in a line."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["clone", "same", "show"]


def clone(value):
    """An independent copy; a tensor keeps its strides, so odd layouts stay odd."""
    if isinstance(value, Tensor):
        return copy.deepcopy(value.detach()).requires_grad_(value.requires_grad)
    return copy.deepcopy(value)


def is_number(value) -> bool:
    """A plain number, or a tensor or array of no dimension; True and False are none."""
    if isinstance(value, bool):
        return False
    if isinstance(value, Tensor):
        return value.dim() == 0 and value.dtype is not torch.bool
    return isinstance(value, int | float) or (
        hasattr(value, "item") and getattr(value, "shape", None) == ()
    )


def same(expected, got, tolerance: float = 1e-5) -> bool:
    """Equal in kind and value; numbers and floats may differ relatively by a little."""
    if isinstance(expected, nn.Module):
        return isinstance(got, nn.Module) and same(
            dict(expected.state_dict()), dict(got.state_dict()), tolerance
        )
    if isinstance(expected, Tensor) and expected.dim() > 0:
        return (
            isinstance(got, Tensor)
            and got.shape == expected.shape
            and got.dtype == expected.dtype
            and torch.allclose(
                got.double(), expected.double(), tolerance, 1e-9, equal_nan=True
            )
        )
    if is_number(expected):
        return is_number(got) and (
            math.isclose(float(expected), float(got), rel_tol=tolerance, abs_tol=1e-9)
            or (math.isnan(float(expected)) and math.isnan(float(got)))
        )
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and expected.keys() == got.keys()
            and all(same(expected[key], got[key], tolerance) for key in expected)
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(expected) == len(got)
            and all(same(e, g, tolerance) for e, g in zip(expected, got, strict=True))
        )
    return type(expected) is type(got) and expected == got


def show(value, width: int = 300) -> str:
    """A value as a student would write it, shortened to `width` characters."""
    text = " ".join(_show(value).split())
    return text if len(text) <= width else text[: width - 4] + " ..."


def _show(value) -> str:
    if isinstance(value, nn.Module):
        parameters = dict(value.named_parameters())
        count = sum(p.numel() for p in parameters.values())
        if count <= 30:
            parts = [f"{name} {_show(p.tolist())}" for name, p in parameters.items()]
            return f"{type(value).__name__}({', '.join(parts)})"
        return f"{type(value).__name__} with {count:,} parameters"
    if isinstance(value, Tensor):
        if value.numel() <= 30:
            return _show(value.tolist())
        shape = ", ".join(map(str, value.shape))
        return f"tensor of shape ({shape}), {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    try:
        return repr(value)
    except Exception:
        return f"an object of type {type(value).__name__}"
