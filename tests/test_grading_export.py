"""Points and pages back to the platform, and a student who is deleted."""

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from lists import CANVAS, MOODLE, PLAIN  # noqa: E402
from test_grading_store import result, row  # noqa: E402
from toylab import course  # noqa: E402

from labcore import __main__ as cli  # noqa: E402
from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading.export import export  # noqa: E402
from labcore.staff.grading.forget import forget  # noqa: E402
from labcore.staff.grading.merge import merge  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "\u202eexe.lmth",
    "اسم الطالب",
    "CON.",
    "a" * 300,
    "A" * 300,
]


class Grades:
    """A folder of grades of the toy lab, and what is exported from it."""

    def __init__(self, folder, roster, *students):
        self.root, self.folder = course(folder / "course"), folder / "grades"
        self.out, self.lists = folder / "out", folder
        self.store = Store(self.folder)
        self.store.begin({"lab": "90", "seeds": [1]})
        for student in students:
            rows = [row("90.1", 2.5, 6, "partial", source=f"by {student}")]
            self.store.save(result(student, rows=rows, texts=[]))
        if roster:
            self.store.set_roster(roster.encode())

    def export(self, kind, **more):
        export(kind, self.folder, self.out, self.root, **more)
        return {path.name: path.read_bytes() for path in self.out.iterdir()}

    def forget(self, student):
        forget(student, self.folder, self.root)

    def given(self, text):
        path = self.lists / "given.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path


@pytest.fixture
def canvas(tmp_path):
    return Grades(tmp_path, CANVAS, "doejane_12", "roerick_13", "11al_14")


@pytest.fixture
def moodle(tmp_path):
    return Grades(tmp_path, MOODLE, "Jane Doe_12", "Rick Roe_13", "Sué Poe_15")


def test_canvas_gets_its_export_with_only_the_column_of_the_lab_changed(canvas, capsys):
    made = canvas.export("canvas", column="Lab 02 (4712)")
    expected = CANVAS.replace('"A, early",28.50,,', '"A, early",28.50,2.5,')
    expected = expected.replace('N/A,"1"', 'N/A,"2.5"')
    assert made == {"lab90-canvas.csv": expected.encode()}
    said = capsys.readouterr().out
    assert "because nothing was handed in: 1 (--zero writes 0)" in said
    assert "Look at 1 student (11al_14): the platform does not let you change" in said
    assert "counts up to 7 points here, but Lab 90 has 6" in said
    assert "2 of 4 students have their points in the column 'Lab 02 (4712)'" in said


@pytest.mark.parametrize("text", [CANVAS, "\ufeff" + CANVAS.replace("\r\n", "\n")])
def test_line_ends_separators_and_marks_stay(canvas, text):
    text = text.replace(",", ";")
    name = canvas.export("canvas", given=canvas.given(text), column="4712")
    assert name["lab90-canvas.csv"].decode() == text.replace(
        'early";28.50;;', 'early";28.50;2.5;'
    ).replace('N/A;"1"', 'N/A;"2.5"')


@pytest.mark.parametrize("column", ["Lab 02 (4712)", "Lab 02", "4712"])
def test_a_column_is_named_by_title_or_number(canvas, column):
    assert b",2.5,95.00" in canvas.export("canvas", column=column)["lab90-canvas.csv"]


def test_without_a_name_the_column_is_that_of_the_lab(canvas):
    text = CANVAS.replace("Lab 02 (4712)", "Toy, lab 90 (4712)").replace(
        "Toy, lab 90 (4712)", '"Toy, lab 90 (4712)"'
    )
    assert (
        b",2.5,"
        in canvas.export("canvas", given=canvas.given(text))["lab90-canvas.csv"]
    )


@pytest.mark.parametrize("column", [None, "Lab 03", "Final Score"])
def test_a_column_that_is_not_there_is_told_with_those_that_are(canvas, column):
    with pytest.raises(
        LabError,
        match="no column for .*: name one with --column, from 'Lab 01 .4711.', 'Lab 02",
    ):
        canvas.export("canvas", column=column)
    assert not canvas.out.exists()


