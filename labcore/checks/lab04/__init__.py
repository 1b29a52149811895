"""Checks of Lab 04, channel pruning: a network cut, sorted, measured again, trained."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore.checks.engine.compare import NO_RETURN, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.returned import drawn, input_afterwards, numbers, of_network
from labcore.checks.engine.trial import Trial, Wrong
from labcore.checks.engine.watch import handed
from labcore.nets import VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

WHOLE_NORM = "BatchNorm has an entry for each channel: cut its four tensors too"
WHOLE_STATISTICS = (
    "running_mean and running_var have an entry for each channel: cut them too"
)
NEW_NORM = "the BatchNorm's numbers are new: keep the old entries and statistics"
NEW_STATISTICS = "running_mean and running_var are new: keep the old entries"
NEW_LAYER = (
    "a new BatchNorm starts in training mode: call its eval(), or keep the old layer "
    "and cut its tensors"
)
TRAINING = "the network you return is in training mode: leave it in eval mode"
LEARNED = "running_mean and running_var are parameters now: leave them plain tensors"
FROZEN = "the parameters cannot be trained any more: wrap them in nn.Parameter"
IN_PLACE = "you changed the network you were given: begin with copy.deepcopy(model)"


def _net(ask: Trial, *channels: int) -> VGG:
    """A network of these channels in which every number is drawn, statistics too."""
    return drawn(VGG(in_channels=1, classes=3, channels=channels), ask.rng)


def _any_net(ask: Trial) -> VGG:
    return _net(ask, *torch.randint(3, 7, (5,), generator=ask.rng).tolist())


def _convs(model: nn.Module) -> list[nn.Conv2d]:
    return [m for m in model.backbone if isinstance(m, nn.Conv2d)]


@of_network
def _shapes(made):
    """the shapes in the new network"""
    state = made.state_dict()
    shapes = {name: str(tuple(values.shape)) for name, values in state.items()}
    weights = [values for name, values in state.items() if name.endswith("weight")]
    columns = [part for w in weights if w.dim() > 1 for part in w.unbind(1)]
    channels = [*(row for w in weights for row in w), *columns]
    return shapes | {"channels of zeros": not all(part.any() for part in channels)}


@of_network
def _layers(made):
    """the layers of the new network, printed"""
    kinds = nn.Conv2d | nn.BatchNorm2d
    printed = {n: repr(m) for n, m in made.named_modules() if isinstance(m, kinds)}
    names = [n for n in made.state_dict() if n.endswith(("weight", "bias"))]
    parameters = dict(made.named_parameters())
    return printed | {
        "just weights and biases are parameters": {*names} == {*parameters},
        "weights and biases require grad": all(
            parameters[name].requires_grad for name in names if name in parameters
        ),
        "layers in training mode": [n for n, m in made.named_modules() if m.training],
    }


@of_network
def _scores(made):
    """the new network's class scores of 4 images"""
    state = made.state_dict()
    weights = [w for name, w in state.items() if w.dim() == 4]
    rebuilt = VGG(
        in_channels=weights[0].shape[1],
        classes=len(state["classifier.bias"]),
        channels=[len(w) for w in weights],
    )
    rebuilt.load_state_dict(state)
    images = torch.randn(
        (4, weights[0].shape[1], 16, 16), generator=torch.Generator().manual_seed(4)
    )
    with torch.no_grad():  # double precision: the order of a sum hardly matters
        return {"scores": rebuilt.double().eval()(images.double())}


def _masked(model: nn.Module, kept: list[Tensor]) -> nn.Module:
    """The dense network in which no next layer reads a removed channel.

    kept   for each convolution but the last the channels that stay
    """
    masked = copy.deepcopy(model)
    for index, following in zip(kept, _convs(masked)[1:], strict=True):
        removed = torch.ones(following.in_channels, dtype=torch.bool)
        removed[index] = False
        following.weight.detach()[:, removed] = 0
    return masked


def _all_channels(model: nn.Module) -> list[Tensor]:
    return [torch.arange(conv.out_channels) for conv in _convs(model)[:-1]]


def _put_back(answer: Callable) -> Callable:
    """Changes the network handed over itself."""

    def in_place(model: nn.Module, *args) -> nn.Module:
        made = answer(model, *args)
        model.backbone, model.classifier = made.backbone, made.classifier
        return model

    return in_place


