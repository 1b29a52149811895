"""Lab 09's checks, held against right and wrong answers."""

import copy

import pytest
import torch
from answers import LabTests
from torch import nn
from torch.nn import functional as F

from labcore.checks import lab09
from labcore.nets import MLP


def lamp(weight):
    squares, order = weight.detach().square().flatten().sort()
    suffix = squares.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(squares)
    scores[order] = torch.where(squares > 0, squares / suffix, 0)
    return scores.view(weight.shape)


def lamp_by_comparing_all(weight):
    squares = weight.detach().reshape(-1) ** 2
    at_least = squares[None, :] >= squares[:, None]
    sums = (at_least * squares).sum(1).clamp(min=1e-30)
    return (squares / sums).reshape(weight.shape)


def lamp_by_loop(weight):
    flat, total = weight.detach().flatten(), 0.0
    scores = torch.zeros_like(flat)
    for i in flat.abs().argsort(descending=True).tolist():
        square = flat[i].item() ** 2
        total += square
        scores[i] = square / total if square else 0
    return scores.view_as(weight)


def lamp_by_view(weight):
    return lamp(weight.view(-1)).view(weight.shape)


def lamp_in_place(weight):
    weight.data.abs_()
    return lamp(weight)


def in_allocation(scores, masks):
    found = {}
    for name, score in scores.items():
        mask = torch.zeros(score.numel(), dtype=torch.bool)
        mask[score.flatten().topk(masks[name].sum().item()).indices] = True
        found[name] = mask.view(score.shape)
    return found


def in_allocation_by_rank(scores, masks):
    found = {}
    for name, score in scores.items():
        ranks = score.flatten().argsort(descending=True).argsort()
        found[name] = (ranks < masks[name].count_nonzero()).reshape(score.shape)
    return found


def in_allocation_by_comparing_all(scores, masks):
    def chosen(score, count):
        flat = score.reshape(-1)
        larger = (flat[None, :] > flat[:, None]).sum(1)
        return (larger < count).reshape(score.shape)

    return {name: chosen(scores[name], masks[name].sum()) for name in scores}


def in_allocation_by_threshold(scores, masks):
    """Keeps all of a layer that should keep nothing."""
    found = {}
    for name, score in scores.items():
        least = score.flatten().sort().values[-masks[name].sum()]
        found[name] = score >= least
    return found


def in_allocation_by_position(scores, masks):
    ranked = {n: s.flatten().sort(descending=True).values for n, s in scores.items()}
    return {n: s >= ranked[n][int(masks[n].sum()) - 1] for n, s in scores.items()}


def in_allocation_past_the_end(scores, masks):
    found = {}
    for name, score in scores.items():
        ordered = score.flatten().sort(descending=True).values
        found[name] = score > ordered[masks[name].sum()]
    return found


def in_allocation_in_place(scores, masks):
    found = in_allocation(scores, masks)
    for name, mask in masks.items():
        mask.copy_(found[name])
    return masks


def scored_layers(model):
    named = {n: m for n, m in model.named_modules() if hasattr(m, "weight")}
    return {n: m for n, m in named.items() if m.weight.dim() > 1}


def taylor(model, batches):
    layers = scored_layers(model)
    scores = {n: torch.zeros_like(m.weight.data) for n, m in layers.items()}
    for images, labels in batches:
        model.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        for n, m in layers.items():
            scores[n] += (m.weight.data * m.weight.grad) ** 2
    return {n: score / len(batches) for n, score in scores.items()}


def taylor_on_a_copy(model, batches):
    model = copy.deepcopy(model)
    names = [n for n, p in model.named_parameters() if p.dim() > 1]
    weights = [model.get_parameter(n) for n in names]
    found = []
    for images, labels in batches:
        log = model(images).log_softmax(1)[torch.arange(len(labels)), labels]
        grads = torch.autograd.grad(-log.mean(), weights)
        found.append(
            [
                w.detach().square() * g.square()
                for w, g in zip(weights, grads, strict=True)
            ]
        )
    means = [torch.stack(each).mean(0) for each in zip(*found, strict=True)]
    return {n.removesuffix(".weight"): m for n, m in zip(names, means, strict=True)}


def taylor_one_layer_after_the_other(model, batches):
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            total = 0
            for images, labels in batches:
                loss = nn.CrossEntropyLoss()(model(images), labels)
                (gradient,) = torch.autograd.grad(loss, layer.weight)
                total = total + torch.pow(gradient * layer.weight, 2).detach()
            found[name] = total / len(batches)
    return found


def taylor_prunes(model, batches):
    found = taylor(model, batches)
    for p in model.parameters():
        p.data.mul_(0.5)
    return found


def taylor_never_clears(model, batches):
    layers = scored_layers(model)
    scores = dict.fromkeys(layers, 0)
    for images, labels in batches:
        F.cross_entropy(model(images), labels).backward()
        for n, m in layers.items():
            scores[n] = scores[n] + (m.weight.data * m.weight.grad) ** 2
    return {n: score / len(batches) for n, score in scores.items()}


def synflow(weights):
    sizes = {n: w.detach().abs().requires_grad_() for n, w in weights.items()}
    flow = torch.ones(list(sizes.values())[0].shape[1])
    for size in sizes.values():
        flow = size @ flow
    flow.sum().backward()
    return {n: (size * size.grad).detach() for n, size in sizes.items()}


