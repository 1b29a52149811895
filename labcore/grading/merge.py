"""Results, reviews and overrides put together: tables, pages, and who has which."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from labcore.grading.feedback import SENTENCES, page
from labcore.grading.store import Store

__all__ = ["merge"]

REVIEW = (
    *("student", "question", "title", "answer", "rubric", "model answer"),
    *("points", "of", "comment"),
)
OVERRIDES = ("student", "exercise", "points", "reason")


def merge(store: Store, lab: str, questions: Mapping[str, object]) -> list[str]:
    """Write all tables and pages anew; returns what an instructor has to look at.

    questions   the lab's Question by its id: rubric and model answer for review.csv
    """
    results, said = store.results(), []
    reviews = _reviews(store, said)
    overrides = _overrides(store, results, said)
    students = {
        student: [
            *map(dict, result["rows"]),
            *(_reviewed(student, text, reviews, said) for text in result["texts"]),
        ]
        for student, result in results.items()
    }
    for (student, exercise), (points, reason) in overrides.items():
        for row in students[student]:
            if row["exercise"] == exercise:
                row["message"] = _joined(row["message"], f"Changed by hand: {reason}")
                row["points"] = points
    _write_grades(store, lab, students)
    _write_summary(store, lab, students, results)
    _write_review(store, results, reviews, questions)
    _write_pages(store, lab, students, results)
    return said


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _number(text: str, most: float | None = None) -> float | None:
    """The points in a cell of a spreadsheet; None where it is empty or no number."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= (most or 1e6) else None


def _reviews(store: Store, said: list[str]) -> dict[tuple[str, str], dict]:
    reviews = {}
    for row in store.table("review.csv"):
        reviews[row.get("student", ""), row.get("question", "")] = row
    return reviews


def _reviewed(student: str, text: dict, reviews, said: list[str]) -> dict:
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
    if filled.get("answer", "") != text["source"]:
        said.append(f"{where}: the answer changed after its review; look again")
    full = points >= text["of"]
    row["status"] = "passed" if full else "partial" if points else "failed"
    row["points"] = points
    return row


def _overrides(store: Store, results, said: list[str]) -> dict:
    """(student, exercise) -> (points, reason); the last line on an exercise counts."""
    if not (store.folder / "overrides.csv").exists():
        store.write_table("overrides.csv", OVERRIDES, [])
    found = {}
    for line, row in enumerate(store.table("overrides.csv"), 2):
        student, exercise = row.get("student", ""), row.get("exercise", "")
        known = results.get(student, {"rows": (), "texts": ()})
        points = _number(row.get("points", ""))
        if exercise not in {r["exercise"] for r in (*known["rows"], *known["texts"])}:
            said.append(f"overrides.csv, line {line}: no {exercise!r} of {student!r}")
        elif points is None or not row.get("reason", "").strip():
            said.append(f"overrides.csv, line {line}: it needs points and a reason")
        else:
            found[student, exercise] = points, row["reason"].strip()
    told = [[*key, *value] for key, value in found.items()]
    applied = store.run().get("overrides", [])
    if told != applied:
        store.log("overrides", before=applied, now=told)
        store.begin(store.run() | {"overrides": told})
    return found


def _write_grades(store: Store, lab: str, students) -> None:
    store.write_table(
        "grades.csv",
        ("student", "lab", "exercise", "points", "of", "status", "message"),
        [
            (
                *(student, lab, row["exercise"], _shown(row["points"]), row["of"]),
                *(row["status"], _sentence(row)),
            )
            for student, rows in students.items()
            for row in rows
        ],
    )


def _sentence(row: dict) -> str:
    return " ".join(row["message"].split()) or SENTENCES[row["status"]]


def _shown(points: float | None) -> float | str:
    return "" if points is None else points


def _write_summary(store: Store, lab: str, students, results) -> None:
    exercises = list(dict.fromkeys(r["exercise"] for v in students.values() for r in v))
    owners: dict[str, list[str]] = {}
    for student, result in results.items():
        owners.setdefault(result["digest"], []).append(student)
    lines = []
    for student, rows in students.items():
        points = {row["exercise"]: row["points"] for row in rows}
        notes = list(results[student]["notes"])
        digest = results[student]["digest"]
        if digest and (others := [s for s in owners[digest] if s != student]):
            notes.append(f"the same file as {', '.join(others)}")
        lines.append(
            (
                *(student, lab, sum(p or 0 for p in points.values())),
                sum(row["of"] for row in rows),
                sum(row["points"] is None for row in rows),
                "; ".join(notes),
                *(_shown(points.get(exercise)) for exercise in exercises),
            )
        )
    head = ("student", "lab", "points", "of", "to review", "notes", *exercises)
    store.write_table("summary.csv", head, lines)


def _write_review(store: Store, results, reviews, questions) -> None:
    lines = []
    for student, result in results.items():
        for text in result["texts"]:
            if text["status"] != "review":
                continue
            exercise, filled = (
                text["exercise"],
                reviews.get((student, text["exercise"])),
            )
            filled = filled or {"points": "", "comment": ""}
            asked = questions[exercise]
            lines.append(
                (
                    *(student, exercise, text["title"], text["source"]),
                    *(asked.rubric, asked.model),
                    *(filled["points"], text["of"], filled["comment"]),
                )
            )
    store.write_table("review.csv", REVIEW, lines)


def _write_pages(store: Store, lab: str, students, results) -> None:
    pages = {row["student"]: row["page"] for row in store.table("keys.csv")}
    for student in students:
        pages.setdefault(student, f"{secrets.token_urlsafe(16)}.html")
    store.write_table("keys.csv", ("student", "page"), sorted(pages.items()))
    for student, rows in students.items():
        store.write_page(pages[student], page(lab, rows, _told(results[student])))


def _told(result: Mapping) -> Sequence[str]:
    return result["notes"]
