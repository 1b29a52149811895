"""Lab 05's checks, held against right and wrong answers."""

import copy
import math
import statistics
import time

import pytest
import torch
from answers import LabTests, verdict_on
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labcore import measure
from labcore.checks import lab05


def macs(model, inputs):
    total = 0

    def hook(layer, given, output):
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    handles = [
        m.register_forward_hook(hook)
        for m in model.modules()
        if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    return total


def macs_by_shapes(model, inputs):
    counts, handles = [], []

    def hook(layer, given, output):
        if isinstance(layer, nn.Linear):
            batch = given[0].numel() // layer.in_features
            counts.append(batch * layer.in_features * layer.out_features)
        elif isinstance(layer, nn.Conv2d):
            n, c_out, h, w = output.shape
            kh, kw = layer.kernel_size
            c_in = layer.in_channels // layer.groups
            counts.append(n * c_out * h * w * c_in * kh * kw)

    for module in model.modules():
        handles.append(module.register_forward_hook(hook))
    model(inputs)
    [handle.remove() for handle in handles]
    return sum(counts)


def macs_by_a_global_hook(model, inputs):
    total = [torch.zeros((), dtype=torch.long)]

    def hook(layer, given, output):
        if type(layer) in (nn.Conv2d, nn.Linear):
            weights = layer.weight.shape[1:].numel()
            total[0] = total[0] + output.numel() * weights

    handle = nn.modules.module.register_module_forward_hook(hook)
    model(inputs)
    handle.remove()
    return total[0]


def macs_of_square_kernels(model, inputs):
    total = 0

    def hook(layer, given, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            c_in = layer.in_channels // layer.groups
            total += output.numel() * c_in * layer.kernel_size[0] ** 2
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features

    handles = [m.register_forward_hook(hook) for m in model.modules()]
    model(inputs)
    for handle in handles:
        handle.remove()
    return total


def leave_the_hooks(model, inputs):
    counts = []
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            m.register_forward_hook(
                lambda m, _, out: counts.append(out.numel() * m.weight[0].numel())
            )
    model(inputs)
    return sum(counts)


def clear_all_hooks(model, inputs):
    found = leave_the_hooks(model, inputs)
    for m in model.modules():
        m._forward_hooks.clear()
    return found


def macs_by_torch(model, inputs):
    with FlopCounterMode(display=False) as counter:
        model(inputs)
    return counter.get_total_flops() // 2


def latency(models, dummy_input, n_warmup=20, n_test=100, clock=time.perf_counter):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for i in range(n_warmup + n_test):
            for name, model in models.items():
                model.eval()
                start = clock()
                model(dummy_input)
                end = clock()
                if i >= n_warmup:
                    times[name].append(end - start)
    torch.set_num_threads(threads)
    return {name: statistics.median(t) for name, t in times.items()}


def latency_in_other_turns(models, dummy_input, n_warmup, n_test, clock):
    """Warm-up apart, every other round backwards, torch's quantile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for model in models.values():
                model.eval()
                for _ in range(n_warmup):
                    model(dummy_input)
            times = {name: torch.zeros(n_test).double() for name in models}
            for i in range(n_test):
                for name in list(models)[:: 1 if i % 2 else -1]:
                    t = clock()
                    models[name](dummy_input)
                    times[name][i] = clock() - t
    finally:
        torch.set_num_threads(before)
    return {name: t.quantile(0.5) for name, t in times.items()}


@torch.no_grad()
def latency_by_sorting(models, dummy_input, n_warmup, n_test, clock):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pairs = []
    for _ in range(n_warmup + n_test):
        row = {}
        for name, model in models.items():
            model.train(False)
            begin = clock()
            model(dummy_input)
            row[name] = clock() - begin
        pairs.append(row)
    torch.set_num_threads(threads)
    kept = pairs[n_warmup:]
    medians = {}
    for n in models:
        ordered = sorted(row[n] for row in kept)
        medians[n] = (ordered[n_test // 2] + ordered[(n_test - 1) // 2]) / 2
    return medians


@torch.no_grad()
def latency_read_once_in_the_warm_up(models, dummy_input, n_warmup, n_test, clock):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for i in range(n_warmup + n_test):
        for name, model in models.items():
            model.eval()
            start = clock()
            model(dummy_input)
            if i >= n_warmup:
                times[name].append(clock() - start)
    torch.set_num_threads(threads)
    return {name: statistics.median(t) for name, t in times.items()}


@torch.no_grad()
def latency_around_the_loop(models, dummy_input, n_warmup, n_test, clock):
    times = {}
    for name, model in models.items():
        model.eval()
        for _ in range(n_warmup):
            model(dummy_input)
        start = clock()
        for _ in range(n_test):
            model(dummy_input)
        times[name] = (clock() - start) / n_test
    return times


def share_by_factors(macs, prune_ratio):
    *convs, classifier = macs
    left = classifier
    for i, count in enumerate(convs):
        inputs = 1 if i == 0 else 1 - prune_ratio
        outputs = 1 if i == len(convs) - 1 else 1 - prune_ratio
        left += count * inputs * outputs
    return left / sum(macs)


def share_by_places(macs, prune_ratio):
    if len(macs) == 2:
        return 1.0
    first, *between, last, classifier = macs
    keep = 1 - prune_ratio
    left = keep * first + keep**2 * sum(between) + keep * last + classifier
    return left / sum(macs)


def share_by_products(macs, prune_ratio):
    keep = [1.0] + [1 - prune_ratio] * (len(macs) - 2) + [1.0, 1.0]
    pairs = zip(keep[:-1], keep[1:], strict=True)
    left = sum(m * a * b for m, (a, b) in zip(macs, pairs, strict=True))
    return torch.tensor(left / sum(macs))


def ram_by_neighbours(layers, fused=False):
    stored = []
    before = ""
    for kind, shape in layers:
        values = 1
        for length in shape:
            values *= length
        if fused and kind == "pool" and before == "conv":
            stored.pop()
        stored.append(values)
        before = kind
    return max(4 * (a + b) for a, b in zip(stored, stored[1:], strict=False))


def ram_by_steps(layers, fused=False):
    """Walk from layer to layer and remember the peak."""
    peak, i = 0, 0
    while i + 1 < len(layers):
        into, out = layers[i], layers[i + 1]
        pooled = fused and i + 2 < len(layers) and layers[i + 2][0] == "pool"
        if pooled and out[0] == "conv":
            i, out = i + 1, layers[i + 2]
        values = torch.tensor(into[1]).prod() + torch.tensor(out[1]).prod()
        peak = max(peak, 4 * values.item())
        i += 1
    return peak


def ram_by_places(layers, fused=False):
    kinds = [kind for kind, _ in layers] + [""]
    kept = [
        math.prod(shape)
        for i, (kind, shape) in enumerate(layers)
        if not (fused and kind == "conv" and kinds[i + 1] == "pool")
    ]
    return torch.tensor(
        [4 * (kept[i] + kept[i + 1]) for i in range(len(kept) - 1)]
    ).max()


def train_first(model, inputs):
    model.train()
    return macs(model, inputs)


def train_and_back(model, inputs):
    model.train()
    found = macs_by_shapes(model, inputs)
    model.eval()
    return found


def latency_of_copies(models, dummy_input, n_warmup, n_test, clock):
    copies = {name: copy.deepcopy(model).eval() for name, model in models.items()}
    return latency(copies, dummy_input, n_warmup, n_test, clock)


def latency_with_a_block_for_each_call(models, dummy_input, n_warmup, n_test, clock):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(n_warmup + n_test):
        for name, model in models.items():
            model.eval()
            with torch.no_grad():
                start = clock()
                model(dummy_input)
                end = clock()
            times[name].append(end - start)
    torch.set_num_threads(threads)
    return {
        n: sum(sorted(t[n_warmup:])[(n_test - 1) // 2 : n_test // 2 + 1])
        / (2 - n_test % 2)
        for n, t in times.items()
    }


def no_grad_inside_the_span(models, dummy_input, n_warmup, n_test, clock):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for i in range(n_warmup + n_test):
        for name, model in models.items():
            model.eval()
            start = clock()
            with torch.no_grad():
                model(dummy_input)
            seconds = clock() - start
            if i >= n_warmup:
                times[name].append(seconds)
    torch.set_num_threads(threads)
    return {name: statistics.median(t) for name, t in times.items()}


@torch.no_grad()
def one_reading_for_two(models, dummy_input, n_warmup, n_test, clock):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for model in models.values():
        model.eval()
        for _ in range(n_warmup):
            model(dummy_input)
    last = clock()
    for _ in range(n_test):
        for name, model in models.items():
            model(dummy_input)
            now = clock()
            times[name].append(now - last)
            last = now
    torch.set_num_threads(threads)
    return {name: statistics.median(t) for name, t in times.items()}


RIGHT = {
    "get_model_macs": [
        ("hooks on layers", macs),
        ("by shapes", macs_by_shapes),
        ("a global hook", macs_by_a_global_hook),
    ],
    "measure_latency": [
        ("in one loop", latency),
        ("in other turns", latency_in_other_turns),
        ("by sorting", latency_by_sorting),
        ("of copies", latency_of_copies),
        ("the warm-up read once", latency_read_once_in_the_warm_up),
        ("a block for each call", latency_with_a_block_for_each_call),
    ],
    "predicted_share": [
        ("by factors", share_by_factors),
        ("by places", share_by_places),
        ("channels kept on both sides", share_by_products),
    ],
    "peak_ram": [
        ("neighbours", ram_by_neighbours),
        ("step by step", ram_by_steps),
        ("by places", ram_by_places),
    ],
}

ONE_LAYER, HOOKS = "one linear layer", "hooks removed"
CALLS_IT = "that function does what this exercise asks you to write"
UNCHANGED, EVAL = "the model stays as it is", "train() lets BatchNorm change"

WRONG = {
    "get_model_macs": [
        ("hooks left", leave_the_hooks, HOOKS, "keep every handle"),
        ("all hooks taken off", clear_all_hooks, HOOKS, "remove only your own hooks"),
        (
            "square windows",
            macs_of_square_kernels,
            "any convolution",
            "a convolution's window need not be square",
        ),
        ("training mode", train_first, UNCHANGED, EVAL),
        ("training mode and back", train_and_back, UNCHANGED, EVAL),
        ("labcore's counter", measure.macs, ONE_LAYER, CALLS_IT),
        ("torch's counter", macs_by_torch, ONE_LAYER, CALLS_IT),
    ],
    "measure_latency": [
        (
            "the clock around the loop",
            latency_around_the_loop,
            "warm-up left out",
            "one slow call shifts the mean",
        ),
        (
            "no_grad inside the span",
            no_grad_inside_the_span,
            "always as fast",
            "you timed torch.no_grad() too",
        ),
        (
            "one reading for two",
            one_reading_for_two,
            "always as fast",
            "one reading ends a call and starts the next",
        ),
    ],
    "peak_ram": [
        ("from memory", lambda layers, fused=False: 196608, "a small network", None),
    ],
}


class TestLab05(LabTests):
    lab, right, wrong = lab05, RIGHT, WRONG


@pytest.fixture(autouse=True)
def settings_stay():
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_a_convolution_is_shown_by_what_decides_its_macs():
    given = " ".join(
        verdict_on(
            lab05.EXERCISES["get_model_macs"], "with groups, one output"
        ).message.split()
    )
    assert "model = Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), groups=2)" in given


def test_the_lent_clock_needs_no_more_than_models_and_an_input():
    measured = lab05.lend("measure_latency")({"a": nn.Linear(2, 2)}, torch.zeros(1, 2))
    assert list(measured) == ["a"]
