"""Checks of Lab 03: one layer's scan, the plan, the choice, pruning in rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import common_cause, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import fill
from labcore.checks.engine.trial import Trial
from labcore.checks.lab02 import FineGrainedPruner, fine_grained_prune
from labcore.checks.lab03.rehearsal import Rehearsal
from labcore.nets import MLP, VGG, layers
from labcore.tracks import workbench

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
    """Images on which the best score stands out, dense and at each of the levels.

    So an answer may compute in bfloat16. Half of the labels are the dense answer.
    """
    first = next(model.parameters())
    shape = (3, 32, 32) if first.dim() == 4 else first.shape[1:]
    images = torch.randint(-4, 5, (80, *shape), generator=ask.rng).float()

    nets = [model]
    for name in names:
        for level in levels:
            nets.append(copy.deepcopy(model))
            fine_grained_prune(nets[-1].get_submodule(name).weight, level)
    scores = torch.stack([net(images) for net in nets])  # (nets, images, classes)
    best = scores.topk(2, dim=2).values
    stands_out = best[..., 0] - best[..., 1] > 0.1 * scores.abs().amax(dim=2)
    images = images[stands_out.all(dim=0)][:12]

    labels = model(images).argmax(dim=1)
    other = torch.randint(scores.shape[2], labels.shape, generator=ask.rng)
    return images, torch.where(torch.arange(len(labels)) % 2 == 0, labels, other)


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
lab.step("leaves no trace", "falling order", lambda ask: ask(*_case(ask, [0.75, 0.25])))


@lab.step("leaves no trace", "other layers")
def _(ask: Trial) -> None:
    model = fill(MLP(3, (4, 3), 3), ask.rng, unit=1)
    images, labels = _clear(ask, model, ["fc1", "fc2", "fc3"], [0.5])
    for name in ("fc3", "fc2"):
        ask(model, name, [0.5], images, labels)


@lab.step("leaves no trace", "a layer in a block")
def _(ask: Trial) -> None:
    # channels-last as on a bench, or evaluate() would replace the weight's memory
    model = VGG(width=2).eval().to(memory_format=torch.channels_last)
    images, labels = _clear(ask, model, ["backbone.conv2"], [0.9, 0.3])
    ask(model, "backbone.conv2", [0.9, 0.3], images, labels)


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
    "each sparsity needs the dense weight again; yours finds it already pruned",
    help="After 0.75 a request for 0.25 finds three quarters of the weights at zero "
    "already. Put the dense weight back *inside* the loop.",
)
def _(model, name, sparsities, images, labels):
    model, found = copy.deepcopy(model), {}
    for sparsity in sparsities:
        found |= scan_layer(model, name, [sparsity], images, labels)
        fine_grained_prune(model.get_submodule(name).weight, sparsity)
    return found


@lab.mistake("you prune every layer; only the named one is to be pruned")
@_pruned_by
def _every_layer(model, name, sparsity):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            fine_grained_prune(parameter, sparsity)


lab.mistake("that is a share; asked is percent", _mapped(lambda value: value / 100))


@lab.mistake("that is the dense network's accuracy each time: prune, and then evaluate")
def _of_dense(model, name, sparsities, images, labels):
    return dict.fromkeys(sparsities, _percent_right(model, images, labels))


@lab.mistake("that is what is lost; asked is the accuracy")
def _loss_of_accuracy(*case):
    dense, found = _of_dense(*case), scan_layer(*case)
    return {level: dense[level] - value for level, value in found.items()}


@lab.mistake("you keep the share that has to go")
@_pruned_by
def _(model, name, sparsity):
    fine_grained_prune(model.get_submodule(name).weight, 1 - sparsity)


_wrong_answers = lab.mistake(
    "that is the share of wrong answers", _mapped(lambda value: 100 - value)
)


@lab.mistake("the largest weights are gone; the smallest have to go")
@_pruned_by
def _largest_first(model, name, sparsity):
    weight = model.get_submodule(name).weight.detach()
    mask = fine_grained_prune(1 / weight, sparsity)  # no weight here is zero
    weight[~mask] = 0


lab.help(
    "an operation in place",
    "The accuracies are right, but the network that was handed over is left pruned. "
    "Put the dense weight back after the last sparsity too.",
)


@lab.exercise("3.2", points={"idea": 1, "any network": 1})
def planned_bytes(model: nn.Module, sparsity_dict: Shares) -> int:
    kept = sum(parameter.numel() for parameter in model.parameters())
    for name, sparsity in sparsity_dict.items():
        kept -= round(sparsity * model.get_submodule(name).weight.numel())
    return 4 * kept


lab.step("idea", "one layer", lambda ask: ask(MLP(4, (2,), 3), {"fc1": 0.25}))


@lab.step("idea", "two layers")
def _(ask: Trial) -> None:
    ask(MLP(4, (2,), 3), {"fc1": 0.75, "fc2": 0.5})


@lab.step("any network", "rounding")
def _(ask: Trial) -> None:
    for share in (0.4, 0.5):  # 2.8 and 3.5 of seven weights are removed
        ask(MLP(7, (1,), 3), {"fc1": share})


lab.step("any network", "nothing to prune", lambda ask: ask(MLP(7, (1,), 3), {}))


@lab.step("any network", "layers in blocks")
def _(ask: Trial) -> None:
    names = ["classifier", *(f"backbone.conv{i}" for i in range(8))]
    for _ in range(3):
        shares = torch.rand(len(names), generator=ask.rng).tolist()
        some = torch.randint(1, len(names), (), generator=ask.rng).item()
        plan = dict(list(zip(names, shares, strict=True))[:some])
        ask(fill(VGG(width=2), ask.rng, unit=1), plan)


def _removing(count: Callable[[float, int], int]) -> Callable:
    """The bytes left where count(share, n) of a layer's n weights go."""

    def mistaken(model, plan):
        sizes = {name: model.get_submodule(name).weight.numel() for name in plan}
        removed = sum(count(share, sizes[name]) for name, share in plan.items())
        return planned_bytes(model, {}) - 4 * removed

    return mistaken