@lab.exercise("4.1", points={"any channels": 2, "any network": 2})
def select_channels(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    model = copy.deepcopy(model)
    _cut(_place(model, i), index)
    return model


class Place(NamedTuple):
    """A convolution, and the layers in which its channels have an entry too."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    following: nn.Conv2d


def _place(model: nn.Module, i: int) -> Place:
    names = (f"conv{i}", f"bn{i}", f"conv{i + 1}")
    return Place(*(model.backbone.get_submodule(name) for name in names))


def _cut(place: Place, index: Tensor) -> None:
    conv, norm, following = place
    conv.weight = nn.Parameter(conv.weight[index])
    norm.weight = nn.Parameter(norm.weight[index])
    norm.bias = nn.Parameter(norm.bias[index])
    norm.running_mean = norm.running_mean[index]
    norm.running_var = norm.running_var[index]
    following.weight = nn.Parameter(following.weight[:, index])
    conv.out_channels = norm.num_features = following.in_channels = len(index)


OUTER_TWO = torch.tensor([0, 2])


@lab.step("any channels", "shapes")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 5, 4), 0, OUTER_TWO)


@lab.step("any channels", "the first channels")
def _(ask: Trial) -> None:
    ask.through(numbers, _net(ask, 3, 4), 0, torch.tensor([0, 1]))


@lab.step("any channels", "all channels, backwards")
def _(ask: Trial) -> None:
    """Nothing is removed, so the outputs are those of the network handed over."""
    backwards = torch.tensor([3, 2, 1, 0])
    ask.through(_scores, _net(ask, 4, 3), 0, backwards, oracle=_as_before)


def _as_before(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    return copy.deepcopy(model)


@lab.step("any channels", "other channels")
def _(ask: Trial) -> None:
    ask.through(numbers, _net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any channels", "another order")
def _(ask: Trial) -> None:
    ask.through(numbers, _net(ask, 3, 4), 0, torch.tensor([2, 0, 1]))


@lab.step("any network", "what the layers report")
def _(ask: Trial) -> None:
    ask.through(_layers, _net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any network", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, _net(ask, 3, 4), 0, torch.tensor([0, 1, 2]))


@lab.step("any network", "any convolution")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 4, 4, 4, 4), 2, OUTER_TWO)
    for i in (3, 0, 2):
        model = _any_net(ask)
        index = _index(ask, _convs(model)[i].out_channels)
        ask.through(numbers, model, i, index)
        ask.through(_layers, model, i, index)
    ask.through(_scores, model, i, index, oracle=_select_masked)


def _index(ask: Trial, channels: int) -> Tensor:
    """Two or more of the channels, in any order."""
    keep = torch.randint(2, channels + 1, (), generator=ask.rng).item()
    return torch.randperm(channels, generator=ask.rng)[:keep]


def _select_masked(model: nn.Module, i: int, index: Tensor) -> nn.Module:
    kept = _all_channels(model)
    kept[i] = index
    return _masked(model, kept)


# a way to spoil a cut: change(new, old, index) gets the layers after and before it
Change = Callable[[Place, Place, Tensor], None]


def _cut_but(place: Place, index: Tensor, change: Change | None) -> None:
    old = copy.deepcopy(place) if change else None
    _cut(place, index)
    if change:
        change(place, old, index)


def _whole_norm(new: Place, old: Place, index: Tensor) -> None:
    new.norm.weight, new.norm.bias = old.norm.weight, old.norm.bias
    _whole_statistics(new, old, index)
    new.norm.num_features = old.norm.num_features


def _whole_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = old.norm.running_mean
    new.norm.running_var = old.norm.running_var


def _new_norm(new: Place, old: Place, index: Tensor) -> None:
    new.norm.reset_parameters()


def _new_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.reset_running_stats()


def _new_layer(new: Place, old: Place, index: Tensor) -> None:
    new.norm.train()


def _first_statistics(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = old.norm.running_mean[: len(index)]
    new.norm.running_var = old.norm.running_var[: len(index)]


def _whole_following(new: Place, old: Place, index: Tensor) -> None:
    new.following.weight = old.following.weight


def _stale(new: Place, old: Place, index: Tensor) -> None:
    new.conv.out_channels = old.conv.out_channels
    new.norm.num_features = old.norm.num_features
    new.following.in_channels = old.following.in_channels


def _learned(new: Place, old: Place, index: Tensor) -> None:
    new.norm.running_mean = nn.Parameter(new.norm.running_mean)
    new.norm.running_var = nn.Parameter(new.norm.running_var)


def _frozen(new: Place, old: Place, index: Tensor) -> None:
    for layer in new:
        layer.requires_grad_(False)


def _selecting(change: Change) -> Callable:
    """The right selection, in which a part is spoiled."""

    def mistaken(model: nn.Module, i: int, index: Tensor) -> nn.Module:
        model = copy.deepcopy(model)
        _cut_but(_place(model, i), index, change)
        return model

    return mistaken


def _first_entries(layer: str, *names: str) -> Callable:
    """The first entries of these tensors are kept instead of those in index."""

    def change(new: Place, old: Place, index: Tensor) -> None:
        for name in names:
            values = getattr(getattr(old, layer), name)
            first = torch.arange(len(index))
            cut = values[:, first] if layer == "following" else values[first]
            is_parameter = isinstance(values, nn.Parameter)
            cut = nn.Parameter(cut) if is_parameter else cut
            setattr(getattr(new, layer), name, cut)

    return _selecting(change)


lab.mistake(NO_RETURN, lambda model, i, index: None)
lab.mistake(
    "running_mean and running_var keep their first entries: take those in index",
    _selecting(_first_statistics),
)
lab.mistake(
    "running_mean keeps its first entries: take those in index",
    _first_entries("norm", "running_mean"),
)
lab.mistake(
    "like the draft, one of the six tensors keeps its first entries, whatever index "
    "says",
    _first_entries("norm", "running_var"),
)
lab.mistake(
    "weight and bias of the BatchNorm keep their first entries: take those in index",
    _first_entries("norm", "weight", "bias"),
)
lab.mistake(
    "the next convolution keeps its first columns: take those in index",
    _first_entries("following", "weight"),
)
lab.mistake(
    "the convolution keeps its first rows: take those in index",
    _first_entries("conv", "weight"),
)
lab.mistake(WHOLE_NORM, _selecting(_whole_norm))
lab.mistake(WHOLE_STATISTICS, _selecting(_whole_statistics))
lab.mistake(NEW_NORM, _selecting(_new_norm))
lab.mistake(NEW_STATISTICS, _selecting(_new_statistics))
lab.mistake(
    "the next convolution still expects the old channels: cut its columns [:, index]",
    _selecting(_whole_following),
)


@lab.mistake(
    "weight[index] cuts rows; the next convolution's inputs are its columns, "
    "weight[:, index]"
)
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.following.weight = nn.Parameter(old.following.weight[index])


@lab.mistake("index lists the channels to keep, and you keep the others")
def _(model, i, index):
    stays = torch.ones(_convs(model)[i].out_channels, dtype=torch.bool)
    stays[index] = False
    return select_channels(model, i, stays.nonzero().flatten())


lab.mistake(
    "you keep the first len(index) channels: keep those in index",
    lambda model, i, index: select_channels(model, i, torch.arange(len(index))),
)
lab.mistake(
    "the order counts: index says which old channel comes first",
    lambda model, i, index: select_channels(model, i, index.sort().values),
)
lab.mistake(
    "a channel of index is missing",
    lambda model, i, index: select_channels(model, i, index[:-1]),
)
lab.mistake(
    "you return the network uncut: take the modules from the copy",
    lambda model, i, index: copy.deepcopy(model),
)
lab.mistake("the channels are zero, but still there", _select_masked)
lab.mistake(
    "the layers report old sizes: set out_channels, num_features and in_channels",
    _selecting(_stale),
)


@lab.mistake("the convolution still has its old out_channels: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.conv.out_channels = old.conv.out_channels


@lab.mistake("the BatchNorm still has its old num_features: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.norm.num_features = old.norm.num_features


@lab.mistake("the next convolution still has its old in_channels: set it to len(index)")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.following.in_channels = old.following.in_channels


lab.mistake(LEARNED, _selecting(_learned))
lab.mistake(FROZEN, _selecting(_frozen))
lab.mistake(NEW_LAYER, _selecting(_new_layer))
lab.mistake(TRAINING, lambda model, i, index: select_channels(model, i, index).train())
lab.mistake(
    "you cut convolution 0, whatever i is",
    lambda model, i, index: select_channels(model, 0, index),
)


@lab.mistake("you changed index itself (sort_, index[...] =): work on a copy of it")
def _(model, i, index):
    made = select_channels(model, i, index)
    index.copy_(index.sort().values)
    return made


lab.mistake(IN_PLACE, _put_back(select_channels))


@lab.exercise("4.2", points={"idea": 1, "any kernel": 1})
def get_input_channel_importance(weight: Tensor) -> Tensor:
    inputs = range(weight.shape[1])
    squares = [sum(v * v for v in weight[:, i].flatten().tolist()) for i in inputs]
    return torch.tensor([total**0.5 for total in squares])


def _importance(answer: Callable, weight: Tensor):
    """the importances"""
    result = answer(weight)
    if isinstance(result, Tensor) and result.is_floating_point():
        return result.detach().float()  # float64 is as good
    return result


@lab.step("idea", "three input channels")
def _(ask: Trial) -> None:
    weight = torch.zeros(2, 3, 3, 3)
    weight[0, 0, 1, :2], weight[1, 0, 2, 2] = torch.tensor([3.0, -4.0]), 12.0
    weight[0, 1, 0, 1:], weight[0, 1, 2, 0] = torch.tensor([2.0, 1.0]), -2.0
    weight[1, 1, 1, 1], weight[0, 2, 2, 1] = -4.0, -1.0
    weight[1, 2, 1] = torch.tensor([1.0, -1.0, 1.0])
    try:
        ask.through(_importance, weight)
    except Wrong as wrong:
        if "2-tuple" not in wrong.lines.get("got", ""):
            raise
        likely = "norm() takes two axes at most; torch.linalg.vector_norm takes three"
        ask.wrong(**wrong.lines | {"likely": likely})


@lab.step("any kernel", "drawn weights")
def _(ask: Trial) -> None:
    ask.through(_importance, torch.randn((2, 3, 3, 3), generator=ask.rng))


@lab.step("any kernel", "a parameter")
def _(ask: Trial) -> None:
    weight = nn.Parameter(torch.randn((4, 2, 3, 3), generator=ask.rng))
    ask.through(_importance, weight)
    ask.through(_weight_afterwards, weight)


@lab.step("any kernel", "any shape")
def _(ask: Trial) -> None:
    for _ in range(4):
        shape = torch.randint(1, 6, (4,), generator=ask.rng).tolist()
        ask.through(_importance, torch.randn(shape, generator=ask.rng))


def _weight_afterwards(answer: Callable, weight: Tensor):
    """the weight afterwards"""
    answer(weight)
    return weight.detach()


def _reduced(reduce: Callable[[Tensor], Tensor]) -> Callable:
    """Another number for each input channel."""
    return lambda w: torch.stack([reduce(w[:, i].detach()) for i in range(w.shape[1])])


lab.mistake(
    "that is one number for each output channel; the inputs are the second axis",
    lambda weight: get_input_channel_importance(weight.transpose(0, 1)),
)
lab.mistake(
    "that is one number for the whole weight: return one for each input channel",
    lambda weight: weight.detach().norm(),
)
lab.mistake(
    "the root is missing: the norm is the root of the sum of squares",
    _reduced(lambda part: part.square().sum()),
)
lab.mistake(
    "that is the sum of magnitudes: the Frobenius norm squares them first",
    _reduced(lambda part: part.abs().sum()),
)
lab.mistake(
    "that is the mean of the magnitudes: the Frobenius norm squares them first",
    _reduced(lambda part: part.abs().mean()),
)
lab.mistake(
    "that is the largest magnitude: the Frobenius norm takes all of them",
    _reduced(lambda part: part.abs().max()),
)
lab.mistake(
    "that is a plain sum, in which +1 and -1 cancel: square first",
    _reduced(lambda part: part.sum()),
)
lab.mistake(
    "that is a mean: the Frobenius norm is the root of the sum",
    _reduced(lambda part: part.square().mean().sqrt()),
)
lab.mistake(
    "norms do not add up: take one norm over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)).sum(0),
)
lab.mistake(
    "that is the mean of the kernels' norms: take one norm over the axes 0, 2 and 3",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)).mean(0),
)
lab.mistake(
    "that is a norm for each filter window: take one over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)),
)
lab.mistake(
    "that is a norm over the outputs only: take one over the axes 0, 2 and 3 together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=0),
)
lab.help(
    "norm() takes two axes at most",
    "`torch.linalg.vector_norm` treats all numbers along the axes as one long vector.",
)


@lab.exercise("4.3", points={"idea": 3, "any network": 2})
def apply_channel_sorting(model: nn.Module) -> nn.Module:
    convs = [m for m in model.backbone if isinstance(m, nn.Conv2d)]
    for i, following in enumerate(convs[1:]):
        importance = get_input_channel_importance(following.weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


@of_network
def _importances(made):
    """the importance of each convolution's input channels, in their new order"""
    return {
        f"conv{i + 1}": get_input_channel_importance(conv.weight)
        for i, conv in enumerate(_convs(made)[1:])
    }


@lab.step("idea", "shapes")
def _(ask: Trial) -> None:
    try:
        model = VGG(in_channels=2, classes=3, channels=[4, 5, 3])
        ask.through(_shapes, drawn(model, ask.rng))
    except Wrong as wrong:
        got = wrong.lines.get("got", "")
        if "tensors used as indices must be" not in got:
            raise
        likely = (
            "sort() returns values and places: argsort() gives the places, which are "
            "the channel numbers"
        )
        ask.wrong(**wrong.lines | {"likely": likely})


@lab.step("idea", "outputs")
def _(ask: Trial) -> None:
    ask.through(_scores, _net(ask, 4, 5, 3), oracle=copy.deepcopy)


@lab.step("idea", "one pair")
def _(ask: Trial) -> None:
    """A pair in which no other order looks like the one asked for."""
    model = _net(ask, 5, 3)
    conv, following = (c.weight.detach() for c in _convs(model))
    for channel in (0, 3):  # one weight is large, yet the sum of magnitudes is small
        following[0, channel, 0, 0] = 1000
    for channel, (row, column) in enumerate(((1, 3), (3, 5), (5, 1), (2, 4), (4, 2))):
        conv[channel] *= row / conv[channel].norm()
        following[:, channel] *= column / following[:, channel].norm()
    model.backbone.bn0.weight.detach().copy_(torch.tensor([4, 2, 3, 1, 5]) / 4)
    ask.through(_importances, model)


@lab.step("any network", "every pair")
def _(ask: Trial) -> None:
    ask.through(_importances, _net(ask, 4, 5, 3))


@lab.step("any network", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, _net(ask, 4, 5, 3))


@lab.step("any network", "five convolutions")
def _(ask: Trial) -> None:
    model = _any_net(ask)
    ask.through(_scores, model, oracle=copy.deepcopy)
    ask.through(_importances, model)
    ask.through(_layers, model)


def _norm_of_columns(place: Place) -> Tensor:
    return get_input_channel_importance(place.following.weight)


def _of_columns(reduce: Callable[[Tensor], Tensor]) -> Callable[[Place], Tensor]:
    """Another number for each column of the next convolution."""
    return lambda place: _reduced(reduce)(place.following.weight)


def _sorting(
    importance: Callable[[Place], Tensor] = _norm_of_columns,
    descending: bool = True,
    index: Callable[[Tensor], Tensor] = lambda order: order,
    change: Change | None = None,
    pairs: slice = slice(None),
) -> Callable:
    """Sorting in which one part is another one."""

    def mistaken(model: nn.Module) -> nn.Module:
        made = copy.deepcopy(model)
        for i in range(len(_convs(model)) - 1)[pairs]:
            values = importance(_place(model, i))
            order = values.argsort(descending=descending)
            _cut_but(_place(made, i), index(order), change)
        return made

    return mistaken


FROM_THE_ROUND_BEFORE = (
    "Each round has to start from the network that the round before returned."
)
OWN_INPUTS = (
    "these are the importances of the convolution's own inputs: take the next "
    "convolution's weight"
)
lab.mistake(NO_RETURN, lambda model: None)
lab.mistake(
    "nothing is sorted: the order is the old one",
    copy.deepcopy,
    help=FROM_THE_ROUND_BEFORE,
)
lab.mistake(
    "the least important comes first: sort in descending order",
    _sorting(descending=False),
)
lab.mistake(
    "BatchNorm has an entry for each channel: reorder its four tensors too",
    _sorting(change=_whole_norm),
)
lab.mistake(
    "running_mean and running_var have an entry for each channel: reorder them too",
    _sorting(change=_whole_statistics),
)
lab.mistake(
    "the next convolution does not know the new order: reorder its columns",
    _sorting(change=_whole_following),
)
lab.mistake(
    "you sort by the layer's own rows: take the norm of the next layer's columns",
    _sorting(lambda at: get_input_channel_importance(at.conv.weight.transpose(0, 1))),
)


def _by_own_inputs(model: nn.Module) -> nn.Module:
    for i, conv in enumerate(_convs(model)[:-1]):
        importance = get_input_channel_importance(conv.weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


def _by_own_inputs_of_the_new_network(model: nn.Module) -> nn.Module:
    for i in range(len(_convs(model)) - 1):
        importance = get_input_channel_importance(_convs(model)[i].weight)
        model = select_channels(model, i, importance.argsort(descending=True))
    return model


lab.mistake(OWN_INPUTS, _by_own_inputs)
lab.mistake(OWN_INPUTS, _by_own_inputs_of_the_new_network)
lab.mistake(
    "you sort by the sum of magnitudes: take the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().sum())),
)
lab.mistake(
    "you sort by the largest magnitude: take the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().max())),
)
lab.mistake(
    "you sort by the BatchNorm's weight: take the norm of the next layer's columns",
    _sorting(lambda at: at.norm.weight.detach().abs()),
)
lab.mistake(
    "a channel is missing: sorting keeps them all",
    _sorting(index=lambda order: order[:-1]),
)
lab.mistake(
    "you invert the permutation: new channel k is old channel index[k]",
    _sorting(index=lambda order: order.argsort()),
)
lab.mistake(
    "only the first pair is sorted: return after the loop",
    _sorting(pairs=slice(0, 1)),
)
lab.mistake(
    "only the last pair is sorted: go on with the sorted network in the loop",
    _sorting(pairs=slice(-1, None)),
    help=FROM_THE_ROUND_BEFORE,
)
lab.mistake(LEARNED, _sorting(change=_learned))
lab.mistake(FROZEN, _sorting(change=_frozen))
lab.mistake(NEW_LAYER, _sorting(change=_new_layer))
lab.mistake(TRAINING, lambda model: apply_channel_sorting(model).train())
lab.mistake(IN_PLACE, _put_back(apply_channel_sorting))


@lab.exercise("4.4", points={"idea": 3, "nothing else": 2})
def recalibrate(model: nn.Module, batches: list[Tensor]) -> None:
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


class Recorder(nn.Module):
    """Passes its input on, and notes whether autograd was recording."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = False

    @handed
    def forward(self, x: Tensor) -> Tensor:
        self.recorded |= torch.is_grad_enabled()
        return x


def after_recalibration(read: Callable[[nn.Module], dict]) -> Callable:
    """A scenario: what `read` says of the network once the answer has run."""

    @functools.wraps(read)
    def scenario(answer: Callable, model: nn.Module, batches: list[Tensor]) -> dict:
        before = copy.deepcopy(batches)
        returned = answer(model, batches)
        changed = {} if same(before, batches) else {"batches": "changed"}
        if isinstance(returned, nn.Module) and returned is not model:
            changed["returned"] = "another network"
        return read(model) | changed

    return scenario


@after_recalibration
def _statistics(model):
    """the running statistics afterwards"""
    return {
        f"{name}.{kind}": values.detach()
        for name, values in model.state_dict().items()
        for kind in ("running_mean", "running_var")
        if name.endswith(kind)
    }


@after_recalibration
def _means(model):
    """running_mean afterwards, BatchNorm by BatchNorm"""
    return {"running_mean": [norm.running_mean.tolist() for norm in _norms(model)]}


@after_recalibration
def _modes(model):
    """mode and momentum afterwards"""
    return {
        "layers in training mode": [n for n, m in model.named_modules() if m.training],
        "momentum": [norm.momentum for norm in _norms(model)],
    }


@after_recalibration
def _untouched(model):
    """the parameters afterwards"""
    return {name: values.detach() for name, values in model.named_parameters()}


@after_recalibration
def _recorded(model):
    """whether autograd recorded the forward passes"""
    recorders = [m for m in model.modules() if isinstance(m, Recorder)]
    return {"recorded": any(recorder.recorded for recorder in recorders)}


def _worn(model: nn.Module, ask: Trial) -> nn.Module:
    """All numbers drawn, and BatchNorms that have counted many batches already."""
    drawn(model, ask.rng)
    for norm in _norms(model):
        norm.num_batches_tracked.fill_(1000)
    return model


def _batches(ask: Trial, count: int, channels: int = 1, size: int = 8) -> list[Tensor]:
    shape = (6, channels, size, size)
    return [2 * torch.randn(shape, generator=ask.rng) + i for i in range(count)]


@lab.step("idea", "one BatchNorm, two batches")
def _(ask: Trial) -> None:
    pixels = [[1.0, 3.0], [5.0, 7.0]], [[0.0, 2.0], [4.0, 10.0]]
    batches = [torch.tensor(values).view(2, 1, 1, 2) for values in pixels]
    model = _worn(nn.Sequential(nn.BatchNorm2d(1)), ask)
    model[0].running_mean.fill_(9.0)
    ask.through(_means, model, batches)
    ask.through(_statistics, model, batches)


@lab.step("idea", "layers behind each other")
def _(ask: Trial) -> None:
    ask.through(_statistics, _worn(_small_net(), ask), _batches(ask, 3))


def _small_net() -> nn.Module:
    return VGG(in_channels=1, classes=3, channels=[3, 4])


@lab.step("nothing else", "mode and momentum")
def _(ask: Trial) -> None:
    ask.through(_modes, _worn(_small_net(), ask), _batches(ask, 2))
    ask.through(_untouched, _worn(_small_net(), ask), _batches(ask, 2))


@lab.step("nothing else", "no gradient")
def _(ask: Trial) -> None:
    model = nn.Sequential(Recorder(), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    ask.through(_recorded, _worn(model, ask), _batches(ask, 2))


@lab.step("nothing else", "Dropout stays off")
def _(ask: Trial) -> None:
    model = nn.Sequential(nn.Dropout(1.0), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    ask.through(_statistics, _worn(model, ask), _batches(ask, 2))


@lab.step("nothing else", "any network")
def _(ask: Trial) -> None:
    inner = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Conv2d(2, 3, 3))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), inner, nn.BatchNorm2d(3, momentum=0.01))
    ask.through(_statistics, _worn(model, ask), _batches(ask, 4))
    ask.through(_modes, _worn(model, ask), _batches(ask, 1))


def _recalibrating(
    reset: bool = True,
    momentum: Callable = lambda old: None,
    train: Callable = lambda model, norms: [norm.train() for norm in norms],
    batches: Callable = lambda batches: batches,
    grad: bool = False,
    restore: bool = True,
    end: Callable = lambda model: model.eval(),
) -> Callable:
    """Recalibration in which one part is another one."""

    def mistaken(model: nn.Module, given: list[Tensor]) -> None:
        norms = _norms(model)
        momenta = [norm.momentum for norm in norms]
        model.eval()
        for norm in norms:
            if reset:
                norm.reset_running_stats()
            norm.momentum = momentum(norm.momentum)
        train(model, norms)
        with torch.set_grad_enabled(grad):
            for batch in batches(given):
                model(batch)
        if restore:
            for norm, old in zip(norms, momenta, strict=True):
                norm.momentum = old
        end(model)

    return mistaken


lab.mistake(
    "the statistics are the old ones: put the BatchNorms into training mode first",
    lambda model, batches: None,
)
lab.mistake(
    "the old statistics are still in the average: call reset_running_stats() first",
    _recalibrating(reset=False),
    help="The average runs over all batches since the last reset, training included.",
)
lab.mistake(
    "momentum is not None: only a tenth of each batch enters, and the start stays in",
    _recalibrating(momentum=lambda old: old),
)
lab.mistake(
    "no reset, and momentum is not None: the old statistics are still in the average",
    _recalibrating(reset=False, momentum=lambda old: old),
)
lab.mistake(
    "only the last batch counts: momentum is 1, or you reset inside the loop",
    _recalibrating(momentum=lambda old: 1.0),
)
lab.mistake(
    "only the first batch counts: let all batches pass",
    _recalibrating(batches=lambda batches: batches[:1]),
)
lab.mistake(
    "a BatchNorm in eval mode measures nothing: call norm.train() before the batches",
    _recalibrating(train=lambda model, norms: None),
)
lab.mistake(
    "one large batch is another average: let the batches pass one by one",
    _recalibrating(batches=lambda batches: [torch.cat(batches)]),
)
lab.mistake(
    "the BatchNorms are still in training mode: call model.eval() at the end",
    _recalibrating(end=lambda model: None),
)
lab.mistake(
    "the whole network is still in training mode: call model.eval() at the end",
    _recalibrating(
        train=lambda model, norms: model.train(), end=lambda model: model.train()
    ),
)
lab.mistake(
    "momentum is still None afterwards: remember the old values and put them back",
    _recalibrating(restore=False),
)


@lab.mistake(
    "reset_parameters() resets weight and bias too: call reset_running_stats()"
)
def _(model, batches):
    for norm in _norms(model):
        norm.reset_parameters()
    recalibrate(model, batches)


@lab.mistake("every momentum is 0.1 afterwards: put back the value that was there")
def _(model, batches):
    recalibrate(model, batches)
    for norm in _norms(model):
        norm.momentum = 0.1


lab.mistake(
    "autograd records the passes, which costs memory: use torch.no_grad()",
    _recalibrating(grad=True),
)
lab.mistake(
    "Dropout is in training mode too and drops values: call train() on the BatchNorms "
    "only",
    _recalibrating(train=lambda model, norms: model.train()),
)


@lab.mistake("you recalibrated a copy: work on the network you were given")
def _(model, batches):
    model = copy.deepcopy(model)
    recalibrate(model, batches)
    return model


@lab.mistake("only the BatchNorms right below model are found: use model.modules()")
def _(model, batches):
    nested = [m for m in _norms(model) if m not in list(model.children())]
    kept = [copy.deepcopy(m.state_dict()) for m in nested]
    for norm in nested:
        norm.eval()
    direct = [m for m in model.children() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in direct]
    for norm in direct:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(direct, momenta, strict=True):
        norm.momentum = momentum
    for norm, state in zip(nested, kept, strict=True):
        norm.load_state_dict(state)
    model.eval()


@lab.exercise("4.5", points={"idea": 3, "any scores": 1})
def distillation_loss(
    student_scores: Tensor, teacher_scores: Tensor, temperature: float
) -> Tensor:
    student = (student_scores / temperature).log_softmax(dim=1)
    teacher = (teacher_scores / temperature).log_softmax(dim=1)
    each = (teacher.exp() * (teacher - student)).sum(dim=1)  # one number an image
    return temperature**2 * each.mean()


def _loss(answer: Callable, student: Tensor, teacher: Tensor, temperature: float):
    """the loss"""
    loss = answer(student, teacher, temperature)
    return loss.detach() if isinstance(loss, Tensor) else loss


def _gradient(answer: Callable, student: Tensor, teacher: Tensor, temperature: float):
    """the gradient of the loss for the student's scores"""
    student = student.clone().requires_grad_()
    loss = answer(student, teacher, temperature)
    if not isinstance(loss, Tensor):
        return {"loss": "a plain number, without backward()"}
    if not loss.requires_grad:
        return {"loss": "a tensor cut off from the student's scores"}
    return {"gradient": torch.autograd.grad(loss, student)[0]}


def _two(ask: Trial, images: int, classes: int) -> tuple[Tensor, Tensor]:
    shape = (2, images, classes)
    drawn_scores = 3 * torch.randn(shape, generator=ask.rng)
    return tuple(drawn_scores.double())  # so that no rounding decides


@lab.step("idea", "one image, temperature 1")
def _(ask: Trial) -> None:
    ask.through(_loss, torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0, 1, 0]]), 1)


