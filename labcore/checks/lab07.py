"""Checks of Lab 07, dependency graphs: which channels have to go together.

A member (name, axis) is one side of a layer: axis 0 its rows, or a BatchNorm's entries;
axis 1 its columns. A link is two members that must keep the same channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import NO_RETURN, clone, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.returned import drawn, input_afterwards, numbers, of_network
from labcore.checks.engine.trial import Trial
from labcore.nets import MLP, VGG, ResidualBlock, ResNet8

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Member = tuple[str, int]
Link = tuple[Member, Member]


def _is_norm(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), nn.BatchNorm2d)


# 7.1 to 7.3: networks with linked channels, and how to compare their links


def _resnet() -> ResNet8:
    return ResNet8(width=2, classes=3)


def _coupled(answer: Callable, *args) -> dict:
    """what your links couple with each member"""
    before = clone(args[1:])
    made = answer(*args)
    try:
        made = [(one, other) for one, other in made]
        links = [(_member(one), _member(other)) for one, other in made]
    except Exception:
        return {"result": show(made)}
    if not all(isinstance(member, tuple) for link in made for member in link):
        return {"result": "pairs of lists; a member is a tuple, as a set needs it"}
    if not same(before, args[1:]):
        return {"result": "links, but an argument is changed"}
    others = {}
    for group in groups_of(links):
        for member in sorted(group):
            others[_text(member)] = [_text(m) for m in sorted(group - {member})]
    kind = "pairs ((name, axis), (name, axis))"
    return {"result": kind} | dict(sorted(others.items()))


def _member(value) -> Member:
    name, axis = value
    if not isinstance(name, str) or axis not in (0, 1):
        raise ValueError("a member is (name, 0) or (name, 1)")
    return name, int(axis)


def _text(member: Member) -> str:
    return f"({member[0]}, {member[1]})"


# 7.4 and 7.5: networks and their groups


def _vgg(ask: Trial) -> VGG:
    return drawn(VGG(in_channels=1, classes=3, channels=(3, 4)), ask.rng)


def _perceptron(ask: Trial) -> MLP:
    return drawn(MLP(5, (4, 3), 2), ask.rng)


def _wide_resnet(ask: Trial) -> ResNet8:
    return drawn(ResNet8(width=4, classes=3), ask.rng)


CHAIN = {("backbone.conv0", 0), ("backbone.bn0", 0), ("backbone.conv1", 1)}
PERCEPTRON = {("fc1", 0), ("fc2", 1)}
ENTRANCE = {
    ("conv1", 0),
    ("bn1", 0),
    ("block1.conv1", 1),
    ("block1.conv2", 0),
    ("block1.bn2", 0),
    ("block2.conv1", 1),
    ("block2.shortcut.0", 1),
}
EXIT = {
    ("block3.conv2", 0),
    ("block3.bn2", 0),
    ("block3.shortcut.0", 0),
    ("block3.shortcut.1", 0),
    ("classifier", 1),
}


@lab.exercise("7.1", points={"idea": 2, "any chain": 1})
def chain_links(model: nn.Module, names: list[str]) -> list[Link]:
    links = []
    for name, following in pairwise(names):
        is_norm = isinstance(model.get_submodule(following), nn.BatchNorm2d)
        links.append(((name, 0), (following, 0 if is_norm else 1)))
    return links


FOUR_LAYERS = ["backbone.conv0", "backbone.bn0", "backbone.conv1", "backbone.bn1"]


def _two_convolutions() -> VGG:
    return VGG(in_channels=1, classes=3, channels=(2, 3))


@lab.step("idea", "four layers")
def _(ask: Trial) -> None:
    ask.through(_coupled, _two_convolutions(), FOUR_LAYERS)


@lab.step("idea", "with the classifier")
def _(ask: Trial) -> None:
    ask.through(_coupled, _two_convolutions(), [*FOUR_LAYERS, "classifier"])


@lab.step("any chain", "layers of a shortcut")
def _(ask: Trial) -> None:
    names = ["block1.bn2", "block2.shortcut.0", "block2.shortcut.1"]
    ask.through(_coupled, _resnet(), names)


@lab.step("any chain", "other chains")
def _(ask: Trial) -> None:
    for names in (
        ["block2.bn2", "block3.conv1", "block3.bn1", "block3.conv2", "block3.bn2"],
        ["block3.shortcut.1", "classifier"],
        ["conv1", "bn1"],
        ["classifier"],
    ):
        ask.through(_coupled, _resnet(), names)
    ask.through(_coupled, MLP(4, (3, 3), 2), ["fc1", "fc2", "fc3"])


def _reading(axis_of: Callable[[nn.Module, str], int]) -> Callable:
    """Links whose second member has the axis `axis_of(model, name)`."""

    def mistaken(model: nn.Module, names: list[str]) -> list[Link]:
        return [
            (one, (name, axis_of(model, name)))
            for one, (name, _) in chain_links(model, names)
        ]

    return mistaken


lab.mistake(NO_RETURN, lambda model, names: None)
lab.mistake(
    "a BatchNorm has no columns: its entries lie on axis 0",
    _reading(lambda model, name: 1),
)
lab.mistake(
    "a convolution or linear layer reads by its columns: axis 1",
    _reading(lambda model, name: 0),
)


@lab.mistake("that is the wrong way round: axis 0 puts out, axis 1 reads")
def _(model, names):
    return [((one, 1), (other, 0)) for one, other in pairwise(names)]


@lab.mistake("the first member of a link puts out, so its axis is 0")
def _(model, names):
    return [((name, 1), other) for (name, _), other in chain_links(model, names)]


lab.mistake(
    "the axes are swapped: if the second layer is a BatchNorm its axis is 0",
    _reading(lambda model, name: 1 if _is_norm(model, name) else 0),
)
lab.mistake(
    "a linear layer reads by its columns, too: axis 1",
    _reading(lambda model, name: int(isinstance(model.get_submodule(name), nn.Conv2d))),
)


@lab.mistake("the BatchNorms are missing: they keep an entry for each channel")
def _(model, names):
    return chain_links(model, [n for n in names if not _is_norm(model, n)])


lab.mistake(
    "the link to the last layer is missing",
    lambda model, names: chain_links(model, names[:-1]),
)
lab.mistake(
    "only the first link is there; return after the loop",
    lambda model, names: chain_links(model, names[:2]),
)
lab.mistake(
    "a name does not tell a BatchNorm: shortcut.1 is one; ask isinstance()",
    _reading(lambda model, name: 0 if "bn" in name else 1),
    help="`block2.shortcut.1` is one, and has no `bn` in its name. Ask the module what "
    "it is.",
)


@lab.exercise("7.2", points={"plain shortcut": 2, "shortcut with layers": 3})
def block_links(model: nn.Module, block: str, before: str) -> list[Link]:
    main = [f"{block}.{name}" for name in ("conv1", "bn1", "conv2", "bn2")]
    layers = len(model.get_submodule(f"{block}.shortcut"))
    road = [before, *(f"{block}.shortcut.{i}" for i in range(layers))]
    added = ((main[-1], 0), (road[-1], 0))
    return [*chain_links(model, [before, *main]), *chain_links(model, road), added]


@lab.step("plain shortcut", "block1")
def _(ask: Trial) -> None:
    ask.through(_coupled, _resnet(), "block1", "bn1")


@lab.step("shortcut with layers", "block2")
def _(ask: Trial) -> None:
    ask.through(_coupled, _resnet(), "block2", "block1.bn2")


@lab.step("shortcut with layers", "block3")
def _(ask: Trial) -> None:
    ask.through(_coupled, _resnet(), "block3", "block2.bn2")


@lab.step("shortcut with layers", "other blocks")
def _(ask: Trial) -> None:
    """Blocks whose shortcuts differ from those of the course's network."""
    model = _resnet()
    model.block1 = ResidualBlock(2, 2, stride=2)
    model.block2 = ResidualBlock(2, 2, stride=1)
    ask.through(_coupled, model, "block1", "bn1")
    ask.through(_coupled, model, "block2", "block1.bn2")
    ask.through(_coupled, model, "block2", "block1.shortcut.1")


