"""Counts the blocks that the board runs, and what they cost by Arm's table."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labcore.chip.cycles import TAKEN, cost_of
from labcore.chip.firmware import FLASH, C, zig
from labcore.runtime import LabError

__all__ = ["Counter", "Work"]

WAIT_STATES, LINE = 2, 16  # of the flash at 84 MHz; bytes that one access brings
LIBRARY = ("cc", "-shared", "-O2", "-fno-sanitize=all", "-nostdlib")


@dataclass(frozen=True)
class Work:
    """What one call did.

    instructions   how many; those that a condition skips are counted too
    fewest, most   clock cycles, by Arm's table for the Cortex-M4
    """

    name: str
    blocks: int
    instructions: int
    fewest: int
    most: int

    def milliseconds(self, megahertz: int) -> tuple[float, float]:
        return self.fewest / megahertz / 1000, self.most / megahertz / 1000


class Counter:
    """Sums up the blocks that run; a limit stops the board after so many."""

    def __init__(self, flash: bytes, limit: int = 0) -> None:
        self._flash, self._limit = flash, limit or float("inf")
        self._times: defaultdict[tuple[int, int, bool], int] = defaultdict(int)
        self._blocks = self._end = 0
        self.stopped = False

    @contextmanager
    def attached(self, uc) -> Iterator[None]:
        """In this context, every block that this emulator runs is noted."""
        quick = _quick() if self._limit == float("inf") else None
        uc.ctl_flush_tb()  # code that was translated without the hook
        try:
            with self._in_c(uc, quick) if quick else self._in_python(uc):
                yield
        finally:
            uc.ctl_flush_tb()

    @contextmanager
    def _in_python(self, uc) -> Iterator[None]:
        import unicorn

        hook = uc.hook_add(unicorn.UC_HOOK_BLOCK, self._see)
        try:
            yield
        finally:
            uc.hook_del(hook)

    def _see(self, uc, address: int, size: int, _data) -> None:
        self._times[address, size, address != self._end] += 1
        self._end = address + size
        self._blocks += 1
        if self._blocks > self._limit:
            self.stopped = True
            uc.emu_stop()

    @contextmanager
    def _in_c(self, uc, see) -> Iterator[None]:
        from unicorn import UC_HOOK_BLOCK
        from unicorn.unicorn_py3.unicorn import uclib

        places = len(self._flash) // 2
        notes = np.zeros((1 + places, 3), np.uint64)  # as Notes in blocks.c
        notes[0] = FLASH, places, 0
        hook = ctypes.c_size_t()
        arguments = UC_HOOK_BLOCK, see, notes.ctypes.data, 1, 0
        uclib.uc_hook_add(uc._uch, ctypes.byref(hook), *arguments)
        try:
            yield
        finally:
            uclib.uc_hook_del(uc._uch, hook)
        self._read(notes[1:])

    def _read(self, blocks: np.ndarray) -> None:
        for place in blocks[:, 0].nonzero()[0].tolist():
            size, *times = blocks[place].tolist()
            for jumped, count in enumerate(times):
                self._times[FLASH + 2 * place, size, bool(jumped)] += count
                self._blocks += count

    def work(self, name: str) -> Work:
        instructions = fewest = most = taken = 0
        for (address, size, jumped), times in self._times.items():
            taken += times * jumped
            cost = cost_of(self._flash[address - FLASH : address - FLASH + size])
            lines = -(-size // LINE)
            instructions += times * cost.instructions
            fewest += times * cost.fewest
            most += times * (cost.most + WAIT_STATES * lines)
        low, high = (taken * (cycles - 1) for cycles in TAKEN)
        return Work(name, self._blocks, instructions, fewest + low, most + high)


@functools.cache
def _quick():
    """`see` of blocks.c; None where it cannot be compiled or loaded."""
    # Windows keeps the file of a library that is loaded
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        library = Path(folder) / "blocks.dll"
        try:
            zig([*LIBRARY, str(C / "blocks.c"), "-o", str(library)], Path(folder))
            return ctypes.CDLL(str(library)).see
        except (LabError, OSError):
            return None
