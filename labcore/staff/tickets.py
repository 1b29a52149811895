"""The recipe behind Lab 08's tickets: `labcore train tickets`.

It runs the functions of the solved notebook, so that the shipped file holds just what
students find who play all rounds themselves.
"""

from __future__ import annotations

import copy
import io
from types import SimpleNamespace

import numpy as np
import torch

from labcore import assets, runtime
from labcore.student.notebooks import read_notebook

__all__ = ["played"]

NOTEBOOK = assets.SHIPPED.parents[1] / "solutions" / "08_lottery_tickets.ipynb"
CELLS = (
    *("imports", "setting", "new-network", "next-masks", "lottery-round", "train"),
    *("classes", "under", "aware-init", "controls", "aware", "shuffled"),
)
SEEDS, ROUNDS = range(3), 15
LEVELS = (3, 7, 11, 15)  # the rounds after which the controls are trained
LONG = 60  # epochs, instead of 15


def played() -> bytes:
    """The content of fashion-tickets.npz: all rounds of three seeds, and the controls.

    survived_{seed}_{layer}    uint8: the number of rounds that each weight survived
    pruned_{seed}_{parameter}  trained in round 15, and then pruned
    dense, ticket, {control}   accuracies on val in percent, one row a seed
    long_{network}             the same for the last round, after 60 epochs
    one_step                   the same, pruned and rewound in one step
    """
    runtime.use_threads()
    lab, arrays, rows = _functions(), {}, {}
    for seed in SEEDS:
        masks, trained = _game(lab, seed)
        for name in lab.layers:
            rounds = sum(each[name].to(torch.uint8) for each in masks) - 1
            arrays[f"survived_{seed}_{name}"] = rounds.numpy()
        pruned = lab.under(masks[ROUNDS], trained[ROUNDS - 1]).state_dict()
        arrays |= {f"pruned_{seed}_{name}": v.numpy() for name, v in pruned.items()}
        for name, found in _accuracies(lab, seed, masks, trained).items():
            print(f"seed {seed}, {name}:", np.round(found, 2).tolist(), flush=True)
            rows.setdefault(name, []).append(found)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays, **{n: np.array(r) for n, r in rows.items()})
    return content.getvalue()


def _functions() -> SimpleNamespace:
    """What these cells of the solved notebook define."""
    cells = {cell.id: cell.source for cell in read_notebook(NOTEBOOK).cells}
    found = {"__name__": "lab08"}
    for name in CELLS:
        exec(compile(cells[name], f"{NOTEBOOK.name}: {name}", "exec"), found)
    return SimpleNamespace(**found)


def _game(lab: SimpleNamespace, seed: int) -> tuple[list, list]:
    """The masks after 0 to 15 rounds, and the network trained with each."""
    model, trained = lab.new_network(seed), []
    start = copy.deepcopy(model.state_dict())
    weights = {name: model.get_submodule(name).weight for name in lab.layers}
    masks = [{name: torch.ones_like(w).bool() for name, w in weights.items()}]

    def train(model, masks):
        lab.train(model, masks, order=seed)
        trained.append(copy.deepcopy(model))

    for _ in runtime.progress(range(ROUNDS), what="rounds"):
        masks.append(lab.lottery_round(model, start, masks[-1], train))
    train(model, masks[-1])
    return masks, trained


def _accuracies(lab: SimpleNamespace, seed: int, masks: list, trained: list) -> dict:
    """What one seed adds to each row of accuracies."""

    def after(model, masks, **options) -> float:
        lab.train(model, masks, order=seed, **options)
        return lab.accuracy(model)

    dense, *tickets = [lab.accuracy(model) for model in trained]
    found = {"dense": dense, "ticket": tickets}
    for kind in (lab.reinitialised, lab.aware, lab.shuffled):
        row = [after(*kind(masks[level], seed)) for level in LEVELS]
        found[kind.__name__] = row
    for kind in (lab.ticket, lab.reinitialised, lab.aware, lab.shuffled):
        long = after(*kind(masks[ROUNDS], seed), epochs=LONG)
        found[f"long_{kind.__name__}"] = long
    once = lab.next_masks(trained[0], masks[0], 1 - 0.8**ROUNDS)
    found["one_step"] = after(lab.under(once, lab.new_network(seed)), once)
    return found
