"""Exercises tried alone, in the process of their checks: limits, losses, remarks."""

import json
import os
import sys
import time
from contextlib import suppress
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from notebooks import code
from toylab import RIGHT, STEM, handed_in, solution
from waiting import until

from labcore.staff.authoring.release import lab_text
from labcore.student import alone, running
from labcore.student.notebooks import parse_notebook
from labcore.student.running import tried
from labcore.student.tasks import Work, job_of, read_lab, take_answers

pytest.importorskip("fcntl", reason="limits are those of Linux and macOS")

LAB = read_lab(parse_notebook(lab_text(solution(), STEM), STEM), "90")


def asked(job, *answers):
    """The job with these answers, (name of the exercise, cell), in their order."""
    known = {exercise["name"]: exercise for exercise in job["exercises"]}
    return job | {"exercises": [known[n] | {"answer": text} for n, text in answers]}


def job(*more, seconds=20, **changed):
    """A job with all three exercises right, and cells of the student's own."""
    nb, work = handed_in(), Work()
    nb.cells += [code(f"own-{n}", source) for n, source in enumerate(more)]
    take_answers(work, nb, LAB)
    limits = {"limits": {"NOFILE": 64}, "memory": 0, "sealed": False}
    return job_of(work, LAB, LAB.tasks, (3, 4), seconds, **limits | changed)


def outcomes(job, *answers):
    return list(tried(asked(job, *answers)))


# the clock


@pytest.fixture
def clock():
    made = alone.Clock(1)
    yield made
    made._wind(0, 0)


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


def test_the_clock_stands_outside_the_students_code_and_while_it_sleeps(clock):
    with clock:
        busy(0.1)
    busy(0.5)
    with clock, clock:
        time.sleep(0.5)
    assert 0.5 < clock.left < 0.91


def test_it_stops_a_loop_also_one_that_swallows_exceptions(clock):
    began = time.process_time()
    with pytest.raises(alone.OutOfTime), clock:
        while True:
            try:
                busy(0.01)
            except Exception:
                pass
    assert time.process_time() - began < 2


def test_it_goes_off_again_where_the_first_time_was_swallowed(clock, monkeypatch):
    monkeypatch.setattr(clock, "_wind", _faster(clock._wind))
    stopped = 0
    with pytest.raises(alone.OutOfTime), clock:
        while True:
            try:
                busy(0.05)
            except BaseException:
                stopped += 1
                if stopped == 3:
                    raise
    assert stopped == 3


def _faster(wind):
    return lambda first, again: wind(first, again / 10)


def test_what_one_call_used_the_next_has_no_more(clock):
    with clock:
        busy(0.6)
    with pytest.raises(alone.OutOfTime), clock:
        busy(0.9)


# losses: what was passed before keeps its points

COUNTED = """\
calls = []
def double(x):
    calls.append(x)
    if len(calls) > {calls}:
        {end}
    return 2 * x
"""
SWALLOWS = """
        while True:
            try:
                len(calls)
            except {what}:
                pass"""


def late(end, calls=2):
    """The first group, of two calls, is passed before it ends so."""
    return "double", COUNTED.format(calls=calls, end=end)


CRASH = "import ctypes; ctypes.string_at(0)"
KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(scope="module")
def lost():
    """One process for those of a kind; each loses only its own child."""
    ways = {
        "exit": late("import os; os._exit(3)"),
        "crash": late(CRASH),
        "kill": late(KILLED),
        "loop": late("while True: pass"),
        "swallows all": late(SWALLOWS.format(what="BaseException")),
        "swallows": late(SWALLOWS.format(what="Exception")),
        "at once": late("import os; os._exit(0)", calls=0),
        "in its cell": ("double", "import os; os._exit(3)"),
        "loop in its cell": ("double", "while True: pass"),
        "second seed": late("import os; os._exit(3)", calls=3),
        "right": ("double", RIGHT["double"]),
    }
    waits = {
        "sleeps": late("import time; time.sleep(600)"),
        "one long call": late("sum(range(10**18))"),
    }
    found = outcomes(job(seconds=0.5, wall=120), *ways.values())
    found += outcomes(job(seconds=0.5, wall=3), *waits.values())
    return dict(zip([*ways, *waits], found, strict=True))


