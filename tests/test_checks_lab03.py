"""Lab 03's checks, held against right and wrong answers."""

import copy
import dataclasses
import itertools
import time

import numpy as np
import torch
from answers import LabTests

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


def scan_with_an_alias(model, name, sparsities, images, labels):
    weight = model.get_submodule(name).weight
    original, found = weight.detach(), {}  # no clone: the same memory
    for sparsity in sparsities:
        prune(weight.data, sparsity)
        found[sparsity] = evaluate(model, images, labels)
        weight.data.copy_(original)
    return found


def scan_with_a_state_dict(model, name, sparsities, images, labels):
    saved, found = model.state_dict(), {}  # the same memory, too
    for sparsity in sparsities:
        prune(model.get_submodule(name).weight.data, sparsity)
        found[sparsity] = evaluate(model, images, labels)
        model.load_state_dict(saved)
    return found


def scan_and_restore_at_the_end(model, name, sparsities, images, labels):
    weight = model.get_submodule(name).weight.data
    dense, found = weight.clone(), {}
    for sparsity in sparsities:
        prune(weight, sparsity)
        found[sparsity] = evaluate(model, images, labels)
    weight.copy_(dense)
    return found


def scan_outside_blocks(model, name, sparsities, images, labels):
    if "." in name:
        return {level: evaluate(model, images, labels) for level in sparsities}
    return scan_a_copy(model, name, sparsities, images, labels)


def changes_by_conditions(first, second, labels):
    to_wrong = (first == labels) & (second != labels)
    to_right = (first != labels) & (second == labels)
    return int(to_wrong.sum()), int(to_right.sum())


def changes_by_difference(first, second, labels):
    change = (second == labels).int() - (first == labels).int()
    return (change == -1).sum(), (change == 1).sum()


def changes_by_numpy(first, second, labels):
    first, second, labels = first.numpy(), second.numpy(), labels.numpy()
    was, now = first == labels, second == labels
    return [np.sum(was & ~now), np.sum(~was & now)]


def agreement(first, second, labels):
    return (first == second).sum().item()


def plan_on_levels(dense, accuracy, sizes, most):
    """Greedy, with levels counted instead of sparsities, and slow on purpose."""
    levels = {name: [0.0, *sorted(row)] for name, row in accuracy.items()}
    at = dict.fromkeys(sizes, 0)

    def left():
        return sum(round((1 - levels[n][at[n]]) * sizes[n]) for n in sizes)

    while left() > most:
        time.sleep(0.001)
        price = {}
        for name in sizes:
            if at[name] + 1 == len(levels[name]):
                continue
            low, high = levels[name][at[name]], levels[name][at[name] + 1]
            before = dense if low == 0 else accuracy[name][low]
            lost = before - accuracy[name][high]
            price[name] = lost / ((high - low) * sizes[name])
        at[min(price, key=price.get)] += 1
    return {name: levels[name][at[name]] for name in sizes}


def plan_in_float32(*case):
    return {n: np.float32(s) for n, s in plan_on_levels(*case).items() if s > 0}


def plan_that_jumps(dense, accuracy, sizes, most):
    """Greedy over all higher levels, not only the next one."""
    plan = {}
    while sum(round((1 - plan.get(n, 0)) * sizes[n]) for n in sizes) > most:
        steps = [
            (
                (accuracy[n].get(plan.get(n), dense) - found)
                / (sizes[n] * (level - plan.get(n, 0))),
                n,
                level,
            )
            for n, row in accuracy.items()
            for level, found in row.items()
            if level > plan.get(n, 0)
        ]
        _, name, level = min(steps)
        plan[name] = level
    return {name: torch.tensor(level) for name, level in plan.items()}


def plan_by_price_limit(dense, accuracy, sizes, most):
    """All steps sorted once; as the prices rise in each layer, the first ones fit."""
    steps = []
    for name, row in accuracy.items():
        before, low = dense, 0.0
        for level, found in row.items():
            steps.append(
                (((before - found) / (level - low)) / sizes[name], name, level)
            )
            before, low = found, level
    plan = dict.fromkeys(sizes, 0.0)
    for _, name, level in sorted(steps):
        if sum(n - round(plan[k] * n) for k, n in sizes.items()) <= most:
            break
        plan[name] = level
    return plan


def best_of_all(dense, accuracy, sizes, most):
    """The most accurate plan by the prediction, of all plans that fit."""
    names, found = list(sizes), []
    for levels in itertools.product(*([0.0, *accuracy[name]] for name in names)):
        plan = dict(zip(names, levels, strict=True))
        left = sum(n - round(plan[name] * n) for name, n in sizes.items())
        if left <= most:
            lost = [dense - accuracy[n].get(s, dense) for n, s in plan.items()]
            found.append((sum(lost), levels))
    (lowest, levels), (second, _) = sorted(found)[:2]
    assert second - lowest > 0.1, "another plan is about as good"
    return dict(zip(names, levels, strict=True))


