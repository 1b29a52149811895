"""Set-up: a Python that has torch, labcore and the extras; pip or uv installs them.

A stamp in .venv records what a finished set-up with pip holds. So a second run starts
at once, and an interrupted set-up continues where it stopped.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ..files import write_bytes
from ..runtime import LabError
from . import environment
from .environment import ROOT, VENV

__all__ = ["set_up"]

STAMP = VENV / "labcore.json"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_TRY = ["--retries", "0", "--timeout", "5", "--index-url", CPU_INDEX]
NVIDIA = ["/dev/nvidiactl", "/proc/driver/nvidia", "/usr/lib/wsl/lib/libcuda.so.1"]


def set_up(extras: Iterable[str] = ()) -> Path:
    """The Python that has torch, labcore and the extras; installs what is missing."""
    wanted = set(extras)
    for extra in wanted:
        environment.requirements(extra)  # stop early at an unknown name
    _warn_of_a_newer_python()
    if environment.suffices():
        python = Path(sys.executable)
        if any(environment.missing(extra) for extra in wanted):
            _install(python, wanted)
        return python
    python = environment.venv_python()
    if environment.made_by_uv():
        if not _suffices(python, wanted):
            _install(python, wanted)
        return python
    stamp, made = _read_stamp(), _made(python)
    if not made or stamp.get("made") != made or not wanted <= set(stamp["extras"]):
        _make_venv(python)
        extras = wanted | set(stamp.get("extras", ()))
        _install(python, extras)
        _write_stamp({"made": _made(python), "extras": sorted(extras)})
    return python


def _warn_of_a_newer_python() -> None:
    newest, here = (f"{v[0]}.{v[1]}" for v in (environment.NEWEST, sys.version_info))
    if sys.version_info[:2] > environment.NEWEST:
        print(
            f"The labs were tried with Python 3.11 to {newest}, and this is {here}: if "
            "something fails, take one of those.",
            file=sys.stderr,
        )


def _say(line: str) -> None:
    print(line, flush=True)


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )


def _suffices(python: Path, extras: Iterable[str]) -> bool:
    """Whether that Python has everything already; uv may have removed what we added."""
    ask = (
        "import sys; from labcore.student.environment import suffices, missing; "
        "sys.exit(not suffices() or any(map(missing, sys.argv[1:])))"
    )
    return _run(python, "-c", ask, *extras).returncode == 0


def _read_stamp() -> dict:
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_stamp(stamp: dict) -> None:
    write_bytes(STAMP, json.dumps(stamp, indent=1).encode())


def _made(python: Path) -> dict[str, str] | None:
    """What .venv was made from, and how; None if its Python does not run."""
    try:
        version = _run(python, "-c", "import sys; print(*sys.version_info[:2])")
    except OSError:
        return None
    if version.returncode:
        return None
    project = (ROOT / "pyproject.toml").read_bytes()
    return {
        "python": version.stdout.strip(),
        "root": str(ROOT),
        "pyproject": hashlib.sha256(project).hexdigest(),
    }


def _make_venv(python: Path) -> None:
    """Make a new .venv, unless the existing one has a working pip."""
    if python.exists() and _has_pip(python):
        return
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise LabError(
            "This Python cannot make a virtual environment: on Debian or Ubuntu run "
            f"'sudo apt install python{version}-venv' and start again."
        )
    _say("Making .venv ...")
    base = getattr(sys, "_base_executable", None) or sys.executable
    result = _run(base, "-m", "venv", "--clear", VENV)
    if result.returncode:
        raise LabError(
            f"The virtual environment {VENV} could not be made: "
            f"{_last_line(result.stdout)}"
        )


def _install(python: Path, extras: set[str]) -> None:
    """Install labcore from this folder, with torch and whatever else it needs."""
    labcore = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    uv = _uv(python)
    _say(f"Installing {labcore} and what it needs: some minutes ...")
    if uv:
        command = [uv, "pip", "install", "--python", python, "-e", labcore]
        installed = subprocess.run(command, cwd=ROOT).returncode == 0
    else:
        _drop_half_installed()
        installed = _install_torch(python, extras) and _pip(python, "-e", labcore)
    if not installed:
        raise LabError(
            "The course could not be installed: fix what is reported above and run "
            f"again; if that does not help, delete {VENV} first."
        )
    result = _run(python, "-c", "import torch")
    if result.returncode:
        problem = _last_line(result.stdout) or f"Python died: {result.returncode}"
        raise LabError(
            f"PyTorch is installed but cannot be imported ({problem}): delete {VENV}, "
            "set TORCH_INDEX to the index of a build for this machine "
            f"(such as {CPU_INDEX}), and run again."
        )
    _say("Set-up is complete.")


def _uv(python: Path) -> str | None:
    """The uv that runs this command, or that has to stand in for a missing pip."""
    uv = os.environ.get("UV")
    if uv or _has_pip(python):
        return uv
    uv = shutil.which("uv")
    if not uv:
        raise LabError(
            f"{python} has neither pip nor, here, uv: install uv, or delete {VENV}, "
            "and run again."
        )
    return uv


def _has_pip(python: Path) -> bool:
    return _run(python, "-m", "pip", "--version").returncode == 0


def _drop_half_installed() -> None:
    """Remove packages whose installation was cut short; pip then installs them again.

    pip writes INSTALLER at the very end, just before RECORD: without it, the package
    is incomplete.
    """
    for site in [*VENV.glob("lib/python*/site-packages"), VENV / "Lib/site-packages"]:
        for info in site.glob("*.dist-info"):
            if not (info / "INSTALLER").exists():
                shutil.rmtree(info)


def _install_torch(python: Path, extras: set[str]) -> bool:
    """Install PyTorch from an index of its own if one applies; False if that failed.

    pip leaves what it finds, so the default index is asked only for the rest.
    """
    packages = {"torch": environment.requirements()["torch"]}
    if "vision" in extras:
        packages |= environment.requirements("vision")
    versions = "import sys, importlib.metadata as m; [*map(m.version, sys.argv[1:])]"
    if _run(python, "-c", versions, *packages).returncode == 0:
        return True
    index = os.environ.get("TORCH_INDEX", "").strip()
    if index:
        _say(f"PyTorch from TORCH_INDEX, {index} ...")
        return _pip(python, "--index-url", index, *packages.values())
    if sys.platform == "linux" and not any(map(os.path.exists, NVIDIA)):
        _say("PyTorch, 200 MB, from its CPU-only index (no NVIDIA device here) ...")
        options = ["--isolated", "install", "-q", *CPU_TRY]
        if not _run(python, "-m", "pip", *options, *packages.values()).returncode:
            return True
        _say("That index does not answer.")
    _say("PyTorch, up to 5 GB with CUDA, from pip's default index ...")
    return True


def _pip(python: Path, *arguments: str) -> bool:
    """Whether `pip install` succeeded; shows what it said if not."""
    options = ["install", "-q", "--disable-pip-version-check"]
    result = _run(python, "-m", "pip", *options, *arguments)
    if result.returncode:
        print(result.stdout.strip() or "pip failed", file=sys.stderr)
    return result.returncode == 0


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
