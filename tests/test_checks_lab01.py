"""Lab 01's checks, held against right and wrong answers."""

import numpy as np
import pytest
import torch
from answers import LabTests, passes
from torch import Tensor, nn

from labcore import measure
from labcore.checks import lab01

LAYERS = (nn.Conv2d, nn.Linear)
KEYS = ("mean", "std", "largest")

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


def size_by_an_unwritten_helper(model, data_width=32, count_nonzero_only=False):
    def get_num_parameters(model, count_nonzero_only=False):
        raise NotImplementedError("exercise not done yet")

    return get_num_parameters(model, count_nonzero_only) * data_width


def layers(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, LAYERS)}


def row(w, mean=None, std=None, largest=None):
    w = w.detach()
    made = (mean or Tensor.mean)(w), (std or Tensor.std)(w), w.abs().max()
    return dict(zip(KEYS, [*made[:2], largest(w) if largest else made[2]], strict=True))


def statistics(**other):
    """The table with one number computed in another way."""
    return lambda model: {n: row(m.weight, **other) for n, m in layers(model).items()}


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
    return {
        name.removesuffix(".weight"): row(p)
        for name, p in model.named_parameters()
        if p.dim() > 1
    }


def statistics_that_change_the_weights(model):
    found = {}
    for name, module in layers(model).items():
        w = module.weight.detach()  # shares its memory with the weight
        mean, std = w.mean(), w.std()
        found[name] = {"mean": mean, "std": std, "largest": w.abs_().max()}
    return found


def rounded(model):
    return {
        name: {key: round(value.item(), 2) for key, value in numbers.items()}
        for name, numbers in statistics()(model).items()
    }


RIGHT = {
    "get_sparsity": [
        ("reference", lambda t: 1 - t.count_nonzero().item() / t.numel()),
        ("loop", sparsity_in_a_loop),
        ("mean", lambda t: (t == 0).float().mean()),
        ("numpy", lambda t: float(np.mean(t.numpy() == 0))),
        ("as a tensor", lambda t: torch.sum(t == 0) / t.numel()),
    ],
    "get_model_sparsity": [
        ("reference", lambda model: share(model.parameters())),
        ("loop", model_sparsity_in_a_loop),
        (
            "vector",
            lambda model: (
                nn.utils.parameters_to_vector(model.parameters()).eq(0).double().mean()
            ),
        ),
    ],
    "get_num_parameters": [
        ("reference", number),
        ("loop", number_in_a_loop),
        ("vector", number_by_vector),
    ],
    "get_model_size": [
        ("reference", size),
        ("loop", size_in_a_loop),
        ("float", lambda *args, **names: float(size(*args, **names))),
    ],
    "layer_statistics": [
        ("reference", statistics()),
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
        (
            "axis",
            lambda t: (t == 0).float().mean(dim=0),
            "a matrix",
            "that is a tensor of several values; asked is a number",
        ),
        ("rounded", lambda t: round(share([t]), 2), "seven values", "you rounded"),
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
            lambda net: sum((p == 0).sum() for p in net.parameters()),
            "one layer",
            None,
        ),
        (
            "one layer",
            lambda net: share([net.weight]),
            "layers of different size",
            ERROR,
        ),
        ("in place", scaled_in_place, "one layer", "an operation in place"),
    ],
    "get_num_parameters": [
        (
            "no second argument",
            lambda net: number(net),
            "only nonzeros",
            "its arguments are (model, count_nonzero_only)",
        ),
    ],
    "get_model_size": [
        (
            "by bytes",
            lambda net, data_width=32, count_nonzero_only=False: (
                number(net, count_nonzero_only) * data_width * 8
            ),
            "32 bits each",
            None,
        ),
        (
            "other names",
            lambda net, bits=32, nonzero=False: size(net, bits, nonzero),
            "only nonzeros",
            "its arguments are (model, data_width, count_nonzero_only)",
        ),
    ],
    "layer_statistics": [
        ("rounded", rounded, "four weights", None),
        (
            "other key",
            lambda net: {
                n: {"max" if k == "largest" else k: v for k, v in r.items()}
                for n, r in statistics()(net).items()
            },
            "four weights",
            None,
        ),
        (
            "in place",
            statistics_that_change_the_weights,
            "four weights",
            "an operation in place",
        ),
        (
            "tuples",
            lambda net: {n: tuple(r.values()) for n, r in statistics()(net).items()},
            "four weights",
            None,
        ),
    ],
}


class TestLab01(LabTests):
    lab, right, wrong = lab01, RIGHT, WRONG


def test_a_right_answer_passes_at_any_seed():
    """A mean near zero cancels: two right ways then differ in many of their digits."""
    exercise = lab01.EXERCISES["layer_statistics"]
    for seed in (54, 166):
        assert exercise.run(statistics(), seed=seed).status == "passed"


def test_an_answer_that_uses_an_unwritten_one_is_told_to_write_that_first():
    found = lab01.EXERCISES["get_model_size"].run(size_by_an_unwritten_helper)
    assert found.status == "todo"
    assert "get_num_parameters, which is not written yet" in found.message


@pytest.mark.parametrize("helper", ["get_num_parameters", "get_sparsity"])
def test_a_lent_answer_helps_in_later_exercises(helper, capsys):
    names = {"lab01": lab01}
    exec(f"lab01.lend({helper!r})", names)
    lent = names[helper]

    def answer(model, data_width=32, count_nonzero_only=False):
        if helper == "get_num_parameters":
            return lent(model, count_nonzero_only) * data_width
        lent(next(model.parameters()))
        return size(model, data_width, count_nonzero_only)

    passes(lab01.EXERCISES["get_model_size"], answer)


def test_points():
    assert {name: e.points for name, e in lab01.EXERCISES.items()} == dict.fromkeys(
        RIGHT, 4
    )
