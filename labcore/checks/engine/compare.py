"""Values passed between a check and an answer: copied, compared, shown in a line."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Set
from itertools import zip_longest
from types import FunctionType

import torch
from torch import Tensor, nn

__all__ = [
    "clone",
    "close",
    "difference",
    "is_number",
    "number",
    "same",
    "show",
    "values_in",
]

RELATIVE, ABSOLUTE = 1e-5, 1e-6  # for float32 sums, and where they cancel near zero


def clone(value):
    """An independent copy; a tensor keeps its strides, so odd layouts stay odd."""
    if isinstance(value, Tensor):
        return copy.deepcopy(value.detach()).requires_grad_(value.requires_grad)
    return copy.deepcopy(value)


def same(expected, got) -> bool:
    """Whether kind and value agree; floats may differ by a small relative error.

    Values that cannot be compared are not the same.
    """
    try:
        return _same(expected, got)
    except Exception:
        return False


def _same(expected, got) -> bool:
    if isinstance(expected, nn.Module):
        return isinstance(got, nn.Module) and _same(
            dict(expected.state_dict()), dict(got.state_dict())
        )
    if isinstance(expected, Tensor) and expected.dim() > 0:
        return (
            isinstance(got, Tensor)
            and got.shape == expected.shape
            and got.dtype == expected.dtype
            and bool(close(expected, got).all())
        )
    if is_number(expected):
        return is_number(got) and bool(close(number(expected), number(got)))
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and expected.keys() == got.keys()
            and all(_same(expected[key], got[key]) for key in expected)
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(expected) == len(got)
            and all(_same(e, g) for e, g in zip(expected, got, strict=True))
        )
    return type(expected) is type(got) and expected == got


def is_number(value) -> bool:
    """A plain number, or a tensor or array without dimensions; not True or False."""
    if isinstance(value, bool):
        return False
    if isinstance(value, Tensor):
        return value.dim() == 0 and value.dtype is not torch.bool
    return isinstance(value, int | float) or (
        hasattr(value, "item") and getattr(value, "shape", None) == ()
    )


def number(value) -> Tensor:
    plain = value.item() if hasattr(value, "item") else value
    return torch.tensor(float(plain), dtype=torch.double)


def close(expected: Tensor, got: Tensor) -> Tensor:
    return torch.isclose(
        got.double(), expected.double(), RELATIVE, ABSOLUTE, equal_nan=True
    )


def values_in(value) -> int:
    """How many values there are to write down; 0 if there is a network among them."""
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, Mapping | list | tuple):
        parts = value.values() if isinstance(value, Mapping) else value
        counts = [values_in(part) for part in parts]
        return sum(counts) if all(counts) else 0
    return 0 if isinstance(value, nn.Module) else 1


def difference(expected, got) -> tuple[str, str]:
    """Both values as text: whole if short, else only the first place that differs."""
    whole = show(expected), show(got)
    if isinstance(expected, set | frozenset) and isinstance(got, set | frozenset):
        return whole[0], _missing_and_too_many(expected, got)
    if whole[0] != whole[1] and max(map(len, whole)) <= 150:
        return whole
    if found := _first_difference(expected, got):
        place, expected, got = found
        return f"{show(expected)} at {place}", f"{show(got)} at {place}"
    if whole[0] == whole[1]:
        return f"{whole[0]}, {_type_of(expected)}", f"{whole[1]}, {_type_of(got)}"
    return whole


def _missing_and_too_many(expected: Set, got: Set) -> str:
    parts = {"missing": expected - got, "too many": got - expected}
    told = [f"{word} {show(part)}" for word, part in parts.items() if part]
    return "; ".join(told)


def _type_of(value) -> str:
    """Its type in words, for values that look the same."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return f"of type {type(value).__name__}"


class Nothing:
    def __repr__(self) -> str:
        return "nothing"


def _first_difference(expected, got) -> tuple[str, object, object] | None:
    """(place, both values there); None unless both are containers of the same kind."""
    if isinstance(expected, Tensor) and isinstance(got, Tensor):
        return _first_element(expected, got)
    if isinstance(expected, nn.Module) and isinstance(got, nn.Module):
        return _first_difference(expected.state_dict(), got.state_dict())
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        keys = [*expected, *(key for key in got if key not in expected)]
        pairs = [(k, expected.get(k, Nothing()), got.get(k, Nothing())) for k in keys]
    elif isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        both = zip_longest(expected, got, fillvalue=Nothing())
        pairs = [(index, *pair) for index, pair in enumerate(both)]
    else:
        return None
    for key, one, other in pairs:
        if not same(one, other):
            place, *values = _first_difference(one, other) or ("", one, other)
            return f"[{key!r}]{place}", *values
    return None


def _first_element(expected: Tensor, got: Tensor) -> tuple[str, object, object] | None:
    if expected.shape != got.shape or expected.dim() == 0:
        return None
    places = (~close(expected, got)).nonzero()
    if len(places) == 0:
        return None
    first = tuple(places[0].tolist())
    place = f"[{', '.join(map(str, first))}], the first of {len(places)} differences"
    return place, expected[first].item(), got[first].item()


def show(value, width: int = 300) -> str:
    """The value as a student would write it, shortened to `width` characters."""
    try:
        text = " ".join(_show(value).split())
    except Exception:
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= width else text[: width - 4] + " ..."


def _show(value) -> str:
    if isinstance(value, nn.Module):
        leaves = [m for m in value.modules() if not list(m.children())]
        if len(leaves) == 1 and isinstance(leaves[0], nn.Conv2d):
            return repr(leaves[0])
        parameters = dict(value.named_parameters())
        count = sum(p.numel() for p in parameters.values())
        if count <= 30:
            parts = [f"{name} {_show(p.detach())}" for name, p in parameters.items()]
            return f"{type(value).__name__}({', '.join(parts)})"
        channels = [m.out_channels for m in value.modules() if isinstance(m, nn.Conv2d)]
        layers = f", channels {channels}" if channels else ""
        return f"{type(value).__name__} with {count:,} parameters{layers}"
    if isinstance(value, Tensor):
        if value.numel() <= 30:
            return _show_values(value.tolist())
        shape = ", ".join(map(str, value.shape))
        return f"tensor of shape ({shape}), {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, FunctionType):
        return value.__name__
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if re.search("[.en]", text) else f"{text}.0"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple) and len(value) == 1:
        return f"({_show(value[0])},)"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        return left + ", ".join(map(_show, value)) + right
    if isinstance(value, set | frozenset) and value:
        return "{" + ", ".join(sorted(map(_show, value))) + "}"
    return repr(value)


def _show_values(values) -> str:
    """The values of a tensor: 1 instead of 1.0, because its type is known."""
    if isinstance(values, list):
        return f"[{', '.join(map(_show_values, values))}]"
    return f"{values:.6g}" if isinstance(values, float) else repr(values)
