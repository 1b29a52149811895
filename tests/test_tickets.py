"""The shipped tickets of Lab 08, and the recipe that makes them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labcore import assets
from labcore.checks import lab08
from labcore.nets import MLP
from labcore.staff import tickets
from labcore.student.notebooks import read_notebook

ROUNDS, LAYERS = tickets.ROUNDS, ("fc1", "fc2")


@pytest.fixture(scope="module")
def shipped():
    return np.load(assets.path("fashion-tickets.npz"))


@pytest.mark.parametrize("seed", tickets.SEEDS)
def test_each_round_removes_a_fifth_of_what_is_left(shipped, seed):
    survived = [shipped[f"survived_{seed}_{name}"].ravel() for name in LAYERS]
    survived = np.concatenate(survived)
    left = survived.size
    for rounds in range(ROUNDS + 1):
        assert (survived >= rounds).sum() == left
        left -= round(0.2 * left)
    assert survived.max() == ROUNDS


@pytest.mark.parametrize("seed", tickets.SEEDS)
def test_the_pruned_network_is_zero_where_its_masks_say_so(shipped, seed):
    model = MLP()
    state = {n: shipped[f"pruned_{seed}_{n}"] for n, _ in model.named_parameters()}
    model.load_state_dict({n: torch.tensor(values) for n, values in state.items()})
    for name in LAYERS:
        removed = shipped[f"survived_{seed}_{name}"] < ROUNDS
        assert not state[f"{name}.weight"][removed].any()


def test_each_seed_has_a_row_of_accuracies(shipped):
    rows = {name: shipped[name] for name in shipped if "_0_" not in name}
    rows = {n: row for n, row in rows.items() if not n.startswith(("pruned", "surv"))}
    seeds, levels = len(tickets.SEEDS), len(tickets.LEVELS)
    assert rows.pop("ticket").shape == (seeds, ROUNDS)
    for name in ("reinitialised", "aware", "shuffled"):
        assert rows.pop(name).shape == (seeds, levels)
    assert rows.keys() == {
        *("dense", "one_step", "long_ticket", "long_reinitialised"),
        *("long_aware", "long_shuffled"),
    }
    assert all(row.shape == (seeds,) and row.min() > 50 for row in rows.values())


def test_the_recipe_runs_cells_that_the_notebook_has():
    cells = [cell.id for cell in read_notebook(tickets.NOTEBOOK).cells]
    places = [cells.index(name) for name in tickets.CELLS]
    assert places == sorted(places)


def test_a_game_keeps_the_masks_and_the_networks_of_all_rounds():
    """With a training that only adds 1, so that each network shows its start."""

    def train(model, masks, order):
        for name, mask in masks.items():
            weight = model.get_submodule(name).weight.detach()
            assert not weight[~mask].any()
            weight.add_(1).mul_(mask)

    lab = SimpleNamespace(
        new_network=lambda seed: MLP(6, (5, 4), 3),
        layers=list(LAYERS),
        train=train,
        lottery_round=lambda *given: lab08.lottery_round(*given, 0.2),
    )
    masks, trained = tickets._game(lab, seed=0)
    assert len(masks) == len(trained) == ROUNDS + 1
    first = trained[0].fc1.weight
    for mask, model in zip(masks, trained, strict=True):
        assert torch.equal(model.fc1.weight, first * mask["fc1"])
