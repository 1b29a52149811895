"""A rubric's sentences as items to tick, each with its points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest

__all__ = ["Item", "items_of"]

# 2 points: why. 3 points for (b): a size (1), a reason (2). 1 point each: one; two
PART = re.compile(r"(\d+) points?(?: for (\([a-z]\))| (each))?:")
INNER = re.compile(r"\((\d+)\)")
AROUND = re.compile(r"^[\s.,;:]*(?:and )?|[\s.,;]+$")


@dataclass(frozen=True)
class Item:
    text: str
    points: int


def items_of(rubric: str, of: float) -> list[Item]:
    """The items; none if their points do not add up to what the question gives."""
    text = " ".join(rubric.split())
    starts = list(PART.finditer(text))
    items = [
        item
        for start, after in zip_longest(starts, starts[1:])
        for item in _items(start, text[start.end() : after.start() if after else None])
    ]
    return items if sum(item.points for item in items) == of else []


def _items(start: re.Match, body: str) -> list[Item]:
    points, label, each = int(start[1]), start[2], start[3]
    if each:
        return [Item(_trimmed(part), points) for part in body.split(";")]
    texts = INNER.split(body)
    if not label or len(texts) == 1:
        return [Item(_trimmed(body), points)]
    *pairs, rest = texts  # text, points, text, points, ..., what follows
    pieces = [
        Item(f"{label} {_trimmed(words)}", int(number))
        for words, number in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    if rest := _trimmed(rest):
        last = pieces.pop()
        pieces.append(Item(f"{last.text}. {rest}", last.points))
    return pieces


def _trimmed(text: str) -> str:
    return AROUND.sub("", text)
