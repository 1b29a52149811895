"""Checks of Lab 02, fine-grained pruning: the mask, the loop, the pruner, the bug."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore.checks.engine.compare import clone, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct, fill
from labcore.checks.engine.trial import Trial
from labcore.nets import MLP, VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

MATRIX = torch.tensor(
    [
        [0.34, -0.08, 0.50, -0.22, 0.12],
        [-0.46, 0.28, 0.02, 0.38, -0.16],
        [0.20, -0.42, -0.30, 0.06, 0.24],
        [-0.10, 0.36, 0.14, -0.48, 0.04],
        [0.44, -0.18, 0.26, 0.32, -0.40],
    ]
)
LEAF = (
    "Change weights under `with torch.no_grad():`, or write `@torch.no_grad()` above "
    "the function."
)


@lab.exercise("2.1", points={"idea": 3, "exactly": 3})
def fine_grained_prune(tensor: Tensor, sparsity: float) -> Tensor:
    order = tensor.abs().flatten().argsort()  # positions, smallest magnitude first
    removed = order[: round(sparsity * tensor.numel())]
    mask = torch.ones(tensor.numel(), dtype=torch.bool)
    mask[removed] = False
    mask = mask.reshape(tensor.shape)
    with torch.no_grad():
        tensor[~mask] = 0
    return mask


@lab.step("idea", "five values")
def _(ask: Trial) -> None:
    # these tell a rank from a position, and the largest from both
    ask(torch.tensor([0.3, -0.5, 0.9, 0.1, -0.2]), 0.4)


lab.step("idea", "the 5x5 matrix", lambda ask: ask(MATRIX.clone(), 0.6))


@lab.step("idea", "random weights")
def _(ask: Trial) -> None:
    for _ in range(4):
        share = torch.randint(1, 8, (), generator=ask.rng).item() / 8
        ask(distinct(ask.rng, 5, 2, 2, 2), share)


@lab.step("exactly", "rounding")
def _(ask: Trial) -> None:
    # 3.1 and 1.4 come before the halves: ceil() and quantile() fail there alone
    for count, sparsity in ((10, 0.31), (4, 0.35), (5, 0.5), (7, 0.5), (100, 0.29)):
        ask(distinct(ask.rng, count), sparsity)


@lab.step("exactly", "sparsity 0 and 1")
def _(ask: Trial) -> None:
    ask(distinct(ask.rng, 6), 0.0)
    ask(distinct(ask.rng, 6), 1.0)


@lab.step("exactly", "tiny tensors")
def _(ask: Trial) -> None:
    for shape, sparsity in (((1,), 0.4), ((1,), 0.6), ((1, 3), 0.1), ((25,), 0.01)):
        ask(distinct(ask.rng, *shape), sparsity)


@lab.step("exactly", "a zero that stays")
def _(ask: Trial) -> None:
    ask(torch.tensor([0.0, 0.5, -0.2, 0.3]), 0.0)


@lab.step("exactly", "equal magnitudes")
def _(ask: Trial) -> None:
    _ask_for_any(ask, torch.tensor([0.5, -0.5, 0.1, 0.5]), 0.5)
    _ask_for_any(ask, torch.full((10,), 0.1), 0.3)
    _ask_for_any(ask, torch.tensor([0.0, 0.0, 0.0, 1.0, -2.0]), 0.4)
    _ask_for_any(ask, 0.1 * torch.randint(-2, 3, (4, 5), generator=ask.rng), 0.6)


def _ask_for_any(ask: Trial, tensor: Tensor, sparsity: float) -> None:
    """Among equal magnitudes any may go, so the mask is judged by what it removes."""
    before = clone(tensor)
    mask = ask.call(tensor, sparsity)
    given = f"tensor = {show(before)}, sparsity = {sparsity:g}"
    likely = ask.known_mistake((before, sparsity), {}, mask)

    def wrong(expected: str, got: str) -> None:
        ask.wrong(given=given, expected=expected, got=got, likely=likely)

    kind = (getattr(mask, "dtype", None), getattr(mask, "shape", None))
    if kind != (torch.bool, before.shape):
        wrong(f"a bool tensor of shape {tuple(before.shape)}", show(mask))

    removed, kept = before[~mask].abs(), before[mask].abs()
    due, count = round(sparsity * before.numel()), before.numel()
    if len(removed) != due:
        wrong(f"{due} of {count} removed", f"{len(removed)} removed: {show(mask)}")

    if len(removed) and len(kept) and removed.max() > kept.min():
        wrong(
            "no removed value larger than one that is kept",
            f"{removed.max().item():g} removed, {kept.min().item():g} kept",
        )

    if not same(before * mask, tensor):
        got = f"an input that is now {show(tensor)}"
        ask.wrong(given=given, expected=show(before * mask), got=got)


@lab.step("exactly", "a parameter")
def _(ask: Trial) -> None:
    ask(distinct(ask.rng, 2, 3).requires_grad_(), 0.5)


@lab.step("exactly", "any memory layout")
def _(ask: Trial) -> None:
    ask(distinct(ask.rng, 4, 3).t(), 0.5)
    ask(distinct(ask.rng, 3, 8)[:, ::2], 0.25)
    weight = distinct(ask.rng, 3, 2, 3, 3)
    ask(weight.contiguous(memory_format=torch.channels_last), 0.75)


def _pruned_by(make_mask: Callable[[Tensor, int], Tensor]) -> Callable:
    """Pruning with another mask, made from the magnitudes and the number to remove."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        count = round(sparsity * tensor.numel())
        mask = make_mask(tensor.detach().abs(), count).reshape(tensor.shape)
        tensor.detach().mul_(mask)
        return mask

    return mistaken


