"""Checks of Lab 06, the toolbox: amounts, an own method of pruning, folded states."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial
from labcore.nets import LeNet

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Amounts = Sequence[int | float]


@lab.exercise("6.1", points={"idea": 2, "exactly": 2})
def weights_left(count: int, amounts: Amounts) -> int:
    for amount in amounts:
        if isinstance(amount, int):
            count = count - amount  # a whole number counts weights
        else:
            count = count - round(amount * count)  # a share of the weights that remain
    return count


lab.step("idea", "half of 16", lambda ask: ask(16, [0.5]))
lab.step("idea", "half and then a quarter", lambda ask: ask(16, [0.5, 0.25]))
lab.step("idea", "half four times", lambda ask: ask(16, [0.5] * 4))
lab.step("exactly", "a whole number", lambda ask: ask(16, [0.5, 1, 3]))
lab.step("exactly", "1 and then 1.0", lambda ask: ask(16, [1, 1.0]))


@lab.step("exactly", "rounding")
def _(ask: Trial) -> None:
    # the first four tell ceil(), int(), rounding up at halves and rounding once apart
    ask(5, [0.25])
    ask(4, [0.25, 0.25])
    ask(4, [0.5, 0.25])
    ask(14, [0.1, 0.25])
    for count, amounts in ((5, [0.5]), (7, [0.5]), (4, [0.1]), (54, [0.3, 0.3, 0.3])):
        ask(count, amounts)


@lab.step("exactly", "nothing goes")
def _(ask: Trial) -> None:
    ask(54, [])
    ask(54, [0, 0.0])


@lab.step("exactly", "random amounts")
def _(ask: Trial) -> None:
    for _ in range(6):
        count = torch.randint(200, 100_000, (), generator=ask.rng).item()
        amounts = torch.rand(4, generator=ask.rng).tolist()
        amounts.insert(1, 5)
        ask(count, amounts)


lab.mistake(
    "that many are gone; asked is how many are left",
    lambda count, amounts: count - weights_left(count, amounts),
)
lab.mistake(
    "that is a share; asked is a number of weights",
    lambda count, amounts: weights_left(count, amounts) / count,
)


@lab.mistake(
    "each amount is a share of what is left, not of the whole",
    help="Half of 16 are 8. A quarter of the remaining 8 are 2, not 4.",
)
def _(count, amounts):
    return count - sum(count - weights_left(count, [amount]) for amount in amounts)


lab.mistake(
    "only the first amount counts here; go through all of them",
    lambda count, amounts: weights_left(count, amounts[:1]),
)
lab.mistake(
    "the amount is what goes; you keep that share",
    lambda count, amounts: weights_left(count, [1 - amount for amount in amounts]),
)
lab.mistake(
    "the whole number 1 is one weight; only the float 1.0 is all of them",
    lambda count, amounts: weights_left(count, [float(amount) for amount in amounts]),
)


@lab.mistake("1.0 is a float, so a share: all of them; ask for the type, not the size")
def _(count, amounts):
    return weights_left(count, [int(a) if a >= 1 else a for a in amounts])


def _going(gone: Callable[[float], float]) -> Callable:
    """The weights left if gone(amount * count) of them go each time."""

    def mistaken(count: int, amounts: Amounts) -> float:
        for amount in amounts:
            share = isinstance(amount, float)
            count = count - (gone(amount * count) if share else amount)
        return count

    return mistaken


lab.mistake("the number of weights that go is rounded, each time", _going(float))
lab.mistake(
    "you round once, at the end; each time a whole number of weights goes",
    lambda count, amounts: round(_going(float)(count, amounts)),
)


@lab.mistake(
    "round what goes, not what is left: halves differ",
    help=(
        "Half of 5 are 2.5, so 2 go and 3 stay. Rounding the 2.5 that stay "
        "would give 2."
    ),
)
def _(count, amounts):
    for amount in amounts:
        share = isinstance(amount, float)
        count = round(count * (1 - amount)) if share else count - amount
    return count


@lab.mistake("the kinds are swapped: an int is a number of weights, a float a share")
def _(count, amounts):
    for amount in amounts:
        share = isinstance(amount, int)
        count = count - (round(amount * count) if share else amount)
    return count


lab.mistake("int() cuts off; torch takes round()", _going(int))
lab.mistake("ceil() rounds up; torch takes round()", _going(math.ceil))
lab.mistake(
    "halves go to the even number: use Python's round()",
    _going(lambda goes: int(goes + 0.5)),
)


@lab.exercise("6.2", points={"idea": 3, "exactly": 2})
def amounts_for(sparsities: Sequence[float]) -> list[float]:
    amounts, before = [], 0.0
    for wanted in sparsities:
        still_there = 1 - before
        goes = wanted - before  # both are shares of all weights
        amounts.append(goes / still_there if still_there else 0.0)
        before = wanted
    return amounts


lab.step("idea", "one round", lambda ask: ask([0.3]))
lab.step("idea", "half and three quarters", lambda ask: ask([0.5, 0.75]))
lab.step("idea", "four rounds", lambda ask: ask([0.2, 0.5, 0.6, 0.9]))


@lab.step("exactly", "random sparsities")
def _(ask: Trial) -> None:
    for length in (1, 2, 5, 8):
        ask(torch.rand(length, generator=ask.rng).sort().values.tolist())


lab.step("exactly", "a round that rests", lambda ask: ask([0, 0.5, 0.5, 0.8]))
lab.step("exactly", "everything gone", lambda ask: ask([0.5, 1.0, 1.0]))
lab.step("exactly", "no round", lambda ask: ask([]))


def _by_round(amount: Callable[[float, float], float]) -> Callable:
    """Amounts by another formula of the sparsities after and before a round."""

    def mistaken(sparsities: Sequence[float]) -> list[float]:
        before = [0.0, *sparsities[:-1]]
        return [amount(*pair) for pair in zip(sparsities, before, strict=True)]

    return mistaken


lab.mistake(
    "these are the sparsities again: divide by what is left, and move on with "
    "each round",
    list,
    help=(
        "Each round starts where the last one ended: keep the sparsity "
        "before the round in a variable, and set it anew at the end of the "
        "loop."
    ),
)
lab.mistake(
    "before the first round the sparsity is 0: it has an amount too",
    lambda sparsities: amounts_for(sparsities)[1:],
)


@lab.mistake("sparsities[-1] is the last one; before the first round the sparsity is 0")
def _(sparsities):
    before = [sparsities[i - 1] for i in range(len(sparsities))]
    return [
        (after - before) / (1 - before) if before < 1 else 0
        for after, before in zip(sparsities, before, strict=True)
    ]


lab.mistake(
    "brackets are missing: after - before / left divides before alone",
    _by_round(lambda after, before: after - before / (1 - before)),
)
lab.mistake(
    "that is the part of the whole; divide by what is still there",
    _by_round(lambda after, before: after - before),
    help=(
        "The difference is a share of all weights. The amount is a share of "
        "those still there, which are fewer."
    ),
)
lab.mistake(
    "that is the share that stays; asked is the share that goes",
    _by_round(lambda after, before: (1 - after) / (1 - before)),
)
lab.mistake(
    "divide by what was still there before the round, not after it",
    _by_round(lambda after, before: (after - before) / (1 - after)),
)
lab.mistake(
    "divide by what is still there, 1 - before, not by what is gone",
    _by_round(lambda after, before: (after - before) / (before or 1)),
)


@lab.mistake("each round starts where the last one ended, not at the first sparsity")
def _(sparsities):
    before = [0.0, *sparsities[:1] * len(sparsities)]
    return [
        (after - before) / (1 - before)
        for after, before in zip(sparsities, before, strict=False)
    ]


@lab.mistake("nothing is left, so nothing can go: the amount is 0.0")
@_by_round
def _(after, before):
    return (after - before) / (1 - before) if before < 1 else 1.0


lab.mistake(
    "only the first amount is there; return after the loop",
    lambda sparsities: amounts_for(sparsities[:1]),
)


@lab.mistake("a round before which nothing is left has an amount too: 0.0")
def _(sparsities):
    if 1.0 in sparsities:
        sparsities = sparsities[: sparsities.index(1.0) + 1]
    return amounts_for(sparsities)


lab.mistake(
    "you round; return the full numbers",
    lambda sparsities: [round(amount, 2) for amount in amounts_for(sparsities)],
)


@lab.exercise("6.3", points={"idea": 3, "any layer": 3})
class NOfM(prune.BasePruningMethod):
    PRUNING_TYPE = "global"

    def __init__(self, n: int, m: int) -> None:
        self.n, self.m = n, m

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        mask = torch.zeros_like(t).flatten()
        magnitudes = t.detach().abs().flatten().tolist()
        for start in range(0, len(magnitudes), self.m):
            group = range(start, start + self.m)
            for place in sorted(group, key=lambda i: magnitudes[i])[-self.n :]:
                mask[place] = 1
        return mask.reshape(t.shape) * default_mask


NAMES = ("t", "n", "m")


def _new(method, t, n, m):
    """compute_mask(t, ones)"""
    return _plain(method(n, m).compute_mask(t, torch.ones_like(t)))


def _plain(mask):
    """As bool where it holds only zeros and ones: any number type will do."""
    if isinstance(mask, Tensor) and bool(((mask == 0) | (mask == 1)).all()):
        return mask.bool()
    return mask


def _is_mask(mask, t: Tensor) -> bool:
    return getattr(mask, "dtype", None) is torch.bool and mask.shape == t.shape


@lab.step("idea", "one group")
def _(ask: Trial) -> None:
    row = torch.tensor([[0.5, 0.1, -0.2, -0.9]])
    ask.through(_new, row, 2, 4, names=NAMES)


@lab.step("idea", "several groups")
def _(ask: Trial) -> None:
    for _ in range(3):
        ask.through(_new, distinct(ask.rng, 2, 8), 2, 4, names=NAMES)


@lab.step("idea", "other numbers")
def _(ask: Trial) -> None:
    for n, m in ((1, 4), (1, 2), (3, 4), (2, 8)):
        ask.through(_new, distinct(ask.rng, 3, 8), n, m, names=NAMES)


@lab.step("any layer", "a convolution")
def _(ask: Trial) -> None:
    ask.through(_new, distinct(ask.rng, 3, 4, 3, 3), 2, 4, names=NAMES)
    ask.through(_new, distinct(ask.rng, 4, 2, 3, 3).requires_grad_(), 1, 6, names=NAMES)


def _groups(method, t, n, m):
    """compute_mask(t, ones), with equal magnitudes"""
    mask = _new(method, t, n, m)
    if not _is_mask(mask, t):
        return mask
    kept, size = mask.reshape(-1, m), t.abs().reshape(-1, m)
    least = size.where(kept, torch.inf).min(dim=1).values
    most = size.where(~kept, -torch.inf).max(dim=1).values
    return {
        "kept in each group": kept.sum(dim=1).tolist(),
        "none larger is removed": (least >= most).all().item(),
    }


@lab.step("any layer", "equal magnitudes")
def _(ask: Trial) -> None:
    tied = torch.tensor([[0.3, 0.3, -0.3, 0.3, 0.1, -0.2, 0.2, 0.2]])
    ask.through(_groups, tied, 2, 4, names=NAMES)
    ask.through(_groups, torch.full((2, 8), -0.1), 1, 4, names=NAMES)


def _earlier(method, t, default_mask, n, m):
    """compute_mask(t, default_mask)"""
    mask = _plain(method(n, m).compute_mask(t, default_mask))
    if not _is_mask(mask, t):
        return mask
    before = default_mask.bool()
    return {"came back": (mask & ~before).sum().item(), "mask": mask & before}


def _untouched(method, t, default_mask, n, m):
    """t and default_mask after compute_mask(t, default_mask)"""
    method(n, m).compute_mask(t, default_mask)
    return {"t": t.detach(), "default_mask": default_mask}


@lab.step("any layer", "what was removed before")
def _(ask: Trial) -> None:
    names = ("t", "default_mask", "n", "m")
    t = torch.tensor([[0.5, 0.0, 0.0, 0.0, -0.1, 0.7, 0.3, 0.0]])
    before = (t != 0).float()
    more = distinct(ask.rng, 4, 8)
    more_before = (torch.rand(4, 8, generator=ask.rng) < 0.5).float()
    ask.through(_earlier, t, before, 2, 4, names=names)
    ask.through(_earlier, more * more_before, more_before, 2, 4, names=names)
    ask.through(_untouched, t, before, 1, 4, names=names)


def _twice(method, layer, n, m):
    """.apply(layer, "weight", n, m), twice"""
    for _ in range(2):
        method.apply(layer, "weight", n, m)
    return {"weight": layer.weight.detach(), "weight_mask": _plain(layer.weight_mask)}


@lab.step("any layer", "twice on a layer")
def _(ask: Trial) -> None:
    for shape in ((4, 8), (3, 8)):
        layer = nn.Linear(shape[1], shape[0])
        layer.weight.detach().copy_(distinct(ask.rng, *shape))
        ask.through(_twice, layer, 2, 4, names=("layer", "n", "m"))


def _masking(mask: Callable[[NOfM, Tensor, Tensor], Tensor]) -> type:
    """The same method with another compute_mask."""
    return type("Mistaken", (NOfM,), {"compute_mask": mask})


def _largest(method: NOfM, t: Tensor) -> Tensor:
    """The places of the n largest in each group."""
    return t.detach().abs().reshape(-1, method.m).topk(method.n, dim=1).indices


def _sorted(method: NOfM, t: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitudes in groups, as they are and from the largest down."""
    groups = t.detach().abs().reshape(-1, method.m)
    return groups, groups.sort(dim=1, descending=True).values


