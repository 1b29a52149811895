"""Run single exercises, for submit and grade: `python -m labcore.student.alone`.

The job arrives as a line of JSON. After that each line is an order: the number of an
exercise, and a mark. The lab's setup cells run once. Then each exercise runs in a child
process of its own: given cells, references of the other exercises, statements of the
student's that the answer needs, the answer, and its check. Results are sent step by
step as lines of JSON, through a pipe that printed output cannot reach.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import ctypes
import importlib
import inspect
import itertools
import json
import linecache
import os
import random
import select
import shutil
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict

from labcore.checks.engine import watch
from labcore.student.cells import borrowed, newer_syntax, plain
from labcore.student.remarks import Untouched, reading_frames

__all__ = ["main"]

SCRATCH = ("/tmp", "/dev/shm")  # where an answer in a sandbox may write
STANDING = {
    folder: frozenset(os.listdir(folder)) for folder in SCRATCH if os.path.isdir(folder)
}
MOST_FILES = 20_000  # files take system memory that is counted for no process
LOOK = 0.05  # seconds between looks at a child
PIPE = 1 << 20  # bytes: the most that a pipe holds
RINGS = 3  # a `try` may swallow the signal that stops the student's code, but not often
FORKS = hasattr(os, "fork")
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
MINE = 3  # the only file that a child has open
NO_MEMORY = ("MemoryError", "allocate memory")


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)  # before anything is printed
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    _hush()
    _guard()
    job = json.loads(orders.readline())
    scope = _set_up(job["setup"])
    channel.write('"ready"\n')
    for order in orders:
        number, mark = order.split()
        attempt = Attempt(job, int(number), mark, scope)
        for said in _in_child(attempt, job) if FORKS else [*_here(attempt)]:
            channel.write(said + "\n")
        if not FORKS:
            return  # the next exercise gets a process of its own


def _hush() -> None:
    """Close the keyboard input, and discard everything that is printed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


def _guard() -> None:
    """Keep other processes out of our memory, and make us the parent of orphans."""
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    """Set it for this process; nothing happens where the system is not Linux."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _set_up(cells: list[str]) -> dict:
    """The namespace after the notebook's setup cells."""
    import torch

    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    notebook = types.ModuleType("__main__")
    sys.modules["__main__"] = notebook
    scope = vars(notebook)
    scope |= {"display": _nothing, "get_ipython": lambda: _Quiet()}
    for source in cells:
        run_cell(source, "setup", scope)
    return scope


def _nothing(*_args, **_kwargs) -> None:
    pass


class _Quiet:
    """Absorbs the calls that IPython turns magics into."""

    def __getattr__(self, _name: str):
        return _nothing


_numbers = itertools.count(1)


def run_cell(source: str, kind: str, scope: dict) -> None:
    """Run a cell, with `await` allowed at its top; messages can quote its lines."""
    file = f"<{kind} {next(_numbers)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, file, "exec", flags, dont_inherit=True)
    done = eval(code, scope)
    if inspect.iscoroutine(done):
        asyncio.run(done)


# one exercise


class OutOfTime(BaseException):
    """The student's code has used up its processor time."""


class Clock:
    """Processor time of the student's code; the clock stops while a check works."""

    def __init__(self, seconds: float, late: Callable = lambda: None) -> None:
        self.seconds = self.left = seconds
        self.started, self.depth = 0.0, 0
        self.late, self.rung = late, 0
        self.timer = getattr(signal, "ITIMER_PROF", None)
        if self.timer is not None:
            signal.signal(signal.SIGPROF, self._stop)

    def renew(self) -> None:
        self.left = self.seconds

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth == 1:
            self.started = time.process_time()
            self._wind(max(self.left, 0.01), 1)

    def __exit__(self, *_) -> None:
        self.depth -= 1
        if self.depth == 0:
            self._wind(0, 0)
            self.left -= time.process_time() - self.started

    def _wind(self, first: float, again: float) -> None:
        if self.timer is not None:
            signal.setitimer(self.timer, first, again)

    def _stop(self, *_) -> None:
        if self.depth:
            self.late()
            self.rung += 1
            if self.rung > RINGS:
                os._exit(1)
            raise OutOfTime


