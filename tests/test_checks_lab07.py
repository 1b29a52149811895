"""Lab 07's checks, held against right and wrong answers."""

import copy
from itertools import pairwise

import torch
from answers import LabTests
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


def chain_as_a_wrong_set(model, names):
    return {((a, 0), (b, 0)) for a, b in pairwise(names)}


def chain_of_lists(model, names):
    return [[[*member] for member in link] for link in chain(model, names)]


def block(model, name, before, chain=chain):
    main = [before] + [f"{name}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")]
    shortcut = [f"{name}.shortcut.0", f"{name}.shortcut.1"]
    links = chain(model, main)
    if len(model.get_submodule(name).shortcut):
        links += chain(model, [before, *shortcut])
        return links + [((main[-1], 0), (shortcut[-1], 0))]
    return links + [((main[-1], 0), (before, 0))]


def block_by_ways(model, name, before):
    main = [f"{name}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")]
    layers = len(model.get_submodule(f"{name}.shortcut"))
    way = [before, *(f"{name}.shortcut.{i}" for i in range(layers))]
    added = ((main[-1], 0), (way[-1], 0))
    return [*chain(model, [before, *main]), *chain(model, way), added]


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


def only_block_2(model, name, before):
    return block(model, name, before if name == "block1" else "block1.bn2")


def block_with_extra(model, name, before):
    """One link too many, not written like the known mistake's."""
    extra = ((f"{name}.conv2", 1), (f"{name}.bn2", 0))
    return [*block(model, name, before), extra]


def groups(links):
    """By colours that spread until nothing changes."""
    colours = {member: i for i, member in enumerate({m for k in links for m in k})}
    for _ in colours:
        for one, other in links:
            colours[one] = colours[other] = min(colours[one], colours[other])
    return [{m for m, c in colours.items() if c == k} for k in {*colours.values()}]


def groups_by_walking(links):
    near = {}
    for one, other in links:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    found, seen = [], set()
    for start in near:
        if start in seen:
            continue
        way, group = [start], []
        while way:
            member = way.pop()
            if member not in seen:
                seen.add(member)
                group.append(member)
                way += near[member]
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


def squash(sets):
    """Each set joined to the first one that it meets."""
    made = []
    for members in sets:
        met = next((group for group in made if group & members), None)
        if met is None:
            made.append(set(members))
        else:
            met |= members
    return made


def groups_by_squashing(links):
    made = squash([set(link) for link in links])
    while (again := squash(made)) != made:
        made = again
    return made


def squashed(times):
    def answer(links):
        made = [set(link) for link in links]
        for _ in range(times):
            made = squash(made)
        return made

    return answer


def groups_of_last_two(links):
    return groups(links)[-2:]


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


def prune_convolutions(model, group, keep):
    linear = {("classifier", 1), ("fc2", 1)}
    return prune(model, group - linear, keep)


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


RIGHT = {
    "chain_links": [
        ("neighbours in pairs", chain),
        ("neighbours by number", chain_by_number),
        ("norms hang on their layer", chain_by_last_layer),
    ],
    "block_links": [
        ("two ways", block_by_ways),
        ("two cases", block),
        ("by hand", block_by_hand),
    ],
    "groups_of": [
        ("colours", groups),
        ("walking", groups_by_walking),
        ("merging", groups_by_merging),
        ("squashing until nothing changes", groups_by_squashing),
    ],
    "prune_group": [
        ("new parameters", prune),
        ("by data", prune_by_data),
        ("reported too", prune_and_report),
    ],
    "group_importance": [
        ("transposed", importance),
        ("channel by channel", importance_by_channel),
        ("norms squared", importance_by_norm),
    ],
}

EXTRA = "the channels between conv1 and conv2 are not added to anything"
FIXED_TIMES = "you merge a fixed number of times"

WRONG = {
    "chain_links": [
        ("text", lambda model, names: " ".join(names), "four layers", None),
        ("pairs of lists", chain_of_lists, "four layers", None),
        ("a set", chain_as_a_set, "four layers", "return a list of links, not a set"),
        ("a set of wrong links", chain_as_a_wrong_set, "four layers", None),
        ("members", lambda model, names: [(n, 0) for n in names], "four layers", None),
    ],
    "block_links": [
        ("only block 2", only_block_2, "block3", None),
        ("a direct link between both ways", block_with_extra, "block1", EXTRA),
    ],
    "groups_of": [
        ("twice squashed", squashed(2), "a shuffled chain", FIXED_TIMES),
        ("three times", squashed(3), "a longer chain", FIXED_TIMES),
        ("two groups", groups_of_last_two, "three groups", None),
        ("a number", lambda links: len(groups(links)), "three groups", None),
    ],
    "prune_group": [
        ("no linear layers", prune_convolutions, "layers with a bias", None),
    ],
}


class TestLab07(LabTests):
    lab, right, wrong = lab07, RIGHT, WRONG


def message_on(function, answer):
    return lab07.EXERCISES[function].run(answer, seed=0).message


def test_a_wrong_set_of_links_shows_what_is_missing_and_what_is_too_many():
    text = message_on("chain_links", lambda *args: chain(*args)[1:])
    assert "got       missing (backbone.conv0, 0)-(backbone.bn0, 0)" in text.replace(
        "{", ""
    )
    text = message_on("block_links", block_with_extra)
    assert "too many {(bn1, 0)-(block1.conv1, 0)}" in text


def test_wrong_groups_are_shown_whole():
    text = message_on("groups_of", squashed(2))
    assert "missing {{(a, 0), (b, 0), (c, 0)," in text and " ..." not in text


def test_a_message_keeps_its_lines_whole():
    wrongs = [(name, row[1]) for name, rows in WRONG.items() for row in rows]
    for name, answer in wrongs:
        lines = message_on(name, answer).splitlines()
        assert len(lines) <= 10 and max(map(len, lines)) <= 88
