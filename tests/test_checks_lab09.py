"""Lab 09's checks, held against right and wrong answers."""

import copy
import math

import pytest
import torch
from answers import LabTests
from torch import nn
from torch.nn import functional as F

from labcore import measure
from labcore.checks import lab09
from labcore.checks.lab09 import budgets
from labcore.nets import MLP, VGG


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


def erk(shapes, density):
    sizes = {n: math.prod(s) for n, s in shapes.items()}
    left, free, found = density * sum(sizes.values()), dict(shapes), {}
    while free:
        eps = left / sum(sum(s) for s in free.values())
        over = [n for n, s in free.items() if eps * sum(s) > sizes[n]]
        if not over:
            return {n: found.get(n, eps * sum(s) / sizes[n]) for n, s in shapes.items()}
        found[over[0]] = 1.0
        left -= sizes[over[0]]
        del free[over[0]]
    return dict.fromkeys(shapes, 1.0)


def erk_by_halving(shapes, density):
    """The kept weights grow with epsilon: search for it."""

    def at(eps):
        return {n: min(1.0, eps * sum(s) / math.prod(s)) for n, s in shapes.items()}

    total = sum(math.prod(s) for s in shapes.values())
    low, high = 0.0, float(total)
    for _ in range(200):
        middle = (low + high) / 2
        kept = sum(d * math.prod(shapes[n]) for n, d in at(middle).items())
        low, high = (middle, high) if kept < density * total else (low, middle)
    return at(high)


def erk_again(shapes, density, full=()):
    """All that are above 1 at once, then the rest by the same function."""
    sizes = {n: math.prod(s) for n, s in shapes.items()}
    free = [n for n in shapes if n not in full]
    if not free:
        return dict.fromkeys(shapes, 1.0)
    left = density * sum(sizes.values()) - sum(sizes[n] for n in full)
    eps = left / sum(sum(shapes[n]) for n in free)
    if over := [n for n in free if eps * sum(shapes[n]) > sizes[n]]:
        return erk_again(shapes, density, (*full, *over))
    return {n: 1.0 if n in full else eps * sum(shapes[n]) / sizes[n] for n in shapes}


def erk_takes_layers_out(shapes, density):
    found = erk(shapes, density)
    shapes.clear()
    return found


def taylor(model, images, labels):
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "weight")}
    layers = {n: m for n, m in layers.items() if m.weight.dim() > 1}
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return {n: (m.weight * m.weight.grad).detach() ** 2 for n, m in layers.items()}


def taylor_on_a_copy(model, images, labels):
    model = copy.deepcopy(model)
    names = [n for n, p in model.named_parameters() if p.dim() > 1]
    weights = [model.get_parameter(n) for n in names]
    log = model(images).log_softmax(1)[torch.arange(len(labels)), labels]
    grads = torch.autograd.grad(-log.mean(), weights)
    return {
        n.removesuffix(".weight"): w.detach().square() * g.square()
        for n, w, g in zip(names, weights, grads, strict=True)
    }


def taylor_by_retained_gradients(model, images, labels):
    with torch.enable_grad():
        found = {}
        for name, layer in model.named_modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                loss = nn.CrossEntropyLoss()(model(images), labels)
                (gradient,) = torch.autograd.grad(loss, layer.weight)
                found[name] = torch.pow(gradient * layer.weight, 2).detach()
        return found


def taylor_prunes(model, images, labels):
    found = taylor(model, images, labels)
    for p in model.parameters():
        p.data.mul_(0.5)
    return found


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


def layers_of(model):
    kinds = (nn.Conv2d, nn.Linear)
    return [m for m in model.modules() if isinstance(m, kinds)]


@torch.no_grad()
def two_of_four(model):
    model = copy.deepcopy(model)
    for layer in layers_of(model):
        rows = layer.weight.flatten(1)
        whole = rows.shape[1] // 4 * 4
        groups = rows[:, :whole].reshape(-1, 4)
        gone = groups.abs().argsort(1)[:, :2]
        rows[:, :whole] = groups.scatter(1, gone, 0).view(len(rows), whole)
        layer.weight.copy_(rows.view(layer.weight.shape))
    return model


