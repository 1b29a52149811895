"""Submissions in the shapes in which platforms deliver them."""

import ast
import json
import os
import zipfile

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from nbformat.v4 import new_code_cell  # noqa: E402
from toylab import course, handed_in  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import api  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.jobs import Terms, job_of, read_work  # noqa: E402
from labcore.staff.grading.reading import (  # noqa: E402
    Submission,
    find_submissions,
    keep_apart,
)
from labcore.student.cells import LONGEST_CELL  # noqa: E402

STEM = "02_fine_grained_pruning"


def tree(top, *names):
    for at, name in enumerate(names):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))
    return top


def found(path):
    return {s.student: s.file for s in find_submissions(path, STEM)}


def test_a_folder_for_each_student(tmp_path):
    tree(tmp_path, f"ann/{STEM}.ipynb", f"bob/{STEM}/{STEM}.ipynb", "bob/notes.txt")
    assert found(tmp_path) == {
        "ann": f"ann/{STEM}.ipynb",
        "bob": f"bob/{STEM}/{STEM}.ipynb",
    }


@pytest.mark.parametrize("other", ["03_scan.ipynb", "final.ipynb", "new/mine.ipynb"])
def test_of_several_notebooks_that_of_the_lab_is_taken_and_others_named(
    tmp_path, other
):
    tree(tmp_path, f"ann/{STEM}.ipynb", f"ann/{other}")
    (ann,) = find_submissions(tmp_path, STEM)
    assert (ann.student, ann.file) == ("ann", f"ann/{STEM}.ipynb")
    assert ann.notes == [
        "2 notebooks were handed in; the last that is named for the lab counts: "
        f"{STEM}.ipynb; left out: {other}"
    ]


def test_checkpoints_and_other_hidden_files_are_no_submissions(tmp_path):
    checkpoint = f"ann/.ipynb_checkpoints/{STEM}-checkpoint.ipynb"
    tree(tmp_path, f"ann/{STEM}.ipynb", checkpoint, "__MACOSX/ann.ipynb", ".DS_Store")
    assert found(tmp_path) == {"ann": f"ann/{STEM}.ipynb"}


def test_canvas_names_late_and_handed_in_again(tmp_path):
    tree(
        tmp_path,
        f"doejane_12_345_{STEM}-2.ipynb",
        f"doejane_12_344_{STEM}-10.ipynb",
        f"doejane_12_343_{STEM}.ipynb",
        f"roerick_LATE_13_401_{STEM}.ipynb",
    )
    ann, rick = find_submissions(tmp_path, STEM)
    assert (ann.student, ann.file) == ("doejane_12", f"doejane_12_344_{STEM}-10.ipynb")
    assert ann.notes == [
        f"3 notebooks were handed in; the last counts: {STEM}-10.ipynb; "
        f"left out: {STEM}.ipynb, {STEM}-2.ipynb"
    ]
    assert (rick.student, rick.notes) == (
        "roerick_13",
        ["handed in late, says the name of the file"],
    )


def test_moodle_names_as_files_and_as_folders(tmp_path):
    tree(
        tmp_path,
        f"Jane Doe_12_assignsubmission_file_{STEM}.ipynb",
        f"Rick Roe_13_assignsubmission_file_/{STEM}.ipynb",
        f"Sue Poe_14_assignsubmission_file/{STEM}.ipynb",
    )
    assert list(found(tmp_path)) == ["Jane Doe_12", "Rick Roe_13", "Sue Poe_14"]


def test_plain_names_and_a_browsers_copies(tmp_path):
    tree(tmp_path, "ann.ipynb", "ann (1).ipynb", f"bob_{STEM}.ipynb")
    assert found(tmp_path) == {"ann": "ann (1).ipynb", "bob": f"bob_{STEM}.ipynb"}


def test_numbers_in_plain_names_are_students_unless_the_first_is_there_too(tmp_path):
    numbered = [f"student-{n}.ipynb" for n in ("001", "002", "1", "2")]
    tree(tmp_path, *numbered, "ann.ipynb", "ann-1.ipynb", f"{STEM}-3.ipynb")
    assert found(tmp_path) == {
        **{name.removesuffix(".ipynb"): name for name in numbered},
        "ann": "ann-1.ipynb",
        f"{STEM}-3": f"{STEM}-3.ipynb",
    }


