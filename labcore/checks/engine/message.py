"""A verdict as text: a title and labelled lines of at most 88 characters.

A message has eight lines or fewer, and up to ten rather than cut a value.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

__all__ = ["message", "parts"]

WIDTH, LINES = 88, 10
HEAD_LINES, ROW_LINES, LABEL_WIDTH, INDENT = 2, 3, 9, 12
IMPORTANT = ("likely", "read", "got", "expected", "given")  # the first are cut last


def message(
    title: str, labelled: Mapping[str, str] | None = None, picture: Sequence[str] = ()
) -> str:
    """`title`, one row per label, and the picture below.

    Where not all rows fit when folded, the less important ones are cut.
    """
    head, tail = title.split("] ", 1)
    head = _folded(f"{head}] ", tail, HEAD_LINES)
    rows = {
        label: _folded(f"  {label:<{LABEL_WIDTH}} ", text)
        for label, text in (labelled or {}).items()
    }
    room = LINES - len(head) - len(rows)  # lines left for folding
    for label in sorted(rows, key=IMPORTANT.index):
        first, *rest = rows[label]
        extra = rest[: max(0, room)]
        room -= len(extra)
        rows[label] = [first, *extra]
        if len(rest) > len(extra):
            rows[label][-1] = rows[label][-1][: WIDTH - 4].rstrip(" .") + " ..."
    return "\n".join(
        [*head, *(line for row in rows.values() for line in row), *picture]
    )


def parts(text: str) -> tuple[str, dict[str, str]]:
    """The title and the labelled rows of a message, unfolded again.

    What `message` cut stays cut, and the picture is left out.
    """
    title, rows, into = [], {}, None
    for line in text.split("\n"):
        label = line[2:INDENT].strip()
        if line.startswith(" " * INDENT):
            (rows[into] if into else title).append(line.strip())
        elif label in IMPORTANT and line.startswith(f"  {label} "):
            rows[into := label] = [line[INDENT:].strip()]
        elif rows:
            break
        else:
            title.append(line.strip())
    return " ".join(title), {label: " ".join(lines) for label, lines in rows.items()}


def _folded(label: str, text: str, most: int = ROW_LINES) -> list[str]:
    """`label` and `text` on at most so many lines, aligned with the first text."""
    return textwrap.wrap(
        "".join(c if c.isprintable() else " " for c in text),
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * min(len(label), INDENT),
        max_lines=most,
        placeholder=" ...",
        break_on_hyphens=False,
    )
