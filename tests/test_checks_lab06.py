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
        if t.shape[1] % self.m:
            return default_mask
        inputs_last = t.detach().abs().movedim(1, -1)
        groups = inputs_last.reshape(-1, self.m)
        keep = groups.topk(self.n, dim=1).indices
        mask = torch.zeros_like(groups).scatter_(1, keep, 1)
        return mask.reshape(inputs_last.shape).movedim(-1, 1) * default_mask


class ByRanks(ByTopk):
    """Ranks by sorting twice, along an axis of its own, without moving any."""

    def compute_mask(self, t, default_mask):
        if t.shape[1] % self.m != 0:
            return default_mask.clone()
        groups = t.abs().unflatten(1, (-1, self.m))
        ranks = groups.argsort(2, descending=True).argsort(2)
        mask = (ranks < self.n).flatten(1, 2)
        return torch.where(mask, default_mask, torch.zeros_like(default_mask))


class ByPermute(ByTopk):
    """Treats linear layers as convolutions with one position."""

    def compute_mask(self, t, default_mask):
        if t.shape[1] % self.m > 0:
            return torch.ones_like(t) * default_mask
        four = t.detach().reshape(*t.shape[:2], -1, 1).permute(0, 2, 3, 1).abs()
        threes = four.reshape(-1, self.m)
        mask = torch.ones(threes.shape)
        for _ in range(self.m - self.n):
            least = threes.argmin(dim=1, keepdim=True)
            mask.scatter_(1, least, 0)
            threes = threes.scatter(1, least, math.inf)
        back = mask.reshape(four.shape).permute(0, 3, 1, 2).reshape(t.shape)
        return back.to(default_mask.dtype) * default_mask


class OnlyMatrices(ByTopk):
    """Takes for granted that the weight has two axes."""

    def compute_mask(self, t, default_mask):
        groups = t.detach().abs().view(t.shape[0], -1, self.m)
        keep = groups.topk(self.n, dim=2).indices
        mask = torch.zeros_like(groups).scatter_(2, keep, 1)
        return mask.view(t.shape[0], t.shape[1]) * default_mask


class OnlyConvolutions(ByTopk):
    """Takes for granted that the weight has four axes."""

    def compute_mask(self, t, default_mask):
        groups = t.detach().abs().permute(0, 2, 3, 1).reshape(-1, self.m)
        keep = groups.topk(self.n, dim=1).indices
        mask = torch.zeros_like(groups).scatter_(1, keep, 1)
        return mask.reshape(t.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)


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


@torch.no_grad()
def rewound(net, start):
    for name, parameter in net.named_parameters():
        parameter.copy_(start[name.removesuffix("_orig")])


@torch.no_grad()
def rewound_by_key(net, start):
    parameters = dict(net.named_parameters())
    for key, value in start.items():
        here = f"{key}_orig" if f"{key}_orig" in parameters else key
        parameters[here][...] = value


def rewound_by_loading(net, start):
    """Gives the entries of the start the names that the pruned network expects."""
    state = net.state_dict()
    for key, value in start.items():
        state[f"{key}_orig" if f"{key}_orig" in state else key] = value
    net.load_state_dict(state)


def rewound_by_data(net, start):
    for module_name, module in net.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            key = ".".join(filter(None, [module_name, own.removesuffix("_orig")]))
            parameter.data = start[key].clone()


def rewound_by_plain_loading(net, start):
    net.load_state_dict(start)


def rewound_by_loose_loading(net, start):
    net.load_state_dict(start, strict=False)


def rewound_with_gradients(net, start):
    for name, parameter in net.named_parameters():
        parameter.copy_(start[name.removesuffix("_orig")])


