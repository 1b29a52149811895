"""Checks of Lab 08: a lottery round, fan-in, the line between networks, gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore.checks.engine.compare import clone, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial
from labcore.checks.lab08.rehearsal import MaskedTraining
from labcore.nets import MLP

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Masks = Mapping[str, Tensor]  # layer -> bool, True = keep
Start = Mapping[str, Tensor]  # a state_dict
Train = Callable[[nn.Module, Masks], object]


# networks, masks and batches that several exercises use


def _weight(model: nn.Module, name: str) -> Tensor:
    return model.get_submodule(name).weight.detach()


def _net(ask: Trial, *sizes: int) -> MLP:
    """A network in which no two numbers have the same magnitude, and none is zero."""
    inputs, *hidden, classes = sizes
    model = MLP(inputs, hidden, classes)
    count = sum(p.numel() for p in model.parameters())
    values = distinct(ask.rng, count, unit=0.1)
    nn.utils.vector_to_parameters(values, model.parameters())
    return model.eval()


def _dense(model: nn.Module, *layers: str) -> dict[str, Tensor]:
    return {n: torch.ones_like(_weight(model, n), dtype=torch.bool) for n in layers}


def _masks(ask: Trial, model: nn.Module, layers: Sequence[str], share: float) -> dict:
    """Random masks, each with a weight kept and one removed; zeros in the network.

    share   of the weights that is removed, about; 0 removes nothing
    """
    made = _dense(model, *layers)
    if share == 0:
        return made
    for name, mask in made.items():
        mask.copy_(torch.rand(mask.shape, generator=ask.rng) >= share)
        kept, removed = torch.randperm(mask.numel(), generator=ask.rng)[:2]
        mask.view(-1)[kept], mask.view(-1)[removed] = True, False
        _weight(model, name)[~mask] = 0
    return made


def _batch(ask: Trial, *sizes: int) -> tuple[MLP, Tensor, Tensor]:
    """A network of moderate numbers, and images that it is unsure of.

    The number of images is odd, so that as many can never be right as are wrong.
    """
    model = _net(ask, *sizes)
    for parameter in model.parameters():
        parameter.detach().div_(3 * parameter.detach().abs().max())
    images = torch.randn((7, sizes[0]), generator=ask.rng)
    labels = torch.randint(sizes[-1], (7,), generator=ask.rng)
    return model, images, labels


@lab.exercise("8.1", points={"idea": 3, "any round": 2})
def next_masks(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
    sizes = [_weight(model, name).abs()[mask] for name, mask in masks.items()]
    order = torch.cat(sizes).argsort()  # only the kept weights, smallest first
    stays = torch.ones(len(order), dtype=torch.bool)
    stays[order[: round(share * len(order))]] = False
    made = {name: mask.clone() for name, mask in masks.items()}
    parts = stays.split([len(size) for size in sizes])
    for (name, mask), part in zip(masks.items(), parts, strict=True):
        made[name][mask] = part
    return made


@lab.step("idea", "the first round")
def _(ask: Trial) -> None:
    """Small enough for the message to show the whole network."""
    model = _net(ask, 3, 2, 1)
    values = [[0.3, -0.9, 0.1], [-0.2, 0.8, -0.5]]
    _weight(model, "fc1").copy_(torch.tensor(values))
    ask(model, _dense(model, "fc1"), 0.34)


@lab.step("idea", "a later round")
def _(ask: Trial) -> None:
    model = _net(ask, 4, 2, 1)
    masks = next_masks(model, _dense(model, "fc1"), 0.5)
    _weight(model, "fc1")[~masks["fc1"]] = 0
    ask(model, masks, 0.5)


@lab.step("idea", "two layers together")
def _(ask: Trial) -> None:
    """The smallest are all in one layer."""
    model = _net(ask, 2, 2, 2)
    _weight(model, "fc1").mul_(10)
    ask(model, _dense(model, "fc1", "fc2"), 0.25)


@lab.step("any round", "rounding")
def _(ask: Trial) -> None:
    for inputs, share in ((5, 0.3), (7, 0.5), (4, 0.2), (3, 0.9)):
        model = _net(ask, inputs, 1, 2)
        ask(model, _dense(model, "fc1"), share)


@lab.step("any round", "none and all")
def _(ask: Trial) -> None:
    for share in (0.0, 1.0):
        model = _net(ask, 3, 2, 2)
        ask(model, _masks(ask, model, ["fc1", "fc2"], 0.3), share)


@lab.step("any round", "a kept weight of zero")
def _(ask: Trial) -> None:
    model = _net(ask, 4, 1, 2)
    _weight(model, "fc1")[0, 2] = 0
    ask(model, _dense(model, "fc1"), 0.5)


@lab.step("any round", "equal magnitudes")
def _(ask: Trial) -> None:
    """Among equal magnitudes any may go, so the masks are judged by what they do."""
    model = _net(ask, 5, 2, 2)
    old = _dense(model, "fc1")
    old["fc1"][0, 1] = old["fc1"][1, 3] = False
    values = [[0.5, 0.0, -0.5, 1.0, 0.5], [-0.5, 0.5, -1.0, 0.0, 0.5]]
    _weight(model, "fc1").copy_(torch.tensor(values))

    made = ask.call(model, clone(old), 0.5)
    fault = _fault_among_equals(torch.tensor(values), old["fc1"], made)
    if fault:
        given = f"fc1.weight = {show(torch.tensor(values))}, masks = {show(old)}"
        known = ask.known_mistake((model, old, 0.5), {}, made)
        fault["likely"] = known or fault.get("likely", "")
        ask.wrong(given=f"{given}, share = 0.5", **fault)


def _fault_among_equals(weight: Tensor, old: Tensor, made) -> dict[str, str]:
    """What is wrong with the masks after half of the kept weights had to go."""
    new = made.get("fc1") if isinstance(made, Mapping) else None
    if not isinstance(new, Tensor) or new.dtype is not torch.bool:
        return {"expected": "a dictionary of bool masks", "got": show(made)}
    kept, count = int(new.sum()), int(old.sum())
    due = count - round(0.5 * count)
    if kept != due or (new & ~old).any():
        return {
            "expected": f"{due} of the {count} kept weights stay",
            "got": f"{kept} stay: {show(new)}",
            "likely": "a threshold cannot split equal magnitudes; rank the weights",
        }
    removed = weight.abs()[old & ~new]
    if len(removed) and removed.max() > weight.abs()[new].min():
        expected = "no removed weight larger than one that is kept"
        return {"expected": expected, "got": show(new)}
    return {}


@lab.step("any round", "any network")
def _(ask: Trial) -> None:
    for share in (0.2, 0.35):
        model = _net(ask, 7, 5, 4, 3)
        ask(model, _masks(ask, model, ["fc1", "fc2"], 0.4), share)


def _changed(change: Callable[[Tensor], Tensor]) -> Callable:
    """The right masks, changed."""

    def mistaken(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
        return {n: change(m) for n, m in next_masks(model, masks, share).items()}

    return mistaken


def _kept(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def _count(share: float, masks: Masks) -> int:
    return round(share * _kept(masks))


def _ranked(
    importance: Callable[[Tensor], Tensor] = torch.abs,
    count: Callable[[float, Masks], int] = _count,
    removed_too: bool = False,
    join: Callable[[Tensor, Tensor], Tensor] = torch.logical_and,
) -> Callable:
    """The round with one part another one.

    removed_too   removed weights are ranked among the others
    join          makes the mask from what stays in the ranking and the old mask
    """

    def mistaken(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
        ranks = []
        for name, mask in masks.items():
            rank = importance(_weight(model, name)).clone()
            if not removed_too:
                rank[~mask] = torch.inf
            ranks.append(rank.flatten())
        order = torch.cat(ranks).argsort(stable=True)
        stays = torch.ones(len(order), dtype=torch.bool)
        stays[order[: count(share, masks)]] = False
        parts = stays.split([len(rank) for rank in ranks])
        return {
            name: join(part.view(mask.shape), mask)
            for (name, mask), part in zip(masks.items(), parts, strict=True)
        }

    return mistaken


lab.mistake(
    "your masks are inverted: True means that a weight is kept",
    _changed(torch.logical_not),
)
lab.mistake(
    "return bool masks, not numbers",
    _changed(Tensor.float),
)
lab.mistake(
    "give each mask the shape of its layer's weight; yours is flat",
    _changed(Tensor.flatten),
)
lab.mistake(
    "you removed the largest magnitudes; remove the smallest",
    _ranked(lambda weight: 1 / weight.abs()),
)
lab.mistake(
    "you rank the signed values; take abs(), because -0.5 is larger than 0.1",
    _ranked(lambda weight: weight),
)


@lab.mistake("you take the share of all weights; take it of the weights still kept")
def _(model, masks, share):
    total = sum(mask.numel() for mask in masks.values())
    return _ranked(count=lambda share, masks: round(share * total))(model, masks, share)


lab.mistake(
    "you rank removed weights again; they are zero, so they come first",
    _ranked(removed_too=True),
    help="The smallest magnitudes are the zeros of the weights that were removed "
    "before. If you rank these, they use up the share. Rank only the weights whose "
    "mask is `True`.",
)
lab.mistake(
    "weights removed earlier come back; what is False in masks stays False",
    _ranked(join=lambda new, old: new),
)


@lab.mistake("you rank each layer alone; rank all layers of masks in one list")
def _(model, masks, share):
    made = {}
    for name, mask in masks.items():
        made |= next_masks(model, {name: mask}, share)
    return made


lab.mistake(
    "you keep this share; remove it",
    lambda model, masks, share: next_masks(model, masks, 1 - share),
)
lab.mistake(
    "you round the count down with int(); use round()",
    _ranked(count=lambda share, masks: int(share * _kept(masks))),
)
lab.mistake(
    "you always remove 0.2; use the argument share",
    lambda model, masks, share: next_masks(model, masks, 0.2),
)


@lab.mistake("for a count of 0 your index is -1, which is the largest magnitude")
def _(model, masks, share):
    sizes = {name: _weight(model, name).abs() for name in masks}
    kept = torch.cat([sizes[name][mask] for name, mask in masks.items()]).sort().values
    limit = kept[round(share * len(kept)) - 1]
    return {name: mask & (sizes[name] > limit) for name, mask in masks.items()}


@lab.mistake("a quantile does not remove round(share * n) weights; rank, and count")
def _(model, masks, share):
    sizes = {name: _weight(model, name).abs() for name in masks}
    kept = torch.cat([sizes[name][mask] for name, mask in masks.items()])
    limit = kept.quantile(share)
    return {name: mask & (sizes[name] > limit) for name, mask in masks.items()}


@lab.mistake("use the keys of masks: the names of the layers, without .weight")
def _(model, masks, share):
    return {f"{n}.weight": m for n, m in next_masks(model, masks, share).items()}


@lab.mistake("a kept weight may be zero; the masks say what is kept, not the values")
def _(model, masks, share):
    return next_masks(model, {name: _weight(model, name) != 0 for name in masks}, share)


@lab.exercise("8.2", points={"round": 4, "again": 2})
def lottery_round(
    model: nn.Module, start: Start, masks: Masks, train: Train, share: float = 0.2
) -> dict[str, Tensor]:
    train(model, masks)
    masks = next_masks(model, masks, share)
    _rewind(model, start, masks)
    return masks


def _rewind(model: nn.Module, start: Start, masks: Masks) -> None:
    model.load_state_dict(start)
    for name, mask in masks.items():
        _weight(model, name)[~mask] = 0


def _rehearsed(play: Callable, model, start, masks, share) -> tuple:
    """The masks of a round, and the numbers of kept weights at each call of train."""
    train = MaskedTraining()
    return play(model, start, masks, train, share), train.seen


def _returned(play, model, start, masks, share):
    """the masks returned"""
    new, calls = _rehearsed(play, model, start, masks, share)
    if len(calls) == 1:
        return new
    return {"calls of train": len(calls), "masks returned": new}


def _calls(play, model, start, masks, share):
    """weights kept when train is called"""
    _, calls = _rehearsed(play, model, start, masks, share)
    return calls


def _entered(play, model, start, masks, share):
    """removed weights that are not zero when train is called"""
    train = MaskedTraining()
    play(model, start, masks, train, share)
    return train.not_zero


def _weights_after(play, model, start, masks, share):
    """the weights after the round"""
    before, train = clone(model), MaskedTraining()
    play(model, start, masks, train, share)
    if train.trained != [model] and same(before, model):
        return "the weights from before the round, as a copy was trained"
    return {n: p.detach() for n, p in model.named_parameters() if p.dim() > 1}


def _biases_after(play, model, start, masks, share):
    """the biases after the round"""
    _rehearsed(play, model, start, masks, share)
    return {n: p.detach() for n, p in model.named_parameters() if p.dim() == 1}


def _start_after(play, model, start, masks, share):
    """the start and the old masks after the round"""
    old = clone(masks)
    _rehearsed(play, model, start, masks, share)
    return {"start": dict(start), "old masks unchanged": same(old, masks)}


def _three_rounds(play, model, start, masks, share):
    """the network and start after three rounds"""
    for _ in range(3):
        masks, _calls = _rehearsed(play, model, start, masks, share)
        if not isinstance(masks, Mapping):
            return masks
    state = {name: values.detach() for name, values in model.state_dict().items()}
    return {"network": state, "start": dict(start), "kept": _kept(masks)}


def _played(scenario: Callable, *sizes: int, layers: Sequence[str] = ("fc1",)):
    """A step: the network is at its start, masked at random."""

    def step(ask: Trial) -> None:
        model = _net(ask, *sizes)
        start = {name: clone(t) for name, t in model.state_dict().items()}
        masks = _masks(ask, model, layers, 0.25)
        names = ("model", "start", "masks", "share")
        ask.through(scenario, model, start, masks, 0.5, names=names)

    return step


lab.step("round", "the masks", _played(_returned, 4, 2, 1))
lab.step("round", "training once", _played(_calls, 3, 2, 1))
lab.step("round", "zeros before training", _played(_entered, 3, 2, 1))
lab.step("round", "weights rewound", _played(_weights_after, 3, 2, 1))
lab.step("round", "biases rewound", _played(_biases_after, 3, 2, 1))
lab.step("again", "start kept", _played(_start_after, 3, 2, 1))
lab.step(
    "again",
    "three rounds",
    _played(_three_rounds, 6, 5, 4, 3, layers=("fc1", "fc2")),
)


def _round(
    rewind: Callable = _rewind,
    rank: Callable = lambda model, start, old, share: next_masks(model, old, share),
) -> Callable:
    """A round with another way back, or another ranking."""

    def mistaken(model, start, masks, train, share):
        train(model, masks)
        new = rank(model, start, masks, share)
        rewind(model, start, new)
        return new

    return mistaken


@lab.mistake("you never call train; train first, then rank, then rewind")
def _(model, start, masks, train, share):
    return lottery_round(model, start, masks, lambda model, masks: None, share)


def _rank_the_start(model, start, masks, share):
    _rewind(model, start, masks)
    return next_masks(model, masks, share)


lab.mistake(
    "you rank the weights of start; rank the trained weights, and rewind afterwards",
    _round(rank=_rank_the_start),
)


@lab.mistake(
    "you rewind before train, so removed weights are not zero in its first step",
    help="`train` sets removed weights to zero only *after* its first step. The model "
    "that you receive is ready for training.",
)
def _(model, start, masks, train, share):
    model.load_state_dict(start)
    return lottery_round(model, start, masks, train, share)


@lab.mistake("you return the old masks; return the new ones")
def _(model, start, masks, train, share):
    lottery_round(model, start, masks, train, share)
    return masks


def _only_masked(model, start, masks):
    for name, mask in masks.items():
        _weight(model, name).mul_(mask)


lab.mistake(
    "the weights are still the trained ones; go back to start",
    _round(_only_masked),
)
lab.mistake(
    "the network is still trained afterwards; rewind the network that you were given",
    _round(lambda model, start, masks: None),
)
lab.mistake(
    "you change a copy, and the network that you were given stays as it was; change it "
    "in place",
    lambda model, *case: lottery_round(copy.deepcopy(model), *case),
)
lab.mistake(
    "you always use the default share; pass the argument on",
    _round(rank=lambda model, start, old, share: next_masks(model, old, 0.2)),
)
lab.mistake(
    "the removed weights are back; set them to zero after rewinding",
    _round(lambda model, start, masks: model.load_state_dict(start)),
)


@lab.mistake("the zeros are those of the old masks; use the new masks")
def _(model, start, masks, train, share):
    new = lottery_round(model, start, masks, train, share)
    _rewind(model, start, masks)
    return new


@lab.mistake("you rewind only the weights; rewind the biases as well")
@_round
def _(model, start, masks):
    biases = {n: clone(p) for n, p in model.state_dict().items() if p.dim() == 1}
    model.load_state_dict({**start, **biases})
    _only_masked(model, start, masks)


@lab.mistake("you rewind only the layers in masks; rewind the whole network")
@_round
def _(model, start, masks):
    for name, mask in masks.items():
        _weight(model, name).copy_(start[f"{name}.weight"] * mask)


CHANGES_START = "you change start, which the next round needs; multiply in the network"


@lab.mistake(CHANGES_START)
@_round
def _(model, start, masks):
    _rewind(model, start, masks)
    for name, mask in masks.items():
        start[f"{name}.weight"].mul_(mask)


@lab.mistake(CHANGES_START)
@_round
def _(model, start, masks):
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    for name, mask in masks.items():
        _weight(model, name).mul_(mask)


@lab.mistake(
    "the network and start share their biases; `p.data = ...` shares, p.copy_() copies"
)
@_round
def _(model, start, masks):
    _rewind(model, start, masks)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.data = start[name]


@lab.mistake("you change the old masks; return new masks in a new dictionary")
def _(model, start, masks, train, share):
    masks |= lottery_round(model, start, masks, train, share)
    return masks


@lab.exercise("8.3", points={"idea": 2, "any mask": 2})
def aware_init(noise: Tensor, mask: Tensor) -> Tensor:
    made = torch.zeros_like(noise)
    for i, keep in enumerate(mask):
        fan_in = int(keep.sum())
        if fan_in > 0:
            made[i, keep] = noise[i, keep] * (2 / fan_in) ** 0.5
    return made


def _noise(ask: Trial, *shape: int) -> Tensor:
    return torch.randn(shape, generator=ask.rng)


@lab.step("idea", "two neurons")
def _(ask: Trial) -> None:
    noise = torch.tensor([[1.0, -1.0, 2.0, 0.5], [1.0, 1.0, -1.0, 3.0]])
    mask = torch.tensor([[True, True, False, False], [False, False, False, True]])
    ask(noise, mask)


@lab.step("idea", "nothing removed")
def _(ask: Trial) -> None:
    ask(_noise(ask, 2, 3), torch.ones(2, 3, dtype=torch.bool))


@lab.step("any mask", "a neuron without inputs")
def _(ask: Trial) -> None:
    mask = torch.tensor([[True, False, True], [False, False, False]])
    ask(_noise(ask, 2, 3), mask)


@lab.step("any mask", "any shape")
def _(ask: Trial) -> None:
    for outputs, inputs in ((6, 9), (9, 4), (5, 5)):
        mask = torch.rand(outputs, inputs, generator=ask.rng) < 0.4
        ask(_noise(ask, outputs, inputs), mask)


def _spread(deviation: Callable[[Tensor], Tensor | float]) -> Callable:
    """Initial values of another standard deviation, zero where nothing is kept."""

    def mistaken(noise: Tensor, mask: Tensor) -> Tensor:
        return torch.nan_to_num(noise * deviation(mask.float()), 0, 0, 0) * mask

    return mistaken


def _each(mask: Tensor) -> Tensor:
    """The number of inputs of each neuron, as a column."""
    return mask.sum(dim=1, keepdim=True)


lab.mistake(
    "you count all inputs, as He's rule does; count those that the mask keeps",
    _spread(lambda mask: (2 / mask.shape[1]) ** 0.5),
)
lab.mistake(
    "removed weights have to be zero; multiply by the mask",
    lambda noise, mask: noise * (2 / _each(mask)) ** 0.5,
)
lab.mistake(
    "you use one fan-in for the whole layer; each neuron, a row, has its own",
    _spread(lambda mask: (2 / mask.sum(dim=1).mean()) ** 0.5),
)
lab.mistake(
    "you count along columns; the inputs of a neuron are its row",
    _spread(lambda mask: (2 / mask.sum(dim=0, keepdim=True)) ** 0.5),
)
lab.mistake(
    "you count the whole mask; the inputs of a neuron are one row of it",
    _spread(lambda mask: (2 / mask.sum()) ** 0.5),
)
lab.mistake(
    "you count the removed inputs; count those that the mask keeps",
    _spread(lambda mask: (2 / _each(1 - mask).clamp(min=1)) ** 0.5),
)
lab.mistake(
    "2 / fan-in is the variance; multiply the noise by its square root",
    _spread(lambda mask: 2 / _each(mask)),
)
lab.mistake(
    "you use 1 / fan-in; He's rule is 2 / fan-in, because ReLU cuts one half",
    _spread(lambda mask: (1 / _each(mask)) ** 0.5),
)
lab.mistake(
    "you divide by 0 where a neuron has no inputs left; let the count be at least 1",
    lambda noise, mask: noise * (2 / _each(mask.float())) ** 0.5 * mask,
)


@lab.exercise("8.4", points={"idea": 3, "any line": 2})
def losses_between(
    one: nn.Module,
    other: nn.Module,
    positions: Sequence[float],
    images: Tensor,
    labels: Tensor,
) -> list[float]:
    return [_loss(_mixture(one, other, t), images, labels).item() for t in positions]


def _mixture(one: nn.Module, other: nn.Module, t: float) -> nn.Module:
    mixed, ends = copy.deepcopy(one), (one.state_dict(), other.state_dict())
    mixed.load_state_dict({n: (1 - t) * ends[0][n] + t * ends[1][n] for n in ends[0]})
    return mixed


@torch.no_grad()
def _loss(model: nn.Module, images: Tensor, labels: Tensor, reduction="mean") -> Tensor:
    return F.cross_entropy(model(images), labels, reduction=reduction)


def _line(*sizes: int, positions: Sequence[float]) -> Callable:
    """A step on a line half way along which the loss is far from the ends' mean."""

    def step(ask: Trial) -> None:
        one, images, labels = _batch(ask, *sizes)
        other, _, _ = _batch(ask, *sizes)
        for model in (one, other):
            for parameter in model.parameters():
                parameter.detach().mul_(4)
        ask(one, other, list(positions), images, labels)

    return step


