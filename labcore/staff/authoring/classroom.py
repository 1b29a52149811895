"""What a class folder holds: the labs, labcore and instructions, but no answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from .release import lab_text

__all__ = ["class_files"]

COPIED = (
    ".gitattributes",
    ".gitignore",
    "LICENSE",
    "environment.yml",
    "pyproject.toml",
)
README = """\
# Pruning Lab

You need Python 3.11 to 3.14, this folder, and 2 to 7 GB of disk.

    make lab

sets up an environment in `.venv` (a few minutes, once), copies the labs into `work/`
and opens JupyterLab there. Your copies in `work/` are never overwritten. When a lab is
done:

    make submit LAB={first}

tries your notebook as grading will, shows the points, and writes the file to hand in.

Without make, on Windows for example: `py -m labcore lab` and
`py -m labcore submit {first}`. With conda: `conda env create -f environment.yml`,
`conda activate pruning-lab`, `labcore lab`. With uv: `uv run labcore lab`.

| lab | you will | minutes | needs |
|---|---|---|---|
{rows}

How a lab works, and what to do when you are stuck: [labs/README.md](labs/README.md).
If something does not work: `python -m labcore doctor`. When the course hands out a
newer folder, copy it over this one and run `python -m labcore update`: your answers
move along.
"""
MAKE = """\
.PHONY: lab submit

lab:
\t@$(LABCORE) lab

submit:
\t@$(LABCORE) submit $(LAB)
"""


def class_files(root: Path, redacted: Mapping[str, NotebookNode]) -> dict[str, bytes]:
    """Every file of the class folder, by its path there.

    It contains no checks of later labs, and no tools for instructors.
    """
    files = {name: (root / name).read_bytes() for name in COPIED}
    for path in sorted((root / "labcore").rglob("*")):
        name = path.relative_to(root).as_posix()
        checks = re.match(r"labcore/checks/lab(\d\d)[./]", name)
        later = checks and checks[1] > max(redacted)[:2]
        hidden = later or name.startswith("labcore/staff/") or "/__pycache__/" in name
        if path.is_file() and not hidden:
            files[name] = path.read_bytes()
    for name, source in redacted.items():
        files[f"labs/{name}"] = lab_text(source, name).encode()
    guide = (root / "labs" / "README.md").read_text(encoding="utf-8")
    files["labs/README.md"] = _without_solutions(guide).encode()
    readme = (root / "README.md").read_text(encoding="utf-8")
    files["README.md"] = _readme(readme, list(redacted)).encode()
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    files["Makefile"] = _makefile(makefile).encode()
    return files


def _without_solutions(guide: str) -> str:
    """The guide without the paragraphs that point to the solutions."""
    return "\n\n".join(p for p in guide.split("\n\n") if "solutions/" not in p)


def _readme(readme: str, labs: list[str]) -> str:
    rows = [
        line
        for line in readme.splitlines()
        if (link := re.match(r"\| \[\d\d [^\]]*\]\(labs/([^)]*)\)", line))
        and link[1] in labs
    ]
    return README.format(first=labs[0][:2], rows="\n".join(rows))


def _makefile(makefile: str) -> str:
    """Our search for a Python, unchanged, then the two targets that students need."""
    search = makefile[makefile.index("# The first Python") : makefile.index(".PHONY")]
    return search + MAKE
