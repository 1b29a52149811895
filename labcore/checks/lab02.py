"""Checks of Lab 02, fine-grained pruning: the mask, the pruner, what stays zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import clone, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
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


def _random_weights(ask: Trial) -> None:
    for _ in range(4):
        share = torch.randint(1, 8, (), generator=ask.rng).item() / 8
        ask(distinct(ask.rng, 5, 2, 2, 2), share)


def _rounding(ask: Trial) -> None:
    for count, sparsity in ((5, 0.5), (7, 0.5), (3, 0.4), (100, 0.29)):
        ask(distinct(ask.rng, count), sparsity)


def _all_or_nothing(ask: Trial) -> None:
    ask(distinct(ask.rng, 6), 0.0)
    ask(distinct(ask.rng, 6), 1.0)


def _tiny(ask: Trial) -> None:
    for shape, sparsity in (((1,), 0.4), ((1,), 0.6), ((1, 3), 0.1), ((25,), 0.01)):
        ask(distinct(ask.rng, *shape), sparsity)


def _ties(ask: Trial) -> None:
    _hold_to_the_rule(ask, torch.tensor([0.5, -0.5, 0.1, 0.5]), 0.5)
    _hold_to_the_rule(ask, torch.full((10,), 0.1), 0.3)
    _hold_to_the_rule(ask, torch.tensor([0.0, 0.0, 0.0, 1.0, -2.0]), 0.4)
    levels = torch.randint(-2, 3, (4, 5), generator=ask.rng)
    _hold_to_the_rule(ask, 0.1 * levels, 0.6)


def _hold_to_the_rule(ask: Trial, tensor: Tensor, sparsity: float) -> None:
    """Among equal magnitudes any may go, so the mask is judged by what it removes."""
    before, given = clone(tensor), f"tensor = {show(tensor)}, sparsity = {sparsity:g}"
    mask = ask.call(tensor, sparsity)
    likely = ask.known_mistake((before, sparsity), {}, mask)
    kind = (getattr(mask, "dtype", None), getattr(mask, "shape", None))
    if kind != (torch.bool, before.shape):
        expected = f"a bool tensor of shape {tuple(before.shape)}"
        ask.wrong(given=given, expected=expected, got=show(mask), likely=likely)
    removed, kept = before[~mask].abs(), before[mask].abs()
    due, n = round(sparsity * before.numel()), before.numel()
    if len(removed) != due:
        expected, got = f"{due} of {n} removed", f"{len(removed)} removed: {show(mask)}"
        ask.wrong(given=given, expected=expected, got=got, likely=likely)
    if len(removed) and len(kept) and removed.max() > kept.min():
        expected = "no removed value larger than one that is kept"
        got = f"{removed.max().item():g} removed, {kept.min().item():g} kept"
        ask.wrong(given=given, expected=expected, got=got, likely=likely)
    if not same(before * mask, tensor):
        expected, got = show(before * mask), f"an input that is now {show(tensor)}"
        ask.wrong(given=given, expected=expected, got=got)


def _parameter(ask: Trial) -> None:
    ask(distinct(ask.rng, 2, 3).requires_grad_(), 0.5)


def _layouts(ask: Trial) -> None:
    ask(distinct(ask.rng, 4, 3).t(), 0.5)
    ask(distinct(ask.rng, 3, 8)[:, ::2], 0.25)
    weight = distinct(ask.rng, 3, 2, 3, 3).contiguous(memory_format=torch.channels_last)
    ask(weight, 0.75)


def _by_order(order: Callable[[Tensor], Tensor]) -> Callable:
    """Pruning that ranks by something else than the magnitude."""

    def mistaken(tensor: Tensor, sparsity: float) -> Tensor:
        mask = fine_grained_prune(order(tensor.detach()).clone(), sparsity)
        tensor.detach().mul_(mask)
        return mask

    return mistaken


def _by_count(count: Callable[[float], int]) -> Callable:
    """Pruning that removes another number of weights."""
    return lambda tensor, sparsity: fine_grained_prune(
        tensor, count(sparsity * tensor.numel()) / tensor.numel()
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


def _upside_down(tensor: Tensor, sparsity: float) -> Tensor:
    return ~fine_grained_prune(tensor, sparsity)


def _pruned_tensor(tensor: Tensor, sparsity: float) -> Tensor:
    fine_grained_prune(tensor, sparsity)
    return tensor.detach()


def _not_in_place(tensor: Tensor, sparsity: float) -> Tensor:
    return fine_grained_prune(tensor.clone(), sparsity)


def _without_signs(tensor: Tensor, sparsity: float) -> Tensor:
    return fine_grained_prune(tensor.detach().abs_(), sparsity)


def _mask_as_tensor(tensor: Tensor, sparsity: float) -> Tensor:
    mask = fine_grained_prune(tensor, sparsity)
    tensor.detach().copy_(mask)
    return mask


lab.step(
    "idea",
    "five values",
    lambda ask: ask(torch.tensor([-0.5, 0.1, 0.3, 0.9, -0.2]), 0.4),
)
lab.step("idea", "the 5x5 matrix", lambda ask: ask(MATRIX.clone(), 0.6))
lab.step("idea", "random weights", _random_weights)
lab.step("exactly", "rounding", _rounding)
lab.step("exactly", "sparsity 0 and 1", _all_or_nothing)
lab.step("exactly", "tiny tensors", _tiny)
lab.step("exactly", "equal magnitudes", _ties)
lab.step("exactly", "a parameter", _parameter)
lab.step("exactly", "any memory layout", _layouts)
lab.mistake("the mask is upside down: True means keep", _upside_down)
lab.mistake(
    "you remove the largest magnitudes; the smallest go", _by_order(lambda w: 1 / w)
)
lab.mistake(
    "you rank the values; -0.5 is large in magnitude: take abs()",
    _by_order(lambda w: w - w.min() + 1),
)
lab.mistake(
    "you keep the share that has to go", lambda w, s: fine_grained_prune(w, 1 - s)
)
lab.mistake("you return the pruned tensor; asked is the mask", _pruned_tensor)
lab.mistake(
    "the mask holds numbers; asked is dtype bool",
    lambda w, s: fine_grained_prune(w, s).to(w.dtype),
)
lab.mistake(
    "the tensor is not changed in place: tensor.mul(mask) makes a new one, "
    "tensor.mul_(mask) does not",
    _not_in_place,
    help=(
        "`tensor * mask` and `tensor.mul(mask)` make a new tensor. `tensor "
        "= ...` only gives a new meaning to the name inside your function."
    ),
)
lab.mistake(
    "the signs are lost: abs_() changes the tensor, abs() makes a new one",
    _without_signs,
)
lab.mistake("you fill the tensor with the mask; multiply it", _mask_as_tensor)
lab.mistake("int() cuts off; the rule is round()", _by_count(int))
lab.mistake(
    "halves go to the even number: use Python's round()",
    _by_count(lambda count: int(count + 0.5)),
)
lab.mistake(
    "a threshold cannot split equal magnitudes, so all of them go; rank them",
    _by_threshold(torch.gt),
    help=(
        "Of three equal values a threshold removes all or none. Rank "
        "instead: `argsort` puts them in some order."
    ),
)
lab.mistake(
    "the value at the threshold has to go too, so it is > and not >=",
    _by_threshold(torch.ge),
)


@lab.exercise("2.2", points={"idea": 1, "any tensor": 1})
def sparsity_leaving(tensor: Tensor, nonzeros: int) -> float:
    return (tensor.numel() - nonzeros) / tensor.numel()


def _any_size(ask: Trial) -> None:
    for _ in range(5):
        weight = distinct(
            ask.rng, *torch.randint(1, 7, (4,), generator=ask.rng).tolist()
        )
        some = torch.randint(weight.numel() + 1, (), generator=ask.rng).item()
        ask(weight, some)


lab.step("idea", "ten of 25", lambda ask: ask(MATRIX.clone(), 10))
lab.step("idea", "three of eight", lambda ask: ask(distinct(ask.rng, 2, 4), 3))
lab.step("any tensor", "one of three", lambda ask: ask(distinct(ask.rng, 3), 1))
lab.step(
    "any tensor",
    "zeros already there",
    lambda ask: ask(torch.tensor([0.0, 0.5, 0.0, 0.2]), 1),
)
lab.step("any tensor", "random sizes", _any_size)
lab.mistake(
    "that is the share that stays; asked is the share that goes",
    lambda t, k: k / t.numel(),
)
lab.mistake(
    "that is how many go; divide by the number of values", lambda t, k: t.numel() - k
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


def _small_net(ask: Trial) -> nn.Module:
    return _filled(MLP(3, (2,), 2), lambda p: 10 * distinct(ask.rng, *p.shape))


def _vgg(ask: Trial) -> nn.Module:
    return _filled(VGG(width=2), lambda p: distinct(ask.rng, *p.shape))


def _filled(model: nn.Module, values: Callable[[Tensor], Tensor]) -> nn.Module:
    for parameter in model.parameters():
        parameter.detach().copy_(values(parameter))
    return model


def _grown(model: nn.Module) -> nn.Module:
    """As if trained: no weight is zero, and those that were small are no longer."""
    return _filled(model, lambda p: torch.linspace(1, 2, p.numel()).view(p.shape))


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


def _random_layers(ask: Trial) -> None:
    names = ["classifier", *(f"backbone.conv{i}" for i in range(8))]
    shares = torch.rand(len(names), generator=ask.rng).tolist()
    sparsities = dict(zip(names, shares, strict=True))
    for scenario in (_after, _masks, _held):
        ask.through(scenario, _vgg(ask), sparsities)


HALF = {"fc1": 0.5}
BOTH = {"fc1": 0.5, "fc2": 0.25}


class _OnACopy(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(clone(model), sparsity_dict)


class _OneShare(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, dict.fromkeys(sparsity_dict, sparsity_dict["fc1"]))


class _EveryLayer(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        names = [n for n, m in model.named_modules() if hasattr(m, "weight")]
        super().__init__(model, dict.fromkeys(names, 0.5) | sparsity_dict)


class _BiasesToo(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        for name, sparsity in sparsity_dict.items():
            fine_grained_prune(model.get_submodule(name).bias, sparsity)


class _OtherKeys(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.masks = {f"{name}.weight": mask for name, mask in self.masks.items()}


class _Remembers(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.model, self.sparsity_dict = model, sparsity_dict


class _RanksAnew(_Remembers):
    def apply(self, model):
        FineGrainedPruner(model, self.sparsity_dict)


class _FirstModel(_Remembers):
    def apply(self, model):
        super().apply(self.model)


class _PutsBack(FineGrainedPruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.old = {n: clone(model.get_submodule(n).weight) for n in sparsity_dict}

    @torch.no_grad()
    def apply(self, model):
        for name, weight in self.old.items():
            model.get_submodule(name).weight.copy_(weight)


class _DoesNothing(FineGrainedPruner):
    def apply(self, model):
        pass


class _NewParameters(FineGrainedPruner):
    def apply(self, model):
        for name, mask in self.masks.items():
            layer = model.get_submodule(name)
            layer.weight = nn.Parameter(layer.weight.detach() * mask)


lab.step("prunes", "one layer", lambda ask: ask.through(_after, _small_net(ask), HALF))
lab.step(
    "prunes",
    "a share for each layer",
    lambda ask: ask.through(_after, _small_net(ask), BOTH),
)
lab.step("prunes", "masks", lambda ask: ask.through(_masks, _small_net(ask), BOTH))
lab.step(
    "holds",
    "zeros again after a step",
    lambda ask: ask.through(_held, _small_net(ask), BOTH),
)
lab.step(
    "holds",
    "a copy of the network",
    lambda ask: ask.through(_other, _small_net(ask), BOTH),
)
lab.step(
    "holds",
    "training can go on",
    lambda ask: ask.through(_trainable, _small_net(ask), BOTH),
)
lab.step("holds", "layers in blocks", _random_layers)
lab.mistake("the weights are not pruned when the pruner is made", _OnACopy)
lab.mistake("every layer has its own sparsity", _OneShare)
lab.mistake("you prune layers that are not in sparsity_dict", _EveryLayer)
lab.mistake("you prune the biases too; asked are the weights", _BiasesToo)
lab.mistake("the keys of masks are the layers' names, as in sparsity_dict", _OtherKeys)
lab.mistake("apply() does nothing", _DoesNothing)
lab.mistake(
    "apply() ranks anew; it has to use the masks made at the start",
    _RanksAnew,
    help=(
        "After training other weights are the smallest. `apply` must not "
        "call `fine_grained_prune`; it uses the stored masks."
    ),
)
lab.mistake(
    "apply() changes the first model; it has to change its argument", _FirstModel
)
lab.mistake("apply() puts the old weights back; only the zeros are to stay", _PutsBack)
lab.mistake(
    "a new nn.Parameter is unknown to the optimizer; change the old one in place",
    _NewParameters,
)
lab.help(
    "a leaf Variable that requires grad",
    "The weights are being trained, so PyTorch refuses a change in "
    "place that it should record. Put `@torch.no_grad()` above `apply`.",
)


Masks = Mapping[str, Tensor]


@lab.exercise("2.4", points={"idea": 2, "any network": 2})
def still_zero(model: nn.Module, masks: Masks) -> float:
    removed = _removed(model, masks)
    zeros = sum((values == 0).sum().item() for values in removed)
    count = sum(values.numel() for values in removed)
    return zeros / count if count else 1.0


def _removed(model: nn.Module, masks: Masks) -> list[Tensor]:
    """The present values of the weights that were removed, layer by layer."""
    return [model.get_submodule(n).weight.detach()[~m] for n, m in masks.items()]


def _average_still_zero(model: nn.Module, masks: Masks) -> float:
    shares = [still_zero(model, {name: mask}) for name, mask in masks.items()]
    return sum(shares) / len(shares)


def _weights(model: nn.Module, masks: Masks) -> Tensor:
    return torch.cat([model.get_submodule(n).weight.flatten() for n in masks])


def _kept_still_zero(model: nn.Module, masks: Masks) -> float:
    return still_zero(model, {name: ~mask for name, mask in masks.items()})


def _one_back() -> tuple[nn.Module, dict[str, Tensor]]:
    """Five weights were removed, one of them is back; one that was kept is zero."""
    model = _filled(MLP(7, (1,), 1), torch.ones_like)
    weight = torch.tensor([[0.0, 0.5, 0.7, 0.0, 0.0, 0.0, 0.0]])
    model.fc1.weight.detach().copy_(weight)
    mask = torch.tensor([[False, True, False, True, False, False, False]])
    return model, {"fc1": mask}


def _two_layers() -> tuple[nn.Module, dict[str, Tensor]]:
    """4 of 5 removed weights are still zero, and 0 of 1: together 4 of 6."""
    model, masks = _one_back()
    return model, masks | {"fc2": torch.tensor([[False]])}


def _nothing_removed() -> tuple[nn.Module, dict[str, Tensor]]:
    model, _ = _one_back()
    return model, {"fc1": torch.ones(1, 7, dtype=torch.bool)}


def _partly_back(ask: Trial) -> None:
    for _ in range(2):
        model = _vgg(ask)
        masks = FineGrainedPruner(
            model, {"backbone.conv1": 0.5, "backbone.conv6": 0.9, "classifier": 0.2}
        ).masks
        with torch.no_grad():
            for name in masks:
                weight = model.get_submodule(name).weight
                weight[torch.rand(weight.shape, generator=ask.rng) < 0.3] = 1
        ask(model, masks)


lab.step("idea", "one of five is back", lambda ask: ask(*_one_back()))
lab.step("idea", "layers of different size", lambda ask: ask(*_two_layers()))
lab.step("any network", "nothing removed", lambda ask: ask(*_nothing_removed()))
lab.step("any network", "layers in blocks", _partly_back)
lab.mistake(
    "that is the average over the layers; add up first, divide once",
    _average_still_zero,
)
lab.mistake(
    "that is the share that is back; asked is the share still zero",
    lambda model, masks: 1 - still_zero(model, masks),
)
lab.mistake(
    "you look at the kept weights; ~mask picks the removed ones", _kept_still_zero
)
lab.mistake(
    "you count every zero; look only where the mask is False",
    lambda model, m: (_weights(model, m) == 0).double().mean(),
    help="A kept weight may be zero as well. Look only where the mask is `False`.",
)
lab.mistake(
    "you divide by all weights; divide by the number of removed ones",
    lambda model, masks: (
        sum((v == 0).sum().item() for v in _removed(model, masks))
        / _weights(model, masks).numel()
    ),
)
lab.mistake(
    "that is a number of weights; asked is a share",
    lambda model, masks: sum((v == 0).sum().item() for v in _removed(model, masks)),
)
lab.mistake(
    "that is a percentage; asked is a share between 0 and 1",
    lambda model, m: 100 * still_zero(model, m),
)
lab.mistake(
    "nothing removed, so nothing is back: 1.0 where there is no such weight",
    lambda model, masks: _zeros_or(0.0, model, masks),
)
lab.mistake(
    "0 / 0 is no number: return 1.0 where no weight was removed",
    lambda model, masks: _zeros_or(float("nan"), model, masks),
)


def _zeros_or(none: float, model: nn.Module, masks: Masks) -> float:
    """still_zero, but another answer where no weight was removed."""
    return still_zero(model, masks) if any(map(len, _removed(model, masks))) else none