@torch.no_grad()
def magnitudes(model, limit, bit=True):
    """As large a share of each layer as fits into so many bytes."""
    model = copy.deepcopy(model)
    total = sum(p.numel() for p in model.parameters())
    weights = [layer.weight for layer in layers_of(model)]
    others = total - sum(w.numel() for w in weights)
    room = (limit - bit * math.ceil(total / 8)) / 4 - others
    share = room / (total - others)
    for weight in weights:
        flat = weight.view(-1)
        flat[flat.abs().argsort()[: math.ceil((1 - share) * len(flat))]] = 0
    return model


@torch.no_grad()
def narrower(model, share):
    """Every convolution but the last keeps its first channels."""
    *widths, last = (m.out_channels for m in layers_of(model)[:-1])
    channels = [*(max(1, round(share * width)) for width in widths), last]
    small, old = VGG(in_channels=1, channels=channels), model.state_dict()
    for name, tensor in small.state_dict().items():
        tensor.copy_(old[name][tuple(map(slice, tensor.shape))])
    return small.eval()


def macs(model):
    """Each convolution's positions halve at a pool: those of a VGG for 32x32 images."""
    sizes = (32, 32, 16, 16, 8, 8, 4, 4, 1)
    layers = zip(layers_of(model), sizes, strict=True)
    return sum(layer.weight.numel() * size * size for layer, size in layers)


def met(model, card):
    if card["budget"] == "bytes":
        return magnitudes(model, card["limit"])
    if card["budget"] == "ms":
        return two_of_four(model)
    return met_by_channels(model, card)


def met_by_channels(model, card):
    for share in range(50, 0, -1):
        small = narrower(model, share / 50)
        total = sum(p.numel() for p in small.parameters())
        work = macs(small)
        needed = {"bytes": 4 * total + math.ceil(total / 8), "MACs": work}
        if "device" in card:
            needed["ms"] = work / card["device"]["macs_per_ms"]
        if needed[card["budget"]] <= card["limit"]:
            return small


def met_by_halving(model, card):
    """As many weights of all layers together as fit; else fewer channels."""
    if card["budget"] != "bytes":
        return met_by_channels(model, card)
    best, low = None, 0
    high = sum(layer.weight.numel() for layer in layers_of(model))
    while high - low > 1:
        kept = (low + high) // 2
        found = copy.deepcopy(model)
        weights = [layer.weight.data for layer in layers_of(found)]
        least = torch.cat([w.abs().flatten() for w in weights]).topk(kept).values[-1]
        for weight in weights:
            weight[weight.abs() < least] = 0
        size = 4 * sum(p.count_nonzero().item() for p in found.parameters())
        if size + sum(p.numel() for p in model.parameters()) / 8 <= card["limit"]:
            best, low = found, kept
        else:
            high = kept
    return best


def only(budget, otherwise):
    """Right for the cards before this one."""
    order = ["bytes", "MACs", "ms"]

    def answer(model, card):
        if order.index(card["budget"]) < order.index(budget):
            return met(model, card)
        return otherwise(model, card)

    return answer


def all_zero(model, card):
    model = copy.deepcopy(model)
    for layer in layers_of(model):
        layer.weight.data.zero_()
    return model


def in_place(model, card):
    for layer in layers_of(model):
        layer.weight.data[layer.weight.abs() < 0.1] = 0
    return model


def a_new_one(model, card):
    for width in range(4, 0, -1):
        small = VGG(width=width, in_channels=1).eval()
        if 4.2 * sum(p.numel() for p in small.parameters()) <= card["limit"]:
            return small


def dense(model, card):
    return copy.deepcopy(model)


def without_bitmask(model, card):
    return magnitudes(model, card["limit"], bit=False)


def zeros(model, card):
    return magnitudes(model, 50_000)


def a_tenth_narrower(model, card):
    return narrower(model, 0.9)


def broken(model, card):
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 10))


def no_channels(model, card):
    model = copy.deepcopy(model)
    layer = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    layer.weight = nn.Parameter(layer.weight[:0])
    return model


