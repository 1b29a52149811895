"""`labcore release --course`: what a class may see, and what it may not."""

import ast
import json
import os
import shutil
import subprocess
import sys

import pytest
from notebooks import (
    ROOT,
    answer,
    check,
    code,
    code_cells,
    is_answer,
    is_check,
    notebook,
    prose,
    read,
    write,
)

from labcore import __main__ as cli
from labcore.runtime import LabError
from labcore.staff.authoring.classroom import COPIED
from labcore.staff.authoring.course import release_course
from labcore.staff.authoring.release import CODE_STUB
from labcore.student.notebooks import notebook_text, tags

LINK = "Compare afterwards: [solution](../solutions/{}#cell-id=x)."


def solution(name, body, decorated=False):
    head = "@staticmethod\n" if decorated else ""
    region = f"    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"
    return f'{head}def {name}(x):\n    """What {name} does."""\n{region}'


DOUBLE = solution("double", "    result = x + x\n    return result")
HALF = solution("half", "    result = x / 2\n    return result", decorated=True)
GIVEN = "\n".join(
    line
    for line in f"LIMIT = 3\n\n\n{DOUBLE}\n\n\n{HALF}".splitlines()
    if "###" not in line
)


def lab(number, name, source, *more):
    """A source with one exercise, a claim and a link to the solutions."""
    cells = [
        prose("title", f"# Lab {number}\n\nSee [Lab 00](00_a.ipynb)."),
        code("setup", "import math", tags=["setup"]),
        answer(name, source),
        check(f"check-{name}", f"assert {name}(2.0)"),
        prose("hints", f"A hint.\n\n{LINK.format(f'{number}_a.ipynb')} Stuck? Ask."),
        prose("only-a-link", LINK.format(f"{number}_a.ipynb")),
        code("claim-1", "assert math.pi > 3", tags=["claim"]),
    ]
    return notebook(*cells, *more)


@pytest.fixture
def root(tmp_path):
    """A small repository of three labs, in whose last the first two are given."""
    root = tmp_path / "clone"
    hidden = {"source_hidden": True}
    sources = {
        "00_a.ipynb": lab("00", "half", HALF),
        "01_a.ipynb": lab("01", "double", DOUBLE),
        "02_a.ipynb": lab(
            "02",
            "third",
            solution("third", "    return x / 3"),
            code("given", GIVEN, tags=["given"], jupyter=hidden),
        ),
    }
    for name, nb in sources.items():
        write(root / "solutions" / name, nb)
    for name in (*COPIED, "Makefile"):
        shutil.copy(ROOT / name, root / name)
    rows = "".join(
        f"| [{n} Lab](labs/{n}_a.ipynb) | it | 5 | - |\n" for n in ("00", "01")
    )
    (root / "README.md").write_text(f"# Lab\n\n{rows}", encoding="utf-8")
    guide = "# For students\n\nThe answers are in `solutions/`.\n\nAsk.\n"
    write_text(root / "labs" / "README.md", guide)
    for name in ("lab00.py", "lab01.py", "lab02.py", "lab03/__init__.py"):
        write_text(root / "labcore" / "checks" / name, "")
    write_text(root / "labcore" / "checks" / "__pycache__" / "x.pyc", "")
    write_text(root / "labcore" / "staff" / "grading" / "batch.py", "")
    return root


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def given(folder):
    cells = code_cells(read(folder / "labs" / "02_a.ipynb"))
    (cell,) = [cell for cell in cells if "given" in tags(cell)]
    return cell


def test_a_class_gets_no_answers_no_links_and_no_later_checks(root, tmp_path):
    folder = tmp_path / "class"
    said = release_course(root, folder, "01", None, False)
    assert said == f"The class folder with 01 is in {folder}."
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        *COPIED,
        *("Makefile", "README.md", "release.json", "labs/README.md"),
        *("labs/01_a.ipynb", "labcore/checks/lab00.py", "labcore/checks/lab01.py"),
    }
    nb = read(folder / "labs" / "01_a.ipynb")
    sources = {cell.id: cell.source for cell in nb.cells}
    assert set(sources) == {"title", "setup", "double", "check-double", "hints"}
    assert sources["hints"] == "A hint.\n\nStuck? Ask."
    assert sources["title"].endswith("See Lab 00."), "a lab that this class lacks"
    assert CODE_STUB.split("\n")[1] in sources["double"]
    texts = "".join(
        (folder / name).read_text(encoding="utf-8")
        for name in ("README.md", "labs/README.md", "labs/01_a.ipynb")
    )
    assert "solutions" not in texts and "x + x" not in texts
    assert "[01 Lab](labs/01_a.ipynb)" in texts and "[00 Lab]" not in texts


