"""What a wrong result has in common with the right one, where no known mistake fits.

A sentence of `likeness` is true of the two values that the message shows, whatever led
to them. What may be true by chance is one of `changes`: it is said only if it is also
true of the exercise's other inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import mul

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import close, is_number, number, same

__all__ = ["NO_RETURN", "changes", "likeness", "within"]

NO_RETURN = "the result is None: is a return missing?"
KINDS = {
    str: "text",
    list: "a list",
    tuple: "a tuple",
    dict: "a dictionary",
    set: "a set",
    Tensor: "a tensor of several values",
    nn.Module: "a network",
}
LISTS = ("a list", "a tuple")  # one is as good as the other


def likeness(expected, got, *, may_be_none: bool = False, seen: bool = False) -> str:
    """A sentence about the two; empty if they have nothing simple in common.

    may_be_none   the right result is None for some inputs
    seen          these are not results, but what a check has noted of them, so its
                  keys and the kinds of its entries tell a student nothing
    """
    try:
        if got is None and may_be_none:
            return ""
        return _kinds(expected, got) or _parts(expected, got, seen)
    except Exception:  # an object may fail even when asked for its type
        return ""


# kinds and containers


def _kinds(expected, got) -> str:
    wanted, found = _kind(expected), _kind(got)
    if got is None and expected is not None:
        return f"{NO_RETURN} (print() only shows a value)"
    if wanted == found or not wanted or (wanted in LISTS and found in LISTS):
        return ""
    if isinstance(got, complex):
        return "this is a complex number, as the root of a negative one is"
    if wanted == "a number" and isinstance(got, Tensor) and got.numel() == 1:
        return "return a number, not a tensor that holds it; item() takes it out"
    return f"return {wanted}, not {found or f'something of type {type(got).__name__}'}"


def _kind(value) -> str:
    """The kind of value, in words; empty if beginners would not confuse it."""
    if is_number(value):
        return "a number"
    if isinstance(value, Tensor) and value.numel() < 2:
        return "a tensor"
    return next((name for kind, name in KINDS.items() if isinstance(value, kind)), "")


def _parts(expected, got, seen: bool) -> str:
    if isinstance(expected, nn.Module):
        expected, got, seen = dict(expected.state_dict()), dict(got.state_dict()), True
    if isinstance(expected, Mapping):
        return (not seen and _keys(expected, got)) or _of_parts(expected, got, seen)
    if isinstance(expected, list | tuple):
        if said := _of_numbers(expected, got) or _entries(list(expected), list(got)):
            return said
        return _of_parts(dict(enumerate(expected)), dict(enumerate(got)), seen)
    if isinstance(expected, Tensor) and expected.dim():
        return _tensors(expected, got)
    if is_number(expected) and is_number(got):
        return _numbers(number(expected).item(), number(got).item())
    return ""


def _of_parts(expected: Mapping, got: Mapping, seen: bool) -> str:
    """What is true of each part that differs; it says where, if others are right."""
    wrong = [key for key, value in expected.items() if not same(value, got[key])]
    said = {_of_part(expected[key], got[key], seen) for key in wrong}
    if len(said) > 1 or not any(said):
        return ""
    (sentence,) = said
    if len(wrong) == len(expected):
        return sentence
    others = " and others" if len(wrong) > 1 else ""
    return within(f"[{wrong[0]!r}]{others}", sentence)


def within(place: str, sentence: str) -> str:
    """The sentence with the place of which it is true, as in `in [0]['a']: ...`."""
    inner = sentence.startswith("in [")
    return f"in {place}" + (sentence[len("in ") :] if inner else f": {sentence}")


def _of_part(expected, got, seen: bool) -> str:
    if not seen and got is None:
        return "there is None instead of a value"
    if seen and _kind(expected) != _kind(got):
        return ""
    return _kinds(expected, got) or _parts(expected, got, seen)


def _keys(expected: Mapping, got: Mapping) -> str:
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    if missing and extra:
        return f"it has the key {extra[0]!r} instead of {missing[0]!r}"
    if missing:
        return f"it lacks an entry for {missing[0]!r}"
    return f"an entry for {extra[0]!r} does not belong to it" if extra else ""


def _entries(expected: list, got: list) -> str:
    """Of a list whose entries are more than numbers, or one of another length."""
    if len(got) < len(expected):
        if got and same(expected[: len(got)], got):
            return "its end is missing; what there is of it is right"
        if got and same(expected[-len(got) :], got):
            return "its beginning is missing; what there is of it is right"
        return "it has too few entries"
    if len(got) > len(expected):
        if expected and same(expected, got[: len(expected)]):
            return "it begins right, and then goes on for too long"
        if expected and same(expected, got[-len(expected) :]):
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


def _of_numbers(expected, got) -> str:
    """Of two lists, if they are numbers."""
    if len(expected) < 2 or not all(is_number(value) for value in (*expected, *got)):
        return ""
    rows = ([number(value) for value in each] for each in (expected, got))
    return _tensors(*(torch.tensor(row, dtype=torch.double) for row in rows))


# tensors


def _tensors(expected: Tensor, got: Tensor) -> str:
    if got.is_complex():
        return "its values are complex, as the root of a negative number is"
    return _types(expected, got) or _shapes(expected, got) or _values(expected, got)


def _types(expected: Tensor, got: Tensor) -> str:
    if got.dtype == expected.dtype:
        return ""
    wanted, found = (str(t.dtype).removeprefix("torch.") for t in (expected, got))
    equal = got.shape == expected.shape and close(expected, got).all()
    right = "the values are right, but " if equal else ""
    return f"{right}the type is {found} instead of {wanted}"


def _shapes(expected: Tensor, got: Tensor) -> str:
    if got.shape == expected.shape:
        return ""
    if expected.dim() == 1 and got.dim() == 1:
        return _entries(expected.tolist(), got.tolist())
    flat = expected.flatten(), got.flatten()
    equal = got.numel() == expected.numel() and close(*flat).all()
    right = "the values are right, but " if equal else ""
    return f"{right}the shape is {tuple(got.shape)} instead of {tuple(expected.shape)}"


def _values(expected: Tensor, got: Tensor) -> str:
    if expected.dtype is torch.bool:
        return _masks(expected, got)
    expected, got = expected.double(), got.double()
    if got.isnan().any() and not expected.isnan().any():
        return "there is nan (not a number) in it, as 0 / 0 gives"
    if got.isinf().any() and not expected.isinf().any():
        return "there is an infinite value in it, as 1 / 0 gives"
    if close(expected, got).all():
        return ""
    return _zeros(expected, got) or _signs(expected, got) or _places(expected, got)


def _masks(expected: Tensor, got: Tensor) -> str:
    if not got.any() or got.all():
        return f"all places are {bool(got.any())}, and some should not be"
    if (expected ^ got).all():
        return "True and False are the wrong way round"
    if not (got & ~expected).any():
        return "too few places are True; those that are True are right"
    if not (expected & ~got).any():
        return "too many places are True; those that are False are right"
    if got.sum() == expected.sum():
        return "the number of True is right, but not their places"
    return ""


def _zeros(expected: Tensor, got: Tensor) -> str:
    """Where the two differ only in what is zero."""
    wrong = ~close(expected, got)
    others = "" if wrong.all() else "; the others are right"
    if not got.any():
        return "all values are zero"
    if (got[wrong] == 0).all():
        return f"too many values are zero{others}"
    if (expected[wrong] == 0).all():
        return f"values that should be zero are not{others}"
    return ""


def _signs(expected: Tensor, got: Tensor) -> str:
    if expected.count_nonzero() > 1:
        if close(-expected, got).all():
            return "the sign is wrong; without it, the values are right"
        if close(expected.abs(), got.abs()).all():
            return "some signs are wrong; without them, the values are right"
    return ""


def _places(expected: Tensor, got: Tensor) -> str:
    """Right values at wrong places, or a few wrong ones among right ones."""
    if expected.dim() == 1 and close(expected.flip(0), got).all():
        return "the values are right, but their order is reversed"
    square = expected.dim() == 2 and expected.shape[0] == expected.shape[1]
    if square and close(expected.T, got).all():
        return "the values are right, but rows and columns are swapped"
    if close(expected.flatten().sort()[0], got.flatten().sort()[0]).all():
        return "the numbers are right, but stand at wrong places"
    wrong = (~close(expected, got)).flatten().nonzero().flatten()
    if len(wrong) == 1 and expected.numel() > 2:
        place = {0: "the first", expected.numel() - 1: "the last"}
        return f"all values are right but {place.get(int(wrong), 'one')}"
    if expected.numel() > 2 and (got == got.flatten()[0]).all():
        return "all values are the same, but they should differ"
    return ""


# numbers


def _numbers(expected: float, got: float) -> str:
    if _is_rounded(expected, got):
        return "you rounded; return the full number"
    if math.isnan(got) and not math.isnan(expected):
        return "this is nan (not a number), as 0 / 0 gives"
    if math.isinf(got) and not math.isinf(expected):
        return "this is infinite, as 1 / 0 gives"
    return ""


def _is_rounded(expected: float, got: float) -> bool:
    """Whether decimals are cut, and enough of them left to know it by."""
    near = math.isclose(expected, got, rel_tol=0.02) and got != round(got)
    return near and any(round(expected, digits) == got for digits in range(2, 7))


def changes(expected, got) -> Iterator[tuple[str, Callable]]:
    """What makes the right result this one: a sentence, and the change as a function.

    Much is true of two numbers by chance, so ask the function about other inputs too.
    In a container, each number is changed.
    """
    each = "" if is_number(expected) else "of each number: "
    for sentence, change in CHANGES.items():
        changed = partial(_changed, change)
        try:
            alike = not same(changed(expected), expected) and same(
                changed(expected), got
            )
        except Exception:  # 1 / 0, or an object that fails even when asked for its type
            continue
        if alike:
            yield each + sentence, changed


def _changed(change: Callable, value):
    if isinstance(value, Mapping):
        return {key: _changed(change, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(change, each) for each in value]
    if isinstance(value, Tensor) and value.dim() and value.is_floating_point():
        return change(value)
    if not is_number(value):
        raise TypeError("no number")
    return change(number(value).item())


CHANGES = {
    "the sign is wrong; without it, the number is right": lambda x: -x,
    "this is 1 minus the right number": lambda x: 1 - x,
    "this is 1 divided by the right number": lambda x: 1 / x,
    "this is the square of the right number": lambda x: x * x,
    "this is the square root of the right number": lambda x: x**0.5,
    "this is 1 too large": lambda x: x + 1,
    "this is 1 too small": lambda x: x - 1,
}
for factor in (*range(2, 17), 32, 64, 100, 256, 512, 1000, 1024):
    CHANGES[f"this is {factor} times the right number"] = partial(mul, factor)
    CHANGES[f"the right number is {factor} times as large"] = partial(mul, 1 / factor)
