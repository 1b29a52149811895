"""Which Python has the course, and how a command gets there.

Standard library only, as all of the front door: it runs before anything is installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..runtime import LabError

__all__ = ["ROOT", "VENV", "enter", "hand_over", "missing", "requirements", "suffices"]

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


def requirements(extra: str | None = None) -> dict[str, str]:
    """Package -> requirement, as pyproject.toml names it for the labs or an extra."""
    import tomllib

    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LabError(
            f"There is no pyproject.toml in {ROOT}: run labcore from a clone of the "
            "course's repository."
        ) from None
    extras = project["project"]["optional-dependencies"]
    if extra is None:
        listed = project["project"]["dependencies"]
    elif extra in extras:
        listed = extras[extra]
    else:
        raise LabError(
            f"There is no optional part {extra!r}: choose from {', '.join(extras)}."
        )
    return {re.split(r"[<>=!~ \[;]", line)[0]: line for line in listed}


def missing(extra: str | None = None) -> list[str]:
    """The required packages that the running Python does not have."""
    return [name for name in requirements(extra) if not _installed(name)]


def _installed(package: str) -> bool:
    return _distribution(package) is not None


def _distribution(package: str) -> importlib.metadata.Distribution | None:
    """Looked up outside the clone, whose own metadata would answer for any Python."""
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    found = importlib.metadata.distributions(name=package, path=elsewhere)
    return next(iter(found), None)


def inside_venv() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def suffices() -> bool:
    """Whether the running Python is an environment of the user's own with the labs."""
    return not inside_venv() and _has_this_clone() and not missing()


def _has_this_clone() -> bool:
    """Another clone may be installed there instead: kernels would import that."""
    labcore = _distribution("pruning-lab")
    origin = json.loads((labcore and labcore.read_text("direct_url.json")) or "{}")
    folder = url2pathname(urlsplit(origin.get("url", "")).path)
    return bool(folder) and Path(folder).resolve() == ROOT


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def enter(arguments: list[str]) -> None:
    """Go on with this command in .venv, where the running Python lacks the labs."""
    if not (inside_venv() or suffices()) and venv_python().exists():
        sys.exit(hand_over(venv_python(), ["-m", "labcore", *arguments]))


def hand_over(
    python: Path, arguments: list[str], environment: dict[str, str] | None = None
) -> int:
    """Run Python in place of this process, which then gets no signal of its own."""
    command = [str(python), *arguments]
    environment = dict(os.environ) if environment is None else environment
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)  # Windows cannot replace it
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child got it too, and decides
            continue
