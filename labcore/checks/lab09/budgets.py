"""The budget cards of Lab 09, what a network needs by each, and the exercise on them.

The card in milliseconds takes its device from the table of Lab 05: a made-up
accelerator whose kernels skip two zeros in each group of four.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from labcore import measure
from labcore.checks.engine.compare import NO_RETURN, clone, same, show
from labcore.checks.engine.trial import Trial
from labcore.checks.lab05.devices import DEVICES
from labcore.nets import VGG, layers

__all__ = ["CARDS", "LEAST", "hold_to_cards", "meet", "needs"]

Card = dict[str, object]

CARDS: dict[str, Card] = {
    "A": {"budget": "bytes", "limit": 256 * 1024},
    "B": {"budget": "MACs", "limit": 10_000_000},
    "C": {"budget": "ms", "limit": 0.25, "device": DEVICES["accelerator"]},
}
LEAST = 0.5  # share of a limit to use at least: an empty network would meet any card


def needs(model: nn.Module, card: Card) -> float:
    """What the network takes of this card's budget."""
    total = measure.parameters(model)
    kept = measure.parameters(model, nonzero_only=True)
    if card["budget"] == "bytes":  # the nonzeros, plus one bit per parameter
        return 4 * kept + math.ceil(total / 8)
    macs = _macs(model)
    if card["budget"] == "MACs":
        return macs
    device = card["device"]
    if device["skips_zeros"] or (device["skips_groups"] and _in_groups(model)):
        if kept < total:
            macs *= kept / total * device["nonzero_cost"]
    return macs / device["macs_per_ms"]


def _macs(model: nn.Module) -> int:
    return measure.macs(model, _image(model))


def _image(model: nn.Module) -> Tensor:
    channels = next(iter(layers(model).values())).weight.shape[1]
    return torch.zeros(1, channels, 32, 32)


def _class_scores(model: nn.Module) -> Tensor:
    image, was_training = _image(model), model.training
    try:
        with torch.no_grad():
            return model.eval()(image)
    finally:
        model.train(was_training)


def _in_groups(model: nn.Module) -> bool:
    """Whether each four weights in a row have two zeros; a shorter rest may be any."""
    for layer in layers(model).values():
        rows = layer.weight.detach().flatten(1)
        groups = rows[:, : rows.shape[1] // 4 * 4].reshape(-1, 4)
        if (groups == 0).sum(1).lt(2).any():
            return False
    return True


def meet(model: nn.Module, card: Card) -> nn.Module:
    for share in range(100, 0, -1):
        smaller = _masked if card["budget"] == "bytes" else _narrower
        found = smaller(model, share / 100)
        if needs(found, card) <= card["limit"]:
            return found
    raise ValueError("no network that small")


def _masked(model: nn.Module, density: float) -> nn.Module:
    """A copy with this share of the largest magnitudes of all layers together."""
    model = copy.deepcopy(model)
    weights = [layer.weight.detach() for layer in layers(model).values()]
    sizes = torch.cat([w.abs().flatten() for w in weights]).sort().values
    threshold = sizes[round((1 - density) * (len(sizes) - 1))]
    for weight in weights:
        weight[weight.abs() < threshold] = 0
    return model


def _narrower(model: nn.Module, share: float) -> nn.Module:
    """A copy in which every convolution but the last keeps its first channels."""
    whole = list(layers(model).values())
    *widths, last = (m.out_channels for m in whole if isinstance(m, nn.Conv2d))
    channels = [*(max(1, round(width * share)) for width in widths), last]
    classes, inputs = whole[-1].out_features, whole[0].in_channels
    small = VGG(in_channels=inputs, classes=classes, channels=channels)
    old = model.state_dict()
    for name, tensor in small.state_dict().items():
        tensor.copy_(old[name][tuple(slice(0, size) for size in tensor.shape)])
    return small.eval()


def hold_to_cards(ask: Trial, *cards: tuple[str, float]) -> None:
    """Ask for networks that take these shares of what the dense one needs."""
    model = VGG(width=4, in_channels=1).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    named = {card["budget"]: card for card in CARDS.values()}
    for budget, share in cards:
        limit = share * needs(model, named[budget])
        limit = round(limit, 4) if budget == "ms" else round(limit)
        _hold(ask, model, named[budget] | {"limit": limit})


def _hold(ask: Trial, model: nn.Module, card: Card) -> None:
    before, limit = clone(model), card["limit"]
    brief = {name: card[name] for name in ("budget", "limit")}
    given = f"model = {show(model)}, card = {show(brief)}"
    found = ask.call(model, dict(card))

    def wrong(expected: str, got: str, likely: str = "") -> None:
        ask.wrong(given=given, expected=expected, got=got, likely=likely)

    if not same(before, model):
        wrong("the model as it was", "other weights in it", "work on a copy of it")
    if not isinstance(found, nn.Module):
        forgotten = f"{NO_RETURN}; if it has a loop, nothing in it met the limit"
        forgotten = forgotten if found is None else ""
        wrong("a network", show(found), forgotten)
    try:
        scores = _class_scores(found)
    except Exception as error:
        empty = any(layer.weight.numel() == 0 for layer in layers(found).values())
        wrong(
            "a network that runs on images",
            f"{type(error).__name__}: {error}",
            "a layer has no channels left" if empty else "",
        )
    if scores.shape != _class_scores(before).shape or not scores.isfinite().all():
        wrong("ten class scores an image", show(scores))
    if not _taken_from(before, found):
        wrong(
            "weights of the model handed over and zeros",
            "a network with other weights",
            "train it later: here the weights that stay keep their values",
        )
    unit, needed = card["budget"], needs(found, card)
    if needed > limit:
        expected = f"at most {_plain(limit)} {unit}"
        wrong(expected, f"{_plain(needed)} {unit}", _too_much(before, found, card))
    if needed < LEAST * limit:
        wrong(
            f"at least half of the budget used: {_plain(LEAST * limit)} {unit}",
            f"{_plain(needed)} {unit}",
            "you remove more than the card asks for, and accuracy pays for it",
        )


def _taken_from(model: nn.Module, found: nn.Module) -> bool:
    """Whether every nonzero weight of a layer stands in the same layer of the model."""
    old, new = layers(model), layers(found)
    return old.keys() == new.keys() and all(
        torch.isin(layer.weight[layer.weight != 0], old[name].weight).all()
        for name, layer in new.items()
    )


def _too_much(model: nn.Module, found: nn.Module, card: Mapping) -> str:
    """Why the budget is missed, where that is certain."""
    if same(model, found):
        return "nothing is removed"
    if card["budget"] == "bytes":
        forgot = 4 * measure.parameters(found, nonzero_only=True) <= card["limit"]
        return "the bitmask counts too: one bit for each parameter" if forgot else ""
    if _macs(model) != _macs(found):
        return ""
    if card["budget"] == "MACs":
        return "zeros are multiplied too: the MACs fall only with the shapes"
    if not _in_groups(found):
        return (
            "this device skips zeros only if each four weights in a row of every "
            "layer have two"
        )
    return ""


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"
