"""Checks of Lab 01, weight histograms: sparsity, parameters, size, statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.trial import Trial
from labcore.nets import MLP, VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


def _zeroed(model: nn.Module, ask: Trial) -> nn.Module:
    """The model with a random share of each parameter set to zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            share = torch.rand((), generator=ask.rng)
            parameter[torch.rand(parameter.shape, generator=ask.rng) < share] = 0
    return model


def _linear(*rows: list[float]) -> nn.Linear:
    """A linear layer without bias that holds just these weights."""
    weight = torch.tensor(rows)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


def _unequal() -> nn.Module:
    """1 zero of 2 weights, then 1 of 8: together 0.2, on average 0.3125."""
    return nn.Sequential(
        _linear([0.0, 0.5]),
        _linear([0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]),
    )


def _conv_and_norm() -> nn.Module:
    """22 parameters, 2 of them zero (shifts); 5 more numbers are buffers."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2))
    model[0].weight = nn.Parameter(torch.arange(1.0, 19).view(2, 1, 3, 3))
    return model


def _half_frozen() -> nn.Module:
    model = nn.Sequential(_linear([0.0, 0.0, 1.0]), _linear([1.0], [2.0]))
    return model.requires_grad_(False).append(_linear([3.0, 4.0, 5.0, 6.0]))


def _zeros(tensors: Iterable[Tensor]) -> int:
    return sum((t == 0).sum().item() for t in tensors)


def _share_of_zeros(tensors: Iterable[Tensor]) -> float:
    tensors = list(tensors)
    return _zeros(tensors) / sum(t.numel() for t in tensors)


def _trainable(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def _of_each_module(model: nn.Module) -> list[Tensor]:
    return [p for module in model.modules() for p in module.parameters()]


def _matrices(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.dim() > 1]


BUFFERS = "state_dict() holds BatchNorm's running statistics too; parameters() does not"
FROZEN = "you leave out frozen parameters; all parameters count"
SMALL = "you leave out biases and BatchNorm; all parameters count"
DENSITY = "that is the share of nonzeros (the density); sparsity is 1 minus it"
PERCENT = "that is a percentage; a sparsity lies between 0 and 1"
IGNORED = "count_nonzero_only makes no difference"
UNASKED = "you count nonzeros though count_nonzero_only is False"
FIRST = "you return in the first round of the loop"
TWICE = "each module's parameters() holds those inside it too; take the model's once"
POSITIONS = (
    "nonzero() gives a row of indices for each value: numel() counts every index"
)


@lab.exercise("1.1", points={"idea": 2, "any tensor": 2})
def get_sparsity(tensor: Tensor) -> float:
    values = tensor.flatten().tolist()
    return sum(value == 0 for value in values) / len(values)


def _random_weights(ask: Trial) -> None:
    for _ in range(10):
        weight = torch.randint(-2, 3, (3, 4, 2, 2), generator=ask.rng).float()
        ask(weight.transpose(0, 1))


lab.step(
    "idea", "seven values", lambda ask: ask(torch.tensor([0.5, 0, -1, 2, 0, 3, 4]))
)
lab.step("idea", "no zeros", lambda ask: ask(torch.tensor([1.0, -2.0, 3.0])))
lab.step("idea", "all zeros", lambda ask: ask(torch.zeros(3)))
lab.step("any tensor", "a matrix", lambda ask: ask(torch.eye(3)))
lab.step(
    "any tensor",
    "small is not zero",
    lambda ask: ask(torch.tensor([1e-9, 0.0, 1.0, -1e-9, 0.0])),
)
lab.step(
    "any tensor",
    "a bool mask",
    lambda ask: ask(torch.tensor([True, False, True, True])),
)
lab.step("any tensor", "transposed random weights", _random_weights)
lab.mistake(
    DENSITY,
    lambda t: 1 - get_sparsity(t),
    help="You computed the density. The sparsity is 1 minus it.",
)
lab.mistake(PERCENT, lambda t: 100 * get_sparsity(t))
lab.mistake(
    "that is the number of zeros; divide by the number of values", lambda t: _zeros([t])
)
lab.mistake(
    "you count small values as zeros; only zeros count",
    lambda t: get_sparsity(t * (t.abs() > 1e-3)),
)
lab.mistake("you count what is not positive", lambda t: get_sparsity(t.clamp(min=0)))
lab.mistake(
    "len(tensor) is the length of the first axis; numel() counts all values",
    lambda t: _zeros([t]) / len(t),
)
lab.mistake(POSITIONS, lambda t: 1 - t.nonzero().numel() / t.numel())
lab.mistake(
    "you divide by the nonzeros; divide by all values",
    lambda t: _zeros([t]) / t.count_nonzero(),
)
lab.mistake(
    "whole-number division // loses the fraction", lambda t: _zeros([t]) // t.numel()
)


@lab.exercise("1.2", points={"idea": 2, "any network": 2})
def get_model_sparsity(model: nn.Module) -> float:
    return _share_of_zeros(model.parameters())


def _average_sparsity(model: nn.Module) -> float:
    shares = [get_sparsity(p) for p in model.parameters()]
    return sum(shares) / len(shares)


def _random_nets(ask: Trial) -> None:
    ask(_zeroed(MLP(6, (5, 4), 3), ask))
    ask(_zeroed(VGG(width=2), ask))


lab.step("idea", "one layer", lambda ask: ask(_linear([0.0, 0.5, 1.0, 2.0])))
lab.step("idea", "layers of different size", lambda ask: ask(_unequal()))
lab.step("any network", "BatchNorm", lambda ask: ask(_conv_and_norm()))
lab.step("any network", "frozen parameters", lambda ask: ask(_half_frozen()))
lab.step("any network", "random zeros", _random_nets)
lab.mistake(
    "that is the average over the tensors; a small one weighs as much there as a "
    "large one: add up first, divide once",
    _average_sparsity,
    help=(
        "The average of 1/2 and 1/8 is not the share in both together: 1 of "
        "2 and 1 of 8 are 2 of 10."
    ),
)
lab.mistake(BUFFERS, lambda model: _share_of_zeros(model.state_dict().values()))
lab.mistake(SMALL, lambda model: _share_of_zeros(_matrices(model)))
lab.mistake(FROZEN, lambda model: _share_of_zeros(_trainable(model)))
lab.mistake(DENSITY, lambda model: 1 - get_model_sparsity(model))
lab.mistake(PERCENT, lambda model: 100 * get_model_sparsity(model))
lab.mistake(FIRST, lambda model: get_sparsity(next(model.parameters())))
lab.mistake(
    "only the last tensor is left; add up in the loop, by +=",
    lambda model: get_sparsity(list(model.parameters())[-1]),
)
lab.mistake(TWICE, lambda model: _share_of_zeros(_of_each_module(model)))


@lab.exercise("1.3", points={"idea": 2, "nonzeros": 2})
def get_num_parameters(model: nn.Module, count_nonzero_only: bool = False) -> int:
    return _number(model.parameters(), count_nonzero_only)


def _number(tensors: Iterable[Tensor], count_nonzero_only: bool) -> int:
    values = [value for tensor in tensors for value in tensor.flatten().tolist()]
    return sum(value != 0 for value in values) if count_nonzero_only else len(values)


def _both_ways(ask: Trial) -> None:
    for model in (_zeroed(MLP(6, (5, 4), 3), ask), _zeroed(VGG(width=2), ask)):
        ask(model)
        ask(model, count_nonzero_only=True)


lab.step("idea", "weights and a bias", lambda ask: ask(MLP(4, (2,), 1)))
lab.step("idea", "BatchNorm", lambda ask: ask(_conv_and_norm()))
lab.step("idea", "zeros count too", lambda ask: ask(_unequal()))
lab.step("idea", "frozen parameters", lambda ask: ask(_half_frozen()))
lab.step("nonzeros", "only nonzeros", lambda ask: ask(_unequal(), True))
lab.step("nonzeros", "random zeros both ways", _both_ways)
lab.mistake(UNASKED, lambda model, _: _number(model.parameters(), True))
lab.mistake(IGNORED, lambda model, _: _number(model.parameters(), False))
lab.mistake(
    "you count the zeros",
    lambda model, nonzero: (
        _zeros(model.parameters()) if nonzero else get_num_parameters(model)
    ),
)
lab.mistake(
    BUFFERS,
    lambda model, nonzero: _number(model.state_dict().values(), nonzero),
    help=(
        "Those are buffers: they belong to the state of the model, but "
        "training does not learn them."
    ),
)
lab.mistake(FROZEN, lambda model, nonzero: _number(_trainable(model), nonzero))
lab.mistake(SMALL, lambda model, nonzero: _number(_matrices(model), nonzero))
lab.mistake(
    "you count the tensors; numel() counts the values in one",
    lambda model, _: len(list(model.parameters())),
)
lab.mistake(FIRST, lambda model, _: next(model.parameters()).numel())
lab.mistake(
    "len(p) is the length of the first axis; numel() counts all values",
    lambda model, _: sum(len(p) for p in model.parameters()),
)
lab.mistake(TWICE, lambda model, nonzero: _number(_of_each_module(model), nonzero))
lab.mistake(
    POSITIONS,
    lambda model, nonzero: sum(
        p.nonzero().numel() if nonzero else p.numel() for p in model.parameters()
    ),
)


@lab.exercise("1.4", points={"idea": 2, "any width": 2})
def get_model_size(
    model: nn.Module, data_width: int = 32, count_nonzero_only: bool = False
) -> int:
    return get_num_parameters(model, count_nonzero_only) * data_width


def _any_width(ask: Trial) -> None:
    models = _zeroed(MLP(6, (5, 4), 3), ask), _conv_and_norm(), _half_frozen()
    for data_width, model in zip((4, 16, 32), models, strict=True):
        ask(model, data_width, True)
        ask(model, data_width, False)


lab.step("idea", "32 bits each", lambda ask: ask(nn.Linear(3, 2)))
lab.step("idea", "zeros take space", lambda ask: ask(_unequal()))
lab.step("idea", "only nonzeros", lambda ask: ask(_unequal(), count_nonzero_only=True))
lab.step("any width", "8 bits", lambda ask: ask(nn.Linear(3, 2), data_width=8))
lab.step("any width", "random zeros at any width", _any_width)
lab.mistake(
    "that is in bytes; asked are bits",
    lambda model, width, nonzero: get_model_size(model, width, nonzero) / 8,
    help="In this course a size is in bits. Dividing by 8 comes when you print.",
)
lab.mistake(
    "that is in KiB; asked are bits",
    lambda model, width, nonzero: get_model_size(model, width, nonzero) / 8 / 1024,
)
lab.mistake(
    "that is the number of parameters; each takes data_width bits",
    lambda model, width, nonzero: get_num_parameters(model, nonzero),
)
lab.mistake(
    "data_width makes no difference",
    lambda model, _, nonzero: get_model_size(model, 32, nonzero),
)
lab.mistake(
    BUFFERS,
    lambda model, width, nonzero: _number(model.state_dict().values(), nonzero) * width,
)
lab.mistake(
    FROZEN, lambda model, width, nonzero: _number(_trainable(model), nonzero) * width
)
lab.mistake(IGNORED, lambda model, width, _: get_model_size(model, width))
lab.mistake(UNASKED, lambda model, width, _: get_model_size(model, width, True))


Statistics = dict[str, dict[str, float]]


@lab.exercise("1.5", points={"idea": 2, "any network": 2})
def layer_statistics(model: nn.Module) -> Statistics:
    return _rows_of(model, nn.Conv2d | nn.Linear)


def _rows_of(model: nn.Module, kind) -> Statistics:
    return {
        name: _describe(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, kind)
    }


def _describe(weight: Tensor) -> dict[str, float]:
    values = weight.flatten().tolist()
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    largest = max(abs(v) for v in values)
    return {"mean": mean, "std": variance**0.5, "largest": largest}


def _with_other(key: str, compute: Callable[[Tensor], Tensor]) -> Callable:
    """The right table, but for one of the three numbers."""

    def mistaken(model: nn.Module) -> Statistics:
        modules = dict(model.named_modules())
        return {
            name: row | {key: compute(modules[name].weight.detach()).item()}
            for name, row in layer_statistics(model).items()
        }

    return mistaken


def _every_weight(model: nn.Module) -> Statistics:
    return {
        name.removesuffix(".weight"): _describe(parameter)
        for name, parameter in model.named_parameters()
        if name.endswith(".weight")
    }


lab.step(
    "idea",
    "four weights",
    lambda ask: ask(nn.Sequential(_linear([-3.0, 1.0, 1.0, 2.0]))),
)
lab.step("idea", "three layers", lambda ask: ask(MLP(6, (5, 4), 3)))
lab.step(
    "any network",
    "BatchNorm is left out",
    lambda ask: ask(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))),
)
lab.step(
    "any network", "random zeros in blocks", lambda ask: ask(_zeroed(VGG(width=2), ask))
)
lab.mistake(
    "'largest' is the largest magnitude: take abs() first",
    _with_other("largest", lambda w: w.max()),
    help="-3 is larger in magnitude than 2: take `abs()` before `max()`.",
)
lab.mistake(
    "'std' is the square root of the variance", _with_other("std", lambda w: w.var())
)
lab.mistake(
    "'std' divides by n - 1, as Tensor.std() does by itself",
    _with_other("std", lambda w: w.std(correction=0)),
)
lab.mistake(
    "'mean' is the mean of the weights, not of their magnitudes",
    _with_other("mean", lambda w: w.abs().mean()),
)
lab.mistake(
    "abs() is for 'largest' only; mean and std are of the weights themselves",
    lambda model: {
        name: _describe(module.weight.abs())
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    },
)
lab.mistake(
    "all layers hold the last one's numbers; make a new inner table each time",
    lambda model: dict.fromkeys(
        layer_statistics(model), [*layer_statistics(model).values()][-1]
    ),
)
lab.mistake(FIRST, lambda model: dict([next(iter(layer_statistics(model).items()))]))
lab.mistake(
    "BatchNorm's weights are scales; asked are Conv2d and Linear", _every_weight
)
lab.mistake("you forget the linear layers", lambda model: _rows_of(model, nn.Conv2d))
lab.mistake("you forget the convolutions", lambda model: _rows_of(model, nn.Linear))
lab.mistake(
    "named_children() stays on the first level; named_modules() goes down",
    lambda model: {
        name: row for name, row in layer_statistics(model).items() if "." not in name
    },
)
lab.mistake(
    "only the last layer is left; make the table before the loop",
    lambda model: dict([layer_statistics(model).popitem()]),
)
lab.mistake(
    "the keys are the modules' names, without .weight",
    lambda model: {
        f"{name}.weight": row for name, row in layer_statistics(model).items()
    },
)
