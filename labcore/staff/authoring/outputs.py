"""What a solution stores of its run: the results, but no side effects of running."""

from __future__ import annotations

import base64
import re

from nbformat import NotebookNode

from ...runtime import LabError
from ...student.notebooks import tags

__all__ = ["clean_outputs", "figure_of"]

WIDGET = "application/vnd.jupyter.widget-view+json"
PNG_LIMIT = 100_000
FIGURE = re.compile(r'src="data:image/png;base64,([^"]*)"')


def clean_outputs(nb: NotebookNode, name: str) -> list[str]:
    """Drop what readers do not need; returns the dropped warnings, one a line.

    We drop progress bars, widgets (the static figure beside them stays), everything on
    stderr, and all outputs of a cell tagged `timing`.
    """
    warned = []
    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if text := _warning(output):
                warned.append(f"{name}, cell {cell.id!r}: {text}")
        kept = [] if "timing" in tags(cell) else map(_clean, cell.outputs)
        cell.outputs = _joined([output for output in kept if output])
        _limit_figures(cell, name)
    return warned


def _clean(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream":
        if output.name == "stderr":
            return None
        output.text = _last_states(output.text)
        return output if output.text else None
    if WIDGET in output.get("data", {}):
        del output.data[WIDGET]
        # without the widget, its text and html are just an address or an old bar
        if not any(kind.startswith("image/") for kind in output.data):
            return None
    output.get("metadata", {}).pop(WIDGET, None)
    return output


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Prints that follow each other as one output, however the kernel sent them."""
    joined: list[NotebookNode] = []
    for output in outputs:
        kinds = {each.output_type for each in (*joined[-1:], output)}
        if joined and kinds == {"stream"}:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _last_states(text: str) -> str:
    """The text as a terminal finally shows it: each line after its last return."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _warning(output: NotebookNode) -> str:
    """The first line that a cell wrote to stderr and that is not a progress bar."""
    if output.output_type != "stream" or output.name != "stderr":
        return ""
    lines = re.split(r"[\r\n]+", output.text)
    said = [line for line in lines if line.strip() and not re.search(r"\d%\|", line)]
    return said[0].strip() if said else ""


def figure_of(output: NotebookNode) -> str:
    """The PNG of an output in base64, plain or inside its HTML; else empty."""
    data = output.get("data", {})
    inside = FIGURE.search(data.get("text/html", ""))
    return inside[1] if inside else data.get("image/png", "")


def _limit_figures(cell: NotebookNode, name: str) -> None:
    for output in cell.outputs:
        size = len(base64.b64decode(figure_of(output)))
        if size > PNG_LIMIT:
            raise LabError(
                f"{name}, cell {cell.id!r}: a figure of {size // 1000} kB is too large "
                f"to store (at most {PNG_LIMIT // 1000} kB): lower its dpi or its size."
            )