def test_moodle_gets_worksheet_and_pages_in_its_folders(moodle, capsys):
    made = moodle.export("moodle")
    expected = MOODLE.replace(
        '"Submitted for grading",,7', '"Submitted for grading",2.5,7'
    )
    expected = expected.replace('"1.00"', '"2.5"')
    assert made["lab90-moodle.csv"] == expected.encode()
    with zipfile.ZipFile(io.BytesIO(made["lab90-moodle-feedback.zip"])) as archive:
        assert archive.namelist() == [
            "Jane Doe_12_assignsubmission_file_/lab90.html",
            "Rick Roe_13_assignsubmission_file_/lab90.html",
            "Sué Poe_15_assignsubmission_file_/lab90.html",
        ]
        assert b"by Rick Roe_13" in archive.read(archive.namelist()[1])
    assert "Look at 1 student (Sué Poe_15): the platform" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, folder",
    [
        ("Rick_Roe", "Rick Roe_12"),
        ("=1+1 <b>x</b>", "1 1 b x b_12"),
        ("../..", "Participant_12"),
        ("李", "李_12"),
    ],
)
def test_moodle_takes_what_follows_the_first_underscore_for_the_number(
    tmp_path, name, folder
):
    text = f"Identifier,Full name,Grade\nParticipant 12,{name},\n"
    made = Grades(tmp_path, text, "x_12").export("moodle")
    with zipfile.ZipFile(io.BytesIO(made["lab90-moodle-feedback.zip"])) as archive:
        assert archive.namelist() == [f"{folder}_assignsubmission_file_/lab90.html"]


def test_anonymous_moodle(tmp_path):
    text = "Identifier,Status,Grade\nParticipant 12,,\n"
    grades = Grades(tmp_path, text, "Participant_12")
    made = grades.export("moodle")
    assert made["lab90-moodle.csv"] == b"Identifier,Status,Grade\nParticipant 12,,2.5\n"
    with zipfile.ZipFile(io.BytesIO(made["lab90-moodle-feedback.zip"])) as archive:
        assert archive.namelist() == [
            "Participant_12_assignsubmission_file_/lab90.html"
        ]


def test_zero_for_those_who_handed_in_nothing_only_if_asked(canvas):
    made = canvas.export("canvas", column="4712", zero=True)
    assert '"Poe, Sué",15,0015,spoe,A,3,0,'.encode() in made["lab90-canvas.csv"]


def test_points_by_hand_of_an_absentee_go_out(canvas):
    text = "student,exercise,points,reason\npoesué_15,90.1,4,oral\n"
    (canvas.folder / "overrides.csv").write_text(text, encoding="utf-8")
    made = canvas.export("canvas", column="4712")
    assert '"Poe, Sué",15,0015,spoe,A,3,4,'.encode() in made["lab90-canvas.csv"]


def test_the_table_has_leading_zeros_and_pages_by_name(tmp_path):
    grades = Grades(tmp_path, PLAIN, "0012")
    made = grades.export("csv")
    rows = list(csv.DictReader(io.StringIO(made["lab90.csv"].decode())))
    assert [tuple(r.values()) for r in rows] == [
        ("0012", "Jane Doe", "2.5", "6", "", "0", "", "0012.html"),
        ("0013", "Rick Roe", "", "6", "", "0", "missing", ""),
    ]
    with zipfile.ZipFile(io.BytesIO(made["lab90-pages.zip"])) as archive:
        assert archive.namelist() == ["0012.html"]


@pytest.mark.parametrize("kind", ["csv", "moodle"])
def test_twice_the_same_bytes(moodle, kind):
    assert moodle.export(kind) == moodle.export(kind)


def test_hostile_names_harm_nobody(tmp_path):
    grades = Grades(tmp_path, None, *HOSTILE)
    made = grades.export("csv")
    table = made["lab90.csv"].decode()
    assert all(line[:1] not in "=+-@" for line in table.splitlines())
    with zipfile.ZipFile(io.BytesIO(made["lab90-pages.zip"])) as archive:
        names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\u202e') and not name.startswith(".")
        assert len(name) < 100 and name.endswith(".html")
    assert "اسم الطالب.html" in names


@pytest.mark.parametrize(
    "kind, more, sentence",
    [
        ("moodle", {}, "roster.csv is not Moodle's worksheet: name that with --roster"),
        ("csv", {"column": "x"}, "--column goes with canvas and moodle"),
        ("canvas", {"column": "ID"}, "no column for 'ID': .* 'Lab 02 .4712.'"),
    ],
)
def test_what_does_not_fit_is_told(canvas, kind, more, sentence):
    with pytest.raises(LabError, match=sentence):
        canvas.export(kind, **more)


def test_moodle_reads_points_from_one_column_only(moodle):
    with pytest.raises(LabError, match="for 'Status': name one .*, from 'Grade'"):
        moodle.export("moodle", column="Status")


