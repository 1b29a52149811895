"""The student's JupyterLab: their own copies of the labs, no instructor's tools."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ..files import write_bytes
from ..runtime import LabError
from .environment import hand_over

__all__ = ["copy_labs", "has_browser", "start"]

# nbgrader may live in the same environment; its panels are for instructors.
SERVER_EXTENSIONS_OFF = [
    f"nbgrader.server_extensions.{name}"
    for name in ("formgrader", "validate_assignment", "assignment_list", "course_list")
]
LAB_EXTENSIONS_OFF = [
    "@jupyter/nbgrader",
    "@jupyterlab/apputils-extension:announcements",  # asks about fetching news
]


def copy_labs(labs: Path, work: Path) -> list[str]:
    """Copy missing labs into work/ and return their names. Nothing is overwritten."""
    if not labs.is_dir():
        raise LabError(
            f"There is no folder {labs}: run labcore from a clone of the course's "
            "repository."
        )
    work.mkdir(exist_ok=True)
    copied = []
    for source in sorted([*labs.glob("*.ipynb"), *labs.glob("README.md")]):
        target = work / source.name
        if not target.exists():
            write_bytes(target, source.read_bytes())
            copied.append(source.name)
    return copied


def start(python: Path, work: Path, port: int | None, browser: bool) -> int:
    """Replace this process by JupyterLab, opened in work/.

    Its root is the clone, so that links from a lab to its solution work.
    """
    return hand_over(python, _arguments(work, port, browser), _variables(python, work))


def _arguments(work: Path, port: int | None, browser: bool) -> list[str]:
    arguments = ["-m", "jupyterlab", f"--ServerApp.root_dir={work.parent}"]
    arguments += [f"--LabApp.default_url=/lab/tree/{work.name}"]
    arguments += ["--ServerApp.answer_yes=True"]  # Ctrl-C stops it without asking
    if port is not None:
        arguments += [f"--port={port}"]
    if not (browser and has_browser()):
        arguments += ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments += ["--allow-root"]
    return arguments


def has_browser() -> bool:
    """Whether there is a graphical browser: a text browser would fill the terminal."""
    if sys.platform != "linux":
        return True
    return any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))


def _variables(python: Path, work: Path) -> dict[str, str]:
    """The environment, with our configuration and this Python's commands first."""

    def first(entry: Path, variable: str) -> str:
        rest = os.environ.get(variable)
        return f"{entry}{os.pathsep}{rest}" if rest else str(entry)

    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": first(
            _configuration(work / ".jupyter"), "JUPYTER_CONFIG_PATH"
        ),
        "PATH": first(python.parent, "PATH"),
    }


def _configuration(folder: Path) -> Path:
    """A Jupyter configuration folder that keeps the extensions above switched off."""
    server = {name: False for name in SERVER_EXTENSIONS_OFF}
    lab = {name: True for name in LAB_EXTENSIONS_OFF}
    for file, content in {
        "jupyter_server_config.d/labcore.json": {
            "ServerApp": {"jpserver_extensions": server}
        },
        "labconfig/page_config.json": {"disabledExtensions": lab},
    }.items():
        write_bytes(folder / file, json.dumps(content, indent=1).encode())
    return folder
