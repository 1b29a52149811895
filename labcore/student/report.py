"""What doctor found, as Markdown for an issue, without the names of a person."""

from __future__ import annotations

import getpass
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import environment

__all__ = ["anonymous", "markdown"]

PACKAGES = (
    *("torch", "torchvision", "numpy", "matplotlib", "jupyterlab", "ipywidgets"),
    *("ipykernel", "ipython", "nbclient", "nbformat"),
)


def markdown(findings: Iterable[str]) -> str:
    """The findings, and the versions that a reader of an issue asks for first."""
    settings = sorted(
        item for item in os.environ.items() if item[0].startswith("LABCORE")
    )
    lines = [
        *findings,
        "",
        f"course    {_version('pruning-lab')}{_commit()}",
        f"system    {platform.platform()}",
        f"packages  {', '.join(f'{name} {_version(name)}' for name in PACKAGES)}",
        f"settings  {', '.join(map('='.join, settings)) or 'none'}",
    ]
    text = anonymous("\n".join(lines)).replace("```", "'''")
    return f"```text\n{text}\n```"


def anonymous(text: str) -> str:
    """The text without the folders of this course and this user, and without a name."""
    for folder, stands_for in (
        (environment.ROOT, "<course>"),
        (Path(sys.prefix), "<python>"),
        (Path(sys.base_prefix), "<python>"),
        (Path.home(), "<home>"),
    ):
        for written in {str(folder), str(folder.resolve()), folder.as_posix()}:
            if len(Path(written).parts) > 1:  # not / itself
                text = text.replace(written, stands_for)
    return re.sub(rf"\b{re.escape(_user())}\b", "<user>", text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "<user>"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _commit() -> str:
    """The clone's commit; empty in a class folder, or without git."""
    command = ["git", "-C", str(environment.ROOT), "log", "-1", "--format=%h"]
    try:
        result = subprocess.run(command, capture_output=True, encoding="utf-8")
    except OSError:
        return ""
    return f", commit {result.stdout.strip()}" if result.returncode == 0 else ""