lab.step("idea", "both ends", _line(3, 4, 2, positions=[0.0, 1.0]))
lab.step("idea", "half way", _line(3, 4, 2, positions=[0.5]))
lab.step(
    "idea",
    "five positions",
    _line(4, 6, 3, positions=[0.0, 0.25, 0.5, 0.75, 1.0]),
)


@lab.step("any line", "a network and itself")
def _(ask: Trial) -> None:
    one, images, labels = _batch(ask, 3, 2, 2)
    ask(one, copy.deepcopy(one), [0.0, 0.3, 1.0], images, labels)


lab.step(
    "any line",
    "any order",
    _line(5, 6, 4, 3, positions=[1.0, 0.2, 0.6, 0.0, 1.1]),
)


def _at_each(measure: Callable) -> Callable:
    """`measure(one, other, t, images, labels)` at each position."""

    @torch.no_grad()
    def mistaken(one, other, positions, images, labels):
        return [float(measure(one, other, t, images, labels)) for t in positions]

    return mistaken


lab.mistake(
    "your ends are swapped; position 0 is the first network, 1 the other",
    _at_each(lambda one, other, t, *batch: _loss(_mixture(other, one, t), *batch)),
)


@lab.mistake("you mix the two losses; mix the parameters, then measure the loss")
@_at_each
def _(one, other, t, images, labels):
    return (1 - t) * _loss(one, images, labels) + t * _loss(other, images, labels)


