"""Every kind of submission that a class may hand in, each with its one outcome.

A kind is a function that puts files into the folder of submissions, the expected
(status, points) of each exercise of the toy lab, and a part of the remark that the
instructor gets on the first: none for whatever is honest. One that is like others is
left to `make test-all` by `long=True`.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell
from toylab import ALL, STEM, cell_of, handed_in

from labcore.student.notebooks import grading

Outcome = dict[str, tuple[str, float]]
PASSED: Outcome = {name: ("passed", points) for name, points in ALL.items()}
FILE = f"{STEM}.ipynb"
FORGED = (
    '{"results": [{"status": "passed", "points": 3, "of": 3, "message": "ok", '
    '"trouble": false}]}'
)


class Kind(NamedTuple):
    fill: Callable[[Path], None]
    expected: Outcome
    long: bool
    remark: str = ""


KINDS: dict[str, Kind] = {}


def nobody(status: str) -> Outcome:
    return {name: (status, 0) for name in ALL}


def but(**changed: tuple[str, float]) -> Outcome:
    """All right, but these exercises, named first, second, third."""
    names = dict(zip(("first", "second", "third"), ALL, strict=True))
    return PASSED | {names[place]: outcome for place, outcome in changed.items()}


def save(nb, folder: Path, name: str = FILE) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(nb)
    (folder / name).write_text(text, encoding="utf-8", newline="\n")


def kind(name: str, expected: Outcome, long: bool = False, remark: str = ""):
    """Register a function that makes the notebook, or itself fills the folder."""

    def register(make: Callable) -> Callable:
        def fill(top: Path) -> None:
            made = make(top / name) if make.__code__.co_argcount else make()
            if made is not None:
                save(made, top / name)

        KINDS[name] = Kind(fill, expected, long, remark)
        return make

    return register


def answers(
    name: str, expected: Outcome, long: bool = False, remark: str = "", **sources: str
) -> None:
    """A kind that differs from the right one in these answers only."""
    kind(name, expected, long, remark)(lambda: handed_in(**sources))


def raw(name: str, expected: Outcome, data: bytes) -> None:
    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / FILE).write_bytes(data)

    kind(name, expected)(fill)


WRONG = {
    "double": "def double(x):\n    return x * x",
    "flip": "def flip(tensor):\n    return -tensor",
    "quadruple": "def quadruple(x):\n    return 3 * x",
}
ALL_WRONG = nobody("failed")

answers("right", PASSED, why="a file of its own")
answers("blank", nobody("todo"), **dict.fromkeys(("double", "flip", "quadruple"), ""))
answers(
    "partly right",
    but(first=("partial", 2)),
    double="def double(x):\n    return abs(2 * x)",
)
answers("wrong", ALL_WRONG, **WRONG)
answers("one stuck", but(first=("failed", 0)), long=True, double=WRONG["double"])
answers(
    "whole number floats",
    PASSED,
    long=True,
    double="def double(x):\n    return 2.0 * x",
)


@kind("as released", nobody("todo"))
def _():
    from toylab import solution

    from labcore.staff.authoring.release import lab_text
    from labcore.student.notebooks import parse_notebook

    return parse_notebook(lab_text(solution(), STEM), STEM)


@kind("tests edited", ALL_WRONG)
def _():
    nb = handed_in(**WRONG)
    for cell in nb.cells:
        if grading(cell).get("grade"):
            cell.source = "pass"
            cell.metadata.nbgrader.points = 1000
    return nb


@kind("tests deleted", PASSED, long=True)
def _():
    nb = handed_in()
    nb.cells = [
        c for c in nb.cells if c.cell_type != "code" or not grading(c).get("grade")
    ]
    return nb


@kind("tests copied", PASSED, long=True)
def _():
    nb = handed_in()
    nb.cells += [copy.deepcopy(cell_of(nb, "check-double")) for _ in range(2)]
    return nb


@kind("reordered", PASSED, long=True)
def _():
    nb = handed_in()
    nb.cells.reverse()
    return nb


@kind("answer copied, the last is wrong", but(first=("failed", 0)))
def _():
    nb = handed_in()
    last = copy.deepcopy(cell_of(nb, "double"))
    last.source = WRONG["double"]
    nb.cells.append(last)
    return nb


@kind("answer deleted", but(second=("missing", 0)))
def _():
    nb = handed_in()
    nb.cells.remove(cell_of(nb, "flip"))
    return nb


@kind("answer turned into text", but(second=("missing", 0)), long=True)
def _():
    nb = handed_in()
    cell = cell_of(nb, "flip")
    nb.cells[nb.cells.index(cell)] = new_markdown_cell(
        cell.source, metadata=cell.metadata
    )
    return nb


@kind("metadata stripped", PASSED, long=True)
def _():
    nb = handed_in()
    nb.metadata.clear()
    for cell in nb.cells:
        cell.metadata.clear()
    return nb


@kind("metadata and ids stripped", PASSED)
def _():
    nb = handed_in()
    for cell in nb.cells:
        cell.metadata.clear()
        del cell["id"]
    nb.nbformat_minor = 4
    return nb


@kind("nbformat 3", PASSED)
def _():
    return nbformat.convert(handed_in(), 3)


@kind("unknown kernel", PASSED, long=True)
def _():
    nb = handed_in()
    nb.metadata.kernelspec = {
        "name": "my_conda_env",
        "display_name": "x",
        "language": "R",
    }
    return nb


@kind("another release of the lab", PASSED, long=True)
def _():
    nb = handed_in()
    nb.metadata.released = "0123456789ab"
    return nb


@kind("wrong lab", nobody("missing"))
def _():
    nb = handed_in()
    for cell in nb.cells:
        if meta := grading(cell):
            meta["grade_id"] = f"other-{meta['grade_id']}"
            cell.id = f"other-{cell.id}"
    return nb


raw("corrupt", nobody("damaged"), b'{"cells": [{"cell_type": "code", "sour')
raw("empty", nobody("damaged"), b"")
raw("binary", nobody("damaged"), bytes(range(256)) * 50)
raw("huge", nobody("damaged"), b" " * 21_000_000)
raw("nested", nobody("damaged"), b"[" * 200_000)
raw("no notebook but JSON", nobody("damaged"), b'{"nbformat": 4, "cells": [5]}')


answers("half a character in a text", PASSED, why="because \ud800 of it\r\nand so on\r")
answers(
    "half a character in a comment",
    PASSED,
    long=True,
    double="def double(x):  # \udfff\n    return 2 * x",
)
answers(
    "half a character in an error",
    but(first=("failed", 0)),
    long=True,
    double='def double(x):\n    raise ValueError("\\ud800")',
)
raw(
    "millions of parts",
    nobody("damaged"),
    b'{"nbformat": 4, "metadata": {"x": [' + b"{}," * 6_000_000 + b'{}]}, "cells": []}',
)


@kind("outputs in plenty", PASSED, long=True)
def _():
    nb = handed_in()
    cell_of(nb, "double").outputs = [{"data": {"x": [{}] * 100_000}}] * 3
    return nb


@kind("countless cells", nobody("damaged"))
def _():
    nb = handed_in()
    nb.cells += [new_code_cell(f"x = {n}") for n in range(3_000)]
    return nb


@kind("names that are none", nobody("damaged"), long=True)
def _():
    nb = handed_in()
    for cell in nb.cells:
        if meta := grading(cell):
            meta["grade_id"] = [meta["grade_id"]]
    return nb


@kind("a link", nobody("damaged"))
def _(folder):
    folder.mkdir()
    (folder / FILE).symlink_to(folder.parent / "right" / FILE)


@kind("a pipe", nobody("damaged"))
def _(folder):
    folder.mkdir()
    os.mkfifo(folder / FILE)


@kind("no notebook", nobody("missing"))
def _(folder):
    folder.mkdir()
    (folder / "lab.pdf").write_bytes(b"%PDF")


@kind("nothing at all", nobody("missing"))
def _(folder):
    folder.mkdir()


@kind("handed in twice", PASSED)
def _(folder):
    save(handed_in(**WRONG), folder, f"{STEM}.ipynb")
    save(handed_in(**WRONG), folder, f"{STEM}-1.ipynb")
    save(handed_in(), folder, f"{STEM}-2.ipynb")


@kind("odd =cmd|' name\n<b>ü", PASSED)
def _(folder):
    save(handed_in(), folder, f"=1+1 {STEM}\n(ü).ipynb")


@kind("one file", PASSED)
def _():
    return handed_in(why="ours")


@kind("one file, the other student", PASSED)
def _():
    return handed_in(why="ours")


@kind("helper, import and magic in cells of their own", PASSED)
def _():
    nb = handed_in(
        double="%matplotlib inline\ndef double(x):\n    return operator.mul(two(), x)"
    )
    nb.cells.insert(1, new_code_cell("%time\nimport operator"))
    nb.cells.insert(1, new_code_cell("TWO = 2\ndef two():\n    return TWO"))
    nb.cells.insert(1, new_code_cell("x=1\n" * 100_000))
    return nb


answers(
    "one huge cell", but(first=("damaged", 0)), long=True, double="x=1\n" * 3_000_000
)
answers(
    "a no-break space in an f-string",
    PASSED,
    long=True,
    double="def double(x):\n    f\"{'a\u00a0b'}\"\n    return 2 * x",
)


@kind("a control character in an f-string of another cell", PASSED, long=True)
def _():
    nb = handed_in()
    nb.cells.insert(1, new_code_cell("x = f\"{'a\x07b'}\""))
    return nb


@kind("what Python cannot rewrite, in helpers and amendments", PASSED, long=True)
def _():
    nb = handed_in(double="def double(x):\n    return (two() + big - big) * x")
    nb.cells.remove(cell_of(nb, "quadruple"))
    for source in (
        "from functools import cache\n@cache\ndef two():\n"
        "    return len(f\"{'a\u200d'}\")",
        f"odd = 1; big = 0x{'f' * 5000}; 1 / 0",
        "quadruple = lambda x: len(f\"{'\x07\x07'}\") * double(x)",
        "flip.text = f\"{'a\u00a0b'}\"",
    ):
        nb.cells.append(new_code_cell(source))
    return nb


@kind("names that other cells bind in every way", PASSED, long=True)
def _():
    nb = handed_in(
        double="%%time\n%%capture out\ndef double(x):\n"
        "    return mul(TWO, x) + ZERO + trunc(0.5) + NONE[0]",
    )
    for source in (
        "TWO: float = 1.0",
        "if TWO:\n    TWO = 2\nelse:\n    TWO = 3",
        "try:\n    from operator import mul\nexcept ImportError:\n    mul = None",
        "from math import *",
        "ZERO = 3\nZERO -= 3",
        "NONE = {}\nNONE[0] = 0",
        "if unknown:\n    return 3",
    ):
        nb.cells.insert(-1, new_code_cell(source))
    return nb


@kind("answers below their cells", PASSED, long=True)
def _():
    from toylab import stub

    nb = handed_in(
        double=stub("double").replace("# YOUR CODE", "# see below"),
        flip="# see below",
    )
    nb.cells.remove(cell_of(nb, "quadruple"))
    for source in (
        "%%time\ndef double(x):\n    return None\ndouble = lambda x: TWO * x\nTWO = 2",
        "def negated(it):\n    return it.neg_()",
        "from torch import no_grad\n@no_grad()\ndef flip(t):\n    return act(t).sum()",
        "def quadruple(x): return quadruple.times * double(x)\nquadruple.times = 1",
        "quadruple.times = 2\nact = negated",
        "flip.none = nothing",
    ):
        nb.cells.append(new_code_cell(source))
    return nb


@kind("a stub below its cell", but(first=("todo", 0)), long=True)
def _():
    nb = handed_in(double=None, flip="def flip(it):\n    return it.neg_().sum()")
    nb.cells.append(new_code_cell("double = lab90.lend\ndef flip(it):\n    return 5"))
    return nb


@kind("lent", but(first=("lent", 0)))
def _():
    nb = handed_in(double="")
    nb.cells.insert(1, new_code_cell('lab90.lend("double")'))
    return nb


@kind("lent in its cell", but(first=("lent", 0)))
def _():
    return handed_in(double='double = lab90.lend("double")')


@kind("script in the text", PASSED)
def _():
    return handed_in(
        why="<script>alert(1)</script><img src=x onerror=alert(1)>",
        double="def double(x):  # </pre><script>alert(2)</script>\n    return 2 * x",
    )


@kind("another's wrong, with script", but(first=("failed", 0)), long=True)
def _():
    return handed_in(double='def double(x):\n    return "<script>alert(3)</script>"')


answers("syntax error", but(first=("error", 0)), double="def double(x)\n    return x")
answers(
    "no such name",
    but(first=("error", 0)),
    long=True,
    double="def dubble(x):\n    return 2 * x",
)
answers(
    "raises",
    but(first=("failed", 0)),
    long=True,
    double="def double(x):\n    return x + 1 / 0",
)
answers(
    "endless loop",
    but(first=("timeout", 0)),
    long=True,
    double="def double(x):\n    while True:\n        pass",
)
answers(
    "ignores interrupts",
    but(second=("timeout", 0)),
    flip="""\
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass""",
)
answers(
    "late loop keeps what came before",
    but(first=("timeout", 2)),
    long=True,
    double="def double(x):\n    while x < 0:\n        pass\n    return 2 * x",
)
answers(
    "exits the process",
    but(first=("error", 0)),
    double="import os\ndef double(x):\n    os._exit(0)",
)
answers(
    "sys.exit",
    but(first=("failed", 0)),
    long=True,
    double="def double(x):\n    exit(0)",
)
answers(
    "segfault", but(first=("error", 0)), double="import ctypes\nctypes.string_at(0)"
)
answers(
    "fork bomb",
    but(first=("error", 0)),
    double="import os\nwhile True:\n    os.fork()",
)
answers(
    "memory bomb",
    but(first=("memory", 0)),
    double="hoard = []\nwhile True:\n    hoard.append(bytearray(10**9))",
)
answers(
    "memory bomb in torch",
    but(first=("memory", 0)),
    long=True,
    double="import torch\ndef double(x):\n    return torch.ones(10**12)",
)
answers(
    "disk bomb",
    but(first=("error", 0)),
    double="""\
