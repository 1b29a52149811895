"""Lab 03's checks, held against right and wrong answers."""

import copy

import pytest
import torch
from answers import LabTests
from torch import nn

from labcore.checks import lab03
from labcore.checks.lab03.rehearsal import Rehearsal, zeros
from labcore.nets import MLP
from labcore.training import evaluate


@torch.no_grad()
def prune(tensor, sparsity):
    mask = torch.ones(tensor.numel(), dtype=torch.bool)
    mask[tensor.abs().flatten().argsort()[: round(sparsity * tensor.numel())]] = False
    mask = mask.view(tensor.shape)
    tensor[~mask] = 0
    return mask


class Pruner:
    def __init__(self, model, sparsity_dict):
        self.masks = {
            name: prune(model.get_submodule(name).weight, sparsity)
            for name, sparsity in sparsity_dict.items()
        }

    @torch.no_grad()
    def apply(self, model):
        for name, mask in self.masks.items():
            model.get_submodule(name).weight[~mask] = 0


def scan_a_copy(model, name, sparsities, images, labels):
    found = {}
    for sparsity in sparsities:
        pruned = copy.deepcopy(model)
        prune(pruned.get_submodule(name).weight, sparsity)
        found[sparsity] = evaluate(pruned, images, labels)
    return found


def scan_and_restore(model, name, sparsities, images, labels):
    weight = model.get_submodule(name).weight.data
    dense, found = weight.clone(), {}
    for sparsity in sparsities:
        prune(weight, sparsity)
        found[sparsity] = evaluate(model, images, labels)
        weight.copy_(dense)
    return found


def scan_by_hand(model, name, sparsities, images, labels):
    pruned = copy.deepcopy(model).eval()
    dense = dict(model.named_parameters())[f"{name}.weight"].detach()

    def right(sparsity):
        weight = dense.clone()
        prune(weight, sparsity)
        pruned.get_submodule(name).weight.data = weight
        best = pruned(images).max(dim=1).indices
        return 100.0 * (best == labels).sum() / len(labels)

    return {sparsity: right(sparsity) for sparsity in sparsities}


def scan_in_place(model, name, sparsities, images, labels):
    found = {}
    for sparsity in sparsities:
        prune(model.get_submodule(name).weight, sparsity)
        found[sparsity] = evaluate(model, images, labels)
    return found


def scan_to_a_list(*case):
    return list(scan_a_copy(*case).values())


def bytes_by_layer(model, sparsity_dict):
    total = 0
    for name, parameter in model.named_parameters():
        layer = name.removesuffix(".weight")
        share = sparsity_dict.get(layer, 0) if name.endswith("weight") else 0
        total += 4 * (parameter.numel() - round(share * parameter.numel()))
    return total


def bytes_on_a_copy(model, sparsity_dict):
    pruned = copy.deepcopy(model)
    for parameter in pruned.parameters():
        parameter.data.fill_(1)
    Pruner(pruned, sparsity_dict)
    return 4 * sum(int(p.count_nonzero()) for p in pruned.parameters())


def bytes_minus_what_goes(model, sparsity_dict):
    kept = sum(p.numel() for p in model.parameters())
    for name, sparsity in sparsity_dict.items():
        kept = kept - round(sparsity * model.get_submodule(name).weight.numel())
    return 4 * kept


def prune_and_count(model, sparsity_dict):
    Pruner(model, sparsity_dict)
    return 4 * sum(int((p != 0).sum()) for p in model.parameters())


def predict(dense, accuracy, plan):
    losses = [dense - accuracy[name][s] if s else 0.0 for name, s in plan.items()]
    return dense - sum(losses)


def predict_by_gains(dense, accuracy, plan):
    gains = (accuracy[name].get(share, dense) - dense for name, share in plan.items())
    return dense + sum(gains)


def predict_step_by_step(dense, accuracy, plan):
    now = dense
    for name in plan:
        if plan[name] != 0:
            now = now + accuracy[name][plan[name]] - dense
    return now


def predict_without_zero(dense, accuracy, plan):
    return dense - sum(dense - accuracy[n][s] for n, s in plan.items())


