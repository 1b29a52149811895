"""Lab 10's checks, held against right and wrong answers."""

import pytest
import torch
from answers import LabTests
from torch import nn

from labcore.checks import lab10


def norms_by_hooks(model, batches):
    squares, hooks = {}, []

    def listen(name):
        def hook(layer, inputs):
            rows = inputs[0].flatten(0, -2)
            squares[name] = squares.get(name, 0) + rows.square().sum(0)

        return hook

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            hooks.append(layer.register_forward_pre_hook(listen(name)))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for hook in hooks:
        hook.remove()
    return {name: square.sqrt() for name, square in squares.items()}


class Counter:
    """A hook that is an object, and remembers rows instead of sums."""

    def __init__(self, layer):
        self.rows, self.handle = [], layer.register_forward_hook(self)

    def __call__(self, layer, inputs, output):
        (x,) = inputs
        self.rows.append(x.detach().reshape(-1, layer.in_features))

    def norm(self):
        self.handle.remove()
        return torch.linalg.vector_norm(torch.cat(self.rows), dim=0)


def norms_by_objects(model, batches):
    layers = {n: m for n, m in model.named_modules() if type(m) is nn.Linear}
    counters = {n: Counter(layer) for n, layer in layers.items()}
    for batch in batches:
        model(batch)
    return {n: counter.norm() for n, counter in counters.items()}


