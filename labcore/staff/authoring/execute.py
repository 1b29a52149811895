"""Run the source notebooks and store their outputs in them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbformat import NotebookNode

from ...files import write_bytes
from ...runtime import LabError, strict_environment
from ...student.notebooks import normalise, notebook_text, read_notebook
from .outputs import clean_outputs
from .structure import problems

if TYPE_CHECKING:
    from nbclient import NotebookClient

__all__ = ["client_for", "execute_solutions"]

CELL_SECONDS, OUTPUT_SECONDS = 600, 60  # for a cell; for outputs after its end
STORED = {"LABCORE_PRECISION": "fp32"}  # the texts' numbers, on every machine


def execute_solutions(paths: Sequence[Path]) -> None:
    """Run each notebook top to bottom and store its cleaned outputs in it.

    The first failing cell stops everything with LabError; its notebook is not changed.
    """
    for path in paths:
        started = time.perf_counter()
        nb = read_notebook(path)
        if found := problems(nb, path.name):
            raise LabError("\n".join(found))
        normalise(nb)
        _run(nb, path)
        normalise(nb)
        for warning in clean_outputs(nb, path.name):
            print(f"  dropped a warning: {warning}")
        write_bytes(path, notebook_text(nb).encode())
        print(f"{path.name}: {time.perf_counter() - started:.0f} s")


def client_for(nb: NotebookNode, folder: Path, **options) -> NotebookClient:
    """What runs a notebook in this folder; outputs that do not come are an error."""
    from nbclient import NotebookClient

    return NotebookClient(
        nb,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--log-level=40"],  # the kernel's warnings are not ours
        iopub_timeout=OUTPUT_SECONDS,
        raise_on_iopub_timeout=True,
        **options,
    )


def _run(nb: NotebookNode, path: Path) -> None:
    """Run the notebook in a fresh kernel, in its folder, with strict settings."""
    from nbclient.exceptions import CellExecutionError

    running: list[str] = ["(none)"]
    client = client_for(
        nb,
        path.parent,
        on_cell_execute=lambda cell, cell_index: running.append(cell.id),
    )
    try:
        client.execute(env=strict_environment() | STORED)
    except CellExecutionError as error:
        line = next(iter(error.evalue.strip().splitlines()), "")
        reason = f"{error.ename}: {line}".rstrip(": ")
    except Exception as error:  # a dead kernel, a cell that took too long
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    else:
        return
    raise LabError(
        f"{path.name}, cell {running[-1]!r} fails ({reason}): "
        "fix it and run again; the file was not changed."
    )
