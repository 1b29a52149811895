"""Free texts while they are being read: review.csv is the truth, with a few notes.

The page changes a row of review.csv at a time. What somebody else writes into the file
meanwhile stays, and the page says so. review.json keeps what has no column: the ticked
items, comments to use again, and the place where reading stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import chain
from operator import itemgetter
from pathlib import Path
from threading import RLock

from labcore.files import write_bytes
from labcore.runtime import LabError
from labcore.staff.grading.byhand import FILLED, fingerprint, number_in
from labcore.staff.grading.intake import sound
from labcore.staff.grading.rubric import items_of
from labcore.staff.grading.store import Busy, Store, table_text
from labcore.student.tasks import Question

__all__ = ["Conflict", "Reviews"]

LONGEST_COMMENT, MOST_PHRASES = 10_000, 40
PATIENCE = 5  # seconds to wait for a grader that writes to the folder
NONE = "There is no free text to read in {}: grade submissions first."


class Conflict(Exception):
    """The file says something else by now than what the page showed."""


class Reviews:
    def __init__(self, store: Store, questions: Sequence[Question]) -> None:
        self.store = store
        self.asked = {question.id: question for question in questions}
        self.lock = RLock()
        self.patience = PATIENCE
        self.version, self.notice = 0, ""  # of changes that others made to the file
        self.data = b""
        self._take()
        if not self.rows:
            raise LabError(NONE.format(store.folder))
        self.ticks: dict[tuple[str, str], tuple[str, list[int]]] = {}
        self.phrases: list[str] = []
        self.place: list[str] = []  # student and question
        self._remember()

    # what the page shows

    def state(self) -> dict:
        """Every question, and how far each student's answer to it is."""
        with self._fresh():
            found: dict[str, dict] = {}
            for student, question in self.places:
                row = self._row(question, student)
                if question not in found:
                    found[question] = self._question(row)
                found[question]["students"].append(student)
                found[question]["points"].append(row["points"].strip())
            return {
                "questions": list(found.values()),
                "phrases": self.phrases,
                "place": self.place,
                "longest": LONGEST_COMMENT,
            }

    def _question(self, row: Mapping) -> dict:
        asked, of = self.asked.get(row["question"]), self._of(row)
        rubric = asked.rubric if asked else row.get("rubric", "")
        return {
            "id": row["question"],
            "title": asked.title if asked else row.get("title", ""),
            "of": of,
            "rubric": rubric,
            "model": asked.model if asked else row.get("model answer", ""),
            "text": asked.text if asked else "",
            "items": [asdict(item) for item in items_of(rubric, of)],
            "students": [],
            "points": [],
        }

    def _of(self, row: Mapping) -> float:
        asked = self.asked.get(row["question"])
        return asked.points if asked else number_in(row.get("of", "")) or 0

    def answer(self, question: str, student: str) -> dict:
        """One answer with all that is filled in for it; the place is remembered."""
        with self._fresh():
            row = self._row(question, student)
            self.place = [student, question]
            self._note()
            filled = {name: row[name].strip() for name in ("points", "comment")}
            points, ticks = self.ticks.get((student, question), ("", []))
            return filled | {
                "answer": row["answer"],
                "ticks": ticks if points == filled["points"] else [],
                "changed": self._changed(row),
            }

    def _changed(self, row: Mapping) -> bool:
        """Whether the answer is another one than that which got these points."""
        given = [row["points"].strip(), row["comment"].strip()]
        for student, question, *told in self.store.run().get("reviews", ()):
            if (student, question) == (row["student"], row["question"]):
                return told[:2] == given and told[2] != fingerprint(row["answer"])
        return False

    # what the page changes

    def save(
        self,
        question: str,
        student: str,
        points: str,
        comment: str,
        ticks: Sequence[int],
        seen: Sequence[str],
    ) -> None:
        """Fill in a row, if the file still says what was `seen`: points, comment."""
        points, comment = points.strip(), sound(comment).strip()
        with self._writing():
            row = self._row(question, student)
            if [row["points"].strip(), row["comment"].strip()] != list(seen):
                raise Conflict
            of = self._of(row)
            if points and number_in(points, of) is None:
                raise LabError(f"{points} is no number from 0 to {of:g}.")
            if len(comment) > LONGEST_COMMENT and comment != row["comment"].strip():
                raise LabError(f"A comment has at most {LONGEST_COMMENT:,} characters.")
            place = self.places[student, question]
            self._write(place, row | {"points": points, "comment": comment})
            self.ticks[student, question] = points, sorted(ticks)
            self._note()

    def _write(self, place: int, row: dict[str, str]) -> None:
        """Replace a row in the file; all other lines are at hand."""
        line = _line(row.values())
        lines = [*self.lines[:place], line, *self.lines[place + 1 :]]
        text = "".join([table_text(list(row), ()), *lines])
        data = text.encode("utf-8", errors="backslashreplace")
        write_bytes(self._path, data)
        self.rows[place], self.lines, self.data = row, lines, data

    def keep_phrases(self, phrases: Sequence[str]) -> None:
        """Replace the comments to use again."""
        with self.lock:
            short = [sound(phrase)[:LONGEST_COMMENT].strip() for phrase in phrases]
            kept = [phrase for phrase in dict.fromkeys(short) if phrase]
            self.phrases = kept[:MOST_PHRASES]
            self._note()

    def look(self) -> None:
        """Notice what others wrote."""
        with self._fresh():
            pass

    @property
    def progress(self) -> tuple[int, int]:
        """How many answers have points, and how many there are."""
        return sum(bool(row["points"].strip()) for row in self.rows), len(self.rows)

    # the files

    @property
    def _path(self) -> Path:
        return self.store.folder / "review.csv"

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        with self.lock:
            self._take()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone in the folder, with the newest rows."""
        with self.lock, ExitStack() as stack:
            self._wait_for_folder(stack)
            self._take()
            yield

    def _wait_for_folder(self, stack: ExitStack) -> None:
        until = time.monotonic() + self.patience
        while True:
            with suppress(Busy):
                stack.enter_context(self.store.locked())
                return
            if time.monotonic() > until:
                raise LabError(
                    f"A grader is writing into {self.store.folder}: wait until it is "
                    "done. What you typed is still here."
                )
            time.sleep(0.1)

    def _take(self) -> None:
        """Read the file again if it is not as we left it."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            raise LabError(NONE.format(self.store.folder)) from None
        except OSError as error:
            raise LabError(f"review.csv cannot be read ({error.strerror}).") from None
        if data == self.data:
            return
        rows = self.store.table("review.csv", *FILLED)
        if self.data and (count := _differing(self.rows, rows)):
            self.version += 1
            rows_of = "row" if count == 1 else "rows"
            self.notice = (
                f"{count} {rows_of} of review.csv changed outside this page at "
                f"{time.strftime('%H:%M')}. What the file says counts."
            )
        self.rows, self.data = rows, data
        self.lines = [_line(row.values()) for row in rows]
        self.places = {}
        for place, row in enumerate(rows):
            self.places.setdefault((row["student"], row["question"]), place)

    def _row(self, question: str, student: str) -> dict[str, str]:
        try:
            return self.rows[self.places[student, question]]
        except KeyError:
            raise LabError(
                f"{question} of this student is no longer in review.csv: load the page "
                "again."
            ) from None

    @property
    def _notes_path(self) -> Path:
        return self.store.folder / "review.json"

    def _remember(self) -> None:
        """Read the notes; without them, reading starts at the first answer."""
        try:
            notes = json.loads(self._notes_path.read_text(encoding="utf-8"))
            ticks = {(s, q): (points, [*on]) for s, q, points, on in notes["ticks"]}
            phrases = [*map(str, notes["phrases"])]
            place = [*map(str, chain(*notes["place"]))]  # empty, if nothing was opened
        except (OSError, ValueError, TypeError, LookupError):
            return
        self.ticks, self.phrases, self.place = ticks, phrases, place

    def _note(self) -> None:
        """Write the notes: nothing of a student whose row is gone."""
        there = ((*key, *self.ticks[key]) for key in self.places if key in self.ticks)
        place = [self.place] if tuple(self.place) in self.places else []
        notes = {"ticks": [*there], "phrases": self.phrases, "place": place}
        write_bytes(self._notes_path, json.dumps(notes).encode())


def _line(cells: Iterable[str]) -> str:
    """One line of a table."""
    return table_text((), [list(cells)]).removeprefix("\n")


def _differing(before: Iterable[Mapping], after: Iterable[Mapping]) -> int:
    """How many answers are new, gone, or filled in differently."""
    read = itemgetter("answer", "points", "comment")
    old, new = (
        {(row["student"], row["question"]): read(row) for row in rows}
        for rows in (before, after)
    )
    return sum(old.get(key) != new.get(key) for key in old.keys() | new.keys())
