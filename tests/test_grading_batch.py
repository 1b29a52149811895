"""Grading a class: killed and resumed, regraded, merged, refused, on a cluster."""

import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from toylab import ALL, course, handed_in  # noqa: E402

from labcore import __main__ as cli  # noqa: E402
from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import api, batch, running, sandbox, version, workers  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.batch import Options  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402
from labcore.staff.grading.store import Store, table_text  # noqa: E402
from labcore.student import running as answers  # noqa: E402
from labcore.student.environment import requirements  # noqa: E402
from labcore.student.running import plainly  # noqa: E402

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


@pytest.fixture(autouse=True)
def versions_are_read_again():
    version.version_of.cache_clear()
    yield
    version.version_of.cache_clear()


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


def judged(job, points=None):
    """What a worker answers, without one: full points, but where others are said."""
    return {
        "results": [
            {
                "status": "passed",
                "points": (points or {}).get(asked["name"], of),
                "of": of,
                "message": "",
            }
            for asked, of in zip(job["told"]["exercises"], ALL.values(), strict=False)
        ],
        "version": version.version_of(job["told"]["checks"]),
    }


@pytest.fixture
def quick(monkeypatch):
    """No answer runs: all are right."""
    monkeypatch.setattr(workers, "examined", judged)


KILLED = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from labcore.staff.grading.batch import Options, grade_class
from labcore.staff.grading.jobs import Terms
grade_class(Options(Path({submissions!r}), "90", Path({out!r}), Path({root!r}),
                    Terms((1,), 60, sandbox=False), jobs=1))