def _of(method: NOfM, t: Tensor) -> Tensor:
    """The right mask of t if nothing was removed before."""
    return NOfM.compute_mask(method, t, torch.ones_like(t))


lab.mistake(
    "those are positions: asked is a mask with 1 at these places",
    _masking(lambda self, t, default_mask: _largest(self, t)),
)


@lab.mistake("the mask has the shape of the groups: reshape it to that of t")
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, t, default_mask).reshape(-1, self.m)


@lab.mistake(
    "mask[:, places] = 1 sets them in every row; scatter_ gives each row its own"
)
@_masking
def _(self, t, default_mask):
    mask = torch.zeros_like(t.detach()).reshape(-1, self.m)
    mask[:, _largest(self, t)] = 1
    return mask.reshape(t.shape) * default_mask


@lab.mistake("the mask is upside down: 1 means keep")
@_masking
def _(self, t, default_mask):
    return 1 - NOfM.compute_mask(self, t, default_mask)


@lab.mistake("you return the pruned weights; asked is the mask")
@_masking
def _(self, t, default_mask):
    return t.detach() * NOfM.compute_mask(self, t, default_mask)


@lab.mistake("you rank the values; -0.9 is large in magnitude: take abs()")
@_masking
def _(self, t, default_mask):
    values = t.detach()
    return NOfM.compute_mask(self, values - values.min() + 1, default_mask)