def _main_road(model: nn.Module, block: str, before: str) -> list[Link]:
    """The four links from `before` to the block's second BatchNorm."""
    return block_links(model, block, before)[:4]


def _is_plain(model: nn.Module, block: str) -> bool:
    return len(model.get_submodule(f"{block}.shortcut")) == 0


lab.mistake(NO_RETURN, lambda model, block, before: None)
lab.mistake(
    "the addition is missing: both sides of + need the same channels",
    lambda model, block, before: block_links(model, block, before)[:-1],
    help='`((f"{block}.bn2", 0), (..., 0))`: with the shortcut\'s last layer, or with '
    "`before` where the shortcut has none.",
)


@lab.mistake(
    "with layers in the shortcut, + adds what these put out: that link is missing"
)
def _(model, block, before):
    *others, added = block_links(model, block, before)
    return [*others, added] if _is_plain(model, block) else others


@lab.mistake("with layers in the shortcut, + adds what these put out, not what came in")
def _(model, block, before):
    *others, (main, _) = block_links(model, block, before)
    return [*others, (main, (before, 0))]


@lab.mistake("a shortcut with layers is a chain from `before`, and + adds its last one")
def _(model, block, before):
    if _is_plain(model, block):
        return block_links(model, block, before)
    return _main_road(model, block, before)


