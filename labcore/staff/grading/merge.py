"""Combine results, reviews and overrides into tables, pages and a summary."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from labcore.staff.grading.feedback import SENTENCES, page
from labcore.staff.grading.standings import Gathered, Standing, gathered
from labcore.staff.grading.store import Store
from labcore.staff.grading.talkpage import sheet

__all__ = ["merge", "merged"]

REVIEW = (
    *("student", "question", "title", "answer", "rubric", "model answer"),
    *("points", "of", "comment"),
)
KEYS = ("student", "page")


def merge(store: Store, lab: str, questions: Mapping[str, object]) -> list[str]:
    """Rewrite all tables and pages; returns what an instructor should look at.

    questions   the lab's Questions by id, whose rubrics go into review.csv
    """
    return merged(store, lab, questions).said


def merged(store: Store, lab: str, questions: Mapping[str, object]) -> Gathered:
    """The same, and returns everything that the tables were made of."""
    found = gathered(store)
    _write_grades(store, lab, found.students)
    _write_summary(store, lab, found)
    if found.all_taken:
        _write_review(store, found.results, found.reviews, questions, found.said)
    _write_pages(store, lab, found.students)
    store.write_sheet("talk.html", sheet(lab, found.results))
    if remarks := list(_remarks(found.results)):
        found.said.append(
            f"remarks.csv: {len(remarks)} on answers that tamper, or seem to"
        )
    store.write_table("remarks.csv", ("student", "exercise", "remark"), remarks)
    return found


def _remarks(results: Mapping) -> Iterator[tuple[str, str, str]]:
    """What answers did that no honest answer does; older versions did not record it."""
    for student, result in results.items():
        for row in result["rows"]:
            for remark in row.get("remarks", ()):
                yield student, row["exercise"], remark


def _write_grades(store: Store, lab: str, students: Mapping[str, Standing]) -> None:
    store.write_table(
        "grades.csv",
        ("student", "lab", "exercise", "points", "of", "status", "message"),
        [
            (
                *(student, lab, row["exercise"], _shown(row["points"]), row["of"]),
                *(row["status"], _sentence(row)),
            )
            for student, standing in students.items()
            for row in standing.rows
        ],
    )


def _sentence(row: dict) -> str:
    return " ".join(row["message"].split()) or SENTENCES[row["status"]]


def _shown(points: float | None) -> float | str:
    return "" if points is None else points


def _write_summary(store: Store, lab: str, found: Gathered) -> None:
    exercises = list(
        dict.fromkeys(r["exercise"] for s in found.students.values() for r in s.rows)
    )
    lines = []
    for student, standing in found.students.items():
        points = {row["exercise"]: row["points"] for row in standing.rows}
        lines.append(
            (
                *(student, lab, standing.points, standing.of),
                -standing.off if standing.off else "",
                standing.waiting,
                "; ".join(_notes(student, found)),
                *(_shown(points.get(exercise)) for exercise in exercises),
            )
        )
    head = ("student", "lab", "points", "of", "late", "to review", "notes", *exercises)
    store.write_table("summary.csv", head, lines)


def _notes(student: str, found: Gathered) -> list[str]:
    standing = found.students[student]
    notes = list(standing.notes)
    if found.roster and not standing.entry:
        notes.append("not on the roster")
    if others := [s for s in found.same_file(student) if s != student]:
        notes.append(f"the same file as {', '.join(others)}")
    return notes + [
        f"{row['exercise']}: {row['changed']}"
        for row in standing.rows
        if "changed" in row
    ]


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


def _write_pages(store: Store, lab: str, students: Mapping[str, Standing]) -> None:
    pages = {row["student"]: row["page"] for row in store.table("keys.csv", *KEYS)}
    for student in students:
        pages.setdefault(student, f"{secrets.token_urlsafe(16)}.html")
    store.write_table("keys.csv", KEYS, sorted(pages.items()))
    for student, standing in students.items():
        text = page(lab, standing.rows, standing.notes, standing.off)
        store.write_page(pages[student], text)
