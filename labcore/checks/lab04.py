"""Checks of Lab 04, channel pruning: copies of a network, smaller or reordered."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import NO_RETURN, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.returned import drawn, input_afterwards, numbers, of_network
from labcore.checks.engine.trial import Trial, Wrong
from labcore.nets import VGG

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

WHOLE_NORM = "BatchNorm keeps an entry for each channel: cut its four tensors too"
WHOLE_STATISTICS = "running_mean and running_var have one entry a channel: cut them too"
NEW_NORM = "the BatchNorm is a new one: keep the old one's entries and statistics"
NEW_STATISTICS = "running_mean and running_var are new ones: keep the old entries"
LEARNED = "running_mean and running_var are plain tensors, not parameters"
FROZEN = "the parameters cannot be trained: wrap them by nn.Parameter"
STALE = "the sizes reported are old: set out_channels, num_features, in_channels"
IN_PLACE = "the network handed over is changed; begin with copy.deepcopy(model)"


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
    """the new network's layers, printed"""
    kinds = nn.Conv2d | nn.BatchNorm2d
    printed = {n: repr(m) for n, m in made.named_modules() if isinstance(m, kinds)}
    names = [n for n in made.state_dict() if n.endswith(("weight", "bias"))]
    parameters = dict(made.named_parameters())
    return printed | {
        "just weights and biases are parameters": {*names} == {*parameters},
        "weights and biases require grad": all(
            parameters[name].requires_grad for name in names if name in parameters
        ),
        "training": made.training,
    }


@of_network
def _scores(made):
    """the new network's class scores of 16 images"""
    state = made.state_dict()
    weights = [w for name, w in state.items() if w.dim() == 4]
    rebuilt = VGG(
        in_channels=weights[0].shape[1],
        classes=len(state["classifier.bias"]),
        channels=[len(w) for w in weights],
    )
    rebuilt.load_state_dict(state)
    images = torch.randn(
        (16, weights[0].shape[1], 16, 16), generator=torch.Generator().manual_seed(4)
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


@lab.exercise("4.1", points={"idea": 1, "rounding": 1})
def get_num_channels_to_keep(channels: int, prune_ratio: float) -> int:
    return round(channels * (1 - prune_ratio))


lab.step("idea", "30 % of 10", lambda ask: ask(10, 0.3))
lab.step("idea", "all stay", lambda ask: ask(16, 0.0))
lab.step("rounding", "30 % of 64", lambda ask: ask(64, 0.3))
lab.step("rounding", "30 % of 256", lambda ask: ask(256, 0.3))


@lab.step("rounding", "halves")
def _(ask: Trial) -> None:
    for channels, ratio in ((7, 0.5), (5, 0.5), (2, 0.25), (6, 0.25), (13, 0.5)):
        ask(channels, ratio)


@lab.step("rounding", "any size")
def _(ask: Trial) -> None:
    ask(8, 1.0)
    for _ in range(8):
        channels = torch.randint(1, 513, (), generator=ask.rng).item()
        ask(channels, torch.randint(0, 17, (), generator=ask.rng).item() / 16)
    _whole(ask, 64, 0.25)


def _whole(ask: Trial, channels: int, ratio: float) -> None:
    """A float counts as equal to a whole number, but nothing can be listed by it."""
    got = ask(channels, ratio)
    try:
        operator.index(got)
    except TypeError:
        kind = str(getattr(got, "dtype", type(got).__name__)).removeprefix("torch.")
        ask.wrong(
            given=f"channels = {channels}, prune_ratio = {ratio}",
            expected=f"{show(got)}, a whole number",
            got=f"{float(got)}, of type {kind}",
            likely="a number of channels is whole: wrap what is rounded in int()",
        )


lab.mistake("that is how many go; asked is how many stay", lambda c, r: round(c * r))
lab.mistake("int() and // cut off; the rule is round()", lambda c, r: int(c * (1 - r)))
lab.mistake("channels are whole: round the product", lambda c, r: c * (1 - r))
lab.mistake(
    "round what stays, not what goes: round(channels * (1 - prune_ratio))",
    lambda c, r: c - round(c * r),
)
lab.mistake(
    "halves go to the even number: use Python's round()",
    lambda c, r: int(c * (1 - r) + 0.5),
)
lab.mistake(
    "math.ceil() rounds up; the rule is round()", lambda c, r: math.ceil(c * (1 - r))
)
lab.mistake("that is a share; multiply by the number of channels", lambda c, r: 1 - r)


@lab.exercise("4.2", points={"three places": 3, "any channels": 3})
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


@lab.step("three places", "shapes")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 5, 4), 0, OUTER_TWO)


