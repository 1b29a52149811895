"""What an instructor fills in by hand, review.csv and overrides.csv; none is lost."""

from __future__ import annotations

from collections.abc import Sequence

from labcore.grading.store import Store

__all__ = ["overrides_in", "reviewed", "reviews_in", "row_of"]

FILLED = ("student", "question", "answer", "points", "comment")
OVERRIDES = ("student", "exercise", "points", "reason")


def _number(text: str, most: float | None = None) -> float | None:
    """The points in a cell of a spreadsheet; None where it is empty or no number."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= (1e6 if most is None else most) else None


def row_of(rows: Sequence[dict], exercise: str) -> dict | None:
    return next((row for row in rows if row["exercise"] == exercise), None)


def reviews_in(store: Store, results, said: list[str]) -> tuple[dict, bool]:
    """(student, question) -> its row, and whether every filled row is among them."""
    waiting = {
        (student, text["exercise"])
        for student, result in results.items()
        for text in result["texts"]
        if text["status"] == "review"
    }
    reviews, lost = {}, False
    for line, row in enumerate(store.table("review.csv", *FILLED), 2):
        key = student, question = row["student"], row["question"]
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
        said.append("review.csv: it is left as it is until such rows are mended")
    return reviews, not lost


def reviewed(student: str, text: dict, reviews, said: list[str]) -> dict:
    """A free text's row, with the points and the comment that it was given."""
    row = dict(text)
    filled = reviews.get((student, text["exercise"]), {})
    row["comment"] = filled.get("comment", "")
    given = filled.get("points", "").strip()
    if not given or row["status"] != "review":
        return row
    points = _number(given, text["of"])
    where = f"review.csv, {student}, {text['exercise']}"
    if points is None:
        said.append(f"{where}: {given!r} is no number from 0 to {text['of']:g}")
        return row
    if filled["answer"].split() != text["source"].split():  # spreadsheets trim
        said.append(f"{where}: the answer changed after its review; look again")
    full = points >= text["of"]
    row["status"] = "passed" if full else "partial" if points else "failed"
    row["points"] = points
    return row


def overrides_in(store: Store, results, said: list[str]) -> dict:
    """(student, exercise) -> (points, reason); the last line on an exercise counts."""
    if not (store.folder / "overrides.csv").exists():
        store.write_table("overrides.csv", OVERRIDES, [])
    found, above = {}, []
    for line, row in enumerate(store.table("overrides.csv", *OVERRIDES), 2):
        student, exercise = row["student"], row["exercise"].strip()
        known = results.get(student, {"rows": (), "texts": ()})
        asked = row_of((*known["rows"], *known["texts"]), exercise)
        points = _number(row["points"])
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
