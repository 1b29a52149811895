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
        self.refused: set[str] = set()  # pip fails where one of these is an argument
        self.broken: set[str] = set()  # installed, but the import fails
        self.installed: set[str] = set()
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
        elif parts[1:2] == ["-c"] and parts[2].startswith("import sys; from"):
            return 0, " ".join(f"{name}==2.15.0+cpu" for name in parts[3:])
        elif parts[1:2] == ["-c"]:
            name = parts[2].split()[1]
            if name not in self.installed:
                return 1, f"Traceback\nModuleNotFoundError: No module named '{name}'\n"
            if name in self.broken:
                return 1, "Traceback\nOSError: libtorch.so: cannot open\n"
        elif "uninstall" in parts:
            self.installed.discard(parts[-1])
        elif "install" in parts:
            if self.interrupt_at in parts:
                raise KeyboardInterrupt
            if self.refused & set(parts):
                return 1, "ERROR: no such package\n"
            for part in parts:
                self.installed |= {part.partition(">=")[0]} & {"torch", "torchvision"}
        return 0, ""

    @property
    def pip(self) -> list[list[str]]:
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
    played = Machine(venv)
    monkeypatch.setattr(install, "_run", played.run)
    return played


def test_torch_and_torchvision_come_first_as_a_pair_and_then_labcore(machine):
    install.set_up(["test"])
    pair, labcore = machine.pip
    assert [part.partition(">=")[0] for part in pair[-2:]] == ["torch", "torchvision"]
    assert labcore[-1] == f"{install.ROOT}[test]"


def test_labcores_installation_never_replaces_torch(machine):
    install.set_up()
    assert "torch==2.15.0+cpu" in machine.pip[-1]
    assert "torchvision==2.15.0+cpu" in machine.pip[-1]


def test_without_nvidia_linux_takes_the_cpu_only_index(machine, capsys):
    install.set_up()
    assert "--isolated" in machine.pip[0] and install.CPU_INDEX in machine.pip[0]
    assert machine.pip[0][machine.pip[0].index("--retries") + 1] == "0"
    assert len(machine.pip) == 2
    assert "from its CPU-only index" in capsys.readouterr().out


def test_the_default_index_follows_where_the_cpu_only_one_cannot_be_reached(
    machine, capsys
):
    machine.refused = {install.CPU_INDEX}
    install.set_up()
    assert "--index-url" not in machine.pip[1] and "--isolated" not in machine.pip[1]
    assert capsys.readouterr().out.count("PyTorch from pip's default index") == 1


@pytest.mark.parametrize("system", ["nvidia", "darwin", "win32"])
def test_elsewhere_the_default_index_is_taken_at_once(machine, monkeypatch, system):
    if system == "nvidia":
        monkeypatch.setattr(install, "NVIDIA", [str(PROJECT)])
    else:
        monkeypatch.setattr(sys, "platform", system)
    install.set_up()
    assert not any("--index-url" in command for command in machine.pip)


def test_torch_index_overrides_the_rule(machine, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/whl")
    install.set_up()
    where = machine.pip[0].index("--index-url")
    assert machine.pip[0][where + 1] == "https://example.org/whl"
    assert not any(install.CPU_INDEX in command for command in machine.pip)
    assert "TORCH_INDEX, https://example.org/whl" in capsys.readouterr().out


def test_a_torch_that_cannot_be_imported_stops_with_one_sentence(machine):
    machine.broken = {"torch"}
    with pytest.raises(LabError, match="cannot be imported .*libtorch.so.* delete"):
        install.set_up()
    assert not any("-e" in command for command in machine.pip)
    assert not install.STAMP.exists()


def test_no_torch_at_all_shows_what_pip_said(machine, capsys):
    machine.refused = {"torch>=2.4"}
    with pytest.raises(LabError, match="TORCH_INDEX"):
        install.set_up()
    assert "ERROR: no such package" in capsys.readouterr().err


def test_without_torchvision_the_set_up_goes_on(machine, capsys):
    machine.refused = {"torchvision>=0.19"}
    install.set_up(["vision", "test"])
    assert machine.pip[-1][-1] == f"{install.ROOT}[test]"
    assert "default track works without it" in capsys.readouterr().out


def test_a_broken_torchvision_is_taken_out_and_the_set_up_goes_on(machine, capsys):
    machine.broken = {"torchvision"}
    install.set_up(["vision", "test"])
    assert "torchvision" not in machine.installed
    assert machine.pip[-1][-1] == f"{install.ROOT}[test]"
    assert not any("torchvision==" in part for part in machine.pip[-1])
    assert "OSError" in capsys.readouterr().out


def test_torchvision_asked_for_is_tried_again(machine):
    machine.refused = {"torchvision>=0.19"}
    install.set_up(["vision"])
    machine.refused = set()
    install.set_up(["vision"])
    assert "torchvision" in machine.installed
    assert machine.pip[-1][-1] == f"{install.ROOT}[vision]"


def test_a_repeat_starts_at_once(machine, capsys):
    install.set_up(["test", "vision"])
    machine.commands.clear()
    capsys.readouterr()
    assert install.set_up(["vision"]) == environment.venv_python()
    assert install.set_up() == environment.venv_python()
    assert machine.pip == []
    assert capsys.readouterr().out == ""


def test_a_new_part_is_added_to_those_there_and_torch_is_left_alone(machine):
    install.set_up(["test"])
    machine.commands.clear()
    install.set_up(["instructor"])
    (labcore,) = machine.pip
    assert labcore[-1] == f"{install.ROOT}[instructor,test]"


def test_a_changed_pyproject_is_installed_again_with_the_same_parts(machine):
    install.set_up(["test"])
    machine.commands.clear()
    project = install.ROOT / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    install.set_up()
    assert [command[-1] for command in machine.pip] == [f"{install.ROOT}[test]"]


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
    assert machine.pip[-1][-1] == f"{install.ROOT}[test]"
    assert install.STAMP.exists()


def test_a_failed_installation_of_labcore_shows_what_pip_said(machine, capsys):
    machine.refused = {"-e"}
    with pytest.raises(LabError, match="could not be installed"):
        install.set_up()
    assert "ERROR: no such package" in capsys.readouterr().err
    assert not install.STAMP.exists()


def test_a_damaged_stamp_counts_as_none(machine):
    install.set_up()
    install.STAMP.write_text("{", encoding="utf-8")
    machine.commands.clear()
    install.set_up()
    assert len(machine.pip) == 1


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
    assert install.set_up(["toolbox"]) == Path(sys.executable)
    (labcore,) = machine.pip
    assert "torch==2.15.0+cpu" in labcore
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
