"""Checks of Lab 10, one shot: input norms, Wanda, one weight, a sweep of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.scenarios import distinct
from labcore.checks.engine.trial import Trial
from labcore.checks.engine.watch import handed
from labcore.lm import BYTES, TinyLM
from labcore.nets import MLP

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend

Norms = dict[str, Tensor]
Choose = Callable[[Tensor], Tensor]


@lab.exercise("10.1", points={"idea": 3, "any model": 2})
def input_norms(model: nn.Module, batches: Sequence[Tensor]) -> Norms:
    seen = _seen(model, batches, lambda layer, given, made: given)
    return {
        name: torch.cat(rows).double().square().sum(0).sqrt().float()
        for name, rows in seen.items()
    }


def _seen(model: nn.Module, batches: Sequence[Tensor], part: Callable) -> dict:
    """For each linear layer `part(layer, inputs, outputs)` of every call, as rows."""
    seen: dict[str, list[Tensor]] = {}
    hooks = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):

            def listen(layer, given, made, name=name):
                rows = part(layer, given[0], made).detach()
                seen.setdefault(name, []).append(rows.reshape(-1, rows.shape[-1]))

            hooks.append(layer.register_forward_hook(listen))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for hook in hooks:
        hook.remove()
    return seen


def _filled(model: nn.Module, ask: Trial) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(distinct(ask.rng, *parameter.shape, unit=0.1))
    return model.eval()


@lab.step("idea", "one layer, two rows")
def _(ask: Trial) -> None:
    model = nn.Sequential(_filled(nn.Linear(2, 3), ask))
    ask(model, [torch.tensor([[3.0, 0.0], [4.0, -2.0]])])


@lab.step("idea", "two layers")
def _(ask: Trial) -> None:
    model = _filled(MLP(inputs=2, hidden=(3,), classes=2), ask)
    ask(model, [torch.tensor([[1.0, 2.0], [2.0, -1.0]])])


@lab.step("idea", "several batches")
def _(ask: Trial) -> None:
    model = _filled(MLP(inputs=3, hidden=(2,), classes=2), ask)
    ask(model, [distinct(ask.rng, count, 3) for count in (2, 4, 1)])


@lab.step("any model", "a language model")
def _(ask: Trial) -> None:
    model = TinyLM(width=8, blocks=2, head=4, hidden=6).eval()
    ask(model, [_bytes(ask, 2, 5), _bytes(ask, 1, 3)])


@lab.step("any model", "other layers beside them")
def _(ask: Trial) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3), nn.LayerNorm(3)
    )
    ask(_filled(model, ask), [distinct(ask.rng, 2, 1, 4, 4, unit=0.1)])


@lab.step("any model", "one layer used twice")
def _(ask: Trial) -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    ask(_filled(model, ask), [distinct(ask.rng, 2, 3, unit=0.1)])


@lab.step("any model", "called twice")
def _(ask: Trial) -> None:
    model = _filled(MLP(inputs=2, hidden=(3,), classes=2), ask).train()
    for batch in (torch.ones(1, 2), torch.tensor([[2.0, 0.0]])):
        ask(model, [batch])
    hooks = [
        h for m in model.modules() for h in (m._forward_hooks, m._forward_pre_hooks)
    ]
    if left := sum(map(len, hooks)):
        ask.wrong(
            expected="a model without hooks, as it came",
            got=f"{left} hooks left behind after two calls",
            likely="call remove() on every hook when all batches are through",
        )
    if not model.training:
        ask.wrong(
            expected="a model in training mode, as it came",
            got="evaluation mode",
            likely="leave out model.eval(), or restore the mode at the end",
        )


def _bytes(ask: Trial, *shape: int) -> Tensor:
    return torch.randint(BYTES, shape, generator=ask.rng)


def _summed_up(part: Callable, combine: Callable) -> Callable:
    """A mistake: other rows (`part`), or another way to make one number of them."""

    def mistaken(model: nn.Module, batches: Sequence[Tensor]) -> Norms:
        seen = _seen(model, batches, part)
        return {name: combine(rows) for name, rows in seen.items()}

    return mistaken


def _inputs(layer: nn.Linear, given: Tensor, made: Tensor) -> Tensor:
    return given


def _norm(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(rows)).square().sum(0).sqrt()


lab.mistake(
    "these are norms of the outputs; a forward hook gets (layer, inputs, output): use "
    "inputs[0]",
    _summed_up(lambda layer, given, made: made, _norm),
)
lab.mistake(
    "these are sums of squares; take the square root",
    _summed_up(_inputs, lambda rows: _norm(rows).square()),
)
lab.mistake(
    "these are means of the squares under the root; a norm adds them up",
    _summed_up(_inputs, lambda rows: torch.cat(rows).square().mean(0).sqrt()),
)
lab.mistake(
    "these are means; a norm is the root of the sum of squares",
    _summed_up(_inputs, lambda rows: torch.cat(rows).mean(0)),
)
lab.mistake(
    "square each value before you add up",
    _summed_up(_inputs, lambda rows: torch.cat(rows).sum(0).abs()),
)
lab.mistake(
    "these are sums; a norm is the root of the sum of squares",
    _summed_up(_inputs, lambda rows: torch.cat(rows).sum(0)),
)
lab.mistake(
    "these are sums of magnitudes; a norm is the root of the sum of squares",
    _summed_up(_inputs, lambda rows: torch.cat(rows).abs().sum(0)),
)
lab.mistake(
    "this is one number for each row; add up over all rows, for each input by itself",
    _summed_up(_inputs, lambda rows: torch.cat(rows).norm(dim=1)),
)
lab.mistake(
    "this is one number for the whole layer; each input needs its own",
    _summed_up(_inputs, lambda rows: torch.cat(rows).norm()),
)
lab.mistake(
    "only the last batch counts here; add to what is there",
    lambda model, batches: input_norms(model, batches[-1:]),
)
lab.mistake(
    "only the first batch counts here; send all of them through",
    lambda model, batches: input_norms(model, batches[:1]),
)
lab.mistake(
    "these are norms of each batch, added up; add up the squares, and take the root "
    "at the end",
    _summed_up(_inputs, lambda rows: sum(_norm([each]) for each in rows)),
)
lab.mistake(
    "these are norms of the weight's columns; a hook sees what goes in",
    lambda model, batches: {
        name: layer.weight.detach().norm(dim=0)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    },
)


@lab.mistake("children() sees only the top level; named_modules() sees every layer")
def _(model, batches):
    direct = dict(model.named_children())
    return {n: v for n, v in input_norms(model, batches).items() if n in direct}


lab.help(
    "must match the size of tensor",
    "A hook that uses the variable of a loop sees its last value, so all hooks write "
    "to one place. Let a function make each hook: `def listen(name):`, with "
    "`def hook(layer, inputs):` inside.",
)


@lab.exercise("10.2", points={"rows": 3, "groups": 2})
def wanda_mask(
    weight: Tensor, norms: Tensor, sparsity: float, group: int | None = None
) -> Tensor:
    scores = weight.detach().abs() * norms
    mask = torch.ones(weight.shape, dtype=torch.bool)
    size = group or weight.shape[1]
    for row, of_row in enumerate(scores.tolist()):
        for start in range(0, len(of_row), size):
            places = range(start, start + size)
            lowest = sorted(places, key=lambda place: of_row[place])
            mask[row, lowest[: round(sparsity * size)]] = False
    return mask


def _weight_and_norms(ask: Trial, rows: int, inputs: int) -> tuple[Tensor, Tensor]:
    norms = 0.5 + 2 * torch.rand(inputs, generator=ask.rng)
    return distinct(ask.rng, rows, inputs, unit=0.1), norms


@lab.step("rows", "one row")
def _(ask: Trial) -> None:
    weight = torch.tensor([[-2.0, -4.0, -1.0, -5.0, 3.0, 6.0]])
    ask(weight, torch.tensor([3.0, 1.0, 5.0, 2.0, 5.0, 4.0]), 1 / 3)


@lab.step("rows", "each row loses as many")
def _(ask: Trial) -> None:
    weight = torch.tensor([[0.1, 0.4, -0.2, 0.3], [5.0, -8.0, 7.0, 6.0]])
    ask(weight, torch.tensor([3.0, 1.0, 1.0, 2.0]), 0.25)


@lab.step("rows", "random rows")
def _(ask: Trial) -> None:
    for rows, inputs, sparsity in ((2, 4, 0.5), (4, 7, 0.4), (4, 7, 0.3), (5, 5, 0.5)):
        ask(*_weight_and_norms(ask, rows, inputs), sparsity)


@lab.step("rows", "nothing and everything")
def _(ask: Trial) -> None:
    for sparsity in (0.0, 1.0):
        ask(*_weight_and_norms(ask, 2, 4), sparsity)


@lab.step("groups", "one of two")
def _(ask: Trial) -> None:
    weight = torch.tensor([[9.0, 4.0, 1.0, -2.0], [7.0, -1.0, 2.0, 4.0]])
    ask(weight, torch.tensor([1.0, 2.0, 3.0, 1.0]), 0.5, 2)


@lab.step("groups", "two of four")
def _(ask: Trial) -> None:
    for rows, inputs in ((1, 8), (4, 8)):
        ask(*_weight_and_norms(ask, rows, inputs), 0.5, 4)


@lab.step("groups", "as many rows as inputs")
def _(ask: Trial) -> None:
    ask(*_weight_and_norms(ask, 8, 8), 0.5, 4)


@lab.step("groups", "other groups")
def _(ask: Trial) -> None:
    for size, sparsity in ((2, 0.5), (8, 0.75), (5, 0.4)):
        ask(*_weight_and_norms(ask, 3, 2 * size), sparsity, size)


@lab.step("groups", "a parameter of a layer")
def _(ask: Trial) -> None:
    weight, norms = _weight_and_norms(ask, 2, 8)
    ask(nn.Parameter(weight), norms, 0.5, 4)


def _lowest_go(scores: Tensor, count: int) -> Tensor:
    """In each row of the scores, so many of the lowest go."""
    mask = torch.ones(scores.shape, dtype=torch.bool)
    return mask.scatter(1, scores.argsort(dim=1)[:, :count], False)


def _everywhere(scores: Tensor, sparsity: float) -> Tensor:
    """The places of the lowest of any row go in all rows."""
    mask = torch.ones(scores.shape, dtype=torch.bool)
    count = round(sparsity * scores.shape[1])
    mask[:, scores.argsort(dim=1)[:, :count].flatten()] = False
    return mask


def _ones(norms: Tensor) -> Tensor:
    return torch.ones_like(norms)


lab.mistake(
    "the norms play no part here: the score is |weight| times the norm of its input",
    lambda w, norms, s, g: wanda_mask(w, _ones(norms), s, g),
)
lab.mistake(
    "you divide by the norms; multiply",
    lambda w, norms, s, g: wanda_mask(w, 1 / norms, s, g),
)
lab.mistake(
    "the norms are squared here; the score is |weight| times the norm",
    lambda w, norms, s, g: wanda_mask(w, norms.square(), s, g),
)
lab.mistake(
    "take the magnitude: a large negative weight is not the least important one",
    lambda w, norms, s, g: wanda_mask(
        (w * norms) - (w * norms).min() + 1, _ones(norms), s, g
    ),
)
lab.mistake(
    "the mask is upside down: True means that a weight stays",
    lambda w, norms, s, g: ~wanda_mask(w, norms, s, g),
)
lab.mistake(
    "you keep as many weights as should go",
    lambda w, norms, s, g: wanda_mask(w, norms, 1 - s, g),
)
lab.mistake(
    "you keep the lowest scores; keep the largest",
    lambda w, norms, s, g: _lowest_go(
        -(w.abs() * norms).reshape(-1, g or w.shape[1]),
        round(s * (g or w.shape[1])),
    ).view(w.shape),
)
lab.mistake(
    "you rank all weights of the layer together; rank each row, or each group, by "
    "itself",
    lambda w, norms, s, g: wanda_mask(
        (w.abs() * norms).reshape(1, -1), torch.ones(w.numel()), s
    ).view(w.shape),
)
lab.mistake(
    "you rank down the columns; the weights of one output stand in a row",
    lambda w, norms, s, g: _lowest_go((w.abs() * norms).t(), round(s * w.shape[0])).t(),
)
lab.mistake(
    "mask[:, lowest] removes these inputs in every row; scatter_ writes row by row",
    lambda w, norms, s, g: _everywhere(
        (w.abs() * norms).reshape(-1, g or w.shape[1]), s
    ).view(w.shape),
)
lab.mistake(
    "the groups play no part here: with `group`, rank within each group of "
    "neighbouring inputs",
    lambda w, norms, s, g: wanda_mask(w, norms, s),
)


@lab.mistake("these groups run down the columns; a group is a run of inputs in a row")
def _(weight, norms, sparsity, group):
    if group is None:
        return wanda_mask(weight, norms, sparsity)
    scores = (weight.abs() * norms).t().contiguous()
    return wanda_mask(scores, torch.ones(len(weight)), sparsity, group).t()


@lab.mistake(
    "inputs that stand apart share a group here; a group is a run of neighbours: "
    "reshape(-1, group)"
)
def _(weight, norms, sparsity, group):
    size = group or weight.shape[1]
    order = torch.arange(weight.shape[1]).view(size, -1).t().flatten()
    found = wanda_mask(weight[:, order], norms[order], sparsity, size)
    return found[:, order.argsort()]


for _round in (int, lambda count: int(-(-count // 1))):
    lab.mistake(
        "the number that goes is round(sparsity * size), for each row or group",
        lambda w, norms, s, g, count=_round: _lowest_go(
            (w.abs() * norms).reshape(-1, g or w.shape[1]),
            count(s * (g or w.shape[1])),
        ).view(w.shape),
    )
lab.mistake(
    "round the number that goes, not the number that stays: half of five is 2 to go",
    lambda w, norms, s, g: _lowest_go(
        (w.abs() * norms).reshape(-1, g or w.shape[1]),
        (g or w.shape[1]) - round((1 - s) * (g or w.shape[1])),
    ).view(w.shape),
)
for _kind in (torch.float32, torch.int64, torch.uint8):
    lab.mistake(
        "return a bool mask, not numbers",
        lambda w, norms, s, g, kind=_kind: wanda_mask(w, norms, s, g).to(kind),
        help="Call `mask.bool()` at the end.",
    )
lab.mistake(
    "these are the weights that stay; return the mask, True where a weight stays",
    lambda w, norms, s, g: w.detach() * wanda_mask(w, norms, s, g),
)
lab.mistake(
    "the shape is lost: return the mask in the weight's shape",
    lambda w, norms, s, g: wanda_mask(w, norms, s, g).view(-1, g or w.shape[1]),
)
lab.mistake(
    "the shape is lost: return the mask in the weight's shape",
    lambda w, norms, s, g: wanda_mask(w, norms, s, g).flatten(),
)


@lab.exercise("10.3", points={"one": 3, "one after the other": 2})
def remove_one(w: Tensor, inverse: Tensor, p: int) -> tuple[Tensor, Tensor]:
    """By brute force: solve for the weights that stay, and invert what is left of H."""
    there = [i for i in range(len(w)) if inverse[i, i] > 1e-9]
    hessian = torch.zeros_like(inverse)
    hessian[_block(there)] = torch.linalg.inv(inverse[_block(there)])
    stay = [i for i in there if i != p]
    new, left = w.clone(), torch.zeros_like(inverse)
    new[p] = 0
    if stay:
        left[_block(stay)] = torch.linalg.inv(hessian[_block(stay)])
        new[stay] += left[stay][:, stay] @ hessian[stay, p] * w[p]
    return new, left


def _block(places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The index of these rows and columns."""
    at = torch.tensor(places)
    return at[:, None], at[None, :]


