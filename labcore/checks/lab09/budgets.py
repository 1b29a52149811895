"""The two budget cards of Lab 09, what a network needs by each, and their exercise."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from labcore import measure
from labcore.checks.engine.compare import NO_RETURN, clone, same, show
from labcore.checks.engine.trial import Trial
from labcore.nets import VGG, layers

__all__ = ["CARDS", "LEAST", "hold_to_cards", "meet", "needs"]

Card = dict[str, object]

CARDS: dict[str, Card] = {
    "A": {"budget": "bytes", "limit": 200 * 1024},
    "B": {"budget": "MACs", "limit": 10_000_000},
}
LEAST = 0.5  # share of a limit to use at least: an empty network would meet any card


def needs(model: nn.Module, card: Card) -> int:
    """What the network takes of this card's budget."""
    if card["budget"] == "MACs":
        return measure.macs(model, _image(model))
    kept = measure.parameters(model, nonzero_only=True)
    return 4 * kept + math.ceil(measure.parameters(model) / 8)  # values and bitmask


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


def meet(model: nn.Module, card: Card) -> nn.Module:
    smaller = _masked if card["budget"] == "bytes" else _narrower
    for share in range(100, 0, -1):
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
    """A copy in which every convolution but the last keeps its best channels."""
    kept = [
        importance.topk(max(1, round(share * len(importance)))).indices
        for importance in _importance(model)
    ]
    return _cut(model, kept)


def _convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [m for m in layers(model).values() if isinstance(m, nn.Conv2d)]


def _importance(model: nn.Module) -> list[Tensor]:
    """Of each convolution's outputs but the last one's: the norm of what reads them."""
    return [
        torch.linalg.vector_norm(conv.weight.detach(), dim=(0, 2, 3))
        for conv in _convolutions(model)[1:]
    ]


def _cut(model: nn.Module, kept: Sequence[Tensor]) -> nn.Module:
    """The VGG whose convolutions keep these outputs; the last one keeps all."""
    convs = _convolutions(model)
    inputs = torch.arange(convs[0].in_channels)
    outputs = [*kept, torch.arange(convs[-1].out_channels)]
    small = VGG(
        in_channels=len(inputs),
        classes=layers(model)["classifier"].out_features,
        channels=[len(each) for each in outputs],
    ).eval()
    for i, index in enumerate(outputs):
        old, new = (m.backbone.get_submodule(f"bn{i}") for m in (model, small))
        weight = model.backbone.get_submodule(f"conv{i}").weight.detach()
        small.backbone.get_submodule(f"conv{i}").weight.detach().copy_(
            weight[index][:, inputs]
        )
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(new, name).detach().copy_(getattr(old, name).detach()[index])
        inputs = index
    small.classifier.load_state_dict(model.classifier.state_dict())
    return small


def hold_to_cards(ask: Trial, *cards: tuple[str, float]) -> None:
    """Ask for networks that take these shares of what the dense one needs."""
    model = VGG(width=4, in_channels=1).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    named = {card["budget"]: card for card in CARDS.values()}
    for budget, share in cards:
        limit = round(share * needs(model, named[budget]))
        _hold(ask, model, named[budget] | {"limit": limit})


def _hold(ask: Trial, model: nn.Module, card: Card) -> None:
    before, limit = clone(model), card["limit"]
    given = f"model = {show(model)}, card = {show(card)}"
    found = ask.call(model, dict(card))

    def wrong(expected: str, got: str, likely: str = "") -> None:
        ask.wrong(given=given, expected=expected, got=got, likely=likely)

    if not same(before, model):
        wrong("the model unchanged", "other weights in it", "work on a copy of it")
    if found is None:
        wrong("a network", "None", _nothing(card))
    if not isinstance(found, nn.Module):
        wrong("a network", show(found))
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
        wrong("ten class scores for each image", show(scores))
    kept = _kept_channels(before, found)
    if kept is None or not _taken_from(_cut(before, kept), found):
        wrong(
            "weights of the model you were given, and zeros",
            "a network with other weights",
            "train it later: here the weights that stay keep their values",
        )
    unit, needed = card["budget"], needs(found, card)
    if needed > limit:
        expected = f"at most {limit:,} {unit}"
        wrong(expected, f"{needed:,} {unit}", _too_much(before, found, card))
    if needed < LEAST * limit:
        wrong(
            f"at least half of the budget used: {LEAST * limit:,.0f} {unit}",
            f"{needed:,} {unit}",
            "you remove more than the card asks for, and accuracy pays for it",
        )
    if difference := _better_channel(before, kept):
        wrong(*difference)
    if difference := _larger_weight(_cut(before, kept), found):
        wrong(*difference)


