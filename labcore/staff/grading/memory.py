"""How much memory a group of processes uses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["family", "hold_more"]

PROC = Path("/proc")
OWN = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
SHARE = re.compile(r"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.MULTILINE)


def hold_more(processes: Sequence[int], limit: int) -> bool:
    """Whether together they use more bytes than `limit`; shared memory counts once."""
    if sum(map(_own, processes)) <= limit:
        return False
    # this sum counts shared memory several times; counting exactly takes longer
    return sum(map(_share, processes)) > limit


def family(process: int) -> list[int]:
    """The process, its children, theirs and so on."""
    found = [process]
    for member in found:  # the list grows during the loop
        threads = PROC / str(member) / "task"
        with suppress(OSError):  # the process has ended
            for thread in os.listdir(threads):
                found += map(int, _text(threads / thread / "children").split())
    return found


def _own(process: int) -> int:
    return _sum(OWN, _text(PROC / str(process) / "status"))


def _share(process: int) -> int:
    """Memory, with each page divided among its users; all of it if unknown."""
    facts = _text(PROC / str(process) / "smaps_rollup")
    return _sum(SHARE, facts) if "Pss_Anon" in facts else _own(process)


def _sum(wanted: re.Pattern, facts: str) -> int:
    return 1024 * sum(map(int, wanted.findall(facts)))


def _text(file: Path) -> str:
    """The system's answer; empty if there is no such file, or no longer."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
