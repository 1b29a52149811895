"""Exercise 5.2: the reference, and ways to measure that are wrong in one thing.

They stand apart because an answer must not call the reference, but does call the
pretended models and their clock in machine.py, which are part of Lab 05 too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

__all__ = ["measure_latency", "wrongly"]


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


def wrongly(
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
