"""`labcore submit`: points first, then the file to hand in, then the whole notebook."""

from __future__ import annotations

import copy
import random
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode

from ..files import write_bytes
from ..runtime import LabError, progress, strict_environment
from .find import find
from .kernel import Kernel, Outcome
from .notebooks import grading, notebook_text, read_notebook
from .splice import Report, splice
from .tasks import IMPORT, Row, Task, tasks, written

__all__ = ["submit"]

SEEDS = 5
EXERCISE_SECONDS, CELL_SECONDS = 60, 600


def submit(name: str, work: Path, labs: Path) -> None:
    """Try every exercise as grading will, write the file, then run all cells once.

    LabError at the end, after the file is written, where a cell loops or dies.
    """
    path, lab_path = find(name, work, labs)
    mine, lab = read_notebook(path), read_notebook(lab_path)
    spliced, report = splice(mine, lab)
    saved = datetime.fromtimestamp(path.stat().st_mtime)
    print(f"{_short(path, work)}, as saved on {saved:%Y-%m-%d at %H:%M}")
    with Kernel(path.parent, strict_environment(), IMPORT) as kernel:
        rows, stuck = [], ""
        todo = tasks(spliced, lab_path.name[:2], _others(mine, report), lab)
        for task in progress(todo, what="checks"):
            row, lost = _try(task, kernel)
            rows.append(row)
            stuck = stuck or lost
        rows += written(spliced, lab)
        _show(rows, _remarks(report, mine, lab))
        target = work / "submissions" / lab_path.name
        write_bytes(target, notebook_text(_bare(mine)).encode())
        size = target.stat().st_size / 1000
        print(f"\nTo hand in: {_short(target, work)} ({size:.0f} kB)")
        if stuck:
            raise LabError(f"{stuck} The rest of the notebook was not run.")
        _run_all(mine, path.name, kernel)


def _short(path: Path, work: Path) -> Path:
    """As seen from the folder of the course, where it lies in there."""
    top = work.parent
    return path.relative_to(top) if path.is_relative_to(top) else path


def _others(mine: NotebookNode, report: Report) -> list[str]:
    """The student's own cells, of whose definitions an answer may use some."""
    answers = {answer.student for answer in report.moved}
    return [
        cell.source
        for index, cell in enumerate(mine.cells)
        if cell.cell_type == "code" and index not in answers and not grading(cell)
    ]


def _bare(mine: NotebookNode) -> NotebookNode:
    """All that the student wrote, and nothing that running it left."""
    nb = copy.deepcopy(mine)
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def _try(task: Task, kernel: Kernel) -> tuple[Row, str]:
    """An exercise's row, and a sentence if its cell loops or ends the process."""
    seeds = random.SystemRandom().sample(range(1, 10**9), SEEDS)
    outcome = kernel.run(task.cell(seeds), EXERCISE_SECONDS)
    if outcome.late or outcome.lost:
        fault = _fault(outcome, EXERCISE_SECONDS)
        status = "timeout" if outcome.late else "error"
        return Row(task.name, status, 0, task.points, fault), (
            f"{task.name}: {fault}; mend that and submit again."
        )
    if outcome.error or not outcome.data:
        raise LabError(
            f"The checks of {task.name} cannot run here ({outcome.error}): "
            "run `python -m labcore doctor`."
        )
    return task.row(outcome.data), ""


def _fault(outcome: Outcome, seconds: int) -> str:
    if outcome.lost:
        return outcome.lost
    return f"it does not end within {seconds} seconds (a loop without end?)"


def _remarks(report: Report, mine, lab) -> list[str]:
    remarks = [
        f"{name}: there are several copies of this cell; the last one counts."
        for name in report.duplicates
    ]
    remarks += [
        f"{name}: this cell is missing from your notebook; take it from a fresh copy "
        "of the lab."
        for name in report.missing
    ]
    remarks += [
        f"{unfit.grade_id}: left out, {unfit.reason}." for unfit in report.unfit
    ]
    if mine.metadata.get("released") not in (None, lab.metadata.get("released")):
        remarks.append(
            "Your notebook is of another release of the lab; the checks are those of "
            "this one (`python -m labcore update` brings your notebook to it)."
        )
    return remarks


def _show(rows: list[Row], remarks: list[str]) -> None:
    width = max(len(row.title) for row in rows)
    print(f"\n{'exercise':{width}}  status   points")
    for row in rows:
        print(f"{row.title:{width}}  {row.status:8} {row.counted()}")
    code = [row for row in rows if row.earned is not None]
    total = f"{sum(row.earned for row in code):g} of {sum(row.of for row in code):g}"
    by_hand = sum(row.of for row in rows if row.earned is None)
    more = f", and up to {by_hand:g} for the text" if by_hand else ""
    print(f"{'':{width}}  {'':8} {total}{more}")
    for text in [row.message for row in rows if row.message] + remarks:
        print(f"\n{text}")


def _run_all(mine, name: str, kernel: Kernel) -> None:
    """Every code cell in its order; one that loops or dies ends it with LabError."""
    cells = [c for c in mine.cells if c.cell_type == "code" and c.source.strip()]
    print(
        "\nNow the whole notebook, top to bottom. Ctrl-C leaves it: the file is done."
    )
    fails = []
    try:
        for cell in progress(cells, what="cells"):
            outcome = kernel.run(cell.source, CELL_SECONDS)
            where = f"cell {cell.get('id', '?')!r} ({_first_line(cell.source)})"
            if outcome.late or outcome.lost:
                fault = _fault(outcome, CELL_SECONDS)
                raise LabError(
                    f"{name}, {where}: {fault}; the cells below did not run."
                )
            if outcome.error and not _expected(cell):
                fails.append(f"{where} fails with {outcome.error}")
    except KeyboardInterrupt:
        print("Left. The file to hand in is complete.")
        return
    if not fails:
        print(f"All {len(cells)} cells run.")
        return
    others = f", and {len(fails) - 1} more" if len(fails) > 1 else ""
    print(
        f"{fails[0]}{others}. Exercises that are still open explain that; "
        "otherwise mend it. It costs no points."
    )


def _first_line(source: str) -> str:
    line = source.strip().splitlines()[0]
    return line if len(line) <= 40 else f"{line[:37]}..."


def _expected(cell) -> bool:
    """A failing check or answer stands in the table; some cells fail on purpose."""
    metadata = cell.metadata
    return bool(metadata.get("nbgrader")) or "raises-exception" in metadata.get(
        "tags", []
    )