def test_a_given_answer_that_is_still_open_becomes_its_stub(root, tmp_path):
    release_course(root, tmp_path / "class", "01-02", None, False)
    cell = given(tmp_path / "class")
    assert cell.metadata["own"] == {"double": "01"}
    assert "jupyter" not in cell.metadata, "no longer collapsed"
    tree = ast.parse(cell.source)
    assert [ast.unparse(node).split("\n")[0] for node in tree.body] == [
        *("LIMIT = 3", "def double(x):", "@staticmethod"),
    ]
    assert "x + x" not in cell.source
    assert "x / 2" in cell.source, "Lab 00 is over"
    assert cell.source.startswith("# Put in your own double, as in Lab 01.")
    assert '# double = lab01.lend("double")' in cell.source
    space = {}
    exec(cell.source, space)
    with pytest.raises(NotImplementedError, match="exercise not done yet"):
        space["double"](1)


@pytest.mark.parametrize(
    ("labs", "due", "own"),
    [
        ("00-02", None, {"half": "00", "double": "01"}),
        ("00,02", None, {"half": "00", "double": "01"}),
        ("00-02", "00", {"double": "01"}),
        ("00-02", "01", None),
        ("02", None, None),
    ],
)
def test_what_is_past_its_deadline_stays_given(root, tmp_path, labs, due, own):
    release_course(root, tmp_path / "class", labs, due, False)
    assert given(tmp_path / "class").metadata.get("own") == own


def test_an_open_answer_in_another_cell_is_refused(root, tmp_path):
    path = root / "solutions" / "02_a.ipynb"
    nb = read(path)
    nb.cells.append(code("shown", "def f(x):\n    result = x + x\n    return result"))
    nb.cells.append(prose("named", "Look into `solutions/`."))
    write(path, nb)
    with pytest.raises(LabError) as refusal:
        release_course(root, tmp_path / "class", "01-02", None, False)
    first, second = str(refusal.value).splitlines()
    assert first.startswith(
        "02_a.ipynb, cell 'shown' would show the whole answer of 01_a.ipynb, "
        "cell 'double'"
    )
    assert second == "02_a.ipynb, cell 'named' would name the solutions: reword it."
    assert not (tmp_path / "class").exists()


def test_a_folder_is_brought_up_to_date_and_what_others_put_there_stays(root, tmp_path):
    folder = tmp_path / "class"
    release_course(root, folder, "00-01", None, False)
    write_text(folder / "work" / "01_a.ipynb", "mine")
    release_course(root, folder, "01-02", "01", False)
    assert sorted(p.name for p in (folder / "labs").glob("*.ipynb")) == [
        *("01_a.ipynb", "02_a.ipynb")
    ]
    assert (folder / "work" / "01_a.ipynb").read_text(encoding="utf-8") == "mine"
    record = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    assert record["labs"] == ["01_a.ipynb", "02_a.ipynb"]
    assert "labs/00_a.ipynb" not in record["files"]


