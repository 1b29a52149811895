"""Free texts read on a local page: what it writes, and whom it answers."""

import html
import http.client
import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import unquote

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from notebooks import SOLUTIONS  # noqa: E402
from serving import caught_by_command  # noqa: E402
from waiting import until  # noqa: E402

from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading import desk as pages  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.desk import Desk  # noqa: E402
from labcore.staff.grading.forget import forget  # noqa: E402
from labcore.staff.grading.merge import merge  # noqa: E402
from labcore.staff.grading.review import Conflict, Reviews  # noqa: E402
from labcore.staff.grading.rubric import Item, items_of  # noqa: E402
from labcore.staff.grading.store import Store, read_table, table_text  # noqa: E402
from labcore.student.tasks import Question  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "<script>alert(1)</script> =1+1 \u202eevil"
WHY = Question(
    *("Q1.1", "why?", "why", 4, "YOUR ANSWER HERE"),
    *("3 points: a. 1 point: b.", "because", f"Why? {HOSTILE}"),
)
LONG = "long, " * 50_000


def result(student, text="It doubles."):
    row = {"exercise": "Q1.1", "title": "why?", "of": 4, "message": "", "source": text}
    text_row = row | {"points": None, "status": "review"}
    about = {"digest": student, "version": "v", "notes": [], "fault": ""}
    return {"student": student, "rows": [], "texts": [text_row]} | about


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "grades")
    store.begin({"lab": "01", "seeds": [1]})
    for student in ("ann", "bob", HOSTILE):
        store.save(result(student))
    merge(store, "01", {"Q1.1": WHY})
    return store


@pytest.fixture
def reviews(store):
    return Reviews(store, [WHY])


def filled(store):
    """Student -> points and comment in review.csv, as the merge reads them."""
    rows = store.table("review.csv")
    return {row["student"]: (row["points"], row["comment"]) for row in rows}


def save(reviews, student="ann", points="3", comment="", ticks=(0,), seen=("", "")):
    reviews.save("Q1.1", student, points, comment, list(ticks), list(seen))


def edit(store, student, **cells):
    """Change a row of the file, as a spreadsheet does."""
    rows = store.table("review.csv")
    next(row for row in rows if row["student"] == student).update(cells)
    text = table_text(list(rows[0]), [list(row.values()) for row in rows])
    (store.folder / "review.csv").write_text(text, encoding="utf-8")


def test_what_is_saved_stands_in_the_file_and_a_merge_takes_it(store, reviews):
    for student in ("ann", HOSTILE):
        save(reviews, student, "3", "=2+2 is\nnot a <b>reason</b>")
    assert merge(store, "01", {"Q1.1": WHY}) == []
    grades = {row["student"]: row["points"] for row in store.table("grades.csv")}
    assert grades == {"ann": "3", "bob": "", HOSTILE: "3"}
    assert filled(store)["ann"] == ("3", "=2+2 is\nnot a <b>reason</b>")
    text = (store.folder / "review.csv").read_text(encoding="utf-8")
    rows = [list(row.values()) for row in store.table("review.csv")]
    assert text == table_text(list(store.table("review.csv")[0]), rows)


def test_reading_goes_on_where_it_stopped_with_ticks_and_comments(store, reviews):
    save(reviews, "ann", "1", ticks=(1,))
    reviews.keep_phrases(["Which number?", " Which number? ", ""])
    reviews.answer("Q1.1", "bob")
    again = Reviews(store, [WHY])
    state = again.state()
    assert state["place"] == ["bob", "Q1.1"]
    assert state["phrases"] == ["Which number?"]
    [question] = state["questions"]
    assert question["points"][question["students"].index("ann")] == "1"
    assert again.answer("Q1.1", "ann")["ticks"] == [1]


def test_ticks_and_comments_are_kept_where_no_answer_was_opened(store, reviews):
    reviews.keep_phrases(["Which number?"])
    save(reviews, "ann", "1", ticks=(1,))
    again = Reviews(store, [WHY])
    assert again.state()["phrases"] == ["Which number?"]
    again.keep_phrases(["Why?"])
    assert Reviews(store, [WHY]).answer("Q1.1", "ann")["ticks"] == [1]


