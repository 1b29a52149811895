"""The hints and Help folds of a released lab, as a check's message refers to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape, unescape

from nbformat import NotebookNode

from labcore.student.tasks import HEADING

__all__ = ["Hint", "hint_for", "hints_of"]

FOLD = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
MARKED = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*")
TAGS = ("code", "b", "em")


@dataclass(frozen=True)
class Hint:
    title: str
    text: str  # Markdown as the labs use it in hints: paragraphs, `code`, **b**, *em*

    @property
    def html(self) -> str:
        parts = re.split(r"\n\s*\n", self.text.strip())
        return "".join(f"<p>{_marked(part)}</p>\n" for part in parts)


def hints_of(notebook: NotebookNode) -> dict[str, list[Hint]]:
    """The hints below each exercise, by its id."""
    found: dict[str, list[Hint]] = {}
    hints: list[Hint] = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        if heading := HEADING.search(cell.source):
            hints = found.setdefault(heading[2], [])
        hints += [Hint(unescape(t), text) for t, text in FOLD.findall(cell.source)]
    return found


def hint_for(read: str, hints: list[Hint]) -> Hint | None:
    """The hint that the line `read` of a message names; None if the lab changed."""
    asked = read.removesuffix(", just below")
    quoted = asked.removeprefix("Help ")
    for hint in hints:
        if quoted != asked and quoted in hint.title:
            return hint
        if asked.startswith("Hint 1 ") and hint.title.startswith("Hint 1 "):
            return hint
    return None


def _marked(text: str) -> str:
    def tag(found: re.Match) -> str:
        kind = TAGS[found.lastindex - 1]
        return f"<{kind}>{found[found.lastindex]}</{kind}>"

    return MARKED.sub(tag, escape(text, quote=False))
