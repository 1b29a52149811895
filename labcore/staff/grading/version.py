"""Which version of the course found a verdict."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import resolve_name
from pathlib import Path

from labcore.student.notebooks import digest

__all__ = ["in_reach", "version_of"]

ROOT = Path(__file__).parents[3]
RUNNER = "labcore.student.alone"
DATA = ROOT / "labcore/data/manifest.json"  # lists the hash of every data file


@functools.cache  # the files must be those that this process loaded
def version_of(checks: str) -> str:
    """labcore's version and a hash of every file that can affect a verdict."""
    files = in_reach(checks) | in_reach(RUNNER) | {"data": DATA}
    text = "".join(files[name].read_text(encoding="utf-8") for name in sorted(files))
    return f"labcore {version('pruning-lab')}, checks {digest(text)}"


def in_reach(module: str) -> dict[str, Path]:
    """The module and all of labcore that it imports, even indirectly, by name.

    The C beside a module is among them.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file and name not in found:
            found[name] = file
            found |= {f"{name}/{c.name}": c for c in file.parent.glob("c/*")}
            waiting += [name.rpartition(".")[0], *_imports(name, file)]
    return found


def _file(module: str) -> Path | None:
    """The module's source, without importing it; only for labcore and for checks."""
    if module.split(".")[0] == "labcore":
        place = ROOT.joinpath(*module.split("."))
        files = (place / "__init__.py", place.with_suffix(".py"))
        return next((file for file in files if file.is_file()), None)
    if "checks" not in module:
        return None
    found = importlib.util.find_spec(module)
    return Path(found.origin) if found else None


def _imports(module: str, file: Path) -> Iterator[str]:
    """Every name imported anywhere in the file, even if it is not a module."""
    inside = file.name == "__init__.py"
    package = module if inside else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