def _by_order(order: Callable[[Tensor], Tensor]) -> Callable:
    """Pruning that ranks by something else than the magnitude."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        mask = fine_grained_prune(order(tensor.detach()).clone(), sparsity)
        tensor.detach().mul_(mask)
        return mask

    return mistaken


lab.mistake(
    "your mask is upside down: True should mean keep",
    lambda w, s: ~fine_grained_prune(w, s),
)
lab.mistake(
    "you remove the largest magnitudes; remove the smallest",
    _by_order(lambda w: 1 / w),
)
lab.mistake(
    "you rank the values, but -0.5 is large in magnitude: use abs()",
    _by_order(lambda w: w - w.min() + 1),
)
lab.mistake(
    "argsort() lists positions, not ranks; set mask[order[:k]] to False",
    _pruned_by(lambda magnitudes, count: magnitudes.flatten().argsort() >= count),
)
lab.mistake(
    "you keep the share that should go",
    lambda w, s: fine_grained_prune(w, 1 - s),
)


def _rows_by_position(magnitudes: Tensor, count: int) -> Tensor:
    mask = torch.ones(magnitudes.shape, dtype=torch.bool)
    mask[magnitudes.argsort()[:count]] = False
    return mask


def _positions_in_rows(magnitudes: Tensor, count: int) -> Tensor:
    mask = torch.ones(magnitudes.numel(), dtype=torch.bool)
    mask[magnitudes.argsort()[:count]] = False
    return mask


def _share_of_each_row(magnitudes: Tensor, count: int) -> Tensor:
    each = round(count * magnitudes.shape[-1] / magnitudes.numel())
    return magnitudes.argsort().argsort() >= each


for _slip in (_rows_by_position, _positions_in_rows, _share_of_each_row):
    lab.mistake(
        "argsort() sorts each row by itself; flatten() the magnitudes first",
        _pruned_by(_slip),
    )


@lab.mistake("you return the pruned tensor; return the mask")
def _(tensor, sparsity):
    fine_grained_prune(tensor, sparsity)
    return tensor.detach()


lab.mistake(
    "you return numbers; return a bool mask (True = keep)",
    lambda w, s: fine_grained_prune(w, s).to(w.dtype),
)
lab.mistake(
    "you return numbers; return a bool mask (True = keep)",
    lambda w, s: fine_grained_prune(w, s).long(),
)
lab.mistake(
    "your mask is flat; give it the shape of the tensor",
    lambda w, s: fine_grained_prune(w, s).flatten(),
)
lab.mistake(
    "the tensor itself is not changed: tensor.mul(mask) makes a new one, "
    "tensor.mul_(mask) does not",
    lambda w, s: fine_grained_prune(w.clone(), s),
    help="`tensor * mask` and `tensor.mul(mask)` make a new tensor. `tensor = ...` "
    "only gives a new meaning to the name inside your function.",
)
lab.mistake(
    "the signs are lost: abs_() changes the tensor, abs() makes a new one",
    lambda w, s: fine_grained_prune(w.detach().abs_(), s),
)


@lab.mistake("you fill the tensor with the mask; multiply the two")
def _(tensor, sparsity):
    mask = fine_grained_prune(tensor, sparsity)
    tensor.detach().copy_(mask)
    return mask


def _by_count(count: Callable[[float], int]) -> Callable:
    """Pruning that removes another number of weights."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        removed = count(sparsity * tensor.numel())
        return fine_grained_prune(tensor, removed / tensor.numel())

    return mistaken


