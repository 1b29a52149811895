"""Checks of Lab 05: multiply-adds, a fair timer, the square law, peak RAM."""

from __future__ import annotations

import functools
import io
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from labcore.checks.engine.exercise import REFUSED, Lab
from labcore.checks.engine.trial import Trial
from labcore.checks.lab05 import machine
from labcore.nets import VGG, LeNet, ResNet8

__all__ = ["EXERCISES", "lend"]

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


@lab.step("idea", "zeros in a convolution")
def _(ask: Trial) -> None:
    model, x = _conv(2, 3, 3, padding=1)
    model[0].weight.data[0, 0] = 0
    ask(model, x)


@lab.step("idea", "the model stays as it is")
def _(ask: Trial) -> None:
    model, _ = _blocks()
    x = torch.ones(2, 2, 5, 5)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    ask.call(model, x)
    after = model.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    if changed or model.training:
        ask.wrong(
            given="a network in eval mode, with BatchNorm",
            expected="the same network in eval mode afterwards",
            got=f"{changed[0]} has changed" if changed else "training mode",
            likely="train() lets BatchNorm change its statistics; leave eval mode on",
        )


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
    likely = (
        "keep every handle that register_forward_hook() returns; call remove() on each"
    )
    if left == 0:
        likely = (
            "remove only your own hooks: call remove() on what register_forward_hook() "
            "returned"
        )
    ask.wrong(
        given="a network that already has one hook, which is not yours",
        expected="the same one hook afterwards",
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

    ask(*_conv(2, 3, (3, 1)))
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
    "you counted each weight once; a convolution uses it at every position",
    _counting(lambda layer, given, output: layer.weight.numel()),
)
lab.mistake(
    "you counted twice as many: one multiply-add is one MAC (FLOPs count it as two), "
    "and the model runs only once",
    _counting(lambda *call: 2 * _macs_of(*call)),
)
lab.mistake(
    "the total is still 0; has each layer its hook, does the hook add to the total, "
    "and does the model run?",
    lambda model, inputs: 0,
)


@lab.mistake("leave out the bias; it is added, not multiplied")
@_counting
def _(layer, given, output):
    bias = output.numel() if layer.bias is not None else 0
    return _macs_of(layer, given, output) + bias


NONZERO = "count all weights; a layer multiplies by its zeros too"


@lab.mistake(NONZERO)
@_counting
def _(layer, given, output):
    return output.numel() * layer.weight[0].count_nonzero().item()


@lab.mistake(NONZERO)
@_counting
def _(layer, given, output):
    return output[0, 0].numel() * layer.weight.count_nonzero().item()


lab.mistake(
    "you multiplied all outputs by all weights; each output uses only its own weights",
    _counting(lambda layer, given, output: output.numel() * layer.weight.numel()),
)
lab.mistake(
    "you counted the outputs; multiply by the number of weights that each one uses",
    _counting(lambda layer, given, output: output.numel()),
)


@lab.mistake("count convolutions and linear layers only; leave out BatchNorm")
def _(model, inputs):
    def count(layer, given, output):
        if isinstance(layer, nn.BatchNorm2d):
            return output.numel()
        return _macs_of(layer, given, output)

    return _total(model, inputs, count)


@lab.mistake("you returned the last layer only; add up all layers")
def _(model, inputs):
    counts = []

    def note(layer, given, output):
        counts.append(_macs_of(layer, given, output))
        return 0

    _total(model, inputs, note)
    return next((count for count in reversed(counts) if count), 0)


@lab.mistake(
    "children() stops at the first level; modules() also finds layers inside blocks",
)
def _(model, inputs):
    return _total(model, inputs, _macs_of, lambda model: list(model.children()))


@lab.mistake("use the positions of the output; stride and padding change their number")
@_counting
def _(layer, given, output):
    outputs = output[0].numel()
    if given.dim() == 4:  # an output channel, but with the input's size
        outputs = given[0, 0].numel() * output.shape[1]
    return outputs * len(output) * layer.weight[0].numel()


lab.mistake(
    "with groups, one output reads only in_channels / groups channels",
    _counting(
        lambda layer, *call: _macs_of(layer, *call) * getattr(layer, "groups", 1)
    ),
)


@lab.mistake(
    "a layer that is called twice counts twice; add to the total, do not overwrite",
    help=("A dictionary by layer keeps only the last call. Add to a sum instead."),
)
def _(model, inputs):
    by_layer: dict[nn.Module, int] = {}

    def note(layer, given, output):
        by_layer[layer] = _macs_of(layer, given, output)
        return 0

    _total(model, inputs, note)
    return sum(by_layer.values())


