"""Inside the kernel: one exercise alone, among nothing but what grading gives it.

That is the lab's setup and given cells, the references of the other exercises, the
answer and its check, and of the student's own cells the definitions that the answer
needs.
"""

from __future__ import annotations

import importlib
import json
import linecache
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from ..checks.engine.exercise import CheckFailed, Exercise, Verdict
from ..checks.engine.trial import lent
from .cells import borrowed, plain
from .kernel import DATA

__all__ = ["show_verdicts"]

PRECISION, SEED = "LABCORE_PRECISION", "LABCORE_CHECK_SEED"


def show_verdicts(task: str) -> None:
    """Send the verdict of every seed, as data, to who runs this kernel."""
    from IPython.display import display

    for verdict in _verdicts(**json.loads(task)):
        display({DATA: verdict}, raw=True)


def _verdicts(
    lab: str,
    name: str,
    prepare: list[str],
    lend: list[list[str]],
    answers: list[str],
    others: list[str],
    check: str,
    seeds: list[int],
) -> Iterator[dict]:
    exercise = _exercise(lab, name)
    title = {"exercise": exercise.id, "name": name}
    space = {"__name__": "__main__"}
    try:
        for number, source in enumerate(prepare):
            _execute(source, f"<setup {number}>", space)
    except BaseException as error:
        yield title | {"broken": _last_line(error)}
        return
    for owner, other in lend:
        space[other] = lent(_exercise(owner, other))
    try:
        for source in map(plain, answers):
            for statement in borrowed(source, others, space):
                with suppress(Exception):  # the answer will miss its name
                    _execute(statement, "<own>", space)
            _execute(source, f"<answer {exercise.id}>", space)
    except (Exception, SystemExit) as error:
        message = f"[{exercise.id} {name}] its cell cannot run: {_last_line(error)}"
        yield title | asdict(Verdict("error", 0, exercise.points, message))
        return
    around = _around(check, space)
    for seed in seeds:
        yield title | asdict(_verdict(exercise, check, around, seed)) | {"seed": seed}


def _around(check: str, space: dict) -> dict:
    """What the check cell sees: the answer, and grading's data if it asks for it.

    The answer itself sees no bench, here as in grading.
    """
    if "bench" not in check:
        return space
    from labcore import workbench

    return space | {"bench": workbench("fashion")}


def _exercise(lab: str, name: str) -> Exercise:
    return importlib.import_module(f"labcore.checks.lab{lab}").EXERCISES[name]


def _execute(source: str, file: str, space: dict) -> None:
    """Run the text of a cell; its lines can be quoted in messages."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec", dont_inherit=True), space)


def _verdict(exercise: Exercise, check: str, around: dict, seed: int) -> Verdict:
    verdicts: list[Verdict] = []
    try:
        with _settings({SEED: str(seed), PRECISION: "fp32"}), _recorded(verdicts):
            _execute(check, f"<check {exercise.id}>", around)
    except CheckFailed:
        pass
    except (Exception, SystemExit) as error:
        message = f"[{exercise.id} {exercise.name}] {_last_line(error)}"
        return Verdict("error", 0, exercise.points, message)
    return verdicts[-1]


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


@contextmanager
def _settings(wanted: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _recorded(verdicts: list[Verdict]) -> Iterator[None]:
    """What the check cell prints or raises carries no points; its verdicts do."""
    original = Exercise.run

    def run(self: Exercise, answer, **how) -> Verdict:
        verdict = original(self, answer, **how)
        verdicts.append(verdict)
        return verdict

    Exercise.run = run
    try:
        yield
    finally:
        Exercise.run = original
