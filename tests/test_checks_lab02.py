"""Lab 02's checks, held against right and wrong answers."""

import pytest
import torch
from answers import LabTests

from labcore.checks import lab02
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


@torch.no_grad()
def prune_by_a_threshold(tensor, sparsity):
    """The public lab's way."""
    mask = torch.ones(tensor.shape, dtype=torch.bool)
    if count := round(sparsity * tensor.numel()):
        mask = tensor.abs() > tensor.abs().flatten().kthvalue(count).values
    tensor.mul_(mask)
    return mask


def prune_without_return(tensor, sparsity):
    prune(tensor, sparsity)


def prune_without_no_grad(tensor, sparsity):
    mask = prune(tensor.detach().clone(), sparsity)
    tensor *= mask
    return mask


@torch.no_grad()
def prune_a_view(tensor, sparsity):
    """view() refuses an odd layout."""
    mask = prune(tensor.clone(), sparsity)
    tensor.view(-1)[~mask.view(-1)] = 0
    return mask


@torch.no_grad()
def prune_one_at_least(tensor, sparsity):
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


def still_zero_on_one_vector(model, masks):
    weights = [model.get_submodule(name).weight.flatten() for name in masks]
    removed = ~torch.cat([mask.flatten() for mask in masks.values()])
    if not removed.any():
        return 1.0
    return (torch.cat(weights)[removed] == 0).double().mean()


RIGHT = {
    "fine_grained_prune": [
        ("argsort", prune),
        ("Python sort", prune_by_a_python_sort),
        ("topk", prune_by_topk),
        ("ranks", prune_by_ranks),
    ],
    "sparsity_leaving": [
        ("one minus", lambda t, k: 1 - k / t.numel()),
        ("quotient", lambda t, k: (t.nelement() - k) / t.nelement()),
        ("tensors", lambda t, k: 1 - torch.tensor(k) / t.flatten().shape[0]),
    ],
    PRUNER: [
        ("by layers", Pruner),
        ("by parameters", PrunerByParameters),
        ("by the state", PrunerByState),
    ],
    "still_zero": [
        ("loop", still_zero_in_a_loop),
        ("by parameters", still_zero_by_parameters),
        ("on one vector", still_zero_on_one_vector),
    ],
}

WRONG = {
    "fine_grained_prune": [
        ("no return", prune_without_return, "five values", "the function ends without"),
        ("nothing", lambda w, s: w == w, "five values", None),
        ("integer mask", lambda w, s: prune(w, s).long(), "five values", None),
        ("one at least", prune_one_at_least, "sparsity 0 and 1", None),
        ("no_grad", prune_without_no_grad, "a parameter", "the error comes from"),
        ("view", prune_a_view, "any memory layout", "the error comes from line"),
    ],
    "sparsity_leaving": [
        ("copied", lambda t, k: 0.6, "three of eight", None),
    ],
    PRUNER: [
        ("no masks", NoMasks, "masks", None),
        ("no apply", NoApply, "zeros again after a step", None),
        ("no_grad", ForgetsNoGrad, "zeros again after a step", "the error comes from"),
        ("getattr", OnlyTheFirstLevel, "layers in blocks", "the error comes from"),
    ],
}


class TestLab02(LabTests):
    lab, right, wrong = lab02, RIGHT, WRONG

    def test_the_idea_earns_points_without_the_edge_cases(self):
        threshold = self.of("fine_grained_prune").run(prune_by_a_threshold)
        assert (threshold.status, threshold.points) == ("partial", 4)
        never_again = self.of(PRUNER).run(DoesNothing)
        assert (never_again.status, never_again.points) == ("partial", 3)

    def test_the_reference_may_be_lent_but_not_inherited(self):
        class Inherited(lab02.FineGrainedPruner):
            pass

        verdict = self.of(PRUNER).run(Inherited)
        assert "a call of labcore.checks.lab02" in verdict.message
        lent = lab02.lend(PRUNER)
        model = MLP(3, (2,), 2)
        pruner = lent(model, {"fc1": 0.5})
        assert self.of(PRUNER).run(lent).status == "lent"
        assert (model.fc1.weight == 0).sum() == (~pruner.masks["fc1"]).sum() == 3


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