@lab.step("idea", "one image, temperature 2")
def _(ask: Trial) -> None:
    ask.through(_loss, torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0, 1, 0]]), 2)


@lab.step("idea", "two images")
def _(ask: Trial) -> None:
    student = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    teacher = torch.tensor([[3.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    ask.through(_loss, student, teacher, 2)


@lab.step("any scores", "a gradient")
def _(ask: Trial) -> None:
    ask.through(_gradient, *_two(ask, 3, 4), 4.0)


@lab.step("any scores", "large scores")
def _(ask: Trial) -> None:
    scores = torch.tensor([[200.0, 0.0, -50.0]])
    ask.through(_loss, scores, torch.tensor([[2.0, 1.0, 0.0]]), 1.0)


@lab.step("any scores", "any batch")
def _(ask: Trial) -> None:
    for images, classes, temperature in ((5, 10, 4.0), (7, 3, 0.5), (1, 2, 20)):
        ask.through(_loss, *_two(ask, images, classes), temperature)
        ask.through(_gradient, *_two(ask, images, classes), temperature)


def _distilling(
    loss: Callable = lambda found, wanted: F.kl_div(
        found, wanted, reduction="batchmean"
    ),
    found: Callable = lambda scores, t: (scores / t).log_softmax(dim=1),
    wanted: Callable = lambda scores, t: (scores / t).softmax(dim=1),
    factor: Callable = lambda t: t**2,
) -> Callable:
    """The loss in which one part is another one."""
    return lambda student, teacher, t: (
        factor(t) * loss(found(student, t), wanted(teacher, t))
    )


def _kl(**options) -> Callable:
    return lambda found, wanted: F.kl_div(found, wanted, **options)


lab.mistake(
    "the factor temperature**2 is missing",
    _distilling(factor=lambda t: 1),
)
lab.mistake(
    "multiply by temperature**2, not by temperature",
    _distilling(factor=lambda t: t),
)
lab.mistake(
    "reduction 'mean' divides by images times classes: use 'batchmean'",
    _distilling(lambda found, wanted: F.kl_div(found, wanted, reduction="none").mean()),
)
lab.mistake(
    "that is the sum over all images: use reduction='batchmean'",
    _distilling(_kl(reduction="sum")),
)
lab.mistake(
    "that is a value for each entry: use reduction='batchmean'",
    _distilling(_kl(reduction="none")),
)
lab.mistake(
    "the second argument is a log_softmax: pass softmax there, or say log_target=True",
    _distilling(wanted=lambda scores, t: (scores / t).log_softmax(dim=1)),
)
lab.mistake(
    "log_target=True, but the target is a softmax: leave log_target out",
    _distilling(_kl(reduction="batchmean", log_target=True)),
)
lab.mistake(
    "the first argument of kl_div is a logarithm: use log_softmax for the student",
    _distilling(found=lambda scores, t: (scores / t).softmax(dim=1)),
)
lab.mistake(
    "kl_div got raw scores: turn them into log_softmax and softmax",
    _distilling(
        found=lambda scores, t: scores / t, wanted=lambda scores, t: scores / t
    ),
)
lab.mistake(
    "student and teacher are swapped: the student's log_softmax comes first",
    lambda student, teacher, t: distillation_loss(teacher, student, t),
)
lab.mistake(
    "only the student is softened: divide the teacher's scores by temperature too",
    _distilling(wanted=lambda scores, t: scores.softmax(dim=1)),
)
lab.mistake(
    "only the teacher is softened: divide the student's scores by temperature too",
    _distilling(found=lambda scores, t: scores.log_softmax(dim=1)),
)
lab.mistake(
    "no scores are divided by temperature",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1),
        wanted=lambda scores, t: scores.softmax(dim=1),
    ),
)
lab.mistake(
    "no scores are divided by temperature, and the factor temperature**2 is missing",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1),
        wanted=lambda scores, t: scores.softmax(dim=1),
        factor=lambda t: 1,
    ),
)
lab.mistake(
    "you multiply the scores by temperature: divide",
    _distilling(
        found=lambda scores, t: (scores * t).log_softmax(dim=1),
        wanted=lambda scores, t: (scores * t).softmax(dim=1),
    ),
)
lab.mistake(
    "divide before the softmax, not after it",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1) / t,
        wanted=lambda scores, t: scores.softmax(dim=1) / t,
    ),
)
lab.mistake(
    "the softmax runs over the images: use dim=1, the classes",
    _distilling(
        found=lambda scores, t: (scores / t).log_softmax(dim=0),
        wanted=lambda scores, t: (scores / t).softmax(dim=0),
    ),
)
lab.mistake(
    "that is the cross-entropy: subtract the teacher's own entropy, as kl_div does",
    _distilling(lambda found, wanted: -(wanted * found).sum(dim=1).mean()),
)
lab.mistake(
    "that is negative: the student's logarithm is subtracted from the teacher's",
    lambda student, teacher, t: -distillation_loss(student, teacher, t),
)
lab.mistake(
    "the result is a plain number (item()), and backward() needs the tensor",
    lambda student, teacher, t: distillation_loss(student, teacher, t).item(),
)
lab.mistake(
    "the student's scores are detached: backward() finds no way back",
    lambda student, teacher, t: distillation_loss(student.detach(), teacher, t),
)
lab.mistake(
    "softmax gives an exact 0 here, and log(0) is minus infinity: use log_softmax",
    _distilling(found=lambda scores, t: (scores / t).softmax(dim=1).log()),
)


