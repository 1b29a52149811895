"""Lab 08's checks, held against right and wrong answers."""

import copy

import torch
from answers import assert_complete, assert_fails, assert_passes, table
from torch import nn
from torch.nn import functional as F

from labcore.checks import lab08
from labcore.checks.lab08.rehearsal import MaskedTraining


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


def masks_by_an_index(model, masks, share):
    sizes = torch.cat([weight(model, n).abs()[m] for n, m in masks.items()])
    limit = sizes.sort().values[round(share * len(sizes)) - 1]
    return {n: m & (weight(model, n).abs() > limit) for n, m in masks.items()}


def masks_mapped(change):
    def answer(model, masks, share):
        right = masks_by_infinity(model, masks, share)
        return {name: change(mask) for name, mask in right.items()}

    return answer


def masks_ranked(rank, count=None):
    """All weights ranked by `rank(weight, mask)`; `count` says how many go."""

    def answer(model, masks, share):
        ranks = [rank(weight(model, name), mask) for name, mask in masks.items()]
        flat = torch.cat([r.flatten() for r in ranks])
        stays = torch.cat([mask.flatten() for mask in masks.values()])
        kept = stays.sum().item()
        go = round(share * kept) if count is None else count(share, kept, len(stays))
        stays[flat.argsort(stable=True)[:go]] = False
        parts = stays.split([r.numel() for r in ranks])
        names = zip(masks.items(), parts, strict=True)
        return {name: part.view(mask.shape) for (name, mask), part in names}

    return answer


def last(mask, values):
    return values.masked_fill(~mask, torch.inf)


def masks_threshold(model, masks, share):
    sizes = torch.cat([weight(model, n).abs()[m] for n, m in masks.items()])
    go = round(share * len(sizes))
    limit = sizes.sort().values[go - 1] if go else -1
    return {n: m & (weight(model, n).abs() > limit) for n, m in masks.items()}


def masks_layer_by_layer(model, masks, share):
    new = {}
    for name, mask in masks.items():
        new.update(masks_by_infinity(model, {name: mask}, share))
    return new


def masks_forgotten(model, masks, share):
    new = masks_by_infinity(model, masks, share)
    return {name: mask | ~masks[name] for name, mask in new.items()}


def masks_by_values(model, masks, share):
    kept = {name: weight(model, name) != 0 for name in masks}
    return masks_by_infinity(model, kept, share)


def masks_in_place(model, masks, share):
    for name, new in masks_by_infinity(model, masks, share).items():
        masks[name].copy_(new)
    return masks


def masks_pruning(model, masks, share):
    new = masks_by_infinity(model, masks, share)
    for name, mask in new.items():
        weight(model, name)[~mask] = 0
    return new


def masks_with_other_keys(model, masks, share):
    new = masks_by_infinity(model, masks, share)
    return {f"{name}.weight": mask for name, mask in new.items()}


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


def playing(back, rank=masks_by_infinity):
    def answer(model, start, masks, train, share=0.2):
        train(model, masks)
        new = rank(model, masks, share)
        back(model, start, new)
        return new

    return answer


def play_pruning_first(model, start, masks, train, share=0.2):
    new = masks_by_infinity(model, masks, share)
    back_to(model, start, new)
    train(model, new)
    back_to(model, start, new)
    return new


def play_ranking_the_start(model, start, masks, train, share=0.2):
    train(model, masks)
    back_to(model, start, masks)
    new = masks_by_infinity(model, masks, share)
    back_to(model, start, new)
    return new


def play_returning(result):
    def answer(model, start, masks, train, share=0.2):
        return result(masks, play(model, start, masks, train, share))

    return answer


def play_with_old_zeros(model, start, masks, train, share=0.2):
    new = play(model, start, masks, train, share)
    back_to(model, start, masks)
    return new


def play_without_training(model, start, masks, train, share=0.2):
    return play(model, start, masks, lambda *_: None, share)


def play_after_a_training(model, start, masks, train, share=0.2):
    train(model, masks)
    return play(model, start, masks, train, share)


def play_training_twice(model, start, masks, train, share=0.2):
    new = play(model, start, masks, train, share)
    train(copy.deepcopy(model), new)
    return new


def only_zeros(model, start, masks):
    for name, mask in masks.items():
        weight(model, name).mul_(mask)


def no_zeros(model, start, masks):
    model.load_state_dict(start)


def weights_back(model, start, masks):
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            parameter.detach().copy_(start[name])
    only_zeros(model, start, masks)


def masked_layers_back(model, start, masks):
    for name, mask in masks.items():
        weight(model, name).copy_(start[f"{name}.weight"] * mask)


def start_masked(model, start, masks):
    for name, mask in masks.items():
        start[f"{name}.weight"][~mask] = 0
    model.load_state_dict(start)