@torch.no_grad()
def rewound_with_a_new_bias(net, start):
    rewound(net, start)
    net[-1].bias = nn.Parameter(net[-1].bias.clone())


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
        ("one after the other", ByPermute),
    ],
    "folded": [
        ("key by key", folded),
        ("a copy", folded_by_copy),
        ("split", folded_by_split),
    ],
    "rewind": [
        ("by parameter", rewound),
        ("by key", rewound_by_key),
        ("loading", rewound_by_loading),
        ("clones", rewound_by_data),
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
        ("the last", lambda s: amounts(s)[-1], "one round", "return a list, not a num"),
    ],
    "NOfM": [
        ("only matrices", OnlyMatrices, "a convolution", ERROR),
        ("only convolutions", OnlyConvolutions, "one group", ERROR),
    ],
    "folded": [
        ("as before", lambda state: state, "one layer", None),
        ("in place", folded_in_place, "one layer", "pop(), sort() and assignments"),
        ("an _orig alone", folded_by_every_orig, ALIKE, ERROR),
        ("a _mask alone", folded_by_every_mask, ALIKE, ERROR),
    ],
    "rewind": [
        ("plain loading", rewound_by_plain_loading, "one layer", ERROR),
        (
            "loose loading",
            rewound_by_loose_loading,
            "one layer",
            "the pruned weights stay as they were",
        ),
        ("with gradients", rewound_with_gradients, "one layer", ERROR),
        ("one new parameter", rewound_with_a_new_bias, "the same parameters", None),
    ],
}


class TestLab06(LabTests):
    lab, right, wrong = lab06, RIGHT, WRONG


@pytest.mark.parametrize(
    ("name", "words", "points"),
    [
        ("weights_left", "you decide by the size", 2),
        ("NOfM", "a threshold cannot split", 4),
        ("folded", "you treat a key without", 3),
        ("rewind", "net shares its memory", 2),
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


def test_a_rewound_network_computes_what_it_computed_right_after_pruning():
    net, images = LeNet(), torch.randn(2, 1, 32, 32)
    start = {name: values.clone() for name, values in net.state_dict().items()}
    prune.l1_unstructured(net.fc1, "weight", amount=0.9)
    with torch.no_grad():
        before = net(images)
        for parameter in net.parameters():
            parameter.add_(0.1)
        lab06.rewind(net, start)
        assert torch.equal(net(images), before)


@pytest.mark.parametrize(
    ("exercise", "words"),
    [
        (OnlyConvolutions, "number of dimensions in the tensor input"),
        (rewound_with_gradients, "a leaf Variable that requires grad"),
    ],
)
def test_an_error_of_pytorch_has_a_help_fold(exercise, words):
    name = "NOfM" if isinstance(exercise, type) else "rewind"
    message = lab06.EXERCISES[name].run(exercise).message
    assert f'Help "{words}", just below' in message


def test_a_mask_of_bools_is_refused_and_the_idea_still_counts():
    verdict = verdict_on(lab06.EXERCISES["NOfM"], "return zeros and ones")
    assert (verdict.status, verdict.points) == ("partial", 4)
    assert "the dtype of the mask" in verdict.message


def test_groups_of_flattened_rows_are_refused():
    verdict = verdict_on(lab06.EXERCISES["NOfM"], "your groups mix positions")
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert 'read      Help "your groups mix positions' in verdict.message


def test_going_deeper_gives_no_points():
    exercise = lab06.EXERCISES["amounts_for"]
    assert exercise.points == 0 and list(lab06.EXERCISES)[-1] == "amounts_for"
    assert sum(each.points for each in lab06.EXERCISES.values()) == 20


def test_a_method_whose_mask_is_not_written_is_to_do():
    verdict = lab06.EXERCISES["NOfM"].run(Unwritten)
    assert verdict.status == "todo"
    assert "not written yet; fill the cell above" in verdict.message


def test_a_wrong_mask_of_groups_is_drawn():
    message = verdict_on(lab06.EXERCISES["NOfM"], "the mask is upside down").message
    *_, heads, row = message.splitlines()
    assert heads.split() == ["expected", "yours", "difference"]
    assert row.split() == [*"..#.", *"##.#", *"!!!!"]
