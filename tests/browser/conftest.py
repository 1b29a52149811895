"""A real browser, and the JupyterLab of a student who has a copy of the course."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path

import pytest
from keyboard import Student
from notebooks import ROOT
from serving import serving

from labcore.runtime import strict_environment

NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
MILLISECONDS = 600_000  # until a wait is given up; all cores may be busy
SETTLED = "Promise.allSettled(document.getAnimations().map(each => each.finished))"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--need-browser", action="store_true", help="fail where there is no browser"
    )


@pytest.fixture(scope="module")
def missing(request):
    """Ends a test that lacks something: `make test-browser` fails, the rest skip it."""
    need = request.config.getoption("--need-browser", default=False)
    return pytest.fail if need else pytest.skip


@pytest.fixture(scope="module")
def browser(missing):
    """Chromium or Chrome. One a module: playwright keeps an event loop running."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is missing: python -m labcore setup browser")
    with sync_playwright() as playwright:
        found = _launched(playwright.chromium)
        if found is None:
            missing(f"no browser found: install one of {', '.join(NAMES)}")
        yield found
        found.close()


def _launched(chromium):
    from playwright.sync_api import Error

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path:
        return chromium.launch(executable_path=path)
    try:
        return chromium.launch(channel="chrome")  # where macOS and Windows have it
    except Error:
        return None


@pytest.fixture
def visit(browser):
    """Opens pages; at the end none of them may have complained or asked elsewhere."""
    contexts, faults = [], []

    def opened(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        _watch(page, faults)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _watch(page, faults: list[str]) -> None:
    """Note errors of the console, failed requests, and requests to other machines."""

    def said(message) -> None:
        if message.type == "error":
            faults.append(f"{page.url}: {message.text} {message.location['url']}")

    def asked(request) -> None:
        local = ("http://localhost:", "ws://localhost:", "http://127.0.0.1:")
        if not request.url.startswith((*local, "data:", "blob:", "file:")):
            faults.append(f"{page.url}: asks {request.url}")

    def answered(response) -> None:
        if response.status >= 400:
            faults.append(f"{page.url}: {response.status} for {response.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("request", asked)
    page.on("response", answered)


@pytest.fixture
def violations(missing):
    """Finds what axe calls serious or critical on a page."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("axe-playwright-python is missing: python -m labcore setup browser")

    options = {
        "resultTypes": ["violations"],
        "preload": False,
    }  # else it asks for files

    def found(page, **only) -> list[str]:
        page.evaluate(SETTLED)  # a colour that is still fading has too little contrast
        return [
            f"{page.url}: {rule['id']}: {rule['help']}: {place['html'][:200]}"
            for rule in Axe().run(page, options=options | only).response["violations"]
            if rule["impact"] in ("serious", "critical")
            for place in rule["nodes"]
        ]

    return found


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A clone with work/ of its own, into which no user's settings reach."""
    clone = tmp_path_factory.mktemp("course")
    for name in ("labcore", "labs", "solutions"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, clone / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", clone)
    return clone


@pytest.fixture(scope="module")
def lab(browser, course, tmp_path_factory):
    """`labcore lab` in this clone; after `browser`, without which it is not needed."""
    own = tmp_path_factory.mktemp("own")
    variables = {
        **strict_environment(),
        **{f"JUPYTER_{n}_DIR": str(own / n) for n in ("CONFIG", "DATA", "RUNTIME")},
        "SHELL": "/bin/sh",  # without settings of the user that change the PATH
        "IPYTHONDIR": str(own / "ipython"),
        "LABCORE_CACHE": str(own / "cache"),
        "LABCORE_STRICT": "0",
        "PYTHONPATH": os.pathsep.join([str(course), str(_installed(course, own))]),
    }
    terminals = own / "CONFIG/lab/user-settings/@jupyterlab/terminal-extension"
    terminals.mkdir(parents=True)  # a terminal paints its text; so it says it too
    (terminals / "plugin.jupyterlab-settings").write_text('{"screenReaderMode": true}')
    command = [sys.executable, "-m", "labcore", "lab", "--no-browser"]
    with serving(command, course, variables) as started:
        yield started


@pytest.fixture
def student(visit, lab):
    """At the keyboard; at the end their kernels are stopped."""
    yield Student(visit(viewport={"width": 1280, "height": 900}), lab)
    for session in asked(lab, "GET", "sessions"):
        asked(lab, "DELETE", f"sessions/{session['id']}")


def asked(lab, method: str, what: str):
    """What the server's API answers."""
    headers = {"Authorization": f"token {lab.token}"}
    request = urllib.request.Request(
        f"{lab.base}/api/{what}", headers=headers, method=method
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request) as answer:
        return json.loads(answer.read() or "null")


def _installed(course: Path, own: Path) -> Path:
    """A folder that says: pip installed this clone here. So nothing is set up."""
    info = own / "site/pruning_lab-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: pruning-lab\nVersion: 0\n")
    (info / "direct_url.json").write_text(f'{{"url": "{course.as_uri()}"}}')
    return info.parent