def test_without_grades_or_list_it_is_told(tmp_path):
    with pytest.raises(LabError, match="There are no grades in"):
        export("csv", tmp_path / "none", tmp_path / "out", tmp_path)
    with pytest.raises(LabError, match="without a list: name Canvas's gradebook"):
        Grades(tmp_path, None, "ann").export("canvas")


def test_an_interrupted_grading_makes_nobody_absent_and_is_not_exported(canvas):
    canvas.store.set_found(["doejane_12", "poesué_15"])
    (said, *_) = merge(canvas.store, "90", {})
    assert said == "1 student (poesué_15) not graded yet: continue with --resume"
    students = [r["student"] for r in canvas.store.table("summary.csv")]
    assert students == ["11al_14", "doejane_12", "roerick_13"]
    with pytest.raises(LabError, match="1 student .poesué_15. not graded yet"):
        canvas.export("canvas", column="4712", zero=True)
    assert not canvas.out.exists()


def test_strangers_unread_texts_and_short_rows_are_told(canvas, capsys):
    canvas.store.save(result("mallory"))
    canvas.export("canvas", given=canvas.given(CANVAS), column="4712")
    said = capsys.readouterr().out
    assert "given.csv, which lacks 1 student (mallory) with grades" in said
    assert "free texts without points: 1" in said
    short = CANVAS.replace('jdoe,"A, early",28.50,,95.00', "jdoe")
    with pytest.raises(LabError, match="row 4, has fewer cells"):
        canvas.export("canvas", given=canvas.given(short), column="4712")


def test_two_who_are_one_student_stop_the_export(canvas):
    canvas.store.save(result("jdoe"))
    with pytest.raises(LabError, match="doejane_12 and jdoe are one student"):
        canvas.export("canvas", column="4712")


# a student who is deleted


