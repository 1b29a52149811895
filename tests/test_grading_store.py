"""The folder of grades: tables, reviews, overrides; one grader at a time."""

import csv
import errno
import json
from unittest.mock import Mock

import pytest

fcntl = pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading.merge import merge  # noqa: E402
from labcore.staff.grading.review import Reviews  # noqa: E402
from labcore.staff.grading.store import Store, read_table, table_text  # noqa: E402
from labcore.student.tasks import Question  # noqa: E402

WHY = Question("Q1.1", "why?", "why", 4, "YOUR ANSWER HERE", "a point each", "because")


NO_LOCKS = OSError(errno.ENOLCK, "No locks available")


def row(exercise, points, of, status, **more):
    named = {"exercise": exercise, "points": points, "of": of, "status": status}
    return named | {"title": "t", "message": "m", "source": "s"} | more


def result(student, points=2, text="It doubles.", **more):
    status = "review" if text else "todo"
    return {
        "student": student,
        "digest": student,
        "version": "v",
        "notes": [],
        "rows": [row("1.1", points, 3, "partial")],
        "texts": [row("Q1.1", None if text else 0, 4, status, source=text)],
    } | more


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "grades")
    store.begin({"lab": "01", "seeds": [1]})
    for student in ("ann", "bob"):
        store.save(result(student))
    return store


def merged(store):
    said = merge(store, "01", {"Q1.1": WHY})
    grades = {(r["student"], r["exercise"]): r for r in store.table("grades.csv")}
    return said, grades


def edit(store, name, **cells):
    """Fill cells of the first row of a table, as an instructor does."""
    rows = store.table(name)
    rows[0] |= cells
    text = table_text(list(rows[0]), [list(r.values()) for r in rows])
    (store.folder / name).write_text(text, encoding="utf-8")


def test_a_free_text_waits_with_its_rubric_and_model_answer(store):
    _, grades = merged(store)
    assert grades["ann", "Q1.1"]["status"] == "review"
    first = store.table("review.csv")[0]
    assert first["answer"] == "It doubles."
    assert (first["rubric"], first["model answer"]) == ("a point each", "because")


@pytest.mark.parametrize(
    "points, status", [("4", "passed"), ("2,5", "partial"), ("0", "failed")]
)
def test_points_of_a_review_count_and_its_comment_is_on_the_page(store, points, status):
    merged(store)
    edit(store, "review.csv", points=points, comment="well <b>said</b>")
    _, grades = merged(store)
    earned = float(points.replace(",", "."))
    assert float(grades["ann", "Q1.1"]["points"]) == earned
    assert grades["ann", "Q1.1"]["status"] == status
    assert grades["bob", "Q1.1"]["status"] == "review"
    page = store.folder / "feedback" / store.table("keys.csv")[0]["page"]
    assert "well &lt;b&gt;said&lt;/b&gt;" in page.read_text(encoding="utf-8")


def test_a_merge_keeps_what_was_filled_in(store):
    merged(store)
    edit(store, "review.csv", points="3", comment="good")
    merged(store)
    merged(store)
    first = store.table("review.csv")[0]
    assert (first["points"], first["comment"]) == ("3", "good")


def test_an_id_whose_zeros_a_spreadsheet_dropped_is_still_the_student(store):
    for student in ("007", "0008", "08"):
        store.save(result(student))
    merged(store)
    rows = [
        r | {"student": r["student"].lstrip("0")} for r in store.table("review.csv")
    ]
    rows = [r | {"points": "3"} for r in rows if r["student"] == "7"]
    text = table_text(list(rows[0]), [list(r.values()) for r in rows])
    (store.folder / "review.csv").write_text(text, encoding="utf-8")
    line = "student,exercise,points,reason\n7,1.1,1,x\n8,1.1,1,which of two?\n"
    (store.folder / "overrides.csv").write_text(line, encoding="utf-8")
    said, grades = merged(store)
    assert (grades["007", "Q1.1"]["points"], grades["007", "1.1"]["points"]) == (
        "3",
        "1",
    )
    assert said == ["overrides.csv, line 3: no '1.1' of '8'"]
    assert store.table("review.csv")[0]["student"] == "0008", "whole again"


