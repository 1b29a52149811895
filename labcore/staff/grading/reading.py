"""Read submissions as they arrive: folders, platform downloads, zips or one file.

Nothing is unpacked to disk, links are not followed, and every file has a size limit.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from labcore.runtime import LabError
from labcore.staff.grading.gradescope import FOLDER, METADATA, Origin, origins
from labcore.staff.grading.intake import sound
from labcore.staff.grading.moments import moment

__all__ = ["TOGETHER", "Submission", "find_submissions", "keep_apart"]

TOGETHER = "handed in together with"

LARGEST = 20_000_000
NO_ZIP = "is not a complete zip file: download it again."
BROKEN = (
    *(OSError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
MOST_ENTRIES, MOST_IN_ZIP = 50_000, 20_000_000_000
# Canvas: name_[LATE_]user_upload_file; Moodle: name_user_assignsubmission_file_[file]
CANVAS = re.compile(r"(?P<who>.+?)_(?P<late>LATE_)?(?P<user>\d+)_\d+_(?P<file>.+)")
MOODLE = re.compile(
    r"(?P<who>.+)_(?P<user>\d+)_assignsubmission_[a-z]+(?:_(?P<file>.*))?"
)
AGAIN = re.compile(r"(?:-([1-9]\d{0,2})| \((\d{1,3})\))$")


@dataclass(frozen=True)
class _Entry:
    """One file: its place below the top folder, and how to read its bytes."""

    parts: tuple[str, ...]
    changed: float
    read: Callable[[], bytes]  # raises ValueError with the reason if it cannot

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(map(_readable, self.parts)))


@dataclass
class Submission:
    """A student's latest notebook, or `problem`, which says why it cannot be read."""

    student: str
    file: str = ""
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    read: Callable[[], bytes] | None = None
    late: bool = False  # by the name of the file
    submitted: str = ""  # a time, if the platform tells one


@dataclass(frozen=True)
class _Upload:
    student: str
    file: str
    late: bool
    entry: _Entry
    origin: Origin | None = None  # of an upload to Gradescope

    @property
    def again(self) -> int:
        found = AGAIN.search(PurePosixPath(self.file).stem)
        return int(found[1] or found[2]) if found else 0

    @property
    def shown(self) -> str:
        """The file's name, or its path inside the student's folder."""
        return "/".join(self.entry.parts[1:]) or self.file

    @property
    def order(self) -> tuple:
        return self.late, self.again, self.entry.changed, self.file


def find_submissions(path: Path, stem: str) -> list[Submission]:
    """One submission per student, sorted by name; `stem` is the lab's file name."""
    if path.is_dir():
        entries, empty = list(_in_folder(path)), _students_without_files(path)
    elif zipfile.is_zipfile(path):
        entries, empty = list(_in_zip(path)), []
    elif path.suffix.lower() == ".zip" and path.is_file():
        raise LabError(f"{path.name} {NO_ZIP}")
    elif path.is_file():
        entries, empty = [_file_entry(path, (path.name,))], []
    else:
        raise LabError(
            f"There is no {path}: name a folder of submissions, a zip or a notebook."
        )
    if (metadata := _metadata(entries)) is not None:
        uploads = _of_gradescope(entries, metadata)
    else:
        uploads = _by_names(entries, empty, stem)
    if not uploads:
        raise LabError(f"There is no submission in {path}.")
    return [_latest(student, uploads[student], stem) for student in sorted(uploads)]


def _by_names(
    entries: list[_Entry], empty: list[str], stem: str
) -> dict[str, list[_Upload]]:
    """Student -> uploads, as the names of folders and files tell."""
    uploads: dict[str, list[_Upload]] = {student: [] for student in empty}
    if not empty:
        entries = _below_one_folder(entries, stem)
    flat = {entry.parts[0] for entry in entries if len(entry.parts) == 1}
    for entry in entries:
        upload = _upload(entry, stem, flat)
        uploads.setdefault(upload.student, []).append(upload)
    return uploads


