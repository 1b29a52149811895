"""Pages that are read without JupyterLab: the site, and what grading writes."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import threading

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from corpus import save  # noqa: E402
from notebooks import ROOT  # noqa: E402
from toylab import course, handed_in  # noqa: E402

from labcore.checks.engine.message import message  # noqa: E402
from labcore.checks.engine.picture import LARGEST  # noqa: E402
from labcore.staff.grading import batch  # noqa: E402
from labcore.staff.grading.jobs import Terms  # noqa: E402
from labcore.staff.grading.talk import KEPT  # noqa: E402
from labcore.staff.grading.talkpage import sheet  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.long]
SITE = ROOT / "docs/_build/html"
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
OUTCOMES = {
    "ann": {},
    "bob": {"double": "def double(x):\n    return x * x"},
    "eve": {"double": None, "flip": "1 / 0", "why": "<b>bold</b>\n" + "long" * 100},
}


@pytest.fixture(scope="module")
def pages(missing, tmp_path_factory):
    """A copy of what `make site` built, which may be built again meanwhile."""
    if not (SITE / "index.html").is_file():
        missing("the site is not built: make site")
    return shutil.copytree(SITE, tmp_path_factory.mktemp("site") / "html")


@pytest.fixture(scope="module")
def site(pages):
    with served(pages) as address:
        yield address


@pytest.fixture
def addresses(site, pages) -> list[str]:
    """Every page of the site."""
    paths = sorted(path.relative_to(pages) for path in pages.rglob("*.html"))
    return [f"{site}/{p.as_posix()}" for p in paths if p.parts[0] != "_static"]


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    """What grading writes about three students of a toy lab."""
    folder = tmp_path_factory.mktemp("class")
    for student, answers in OUTCOMES.items():
        save(handed_in(**answers), folder / "in" / student)
    options = batch.Options(
        submissions=folder / "in",
        number="90",
        out=folder / "grades",
        root=course(folder / "course"),
        terms=Terms(seeds=(1,), timeout=60, sandbox=False, talk=True),
        jobs=1,
    )
    batch.grade_class(options)
    return options.out


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


class served:
    """A folder at an address of this machine, while the context lasts."""

    def __init__(self, folder) -> None:
        handler = functools.partial(Quiet, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_every_page_of_the_site_loads_and_asks_no_other_machine(visit, addresses):
    page = visit()
    for address in addresses:
        assert page.goto(address).ok


def test_axe_finds_nothing_serious_on_the_site(visit, addresses, violations):
    """Of the listings of code, which are many and alike, one is looked at.

    In the dark nothing but colours differs, so one page a folder is enough, and home.
    """
    page = visit(color_scheme="light")
    dark = {each.rpartition("/")[0]: each for each in addresses}.values()
    listings = [each for each in addresses if "/_modules/labcore/" in each]
    found = []
    for address in sorted(set(addresses) - set(listings[1:])):
        page.emulate_media(color_scheme="light")
        page.goto(address)
        found += violations(page)
        if address in dark or address.endswith("/index.html"):
            page.emulate_media(color_scheme="dark")
            page.locator("html[data-theme=dark]").wait_for()
            found += violations(page, runOnly=["color-contrast"])
    assert found == []


def test_the_search_of_the_site_finds_a_word(visit, site):
    page = visit()
    assert page.goto(f"{site}/index.html").ok
    page.keyboard.press("Control+k")
    page.locator("input[type=search]:focus").wait_for()
    page.keyboard.type("kurtosis")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="Lab 01: Weight histograms").wait_for()


@SCHEMES
def test_axe_finds_nothing_serious_in_feedback(visit, grades, violations, scheme):
    page = visit(color_scheme=scheme)
    found = []
    pages = sorted((grades / "feedback").glob("*.html"))
    assert len(pages) == len(OUTCOMES)
    for path in pages:
        page.goto(path.as_uri())
        page.get_by_role("heading", level=1, name="Lab 90: ").wait_for()
        found += violations(page)
    assert found == []


@SCHEMES
def test_axe_finds_nothing_serious_in_the_talk(visit, grades, violations, scheme):
    page = visit(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page.goto((grades / "talk.html").as_uri())
    page.get_by_role("heading", level=1, name="Lab 90: five minutes").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_longest_talk_prints_on_one_page_a_student(visit, paper):
    """Three changes, each with long lines, a message that was cut, and a picture."""
    rows = {label: "many words " * 99 for label in ("given", "expected", "got")}
    picture = [" " * 12 + "# . . . . . . .  " * 3] * (2 + LARGEST)
    line = "model.get_submodule(name).weight " * 3
    change = {
        **{"id": "10.1", "name": "FineGrainedPruner", "line": 17},
        **{"before": line, "after": line},
        "message": message("[10.1 FineGrainedPruner] FAILED: it", rows, picture),
    }
    result = {
        "talk": {"changes": [change] * KEPT, "figure": "many words " * 9},
        "texts": [{"source": "It is 35.9 of " + "many words " * 99}],
    }
    page = visit(color_scheme="dark")
    page.set_content(sheet("10", {"ann": result, "bob": result}))
    printed = page.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 29, 31)"
