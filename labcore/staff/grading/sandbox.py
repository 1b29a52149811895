"""The sandbox for answers: bubblewrap, no network, no files, with limits."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading.covers import covering
from labcore.staff.grading.memory import family, hold_more
from labcore.staff.grading.seccomp import program
from labcore.staff.grading.version import in_reach
from labcore.student.environment import ROOT
from labcore.student.running import ARGUMENTS, SETTINGS

__all__ = ["in_sandbox", "kind_of_sandbox", "too_large", "with_limits"]

LABCORE = Path(__file__).parents[2]
SCRATCH = Path("/tmp")
COURSE = "/course"  # where labcore is inside, except for MASKED
MASKED = ("checks", "staff", "student")
ALWAYS = ("labcore.student", "labcore.student.alone", "labcore.student.cells")
SYSTEM = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
PROCESSES, SCRATCH_BYTES, SHARED_BYTES = 40, 200_000_000, 200_000_000
INSTALL = (
    "install it with 'apt install bubblewrap' (Debian, Ubuntu) or 'dnf install "
    "bubblewrap' (Fedora), or grade with --no-sandbox if you trust every notebook"
)
KINDS = {
    # as root: no user namespace, but another user, so limits apply
    "user": ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    "namespace": ("--unshare-all", "--unshare-user", "--cap-drop", "ALL"),
}


@functools.cache
def kind_of_sandbox() -> str:
    """The kind of sandbox that works here; LabError with advice if none does."""
    if not (bwrap := shutil.which("bwrap")):
        raise LabError(
            "Answers run in a sandbox, and bubblewrap is not installed here: "
            f"{INSTALL}."
        )
    said = ""
    for kind in KINDS:
        if kind == "user" and os.geteuid() != 0:
            continue
        with _filter() as rules:
            tried = subprocess.run(
                _command(bwrap, kind, rules, (), {}, ["/usr/bin/true"]),
                capture_output=True,
                text=True,
                pass_fds=[rules],
            )
        if tried.returncode == 0:
            return kind
        said = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise LabError(
        f"bubblewrap is installed but not permitted here ({said}): allow unprivileged "
        "user namespaces (on Ubuntu an AppArmor profile for bwrap), or grade with "
        "--no-sandbox if you trust every notebook."
    )


@contextmanager
def _filter() -> Iterator[int]:
    """An open file with the system call filter; bubblewrap gets its number."""
    file = os.memfd_create("filter")
    try:
        os.write(file, program())
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _command(
    bwrap: str,
    kind: str,
    rules: int,
    closed: Sequence[str],
    shown: Mapping[str, Path],
    argv: Sequence[str],
) -> list[str]:
    """bubblewrap around `argv`: system and Python read-only, nothing else reachable.

    Of the checks, and of the students' and instructors' packages, only the modules in
    `shown` exist inside. Closed places stay out of reach wherever they are.
    """
    pythons = sorted({Path(sys.prefix), Path(sys.base_prefix)})  # a parent comes first
    prefixes = [p for p in pythons if not p.is_relative_to("/usr")]
    # folders in the scratch folder that lead to a Python: answers may not write there
    roofs = {_top(p) for p in prefixes if p.is_relative_to(SCRATCH)} - {*prefixes}
    masked = [Path(COURSE, "labcore", n) for n in MASKED if (LABCORE / n).is_dir()]
    out_of_sight = [_of_the_course(), *map(Path, closed)]
    options, covers = covering([Path("/usr"), *pythons], out_of_sight)
    command = [bwrap, *_system(), *_pythons(prefixes, roofs), *_course(masked)]
    command += [*_shown_again(shown), *options]
    for place in (*masked, *covers, *roofs, "/dev", "/"):
        command += ["--remount-ro", str(place)]
    command += [*KINDS[kind], "--die-with-parent", "--new-session", "--chdir", "/tmp"]
    command += ["--seccomp", str(rules), "--clearenv"]
    for name, value in _environment(COURSE, "/tmp").items():
        command += ["--setenv", name, value]
    return [*command, "--", *(_as_nobody() if kind == "user" else []), *argv]


def _system() -> Iterator[str]:
    """bubblewrap's options for the system, and for scratch folders of a fixed size."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            yield from ("--symlink", f"usr/{name}", f"/{name}")
        elif Path("/", name).is_dir():
            yield from ("--ro-bind", f"/{name}", f"/{name}")
    for name in SYSTEM:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    yield from ("--proc", "/proc", "--dev", "/dev")
    for size, place in ((SHARED_BYTES, "/dev/shm"), (SCRATCH_BYTES, "/tmp")):
        yield from ("--size", str(size), "--perms", "1777", "--tmpfs", place)


