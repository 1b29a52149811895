"""A fresh lab, run top to bottom: only exercises not yet written may fail."""

import os
import re

import pytest
from notebooks import (
    LABS,
    answer,
    check,
    code,
    code_cells,
    is_answer,
    made,
    needed,
    notebook,
    read,
)

from labcore.staff.authoring.execute import client_for
from labcore.staff.authoring.release import CODE_STUB
from labcore.student.notebooks import tags

UNDONE = re.search(r'"(.+)"', CODE_STUB)[1]


def run(nb, folder):
    """Run it as a student does: not strict, on after an error, in some folder."""
    env = {key: os.environ[key] for key in os.environ if key != "LABCORE_STRICT"}
    client_for(nb, folder, allow_errors=True).execute(env=env)


def unexpected_errors(nb):
    """Errors that are neither an exercise not yet written nor its consequence."""
    exercises = {
        name for cell in code_cells(nb) if is_answer(cell) for name in made(cell)
    }
    lost, found = set(), []
    for cell in code_cells(nb):
        for error in (out for out in cell.outputs if out.output_type == "error"):
            if not excused(error, exercises, lost, needed(cell)):
                if "raises-exception" not in tags(cell):
                    found.append(f"cell {cell.id}: {error.ename}: {error.evalue}")
            lost |= made(cell)
    return found


def excused(error, exercises, lost, names):
    if error.ename == "NotImplementedError":
        return error.evalue == UNDONE
    words = set(re.findall(r"\w+", error.evalue))
    if error.ename == "NameError":
        return bool(words & lost)
    if error.ename == "KeyError":  # of what a cell that failed began to fill
        return bool(names & lost)
    return error.ename == "LabError" and bool(words & exercises)


# What stands between the exercises of these takes more than a few seconds.
SLOW = ("00", "01", "03", "04", "06", "07", "08", "09", "10", "11")
FRESH = [
    pytest.param(p, marks=[pytest.mark.long] * p.name.startswith(SLOW), id=p.stem)
    for p in LABS
]


@pytest.mark.parametrize("path", FRESH)
def test_a_fresh_lab_fails_only_where_an_exercise_is_undone(path, tmp_path):
    nb = read(path)
    run(nb, tmp_path)
    assert unexpected_errors(nb) == []


UNDONE_DOUBLE = f"def double(x):\n    {UNDONE!r}\n" + "\n".join(
    f"    {line}" for line in CODE_STUB.split("\n")
)


def test_an_undone_exercise_and_what_follows_from_it_are_excused(tmp_path):
    nb = notebook(
        answer("double", UNDONE_DOUBLE),
        code("use", "four = double(2)"),
        code("follows", "print(four)"),
        code("names-it", "class LabError(Exception): ...\nraise LabError('double ?')"),
        code("meant", "1 / 0", tags=["raises-exception"]),
    )
    run(nb, tmp_path)
    assert [len(cell.outputs) for cell in nb.cells] == [0, 1, 1, 1, 1]
    assert unexpected_errors(nb) == []


def test_any_other_error_is_found(tmp_path):
    nb = notebook(
        answer("double", UNDONE_DOUBLE),
        code("typo", "print(fuor)"),
        code("other", "raise NotImplementedError('another')"),
        check("wrong", "assert False, 'double'"),
        code("strict", "import os\nassert 'LABCORE_STRICT' not in os.environ"),
    )
    run(nb, tmp_path)
    found = unexpected_errors(nb)
    assert [line.split(":")[0] for line in found] == [
        *("cell typo", "cell other", "cell wrong")
    ]
