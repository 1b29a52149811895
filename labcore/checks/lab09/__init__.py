"""Checks of Lab 09, a zoo of criteria: five formulas, and networks within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial
from labcore.checks.lab09.budgets import CARDS, hold_to_cards, meet
from labcore.nets import MLP, VGG, LeNet

__all__ = ["CARDS", "EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Scores = dict[str, Tensor]


@lab.exercise("9.1", points={"idea": 3, "any layer": 2})
def lamp_scores(weight: Tensor) -> Tensor:
    squares = weight.detach().double().square().flatten()
    scores = torch.zeros_like(squares)
    for i, square in enumerate(squares):
        if square > 0:
            scores[i] = square / squares[squares >= square].sum()
    return scores.to(weight.dtype).view(weight.shape)


def _lamp(
    denominator: Callable[[Tensor, Tensor], Tensor],
    power: int = 2,
    infinite: float | None = None,
) -> Callable:
    """A score over another sum; `denominator` gets all powers and one of them.

    infinite   what stands where the sum is 0; by default the largest number there is
    """

    def mistaken(weight: Tensor) -> Tensor:
        values = weight.detach().abs().pow(power).flatten()
        scores = [value / denominator(values, value) for value in values]
        return torch.stack(scores).nan_to_num(0, infinite).view(weight.shape)

    return mistaken


def _larger_ones(values: Tensor, value: Tensor) -> Tensor:
    return values[values > value].sum()


def _sorted_by_sign(weight: Tensor) -> Tensor:
    values, order = weight.detach().flatten().sort()
    squares, scores = values.square(), torch.zeros_like(values)
    scores[order] = squares / squares.flip(0).cumsum(0).flip(0)
    return scores.nan_to_num(0).view(weight.shape)


def _row_by_row(weight: Tensor) -> Tensor:
    rows = weight.reshape(-1, weight.shape[-1])
    return torch.stack([lamp_scores(row) for row in rows]).view(weight.shape)


def _lamp_with_nan(weight: Tensor) -> Tensor:
    values = weight.detach().square().flatten()
    sums = [values[values >= value].sum() for value in values]
    return (values / torch.stack(sums)).view(weight.shape)


def _in_sorted_order(weight: Tensor) -> Tensor:
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order].view(weight.shape)


def _read_for_written(weight: Tensor) -> Tensor:
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order][order].view(weight.shape)


def _sums_reversed(weight: Tensor) -> Tensor:
    values, order = weight.detach().square().flatten().sort()
    found = torch.zeros_like(values)
    found[order] = values / values.flip(0).cumsum(0)
    return found.view(weight.shape)


lab.step("idea", "two values", lambda ask: ask(torch.tensor([1.0, 2.0])))
lab.step("idea", "four values", lambda ask: ask(torch.tensor([0.2, -0.4, 0.1, 0.3])))
lab.step("idea", "random values", lambda ask: ask(distinct(ask.rng, 12, unit=0.1)))
lab.step("any layer", "a matrix", lambda ask: ask(distinct(ask.rng, 3, 4, unit=0.1)))
lab.step(
    "any layer", "a kernel", lambda ask: ask(distinct(ask.rng, 2, 3, 3, 3, unit=0.1))
)
lab.step(
    "any layer",
    "zeros among them",
    lambda ask: ask(torch.tensor([[0.0, -3.0], [1.0, 0.0]])),
)
lab.step("any layer", "nothing but zeros", lambda ask: ask(torch.zeros(2, 3)))
lab.step(
    "any layer",
    "a parameter",
    lambda ask: ask(nn.Parameter(distinct(ask.rng, 4, 2, unit=0.1))),
)
lab.step(
    "any layer",
    "any memory layout",
    lambda ask: ask(distinct(ask.rng, 4, 3, unit=0.1).t()),
)
lab.mistake(
    "those are magnitudes over magnitudes; LAMP squares both",
    _lamp(lambda values, value: values[values >= value].sum(), power=1),
)
lab.mistake(
    "you divide by the squares of the whole layer; only those that are at least "
    "as large count",
    _lamp(lambda values, value: values.sum()),
)
lab.mistake(
    "you divide by the squares that are at most as large; those at least as large "
    "count",
    _lamp(lambda values, value: values[values <= value].sum()),
)
lab.mistake(
    "the weight's own square belongs to the sum too, so the largest scores 1",
    _lamp(_larger_ones),
)
lab.mistake(
    "the weight's own square belongs to the sum: the largest scores 1, not inf",
    _lamp(_larger_ones, infinite=math.inf),
)
lab.mistake(
    "the weight's own square belongs to the sum: the largest scores 1, not 0",
    _lamp(_larger_ones, infinite=0),
)
lab.mistake(
    "you sort the values; -0.4 is large in magnitude: sort the squares", _sorted_by_sign
)
lab.mistake(
    "that is in sorted order: put each score back to its weight's place",
    _in_sorted_order,
)
lab.mistake(
    "scores[order] = ... writes each score to its weight's place; x[order] reads "
    "in that order, which is another thing",
    _read_for_written,
)
lab.mistake(
    "the running sum of the flipped squares has to be flipped back", _sums_reversed
)
lab.mistake(
    "the shape is lost: the scores have that of the weight",
    lambda weight: lamp_scores(weight).flatten(),
)
lab.mistake("the sum goes over the whole layer, not over each row", _row_by_row)
lab.mistake(
    "0 / 0 is no number: a layer of zeros scores 0 everywhere",
    _lamp_with_nan,
    help=(
        "In a layer of zeros every sum is 0. `torch.where(squares > 0, "
        "squares / sums, 0)`."
    ),
)


@lab.exercise("9.2", points={"idea": 3, "full layers": 2})
def erk_densities(
    shapes: Mapping[str, tuple[int, ...]], density: float
) -> dict[str, float]:
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    sums = {name: sum(shape) for name, shape in shapes.items()}
    full: set[str] = set()
    while len(full) < len(shapes):
        left = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        epsilon = left / sum(sums[name] for name in shapes if name not in full)
        over = {name for name in shapes if epsilon * sums[name] > sizes[name]} - full
        if not over:
            break
        full |= over
    return {
        name: 1.0 if name in full else epsilon * sums[name] / sizes[name]
        for name in shapes
    }


LENET_300_100 = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}


def _some_shapes(ask: Trial) -> None:
    def some(low: int, high: int) -> int:
        return torch.randint(low, high, (), generator=ask.rng).item()

    for _ in range(5):
        shapes = {}
        for i in range(some(2, 6)):
            kernel = (3, 3) if some(0, 2) else ()
            shapes[f"layer{i}"] = (some(4, 60), some(4, 60), *kernel)
        ask(shapes, some(2, 10) / 10)


def _erk(
    share: Callable[[tuple[int, ...]], float] | None = None, rounds: int = 10**6
) -> Callable:
    """ERK by another share than sum over product, or solved only so often.

    After the last round what is above 1 is cut to 1.
    """

    def mistaken(shapes, density):
        raw = share or (lambda shape: sum(shape) / math.prod(shape))
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        parts = {name: raw(shape) * sizes[name] for name, shape in shapes.items()}
        full: set[str] = set()
        for _ in range(min(rounds, len(shapes))):
            left = density * sum(sizes.values()) - sum(sizes[n] for n in full)
            free = sum(parts[name] for name in shapes if name not in full)
            epsilon = left / free if free else 1
            found = {n: epsilon * parts[n] / sizes[n] for n in shapes}
            full |= {n for n in shapes if found[n] > 1}
            if len(full) == len(shapes):
                break
        return {n: 1.0 if n in full else found[n] for n in shapes}

    return mistaken


def _never_cut(shapes, density):
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    epsilon = density * sum(sizes.values()) / sum(sum(s) for s in shapes.values())
    return {name: epsilon * sum(shape) / sizes[name] for name, shape in shapes.items()}


def _twice_uncut(shapes, density):
    full = {n for n, share in _never_cut(shapes, density).items() if share > 1}
    free = {n: shape for n, shape in shapes.items() if n not in full}
    sizes = {n: math.prod(shape) for n, shape in shapes.items()}
    left = density * sum(sizes.values()) - sum(sizes[n] for n in full)
    epsilon = left / sum(sum(shape) for shape in free.values())
    found = {n: epsilon * sum(shape) / sizes[n] for n, shape in free.items()}
    return dict.fromkeys(full, 1.0) | found


def _full_ones_for_nothing(shapes, density):
    full: set[str] = set()
    sizes = {n: math.prod(shape) for n, shape in shapes.items()}
    while free := {n: sum(shape) for n, shape in shapes.items() if n not in full}:
        epsilon = density * sum(sizes.values()) / sum(free.values())
        over = {n for n in free if epsilon * free[n] > sizes[n]}
        if not over:
            break
        full |= over
    found = {n: epsilon * part / sizes[n] for n, part in free.items()}
    return dict.fromkeys(full, 1.0) | found


def _of_raw_shares(shapes, density):
    raw = {n: sum(shape) / math.prod(shape) for n, shape in shapes.items()}
    return {n: density * share / sum(raw.values()) for n, share in raw.items()}


def _mean_of_densities(shapes, density):
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    scale = density * len(shapes) / sum(raw.values())
    return {name: scale * value for name, value in raw.items()}


def _of_densities(change: Callable[[float, int], float]) -> Callable:
    """The right densities, changed; `change` gets one and the layer's size."""
    return lambda shapes, density: {
        name: change(found, math.prod(shapes[name]))
        for name, found in erk_densities(shapes, density).items()
    }


