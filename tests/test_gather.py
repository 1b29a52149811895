"""What of a student's notebook stands for an answer, as the notebook has it."""

import json
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from notebooks import answer, check, code, free_text, notebook

from labcore.staff.grading.intake import notebook_in
from labcore.student.cells import LONGEST_CELL, borrowed, newer_syntax, plain
from labcore.student.gather import choose, elsewhere, gathered, local_imports
from labcore.student.notebooks import parse_notebook
from labcore.student.splice import splice

STUB = "def f(x):\n    raise NotImplementedError"
F = "def f(x):\n    return x + 1"


def run(source, *others, name="f", scope=(), fixed=(), above=None):
    """The namespace after the answer and what it borrows."""
    space = dict(scope)
    source = plain(gathered(source, STUB, name, others))
    for statement in borrowed(source, others, space, fixed, above):
        with suppress(Exception):
            exec(statement, space)
    exec(source, space)
    return space


def value(source, *others, **more):
    return run(source, *others, **more)["f"](1)


# Copies of an answer's cell


@pytest.mark.parametrize(
    ("copies", "which"),
    [
        ([F, "assert f(1) == 2"], 0),
        ([F, "import math\n" + F], 1),
        (["import math", F, ""], 1),
        ([F, "# " + F.replace("\n", "\n# ")], 0),
        ([F, STUB], 0),
        ([STUB, STUB + "  # soon"], 1),
        (["%%time\n" + F, "%matplotlib inline"], 0),
        ([F, "if True:\n    from math import sin as f", "print(f)"], 1),
        ([F, "def g():\n    f = 1"], 0),
        ([F, "def f(x:"], 0),
        (["x = 1", "y = 2", "# nothing"], 1),
        (["", ""], 1),
    ],
)
def test_the_last_copy_that_defines_the_name_counts(copies, which):
    assert choose(copies, "f", STUB) == which


def test_of_a_text_the_last_copy_that_says_something_counts():
    stub = "YOUR ANSWER HERE"
    assert choose(["# Because", stub, " "], "", stub) == 0
    assert choose([stub, "Because", "So"], "", stub) == 2


def test_a_cell_that_was_split_is_one_answer_and_cells_of_the_students_own():
    lab = notebook(answer("f", STUB), check("check-f", "f"), free_text("why", "WRITE"))
    parts = ["def more(x):\n    return x + 1", "def f(x):\n    return more(x)", "f(1)"]
    mine = notebook(*(answer("f", part) for part in parts), free_text("why", "So."))
    spliced, report = splice(mine, lab)
    assert spliced.cells[0].source == parts[1]
    assert report.moved[0].student == 1
    assert report.duplicates == {"f": [0, 2]}
    assert value(parts[1], parts[0], parts[2]) == 2


def test_a_class_that_was_split_is_whole():
    copies = ["class f:\n    a = 1", "class f(f):\n    b = 2", "class f(f):\n    c = 3"]
    which = choose(copies, "f")
    others = [copy for i, copy in enumerate(copies) if i != which]
    made = run(copies[which], *others)["f"]
    assert (made.a, made.b, made.c) == (1, 2, 3) and len(made.__mro__) == 4


# What an answer borrows

SCOPE = {"g": lambda x: "reference", "h": "given", "parameters": lambda m: "lab's"}
FIXED = ("g", "h")


def test_helpers_in_another_answers_cell_are_seen_and_references_stay():
    other = "import math\ndef more(x):\n    return math.ceil(x + 1)\ndef g(x): return 0"
    uses = "def f(x):\n    return more(x), g(x)"
    assert value(uses, other, scope=SCOPE, fixed=FIXED) == (2, "reference")
    assert value(uses, other, scope=SCOPE, fixed=None) == (2, "reference")


