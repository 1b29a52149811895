"""Checks of Lab 09, a zoo of criteria: scores, allocations, schedules."""

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
from labcore.nets import MLP, VGG, LeNet, layers

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Scores = dict[str, Tensor]
Masks = dict[str, Tensor]
Batches = Sequence[tuple[Tensor, Tensor]]


@lab.exercise("9.1", points={"idea": 4, "any layer": 3})
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
lab.step(
    "any layer", "a weight of a convolution", lambda ask: ask(_drawn(ask, 2, 3, 3, 3))
)
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


def _sums(weight: Tensor) -> Tensor:
    """LAMP's denominators, 1 in place of 0, in the weight's shape."""
    squares = weight.detach().square().flatten()
    sums = torch.stack([squares[squares >= one].sum() for one in squares])
    return sums.where(sums > 0, 1).view(weight.shape)


lab.mistake(
    "the denominator is right, but the numerator is not squared: divide the weight's "
    "square by it",
    lambda weight: weight.detach().abs() / _sums(weight),
)
lab.mistake(
    "these are magnitudes divided by magnitudes; LAMP squares both",
    _divided(lambda powers, one: powers[powers >= one].sum(), power=1),
)
lab.mistake(
    "you divide by the squares of the whole layer; count only those that are at "
    "least as large as the weight's",
    _divided(lambda powers, one: powers.sum()),
)
lab.mistake(
    "these are shares of all magnitudes; square them, and divide only by the squares "
    "that are at least as large",
    _divided(lambda powers, one: powers.sum(), power=1),
)
lab.mistake(
    "you divide by the squares that are at most as large; take those that are at "
    "least as large",
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


@lab.mistake("you sort the values, but -0.4 is a large weight: sort the squares")
def _(weight):
    values, order = weight.detach().flatten().sort()
    squares, scores = values.square(), torch.zeros_like(values)
    scores[order] = squares / squares.flip(0).cumsum(0).flip(0)
    return scores.nan_to_num(0).view(weight.shape)


@lab.mistake("these scores are in sorted order: put each back to its weight's place")
def _(weight):
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order].view(weight.shape)


@lab.mistake(
    "x[order] reads in sorted order; to write each score to its weight's place, use "
    "scores[order] = ..."
)
def _(weight):
    order = weight.detach().abs().flatten().argsort()
    return lamp_scores(weight).flatten()[order][order].view(weight.shape)


@lab.mistake("flip the running sum of the flipped squares back before you divide")
def _(weight):
    squares, order = weight.detach().square().flatten().sort()
    scores = torch.zeros_like(squares)
    scores[order] = squares / squares.flip(0).cumsum(0)
    return scores.view(weight.shape)


lab.mistake(
    "the shape is lost: return the scores in the weight's shape",
    lambda weight: lamp_scores(weight).flatten(),
)


def _by_row(dim: int) -> Callable:
    """Scores of each row (-1), or of each output (0), as if it were a layer."""

    def mistaken(weight: Tensor) -> Tensor:
        if weight.dim() < 2:
            return lamp_scores(weight)
        if dim == -1:
            rows = weight.reshape(-1, weight.shape[-1])
        else:
            rows = weight.flatten(1)
        return torch.stack([lamp_scores(row) for row in rows]).view(weight.shape)

    return mistaken


lab.mistake(
    "you treat each row or filter as a layer of its own; sum over the whole layer: "
    "flatten first",
    _by_row(-1),
)
lab.mistake(
    "you treat each row or filter as a layer of its own; sum over the whole layer: "
    "flatten first",
    _by_row(0),
)


@lab.mistake("you treat each column as a layer of its own; sum over the whole layer")
def _(weight):
    if weight.dim() < 2:
        return lamp_scores(weight)
    columns = weight.transpose(0, -1)
    return _by_row(-1)(columns).transpose(0, -1).contiguous()


@lab.mistake(
    "0 / 0 is not a number: in a layer of zeros every score is 0",
    help="In a layer of zeros every sum is 0. Write "
    "`torch.where(squares > 0, squares / sums, 0)`.",
)
def _(weight):
    squares = weight.detach().square().flatten()
    sums = [squares[squares >= square].sum() for square in squares]
    return (squares / torch.stack(sums)).view(weight.shape)