@pytest.mark.parametrize("points", ["five", "-1", "4.5"])
def test_points_that_are_none_are_said_and_not_counted(store, points):
    merged(store)
    edit(store, "review.csv", points=points)
    said, grades = merged(store)
    assert "no number from 0 to 4" in said[0]
    assert grades["ann", "Q1.1"]["points"] == ""


def logged(store, what):
    lines = (store.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["what"] == what]


@pytest.mark.parametrize("reread", [{"points": "2"}, {"comment": "read again"}])
def test_an_answer_that_changed_after_its_review_is_said_until_it_was_read(
    store, reread
):
    merged(store)
    edit(store, "review.csv", points="3")
    assert merged(store)[0] == []
    store.save(result("ann", text="Something else."))
    for _ in range(3):
        said, _ = merged(store)
        assert "changed after its review" in said[0]
        assert "Q1.1: the answer changed" in store.table("summary.csv")[0]["notes"]
    edit(store, "review.csv", **reread)
    assert merged(store)[0] == []
    assert store.table("summary.csv")[0]["notes"] == ""


def test_an_answer_that_changed_before_the_first_merge_of_its_review_is_said(store):
    merged(store)
    edit(store, "review.csv", points="3")
    store.save(result("ann", text="Something else."))
    for _ in range(2):
        assert "changed after its review" in merged(store)[0][0]


def test_points_of_a_review_are_logged_once_for_each_change(store):
    merged(store)
    for points in ("3", "3", "2", ""):
        edit(store, "review.csv", points=points)
        merged(store)
    changes = [(e["before"], e["now"]) for e in logged(store, "review")]
    assert changes == [
        (None, ["3", ""]),
        (["3", ""], ["2", ""]),
        (["2", ""], None),
    ]
    assert {(e["student"], e["question"]) for e in logged(store, "review")} == {
        ("ann", "Q1.1")
    }


@pytest.mark.parametrize(
    "points, status", [("4", "passed"), ("3", "partial"), ("0", "failed")]
)
def test_an_override_reads_a_free_text_that_waited(store, points, status):
    line = f"student,exercise,points,reason\nann,Q1.1,{points},told me in person\n"
    (store.folder / "overrides.csv").write_text(line, encoding="utf-8")
    _, grades = merged(store)
    assert grades["ann", "Q1.1"]["status"] == status
    page = store.folder / "feedback" / store.table("keys.csv")[0]["page"]
    text = page.read_text(encoding="utf-8")
    assert f"{points} of 4" in text and "told me in person" in text
    assert "waits to be read" not in text
    assert store.table("summary.csv")[0]["to review"] == "0"


def test_a_question_that_the_lab_has_no_more_is_said(store):
    said = merge(store, "01", {})
    assert said == [
        "review.csv, Q1.1: it is in the lab no more, so without rubric and model answer"
    ]
    assert store.table("review.csv")[0]["answer"] == "It doubles."


def test_an_override_holds_at_every_merge_and_tells_why(store):
    line = ("student,exercise,points,reason\n", "ann,1.1,3,the text was ambiguous\n")
    (store.folder / "overrides.csv").write_text("".join(line), encoding="utf-8")
    for _ in range(2):
        _, grades = merged(store)
        assert grades["ann", "1.1"]["points"] == "3"
        assert "the text was ambiguous" in grades["ann", "1.1"]["message"]
        assert grades["bob", "1.1"]["points"] == "2"
    assert [c["now"] for c in logged(store, "overrides")] == [
        [["ann", "1.1", 3.0, "the text was ambiguous"]]
    ]