@pytest.mark.parametrize(
    "other",
    [
        "more, g = 1, 2",
        "for g in range(3):\n    more = g - 1",
        "from mine import *",
        "with context() as (more, g):\n    pass",
        "def context():\n    global g, more\n    g, more = 2, 1\ncontext()",
    ],
)
def test_what_binds_a_helper_leaves_the_references_alone(other, monkeypatch):
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(more=1, g=2))
    helper = (
        "from contextlib import contextmanager\n"
        "@contextmanager\ndef context():\n    yield (1, 2)"
    )
    uses = "def f(x):\n    return more, g(x)"
    found = value(uses, helper, other, scope=SCOPE, fixed=FIXED)
    assert found == (1, "reference")


def test_a_name_of_the_setup_is_the_students_where_their_cells_bind_it():
    mine = "def parameters(model):\n    return 'mine'"
    uses = "def f(x):\n    return parameters(x)"
    assert value(uses, mine, scope=SCOPE, fixed=FIXED) == "mine"
    assert value(uses, mine, scope=SCOPE, fixed=None) == "lab's"
    assert value(uses, "x = 1", scope=SCOPE, fixed=FIXED) == "lab's"
    length = "def f(x):\n    return len([x])"
    assert value(length, "def len(x):\n    return 'mine'") == "mine"


def test_a_cell_below_takes_no_name_away_that_was_there():
    uses = "def f(x):\n    return parameters(x), sum([x]), late"
    cells = ["parameters = 5", "sum = 0", "from math import *\nlate = floor(2.5)"]
    found = value(uses, *cells, scope=SCOPE, fixed=FIXED, above=0)
    assert found == ("lab's", 1, 2)
    two = ("more = 1", "more = 2\nmore += 1")
    assert value("def f(x):\n    return more", *two, above=1) == 1
    assert value("def f(x):\n    return more", *two, above=2) == 3


def test_a_star_below_gives_only_what_was_missing(monkeypatch):
    module = SimpleNamespace(sum=3, more=1, known=3, missing=4)
    monkeypatch.setitem(sys.modules, "mine", module)
    uses = "def f(x):\n    return sum([x]), more, known, missing"
    cells = ["more = 2", "from mine import *"]
    found = value(uses, *cells, scope={"known": 1}, above=1)
    assert found == (1, 2, 1, 4)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["masks = {}", "for n in 'ab':\n    masks[n] = 1"], {"a": 1, "b": 1}),
        (["masks = []", "for n in range(3):\n    masks.append(n)"], [0, 1, 2]),
        (["masks = []\n[masks.append(n) for n in range(2)]"], [0, 1]),
        (["masks = []", "def add(n):\n    masks.append(n)", "add(3)"], [3]),
        (["masks = []", "def add(it):\n    it.append(4)", "add(masks)"], [4]),
        (["def make():\n    global masks\n    masks = 5", "x = make()"], 5),
        (
            [
                "def make():\n    global masks\n    masks = 6",
                "def both():\n    make()",
                "both()",
            ],
            6,
        ),
        (["with open('/dev/null') as file:\n    masks = file.read()"], ""),
        (["i = 0\nwhile i < 3:\n    i += 1\n    masks = i"], 3),
        (["masks = 1", "masks = masks + 1", "masks += 1"], 3),
        (["masks = 1", "masks = [masks for _ in '12']"], [1, 1]),
        (["a = 1", "masks = a + 1", "a = 5"], 2),
        (["print(masks := 7)"], 7),
        (["match [1, 8]:\n    case [_, masks]:\n        pass"], 8),
        (["import sys\nmasks = [1]", "sys.modules.get('x')", "masks.clear()"], []),
        (["masks = [2, 1]", "if masks:\n    masks.sort()"], [1, 2]),
        (["%time\nmasks = 1", "!ls", "%%time\nmasks += 1"], 2),
        (["class masks: pass", "setattr(masks, 'x', 1)\nmasks = masks.x"], 1),
    ],
)
def test_a_name_is_what_the_notebook_made_of_it(cells, expected):
    assert value("def f(x):\n    return masks", *cells) == expected


