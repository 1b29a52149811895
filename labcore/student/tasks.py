"""The exercises of a notebook: what each is tried with, and its row in the table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from nbformat import NotebookNode

from ..runtime import LabError
from .cells import LONGEST_CELL
from .gather import gathered
from .notebooks import function_asked, grading, tags

__all__ = ["IMPORT", "Row", "Task", "tasks", "written"]

IMPORT = "from labcore.student import alone"
WORST_FIRST = ("error", "todo", "lent", "failed", "partial", "passed")


@dataclass(frozen=True)
class Row:
    title: str
    status: str
    earned: float | None  # None: by hand
    of: float
    message: str = ""

    def counted(self) -> str:
        if self.earned is None:
            return f"up to {self.of:g}, by hand"
        return f"{self.earned:g} of {self.of:g}"


@dataclass
class Task:
    """One exercise and what it is tried with.

    prepare   setup and given cells, from the lab
    lend      (lab, function): the references that stand in for other exercises
    others    the student's own cells, of whose definitions an answer may need some
    """

    lab: str
    name: str
    points: float
    answers: list[str]
    prepare: list[str]
    lend: list[tuple[str, str]]
    others: list[str]

    def cell(self, seeds: list[int]) -> str:
        """The cell that sends this exercise's verdicts for these seeds."""
        task = {
            "lab": self.lab,
            "name": self.name,
            "prepare": self.prepare,
            "lend": self.lend,
            "others": self.others,
            "answers": self.answers,
            "seeds": seeds,
        }
        return f"{IMPORT}; alone.show_verdicts({json.dumps(task)!r})"

    def row(self, verdicts: list[dict]) -> Row:
        """The worst verdict of all seeds counts."""
        first = verdicts[0]
        if "broken" in first:
            raise LabError(
                f"The set-up cells of Lab {self.lab} do not run here "
                f"({first['broken']}): run `python -m labcore doctor`."
            )
        worst = min(verdicts, key=lambda v: (v["points"], _rank(v["status"])))
        title = f"{worst['exercise']} {worst['name']}"
        if worst["status"] == "passed":
            return Row(title, "passed", worst["points"], self.points)
        return Row(
            title, worst["status"], worst["points"], self.points, _explained(worst)
        )


def _rank(status: str) -> int:
    return WORST_FIRST.index(status)


def _explained(verdict: dict) -> str:
    message = verdict["message"]
    if verdict["status"] == "todo":
        return message if "it uses" in message else ""
    if "NameError" in message:
        message += (
            "\n  note      of other cells an answer sees imports, functions and plain "
            "values\n            only: what else it needs stands in its own cell"
        )
    if verdict["status"] in ("failed", "partial"):
        message += f"\n  seed      LABCORE_CHECK_SEED={verdict['seed']}"
    return message


def tasks(
    nb: NotebookNode, lab: str, others: list[str], empty: NotebookNode
) -> list[Task]:
    """One task a check cell, in the notebook's order; `empty`: the lab as released."""
    prepare, own = [], []
    for cell in nb.cells:
        if cell.cell_type == "code" and {"setup", "given"} & set(tags(cell)):
            prepare.append(cell.source)
            own += cell.metadata.get("own", {}).items()
    found: list[Task] = []
    answers: list[str] = []
    stub = ""
    for cell, released in zip(nb.cells, empty.cells, strict=True):
        if cell.cell_type != "code":
            continue
        if grading(cell).get("solution"):
            if len(cell.source) > LONGEST_CELL:
                raise LabError(
                    f"The cell {cell.id!r} has {len(cell.source):,} characters; "
                    f"grading takes {LONGEST_CELL:,} at most: shorten it."
                )
            answers.append(cell.source)
            stub = released.source
        elif grading(cell).get("grade"):
            points, name = grading(cell).get("points", 0), function_asked(cell, stub)
            if answers:
                answers[-1] = gathered(answers[-1], stub, name, others)
            found.append(Task(lab, name, points, answers, prepare, [], others))
            answers = []
    for task in found:
        task.lend = [(owner, name) for name, owner in own] + [
            (lab, other.name) for other in found if other is not task
        ]
    return found


def written(nb: NotebookNode, lab: NotebookNode) -> list[Row]:
    """The free texts: graded by hand, so only whether something was written."""
    rows = []
    for cell, empty in zip(nb.cells, lab.cells, strict=True):
        meta = grading(cell)
        if cell.cell_type == "markdown" and meta.get("solution"):
            undone = cell.source.strip() in ("", empty.source.strip())
            status = "todo" if undone else "written"
            rows.append(Row(_heading(meta), status, None, meta.get("points", 0)))
    return rows


def _heading(meta: dict) -> str:
    match = re.fullmatch(r"question-(\d+)-(\d+).*", meta["grade_id"])
    return f"question {match[1]}.{match[2]}" if match else meta["grade_id"]
