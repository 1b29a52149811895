"""The markers in solution cells, and lines that look like a marker but are not.

### BEGIN SOLUTION
the answer
### BEGIN MARK SCHEME     (free text only, inside the solution: the rubric)
### END MARK SCHEME
### END SOLUTION
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["MarkerError", "Region", "misspelt", "public_lines", "regions"]

MARKER = re.compile(r"\s*### (BEGIN|END) (SOLUTION|MARK SCHEME)\s*")
KNOWN = [
    f"{edge} {kind}"
    for edge in ("BEGIN", "END")
    for kind in ("SOLUTION", "MARK SCHEME", "HIDDEN TESTS")
]


class MarkerError(ValueError):
    """What is wrong with a cell's markers, worded as the end of a sentence."""


@dataclass(frozen=True)
class Region:
    """The lines between two markers; a solution includes its mark scheme."""

    kind: str
    first: int
    lines: tuple[str, ...]


def regions(source: str) -> list[Region]:
    """All regions of a cell, sorted by where they end."""
    found: list[Region] = []
    stack: list[tuple[str, int]] = []
    lines = source.split("\n")
    for number, line in enumerate(lines):
        if not (marker := MARKER.fullmatch(line)):
            continue
        edge, kind = marker.groups()
        if edge == "BEGIN":
            if [open_kind for open_kind, _ in stack] != _parents(kind):
                raise MarkerError(_misplaced(kind))
            stack.append((kind, number + 1))
        else:
            if not stack or stack[-1][0] != kind:
                raise MarkerError(f"`### END {kind}` closes nothing; add its BEGIN")
            _, first = stack.pop()
            found.append(Region(kind, first, tuple(lines[first:number])))
    if stack:
        kind = stack[-1][0]
        raise MarkerError(f"`### BEGIN {kind}` is never closed; add its END")
    return found


def _parents(kind: str) -> list[str]:
    return ["SOLUTION"] if kind == "MARK SCHEME" else []


def _misplaced(kind: str) -> str:
    if kind == "SOLUTION":
        return "`### BEGIN SOLUTION` stands inside another region; close that one first"
    return "`### BEGIN MARK SCHEME` must stand once inside a solution region; move it"


def public_lines(source: str) -> list[str]:
    """The lines outside every region, without the markers."""
    lines = source.split("\n")
    for region in reversed(regions(source)):  # outer regions end last
        if region.kind == "SOLUTION":
            del lines[region.first - 1 : region.first + len(region.lines) + 1]
    return lines


def misspelt(line: str) -> bool:
    """Whether a line is not a marker, but was probably meant as one."""
    if MARKER.fullmatch(line):
        return False
    if re.search(r"\b(BEGIN|END)\b\W*[A-Z]{3}", line):
        return True
    words = re.findall(r"[A-Za-z]+", line)
    if not re.match(r"\s*(#|<!--)", line) or not 2 <= len(words) <= 4:
        return False
    ordered = " ".join(sorted(words, key=str.upper))  # "SOLUTION BEGIN" is meant too
    has_edge = any(_alike(word, edge) for word in words for edge in ("BEGIN", "END"))
    return has_edge and any(_alike(ordered, known) for known in KNOWN)


def _alike(text: str, known: str) -> bool:
    return SequenceMatcher(None, text.upper(), known).ratio() >= 0.75
