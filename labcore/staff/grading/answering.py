"""The answer's process, inside the sandbox.

`python -m labcore.staff.grading.answering` reads the lab's imports once, then forks a
child for each exercise, which runs the student's cell and serves the check's calls over
a socket of its own. Nothing here is trusted by the other end.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import random
import resource
import shutil
import signal
import socket
import sys
import traceback
import types
from collections.abc import Callable, Iterator

SCRATCH = "/tmp"
STANDING = frozenset(os.listdir(SCRATCH))  # a Python that is installed below it
MINE = 3  # the one file that an answer's process has open
PR_SET_DUMPABLE = 4


def main() -> None:
    control, tell = sys.stdin, os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what imports print is no message
    _forbid_debugging()
    job = json.loads(control.readline())
    sealed = job["sealed"]  # whether all processes and files here are ours alone
    scope = _imports(job)
    tell.write('"ready"\n')
    child = 0
    for line in control:
        order = json.loads(line)
        if "why" in order:
            tell.write(json.dumps(_end_of(child)) + "\n")
            continue
        if not _clear(child, sealed):
            break
        if child := os.fork():
            os.close(order["run"])  # so that the child's end is the socket's end
            tell.write('"runs"\n')
            continue
        with contextlib.suppress(BaseException):
            _become_answer(order["run"], job["limits"], scope)
        os._exit(0)
    _clear(child, sealed)


def _forbid_debugging() -> None:
    """No process of the same user may read or change this one's memory."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _imports(job: dict) -> dict:
    """The namespace of a notebook after its setup cells."""
    import torch

    torch.set_num_threads(1)
    for name in job["hidden"]:
        _hide(name)
    notebook = types.ModuleType("__main__")
    sys.modules["__main__"] = notebook
    scope = vars(notebook)
    scope |= {"display": _nothing, "get_ipython": lambda: _Quiet()}
    for source in job["setup"]:
        _run(source, "setup", scope)
    return scope


def _hide(name: str) -> None:
    """A stand-in for a module of checks: whatever is called in it does nothing."""

    def function(wanted: str):
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        scope: dict = {"__name__": name}  # what a call of it is recognised by
        exec(f"def {wanted}(*_args, **_kwargs): pass", scope)
        return scope[wanted]

    made = types.ModuleType(name)
    made.__getattr__ = function
    made.__path__ = []
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(__import__(parent, fromlist=["_"]), last, made)


def _nothing(*_args, **_kwargs) -> None:
    pass


class _Quiet:
    """Takes the calls that IPython's magics become."""

    def __getattr__(self, _name: str):
        return _nothing