@lab.mistake("you counted one image; every image of the batch counts")
@_counting
def _(layer, given, output):
    return _macs_of(layer, given, output) // len(output)


@lab.mistake("a linear layer runs for every image; multiply by their number")
@_counting
def _(layer, given, output):
    if isinstance(layer, nn.Linear):
        return layer.weight.numel()
    return _macs_of(layer, given, output)


@lab.mistake("a convolution's window need not be square; use its height and its width")
@_counting
def _(layer, given, output):
    if isinstance(layer, nn.Linear):
        return _macs_of(layer, given, output)
    inputs = layer.in_channels // layer.groups
    return output.numel() * inputs * layer.kernel_size[0] ** 2


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
    switch_timed: bool = False,
    exit_timed: bool = False,
    one_read: bool = False,
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
        if one_read:
            for model in models.values():
                model.eval()
        with torch.set_grad_enabled(gradients):
            start = clock()
            for name in order:
                if not (eval_timed or one_read):
                    models[name].train(not eval_mode)
                if switch_timed:
                    torch.set_grad_enabled(True)
                if not one_read:
                    start = clock()
                if eval_timed:
                    models[name].eval()
                if switch_timed:
                    torch.set_grad_enabled(False)
                models[name](dummy_input)
                if exit_timed:
                    torch.set_grad_enabled(True)
                end = clock()
                times[name].append(end - start)
                start = end
        torch.set_num_threads(before if threads_back else 1)
        torch.set_grad_enabled(gradients_back)
        first = 0 if count_all else max(0, n_warmup + left_out_too)
        return {name: summary(t[first:]) for name, t in times.items()}

    return mistaken


def _once_a_round(each_ends: bool) -> Callable:
    """A clock that starts once a round, and ends after each call or after all."""

    def mistaken(models, dummy_input, n_warmup, n_test, clock):
        times: dict[str, list[float]] = {name: [] for name in models}
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.no_grad():
            for model in models.values():
                model.eval()
            for number in range(n_warmup + n_test):
                start, seconds = clock(), {}
                for name, model in models.items():
                    model(dummy_input)
                    if each_ends:
                        seconds[name] = clock() - start
                whole = seconds or dict.fromkeys(models, clock() - start)
                if number >= n_warmup:
                    for name in models:
                        times[name].append(whole[name])
        torch.set_num_threads(before)
        return {name: statistics.median(t) for name, t in times.items()}

    return mistaken


lab.mistake(
    "call each model n_warmup times before the calls that count",
    _measuring(warm_up=False),
)
lab.mistake(
    "you counted the warm-up; leave out the first n_warmup calls",
    _measuring(count_all=True),
)
lab.mistake(
    "you left out one call too many; leave out the first n_warmup, and no more",
    _measuring(left_out_too=1),
)
lab.mistake(
    "you counted the last call of the warm-up; leave out all n_warmup of them",
    _measuring(left_out_too=-1),
)


@lab.mistake("read the time from the argument: clock()")
def _(models, dummy_input, n_warmup, n_test, clock):
    return measure_latency(models, dummy_input, n_warmup, n_test, lambda: 0.0)


lab.mistake(
    "one slow call shifts the mean; take the median",
    _measuring(statistics.mean),
)
lab.mistake("the fastest call is not the typical one; take the median", _measuring(min))
lab.mistake(
    "you took the lower of the two values in the middle; for an even number of calls "
    "the median is their mean",
    _measuring(statistics.median_low),
)
lab.mistake(
    "you took the upper of the two values in the middle; for an even number of calls "
    "the median is their mean",
    _measuring(statistics.median_high),
)
lab.mistake("you added up all calls; take their median", _measuring(sum))

lab.mistake(
    "you timed a whole round; read the clock before and after each single call",
    _once_a_round(each_ends=False),
)
lab.mistake(
    "the clock starts once a round; start it again before each call",
    _once_a_round(each_ends=True),
)
lab.mistake(
    "return seconds, as the clock gives them, not milliseconds",
    _measuring(lambda t: 1000 * statistics.median(t)),
)