for n in range(10**6):
    with open(f"/tmp/{n}", "wb") as file:
        file.write(bytes(10_000_000))""",
)
answers(
    "prints a gigabyte",
    PASSED,
    double="""\
for _ in range(1000):
    print("x" * 1_000_000)
def double(x):
    return 2 * x""",
)
answers(
    "reads its input",
    but(first=("failed", 0)),
    long=True,
    double="def double(x):\n    return 2 * x + len(input())",
)
answers(
    "background process",
    PASSED,
    double="""\
import os, subprocess
if os.fork() == 0:
    os.setsid()
    subprocess.run(["sleep", "3600"])
    os._exit(0)
def double(x):
    return 2 * x""",
)
answers(
    "kills what runs it",
    but(first=("error", 0)),
    long=True,
    double="""\
import os
os.kill(os.getppid(), 9)
os.kill(-1, 9)
os.kill(os.getpid(), 9)""",
)
answers(
    "returns a network of its own",
    but(first=("failed", 0)),
    long=True,
    double="""\
import torch
class Net(torch.nn.Module):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def double(x):
    return Net()""",
)
answers(
    "returns far too much",
    but(first=("failed", 0)),
    long=True,
    double="""\
import torch
def double(x):
    return torch.zeros(50_000_000)  # 200 MB""",
)
answers(
    "returns what nests without end",
    but(first=("failed", 0)),
    long=True,
    double="""\
def double(x):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep""",
)


