"""Every kind of submission has one outcome, and none touches another's."""

import csv
import os
import re
import shutil
from pathlib import Path

import corpus
import pytest
from toylab import ALL, course

from labcore.grading.batch import Options, grade_class
from labcore.grading.jobs import Terms

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)
TERMS = Terms(seeds=(3, 4), timeout=8, memory=3)
HARMLESS = ("right", "blank", "wrong")
QUICK = [kind for kind in corpus.KINDS if kind not in corpus.LONG]


def graded(folder: Path, kinds) -> Path:
    """The folder of grades of these kinds."""
    submissions = folder / "submissions"
    submissions.mkdir(parents=True)
    for name in kinds:
        corpus.KINDS[name][0](submissions)
    root, out = course(folder / "course"), folder / "grades"
    grade_class(Options(submissions, "90", out, root, TERMS, jobs=2))
    return out


def rows(table: Path) -> list[dict]:
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    return graded(tmp_path_factory.mktemp("most"), QUICK)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return graded(tmp_path_factory.mktemp("others"), ["right", *corpus.LONG])


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return graded(tmp_path_factory.mktemp("few"), HARMLESS)


def outcome(grades: Path, kind: str) -> dict:
    return {
        row["exercise"]: (row["status"], float(row["points"] or 0))
        for row in rows(grades / "grades.csv")
        if row["student"].lstrip("'") == kind and row["exercise"] in ALL
    }


@pytest.mark.parametrize("kind", QUICK)
def test_each_kind_has_its_one_outcome(grades, kind):
    assert outcome(grades, kind) == corpus.KINDS[kind][1]


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(corpus.LONG))
def test_so_have_their_relatives(others, kind):
    assert outcome(others, kind) == corpus.KINDS[kind][1]


def test_there_are_forty_kinds_and_more():
    assert len(QUICK) >= 40 and set(corpus.KINDS) > corpus.LONG


def test_every_row_says_something(grades):
    for row in rows(grades / "grades.csv"):
        assert row["message"], row


def test_no_process_outlives_the_batch(grades):
    running = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().replace("\0", " ")
            status = (folder / "status").read_text()
        except OSError:
            continue
        parent = int(re.search(r"PPid:\s+(\d+)", status)[1])
        ours = "labcore.grading" in command and parent == os.getpid()
        if ours or corpus.SLEEP in command:
            running.append(command)
    assert running == []


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