@lab.step("three places", "the channels that stay")
def _(ask: Trial) -> None:
    ask.through(numbers, _net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any channels", "what the layers report")
def _(ask: Trial) -> None:
    ask.through(_layers, _net(ask, 3, 4), 0, OUTER_TWO)


@lab.step("any channels", "another order")
def _(ask: Trial) -> None:
    ask.through(numbers, _net(ask, 3, 4), 0, torch.tensor([2, 0, 1]))


@lab.step("any channels", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, _net(ask, 3, 4), 0, torch.tensor([0, 1, 2]))


@lab.step("any channels", "any convolution")
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


lab.mistake(NO_RETURN, lambda model, i, index: None)
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


@lab.mistake("index lists what stays; you keep the others")
def _(model, i, index):
    stays = torch.ones(_convs(model)[i].out_channels, dtype=torch.bool)
    stays[index] = False
    return select_channels(model, i, stays.nonzero().flatten())


lab.mistake(
    "you keep the first len(index) channels; keep those in index",
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
    "the network returned is the old one, uncut: take the modules from the copy",
    lambda model, i, index: copy.deepcopy(model),
)
lab.mistake("the channels are zero, but still there", _select_masked)
lab.mistake(
    STALE,
    _selecting(_stale),
    help=(
        "Compare `print(model.backbone.conv0)` with the shape of its "
        "weight. The number is an attribute of its own."
    ),
)


@lab.mistake("out_channels of the convolution is the old one")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.conv.out_channels = old.conv.out_channels


@lab.mistake("num_features of the BatchNorm is the old one")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.norm.num_features = old.norm.num_features


@lab.mistake("in_channels of the next convolution is the old one")
@_selecting
def _(new: Place, old: Place, index: Tensor) -> None:
    new.following.in_channels = old.following.in_channels


lab.mistake(LEARNED, _selecting(_learned))
lab.mistake(FROZEN, _selecting(_frozen))
lab.mistake(
    "you cut convolution 0, whatever i is",
    lambda model, i, index: select_channels(model, 0, index),
)


@lab.mistake("index itself is changed (sort_, index[...] =): work on a copy of it")
def _(model, i, index):
    made = select_channels(model, i, index)
    index.copy_(index.sort().values)
    return made


lab.mistake(IN_PLACE, _put_back(select_channels))
lab.help(
    "as parameter",
    "`conv.weight` is a parameter and stays one: wrap the tensor, `nn.Parameter(...)`.",
)


@lab.exercise("4.3", points={"one ratio": 2, "any network": 2})
def channel_prune(model: nn.Module, prune_ratio: float | list[float]) -> nn.Module:
    convs = [m for m in model.backbone if isinstance(m, nn.Conv2d)][:-1]
    if not isinstance(prune_ratio, list):
        prune_ratio = [prune_ratio] * len(convs)
    for i, (conv, ratio) in enumerate(zip(convs, prune_ratio, strict=True)):
        keep = get_num_channels_to_keep(conv.out_channels, ratio)
        model = select_channels(model, i, torch.arange(keep))
    return model


def _prune_masked(model: nn.Module, prune_ratio: float | list[float]) -> nn.Module:
    every = _all_channels(model)
    if not isinstance(prune_ratio, list):
        prune_ratio = [prune_ratio] * len(every)
    counts = [
        get_num_channels_to_keep(len(channels), ratio)
        for channels, ratio in zip(every, prune_ratio, strict=True)
    ]
    return _masked(model, [c[:n] for c, n in zip(every, counts, strict=True)])


@lab.step("one ratio", "shapes")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 4, 6, 8, 2), 0.5)


@lab.step("one ratio", "outputs of the masked dense network")
def _(ask: Trial) -> None:
    ask.through(_scores, _net(ask, 4, 6, 2), 0.5, oracle=_prune_masked)


@lab.step("any network", "what the layers report")
def _(ask: Trial) -> None:
    ask.through(_layers, _net(ask, 4, 6, 2), 0.5)


@lab.step("any network", "rounding")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 5, 9, 7, 2), 0.3)


@lab.step("any network", "a ratio for each")
def _(ask: Trial) -> None:
    ask.through(_shapes, _net(ask, 4, 6, 2), [0.25, 0.5])


@lab.step("any network", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, _net(ask, 4, 6, 2), 0.5)


@lab.step("any network", "five convolutions")
def _(ask: Trial) -> None:
    each = [0.5, 0.0, 0.3, 0.6]
    model = _any_net(ask)
    ask.through(_layers, model, each)
    ask.through(_scores, model, each, oracle=_prune_masked)
    ask.through(_scores, model, 0.3, oracle=_prune_masked)


