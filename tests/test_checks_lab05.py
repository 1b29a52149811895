"""Lab 05's checks, held against right and wrong answers."""

import operator
import statistics
import time

import pytest
import torch
from answers import assert_complete, assert_fails, assert_passes, table
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


def the_last_layer(model, inputs):
    found = 0

    def hook(layer, given, output):
        nonlocal found
        found = output.numel() * per_output(layer)

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    model(inputs)
    for handle in handles:
        handle.remove()
    return found


def the_model_runs_twice(model, inputs):
    return macs(nn.Sequential(model), inputs) + macs(model, inputs)


def the_last_call(model, inputs):
    by_layer, handles = {}, []

    def hook(layer, _, output):
        by_layer[layer] = output.numel() * per_output(layer)

    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            handles.append(m.register_forward_hook(hook))
    model(inputs)
    for handle in handles:
        handle.remove()
    return sum(by_layer.values())


def with_norms(layer, given, output):
    if isinstance(layer, nn.BatchNorm2d):
        return output.numel()
    return output.numel() * per_output(layer)


def at_the_input(layer, given, output):
    if given.dim() == 4:
        batch, _, height, width = given.shape
        return batch * layer.out_channels * height * width * per_output(layer)
    return output.numel() * per_output(layer)


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


def timing(
    summary=statistics.median,
    warm=True,
    turns=True,
    mode="eval",
    gradients=False,
    threads=True,
    back=True,
    around="a call",
    clock_of=lambda clock: clock,
    gradients_back=True,
    first=0,
):
    """Right but for one thing."""

    def answer(models, dummy_input, n_warmup, n_test, clock):
        clock = clock_of(clock)
        rounds = n_test + (n_warmup if warm else 0)
        times = {name: [] for name in models}
        before = torch.get_num_threads()
        if threads:
            torch.set_num_threads(1)
        recording = torch.is_grad_enabled()
        torch.set_grad_enabled(gradients)
        names = [n for _ in range(rounds) for n in models]
        if not turns:
            names = [n for n in models for _ in range(rounds)]
        for name in names:
            if mode == "eval":
                models[name].eval()
            start = clock()
            if mode == "timed":
                models[name].eval()
            models[name](dummy_input)
            times[name].append(clock() - start)
        if back:
            torch.set_num_threads(before)
        if gradients_back:
            torch.set_grad_enabled(recording)
        left_out = max(0, n_warmup + first) if warm and warm != "counted" else 0
        medians = {name: summary(t[left_out:]) for name, t in times.items()}
        if around == "a round":
            return dict.fromkeys(medians, sum(medians.values()))
        return medians

    return answer


