"""Find the Python that has the course installed, and run a command with it.

Standard library only, because this runs before anything is installed.
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

__all__ = [
    *("NEWEST", "ROOT", "VENV", "enter", "hand_over", "inside_venv", "made_by_uv"),
    *("missing", "requirements", "suffices", "venv_python"),
]

NEWEST = (3, 14)  # the newest Python that was tried
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


def requirements(extra: str | None = None) -> dict[str, str]:
    """Package -> requirement, from pyproject.toml, for the labs or for one extra."""
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
    """Search outside the clone: its own metadata would be found by any Python."""
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    found = importlib.metadata.distributions(name=package, path=elsewhere)
    return next(iter(found), None)


def inside_venv() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def made_by_uv() -> bool:
    """Whether uv made .venv and looks after it: then nothing of ours is kept there."""
    try:
        made = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False
    return "\nuv = " in made


def suffices() -> bool:
    """Whether we run in the user's or uv's environment, with all that labs need."""
    ours = inside_venv() and not made_by_uv()
    return not ours and _has_this_clone() and not missing()


def _has_this_clone() -> bool:
    """Whether this clone is installed, not another one that kernels would import."""
    labcore = _distribution("pruning-lab")
    origin = json.loads((labcore and labcore.read_text("direct_url.json")) or "{}")
    folder = url2pathname(urlsplit(origin.get("url", "")).path)
    return bool(folder) and Path(folder).resolve() == ROOT


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def enter(arguments: list[str]) -> None:
    """Restart this command with .venv's Python if the running one lacks the labs."""
    if not (inside_venv() or suffices()) and venv_python().exists():
        sys.exit(hand_over(venv_python(), ["-m", "labcore", *arguments]))


def hand_over(
    python: Path, arguments: list[str], environment: dict[str, str] | None = None
) -> int:
    """Run Python in place of this process, and leave all signals to it."""
    command = [str(python), *arguments]
    environment = dict(os.environ) if environment is None else environment
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)  # Windows cannot replace us
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child got it too, and decides
            continue
