"""A classic nbgrader course: source/LAB/LAB.ipynb and a matching configuration."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from ...student.notebooks import normalise, notebook_text
from .folds import add_folds
from .release import CODE_STUB, TEXT_STUB, lab_text

__all__ = ["nbgrader_files"]

CONFIG = f'''\
"""nbgrader for the pruning labs, hardened against what students do to their files."""

import os
import sys
from pathlib import Path

from nbgrader import preprocessors as p

from labcore.runtime import let_threads_sleep

here = str(Path(sys.executable).parent)  # of alembic, which nbgrader calls by name
os.environ["PATH"] = here + os.pathsep + os.environ.get("PATH", "")
os.environ["LABCORE_STRICT"] = "1"  # an exercise that is not written fails
os.environ["LABCORE_PRECISION"] = "fp32"
let_threads_sleep()


class DropEmptyNbgrader(p.NbGraderPreprocessor):
    """What is left of a copied cell's metadata once its id was taken away."""

    def preprocess_cell(self, cell, resources, index):
        if cell.metadata.get("nbgrader") == {{}}:
            del cell.metadata["nbgrader"]
        return cell, resources


c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "pruning-lab"
c.Autograde.sanitize_preprocessors = [
    p.ClearOutput,
    p.DeduplicateIds,  # a copied cell would stop the whole class
    DropEmptyNbgrader,
    p.OverwriteKernelspec,
    p.OverwriteCells,
    p.CheckCellMetadata,
]
c.OverwriteCells.add_missing_cells = True  # deleted checks come back
c.IgnorePattern.enabled = True  # a warning or a progress bar is not a failure
c.IgnorePattern.pattern = r"(?s).*"
c.Execute.timeout = 300  # seconds a cell
c.ClearSolutions.code_stub = {{"python": {CODE_STUB!r}}}
c.ClearSolutions.text_stub = {TEXT_STUB!r}
'''
README = """\
# An nbgrader course of the pruning labs

For instructors: `source/` holds the answers. Activate the environment of the clone that
wrote this folder (`source CLONE/.venv/bin/activate`; on Windows
`CLONE\\.venv\\Scripts\\activate`), then, here, once for each lab:

    nbgrader generate_assignment {lab}

then hand out `release/{lab}/{lab}.ipynb`; students need labcore too, which
`labcore release --course` without `--nbgrader` puts into a class folder. What they hand
in goes to `submitted/STUDENT/{lab}/{lab}.ipynb`, and then

    nbgrader autograde {lab}
    nbgrader formgrader
    nbgrader generate_feedback {lab}
    nbgrader export

formgrader is where you grade the free text.

- A check here is all or nothing; `labcore grade` gives partial points.
- Every cell of every notebook runs, plots and training included, **with your rights, on
  your machine, and with these answers within reach**. Nothing is isolated.
- A file that is no notebook, or has another name, is named in the log; the others are
  graded.
"""
IGNORED = "submitted/\nautograded/\nfeedback/\ngradebook.db\n.ipynb_checkpoints/\n"


def nbgrader_files(redacted: Mapping[str, NotebookNode]) -> dict[str, bytes]:
    """Every file of the course, by its path there."""
    files = {"nbgrader_config.py": CONFIG.encode(), ".gitignore": IGNORED.encode()}
    for name, redacted_source in redacted.items():
        lab_text(redacted_source, name)  # raises if something must not be released
        nb = copy.deepcopy(redacted_source)
        normalise(nb)
        add_folds(nb, name[:2])
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        lab = Path(name).stem
        files[f"source/{lab}/{name}"] = notebook_text(nb).encode()
    files["README.md"] = README.format(lab=Path(min(redacted)).stem).encode()
    return files