def predict_and_pop(dense, accuracy, plan):
    return dense - sum(dense - accuracy[n].pop(s) for n, s in plan.items() if s)


def geometric(sparsity_dict, done, rounds):
    return {name: 1 - (1 - s) ** (done / rounds) for name, s in sparsity_dict.items()}


def rounds_by_formula(model, sparsity_dict, rounds, finetune):
    for done in range(1, rounds + 1):
        finetune(model, Pruner(model, geometric(sparsity_dict, done, rounds)).apply)


def rounds_by_densities(model, sparsity_dict, rounds, finetune):
    factor = {name: (1 - s) ** (1 / rounds) for name, s in sparsity_dict.items()}
    density = dict.fromkeys(sparsity_dict, 1.0)
    for _ in range(rounds):
        density = {name: d * factor[name] for name, d in density.items()}
        pruner = Pruner(model, {name: 1 - d for name, d in density.items()})
        finetune(model, after_step=pruner.apply)


def rounds_with_own_masks(model, sparsity_dict, rounds, finetune):
    done = 0
    while done < rounds:
        done += 1
        masks = {
            name: prune(model.get_submodule(name).weight.data, share)
            for name, share in geometric(sparsity_dict, done, rounds).items()
        }

        def hold(model, masks=masks):
            for name, mask in masks.items():
                model.get_submodule(name).weight.data *= mask

        finetune(model, hold)


def rounds_without_end(model, sparsity_dict, rounds, finetune):
    while rounds:
        finetune(model, Pruner(model, sparsity_dict).apply)


def rounds_with_the_pruner(model, sparsity_dict, rounds, finetune):
    finetune(model, Pruner(model, sparsity_dict))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Bench:
    """Two layers, of which the small one matters most.

    Its accuracy is the share of squares kept, the small layer's counting ninefold;
    images are only computed on to find the layer that costs most.
    """

    def images(self, split):
        assert split == "val"
        images = torch.randn(100, 20, generator=seeded())
        return images, self.dense()(images).argmax(dim=1)

    def dense(self):
        model = MLP(20, (4,), 10)  # 80 and 40 weights, 14 biases
        for parameter in model.parameters():
            size = torch.arange(1.0, 1 + parameter.numel()) / parameter.numel()
            sign = torch.randint(2, size.shape, generator=seeded()) * 2 - 1
            parameter.data = (sign * size).view(parameter.shape)
        return model

    def accuracy(self, model, split):
        assert split == "val"
        dense = dict(self.dense().named_parameters())
        kept = {
            name: (weight.norm() / dense[name].norm()).item() ** 2
            for name, weight in model.named_parameters()
        }
        return 100 * (0.1 * kept["fc1.weight"] + 0.9 * kept["fc2.weight"])


@pytest.fixture(autouse=True)
def bench(monkeypatch):
    bench = Bench()
    monkeypatch.setattr(lab03, "workbench", lambda: bench)


def choice(**shares):
    return lambda: shares


RIGHT = {
    "scan_layer": [
        ("a copy each time", scan_a_copy),
        ("the weight put back", scan_and_restore),
        ("one copy and new weights", scan_by_hand),
    ],
    "planned_bytes": [
        ("layer by layer", bytes_by_layer),
        ("all minus what goes", bytes_minus_what_goes),
        ("counted on a copy", bytes_on_a_copy),
    ],
    "predicted_accuracy": [
        ("losses", predict),
        ("gains", predict_by_gains),
        ("step by step", predict_step_by_step),
    ],
    "choose_sparsities": [
        ("small layer dense", choice(fc1=0.98, fc2=0.57)),
        ("not all named", choice(fc1=1.0, fc2=0.53)),
        ("tensors", choice(fc1=torch.tensor(0.99), fc2=torch.tensor(0.55))),
    ],
    "prune_in_rounds": [
        ("by the formula", rounds_by_formula),
        ("densities multiplied", rounds_by_densities),
        ("own masks", rounds_with_own_masks),
    ],
}

