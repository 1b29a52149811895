"""Release and execution on tiny notebooks built here."""

import asyncio
import base64
import sys

import nbformat
import pytest
import toy_checks
from nbformat.v4 import new_output
from notebooks import (
    DOUBLE,
    KERNEL,
    WHY,
    answer,
    check,
    code,
    free_text,
    notebook,
    prose,
    tiny,
    write,
)

from labcore.checks.engine.exercise import Mistake
from labcore.runtime import LabError
from labcore.staff.authoring import execute
from labcore.staff.authoring.execute import execute_solutions
from labcore.staff.authoring.markers import misspelt
from labcore.staff.authoring.outputs import clean_outputs
from labcore.staff.authoring.release import CODE_STUB, lab_text, release
from labcore.student.notebooks import normalise, notebook_text, parse_notebook

NAME = "90_tiny.ipynb"


def lab_of(source):
    return parse_notebook(lab_text(source, NAME), NAME)


def cell_of(nb, cell_id):
    return next(cell for cell in nb.cells if cell.id == cell_id)


def refusal(*cells, metadata=KERNEL):
    with pytest.raises(LabError) as caught:
        lab_text(notebook(*cells, metadata=metadata), NAME)
    return str(caught.value)


@pytest.fixture
def repo(tmp_path):
    write(tmp_path / "solutions" / NAME, tiny())
    return tmp_path


def test_an_answer_becomes_the_stub_with_its_indentation():
    stub = cell_of(lab_of(tiny()), "double").source
    head = 'def double(x):\n    """Twice x."""\n'
    assert stub == head + "\n".join(f"    {line}" for line in CODE_STUB.split("\n"))


def test_free_text_loses_model_answer_and_rubric():
    text = cell_of(lab_of(tiny()), "why").source
    assert text == "*Claim, evidence, because:*\n\nYOUR ANSWER HERE"


def test_claim_cells_stay_in_the_source():
    assert [cell.id for cell in lab_of(tiny()).cells] == [
        *("title", "setup", "ex-1", "double", "check-double", "why")
    ]


def test_checks_are_locked_and_keep_their_points():
    cell = cell_of(lab_of(tiny()), "check-double")
    assert cell.metadata.editable is False and cell.metadata.deletable is False
    assert cell.metadata.nbgrader.points == 3
    assert cell.metadata.nbgrader.schema_version == 3


def test_metadata_and_outputs_of_a_run_leave_no_trace():
    ran = tiny()
    ran.metadata.language_info.version = "3.13.1"
    ran.metadata.widgets = {"state": {}}
    ran.metadata.kernelspec.display_name = "my environment"
    setup = cell_of(ran, "setup")
    setup.metadata.execution = {"iopub.execute_input": "2026-11-02T10:00:00Z"}
    setup.metadata.collapsed = True
    setup.execution_count = 7
    setup.outputs = [new_output("stream", name="stdout", text="hello\n")]
    assert lab_text(ran, NAME) == lab_text(tiny(), NAME)
    assert cell_of(lab_of(ran), "setup").execution_count is None


def test_a_source_is_not_changed_by_deriving_from_it():
    source = tiny()
    before = nbformat.writes(source)
    lab_text(source, NAME)
    assert nbformat.writes(source) == before


def test_collapsed_given_cells_stay_collapsed():
    given = code("given", "x = 1", tags=["given"], jupyter={"source_hidden": True})
    assert cell_of(lab_of(tiny(given)), "given").metadata.jupyter.source_hidden


def test_the_lab_ends_with_one_newline_and_is_format_4_5():
    text = lab_text(tiny(), NAME)
    assert text.endswith("}\n") and not text.endswith("\n\n") and "\r" not in text
    assert '"nbformat_minor": 5' in text


