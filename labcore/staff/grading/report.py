"""`labcore report`: one page on what a class did, made from stored results alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from labcore.files import write_bytes
from labcore.runtime import LabError
from labcore.staff.grading.assignment import Assignment, read_assignment
from labcore.staff.grading.examples import example, known_names
from labcore.staff.grading.findings import (
    OUTCOMES,
    Exercise,
    Findings,
    Mistake,
    Question,
    findings,
)
from labcore.staff.grading.hints import hint_for, hints_of
from labcore.staff.grading.pages import document, shared
from labcore.staff.grading.store import Store

__all__ = ["report"]

ENOUGH = 5  # students behind an example, so that it points at no single one
TO_DISCUSS = 3
LOW = 0.5  # of a lab's code points: a student below it may be falling behind
FIRST_HINT = "Hint 1 of the exercise"  # where a message points to none
TITLE = re.compile(r"^# (Lab .+)$", re.MULTILINE)
KEY = (
    "<h2>How to read the counts</h2>\n"
    "<p><b>Passed</b> means every step of the check, <b>partly</b> means that some "
    "points were earned, and <b>failed</b> that an answer was written and earned "
    "none. <b>Left</b> counts answers that were not written or not handed in, and "
    "references used instead. Mistakes are counted among those who wrote an answer."
    "</p>\n"
)


@dataclass(frozen=True)
class _Class:
    """A folder of grades, and the lab that it belongs to."""

    name: str
    assignment: Assignment
    found: Findings

    @property
    def title(self) -> str:
        first = TITLE.search(self.assignment.lab.notebook.cells[0].source)
        return first[1] if first else f"Lab {self.found.lab}"

    def exercise(self, mistake: Mistake) -> Exercise:
        return self.found.exercises[mistake.exercise]


def report(folders: Sequence[Path], out: Path | None, root: Path) -> Path:
    """Write the page on these folders of grades; returns where it is."""
    classes = [_read(folder, root) for folder in folders]
    path = out or folders[0] / "report.html"
    if path.is_dir():
        raise LabError(f"{path} is a folder: name a file such as report.html.")
    text = _page(classes)
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
    return path


def _read(folder: Path, root: Path) -> _Class:
    store = Store(folder)
    if not store.run():
        raise LabError(f"There are no grades in {folder}: grade submissions first.")
    found = findings(store)
    return _Class(folder.resolve().name, read_assignment(found.lab, root), found)


def _page(classes: Sequence[_Class]) -> str:
    titles = ", ".join(dict.fromkeys(c.title for c in classes))
    parts = [
        f"<h1>What the class did: {escape(titles)}</h1>\n",
        *_to_discuss(classes),
        KEY,
        *(part for one in classes for part in _lab(one, len(classes) > 1)),
        *(_behind(classes) if len(classes) > 1 else ()),
    ]
    return document("What the class did", "".join(parts), shared("report.css"))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# what to discuss


def _to_discuss(classes: Sequence[_Class]) -> Iterator[str]:
    yield "<h2>To discuss tomorrow</h2>\n"
    every = [(one, mistake) for one in classes for mistake in one.found.mistakes]
    every.sort(key=lambda pair: -pair[1].count)
    if not every:
        yield "<p>The checks found no mistake that they know.</p>\n"
        return
    yield "<ol>\n"
    for one, mistake in every[:TO_DISCUSS]:
        where = one.exercise(mistake)
        yield f"<li><p>{_said(mistake)}</p>\n"
        yield f"<p>{escape(one.title)}, {where.id} {escape(where.title)}</p>\n"
        read = mistake.read or FIRST_HINT
        if hint := hint_for(read, _hints(one, mistake)):
            yield f"<blockquote>\n<p><b>{escape(hint.title)}</b></p>\n{hint.html}"
            yield "</blockquote>\n"
        yield f"{_example(one, mistake)}</li>\n"
    yield "</ol>\n"


def _said(mistake: Mistake) -> str:
    return (
        f"<b>{mistake.count} of {mistake.tried}</b>: "
        f"<q><bdi>{escape(mistake.cause)}</bdi></q>"
    )


def _hints(one: _Class, mistake: Mistake) -> list:
    return hints_of(one.assignment.lab.notebook).get(mistake.exercise, [])


def _example(one: _Class, mistake: Mistake) -> str:
    if mistake.count < ENOUGH:
        return ""
    names = [t.name for t in one.assignment.tasks if t.id == mistake.exercise]
    sources = (attempt.source for attempt in mistake.attempts)
    known = known_names(one.assignment.lab)
    code = example(sources, names[0], known) if names else ""
    if not code:
        return ""
    return (
        "<details><summary>Code of such an answer, without names and texts</summary>"
        f"\n<pre>{escape(code)}</pre>\n</details>\n"
    )


# a lab


def _lab(one: _Class, several: bool) -> Iterator[str]:
    found = one.found
    where = f" ({escape(one.name)})" if several else ""
    yield f"<h2>{escape(one.title)}{where}</h2>\n"
    absent = sum(points is None for points in found.code.values())
    missing = f", {absent} without a notebook" if absent else ""
    yield f"<p>{_count(len(found.code), 'student')}{missing}.</p>\n"
    for exercise in found.exercises.values():
        yield from _exercise(one, exercise)
    if found.tampered:
        yield (
            f"<p>{_count(found.tampered, 'answer')} with a line in remarks.csv: "
            "counted, but not quoted.</p>\n"
        )
    if found.questions:
        yield "<h3>Free text</h3>\n<ul>\n"
        yield from map(_question, found.questions.values())
        yield "</ul>\n"


def _exercise(one: _Class, exercise: Exercise) -> Iterator[str]:
    yield f"<h3>{escape(exercise.id)} {escape(exercise.title)}</h3>\n"
    yield f"<p>{_stacked(exercise.outcomes)}</p>\n"
    if exercise.steps:
        yield "<h4>Where answers stopped</h4>\n<table>\n<tr><th>step</th>"
        yield "<th>answers</th></tr>\n"
        most = max(count for _, count in exercise.steps)
        for (number, of, title), count in exercise.steps:
            yield f"<tr><td>{number} of {of}: <bdi>{escape(title)}</bdi></td>"
            yield f"<td>{_bar(count, most)} {count}</td></tr>\n"
        yield "</table>\n"
    if exercise.mistakes:
        yield "<h4>Mistakes, in the words of the check</h4>\n<ul>\n"
        for mistake in exercise.mistakes:
            quoted = _said(mistake) if mistake.known else _unknown(mistake)
            shown = _example(one, mistake) if mistake.known else ""
            yield f"<li>{quoted}{shown}</li>\n"
        yield "</ul>\n"


def _unknown(mistake: Mistake) -> str:
    return f"<b>{mistake.count} of {mistake.tried}</b>: {escape(mistake.cause)}"


def _question(question: Question) -> str:
    text = f"{question.written} written"
    if question.written:
        text += f", {question.unread} still to read"
    if question.points:
        mean = sum(question.points) / len(question.points)
        text += f"; those read have {mean:.1f} of {question.of:g} points on average"
    name = f"{question.id} {question.title}"
    return f"<li>{escape(name)}: {text}</li>\n"


# charts, which the text beside them repeats


def _stacked(counts: dict[str, int]) -> str:
    """A bar of all students, divided by outcome, and the same in words."""
    total, at, bars = sum(counts.values()) or 1, 0.0, ""
    for outcome in OUTCOMES:
        width = 100 * counts[outcome] / total
        if width:
            bars += f'<rect class="{outcome}" x="{at:.2f}" width="{width:.2f}" '
            bars += 'height="6"/>'
        at += width
    words = ", ".join(
        f'<span class="{outcome}"></span> {counts[outcome]} {outcome}'
        for outcome in OUTCOMES
    )
    plain = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    return f"{_svg(bars, plain)}<br>\n{words}"


def _bar(count: int, most: int) -> str:
    width = 100 * count / most
    return (
        '<svg class="small" viewBox="0 0 100 6" preserveAspectRatio="none" '
        f'aria-hidden="true"><rect class="failed" width="{width:.2f}" height="6"/>'
        "</svg>"
    )


def _svg(bars: str, label: str) -> str:
    return (
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{bars}</svg>'
    )


# several labs


def _behind(classes: Sequence[_Class]) -> Iterator[str]:
    """Students below LOW in the last lab, or in at least two, the lowest first."""
    students = sorted({student for one in classes for student in one.found.code})
    lines = []
    for student in students:
        points = [one.found.code.get(student) for one in classes]
        shares = [_share(p) for p in points]
        low = [share < LOW for share in shares]
        if low[-1] or sum(low) >= 2:
            cells = "".join(f"<td>{_points(p)}</td>" for p in points)
            name = f"<td><bdi>{escape(student)}</bdi></td>"
            lines.append((sum(shares), f"<tr>{name}{cells}</tr>\n"))
    yield "<h2>Who may be falling behind</h2>\n"
    yield (
        f"<p>{len(lines)} of {_count(len(students), 'student')} earned less than half "
        "of the points for code in the last lab, or in at least two labs. A notebook "
        "that is missing counts as 0.</p>\n"
    )
    if lines:
        heads = "".join(f"<th>{escape(one.name)}</th>" for one in classes)
        rows = "".join(row for _, row in sorted(lines))
        yield (
            "<details><summary>Their names: open this where no student can see it"
            f"</summary>\n<table>\n<tr><th>student</th>{heads}</tr>\n{rows}</table>\n"
            "</details>\n"
        )


def _share(points: tuple[float, float] | None) -> float:
    return points[0] / points[1] if points and points[1] else 0.0


def _points(points: tuple[float, float] | None) -> str:
    return f"{points[0]:g} of {points[1]:g}" if points else "missing"
