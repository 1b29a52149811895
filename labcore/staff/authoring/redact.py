"""Remove from a source notebook what a class may not see yet."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from nbformat import NotebookNode

from ...runtime import LabError
from ...student.notebooks import grading, parse_notebook, tags
from .release import contains, lab_text, secrets

__all__ = ["Stub", "leaks", "redact", "stubs"]

SENTENCE = re.compile(r"Compare afterwards: \[[^\]]*\]\(\.\./solutions/[^)]*\)\.\s?")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
OWN = """\
# Put in your own {names}, as in Lab {lab}.
# Not ready yet? Then write here instead, without the #:
# from labcore.checks import lab{lab}
{lend}
"""


@dataclass(frozen=True)
class Stub:
    """A function of a lab as students get it, with a gap to fill."""

    lab: str
    text: str


def stubs(source: NotebookNode, name: str) -> dict[str, Stub]:
    """The functions and classes that a lab's answer cells define, by name."""
    lab = parse_notebook(lab_text(source, name), name)
    found = {}
    for cell in lab.cells:
        if cell.cell_type == "code" and grading(cell).get("solution"):
            for defined, (first, end) in _definitions(cell.source):
                lines = cell.source.split("\n")[first:end]
                found[defined] = Stub(name[:2], "\n".join(lines))
    return found


def redact(
    source: NotebookNode, labs: Collection[str], open_answers: Mapping[str, Stub]
) -> NotebookNode:
    """A copy without claims, and without links to solutions or labs the class lacks.

    A given cell may contain the answer to an exercise that is still open. We replace
    the function by the exercise's stub, and students insert their own.
    """
    nb = copy.deepcopy(source)
    nb.cells = [cell for cell in nb.cells if "claim" not in tags(cell)]
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = _unlinked(cell.source, labs)
        elif "given" in tags(cell):
            _open(cell, open_answers)
    nb.cells = [cell for cell in nb.cells if cell.source.strip()]
    return nb


def _unlinked(text: str, labs: Collection[str]) -> str:
    def plain(link: re.Match) -> str:
        target = link[2].partition("#")[0]
        gone = target.startswith("../solutions/") or (
            re.fullmatch(r"\d\d_\w+\.ipynb", target) and target not in labs
        )
        return link[1] if gone else link[0]

    without = SENTENCE.sub("", text)
    return LINK.sub(plain, without if without == text else without.rstrip())


def _open(cell: NotebookNode, open_answers: Mapping[str, Stub]) -> None:
    lines, own = cell.source.split("\n"), {}
    for name, (first, end) in reversed(list(_definitions(cell.source))):
        if name in open_answers:
            own[name] = open_answers[name].lab
            lines[first:end] = open_answers[name].text.split("\n")
    if not own:
        return
    notes = []
    for lab in sorted(set(own.values())):
        names = sorted(name for name in own if own[name] == lab)
        lend = "\n".join(f'# {name} = lab{lab}.lend("{name}")' for name in names)
        notes.append(OWN.format(names=" and ".join(names), lab=lab, lend=lend))
    cell.source = "".join(notes) + "\n".join(lines)
    cell.metadata["own"] = own
    cell.metadata.pop("jupyter", None)  # the given cell was collapsed


def _definitions(source: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name and line range of each function or class, including its decorators."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield node.name, (first - 1, node.end_lineno)


def leaks(lab: NotebookNode, name: str, sources: Mapping[str, NotebookNode]) -> None:
    """LabError if the lab contains a whole answer of these sources, or names them."""
    answers = {
        f"{other}, cell {owner!r}": lines
        for other, source in sources.items()
        for owner, lines in secrets(source).items()
        if len(lines) > 1
    }
    found = []
    for cell in lab.cells:
        shown = [line.strip() for line in cell.source.split("\n")]
        where = f"{name}, cell {cell.id!r}"
        if any("solutions/" in line for line in shown):
            found.append(f"{where} would name the solutions: reword it.")
        found += [
            f"{where} would show the whole answer of {owner}, which is not yet due: "
            "shorten it or tag the cell `given`."
            for owner, lines in answers.items()
            if contains(shown, lines)
        ]
    if found:
        raise LabError("\n".join(found))
