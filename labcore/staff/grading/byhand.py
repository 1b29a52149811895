"""What instructors fill in, in review.csv and overrides.csv; nothing gets lost."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence

from labcore.staff.grading.store import Store

__all__ = [
    "earned",
    "fingerprint",
    "number_in",
    "overrides_in",
    "reviewed",
    "reviews_in",
    "row_of",
]

FILLED = ("student", "question", "answer", "points", "comment")
OVERRIDES = ("student", "exercise", "points", "reason")


def number_in(text: str, most: float | None = None) -> float | None:
    """The points in a spreadsheet cell; None if it is empty or not a number."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= (1e6 if most is None else most) else None


def row_of(rows: Sequence[dict], exercise: str) -> dict | None:
    return next((row for row in rows if row["exercise"] == exercise), None)


def earned(points: float, of: float) -> str:
    """The status of a free text that received these points."""
    return "passed" if points >= of else "partial" if points else "failed"


def fingerprint(text: str) -> str:
    """A fingerprint of the words only: spreadsheets change spaces and line breaks."""
    words = " ".join(text.split()).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(words).hexdigest()[:12]


def _full_ids(students: Collection[str]) -> dict[str, str]:
    """Id without its leading zeros, as spreadsheets save it -> the student."""
    short = [(s.lstrip("0"), s) for s in students if s.isdigit()]
    often = Counter(id for id, _ in short)
    return {id: s for id, s in short if often[id] == 1 and id not in students}


def reviews_in(store: Store, results, said: list[str]) -> tuple[dict, bool]:
    """(student, question) -> its row, and whether every filled row could be used.

    Each row gets a field "read": a fingerprint of the answer that the instructor read.
    """
    waiting = {
        (student, text["exercise"])
        for student, result in results.items()
        for text in result["texts"]
        if text["status"] == "review"
    }
    reviews, lost, full = {}, False, _full_ids(results)
    for line, row in enumerate(store.table("review.csv", *FILLED), 2):
        student, question = full.get(row["student"], row["student"]), row["question"]
        key = student, question
        if not (row["points"].strip() or row["comment"].strip()):
            continue
        if key in waiting and key not in reviews:
            reviews[key] = row
            continue
        lost = True
        fault = "is there twice" if key in waiting else "does not wait for points"
        said.append(
            f"review.csv, row {line}: {question!r} of {student!r} {fault}; "
            "what it says does not count"
        )
    if lost:
        said.append("review.csv stays unchanged until such rows are corrected")
    told = _remembered(store, reviews)
    return {key: row | {"read": told[key][2]} for key, row in reviews.items()}, not lost


def _remembered(store: Store, reviews) -> dict[tuple, list]:
    """(student, question) -> points, comment and the answer that these were given for.

    A later merge shows the newest answer beside them. We know that an instructor read
    the new answer only if the points or the comment changed.
    """
    run = store.run()
    applied = {(row[0], row[1]): row[2:] for row in run.get("reviews", [])}
    told = {}
    for key, row in reviews.items():
        given = [row["points"].strip(), row["comment"].strip()]
        old = applied.get(key)
        same = old is not None and old[:2] == given
        told[key] = old if same else [*given, fingerprint(row["answer"])]
    for key in sorted(applied.keys() | told.keys()):
        before, now = applied.get(key), told.get(key)
        if before != now:
            student, question = key
            before, now = before and before[:2], now and now[:2]
            store.log(
                "review", student=student, question=question, before=before, now=now
            )
    if told != applied:
        lines = [[*key, *value] for key, value in told.items()]
        store.begin(run | {"reviews": lines})
    return told


def reviewed(student: str, text: dict, reviews, said: list[str]) -> dict:
    """The row of a free text, with the points and the comment that it received."""
    row = dict(text)
    filled = reviews.get((student, text["exercise"]), {})
    row["comment"] = filled.get("comment", "")
    given = filled.get("points", "").strip()
    if not given or row["status"] != "review":
        return row
    points = number_in(given, text["of"])
    where = f"review.csv, {student}, {text['exercise']}"
    if points is None:
        said.append(f"{where}: {given!r} is no number from 0 to {text['of']:g}")
        return row
    if filled["read"] != fingerprint(text["source"]):
        row["changed"] = "the answer changed after its review"
        said.append(
            f"{where}: {row['changed']}; read it, then change points or comment"
        )
    row["status"], row["points"] = earned(points, text["of"]), points
    return row


def overrides_in(store: Store, results, said: list[str]) -> dict:
    """(student, exercise) -> (points, reason); the last line on each counts."""
    if not (store.folder / "overrides.csv").exists():
        store.write_table("overrides.csv", OVERRIDES, [])
    found, above, full = {}, [], _full_ids(results)
    for line, row in enumerate(store.table("overrides.csv", *OVERRIDES), 2):
        student = full.get(row["student"], row["student"])
        exercise = row["exercise"].strip()
        known = results.get(student, {"rows": (), "texts": ()})
        asked = row_of((*known["rows"], *known["texts"]), exercise)
        points = number_in(row["points"])
        where = f"overrides.csv, line {line}"
        if asked is None:
            said.append(f"{where}: no {exercise!r} of {student!r}")
        elif points is None or not row["reason"].strip():
            said.append(f"{where}: it needs points and a reason")
        else:
            found[student, exercise] = points, row["reason"].strip()
            if points > asked["of"]:
                above.append([student, exercise])
                said.append(
                    f"{where}: {points:g} points of {asked['of']:g}, taken as they are"
                )
    told = [[*key, *value] for key, value in found.items()]
    applied = store.run().get("overrides", [])
    if told != applied:
        store.log("overrides", before=applied, now=told, above=above)
        store.begin(store.run() | {"overrides": told})
    return found
