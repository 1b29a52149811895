"""`make site`: the course as pages that can be read before anything is installed.

`stage` copies what becomes a page into one folder: guides, and labs with their outputs.
Sphinx turns that folder into HTML, as `docs/conf.py` says.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from ...files import write_bytes
from ...runtime import LabError
from ...student.notebooks import (
    NUMBERED,
    grading,
    notebook_text,
    read_notebook,
    tags,
)

__all__ = ["build", "lab_page", "stage"]

ROOT = Path(__file__).parents[3]
GUIDES = {
    "labs/README.md": "students.md",
    "solutions/README.md": "instructors.md",
    "solutions/MUTANTS.md": "mutants.md",
    "CONTRIBUTING.md": "developers.md",
    "CHANGELOG.md": "changes.md",
    "labcore/data/README.md": "data.md",
    "README.md": "README.md",  # no page: others include its parts
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(?=#+ )", re.MULTILINE)
PREDICT = re.compile(r"\*\*Predict\b")
GUESS = re.compile(r"^(guess\w*) = None\b", re.MULTILINE)
NOTE = """\
:::{{admonition}} A page for reading
The results on this page are from our own run, without the times, which differ on every
machine. To write answers, run the checks and move the sliders,
[start the course](../index.md#start) and open `work/{name}`.
:::"""


def build(root: Path, folder: Path, repository: str = "", strict: bool = False) -> Path:
    """Build the site in `folder`/html; returns its first page.

    repository   address of the course on a code host, for links to what is no page
    strict       fail on any warning
    """
    try:
        from sphinx.cmd.build import main
    except ImportError:
        raise LabError(
            "Building the site needs Sphinx, which is not installed here: add it with "
            "`python -m labcore setup site`."
        ) from None
    source, html = folder / "source", folder / "html"
    shutil.rmtree(source, ignore_errors=True)
    stage(root, source, repository)
    options = ["-q", "-E", "-j", "auto", *(["-W", "--keep-going"] if strict else [])]
    shutil.rmtree(html, ignore_errors=True)
    state = ["-d", str(folder / "doctrees"), "-c", str(root / "docs")]
    if main([*options, *state, str(source), str(html)]):
        raise LabError("The site was not built: mend what Sphinx reports above.")
    return html / "index.html"


def stage(root: Path, folder: Path, repository: str = "") -> None:
    """Write the source of every page into an empty folder."""
    links = _Links(root, repository)
    for path, page in links.pages.items():
        if path.endswith(".ipynb"):
            lab = lab_page(
                read_notebook(root / path),
                read_notebook(root / "solutions" / Path(path).name),
            )
            lab.cells.insert(1, _note(Path(path).name))
            for cell in _prose(lab):
                cell.source = links.moved(cell.source, path)
            text = notebook_text(lab)
        else:
            text = links.moved((root / path).read_text(encoding="utf-8"), path)
        write_bytes(folder / page, text.encode())
    for path in links.pictures:
        write_bytes(folder / path, (root / path).read_bytes())


def lab_page(lab: NotebookNode, solution: NotebookNode) -> NotebookNode:
    """A lab with the outputs of its solution, but none that gives something away.

    Answers and checks show no output. What follows a prediction is folded: up to the
    cell that draws the guess, or to the next text if no number is typed; cells tagged
    *open* stay as they are.
    """
    page = copy.deepcopy(lab)
    outputs = {cell.id: cell.get("outputs", []) for cell in solution.cells}
    predicted, guesses = False, set()
    for cell in page.cells:
        if cell.cell_type == "markdown":
            predicted = bool(PREDICT.search(cell.source))
            continue
        guesses |= set(GUESS.findall(cell.source))
        if not grading(cell):
            cell.outputs = outputs.get(cell.id, [])
            secret = (predicted or guesses) and "open" not in tags(cell)
            if cell.outputs and secret:
                _fold(cell, "output", "Show the result, after you have guessed")
        if "given" in tags(cell):
            _fold(cell, "input", "Show the code, given from earlier labs")
        guesses -= _read(cell.source)
    _lower_headings(page)
    return page


def _read(source: str) -> set[str]:
    """The names that a cell reads."""
    nodes = ast.walk(ast.parse(source))
    names = (node for node in nodes if isinstance(node, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _fold(cell: NotebookNode, part: str, words: str) -> None:
    """Let the page show the cell's input or output only when the reader asks."""
    cell.metadata["tags"] = [*tags(cell), f"hide-{part}"]
    cell.metadata["mystnb"] = {"code_prompt_show": words, "code_prompt_hide": "Hide"}


def _lower_headings(page: NotebookNode) -> None:
    """A page has one title: what follows a later one becomes part of it."""
    later = False
    for cell in list(_prose(page))[1:]:
        later = later or cell.source.startswith("# ")
        if later:
            cell.source = HEADING.sub("#", cell.source)


def _prose(nb: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in nb.cells if cell.cell_type == "markdown")


def _note(name: str) -> NotebookNode:
    return new_markdown_cell(NOTE.format(name=name), id="about-this-page")


class _Links:
    """Where each page stands, and what becomes of the links between them."""

    def __init__(self, root: Path, repository: str) -> None:
        self.root, self.repository = root, repository
        guides = {path: page for path, page in GUIDES.items() if (root / path).exists()}
        others = {f"docs/{path.name}": path.name for path in root.glob("docs/*.md")}
        labs = {f"labs/{path.name}" for path in root.glob(f"labs/{NUMBERED}")}
        self.pages = guides | others | {path: path for path in sorted(labs)}
        self.pictures: set[str] = set()

    def moved(self, text: str, path: str) -> str:
        """A page's text with links for the place where the page stands."""
        return LINK.sub(lambda link: self._moved(link, path), text)

    def _moved(self, link: re.Match, path: str) -> str:
        words, (target, mark, fragment) = link[1], link[2].partition("#")
        found = Path(os.path.normpath(Path(path).parent / target)).as_posix()
        if not target or not (self.root / found).exists():
            return link[0]  # a part of this page, another site, or no link at all
        if found.endswith(".png"):
            self.pictures.add(found)
            page = found
        elif found == "README.md":
            page = "index.md"
        elif found not in self.pages:
            return self._elsewhere(words, found)
        elif fragment.startswith("cell-id="):  # JupyterLab's own kind
            page = self.pages[found]
        else:
            page = self.pages[found] + mark + fragment
        here = Path(self.pages[path]).parent
        return f"[{words}]({Path(os.path.relpath(page, here)).as_posix()})"

    def _elsewhere(self, words: str, found: str) -> str:
        """A file that is no page: at the code host, or in the reader's own copy."""
        if self.repository:
            return f"[{words}]({self.repository.rstrip('/')}/blob/main/{found})"
        return f"`{found}`" if words == found else f"{words} (`{found}`)"


def main() -> None:
    page = build(ROOT, ROOT / "docs" / "_build", os.environ.get("SITE_REPOSITORY", ""))
    print(f"The site is in {page.parent}: open {page.name} there.")


if __name__ == "__main__":
    try:
        main()
    except LabError as mistake:
        sys.exit(str(mistake))
