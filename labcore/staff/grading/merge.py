"""Combine results, reviews and overrides into tables, pages and a summary."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from labcore.staff.grading.byhand import (
    earned,
    overrides_in,
    reviewed,
    reviews_in,
    row_of,
)
from labcore.staff.grading.feedback import SENTENCES, page
from labcore.staff.grading.store import Store

__all__ = ["merge"]

REVIEW = (
    *("student", "question", "title", "answer", "rubric", "model answer"),
    *("points", "of", "comment"),
)
KEYS = ("student", "page")


def merge(store: Store, lab: str, questions: Mapping[str, object]) -> list[str]:
    """Rewrite all tables and pages; returns what an instructor should look at.

    questions   the lab's Questions by id, whose rubrics go into review.csv
    """
    results, said = store.results(), []
    reviews, all_taken = reviews_in(store, results, said)
    overrides = overrides_in(store, results, said)
    students = {
        student: [
            *map(dict, result["rows"]),
            *(reviewed(student, text, reviews, said) for text in result["texts"]),
        ]
        for student, result in results.items()
    }
    for (student, exercise), (points, reason) in overrides.items():
        row = row_of(students[student], exercise)
        above = f" (more than the {row['of']:g} there are)"
        by_hand = f"Changed by hand{above if points > row['of'] else ''}: {reason}"
        row["message"] = _joined(row["message"], by_hand)
        row["points"] = points
        if row["status"] == "review":
            row["status"] = earned(points, row["of"])
    _write_grades(store, lab, students)
    _write_summary(store, lab, students, results)
    if all_taken:
        _write_review(store, results, reviews, questions, said)
    _write_pages(store, lab, students, results)
    if remarks := list(_remarks(results)):
        said.append(f"remarks.csv: {len(remarks)} on answers that tamper, or seem to")
    store.write_table("remarks.csv", ("student", "exercise", "remark"), remarks)
    return said


def _remarks(results: Mapping) -> Iterator[tuple[str, str, str]]:
    """What answers did that no honest answer does; older versions did not record it."""
    for student, result in results.items():
        for row in result["rows"]:
            for remark in row.get("remarks", ()):
                yield student, row["exercise"], remark


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


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
        notes += [f"{r['exercise']}: {r['changed']}" for r in rows if "changed" in r]
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


def _write_review(store: Store, results, reviews, questions, said: list[str]) -> None:
    lines, unknown = [], set()
    for student, result in results.items():
        for text in result["texts"]:
            if text["status"] != "review":
                continue
            exercise = text["exercise"]
            filled = reviews.get((student, exercise), {"points": "", "comment": ""})
            asked = questions.get(exercise)
            if asked is None:
                unknown.add(exercise)
            lines.append(
                (
                    *(student, exercise, text["title"], text["source"]),
                    *((asked.rubric, asked.model) if asked else ("", "")),
                    *(filled["points"], text["of"], filled["comment"]),
                )
            )
    said += [
        f"review.csv, {exercise}: it is in the lab no more, so without rubric and "
        "model answer"
        for exercise in sorted(unknown)
    ]
    store.write_table("review.csv", REVIEW, lines)


def _write_pages(store: Store, lab: str, students, results) -> None:
    pages = {row["student"]: row["page"] for row in store.table("keys.csv", *KEYS)}
    for student in students:
        pages.setdefault(student, f"{secrets.token_urlsafe(16)}.html")
    store.write_table("keys.csv", KEYS, sorted(pages.items()))
    for student, rows in students.items():
        store.write_page(pages[student], page(lab, rows, results[student]["notes"]))
