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

from ..checks.engine.exercise import Exercise, Verdict
from ..checks.engine.watch import lent
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
    for seed in seeds:
        verdict = _verdict(exercise, space.get(name), seed)
        yield title | asdict(verdict) | {"seed": seed}


def _exercise(lab: str, name: str) -> Exercise:
    return importlib.import_module(f"labcore.checks.lab{lab}").EXERCISES[name]


def _execute(source: str, file: str, space: dict) -> None:
    """Run the text of a cell; its lines can be quoted in messages."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec", dont_inherit=True), space)


def _verdict(exercise: Exercise, answer, seed: int) -> Verdict:
    try:
        with _settings({SEED: str(seed), PRECISION: "fp32"}):
            return exercise.run(answer, seed=seed)
    except (Exception, SystemExit) as error:
        message = f"[{exercise.id} {exercise.name}] {_last_line(error)}"
        return Verdict("error", 0, exercise.points, message)


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