def parameters_shared(model, start, masks):
    """The network's tensors are those of start: training changes both."""
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    only_zeros(model, start, masks)


def new_values(model, start, masks):
    for parameter in model.parameters():
        parameter.detach().fill_(0.5)
    only_zeros(model, start, masks)


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


def spread(deviation):
    def answer(noise, mask):
        return torch.nan_to_num(noise * deviation(mask.float()), 0, 0, 0) * mask

    return answer


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


def norm_of(measure, reduction="mean"):
    def answer(model, images, labels, masks):
        weights = [model.get_submodule(name).weight for name in masks]
        loss = F.cross_entropy(model(images), labels, reduction=reduction)
        gradients = torch.autograd.grad(loss, weights)
        pairs = zip(gradients, masks.values(), strict=True)
        return float(measure([g[m] for g, m in pairs]))

    return answer


def norm_of_all(model, images, labels, masks):
    everything = {name: mask | True for name, mask in masks.items()}
    return norm(model, images, labels, everything)


def norm_of_parameters(model, images, labels, masks):
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item()


def norm_after_softmax(model, images, labels, masks):
    model.zero_grad()
    F.cross_entropy(model(images).softmax(1), labels).backward()
    kept = [model.get_submodule(n).weight.grad[m] for n, m in masks.items()]
    return torch.cat(kept).norm().item()


def norm_of_weights(model, images, labels, masks):
    return torch.cat([weight(model, n)[m] for n, m in masks.items()]).norm().item()


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


def at_each(loss):
    @torch.no_grad()
    def answer(one, other, positions, images, labels):
        return [float(loss(one, other, t, images, labels)) for t in positions]

    return answer


def mixed(one, other, t, names=lambda name: True):
    made, a, b = copy.deepcopy(one), one.state_dict(), other.state_dict()
    made.load_state_dict(
        {n: (1 - t) * a[n] + t * b[n] if names(n) else a[n] for n in a}
    )
    return made


def line_on_the_first(one, other, positions, images, labels):
    """No copy: the first network is the mixture in the end."""
    state = copy.deepcopy(one.state_dict())
    losses = []
    for t in positions:
        other_state = other.state_dict()
        one.load_state_dict({n: torch.lerp(state[n], other_state[n], t) for n in state})
        losses.append(F.cross_entropy(one(images), labels).item())
    return losses


def line_drifting(one, other, positions, images, labels):
    between, losses = one, []
    for t in positions:
        between = mixed(between, other, t)
        losses.append(F.cross_entropy(between(images), labels).item())
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
    ],
    "aware_init": [
        ("clamped", init),
        ("where", init_by_where),
        ("rows", init_by_rows),
    ],
    "gradient_norm": [
        ("autograd.grad", norm),
        ("backward", norm_by_backward),
        ("a copy", norm_on_a_copy),
    ],
    "losses_between": [
        ("copied", line),
        ("vectors", line_by_vectors),
        ("functional", line_by_functional_call),
    ],
}