def test_nothing_is_noted_of_a_student_who_was_forgotten(store, reviews):
    for student in ("bob", "ann"):
        save(reviews, student)
        reviews.answer("Q1.1", student)
    forget("ann", store.folder, ROOT)
    assert all("ann" not in line for line in _lines(store, "review.json"))
    reviews.answer("Q1.1", "bob")
    assert all("ann" not in line for line in _lines(store, "review.json"))
    assert Reviews(store, [WHY]).answer("Q1.1", "bob")["ticks"] == [0]


def _lines(store, name):
    return (store.folder / name).read_text(encoding="utf-8").splitlines()


def test_ticks_that_do_not_fit_the_points_of_the_file_are_dropped(store, reviews):
    save(reviews, "ann", "1", ticks=(1,))
    edit(store, "ann", points="2")
    shown = reviews.answer("Q1.1", "ann")
    assert (shown["points"], shown["ticks"]) == ("2", [])


def test_what_others_write_into_the_file_stays_and_is_said(store, reviews):
    reviews.look()
    assert reviews.notice == ""
    edit(store, "bob", points="2", comment="in a spreadsheet")
    save(reviews, "ann")
    assert filled(store)["bob"] == ("2", "in a spreadsheet")
    assert filled(store)["ann"] == ("3", "")
    assert reviews.notice.startswith("1 row of review.csv changed outside this page")


def test_a_row_that_others_changed_is_not_overwritten_unseen(store, reviews):
    edit(store, "ann", points="2", comment="theirs")
    with pytest.raises(Conflict):
        save(reviews, "ann")
    assert filled(store)["ann"] == ("2", "theirs")
    save(reviews, "ann", seen=("2", "theirs"))
    assert filled(store)["ann"] == ("3", "")


@pytest.mark.parametrize("points", ["five", "-1", "4.5"])
def test_points_that_are_none_are_refused(store, reviews, points):
    with pytest.raises(LabError, match="no number from 0 to 4"):
        save(reviews, points=points)
    assert filled(store)["ann"] == ("", "")


def test_a_comment_that_is_too_long_is_refused_and_the_others_are_saved(store, reviews):
    with pytest.raises(LabError, match="at most 10,000 characters"):
        save(reviews, comment=LONG)
    save(reviews, "bob", comment="short")
    assert (filled(store)["ann"], filled(store)["bob"]) == (("", ""), ("3", "short"))


def test_a_long_comment_in_the_file_stays_and_can_be_given_points(store, reviews):
    edit(store, "ann", comment=LONG)
    save(reviews, "bob")
    assert reviews.answer("Q1.1", "ann")["comment"] == LONG.strip()
    save(reviews, "ann", "2", LONG, seen=("", LONG.strip()))
    assert merge(store, "01", {"Q1.1": WHY}) == []
    assert filled(store)["ann"] == ("2", LONG.strip())


def test_a_text_full_of_formulas_does_not_spoil_the_table(store):
    many = ";=" * 50_000  # as long as an answer may be, before it is defused
    store.save(result("ann", many))
    assert merge(store, "01", {"Q1.1": WHY}) == []
    assert Reviews(store, [WHY]).answer("Q1.1", "ann")["answer"] == many


def test_a_quotation_mark_that_swallows_rows_is_told_and_the_file_stays(store, reviews):
    path = store.folder / "review.csv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("\nbob,", '\n"bob,'), encoding="utf-8")
    damaged = path.read_bytes()
    with pytest.raises(LabError, match="review.csv, row 4, has a quotation mark"):
        save(reviews)
    with pytest.raises(LabError, match="review.csv, row 4, has a quotation mark"):
        merge(store, "01", {"Q1.1": WHY})
    assert path.read_bytes() == damaged
    path.write_text(whole, encoding="utf-8")
    save(reviews)
    assert filled(store)["ann"] == ("3", "")


def test_an_answer_that_changed_after_its_review_is_marked(store, reviews):
    save(reviews, "ann")
    merge(store, "01", {"Q1.1": WHY})
    assert not reviews.answer("Q1.1", "ann")["changed"]
    store.save(result("ann", "Something else."))
    merge(store, "01", {"Q1.1": WHY})
    assert reviews.answer("Q1.1", "ann")["changed"]
    assert not reviews.answer("Q1.1", "bob")["changed"]


def test_while_a_grader_writes_nothing_is_saved(store, reviews):
    reviews.patience = 0
    with store.locked(), pytest.raises(LabError, match="A grader is writing"):
        save(reviews)
    save(reviews)
    assert filled(store)["ann"] == ("3", "")


