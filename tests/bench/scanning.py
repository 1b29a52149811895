"""The sensitivity scan against the plain loop, and how its cost grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from labcore import measure, nets
from labcore.scan import sensitivity_scan
from labcore.scan.replay import Replay, channels_last
from labcore.tracks import workbench
from tests.bench import plain
from tests.bench.timing import Row, interleaved, precisions, ratios, row, setting

SPARSITIES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Job(NamedTuple):
    """One scan: what the plain loop loads, the same as tensors, and the sparsities."""

    pairs: Dataset
    images: Tensor
    labels: Tensor
    sparsities: tuple[float, ...]


def magnitude(weight: Tensor, sparsity: float) -> Tensor:
    size = weight.abs()
    removed = round(sparsity * weight.numel())
    return size > size.flatten().kthvalue(removed).values


def rows(quick: bool) -> list[Row]:
    found = [*fashion(quick), *vgg64(quick)]
    if torch.cuda.is_available():
        found += vgg64_on_gpu(quick)
    return [*found, *growth(quick), per_layer()]


def fashion(quick: bool) -> list[Row]:
    """The default network on 2,500 val images, a third a round."""
    bench = workbench("fashion")
    images, labels = bench.images("val")
    pictures = plain.pictures("val", len(images), plain.TEST)
    ends = [0, 300] if quick else [0, 834, 1667, 2500]
    jobs = [
        Job(Subset(pictures, range(a, b)), images[a:b], labels[a:b], SPARSITIES)
        for a, b in pairwise(ends)
    ]
    wanted = {"fp32": "≥ 4", "bf16": "≥ 8"}
    return versus_plain("scan, default network", bench.dense, jobs, wanted)


def vgg64(quick: bool) -> list[Row]:
    """The full-size network, two of the sparsities a round."""
    count = 64 if quick else 200
    rounds = [(0.6,)] if quick else [SPARSITIES[k::3] for k in range(3)]
    wanted = {"fp32": "≥ 3", "bf16": "≥ 6"}
    return versus_plain("scan, VGG(64)", full_size, random_jobs(count, rounds), wanted)


def vgg64_on_gpu(quick: bool) -> list[Row]:
    jobs = random_jobs(1000 if quick else 5000, [SPARSITIES] * 3)
    with setting(DEVICE="cuda", TRACK="cifar10"):
        return versus_plain("scan, VGG(64), GPU", full_size, jobs, {}, "cuda")


def full_size() -> nn.Module:
    torch.manual_seed(0)
    return nets.VGG(width=64, in_channels=3).eval()


def random_jobs(count: int, rounds: list[tuple[float, ...]]) -> list[Job]:
    images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 10
    return [Job(TensorDataset(images, labels), images, labels, each) for each in rounds]


def versus_plain(
    what: str,
    make: Callable[[], nn.Module],
    jobs: list[Job],
    wanted: Mapping[str, str],
    device: str = "cpu",
) -> list[Row]:
    """Both scans of each job in turn: speed, agreement, share of the best matmul."""

    def plainly(number: int) -> dict:
        job = jobs[number]
        net = make().to(device, memory_format=torch.contiguous_format)
        loader = DataLoader(job.pairs, batch_size=512)
        return plain.sensitivity_scan(net, loader, magnitude, job.sparsities, device)

    def fast(precision: str) -> Callable[[int], dict]:
        def run(number: int) -> dict:
            with setting(PRECISION=precision):
                _, images, labels, sparsities = jobs[number]
                net = make().to(device)
                done = sensitivity_scan(net, images, labels, magnitude, sparsities)
            return done.accuracy

        return run

    def best_matmul(precision: str) -> Callable[[int], float]:
        return lambda _: matmul_rate(precision, device)

    scans = {precision: fast(precision) for precision in precisions()}
    fastest = {f"matmul {name}": best_matmul(name) for name in scans}
    work = [behind_macs(make(), job.images[:1]) for job in jobs]
    seconds, results = interleaved({"plain": plainly, **scans, **fastest}, len(jobs))
    found = []
    for name in scans:
        points = largest_difference(results["plain"], results[name])
        found.append(
            row(
                f"{what}, {name}",
                ratios(seconds, name, "plain"),
                wanted=wanted.get(name, ""),
                note=f"accuracies differ by at most {points:.2f} points",
            )
        )
        shares = []
        best = max(results[f"matmul {name}"])
        for job, macs, took in zip(jobs, work, seconds[name], strict=True):
            total = len(job.images) * (macs[0] + len(job.sparsities) * sum(macs))
            shares.append(100 * total / took / best)
        found.append(
            row(
                f"{what}, {name}: share of the best matmul",
                shares,
                unit="%",
                wanted="≥ 50" if (what, name) == ("scan, VGG(64)", "bf16") else "",
                note=f"best matmul {best / 1e9:.0f} G multiply-adds/s",
            )
        )
    return found


def largest_difference(plain_scans: list[dict], fast_scans: list[dict]) -> float:
    """In points, of accuracies on all images a layer and sparsity was measured on."""
    largest = 0.0
    for layer in plain_scans[0]:
        for level in {level for scan in plain_scans for level in scan[layer]}:
            gaps = [
                fast[layer][level] - base[layer][level]
                for base, fast in zip(plain_scans, fast_scans, strict=True)
                if level in base[layer]
            ]
            largest = max(largest, abs(sum(gaps) / len(gaps)))
    return largest


def behind_macs(net: nn.Module, image: Tensor) -> list[int]:
    """Multiply-adds an image of each layer of a chain and all layers behind it."""
    macs = [*measure.macs_by_layer(net, image).values()]
    return np.cumsum(macs[::-1])[::-1].tolist()


def matmul_rate(precision: str, device: str) -> float:
    """Multiply-adds a second of the best of some square products."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for size in (1024, 2048) if device == "cpu" else (8192,):
        a = torch.ones(size, size, dtype=dtype, device=device)
        for _ in range(6):
            start = time.perf_counter()
            (a @ a)[0, 0].item()
            best = max(best, size**3 / (time.perf_counter() - start))
    return best


