"""Examiners at work: one process a thread, or those of a cluster."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.metadata import version
from typing import Protocol

from labcore.machine import cpu_count, free_memory
from labcore.runtime import LabError, strict_environment
from labcore.staff.grading.examiner import GRACE
from labcore.staff.grading.sandbox import START_SECONDS
from labcore.staff.grading.version import version_of

__all__ = ["cluster", "examined", "local", "sensible_jobs", "stop"]

PAUSES = (0, 15)  # seconds before each try: others give back memory meanwhile
BYTES_A_JOB = 1_500_000_000
WAIT = 10  # seconds for a scheduler to answer
ALIKE = {  # whatever the instructor's own settings are
    "LABCORE_THREADS": "1",
    "LABCORE_DEVICE": "cpu",
    "LABCORE_TRACK": "fashion",
    "LABCORE_PRECISION": "fp32",
}


def sensible_jobs() -> int:
    """As many as cores and free memory allow."""
    return max(1, min(cpu_count(), int(free_memory() // BYTES_A_JOB)))


def local(jobs: int) -> Executor:
    _stopped.clear()
    return ThreadPoolExecutor(jobs)


def cluster(address: str) -> Executor:
    """The workers of a dask.distributed scheduler; a job whose worker dies runs again.

    They need the course and bubblewrap, but none of our files.
    """
    try:
        from distributed import Client
    except ImportError:
        raise LabError(
            "Grading on a cluster needs dask.distributed: add it with "
            "`python -m labcore setup cluster`."
        ) from None
    try:
        client = Client(address, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise LabError(
            f"No dask scheduler answers at {address} ({error}): start one, or leave "
            "--dask out."
        ) from None
    _started.append(client)
    try:
        client.run(version, "pruning-lab")
    except ImportError:  # a worker that gets a job of ours would die, and the next
        stop()
        raise LabError(
            f"A worker of the cluster at {address} lacks the course: install it there."
        ) from None
    return client.get_executor(pure=False, retries=3)


def examined(job: dict) -> dict:
    """The examiner's answer to a job, and by which version it was found."""
    return _asked(job) | {"version": version_of(job["checks"])}


def _asked(job: dict) -> dict:
    """An examiner that dies is replaced and asked again, as is one without a room."""
    if not job["exercises"]:
        return {"results": []}
    found = None
    for pause in PAUSES:
        if found:
            _stopped.wait(pause)
        if _stopped.is_set():
            break
        examiner = _of_this_thread()
        found = examiner.ask(job)
        if found is None:
            examiner.close()
        elif "refused" not in found:
            return found
    return found or {"broken": "the process of the checks ended"}


_own = threading.local()
_stopped = threading.Event()  # then no new one is started
_started: list[Closable] = []  # examiners, and the connection to a cluster


def _of_this_thread() -> _Examiner:
    examiner = getattr(_own, "examiner", None)
    if examiner is None or examiner.process.poll() is not None:
        examiner = _own.examiner = _Examiner()
        _started.append(examiner)
    return examiner


def _write_all(pipe, data: bytes) -> None:
    while data:
        data = data[pipe.write(data) :]


class Closable(Protocol):
    def close(self) -> object: ...


class _Examiner:
    """A process of `examiner`; it ends with us, as its input ends."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labcore.staff.grading.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=strict_environment() | ALIKE | {"PYTHONPATH": paths},
            start_new_session=True,
        )

    def ask(self, job: dict) -> dict | None:
        """None where the process ended or hangs."""
        one = job["timeout"] + GRACE + START_SECONDS
        deadline = time.monotonic() + one * len(job["exercises"])
        try:
            _write_all(self.process.stdin, json.dumps(job).encode() + b"\n")
            line = self._line(deadline)
            return json.loads(line)
        except (OSError, ValueError):
            return None

    def _line(self, deadline: float) -> bytes:
        taken, source = b"", self.process.stdout.fileno()
        while not taken.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                return b""
            part = os.read(source, 1 << 16)
            if not part:
                return b""
            taken += part
        return taken

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def stop() -> None:
    """End what was started here, whatever it does."""
    _stopped.set()
    while _started:
        _started.pop().close()
