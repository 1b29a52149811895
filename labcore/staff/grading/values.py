"""What crosses between a check and an answer: data by value, tensors and networks by
identity.

Both ends number the tensors and networks they share. Each message carries the state of
those that are new or have changed since, so that a change in place on one side is seen
on the other, in the same object.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from labcore.staff.grading import shapes
from labcore.staff.grading.wire import BadMessage

__all__ = ["Far", "Values"]

DEEPEST, MOST_TEXT = 40, 1_000_000
MOST_OBJECTS, MOST_BYTES = 5_000, 1_000_000_000  # alive at once, with all their bytes


class Far:
    """Something of the other side that stays there: only its number crosses."""

    _far: int


class FarNetwork(nn.Module, Far):
    """A network of another class: it runs where it is, but can be set to train here."""

    def __init__(self, far: Far) -> None:
        super().__init__()
        self._far, self._run = far._far, far

    def forward(self, *args, **kwargs):
        return self._run(*args, **kwargs)


class Values:
    """One end's table of what both ends share.

    of_answer   whether this is the end of the student's answer, not of the check
    far         makes the stand-in for what stays on the other side

    The check gives even numbers to what it shares and the answer odd ones, so that
    both can give one at the same time. The answer keeps each shared object alive until
    the check has let go of it. Only the check may share a network of a class of its
    own; the answer then gets a FarNetwork.
    """

    def __init__(self, of_answer: bool, far: Callable[..., Far]) -> None:
        self._next, self._far = int(of_answer), far
        self._of_answer = of_answer
        self._objects: dict[int, weakref.ref] = {}
        self._numbers: dict[int, int] = {}  # by id()
        self._seen: dict[int, bytes] = {}  # digest of the state both ends know
        self._kept: dict[int, object] = {}  # alive until the check lets go of them
        self._gone: list[int] = []
        self._pinned: list[object] = []  # alive while the other end may name them
        self._near: dict[int, object] = {}  # handed out as Far

    def pack(self, content: object) -> tuple[dict, list[bytes]]:
        """The message that carries `content` and every change since the last one."""
        blobs: list[bytes] = []
        body = self._encode(content)
        states, done = [], set()
        while todo := [number for number in self._objects if number not in done]:
            for number in todo:
                done.add(number)
                if (held := self._objects[number]()) is None:
                    continue
                own: list[bytes] = []
                state = self._state(held, own)
                digest = _digest(state, own)
                if self._seen.get(number) != digest:
                    self._seen[number] = digest
                    states.append([number, state, len(blobs), len(own)])
                    blobs += own
        gone, self._gone = self._gone, []
        for number in gone:
            self._drop(number)
        self._pinned = [held() for held in self._objects.values()]
        settings = [torch.get_num_threads(), torch.is_grad_enabled()]
        message = {"body": body, "objects": states, "gone": gone, "settings": settings}
        return message, blobs

    def unpack(self, message: object, blobs: list[bytearray]) -> object:
        """The content, once all changes are made; BadMessage where it is not sound."""
        try:
            _set_torch(*message["settings"])
            fresh = []  # alive until the content holds them
            taken = 0
            size = sum(shapes.bytes_held(held()) for held in self._objects.values())
            for number, state, start, count in message["objects"]:
                if type(count) is not int or start != taken or count < 0:
                    raise ValueError("bytes belong to one object only, in their order")
                own, taken = blobs[taken : taken + count], taken + count
                held = self._held(number)
                if held is None:
                    held = self._adopt(number, state, own)
                elif isinstance(held, Tensor):
                    shapes.fill_tensor(held, state, own)
                fresh.append((held, state))
                self._seen[number] = _digest(state, own)
                size += shapes.bytes_held(held)
                if size > MOST_BYTES or len(self._objects) > MOST_OBJECTS:
                    raise ValueError("that is too much at once")
            for held, state in fresh:
                if "far" in state:
                    held.train(state["training"] is True)
                elif isinstance(held, nn.Module):
                    shapes.fill_module(held, state, self._decode)
            for number in message["gone"]:
                self._drop(number)
            return self._decode(message["body"])
        except Exception as error:
            raise BadMessage(f"{type(error).__name__}: {error}"[:300]) from None

    def near(self, number: int) -> object:
        """What this end handed out under that number."""
        return self._near[number]

    def _state(self, held: object, blobs: list[bytes]) -> dict:
        if isinstance(held, nn.Module) and not shapes.name_of_class(type(held)):
            return {"far": self._encode_far(held), "training": held.training}
        if isinstance(held, nn.Module):
            return shapes.module_state(held, self._encode_data)
        return shapes.tensor_state(held, blobs)

    def _held(self, number: int) -> object:
        found = self._objects.get(number)
        return found and found()

    def _adopt(self, number: int, state: dict, blobs: list[bytearray]) -> object:
        """A new object that the other end numbered."""
        if type(number) is not int or number % 2 == self._next % 2:
            raise ValueError("that number is not the other end's to give")
        if "far" in state:
            if not self._of_answer:
                raise ValueError("a network of another class")
            made = FarNetwork(self._decode(state["far"]))
        elif "class" in state:
            made = shapes.new_module(state)
        else:
            made = shapes.new_tensor(state, blobs)
        self._share(made, number)
        return made

    def _drop(self, number: int) -> None:
        """Neither end will name it by this number again."""
        held = self._objects.pop(number, lambda: None)()
        if held is not None and self._numbers.get(id(held)) == number:
            del self._numbers[id(held)]
        self._seen.pop(number, None)
        self._kept.pop(number, None)

    def _share(self, value: object, number: int | None = None) -> int:
        if number is None:
            number, self._next = self._next, self._next + 2
        identity = id(value)
        self._numbers[identity] = number

        def forget(_reference) -> None:
            if self._numbers.get(identity) == number:
                del self._numbers[identity]
            self._gone.append(number)

        self._objects[number] = weakref.ref(value, forget)
        if self._of_answer:
            self._kept[number] = value
        return number

    def _encode_data(self, value: object) -> object:
        """For the attributes of a network: none of them stays on one side."""
        return self._encode(value, far=False)

    def _encode(self, value: object, depth: int = 0, far: bool = True) -> object:
        if depth > DEEPEST:
            raise TypeError("that is nested too deeply")
        if value is None or type(value) in (bool, int, float):
            return value
        if isinstance(value, str):
            return str(value)[:MOST_TEXT]
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        if shapes.is_plain_tensor(value) or (
            isinstance(value, nn.Module)
            and (not self._of_answer or shapes.name_of_class(type(value)))
        ):
            number = self._numbers.get(id(value))
            return ["@", self._share(value) if number is None else number]
        if isinstance(value, list | tuple | set | frozenset):
            kinds = (list, tuple, set, frozenset)
            kind = next(kind.__name__ for kind in kinds if isinstance(value, kind))
            return [kind, *(self._encode(item, depth + 1, far) for item in value)]
        if isinstance(value, Mapping):
            return [
                "dict",
                *(
                    [self._encode(v, depth + 1, far) for v in pair]
                    for pair in value.items()
                ),
            ]
        if isinstance(value, torch.dtype):
            return ["dtype", str(value).removeprefix("torch.")]
        if isinstance(value, range):
            return ["range", value.start, value.stop, value.step]
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return self._encode(value.item(), depth + 1, far)  # NumPy's single values
        if far and isinstance(value, type) and (name := shapes.name_of_class(value)):
            return ["class", name]
        if not far:
            raise TypeError(f"{type(value).__name__} is no data")
        return self._encode_far(value)

    def _encode_far(self, value: object) -> object:
        if isinstance(value, Far):
            return ["near", value._far]
        number = next((n for n, held in self._near.items() if held is value), None)
        if number is None:
            number = len(self._near)
            self._near[number] = value
        kind = "class" if isinstance(value, type) else "value"
        kind = "callable" if kind == "value" and callable(value) else kind
        return ["far", number, kind, type(value).__name__[:80], _text(value)]

    def _decode(self, value: object) -> object:
        if not isinstance(value, list):
            if isinstance(value, dict):
                raise ValueError("no value has this form")
            return value
        kind, *rest = value
        if kind == "@":
            held = self._held(rest[0])
            if held is None:
                raise ValueError("an unknown object")
            return held
        if kind in ("list", "tuple", "set", "frozenset"):
            made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
            return made[kind](map(self._decode, rest))
        if kind == "dict":
            return {self._decode(key): self._decode(item) for key, item in rest}
        if kind == "dtype":
            return shapes.DTYPES[rest[0]]
        if kind == "range":
            return range(*rest)
        if kind == "class":
            return shapes.class_named(rest[0])
        if kind == "near":
            return self._near[rest[0]]
        if kind == "far":
            return self._far(*rest)
        raise ValueError("no value has this form")


def _set_torch(threads: int, recording: bool) -> None:
    """Threads and the recording of gradients are set for all of torch: here, too."""
    if type(threads) is not int or not 0 < threads <= 256:
        raise ValueError("a number of threads is wanted")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(recording is True)


def _digest(state: dict, blobs: list[bytes]) -> bytes:
    made = hashlib.blake2b(json.dumps(state, sort_keys=True).encode())
    for blob in blobs:
        made.update(blob)
    return made.digest()


def _text(value: object) -> str:
    try:
        return repr(value)[:300]
    except Exception:
        return f"an object of type {type(value).__name__}"[:300]
