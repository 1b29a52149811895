"""Checks of Lab 05, latency and MACs: counting, timing, the square law, a choice."""

from __future__ import annotations

import functools
import io
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import REFUSED, Lab
from labcore.checks.engine.trial import Trial, Wrong
from labcore.checks.lab05 import machine
from labcore.checks.lab05.devices import CANDIDATES, DEVICES, TABLES
from labcore.nets import VGG, LeNet, ResNet8

__all__ = ["CANDIDATES", "DEVICES", "EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


@lab.exercise(
    "5.1",
    points={"idea": 3, "any layer": 2},
    refused=(*REFUSED, "torch.utils.flop_counter"),
)
def get_model_macs(model: nn.Module, inputs: Tensor) -> int:
    return _total(model, inputs, _macs_of)


def _total(
    model: nn.Module,
    inputs: Tensor,
    count: Callable[[nn.Module, Tensor, Tensor], int],
    layers: Callable[[nn.Module], list] = lambda model: list(model.modules()),
) -> int:
    """The sum of count(layer, its input, its output) over all calls of layers."""
    total = 0

    def hook(layer, given, output):
        nonlocal total
        total += count(layer, given[0], output)

    handles = [layer.register_forward_hook(hook) for layer in layers(model)]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total


def _macs_of(layer: nn.Module, given: Tensor, output: Tensor) -> int:
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return 0
    return output.numel() * layer.weight[0].numel()  # the weights of one output


def _conv(*args, **kwargs) -> tuple[nn.Module, Tensor]:
    """A convolution and an image for it."""
    conv = nn.Conv2d(*args, **kwargs)
    return nn.Sequential(conv).eval(), torch.zeros(1, conv.in_channels, 8, 6)


def _blocks() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(2, 3, 1),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    return model.eval(), torch.zeros(1, 2, 5, 5)


@lab.step("idea", "one linear layer")
def _(ask: Trial) -> None:
    layer = nn.Linear(6, 4)
    layer.weight.data[:, :3] = 0
    ask(nn.Sequential(layer), torch.zeros(1, 6))


lab.step("idea", "one convolution", lambda ask: ask(*_conv(2, 3, 3, padding=1)))
lab.step("idea", "layers in blocks", lambda ask: ask(*_blocks()))


@lab.step("any layer", "hooks removed")
def _(ask: Trial) -> None:
    model, x = _blocks()
    silent = io.StringIO()  # not ours: the answer must not call our functions
    model[0].register_forward_hook(functools.partial(print, file=silent))
    ask.call(model, x)
    left = sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()
    )
    if left == 1:
        return
    likely = "keep what register_forward_hook() returns, and call .remove()"
    if left == 0:
        likely = (
            "remove your own hooks only: .remove() of what register_forward_hook() "
            "returned"
        )
    ask.wrong(
        given="a network with one hook of somebody else's",
        expected="that one hook on it afterwards",
        got=f"{left} hooks",
        likely=likely,
    )


lab.step("any layer", "no padding", lambda ask: ask(*_conv(2, 3, 3)))
lab.step("any layer", "stride", lambda ask: ask(*_conv(2, 3, 3, 2, padding=1)))
lab.step("any layer", "groups", lambda ask: ask(*_conv(4, 6, 3, groups=2)))


@lab.step("any layer", "a layer called twice")
def _(ask: Trial) -> None:
    layer = nn.Linear(4, 4)
    ask(nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(4, 2)), torch.zeros(1, 4))


@lab.step("any layer", "three images")
def _(ask: Trial) -> None:
    model, _ = _blocks()
    ask(model, torch.zeros(3, 2, 5, 5))


@lab.step("any layer", "any convolution")
def _(ask: Trial) -> None:
    def some(low: int, high: int) -> int:
        return torch.randint(low, high, (), generator=ask.rng).item()

    for _ in range(5):
        groups = some(1, 4)
        model = nn.Conv2d(
            groups * some(1, 4),
            groups * some(1, 4),
            (some(1, 4), some(1, 4)),
            stride=some(1, 4),
            padding=some(0, 3),
            groups=groups,
            bias=bool(some(0, 2)),
        )
        ask(model.eval(), torch.zeros(1, model.in_channels, 9, 7))


