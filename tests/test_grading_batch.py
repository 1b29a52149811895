"""Grading a class: killed and resumed, regraded, merged, refused, on a cluster."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from toylab import ALL, course, handed_in  # noqa: E402

from labcore import __main__ as cli  # noqa: E402
from labcore.grading import api, batch, sandbox  # noqa: E402
from labcore.grading.batch import Options  # noqa: E402
from labcore.grading.jobs import Terms  # noqa: E402
from labcore.grading.store import Store  # noqa: E402
from labcore.runtime import LabError  # noqa: E402

HERE = Path(__file__).parent
WRONG = {"double": "def double(x):\n    return x * x"}


def options_in(folder):
    return Options(
        submissions=folder / "in",
        number="90",
        out=folder / "grades",
        root=folder / "course",
        terms=Terms(seeds=(1,), timeout=60, sandbox=False),
        jobs=1,
    )


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Two students graded, the second with a wrong answer; unprotected, for speed."""
    folder = tmp_path_factory.mktemp("once")
    save(handed_in(), folder / "in/ann")
    save(handed_in(**WRONG), folder / "in/bob")
    course(folder / "course")
    batch.grade_class(options_in(folder))
    return folder


@pytest.fixture
def options(once, tmp_path):
    """The same, in a folder of the test's own."""
    shutil.copytree(once, tmp_path / "own")
    return options_in(tmp_path / "own")


@pytest.fixture
def new(options):
    """Submissions that nobody graded yet."""
    shutil.rmtree(options.out)
    return options


def points(options):
    rows = Store(options.out).table("grades.csv")
    return {
        (r["student"], r["exercise"]): float(r["points"])
        for r in rows
        if r["exercise"] in ALL
    }


def logged(options, what):
    lines = (options.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["what"] == what]


def replaced(options, **changed):
    return Options(**{**vars(options), **changed})


KILLED = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from labcore.grading.batch import Options, grade_class
from labcore.grading.jobs import Terms
grade_class(Options(Path({submissions!r}), "90", Path({out!r}), Path({root!r}),
                    Terms((1,), 60, sandbox=False), jobs=1))