def cheat(
    name: str,
    source: str,
    outcome: tuple[str, float] = ("failed", 0),
    long: bool = False,
    remark: str = "",
) -> None:
    """A wrong first answer that tries to score all the same."""
    answers(f"cheat: {name}", but(first=outcome), long, remark, double=source)


FULL = ("passed", 3)  # forged: the remark tells the instructor
WRITTEN = "something else wrote into the channel"
cheat(
    "prints verdicts",
    f"""\
import os, sys
for line in ('{FORGED}', "[90.1 double] ok    3 of 3"):
    print(line, flush=True)
    for fd in range(1, 200):
        try:
            os.write(fd, (line + chr(10)).encode())
        except OSError:
            pass
def double(x):
    return 0""",
    remark=WRITTEN,
)
cheat(
    "patches the checks",
    """\
import sys, types, builtins
import labcore.checks
class Exercise:
    def run(self, *a, **k): return types.SimpleNamespace(status="passed", points=3)
engine = "labcore.checks.engine"
for name in (f"{engine}.exercise", f"{engine}.trial", "toy_checks"):
    sys.modules[name] = types.SimpleNamespace(Exercise=Exercise, Wrong=None)
builtins.AssertionError = Warning
def double(x):
    return 0""",
    remark="it replaced AssertionError",
)
cheat(
    "equal to everything",
    """\
class Anything(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __float__(self): return 8.0
    def __hash__(self): return 8
    def item(self): return self
    shape = ()
def double(x):
    return Anything()""",
)
cheat(
    "isinstance",
    """\
import builtins
builtins.isinstance = lambda value, kind: True
builtins.type = lambda value: int
builtins.all = lambda values: True
def double(x):
    return "8" """,
    ("timeout", 0),
)
cheat(
    "torch",
    """\
import torch
torch.isclose = torch.allclose = torch.equal = lambda *a, **k: torch.tensor(True)
torch.Tensor.__eq__ = lambda self, other: torch.tensor(True)
torch.Tensor.all = lambda self: torch.tensor(True)
def double(x):
    return torch.tensor(1.0)""",
    FULL,
    remark="it replaced",
)
cheat(
    "the channel, with a verdict",
    """\
import json, os, socket, struct
def double(x):
    body = ["dict", ["value", ["dict", ["status", "passed"], ["points", 3]]]]
    message = {"body": body, "objects": [], "gone": [], "settings": [1, True]}
    for more in ({}, {"status": "passed", "points": 3, "of": 3, "message": "ok"}):
        text = json.dumps([message | more, []]).encode()
        frame = struct.pack("!4sIQ", b"lab1", len(text), 0) + text
        for fd in range(3, 200):
            try:
                os.write(fd, frame)
            except OSError:
                pass
    os._exit(0)""",
    ("error", 0),
    remark=WRITTEN,
)
cheat(
    "the channel, with rubbish",
    """\
import os
def double(x):
    for fd in range(3, 200):
        try:
            os.write(fd, os.urandom(1000))
        except OSError:
            pass
    return 0""",
    long=True,
    remark=WRITTEN,
)
cheat(
    "looks for the expected value",
    """\
import gc, sys
def double(x):
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "expected" in thing:
            return thing["expected"]
    frame = sys._getframe()
    while frame:
        for name in ("expected", "spec"):
            if name in frame.f_locals:
                return frame.f_locals[name]
        frame = frame.f_back
    return 0""",
    long=True,
    remark="it uses _getframe",
)
cheat(
    "asks the check's module",
    """\
import toy_checks
def double(x):
    return toy_checks.double(x)""",
    long=True,
)
answers(
    "cheat: switches the profiler off",
    PASSED,
    long=True,
    remark="it uses setprofile",
    double="""\
import sys
from labcore.measure import margin
def double(x):
    sys.setprofile(None)
    try:
        margin(0.5, 100)
    except BaseException:
        pass
    return 2 * x""",
    flip="""\
from labcore.measure import margin
assert margin(0.5, 100) > 0
def flip(tensor):
    return tensor.neg_().sum()""",
)
cheat(
    "takes the reference from another exercise",
    """\
def double(x):
    return quadruple(x) / 2""",
    FULL,
    long=True,
    remark="the reference of exercise 90.3",
)