@lab.step("any layer", "whole networks")
def _(ask: Trial) -> None:
    for model in (VGG(2, in_channels=1), LeNet(), ResNet8(width=2)):
        ask(model.eval(), torch.zeros(1, 1, 32, 32))


def _counting(count: Callable[[nn.Module, Tensor, Tensor], float]) -> Callable:
    """Another count for convolutions and linear layers; the rest still counts 0."""

    def of_layer(layer: nn.Module, given: Tensor, output: Tensor) -> float:
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            return 0
        return count(layer, given, output)

    return lambda model, inputs: _total(model, inputs, of_layer)


lab.mistake(
    "that counts each weight once; a convolution uses it at every position",
    _counting(lambda layer, given, output: layer.weight.numel()),
)
lab.mistake(
    "that is twice as many: a multiply-add is one MAC (two operations would be "
    "FLOPs), and the model runs once",
    _counting(lambda *call: 2 * _macs_of(*call)),
)


@lab.mistake("the bias is added, not multiplied")
@_counting
def _(layer, given, output):
    bias = output.numel() if layer.bias is not None else 0
    return _macs_of(layer, given, output) + bias


@lab.mistake("a dense kernel multiplies by zeros too: count all weights")
@_counting
def _(layer, given, output):
    return output[0, 0].numel() * layer.weight.count_nonzero().item()


lab.mistake(
    "that counts outputs; each one costs as many MACs as it has weights",
    _counting(lambda layer, given, output: output.numel()),
)


@lab.mistake(
    "conventions differ: here convolutions and linear layers count, "
    "BatchNorm and the rest do not"
)
def _(model, inputs):
    def count(layer, given, output):
        if isinstance(layer, nn.BatchNorm2d):
            return output.numel()
        return _macs_of(layer, given, output)

    return _total(model, inputs, count)


@lab.mistake("that is the last layer alone; add up all of them")
def _(model, inputs):
    counts = []

    def note(layer, given, output):
        counts.append(_macs_of(layer, given, output))
        return 0

    _total(model, inputs, note)
    return next((count for count in reversed(counts) if count), 0)


@lab.mistake(
    "children() stops at the first level; modules() goes into blocks",
    help="`model.modules()` walks through all levels, and names each module once.",
)
def _(model, inputs):
    return _total(model, inputs, _macs_of, lambda model: list(model.children()))


@lab.mistake("count the positions of the output; stride and padding change them")
@_counting
def _(layer, given, output):
    outputs = output[0].numel()
    if given.dim() == 4:  # an output channel, but with the input's size
        outputs = given[0, 0].numel() * output.shape[1]
    return outputs * len(output) * layer.weight[0].numel()


lab.mistake(
    "with groups an output sees only in_channels / groups channels",
    _counting(
        lambda layer, *call: _macs_of(layer, *call) * getattr(layer, "groups", 1)
    ),
)


@lab.mistake(
    "a layer that is called twice counts twice: add up, do not overwrite",
    help=(
        "The hook runs at every call. Add to a sum; a dictionary by layer "
        "would keep only the last call."
    ),
)
def _(model, inputs):
    by_layer: dict[nn.Module, int] = {}

    def note(layer, given, output):
        by_layer[layer] = _macs_of(layer, given, output)
        return 0

    _total(model, inputs, note)
    return sum(by_layer.values())


@lab.mistake("every image of the batch counts")
@_counting
def _(layer, given, output):
    return _macs_of(layer, given, output) // len(output)


@lab.exercise("5.2", points={"idea": 2, "fair": 3})
def measure_latency(
    models, dummy_input, n_warmup=20, n_test=100, clock=time.perf_counter
):
    times: dict[str, list[float]] = {name: [] for name in models}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for number in range(n_warmup + n_test):
            for name, model in models.items():
                model.eval()
                start = clock()
                model(dummy_input)
                seconds = clock() - start
                if number >= n_warmup:
                    times[name].append(seconds)
    torch.set_num_threads(before)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


