"""What the sandbox lets through: system calls, users, files, memory, functions."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from waiting import until  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import memory, sandbox, seccomp  # noqa: E402
from labcore.staff.grading.covers import covering  # noqa: E402
from labcore.student.running import tried  # noqa: E402

ALLOWED, REFUSED, NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026
X86, ARM, I386 = 0xC000003E, 0xC00000B7, 0x40000003
COMPARED = {
    0x15: int.__eq__,
    0x35: int.__ge__,
    0x45: lambda held, bits: held & bits != 0,
}
needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="no bubblewrap"
)


def verdict(machine, audit, number, first=0):
    """What the kernel would make of a call, by the rules of classic BPF."""
    rules = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    seen, place, held = {0: number, 4: audit, 16: first}, 0, 0
    while True:
        code, then, otherwise, operand = rules[place]
        if code == 0x06:
            return operand
        if code == 0x20:
            held = seen[operand]
        else:
            place += then if COMPARED[code](held, operand) else otherwise
        place += 1


@pytest.mark.parametrize(
    "machine, audit, keyctl, read, prlimit",
    [("x86_64", X86, 250, 0, 302), ("aarch64", ARM, 219, 63, 261)],
)
def test_the_filter_refuses_what_outlives_a_process(
    machine, audit, keyctl, read, prlimit
):
    assert verdict(machine, audit, read) == ALLOWED
    assert verdict(machine, audit, read, 7) == ALLOWED
    for column in (seccomp.REFUSED, seccomp.OWN_ONLY):
        for numbers in column.values():
            number = numbers[machine == "aarch64"]
            assert verdict(machine, audit, number, 7) == REFUSED
    assert verdict(machine, audit, keyctl) == REFUSED
    assert verdict(machine, audit, prlimit, 0) == ALLOWED
    assert verdict(machine, I386, read) == REFUSED
    assert verdict(machine, audit, 0x40000000 + read) == REFUSED


@pytest.mark.parametrize(
    "machine, audit, clone", [("x86_64", X86, 56), ("aarch64", ARM, 220)]
)
def test_a_process_may_have_children_but_no_user_namespace(machine, audit, clone):
    of_a_thread, of_a_fork, new_user = 0x003D0F00, 17, 0x10000000
    assert verdict(machine, audit, clone, of_a_thread) == ALLOWED
    assert verdict(machine, audit, clone, of_a_fork) == ALLOWED
    assert verdict(machine, audit, clone, of_a_fork | new_user) == REFUSED
    assert verdict(machine, audit, 435) == NO_SUCH_CALL


@pytest.mark.parametrize(
    "machine, audit, call", [("x86_64", X86, 41), ("aarch64", ARM, 198)]
)
def test_sockets_are_those_between_processes_of_this_machine_only(machine, audit, call):
    families = {
        "AF_UNIX": 1,
        "AF_INET": 2,
        "AF_INET6": 10,
        "AF_NETLINK": 16,
        "VSOCK": 40,
    }
    allowed = [
        name
        for name, n in families.items()
        if verdict(machine, audit, call, n) == ALLOWED
    ]
    assert allowed == ["AF_UNIX"]


def test_a_machine_without_a_filter_is_refused():
    with pytest.raises(LabError, match="riscv64"):
        seccomp.program("riscv64")


def test_every_room_has_a_user_of_its_own():
    users = {sandbox._new_user() for _ in range(20)}
    assert len(users) > 15 and min(users) > 1000


def layout(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def seen(options, covers, folder, *files):
    """Which of the files bubblewrap would show below a folder that is bound."""
    shown = {}
    for file in files:
        place, state = folder / file, True
        steps = iter(options)
        for step in steps:
            if step == "--tmpfs":
                state = state and not place.is_relative_to(next(steps))
            elif step == "--ro-bind":
                source, target = next(steps), next(steps)
                if place.is_relative_to(target):
                    state = source == target
        shown[file] = state
    return {file for file in files if shown[file]}


FILES = (
    *("lib/torch.py", "app/.git/pack", "app/solutions/a", "app/labcore/checks/b"),
    *("app/.venv/lib/numpy.py", "grades/run.json", "in.zip"),
)


def test_a_course_inside_a_shown_folder_is_covered_but_for_its_environment(tmp_path):
    layout(tmp_path, *FILES)
    app = tmp_path / "app"
    options, covers = covering(
        [tmp_path, app / ".venv"],
        [app, tmp_path / "grades", tmp_path / "in.zip", app / "solutions"],
    )
    assert seen(options, covers, tmp_path, *FILES) == {
        "lib/torch.py",
        "app/.venv/lib/numpy.py",
    }
    assert covers == [app, tmp_path / "grades"]


def test_grades_inside_the_environment_of_a_covered_course_are_covered(tmp_path):
    files = ("app/.venv/lib/numpy.py", "app/.venv/grades/run.json", "app/solutions/a")
    layout(tmp_path, *files)
    app = tmp_path / "app"
    closed = [app, app / ".venv/grades"]
    options, covers = covering([tmp_path, app / ".venv"], closed)
    assert seen(options, covers, tmp_path, *files) == {"app/.venv/lib/numpy.py"}


def test_an_environment_made_in_the_course_folder_itself_still_works(tmp_path):
    files = ("bin/python", "lib/torch.py", "pyvenv.cfg", "solutions/a", ".git/pack")
    layout(tmp_path, *files)
    options, covers = covering([Path("/usr"), tmp_path], [tmp_path])
    assert seen(options, covers, tmp_path, *files) == {*files[:3]}


def test_a_place_is_found_by_whatever_name_the_folder_is_shown(tmp_path):
    layout(tmp_path / "env", "app/solutions/a")
    (tmp_path / "link").symlink_to(tmp_path / "env")
    _, covers = covering([tmp_path / "link"], [tmp_path / "env/app"])
    assert covers == [tmp_path / "link/app"]


def test_what_is_not_shown_or_not_there_needs_no_cover(tmp_path):
    layout(tmp_path, "app/.venv/lib/numpy.py", "app/solutions/a")
    app = tmp_path / "app"
    closed = [app, tmp_path / "in", app / ".venv/none"]
    assert covering([Path("/usr"), app / ".venv"], closed) == ([], [])


@needs_bubblewrap
def test_no_answer_sees_a_course_or_grades_inside_the_python_that_runs_it(monkeypatch):
    if not os.access(sys.prefix, os.W_OK):
        pytest.skip("this Python's folder cannot be written to")
    with tempfile.TemporaryDirectory(dir=sys.prefix) as made:
        folder = Path(made)
        folder.chmod(0o755)
        layout(folder, "app/solutions/a", "app/.git/pack", "grades/run.json")
        layout(folder, "app/.venv/lib/numpy.py", "free/torch.py")
        monkeypatch.setattr(sandbox, "ROOT", folder / "app")
        monkeypatch.setattr(sys, "base_prefix", str(folder / "app/.venv"))
        room = [*map(str, (folder / "grades", folder / "missing"))]
        look = f"cd {folder}; find . -type f; echo x > app/new || true"
        with sandbox._filter() as rules:
            kind, bwrap = sandbox.kind_of_sandbox(), shutil.which("bwrap")
            command = sandbox._command(bwrap, kind, rules, room, {}, ["sh", "-c", look])
            found = subprocess.run(
                command, capture_output=True, text=True, pass_fds=[rules]
            )
    shown = ["./app/.venv/lib/numpy.py", "./free/torch.py"]
    assert sorted(found.stdout.split()) == shown and "Read-only" in found.stderr


HOLDING = """
import mmap, os, sys
shared = mmap.mmap(-1, 40_000_000)
shared.write(bytes(40_000_000))
os.fork()
os.fork()
own = b"x" * 10_000_000
seen = len(shared[:])  # so that each has its pages
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_summed_over_a_process_and_its_children_shared_ones_once():
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for _ in range(4):
            process.stdout.readline()
        members = memory.family(process.pid)
        assert len(members) == 4
        assert memory.hold_more(members, 80_000_000)
        assert not memory.hold_more(members, 140_000_000)
        process.stdin.close()
    assert memory.family(process.pid) == [process.pid]
    assert not memory.hold_more([process.pid], 0)