@pytest.mark.parametrize(
    "line, fault",
    [
        ("cat,1.1,3,because", "no '1.1' of 'cat'"),
        ("ann,9.9,3,because", "no '9.9' of 'ann'"),
        ("ann,1.1,lots,because", "needs points and a reason"),
        ("ann,1.1,3,", "needs points and a reason"),
    ],
)
def test_an_override_that_cannot_be_meant_is_said_with_its_line(store, line, fault):
    text = f"student,exercise,points,reason\n{line}\n"
    (store.folder / "overrides.csv").write_text(text, encoding="utf-8")
    said, grades = merged(store)
    assert said == [f"overrides.csv, line 2: {said[0].partition(': ')[2]}"]
    assert fault in said[0]
    assert grades["ann", "1.1"]["points"] == "2"


def test_pages_keep_their_names_and_show_one_student_only(store):
    merged(store)
    keys = store.table("keys.csv")
    store.save(result("cat", source="cat's own"))
    merged(store)
    assert store.table("keys.csv")[:2] == keys
    pages = {r["student"]: store.folder / "feedback" / r["page"] for r in keys}
    assert len(pages["ann"].stem) >= 20
    assert "bob" not in pages["ann"].read_text(encoding="utf-8")


def test_the_summary_has_a_row_a_student(store):
    merged(store)
    first = store.table("summary.csv")[0]
    assert (first["student"], first["points"], first["of"]) == ("ann", "2", "7")
    assert (first["to review"], first["1.1"], first["Q1.1"]) == ("1", "2", "")


def test_a_second_grader_is_told(store):
    with store.locked():
        with pytest.raises(LabError, match="Another grader .process"):
            with Store(store.folder).locked():
                pass
    with store.locked():
        pass


def test_a_disk_that_knows_no_locks_is_no_second_grader(store, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=NO_LOCKS))
    with pytest.raises(LabError, match="cannot be locked .No locks available"):
        with store.locked():
            pass
    monkeypatch.setattr("labcore.staff.grading.review.time.sleep", Mock())
    merged(store)
    reviews = Reviews(store, [WHY])
    with pytest.raises(LabError, match="cannot be locked"):
        reviews.save("Q1.1", "ann", "3", "", [], ["", ""])


CELLS = ["=1+1", "+1", "-1", "@x", "\tx", "'=x", "'plain", "weights; =1+1; of it"]


@pytest.mark.parametrize("cell", CELLS)
def test_no_text_becomes_a_formula_and_all_come_back(tmp_path, cell):
    path = tmp_path / "t.csv"
    path.write_text(table_text(["a"], [[cell]]), encoding="utf-8")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["a"][0] not in "=+-@\t"
    for separator in ";\t|":  # what a spreadsheet may take instead of our comma
        for part in path.read_text(encoding="utf-8").split(separator):
            assert not part.strip().startswith(("=", "+", "-", "@"))
    assert read_table(path) == [{"a": cell}]


def test_a_table_that_a_spreadsheet_saved_with_semicolons_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffstudent;points\r\nann;2,5\r\n".encode())
    assert read_table(path) == [{"student": "ann", "points": "2,5"}]


