"""Checks of Lab 06: amounts, a method of pruning, folded states, rewinding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial, Wrong
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
    "you return how many weights went; return how many are left",
    lambda count, amounts: count - weights_left(count, amounts),
)
lab.mistake(
    "you return a share; return a number of weights",
    lambda count, amounts: weights_left(count, amounts) / count,
)


@lab.mistake(
    "you take each share of the first count; take it of what is left",
)
def _(count, amounts):
    return count - sum(count - weights_left(count, [amount]) for amount in amounts)


lab.mistake(
    "you use only the first amount; go through all of them",
    lambda count, amounts: weights_left(count, amounts[:1]),
)
lab.mistake(
    "you keep the share that should go",
    lambda count, amounts: weights_left(count, [1 - amount for amount in amounts]),
)
lab.mistake(
    "you read an int as a share; 1 is one weight, and only 1.0 is all of them",
    lambda count, amounts: weights_left(count, [float(amount) for amount in amounts]),
)


@lab.mistake("you decide by the size; 1.0 is a float, so it is a share: all of them")
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


lab.mistake("you never round; a whole number of weights goes each time", _going(float))
lab.mistake(
    "you round once, at the end; round the number that goes each time",
    lambda count, amounts: round(_going(float)(count, amounts)),
)


@lab.mistake(
    "you round what is left; round what goes, because halves differ",
)
def _(count, amounts):
    for amount in amounts:
        share = isinstance(amount, float)
        count = round(count * (1 - amount)) if share else count - amount
    return count


@lab.mistake("you swapped the types: an int is a number of weights, a float is a share")
def _(count, amounts):
    for amount in amounts:
        share = isinstance(amount, int)
        count = count - (round(amount * count) if share else amount)
    return count


lab.mistake("you use int(), which cuts off; PyTorch uses round()", _going(int))
lab.mistake("you use ceil(), which rounds up; PyTorch uses round()", _going(math.ceil))
lab.mistake(
    "you round every half up; Python's round() goes to the even number",
    _going(lambda goes: int(goes + 0.5)),
)


@lab.exercise("6.2", points={"idea": 4, "any layer": 3})
class NOfM(prune.BasePruningMethod):
    PRUNING_TYPE = "global"

    def __init__(self, n: int, m: int) -> None:
        self.n, self.m = n, m

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        mask = default_mask.clone()
        outputs, inputs, *kernel = t.shape
        if inputs % self.m != 0:
            return mask  # such a layer stays as it is
        for out, *position in itertools.product(*map(range, (outputs, *kernel))):
            for first in range(0, inputs, self.m):
                group = [(out, first + i, *position) for i in range(self.m)]
                ranked = sorted(group, key=lambda at: abs(t[at].item()))
                for at in ranked[: self.m - self.n]:
                    mask[at] = 0
        return mask


NAMES = ("t", "n", "m")


def _new(method, t, n, m):
    """compute_mask(t, ones)"""
    return _plain(method(n, m).compute_mask(t, torch.ones_like(t)))


def _plain(mask):
    """As bool where it holds only zeros and ones; its type has a step of its own."""
    if isinstance(mask, Tensor) and bool(((mask == 0) | (mask == 1)).all()):
        return mask.bool()
    return mask


def _ask_mask(ask: Trial, t: Tensor, n: int, m: int) -> None:
    """Compare masks; a message shows them as the zeros and ones that are wanted."""
    try:
        ask.through(_new, t, n, m, names=NAMES)
    except Wrong as wrong:
        for label in {"expected", "got"} & wrong.lines.keys():
            text = wrong.lines[label].replace("False", "0").replace("True", "1")
            wrong.lines[label] = text
        raise


def _is_mask(mask, t: Tensor) -> bool:
    return getattr(mask, "dtype", None) is torch.bool and mask.shape == t.shape


@lab.step("idea", "one group")
def _(ask: Trial) -> None:
    row = torch.tensor([[0.5, -0.2, -0.9, 0.1]])
    _ask_mask(ask, row, 1, 4)
    _ask_mask(ask, row, 2, 4)


@lab.step("idea", "several groups")
def _(ask: Trial) -> None:
    for rows in (1, 2, 6):
        _ask_mask(ask, distinct(ask.rng, rows, 8), 2, 4)


@lab.step("idea", "other numbers")
def _(ask: Trial) -> None:
    for n, m in ((1, 4), (1, 2), (3, 4), (2, 8)):
        for rows in (1, 3):
            _ask_mask(ask, distinct(ask.rng, rows, 8), n, m)


@lab.step("idea", "a convolution")
def _(ask: Trial) -> None:
    for shape in ((1, 4, 2, 1), (3, 4, 3, 3)):
        _ask_mask(ask, distinct(ask.rng, *shape), 2, 4)
    _ask_mask(ask, distinct(ask.rng, 4, 6, 2, 1).requires_grad_(), 1, 3)


@lab.step("any layer", "inputs that do not fit")
def _(ask: Trial) -> None:
    for shape in ((2, 3, 2, 1), (2, 6), (4, 1, 2, 2), (4, 3, 3, 3)):
        _ask_mask(ask, distinct(ask.rng, *shape), 2, 4)


def _groups(method, t, n, m):
    """compute_mask(t, ones), with equal magnitudes"""
    mask = _new(method, t, n, m)
    if not _is_mask(mask, t):
        return mask
    inputs_last = mask.movedim(1, -1), t.abs().movedim(1, -1)
    kept, size = (each.reshape(-1, m) for each in inputs_last)
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
    ask.through(_groups, torch.full((2, 4, 2, 2), 0.1), 2, 4, names=NAMES)


def _type(method, t, n, m):
    """the dtype of compute_mask(t, ones)"""
    mask = method(n, m).compute_mask(t, torch.ones_like(t))
    return str(getattr(mask, "dtype", type(mask).__name__)).removeprefix("torch.")


@lab.step("any layer", "the dtype of the mask")
def _(ask: Trial) -> None:
    ask.through(_type, distinct(ask.rng, 2, 4), 2, 4, names=NAMES)
    ask.through(_type, distinct(ask.rng, 2, 4, 1, 1), 1, 4, names=NAMES)
    ask.through(_type, distinct(ask.rng, 2, 3), 1, 4, names=NAMES)


def _earlier(method, t, default_mask, n, m):
    """compute_mask(t, default_mask)"""
    mask = _plain(method(n, m).compute_mask(t, default_mask))
    if not _is_mask(mask, t):
        return {"mask": mask}
    before = default_mask.bool()
    back = (mask & ~before).sum().item()
    return {"came back": back, "mask": (mask & before).long()}


def _untouched(method, t, default_mask, n, m):
    """t and default_mask after compute_mask(t, default_mask)"""
    method(n, m).compute_mask(t, default_mask)
    return {"t": t.detach(), "default_mask": default_mask}


@lab.step("any layer", "what was removed before")
def _(ask: Trial) -> None:
    names = ("t", "default_mask", "n", "m")
    t = torch.tensor([[0.5, 0.0, 0.0, 0.0, -0.1, 0.7, 0.3, 0.0]])
    before = (t != 0).float()
    ask.through(_earlier, t, before, 2, 4, names=names)
    for shape in ((4, 8), (4, 3, 2, 2)):
        more = distinct(ask.rng, *shape)
        more_before = (torch.rand(shape, generator=ask.rng) < 0.5).float()
        ask.through(_earlier, more * more_before, more_before, 2, 4, names=names)
    ask.through(_untouched, t, before, 1, 4, names=names)


def _twice(method, layer, n, m):
    """.apply(layer, "weight", n, m), twice"""
    for _ in range(2):
        method.apply(layer, "weight", n, m)
    return {"weight": layer.weight.detach(), "weight_mask": layer.weight_mask}


@lab.step("any layer", "twice on a layer")
def _(ask: Trial) -> None:
    for layer in (nn.Linear(8, 4), nn.Linear(8, 3), nn.Conv2d(4, 2, 3)):
        layer.weight.detach().copy_(distinct(ask.rng, *layer.weight.shape))
        ask.through(_twice, layer, 2, 4, names=("layer", "n", "m"))


def _masking(mask: Callable[[NOfM, Tensor, Tensor], Tensor]) -> type:
    """The same method with another compute_mask."""
    return type("Mistaken", (NOfM,), {"compute_mask": mask})


def _largest(method: NOfM, t: Tensor) -> Tensor:
    """The places of the n largest of every m values, in the order of the memory."""
    return t.detach().abs().reshape(-1, method.m).topk(method.n, dim=1).indices


def _by_rows(method: NOfM, t: Tensor) -> Tensor:
    """A mask whose groups are every m values, in the order of the memory."""
    mask = torch.zeros_like(t.detach()).reshape(-1, method.m)
    return mask.scatter_(1, _largest(method, t), 1).reshape(t.shape)


def _sorted(method: NOfM, t: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitudes in groups, as they are and from the largest down."""
    groups = t.detach().abs().movedim(1, -1).reshape(-1, method.m)
    return groups, groups.sort(dim=1, descending=True).values


