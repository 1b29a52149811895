"""Find the notebook that the user means, and the lab it belongs to."""

from __future__ import annotations

import re
from pathlib import Path

from ..runtime import LabError
from .notebooks import NUMBERED, grading, read_notebook

__all__ = ["find"]


def find(name: str, work: Path, labs: Path) -> tuple[Path, Path]:
    """The notebook given by lab number or by path, and the released lab in labs/."""
    released = {path.name[:2]: path for path in sorted(labs.glob(NUMBERED))}
    if not released:
        raise LabError(
            f"There is no lab in {labs}: run labcore from the folder of the course."
        )
    if re.fullmatch(r"\d{1,2}", name):
        return _numbered(name.zfill(2), work, released)
    path = Path(name)
    if path.is_dir() or not path.exists():
        raise LabError(
            f"There is no notebook {name}: name a lab by its two digits "
            f"({', '.join(released)}) or give the path of its notebook."
        )
    return path, _lab_of(path, released)


def _numbered(number: str, work: Path, released: dict[str, Path]) -> tuple[Path, Path]:
    if number not in released:
        raise LabError(
            f"There is no Lab {number} here: choose from {', '.join(released)}."
        )
    lab = released[number]
    if (work / lab.name).exists():
        return work / lab.name, lab
    others = sorted(work.glob(f"{number}*.ipynb"))
    if not others:
        raise LabError(
            f"There is no {work.name}/{lab.name}: `python -m labcore lab` puts it "
            "there; if yours is elsewhere, give its path: labcore submit PATH."
        )
    if len(others) > 1:
        names = ", ".join(path.name for path in others)
        raise LabError(
            f"There are several notebooks of Lab {number} in {work.name}/ ({names}): "
            "give the path of the one to hand in: labcore submit PATH."
        )
    return others[0], lab


def _lab_of(path: Path, released: dict[str, Path]) -> Path:
    """Decide by the exercises it holds, or else by the digits its name starts with."""
    theirs = _exercises(path)
    shared = {lab: len(theirs & _exercises(lab)) for lab in released.values()}
    best = max(shared, key=shared.get)
    if shared[best]:
        return best
    if (number := path.name[:2]) in released:
        return released[number]
    raise LabError(
        f"{path.name} is none of the labs (it holds none of their exercises): give the "
        f"notebook of one of {', '.join(released)}."
    )


def _exercises(path: Path) -> set[str]:
    cells = read_notebook(path).cells
    return {
        grading(cell)["grade_id"] for cell in cells if grading(cell).get("grade_id")
    }