@lab.mistake("you count the named layers' weights only; all other parameters stay")
def _(model, plan):
    sizes = {name: model.get_submodule(name).weight.numel() for name in plan}
    return 4 * sum(n - round(plan[name] * n) for name, n in sizes.items())


@lab.mistake("biases stay, and take bytes too")
def _(model, plan):
    biases = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    return planned_bytes(model, plan) - 4 * biases


lab.mistake(
    "you round what stays; the rule rounds what goes",
    _removing(lambda share, n: n - round((1 - share) * n)),
)
lab.mistake(
    "you take the share that stays for the one that goes",
    _removing(lambda share, n: round((1 - share) * n)),
)
lab.mistake(
    "those are the bytes that go; asked are those that stay",
    lambda model, plan: planned_bytes(model, {}) - planned_bytes(model, plan),
)
lab.mistake(
    "that is a number of values; each takes 4 bytes",
    lambda model, plan: planned_bytes(model, plan) // 4,
)
lab.mistake(
    "those are bits; a byte has 8",
    lambda model, plan: 8 * planned_bytes(model, plan),
)


@lab.mistake("biases are not pruned; they stay in full")
def _(model, plan):
    kept = planned_bytes(model, {}) // 4
    for name, share in plan.items():
        for parameter in model.get_submodule(name).parameters():
            kept -= round(share * parameter.numel())
    return 4 * kept


lab.mistake(
    "int() cuts off; the rule is round()",
    _removing(lambda share, n: int(share * n)),
)
lab.mistake(
    "those are the dense network's bytes",
    lambda model, plan: planned_bytes(model, {}),
)


@lab.exercise("3.3", points={"idea": 1, "any plan": 1})
def predicted_accuracy(dense: float, accuracy: Scanned, sparsity_dict: Shares) -> float:
    predicted = dense
    for name, sparsity in sparsity_dict.items():
        if sparsity > 0:
            predicted -= dense - accuracy[name][sparsity]
    return predicted


SCANNED = {
    "conv0": {0.25: 93.0, 0.5: 88.0, 0.75: 60.0},
    "conv1": {0.25: 94.0, 0.5: 92.0, 0.75: 85.0},
    "conv2": {0.25: 94.5, 0.5: 93.5, 0.75: 91.0},
}


def _scanned(**plan: float) -> Callable:
    """A step that asks about this plan."""
    return lambda ask: ask(94.0, SCANNED, plan)


# the worst is neither first nor last, so an answer that takes one of these is wrong
lab.step("idea", "three layers", _scanned(conv1=0.5, conv0=0.75, conv2=0.5))
lab.step("idea", "two layers", _scanned(conv0=0.5, conv1=0.75))
lab.step("any plan", "a layer left dense", _scanned(conv0=0.0, conv2=0.75))