def _metadata(entries: list[_Entry]) -> _Entry | None:
    """Gradescope's list, if all other files are in folders of its kind beside it."""
    found = [e for e in entries if e.parts[-1] == METADATA and len(e.parts) <= 2]
    if len(found) != 1:
        return None
    top = found[0].parts[:-1]
    beside = [entry.parts for entry in entries if entry is not found[0]]
    fit = all(
        parts[: len(top)] == top and FOLDER.fullmatch(parts[len(top)])
        for parts in beside
    )
    return found[0] if fit else None


def _of_gradescope(entries: list[_Entry], metadata: _Entry) -> dict[str, list[_Upload]]:
    """Student -> uploads, as Gradescope's list tells."""
    try:
        listed = origins(metadata.read())
    except ValueError as error:
        raise LabError(f"{METADATA} cannot be read: {error}.") from None
    depth = len(metadata.parts) - 1
    uploads = {student: [] for origin in listed.values() for student in origin.students}
    for entry in entries:
        if entry is metadata:
            continue
        folder, *_ = parts = entry.parts[depth:]
        origin = listed.get(folder) or Origin((folder,), "")
        entry = replace(entry, parts=parts, changed=_stamp(origin) or entry.changed)
        for student in origin.students:
            upload = _Upload(student, parts[-1], False, entry, origin)
            uploads.setdefault(student, []).append(upload)
    return uploads


def _stamp(origin: Origin) -> float:
    with suppress(ValueError, OverflowError):
        return moment(origin.submitted, None).timestamp()
    return 0.0


def keep_apart(submissions: Path, out: Path) -> None:
    """LabError if the folder of grades would be read as a student's submission."""
    if out.resolve().is_relative_to(submissions.resolve()):
        raise LabError(
            f"The grades in {out} would lie among the submissions in {submissions}: "
            "name a folder outside with --out."
        )


def _in_folder(top: Path) -> Iterator[_Entry]:
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if _matters(name))
        for name in sorted(
            files + [f for f in folders if Path(folder, f).is_symlink()]
        ):
            path = Path(folder, name)
            if _matters(name):
                yield _file_entry(path, path.relative_to(top).parts)


def _readable(name: str) -> str:
    """The name, with bytes that are not UTF-8 shown, so that any table can hold it."""
    return sound(
        name.encode("utf-8", "surrogateescape").decode(
            "utf-8", errors="backslashreplace"
        )
    )


def _matters(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _students_without_files(top: Path) -> list[str]:
    folders = [p for p in top.iterdir() if p.is_dir() and not p.is_symlink()]
    return [
        _who(_readable(p.name))[0]
        for p in folders
        if _matters(p.name) and not any(p.iterdir())
    ]


def _file_entry(path: Path, parts: tuple[str, ...]) -> _Entry:
    def read() -> bytes:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            handle = os.open(path, flags)
        except OSError as error:
            link = path.is_symlink()
            raise ValueError(
                "it is a link" if link else f"it cannot be opened ({error.strerror})"
            ) from None
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("it is no ordinary file")
            return _limited(file)

    try:
        changed = path.lstat().st_mtime
    except OSError:
        changed = 0.0
    return _Entry(parts, changed, read)


def _limited(file) -> bytes:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 1_000_000} MB")
    return data


def _in_zip(path: Path) -> Iterator[_Entry]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        raise LabError(f"{path.name} {NO_ZIP}") from None
    listed = archive.infolist()
    if len(listed) > MOST_ENTRIES or sum(i.file_size for i in listed) > MOST_IN_ZIP:
        raise LabError(
            f"{path.name} would unpack to far more than a class hands in: refused. "
            "Unpack it with care and name the folder."
        )
    for info in listed:
        parts = PurePosixPath(info.filename).parts
        if info.filename.startswith("/") or ".." in parts or ":" in info.filename[:2]:
            raise LabError(
                f"{path.name} holds the unsafe name {info.filename!r}: refused. "
                "It was not made by a course platform."
            )
        if not info.is_dir() and all(map(_matters, parts)):
            yield _zip_entry(archive, info, parts)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts) -> _Entry:
    def read() -> bytes:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError("it is a link")
        try:
            with archive.open(info) as file:
                return _limited(file)
        except BROKEN as error:
            raise ValueError(f"it cannot be unpacked ({error})") from None

    changed = sum(x * y for x, y in zip(info.date_time, SECONDS, strict=True))
    return _Entry(parts, changed, read)


