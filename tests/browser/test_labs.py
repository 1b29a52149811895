"""Every lab opens in JupyterLab, and its first check answers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from notebooks import LABS, code_cells, is_answer, is_check, read

from labcore.student.notebooks import tags

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="not tried on Windows"),
]


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_opens_and_its_first_check_answers(student, course, path):
    fresh = shutil.copy(path, course / "work")  # the walk has written in one of them
    student.open(Path(fresh))
    cells = code_cells(read(path))
    setup = next(cell for cell in cells if "setup" in tags(cell))
    answer = next(filter(is_answer, cells))
    check = next(filter(is_check, cells))
    student.run(setup.id)
    student.run(answer.id)
    student.run(check.id, "TODO  not written yet")