def _back(mask: Tensor, t: Tensor) -> Tensor:
    """A table of groups in the shape of t."""
    return mask.reshape(t.movedim(1, -1).shape).movedim(-1, 1)


def _of(method: NOfM, t: Tensor) -> Tensor:
    """The right mask of t if nothing was removed before."""
    return NOfM.compute_mask(method, t, torch.ones_like(t))


lab.mistake(
    "you return the places; return a mask with 1 at these places",
    _masking(lambda self, t, default_mask: _largest(self, t)),
)


@lab.mistake("the mask has the shape of the groups; reshape it to that of t")
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, t, default_mask).reshape(-1, self.m)


@lab.mistake(
    "mask[:, places] = 1 sets the places in every row; scatter_ treats each row alone"
)
@_masking
def _(self, t, default_mask):
    mask = torch.zeros_like(t.detach()).reshape(-1, self.m)
    mask[:, _largest(self, t)] = 1
    return mask.reshape(t.shape) * default_mask


@lab.mistake("the mask is upside down; 1 means keep")
@_masking
def _(self, t, default_mask):
    return 1 - NOfM.compute_mask(self, t, default_mask)


@lab.mistake("you return the pruned weights; return the mask")
@_masking
def _(self, t, default_mask):
    return t.detach() * NOfM.compute_mask(self, t, default_mask)