@kind("reads the solutions", but(first=("error", 0)))
def _(folder):
    root = folder.parent.parent / "course"
    return handed_in(
        double=f"""\
import json
cells = json.load(open({str(root / "solutions" / FILE)!r}))["cells"]
exec("".join(next(c for c in cells if c["id"] == "double")["source"]))"""
    )


@kind("reads another student", but(first=("error", 0)))
def _(folder):
    other = str(folder.parent / "right" / FILE)
    return handed_in(
        double=f"""\
import json
cells = json.load(open({other!r}))["cells"]
exec("".join(next(c for c in cells if c.get("id") == "double")["source"]))"""
    )


answers(
    "finds answers anywhere",
    but(first=("error", 0)),
    long=True,
    double="""\
import os
for folder, _, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        continue
    for file in files:
        if file in ("lab02.py", "90_toy.ipynb", "nbgrader_course.py"):
            def double(x):
                return 2 * x
            break
double""",
)
answers(
    "opens a socket",
    but(first=("error", 0)),
    double="""\
import socket
socket.create_connection(("1.1.1.1", 53), 2)
def double(x):
    return 2 * x""",
)


@kind("writes outside", PASSED)
def _(folder):
    target = str(folder.parent.parent / "written")
    return handed_in(
        double=f"""\
import os
for place in ({target!r}, "/usr/written", "/course/written", "/dev/written"):
    try:
        open(place, "w").write("x")
        raise SystemExit
    except OSError:
        pass
def double(x):
    return 2 * x"""
    )