def test_what_the_answer_does_not_need_is_not_run():
    cells = [
        "import torch",
        "torch.manual_seed(0)",
        "masks = []",
        "for n in range(10**9):\n    slow = n",
        "print(masks)",
        "[n for n in masks]",
        "def f2():\n    masks = []\n    masks.append(1)",
        "f2()",
    ]
    uses = "def f(x):\n    return [n for n in masks], torch"
    assert borrowed(uses, cells, {}, ()) == ["import torch", "masks = []"]


def test_a_star_import_hides_builtins_and_what_came_before_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(sum=max, more=1))
    uses = "def f(x):\n    return sum([x, 2]), more"
    assert value(uses, "from mine import *") == (2, 1)
    assert value(uses, "more = 5", "from mine import *") == (2, 1)
    assert value(uses, "from mine import *", "more = 5") == (2, 5)
    tried = "try:\n    from mine import *\nexcept ImportError:\n    pass"
    assert value(uses, tried) == (2, 1)
    assert value(uses, "from mine import *", scope={"more": 3}, fixed=None) == (2, 3)


# An answer in several cells


@pytest.mark.parametrize(
    "later",
    [
        "class f(f):\n    def apply(self):\n        return self.two()",
        "def apply(self):\n    return self.two()\nf.apply = apply",
        "def apply(self):\n    return self.two()\nsetattr(f, 'apply', apply)",
    ],
)
def test_a_class_may_be_continued_in_another_cell(later):
    begun = (
        "class f:\n    def __init__(self, x): self.x = x\n    def two(self): return 2"
    )
    assert run(begun, later)["f"](1).apply() == 2
    assert run(STUB, begun, later)["f"](1).apply() == 2
    assert run(STUB, f"{begun}\n{later}")["f"](1).apply() == 2


def test_every_part_of_a_class_runs_once():
    begun = "class f:\n    def __init__(self, x): self.x = x"
    later = (
        "class f(f):\n    def __init__(self, x):\n"
        "        super().__init__(x)\n        self.x += 1"
    )
    assert run(begun, later)["f"](1).x == 2
    assert run(later, begun)["f"](1).x == 2, "the answer continues it"
    assert run(STUB, begun, later)["f"](1).x == 2


def test_an_answer_stays_whatever_is_tried_with_its_name():
    assert value(F, "f = f(1)", "def f(x): return 0", "for f in []: pass") == 2


def test_a_stub_elsewhere_is_no_answer():
    assert elsewhere(STUB, STUB, "f", [F, STUB + "  # again"]) == F
    assert elsewhere("def g():\n    f = 1", STUB, "f", [F]).endswith(F)
    assert elsewhere(STUB, STUB, "f", ["def g():\n    f = 1"]) is None


# Damaged and hostile


@pytest.mark.parametrize("metadata", [None, "missing"])
def test_a_cell_without_metadata_damages_no_notebook(metadata):
    raw = json.loads(json.dumps(notebook(answer("f", F), code("own", "x = 1"))))
    for holder in (raw, raw["cells"][1]):
        holder["metadata"] = None
        if metadata:
            del holder["metadata"]
    text = json.dumps(raw)
    for nb in (parse_notebook(text, "it"), notebook_in(text.encode())):
        assert nb.cells[1].metadata == {} and nb.metadata == {}
        assert nb.cells[0].metadata.nbgrader.grade_id == "f"


