"""Lab 01's checks, held against right and wrong answers."""

import numpy as np
import torch
from answers import LabTests, passes
from torch import nn

from labcore import measure
from labcore.checks import lab01

LAYERS = (nn.Conv2d, nn.Linear)
ERROR = "the error comes from line"


def share(tensors) -> float:
    """Zeros / all of these tensors together."""
    flat = torch.cat([t.detach().flatten().double() for t in tensors])
    return 1 - flat.count_nonzero().item() / flat.numel()


def sparsity_in_a_loop(tensor):
    zeros = 0
    for value in tensor.reshape(-1).tolist():
        if value == 0:
            zeros += 1
    return zeros / tensor.numel()


def model_sparsity_in_a_loop(model):
    zeros = total = 0
    for parameter in model.parameters():
        zeros += (parameter == 0).sum()
        total += parameter.numel()
    return zeros / total


def model_sparsity_by_vector(model):
    values = nn.utils.parameters_to_vector(model.parameters())
    return (values == 0).double().mean()


def scaled_in_place(model):
    """Divides the weights by their largest: the zeros stay, the model does not."""
    for p in model.parameters():
        p.data /= p.abs().max() + 1
    return share(model.parameters())


def number(model, count_nonzero_only=False):
    if count_nonzero_only:
        return sum(p.count_nonzero() for p in model.parameters())
    return sum(p.numel() for p in model.parameters())


def number_in_a_loop(model, count_nonzero_only=False):
    count = 0
    for parameter in model.parameters():
        if count_nonzero_only:
            count += int((parameter != 0).sum())
        else:
            count += parameter.nelement()
    return count


def number_by_vector(model, count_nonzero_only=False):
    values = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    return np.count_nonzero(values) if count_nonzero_only else values.size


def size(model, data_width=32, count_nonzero_only=False):
    return number(model, count_nonzero_only) * data_width


def size_in_a_loop(model, data_width=32, count_nonzero_only=False):
    bits = 0
    for p in model.parameters():
        bits += data_width * (p.count_nonzero() if count_nonzero_only else p.numel())
    return bits


def size_by_bytes(model, data_width=32, count_nonzero_only=False):
    return 8 * size(model, data_width, count_nonzero_only)


def layers(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, LAYERS)}


def statistics(model):
    return {
        name: {
            "mean": module.weight.mean(),
            "std": module.weight.std(),
            "largest": module.weight.abs().max(),
        }
        for name, module in layers(model).items()
    }


def statistics_in_a_loop(model):
    found = {}
    for name, module in model.named_modules():
        if type(module) is nn.Conv2d or type(module) is nn.Linear:
            values = module.weight.detach().numpy()
            found[name] = {
                "mean": float(values.mean()),
                "std": float(values.std(ddof=1)),
                "largest": float(np.abs(values).max()),
            }
    return found


def statistics_by_parameters(model):
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            std, mean = torch.std_mean(parameter)
            largest = parameter.norm(float("inf"))
            row = {"mean": mean.item(), "std": std.item(), "largest": largest.item()}
            found[name.removesuffix(".weight")] = row
    return found


def statistics_that_change_the_weights(model):
    found = {}
    for name, module in layers(model).items():
        w = module.weight.detach()  # shares its memory with the weight
        mean, std = w.mean(), w.std()
        found[name] = {"mean": mean, "std": std, "largest": w.abs_().max()}
    return found


def rounded_statistics(model):
    return {
        name: {key: round(value.item(), 2) for key, value in row.items()}
        for name, row in statistics(model).items()
    }


def statistics_without_names(model):
    return {name: tuple(row.values()) for name, row in statistics(model).items()}


def statistics_by_other_names(model):
    table = statistics(model)
    for row in table.values():
        row["max"] = row.pop("largest")
    return table


RIGHT = {
    "get_sparsity": [
        ("one minus nonzeros", lambda t: 1 - t.count_nonzero().item() / t.numel()),
        ("loop", sparsity_in_a_loop),
        ("mean", lambda t: (t == 0).float().mean()),
        ("numpy", lambda t: float(np.mean(t.numpy() == 0))),
        ("as a tensor", lambda t: torch.sum(t == 0) / t.numel()),
    ],
    "get_model_sparsity": [
        ("all in one tensor", lambda model: share(model.parameters())),
        ("loop", model_sparsity_in_a_loop),
        ("vector", model_sparsity_by_vector),
    ],
    "get_num_parameters": [
        ("sums", number),
        ("loop", number_in_a_loop),
        ("vector", number_by_vector),
    ],
    "get_model_size": [
        ("by the number", size),
        ("loop", size_in_a_loop),
        ("float", lambda *args, **names: float(size(*args, **names))),
    ],
    "layer_statistics": [
        ("tensors", statistics),
        ("loop", statistics_in_a_loop),
        ("from the parameters", statistics_by_parameters),
    ],
}

WRONG = {
    "get_sparsity": [
        ("no return", lambda t: None, "seven values", "the function ends without"),
        ("labcore", measure.sparsity, "seven values", "the exercise asks for just"),
        ("mask", lambda t: t == 0, "seven values", "that is a tensor of several"),
        ("text", lambda t: f"{share([t])}", "seven values", "that is text; asked"),
        ("copied", lambda t: 0.25, "seven values", None),
        ("rounded", lambda t: round(share([t]), 2), "seven values", "you rounded"),
        (
            "axis",
            lambda t: (t == 0).float().mean(dim=0),
            "a matrix",
            "that is a tensor of several values; asked is a number",
        ),
        ("abs of bool", lambda t: (t.abs() == 0).float().mean(), "a bool mask", ERROR),
        (
            "view",
            lambda t: (t == 0).view(-1).float().mean(),
            "transposed random weights",
            ERROR,
        ),
    ],
    "get_model_sparsity": [
        (
            "number",
            lambda model: sum((p == 0).sum() for p in model.parameters()),
            "one layer",
            None,
        ),
        (
            "one layer",
            lambda model: share([model.weight]),
            "layers of different size",
            ERROR,
        ),
        ("in place", scaled_in_place, "one layer", "an operation in place"),
    ],
    "get_num_parameters": [
        (
            "no second argument",
            lambda model: number(model),
            "only nonzeros",
            "its arguments are (model, count_nonzero_only)",
        ),
    ],
    "get_model_size": [
        ("by bytes", size_by_bytes, "32 bits each", None),
        (
            "other names",
            lambda model, bits=32, nonzero=False: size(model, bits, nonzero),
            "only nonzeros",
            "its arguments are (model, data_width, count_nonzero_only)",
        ),
    ],
    "layer_statistics": [
        ("rounded", rounded_statistics, "four weights", None),
        ("other key", statistics_by_other_names, "four weights", None),
        ("tuples", statistics_without_names, "four weights", None),
        (
            "in place",
            statistics_that_change_the_weights,
            "four weights",
            "an operation in place",
        ),
    ],
}


class TestLab01(LabTests):
    lab, right, wrong = lab01, RIGHT, WRONG

    def test_a_mean_near_zero_may_be_computed_in_any_way(self):
        """It cancels there: two right ways differ in many of their digits."""
        passes(self.of("layer_statistics"), statistics, seeds=(88, 89))