@lab.mistake(
    "you rank the values; rank their magnitudes, because -0.9 is a large weight"
)
@_masking
def _(self, t, default_mask):
    values = t.detach()
    return NOfM.compute_mask(self, values - values.min() + 1, default_mask)


@lab.mistake("you keep the n smallest of each group; keep the n largest")
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, 1 / (t.detach().abs() + 1), default_mask)


@lab.mistake("you remove n of each group; keep n")
@_masking
def _(self, t, default_mask):
    return NOfM(self.m - self.n, self.m).compute_mask(t, default_mask)


@lab.mistake("you keep the largest of the whole tensor; each group of m has its own n")
@_masking
def _(self, t, default_mask):
    whole = NOfM(self.n * t.numel() // self.m, t.numel())
    return _by_rows(whole, t) * default_mask


@lab.mistake("you used reshape(m, -1); m neighbours stand in a row of reshape(-1, m)")
@_masking
def _(self, t, default_mask):
    turned = t.detach().reshape(self.m, -1).t()
    return _by_rows(self, turned).t().reshape(t.shape) * default_mask


@lab.mistake("your groups run over the outputs; group the inputs of one output")
@_masking
def _(self, t, default_mask):
    turned = t.detach().transpose(0, -1)
    return _by_rows(self, turned).transpose(0, -1) * default_mask


def _places_below_n(descending: bool) -> type:
    """Takes the places that argsort() lists for ranks."""

    def mask(self: NOfM, t: Tensor, default_mask: Tensor) -> Tensor:
        groups = t.detach().abs().reshape(-1, self.m)
        places = groups.argsort(dim=1, descending=descending)
        return (places < self.n).reshape(t.shape) * default_mask

    return _masking(mask)


lab.mistake(
    "argsort() lists places, not ranks; `< n` does not pick the largest",
    _places_below_n(descending=True),
)
lab.mistake(
    "argsort() lists places, not ranks, and begins with the smallest",
    _places_below_n(descending=False),
)


@lab.mistake("your numbers are always 2 and 4; use self.n and self.m")
@_masking
def _(self, t, default_mask):
    return NOfM(2, 4).compute_mask(t, default_mask)


@lab.mistake(
    "your groups mix positions of the filter; group input channels at each position",
    help="Move the inputs to the end first, with `t.movedim(1, -1)`.",
)
@_masking
def _(self, t, default_mask):
    if t.shape[1] % self.m != 0:
        return default_mask
    return _by_rows(self, t) * default_mask


@lab.mistake(
    "the axes of your mask are still in another order; move the inputs back to axis 1",
)
@_masking
def _(self, t, default_mask):
    mask = _of(self, t).movedim(1, -1).reshape(t.shape)
    return mask * default_mask


@lab.mistake(
    "your groups cross from one position or output into the next; leave such a layer "
    "as it is",
)
@_masking
def _(self, t, default_mask):
    inputs_last = t.detach().movedim(1, -1)
    return _by_rows(self, inputs_last).movedim(-1, 1) * default_mask


@lab.mistake("a layer that does not fit is not emptied; return default_mask")
@_masking
def _(self, t, default_mask):
    fits = t.shape[1] % self.m == 0
    return NOfM.compute_mask(self, t, default_mask) * fits


@lab.mistake("a layer that does not fit keeps its earlier zeros; return default_mask")
@_masking
def _(self, t, default_mask):
    fits = t.shape[1] % self.m == 0
    return NOfM.compute_mask(self, t, default_mask) if fits else torch.ones_like(t)


@lab.mistake(
    "a threshold cannot split equal magnitudes; rank them and keep n",
)
@_masking
def _(self, t, default_mask):
    if t.shape[1] % self.m != 0:
        return default_mask
    groups, ordered = _sorted(self, t)
    least = ordered[:, self.n - 1 : self.n]
    return _back(groups >= least, t) * default_mask


@lab.mistake(
    "equal magnitudes are not > each other, so none stays; rank them and keep n"
)
@_masking
def _(self, t, default_mask):
    if t.shape[1] % self.m != 0:
        return default_mask
    groups, ordered = _sorted(self, t)
    removed = ordered[:, self.n : self.n + 1]
    return _back(groups > removed, t) * default_mask


@lab.mistake(
    "return zeros and ones in the dtype of default_mask, not True and False",
)
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, t, default_mask).bool()


