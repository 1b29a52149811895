"""Cover what lies inside a folder that a sandbox shows, but must not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["covering"]

# what to show of a Python environment whose own folder is closed
ENVIRONMENT = ("bin", "lib", "lib64", "pyvenv.cfg")


def covering(
    shown: Sequence[Path], closed: Sequence[Path]
) -> tuple[list[str], list[Path]]:
    """bubblewrap's options that cover the closed places, and the folders they cover.

    A shown folder inside a closed one, such as its environment, is made visible again.
    """
    visible = dict.fromkeys(shown, True)
    for folder in shown:
        for place in closed:
            if place.exists() and _inside(place, folder):
                named = folder / place.resolve().relative_to(folder.resolve())
                visible[named] = False
        if not visible[folder]:
            for name in ENVIRONMENT:
                if (folder / name).exists():
                    visible.setdefault(folder / name, True)
    options, covers = [], []
    for place in sorted(visible):  # a folder comes before its contents
        above = next((p for p in place.parents if p in visible), None)
        before = visible[above] if above else place in shown
        if visible[place] == before:
            continue
        if visible[place]:
            between = [p for p in reversed(place.parents) if above in p.parents]
            for parent in between:
                options += ["--perms", "0755", "--dir", str(parent)]
            options += ["--ro-bind", str(place), str(place)]
        elif place.is_dir():
            options += ["--perms", "0755", "--tmpfs", str(place)]
            covers.append(place)
        else:
            options += ["--ro-bind", "/dev/null", str(place)]
    return options, covers


def _inside(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())
