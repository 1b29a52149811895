"""How much memory is free here, and how much processes hold together."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["family", "free", "hold_more"]

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
OWN = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
SHARE = re.compile(r"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.MULTILINE)
GROUPS = (  # control groups of version 2, then 1: limit, in use, what files take of it
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def free(proc: Path = PROC, cgroup: Path = CGROUP) -> float:
    """Bytes that may still be taken: of the machine's, and of a container's share.

    Infinity where neither is known.
    """
    facts = _text(proc / "meminfo")
    machine = re.search(r"^MemAvailable:\s+(\d+) kB", facts, re.MULTILINE)
    most = 1024 * int(machine[1]) if machine else math.inf
    return min(most, *(_left_of_group(cgroup, *names) for names in GROUPS))


def _left_of_group(root: Path, limit: str, used: str, facts: str, cache: str) -> float:
    most, taken = _text(root / limit).strip(), _text(root / used).strip()
    if not (most.isdecimal() and taken.isdecimal()):  # also where it says "max"
        return math.inf
    # a file that was read is forgotten as soon as others want its memory
    given_back = re.search(rf"^{cache} (\d+)$", _text(root / facts), re.MULTILINE)
    return max(0, int(most) - int(taken) + int(given_back[1] if given_back else 0))


def hold_more(processes: Sequence[int], limit: int) -> bool:
    """Whether they hold more bytes of data together; what they share counts once."""
    if sum(map(_own, processes)) <= limit:
        return False
    # what they share was counted for each: look again, closely, which takes longer
    return sum(map(_share, processes)) > limit


def family(process: int) -> list[int]:
    """The process, its children, theirs and so on."""
    found = [process]
    for member in found:  # grows meanwhile
        threads = PROC / str(member) / "task"
        with suppress(OSError):  # it has ended
            for thread in os.listdir(threads):
                found += map(int, _text(threads / thread / "children").split())
    return found


def _own(process: int) -> int:
    return _sum(OWN, _text(PROC / str(process) / "status"))


def _share(process: int) -> int:
    """Each page divided by those who share it; all of it where this is not told."""
    facts = _text(PROC / str(process) / "smaps_rollup")
    return _sum(SHARE, facts) if "Pss_Anon" in facts else _own(process)


def _sum(wanted: re.Pattern, facts: str) -> int:
    return 1024 * sum(map(int, wanted.findall(facts)))


def _text(file: Path) -> str:
    """What the system says there; nothing where it has no such file, or no longer."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
