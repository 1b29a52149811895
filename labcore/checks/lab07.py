"""Checks of Lab 07, dependency graphs: which channels have to go together.

A member (name, axis) is one side of a layer: axis 0 its rows, or a BatchNorm's entries;
axis 1 its columns. A link is two members that must keep the same channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Set
from itertools import pairwise

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import clone, same, show
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.likeness import NO_RETURN
from labcore.checks.engine.returned import drawn, input_afterwards, numbers, of_network
from labcore.checks.engine.trial import Trial, Wrong
from labcore.nets import MLP, VGG, ResidualBlock, ResNet8

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Member = tuple[str, int]
Link = tuple[Member, Member]


def _is_norm(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), nn.BatchNorm2d)


# 7.1 to 7.3: networks with linked channels, and how to compare links and groups


def _resnet() -> ResNet8:
    return ResNet8(width=2, classes=3)


class Plain(str):
    """A text that messages show without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _member(value) -> Member:
    name, axis = value
    if not isinstance(name, str) or axis not in (0, 1):
        raise ValueError("a member is (name, 0) or (name, 1)")
    return name, int(axis)


def _text(member: Member) -> str:
    return f"({member[0]}, {member[1]})"


def _link_text(one: Member, other: Member) -> Plain:
    return Plain(f"{_text(one)}-{_text(other)}")


def _coupled(reference: Callable) -> Callable:
    """A scenario: the reference's links that follow from the answer's, and one link for
    each two groups that only the answer couples."""

    def scenario(answer: Callable, *args) -> Set | str:
        """what your links couple"""
        before = clone(args[1:])
        made = answer(*args)
        if reference is chain_links and not isinstance(made, list | None):
            # the lab adds the links of the blocks to this list
            return Plain(f"of type {type(made).__name__}, not list: {show(made)}")
        try:
            pairs = [(one, other) for one, other in made]
            links = [(_member(one), _member(other)) for one, other in pairs]
        except Exception:
            return Plain(show(made))
        if not all(isinstance(member, tuple) for link in pairs for member in link):
            return Plain("links of lists; write each member as a tuple: (name, axis)")
        if not same(before, args[1:]):
            return Plain("links, but an argument is changed")
        return _comparable(links, reference(*args)) if links else Plain("no links")

    return scenario


def _comparable(links: list[Link], wanted: list[Link]) -> Set:
    ours, theirs = groups_of(wanted), groups_of(links)
    found = {
        _link_text(one, other)
        for one, other in wanted
        if any({one, other} <= group for group in theirs)
    }
    known = [member for link in wanted for member in link]
    order = [*known, *sorted({member for link in links for member in link})]
    for group in theirs:
        parts = [group & each for each in ours if group & each]
        parts += [{member} for member in group if member not in known]
        first = sorted((min(part, key=order.index) for part in parts), key=order.index)
        found |= {_link_text(*two) for two in pairwise(first)}
    return frozenset(found)


def _compare_links(ask: Trial, reference: Callable, *args) -> None:
    try:
        ask.through(_coupled(reference), *args)
    except Wrong as wrong:
        if len(wrong.lines.get("expected", "")) > 220:
            count = len(reference(*args))
            wrong.lines["expected"] = f"{count} links, or others that couple the same"
        raise


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
    _compare_links(ask, chain_links, _two_convolutions(), FOUR_LAYERS)


@lab.step("idea", "with the classifier")
def _(ask: Trial) -> None:
    names = [*FOUR_LAYERS, "classifier"]
    _compare_links(ask, chain_links, _two_convolutions(), names)


@lab.step("any chain", "layers of a shortcut")
def _(ask: Trial) -> None:
    names = ["block1.bn2", "block2.shortcut.0", "block2.shortcut.1"]
    _compare_links(ask, chain_links, _resnet(), names)


@lab.step("any chain", "other chains")
def _(ask: Trial) -> None:
    for names in (
        ["block2.bn2", "block3.conv1", "block3.bn1", "block3.conv2", "block3.bn2"],
        ["block3.shortcut.1", "classifier"],
        ["conv1", "bn1"],
        ["classifier"],
    ):
        _compare_links(ask, chain_links, _resnet(), names)
    _compare_links(ask, chain_links, MLP(4, (3, 3), 2), ["fc1", "fc2", "fc3"])


