"""What the guides say of the labs is what the labs say; and the README's picture."""

import re

import pytest
from notebooks import ROOT, SOLUTIONS, exercises, grading, prose_cells, read

from labcore.plots.alt import alt_text
from labcore.staff.authoring import overview

pytestmark = pytest.mark.usefixtures("nothing_is_shown")

HEADERS = overview.headers(ROOT / "solutions")
RESULTS = [
    overview.Result("dense", {"flash": 2265.4, "RAM": 101.0}, 94.6),
    overview.Result("pruned", {"flash": 57.2, "RAM": 61.0}, 93.7),
]


def rows(guide):
    """The guide's table rows about labs: number -> its cells."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    found = re.findall(r"^\| \[?(\d\d) (.*)\|$", text, re.MULTILINE)
    return {number: rest.split("|") for number, rest in found}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_guides_tell_the_same_minutes_and_points_as_the_lab(path):
    number = path.name[:2]
    nb, header = read(path), HEADERS[number]
    graded = [grading(cell).get("points", 0) for cell in nb.cells]
    code = sum(
        grading(cell).get("points", 0)
        for cells in exercises(nb).values()
        for cell in cells
        if cell.cell_type == "code"
    )
    texts = sum(grading(cell).get("points", 0) for cell in prose_cells(nb))
    assert code + texts == sum(graded)
    *_, minutes, needs = rows("README.md")[number]
    assert int(minutes) == header.minutes
    assert tuple(re.findall(r"\d\d", needs)) == header.needs
    title, code_points, text_points, minutes = rows("solutions/README.md")[number]
    assert title.strip() == header.title
    assert int(minutes) == header.minutes
    assert int(code_points) == code
    assert int(text_points.replace("\N{EN DASH}", "0")) == texts


def test_the_first_six_labs_are_required_and_the_others_electives():
    electives = [number for number, header in HEADERS.items() if header.elective]
    assert electives == [number for number in HEADERS if "06" <= number <= "10"]


def test_the_picture_shows_all_labs_and_tells_its_numbers():
    figure = overview.draw(HEADERS, RESULTS, overview.message())
    boxes = [text.get_text() for ax in figure.axes for text in ax.texts]
    boxes += [text.get_text() for sub in figure.subfigs for text in sub.texts]
    for number, header in HEADERS.items():
        assert f"{number} {header.title}" in boxes
    assert "93.7 % of the images and needs 57 KiB of flash" in alt_text(figure)
    assert "The chip has 256 KiB of flash and 64 of RAM" in alt_text(figure)


def test_the_message_in_the_picture_is_one_that_the_check_gives():
    said = overview.message()
    assert said.startswith("[1.1 get_sparsity] FAILED") and "likely" in said


def test_the_readme_shows_the_picture_with_its_alt_text():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    alt = re.search(rf"!\[([^\]]*)\]\({overview.PICTURE}\)", text)[1]
    assert (ROOT / overview.PICTURE).is_file()
    assert f"A map of {len(HEADERS)} labs" in alt and "The chip has" in alt