def one_start_a_round(models, dummy_input, n_warmup, n_test, clock):
    times = {name: [] for name in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for model in models.values():
            model.eval()
        for _ in range(n_warmup + n_test):
            start = clock()
            for name, model in models.items():
                model(dummy_input)
                times[name].append(clock() - start)
    torch.set_num_threads(threads)
    return {name: statistics.median(t[n_warmup:]) for name, t in times.items()}


def in_milliseconds(*arguments):
    return {name: 1000 * t for name, t in latency(*arguments).items()}


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


def powers(exponents):
    def answer(macs, prune_ratio):
        e = exponents(len(macs))
        left = [m * (1 - prune_ratio) ** k for m, k in zip(macs, e, strict=True)]
        return sum(left) / sum(macs)

    return answer


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


def from_the_smallest(speedups):
    found = None
    for sparsity in sorted(speedups):
        if speedups[sparsity] < 1:
            break
        found = sparsity
    return found


def first_crossing(speedups):
    for sparsity in sorted(speedups):
        if speedups[sparsity] >= 1:
            return sparsity
    return None


def unsorted_even(speedups):
    found = None
    for sparsity, gain in speedups.items():
        if gain < 1:
            found = None
        elif found is None:
            found = sparsity
    return found


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
        (
            "parameters",
            counting(lambda layer, _, out: layer.weight.numel()),
            "one convolution",
            "that counts each weight once",
        ),
        (
            "FLOPs",
            counting(lambda layer, _, out: 2 * out.numel() * per_output(layer)),
            "one linear layer",
            "that is twice as many",
        ),
        (
            "run twice",
            the_model_runs_twice,
            "one linear layer",
            "that is twice as many",
        ),
        (
            "the last layer only",
            the_last_layer,
            "layers in blocks",
            "that is the last layer alone",
        ),
        (
            "biases",
            counting(lambda layer, _, out: out.numel() * (per_output(layer) + 1)),
            "one linear layer",
            "the bias is added, not multiplied",
        ),
        (
            "nonzeros",
            counting(
                lambda layer, _, out: (
                    out.numel() // out.shape[1] * layer.weight.count_nonzero().item()
                )
            ),
            "one linear layer",
            "a dense kernel multiplies by zeros too",
        ),
        (
            "outputs",
            counting(lambda layer, _, out: out.numel()),
            "one linear layer",
            "that counts outputs",
        ),
        (
            "norms too",
            counting(with_norms, kinds=(nn.Conv2d, nn.Linear, nn.BatchNorm2d)),
            "layers in blocks",
            "conventions differ",
        ),
        (
            "children only",
            counting(
                lambda layer, _, out: out.numel() * per_output(layer),
                which=lambda model: model.children(),
            ),
            "layers in blocks",
            "children() stops at the first level",
        ),
        ("hooks left", leave_the_hooks, "hooks removed", "keep what register"),
        (
            "all hooks taken off",
            clear_all_hooks,
            "hooks removed",
            "remove your own hooks only",
        ),
        (
            "the input's positions",
            counting(at_the_input),
            "layers in blocks",
            "count the positions of the output",
        ),
        (
            "all input channels",
            counting(all_channels),
            "groups",
            "with groups an output sees only",
        ),
        (
            "the last call only",
            the_last_call,
            "a layer called twice",
            "a layer that is called twice counts twice",
        ),
        (
            "one image only",
            counting(lambda layer, _, out: out[0].numel() * per_output(layer)),
            "three images",
            "every image of the batch counts",
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
    "measure_latency": [
        ("no warm-up", timing(warm=False), "calls", "n_warmup calls of each model"),
        (
            "another clock",
            timing(clock_of=lambda clock: lambda: 0.0),
            "calls",
            "the time comes from the argument",
        ),
        (
            "the warm-up counts",
            timing(warm="counted"),
            "warm-up left out",
            "the first n_warmup calls are not to be counted",
        ),
        (
            "one left out too many",
            timing(first=1),
            "warm-up left out",
            "one call too many is left out",
        ),
        (
            "one left out too few",
            timing(first=-1),
            "warm-up left out",
            "the last call of the warm-up is counted still",
        ),
        (
            "the lower middle",
            timing(statistics.median_low),
            "an even number of calls",
            "of an even number the median is the mean of the two in the middle; that "
            "is the lower",
        ),
        (
            "the upper middle",
            timing(lambda t: sorted(t)[len(t) // 2]),
            "an even number of calls",
            "of an even number the median is the mean of the two in the middle; that "
            "is the upper",
        ),
        (
            "torch's median",
            timing(lambda t: torch.tensor(t).median().item()),
            "an even number of calls",
            "of an even number the median is the mean of the two in the middle; that "
            "is the lower",
        ),
        (
            "one start a round",
            one_start_a_round,
            "always as fast",
            "the clock starts anew before each call",
        ),
        (
            "eval timed",
            timing(mode="timed"),
            "only the call timed",
            "model.eval() takes time too",
        ),
        (
            "no gradients for good",
            timing(gradients_back=False),
            "no gradients",
            "gradients have to be recorded again afterwards",
        ),
        (
            "the mean",
            timing(statistics.mean),
            "warm-up left out",
            "the mean follows one interrupted call",
        ),
        (
            "the minimum",
            timing(min),
            "warm-up left out",
            "the fastest call is not the typical one",
        ),
        ("the sum", timing(sum), "always as fast", "that is the sum of all calls"),
        (
            "milliseconds",
            in_milliseconds,
            "always as fast",
            "asked is seconds",
        ),
        (
            "around a round",
            timing(around="a round"),
            "always as fast",
            "read the clock before and after each single call",
        ),
        ("no eval", timing(mode=""), "eval mode", "model.eval() is missing"),
        (
            "gradients",
            timing(gradients=True),
            "no gradients",
            "with torch.no_grad(): is missing",
        ),
        (
            "all threads",
            timing(threads=False),
            "one thread",
            "torch.set_num_threads(1) is missing",
        ),
        (
            "one thread for good",
            timing(back=False),
            "one thread",
            "the number of threads has to be put back",
        ),
        (
            "one after the other",
            timing(turns=False),
            "in turns",
            "one model after the other",
        ),
    ],
    "predicted_share": [
        (
            "the square everywhere",
            lambda m, p: (1 - p) ** 2,
            "four layers",
            "not every layer loses inputs and outputs",
        ),
        (
            "linear",
            lambda m, p: 1 - p,
            "four layers",
            "each layer between two convolutions",
        ),
        (
            "what goes",
            lambda m, p: 1 - share(m, p),
            "four layers",
            "that is the share that goes",
        ),
        (
            "MACs",
            lambda m, p: share(m, p) * sum(m),
            "four layers",
            "those are MACs",
        ),
        (
            "percent",
            lambda m, p: 100 * share(m, p),
            "four layers",
            "that is in percent",
        ),
        (
            "no classifier left",
            lambda m, p: share([*m[:-1], 0], p) * sum(m[:-1]) / sum(m),
            "four layers",
            "the classifier's MACs are left, too",
        ),
        (
            "no classifier at all",
            lambda m, p: share([*m[:-1], 0], p),
            "four layers",
            "the classifier belongs to what is left and to all MACs",
        ),
        (
            "all convolutions squared",
            powers(lambda n: [2] * (n - 1) + [0]),
            "four layers",
            "two convolutions lose on one side only",
        ),
        (
            "the first squared",
            powers(lambda n: [2] * (n - 2) + [1, 0]),
            "four layers",
            "the first convolution still reads the whole image",
        ),
        (
            "the last squared",
            powers(lambda n: [1] + [2] * (n - 2) + [0]),
            "four layers",
            "the last convolution keeps its outputs",
        ),
        (
            "a smaller classifier",
            powers(lambda n: [1] + [2] * (n - 3) + [1, 1]),
            "four layers",
            "the classifier loses nothing",
        ),
        (
            "the classifier taken for the last",
            powers(lambda n: [1] + [2] * (n - 2) + [1]),
            "four layers",
            "the last convolution loses inputs, the classifier nothing",
        ),
        (
            "p is left",
            lambda m, p: share_of_any(m, 1 - p),
            "four layers",
            "a share p goes, so 1 - p is left",
        ),
        (
            "one convolution loses",
            lambda m, p: (
                share(m, p) if len(m) > 2 else (m[0] * (1 - p) + m[1]) / sum(m)
            ),
            "one convolution",
            "one convolution alone is the first and the last",
        ),
    ],
    "break_even": [
        (
            "the speed-up",
            lambda s: s[even(s)],
            "always",
            "that is the speed-up",
        ),
        (
            "the last below",
            lambda s: max((k for k in s if s[k] < 1), default=min(s)),
            "a rising curve",
            "there it is still slower",
        ),
        (
            "from the smallest on",
            from_the_smallest,
            "always",
            "start at the largest sparsity",
        ),
        (
            "no return",
            lambda s: print(end=""),
            "always",
            "the function ends without return",
        ),
        (
            "nothing for zero",
            lambda s: even(s) or None,
            "from zero on",
            "a sparsity of 0 is an answer",
        ),
        (
            "more than 1",
            lambda s: even({k: v - 1e-9 for k, v in s.items()}),
            "exactly 1",
            "a speed-up of exactly 1 counts",
        ),
        ("the first crossing", first_crossing, "a dip", "it falls below 1 again"),
        (
            "1 for never",
            lambda s: 1.0 if even(s) is None else even(s),
            "never",
            "where it never pays, the answer is None",
        ),
        (
            "0 for never",
            lambda s: even(s) or 0.0,
            "never",
            "where it never pays, the answer is None, not 0",
        ),
        ("unsorted", unsorted_even, "any order", "the dictionary may be in any order"),
    ],
    "choose": [
        (
            "zeros cost nothing",
            picking(skips=lambda d, n: True),
            "the microcontroller",
            "this device skips no zeros",
        ),
        (
            "no limits",
            picking(flash=False, deadline=False),
            "the flash",
            "two limits count",
        ),
        ("no flash", picking(flash=False), "the flash", "the flash counts too"),
        (
            "bytes held against KiB",
            picking(kib=1),
            "the flash",
            "the size is in bytes, the flash has flash_kib * 1024",
        ),
        ("KiB of 1000", picking(kib=1000), "the flash", "a KiB has 1024 bytes"),
        (
            "no deadline",
            picking(deadline=False),
            "the deadline",
            "the deadline counts too",
        ),
        (
            "times 1000",
            picking(per_ms=1000),
            "the deadline",
            "macs / macs_per_ms is in milliseconds already: do not multiply",
        ),
        (
            "by 1000",
            picking(per_ms=0.001),
            "the deadline",
            "macs / macs_per_ms is in milliseconds already: do not divide",
        ),
        (
            "less than the flash",
            picking(below=operator.lt),
            "exactly the flash",
            "a network as large as the flash still fits",
        ),
        (
            "less than both",
            picking(below=operator.lt, early=operator.lt),
            "exactly the flash",
            "a network as large as the flash still fits",
        ),
        (
            "less than the deadline",
            picking(early=operator.lt),
            "exactly the deadline",
            "a network that takes all of deadline_ms",
        ),
        (
            "dense networks charged",
            picking(has_zeros=lambda n: True),
            "the phone",
            "a network without zeros (kept = 1) runs densely",
        ),
        (
            "four bytes a nonzero",
            picking(size_of=lambda d, n: 4 * n["parameters"] * n["kept"]),
            "bytes for each nonzero",
            "one nonzero takes bytes_per_nonzero bytes",
        ),
        (
            "bytes of all parameters",
            picking(size_of=lambda d, n: d["bytes_per_nonzero"] * n["parameters"]),
            "bytes for nonzeros only",
            "only nonzeros are stored",
        ),
        (
            "bytes as dense",
            picking(size_of=lambda d, n: 4 * n["parameters"]),
            "fewer bytes than dense",
            "where zeros are skipped they are not stored",
        ),
        (
            "any device skips groups",
            picking(skips=lambda d, n: d["skips_zeros"] or n["groups"]),
            "groups without kernels",
            "groups help only on a device",
        ),
        ("no return", lambda d, c: None, "room for all", "the function ends without"),
        (
            "a nonzero costs one",
            picking(nonzero_cost=False),
            "the phone",
            "a nonzero takes nonzero_cost dense multiply-adds",
        ),
        (
            "zeros are never skipped",
            picking(skips=lambda d, n: False),
            "the accelerator",
            "this device's kernels skip zeros",
        ),
        (
            "groups skip any zeros",
            picking(skips=lambda d, n: d["skips_zeros"] or d["skips_groups"]),
            "kernels without groups",
            "kernels for groups skip only zeros",
        ),
        (
            "the fastest",
            picking(key=lambda n, size, ms: ms),
            "room for all",
            "of those that fit and are in time, the most accurate is asked, not the f",
        ),
        (
            "the smallest",
            picking(key=lambda n, size, ms: size),
            "room for all",
            "of those that fit and are in time, the most accurate is asked, not the",
        ),
        ("dense for nothing", picking(nothing="dense"), "nothing fits", None),
        ("from memory", from_memory, "room for all", None),
    ],
}


@pytest.fixture(autouse=True)
def settings_stay():
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@table(RIGHT)
def test_right_answers_pass(exercise, answer):
    assert_passes(lab05.EXERCISES[exercise], answer)


@table(WRONG)
def test_wrong_answers_fail_where_and_as_they_should(exercise, answer, title, likely):
    assert_fails(lab05.EXERCISES[exercise], answer, title, likely)


def test_every_exercise_is_tested():
    assert_complete(lab05.EXERCISES, RIGHT, WRONG)
    assert sum(e.points for e in lab05.EXERCISES.values()) == 20


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