def _pruning(
    count: Callable = get_num_channels_to_keep,
    first: Callable = lambda channels, keep: torch.arange(keep),
    ratios: Callable = lambda given: given,
    change: Change | None = None,
) -> Callable:
    """Pruning in which one part is another one."""

    def mistaken(model: nn.Module, prune_ratio: float | list[float]) -> nn.Module:
        made = copy.deepcopy(model)
        convs = _convs(model)[:-1]
        each = prune_ratio
        if not isinstance(prune_ratio, list):
            each = [prune_ratio] * len(convs)
        for i, (conv, ratio) in enumerate(zip(convs, ratios(each), strict=False)):
            index = first(conv.out_channels, count(conv.out_channels, ratio))
            _cut_but(_place(made, i), index, change)
        return made

    return mistaken


lab.mistake(NO_RETURN, lambda model, ratio: None)
lab.mistake(
    "prune_ratio is the share that goes",
    _pruning(count=lambda channels, ratio: round(channels * ratio)),
)


@lab.mistake("you prune the last convolution too; it keeps all its channels")
def _(model, prune_ratio):
    made = _pruning()(model, prune_ratio)
    ratio = prune_ratio[-1] if isinstance(prune_ratio, list) else prune_ratio
    last = _convs(made)[-1]
    norm = made.backbone.get_submodule(f"bn{len(_convs(made)) - 1}")
    keep = get_num_channels_to_keep(last.out_channels, ratio)
    last.weight = nn.Parameter(last.weight[:keep])
    norm.weight = nn.Parameter(norm.weight[:keep])
    norm.bias = nn.Parameter(norm.bias[:keep])
    norm.running_mean = norm.running_mean[:keep]
    norm.running_var = norm.running_var[:keep]
    made.classifier.weight = nn.Parameter(made.classifier.weight[:, :keep])
    last.out_channels = norm.num_features = made.classifier.in_features = keep
    return made


lab.mistake(
    "only the first convolution is pruned; return after the loop",
    _pruning(ratios=lambda given: given[:1]),
)
lab.mistake(
    "[:-1] leaves out the last convolution; you leave out the last two",
    _pruning(ratios=lambda given: given[:-1]),
)
lab.mistake(
    "only the last pair is pruned: go on with the pruned network in the loop",
    _pruning(ratios=lambda given: [0.0] * (len(given) - 1) + given[-1:]),
    help=(
        "Inside the loop you select from the dense network each time. Give "
        "the result back the name that the next round uses."
    ),
)
lab.mistake(
    "the first channels stay; you keep the last",
    _pruning(first=lambda channels, keep: torch.arange(channels)[channels - keep :]),
)
lab.mistake(
    "int() cuts off; the rule is round()",
    _pruning(count=lambda channels, ratio: int(channels * (1 - ratio))),
)
lab.mistake(WHOLE_NORM, _pruning(change=_whole_norm))
lab.mistake(WHOLE_STATISTICS, _pruning(change=_whole_statistics))
lab.mistake(NEW_NORM, _pruning(change=_new_norm))
lab.mistake(NEW_STATISTICS, _pruning(change=_new_statistics))
lab.mistake(
    "the network returned is the old one: keep what select_channels returns",
    lambda model, ratio: copy.deepcopy(model),
)
lab.mistake("the channels are still there: zeros take the same space", _prune_masked)
lab.mistake(LEARNED, _pruning(change=_learned))
lab.mistake(FROZEN, _pruning(change=_frozen))
lab.mistake(STALE, _pruning(change=_stale))
lab.mistake(
    "every convolution has its own ratio; you take the first for all",
    _pruning(ratios=lambda given: given[:1] * len(given)),
)


@lab.mistake(
    "the list handed over is changed (pop() takes from it): work on a copy of it"
)
def _(model, prune_ratio):
    made = _pruning()(model, prune_ratio)
    if isinstance(prune_ratio, list):
        prune_ratio.clear()
    return made


lab.mistake(IN_PLACE, _put_back(channel_prune))


@lab.exercise("4.4", points={"idea": 1, "any kernel": 2})
def get_input_channel_importance(weight: Tensor) -> Tensor:
    inputs = range(weight.shape[1])
    squares = [sum(v * v for v in weight[:, i].flatten().tolist()) for i in inputs]
    return torch.tensor([total**0.5 for total in squares])


@lab.step("idea", "three input channels")
def _(ask: Trial) -> None:
    matrix = torch.tensor([[3.0, 0.0, -1.0], [4.0, -2.0, 1.0]])
    try:
        ask(matrix[:, :, None, None])
    except Wrong as wrong:
        if "2-tuple" not in wrong.lines.get("got", ""):
            raise
        likely = "norm() takes two axes at most; torch.linalg.vector_norm takes three"
        ask.wrong(**wrong.lines | {"likely": likely})


@lab.step("any kernel", "3x3 kernels")
def _(ask: Trial) -> None:
    ask(torch.randn((2, 3, 3, 3), generator=ask.rng))


