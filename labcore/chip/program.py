"""A trained network as C: its layers' constants, and the calls that run it.

BatchNorm is folded into the convolution before it; ReLU and max pooling belong to the
convolution's call, so that what lies between them never takes memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labcore.nets import VGG
from labcore.runtime import LabError

__all__ = ["STORAGES", "Layer", "Program", "export", "packed"]

STORAGES = ("float32", "float16", "sparse")
TAPS = 9  # weights of a 3x3 kernel
WORD = 32  # bits


@dataclass(frozen=True)
class Layer:
    """A convolution with ReLU (and pooling) or the linear layer, ready for the board.

    weight   (out, in * 9) or (out, in), already rounded to what the flash holds
    size     height and width of the input; 1 for the linear layer
    stored   "float32", "float16", or "sparse": a bit a weight, and the kept in float16
    """

    name: str
    weight: Tensor
    bias: Tensor
    size: int
    pool: bool
    stored: str

    @property
    def in_channels(self) -> int:
        return self.weight.shape[1] // (1 if self.size == 1 else TAPS)

    @property
    def out_channels(self) -> int:
        return len(self.weight)

    @property
    def inputs(self) -> int:
        """Floats that come in."""
        return self.in_channels * self.size**2

    @property
    def outputs(self) -> int:
        """Floats that go out."""
        return self.out_channels * (self.size // (2 if self.pool else 1)) ** 2

    @property
    def flash(self) -> int:
        """Bytes of its constants: bias, weights, and mask if it has one."""
        of_bias = 4 * self.out_channels
        if self.stored == "sparse":
            mask = WORD // 8 * self.out_channels * _words(self.weight)
            return of_bias + 2 * int(self.weight.count_nonzero()) + mask
        return of_bias + self.weight.numel() * (4 if self.stored == "float32" else 2)

    @property
    def macs(self) -> int:
        """Multiply-adds of all weights; a convolution's at the border included."""
        return self.weight.numel() * self.size**2


@dataclass(frozen=True)
class Program:
    """A network as the board runs it.

    layers    in order; between the last convolution and the linear layer is a mean
    buffers   name -> (first float, floats) of what a call reads or writes in the arena
    """

    layers: tuple[Layer, ...]

    @property
    def arena(self) -> int:
        """Floats of memory for activations: the largest input and output together."""
        return max(
            a + b for a, b in zip(self._sizes(), self._sizes()[1:], strict=False)
        )

    @property
    def plane(self) -> int:
        """Floats in which one channel is summed up."""
        return max(layer.size**2 for layer in self.layers)

    def memory_map(self) -> dict[str, dict[str, int]]:
        """Bytes by what takes them, as Firmware's, but without code and stack."""
        flash = {layer.name: layer.flash for layer in self.layers}
        ram = {"activations": 4 * self.arena, "one channel": 4 * self.plane}
        return {"flash": flash, "RAM": ram}

    def buffers(self) -> list[tuple[int, int]]:
        """(first float, floats) of the image, of what each call leaves, and the scores.

        A call reads at one end of the arena and writes at the other.
        """
        return [
            (0 if place % 2 == 0 else self.arena - size, size)
            for place, size in enumerate(self._sizes())
        ]

    def _sizes(self) -> list[int]:
        *convolutions, last = self.layers
        sizes = [convolutions[0].inputs, *(layer.outputs for layer in convolutions)]
        return [*sizes, last.inputs, last.outputs]

    def scores(self, images: Tensor) -> Tensor:
        """What PyTorch computes from the same rounded and folded weights."""
        *convolutions, last = self.layers
        x = images.float()
        for layer in convolutions:
            weight = layer.weight.view(layer.out_channels, layer.in_channels, 3, 3)
            weight = weight.to(memory_format=torch.channels_last)  # quicker
            x = F.relu(F.conv2d(x, weight, layer.bias, padding=1), inplace=True)
            x = F.max_pool2d(x, 2) if layer.pool else x
        return F.linear(x.mean(dim=(2, 3)), last.weight, last.bias)

    def source(self) -> str:
        """The network as C."""
        return "\n".join([*self._constants(), *self._calls()]) + "\n"

    def _constants(self) -> Iterator[str]:
        yield '#include "kernels.h"\n'
        yield f"static float arena[{self.arena}]; /* activations */"
        yield f"static float plane[{self.plane}]; /* one channel at work */\n"
        for layer in self.layers:
            yield from _constants(layer)

    def _calls(self) -> Iterator[str]:
        places = [f"arena + {first}" for first, _ in self.buffers()]
        *convolutions, last = self.layers
        names = []
        for layer, at, to in zip(convolutions, places, places[1:], strict=False):
            names.append(layer.name)
            yield _call(layer.name, f"convolution(&{layer.name}, {at}, {to}, plane)")
        channels, area = convolutions[-1].out_channels, last_area(convolutions[-1])
        yield _call("mean", f"mean({places[-3]}, {places[-2]}, {channels}, {area})")
        yield _call(last.name, f"linear(&{last.name}, {places[-2]}, {places[-1]})")
        calls = " ".join(f"run_{name}();" for name in [*names, "mean", last.name])
        yield f"\nvoid run(void) {{ {calls} }}\n"
        yield "extern char stack_top[];"
        yield "void entry(void) { run(); for (;;); }"
        yield '__attribute__((section(".vectors"), used))'
        yield "const void *const vectors[] = {stack_top, (void *)entry};"