def _reading(axis_of: Callable[[nn.Module, str], int]) -> Callable:
    """Links whose second member has the axis `axis_of(model, name)`."""

    def mistaken(model: nn.Module, names: list[str]) -> list[Link]:
        return [
            (one, (name, axis_of(model, name)))
            for one, (name, _) in chain_links(model, names)
        ]

    return mistaken


lab.mistake(NO_RETURN, lambda model, names: None)
for _kind in (set, tuple, dict):
    lab.mistake(
        f"return a list of links, not a {_kind.__name__}",
        lambda model, names, kind=_kind: kind(chain_links(model, names)),
    )
lab.mistake(
    "your list stays empty: append a link in each round of the loop",
    lambda model, names: [],
)
lab.mistake(
    "you link names: a member is a pair, (name, axis)",
    lambda model, names: [*pairwise(names)],
)
lab.mistake(
    "a BatchNorm has no columns: use axis 0 for its entries",
    _reading(lambda model, name: 1),
)
lab.mistake(
    "convolutions and linear layers read with their columns: use axis 1 for the second",
    _reading(lambda model, name: 0),
)


@lab.mistake("a BatchNorm has axis 0 in both of its links: it has no columns")
def _(model, names):
    return [
        ((name, int(_is_norm(model, name))), other)
        for (name, _), other in chain_links(model, names)
    ]


@lab.mistake("the axes are the wrong way round: axis 0 produces, axis 1 reads")
def _(model, names):
    return [((one, 1), (other, 0)) for one, other in pairwise(names)]


@lab.mistake("the first member of a link produces, so its axis is 0")
def _(model, names):
    return [((name, 1), other) for (name, _), other in chain_links(model, names)]


lab.mistake(
    "the second axes are swapped: a BatchNorm has axis 0, any other layer axis 1",
    _reading(lambda model, name: 1 if _is_norm(model, name) else 0),
)
lab.mistake(
    "a linear layer reads with its columns too: use axis 1",
    _reading(lambda model, name: int(isinstance(model.get_submodule(name), nn.Conv2d))),
)


@lab.mistake("the BatchNorms are missing: they have an entry for each channel")
def _(model, names):
    return chain_links(model, [n for n in names if not _is_norm(model, n)])


@lab.mistake("all axes are swapped: rows are axis 0, columns are axis 1")
def _(model, names):
    return [
        tuple((name, 1 - axis) for name, axis in link)
        for link in chain_links(model, names)
    ]


WITHIN = (
    "you link the rows of a layer with its own columns; link its rows with the layer "
    "that follows"
)


@lab.mistake(WITHIN)
def _(model, names):
    return [((name, 0), (name, 1)) for name in names]


@lab.mistake(WITHIN)
def _(model, names):
    return [((name, 0), (name, 1)) for name in names[:-1]]


@lab.mistake("the rows and columns of a layer are different channels: do not link them")
def _(model, names):
    within = [((name, 0), (name, 1)) for name in names if not _is_norm(model, name)]
    return [*chain_links(model, names), *within]


