"""A platform's CSV file, of which single cells change and every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Cell", "Sheet"]

SEPARATORS = (",", ";", "\t")


class Cell(NamedTuple):
    start: int
    end: int
    value: str


class Sheet:
    """Cells by row and column, each with its place in the text it was read from.

    Python's csv module reads the same values, but says nothing about their places, and
    what it writes may differ in quotes and line ends.
    """

    def __init__(self, data: bytes, separator: str) -> None:
        # any bytes survive this and the way back, whatever their encoding
        self.text = data.decode("utf-8", "surrogateescape")
        self.rows = list(_rows(self.text, separator))

    @property
    def header(self) -> list[str]:
        if not self.rows:
            return []
        return [_readable(cell.value).strip() for cell in self.rows[0]]

    def value(self, row: int, column: int) -> str:
        """The cell's text; empty if the row is too short."""
        cells = self.rows[row]
        return _readable(cells[column].value) if column < len(cells) else ""

    def changed(self, values: Mapping[tuple[int, int], str]) -> bytes:
        """The file with other values in these cells, in quotes where they had some."""
        places = []
        for (row, column), value in values.items():
            cell = self.rows[row][column]
            quoted = self.text.startswith('"', cell.start)
            places.append((cell.start, cell.end, f'"{value}"' if quoted else value))
        return self._spliced(places)

    def without(self, rows: Iterable[int]) -> bytes:
        """The file without these rows."""
        ends = [cells[0].start for cells in self.rows[1:]] + [len(self.text)]
        return self._spliced([(self.rows[n][0].start, ends[n], "") for n in rows])

    def _spliced(self, places: Sequence[tuple[int, int, str]]) -> bytes:
        parts, at = [], 0
        for start, end, value in sorted(places):
            parts += [self.text[at:start], value]
            at = end
        return "".join([*parts, self.text[at:]]).encode("utf-8", "surrogateescape")


def _readable(text: str) -> str:
    """The text, also of a file that a spreadsheet saved in the encoding of Windows."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _rows(text: str, separator: str) -> Iterable[list[Cell]]:
    cell = re.compile(
        rf'(?:"(?P<quoted>(?:[^"]|"")*+)")?(?P<plain>[^{separator}\r\n]*)'
    )
    ends = re.compile(r"\r\n|\r|\n")
    at, row = len("\ufeff") if text.startswith("\ufeff") else 0, []
    while at < len(text) or row:
        found = cell.match(text, at)
        value = (found["quoted"] or "").replace('""', '"') + found["plain"]
        row.append(Cell(at, found.end(), value))
        at = found.end()
        if text.startswith(separator, at):
            at += 1
            continue
        yield row
        row = []
        if line_end := ends.match(text, at):
            at = line_end.end()