def anywhere(folder, word):
    """The files below the folder that have this word in them or in their names."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    }


@pytest.fixture
def full(moodle):
    """Rick Roe_13 is in every file that grading writes."""
    rick = "Rick Roe_13"
    both = [result(name, digest="same", notes=[]) for name in (rick, "Sué Poe_15")]
    both[0]["rows"] = [row("90.1", 1, 6, "failed", source="rick's own", remarks=["x"])]
    both[1]["notes"] = [f"handed in together with {rick}"]
    for one in both:
        moodle.store.save(one)
    text = f"student,exercise,points,reason\n{rick},90.1,3,oral\nJane Doe_12,90.1,1,x\n"
    (moodle.folder / "overrides.csv").write_text(text, encoding="utf-8")
    merge(moodle.store, "90", {})
    lines = moodle.store.table("review.csv")
    moodle.store.write_table(
        "review.csv", list(lines[0]), [[*(r | {"points": "1"}).values()] for r in lines]
    )
    merge(moodle.store, "90", {})
    moodle.store.log("fault", student=rick, text="rick's own")
    moodle.store.set_found([rick, "Jane Doe_12"])
    (moodle.folder / "results" / ".x.json.ab.tmp").write_text(rick)
    return moodle


def test_of_a_deleted_student_nothing_is_left(full, capsys):
    (full.folder / "report.html").write_text("about Rick Roe_13", encoding="utf-8")
    before = anywhere(full.folder, "Rick")
    assert {"run.json", "log.jsonl", "roster.csv", "keys.csv", "review.csv"} <= before
    full.forget("Rick Roe_13")
    assert anywhere(full.folder, "Rick") == {"report.html"}
    assert anywhere(full.folder, "rick") == set()
    assert "The name also occurs in report.html" in capsys.readouterr().out
    assert len(list((full.folder / "feedback").iterdir())) == 3
    kept = {r["student"]: r for r in full.store.table("summary.csv")}
    assert list(kept) == ["Al Eq_14", "Jane Doe_12", "Sué Poe_15"]
    assert (kept["Jane Doe_12"]["90.1"], kept["Sué Poe_15"]["Q1.1"]) == ("1", "1")
    assert (
        full.store.roster().decode()
        == MOODLE[: MOODLE.index('"Participant 13')]
        + (MOODLE[MOODLE.index('"Participant 14') :])
    )


def test_half_a_line_of_the_log_is_forgotten_too_and_spoils_no_other(full):
    with (full.folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('7\n{"time": "2026-11-21", "student": "Rick Roe_13')
    full.store.log("fault", student="Sué Poe_15", text="hers")
    full.forget("Rick Roe_13")
    assert anywhere(full.folder, "Rick") == set()
    log = (full.folder / "log.jsonl").read_text(encoding="utf-8")
    assert log.endswith("\n") and '"hers"' in log.splitlines()[-2]


@pytest.mark.parametrize("name", ["found.json", "review.json"])
def test_damaged_notes_that_may_name_the_student_are_deleted(full, name, capsys):
    (full.folder / name).write_text('{"students": [["Rick Roe_13"', encoding="utf-8")
    full.forget("Rick Roe_13")
    assert anywhere(full.folder, "Rick") == set()
    said = f"{name} was damaged, so it is deleted: it may have named the student."
    assert said in capsys.readouterr().out


class Killed(BaseException):
    """In the place of a signal that nothing can catch."""


@pytest.fixture
def kill(monkeypatch):
    """A function that lets it live for so many files put in place or deleted."""
    really = {name: getattr(Path, name) for name in ("replace", "unlink")}

    def after(moments):
        left = iter(range(moments))

        def wrapped(name):
            def move(*args, **kwargs):
                if next(left, None) is None:
                    raise Killed
                return really[name](*args, **kwargs)

            return move

        for name in really:
            monkeypatch.setattr(Path, name, wrapped(name))

    return after


def test_killed_at_any_moment_a_second_call_completes_it(full, tmp_path, kill):
    shutil.copytree(full.folder, tmp_path / "begun")
    for number in range(200):
        shutil.rmtree(full.folder)
        shutil.copytree(tmp_path / "begun", full.folder)
        kill(number)
        try:
            full.forget("Rick Roe_13")
        except Killed:
            kill(1000)
            full.forget("Rick Roe_13")
            assert anywhere(full.folder, "Rick") == set()
        else:
            break
    assert number >= 15, "files are replaced and deleted one by one"


@pytest.mark.parametrize("student", ["=1+1", "0012", "ann"])
def test_one_who_was_never_there_is_told_and_the_last_one_can_go(tmp_path, student):
    grades = Grades(tmp_path, None, student)
    with pytest.raises(LabError, match="has nothing of 'bob': name a student as"):
        grades.forget("bob")
    merge(grades.store, "90", {})
    grades.forget(student)
    assert anywhere(grades.folder, student) == set()
    with pytest.raises(LabError, match="has nothing of"):
        grades.forget(student)


def test_an_absentee_can_be_deleted(canvas):
    canvas.export("csv")
    canvas.forget("poesué_15")
    assert anywhere(canvas.folder, "15,0015") == set()
    assert anywhere(canvas.folder, "poesué") == set()


def test_a_name_in_a_text_of_others_is_kept(full):
    reviews = full.store.table("review.csv")
    assert {r["student"] for r in reviews} == {"Rick Roe_13", "Sué Poe_15"}
    full.forget("Rick Roe_13")
    log = (full.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in log]
    assert any(entry.get("student") == "Sué Poe_15" for entry in told)
    assert told[-1]["what"] == "forgot a student"


# the commands


@pytest.fixture
def run(moodle, monkeypatch, capsys):
    """A function that runs a command and returns what it says."""
    monkeypatch.setattr(cli, "_enter", lambda args, extra=None: moodle.root)

    def command(*words):
        code = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.err if code else said.out

    return command


def test_the_commands_of_the_guide(moodle, run):
    grades, out = moodle.folder, moodle.out
    policy = ["--due", "2026-11-20 23:59", "--zone", "Europe/Berlin", "--late", "10"]
    assert run("grade", "--merge", "--out", grades, *policy)[0] == 0
    code, said = run("export", "moodle", "--grades", grades, "--out", out)
    assert code == 0 and "3 pages are in " in said
    # two days begun of 6 points at 10 % each
    assert (
        b'"Submitted for grading","1.3",7.00' in (out / "lab90-moodle.csv").read_bytes()
    )
    assert run("forget", "Rick Roe_13", "--grades", grades)[0] == 0
    code, said = run("forget", "Rick Roe_13", "--grades", grades)
    assert code == 1 and said.startswith(f"{grades} has nothing of 'Rick Roe_13'")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["export", "csv", "--grades", "none", "--out", "out"], "There are no grades"),
        (["forget", "ann", "--grades", "none"], "There are no grades in none"),
        (
            ["grade", "in", "--out", "G", "--regrade", "2.1", "--due", "x"],
            "--due does not go with --regrade: give it to --merge.",
        ),
    ],
)
def test_mistakes_are_one_sentence(run, words, sentence):
    code, said = run(*words)
    assert code == 1 and said.startswith(sentence) and said.count("\n") == 1
