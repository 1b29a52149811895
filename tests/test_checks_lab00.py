"""Lab 00's checks, held against right and wrong answers."""

import math

import numpy as np
import torch
from answers import assert_complete, assert_fails, assert_passes, table
from torch import nn

from labcore.checks import lab00

LAYERS = (nn.Conv2d, nn.Linear)


def count_in_a_loop(tensor):
    count = 0
    for value in tensor.flatten():
        if value == 0:
            count += 1
    return count


def fan_in_by_unpacking(weight):
    out, channels, height, width = weight.shape
    return channels * height * width


def names_in_a_loop(model):
    names = []
    for name, module in model.named_modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            names.append(name)
    return names


def names_by_a_wrong_or(model):
    """`or nn.Linear` is always true."""
    return [n for n, m in model.named_modules() if type(m) is nn.Conv2d or nn.Linear]


RIGHT = {
    "count_zeros": [
        ("reference", lambda t: (t == 0).sum().item()),
        ("loop", count_in_a_loop),
        ("total less nonzeros", lambda t: t.numel() - torch.count_nonzero(t)),
        ("numpy", lambda t: np.count_nonzero(t.numpy() == 0)),
        ("chosen values", lambda t: len(t[t == 0])),
    ],
    "weights_per_output": [
        ("reference", lambda w: w[0].numel()),
        ("all by outputs", lambda w: w.numel() / w.shape[0]),
        ("product", lambda w: math.prod(w.shape[1:])),
        ("flattened", lambda w: w.flatten(1).shape[1]),
    ],
    "layer_names": [
        (
            "reference",
            lambda model: [
                n for n, m in model.named_modules() if isinstance(m, LAYERS)
            ],
        ),
        ("loop", names_in_a_loop),
        (
            "from the weights",
            lambda model: [
                n.removesuffix(".weight")
                for n, p in model.named_parameters()
                if p.dim() > 1
            ],
        ),
    ],
}

WRONG = {
    "count_zeros": [
        ("nonzeros", torch.count_nonzero, "four values", "you count the values that"),
        ("all", lambda t: t.numel(), "four values", "you count all values"),
        ("share", lambda t: (t == 0).float().mean(), "four values", "you return a sh"),
        ("comparison", lambda t: t == 0, "four values", "that is the comparison"),
        ("sum of zeros", lambda t: t[t == 0].sum(), "four values", None),
        ("below", lambda t: (t < 1e-12).sum(), "four values", "you count what is not"),
        ("list", lambda t: [v for v in t if v == 0], "four values",
         "that is a list; asked is a number"),
        ("positions", lambda t: (t == 0).nonzero().numel(), "a matrix",
         "nonzero() gives a row of indices"),
        ("axis", lambda t: sum(t == 0), "a matrix", "you count along the first axis"),
        ("len", lambda t: len(t) - t.count_nonzero(), "a matrix", None),
        ("small", lambda t: (t.abs() < 1e-6).sum(), "a matrix", "you count small"),
        ("if on a row", lambda t: sum(1 for v in t if v == 0), "a matrix", "the error"),
        ("signs", lambda t: t.numel() - abs(t.sum()), "four values", None),
        ("half", lambda t: (t.view(2, -1) == 0).sum(0)[0], "four values", None),
    ],
    "weights_per_output": [
        ("whole layer", lambda w: w.numel(), "a convolution", "you count the weights"),
        ("outputs", len, "a convolution", "you return the number of outputs"),
        ("kernel", lambda w: w[0, 0].numel(), "a convolution", "you forget the input"),
        ("channels", lambda w: w.shape[1], "a convolution", "you forget the kernel's"),
        ("last", lambda w: w[..., 0].numel(), "a convolution", "you leave out the"),
        ("fan-out", lambda w: w.numel() / w.shape[1], "a convolution", "those are the"),
        ("shape", lambda w: w.shape[1:], "a convolution", "that is a shape"),
        ("one output", lambda w: w[0], "a convolution", "that is a tensor of several"),
        ("sum of axes", lambda w: sum(w.shape[1:]), "a convolution", "you add the"),
        ("sum", lambda w: w[0].sum(), "a convolution", "you add up the weights"),
        ("height", lambda w: w[0, :, 0, 0].numel() * w.shape[2] ** 2, "a flat kernel",
         "you use the kernel's height twice"),
        ("width", lambda w: w[0, :, 0, 0].numel() * w.shape[3] ** 2, "a flat kernel",
         "you use the kernel's width twice"),
        ("unpacking", fan_in_by_unpacking, "a linear layer", "the error comes from"),
        ("3 by 3", lambda w: w.shape[1] * 9, "a flat kernel", None),
    ],
    "layer_names": [
        ("convolutions", lambda net: [n for n, m in net.named_modules()
         if isinstance(m, nn.Conv2d)], "LeNet", "you forget the linear layers"),
        ("linear", lambda net: [n for n, m in net.named_modules()
         if isinstance(m, nn.Linear)], "LeNet", "you forget the convolutions"),
        ("or", names_by_a_wrong_or, "LeNet", "you return every module"),
        ("parameters", lambda net: list(dict(net.named_parameters())), "LeNet",
         "these are the parameters' names"),
        ("weights", lambda net: [n for n, p in net.named_parameters() if p.dim() > 1],
         "LeNet", "the modules' names have no .weight"),
        ("modules", lambda net: [m for _, m in net.named_modules()
         if isinstance(m, LAYERS)], "LeNet", "you return the modules"),
        ("set", lambda net: set(names_in_a_loop(net)), "LeNet", "that is a set"),
        ("text", lambda net: ", ".join(names_in_a_loop(net)), "LeNet",
         "that is text; asked is a list"),
        ("letters", lambda net: [*"".join(names_in_a_loop(net))], "LeNet",
         "+= on a list adds a name letter by letter"),
        ("by type", lambda net: sorted(names_in_a_loop(net),
         key=lambda name: type(net.get_submodule(name)) is nn.Linear),
         "a linear layer first", "the order is the network's"),
        ("children", lambda net: [n for n, m in net.named_children()
         if isinstance(m, LAYERS)], "layers in blocks", "named_children() stays"),
        ("any weight", lambda net: [n for n, m in net.named_modules()
         if hasattr(m, "weight")], "layers in blocks", "BatchNorm has a weight too"),
        ("short", lambda net: [n.rpartition(".")[2] for n in names_in_a_loop(net)],
         "layers in blocks", "a name is the whole path"),
        ("no shortcuts", lambda net: [n for n in names_in_a_loop(net)
         if "shortcut" not in n], "layers in blocks", None),
        ("sorted", lambda net: sorted(names_in_a_loop(net)), "layers in blocks", None),
    ],
}  # fmt: skip


@table(RIGHT)
def test_a_right_answer_passes(exercise, answer):
    assert_passes(lab00.EXERCISES[exercise], answer)


@table(WRONG)
def test_a_wrong_answer_fails_where_and_why_it_should(exercise, answer, title, likely):
    assert_fails(lab00.EXERCISES[exercise], answer, title, likely)


def test_the_tables_are_complete():
    assert_complete(lab00.EXERCISES, RIGHT, WRONG)


def test_points():
    assert {name: e.points for name, e in lab00.EXERCISES.items()} == {
        "count_zeros": 1,
        "weights_per_output": 2,
        "layer_names": 2,
    }