NESTED = DOUBLE.replace("result = x + x", "### BEGIN SOLUTION\n    result = x + x")
UNCLOSED = DOUBLE.replace("    ### END SOLUTION", "")
UNOPENED = DOUBLE.replace("    ### BEGIN SOLUTION\n", "")
TWICE = f"{DOUBLE}\n{DOUBLE}"
BARE = "def double(x):\n    return 2 * x"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (answer("a", NESTED), "stands inside another region"),
        (answer("a", UNCLOSED), "is never closed"),
        (answer("a", UNOPENED), "closes nothing"),
        (answer("a", TWICE), "exactly one solution region, not 2"),
        (answer("a", BARE), "exactly one solution region, not 0"),
        (answer("a", DOUBLE.replace("BEGIN SOLUTION", "BEGIN SOLUTON")), "misspelled"),
        (code("a", "### BEGIN HIDEN TESTS\nassert True"), "misspelled"),
        (code("a", "### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS"), "no hidden tests"),
        (code("a", DOUBLE), "solution: true"),
        (free_text("a", WHY.replace("MARK SCHEME", "MARKING SCHEME")), "misspelled"),
        (free_text("a", "### BEGIN SOLUTION\nyes\n### END SOLUTION"), "one rubric"),
        (free_text("a", "### BEGIN MARK SCHEME\n### END MARK SCHEME"), "inside a sol"),
        (check("a", "assert True", points=None), "no points"),
        (check("a", "assert True", points=-1), "no points"),
        (code("a", "1", nbgrader={"locked": True}), "no grade_id"),
        (code("a", "1", tags=["claim"], nbgrader={"grade_id": "a"}), "never released"),
    ],
)
def test_a_wrong_cell_is_refused_by_name(cell, words):
    cell.id = "the-cell"
    said = refusal(cell)
    assert said.startswith(f"{NAME}, cell 'the-cell': ") and words in said


def test_a_code_answer_is_not_graded_itself():
    cell = answer("a", DOUBLE)
    cell.metadata.nbgrader |= {"grade": True, "points": 1}
    assert "set `grade: false`" in refusal(cell)


def test_an_attachment_is_refused():
    cell = prose("a", "![x](attachment:x.png)")
    cell.attachments = {"x.png": {"image/png": ""}}
    assert "attachment" in refusal(cell)


def test_repeated_ids_are_refused():
    assert "cell id 'a' occurs 2 times" in refusal(code("a", "1"), code("a", "2"))
    again = answer("double", DOUBLE)
    again.id = "other"
    said = refusal(answer("double", DOUBLE), again)
    assert "grade_id 'double' occurs 2 times" in said


def test_a_missing_kernel_is_refused():
    assert "Python 3 kernel" in refusal(code("a", "1"), metadata={})


def test_cells_without_ids_are_refused():
    old = tiny()
    old.nbformat_minor = 4
    with pytest.raises(LabError, match="have no ids"):
        lab_text(old, NAME)


def test_all_problems_are_named_at_once():
    said = refusal(answer("a", BARE), check("b", "1", points=None))
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        "### BEGIN SOLUTON",
        "### begin solution",
        "###BEGIN SOLUTION",
        "# BEGIN SOLUTION",
        "    ### END SOLUTIONS",
        "### END OF SOLUTION",
        "### SOLUTION BEGIN",
        "<!-- BEGIN SOLUTION -->",
        "### BEGIN MARKSCHEME",
        "### BEGN SOLUTION",
        "### BEGIN_SOLUTION",
    ],
)
def test_what_looks_like_a_marker_is_misspelt(line):
    assert misspelt(line)


@pytest.mark.parametrize(
    "line",
    [
        "### BEGIN SOLUTION",
        "    ### END MARK SCHEME",
        "### Solution",
        "## The end",
        "# end of the epoch",
        "### Where pruning begins",
        "begin = 3",
        "In the end the solution is sparse.",
    ],
)
def test_markers_and_ordinary_lines_are_not_misspelt(line):
    assert not misspelt(line)


def test_a_pasted_answer_is_found_as_a_leak():
    body = "    result = x + x\n    return result"
    with pytest.raises(LabError, match="whole answer of 'double'") as caught:
        lab_text(tiny(code("oops", f"def mine(x):\n\n{body}")), NAME)
    assert f"{NAME}, cell 'oops'" in str(caught.value)


def test_a_single_line_of_an_answer_may_stand_in_the_open():
    assert "hint" in lab_text(tiny(prose("hint", "result = x + x")), NAME)


def test_a_given_cell_may_show_the_whole_answer():
    given = code("given", "result = x + x\nreturn result", tags=["given"])
    assert "given" in lab_text(tiny(given), NAME)


def test_an_answer_that_the_chain_leaves_is_found_as_a_leak(monkeypatch):
    monkeypatch.setattr("labcore.staff.authoring.release._clear", lambda nb, name: nb)
    with pytest.raises(LabError, match="secret line 'result = x [+] x'"):
        lab_text(tiny(), NAME)


