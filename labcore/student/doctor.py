"""`labcore doctor`: what will work on this machine, in one line each."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable

from .. import machine, runtime
from ..runtime import LabError
from . import environment, report

__all__ = ["main"]

GIB = 2**30
SETUP = "python -m labcore setup"
FINE, LESS, STOPS = " ", "-", "X"


def main(pasted: bool = False) -> int:
    """Print the findings, on request as a report for an issue.

    Returns 1 if the core labs cannot run, else 0.
    """
    torch = _look("torch", _torch)
    with_torch = [("device", _device), ("bfloat16", _bfloat16), ("threads", _threads)]
    findings = [_look("Python", _python, LESS), torch]
    for name, find in with_torch:
        known = torch[0] == FINE
        findings.append(_look(name, find) if known else (LESS, name, "unknown"))
    findings += [
        _look("packages", _packages),
        _look("assets", _assets),
        _look("memory", _memory, LESS),
        _look("disk", _disk, LESS),
        _look("kernels", _kernels, LESS),
        _look("torchvision", _torchvision, LESS),
        _look("optional", _optional, LESS),
    ]
    lines = [f"{mark} {name:<12} {text}" for mark, name, text in findings]
    stopped = any(mark == STOPS for mark, _, _ in findings)
    if stopped:
        lines += [f"The core labs cannot run here: see the lines marked {STOPS} above."]
    else:
        lines += ["The core labs run here."]
    print(report.markdown(lines) if pasted else "\n".join(lines))
    return int(stopped)


def _look(
    name: str, find: Callable[[], str], otherwise: str = STOPS
) -> tuple[str, str, str]:
    """One finding: its mark, its name, and what was found or what is wrong."""
    try:
        return FINE, name, find()
    except LabError as problem:
        return otherwise, name, str(problem)
    except ModuleNotFoundError as problem:
        return otherwise, name, f"unknown without {problem.name}"
    except Exception as problem:
        return otherwise, name, _in_a_line(problem)


def _in_a_line(problem: Exception) -> str:
    first = str(problem).strip().partition("\n")[0]
    return f"{type(problem).__name__}: {first}" if first else type(problem).__name__


def _python() -> str:
    found = f"{sys.version.split()[0]}, {sys.executable}"
    if sys.version_info[:2] > environment.NEWEST:
        newest = ".".join(map(str, environment.NEWEST))
        raise LabError(f"{found}: newer than {newest}, the newest that was tried")
    return found


def _torch() -> str:
    if environment.inside_venv():
        cure = f"delete {environment.VENV} and run '{SETUP}'"
    else:
        cure = "reinstall torch in this environment"
    return _version("torch", missing=f"run '{SETUP}'", broken=cure)


def _torchvision() -> str:
    none = "the default track needs none"
    return _version(
        "torchvision", missing=f"{none}; '{SETUP} vision' adds it", broken=none
    )


def _version(package: str, missing: str, broken: str) -> str:
    """A package's version, or what to do about it: importing may raise anything."""
    try:
        return importlib.import_module(package).__version__
    except Exception as problem:
        if isinstance(problem, ModuleNotFoundError) and problem.name == package:
            raise LabError(f"missing: {missing}") from None
        raise LabError(f"broken ({_in_a_line(problem)}): {broken}") from None


def _packages() -> str:
    lacking = [name for name in environment.missing() if name != "torch"]
    if lacking:
        raise LabError(f"{', '.join(lacking)} missing: run '{SETUP}'")
    return "all there"


def _assets() -> str:
    from .. import assets

    problems = assets.verify_shipped()
    if problems:
        raise LabError(" ".join(problems))
    return "data and weights are as shipped"


def _device() -> str:
    import torch

    chosen = runtime.device()
    if chosen.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name()}"
    if torch.cuda.is_available():
        return f"cpu on this track; cifar10 can use {torch.cuda.get_device_name()}"
    return "cpu (no CUDA device that this torch can use)"


def _bfloat16() -> str:
    """Whether bfloat16 runs in hardware, and what the current settings make of it."""
    found = "in hardware" if runtime.has_bfloat16() else "not in hardware"
    return f"{found}; the labs compute in {runtime.precision()}"


def _threads() -> str:
    return f"{runtime.use_threads()} of {os.cpu_count()} cores"


def _memory() -> str:
    free = machine.free_memory() / GIB
    if free < 2:
        raise LabError(
            f"only {free:.1f} GiB free: close other programs, a lab takes 1.5"
        )
    return f"{free:.1f} GiB free"


def _disk() -> str:
    free = shutil.disk_usage(environment.ROOT).free / GIB
    if free < 1:
        raise LabError(f"only {free:.1f} GiB free: make room to save your work")
    return f"{free:.1f} GiB free"


def _kernels() -> str:
    """Kernels competing for the cores; a process may end meanwhile, or be hidden."""
    import psutil

    running = 0
    for process in psutil.process_iter(["cmdline"]):
        running += "ipykernel_launcher" in (process.info["cmdline"] or [])
    if running:
        raise LabError(f"{running} running: shut down those you do not use")
    return "none running"


def _optional() -> str:
    lacking = {
        extra: environment.missing(extra)
        for extra in ("chip", "toolbox", "test", "instructor")
    }
    lines = [
        f"{', '.join(names)} missing: '{SETUP} {extra}' adds it"
        for extra, names in lacking.items()
        if names
    ]
    if lines:
        raise LabError("; ".join(lines))
    return "all parts are there"