RIGHT = "def double(x):\n    return 2 * x"
NO_OTHERS = {"others": [], "above": 0}


def job(*answers, checks="toy_checks", name="double", **changed):
    """A job of several answers to one exercise, as `grade` makes it."""
    told = {
        "checks": checks,
        "setup": [],
        "given": [],
        "lend": [],
        "seeds": [3],
        "seconds": 20,
        "wall": 60,
        "limits": {"DATA": 3 * 10**9, "NOFILE": 64},
        "memory": 3 * 10**9,
        "sealed": True,
        "exercises": [
            {"id": "90.1", "name": name, "points": 3, "answer": text} | NO_OTHERS
            for text in answers
        ],
    }
    return sandbox.with_limits(told | changed)


@pytest.fixture
def started():
    """The processes that the jobs of a test have had."""
    return []


@pytest.fixture
def outcomes(started):
    """What is found of a job in a sandbox."""

    def start(told):
        started.append(sandbox.in_sandbox(told, closed=[]))
        return started[-1]

    return lambda told: tried(told, start, sandbox.too_large)


def said(outcome):
    """What an answer said by an error."""
    assert outcome.status == "error", outcome
    return outcome.message.partition("SAID ")[2].partition(" DONE")[0]


def asking(code):
    """An answer that says what this code puts into `found`."""
    return f"{code}\nraise ValueError(f'SAID {{found}} DONE')"


LOCKED = """\
import os
os.makedirs("/tmp/locked/inner")
open("/tmp/locked/inner/note", "w").write("x")
os.chmod("/tmp/locked/inner", 0)
os.chmod("/tmp/locked", 0)
"""
TMP = asking("import os\nfound = sorted(os.listdir('/tmp'))")


def kill(room):
    """From outside, as `stop` does: at once all in it are gone."""
    members = memory.family(room.pid)
    room.kill()
    room.wait()
    assert until(lambda: not any(map(lives, members)))


