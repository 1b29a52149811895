"""Examiners as they are started: alike everywhere, tried again, within their limits."""

import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from toylab import course, handed_in  # noqa: E402

from labcore.staff.grading import batch, examiner, workers  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402


def test_the_instructors_settings_do_not_reach_the_checks(monkeypatch):
    for name in ("TRACK", "DEVICE", "PRECISION", "CHECK_SEED", "CACHE"):
        monkeypatch.setenv(f"LABCORE_{name}", "mine")
    monkeypatch.setenv("LABCORE_THREADS", "2")
    given = {}
    monkeypatch.setattr(workers.subprocess, "Popen", lambda _, **how: given.update(how))
    workers._Examiner()
    told = {n: v for n, v in given["env"].items() if n.startswith("LABCORE_")}
    assert told == {
        "LABCORE_CACHE": "mine",
        "LABCORE_DEVICE": "cpu",
        "LABCORE_PRECISION": "fp32",
        "LABCORE_STRICT": "1",
        "LABCORE_THREADS": "1",
        "LABCORE_TRACK": "fashion",
    }


@pytest.mark.parametrize("cores, free, jobs", [(8, 5e9, 3), (2, 5e9, 2), (8, 1e9, 1)])
def test_jobs_are_as_many_as_cores_and_memory_allow(monkeypatch, cores, free, jobs):
    monkeypatch.setattr(workers, "cpu_count", lambda: cores)
    monkeypatch.setattr(workers, "free_memory", lambda: free)
    assert workers.sensible_jobs() == jobs


DONE, REFUSED = {"results": [1]}, {"refused": "The process does not start."}
BROKEN = {"broken": "the process of the checks ended"}


@pytest.mark.parametrize(
    "told, expected",
    [
        ([DONE], DONE),
        ([REFUSED, DONE], DONE),
        ([None, DONE], DONE),
        ([REFUSED, REFUSED], REFUSED),
        ([None, None], BROKEN),
    ],
)
def test_an_examiner_that_died_or_has_no_room_is_asked_once_more(
    monkeypatch, told, expected
):
    told = iter(told)
    made = types.SimpleNamespace(ask=lambda job: next(told), close=lambda: None)
    monkeypatch.setattr(workers, "_of_this_thread", lambda: made)
    monkeypatch.setattr(workers, "PAUSES", (0, 0))
    workers._stopped.clear()
    found = workers.examined({"checks": "toy_checks", "exercises": ["one"]})
    assert found.items() >= expected.items()


LIMITED = """
import resource
from labcore.staff.grading import examiner
resource.setrlimit(resource.RLIMIT_DATA, (2 * 10**9, 2 * 10**9))
examiner._limit_memory({asked})
print(resource.getrlimit(resource.RLIMIT_DATA))
"""


@pytest.mark.parametrize("asked, most", [(3 * 10**9, 2 * 10**9), (10**9, 10**9)])
def test_the_memory_of_a_check_is_limited_within_what_the_system_allows(asked, most):
    code = LIMITED.format(asked=asked)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout == f"({most}, {most})\n"


def test_a_check_that_cannot_be_limited_leaves_no_second_examiner(
    monkeypatch, tmp_path
):
    def fail(most):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(examiner, "_limit_memory", fail)
    ours, theirs = socket.socketpair()
    room = types.SimpleNamespace(run=lambda number: ours)
    exercise = types.SimpleNamespace(id="90.1", name="double", points=3)
    job, parent = {"timeout": 5, "memory": 10**9}, os.getpid()
    try:
        found = examiner._in_child(room, 0, exercise, {}, job)
    except ValueError:
        assert os.getpid() != parent
        (tmp_path / "second").touch()
        os._exit(0)
    finally:
        ours.close()
        theirs.close()
    assert found["status"] == "error" and not (tmp_path / "second").exists()


def test_answers_are_told_what_to_keep_out_of_sight(tmp_path, monkeypatch):
    save(handed_in(), tmp_path / "in/ann")
    course(tmp_path / "course")
    asked = []
    monkeypatch.setattr(workers, "_asked", lambda job: asked.append(job) or BROKEN)
    monkeypatch.chdir(tmp_path)
    batch.grade_class(
        batch.Options(
            submissions=tmp_path / "course/../in",
            number="90",
            out=Path("grades"),
            root=tmp_path / "course",
            terms=Terms(seeds=(1,), sandbox=False),
            jobs=1,
        )
    )
    places = [str(tmp_path / name) for name in ("course", "in", "grades")]
    assert [*asked[0]["closed"]] == places
