"""By which version a verdict was found."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

from labcore.student.notebooks import digest

__all__ = ["version_of"]

CHECKS = Path(__file__).parents[2] / "checks"


def version_of(checks: str) -> str:
    """labcore, and all that the checks of this module may share with others."""
    files = {f.relative_to(CHECKS).as_posix(): f for f in CHECKS.rglob("*.py")}
    if not checks.startswith("labcore.checks."):
        files[checks] = Path(importlib.util.find_spec(checks).origin)
    text = "".join(files[name].read_text(encoding="utf-8") for name in sorted(files))
    return f"labcore {version('pruning-lab')}, checks {digest(text)}"
