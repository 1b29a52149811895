"""Checks of Lab 02, fine-grained pruning: the mask, the pruner, what stays zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

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


@lab.exercise("2.1", points={"idea": 4, "exactly": 4})
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
    ask(torch.tensor([-0.5, 0.1, 0.3, 0.9, -0.2]), 0.4)


lab.step("idea", "the 5x5 matrix", lambda ask: ask(MATRIX.clone(), 0.6))


@lab.step("idea", "random weights")
def _(ask: Trial) -> None:
    for _ in range(4):
        share = torch.randint(1, 8, (), generator=ask.rng).item() / 8
        ask(distinct(ask.rng, 5, 2, 2, 2), share)


@lab.step("exactly", "rounding")
def _(ask: Trial) -> None:
    for count, sparsity in ((5, 0.5), (7, 0.5), (3, 0.4), (100, 0.29)):
        ask(distinct(ask.rng, count), sparsity)


@lab.step("exactly", "sparsity 0 and 1")
def _(ask: Trial) -> None:
    ask(distinct(ask.rng, 6), 0.0)
    ask(distinct(ask.rng, 6), 1.0)


@lab.step("exactly", "tiny tensors")
def _(ask: Trial) -> None:
    for shape, sparsity in (((1,), 0.4), ((1,), 0.6), ((1, 3), 0.1), ((25,), 0.01)):
        ask(distinct(ask.rng, *shape), sparsity)


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


def _by_order(order: Callable[[Tensor], Tensor]) -> Callable:
    """Pruning that ranks by something else than the magnitude."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        mask = fine_grained_prune(order(tensor.detach()).clone(), sparsity)
        tensor.detach().mul_(mask)
        return mask

    return mistaken


lab.mistake(
    "the mask is upside down: True means keep",
    lambda w, s: ~fine_grained_prune(w, s),
)
lab.mistake(
    "you remove the largest magnitudes; the smallest go",
    _by_order(lambda w: 1 / w),
)
lab.mistake(
    "you rank the values; -0.5 is large in magnitude: take abs()",
    _by_order(lambda w: w - w.min() + 1),
)
lab.mistake(
    "you keep the share that has to go",
    lambda w, s: fine_grained_prune(w, 1 - s),
)


@lab.mistake("you return the pruned tensor; asked is the mask")
def _(tensor, sparsity):
    fine_grained_prune(tensor, sparsity)
    return tensor.detach()


lab.mistake(
    "the mask holds numbers; asked is dtype bool",
    lambda w, s: fine_grained_prune(w, s).to(w.dtype),
)
lab.mistake(
    "the tensor is not changed in place: tensor.mul(mask) makes a new one, "
    "tensor.mul_(mask) does not",
    lambda w, s: fine_grained_prune(w.clone(), s),
    help="`tensor * mask` and `tensor.mul(mask)` make a new tensor. `tensor = ...` "
    "only gives a new meaning to the name inside your function.",
)
lab.mistake(
    "the signs are lost: abs_() changes the tensor, abs() makes a new one",
    lambda w, s: fine_grained_prune(w.detach().abs_(), s),
)


@lab.mistake("you fill the tensor with the mask; multiply it")
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


lab.mistake("int() cuts off; the rule is round()", _by_count(int))
lab.mistake(
    "halves go to the even number: use Python's round()",
    _by_count(lambda count: int(count + 0.5)),
)