@lab.step("any plan", "a layer that gains")
def _(ask: Trial) -> None:
    for plan in ({"conv2": 0.25, "conv1": 0.75}, {"conv2": 0.25}):
        ask(94.0, SCANNED, plan)


lab.step("any plan", "nothing pruned", _scanned())


@lab.step("any plan", "random scans")
def _(ask: Trial) -> None:
    levels = (0.2, 0.5, 0.9)
    for _ in range(3):
        values = (95 * torch.rand(5, 3, generator=ask.rng)).tolist()
        scanned = {
            f"layer{i}": dict(zip(levels, row, strict=True))
            for i, row in enumerate(values)
        }
        picks = torch.randint(4, (5,), generator=ask.rng).tolist()
        plan = {n: (0.0, *levels)[k] for n, k in zip(scanned, picks, strict=True)}
        ask(94.0, scanned, plan)


def _each_accuracy(dense: float, accuracy: Scanned, plan: Shares) -> list[float]:
    return [accuracy[n][s] if s else dense for n, s in plan.items()]


lab.mistake(
    "you subtract the accuracy; subtract what is lost, dense - accuracy",
    lambda dense, *scan: dense - sum(_each_accuracy(dense, *scan)),
)
lab.mistake(
    "that is the sum of what is lost; asked is dense minus it",
    lambda dense, *scan: dense - predicted_accuracy(dense, *scan),
)
lab.mistake(
    "that is the lowest of the accuracies; the losses add up",
    lambda *case: min(_each_accuracy(*case)),
)


@lab.mistake("that is the average accuracy; the losses add up")
def _(*case):
    found = _each_accuracy(*case)
    return sum(found) / len(found)


lab.mistake(
    "that keeps only the last layer's loss; add them up",
    lambda *case: _each_accuracy(*case)[-1],
)
lab.mistake(
    "that keeps only the first layer's loss; return after the loop",
    lambda *case: _each_accuracy(*case)[0],
)


@lab.mistake("a layer may gain: let its loss be negative")
def _(dense, *scan):
    return dense - sum(max(0, dense - found) for found in _each_accuracy(dense, *scan))


lab.mistake(
    "a plan whose layers gain may end above the dense one: do not cut it off",
    lambda dense, *scan: min(dense, predicted_accuracy(dense, *scan)),
)
lab.mistake(
    "the sum may fall below zero; that is worth knowing, so do not cut it off",
    lambda *case: max(0.0, predicted_accuracy(*case)),
)


SIZE = 0.25  # of the dense network's bytes
MARGIN = 15.0  # points of accuracy on val above the uniform choice


@lab.exercise(
    "3.4",
    points={"fits": 2, "beats uniform": 4},
    refused=("labcore.checks",),  # measuring and scanning are allowed
)
def choose_sparsities() -> dict[str, float]:
    return {
        "backbone.conv1": 0.2,
        "backbone.conv2": 0.45,
        "backbone.conv3": 0.6,
        "backbone.conv4": 0.73,
        "backbone.conv5": 0.78,
        "backbone.conv6": 0.77,
        "backbone.conv7": 0.82,
    }


def _sizes(model: nn.Module) -> dict[str, int]:
    """The number of weights of each layer that can be pruned."""
    return {name: layer.weight.numel() for name, layer in layers(model).items()}


def _share(ask: Trial, name: str, share: object) -> float:
    """The share of a layer, if it is one."""
    if isinstance(share, Tensor) and share.dim() == 0:
        share = share.item()
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not is_number or not 0 <= share <= 1:
        percent = is_number and 1 < share <= 100
        ask.wrong(
            expected=f"a sparsity between 0 and 1 for {name}",
            got=show(share),
            likely=f"{share:g} % is {share / 100:g}" if percent else "",
        )
    return float(share)


@lab.step("fits", "a share for each layer")
def _chosen(ask: Trial) -> dict[str, float]:
    """The dictionary, if it is one from layers to shares."""
    chosen, names = ask.call(), list(layers(workbench().dense()))
    if not isinstance(chosen, Mapping):
        ask.wrong(
            expected="a dictionary from layers to sparsities",
            got=show(chosen),
            likely=common_cause({}, chosen),
        )
    shares = {}
    for name, share in chosen.items():
        if name not in names:
            full = next((n for n in names if n.split(".")[-1] == name), "")
            ask.wrong(
                expected=f"names of layers: {', '.join(names)}",
                got=show(name),
                likely=f"the full name is {full!r}" if full else "",
            )
        shares[name] = _share(ask, name, share)
    return shares