WRONG = {
    "next_masks": [
        (
            "upside down",
            masks_mapped(torch.logical_not),
            "the first round",
            "the masks are upside down",
        ),
        (
            "numbers",
            masks_mapped(torch.Tensor.float),
            "the first round",
            "the masks hold numbers",
        ),
        (
            "largest",
            masks_ranked(lambda w, m: last(m, 1 / w.abs())),
            "the first round",
            "the largest are gone",
        ),
        (
            "signs",
            masks_ranked(lambda w, m: last(m, w)),
            "the first round",
            "you rank the values",
        ),
        (
            "share of all",
            masks_ranked(
                lambda w, m: last(m, w.abs()), lambda s, kept, n: round(s * n)
            ),
            "a later round",
            "the share is of the weights still kept",
        ),
        (
            "zeros ranked",
            masks_ranked(lambda w, m: w.abs()),
            "a later round",
            "removed weights are ranked again",
        ),
        (
            "forgotten",
            masks_forgotten,
            "a later round",
            "what went in an earlier round comes back",
        ),
        (
            "layer by layer",
            masks_layer_by_layer,
            "two layers together",
            "you rank each layer alone",
        ),
        (
            "kept share",
            lambda model, masks, share: masks_by_infinity(model, masks, 1 - share),
            "the first round",
            "you keep the share that has to go",
        ),
        (
            "cut off",
            masks_ranked(
                lambda w, m: last(m, w.abs()), lambda s, kept, n: int(s * kept)
            ),
            "rounding",
            "int() cuts off",
        ),
        (
            "nonzero",
            masks_by_values,
            "a kept weight of zero",
            "a kept weight may be zero",
        ),
        (
            "threshold",
            masks_threshold,
            "equal magnitudes",
            "a threshold cannot split",
        ),
        (
            "threshold below the first",
            masks_by_an_index,
            "none and all",
            "if none has to go",
        ),
        (
            "flat",
            masks_mapped(torch.flatten),
            "the first round",
            "the shape is lost",
        ),
        (
            "fixed share",
            lambda model, masks, share: masks_by_infinity(model, masks, 0.2),
            "a later round",
            "share is an argument",
        ),
        ("in place", masks_in_place, "the first round", "an operation in place"),
        ("other keys", masks_with_other_keys, "the first round", "the keys are"),
        ("network pruned", masks_pruning, "the first round", "an operation in place"),
        (
            "no return",
            lambda model, masks, share: None,
            "the first round",
            "the function ends without return",
        ),
    ],
    "lottery_round": [
        (
            "pruned first",
            play_pruning_first,
            "the masks",
            "you rank the weights of the start",
        ),
        (
            "start ranked",
            play_ranking_the_start,
            "the masks",
            "you rank the weights of the start",
        ),
        (
            "old returned",
            play_returning(lambda old, new: old),
            "the masks",
            "return the new masks",
        ),
        (
            "no return",
            play_returning(lambda old, new: None),
            "the masks",
            "the function ends without return",
        ),
        ("no training", play_without_training, "the masks", "train is never called"),
        (
            "two trainings",
            play_training_twice,
            "the masks",
            "a round trains once, at its beginning",
        ),
        (
            "trained before",
            play_after_a_training,
            "the masks",
            "a round trains once; yours trains again",
        ),
        (
            "all of it in a copy",
            lambda model, *rest: play(copy.deepcopy(model), *rest),
            "weights rewound",
            "the zeros are the old masks': use the new, on the network and not",
        ),
        (
            "not rewound",
            playing(only_zeros),
            "weights rewound",
            "the weights are the trained ones",
        ),
        (
            "no zeros",
            playing(no_zeros),
            "weights rewound",
            "the removed weights are back",
        ),
        (
            "old zeros",
            play_with_old_zeros,
            "weights rewound",
            "the zeros are the old masks'",
        ),
        ("new values", playing(new_values), "weights rewound", None),
        (
            "a copy",
            playing(lambda model, *rest: back_to(copy.deepcopy(model), *rest)),
            "weights rewound",
            "the network handed over is still trained",
        ),
        (
            "fixed share",
            playing(back_to, lambda m, masks, share: masks_by_infinity(m, masks, 0.2)),
            "the masks",
            "share is an argument",
        ),
        (
            "weights only",
            playing(weights_back),
            "biases rewound",
            "only the weights are rewound",
        ),
        (
            "masked layers only",
            playing(masked_layers_back),
            "weights rewound",
            "only the masked layers are rewound",
        ),
        (
            "start changed",
            playing(start_masked),
            "start kept",
            "start is changed, and the next round needs it",
        ),
        (
            "shared",
            playing(parameters_shared),
            "start kept",
            "start is changed, and the next round needs it",
        ),
        (
            "own masks changed",
            playing(back_to, masks_in_place),
            "start kept",
            "the old masks are changed",
        ),
    ],
    "aware_init": [
        (
            "dense",
            spread(lambda m: (2 / m.shape[1]) ** 0.5),
            "two neurons",
            "that is He's rule with all inputs",
        ),
        (
            "not masked",
            lambda noise, mask: noise * (2 / mask.sum(1, keepdim=True)).sqrt(),
            "two neurons",
            "the removed weights have to be zero",
        ),
        (
            "layer",
            spread(lambda m: (2 * len(m) / m.sum()).sqrt()),
            "two neurons",
            "that is one fan-in for the whole layer",
        ),
        (
            "columns",
            spread(lambda m: (2 / m.sum(0)).sqrt()),
            "two neurons",
            "you count columns",
        ),
        (
            "all of it",
            spread(lambda m: (2 / m.sum()).sqrt()),
            "two neurons",
            "you count all of the mask",
        ),
        (
            "what is gone",
            lambda noise, mask: (
                noise * mask * (2 / (~mask).sum(1, keepdim=True).clamp(min=1)).sqrt()
            ),
            "two neurons",
            "you count the inputs that are gone",
        ),
        (
            "variance",
            spread(lambda m: 2 / m.sum(1, keepdim=True)),
            "two neurons",
            "2 / fan-in is the variance",
        ),
        (
            "no 2",
            spread(lambda m: m.sum(1, keepdim=True) ** -0.5),
            "two neurons",
            "the 2 is missing",
        ),
        (
            "nan",
            lambda noise, mask: noise * mask * (2 / mask.sum(1, keepdim=True)).sqrt(),
            "a neuron without inputs",
            "you divide by 0",
        ),
        ("in place", init_in_place, "two neurons", "an operation in place"),
    ],
    "gradient_norm": [
        ("all entries", norm_of_all, "kept weights", "removed weights have a gradient"),
        ("all parameters", norm_of_parameters, "one layer", "all parameters count"),
        (
            "sum of norms",
            norm_of(lambda parts: sum(p.norm() for p in parts)),
            "two layers",
            "that is the sum of the layers' norms",
        ),
        (
            "squared",
            norm_of(lambda parts: torch.cat(parts).pow(2).sum()),
            "one layer",
            "the root is missing",
        ),
        (
            "magnitudes",
            norm_of(lambda parts: torch.cat(parts).abs().sum()),
            "one layer",
            "that is the sum of magnitudes",
        ),
        (
            "summed loss",
            norm_of(lambda parts: torch.cat(parts).norm(), "sum"),
            "one layer",
            "the loss is the mean over the images",
        ),
        ("softmax", norm_after_softmax, "one layer", "cross_entropy takes the scores"),
        ("weights", norm_of_weights, "one layer", "that is the norm of the weights"),
        (
            "last",
            norm_of(lambda parts: parts[-1].norm()),
            "two layers",
            "that keeps only the last layer",
        ),
        (
            "first",
            norm_of(lambda parts: parts[0].norm()),
            "two layers",
            "that keeps only the first layer",
        ),
        ("adding up", norm_adding_up, "twice the same", "backward() adds to .grad"),
        ("a step", norm_after_a_step, "one layer", "an operation in place"),
    ],
    "losses_between": [
        (
            "wrong way",
            at_each(
                lambda one, other, t, x, y: F.cross_entropy(mixed(other, one, t)(x), y)
            ),
            "both ends",
            "position 0 is the first network",
        ),
        (
            "losses",
            at_each(
                lambda one, other, t, x, y: (
                    (1 - t) * F.cross_entropy(one(x), y)
                    + t * F.cross_entropy(other(x), y)
                )
            ),
            "half way",
            "you mix the two losses",
        ),
        (
            "scores",
            at_each(
                lambda one, other, t, x, y: F.cross_entropy(
                    (1 - t) * one(x) + t * other(x), y
                )
            ),
            "half way",
            "you mix the scores of both networks",
        ),
        (
            "biases",
            at_each(
                lambda one, other, t, x, y: F.cross_entropy(
                    mixed(one, other, t, lambda n: n.endswith("weight"))(x), y
                )
            ),
            "both ends",
            "the biases have to be mixed",
        ),
        (
            "drifting",
            line_drifting,
            "five positions",
            "each position starts from the two ends",
        ),
        (
            "sum",
            at_each(
                lambda one, other, t, x, y: F.cross_entropy(
                    mixed(one, other, t)(x), y, reduction="sum"
                )
            ),
            "both ends",
            "that is the sum over the images",
        ),
        (
            "errors",
            at_each(
                lambda one, other, t, x, y: (
                    (mixed(one, other, t)(x).argmax(1) != y).float().mean()
                )
            ),
            "both ends",
            "that is the share of wrong answers",
        ),
        (
            "accuracy",
            at_each(
                lambda one, other, t, x, y: (
                    (mixed(one, other, t)(x).argmax(1) == y).float().mean()
                )
            ),
            "both ends",
            "that is the accuracy",
        ),
        (
            "never changed",
            at_each(lambda one, other, t, x, y: F.cross_entropy(one(x), y)),
            "both ends",
            "that is the first network at each position",
        ),
        (
            "one position",
            lambda one, other, positions, x, y: line(one, other, positions[:1], x, y),
            "both ends",
            "only the first position is there",
        ),
        ("first changed", line_on_the_first, "both ends", "an operation in place"),
    ],
}


@table(RIGHT)
def test_right_answers_pass(exercise, answer):
    assert_passes(lab08.EXERCISES[exercise], answer)


@table(WRONG)
def test_wrong_answers_fail_where_they_should(exercise, answer, title, likely):
    assert_fails(lab08.EXERCISES[exercise], answer, title, likely)


def test_every_exercise_has_rows_enough():
    assert_complete(lab08.EXERCISES, RIGHT, WRONG)


def test_the_points_of_the_lab_are_twenty():
    assert sum(exercise.points for exercise in lab08.EXERCISES.values()) == 20


def test_a_lent_round_uses_the_students_network_and_start():
    model = nn.Sequential(nn.Linear(4, 3))
    start = copy.deepcopy(model.state_dict())
    masks = {"0": torch.ones(3, 4, dtype=torch.bool)}
    round_ = lab08.EXERCISES["lottery_round"].spec
    made = round_(model, start, masks, MaskedTraining(), share=0.25)
    assert made["0"].sum() == 9 and masks["0"].all()
    assert torch.equal(model[0].weight, start["0.weight"] * made["0"])
