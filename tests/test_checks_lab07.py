"""Lab 07's checks, held against right and wrong answers."""

import copy
from itertools import pairwise

import pytest
import torch
from answers import assert_complete, assert_fails, assert_passes, table
from torch import nn

from labcore.checks import lab07

NORM = ("weight", "bias", "running_mean", "running_var")


def is_norm(model, name):
    return isinstance(model.get_submodule(name), nn.BatchNorm2d)


def chain(model, names):
    return [((a, 0), (b, int(not is_norm(model, b)))) for a, b in pairwise(names)]


def chain_by_number(model, names):
    links = []
    for i in range(1, len(names)):
        axis = 0 if is_norm(model, names[i]) else 1
        links.append(((names[i], axis), (names[i - 1], 0)))
    return links


def chain_by_last_layer(model, names):
    """Other links, the same coupling: norms hang on the layer before them."""
    links, last = [], names[0]
    for name in names[1:]:
        if is_norm(model, name):
            links.append([(name, 0), (last, 0)])
        else:
            links.append([(last, 0), (name, 1)])
            last = name
    return links


def chain_as_a_set(model, names):
    return {*chain(model, names)}


def chain_by_index(axis):
    return lambda model, names: [((a, 0), (b, axis)) for a, b in pairwise(names)]


def chain_reversed(model, names):
    return [((a, 1), (b, 0)) for a, b in pairwise(names)]


def chain_of_layers(model, names):
    return chain(model, [name for name in names if not is_norm(model, name)])


def chain_by_name(model, names):
    return [((a, 0), (b, 0 if "bn" in b else 1)) for a, b in pairwise(names)]


def block(model, name, before, chain=chain):
    main = [before] + [f"{name}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")]
    shortcut = [f"{name}.shortcut.0", f"{name}.shortcut.1"]
    links = chain(model, main)
    if len(model.get_submodule(name).shortcut):
        links += chain(model, [before, *shortcut])
        return links + [((main[-1], 0), (shortcut[-1], 0))]
    return links + [((main[-1], 0), (before, 0))]


def block_by_roads(model, name, before):
    main = [f"{name}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")]
    layers = len(model.get_submodule(f"{name}.shortcut"))
    road = [before, *(f"{name}.shortcut.{i}" for i in range(layers))]
    added = ((main[-1], 0), (road[-1], 0))
    return [*chain(model, [before, *main]), *chain(model, road), added]


def block_by_hand(model, name, before):
    one, other = f"{name}.conv1", f"{name}.conv2"
    links = [
        ((before, 0), (one, 1)),
        ((one, 0), (f"{name}.bn1", 0)),
        ((one, 0), (other, 1)),
        ((other, 0), (f"{name}.bn2", 0)),
    ]
    if list(model.get_submodule(f"{name}.shortcut").children()):
        side, norm = f"{name}.shortcut.0", f"{name}.shortcut.1"
        return [*links, ((before, 0), (side, 1)), *hang(side, norm, other)]
    return [*links, ((other, 0), (before, 0))]


def hang(side, norm, other):
    return [((side, 0), (norm, 0)), ((side, 0), (other, 0))]


def without(spoiled):
    """The right links of a block but those that `spoiled` names."""

    def answer(model, name, before):
        return [
            link for link in block(model, name, before) if not spoiled(link, before)
        ]

    return answer


def is_addition(link, before):
    (one, axis), (other, side) = link
    return one.endswith("bn2") and one != before and (axis, side) == (0, 0)


def plain_addition(link, before):
    return is_addition(link, before) and link[1] == (before, 0)


def other_addition(link, before):
    return is_addition(link, before) and not plain_addition(link, before)


def of_shortcut(link, before):
    return any("shortcut" in name and name != before for name, _ in link)


def added_to_what_came_in(model, name, before):
    links = without(is_addition)(model, name, before)
    return [*links, ((f"{name}.bn2", 0), (before, 0))]


