"""Set-up, on a machine that is played: nothing is downloaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labcore.runtime import LabError
from labcore.student import environment, install

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


class Machine:
    """Answers the commands of a set-up and remembers them."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.commands: list[list[str]] = []
        self.refused: set[str] = set()  # installing fails where one is an argument
        self.installed: set[str] = set()
        self.broken = False  # torch is installed, but the import fails
        self.pip_works = True
        self.interrupt_at: str | None = None

    def run(self, *command) -> subprocess.CompletedProcess:
        parts = [str(part) for part in command]
        self.commands.append(parts)
        code, output = self.answer(parts)
        return subprocess.CompletedProcess(parts, code, stdout=output)

    def answer(self, parts: list[str]) -> tuple[int, str]:
        if parts[1:3] == ["-m", "venv"]:
            python = environment.venv_python()
            python.parent.mkdir(parents=True)
            python.touch()
        elif parts[1:2] == ["-c"] and parts[2].startswith("import sys; print"):
            return 0, "3 12\n"
        elif parts[1:2] == ["-c"] and "metadata" in parts[2]:
            return int(not set(parts[3:]) <= self.installed), ""
        elif parts[1:2] == ["-c"] and "suffices" in parts[2]:
            return int(not {"torch", *parts[3:]} <= self.installed), ""
        elif parts[1:] == ["-c", "import torch"]:
            return int(self.broken), "Traceback\nOSError: libtorch.so: cannot open\n"
        elif parts[1:] == ["-m", "pip", "--version"]:
            return int(not self.pip_works), ""
        elif "install" in parts:
            if self.interrupt_at in parts:
                raise KeyboardInterrupt
            if self.refused & set(parts):
                return 1, "ERROR: no such package\n"
            names = {part.partition(">=")[0] for part in parts}
            self.installed |= {"torch"} | names & {"torchvision"}
        return 0, ""

    @property
    def installs(self) -> list[list[str]]:
        return [parts for parts in self.commands if "install" in parts]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    shutil.copy(PROJECT, tmp_path)
    venv = tmp_path / ".venv"
    for module in (environment, install):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(install, "STAMP", venv / "labcore.json")
    monkeypatch.setattr(install, "NVIDIA", [])
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(environment, "suffices", lambda: False)
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    played = Machine(venv)
    monkeypatch.setattr(install, "_run", played.run)
    monkeypatch.setattr(
        install.subprocess, "run", lambda command, cwd: played.run(*command)
    )
    return played


def test_torch_comes_from_its_cpu_index_where_linux_has_no_nvidia(machine, capsys):
    install.set_up(["test"])
    torch, labcore = machine.installs
    assert torch[-1] == "torch>=2.4"
    assert "--isolated" in torch and install.CPU_INDEX in torch
    assert torch[torch.index("--retries") + 1] == "0"
    assert labcore[-2:] == ["-e", f"{install.ROOT}[test]"]
    assert "from its CPU-only index" in capsys.readouterr().out


def test_torchvision_comes_from_the_same_index(machine):
    install.set_up(["vision"])
    assert machine.installs[0][-2:] == ["torch>=2.4", "torchvision>=0.19"]
    assert install.CPU_INDEX in machine.installs[0]


def test_the_default_index_has_torch_where_the_cpu_only_one_does_not_answer(
    machine, capsys
):
    machine.refused = {install.CPU_INDEX}
    install.set_up()
    assert len(machine.installs) == 2
    assert "--index-url" not in machine.installs[1]
    said = capsys.readouterr()
    assert said.out.count("from pip's default index") == 1
    assert said.err == ""


@pytest.mark.parametrize("system", ["nvidia", "darwin", "win32"])
def test_elsewhere_one_call_of_pip_does_it(machine, monkeypatch, system):
    if system == "nvidia":
        monkeypatch.setattr(install, "NVIDIA", [str(PROJECT)])
    else:
        monkeypatch.setattr(sys, "platform", system)
    install.set_up()
    assert [command[-1] for command in machine.installs] == [str(install.ROOT)]