STEADY = {"a": [2.0], "b": [3.0]}  # seconds for each call; the last repeats
SLOW_START = {
    "a": [9.0, 9.0, 9.0, 9.0, 6.0, 2.0, 3.0],
    "b": [8.0, 8.0, 8.0, 8.0, 5.0, 1.0, 2.0],
}
INTERRUPTED = {"a": [60.0, 2.5, 2.0, 1.5, 2.0], "b": [90.0, 3.0, 1.0, 3.5, 4.0]}
EVEN = {"a": [50.0, 1.0, 4.0, 2.0], "b": [70.0, 3.0, 8.0, 2.0]}


def _pretend(seconds: Mapping[str, Sequence[float]], n_warmup: int, n_test: int):
    names = ("seconds", "n_warmup", "n_test")
    return lambda ask: ask.through(
        machine.medians, seconds, n_warmup, n_test, names=names
    )


def _noted(scenario: Callable, *counts: int) -> Callable[[Trial], None]:
    names = ("n_warmup", "n_test", "threads before")
    return lambda ask: ask.through(scenario, *counts, names=names)


lab.step("idea", "calls", _noted(machine.clock_read, 2, 3))
lab.step("idea", "always as fast", _pretend(STEADY, 0, 3))
lab.step("idea", "warm-up left out", _pretend(SLOW_START, 4, 3))
lab.step("idea", "interruptions", _pretend(INTERRUPTED, 0, 5))
lab.step("idea", "an even number of calls", _pretend(EVEN, 0, 4))


@lab.step("idea", "random durations")
def _(ask: Trial) -> None:
    for _ in range(3):
        n_warmup, half = torch.randint(1, 4, (2,), generator=ask.rng).tolist()
        n_test = 2 * half + 1
        draws = torch.randint(1, 30, (2, n_warmup + n_test), generator=ask.rng)
        seconds = dict(zip("ab", (draws / 4).tolist(), strict=True))
        _pretend(seconds, n_warmup, n_test)(ask)


lab.step("fair", "eval mode", _noted(machine.modes, 2, 3))
lab.step("fair", "no gradients", _noted(machine.gradients, 2, 3))
lab.step("fair", "one thread", _noted(machine.threads, 2, 3, 2))


@lab.step("fair", "in turns")
def _(ask: Trial) -> None:
    names = ("seconds", "n_test", "slow from call")
    ask.through(machine.busy, STEADY, 9, 8, names=names)


lab.step("fair", "only the call timed", _pretend(STEADY, 0, 1))


def _measuring(
    summary: Callable = statistics.median,
    warm_up: bool = True,
    count_all: bool = False,
    in_turns: bool = True,
    eval_mode: bool = True,
    gradients: bool = False,
    one_thread: bool = True,
    threads_back: bool = True,
    gradients_back: bool = True,
    left_out_too: int = 0,
    eval_timed: bool = False,
) -> Callable:
    """A measurement that is right except for what the arguments say."""

    def mistaken(models, dummy_input, n_warmup, n_test, clock):
        n_warmup = n_warmup if warm_up else 0
        rounds = range(n_warmup + n_test)
        order = [name for _ in rounds for name in models]
        if not in_turns:
            order = [name for name in models for _ in rounds]
        times: dict[str, list[float]] = {name: [] for name in models}
        before = torch.get_num_threads()
        torch.set_num_threads(1 if one_thread else before)
        with torch.set_grad_enabled(gradients):
            for name in order:
                if not eval_timed:
                    models[name].train(not eval_mode)
                start = clock()
                models[name].train(not eval_mode)
                models[name](dummy_input)
                times[name].append(clock() - start)
        torch.set_num_threads(before if threads_back else 1)
        torch.set_grad_enabled(gradients_back)
        first = 0 if count_all else max(0, n_warmup + left_out_too)
        return {name: summary(t[first:]) for name, t in times.items()}

    return mistaken


