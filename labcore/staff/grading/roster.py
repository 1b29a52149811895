"""The list of a class: a platform's own export, or a table with a column of ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading.sheet import SEPARATORS, Sheet

__all__ = ["Entry", "Roster", "read_roster", "roster_in"]

LARGEST = 20_000_000
IDS = ("id", "student", "student id", "student number", "login", "email")
TIMES = ("submitted", "submitted at", "handed in", "last modified (submission)")
NAMES = ("name", "full name", "student name")
NOT_CSV = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK\3\4": "a spreadsheet"}
NUMBER = re.compile(r"(?:.+_)?(\d+)")  # of an upload: doejane_12, Jane Doe_12
TESTER = ("Student, Test", "Test Student")  # Canvas adds one to each course


@dataclass(frozen=True)
class Entry:
    """One student of the list."""

    row: int
    upload: str  # the name that an upload of theirs has, or would have
    name: str
    number: str  # by which the platform's uploads name them
    keys: tuple[str, ...]  # what else stands for them: a login, an email address
    submitted: str = ""


@dataclass(frozen=True)
class Roster:
    kind: str  # canvas, moodle or csv
    file: str
    sheet: Sheet
    entries: tuple[Entry, ...]

    def matched(self, students: Collection[str]) -> dict[str, Entry]:
        """The entry of each student who is on the list."""
        by_name = {entry.upload: entry for entry in self.entries}
        by_number = {entry.number: entry for entry in self.entries}
        pairs = [(key, e) for e in self.entries for key in {*e.keys}]
        often = Counter(key for key, _ in pairs)
        by_key = {key: entry for key, entry in pairs if often[key] == 1}
        found = {}
        for student in students:
            number = NUMBER.fullmatch(student)
            found[student] = (
                by_name.get(student)
                or by_key.get(student.casefold())
                or (number and by_number.get(number[1]))
            )
        return {student: entry for student, entry in found.items() if entry}

    def absent(self, matched: Mapping[str, Entry]) -> Iterator[Entry]:
        present = {entry.row for entry in matched.values()}
        return (entry for entry in self.entries if entry.row not in present)

    def text(self, entry: Entry, *names: str) -> str:
        """What the student's row says in the first of these columns that there is."""
        at = {name: place for place, name in enumerate(self.sheet.header)}
        return _first(self.sheet, entry.row, at, names)


def read_roster(path: Path) -> tuple[bytes, Roster]:
    """The file as it is, and the class in it; LabError if it is no such list."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise LabError(
            f"{path.name} is larger than {LARGEST // 1_000_000} MB: name the list of "
            "one class."
        )
    return data, roster_in(data, path.name)


def roster_in(data: bytes, file: str) -> Roster:
    """The class in a file of this name, recognised by its first line."""
    for start, form in NOT_CSV.items():
        if data.startswith(start):
            raise LabError(f"{file} is {form}: save it as CSV in UTF-8.")
    kinds = {"canvas": _canvas, "moodle": _moodle, "csv": _plain}
    sheets = [Sheet(data, separator) for separator in _likely(data)]
    for kind, read in kinds.items():
        for sheet in sheets:
            if (entries := read(sheet)) is not None:
                _check(entries, file)
                return Roster(kind, file, sheet, tuple(entries))
    header = ", ".join(filter(None, sheets[0].header)) or "nothing"
    raise LabError(
        f"{file} is no list of a class that is known here: its first line has "
        f"{_short(header)}. Expected is Canvas's gradebook export (Student, ID, ..., "
        "Section), Moodle's grading worksheet in English (Identifier, ..., Grade), or "
        "a CSV table with a column id."
    )


def _likely(data: bytes) -> list[str]:
    """The separators, the most frequent of the first line first."""
    first = data.lstrip().splitlines()[0] if data.strip() else b""
    found = sorted(SEPARATORS, key=lambda one: -first.count(one.encode()))
    return [one for one in found if first.count(one.encode())] or [","]


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def _check(entries: list[Entry], file: str) -> None:
    """LabError if the list is empty, or names a student twice."""
    if not entries:
        raise LabError(f"{file} has no row of a student below its first line.")
    rows: dict[str, int] = {}
    for entry in entries:
        if entry.number in rows:
            raise LabError(
                f"{file}, rows {rows[entry.number] + 1} and {entry.row + 1}: both have "
                f"the id {entry.number}, but an id belongs to one student."
            )
        rows[entry.number] = entry.row


def _canvas(sheet: Sheet) -> list[Entry] | None:
    """Canvas's export; rows without a number tell of columns, not of students.

    Source: gradebook_exporter.rb, content_zipper.rb in lib/ of instructure/canvas-lms.
    """
    at = {name: place for place, name in enumerate(sheet.header)}
    names = [n for n in ("Student", "LastName", "FirstName") if n in at]
    if not names or not {"ID", "SIS Login ID", "Section"} <= at.keys():
        return None
    others = [at[n] for n in ("SIS User ID", "SIS Login ID") if n in at]
    entries = []
    for row in range(1, len(sheet.rows)):
        number = sheet.value(row, at["ID"]).strip()
        name = ", ".join(sheet.value(row, at[n]).strip() for n in names)
        tester = name in TESTER and not _first(sheet, row, at, ("SIS User ID",))
        if number.isdigit() and not tester:
            letters = re.sub(r"\W", "", name).lower()
            keys = _keys(sheet, row, others)
            entries.append(Entry(row, f"{letters}_{number}", name, number, keys))
    return entries


def _moodle(sheet: Sheet) -> list[Entry] | None:
    """Moodle's worksheet; with anonymous marking it names no student.

    Source: mod/assign/gradingtable.php and feedback/offline of moodle/moodle.
    """
    at = {name: place for place, name in enumerate(sheet.header)}
    if not {"Identifier", "Grade"} <= at.keys():
        return None
    others = [at[n] for n in ("ID number", "Email address", "Username") if n in at]
    entries = []
    for row in range(1, len(sheet.rows)):
        number = re.search(r"\d+$", sheet.value(row, at["Identifier"]).strip())
        if not number:
            continue
        name = _first(sheet, row, at, ("Full name",)) or "Participant"
        upload = f"{name.replace('_', ' ')}_{number[0]}"
        time = _first(sheet, row, at, ("Last modified (submission)",))
        keys = _keys(sheet, row, others)
        entries.append(Entry(row, upload, name, number[0], keys, time.strip("-")))
    return entries


def _plain(sheet: Sheet) -> list[Entry] | None:
    at = {name.casefold(): place for place, name in enumerate(sheet.header)}
    ids = next((name for name in IDS if name in at), None)
    if ids is None:
        return None
    entries = []
    for row in range(1, len(sheet.rows)):
        if not (id := _first(sheet, row, at, (ids,))):
            continue
        name, time = _first(sheet, row, at, NAMES), _first(sheet, row, at, TIMES)
        keys = _keys(sheet, row, [at[ids]])
        entries.append(Entry(row, id, name, id, keys, time))
    return entries


def _first(sheet: Sheet, row: int, at: Mapping[str, int], names) -> str:
    """The row's text in the first of these columns that there is."""
    column = next((at[name] for name in names if name in at), None)
    return "" if column is None else sheet.value(row, column).strip()


def _keys(sheet: Sheet, row: int, columns: list[int]) -> tuple[str, ...]:
    values = (sheet.value(row, column).strip().casefold() for column in columns)
    return tuple(filter(None, values))
