"""Where answers run: bubblewrap without network, without files, with limits."""

from __future__ import annotations

import functools
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from labcore.runtime import LabError
from labcore.staff.grading.covers import covering
from labcore.staff.grading.memory import family, hold_more
from labcore.staff.grading.seccomp import program
from labcore.student.environment import ROOT

__all__ = ["Room", "kind_of_sandbox"]

LABCORE = Path(__file__).parents[2]
SCRATCH = Path("/tmp")
COURSE = "/course"  # where labcore stands inside, without what follows
MASKED = ("checks", "staff", "student")
INSIDE = (
    *("student/__init__", "student/cells", "staff/__init__", "staff/grading/__init__"),
    *("staff/grading/answering", "staff/grading/refusing", "staff/grading/shapes"),
    *("staff/grading/values", "staff/grading/wire"),
)
SYSTEM = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
PROCESSES, FILES, FILE_BYTES, SCRATCH_BYTES = 40, 64, 50_000_000, 200_000_000
START_SECONDS, CLEAR_SECONDS = 180, 10
INSTALL = (
    "install it with 'apt install bubblewrap' (Debian, Ubuntu) or 'dnf install "
    "bubblewrap' (Fedora), or grade with --no-sandbox if you trust every notebook"
)
KINDS = {
    # as root: no user namespace, but another user, so that limits count
    "user": ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    "namespace": ("--unshare-all", "--unshare-user", "--cap-drop", "ALL"),
}


@functools.cache
def kind_of_sandbox() -> str:
    """Which kind works here; LabError with what to do where none does."""
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
                _command(bwrap, kind, rules, (), ["/usr/bin/true"]),
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
    """A file with the filter of system calls, which bubblewrap reads by its number."""
    file = os.memfd_create("filter")
    try:
        os.write(file, program())
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _command(
    bwrap: str, kind: str, rules: int, closed: Sequence[str], argv: Sequence[str]
) -> list[str]:
    """bubblewrap around `argv`: system and Python read-only, nothing else in reach.

    What is closed stays out of reach wherever it lies.
    """
    pythons = sorted({Path(sys.prefix), Path(sys.base_prefix)})  # a parent comes first
    prefixes = [p for p in pythons if not p.is_relative_to("/usr")]
    command = [bwrap, "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            command += ["--symlink", f"usr/{name}", f"/{name}"]
        elif Path("/", name).is_dir():
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in SYSTEM:
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(SCRATCH_BYTES), "--perms", "1777", "--tmpfs", "/tmp"]
    # folders of the scratch folder that lead to a Python: no answer may write there
    roofs = {_top(p) for p in prefixes if p.is_relative_to(SCRATCH)} - {*prefixes}
    for roof in roofs:
        command += ["--perms", "0755", "--tmpfs", str(roof)]
    parents = {parent for prefix in prefixes for parent in prefix.parents}
    for parent in sorted(parents - {Path("/"), Path("/usr"), SCRATCH, *roofs}):
        command += ["--perms", "0755", "--dir", str(parent)]
    for prefix in prefixes:
        command += ["--ro-bind", str(prefix), str(prefix)]
    command += ["--perms", "0755", "--dir", COURSE]
    command += ["--ro-bind", str(LABCORE), f"{COURSE}/labcore"]
    masked = [Path(COURSE, "labcore", n) for n in MASKED if (LABCORE / n).is_dir()]
    for place in masked:
        command += ["--perms", "0755", "--tmpfs", str(place)]
    command += ["--perms", "0755", "--dir", f"{COURSE}/labcore/staff/grading"]
    for name in INSIDE:
        file = f"{name}.py"
        command += ["--ro-bind", str(LABCORE / file), f"{COURSE}/labcore/{file}"]
    out_of_sight = [_of_the_course(), *map(Path, closed)]
    options, covers = covering([Path("/usr"), *pythons], out_of_sight)
    command += options
    for place in (*masked, *covers, *roofs, "/dev", "/"):
        command += ["--remount-ro", str(place)]
    command += [*KINDS[kind], "--die-with-parent", "--new-session", "--chdir", "/tmp"]
    command += ["--seccomp", str(rules), "--clearenv"]
    for name, value in _environment(f"{COURSE}", "/tmp").items():
        command += ["--setenv", name, value]
    return [*command, "--", *(_as_nobody() if kind == "user" else []), *argv]


def _top(place: Path) -> Path:
    """The folder directly in the scratch folder that holds the place, or is it."""
    return SCRATCH / place.relative_to(SCRATCH).parts[0]


def _of_the_course() -> Path:
    """A clone has answers, also in .git; installed elsewhere, only labcore is ours."""
    return ROOT if (ROOT / "solutions").is_dir() else LABCORE


