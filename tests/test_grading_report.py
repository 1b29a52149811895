"""The page on what a class did: counts, mistakes, hints; and nobody's name or code."""

import ast
import importlib
import re
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from notebooks import LABS  # noqa: E402

from labcore.checks.engine.message import message, parts  # noqa: E402
from labcore.runtime import LabError  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.examples import (  # noqa: E402
    anonymous,
    example,
    known_names,
)
from labcore.staff.grading.findings import findings  # noqa: E402
from labcore.staff.grading.hints import hint_for, hints_of  # noqa: E402
from labcore.staff.grading.report import report  # noqa: E402
from labcore.staff.grading.store import Store  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SECRET = "annsecret"
LARGEST = "you remove the largest magnitudes; remove the smallest"
FOLD = 'Help "selected number k out of range", just below'
CODE = f'''\
def fine_grained_prune(tensor, sparsity):
    """By {SECRET}, 20231234."""
    {SECRET} = tensor.abs()  # {SECRET}
    return {SECRET} > {SECRET}.median(dim=0, {SECRET}=1), "{SECRET}"'''


def failed(step=1, title="five values", points=0, **lines):
    head = f"[2.1 fine_grained_prune] FAILED at step {step} of 10: {title}"
    lines = {"given": "x = 1", "expected": "2"} | lines
    status = "partial" if points else "failed"
    return {"status": status, "points": points, "message": message(head, lines)}


def only(status, text="", points=0):
    return {"status": status, "points": points, "message": text}


RAISED = {
    "expected": "a result",
    "got": f"NameError: name '{SECRET}' is not defined",
    "likely": f"the error comes from line 1: {SECRET}()",
}
OF_CLASS = [
    *[failed(got="1", likely=LARGEST, read=FOLD)] * 5,
    *[failed(4, "rounding", 3, got=SECRET)] * 2,
    failed(**RAISED),
    failed(**RAISED | {"got": f"{SECRET}: {SECRET}"}),
    only("error", "[2.1 f] its cell cannot run: SyntaxError: x, in line 1: annsecret("),
    only("timeout", "[2.1 f] your code was still running"),
    only("passed", "ok", 6),
    only("todo"),
    only("missing"),
    only("lent"),
]


def saved(folder, rows, lab="02", exercise="2.1", read=0):
    store = Store(folder)
    store.begin({"lab": lab, "seeds": [1]})
    for number, row in enumerate(rows):
        student = f"{SECRET}{number} <script>"
        named = {"exercise": exercise, "title": "the <mask>", "of": 6, "source": CODE}
        text = {"exercise": "Q2.1", "title": "why?", "of": 5, "status": "review"}
        written = text | {"source": SECRET, "message": "", "points": None}
        store.save(
            {
                **{"student": student, "digest": "", "notes": [], "fault": ""},
                "rows": [named | {"remarks": []} | row],
                "texts": [written],
            }
        )
    header = ("student", "exercise", "points")
    graded = [(f"{SECRET}{i} <script>", "Q2.1", 4) for i in range(read)]
    store.write_table("grades.csv", header, graded)
    return store


def page(*stores, out=None):
    path = report([store.folder for store in stores], out, ROOT)
    return path.read_text(encoding="utf-8")


def test_outcomes_steps_and_mistakes_are_counted(tmp_path):
    exercise = findings(saved(tmp_path, OF_CLASS)).exercises["2.1"]
    assert exercise.outcomes == {"passed": 1, "partly": 2, "failed": 9, "left": 3}
    assert dict(exercise.steps) == {(1, 10, "five values"): 7, (4, 10, "rounding"): 2}
    assert [(m.cause, m.count) for m in exercise.mistakes] == [
        (LARGEST, 5),
        ("it runs longer than is allowed", 1),
        ("it stops with an error", 1),
        ("it stops with an error: NameError", 1),
        ("its cell does not run: SyntaxError", 1),
        ("a mistake that the check does not know", 2),
    ]
    assert {m.tried for m in exercise.mistakes} == {12}


