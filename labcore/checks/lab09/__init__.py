"""Checks of Lab 09, a zoo of criteria: five formulas, and networks within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial
from labcore.checks.lab09.budgets import CARDS, hold_to_cards, meet
from labcore.nets import MLP, VGG, LeNet, layers

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


def _drawn(ask: Trial, *shape: int) -> Tensor:
    return distinct(ask.rng, *shape, unit=0.1)


lab.step("idea", "two values", lambda ask: ask(torch.tensor([1.0, 2.0])))
lab.step("idea", "four values", lambda ask: ask(torch.tensor([0.2, -0.4, 0.1, 0.3])))
lab.step("idea", "random values", lambda ask: ask(_drawn(ask, 12)))
lab.step("any layer", "a matrix", lambda ask: ask(_drawn(ask, 3, 4)))
lab.step("any layer", "a kernel", lambda ask: ask(_drawn(ask, 2, 3, 3, 3)))
lab.step(
    "any layer",
    "zeros among them",
    lambda ask: ask(torch.tensor([[0.0, -3.0], [1.0, 0.0]])),
)
lab.step("any layer", "nothing but zeros", lambda ask: ask(torch.zeros(2, 3)))
lab.step("any layer", "a parameter", lambda ask: ask(nn.Parameter(_drawn(ask, 4, 2))))
lab.step("any layer", "any memory layout", lambda ask: ask(_drawn(ask, 4, 3).t()))


def _divided(
    by: Callable[[Tensor, Tensor], Tensor],
    power: int = 2,
    infinite: float | None = None,
) -> Callable:
    """Scores over another sum; `by` gets the powers of all weights and of one.

    infinite   what stands where the sum is 0; by default the largest number there is
    """

    def mistaken(weight: Tensor) -> Tensor:
        powers = weight.detach().abs().pow(power).flatten()
        scores = [one / by(powers, one) for one in powers]
        return torch.stack(scores).nan_to_num(0, infinite).view(weight.shape)

    return mistaken


def _larger_ones(powers: Tensor, one: Tensor) -> Tensor:
    return powers[powers > one].sum()


lab.mistake(
    "those are magnitudes over magnitudes; LAMP squares both",
    _divided(lambda powers, one: powers[powers >= one].sum(), power=1),
)
lab.mistake(
    "you divide by the squares of the whole layer; only those that are at least "
    "as large count",
    _divided(lambda powers, one: powers.sum()),
)
lab.mistake(
    "you divide by the squares that are at most as large; those at least as large "
    "count",
    _divided(lambda powers, one: powers[powers <= one].sum()),
)
lab.mistake(
    "the weight's own square belongs to the sum too, so the largest scores 1",
    _divided(_larger_ones),
)
lab.mistake(
    "the weight's own square belongs to the sum: the largest scores 1, not inf",
    _divided(_larger_ones, infinite=math.inf),
)
lab.mistake(
    "the weight's own square belongs to the sum: the largest scores 1, not 0",
    _divided(_larger_ones, infinite=0),
)


@lab.mistake("you sort the values; -0.4 is large in magnitude: sort the squares")
def _(weight):
    values, order = weight.detach().flatten().sort()
    squares, scores = values.square(), torch.zeros_like(values)
    scores[order] = squares / squares.flip(0).cumsum(0).flip(0)
    return scores.nan_to_num(0).view(weight.shape)


@lab.mistake("that is in sorted order: put each score back to its weight's place")
def _(weight):
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order].view(weight.shape)


@lab.mistake(
    "scores[order] = ... writes each score to its weight's place; x[order] reads "
    "in that order, which is another thing"
)
def _(weight):
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order][order].view(weight.shape)


@lab.mistake("the running sum of the flipped squares has to be flipped back")
def _(weight):
    squares, order = weight.detach().square().flatten().sort()
    scores = torch.zeros_like(squares)
    scores[order] = squares / squares.flip(0).cumsum(0)
    return scores.view(weight.shape)


lab.mistake(
    "the shape is lost: the scores have that of the weight",
    lambda weight: lamp_scores(weight).flatten(),
)


@lab.mistake("the sum goes over the whole layer, not over each row")
def _(weight):
    rows = weight.reshape(-1, weight.shape[-1])
    return torch.stack([lamp_scores(row) for row in rows]).view(weight.shape)


@lab.mistake(
    "0 / 0 is no number: a layer of zeros scores 0 everywhere",
    help="In a layer of zeros every sum is 0. `torch.where(squares > 0, squares / "
    "sums, 0)`.",
)
def _(weight):
    squares = weight.detach().square().flatten()
    sums = [squares[squares >= square].sum() for square in squares]
    return (squares / torch.stack(sums)).view(weight.shape)


Shapes = Mapping[str, tuple[int, ...]]


@lab.exercise("9.2", points={"idea": 3, "full layers": 2})
def erk_densities(shapes: Shapes, density: float) -> dict[str, float]:
    sizes = _sizes(shapes)
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


def _sizes(shapes: Shapes) -> dict[str, int]:
    return {name: math.prod(shape) for name, shape in shapes.items()}


LENET_300_100 = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}

lab.step("idea", "one layer", lambda ask: ask({"a": (4, 6)}, 0.5))
lab.step("idea", "two layers", lambda ask: ask({"a": (20, 30), "b": (10, 20)}, 0.1))
lab.step(
    "idea",
    "a convolution",
    lambda ask: ask({"conv": (16, 8, 3, 3), "fc": (10, 16)}, 0.2),
)
lab.step(
    "full layers",
    "a layer that would be above 1",
    lambda ask: ask({"large": (50, 100), "small": (2, 5)}, 0.1),
)
lab.step(
    "full layers",
    "one more because of it",
    lambda ask: ask({"a": (40, 40), "b": (10, 10), "c": (2, 3)}, 0.3),
)
lab.step("full layers", "density 1", lambda ask: ask(LENET_300_100, 1.0))
lab.step("full layers", "our network", lambda ask: ask(LENET_300_100, 0.02))


@lab.step("full layers", "any shapes")
def _(ask: Trial) -> None:
    def some(low: int, high: int) -> int:
        return torch.randint(low, high, (), generator=ask.rng).item()

    for _ in range(5):
        shapes = {}
        for i in range(some(2, 6)):
            kernel = (3, 3) if some(0, 2) else ()
            shapes[f"layer{i}"] = (some(4, 60), some(4, 60), *kernel)
        ask(shapes, some(2, 10) / 10)


def _shares(shapes: Shapes) -> dict[str, float]:
    """The densities up to a factor, epsilon."""
    return {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}


def _erk(
    share: Callable[[tuple[int, ...]], float] = (
        lambda shape: sum(shape) / math.prod(shape)
    ),
    rounds: int = 10**6,
) -> Callable:
    """ERK by another share than sum over product, or solved only so often.

    After the last round what is above 1 is cut to 1.
    """

    def mistaken(shapes: Shapes, density: float) -> dict[str, float]:
        sizes = _sizes(shapes)
        parts = {name: share(shape) * sizes[name] for name, shape in shapes.items()}
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


def _never_cut(shapes: Shapes, density: float) -> dict[str, float]:
    total = sum(sum(shape) for shape in shapes.values())
    epsilon = density * sum(_sizes(shapes).values()) / total
    return {name: epsilon * share for name, share in _shares(shapes).items()}


@lab.mistake("those are sparsities; asked is what stays, the density")
def _(shapes, density):
    return {n: 1 - found for n, found in erk_densities(shapes, density).items()}


@lab.mistake("those are numbers of weights; asked are shares of each layer")
def _(shapes, density):
    found, sizes = erk_densities(shapes, density), _sizes(shapes)
    return {name: found[name] * sizes[name] for name in shapes}


@lab.mistake(
    "the mean of the densities is right, but layers differ in size: the weights "
    "that stay, added up, have to be the share of all"
)
def _(shapes, density):
    shares = _shares(shapes)
    scale = density * len(shapes) / sum(shares.values())
    return {name: scale * share for name, share in shares.items()}


@lab.mistake(
    "epsilon is the number of weights that stay over the sum of all dimensions, "
    "not density over the sum of the shares"
)
def _(shapes, density):
    shares = _shares(shapes)
    return {n: density * share / sum(shares.values()) for n, share in shares.items()}


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


@lab.mistake(
    "epsilon is not the density: solve for it, so that the weights that stay add up"
)
def _(shapes, density):
    return {name: min(1.0, density * share) for name, share in _shares(shapes).items()}


@lab.mistake("a layer that is full belongs to the result as well, with density 1")
def _(shapes, density):
    densities = erk_densities(shapes, density)
    return {name: found for name, found in densities.items() if found < 1}


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
    help="What a full layer could not take goes to the others, and may fill the next "
    "one. A `while` loop, not an `if`.",
)


@lab.mistake("the second solution puts another layer above 1: repeat until none is")
def _(shapes, density):
    full = {n for n, found in _never_cut(shapes, density).items() if found > 1}
    free = {n: shape for n, shape in shapes.items() if n not in full}
    sizes = _sizes(shapes)
    left = density * sum(sizes.values()) - sum(sizes[n] for n in full)
    epsilon = left / sum(sum(shape) for shape in free.values())
    found = {n: epsilon * share for n, share in _shares(free).items()}
    return dict.fromkeys(full, 1.0) | found


@lab.mistake(
    "what full layers keep is part of the budget: subtract it before you solve again"
)
def _(shapes, density):
    full, sizes = set(), _sizes(shapes)
    while free := {n: sum(shape) for n, shape in shapes.items() if n not in full}:
        epsilon = density * sum(sizes.values()) / sum(free.values())
        over = {n for n in free if epsilon * free[n] > sizes[n]}
        if not over:
            break
        full |= over
    found = {n: epsilon * part / sizes[n] for n, part in free.items()}
    return dict.fromkeys(full, 1.0) | found


@lab.exercise("9.3", points={"idea": 3, "any network": 2})
def taylor_scores(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
    scored = layers(model)
    weights = [layer.weight for layer in scored.values()]
    with torch.enable_grad():
        loss = F.cross_entropy(model(images), labels)
        gradients = torch.autograd.grad(loss, weights)
    return {
        name: (weight * gradient).detach().square()
        for name, weight, gradient in zip(scored, weights, gradients, strict=True)
    }


def _by_hand() -> MLP:
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


@lab.step("idea", "two layers by hand")
def _(ask: Trial) -> None:
    ask(_by_hand(), torch.tensor([[1.0, 2.0]]), torch.tensor([0]))


@lab.step("idea", "three images")
def _(ask: Trial) -> None:
    images = torch.tensor([[1.0, 2.0], [2.0, -1.0], [0.5, 1.0]])
    ask(_by_hand(), images, torch.tensor([0, 1, 1]))


def _second_call(answer: Callable, *given):
    """the second of two calls with the same network"""
    answer(*given)
    return answer(*given)


@lab.step("any network", "called twice")
def _(ask: Trial) -> None:
    model = MLP(inputs=6, hidden=(5,)).eval()
    ask.through(_second_call, model, *_batch(ask, 4, 6))


@lab.step("any network", "convolutions")
def _(ask: Trial) -> None:
    ask(LeNet().eval(), *_batch(ask, 3, 1, 32, 32))
    ask(VGG(width=2, in_channels=1).eval(), *_batch(ask, 3, 1, 32, 32))


def _taylor(
    score: Callable[[Tensor, Tensor], Tensor] = lambda w, g: (w * g).square(),
    scored: Callable[[str, Tensor], bool] = lambda name, parameter: parameter.dim() > 1,
    reduction: str = "mean",
    clear: bool = True,
) -> Callable:
    """Scores of which one part is another one; `scored` says which parameters count."""

    def mistaken(model: nn.Module, images: Tensor, labels: Tensor) -> Scores:
        if clear:
            model.zero_grad()
        F.cross_entropy(model(images), labels, reduction=reduction).backward()
        return {
            name.removesuffix(".weight"): score(p.detach(), p.grad)
            for name, p in model.named_parameters()
            if scored(name, p)
        }

    return mistaken


lab.mistake(
    "that is the gradient squared; the weight is a factor too",
    _taylor(lambda w, g: g.square()),
)
lab.mistake(
    "that is the weight squared; its gradient is a factor too",
    _taylor(lambda w, g: w.square()),
)
lab.mistake(
    "that is w * g with its sign; asked is the square",
    _taylor(lambda w, g: w * g),
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


@lab.mistake("the keys are the layers' names, fc1 and not fc1.weight")
def _(model, images, labels):
    scores = taylor_scores(model, images, labels)
    return {f"{name}.weight": score for name, score in scores.items()}


lab.mistake(
    "the shape is lost: the scores have that of the weight",
    _taylor(lambda w, g: (w * g).square().flatten()),
)
lab.mistake(
    "that is one number a layer; each weight has its own score",
    _taylor(lambda w, g: (w * g).square().sum()),
)


@lab.mistake("those are all parameters; asked are weights, by their layer's name")
def _(model, images, labels):
    every = _taylor(scored=lambda name, parameter: True)
    return {
        name if name.endswith(".bias") else f"{name}.weight": score
        for name, score in every(model, images, labels).items()
    }


@lab.mistake("convolutions have weights as well")
def _(model, images, labels):
    scores = taylor_scores(model, images, labels)
    linear = {n for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    return {name: score for name, score in scores.items() if name in linear}


@lab.mistake(
    "named_children() shows the outer modules only; named_modules() goes inside"
)
def _(model, images, labels):
    scores = taylor_scores(model, images, labels)
    return {name: score for name, score in scores.items() if "." not in name}


lab.mistake(
    "biases have no score: only weights of convolutions and linear layers",
    _taylor(scored=lambda name, parameter: True),
)


@lab.mistake(
    "cross_entropy takes the network's outputs as they are; the softmax is in it"
)
def _(model, images, labels):
    probable = nn.Sequential(model, nn.Softmax(dim=1))
    scores = taylor_scores(probable, images, labels)
    return {name.removeprefix("0."): score for name, score in scores.items()}


lab.mistake(
    "BatchNorm's weights have no score: only those of convolutions and linear layers",
    _taylor(scored=lambda name, parameter: name.endswith("weight")),
)
lab.mistake(
    "the model is in eval mode: leave it so, for BatchNorm works otherwise in "
    "train mode",
    lambda model, images, labels: taylor_scores(model.train(), images, labels),
)
lab.mistake(
    "the loss is the mean over the images, not the sum",
    _taylor(reduction="sum"),
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
            arriving = matrix @ arriving  # one value per input of this layer
        leaving = torch.ones(matrices[-1].shape[0])
        for matrix in reversed(matrices[i + 1 :]):
            leaving = leaving @ matrix  # one value per output of this layer
        scores[name] = leaving[:, None] * size * arriving[None, :]
    return scores


def _matrices(*rows: Sequence) -> Callable[[Trial], None]:
    """A step on layers with these weights."""
    return lambda ask: ask({f"fc{i}": torch.tensor(m) for i, m in enumerate(rows, 1)})


lab.step("idea", "one layer", _matrices([[1.0, -2.0], [3.0, 4.0]]))
lab.step(
    "idea",
    "two layers by hand",
    _matrices([[1.0, -2.0], [3.0, 4.0]], [[2.0, -1.0]]),
)


@lab.step("idea", "three layers")
def _(ask: Trial) -> None:
    sizes = {"fc1": (3, 4), "fc2": (5, 3), "fc3": (2, 5)}
    ask({name: _drawn(ask, *size) for name, size in sizes.items()})


lab.step(
    "any network",
    "a neuron without inputs",
    _matrices([[0.0, 0.0], [1.0, -2.0]], [[3.0, 1.0], [-1.0, 2.0]]),
)
lab.step(
    "any network",
    "an empty layer",
    _matrices([[1.0, -2.0], [3.0, 4.0]], [[0.0, 0.0]]),
)


@lab.step("any network", "parameters")
def _(ask: Trial) -> None:
    sizes = {"fc1": (3, 2), "fc2": (2, 3)}
    ask({name: nn.Parameter(_drawn(ask, *size)) for name, size in sizes.items()})


@lab.step("any network", "any layers")
def _(ask: Trial) -> None:
    for _ in range(4):
        count = torch.randint(2, 6, (), generator=ask.rng).item()
        sizes = torch.randint(1, 6, (count,), generator=ask.rng).tolist()
        pairs = enumerate(pairwise(sizes))
        ask({f"layer {i}": _drawn(ask, o, n) for i, (n, o) in pairs})


def _with_gradients(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each weight with the gradient of R, the sum of what flows out."""
    leaves = [w.detach().clone().requires_grad_() for w in weights.values()]
    flow = torch.ones(leaves[0].shape[1])
    for leaf in leaves:
        flow = leaf @ flow
    gradients = torch.autograd.grad(flow.sum(), leaves)
    pairs = [(w.detach(), g) for w, g in zip(leaves, gradients, strict=True)]
    return dict(zip(weights, pairs, strict=True))