@lab.mistake("you mix the scores of the two networks; mix their parameters")
@_at_each
def _(one, other, t, images, labels):
    return F.cross_entropy((1 - t) * one(images) + t * other(images), labels)


lab.mistake(
    "you measure the first network each time; p = ... changes no network, copy_() does",
    _at_each(lambda one, other, t, *batch: _loss(one, *batch)),
)


def _shifted(one: nn.Module, other: nn.Module, t: float) -> nn.Module:
    moved, step = copy.deepcopy(one), other.state_dict()
    moved.load_state_dict({n: a + t * step[n] for n, a in one.state_dict().items()})
    return moved


lab.mistake(
    "you add t * b to a; the share of a has to fall: (1 - t) * a + t * b",
    _at_each(lambda one, other, t, *batch: _loss(_shifted(one, other, t), *batch)),
)


def _elsewhere(places: Callable[[int], Sequence[float]]) -> Callable:
    """The losses at positions of one's own."""

    def mistaken(one, other, positions, images, labels):
        return losses_between(one, other, places(len(positions)), images, labels)

    return mistaken


lab.mistake(
    "you space the positions yourself; use the numbers in positions",
    _elsewhere(lambda count: torch.linspace(0, 1, count).tolist()),
)
lab.mistake(
    "you always walk eleven steps; use the numbers in positions",
    _elsewhere(lambda count: [step / 10 for step in range(11)]),
)
lab.mistake(
    "you measure only the two ends; use the numbers in positions",
    _elsewhere(lambda count: [0.0, 1.0]),
)
lab.mistake(
    "you measure only half way; use the numbers in positions",
    _elsewhere(lambda count: [0.5] * count),
)


