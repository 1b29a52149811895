"""Lab 02's checks, held against right and wrong answers."""

import pytest
import torch
from answers import LabTests, passes
from torch import nn

from labcore.checks import lab02
from labcore.checks.engine import trial
from labcore.checks.engine.exercise import CheckFailed
from labcore.checks.engine.picture import mask_picture
from labcore.nets import MLP

PRUNER = "FineGrainedPruner"


@torch.no_grad()
def prune(tensor, sparsity):
    order = tensor.abs().flatten().argsort()
    mask = torch.ones(tensor.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * tensor.numel())]] = False
    mask = mask.reshape(tensor.shape)
    tensor[~mask] = 0
    return mask


def prune_by_a_python_sort(tensor, sparsity):
    values = tensor.data
    places = sorted(
        torch.ones_like(values).nonzero().tolist(),
        key=lambda place: abs(values[tuple(place)].item()),
    )
    mask = values == values
    for place in places[: round(sparsity * len(places))]:
        mask[tuple(place)] = False
    values *= mask
    return mask


@torch.no_grad()
def prune_by_topk(tensor, sparsity):
    n = tensor.numel()
    kept = tensor.abs().reshape(-1).topk(n - round(sparsity * n)).indices
    mask = torch.zeros(n).bool()
    mask[kept] = True
    mask = mask.view_as(tensor)
    tensor.copy_(tensor.where(mask, torch.zeros(())))
    return mask


def prune_by_ranks(tensor, sparsity):
    ranks = tensor.detach().abs().flatten().argsort().argsort()
    mask = (ranks >= round(sparsity * tensor.numel())).view(tensor.shape)
    with torch.no_grad():
        tensor.masked_fill_(~mask, 0)
    return mask


def returning(function):
    """Prune rightly, but return something else, made of mask and tensor."""

    def answer(tensor, sparsity):
        return function(prune(tensor, sparsity), tensor)

    return answer


def comparing(keep, guard=lambda k: k):
    """Prune by a threshold: the public lab's way."""

    @torch.no_grad()
    def answer(tensor, sparsity):
        size = tensor.abs()
        count = guard(round(sparsity * tensor.numel()))
        mask = size >= 0
        if count > 0:
            mask = keep(size, size.flatten().kthvalue(count).values)
        tensor.mul_(mask)
        return mask

    return answer


@torch.no_grad()
def prune_a_copy(tensor, sparsity):
    mask = prune(tensor.clone(), sparsity)
    tensor.mul(mask)
    return mask


@torch.no_grad()
def lose_the_signs(tensor, sparsity):
    return prune(tensor.abs_(), sparsity)


@torch.no_grad()
def store_the_mask(tensor, sparsity):
    mask = prune(tensor, sparsity)
    tensor.copy_(mask)
    return mask


def prune_without_no_grad(tensor, sparsity):
    mask = prune(tensor.detach().clone(), sparsity)
    tensor *= mask
    return mask


@torch.no_grad()
def prune_a_flat_copy(tensor, sparsity):
    """flatten() copies where the layout is odd: the tensor stays as it was."""
    mask = prune(tensor.clone(), sparsity)
    tensor.flatten()[~mask.flatten()] = 0
    return mask


@torch.no_grad()
def prune_a_view(tensor, sparsity):
    """view() refuses an odd layout."""
    mask = prune(tensor.clone(), sparsity)
    tensor.view(-1)[~mask.view(-1)] = 0
    return mask


@torch.no_grad()
def prune_one_more(tensor, sparsity):
    count = max(1, round(sparsity * tensor.numel()))
    mask = torch.ones(tensor.numel(), dtype=torch.bool)
    mask[tensor.abs().flatten().argsort()[:count]] = False
    tensor *= mask.view(tensor.shape)
    return mask.view(tensor.shape)


class Pruner:
    def __init__(self, model, sparsity_dict):
        layers = dict(model.named_modules())
        self.masks = {n: prune(layers[n].weight, s) for n, s in sparsity_dict.items()}

    @torch.no_grad()
    def apply(self, model):
        for name, mask in self.masks.items():
            model.get_submodule(name).weight.mul_(mask)


class PrunerByParameters:
    """Walks over the parameters instead of the layers."""

    def __init__(self, model, sparsity_dict):
        self.masks = {}
        for name, parameter in model.named_parameters():
            layer, _, kind = name.rpartition(".")
            if kind == "weight" and layer in sparsity_dict:
                self.masks[layer] = prune(parameter.data, sparsity_dict[layer])

    def apply(self, model):
        for name, parameter in model.named_parameters():
            mask = self.masks.get(name.removesuffix(".weight"))
            if mask is not None:
                parameter.data[~mask] = 0.0


class PrunerByState(Pruner):
    """Writes through the state_dict, which shares the parameters' storage."""

    def apply(self, model):
        state = model.state_dict()
        for name, mask in self.masks.items():
            state[f"{name}.weight"] *= mask


class NoMasks(Pruner):
    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self._masks = self.__dict__.pop("masks")


class DoesNothing(Pruner):
    def apply(self, model):
        for name, mask in self.masks.items():
            model.get_submodule(name).weight.detach().mul(mask)


class NoApply:
    def __init__(self, model, sparsity_dict):
        self.masks = Pruner(model, sparsity_dict).masks


class ForgetsNoGrad(Pruner):
    def apply(self, model):
        for name, mask in self.masks.items():
            model.get_submodule(name).weight.mul_(mask)


class OnlyTheFirstLevel(Pruner):
    """getattr() knows no dots."""

    @torch.no_grad()
    def apply(self, model):
        for name, mask in self.masks.items():
            getattr(model, name).weight.mul_(mask)


