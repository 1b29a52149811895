"""A pretended computer, on which a way to measure time is checked without a real clock.

Its models take as long as they are told and note how they are called; its clock moves
only while one of them runs. Each function here puts a `measure_latency` to work on such
a machine and returns what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labcore.checks.engine.watch import handed

__all__ = ["busy", "clock_read", "gradients", "medians", "modes", "threads"]

Durations = Mapping[str, Sequence[float]]
INPUT = torch.zeros(1, 3)


@dataclass(frozen=True)
class Note:
    """How a model was called."""

    training: bool
    gradients: bool
    threads: int


class Pretender(nn.Module):
    """A model whose n-th call takes the n-th duration; the last one is repeated."""

    def __init__(self, machine: Machine, durations: Sequence[float]) -> None:
        super().__init__()
        self.machine, self.durations, self.calls = machine, durations, 0

    @handed
    def train(self, mode: bool = True) -> Pretender:
        if mode != self.training:
            self.machine.now += 0.25  # visible in the result if the answer times it
        return super().train(mode)

    @handed
    def forward(self, x: Tensor) -> Tensor:
        seconds = self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1
        note = Note(self.training, torch.is_grad_enabled(), torch.get_num_threads())
        self.machine.run(seconds, note)
        return x


class Machine:
    """From call number `busy_from` on, everything takes three times as long."""

    def __init__(self, durations: Durations, busy_from: int | None = None) -> None:
        self.models = {name: Pretender(self, own) for name, own in durations.items()}
        self.busy_from = busy_from
        self.notes: list[Note] = []
        self.now, self.reads = 0.0, 0
        self.threads_after, self.recording_after = 0, True

    @handed
    def clock(self) -> float:
        self.reads += 1
        return self.now

    def run(self, seconds: float, note: Note) -> None:
        busy = self.busy_from is not None and len(self.notes) >= self.busy_from
        self.now += 3 * seconds if busy else seconds
        self.notes.append(note)

    def measured(self, measure: Callable, n_warmup: int, n_test: int):
        """What `measure` returns; afterwards torch's settings are those from before."""
        threads, recording = torch.get_num_threads(), torch.is_grad_enabled()
        try:
            return measure(self.models, INPUT, n_warmup, n_test, self.clock)
        finally:
            self.threads_after = torch.get_num_threads()
            self.recording_after = torch.is_grad_enabled()
            torch.set_num_threads(threads)
            torch.set_grad_enabled(recording)


def medians(measure: Callable, durations: Durations, n_warmup: int, n_test: int):
    """models that pretend to take these seconds, call by call"""
    return Machine(durations).measured(measure, n_warmup, n_test)


def busy(measure: Callable, durations: Durations, n_test: int, busy_from: int):
    """models that pretend to take these seconds, three times as long from a call on"""
    return Machine(durations, busy_from).measured(measure, 0, n_test)


def clock_read(measure: Callable, n_warmup: int, n_test: int) -> dict:
    """a clock and a model that note how often they are called"""
    machine = Machine({"one": [1.0]})
    machine.measured(measure, n_warmup, n_test)
    read = machine.reads > 0
    return {"calls of the model": len(machine.notes), "the clock was read": read}


def modes(measure: Callable, n_warmup: int, n_test: int) -> dict:
    """models in training mode"""
    noted = _noted(measure, n_warmup, n_test)
    return {"in training mode when called": noted["training"]}


def gradients(measure: Callable, n_warmup: int, n_test: int) -> dict:
    """models that note whether gradients are recorded"""
    noted = _noted(measure, n_warmup, n_test)
    return {
        "gradients recorded when called": noted["gradients"],
        "afterwards": noted["recording after"],
    }


def threads(measure: Callable, n_warmup: int, n_test: int, before: int) -> dict:
    """models that note the number of threads"""
    kept = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        noted = _noted(measure, n_warmup, n_test)
    finally:
        torch.set_num_threads(kept)
    return {
        "threads when called": noted["threads"],
        "afterwards": noted["threads after"],
    }


def _noted(measure: Callable, n_warmup: int, n_test: int) -> dict:
    machine = Machine({"one": [1.0], "other": [2.0]})
    machine.measured(measure, n_warmup, n_test)
    noted = {
        what: sorted({getattr(note, what) for note in machine.notes})
        for what in ("training", "gradients", "threads")
    }
    return noted | {
        "threads after": machine.threads_after,
        "recording after": machine.recording_after,
    }