HOSTILE = {
    "long": "x = 1\n" * (LONGEST_CELL // 6),
    "many functions": "".join(f"def a{i}(): a.b(); a{i + 1}()\n" for i in range(2500)),
    "stars": "from math import *\n" * (LONGEST_CELL // 19),
    "magics": "%magic\n" * (LONGEST_CELL // 7),
    "shells": "x = !ls\n" * (LONGEST_CELL // 8),
    "questions": "x?\n" * (LONGEST_CELL // 3),
    "deep": "f = " + "(" * 10_000 + ")" * 10_000,
    "deep minus": "f = " + "-" * 10_000 + "1",
    "deep lists": "f = " + "[" * 150 + "]" * 150,
    "deep attributes": "f" + ".a" * 10_000 + " = 1",
    "deep sums": "f = 1" + "+1" * 10_000,
    "deep blocks": "".join(" " * i + "if f:\n" for i in range(90)) + " " * 90 + "f = 1",
    "null": "f = 1\0",
    "surrogate": "f = '\ud800'",
    "open": "f = '''" + "{" * 10_000,
    "parameters": "def f[" + "a, " * 30_000,
    "equals": "class f[" + "a=" * 40_000 + "]: pass",
    "excepts": "except " + "a, " * 30_000,
    "quotes": "f'{" * 30_000,
    "short quotes": ("f'{" * 90 + "\n") * 300,
    "template": "t'" * 40_000,
}


SLOW = ("long", "many functions", "stars", "parameters", "equals", "excepts")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[pytest.mark.long] if k in SLOW else []) for k in HOSTILE],
)
def test_a_hostile_cell_costs_little_and_raises_nothing(kind):
    cell = HOSTILE[kind]
    start = time.process_time()
    uses = "def f(x):\n    return x, a, y"
    for source, others in ((uses, [cell]), (cell, [uses]), (STUB, [cell, F])):
        text = plain(gathered(source, STUB, "f", others))
        borrowed(text, others, {}, ())
    choose([F, cell], "f", STUB)
    newer_syntax(cell)
    assert time.process_time() - start < 10


# What grading lacks


def test_files_beside_the_notebook_are_named(tmp_path):
    (tmp_path / "helpers.py").touch()
    (tmp_path / "json.py").touch()
    (tmp_path / "torch.py").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "part.py").touch()
    sources = [
        "%matplotlib inline\nfrom helpers import f\nimport json, torch, empty",
        "def f():\n    import package.part as p\n    import helpers",
        f"import nowhere, {'long' * 1000}\nfrom . import package",
        "import (",
    ]
    assert local_imports(sources, tmp_path) == ["helpers", "package"]


OLDER_THAN_312 = pytest.mark.skipif(sys.version_info >= (3, 12), reason="it runs here")
OLDER_THAN_313 = pytest.mark.skipif(sys.version_info >= (3, 13), reason="it runs here")
OLDER_THAN_314 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="it runs here")


def newer(version, source, name):
    mark = {12: OLDER_THAN_312, 13: OLDER_THAN_313, 14: OLDER_THAN_314}[version]
    return pytest.param(source, f"{name} Python 3.{version}", marks=mark)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        newer(12, "def f[T: int, *U](x): pass", "type parameters, which need"),
        newer(12, "class f[T]:\n    x = 1", "type parameters, which need"),
        newer(13, "class f[T, U = int]: pass", "type parameters with defaults, which"),
        newer(12, "type X[T] = list[T]", "a type statement, which needs"),
        newer(12, 'f"{of["a"]} {\', \'.join(x)}"', "the same quotes inside"),
        newer(12, "print(f'{x['a']:.2f}', f'{x['b']}')", "the same quotes inside"),
        newer(12, "f\"{'\\n'.join(x)}\"", "a backslash inside the braces"),
        newer(14, "try:\n    x\nexcept A, b.C:\n    y", "several types after except"),
        newer(14, "f(t'{x}', rt'x')", "template strings, which need"),
    ],
)
def test_the_syntax_of_a_newer_python_is_named(source, name):
    start, _, end = name.rpartition(" Python")
    assert newer_syntax(source).startswith(start)
    assert newer_syntax(source).endswith(end)


@pytest.mark.parametrize(
    "source",
    [
        *(F, "", "%time", "def f(x:", "f'{x'", "x = 'don't'", "type = = 3"),
        *("class P[nn.Module]: pass", "def f[x]: return 1", "print 't'"),
        *("def f[T](x: return", "try:\n    x\nexcept A, B:\n    y z"),
        *("f\"{x['a'}\"", "f'{a' + '}'", "type X =", "x = 1 +"),
    ],
)
def test_a_mistake_in_every_python_is_no_newer_syntax(source):
    assert newer_syntax(source) == ""
