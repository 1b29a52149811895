"""Lab 06's checks, held against right and wrong answers, and against torch itself."""

import math
from collections import OrderedDict
from fractions import Fraction

import pytest
import torch
from answers import LabTests, verdict_on
from torch import nn
from torch.nn.utils import prune

from labcore.checks import lab06
from labcore.nets import LeNet


def left(count, amounts):
    for amount in amounts:
        count -= amount if isinstance(amount, int) else round(amount * count)
    return count


def left_by_torch(count, amounts):
    """Prunes a real layer."""
    layer = nn.Linear(count, 1, bias=False)
    prune.identity(layer, "weight")
    for amount in amounts:
        prune.l1_unstructured(layer, "weight", amount)
    return int(layer.weight_mask.sum())


def left_by_recursion(count, amounts):
    if not amounts:
        return count
    first, *rest = amounts
    goes = first if type(first) is int else round(first * count)
    return left_by_recursion(count - goes, rest)


def amounts(sparsities):
    return [
        (after - before) / (1 - before) if before < 1 else 0.0
        for before, after in zip([0, *sparsities], sparsities, strict=False)
    ]


def amounts_by_density(sparsities):
    found, density = [], 1.0
    for sparsity in sparsities:
        found.append(1 - (1 - sparsity) / density if density > 0 else 0)
        density = 1 - sparsity
    return found


def amounts_by_tensors(sparsities):
    after = torch.tensor(sparsities, dtype=torch.double)
    before = torch.cat([torch.zeros(1, dtype=torch.double), after])[:-1]
    return ((after - before) / (1 - before)).nan_to_num(0).tolist()


def amounts_until_all_are_gone(sparsities):
    """Divides by what is left even when nothing is."""
    pairs = zip([0, *sparsities], sparsities, strict=False)
    return [(after - before) / (1 - before) for before, after in pairs]


def amounts_from_the_first(sparsities):
    """Takes for granted that there is a first round."""
    found = [sparsities[0]]
    for before, after in zip(sparsities, sparsities[1:], strict=False):
        found.append((after - before) / (1 - before) if before < 1 else 0.0)
    return found


class ByTopk(prune.BasePruningMethod):
    PRUNING_TYPE = "global"

    def __init__(self, n, m):
        self.n, self.m = n, m

    def compute_mask(self, t, default_mask):
        groups = t.detach().abs().reshape(-1, self.m)
        keep = groups.topk(self.n, dim=1).indices
        mask = torch.zeros_like(groups).scatter_(1, keep, 1)
        return mask.reshape(t.shape) * default_mask


class ByRanks(ByTopk):
    """Ranks by sorting twice; the mask is of type bool."""

    def compute_mask(self, t, default_mask):
        flat = t.abs().flatten(1).unflatten(1, (-1, self.m))
        ranks = flat.argsort(-1, descending=True).argsort(-1)
        mask = (ranks < self.n).reshape(t.shape)
        return torch.logical_and(mask, default_mask)


class InALoop(ByTopk):
    """Removes the smallest ones, one after the other; the mask is of type float64."""

    def compute_mask(self, t, default_mask):
        mask = torch.ones(t.numel(), dtype=torch.double)
        values = t.detach().abs().flatten().clone()
        for start in range(0, len(mask), self.m):
            for _ in range(self.m - self.n):
                least = start + int(values[start : start + self.m].argmin())
                mask[least], values[least] = 0, math.inf
        return mask.view(t.shape).mul(default_mask)


class OnlyMatrices(ByTopk):
    """Takes for granted that the weight has two axes."""

    def compute_mask(self, t, default_mask):
        groups = t.detach().abs().view(t.shape[0], -1, self.m)
        keep = groups.topk(self.n, dim=2).indices
        mask = torch.zeros_like(groups).scatter_(2, keep, 1)
        return mask.view(t.shape[0], t.shape[1]) * default_mask


class Unwritten(ByTopk):
    def compute_mask(self, t, default_mask):
        raise NotImplementedError("exercise not done yet")


def folded(state):
    plain = {}
    for key, value in state.items():
        name = key.removesuffix("_orig")
        if name + "_mask" in state and key.endswith("_orig"):
            plain[name] = value * state[name + "_mask"].to(value.dtype)
        elif not (
            key.endswith("_mask") and key.removesuffix("_mask") + "_orig" in state
        ):
            plain[key] = value
    return plain


def folded_by_copy(state):
    plain = OrderedDict(state)
    for key in list(plain):
        stem = key[: -len("_mask")]
        if key.endswith("_mask") and f"{stem}_orig" in plain:
            orig, mask = plain.pop(f"{stem}_orig"), plain.pop(key)
            plain[stem] = torch.where(mask.bool(), orig, torch.zeros_like(orig))
    return plain