lab.mistake("int() and // cut off; use round()", _by_count(int))
lab.mistake("ceil() always rounds up; use round()", _by_count(math.ceil))
lab.mistake(
    "2.5 weights become 2, not 3: use Python's round()",
    _by_count(lambda count: int(count + 0.5)),
)


@lab.mistake(
    "quantile() gives a value between two magnitudes, not the k-th; rank them instead"
)
def _(tensor, sparsity):
    magnitudes = tensor.detach().abs()
    mask = magnitudes > magnitudes.flatten().quantile(sparsity)
    tensor.detach().mul_(mask)
    return mask


@lab.mistake("order[-0:] is the whole list, so with nothing to keep you keep all")
@_pruned_by
def _(magnitudes, count):
    mask = torch.zeros(magnitudes.numel(), dtype=torch.bool)
    mask[magnitudes.flatten().argsort()[-(len(mask) - count) :]] = True
    return mask


@lab.mistake(
    "at k = 0 you read sorted[-1], the largest; with nothing to remove, keep all"
)
@_pruned_by
def _(magnitudes, count):
    return magnitudes > magnitudes.flatten().sort().values[count - 1]


@lab.mistake(
    "tensor != 0 is not the mask: a weight may be zero and stay; return the mask "
    "that you ranked"
)
def _(tensor, sparsity):
    fine_grained_prune(tensor, sparsity)
    return tensor.detach() != 0


