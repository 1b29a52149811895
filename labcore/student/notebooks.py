"""Notebooks as files: read carefully, always written in the same form."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..runtime import LabError

__all__ = [
    "NUMBERED",
    "checks_module",
    "digest",
    "function_asked",
    "grading",
    "normalise",
    "notebook_text",
    "parse_notebook",
    "read_notebook",
    "same_name",
    "tags",
]

NUMBERED = "[0-9][0-9]_*.ipynb"
KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
GRADING = {
    "schema_version": 3,
    "grade": False,
    "locked": False,
    "solution": False,
    "task": False,
}
CELL_METADATA = ("deletable", "editable", "jupyter", "nbgrader", "own", "tags")


def parse_notebook(text: str, name: str) -> NotebookNode:
    """The notebook in `text` as format 4, ids unchanged; LabError if it is damaged."""
    try:
        raw = json.loads(text)
        _fill_metadata(raw)
        if raw["nbformat"] == 4:
            nb = nbformat.v4.to_notebook(raw)
        else:
            nb = nbformat.convert(nbformat.reader.reads(json.dumps(raw)), 4)
        sound = all(
            isinstance(cell.source, str)
            and isinstance(cell.metadata, dict)
            and isinstance(cell.cell_type, str)
            for cell in nb.cells
        ) and isinstance(nb.metadata, dict)
    except Exception:  # a damaged file can make the parser raise anything
        sound = False
    if not sound:
        raise LabError(
            f"{name} is damaged (it is not a Jupyter notebook that can be read): "
            "restore it from a backup or take a fresh copy."
        )
    return nb


def _fill_metadata(raw: dict) -> None:
    """Add empty metadata where an editor left it out or wrote null."""
    for part in (raw, *raw.get("worksheets", ())):
        for holder in (part, *part.get("cells", ())):
            if holder.get("metadata") is None:
                holder["metadata"] = {}


def read_notebook(path: Path) -> NotebookNode:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_notebook(text, path.name)


def notebook_text(nb: NotebookNode) -> str:
    return nbformat.writes(nb).rstrip("\n") + "\n"


def normalise(nb: NotebookNode) -> None:
    """Keep what matters and drop what an editor or a run happened to leave behind."""
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict(
            {
                key: cell.metadata[key]
                for key in CELL_METADATA
                if cell.metadata.get(key) not in (None, [], {})
            }
        )
        if grading(cell):
            cell.metadata.nbgrader = nbformat.from_dict(
                GRADING | cell.metadata.nbgrader | {"cell_type": cell.cell_type}
            )


def grading(cell: NotebookNode) -> dict:
    """The cell's nbgrader metadata; empty if it has none."""
    found = cell.metadata.get("nbgrader")
    return found if isinstance(found, dict) else {}


def same_name(grade_id: str, function: str) -> bool:
    """Whether an id like n-of-m, check-n-of-m or NOfM names this function, n_of_m."""
    letters = grade_id.removeprefix("check-").replace("-", "")
    return letters == function.replace("_", "").lower()


def function_asked(check: NotebookNode, stub: str) -> str:
    """The function or class that a check cell checks: the one defined in the released
    answer cell whose name matches the check's id."""
    grade_id = grading(check)["grade_id"]
    for node in ast.parse(stub).body:
        name = getattr(node, "name", "")
        if same_name(grade_id, name):
            return name
    raise LabError(
        f"The cell {grade_id!r} checks a function that the cell above does not ask "
        "for: the lab is damaged, so fetch it again."
    )


def checks_module(nb: NotebookNode, number: str) -> str | None:
    """The module that the setup cells import as lab01, for lab number 01 and so on."""
    for cell in nb.cells:
        if cell.cell_type == "code" and "setup" in tags(cell):
            for name, module in _imported(cell.source):
                if name == f"lab{number}":
                    return module
    return None


def _imported(source: str) -> Iterator[tuple[str, str]]:
    """Name -> module, for each import in a cell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((a.asname or a.name, a.name) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def digest(text: str) -> str:
    """A short fingerprint, to see whether the text changed since its release."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
