"""Checks of Lab 07, dependency graphs: which channels have to go together.

A member (name, axis) is one side of a layer: axis 0 its rows, or a BatchNorm's entries;
axis 1 its columns. A link is two members that must keep the same channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

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


@lab.exercise("7.1", points={"idea": 2, "any chain": 1})
def chain_links(model: nn.Module, names: list[str]) -> list[Link]:
    links = []
    for name, following in zip(names, names[1:], strict=False):
        is_norm = isinstance(model.get_submodule(following), nn.BatchNorm2d)
        links.append(((name, 0), (following, 0 if is_norm else 1)))
    return links


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
    return {"result": "pairs ((name, axis), (name, axis))"} | dict(
        sorted(others.items())
    )


def _member(value) -> Member:
    name, axis = value
    if not isinstance(name, str) or axis not in (0, 1):
        raise ValueError("a member is (name, 0) or (name, 1)")
    return name, int(axis)


def _text(member: Member) -> str:
    return f"({member[0]}, {member[1]})"


def _paired(
    axis: Callable[[nn.Module, str], int] = lambda module, name: (
        0 if isinstance(module, nn.BatchNorm2d) else 1
    ),
    out: int = 0,
    names: Callable = lambda model, names: names,
) -> Callable:
    """Links of a chain in which one part is another one."""

    def mistaken(model: nn.Module, given: list[str]) -> list[Link]:
        chosen = names(model, given)
        return [
            ((name, out), (following, axis(model.get_submodule(following), following)))
            for name, following in zip(chosen, chosen[1:], strict=False)
        ]

    return mistaken


def _without_norms(model: nn.Module, names: list[str]) -> list[str]:
    kinds = {name: type(model.get_submodule(name)) for name in names}
    return [name for name in names if kinds[name] is not nn.BatchNorm2d]


def _resnet() -> ResNet8:
    return ResNet8(width=2, classes=3)


def _two_convs() -> VGG:
    return VGG(in_channels=1, classes=3, channels=(2, 3))


def _some_chains(ask: Trial) -> None:
    roads = (
        ["block2.bn2", "block3.conv1", "block3.bn1", "block3.conv2", "block3.bn2"],
        ["block3.shortcut.1", "classifier"],
        ["conv1", "bn1"],
        ["classifier"],
    )
    for road in roads:
        ask.through(_coupled, _resnet(), road)
    names = [name for name, _ in MLP(4, (3, 3), 2).named_children()]
    ask.through(_coupled, MLP(4, (3, 3), 2), names)


_FOUR = [f"backbone.{kind}{i}" for i in range(2) for kind in ("conv", "bn")]

lab.step("idea", "four layers", lambda ask: ask.through(_coupled, _two_convs(), _FOUR))
lab.step(
    "idea",
    "with the classifier",
    lambda ask: ask.through(_coupled, _two_convs(), [*_FOUR, "classifier"]),
)
lab.step(
    "any chain",
    "layers of a shortcut",
    lambda ask: ask.through(
        _coupled,
        _resnet(),
        ["block1.bn2", "block2.shortcut.0", "block2.shortcut.1"],
    ),
)
lab.step("any chain", "other chains", _some_chains)
lab.mistake(NO_RETURN, lambda model, names: None)
lab.mistake(
    "a BatchNorm has no columns: its entries lie on axis 0",
    _paired(axis=lambda module, name: 1),
)
lab.mistake(
    "a convolution or linear layer reads by its columns: axis 1",
    _paired(axis=lambda module, name: 0),
)
lab.mistake(
    "that is the wrong way round: axis 0 puts out, axis 1 reads",
    _paired(axis=lambda module, name: 0, out=1),
)
lab.mistake("the first member of a link puts out, so its axis is 0", _paired(out=1))
lab.mistake(
    "the axes are swapped: if the second layer is a BatchNorm its axis is 0",
    _paired(axis=lambda module, name: 1 if isinstance(module, nn.BatchNorm2d) else 0),
)
lab.mistake(
    "a linear layer reads by its columns, too: axis 1",
    _paired(axis=lambda module, name: 1 if isinstance(module, nn.Conv2d) else 0),
)
lab.mistake(
    "the BatchNorms are missing: they keep an entry for each channel",
    _paired(names=_without_norms),
)
lab.mistake(
    "the link to the last layer is missing",
    _paired(names=lambda model, names: names[:-1]),
)
lab.mistake(
    "only the first link is there; return after the loop",
    _paired(names=lambda model, names: names[:2]),
)
lab.mistake(
    "a name does not tell a BatchNorm: shortcut.1 is one; ask isinstance()",
    _paired(axis=lambda module, name: 0 if "bn" in name else 1),
    help=(
        "`block2.shortcut.1` is one, and has no `bn` in its name. Ask the "
        "module what it is."
    ),
)


@lab.exercise("7.2", points={"plain shortcut": 2, "shortcut with layers": 3})
def block_links(model: nn.Module, block: str, before: str) -> list[Link]:
    main = [f"{block}.{name}" for name in ("conv1", "bn1", "conv2", "bn2")]
    layers = len(model.get_submodule(f"{block}.shortcut"))
    road = [before, *(f"{block}.shortcut.{i}" for i in range(layers))]
    added = ((main[-1], 0), (road[-1], 0))
    return [*chain_links(model, [before, *main]), *chain_links(model, road), added]


def _blocks(
    start: Callable[[str], list[str]] = lambda before: [before],
    own: str = "{block}.",
    shortcut: Callable[[int], int] = lambda layers: layers,
    added: Callable[[str, list[str]], list[Link]] = lambda own, road: [
        ((f"{own}bn2", 0), (road[-1], 0))
    ],
) -> Callable:
    """Links of a block in which one part is another one."""

    def mistaken(model: nn.Module, block: str, before: str) -> list[Link]:
        prefix = own.format(block=block)
        main = [f"{prefix}{name}" for name in ("conv1", "bn1", "conv2", "bn2")]
        layers = shortcut(len(model.get_submodule(f"{block}.shortcut")))
        road = [before, *(f"{prefix}shortcut.{i}" for i in range(layers))]
        links = _linked([*start(before), *main]) + _linked(road)
        return links + added(prefix, road)

    return mistaken


def _linked(names: list[str]) -> list[Link]:
    """The links of a chain whose BatchNorms are told by their names."""
    norms = ("bn1", "bn2", "shortcut.1")
    return [
        ((name, 0), (following, 0 if following.endswith(norms) else 1))
        for name, following in zip(names, names[1:], strict=False)
    ]


def _inner_too(own: str, road: list[str]) -> list[Link]:
    end = (road[-1], 0)
    return [((f"{own}bn2", 0), end), ((f"{own}conv1", 0), end)]


def _only_plain(own: str, road: list[str]) -> list[Link]:
    return [((f"{own}bn2", 0), (road[0], 0))] if len(road) == 1 else []


def _without_its_layers(model: nn.Module, block: str, before: str) -> list[Link]:
    links = block_links(model, block, before)
    own = f"{block}.shortcut."
    return [link for link in links if not any(n.startswith(own) for n, _ in link)]


def _other_blocks(ask: Trial) -> None:
    """Blocks whose shortcuts are others than in the course's network."""
    model = _resnet()
    model.block1 = ResidualBlock(2, 2, stride=2)
    model.block2 = ResidualBlock(2, 2, stride=1)
    ask.through(_coupled, model, "block1", "bn1")
    ask.through(_coupled, model, "block2", "block1.bn2")
    ask.through(_coupled, model, "block2", "block1.shortcut.1")