@lab.exercise("4.6", points={"idea": 0, "any convolution": 0})
def fold_batchnorm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = 0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(scale[:, None, None, None] * conv.weight)
    folded.bias = nn.Parameter(norm.bias + scale * (bias - norm.running_mean))
    return folded


def of_layer(read: Callable[[nn.Module], dict]) -> Callable:
    """A scenario: what `read` says of the convolution that an answer returns."""

    @functools.wraps(read)
    def scenario(answer: Callable, conv: nn.Module, norm: nn.Module) -> dict:
        made = answer(conv, norm)
        if not isinstance(made, nn.Conv2d):
            return {"result": show(made) if made is None else type(made).__name__}
        return {"result": "Conv2d"} | read(made)

    return scenario


@of_layer
def _folded(made):
    """weight and bias of the result"""
    bias = "none" if made.bias is None else made.bias.detach()
    return {"weight": made.weight.detach(), "bias": bias}


@of_layer
def _convolution(made):
    """the result, printed"""
    parameters = sorted(name for name, _ in made.named_parameters())
    printed = repr(made).replace(", bias=False", "")
    return {"layer": printed, "parameters": parameters}


def _both_afterwards(answer: Callable, conv: nn.Module, norm: nn.Module) -> dict:
    """conv and norm afterwards, once the result's parameters were set to 0"""
    made = answer(conv, norm)
    if isinstance(made, nn.Module):
        for parameter in made.parameters():
            parameter.detach().zero_()
    layers = {"conv": conv, "norm": norm}
    return {
        f"{name}.{kind}": values.detach()
        for name, layer in layers.items()
        for kind, values in layer.state_dict().items()
    }


