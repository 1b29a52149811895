"""The grades folder: one result per student, an append-only log, a single grader."""

from __future__ import annotations

import codecs
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

from labcore.files import write_bytes
from labcore.runtime import LabError
from labcore.staff.grading.intake import sound
from labcore.staff.grading.sheet import Sheet

__all__ = ["Busy", "Store", "read_table", "table_text", "table_without"]

MEND = "make room or fix it, then continue with --resume"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # would make a spreadsheet compute
INNER = re.compile(r"([;\t|]\s*)([=+\-@])")  # a formula after another separator
DEFUSED = re.compile(r"([;\t|]\s*)'([=+\-@])")


class Busy(LabError):
    """Another grader holds the folder; it can be waited for."""


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for us; a grader that was killed leaves no lock behind."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a+")
        except OSError as error:
            raise LabError(
                f"{self.folder} cannot be written ({error.strerror}): "
                "name another folder with --out."
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Busy(
                    f"Another grader ({lock.read().strip()}) works on {self.folder}: "
                    "wait for it, or name another folder with --out."
                ) from None
            except OSError as error:
                raise LabError(
                    f"{self.folder} cannot be locked ({error.strerror}): "
                    "use a folder on a disk of this machine."
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {os.uname().nodename}")
            lock.flush()
            yield

    def run(self) -> dict:
        """The settings this folder started with; empty before the first result."""
        if not any((self.folder / "results").glob("*.json")):
            return {}
        return _read(self.folder / "run.json", "seeds", "name another folder")

    def begin(self, run: dict) -> None:
        self._write("run.json", json.dumps(run, indent=1))

    def late(self) -> dict:
        """The settings of the late policy; empty if there is none."""
        path = self.folder / "late.json"
        return _read(path, "due", "give --due again") if path.exists() else {}

    def set_late(self, settings: dict) -> None:
        self._write("late.json", json.dumps(settings, indent=1))

    def found(self) -> list[str]:
        """All who had handed in when grading last began, graded or not yet."""
        path = self.folder / "found.json"
        if not path.exists():
            return []
        found = _read(path, "students", "grade with --resume")
        return [student for (student,) in found["students"]]

    def set_found(self, students: Iterable[str]) -> None:
        found = {"students": [[student] for student in students]}
        self._write("found.json", json.dumps(found))

    def roster(self) -> bytes | None:
        """The list of the class, byte for byte as it was given."""
        path = self.folder / "roster.csv"
        return path.read_bytes() if path.exists() else None

    def set_roster(self, data: bytes) -> None:
        write_bytes(self.folder / "roster.csv", data, MEND)

    def results(self) -> dict[str, dict]:
        """Every stored result, by student."""
        found = {}
        for path in sorted((self.folder / "results").glob("*.json")):
            result = _read(path, "student", "delete it, and grade with --resume")
            found[result["student"]] = result
        return dict(sorted(found.items()))

    def save(self, result: dict) -> None:
        self._write(self._place(result["student"]), json.dumps(result, indent=1))

    def delete(self, student: str) -> None:
        (self.folder / self._place(student)).unlink(missing_ok=True)

    def _place(self, student: str) -> str:
        return f"results/{hashlib.sha256(_bytes(student)).hexdigest()[:20]}.json"

    def rewrite(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a file by what `change` makes of it, if there is one."""
        path = self.folder / name
        if path.exists():
            write_bytes(path, change(path.read_bytes()), MEND)

    def log(self, what: str, **facts) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"time": stamp, "what": what, **facts}) + "\n"
        path = self.folder / "log.jsonl"
        try:
            with path.open("ab+") as file:
                file.seek(max(0, file.tell() - 1))
                cut = file.read() not in (b"", b"\n")  # by a kill, or a full disk
                file.write(_bytes("\n" * cut + line))
        except OSError as error:
            raise LabError(
                f"{path} cannot be written ({error.strerror}): {MEND}."
            ) from None

    def write_table(self, name: str, header: Sequence[str], rows: Iterable) -> None:
        self._write(name, table_text(header, rows))

    def write_page(self, name: str, text: str) -> None:
        """Write a student's page; of thousands, only those that changed."""
        path = self.folder / "feedback" / name
        if not path.exists() or path.read_bytes() != _bytes(text):
            self._write(f"feedback/{name}", text)

    def write_sheet(self, name: str, text: str) -> None:
        """Write a page for the instructor; an empty one is deleted."""
        if text:
            self._write(name, text)
        else:
            (self.folder / name).unlink(missing_ok=True)

    def table(self, name: str, *columns: str) -> list[dict[str, str]]:
        path = self.folder / name
        return read_table(path, *columns) if path.exists() else []

    def _write(self, name: str, text: str) -> None:
        write_bytes(self.folder / name, _bytes(text), MEND)


def _read(path: Path, key: str, advice: str) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content[key]
    except (OSError, ValueError, LookupError, TypeError):
        raise LabError(f"{path} is damaged: {advice}.") from None
    return content


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")


def table_text(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """CSV without formulas in any cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return file.getvalue()


def _harmless(cell) -> str:
    """The cell without formulas, even if a spreadsheet uses another separator."""
    if isinstance(cell, int | float):
        return f"{cell:g}"
    text = INNER.sub(r"\1'\2", str(cell))
    is_formula = isinstance(cell, str) and text.startswith((*FORMULA, "'"))
    return f"'{text}" if is_formula else text


def _as_it_was(cell: str) -> str:
    return DEFUSED.sub(r"\1\2", sound(cell)).removeprefix("'")


def read_table(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows by column, in any form that spreadsheets save; `columns` must exist."""
    try:
        text = _text(path.read_bytes())
    except (OSError, UnicodeError) as error:
        raise LabError(f"{path.name} cannot be read ({error}): fix it.") from None
    if not text.strip():
        return []
    header, *rows = _cells(path.name, text)
    names = [name.strip() for name in header]
    if lacking := [name for name in columns if name not in names]:
        raise LabError(
            f"{path.name} has no column {' and no column '.join(lacking)}: its "
            f"first line must name them as it did ({', '.join(columns)})."
        )
    return [
        {
            name: _as_it_was(cell)
            for name, cell in zip_longest(names, row[: len(names)], fillvalue="")
            if name
        }
        for row in rows
        if row
    ]


def _cells(name: str, text: str) -> list[list[str]]:
    """Row by row; a quotation mark that swallows the rows below it is refused."""
    csv.field_size_limit(sys.maxsize)  # else a single long text spoils the whole table
    lines = io.StringIO(text, newline="")
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=_separator(text), strict=True):
            rows.append(row)
    except csv.Error as error:
        raise LabError(
            f"{name}, row {len(rows) + 1}, has a quotation mark out of place "
            f"({error}): write one at each end of a text, and two for each one inside."
        ) from None
    return rows


def table_without(data: bytes, student: str) -> bytes:
    """The table without the rows of this student; all others stay as they are."""
    text = _text(data)
    sheet = Sheet(text.encode(), _separator(text))
    names = sheet.header
    column = names.index("student") if "student" in names else 0
    rows = range(1, len(sheet.rows))
    return sheet.without(
        row for row in rows if _as_it_was(sheet.value(row, column)) == student
    )


def _separator(text: str) -> str:
    first = text.splitlines()[0] if text.strip() else ""
    return max(",;\t", key=first.count)


def _text(data: bytes) -> str:
    """Decode UTF-8, or what spreadsheets write unless told otherwise."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
