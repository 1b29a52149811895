"""What the machine offers, and what the user's environment asks for.

Every LABCORE_* variable is read here, each time it is needed. Only the functions that
need torch import it: the command line must work where torch is missing or broken.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .machine import cpu_count

__all__ = [
    "LabError",
    "autocast",
    "cache_folder",
    "check_seed",
    "cpu_count",
    "device",
    "let_threads_sleep",
    "precision",
    "progress",
    "reused_memory",
    "seed_everything",
    "strict",
    "strict_environment",
    "track_name",
    "use_threads",
]


class LabError(Exception):
    """A mistake that the user can fix: shown as one sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def setting(name: str, default: str, allowed: tuple[str, ...] = ()) -> str:
    """The variable LABCORE_<name>, or the default if it is unset or empty."""
    value = os.environ.get(f"LABCORE_{name}", "").strip() or default
    if allowed and value not in allowed:
        raise LabError(
            f"LABCORE_{name} is {value!r}, but it must be one of {', '.join(allowed)}: "
            "correct or unset the variable and start again."
        )
    return value


def track_name() -> str:
    return setting("TRACK", "fashion")


def strict() -> bool:
    """Whether unwritten exercises raise an error (tests, grading) or only print."""
    return setting("STRICT", "0", ("0", "1")) == "1"


def strict_environment() -> dict[str, str]:
    """Our environment without the settings that change what a notebook shows."""
    kept = ("LABCORE_CACHE", "LABCORE_THREADS")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LABCORE_") or name in kept
    }
    return clean | {"LABCORE_STRICT": "1"}


def _whole_number(name: str, default: int, least: int, most: int) -> int:
    value = setting(name, str(default))
    if not (value.isdecimal() and len(value) < 12 and least <= int(value) <= most):
        raise LabError(
            f"LABCORE_{name} is {value!r}, but it must be a whole number "
            f"from {least} to {most}: correct or unset the variable and start again."
        )
    return int(value)


def check_seed() -> int:
    return _whole_number("CHECK_SEED", 0, 0, 10**9)


def cache_folder() -> Path:
    """The folder for downloads; created and checked for writing at its first use."""
    folder = Path(setting("CACHE", str(Path.home() / ".cache" / "pruning-lab")))
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        raise LabError(
            f"The cache folder {folder} cannot be read and written: "
            "set LABCORE_CACHE to a folder of your own."
        )
    return folder


def let_threads_sleep() -> None:
    """Let torch's idle threads sleep soon; call this before torch is imported.

    By default idle threads spin for long. With two kernels on two cores, an evaluation
    then took two to six times as long, because each waited for a core on which the
    other was idling. Sleeping at once would slow a single kernel's training by 15 %.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # sleep at once
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # on Linux this setting decides


def use_threads() -> int:
    """Let torch use one thread per core that we may use; returns the number."""
    import torch

    wanted = _whole_number("THREADS", cpu_count(), 1, 1024)
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
    return wanted


def device():
    """CUDA on the cifar10 track if there is a GPU, else the CPU."""
    import torch

    default = "cuda" if track_name() == "cifar10" else "cpu"
    wanted = setting("DEVICE", default, ("cpu", "cuda"))
    if wanted == "cuda" and not torch.cuda.is_available():
        wanted = "cpu"
    return torch.device(wanted)


def precision() -> str:
    """ "fp32" or "bf16": what LABCORE_PRECISION says, else the faster safe choice."""
    wanted = setting("PRECISION", "auto", ("auto", "fp32", "bf16"))
    if wanted != "auto":
        return wanted
    return "bf16" if has_bfloat16() else "fp32"


def has_bfloat16() -> bool:
    """Whether the device has bfloat16 in hardware (emulation is slower)."""
    import torch

    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _cpu_flags()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cpu_flags() -> set[str]:
    """The first core's instruction sets; empty if the system does not list them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


def autocast():
    """A context in which convolutions and matrix products use `precision()`."""
    import torch

    return torch.autocast(
        device().type, dtype=torch.bfloat16, enabled=precision() == "bf16"
    )


@contextmanager
def reused_memory() -> Iterator[None]:
    """In this context, memory that a tensor frees is kept for the next tensor.

    glibc returns large blocks to the system immediately, and each new block then costs
    a page fault per 4 KiB: at unlucky batch sizes a quarter of an evaluation's time.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the maximum allowed
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
    try:
        yield
    finally:
        if libc is not None:  # twice the mmap threshold, as glibc itself chooses
            libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
            libc.malloc_trim(0)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None


def seed_everything(seed: int = 0) -> None:
    import torch

    random.seed(seed)
    torch.manual_seed(seed)


def progress(
    items: Iterable | None = None, *, total: int | None = None, what: str = ""
):
    """A progress bar that appears after two seconds of work and vanishes at the end."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    bar = _LateBar(total, what)
    return bar if items is None else _counted(items, bar)


class _LateBar:
    """tqdm's bar, created late: in a notebook each bar consists of a dozen widgets."""

    def __init__(self, total: int | None, what: str) -> None:
        self._options = {"total": total, "desc": what, "leave": False}
        self._start, self._done, self._bar = time.monotonic(), 0, None

    def update(self, count: int = 1) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._start > 2:
            from tqdm.auto import tqdm  # not at the top: it imports ipywidgets

            self._bar = tqdm(initial=self._done, **self._options)

    def __enter__(self) -> _LateBar:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()


def _counted(items: Iterable, bar: _LateBar) -> Iterator:
    """The items; unlike tqdm's own loop, an exception leaves no bar or traceback."""
    with bar:
        for item in items:
            yield item
            bar.update()
