"""Read what students hand in: from bytes to a notebook that holds only sources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from labcore.runtime import LabError
from labcore.student.notebooks import parse_notebook

__all__ = ["notebook_in", "sound"]

NO_NOTEBOOK = "the file is not a readable Jupyter notebook"
MOST_CELLS, MOST_PARTS = 2_000, 2_000_000
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character; no file can hold it


def sound(text: str) -> str:
    """The text with uniform line ends, and only characters that can be written."""
    return SURROGATE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def notebook_in(data: bytes) -> NotebookNode:
    """The cells' sources and names; ValueError says why the file cannot be read.

    Outputs and other metadata are dropped first, so that they cost no time or memory.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the file is not text, so it is not a notebook") from None
    if text.count("{") + text.count("[") > MOST_PARTS:
        raise ValueError(f"the file has more than {MOST_PARTS:,} parts")
    try:
        raw = json.loads(text)
        kind = raw["nbformat"]
        sheets = [raw] if kind == 4 else raw["worksheets"]
        count = sum(len(sheet["cells"]) for sheet in sheets)
    except Exception:  # a damaged file can raise anything
        raise ValueError(NO_NOTEBOOK) from None
    if count > MOST_CELLS:
        raise ValueError(f"the notebook has more than {MOST_CELLS:,} cells")
    try:
        cells = list(_cells(sheets))
        about = {"released": _metadata(raw).get("released")}
    except Exception:
        raise ValueError("its cells are not those of a lab") from None
    bare = {"nbformat": kind, "nbformat_minor": raw.get("nbformat_minor", 0)}
    bare["metadata"] = {k: v for k, v in about.items() if isinstance(v, str)}
    bare |= {"cells": cells} if kind == 4 else {"worksheets": [{"cells": cells}]}
    try:
        return parse_notebook(json.dumps(bare), "the file")
    except LabError:
        raise ValueError(NO_NOTEBOOK) from None


def _cells(sheets: list[dict]) -> Iterator[dict]:
    for cell in (cell for sheet in sheets for cell in sheet["cells"]):
        kept = {"cell_type": cell["cell_type"], "level": cell.get("level", 1)}
        if isinstance(cell.get("id"), str):
            kept["id"] = cell["id"]
        for key in {"source", "input"} & set(cell):
            lines = cell[key]
            kept[key] = sound(lines if isinstance(lines, str) else "".join(lines))
        graded = _metadata(cell).get("nbgrader")
        if isinstance(graded, dict) and graded:
            kept["metadata"] = {"nbgrader": _names(graded)}
        else:
            kept["metadata"] = {}
        if cell["cell_type"] == "code":
            kept |= {"outputs": [], "language": "python"}
        yield kept


def _metadata(of: dict) -> dict:
    """The metadata; empty if an editor left it out or wrote null."""
    found = of.get("metadata")
    return found if isinstance(found, dict) else {}


def _names(graded: dict) -> dict:
    name = graded.get("grade_id")
    if isinstance(name, dict | list):
        raise ValueError("its name is none")
    return {"grade_id": name, "solution": graded.get("solution") is True}
