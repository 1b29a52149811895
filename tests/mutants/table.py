"""The table of what the checks refuse, as the instructor's guide shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from labcore.files import write_bytes
from tests.mutants.trying import Trial

__all__ = ["LABS", "named", "rows", "stored", "table", "write"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "solutions" / "MUTANTS.md"
LABS = [path.name[:2] for path in sorted((ROOT / "solutions").glob("*.ipynb"))]
HEAD = """# What the checks were tried with

A check is only as good as the wrong answers it refuses. So we take right answers (the
reference, and two that were written differently), change one thing at a time (`>` to
`>=`, `+` to `-`, another constant, a statement or an `abs` left out, two arguments
swapped, ...), and run each changed answer through the check. `make mutants` does this
and writes the table.

- **refused**: the check says that the changed answer is wrong.
- **a mistake**: it also names the likely mistake, and we read that it is the true one.
- **a line**: the changed answer raises an error, and the check quotes the line.
- **a likeness**: it says what the result has in common with the right one, such as
  *the values are right, but their order is reversed*. This is computed, so it is true.
- **equivalent**: the change is no mistake, for a reason in `tests/mutants/labNN.toml`.

| exercise | changes | refused | a mistake | a line | a likeness | equivalent |
|---|---:|---:|---:|---:|---:|---:|
"""
Row = tuple[int, ...]


def rows(tried: Iterable[Trial]) -> dict[str, Row]:
    """By exercise: changes, refused, a mistake, a line, a likeness, equivalent."""
    found: dict[str, list[Trial]] = {}
    for trial in tried:
        found.setdefault(trial.answer.exercise.id, []).append(trial)
    return {exercise: _row(of_it) for exercise, of_it in found.items()}


def _row(tried: list[Trial]) -> Row:
    refused = [trial for trial in tried if not trial.survived]
    said = sum(trial.is_known for trial in refused)
    lines = sum(trial.shows_a_line for trial in refused)
    alike = sum(bool(trial.cause) for trial in refused) - said - lines
    same = len(tried) - len(refused)
    return len(tried), len(refused), said, lines, alike, same


def table(found: Mapping[str, Row]) -> str:
    total = tuple(map(sum, zip(*found.values(), strict=True)))
    lines = [*sorted(found.items(), key=_place), ("all", total)]
    rows = "".join(
        f"| {exercise} | {' | '.join(map(str, row))} |\n" for exercise, row in lines
    )
    return f"{rows}\nOf those refused, {100 * named(found):.0f} % are told a cause.\n"


def named(found: Mapping[str, Row]) -> float:
    """The share of the refused changes whose message names a cause."""
    _, refused, *causes, _ = map(sum, zip(*found.values(), strict=True))
    return sum(causes) / refused


def _place(item: tuple[str, Row]) -> tuple[int, ...]:
    return tuple(map(int, item[0].split(".")))


def stored() -> dict[str, Row]:
    """The rows of the page as it is."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return {
        name: tuple(map(int, row)) for name, *row in cells if name[:1].isdigit() and row
    }


def write(found: Mapping[str, Row]) -> None:
    write_bytes(PAGE, (HEAD + table(found)).encode())
