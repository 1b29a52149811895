"""Replace files in one step, so that no reader ever sees half a file."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .runtime import LabError

__all__ = ["write_bytes", "written"]

ADVICE = "free some space, or make sure that you may write to that folder"


def write_bytes(path: Path, data: bytes, advice: str = ADVICE) -> None:
    with written(path, advice) as file:
        file.write(data)


@contextmanager
def written(path: Path, advice: str = ADVICE) -> Iterator[BinaryIO]:
    """Write a file that gets its name only once it is complete; creates its folder.

    If something prevents it (a full disk, a missing permission), LabError says so and
    ends with the advice. Each writer has its own temporary name, so two may coexist.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                _keep_mode(path, temporary)
                yield file
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise LabError(f"{path} cannot be written ({reason}): {advice}.") from error


def _keep_mode(old: Path, new: Path) -> None:
    """Its group and mode stay, where we may set them; Windows has neither."""
    if os.name == "posix":
        with suppress(OSError):  # nothing is there yet, or it is another's group
            os.chown(new, -1, old.stat().st_gid)  # first: it clears bits of the mode
        with suppress(OSError):
            shutil.copymode(old, new)
