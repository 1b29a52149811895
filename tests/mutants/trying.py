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
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import torch

from labcore.checks.engine.message import parts
from labcore.staff.mutants import Mutant, mutants
from tests.mutants import inc
from tests.mutants.answers import Answer, answers

__all__ = ["Trial", "trials"]

SEEDS = range(6)  # the notebook's seed, then others for what survives it
SECONDS, WALL = 20, 60  # of the processor, and of patience with one that sleeps
BYTES, FILE_BYTES = 8_000_000_000, 1_000_000
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

    @property
    def is_known(self) -> bool:
        """Whether a known mistake is named; what is computed is true as it is, too."""
        said = self.cause.removesuffix(" ...")
        known = (m.sentence for m in self.answer.exercise.mistakes)
        return bool(said) and any(sentence.startswith(said) for sentence in known)


def trials(lab: str, only: Container[str] = ()) -> Iterator[Trial]:
    """Of the lab's exercises; `only` these, if some are named."""
    os.environ["LABCORE_THREADS"] = "1"  # a pool of threads does not survive a fork
    torch.set_num_threads(1)
    right = [a for a in answers(lab) if not only or a.exercise.id in only]
    for answer in right:
        if not _said(answer, answer.source)["survived"]:  # it also loads what it needs
            raise ValueError(f"{answer.exercise.id}, {answer.title} is refused")
    made = [(answer, mutant) for answer in right for mutant in _mutants(answer)]
    for (answer, mutant), said in zip(made, _tried(made), strict=True):
        yield Trial(answer, mutant, **said)


def _mutants(answer: Answer) -> list[Mutant]:
    return mutants(answer.source) if answer.name else inc.mutants(answer.source)


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
            theirs.send_bytes(json.dumps(_said(answer, mutant.source)).encode())
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
        said = {"survived": False, "step": "it does not end"}
    pipe.close()
    os.waitpid(child, 0)
    return said


def _said(answer: Answer, source: str) -> dict:
    """What the check says of the answer with this text."""
    if not answer.name:
        return _found(answer, lambda: source)
    file = "<mutant>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    scope = dict(answer.names)
    try:
        exec(compile(source, file, "exec"), scope)
        changed = scope[answer.name]
    except Exception as error:
        cause = f"{ERROR}: {error}"
        return {"survived": False, "step": "its cell", "cause": cause}
    return _found(answer, changed)


def _found(answer: Answer, changed: Callable) -> dict:
    exercise = dataclasses.replace(answer.exercise, refused=())
    for seed in SEEDS:
        verdict = exercise.run(changed, seed=seed)
        if verdict.status != "passed":
            title, rows = parts(verdict.message)
            said = {"step": title, "cause": rows.get("likely", "")}
            return {"survived": False, "seed": seed} | said
    return {"survived": True}