def plan_by_shape(dense, accuracy, sizes, most):
    """A density that falls with the size, whatever the scan says."""
    factor = most / sum(size**0.5 for size in sizes.values())
    return {n: max(0.0, 1 - factor / size**0.5) for n, size in sizes.items()}


def plan_without_zero(dense, accuracy, sizes, most):
    plan = dict.fromkeys(sizes, 0.0)
    return {name: accuracy[name][level] for name, level in plan.items()}


def best_by_sorting(moves, gain):
    ranked = sorted(moves, key=lambda move: gain(move, "choose"))
    return [ranked[-1], gain(ranked[-1], part="report")]


def best_by_loop(moves, gain):
    best, highest = None, float("-inf")
    for move in moves:
        found = gain(move, "choose")
        if found > highest:
            best, highest = move, found
    return best, gain(best, "report")


def best_by_max(moves, gain):
    choose = {gain(move, "choose"): move for move in moves}
    best = choose[max(choose)]
    return best, torch.tensor(gain(best, "report"), dtype=torch.double)


def best_at_first(moves, gain):
    """As it stands in the lab."""
    gains = {move: gain(move, "choose") for move in moves}
    best = max(gains, key=gains.get)
    return best, gains[best]


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


RIGHT = {
    "scan_layer": [
        ("a copy each time", scan_a_copy),
        ("the weight put back", scan_and_restore),
        ("one copy and new weights", scan_by_hand),
    ],
    "changed_answers": [
        ("two conditions", changes_by_conditions),
        ("one difference", changes_by_difference),
        ("numpy", changes_by_numpy),
    ],
    "choose_sparsities": [
        ("levels counted, slowly", plan_on_levels),
        ("in float32, dense layers left out", plan_in_float32),
        ("any higher level, as tensors", plan_that_jumps),
        ("all steps sorted once", plan_by_price_limit),
    ],
    "best_move": [
        ("sorted", best_by_sorting),
        ("a loop", best_by_loop),
        ("by max", best_by_max),
    ],
    "prune_in_rounds": [
        ("by the formula", rounds_by_formula),
        ("densities multiplied", rounds_by_densities),
        ("own masks", rounds_with_own_masks),
    ],
}

ALIAS = "each sparsity has to start from the dense weight"

WRONG = {
    "scan_layer": [
        ("a list", scan_to_a_list, "one sparsity", "return a dictionary, not a list"),
        (
            "no return",
            lambda *case: None,
            "one sparsity",
            "the result is None: is a return missing?",
        ),
        ("no clone", scan_with_an_alias, "falling order", ALIAS),
        ("a state_dict", scan_with_a_state_dict, "falling order", ALIAS),
        ("put back late", scan_and_restore_at_the_end, "falling order", ALIAS),
        ("not in a block", scan_outside_blocks, "a layer in a block", None),
    ],
    "changed_answers": [
        ("one number", agreement, "ten images", "return a tuple, not a number"),
    ],
    "choose_sparsities": [
        ("by shape", plan_by_shape, "one step", None),
        ("looks up 0.0", plan_without_zero, "one step", "the error comes from"),
        (
            "no return",
            lambda *case: None,
            "one step",
            "the result is None: is a return missing?",
        ),
        (
            "no arguments",
            lambda: {"conv0": 0.5},
            "one step",
            "its arguments are (dense, accuracy, sizes, most)",
        ),
    ],
    "best_move": [
        (
            "as it stands in the lab",
            best_at_first,
            "three moves",
            "you report the gain",
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

    def test_the_plan_of_each_small_case_is_the_best_of_all(self):
        """So whatever finds a good plan is right, step by step or not."""
        exercise = dataclasses.replace(self.of("choose_sparsities"))
        exercise.steps = [s for s in exercise.steps if s.title != "nine layers"]
        exercise.points_of = {"idea": 2, "any scan": 4}
        verdict = exercise.run(best_of_all)
        assert verdict.status == "passed", verdict.message

    def test_a_plan_that_looks_up_0_0_is_sent_to_its_fold(self):
        message = self.of("choose_sparsities").run(plan_without_zero).message
        assert 'Help "KeyError: 0.0", just below' in message

    def test_pruning_in_rounds_is_ungraded(self):
        assert self.of("prune_in_rounds").points == 0
        assert sum(e.points for e in self.lab.EXERCISES.values()) == 20


def test_rehearsals_move_every_weight_and_turn_the_order_round():
    model = MLP(2, (2,), 1)
    model.fc1.weight.data = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    finetune = Rehearsal()
    finetune(model, lambda model: None)
    assert model.fc1.weight.tolist() == [[4, -3], [5, 1]]
    assert (finetune.handed[0]["fc1"], finetune.after[0]["fc1"]) == (1, 0)
    assert zeros(model) == {"fc1": 0, "fc2": 0}