def _by_threshold(keep: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Pruning by comparing with the largest magnitude that is to go."""

    def make_mask(magnitudes: Tensor, count: int) -> Tensor:
        if count == 0:
            return magnitudes >= 0
        return keep(magnitudes, magnitudes.flatten().kthvalue(count).values)

    return _pruned_by(make_mask)


lab.mistake(
    "a threshold cannot split equal magnitudes, so all of them go; rank them",
    _by_threshold(torch.gt),
)
lab.mistake(
    "the weight at the threshold should go too: compare by > instead of >=",
    _by_threshold(torch.ge),
)
lab.help(
    "view size is not compatible",
    "`view` needs the values in the usual order in memory. `reshape` and `flatten` "
    "take any order.",
)
lab.help(
    "selected number k out of range",
    "With nothing to remove there is no k-th smallest magnitude: treat k = 0 apart, or "
    "rank.",
)


Batch = tuple[Tensor, Tensor]
Masks = Mapping[str, Tensor]  # layer -> bool, True = keep


@lab.exercise("2.2", points={"learns": 3, "keeps the zeros": 3})
def train_masked(
    model: nn.Module,
    masks: Masks,
    batches: Sequence[Batch],
    optimizer: torch.optim.Optimizer,
) -> list[float]:
    losses = []
    model.train()
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _put_zeros_back(model, masks)
        losses.append(loss.item())
    return losses


@torch.no_grad()
def _put_zeros_back(model: nn.Module, masks: Masks) -> None:
    for name, mask in masks.items():
        model.get_submodule(name).weight[~mask] = 0


@dataclasses.dataclass
class Setting:
    """A training run on a network that is small enough to be shown."""

    model: nn.Module
    masks: Masks
    batches: Sequence[Batch]
    momentum: float = 0.0
    used: bool = False  # the optimizer has trained this network before

    def __repr__(self) -> str:
        removed = sum((~mask).sum().item() for mask in self.masks.values())
        many = len(self.batches)
        said = f"{removed} weights removed, {many} batch{'es' * (many > 1)}"
        said += f", momentum {self.momentum:g}" * (self.momentum > 0)
        return said + ", an optimizer that was used before" * self.used

    def play(self, train: Callable) -> object:
        """Train by the answer; the network's layers are pruned when it begins."""
        groups = {"lr": 0.5, "momentum": self.momentum}
        optimizer = torch.optim.SGD(self.model.parameters(), **groups)
        if self.used:
            train_masked(self.model, {}, self.batches, optimizer)
            optimizer.zero_grad()
        _put_zeros_back(self.model, self.masks)
        return train(self.model, self.masks, self.batches, optimizer)


def _setting(ask: Trial, *, norm: bool = False, removed: int = 0, batches: int = 1):
    """A layer of six weights (and BatchNorm before it), passed in eval mode."""
    parts = [("bn", nn.BatchNorm1d(3))] if norm else []
    fc = nn.Linear(3, 2, bias=False)
    fc.weight.detach().copy_(distinct(ask.rng, 2, 3, unit=0.1))
    model = nn.Sequential(OrderedDict([*parts, ("fc", fc)])).eval()
    masks = {}
    if removed:
        order = torch.randperm(6, generator=ask.rng)
        masks["fc"] = (order >= removed).view(2, 3)
    drawn = [
        (
            torch.randn((5, 3), generator=ask.rng) + 1,
            torch.randint(2, (5,), generator=ask.rng),
        )
        for _ in range(batches)
    ]
    return Setting(model, masks, drawn)


def _learned(train, setting):
    """the weights after training"""
    setting.play(train)
    return {"fc": setting.model.fc.weight.detach()}


def _losses(train, setting):
    """the list that is returned"""
    losses = setting.play(train)
    if isinstance(losses, list) and any(isinstance(each, Tensor) for each in losses):
        return "a list of tensors"
    return losses


def _statistics(train, setting):
    """BatchNorm's running mean after training"""
    setting.play(train)
    return {"running_mean": setting.model.bn.running_mean}


def _played(scenario: Callable, **options) -> Callable:
    """A step: the scenario in such a setting."""
    momentum, used = options.pop("momentum", 0.0), options.pop("used", False)

    def run(ask: Trial) -> None:
        setting = _setting(ask, **options)
        setting.momentum, setting.used = momentum, used
        ask.through(scenario, setting, names=["setting"])

    return run


lab.step("learns", "one batch", _played(_learned))
lab.step("learns", "three batches", _played(_learned, batches=3))
lab.step("learns", "the losses", _played(_losses, batches=3))
lab.step("learns", "training mode", _played(_statistics, norm=True, batches=2))
lab.step("keeps the zeros", "every step", _played(_learned, removed=2, batches=3))
lab.step(
    "keeps the zeros",
    "momentum",
    _played(_learned, removed=3, batches=3, momentum=0.9),
)
lab.step(
    "keeps the zeros",
    "an optimizer that was used before",
    _played(_learned, removed=3, batches=2, momentum=0.9, used=True),
)


def _zeros_by_layer(train, setting):
    """zeros under the masks, by layer, after training"""
    setting.play(train)
    weights = {n: setting.model.get_submodule(n).weight for n in setting.masks}
    return {n: (w[~setting.masks[n]] == 0).sum().item() for n, w in weights.items()}


@lab.step("keeps the zeros", "layers in blocks")
def _(ask: Trial) -> None:
    model = fill(VGG(width=2, in_channels=1), ask.rng)
    masks = {
        name: torch.rand(model.get_submodule(name).weight.shape, generator=ask.rng)
        > 0.5
        for name in ("backbone.conv1", "backbone.conv6", "classifier")
    }
    images = torch.randn((6, 1, 16, 16), generator=ask.rng)
    labels = torch.randint(10, (6,), generator=ask.rng)
    setting = Setting(model, masks, [(images, labels)] * 2)
    ask.through(_zeros_by_layer, setting, names=["setting"])


def _new_parameters(model: nn.Module, masks: Masks) -> None:
    for name, mask in masks.items():
        layer = model.get_submodule(name)
        layer.weight = nn.Parameter(layer.weight.detach() * mask)


def _rank_again(model: nn.Module, masks: Masks) -> None:
    for name, mask in masks.items():
        share = (~mask).double().mean().item()
        fine_grained_prune(model.get_submodule(name).weight, share)


def _upside_down(model: nn.Module, masks: Masks) -> None:
    _put_zeros_back(model, {name: ~mask for name, mask in masks.items()})


def _without_their_gradients(model: nn.Module, masks: Masks) -> None:
    for name, mask in masks.items():
        model.get_submodule(name).weight.grad[~mask] = 0


def _loop(
    actions: str,
    hold: Callable = _put_zeros_back,
    loss_of: Callable = F.cross_entropy,
    start: Callable = nn.Module.train,
    end: Callable = lambda model, masks: None,
    result: Callable = lambda losses: [loss.item() for loss in losses],
) -> Callable:
    """Another loop. actions   what is done after the forward pass, in this order"""

    def mistaken(model, masks, batches, optimizer):
        known = {
            "hold": lambda loss: hold(model, masks),
            "zero": lambda loss: optimizer.zero_grad(),
            "back": lambda loss: loss.backward(),
            "step": lambda loss: optimizer.step(),
        }
        before, _, after = actions.rpartition("forward ")
        losses = []
        start(model)
        for images, labels in batches:
            for action in before.split():
                known[action](None)
            losses.append(loss_of(model(images), labels))
            for action in after.split():
                known[action](losses[-1])
        end(model, masks)
        return result(losses)

    return mistaken


RIGHT = "zero back step hold"

for _actions in ("zero back hold", "back zero step hold"):
    lab.mistake(
        "the weights do not move: call zero_grad(), backward(), step(), in this order",
        _loop(_actions),
    )
lab.mistake(
    "gradients add up from batch to batch: call zero_grad() before backward()",
    _loop("back step hold"),
)
lab.mistake(
    "you train on the first batch only: return after the loop, not inside it",
    lambda model, masks, batches, optimizer: train_masked(
        model, masks, batches[:1], optimizer
    ),
)
lab.mistake(
    "cross_entropy() takes the scores as they are; leave out softmax()",
    _loop(RIGHT, loss_of=lambda scores, y: F.cross_entropy(scores.softmax(1), y)),
)
lab.mistake(
    "cross_entropy() takes (scores, labels), and the mean over the images",
    _loop(RIGHT, loss_of=lambda scores, y: F.cross_entropy(scores, y, reduction="sum")),
)
for _start in (lambda model: None, nn.Module.eval):
    lab.mistake(
        "the network is in eval mode; call model.train() before the loop",
        _loop(RIGHT, start=_start),
    )
lab.mistake(
    "the losses are tensors; append loss.item(), which is a plain number",
    _loop(RIGHT, result=list),
)
lab.mistake(
    "return one loss a batch; you return their mean",
    _loop(RIGHT, result=lambda losses: torch.stack(losses).mean().item()),
)
lab.mistake(
    "return one loss a batch; you return the last one only",
    _loop(RIGHT, result=lambda losses: losses[-1].item()),
)
lab.mistake(
    "you keep the weights under False and zero the others: write weight[~mask] = 0",
    _loop(RIGHT, hold=_upside_down),
)
lab.mistake(
    "you put the zeros back before step(), which moves them again; do it after step()",
    _loop("zero back hold step"),
)
lab.mistake(
    "you put the zeros back before the forward pass; after the last step they are lost",
    _loop("hold forward zero back step"),
)
lab.mistake(
    "the removed weights come back: after step(), set weight[~mask] to 0 in place",
    _loop("zero back step"),
    help="`weight = weight * mask` only gives the name `weight` a new meaning in your "
    "function; the layer keeps its old tensor. `weight[~mask] = 0` and "
    "`weight.mul_(mask)` change the layer. And `named_parameters()` says `fc.weight`, "
    "but `masks` says `fc`.",
)
lab.mistake(
    "you put the zeros back once, at the end; do it after every step()",
    _loop("zero back step", end=_put_zeros_back),
)
lab.mistake(
    "you rank the weights again; the masks say which weights have to be zero",
    _loop(RIGHT, hold=_rank_again),
)
lab.mistake(
    "a new nn.Parameter is unknown to the optimizer; change the old one in place",
    _loop(RIGHT, hold=_new_parameters),
)
lab.mistake(
    "you zero the gradients, but momentum still moves the weights: zero the weights",
    _loop("zero back hold step", hold=_without_their_gradients),
    help="Momentum remembers gradients from before the pruning, and weight decay moves "
    "weights too. Only zeros that are put back after `step()` are safe from both.",
)
lab.help("a leaf Variable that requires grad", LEAF)
lab.help(
    "does not require grad",
    "`loss.backward()` needs the record that `torch.no_grad()` switches off. Put only "
    "the lines that write zeros under it.",
)


@lab.exercise("2.3", points={"prunes": 2, "holds": 2})
class FineGrainedPruner:
    def __init__(self, model: nn.Module, sparsity_dict: Mapping[str, float]) -> None:
        self.masks = {
            name: fine_grained_prune(model.get_submodule(name).weight, sparsity)
            for name, sparsity in sparsity_dict.items()
        }

    def apply(self, model: nn.Module) -> None:
        with torch.no_grad():
            for name, mask in self.masks.items():
                model.get_submodule(name).weight[~mask] = 0


HALF = {"fc1": 0.5}
BOTH = {"fc1": 0.5, "fc2": 0.25}


def _small(scenario: Callable, sparsities: Mapping[str, float]) -> Callable:
    """A step that plays the scenario on a network of two layers."""

    def run(ask: Trial) -> None:
        model = fill(MLP(3, (2,), 2), ask.rng, unit=0.1)
        ask.through(scenario, model, sparsities)

    return run


def _weights_of(model: nn.Module) -> dict:
    """Short enough for a message: the weights by layer, the biases as their sum."""
    weights = {
        name.removesuffix(".weight"): parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1
    }
    others = sum(p.sum().item() for p in model.parameters() if p.dim() == 1)
    return weights | {"sum of biases": others}


NO_DICTIONARY = "no dictionary"


def _after(pruner, model, sparsities):
    """the weights and self.masks afterwards"""
    masks = getattr(pruner(model, sparsities), "masks", None)
    if isinstance(masks, Mapping):
        held = [name for name in sparsities if name in masks]
        kind = f"a dictionary with {', '.join(held) or 'no layer'}"
    elif masks is None:
        is_class = hasattr(pruner, "__mro__")
        kind = "missing" if is_class else "missing, as this is no class"
    else:
        kind = NO_DICTIONARY
    return _weights_of(model) | {"self.masks": kind}


def _masks(pruner, model, sparsities):
    """.masks"""
    masks = pruner(model, sparsities).masks
    return dict(masks) if isinstance(masks, Mapping) else NO_DICTIONARY


@torch.no_grad()
def _two(pruner, model, sparsities):
    """.masks of the first of two pruners, for two networks"""
    other = clone(model)
    other.fc1.weight.copy_(other.fc1.weight.flip(0, 1))
    first = pruner(model, sparsities)
    pruner(other, sparsities)
    return {name: first.masks[name] for name in sparsities}


lab.step("prunes", "one layer", _small(_after, HALF))
lab.step("prunes", "two pruners", _small(_two, HALF))
lab.step("prunes", "a share for each layer", _small(_after, BOTH))
lab.step("prunes", "masks", _small(_masks, BOTH))


@torch.no_grad()
def _grown(model: nn.Module) -> nn.Module:
    """As if trained: no weight is zero, and those that were small are no longer."""
    for parameter in model.parameters():
        values = torch.linspace(1, 2, parameter.numel())
        parameter.copy_(values.view(parameter.shape))
    return model


def _held(pruner, model, sparsities):
    """all weights set to 1 ... 2 by training, then .apply(model)"""
    made = pruner(model, sparsities)
    for _ in range(2):
        made.apply(_grown(model))
    return _weights_of(model)


def _other(pruner, model, sparsities):
    """all weights set to 1 ... 2, then .apply(copy of the model)"""
    made = pruner(model, sparsities)
    copy = clone(_grown(model))
    made.apply(copy)
    return {"copy": _weights_of(copy), "model": _weights_of(model)}


def _trainable(pruner, model, sparsities):
    """the parameters after .apply(model)"""
    before = list(model.parameters())
    pruner(model, sparsities).apply(model)
    kept = all(a is b for a, b in zip(before, model.parameters(), strict=True))
    learn = all(parameter.requires_grad for parameter in model.parameters())
    return {"the same objects as before": kept, "they require grad": learn}


lab.step("holds", "zeros again after a step", _small(_held, BOTH))
lab.step("holds", "a copy of the network", _small(_other, BOTH))
lab.step("holds", "training can go on", _small(_trainable, BOTH))


@lab.step("holds", "layers in blocks")
def _(ask: Trial) -> None:
    names = ["classifier", *(f"backbone.conv{i}" for i in range(8))]
    shares = torch.rand(len(names), generator=ask.rng).tolist()
    sparsities = dict(zip(names, shares, strict=True))
    for scenario in (_after, _masks, _held):
        ask.through(scenario, fill(VGG(width=2), ask.rng), sparsities)


NOTHING = (
    "`named_parameters()` says `fc1.weight`, but the keys are names of layers, `fc1`: "
    "use `model.get_submodule(name).weight`. And `weight * mask` makes a new tensor: "
    "write `weight[~mask] = 0`."
)


@lab.mistake(
    "self.masks stays empty: the keys are layers, 'fc1', not parameters, 'fc1.weight'",
    help=NOTHING,
)
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        self.masks = {}


@lab.mistake("self.masks is missing: store the masks under this name")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        del self.masks


@lab.mistake("self.masks has to be a dictionary, with the layers' names as its keys")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.masks = list(self.masks.values())


@lab.mistake("this is a function; write a class, with __init__ and apply")
def _(model, sparsity_dict):
    FineGrainedPruner(model, sparsity_dict)


@lab.mistake("__init__ prunes nothing and stores no masks; do both there")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        self.sparsity_dict = sparsity_dict

    def apply(self, model):
        super().__init__(model, self.sparsity_dict)


@lab.mistake("the weights are not pruned; prune them in __init__, in place")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(clone(model), sparsity_dict)


@lab.mistake("masks belongs to the class, so all pruners share it: write self.masks")
class _(FineGrainedPruner):
    masks: dict = {}  # noqa: RUF012

    def __init__(self, model, sparsity_dict):
        for name, sparsity in sparsity_dict.items():
            weight = model.get_submodule(name).weight
            self.masks[name] = fine_grained_prune(weight, sparsity)


@lab.mistake("every layer has its own sparsity")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, dict.fromkeys(sparsity_dict, sparsity_dict["fc1"]))