lab.mistake(
    "switch each model to eval mode; call model.eval()", _measuring(eval_mode=False)
)
lab.mistake(
    "gradients are recorded during the calls; put the calls under torch.no_grad()",
    _measuring(gradients=True),
)
lab.mistake(
    "gradients stay off afterwards; `with torch.no_grad():` switches them on again",
    _measuring(gradients_back=False),
)
lab.mistake(
    "the models run on several threads; call torch.set_num_threads(1) first",
    _measuring(one_thread=False),
)
lab.mistake(
    "the number of threads stays at 1; set it back to what it was before",
    _measuring(threads_back=False),
)
lab.mistake(
    "you called one model after the other; in each round call every model once",
    _measuring(in_turns=False),
    help=(
        "The check's pretended computer becomes slow halfway, so only the model that "
        "is called last looks slow."
    ),
)
lab.mistake(
    "you timed model.eval() too; call it before you read the clock",
    _measuring(eval_timed=True),
)

NO_GRAD_TIMED = "you timed torch.no_grad() too; put it around the loops"
lab.mistake(NO_GRAD_TIMED, _measuring(switch_timed=True))
lab.mistake(NO_GRAD_TIMED, _measuring(switch_timed=True, exit_timed=True))
lab.mistake(
    NO_GRAD_TIMED,
    _measuring(eval_timed=True, switch_timed=True, exit_timed=True),
)
lab.mistake(
    "one reading ends a call and starts the next; read the clock twice for each call",
    _measuring(one_read=True),
)
lab.mistake(
    "one reading ends a call and starts the next; read the clock twice for each call",
    _measuring(one_read=True, eval_timed=True),
)


@lab.exercise("5.3", points={"idea": 3, "any network": 1})
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
    "you returned the share that is removed; return the share that is left",
    lambda macs, ratio: 1 - predicted_share(macs, ratio),
)
lab.mistake(
    "you returned a number of MACs; divide it by all MACs",
    lambda macs, ratio: predicted_share(macs, ratio) * sum(macs),
)
lab.mistake(
    "you returned a percentage; return a share from 0 to 1",
    lambda macs, ratio: 100 * predicted_share(macs, ratio),
)
lab.mistake(
    "divide by the sum of all MACs, the classifier's included",
    lambda macs, ratio: predicted_share(macs, ratio) * sum(macs) / sum(macs[:-1]),
)
lab.mistake(
    "add the classifier's MACs to what is left",
    lambda macs, ratio: predicted_share(macs, ratio) - macs[-1] / sum(macs),
)
lab.mistake(
    "the classifier is missing; add its MACs to what is left and to all MACs",
    lambda macs, ratio: predicted_share([*macs[:-1], 0], ratio),
)
lab.mistake(
    "not every layer loses inputs and outputs; look at the first convolution, the last "
    "convolution and the classifier",
    lambda macs, ratio: (1 - ratio) ** 2,
    help="$(1 - p)^2$ is right only for the convolutions in the middle.",
)
lab.mistake(
    "a layer between two convolutions loses inputs and outputs; that makes two factors",
    lambda macs, ratio: 1 - ratio,
)
lab.mistake(
    "you let every convolution lose inputs and outputs; the first one reads the whole "
    "image, the last one keeps its outputs",
    _powers(lambda n: [2] * (n - 1) + [0]),
)
lab.mistake(
    "the first convolution reads the whole image; only its outputs become fewer",
    _powers(lambda n: [2] * (n - 2) + [1, 0]),
)
lab.mistake(
    "the last convolution keeps its outputs; only its inputs become fewer",
    _powers(lambda n: [1] + [2] * (n - 2) + [0]),
)
lab.mistake(
    "the classifier loses nothing; it reads all outputs of the last convolution",
    _powers(lambda n: [1] + [2] * (n - 3) + [1, 1]),
)
lab.mistake(
    "the last convolution loses inputs only, and the classifier nothing",
    _powers(lambda n: [1] + [2] * (n - 2) + [1]),
)
lab.mistake(
    "the first convolution loses outputs and the last one inputs; you left both whole",
    _powers(lambda n: [0] + [2] * (n - 3) + [0, 0] if n > 2 else [0, 0]),
)
lab.mistake(
    "you kept the share that is removed; if a share p goes, 1 - p is left",
    lambda macs, ratio: predicted_share(macs, 1 - ratio),
)
lab.mistake(
    "if a share p goes, 1 - p is left; you have 1 + p",
    lambda macs, ratio: predicted_share(macs, -ratio),
)
lab.mistake(
    "only the classifier is in your sum; add what is left of each convolution",
    lambda macs, ratio: macs[-1] / sum(macs),
)
lab.mistake(
    "the inputs become fewer as well, but for the first convolution's",
    _powers(lambda n: [1] * (n - 2) + [0, 0]),
)
lab.mistake(
    "the outputs become fewer as well, but for the last convolution's",
    _powers(lambda n: [0] + [1] * (n - 2) + [0]),
)
lab.mistake(
    "a convolution in the middle loses inputs and outputs; that makes two factors",
    _powers(lambda n: [1] * (n - 1) + [0]),
)
ONLY_ONE = "a single convolution is the first and the last one; it loses nothing"
for pair in ([1, 0], [2, 0], [1, 1], [0, 1], [2, 1]):
    lab.mistake(
        ONLY_ONE,
        _powers(
            lambda n, pair=pair: [1] + [2] * (n - 3) + [1, 0] if n > 2 else pair,
        ),
    )