def last_area(layer: Layer) -> int:
    return layer.outputs // layer.out_channels


def export(model: nn.Module, storage: str = "float32", size: int = 32) -> Program:
    """The network for the board; LabError if it has a part that no C is there for.

    storage   "float32"; "float16": half the bytes; "sparse": float16, and zeros are not
              stored in layers where the bits that say so take less
    size      height and width of the images
    """
    if storage not in STORAGES:
        raise LabError(
            f"There is no storage {storage!r}: choose from {', '.join(STORAGES)}."
        )
    if not isinstance(model, VGG):
        raise LabError(
            f"Only a VGG can be put on the board, not {type(model).__name__}: its C "
            "routines know 3x3 convolutions, BatchNorm, ReLU, pooling and one linear "
            "layer."
        )
    found = []
    for index, (conv, norm) in enumerate(_pairs(model)):
        pool = index in VGG.POOL_AFTER
        weight, bias = _folded(conv, norm)
        found.append(
            _layer(f"conv{index}", weight.flatten(1), bias, size, pool, storage)
        )
        size //= 2 if pool else 1
    last = model.classifier
    found.append(
        _layer(
            "classifier", last.weight.detach(), last.bias.detach(), 1, False, storage
        )
    )
    return Program(tuple(found))


def _pairs(model: VGG) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    parts = dict(model.backbone.named_children())
    count = sum(name.startswith("conv") for name in parts)
    return ((parts[f"conv{i}"], parts[f"bn{i}"]) for i in range(count))


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does both."""
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    bias = norm.bias.detach() - norm.running_mean * factor
    return conv.weight.detach().float() * factor.view(-1, 1, 1, 1), bias.float()


def _layer(
    name: str, weight: Tensor, bias: Tensor, size: int, pool: bool, storage: str
) -> Layer:
    if storage != "float32":
        weight = weight.half().float()
    stored = storage
    if storage == "sparse" and not _mask_pays(weight):
        stored = "float16"
    return Layer(name, weight, bias, size, pool, stored)


def _mask_pays(weight: Tensor) -> bool:
    """Whether the bits of the mask take less than the zeros would."""
    zeros = weight.numel() - int(weight.count_nonzero())
    return len(weight) * _words(weight) * WORD < 16 * zeros


def _words(weight: Tensor) -> int:
    """Words that hold a bit for each weight of one output channel."""
    return -(-weight.shape[1] // WORD)


def _call(name: str, call: str) -> str:
    return f"void run_{name}(void) {{ {call}; }}"


def _constants(layer: Layer) -> Iterator[str]:
    name = layer.name
    yield _array("float", f"{name}_bias", layer.bias)
    pointers = {"floats": "0", "halves": "0", "mask": "0"}
    if layer.stored == "float32":
        yield _array("float", f"{name}_weights", layer.weight)
        pointers["floats"] = f"{name}_weights"
    elif layer.stored == "float16":
        yield _array("half", f"{name}_weights", layer.weight)
        pointers["halves"] = f"{name}_weights"
    else:
        words, values = packed(layer.weight)
        yield _array("half", f"{name}_weights", values)
        listed = ", ".join(map(hex, words.flatten().tolist()))
        yield f"static const uint32_t {name}_mask[] = {{{listed}}};"
        pointers |= {"halves": f"{name}_weights", "mask": f"{name}_mask"}
    parts = [layer.in_channels, layer.out_channels, layer.size, int(layer.pool)]
    listed = ", ".join(map(str, [*parts, f"{name}_bias", *pointers.values()]))
    yield f"static const Layer {name} = {{{listed}}};\n"


def packed(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The bitmask of a weight (out, in) as words, a row an output; and its values.

    A bit is 1 where a weight was kept, the lowest bit is the first; the values are the
    kept weights in float16.
    """
    rows = F.pad(weight != 0, (0, _words(weight) * WORD - weight.shape[1]))
    bits = rows.contiguous().numpy()
    words = np.packbits(bits, axis=1, bitorder="little").view("<u4")
    return torch.from_numpy(words.astype(np.int64)), weight[weight != 0].half()


def _array(kind: str, name: str, values: Tensor) -> str:
    numbers = ", ".join(map(_literal, values.flatten().tolist())) or "0"
    return f"static const {kind} {name}[] = {{{numbers}}};"


def _literal(value: float) -> str:
    """A float that C reads back exactly."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