lab.mistake(
    "the link to the last layer is missing",
    lambda model, names: chain_links(model, names[:-1]),
)
lab.mistake(
    "you return only the first link: put return after the loop",
    lambda model, names: chain_links(model, names[:2]),
)
lab.mistake(
    "a name does not show what a layer is: test the module with isinstance()",
    _reading(lambda model, name: 0 if "bn" in name else 1),
    help="`block2.shortcut.1` is a BatchNorm without `bn` in its name. Get the "
    "module, and test its type.",
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
    _compare_links(ask, block_links, _resnet(), "block1", "bn1")


@lab.step("shortcut with layers", "block2")
def _(ask: Trial) -> None:
    _compare_links(ask, block_links, _resnet(), "block2", "block1.bn2")


@lab.step("shortcut with layers", "block3")
def _(ask: Trial) -> None:
    _compare_links(ask, block_links, _resnet(), "block3", "block2.bn2")


@lab.step("shortcut with layers", "other blocks")
def _(ask: Trial) -> None:
    """Blocks whose shortcuts differ from those of the course's network."""
    model = _resnet()
    model.block1 = ResidualBlock(2, 2, stride=2)
    model.block2 = ResidualBlock(2, 2, stride=1)
    _compare_links(ask, block_links, model, "block1", "bn1")
    _compare_links(ask, block_links, model, "block2", "block1.bn2")
    _compare_links(ask, block_links, model, "block2", "block1.shortcut.1")


def _main_road(model: nn.Module, block: str, before: str) -> list[Link]:
    """The four links from `before` to the block's second BatchNorm."""
    return block_links(model, block, before)[:4]


def _is_plain(model: nn.Module, block: str) -> bool:
    return len(model.get_submodule(f"{block}.shortcut")) == 0


lab.mistake(NO_RETURN, lambda model, block, before: None)
lab.mistake(
    "the link of the addition is missing: both sides of + need the same channels",
    lambda model, block, before: block_links(model, block, before)[:-1],
    help="Link the last layers of the two ways, axis 0 with axis 0. If the shortcut "
    "has no layers, take `before`.",
)


@lab.mistake(
    "if the shortcut has layers, + adds what they produce: that link is missing"
)
def _(model, block, before):
    *others, added = block_links(model, block, before)
    return [*others, added] if _is_plain(model, block) else others


@lab.mistake(
    "if the shortcut has layers, + adds what they produce, not what entered the block"
)
def _(model, block, before):
    *others, (main, _) = block_links(model, block, before)
    return [*others, (main, (before, 0))]


@lab.mistake(
    "all links of a shortcut with layers are missing: it is a chain from `before` to +"
)
def _(model, block, before):
    if _is_plain(model, block):
        return block_links(model, block, before)
    return _main_road(model, block, before)


@lab.mistake(
    "if the shortcut has layers, + does not add what entered the block: a link too many"
)
def _(model, block, before):
    return [*block_links(model, block, before), ((f"{block}.bn2", 0), (before, 0))]


@lab.mistake("you return lists inside a list: join the lists of links with +")
def _(model, block, before):
    *others, added = block_links(model, block, before)
    return [others[:4], others[4:], added]


@lab.mistake("+ adds what both ways produce: use axis 0 on both sides")
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
    "conv1 of the block reads what `before` produces: that link is missing",
    lambda model, block, before: block_links(model, block, before)[1:],
)


@lab.mistake(
    "the channels between conv1 and conv2 are not added to anything: one link too many",
    help="Only `conv2` reads what `conv1` produces, so the rule of the chain is enough "
    "there.",
)
def _(model, block, before):
    links = block_links(model, block, before)
    _, end = links[-1]
    return [*links, ((f"{block}.conv1", 0), end)]


@lab.mistake(
    "the shortcut's first layer reads what `before` produces: that link is missing"
)
def _(model, block, before):
    first = (f"{block}.shortcut.0", 1)
    return [link for link in block_links(model, block, before) if first not in link]


ONE_LIST = "both ways are in one list: each begins at `before`, so make two lists"


def _in_one_list(model: nn.Module, block: str, before: str) -> list[Link]:
    main = [f"{block}.{name}" for name in ("conv1", "bn1", "conv2", "bn2")]
    layers = len(model.get_submodule(f"{block}.shortcut"))
    side = [f"{block}.shortcut.{i}" for i in range(layers)]
    return chain_links(model, [before, *main, *side])


@lab.mistake(ONE_LIST)
def _(model, block, before):
    added = block_links(model, block, before)[-1]
    return [*_in_one_list(model, block, before), added]


@lab.mistake(ONE_LIST)
def _(model, block, before):
    links = _in_one_list(model, block, before)
    return (
        [*links, block_links(model, block, before)[-1]]
        if _is_plain(model, block)
        else links
    )


@lab.mistake("the names need the block in front: 'block1.conv1', not 'conv1'")
def _(model, block, before):
    return [
        tuple((name.removeprefix(f"{block}."), axis) for name, axis in link)
        for link in block_links(model, block, before)
    ]


