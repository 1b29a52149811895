"""Points and pages back to the platform, in the files that it imports."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labcore.files import write_bytes, written
from labcore.runtime import LabError
from labcore.staff.grading.assignment import read_assignment
from labcore.staff.grading.merge import merged
from labcore.staff.grading.roster import Entry, Roster, read_roster
from labcore.staff.grading.standings import Gathered, Standing, listed
from labcore.staff.grading.store import Store, table_text

__all__ = ["export"]

PLATFORMS = {"canvas": "Canvas's gradebook export", "moodle": "Moodle's worksheet"}
ASSIGNMENT = re.compile(r"(.+) \((\d+)\)")  # Canvas: title and number
FIXED = ("N/A", "EX")  # Canvas: not assigned to this student, excused
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that its bytes stay the same
TABLE = ("student", "name", "points", "of", "late", "to review", "missing", "page")


@dataclass(frozen=True)
class _Export:
    """What goes out: the lab, the list, and what each student of the list has."""

    lab: str
    roster: Roster
    found: Gathered
    of_row: Mapping[int, str]  # row of the list -> student

    def standing(self, entry: Entry) -> Standing | None:
        student = self.of_row.get(entry.row)
        return self.found.students[student] if student else None


def export(
    kind: str,
    grades: Path,
    out: Path,
    root: Path,
    given: Path | None = None,
    column: str | None = None,
    zero: bool = False,
) -> None:
    """Write the files for this platform into `out`, and print what to look at.

    given    the platform's list; without it, the one that grading was given
    column   its column for the points; without it, the one that fits the lab
    zero     whether students who handed in nothing get 0 instead of staying as they are
    """
    store = Store(grades)
    if not store.run():
        raise LabError(f"There are no grades in {grades}: grade submissions first.")
    if column and kind == "csv":
        raise LabError("--column goes with canvas and moodle: the CSV has its own.")
    with store.locked():
        lab = store.run()["lab"]
        asked = {q.id: q for q in read_assignment(lab, root).questions}
        roster = read_roster(given)[1] if given else None
        found = merged(store, lab, asked)
        if found.ungraded:
            raise LabError(
                f"{listed(found.ungraded)} not graded yet: continue with 'labcore "
                "grade ... --resume', then export."
            )
        for sentence in found.said:
            print(f"Look at {sentence}.")
        if waiting := sum(standing.waiting for standing in found.students.values()):
            print(f"Look at review.csv: free texts without points: {waiting}.")
        if kind == "csv":
            _export_table(store, found, lab, out, zero)
            return
        roster = _list_of(kind, roster or found.roster, grades)
        made = _Export(lab, roster, found, _rows_of(roster, found))
        _export_sheet(made, column, zero, out)
        if kind == "moodle":
            _export_feedback(store, made, out)


def _list_of(kind: str, roster: Roster | None, grades: Path) -> Roster:
    if roster is None:
        raise LabError(
            f"{grades} was graded without a list: name {PLATFORMS[kind]} with --roster."
        )
    if roster.kind != kind:
        raise LabError(
            f"{roster.file} is not {PLATFORMS[kind]}: name that with --roster."
        )
    return roster


def _rows_of(roster: Roster, found: Gathered) -> dict[int, str]:
    """Row of the list -> student; says who is not on a list that is new."""
    rows: dict[int, str] = {}
    entries = roster.matched(found.students)
    for student, entry in entries.items():
        if other := rows.get(entry.row):
            raise LabError(
                f"{other} and {student} are one student in {roster.file}: keep one of "
                "them, and take the other out with 'labcore forget'."
            )
        rows[entry.row] = student
    strangers = [student for student in found.students if student not in entries]
    if strangers and roster is not found.roster:
        print(f"Look at {roster.file}, which lacks {listed(strangers)} with grades.")
    return rows


# the platform's own list


def _export_sheet(made: _Export, column: str | None, zero: bool, out: Path) -> None:
    roster, sheet = made.roster, made.roster.sheet
    at = _column(roster, made.lab, column)
    values, kept, absent = {}, [], 0
    for entry in roster.entries:
        standing = made.standing(entry)
        if (standing is None or (standing.absent and not standing.points)) and not zero:
            absent += 1
        elif _fixed(roster, entry, at):
            kept.append(entry.upload)
        else:
            values[entry.row, at] = _number(standing.points if standing else 0)
    short = [row for row, column in values if column >= len(sheet.rows[row])]
    if short:
        raise LabError(
            f"{roster.file}, row {short[0] + 1}, has fewer cells than the first line: "
            "download the file again."
        )
    path = out / f"lab{made.lab}-{roster.kind}.csv"
    write_bytes(path, sheet.changed(values))
    if absent:
        print(
            f"Cells that stay as they are, because nothing was handed in: {absent} "
            "(--zero writes 0)."
        )
    if kept:
        print(
            f"Look at {listed(kept)}: the platform does not let you change their "
            "cells (excused, for example)."
        )
    _compare_maximum(made, at)
    print(
        f"{len(values)} of {len(roster.entries)} students have their points in the "
        f"column {sheet.header[at]!r} of {path}."
    )


def _number(points: float) -> str:
    return f"{round(points, 2):g}"


def _fixed(roster: Roster, entry: Entry, at: int) -> bool:
    if roster.kind == "canvas":
        return roster.sheet.value(entry.row, at).strip() in FIXED
    return roster.text(entry, "Grade can be changed") == "No"


def _column(roster: Roster, lab: str, asked: str | None) -> int:
    """The place of the column for the points; LabError with those that there are."""
    header = roster.sheet.header
    if roster.kind == "moodle":
        places = ["Grade"]  # the only one that Moodle reads points from
        fit = [name for name in places if asked in (None, name)]
    else:
        places = _assignments(roster)
        fit = [name for name in places if _meant(name, asked, lab)]
        if not asked and len(places) == 1:
            fit = list(places)
    if len(fit) == 1:
        return header.index(fit[0])
    which = f"{asked!r}" if asked else f"Lab {lab}"
    number = "no column" if not fit else f"{len(fit)} columns"
    raise LabError(
        f"{roster.file} has {number} for {which}: name one with --column, from "
        f"{', '.join(map(repr, places)) or 'none'}."
    )


def _assignments(roster: Roster) -> list[str]:
    """Canvas's columns of assignments; those of totals are marked as read only."""
    header = roster.sheet.header
    first = header.index("Section") + 1
    locked = {
        name
        for cells in roster.sheet.rows[1:3]
        for name, cell in zip(header, cells, strict=False)
        if "read only" in cell.value
    }
    return [name for name in header[first:] if name and name not in locked]


