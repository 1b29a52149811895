"""The Help folds below an exercise's hints; their text comes from the checks."""

from __future__ import annotations

import html
import importlib
import textwrap
from collections.abc import Iterator

from nbformat import NotebookNode

from ...runtime import LabError
from ...student.notebooks import checks_module, grading, same_name

__all__ = ["add_folds"]

WIDTH = 100
FOLD = "<details><summary>Help - {words}</summary>\n\n{text}\n\n</details>"
END = "</details>"


def add_folds(nb: NotebookNode, number: str) -> None:
    """Put each exercise's Help folds below its last hint, in this notebook."""
    module = checks_module(nb, number)
    if not module:
        return
    exercises = importlib.import_module(module).EXERCISES.values()
    for check, below in _checks(nb):
        grade_id = grading(check)["grade_id"]
        found = [e for e in exercises if same_name(grade_id, e.name)]
        if not found or not found[0].folds:
            continue
        if END not in below.source:
            raise LabError(
                f"{found[0].id} {found[0].name}: there are no hints below its check, "
                f"in cell {below.id!r}, to put its Help folds under."
            )
        hints, _, rest = below.source.rpartition(END)
        folds = [_as_text(fold) for fold in found[0].folds]
        below.source = "\n\n".join([hints + END, *folds]) + rest


def _checks(nb: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    """Each check cell, together with the text cell below it."""
    for index, cell in enumerate(nb.cells):
        if grading(cell).get("grade") and not grading(cell).get("solution"):
            texts = (c for c in nb.cells[index + 1 :] if c.cell_type == "markdown")
            yield cell, next(texts, cell)


def _as_text(fold) -> str:
    words = " or ".join(f'"{html.escape(words, quote=False)}"' for words in fold.words)
    return FOLD.format(words=words, text=textwrap.fill(fold.text, WIDTH))
