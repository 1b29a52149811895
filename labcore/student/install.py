"""Set-up: .venv with a torch that works, then labcore and the extras.

A stamp in .venv records what a finished set-up holds. So a second run starts at once,
and an interrupted set-up continues where it stopped.
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
    if environment.suffices():
        python = Path(sys.executable)
        if any(environment.missing(extra) for extra in wanted):
            _install_labcore(python, wanted, ["torch"])
        return python
    python = environment.venv_python()
    stamp, made = _read_stamp(), _made(python)
    if not made or stamp.get("made") != made or not wanted <= set(stamp["extras"]):
        _make_venv(python)
        _drop_half_installed()
        proven = _install_torch(python)
        extras = wanted | set(stamp.get("extras", ()))
        if "torchvision" not in proven:
            extras -= {"vision"}
        _install_labcore(python, extras, proven)
        _write_stamp({"made": _made(python), "extras": sorted(extras)})
        _say("Set-up is complete.")
    return python


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
    if python.exists() and _run(python, "-m", "pip", "--version").returncode == 0:
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


def _drop_half_installed() -> None:
    """Remove packages whose installation was cut short; pip then installs them again.

    pip writes INSTALLER at the very end, just before RECORD: without it, the package
    is incomplete.
    """
    for site in [*VENV.glob("lib/python*/site-packages"), VENV / "Lib/site-packages"]:
        for info in site.glob("*.dist-info"):
            if not (info / "INSTALLER").exists():
                shutil.rmtree(info)


def _install_torch(python: Path) -> list[str]:
    """Install torch and, if possible, its torchvision; returns the importable ones.

    They go first and as a pair, because a torchvision built for another torch breaks.
    """
    pair = [
        environment.requirements()["torch"],
        environment.requirements("vision")["torchvision"],
    ]
    if _import(python, "torch") or _import(python, "torchvision"):
        _say(
            "Installing PyTorch: 200 MB without, up to 5 GB with CUDA; some minutes ..."
        )
        failure = _pip_torch(python, pair)
        if failure and _import(python, "torch"):
            failure = _pip_torch(python, pair[:1])
            if failure:
                print(failure, file=sys.stderr)
                raise LabError(
                    "PyTorch could not be installed: fix what pip reports above, or "
                    "set TORCH_INDEX to a package index that has it, and run again."
                )
    problem = _import(python, "torch")
    if problem:
        raise LabError(
            f"PyTorch is installed but cannot be imported ({problem}): delete {VENV}, "
            "set TORCH_INDEX to the index of a build for this machine "
            f"(such as {CPU_INDEX}), and run again."
        )
    problem = _import(python, "torchvision")
    if problem:
        _run(python, "-m", "pip", "uninstall", "-q", "-y", "torchvision")
        _say(
            f"torchvision cannot be used here ({problem}): the default track works "
            "without it."
        )
    return ["torch"] if problem else ["torch", "torchvision"]


def _pip_torch(python: Path, packages: list[str]) -> str:
    """Install from the first index of the rule; returns pip's complaint, if any."""
    index = os.environ.get("TORCH_INDEX", "").strip()
    if index:
        _say(f"PyTorch from TORCH_INDEX, {index}")
        return _pip(python, "--index-url", index, *packages)
    if sys.platform == "linux" and not any(map(os.path.exists, NVIDIA)):
        if not _pip(python, *CPU_TRY, *packages, flags=["--isolated"]):
            _say("PyTorch from its CPU-only index (no NVIDIA device here)")
            return ""
    _say("PyTorch from pip's default index")
    return _pip(python, *packages)


def _import(python: Path, module: str) -> str:
    """Why that Python cannot import the module; empty if it can."""
    result = _run(python, "-c", f"import {module}")
    if result.returncode == 0:
        return ""
    return _last_line(result.stdout) or f"Python died with {result.returncode}"


def _install_labcore(python: Path, extras: set[str], pinned: list[str]) -> None:
    """Install labcore from this folder with its dependencies; pinned packages stay."""
    parts = f"[{','.join(sorted(extras))}]" if extras else ""
    _say(f"Installing labcore{parts} and what it needs: a minute or two ...")
    look_up = (
        "import sys; from importlib.metadata import version; "
        "print(*(f'{name}=={version(name)}' for name in sys.argv[1:]))"
    )
    pins = _run(python, "-c", look_up, *pinned).stdout.split()
    failure = _pip(python, *pins, "-e", f"{ROOT}{parts}")
    if failure:
        print(failure, file=sys.stderr)
        raise LabError(
            "labcore could not be installed: fix what pip reports above and run "
            f"again; if that does not help, delete {VENV} first."
        )


def _pip(python: Path, *arguments: str, flags: Iterable[str] = ()) -> str:
    """Run `pip install`; returns its output if it failed, else an empty string."""
    options = ["-q", "--disable-pip-version-check"]
    result = _run(python, "-m", "pip", *flags, "install", *options, *arguments)
    return result.stdout.strip() or "pip failed" if result.returncode else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