def test_a_disk_without_room_loses_nothing(store, reviews, monkeypatch):
    def full(path, data):
        raise LabError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("labcore.staff.grading.review.write_bytes", full)
        with pytest.raises(LabError):
            save(reviews)
    assert reviews.answer("Q1.1", "ann")["points"] == ""
    save(reviews)
    assert filled(store)["ann"] == ("3", "")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "\x00", '{"ticks": [3], "phrases": [], "place": []}'),
        '{"ticks": [], "phrases": [], "place": [5]}',
    ],
)
def test_damaged_notes_cost_no_more_than_the_place(store, text):
    (store.folder / "review.json").write_text(text, encoding="utf-8")
    assert Reviews(store, [WHY]).state()["place"] == []


def _save_for_ever(folder):
    reviews, seen = Reviews(Store(folder), [WHY]), ["", ""]
    for number in range(10**9):
        save(reviews, "ann", str(number % 5), f"comment {number}", seen=seen)
        seen = [str(number % 5), f"comment {number}"]


@pytest.mark.parametrize("attempt", range(3))
def test_a_kill_leaves_a_whole_table(store, attempt):
    before = store.table("review.csv")
    process = multiprocessing.get_context("fork").Process(
        target=_save_for_ever, args=(store.folder,)
    )
    process.start()
    until(lambda: filled(store)["ann"][0] or not process.is_alive())
    process.kill()
    process.join()
    rows = read_table(store.folder / "review.csv")
    assert [row["answer"] for row in rows] == [row["answer"] for row in before]
    points, comment = filled(store)["ann"]
    assert points and points == str(int(comment.split()[1]) % 5)


# rubrics


@pytest.mark.parametrize(
    "rubric, of, items",
    [
        ("2 points: why, in\nwords. 1 point: a number.", 3, ["why, in words", 2]),
        ("2 points for (a): a size (1), and a reason (1).", 2, ["(a) a size", 1]),
        ("1 point each: one; two. 1 point: three.", 3, ["one", 1]),
    ],
)
def test_a_rubric_becomes_items(rubric, of, items):
    found = items_of(rubric, of)
    assert found[0] == Item(*items)
    assert sum(item.points for item in found) == of


def test_a_rubric_whose_points_do_not_add_up_has_no_items():
    assert items_of("1 point: one. Be kind.", 2) == []
    assert items_of("", 2) == []


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_question_is_shown_and_its_rubric_can_be_ticked(path):
    for question in read_assignment(path.name[:2], ROOT).questions:
        assert items_of(question.rubric, question.points), question.id
        assert question.text.startswith("*Free text, about "), question.id
        assert not {"###", "MARK SCHEME"} & set(question.text.split()), question.id
        assert 100 < len(question.text) < 1500, question.id


# the server


@pytest.fixture
def desk(reviews):
    with Desk(reviews, "01") as desk:
        thread = threading.Thread(target=desk.serve_forever, daemon=True)
        thread.start()
        yield desk
        desk.shutdown()


def asked(desk, method="GET", path=None, body="{}", **headers):
    """Status, headers and text of the reply; None takes a header away."""
    given = {
        "Host": desk.hosts[0],
        "Origin": f"http://{desk.hosts[0]}",
        "Authorization": f"token {desk.token}",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", desk.server_port, timeout=20)
    connection.putrequest(method, path or f"/?token={desk.token}", skip_host=True)
    given.setdefault("Content-Length", str(len(body)))
    for name, value in given.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body.encode() if method == "POST" else None)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, reply.headers, text


def test_the_page_comes_whole_and_allows_nothing_from_elsewhere(desk):
    status, headers, text = asked(desk, Origin=None)
    assert status == 200 and "[[" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "unsafe" not in policy and "http" not in policy
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert text.count(f'nonce="{nonce}"') == 2
    assert nonce not in asked(desk, Origin=None)[2], "each page has its own"
    assert HOSTILE not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"path": "/"},
        {"path": "/?token=wrong"},
    ],
)
def test_the_page_is_for_those_with_the_address(desk, headers):
    status, _, text = asked(desk, **headers)
    assert status == 403 and "script" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": None},
        {"Authorization": None},
        {"Authorization": "token wrong"},
        {"Authorization": "token \xe9"},
    ],
)
def test_nobody_else_can_save(desk, store, headers):
    content = {"question": "Q1.1", "student": "ann", "points": "3", "comment": ""}
    body = json.dumps(content | {"ticks": [], "seen": ["", ""]})
    assert asked(desk, "POST", "/save", body, **headers)[0] == 403
    assert filled(store)["ann"] == ("", "")
    assert asked(desk, "POST", "/save", body)[0] == 200
    assert filled(store)["ann"] == ("3", "")
    assert asked(desk, "POST", "/save", body)[0] == 409