def norms_by_products(model, batches):
    found = {}

    def note(name, x):
        product = torch.einsum("...i,...j->ij", x, x).detach()
        found[name] = product + found[name] if name in found else product

    handles = [
        layer.register_forward_pre_hook(lambda _, args, n=n: note(n, args[0]))
        for n, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        for batch in batches:
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {n: product.diagonal().sqrt() for n, product in found.items()}


def norms_with_hooks_left(model, batches):
    norms_by_hooks(model, batches)
    for layer in model.modules():
        layer.register_forward_pre_hook(lambda layer, inputs: None)
    return norms_by_hooks(model, batches)


def wanda_by_scatter(weight, norms, sparsity, group=None):
    scores = (weight.abs() * norms).reshape(-1, group or weight.shape[1])
    lowest = scores.argsort(dim=1)[:, : round(sparsity * scores.shape[1])]
    mask = torch.ones_like(scores, dtype=torch.bool).scatter(1, lowest, False)
    return mask.view(weight.shape)


def wanda_by_ranks(weight, norms, sparsity, group=None):
    size = weight.shape[1] if group is None else group
    ranks = (weight.abs() * norms).unflatten(1, (-1, size)).argsort().argsort()
    return (ranks >= round(sparsity * size)).flatten(1)


def wanda_by_loop(weight, norms, sparsity, group=None):
    parts = (weight.data.abs() * norms[None]).split(group or weight.shape[1], dim=1)
    masks = []
    for part in parts:
        count = round(sparsity * part.shape[1])
        mask = torch.ones_like(part).bool()
        for row, at in zip(mask, part.topk(count, largest=False).indices, strict=True):
            row[at] = False
        masks.append(mask)
    return torch.cat(masks, dim=1)


def wanda_by_threshold(weight, norms, sparsity, group=None):
    """Keeps nothing where nothing should go."""
    scores = (weight.abs() * norms).reshape(-1, group or weight.shape[1])
    count = round(sparsity * scores.shape[1])
    least = scores.sort(dim=1).values[:, count - 1 : count]
    return (scores > least).view(weight.shape)


def remove_by_formula(w, inverse, p):
    new = w - w[p] / inverse[p, p] * inverse[:, p]
    left = inverse - torch.outer(inverse[:, p], inverse[p, :]) / inverse[p, p]
    return new, left


def remove_by_row(w, inverse, p):
    row = inverse[p] / inverse[p, p]
    new = torch.addcmul(w, row, w[p], value=-1)
    new[p] = 0
    left = inverse - row[:, None] * inverse[None, p]
    left[p] = left[:, p] = 0
    return new, left


def remove_by_elements(w, inverse, p):
    n = len(w)
    new, left = w.clone(), inverse.clone()
    for i in range(n):
        new[i] = w[i] - inverse[i, p] * w[p] / inverse[p, p]
        for j in range(n):
            left[i, j] -= inverse[i, p] * inverse[p, j] / inverse[p, p]
    return new, left


def remove_in_place(w, inverse, p):
    w -= w[p].item() / inverse[p, p] * inverse[:, p]
    return w, remove_by_formula(w, inverse, p)[1]


def sweep_by_columns(weight, upper, choose, block=32, zeros=True):
    weight, diagonal = weight.clone(), upper.diagonal()
    for start in range(0, weight.shape[1], block):
        stop = min(start + block, weight.shape[1])
        kept = choose((weight[:, start:stop] / diagonal[start:stop]).square())
        for j in range(start, stop):
            error = torch.where(kept[:, j - start], 0, weight[:, j]) / upper[j, j]
            weight[:, j:] -= error[:, None] * upper[j, j:]
            weight[zeros & ~kept[:, j - start], j] = 0
    return weight


def sweep_by_rows(weight, upper, choose, block=32):
    """Each row by itself, with the formula of exercise 10.3."""
    inverse = upper.T @ upper
    found = weight.clone()
    for start in range(0, weight.shape[1], block):
        columns = range(weight.shape[1])[start : start + block]
        scores = (found[:, columns] / upper.diagonal()[columns]).pow(2)
        kept = choose(scores)
        for j in columns:
            for row in (~kept[:, j - start]).nonzero().flatten().tolist():
                found[row, j:] -= found[row, j] / inverse[j, j] * inverse[j, j:]
                found[row, j] = 0
            inverse = inverse - torch.outer(inverse[j], inverse[j]) / inverse[j, j]
    return found


def sweep_lazily(weight, upper, choose, block=32):
    """Algorithm 1 of Frantar and Alistarh (2023): a block's errors reach the columns
    after it at its end."""
    weight, total = weight.clone(), weight.shape[1]
    for start in range(0, total, block):
        stop = min(start + block, total)
        part, triangle = weight[:, start:stop], upper[start:stop, start:stop]
        kept = choose(part.square() / triangle.diagonal().square())
        errors = torch.zeros_like(part)
        for j in range(stop - start):
            column = part[:, j] * kept[:, j]
            errors[:, j] = (part[:, j] - column) / triangle[j, j]
            part[:, j:] -= torch.outer(errors[:, j], triangle[j, j:])
            part[:, j] = column
        weight[:, stop:] -= errors @ upper[start:stop, stop:]
    return weight


def sweep_with_traces(weight, upper, choose, block=32):
    return sweep_by_columns(weight, upper, choose, block, zeros=False)


def norms_in_eval_mode(model, batches):
    return norms_by_hooks(model.eval(), batches)


def norms_with_one_hook_left(model, batches):
    found = norms_by_hooks(model, batches)
    layer = next(m for m in model.modules() if isinstance(m, nn.Linear))
    layer.register_forward_pre_hook(lambda layer, inputs: None)
    return found


def sweep_in_place(weight, upper, choose, block=32):
    weight.copy_(sweep_by_columns(weight, upper, choose, block))
    return weight


RIGHT = {
    "input_norms": [
        ("hooks", norms_by_hooks),
        ("objects", norms_by_objects),
        ("products", norms_by_products),
    ],
    "wanda_mask": [
        ("scatter", wanda_by_scatter),
        ("ranks", wanda_by_ranks),
        ("a loop", wanda_by_loop),
    ],
    "remove_one": [
        ("the formula", remove_by_formula),
        ("a row", remove_by_row),
        ("elements", remove_by_elements),
    ],
    "sweep": [
        ("columns", sweep_by_columns),
        ("rows", sweep_by_rows),
        ("lazily", sweep_lazily),
    ],
}

WRONG = {
    "input_norms": [
        ("hooks left", norms_with_hooks_left, "called twice", "call remove()"),
        ("one hook left", norms_with_one_hook_left, "called twice", "call remove()"),
        ("eval mode", norms_in_eval_mode, "called twice", "leave out model.eval()"),
        (
            "nothing",
            lambda model, batches: None,
            "one layer, two rows",
            "the result is None: is a return missing?",
        ),
    ],
    "wanda_mask": [
        (
            "a threshold",
            wanda_by_threshold,
            "nothing and everything",
            "the error comes from line",
        ),
    ],
    "remove_one": [
        (
            "in place",
            remove_in_place,
            "inputs that have nothing in common",
            "an operation in place",
        ),
    ],
    "sweep": [
        ("traces", sweep_with_traces, "exact zeros", "rounding leaves traces"),
        (
            "in place",
            sweep_in_place,
            "inputs that have nothing in common",
            "an operation in place",
        ),
    ],
}


class TestLab10(LabTests):
    lab, right, wrong = lab10, RIGHT, WRONG


def test_the_exercises_make_twenty_points():
    points = {e.id: e.points for e in lab10.EXERCISES.values()}
    assert points == {"10.1": 5, "10.2": 5, "10.3": 5, "10.4": 5}


@pytest.fixture
def layer():
    """Weights, inputs that go together, and the factor that the sweep takes."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200, 12, generator=rng, dtype=torch.double)
    x += x[:, :1]
    weight = torch.randn(5, 12, generator=rng, dtype=torch.double)
    upper = torch.linalg.cholesky(torch.linalg.inv(x.T @ x), upper=True)
    return weight, x, upper


def test_what_stays_fits_best_where_the_first_weight_goes(layer):
    """Least squares over the inputs themselves finds the same weights."""
    weight, x, _ = layer
    new, _ = lab10.remove_one(weight[0], torch.linalg.inv(x.T @ x), 0)
    best = torch.linalg.lstsq(x[:, 1:], x @ weight[0]).solution
    torch.testing.assert_close(new[1:], best)


def test_the_published_algorithm_finds_the_same_weights(layer):
    weight, _, upper = layer
    for block, choose in ((12, lab10.half_of_the_block), (4, lab10.half_of_each_row)):
        torch.testing.assert_close(
            sweep_by_columns(weight, upper, choose, block),
            sweep_lazily(weight, upper, choose, block),
        )


def test_a_sweep_loses_less_than_the_same_mask_alone(layer):
    weight, x, upper = layer
    swept = lab10.sweep(weight, upper, lab10.half_of_each_row, 12)
    masked = weight * (swept != 0)
    assert (swept == 0).sum() == weight.numel() / 2
    lost = [((weight - w) @ x.T).square().sum() for w in (swept, masked)]
    assert lost[0] < 0.7 * lost[1]