def _nothing(card: Card) -> str:
    if card["budget"] == "MACs":
        return (
            "if your loop ran to its end, nothing in it met the limit: zeros never "
            "lower the MACs, fewer channels do"
        )
    return f"{NO_RETURN}; if it has a loop, nothing in it met the limit"


def _kept_channels(model: nn.Module, found: nn.Module) -> list[Tensor] | None:
    """Which channels of the model stay, by their BatchNorm's weight; None if unclear.

    The checks give no two channels of a layer the same weight.
    """
    if layers(model).keys() != layers(found).keys():
        return None
    kept = []
    for i in range(len(_convolutions(model)) - 1):
        try:
            new = found.backbone.get_submodule(f"bn{i}").weight.detach()
        except AttributeError:
            return None
        old = model.backbone.get_submodule(f"bn{i}").weight.detach()
        equal = new[:, None] == old[None, :]
        if (equal.sum(1) != 1).any():
            return None
        kept.append(equal.float().argmax(1))
    return kept


def _taken_from(model: nn.Module, found: nn.Module) -> bool:
    """Whether each layer's weights are zero or those of the model."""
    old, new = layers(model), layers(found)
    return all(
        layer.weight.shape == old[name].weight.shape
        and bool(((layer.weight == 0) | (layer.weight == old[name].weight)).all())
        for name, layer in new.items()
    )


def _better_channel(model: nn.Module, kept: Sequence[Tensor]) -> tuple | None:
    """What to say if a channel was cut that is more important than one that stays."""
    for i, (importance, index) in enumerate(zip(_importance(model), kept, strict=True)):
        gone = torch.ones(len(importance), dtype=torch.bool)
        gone[index] = False
        worst, cut = importance[index].min(), importance[gone]
        if len(cut) and cut.max() > worst * 1.0001:
            first = index.sort().values.tolist() == list(range(len(index)))
            return (
                f"conv{i} keeps its {len(index)} most important outputs",
                f"it keeps one of importance {worst:.3g} and cuts one of "
                f"{cut.max():.3g}",
                "these are the first channels, not the most important ones; sort "
                "before you cut"
                if first
                else "",
            )
    return None


def _larger_weight(model: nn.Module, found: nn.Module) -> tuple | None:
    """What to say if a weight was removed that is larger than one that stays."""
    new = layers(found)
    for name, layer in layers(model).items():
        sizes, mask = layer.weight.detach().abs(), new[name].weight != 0
        if mask.all() or not mask.any():
            continue
        least, most = sizes[mask].min(), sizes[~mask].max()
        if most > least:
            smallest = sizes[mask].max() <= sizes[~mask].min()
            return (
                f"{name} keeps its {int(mask.sum())} largest magnitudes",
                f"it keeps one of {least:.3g} and removes one of {most:.3g}",
                "you keep the smallest magnitudes; keep the largest"
                if smallest
                else "",
            )
    return None


def _too_much(model: nn.Module, found: nn.Module, card: Mapping) -> str:
    """Why the budget is missed, where that is certain."""
    if same(model, found):
        return "nothing is removed"
    if card["budget"] == "bytes":
        if 4 * measure.parameters(found, nonzero_only=True) <= card["limit"]:
            return "the bitmask counts too: one bit for each parameter"
        weights = sum(m.weight.count_nonzero().item() for m in layers(found).values())
        if 4 * weights <= card["limit"]:
            return (
                "the bitmask counts too, and so do the biases and the parameters of "
                "BatchNorm"
            )
        return ""
    if needs(model, card) == needs(found, card):
        return "zeros are multiplied too: the MACs fall only with the shapes"
    return ""