@lab.mistake("you prune layers that sparsity_dict does not name")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        names = [n for n, m in model.named_modules() if hasattr(m, "weight")]
        super().__init__(model, dict.fromkeys(names, 0.5) | sparsity_dict)


@lab.mistake("you prune the biases too; prune only the weights")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        for name, sparsity in sparsity_dict.items():
            fine_grained_prune(model.get_submodule(name).bias, sparsity)


@lab.mistake("the keys of masks should be the layers' names, as in sparsity_dict")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.masks = {f"{name}.weight": mask for name, mask in self.masks.items()}


@lab.mistake(
    "apply() changes nothing in the network it is given",
    help=NOTHING,
)
class _(FineGrainedPruner):
    def apply(self, model):
        pass


@lab.mistake(
    "apply() ranks the weights again; use the masks made at the start",
)
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.sparsity_dict = sparsity_dict

    def apply(self, model):
        FineGrainedPruner(model, self.sparsity_dict)


@lab.mistake("apply() changes the first network; change the one it is given")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.model = model

    def apply(self, model):
        super().apply(self.model)


@lab.mistake("apply() brings the old weights back; it should only put zeros back")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.old = {n: clone(model.get_submodule(n).weight) for n in sparsity_dict}

    @torch.no_grad()
    def apply(self, model):
        for name, weight in self.old.items():
            model.get_submodule(name).weight.copy_(weight)


