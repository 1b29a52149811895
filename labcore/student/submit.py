"""`labcore submit`: try the exercises, write the file, then run the whole notebook."""

from __future__ import annotations

import copy
import random
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode

from ..files import write_bytes
from ..runtime import LabError, progress, strict_environment
from .cells import LONGEST_CELL
from .find import find
from .gather import local_imports
from .kernel import Kernel, Outcome
from .notebooks import notebook_text, read_notebook
from .running import tried
from .splice import Report
from .tasks import Row, Work, job_of, read_lab, rows_of, take_answers, text_rows, to_run

__all__ = ["submit"]

SEEDS = 5
SECONDS, CELL_SECONDS = 60, 600
LIMITS = {"limits": {}, "memory": 0, "sealed": False}  # it is the student's own machine
STATUS = {"review": "written"}


def submit(name: str, work: Path, labs: Path) -> None:
    """Try every exercise as grading will, write the file, then run all cells once.

    If a cell loops or the kernel dies, LabError follows after the file is written.
    """
    path, lab_path = find(name, work, labs)
    mine, released = read_notebook(path), read_notebook(lab_path)
    lab, own = read_lab(released, lab_path.name[:2]), Work()
    report = take_answers(own, mine, lab)
    _refuse_long(own)
    saved = datetime.fromtimestamp(path.stat().st_mtime)
    print(f"{_short(path, work)}, as saved on {saved:%Y-%m-%d at %H:%M}")
    target = work / "submissions" / lab_path.name
    write_bytes(target, notebook_text(_bare(mine)).encode())
    outcomes = tried(job_of(own, lab, lab.tasks, _seeds(), SECONDS, **LIMITS))
    waiting = progress(outcomes, what="checks", total=len(to_run(own, lab.tasks)))
    try:
        found = list(waiting)  # to its end, so that its process is closed
    except LabError as fault:
        raise LabError(
            f"{fault} The file to hand in is written: {_short(target, work)}."
        ) from None
    rows = [*rows_of(own, lab.tasks, found), *text_rows(own, lab.questions)]
    _show(rows, [*_remarks(report, mine, released), *_beside(own, path.parent)])
    size = target.stat().st_size / 1000
    print(f"\nTo hand in: {_short(target, work)} ({size:.0f} kB)")
    for row in rows:
        if row.status == "timeout":
            raise LabError(
                f"{row.exercise} does not end: fix that and submit again. The rest of "
                "the notebook was not run."
            )
    with Kernel(path.parent, strict_environment()) as kernel:
        _run_all(mine, path.name, kernel)


def _seeds() -> list[int]:
    return random.SystemRandom().sample(range(1, 10**9), SEEDS)


def _refuse_long(work: Work) -> None:
    for grade_id, source in work.answers.items():
        if len(source) > LONGEST_CELL:
            raise LabError(
                f"The cell {grade_id!r} has {len(source):,} characters, but grading "
                f"reads at most {LONGEST_CELL:,}: shorten it."
            )


def _short(path: Path, work: Path) -> Path:
    """The path relative to the course folder, if it lies inside."""
    top = work.parent
    return path.relative_to(top) if path.is_relative_to(top) else path


def _bare(mine: NotebookNode) -> NotebookNode:
    """What the student wrote, without anything that running the notebook left."""
    nb = copy.deepcopy(mine)
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def _fault(outcome: Outcome, seconds: int) -> str:
    if outcome.lost:
        return outcome.lost
    return f"it does not end within {seconds} seconds (an endless loop?)"


def _remarks(report: Report, mine, lab) -> list[str]:
    remarks = [
        f"{name}: there are several copies of this cell; the last that defines "
        "its function counts."
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
            "Your notebook comes from another release of the lab than the checks: run "
            "`python -m labcore update` to bring it up to date."
        )
    return remarks


def _beside(own: Work, folder: Path) -> list[str]:
    """Remarks on files beside the notebook, because they are not handed in with it."""
    sources = [source for _, source in own.cells]
    return [
        f"Your notebook imports {module}, a file beside it that is not handed in: copy "
        "what you need from it into a cell."
        for module in local_imports(sources, folder)
    ]


def _show(rows: list[Row], remarks: list[str]) -> None:
    titles = [_title(row) for row in rows]
    width = max(map(len, titles))
    print(f"\n{'exercise':{width}}  status   points")
    for title, row in zip(titles, rows, strict=True):
        print(
            f"{title:{width}}  {STATUS.get(row.status, row.status):8} {_counted(row)}"
        )
    code = [row for row in rows if row.name]
    total = f"{sum(row.points for row in code):g} of {sum(row.of for row in code):g}"
    by_hand = sum(row.of for row in rows if not row.name)
    more = f", and up to {by_hand:g} for the text" if by_hand else ""
    print(f"{'':{width}}  {'':8} {total}{more}")
    for text in [*filter(None, map(_explained, rows)), *remarks]:
        print(f"\n{text}")


def _title(row: Row) -> str:
    return f"{row.exercise} {row.name}" if row.name else f"question {row.exercise[1:]}"


def _counted(row: Row) -> str:
    if not row.name:
        return f"up to {row.of:g}, by hand"
    if not row.of:
        return "ungraded"
    return f"{row.points:g} of {row.of:g}"


def _explained(row: Row) -> str:
    """What the check said about an answer that ran, and how to see it again."""
    message = row.message
    if row.status in ("passed", "missing"):
        return ""
    if row.status == "todo":
        return message if "it uses" in message else ""
    if "NameError" in message:
        message += (
            "\n  note      no cell that an answer can use binds this name: define it in"
            "\n            the answer's own cell"
        )
    if row.status in ("failed", "partial"):
        message += f"\n  seed      LABCORE_CHECK_SEED={row.seed}"
    return message


def _run_all(mine, name: str, kernel: Kernel) -> None:
    """Run the code cells in order; LabError if one loops or the kernel dies."""
    cells = [c for c in mine.cells if c.cell_type == "code" and c.source.strip()]
    fails = []
    try:
        print(
            "\nNow the whole notebook runs from top to bottom. Press Ctrl-C to stop: "
            "your file is already written.",
            flush=True,
        )
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
        print("Stopped. The file to hand in is complete.")
        return
    if not fails:
        print(f"All {len(cells)} cells run.")
        return
    others = f", and {len(fails) - 1} more" if len(fails) > 1 else ""
    print(
        f"{fails[0]}{others}. If an exercise is still open, that explains it; "
        "otherwise fix it. It costs no points."
    )


def _first_line(source: str) -> str:
    line = source.strip().splitlines()[0]
    return line if len(line) <= 40 else f"{line[:37]}..."


def _expected(cell) -> bool:
    """Whether an error is known: the table has it, or the cell should fail."""
    metadata = cell.metadata
    return bool(metadata.get("nbgrader")) or "raises-exception" in metadata.get(
        "tags", []
    )
