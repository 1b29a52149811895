"""Tables of right and wrong answers, held against the checks of a lab.

A right answer is (name, function); a wrong one also has the title of the step at which
it must fail and the beginning of the likely cause, None where none may be named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from labcore.checks.engine.exercise import Exercise

__all__ = ["Wrong", "assert_complete", "assert_fails", "assert_passes", "table"]

Wrong = tuple[str, Callable, str, str | None]
SEEDS = range(5)


def table(answers: Mapping[str, Sequence[tuple]]) -> pytest.MarkDecorator:
    """A test for each row: the exercise's name, then the row without its own."""
    rows = [
        pytest.param(exercise, *row[1:], id=f"{exercise}: {row[0]}")
        for exercise, listed in answers.items()
        for row in listed
    ]
    names = ["exercise", "answer", "title", "likely"][: len(rows[0].values)]
    return pytest.mark.parametrize(names, rows)


def assert_passes(exercise: Exercise, answer: Callable, bench=None) -> None:
    for seed in SEEDS:
        verdict = exercise.run(answer, seed=seed, bench=bench)
        assert verdict.status == "passed", verdict.message
        assert verdict.points == exercise.points


def assert_fails(
    exercise: Exercise, answer: Callable, title: str, likely: str | None, bench=None
) -> None:
    for seed in SEEDS:
        verdict = exercise.run(answer, seed=seed, bench=bench)
        head, *lines = verdict.message.splitlines()
        assert head.endswith(f": {title}"), verdict.message
        said = " ".join(" ".join(lines).split("  likely    ")[1:]).split("  read   ")[0]
        said = " ".join(said.split())
        if likely is None:
            assert said == "", verdict.message
        else:
            assert said.startswith(likely), verdict.message


def assert_complete(exercises: Mapping[str, Exercise], right, wrong) -> None:
    """Every exercise has rows enough, and every known mistake is made in one."""
    assert set(right) == set(wrong) == set(exercises)
    for name, exercise in exercises.items():
        assert len(right[name]) >= 3, "the reference and two more"
        assert len(wrong[name]) >= 4
        made = [row[3] for row in wrong[name] if row[3]]
        for sentence in exercise.mistakes:
            assert any(map(sentence.startswith, made)), f"nobody makes: {sentence}"
