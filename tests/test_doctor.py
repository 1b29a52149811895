"""`labcore doctor` on sound and on broken machines."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from labcore import assets, machine, runtime
from labcore.student import doctor, environment, report

ROOT = Path(__file__).resolve().parents[1]


def examine(capsys) -> tuple[int, dict[str, str]]:
    """The exit status, and each line by its name with its mark in front."""
    code = doctor.main()
    lines = capsys.readouterr().out.splitlines()
    return code, {line[2:14].strip(): line[0] + line[14:] for line in lines[:-1]}


def test_a_sound_machine_runs_the_core_labs(capsys):
    code, lines = examine(capsys)
    assert code == 0
    assert {
        "Python",
        "torch",
        "device",
        "bfloat16",
        "threads",
        "memory",
        "disk",
    } <= set(lines)
    assert {"kernels", "assets", "torchvision", "optional"} <= set(lines)
    assert not any(text.startswith("X") for text in lines.values())


BROKEN = {
    "ImportError": "raise ImportError('undefined symbol: cublasLt')",
    "OSError": "raise OSError('libtorch_cpu.so: cannot open shared object file')",
    "RuntimeError": "raise RuntimeError('operator torchvision::nms does not exist')",
    "ModuleNotFoundError": "import a_package_that_is_gone",
    "AttributeError": "",  # an empty folder left behind by a removal
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_torch_is_said_and_survived(tmp_path, kind):
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text(BROKEN[kind], encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "labcore", "doctor"],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert result.returncode == 1
    assert result.stderr == ""
    (line,) = [line for line in result.stdout.splitlines() if line[2:8] == "torch "]
    assert line.startswith("X") and f"broken ({kind}" in line
    assert "memory" in result.stdout and "assets" in result.stdout


def test_a_missing_torch_comes_with_the_command_that_adds_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, lines = examine(capsys)
    assert code == 1
    assert lines["torch"] == "X missing: run 'python -m labcore setup'"
    assert lines["device"] == "- unknown"


def test_a_broken_torchvision_does_not_stop_the_core_labs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    code, lines = examine(capsys)
    assert code == 0
    assert lines["torchvision"].startswith("- broken (AttributeError")


def test_a_missing_torchvision_comes_with_the_command_that_adds_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    code, lines = examine(capsys)
    assert code == 0
    assert "'python -m labcore setup vision' adds it" in lines["torchvision"]


def test_a_damaged_asset_stops_the_core_labs(monkeypatch, capsys):
    monkeypatch.setattr(assets, "verify_shipped", lambda: ["fashion.npz is damaged."])
    code, lines = examine(capsys)
    assert code == 1
    assert lines["assets"] == "X fashion.npz is damaged."


def test_a_missing_core_package_stops_the_core_labs(monkeypatch, capsys):
    monkeypatch.setattr(environment, "_installed", lambda name: name != "ipywidgets")
    code, lines = examine(capsys)
    assert code == 1
    assert lines["packages"].startswith("X ipywidgets missing: run")


def test_missing_optional_parts_come_with_their_commands(monkeypatch, capsys):
    gone = {"lightning", "nbgrader"}
    monkeypatch.setattr(environment, "_installed", lambda name: name not in gone)
    code, lines = examine(capsys)
    assert code == 0
    assert "lightning missing: 'python -m labcore setup toolbox'" in lines["optional"]
    assert "nbgrader missing: 'python -m labcore setup instructor'" in lines["optional"]


def test_a_wrong_setting_is_named(monkeypatch, capsys):
    monkeypatch.setenv("LABCORE_DEVICE", "gpu")
    code, lines = examine(capsys)
    assert code == 1
    assert "LABCORE_DEVICE is 'gpu'" in lines["device"]


def test_running_kernels_are_counted(monkeypatch, capsys):
    commands = [["python", "-m", "ipykernel_launcher", "-f", "x"], ["bash"], None]
    processes = [SimpleNamespace(info={"cmdline": command}) for command in commands]
    monkeypatch.setattr(psutil, "process_iter", lambda fields: processes)
    code, lines = examine(capsys)
    assert code == 0
    assert lines["kernels"].startswith("- 1 running")


@pytest.mark.parametrize("name", ["memory", "disk"])
def test_little_room_is_said_and_does_not_stop(monkeypatch, capsys, name):
    if name == "memory":
        monkeypatch.setattr(machine, "free_memory", lambda: 2**29)
    else:
        monkeypatch.setattr(
            doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**29)
        )
    code, lines = examine(capsys)
    assert code == 0
    assert lines[name].startswith("- only 0.5 GiB free")


def test_without_psutil_memory_and_kernels_are_unknown(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "psutil", None)
    code, lines = examine(capsys)
    assert code == 0
    assert lines["memory"] == lines["kernels"] == "- unknown without psutil"


def test_bfloat16_says_what_the_labs_compute_in(monkeypatch, capsys):
    monkeypatch.setenv("LABCORE_PRECISION", "fp32")
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: True)
    _, lines = examine(capsys)
    assert lines["bfloat16"] == "  in hardware; the labs compute in fp32"


def test_a_python_newer_than_tried_is_said_and_does_not_stop(monkeypatch, capsys):
    monkeypatch.setattr(environment, "NEWEST", (3, 10))
    code, lines = examine(capsys)
    assert code == 0
    assert lines["Python"].startswith("- 3.")
    assert lines["Python"].endswith("newer than 3.10, the newest that was tried")


def test_the_report_is_a_block_to_paste_with_versions_and_settings(monkeypatch, capsys):
    monkeypatch.setenv("LABCORE_TRACK", "fashion")
    assert doctor.main(pasted=True) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("```text", "```")
    assert "The core labs run here." in lines
    told = {line.partition("  ")[0]: line for line in lines}
    assert f"torch {version('torch')}, " in told["packages"]
    assert "LABCORE_TRACK=fashion" in told["settings"]


@pytest.mark.parametrize("clone", ["home/ann/course", "scratch/ann/course"])
def test_the_report_names_no_user_and_no_folder_of_theirs(
    monkeypatch, capsys, tmp_path, clone
):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home/ann")
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr(environment, "ROOT", tmp_path / clone)
    monkeypatch.setattr(sys, "executable", str(tmp_path / clone / ".venv/bin/python"))
    monkeypatch.setenv("LABCORE_CACHE", str(tmp_path / "home/ann/cache"))
    monkeypatch.setattr(assets, "verify_shipped", lambda: ["/data/ann/x is damaged."])
    doctor.main(pasted=True)
    said = capsys.readouterr().out
    assert "ann/" not in said and str(tmp_path) not in said
    assert "<course>/.venv/bin/python" in said
    assert "LABCORE_CACHE=<home>/cache" in said
    assert "/data/<user>/x is damaged." in said


def test_a_name_inside_a_word_stays():
    assert report.anonymous("annotated") == "annotated"