def growth(quick: bool) -> list[Row]:
    """Seconds of a scan against the number of images, and of sparsities."""
    bench = workbench("fashion")
    images, labels = bench.images("val")

    def seconds_of(count: int, levels: int) -> Callable[[int], object]:
        chosen = [0.1 + 0.1 * level for level in range(levels)]
        return lambda _: sensitivity_scan(
            bench.dense(), images[:count], labels[:count], magnitude, chosen
        )

    unit = 64 if quick else 128
    by_images = {count: seconds_of(count, 2) for count in (unit * k for k in POINTS)}
    by_levels = {levels: seconds_of(unit, levels) for levels in POINTS}
    found = []
    for what, variants in (("images", by_images), ("sparsities", by_levels)):
        took, _ = interleaved(variants, rounds=2 if quick else 3)
        found.append(
            row(
                f"scan: straightness of seconds against {what}",
                [
                    straightness(list(took), each)
                    for each in zip(*took.values(), strict=True)
                ],
                unit="R²",
                wanted="1",
                note=", ".join(f"{k}: {min(each):.2f} s" for k, each in took.items()),
            )
        )
    return found


POINTS = (1, 2, 4, 8)


def straightness(xs: list[float], ys: tuple[float, ...]) -> float:
    return float(np.corrcoef(xs, ys)[0, 1] ** 2)


def per_layer() -> Row:
    """Seconds of one re-run behind each layer against the multiply-adds there."""
    bench = workbench("fashion")
    batch = channels_last(bench.images("val")[0][:64])
    macs = behind_macs(bench.dense(), batch[:1])
    with torch.no_grad():
        replay = Replay(bench.dense(), batch[:8])
        replay.start(batch)
        variants = {
            name: lambda _, name=name, layer=layer: replay.again(name, layer.weight)
            for name, layer in replay.layers.items()
        }
        took, _ = interleaved(variants, rounds=15)
    least = [min(each) for each in took.values()]
    shares = [
        f"{name.rpartition('.')[2]} {100 * m / macs[0]:.0f}/{100 * s / least[0]:.0f}"
        for name, m, s in zip(took, macs, least, strict=True)
    ]
    return row(
        "scan: straightness of a layer's seconds against what follows it",
        [straightness(macs, tuple(least))],
        unit="R²",
        wanted="1",
        note="% of multiply-adds/of seconds: " + ", ".join(shares),
    )
