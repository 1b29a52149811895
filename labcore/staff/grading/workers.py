"""Run jobs, each with its own process for the answers: in threads or on a cluster."""

from __future__ import annotations

import functools
import subprocess
import threading
import traceback
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version

from labcore.machine import cpu_count, free_memory
from labcore.runtime import LabError
from labcore.staff.grading.sandbox import in_sandbox, too_large, with_limits
from labcore.staff.grading.talk import Order
from labcore.staff.grading.version import version_of
from labcore.student.running import plainly, tried

__all__ = ["cluster", "examined", "local", "sensible_jobs", "stop"]

PAUSES = (0, 15)  # seconds before each try, so that others can free memory
BYTES_A_JOB = 1_500_000_000
WAIT = 10  # seconds for a scheduler to answer


def sensible_jobs() -> int:
    """As many parallel jobs as cores and free memory allow."""
    return max(1, min(cpu_count(), int(free_memory() // BYTES_A_JOB)))


def local(jobs: int) -> Executor:
    _stopped.clear()
    return ThreadPoolExecutor(jobs)


def cluster(address: str) -> Executor:
    """The workers of a dask.distributed scheduler; if one dies, its job runs again.

    The workers need the course and bubblewrap, but none of our files.
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
    _clients.append(client)
    try:
        client.run(version, "pruning-lab")
    except ImportError:  # our first job would kill the worker, then the next
        stop()
        raise LabError(
            f"A worker of the cluster at {address} lacks the course: install it there."
        ) from None
    return client.get_executor(pure=False, retries=3)


def examined(job: dict) -> dict:
    """What was found for each exercise of a job, and by which version."""
    return _found(job) | {"version": version_of(job["told"]["checks"])}


def _found(job: dict) -> dict:
    """Try the exercises; if the process does not start, try once more after a pause."""
    found = {"broken": "stopped"}
    for pause in PAUSES:
        if _stopped.wait(pause):
            break
        try:
            return _tried(job)
        except LabError as error:
            found = {"refused": str(error)}
        except Exception:  # our own mistake: the batch goes on and shows it
            return {"broken": traceback.format_exc()}
    return found


def _tried(job: dict) -> dict:
    """The outcomes of the answers, and of changes of them if the talk needs some."""
    told, start = with_limits(job["told"]), _starting(job)
    if not job.get("talk"):
        return {"results": [asdict(o) for o in tried(told, start, too_large)]}
    order = Order(told["exercises"])
    for outcome in tried(told, start, too_large, order):
        order.outcomes.append(outcome)
    answers = order.outcomes[: order.answers]
    return {"results": [asdict(o) for o in answers], "changes": order.changes()}


def _starting(job: dict):
    """How to start this job's process; we remember it, so that `stop` can end it."""
    start = plainly
    if job["told"]["sealed"]:
        start = functools.partial(in_sandbox, closed=job["closed"])

    def known(told: dict) -> subprocess.Popen:
        with _lock:
            if _stopped.is_set():
                raise LabError("Stopped.")
            _processes[:] = [p for p in _processes if p.poll() is None]
            _processes.append(start(told))
            return _processes[-1]

    return known


_stopped = threading.Event()  # once set, no new process starts
_lock = threading.Lock()
_processes: list[subprocess.Popen] = []
_clients: list = []  # connections to a cluster


def stop() -> None:
    """End every process started here, whatever it is doing."""
    _stopped.set()
    with _lock:
        for process in _processes:
            process.kill()
    while _clients:
        _clients.pop().close()
