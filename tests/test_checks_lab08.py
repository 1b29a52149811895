"""Lab 08's checks, held against right and wrong answers."""

import copy

import torch
from answers import LabTests
from torch import nn
from torch.nn import functional as F

from labcore.checks import lab08


def weight(model, name):
    return model.get_submodule(name).weight.detach()


def masks_by_infinity(model, masks, share):
    """Removed weights rank last, so that the kept ones come first."""
    sizes = torch.cat([weight(model, name).abs().flatten() for name in masks])
    stays = torch.cat([mask.flatten() for mask in masks.values()])
    sizes[~stays] = torch.inf
    go = round(share * stays.sum().item())
    stays[sizes.argsort()[:go]] = False
    parts = stays.split([mask.numel() for mask in masks.values()])
    return {
        name: part.view(mask.shape)
        for (name, mask), part in zip(masks.items(), parts, strict=True)
    }


def masks_by_a_python_sort(model, masks, share):
    places = []
    for name, mask in masks.items():
        for row, column in mask.nonzero().tolist():
            size = abs(weight(model, name)[row, column].item())
            places.append((size, name, row, column))
    places.sort()
    new = {name: mask.clone() for name, mask in masks.items()}
    for _, name, row, column in places[: round(share * len(places))]:
        new[name][row, column] = False
    return new


def masks_by_topk(model, masks, share):
    sizes = torch.cat([(weight(model, n).abs() + 1)[m] for n, m in masks.items()])
    stays = torch.zeros(len(sizes), dtype=torch.bool)
    stays[sizes.topk(len(sizes) - round(share * len(sizes))).indices] = True
    new = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    for name, mask in masks.items():
        n = int(mask.sum())
        new[name][mask], stays = stays[:n], stays[n:]
    return new


def masks_by_threshold(model, masks, share):
    sizes = torch.cat([weight(model, n).abs()[m] for n, m in masks.items()])
    go = round(share * len(sizes))
    limit = sizes.sort().values[go - 1] if go else -1
    return {n: m & (weight(model, n).abs() > limit) for n, m in masks.items()}


def masks_in_place(model, masks, share):
    for name, new in masks_by_infinity(model, masks, share).items():
        masks[name].copy_(new)
    return masks


def masks_pruning(model, masks, share):
    new = masks_by_infinity(model, masks, share)
    for name, mask in new.items():
        weight(model, name)[~mask] = 0
    return new


def back_to(model, start, masks):
    model.load_state_dict(start)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_submodule(name).weight.mul_(mask)


def play(model, start, masks, train, share=0.2):
    train(model, masks)
    masks = masks_by_infinity(model, masks, share)
    back_to(model, start, masks)
    return masks


def play_by_parameters(model, start, masks, train, share=0.2):
    train(model, masks)
    new = masks_by_a_python_sort(model, masks, share)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(start[name])
            layer = name.removesuffix(".weight")
            if layer in new:
                parameter[~new[layer]] = 0
    return new


def play_by_a_dictionary(model, start, masks, train, share=0.2):
    train(model, masks)
    new = masks_by_topk(model, masks, share)
    zeroed = {f"{n}.weight": start[f"{n}.weight"] * m for n, m in new.items()}
    model.load_state_dict({**start, **zeroed})
    return new


def play_from_the_dense_start(model, start, masks, train, share=0.2):
    """Rewound before training without the zeros, in the student's own words."""
    for name, parameter in model.named_parameters():
        parameter.detach().copy_(start[name])
    return play(model, start, masks, train, share)


def play_sharing_all(model, start, masks, train, share=0.2):
    new = play(model, start, masks, train, share)
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    for name, mask in new.items():
        weight(model, name).mul_(mask)
    return new


def play_masked_again(model, start, masks, train, share=0.2):
    """Puts the model where it already is before training."""
    back_to(model, start, masks)
    return play(model, start, masks, train, share)


def play_with_new_values(model, start, masks, train, share=0.2):
    new = play(model, start, masks, train, share)
    for parameter in model.parameters():
        parameter.detach().fill_(0.5)
    for name, mask in new.items():
        weight(model, name).mul_(mask)
    return new


def play_on_a_copy(model, start, masks, train, share=0.2):
    return play(copy.deepcopy(model), start, masks, train, share)


def play_on_a_trained_copy(model, start, masks, train, share=0.2):
    trained = copy.deepcopy(model)
    train(trained, masks)
    new = masks_by_topk(trained, masks, share)
    back_to(model, start, new)
    return new


def play_twice(model, start, masks, train, share=0.2):
    train(model, masks)
    return play(model, start, masks, train, share)


def play_and_train(model, start, masks, train, share=0.2):
    new = play(model, start, masks, train, share)
    train(model, new)
    return new


def play_without_return(model, start, masks, train, share=0.2):
    play(model, start, masks, train, share)


def init(noise, mask):
    fan_in = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return noise * (2 / fan_in).sqrt() * mask


def init_by_where(noise, mask):
    deviation = torch.sqrt(2 / mask.sum(1).float())
    return torch.where(mask, noise * deviation[:, None], torch.zeros(()))


def init_by_rows(noise, mask):
    rows = []
    for values, keep in zip(noise, mask, strict=True):
        fan_in = keep.sum().item()
        rows.append(values * keep * (2 / fan_in) ** 0.5 if fan_in else 0 * values)
    return torch.stack(rows)