"""


def test_killed_at_any_moment_it_goes_on_with_nothing_lost_or_graded_twice(new):
    options = new
    save(handed_in(why="c"), options.submissions / "cat")
    code = KILLED.format(
        here=str(HERE),
        submissions=str(options.submissions),
        out=str(options.out),
        root=str(options.root),
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    for line in running.stdout:
        if line.startswith("[1 of 3]"):
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    results = options.out / "results"
    before = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 1 <= len(before) < 3
    batch.grade_class(replaced(options, resume=True))
    after = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert len(after) == 3 and before.items() <= after.items()
    assert len(points(options)) == 3 * len(ALL)
    assert logged(options, "grade")[-1]["submissions"] == 3 - len(before)


def test_resumed_it_grades_anew_only_what_was_handed_in_anew(options, capsys):
    assert points(options)["bob", "90.1"] == 0
    save(handed_in(), options.submissions / "bob")
    batch.grade_class(replaced(options, resume=True))
    assert points(options)["bob", "90.1"] == 3
    assert "1 of 2 are graded already." in capsys.readouterr().out


def test_a_folder_with_grades_is_not_begun_again(options):
    with pytest.raises(LabError, match="add --resume to go on"):
        batch.grade_class(options)


def change(options, student, exercise, **changed):
    store = Store(options.out)
    result = store.results()[student]
    row = next(r for r in result["rows"] if r["exercise"] == exercise)
    row |= changed
    store.save(result)


def test_regrading_raises_who_gains_and_lowers_nobody_unless_asked(options, capsys):
    change(options, "ann", "90.1", points=1)  # as an earlier check judged them
    change(options, "bob", "90.1", points=2)
    change(options, "bob", "90.2", points=0)
    batch.regrade(options, "90.1", lower=False)
    said = capsys.readouterr().out
    assert "gains       ann, 90.1: 1 to 3" in said
    assert "would lose  bob, 90.1: 2 to 0" in said
    found = points(options)
    assert (found["ann", "90.1"], found["bob", "90.1"]) == (3, 2)
    assert found["bob", "90.2"] == 0, "only the exercise named is tried anew"
    assert [(e["student"], e["applied"]) for e in logged(options, "regrade")] == [
        ("ann", True),
        ("bob", False),
    ]
    shutil.rmtree(options.submissions / "ann")
    batch.regrade(options, "90.1", lower=True)
    assert points(options)["bob", "90.1"] == 0


def test_merging_alone_runs_no_answer(options, monkeypatch):
    monkeypatch.setattr(batch.workers, "examined", None)
    override = "student,exercise,points,reason\nbob,90.1,3,my mistake\n"
    (options.out / "overrides.csv").write_text(override, encoding="utf-8")
    batch.merge_only(options.out, options.root)
    assert points(options)["bob", "90.1"] == 3


def test_one_notebook_from_python_whose_messages_name_the_students_line(options):
    source = "def double(x):\n    half = x / 0\n    return half"
    save(handed_in(double=source), options.submissions / "ann")
    path = options.submissions / "ann/90_toy.ipynb"
    found = api.grade(path, "90", terms=options.terms, root=options.root)
    assert (found.points, found.of) == (3, 8)
    statuses = [row.status for row in found.rows]
    assert statuses == ["failed", "passed", "passed", "review"]
    assert "the error comes from line 2: half = x / 0" in found.rows[0].message


@pytest.mark.long
def test_the_checks_process_that_dies_is_replaced(new, monkeypatch):
    asked = []

    def die_once(self, job, ask=batch.workers._Examiner.ask):
        asked.append(job)
        if len(asked) == 1:
            self.process.kill()
        return ask(self, job)

    monkeypatch.setattr(batch.workers._Examiner, "ask", die_once)
    batch.grade_class(new)
    assert points(new)["ann", "90.1"] == 3
    assert len(asked) == 3


def run(*words):
    return cli.main(["grade", *map(str, words)])


@pytest.fixture
def here(monkeypatch):
    """The command itself, in this very Python."""
    monkeypatch.setattr(cli, "_enter", lambda args, extra=None: HERE.parent)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--out", "G"], "Name the submissions and the lab"),
        ([".", "--lab", "99", "--out", "G"], "There is no labs/99_"),
        ([".", "--lab", "02", "--out", "G", "--jobs", "0"], "--jobs is 0"),
        ([".", "--lab", "02", "--out", "G", "--timeout", "-1"], "--timeout is -1"),
        ([".", "--lab", "02", "--out", "G", "--timeout", "nan"], "--timeout is nan"),
        ([".", "--lab", "02", "--out", "G", "--memory", "0.1"], "--memory is 0.1"),
        ([".", "--lab", "02", "--out", "G", "--memory", "inf"], "--memory is a limit"),
        (["--merge", "--out", "G"], "There are no grades in G"),
        ([".", "--lab", "02", "--out", "G", "--regrade", "9.9"], "no exercise '9.9'"),
    ],
)
def test_mistakes_are_one_sentence(
    here, capsys, tmp_path, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "kind_of_sandbox", lambda: "namespace")
    assert run(*words) == 1
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


@pytest.fixture
def no_memory_of_sandboxes():
    sandbox.kind_of_sandbox.cache_clear()
    yield
    sandbox.kind_of_sandbox.cache_clear()


def test_without_bubblewrap_it_refuses_in_one_line(
    new, monkeypatch, no_memory_of_sandboxes
):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    terms = Terms(seeds=(1,))
    with pytest.raises(LabError, match="apt install bubblewrap") as refusal:
        batch.grade_class(replaced(new, terms=terms))
    assert "\n" not in str(refusal.value) and "--no-sandbox" in str(refusal.value)
    assert not new.out.exists()


def test_where_bubblewrap_is_not_permitted_it_says_so(
    options, monkeypatch, tmp_path, no_memory_of_sandboxes
):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'setting up uid map: denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(fake))
    with pytest.raises(LabError, match="not permitted here .setting up uid map"):
        batch.grade_class(replaced(options, terms=Terms(seeds=(1,))))


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """A dask scheduler with two workers, each a process."""
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed is not installed (extra `cluster`)"
    )
    monkeypatch.setenv("PYTHONPATH", str(HERE))  # for the toy lab's checks
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        yield cluster


@pytest.mark.long
def test_a_worker_that_dies_costs_a_retry_not_a_grade(new, scheduler):
    options = new
    for name in "cdef":
        save(handed_in(why=name), options.submissions / name)
    killed = []

    def kill_one(result, line=batch._line):
        if not killed:
            worker = next(iter(scheduler.workers.values()))
            killed.append(worker.pid)
            worker.process.process._process.kill()
        return line(result)

    batch._line, kept = kill_one, batch._line
    try:
        batch.grade_class(replaced(options, dask=scheduler.scheduler_address))
    finally:
        batch._line = kept
    found = points(options)
    assert killed and len(found) == 6 * len(ALL)
    assert all(
        earned == ALL[key[1]] for key, earned in found.items() if key[0] != "bob"
    )
    assert found["bob", "90.1"] == 0


def test_no_scheduler_there_is_said(monkeypatch):
    monkeypatch.setattr(batch.workers, "WAIT", 1)
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with pytest.raises(LabError, match="No dask scheduler answers"):
        batch.workers.cluster("tcp://127.0.0.1:9")