def test_release_writes_once_and_is_stable(repo):
    labs = repo / "labs"
    assert release(repo / "solutions", labs) == [f"labs/{NAME} was missing: written."]
    first = (labs / NAME).read_bytes()
    assert release(repo / "solutions", labs) == []
    (labs / NAME).unlink()
    release(repo / "solutions", labs)
    assert (labs / NAME).read_bytes() == first
    assert b"\r" not in first
    assert [path.name for path in labs.iterdir()] == [NAME]


def test_a_check_names_the_first_differing_cell_and_writes_nothing(repo):
    labs = repo / "labs"
    release(repo / "solutions", labs)
    edited = tiny()
    cell_of(edited, "setup").source = "import cmath"
    before = (labs / NAME).read_bytes()
    write(repo / "solutions" / NAME, edited)
    assert release(repo / "solutions", labs, check=True) == [
        f"labs/{NAME} differs from its source, first at cell 'setup': "
        "run `make release`."
    ]
    assert (labs / NAME).read_bytes() == before


def test_a_check_names_missing_extra_and_damaged_labs(repo):
    labs = repo / "labs"
    write(labs / "91_extra.ipynb", tiny())
    said = release(repo / "solutions", labs, check=True)
    assert said == [
        f"labs/{NAME} was missing: run `make release`.",
        "labs/91_extra.ipynb has no source in solutions/: run `make release`.",
    ]
    (labs / NAME).write_text("{", encoding="utf-8")
    assert "damaged" in release(repo / "solutions", labs, check=True)[0]
    release(repo / "solutions", labs)
    assert [path.name for path in labs.iterdir()] == [NAME]


def test_one_wrong_notebook_stops_the_whole_release(repo):
    write(repo / "solutions" / "91_wrong.ipynb", notebook(answer("a", BARE)))
    with pytest.raises(LabError, match="91_wrong.ipynb, cell 'a'"):
        release(repo / "solutions", repo / "labs")
    assert not (repo / "labs").exists()


def test_labs_are_not_removed_when_the_solutions_are_not_there(repo):
    release(repo / "solutions", repo / "labs")
    with pytest.raises(LabError, match="no notebook"):
        release(repo / "elsewhere", repo / "labs")
    assert (repo / "labs" / NAME).exists()


def test_without_nbgrader_one_sentence_says_how_to_add_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(LabError, match="python -m labcore setup instructor"):
        lab_text(tiny(), NAME)


def stream(name, text):
    return new_output("stream", name=name, text=text)


def display(**data):
    kinds = {"png": "image/png", "text": "text/plain", "widget": WIDGET}
    return new_output("display_data", {kinds[key]: data[key] for key in data})


WIDGET = "application/vnd.jupyter.widget-view+json"


def cleaned(*outputs, **metadata):
    cell = code("a", "1", **metadata)
    cell.outputs = list(outputs)
    nb = notebook(cell)
    warned = clean_outputs(nb, NAME)
    return nb.cells[0].outputs, warned


def test_progress_bars_and_widgets_are_not_stored_but_figures_are():
    figure = display(png="iVBORw0KGgo=", text="<Figure>")
    kept, warned = cleaned(
        stream("stderr", "\r 10%|#  | 1/10 [00:00<00:01, 9it/s]\r100%|###| 10/10"),
        display(widget={"model_id": "1"}, text="interactive(children=())"),
        figure,
    )
    assert kept == [figure] and warned == []


def test_warnings_are_dropped_and_told():
    kept, warned = cleaned(stream("stderr", "/tmp/x.py:1: UserWarning: odd\n  f()\n"))
    assert kept == []
    assert warned == [f"{NAME}, cell 'a': /tmp/x.py:1: UserWarning: odd"]


def test_rewritten_lines_are_stored_in_their_last_state():
    kept, _ = cleaned(stream("stdout", "1 of 2\r2 of 2\ndone\r\n"))
    assert kept[0].text == "2 of 2\ndone\n"


def test_prints_are_stored_as_one_output_however_the_kernel_sent_them():
    figure = display(png="iVBORw0KGgo=")
    bar = stream("stderr", "100%|###| 10/10")
    said = [stream("stdout", text) for text in ("1\n", "2\n", "3\n")]
    kept, _ = cleaned(said[0], bar, said[1], figure, said[2])
    assert [o.get("text") for o in kept] == ["1\n2\n", None, "3\n"]


def test_timings_are_not_stored():
    assert cleaned(stream("stdout", "1.2 ms\n"), tags=["timing"])[0] == []