def _asked_erk(shapes: Mapping, density: float) -> Callable[[Trial], None]:
    return lambda ask: ask(dict(shapes), density)


lab.step("idea", "one layer", _asked_erk({"a": (4, 6)}, 0.5))
lab.step("idea", "two layers", _asked_erk({"a": (20, 30), "b": (10, 20)}, 0.1))
lab.step(
    "idea", "a convolution", _asked_erk({"conv": (16, 8, 3, 3), "fc": (10, 16)}, 0.2)
)
lab.step(
    "full layers",
    "a layer that would be above 1",
    _asked_erk({"large": (50, 100), "small": (2, 5)}, 0.1),
)
lab.step(
    "full layers",
    "one more because of it",
    _asked_erk({"a": (40, 40), "b": (10, 10), "c": (2, 3)}, 0.3),
)
lab.step("full layers", "density 1", _asked_erk(LENET_300_100, 1.0))
lab.step("full layers", "our network", _asked_erk(LENET_300_100, 0.02))
lab.step("full layers", "any shapes", _some_shapes)
lab.mistake(
    "those are sparsities; asked is what stays, the density",
    _of_densities(lambda found, size: 1 - found),
)
lab.mistake(
    "those are numbers of weights; asked are shares of each layer",
    _of_densities(lambda found, size: found * size),
)
lab.mistake(
    "the mean of the densities is right, but layers differ in size: the weights "
    "that stay, added up, have to be the share of all",
    _mean_of_densities,
)
lab.mistake(
    "epsilon is the number of weights that stay over the sum of all dimensions, "
    "not density over the sum of the shares",
    _of_raw_shares,
)
lab.mistake(
    "every layer gets the same share; ERK's shares follow from the shapes",
    lambda shapes, density: dict.fromkeys(shapes, density),
)
lab.mistake(
    "that is the sum of the first two dimensions only; a kernel's count too",
    _erk(lambda shape: sum(shape[:2]) / math.prod(shape[:2])),
)
lab.mistake(
    "that adds the first two dimensions only; a kernel's count in the sum too",
    _erk(lambda shape: sum(shape[:2]) / math.prod(shape)),
)
lab.mistake(
    "density is the share that stays; you keep 1 - density",
    lambda shapes, density: erk_densities(shapes, 1 - density),
)
lab.mistake(
    "epsilon is not the density: solve for it, so that the weights that stay add up",
    lambda shapes, density: {
        name: min(1.0, density * sum(shape) / math.prod(shape))
        for name, shape in shapes.items()
    },
)
lab.mistake(
    "a layer that is full belongs to the result as well, with density 1",
    lambda shapes, density: {
        name: found
        for name, found in erk_densities(shapes, density).items()
        if found < 1
    },
)
lab.mistake(
    "that is upside down: the sum of the dimensions over their product",
    _erk(lambda shape: math.prod(shape) / sum(shape)),
)
lab.mistake("a layer cannot keep more than all of its weights", _never_cut)
lab.mistake(
    "a layer was cut to 1, and what it could not take is lost: solve for epsilon "
    "again without it",
    _erk(rounds=1),
)
lab.mistake(
    "after the second solution another layer is above 1: repeat until none is",
    _erk(rounds=2),
    help=(
        "What a full layer could not take goes to the others, and may fill "
        "the next one. A `while` loop, not an `if`."
    ),
)
lab.mistake(
    "the second solution puts another layer above 1: repeat until none is", _twice_uncut
)
lab.mistake(
    "what full layers keep is part of the budget: subtract it before you solve again",
    _full_ones_for_nothing,
)


