"""What instructors read in a browser: free texts by keyboard alone, and the report."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from notebooks import ROOT  # noqa: E402
from test_grading_report import OF_CLASS, saved  # noqa: E402
from test_grading_review import HOSTILE, LONG, WHY, edit, filled, result  # noqa: E402

from labcore.staff.grading.desk import Desk  # noqa: E402
from labcore.staff.grading.merge import merge  # noqa: E402
from labcore.staff.grading.report import report  # noqa: E402
from labcore.staff.grading.review import Reviews  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.long]
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "grades")
    store.begin({"lab": "01", "seeds": [1]})
    for student in ("ann", "bob", HOSTILE):
        store.save(result(student, HOSTILE))
    merge(store, "01", {"Q1.1": WHY})
    return store


@pytest.fixture
def desk(store):
    with Desk(Reviews(store, [WHY]), "01") as desk:
        threading.Thread(target=desk.serve_forever, daemon=True).start()
        yield desk
        desk.shutdown()


def shows(page, place: str, text: str) -> None:
    page.locator(place, has_text=text).wait_for()


def test_free_texts_are_read_by_keyboard_alone(visit, desk, store):
    page = visit()
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    assert page.locator("#answer").inner_text() == HOSTILE
    press = page.keyboard.press
    first = page.evaluate("question.students[0]")
    press("1")
    press("c")
    page.keyboard.type("Which number? j 2")
    press("Escape")
    shows(page, "#status", "Saved.")
    press("s")
    shows(page, "#phrases", "Which number? j 2")
    assert filled(store)[first] == ("3", "Which number? j 2")
    press("u")
    shows(page, "#status", "Answer 2 of 3: not read yet.")
    press("Shift+Digit1")
    press("p")
    page.keyboard.type("1,5")
    press("Control+Enter")
    shows(page, "#status", "Answer 3 of 3: not read yet.")
    assert sorted(filled(store).values())[1] == ("1,5", "Which number? j 2")
    press("?")
    page.locator("dialog[open]", has_text="Shift 1").wait_for()
    press("Escape")
    page.reload()
    shows(page, "#status", "Answer 3 of 3: not read yet.")


def test_keys_in_a_hurry_belong_to_the_answer_that_they_led_to(visit, desk, store):
    page = visit()
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    slow = desk.reviews.answer
    desk.reviews.answer = lambda **asked: time.sleep(0.5) or slow(**asked)
    for key in ["2", "j", "1", "j", "c", *"a j?", "Escape", "1"]:
        page.keyboard.press(key)
    shows(page, "#which", "Answer 3 of 3")
    shows(page, "#status", "Saved.")
    first, second, third = page.evaluate("question.students")
    assert filled(store) == {first: ("1", ""), second: ("3", ""), third: ("3", "a j?")}


def test_an_edit_of_the_file_shows_while_the_page_is_open(visit, desk, store):
    page = visit()
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    edit(store, page.evaluate("question.students[0]"), points="2", comment="theirs")
    shows(page, "#notice", "1 row of review.csv changed outside this page")
    shows(page, "#status", "2 points")
    assert page.locator("#comment").input_value() == "theirs"


def test_the_question_folds_by_a_key_and_is_shown_as_text(visit, desk):
    page = visit(viewport=PHONE)
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    question = page.locator("#asked-text")
    assert question.is_hidden()
    page.keyboard.press("t")
    question.wait_for()
    assert question.inner_text() == WHY.text
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.locator("#asked-text:focus").count():
            break
    page.locator("#asked-text:focus").wait_for()
    page.keyboard.press("t")
    question.wait_for(state="hidden")


def test_a_comment_that_is_too_long_waits_in_its_box(visit, desk, store):
    page = visit()
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    first = page.evaluate("question.students[0]")
    page.keyboard.press("1")
    page.keyboard.press("c")
    page.keyboard.insert_text(LONG)
    page.keyboard.press("Escape")
    shows(page, "#status", "this comment has 299,999 characters; shorten it to 10,000")
    assert filled(store)[first] == ("3", "")
    page.keyboard.press("2")
    page.keyboard.press("j")
    page.locator("body:not(.moving)").wait_for()
    shows(page, "#which", "Answer 1 of 3")
    assert page.locator("#comment").input_value() == LONG
    assert filled(store)[first] == ("4", "")
    page.locator("#comment").fill("short")
    shows(page, "#status", "Saved.")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    shows(page, "#status", "Answer 2 of 3")
    assert filled(store)[first] == ("4", "short")


def test_a_long_comment_of_the_file_can_be_given_points(visit, desk, store):
    page = visit()
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3: not read yet.")
    first = page.evaluate("question.students[0]")
    edit(store, first, comment=LONG)
    shows(page, "#notice", "1 row of review.csv changed outside this page")
    assert page.locator("#comment").input_value() == LONG.strip()
    page.keyboard.press("1")
    shows(page, "#status", "Saved.")
    assert filled(store)[first] == ("3", LONG.strip())


@SCHEMES
def test_the_page_for_free_texts_can_be_used_by_all(visit, desk, violations, scheme):
    page = visit(color_scheme=scheme, viewport=PHONE)
    page.goto(desk.address)
    shows(page, "#status", "Answer 1 of 3")
    page.keyboard.press("t")
    page.keyboard.press("m")
    page.locator("#asked-text").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = violations(page)
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    assert found + violations(page) == []


@SCHEMES
def test_the_report_can_be_used_by_all(visit, violations, tmp_path, scheme):
    stores = [
        saved(tmp_path / "g1", OF_CLASS, "01", "1.1"),
        saved(tmp_path / "g2", OF_CLASS),
    ]
    path = report([store.folder for store in stores], tmp_path / "both.html", ROOT)
    page = visit(color_scheme=scheme, viewport=PHONE)
    page.goto(path.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