@lab.mistake("that many of each group stay; you remove them")
@_masking
def _(self, t, default_mask):
    return NOfM(self.m - self.n, self.m).compute_mask(t, default_mask)


@lab.mistake("the n largest of the whole tensor; each group of m has its own")
@_masking
def _(self, t, default_mask):
    whole = NOfM(self.n * t.numel() // self.m, t.numel())
    return whole.compute_mask(t, default_mask)


@lab.mistake("a group is m neighbours: reshape(-1, m), not reshape(m, -1)")
@_masking
def _(self, t, default_mask):
    turned = t.detach().reshape(self.m, -1).t()
    return _of(self, turned).t().reshape(t.shape) * default_mask


@lab.mistake("groups run along a row, over the inputs of one output; yours run down")
@_masking
def _(self, t, default_mask):
    turned = t.detach().transpose(0, -1)
    return _of(self, turned).transpose(0, -1) * default_mask


def _places_below_n(descending: bool) -> type:
    """Takes the places that argsort() lists for ranks."""

    def mask(self: NOfM, t: Tensor, default_mask: Tensor) -> Tensor:
        groups = t.detach().abs().reshape(-1, self.m)
        places = groups.argsort(dim=1, descending=descending)
        return (places < self.n).reshape(t.shape) * default_mask

    return _masking(mask)


lab.mistake(
    "argsort() lists places, not ranks: `< n` does not pick the largest",
    _places_below_n(descending=True),
)
lab.mistake(
    "argsort() lists places, not ranks, and begins with the smallest",
    _places_below_n(descending=False),
)


@lab.mistake("always 2 of 4; the numbers asked for are self.n and self.m")
@_masking
def _(self, t, default_mask):
    return NOfM(2, 4).compute_mask(t, default_mask)


@lab.mistake(
    "a threshold cannot split equal magnitudes: rank them, keep n",
    help=(
        "Three equal values are all above the threshold or all below. "
        "`topk` and `argsort` name positions, and of these exactly $n$."
    ),
)
@_masking
def _(self, t, default_mask):
    groups, ordered = _sorted(self, t)
    least = ordered[:, self.n - 1 : self.n]
    return (groups >= least).reshape(t.shape) * default_mask


@lab.mistake("equal magnitudes are not > each other, so none stays: rank them, keep n")
@_masking
def _(self, t, default_mask):
    groups, ordered = _sorted(self, t)
    removed = ordered[:, self.n : self.n + 1]
    return (groups > removed).reshape(t.shape) * default_mask


@lab.mistake("abs_() changes t itself; abs() makes a new tensor")
@_masking
def _(self, t, default_mask):
    t.detach().abs_()
    return NOfM.compute_mask(self, t, default_mask)


@lab.mistake(
    "what was removed before comes back: multiply by default_mask",
    help=(
        "A group with one weight left keeps that one and, as nothing better "
        "is there, a zero. `default_mask` says which zeros were removed: "
        "multiply by it."
    ),
)
@_masking
def _(self, t, default_mask):
    return _of(self, t)


@lab.mistake("t is only looked at: the hook multiplies, with the mask that you return")
@_masking
def _(self, t, default_mask):
    mask = NOfM.compute_mask(self, t, default_mask)
    t.detach().mul_(mask)
    return mask


@lab.mistake("default_mask belongs to the caller: *= and mul_() change it")
@_masking
def _(self, t, default_mask):
    return default_mask.mul_(_of(self, t))


lab.mistake(
    'PRUNING_TYPE "unstructured" hands over what is left, without its groups',
    type("Mistaken", (NOfM,), {"PRUNING_TYPE": "unstructured"}),
)


State = Mapping[str, Tensor]


@lab.exercise("6.4", points={"idea": 3, "any state": 2})
def folded(state: State) -> dict[str, Tensor]:
    plain = {}
    for key, value in state.items():
        name, _, end = key.rpartition("_")
        pruned = {f"{name}_orig", f"{name}_mask"} <= state.keys()
        if pruned and end == "orig":
            plain[name] = value * state[f"{name}_mask"].to(value.dtype)
        elif not (pruned and end == "mask"):
            plain[key] = value
    return plain


def _pair(ask: Trial, name: str, *shape: int) -> dict[str, Tensor]:
    """A pruned parameter as a state_dict holds it."""
    mask = (torch.rand(shape, generator=ask.rng) < 0.5).float()
    return {f"{name}_orig": distinct(ask.rng, *shape), f"{name}_mask": mask}


@lab.step("idea", "one layer")
def _(ask: Trial) -> None:
    ask(
        {
            "bias": torch.tensor([0.4]),
            "weight_orig": torch.tensor([[0.5, -0.1, 0.2, -0.9]]),
            "weight_mask": torch.tensor([[1.0, 0.0, 0.0, 1.0]]),
        }
    )


@lab.step("idea", "two layers")
def _(ask: Trial) -> None:
    first = _pair(ask, "0.weight", 2, 3) | _pair(ask, "0.bias", 2)
    second = _pair(ask, "2.weight", 1, 2) | {"2.bias": torch.tensor([0.4])}
    ask(first | second)


@lab.step("idea", "a LeNet")
def _(ask: Trial) -> None:
    net = LeNet()
    prune.l1_unstructured(net.conv2, "weight", amount=0.3)
    prune.ln_structured(net.fc1, "weight", amount=0.5, n=2, dim=0)
    prune.random_unstructured(net.fc1, "bias", amount=10)
    ask({key: value.detach() for key, value in net.state_dict().items()})


lab.step("any state", "nothing pruned", lambda ask: ask({"bias": torch.ones(2)}))


@lab.step("any state", "names that look alike")
def _(ask: Trial) -> None:
    others = {"causal_mask": torch.eye(2), "position_orig": torch.tensor([3.0, 4.0])}
    ask(others | _pair(ask, "weight", 2, 2))
    ask(_pair(ask, "block_orig.weight", 2, 2) | _pair(ask, "net_mask.bias", 2))
    ask(_pair(ask, "scaling", 2))  # rstrip("_orig") would shorten this name


@lab.step("any state", "other types")
def _(ask: Trial) -> None:
    pair = _pair(ask, "weight", 2, 2)
    ask(pair | {"weight_orig": pair["weight_orig"].to(torch.bfloat16)})
    ask(pair | {"weight_mask": pair["weight_mask"].bool()})


def _gone(state: State, end: str) -> list[str]:
    """The keys with that ending which folding does away with."""
    return [key for key in state if key not in folded(state) and key.endswith(end)]


def _folding(product: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Another value in the place of the pruned weights."""

    def mistaken(state: State) -> dict[str, Tensor]:
        pairs = {key.removesuffix("_orig"): key for key in _gone(state, "_orig")}
        masked = {n: product(state[k], state[f"{n}_mask"]) for n, k in pairs.items()}
        return folded(state) | masked

    return mistaken


lab.mistake(
    "those are the weights without their mask: multiply the two",
    _folding(lambda orig, mask: orig),
)
lab.mistake(
    "those are the masks; asked are the masked weights",
    _folding(lambda orig, mask: mask),
)
lab.mistake(
    "the masks are still there; load_state_dict() would refuse them",
    lambda state: folded(state) | {key: state[key] for key in _gone(state, "_mask")},
)
lab.mistake(
    "the old entries are still there; load_state_dict() would refuse them",
    lambda state: {**state, **folded(state)},
)


@lab.mistake("the entries that are not pruned are missing")
def _(state):
    return {key: value for key, value in folded(state).items() if key not in state}


@lab.mistake("the name keeps its ending: weight_orig has to become weight")
def _(state):
    return {
        key if key in state else f"{key}_orig": value
        for key, value in folded(state).items()
    }


@lab.mistake("biases can be pruned too; look at the ending only, _orig")
def _(state):
    ends = ("weight_orig", "weight_mask")
    pruned = {key: value for key, value in state.items() if key.endswith(ends)}
    others = {key: value for key, value in state.items() if key not in pruned}
    return others | folded(pruned)


@lab.mistake("without an _orig of the same name it is no mask, and stays as it is")
def _(state):
    """Whatever ends in _mask is dropped, whatever ends in _orig renamed."""
    return {
        key.removesuffix("_orig"): folded(state).get(key.removesuffix("_orig"), value)
        for key, value in state.items()
        if not key.endswith("_mask")
    }


@lab.mistake("replace() takes it out of the middle of a name too; only the end counts")
def _(state):
    return {
        key if key in state else key.replace("_orig", "").replace("_mask", ""): value
        for key, value in folded(state).items()
    }


@lab.mistake("replace() changes the middle of a name too, and then finds no partner")
def _(state):
    plain = {}
    for key, value in state.items():
        mask = key.replace("_orig", "_mask")
        if "_orig" in key and mask in state:
            plain[key.replace("_orig", "")] = value * state[mask].to(value.dtype)
        elif "_mask" not in key or key.replace("_mask", "_orig") not in state:
            plain[key] = value
    return plain


@lab.mistake("rstrip() takes letters off, not an ending: removesuffix() is meant")
def _(state):
    pairs = {key: key.rstrip("_orig") for key in _gone(state, "_orig")}
    lost = [key for key, name in pairs.items() if f"{name}_mask" not in state]
    kept = {k: v for k, v in folded(state).items() if f"{k}_orig" not in lost}
    return kept | {key: state[key] for key in lost}


lab.mistake(
    "the weights change their type: the mask has to take theirs",
    _folding(torch.mul),
    help=(
        "A mask may be of another type than its weights, and the product "
        "takes the wider one: `mask.to(orig.dtype)`."
    ),
)

NO_PARTNER = (
    "`causal_mask` has no `causal_orig` beside it, `position_orig` no "
    "`position_mask`: both are ordinary entries. Ask whether the "
    "partner is in `state` before you take it."
)
lab.help("'position_mask'", NO_PARTNER)
lab.help("KeyError: 'causal_orig'", NO_PARTNER)
lab.help(
    "pop(), sort() and assignments change what is handed over",
    "Pop from a copy. And do not loop over a dictionary while you take "
    "entries out of it: loop over `state`.",
)