@pytest.mark.parametrize(
    "data",
    [
        "student\tpoints\nJosé\t2\n".encode("utf-16"),
        "student,points\r\nJosé,2\r\n".encode("cp1252"),
        " student ; points\rJosé;2\r".encode(),
    ],
)
def test_so_is_one_in_another_encoding_or_with_other_line_ends(tmp_path, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert read_table(path, "student") == [{"student": "José", "points": "2"}]


@pytest.mark.parametrize("name", ["review.csv", "overrides.csv"])
def test_a_table_without_its_columns_is_refused(store, name):
    merged(store)
    text = "student,exercise,question,mark\nann,1.1,Q1.1,3\n"
    (store.folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=f"{name} has no column .*points"):
        merged(store)
    assert (store.folder / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "cells, fault",
    [
        ({"student": "7"}, "'Q1.1' of '7' does not wait"),
        ({"question": "Q9.9"}, "'Q9.9' of 'ann' does not wait"),
        ({"student": "bob"}, "'Q1.1' of 'bob' is there twice"),
    ],
)
def test_a_filled_row_that_fits_nobody_is_named_and_kept(store, cells, fault):
    merged(store)
    rows = [row | {"points": "3"} for row in store.table("review.csv")]
    rows.append(rows.pop(0) | cells)
    text = table_text(list(rows[0]), [list(r.values()) for r in rows])
    (store.folder / "review.csv").write_text(text, encoding="utf-8")
    said, grades = merged(store)
    assert said[0].startswith("review.csv, row 3: ") and fault in said[0]
    assert "stays unchanged" in said[1]
    assert (store.folder / "review.csv").read_text(encoding="utf-8") == text
    assert grades["bob", "Q1.1"]["points"] == "3"


def test_a_review_of_a_text_that_is_no_longer_there_is_kept(store):
    merged(store)
    edit(store, "review.csv", comment="good")
    store.save(result("ann", text=""))
    said, _ = merged(store)
    assert "'Q1.1' of 'ann' does not wait for points" in said[0]
    assert store.table("review.csv")[0]["comment"] == "good"


def test_what_a_spreadsheet_does_to_an_answer_is_no_change_of_it(store):
    store.save(result("ann", text="It doubles.\n\nAlways. "))
    merged(store)
    edit(store, "review.csv", points="3", answer="It doubles.\r\n\r\nAlways.")
    assert merged(store)[0] == []


def test_an_override_above_the_maximum_is_taken_and_marked(store):
    text = "student, exercise ,points,reason\nann,1.1,9,bonus\n"
    (store.folder / "overrides.csv").write_text(text, encoding="utf-8")
    said, grades = merged(store)
    assert said == ["overrides.csv, line 2: 9 points of 3, taken as they are"]
    assert grades["ann", "1.1"]["points"] == "9"
    assert "(more than the 3 there are): bonus" in grades["ann", "1.1"]["message"]
    log = json.loads((store.folder / "log.jsonl").read_text(encoding="utf-8"))
    assert log["above"] == [["ann", "1.1"]]


def test_no_text_stops_the_tables(store):
    odd = "half \ud800, a byte \udce9"
    store.save(result("ann", text=odd, rows=[row("1.1", 0, 3, "error", message=odd)]))
    merged(store)
    edit(store, "review.csv", points="3")
    _, grades = merged(store)
    assert grades["ann", "Q1.1"]["points"] == "3"
    assert grades["ann", "1.1"]["message"] == r"half \ud800, a byte \udce9"


def test_remarks_on_answers_have_a_table_of_their_own(store):
    assert merged(store)[0] == [] and store.table("remarks.csv") == []
    forged = row("1.1", 3, 3, "passed", remarks=["it uses f_back: x.f_back"])
    store.save(result("bob", rows=[forged]))
    said, grades = merged(store)
    assert said == ["remarks.csv: 1 on answers that tamper, or seem to"]
    assert store.table("remarks.csv") == [
        {"student": "bob", "exercise": "1.1", "remark": "it uses f_back: x.f_back"}
    ]
    assert grades["bob", "1.1"]["points"] == "3", "the instructor decides"
    for page in (store.folder / "feedback").iterdir():
        assert "f_back" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run.json", "results"])
def test_a_damaged_file_is_named(store, name):
    path = store.folder / name
    path = next(path.iterdir()) if path.is_dir() else path
    path.write_text(path.read_text(encoding="utf-8")[:9], encoding="utf-8")
    with pytest.raises(LabError, match=f"{path.name} is damaged: "):
        merged(store)


def test_a_folder_is_begun_with_its_first_result(tmp_path):
    store = Store(tmp_path)
    store.begin({"lab": "01", "seeds": [1]})
    assert store.run() == {}
    store.save(result("ann"))
    assert store.run()["lab"] == "01"


@pytest.mark.parametrize("name", ["log.jsonl", "feedback"])
def test_what_cannot_be_written_is_named(tmp_path, name):
    store = Store(tmp_path)
    if name == "feedback":
        (tmp_path / name).write_text("a file, not a folder", encoding="utf-8")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(LabError, match=f"{name}.* cannot be written .*--resume"):
        store.log("merge")
        store.write_page("page.html", "")