Layers = Sequence[tuple[str, tuple[int, ...]]]


@lab.exercise("5.4", points={"idea": 3, "fused": 3})
def peak_ram(layers: Layers, fused: bool = False) -> int:
    sizes: list[int] = []
    before = ""
    for kind, shape in layers:
        values = math.prod(shape)
        if fused and kind == "pool" and before == "conv":
            sizes[-1] = values  # the convolution's own output is never stored
        else:
            sizes.append(values)
        before = kind
    return 4 * max(a + b for a, b in zip(sizes, sizes[1:], strict=False))


ONE = [("input", (1, 4, 4)), ("conv", (2, 4, 4))]
SMALL = [
    ("input", (3, 4, 4)),
    ("conv", (2, 4, 4)),
    ("pool", (2, 2, 2)),
    ("linear", (44,)),
    ("linear", (6,)),
]
APART = [
    ("input", (2, 4, 4)),
    ("conv", (4, 4, 4)),
    ("pool", (4, 1, 1)),
    ("conv", (60, 1, 1)),
    ("linear", (3,)),
]
LARGE_IMAGE = [("input", (3, 8, 8)), ("conv", (2, 4, 4)), ("conv", (6, 4, 4))]
BLOCK = [
    ("input", (1, 8, 8)),
    ("conv", (4, 8, 8)),
    ("pool", (4, 4, 4)),
    ("conv", (8, 4, 4)),
    ("linear", (10,)),
]
ON_IMAGE = [("input", (1, 8, 8)), ("pool", (1, 4, 4)), ("conv", (2, 4, 4))]
TWICE = [
    ("input", (1, 4, 4)),
    ("conv", (8, 4, 4)),
    ("pool", (8, 2, 2)),
    ("pool", (8, 1, 1)),
    ("linear", (3,)),
]


def _vgg(width: int) -> list[tuple[str, tuple[int, ...]]]:
    """The layers of the course's VGG for one image of 32 x 32."""
    found, side = [("input", (1, 32, 32))], 32
    for i, multiple in enumerate(VGG.MULTIPLES):
        found.append(("conv", (width * multiple, side, side)))
        if i in VGG.POOL_AFTER:
            side //= 2
            found.append(("pool", (width * multiple, side, side)))
    return [*found, ("mean", (found[-1][1][0],)), ("linear", (10,))]