def still_zero_in_a_loop(model, masks):
    gone = zero = 0
    for name, mask in masks.items():
        weight = model.get_submodule(name).weight
        gone += mask.numel() - int(mask.sum())
        zero += ((weight == 0) & ~mask).sum().item()
    return 1.0 if gone == 0 else zero / gone


def still_zero_by_parameters(model, masks):
    parameters = dict(model.named_parameters())
    gone = [parameters[f"{n}.weight"][m.logical_not()] for n, m in masks.items()]
    everything = torch.cat(gone)
    if len(everything) == 0:
        return 1
    return 1 - everything.count_nonzero() / len(everything)


def share(model, masks):
    return still_zero_in_a_loop(model, masks)


RIGHT = {
    "fine_grained_prune": [
        ("reference", prune),
        ("Python sort", prune_by_a_python_sort),
        ("topk", prune_by_topk),
        ("ranks", prune_by_ranks),
    ],
    "sparsity_leaving": [
        ("reference", lambda t, k: 1 - k / t.numel()),
        ("quotient", lambda t, k: (t.nelement() - k) / t.nelement()),
        ("tensors", lambda t, k: 1 - torch.tensor(k) / t.flatten().shape[0]),
    ],
    PRUNER: [
        ("reference", Pruner),
        ("by parameters", PrunerByParameters),
        ("by the state", PrunerByState),
    ],
    "still_zero": [
        ("reference", still_zero_in_a_loop),
        ("by parameters", still_zero_by_parameters),
        ("loop", lambda model, masks: share(model, masks)),
    ],
}

FIVE, TEN = "five values", "ten of 25"
TIES, ROUNDING, EDGES = "equal magnitudes", "rounding", "sparsity 0 and 1"
WRONG = {
    "fine_grained_prune": [
        ("no return", returning(lambda m, t: None), FIVE, "the function ends without"),
        ("nothing", lambda w, s: w == w, FIVE, None),
        ("integer mask", returning(lambda m, t: m.long()), FIVE, None),
        ("no guard", comparing(torch.gt, lambda k: k or 1), EDGES, None),
        ("one more", prune_one_more, EDGES, None),
        ("no_grad", prune_without_no_grad, "a parameter", "the error comes from"),
        ("view", prune_a_view, "any memory layout", "the error comes from line"),
    ],
    "sparsity_leaving": [
        ("constant", lambda t, k: 0.6, "three of eight", None),
        ("in reach", lambda t, k: 0.59, TEN, None),
    ],
    PRUNER: [
        ("no masks", NoMasks, "masks", None),
        ("no apply", NoApply, "zeros again after a step", None),
        ("no_grad", ForgetsNoGrad, "zeros again after a step", "the error comes from"),
        ("getattr", OnlyTheFirstLevel, "layers in blocks", "the error comes from"),
    ],
    "still_zero": [],
}


class TestLab02(LabTests):
    lab, right, wrong = lab02, RIGHT, WRONG


def test_a_lent_function_helps_in_the_pruner():
    lab02.lend("fine_grained_prune")

    class WithLent(Pruner):
        def __init__(self, model, sparsity_dict):
            self.masks = {
                name: fine_grained_prune(model.get_submodule(name).weight, sparsity)  # noqa: F821
                for name, sparsity in sparsity_dict.items()
            }

    passes(lab02.EXERCISES[PRUNER], WithLent)


def test_the_reference_may_be_lent_but_not_inherited():
    class Inherited(lab02.FineGrainedPruner):
        pass

    verdict = lab02.EXERCISES[PRUNER].run(Inherited)
    assert "a call of labcore.checks.lab02" in verdict.message
    lent = trial.lent(lab02.EXERCISES[PRUNER])
    model = MLP(3, (2,), 2)
    pruner = lent(model, {"fc1": 0.5})
    assert lab02.EXERCISES[PRUNER].run(lent).status == "lent"
    assert (model.fc1.weight == 0).sum() == (~pruner.masks["fc1"]).sum() == 3


def test_the_idea_earns_points_without_the_edge_cases():
    prune_exercise = lab02.EXERCISES["fine_grained_prune"]
    threshold = prune_exercise.run(comparing(torch.gt))
    assert (threshold.status, threshold.points) == ("partial", 4)
    never_again = lab02.EXERCISES[PRUNER].run(DoesNothing)
    assert (never_again.status, never_again.points) == ("partial", 3)


def test_a_failing_check_draws_which_weights_went_wrong():
    @torch.no_grad()
    def swapped(tensor, sparsity):
        """Right but for two weights of the 5x5 matrix."""
        mask = prune(tensor, sparsity)
        if tensor.dim() == 2:
            mask[0, :2] = ~mask[0, :2]
        return mask

    with pytest.raises(CheckFailed) as failure:
        lab02.check_fine_grained_prune(swapped)
    *_, heads, first, second, _, _, _ = str(failure.value).splitlines()
    assert heads.split() == ["expected", "yours", "difference"]
    assert first.split() == [*"#.#..", *".##..", *"!!==="]
    assert second.split() == [*"#..#.", *"#..#.", *"====="]


@pytest.mark.parametrize(
    "got", [torch.ones(9, 9).bool(), torch.ones(4).bool(), torch.ones(2, 2), None]
)
def test_only_small_masks_of_one_shape_are_drawn(got):
    assert mask_picture(torch.eye(2).bool(), torch.ones(2, 2).bool())
    assert mask_picture(torch.eye(2).bool(), got) == []


@pytest.mark.parametrize("answer", [None, 3, print, lambda: 1, type, nn.Linear])
@pytest.mark.parametrize("name", lab02.EXERCISES)
def test_nothing_handed_in_crashes_a_check(name, answer):
    assert lab02.EXERCISES[name].run(answer).status == "failed"
