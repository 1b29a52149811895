"""Interleaved timings, and the table that they make."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import torch

from labcore import runtime


@dataclass(frozen=True)
class Row:
    """One figure with its spread: the least and the greatest of all rounds."""

    what: str
    figure: float
    low: float
    high: float
    unit: str = "×"
    wanted: str = ""
    note: str = ""

    def cells(self) -> list[str]:
        def number(value: float) -> str:
            return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"

        spread = f"{number(self.low)} – {number(self.high)}"
        figure = f"{number(self.figure)} {self.unit}"
        return [self.what, figure, spread, self.wanted, self.note]


def row(what: str, values: list[float], **rest) -> Row:
    return Row(what, statistics.median(values), min(values), max(values), **rest)


def interleaved(
    variants: Mapping[str, Callable[[int], object]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list]]:
    """Seconds and results of each variant in each round; called with its number.

    Within a round the variants follow each other, so that a busy hour hits all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    results: dict[str, list] = {name: [] for name in variants}
    for number in range(rounds):
        for name, call in variants.items():
            start = time.perf_counter()
            results[name].append(call(number))
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def ratios(seconds: dict[str, list[float]], name: str, base: str) -> list[float]:
    """How many times faster than `base`, round by round."""
    return [b / s for b, s in zip(seconds[base], seconds[name], strict=True)]


@contextmanager
def setting(**variables: str):
    """LABCORE_* variables for a while."""
    names = {f"LABCORE_{name}": value for name, value in variables.items()}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def precisions() -> list[str]:
    """float32, and bfloat16 where the machine multiplies it in hardware."""
    return ["fp32", "bf16"] if runtime.has_bfloat16() else ["fp32"]


def machine() -> dict[str, str]:
    facts = {
        "date": date.today().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": str(runtime.use_threads()),
        "bfloat16": "in hardware" if runtime.has_bfloat16() else "emulated",
        "torch": torch.__version__,
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?",
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1] for line in lines if "model name" in line]
    except OSError:
        names = []
    return (names or [platform.processor() or "unknown"])[0].strip()
