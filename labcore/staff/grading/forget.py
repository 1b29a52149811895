"""Delete everything that a folder of grades holds of one student."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading.assignment import read_assignment
from labcore.staff.grading.merge import merged
from labcore.staff.grading.reading import TOGETHER
from labcore.staff.grading.standings import roster_of
from labcore.staff.grading.store import Store, table_without

__all__ = ["forget"]

BY_HAND = ("review.csv", "overrides.csv")
TABLES = ("summary.csv", "grades.csv", "remarks.csv", "keys.csv", *BY_HAND)
NOTES = ("run.json", "found.json", "review.json")
OURS = (
    *TABLES,
    *NOTES,
    "talk.html",
    "log.jsonl",
    "late.json",
    "roster.csv",
    ".lock",
)


def forget(student: str, grades: Path, root: Path) -> None:
    """Delete the student; if it is stopped, a second call completes it.

    Their result goes last of all, so that until then the second call finds them.
    """
    store = Store(grades)
    if not (grades / "run.json").exists():
        raise LabError(f"There are no grades in {grades}: name the folder of grades.")
    with store.locked():
        if student not in _named(store):
            raise LabError(
                f"{grades} has nothing of {student!r}: name a student as the column "
                "student of summary.csv does."
            )
        run = store.run()
        _delete_page(store, student)
        for name in BY_HAND:
            store.rewrite(name, lambda data: table_without(data, student))
        store.rewrite("log.jsonl", lambda data: _log_without(data, student))
        for name in NOTES:
            _leave_notes(store, name, student)
        _leave_roster(store, student)
        _leave_groups(store, student)
        store.delete(student)
        for left in grades.rglob(".*.tmp"):  # of a process that was killed
            left.unlink()
        lab = run.get("lab", "")
        questions = read_assignment(lab, root).questions if lab else ()
        merged(store, lab, {question.id: question for question in questions})
        store.log("forgot a student")
    print(f"{student} is deleted from {grades}.")
    if others := _others(grades, student):
        print(f"The name also occurs in {', '.join(others)}: delete it there.")
    print(
        "Other copies may exist: what the student handed in, what you exported, and "
        "your backups. If you give the same list again with --roster, the name comes "
        "back."
    )


def _named(store: Store) -> set[str]:
    """Everybody whom a result or a table names."""
    return {*store.results()} | {
        row.get("student", "") for name in TABLES for row in store.table(name)
    }


def _delete_page(store: Store, student: str) -> None:
    for row in store.table("keys.csv", "student", "page"):
        if row["student"] == student:
            (store.folder / "feedback" / Path(row["page"]).name).unlink(missing_ok=True)
    store.rewrite("keys.csv", lambda data: table_without(data, student))


def _leave_notes(store: Store, name: str, student: str) -> None:
    """What cannot be read is deleted whole: it may name the student."""
    try:
        store.rewrite(name, lambda data: _json_without(data, student))
    except ValueError:
        (store.folder / name).unlink()
        print(f"{name} was damaged, so it is deleted: it may have named the student.")
        if name == "found.json":
            print(
                "Grade with --resume before you export: until then, students who are "
                "not graded yet count as missing."
            )


def _leave_roster(store: Store, student: str) -> None:
    if roster := roster_of(store):
        entry = roster.matched([student]).get(student)
        if entry and len(roster.entries) > 1:
            store.set_roster(roster.sheet.without([entry.row]))
        elif entry:
            (store.folder / "roster.csv").unlink()


def _leave_groups(store: Store, student: str) -> None:
    """Drop the remark of others that they handed in together."""
    for other, result in store.results().items():
        notes = [
            note
            for note in result["notes"]
            if not (note.startswith(TOGETHER) and student in note)
        ]
        if other != student and notes != result["notes"]:
            store.save(result | {"notes": notes})


def _json_without(data: bytes, student: str) -> bytes:
    return json.dumps(_without(json.loads(data), student), indent=1).encode()


def _log_without(data: bytes, student: str) -> bytes:
    """The others' entries; a line that was cut short may be the student's, and goes."""
    kept = []
    for line in data.splitlines():
        with suppress(ValueError, AttributeError):
            entry = json.loads(line)
            if entry.get("student") != student:
                kept.append(json.dumps(_without(entry, student)).encode() + b"\n")
    return b"".join(kept)


def _without(value, student: str):
    """The value without lists that begin with the student: reviews and overrides."""
    if isinstance(value, dict):
        return {key: _without(part, student) for key, part in value.items()}
    if isinstance(value, list):
        return [
            _without(part, student)
            for part in value
            if not (isinstance(part, list) and part[:1] == [student])
        ]
    return value


def _others(grades: Path, student: str) -> list[str]:
    """Files that grading did not write, in which the name occurs."""
    name, found = student.encode("utf-8", "backslashreplace"), []
    for path in sorted(grades.rglob("*")):
        place = path.relative_to(grades)
        ours = place.parts[0] in ("results", "feedback") or str(place) in OURS
        if not ours and path.is_file() and name in path.read_bytes():
            found.append(str(place))
    return found
