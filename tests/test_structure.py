"""The shape of every notebook: one rule a test, one case a notebook."""

import ast
import base64
import importlib
import re
from statistics import mean, median, quantiles
from urllib.parse import unquote

import pytest
from notebooks import (
    EXERCISE,
    LABS,
    ROOT,
    SOLUTIONS,
    code_cells,
    exercises,
    is_answer,
    made,
    needed,
    prose_cells,
    read,
)

from labcore.staff.authoring.markers import MARKER
from labcore.staff.authoring.outputs import FIGURE, PNG_LIMIT, WIDGET, figure_of
from labcore.staff.authoring.structure import problems
from labcore.student.notebooks import grading, normalise, notebook_text, tags

CHECK = re.compile(r"^lab(\d\d)\.check_(\w+)\((\w+)[,)]", re.MULTILINE)
DETAILS = re.compile(r"<details.*?</details>", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
EMOJI = re.compile("[\u2600-\u27bf\u2b50-\u2b55\ufe0f\U0001f000-\U0001faff]")

sources = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
labs = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
both = pytest.mark.parametrize(
    "path", SOLUTIONS + LABS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
after_lab_00 = pytest.mark.parametrize(
    "path", [p for p in SOLUTIONS if p.name[:2] != "00"], ids=lambda path: path.stem
)


def lines_of(cell):
    """Lines that a reader has to read: neither blank nor a marker."""
    lines = cell.source.split("\n")
    return [line for line in lines if line.strip() and not MARKER.fullmatch(line)]


def shown_code(nb):
    """What a student sees of the code: without claims and given cells."""
    hidden = {"claim", "given"}
    return [cell for cell in code_cells(nb) if not hidden & set(tags(cell))]


def words(text):
    return len(re.findall(r"\w[\w'.-]*", text))


def checks_of(cells):
    return [match for cell in cells for match in CHECK.finditer(cell.source)]


def prose_of(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@sources
def test_a_source_can_be_released(path):
    assert problems(read(path), path.name) == []


@both
def test_the_name_says_number_and_topic(path):
    assert re.fullmatch(r"\d\d(_[a-z0-9]+)+\.ipynb", path.name)


@both
def test_ids_are_readable_names(path):
    for cell in read(path).cells:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id), cell.id
        assert not re.fullmatch(r"[0-9a-f]{8}", cell.id), f"{cell.id} looks random"


@sources
def test_a_source_is_stored_in_its_fixed_form(path):
    nb = read(path)
    normalise(nb)
    assert notebook_text(nb).encode() == path.read_bytes()


@labs
def test_a_lab_stores_no_outputs(path):
    for cell in code_cells(read(path)):
        assert cell.outputs == [] and cell.execution_count is None, cell.id


@sources
def test_a_source_was_run_once_in_order(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@sources
def test_a_source_stores_outputs(path):
    assert any(cell.outputs for cell in code_cells(read(path)))


@sources
def test_compared_cells_have_an_output_to_compare_with(path):
    for cell in code_cells(read(path)):
        if "nbval-check-output" in tags(cell):
            assert cell.outputs, cell.id


@sources
def test_stored_outputs_hold_results_only(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.get("name") != "stderr", cell.id
            data = output.get("data", {})
            assert WIDGET not in data, cell.id
            assert len(base64.b64decode(figure_of(output))) <= PNG_LIMIT, cell.id
            texts = [output.get("text", ""), *output.get("traceback", [])]
            texts += [data[kind] for kind in data if kind.startswith("text/")]
            for text in (FIGURE.sub("", text) for text in texts):
                assert not re.search(r"0x[0-9a-f]{6}|ipykernel_|\d%\|", text), cell.id
                assert str(ROOT) not in text, cell.id


@sources
def test_every_stored_figure_has_an_alt_text_with_numbers(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            if figure_of(output):
                alt = re.search(r'<img alt="([^"]*)"', output.data.get("text/html", ""))
                assert alt and len(alt[1].split()) >= 8, cell.id
                assert re.search(r"\d", alt[1]), cell.id


@sources
def test_the_anatomy_is_the_same_everywhere(path):
    nb = read(path)
    assert nb.cells[0].source.startswith(f"# Lab {path.name[:2]}: ")
    headings = re.findall(r"^## .*$", prose_of(nb.cells), re.MULTILINE)
    assert headings[0] == "## What you will be able to do"
    assert "## What to take away" in headings


@sources
def test_objectives_are_three_to_five_and_name_real_exercises(path):
    nb = read(path)
    text = prose_of(nb.cells).partition("## What you will be able to do")[2]
    objectives = re.findall(r"^- .*(?:\n  .*)*", text.partition("\n#")[0], re.MULTILINE)
    assert 3 <= len(objectives) <= 5
    named = re.findall(r"exercises? (\d+\.\d+)", " ".join(objectives))
    assert set(named) <= set(exercises(nb)) and named


@sources
def test_code_cells_are_short(path):
    sizes = [len(lines_of(cell)) for cell in shown_code(read(path))]
    assert median(sizes) <= 8
    assert quantiles(sizes, n=10, method="inclusive")[-1] <= 20
    assert max(sizes) <= 30


@labs
def test_prose_cells_are_short(path):
    seen = [DETAILS.sub("", cell.source) for cell in prose_cells(read(path))]
    counts = [words(text) for text in seen]
    assert 20 <= mean(counts) <= 100
    assert max(counts) <= 180, seen[counts.index(max(counts))]


@labs
def test_a_lab_has_at_most_3500_words(path):
    assert sum(words(cell.source) for cell in prose_cells(read(path))) <= 3500


@labs
def test_a_lab_has_at_most_70_cells_and_a_core_lab_at_least_40(path):
    assert (0 if path.name[:2] == "00" else 40) <= len(read(path).cells) <= 70


@after_lab_00
def test_the_first_exercise_comes_within_twelve_cells(path):
    first = [cell.source for cell in read(path).cells[:12]]
    assert any(EXERCISE.search(source) for source in first)


@sources
def test_one_cell_of_at_most_15_lines_imports_everything(path):
    def imports(cell):
        nodes = ast.parse(cell.source).body
        return any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)

    importing = [cell for cell in shown_code(read(path)) if imports(cell)]
    assert [cell.id for cell in importing] == [code_cells(read(path))[0].id]
    assert len(lines_of(importing[0])) <= 15


@sources
def test_exercises_are_numbered_in_order(path):
    lab = int(path.name[:2])
    expected = [f"{lab}.{number + 1}" for number in range(len(exercises(read(path))))]
    assert list(exercises(read(path))) == expected


@sources
def test_an_exercise_states_level_and_minutes(path):
    for number, cells in exercises(read(path)).items():
        line = r"^\*Level [1-4] of 4, about \d+ minutes?\b[^*]*\*$"
        assert re.search(line, prose_of(cells), re.MULTILINE), number


@sources
def test_an_exercise_has_one_answer_and_then_its_check(path):
    for number, cells in exercises(read(path)).items():
        answers = [index for index, cell in enumerate(cells) if is_answer(cell)]
        checks = [index for index, cell in enumerate(cells) if checks_of([cell])]
        assert len(answers) == len(checks) == 1, number
        assert answers[0] < checks[0], number
        _, asked, handed = checks_of(cells)[0].groups()
        names = [
            getattr(n, "name", "") for n in ast.parse(cells[answers[0]].source).body
        ]
        assert asked == handed and asked in names, number


@sources
def test_an_exercise_has_three_hints_and_a_link_to_its_solution(path):
    """Where to look, then the plan in words, then the call."""
    for number, cells in exercises(read(path)).items():
        text = prose_of(cells)
        for hint in (1, 2, 3):
            assert f"<details><summary>Hint {hint} - " in text, number
        links = [link for pair in LINK.findall(text) for link in pair if link]
        assert any(f"solutions/{path.name}#" in link for link in links), number


@sources
def test_folded_parts_are_closed(path):
    for cell in prose_cells(read(path)):
        for part in ("details", "summary"):
            opened = len(re.findall(rf"<{part}\b", cell.source))
            assert opened == cell.source.count(f"</{part}>"), cell.id


@sources
def test_points_are_those_of_the_checks(path):
    nb, lab = read(path), f"lab{path.name[:2]}"
    known = importlib.import_module(f"labcore.checks.{lab}").EXERCISES
    found = {}
    for number, cells in exercises(nb).items():
        check = next(cell for cell in cells if checks_of([cell]))
        module, function, _ = checks_of([check])[0].groups()
        assert f"lab{module}" == lab and known[function].id == number
        found[function] = grading(check).get("points")
    assert found == {function: known[function].points for function in known}


@sources
def test_free_text_is_asked_at_most_twice(path):
    asked = [cell for cell in prose_cells(read(path)) if is_answer(cell)]
    assert len(asked) <= 2


@sources
def test_given_cells_are_collapsed(path):
    for cell in code_cells(read(path)):
        if "given" in tags(cell):
            assert cell.metadata.get("jupyter", {}).get("source_hidden"), cell.id


@sources
def test_only_long_cells_need_a_long_cell(path):
    """`make test` leaves them out and runs all others."""
    left_out = set()
    for cell in code_cells(read(path)):
        if "long" in tags(cell):
            left_out |= made(cell)
        else:
            assert not needed(cell) & left_out, cell.id
            left_out -= made(cell)


@sources
def test_code_is_plain_python(path):
    for cell in code_cells(read(path)):
        assert cell.source.strip(), f"{cell.id} is empty"
        for node in ast.walk(ast.parse(cell.source)):  # refuses magics and commands
            if isinstance(node, ast.ImportFrom):
                assert [alias.name for alias in node.names] != ["*"], cell.id
        assert not cell.source.rstrip().endswith(";"), cell.id


@sources
def test_there_are_no_emoji_and_no_remote_images(path):
    for cell in read(path).cells:
        assert not EMOJI.search(cell.source), cell.id
        remote = (
            r"!\[[^]]*\]\(\s*(https?:)?//|<(img|iframe|video|script)[^>]*src=.?http"
        )
        assert not re.search(remote, cell.source), cell.id


@both
def test_links_inside_the_repository_lead_somewhere(path):
    for cell in prose_cells(read(path)):
        for pair in LINK.findall(cell.source):
            link = unquote("".join(pair))
            if re.match(r"\w+:", link):
                continue
            file, _, fragment = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.is_relative_to(ROOT) and target.exists(), f"{cell.id}: {link}"
            if fragment:
                assert fragment in anchors(target), f"{cell.id}: {link}"


def anchors(target):
    """What may follow the # in a link to a notebook or a Markdown file."""
    if target.suffix != ".ipynb":
        headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
        return {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    nb = read(target)
    headings = re.findall(r"^#+ (.*)$", prose_of(nb.cells), re.MULTILINE)
    return {
        *(f"cell-id={cell.id}" for cell in nb.cells),
        *(heading.replace(" ", "-") for heading in headings),
    }
