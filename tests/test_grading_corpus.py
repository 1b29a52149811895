"""Every kind of submission has one outcome, and none touches another's."""

import csv
import ctypes
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import corpus
import pytest
from toylab import ALL, course
from waiting import until

from labcore.staff.grading.batch import Options, grade_class
from labcore.staff.grading.jobs import Terms

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)
TERMS = Terms(seeds=(3, 4), timeout=8, memory=1)
HARMLESS = ("right", "blank", "wrong")
QUICK = [name for name, kind in corpus.KINDS.items() if not kind.long]
LONG = [name for name, kind in corpus.KINDS.items() if kind.long]


def graded(folder: Path, kinds) -> Path:
    """The folder of grades of these kinds."""
    submissions = folder / "submissions"
    submissions.mkdir(parents=True)
    for name in kinds:
        corpus.KINDS[name].fill(submissions)
    root, out = course(folder / "course"), folder / "grades"
    grade_class(Options(submissions, "90", out, root, TERMS, jobs=2))
    return out


def rows(table: Path) -> list[dict]:
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def watched(patience: float) -> Iterator[list[str]]:
    """The processes started in between that have not ended so many seconds after it.

    Orphans are given to us, so whatever was started stands below us and is found,
    without a mark that a sandbox would wipe out.
    """
    before, survivors = processes_below_us(), []
    adopt_orphans(True)
    try:
        yield survivors
        until(lambda: processes_below_us() <= before, patience)
        survivors += sorted(processes_below_us() - before)
    finally:
        adopt_orphans(False)


def adopt_orphans(ours: bool) -> None:
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(ours), 0, 0, 0) == 0


def processes_below_us() -> set[str]:
    """Number and command of all that descend from this process, but for the dead."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text(errors="replace")
            command = (folder / "cmdline").read_text(errors="replace")
        except OSError:  # it has just ended
            continue
        parents[folder.name] = re.search(r"PPid:\s+(\d+)", status)[1]
        if not re.search(r"State:\s+[ZX]", status):
            commands[folder.name] = command.replace("\0", " ")
    below = {str(os.getpid())}
    while new := {pid for pid, up in parents.items() if up in below} - below:
        below |= new
    return {f"{pid} {commands[pid]}" for pid in below & set(commands)}


@pytest.fixture(scope="module")
def most(tmp_path_factory):
    with watched(patience=60) as survivors:
        folder = graded(tmp_path_factory.mktemp("most"), QUICK)
    return folder, survivors


@pytest.fixture(scope="module")
def grades(most):
    return most[0]


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return graded(tmp_path_factory.mktemp("others"), ["right", *LONG])


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return graded(tmp_path_factory.mktemp("few"), HARMLESS)


def outcome(grades: Path, kind: str) -> dict:
    return {
        row["exercise"]: (row["status"], float(row["points"] or 0))
        for row in rows(grades / "grades.csv")
        if row["student"].lstrip("'") == kind and row["exercise"] in ALL
    }


def assert_one_outcome(grades: Path, kind: str) -> None:
    """The rows are as they should be, and only what tampers is remarked."""
    wanted = corpus.KINDS[kind]
    assert outcome(grades, kind) == wanted.expected
    remarks = [
        (row["exercise"], row["remark"])
        for row in rows(grades / "remarks.csv")
        if row["student"].lstrip("'") == kind
    ]
    if not wanted.remark:
        assert remarks == []
    else:
        assert {exercise for exercise, _ in remarks} == {"90.1"}
        assert any(wanted.remark in remark for _, remark in remarks), remarks


@pytest.mark.parametrize("kind", QUICK)
def test_each_kind_has_its_one_outcome(grades, kind):
    assert_one_outcome(grades, kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", LONG)
def test_so_have_their_relatives(others, kind):
    assert_one_outcome(others, kind)


def test_there_are_forty_kinds_and_more():
    assert len(QUICK) >= 40 and LONG


def test_every_row_says_something(grades):
    for row in rows(grades / "grades.csv"):
        assert row["message"], row


def test_no_process_outlives_the_batch(most):
    assert most[1] == []


def test_an_orphan_would_be_found():
    script = "setsid sleep 60 >/dev/null 2>&1 &"
    with watched(patience=0) as survivors:
        subprocess.run(["sh", "-c", script], env={"PATH": os.defpath}, check=True)
    (orphan,) = survivors
    os.kill(int(orphan.split()[0]), signal.SIGKILL)
    assert "sleep" in orphan or "sh -c" in orphan


def test_nothing_was_written_outside(grades):
    assert not (grades.parent / "written").exists()


def lines(table: Path, students) -> list[str]:
    text = table.read_text(encoding="utf-8", errors="surrogateescape")
    return [ln for ln in text.splitlines() if ln.startswith(tuple(students))]


@pytest.mark.parametrize("table", ["grades.csv", "summary.csv"])
def test_rows_are_equal_with_and_without_the_bad_ones(grades, harmless, table):
    students = [f"{name},90" for name in HARMLESS]
    assert lines(grades / table, students) == lines(harmless / table, students)
    assert len(lines(harmless / table, students)) >= len(HARMLESS)


def test_two_students_with_one_file_are_named_to_the_instructor_only(grades):
    notes = {r["student"]: r["notes"] for r in rows(grades / "summary.csv")}
    assert "the same file as one file, the other student" in notes["one file"]
    for page in (grades / "feedback").iterdir():
        assert "other student" not in page.read_text(encoding="utf-8")


def test_no_text_of_a_student_is_markup_in_the_feedback(grades):
    for page in (grades / "feedback").iterdir():
        text = page.read_text(encoding="utf-8", errors="surrogateescape")
        assert "<script" not in text and "<img" not in text
        assert "default-src 'none'" in text
        assert "http" not in text.replace("http-equiv", "")


def test_no_cell_of_a_table_is_a_formula(grades):
    for table in grades.glob("*.csv"):
        for row in rows(table):
            for cell in row.values():
                assert not cell.startswith(("=", "+", "-", "@")), (table.name, row)