@lab.mistake("you return after the first position; return after the loop")
def _(one, other, positions, images, labels):
    return losses_between(one, other, positions[:1], images, labels)


@lab.mistake("you mix only the weights; mix the biases as well")
@_at_each
def _(one, other, t, images, labels):
    mixed = _mixture(one, other, t)
    biases = {n: p for n, p in one.state_dict().items() if p.dim() == 1}
    mixed.load_state_dict(mixed.state_dict() | biases)
    return _loss(mixed, images, labels)


@lab.mistake("you mix with the mixture before; mix the two ends at each position")
def _(one, other, positions, images, labels):
    losses, mixed = [], one
    for t in positions:
        mixed = _mixture(mixed, other, t)
        losses.append(_loss(mixed, images, labels).item())
    return losses


@lab.mistake("you return the sum over the images; return the mean")
@_at_each
def _(one, other, t, images, labels):
    return _loss(_mixture(one, other, t), images, labels, reduction="sum")


def _share_wrong(one, other, t, images, labels) -> Tensor:
    predicted = _mixture(one, other, t)(images).argmax(1)
    return (predicted != labels).double().mean()


lab.mistake(
    "you return the share of wrong answers; return the loss",
    _at_each(_share_wrong),
)
lab.mistake(
    "you return the accuracy; return the loss",
    _at_each(lambda *arguments: 1 - _share_wrong(*arguments)),
)


