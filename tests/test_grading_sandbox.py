"""What the sandbox lets through: system calls, users, functions that are refused."""

import shutil
import struct
import types

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore.grading import refusing, sandbox, seccomp  # noqa: E402
from labcore.runtime import LabError  # noqa: E402

ALLOWED, REFUSED = 0x7FFF0000, 0x00050001
X86, ARM, I386 = 0xC000003E, 0xC00000B7, 0x40000003


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
            met = held == operand if code == 0x15 else held >= operand
            place += then if met else otherwise
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


def test_a_machine_without_a_filter_is_refused():
    with pytest.raises(LabError, match="riscv64"):
        seccomp.program("riscv64")


def test_every_room_has_a_user_of_its_own():
    users = {sandbox._new_user() for _ in range(20)}
    assert len(users) > 15 and min(users) > 1000


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap")
def test_a_room_that_is_not_clean_is_replaced():
    room = sandbox.Room(
        sandbox=True, exercises=3, setup=[], hidden=[], memory=3 * 10**9, seconds=5
    )
    try:
        first, process = room.run(0), room.process
        assert first and room.run(1) and room.process is process
        process.kill()
        assert process.stdout.read() == b""  # now all in it are gone
        assert room.run(2) and room.process.poll() is None
    finally:
        room.close()


@pytest.fixture
def made_up():
    module = types.ModuleType("made_up")
    exec(
        "def area(width, height=2, *, scale=1): return width * height * scale",
        vars(module),
    )
    return module


def test_a_masked_function_tells_of_every_call_by_whatever_name(made_up):
    by_another_name, seen = made_up.area, []
    refusing.mask(("made_up",), seen.append)
    assert by_another_name(3) == 6 and made_up.area(3, 3, scale=2) == 18
    assert seen == ["made_up.area"] * 2


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