def _by_threshold(keep: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Pruning by comparing with the largest magnitude that is to go."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        magnitudes = tensor.detach().abs()
        mask = magnitudes >= 0
        if count := round(sparsity * tensor.numel()):
            mask = keep(magnitudes, magnitudes.flatten().kthvalue(count).values)
        tensor.detach().mul_(mask)
        return mask

    return mistaken


lab.mistake(
    "a threshold cannot split equal magnitudes, so all of them go; rank them",
    _by_threshold(torch.gt),
    help="Of three equal values a threshold removes all or none. Rank instead: "
    "`argsort` puts them in some order.",
)
lab.mistake(
    "the value at the threshold has to go too, so it is > and not >=",
    _by_threshold(torch.ge),
)


@lab.exercise("2.2", points={"idea": 1, "any tensor": 1})
def sparsity_leaving(tensor: Tensor, nonzeros: int) -> float:
    return (tensor.numel() - nonzeros) / tensor.numel()


lab.step("idea", "ten of 25", lambda ask: ask(MATRIX.clone(), 10))
lab.step("idea", "three of eight", lambda ask: ask(distinct(ask.rng, 2, 4), 3))
lab.step("any tensor", "one of three", lambda ask: ask(distinct(ask.rng, 3), 1))


@lab.step("any tensor", "zeros already there")
def _(ask: Trial) -> None:
    ask(torch.tensor([0.0, 0.5, 0.0, 0.2]), 1)


@lab.step("any tensor", "random sizes")
def _(ask: Trial) -> None:
    for _ in range(5):
        shape = torch.randint(1, 7, (4,), generator=ask.rng).tolist()
        weight = distinct(ask.rng, *shape)
        some = torch.randint(weight.numel() + 1, (), generator=ask.rng).item()
        ask(weight, some)


lab.mistake(
    "that is the share that stays; asked is the share that goes",
    lambda t, k: k / t.numel(),
)
lab.mistake(
    "that is how many go; divide by the number of values",
    lambda t, k: t.numel() - k,
)
lab.mistake(
    "that is a percentage; a sparsity lies between 0 and 1",
    lambda t, k: 100 * (1 - k / t.numel()),
)
lab.mistake(
    "len(tensor) is the length of the first axis; numel() counts all values",
    lambda t, k: 1 - k / len(t),
)
lab.mistake(
    "zeros that are there already count as removed; divide by all values",
    lambda t, k: 1 - k / t.count_nonzero().item(),
)
lab.mistake("you round; 2 / 3 is not 0.67", lambda t, k: round(1 - k / t.numel(), 2))
lab.mistake(
    "whole-number division // loses the fraction",
    lambda t, k: (t.numel() - k) // t.numel(),
)


@lab.exercise("2.3", points={"prunes": 3, "holds": 3})
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


def _after(pruner, model, sparsities):
    """the weights afterwards"""
    pruner(model, sparsities)
    return _weights_of(model)


def _masks(pruner, model, sparsities):
    """.masks"""
    return dict(pruner(model, sparsities).masks)


lab.step("prunes", "one layer", _small(_after, HALF))
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


@lab.mistake("the weights are not pruned when the pruner is made")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(clone(model), sparsity_dict)


@lab.mistake("every layer has its own sparsity")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, dict.fromkeys(sparsity_dict, sparsity_dict["fc1"]))


@lab.mistake("you prune layers that are not in sparsity_dict")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        names = [n for n, m in model.named_modules() if hasattr(m, "weight")]
        super().__init__(model, dict.fromkeys(names, 0.5) | sparsity_dict)


@lab.mistake("you prune the biases too; asked are the weights")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        for name, sparsity in sparsity_dict.items():
            fine_grained_prune(model.get_submodule(name).bias, sparsity)


@lab.mistake("the keys of masks are the layers' names, as in sparsity_dict")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.masks = {f"{name}.weight": mask for name, mask in self.masks.items()}


@lab.mistake("apply() does nothing")
class _(FineGrainedPruner):
    def apply(self, model):
        pass


@lab.mistake(
    "apply() ranks anew; it has to use the masks made at the start",
    help="After training other weights are the smallest. `apply` must not call "
    "`fine_grained_prune`; it uses the stored masks.",
)
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.sparsity_dict = sparsity_dict

    def apply(self, model):
        FineGrainedPruner(model, self.sparsity_dict)