@lab.exercise("9.2", points={"idea": 4, "any network": 2})
def in_allocation(
    scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    found = {}
    for name, score in scores.items():
        values = score.flatten().tolist()
        order = sorted(range(len(values)), key=lambda place: -values[place])
        mask = torch.zeros(len(values), dtype=torch.bool)
        mask[order[: int(masks[name].sum())]] = True
        found[name] = mask.view(score.shape)
    return found


def _case(ask: Trial, shapes: Mapping[str, tuple], kept: Mapping[str, int]) -> None:
    """Ask with random scores, and masks that keep so many random places."""
    scores = {name: _drawn(ask, *shape) for name, shape in shapes.items()}
    masks = {}
    for name, score in scores.items():
        mask = torch.zeros(score.numel(), dtype=torch.bool)
        mask[torch.randperm(score.numel(), generator=ask.rng)[: kept[name]]] = True
        masks[name] = mask.view(score.shape)
    ask(scores, masks)


@lab.step("idea", "one layer")
def _(ask: Trial) -> None:
    mask = torch.tensor([[True, False, False], [False, False, True]])
    scores = torch.tensor([[0.1, 0.4, 0.3], [0.2, 0.6, 0.5]])
    ask({"fc1": scores}, {"fc1": mask})


@lab.step("idea", "two layers")
def _(ask: Trial) -> None:
    scores = {
        "fc1": torch.tensor([[0.9, 0.8, 0.7, 0.6]]),
        "fc2": torch.tensor([[0.3, 0.1, 0.2]]),
    }
    masks = {
        "fc1": torch.tensor([[False, False, True, False]]),
        "fc2": torch.tensor([[True, True, False]]),
    }
    ask(scores, masks)


@lab.step("idea", "matrices")
def _(ask: Trial) -> None:
    _case(ask, {"fc1": (4, 5), "fc2": (2, 4)}, {"fc1": 3, "fc2": 5})


@lab.step("any network", "a full layer and an empty one")
def _(ask: Trial) -> None:
    _case(ask, {"fc1": (3, 2), "fc2": (2, 3)}, {"fc1": 6, "fc2": 0})


@lab.step("any network", "convolutions")
def _(ask: Trial) -> None:
    _case(ask, {"conv": (3, 2, 3, 3), "fc": (4, 3)}, {"conv": 11, "fc": 7})


@lab.step("any network", "any layers")
def _(ask: Trial) -> None:
    for _ in range(4):
        count = torch.randint(1, 5, (), generator=ask.rng).item()
        sizes = torch.randint(1, 7, (count, 2), generator=ask.rng).tolist()
        shapes = {f"layer {i}": tuple(size) for i, size in enumerate(sizes)}
        kept = {
            name: torch.randint(0, rows * columns + 1, (), generator=ask.rng).item()
            for name, (rows, columns) in shapes.items()
        }
        _case(ask, shapes, kept)


def _kept_in(scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> Masks:
    """Masks of the largest scores, so many in each layer."""
    stand_in = {}
    for name, score in scores.items():
        mask = torch.zeros(score.numel(), dtype=torch.bool)
        mask[: max(0, min(counts[name], score.numel()))] = True
        stand_in[name] = mask
    return in_allocation(scores, stand_in)


def _counts(masks: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


lab.mistake(
    "these are the masks you were given; use their counts, and choose by the scores",
    lambda scores, masks: dict(masks),
)


@lab.mistake("you keep the lowest scores; keep the largest")
def _(scores, masks):
    return in_allocation({name: -score for name, score in scores.items()}, masks)


@lab.mistake("you keep as many weights as should go; count the True in the mask")
def _(scores, masks):
    return _kept_in(scores, _counts({name: ~mask for name, mask in masks.items()}))


@lab.mistake(
    "you rank all layers together, and that changes the allocation; rank each layer "
    "by itself"
)
def _(scores, masks):
    together = {"all": torch.cat([score.flatten() for score in scores.values()])}
    count = sum(_counts(masks).values())
    found = _kept_in(together, {"all": count})["all"]
    parts = found.split([score.numel() for score in scores.values()])
    return {
        n: part.view(scores[n].shape) for n, part in zip(scores, parts, strict=True)
    }


@lab.mistake(
    "every layer keeps the same share here; each keeps as many as its own mask"
)
def _(scores, masks):
    total = sum(mask.numel() for mask in masks.values())
    share = sum(_counts(masks).values()) / total
    counts = {name: round(share * score.numel()) for name, score in scores.items()}
    return _kept_in(scores, counts)


@lab.mistake("one weight too few stays in each layer: is it > where you need >=?")
def _(scores, masks):
    return _kept_in(scores, {n: count - 1 for n, count in _counts(masks).items()})


@lab.mistake("one weight too many stays in each layer: is it >= where you need >?")
def _(scores, masks):
    return _kept_in(scores, {n: count + 1 for n, count in _counts(masks).items()})


for _kind in (torch.float32, torch.int64, torch.uint8):
    lab.mistake(
        "return bool masks, not numbers",
        lambda scores, masks, kind=_kind: {
            name: mask.to(kind) for name, mask in in_allocation(scores, masks).items()
        },
        help="Call `mask.bool()` at the end.",
    )
lab.mistake(
    "these are the scores that stay; return masks, True where a weight stays",
    lambda scores, masks: {
        name: scores[name] * mask for name, mask in in_allocation(scores, masks).items()
    },
)
lab.mistake(
    "these are scores in the places of the masks you were given; return new bool "
    "masks, True at the largest scores",
    lambda scores, masks: {name: scores[name] * masks[name] for name in scores},
)
lab.mistake(
    "these are positions; return masks, True at these positions",
    lambda scores, masks: {
        name: score.flatten().topk(int(masks[name].sum())).indices
        for name, score in scores.items()
    },
)
lab.mistake(
    "the mask is upside down: True means that a weight stays",
    lambda scores, masks: {
        n: ~mask for n, mask in in_allocation(scores, masks).items()
    },
)
lab.mistake(
    "the shape is lost: return each mask in its layer's shape",
    lambda scores, masks: {
        n: mask.flatten() for n, mask in in_allocation(scores, masks).items()
    },
)


@lab.mistake(
    "with count 0 a layer keeps everything, and it has to keep nothing: an index of -0 "
    "or 0 - 1 does not do that"
)
def _(scores, masks):
    counts = _counts(masks)
    return _kept_in(scores, {n: counts[n] or s.numel() for n, s in scores.items()})


@lab.mistake("a score may be negative: rank the scores as they are, without abs()")
def _(scores, masks):
    return in_allocation({name: score.abs() for name, score in scores.items()}, masks)


lab.help(
    "is out of bounds",
    "A layer may keep all of its weights, or none. "
    "`score.flatten().topk(count).indices` works for both.",
)


@lab.exercise("9.3", points={"idea": 4, "any network": 3})
def taylor_scores(model: nn.Module, batches: Batches) -> Scores:
    scored = layers(model)
    weights = [layer.weight for layer in scored.values()]
    scores = {name: torch.zeros_like(layer.weight) for name, layer in scored.items()}
    for images, labels in batches:
        with torch.enable_grad():
            loss = F.cross_entropy(model(images), labels)
            gradients = torch.autograd.grad(loss, weights)
        for name, weight, gradient in zip(scored, weights, gradients, strict=True):
            scores[name] += (weight * gradient).detach().square() / len(batches)
    return {name: score.detach() for name, score in scores.items()}


def _by_hand() -> MLP:
    model = MLP(inputs=2, hidden=(2,), classes=2).eval()
    with torch.no_grad():
        model.fc1.weight.copy_(torch.tensor([[1.0, -0.5], [0.5, 2.0]]))
        model.fc2.weight.copy_(torch.tensor([[2.0, -1.0], [1.0, 3.0]]))
        for layer in (model.fc1, model.fc2):
            layer.bias.copy_(torch.tensor([0.25, -0.25]))
    return model


def _drawn_batches(ask: Trial, many: int, count: int, *shape: int) -> list:
    batches = []
    for _ in range(many):
        images = torch.randn((count, *shape), generator=ask.rng)
        batches.append((images, torch.randint(10, (count,), generator=ask.rng)))
    return batches


@lab.step("idea", "one batch of one image")
def _(ask: Trial) -> None:
    ask(_by_hand(), [(torch.tensor([[1.0, 2.0]]), torch.tensor([0]))])


@lab.step("idea", "one batch of three")
def _(ask: Trial) -> None:
    images = torch.tensor([[1.0, 2.0], [2.0, -1.0], [0.5, 1.0]])
    ask(_by_hand(), [(images, torch.tensor([0, 1, 1]))])


@lab.step("idea", "two batches")
def _(ask: Trial) -> None:
    first = torch.tensor([[1.0, 2.0], [2.0, -1.0]]), torch.tensor([0, 1])
    second = torch.tensor([[0.5, 1.0], [-1.0, 3.0]]), torch.tensor([1, 0])
    ask(_by_hand(), [first, second])


def _with_gradients_left(answer: Callable, model: nn.Module, batches: list):
    """gradients of earlier training are left on the network"""
    for images, labels in batches:
        F.cross_entropy(model(images), labels).backward()
    return answer(model, batches)


@lab.step("any network", "gradients from before")
def _(ask: Trial) -> None:
    model = MLP(inputs=6, hidden=(5,)).eval()
    ask.through(_with_gradients_left, model, _drawn_batches(ask, 3, 4, 6))


@lab.step("any network", "convolutions")
def _(ask: Trial) -> None:
    ask(LeNet().eval(), _drawn_batches(ask, 2, 3, 1, 32, 32))
    model = VGG(width=2, in_channels=1).eval()
    ask(model, _drawn_batches(ask, 2, 3, 1, 32, 32))


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


def _taylor(
    score: Callable[[Tensor, Tensor], Tensor] = lambda w, g: (w * g).square(),
    scored: Callable[[str, Tensor], bool] = lambda name, parameter: parameter.dim() > 1,
    reduction: str = "mean",
    merge: Callable[[Sequence[Tensor]], Tensor] = _mean,
) -> Callable:
    """Scores of which one part is another one.

    scored   which parameters count
    merge    makes one score of those of all batches
    """

    def mistaken(model: nn.Module, batches: Batches) -> Scores:
        counted = {n: p for n, p in model.named_parameters() if scored(n, p)}
        found: dict[str, list[Tensor]] = {name: [] for name in counted}
        for images, labels in batches:
            loss = F.cross_entropy(model(images), labels, reduction=reduction)
            gradients = torch.autograd.grad(loss, list(counted.values()))
            for (n, p), gradient in zip(counted.items(), gradients, strict=True):
                found[n].append(score(p.detach(), gradient))
        return {n.removesuffix(".weight"): merge(each) for n, each in found.items()}

    return mistaken


lab.mistake(
    "this is the gradient squared; multiply it by the weight first",
    _taylor(lambda w, g: g.square()),
)
lab.mistake(
    "this is the weight squared; multiply it by its gradient first",
    _taylor(lambda w, g: w.square()),
)
lab.mistake(
    "this is w * g with its sign; square it",
    _taylor(lambda w, g: w * g),
)
lab.mistake(
    "this is |w * g|; return the square",
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


@lab.mistake("use the layers' names as keys: fc1, not fc1.weight")
def _(model, batches):
    scores = taylor_scores(model, batches)
    return {f"{name}.weight": score for name, score in scores.items()}


lab.mistake(
    "the shape is lost: return the scores in each weight's shape",
    _taylor(lambda w, g: (w * g).square().flatten()),
)
lab.mistake(
    "this is one number for each layer; every weight has its own score",
    _taylor(lambda w, g: (w * g).square().sum()),
)


@lab.mistake("these are all parameters; return the weights only, by the layer's name")
def _(model, batches):
    every = _taylor(scored=lambda name, parameter: True)
    return {
        name if name.endswith(".bias") else f"{name}.weight": score
        for name, score in every(model, batches).items()
    }


@lab.mistake("convolutions have weights as well: score them too")
def _(model, batches):
    scores = taylor_scores(model, batches)
    linear = {n for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    return {name: score for name, score in scores.items() if name in linear}


@lab.mistake("named_children() stops at the outer modules; named_modules() goes inside")
def _(model, batches):
    scores = taylor_scores(model, batches)
    return {name: score for name, score in scores.items() if "." not in name}


lab.mistake(
    "biases get no score: return weights of convolutions and linear layers only",
    _taylor(scored=lambda name, parameter: True),
)


@lab.mistake(
    "give cross_entropy the network's outputs as they are; the softmax is part of it"
)
def _(model, batches):
    probable = nn.Sequential(model, nn.Softmax(dim=1))
    scores = taylor_scores(probable, batches)
    return {name.removeprefix("0."): score for name, score in scores.items()}


lab.mistake(
    "BatchNorm's weights get no score; return those of convolutions and linear layers",
    _taylor(scored=lambda name, parameter: name.endswith("weight")),
)
lab.mistake(
    "the model comes in eval mode: leave it so, because BatchNorm works differently "
    "in train mode",
    lambda model, batches: taylor_scores(model.train(), batches),
)
lab.mistake(
    "take the mean of the loss over the images of a batch, not the sum",
    _taylor(reduction="sum"),
)


def _one_by_one(merge: Callable[[Sequence[Tensor]], Tensor]) -> Callable:
    """Scores of each image as a batch of its own."""

    def mistaken(model: nn.Module, batches: Batches) -> Scores:
        single = [
            (images[i : i + 1], labels[i : i + 1])
            for images, labels in batches
            for i in range(len(labels))
        ]
        return _taylor(merge=merge)(model, single)

    return mistaken


lab.mistake(
    "you square for each image; square once for each batch, with the gradient of the "
    "batch's mean loss",
    _one_by_one(_mean),
)
lab.mistake(
    "you square for each image and add up; square once for each batch",
    _one_by_one(lambda found: torch.stack(list(found)).sum(0)),
)
lab.mistake(
    "you add the squares of all batches; divide by the number of batches",
    _taylor(merge=lambda found: torch.stack(list(found)).sum(0)),
)


@lab.mistake("you divide by the number of images; divide by the number of batches")
def _(model, batches):
    summed = _taylor(merge=lambda found: torch.stack(list(found)).sum(0))
    scores = summed(model, batches)
    return {name: score / len(batches[0][1]) for name, score in scores.items()}


lab.mistake(
    "this is the last batch only; add each batch's squares to what is there",
    _taylor(merge=lambda found: found[-1]),
)
lab.mistake(
    "this is the first batch only; is `return` inside the loop?",
    _taylor(merge=lambda found: found[0]),
)


def _squared_once(merge: Callable[[Tensor], Tensor]) -> Callable:
    """The products of all batches in one, and then the square."""
    return _taylor(
        lambda w, g: w * g, merge=lambda found: merge(torch.stack(list(found))).square()
    )


lab.mistake(
    "you average the gradients first and square once; square for each batch, then "
    "average",
    _squared_once(lambda products: products.mean(0)),
)
lab.mistake(
    "you add the gradients up first and square once; square for each batch, then "
    "average",
    _squared_once(lambda products: products.sum(0)),
)
lab.mistake(
    "backward() adds to the gradients of the batch before; clear them for each batch, "
    "or use torch.autograd.grad",
    _taylor(
        lambda w, g: w * g,
        merge=lambda found: torch.stack(list(found)).cumsum(0).square().mean(0),
    ),
    help="`.grad` is a sum over all backward passes since it was last cleared.",
)


@lab.mistake(
    "the network may arrive with gradients on it; clear them before the first batch too"
)
def _(model, batches):
    """Clears only after each batch."""
    scores: Scores = {}
    for images, labels in batches:
        F.cross_entropy(model(images), labels).backward()
        for name, layer in layers(model).items():
            term = (layer.weight.detach() * layer.weight.grad).square() / len(batches)
            scores[name] = scores.get(name, 0) + term
        model.zero_grad()
    return scores


@lab.exercise("9.4", points={"idea": 0, "any network": 0})
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


@lab.step("idea", "an nn.Parameter")
def _(ask: Trial) -> None:
    ask({"fc1": nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))})


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
    "take abs() of the weights before the product, not after it, so that nothing "
    "cancels"
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


@lab.mistake("this is dR/d|w|; multiply it by the magnitude of the weight")
def _(weights):
    sizes = {name: weight.detach().abs() for name, weight in weights.items()}
    return {name: gradient for name, (_, gradient) in _with_gradients(sizes).items()}


lab.mistake(
    "these are the magnitudes alone; multiply by what arrives and by what goes on",
    lambda weights: {n: w.detach().abs() for n, w in weights.items()},
)
lab.mistake(
    "you count only what arrives at a weight; the layers behind it count too",
    _half(forwards=True),
)
lab.mistake(
    "you count only what goes on from a weight; the layers before it count too",
    _half(forwards=False),
)


@lab.mistake("R is the sum of the outputs, not their mean")
def _(weights):
    *_, last = weights.values()
    return {n: score / len(last) for n, score in synflow_scores(weights).items()}


@lab.mistake("use the magnitudes of the weights, not their squares")
def _(weights):
    return synflow_scores({n: w.detach().square() for n, w in weights.items()})


for _words in (
    "unsupported operand type(s) for *: 'Tensor' and 'NoneType'",
    "you can only change requires_grad flags",
):
    lab.help(
        _words,
        "The weights may be `nn.Parameter`s. What you compute from a parameter has a "
        "history, and autograd keeps no `.grad` for it. Write `w.detach()` first, "
        "then `.abs()`, then `.requires_grad_()`.",
    )


@lab.exercise("9.5", points={"idea": 0, "the whole run": 0})
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
    # next to them, in a run so short that the curve is not flat at its end
    ask(1, 0, 4, 0.0, 0.8)
    ask(3, 0, 4, 0.0, 0.8)


lab.step("idea", "a later start", lambda ask: ask(30, 20, 60, 0.0, 0.8))
lab.step("idea", "some zeros at first", lambda ask: ask(50, 0, 100, 0.5, 0.9))


@lab.step("the whole run", "before the start")
def _(ask: Trial) -> None:
    ask(5, 20, 60, 0.25, 0.75)
    ask(19, 20, 60, 0.25, 0.75)


@lab.step("the whole run", "after the end")
def _(ask: Trial) -> None:
    ask(90, 20, 60, 0.25, 0.75)
    ask(25, 20, 24, 0.25, 0.75)


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
    "this is a straight line; raise the share that is left to the power of three",
    _falling(lambda done: 1 - done),
)


@lab.mistake("// cuts the fraction off; divide with /")
def _(step, start, end, initial, final):
    done = (step - start) // (end - start)
    return cubic_sparsity(done, 0, 1, initial, final)


lab.mistake(
    "this is in percent; return a share between 0 and 1",
    lambda *arguments: 100 * cubic_sparsity(*arguments),
)
lab.mistake(
    "this is a square; raise the share that is left to the power of three",
    _falling(lambda done: (1 - done) ** 2),
)
lab.mistake(
    "this is slow at first and steep at the end; the curve is steep at first",
    _falling(lambda done: 1 - done**3),
)
lab.mistake(
    "this is the density; return the sparsity",
    lambda *arguments: 1 - cubic_sparsity(*arguments),
)


@lab.mistake("this runs from final to initial; start at initial")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, start, end, initial=final, final=initial)


@lab.mistake("count the steps from start on, and divide by end - start")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, 0, end, initial, final)


@lab.mistake("count the steps from start on, and divide by their number, end - start")
def _(step, start, end, initial, final):
    left = 1 - (step - start) / end
    return final + (initial - final) * left**3


@lab.mistake("the schedule starts at initial, which need not be 0")
def _(step, start, end, initial, final):
    return cubic_sparsity(step, start, end, 0.0, final)


@lab.mistake(
    "before start and after end the curve does not go on: stay at initial, or at final",
)
def _(step, start, end, initial, final):
    left = 1 - (step - start) / (end - start)
    return final + (initial - final) * left**3


@lab.mistake("before start, return initial, not 0")
def _(step, start, end, initial, final):
    return 0.0 if step < start else cubic_sparsity(step, start, end, initial, final)


@lab.mistake("after end the curve does not go on: stay at final")
def _(step, start, end, initial, final):
    left = 1 - (max(step, start) - start) / (end - start)
    return final + (initial - final) * left**3
