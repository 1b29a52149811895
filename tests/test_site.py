"""The site: which outputs a page shows, where links lead, what a browser loads."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from nbformat.v4 import new_output
from notebooks import (
    LABS,
    ROOT,
    answer,
    check,
    code,
    code_cells,
    is_answer,
    is_check,
    needed,
    notebook,
    prose,
    read,
    write,
)

from labcore.staff.authoring.release import secrets
from labcore.staff.authoring.site import build, lab_page, stage
from labcore.student.notebooks import tags

labs = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)


def page(*cells):
    """The page of a lab whose solution put out `ran` in each code cell."""
    lab = notebook(prose("title", "# Lab 90: doubling"), *cells)
    solution = notebook(*(cell.copy() for cell in lab.cells))
    for cell in code_cells(solution):
        cell.outputs = [new_output("stream", text="ran\n")]
    made = lab_page(lab, solution)
    return {cell.id: cell for cell in made.cells}


def folded(cell):
    return "hide-output" in tags(cell)


def page_of(path):
    solution = read(ROOT / "solutions" / path.name)
    return lab_page(read(path), solution), solution


def test_a_plain_cell_shows_what_it_put_out():
    cell = page(code("plain", "1 + 1"))["plain"]
    assert cell.outputs[0].text == "ran\n" and not folded(cell)


def test_an_answer_and_its_check_show_nothing():
    made = page(answer("double", "def double(x): ..."), check("check-double", "1"))
    assert made["double"].outputs == made["check-double"].outputs == []


def test_after_a_prediction_without_a_number_all_is_folded_up_to_the_next_text():
    made = page(
        prose("ask", "**Predict**: what comes out?"),
        code("first", "1"),
        code("second", "2"),
        prose("told", "Two numbers."),
        code("later", "3"),
    )
    seen = {name: folded(made[name]) for name in ("first", "second", "later")}
    assert seen == {"first": True, "second": True, "later": False}


def test_after_a_typed_prediction_all_is_folded_up_to_the_cell_that_draws_it():
    made = page(
        prose("ask", "**Predict**: how much?"),
        code("guess", "guess_half = None  # your guess_half, in %"),
        prose("how", "The next cell measures."),
        code("measure", "half = 50"),
        code("draw", "draw(half, guess_half)"),
        code("later", "3"),
    )
    seen = {name: folded(made[name]) for name in ("measure", "draw", "later")}
    assert seen == {"measure": True, "draw": True, "later": False}


def test_what_gives_nothing_away_stays_open_after_a_prediction():
    told = code("sizes", "1")
    told.metadata["tags"] = ["open"]
    made = page(prose("ask", "**Predict**: how much?"), told, code("measure", "2"))
    assert not folded(made["sizes"]) and folded(made["measure"])


def test_what_follows_a_second_title_becomes_a_part_of_the_page():
    made = page(prose("deeper", "# Going deeper\n\n## More"), prose("x", "### Task"))
    assert made["deeper"].source == "## Going deeper\n\n### More"
    assert made["x"].source == "#### Task"


@labs
def test_no_answer_or_check_of_a_lab_shows_an_output(path):
    for cell in code_cells(page_of(path)[0]):
        if is_answer(cell) or is_check(cell):
            assert cell.outputs == [], cell.id


def test_in_every_lab_what_uses_a_guess_is_folded():
    drawn = []
    for path in LABS:
        guessed = set()
        for cell in code_cells(page_of(path)[0]):
            if cell.outputs and needed(cell) & guessed:
                assert folded(cell), f"{path.name}, {cell.id}"
                drawn.append(cell.id)
            guessed |= set(re.findall(r"^(guess\w*) = None", cell.source, re.MULTILINE))
    assert len(drawn) > 10


@labs
def test_no_output_of_a_lab_shows_a_line_of_an_answer(path):
    made, solution = page_of(path)
    shown = [line.strip() for cell in code_cells(made) for line in lines(cell)]
    for cell_id, hidden in secrets(solution).items():
        long = {line for line in hidden if len(line) > 12}
        assert not long & set(shown), cell_id


def lines(cell):
    texts = [o.get("text", "") for o in cell.outputs]
    texts += [o.data.get("text/plain", "") for o in cell.outputs if "data" in o]
    return "\n".join(texts).split("\n")


@pytest.fixture
def course(tmp_path):
    """A course of one lab and one guide, and the folder for its pages."""
    name = "11_on_the_chip.ipynb"
    links = prose("links", "[answer](../solutions/11_on_the_chip.ipynb#cell-id=x)")
    write(tmp_path / "solutions" / name, notebook(prose("t", "# Lab"), links))
    write(tmp_path / "labs" / name, notebook(prose("t", "# Lab"), links))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(
        "[guide](../labs/README.md#a-part) [licence](../LICENSE)", encoding="utf-8"
    )
    (tmp_path / "docs" / "map.png").write_bytes(b"png")
    (tmp_path / "labs" / "README.md").write_text(
        "![map](../docs/map.png) [lab](11_on_the_chip.ipynb) [home](../README.md)",
        encoding="utf-8",
    )
    (tmp_path / "README.md").write_text("`x[0](y)`", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("MIT", encoding="utf-8")
    return tmp_path


def staged(course, repository=""):
    stage(course, course / "out", repository)
    texts = [path for path in (course / "out").rglob("*") if path.suffix != ".png"]
    return {p.name: p.read_text(encoding="utf-8") for p in texts if p.is_file()}


def test_links_follow_the_pages_to_their_new_places(course):
    made = staged(course)
    assert made["index.md"].startswith("[guide](students.md#a-part)")
    assert made["students.md"] == (
        "![map](docs/map.png) [lab](labs/11_on_the_chip.ipynb) [home](index.md)"
    )
    assert (course / "out" / "docs" / "map.png").read_bytes() == b"png"
    assert made["README.md"] == "`x[0](y)`"


def test_a_file_that_is_no_page_is_named_or_linked_at_the_code_host(course):
    made = staged(course)
    assert "licence (`LICENSE`)" in made["index.md"]
    assert "answer (`solutions/11_on_the_chip.ipynb`)" in made["11_on_the_chip.ipynb"]
    made = staged(course, "https://host.example/course/")
    assert "(https://host.example/course/blob/main/LICENSE)" in made["index.md"]


class Parts(HTMLParser):
    """What an HTML file loads by itself, where its links lead, and its ids."""

    def __init__(self, path):
        super().__init__()
        self.path, self.loads, self.links = path, [], []
        self.ids, self.alts, self.folds = set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "a":
            self.links += [found["href"]] if "href" in found else []
        else:
            self.loads += [found[k] for k in ("src", "href", "data") if found.get(k)]
        if tag == "img":
            self.alts.append(found.get("alt"))
        self.folds += tag == "details"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole site, built without a warning: about 20 seconds of computing."""
    folder = build(ROOT, tmp_path_factory.mktemp("site"), strict=True).parent
    made = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    return {path: Parts(path) for path in made}, folder


