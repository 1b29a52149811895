"""JupyterLab as students see it: Lab 01 from its first line to the file to hand in."""

from __future__ import annotations

import re
import sys

import pytest
from keyboard import OUTPUT
from notebooks import LABS, SOLUTIONS, code_cells, is_answer, read, write

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix"),
]
LAB = next(path for path in LABS if path.name.startswith("01_"))
SOLUTION = {cell.id: cell for cell in read(SOLUTIONS[LABS.index(LAB)]).cells}


def test_a_student_does_lab_01_by_keyboard_alone(student, course):
    notebook = course / "work" / LAB.name
    write(notebook, all_but_the_first_written())
    student.open(notebook)
    first_exercise_until_it_is_right(student)
    restart_and_run_all(student)
    look_at_a_figure_and_move_the_slider(student)
    save_and_submit(student, course)


def all_but_the_first_written():
    nb = read(LAB)
    _, *others = filter(is_answer, code_cells(nb))
    for cell in others:
        cell.source = SOLUTION[cell.id].source
    return nb


def first_exercise_until_it_is_right(student):
    student.run("imports")
    student.run("get-sparsity")
    student.run("check-get-sparsity", "[1.1 get_sparsity] TODO")

    student.rewrite("get-sparsity", 2, "return (tensor != 0).float().mean().item()")
    student.run("check-get-sparsity", "[1.1 get_sparsity] FAILED at step 1")
    student.sees(OUTPUT, "this is the share of nonzeros; return the share of zeros")

    student.go_to("text-04")
    student.reach("summary:focus", "Hint 2")
    student.press("Enter")
    student.sees("details[open] p", "divide by the number of values")

    (right,) = re.findall(r"return .*", SOLUTION["get-sparsity"].source)
    student.rewrite("get-sparsity", 1, right)
    student.run("check-get-sparsity", "[1.1 get_sparsity] ok")


def restart_and_run_all(student):
    student.command("Restart Kernel and Run All Cells")
    student.sees(".jp-Dialog button:focus", "Restart")
    student.press("Enter")
    last = student.go_to("dropout")
    last.locator(OUTPUT, has_text="share of zeros:    0.4").wait_for()


def look_at_a_figure_and_move_the_slider(student):
    student.go_to("network-sizes")
    (drawn,) = SOLUTION["network-sizes"].outputs
    assert ("image", drawn.data["text/plain"]) in spoken(student.page)

    student.go_to("threshold-slider")
    student.sees("[role=status] img[alt^='Threshold 0.010: 46 % removed']")
    student.reach("[role=slider]:focus")
    assert ("spinbutton", "threshold") in spoken(student.page)
    student.press("ArrowRight", "ArrowRight")
    student.sees("[role=status] img[alt^='Threshold 0.012: 54 % removed']")
    assert student.sees(".jp-mod-active .widget-text input").input_value() == "0.012"
    student.back_to_the_cell()


def spoken(page) -> list[tuple[str, str]]:
    """Role and name of everything that the browser tells a screen reader."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    return [
        (node["role"]["value"], node["name"]["value"])
        for node in tree["nodes"]
        if "role" in node and "name" in node
    ]


def save_and_submit(student, course):
    student.press("Control+s")
    student.sees(".jp-StatusBar-Widget", "Saving completed")
    student.command("New Terminal")
    student.sees(".xterm-helper-textarea:focus")
    student.type("python -m labcore submit 01")
    student.press("Enter")
    student.sees(".xterm-accessibility", "20 of 20, and up to 10 for the text")
    student.sees(".xterm-accessibility", f"To hand in: work/submissions/{LAB.name}")
    student.press("Control+c")  # the whole notebook has just been run
    student.sees(".xterm-accessibility", "Stopped. The file to hand in is complete.")
    assert (course / "work" / "submissions" / LAB.name).is_file()