def _of_medians(change: Callable[[dict], dict]) -> Callable:
    """The right medians, changed."""
    return lambda *arguments: change(measure_latency(*arguments))


lab.mistake("n_warmup calls of each model come first", _measuring(warm_up=False))
lab.mistake(
    "the first n_warmup calls are not to be counted", _measuring(count_all=True)
)
lab.mistake(
    "one call too many is left out: the first n_warmup, not one more",
    _measuring(left_out_too=1),
)
lab.mistake(
    "the last call of the warm-up is counted still", _measuring(left_out_too=-1)
)


@lab.mistake("the time comes from the argument: clock()")
def _(models, dummy_input, n_warmup, n_test, clock):
    return measure_latency(models, dummy_input, n_warmup, n_test, lambda: 0.0)


lab.mistake(
    "the mean follows one interrupted call; take the median",
    _measuring(statistics.mean),
)
lab.mistake("the fastest call is not the typical one; take the median", _measuring(min))
lab.mistake(
    "of an even number the median is the mean of the two in the middle; that is "
    "the lower one",
    _measuring(statistics.median_low),
)
lab.mistake(
    "of an even number the median is the mean of the two in the middle; that is "
    "the upper one",
    _measuring(statistics.median_high),
)
lab.mistake("that is the sum of all calls", _measuring(sum))

lab.mistake(
    "read the clock before and after each single call, not around a round",
    _of_medians(lambda t: dict.fromkeys(t, sum(t.values()))),
)
lab.mistake(
    "the clock starts anew before each call, not once a round",
    _of_medians(lambda t: dict(zip(t, itertools.accumulate(t.values()), strict=True))),
)
lab.mistake(
    "asked is seconds, as the clock gives them",
    _of_medians(lambda t: {name: 1000 * seconds for name, seconds in t.items()}),
)

lab.mistake("model.eval() is missing", _measuring(eval_mode=False))
lab.mistake("with torch.no_grad(): is missing", _measuring(gradients=True))
lab.mistake(
    "gradients have to be recorded again afterwards; `with torch.no_grad():` sees "
    "to it",
    _measuring(gradients_back=False),
)
lab.mistake("torch.set_num_threads(1) is missing", _measuring(one_thread=False))
lab.mistake(
    "the number of threads has to be put back afterwards",
    _measuring(threads_back=False),
    help=(
        "The number of threads belongs to the whole process: without it the "
        "rest of this notebook would run on one."
    ),
)
lab.mistake(
    "one model after the other: a busy moment hits only one of them. In each "
    "round call every model once",
    _measuring(in_turns=False),
    help=(
        "The check's computer becomes slow half way. If all calls of one "
        "model come last, that model alone looks slow."
    ),
)
lab.mistake(
    "model.eval() takes time too: call it before the clock is read",
    _measuring(eval_timed=True),
)


@lab.exercise("5.3", points={"idea": 2, "any network": 1})
def predicted_share(macs: Sequence[int], prune_ratio: float) -> float:
    *convs, classifier = macs
    left = float(classifier)
    for i, count in enumerate(convs):
        if i > 0:  # fewer inputs, unless they are the image's
            count *= 1 - prune_ratio
        if i < len(convs) - 1:  # fewer outputs, unless the classifier reads them
            count *= 1 - prune_ratio
        left += count
    return left / sum(macs)


lab.step("idea", "four layers", lambda ask: ask([120, 400, 200, 30], 0.25))
lab.step("idea", "nothing removed", lambda ask: ask([120, 400, 200, 30], 0.0))


@lab.step("idea", "random layers")
def _(ask: Trial) -> None:
    for _ in range(5):
        layers = torch.randint(3, 10, (), generator=ask.rng).item()
        macs = torch.randint(1, 1000, (layers,), generator=ask.rng).tolist()
        ask(macs, torch.rand((), generator=ask.rng).item())


lab.step("any network", "two convolutions", lambda ask: ask([300, 700, 10], 0.3))
lab.step("any network", "one convolution", lambda ask: ask([300, 10], 0.3))