def _half(forwards: bool) -> Callable:
    """Only what arrives at a weight, or only what leaves it."""

    def mistaken(weights: Mapping[str, Tensor]) -> Scores:
        names, scores = list(weights), {}
        for i, name in enumerate(names):
            part = names[: i + 1] if forwards else names[i:]
            scores[name] = synflow_scores({n: weights[n] for n in part})[name]
        return scores

    return mistaken


@lab.mistake(
    "the weights enter by their magnitudes: take abs() before the product, so "
    "that nothing cancels",
    help="The magnitudes are taken *before* the product. A path with one negative "
    "weight would otherwise count against the others.",
)
def _(weights):
    return {n: (w * g).abs() for n, (w, g) in _with_gradients(weights).items()}


@lab.mistake(
    "no score is negative: take abs() of the weights first, for the flow and for "
    "the score"
)
def _(weights):
    """Exact for one layer; in a deeper network the signs multiply."""
    scores = synflow_scores(weights)
    return {name: scores[name] * w.detach().sign() for name, w in weights.items()}


@lab.mistake("that is dR/dw; the score is the magnitude of w times it")
def _(weights):
    sizes = {name: weight.detach().abs() for name, weight in weights.items()}
    return {name: gradient for name, (_, gradient) in _with_gradients(sizes).items()}


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


