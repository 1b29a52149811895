"""Parity: the notebook, submit and grade find the same, whatever honest style it has.

Every reference is handed in as it is and rewritten in ways that students write, on
every lab: ok in the notebook, all points in `submit`, and in `grade` with the sandbox
and without; no remarks.
"""

import ast
import copy
import re
import shutil
import textwrap

import pytest
from corpus import save
from nbformat.v4 import new_code_cell
from notebooks import LABS, ROOT, is_check, read

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore.runtime import strict_environment  # noqa: E402
from labcore.staff.grading import jobs, workers  # noqa: E402
from labcore.staff.grading.assignment import read_assignment  # noqa: E402
from labcore.staff.grading.reading import find_submissions  # noqa: E402
from labcore.student.kernel import Kernel  # noqa: E402
from labcore.student.notebooks import grading  # noqa: E402
from labcore.student.running import tried  # noqa: E402
from labcore.student.submit import LIMITS  # noqa: E402
from labcore.student.tasks import Work, job_of, rows_of, take_answers  # noqa: E402

SEEDS = (3, 4)
QUICK = [
    ("00", "a file from Colab"),
    ("01", "as it is"),
    ("01", "workers and scripts"),
    ("02", "in two cells"),
]

# style -> the text of an answer's cell, or of several cells, made from the reference


def renamed(name, source):
    """The reference under another name, for a style to wrap."""
    return re.sub(rf"\b(def|class) {name}\b", rf"\1 inner_{name}", source)


def only_functions(style):
    """A class stays as it is."""
    return lambda name, source: (
        [source] if f"class {name}" in source else style(name, source)
    )


STYLES = {
    "as it is": lambda name, source: [source],
    "a partial": only_functions(
        lambda name, source: [
            f"import functools\n{renamed(name, source)}\n"
            f"{name} = functools.partial(inner_{name})"
        ]
    ),
    "a lambda": only_functions(
        lambda name, source: [
            f"{renamed(name, source)}\n{name} = lambda *a, **k: inner_{name}(*a, **k)"
        ]
    ),
    "a callable object": only_functions(
        lambda name, source: [
            f"{renamed(name, source)}\n"
            "class Answer:\n"
            "    def __call__(self, *args, **kwargs):\n"
            f"        return inner_{name}(*args, **kwargs)\n"
            f"{name} = Answer()"
        ]
    ),
    "a decorator and a data class": only_functions(
        lambda name, source: [
            "from __future__ import annotations\n"
            "import dataclasses, functools\n"
            "@dataclasses.dataclass\n"
            "class Größe:\n    wert: int = 0\n"
            "def noted(function):\n"
            "    @functools.wraps(function)\n"
            "    def with_note(*args, **kwargs):\n"
            "        if (größe := Größe(1)).wert:\n"
            "            return function(*args, **kwargs)\n"
            "    return with_note\n"
            f"{renamed(name, source)}\n{name} = noted(inner_{name})"
        ]
    ),
    "a network of its own class": only_functions(
        lambda name, source: [
            f"import torch\n{renamed(name, source)}\n"
            "class Answer(torch.nn.Module):\n"
            "    def forward(self, *args, **kwargs):\n"
            f"        return inner_{name}(*args, **kwargs)\n"
            f"{name} = Answer()"
        ]
    ),
    "workers and scripts": lambda name, source: [
        "import torch\n"
        "from torch.utils.data import DataLoader\n"
        "loader = DataLoader(range(4), num_workers=2)\n"
        "assert [int(x) for x in loader] == [0, 1, 2, 3]\n"
        "@torch.jit.script\n"
        "def twice(x: torch.Tensor) -> torch.Tensor:\n    return x + x\n"
        "assert twice(torch.ones(())) == 2\n"
        f"{source}"
    ],
    "in two cells": lambda name, source: [source + "\n\n1 / 0  # a trial", "# done"],
    "with much around it": lambda name, source: [
        "%matplotlib inline\n"
        "from tqdm.auto import tqdm\n"
        "import matplotlib.pyplot as plt\n"
        "for _ in tqdm(range(3)):\n    print('warming up')\n"
        "figure, axes = plt.subplots()\naxes.plot([1, 2]); plt.show(); plt.close()\n"
        f"display(figure)\n{source}\n"
        "await __import__('asyncio').sleep(0)"
    ],
    "line ends of Windows": lambda name, source: [source.replace("\n", "\r\n")],
    "torch's other ways": lambda name, source: [
        "import torch\n"
        "layer = torch.nn.Linear(2, 2)\n"
        "seen = []\n"
        "hook = layer.register_forward_hook(lambda *given: seen.append(given[-1]))\n"
        "with torch.inference_mode():\n    layer(torch.ones(1, 2))\n"
        "hook.remove()\n"
        "layer.weight.data = torch.from_numpy(layer.weight.detach().numpy() * 2)\n"
        "layer.bias.data.set_(torch.zeros(2))\n"
        "zeros = {n: torch.zeros_like(p) for n, p in layer.named_parameters()}\n"
        "out = torch.func.functional_call(layer, zeros, (torch.ones(1, 2),))\n"
        "match out.shape:\n    case (1, 2):\n        assert len(seen) == 1\n"
        f"{source}"
    ],
    "a file from Colab": lambda name, source: [source],
    "a file from VS Code": lambda name, source: [source],
}