def _powers(exponents: Callable[[int], list[int]]) -> Callable:
    """The share left if layer i scaled with (1 - ratio) to the i-th exponent."""

    def mistaken(macs: Sequence[int], prune_ratio: float) -> float:
        powers = exponents(len(macs))
        left = (m * (1 - prune_ratio) ** e for m, e in zip(macs, powers, strict=True))
        return sum(left) / sum(macs)

    return mistaken


lab.mistake(
    "that is the share that goes; asked is what is left",
    lambda macs, ratio: 1 - predicted_share(macs, ratio),
)
lab.mistake(
    "those are MACs; divide by all MACs",
    lambda macs, ratio: predicted_share(macs, ratio) * sum(macs),
)
lab.mistake(
    "that is in percent; asked is a share",
    lambda macs, ratio: 100 * predicted_share(macs, ratio),
)
lab.mistake(
    "the classifier's MACs are left, too",
    lambda macs, ratio: predicted_share(macs, ratio) - macs[-1] / sum(macs),
)
lab.mistake(
    "the classifier belongs to what is left and to all MACs",
    lambda macs, ratio: predicted_share([*macs[:-1], 0], ratio),
)
lab.mistake(
    "not every layer loses inputs and outputs: look at the first, the last "
    "convolution and the classifier",
    lambda macs, ratio: (1 - ratio) ** 2,
    help="$(1 - p)^2$ is right for the layers in the middle only.",
)
lab.mistake(
    "each layer between two convolutions loses inputs and outputs: a square",
    lambda macs, ratio: 1 - ratio,
)
lab.mistake(
    "two convolutions lose on one side only: the first reads the whole image, "
    "the last keeps its outputs",
    _powers(lambda n: [2] * (n - 1) + [0]),
)
lab.mistake(
    "the first convolution still reads the whole image",
    _powers(lambda n: [2] * (n - 2) + [1, 0]),
)
lab.mistake(
    "the last convolution keeps its outputs, for the classifier",
    _powers(lambda n: [1] + [2] * (n - 2) + [0]),
)
lab.mistake(
    "the classifier loses nothing", _powers(lambda n: [1] + [2] * (n - 3) + [1, 1])
)
lab.mistake(
    "the last convolution loses inputs, the classifier nothing",
    _powers(lambda n: [1] + [2] * (n - 2) + [1]),
)
lab.mistake(
    "a share p goes, so 1 - p is left",
    lambda macs, ratio: predicted_share(macs, 1 - ratio),
)
lab.mistake(
    "one convolution alone is the first and the last: it keeps both",
    _powers(lambda n: [1] + [2] * (n - 3) + [1, 0] if n > 2 else [1, 0]),
)


@lab.exercise("5.4", points={"idea": 1, "any curve": 1})
def break_even(speedups: Mapping[float, float]) -> float | None:
    found = None
    for sparsity in sorted(speedups, reverse=True):
        if speedups[sparsity] < 1:
            break
        found = sparsity
    return found


lab.step("idea", "always", lambda ask: ask({0.5: 1.7, 0.8: 2.4}))
lab.step("idea", "a rising curve", lambda ask: ask({0.5: 0.3, 0.8: 0.9, 0.9: 1.6}))


@lab.step("idea", "random curves")
def _(ask: Trial) -> None:
    for _ in range(6):
        gains = (0.4 + torch.rand(6, generator=ask.rng).cumsum(0) / 2).tolist()
        ask({(i + 1) / 10: gain for i, gain in enumerate(gains)})


lab.step("any curve", "exactly 1", lambda ask: ask({0.5: 0.5, 0.8: 1.0, 0.9: 2.0}))
lab.step("any curve", "never", lambda ask: ask({0.5: 0.2, 0.8: 0.4, 0.9: 0.8}))
lab.step(
    "any curve",
    "a dip",
    lambda ask: ask({0.5: 0.8, 0.6: 1.1, 0.7: 0.9, 0.8: 1.2, 0.9: 2.0}),
)
lab.step("any curve", "from zero on", lambda ask: ask({0.0: 1.0, 0.5: 2.0}))
lab.step("any curve", "any order", lambda ask: ask({0.5: 0.4, 0.9: 3.0, 0.8: 1.2}))

