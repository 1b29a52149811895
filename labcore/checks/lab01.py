"""Checks of Lab 01: sparsity, parameters, statistics, a threshold, a rescaled layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.returned import drawn
from labcore.checks.engine.trial import Trial
from labcore.nets import MLP, VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

BUFFERS = "state_dict() holds BatchNorm's running statistics too; use parameters()"
FROZEN = "you leave out frozen parameters; count all parameters"
SMALL = "you leave out biases and BatchNorm; count all parameters"
DENSITY = "this is the share of nonzeros; return the share of zeros"
PERCENT = "this is a percentage; return a number between 0 and 1"
FIRST = "you return in the first round of the loop; return after the loop"
TWICE = "you count a layer once for each module around it; loop over model.parameters()"
POSITIONS = (
    "nonzero() gives a row of positions for each value; use count_nonzero() instead"
)


# Networks that the checks use


def _linear(*rows: list[float]) -> nn.Linear:
    """A linear layer without bias that holds just these weights."""
    weight = torch.tensor(rows)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


def _unequal() -> nn.Module:
    """1 zero of 2 weights, then 1 of 8; two of the nonzeros are negative."""
    return nn.Sequential(
        _linear([0.0, 0.5]),
        _linear([0.0], [-1.0], [2.0], [-3.0], [4.0], [5.0], [6.0], [7.0]),
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


@lab.exercise("1.1", points={"idea": 1, "any tensor": 2})
def get_sparsity(tensor: Tensor) -> float:
    values = tensor.flatten().tolist()
    return sum(value == 0 for value in values) / len(values)


@lab.step("idea", "seven values")
def _(ask: Trial) -> None:
    ask(torch.tensor([0.5, 0, -1, -2, 0, 3, 4]))


lab.step("idea", "no zeros", lambda ask: ask(torch.tensor([1.0, -2.0, 3.0])))
lab.step("idea", "all zeros", lambda ask: ask(torch.zeros(3)))
lab.step("any tensor", "a matrix", lambda ask: ask(torch.eye(3)))


@lab.step("any tensor", "small is not zero")
def _(ask: Trial) -> None:
    ask(torch.tensor([1e-9, 0.0, 1.0, -1e-9, 0.0]))


@lab.step("any tensor", "transposed random weights")
def _(ask: Trial) -> None:
    for _ in range(10):
        weight = torch.randint(-2, 3, (3, 4, 2, 2), generator=ask.rng).float()
        ask(weight.transpose(0, 1))


lab.mistake(
    DENSITY,
    lambda t: 1 - get_sparsity(t),
)
lab.mistake(PERCENT, lambda t: 100 * get_sparsity(t))
lab.mistake(
    "this is the number of zeros; divide it by the number of values",
    lambda t: _zeros([t]),
)
lab.mistake(
    "you count small values as zeros; count exact zeros only",
    lambda t: get_sparsity(t * (t.abs() > 1e-3)),
)
lab.mistake(
    "int() turns 0.5 into 0; compare the values themselves with 0",
    lambda t: get_sparsity(t.int()),
)
lab.mistake(
    "you count negative values too; count exact zeros only",
    lambda t: get_sparsity(t.clamp(min=0)),
)
lab.mistake(
    "len(tensor) is the length of the first axis; numel() counts all values",
    lambda t: _zeros([t]) / len(t),
)
lab.mistake(POSITIONS, lambda t: 1 - t.nonzero().numel() / t.numel())
lab.mistake(
    "you divide by the number of nonzeros; divide by the number of all values",
    lambda t: _zeros([t]) / t.count_nonzero(),
)
lab.mistake(
    "whole-number division // loses the fraction; use /",
    lambda t: _zeros([t]) // t.numel(),
)


@lab.exercise("1.2", points={"idea": 2, "nonzeros": 2})
def get_num_parameters(model: nn.Module, count_nonzero_only: bool = False) -> int:
    return _number(model.parameters(), count_nonzero_only)


lab.step("idea", "weights and a bias", lambda ask: ask(MLP(4, (2,), 1)))
lab.step("idea", "BatchNorm", lambda ask: ask(_conv_and_norm()))
lab.step("idea", "zeros count too", lambda ask: ask(_unequal()))
lab.step("idea", "frozen parameters", lambda ask: ask(_half_frozen()))
lab.step("nonzeros", "only nonzeros", lambda ask: ask(_unequal(), True))


@lab.step("nonzeros", "one nonzero of ten")
def _(ask: Trial) -> None:
    ask(_linear([0.0] * 9 + [0.5]), True)


@lab.step("nonzeros", "random zeros both ways")
def _(ask: Trial) -> None:
    for model in (_mlp(ask), _vgg(ask)):
        ask(model)
        ask(model, count_nonzero_only=True)


lab.mistake(
    "you count nonzeros even where count_nonzero_only is False",
    lambda model, _: get_num_parameters(model, True),
)
lab.mistake(
    "count_nonzero_only makes no difference in your function",
    lambda model, _: get_num_parameters(model, False),
)


@lab.mistake("you count the zeros; count the values that are not zero")
def _(model, nonzero):
    return _zeros(model.parameters()) if nonzero else get_num_parameters(model)


@lab.mistake("you count positive values only; a negative value is not zero either")
def _(model, nonzero):
    values = [p > 0 if nonzero else p == p for p in model.parameters()]
    return sum(each.sum().item() for each in values)


LOSES = "int() of a share loses a weight now and then; count the nonzeros"


@lab.mistake(LOSES)
def _(model, nonzero):
    total = get_num_parameters(model)
    return int(total * (1 - _zeros(model.parameters()) / total)) if nonzero else total


@lab.mistake(LOSES)
def _(model, nonzero):
    total = get_num_parameters(model)
    sparsity = 1 - get_num_parameters(model, True) / total
    return int(total * (1 - sparsity)) if nonzero else total


lab.mistake(
    BUFFERS,
    lambda model, nonzero: _number(_state(model), nonzero),
    help="BatchNorm's running statistics are buffers. They belong to the state of the "
    "model, but they are no parameters.",
)
lab.mistake(FROZEN, lambda model, nonzero: _number(_trainable(model), nonzero))
lab.mistake(SMALL, lambda model, nonzero: _number(_matrices(model), nonzero))
lab.mistake(
    "you count the tensors; add up their numel(), the values in each",
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


Statistics = dict[str, dict[str, float]]


@lab.exercise("1.3", points={"idea": 2, "any network": 2})
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
lab.step("idea", "one convolution", lambda ask: ask(nn.Sequential(nn.Conv2d(1, 2, 3))))


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
    "'largest' is the largest magnitude; take abs() before max()",
    _with_other("largest", lambda w: w.max()),
)
lab.mistake(
    "your 'std' is the variance; take its square root",
    _with_other("std", lambda w: w.var()),
)
lab.mistake(
    "your 'std' divides by n; divide by n - 1, as Tensor.std() does",
    _with_other("std", lambda w: w.std(correction=0)),
)
lab.mistake(
    "your 'mean' is that of the magnitudes; take the mean of the weights",
    _with_other("mean", lambda w: w.abs().mean()),
)
lab.mistake(
    "you take abs() of all weights; use it for 'largest' only",
    lambda model: {name: _describe(w.abs()) for name, w in _weights(model).items()},
)


lab.mistake(
    "argmax() gives the place of the largest; use max(), which gives its value",
    _with_other("largest", lambda w: w.abs().argmax()),
)


@lab.mistake("you mix the bias into the numbers; use module.weight only")
def _(model):
    return {
        name: _describe(torch.cat([p.detach().flatten() for p in module.parameters()]))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@lab.mistake("all layers share one inner dictionary; make a new one for each layer")
def _(model):
    table = layer_statistics(model)
    return dict.fromkeys(table, [*table.values()][-1])


lab.mistake(FIRST, lambda model: dict([next(iter(layer_statistics(model).items()))]))


@lab.mistake("you include BatchNorm; take Conv2d and Linear only, by isinstance()")
def _(model):
    return {
        name.removesuffix(".weight"): _describe(parameter)
        for name, parameter in model.named_parameters()
        if name.endswith(".weight")
    }


lab.mistake(
    "your dictionary stays empty; give every layer a row, inside the loop",
    lambda model: {},
)


@lab.mistake("you forget the linear layers")
def _(model):
    return {name: _describe(w) for name, w in _weights(model, nn.Conv2d).items()}


@lab.mistake("you forget the convolutions")
def _(model):
    return {name: _describe(w) for name, w in _weights(model, nn.Linear).items()}


@lab.mistake("named_children() stays on the first level; use named_modules()")
def _(model):
    table = layer_statistics(model)
    return {name: row for name, row in table.items() if "." not in name}


lab.mistake(
    "only the last layer is left; make the outer dictionary before the loop",
    lambda model: dict([layer_statistics(model).popitem()]),
)


@lab.mistake("your keys end in .weight; use the modules' names")
def _(model):
    table = layer_statistics(model)
    return {f"{name}.weight": row for name, row in table.items()}


@lab.exercise("1.4", points={"idea": 2, "exact": 2})
def threshold_for(weights: list[Tensor], share: float) -> float:
    return _magnitudes(weights)[_removed(weights, share)]


def _magnitudes(weights: Iterable[Tensor]) -> list[float]:
    return sorted(abs(v) for w in weights for v in w.flatten().tolist())


def _removed(weights: Iterable[Tensor], share: float) -> int:
    return round(share * sum(w.numel() for w in weights))


def _seven() -> list[Tensor]:
    rows = [[0.8], [-0.2], [-0.3], [0.4], [0.6]]
    return [torch.tensor([0.9, 0.1]), torch.tensor(rows)]


@lab.step("idea", "two layers, seven weights")
def _(ask: Trial) -> None:
    ask(_seven(), 0.3)
    ask(_seven()[::-1], 0.3)  # tells the first layer from the largest threshold


@lab.step("idea", "another share")
def _(ask: Trial) -> None:
    ask(_seven(), 0.6)
    ask(_seven(), 0.2)  # tells one position too early from int(share * 6)


lab.step("exact", "nothing removed", lambda ask: ask(_seven(), 0.0))


@lab.step("exact", "2.8 weights are three")
def _(ask: Trial) -> None:
    ask(_seven(), 0.4)
    ask(_seven(), 0.9)  # 6.3 weights, and 5.4 of one weight fewer


@lab.step("exact", "random layers")
def _(ask: Trial) -> None:
    for share in (0.25, 0.5, 0.9):
        shapes = ((4, 3, 3, 3), (7, 4), (5,))
        weights = [torch.randn(shape, generator=ask.rng) for shape in shapes]
        ask([w * scale for w, scale in zip(weights, (1, 0.1, 3), strict=True)], share)


lab.mistake(
    "you sort the weights themselves; take abs() first",
    lambda w, share: sorted(torch.cat([t.flatten() for t in w]).tolist())[
        _removed(w, share)
    ],
    help="A large negative weight is not small. Sort the magnitudes, `w.abs()`.",
)
lab.mistake(
    "you return the largest weight that goes; return the smallest one that stays",
    lambda w, share: _magnitudes(w)[_removed(w, share) - 1],
    help="The weights that go stand at positions 0 to k - 1, so the first one that "
    "stays is at position k. (`kthvalue` counts from 1.)",
)
lab.mistake(
    "you return how many weights go; return the magnitude at that position",
    lambda w, share: _removed(w, share),
)
lab.mistake(
    "you sort from large to small; the smallest magnitudes come first",
    lambda w, share: _magnitudes(w)[::-1][_removed(w, share)],
)
lab.mistake(
    "you remove 1 - share; remove the share itself",
    lambda w, share: _magnitudes(w)[_removed(w, 1 - share)],
)
lab.mistake(
    "you take a share of the largest magnitude; take a share of the number of weights",
    lambda w, share: share * _magnitudes(w)[-1],
)
lab.mistake(
    "you look at the first layer only; put all layers into one list",
    lambda w, share: threshold_for(w[:1], share),
)
lab.mistake(
    "only the last layer is left; collect all layers before you sort",
    lambda w, share: threshold_for(w[-1:], share),
)
lab.mistake(
    "you average over the layers; put all layers into one list and sort once",
    lambda w, share: sum(threshold_for([t], share) for t in w) / len(w),
)
for _word, _of in (("largest", max), ("smallest", min)):
    lab.mistake(
        f"you take the {_word} of the layers' thresholds; put all layers into one list "
        "and sort once",
        lambda w, share, of=_of: of(threshold_for([t], share) for t in w),
    )
lab.mistake(
    "you take a share of the last position; take a share of the number of weights",
    lambda w, share: _magnitudes(w)[round(share * (sum(t.numel() for t in w) - 1))],
)
lab.mistake(
    "int() always rounds down; use round()",
    lambda w, share: _magnitudes(w)[int(share * sum(t.numel() for t in w))],
)
lab.mistake(
    "quantile() returns a value between two weights; sort, then take one position",
    lambda w, share: torch.tensor(_magnitudes(w), dtype=torch.double).quantile(share),
)


@lab.exercise("1.5", points={"idea": 2, "same function": 3})
def rescale(conv: nn.Conv2d, norm: nn.BatchNorm2d, factor: float) -> None:
    _rescaled(conv, norm, factor)


@torch.no_grad()
def _rescaled(conv, norm, factor, bias=1, mean=1, var=2, eps=2) -> None:
    """Multiply each of them by the factor to this power."""
    conv.weight *= factor
    if conv.bias is not None:
        conv.bias *= factor**bias
    norm.running_mean *= factor**mean
    norm.running_var *= factor**var
    norm.eps *= factor**eps


def _pair(
    ask: Trial, shape: tuple[int, int, int] = (3, 2, 3), bias: bool = False
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Two layers of (out, in, kernel) with all numbers drawn, in double precision."""
    outputs, inputs, kernel = shape
    conv = nn.Conv2d(inputs, outputs, kernel, bias=bias)
    norm = drawn(nn.BatchNorm2d(outputs, eps=0.5), ask.rng)
    return conv.double().eval(), norm.double()


