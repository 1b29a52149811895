"""Files that are replaced in one step, so that nobody ever sees half of one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
    """A file that takes its name only once it is whole; its folder is made.

    What prevents it (a full disk, a missing permission) is one sentence that ends with
    the advice. Each writer has a temporary name of its own, so two at once do no harm.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise LabError(f"{path} cannot be written ({reason}): {advice}.") from error
