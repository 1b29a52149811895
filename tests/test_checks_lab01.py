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


def number_from_a_share(model, count_nonzero_only=False):
    total = sum(p.numel() for p in model.parameters())
    sparsity = share(model.parameters())
    return int(total * (1 - sparsity)) if count_nonzero_only else total


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


def all_magnitudes(weights):
    return torch.cat([w.abs().flatten() for w in weights])


def count_of(weights, share):
    return round(share * sum(w.numel() for w in weights))


def threshold_by_sorting(weights, share):
    return all_magnitudes(weights).sort().values[count_of(weights, share)].item()


def threshold_by_kthvalue(weights, share):
    place = count_of(weights, share) + 1
    return all_magnitudes(weights).kthvalue(place).values


def threshold_in_numpy(weights, share):
    values = np.concatenate([np.abs(w.numpy()).ravel() for w in weights])
    return float(
        np.partition(values, count_of(weights, share))[count_of(weights, share)]
    )


def threshold_that_sorts_in_place(weights, share):
    for w in weights:
        w.abs_()
    return threshold_by_sorting(weights, share)


def threshold_by_the_last_position(weights, share):
    values = all_magnitudes(weights).sort().values
    return values[int(share * (len(values) - 1))].item()


@torch.no_grad()
def rescale(conv, norm, factor):
    conv.weight *= factor
    if conv.bias is not None:
        conv.bias *= factor
    norm.running_mean *= factor
    norm.running_var *= factor**2
    norm.eps *= factor**2


def rescale_by_data(conv, norm, factor):
    conv.weight.data = conv.weight.data * factor
    if conv.bias is not None:
        conv.bias.data.mul_(factor)
    norm.running_mean.mul_(factor)
    norm.running_var.mul_(factor).mul_(factor)
    norm.eps = norm.eps * factor * factor


def rescale_with_new_parameters(conv, norm, factor):
    for name, parameter in list(conv.named_parameters()):
        setattr(conv, name, nn.Parameter(parameter.detach() * factor))
    norm.running_mean = norm.running_mean * factor
    norm.running_var = norm.running_var * factor**2
    norm.eps *= factor**2


def rescale_with_the_gradient(conv, norm, factor):
    conv.weight *= factor


@torch.no_grad()
def rescale_and_forget_the_missing_bias(conv, norm, factor):
    conv.weight *= factor
    conv.bias *= factor


@torch.no_grad()
def rescale_the_shift_too(conv, norm, factor):
    rescale(conv, norm, factor)
    norm.bias *= factor


RIGHT = {
    "get_sparsity": [
        ("one minus nonzeros", lambda t: 1 - t.count_nonzero().item() / t.numel()),
        ("loop", sparsity_in_a_loop),
        ("mean", lambda t: (t == 0).float().mean()),
        ("numpy", lambda t: float(np.mean(t.numpy() == 0))),
        ("as a tensor", lambda t: torch.sum(t == 0) / t.numel()),
        ("by sign", lambda t: 1 - t.sign().abs().sum().item() / t.numel()),
    ],
    "get_num_parameters": [
        ("sums", number),
        ("loop", number_in_a_loop),
        ("vector", number_by_vector),
    ],
    "layer_statistics": [
        ("tensors", statistics),
        ("loop", statistics_in_a_loop),
        ("from the parameters", statistics_by_parameters),
    ],
    "threshold_for": [
        ("sorting", threshold_by_sorting),
        ("kthvalue", threshold_by_kthvalue),
        ("numpy", threshold_in_numpy),
    ],
    "rescale": [
        ("in place", rescale),
        ("by data", rescale_by_data),
        ("new parameters", rescale_with_new_parameters),
    ],
}

WRONG = {
    "get_sparsity": [
        ("no return", lambda t: None, "seven values", "the result is None"),
        ("labcore", measure.sparsity, "seven values", "that function does what this"),
        ("mask", lambda t: t == 0, "seven values", "return a number, not a tensor of"),
        (
            "text",
            lambda t: f"{share([t])}",
            "seven values",
            "return a number, not text",
        ),
        ("copied", lambda t: 0.25, "seven values", None),
        ("rounded", lambda t: round(share([t]), 2), "seven values", "you rounded"),
        (
            "axis",
            lambda t: (t == 0).float().mean(dim=0),
            "a matrix",
            "return a number, not a tensor of several values",
        ),
        (
            "view",
            lambda t: (t == 0).view(-1).float().mean(),
            "transposed random weights",
            ERROR,
        ),
    ],
    "get_num_parameters": [
        (
            "no second argument",
            lambda model: number(model),
            "only nonzeros",
            "its arguments are (model, count_nonzero_only)",
        ),
        (
            "from a share",
            number_from_a_share,
            "one nonzero of ten",
            "int() of a share loses a weight",
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
    "threshold_for": [
        (
            "one tensor",
            lambda w, share: w.abs().flatten().sort().values[0],
            "two layers, seven weights",
            ERROR,
        ),
        (
            "in place",
            threshold_that_sorts_in_place,
            "two layers, seven weights",
            "an operation in place",
        ),
        (
            "int() of the last position",
            threshold_by_the_last_position,
            "two layers, seven weights",
            None,
        ),
        (
            "mask",
            lambda w, share: all_magnitudes(w) >= threshold_by_sorting(w, share),
            "two layers, seven weights",
            "return a number, not a tensor of several values",
        ),
        (
            "a little above",
            lambda w, share: threshold_by_sorting(w, share) + 0.01,
            "two layers, seven weights",
            None,
        ),
    ],
    "rescale": [
        ("gradient", rescale_with_the_gradient, "two channels, factor 3", ERROR),
        (
            "no bias to scale",
            rescale_and_forget_the_missing_bias,
            "two channels, factor 3",
            ERROR,
        ),
        ("shift", rescale_the_shift_too, "a smaller scale", None),
    ],
}


class TestLab01(LabTests):
    lab, right, wrong = lab01, RIGHT, WRONG

    def test_a_mean_near_zero_may_be_computed_in_any_way(self):
        """It cancels there: two right ways differ in many of their digits."""
        passes(self.of("layer_statistics"), statistics, seeds=(88, 89))

    def test_a_gradient_that_is_in_the_way_has_its_help(self):
        message = self.of("rescale").run(rescale_with_the_gradient).message
        assert 'Help "a leaf Variable"' in message