@lab.exercise("7.3", points={"idea": 2, "any order": 4})
def groups_of(links: list[Link]) -> list[set[Member]]:
    groups: list[set[Member]] = []
    for link in links:
        apart = [group for group in groups if not group & {*link}]
        touched = [group for group in groups if group & {*link}]
        groups = [*apart, set(link).union(*touched)]
    return groups


def _partition(answer: Callable, links: list[Link]) -> Set | str:
    """the groups"""
    before = clone(links)
    made = answer(links)
    if not same(before, links):
        return Plain("groups, but the list of links is changed")
    try:
        groups = [sorted({_member(member) for member in group}) for group in made]
    except Exception:
        return Plain(show(made))
    found: set[str] = set()
    for group in groups:
        text = f"{{{', '.join(map(_text, group))}}}"
        while text in found:
            text = f"{text} again"
        found.add(text)
    return frozenset(map(Plain, found))


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


lab.step(
    "any order",
    "a shuffled chain",
    _asked("a0-b0 f0-g0 h0-i0 c0-d0 b0-c0 g0-h0 e0-f0 d0-e0"),
)
lab.step(
    "any order",
    "a longer chain",
    _asked("j0-k0 a0-b0 e0-f0 c0-d0 g0-h0 i0-j0 f0-g0 h0-i0 d0-e0 b0-c0"),
)


@lab.step("any order", "more chains")
def _(ask: Trial) -> None:
    """Merging groups a fixed number of times leaves some of these in pieces."""
    members = [(name, axis) for name in "abcdefghij" for axis in (0, 1)]
    for _ in range(8):
        row = [members[i] for i in torch.randperm(20, generator=ask.rng).tolist()]
        links = [*pairwise(row[:14]), *pairwise(row[14:])]
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
    "each link is a group of its own: join links that share a member",
    lambda links: [{*link} for link in links],
)
lab.mistake(
    "you return one group of everything: members that no link joins stay apart",
    lambda links: [{member for link in links for member in link}],
)


@lab.mistake(
    "you follow the links for one step only: a group goes on as far as links lead"
)
def _(links):
    found = {}
    for one, other in links:
        found.setdefault(one, {one}).add(other)
    return [*found.values()]


lab.mistake(
    "a group holds members, (name, axis): yours holds names",
    lambda links: [{name for name, axis in group} for group in groups_of(links)],
)


@lab.mistake("(c, 0) and (c, 1) are two members: join them only if links do")
def _(links):
    members = {member for link in links for member in link}
    sides = [((name, 0), (name, 1)) for name, axis in members if axis == 1]
    return [group & members for group in groups_of([*links, *sides])]


lab.mistake(
    "you look at the first link only: put return after the loop",
    lambda links: groups_of(links[:1]),
)
lab.mistake(
    "you list a group once for each of its members: list it once",
    lambda links: [group for group in groups_of(links) for _ in group],
)
lab.mistake(
    "an empty group is in the list: begin with an empty list",
    lambda links: [set(), *groups_of(links)],
)
lab.mistake(
    "you emptied the list of links: loop over it, without pop()",
    lambda links: links.clear() or [],
)


TWO_GROUPS_HELP = (
    "A link between members of two groups makes them one group. Take both out of the "
    "list, and put their union in."
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
    "the groups that a link touches are still in the list: take them out",
    lambda links: _joined(links, taken_out=0),
)
lab.mistake(
    "a link can touch two groups: take both of them out",
    lambda links: _joined(links, taken_out=1),
    help=TWO_GROUPS_HELP,
)