@lab.mistake("+ adds what both ways put out: axis 0 on either side")
def _(model, block, before):
    *others, (main, (last, _)) = block_links(model, block, before)
    return [*others, (main, (last, 1))]


@lab.mistake("the shortcut's layers are missing")
def _(model, block, before):
    added = ((f"{block}.bn2", 0), (before, 0))
    return [*_main_road(model, block, before), added]


@lab.mistake("the shortcut's BatchNorm is missing")
def _(model, block, before):
    if _is_plain(model, block):
        return block_links(model, block, before)
    convolution = f"{block}.shortcut.0"
    read = ((before, 0), (convolution, 1))
    added = ((f"{block}.bn2", 0), (convolution, 0))
    return [*_main_road(model, block, before), read, added]


lab.mistake(
    "conv1 of the block reads what comes out of `before`: that link is missing",
    lambda model, block, before: block_links(model, block, before)[1:],
)


@lab.mistake(
    "what is between conv1 and conv2 is not added to anything: it is free",
    help="The output of `conv1` meets nothing but `conv2`. That is the chain's rule, "
    "and no other link.",
)
def _(model, block, before):
    links = block_links(model, block, before)
    _, end = links[-1]
    return [*links, ((f"{block}.conv1", 0), end)]


@lab.mistake("the names lack the block: 'block1.conv1' is not 'conv1'")
def _(model, block, before):
    return [
        tuple((name.removeprefix(f"{block}."), axis) for name, axis in link)
        for link in block_links(model, block, before)
    ]


@lab.exercise("7.3", points={"idea": 2, "any order": 3})
def groups_of(links: list[Link]) -> list[set[Member]]:
    groups: list[set[Member]] = []
    for link in links:
        apart = [group for group in groups if not group & {*link}]
        touched = [group for group in groups if group & {*link}]
        groups = [*apart, set(link).union(*touched)]
    return groups


def _partition(answer: Callable, links: list[Link]) -> dict:
    """the groups, each with its members in order"""
    before = clone(links)
    made = answer(links)
    if not same(before, links):
        return {"result": "groups, but the list of links is changed"}
    try:
        groups = [[_member(member) for member in group] for group in made]
    except Exception:
        return {"result": show(made)}
    listed = sorted(sorted(map(_text, group)) for group in groups)
    return {"result": "sets of members (name, axis)", "groups": listed}


def _asked(pairs: str) -> Callable[[Trial], None]:
    """A step on links written short: "a0-b1" links ("a", 0) with ("b", 1)."""
    links = [
        tuple((name, int(axis)) for name, axis in pair.split("-"))
        for pair in pairs.split()
    ]
    return lambda ask: ask.through(_partition, links)


lab.step("idea", "three groups", _asked("a0-b0 a0-c1 b0-e0 c0-d1 f0-g0"))
lab.step("idea", "four in a row", _asked("a0-b0 b0-c0 c0-d1"))
lab.step("any order", "a link that joins two groups", _asked("a0-b0 c0-d1 b0-c0"))
lab.step("any order", "a ring and a link twice", _asked("a0-b0 b0-c0 c0-a0 b0-a0"))
lab.step("any order", "no links", _asked(""))


@lab.step("any order", "a whole network")
def _(ask: Trial) -> None:
    model = _resnet()
    links = chain_links(model, ["conv1", "bn1"])
    links += block_links(model, "block1", "bn1")
    links += block_links(model, "block2", "block1.bn2")
    links += block_links(model, "block3", "block2.bn2")
    links += chain_links(model, ["block3.bn2", "classifier"])
    order = torch.randperm(len(links), generator=ask.rng).tolist()
    ask.through(_partition, [links[i] for i in order])


@lab.step("any order", "random links")
def _(ask: Trial) -> None:
    members = [(name, axis) for name in "abcdefgh" for axis in (0, 1)]
    for _ in range(6):
        picked = torch.randint(0, len(members), (9, 2), generator=ask.rng).tolist()
        links = [(members[i], members[j]) for i, j in picked if i != j]
        ask.through(_partition, links)