"""


def test_killed_at_any_moment_it_goes_on_with_nothing_lost_or_graded_twice(new, quick):
    options = new
    for number in range(8):
        save(handed_in(why=str(number)), options.submissions / f"more{number}")
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
        if line.startswith("[1 of 10]"):
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    results = options.out / "results"
    before = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 1 <= len(before) < 10
    batch.grade_class(replaced(options, resume=True))
    after = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert len(after) == 10 and before.items() <= after.items()
    assert len(points(options)) == 10 * len(ALL)
    assert logged(options, "grade")[-1]["submissions"] == 10 - len(before)


def test_resumed_it_grades_only_what_was_handed_in_again(options, capsys):
    assert points(options)["bob", "90.1"] == 0
    save(handed_in(), options.submissions / "bob")
    batch.grade_class(replaced(options, resume=True))
    assert points(options)["bob", "90.1"] == 3
    assert "1 of 2 are graded already." in capsys.readouterr().out
    (change,) = logged(options, "graded again")
    assert (change["student"], change["why"]) == ("bob", "the file changed")
    assert (change["before"]["90.1"], change["after"]["90.1"]) == (
        [0, "failed"],
        [3, "passed"],
    )
    assert change["version"].startswith("labcore ")


def test_resumed_it_says_who_gains_before_it_stores(options, monkeypatch, capsys):
    change(options, "bob", "90.1", points=1)
    save(handed_in(why="e"), options.submissions / "bob")
    said = []

    def saving(store, result, save=Store.save):
        said.append(capsys.readouterr().out)
        save(store, result)

    monkeypatch.setattr(Store, "save", saving)
    batch.grade_class(replaced(options, resume=True))
    assert "gains  bob, 90.1: 1 to 3" in said[0]


def test_resumed_after_a_check_changed_it_lowers_nobody(
    options, monkeypatch, capsys, quick
):
    change(options, "bob", "90.1", points=2)  # as the earlier check judged it
    other_data = options.out / "manifest.json"
    other_data.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(version, "DATA", other_data)
    version.version_of.cache_clear()
    save(handed_in(why="c"), options.submissions / "cat")
    batch.grade_class(replaced(options, resume=True))
    assert points(options)["bob", "90.1"] == 2
    assert logged(options, "grade")[-1]["submissions"] == 1
    assert logged(options, "graded again") == []
    said = capsys.readouterr().out
    assert "2 were graded by another version of the checks; --regrade" in said
    for exercise in ALL:
        batch.regrade(options, exercise, lower=False)
    capsys.readouterr()
    batch.grade_class(replaced(options, resume=True))
    assert "another version" not in capsys.readouterr().out


LOADED = """
import importlib, sys
importlib.import_module({!r}).EXERCISES
print(*(name for name in sys.modules if name.split(".")[0] == "labcore"))
"""


@pytest.mark.parametrize("checks", ["labcore.checks.lab00", "labcore.checks.lab09"])
def test_all_that_a_check_loads_decides_its_version(checks):
    code = LOADED.format(checks)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert set(ran.stdout.split()) <= version.in_reach(checks).keys(), ran.stderr


def test_any_file_in_reach_changes_the_version(monkeypatch, tmp_path):
    checks = "labcore.checks.lab03"
    root = tmp_path / "root"
    reached = version.in_reach(checks) | version.in_reach(version.RUNNER)
    for file in [*reached.values(), version.DATA]:
        copy = root / file.relative_to(version.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    files = [root / file.relative_to(version.ROOT) for file in reached.values()]
    monkeypatch.setattr(version, "ROOT", root)
    assert root / "labcore/checks/lab03/rehearsal.py" in files
    found = {version.version_of.__wrapped__(checks)}
    for file in files:
        with file.open("a", encoding="utf-8") as source:
            source.write("\n# changed\n")
        found.add(version.version_of.__wrapped__(checks))
    assert len(found) == 1 + len(files)


def test_a_folder_with_grades_is_not_begun_again(options):
    with pytest.raises(LabError, match="add --resume to continue"):
        batch.grade_class(options)


def test_a_call_that_graded_nothing_spoils_no_folder(new, monkeypatch):
    with pytest.raises(LabError, match="There is no"):
        batch.grade_class(replaced(new, submissions=new.submissions / "nowhere"))
    monkeypatch.setattr(workers, "examined", interrupted)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        batch.grade_class(new)
    assert not (new.out / "grades.csv").exists()
    monkeypatch.setattr(workers, "examined", judged)
    batch.grade_class(new)
    assert len(points(new)) == 2 * len(ALL)


def interrupted(job):
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["read_work", "job_of"])
def test_what_breaks_down_on_one_file_leaves_the_others_their_grades(
    new, step, monkeypatch, quick
):
    once, real = [], getattr(running, step)

    def break_down(what, *others):
        unread = getattr(what, "status", "") == ""
        if what.student == "ann" and unread and len(once) < 2:
            once.append(what)
            raise RecursionError("deep")
        return real(what, *others)

    monkeypatch.setattr(running, step, break_down)
    batch.grade_class(new)
    rows = {
        (r["student"], r["exercise"]): r for r in Store(new.out).table("grades.csv")
    }
    assert rows["ann", "90.1"]["status"] == rows["ann", "Q90.1"]["status"] == "damaged"
    assert rows["bob", "90.1"]["points"] == "3"
    assert "RecursionError: deep" in logged(new, "fault")[0]["text"]
    batch.regrade(new, "90.1", lower=False)
    assert len(logged(new, "fault")) == 2
    batch.grade_class(replaced(new, resume=True))
    assert points(new)["ann", "90.1"] == 3


def test_each_file_is_read_once_and_its_result_kept_before_many_others_are_read(
    new, monkeypatch, quick
):
    stored = {}

    def reading(submission, assignment, read=running.read_work):
        assert submission.student not in stored
        stored[submission.student] = list(Store(new.out).results())
        return read(submission, assignment)

    monkeypatch.setattr(running, "read_work", reading)
    monkeypatch.setattr(running, "AHEAD", 1)
    batch.grade_class(new)
    assert stored == {"ann": [], "bob": ["ann"]}
    save(handed_in(why="d"), new.submissions / "bob")
    stored.clear()
    batch.grade_class(replaced(new, resume=True))
    assert logged(new, "grade")[-1]["submissions"] == 1


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
    assert found["bob", "90.2"] == 0, "only the exercise named is re-graded"
    assert [(e["student"], e["applied"]) for e in logged(options, "regrade")] == [
        ("ann", True),
        ("bob", False),
    ]
    shutil.rmtree(options.submissions / "ann")
    batch.regrade(options, "90.1", lower=True)
    assert points(options)["bob", "90.1"] == 0
    assert "1 with grades have no file in " in capsys.readouterr().out


def test_an_exercise_that_old_grades_lack_is_added(options, capsys, quick):
    store = Store(options.out)
    result = store.results()["bob"]
    del result["rows"][0]
    store.save(result)
    batch.regrade(options, "90.1", lower=False)
    assert "new         bob, 90.1: 0 to 3" in capsys.readouterr().out
    assert points(options)["bob", "90.1"] == 3


class Killed(BaseException):
    """In the place of a signal that nothing can catch."""


@pytest.fixture
def kill(monkeypatch):
    """A function that lets it live for so many moments.

    Before and after each file is put in its place.
    """

    really_replace = Path.replace

    def after(moments):
        left = iter(range(moments))

        def live():
            if next(left, None) is None:
                raise Killed

        def replace(source, target):
            live()
            really_replace(source, target)
            live()

        monkeypatch.setattr(Path, "replace", replace)

    return after


def everything(options):
    tables = ("grades.csv", "summary.csv", "review.csv", "overrides.csv")
    store = Store(options.out)
    pages = [options.out / "feedback" / r["page"] for r in store.table("keys.csv")]
    return [
        *(store.table(name) for name in tables),
        *(page.read_text(encoding="utf-8") for page in pages),
    ]


@pytest.mark.parametrize("resume", [False, True], ids=["merge", "resume"])
def test_killed_while_it_merges_a_later_merge_is_whole(options, resume, tmp_path, kill):
    def merge(folder):
        if resume:
            batch.grade_class(replaced(options_in(folder), resume=True))
        else:
            batch.merge_only(folder / "grades", options.root)

    by_hand(options)
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    shutil.copytree(tmp_path / "own", begun)
    shutil.copytree(tmp_path / "own", whole)
    merge(whole)
    for number in range(100):
        folder = tmp_path / f"killed{number}"
        shutil.copytree(begun, folder)
        kill(number)
        try:
            merge(folder)
        except Killed:
            kill(1000)
            merge(folder)
            assert everything(options_in(folder)) == everything(options_in(whole))
        else:
            break
    assert number >= 2 * 7, "tables, keys and pages are written"


def by_hand(options):
    rows = Store(options.out).table("review.csv")
    rows[0] |= {"points": "1", "comment": "short"}
    text = table_text(list(rows[0]), [list(row.values()) for row in rows])
    (options.out / "review.csv").write_text(text, encoding="utf-8")
    override = "student,exercise,points,reason\nbob,90.1,3,my mistake\n"
    (options.out / "overrides.csv").write_text(override, encoding="utf-8")


def test_killed_while_it_regrades_it_goes_on_with_nothing_lost(
    options, tmp_path, kill, quick
):
    for student in ("ann", "bob"):
        change(options, student, "90.1", points=1)
    shutil.copytree(tmp_path / "own", tmp_path / "begun")
    for number in range(100):
        own = options_in(tmp_path / f"killed{number}")
        shutil.copytree(tmp_path / "begun", own.out.parent)
        kill(number)
        try:
            batch.regrade(own, "90.1", lower=False)
        except Killed:
            kill(1000)
            batch.regrade(own, "90.1", lower=False)
            found = points(own)
            assert found["ann", "90.1"] == found["bob", "90.1"] == 3
            changes = {(e["student"], e["after"]) for e in logged(own, "regrade")}
            assert changes == {("ann", 3), ("bob", 3)}
        else:
            break
    assert number >= 2 * 7, "two results, then tables, keys and pages"


def test_merging_alone_runs_no_answer(options, monkeypatch):
    monkeypatch.setattr(workers, "examined", None)
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


def test_the_process_that_dies_before_an_answer_ran_is_started_once_more(
    new, monkeypatch
):
    started = []

    def die_once(told):
        process = plainly(told)
        if not started:
            process.kill()
        started.append(process)
        return process

    monkeypatch.setattr(workers, "plainly", die_once)
    monkeypatch.setattr(workers, "PAUSES", (0, 0))
    batch.grade_class(new)
    assert points(new)["ann", "90.1"] == 3
    assert len(started) == 3
    assert logged(new, "fault") == []


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
        (["in", "--lab", "99", "--out", "G"], "There is no labs/99_"),
        (["in", "--lab", "02", "--out", "in/G"], "name a folder outside with --out"),
        (["in", "--lab", "02", "--out", "G", "--jobs", "0"], "--jobs is 0"),
        (["in", "--lab", "02", "--out", "G", "--timeout", "-1"], "--timeout is -1"),
        (["in", "--lab", "02", "--out", "G", "--timeout", "nan"], "--timeout is nan"),
        (["in", "--lab", "02", "--out", "G", "--memory", "0.1"], "--memory is 0.1"),
        (["in", "--lab", "02", "--out", "G", "--memory", "inf"], "--memory is a limit"),
        (["--merge", "--out", "G"], "There are no grades in G"),
        (["in", "--lab", "02", "--out", "G", "--regrade", "9.9"], "no exercise '9.9'"),
        (["in", "--lab", "02", "--out", "G", "--lower"], "--lower goes with --regrade"),
        (["--out", "G", "--merge", "--regrade", "2.1"], "--merge and --regrade are"),
        (["--out", "G", "--merge", "--resume"], "--merge and --resume are different"),
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


def test_without_the_tools_of_a_lab_nothing_is_graded(new, monkeypatch):
    checks = read_assignment(new.number, new.root).lab.checks
    monkeypatch.setattr(answers, "TOOLS", {checks: ("a_compiler",)})
    monkeypatch.setattr(workers, "PAUSES", (0,))
    with pytest.raises(LabError, match="need a_compiler: run .* setup chip' first"):
        batch.grade_class(new)
    assert not Store(new.out).run()


def test_the_checks_that_reach_the_chip_need_its_tools():
    labs = [f"labcore.checks.lab{number:02}" for number in range(12)]
    reach = {lab for lab in labs if "labcore.chip.firmware" in version.in_reach(lab)}
    assert reach == set(answers.TOOLS)
    assert {*requirements("chip")} == {*answers.TOOLS["labcore.checks.lab11"]}


def test_where_bubblewrap_is_not_permitted_it_says_so(
    options, monkeypatch, tmp_path, no_memory_of_sandboxes
):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'setting up uid map: denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(fake))
    with pytest.raises(LabError, match="not permitted here .setting up uid map"):
        batch.grade_class(replaced(options, terms=Terms(seeds=(1,))))


def test_what_is_refused_ends_the_batch_only_before_an_answer_was_examined(
    new, monkeypatch
):
    no_room = {"refused": "The process for the answers does not start."}
    told = []

    def second_is_refused(job):
        told.append(job)
        stamp = {"version": version.version_of(job["told"]["checks"])}
        return no_room | stamp if len(told) == 2 else judged(job)

    monkeypatch.setattr(workers, "examined", second_is_refused)
    batch.grade_class(new)
    assert (points(new)["ann", "90.1"], points(new)["bob", "90.1"]) == (3, 0)
    assert logged(new, "fault")[0]["text"] == no_room["refused"]
    del told[1:]  # the next is refused, the first of its batch
    with pytest.raises(LabError, match="does not start"):
        batch.grade_class(replaced(new, resume=True))
    batch.grade_class(replaced(new, resume=True))
    assert points(new)["bob", "90.1"] == 3


class Cluster(Executor):
    """As dask's executor: in order, and `shutdown` takes no other argument."""

    def __init__(self, *answers):
        self.answers, self.shut = iter(answers), []

    def submit(self, examined, job):
        answer, future = next(self.answers), Future()
        answer = answer(job) if callable(answer) else answer
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is None:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(answer)
        return future

    def shutdown(self, wait=True):
        self.shut.append(wait)