WRONG = {
    "scan_layer": [
        (
            "a list",
            scan_to_a_list,
            "one sparsity",
            "that is a list; asked is a dictionary",
        ),
        (
            "no return",
            lambda *case: None,
            "one sparsity",
            "the function ends without return",
        ),
    ],
    "planned_bytes": [
        ("pruned", prune_and_count, "one layer", "an operation in place"),
    ],
    "predicted_accuracy": [
        ("pops", predict_and_pop, "three layers", "pop(), sort() and assignments"),
        ("no 0.0", predict_without_zero, "a layer left dense", "the error comes from"),
    ],
    "choose_sparsities": [
        (
            "uniform",
            choice(fc1=0.86, fc2=0.86),
            "better than uniform",
            "fc1 alone, 86% of it gone, costs",
        ),
        (
            "over the edge",
            choice(fc1=0.8, fc2=1.0),
            "better than uniform",
            "fc2 alone, 100% of it gone, costs",
        ),
        ("nothing pruned", choice(), "at most a quarter", None),
        ("just too large", choice(fc1=0.85, fc2=0.8), "at most a quarter", None),
        (
            "what stays",
            choice(fc1=0.1, fc2=0.1),
            "at most a quarter",
            "these look like the shares that stay",
        ),
        (
            "percent",
            choice(fc1=95, fc2=0.5),
            "a share for each layer",
            "95 % is 0.95",
        ),
        ("below zero", choice(fc1=-0.5), "a share for each layer", None),
        ("text", choice(fc1="0.5"), "a share for each layer", None),
        ("unknown layer", choice(fc3=0.5), "a share for each layer", None),
        (
            "no return",
            lambda: None,
            "a share for each layer",
            "the function ends without return",
        ),
    ],
    "prune_in_rounds": [
        ("without end", rounds_without_end, "one round", "the error comes from"),
        (
            "a pruner, not its apply",
            rounds_with_the_pruner,
            "one round",
            "the error comes from",
        ),
    ],
}


class TestLab03(LabTests):
    lab, right, wrong = lab03, RIGHT, WRONG

    def test_a_scan_that_leaves_the_network_pruned_earns_the_idea(self):
        verdict = self.of("scan_layer").run(scan_in_place)
        assert (verdict.status, verdict.points) == ("partial", 3)

    def test_a_plan_taken_apart_is_shown_and_does_not_spoil_the_next_answer(self):
        exercise = self.of("predicted_accuracy")
        assert "accuracy is now" in exercise.run(predict_and_pop).message
        assert exercise.run(predict).status == "passed"

    def test_a_choice_that_is_small_but_no_better_earns_the_size(self):
        verdict = self.of("choose_sparsities").run(choice(fc1=0.86, fc2=0.86))
        assert (verdict.status, verdict.points) == ("partial", 2)
        assert "at least 15 points above the uniform choice" in verdict.message

    def test_a_choice_too_large_says_where_the_bytes_are(self):
        verdict = self.of("choose_sparsities").run(choice(fc1=0.5, fc2=0.5))
        assert "most of it in fc1: 29.85%" in verdict.message

    def test_a_short_name_is_answered_with_the_full_one(self, monkeypatch):
        class Named(Bench):
            def dense(self):
                return nn.ModuleDict({"backbone": MLP(2, (2,), 1)})

        monkeypatch.setattr(lab03, "workbench", Named)
        verdict = self.of("choose_sparsities").run(choice(fc1=0.5))
        assert "the full name is 'backbone.fc1'" in verdict.message


def test_a_notebook_of_an_earlier_term_may_hand_over_its_bench(capsys):
    lab03.check_choose_sparsities(choice(fc1=0.98, fc2=0.57), bench=Bench())
    assert "ok    3 of 3" in capsys.readouterr().out


def test_rehearsals_move_every_weight_and_turn_the_order_round():
    model = MLP(2, (2,), 1)
    model.fc1.weight.data = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    finetune = Rehearsal()
    finetune(model, lambda model: None)
    assert model.fc1.weight.tolist() == [[4, -3], [5, 1]]
    assert (finetune.handed[0]["fc1"], finetune.after[0]["fc1"]) == (1, 0)
    assert zeros(model) == {"fc1": 0, "fc2": 0}
