"""The command line, and the Makefile that calls it."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from labcore import __main__ as cli
from labcore.runtime import LabError
from labcore.student import environment, install, jupyter

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def called(monkeypatch):
    """Calls into the rooms behind the commands, which are all played."""
    calls = []

    def play(room: str, function: str, answer=None) -> None:
        module = ModuleType(f"labcore.{room}")

        def record(*args):
            calls.append((function, *args))
            return answer

        setattr(module, function, record)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    play("student.update", "update_work")
    play("staff.authoring.release", "release", ["labs/00_x.ipynb differs."])
    play("staff.authoring.execute", "execute_solutions")
    play("staff.recipes", "train_track")
    monkeypatch.setattr(environment, "enter", lambda arguments: None)
    monkeypatch.setattr(environment, "missing", lambda extra=None: [])
    return calls


def test_update_moves_answers_from_labs_into_work(called):
    assert cli.main(["update"]) == 0
    assert called == [("update_work", ROOT / "work", ROOT / "labs")]


def test_release_prints_the_drift_and_fails_only_when_checking(called, capsys):
    assert cli.main(["release"]) == 0
    assert cli.main(["release", "--check"]) == 1
    assert called[1] == ("release", ROOT / "solutions", ROOT / "labs", True)
    assert "labs/00_x.ipynb differs." in capsys.readouterr().out


def test_solutions_runs_all_or_the_labs_named(called, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "solutions").mkdir()
    first, second = (tmp_path / "solutions" / f"{n}_x.ipynb" for n in ("00", "01"))
    first.touch()
    second.touch()
    assert cli.main(["solutions"]) == 0
    assert cli.main(["solutions", "01"]) == 0
    assert called == [
        ("execute_solutions", [first, second]),
        ("execute_solutions", [second]),
    ]


def test_an_unknown_lab_number_is_one_sentence(called, capsys):
    assert cli.main(["solutions", "77"]) == 1
    assert "There is no solutions/77_*.ipynb" in capsys.readouterr().err
    assert called == []


def test_train_passes_the_track_and_the_folder(called):
    assert cli.main(["train", "fashion", "--source", "raw"]) == 0
    assert cli.main(["train", "cifar10"]) == 0
    assert called == [
        ("train_track", "fashion", Path("raw")),
        ("train_track", "cifar10", None),
    ]


def test_lab_sets_up_copies_and_starts(monkeypatch, capsys):
    steps = []
    monkeypatch.setattr(install, "set_up", lambda: steps.append("set up") or "python")
    monkeypatch.setattr(jupyter, "copy_labs", lambda labs, work: ["00_x.ipynb"])
    monkeypatch.setattr(jupyter, "start", lambda *given: steps.append(given) or 0)
    assert cli.main(["lab", "--port", "9000", "--no-browser"]) == 0
    assert steps == ["set up", ("python", ROOT / "work", 9000, False)]
    assert "Copied into work/: 00_x.ipynb" in capsys.readouterr().out


def test_run_hands_a_module_and_its_arguments_to_the_labs_python(monkeypatch):
    monkeypatch.setattr(install, "set_up", lambda: "python")
    monkeypatch.setattr(environment, "hand_over", lambda *given: given == RUN and 7)
    assert cli.main(["run", "pytest", "-m", "not long", "--help"]) == 7


RUN = ("python", ["-m", "pytest", "-m", "not long", "--help"])


def test_the_help_of_setup_names_every_optional_part(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with suppress(SystemExit):
        cli.main(["setup", "--help"])
    said = capsys.readouterr().out
    assert all(extra in said for extra in project["project"]["optional-dependencies"])


def test_a_mistake_is_one_sentence_and_exit_1(monkeypatch, capsys):
    def refuse(extras):
        raise LabError("That cannot be done: do this.")

    monkeypatch.setattr(install, "set_up", refuse)
    assert cli.main(["setup", "test"]) == 1
    assert capsys.readouterr().err == "That cannot be done: do this.\n"


def test_ctrl_c_leaves_no_traceback(monkeypatch, capsys):
    def interrupt(extras):
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "set_up", interrupt)
    assert cli.main(["setup"]) == 130
    assert "Stopped" in capsys.readouterr().err


def test_a_command_without_its_packages_names_the_set_up(monkeypatch, capsys):
    monkeypatch.setattr(environment, "enter", lambda arguments: None)
    lacking = {None: [], "instructor": ["nbgrader"]}
    monkeypatch.setattr(environment, "missing", lambda extra=None: lacking[extra])
    assert cli.main(["release"]) == 1
    expected = (
        "nbgrader missing here: run 'python -m labcore setup instructor' first.\n"
    )
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("version", [(3, 8), (3, 10)])
def test_a_python_too_old_is_one_sentence(monkeypatch, capsys, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert cli.main(["lab"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"this is Python {version[0]}.{version[1]}" in line


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_what_a_too_old_python_reads_is_old_syntax(name):
    source = (ROOT / "labcore" / name).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 8))


def test_the_front_door_needs_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); "
        "import labcore.__main__; "
        "from labcore.student import doctor, install, jupyter; "
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(tops - sys.stdlib_module_names - {'labcore'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT
    )
    assert (result.stdout.strip(), result.stderr) == ("", "")


def test_a_bare_python_goes_on_in_the_venv(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "suffices", lambda: False)
    environment.enter(["doctor"])  # no .venv yet: stays here
    environment.venv_python().parent.mkdir()
    environment.venv_python().touch()
    handed = []
    monkeypatch.setattr(
        environment, "hand_over", lambda *given: handed.append(given) or 3
    )
    with pytest.raises(SystemExit) as end:
        environment.enter(["doctor"])
    assert end.value.code == 3
    assert handed == [(environment.venv_python(), ["-m", "labcore", "doctor"])]


needs_make = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="no make here"
)


def make(folder: Path, pythons: dict[str, str]) -> subprocess.CompletedProcess:
    """`make --dry-run lab` where PATH holds these commands only."""
    for name, script in pythons.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    environ = {name: text for name, text in os.environ.items() if name != "PYTHON"}
    environ.pop("MAKEFLAGS", None)
    return subprocess.run(
        [shutil.which("make"), "--dry-run", "--no-print-directory", "lab"],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**environ, "PATH": str(folder)},
    )


@needs_make
def test_make_passes_over_pythons_that_do_not_run_or_do_not_fit(tmp_path):
    good = f'exec "{sys.executable}" "$@"'
    shim, old = "echo 'not found' >&2; exit 127", "exit 1"
    result = make(tmp_path, {"python3": old, "python3.13": shim, "python3.12": good})
    assert result.stdout == "python3.12 -m labcore lab\n"
    assert result.stderr == ""


@needs_make
def test_make_says_in_one_sentence_that_no_python_fits(tmp_path):
    result = make(tmp_path, {"python3": "exit 1"})
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "No Python 3.11 or newer was found" in line