lab.mistake(
    "that is the speed-up; asked is the sparsity",
    lambda speedups: speedups[break_even(speedups)],
)


@lab.mistake("start at the largest sparsity: where it pays at all, it pays there")
def _(speedups):
    found = None
    for sparsity in sorted(speedups):
        if speedups[sparsity] < 1:
            break
        found = sparsity
    return found


@lab.mistake("there it is still slower; the next one is asked")
def _(speedups):
    below = (sparsity for sparsity, gain in speedups.items() if gain < 1)
    return max(below, default=min(speedups))


@lab.mistake("a speed-up of exactly 1 counts: >= and not >")
def _(speedups):
    return break_even({s: gain if gain > 1 else 0.0 for s, gain in speedups.items()})


@lab.mistake("it falls below 1 again later; from there on it has to stay")
def _(speedups):
    pays = (sparsity for sparsity, gain in speedups.items() if gain >= 1)
    return min(pays, default=None)


def _instead_of_none(value: float) -> Callable:
    def mistaken(speedups: Mapping[float, float]) -> float:
        found = break_even(speedups)
        return value if found is None else found

    return mistaken


lab.mistake("where it never pays, the answer is None", _instead_of_none(1.0))
lab.mistake("where it never pays, the answer is None, not 0", _instead_of_none(0.0))
lab.mistake(
    "a sparsity of 0 is an answer, but false in an `if`: ask whether it is None",
    lambda speedups: break_even(speedups) or None,
)


@lab.mistake("the dictionary may be in any order: sort the sparsities")
def _(speedups):
    found = None
    for sparsity, gain in speedups.items():
        if gain < 1:
            found = None
        elif found is None:
            found = sparsity
    return found


Row = Mapping[str, float]


@lab.exercise("5.5", points={"idea": 2, "any table": 3})
def choose(device: Row, candidates: Mapping[str, Row]) -> str | None:
    best = None
    for name, network in candidates.items():
        size, milliseconds = _on(device, network)
        in_time = milliseconds <= device["deadline_ms"]
        fits = size <= device["flash_kib"] * 1024
        if in_time and fits:
            if best is None or network["accuracy"] > candidates[best]["accuracy"]:
                best = name
    return best


def _on(device: Row, network: Row) -> tuple[float, float]:
    """(bytes, milliseconds) of a network on a device."""
    if _skips(device, network):
        size = device["bytes_per_nonzero"] * network["parameters"] * network["kept"]
        macs = device["nonzero_cost"] * network["macs"] * network["kept"]
    else:
        size = 4 * network["parameters"]
        macs = network["macs"]
    return size, macs / device["macs_per_ms"]


def _skips(device: Row, network: Row) -> bool:
    """Whether the device skips zeros that the network has."""
    kernels = device["skips_zeros"] or (device["skips_groups"] and network["groups"])
    return bool(kernels) and network["kept"] < 1


def _of(ask: Trial, device: Row, candidates: Mapping[str, Row]) -> None:
    """Ask; where the choice is wrong, show the figures that decide and no others."""
    try:
        ask(dict(device), _shuffled(ask, candidates))
    except Wrong as wrong:
        if "given" not in wrong.lines:
            raise
        named = {
            repr(name): (name, row)
            for name, row in candidates.items()
            if repr(name) in (wrong.lines["expected"], wrong.lines["got"])
        }
        lines = {**wrong.lines, "given": _rates(device)}
        raise Wrong(_figures(device, named, wrong.lines), **lines) from None


def _shuffled(ask: Trial, rows: Mapping[str, Row]) -> dict[str, dict]:
    order = torch.randperm(len(rows), generator=ask.rng).tolist()
    names = list(rows)
    return {names[i]: dict(rows[names[i]]) for i in order}


