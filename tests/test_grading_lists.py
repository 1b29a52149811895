"""Lists of a class, times and the late policy: what they say, and who is absent."""

import zipfile
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from lists import CANVAS, GRADESCOPE, MOODLE, PLAIN  # noqa: E402
from test_grading_store import logged, result, row  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading.batch import About, _keep_about, _of_this_class  # noqa: E402
from labcore.staff.grading.late import policy_of, settings_with  # noqa: E402
from labcore.staff.grading.merge import merge  # noqa: E402
from labcore.staff.grading.moments import moment, shown, zone_named  # noqa: E402
from labcore.staff.grading.reading import Submission, find_submissions  # noqa: E402
from labcore.staff.grading.roster import read_roster, roster_in  # noqa: E402
from labcore.staff.grading.sheet import Sheet  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402

STEM = "02_fine_grained_pruning"
BERLIN = zone_named("Europe/Berlin")
DUE = {"due": "2026-11-20 23:59", "zone": "Europe/Berlin", "late": 10.0}


@pytest.fixture
def store(tmp_path):
    """Two of the four on the lists handed in."""
    store = Store(tmp_path / "grades")
    store.begin({"lab": "01", "seeds": [1]})
    for student in ("Jane Doe_12", "Rick Roe_13"):
        store.save(result(student))
    return store


def summary(store, student):
    merge(store, "01", {})
    return next(r for r in store.table("summary.csv") if r["student"] == student)


# lists


