"""Small changes of code, and what the checks of the labs make of them."""

import ast

import pytest

from labcore.staff.mutants import mutants

pytest.importorskip("resource", reason="changed answers run in forked processes")

from tests.mutants import inc  # noqa: E402
from tests.mutants.ledger import Ledger  # noqa: E402
from tests.mutants.table import LABS, named, rows, stored  # noqa: E402
from tests.mutants.trying import trials  # noqa: E402


def after(source: str) -> set[str]:
    return {mutant.after for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a < b", {"a <= b", "a > b"}),
        ("a not  in b", {"a in b"}),
        ("a - b", {"a + b", "b - a"}),
        ("(a) / (b)", {"(a) * (b)", "(a) // (b)", "(b) / (a)"}),
        ("x[1]", {"x[2]", "x[0]"}),
        ("a and b or c", {"a or b or c", "a and b and c"}),
        ("~mask", {"mask"}),
        ("x[:k]", {"x[k:]"}),
        ("f(a, b)", {"f(b, a)"}),
        ("x.sum(dim=k)", {"x.sum()"}),
        ("round(x)", {"x", "int(x)"}),
        ("torch.abs(a - b).item()", {"torch.abs(a - b)", "(a - b).item()"}),
        ("w.mul_(m)", {"w.mul(m)"}),
        ("w *= a + b", {"w = w * (a + b)", "w /= a + b", "w *= a - b"}),
        ("with torch.no_grad():\n    f()", {"if True:", "pass"}),
        ("@torch.no_grad()\ndef f():\n    g()", {"", "pass"}),
    ],
)
def test_each_operator_changes_one_thing(source, changed):
    assert after(source) >= changed


def test_every_change_is_python_and_stands_on_its_own_line():
    source = 'def f(x):\n    """A text."""\n    y = x > 1  # größer\n    return y\n'
    found = mutants(source)
    assert {mutant.line for mutant in found} == {3, 4}
    for mutant in found:
        assert ast.parse(mutant.source)
        old, new = source.splitlines(), mutant.source.splitlines()
        differing = [
            n
            for n, pair in enumerate(zip(old, new, strict=True), 1)
            if len({*pair}) > 1
        ]
        assert differing == [mutant.line]


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int = None) -> 1:\n    'text 1'",
        "zip(a, b, strict=True)[i]",
        "f'{x + 1}'",
        "raise ValueError(1)",
    ],
)
def test_what_no_run_can_notice_is_left_alone(source):
    assert after(source) <= {"zip(b, a, strict=True)[i]"}


@pytest.mark.parametrize("source", ["1 +", "x = (" * 500, "\0"])
def test_what_is_no_python_has_no_changes(source):
    assert mutants(source) == []


def test_c_is_changed_too_but_no_comment_and_no_head():
    source = "float f(int n) {  // 1 + 1\n    return n++ + 32 & 0.5f;\n}"
    changed = {mutant.after for mutant in inc.mutants(source)}
    assert changed == {
        "return n-- + 32 & 0.5f;",
        "return n + 32 & 0.5f;",
        "return n++ - 32 & 0.5f;",
        "return n++ + 33 & 0.5f;",
        "return n++ + 31 & 0.5f;",
        "return n++ + 32 | 0.5f;",
        "return n++ + 32 & 1.5f;",
        "return n++ + 32 & -0.5f;",
    }


def test_most_messages_name_a_cause():
    assert named(stored()) > 0.7


@pytest.mark.long
@pytest.mark.parametrize("lab", LABS)
def test_the_checks_refuse_every_change_that_is_a_mistake(lab):
    """For reasons of what is open, run `make mutants`."""
    tried, ledger = list(trials(lab)), Ledger.of(lab)
    survivors, unjudged = ledger.open(tried)
    assert [trial.change for trial in survivors] == []
    assert [(trial.change, trial.cause) for trial in unjudged] == []
    assert ledger.stale(tried) == []
    assert [trial.change for trial in tried if trial.seed > 0] == []
    of_lab = rows(tried)
    assert of_lab.items() <= stored().items()
