"""What an ELF file says: the bytes for the flash, and what lies where."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Elf", "Symbol"]

SECTION, SYMBOL = struct.Struct("<10I"), struct.Struct("<3I2BH")
SYMBOLS, NO_BITS, ALLOCATED, WEAK = 2, 8, 2, 2
FUNCTION = 2


@dataclass(frozen=True)
class Symbol:
    """A function or an object, or (without a size) a place that the linker names.

    weak   another file's symbol of this name would have taken its place
    """

    name: str
    address: int
    size: int
    section: str
    weak: bool = False


class Elf:
    """A 32-bit ELF file of a program that is linked."""

    def __init__(self, content: bytes) -> None:
        (table,) = struct.unpack_from("<I", content, 32)
        count, names = struct.unpack_from("<2H", content, 48)
        headers = [SECTION.unpack_from(content, table + 40 * i) for i in range(count)]
        text = headers[names]
        self._content = content
        self._headers = headers
        self.names = [self._string(text, header[0]) for header in headers]

    def _string(self, table: tuple[int, ...], at: int) -> str:
        start = table[4] + at
        return self._content[start : self._content.index(b"\0", start)].decode()

    def sections(self) -> dict[str, tuple[int, int]]:
        """name -> (address, size) of what takes memory on the board."""
        return {
            name: (header[3], header[5])
            for name, header in zip(self.names, self._headers, strict=True)
            if header[2] & ALLOCATED
        }

    def flash(self, origin: int) -> bytes:
        """The bytes of the flash, from its first address on."""
        image = bytearray()
        for header in self._headers:
            kind, flags, address, offset, size = header[1:6]
            if flags & ALLOCATED and kind != NO_BITS and size:
                image = image.ljust(address - origin + size, b"\0")
                part = self._content[offset : offset + size]
                image[address - origin : address - origin + size] = part
        return bytes(image)

    def symbols(self) -> Iterator[Symbol]:
        (table,) = (header for header in self._headers if header[1] == SYMBOLS)
        strings = self._headers[table[6]]
        for at in range(table[4], table[4] + table[5], SYMBOL.size):
            name, address, size, info, _, section = SYMBOL.unpack_from(
                self._content, at
            )
            named = self._string(strings, name)
            if 0 < section < len(self.names) and named and not named.startswith("$"):
                kind = info & 15
                odd = 1 if kind == FUNCTION else 0  # set in addresses of Thumb code
                place = address - odd, size, self.names[section]
                yield Symbol(named, *place, weak=info >> 4 == WEAK)
