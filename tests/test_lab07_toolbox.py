"""Lab 07 without Torch-Pruning and torchvision: a line each, and the rest runs."""

import sys

import pytest
from notebooks import SOLUTIONS, code_cells, read

from labcore.student.notebooks import tags
from labcore.tracks import workbench

SOURCE = next(path for path in SOLUTIONS if path.name.startswith("07"))
OPTIONAL = ("torch_pruning", "torchvision", "torchvision.models")


@pytest.fixture
def small_bench(monkeypatch):
    """The track of the lab with few images and no training: what runs is the point."""
    bench = workbench("fashion")
    few = {
        split: tuple(part[:200] for part in bench.images(split))
        for split in ("train", "val", "test")
    }
    monkeypatch.setattr(bench, "images", lambda split: few[split])
    monkeypatch.setattr(bench, "finetune", lambda model, epochs: [])


@pytest.mark.usefixtures("nothing_is_shown", "small_bench")
def test_without_optional_packages_sections_say_so_in_a_line(monkeypatch, capsys):
    for name in OPTIONAL:
        monkeypatch.setitem(sys.modules, name, None)
    cells = [
        cell
        for cell in code_cells(read(SOURCE))
        if not {"claim", "timing"} & set(tags(cell))
    ]
    asking, scope = 0, {}
    for cell in cells:
        exec(cell.source, scope)
        said = capsys.readouterr().out
        if "if there(" in cell.source:
            asking += 1
            command = "Torch-Pruning is not installed: python -m labcore setup toolbox"
            assert command in said.splitlines(), cell.id
        else:
            assert "not installed" not in said, cell.id
    assert asking >= 3
    assert scope["tp"] is None and scope["resnet18"] is None
