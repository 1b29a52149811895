"""A student who has a keyboard and no mouse."""

from __future__ import annotations

import re

from notebooks import read

MOST = 60  # keys to press before something counts as out of reach
ACTIVE = ".jp-Notebook .jp-Cell.jp-mod-active"
OUTPUT = ".jp-OutputArea-output"


class Student:
    """JupyterLab by its keys; every wait is for something that the page shows."""

    def __init__(self, page, lab) -> None:
        self.page, self.lab = page, lab
        self.cells: list[str] = []

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def sees(self, selector: str, text: str | re.Pattern | None = None):
        """Wait until this is on the page, and return it."""
        found = self.page.locator(selector, has_text=text).first
        found.wait_for()
        return found

    def reach(self, selector: str, text: str | None = None, key: str = "Tab"):
        """Press the key until this can be found, such as something with `:focus`."""
        wanted = self.page.locator(selector, has_text=text)
        for _ in range(MOST):
            if wanted.count():
                return wanted
            self.press(key)
        raise AssertionError(f"{key} does not reach {selector} {text or ''}")

    def command(self, words: str) -> None:
        """Run the command of JupyterLab that these words find in its palette."""
        self.press("Control+Shift+C")
        self.sees(".lm-CommandPalette-input:focus")
        self.type(words)
        self.sees(".lm-CommandPalette-item.lm-mod-active", words)
        self.press("Enter")

    def open(self, path) -> None:
        """Open a notebook of work/ from the list of files."""
        self.cells = [cell.id for cell in read(path).cells]
        self.page.goto(f"{self.lab.base}/lab/tree/work?reset&token={self.lab.token}")
        self.sees(".jp-DirListing-item", path.name)
        self.sees(".jp-Launcher:focus")
        self.reach(".jp-DirListing :focus", key="Shift+Tab")
        self.reach(".jp-DirListing-item.jp-mod-selected", path.name, key="ArrowDown")
        self.press("Enter")
        self.sees(f"{ACTIVE}:focus")
        self.sees(".jp-StatusBar-Widget", "| Idle")

    def go_to(self, name: str):
        """Move up or down to a cell, and return it."""
        there = self.cells.index(name)
        for _ in self.cells:  # not just their distance: the arrows skip a folded cell
            here = int(self.sees(ACTIVE).get_attribute("data-windowed-list-index"))
            if here == there:
                break
            self.press("ArrowDown" if there > here else "ArrowUp")
        self.sees(f"{ACTIVE}[data-windowed-list-index='{there}']:focus")
        return self.page.locator(f".jp-Cell[data-windowed-list-index='{there}']")

    def run(self, name: str, says: str | None = None) -> None:
        """Run a cell in place, and wait for an output that says this."""
        cell = self.go_to(name)
        self.press("Control+Enter")
        if says:
            cell.locator(OUTPUT, has_text=says).first.wait_for()

    def rewrite(self, name: str, lines: int, text: str) -> None:
        """Type a line in place of the last lines of a cell, and run the cell."""
        self.go_to(name)
        self.press("Enter")
        self.sees(f"{ACTIVE} .cm-content:focus")
        self.press("Control+End", *["Shift+ArrowUp"] * (lines - 1), "Shift+Home")
        self.type(text)
        self.press("Control+Enter")

    def back_to_the_cell(self) -> None:
        """From something inside of the active cell."""
        self.reach(f"{ACTIVE}:focus", key="Shift+Tab")