@lab.mistake("R is the sum over the outputs, not their mean")
def _(weights):
    *_, last = weights.values()
    return {n: score / len(last) for n, score in synflow_scores(weights).items()}


@lab.mistake("the weights enter by their magnitudes, not squared")
def _(weights):
    return synflow_scores({n: w.detach().square() for n, w in weights.items()})


lab.help(
    "unsupported operand type(s) for *: 'Tensor' and 'NoneType'",
    "Only tensors that are no result of others keep a `.grad`: `w.detach()` first, "
    "then `abs()`, then `requires_grad_()`.",
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


lab.step("idea", "a quarter of the way", lambda ask: ask(25, 0, 100, 0.0, 0.8))


@lab.step("idea", "both ends")
def _(ask: Trial) -> None:
    ask(0, 0, 100, 0.0, 0.8)
    ask(100, 0, 100, 0.0, 0.8)


lab.step("idea", "a later start", lambda ask: ask(30, 20, 60, 0.0, 0.8))
lab.step("idea", "some zeros at first", lambda ask: ask(50, 0, 100, 0.5, 0.9))
lab.step("the whole run", "before the start", lambda ask: ask(5, 20, 60, 0.25, 0.75))
lab.step("the whole run", "after the end", lambda ask: ask(90, 20, 60, 0.25, 0.75))


@lab.step("the whole run", "any schedule")
def _(ask: Trial) -> None:
    for _ in range(10):
        start, more, step = torch.randint(1, 50, (3,), generator=ask.rng).tolist()
        initial, rest = torch.rand(2, generator=ask.rng).tolist()
        ask(start + step % more, start, start + more, initial / 2, (1 + rest) / 2)


def _falling(left: Callable[[float], float]) -> Callable:
    """A schedule along another curve: `left` is 1 at the start and 0 at the end."""

    def mistaken(step, start, end, initial, final):
        done = (step - start) / (end - start)
        return final + (initial - final) * left(min(max(done, 0.0), 1.0))

    return mistaken


lab.mistake(
    "that is a straight line; the rest is to the power of three",
    _falling(lambda done: 1 - done),
)


@lab.mistake("// cuts the fraction off: divide by /")
def _(step, start, end, initial, final):
    done = (step - start) // (end - start)
    return cubic_sparsity(done, 0, 1, initial, final)


lab.mistake(
    "that is in percent; asked is a share",
    lambda *arguments: 100 * cubic_sparsity(*arguments),
)
lab.mistake(
    "that is a square; the rest is to the power of three",
    _falling(lambda done: (1 - done) ** 2),
)
lab.mistake(
    "that is slow at first and steep at the end; the curve is steep at first",
    _falling(lambda done: 1 - done**3),
)
lab.mistake(
    "that is the density; asked is the sparsity",
    lambda *arguments: 1 - cubic_sparsity(*arguments),
)


@lab.mistake("that runs from final to initial; it starts at initial")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, start, end, initial=final, final=initial)