@lab.mistake(
    "a new nn.Parameter is unknown to the optimizer; change the old one in place"
)
class _(FineGrainedPruner):
    def apply(self, model):
        _new_parameters(model, self.masks)


lab.help("a leaf Variable that requires grad", LEAF)


@lab.exercise("2.4", points={"the network": 2, "all of it": 2})
def times_smaller(model: nn.Module, masks: Masks) -> float:
    everything = nonzero = 0
    for parameter in model.parameters():
        everything += parameter.numel()
        nonzero += parameter.count_nonzero().item()
    return everything / nonzero


def _bare(ask: Trial, *sizes: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """Layers without biases, and masks for all of them: no other parameter is left."""
    parts = [
        (f"fc{place}", nn.Linear(fan_in, fan_out, bias=False))
        for place, (fan_in, fan_out) in enumerate(
            zip(sizes, sizes[1:], strict=False), 1
        )
    ]
    model = fill(nn.Sequential(OrderedDict(parts)), ask.rng, unit=0.1)
    return model, FineGrainedPruner(model, {name: 0.5 for name, _ in parts}).masks


@torch.no_grad()
def _back(model: nn.Module, masks: Masks, count: int) -> None:
    """This number of the first layer's removed weights is no longer zero."""
    name, mask = next(iter(masks.items()))
    places = (~mask).flatten().nonzero()[:count, 0]
    weight = model.get_submodule(name).weight
    weight.view(-1)[places] = 0.7


lab.step("the network", "all zeros in place", lambda ask: ask(*_bare(ask, 4, 2)))


@lab.step("the network", "all zeros gone")
def _(ask: Trial) -> None:
    model, masks = _bare(ask, 4, 2)
    _back(model, masks, 4)
    ask(model, masks)


@lab.step("the network", "some zeros gone")
def _(ask: Trial) -> None:
    model, masks = _bare(ask, 4, 3, 2)
    _back(model, masks, 2)
    ask(model, masks)


@lab.step("the network", "a kept weight of zero")
def _(ask: Trial) -> None:
    model, masks = _bare(ask, 4, 2)
    (mask,) = masks.values()
    model.fc1.weight.detach()[mask.nonzero()[0].unbind()] = 0
    ask(model, masks)


@lab.step("all of it", "a layer that was not pruned")
def _(ask: Trial) -> None:
    model, masks = _bare(ask, 4, 3, 2)
    model, _ = _bare(ask, 4, 3, 2)
    del masks["fc2"]
    fill(model, ask.rng, unit=0.1)
    _put_zeros_back(model, masks)
    ask(model, masks)


@lab.step("all of it", "nothing pruned")
def _(ask: Trial) -> None:
    ask(fill(MLP(3, (2,), 2), ask.rng), {})


@lab.step("all of it", "biases too")
def _(ask: Trial) -> None:
    model = fill(MLP(4, (3,), 2), ask.rng)
    ask(model, FineGrainedPruner(model, BOTH).masks)


@lab.step("all of it", "layers in blocks")
def _(ask: Trial) -> None:
    for _ in range(3):
        model = fill(VGG(width=2), ask.rng)
        masks = FineGrainedPruner(
            model, {"backbone.conv6": 0.9, "classifier": 0.5}
        ).masks
        _back(model, masks, 30)
        ask(model, masks)


def _ratio(parts: Callable[[nn.Module, Masks], list[Tensor]]) -> Callable:
    """All values over the nonzero ones, counted in other tensors."""

    def mistaken(model: nn.Module, masks: Masks) -> float:
        counted = parts(model, masks)
        nonzero = sum(part.count_nonzero().item() for part in counted)
        return sum(part.numel() for part in counted) / nonzero

    return mistaken


def _pruned_weights(model: nn.Module, masks: Masks) -> list[Tensor]:
    return [model.get_submodule(name).weight for name in masks]


def _after_masking(model: nn.Module, masks: Masks) -> list[Tensor]:
    """All parameters, as they would be if the masks were applied."""
    model = clone(model)
    _put_zeros_back(model, masks)
    return list(model.parameters())


for _counted in (
    lambda model, masks: [model.get_submodule(n).weight * masks[n] for n in masks],
    lambda model, masks: list(masks.values()),
    _after_masking,
):
    lab.mistake(
        "you count zeros of the masks; count the zeros that the network has",
        _ratio(_counted),
        help="A mask says what *should* be zero. Test a report on a network that was "
        "never pruned: it has to say 1.0.",
    )
lab.mistake(
    "you count only the layers in masks; count all parameters of the network",
    _ratio(_pruned_weights),
)
lab.mistake(
    "you count the weights only; biases and BatchNorm's parameters are stored too",
    _ratio(lambda model, masks: [p for p in model.parameters() if p.dim() > 1]),
)
lab.mistake(
    "state_dict() also holds BatchNorm's statistics; count model.parameters()",
    _ratio(lambda model, masks: list(model.state_dict().values())),
)


@lab.mistake(
    "you divide by the nonzero weights in masks; divide by all that are nonzero"
)
def _(model, masks):
    nonzero = sum(w.count_nonzero().item() for w in _pruned_weights(model, masks))
    return sum(p.numel() for p in model.parameters()) / nonzero


lab.mistake(
    "that is the share that is left; how many times smaller is 1 divided by it",
    lambda model, masks: 1 / times_smaller(model, masks),
)
lab.mistake(
    "// cuts off the digits after the point; divide with /",
    lambda model, masks: int(times_smaller(model, masks)),
)
lab.mistake(
    "you average over the tensors; add up first and divide once",
    lambda model, masks: (
        sum(p.numel() / p.count_nonzero().item() for p in model.parameters())
        / len(list(model.parameters()))
    ),
)