def always_plain(model, name, before):
    links = [link for link in block(model, name, before) if not of_shortcut(link, "")]
    return [*links, ((f"{name}.bn2", 0), (before, 0))]


def shortcut_without_norm(model, name, before):
    links = without(of_shortcut)(model, name, before)
    if len(model.get_submodule(name).shortcut):
        side = f"{name}.shortcut.0"
        return links + [((before, 0), (side, 1)), ((f"{name}.bn2", 0), (side, 0))]
    return links


def no_entrance(model, name, before):
    entrance = ((before, 0), (f"{name}.conv1", 1))
    return [link for link in block(model, name, before) if link != entrance]


def inner_too(model, name, before):
    links = block(model, name, before)
    return [*links, ((f"{name}.conv1", 0), (f"{name}.bn2", 0))]


def short_names(model, name, before):
    return [
        tuple((layer.removeprefix(f"{name}."), axis) for layer, axis in link)
        for link in block(model, name, before)
    ]


def only_block_2(model, name, before):
    return block(model, name, before if name == "block1" else "block1.bn2")


def groups(links):
    """By colours that spread until nothing changes."""
    colours = {member: i for i, member in enumerate({m for k in links for m in k})}
    for _ in colours:
        for one, other in links:
            colours[one] = colours[other] = min(colours[one], colours[other])
    return [{m for m, c in colours.items() if c == k} for k in {*colours.values()}]


def groups_by_union(links):
    made = []
    for link in links:
        apart = [group for group in made if not group & set(link)]
        touched = [group for group in made if group & set(link)]
        made = [*apart, set(link).union(*touched)]
    return made


def groups_by_walking(links):
    near = {}
    for one, other in links:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    found, seen = [], set()
    for start in near:
        if start in seen:
            continue
        road, group = [start], []
        while road:
            member = road.pop()
            if member not in seen:
                seen.add(member)
                group.append(member)
                road += near[member]
        found.append(group)
    return found


def groups_by_merging(links):
    made = [{*link} for link in links]
    for i in range(len(made)):
        for j in range(i):
            if made[i] & made[j]:
                made[i] |= made[j]
                made[j] = set()
    return [group for group in made if group]


def first_group_only(links):
    made = []
    for link in links:
        for group in made:
            if group & {*link}:
                group |= {*link}
                break
        else:
            made.append({*link})
    return made


def both_stay(links):
    made = []
    for link in links:
        touched = [group for group in made if group & {*link}]
        for group in touched:
            group |= {*link}
        if not touched:
            made.append({*link})
    return made


def one_step(links):
    near = {}
    for one, other in links:
        near.setdefault(one, {one}).add(other)
    return list(near.values())


def layers_for_members(links):
    joined = [*links]
    for name, axis in {member for link in links for member in link}:
        if axis == 1:
            joined.append(((name, 0), (name, 1)))
    real = {member for link in links for member in link}
    return [group & real for group in groups(joined)]


def emptying(links):
    made = groups(links)
    links.clear()
    return made


def prune(model, group, keep):
    model = copy.deepcopy(model)
    for name, axis in group:
        module = model.get_submodule(name)
        if axis == 1:
            module.weight = nn.Parameter(module.weight[:, keep])
            continue
        for key in NORM:
            values = getattr(module, key, None)
            if isinstance(values, nn.Parameter):
                setattr(module, key, nn.Parameter(values[keep]))
            elif values is not None:
                setattr(module, key, values[keep])
    return model


def prune_by_axis(model, group, keep):
    model = copy.deepcopy(model)
    for name, axis in group:
        layer = model.get_submodule(name)
        for tensor in [*layer.parameters(), *layer.buffers()]:
            if tensor.dim() > axis:
                tensor.data = tensor.data.index_select(axis, keep)
    return model