SECONDS = (32_140_800, 2_678_400, 86_400, 3_600, 60, 1)  # so that dates compare


def _below_one_folder(entries: list[_Entry], stem: str) -> list[_Entry]:
    """Drop the single folder that many zips have around their contents."""
    tops = {entry.parts[0] for entry in entries}
    below = [_Entry(e.parts[1:], e.changed, e.read) for e in entries if e.parts[1:]]
    if len(tops) != 1 or len(below) < len(entries) or _of_platform(*tops):
        return entries
    return below if _of_several(below, stem) else entries


def _of_several(entries: list[_Entry], stem: str) -> bool:
    """Whether the files look like a whole class's, not one student's."""
    if any(_of_platform(entry.parts[0]) for entry in entries):
        return True
    files = [entry.parts for entry in entries]
    files = [parts for parts in files if _is_notebook(parts[-1])] or files
    folders = {parts[0] for parts in files if len(parts) > 1}
    loose = {parts[0] for parts in files if len(parts) == 1}
    if not loose and stem not in folders:
        return len(folders) > 1 or all(len(entry.parts) > 1 for entry in entries)
    plain = {_plain(name, loose) for name in loose}
    return not folders and len(plain) > 1 and stem not in plain


def _upload(entry: _Entry, stem: str, flat: set[str]) -> _Upload:
    name = entry.parts[-1]
    if len(entry.parts) > 1:
        student, late, _ = _who(entry.parts[0])
        return _Upload(student, name, late, entry)
    student, late, file = _who(name)
    if file is None:  # alice.ipynb, alice_02_fine_grained_pruning.ipynb
        plain = _plain(name, flat)
        own = plain.replace(stem, "")
        student = plain if AGAIN.fullmatch(own) else own.strip("_- ") or plain
    return _Upload(student, file or name, late, entry)


def _plain(name: str, names: set[str]) -> str:
    """Drop the ending and a browser's (2); also -2 if the original is there too."""
    path = PurePosixPath(name)
    found = AGAIN.search(path.stem)
    if found and (found[2] or path.stem[: found.start()] + path.suffix in names):
        return path.stem[: found.start()]
    return path.stem


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb")


def _of_platform(name: str) -> bool:
    return _who(name)[2] is not None


def _who(name: str) -> tuple[str, bool, str | None]:
    """Student, whether late, and the original file name, from a platform's name."""
    if found := MOODLE.fullmatch(name):
        return f"{found['who']}_{found['user']}", False, found["file"] or ""
    if found := CANVAS.fullmatch(name):
        return f"{found['who']}_{found['user']}", bool(found["late"]), found["file"]
    return name, False, None


def _latest(student: str, uploads: list[_Upload], stem: str) -> Submission:
    found = Submission(student)
    notebooks = [u for u in uploads if _is_notebook(u.file)]
    if not notebooks:
        handed_in = _listed(uploads) or "nothing"
        found.problem = f"no notebook was handed in, but {handed_in}"
        return found
    named = [u for u in notebooks if stem in u.file]
    last = max(named or notebooks, key=lambda upload: upload.order)
    found.file, found.read = "/".join(last.entry.parts), last.entry.read
    left_out = [upload for upload in notebooks if upload is not last]
    if left_out:
        some = 0 < len(named) < len(notebooks)
        which = "the last that is named for the lab" if some else "the last"
        found.notes.append(
            f"{len(notebooks)} notebooks were handed in; {which} counts: {last.shown}; "
            f"left out: {_listed(left_out)}"
        )
    if last.late:
        found.late = True
        found.notes.append("handed in late, says the name of the file")
    if last.origin:
        found.submitted = last.origin.submitted
        if others := [s for s in last.origin.students if s != student]:
            found.notes.append(f"{TOGETHER} {', '.join(others)}")
    return found


def _listed(uploads: list[_Upload]) -> str:
    names = ", ".join(upload.shown for upload in uploads)
    return names if len(names) <= 200 else f"{names[:200]} ..."