def test_the_later_one_counts_where_names_do_not_tell(tmp_path):
    tree(tmp_path, "ann/z.ipynb", "ann/a.ipynb", "bob/a.ipynb")
    assert found(tmp_path) == {"ann": "ann/a.ipynb", "bob": "bob/a.ipynb"}


MOODLE = "Jane Doe_12_assignsubmission_file_"


@pytest.mark.parametrize(
    ("names", "students"),
    [
        (["ann.ipynb", "bob.ipynb", "bob (1).ipynb"], ["ann", "bob"]),
        ([f"ann_{STEM}.ipynb", f"bob_{STEM}.ipynb"], ["ann", "bob"]),
        (["ann/x.ipynb", "bob/x.ipynb", "read me.txt"], ["ann", "bob", "read me"]),
        (["ann/x.pdf", "bob/x.pdf"], ["ann", "bob"]),
        ([f"{MOODLE}{STEM}.ipynb"], ["Jane Doe_12"]),
        ([f"{MOODLE}/{STEM}.ipynb", "bob.ipynb"], ["Jane Doe_12", "bob"]),
        ([f"doe_12_345_{STEM}.ipynb", "list.txt"], ["doe_12", "list"]),
    ],
)
def test_one_folder_around_a_class_is_no_student(tmp_path, names, students):
    tree(tmp_path, *(f"class/{name}" for name in names))
    assert list(found(tmp_path)) == students
    path = zipped(tmp_path / "class.zip", *(f"class/{name}" for name in names))
    assert list(found(path)) == students


@pytest.mark.parametrize(
    "names",
    [
        [f"{STEM}.ipynb", "03_sensitivity_scan.ipynb"],
        [f"{STEM}.ipynb", f"{STEM}-1.ipynb"],
        ["mine.ipynb", "mine-1.ipynb", "mine (2).ipynb"],
        ["mine.ipynb", "old/mine.ipynb"],
        [f"{STEM}/{STEM}.ipynb", "draft/mine.ipynb"],
        [f"{STEM}.ipynb", "pictures/plot.png"],
        ["work/mine.ipynb", "report.pdf"],
    ],
)
@pytest.mark.parametrize("student", ["ann", MOODLE])
def test_the_folder_of_the_one_student_is_a_student(tmp_path, names, student):
    tree(tmp_path, *(f"{student}/{name}" for name in names))
    assert list(found(tmp_path)) == [{MOODLE: "Jane Doe_12"}.get(student, student)]


def test_a_student_who_handed_in_nothing_is_one_of_a_class(tmp_path):
    (tmp_path / "bob").mkdir()
    tree(tmp_path, "ann/z.ipynb", "ann/a.ipynb")
    assert found(tmp_path) == {"ann": "ann/a.ipynb", "bob": ""}


@pytest.mark.parametrize("out", [".", "grades", "ann/grades", "../in/grades"])
def test_grades_among_the_submissions_are_refused(tmp_path, out):
    submissions = tree(tmp_path / "in", "ann/a.ipynb")
    with pytest.raises(LabError, match="name a folder outside with --out"):
        keep_apart(submissions, submissions / out)
    keep_apart(submissions, tmp_path / "in2")
    keep_apart(submissions / "ann/a.ipynb", submissions / "grades")


def test_one_notebook(tmp_path):
    path = tree(tmp_path, f"{STEM}.ipynb") / f"{STEM}.ipynb"
    assert list(found(path)) == [STEM]


def zipped(path, *names):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name)
    return path


@pytest.mark.parametrize("top", ["", "submissions/"])
def test_a_zip_is_read_without_unpacking_it(tmp_path, top):
    path = zipped(tmp_path / "all.zip", *(f"{top}{n}/{STEM}.ipynb" for n in "ab"))
    submissions = find_submissions(path, STEM)
    assert [s.student for s in submissions] == ["a", "b"]
    assert submissions[0].read().decode() == f"{top}a/{STEM}.ipynb"
    assert list(tmp_path.iterdir()) == [path]


def test_a_canvas_zip(tmp_path):
    path = zipped(tmp_path / "all.zip", f"doejane_12_345_{STEM}-1.ipynb")
    assert list(found(path)) == ["doejane_12"]


@pytest.mark.parametrize("name", ["../evil.ipynb", "/etc/evil.ipynb", "a/../../b"])
def test_a_zip_that_would_write_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(LabError, match="unsafe name"):
        find_submissions(zipped(tmp_path / "all.zip", name), STEM)