def prune_by_data(model, group, keep):
    made = copy.deepcopy(model)
    for name, axis in sorted(group):
        for values in made.get_submodule(name).state_dict(keep_vars=True).values():
            if values.dim() > axis:
                values.data = values.data[keep] if axis == 0 else values.data[:, keep]
    return made


def prune_and_report(model, group, keep):
    """The reported sizes follow too, which is allowed."""
    made = prune(model, group, keep)
    for name, axis in group:
        module = made.get_submodule(name)
        sizes = ("in_channels", "in_features") if axis else ("out_channels",)
        for size in sizes:
            if hasattr(module, size):
                setattr(module, size, len(keep))
    return made


def reindexed(change):
    def answer(model, group, keep):
        name, axis = next(iter(group))
        size = model.get_submodule(name).weight.shape[axis]
        return prune(model, group, change(keep, size))

    return answer


def the_others(keep, size):
    return torch.tensor([c for c in range(size) if c not in keep.tolist()])


def part_of(kept):
    """Prune only the members for which kept(module, axis) holds."""

    def answer(model, group, keep):
        chosen = {m for m in group if kept(model.get_submodule(m[0]), m[1])}
        return prune(model, chosen, keep)

    return answer


def rows_only(model, group, keep):
    return prune(model, {(name, 0) for name, _ in group}, keep)


def no_statistics(model, group, keep):
    made = prune(model, group, keep)
    for name, _ in group:
        old, new = model.get_submodule(name), made.get_submodule(name)
        if isinstance(old, nn.BatchNorm2d):
            new.running_mean, new.running_var = old.running_mean, old.running_var
    return made


def no_bias(model, group, keep):
    made = prune(model, group, keep)
    for name, axis in group:
        if isinstance(old := model.get_submodule(name), nn.Linear) and axis == 0:
            made.get_submodule(name).bias = nn.Parameter(old.bias.detach().clone())
    return made


def only_zeroed(model, group, keep):
    made = copy.deepcopy(model)
    for name, axis in group:
        module = made.get_submodule(name)
        for values in [*module.parameters(), *module.buffers()]:
            if values.dim() > axis:
                gone = the_others(keep, values.shape[axis])
                values.data.index_fill_(axis, gone, 0) if len(gone) else None
    return made


def learned_statistics(model, group, keep):
    made = prune(model, group, keep)
    for name, _ in group:
        module = made.get_submodule(name)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = nn.Parameter(module.running_mean)
            module.running_var = nn.Parameter(module.running_var)
    return made


def in_place(model, group, keep):
    made = prune(model, group, keep)
    for name, child in made.named_children():
        setattr(model, name, child)
    return model


def frozen(model, group, keep):
    return prune(model, group, keep).requires_grad_(False)


def columns_of_convolutions_only(model, group, keep):
    kept = {m for m in group if m != ("classifier", 1) and m != ("fc2", 1)}
    return prune(model, kept, keep)


def importance(model, group):
    total = 0
    for name, axis in group:
        w = model.get_submodule(name).weight
        total = total + w.transpose(0, axis).reshape(w.shape[axis], -1).pow(2).sum(1)
    return total


def importance_by_channel(model, group):
    name, axis = next(iter(group))
    found = []
    for channel in range(model.get_submodule(name).weight.shape[axis]):
        parts = [model.get_submodule(n).weight.select(a, channel) for n, a in group]
        found.append(sum(part.square().sum().item() for part in parts))
    return torch.tensor(found)


def importance_by_norm(model, group):
    total = 0
    for name, axis in group:
        w = model.get_submodule(name).weight.detach()
        others = [d for d in range(w.dim()) if d != axis]
        norm = torch.linalg.vector_norm(w, dim=others) if others else w
        total = total + norm**2
    return total


