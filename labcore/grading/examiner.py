"""The check's process, clean of students' code: `python -m labcore.grading.examiner`.

One job a line comes in, one result a line goes out. Each exercise is checked in a child
of its own, so that nothing an answer changed reaches the next one.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence

from labcore.grading.proxy import AnswerSide, Refusal
from labcore.grading.sandbox import Room
from labcore.grading.wire import Channel
from labcore.runtime import LabError

__all__ = ["examine", "main"]

GRACE = 30  # seconds beyond the answer's own for the check itself
PR_SET_PDEATHSIG = 1


def main() -> None:
    die_with_parent()
    import torch

    torch.set_num_threads(1)  # a pool of threads would not survive the forks
    for line in sys.stdin:
        try:
            done = {"results": examine(json.loads(line))}
        except LabError as error:
            done = {"refused": str(error)}
        except Exception:  # a mistake of ours: the batch goes on and shows it
            done = {"broken": traceback.format_exc()}
        print(json.dumps(done), flush=True)


def die_with_parent() -> None:
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        pass  # not Linux


def examine(job: Mapping) -> list[dict]:
    """Every exercise of one submission: status, points, of, message."""
    exercises = importlib.import_module(job["checks"]).EXERCISES
    bench = _bench() if any(asked["bench"] for asked in job["exercises"]) else None
    room, results = None, []
    try:
        for number, asked in enumerate(job["exercises"]):
            if room is None:
                room = Room(
                    sandbox=job["sandbox"],
                    exercises=len(job["exercises"]),
                    setup=job["setup"],
                    hidden=job["hidden"],
                    memory=job["memory"],
                    seconds=job["timeout"],
                )
            found = _in_child(room, number, exercises[asked["name"]], asked, job, bench)
            if found.pop("trouble"):
                if found["status"] == "error" and found.pop("ended", False):
                    _explain(found, room.end_of_last())
                room.close()
                room = None
            found.pop("ended", None)
            results.append(found)
    finally:
        if room:
            room.close()
    return results


def _bench():
    from labcore import workbench

    return workbench()


def _in_child(room: Room, number: int, exercise, asked, job, bench) -> dict:
    """The verdict of a forked child, or what became of it."""
    end = room.run(number)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        die_with_parent()
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
        os.close(reading)
        try:
            found = _judge(end, exercise, asked, job, bench)
            os.write(writing, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        text = _read_until(reading, time.monotonic() + job["timeout"] + GRACE)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if text is None:
        said = f"no result within {job['timeout']:g} seconds"
        return _outcome(exercise, "timeout", 0, said, trouble=True)
    if not text:
        said = "the check could not work with what the answer returned"
        return _outcome(exercise, "error", 0, said, trouble=True)
    return json.loads(text)


def _read_until(source: int, deadline: float) -> bytes | None:
    taken = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([source], [], [], left)[0]:
            part = os.read(source, 1 << 16)
            if not part:
                return taken
            taken += part
    return None


def _judge(end, exercise, asked: Mapping, job: Mapping, bench) -> dict:
    """Ask the answer, with every seed; the worst verdict counts."""
    channel = Channel(end, time.monotonic() + job["timeout"])
    side = AnswerSide(channel, job["timeout"])
    told = {
        "name": asked["name"],
        "answer": asked["answer"],
        "before": asked["before"],
        "others": job["others"],
        "refused": list(exercise.refused),
    }
    try:
        answer = side.start(told)
    except Refusal as error:
        status = side.trouble or "error"
        return _outcome(exercise, status, 0, str(error), trouble=True, ended=True)
    except BaseException as error:
        status = side.trouble or "error"
        return _outcome(exercise, status, 0, _cell_fails(error))
    try:
        verdicts = _verdicts(side, exercise, answer, job["seeds"], bench)
        worst = min(verdicts, key=lambda verdict: verdict.points)
    except Exception as error:
        said = f"the check could not work with the answer ({_line(error)})"
        status = side.trouble or "error"
        return _outcome(exercise, status, 0, said, trouble=True)
    status = worst.status
    if side.trouble and status in ("failed", "partial"):
        status = side.trouble
    return {
        "status": status,
        "points": worst.points,
        "of": worst.of,
        "message": worst.message,
        "trouble": side.over,
        "ended": side.over,
    }


def _verdicts(side: AnswerSide, exercise, answer, seeds: Sequence[int], bench) -> list:
    found = []
    for seed in seeds:
        found.append(exercise.run(answer, bench=bench, seed=seed))
        if found[-1].status != "passed":
            break
    return found


def _outcome(exercise, status: str, points: int, said: str, **more) -> dict:
    return {
        "status": status,
        "points": points,
        "of": exercise.points,
        "message": f"[{exercise.id} {exercise.name}] {said}",
        "trouble": False,
        **more,
    }


def _cell_fails(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith("<answer")]
    where = f", from line {own[-1].lineno}: {own[-1].line}" if own else ""
    return f"the cell cannot be run: {_line(error)}{where}"


def _line(error: BaseException) -> str:
    return " ".join("".join(traceback.format_exception_only(error)).split())[:300]


def _explain(found: dict, code: int | None) -> None:
    """Say how the answer's process ended, in the student's terms."""
    if code is None:
        return
    if code == -signal.SIGKILL:
        found["status"] = "memory"
        found["message"] += "; it was killed, as a rule for want of memory"
    elif code < 0:
        name = signal.Signals(-code).name
        found["message"] += f"; it crashed ({name})"
    else:
        found["message"] += f"; it left with exit code {code}"


if __name__ == "__main__":
    main()
