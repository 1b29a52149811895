"""A verdict as text: a title and labelled lines, at most 8 lines of 88 characters."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

__all__ = ["message"]

WIDTH, LINES = 88, 8
TITLE_LINES, LABEL_WIDTH, INDENT = 2, 9, 12


def message(
    title: str, labelled: Mapping[str, str] | None = None, picture: Sequence[str] = ()
) -> str:
    """`title`, one line per label, and the picture below.

    If the long lines do not all fit when folded, the later ones are cut.
    """
    head, tail = title.split("] ", 1)
    head = _folded(f"{head}] ", tail)
    rows = [
        _folded(f"  {label:<{LABEL_WIDTH}} ", text)
        for label, text in (labelled or {}).items()
    ]
    room = LINES - len(head) - len(rows)  # lines left for folding
    shown = head
    for first, *rest in rows:
        extra = rest[: max(0, room)]
        room -= len(extra)
        shown += [first, *extra]
        if len(rest) > len(extra):
            shown[-1] = shown[-1][: WIDTH - 4].rstrip(" .") + " ..."
    return "\n".join([*shown, *picture])


def _folded(label: str, text: str) -> list[str]:
    """`label` and `text` on one line or two; the second is aligned with the text."""
    return textwrap.wrap(
        "".join(c if c.isprintable() else " " for c in text),
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * min(len(label), INDENT),
        max_lines=TITLE_LINES,
        placeholder=" ...",
        break_on_hyphens=False,
    )
