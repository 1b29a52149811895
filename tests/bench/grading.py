"""Grading: seconds a submission and what they are, one and two jobs, a class of 300."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading import workers
from labcore.staff.grading.assignment import read_assignment
from labcore.staff.grading.batch import Options, grade_class
from labcore.staff.grading.jobs import Terms, job_of, read_work
from labcore.staff.grading.reading import find_submissions
from labcore.staff.grading.sandbox import kind_of_sandbox
from labcore.student.environment import ROOT
from tests.bench.timing import Row, row

CLASS = 300
WANTED = {"02": "< 5"}


def rows(quick: bool) -> list[Row]:
    try:
        kind_of_sandbox()
        sandbox, note = True, ""
    except LabError:
        sandbox, note = False, "without sandbox"
    terms = Terms(seeds=(1, 2), sandbox=sandbox)
    found = _parts_of_a_submission(terms, 1 if quick else 3)
    numbers = ["02"] if quick else [p.name[:2] for p in sorted(ROOT.glob("labs/0*"))]
    if sandbox:
        open_air = _one_after_another(replace(terms, sandbox=False), ["02"])["02"]
        what = "of which: all but the sandbox, lab 02"
        found.append(row(what, open_air, unit="s"))
    for number, seconds in _one_after_another(terms, numbers).items():
        wanted = WANTED.get(number, "< 20")
        what = f"lab {number}: a submission, all right"
        found.append(row(what, seconds, unit="s", wanted=wanted, note=note))
        hours = CLASS * found[-1].figure / 3600
        what = f"lab {number}: {CLASS} submissions"
        found.append(Row(what, hours, hours, hours, unit="core hours"))
    if not quick:
        found += [_batch("02", terms, jobs, 6) for jobs in (1, 2)]
    return found


def _parts_of_a_submission(terms: Terms, rounds: int) -> list[Row]:
    """What each submission pays before its first answer runs."""
    command = [sys.executable, "-c", "import torch"]
    torch = [_seconds(lambda: subprocess.run(command)) for _ in range(rounds)]
    assignment = read_assignment("02", ROOT)
    parsing = [_seconds(lambda: _job(assignment, terms)) for _ in range(rounds)]
    return [
        row("of which: importing torch", torch, unit="s"),
        row("of which: reading the notebook", parsing, unit="s"),
    ]


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _job(assignment, terms: Terms) -> dict:
    path = ROOT / f"solutions/{assignment.stem}.ipynb"
    work = read_work(find_submissions(path, assignment.stem)[0], assignment)
    return job_of(work, assignment, terms, assignment.tasks)


def _one_after_another(terms: Terms, numbers: list[str]) -> dict[str, list[float]]:
    """Seconds a submission by lab, once all files were read for the first time."""
    with workers.local(1) as executor:

        def once(number: str) -> float:
            job = _job(read_assignment(number, ROOT), terms)
            start = time.perf_counter()
            found = executor.submit(workers.examined, job).result()["results"]
            assert all(one["status"] == "passed" for one in found), found
            return time.perf_counter() - start

        once("02")
        seconds = {number: [once(number)] for number in numbers}
    workers.stop()
    return seconds


def _batch(number: str, terms: Terms, jobs: int, count: int) -> Row:
    """The command itself on a folder of right answers: seconds of wall clock each."""
    stem = read_assignment(number, ROOT).stem
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        folder = Path(name)
        for student in range(count):
            target = folder / f"in/{student}/{stem}.ipynb"
            target.parent.mkdir(parents=True)
            target.write_bytes((ROOT / f"solutions/{stem}.ipynb").read_bytes())
        options = Options(folder / "in", number, folder / "out", ROOT, terms, jobs)
        each = _seconds(lambda: grade_class(options)) / count
    what = f"lab {number}: {count} submissions, --jobs {jobs}, each"
    return Row(what, each, each, each, unit="s")