@lab.exercise("8.5", points={"idea": 0, "no trace": 0})  # ungraded
def gradient_norm(
    model: nn.Module, images: Tensor, labels: Tensor, masks: Masks
) -> float:
    squares = 0.0
    for name, gradient in _gradients(model, images, labels, masks).items():
        squares += gradient[masks[name]].square().sum().item()
    return squares**0.5


def _gradients(model, images, labels, names, reduction="mean") -> dict[str, Tensor]:
    with torch.enable_grad():
        loss = F.cross_entropy(model(images), labels, reduction=reduction)
        weights = [model.get_submodule(name).weight for name in names]
        return dict(zip(names, torch.autograd.grad(loss, weights), strict=True))


def _masked(*sizes: int, layers: Sequence[str], share: float) -> Callable:
    """A step on a network of which about this share of each layer is removed."""

    def step(ask: Trial) -> None:
        model, images, labels = _batch(ask, *sizes)
        ask(model, images, labels, _masks(ask, model, layers, share))

    return step


lab.step("idea", "one layer", _masked(3, 2, 2, layers=["fc1"], share=0))
lab.step("idea", "kept weights", _masked(4, 2, 2, layers=["fc1"], share=0.5))
lab.step("idea", "two layers", _masked(4, 3, 2, layers=["fc1", "fc2"], share=0.4))


