"""A pretended computer, on which a way to measure time is checked without a real clock.

Its models take as long as they are told and note how they are called. Its clock moves
while one of them runs, and while an answer does anything else that it should not time:
changing a mode, switching gradients off, keeping books between two calls. Each function
here puts a `measure_latency` to work on such a machine and returns what came of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labcore.checks.engine.watch import handed

__all__ = ["busy", "clock_read", "gradients", "medians", "modes", "threads"]

Durations = Mapping[str, Sequence[float]]
INPUT = torch.zeros(1, 3)
# Seconds of work beside the calls. They show in the result of an answer that times
# them, and they differ, so that they can be told apart.
MODE, SWITCH, NOTING = 0.25, 0.5, 0.125


@dataclass(frozen=True)
class Note:
    """How a model was called."""

    training: bool
    gradients: bool
    threads: int


class Pretender(nn.Module):
    """A model whose n-th call takes the n-th duration; the last one is repeated."""

    def __init__(self, machine: Machine, name: str) -> None:
        super().__init__()
        self.machine, self.name = machine, name

    @handed
    def train(self, mode: bool = True) -> Pretender:
        self.machine.now += MODE
        return super().train(mode)

    @handed
    def forward(self, x: Tensor) -> Tensor:
        note = Note(self.training, torch.is_grad_enabled(), torch.get_num_threads())
        self.machine.run(self.name, note)
        return x


class Machine:
    """From call number `busy_from` on, everything takes three times as long.

    noting   seconds that pass after a read that ends a call
    """

    def __init__(
        self,
        durations: Durations,
        busy_from: int | None = None,
        noting: float = NOTING,
    ) -> None:
        self.durations, self.busy_from = durations, busy_from
        self.noting = noting
        self.models = {name: Pretender(self, name) for name in durations}
        self.notes: list[Note] = []
        self.calls: Counter[str] = Counter()
        self.now, self.reads = 0.0, 0
        self.threads_after, self.recording_after = 0, True
        # since the last read or call
        self.settings = _settings()
        self.just_read = False  # the clock, before anything else happened
        self.timed_call = False  # the last call came right after a read

    @handed
    def __deepcopy__(self, _memo: dict) -> Machine:
        """Copies of a model run on the same machine."""
        return self

    @handed
    def clock(self) -> float:
        self._switches()
        self.reads += 1
        read = self.now
        if self.timed_call and not self.just_read:
            self.now += self.noting  # the read ended a call: its time is noted now
        self.just_read = True
        return read

    def run(self, name: str, note: Note) -> None:
        self._switches()
        own = self.durations[name]
        seconds = own[min(self.calls[name], len(own) - 1)]
        busy = self.busy_from is not None and len(self.notes) >= self.busy_from
        self.now += 3 * seconds if busy else seconds
        self.calls[name] += 1
        self.notes.append(note)
        self.timed_call, self.just_read = self.just_read, False

    def _switches(self) -> None:
        """Switching gradients or threads takes time as well."""
        if self.settings != _settings():
            self.now += SWITCH
        self.settings = _settings()

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


def _settings() -> tuple:
    return torch.is_grad_enabled(), torch.get_num_threads()


def medians(measure: Callable, durations: Durations, n_warmup: int, n_test: int):
    """models that pretend to take these seconds, call by call"""
    # In the warm-up, an answer may leave out the second read: then the read before the
    # next call looks like one that ends a call, although it times nothing.
    noting = 0.0 if n_warmup else NOTING
    return Machine(durations, noting=noting).measured(measure, n_warmup, n_test)


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