def by_colab(nb):
    """What Colab makes of the file: no cell ids, names in the metadata instead."""
    nb.nbformat_minor = 0
    nb.metadata.update(colab={"provenance": []}, accelerator="GPU")
    for number, cell in enumerate(nb.cells):
        cell.metadata["id"] = cell.pop("id", f"c{number}")
        cell.metadata["colab"] = {"base_uri": "https://localhost:8080/"}


def by_vs_code(nb):
    """What VS Code makes of it: its own cell ids and metadata, another kernel."""
    nb.metadata["kernelspec"] = {
        "display_name": ".venv (3.12.1)",
        "language": "python",
        "name": "python3",
    }
    for number, cell in enumerate(nb.cells):
        cell["id"] = f"{number:08x}"
        if cell.cell_type == "code":
            cell.metadata["vscode"] = {"languageId": "python"}


FILES = {"a file from Colab": by_colab, "a file from VS Code": by_vs_code}


def handed_in(assignment, style, folder):
    """The lab with every reference written in this style, as a file."""
    nb = copy.deepcopy(assignment.lab.notebook)
    solution = {
        grading(cell).get("grade_id"): cell.source
        for cell in read(ROOT / "solutions" / f"{assignment.stem}.ipynb").cells
    }
    names = {task.grade_id: task.name for task in assignment.tasks}
    cells = []
    for cell in nb.cells:
        cells.append(cell)
        grade_id = grading(cell).get("grade_id")
        if grade_id in names:
            answer = textwrap.dedent(solution[grade_id])
            cell.source, *rest = STYLES[style](names[grade_id], answer)
            cells += [new_code_cell(text, metadata=cell.metadata) for text in rest]
    nb.cells = cells
    FILES.get(style, lambda nb: None)(nb)
    save(nb, folder, f"{assignment.stem}.ipynb")
    return nb


def submitted(nb, lab, seeds=SEEDS):
    work = Work()
    take_answers(work, nb, lab)
    job = job_of(work, lab, lab.tasks, seeds, 60, **LIMITS)
    return list(rows_of(work, lab.tasks, tried(job)))


def graded(folder, assignment, sandbox, seeds=SEEDS):
    (submission,) = find_submissions(folder, assignment.stem)
    work = jobs.read_work(submission, assignment)
    terms = jobs.Terms(seeds=seeds, timeout=60, memory=4, sandbox=sandbox)
    workers.local(1)  # from here on processes may start
    found = workers.examined(jobs.job_of(work, assignment, terms, assignment.tasks))
    return jobs.rows_of(work, assignment.tasks, found["results"])


def run_all(nb, folder):
    """The checks' names that say ok in the notebook itself, after a restart.

    Of the other cells those run that define something, and no experiments.
    """
    said = set()
    with Kernel(folder, strict_environment()) as kernel:
        for cell in nb.cells:
            if cell.cell_type != "code" or not (grading(cell) or defines(cell)):
                continue
            outcome = kernel.run(cell.source, 120)
            if is_check(cell) and not outcome.error:
                said.add(grading(cell)["grade_id"])
    return said


def defines(cell):
    if "setup" in cell.metadata.get("tags", []):
        return True
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:  # a magic
        return False
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return all(isinstance(node, kinds) or constant(node) for node in body)


def constant(node):
    return isinstance(node, ast.Assign) and not any(
        isinstance(inner, ast.Call) for inner in ast.walk(node)
    )


CASES = [
    pytest.param(
        path.name[:2],
        style,
        marks=[] if (path.name[:2], style) in QUICK else [pytest.mark.long],
        id=f"{path.name[:2]}: {style}",
    )
    for path in LABS
    for style in STYLES
]


@pytest.mark.parametrize("number, style", CASES)
def test_an_honest_answer_earns_the_same_everywhere(tmp_path, number, style):
    assignment = read_assignment(number, ROOT)
    nb = handed_in(assignment, style, tmp_path / "ann")
    checks = {grading(cell)["grade_id"] for cell in nb.cells if is_check(cell)}
    assert run_all(nb, tmp_path) == checks, "in the notebook"
    rows = submitted(nb, assignment.lab)
    assert [(row.status, row.points) for row in rows] == [
        ("passed", task.points) for task in assignment.tasks
    ], [row.message for row in rows]
    assert not any(row.remarks for row in rows)
    for sandbox in (False, True) if shutil.which("bwrap") else (False,):
        for row, other in zip(rows, graded(tmp_path, assignment, sandbox), strict=True):
            same = ("exercise", "title", "points", "of", "status", "message")
            assert [getattr(row, name) for name in same] == [other[n] for n in same]
            assert other["remarks"] == []


@pytest.mark.long
@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_no_seed_takes_a_point(tmp_path, path):
    """In the checks alone, the right answers of every lab's tests pass on as many."""
    assignment = read_assignment(path.name[:2], ROOT)
    nb = handed_in(assignment, "as it is", tmp_path / "ann")
    sandbox = shutil.which("bwrap") is not None
    found = [row.points for row in submitted(nb, assignment.lab, range(40))]
    assert found == [task.points for task in assignment.tasks]
    rows = graded(tmp_path, assignment, sandbox, range(40))
    assert [row["points"] for row in rows] == found