def summed(part, kept=lambda module, axis: True, axis_of=lambda axis: axis):
    """Each member's slices by `part`, added up."""

    def answer(model, group):
        sums = []
        for name, axis in group:
            module = model.get_submodule(name)
            if kept(module, axis):
                axis = axis_of(axis) if module.weight.dim() > 1 else 0
                sums.append(torch.stack([part(w) for w in module.weight.unbind(axis)]))
        return sum(sums)

    return answer


def squares(w):
    return (w * w).sum()


def mean_over_members(model, group):
    return importance(model, group) / len(group)


def no_norm(module, axis):
    return not isinstance(module, nn.BatchNorm2d)


def groups_left_in(links, taken_out):
    made = []
    for link in links:
        touched = [group for group in made if group & set(link)]
        made = [group for group in made if group not in touched[:taken_out]]
        made.append(set(link).union(*touched))
    return made


def cut_some(model, group, keep, chosen):
    made = copy.deepcopy(model)
    for name, axis in group:
        for key, values in made.get_submodule(name).state_dict(keep_vars=True).items():
            if chosen(key) and values.dim() > axis:
                values.data = values.data.index_select(axis, keep)
    return made


def importance_with_biases(model, group):
    total = importance(model, group)
    for name, axis in group:
        bias = model.get_submodule(name).bias
        if axis == 0 and bias is not None:
            total = total + bias.detach() ** 2
    return total


RIGHT = {
    "chain_links": [
        ("the reference", chain),
        ("neighbours by number", chain_by_number),
        ("norms hang on their layer", chain_by_last_layer),
        ("a set", chain_as_a_set),
    ],
    "block_links": [
        ("the reference", block_by_roads),
        ("two cases", block),
        ("by hand", block_by_hand),
    ],
    "groups_of": [
        ("the reference", groups_by_union),
        ("colours", groups),
        ("walking", groups_by_walking),
        ("merging", groups_by_merging),
    ],
    "prune_group": [
        ("the reference", prune_by_axis),
        ("new parameters", prune),
        ("by data", prune_by_data),
        ("reported too", prune_and_report),
    ],
    "group_importance": [
        ("the reference", importance),
        ("channel by channel", importance_by_channel),
        ("norms squared", importance_by_norm),
    ],
}

FIRST = "four layers"
NO_RETURN = "the function ends without return"
STALE = "the network handed over is changed"

