"""Jobs at work: alike everywhere, tried again, within cores and memory, stopped."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from toylab import course, handed_in  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import batch, sandbox, workers  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402
from labcore.student import running  # noqa: E402
from labcore.student.running import Outcome  # noqa: E402

JOB = {"told": {"checks": "toy_checks", "sealed": False, "limits": {}}, "closed": ()}


@pytest.fixture(autouse=True)
def nothing_is_stopped():
    workers._stopped.clear()
    yield
    workers._stopped.clear()


@pytest.fixture
def settings_of_mine(monkeypatch):
    for name in ("TRACK", "DEVICE", "PRECISION", "CHECK_SEED", "CACHE", "STRICT"):
        monkeypatch.setenv(f"LABCORE_{name}", "mine")
    monkeypatch.setenv("LABCORE_THREADS", "2")


def settings_in(environment):
    return {n: v for n, v in environment.items() if n.startswith("LABCORE_")}


def test_the_instructors_settings_do_not_reach_the_checks(
    settings_of_mine, monkeypatch
):
    given = {}
    monkeypatch.setattr(running.subprocess, "Popen", lambda _, **how: given.update(how))
    running.plainly({})
    told = settings_in(given["env"])
    assert told == {
        "LABCORE_CACHE": "mine",
        "LABCORE_DEVICE": "cpu",
        "LABCORE_PRECISION": "fp32",
        "LABCORE_STRICT": "1",
        "LABCORE_THREADS": "1",
    }


def test_nor_anything_of_theirs_the_sandbox(settings_of_mine, monkeypatch):
    monkeypatch.setenv("SECRET", "mine")
    told = sandbox._environment("/course", "/tmp")
    assert "SECRET" not in told and "mine" not in settings_in(told).values()
    assert settings_in(told) == {
        "LABCORE_CACHE": "/tmp/cache",
        "LABCORE_DEVICE": "cpu",
        "LABCORE_PRECISION": "fp32",
        "LABCORE_STRICT": "1",
        "LABCORE_THREADS": "1",
    }


@pytest.mark.parametrize("cores, free, jobs", [(8, 5e9, 3), (2, 5e9, 2), (8, 1e9, 1)])
def test_jobs_are_as_many_as_cores_and_memory_allow(monkeypatch, cores, free, jobs):
    monkeypatch.setattr(workers, "cpu_count", lambda: cores)
    monkeypatch.setattr(workers, "free_memory", lambda: free)
    assert workers.sensible_jobs() == jobs


PASSED = Outcome("passed", 3, 3)
NO_START = LabError("The process does not start.")


@pytest.mark.parametrize(
    "told, expected, tries",
    [
        ([PASSED], "results", 1),
        ([NO_START, PASSED], "results", 2),
        ([NO_START, NO_START], "refused", 2),
        ([ZeroDivisionError("ours")], "broken", 1),
    ],
)
def test_a_process_that_does_not_start_is_tried_once_more(
    monkeypatch, told, expected, tries
):
    asked = []

    def tried(job, start, too_large):
        asked.append(job)
        answer = told[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        yield answer

    monkeypatch.setattr(workers, "tried", tried)
    monkeypatch.setattr(workers, "PAUSES", (0, 0))
    found = workers.examined(JOB)
    assert len(asked) == tries and expected in found
    if expected == "results":
        (result,) = found["results"]
        assert (result["status"], result["points"]) == ("passed", 3)
    assert found.get("refused", str(NO_START)) == str(NO_START)
    assert "ZeroDivisionError: ours" in found.get("broken", "ZeroDivisionError: ours")


SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_stop_ends_what_runs_and_lets_nothing_new_start(monkeypatch):
    started = []

    def start(told):
        started.append(subprocess.Popen(SLEEPS))
        return started[-1]

    monkeypatch.setattr(workers, "plainly", start)
    begin = workers._starting(JOB)
    running_one = begin(JOB["told"])
    assert running_one.poll() is None
    workers.stop()
    assert running_one.wait(10) != 0
    with pytest.raises(LabError, match="Stopped"):
        begin(JOB["told"])
    began = time.monotonic()
    assert "broken" in workers.examined(JOB), "so it waits for --resume"
    assert len(started) == 1 and time.monotonic() - began < 14


LIMITED = """
import resource
from labcore.student import alone
resource.setrlimit(resource.RLIMIT_DATA, (2 * 10**9, 2 * 10**9))
alone._limit({{"DATA": {asked}}})
print(resource.getrlimit(resource.RLIMIT_DATA))
"""


@pytest.mark.parametrize("asked, most", [(3 * 10**9, 2 * 10**9), (10**9, 10**9)])
def test_the_memory_of_a_check_is_limited_within_what_the_system_allows(asked, most):
    code = LIMITED.format(asked=asked)
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )
    assert said.stdout == f"({most}, {most})\n", said.stderr


def test_answers_are_told_what_to_keep_out_of_sight(tmp_path, monkeypatch):
    save(handed_in(), tmp_path / "in/ann")
    course(tmp_path / "course")
    asked = []
    monkeypatch.setattr(
        workers, "_found", lambda job: asked.append(job) or {"broken": "not run"}
    )
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
    assert not any(place in str(asked[0]["told"]) for place in places)


def test_they_reach_the_sandbox_as_what_is_closed(monkeypatch):
    monkeypatch.setattr(
        workers, "in_sandbox", lambda told, closed: subprocess.Popen(closed)
    )
    told = JOB["told"] | {"sealed": True}
    process = workers._starting({"told": told, "closed": ["true", "/grades"]})(told)
    assert process.args == ["true", "/grades"] and process.wait() == 0
