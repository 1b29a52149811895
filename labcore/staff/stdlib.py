"""The text of the language model: Python's standard library, split by file.

Files of one split that repeat files of another are left out, so that val and test hold
code that the model has not seen.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from pathlib import Path

from labcore.runtime import LabError

__all__ = ["packed", "splits"]

SKIPPED = {  # tests, tables, prose, and what is no part of the library's source
    *("test", "tests", "idle_test", "encodings", "pydoc_data"),
    *("__phello__", "site-packages"),
}
VAL, TEST, OF = 0, 1, 24  # one file in 24 each
RUN, COPIED = 5, 0.1  # a file is left out if it shares a tenth of its runs of 5 lines

Files = dict[str, bytes]


def packed(folder: Path) -> bytes:
    """The splits of the library in this folder as a .tar.xz: train/abc.py and so on."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for split, files in splits(_sources(folder)).items():
            for name, text in files.items():
                member = tarfile.TarInfo(f"{split}/{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
    return lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _sources(folder: Path) -> Files:
    """Every Python file of the library, by its path."""
    if not (folder / "this.py").exists():
        raise LabError(
            f"There is no standard library in {folder}: name the Lib folder of "
            "Python 3.11's source, or lib/python3.11 of an installation."
        )
    found = {f.relative_to(folder): f for f in sorted(folder.rglob("*.py"))}
    return {
        path.as_posix(): text
        for path, file in found.items()
        if not _skipped(path) and (text := file.read_bytes()).strip()
    }


def _skipped(path: Path) -> bool:
    """Whether it is in one of the skipped folders, or written for one machine only."""
    made_here = path.parts[0].startswith(("config-", "_sysconfigdata"))
    return made_here or not SKIPPED.isdisjoint(path.parts)


def splits(files: Files) -> dict[str, Files]:
    """The files of train, val and test, without those of val and test that copy."""
    parts: dict[str, Files] = {"train": {}, "val": {}, "test": {}}
    for name, text in files.items():
        parts[_split_of(name)][name] = text
    known = _all_runs(parts["train"])
    for split in ("val", "test"):
        parts[split] = {n: t for n, t in parts[split].items() if not _copies(t, known)}
        known |= _all_runs(parts[split])
    return parts


def _split_of(name: str) -> str:
    """A fixed rule: the first byte of the path's sha256."""
    number = hashlib.sha256(name.encode()).digest()[0] % OF
    return {VAL: "val", TEST: "test"}.get(number, "train")


def _copies(text: bytes, known: set[tuple]) -> bool:
    runs = _runs(text)
    return len(runs & known) > COPIED * len(runs)


def _all_runs(files: Files) -> set[tuple]:
    return set().union(*map(_runs, files.values()))


def _runs(text: bytes) -> set[tuple]:
    """Every run of five lines, indentation and empty lines aside."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    return {tuple(lines[i : i + RUN]) for i in range(max(1, len(lines) - RUN + 1))}
