"""The answer as the check sees it: calls go to the other process, data comes back.

Whatever comes is data of our own making; no object of the student's ever does.
"""

from __future__ import annotations

import builtins
import linecache
import secrets
import types
from collections.abc import Mapping

from labcore.checks.engine.watch import report
from labcore.staff.grading.values import Far, Values
from labcore.staff.grading.wire import BadMessage, Channel, Closed, TooLate

__all__ = ["AnswerSide", "Refusal"]

DEEPEST = 20  # calls back and forth within one another


class Refusal(Exception):
    """Why the answer's process could not be asked; its type's name is shown."""

    def __init_subclass__(cls) -> None:
        cls.__module__ = "builtins"  # so that it is shown without ours


class TimeLimit(Refusal):
    pass


class ProcessEnded(Refusal):
    pass


class NoData(Refusal):
    pass


class AnswerSide:
    """The other process: what a check calls stands for the answer there."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self.channel, self.seconds = channel, seconds
        self.values = Values(of_answer=False, far=self._stand_in)
        self.trouble = ""  # timeout, memory or error, where one of these was met
        self.over = False
        self._depth = 0

    def start(self, job: Mapping) -> object:
        """Run the answer's cell there; returns what stands for the answer here."""
        told = {"job": dict(job), "mark": (mark := secrets.token_hex(8))}
        self._guarded(lambda: self.channel.send(told, []))
        return self._wait(mark).get("value")

    def ask(self, what: str, number: int, *content):
        """One request to the answer's side, and the calls that it makes meanwhile."""
        if self._depth >= DEEPEST:
            raise RecursionError("calls back and forth without end")
        self._depth += 1
        try:
            mark = secrets.token_hex(8)  # not to be guessed before it is asked
            self._send({what: number, "mark": mark}, content)
            reply = self._wait(mark)
        finally:
            self._depth -= 1
        if isinstance(names := reply.get("entered"), list):
            for name in names[:3]:
                report(str(name))
        _refill(content[0], reply.get("after"))
        return reply.get("value")

    def _wait(self, mark: str) -> Mapping:
        """The reply to the question of that mark."""
        while True:
            head, content = self._receive(mark)
            if "entered" in head:
                report(str(head["entered"]))
            elif "back" in head:
                self._call_back(head["back"], content)
            elif "raised" in head:
                self._notice(head["raised"])
                raise _rebuilt(head["raised"])
            else:
                return content if isinstance(content, dict) else {}

    def _call_back(self, number: int, content) -> None:
        """The answer calls something that the check handed over."""
        try:
            args, kwargs = content
            result = self.values.near(number)(*args, **kwargs)
        except Refusal:
            raise
        except Exception as error:
            told = {"type": type(error).__name__, "text": str(error)[:2000]}
            self._send({"raised": told}, None)
        else:
            self._send({}, result)

    def _send(self, head: Mapping, content) -> None:
        message, blobs = self.values.pack(content)
        self._guarded(lambda: self.channel.send({**head, **message}, blobs))

    def _receive(self, mark: str) -> tuple[Mapping, object]:
        message, blobs = self._guarded(self.channel.receive)
        try:
            if not isinstance(message, dict):
                raise BadMessage("what came is no message")
            asks = "back" in message or "entered" in message
            if not asks and message.get("to") != mark:
                raise BadMessage("a reply to what was not asked")
            return message, self.values.unpack(message, blobs)
        except BadMessage as error:
            raise self._ended("error", NoData, _not_data(error)) from None

    def _guarded(self, deal):
        if self.over:
            raise ProcessEnded("the answer's process had ended before")
        try:
            return deal()
        except TooLate:
            text = f"no result within {self.seconds:g} seconds"
            raise self._ended("timeout", TimeLimit, text) from None
        except Closed:
            text = "the process of the answer ended (a crash, or an exit)"
            raise self._ended("error", ProcessEnded, text) from None
        except BadMessage as error:
            raise self._ended("error", NoData, _not_data(error)) from None

    def _ended(self, trouble: str, kind: type[Refusal], text: str) -> Refusal:
        self.trouble, self.over = trouble, True
        return kind(text)

    def _notice(self, raised: object) -> None:
        told = raised if isinstance(raised, dict) else {}
        if told.get("type") == "MemoryError" or "allocate memory" in str(
            told.get("text")
        ):
            self.trouble = "memory"

    def _stand_in(self, number: int, kind: str, name: str, text: str) -> Far:
        if type(number) is not int or not isinstance(name, str):
            raise ValueError("no value has this form")
        if kind == "class":
            return _RemoteType("answer", (), {"_far": number, "_side": self})
        made = _RemoteFunction() if kind == "callable" else _Remote()
        vars(made).update(_far=number, _side=self, _text=str(text)[:300])
        return made