lab.step(
    "plain shortcut",
    "block1",
    lambda ask: ask.through(_coupled, _resnet(), "block1", "bn1"),
)
lab.step(
    "shortcut with layers",
    "block2",
    lambda ask: ask.through(_coupled, _resnet(), "block2", "block1.bn2"),
)
lab.step(
    "shortcut with layers",
    "block3",
    lambda ask: ask.through(_coupled, _resnet(), "block3", "block2.bn2"),
)
lab.step("shortcut with layers", "other blocks", _other_blocks)
lab.mistake(NO_RETURN, lambda model, block, before: None)
lab.mistake(
    "the addition is missing: both sides of + need the same channels",
    _blocks(added=lambda own, road: []),
    help=(
        '`((f"{block}.bn2", 0), (..., 0))`: with the shortcut\'s last layer, '
        "or with `before` where the shortcut has none."
    ),
)
lab.mistake(
    "with layers in the shortcut, + adds what these put out: that link is missing",
    _blocks(added=_only_plain),
)
lab.mistake(
    "with layers in the shortcut, + adds what these put out, not what came in",
    _blocks(added=lambda own, road: [((f"{own}bn2", 0), (road[0], 0))]),
)
lab.mistake(
    "a shortcut with layers is a chain from `before`, and + adds its last one",
    _without_its_layers,
)
lab.mistake(
    "+ adds what both ways put out: axis 0 on either side",
    _blocks(added=lambda own, road: [((f"{own}bn2", 0), (road[-1], 1))]),
)
lab.mistake("the shortcut's layers are missing", _blocks(shortcut=lambda layers: 0))
lab.mistake(
    "the shortcut's BatchNorm is missing",
    _blocks(shortcut=lambda layers: min(layers, 1)),
)
lab.mistake(
    "conv1 of the block reads what comes out of `before`: that link is missing",
    _blocks(start=lambda before: []),
)
lab.mistake(
    "what is between conv1 and conv2 is not added to anything: it is free",
    _blocks(added=_inner_too),
    help=(
        "The output of `conv1` meets nothing but `conv2`. That is the "
        "chain's rule, and no other link."
    ),
)
lab.mistake("the names lack the block: 'block1.conv1' is not 'conv1'", _blocks(own=""))