@pytest.mark.long
def test_no_page_loads_anything_from_another_host(site):
    pages, folder = site
    for path, parts in pages.items():
        for address in parts.loads:
            assert not urlsplit(address).netloc, f"{path.name}: {address}"
    for path in folder.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text), path.name


@pytest.mark.long
def test_every_link_inside_the_site_leads_somewhere(site):
    pages, folder = site
    for path, parts in pages.items():
        for link in [*parts.links, *parts.loads]:
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            assert target.is_file(), f"{path.relative_to(folder)}: {link}"
            if to.fragment and target in pages and not to.fragment.startswith("pst-"):
                assert unquote(to.fragment) in pages[target].ids, f"{path.name}: {link}"


@pytest.mark.long
@labs
def test_a_lab_is_a_page_with_its_folds_and_its_figures(site, path):
    pages, folder = site
    parts = pages[folder / "labs" / f"{path.stem}.html"]
    hints = sum(cell.source.count("<details>") for cell in read(path).cells)
    assert parts.folds >= hints > 0
    assert all(alt and alt.strip() for alt in parts.alts)


@pytest.mark.long
def test_the_reference_has_what_the_labs_import(site):
    pages, folder = site
    imports = r"^from (labcore\.(?!checks)\w+) import (.+)$"
    wanted = {
        f"{module}.{name.strip()}"
        for path in LABS
        for cell in code_cells(read(path))
        for module, names in re.findall(imports, cell.source, re.MULTILINE)
        for name in names.split(",")
    }
    described = pages[folder / "reference.html"].ids
    shown = {module for module, _, _ in (name.rpartition(".") for name in wanted)}
    assert {f"module-{module}" for module in shown} <= described
    assert len(wanted & described) > len(wanted) / 2