def lives(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


@needs_bubblewrap
def test_a_room_that_is_not_clean_is_replaced(outcomes, started):
    found = list(outcomes(job(RIGHT, "open('/tmp/note', 'w')", TMP, LOCKED, TMP)))
    assert found[0].status == "passed" and said(found[2]) == said(found[4])
    assert "note" not in said(found[2]) and "locked" not in said(found[4])
    assert len(started) == 2, "only for the folder that could not be taken away"


@needs_bubblewrap
def test_a_room_that_was_killed_is_replaced_and_the_next_exercise_runs(
    outcomes, started
):
    found = outcomes(job(RIGHT, RIGHT, RIGHT))
    assert next(found).status == "passed"
    kill(started[0])
    assert next(found).status == "error"
    assert next(found).status == "passed" and len(started) == 2
    assert list(found) == []


MANY = """\
import subprocess, time
many = [subprocess.Popen(["sleep", "60"]) for _ in range(10)]
time.sleep(30)
"""


@needs_bubblewrap
def test_a_room_with_too_many_processes_is_ended(outcomes, started, monkeypatch):
    found = outcomes(job(RIGHT, MANY, RIGHT))
    monkeypatch.setattr(sandbox, "PROCESSES", 4)
    assert next(found).status == "passed"
    ended = next(found)
    assert (ended.status, ended.points) == ("memory", 0), ended
    assert "or started too many processes" in ended.message
    assert next(found).status == "passed" and len(started) == 2
    assert started[0].poll() is not None


# each says what it found and should not have, or did not find and should have
SEEN = """\
import os
found = []
for folder, _, files in os.walk("/course"):
    found += [os.path.join(folder, file)[8:] for file in files]
wanted = {"toy_checks.py", "labcore/checks/engine/exercise.py", "labcore/nets.py"}
wanted |= {"labcore/student/" + n for n in ("__init__.py", "alone.py", "cells.py")}
wanted |= {"labcore/student/remarks.py"}
found = [place for place in found if place not in wanted and (
    place.startswith(("labcore/checks/lab", "labcore/staff/g", "labcore/student"))
    or not place.startswith("labcore/")
    or place.endswith(".ipynb")
)] + sorted(wanted - set(found))
"""
READABLE = """\
import importlib
found = []
for module in ("labcore.checks.lab02", "labcore.staff.authoring",
               "labcore.staff.grading", "labcore.student.submit",
               "labcore.student.tasks", "solutions", "tests",
               "labcore.checks.engine.trial"):
    try:
        importlib.import_module(module)
        found.append(module)
    except ImportError:
        pass
"""
LABS = """\
import os
found = sorted(n for n in os.listdir("/course/labcore/checks") if n.startswith("lab"))
found += os.listdir("/course/labcore/staff") + sorted(os.listdir("/course"))
"""


@pytest.fixture(scope="module")
def sights():
    """What answers see in the room of the toy's checks."""
    if not shutil.which("bwrap"):
        pytest.skip("no bubblewrap")
    orphans = asking(ZOMBIES)
    told = job(asking(SEEN), asking(READABLE), FAMILY, orphans)
    return list(tried(told, lambda told: sandbox.in_sandbox(told, closed=[])))


def test_of_the_course_only_these_checks_and_what_they_need_are_there(sights):
    assert said(sights[0]) == "[]"


def test_no_other_module_of_the_course_can_be_imported(sights):
    assert said(sights[1]) == "['labcore.checks.engine.trial']"


FAMILY = """\
import os, time
for _ in range(3):
    if os.fork() == 0:
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                time.sleep(0.3)
                os._exit(0)
        os._exit(0)
time.sleep(0.1)
os._exit(0)
"""
ZOMBIES = """\
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    text = open(f"/proc/{pid}/stat").read()
    found.append(text.rpartition(")")[2].split()[0] + pid)
found = " ".join(sorted(found))
"""


def test_no_process_of_an_exercise_is_left_for_the_next_not_even_a_dead_one(sights):
    assert sights[2].status == "error"
    states = said(sights[3]).split()
    assert len(states) == 3 and not any(s.startswith("Z") for s in states), states


@needs_bubblewrap
def test_a_labs_own_checks_are_there_and_those_of_other_labs_are_not(outcomes):
    lab02 = {"checks": "labcore.checks.lab02", "name": "times_smaller"}
    (found,) = outcomes(job(asking(LABS), **lab02))
    shown = sandbox.in_reach("labcore.checks.lab02").values()
    labs = sorted({f.name for f in shown if "lab" in f.name.removeprefix("labcore")})
    assert labs == ["lab02.py"], "it needs no other lab's"
    assert said(found) == "['lab02.py', 'labcore']"


@needs_bubblewrap
def test_all_in_a_room_end_with_it(started):
    started.append(sandbox.in_sandbox(job(RIGHT), closed=[]))
    (room,) = started
    assert until(lambda: len(memory.family(room.pid)) > 2), room.poll()
    kill(room)
    room.stdin.close()
    room.stdout.close()
