"""Checks of Lab 03: a scan, paired answers, a plan, the best of many, rounds."""

from __future__ import annotations

import copy
import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import clone, same
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import fill
from labcore.checks.engine.trial import Trial
from labcore.checks.engine.watch import handed
from labcore.checks.lab02 import FineGrainedPruner, fine_grained_prune
from labcore.checks.lab03.rehearsal import Rehearsal
from labcore.nets import MLP, VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Shares = Mapping[str, float]  # layer -> sparsity
Scanned = Mapping[str, Mapping[float, float]]  # layer -> sparsity -> accuracy
Finetune = Callable[[nn.Module, Callable], object]


@torch.no_grad()
def _percent_right(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return 100 * (model(images).argmax(dim=1) == labels).double().mean().item()


@lab.exercise("3.1", points={"idea": 3, "leaves no trace": 3})
def scan_layer(
    model: nn.Module,
    name: str,
    sparsities: list[float],
    images: Tensor,
    labels: Tensor,
) -> dict[float, float]:
    accuracy = {}
    for sparsity in sparsities:
        pruned = copy.deepcopy(model)
        fine_grained_prune(pruned.get_submodule(name).weight, sparsity)
        accuracy[sparsity] = _percent_right(pruned, images, labels)
    return accuracy


@torch.no_grad()
def _clear(
    ask: Trial, model: nn.Module, names: list[str], levels: list[float]
) -> tuple[Tensor, Tensor]:
    """At most 12 images on which the best score stands out, dense and at each level.

    So an answer may compute in bfloat16. Those whose class changes come first. Half of
    the labels are the dense answer.
    """
    first = next(model.parameters())
    shape = (3, 4, 4) if first.dim() == 4 else first.shape[1:]
    images = torch.randint(-4, 5, (80, *shape), generator=ask.rng).float()

    nets = [model]
    for name in names:
        for level in levels:
            nets.append(copy.deepcopy(model))
            fine_grained_prune(nets[-1].get_submodule(name).weight, level)
    scores = torch.stack([net(images) for net in nets])  # (nets, images, classes)
    best = scores.topk(2, dim=2).values
    stands_out = best[..., 0] - best[..., 1] > 0.1 * scores.abs().amax(dim=2)
    clear = stands_out.all(dim=0)
    classes = scores[:, clear].argmax(dim=2)
    changes = (classes != classes[0]).sum(dim=0)
    images = images[clear][changes.argsort(descending=True, stable=True)[:12]]

    labels = model(images).argmax(dim=1)
    other = torch.randint(scores.shape[2], labels.shape, generator=ask.rng)
    return images, torch.where(torch.arange(len(labels)) % 2 == 0, labels, other)


def _telling(
    ask: Trial, make: Callable[[], nn.Module], names: list[str], levels: list[float]
) -> tuple[nn.Module, Tensor, Tensor]:
    """A network and 12 images: no two of its layers and levels, nor the dense network,
    have the same accuracy."""
    while True:
        model = fill(make(), ask.rng, unit=1)
        images, labels = _clear(ask, model, names, levels)
        if len(images) < 12:
            continue
        found = [_percent_right(model, images, labels)]
        for name in names:
            found += scan_layer(model, name, levels, images, labels).values()
        if len({round(value, 2) for value in found}) == len(found):
            return model, images, labels


def _case(ask: Trial, levels: list[float]) -> tuple:
    """A small network whose accuracy differs at each level, so that mix-ups show."""
    confused = (
        scan_layer,
        _every_layer,
        _of_dense,
        _loss_of_accuracy,
        _wrong_answers,
        _largest_first,
    )
    while True:
        model = fill(MLP(3, (4,), 3), ask.rng, unit=1)
        images, labels = _clear(ask, model, ["fc1"], levels)
        if len(images) < 12:
            continue
        case = (model, "fc1", levels, images, labels)
        results = [
            tuple(round(value, 2) for value in each(*case).values())
            for each in confused
        ]
        if len(set(results)) == len(confused) and len(set(results[0])) == len(levels):
            return case


def _accuracies(scan, *case):
    """the accuracies"""
    return scan(*case)


def _numbers_alone(ask: Trial, levels: list[float]) -> None:
    """Whatever became of the network: that is asked in later steps."""
    ask.through(_accuracies, *_case(ask, levels))


lab.step("idea", "one sparsity", lambda ask: _numbers_alone(ask, [0.5]))
lab.step("idea", "three sparsities", lambda ask: _numbers_alone(ask, [0.2, 0.5, 1.0]))


@lab.step("idea", "each weight counts")
def _(ask: Trial) -> None:
    """Each removed weight turns the answer to one image, and no number is halfway."""
    model = nn.Sequential(OrderedDict(fc=nn.Linear(10, 2)))
    for_zero, for_one = torch.full((10,), 9.0), torch.full((10,), -8.0)
    for_zero[torch.randperm(10, generator=ask.rng)[:5]] = torch.arange(1.0, 6)
    model.fc.weight.detach().copy_(torch.stack([for_zero, for_one]))
    model.fc.bias.detach().copy_(torch.tensor([0, 8.5]))
    labels = torch.zeros(10, dtype=torch.long)
    case = (model.eval(), "fc", [0.04, 0.09, 0.13], torch.eye(10), labels)
    ask.through(_accuracies, *case)


lab.step("leaves no trace", "falling order", lambda ask: ask(*_case(ask, [0.75, 0.25])))


@lab.step("leaves no trace", "other layers")
def _(ask: Trial) -> None:
    names = ["fc1", "fc2", "fc3"]
    model, *data = _telling(ask, lambda: MLP(3, (4, 3), 3), names, [0.5])
    for name in ("fc3", "fc2"):
        ask(model, name, [0.5], *data)


def _with_a_block() -> nn.Module:
    parts = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
    block = OrderedDict(zip(("conv", "bn", "relu"), parts, strict=True))
    layers = nn.Sequential(block), nn.Flatten(), nn.Linear(16, 3)
    names = ("backbone", "flatten", "classifier")
    return nn.Sequential(OrderedDict(zip(names, layers, strict=True)))


def _mode_afterwards(scan, model, *case):
    """the mode of the network afterwards; it was in evaluation mode before"""
    scan(model.eval(), *case)
    training = any(module.training for module in model.modules())
    return "training mode" if training else "evaluation mode"


@lab.step("leaves no trace", "a layer in a block")
def _(ask: Trial) -> None:
    name, levels = "backbone.conv", [0.9, 0.3]
    model, *data = _telling(ask, _with_a_block, [name], levels)
    # channels-last as on a bench, or evaluate() would replace the weight's memory
    model = model.to(memory_format=torch.channels_last)
    ask(model, name, levels, *data)
    ask.through(_mode_afterwards, model, name, levels, *data)


def _pruned_by(prune: Callable[[nn.Module, str, float], object]) -> Callable:
    """A scan that prunes its copies of the network in another way."""

    def mistaken(model, name, sparsities, images, labels):
        found = {}
        for sparsity in sparsities:
            pruned = copy.deepcopy(model)
            prune(pruned, name, sparsity)
            found[sparsity] = _percent_right(pruned, images, labels)
        return found

    return mistaken


def _mapped(change: Callable[[float], float]) -> Callable:
    """The right accuracies, each of them changed."""

    def mistaken(*case):
        return {level: change(value) for level, value in scan_layer(*case).items()}

    return mistaken


@lab.mistake(
    "each sparsity has to start from the dense weight, but yours starts from a pruned "
    "one: put a real copy back inside the loop",
    help="Either you put the dense weight back only *after* the loop. Or what you "
    "saved is no copy: `weight.detach()`, `weight.data` and `model.state_dict()` share "
    "their memory with the weight, and are pruned with it. `weight.detach().clone()` "
    "is a copy.",
)
def _(model, name, sparsities, images, labels):
    model, found = copy.deepcopy(model), {}
    for sparsity in sparsities:
        found |= scan_layer(model, name, [sparsity], images, labels)
        fine_grained_prune(model.get_submodule(name).weight, sparsity)
    return found


@lab.mistake("you prune every layer; prune only the layer that is named")
@_pruned_by
def _every_layer(model, name, sparsity):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            fine_grained_prune(parameter, sparsity)


lab.mistake(
    "this is a share between 0 and 1; return percent, between 0 and 100",
    _mapped(lambda value: value / 100),
)


@lab.mistake(
    "this is the dense network's accuracy each time: prune before you evaluate"
)
def _of_dense(model, name, sparsities, images, labels):
    return dict.fromkeys(sparsities, _percent_right(model, images, labels))


@lab.mistake("these are the points lost; return the accuracy that is left")
def _loss_of_accuracy(*case):
    dense, found = _of_dense(*case), scan_layer(*case)
    return {level: dense[level] - value for level, value in found.items()}


@lab.mistake("you keep the share that you should remove")
@_pruned_by
def _(model, name, sparsity):
    fine_grained_prune(model.get_submodule(name).weight, 1 - sparsity)


_wrong_answers = lab.mistake(
    "this is the share of wrong answers; return the share of right ones",
    _mapped(lambda value: 100 - value),
)


@lab.mistake("you remove the largest weights; remove the smallest")
@_pruned_by
def _largest_first(model, name, sparsity):
    weight = model.get_submodule(name).weight.detach()
    mask = fine_grained_prune(1 / weight, sparsity)  # no weight here is zero
    weight[~mask] = 0


@lab.mistake(
    "the network is left in training mode; leave it as it was, or put a copy into "
    "training mode"
)
def _(model, *case):
    found = scan_layer(model, *case)
    model.train()
    return found


lab.help(
    "an operation in place",
    "The accuracies are right, but the network that you were given stays pruned. Put "
    "the dense weight back after the last sparsity too.",
)


@lab.exercise("3.2", points={"idea": 2, "any networks": 2})
def changed_answers(first: Tensor, second: Tensor, labels: Tensor) -> tuple[int, int]:
    to_wrong, to_right = 0, 0
    for before, after, label in zip(
        first.tolist(), second.tolist(), labels.tolist(), strict=True
    ):
        if before == label and after != label:
            to_wrong += 1
        if before != label and after == label:
            to_right += 1
    return to_wrong, to_right


def _answered(first: list[int], second: list[int], labels: list[int]) -> Callable:
    """A step with these classes."""
    case = [torch.tensor(values) for values in (first, second, labels)]
    return lambda ask: ask(*case)


# of ten images, two change to wrong, one changes to right, one stays wrong but
# differs, two stay wrong and equal: no two of the known mistakes give the same pair
lab.step(
    "idea",
    "ten images",
    _answered(
        [3, 3, 1, 7, 2, 5, 0, 4, 8, 6],
        [3, 4, 5, 7, 1, 6, 0, 4, 8, 6],
        [3, 3, 5, 7, 9, 5, 0, 2, 7, 6],
    ),
)
lab.step(
    "idea",
    "more to right than to wrong",
    _answered(
        [1, 1, 2, 3, 8, 4, 6, 8, 9, 0],
        [0, 1, 2, 5, 9, 3, 6, 7, 9, 0],
        [0, 2, 2, 5, 4, 3, 1, 8, 9, 0],
    ),
)
lab.step("idea", "one image", _answered([1, 2, 3], [1, 0, 3], [1, 2, 3]))
lab.step(
    "any networks", "twice the same network", _answered([1, 2, 2], [1, 2, 2], [1, 2, 0])
)


@lab.step("any networks", "random answers")
def _(ask: Trial) -> None:
    for count in (1, 40, 500):
        first, second, labels = torch.randint(4, (3, count), generator=ask.rng)
        ask(first, second, labels)


def _counted(to_wrong: Callable, to_right: Callable) -> Callable:
    """The pair of counts, of conditions on (first, second, labels)."""

    def mistaken(*case):
        return to_wrong(*case).sum().item(), to_right(*case).sum().item()

    return mistaken


lab.mistake(
    "you count images that both networks get wrong, in different ways; to_wrong needs "
    "the first network to be right",
    _counted(lambda f, s, t: (f != s) & (s != t), lambda f, s, t: (f != t) & (s == t)),
)
lab.mistake(
    "you count images that both networks get wrong, in different ways; to_right needs "
    "the second network to be right",
    _counted(lambda f, s, t: (f == t) & (s != t), lambda f, s, t: (f != s) & (f != t)),
)
lab.mistake(
    "you count images that both networks get wrong, in different ways, and in both "
    "numbers",
    _counted(lambda f, s, t: (f != s) & (s != t), lambda f, s, t: (f != s) & (f != t)),
)
lab.mistake(
    "you compare the two networks with each other only; compare each with the labels",
    _counted(lambda f, s, t: f != s, lambda f, s, t: f == s),
)
lab.mistake(
    "your two numbers are equal: both count every answer that differs; compare each "
    "network with the labels",
    _counted(lambda f, s, t: f != s, lambda f, s, t: f != s),
)
lab.mistake(
    "the two numbers are in the wrong order; to_wrong comes first",
    _counted(lambda f, s, t: (f != t) & (s == t), lambda f, s, t: (f == t) & (s != t)),
)
lab.mistake(
    "these are the second network's wrong and right answers; count only images on "
    "which the first network was different",
    _counted(lambda f, s, t: s != t, lambda f, s, t: s == t),
)
lab.mistake(
    "these are the right answers of each network; count images, one by one, that "
    "changed from right to wrong and from wrong to right",
    _counted(lambda f, s, t: f == t, lambda f, s, t: s == t),
)
lab.mistake(
    "these are the wrong answers of each network; count images, one by one, that "
    "changed from right to wrong and from wrong to right",
    _counted(lambda f, s, t: f != t, lambda f, s, t: s != t),
)


def _to_wrong(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    return (first == labels) & (second != labels)


def _to_right(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    return (first != labels) & (second == labels)


CONDITIONS = {
    "counts images that both networks get right": lambda f, s, t: (f == t) & (s == t),
    "counts images that both networks get wrong": lambda f, s, t: (f != t) & (s != t),
}
for words, condition in CONDITIONS.items():
    lab.mistake(f"to_wrong {words}", _counted(condition, _to_right))
    lab.mistake(f"to_right {words}", _counted(_to_wrong, condition))

lab.mistake(
    "to_wrong counts where one of its two conditions holds; both have to",
    _counted(lambda f, s, t: (f == t) | (s != t), _to_right),
)
lab.mistake(
    "to_right counts where one of its two conditions holds; both have to",
    _counted(_to_wrong, lambda f, s, t: (f != t) | (s == t)),
)


@lab.mistake("these are percentages; return how many images it is")
def _(first, second, labels):
    pair = changed_answers(first, second, labels)
    return tuple(100 * count / len(labels) for count in pair)


@lab.mistake("these are shares; return how many images it is")
def _(first, second, labels):
    return tuple(n / len(labels) for n in changed_answers(first, second, labels))


@lab.mistake(
    "this is the difference of the two counts; return both counts, as a pair",
)
def _(*case):
    to_wrong, to_right = changed_answers(*case)
    return to_right - to_wrong


@lab.mistake("return two numbers, not a tensor that marks the images: add sum().item()")
def _(first, second, labels):
    right = first == labels, second == labels
    return right[0] & ~right[1], right[1] & ~right[0]


def planned_weights(sizes: Mapping[str, int], plan: Shares) -> int:
    """The number of weights that stay under the plan."""
    return sum(n - round(plan.get(name, 0.0) * n) for name, n in sizes.items())


@lab.exercise("3.3", points={"idea": 2, "any scan": 4})
def choose_sparsities(
    dense: float, accuracy: Scanned, sizes: Mapping[str, int], most: int
) -> dict[str, float]:
    return _planned(lambda step: step.lost / step.removed, dense, accuracy, sizes, most)


class _Step:
    """One layer pruned one level further: points lost and weights removed by it."""

    def __init__(self, dense, accuracy, sizes, plan, name, level) -> None:
        now = accuracy[name].get(plan[name], dense)
        self.name, self.level = name, level
        self.lost = now - accuracy[name][level]
        self.removed = (level - plan[name]) * sizes[name]
        self.lost_in_all = dense - accuracy[name][level]
        self.removed_in_all = level * sizes[name]


def _planned(
    price, dense, accuracy, sizes, most, too_many=lambda now, most: now > most
):
    """Take the step with the lowest price, as long as too many weights are left."""
    plan = dict.fromkeys(sizes, 0.0)
    while too_many(planned_weights(sizes, plan), most):
        steps = []
        for name in sizes:
            higher = [level for level in accuracy[name] if level > plan[name]]
            if higher:
                case = dense, accuracy, sizes, plan, name, min(higher)
                steps.append(_Step(*case))
        best = min(steps, key=price)
        plan[best.name] = best.level
    return plan


def _plan(answer, dense, accuracy, sizes, most):
    """the plan"""
    scanned = clone(accuracy)
    plan = answer(dense, accuracy, sizes, most)
    if not isinstance(plan, Mapping):
        return plan
    if not same(scanned, accuracy):
        return {"accuracy": "changed by the call"}
    return dict.fromkeys(sizes, 0.0) | dict(plan)


def _scan_of(dense: float, **lost: dict[float, float]) -> dict[str, dict[float, float]]:
    """The scan in which the layers lose so many points at these sparsities."""
    return {
        name: {level: dense - points for level, points in row.items()}
        for name, row in lost.items()
    }


# In every case each level costs more than the one before it, and the plan that fits is
# the best of all plans: so whatever finds a good plan finds this one.
SMALL_DEAR = _scan_of(
    94.0,
    conv0={0.25: 0.35, 0.5: 9.0, 0.75: 30.0},
    conv1={0.25: 0.4, 0.5: 2.2, 0.75: 12.2},
    conv2={0.25: 1.0, 0.5: 3.0, 0.75: 6.0},
)
LARGE_DEAR = _scan_of(
    94.0,
    conv0={0.25: 0.1, 0.5: 0.3, 0.75: 1.1},
    conv1={0.25: 3.0, 0.5: 9.0, 0.75: 20.0},
    conv2={0.25: 7.0, 0.5: 17.0, 0.75: 41.0},
)
SIZES = {"conv0": 40, "conv1": 200, "conv2": 400}


def _allowing(accuracy: Scanned, most: int, sizes: Shares = SIZES) -> Callable:
    """A step with this scan, where so many weights may stay."""
    return lambda ask: ask.through(_plan, 94.0, accuracy, sizes, most)


lab.step("idea", "one step", _allowing(SMALL_DEAR, 600))
lab.step("idea", "several steps", _allowing(SMALL_DEAR, 295))
lab.step("idea", "a sensitive large layer", _allowing(LARGE_DEAR, 575))
LARGE_FIRST = {
    name: LARGE_DEAR[other] for name, other in zip(SIZES, reversed(SIZES), strict=True)
}
lab.step(
    "idea",
    "the large layer first",
    _allowing(
        LARGE_FIRST, 575, dict(zip(SIZES, reversed(SIZES.values()), strict=True))
    ),
)
lab.step("any scan", "nothing to remove", _allowing(SMALL_DEAR, 640))
lab.step("any scan", "an exact fit", _allowing(SMALL_DEAR, 390))
lab.step("any scan", "a layer at its last sparsity", _allowing(LARGE_DEAR, 365))
lab.step(
    "any scan",
    "a layer that gains",
    _allowing(SMALL_DEAR | {"conv1": {0.25: 95.2, 0.5: 94.6, 0.75: 80.0}}, 445),
)


@lab.step("any scan", "nine layers")
def _(ask: Trial) -> None:
    for steps in (12, 30, 50):
        ask.through(_plan, *_random_case(ask, steps))


def _random_case(ask: Trial, steps: int) -> tuple:
    """Nine layers whose levels cost more and more, and room after so many steps."""
    names = ["classifier", *(f"backbone.conv{i}" for i in range(8))]
    levels = [level / 10 for level in range(1, 10)]
    sizes = 100 * torch.randint(1, 60, (len(names),), generator=ask.rng)
    sizes = dict(zip(names, sizes.tolist(), strict=True))
    # different prices for all steps of all layers, rising within each layer
    prices = 1 + torch.randperm(len(names) * len(levels), generator=ask.rng).double()
    lost = {}
    for name, row in zip(names, prices.view(len(names), -1), strict=True):
        each = row.sort().values ** 2 * sizes[name] / 1e6
        lost[name] = dict(zip(levels, each.cumsum(0).tolist(), strict=True))
    accuracy = _scan_of(94.0, **lost)
    rows = zip(names, prices.view(len(names), -1).tolist(), strict=True)
    by_price = sorted((price, name) for name, row in rows for price in row)
    plan = dict.fromkeys(names, 0.0)
    for _, name in itertools.islice(by_price, steps):
        plan[name] = round(plan[name] + 0.1, 1)
    # every step removes a multiple of 10 weights, so 5 more leave room for none of them
    return 94.0, accuracy, sizes, planned_weights(sizes, plan) + 5


def _priced(price: Callable[[_Step], float], **how) -> Callable:
    """A planner that takes another step as the cheapest."""
    return lambda *case: _planned(price, *case, **how)


def _per_weight(step: _Step) -> float:
    return step.lost / step.removed


lab.mistake(
    "you take the step that loses the fewest points; divide the points by the weights "
    "that the step removes",
    _priced(lambda step: step.lost),
)
lab.mistake(
    "you take the step that removes the most weights; the scan has to decide: points "
    "lost, divided by weights removed",
    _priced(lambda step: -step.removed),
)
lab.mistake(
    "you take the dearest step; take the one with the lowest price",
    _priced(lambda step: -_per_weight(step)),
)
for price in (
    lambda step: step.lost_in_all / step.removed_in_all,
    lambda step: step.lost_in_all / step.removed,
    lambda step: step.lost / step.removed_in_all,
):
    lab.mistake(
        "the points or the weights are not those of the next step alone: both go from "
        "the layer's current sparsity to the next one",
        _priced(price),
    )
lab.mistake(
    "you go on although the plan fits; a plan with exactly `most` weights fits",
    _priced(_per_weight, too_many=lambda now, most: now >= most),
)


@lab.mistake("your plan keeps too many weights: you stop one step too early")
def _(dense, accuracy, sizes, most):
    case = dense, accuracy, sizes
    rooms = range(most + 1, sum(sizes.values()) + 1)
    larger = (choose_sparsities(*case, room) for room in rooms)
    return next(p for p in larger if planned_weights(sizes, p) > most)


@lab.mistake("these are the shares that stay; return the shares that are removed")
def _(*case):
    return {name: 1 - share for name, share in choose_sparsities(*case).items()}


@lab.mistake(
    "you prune every layer to the same sparsity; the scan has to decide",
)
def _(dense, accuracy, sizes, most):
    plan = dict.fromkeys(sizes, 0.0)
    levels = list(next(iter(accuracy.values())))
    while planned_weights(sizes, plan) > most:
        plan = dict.fromkeys(sizes, levels.pop(0))
    return plan


@lab.mistake(
    "you prune one layer to the end and then the next; before each step look at all"
)
def _(dense, accuracy, sizes, most):
    plan = dict.fromkeys(sizes, 0.0)
    for name in sizes:
        for level in accuracy[name]:
            if planned_weights(sizes, plan) > most:
                plan[name] = level
    return plan


@lab.mistake("a level may gain accuracy: let its price be negative")
def _(*case):
    return _planned(lambda step: abs(_per_weight(step)), *case)


@lab.mistake(
    "you change the scan that you were given; keep the levels in your own plan"
)
def _(dense, accuracy, sizes, most):
    plan = choose_sparsities(dense, accuracy, sizes, most)
    for row in accuracy.values():
        row.popitem()
    return plan


lab.help(
    "KeyError: 0.0",
    "A layer that is still dense has sparsity 0.0, which is not in the scan. Its "
    "accuracy is `dense`.",
)


@lab.exercise("3.4", points={"idea": 2, "looks once": 2})
def best_move(moves: list[str], gain: Callable) -> tuple[str, float]:
    found = {move: gain(move, "choose") for move in moves}
    best = max(found, key=found.get)
    return best, gain(best, "report")


class _Measured:
    """Called as gain(move, part), with results from a table; notes the calls."""

    def __init__(self, choose: dict[str, float], report: dict[str, float]) -> None:
        self.table = {"choose": choose, "report": report}
        self.reported: list[str] = []

    @handed
    def __call__(self, move: str, part: str) -> float:
        if part not in self.table:
            raise ValueError(f'part is {part!r}; it can be "choose" or "report"')
        if part == "report":
            self.reported.append(move)
        return self.table[part][move]


def _best(answer, choose, report):
    """the move and its gain"""
    return answer(list(choose), _Measured(choose, report))


def _looks(answer, choose, report):
    """the moves that are measured on the images called report"""
    measured = _Measured(choose, report)
    answer(list(choose), measured)
    return list(dict.fromkeys(measured.reported))  # the same move twice does no harm


def _offered(scenario: Callable, choose: list[float], report: list[float]) -> Callable:
    """A step with moves that gain so many points on either part."""
    names = [f"move {number}" for number in range(1, len(choose) + 1)]
    tables = [dict(zip(names, row, strict=True)) for row in (choose, report)]

    def run(ask: Trial) -> None:
        ask.through(scenario, *tables, names=("gain on choose", "gain on report"))

    return run


lab.step("idea", "three moves", _offered(_best, [1.0, 3.5, 2.0], [0.5, 1.2, 1.8]))
lab.step(
    "idea",
    "the first is best",
    _offered(_best, [4.1, 2.0, 3.0, 1.0], [2.1, 2.5, 0.3, 3.2]),
)
lab.step("idea", "no move gains", _offered(_best, [-6.0, -1.5], [-2.0, -4.5]))
lab.step(
    "looks once",
    "the moves it looks at",
    _offered(_looks, [1.0, 3.5, 2.0], [0.5, 1.2, 1.8]),
)


def _reporting(chosen_by: str, reported: Callable) -> Callable:
    """The best plan by one part, and what is said about it."""

    def mistaken(moves, gain):
        found = {move: gain(move, chosen_by) for move in moves}
        best = max(found, key=found.get)
        return best, reported(gain, best)

    return mistaken


lab.mistake(
    "you report the gain on the images that chose the move, and luck is part of it: "
    "measure the best move on the other images",
    _reporting("choose", lambda gain, best: gain(best, "choose")),
)
lab.mistake(
    "you choose on the images called report, so they are used up: choose on the others",
    _reporting("report", lambda gain, best: gain(best, "report")),
)
lab.mistake(
    "you choose on the images called report and report on those called choose: swap "
    "the two",
    _reporting("report", lambda gain, best: gain(best, "choose")),
)


@lab.mistake("you return the move that gains least; return the best one")
def _(moves, gain):
    best = min(moves, key=lambda move: gain(move, "choose"))
    return best, gain(best, "report")


@lab.mistake(
    "you report the highest gain of all moves; report that of the move you chose"
)
def _(moves, gain):
    best, _ = best_move(moves, gain)
    return best, max(gain(move, "report") for move in moves)


@lab.mistake("you average over all images; those that chose the move flatter it")
def _(moves, gain):
    best, there = best_move(moves, gain)
    return best, (gain(best, "choose") + there) / 2


@lab.mistake("return the move's name, not its number in the list")
def _(moves, gain):
    best, there = best_move(moves, gain)
    return moves.index(best), there


@lab.mistake("the gain comes second; return the move first")
def _(moves, gain):
    return best_move(moves, gain)[::-1]


@lab.mistake(
    "a loop that starts at 0 finds no move if none gains: start below every gain, or "
    "take max()"
)
def _(moves, gain):
    best, highest = None, 0.0
    for move in moves:
        if gain(move, "choose") > highest:
            best, highest = move, gain(move, "choose")
    return best, gain(best, "report") if best else highest


@lab.mistake(
    "you measure every move on the images called report; measure only the best one"
)
def _(moves, gain):
    for move in moves:
        gain(move, "report")
    return best_move(moves, gain)


@lab.exercise("3.5", points={"rounds": 0, "holds": 0})  # ungraded
def prune_in_rounds(
    model: nn.Module, sparsity_dict: Shares, rounds: int, finetune: Finetune
) -> None:
    for done in range(1, rounds + 1):
        now = {n: 1 - (1 - s) ** (done / rounds) for n, s in sparsity_dict.items()}
        pruner = FineGrainedPruner(model, now)
        finetune(model, pruner.apply)


def _handed(loop, model, plan, rounds):
    """zeros each time finetune is called"""
    finetune = Rehearsal()
    loop(model, plan, rounds, finetune)
    return finetune.handed


def _held(loop, model, plan, rounds):
    """zeros after a step of each fine-tuning"""
    finetune = Rehearsal()
    loop(model, plan, rounds, finetune)
    return finetune.after


def _in_the_end(loop, model, plan, rounds):
    """the weights in the end"""
    loop(model, plan, rounds, Rehearsal())
    return {name: p.detach() for name, p in model.named_parameters() if p.dim() > 1}


def _small(scenario: Callable, rounds: int, **plan: float) -> Callable:
    """A step that plays the scenario on a network of two layers."""

    def run(ask: Trial) -> None:
        ask.through(scenario, fill(MLP(8, (3,), 2), ask.rng, unit=1), plan, rounds)

    return run


lab.step("rounds", "one round", _small(_handed, 1, fc1=0.5))
lab.step("rounds", "three rounds", _small(_handed, 3, fc1=0.875))
lab.step("rounds", "two layers", _small(_handed, 3, fc1=0.875, fc2=0.5))
lab.step("holds", "zeros while training", _small(_held, 3, fc1=0.875, fc2=0.5))
lab.step("holds", "the same network", _small(_in_the_end, 2, fc1=0.75))


@lab.step("holds", "layers in blocks")
def _(ask: Trial) -> None:
    plan = {"backbone.conv1": 0.5, "backbone.conv6": 0.9, "classifier": 0.2}
    for scenario in (_handed, _in_the_end):
        ask.through(scenario, fill(VGG(width=2), ask.rng, unit=1), plan, 4)


def _growing(share: Callable[[float, int, int], float]) -> Callable:
    """Pruning in rounds, with another share in round `done` of `rounds`."""

    def mistaken(model, plan, rounds, finetune):
        for done in range(1, rounds + 1):
            now = {name: share(s, done, rounds) for name, s in plan.items()}
            finetune(model, FineGrainedPruner(model, now).apply)

    return mistaken


lab.mistake(
    "you prune to the final share in every round; use this round's share",
    _growing(lambda s, done, rounds: s),
)
lab.mistake(
    "your share grows by the same amount each round; multiply what stays by the same "
    "factor instead",
    _growing(lambda s, done, rounds: s * done / rounds),
)


@lab.mistake(
    "the first call of finetune gets the unpruned network: prune before it, and "
    "count the rounds from 1",
    help="`range(rounds)` starts at 0, and $(1 - s)^0 = 1$, so nothing is pruned in "
    "the first round. Or you call `finetune` before you prune.",
)
def _(model, plan, rounds, finetune):
    for done in range(rounds):
        now = {name: 1 - (1 - s) ** (done / rounds) for name, s in plan.items()}
        finetune(model, FineGrainedPruner(model, now).apply)
    FineGrainedPruner(model, plan)


lab.mistake(
    "this is the share that stays after the round; prune to 1 minus this share",
    _growing(lambda s, done, rounds: (1 - s) ** (done / rounds)),
)
lab.mistake(
    "you divide the share by the number of rounds, so it never grows",
    _growing(lambda s, done, rounds: s / rounds),
)
lab.mistake(
    "you call finetune only once, after the last round; call it in every round",
    lambda model, plan, _, finetune: prune_in_rounds(model, plan, 1, finetune),
)


@lab.mistake("the zeros do not stay zero: hand the pruner's apply to finetune")
def _(model, plan, rounds, finetune):
    def without_apply(model, after_step):
        finetune(model, lambda model: None)

    prune_in_rounds(model, plan, rounds, without_apply)


lab.mistake(
    "you prune a copy; change the network that you were given",
    lambda model, *case: prune_in_rounds(copy.deepcopy(model), *case),
)


@lab.mistake(
    "after each step you rank the weights again; apply the mask that this round began "
    "with",
    help="`FineGrainedPruner(model, now)` ranks the weights whenever it is made. Make "
    "one pruner a round, and hand over its method `apply`: that only puts the zeros "
    "back.",
)
def _(model, plan, rounds, finetune):
    for done in range(1, rounds + 1):
        now = {name: 1 - (1 - s) ** (done / rounds) for name, s in plan.items()}
        FineGrainedPruner(model, now)
        finetune(model, lambda model, now=now: FineGrainedPruner(model, now))


@lab.mistake("you keep the first round's mask; hand over the mask of the current round")
def _(model, plan, rounds, finetune):
    first = None
    for done in range(1, rounds + 1):
        now = {name: 1 - (1 - s) ** (done / rounds) for name, s in plan.items()}
        pruner = FineGrainedPruner(model, now)
        first = first or pruner
        finetune(model, first.apply)


@lab.mistake(
    "you write this round's shares into sparsity_dict, and the next round starts from "
    "them: make a new dictionary in each round"
)
def _(model, plan, rounds, finetune):
    for done in range(1, rounds + 1):
        for name in plan:
            plan[name] = 1 - (1 - plan[name]) ** (done / rounds)
        finetune(model, FineGrainedPruner(model, plan).apply)