def _inverse(ask: Trial, size: int) -> Tensor:
    """The inverse of an H of inputs that go together."""
    inputs = torch.randn(3 * size, size, generator=ask.rng, dtype=torch.double)
    inputs += 0.7 * inputs[:, :1]
    return torch.linalg.inv(inputs.T @ inputs / len(inputs))


def _row(ask: Trial, size: int) -> Tensor:
    return distinct(ask.rng, size, unit=0.1).double()


@lab.step("one", "inputs that have nothing in common")
def _(ask: Trial) -> None:
    w = torch.tensor([1.0, 2.0, -3.0], dtype=torch.double)
    ask(w, torch.diag(torch.tensor([0.5, 1.0, 2.0], dtype=torch.double)), 1)


@lab.step("one", "two inputs that go together")
def _(ask: Trial) -> None:
    inverse = torch.tensor([[2.0, -1.0], [-1.0, 2.0]], dtype=torch.double)
    ask(torch.tensor([1.0, 2.0], dtype=torch.double), inverse, 0)


@lab.step("one", "any row")
def _(ask: Trial) -> None:
    for size in (3, 5, 8):
        p = torch.randint(size, (), generator=ask.rng).item()
        ask(_row(ask, size), _inverse(ask, size), p)


@lab.step("one after the other", "a second weight")
def _(ask: Trial) -> None:
    w, inverse = _row(ask, 4), _inverse(ask, 4)
    for p in (2, 0):
        w, inverse = ask(w, inverse, p)


