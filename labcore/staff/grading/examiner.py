"""The check's process, clean of students' code.

To `python -m labcore.staff.grading.examiner` one job a line comes in, one result a line
goes out. Each exercise is checked in a child of its own, so that nothing an answer
changed reaches the next one.
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

from labcore.runtime import LabError
from labcore.staff.grading.proxy import AnswerSide, Refusal
from labcore.staff.grading.sandbox import Room
from labcore.staff.grading.wire import Channel

__all__ = ["examine", "main"]

GRACE = 30  # seconds beyond the answer's own for the check itself
LOOK_EVERY = 0.2  # seconds from one look at the room's memory to the next
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
    room, results = None, []
    try:
        for number, asked in enumerate(job["exercises"]):
            if room is None:
                room = Room(
                    sandbox=job["sandbox"],
                    exercises=len(job["exercises"]),
                    setup=job["setup"],
                    hidden=job["hidden"],
                    closed=job["closed"],
                    memory=job["memory"],
                    seconds=job["timeout"],
                )
            found = _in_child(room, number, exercises[asked["name"]], asked, job)
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


def _in_child(room: Room, number: int, exercise, asked, job) -> dict:
    """The verdict of a forked child, or what became of it."""
    end, too_large = room.run(number), False
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            die_with_parent()
            os.close(reading)
            _limit_memory(job["memory"])
            found = _judge(end, exercise, asked, job)
            os.write(writing, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + job["timeout"] + GRACE
    try:
        while (text := _read_for(LOOK_EVERY, reading)) is None:
            if time.monotonic() > deadline:
                break
            too_large = too_large or room.ended_as_too_large()
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
    found = json.loads(text)
    if too_large:
        found |= {"trouble": True, "ended": False}
        if found["status"] != "passed":
            found["status"] = "memory"
            most = f"{job['memory'] / 1e9:g} GB"
            found["message"] += f"; it was ended: too many processes, or over {most}"
    return found


def _limit_memory(most: int) -> None:
    """Of the check itself, which works with what an answer sent."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _read_for(seconds: float, source: int) -> bytes | None:
    """All that comes until its end; None where nothing comes in this time."""
    if not select.select([source], [], [], seconds)[0]:
        return None
    with open(source, "rb", closefd=False) as file:
        return file.read()


def _judge(end, exercise, asked: Mapping, job: Mapping) -> dict:
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
        verdicts = _verdicts(exercise, answer, job["seeds"])
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


def _verdicts(exercise, answer, seeds: Sequence[int]) -> list:
    found = []
    for seed in seeds:
        found.append(exercise.run(answer, seed=seed))
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