@pytest.mark.parametrize("answer", [RuntimeError("KilledWorker"), None])
def test_a_job_that_the_cluster_gave_up_is_a_fault_of_one(new, monkeypatch, answer):
    cluster = Cluster(answer, judged)
    monkeypatch.setattr(workers, "cluster", lambda address: cluster)
    batch.grade_class(replaced(new, dask="tcp://there"))
    assert (points(new)["ann", "90.1"], points(new)["bob", "90.1"]) == (0, 3)
    assert [entry["student"] for entry in logged(new, "fault")] == ["ann"]
    assert cluster.shut == [True]


@pytest.mark.parametrize(
    "answer, error, sentence",
    [
        ({"results": [], "version": "labcore 0"}, LabError, "grades by labcore 0, but"),
        ({"results": []}, LabError, "grades by an older labcore, but"),
        ({"refused": "No bubblewrap", "version": ...}, LabError, "No bubblewrap"),
        (interrupted, KeyboardInterrupt, "Add --resume"),
    ],
)
def test_a_cluster_that_cannot_grade_is_told_in_a_sentence(
    new, monkeypatch, answer, error, sentence
):
    if isinstance(answer, dict) and answer.get("version") is ...:
        answer = answer | {"version": version.version_of("toy_checks")}
    cluster = Cluster(answer)
    monkeypatch.setattr(workers, "cluster", lambda address: cluster)
    with pytest.raises(error, match=sentence):
        batch.grade_class(replaced(new, dask="tcp://there"))
    assert cluster.shut == [False]


def test_a_worker_without_the_course_is_told_before_it_gets_a_job(monkeypatch):
    class Client:
        closed = False

        def __init__(self, address, timeout):
            pass

        def run(self, *_):
            raise PackageNotFoundError("pruning-lab")

        def close(self):
            Client.closed = True

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    with pytest.raises(LabError, match="tcp://there lacks the course: install it"):
        workers.cluster("tcp://there")
    assert Client.closed


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
    monkeypatch.setattr(workers, "WAIT", 1)
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with pytest.raises(LabError, match="No dask scheduler answers"):
        workers.cluster("tcp://127.0.0.1:9")