def _meant(name: str, asked: str | None, lab: str) -> bool:
    found = ASSIGNMENT.fullmatch(name)
    if asked:
        return asked in (name, *(found.groups() if found else ()))
    title = found[1] if found else name
    return bool(re.search(rf"(?<!\d)0?{int(lab)}(?!\d)", title))


def _compare_maximum(made: _Export, at: int) -> None:
    roster = made.roster
    if roster.kind == "canvas":
        rows = [
            cells for cells in roster.sheet.rows if "Points Possible" in cells[0].value
        ]
        text = rows[0][at].value if rows and at < len(rows[0]) else ""
    else:
        text = roster.text(roster.entries[0], "Maximum Grade", "Maximum grade")
    of = max(standing.of for standing in made.found.students.values())
    try:
        most = float(text.replace(",", "."))
    except ValueError:
        return
    if most != of:
        print(
            f"Look at {roster.file}: the platform counts up to {most:g} points here, "
            f"but Lab {made.lab} has {of:g}, and the points go out as they are."
        )


# pages


def _export_feedback(store: Store, made: _Export, out: Path) -> None:
    """Moodle's zip: a folder for each student, named as Moodle names their files.

    Source: mod/assign/feedback/file/importziplib.php of moodle/moodle.
    """
    present = {
        entry: made.of_row[entry.row]
        for entry in made.roster.entries
        if (standing := made.standing(entry)) and not standing.absent
    }
    pages = _pages(store)
    path = out / f"lab{made.lab}-moodle-feedback.zip"
    _write_zip(
        path,
        (
            (
                f"{_folder(entry)}/lab{made.lab}.html",
                pages[student],
            )
            for entry, student in present.items()
        ),
    )
    print(f"{len(present)} pages are in {path}.")


def _folder(entry: Entry) -> str:
    """As Moodle names it; it takes what follows the first _ for the number."""
    name = " ".join(_safe(entry.name).replace("_", " ").split()) or "Participant"
    return f"{name}_{entry.number}_assignsubmission_file_"


def _export_table(
    store: Store, found: Gathered, lab: str, out: Path, zero: bool
) -> None:
    pages = _pages(store)
    present = [s for s, standing in found.students.items() if not standing.absent]
    names = dict(zip(present, _names(present), strict=True))
    lines = [
        (
            *(student, standing.entry.name if standing.entry else ""),
            ""
            if standing.absent and not (standing.points or zero)
            else standing.points,
            *(standing.of, -standing.off if standing.off else "", standing.waiting),
            *("missing" if standing.absent else "", names.get(student, "")),
        )
        for student, standing in found.students.items()
    ]
    table, zipped = out / f"lab{lab}.csv", out / f"lab{lab}-pages.zip"
    write_bytes(table, table_text(TABLE, lines).encode("utf-8", "backslashreplace"))
    _write_zip(zipped, ((names[student], pages[student]) for student in present))
    print(f"{len(lines)} students are in {table}, and {len(names)} pages in {zipped}.")


def _pages(store: Store) -> dict[str, Path]:
    rows = store.table("keys.csv", "student", "page")
    return {row["student"]: store.folder / "feedback" / row["page"] for row in rows}


def _names(students: Iterable[str]) -> Iterator[str]:
    """A file name for each; two that a file system could confuse get a number."""
    taken: set[str] = set()
    for student in students:
        plain, number = _safe(student), 1
        name = plain
        while name.casefold() in taken:
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.casefold())
        yield f"{name}.html"


def _safe(name: str, most: int = 80) -> str:
    """The name as part of a file's, on any system; letters of every script stay."""
    kept = "".join(c if c.isalnum() or c in " ,-_@." else "_" for c in name)
    return kept[:most].strip(" .") or "_"


def _write_zip(path: Path, files: Iterable[tuple[str, Path]]) -> None:
    with written(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, source in files:
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, source.read_bytes())
