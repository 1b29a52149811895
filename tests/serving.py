"""A real JupyterLab for the tests, started at a terminal as a student starts it."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import until

SECONDS = 120
ADDRESS = re.compile(r"(http://localhost:\d+)/lab\S*\?token=(\w+)")


@dataclass
class JupyterLab:
    process: subprocess.Popen
    base: str = ""
    token: str = ""
    log: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    def end(self, way: int = signal.SIGTERM) -> str:
        """Send it this signal, wait for its end, and return all that it printed."""
        self.process.send_signal(way)
        self.process.wait(SECONDS)
        self.reader.join(SECONDS)
        return "".join(self.log)


@contextmanager
def caught_by_command() -> Iterator[None]:
    """A Ctrl-C that escapes fails the test instead of ending pytest."""
    try:
        yield
    except KeyboardInterrupt:
        pytest.fail("the command did not catch Ctrl-C")


@contextmanager
def serving(
    command: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> Iterator[JupyterLab]:
    """The JupyterLab that this command starts, once it listens; ended afterwards.

    It needs a terminal: there Ctrl-C is handled in full, and the terminals that it
    offers keep its PATH.
    """
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    lab, addresses = JupyterLab(process), queue.SimpleQueue()

    def read() -> None:
        with (
            suppress(OSError),  # the terminal ends with its process
            open(screen, encoding="utf-8", errors="replace") as lines,
        ):
            for line in lines:
                lab.log.append(line)
                if found := ADDRESS.search(line):
                    addresses.put(found.groups())

    lab.reader = threading.Thread(target=read, daemon=True)
    lab.reader.start()
    try:
        lab.base, lab.token = addresses.get(timeout=SECONDS)
        # it prints the address a moment before it listens there
        until(lambda: process.poll() is not None or _listens(lab.base), SECONDS)
        yield lab
    except queue.Empty:
        pytest.fail("JupyterLab printed no address:\n" + "".join(lab.log))
    finally:
        lab.end()


def _listens(base: str) -> bool:
    host, port = base.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True
