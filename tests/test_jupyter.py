"""The student's JupyterLab: what it is given, and one real start."""

import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from serving import serving

from labcore.runtime import LabError
from labcore.student import jupyter

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@pytest.fixture
def labs(tmp_path):
    folder = tmp_path / "labs"
    folder.mkdir()
    for name in ("00_first.ipynb", "01_second.ipynb", "README.md", "other.txt"):
        (folder / name).write_text(f"released {name}", encoding="utf-8")
    return folder


def test_labs_and_their_guide_are_copied(labs, tmp_path):
    copied = jupyter.copy_labs(labs, tmp_path / "work")
    assert copied == ["00_first.ipynb", "01_second.ipynb", "README.md"]
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == copied


def test_a_students_copy_is_never_replaced(labs, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    mine = work / "00_first.ipynb"
    mine.write_text("my answers", encoding="utf-8")
    assert jupyter.copy_labs(labs, work) == ["01_second.ipynb", "README.md"]
    assert mine.read_text(encoding="utf-8") == "my answers"
    assert jupyter.copy_labs(labs, work) == []


def test_a_clone_without_labs_is_one_sentence(tmp_path):
    with pytest.raises(LabError, match="no folder .*labs"):
        jupyter.copy_labs(tmp_path / "labs", tmp_path / "work")


@pytest.mark.parametrize("user, allowed", [(0, True), (1000, False)])
def test_only_root_is_allowed_as_root(monkeypatch, tmp_path, user, allowed):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    arguments = jupyter._arguments(tmp_path, None, True)
    assert ("--allow-root" in arguments) == allowed


@pytest.mark.parametrize(
    "system, screen, wanted, opened",
    [
        ("linux", None, True, False),
        ("linux", "DISPLAY", True, True),
        ("linux", "BROWSER", True, True),
        ("linux", "DISPLAY", False, False),
        ("darwin", None, True, True),
        ("win32", None, True, True),
        ("win32", None, False, False),
    ],
)
def test_a_browser_opens_where_there_is_one(
    monkeypatch, tmp_path, system, screen, wanted, opened
):
    monkeypatch.setattr(sys, "platform", system)
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, ":0")
    arguments = jupyter._arguments(tmp_path, None, wanted)
    assert ("--no-browser" in arguments) != opened


def test_the_clone_is_the_root_and_work_the_first_folder_shown(tmp_path):
    arguments = jupyter._arguments(tmp_path / "work", None, True)
    assert f"--ServerApp.root_dir={tmp_path}" in arguments  # links to solutions work
    assert "--LabApp.default_url=/lab/tree/work" in arguments


def test_the_port_is_passed_on_and_the_token_left_alone(tmp_path):
    arguments = jupyter._arguments(tmp_path, 9123, True)
    assert "--port=9123" in arguments
    assert not any("token" in argument.lower() for argument in arguments)


def test_our_configuration_comes_before_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "theirs")
    variables = jupyter._variables(Path(sys.executable), tmp_path)
    first, second = variables["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert Path(first) == tmp_path / ".jupyter" and second == "theirs"
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))


def test_every_server_extension_of_nbgrader_is_switched_off():
    pytest.importorskip("nbgrader")
    from nbgrader.server_extensions import __path__ as folders

    shipped = {path.parent.name for path in Path(folders[0]).glob("*/__init__.py")}
    off = {name.rpartition(".")[2] for name in jupyter.SERVER_EXTENSIONS_OFF}
    assert off == shipped


@pytest.fixture
def started(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    code = (
        "import sys; from pathlib import Path; from labcore.student import jupyter; "
        "jupyter.start(Path(sys.executable), Path(sys.argv[1]), None, False)"
    )
    variables = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "settings")}
    with serving([sys.executable, "-c", code, str(work)], ROOT, variables) as lab:
        yield lab


def get(address: str):
    """From this machine, whatever proxy is set."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address)


def status(address: str) -> int:
    try:
        with get(address) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_a_real_start_asks_for_the_token_and_has_no_nbgrader(started):
    lab, base, query = started, started.base, f"token={started.token}"
    assert status(f"{base}/api/contents") == 403
    assert status(f"{base}/api/contents?{query}") == 200
    assert status(f"{base}/formgrader?{query}") == 404
    page = get(f"{base}/lab?{query}").read().decode()
    found = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert "@jupyter/nbgrader" in json.loads(found[1])["disabledExtensions"]
    assert "Traceback" not in lab.end(signal.SIGINT)
    assert lab.process.returncode == 0