def _pair(ask: Trial, channels: int = 3, eps: float = 1e-5, **options) -> tuple:
    options = {"kernel_size": 3, "bias": False} | options
    conv = nn.Conv2d(3, channels, **options)
    return drawn(conv, ask.rng), drawn(nn.BatchNorm2d(channels, eps=eps), ask.rng)


@lab.step("idea", "one weight, one channel")
def _(ask: Trial) -> None:
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)
    numbers_of = ((conv.weight, 2.0), (norm.weight, 3.0), (norm.bias, 1.0))
    for values, number in (*numbers_of, (norm.running_mean, 4), (norm.running_var, 4)):
        values.detach().fill_(number)
    ask.through(_folded, conv.eval(), norm.eval())


lab.step("idea", "three channels", lambda ask: ask.through(_folded, *_pair(ask)))


@lab.step("any convolution", "epsilon")
def _(ask: Trial) -> None:
    ask.through(_folded, *_pair(ask, eps=0.5))


@lab.step("any convolution", "stride and padding")
def _(ask: Trial) -> None:
    pair = _pair(ask, 4, kernel_size=(3, 5), stride=2, padding=1)
    ask.through(_convolution, *pair)


@lab.step("any convolution", "a bias of its own")
def _(ask: Trial) -> None:
    ask.through(_folded, *_pair(ask, 4, bias=True))


