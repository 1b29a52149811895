"""Try changed answers, each in a process of its own that cannot take much."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import linecache
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import torch

from labcore.checks.engine.exercise import Exercise
from labcore.staff.mutants import Mutant, mutants
from tests.mutants.answers import Answer, answers

__all__ = ["Trial", "trials"]

SEEDS = range(12)  # the notebook's seed, then others for what survives it
SECONDS, WALL = 20, 60  # of the processor, and of patience with one that sleeps
BYTES, FILE_BYTES = 4_000_000_000, 1_000_000
JOBS = 2
ERROR = "the error comes from line"


@dataclass(frozen=True)
class Trial:
    """What a check said of a changed answer."""

    answer: Answer
    mutant: Mutant
    survived: bool
    seed: int = 0  # at which it was refused; 0 is the notebook's
    step: str = ""
    cause: str = ""

    @property
    def change(self) -> str:
        return f"{self.mutant.before}  ->  {self.mutant.after}"

    @property
    def shows_a_line(self) -> bool:
        """Whether the message quotes the line that raised the error, true as it is."""
        return self.cause.startswith(ERROR)


def trials(lab: str) -> Iterator[Trial]:
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    made = [
        (answer, mutant) for answer in answers(lab) for mutant in mutants_of(answer)
    ]
    for (answer, mutant), said in zip(made, _tried(made), strict=True):
        yield Trial(answer, mutant, **said)


def mutants_of(answer: Answer) -> list[Mutant]:
    return mutants(answer.source)


def _tried(made: list[tuple[Answer, Mutant]]) -> Iterator[dict]:
    """What is said of each, in order; a few run at once."""
    running: dict[Connection, tuple[int, int, float]] = {}
    said: dict[int, dict] = {}
    waiting = iter(enumerate(made))
    shown = 0
    while shown < len(made):
        while len(running) < JOBS and (following := next(waiting, None)):
            number, case = following
            running |= {pipe: (number, *rest) for pipe, *rest in [_start(*case)]}
        for pipe in wait(list(running), timeout=1):
            number, child, _ = running.pop(pipe)
            said[number] = _end(pipe, child)
        for _, child, since in running.values():
            if time.monotonic() - since > WALL:
                os.kill(child, signal.SIGKILL)
        while shown in said:
            yield said.pop(shown)
            shown += 1


def _start(answer: Answer, mutant: Mutant) -> tuple[Connection, int, float]:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            ours.close()
            _limit()
            theirs.send_bytes(json.dumps(_said(answer, mutant)).encode())
        os._exit(0)
    theirs.close()
    return ours, child, time.monotonic()


def _limit() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    for kind, most in (("CPU", SECONDS), ("DATA", BYTES), ("FSIZE", FILE_BYTES)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))


def _end(pipe: Connection, child: int) -> dict:
    try:
        said = json.loads(pipe.recv_bytes())
    except EOFError:
        said = {"survived": False, "step": "", "cause": "it did not end"}
    pipe.close()
    os.waitpid(child, 0)
    return said


def _said(answer: Answer, mutant: Mutant) -> dict:
    file = "<mutant>"
    lines = mutant.source.splitlines(keepends=True)
    linecache.cache[file] = (len(mutant.source), None, lines, file)
    scope = dict(answer.names)
    try:
        exec(compile(mutant.source, file, "exec"), scope)
        changed = scope[answer.name]
    except Exception as error:
        cause = f"{ERROR}: {error}"
        return {"survived": False, "step": "its cell", "cause": cause}
    exercise = dataclasses.replace(answer.exercise, refused=())
    for seed in SEEDS:
        verdict = exercise.run(changed, seed=seed)
        if verdict.status != "passed":
            step, cause = _read(exercise, verdict.message)
            return {"survived": False, "seed": seed, "step": step, "cause": cause}
    return {"survived": True}


def _read(exercise: Exercise, message: str) -> tuple[str, str]:
    """The step that failed, and the likely cause."""
    head, _, below = message.partition("\n  ")
    _, _, told = f"  {below}".partition("likely    ")
    cause = " ".join(told.partition("\n  read ")[0].split())
    return head.partition("FAILED at step ")[2] or head, cause
