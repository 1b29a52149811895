"""The sheet for the talks: one printable page a student, questions and answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from html import escape

from nbformat import NotebookNode

from labcore.staff.grading.pages import document, shared
from labcore.student.notebooks import tags

__all__ = ["GENERAL", "figure_for", "sheet"]

# for a student whose code gave no telling change; the guide has the same
GENERAL = (
    "What does your function do with a tensor of one value? With all values equal?",
    "Which of these networks is faster, which is smaller, and which is neither?",
    "Take this line out. Does the accuracy change? Does the size of the file change?",
)
WANTED = 3  # changes and general questions together
NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)?(?![\w.]*\w)\s?(?:%|[A-Za-z]+)?")
LONGEST = 240  # characters of a student's sentence
DRAWS = re.compile(r"\bplots\.\w+\(")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def figure_for(student: str, lab: NotebookNode) -> str:
    """The heading above one of the lab's figures; other ones for other students."""
    found, heading = [], ""
    for cell in lab.cells:
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
        elif DRAWS.search(cell.source) and not {"setup", "long"} & set(tags(cell)):
            found.append(heading)
    return found[_place(student, len(found))] if found else ""


def _place(text: str, count: int) -> int:
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:6]) % count


def sheet(lab: str, results: Mapping[str, Mapping]) -> str:
    """The page, for those who were graded with --talk; empty if there are none."""
    title = f"Lab {lab}: five minutes with each student"
    pages = [
        _student(student, result)
        for student, result in results.items()
        if "talk" in result
    ]
    body = f"<h1>{escape(title)}</h1>\n{''.join(pages)}"
    return document(title, body, shared("talk.css")) if pages else ""


def _student(student: str, result: Mapping) -> str:
    questions = [*_questions(student, result)]
    items = "".join(f"<li>{question}</li>\n" for question in questions)
    return (
        f"<section>\n<h2><bdi>{escape(student)}</bdi></h2>\n<ol>\n{items}</ol>\n"
        "</section>\n"
    )


def _questions(student: str, result: Mapping) -> Iterator[str]:
    changes = result["talk"]["changes"]
    yield from map(_change, changes)
    for question in GENERAL[: WANTED - len(changes)]:
        yield f"<p>{escape(question)}</p>\n"
    if sentence := _with_a_number(student, result["texts"]):
        yield (
            f"<p>You wrote: <q><bdi>{escape(sentence)}</bdi></q> Which cell shows this "
            "number? What would have made it half as large?</p>\n"
        )
    if heading := result["talk"]["figure"]:
        yield (
            f"<p>Show your figure in <q>{escape(heading)}</q>. What is on its axes? "
            "Which value in it did you not expect, and what would move it?</p>\n"
        )


def _change(change: Mapping) -> str:
    where = f"{change['id']} {change['name']}, line {change['line']}"
    after = change["after"]
    gone = after in ("", "pass")
    becomes = "is left out" if gone else "becomes the next one"
    return (
        f"<div class=change>\n<div>\n<p>Your answer to {escape(where)}:</p>\n"
        f"<pre>{escape(change['before'])}</pre>\n<p>What does the check say if this "
        f"line {becomes}, and why at that step?</p>\n"
        f"{'' if gone else f'<pre>{escape(after)}</pre>'}\n</div>\n"
        f"<pre class=answer>{escape(change['message'])}</pre>\n</div>\n"
    )


def _with_a_number(student: str, texts: list[dict]) -> str:
    """A sentence of the student's free texts that has a number in it."""
    sentences = [
        sentence
        for text in texts
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text["source"])
        if NUMBER.search(sentence)
    ]
    if not sentences:
        return ""
    chosen = " ".join(sentences[_place(student, len(sentences))].split())
    return chosen if len(chosen) <= LONGEST else f"{chosen[:LONGEST]} ..."