answers(
    "leaves a file for the next exercise",
    but(second=("error", 0)),
    long=True,
    double="open('/tmp/note', 'w').write('x')\ndef double(x):\n    return 2 * x",
    flip="open('/tmp/note')\n" + "def flip(tensor):\n    return tensor.neg_().sum()",
)
answers(
    "leaves a locked folder for the next exercise",
    but(second=("error", 0)),
    long=True,
    double="""\
import os
os.makedirs("/tmp/locked/inner")
open("/tmp/locked/inner/note", "w").write("x")
os.chmod("/tmp/locked/inner", 0)
os.chmod("/tmp/locked", 0)
def double(x):
    return 2 * x""",
    flip="""\
import os
os.chmod("/tmp/locked", 0o700)
def flip(tensor):
    return tensor.neg_().sum()""",
)
answers(
    "leaves something with the kernel",
    PASSED,
    long=True,
    double="""\
import ctypes, os, platform, resource
libc, here = ctypes.CDLL(None, use_errno=True), platform.machine() == "x86_64"
def refused(name, *numbers):
    ctypes.set_errno(0)
    return getattr(libc, name)(*numbers) < 0 and ctypes.get_errno() == 1
assert refused("syscall", 248 if here else 217, b"user", b"k", b"v", 1, -4)
assert refused("syscall", 250 if here else 219, 0, -4, 1)
assert refused("syscall", 240 if here else 180, b"q", 0o102, 0o600, None)
assert refused("shmget", 4242, 1 << 16, 0o1666)
assert refused("msgget", 4242, 0o1666)
assert refused("semget", 4242, 1, 0o1666)
assert refused("setpriority", 0, os.getppid(), 5)
try:
    resource.prlimit(os.getppid(), resource.RLIMIT_MSGQUEUE, (5, 5))
except PermissionError:
    def double(x):
        return 2 * x""",
)
answers(
    "reads the other exercises' references",
    PASSED,
    long=True,
    remark="it uses _getframe",
    double="""\
import sys
frame = sys._getframe()
while frame:
    assert "tensor.neg" + "_()" not in repr((frame.f_globals, frame.f_locals))
    frame = frame.f_back
def double(x):
    return 2 * x""",
)
answers(
    "memory bomb in shared memory",
    but(first=("memory", 0)),
    long=True,
    double="""\
import mmap
flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
hoard = [mmap.mmap(-1, 100_000_000, flags) for _ in range(60)]
def double(x):
    return 2 * x""",
)
answers(
    "memory bomb in files without a name",
    but(first=("error", 0)),
    long=True,
    double="""\
import os
block = bytes(40_000_000)
for n in range(50):
    os.write(os.memfd_create(str(n)), block)
def double(x):
    return 2 * x""",
)
answers(
    "memory bomb of empty files",
    but(first=("memory", 0)),
    long=True,
    double="""\
import itertools
for number in itertools.count():
    open(f"/tmp/{number}", "w").close()
def double(x):
    return 2 * x""",
)
answers(
    "uses and fills shared memory",
    PASSED,
    long=True,
    double="""\
import multiprocessing.shared_memory as shared, os
block = shared.SharedMemory(create=True, size=1_000_000)
block.buf[:3] = b"abc"
block.close()
block.unlink()
try:
    with open("/dev/shm/fill", "wb") as file:
        for _ in range(30):
            file.write(bytes(10_000_000))
except OSError:
    def double(x):
        return 2 * x""",
    flip="""\
import os
assert not os.listdir("/dev/shm")
def flip(tensor):
    return tensor.neg_().sum()""",
)
answers(
    "opens a socket of another family",
    PASSED,
    double="""\
import socket
socket.socketpair()
for family in (socket.AF_INET, socket.AF_INET6, 40):  # 40 is AF_VSOCK
    try:
        socket.socket(family)
    except PermissionError:
        continue
    raise SystemExit
def double(x):
    return 2 * x""",
)
answers(
    "memory bomb of many processes",
    but(first=("memory", 0)),
    long=True,
    double="""\
import mmap, os, time
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
for _ in range(12):
    if os.fork() == 0:
        hoard = mmap.mmap(-1, 400_000_000, flags)
        time.sleep(60)
time.sleep(6)
def double(x):
    return 2 * x""",
)
answers(
    "opens files without end",
    but(first=("error", 0)),
    long=True,
    double="""\
import os
pipes = [os.pipe() for _ in range(200)]
def double(x):
    return 2 * x""",
)