def test_torch_index_overrides_the_rule(machine, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/whl")
    install.set_up()
    torch = machine.installs[0]
    assert torch[torch.index("--index-url") + 1] == "https://example.org/whl"
    assert not any(install.CPU_INDEX in command for command in machine.installs)
    assert "TORCH_INDEX, https://example.org/whl" in capsys.readouterr().out


def test_a_torch_that_cannot_be_imported_stops_with_one_sentence(machine):
    machine.broken = True
    with pytest.raises(LabError, match="cannot be imported .*libtorch.so.* delete"):
        install.set_up()
    assert not install.STAMP.exists()


@pytest.mark.parametrize("refused", ["https://example.org/whl", "-e"])
def test_a_failure_shows_what_pip_said(machine, monkeypatch, capsys, refused):
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/whl")
    machine.refused = {refused}
    with pytest.raises(LabError, match="could not be installed: fix what is reported"):
        install.set_up()
    assert "ERROR: no such package" in capsys.readouterr().err
    assert not install.STAMP.exists()


@pytest.fixture
def uv(machine, monkeypatch):
    """A .venv as uv makes it: without pip."""
    python = environment.venv_python()
    python.parent.mkdir(parents=True)
    python.touch()
    (install.VENV / "pyvenv.cfg").write_text("home = x\nuv = 0.13.9\n", "utf-8")
    machine.pip_works = False
    monkeypatch.setattr(install.shutil, "which", lambda name: f"/bin/{name}")
    return machine


def test_uv_installs_where_it_made_the_environment(uv):
    install.set_up(["test"])
    python = str(environment.venv_python())
    labcore = f"{install.ROOT}[test]"
    (command,) = uv.installs
    assert command == ["/bin/uv", "pip", "install", "--python", python, "-e", labcore]
    assert not install.STAMP.exists()


def test_uvs_environment_is_used_as_it_is_when_all_is_there(uv):
    uv.installed = {"torch", "test"}
    assert install.set_up(["test"]) == environment.venv_python()
    assert uv.installs == []
    install.set_up(["chip"])
    assert uv.installs[0][-1] == f"{install.ROOT}[chip]"


def test_uvs_environment_without_uv_is_left_alone(uv, monkeypatch):
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    with pytest.raises(LabError, match="has neither pip nor, here, uv: install uv"):
        install.set_up()
    assert environment.venv_python().exists() and uv.installs == []


def test_a_set_up_that_uv_runs_is_handed_over_to_it(machine, monkeypatch):
    monkeypatch.setenv("UV", "/opt/uv")
    monkeypatch.setattr(environment, "suffices", lambda: True)
    monkeypatch.setattr(environment, "_installed", lambda package: False)
    assert install.set_up(["toolbox"]) == Path(sys.executable)
    (command,) = machine.installs
    assert command[:5] == ["/opt/uv", "pip", "install", "--python", sys.executable]


def test_a_newer_python_is_tried_with_one_line_of_warning(machine, monkeypatch, capsys):
    install.set_up()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "version_info", (3, 15, 0))
    install.set_up()
    (line,) = capsys.readouterr().err.splitlines()
    assert "tried with Python 3.11 to 3.14, and this is 3.15" in line


def test_a_repeat_starts_at_once(machine, capsys):
    install.set_up(["test", "vision"])
    machine.commands.clear()
    capsys.readouterr()
    assert install.set_up(["vision"]) == environment.venv_python()
    assert install.set_up() == environment.venv_python()
    assert machine.installs == []
    assert capsys.readouterr().out == ""


def test_a_new_part_is_added_to_those_there_and_torch_is_left_alone(machine):
    install.set_up(["test"])
    machine.commands.clear()
    install.set_up(["instructor"])
    (labcore,) = machine.installs
    assert labcore[-1] == f"{install.ROOT}[instructor,test]"