A_LINK_CAN_TOUCH_TWO_GROUPS_HELP = (
    "Adding the link to the first group that fits leaves the second one "
    "standing, with a member of its own in it."
)


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


def _numbered(pairs: Iterable[tuple[str, str]]) -> list[Link]:
    """Links between members named by two letters: a0 is ("a", 0)."""
    return [tuple((text[:-1], int(text[-1])) for text in pair) for pair in pairs]


def _without_merging(links: list[Link]) -> list[set[Member]]:
    groups: list[set[Member]] = []
    for link in links:
        for group in groups:
            if group & {*link}:
                group.update(link)
                break
        else:
            groups.append({*link})
    return groups


def _joined(links: list[Link], taken_out: int) -> list[set[Member]]:
    """Joins what a link touches, but takes only so many groups out of the list."""
    groups: list[set[Member]] = []
    for link in links:
        touched = [group for group in groups if group & {*link}]
        for group in touched[:taken_out]:
            groups.remove(group)
        groups.append(set(link).union(*touched))
    return groups


def _into_every_group(links: list[Link]) -> list[set[Member]]:
    groups: list[set[Member]] = []
    for link in links:
        touched = [group for group in groups if group & {*link}]
        for group in touched:
            group.update(link)
        groups += [] if touched else [{*link}]
    return groups


def _neighbours(links: list[Link]) -> list[set[Member]]:
    """For each first member the second ones, no further."""
    found: dict[Member, set[Member]] = {}
    for one, other in links:
        found.setdefault(one, {one}).add(other)
    return [*found.values()]


def _by_layer(links: list[Link]) -> list[set[Member]]:
    """A layer's two sides taken for one."""
    joined = [*links]
    members = [member for link in links for member in link]
    joined += [((name, 0), (name, 1)) for name, axis in members if axis == 1]
    real = set(members)
    return [group & real for group in groups_of(joined)]


THREE_GROUPS = (
    *(("a0", "b0"), ("a0", "c1"), ("b0", "e0")),
    *(("c0", "d1"), ("f0", "g0")),
)


def _random_links(ask: Trial) -> None:
    for _ in range(6):
        members = [(name, axis) for name in "abcdefgh" for axis in (0, 1)]
        picked = torch.randint(0, len(members), (9, 2), generator=ask.rng).tolist()
        links = [(members[i], members[j]) for i, j in picked if i != j]
        ask.through(_partition, links)


def _whole_network(ask: Trial) -> None:
    model = _resnet()
    links = chain_links(model, ["conv1", "bn1"])
    for block, before in (
        ("block1", "bn1"),
        ("block2", "block1.bn2"),
        ("block3", "block2.bn2"),
    ):
        links += block_links(model, block, before)
    links += chain_links(model, ["block3.bn2", "classifier"])
    order = torch.randperm(len(links), generator=ask.rng).tolist()
    ask.through(_partition, [links[i] for i in order])