def synflow_as_a_network(weights):
    layers = []
    for weight in weights.values():
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.detach().abs()
        layers.append(layer)
    out = nn.Sequential(*layers)(torch.ones(1, layers[0].in_features))
    out.sum().backward()
    return {
        n: (layer.weight.grad * layer.weight).detach().abs()
        for n, layer in zip(weights, layers, strict=True)
    }


def synflow_by_products(weights):
    sizes = [w.detach().abs() for w in weights.values()]
    found = {}
    for i, name in enumerate(weights):
        before = torch.ones(sizes[0].shape[1], 1)
        for size in sizes[:i]:
            before = size @ before
        after = torch.ones(1, sizes[-1].shape[0])
        for size in sizes[:i:-1]:
            after = after @ size
        found[name] = after.t() * sizes[i] * before.t()
    return found


def synflow_in_place(weights):
    for weight in weights.values():
        weight.data.abs_()
    return synflow(weights)


def cubic(step, start, end, initial, final):
    done = min(max((step - start) / (end - start), 0), 1)
    return final + (initial - final) * (1 - done) ** 3


def cubic_from_below(step, start, end, initial, final):
    step = sorted((start, step, end))[1]
    rest = (end - step) / (end - start)
    return initial + (final - initial) * (1 - rest * rest * rest)


def cubic_in_three_parts(step, start, end, initial, final):
    if step < start:
        return initial
    if step > end:
        return final
    return final + (initial - final) * (1 - (step - start) / (end - start)) ** 3


def cubic_late(step, start, end, initial, final):
    if step <= start + 1:
        return initial
    return cubic(step, start, end, initial, final)


def cubic_early(step, start, end, initial, final):
    return final if step >= end - 1 else cubic(step, start, end, initial, final)


RIGHT = {
    "lamp_scores": [
        ("sorted", lamp),
        ("a loop from the largest on", lamp_by_loop),
        ("all against all", lamp_by_comparing_all),
    ],
    "in_allocation": [
        ("topk", in_allocation),
        ("ranks", in_allocation_by_rank),
        ("all against all", in_allocation_by_comparing_all),
    ],
    "taylor_scores": [
        ("backward", taylor),
        ("one layer after the other", taylor_one_layer_after_the_other),
        ("on a copy", taylor_on_a_copy),
    ],
    "synflow_scores": [
        ("autograd", synflow),
        ("products", synflow_by_products),
        ("a network", synflow_as_a_network),
    ],
    "cubic_sparsity": [
        ("held", cubic),
        ("three parts", cubic_in_three_parts),
        ("from below", cubic_from_below),
    ],
}

WRONG = {
    "lamp_scores": [
        (
            "nothing",
            lambda weight: None,
            "two values",
            "the result is None: is a return missing?",
        ),
        ("in place", lamp_in_place, "four values", "an operation in place"),
        ("a view", lamp_by_view, "any memory layout", "the error comes from line"),
    ],
    "in_allocation": [
        ("in place", in_allocation_in_place, "one layer", "an operation in place"),
        (
            "x[-0:]",
            in_allocation_by_threshold,
            "a full layer and an empty one",
            "with count 0 a layer keeps everything",
        ),
        (
            "from position count - 1",
            in_allocation_by_position,
            "a full layer and an empty one",
            "with count 0 a layer keeps everything",
        ),
        (
            "past the end",
            in_allocation_past_the_end,
            "a full layer and an empty one",
            "the error comes from line",
        ),
    ],
    "taylor_scores": [
        ("prunes", taylor_prunes, "one batch of one image", "an operation in place"),
        ("never clears", taylor_never_clears, "two batches", "backward() adds to"),
    ],
    "synflow_scores": [
        ("in place", synflow_in_place, "one layer", "an operation in place"),
    ],
    "cubic_sparsity": [
        ("late at the start", cubic_late, "both ends", None),
        ("early at the end", cubic_early, "both ends", None),
    ],
}


class TestLab09(LabTests):
    lab, right, wrong = lab09, RIGHT, WRONG


def test_the_core_makes_twenty_points_and_the_rest_none():
    points = {e.id: e.points for e in lab09.EXERCISES.values()}
    assert points == {"9.1": 7, "9.2": 6, "9.3": 7, "9.4": 0, "9.5": 0}


def test_magnitude_in_lamps_allocation_is_lamp():
    net = MLP(inputs=20, hidden=(8, 6), classes=4)
    weights = {name: m.weight.detach() for name, m in net.named_children()}
    scores = {name: lab09.lamp_scores(w) for name, w in weights.items()}
    together = torch.cat([score.flatten() for score in scores.values()])
    least = together.topk(60).values[-1]
    masks = {name: score >= least for name, score in scores.items()}
    assert sum(mask.sum() for mask in masks.values()) == 60
    sizes = {name: w.abs() for name, w in weights.items()}
    found = lab09.in_allocation(sizes, masks)
    assert all(torch.equal(found[name], masks[name]) for name in masks)


def test_what_synflow_scores_add_up_to_is_the_same_in_every_layer():
    """The flow that goes in comes out: Tanaka's conservation law."""
    net = MLP(inputs=5, hidden=(4, 3), classes=2)
    weights = {n: m.weight for n, m in net.named_children()}
    sums = [score.sum().item() for score in lab09.synflow_scores(weights).values()]
    assert sums == pytest.approx([sums[0]] * 3)
