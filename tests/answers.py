"""What every lab's check is held to: a test file subclasses `LabTests` with its tables.

A right answer is (name, function). A wrong one also has the title of the step at which
it must fail and the beginning of the likely cause: None where no known mistake may be
named. Those need no rows: each is run as an answer and has to be named by its own
sentence.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

import pytest

from labcore.checks.engine.exercise import Exercise, Mistake, Verdict

__all__ = ["LabTests", "Wrong", "likely"]

Wrong = tuple[str, Callable, str, str | None]
FEW, MANY = range(5), range(5, 40)


class LabTests:
    """Tests of one lab's exercises; a subclass says which, and gives the tables."""

    lab: ModuleType
    right: Mapping[str, Sequence[tuple[str, Callable]]]
    wrong: Mapping[str, Sequence[Wrong]]

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        rows = {"right": cls._right, "wrong": cls._wrong, "mistake": cls._mistakes}
        for name in rows.keys() & set(metafunc.fixturenames):
            cases = list(rows[name]())
            metafunc.parametrize(("exercise", name), cases)

    @classmethod
    def _right(cls) -> Iterator:
        for name, rows in cls.right.items():
            for title, answer in rows:
                yield pytest.param(cls.of(name), answer, id=f"{name}: {title}")

    @classmethod
    def _wrong(cls) -> Iterator:
        for name, rows in cls.wrong.items():
            for title, *row in rows:
                yield pytest.param(cls.of(name), row, id=f"{name}: {title}")

    @classmethod
    def _mistakes(cls) -> Iterator:
        for name, exercise in cls.lab.EXERCISES.items():
            for mistake in exercise.mistakes:
                title = f"{name}: {mistake.sentence}"
                yield pytest.param(exercise, mistake, id=title)

    @classmethod
    def of(cls, name: str) -> Exercise:
        return cls.lab.EXERCISES[name]

    def test_a_right_answer_passes(self, exercise, right):
        passes(exercise, right, FEW)

    @pytest.mark.long
    def test_a_right_answer_passes_on_many_seeds(self, exercise, right):
        passes(exercise, right, MANY)

    def test_a_wrong_answer_fails_where_and_why_it_should(self, exercise, wrong):
        answer, title, cause = wrong
        for seed in FEW:
            message = exercise.run(answer, seed=seed).message
            assert message.splitlines()[0].endswith(f": {title}"), message
            said = likely(message)
            known = [m.sentence for m in exercise.mistakes]
            assert said.startswith(cause) if cause else said not in known, message

    def test_a_known_mistake_is_named_by_its_own_sentence(self, exercise, mistake):
        answer = as_answer(exercise, mistake)
        for seed in FEW:
            message = unwatched(exercise).run(answer, seed=seed).message
            said = likely(message).removesuffix(" ...")
            assert said and mistake.sentence.startswith(said), message

    def test_the_tables_cover_every_exercise(self):
        assert self.right.keys() == self.lab.EXERCISES.keys()
        assert self.wrong.keys() <= self.lab.EXERCISES.keys()
        for name, rows in self.right.items():
            assert len(rows) >= 3, f"{name}: the reference and two more"

    def test_every_group_of_points_has_steps(self):
        for exercise in self.lab.EXERCISES.values():
            assert exercise.points_of.keys() == {s.group for s in exercise.steps}


def passes(exercise: Exercise, answer: Callable, seeds: Sequence[int] = FEW) -> None:
    for seed in seeds:
        verdict = exercise.run(answer, seed=seed)
        assert verdict.status == "passed", verdict.message
        assert verdict.points == exercise.points


def likely(message: str) -> str:
    """The cause that a message names, on one line; empty where it names none."""
    below = message.partition("\n  likely    ")[2]
    return " ".join(below.partition("\n  read ")[0].split())


def unwatched(exercise: Exercise) -> Exercise:
    """The exercise for an answer that stands in labcore itself."""
    return dataclasses.replace(exercise, refused=())


def as_answer(exercise: Exercise, mistake: Mistake) -> Callable:
    """The mistake, which takes all arguments in order, called as an answer is."""
    if isinstance(mistake.function, type):
        return mistake.function  # a class is the answer itself
    signature = inspect.signature(exercise.reference)

    def answer(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return mistake.function(*bound.args)

    return answer


def verdict_on(exercise: Exercise, words: str) -> Verdict:
    """On the known mistake that begins with these words."""
    mistake = next(m for m in exercise.mistakes if m.sentence.startswith(words))
    return unwatched(exercise).run(as_answer(exercise, mistake))
