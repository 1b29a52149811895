"""The plans of docs/teach.md against the labs: minutes, needs and titles."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "teach.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| \[(\d\d) ([^\]]*)\].*\| (\d+) \| ([\d, –]+) \|$", README)
MINUTES = {number: int(minutes) for number, _, minutes, _ in ROWS}
NEEDS = {number: set(re.findall(r"\d\d", needs)) for number, _, _, needs in ROWS}
REQUIRED = {"00", "01", "02", "03", "04", "05", "11"}


def plan(title: str) -> list[tuple[list[str], str]]:
    """The labs of each week, and the minutes that the page says."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    weeks = re.findall(r"(?m)^\| \d+ \| ([^|]*) \| ([^|]*) \|", section)
    return [(re.findall(r"\d\d", labs), minutes) for labs, minutes in weeks]


@pytest.mark.parametrize("title", ["Six weeks", "Twelve weeks"])
def test_a_plan_has_its_weeks_and_minutes_and_each_lab_after_what_it_needs(title):
    weeks = plan(title)
    assert len(weeks) == {"Six weeks": 6, "Twelve weeks": 12}[title]
    done = set()
    for labs, minutes in weeks:
        for lab in labs:
            assert NEEDS[lab] <= done, lab
            done.add(lab)
        assert minutes == (str(sum(MINUTES[lab] for lab in labs)) if labs else "–")
    assert REQUIRED <= done
    assert (done == REQUIRED) == (title == "Six weeks")


def test_each_lab_has_an_opening_with_its_own_title():
    openings = re.findall(r"(?m)^\*\*(\d\d) ([^*]*)\.\*\*", PAGE)
    assert sorted(openings) == [(number, title) for number, title, _, _ in ROWS]