@lab.mistake(
    "a link can touch two groups, which then become one: you use only the first",
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
    "a link can touch two groups, which then become one: you leave two",
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


def _squashed(sets: list[set[Member]]) -> list[set[Member]]:
    """Each set joined to the first one that it meets."""
    groups: list[set[Member]] = []
    for members in sets:
        for group in groups:
            if group & members:
                group |= members
                break
        else:
            groups.append({*members})
    return groups


TOO_FEW_ROUNDS = (
    "you merge a fixed number of times: merge until nothing changes any more"
)


@lab.mistake(TOO_FEW_ROUNDS)
def _(links):
    return _squashed(_squashed([{*link} for link in links]))


@lab.mistake(TOO_FEW_ROUNDS)
def _(links):
    return _squashed(_squashed(_squashed([{*link} for link in links])))


@lab.exercise("7.4", points={"a chain": 3, "any group": 3})
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
def _kinds(made):
    """which tensors of the new network are trained"""
    kinds = {name: "a buffer" for name in made.state_dict()}
    for name, parameter in made.named_parameters():
        trained = parameter.requires_grad
        kinds[name] = "a parameter" if trained else "a parameter without gradient"
    return kinds


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
    ask.through(_kinds, _vgg(ask), CHAIN, OUTER_TWO)


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
    ask.through(_kinds, model, EXIT, keep)


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
    "the network you return is not cut: assign the shorter tensors to the copy",
    lambda model, group, keep: copy.deepcopy(model),
)


@lab.mistake("a BatchNorm has an entry for each channel: cut its four tensors too")
def _(model, group, keep):
    layers = {(name, axis) for name, axis in group if not _is_norm(model, name)}
    return prune_group(model, layers, keep)


lab.mistake(
    "running_mean and running_var are not cut: they are buffers, not parameters",
    _cutting(lambda module: [*module.parameters()]),
    help="`layer.parameters()` gives what is trained. `layer.buffers()` gives "
    "`running_mean`, `running_var` and a counter of batches that has no axis at all.",
)
lab.mistake(
    "you cut only weight: biases and statistics have an entry for each channel too",
    _cutting(lambda module: [module.weight]),
)
lab.mistake(
    "a BatchNorm has a bias too: cut it with its weight",
    _cutting(lambda module: [module.weight, *module.buffers()]),
)


@lab.mistake("members with axis 1 are not cut: cut their columns too")
def _(model, group, keep):
    return prune_group(model, {(name, axis) for name, axis in group if axis == 0}, keep)


@lab.mistake("axis 1 means columns, weight[:, keep]: you cut rows")
def _(model, group, keep):
    return prune_group(model, {(name, 0) for name, _ in group}, keep)


@lab.mistake("keep lists the channels that stay: you removed them")
def _(model, group, keep):
    name, axis = next(iter(group))
    channels = model.get_submodule(name).weight.shape[axis]
    others = [channel for channel in range(channels) if channel not in keep]
    return prune_group(model, group, torch.tensor(others))


lab.mistake(
    "you keep the first len(keep) channels: keep those that keep lists",
    lambda model, group, keep: prune_group(model, group, torch.arange(len(keep))),
)
lab.mistake(
    "the order counts: keep[0] says which old channel comes first",
    lambda model, group, keep: prune_group(model, group, keep.sort().values),
)


@lab.mistake("the channels are zero but still there: make the tensors shorter")
def _(model, group, keep):
    model = copy.deepcopy(model)
    for name, axis in group:
        module = model.get_submodule(name)
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.dim() > axis:
                kept = tensor.data.index_select(axis, keep)
                tensor.data = torch.zeros_like(tensor).index_copy(axis, keep, kept)
    return model


@lab.mistake("a bias has an entry for each row: cut it with the rows")
@_cutting
def _(module):
    if isinstance(module, nn.BatchNorm2d):
        return [*module.parameters(), *module.buffers()]
    return [module.weight]


STATISTICS_TRAINED = (
    "running_mean and running_var are parameters now: they are buffers, so leave them "
    "plain tensors"
)


def _with_parameters(model: nn.Module, group: set[Member], trained: bool) -> nn.Module:
    """The statistics of the group's BatchNorms as parameters."""
    for name, _ in group:
        if _is_norm(model, name):
            norm = model.get_submodule(name)
            norm.running_mean = nn.Parameter(norm.running_mean, trained)
            norm.running_var = nn.Parameter(norm.running_var, trained)
    return model


@lab.mistake(STATISTICS_TRAINED)
def _(model, group, keep):
    return _with_parameters(prune_group(model, group, keep), group, trained=True)


@lab.mistake(STATISTICS_TRAINED)
def _(model, group, keep):
    return _with_parameters(prune_group(model, group, keep), group, trained=False)


