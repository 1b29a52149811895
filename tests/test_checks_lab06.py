"""Lab 06's checks, held against right and wrong answers, and against torch itself."""

import math
from collections import OrderedDict
from fractions import Fraction

import pytest
import torch
from answers import LabTests
from torch import nn
from torch.nn.utils import prune

from labcore.checks import lab06
from labcore.checks.engine.exercise import CheckFailed
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


def counting(goes):
    """The weights left by another rule for how many go."""

    def answer(count, amounts):
        for amount in amounts:
            count -= goes(amount, count)
        return count

    return answer


def share_or_count(amount, count):
    return amount if amount >= 1 else round(amount * count)


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


def by_round(formula):
    return lambda sparsities: [
        formula(after, before)
        for after, before in zip(sparsities, [0, *sparsities], strict=False)
    ]


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
    """Removes the smallest ones, one after the other; of dtype float64."""

    def compute_mask(self, t, default_mask):
        mask = torch.ones(t.numel(), dtype=torch.double)
        values = t.detach().abs().flatten().clone()
        for start in range(0, len(mask), self.m):
            for _ in range(self.m - self.n):
                least = start + int(values[start : start + self.m].argmin())
                mask[least], values[least] = 0, math.inf
        return mask.view(t.shape).mul(default_mask)


def method(mask, **changed):
    """The method with another mask: from groups of magnitudes, n, or all there is."""
    return type("Method", (ByTopk,), {"compute_mask": mask, **changed})


def right_mask(self, t, default_mask):
    return ByTopk(self.n, self.m).compute_mask(t, default_mask)


def by_threshold(self, t, default_mask):
    groups = t.detach().abs().reshape(-1, self.m)
    least = groups.kthvalue(self.m - self.n + 1, dim=1, keepdim=True).values
    return (groups >= least).float().reshape(t.shape) * default_mask


def in_the_rows_of_a_matrix(self, t, default_mask):
    groups = t.detach().abs().view(t.shape[0], -1, self.m)
    keep = groups.topk(self.n, dim=2).indices
    mask = torch.zeros_like(groups).scatter_(2, keep, 1)
    return mask.view(t.shape[0], t.shape[1]) * default_mask


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


def simple(state, product=torch.mul, rename=lambda key: key.removesuffix("_orig")):
    """Right for a state in which nothing looks alike."""
    plain = {}
    for key, value in state.items():
        if key.endswith("_orig"):
            mask = state.get(key.removesuffix("_orig") + "_mask")
            plain[rename(key)] = value if mask is None else product(value, mask)
        elif not key.endswith("_mask"):
            plain[key] = value
    return plain


RIGHT = {
    "weights_left": [
        ("reference", left),
        ("torch's own", left_by_torch),
        ("recursion", left_by_recursion),
        ("a tensor", lambda n, a: torch.tensor(left(n, a))),
    ],
    "amounts_for": [
        ("reference", amounts),
        ("by density", amounts_by_density),
        ("tensors", amounts_by_tensors),
        ("exact", lambda s: [float(a) for a in amounts([*map(Fraction, s)])]),
    ],
    "NOfM": [("reference", ByTopk), ("ranks", ByRanks), ("loop", InALoop)],
    "folded": [
        ("reference", folded),
        ("a copy", folded_by_copy),
        ("split", folded_by_split),
    ],
}

HALF, TWICE, COUNT = "half of 16", "half and then a quarter", "a whole number"
ROUND, TWO, FOUR = "one round", "half and three quarters", "four rounds"
GROUP, GROUPS, OTHERS = "one group", "several groups", "other numbers"
ONE, ALIKE = "one layer", "names that look alike"
WRONG = {
    "weights_left": [
        ("no return", lambda n, a: None, HALF, "the function ends without"),
        ("nothing", lambda n, a: n, HALF, None),
    ],
    "amounts_for": [
        (
            "0 / 0",
            by_round(lambda a, b: (a - b) / (1 - b)),
            "everything gone",
            "the error comes from",
        ),
        ("a number", lambda s: amounts(s)[-1], ROUND, "that is a number; asked is"),
        (
            "starts with the first",
            lambda s: (
                [s[0], *by_round(lambda a, b: (a - b) / (1 - b))(s)[1:]]
                if 1.0 not in s
                else amounts(s)
            ),
            "no round",
            "the error comes from",
        ),
    ],
    "NOfM": [
        (
            "matrices",
            method(in_the_rows_of_a_matrix),
            "a convolution",
            "the error come",
        ),
        (
            "no return",
            method(lambda self, t, d: None),
            GROUP,
            "the function ends without",
        ),
    ],
    "folded": [
        ("in place", folded_in_place, ONE, "pop(), sort()"),
        ("no return", lambda s: None, ONE, "the function ends without"),
        ("nothing", lambda s: s, ONE, None),
    ],
}


class TestLab06(LabTests):
    lab, right, wrong = lab06, RIGHT, WRONG


def test_the_points_are_twenty_and_the_idea_earns_its_part():
    assert sum(exercise.points for exercise in lab06.EXERCISES.values()) == 20
    for name, answer, points in [
        ("weights_left", counting(share_or_count), 2),
        ("amounts_for", by_round(lambda a, b: (a - b) / (1 - b)), 3),
        ("NOfM", method(by_threshold), 3),
        ("folded", simple, 3),
    ]:
        verdict = lab06.EXERCISES[name].run(answer)
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
    def compute_mask(self, t, default_mask):
        raise NotImplementedError("exercise not done yet")

    verdict = lab06.EXERCISES["NOfM"].run(method(compute_mask))
    assert verdict.status == "todo"
    assert "not written yet; fill the cell above" in verdict.message


def test_a_wrong_mask_of_groups_is_drawn():
    with pytest.raises(CheckFailed) as failure:
        lab06.check_NOfM(method(lambda self, t, d: 1 - right_mask(self, t, d)))
    *_, heads, row = str(failure.value).splitlines()
    assert heads.split() == ["expected", "yours", "difference"]
    assert row.split() == [*"#..#", *".##.", *"!!!!"]


@pytest.mark.parametrize("answer", [None, 3, print, lambda: 1, type, nn.Linear])
@pytest.mark.parametrize("name", lab06.EXERCISES)
def test_nothing_handed_in_crashes_a_check(name, answer):
    assert lab06.EXERCISES[name].run(answer).status == "failed"
