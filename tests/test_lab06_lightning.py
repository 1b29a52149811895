"""Lab 06 where lightning is missing: one line a cell says so, and the rest runs."""

import sys

import pytest
from notebooks import SOLUTIONS, code_cells, read

from labcore.student.notebooks import tags

SOURCE = next(path for path in SOLUTIONS if path.name.startswith("06"))
OPTIONAL = ("lightning", "fit", "defaults", "what-it-takes", "resets", "mended")
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


def test_each_cell_about_lightning_says_one_line(without_lightning, run):
    cells = code_cells(read(SOURCE))
    chosen = [c for c in cells if "setup" in tags(c) or c.id in OPTIONAL]
    said = run(chosen)
    assert {said[name] for name in OPTIONAL if name != "fit"} == {LINE}
    assert said["imports"] == said["fit"] == ""


@pytest.mark.long
def test_the_whole_notebook_runs_without_lightning(without_lightning, run):
    from matplotlib import pyplot

    said = run(code_cells(read(SOURCE)))
    pyplot.close("all")
    assert [name for name in said if said[name] == LINE] == [
        name for name in OPTIONAL if name != "fit"
    ]