def _rates(device: Row) -> str:
    """The device's figures but for its limits, in a line."""
    rates = ("macs_per_ms", "bytes_per_nonzero", "nonzero_cost")
    skipping = [name for name in ("skips_zeros", "skips_groups") if device[name]]
    return ", ".join(
        [f"{name} {_plain(device[name])}" for name in rates]
        + [" and ".join(skipping) or "no zeros skipped"]
    )


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _figures(device: Row, named: Mapping[str, tuple], lines: Mapping) -> list[str]:
    """The limits, and below them what the expected and the given network need."""
    head = f"  {'figures':9} {'':19}{'KiB':>10}{'ms':>12}  accuracy   kept  groups"
    limits = (
        f"{'limits':19}{device['flash_kib']:10,.1f}{_plain(device['deadline_ms']):>12}"
    )
    rows = [head, " " * 12 + limits]
    for label in ("expected", "got"):
        if lines[label] in named:
            name, network = named[lines[label]]
            size, ms = _on(device, network)
            rows.append(
                f"  {label:9} {name:19}{size / 1024:10,.1f}{_plain(ms):>12}"
                f"{network['accuracy']:10.1f}{network['kept']:7.3g}"
                f"  {'yes' if network['groups'] else 'no'}"
            )
    return rows


def _table(title: str) -> tuple[str, Callable[[Trial], None]]:
    """Title and body of a step that asks about one table."""
    return title, lambda ask: _of(ask, *TABLES[title])


def _device(name: str) -> Callable[[Trial], None]:
    return lambda ask: _of(ask, DEVICES[name], CANDIDATES)


lab.step("idea", *_table("room for all"))
lab.step("idea", *_table("the flash"))
lab.step("idea", *_table("the deadline"))
lab.step("idea", "the microcontroller", _device("microcontroller"))
lab.step("idea", "the phone", _device("phone CPU"))
lab.step("idea", "the accelerator", _device("accelerator"))


@lab.step("any table", "nothing fits")
def _(ask: Trial) -> None:
    _of(ask, DEVICES["microcontroller"] | {"flash_kib": 8}, CANDIDATES)


lab.step("any table", *_table("exactly the flash"))
lab.step("any table", *_table("exactly the deadline"))
lab.step("any table", *_table("bytes for each nonzero"))
lab.step("any table", *_table("bytes for nonzeros only"))
lab.step("any table", *_table("fewer bytes than dense"))
lab.step("any table", *_table("groups without kernels"))
lab.step("any table", *_table("kernels without groups"))


@lab.step("any table", "other tables")
def _(ask: Trial) -> None:
    """Devices between and beyond the three, networks under other names."""
    for number in range(24):
        base = list(DEVICES.values())[number % 3]
        draw = torch.rand(8, generator=ask.rng).tolist()
        device = base | {
            "flash_kib": 16 * 2 ** (10 * draw[0]),
            "deadline_ms": base["deadline_ms"] * 4 ** (2 * draw[1] - 1),
            "skips_zeros": draw[2] < 0.4,
            "skips_groups": draw[3] < 0.5,
            "nonzero_cost": 1 + 9 * draw[4],
            "bytes_per_nonzero": 4 + 4 * draw[5],
        }
        rows = list(_shuffled(ask, CANDIDATES).values())
        for row in rows:
            row["accuracy"] += 4 * torch.rand((), generator=ask.rng).item()
        _of(ask, device, {f"network {i + 1}": row for i, row in enumerate(rows)})


def _with_device(**changes) -> Callable:
    """The right choice for a device that differs in these figures."""
    return lambda device, candidates: choose({**device, **changes}, candidates)


def _scaled(**factors: float) -> Callable:
    """The right choice for a device whose figures are these multiples."""
    return lambda device, candidates: choose(
        device | {name: device[name] * factor for name, factor in factors.items()},
        candidates,
    )