@lab.mistake(
    "the mask has another dtype than default_mask; use .to(default_mask.dtype)"
)
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, t, default_mask).double()


@lab.mistake("the mask has another dtype than default_mask: integers")
@_masking
def _(self, t, default_mask):
    return NOfM.compute_mask(self, t, default_mask).long()


@lab.mistake("abs_() changes t itself; abs() makes a new tensor")
@_masking
def _(self, t, default_mask):
    t.detach().abs_()
    return NOfM.compute_mask(self, t, default_mask)


@lab.mistake(
    "a weight that was removed before comes back; multiply by default_mask",
)
@_masking
def _(self, t, default_mask):
    return _of(self, t)


@lab.mistake("you change t; only return the mask, and the hook will multiply")
@_masking
def _(self, t, default_mask):
    mask = NOfM.compute_mask(self, t, default_mask)
    t.detach().mul_(mask)
    return mask


@lab.mistake("*= and mul_() change default_mask, which belongs to the caller")
@_masking
def _(self, t, default_mask):
    return default_mask.mul_(_of(self, t))


lab.help(
    "number of dimensions in the tensor input",
    "A linear layer's weight has two axes; `movedim(1, -1)` works for both shapes.",
)


State = Mapping[str, Tensor]


@lab.exercise("6.3", points={"idea": 3, "any state": 2})
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
    "you return the weights without their mask; multiply the two",
    _folding(lambda orig, mask: orig),
)
lab.mistake(
    "you return the masks; return the weights times their masks",
    _folding(lambda orig, mask: mask),
)
lab.mistake(
    "you keep the masks; load_state_dict() would refuse them",
    lambda state: folded(state) | {key: state[key] for key in _gone(state, "_mask")},
)
lab.mistake(
    "you keep the old entries too; load_state_dict() would refuse them",
    lambda state: {**state, **folded(state)},
)