class Attempt:
    """One exercise of a job; everything that it reports carries its mark."""

    def __init__(self, job: dict, number: int, mark: str, scope: dict) -> None:
        self.job, self.mark, self.scope = job, mark, scope
        self.asked = job["exercises"][number]
        if "of" in self.asked:  # a change of another answer, with the same other cells
            self.asked = job["exercises"][self.asked["of"]] | self.asked
        self.exercise = _exercise(job["checks"], self.asked["name"])
        self.ran: list[str] = []  # the student's code that ran

    def run(self, tell: Callable[[str], object]) -> None:
        def say(**facts) -> None:
            tell(json.dumps(facts | {"mark": self.mark}))

        seconds = self.asked.get("seconds", self.job["seconds"])
        clock = Clock(seconds, lambda: say(late=True))
        untouched = Untouched()
        try:
            answer = self._answer(clock)
            self._check(answer, clock, say)
        except OutOfTime:
            pass
        except (Exception, SystemExit) as error:
            say(verdict=self._error(self._why(error)))
        say(remarks=[*untouched.changed(), *watch.remarks, *self._looks()], done=True)

    def _why(self, error: BaseException) -> str:
        said = _where(error)
        newer = newer_syntax(self.ran[-1]) if self.ran else ""
        if isinstance(error, SyntaxError) and newer:
            here = ".".join(map(str, sys.version_info[:2]))
            said += f"; it uses {newer}, and this is Python {here}"
        return said

    def _looks(self) -> Iterator[str]:
        """Remarks on the code of the answer and of the cells that it uses."""
        return reading_frames(self.ran)

    def _answer(self, clock: Clock):
        """The object that the exercise asks for, as the student's cells define it."""
        import torch

        random.seed(0)  # a random answer gives the same result in every run
        torch.manual_seed(0)
        scope, name = self.scope, self.asked["name"]
        fixed = self._stand_ins()
        scope |= fixed
        source = plain(self.asked["answer"])
        with clock:
            for statement in self._borrowed(source, fixed):
                self.ran.append(statement)
                with contextlib.suppress(Exception):  # a name will be missing later
                    run_cell(statement, "own", scope)
            self.ran.append(source)
            try:
                run_cell(source, "answer", scope)
            except Exception:
                if name not in scope:  # otherwise only a test below it failed
                    raise
        if name not in scope:
            raise LookupError(f"after this cell there is no {name}")
        return scope[name]

    def _stand_ins(self) -> dict:
        """What the given cells define, and the references of the other exercises.

        They run in a separate namespace, so that the student's own names do not affect
        them.
        """
        before = dict(self.scope)
        apart = dict(before)
        for source in self.job["given"]:
            run_cell(source, "given", apart)
        made = {name: v for name, v in apart.items() if v is not before.get(name)}
        for module, function in self.job["lend"]:
            made[function] = watch.lent(_exercise(module, function))
        made.pop("__builtins__", None)
        made.pop(self.asked["name"], None)
        return made

    def _borrowed(self, source: str, fixed: dict) -> list[str]:
        """Statements of the student's other cells that the answer needs."""
        others, above = self.asked["others"], self.asked["above"]
        return borrowed(source, others, self.scope, fixed=fixed, above=above)

    def _check(self, answer, clock: Clock, say: Callable) -> None:
        watch.clock = clock
        for seed in self.job["seeds"]:
            clock.renew()  # in a notebook a check has one seed
            say(seed=seed)
            verdict = asdict(
                self.exercise.run(answer, seed=seed, note=lambda n: say(earned=n))
            )
            wrong = verdict["status"] in ("failed", "partial")
            if wrong and _is_of_memory(verdict["message"]):
                verdict["status"] = "memory"
            say(verdict=verdict)
            if verdict["status"] != "passed":
                return

    def _error(self, where: str) -> dict:
        exercise = self.exercise
        message = f"[{exercise.id} {exercise.name}] its cell cannot run: {where}"
        return {
            "status": "memory" if _is_of_memory(message) else "error",
            "points": 0,
            "of": exercise.points,
            "message": message,
        }