def _as_nobody() -> list[str]:
    user = _new_user()
    drop = ("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *drop]


def _new_user() -> int:
    """One that no other room has: the kernel counts and keeps things by user."""
    known = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    half = min(int(known[0]) + int(known[2]), 2**31) // 2
    return half + secrets.randbelow(half - 2)  # the last are nobody and an error


def _environment(course: str, home: str) -> dict[str, str]:
    return {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "PYTHONPATH": course,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HOME": home,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "LABCORE_STRICT": "1",
        "LABCORE_DEVICE": "cpu",
        "LABCORE_PRECISION": "fp32",
        "LABCORE_THREADS": "1",
        "LABCORE_CACHE": f"{home}/cache",
    }


class Room:
    """A running answer process for one submission, with a socket for each exercise."""

    def __init__(
        self,
        *,
        sandbox: bool,
        exercises: int,
        setup: Sequence[str],
        hidden: Sequence[str],
        closed: Sequence[str],
        memory: int,
        seconds: float,
    ) -> None:
        self._sandbox, self._exercises = sandbox, exercises
        self._closed, self._memory = closed, memory
        self._job = {
            "setup": list(setup),
            "hidden": list(hidden),
            "sealed": sandbox,
            "limits": {
                "DATA": memory,
                "FSIZE": FILE_BYTES,
                "NOFILE": FILES,
                "CPU": int(10 * seconds) + 60,
                "CORE": 0,
            },
        }
        self._open()

    def _open(self) -> None:
        pairs = [socket.socketpair() for _ in range(self._exercises)]
        self.channels = [ours for ours, _ in pairs]
        self._numbers = [end.fileno() for _, end in pairs]
        self.process = self._started(self._numbers)
        for _, end in pairs:
            end.close()
        others = 0 if _own_user(self._sandbox) else _threads_of_user()
        limits = self._job["limits"] | {"NPROC": PROCESSES + others}
        self._order(self._job | {"limits": limits})
        if self._told(START_SECONDS) != "ready":
            self.close()
            raise LabError(
                "The process for the answers does not start: run 'labcore doctor', "
                "and see whether the lab's setup cells run."
            )

    def _started(self, sockets: Sequence[int]) -> subprocess.Popen:
        argv = [sys.executable, "-m", "labcore.staff.grading.answering"]
        start = functools.partial(
            subprocess.Popen,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # what a dead process did not take is not kept
            start_new_session=True,
        )
        if not self._sandbox:
            home = os.environ.get("HOME", ".")
            environment = _environment(str(LABCORE.parent), home)
            return start(argv, env=environment, pass_fds=sockets)
        kind, bwrap = kind_of_sandbox(), shutil.which("bwrap")
        with _filter() as rules:
            command = _command(bwrap, kind, rules, self._closed, argv)
            return start(command, env={}, pass_fds=[*sockets, rules])

    def run(self, number: int) -> socket.socket:
        """Start the process of this exercise; returns the socket to speak with it.

        Where the one before left something that cannot be removed, in a new room.
        """
        self._order({"run": self._numbers[number]})
        if self._told(CLEAR_SECONDS) != "runs":
            self.close()
            self._open()
            self._order({"run": self._numbers[number]})
            self._told(CLEAR_SECONDS)
        return self.channels[number]

    def end_of_last(self) -> int | None:
        """Exit code of the process last started, minus its signal; None if unknown."""
        self._order({"why": True})
        found = self._told(2)
        return found if type(found) is int else None

    def ended_as_too_large(self) -> bool:
        """End all in it if they are too many or hold more memory than the room may.

        A process's limits do not count what it shares, nor what others hold, nor, for
        root without another user, how many they are.
        """
        members = family(self.process.pid)
        if len(members) < 2 * PROCESSES and not hold_more(members, self._memory):
            return False
        for member in members:
            with suppress(OSError):
                os.kill(member, signal.SIGKILL)
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        for channel in self.channels:
            channel.close()

    def _order(self, order: dict) -> None:
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
        except OSError:
            pass  # it is dead: waiting for its answer says so

    def _told(self, seconds: float) -> object:
        """The next line of the process that starts the answers; None if none comes."""
        line, deadline = b"", time.monotonic() + seconds
        source = self.process.stdout.fileno()
        while not line.endswith(b"\n") and len(line) < 1000:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                return None
            if not (part := os.read(source, 1)):
                return None
            line += part
        try:
            return json.loads(line)
        except ValueError:
            return None


def _own_user(sandbox: bool) -> bool:
    """Whether the answers' user has no other processes."""
    return sandbox and kind_of_sandbox() == "user"


def _threads_of_user() -> int:
    """Where processes are counted by user, those that run already count too."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                count += len(list((folder / "task").iterdir()))
        except OSError:
            continue
    return count