def test_a_changed_pyproject_is_installed_again_with_the_same_parts(machine):
    install.set_up(["test"])
    machine.commands.clear()
    project = install.ROOT / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    install.set_up()
    assert [command[-1] for command in machine.installs] == [f"{install.ROOT}[test]"]


@pytest.mark.parametrize("at", ["torch>=2.4", "-e"])
def test_an_interrupted_set_up_is_taken_up_again(machine, at):
    machine.interrupt_at = at
    with pytest.raises(KeyboardInterrupt):
        install.set_up(["test"])
    site = install.VENV / "lib" / "python3.12" / "site-packages"
    half, whole = site / "half-1.0.dist-info", site / "whole-1.0.dist-info"
    half.mkdir(parents=True)
    whole.mkdir()
    (whole / "INSTALLER").touch()
    machine.interrupt_at = None
    install.set_up(["test"])
    assert not half.exists() and whole.exists()
    assert machine.installs[-1][-1] == f"{install.ROOT}[test]"
    assert install.STAMP.exists()


def test_a_damaged_stamp_counts_as_none(machine):
    install.set_up()
    install.STAMP.write_text("{", encoding="utf-8")
    machine.commands.clear()
    install.set_up()
    assert len(machine.installs) == 1


@pytest.mark.parametrize("lacking", ["venv", "ensurepip"])
def test_a_python_without_venv_names_debians_package(machine, monkeypatch, lacking):
    real = install.importlib.util.find_spec
    monkeypatch.setattr(
        install.importlib.util, "find_spec", lambda name: name != lacking and real(name)
    )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(LabError, match=f"apt install python{version}-venv"):
        install.set_up()


def test_an_unknown_part_is_refused_before_anything_is_made(machine):
    with pytest.raises(LabError, match="no optional part 'tset'.*test"):
        install.set_up(["tset"])
    assert not install.VENV.exists()


def test_a_sufficient_environment_is_used_as_it_is(machine, monkeypatch):
    monkeypatch.setattr(environment, "suffices", lambda: True)
    assert install.set_up() == Path(sys.executable)
    assert machine.commands == [] and not install.VENV.exists()


def test_a_part_can_be_added_to_a_sufficient_environment(machine, monkeypatch):
    monkeypatch.setattr(environment, "suffices", lambda: True)
    monkeypatch.setattr(environment, "_installed", lambda package: False)
    machine.installed = {"torch"}
    assert install.set_up(["toolbox"]) == Path(sys.executable)
    (labcore,) = machine.installs
    assert labcore[-1] == f"{install.ROOT}[toolbox]"


def test_the_clones_own_metadata_does_not_count_as_installed(tmp_path, monkeypatch):
    info = tmp_path / "planted.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: planted\nVersion: 1\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert environment._installed("planted")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert not environment._installed("planted")


@pytest.mark.parametrize("same", [True, False])
def test_an_environment_suffices_only_with_labcore_from_this_clone(
    tmp_path, monkeypatch, same
):
    clone, site = tmp_path / "a clone", tmp_path / "site"
    info = site / "pruning_lab-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: pruning-lab\nVersion: 1\n", encoding="utf-8")
    origin = clone if same else tmp_path / "another"
    url = {"url": origin.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(url), encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(site)])
    monkeypatch.setattr(environment, "ROOT", clone)
    monkeypatch.setattr(environment, "VENV", clone / ".venv")
    monkeypatch.setattr(environment, "missing", lambda extra=None: [])
    assert environment.suffices() == same


def test_a_venv_without_a_working_pip_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    monkeypatch.setattr(install, "VENV", tmp_path / "venv")
    python = environment.venv_python()
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "gone") if sys.platform != "win32" else None
    install._make_venv(python)
    pip = [str(python), "-m", "pip", "--version"]
    assert subprocess.run(pip, capture_output=True).returncode == 0