RIGHT = {
    "lamp_scores": [
        ("sorted", lamp),
        ("a loop from the largest on", lamp_by_loop),
        ("all against all", lamp_by_comparing_all),
    ],
    "erk_densities": [
        ("one layer after the other", erk),
        ("itself again", erk_again),
        ("halving", erk_by_halving),
    ],
    "taylor_scores": [
        ("backward", taylor),
        ("one layer after the other", taylor_by_retained_gradients),
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
    "meet": [
        ("three ways", met),
        ("channels for all", met_by_channels),
        ("halving", met_by_halving),
    ],
}

WRONG = {
    "lamp_scores": [
        (
            "nothing",
            lambda weight: None,
            "two values",
            "the function ends without return",
        ),
        ("in place", lamp_in_place, "four values", "an operation in place"),
        ("a view", lamp_by_view, "any memory layout", "the error comes from line"),
    ],
    "erk_densities": [
        (
            "takes layers out",
            erk_takes_layers_out,
            "one layer",
            "pop(), sort() and assignments",
        ),
    ],
    "taylor_scores": [
        ("prunes", taylor_prunes, "two layers by hand", "an operation in place"),
    ],
    "synflow_scores": [
        ("in place", synflow_in_place, "one layer", "an operation in place"),
    ],
    "meet": [
        (
            "nothing",
            lambda model, card: None,
            "bytes",
            "the function ends without return",
        ),
        ("a number", lambda model, card: 0.5, "bytes", None),
        ("no channels", no_channels, "bytes", "a layer has no channels left"),
        ("dense", dense, "bytes", "nothing is removed"),
        ("in place", in_place, "bytes", "work on a copy"),
        ("no bitmask", without_bitmask, "bytes", "the bitmask counts too"),
        ("all zero", all_zero, "bytes", "you remove more than the card"),
        ("another network", a_new_one, "bytes", "train it later"),
        ("zeros", only("MACs", zeros), "MACs", "zeros are multiplied too"),
        (
            "zeros anywhere",
            only("ms", zeros),
            "milliseconds",
            "this device skips zeros only if",
        ),
        ("one fixed ratio", only("ms", a_tenth_narrower), "milliseconds", None),
        ("broken", only("MACs", broken), "MACs", None),
    ],
}


class TestLab09(LabTests):
    lab, right, wrong = lab09, RIGHT, WRONG


def test_any_three_of_the_five_and_the_cards_make_twenty_points():
    points = {e.id: e.points for e in lab09.EXERCISES.values()}
    assert points == dict.fromkeys([f"9.{n}" for n in range(1, 7)], 5)


def test_our_networks_layers_keep_as_many_weights_as_were_asked():
    found = lab09.erk_densities(lab09.LENET_300_100, 0.02)
    kept = sum(d * math.prod(lab09.LENET_300_100[n]) for n, d in found.items())
    assert kept == pytest.approx(0.02 * 266_200)
    assert found["fc3"] > 0.3 > 0.1 > found["fc1"]


def test_what_synflow_scores_add_up_to_is_the_same_in_every_layer():
    """The flow that goes in comes out: Tanaka's conservation law."""
    net = MLP(inputs=5, hidden=(4, 3), classes=2)
    weights = {n: m.weight for n, m in net.named_children()}
    sums = [score.sum().item() for score in lab09.synflow_scores(weights).values()]
    assert sums == pytest.approx([sums[0]] * 3)


def test_the_cards_leave_room_for_a_pruned_network_and_none_for_the_dense_one():
    dense = VGG(width=16, in_channels=1).eval()
    for card in lab09.CARDS.values():
        assert budgets.needs(dense, card) > card["limit"]
        assert budgets.needs(met(dense, card), card) <= card["limit"]


def test_networks_need_the_macs_that_torch_counts():
    for model in (VGG(width=4, in_channels=1).eval(), narrower(VGG(4, 1), 0.6)):
        counted = measure.macs(model, torch.zeros(1, 1, 32, 32))
        assert budgets.needs(model, lab09.CARDS["B"]) == counted == macs(model)


def test_zeros_save_time_only_where_a_kernel_skips_groups():
    model = two_of_four(VGG(width=4, in_channels=1).eval())
    card = lab09.CARDS["C"]
    dense = budgets.needs(VGG(width=4, in_channels=1), card)
    assert 0.5 < budgets.needs(model, card) / dense < 0.55
    plain = card | {"device": card["device"] | {"skips_groups": False}}
    assert budgets.needs(model, plain) == dense
    model.classifier.weight.data.fill_(1)
    assert budgets.needs(model, card) == dense
