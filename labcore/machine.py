"""How many cores and how much memory we may use, also inside a container.

Standard library only, except psutil for memory: `runtime` builds on this module and
must load before anything is installed.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

__all__ = ["cpu_count", "free_memory"]

CGROUP = Path("/sys/fs/cgroup")
GROUPS = (  # control groups, version 2 then 1: limit, usage, statistics, file cache
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def cpu_count() -> int:
    """Cores this process may use: its CPU affinity, limited by a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota(CGROUP))))


def cpu_quota(group: Path) -> float:
    """CPUs that the control group allows (version 2, then 1); infinity if unlimited."""
    try:
        quota, period = _text(group / "cpu.max").split()
    except ValueError:  # there is no such file
        quota = _text(group / "cpu" / "cpu.cfs_quota_us").strip()
        period = _text(group / "cpu" / "cpu.cfs_period_us").strip()
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return math.inf
    return int(quota) / int(period)


def free_memory() -> float:
    """Bytes still available, on the machine and within the container's limit."""
    import psutil

    return min(psutil.virtual_memory().available, memory_left(CGROUP))


def memory_left(group: Path) -> float:
    """Bytes that the control group has not used yet; infinity if unlimited."""
    return min(_left(group, *names) for names in GROUPS)


def _left(group: Path, limit: str, used: str, facts: str, cache: str) -> float:
    most, taken = _text(group / limit).strip(), _text(group / used).strip()
    if not (most.isdecimal() and taken.isdecimal()):  # also if it says "max"
        return math.inf
    # the system frees its cache of files as soon as a program needs the memory
    given_back = re.search(rf"^{cache} (\d+)$", _text(group / facts), re.MULTILINE)
    return max(0, int(most) - int(taken) + int(given_back[1] if given_back else 0))


def _text(file: Path) -> str:
    """What the system says there; empty if it has no such file."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
