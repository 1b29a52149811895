"""Lab 01's checks, held against right and wrong answers."""

import numpy as np
import pytest
import torch
from answers import assert_complete, assert_fails, assert_passes, table
from torch import Tensor, nn

from labcore import measure
from labcore.checks import lab01

LAYERS = (nn.Conv2d, nn.Linear)
KEYS = ("mean", "std", "largest")

DENSITY = "that is the share of nonzeros (the density)"
PERCENT = "that is a percentage"
SMALL = "you leave out biases and BatchNorm"
FROZEN = "you leave out frozen parameters"
BUFFERS = "state_dict() holds BatchNorm's running statistics too"
TWICE = "each module's parameters() holds those inside it too"
POSITIONS = "nonzero() gives a row of indices for each value"
FIRST = "you return in the first round of the loop"
IGNORED = "count_nonzero_only makes no difference"
UNASKED = "you count nonzeros though count_nonzero_only is False"
ERROR = "the error comes from line"


def share(tensors) -> float:
    """Zeros / all of these tensors together."""
    flat = torch.cat([t.detach().flatten().double() for t in tensors])
    return 1 - flat.count_nonzero().item() / flat.numel()


def matrices(model):
    return [p for p in model.parameters() if p.dim() > 1]


def trainable(model):
    return [p for p in model.parameters() if p.requires_grad]


def of_each_module(model):
    return [p for m in model.modules() for p in m.parameters()]


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


def last_tensor_only(model):
    for parameter in model.parameters():
        zeros = (parameter == 0).sum()
        total = parameter.numel()
    return zeros / total


def average_of_shares(model):
    shares = [(p == 0).double().mean() for p in model.parameters()]
    return sum(shares) / len(shares)


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


def number_of(choose):
    """The right sum over the wrong tensors."""

    def answer(model, count_nonzero_only=False):
        if count_nonzero_only:
            return sum(t.count_nonzero() for t in choose(model))
        return sum(t.numel() for t in choose(model))

    return answer


def number_of_first(model, count_nonzero_only=False):
    for parameter in model.parameters():
        return parameter.count_nonzero() if count_nonzero_only else parameter.numel()


def number_by_positions(model, count_nonzero_only=False):
    if count_nonzero_only:
        return sum(p.nonzero().numel() for p in model.parameters())
    return number(model)


def size(model, data_width=32, count_nonzero_only=False):
    return number(model, count_nonzero_only) * data_width


def size_in_a_loop(model, data_width=32, count_nonzero_only=False):
    bits = 0
    for p in model.parameters():
        bits += data_width * (p.count_nonzero() if count_nonzero_only else p.numel())
    return bits


def size_by_swapped_arguments(model, data_width=32, count_nonzero_only=False):
    return number(model, data_width) * data_width


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


def statistics_of(kind):
    return lambda net: {n: row(m.weight) for n, m in net.named_modules()
                        if isinstance(m, kind)}  # fmt: skip


def statistics_of_children(model):
    return {n: row(m.weight) for n, m in model.named_children() if type(m) in LAYERS}