def test_the_absent_left_everything(tmp_path):
    store = saved(tmp_path, OF_CLASS)
    rows = [("zoe", "2.1", 0)]
    store.write_table("grades.csv", ("student", "exercise", "points"), rows)
    found = findings(store)
    assert found.exercises["2.1"].outcomes["left"] == 4
    assert found.code["zoe"] is None


def test_an_answer_with_a_remark_is_counted_but_not_quoted(tmp_path):
    row = failed(likely=SECRET) | {"remarks": ["it uses f_back"]}
    store = saved(tmp_path, [row] * 5)
    [mistake] = findings(store).exercises["2.1"].mistakes
    assert not mistake.known
    assert "5 answers with a line in remarks.csv" in page(store)


def test_the_page_says_it_in_the_words_of_the_check_and_names_nobody(tmp_path):
    text = page(saved(tmp_path, OF_CLASS, read=2))
    assert f"<b>5 of 12</b>: <q><bdi>{LARGEST}</bdi></q>" in text
    assert "1 of 10: <bdi>five values</bdi>" in text
    assert 'aria-label="1 passed, 2 partly, 9 failed, 3 left"' in text
    assert "15 written, 13 still to read; those read have 4.0 of 5" in text
    assert SECRET not in text and "<script" not in text and "<mask>" not in text
    assert "default-src 'none'" in text and "http" not in text.split("</style>")[1]


def test_it_is_the_same_twice(tmp_path):
    store = saved(tmp_path, OF_CLASS)
    assert page(store) == page(store)


def test_what_to_discuss_comes_with_its_hint(tmp_path):
    text = page(saved(tmp_path, OF_CLASS))
    discuss = text.split("<h2>")[1]
    assert discuss.count("<li>") == 3
    assert LARGEST in discuss.split("<li>")[1]
    assert "there is no k-th smallest magnitude" in discuss.split("<li>")[1]


@pytest.mark.parametrize("count", [4, 5])
def test_an_example_needs_five_students(tmp_path, count):
    text = page(saved(tmp_path, [failed(likely=LARGEST)] * count))
    assert ("def fine_grained_prune(tensor, sparsity):" in text) == (count == 5)


# examples


@pytest.fixture(scope="module")
def known():
    return known_names(read_assignment("02", ROOT).lab)


def test_an_example_keeps_what_the_code_does_and_nothing_of_its_author(known):
    assert anonymous(CODE, "fine_grained_prune", known) == (
        "def fine_grained_prune(tensor, sparsity):\n"
        "    a = tensor.abs()\n"
        "    return (a > a.median(dim=0, a=1), '...')"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import ANN as x, ANN.ANN",
        "from ANN.b import *",
        "from . import ANN",
        "global ANN",
        "f'{ANN} ANN'",
        "b'ANN', u'ANN', 20231234, -20231234, 3.14159265358979",
        "model.ANN(ANN=1)",
        "lambda ANN, /, *ANN2, ANN3=1, **ANN4: 1",
        "class ANN(ANN):\n        ANN: ANN = 'ANN'",
        "try: pass\n    except* ANN as ANN: 'ANN'",
        "match x:\n        case {'ANN': ANN, **ANN2}: 'ANN'\n"
        "        case ANN(ANN=1) | ANN.ANN: pass\n        case [*ANN]: pass",
        "async def ANN(): 'ANN'",
        "{'ANN': 'ANN'}",
        "if x: 'ANN'\n    else: 'ANN'  # ANN",
        "@ANN\n    def f(x: 'ANN') -> 'ANN': ...",
        "(ANNÄ := 'ANN')",
    ],
)
def test_nothing_personal_is_left_in_any_syntax(known, code):
    text = anonymous(f"def train_masked(model):\n    {code}\n", "train_masked", known)
    assert text.startswith("def train_masked(model):\n")
    assert "ANN" not in text and "2023" not in text and "14159" not in text
    ast.parse(text)


