"""Checks of Lab 08: a lottery round, two fan-ins, gradients, the line between nets."""

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


@lab.exercise("8.1", points={"idea": 3, "any round": 2})
def next_masks(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
    sizes = [_weight(model, name).abs()[mask] for name, mask in masks.items()]
    order = torch.cat(sizes).argsort()  # of the kept weights alone, smallest first
    stays = torch.ones(len(order), dtype=torch.bool)
    stays[order[: round(share * len(order))]] = False
    made = {name: mask.clone() for name, mask in masks.items()}
    parts = stays.split([len(size) for size in sizes])
    for (name, mask), part in zip(masks.items(), parts, strict=True):
        made[name][mask] = part
    return made


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


def _masks(ask: Trial, model: nn.Module, layers: Sequence[str], share: float) -> dict:
    """Masks at random that keep and remove at least one weight; zeros in the network.

    share   that goes, about; 0 removes nothing
    """
    made = _dense(model, *layers)
    for name, mask in made.items() if share else ():
        mask.copy_(torch.rand(mask.shape, generator=ask.rng) >= share)
        kept, removed = torch.randperm(mask.numel(), generator=ask.rng)[:2]
        mask.view(-1)[kept], mask.view(-1)[removed] = True, False
        _weight(model, name)[~mask] = 0
    return made


def _dense(model: nn.Module, *layers: str) -> dict[str, Tensor]:
    return {n: torch.ones_like(_weight(model, n), dtype=torch.bool) for n in layers}


def _first_round(ask: Trial) -> None:
    model = _net(ask, 4, 2, 2)
    values = [[0.3, -0.9, 0.1, 0.7], [-0.2, 0.8, -0.5, 0.4]]
    _weight(model, "fc1").copy_(torch.tensor(values))
    ask(model, _dense(model, "fc1"), 0.25)


def _second_round(ask: Trial) -> None:
    model = _net(ask, 5, 2, 2)
    masks = next_masks(model, _dense(model, "fc1"), 0.5)
    _weight(model, "fc1")[~masks["fc1"]] = 0
    ask(model, masks, 0.4)


def _together(ask: Trial) -> None:
    """The smallest are all in one layer."""
    model = _net(ask, 4, 3, 2)
    _weight(model, "fc1").mul_(100)
    ask(model, _dense(model, "fc1", "fc2"), 0.25)


def _roundings(ask: Trial) -> None:
    for inputs, share in ((5, 0.3), (7, 0.5), (4, 0.2), (3, 0.9)):
        model = _net(ask, inputs, 1, 2)
        ask(model, _dense(model, "fc1"), share)


def _nothing_or_all(ask: Trial) -> None:
    for share in (0.0, 1.0):
        model = _net(ask, 3, 2, 2)
        ask(model, _masks(ask, model, ["fc1", "fc2"], 0.3), share)


def _kept_zero(ask: Trial) -> None:
    model = _net(ask, 4, 1, 2)
    _weight(model, "fc1")[0, 2] = 0
    ask(model, _dense(model, "fc1"), 0.5)


def _ties(ask: Trial) -> None:
    """Among equal magnitudes any may go, so the masks are judged by what they do."""
    model = _net(ask, 5, 2, 2)
    masks = _dense(model, "fc1")
    masks["fc1"][0, 1] = masks["fc1"][1, 3] = False
    values = [[0.5, 0.0, -0.5, 1.0, 0.5], [-0.5, 0.5, -1.0, 0.0, 0.5]]
    _weight(model, "fc1").copy_(torch.tensor(values))
    before, weight = clone(masks), _weight(model, "fc1").clone()
    made = ask.call(model, masks, 0.5)
    given = f"fc1.weight = {show(weight)}, masks = {show(before)}, share = 0.5"
    new = made.get("fc1") if isinstance(made, Mapping) else None
    likely = ask.known_mistake((model, before, 0.5), {}, made)
    if not isinstance(new, Tensor) or new.dtype is not torch.bool:
        ask.wrong(given=given, expected="a dictionary of bool masks", got=show(made))
    kept, n = int(new.sum()), int(before["fc1"].sum())
    due = n - round(0.5 * n)
    if kept != due or (new & ~before["fc1"]).any():
        ask.wrong(
            given=given,
            expected=f"{due} of the {n} kept weights stay",
            got=f"{kept} stay: {show(new)}",
            likely=likely or "a threshold cannot split equal magnitudes; rank them",
        )
    gone = weight.abs()[before["fc1"] & ~new]
    if len(gone) and gone.max() > weight.abs()[new].min():
        ask.wrong(
            given=given,
            expected="no removed weight larger than one that is kept",
            got=show(new),
            likely=likely,
        )


def _random_rounds(ask: Trial) -> None:
    for share in (0.2, 0.35):
        model = _net(ask, 7, 5, 4, 3)
        ask(model, _masks(ask, model, ["fc1", "fc2"], 0.4), share)


def _ranked(
    importance: Callable[[Tensor], Tensor] = torch.abs,
    count: Callable[[float, Masks], int] = lambda share, masks: round(
        share * _kept(masks)
    ),
    everything: bool = False,
    old: Callable[[Tensor, Tensor], Tensor] = torch.logical_and,
) -> Callable:
    """The round with another order, another count, or another use of the old masks."""

    def mistaken(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
        ranks = []
        for name, mask in masks.items():
            rank = importance(_weight(model, name)).clone()
            if not everything:
                rank[~mask] = torch.inf
            ranks.append(rank)
        flat = torch.cat([rank.flatten() for rank in ranks])
        stays = torch.ones(len(flat), dtype=torch.bool)
        stays[flat.argsort(stable=True)[: count(share, masks)]] = False
        parts = stays.split([rank.numel() for rank in ranks])
        return {
            name: old(part.view(mask.shape), mask)
            for (name, mask), part in zip(masks.items(), parts, strict=True)
        }

    return mistaken


def _kept(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def _all(masks: Masks) -> int:
    return sum(mask.numel() for mask in masks.values())


def _mapped_masks(change: Callable[[Tensor], Tensor]) -> Callable:
    def mistaken(model: nn.Module, masks: Masks, share: float) -> dict[str, Tensor]:
        return {n: change(m) for n, m in next_masks(model, masks, share).items()}

    return mistaken


def _layer_by_layer(model: nn.Module, masks: Masks, share: float) -> dict:
    made = {}
    for name, mask in masks.items():
        made |= next_masks(model, {name: mask}, share)
    return made


def _nonzero_is_kept(model: nn.Module, masks: Masks, share: float) -> dict:
    return next_masks(model, {n: _weight(model, n) != 0 for n in masks}, share)


def _by_threshold(model: nn.Module, masks: Masks, share: float) -> dict:
    sizes = {name: _weight(model, name).abs() for name in masks}
    kept = torch.cat([sizes[name][mask] for name, mask in masks.items()]).sort().values
    limit = kept[round(share * len(kept)) - 1]
    return {name: mask & (sizes[name] > limit) for name, mask in masks.items()}


def _other_keys(model: nn.Module, masks: Masks, share: float) -> dict:
    return {f"{n}.weight": m for n, m in next_masks(model, masks, share).items()}


lab.step("idea", "the first round", _first_round)
lab.step("idea", "a later round", _second_round)
lab.step("idea", "two layers together", _together)
lab.step("any round", "rounding", _roundings)
lab.step("any round", "none and all", _nothing_or_all)
lab.step("any round", "a kept weight of zero", _kept_zero)
lab.step("any round", "equal magnitudes", _ties)
lab.step("any round", "any network", _random_rounds)
lab.mistake(
    "the masks are upside down: True means keep", _mapped_masks(torch.logical_not)
)
lab.mistake("the masks hold numbers; asked is dtype bool", _mapped_masks(Tensor.float))
lab.mistake(
    "the shape is lost: a mask has that of its layer", _mapped_masks(Tensor.flatten)
)
lab.mistake(
    "the largest are gone; the smallest have to go", _ranked(lambda w: 1 / w.abs())
)
lab.mistake(
    "you rank the values; -0.5 is large in magnitude: take abs()", _ranked(lambda w: w)
)
lab.mistake(
    "the share is of the weights still kept; you take it of all",
    _ranked(count=lambda share, masks: round(share * _all(masks))),
)
lab.mistake(
    "removed weights are ranked again: they are zero and come first",
    _ranked(everything=True),
    help=(
        "After the first round the smallest magnitudes are the zeros that "
        "are gone already. Whoever ranks them again removes nothing new."
    ),
)
lab.mistake(
    "what went in an earlier round comes back: keep the old masks' False",
    _ranked(old=lambda new, mask: new),
)
lab.mistake(
    "you rank each layer alone; all layers of masks are ranked together",
    _layer_by_layer,
    help=(
        "20 % of each layer is another rule. Here a layer with many small "
        "weights loses more than 20 %."
    ),
)
lab.mistake(
    "you keep the share that has to go",
    lambda model, masks, share: next_masks(model, masks, 1 - share),
)
lab.mistake(
    "int() cuts off; the rule is round()",
    _ranked(count=lambda share, masks: int(share * _kept(masks))),
)
lab.mistake(
    "share is an argument; yours is always 0.2",
    lambda model, masks, share: next_masks(model, masks, 0.2),
)
lab.mistake(
    "if none has to go your threshold is at index -1: the largest magnitude",
    _by_threshold,
)
lab.mistake("the keys are the layers' names, as in masks", _other_keys)
lab.mistake(
    "a kept weight may be zero; the masks say what is kept, not the values",
    _nonzero_is_kept,
)


Start = Mapping[str, Tensor]  # a state_dict
Train = Callable[[nn.Module, Masks], object]


@lab.exercise(
    "8.2",
    points={"round": 3, "again": 2},
    refused=("labcore.measure", "labcore.scan", "labcore.checks.lab"),
)
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


def _returned(play, model, start, masks, share):
    """the masks returned"""
    train = MaskedTraining()
    new, calls = play(model, start, masks, train, share), len(train.seen)
    return new if calls == 1 else {"calls of train": calls, "masks returned": new}


def _calls(play, model, start, masks, share):
    """weights kept when train is called"""
    train = MaskedTraining()
    play(model, start, masks, train, share)
    return train.seen


def _weights_after(play, model, start, masks, share):
    """the weights after the round"""
    play(model, start, masks, MaskedTraining(), share)
    return {n: p.detach() for n, p in model.named_parameters() if p.dim() > 1}


def _biases_after(play, model, start, masks, share):
    """the biases after the round"""
    play(model, start, masks, MaskedTraining(), share)
    return {n: p.detach() for n, p in model.named_parameters() if p.dim() == 1}


def _start_after(play, model, start, masks, share):
    """the start and the old masks after the round"""
    old = clone(masks)
    play(model, start, masks, MaskedTraining(), share)
    return {"start": dict(start), "old masks unchanged": same(old, masks)}


def _three_rounds(play, model, start, masks, share):
    """the network and start after three rounds"""
    for _ in range(3):
        masks = play(model, start, masks, MaskedTraining(), share)
        if not isinstance(masks, Mapping):
            return masks
    state = {name: values.detach() for name, values in model.state_dict().items()}
    return {"network": state, "start": dict(start), "kept": _kept(masks)}


def _played(scenario: Callable, *sizes: int, layers: Sequence[str] = ("fc1",)):
    """A step: the network is at its start, masked at random."""

    def run(ask: Trial) -> None:
        model = _net(ask, *sizes)
        start = {name: clone(t) for name, t in model.state_dict().items()}
        masks = _masks(ask, model, layers, 0.25)
        names = ("model", "start", "masks", "share")
        ask.through(scenario, model, start, masks, 0.5, names=names)

    return run


def _round(
    rewind: Callable = _rewind,
    rank: Callable = lambda model, start, old, share: next_masks(model, old, share),
) -> Callable:
    """A round with another way back, or another ranking."""

    def mistaken(model, start, masks, train, share=0.2):
        train(model, masks)
        new = rank(model, start, masks, share)
        rewind(model, start, new)
        return new

    return mistaken


def _rank_the_start(model, start, masks, share):
    _rewind(model, start, masks)
    return next_masks(model, masks, share)


def _return_the_old(model, start, masks, train, share=0.2):
    lottery_round(model, start, masks, train, share)
    return masks


def _untrained(model, start, masks, train, share=0.2):
    return lottery_round(model, start, masks, lambda *_: None, share)


def _trained_again(model, start, masks, train, share=0.2):
    train(model, masks)
    return lottery_round(model, start, masks, train, share)


def _trained_afterwards(model, start, masks, train, share=0.2):
    new = lottery_round(model, start, masks, train, share)
    train(copy.deepcopy(model), new)
    return new


def _old_masks_too(model, start, masks, train, share=0.2):
    masks |= lottery_round(model, start, masks, train, share)
    return masks


def _zeros_of_the_old(model, start, masks, train, share=0.2):
    new = lottery_round(model, start, masks, train, share)
    _rewind(model, start, masks)
    return new


def _only_masked(model, start, masks):
    for name, mask in masks.items():
        _weight(model, name).mul_(mask)


def _without_zeros(model, start, masks):
    model.load_state_dict(start)


def _weights_only(model, start, masks):
    biases = {n: clone(p) for n, p in model.state_dict().items() if p.dim() == 1}
    _rewind(model, start, masks)
    model.load_state_dict({**start, **biases})
    _only_masked(model, start, masks)


def _named_layers_only(model, start, masks):
    for name, mask in masks.items():
        _weight(model, name).copy_(start[f"{name}.weight"] * mask)


def _start_too(model, start, masks):
    _rewind(model, start, masks)
    for name, mask in masks.items():
        start[f"{name}.weight"].mul_(mask)


lab.step("round", "the masks", _played(_returned, 4, 2, 2))
lab.step("round", "training once", _played(_calls, 4, 2, 2))
lab.step("round", "weights rewound", _played(_weights_after, 4, 2, 2))
lab.step("round", "biases rewound", _played(_biases_after, 4, 2, 2))
lab.step("again", "start kept", _played(_start_after, 4, 2, 2))
lab.step(
    "again", "three rounds", _played(_three_rounds, 6, 5, 4, 3, layers=("fc1", "fc2"))
)
lab.mistake("train is never called: train first, then rank, then rewind", _untrained)
lab.mistake("a round trains once; yours trains again", _trained_again)
lab.mistake("a round trains once, at its beginning", _trained_afterwards)
lab.mistake(
    "you rank the weights of the start: train first, rank the trained weights, "
    "then rewind",
    _round(rank=_rank_the_start),
    help="The ranking needs the *trained* weights. Rewind after it.",
)
lab.mistake("return the new masks; those are the old ones", _return_the_old)
lab.mistake("the weights are the trained ones: go back to start", _round(_only_masked))
lab.mistake(
    "the network handed over is still trained: change it, not a copy",
    _round(lambda model, start, masks: None),
)
lab.mistake(
    "share is an argument; yours is always the default",
    _round(rank=lambda model, start, old, share: next_masks(model, old, 0.2)),
)
lab.mistake(
    "the removed weights are back: zero them after rewinding", _round(_without_zeros)
)
lab.mistake(
    "the zeros are the old masks': use the new, on the network and not a copy",
    _zeros_of_the_old,
)
lab.mistake(
    "only the weights are rewound; the biases belong to the start as well",
    _round(_weights_only),
)
lab.mistake(
    "only the masked layers are rewound; start holds all of the network",
    _round(_named_layers_only),
)
lab.mistake(
    "start is changed, and the next round needs it: multiply a copy",
    _round(_start_too),
    help=(
        '`start["fc1.weight"].mul_(mask)` changes the dictionary\'s tensor, '
        "and so does training if the model shares its tensors. Copy the "
        "values into the model, then put zeros into the model."
    ),
)
lab.mistake(
    "the old masks are changed; return new ones in a new dictionary", _old_masks_too
)


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


NOISE = torch.tensor([[1.0, -1.0, 2.0, 0.5], [1.0, 1.0, -1.0, 3.0]])
KEEP = torch.tensor([[True, True, False, False], [False, False, False, True]])
ONES = torch.ones(2, 3, dtype=torch.bool)


def _dead_neuron(ask: Trial) -> None:
    mask = torch.tensor([[True, False, True], [False, False, False]])
    ask(_noise(ask, 2, 3), mask)


def _random_masks(ask: Trial) -> None:
    for outputs, inputs in ((6, 9), (9, 4), (5, 5)):
        mask = torch.rand(outputs, inputs, generator=ask.rng) < 0.4
        ask(_noise(ask, outputs, inputs), mask)


def _spread(deviation: Callable[[Tensor], Tensor | float]) -> Callable:
    """Initial values of another standard deviation, zero where nothing is kept."""

    def mistaken(noise: Tensor, mask: Tensor) -> Tensor:
        return torch.nan_to_num(noise * deviation(mask.float()), 0, 0, 0) * mask

    return mistaken


def _each(mask: Tensor) -> Tensor:
    return mask.sum(dim=1, keepdim=True)


lab.step("idea", "two neurons", lambda ask: ask(NOISE.clone(), KEEP.clone()))
lab.step("idea", "nothing removed", lambda ask: ask(_noise(ask, 2, 3), ONES))
lab.step("any mask", "a neuron without inputs", _dead_neuron)
lab.step("any mask", "any shape", _random_masks)
lab.mistake(
    "that is He's rule with all inputs; count those that the mask keeps",
    _spread(lambda mask: (2 / mask.shape[1]) ** 0.5),
)
lab.mistake(
    "the removed weights have to be zero: multiply by the mask",
    lambda noise, m: noise * (2 / _each(m)) ** 0.5,
)
lab.mistake(
    "that is one fan-in for the whole layer; each neuron, a row, has its own",
    _spread(lambda mask: (2 / mask.sum(dim=1).mean()) ** 0.5),
)
lab.mistake(
    "you count columns, the outputs of an input; a neuron's inputs are its row",
    _spread(lambda mask: (2 / mask.sum(dim=0, keepdim=True)) ** 0.5),
)
lab.mistake(
    "you count all of the mask; a neuron's inputs are one row of it",
    _spread(lambda mask: (2 / mask.sum()) ** 0.5),
)
lab.mistake(
    "you count the inputs that are gone; count those that the mask keeps",
    _spread(lambda mask: (2 / _each(1 - mask).clamp(min=1)) ** 0.5),
)
lab.mistake(
    "2 / fan-in is the variance; noise is multiplied by its root",
    _spread(lambda mask: 2 / _each(mask)),
)
lab.mistake(
    "the 2 is missing: He's rule is 2 / fan-in, for the half that ReLU cuts",
    _spread(lambda mask: (1 / _each(mask)) ** 0.5),
)
lab.mistake(
    "you divide by 0 where a neuron has no inputs left: inf * 0 is nan",
    lambda noise, mask: noise * (2 / _each(mask.float())) ** 0.5 * mask,
    help=(
        "$2 / 0$ is `inf`, and `inf * 0` is `nan`, which no multiplication "
        "by a mask removes."
    ),
)


@lab.exercise("8.4", points={"idea": 2, "no trace": 1})
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


def _batch(ask: Trial, *sizes: int, count: int = 6) -> tuple:
    """A network of moderate numbers, and images that it is unsure of."""
    model = _net(ask, *sizes)
    for parameter in model.parameters():
        parameter.detach().div_(3 * parameter.detach().abs().max())
    images = torch.randn((count, sizes[0]), generator=ask.rng)
    labels = torch.randint(sizes[-1], (count,), generator=ask.rng)
    return model, images, labels


def _asked_for_gradient(ask: Trial, sizes: Sequence[int], layers, share: float) -> None:
    model, images, labels = _batch(ask, *sizes)
    ask(model, images, labels, _masks(ask, model, layers, share))


def _twice(ask: Trial) -> None:
    """The same call again: what the first one left behind must not count."""
    model, images, labels = _batch(ask, 4, 3, 3)
    case = (model, images, labels, _masks(ask, model, ["fc1", "fc2"], 0.4))
    once, again = ask(*case), ask.call(*case)
    if not same(once, again):
        ask.wrong(
            given="the same call twice",
            expected=show(once),
            got=f"{show(again)} the second time",
            likely="backward() adds to .grad: call model.zero_grad() before it"
            if same(2 * once, again)
            else "",
        )


def _from_gradients(measure: Callable[[Sequence[Tensor]], float], **options):
    """Another number made of the kept entries of each layer's gradient."""

    def mistaken(model, images, labels, masks):
        found = _gradients(model, images, labels, masks, **options)
        return float(measure([found[name][mask] for name, mask in masks.items()]))

    return mistaken


def _all_weights(model, images, labels, masks):
    dense = {name: torch.ones_like(mask) for name, mask in masks.items()}
    return gradient_norm(model, images, labels, dense)


def _all_parameters(model, images, labels, masks):
    loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return sum(g.square().sum() for g in gradients).item() ** 0.5


def _after_softmax(model, images, labels, masks):
    probable = nn.Sequential(model, nn.Softmax(dim=1))
    inside = {f"0.{name}": mask for name, mask in masks.items()}
    return gradient_norm(probable, images, labels, inside)


def _of_the_weights(model, images, labels, masks):
    kept = [_weight(model, name)[mask] for name, mask in masks.items()]
    return torch.cat(kept).norm().item()


lab.step(
    "idea", "one layer", lambda ask: _asked_for_gradient(ask, (3, 2, 2), ["fc1"], 0)
)
lab.step(
    "idea",
    "kept weights",
    lambda ask: _asked_for_gradient(ask, (4, 2, 2), ["fc1"], 0.5),
)
lab.step(
    "idea",
    "two layers",
    lambda ask: _asked_for_gradient(ask, (4, 3, 2), ["fc1", "fc2"], 0.4),
)
lab.step("no trace", "twice the same", _twice)
lab.step(
    "no trace",
    "any network",
    lambda ask: _asked_for_gradient(ask, (8, 7, 5, 4), ["fc2", "fc1"], 0.6),
)
lab.mistake(
    "removed weights have a gradient too; take the kept entries only", _all_weights
)
lab.mistake(
    "all parameters count in yours; asked are the kept weights in masks",
    _all_parameters,
)
lab.mistake(
    "that is the sum of the layers' norms; add the squares, then take one root",
    _from_gradients(lambda parts: sum(part.norm() for part in parts)),
)
lab.mistake(
    "the root is missing: the norm is the root of the sum of squares",
    _from_gradients(lambda parts: torch.cat(parts).square().sum()),
)
lab.mistake(
    "that is the sum of magnitudes; the norm squares them",
    _from_gradients(lambda parts: torch.cat(parts).abs().sum()),
)
lab.mistake(
    "the loss is the mean over the images, not the sum",
    _from_gradients(lambda parts: torch.cat(parts).norm(), reduction="sum"),
)
lab.mistake(
    "cross_entropy takes the scores as they are, without softmax", _after_softmax
)
lab.mistake(
    "that is the norm of the weights; asked is that of their gradient", _of_the_weights
)
lab.mistake(
    "that keeps only the last layer; add up over all of masks",
    _from_gradients(lambda parts: parts[-1].norm()),
)
lab.mistake(
    "that keeps only the first layer; return after the loop",
    _from_gradients(lambda parts: parts[0].norm()),
)
lab.help(
    "backward() adds to .grad",
    "With `loss.backward()` the second call finds the gradient of the "
    "first in `.grad` and adds to it. `model.zero_grad()` before it "
    "helps.",
)


@lab.exercise("8.5", points={"idea": 2, "any line": 1})
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


def _line(ask: Trial, positions: Sequence[float], *sizes: int) -> None:
    """At half way the loss is far from the mean of the ends."""
    one, images, labels = _batch(ask, *sizes)
    other, _, _ = _batch(ask, *sizes)
    for model in (one, other):
        for parameter in model.parameters():
            parameter.detach().mul_(4)
    ask(one, other, list(positions), images, labels)


def _same_network(ask: Trial) -> None:
    one, images, labels = _batch(ask, 3, 2, 2)
    ask(one, copy.deepcopy(one), [0.0, 0.3, 1.0], images, labels)


def _at_each(loss: Callable) -> Callable:
    """`loss(one, other, t, images, labels)` at each position."""

    def mistaken(one, other, positions, images, labels):
        return [float(loss(one, other, t, images, labels)) for t in positions]

    return mistaken


def _mixed_losses(one, other, t, images, labels):
    return (1 - t) * _loss(one, images, labels) + t * _loss(other, images, labels)


@torch.no_grad()
def _mixed_scores(one, other, t, images, labels):
    return F.cross_entropy((1 - t) * one(images) + t * other(images), labels)


def _own_biases(one, other, t, images, labels):
    mixed = _mixture(one, other, t)
    biases = {n: p for n, p in one.state_dict().items() if p.dim() == 1}
    mixed.load_state_dict(mixed.state_dict() | biases)
    return _loss(mixed, images, labels)


def _drifting(one, other, positions, images, labels):
    losses, mixed = [], one
    for t in positions:
        mixed = _mixture(mixed, other, t)
        losses.append(_loss(mixed, images, labels).item())
    return losses


@torch.no_grad()
def _share_wrong(one, other, t, images, labels):
    return (_mixture(one, other, t)(images).argmax(1) != labels).double().mean()


lab.step("idea", "both ends", lambda ask: _line(ask, (0.0, 1.0), 3, 4, 2))
lab.step("idea", "half way", lambda ask: _line(ask, (0.5,), 3, 4, 2))
lab.step(
    "idea",
    "five positions",
    lambda ask: _line(ask, (0.0, 0.25, 0.5, 0.75, 1.0), 4, 6, 3),
)
lab.step("any line", "a network and itself", _same_network)
lab.step(
    "any line",
    "any order",
    lambda ask: _line(ask, (1.0, 0.2, 0.6, 0.0, 1.1), 5, 6, 4, 3),
)
lab.mistake(
    "position 0 is the first network, and 1 the other",
    _at_each(lambda one, other, t, *batch: _loss(_mixture(other, one, t), *batch)),
)
lab.mistake(
    "you mix the two losses; mix the parameters, then measure",
    _at_each(_mixed_losses),
    help=(
        "The loss between two networks is not the mean of their losses; "
        "that is the whole point of looking."
    ),
)
lab.mistake(
    "you mix the scores of both networks; mix the parameters", _at_each(_mixed_scores)
)
lab.mistake(
    "that is the first network at each position: p.copy_(...) changes p in place, "
    "p = ... does not",
    _at_each(lambda one, other, t, *batch: _loss(one, *batch)),
)
lab.mistake(
    "only the first position is there: return after the loop",
    lambda one, other, positions, *batch: losses_between(
        one, other, positions[:1], *batch
    ),
)
lab.mistake("the biases have to be mixed as well", _at_each(_own_biases))
lab.mistake(
    "each position starts from the two ends, not from the mixture before", _drifting
)
lab.mistake(
    "that is the sum over the images; the loss is their mean",
    _at_each(
        lambda one, other, t, *batch: _loss(_mixture(one, other, t), *batch, "sum")
    ),
)
lab.mistake(
    "that is the share of wrong answers; asked is the loss", _at_each(_share_wrong)
)
lab.mistake(
    "that is the accuracy; asked is the loss",
    _at_each(lambda *case: 1 - _share_wrong(*case)),
)
