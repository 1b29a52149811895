"""A fresh kernel that runs cells one after the other and survives endless loops.

Of a cell's output only the error is kept, so that a flood of output costs no memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

from ..runtime import LabError

__all__ = ["Kernel", "Outcome"]

NO_KERNEL = (
    "No Python kernel could be started ({}): run `python -m labcore doctor`, which "
    "says what is missing."
)
START_SECONDS, INTERRUPT_SECONDS, LOOK_SECONDS = 120, 5, 0.5


@dataclass
class Outcome:
    error: str = ""  # "ValueError: ...", empty if the cell ended well
    lost: str = ""  # why the kernel is lost: it died, or ignored an interrupt
    late: bool = False  # the cell was interrupted


class Kernel:
    """A kernel that starts with the first cell, and restarts after it was lost."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._manager = self._client = None

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_) -> None:
        if self._client:
            self._client.stop_channels()
        if self._manager and self._manager.has_kernel:  # also if Ctrl-C met its start
            self._manager.shutdown_kernel(now=True)
        self._manager = self._client = None

    def run(self, source: str, seconds: float) -> Outcome:
        """Run a cell; interrupt it after `seconds`; if that fails, drop the kernel."""
        if not self._client:
            self._start()
        outcome = self._run(source, seconds)
        if outcome.lost:
            self.__exit__()
        return outcome

    def _start(self) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name="python3")
        try:
            self._manager.start_kernel(
                cwd=str(self._folder),
                env=self._environment,
                extra_arguments=["--log-level=40"],
            )
            self._client = self._manager.client()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=START_SECONDS)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise LabError(NO_KERNEL.format(reason)) from None

    def _run(self, source: str, seconds: float) -> Outcome:
        asked = self._client.execute(source, allow_stdin=False, stop_on_error=False)
        outcome, deadline = Outcome(), time.monotonic() + seconds
        while True:
            if time.monotonic() > deadline:
                if outcome.late:
                    outcome.lost = "it does not end and cannot be interrupted"
                    return outcome
                outcome.late = True
                self._manager.interrupt_kernel()
                deadline = time.monotonic() + INTERRUPT_SECONDS
            try:
                message = self._client.get_iopub_msg(timeout=LOOK_SECONDS)
            except Empty:
                if not self._manager.is_alive():
                    outcome.lost = "it ends the whole Python process"
                    return outcome
                continue
            if message["parent_header"].get("msg_id") == asked:
                if _keep(message["msg_type"], message["content"], outcome):
                    return outcome


def _keep(kind: str, content: dict, outcome: Outcome) -> bool:
    """Note what matters in a message; returns whether it was the cell's last one."""
    if kind == "error":
        first = next(iter(content["evalue"].strip().splitlines()), "")
        outcome.error = f"{content['ename']}: {first}".rstrip(": ")
    return kind == "status" and content["execution_state"] == "idle"