@lab.exercise("9.3", points={"idea": 3, "any network": 2})
def taylor_scores(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
    layers = _layers(model)
    weights = [layer.weight for layer in layers.values()]
    with torch.enable_grad():
        loss = F.cross_entropy(model(images), labels)
        gradients = torch.autograd.grad(loss, weights)
    return {
        name: (weight * gradient).detach().square()
        for name, weight, gradient in zip(layers, weights, gradients, strict=True)
    }


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    kinds = nn.Conv2d | nn.Linear
    return {n: m for n, m in model.named_modules() if isinstance(m, kinds)}


def _hand_made() -> MLP:
    model = MLP(inputs=2, hidden=(2,), classes=2).eval()
    with torch.no_grad():
        model.fc1.weight.copy_(torch.tensor([[1.0, -0.5], [0.5, 2.0]]))
        model.fc2.weight.copy_(torch.tensor([[2.0, -1.0], [1.0, 3.0]]))
        for layer in (model.fc1, model.fc2):
            layer.bias.copy_(torch.tensor([0.25, -0.25]))
    return model


def _batch(ask: Trial, count: int, *shape: int) -> tuple[Tensor, Tensor]:
    images = torch.randn((count, *shape), generator=ask.rng)
    return images, torch.randint(10, (count,), generator=ask.rng)


def _two_layers(ask: Trial) -> None:
    ask(_hand_made(), torch.tensor([[1.0, 2.0]]), torch.tensor([0]))


def _several_images(ask: Trial) -> None:
    images = torch.tensor([[1.0, 2.0], [2.0, -1.0], [0.5, 1.0]])
    ask(_hand_made(), images, torch.tensor([0, 1, 1]))


def _second_call(answer: Callable, *given):
    """the second of two calls with the same network"""
    answer(*given)
    return answer(*given)


def _twice(ask: Trial) -> None:
    model = MLP(inputs=6, hidden=(5,)).eval()
    ask.through(_second_call, model, *_batch(ask, 4, 6))


def _taylor_of_networks(ask: Trial) -> None:
    ask(LeNet().eval(), *_batch(ask, 3, 1, 32, 32))
    ask(VGG(width=2, in_channels=1).eval(), *_batch(ask, 3, 1, 32, 32))


def _taylor(
    score: Callable[[Tensor, Tensor], Tensor] = lambda w, g: (w * g).square(),
    reduction: str = "mean",
    clear: bool = True,
    key: str = "",
    least: int = 2,
    end: str = "",
    head: Callable[[Tensor], Tensor] = lambda scores: scores,
    mode: bool = False,
) -> Callable:
    """Scores of which one part is another one.

    least   dimensions of a parameter that is scored
    end     of its name
    head    applied to the class scores
    """

    def mistaken(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
        if clear:
            model.zero_grad()
        scores = head(model.train(mode)(images))
        F.cross_entropy(scores, labels, reduction=reduction).backward()
        return {
            name.removesuffix(".weight") + key: score(p.detach(), p.grad.clone())
            for name, p in model.named_parameters()
            if p.dim() >= least and name.endswith(end)
        }

    return mistaken


def _every_parameter(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
    found = _taylor(least=1)(model, images, labels)
    return {n if n.endswith("bias") else f"{n}.weight": s for n, s in found.items()}


def _some_layers(keep: Callable[[nn.Module, str], bool]) -> Callable:
    """The scores of those layers only for whose model and name `keep` is true."""

    def mistaken(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
        found = taylor_scores(model, images, labels)
        return {name: score for name, score in found.items() if keep(model, name)}

    return mistaken


lab.step("idea", "two layers by hand", _two_layers)
lab.step("idea", "three images", _several_images)
lab.step("any network", "called twice", _twice)
lab.step("any network", "convolutions", _taylor_of_networks)
lab.mistake(
    "that is the gradient squared; the weight is a factor too",
    _taylor(lambda w, g: g.square()),
)
lab.mistake(
    "that is the weight squared; its gradient is a factor too",
    _taylor(lambda w, g: w.square()),
)
lab.mistake(
    "that is w * g with its sign; asked is the square", _taylor(lambda w, g: w * g)
)
lab.mistake(
    "|w * g| gives the same order, but asked is the square",
    _taylor(lambda w, g: (w * g).abs()),
)
lab.mistake(
    "only the gradient is squared; square the product",
    _taylor(lambda w, g: w * g.square()),
)
lab.mistake(
    "only the weight is squared; square the product",
    _taylor(lambda w, g: w.square() * g),
)
lab.mistake(
    "the keys are the layers' names, fc1 and not fc1.weight", _taylor(key=".weight")
)
lab.mistake(
    "the shape is lost: the scores have that of the weight",
    _taylor(lambda w, g: (w * g).square().flatten()),
)
lab.mistake(
    "that is one number a layer; each weight has its own score",
    _taylor(lambda w, g: (w * g).square().sum()),
)
lab.mistake(
    "those are all parameters; asked are weights, by their layer's name",
    _every_parameter,
)
lab.mistake(
    "convolutions have weights as well",
    _some_layers(lambda model, name: isinstance(model.get_submodule(name), nn.Linear)),
)
lab.mistake(
    "named_children() shows the outer modules only; named_modules() goes inside",
    _some_layers(lambda model, name: "." not in name),
)
lab.mistake(
    "biases have no score: only weights of convolutions and linear layers",
    _taylor(least=1),
)
lab.mistake(
    "cross_entropy takes the network's outputs as they are; the softmax is in it",
    _taylor(head=lambda scores: scores.softmax(1)),
)
lab.mistake(
    "BatchNorm's weights have no score: only those of convolutions and linear layers",
    _taylor(least=1, end="weight"),
)
lab.mistake(
    "the model is in eval mode: leave it so, for BatchNorm works otherwise in "
    "train mode",
    _taylor(mode=True),
)
lab.mistake(
    "the loss is the mean over the images, not the sum", _taylor(reduction="sum")
)
lab.mistake(
    "backward() adds to the gradients that are there already: clear them first, "
    "or take torch.autograd.grad",
    _taylor(clear=False),
    help="`.grad` is a sum over all backward passes since it was cleared.",
)


@lab.exercise("9.4", points={"idea": 3, "any network": 2})
def synflow_scores(weights: Mapping[str, Tensor]) -> Scores:
    sizes = {name: weight.detach().abs() for name, weight in weights.items()}
    matrices = list(sizes.values())
    scores = {}
    for i, (name, size) in enumerate(sizes.items()):
        arriving = torch.ones(matrices[0].shape[1])
        for matrix in matrices[:i]:
            arriving = matrix @ arriving  # one value an input of this layer
        leaving = torch.ones(matrices[-1].shape[0])
        for matrix in reversed(matrices[i + 1 :]):
            leaving = leaving @ matrix  # one value an output of this layer
        scores[name] = leaving[:, None] * size * arriving[None, :]
    return scores


def _matrices(*rows: list[list[float]]) -> dict[str, Tensor]:
    return {f"fc{i}": torch.tensor(each) for i, each in enumerate(rows, 1)}


def _asked_synflow(*rows: list[list[float]]) -> Callable[[Trial], None]:
    return lambda ask: ask(_matrices(*rows))


def _three_layers(ask: Trial) -> None:
    sizes = ((3, 4), (5, 3), (2, 5))
    ask(
        {
            f"fc{i}": distinct(ask.rng, *size, unit=0.1)
            for i, size in enumerate(sizes, 1)
        }
    )


def _any_layers(ask: Trial) -> None:
    for _ in range(4):
        count = torch.randint(2, 6, (), generator=ask.rng).item()
        sizes = torch.randint(1, 6, (count,), generator=ask.rng).tolist()
        pairs = zip(sizes, sizes[1:], strict=False)
        ask(
            {
                f"layer {i}": distinct(ask.rng, o, n, unit=0.1)
                for i, (n, o) in enumerate(pairs)
            }
        )


def _of_parameters(ask: Trial) -> None:
    sizes = {"fc1": (3, 2), "fc2": (2, 3)}
    ask(
        {
            name: nn.Parameter(distinct(ask.rng, *size, unit=0.1))
            for name, size in sizes.items()
        }
    )


def _without(part: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> Callable:
    """SynFlow of other matrices."""
    return lambda weights: synflow_scores(part(weights))


def _negative(weights: Mapping[str, Tensor]) -> Scores:
    """Right for one layer; for more the sign of the product is another story."""
    found = synflow_scores(weights)
    return {name: found[name] * w.detach().sign() for name, w in weights.items()}


def _signed(weights: Mapping[str, Tensor]) -> Scores:
    found = {n: w.detach().clone().requires_grad_() for n, w in weights.items()}
    flow = torch.ones(next(iter(found.values())).shape[1])
    for weight in found.values():
        flow = weight @ flow
    gradients = torch.autograd.grad(flow.sum(), list(found.values()))
    pairs = zip(found.items(), gradients, strict=True)
    return {name: (weight * g).detach().abs() for (name, weight), g in pairs}


def _gradient_only(weights: Mapping[str, Tensor]) -> Scores:
    found = {n: w.detach().abs().requires_grad_() for n, w in weights.items()}
    flow = torch.ones(next(iter(found.values())).shape[1])
    for weight in found.values():
        flow = weight @ flow
    return dict(
        zip(found, torch.autograd.grad(flow.sum(), list(found.values())), strict=True)
    )


def _half(forwards: bool) -> Callable:
    """Only what arrives at a weight, or only what leaves it."""

    def mistaken(weights: Mapping[str, Tensor]) -> Scores:
        names, scores = list(weights), {}
        for i, name in enumerate(names):
            part = names[: i + 1] if forwards else names[i:]
            scores[name] = synflow_scores({n: weights[n] for n in part})[name]
        return scores

    return mistaken


def _mean_flow(weights: Mapping[str, Tensor]) -> Scores:
    outputs = list(weights.values())[-1].shape[0]
    return {n: score / outputs for n, score in synflow_scores(weights).items()}


lab.step("idea", "one layer", _asked_synflow([[1.0, -2.0], [3.0, 4.0]]))
lab.step(
    "idea",
    "two layers by hand",
    _asked_synflow([[1.0, -2.0], [3.0, 4.0]], [[2.0, -1.0]]),
)
lab.step("idea", "three layers", _three_layers)
lab.step(
    "any network",
    "a neuron without inputs",
    _asked_synflow([[0.0, 0.0], [1.0, -2.0]], [[3.0, 1.0], [-1.0, 2.0]]),
)
lab.step(
    "any network",
    "an empty layer",
    _asked_synflow([[1.0, -2.0], [3.0, 4.0]], [[0.0, 0.0]]),
)
lab.step("any network", "parameters", _of_parameters)
lab.step("any network", "any layers", _any_layers)
lab.mistake(
    "the weights enter by their magnitudes: take abs() before the product, so "
    "that nothing cancels",
    _signed,
    help=(
        "The magnitudes are taken *before* the product. A path with one "
        "negative weight would otherwise count against the others."
    ),
)
lab.mistake(
    "no score is negative: take abs() of the weights first, for the flow and for "
    "the score",
    _negative,
)
lab.mistake("that is dR/dw; the score is the magnitude of w times it", _gradient_only)
lab.mistake(
    "those are the magnitudes alone; what arrives and what goes on count too",
    lambda weights: {n: w.detach().abs() for n, w in weights.items()},
)
lab.mistake(
    "only what arrives at a weight is there; the layers behind it count too",
    _half(forwards=True),
)
lab.mistake(
    "only what goes on from a weight is there; the layers before it count too",
    _half(forwards=False),
)
lab.mistake("R is the sum over the outputs, not their mean", _mean_flow)
lab.mistake(
    "the weights enter by their magnitudes, not squared",
    _without(lambda weights: {n: w.detach().square() for n, w in weights.items()}),
)
lab.help(
    "unsupported operand type(s) for *: 'Tensor' and 'NoneType'",
    "Only tensors that are no result of others keep a `.grad`: "
    "`w.detach()` first, then `abs()`, then `requires_grad_()`.",
)


@lab.exercise("9.5", points={"idea": 3, "the whole run": 2})
def cubic_sparsity(
    step: int, start: int, end: int, initial: float, final: float
) -> float:
    if step <= start:
        return initial
    if step >= end:
        return final
    left = 1 - (step - start) / (end - start)
    return final + (initial - final) * left**3


def _some_schedules(ask: Trial) -> None:
    for _ in range(10):
        start, more, step = torch.randint(1, 50, (3,), generator=ask.rng).tolist()
        initial, rest = torch.rand(2, generator=ask.rng).tolist()
        ask(start + step % more, start, start + more, initial / 2, (1 + rest) / 2)


def _rest(shape: Callable[[float], float], held: bool = True) -> Callable:
    """A schedule along another curve: `shape` is 1 at the start and 0 at the end."""

    def mistaken(step, start, end, initial, final):
        done = (step - start) / (end - start)
        if held:
            done = min(max(done, 0.0), 1.0)
        return final + (initial - final) * shape(done)

    return mistaken


def _asked_cubic(*arguments: tuple) -> Callable[[Trial], None]:
    def run(ask: Trial) -> None:
        for each in arguments:
            ask(*each)

    return run


lab.step("idea", "a quarter of the way", _asked_cubic((25, 0, 100, 0.0, 0.8)))
lab.step(
    "idea", "both ends", _asked_cubic((0, 0, 100, 0.0, 0.8), (100, 0, 100, 0.0, 0.8))
)
lab.step("idea", "a later start", _asked_cubic((30, 20, 60, 0.0, 0.8)))
lab.step("idea", "some zeros at first", _asked_cubic((50, 0, 100, 0.5, 0.9)))
lab.step("the whole run", "before the start", _asked_cubic((5, 20, 60, 0.25, 0.75)))
lab.step("the whole run", "after the end", _asked_cubic((90, 20, 60, 0.25, 0.75)))
lab.step("the whole run", "any schedule", _some_schedules)
lab.mistake(
    "that is a straight line; the rest is to the power of three",
    _rest(lambda done: 1 - done),
)
lab.mistake(
    "// cuts the fraction off: divide by /",
    lambda step, start, end, initial, final: cubic_sparsity(
        (step - start) // (end - start), 0, 1, initial, final
    ),
)
lab.mistake(
    "that is in percent; asked is a share",
    lambda *arguments: 100 * cubic_sparsity(*arguments),
)
lab.mistake(
    "that is a square; the rest is to the power of three",
    _rest(lambda done: (1 - done) ** 2),
)
lab.mistake(
    "that is slow at first and steep at the end; the curve is steep at first",
    _rest(lambda done: 1 - done**3),
)
lab.mistake(
    "that is the density; asked is the sparsity",
    lambda *arguments: 1 - cubic_sparsity(*arguments),
)
lab.mistake(
    "that runs from final to initial; it starts at initial",
    lambda step, start, end, initial, final: cubic_sparsity(
        step, start, end, final, initial
    ),
)
lab.mistake(
    "count the steps from start on, and divide by end - start",
    lambda step, start, end, initial, final: cubic_sparsity(
        step, 0, end, initial, final
    ),
)
lab.mistake(
    "count the steps from start on, and divide by their number, end - start",
    lambda step, start, end, initial, final: _rest(
        lambda done: (1 - (step - start) / end) ** 3
    )(step, start, end, initial, final),
)
lab.mistake(
    "it starts at initial, and that need not be 0",
    lambda step, start, end, initial, final: cubic_sparsity(
        step, start, end, 0.0, final
    ),
)
lab.mistake(
    "before start and after end the curve does not go on: stay at initial, or at final",
    _rest(lambda done: (1 - done) ** 3, held=False),
    help=(
        "Below 0 and beyond 1 the cube grows without limit: from 0 to 0.8 "
        "it would be 1.6 after twice the way, and -5.6 one way before the "
        "start."
    ),
)
lab.mistake(
    "before start nothing is due yet: stay at initial",
    lambda step, start, end, initial, final: (
        0.0 if step < start else cubic_sparsity(step, start, end, initial, final)
    ),
)
lab.mistake(
    "after end the curve does not go on: stay at final",
    lambda step, start, end, initial, final: _rest(
        lambda done: (1 - done) ** 3, held=step < start
    )(step, start, end, initial, final),
)


def _cards(*cards: tuple[str, float]) -> Callable[[Trial], None]:
    return lambda ask: hold_to_cards(ask, *cards)


def _other_limits(ask: Trial) -> None:
    draws = torch.rand(3, generator=ask.rng).tolist()
    bounds = {"bytes": (0.08, 0.5), "MACs": (0.2, 0.8), "ms": (0.6, 0.9)}
    for (budget, (low, high)), draw in zip(bounds.items(), draws, strict=True):
        hold_to_cards(ask, (budget, low + draw * (high - low)))


lab.exercise(
    "9.6",
    points={"one budget": 2, "all three": 3},
    refused=("labcore.scan", "labcore.checks"),
)(meet)
lab.step("one budget", "bytes", _cards(("bytes", 0.1)))
lab.step("all three", "MACs", _cards(("MACs", 0.25)))
lab.step("all three", "milliseconds", _cards(("ms", 0.66)))
lab.step("all three", "other limits", _other_limits)
lab.help(
    "you remove more than the card asks for",
    ("Start the loop with a small share, and stop at the first that fits."),
)
lab.help(
    "zeros are multiplied too",
    "A dense kernel sees shapes. Only fewer channels make fewer MACs.",
)