@lab.step("no trace", "twice the same")
def _(ask: Trial) -> None:
    """The same call again: what the first one left behind must not count."""
    model, images, labels = _batch(ask, 4, 3, 3)
    masks = _masks(ask, model, ["fc1", "fc2"], 0.4)
    once = ask(model, images, labels, masks)
    again = ask.call(model, images, labels, masks)
    if not same(once, again):
        added = "backward() adds to .grad; call model.zero_grad() before it"
        ask.wrong(
            given="the same call twice",
            expected=show(once),
            got=f"{show(again)} the second time",
            likely=added if same(2 * once, again) else "",
        )


lab.step(
    "no trace",
    "any network",
    _masked(8, 7, 5, 4, layers=["fc2", "fc1"], share=0.6),
)


def _from_gradients(
    measure: Callable[[Sequence[Tensor]], Tensor], reduction: str = "mean"
) -> Callable:
    """Another number made of the kept entries of each layer's gradient."""

    def mistaken(model, images, labels, masks):
        found = _gradients(model, images, labels, masks, reduction)
        return float(measure([found[name][mask] for name, mask in masks.items()]))

    return mistaken


@lab.mistake("you count removed weights, which have a gradient too; take kept ones")
def _(model, images, labels, masks):
    return gradient_norm(model, images, labels, _dense(model, *masks))