def _pythons(prefixes: Sequence[Path], roofs: Collection[Path]) -> Iterator[str]:
    """bubblewrap's options for Pythons outside /usr, and for the folders above them."""
    for roof in roofs:
        yield from ("--perms", "0755", "--tmpfs", str(roof))
    parents = {parent for prefix in prefixes for parent in prefix.parents}
    for parent in sorted(parents - {Path("/"), Path("/usr"), SCRATCH, *roofs}):
        yield from ("--perms", "0755", "--dir", str(parent))
    for prefix in prefixes:
        yield from ("--ro-bind", str(prefix), str(prefix))


def _course(masked: Sequence[Path]) -> Iterator[str]:
    """bubblewrap's options for labcore, without what is in the masked folders."""
    yield from ("--perms", "0755", "--dir", COURSE)
    yield from ("--ro-bind", str(LABCORE), f"{COURSE}/labcore")
    for place in masked:
        yield from ("--perms", "0755", "--tmpfs", str(place))


def _shown_again(modules: Mapping[str, Path]) -> Iterator[str]:
    """bubblewrap's options for single files inside masked folders, by module."""
    made = set()
    for file in modules.values():
        inside = file.is_relative_to(LABCORE)
        name = file.relative_to(LABCORE.parent) if inside else Path(file.name)
        if inside and name.parts[1] not in MASKED:
            continue
        target = Path(COURSE, name)
        for folder in reversed(target.parents):
            if len(folder.parts) > 4 and folder not in made:
                made.add(folder)
                yield from ("--perms", "0755", "--dir", str(folder))
        yield from ("--ro-bind", str(file), str(target))


def _top(place: Path) -> Path:
    """The folder directly inside the scratch folder that holds the place, or is it."""
    return SCRATCH / place.relative_to(SCRATCH).parts[0]


def _of_the_course() -> Path:
    """The folder to hide: a clone, with answers even in .git, or else only labcore."""
    return ROOT if (ROOT / "solutions").is_dir() else LABCORE


def _as_nobody() -> list[str]:
    user = _new_user()
    drop = ("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *drop]


def _new_user() -> int:
    """A user that no other sandbox uses: the kernel counts and stores by user."""
    known = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    half = min(int(known[0]) + int(known[2]), 2**31) // 2
    return half + secrets.randbelow(half - 2)  # the last two are reserved


def _environment(course: str, home: str) -> dict[str, str]:
    return SETTINGS | {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "PYTHONPATH": course,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": home,
        "LANG": "C.UTF-8",
        "LABCORE_CACHE": f"{home}/cache",
    }


def in_sandbox(told: dict, closed: Sequence[str]) -> subprocess.Popen:
    """The process that runs a job's answers, with nothing else in reach."""
    kind, bwrap = kind_of_sandbox(), shutil.which("bwrap")
    shown = in_reach(told["checks"])
    for module in ALWAYS:
        shown |= in_reach(module)
    with _filter() as rules:
        return subprocess.Popen(
            _command(bwrap, kind, rules, closed, shown, ARGUMENTS),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            pass_fds=[rules],
            start_new_session=True,
        )


def with_limits(told: dict) -> dict:
    """The job, with the number of processes that its answers may use."""
    others = 0 if _own_user(told["sealed"]) else _threads_of_user()
    return told | {"limits": told["limits"] | {"NPROC": PROCESSES + others}}


def too_large(process: subprocess.Popen, most: int) -> bool:
    """End all processes inside if together they are too many or use too much memory.

    A process's own limits ignore shared memory and other processes' memory. For root
    without a separate user, they also ignore the number of processes.
    """
    members = family(process.pid)
    if len(members) < 2 * PROCESSES and not hold_more(members, most):
        return False
    for member in members:
        with suppress(OSError):
            os.kill(member, signal.SIGKILL)
    return True


def _own_user(sandbox: bool) -> bool:
    """Whether the answers run as a user with no other processes."""
    return sandbox and kind_of_sandbox() == "user"


def _threads_of_user() -> int:
    """Limits by user also count the processes that run already."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                count += len(list((folder / "task").iterdir()))
        except OSError:
            continue
    return count