lab.mistake(NO_RETURN, lambda links: None)
lab.mistake(
    "each link has become a group; links that share a member belong together",
    lambda links: [{*link} for link in links],
)
lab.mistake(
    "that is one group of everything; what no link joins stays apart",
    lambda links: [{member for link in links for member in link}],
)


@lab.mistake("a group goes on as far as links lead, not just one step")
def _(links):
    found = {}
    for one, other in links:
        found.setdefault(one, {one}).add(other)
    return [*found.values()]


@lab.mistake("(c, 0) and (c, 1) are two members: a layer's rows and columns differ")
def _(links):
    members = {member for link in links for member in link}
    sides = [((name, 0), (name, 1)) for name, axis in members if axis == 1]
    return [group & members for group in groups_of([*links, *sides])]


lab.mistake(
    "only the first link is looked at; return after the loop",
    lambda links: groups_of(links[:1]),
)
lab.mistake(
    "a group is there once for each member; list it once",
    lambda links: [group for group in groups_of(links) for _ in group],
)
lab.mistake(
    "an empty group is there, too; begin with an empty list",
    lambda links: [set(), *groups_of(links)],
)
lab.mistake(
    "the list is handed over for reading: loop over it, without pop()",
    lambda links: links.clear() or [],
)


TWO_GROUPS_HELP = (
    "Adding the link to the first group that fits leaves the second one standing, with "
    "a member of its own in it."
)


def _joined(links: list[Link], taken_out: int) -> list[set[Member]]:
    """Joins what a link touches, but takes only so many groups out of the list."""
    groups: list[set[Member]] = []
    for link in links:
        touched = [group for group in groups if group & {*link}]
        for group in touched[:taken_out]:
            groups.remove(group)
        groups.append(set(link).union(*touched))
    return groups


lab.mistake(
    "the groups that a link touched are still there: take them out",
    lambda links: _joined(links, taken_out=0),
)
lab.mistake(
    "a link can touch two groups: you take only one of them out",
    lambda links: _joined(links, taken_out=1),
    help=TWO_GROUPS_HELP,
)


@lab.mistake(
    "a link can touch two groups, which then become one: you join the first only",
    help=TWO_GROUPS_HELP,
)
def _(links):
    groups = []
    for link in links:
        for group in groups:
            if group & {*link}:
                group.update(link)
                break
        else:
            groups.append({*link})
    return groups


@lab.mistake(
    "a link can touch two groups, which then become one: yours stay two",
    help=TWO_GROUPS_HELP,
)
def _(links):
    groups = []
    for link in links:
        touched = [group for group in groups if group & {*link}]
        for group in touched:
            group.update(link)
        groups += [] if touched else [{*link}]
    return groups