def init_in_place(noise, mask):
    return noise.mul_(init(torch.ones_like(noise), mask))


def norm(model, images, labels, masks):
    weights = [model.get_submodule(name).weight for name in masks]
    loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, weights)
    kept = [g[m] for g, m in zip(gradients, masks.values(), strict=True)]
    return torch.cat(kept).norm().item()


def norm_by_backward(model, images, labels, masks):
    model.zero_grad()
    nn.CrossEntropyLoss()(model(images), labels).backward()
    squares = [
        (model.get_submodule(name).weight.grad * mask).square().sum()
        for name, mask in masks.items()
    ]
    return sum(squares).sqrt()


def norm_on_a_copy(model, images, labels, masks):
    model = copy.deepcopy(model)
    F.nll_loss(model(images).log_softmax(1), labels).backward()
    norms = [
        model.get_submodule(n).weight.grad.masked_fill(~m, 0).norm().item()
        for n, m in masks.items()
    ]
    return sum(n**2 for n in norms) ** 0.5


def norm_adding_up(model, images, labels, masks):
    F.cross_entropy(model(images), labels).backward()
    kept = [model.get_submodule(n).weight.grad[m] for n, m in masks.items()]
    return torch.cat(kept).norm().item()


def norm_after_a_step(model, images, labels, masks):
    found = norm_by_backward(model, images, labels, masks)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return found


def line(one, other, positions, images, labels):
    between, losses = copy.deepcopy(one), []
    with torch.no_grad():
        for t in positions:
            for p, a, b in zip(
                *(m.parameters() for m in (between, one, other)), strict=True
            ):
                p.copy_((1 - t) * a + t * b)
            losses.append(F.cross_entropy(between(images), labels).item())
    return losses


def line_by_vectors(one, other, positions, images, labels):
    to_vector = nn.utils.parameters_to_vector
    a, b = to_vector(one.parameters()), to_vector(other.parameters())
    between, losses = copy.deepcopy(one), []
    for t in positions:
        nn.utils.vector_to_parameters((a + t * (b - a)).detach(), between.parameters())
        losses.append(F.cross_entropy(between(images), labels).detach())
    return losses


def line_by_functional_call(one, other, positions, images, labels):
    a, b = one.state_dict(), other.state_dict()
    losses = []
    for t in positions:
        state = {name: torch.lerp(a[name], b[name], t) for name in a}
        scores = torch.func.functional_call(one, state, (images,))
        losses.append(F.cross_entropy(scores, labels).item())
    return losses


def line_on_the_first(one, other, positions, images, labels):
    """No copy: the first network is the mixture in the end."""
    state = copy.deepcopy(one.state_dict())
    losses = []
    for t in positions:
        other_state = other.state_dict()
        one.load_state_dict({n: torch.lerp(state[n], other_state[n], t) for n in state})
        losses.append(F.cross_entropy(one(images), labels).item())
    return losses


RIGHT = {
    "next_masks": [
        ("infinity", masks_by_infinity),
        ("a Python sort", masks_by_a_python_sort),
        ("topk", masks_by_topk),
    ],
    "lottery_round": [
        ("load_state_dict", play),
        ("parameters", play_by_parameters),
        ("a dictionary", play_by_a_dictionary),
        ("masked again", play_masked_again),
        ("trained apart", play_on_a_trained_copy),
    ],
    "aware_init": [
        ("clamped", init),
        ("where", init_by_where),
        ("rows", init_by_rows),
    ],
    "losses_between": [
        ("copied", line),
        ("vectors", line_by_vectors),
        ("functional", line_by_functional_call),
    ],
    "gradient_norm": [
        ("autograd.grad", norm),
        ("backward", norm_by_backward),
        ("a copy", norm_on_a_copy),
    ],
}

WRONG = {
    "next_masks": [
        (
            "no return",
            lambda model, masks, share: None,
            "the first round",
            "the result is None: is a return missing?",
        ),
        ("in place", masks_in_place, "the first round", "an operation in place"),
        ("network pruned", masks_pruning, "the first round", "an operation in place"),
        (
            "threshold",
            masks_by_threshold,
            "equal magnitudes",
            "a threshold cannot split",
        ),
    ],
    "lottery_round": [
        (
            "no return",
            play_without_return,
            "the masks",
            "the result is None: is a return missing?",
        ),
        ("new values", play_with_new_values, "weights rewound", None),
        ("a copy", play_on_a_copy, "weights rewound", "you change a copy"),
        ("trained twice", play_twice, "the masks", "the error comes from line"),
        ("trained again", play_and_train, "the masks", "the error comes from line"),
        (
            "dense start",
            play_from_the_dense_start,
            "zeros before training",
            "you rewind before train",
        ),
        (
            "shared tensors",
            play_sharing_all,
            "start kept",
            "you change start, which the next round needs",
        ),
    ],
    "aware_init": [
        ("in place", init_in_place, "two neurons", "an operation in place"),
    ],
    "gradient_norm": [
        ("a step", norm_after_a_step, "one layer", "an operation in place"),
        ("adding up", norm_adding_up, "twice the same", "backward() adds to .grad"),
    ],
    "losses_between": [
        ("first changed", line_on_the_first, "both ends", "an operation in place"),
    ],
}


class TestLab08(LabTests):
    lab, right, wrong = lab08, RIGHT, WRONG