def _is_of_memory(message: str) -> bool:
    return any(words in message for words in NO_MEMORY)


def _exercise(module: str, name: str):
    return importlib.import_module(module).EXERCISES[name]


def _where(error: BaseException) -> str:
    """What was raised, and which line of the answer raised it."""
    text = traceback.format_exception_only(error)[-1].strip()[:300]
    if isinstance(error, SyntaxError) and error.text:
        return f"{text}, in line {error.lineno}: {error.text.strip()}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith("<answer")]
    return f"{text}, from line {own[-1].lineno}: {own[-1].line}" if own else text


# its process


def _here(attempt: Attempt) -> Iterator[str]:
    """Where processes cannot fork: run it here, for one exercise only."""
    said: list[str] = []
    attempt.run(said.append)
    yield from said
    yield json.dumps({"ended": 0, "mark": attempt.mark})


def _in_child(attempt: Attempt, job: dict) -> Iterator[str]:
    """Yield the lines that a forked child reports, and then how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _become_answer(job["limits"], writing)
            attempt.run(lambda line: os.write(MINE, b"\n" + line.encode() + b"\n"))
        os._exit(0)
    os.close(writing)
    try:
        deadline = time.monotonic() + attempt.asked.get("wall", job["wall"])
        code, rest = None, b""
        while code is None and time.monotonic() < deadline:
            if select.select([reading], [], [], LOOK)[0]:
                part = os.read(reading, 1 << 16)
                rest += part
                if not part:  # it closed its end, and may go on
                    time.sleep(LOOK / 10)
            *lines, rest = rest.split(b"\n")
            yield from _sound(lines)
            if job["sealed"] and _crowded():
                yield json.dumps({"crowded": True, "mark": attempt.mark})
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
        if code is not None:  # what it left in the pipe, not what others go on writing
            os.set_blocking(reading, False)
            with contextlib.suppress(BlockingIOError):
                rest += os.read(reading, PIPE)
            yield from _sound(rest.split(b"\n"))
    finally:
        os.close(reading)
        clear = _clear(child, job["sealed"])
    yield json.dumps({"ended": code, "clear": clear, "mark": attempt.mark})


def _sound(lines: list[bytes]) -> Iterator[str]:
    for line in lines:
        if line:
            yield line[:100_000].decode(errors="replace").replace("\r", " ")


def _become_answer(limits: dict, writing: int) -> None:
    """Set the limits, and close everything except the pipe for the results."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # else it outlives a Ctrl-C in `submit`
    os.dup2(writing, MINE)
    os.closerange(MINE + 1, 10_000)
    _limit(limits)


def _limit(limits: dict) -> None:
    import resource

    for name, most in limits.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _clear(child: int, sealed: bool) -> bool:
    """Remove the exercise's processes and files; returns whether that succeeded."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            if sealed:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0 if sealed else os.WNOHANG)[0]:
            pass
    return not sealed or all(_emptied(*place) for place in STANDING.items())


def _emptied(folder: str, standing: frozenset[str]) -> bool:
    """Empty a scratch folder, whatever the files' modes; returns whether it worked."""
    with contextlib.suppress(Exception):  # nesting can be extremely deep
        for entry in os.scandir(folder):
            if entry.name in standing:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry, ignore_errors=True)
            else:
                os.unlink(entry)
        with contextlib.suppress(PermissionError):  # may belong to someone else
            os.utime(folder)
            os.chmod(folder, 0o1777)
        return set(os.listdir(folder)) == standing and not os.listxattr(folder)
    return False


def _crowded() -> bool:
    """Whether there are many more files than any answer needs."""
    return any(
        facts.f_files - facts.f_ffree > MOST_FILES
        for facts in map(os.statvfs, STANDING)
    )


if __name__ == "__main__":
    main()