def test_a_zip_of_countless_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("labcore.staff.grading.reading.MOST_ENTRIES", 3)
    path = zipped(tmp_path / "all.zip", *(f"{n}.ipynb" for n in range(4)))
    with pytest.raises(LabError, match="unpack to far more"):
        find_submissions(path, STEM)


def test_a_bomb_in_a_zip_is_cut_where_the_limit_is(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ann.ipynb", bytes(100_000_000))
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match="larger than 20 MB"):
        find_submissions(path, STEM)[0].read()


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("ann.ipynb")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match="it is a link"):
        find_submissions(path, STEM)[0].read()


def test_an_encrypted_entry_costs_only_itself(tmp_path):
    path = zipped(tmp_path / "all.zip", "ann.ipynb", "bob.ipynb")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the first entry's header, and its line in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    ann, bob = find_submissions(path, STEM)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        ann.read()
    assert bob.read() == b"bob.ipynb"


def test_a_folder_behind_a_symbolic_link_is_read(tmp_path):
    (tmp_path / "in" / "ann").mkdir(parents=True)
    (tmp_path / "in" / "ann" / f"{STEM}.ipynb").write_bytes(b"hers")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (found,) = find_submissions(tmp_path / "link", STEM)
    assert found.student == "ann" and found.read() == b"hers"


def test_nothing_there_and_nothing_in_it_are_said(tmp_path):
    with pytest.raises(LabError, match="There is no .*gone"):
        find_submissions(tmp_path / "gone", STEM)
    with pytest.raises(LabError, match="no submission in"):
        find_submissions(tmp_path, STEM)


def test_a_zip_that_broke_off_is_refused(tmp_path):
    path = zipped(tmp_path / "class.zip", "ann.ipynb", "bob.ipynb")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LabError, match="class.zip is not a complete zip file"):
        find_submissions(path, STEM)


@pytest.mark.skipif(os.sys.platform == "darwin", reason="names are UTF-8 there")
def test_a_name_in_another_encoding_is_shown_by_its_bytes(tmp_path):
    folder = os.fsencode(tmp_path / "Jos") + b"\xe9"
    os.mkdir(folder)
    assert list(found(tmp_path)) == [r"Jos\xe9"]


def test_no_cell_is_parsed_that_is_too_long(tmp_path, monkeypatch):
    huge, parse, lengths = "x=1\n" * 100_000, ast.parse, []
    nb = handed_in(double=huge, flip=f"{huge}def flip(tensor):\n    return 1")
    nb.cells.insert(1, new_code_cell(f"{huge}def quadruple(x):\n    return 1"))
    assignment = read_assignment("90", course(tmp_path))

    def noted(source, *args, **kwargs):
        lengths.append(len(source))
        return parse(source, *args, **kwargs)

    monkeypatch.setattr(ast, "parse", noted)
    data = json.dumps(nb).encode()
    work = read_work(Submission("ann", read=lambda: data), assignment)
    job = job_of(work, assignment, Terms((1,)), assignment.tasks)
    assert [asked["name"] for asked in job["told"]["exercises"]] == ["quadruple"]
    assert 0 < max(lengths) <= LONGEST_CELL
    assert work.notes == ["cells beside the answers too long to be read: 1"]


def test_from_python_it_is_one_submission_with_seeds_that_nobody_foresees(
    tmp_path, monkeypatch
):
    root, right = course(tmp_path), json.dumps(handed_in())
    for name, files in (("one", ["a/x.ipynb"]), ("two", ["a/x.ipynb", "b/x.ipynb"])):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for file in files:
                archive.writestr(file, right)
    passed = {"status": "passed", "points": 1, "of": 1, "message": "ok"}
    drawn = []

    def examined(job):
        drawn.append(job["told"]["seeds"])
        return {"results": [passed] * len(job["told"]["exercises"])}

    monkeypatch.setattr(api.workers, "examined", examined)
    with pytest.raises(LabError, match="two.zip holds 2 submissions, but one"):
        api.grade(tmp_path / "two.zip", "90", root=root)
    one = tmp_path / "one.zip"
    for terms in (None, Terms(()), Terms((3, 4))):
        assert api.grade(one, "90", terms=terms, root=root).student == "a"
    assert [len(set(seeds)) for seeds in drawn] == [2, 2, 2]
    assert not set(drawn[0]) & set(drawn[1]) and drawn[2] == [3, 4]
    assert min(drawn[0]) > 1