@lab.mistake("you count all parameters; take the kept weights of the layers in masks")
def _(model, images, labels, masks):
    loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return sum(gradient.square().sum() for gradient in gradients).item() ** 0.5


lab.mistake(
    "you add the norms of the layers; add the squares, then take one root",
    _from_gradients(lambda parts: sum(part.norm() for part in parts)),
)
lab.mistake(
    "you return the sum of squares; take its square root",
    _from_gradients(lambda parts: torch.cat(parts).square().sum()),
)
lab.mistake(
    "you return the root of the mean square; take the root of the sum",
    _from_gradients(lambda parts: torch.cat(parts).square().mean().sqrt()),
)


@lab.mistake("you take the removed weights; take those whose mask is True")
def _(model, images, labels, masks):
    removed = {name: ~mask for name, mask in masks.items()}
    return gradient_norm(model, images, labels, removed)


lab.mistake(
    "you add magnitudes; add their squares, then take the root",
    _from_gradients(lambda parts: torch.cat(parts).abs().sum()),
)
lab.mistake(
    "your loss is the sum over the images; take the mean",
    _from_gradients(lambda parts: torch.cat(parts).norm(), reduction="sum"),
)


@lab.mistake("you apply softmax first; cross_entropy takes the scores as they are")
def _(model, images, labels, masks):
    probable = nn.Sequential(model, nn.Softmax(dim=1))
    inside = {f"0.{name}": mask for name, mask in masks.items()}
    return gradient_norm(probable, images, labels, inside)


@lab.mistake("you return the norm of the weights; return the norm of their gradient")
def _(model, images, labels, masks):
    kept = [_weight(model, name)[mask] for name, mask in masks.items()]
    return torch.cat(kept).norm().item()


lab.mistake(
    "you keep only the last layer; add up over all layers in masks",
    _from_gradients(lambda parts: parts[-1].norm()),
)
lab.mistake(
    "you return after the first layer; return after the loop",
    _from_gradients(lambda parts: parts[0].norm()),
)
lab.help(
    "backward() adds to .grad",
    "`loss.backward()` adds to `.grad`, so the second call adds to the gradient of the "
    "first. Call `model.zero_grad()` before it, or use `torch.autograd.grad`.",
)
