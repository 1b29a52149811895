"""The rooms of labcore: who may import whom, and what an import must not pull in."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LABCORE = ROOT / "labcore"

# room -> the rooms it may import; labcore itself is the lazy front with workbench()
ALLOWED = {
    "machine": set(),
    "runtime": {"machine"},
    "files": {"runtime"},
    "assets": {"files", "runtime"},
    "nets": set(),
    "stack": {"nets", "runtime"},
    "training": {"runtime"},
    "raw": {"assets", "files", "runtime"},
    "lm": set(),
    "texts": {"assets", "files", "lm", "runtime"},
    "tracks": {"assets", "nets", "raw", "runtime", "texts", "training"},
    "measure": {"nets", "runtime"},
    "scan": {"runtime"},
    "plots": set(),
    "chip": {"assets", "nets", "runtime"},
    "checks": {"chip", "lm", "measure", "nets", "runtime", "tracks"},
    "student": {"assets", "checks", "files", "machine", "runtime"},
    "staff": {
        *("assets", "checks", "chip", "files", "lm", "machine", "nets", "plots"),
        *("raw", "runtime", "student", "texts", "tracks", "training"),
    },
    "labcore": {"tracks"},
    "__main__": {"runtime", "staff", "student"},
}

MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    ): file
    for file in sorted(LABCORE.rglob("*.py"))
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imports(module: str, everywhere: bool) -> set[str]:
    """Our modules that it imports when it is loaded, or anywhere in its functions."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = MODULES[module].name == "__init__.py"
    package = module if inside else module.rpartition(".")[0]
    found = set()
    for node in walk(tree, everywhere):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{base}.{alias.name}" for alias in node.names] + [base]
        else:
            continue
        found |= {name for name in names if name in MODULES} - {"labcore", module}
    return found


def walk(tree: ast.AST, everywhere: bool) -> Iterator[ast.AST]:
    """Its nodes, without those that run only for a type checker or in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef | ast.Lambda) and not everywhere:
            continue
        yield node
        yield from walk(node, everywhere)


def test_every_module_belongs_to_a_room_of_the_table():
    strangers = {room(module) for module in MODULES} - set(ALLOWED)
    assert strangers == set(), "add to ALLOWED what these may import"


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_what_it_may(module):
    imported = {room(name) for name in imports(module, everywhere=True)}
    assert imported - {room(module)} <= ALLOWED.get(room(module), set())


@pytest.mark.parametrize("everywhere", [False, True])
def test_no_imports_in_a_circle(everywhere):
    graph = {module: imports(module, everywhere) for module in MODULES}
    while leaves := {module for module, needed in graph.items() if not needed}:
        graph = {m: needed - leaves for m, needed in graph.items() if m not in leaves}
    assert graph == {}, "these import each other in a circle"


def test_the_command_line_imports_our_modules_only_inside_functions():
    assert imports("labcore.__main__", everywhere=False) == set()
    assert "labcore.staff.grading.command" in imports("labcore.__main__", True)


def test_the_walk_sees_both_kinds_of_imports():
    assert imports("labcore.tracks", everywhere=False) >= {"labcore.nets"}
    assert "labcore.student.doctor" not in imports("labcore.__main__", everywhere=False)
    assert "labcore.student.doctor" in imports("labcore.__main__", everywhere=True)
    assert "labcore.student.update" in imports("labcore.__main__", everywhere=True)
    assert "labcore.staff.authoring.markers" in imports(
        "labcore.staff.authoring.release", True
    )


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_importing_labcore_is_light_and_its_rooms_leave_drawing_to_plots():
    code = (
        "import sys; import labcore; print('torch' in sys.modules); "
        "import labcore.tracks, labcore.measure, labcore.checks.lab00; "
        "heavy = {'torchvision', 'matplotlib', 'ipywidgets'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = python(code)
    assert result.stdout.split("\n")[:2] == ["False", "[]"], result.stderr


def test_importing_plots_needs_no_widgets():
    code = "import sys; import labcore.plots; print('ipywidgets' in sys.modules)"
    assert python(code).stdout == "False\n"


@pytest.fixture
def broken_torch(tmp_path):
    """A folder whose torch fails as a build for another machine does."""
    for name in ("torch", "torchvision"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "raise OSError('libtorch_cpu.so: cannot open shared object file')\n",
            encoding="utf-8",
        )
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    "module",
    [
        *("labcore", "labcore.runtime", "labcore.__main__", "labcore.student.doctor"),
        *("labcore.student.environment", "labcore.student.install"),
        *("labcore.student.jupyter", "labcore.student.update", "labcore.assets"),
        "labcore.staff.authoring.release",
    ],
)
def test_the_front_door_loads_where_torch_is_broken(broken_torch, module):
    result = python(f"import {module}; print('loaded')", **broken_torch)
    assert result.stdout == "loaded\n", result.stderr


def test_the_fake_torch_is_broken(broken_torch):
    result = python("import labcore.tracks", **broken_torch)
    assert "cannot open shared object file" in result.stderr