lab.step(
    "idea", "three groups", lambda ask: ask.through(_partition, _numbered(THREE_GROUPS))
)
lab.step(
    "idea",
    "four in a row",
    lambda ask: ask.through(
        _partition, _numbered([("a0", "b0"), ("b0", "c0"), ("c0", "d1")])
    ),
)
lab.step(
    "any order",
    "a link that joins two groups",
    lambda ask: ask.through(
        _partition, _numbered([("a0", "b0"), ("c0", "d1"), ("b0", "c0")])
    ),
)
lab.step(
    "any order",
    "a ring and a link twice",
    lambda ask: ask.through(
        _partition,
        _numbered([("a0", "b0"), ("b0", "c0"), ("c0", "a0"), ("b0", "a0")]),
    ),
)
lab.step("any order", "no links", lambda ask: ask.through(_partition, []))
lab.step("any order", "a whole network", _whole_network)
lab.step("any order", "random links", _random_links)
lab.mistake(NO_RETURN, lambda links: None)
lab.mistake(
    "each link has become a group; links that share a member belong together",
    lambda links: [{*link} for link in links],
)
lab.mistake(
    "that is one group of everything; what no link joins stays apart",
    lambda links: [{member for link in links for member in link}],
)
lab.mistake("a group goes on as far as links lead, not just one step", _neighbours)
lab.mistake(
    "(c, 0) and (c, 1) are two members: a layer's rows and columns differ", _by_layer
)
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
    lambda links: [
        set(),
        *groups_of(links),
    ],
)
lab.mistake(
    "the list is handed over for reading: loop over it, without pop()",
    lambda links: links.clear() or [],
)
lab.mistake(
    "the groups that a link touched are still there: take them out",
    lambda links: _joined(links, taken_out=0),
)
lab.mistake(
    "a link can touch two groups: you take only one of them out",
    lambda links: _joined(links, taken_out=1),
    help=A_LINK_CAN_TOUCH_TWO_GROUPS_HELP,
)
lab.mistake(
    "a link can touch two groups, which then become one: you join the first only",
    _without_merging,
    help=A_LINK_CAN_TOUCH_TWO_GROUPS_HELP,
)
lab.mistake(
    "a link can touch two groups, which then become one: yours stay two",
    _into_every_group,
    help=A_LINK_CAN_TOUCH_TWO_GROUPS_HELP,
)


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


def _vgg(ask: Trial) -> VGG:
    return drawn(VGG(in_channels=1, classes=3, channels=(3, 4)), ask.rng)


def _wide(ask: Trial) -> ResNet8:
    return drawn(ResNet8(width=4, classes=3), ask.rng)


CHAIN = {("backbone.conv0", 0), ("backbone.bn0", 0), ("backbone.conv1", 1)}
PERCEPTRON = {("fc1", 0), ("fc2", 1)}
ENTRANCE = {
    *(("conv1", 0), ("bn1", 0), ("block1.conv1", 1), ("block1.conv2", 0)),
    *(("block1.bn2", 0), ("block2.conv1", 1), ("block2.shortcut.0", 1)),
}
EXIT = {
    *(("block3.conv2", 0), ("block3.bn2", 0), ("block3.shortcut.0", 0)),
    *(("block3.shortcut.1", 0), ("classifier", 1)),
}
OUTER_TWO = torch.tensor([0, 2])


def _with_biases(ask: Trial) -> None:
    model = drawn(MLP(5, (4, 3), 2), ask.rng)
    ask.through(numbers, model, PERCEPTRON, torch.tensor([1, 3]))


def _residual(ask: Trial) -> None:
    model = _wide(ask)
    ask.through(_shapes, model, ENTRANCE, torch.tensor([0, 2, 3]))
    ask.through(numbers, model, ENTRANCE, torch.tensor([0, 2, 3]))
    keep = torch.randperm(16, generator=ask.rng)[:9]
    ask.through(numbers, model, EXIT, keep)
    ask.through(_trained, model, EXIT, keep)