@lab.step("any convolution", "a new layer")
def _(ask: Trial) -> None:
    ask.through(_both_afterwards, *_pair(ask, 4, bias=True))


def _folding(
    weight: Callable = lambda w, scale: scale[:, None, None, None] * w,
    scale: Callable = lambda n: n.weight / (n.running_var + n.eps).sqrt(),
    bias: Callable = lambda n, s, b: n.bias + s * (b - n.running_mean),
) -> Callable:
    """Folding in which one part is another one."""

    def mistaken(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        folded, by = copy.deepcopy(conv), scale(norm)
        old = torch.zeros(len(by)) if conv.bias is None else conv.bias
        folded.weight = nn.Parameter(weight(conv.weight, by))
        folded.bias = nn.Parameter(bias(norm, by, old))
        return folded

    return mistaken


lab.mistake(NO_RETURN, lambda conv, norm: None)
lab.mistake(
    "the weights are not scaled",
    _folding(weight=lambda w, scale: w.detach().clone()),
)
lab.mistake(
    "divide by the root of the variance: .sqrt() is missing",
    _folding(scale=lambda n: n.weight / (n.running_var + n.eps)),
)
lab.mistake(
    "norm.weight is missing in the scale",
    _folding(scale=lambda n: 1 / (n.running_var + n.eps).sqrt()),
)
lab.mistake(
    "norm.eps is missing under the root",
    _folding(scale=lambda n: n.weight / n.running_var.sqrt()),
)
lab.mistake(
    "norm.eps belongs under the root",
    _folding(scale=lambda n: n.weight / (n.running_var.sqrt() + n.eps)),
)
lab.mistake(
    "the scale belongs to the outputs, the first axis: scale[:, None, None, None]",
    _folding(weight=lambda w, scale: w * scale[None, :, None, None]),
)
lab.mistake(
    "the scale belongs to the outputs, the first axis; yours meets the last one",
    _folding(weight=lambda w, scale: w * scale),
)
lab.mistake(
    "the mean is scaled as well: norm.bias - scale * norm.running_mean",
    _folding(bias=lambda n, s, b: n.bias + s * b - n.running_mean),
)
lab.mistake(
    "the running mean is missing in the bias",
    _folding(bias=lambda n, s, b: n.bias + s * b),
)
lab.mistake(
    "the mean is subtracted, not added",
    _folding(bias=lambda n, s, b: n.bias + s * (b + n.running_mean)),
)
lab.mistake(
    "norm.bias is missing", _folding(bias=lambda n, s, b: s * (b - n.running_mean))
)
lab.mistake(
    "the convolution's own bias is lost: it is scaled as the weights are",
    _folding(bias=lambda n, s, b: n.bias - s * n.running_mean),
)
lab.mistake(
    "the convolution's own bias is scaled too",
    _folding(bias=lambda n, s, b: n.bias + b - s * n.running_mean),
)


@lab.mistake("the new convolution has lost stride and padding: begin with a copy")
def _(conv, norm):
    right = fold_batchnorm(conv, norm)
    made = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)
    made.load_state_dict(right.state_dict())
    return made


@lab.mistake("you changed the convolution you were given: begin with a copy")
def _(conv, norm):
    right = fold_batchnorm(conv, norm)
    conv.weight, conv.bias = right.weight, right.bias
    return conv