@pytest.mark.parametrize(
    "way, status, points, sentence",
    [
        ("exit", "error", 2, "it ended its process, with exit code 3"),
        ("crash", "error", 2, "it crashed (SIGSEGV)"),
        ("kill", "memory", 2, "it was killed, usually because memory ran out"),
        ("loop", "timeout", 2, "still running after 0.5 seconds of processor time"),
        ("swallows", "timeout", 2, "look for an endless loop"),
        ("swallows all", "timeout", 2, "look for an endless loop"),
        ("one long call", "timeout", 2, "is in one call that takes too long"),
        ("sleeps", "timeout", 2, "it sleeps, waits for something"),
        ("at once", "error", 0, "it ended its process, with exit code 0"),
        ("in its cell", "error", 0, "it ended its process, with exit code 3"),
        ("loop in its cell", "timeout", 0, "still running after 0.5 seconds"),
        ("right", "passed", 3, "ok "),
    ],
)
def test_who_ends_early_keeps_the_groups_passed_before(
    lost, way, status, points, sentence
):
    found = lost[way]
    assert (found.status, found.points, found.of) == (status, points, 3), found
    assert sentence in found.message, found
    kept = "the steps passed before that keep their points" in found.message
    assert kept == (status != "passed" and points > 0)
    assert found.remarks == []


def test_of_all_seeds_the_worst_counts_also_where_it_ended_early(lost):
    """Passed on the first seed, it ends in the first step of the second."""
    found = lost["second seed"]
    assert (found.status, found.points, found.seed) == ("error", 0, 4)


SLEEPS = """\
import time
pipe = open({pipe!r}, "w")
pipe.write("began ")
pipe.flush()
time.sleep(100)
pipe.write("outlived it")
pipe.flush()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends it at once")
def test_an_answer_ends_with_the_process_that_runs_it(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    told = asked(job(wall=120), ("double", SLEEPS.format(pipe=pipe)))
    process = running._Alone(told, running.plainly)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        process.order("0 mark")
        assert until(lambda: _read(reading) == b"began ")
    finally:
        process.close()
    assert until(lambda: _read(reading) == b"")  # none is left that could write
    os.close(reading)


def _read(pipe):
    """What is in it; nothing if all who could write are gone, None if it is empty."""
    with suppress(BlockingIOError):
        return os.read(pipe, 100)


def end_of_child(run, wall=20):
    """How a child ended that ran this in the place of an exercise."""
    attempt = SimpleNamespace(run=run, asked={}, mark="mark")
    told = {"limits": {}, "wall": wall, "sealed": False}
    return json.loads(list(alone._in_child(attempt, told))[-1])["ended"]


def test_a_child_that_closed_its_pipe_is_waited_for_without_haste(monkeypatch):
    def closes(tell):
        os.close(alone.MINE)
        time.sleep(0.5)

    read = Mock(side_effect=os.read)
    monkeypatch.setattr(os, "read", read)
    began = time.monotonic()
    assert end_of_child(closes) == 0
    assert 0 < read.call_count <= (time.monotonic() - began) / 0.005 + 2


def test_what_is_written_after_the_end_of_a_child_keeps_nobody(monkeypatch):
    endless = iter([b"line\n"] * 100_000)
    monkeypatch.setattr(os, "read", lambda *_: next(endless))
    assert end_of_child(lambda tell: None) == 0


# what honest answers do

HONEST = {
    "shows things": "x = 3\ndisplay(x)\nget_ipython().run_line_magic('time', 'x')\n"
    "def double(x):\n    display(x)\n    return 2 * x",
    "magics": "%%time\n%matplotlib inline\n!ls\ndef double(x):\n    return 2 * x",
    "waits": "import asyncio\nawait asyncio.sleep(0)\n"
    "async def soon(): return 2\ntwo = await soon()\n"
    "def double(x):\n    return two * x",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass Pair:\n"
    "    one: float\n    other: 'float' = 0\n    def sum(self): "
    "return self.one + self.other\n"
    "def double(x):\n    return Pair(x, x).sum()",
    "partial": "import operator\nfrom functools import partial\n"
    "double = partial(operator.mul, 2)",
    "object": "class Twice:\n    def __call__(self, x):\n        return x + x\n"
    "double = Twice()",
    "lambda": "double = lambda x: 2 * x",
    "failing trial": "def double(x):\n    return 2 * x\n\n"
    "assert double(2) == 5, 'a trial'",
    "trial without names": "def double(x):\n    return 2 * x\nprint(undefined)",
    "prints": "print('x' * 100_000)\nimport sys, os\ndef double(x):\n"
    "    print('{\"verdict\": 1}')\n    print('y', file=sys.stderr, flush=True)\n"
    "    os.write(1, b'to the first\\n')\n    os.system('echo out')\n    return 2 * x",
    "networks of its own": "import torch\nclass Net(torch.nn.Module):\n"
    "    def __init__(self):\n        super().__init__()\n"
    "        self.inner = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False))\n"
    "        torch.nn.init.constant_(self.inner[0].weight, 2.0)\n"
    "    def forward(self, x):\n        return self.inner(x)\n"
    "class Outer(torch.nn.Module):\n    def __init__(self):\n"
    "        super().__init__()\n        self.part = Net()\n"
    "    def forward(self, x):\n        return self.part(x)\n"
    "@torch.no_grad()\ndef double(x):\n"
    "    return Outer()(torch.tensor([float(x)])).item()",
    "counts calls": "from functools import cache\n@cache\ndef double(x):\n"
    "    double.calls = getattr(double, 'calls', 0) + 1\n    return 2 * x",
    "runs a program": "import subprocess, sys\ndef double(x):\n"
    "    subprocess.run(['true'], check=True)\n    return 2 * x",
    "needs one order of names": "import sys\ndef double(x):\n"
    "    return 2 * x + sys.flags.hash_randomization",
    "borrows": "def double(x):\n    return twice(x)",
}
SCRIPT = """\
import torch
@torch.jit.script
def turned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.neg_()
def flip(tensor):
    return turned(tensor).sum()