def _cutting(
    cut: Callable = lambda tensor, axis, keep: tensor.index_select(axis, keep),
    tensors: Callable[[nn.Module, int], Iterable[Tensor]] = lambda module, axis: [
        *module.parameters(),
        *module.buffers(),
    ],
    axis_of: Callable[[int], int] = lambda axis: axis,
    index: Callable = lambda keep, size: keep,
) -> Callable:
    """Pruning a group with one part another one."""

    def mistaken(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
        model = copy.deepcopy(model)
        for name, axis in group:
            module, axis = model.get_submodule(name), axis_of(axis)
            for tensor in tensors(module, axis):
                if tensor.dim() > axis:
                    chosen = index(keep, tensor.shape[axis])
                    tensor.data = cut(tensor.data, axis, chosen)
        return model

    return mistaken


def _no_norms(module: nn.Module, axis: int) -> list[Tensor]:
    if isinstance(module, nn.BatchNorm2d):
        return []
    return [*module.parameters()]


def _others(keep: Tensor, size: int) -> Tensor:
    return torch.tensor([c for c in range(size) if c not in keep.tolist()])


def _zeroed(tensor: Tensor, axis: int, keep: Tensor) -> Tensor:
    zeros = torch.zeros_like(tensor)
    return zeros.index_copy(axis, keep, tensor.index_select(axis, keep))


def _in_place(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
    made = prune_group(model, group, keep)
    for name, child in made.named_children():
        setattr(model, name, child)
    return model


def _frozen(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
    return prune_group(model, group, keep).requires_grad_(False)


def _learned(model: nn.Module, group: set[Member], keep: Tensor) -> nn.Module:
    made = prune_group(model, group, keep)
    for name, axis in group:
        module = made.get_submodule(name)
        if axis == 0 and isinstance(module, nn.BatchNorm2d):
            for key in ("running_mean", "running_var"):
                setattr(module, key, nn.Parameter(getattr(module, key)))
    return made


lab.step(
    "a chain", "shapes", lambda ask: ask.through(_shapes, _vgg(ask), CHAIN, OUTER_TWO)
)
lab.step(
    "a chain",
    "the channels that stay",
    lambda ask: ask.through(numbers, _vgg(ask), CHAIN, OUTER_TWO),
)
lab.step(
    "any group",
    "another order",
    lambda ask: ask.through(numbers, _vgg(ask), CHAIN, torch.tensor([2, 0, 1])),
)
lab.step(
    "any group",
    "what is trained",
    lambda ask: ask.through(_trained, _vgg(ask), CHAIN, OUTER_TWO),
)
lab.step(
    "any group",
    "a copy",
    lambda ask: ask.through(
        input_afterwards, _vgg(ask), CHAIN, torch.tensor([0, 1, 2])
    ),
)
lab.step("any group", "layers with a bias", _with_biases)
lab.step("any group", "groups of a residual network", _residual)
lab.mistake(NO_RETURN, lambda model, group, keep: None)
lab.mistake(
    "the network returned is the old one, uncut: cut the copy's tensors",
    lambda model, group, keep: copy.deepcopy(model),
)
lab.mistake(
    "a BatchNorm keeps an entry for each channel: cut its four tensors too",
    _cutting(tensors=_no_norms),
)
lab.mistake(
    "running_mean and running_var have one entry a channel: they are buffers",
    _cutting(tensors=lambda module, axis: [*module.parameters()]),
    help=(
        "`layer.parameters()` lists what is trained. `running_mean` and "
        "`running_var` are in `layer.buffers()`, with a counter of batches "
        "that has no axis at all."
    ),
)
lab.mistake(
    "weight alone is cut; biases and statistics have an entry a channel, too",
    _cutting(tensors=lambda module, axis: [module.weight]),
)
lab.mistake(
    "a BatchNorm has a bias, too: cut it with its weight",
    _cutting(tensors=lambda module, axis: [module.weight, *module.buffers()]),
)
lab.mistake(
    "members of axis 1 are as they were: cut their columns, too",
    _cutting(
        tensors=lambda module, axis: (
            [] if axis else [*module.parameters(), *module.buffers()]
        )
    ),
)
lab.mistake(
    "axis 1 means columns, weight[:, keep]; you cut rows",
    _cutting(axis_of=lambda axis: 0),
)
lab.mistake("keep lists what stays; you keep the others", _cutting(index=_others))
lab.mistake(
    "you keep the first len(keep) channels; keep those in keep",
    _cutting(index=lambda keep, size: torch.arange(len(keep))),
)
lab.mistake(
    "the order counts: keep says which old channel comes first",
    _cutting(index=lambda keep, size: keep.sort().values),
)
lab.mistake("the channels are zero, but still there", _cutting(cut=_zeroed))
lab.mistake(
    "the bias has an entry for each row: cut it with them",
    _cutting(
        tensors=lambda module, axis: (
            [*module.parameters(), *module.buffers()]
            if isinstance(module, nn.BatchNorm2d)
            else [module.weight]
        )
    ),
)
lab.mistake("running_mean and running_var are plain tensors, not parameters", _learned)
lab.mistake("the parameters cannot be trained: wrap them by nn.Parameter", _frozen)
lab.mistake(
    "the network handed over is changed; begin with copy.deepcopy(model)", _in_place
)


@lab.exercise("7.5", points={"idea": 2, "any group": 1})
def group_importance(model: nn.Module, group: set[Member]) -> Tensor:
    members = [(model.get_submodule(name).weight, axis) for name, axis in group]
    total = [0.0] * members[0][0].shape[members[0][1]]
    for weight, axis in members:
        for channel, part in enumerate(weight.unbind(axis)):
            total[channel] += sum(v * v for v in part.flatten().tolist())
    return torch.tensor(total)


def _importance(
    reduce: Callable[[Tensor], Tensor] = lambda part: part.square().sum(),
    members: Callable[[nn.Module, int], bool] = lambda module, axis: True,
    axis_of: Callable[[int], int] = lambda axis: axis,
    finish: Callable[[Tensor, int], Tensor] = lambda total, count: total,
) -> Callable:
    """An importance with one part another one."""

    def mistaken(model: nn.Module, group: set[Member]) -> Tensor:
        sums = []
        for name, axis in sorted(group):
            module = model.get_submodule(name)
            if members(module, axis):
                weight = module.weight.detach()
                parts = weight.unbind(axis_of(axis) if weight.dim() > 1 else 0)
                sums.append(torch.stack([reduce(part) for part in parts]))
        return finish(torch.stack(sums).sum(0), len(sums))

    return mistaken


def _biases_too(model: nn.Module, group: set[Member]) -> Tensor:
    total = group_importance(model, group)
    for name, axis in group:
        bias = model.get_submodule(name).bias
        if axis == 0 and bias is not None:
            total = total + bias.detach().square()
    return total


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d)


def _by_hand(ask: Trial) -> None:
    """Two channels on one pixel, in round numbers."""
    model = VGG(in_channels=1, classes=2, channels=(2, 2))
    for parameter in model.parameters():
        parameter.detach().zero_()
    rows = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    model.backbone.conv0.weight.detach()[:, 0, 0, :2] = rows
    model.backbone.bn0.weight.detach()[:] = torch.tensor([2.0, 0.5])
    model.backbone.conv1.weight.detach()[0, :, 1, 1] = torch.tensor([3.0, 1.0])
    ask(model, set(CHAIN))


def _any_groups(ask: Trial) -> None:
    model = _wide(ask)
    for group in (ENTRANCE, EXIT, {("block1.conv1", 0), ("block1.conv2", 1)}):
        ask(model, set(group))


lab.step("idea", "two channels by hand", _by_hand)
lab.step("idea", "a chain", lambda ask: ask(_vgg(ask), set(CHAIN)))
lab.step(
    "any group",
    "linear layers",
    lambda ask: ask(drawn(MLP(5, (4, 3), 2), ask.rng), set(PERCEPTRON)),
)
lab.step("any group", "groups of a residual network", _any_groups)
lab.mistake(NO_RETURN, lambda model, group: None)
lab.mistake(
    "axis 1 means columns; you sum over rows of every member",
    _importance(axis_of=lambda axis: 0),
    help=(
        "A member with axis 1 has its channels in the columns, as in Lab "
        "04's importance."
    ),
)
lab.mistake(
    "that is one number for the whole group; asked is one a channel",
    _importance(finish=lambda total, count: total.sum()),
)
lab.mistake(
    "the columns that read the channel are missing: members of axis 1",
    _importance(members=lambda module, axis: axis == 0),
)
lab.mistake(
    "the rows that make the channel are missing: members of axis 0",
    _importance(members=lambda module, axis: axis == 1),
)
lab.mistake(
    "the weights of the BatchNorms are missing",
    _importance(members=lambda module, axis: not _is_norm(module)),
)
lab.mistake(
    "no root is asked for: the sum of the squares itself",
    _importance(finish=lambda total, count: total.sqrt()),
)
lab.mistake(
    "that adds up norms; add up the squares",
    _importance(reduce=lambda part: part.square().sum().sqrt()),
)
lab.mistake(
    "that is the sum of magnitudes; square instead",
    _importance(reduce=lambda part: part.abs().sum()),
)
lab.mistake(
    "that is a plain sum, in which +1 and -1 cancel; square first",
    _importance(reduce=lambda part: part.sum()),
)
lab.mistake(
    "you add up first and square then; square each weight",
    _importance(reduce=lambda part: part.sum().square()),
)
lab.mistake(
    "no division by the mean is asked for: the sums themselves",
    _importance(finish=lambda total, count: total / total.mean()),
)
lab.mistake("the biases are in it, too; only `weight` counts", _biases_too)
lab.mistake(
    "that is a mean of squares within each member; asked is the sum",
    _importance(reduce=lambda part: part.square().mean()),
)
lab.mistake(
    "that is the mean over the members; asked is the sum",
    _importance(finish=lambda total, count: total / count),
)
lab.mistake(
    "right, but in float64; return the weights' own type, float32",
    _importance(finish=lambda total, count: total.double()),
)
