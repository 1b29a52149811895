"""`labcore release --course`: write a class folder or an nbgrader course."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nbformat import NotebookNode

from ...files import write_bytes
from ...runtime import LabError
from ...student.notebooks import NUMBERED, read_notebook
from .classroom import class_files
from .nbgrader_course import nbgrader_files
from .redact import Stub, leaks, redact, stubs

__all__ = ["release_course"]

RECORD = "release.json"


def release_course(
    root: Path, folder: Path, labs: str, due: str | None, nbgrader: bool
) -> str:
    """Write the folder, or update one from an earlier release to this release.

    Files that are not ours stay untouched. Returns a sentence on what was done.
    """
    sources = {
        path.name: read_notebook(path)
        for path in sorted((root / "solutions").glob(NUMBERED))
    }
    if not sources:
        raise LabError(f"There is no notebook in {root / 'solutions'}: nothing to do.")
    chosen = _chosen(labs, list(sources))
    before = _written_before(folder)
    redacted = _redacted(sources, chosen, due)
    files = nbgrader_files(redacted) if nbgrader else class_files(root, redacted)
    record = {"labs": chosen, "past their deadline": due}
    known = sorted({*before, *files})
    _record(folder, record, known)  # first, so that a release cut short can be repeated
    for name, content in files.items():
        write_bytes(folder / name, content)
    for name in known:
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    _record(folder, record, sorted(files))
    kind = "An nbgrader course" if nbgrader else "The class folder"
    return f"{kind} with {', '.join(n[:2] for n in chosen)} is in {folder}."


def _chosen(spec: str, names: list[str]) -> list[str]:
    """The labs meant by a list such as 01-03 or 00,02-03."""
    by_number = {name[:2]: name for name in names}
    chosen: list[str] = []
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(\d\d)(?:-(\d\d))?\s*", part)
        if not match:
            raise LabError(
                f"{part!r} names no labs: write 02, 01-03 or 00,02-03, two digits each."
            )
        first, last = match[1], match[2] or match[1]
        wanted = [n for n in by_number if first <= n <= last]
        if first not in by_number or last not in by_number or not wanted:
            raise LabError(
                f"There are no labs {part.strip()}: choose from "
                f"{', '.join(by_number)}, the smaller number first."
            )
        chosen += [by_number[n] for n in wanted]
    return sorted(set(chosen))


def _written_before(folder: Path) -> list[str]:
    """The files that an earlier release wrote; LabError if the folder is not ours."""
    if folder.is_file():
        raise LabError(f"{folder} is a file: name a folder for the class.")
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = record["files"]
    except (OSError, ValueError, KeyError, TypeError):
        if folder.exists() and any(folder.iterdir()):
            raise LabError(
                f"{folder} is not empty and was not written by this command: "
                "name a new folder."
            ) from None
        return []
    return [name for name in files if ".." not in Path(name).parts]


def _record(folder: Path, record: dict, files: list[str]) -> None:
    text = json.dumps(record | {"files": files}, indent=1) + "\n"
    write_bytes(folder / RECORD, text.encode())


def _redacted(
    sources: dict[str, NotebookNode], chosen: list[str], due: str | None
) -> dict[str, NotebookNode]:
    """The chosen sources, without what this class may not see yet.

    An exercise is still open if its lab is chosen, or comes between or after the chosen
    ones. Labs up to `due` are no longer open.
    """
    numbers = [name[:2] for name in sources]
    if due is not None and due not in numbers:
        raise LabError(
            f"There is no Lab {due} that could be due: choose from "
            f"{', '.join(numbers)}."
        )
    still_open = {
        name: source
        for name, source in sources.items()
        if name >= chosen[0] and name[:2] > (due or "")
    }
    open_answers: dict[str, Stub] = {}
    for name, source in still_open.items():
        open_answers |= stubs(source, name)
    redacted = {}
    for name in chosen:
        redacted[name] = redact(sources[name], chosen, open_answers)
        others = {n: s for n, s in still_open.items() if n != name}
        leaks(redacted[name], name, others)
    return redacted
