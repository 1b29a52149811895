"""Lab 06 where lightning is missing: one line says so, and the rest runs."""

import sys

import pytest
from notebooks import SOLUTIONS, code_cells, read

from labcore.student.notebooks import tags

SOURCE = next(path for path in SOLUTIONS if path.name.startswith("06"))
SAYING = ("lightning", "defaults", "mended")  # the others need no line of their own
OPTIONAL = (*SAYING, "fit", "resets", "shipped")
LINE = "This needs lightning: python -m labcore setup toolbox\n"


@pytest.fixture
def without_lightning(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("lightning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Runs cells one after the other in one scope; gives what each of them says."""

    def cells_run(cells):
        scope = {"display": lambda *_: None, "__name__": "__main__"}
        said = {}
        for cell in cells:
            exec(compile(cell.source, cell.id, "exec"), scope)
            said[cell.id] = capsys.readouterr().out
        return said

    return cells_run


def test_a_cell_about_lightning_says_one_line_or_nothing(without_lightning, run):
    cells = code_cells(read(SOURCE))
    chosen = [c for c in cells if "setup" in tags(c) or c.id in OPTIONAL]
    said = run(chosen)
    assert {said[name] for name in SAYING} == {LINE}
    assert {said[name] for name in said if name not in SAYING} == {""}


@pytest.mark.long
def test_the_whole_notebook_runs_without_lightning(without_lightning, run):
    from matplotlib import pyplot

    said = run(code_cells(read(SOURCE)))
    pyplot.close("all")
    assert [name for name in said if said[name] == LINE] == list(SAYING)
