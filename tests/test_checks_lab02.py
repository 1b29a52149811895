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


def pruner_as_a_function(model, sparsity_dict):
    return Pruner(model, sparsity_dict).masks


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


def train_plain(model, masks, batches, optimizer):
    model.train()
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        for name, mask in masks.items():
            model.get_submodule(name).weight.data[~mask] = 0
        losses.append(float(loss.detach()))
    return losses


def train_zeroing_last(model, masks, batches, optimizer):
    """Gradients are cleared when a step is done, masks multiplied."""
    criterion, found = torch.nn.CrossEntropyLoss(), []
    for batch in batches:
        model.train()
        loss = criterion(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for name in masks:
                model.get_submodule(name).weight.mul_(masks[name])
        found.append(loss.detach().item())
    model.eval()
    return found


def train_by_log_softmax(model, masks, batches, optimizer):
    """The zeros are put in place before the first batch as well."""

    @torch.no_grad()
    def hold():
        for name, mask in masks.items():
            weight = model.get_submodule(name).weight
            weight.copy_(torch.where(mask, weight, 0.0))

    hold()
    model.train(True)
    found = []
    for index in range(len(batches)):
        images, labels = batches[index]
        chances = model(images).log_softmax(dim=1)
        loss = -chances[torch.arange(len(labels)), labels].mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
        hold()
        found += [loss.item()]
    return found


def train_without_no_grad(model, masks, batches, optimizer):
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        for name, mask in masks.items():
            model.get_submodule(name).weight[~mask] = 0
    return []


@torch.no_grad()
def train_all_without_grad(model, masks, batches, optimizer):
    for x, y in batches:
        torch.nn.functional.cross_entropy(model(x), y).backward()


def train_by_getattr(model, masks, batches, optimizer):
    """getattr() knows no dots."""
    model.train()
    found = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        for name, mask in masks.items():
            getattr(model, name).weight.data[~mask] = 0
        found.append(loss.item())
    return found


def train_with_an_optimizer_of_its_own(model, masks, batches, optimizer):
    own = torch.optim.SGD(model.parameters(), lr=0.01)
    return train_plain(model, masks, batches, own)


def train_without_return(model, masks, batches, optimizer):
    train_plain(model, masks, batches, optimizer)


def smaller_by_counting_zeros(model, masks):
    values = torch.cat([p.flatten() for p in model.parameters()])
    return len(values) / (len(values) - (values == 0).sum())


def smaller_by_names(model, masks):
    sizes = {n: (p.numel(), (p != 0).sum().item()) for n, p in model.named_parameters()}
    everything, nonzero = zip(*sizes.values(), strict=True)
    return sum(everything) / sum(nonzero)


def smaller_by_sparsity(model, masks):
    parameters = [p.detach() for p in model.parameters()]
    zeros = sum((p == 0).double().sum() for p in parameters)
    return 1 / (1 - zeros / sum(p.numel() for p in parameters))


def smaller_as_given(model, masks):
    """The lab's function with both bugs."""
    everything = nonzero = 0
    for name, mask in masks.items():
        weight = model.get_submodule(name).weight * mask
        everything += weight.numel()
        nonzero += weight.count_nonzero().item()
    return everything / nonzero


def smaller_of_every_layer_but_masked(model, masks):
    """The second bug is mended, and the first is not."""
    everything = nonzero = 0
    for name, parameter in model.named_parameters():
        values = parameter * masks.get(name.removesuffix(".weight"), torch.tensor(True))
        everything += values.numel()
        nonzero += values.count_nonzero().item()
    return everything / nonzero


def smaller_of_masked_layers(model, masks):
    """The first bug is mended, and the second is not."""
    everything = nonzero = 0
    for name in masks:
        weight = model.get_submodule(name).weight
        everything += weight.numel()
        nonzero += weight.count_nonzero().item()
    return everything / nonzero


@torch.no_grad()
def prune_by_kthvalue(tensor, sparsity):
    count = round(sparsity * tensor.numel())
    mask = tensor.abs() > tensor.abs().flatten().kthvalue(count).values
    tensor.mul_(mask)
    return mask


class WrongNames(Pruner):
    """Prunes, but keeps nothing by the layers' names."""

    def __init__(self, model, sparsity_dict):
        super().__init__(model, sparsity_dict)
        self.masks = list(self.masks.values())


class LooksUpParameters(Pruner):
    """Prunes as it should; in apply, "fc1.weight" is never among "fc1"."""

    @torch.no_grad()
    def apply(self, model):
        for name, parameter in model.named_parameters():
            if name in self.masks:
                parameter.mul_(self.masks[name])


class SharesItsMasks(Pruner):
    masks: dict = {}

    def __init__(self, model, sparsity_dict):
        for name, sparsity in sparsity_dict.items():
            self.masks[name] = prune(model.get_submodule(name).weight, sparsity)


RIGHT = {
    "fine_grained_prune": [
        ("argsort", prune),
        ("Python sort", prune_by_a_python_sort),
        ("topk", prune_by_topk),
        ("ranks", prune_by_ranks),
    ],
    "train_masked": [
        ("plain", train_plain),
        ("zero_grad last", train_zeroing_last),
        ("log_softmax", train_by_log_softmax),
    ],
    PRUNER: [
        ("by layers", Pruner),
        ("by parameters", PrunerByParameters),
        ("by the state", PrunerByState),
    ],
    "times_smaller": [
        ("one vector", smaller_by_counting_zeros),
        ("by names", smaller_by_names),
        ("by the sparsity", smaller_by_sparsity),
    ],
}

WRONG = {
    "fine_grained_prune": [
        ("no return", prune_without_return, "five values", "the result is None"),
        ("nothing", lambda w, s: w == w, "five values", None),
        ("one at least", prune_one_at_least, "sparsity 0 and 1", None),
        (
            "kthvalue",
            prune_by_kthvalue,
            "sparsity 0 and 1",
            "the error comes from line",
        ),
        ("no_grad", prune_without_no_grad, "a parameter", "the error comes from"),
        ("view", prune_a_view, "any memory layout", "the error comes from line"),
    ],
    "train_masked": [
        ("no return", train_without_return, "the losses", "the result is None"),
        ("no_grad", train_without_no_grad, "the losses", None),
        ("all no_grad", train_all_without_grad, "one batch", "the error comes from"),
        ("own optimizer", train_with_an_optimizer_of_its_own, "one batch", None),
        ("getattr", train_by_getattr, "layers in blocks", "the error comes from line"),
    ],
    PRUNER: [
        ("no masks", NoMasks, "one layer", "self.masks is missing"),
        ("a list", WrongNames, "one layer", "self.masks has to be a dictionary"),
        ("a function", pruner_as_a_function, "one layer", "this is a function"),
        (
            "shared masks",
            SharesItsMasks,
            "two pruners",
            "masks belongs to the class, so all pruners share it",
        ),
        ("no apply", NoApply, "zeros again after a step", None),
        (
            "looks up parameters",
            LooksUpParameters,
            "zeros again after a step",
            "apply() changes nothing in the network it is given",
        ),
        ("no_grad", ForgetsNoGrad, "zeros again after a step", "the error comes from"),
        ("getattr", OnlyTheFirstLevel, "layers in blocks", "the error comes from"),
    ],
    "times_smaller": [
        (
            "both bugs",
            smaller_as_given,
            "all zeros gone",
            "you count zeros of the masks",
        ),
        (
            "masked",
            smaller_of_every_layer_but_masked,
            "all zeros gone",
            "you count zeros of the masks",
        ),
        (
            "masked layers",
            smaller_of_masked_layers,
            "a layer that was not pruned",
            "you count only the layers in masks",
        ),
        ("always one", lambda model, masks: 1.0, "all zeros in place", None),
    ],
}


class TestLab02(LabTests):
    lab, right, wrong = lab02, RIGHT, WRONG

    def test_the_idea_earns_points_without_the_edge_cases(self):
        threshold = self.of("fine_grained_prune").run(prune_by_a_threshold)
        assert (threshold.status, threshold.points) == ("partial", 3)
        never_again = self.of(PRUNER).run(DoesNothing)
        assert (never_again.status, never_again.points) == ("partial", 2)

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