def folded_by_split(state):
    ends = {"orig", "mask"}
    stems = {k.rpartition("_")[0] for k in state if k.rpartition("_")[2] in ends}
    pairs = {s for s in stems if all(f"{s}_{end}" in state for end in ends)}
    gone = {f"{stem}_{end}" for stem in pairs for end in ends}
    plain = {stem: state[f"{stem}_orig"].clone() for stem in pairs}
    for stem, value in plain.items():
        value[state[f"{stem}_mask"] == 0] = 0
    return {key: state[key] for key in state if key not in gone} | plain


def folded_in_place(state):
    for key in [key for key in state if key.endswith("_mask")]:
        stem = key.removesuffix("_mask")
        state[stem] = state.pop(f"{stem}_orig") * state.pop(key)
    return state


def folded_by_every_orig(state):
    """Takes for granted that each _orig has its _mask."""
    plain = {}
    for key, value in state.items():
        if key.endswith("_orig"):
            name = key.removesuffix("_orig")
            plain[name] = value * state[f"{name}_mask"]
        elif not key.endswith("_mask"):
            plain[key] = value
    return plain


def folded_by_every_mask(state):
    """Takes for granted that each _mask has its _orig."""
    plain = dict(state)
    for key in state:
        if key.endswith("_mask"):
            name = key.removesuffix("_mask")
            plain[name] = plain.pop(f"{name}_orig") * plain.pop(key)
    return plain


RIGHT = {
    "weights_left": [
        ("a loop", left),
        ("torch's own", left_by_torch),
        ("recursion", left_by_recursion),
        ("a tensor", lambda count, amounts: torch.tensor(left(count, amounts))),
    ],
    "amounts_for": [
        ("by pairs", amounts),
        ("by density", amounts_by_density),
        ("tensors", amounts_by_tensors),
        ("exact", lambda s: [float(a) for a in amounts([*map(Fraction, s)])]),
    ],
    "NOfM": [
        ("topk", ByTopk),
        ("ranks", ByRanks),
        ("a loop", InALoop),
    ],
    "folded": [
        ("key by key", folded),
        ("a copy", folded_by_copy),
        ("split", folded_by_split),
    ],
}

ALIKE, ERROR = "names that look alike", "the error comes from line"

WRONG = {
    "weights_left": [
        ("as many as before", lambda count, amounts: count, "half of 16", None),
    ],
    "amounts_for": [
        ("0 / 0", amounts_until_all_are_gone, "everything gone", ERROR),
        ("no first round", amounts_from_the_first, "no round", ERROR),
        ("the last", lambda s: amounts(s)[-1], "one round", "that is a number; asked"),
    ],
    "NOfM": [
        ("only matrices", OnlyMatrices, "a convolution", ERROR),
    ],
    "folded": [
        ("as before", lambda state: state, "one layer", None),
        ("in place", folded_in_place, "one layer", "pop(), sort() and assignments"),
        ("an _orig alone", folded_by_every_orig, ALIKE, ERROR),
        ("a _mask alone", folded_by_every_mask, ALIKE, ERROR),
    ],
}


class TestLab06(LabTests):
    lab, right, wrong = lab06, RIGHT, WRONG


@pytest.mark.parametrize(
    ("name", "words", "points"),
    [
        ("weights_left", "1.0 is a float", 2),
        ("amounts_for", "nothing is left", 3),
        ("NOfM", "a threshold cannot split", 3),
        ("folded", "without an _orig", 3),
    ],
)
def test_the_idea_earns_points_without_the_edge_cases(name, words, points):
    verdict = verdict_on(lab06.EXERCISES[name], words)
    assert (verdict.status, verdict.points) == ("partial", points)


def test_the_references_do_what_torch_does():
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        count = torch.randint(5, 300, (), generator=draw).item()
        shares = torch.rand(3, generator=draw).tolist()
        amounts = [*shares, 1] if left(count, shares) else shares
        assert lab06.weights_left(count, amounts) == left_by_torch(count, amounts)
    wanted = [0.3, 0.5, 0.9]
    assert left_by_torch(1000, lab06.amounts_for(wanted)) == 100


def test_a_folded_state_fits_a_plain_network_and_computes_the_same():
    pruned, plain = LeNet(), LeNet()
    for name, amount in (("conv1", 0.2), ("fc1", 0.9), ("fc3", 0.5)):
        prune.l1_unstructured(pruned.get_submodule(name), "weight", amount)
    plain.load_state_dict(lab06.folded(pruned.state_dict()))
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(plain(images), pruned(images))


def test_a_method_whose_mask_is_not_written_is_to_do():
    verdict = lab06.EXERCISES["NOfM"].run(Unwritten)
    assert verdict.status == "todo"
    assert "not written yet; fill the cell above" in verdict.message


def test_a_wrong_mask_of_groups_is_drawn():
    message = verdict_on(lab06.EXERCISES["NOfM"], "the mask is upside down").message
    *_, heads, row = message.splitlines()
    assert heads.split() == ["expected", "yours", "difference"]
    assert row.split() == [*"#..#", *".##.", *"!!!!"]
