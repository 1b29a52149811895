"""A student's page: their cells, verdicts and comments, with no script or network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from labcore.staff.grading.pages import document

__all__ = ["SENTENCES", "page"]

SENTENCES = {
    "passed": "Right: every step of the check passes.",
    "partial": "Partly right: what comes before the first fault earns its points.",
    "failed": "Not right yet: the check says where it first differs.",
    "error": "The cell, or the process that ran it, ended with an error.",
    "todo": "Not written yet.",
    "timeout": "It took longer than is allowed: is there an endless loop?",
    "memory": "It needed more memory than is allowed.",
    "missing": "The answer's cell, or the notebook, was not handed in.",
    "damaged": "The file, or the cell, cannot be read.",
    "lent": "The reference was used instead: you can go on, but it earns no points.",
    "review": "Your instructor will read it.",
}


def page(lab: str, rows: Sequence[dict], notes: Sequence[str], off: float = 0) -> str:
    """The HTML page of one student; whatever people wrote appears as plain text.

    off   points taken off for being late
    """
    points = max(0, sum(row["points"] or 0 for row in rows) - off)
    of = sum(row["of"] for row in rows)
    overview = "".join(
        f"<tr><td>{escape(row['exercise'])} {escape(row['title'])}</td>"
        f"<td>{escape(_points(row))}</td><td>{escape(row['status'])}</td></tr>\n"
        for row in rows
    )
    remarks = "".join(f"<p>{escape(note)}.</p>\n" for note in notes)
    parts = "".join(map(_part, rows))
    return document(
        f"Lab {lab}",
        f"<h1>Lab {escape(lab)}: {points:g} of {of:g} points</h1>\n{remarks}"
        f"<table>\n<tr><th>exercise</th><th>points</th><th>status</th></tr>\n{overview}"
        f"</table>\n{parts}",
    )


def _points(row: dict) -> str:
    earned = "?" if row["points"] is None else f"{row['points']:g}"
    return f"{earned} of {row['of']:g}"


def _part(row: dict) -> str:
    title = f"{row['exercise']} {row['title']}: {_points(row)}"
    lines = [f"<h2>{escape(title)}</h2>", f"<p>{SENTENCES[row['status']]}</p>"]
    if row["message"]:
        lines.append(f"<pre>{escape(row['message'])}</pre>")
    if row.get("comment"):
        lines.append(f"<p><b>Comment:</b> {escape(row['comment'])}</p>")
    if row["source"].strip():
        lines.append(f"<pre>{escape(row['source'])}</pre>")
    return "\n".join(lines) + "\n"