@lab.step("fits", "at most a quarter")
def _(ask: Trial) -> None:
    chosen, model = _chosen(ask), workbench().dense()
    dense, left = planned_bytes(model, {}), planned_bytes(model, chosen)
    if left <= SIZE * dense:
        return
    kept = {n: k - round(chosen.get(n, 0) * k) for n, k in _sizes(model).items()}
    largest = max(kept, key=kept.get)
    turned = {name: 1 - chosen.get(name, 0) for name in kept}
    upside_down = chosen and planned_bytes(model, turned) <= SIZE * dense
    ask.wrong(
        expected=f"at most {SIZE:.0%} of the dense size",
        got=f"{left / dense:.2%}, {left - SIZE * dense:,.0f} bytes too many; most of "
        f"it in {largest}: {4 * kept[largest] / dense:.2%}",
        likely="these look like the shares that stay; asked are those that go"
        if upside_down
        else "",
    )


def _accuracy(bench, shares: Shares) -> float:
    model = bench.dense()
    FineGrainedPruner(model, shares)
    return bench.accuracy(model, "val")


@cache
def _uniform_accuracy(bench) -> float:
    """With one share for all layers, so that just SIZE of the bytes stays."""
    model = bench.dense()
    sizes, whole = _sizes(model), planned_bytes(model, {}) / 4
    weights = sum(sizes.values())
    left = SIZE * whole - (whole - weights)
    return _accuracy(bench, dict.fromkeys(sizes, 1 - left / weights))


def _costly_layer(bench, chosen: Shares) -> str:
    """The layer that loses most where it alone is pruned as chosen."""
    model = bench.dense()
    some = [tensor[:500] for tensor in bench.images("val")]
    alone = {n: scan_layer(model, n, [s], *some)[s] for n, s in chosen.items()}
    name = min(alone, key=alone.get)
    lost = _percent_right(model, *some) - alone[name]
    return (
        f"{name} alone, {chosen[name]:.0%} of it gone, costs {lost:.0f} points: take "
        "less there and a little more from large layers whose curves are flat"
    )


@lab.step("beats uniform", "better than uniform")
def _(ask: Trial) -> None:
    chosen, bench = _chosen(ask), workbench()
    got, uniform = _accuracy(bench, chosen), _uniform_accuracy(bench)
    if got < uniform + MARGIN:
        ask.wrong(
            expected=f"at least {MARGIN:g} points above the uniform choice, "
            f"which reaches {uniform:.1f} %",
            got=f"{got:.1f} % on val before fine-tuning",
            likely=_costly_layer(bench, chosen),
        )


lab.help(
    "the full name is",
    "Layers inside `backbone` are called `backbone.conv0` and so on, as in `layers`.",
)
lab.help(
    "these look like the shares that stay",
    "A sparsity is the share that goes: 0.9 keeps a tenth.",
)


@lab.exercise("3.5", points={"rounds": 2, "holds": 2})
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
    "you prune to the final share in every round",
    _growing(lambda s, done, rounds: s),
)
lab.mistake(
    "the share grows by the same amount each round; it is what stays that is "
    "multiplied by the same factor",
    _growing(lambda s, done, rounds: s * done / rounds),
    help="`s * done / rounds` removes as many weights in the last round as in the "
    "first, when few are left. Multiply what stays.",
)


@lab.mistake(
    "the first call of finetune gets the unpruned network: prune before it, and "
    "count the rounds from 1",
    help="`range(rounds)` starts at 0, and $(1 - s)^0 = 1$: nothing is pruned. Or you "
    "train before you prune.",
)
def _(model, plan, rounds, finetune):
    for done in range(rounds):
        now = {name: 1 - (1 - s) ** (done / rounds) for name, s in plan.items()}
        finetune(model, FineGrainedPruner(model, now).apply)
    FineGrainedPruner(model, plan)


lab.mistake(
    "you divide the share by the number of rounds, so it never grows",
    _growing(lambda s, done, rounds: s / rounds),
)
lab.mistake(
    "finetune is called once only, after the last round",
    lambda model, plan, _, finetune: prune_in_rounds(model, plan, 1, finetune),
)


@lab.mistake("the zeros are not held: hand the pruner's apply to finetune")
def _(model, plan, rounds, finetune):
    def without_apply(model, after_step):
        finetune(model, lambda model: None)

    prune_in_rounds(model, plan, rounds, without_apply)


lab.mistake(
    "you work on a copy; the network that is handed over has to change",
    lambda model, *case: prune_in_rounds(copy.deepcopy(model), *case),
)