def _drawn(ask: Trial) -> list[tuple[str, tuple[int, ...]]]:
    """Layers of random sizes, pools after convolutions and after others."""

    def some(low: int, high: int) -> int:
        return torch.randint(low, high, (), generator=ask.rng).item()

    side = some(6, 10)
    found = [("input", (some(1, 4), side, side))]
    for _ in range(some(3, 8)):
        kind, channels = ("conv", "pool")[some(0, 2)], found[-1][1][0]
        if kind == "pool":
            side = max(1, side // 2)
        else:
            channels = some(1, 12)
        found.append((kind, (channels, side, side)))
    return [*found, ("mean", (found[-1][1][0],)), ("linear", (some(2, 12),))]


lab.step("idea", "a small network", lambda ask: ask(SMALL))
lab.step("idea", "one layer", lambda ask: ask(ONE))
lab.step("idea", "large ones apart", lambda ask: ask(APART))
lab.step("idea", "a large image", lambda ask: ask(LARGE_IMAGE))
lab.step("idea", "not fused", lambda ask: ask(BLOCK, False))


@lab.step("idea", "random layers")
def _(ask: Trial) -> None:
    for _ in range(8):
        ask(_drawn(ask))


lab.step("fused", "a pool after a convolution", lambda ask: ask(BLOCK, True))
lab.step("fused", "a pool on the image", lambda ask: ask(ON_IMAGE, True))
lab.step("fused", "a pool after a pool", lambda ask: ask(TWICE, True))
lab.step("fused", "a pool at the end", lambda ask: ask(BLOCK[:3], True))


@lab.step("fused", "random layers, fused")
def _(ask: Trial) -> None:
    for _ in range(8):
        ask(_drawn(ask), True)


@lab.step("fused", "whole networks")
def _(ask: Trial) -> None:
    for width in (4, 16):
        ask(_vgg(width), False)
        ask(_vgg(width), True)


def _of_sizes(read: Callable[[list[int]], float]) -> Callable:
    """Another summary of the stored numbers of values, which are right."""
    return lambda layers, fused: read(_sizes(layers, fused))


def _sizes(layers: Layers, fused: bool) -> list[int]:
    kinds = ["", *(kind for kind, _ in layers)]
    found: list[int] = []
    for before, (kind, shape) in zip(kinds, layers, strict=False):
        if fused and kind == "pool" and before == "conv":
            found.pop()
        found.append(math.prod(shape))
    return found


def _pairs(sizes: Sequence[int]) -> int:
    return max(a + b for a, b in zip(sizes, sizes[1:], strict=False))


lab.mistake(
    "you returned a number of values; each of them takes 4 bytes",
    _of_sizes(_pairs),
)
lab.mistake(
    "you returned KiB; return bytes",
    _of_sizes(lambda sizes: 4 * _pairs(sizes) / 1024),
)
lab.mistake(
    "a float32 value takes 4 bytes, that is 32 bits; return bytes",
    _of_sizes(lambda sizes: 32 * _pairs(sizes)),
)
lab.mistake(
    "you returned the largest entry alone; a layer needs its input and its output",
    _of_sizes(lambda sizes: 4 * max(sizes)),
)
lab.mistake(
    "you returned the largest output alone; the layer's input is in memory as well",
    _of_sizes(lambda sizes: 4 * max(sizes[1:])),
)
lab.mistake(
    "you added up all activations; only a layer's input and output are needed together",
    _of_sizes(lambda sizes: 4 * sum(sizes)),
    help=("When a layer has run, the memory of its input is used again."),
)
lab.mistake(
    "you added the two largest activations; add those of neighbours only",
    _of_sizes(lambda sizes: 4 * sum(sorted(sizes)[-2:])),
)
lab.mistake(
    "you added three neighbours; a layer needs its input and its output only",
    _of_sizes(lambda s: 4 * max(sum(s[i : i + 3]) for i in range(len(s) - 1))),
)
lab.mistake(
    "the image is missing; it is the input of the first layer",
    _of_sizes(lambda sizes: 4 * _pairs(sizes[1:])),
)
lab.mistake(
    "you returned the smallest need; the peak is the largest",
    _of_sizes(lambda s: 4 * min(a + b for a, b in zip(s, s[1:], strict=False))),
)
lab.mistake(
    "you paired the first entry with the last; the image has no layer before it",
    _of_sizes(lambda s: 4 * max(a + b for a, b in zip(s, [s[-1], *s], strict=False))),
)
lab.mistake(
    "you took the last pair of neighbours; take the largest of all pairs",
    _of_sizes(lambda sizes: 4 * (sizes[-2] + sizes[-1])),
)
lab.mistake(
    "you fused although fused is False; then a pool is a layer like any other",
    lambda layers, fused: peak_ram(layers, True),
)
lab.mistake(
    "you counted the output of a convolution before a pool; if fused is True, only the "
    "pooled values are stored",
    lambda layers, fused: peak_ram(layers, False),
)
lab.mistake(
    "you dropped the pooled values; they are stored, not the convolution's own output",
    lambda layers, fused: peak_ram([x for x in layers if not fused or x[0] != "pool"]),
)


@lab.mistake(
    "fuse only a pool right after a convolution; others are layers of their own"
)
def _(layers, fused):
    sizes: list[int] = []
    for kind, shape in layers:
        if fused and kind == "pool":
            sizes[-1] = math.prod(shape)
        else:
            sizes.append(math.prod(shape))
    return 4 * _pairs(sizes)


@lab.mistake(
    "fuse only a pool right after a convolution; others are layers of their own"
)
def _(layers, fused):
    """A pool after a pool is fused with both."""
    sizes: list[int] = []
    for kind, shape in layers:
        if fused and kind == "pool" and len(sizes) > 1:
            sizes[-1] = math.prod(shape)
        else:
            sizes.append(math.prod(shape))
    return 4 * _pairs(sizes)


@lab.mistake("you dropped every convolution; drop only the output that a pool reads")
def _(layers, fused):
    return peak_ram([x for x in layers if not fused or x[0] != "conv"])