@lab.mistake("you drop the entries that are not pruned; they stay as they are")
def _(state):
    return {key: value for key, value in folded(state).items() if key not in state}


@lab.mistake("you keep the ending of the name; weight_orig becomes weight")
def _(state):
    return {
        key if key in state else f"{key}_orig": value
        for key, value in folded(state).items()
    }


@lab.mistake(
    "you look for weight_orig only; biases can be pruned too, so check the ending"
)
def _(state):
    ends = ("weight_orig", "weight_mask")
    pruned = {key: value for key, value in state.items() if key.endswith(ends)}
    others = {key: value for key, value in state.items() if key not in pruned}
    return others | folded(pruned)


@lab.mistake("you treat a key without its partner as pruned; it is an ordinary entry")
def _(state):
    """Whatever ends in _mask is dropped, whatever ends in _orig renamed."""
    return {
        key.removesuffix("_orig"): folded(state).get(key.removesuffix("_orig"), value)
        for key, value in state.items()
        if not key.endswith("_mask")
    }


@lab.mistake(
    "you use replace(), which also changes the middle of a name; cut the end only"
)
def _(state):
    return {
        key if key in state else key.replace("_orig", "").replace("_mask", ""): value
        for key, value in folded(state).items()
    }


@lab.mistake(
    "you use replace(), which changes the middle of a name and finds no partner"
)
def _(state):
    plain = {}
    for key, value in state.items():
        mask = key.replace("_orig", "_mask")
        if "_orig" in key and mask in state:
            plain[key.replace("_orig", "")] = value * state[mask].to(value.dtype)
        elif "_mask" not in key or key.replace("_mask", "_orig") not in state:
            plain[key] = value
    return plain


@lab.mistake(
    "you use rstrip(), which takes off letters; removesuffix() takes off an ending"
)
def _(state):
    pairs = {key: key.rstrip("_orig") for key in _gone(state, "_orig")}
    lost = [key for key, name in pairs.items() if f"{name}_mask" not in state]
    kept = {k: v for k, v in folded(state).items() if f"{k}_orig" not in lost}
    return kept | {key: state[key] for key in lost}


lab.mistake(
    "the dtype of the weights changes; convert the mask to it first",
    _folding(torch.mul),
)

NO_PARTNER = (
    "A key without its partner is an ordinary entry. Test whether the partner is in "
    "`state` before you use it."
)
lab.help("'position_mask'", NO_PARTNER)
lab.help("KeyError: 'causal_orig'", NO_PARTNER)
ON_A_COPY = "Use pop() on a copy, `dict(state)`, while you loop over `state`."
lab.help("pop(), sort() and assignments change the input", ON_A_COPY)
lab.help("dictionary changed size", ON_A_COPY)


@lab.exercise("6.4", points={"idea": 2, "again": 2})
def rewind(net: nn.Module, start: State) -> None:
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(start[name.removesuffix("_orig")])


def _start_of(net: nn.Module) -> dict[str, Tensor]:
    """A copy of its state_dict."""
    return {name: values.clone() for name, values in net.state_dict().items()}


@torch.no_grad()
def _filled(ask: Trial, net: nn.Module, unit: float) -> nn.Module:
    """The network with other numbers: multiples of unit."""
    for parameter in net.parameters():
        parameter.copy_(distinct(ask.rng, *parameter.shape, unit=unit))
    return net


START, LATER = 0.01, 0.013  # units, so that no number is the same at both times


@torch.no_grad()
def _pruned_layer(ask: Trial) -> tuple[nn.Module, dict[str, Tensor]]:
    net = nn.Sequential(nn.Linear(4, 1))  # a bare layer would have an empty name
    start = _start_of(_filled(ask, net, START))
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    return _filled(ask, net, LATER), start