class _Remote(Far):
    """A value that stays with the answer: its public attributes can be read."""

    def __getattr__(self, name: str):
        return _attribute(self, name)

    def __deepcopy__(self, _memo):
        return self

    def __repr__(self) -> str:
        return self._text


class _RemoteFunction(_Remote):
    def __call__(self, *args, **kwargs):
        return self._side.ask("call", self._far, [list(args), kwargs])


class _RemoteType(type, Far):
    """A class of the answer's, for checks that ask whether it is one."""

    def __call__(cls, *args, **kwargs):
        return cls._side.ask("call", cls._far, [list(args), kwargs])

    def __getattr__(cls, name: str):
        return _attribute(cls, name)


def _attribute(owner, name: str):
    if name.startswith("_") or name == "lent":  # the mark of our own references
        raise AttributeError(name)
    return owner._side.ask("get", owner._far, name)


def _not_data(error: BadMessage) -> str:
    return f"what came back cannot be read as data ({error})"


def _refill(handed: object, after: object) -> None:
    """Changes in place of the lists and dictionaries that were handed over."""
    if isinstance(handed, list | tuple) and isinstance(after, list | tuple):
        if len(handed) == len(after):
            after = [_refilled(*pair) for pair in zip(handed, after, strict=True)]
        if isinstance(handed, list):
            handed[:] = after
    elif isinstance(handed, dict) and isinstance(after, dict):
        merged = {k: _refilled(handed.get(k), value) for k, value in after.items()}
        handed.clear()
        handed.update(merged)


def _refilled(old: object, new: object) -> object:
    if type(old) is type(new) and isinstance(old, list | tuple | dict):
        _refill(old, new)
        return old
    return new


def _rebuilt(raised: object) -> BaseException:
    """An exception of the same name and text, its frames those of the answer."""
    told = raised if isinstance(raised, dict) else {}
    name, text = str(told.get("type"))[:80], str(told.get("text"))[:2000]
    base = getattr(builtins, name, None)
    if not (isinstance(base, type) and issubclass(base, Exception | SystemExit)):
        base = Exception
    shown = {"__str__": lambda _self: text, "__module__": "builtins"}
    kind = type(name if name.isidentifier() else "Exception", (base,), shown)
    error = kind.__new__(kind)
    if isinstance(error, SyntaxError):
        error.msg = text  # shown instead of str()
    try:
        return error.with_traceback(_frames(told.get("frames") or []))
    except Exception:  # frames that cannot be shown: the message has to do
        return error


def _frames(frames: list) -> types.TracebackType | None:
    """A traceback through these (file, line, function, text of the line)."""
    below = None
    for file, line, function, text in reversed(frames[-30:]):
        if type(line) is not int or not 0 < line < 100_000:
            raise ValueError("no line")
        file, function = f"<{str(file)[:80]}>", str(function)[:80]
        _show_line(file, line, str(text)[:300])
        code = compile("\n" * (line - 1) + "raise Exception", file, "exec")
        try:
            exec(code.replace(co_name=function), {})
        except Exception as error:
            here = error.__traceback__.tb_next
        below = types.TracebackType(below, here.tb_frame, here.tb_lasti, line)
    return below


def _show_line(file: str, line: int, text: str) -> None:
    lines = linecache.cache.get(file, (0, None, [], ""))[2]
    lines = lines + ["\n"] * (line - len(lines))
    lines[line - 1] = text + "\n"
    linecache.cache[file] = (0, None, lines, file)
