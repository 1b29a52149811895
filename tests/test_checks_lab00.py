"""Lab 00's checks, held against right and wrong answers."""

import math

import numpy as np
import torch
from answers import LabTests
from torch import nn

from labcore.checks import lab00


def count_in_a_loop(tensor):
    count = 0
    for value in tensor.flatten():
        if value == 0:
            count += 1
    return count


def fan_in_by_unpacking(weight):
    out, channels, height, width = weight.shape
    return channels * height * width


def list_of_names(model):
    layers = (nn.Conv2d, nn.Linear)
    return [name for name, m in model.named_modules() if isinstance(m, layers)]


def names_in_a_loop(model):
    names = []
    for name, module in model.named_modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            names.append(name)
    return names


def names_by_children(model, above=""):
    names = []
    for name, module in model.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear):
            names.append(above + name)
        names += names_by_children(module, f"{above}{name}.")
    return names


RIGHT = {
    "count_zeros": [
        ("comparison", lambda t: (t == 0).sum().item()),
        ("loop", count_in_a_loop),
        ("total less nonzeros", lambda t: t.numel() - t.count_nonzero().item()),
        ("numpy", lambda t: np.count_nonzero(t.numpy() == 0)),
        ("chosen values", lambda t: len(t[t == 0])),
    ],
    "weights_per_output": [
        ("one output", lambda w: w[0].numel()),
        ("all by outputs", lambda w: w.numel() / w.shape[0]),
        ("product", lambda w: math.prod(w.shape[1:])),
        ("flattened", lambda w: w.flatten(1).shape[1]),
    ],
    "layer_names": [
        ("list", list_of_names),
        ("loop", names_in_a_loop),
        ("from level to level", names_by_children),
    ],
}

WRONG = {
    "count_zeros": [
        ("sum of zeros", lambda t: t[t == 0].sum(), "five values", None),
        (
            "as a tensor",
            lambda t: t.numel() - torch.count_nonzero(t),
            "five values",
            "this is a tensor that holds one number",
        ),
        (
            "whole numbers, as a tensor",
            lambda t: (t.int() == 0).sum(),
            "five values",
            None,
        ),
        (
            "whole numbers",
            lambda t: (t.int() == 0).sum().item(),
            "five values",
            "int() turns 0.5 into 0",
        ),
        (
            "list",
            lambda t: [v for v in t if v == 0],
            "five values",
            "return a number, not a list",
        ),
        (
            "along an axis",
            lambda t: (t == 0).sum(dim=0),
            "five values",
            "this is a tensor that holds one number",
        ),
        ("if on a row", lambda t: sum(1 for v in t if v == 0), "a matrix", "the error"),
    ],
    "weights_per_output": [
        (
            "the weights",
            lambda w: w[0],
            "a convolution",
            "return a number, not a tensor of several",
        ),
        ("unpacking", fan_in_by_unpacking, "a linear layer", "the error comes from"),
        ("3 by 3", lambda w: w.shape[1] * 9, "a flat window", None),
    ],
    "layer_names": [
        (
            "set",
            lambda net: set(list_of_names(net)),
            "LeNet",
            "return a list, not a set",
        ),
        (
            "text",
            lambda net: ", ".join(list_of_names(net)),
            "LeNet",
            "return a list, not text",
        ),
        ("sorted", lambda net: sorted(list_of_names(net)), "layers in blocks", None),
    ],
}


class TestLab00(LabTests):
    lab, right, wrong = lab00, RIGHT, WRONG