def _clear(child: int, sealed: bool) -> bool:
    """Nothing of the exercise before stays: no process, no file; False if some did."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            if sealed:
                os.kill(-1, signal.SIGKILL)
            elif child:
                os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return not sealed or _emptied()


def _emptied() -> bool:
    """Whether the scratch folder, where files may have any mode, is as it was."""
    with contextlib.suppress(Exception):  # it can be nested beyond all limits
        for entry in os.scandir(SCRATCH):
            if entry.name in STANDING:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry, ignore_errors=True)
            else:
                os.unlink(entry)
        with contextlib.suppress(PermissionError):  # it need not be ours
            os.utime(SCRATCH)
            os.chmod(SCRATCH, 0o1777)
        return set(os.listdir(SCRATCH)) == STANDING and not os.listxattr(SCRATCH)
    return False


def _end_of(child: int) -> int:
    """How the last child ended: its exit code, or minus the signal that killed it."""
    try:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    except (ChildProcessError, ValueError):
        return 0


def _become_answer(channel: int, limits: dict, scope: dict) -> None:
    os.setsid()
    for name, most in limits.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.dup2(channel, MINE)
    os.closerange(MINE + 1, 10_000)  # the other exercises' sockets, and the orders
    from labcore.staff.grading.wire import Channel

    Answer(Channel(socket.socket(fileno=MINE)), scope).serve()


class Answer:
    """The student's side of the conversation."""

    def __init__(self, channel, scope: dict) -> None:
        from labcore.staff.grading.values import Values

        self.channel, self.scope = channel, scope
        self.values = Values(of_answer=True, far=self._stand_in)
        self.refused: tuple[str, ...] = ()
        self.asked = False  # whether a call of the check's runs

    def serve(self) -> None:
        head, _ = self.channel.receive()
        self._answer(head, lambda: {"value": self._prepare(head["job"])})
        self._converse()

    def _converse(self) -> object:
        """Serve what the check asks until it answers what was asked of it."""
        while True:
            head, blobs = self.channel.receive()
            content = self.values.unpack(head, blobs)
            if "call" in head:
                self._answer(head, lambda: self._call(head["call"], content))  # noqa: B023
            elif "get" in head:
                owner, name = self.values.near(head["get"]), content[0]
                self._answer(head, lambda: {"value": getattr(owner, name)})  # noqa: B023
            elif "raised" in head:
                raise RuntimeError(
                    f"{head['raised']['type']}: {head['raised']['text']}"
                )
            else:
                return content

    def _prepare(self, job: dict) -> object:
        import torch

        from labcore.staff.grading.refusing import needs, wrap
        from labcore.student.cells import borrowed, plain

        random.seed(0)  # an answer that draws at random draws the same in every run
        torch.manual_seed(0)
        self.refused = tuple(job["refused"])
        before = job.pop("before")
        while before:  # what ran is not kept: it holds the other exercises' answers
            _run(before.pop(0), "given", self.scope)
        if not any(needs(code, self.refused, self.scope) for code in _GIVEN):
            wrap(self.refused, self.scope, self._entered)
        _GIVEN.clear()
        source = plain(job["answer"])
        for statement in borrowed(source, job["others"], self.scope):
            with contextlib.suppress(Exception):  # the answer will miss its name
                _run(statement, "own", self.scope)
        _run(source, "answer", self.scope)
        if job["name"] not in self.scope:
            raise LookupError(f"after this cell there is no {job['name']}")
        return self.scope[job["name"]]

    def _call(self, number: int, content) -> dict:
        (args, kwargs), entered = content[0], []
        with self._watched(entered):
            value = self.values.near(number)(*args, **kwargs)
        return {"value": value, "after": [args, kwargs], "entered": entered[:3]}

    @contextlib.contextmanager
    def _watched(self, entered: list[str]) -> Iterator[None]:
        """Note the calls of labcore's functions that do what the exercise asks for."""

        def profile(frame, event: str, _arg) -> None:
            module = frame.f_globals.get("__name__", "")
            if event != "call" or not str(module).startswith(self.refused):
                return
            if not _on_behalf_of_a_reference(frame):
                entered.append(f"{module}.{frame.f_code.co_name}")

        previous, outer, self.asked = sys.getprofile(), self.asked, True
        if self.refused:
            sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(previous)
            self.asked = outer

    def _entered(self, name: str) -> None:
        """Tell at once of a call that is refused, and end it."""
        if not self.asked:
            return
        message, blobs = self.values.pack(None)
        self.channel.send({"entered": name, **message}, blobs)
        raise PermissionError(f"{name} does what the exercise asks for")

    def _answer(self, head: dict, work: Callable[[], dict]) -> None:
        """Send what `work` gives, or what it raises, with the mark of its question."""
        try:
            content = work()
            message, blobs = self.values.pack(content)
        except BaseException as error:
            sys.setprofile(None)
            message, blobs = self.values.pack(None)
            message["raised"] = _told(error)
        self.channel.send({"to": head["mark"], **message}, blobs)

    def _stand_in(self, number: int, kind: str, _name: str, text: str):
        from labcore.staff.grading.values import Far

        class Handed(Far):
            """A function of the check's, which runs there."""

            def __repr__(self) -> str:
                return text

        def call(handed, *args, **kwargs):
            message, blobs = side.values.pack([list(args), kwargs])
            side.channel.send({"back": number, **message}, blobs)
            return side._converse()

        side = self
        if kind == "callable":
            Handed.__call__ = call
        made = Handed()
        made._far = number
        return made


_SOURCES: dict[str, list[str]] = {}  # the lines of what may be shown, by their file
_GIVEN: list[types.CodeType] = []  # of what ran before the answer's cell
_numbers = itertools.count()


def _on_behalf_of_a_reference(frame) -> bool:
    """Whether a reference that stands in for another exercise asked for this call."""
    while frame := frame.f_back:
        if frame.f_code.co_filename.startswith(("setup ", "given ")):
            return True
    return False


def _run(source: str, kind: str, scope: dict) -> None:
    file = f"{kind} {next(_numbers)}"
    code = compile(source, file, "exec")
    if kind != "given":
        _SOURCES[file] = source.split("\n")
    if kind in ("setup", "given"):
        _GIVEN.append(code)
    exec(code, scope)


def _told(error: BaseException) -> dict:
    """An exception as text, with the frames that are the student's."""
    frames = []
    for frame in traceback.extract_tb(error.__traceback__)[-60:]:
        if lines := _SOURCES.get(frame.filename):
            text = "".join(lines[frame.lineno - 1 : frame.lineno]).strip()
            frames.append([frame.filename, frame.lineno, frame.name, text[:300]])
    try:
        text = str(error)[:2000]
    except BaseException:
        text = ""
    return {"type": type(error).__name__, "text": text, "frames": frames[-30:]}


if __name__ == "__main__":
    main()