@pytest.mark.parametrize(
    "body, status",
    [
        ("no json", 400),
        ("[]", 400),
        ("[" * 100_000, 400),
        ('{"x": 1}', 400),
        ('{"question": "Q1.1", "student": "zoe"}', 503),
        ("{" + " " * 10_000_000, 413),
    ],
)
def test_odd_requests_get_a_sentence(desk, body, status):
    try:
        found, _, text = asked(desk, "POST", "/answer", body)
    except (BrokenPipeError, ConnectionResetError):  # refused before all was sent
        assert status == 413
    else:
        assert found == status and json.loads(text)["fault"].endswith(".")
    assert asked(desk, "POST", "/state")[0] == 200, "it goes on"


def test_a_name_and_a_text_come_as_they_are(desk):
    content = {"question": "Q1.1", "student": HOSTILE}
    status, headers, text = asked(desk, "POST", "/answer", json.dumps(content))
    assert status == 200 and json.loads(text)["answer"] == "It doubles."
    assert headers["Content-Type"].startswith("application/json")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_folder_without_free_text_is_told(tmp_path):
    with pytest.raises(LabError, match="There are no grades in"):
        pages.review(tmp_path, ROOT, 0, False)
    store = Store(tmp_path)
    store.begin({"lab": "01", "seeds": [1]})
    store.save(result("ann") | {"texts": []})
    merge(store, "01", {})
    with pytest.raises(LabError, match="There is no free text to read"):
        pages.review(tmp_path, ROOT, 0, False)


@pytest.mark.parametrize("port", ["taken", 99_999])
def test_a_port_that_cannot_be_used_is_told(store, desk, port):
    port = desk.server_port if port == "taken" else port
    with pytest.raises(LabError, match=f"Port {port} cannot be used .*--port"):
        pages.review(store.folder, ROOT, port, False)


def test_ctrl_c_ends_it_with_a_sentence(store):
    command = [sys.executable, "-m", "labcore", "review", "--no-browser", "--grades"]
    process = subprocess.Popen(
        [*command, str(store.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # a shell's background jobs, and what they start, would ignore it
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, "".join(lines) + rest
    assert "0 of 3 answers have points" in rest and "Traceback" not in rest


def test_the_browser_gets_the_token_by_a_file_of_ours_alone(store, monkeypatch):
    seen = []

    def browse(address):
        file = Path(unquote(address.removeprefix("file://")))
        mode = stat.S_IMODE(file.stat().st_mode)
        seen.append((address, mode, file, html.unescape(file.read_text("utf-8"))))
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, "has_browser", lambda: True)
    monkeypatch.setattr(pages.webbrowser, "open", browse)
    with caught_by_command():
        pages.review(store.folder, ROOT, 0, True)
    [(address, mode, file, text)] = seen
    assert "token" not in address and mode == 0o600
    assert re.search(r"0; url=http://127.0.0.1:\d+/\?token=[\w-]{43}\"", text)
    assert not file.exists()


def test_ctrl_c_before_the_first_request_ends_it_too(store, monkeypatch, capsys):
    monkeypatch.setattr(pages, "has_browser", lambda: True)
    monkeypatch.setattr(pages.webbrowser, "open", Mock(side_effect=KeyboardInterrupt))
    with caught_by_command():
        pages.review(store.folder, ROOT, 0, True)
    assert "0 of 3 answers have points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "shown"), [(BrokenPipeError(), False), (KeyError("place"), True)]
)
def test_a_request_that_a_browser_breaks_off_is_no_fault(desk, capsys, fault, shown):
    try:
        raise fault
    except Exception:
        desk.handle_error(None, ("127.0.0.1", 1))
    assert ("Traceback" in capsys.readouterr().err) == shown