@lab.mistake("count the steps from start on, and divide by end - start")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, 0, end, initial, final)


@lab.mistake("count the steps from start on, and divide by their number, end - start")
def _(step, start, end, initial, final):
    left = 1 - (step - start) / end
    return final + (initial - final) * left**3


@lab.mistake("it starts at initial, and that need not be 0")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, start, end, 0.0, final)


@lab.mistake(
    "before start and after end the curve does not go on: stay at initial, or at final",
    help="Below 0 and beyond 1 the cube grows without limit: from 0 to 0.8 it would be "
    "1.6 after twice the way, and -5.6 one way before the start.",
)
def _(step, start, end, initial, final):
    left = 1 - (step - start) / (end - start)
    return final + (initial - final) * left**3


@lab.mistake("before start nothing is due yet: stay at initial")
def _(step, start, end, initial, final):
    return 0.0 if step < start else cubic_sparsity(step, start, end, initial, final)


@lab.mistake("after end the curve does not go on: stay at final")
def _(step, start, end, initial, final):
    left = 1 - (max(step, start) - start) / (end - start)
    return final + (initial - final) * left**3


lab.exercise(
    "9.6",
    points={"one budget": 2, "all three": 3},
    refused=("labcore.scan", "labcore.checks"),
)(meet)

lab.step("one budget", "bytes", lambda ask: hold_to_cards(ask, ("bytes", 0.1)))
lab.step("all three", "MACs", lambda ask: hold_to_cards(ask, ("MACs", 0.25)))
lab.step("all three", "milliseconds", lambda ask: hold_to_cards(ask, ("ms", 0.66)))


@lab.step("all three", "other limits")
def _(ask: Trial) -> None:
    draws = torch.rand(3, generator=ask.rng).tolist()
    bounds = {"bytes": (0.08, 0.5), "MACs": (0.2, 0.8), "ms": (0.6, 0.9)}
    for (budget, (low, high)), draw in zip(bounds.items(), draws, strict=True):
        hold_to_cards(ask, (budget, low + draw * (high - low)))


lab.help(
    "you remove more than the card asks for",
    "Start the loop with a small share, and stop at the first that fits.",
)
lab.help(
    "zeros are multiplied too",
    "A dense kernel sees shapes. Only fewer channels make fewer MACs.",
)