@lab.mistake(STATISTICS_TRAINED)
def _(model, group, keep):
    made = _with_parameters(prune_group(model, group, keep), group, trained=False)
    for name, _ in group:
        if _is_norm(made, name):
            norm = made.get_submodule(name)
            norm.num_batches_tracked = nn.Parameter(norm.num_batches_tracked, False)
    return made


lab.mistake(
    "the parameters cannot be trained any more: wrap them in nn.Parameter",
    lambda *arguments: prune_group(*arguments).requires_grad_(False),
)


@lab.mistake("you changed the network you were given: begin with copy.deepcopy(model)")
def _(model, group, keep):
    made = prune_group(model, group, keep)
    for name, child in made.named_children():
        setattr(model, name, child)
    return model


@lab.exercise("7.5", points={"idea": 0, "any group": 0})  # ungraded
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
    "axis 1 means columns: you sum up the rows of every member",
    help="In a member with axis 1 a channel is a column of the weight, as in Lab 04's "
    "importance.",
)
def _(model, group):
    weights = [model.get_submodule(name).weight.detach() for name, _ in group]
    return sum(weight.reshape(len(weight), -1).square().sum(1) for weight in weights)


lab.mistake(
    "you return one number for the whole group: return one for each channel",
    lambda model, group: group_importance(model, group).sum(),
)


@lab.mistake("the columns that read the channel are missing: members of axis 1")
def _(model, group):
    return group_importance(model, {member for member in group if member[1] == 0})


@lab.mistake("the rows that make the channel are missing: members of axis 0")
def _(model, group):
    return group_importance(model, {member for member in group if member[1] == 1})


@lab.mistake(
    "the weights of the BatchNorms are missing: they belong to the channel too"
)
def _(model, group):
    layers = {(name, axis) for name, axis in group if not _is_norm(model, name)}
    return group_importance(model, layers)


lab.mistake(
    "you took the root: return the sum of the squares itself",
    lambda model, group: group_importance(model, group).sqrt(),
)
lab.mistake(
    "you add up norms: add up the squares",
    _adding(lambda part: part.square().sum().sqrt()),
)
lab.mistake(
    "you add up magnitudes: square the weights instead",
    _adding(lambda part: part.abs().sum()),
)
lab.mistake(
    "in a plain sum +1 and -1 cancel: square first",
    _adding(lambda part: part.sum()),
)
lab.mistake(
    "you add up first and square afterwards: square each weight",
    _adding(lambda part: part.sum().square()),
)


@lab.mistake("you divide by the mean: return the sums themselves")
def _(model, group):
    total = group_importance(model, group)
    return total / total.mean()


@lab.mistake("the biases are in the sum too: count only weight")
def _(model, group):
    total = group_importance(model, group)
    for name, axis in group:
        bias = model.get_submodule(name).bias
        if axis == 0 and bias is not None:
            total = total + bias.detach().square()
    return total


lab.mistake(
    "you take the mean of the squares in each member: take the sum",
    _adding(lambda part: part.square().mean()),
)
lab.mistake(
    "you take the mean over the members: take the sum",
    lambda model, group: group_importance(model, group) / len(group),
)
lab.mistake(
    "the numbers are right, but in float64: return float32, the type of the weights",
    lambda model, group: group_importance(model, group).double(),
)


ORDER = "these are channel numbers in order, from argsort: return the importances"
lab.mistake(ORDER, lambda model, group: group_importance(model, group).argsort())


@lab.mistake(ORDER)
def _(model, group):
    return group_importance(model, group).argsort(descending=True)


def _normalising(scale: Callable[[Tensor], Tensor]) -> Callable:
    """Divides the sums of each member by a number of its own, then adds them up."""

    def mistaken(model: nn.Module, group: set[Member]) -> Tensor:
        total = 0
        for member in sorted(group):
            sums = group_importance(model, {member})
            total = total + sums / scale(sums)
        return total

    return mistaken


for scale in (Tensor.sum, Tensor.mean, Tensor.max, torch.linalg.vector_norm):
    lab.mistake(
        "you normalise each member by itself: add up the plain sums of squares",
        _normalising(scale),
    )