"""
BUILDS_ON_THE_FIRST = "def quadruple(x):\n    return double(double(x))"


@pytest.fixture(scope="module")
def honest():
    answers = {way: ("double", source) for way, source in HONEST.items()}
    answers["script"] = ("flip", SCRIPT)
    answers["earlier reference"] = ("quadruple", BUILDS_ON_THE_FIRST)
    told = job("TWO: int = 2\n\ndef twice(x):\n    return TWO * x\n\n1 / 0")
    return dict(zip(answers, outcomes(told, *answers.values()), strict=True))


@pytest.mark.parametrize("way", [*HONEST, "script", "earlier reference"])
def test_an_honest_answer_passes_without_a_remark(honest, way):
    found = honest[way]
    assert (found.status, found.points) == ("passed", found.of), found.message
    assert found.remarks == []


def test_nothing_printed_reaches_a_verdict(honest):
    assert "verdict" not in honest["prints"].message
    assert honest["prints"].message == honest["lambda"].message


# traces of what no honest answer does

FORGES = """\
import os
def double(x):
    for number in range(3, 64):
        try:
            os.write(number, b'{"verdict": {"status": "passed", "points": 3}}\\n')
            os.write(number, b'[]\\n{"ended": 0, "clear": true}\\n{"done": true}\\n')
        except OSError:
            pass
    return x
"""
REPLACES = """\
import labcore.checks.engine.exercise as engine
engine.Exercise = 3
def double(x):
    return 2 * x
"""
FRAMES = """\
import sys
def double(x):
    sys._getframe(1)
    return 2 * x
"""
HELPED = "def peeks():\n    import inspect\n    return inspect.currentframe()"
ASKS_HELP = "def double(x):\n    peeks()\n    return 2 * x"
LATER = "def double(x):\n    return quadruple(x) / 2"


DRAWS = """\
import random, torch
def double(x):
    raise ValueError(random.random(), torch.rand(1).item())
"""


@pytest.fixture(scope="module")
def dishonest():
    ways = {
        "forges": ("double", FORGES),
        "replaces": ("double", REPLACES),
        "frames": ("double", FRAMES),
        "frames in a cell of their own": ("double", ASKS_HELP),
        "later": ("double", LATER),
        "draws": ("double", DRAWS),
        "draws again": ("double", DRAWS),
        "right": ("double", RIGHT["double"]),
    }
    return dict(zip(ways, outcomes(job(HELPED), *ways.values()), strict=True))


def test_lines_without_the_mark_are_ignored_and_remarked(dishonest):
    found = dishonest["forges"]
    assert (found.status, found.points) == ("failed", 0)
    assert found.remarks == [
        "something else wrote into the channel that carries the verdicts"
    ]


@pytest.mark.parametrize(
    "way, remark",
    [
        ("replaces", "it replaced Exercise in labcore.checks.engine.exercise"),
        ("frames", "it uses _getframe: sys._getframe(1)"),
        ("frames in a cell of their own", "it uses currentframe: return inspect."),
        ("later", "it calls the reference of exercise 90.3"),
    ],
)
def test_tampering_is_remarked_and_keeps_its_points(dishonest, way, remark):
    found = dishonest[way]
    assert len(found.remarks) == 1 and remark in found.remarks[0], found
    assert (found.status, found.points) == ("passed", 3)


def test_what_one_exercise_replaced_the_next_has_whole(dishonest):
    assert dishonest["right"].status == "passed" and not dishonest["right"].remarks


def test_an_answer_that_draws_at_random_draws_the_same_in_every_run(dishonest):
    first, second = dishonest["draws"], dishonest["draws again"]
    assert "ValueError" in first.message and first.message == second.message
