"""The board, emulated instruction by instruction: exact in results, not in time."""

from __future__ import annotations

import struct
from contextlib import nullcontext

import torch
from torch import Tensor

from labcore.chip.counting import Counter, Work
from labcore.chip.firmware import FLASH, RAM, STACK, Firmware, need
from labcore.runtime import LabError

__all__ = ["Emulator"]

PAGE = 4096
RETURN = 0x08FFF000  # where no code lies: the emulator stops there
FILL = 0xA5


class Emulator:
    """A board with a program in its flash.

    arena   the address of the memory for activations
    """

    def __init__(self, firmware: Firmware) -> None:
        need("unicorn")
        import unicorn
        from unicorn import arm_const as arm

        self.firmware, self._arm, self._unicorn = firmware, arm, unicorn
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        self._uc.mem_map(
            FLASH,
            _pages(len(firmware.flash)),
            unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC,
        )
        self._uc.mem_map(RAM, _pages(firmware.ram))
        self._uc.mem_map(RETURN, PAGE)
        self._uc.mem_write(FLASH, firmware.flash)
        self._stack_top = firmware.symbols["stack_top"].address
        self._uc.mem_write(self._stack_top - STACK, bytes([FILL]) * STACK)
        self.arena = firmware.symbols["arena"].address

    def call(
        self, function: str, *arguments: int, count: bool = False, blocks: int = 0
    ) -> Work:
        """Call a C function with up to four numbers; returns what it did.

        count    note instructions and cycles
        blocks   stop after so many basic blocks; 0 means never
        """
        arm, uc = self._arm, self._uc
        symbol = self.firmware.symbols[function]
        for register, value in zip("0123", arguments, strict=False):
            uc.reg_write(getattr(arm, f"UC_ARM_REG_R{register}"), value)
        uc.reg_write(arm.UC_ARM_REG_SP, self._stack_top)
        uc.reg_write(arm.UC_ARM_REG_LR, RETURN | 1)
        counter = Counter(self.firmware.flash, blocks)
        try:
            with counter.attached(uc) if count or blocks else nullcontext():
                uc.emu_start(symbol.address | 1, RETURN)
        except self._unicorn.UcError as error:
            raise LabError(self._fault(function, error)) from None
        if counter.stopped:
            raise LabError(
                f"{function} was still running after {blocks:,} basic blocks."
            )
        return counter.work(function)

    def _fault(self, function: str, error: Exception) -> str:
        at = self._uc.reg_read(self._arm.UC_ARM_REG_PC)
        inside = next(
            (
                symbol.name
                for symbol in self.firmware.symbols.values()
                if symbol.address <= at < symbol.address + symbol.size
            ),
            function,
        )
        return (
            f"The board stopped in {inside}: the code reads or writes where there is "
            f"no memory, or runs what is no code ({error})."
        )

    def stack_used(self) -> int:
        """The most bytes of stack that any call so far has used."""
        stack = self._uc.mem_read(self._stack_top - STACK, STACK)
        untouched = len(stack) - len(bytes(stack).lstrip(bytes([FILL])))
        return STACK - untouched

    def returned(self) -> tuple[int, float]:
        """What the last call returned, read as a whole number and as a float."""
        number = self._uc.reg_read(self._arm.UC_ARM_REG_R0)
        bits = self._uc.reg_read(self._arm.UC_ARM_REG_S0)
        return number, struct.unpack("<f", struct.pack("<I", bits))[0]

    def write(self, at: int, values: Tensor) -> None:
        """Put the values into the RAM, in their own type, from this address on."""
        self._uc.mem_write(at, values.contiguous().numpy().tobytes())

    def read(self, at: int, count: int) -> Tensor:
        return torch.frombuffer(
            bytearray(self._uc.mem_read(at, 4 * count)), dtype=torch.float32
        )

    def place(self, image: Tensor) -> None:
        """Put an image (channels, height, width) where the network reads it."""
        first, size = self.firmware.program.buffers()[0]
        if image.numel() != size:
            raise LabError(
                f"The program wants an image of {size} values, not {image.numel()}."
            )
        self.write(self.arena + 4 * first, image.float())

    def scores(self, image: Tensor) -> Tensor:
        """The network's scores for one image (channels, height, width)."""
        self.place(image)
        self.call("run")
        last, classes = self.firmware.program.buffers()[-1]
        return self.read(self.arena + 4 * last, classes)

    def work(self, image: Tensor) -> list[Work]:
        """What each layer's call does for this image, in order."""
        self.place(image)
        *convolutions, last = [layer.name for layer in self.firmware.program.layers]
        return [
            self.call(f"run_{name}", count=True)
            for name in [*convolutions, "mean", last]
        ]


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