@lab.step("any kernel", "a parameter")
def _(ask: Trial) -> None:
    ask(nn.Parameter(torch.randn((4, 2, 3, 3), generator=ask.rng)))


@lab.step("any kernel", "any shape")
def _(ask: Trial) -> None:
    for _ in range(4):
        shape = torch.randint(1, 6, (4,), generator=ask.rng).tolist()
        ask(torch.randn(shape, generator=ask.rng))


def _reduced(reduce: Callable[[Tensor], Tensor]) -> Callable:
    """Another number for each input channel."""
    return lambda w: torch.stack([reduce(w[:, i].detach()) for i in range(w.shape[1])])


lab.mistake(
    "that is one number for each output channel; the inputs are the second axis",
    lambda weight: get_input_channel_importance(weight.transpose(0, 1)),
    help=(
        "The axes of a convolution's weight are (out, in, height, width). "
        "Inputs are axis 1, so the others are 0, 2 and 3."
    ),
)
lab.mistake(
    "that is one number for the whole weight; asked is one an input channel",
    lambda weight: weight.detach().norm(),
)
lab.mistake(
    "the root is missing: the norm is the root of the sum of squares",
    _reduced(lambda part: part.square().sum()),
)
lab.mistake(
    "that is the sum of magnitudes; the Frobenius norm squares them",
    _reduced(lambda part: part.abs().sum()),
)
lab.mistake(
    "that is the mean of the magnitudes; the Frobenius norm squares them",
    _reduced(lambda part: part.abs().mean()),
)
lab.mistake(
    "that is the largest magnitude; the Frobenius norm takes all of them",
    _reduced(lambda part: part.abs().max()),
)
lab.mistake(
    "that is a plain sum, in which +1 and -1 cancel; square first",
    _reduced(lambda part: part.sum()),
)
lab.mistake(
    "that is a mean; the Frobenius norm is the root of the sum",
    _reduced(lambda part: part.square().mean().sqrt()),
)
lab.mistake(
    "that is a norm for each kernel; put those of an input channel together",
    lambda weight: torch.linalg.vector_norm(weight.detach(), dim=(2, 3)),
)
lab.mistake(
    "right, but in float64; return the weight's own type, float32",
    lambda weight: get_input_channel_importance(weight).double(),
)
lab.help(
    "dim must be a 2-tuple",
    "`weight.norm(dim=...)` and `torch.norm` take two axes at most, "
    "since they also know norms of matrices. `torch.linalg.vector_norm` "
    "treats all numbers along the axes as one long vector; its length "
    "is the Frobenius norm.",
)


@lab.exercise("4.5", points={"idea": 3, "any network": 2})
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


lab.step("idea", "shapes", lambda ask: ask.through(_shapes, _net(ask, 4, 5, 3)))


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
    "Each round has to start from the network that the round before "
    "returned. The importances may come from the unsorted network: "
    "reordering a layer's rows does not change its columns' norms."
)

lab.mistake(NO_RETURN, lambda model: None)
lab.mistake(
    "nothing is sorted: the order is the old one",
    copy.deepcopy,
    help=FROM_THE_ROUND_BEFORE,
)
lab.mistake(
    "the least important comes first; sort in descending order",
    _sorting(descending=False),
)
lab.mistake(
    "BatchNorm has one entry for each channel: reorder its four tensors too",
    _sorting(change=_whole_norm),
)
lab.mistake(
    "running_mean and running_var have one entry a channel: reorder them too",
    _sorting(change=_whole_statistics),
)
lab.mistake(
    "the next convolution does not know the new order: reorder its columns",
    _sorting(change=_whole_following),
)
lab.mistake(
    "that sorts by the layer's own rows; asked is the norm of the next layer's columns",
    _sorting(lambda at: get_input_channel_importance(at.conv.weight.transpose(0, 1))),
)
lab.mistake(
    "that sorts by the sum of magnitudes; asked is the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().sum())),
)
lab.mistake(
    "that sorts by the largest magnitude; asked is the Frobenius norm",
    _sorting(_of_columns(lambda part: part.abs().max())),
)
lab.mistake(
    "that sorts by the BatchNorm's weight; asked is the norm of the next layer's "
    "columns",
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
    "only the first pair is sorted; return after the loop",
    _sorting(pairs=slice(0, 1)),
)
lab.mistake(
    "only the last pair is sorted: go on with the sorted network in the loop",
    _sorting(pairs=slice(-1, None)),
    help=FROM_THE_ROUND_BEFORE,
)
lab.mistake(LEARNED, _sorting(change=_learned))
lab.mistake(FROZEN, _sorting(change=_frozen))
lab.mistake(IN_PLACE, _put_back(apply_channel_sorting))
