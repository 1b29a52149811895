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


def layers_of(model):
    kinds = (nn.Conv2d, nn.Linear)
    return [m for m in model.modules() if isinstance(m, kinds)]


@torch.no_grad()
def magnitudes(model, limit, bit=True, rest=True, largest=True):
    """As large a share of each layer as fits into so many bytes."""
    model = copy.deepcopy(model)
    total = sum(p.numel() for p in model.parameters())
    weights = [layer.weight for layer in layers_of(model)]
    others = total - sum(w.numel() for w in weights)
    room = (limit - bit * math.ceil(total / 8)) / 4 - rest * others
    share = room / (total - others)
    for weight in weights:
        flat = weight.view(-1)
        order = flat.abs().argsort(descending=not largest)
        flat[order[: math.ceil((1 - share) * len(flat))]] = 0
    return model


@torch.no_grad()
def narrower(model, share, best=True):
    """Every convolution but the last keeps its best channels, or its first."""
    convs = layers_of(model)[:-1]
    kept = []
    for following in convs[1:]:
        norms = following.weight.square().sum((0, 2, 3))
        order = norms.argsort(descending=True) if best else torch.arange(len(norms))
        kept.append(order[: max(1, round(share * len(norms)))])
    kept.append(torch.arange(convs[-1].out_channels))
    small = VGG(in_channels=1, channels=[len(index) for index in kept])
    old, inputs = model.state_dict(), torch.arange(1)
    for i, index in enumerate(kept):
        names = [f"backbone.bn{i}.{n}" for n in ("weight", "bias")]
        names += [f"backbone.bn{i}.{n}" for n in ("running_mean", "running_var")]
        for name in names:
            small.state_dict()[name].copy_(old[name][index])
        name = f"backbone.conv{i}.weight"
        small.state_dict()[name].copy_(old[name][index][:, inputs])
        inputs = index
    for name in ("classifier.weight", "classifier.bias"):
        small.state_dict()[name].copy_(old[name])
    return small.eval()


def macs(model):
    """Each convolution's positions halve at a pool: those of a VGG for 32x32 images."""
    sizes = (32, 32, 16, 16, 8, 8, 4, 4, 1)
    layers = zip(layers_of(model), sizes, strict=True)
    return sum(layer.weight.numel() * size * size for layer, size in layers)


def met(model, card):
    if card["budget"] == "bytes":
        return magnitudes(model, card["limit"])
    return met_by_channels(model, card)


def met_by_channels(model, card, best=True):
    for share in range(50, 0, -1):
        small = narrower(model, share / 50, best)
        total = sum(p.numel() for p in small.parameters())
        needed = {"bytes": 4 * total + math.ceil(total / 8), "MACs": macs(small)}
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


def only_macs(otherwise):
    """Right for the bytes."""

    def answer(model, card):
        return met(model, card) if card["budget"] == "bytes" else otherwise(model, card)

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


def weights_alone(model, card):
    return magnitudes(model, card["limit"], bit=False, rest=False)


def the_smallest(model, card):
    return magnitudes(model, card["limit"], largest=False)


def zeros(model, card):
    return magnitudes(model, 50_000)


def zeros_in_a_loop(model, card):
    for share in range(9, 0, -1):
        found = magnitudes(model, share * 10_000)
        if macs(found) <= card["limit"]:
            return found


def the_first_channels(model, card):
    return met_by_channels(model, card, best=False)


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
    "meet": [
        ("two ways", met),
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
    "in_allocation": [
        ("in place", in_allocation_in_place, "one layer", "an operation in place"),
        (
            "x[-0:]",
            in_allocation_by_threshold,
            "a full layer and an empty one",
            "a layer whose mask keeps nothing has to stay empty",
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
        ("weights alone", weights_alone, "bytes", "the bitmask counts too, and so do"),
        ("the smallest", the_smallest, "bytes", "you keep the smallest magnitudes"),
        ("all zero", all_zero, "bytes", "you remove more than the card"),
        ("another network", a_new_one, "bytes", "train it later"),
        ("zeros", only_macs(zeros), "MACs", "zeros are multiplied too"),
        ("zeros in a loop", only_macs(zeros_in_a_loop), "MACs", "if your loop ran"),
        (
            "the first channels",
            only_macs(the_first_channels),
            "MACs",
            "these are the first channels",
        ),
        ("one fixed ratio", only_macs(a_tenth_narrower), "MACs", None),
        ("broken", only_macs(broken), "MACs", None),
    ],
}


class TestLab09(LabTests):
    lab, right, wrong = lab09, RIGHT, WRONG


def test_the_core_makes_twenty_points_and_the_rest_none():
    points = {e.id: e.points for e in lab09.EXERCISES.values()}
    assert points == {"9.1": 7, "9.2": 6, "9.3": 7, "9.4": 0, "9.5": 0, "9.6": 0}


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


def test_the_cards_leave_room_for_a_pruned_network_and_none_for_the_dense_one():
    dense = VGG(width=16, in_channels=1).eval()
    for card in lab09.CARDS.values():
        assert budgets.needs(dense, card) > card["limit"]
        assert budgets.needs(met(dense, card), card) <= card["limit"]


def test_networks_need_the_macs_that_torch_counts():
    for model in (VGG(width=4, in_channels=1).eval(), narrower(VGG(4, 1), 0.6)):
        counted = measure.macs(model, torch.zeros(1, 1, 32, 32))
        assert budgets.needs(model, lab09.CARDS["B"]) == counted == macs(model)
