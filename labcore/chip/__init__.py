"""A network on a microcontroller: C, compiled here and run in an emulator."""

from labcore.chip.board import Emulator
from labcore.chip.box import candidates
from labcore.chip.firmware import BOARD, IMAGINARY, Board, Firmware, build, compiled
from labcore.chip.program import export, packed

__all__ = [
    "BOARD",
    "IMAGINARY",
    "Board",
    "Emulator",
    "Firmware",
    "build",
    "candidates",
    "compiled",
    "export",
    "packed",
]
