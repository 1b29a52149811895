"""labs/ is what release makes of solutions/, byte for byte."""

from notebooks import ROOT

from labcore.staff.authoring.release import release


def test_labs_are_what_the_solutions_release():
    assert release(ROOT / "solutions", ROOT / "labs", check=True) == []