lab.mistake(
    "this device skips no zeros: it stores and multiplies every parameter",
    _with_device(skips_zeros=True, bytes_per_nonzero=4.0, nonzero_cost=1.0),
    help=(
        "Without such kernels a masked network is as large and as slow as a dense one."
    ),
)
lab.mistake(
    "two limits count, the flash and the deadline",
    _with_device(flash_kib=math.inf, deadline_ms=math.inf),
)
lab.mistake("the flash counts too", _with_device(flash_kib=math.inf))
lab.mistake(
    "the size is in bytes, the flash has flash_kib * 1024 of them",
    _scaled(flash_kib=1 / 1024),
)
lab.mistake("a KiB has 1024 bytes, not 1000", _scaled(flash_kib=1000 / 1024))
lab.mistake("the deadline counts too", _with_device(deadline_ms=math.inf))
lab.mistake(
    "macs / macs_per_ms is in milliseconds already: do not multiply by 1000",
    _scaled(deadline_ms=1 / 1000),
)
lab.mistake(
    "macs / macs_per_ms is in milliseconds already: do not divide by 1000",
    _scaled(deadline_ms=1000),
)
lab.mistake(
    "a network as large as the flash still fits: <= and not <",
    _scaled(flash_kib=1 - 1e-9),
)
lab.mistake(
    "a network that takes all of deadline_ms is still in time: <= and not <",
    _scaled(deadline_ms=1 - 1e-9),
)


@lab.mistake("a network without zeros (kept = 1) runs densely on every device")
def _(device, candidates):
    below = math.nextafter(1.0, 0.0)
    rows = {n: {**c, "kept": min(c["kept"], below)} for n, c in candidates.items()}
    return choose(device, rows)


lab.mistake(
    "one nonzero takes bytes_per_nonzero bytes, not 4",
    _with_device(bytes_per_nonzero=4.0),
)


def _with_bytes(count: Callable[[Row, Row], float]) -> Callable:
    """The right choice but for the bytes of a network whose zeros are skipped."""

    def mistaken(device: Row, candidates: Mapping[str, Row]) -> str | None:
        fitting = {}
        for name, row in candidates.items():
            size = count(device, row) if _skips(device, row) else 4 * row["parameters"]
            if size <= device["flash_kib"] * 1024:
                fitting[name] = row
        return choose({**device, "flash_kib": math.inf}, fitting)

    return mistaken


lab.mistake(
    "only nonzeros are stored: parameters * kept of them",
    _with_bytes(lambda device, row: device["bytes_per_nonzero"] * row["parameters"]),
)
lab.mistake(
    "where zeros are skipped they are not stored either: the bytes are "
    "bytes_per_nonzero * parameters * kept",
    _with_bytes(lambda device, row: 4 * row["parameters"]),
)

lab.mistake(
    "groups help only on a device that has skips_groups",
    _with_device(skips_groups=True),
)
lab.mistake(
    "a nonzero takes nonzero_cost dense multiply-adds",
    _with_device(nonzero_cost=1.0),
    help=(
        "Only nonzeros are multiplied, `macs * kept` of them, but each "
        "takes `nonzero_cost` times as long."
    ),
)
lab.mistake(
    "this device's kernels skip zeros; then only nonzeros cost",
    _with_device(skips_zeros=False, skips_groups=False),
)


@lab.mistake("kernels for groups skip only zeros that come in groups")
def _(device, candidates):
    anywhere = device["skips_zeros"] or device["skips_groups"]
    return choose({**device, "skips_zeros": anywhere}, candidates)


def _least(cost: Callable[[Row, Row], float]) -> Callable:
    """Of the networks that fit and are in time, the one with the least cost."""

    def mistaken(device: Row, candidates: Mapping[str, Row]) -> str | None:
        possible = [n for n in candidates if choose(device, {n: candidates[n]})]
        return min(possible, key=lambda n: cost(device, candidates[n]), default=None)

    return mistaken


lab.mistake(
    "of those that fit and are in time, the most accurate is asked, not the fastest",
    _least(lambda device, network: _on(device, network)[1]),
)
lab.mistake(
    "of those that fit and are in time, the most accurate is asked, not the smallest",
    _least(lambda device, network: _on(device, network)[0]),
)