def test_a_large_figure_is_refused():
    png = base64.b64encode(bytes(120_000)).decode()
    with pytest.raises(LabError, match="cell 'a': a figure of 120 kB is too large"):
        cleaned(display(png=png, text="<Figure>"))


RUN = """\
import os, sys, warnings
from pathlib import Path
print(Path.cwd().name, os.environ["LABCORE_STRICT"], os.environ.get("LABCORE_TRACK"))
warnings.warn("odd")"""


def test_execution_stores_results_and_nothing_of_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABCORE_TRACK", "cifar10")
    source = tiny(
        code("last", RUN), code("bar", "from tqdm.auto import tqdm\n_ = [*tqdm('ab')]")
    )
    path = write(tmp_path / "solutions" / NAME, source)
    execute_solutions([path])
    said = capsys.readouterr().out
    assert f"{NAME}: " in said and "UserWarning: odd" in said
    nb = nbformat.read(path, 4)
    counts = [cell.execution_count for cell in nb.cells if cell.cell_type == "code"]
    assert counts == [1, 2, 3, 4, 5, 6]
    assert [out.text for out in cell_of(nb, "last").outputs] == ["solutions 1 None\n"]
    assert cell_of(nb, "bar").outputs == []
    fresh = tiny()
    normalise(fresh)
    assert nb.metadata == fresh.metadata
    assert all("execution" not in cell.metadata for cell in nb.cells)
    once = path.read_bytes()
    execute_solutions([path])
    assert path.read_bytes() == once
    assert lab_text(nb, NAME) == lab_text(source, NAME)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\nraise ValueError('first\\nsecond')", "ValueError: first"),
        ("import os\nos._exit(1)", "died"),
    ],
)
def test_a_failing_cell_is_named_and_the_file_left_alone(tmp_path, source, words):
    path = write(tmp_path / NAME, tiny(code("broken", source), code("later", "1")))
    before = path.read_bytes()
    with pytest.raises(LabError, match="cell 'broken' fails") as caught:
        execute_solutions([path])
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_outputs_that_do_not_come_stop_it_instead_of_being_left_out(
    tmp_path, monkeypatch
):
    async def never(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr("nbclient.NotebookClient._async_poll_output_msg", never)
    monkeypatch.setattr(execute, "OUTPUT_SECONDS", 0, raising=False)
    path = write(tmp_path / NAME, tiny())
    with pytest.raises(LabError, match="fails .*timed out"):
        execute_solutions([path])


def test_notebook_text_is_what_release_reads_back():
    nb = tiny()
    assert parse_notebook(notebook_text(nb), NAME) == nb


QUADRUPLE = """\
def quadruple(x):
    ### BEGIN SOLUTION
    return 4 * x
    ### END SOLUTION"""
HINTS = (
    "<details><summary>Hint 1</summary>\n\nLook.\n\n</details>\n\nCompare afterwards."
)


@pytest.fixture
def helpful(monkeypatch):
    """A known mistake of the toy lab comes with help."""
    mistake = Mistake(
        "you double < twice; do it again",
        lambda x: 2 * x,
        help="Once gives 2 from 1, and 4 is asked for.",
    )
    exercise = toy_checks.EXERCISES["quadruple"]
    monkeypatch.setattr(exercise, "mistakes", [mistake])


def with_checks(below):
    """A lab whose checks are those of the toy lab."""
    return tiny(
        code("imports", "import toy_checks as lab90", tags=["setup"]),
        answer("quadruple", QUADRUPLE),
        check("check-quadruple", "lab90.check_quadruple(quadruple)", points=1),
        prose("hints", below),
    )


@pytest.mark.usefixtures("helpful")
def test_the_help_folds_of_the_checks_stand_below_the_last_hint():
    assert cell_of(lab_of(with_checks(HINTS)), "hints").source == (
        "<details><summary>Hint 1</summary>\n\nLook.\n\n</details>\n\n"
        '<details><summary>Help - "you double &lt; twice"</summary>\n\n'
        "Once gives 2 from 1, and 4 is asked for.\n\n</details>\n\n"
        "Compare afterwards."
    )


@pytest.mark.usefixtures("helpful")
def test_help_without_hints_to_stand_below_is_refused():
    with pytest.raises(LabError, match="90.3 quadruple: there are no hints below"):
        lab_of(with_checks("no hints"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"nbformat": 4}', '"a"', "1"])
def test_a_damaged_file_is_one_sentence(text):
    with pytest.raises(LabError, match="x.ipynb is damaged"):
        parse_notebook(text, "x.ipynb")
