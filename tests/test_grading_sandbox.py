"""What the sandbox lets through: system calls, users, files, memory, functions."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import memory, refusing, sandbox, seccomp  # noqa: E402
from labcore.staff.grading.covers import covering  # noqa: E402

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


def seen(options, folder, *files):
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
    assert seen(options, tmp_path, *FILES) == {
        "lib/torch.py",
        "app/.venv/lib/numpy.py",
    }
    assert covers == [app, tmp_path / "grades"]


def test_grades_inside_the_environment_of_a_covered_course_are_covered(tmp_path):
    files = ("app/.venv/lib/numpy.py", "app/.venv/grades/run.json", "app/solutions/a")
    layout(tmp_path, *files)
    app = tmp_path / "app"
    closed = [app, app / ".venv/grades"]
    options, _ = covering([tmp_path, app / ".venv"], closed)
    assert seen(options, tmp_path, *files) == {"app/.venv/lib/numpy.py"}


def test_an_environment_made_in_the_course_folder_itself_still_works(tmp_path):
    files = ("bin/python", "lib/torch.py", "pyvenv.cfg", "solutions/a", ".git/pack")
    layout(tmp_path, *files)
    options, _ = covering([Path("/usr"), tmp_path], [tmp_path])
    assert seen(options, tmp_path, *files) == {*files[:3]}


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
            command = sandbox._command(bwrap, kind, rules, room, ["sh", "-c", look])
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


@pytest.fixture
def room():
    made = sandbox.Room(
        sandbox=True,
        exercises=3,
        setup=[],
        hidden=[],
        closed=[],
        memory=3 * 10**9,
        seconds=5,
    )
    yield made
    made.close()


@needs_bubblewrap
def test_a_room_that_is_not_clean_is_replaced(room):
    first, process = room.run(0), room.process
    assert first and room.run(1) and room.process is process
    process.kill()
    assert process.stdout.read() == b""  # now all in it are gone
    assert room.run(2) and room.process.poll() is None


@needs_bubblewrap
def test_a_room_with_too_many_processes_is_ended(room, monkeypatch):
    assert room.run(0) and not room.ended_as_too_large()
    monkeypatch.setattr(sandbox, "PROCESSES", 1)
    assert room.ended_as_too_large() and room.process.wait(10) != 0
    monkeypatch.undo()
    assert room.run(1) and room.process.poll() is None


MADE_UP = """
def area(width, height=2, *, scale=1): return width * height * scale
class Box:
    def volume(self): return 8
"""


@pytest.fixture
def made_up(monkeypatch):
    module = types.ModuleType("made_up")
    exec(MADE_UP, vars(module))
    monkeypatch.setitem(sys.modules, "made_up", module)
    return module


def test_a_wrapped_function_tells_of_every_call_by_whatever_name(made_up, monkeypatch):
    another, seen = types.ModuleType("another"), []
    another.surface = made_up.area
    monkeypatch.setitem(sys.modules, "another", another)
    scope = {"size": made_up.area, "three": 3}
    refusing.wrap(("made_up",), scope, seen.append)
    assert scope["size"](scope["three"]) == 6 == another.surface(3)
    assert made_up.area(3, 3, scale=2) == 18
    assert seen == ["made_up.area"] * 3
    assert made_up.Box().volume() == 8 and seen[3:] == ["made_up.volume"]


@pytest.mark.parametrize(
    "source, expected",
    [
        ("def f(): return area(3)", True),
        ("class A:\n    def f(self): return [area(x) for x in (1, 2)]", True),
        ("def f():\n    import made_up\n    return made_up", True),
        ("import made_up\ndef f(model): return model.area()", False),
    ],
)
def test_cells_that_need_a_refused_module_are_known(made_up, source, expected):
    code = compile(source, "cell", "exec")
    assert refusing.needs(code, ("made_up",), {"area": made_up.area}) is expected