@torch.no_grad()
def _pruned_net(ask: Trial) -> tuple[nn.Module, dict[str, Tensor]]:
    """Weights pruned in two layers, a bias in one, and a layer that is not pruned."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3), nn.ReLU())
    net.append(nn.Linear(3, 2))
    start = _start_of(_filled(ask, net, START))
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    prune.random_unstructured(net[2], "weight", amount=0.3)
    prune.l1_unstructured(net[2], "bias", amount=1)
    return _filled(ask, net, LATER), start


def _values(net: nn.Module) -> dict[str, Tensor]:
    return {name: values.detach().clone() for name, values in net.named_parameters()}


def _parameters(answer, net, start):
    """the parameters of net after rewind(net, start)"""
    answer(net, start)
    return _values(net)


def _masks(answer, net, start):
    """the masks of net after rewind(net, start)"""
    answer(net, start)
    return {name: mask.clone() for name, mask in net.named_buffers()}


@torch.no_grad()
def _train(net: nn.Module) -> None:
    for parameter in net.parameters():
        parameter.add_(1)


def _start_afterwards(answer, net, start):
    """start after rewind(net, start) and more training of net"""
    answer(net, start)
    _train(net)
    return start


def _known_objects(answer, net, start):
    """parameters of net that an optimizer made before rewind(net, start) still knows"""
    before = list(net.parameters())  # held, or a new one could get an old one's id
    answer(net, start)
    known = {id(parameter) for parameter in before}
    return [name for name, p in net.named_parameters() if id(p) in known]


def _again(answer, net, start):
    """the parameters of net after rewind(net, start), training, rewind(net, start)"""
    answer(net, start)
    _train(net)
    answer(net, start)
    return _values(net)


lab.step("idea", "one layer", lambda ask: ask.through(_parameters, *_pruned_layer(ask)))
lab.step("idea", "a network", lambda ask: ask.through(_parameters, *_pruned_net(ask)))
lab.step("idea", "its masks", lambda ask: ask.through(_masks, *_pruned_net(ask)))


@lab.step("again", "nothing pruned")
def _(ask: Trial) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    start = _start_of(net)
    ask.through(_parameters, _filled(ask, net, LATER), start)


@lab.step("again", "the same parameters")
def _(ask: Trial) -> None:
    ask.through(_known_objects, *_pruned_net(ask))


@lab.step("again", "start afterwards")
def _(ask: Trial) -> None:
    ask.through(_start_afterwards, *_pruned_net(ask))


@lab.step("again", "twice from one start")
def _(ask: Trial) -> None:
    ask.through(_again, *_pruned_net(ask))


def _rewinding(put: Callable[[nn.Module, str, Tensor], object]) -> Callable:
    """put(module, name of its parameter, value of the start) for each parameter."""

    @torch.no_grad()
    def mistaken(net: nn.Module, start: State) -> None:
        for name, _ in list(net.named_parameters()):
            path, _, own = name.rpartition(".")
            value = start[name.removesuffix("_orig")]
            put(net.get_submodule(path), own, value)

    return mistaken


@lab.mistake(
    "the pruned weights stay as they were; write weight_orig, not `.weight`",
    help=(
        "The hook overwrites `weight` before each forward pass, and "
        "`load_state_dict(..., strict=False)` skips names that it does not find."
    ),
)
@_rewinding
def _(module, own, value):
    if not own.endswith("_orig"):
        getattr(module, own).copy_(value)


SOME_STAY = (
    "some parameters stay as they were; biases and layers not pruned go back too"
)


@lab.mistake(SOME_STAY)
@_rewinding
def _(module, own, value):
    if own.endswith("_orig"):
        getattr(module, own).copy_(value)


@lab.mistake(SOME_STAY)
@_rewinding
def _(module, own, value):
    if "weight" in own:
        getattr(module, own).copy_(value)


@lab.mistake("only `weight_orig` is handled; a bias can be pruned too, as bias_orig")
@_rewinding
def _(module, own, value):
    if own != "bias_orig":
        getattr(module, own).copy_(value)


@lab.mistake(
    "you multiply by the mask; the hook does that, and the original is start's"
)
@_rewinding
def _(module, own, value):
    mask = getattr(module, own.replace("_orig", "_mask"), 1)
    getattr(module, own).copy_(value * mask if own.endswith("_orig") else value)


@lab.mistake("the masks are gone; keep the pruning, and write the originals")
def _(net, start):
    for module in net.modules():
        for name in ("weight", "bias"):
            if hasattr(module, f"{name}_orig"):
                prune.remove(module, name)
    net.load_state_dict(start)


@lab.mistake("you change the masks; write the parameters only")
def _(net, start):
    rewind(net, start)
    for mask in net.buffers():
        mask.fill_(1)


@lab.mistake(
    "net shares its memory with start now; copy the values with copy_",
)
@_rewinding
def _(module, own, value):
    getattr(module, own).data = value


@lab.mistake(
    "you put new parameters into net, and an optimizer trains the old ones; use copy_"
)
@_rewinding
def _(module, own, value):
    setattr(module, own, nn.Parameter(value.clone()))


@lab.mistake("you take entries out of start; read them with start[name], without pop()")
def _(net, start):
    rewind(net, start)
    for name, _ in net.named_parameters():
        del start[name.removesuffix("_orig")]


lab.help(
    "a leaf Variable that requires grad",
    "Keep the line `@torch.no_grad()` above the function.",
)


@lab.exercise("6.5", points={"idea": 0, "exactly": 0})
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
    "you return the sparsities again: you never update the sparsity before the round",
    list,
    help=(
        "Each round starts where the last one ended. Keep the sparsity before the "
        "round in a variable, and update it at the end of the loop."
    ),
)
lab.mistake(
    "the first amount is missing; before the first round the sparsity is 0",
    lambda sparsities: amounts_for(sparsities)[1:],
)


@lab.mistake("you read sparsities[-1], the last one; before the first round it is 0")
def _(sparsities):
    before = [sparsities[i - 1] for i in range(len(sparsities))]
    return [
        (after - before) / (1 - before) if before < 1 else 0
        for after, before in zip(sparsities, before, strict=True)
    ]


lab.mistake(
    "brackets are missing: after - before / left divides only before",
    _by_round(lambda after, before: after - before / (1 - before)),
)
lab.mistake(
    "you return a share of all weights; divide it by the share still there",
    _by_round(lambda after, before: after - before),
    help=(
        "The difference of two sparsities is a share of all weights. An amount is a "
        "share of the weights still there, and these are fewer."
    ),
)
lab.mistake(
    "you return the share that stays; return the share that goes",
    _by_round(lambda after, before: (1 - after) / (1 - before)),
)
lab.mistake(
    "you divide by what is left after the round; divide by what was there before it",
    _by_round(lambda after, before: (after - before) / (1 - after)),
)
lab.mistake(
    "you divide by what is gone; divide by what is still there, 1 - before",
    _by_round(lambda after, before: (after - before) / (before or 1)),
)


@lab.mistake(
    "you start each round at the first sparsity; start where the last round ended"
)
def _(sparsities):
    before = [0.0, *sparsities[:1] * len(sparsities)]
    return [
        (after - before) / (1 - before)
        for after, before in zip(sparsities, before, strict=False)
    ]


@lab.mistake("if nothing is left, nothing can go: the amount is 0.0")
@_by_round
def _(after, before):
    return (after - before) / (1 - before) if before < 1 else 1.0


lab.mistake(
    "you return only the first amount; put return after the loop",
    lambda sparsities: amounts_for(sparsities[:1]),
)


@lab.mistake("an amount is missing; a round before which nothing is left gets 0.0")
def _(sparsities):
    if 1.0 in sparsities:
        sparsities = sparsities[: sparsities.index(1.0) + 1]
    return amounts_for(sparsities)


lab.mistake(
    "you round the amounts; return the full numbers",
    lambda sparsities: [round(amount, 2) for amount in amounts_for(sparsities)],
)
