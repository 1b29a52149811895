"""Lab 05's checks, held against right and wrong answers."""

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


def break_even_from_the_end(speedups):
    found = None
    for sparsity in sorted(speedups, reverse=True):
        if speedups[sparsity] < 1:
            break
        found = sparsity
    return found


def break_even_by_all(speedups):
    points = sorted(speedups)
    for i, sparsity in enumerate(points):
        if all(speedups[later] >= 1 for later in points[i:]):
            return sparsity
    return None


def break_even_by_max(speedups):
    below = [s for s in speedups if speedups[s] < 1]
    above = [s for s in speedups if s > max(below, default=-1)]
    return min(above) if above else None


def pick_by_filters(device, candidates, nothing=None):
    possible = {}
    for name, n in candidates.items():
        size, work = 4 * n["parameters"], n["macs"]
        if n["kept"] < 1 and (
            device["skips_zeros"] or (device["skips_groups"] and n["groups"])
        ):
            size = device["bytes_per_nonzero"] * n["parameters"] * n["kept"]
            work *= n["kept"] * device["nonzero_cost"]
        if size > 1024 * device["flash_kib"]:
            continue
        if work > device["macs_per_ms"] * device["deadline_ms"]:
            continue
        possible[name] = n["accuracy"]
    return max(possible, key=possible.get) if possible else nothing


def pick_the_best(device, candidates):
    best = None
    for name, network in candidates.items():
        size, macs = 4 * network["parameters"], network["macs"]
        skips = device["skips_zeros"] or (device["skips_groups"] and network["groups"])
        if skips and network["kept"] < 1:
            nonzeros = network["parameters"] * network["kept"]
            size = nonzeros * device["bytes_per_nonzero"]
            macs *= network["kept"] * device["nonzero_cost"]
        fits = size <= device["flash_kib"] * 1024
        if fits and macs / device["macs_per_ms"] <= device["deadline_ms"]:
            if best is None or network["accuracy"] > candidates[best]["accuracy"]:
                best = name
    return best


def pick_by_a_list(device, candidates):
    def bytes_and_ms(n):
        skipping = [device["skips_zeros"], device["skips_groups"] and n["groups"]]
        if n["kept"] != 1 and any(skipping):
            nonzeros, effective = n["parameters"] * n["kept"], n["macs"] * n["kept"]
            return (
                nonzeros * device["bytes_per_nonzero"],
                effective * device["nonzero_cost"] / device["macs_per_ms"],
            )
        return n["parameters"] * 4, n["macs"] / device["macs_per_ms"]

    ranked = sorted(candidates, key=lambda n: candidates[n]["accuracy"], reverse=True)
    for name in ranked:
        size, ms = bytes_and_ms(candidates[name])
        if size / 1024 <= device["flash_kib"] and ms <= device["deadline_ms"]:
            return name


def pick_from_memory(device, candidates):
    """The right answers for the three devices, known by heart."""
    if device["flash_kib"] <= 256:
        return "75 % channels cut"
    if device["skips_groups"]:
        return "2 of 4 zero"
    return "30 % channels cut"


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
    ],
    "predicted_share": [
        ("by factors", share_by_factors),
        ("by places", share_by_places),
        ("channels kept on both sides", share_by_products),
    ],
    "break_even": [
        ("from the end", break_even_from_the_end),
        ("all later ones", break_even_by_all),
        ("after the last below", break_even_by_max),
    ],
    "choose": [
        ("the best so far", pick_the_best),
        ("the best of those possible", pick_by_filters),
        ("the first that will do", pick_by_a_list),
    ],
}

ONE_LAYER, HOOKS = "one linear layer", "hooks removed"
CALLS_IT = "the exercise asks for just what that function does"

WRONG = {
    "get_model_macs": [
        ("hooks left", leave_the_hooks, HOOKS, "keep what register_forward_hook()"),
        ("all hooks taken off", clear_all_hooks, HOOKS, "remove your own hooks only"),
        ("square kernels", macs_of_square_kernels, "any convolution", None),
        ("labcore's counter", measure.macs, ONE_LAYER, CALLS_IT),
        ("torch's counter", macs_by_torch, ONE_LAYER, CALLS_IT),
    ],
    "measure_latency": [
        (
            "the clock around the loop",
            latency_around_the_loop,
            "warm-up left out",
            "the mean follows one interrupted call",
        ),
    ],
    "choose": [
        (
            "the smallest where nothing fits",
            lambda device, rows: pick_by_filters(device, rows, "75 % channels cut"),
            "nothing fits",
            None,
        ),
        ("from memory", pick_from_memory, "room for all", None),
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


def test_each_device_of_the_table_prefers_another_network():
    chosen = [pick_the_best(d, lab05.CANDIDATES) for d in lab05.DEVICES.values()]
    assert len(set(chosen)) == len(lab05.DEVICES)
    assert None not in chosen
    assert "dense" not in chosen


def test_a_convolution_is_shown_by_what_decides_its_macs():
    given = " ".join(
        verdict_on(
            lab05.EXERCISES["get_model_macs"], "with groups an output"
        ).message.split()
    )
    assert "model = Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), groups=2)" in given


def test_a_wrong_choice_is_shown_with_the_figures_that_decide():
    message = verdict_on(
        lab05.EXERCISES["choose"], "a nonzero takes nonzero_cost"
    ).message
    rows = [line.split() for line in message.splitlines()]
    limits = next(row for row in rows if row[0] == "limits")
    assert limits == ["limits", "65,536.0", "3"]
    wanted, got = (
        row for row in rows if row[0] in ("expected", "got") and len(row) > 6
    )
    assert wanted[-5:] == ["1,240.9", "2.388", "93.8", "1", "no"]
    assert got[-5:] == ["2,261.0", "18.95", "94.2", "0.5", "yes"]


def test_the_lent_clock_needs_no_more_than_models_and_an_input():
    measured = lab05.lend("measure_latency")({"a": nn.Linear(2, 2)}, torch.zeros(1, 2))
    assert list(measured) == ["a"]