def statistics_of_the_last_layer(model):
    for name, module in layers(model).items():
        table = {}
        table[name] = row(module.weight)
    return table


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
        ("density", lambda t: t.count_nonzero() / t.numel(), "seven values", DENSITY),
        ("percent", lambda t: 100 * share([t]), "seven values", PERCENT),
        ("number", lambda t: (t == 0).sum(), "seven values", "that is the number of z"),
        ("whole", lambda t: (t == 0).sum().item() // t.numel(), "seven values",
         "whole-number division"),
        ("not positive", lambda t: (t <= 0).float().mean(), "seven values",
         "you count what is not positive"),
        ("no return", lambda t: None, "seven values", "the function ends without"),
        ("labcore", measure.sparsity, "seven values", "the exercise asks for just"),
        ("mask", lambda t: t == 0, "seven values", "that is a tensor of several"),
        ("nonzeros below", lambda t: (t == 0).sum() / t.count_nonzero(), "seven values",
         "you divide by the nonzeros"),
        ("text", lambda t: f"{share([t])}", "seven values", "that is text; asked"),
        ("copied", lambda t: 0.25, "seven values", None),
        ("len", lambda t: (t == 0).sum() / len(t), "a matrix", "len(tensor) is the"),
        ("positions", lambda t: 1 - torch.nonzero(t).numel() / t.numel(), "a matrix",
         POSITIONS),
        ("axis", lambda t: (t == 0).float().mean(dim=0), "a matrix",
         "that is a tensor of several values; asked is a number"),
        ("rounded", lambda t: round(share([t]), 2), "seven values", "you rounded"),
        ("small", lambda t: (t.abs() < 1e-6).float().mean(), "small is not zero",
         "you count small values as zeros"),
        ("abs of bool", lambda t: (t.abs() == 0).float().mean(), "a bool mask", ERROR),
        ("view", lambda t: (t == 0).view(-1).float().mean(),
         "transposed random weights", ERROR),
    ],
    "get_model_sparsity": [
        ("density", lambda net: 1 - share(net.parameters()), "one layer", DENSITY),
        ("percent", lambda net: share(net.parameters()) * 100, "one layer", PERCENT),
        ("number", lambda net: sum((p == 0).sum() for p in net.parameters()),
         "one layer", None),
        ("average", average_of_shares, "layers of different size", "that is the"),
        ("first", lambda net: share([next(net.parameters())]),
         "layers of different size", FIRST),
        ("last", last_tensor_only, "layers of different size", "only the last tensor"),
        ("one layer", lambda net: share([net.weight]), "layers of different size",
         ERROR),
        ("buffers", lambda net: share(net.state_dict().values()), "BatchNorm", BUFFERS),
        ("matrices", lambda net: share(matrices(net)), "BatchNorm", SMALL),
        ("layers' weights", lambda net: share([m.weight for m in layers(net).values()]),
         "BatchNorm", SMALL),
        ("trainable", lambda net: share(trainable(net)), "frozen parameters", FROZEN),
        ("twice", lambda net: share(of_each_module(net)), "random zeros", TWICE),
        ("in place", scaled_in_place, "one layer", "an operation in place"),
    ],
    "get_num_parameters": [
        ("tensors", lambda net, count_nonzero_only=False: len([*net.parameters()]),
         "weights and a bias", "you count the tensors"),
        ("first", number_of_first, "weights and a bias", FIRST),
        ("len", lambda net, count_nonzero_only=False: sum(map(len, net.parameters())),
         "weights and a bias", "len(p) is the length of the first axis"),
        ("matrices", number_of(matrices), "weights and a bias", SMALL),
        ("twice", number_of(of_each_module), "weights and a bias", TWICE),
        ("no second argument", lambda net: number(net), "only nonzeros",
         "its arguments are (model, count_nonzero_only)"),
        ("buffers", number_of(lambda net: net.state_dict().values()), "BatchNorm",
         BUFFERS),
        ("always nonzeros", lambda net, count_nonzero_only=False: number(net, True),
         "BatchNorm", UNASKED),
        ("turned round", lambda net, count_nonzero_only=False:
         number(net, not count_nonzero_only), "BatchNorm", UNASKED),
        ("trainable", number_of(trainable), "frozen parameters", FROZEN),
        ("ignored", lambda net, count_nonzero_only=False: number(net),
         "only nonzeros", IGNORED),
        ("zeros", lambda net, count_nonzero_only=False: number(net)
         - count_nonzero_only * number(net, True), "only nonzeros",
         "you count the zeros"),
        ("positions", number_by_positions, "only nonzeros", POSITIONS),
    ],
    "get_model_size": [
        ("bytes", lambda net, data_width=32, count_nonzero_only=False:
         size(net, data_width, count_nonzero_only) // 8, "32 bits each",
         "that is in bytes"),
        ("KiB", lambda net, data_width=32, count_nonzero_only=False:
         size(net, data_width, count_nonzero_only) / 8192, "32 bits each",
         "that is in KiB"),
        ("number", lambda net, data_width=32, count_nonzero_only=False:
         number(net, count_nonzero_only), "32 bits each", "that is the number of"),
        ("by bytes", lambda net, data_width=32, count_nonzero_only=False:
         number(net, count_nonzero_only) * data_width * 8, "32 bits each", None),
        ("unasked", lambda net, data_width=32, count_nonzero_only=False:
         data_width * number(net, True), "zeros take space", UNASKED),
        ("swapped", size_by_swapped_arguments, "zeros take space", UNASKED),
        ("ignored", lambda net, data_width=32, count_nonzero_only=False:
         data_width * number(net), "only nonzeros", IGNORED),
        ("always 32", lambda net, data_width=32, count_nonzero_only=False:
         32 * number(net, count_nonzero_only), "8 bits", "data_width makes no"),
        ("buffers", lambda net, data_width=32, count_nonzero_only=False: data_width
         * number_of(lambda net: net.state_dict().values())(net, count_nonzero_only),
         "random zeros at any width", BUFFERS),
        ("trainable", lambda net, data_width=32, count_nonzero_only=False: data_width
         * number_of(trainable)(net, count_nonzero_only), "random zeros at any width",
         FROZEN),
        ("other names", lambda net, bits=32, nonzero=False: size(net, bits, nonzero),
         "only nonzeros", "its arguments are (model, data_width, count_nonzero_only)"),
    ],
    "layer_statistics": [
        ("no abs", statistics(largest=Tensor.max), "four weights",
         "'largest' is the largest magnitude"),
        ("variance", statistics(std=Tensor.var), "four weights",
         "'std' is the square root"),
        ("n", statistics(std=lambda w: w.std(correction=0)), "four weights",
         "'std' divides by n - 1"),
        ("mean of magnitudes", statistics(mean=lambda w: w.abs().mean()),
         "four weights", "'mean' is the mean of the weights"),
        ("convolutions", statistics_of(nn.Conv2d), "four weights",
         "you forget the linear layers"),
        (".weight", lambda net: {f"{n}.weight": row(m.weight)
         for n, m in layers(net).items()}, "four weights", "the keys are the modules'"),
        ("rounded", rounded, "four weights", None),
        ("other key", lambda net: {n: {"max" if k == "largest" else k: v
         for k, v in r.items()} for n, r in statistics()(net).items()},
         "four weights", None),
        ("in place", statistics_that_change_the_weights, "four weights",
         "an operation in place"),
        ("magnitudes", lambda net: {n: row(m.weight.abs())
         for n, m in layers(net).items()}, "four weights", "abs() is for 'largest'"),
        ("tuples", lambda net: {n: tuple(r.values())
         for n, r in statistics()(net).items()}, "four weights", None),
        ("shared", lambda net: dict.fromkeys(layers(net),
         [*statistics()(net).values()][-1]), "three layers", "all layers hold the"),
        ("first", lambda net: dict([next(iter(statistics()(net).items()))]),
         "three layers", FIRST),
        ("last", statistics_of_the_last_layer, "three layers", "only the last layer"),
        ("linear", statistics_of(nn.Linear), "BatchNorm is left out",
         "you forget the convolutions"),
        ("BatchNorm", statistics_of((*LAYERS, nn.BatchNorm2d)), "BatchNorm is left out",
         "BatchNorm's weights are scales"),
        ("children", statistics_of_children, "random zeros in blocks",
         "named_children() stays"),
    ],
}  # fmt: skip


@table(RIGHT)
def test_a_right_answer_passes(exercise, answer):
    assert_passes(lab01.EXERCISES[exercise], answer)


@table(WRONG)
def test_a_wrong_answer_fails_where_and_why_it_should(exercise, answer, title, likely):
    assert_fails(lab01.EXERCISES[exercise], answer, title, likely)


def test_the_tables_are_complete():
    assert_complete(lab01.EXERCISES, RIGHT, WRONG)


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

    assert_passes(lab01.EXERCISES["get_model_size"], answer)


def test_points():
    assert {name: e.points for name, e in lab01.EXERCISES.items()} == dict.fromkeys(
        RIGHT, 4
    )