def _numbers(answer, conv, norm, factor):
    """the two layers afterwards"""
    returned = answer(conv, norm, factor)
    if returned is not None:
        return {"returned": show(returned)}
    named = {"conv": conv, "norm": norm}
    held = {
        f"{layer}.{name}": values.detach()
        for layer, module in named.items()
        for name, values in module.state_dict().items()
    }
    return held | {"norm.eps": norm.eps}


def _outputs(answer, conv, norm, factor, images):
    """norm(conv(images)) afterwards"""
    answer(conv, norm, factor)
    with torch.no_grad():
        return {"output": norm(conv(images))}


@lab.step("idea", "two channels, factor 3")
def _(ask: Trial) -> None:
    conv, norm = nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2, eps=0.5).eval()
    conv.weight = nn.Parameter(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
    norm.running_mean = torch.tensor([2.0, 4.0])
    norm.running_var = torch.tensor([5.0, 7.0])
    ask.through(_numbers, conv, norm, 3.0)


@lab.step("idea", "a smaller scale")
def _(ask: Trial) -> None:
    ask.through(_numbers, *_pair(ask), 0.25)


@lab.step("same function", "a bias")
def _(ask: Trial) -> None:
    ask.through(_numbers, *_pair(ask, bias=True), 2.0)


@lab.step("same function", "the output stays the same")
def _(ask: Trial) -> None:
    names = ("conv", "norm", "factor", "images")
    for shape, bias, factor in (((4, 3, 3), False, 0.1), ((2, 5, 1), True, 7.0)):
        images = torch.randn(2, shape[1], 5, 5, generator=ask.rng, dtype=torch.double)
        pair = _pair(ask, shape, bias)
        ask.through(_outputs, *pair, factor, images, names=names, oracle=_unchanged)


def _unchanged(conv, norm, factor) -> None:
    """The function must be the one of the layers as they were."""


lab.mistake(
    "you change the weight only; BatchNorm still expects the old scale",
    lambda conv, norm, f: _rescaled(conv, norm, f, bias=0, mean=0, var=0, eps=0),
    help="After `conv.weight *= factor`, all values that reach BatchNorm are `factor` "
    "times as large, and so is their mean.",
)
lab.mistake(
    "multiply the running variance by factor ** 2; a variance is a square",
    lambda conv, norm, f: _rescaled(conv, norm, f, var=1, eps=1),
)
lab.mistake(
    "you leave eps as it was; it is added to the variance, so multiply it as well",
    lambda conv, norm, f: _rescaled(conv, norm, f, eps=0),
)
lab.mistake(
    "multiply eps by factor ** 2, like the variance to which it is added",
    lambda conv, norm, f: _rescaled(conv, norm, f, eps=1),
)
lab.mistake(
    "you leave running_mean as it was; multiply it by the factor",
    lambda conv, norm, f: _rescaled(conv, norm, f, mean=0),
)
lab.mistake(
    "you leave running_var as it was; multiply it by factor ** 2",
    lambda conv, norm, f: _rescaled(conv, norm, f, var=0),
)
lab.mistake(
    "multiply running_mean by the factor, not by its square",
    lambda conv, norm, f: _rescaled(conv, norm, f, mean=2),
)
lab.mistake(
    "you leave the bias as it was; multiply it by the factor",
    lambda conv, norm, f: _rescaled(conv, norm, f, bias=0),
)
lab.mistake(
    "multiply the bias by the factor, not by its square",
    lambda conv, norm, f: _rescaled(conv, norm, f, bias=2),
)
lab.mistake(
    "you divide where you have to multiply",
    lambda conv, norm, f: _rescaled(conv, norm, 1 / f),
)


@lab.mistake(
    "you let running_var make up for eps, which can make it negative; "
    "multiply eps as well"
)
@torch.no_grad()
def _(conv, norm, factor):
    old = norm.eps
    _rescaled(conv, norm, factor, eps=0)
    norm.running_var += factor**2 * old - old


@lab.mistake("you change BatchNorm's weight; leave norm.weight and norm.bias alone")
@torch.no_grad()
def _(conv, norm, factor):
    _rescaled(conv, norm, factor)
    norm.weight *= factor


@lab.mistake("you undo the change in norm.weight; correct the running statistics")
@torch.no_grad()
def _(conv, norm, factor):
    conv.weight *= factor
    norm.weight /= factor


lab.mistake(
    "neither layer changes; change the two layers themselves, in place",
    lambda conv, norm, factor: None,
)


@lab.mistake("you return a layer; change both in place and return nothing")
def _(conv, norm, factor):
    _rescaled(conv, norm, factor)
    return conv


@lab.mistake("you return both layers; change them in place and return nothing")
def _(conv, norm, factor):
    _rescaled(conv, norm, factor)
    return conv, norm


lab.help(
    "a leaf Variable",
    "Weights record what happens to them, for training. Do the work inside "
    "`with torch.no_grad():`.",
)
