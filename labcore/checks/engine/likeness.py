"""What a wrong result has in common with the right one, where no known mistake fits.

Each sentence is true of the two values that the message shows, whatever led to them. A
list of numbers is seen as a tensor. Of a container, what differs is looked at part by
part; a sentence is said if it is true of all these parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import mul

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import close, is_number, number, same

__all__ = ["NO_RETURN", "changes", "likeness"]

NO_RETURN = "the function ends without return"
SIMPLE = (*range(2, 17), 32, 64, 256, 512, 1000, 1024)  # factors to name


def likeness(expected, got, none_is_an_answer: bool = False) -> str:
    """A sentence about the two; empty if they have nothing simple in common."""
    try:
        if got is None and none_is_an_answer:
            return ""
        return _kinds(expected, got) or _parts(expected, got)
    except Exception:  # an object may fail even when asked for its type
        return ""


# kinds and containers


def _kinds(expected, got) -> str:
    if got is None and expected is not None:
        return f"{NO_RETURN}; print() only shows a value"
    if isinstance(got, complex) and is_number(expected):
        return "this is a complex number, as the root of a negative one is"
    wanted, found = _kind(expected), _kind(got)
    either = {wanted, found} == {"a list", "a tuple"}  # one is as good as the other
    if wanted and found and wanted != found and not either:
        return f"return {wanted}, not {found}"
    return ""


def _kind(value) -> str:
    """The kind of value, in words; empty if beginners would not confuse it."""
    if is_number(value):
        return "a number"
    kinds = {
        str: "text",
        list: "a list",
        tuple: "a tuple",
        dict: "a dictionary",
        set: "a set",
        Tensor: "a tensor of several values",
        nn.Module: "a network",
    }
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "")


def _parts(expected, got) -> str:
    if isinstance(expected, nn.Module):
        expected, got = dict(expected.state_dict()), dict(got.state_dict())
    if isinstance(expected, Mapping):
        return _keys(expected, got) or _of_parts(expected, got)
    if isinstance(expected, list | tuple):
        if said := _of_numbers(expected, got) or _entries(list(expected), list(got)):
            return said
        return _of_parts(dict(enumerate(expected)), dict(enumerate(got)))
    if isinstance(expected, Tensor) and expected.dim():
        return _tensors(expected, got)
    if is_number(expected) and is_number(got):
        return _numbers(expected, got)
    return ""


def _of_numbers(expected, got) -> str:
    """Of two lists, if they are numbers."""
    if len(expected) < 2 or not all(is_number(value) for value in (*expected, *got)):
        return ""
    return _tensors(
        *(torch.stack([number(v) for v in each]) for each in (expected, got))
    )


def _of_parts(expected: Mapping, got: Mapping) -> str:
    """What is true of each part that differs; it says where, if others are right."""
    wrong = [key for key, value in expected.items() if not same(value, got[key])]
    said = {_of_part(expected[key], got[key]) for key in wrong}
    if len(said) > 1 or not any(said):
        return ""
    if len(wrong) == len(expected):
        return said.pop()
    return f"in [{wrong[0]!r}]{' and others' if len(wrong) > 1 else ''}: {said.pop()}"


def _of_part(expected, got) -> str:
    if got is None:
        return "there is None instead of a value"
    return _kinds(expected, got) or _parts(expected, got)


def _keys(expected: Mapping, got: Mapping) -> str:
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    if missing and extra:
        return f"its keys are others: {extra[0]!r} instead of {missing[0]!r}"
    if missing:
        return f"it lacks an entry for {missing[0]!r}"
    return f"an entry for {extra[0]!r} does not belong to it" if extra else ""


def _entries(expected: list, got: list) -> str:
    """Of a list whose entries are more than numbers, or one of another length."""
    if len(got) < len(expected):
        if same(expected[: len(got)], got):
            return "its end is missing; what there is of it is right"
        if same(expected[-len(got) :], got):
            return "its beginning is missing; what there is of it is right"
        return "it has too few entries"
    if len(got) > len(expected):
        if same(expected, got[: len(expected)]):
            return "it begins right, and then goes on for too long"
        if same(expected, got[-len(expected) :]):
            return "it ends right, but begins too early"
        return "it has too many entries"
    if same(expected, got[::-1]):
        return "the entries are right, but their order is reversed"
    left = list(got)
    for entry in expected:
        place = next((n for n, other in enumerate(left) if same(entry, other)), None)
        if place is None:
            return ""
        left.pop(place)
    return "the entries are right, but not their order"


# tensors


def _tensors(expected: Tensor, got: Tensor) -> str:
    if got.shape != expected.shape:
        return _shapes(expected, got)
    if got.dtype != expected.dtype and close(expected, got).all():
        wanted, found = (str(t.dtype).removeprefix("torch.") for t in (expected, got))
        return f"the values are right, but their type is {found} instead of {wanted}"
    if expected.dtype is torch.bool and got.dtype is torch.bool:
        return _masks(expected, got)
    return _values(expected.double(), got.double())


def _shapes(expected: Tensor, got: Tensor) -> str:
    if expected.dim() == 1 and got.dim() == 1:
        return _entries(expected.tolist(), got.tolist())
    wanted, found = (f"({', '.join(map(str, t.shape))})" for t in (expected, got))
    flat = expected.flatten(), got.flatten()
    if got.numel() == expected.numel() and close(*flat).all():
        return f"the values are right, but the shape is {found} instead of {wanted}"
    return f"the shape is {found} instead of {wanted}"


def _masks(expected: Tensor, got: Tensor) -> str:
    more, fewer = (got & ~expected).any(), (expected & ~got).any()
    if (expected ^ got).all():
        return "True and False are the wrong way round"
    if not more:
        return "too few places are True; those that are True are right"
    if not fewer:
        return "too many places are True; those that are False are right"
    if got.sum() == expected.sum():
        return "the number of True is right, but not their places"
    return ""


def _values(expected: Tensor, got: Tensor) -> str:
    if got.isnan().any() and not expected.isnan().any():
        return "there is nan (not a number) in it, as 0 / 0 gives"
    if got.isinf().any() and not expected.isinf().any():
        return "there is an infinite value in it, as 1 / 0 gives"
    return _zeros(expected, got) or _scaled(expected, got) or _places(expected, got)


def _zeros(expected: Tensor, got: Tensor) -> str:
    """Where the two differ only in what is zero."""
    wrong = ~close(expected, got)
    if not got.any():
        return "all values are zero"
    if (got[wrong] == 0).all():
        return "too many values are zero; the others are right"
    if (expected[wrong] == 0).all():
        return "values that should be zero are not; the others are right"
    return ""


def _scaled(expected: Tensor, got: Tensor) -> str:
    """One change of all values. (All are several: of one, much is true by chance.)"""
    if close(-expected, got).all():
        return "the sign is wrong; without it, the values are right"
    if close(expected.abs(), got).all() or close(expected, got.abs()).all():
        return "some signs are wrong; without them, the values are right"
    for factor in SIMPLE:
        if close(factor * expected, got).all():
            return f"all values are {factor} times what they should be"
        if close(expected / factor, got).all():
            return f"all values have to be multiplied by {factor}"
    shift = (got - expected).flatten()[0].item()
    if expected.numel() > 1 and close(expected + shift, got).all():
        far = "large" if shift > 0 else "small"
        return f"all values are {abs(shift):.6g} too {far}"
    if expected.numel() > 1 and close(1 - expected, got).all():
        return "each value is 1 minus what it should be"
    return ""


def _places(expected: Tensor, got: Tensor) -> str:
    """Right values at wrong places, or a few wrong ones among right ones."""
    for axis in range(expected.dim()):
        if close(expected.flip(axis), got).all():
            return "the values are right, but their order is reversed"
    square = expected.dim() == 2 and expected.shape[0] == expected.shape[1]
    if square and close(expected.T, got).all():
        return "the values are right, but rows and columns are swapped"
    if close(expected.flatten().sort()[0], got.flatten().sort()[0]).all():
        return "the values are right, but not their order"
    wrong = (~close(expected, got)).flatten().nonzero().flatten()
    if len(wrong) == 1 and expected.numel() > 2:
        place = {0: "the first", expected.numel() - 1: "the last"}
        return f"all values are right but {place.get(int(wrong), 'one')}"
    if expected.numel() > 2 and (got == got.flatten()[0]).all():
        return "all values are the same, but they should differ"
    return ""


# single numbers


def _numbers(expected, got) -> str:
    exact, found = number(expected).item(), number(got).item()
    if any(round(exact, digits) == found for digits in range(2, 7)):
        return "you rounded; return the full number"
    if math.isnan(found) and not math.isnan(exact):
        return "this is nan (not a number), as 0 / 0 gives"
    if math.isinf(found) and not math.isinf(exact):
        return "this is infinite, as 1 / 0 gives"
    if isinstance(expected, int) and abs(found - exact) == 1:  # a count
        return f"this is 1 too {'large' if found > exact else 'small'}"
    return ""


def changes(expected, got) -> Iterator[tuple[str, Callable]]:
    """What makes the right number this one: a sentence, and the change as a function.

    Much is true of two numbers by chance, so ask the function about other inputs too.
    In a list, each number is changed.
    """
    each = "of each number: " if isinstance(expected, list | tuple) else ""
    for sentence, change in CHANGES.items():
        changed = partial(_changed, change)
        try:
            alike = same(changed(expected), got)
        except Exception:  # 1 / 0, or an object that fails even when asked for its type
            continue
        if alike:
            yield each + sentence, changed


def _changed(change: Callable, value):
    if isinstance(value, list | tuple):
        return [_changed(change, each) for each in value]
    return change(number(value).item())


CHANGES = {
    "the sign is wrong; without it, the number is right": lambda x: -x,
    "this is 1 minus the right number": lambda x: 1 - x,
    "this is 1 divided by the right number": lambda x: 1 / x,
    "this is the square of the right number": lambda x: x * x,
    "this is the square root of the right number": math.sqrt,
    "this is 100 times the right number": lambda x: 100 * x,
    "the right number is 100 times as large": lambda x: x / 100,
    "this is always 1 too large": lambda x: x + 1,
    "this is always 1 too small": lambda x: x - 1,
}
for factor in SIMPLE:
    CHANGES[f"this is {factor} times the right number"] = partial(mul, factor)
    CHANGES[f"the right number is {factor} times as large"] = partial(mul, 1 / factor)