@lab.mistake("apply() changes the first model; it has to change its argument")
class _(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.model = model

    def apply(self, model):
        super().apply(self.model)


@lab.mistake("apply() puts the old weights back; only the zeros are to stay")
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
        for name, mask in self.masks.items():
            layer = model.get_submodule(name)
            layer.weight = nn.Parameter(layer.weight.detach() * mask)


lab.help(
    "a leaf Variable that requires grad",
    "The weights are being trained, so PyTorch refuses a change in place that it "
    "should record. Put `@torch.no_grad()` above `apply`.",
)


Masks = Mapping[str, Tensor]


@lab.exercise("2.4", points={"idea": 2, "any network": 2})
def still_zero(model: nn.Module, masks: Masks) -> float:
    zeros = count = 0
    for name, mask in masks.items():
        removed = model.get_submodule(name).weight[~mask]
        zeros += (removed == 0).sum().item()
        count += removed.numel()
    return zeros / count if count else 1.0


def _one_back() -> tuple[nn.Module, dict[str, Tensor]]:
    """Five weights were removed, one of them is back; one that was kept is zero."""
    model = MLP(7, (1,), 1)
    weight = torch.tensor([[0.0, 0.5, 0.7, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[False, True, False, True, False, False, False]])
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    model.fc1.weight.detach().copy_(weight)
    return model, {"fc1": mask}


lab.step("idea", "one of five is back", lambda ask: ask(*_one_back()))


@lab.step("idea", "layers of different size")
def _(ask: Trial) -> None:
    model, masks = _one_back()
    masks["fc2"] = torch.tensor([[False]])
    ask(model, masks)  # zeros: 4 of 5 removed weights and 0 of 1, so 4 of 6


@lab.step("any network", "nothing removed")
def _(ask: Trial) -> None:
    model, masks = _one_back()
    ask(model, {"fc1": torch.ones_like(masks["fc1"])})


@lab.step("any network", "layers in blocks")
def _(ask: Trial) -> None:
    sparsities = {"backbone.conv1": 0.5, "backbone.conv6": 0.9, "classifier": 0.2}
    for _ in range(2):
        model = fill(VGG(width=2), ask.rng)
        masks = FineGrainedPruner(model, sparsities).masks
        for name in masks:
            weight = model.get_submodule(name).weight.detach()
            weight[torch.rand(weight.shape, generator=ask.rng) < 0.3] = 1
        ask(model, masks)


@lab.mistake("that is the average over the layers; add up first, divide once")
def _(model, masks):
    shares = [still_zero(model, {name: mask}) for name, mask in masks.items()]
    return sum(shares) / len(shares)


lab.mistake(
    "that is the share that is back; asked is the share still zero",
    lambda model, masks: 1 - still_zero(model, masks),
)


@lab.mistake("you look at the kept weights; ~mask picks the removed ones")
def _(model, masks):
    return still_zero(model, {name: ~mask for name, mask in masks.items()})


def _removed(model: nn.Module, masks: Masks) -> Tensor:
    """The present values of the weights that were removed."""
    return torch.cat([model.get_submodule(n).weight[~m] for n, m in masks.items()])


def _all_weights(model: nn.Module, masks: Masks) -> Tensor:
    return torch.cat([model.get_submodule(name).weight.flatten() for name in masks])


def _zeros(values: Tensor) -> int:
    return (values == 0).sum().item()


@lab.mistake(
    "you count every zero; look only where the mask is False",
    help="A kept weight may be zero as well. Look only where the mask is `False`.",
)
def _(model, masks):
    weights = _all_weights(model, masks)
    return _zeros(weights) / len(weights)


@lab.mistake("you divide by all weights; divide by the number of removed ones")
def _(model, masks):
    return _zeros(_removed(model, masks)) / len(_all_weights(model, masks))


lab.mistake(
    "that is a number of weights; asked is a share",
    lambda model, masks: _zeros(_removed(model, masks)),
)
lab.mistake(
    "that is a percentage; asked is a share between 0 and 1",
    lambda model, masks: 100 * still_zero(model, masks),
)


def _with_none(result: float) -> Callable:
    """still_zero, but with another result where no weight was removed."""
    return lambda *case: still_zero(*case) if len(_removed(*case)) else result


lab.mistake(
    "nothing removed, so nothing is back: 1.0 where there is no such weight",
    _with_none(0.0),
)
lab.mistake(
    "0 / 0 is no number: return 1.0 where no weight was removed",
    _with_none(float("nan")),
)
