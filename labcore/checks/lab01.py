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


# Networks that the checks use


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
    """Two frozen layers, then one that is trained."""
    model = nn.Sequential(_linear([0.0, 0.0, 1.0]), _linear([1.0], [2.0]))
    return model.requires_grad_(False).append(_linear([3.0, 4.0, 5.0, 6.0]))


def _mlp(ask: Trial) -> nn.Module:
    return _zeroed(MLP(6, (5, 4), 3), ask)


def _vgg(ask: Trial) -> nn.Module:
    return _zeroed(VGG(width=2), ask)


@torch.no_grad()
def _zeroed(model: nn.Module, ask: Trial) -> nn.Module:
    """The model with a random share of each parameter set to zero."""
    for parameter in model.parameters():
        share = torch.rand((), generator=ask.rng)
        parameter[torch.rand(parameter.shape, generator=ask.rng) < share] = 0
    return model


# Counting functions, right and wrong


def _zeros(tensors: Iterable[Tensor]) -> int:
    return sum((t == 0).sum().item() for t in tensors)


def _share_of_zeros(tensors: Iterable[Tensor]) -> float:
    tensors = list(tensors)
    return _zeros(tensors) / sum(t.numel() for t in tensors)


def _number(tensors: Iterable[Tensor], count_nonzero_only: bool) -> int:
    values = [value for tensor in tensors for value in tensor.flatten().tolist()]
    return sum(value != 0 for value in values) if count_nonzero_only else len(values)