@pytest.mark.parametrize(
    "text, kind, uploads",
    [
        (CANVAS, "canvas", ["doejane_12", "roerick_13", "11al_14", "poesué_15"]),
        (
            CANVAS.replace(",", ";").replace("; ", ", "),
            "canvas",
            ["doejane_12", "roerick_13", "11al_14", "poesué_15"],
        ),
        (
            MOODLE,
            "moodle",
            ["Jane Doe_12", "Rick Roe_13", "Al Eq_14", "Sué Poe_15"],
        ),
        (PLAIN, "csv", ["0012", "0013"]),
        ("Student ID\n0012\n\n0013", "csv", ["0012", "0013"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_list_is_recognised_by_its_first_line(text, kind, uploads, encoding):
    data = text.removeprefix("\ufeff").encode(encoding)
    roster = roster_in(data, "class.csv")
    assert roster.kind == kind
    assert [entry.upload for entry in roster.entries] == uploads


def test_canvas_with_first_and_last_names_apart():
    text = "LastName,FirstName,ID,SIS Login ID,Section\nDoe,Jane,12,jdoe,A\n"
    (jane,) = roster_in(text.encode(), "class.csv").entries
    assert (jane.name, jane.upload) == ("Doe, Jane", "doejane_12")


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"name,mark\nann,3\n", "no list of a class that is known here: .* name, mark"),
        (b"", "its first line has nothing"),
        (b"id\n", "no row of a student"),
        (b"id\n7\n8\n7\n", "rows 2 and 4: both have the id 7"),
        ("id\n7\n".encode("utf-16"), "is UTF-16: save it as CSV in UTF-8"),
        (b"PK\3\4\x14\0", "is a spreadsheet: save it as CSV in UTF-8"),
        (b'"' * 3_000_001, "no list of a class"),
    ],
)
def test_what_is_no_list_is_told_in_a_sentence(data, sentence):
    with pytest.raises(LabError, match=sentence) as told:
        roster_in(data, "class.csv")
    assert "\n" not in str(told.value) and len(str(told.value)) < 600


def test_a_list_that_is_too_large_or_not_there_is_told(tmp_path):
    with pytest.raises(LabError, match="cannot be read: No such file"):
        read_roster(tmp_path / "gone.csv")
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(LabError, match="larger than 20 MB"):
        read_roster(tmp_path / "huge.csv")


@pytest.mark.parametrize(
    "text, student, number",
    [
        (CANVAS, "doejane_12", "12"),
        (CANVAS, "otherspelling_12", "12"),
        (CANVAS, "0012", "12"),  # SIS User ID, of an upload to Gradescope
        (CANVAS, "JDoe", "12"),
        (CANVAS, "doejane_0012", None),
        (MOODLE, "Jane Doe_12", "12"),
        (MOODLE, "JANE@x.org", "12"),
        (PLAIN, "0012", "0012"),
        (PLAIN, "12", None),
        (PLAIN, "Jane Doe_0012", "0012"),
    ],
)
def test_an_upload_is_found_by_name_number_or_login(text, student, number):
    matched = roster_in(text.encode(), "class.csv").matched([student])
    assert matched[student].number == number if number else matched == {}


@pytest.mark.parametrize("text", [CANVAS, MOODLE, PLAIN])
def test_a_file_of_which_nothing_changes_keeps_every_byte(text):
    data = text.encode()
    sheet = roster_in(data, "class.csv").sheet
    assert sheet.changed({}) == data == sheet.without([])


def test_only_the_cell_changes_and_quotes_stay():
    sheet = Sheet(b'a,"b",c\r\n1,"2",\r\n"x""\n",4,5', ",")
    changed = sheet.changed({(1, 1): "7", (1, 2): "8", (2, 1): "9"})
    assert changed == b'a,"b",c\r\n1,"7",8\r\n"x""\n",9,5'
    assert sheet.without([1]) == b'a,"b",c\r\n"x""\n",4,5'


def test_absentees_are_missing_and_strangers_are_said(store):
    store.save(result("mallory"))
    store.set_roster(MOODLE.encode())
    said = merge(store, "01", {})
    assert said[:2] == [
        "roster.csv, which lacks 1 student (mallory) with an upload",
        "roster.csv: nothing was handed in by 2 students (Al Eq_14, Sué Poe_15)",
    ]
    absent = [r for r in store.table("grades.csv") if r["student"] == "Al Eq_14"]
    assert [(r["exercise"], r["points"], r["status"]) for r in absent] == [
        ("1.1", "0", "missing"),
        ("Q1.1", "0", "missing"),
    ]
    assert summary(store, "Al Eq_14")["notes"] == "missing: nothing was handed in"
    assert "not on the roster" in summary(store, "mallory")["notes"]
    assert "mallory" in {r["student"] for r in store.table("review.csv")}
    assert "Al Eq_14" not in {r["student"] for r in store.table("review.csv")}


def test_an_absentee_who_hands_in_later_or_gets_points_by_hand_is_one_student(store):
    store.set_roster(MOODLE.encode())
    text = "student,exercise,points,reason\nAl Eq_14,1.1,3,oral\n"
    (store.folder / "overrides.csv").write_text(text, encoding="utf-8")
    assert summary(store, "Al Eq_14")["points"] == "3"
    store.save(result("Al Eq_14"))
    merge(store, "01", {})
    students = [r["student"] for r in store.table("summary.csv")]
    assert students == sorted({*students}) and len(students) == 4


def test_two_uploads_of_one_student_are_said(store):
    store.save(result("jane@x.org"))
    store.set_roster(MOODLE.encode())
    said = merge(store, "01", {})
    assert "roster.csv, where Jane Doe_12 and jane@x.org are one student" in said


def test_the_list_of_another_class_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "class.csv"
    path.write_text(PLAIN, encoding="utf-8")
    _of_this_class(path, [Submission("0013"), Submission("x")])
    with pytest.raises(LabError, match="none of the 1 students .* '0012', .* 'ann'"):
        _of_this_class(path, [Submission("ann")])


def test_list_and_policy_are_kept_and_logged_once(store, tmp_path):
    path = tmp_path / "class.csv"
    path.write_text(MOODLE, encoding="utf-8", newline="")
    for _ in range(2):
        _keep_about(store, About(path, DUE))
    _keep_about(store, About(late={"most": 50}))
    assert store.roster() == MOODLE.encode()
    assert store.late()["most"] == 50 and store.late()["late"] == 10
    assert len(logged(store, "roster")) == 1 and len(logged(store, "late")) == 2


# times


@pytest.mark.parametrize(
    "text, utc",
    [
        ("2026-11-20 23:50", "2026-11-20T22:50"),
        ("2026-07-20 23:50", "2026-07-20T21:50"),
        ("2026-11-20T23:50:00+00:00", "2026-11-20T23:50"),
        ("2026-11-20 22:50:00.861687000 Z", "2026-11-20T22:50"),
        ("2026-11-20 14:50:00.000000000 -08:00", "2026-11-20T22:50"),
        ("Friday, 20 November 2026, 11:50 PM", "2026-11-20T22:50"),
        ("Friday, 20 November 2026, 11:50\u202fPM", "2026-11-20T22:50"),
        ("Friday, November 20, 2026, 11:50 PM", "2026-11-20T22:50"),
        ("20 November 2026, 23:50", "2026-11-20T22:50"),
    ],
)
def test_times_of_platforms(text, utc):
    found = moment(text, BERLIN)
    assert found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") == utc
    assert shown(found).endswith("(Europe/Berlin)")


@pytest.mark.parametrize(
    "text", ["", "2026-11-20", "20/11/2026 23:50", "11/10/2026, 2 PM", "=1+1", "x" * 99]
)
def test_what_can_be_read_in_two_ways_is_no_time(text):
    with pytest.raises(ValueError, match="is no time, such as 2026-06-10 14:14"):
        moment(text, BERLIN)


def test_without_a_zone_times_are_this_machines_and_say_so():
    found = moment("2026-11-20 23:50", None)
    assert found == datetime(2026, 11, 20, 23, 50).astimezone()
    assert "(UTC" in shown(found)


# the late policy


@pytest.mark.parametrize(
    "more, time, off",
    [
        ({}, "2026-11-20 23:59", 0),
        ({}, "2026-11-21 00:00", 3),
        ({}, "2026-11-21 23:59", 3),
        ({}, "2026-11-22 00:00", 6),
        ({"grace": 15}, "2026-11-21 00:14", 0),
        ({"grace": 15}, "2026-11-21 00:15", 3),
        ({"most": 50}, "2027-11-21 00:00", 15),
        ({}, "2027-11-21 00:00", 30),
        ({"late": 0}, "2026-11-23 00:00", 0),
        ({"late": 12.5}, "2026-11-21 12:00", 3.75),
    ],
)
def test_each_day_begun_costs_its_percent(more, time, off):
    policy = policy_of(settings_with({}, DUE | more))
    assert policy.off(moment(time, BERLIN), of=30) == off


@pytest.mark.parametrize("zone", ["Europe/Berlin", None])
def test_a_day_has_24_hours_also_when_the_clocks_change(zone):
    due = {"due": "2026-10-24 23:59+02:00", "zone": zone}
    policy = policy_of(settings_with({}, due))
    submitted = moment("2026-10-25 23:30+01:00", policy.zone)
    assert policy.behind(submitted) == timedelta(days=1, minutes=31)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"late": 10}, "--late goes with --due TIME"),
        (DUE | {"late": 101}, "--late is 101, but it must be from 0 to 100"),
        (DUE | {"late": float("nan")}, "--late is nan"),
        (DUE | {"grace": float("inf")}, "--grace is inf, but it must be 0 or more"),
        (DUE | {"due": "tomorrow"}, "--due: 'tomorrow' is no time"),
        (DUE | {"zone": "Europe/Atlantis"}, "no time zone 'Europe/Atlantis' here"),
        (DUE | {"zone": "../../etc/passwd"}, "no time zone"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_told(given, sentence):
    with pytest.raises(LabError, match=sentence):
        settings_with({}, given)


def test_lateness_is_taken_off_and_shown_in_summary_and_page(store):
    store.set_roster(MOODLE.encode())
    store.set_late(settings_with({}, DUE))
    rick = summary(store, "Rick Roe_13")
    assert (rick["points"], rick["late"]) == ("0.6", "-1.4")
    why = (
        "handed in 2026-11-22 08:10 (Europe/Berlin), 1 d 8 h after the due time, "
        "2026-11-20 23:59 (Europe/Berlin); 1.4 points are taken off: 10 % of 7 points "
        "for each day begun"
    )
    assert rick["notes"] == why
    pages = {r["student"]: r["page"] for r in store.table("keys.csv")}
    page = (store.folder / "feedback" / pages["Rick Roe_13"]).read_text("utf-8")
    assert why in page and "0.6 of 7 points" in page
    jane = summary(store, "Jane Doe_12")
    assert (jane["points"], jane["late"], jane["notes"]) == ("2", "", "")


def test_points_never_fall_below_zero_and_an_override_wins(store):
    store.set_roster(MOODLE.encode())
    store.set_late(settings_with({}, DUE | {"late": 100}))
    assert summary(store, "Rick Roe_13")["points"] == "0"
    text = "student,exercise,points,reason\nRick Roe_13,late,0.5,ill\n"
    (store.folder / "overrides.csv").write_text(text, encoding="utf-8")
    rick = summary(store, "Rick Roe_13")
    assert (rick["points"], rick["late"]) == ("1.5", "-0.5")
    assert "taken off for being late: 0.5; changed by hand: ill" in rick["notes"]


def test_where_no_time_is_known_nothing_is_taken_off_and_it_is_said(store):
    store.save(result("doejane_12", late=True))
    store.set_late(settings_with({}, DUE))
    said = merge(store, "01", {})
    assert said[:1] == [
        "the times of handing in: nothing is taken off from 3 students (Jane Doe_12, "
        "Rick Roe_13, doejane_12), because no time is known; by the name of the file "
        "late: 1 student (doejane_12)"
    ]
    assert summary(store, "doejane_12")["late"] == ""
    text = "student,exercise,points,reason\ndoejane_12,late,2,a day\n"
    (store.folder / "overrides.csv").write_text(text, encoding="utf-8")
    assert "doejane_12" not in merge(store, "01", {})[0]
    assert summary(store, "doejane_12")["late"] == "-2"


def test_a_time_that_cannot_be_read_is_said(store):
    store.set_roster(PLAIN.replace("2026-11-20", "20/11/26").encode())
    store.save(result("0012"))
    store.set_late(settings_with({}, DUE))
    said = merge(store, "01", {})
    assert any("cannot be read (0012: '20/11/26 23:50' is no" in s for s in said)


@pytest.mark.parametrize("text", ["{", '{"due": 7}', '{"late": 10}'])
def test_a_damaged_policy_is_named(store, text):
    (store.folder / "late.json").write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match="late.json is damaged"):
        merge(store, "01", {})