@pytest.mark.parametrize(
    "source", ["def broken(", "x = 1", "def f(): return " + "(" * 300, "x" * 200_000]
)
def test_code_that_cannot_be_an_example_is_none(known, source):
    assert anonymous(source, "f", known) == ""


def test_the_commonest_form_is_shown(known):
    sources = [
        *(f"def ff(x):\n    {v} = 2\n    return {v} * x" for v in ("u", "v")),
        "def ff(x): pass",
        "def ff(x):\n" + "    x += 1\n" * 40,
    ]
    assert example(sources, "ff", known) == "def ff(a):\n    b = 2\n    return b * a"


# messages and hints


def test_no_message_cuts_a_likely_mistake():
    for path in LABS:
        module = importlib.import_module(f"labcore.checks.lab{path.name[:2]}")
        for exercise in module.EXERCISES.values():
            head = f"[{exercise.id} {exercise.name}] FAILED at step 1 of 9: a title"
            for mistake in exercise.mistakes:
                lines = {"given": "x " * 99, "expected": "2 " * 99, "got": "- " * 99}
                lines |= {"likely": mistake.sentence, "read": FOLD}
                title, said = parts(message(head, lines, ["  picture   #"]))
                assert title == head
                assert said["likely"] == " ".join(mistake.sentence.split())
                assert said["read"] == FOLD


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_help_of_a_check_is_found_in_its_lab(path):
    assignment = read_assignment(path.name[:2], ROOT)
    hints = hints_of(assignment.lab.notebook)
    checks = importlib.import_module(assignment.lab.checks)
    for exercise in checks.EXERCISES.values():
        reads = [
            f'Help "{w}", just below' for fold in exercise.folds for w in fold.words
        ]
        for read in [*reads, f"Hint 1 of exercise {exercise.id}, just below"]:
            hint = hint_for(read, hints[exercise.id])
            assert hint and hint.html.startswith("<p>"), read


# several labs


def test_several_labs_show_who_falls_behind_but_not_at_once(tmp_path):
    right, wrong = only("passed", "ok", 6), only("missing")
    stores = [
        saved(tmp_path / "g1", [right, wrong, wrong, right], "01", "1.1"),
        saved(tmp_path / "g2", [right, wrong, right, wrong]),
    ]
    text = page(*stores, out=tmp_path / "both.html")
    assert "2 of 4 students earned less than half" in text
    hidden = re.search(r"<details><summary>Their names.*?</details>", text, re.DOTALL)
    names = re.findall(
        rf"<bdi>{SECRET}(\d) &lt;script&gt;</bdi></td>(.*)</tr>", hidden[0]
    )
    assert names == [
        ("1", "<td>missing</td><td>missing</td>"),
        ("3", "<td>6 of 6</td><td>missing</td>"),
    ]
    assert SECRET not in text.replace(hidden[0], "")


def test_the_last_folder_named_is_the_last_lab(tmp_path):
    stores = [
        saved(tmp_path / "later", [only("passed", "ok", 6)]),
        saved(tmp_path / "sooner", [only("missing")], "01", "1.1"),
    ]
    assert "1 of 1 student earned" in page(*stores, out=tmp_path / "both.html")
    assert "0 of 1 student earned" in page(*stores[::-1], out=tmp_path / "b.html")


def test_a_folder_without_grades_is_named(tmp_path):
    with pytest.raises(LabError, match=f"There are no grades in {tmp_path}"):
        report([tmp_path], None, ROOT)


def test_a_folder_in_the_place_of_the_page_is_named(tmp_path):
    store = saved(tmp_path / "grades", OF_CLASS[:1])
    with pytest.raises(LabError, match="is a folder: name a file"):
        report([store.folder], tmp_path, ROOT)
