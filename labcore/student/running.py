"""Try the exercises of one notebook in a process of their own.

`labcore submit` starts that process directly, and `labcore grade` inside a sandbox.
Everything else is the same, so both reach the same verdicts.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

from labcore.runtime import LabError, strict_environment

__all__ = ["ARGUMENTS", "SETTINGS", "WALL", "Outcome", "plainly", "tried"]

ARGUMENTS = [sys.executable, "-m", "labcore.student.alone"]
START_SECONDS, GRACE = 180, 30
LOOK = 0.2  # seconds between looks at the process
WALL = 10  # times the answer's processor time, because it may sleep
TOOLS = {"labcore.checks.lab11": ("ziglang", "unicorn")}  # packages of the extra chip
SETTINGS = {  # the same in every process for answers
    "LABCORE_STRICT": "1",
    "LABCORE_DEVICE": "cpu",
    "LABCORE_PRECISION": "fp32",
    "LABCORE_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "PYTHONHASHSEED": "0",  # one order in a set of names
}
Start = Callable[[dict], subprocess.Popen]
Watch = Callable[[subprocess.Popen, int], bool]


@dataclass
class Outcome:
    """The result for one exercise: the worst verdict over all seeds."""

    status: str = "error"
    points: int = 0
    of: int = 0
    message: str = ""
    seed: int | None = None
    remarks: list[str] = field(default_factory=list)


def plainly(job: dict) -> subprocess.Popen:
    """An ordinary process of this user, in an empty folder."""
    del job
    paths = os.pathsep.join(map(os.path.abspath, sys.path))  # "" is our folder
    return subprocess.Popen(
        ARGUMENTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        env=strict_environment() | SETTINGS | {"PYTHONPATH": paths},
        start_new_session=True,
    )


def tried(
    job: dict,
    start: Start = plainly,
    too_large: Watch = lambda process, most: False,
    order: Iterable[int] | None = None,
) -> Iterator[Outcome]:
    """The outcome of each exercise, in order; a lost process is replaced.

    LabError if it does not start, or if a tool of the checks is missing.

    order   the numbers of the exercises, if not simply all of them
    """
    _need_tools(job["checks"])
    alone, exercises = None, job["exercises"]
    try:
        for number in range(len(exercises)) if order is None else order:
            if alone is None or alone.lost:
                if alone:
                    alone.close()
                alone = _Alone(job, start)
            yield _Trial(job, exercises[number]).outcome(alone, number, too_large)
    finally:
        if alone:
            alone.close()


def _need_tools(checks: str) -> None:
    """LabError if one is missing: a check without it would refuse right answers."""
    lacking = [name for name in TOOLS.get(checks, ()) if not find_spec(name)]
    if lacking:
        raise LabError(
            f"The checks of this lab need {' and '.join(lacking)}: run 'python -m "
            "labcore setup chip' first."
        )


class _Alone:
    """A running `alone` process; a thread reads its lines, so any system will do."""

    def __init__(self, job: dict, start: Start) -> None:
        self.lost = False
        self.process = start(job)
        self._lines: queue.Queue[bytes] = queue.Queue()
        try:
            threading.Thread(target=self._read, daemon=True).start()
            self.order(json.dumps(job))
            if self._ready() != b'"ready"\n':
                raise LabError(
                    "The process for the answers does not start: run 'labcore doctor', "
                    "and see whether the lab's setup cells run."
                )
        except BaseException:  # also at Ctrl-C
            self.close()
            raise

    def _read(self) -> None:
        with suppress(OSError, ValueError):
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(b"")  # the end of its output

    def _ready(self) -> bytes:
        try:
            return self._lines.get(timeout=START_SECONDS)
        except queue.Empty:
            return b""

    def order(self, text: str) -> None:
        with suppress(OSError, ValueError):  # it is dead, and line() will say so
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()

    def line(self) -> bytes | None:
        """The next line; empty at the end, None if none arrived in time."""
        try:
            return self._lines.get(timeout=LOOK)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.lost = True
        if os.name == "posix":
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()


class _Trial:
    """One exercise while it is being tried, and what was reported about it so far."""

    def __init__(self, job: dict, asked: dict) -> None:
        self.seconds = asked.get("seconds", job["seconds"])
        self.wall = asked.get("wall", job["wall"])
        self.memory = job["memory"]
        self.title = f"[{asked['id']} {asked['name']}]"
        self.mark = secrets.token_hex(8)
        self.found = Outcome(of=asked["points"])
        self.verdicts: list[dict] = []
        self.seed, self.earned = None, 0
        self.late = self.done = self.crowded = False

    def outcome(self, alone: _Alone, number: int, too_large: Watch) -> Outcome:
        alone.order(f"{number} {self.mark}")
        deadline = time.monotonic() + self.wall + GRACE
        over_memory = False
        while (line := alone.line()) != b"":
            if line:
                said = self._taken(line)
                if "ended" in said:
                    alone.lost = not said.get("clear", False)
                    return self._result(said["ended"], over_memory)
            over_memory = over_memory or too_large(alone.process, self.memory)
            if time.monotonic() > deadline:
                break
        alone.lost = True
        return self._result(None if line else "gone", over_memory)

    def _taken(self, line: bytes) -> dict:
        """Read a line; without the mark it is not ours, and we add a remark."""
        try:
            said = json.loads(line)
            ours = said["mark"] == self.mark
        except (ValueError, TypeError, KeyError):
            ours = False
        if not ours:
            remark = "something else wrote into the channel that carries the verdicts"
            if remark not in self.found.remarks:
                self.found.remarks.append(remark)
            return {}
        if "seed" in said:
            self.seed, self.earned = said["seed"], 0
        self.earned = said.get("earned", self.earned)
        if "verdict" in said:
            self.verdicts.append(said["verdict"] | {"seed": self.seed})
        self.found.remarks += said.get("remarks", [])
        self.late = self.late or "late" in said
        self.done = self.done or "done" in said
        self.crowded = self.crowded or "crowded" in said
        return said

    def _result(self, ended, over_memory: bool) -> Outcome:
        found = self.found
        if self.done and not self.late and not over_memory:
            worst = min(self.verdicts, key=lambda verdict: verdict["points"])
            found.status, found.points = worst["status"], worst["points"]
            found.message, found.seed = worst["message"], worst["seed"]
            return found
        # the steps passed before it ended, on every seed so far, keep their points
        earned = [verdict["points"] for verdict in self.verdicts]
        if not self.verdicts or self.verdicts[-1]["seed"] != self.seed:
            earned.append(self.earned)
        found.points, found.seed = min(earned), self.seed
        found.status, said = self._fault(ended, over_memory)
        found.message = f"{self.title} {said}"
        if found.points:
            found.message += "; the steps passed before that keep their points"
        return found

    def _fault(self, ended, over_memory: bool) -> tuple[str, str]:
        """Status and sentence for an exercise whose process ended badly."""
        if over_memory:
            most = f"{self.memory / 1e9:g} GB"
            return "memory", f"it took more than {most}, or started too many processes"
        if self.crowded:
            return "memory", "it made too many files"
        if self.late or ended in (_number("SIGXCPU"), _number("SIGPROF")):
            return "timeout", (
                f"your code was still running after {self.seconds:g} seconds of "
                "processor time, which is the limit: look for an endless loop"
            )
        if ended is None:
            return "timeout", (
                f"it did not end within {self.wall:g} seconds: it sleeps, waits for "
                "something, or is in one call that takes too long"
            )
        if ended == "gone":
            return "error", "it ended the process that runs it"
        if ended == _number("SIGKILL"):
            return "memory", "it was killed, usually because memory ran out"
        if ended < 0:
            return "error", f"it crashed ({_name(-ended)})"
        return "error", f"it ended its process, with exit code {ended}"


def _name(number: int) -> str:
    """The signal's name; not all have one."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _number(name: str) -> int | None:
    """The exit code of a process that this signal ended."""
    found = getattr(signal, name, None)
    return -found if found else None
