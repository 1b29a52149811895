"""The sheet for the talks: changes of a student's own code, and what they lead to."""

import shutil
from dataclasses import replace

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from toylab import course, handed_in  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import batch  # noqa: E402
from labcore.staff.grading.batch import Options  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402
from labcore.staff.grading.talk import Order, changes_of, telling  # noqa: E402
from labcore.staff.grading.talkpage import GENERAL, sheet  # noqa: E402
from labcore.staff.mutants import mutants  # noqa: E402
from labcore.student.running import Outcome  # noqa: E402

COUNTING = """\
def double(x):
    left, twice = 2, 0
    while left != 0:
        twice += x
        left -= 1
    return twice"""
HOSTILE = "def double(x):\n    return 2 * x  # <script>alert(1)</script>\u202e"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Ann loops, Bob wrote nothing that can be changed, Eve tries her luck."""
    folder = tmp_path_factory.mktemp("talk")
    why = "It took 35.9 seconds <b>here</b>. So it doubles."
    save(handed_in(double=COUNTING, why=why), folder / "in/ann")
    nothing = dict.fromkeys(("double", "flip", "quadruple", "why"))
    save(handed_in(**nothing), folder / "in/bob")
    save(handed_in(double=HOSTILE), folder / "in/<i>eve")
    course(folder / "course")
    batch.grade_class(options_in(folder))
    return folder


def options_in(folder):
    return Options(
        submissions=folder / "in",
        number="90",
        out=folder / "grades",
        root=folder / "course",
        terms=Terms(seeds=(1,), timeout=60, sandbox=False, talk=True),
        jobs=1,
    )


def of_student(folder, student):
    return Store(folder / "grades").results()[student]["talk"]["changes"]


def page(folder):
    return (folder / "grades/talk.html").read_text(encoding="utf-8")


def test_a_change_is_of_the_students_own_line_and_says_what_the_check_says(once):
    found = of_student(once, "ann")
    assert 0 < len(found) <= 3
    lines = COUNTING.splitlines()
    for change in found:
        if change["name"] == "double":
            assert change["before"] == lines[change["line"] - 1].strip()
        assert "FAILED at step" in change["message"]


def test_a_change_that_loops_is_left_out(once):
    assert any("left += 1" in m.after for m in mutants(COUNTING))
    assert "limit" not in page(once)


def test_points_are_those_of_a_grading_without_it(once):
    grades = {s: r["rows"] for s, r in Store(once / "grades").results().items()}
    assert [row["status"] for row in grades["ann"]] == ["passed"] * 3
    assert [row["status"] for row in grades["bob"]] == ["todo"] * 3


def test_nothing_to_change_gets_the_general_questions(once):
    (part,) = (part for part in page(once).split("<section>") if ">bob<" in part)
    assert of_student(once, "bob") == []
    assert all(question in part for question in GENERAL)


def test_what_students_write_is_shown_and_never_run(once):
    text = page(once)
    assert "It took 35.9 seconds &lt;b&gt;here&lt;/b&gt;." in text
    assert "&lt;i&gt;eve" in text
    assert "<script" not in text and "<b>here" not in text
    assert "default-src 'none'" in text


def test_who_was_graded_without_it_is_run_again_on_resume(once, tmp_path, capsys):
    shutil.copytree(once, tmp_path / "own")
    options = replace(options_in(tmp_path / "own"), resume=True)
    store = Store(options.out)
    ann = store.results()["ann"]
    del ann["talk"]
    store.save(ann)
    batch.grade_class(options)
    assert "2 of 3 are graded already" in capsys.readouterr().out
    assert store.results()["ann"]["talk"]["changes"]


def test_it_goes_only_with_answers_that_are_run(once):
    from labcore import __main__ as cli

    args = ["grade", "--out", str(once / "grades"), "--merge", "--talk"]
    assert cli.main(args) == 1
    with pytest.raises(LabError, match="runs answers again"):
        parsed = cli._parser().parse_args(args)
        from labcore.staff.grading.command import run

        run(parsed, once / "course")


def said(exercise, step, cause=""):
    likely = f"\n  likely    {cause}" if cause else ""
    message = f"[{exercise} f] FAILED at step {step} of 9: s{likely}"
    return {"id": exercise, "line": step, "message": message}


def test_the_changes_kept_differ_most():
    crash = said("1.1", 9, "the error comes from line 3: x")
    one, same, other = said("1.1", 1, "a"), said("1.1", 1, "a"), said("1.1", 2)
    elsewhere = said("1.2", 1)
    assert telling([crash, one, same, other, elsewhere]) == [one, elsewhere, other]
    assert telling([crash]) == [crash]


def test_changes_run_only_of_answers_that_earned_something():
    asked = {"id": "1.1", "name": "f", "points": 1, "answer": "def f():\n    return 1"}
    exercises = [asked, asked | {"answer": "f = 2"}]
    exercises += changes_of(exercises, "ann")
    order = Order(exercises)
    numbers = []
    for number in order:
        numbers.append(number)
        status = "failed" if number == 1 else "passed"
        order.outcomes.append(Outcome(status))
    assert numbers[:2] == [0, 1]
    assert {exercises[number]["of"] for number in numbers[2:]} <= {0}


def test_an_answer_that_is_endless_or_no_python_has_no_changes():
    asked = {"id": "1.1", "name": "f", "points": 1}
    for source in ("def f(", "x = 1\n" * 5_000, "x = " + "-" * 5_000 + "1"):
        assert changes_of([asked | {"answer": source}], "ann") == []


def test_without_the_talk_there_is_no_sheet():
    assert sheet("90", {"ann": {"texts": []}}) == ""


def test_the_same_code_is_changed_in_other_ways_for_another_student():
    asked = {"id": "1.1", "name": "f", "points": 1, "answer": COUNTING}
    first, second = (
        [change["after"] for change in changes_of([asked], student)]
        for student in ("ann", "bob")
    )
    assert first != second