def _state(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def _trainable(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def _matrices(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.dim() > 1]


def _of_each_module(model: nn.Module) -> list[Tensor]:
    return [p for module in model.modules() for p in module.parameters()]


@lab.exercise("1.1", points={"idea": 2, "any tensor": 2})
def get_sparsity(tensor: Tensor) -> float:
    values = tensor.flatten().tolist()
    return sum(value == 0 for value in values) / len(values)


@lab.step("idea", "seven values")
def _(ask: Trial) -> None:
    ask(torch.tensor([0.5, 0, -1, 2, 0, 3, 4]))


lab.step("idea", "no zeros", lambda ask: ask(torch.tensor([1.0, -2.0, 3.0])))
lab.step("idea", "all zeros", lambda ask: ask(torch.zeros(3)))
lab.step("any tensor", "a matrix", lambda ask: ask(torch.eye(3)))


@lab.step("any tensor", "small is not zero")
def _(ask: Trial) -> None:
    ask(torch.tensor([1e-9, 0.0, 1.0, -1e-9, 0.0]))


@lab.step("any tensor", "a bool mask")
def _(ask: Trial) -> None:
    ask(torch.tensor([True, False, True, True]))


@lab.step("any tensor", "transposed random weights")
def _(ask: Trial) -> None:
    for _ in range(10):
        weight = torch.randint(-2, 3, (3, 4, 2, 2), generator=ask.rng).float()
        ask(weight.transpose(0, 1))


lab.mistake(
    DENSITY,
    lambda t: 1 - get_sparsity(t),
    help="You computed the density. The sparsity is 1 minus it.",
)
lab.mistake(PERCENT, lambda t: 100 * get_sparsity(t))
lab.mistake(
    "that is the number of zeros; divide by the number of values",
    lambda t: _zeros([t]),
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
    "whole-number division // loses the fraction",
    lambda t: _zeros([t]) // t.numel(),
)


@lab.exercise("1.2", points={"idea": 2, "any network": 2})
def get_model_sparsity(model: nn.Module) -> float:
    return _share_of_zeros(model.parameters())


lab.step("idea", "one layer", lambda ask: ask(_linear([0.0, 0.5, 1.0, 2.0])))
lab.step("idea", "layers of different size", lambda ask: ask(_unequal()))
lab.step("any network", "BatchNorm", lambda ask: ask(_conv_and_norm()))
lab.step("any network", "frozen parameters", lambda ask: ask(_half_frozen()))


@lab.step("any network", "random zeros")
def _(ask: Trial) -> None:
    ask(_mlp(ask))
    ask(_vgg(ask))


@lab.mistake(
    "that is the average over the tensors; a small one weighs as much there as a "
    "large one: add up first, divide once",
    help="The average of 1/2 and 1/8 is not the share in both together: 1 of 2 and 1 "
    "of 8 are 2 of 10.",
)
def _(model):
    shares = [get_sparsity(p) for p in model.parameters()]
    return sum(shares) / len(shares)


lab.mistake(BUFFERS, lambda model: _share_of_zeros(_state(model)))
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


lab.step("idea", "weights and a bias", lambda ask: ask(MLP(4, (2,), 1)))
lab.step("idea", "BatchNorm", lambda ask: ask(_conv_and_norm()))
lab.step("idea", "zeros count too", lambda ask: ask(_unequal()))
lab.step("idea", "frozen parameters", lambda ask: ask(_half_frozen()))
lab.step("nonzeros", "only nonzeros", lambda ask: ask(_unequal(), True))


@lab.step("nonzeros", "random zeros both ways")
def _(ask: Trial) -> None:
    for model in (_mlp(ask), _vgg(ask)):
        ask(model)
        ask(model, count_nonzero_only=True)


lab.mistake(UNASKED, lambda model, _: get_num_parameters(model, True))
lab.mistake(IGNORED, lambda model, _: get_num_parameters(model, False))


@lab.mistake("you count the zeros")
def _(model, nonzero):
    return _zeros(model.parameters()) if nonzero else get_num_parameters(model)


lab.mistake(
    BUFFERS,
    lambda model, nonzero: _number(_state(model), nonzero),
    help="Those are buffers: they belong to the state of the model, but training does "
    "not learn them.",
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


@lab.mistake(POSITIONS)
def _(model, nonzero):
    counted = [p.nonzero() if nonzero else p for p in model.parameters()]
    return sum(each.numel() for each in counted)


@lab.exercise("1.4", points={"idea": 2, "any width": 2})
def get_model_size(
    model: nn.Module, data_width: int = 32, count_nonzero_only: bool = False
) -> int:
    return get_num_parameters(model, count_nonzero_only) * data_width


lab.step("idea", "32 bits each", lambda ask: ask(nn.Linear(3, 2)))
lab.step("idea", "zeros take space", lambda ask: ask(_unequal()))
lab.step("idea", "only nonzeros", lambda ask: ask(_unequal(), count_nonzero_only=True))
lab.step("any width", "8 bits", lambda ask: ask(nn.Linear(3, 2), data_width=8))


@lab.step("any width", "random zeros at any width")
def _(ask: Trial) -> None:
    models = (_mlp(ask), _conv_and_norm(), _half_frozen())
    for model, data_width in zip(models, (4, 16, 32), strict=True):
        ask(model, data_width, True)
        ask(model, data_width, False)


lab.mistake(
    "that is in bytes; asked are bits",
    lambda *case: get_model_size(*case) / 8,
    help="In this course a size is in bits. Dividing by 8 comes when you print.",
)
lab.mistake(
    "that is in KiB; asked are bits",
    lambda *case: get_model_size(*case) / 8 / 1024,
)
lab.mistake(
    "that is the number of parameters; each takes data_width bits",
    lambda model, _, nonzero: get_num_parameters(model, nonzero),
)
lab.mistake(
    "data_width makes no difference",
    lambda model, _, nonzero: get_model_size(model, 32, nonzero),
)
lab.mistake(
    BUFFERS,
    lambda model, width, nonzero: _number(_state(model), nonzero) * width,
)
lab.mistake(
    FROZEN,
    lambda model, width, nonzero: _number(_trainable(model), nonzero) * width,
)
lab.mistake(IGNORED, lambda model, width, _: get_model_size(model, width))
lab.mistake(UNASKED, lambda model, width, _: get_model_size(model, width, True))


Statistics = dict[str, dict[str, float]]


@lab.exercise("1.5", points={"idea": 2, "any network": 2})
def layer_statistics(model: nn.Module) -> Statistics:
    return {name: _describe(w) for name, w in _weights(model).items()}


def _weights(model: nn.Module, kind=nn.Conv2d | nn.Linear) -> dict[str, Tensor]:
    return {
        name: module.weight.detach()
        for name, module in model.named_modules()
        if isinstance(module, kind)
    }


def _describe(weight: Tensor) -> dict[str, float]:
    values = weight.flatten().tolist()
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    largest = max(abs(v) for v in values)
    return {"mean": mean, "std": variance**0.5, "largest": largest}


@lab.step("idea", "four weights")
def _(ask: Trial) -> None:
    ask(nn.Sequential(_linear([-3.0, 1.0, 1.0, 2.0])))


lab.step("idea", "three layers", lambda ask: ask(MLP(6, (5, 4), 3)))


@lab.step("any network", "BatchNorm is left out")
def _(ask: Trial) -> None:
    ask(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)))


lab.step("any network", "random zeros in blocks", lambda ask: ask(_vgg(ask)))


def _with_other(key: str, compute: Callable[[Tensor], Tensor]) -> Callable:
    """The right table, but for one of the three numbers."""

    def mistaken(model: nn.Module) -> Statistics:
        return {
            name: _describe(weight) | {key: compute(weight).item()}
            for name, weight in _weights(model).items()
        }

    return mistaken


lab.mistake(
    "'largest' is the largest magnitude: take abs() first",
    _with_other("largest", lambda w: w.max()),
    help="-3 is larger in magnitude than 2: take `abs()` before `max()`.",
)
lab.mistake(
    "'std' is the square root of the variance",
    _with_other("std", lambda w: w.var()),
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
    lambda model: {name: _describe(w.abs()) for name, w in _weights(model).items()},
)


@lab.mistake("all layers hold the last one's numbers; make a new inner table each time")
def _(model):
    table = layer_statistics(model)
    return dict.fromkeys(table, [*table.values()][-1])


lab.mistake(FIRST, lambda model: dict([next(iter(layer_statistics(model).items()))]))


@lab.mistake("BatchNorm's weights are scales; asked are Conv2d and Linear")
def _(model):
    return {
        name.removesuffix(".weight"): _describe(parameter)
        for name, parameter in model.named_parameters()
        if name.endswith(".weight")
    }


@lab.mistake("you forget the linear layers")
def _(model):
    return {name: _describe(w) for name, w in _weights(model, nn.Conv2d).items()}


@lab.mistake("you forget the convolutions")
def _(model):
    return {name: _describe(w) for name, w in _weights(model, nn.Linear).items()}


@lab.mistake("named_children() stays on the first level; named_modules() goes down")
def _(model):
    table = layer_statistics(model)
    return {name: row for name, row in table.items() if "." not in name}


lab.mistake(
    "only the last layer is left; make the table before the loop",
    lambda model: dict([layer_statistics(model).popitem()]),
)


@lab.mistake("the keys are the modules' names, without .weight")
def _(model):
    table = layer_statistics(model)
    return {f"{name}.weight": row for name, row in table.items()}
