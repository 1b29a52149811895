"""Gradescope's export: whose each folder is, and when it was handed in.

Known from public files only: a folder for each submission, and beside them a file
submission_metadata.yml that Ruby wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labcore.runtime import LabError
from labcore.staff.grading.intake import sound

__all__ = ["FOLDER", "METADATA", "Origin", "origins"]

METADATA = "submission_metadata.yml"
FOLDER = re.compile(r"submission_\w+")


@dataclass(frozen=True)
class Origin:
    students: tuple[str, ...]  # several if it was handed in by a group
    submitted: str


def origins(data: bytes) -> dict[str, Origin]:
    """Folder -> origin; LabError if the file is damaged."""
    try:
        import yaml
    except ImportError:
        raise LabError(
            f"PyYAML is missing here, and Gradescope's {METADATA} needs it: run "
            "'python -m labcore setup instructor' first."
        ) from None
    # as texts only, so that an id keeps its zeros; a tag of Ruby's means nothing then
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        listed = yaml.load(data, loader)
        return {sound(folder): _origin(folder, of) for folder, of in listed.items()}
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError):
        raise LabError(
            f"{METADATA} is damaged: export the submissions from Gradescope again."
        ) from None


def _origin(folder: str, listed: dict) -> Origin:
    submitters = listed.get(":submitters") or []
    students = tuple(sound(_id(submitter)) for submitter in submitters)
    names = tuple(filter(None, students)) or (sound(folder),)
    return Origin(names, sound(listed.get(":created_at") or ""))


def _id(submitter: dict) -> str:
    """What tells the student from others: the id, or else the address, or the name."""
    keys = (":sid", ":email", ":name")
    found = (submitter.get(key, "").strip() for key in keys)
    return next(filter(None, found), "")