# Gradescope


def exported(path, *more, top="assignment_1_export/", metadata=GRADESCOPE):
    files = [f"submission_{n}/{STEM}.ipynb" for n in (409194023, 500000001)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{top}submission_metadata.yml", metadata)
        for name in (*files, *more):
            archive.writestr(f"{top}{name}", name)
    return path


@pytest.mark.parametrize("top", ["", "assignment_1_export/"])
def test_gradescopes_export_is_read_by_its_list(tmp_path, top):
    path = exported(tmp_path / "all.zip", "submission_9/x.ipynb", top=top)
    found = {s.student: s for s in find_submissions(path, STEM)}
    assert list(found) == [
        *("0012", "0089", "submission_600000002", "submission_9", "sue@x.org")
    ]
    assert found["0012"].submitted.startswith("2026-11-20 22:50")
    assert found["0089"].notes == ["handed in together with sue@x.org"]
    assert found["0089"].read() == found["sue@x.org"].read()
    assert "no notebook was handed in" in found["submission_600000002"].problem


def test_a_folder_with_gradescopes_export_too(tmp_path):
    with zipfile.ZipFile(exported(tmp_path / "all.zip")) as archive:
        archive.extractall(tmp_path / "in")
    found = [s.student for s in find_submissions(tmp_path / "in", STEM)]
    assert found == ["0012", "0089", "submission_600000002", "sue@x.org"]


@pytest.mark.parametrize(
    "metadata",
    [
        "a: [",
        "- 1\n- 2",
        "submission_1: 7",
        "submission_1: {':submitters': [x]}",
        "[" * 100_000,
    ],
)
def test_a_damaged_list_of_gradescopes_is_told(tmp_path, metadata):
    path = exported(tmp_path / "all.zip", metadata=metadata)
    with pytest.raises(LabError, match="submission_metadata.yml is damaged"):
        find_submissions(path, STEM)


def test_a_students_own_file_of_that_name_makes_no_export(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann/submission_metadata.yml", GRADESCOPE)
        archive.writestr("ann/a.ipynb", "")
        archive.writestr("bob/submission_1/a.ipynb", "")
    assert [s.student for s in find_submissions(path, STEM)] == ["ann", "bob"]


def test_without_pyyaml_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(LabError, match="PyYAML is missing .* setup instructor"):
        find_submissions(exported(tmp_path / "all.zip"), STEM)


def test_gradescopes_time_counts(store):
    store.set_roster(b"id\n0089\n")
    store.set_late(settings_with({}, DUE))
    late = result("0089", submitted="2026-11-22 07:10:00.000000000 Z")
    store.save(late | {"rows": [row("1.1", 3, 3, "passed")]})
    assert summary(store, "0089")["late"] == "-1.4"
