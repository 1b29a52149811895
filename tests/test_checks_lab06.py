"""Lab 06's checks, held against right and wrong answers, and against torch itself."""

import math
from collections import OrderedDict
from fractions import Fraction

import pytest
import torch
from answers import assert_complete, assert_fails, assert_passes, table
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


def left_rounding_the_rest(count, amounts):
    for a in amounts:
        count = count - a if isinstance(a, int) else round(count * (1 - a))
    return count


def left_of_the_whole(count, amounts):
    gone = [a if isinstance(a, int) else round(a * count) for a in amounts]
    return count - sum(gone)


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


def by_values(self, t, default_mask):
    groups = t.detach().reshape(-1, self.m)
    keep = groups.topk(self.n, dim=1).indices
    return torch.zeros_like(groups).scatter_(1, keep, 1).reshape(t.shape) * default_mask


def places(self, t, default_mask):
    return t.detach().abs().reshape(-1, self.m).topk(self.n, dim=1).indices


def in_every_row(self, t, default_mask):
    mask = torch.zeros(t.numel() // self.m, self.m)
    mask[:, places(self, t, default_mask)] = 1
    return mask.reshape(t.shape) * default_mask


def in_groups(self, t, default_mask):
    groups = t.detach().abs().reshape(-1, self.m)
    return torch.zeros_like(groups).scatter_(1, places(self, t, default_mask), 1)


def by_threshold(self, t, default_mask):
    groups = t.detach().abs().reshape(-1, self.m)
    least = groups.kthvalue(self.m - self.n + 1, dim=1, keepdim=True).values
    return (groups >= least).float().reshape(t.shape) * default_mask


def by_strict_threshold(self, t, default_mask):
    groups = t.detach().abs().reshape(-1, self.m)
    most = groups.kthvalue(self.m - self.n, dim=1, keepdim=True).values
    return (groups > most).float().reshape(t.shape) * default_mask


def of_the_whole(self, t, default_mask):
    keep = t.detach().abs().flatten().topk(t.numel() * self.n // self.m).indices
    mask = torch.zeros(t.numel()).index_fill_(0, keep, 1)
    return mask.view(t.shape) * default_mask


def every_kth(self, t, default_mask):
    groups = t.detach().abs().reshape(self.m, -1)
    keep = groups.topk(self.n, dim=0).indices
    return torch.zeros_like(groups).scatter_(0, keep, 1).reshape(t.shape) * default_mask


def down(self, t, default_mask):
    turned = t.detach().transpose(0, -1)
    mask = right_mask(self, turned, torch.ones_like(turned))
    return mask.transpose(0, -1) * default_mask


def in_the_rows_of_a_matrix(self, t, default_mask):
    groups = t.detach().abs().view(t.shape[0], -1, self.m)
    keep = groups.topk(self.n, dim=2).indices
    mask = torch.zeros_like(groups).scatter_(2, keep, 1)
    return mask.view(t.shape[0], t.shape[1]) * default_mask


def always_two_of_four(self, t, default_mask):
    return ByTopk(2, 4).compute_mask(t, default_mask)


def on_the_weights(self, t, default_mask):
    """Prunes what it is given, too."""
    mask = right_mask(self, t, default_mask)
    t.data.mul_(mask)
    return mask


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


def weights_only(state):
    plain = dict(state)
    for key in state:
        if key.endswith("weight_orig"):
            stem = key.removesuffix("_orig")
            plain[stem] = plain.pop(key) * plain.pop(f"{stem}_mask")
    return plain


def renamed_everywhere(state):
    plain = folded(state)
    return {
        k if k in state else k.replace("_orig", "").replace("_mask", ""): v
        for k, v in plain.items()
    }


def by_places(self, t, descending):
    groups = t.detach().abs().reshape(-1, self.m)
    return (groups.argsort(dim=1, descending=descending) < self.n).reshape(t.shape)


def folded_by_replace(state):
    plain = {}
    for key, value in state.items():
        if "_orig" in key and key.replace("_orig", "_mask") in state:
            mask = state[key.replace("_orig", "_mask")]
            plain[key.replace("_orig", "")] = value * mask.to(value.dtype)
        elif "_mask" in key and key.replace("_mask", "_orig") in state:
            continue
        else:
            plain[key] = value
    return plain


def folded_by_rstrip(state):
    plain = {}
    for key, value in state.items():
        name = key.rstrip("_orig")
        if key.endswith("_orig") and f"{name}_mask" in state:
            plain[name] = value * state[f"{name}_mask"].to(value.dtype)
        elif not (key.endswith("_mask") and f"{key[:-5]}_orig" in state):
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
        ("removed", lambda n, a: n - left(n, a), TWICE, "that many are gone"),
        ("share", lambda n, a: left(n, a) / n, HALF, "that is a share"),
        ("whole", left_of_the_whole, TWICE, "each amount is a share of what is left"),
        ("first", lambda n, a: left(n, a[:1]), TWICE, "only the first amount counts"),
        (
            "kept",
            lambda n, a: left(n, [1 - x for x in a]),
            TWICE,
            "the amount is what goes; you keep",
        ),
        (
            "all shares",
            lambda n, a: left(n, [float(x) for x in a]),
            COUNT,
            "the whole number 1 is one",
        ),
        ("by size", counting(share_or_count), "1 and then 1.0", "1.0 is a float"),
        (
            "not rounded",
            counting(lambda a, n: a if isinstance(a, int) else a * n),
            "rounding",
            "the number of weights that go is rounded",
        ),
        (
            "rounded once",
            lambda n, a: round(
                counting(lambda x, k: x if isinstance(x, int) else x * k)(n, a)
            ),
            "rounding",
            "you round once",
        ),
        ("rest", left_rounding_the_rest, "rounding", "round what goes, not what"),
        (
            "int()",
            counting(lambda a, n: a if isinstance(a, int) else int(a * n)),
            "rounding",
            "int() cuts off",
        ),
        (
            "half up",
            counting(lambda a, n: a if isinstance(a, int) else int(a * n + 0.5)),
            "rounding",
            "halves go to the even",
        ),
        ("no return", lambda n, a: None, HALF, "the function ends without"),
        ("only shares", counting(lambda a, n: round(a * n)), COUNT, "the whole number"),
        ("nothing", lambda n, a: n, HALF, None),
        (
            "kinds swapped",
            counting(lambda a, n: a if isinstance(a, float) else round(a * n)),
            HALF,
            "the kinds are swapped",
        ),
        (
            "ceil()",
            counting(lambda a, n: a if isinstance(a, int) else math.ceil(a * n)),
            "rounding",
            "ceil() rounds up",
        ),
    ],
    "amounts_for": [
        ("returns in the loop", lambda s: amounts(s)[:1], TWO, "only the first amou"),
        (
            "stops",
            lambda s: amounts(s[: s.index(1.0) + 1] if 1.0 in s else s),
            "everything gone",
            "a round before which nothing",
        ),
        ("the same", lambda s: s, TWO, "these are the sparsities again"),
        ("no first", lambda s: amounts(s)[1:], ROUND, "before the first round the"),
        (
            "last before first",
            lambda s: [
                (x - s[i - 1]) / (1 - s[i - 1]) if s[i - 1] < 1 else 0.0
                for i, x in enumerate(s)
            ],
            ROUND,
            "sparsities[-1] is the last",
        ),
        ("brackets", by_round(lambda a, b: a - b / (1 - b)), TWO, "brackets are miss"),
        ("differences", by_round(lambda a, b: a - b), TWO, "that is the part of"),
        (
            "stays",
            by_round(lambda a, b: (1 - a) / (1 - b)),
            ROUND,
            "that is the share that st",
        ),
        (
            "after",
            by_round(lambda a, b: (a - b) / (1 - a)),
            ROUND,
            "divide by what was still there before",
        ),
        (
            "gone",
            by_round(lambda a, b: (a - b) / b if b else a),
            FOUR,
            "divide by what is still there, 1",
        ),
        (
            "first",
            lambda s: [s[0], *((x - s[0]) / (1 - s[0]) for x in s[1:])],
            FOUR,
            "each round starts where",
        ),
        (
            "0 / 0",
            by_round(lambda a, b: (a - b) / (1 - b)),
            "everything gone",
            "the error comes from",
        ),
        (
            "all again",
            by_round(lambda a, b: (a - b) / (1 - b) if b < 1 else 1.0),
            "everything gone",
            "nothing is left, so",
        ),
        (
            "rounded",
            lambda s: [round(a, 2) for a in amounts(s)],
            FOUR,
            "you round; return",
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
            "upside down",
            method(lambda self, t, d: 1 - right_mask(self, t, d)),
            GROUP,
            "the mask is upside down",
        ),
        (
            "weights",
            method(lambda self, t, d: t.detach() * right_mask(self, t, d)),
            GROUP,
            "you return the pruned weights",
        ),
        ("values", method(by_values), GROUP, "you rank the values"),
        (
            "n go",
            method(
                lambda self, t, d: ByTopk(self.m - self.n, self.m).compute_mask(t, d)
            ),
            OTHERS,
            "that many of each group stay",
        ),
        ("whole tensor", method(of_the_whole), GROUPS, "the n largest of the whole"),
        ("every k-th", method(every_kth), GROUPS, "a group is m neighbours"),
        ("places", method(places), GROUP, "those are positions"),
        ("groups", method(in_groups), GROUPS, "the mask has the shape of the groups"),
        ("every row", method(in_every_row), GROUPS, "mask[:, places] = 1 sets them"),
        ("down", method(down), GROUPS, "groups run along a row"),
        ("2:4", method(always_two_of_four), OTHERS, "always 2 of 4"),
        (
            "argsort, largest first",
            method(lambda self, t, d: by_places(self, t, True) * d),
            GROUP,
            "argsort() lists places, not ranks: ",
        ),
        (
            "argsort, smallest first",
            method(lambda self, t, d: by_places(self, t, False) * d),
            GROUP,
            "argsort() lists places, not ranks, and",
        ),
        (
            "abs in place",
            method(lambda self, t, d: right_mask(self, t.detach().abs_(), d)),
            "what was removed before",
            "abs_() changes t",
        ),
        (
            "matrices",
            method(in_the_rows_of_a_matrix),
            "a convolution",
            "the error come",
        ),
        ("threshold", method(by_threshold), "equal magnitudes", "a threshold cannot"),
        (
            "strict threshold",
            method(by_strict_threshold),
            "equal magnitudes",
            "equal magnitudes are not >",
        ),
        (
            "forgets",
            method(lambda self, t, d: right_mask(self, t, torch.ones_like(t))),
            "what was removed before",
            "what was removed before comes back",
        ),
        (
            "no return",
            method(lambda self, t, d: None),
            GROUP,
            "the function ends without",
        ),
        (
            "unstructured",
            method(right_mask, PRUNING_TYPE="unstructured"),
            "twice on a layer",
            'PRUNING_TYPE "unstructured" hands',
        ),
        (
            "prunes itself",
            method(on_the_weights),
            "what was removed before",
            "t is only looked at",
        ),
        (
            "in default_mask",
            method(lambda self, t, d: d.mul_(right_mask(self, t, d))),
            "what was removed before",
            "default_mask belongs to",
        ),
    ],
    "folded": [
        ("orig", lambda s: simple(s, lambda w, m: w), ONE, "those are the weights wit"),
        ("mask", lambda s: simple(s, lambda w, m: m), ONE, "those are the masks"),
        (
            "masks kept",
            lambda s: folded(s) | {k: v for k, v in s.items() if k.endswith("_mask")},
            ONE,
            "the masks are still there",
        ),
        ("all kept", lambda s: {**s, **folded(s)}, ONE, "the old entries are still"),
        (
            "others lost",
            lambda s: {k: v for k, v in folded(s).items() if k not in s},
            ONE,
            "the entries that are not pruned",
        ),
        (
            "old name",
            lambda s: simple(s, rename=lambda key: key),
            ONE,
            "the name keeps its ending",
        ),
        ("weights", weights_only, "two layers", "biases can be pruned too"),
        ("in place", folded_in_place, ONE, "pop(), sort()"),
        ("endings", simple, ALIKE, "without an _orig of the same name"),
        ("replace", renamed_everywhere, ALIKE, "replace() takes it out"),
        ("partners", folded_by_replace, ALIKE, "replace() changes the middle"),
        ("rstrip", folded_by_rstrip, ALIKE, "rstrip() takes letters off"),
        (
            "type",
            lambda s: {
                k: (s[f"{k}_orig"] * s[f"{k}_mask"] if k not in s else v)
                for k, v in folded(s).items()
            },
            "other types",
            "the weights change their type",
        ),
        ("no return", lambda s: None, ONE, "the function ends without"),
        ("nothing", lambda s: s, ONE, None),
    ],
}


def test_every_known_mistake_is_made_by_a_wrong_answer():
    assert_complete(lab06.EXERCISES, RIGHT, WRONG)


@table(RIGHT)
def test_a_right_answer_passes(exercise, answer):
    assert_passes(lab06.EXERCISES[exercise], answer)


@table(WRONG)
def test_a_wrong_answer_fails_where_and_why_it_should(exercise, answer, title, likely):
    assert_fails(lab06.EXERCISES[exercise], answer, title, likely)


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
