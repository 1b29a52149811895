"""Lab 05's checks, held against right and wrong answers."""

import statistics
import time

import pytest
import torch
from answers import LabTests
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


def counting(count, which=lambda model: model.modules(), kinds=(nn.Conv2d, nn.Linear)):
    """Count something else at each call of such a layer."""

    def answer(model, inputs):
        total = 0

        def hook(layer, given, output):
            nonlocal total
            total += count(layer, given[0], output)

        handles = [
            m.register_forward_hook(hook) for m in which(model) if isinstance(m, kinds)
        ]
        model(inputs)
        for handle in handles:
            handle.remove()
        return total

    return answer


def per_output(layer):
    return layer.weight[0].numel()


def leave_the_hooks(model, inputs):
    counts = []
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            m.register_forward_hook(
                lambda layer, _, out: counts.append(out.numel() * per_output(layer))
            )
    model(inputs)
    return sum(counts)


def clear_all_hooks(model, inputs):
    found = leave_the_hooks(model, inputs)
    for m in model.modules():
        m._forward_hooks.clear()
    return found


def all_channels(layer, given, output):
    if isinstance(layer, nn.Conv2d):
        kh, kw = layer.kernel_size
        return output.numel() * layer.in_channels * kh * kw
    return output.numel() * layer.in_features


def square_kernels(layer, given, output):
    if isinstance(layer, nn.Conv2d):
        c_in = layer.in_channels // layer.groups
        return output.numel() * c_in * layer.kernel_size[0] ** 2
    return output.numel() * layer.in_features


def by_torch(model, inputs):
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


def share_by_factors(macs, prune_ratio):
    *convs, classifier = macs
    left = classifier
    for i, count in enumerate(convs):
        inputs = 1 if i == 0 else 1 - prune_ratio
        outputs = 1 if i == len(convs) - 1 else 1 - prune_ratio
        left += count * inputs * outputs
    return left / sum(macs)


def share(macs, prune_ratio):
    first, *between, last, classifier = macs
    keep = 1 - prune_ratio
    left = keep * first + keep**2 * sum(between) + keep * last + classifier
    return left / sum(macs)


def share_of_any(macs, prune_ratio):
    if len(macs) == 2:
        return 1.0
    return share(macs, prune_ratio)


def share_by_products(macs, prune_ratio):
    keep = [1.0] + [1 - prune_ratio] * (len(macs) - 2) + [1.0, 1.0]
    pairs = zip(keep[:-1], keep[1:], strict=True)
    left = sum(m * a * b for m, (a, b) in zip(macs, pairs, strict=True))
    return torch.tensor(left / sum(macs))


def even_from_the_end(speedups):
    found = None
    for sparsity in sorted(speedups, reverse=True):
        if speedups[sparsity] < 1:
            break
        found = sparsity
    return found


def even(speedups):
    points = sorted(speedups)
    for i, sparsity in enumerate(points):
        if all(speedups[later] >= 1 for later in points[i:]):
            return sparsity
    return None


def even_by_the_last_below(speedups):
    below = [s for s in speedups if speedups[s] < 1]
    above = [s for s in speedups if s > max(below, default=-1)]
    return min(above) if above else None


def picking(
    skips=lambda d, n: d["skips_zeros"] or (d["skips_groups"] and n["groups"]),
    kib=1024,
    flash=True,
    deadline=True,
    nonzero_cost=True,
    key=lambda n, size, ms: -n["accuracy"],
    nothing=None,
    size_of=lambda d, n: d["bytes_per_nonzero"] * n["parameters"] * n["kept"],
    has_zeros=lambda n: n["kept"] < 1,
    per_ms=1,
    below=lambda needed, limit: needed <= limit,
    early=lambda needed, limit: needed <= limit,
):
    """Right but for one thing."""

    def answer(device, candidates):
        possible = {}
        for name, n in candidates.items():
            size, work = 4 * n["parameters"], n["macs"]
            if has_zeros(n) and skips(device, n):
                size = size_of(device, n)
                work *= n["kept"] * (device["nonzero_cost"] if nonzero_cost else 1)
            ms = per_ms * work / device["macs_per_ms"]
            if flash and not below(size, kib * device["flash_kib"]):
                continue
            if deadline and not early(ms, device["deadline_ms"]):
                continue
            possible[name] = key(n, size, ms)
        return min(possible, key=possible.get) if possible else nothing

    return answer


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


def from_memory(device, candidates):
    """The right answers for the three devices, known by heart."""
    if device["flash_kib"] <= 256:
        return "75 % channels cut"
    if device["skips_groups"]:
        return "2 of 4 zero"
    return "30 % channels cut"


RIGHT = {
    "get_model_macs": [
        ("the reference", macs),
        ("by shapes", macs_by_shapes),
        ("a global hook", macs_by_a_global_hook),
    ],
    "measure_latency": [
        ("the reference", latency),
        ("other turns", latency_in_other_turns),
        ("by sorting", latency_by_sorting),
    ],
    "predicted_share": [
        ("the reference", share_by_factors),
        ("first and last apart", share_of_any),
        ("kept channels on both sides", share_by_products),
    ],
    "break_even": [
        ("the reference", even_from_the_end),
        ("all later ones", even),
        ("after the last below", even_by_the_last_below),
    ],
    "choose": [
        ("the reference", pick_the_best),
        ("a dictionary of those possible", picking()),
        ("the first that will do", pick_by_a_list),
    ],
}
WRONG = {
    "get_model_macs": [
        ("hooks left", leave_the_hooks, "hooks removed", "keep what register"),
        (
            "all hooks taken off",
            clear_all_hooks,
            "hooks removed",
            "remove your own hooks only",
        ),
        ("square kernels", counting(square_kernels), "any convolution", None),
        (
            "labcore's counter",
            measure.macs,
            "one linear layer",
            "the exercise asks for just what that function does",
        ),
        (
            "torch's counter",
            by_torch,
            "one linear layer",
            "the exercise asks for just what that function does",
        ),
        (
            "no return",
            lambda model, inputs: print(end=""),
            "one linear layer",
            "the function ends without return",
        ),
    ],
    "measure_latency": [],
    "predicted_share": [],
    "break_even": [
        (
            "no return",
            lambda s: print(end=""),
            "always",
            "the function ends without return",
        ),
    ],
    "choose": [
        ("no return", lambda d, c: None, "room for all", "the function ends without"),
        ("dense for nothing", picking(nothing="dense"), "nothing fits", None),
        ("from memory", from_memory, "room for all", None),
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
    answer = counting(all_channels)
    message = lab05.EXERCISES["get_model_macs"].run(answer, seed=0).message
    given = " ".join(message.split())
    assert "model = Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), groups=2)" in given


def test_a_wrong_choice_is_shown_with_the_figures_that_decide():
    message = lab05.EXERCISES["choose"].run(picking(nonzero_cost=False), seed=0).message
    rows = [line.split() for line in message.splitlines()]
    limits = next(row for row in rows if row[0] == "limits")
    assert limits == ["limits", "65,536.0", "3"]
    wanted, got = (
        row for row in rows if row[0] in ("expected", "got") and len(row) > 6
    )
    assert wanted[-5:] == ["1,240.9", "2.388", "93.8", "1", "no"]
    assert got[-5:] == ["2,261.0", "18.95", "94.2", "0.5", "yes"]


def test_the_lent_clock_needs_no_more_than_models_and_an_input(capsys):
    lab05.lend("measure_latency")
    times = globals().pop("measure_latency")({"a": nn.Linear(2, 2)}, torch.zeros(1, 2))
    assert list(times) == ["a"]
    assert "LENT" in capsys.readouterr().out