WRONG = {
    "chain_links": [
        ("no return", lambda model, names: None, FIRST, NO_RETURN),
        ("axis 1 always", chain_by_index(1), FIRST, "a BatchNorm has no columns"),
        ("axis 0 always", chain_by_index(0), FIRST, "a convolution or linear layer"),
        ("the wrong way", chain_reversed, FIRST, "that is the wrong way round"),
        ("no norms", chain_of_layers, FIRST, "the BatchNorms are missing"),
        ("one too few", lambda m, n: chain(m, n[:-1]), FIRST, "the link to the last"),
        ("the first only", lambda m, n: chain(m, n[:2]), FIRST, "only the first link"),
        ("by name", chain_by_name, "layers of a shortcut", "a name does not tell"),
        ("text", lambda m, n: " ".join(n), FIRST, None),
        ("lists", lambda m, n: [[*map(list, k)] for k in chain(m, n)], FIRST, None),
        (
            "first of axis 1",
            lambda m, n: [((a, 1), other) for (a, _), other in chain(m, n)],
            FIRST,
            "the first member of a link puts out",
        ),
        (
            "swapped",
            lambda m, n: [(one, (b, 1 - axis)) for one, (b, axis) in chain(m, n)],
            FIRST,
            "the axes are swapped",
        ),
        (
            "of the layer before",
            lambda m, n: [
                ((a, 0), (b, int(not is_norm(m, a)))) for a, b in pairwise(n)
            ],
            FIRST,
            "the axes are swapped",
        ),
        (
            "linear by rows",
            lambda m, n: [
                ((a, 0), (b, int(isinstance(m.get_submodule(b), nn.Conv2d))))
                for a, b in pairwise(n)
            ],
            "with the classifier",
            "a linear layer reads",
        ),
        ("members", lambda m, n: [(name, 0) for name in n], FIRST, None),
    ],
    "block_links": [
        ("no return", lambda m, b, before: None, "block1", NO_RETURN),
        ("no addition", without(is_addition), "block1", "the addition is missing"),
        ("layers alone", without(plain_addition), "block1", "the addition is missing"),
        (
            "plain alone",
            without(other_addition),
            "block2",
            "with layers in the shortcut, + adds what these put out: that",
        ),
        (
            "came in",
            added_to_what_came_in,
            "block2",
            "with layers in the shortcut, + adds what these put out, not",
        ),
        ("shortcut missing", always_plain, "block2", "the shortcut's layers"),
        (
            "never layers",
            without(of_shortcut),
            "block2",
            "a shortcut with layers is a chain",
        ),
        ("no norm", shortcut_without_norm, "block2", "the shortcut's BatchNorm"),
        ("no entrance", no_entrance, "block1", "conv1 of the block reads"),
        ("inner too", inner_too, "block1", "what is between conv1 and conv2"),
        (
            "added to columns",
            lambda m, b, before: [
                ((one, 0), (other, 1)) if is_addition(link, before) else link
                for link in block(m, b, before)
                for (one, _), (other, _) in [link]
            ],
            "block1",
            "+ adds what both ways put out",
        ),
        ("short names", short_names, "block1", "the names lack the block"),
        ("only block 2", only_block_2, "block3", None),
    ],
    "groups_of": [
        ("no return", lambda links: None, "three groups", NO_RETURN),
        ("links", lambda k: [{*link} for link in k], "three groups", "each link has"),
        (
            "all one",
            lambda k: [{member for link in k for member in link}],
            "three groups",
            "that is one group of everything",
        ),
        ("one step", one_step, "three groups", "a group goes on"),
        ("layers", layers_for_members, "three groups", "(c, 0) and (c, 1) are two"),
        (
            "first group",
            first_group_only,
            "a link that joins two groups",
            "a link can touch two groups, which then become one: you join",
        ),
        (
            "both stay",
            both_stay,
            "a link that joins two groups",
            "a link can touch two groups, which then become one: yours stay",
        ),
        ("emptying", emptying, "three groups", "the list is handed over for reading"),
        ("first link", lambda k: groups(k[:1]), "three groups", "only the first link"),
        (
            "repeated",
            lambda k: [group for group in groups(k) for _ in group],
            "three groups",
            "a group is there once for each",
        ),
        (
            "an empty one",
            lambda k: [set(), *groups(k)],
            "three groups",
            "an empty group",
        ),
        (
            "all left in",
            lambda k: groups_left_in(k, 0),
            "three groups",
            "the groups that a link touched",
        ),
        (
            "one left in",
            lambda k: groups_left_in(k, 1),
            "a link that joins two groups",
            "a link can touch two groups: you take only one",
        ),
    ],
    "prune_group": [
        ("no return", lambda m, g, k: None, "shapes", NO_RETURN),
        (
            "uncut",
            lambda m, g, k: copy.deepcopy(m),
            "shapes",
            "the network returned is the old one",
        ),
        ("no norm", part_of(no_norm), "shapes", "a BatchNorm keeps an entry"),
        (
            "weights alone",
            lambda m, g, k: cut_some(m, g, k, lambda n: n == "weight"),
            "shapes",
            "weight alone is cut",
        ),
        (
            "no bias at all",
            lambda m, g, k: cut_some(m, g, k, lambda n: n != "bias"),
            "shapes",
            "a BatchNorm has a bias",
        ),
        (
            "no columns",
            lambda m, g, k: prune_by_axis(m, {x for x in g if x[1] == 0}, k),
            "shapes",
            "members of axis 1 are as they were",
        ),
        ("no statistics", no_statistics, "shapes", "running_mean and running_var have"),
        ("rows only", rows_only, "shapes", "axis 1 means columns"),
        ("others", reindexed(the_others), "shapes", "keep lists what stays; you keep"),
        (
            "first",
            reindexed(lambda keep, size: torch.arange(len(keep))),
            "the channels that stay",
            "you keep the first",
        ),
        (
            "old order",
            reindexed(lambda keep, size: keep.sort().values),
            "another order",
            "the order counts",
        ),
        ("zeroed", only_zeroed, "shapes", "the channels are zero"),
        ("no bias", no_bias, "layers with a bias", "the bias has an entry"),
        ("learned", learned_statistics, "what is trained", "running_mean and"),
        ("frozen", frozen, "what is trained", "the parameters cannot be trained"),
        ("in place", in_place, "a copy", STALE),
        (
            "no classifier",
            columns_of_convolutions_only,
            "layers with a bias",
            None,
        ),
    ],
    "group_importance": [
        ("no return", lambda m, g: None, "two channels by hand", NO_RETURN),
        (
            "rows",
            summed(squares, axis_of=lambda axis: 0),
            "two channels by hand",
            "axis 1 means columns",
        ),
        (
            "one number",
            lambda m, g: importance(m, g).sum(),
            "two channels by hand",
            "that is one number for the whole group",
        ),
        (
            "no columns",
            summed(squares, kept=lambda module, axis: axis == 0),
            "two channels by hand",
            "the columns that read the channel",
        ),
        (
            "no rows",
            summed(squares, kept=lambda module, axis: axis == 1),
            "two channels by hand",
            "the rows that make the channel",
        ),
        (
            "no norms",
            summed(squares, kept=no_norm),
            "two channels by hand",
            "the weights of the BatchNorms",
        ),
        (
            "root",
            lambda m, g: importance(m, g).sqrt(),
            "two channels by hand",
            "no root is asked for",
        ),
        (
            "norms",
            summed(lambda w: w.norm()),
            "two channels by hand",
            "that adds up norms",
        ),
        (
            "magnitudes",
            summed(lambda w: w.abs().sum()),
            "two channels by hand",
            "that is the sum of magnitudes",
        ),
        (
            "plain sum",
            summed(lambda w: w.sum()),
            "two channels by hand",
            "that is a plain sum",
        ),
        (
            "square of the sum",
            summed(lambda w: w.sum() ** 2),
            "two channels by hand",
            "you add up first",
        ),
        (
            "normalised",
            lambda m, g: importance(m, g) / importance(m, g).mean(),
            "two channels by hand",
            "no division by the mean",
        ),
        ("biases", importance_with_biases, "a chain", "the biases are in it"),
        (
            "means",
            summed(lambda w: (w * w).mean()),
            "two channels by hand",
            "that is a mean of squares",
        ),
        (
            "mean over members",
            mean_over_members,
            "two channels by hand",
            "that is the mean over the members",
        ),
        (
            "double",
            lambda m, g: importance(m, g).double(),
            "two channels by hand",
            "right, but in float64",
        ),
    ],
}


@table(RIGHT)
def test_right_answers_pass(exercise, answer):
    assert_passes(lab07.EXERCISES[exercise], answer)


@table(WRONG)
def test_wrong_answers_fail_at_their_step(exercise, answer, title, likely):
    assert_fails(lab07.EXERCISES[exercise], answer, title, likely)


def test_every_exercise_has_its_rows():
    assert_complete(lab07.EXERCISES, RIGHT, WRONG)


def test_the_points_are_twenty():
    assert sum(e.points for e in lab07.EXERCISES.values()) == 20


@pytest.mark.parametrize("name", lab07.EXERCISES)
def test_a_stub_is_todo(name):
    def stub(*args):
        raise NotImplementedError("exercise not done yet")

    assert lab07.EXERCISES[name].run(stub).status == "todo"