@pytest.mark.parametrize(
    ("folder", "labs", "due", "sentence"),
    [
        ("new", "1-2", None, "'1-2' names no labs: write 02, 01-03 or 00,02-03"),
        ("new", "02-01", None, "There are no labs 02-01: choose from 00, 01, 02"),
        ("new", "01-07", None, "There are no labs 01-07"),
        ("new", "01", "09", "There is no Lab 09 that could be due"),
        ("clone", "01", None, "clone is not empty and was not written by this"),
        ("clone/README.md", "01", None, "README.md is a file: name a folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    root, tmp_path, folder, labs, due, sentence
):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LabError) as mistake:
        release_course(root, tmp_path / folder, labs, due, False)
    assert sentence in str(mistake.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--course", "x"], "Say which labs the class gets: --labs 02, or"),
        (["--nbgrader"], "--labs, --due and --nbgrader go with --course DIR"),
    ],
)
def test_the_command_says_what_is_missing(monkeypatch, capsys, arguments, sentence):
    monkeypatch.setattr(cli, "_enter", lambda args, extra=None: ROOT)
    assert cli.main(["release", *arguments]) == 1
    assert sentence in capsys.readouterr().err


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real folder of the first two labs."""
    folder = tmp_path_factory.mktemp("real") / "class"
    release_course(ROOT, folder, "00-01", None, False)
    return folder


def python(folder, *arguments):
    """Python in the class folder; its kernels import the labcore of this folder too."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        encoding="utf-8",
    )


def test_the_real_folder_works_on_its_own(real):
    folder = real
    code = "import labcore.checks.lab01; print(labcore.__file__)"
    loaded = python(folder, "-c", code)
    assert loaded.stdout.strip() == str(folder / "labcore" / "__init__.py")
    for name in ("00_first_steps.ipynb", "01_weight_histograms.ipynb"):
        theirs, ours = read(folder / "labs" / name), read(ROOT / "labs" / name)
        assert [c.source for c in theirs.cells if is_answer(c)] == [
            c.source for c in ours.cells if is_answer(c)
        ]
        assert "solutions/" not in notebook_text(theirs)
    there = os.listdir(folder / "labcore" / "checks")
    assert [name for name in sorted(there) if name.startswith("lab")] == [
        *("lab00.py", "lab01.py")
    ]
    assert {"solutions", "tests", ".ci", ".github"}.isdisjoint(os.listdir(folder))


def test_a_student_can_use_every_command_of_the_folder(real, tmp_path):
    folder = tmp_path / "class"
    shutil.copytree(real, folder)
    code = (
        "from pathlib import Path; from labcore.student.jupyter import copy_labs; "
        "copy_labs(Path('labs'), Path('work'))"
    )
    python(folder, "-c", code).check_returncode()
    mine = folder / "work" / "00_first_steps.ipynb"
    nb = read(mine)
    nb.cells = [cell for cell in nb.cells if is_answer(cell) or is_check(cell)]
    nb.metadata["released"] = "older"
    write(mine, nb)
    for command, said in {
        ("doctor",): "The core labs run here.",
        ("update",): "00_first_steps.ipynb: updated; your earlier version is",
    }.items():
        done = python(folder, "-m", "labcore", *command)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    assert len(read(mine).cells) > len(nb.cells)
    write(mine, nb)
    done = python(folder, "-m", "labcore", "submit", "00")
    assert done.returncode == 0, done.stderr
    assert "0.1 count_zeros" in done.stdout
    assert (folder / "work" / "submissions" / mine.name).exists()


@pytest.mark.parametrize(
    "command",
    [
        ["grade", "submissions", "--lab", "01", "--out", "grades"],
        ["release"],
        ["release", "--course", "other", "--labs", "01"],
        ["solutions"],
        ["train", "fashion"],
    ],
    ids=" ".join,
)
def test_an_instructors_command_is_left_out_of_the_folder(real, command):
    assert not (real / "labcore" / "staff").exists()
    done = python(real, "-m", "labcore", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "This folder is a student's copy of the course, so it has no tools for "
        f"instructors: run 'labcore {command[0]}' in the full course.\n"
    )


needs_make = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="no make here"
)


@needs_make
def test_the_class_makefile_starts_and_submits(root, tmp_path):
    release_course(root, tmp_path / "class", "01", None, False)
    for arguments, command in {
        ("lab",): "-m labcore lab",
        ("submit", "LAB=02"): "-m labcore submit 02",
    }.items():
        made = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", *arguments],
            cwd=tmp_path / "class",
            capture_output=True,
            encoding="utf-8",
            env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
            | {"PYTHON": "python"},
        )
        assert made.stdout == f"python {command}\n", made.stderr