@lab.step("one after the other", "until none is left")
def _(ask: Trial) -> None:
    w, inverse = _row(ask, 5), _inverse(ask, 5)
    for p in torch.randperm(5, generator=ask.rng).tolist():
        w, inverse = ask(w, inverse, p)


def _step(w: Tensor, inverse: Tensor, p: int) -> Tensor:
    return w - w[p] / inverse[p, p] * inverse[:, p]


def _left(inverse: Tensor, p: int) -> Tensor:
    return inverse - torch.outer(inverse[:, p], inverse[p]) / inverse[p, p]


def _emptied(inverse: Tensor, p: int) -> Tensor:
    new = inverse.clone()
    new[p], new[:, p] = 0, 0
    return new


def _without(p: int, w: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    stay = [i for i in range(len(w)) if i != p]
    return w[stay], inverse[_block(stay)]


def _zeroed(w: Tensor, p: int) -> Tensor:
    new = w.clone()
    new[p] = 0
    return new


lab.mistake(
    "the other weights stay as they were here; they have to make up for the one that "
    "goes",
    lambda w, inverse, p: (_zeroed(w, p), _left(inverse, p)),
)
lab.mistake(
    "the correction has the wrong sign: subtract it",
    lambda w, inverse, p: (
        w + w[p] / inverse[p, p] * inverse[:, p],
        _left(inverse, p),
    ),
)
lab.mistake(
    "the correction has the wrong sign: subtract it",
    lambda w, inverse, p: (
        _zeroed(w + w[p] / inverse[p, p] * inverse[:, p], p),
        _left(inverse, p),
    ),
)
lab.mistake(
    "divide by the diagonal element: inverse[p, p]",
    lambda w, inverse, p: (w - w[p] * inverse[:, p], _left(inverse, p)),
)
lab.mistake(
    "divide by the diagonal element: inverse[p, p]",
    lambda w, inverse, p: (_zeroed(w - w[p] * inverse[:, p], p), _left(inverse, p)),
)
lab.mistake(
    "divide the outer product by inverse[p, p]",
    lambda w, inverse, p: (
        _step(w, inverse, p),
        inverse - torch.outer(inverse[:, p], inverse[p]),
    ),
)
lab.mistake(
    "the inverse is as it was here; without input p it is another one",
    lambda w, inverse, p: (_step(w, inverse, p), inverse.clone()),
)
lab.mistake(
    "row and column p are zero, but the other elements have to change too: subtract "
    "the outer product",
    lambda w, inverse, p: (_step(w, inverse, p), _emptied(inverse, p)),
)
lab.mistake(
    "inverse[:, p] * inverse[p] multiplies element by element; torch.outer makes all "
    "products",
    lambda w, inverse, p: (
        _step(w, inverse, p),
        inverse - inverse[:, p] * inverse[p] / inverse[p, p],
    ),
)
lab.mistake(
    "these weights come from the new inverse, whose column p is zero; use the old one",
    lambda w, inverse, p: (
        w - w[p] / _left(inverse, p)[p, p] * _left(inverse, p)[:, p],
        _left(inverse, p),
    ),
)
lab.mistake(
    "place p is gone here; keep the shapes, with zeros at p",
    lambda w, inverse, p: _without(p, _step(w, inverse, p), _left(inverse, p)),
)
lab.mistake(
    "return both, the new weights and the new inverse",
    lambda w, inverse, p: _step(w, inverse, p),
)
lab.mistake(
    "return the weights first, then the inverse",
    lambda w, inverse, p: (_left(inverse, p), _step(w, inverse, p)),
)


@lab.exercise("10.4", points={"one block": 3, "block after block": 2})
def sweep(weight: Tensor, upper: Tensor, choose: Choose, block: int = 32) -> Tensor:
    """By brute force: for each column, invert what is left of H."""
    weight, hessian = weight.detach().clone(), torch.linalg.inv(upper.T @ upper)
    for start in range(0, weight.shape[1], block):
        columns = slice(start, start + block)
        kept = choose((weight[:, columns] / upper.diagonal()[columns]).square())
        for j, stays in enumerate(kept.T, start):
            inverse = torch.linalg.inv(hessian[j:, j:])
            lost = weight[:, j].where(~stays, 0)
            weight[:, j:] -= torch.outer(lost, inverse[0]) / inverse[0, 0]
            weight[~stays, j] = 0
    return weight


@handed
def half_of_each_row(scores: Tensor) -> Tensor:
    """True for the larger half of each row."""
    return _lowest_go(scores, scores.shape[1] // 2)


@handed
def half_of_the_block(scores: Tensor) -> Tensor:
    """True for the larger half of the block, over all rows."""
    return half_of_each_row(scores.reshape(1, -1)).view(scores.shape)


def _sweep(ask: Trial, rows: int, inputs: int, choose: Choose, block: int) -> None:
    weight = distinct(ask.rng, rows, inputs, unit=0.1).double()
    upper = torch.linalg.cholesky(_inverse(ask, inputs), upper=True)
    ask(weight, upper, choose, block)


@lab.step("one block", "inputs that have nothing in common")
def _(ask: Trial) -> None:
    upper = torch.diag(torch.tensor([4.0, 2.0, 0.5, 1.0], dtype=torch.double))
    weight = torch.tensor([[-6.0, -4.0, 5.0, -1.0]], dtype=torch.double)
    ask(weight, upper, half_of_each_row, 4)


@lab.step("one block", "two inputs that go together")
def _(ask: Trial) -> None:
    upper = torch.tensor([[2.0, -1.0], [0.0, 1.0]], dtype=torch.double)
    ask(torch.tensor([[1.0, 3.0]], dtype=torch.double), upper, half_of_each_row, 2)


@lab.step("one block", "several rows")
def _(ask: Trial) -> None:
    for rows, inputs in ((2, 4), (4, 6)):
        _sweep(ask, rows, inputs, half_of_the_block, inputs)


@lab.step("block after block", "two blocks")
def _(ask: Trial) -> None:
    for rows, block in ((1, 2), (3, 4)):
        _sweep(ask, rows, 2 * block, half_of_the_block, block)


@lab.step("block after block", "two of four")
def _(ask: Trial) -> None:
    for _ in range(3):
        _sweep(ask, 4, 12, half_of_each_row, 4)


@lab.step("block after block", "any blocks")
def _(ask: Trial) -> None:
    for rows, inputs, block in ((2, 6, 2), (5, 9, 3), (3, 7, 4), (4, 5, 8)):
        _sweep(ask, rows, inputs, half_of_the_block, block)


@lab.step("block after block", "exact zeros")
def _(ask: Trial) -> None:
    weight = distinct(ask.rng, 16, 32)
    upper = torch.linalg.cholesky(_inverse(ask, 32), upper=True).float()
    traces = (ask.call(weight, upper, half_of_each_row, 4) != 0).sum().item() - 16 * 16
    if traces > 0:
        ask.wrong(
            given="block = 4, a weight of shape (16, 32) in float32",
            expected="256 weights that are exactly zero",
            got=f"{traces} of them that are not",
            likely="rounding leaves traces; write zeros after the correction",
        )


def _swept(
    score: Callable = lambda w, diagonal: (w / diagonal).square(),
    correction: Callable = lambda u, j: u[j] / u[j, j],
    reach: Callable = lambda j, stop, inputs: slice(j, inputs),
    all_rows: bool = False,
    early: bool = False,
    zeros: bool = True,
) -> Callable:
    """A mistake: another score or correction, or one in other columns or rows.

    correction   of all columns, for a lost weight of 1 in column j
    reach        the columns that are corrected
    all_rows     weights that stay are treated as lost, too
    early        every mask is chosen before the first correction
    zeros        what goes is set to zero after its correction
    """

    def mistaken(weight: Tensor, upper: Tensor, choose: Choose, block: int) -> Tensor:
        before, weight = weight.detach(), weight.detach().clone()
        inputs = weight.shape[1]
        for start in range(0, inputs, block):
            stop = min(start + block, inputs)
            scored = (before if early else weight)[:, start:stop]
            kept = choose(score(scored, upper.diagonal()[start:stop]))
            for j in range(start, stop):
                lost = weight[:, j] * (all_rows | ~kept[:, j - start])
                columns = reach(j, stop, inputs)
                weight[:, columns] -= torch.outer(lost, correction(upper, j)[columns])
                weight[zeros & ~kept[:, j - start], j] = 0
        return weight

    return mistaken


lab.mistake(
    "no other weight makes up for what goes here: compute the error before you write "
    "zeros, and subtract error times upper[j, j:] from column j and all after it",
    _swept(reach=lambda j, stop, inputs: slice(j, j + 1)),
)
lab.mistake(
    "what goes is corrected within its block only; correct all columns from j on",
    _swept(reach=lambda j, stop, inputs: slice(j, stop)),
)
lab.mistake(
    "the columns after j make up for a weight that is still there: column j is "
    "corrected too, and becomes zero",
    _swept(reach=lambda j, stop, inputs: slice(j + 1, inputs), zeros=False),
)
lab.mistake(
    "the columns before j are settled; correct column j and those after it",
    _swept(
        correction=lambda u, j: (u.T @ u)[j] / (u.T @ u)[j, j],
        reach=lambda j, stop, inputs: slice(0, inputs),
    ),
)
lab.mistake(
    "the inverse knows all columns; row j of upper knows those from j on",
    _swept(correction=lambda u, j: (u.T @ u)[j] / (u.T @ u)[j, j]),
)
lab.mistake(
    "the weights that stay are removed as well here: where the mask is True, the error "
    "is 0",
    _swept(all_rows=True),
)
for _zeros in (True, False):
    lab.mistake(
        "the correction has the wrong sign: subtract it",
        _swept(correction=lambda u, j: -u[j] / u[j, j], zeros=_zeros),
    )
    lab.mistake(
        "the error is the lost weight divided by upper[j, j]",
        _swept(correction=lambda u, j: u[j], zeros=_zeros),
    )
    lab.mistake(
        "divide by upper[j, j] once, in the error; the row of upper stays as it is",
        _swept(correction=lambda u, j: u[j] / u[j, j].square(), zeros=_zeros),
    )
lab.mistake(
    "you choose for all columns at once; score and choose for each block by itself",
    lambda w, u, c, b: sweep(w, u, c, w.shape[1]),
)
lab.mistake(
    "you choose by magnitude; the score is the square of weight / diagonal",
    _swept(score=lambda w, diagonal: w.square()),
)
lab.mistake(
    "you choose by the sign as well; square the score",
    _swept(score=lambda w, diagonal: w / diagonal),
)
lab.mistake(
    "you multiply by the diagonal; the score is the square of weight / diagonal",
    _swept(score=lambda w, diagonal: (w * diagonal).square()),
)
lab.mistake(
    "the mask is turned around: choose returns True for what stays",
    lambda w, u, c, b: sweep(w, u, lambda scores: ~c(scores), b),
)
lab.mistake(
    "every mask is chosen before the first correction here; score a block's weights as "
    "they are when its turn comes",
    _swept(early=True),
)
