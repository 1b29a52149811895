"""What was judged by reading: equivalent changes, and causes that are true.

A file a lab, by the text of the change, so that whatever changes is judged anew.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.trying import Trial

__all__ = ["Judged", "Ledger", "blocks"]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Judged:
    """A change of an exercise's answer, and the reason or the cause it goes with."""

    exercise: str
    change: str
    words: str = ""


@dataclass
class Ledger:
    equivalent: set[Judged] = field(default_factory=set)  # words: the reason
    causes: set[Judged] = field(default_factory=set)  # words: a cause that is true

    @classmethod
    def of(cls, lab: str) -> Ledger:
        path = HERE / f"lab{lab}.toml"
        if not path.exists():
            return cls()
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        kinds = ("equivalent", "because"), ("cause", "says")
        return cls(*(set(_entries(content.get(kind, ()), key)) for kind, key in kinds))

    def open(self, trials: Iterable[Trial]) -> tuple[list[Trial], list[Trial]]:
        """The survivors that are not listed, and the causes that nobody has judged."""
        listed = {(e.exercise, e.change) for e in self.equivalent}
        survivors, unjudged = [], []
        for trial in trials:
            at = trial.answer.exercise.id, trial.change
            if trial.survived and at not in listed:
                survivors.append(trial)
            if trial.is_known and Judged(*at, trial.cause) not in self.causes:
                unjudged.append(trial)
        return survivors, unjudged

    def stale(self, trials: Sequence[Trial]) -> list[Judged]:
        """Entries of these exercises that match nothing any more."""
        survivors, causes = set(), set()
        for trial in trials:
            at = trial.answer.exercise.id, trial.change
            if trial.survived:
                survivors.add(at)
            elif trial.is_known:
                causes.add(Judged(*at, trial.cause))
        gone = [e for e in self.equivalent if (e.exercise, e.change) not in survivors]
        gone += self.causes - causes
        tried = {trial.answer.exercise.id for trial in trials}
        return sorted((e for e in gone if e.exercise in tried), key=str)


def _entries(tables: Iterable[dict], key: str) -> Iterator[Judged]:
    for table in tables:
        for change in table["changes"]:
            yield Judged(table["exercise"], change, table[key])


def blocks(kind: str, key: str, entries: Iterable[Judged]) -> str:
    """Entries as they stand in a lab's file."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        changes = grouped.setdefault((entry.exercise, entry.words), [])
        if entry.change not in changes:
            changes.append(entry.change)
    text = ""
    for (exercise, words), changes in grouped.items():
        lines = "".join(f"    {_quoted(change)},\n" for change in changes)
        text += (
            f"[[{kind}]]\nexercise = {_quoted(exercise)}\n{key} = {_quoted(words)}\n"
        )
        text += f"changes = [\n{lines}]\n\n"
    return text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