@lab.exercise("7.4", points={"a chain": 2, "any group": 2})
def prune_group(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
    model = copy.deepcopy(model)
    for name, axis in group:
        module = model.get_submodule(name)
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.dim() > axis:
                tensor.data = tensor.data.index_select(axis, keep)
    return model


@of_network
def _shapes(made):
    """the shapes in the new network"""
    state = made.state_dict()
    zeros = any(bool((v == 0).any()) for v in state.values() if v.dim() > 0)
    shapes = {name: str(tuple(values.shape)) for name, values in state.items()}
    return shapes | {"zeros": zeros}


@of_network
def _trained(made):
    """what the new network trains"""
    trained = {n for n, p in made.named_parameters() if p.requires_grad}
    names = made.state_dict()
    return {name: "trained" if name in trained else "not trained" for name in names}


OUTER_TWO = torch.tensor([0, 2])


@lab.step("a chain", "shapes")
def _(ask: Trial) -> None:
    ask.through(_shapes, _vgg(ask), CHAIN, OUTER_TWO)


@lab.step("a chain", "the channels that stay")
def _(ask: Trial) -> None:
    ask.through(numbers, _vgg(ask), CHAIN, OUTER_TWO)


@lab.step("any group", "another order")
def _(ask: Trial) -> None:
    ask.through(numbers, _vgg(ask), CHAIN, torch.tensor([2, 0, 1]))


@lab.step("any group", "what is trained")
def _(ask: Trial) -> None:
    ask.through(_trained, _vgg(ask), CHAIN, OUTER_TWO)


@lab.step("any group", "a copy")
def _(ask: Trial) -> None:
    ask.through(input_afterwards, _vgg(ask), CHAIN, torch.tensor([0, 1, 2]))


@lab.step("any group", "layers with a bias")
def _(ask: Trial) -> None:
    ask.through(numbers, _perceptron(ask), PERCEPTRON, torch.tensor([1, 3]))


@lab.step("any group", "groups of a residual network")
def _(ask: Trial) -> None:
    model = _wide_resnet(ask)
    ask.through(_shapes, model, ENTRANCE, torch.tensor([0, 2, 3]))
    ask.through(numbers, model, ENTRANCE, torch.tensor([0, 2, 3]))
    keep = torch.randperm(16, generator=ask.rng)[:9]
    ask.through(numbers, model, EXIT, keep)
    ask.through(_trained, model, EXIT, keep)


def _cutting(tensors: Callable[[nn.Module], Iterable[Tensor]]) -> Callable:
    """Prunes a group, but cuts only these tensors of each layer."""

    def mistaken(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
        model = copy.deepcopy(model)
        for name, axis in group:
            for tensor in tensors(model.get_submodule(name)):
                if tensor.dim() > axis:
                    tensor.data = tensor.data.index_select(axis, keep)
        return model

    return mistaken


lab.mistake(NO_RETURN, lambda model, group, keep: None)
lab.mistake(
    "the network returned is the old one, uncut: cut the copy's tensors",
    lambda model, group, keep: copy.deepcopy(model),
)


@lab.mistake("a BatchNorm keeps an entry for each channel: cut its four tensors too")
def _(model, group, keep):
    layers = {(name, axis) for name, axis in group if not _is_norm(model, name)}
    return prune_group(model, layers, keep)


lab.mistake(
    "running_mean and running_var have one entry a channel: they are buffers",
    _cutting(lambda module: [*module.parameters()]),
    help="`layer.parameters()` lists what is trained. `running_mean` and `running_var` "
    "are in `layer.buffers()`, with a counter of batches that has no axis at all.",
)
lab.mistake(
    "weight alone is cut; biases and statistics have an entry a channel, too",
    _cutting(lambda module: [module.weight]),
)
lab.mistake(
    "a BatchNorm has a bias, too: cut it with its weight",
    _cutting(lambda module: [module.weight, *module.buffers()]),
)


@lab.mistake("members of axis 1 are as they were: cut their columns, too")
def _(model, group, keep):
    return prune_group(model, {(name, axis) for name, axis in group if axis == 0}, keep)


@lab.mistake("axis 1 means columns, weight[:, keep]; you cut rows")
def _(model, group, keep):
    return prune_group(model, {(name, 0) for name, _ in group}, keep)


@lab.mistake("keep lists what stays; you keep the others")
def _(model, group, keep):
    name, axis = next(iter(group))
    channels = model.get_submodule(name).weight.shape[axis]
    others = [channel for channel in range(channels) if channel not in keep]
    return prune_group(model, group, torch.tensor(others))


lab.mistake(
    "you keep the first len(keep) channels; keep those in keep",
    lambda model, group, keep: prune_group(model, group, torch.arange(len(keep))),
)
lab.mistake(
    "the order counts: keep says which old channel comes first",
    lambda model, group, keep: prune_group(model, group, keep.sort().values),
)


@lab.mistake("the channels are zero, but still there")
def _(model, group, keep):
    model = copy.deepcopy(model)
    for name, axis in group:
        module = model.get_submodule(name)
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.dim() > axis:
                kept = tensor.data.index_select(axis, keep)
                tensor.data = torch.zeros_like(tensor).index_copy(axis, keep, kept)
    return model


@lab.mistake("the bias has an entry for each row: cut it with them")
@_cutting
def _(module):
    if isinstance(module, nn.BatchNorm2d):
        return [*module.parameters(), *module.buffers()]
    return [module.weight]


@lab.mistake("running_mean and running_var are plain tensors, not parameters")
def _(model, group, keep):
    made = prune_group(model, group, keep)
    for name, _ in group:
        if _is_norm(made, name):
            norm = made.get_submodule(name)
            norm.running_mean = nn.Parameter(norm.running_mean)
            norm.running_var = nn.Parameter(norm.running_var)
    return made


lab.mistake(
    "the parameters cannot be trained: wrap them by nn.Parameter",
    lambda *arguments: prune_group(*arguments).requires_grad_(False),
)


@lab.mistake("the network handed over is changed; begin with copy.deepcopy(model)")
def _(model, group, keep):
    made = prune_group(model, group, keep)
    for name, child in made.named_children():
        setattr(model, name, child)
    return model


@lab.exercise("7.5", points={"idea": 2, "any group": 1})
def group_importance(model: nn.Module, group: set[Member]) -> Tensor:
    members = [(model.get_submodule(name).weight, axis) for name, axis in group]
    total = [0.0] * members[0][0].shape[members[0][1]]
    for weight, axis in members:
        for channel, part in enumerate(weight.unbind(axis)):
            total[channel] += sum(v * v for v in part.flatten().tolist())
    return torch.tensor(total)


@lab.step("idea", "two channels by hand")
def _(ask: Trial) -> None:
    """Round numbers on one pixel."""
    model = VGG(in_channels=1, classes=2, channels=(2, 2))
    for parameter in model.parameters():
        parameter.detach().zero_()
    rows = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    model.backbone.conv0.weight.detach()[:, 0, 0, :2] = rows
    model.backbone.bn0.weight.detach()[:] = torch.tensor([2.0, 0.5])
    model.backbone.conv1.weight.detach()[0, :, 1, 1] = torch.tensor([3.0, 1.0])
    ask(model, set(CHAIN))


lab.step("idea", "a chain", lambda ask: ask(_vgg(ask), set(CHAIN)))
lab.step(
    "any group",
    "linear layers",
    lambda ask: ask(_perceptron(ask), set(PERCEPTRON)),
)


@lab.step("any group", "groups of a residual network")
def _(ask: Trial) -> None:
    model = _wide_resnet(ask)
    for group in (ENTRANCE, EXIT, {("block1.conv1", 0), ("block1.conv2", 1)}):
        ask(model, set(group))


def _adding(measure: Callable[[Tensor], Tensor]) -> Callable:
    """Adds up another measure of each member's part than the sum of its squares."""

    def mistaken(model: nn.Module, group: set[Member]) -> Tensor:
        total = 0
        for name, axis in sorted(group):
            parts = model.get_submodule(name).weight.detach().unbind(axis)
            total = total + torch.stack([measure(part) for part in parts])
        return total

    return mistaken


lab.mistake(NO_RETURN, lambda model, group: None)


@lab.mistake(
    "axis 1 means columns; you sum over rows of every member",
    help="A member with axis 1 has its channels in the columns, as in Lab 04's "
    "importance.",
)
def _(model, group):
    weights = [model.get_submodule(name).weight.detach() for name, _ in group]
    return sum(weight.reshape(len(weight), -1).square().sum(1) for weight in weights)


lab.mistake(
    "that is one number for the whole group; asked is one a channel",
    lambda model, group: group_importance(model, group).sum(),
)


@lab.mistake("the columns that read the channel are missing: members of axis 1")
def _(model, group):
    return group_importance(model, {member for member in group if member[1] == 0})


@lab.mistake("the rows that make the channel are missing: members of axis 0")
def _(model, group):
    return group_importance(model, {member for member in group if member[1] == 1})


@lab.mistake("the weights of the BatchNorms are missing")
def _(model, group):
    layers = {(name, axis) for name, axis in group if not _is_norm(model, name)}
    return group_importance(model, layers)


lab.mistake(
    "no root is asked for: the sum of the squares itself",
    lambda model, group: group_importance(model, group).sqrt(),
)
lab.mistake(
    "that adds up norms; add up the squares",
    _adding(lambda part: part.square().sum().sqrt()),
)
lab.mistake(
    "that is the sum of magnitudes; square instead",
    _adding(lambda part: part.abs().sum()),
)
lab.mistake(
    "that is a plain sum, in which +1 and -1 cancel; square first",
    _adding(lambda part: part.sum()),
)
lab.mistake(
    "you add up first and square then; square each weight",
    _adding(lambda part: part.sum().square()),
)


@lab.mistake("no division by the mean is asked for: the sums themselves")
def _(model, group):
    total = group_importance(model, group)
    return total / total.mean()


@lab.mistake("the biases are in it, too; only `weight` counts")
def _(model, group):
    total = group_importance(model, group)
    for name, axis in group:
        bias = model.get_submodule(name).bias
        if axis == 0 and bias is not None:
            total = total + bias.detach().square()
    return total


lab.mistake(
    "that is a mean of squares within each member; asked is the sum",
    _adding(lambda part: part.square().mean()),
)
lab.mistake(
    "that is the mean over the members; asked is the sum",
    lambda model, group: group_importance(model, group) / len(group),
)
lab.mistake(
    "right, but in float64; return the weights' own type, float32",
    lambda model, group: group_importance(model, group).double(),
)
