"""The engine under every check, on two tiny exercises of its own."""

import functools
import itertools
import json
import sys
import types

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import nn

from labcore import measure, runtime
from labcore.checks import lab01
from labcore.checks.engine import compare
from labcore.checks.engine.exercise import (
    CheckFailed,
    CheckTodo,
    Exercise,
    Lab,
    Mistake,
    Step,
)
from labcore.checks.engine.message import parts
from labcore.checks.engine.watch import handed, lent
from labcore.runtime import LabError
from labcore.staff.authoring.release import CODE_STUB

lab = Lab(__name__)


@lab.exercise("9.1", points={"idea": 1, "edge cases": 2})
def total(tensor, twice=False):
    return sum(tensor.flatten().tolist()) * (2 if twice else 1)


lab.step("idea", "two values", lambda ask: ask(torch.tensor([1.0, 2.0])))
lab.step("idea", "a matrix", lambda ask: ask(torch.tensor([[1.0, 2], [3, 4]])))
lab.step("edge cases", "empty", lambda ask: ask(torch.zeros(0)))


@lab.step("edge cases", "random values")
def ask_random(ask):
    ask(torch.randint(-9, 9, (4,), generator=ask.rng).float())
    ask(nn.Linear(2, 1).weight.detach(), twice=True)


lab.mistake("twice makes no difference", lambda t, twice: t.sum())


@lab.mistake(
    "you add up the first row only: use the whole tensor",
    help="A matrix has several rows.",
)
def first_row(tensor, twice):
    return tensor.reshape(-1, 2)[0].sum()


@lab.exercise("9.2", points={"idea": 1})
def average(tensor):
    return total(tensor) / tensor.numel()


lab.step("idea", "two values", lambda ask: ask(torch.tensor([1.0, 2.0])))
lab.help("in place", "It changes what was handed over.")

TOTAL, AVERAGE = lab.exercises.values()


def exercise_of(reference, *steps, points=None, **parts):
    """An exercise with these steps, (title, run), and nothing else."""
    listed = [Step("idea", title, run) for title, run in steps]
    return Exercise("9.9", reference, points or {"idea": 1}, steps=listed, **parts)


def right(tensor, twice=False):
    return tensor.sum() * (1 + twice)


def verdict(answer, exercise: Exercise = TOTAL, **options):
    found = exercise.run(answer, **options)
    lines = found.message.splitlines()
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 88
    assert found.message.isprintable() or "\n" in found.message
    return found


def lines(answer, exercise: Exercise = TOTAL) -> dict[str, str]:
    """The labelled lines of a failing answer's message, each unfolded."""
    found = {}
    for line in verdict(answer, exercise).message.splitlines()[1:]:
        if line[2] != " ":
            label, text = line.split(maxsplit=1)
            found[label] = text
        else:
            found[label] += " " + line.strip()
    return found


# the four things a check can say


def test_a_right_answer_is_told_the_steps(capsys):
    TOTAL.check(right)
    assert capsys.readouterr().out == (
        "[9.1 total] ok    4 of 4: two values, a matrix, empty, random values\n"
    )


def test_an_unwritten_answer_is_told_todo_and_stops_only_strict_runs(
    monkeypatch, capsys
):
    names = {}
    stub = CODE_STUB.replace("\n", "\n    ")
    exec(f"def total(tensor, twice=False):\n    {stub}", names)
    said = "[9.1 total] TODO  not written yet; fill the cell above and run again"
    with pytest.raises(CheckTodo) as todo:
        TOTAL.check(names["total"])
    assert str(todo.value) == said
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("LABCORE_STRICT", "0")
    TOTAL.check(names["total"])
    assert capsys.readouterr().out == said + "\n"


def test_a_wrong_answer_is_told_what_went_wrong_where():
    with pytest.raises(CheckFailed) as failed:
        TOTAL.check(lambda tensor, twice=False: tensor.reshape(-1, 2)[0].sum())
    assert not isinstance(failed.value, CheckTodo)
    assert isinstance(failed.value, AssertionError)
    assert str(failed.value) == (
        "[9.1 total] FAILED at step 2 of 4: a matrix\n"
        "  given     tensor = [[1, 2], [3, 4]]\n"
        "  expected  10.0\n"
        "  got       3\n"
        "  likely    you add up the first row only: use the whole tensor\n"
        '  read      Help "you add up the first row only", just below'
    )


def test_a_likely_cause_is_named_only_on_an_exact_match():
    assert "likely" not in lines(lambda tensor, twice=False: 3 * tensor[0].sum())


def test_a_likely_cause_is_found_for_arguments_by_name_too():
    message = lines(lambda tensor, twice=False: tensor.sum())
    assert message["likely"] == "twice makes no difference"


def test_a_likely_cause_has_to_explain_what_was_right_before():
    """Of two mistakes with the same result, the first would have failed earlier."""
    exercise = exercise_of(
        total,
        ("one value", lambda ask: ask(torch.tensor([3.0]))),
        ("two values", lambda ask: ask(torch.tensor([2.0, 3.0]))),
        mistakes=[
            Mistake("you return 2", lambda t, _: 2),
            Mistake("you take the first", lambda t, _: t[0]),
        ],
    )
    assert lines(lambda t: t[0], exercise)["likely"] == "you take the first"
    assert lines(lambda t: 2, exercise)["likely"] == "you return 2"


def test_a_likely_cause_has_to_explain_the_rest_of_its_group_too():
    """One wrong number has many explanations, and the next step tells them apart."""
    exercise = exercise_of(
        total,
        ("two values", lambda ask: ask(torch.tensor([2.0, 3.0]))),
        ("three values", lambda ask: ask(torch.tensor([2.0, 3.0, 4.0]))),
        mistakes=[
            Mistake("you return 3", lambda t, _: 3),
            Mistake("you take the last", lambda t, _: t[-1]),
        ],
    )
    assert lines(lambda t: t[-1], exercise)["likely"] == "you take the last"
    assert lines(lambda t: 3, exercise)["likely"] == "you return 3"
    assert "likely" not in lines(lambda t: 3 if len(t) == 2 else 7, exercise)


def test_a_wrong_answer_fails_in_a_run_that_is_not_strict_too(monkeypatch):
    monkeypatch.setenv("LABCORE_STRICT", "0")
    with pytest.raises(CheckFailed):
        TOTAL.check(lambda tensor: None)


# points


@pytest.mark.parametrize(
    ("answer", "status", "points"),
    [
        (right, "passed", 3),
        (lambda tensor, twice=False: tensor.sum() + tensor.shape[0] // 4, "partial", 1),
        (lambda tensor, twice=False: tensor.sum() if len(tensor) else 1, "partial", 1),
        (lambda tensor, twice=False: tensor.sum(dim=0).max(), "failed", 0),
        (lambda tensor, twice=False: 3, "failed", 0),
        (None, "failed", 0),
        (lent(TOTAL), "lent", 0),
    ],
)
def test_points_are_earned_by_groups_that_are_passed_whole(answer, status, points):
    found = verdict(answer)
    assert (found.status, found.points, found.of) == (status, points, 3)


@pytest.mark.parametrize(
    ("group", "title", "said"),
    [
        ("idae", "one", "no points for 'idae'"),
        ("idea", "two values", "two steps named"),
    ],
)
def test_a_step_that_does_not_fit_its_exercise_is_refused(group, title, said):
    own = Lab(__name__)
    with pytest.raises(ValueError, match="above the first exercise"):
        own.step("idea", "two values", print)
    own.exercise("9.3", points={"idea": 1})(average)
    own.step("idea", "two values", print)
    with pytest.raises(ValueError, match=said):
        own.step(group, title, print)


# the inputs


def inputs(**options) -> list[list[float]]:
    seen = []

    def answer(tensor, twice=False):
        seen.append(tensor.tolist())
        return right(tensor, twice)

    assert TOTAL.run(answer, **options).status == "passed"
    return seen


def test_a_seed_changes_the_inputs_and_repeats_them(monkeypatch):
    assert inputs() == inputs() == inputs(seed=0)
    monkeypatch.setenv("LABCORE_CHECK_SEED", "5")
    assert inputs() == inputs(seed=5)
    for changed in (3, 4):  # what is drawn, and a new network's weights
        assert inputs(seed=0)[changed] != inputs(seed=5)[changed]


def any_length(ask):
    for _ in range(5):
        count = torch.randint(1, 40, (), generator=ask.rng).item()
        ask(torch.randn(count, generator=ask.rng))


@pytest.mark.parametrize("seed", range(5))
def test_of_random_inputs_that_fail_a_small_one_is_shown(seed):
    exercise = exercise_of(total, ("any length", any_length))

    def answer(tensor, twice=False):
        return tensor.sum() if len(tensor) < 3 else tensor[1:].sum()

    shown = parts(verdict(answer, exercise, seed=seed).message)[1]["given"]
    assert 3 <= len(json.loads(shown.partition("tensor = ")[2])) <= 6


def test_an_input_with_a_network_is_not_drawn_again():
    asked = []

    def parameters_of(model):
        return sum(p.numel() for p in model.parameters())

    def answer(model):
        asked.append(model)
        return 0

    exercise = exercise_of(parameters_of, ("any", lambda ask: ask(nn.Linear(9, 9))))
    assert verdict(answer, exercise).status == "failed"
    assert len(asked) == 1


def test_a_check_leaves_torchs_random_numbers_as_they_were():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    TOTAL.run(right)
    assert torch.equal(torch.rand(3), expected)


# whatever a beginner hands in


class BrokenRepr:
    def __repr__(self):
        raise ZeroDivisionError


class BrokenEq:
    __hash__ = None

    def __eq__(self, other):
        raise ZeroDivisionError


class BrokenItem:
    @property
    def item(self):
        raise ZeroDivisionError


class BrokenText(Exception):
    def __str__(self):
        raise ZeroDivisionError


def raising(error):
    def answer(tensor, twice=False):
        raise error

    return answer


def returning(value):
    return lambda tensor, twice=False: value


def endless(tensor, twice=False):
    return endless(tensor)


def endless_list():
    inner = []
    inner.append(inner)
    return inner


def generating(tensor, twice=False):
    yield tensor.sum()


def of_one_argument(tensor):
    return tensor.sum()


def of_other_names(values, double=False):
    return values.sum()


def without_return(tensor, twice=False):
    tensor.sum()


DEFINE = "run the cell that defines it, and pass its name without ()"
ARGUMENTS = "its arguments are (tensor, twice), in this order"


@pytest.mark.parametrize(
    ("answer", "got", "likely"),
    [
        (None, "None", DEFINE),
        ([1, 2], "[1, 2]", DEFINE),
        (3.0, "3.0", DEFINE),
        (torch.zeros(2), "[0, 0]", DEFINE),
        (type("total", (), {}), "total() takes no arguments", ARGUMENTS),
        (lambda: 3, "TypeError", ARGUMENTS),
        (lambda tensor, twice, more: 3, "TypeError", ARGUMENTS),
        (of_one_argument, "unexpected keyword argument 'twice'", ARGUMENTS),
        (of_other_names, "unexpected keyword argument 'twice'", ARGUMENTS),
        (without_return, "None", "the result is None"),
        (print, "None", "the result is None"),
        (generating, "generator", None),
        (returning(float("nan")), "nan", None),
        (returning(float("inf")), "inf", None),
        (returning("3"), "'3'", None),
        (returning(True), "True", None),
        (returning(3j), "3j", None),
        (returning(10**6000), "an object of type int", None),
        (returning([3.0]), "[3.0]", None),
        (returning(torch.tensor([3.0])), "[3]", None),
        (returning({"total": 3.0}), "{'total': 3.0}", None),
        (returning(nn.Linear(9, 9)), "Linear with 90 parameters", None),
        (returning(torch.zeros(10**6)), "tensor of shape (1000000), float32", None),
        (returning(torch.empty(2, device="meta")), "an object of type Tensor", None),
        (returning(list(range(10**5))), "[0, 1, 2", None),
        (returning("x" * 10**6), "'xxx", None),
        (returning("a\nb\x85c\u2028d\x1b[31m"), "'a\\nb\\x85c\\u2028d\\x1b[31m'", None),
        (returning(endless_list()), "an object of type list", None),
        (returning(BrokenRepr()), "an object of type BrokenRepr", None),
        (returning([BrokenRepr()]), "an object of type list", None),
        (returning(BrokenEq()), "BrokenEq", None),
        (returning(BrokenItem()), "BrokenItem", None),
        (endless, "RecursionError", "the function calls itself without end"),
        (raising(SystemExit(1)), "SystemExit: 1", "raise error"),
        (raising(ValueError("a\nb\x1b[31m" + "c" * 500)), "ValueError: a b", "raise"),
        (raising(BrokenText()), "BrokenText: <exception str() failed>", "raise error"),
        (raising(LabError("one sentence")), "one sentence", "raise error"),
        (raising(NotImplementedError("for Bool")), "NotImplementedError: for", "raise"),
        (lambda tensor, twice=False: tensor[9], "IndexError: index 9", "tensor[9]"),
        (torch.cat, "TypeError", None),
    ],
)
def test_nothing_a_beginner_hands_in_crashes_a_check(answer, got, likely):
    assert verdict(answer).status in ("failed", "partial")
    message = lines(answer)
    assert got in message["got"]
    if likely:
        assert likely in message["likely"]
    assert message["read"] == "Hint 1 of exercise 9.1, just below"


def test_an_error_in_a_comprehension_is_told_by_its_line_alone():
    message = lines(lambda tensor, twice=False: {n: 1 / n for n in (1, 0)})
    assert message["likely"].startswith("the error comes from line ")
    assert "which was called" not in message["likely"]


def test_a_torch_function_that_lacks_a_kind_of_number_is_no_unwritten_answer():
    """torch says NotImplementedError as well, as for abs() of a bool tensor."""

    def answer(tensor, twice=False):
        return tensor.bool().abs().sum()

    assert "not implemented for 'Bool'" in lines(answer)["got"]


def test_ctrl_c_stops_a_check():
    with pytest.raises(KeyboardInterrupt):
        TOTAL.run(raising(KeyboardInterrupt()))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor.zero_(),
        lambda tensor: tensor.resize_(9),
        lambda tensor: setattr(tensor, "data", tensor.double()),
    ],
)
def test_an_input_changed_on_the_way_is_found(change):
    def answer(tensor, twice=False):
        result = right(tensor, twice)
        change(tensor)
        return result

    message = lines(answer)
    assert message["expected"] == "tensor unchanged"
    assert message["got"].startswith("tensor is now")
    assert "in place" in message["likely"]


def test_an_input_that_the_exercise_changes_has_to_be_changed():
    def clear(tensor):
        tensor.zero_()

    exercise = exercise_of(clear, ("ones", lambda ask: ask(torch.ones(2))))
    assert verdict(lambda tensor: tensor.mul_(0) and None, exercise).status == "failed"
    assert verdict(clear, exercise).status == "passed"
    message = lines(lambda tensor: None, exercise)
    assert message["expected"] == "[0, 0]"
    assert message["got"] == "tensor is now [1, 1]"
    assert message["likely"].startswith("tensor is unchanged")


@pytest.mark.parametrize("length", [1, 50, 200, 2000])
def test_a_message_has_at_most_ten_short_lines_whatever_is_in_it(length):
    words = itertools.cycle(["word", "x" * 100, "\n", "\t\x07"])
    long = " ".join(itertools.islice(words, length))
    exercise = exercise_of(
        total,
        (f"step {long}", lambda ask: ask.wrong(given=long, got=long)),
        help={long: "said at length"},
    )
    message = verdict(right, exercise).message
    assert message.startswith("[9.9 total] FAILED at step 1 of 1:")
    labels = [line.split()[0] for line in message.splitlines()[1:] if line[2] != " "]
    assert labels[-3:] == ["given", "got", "read"]


def test_none_is_no_missing_return_where_the_exercise_may_return_it():
    def first_zero(values: list) -> int | None:
        return next((place for place, value in enumerate(values) if not value), None)

    exercise = exercise_of(first_zero, ("a zero", lambda ask: ask([0])))
    assert "likely" not in lines(lambda values: None, exercise)


def test_the_likely_cause_is_never_cut_for_a_long_input():
    sentence = " ".join(["a sentence of two lines that must be read to its end"] * 2)

    def fail(ask):
        ask.wrong(given="x " * 400, expected="y " * 99, got="z " * 99, likely=sentence)

    assert lines(right, exercise_of(total, ("long", fail)))["likely"] == sentence


# answers that let labcore do it


@pytest.mark.parametrize(
    ("answer", "called"),
    [
        (measure.sparsity, "labcore.measure.sparsity"),
        (lambda tensor, twice=False: measure.sparsity(tensor), "measure.sparsity"),
        (functools.partial(measure.sparsity), "measure.sparsity"),
        (lambda tensor, twice=False: compare.show(tensor), "compare.show"),
        (TOTAL.check, "labcore.checks.engine.exercise.check"),
    ],
)
def test_an_answer_that_calls_labcore_for_the_thing_asked_is_refused(answer, called):
    message = lines(answer)
    assert message["expected"] == "an answer of your own"
    assert called in message["got"]


def test_a_refused_function_is_known_by_its_file_whatever_name_it_goes_by():
    forged = types.FunctionType(
        measure.sparsity.__code__, vars(measure) | {"__name__": "mine"}
    )
    assert "measure.sparsity" in lines(lambda t, twice=False: forged(t))["got"]


def test_the_rooms_that_are_refused_can_be_chosen():
    exercise = exercise_of(
        total,
        ("one", lambda ask: ask(torch.tensor([1.0]))),
        refused=("labcore.runtime",),
    )

    def answer(tensor):
        runtime.strict()
        return measure.sparsity(tensor) + 1

    assert "labcore.runtime.strict" in lines(answer, exercise)["got"]
    assert verdict(lambda t: measure.sparsity(t) + 1, exercise).status == "passed"


def test_what_a_check_hands_over_may_be_called(monkeypatch):
    monkeypatch.setattr(measure, "doubled", handed(measure.sparsity), raising=False)
    message = lines(lambda t, twice=False: measure.doubled(t))
    assert message["got"] == "0.0", "wrong, but not refused"


# lending


def test_lend_gives_the_reference_for_no_points(monkeypatch, capsys):
    lent = lab.lend("total")
    assert capsys.readouterr().out == (
        '[9.1 total] LENT  total = test_checks_core.lend("total") puts the reference '
        "in place, for no points\n"
    )
    assert lent(torch.tensor([1.0, 2.0]), twice=True) == 6
    found = verdict(lent)
    assert (found.status, found.points) == ("lent", 0)
    assert found.message.startswith("[9.1 total] LENT")
    with pytest.raises(CheckTodo, match="LENT"):
        TOTAL.check(lent)
    monkeypatch.setenv("LABCORE_STRICT", "0")
    TOTAL.check(lent)
    assert "LENT" in capsys.readouterr().out


def test_a_lent_function_helps_in_another_exercise():
    lent = lab.lend("total")
    assert verdict(lambda t: lent(t) / t.numel(), AVERAGE).points == 1


def test_a_lent_function_is_no_answer_to_its_own_exercise():
    lent = lab01.lend("get_sparsity")
    found = verdict(lambda tensor: lent(tensor), lab01.EXERCISES["get_sparsity"])
    assert found.status == "failed"
    assert "a call of labcore.checks.lab01.get_sparsity" in found.message


def test_a_helper_that_is_not_written_yet_is_named():
    def total(tensor):
        raise NotImplementedError

    found = verdict(lambda t: total(t) / t.numel(), AVERAGE)
    assert found.status == "todo"
    assert "it uses total, which is not written yet" in found.message


def test_lending_an_unknown_exercise_is_one_sentence():
    with pytest.raises(LabError, match="no exercise 'totel' here: choose one of total"):
        lab.lend("totel")


# comparing


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        (2, 2.0, True),
        (2, torch.tensor(2), True),
        (0.5, torch.tensor(0.5, requires_grad=True), True),
        (0.5, torch.tensor(0.5).numpy(), True),
        (1 / 3, 0.333333, True),
        (1 / 3, 0.3333, False),
        (2, "2", False),
        (1, True, False),
        (1, torch.tensor(True), False),
        (2, torch.tensor([2]), False),
        (float("nan"), float("nan"), True),
        (float("nan"), 0.0, False),
        (True, 1, False),
        (None, None, True),
        ([1, 2], (1, 2), True),
        ([1, 2], [1, 2, 3], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False),
        (torch.ones(2), torch.ones(2), True),
        (torch.ones(2), torch.ones(2).double(), False),
        (torch.ones(2), torch.ones(2, 1), False),
        (torch.ones(2).bool(), torch.tensor([True, False]), False),
        (torch.tensor([1, torch.nan]), torch.tensor([1, torch.nan]), True),
    ],
)
@pytest.mark.filterwarnings("error")
def test_equal_in_kind_and_value(expected, got, equal):
    assert compare.same(expected, got) is equal


def test_networks_are_equal_when_their_parameters_and_buffers_are():
    one = nn.BatchNorm2d(2)
    other = compare.clone(one)
    assert compare.same(one, other)
    other.running_mean += 1
    assert not compare.same(one, other)


@pytest.mark.parametrize(
    ("expected", "got", "told"),
    [
        ([1, 2], [1, 3], ("[1, 2]", "[1, 3]")),
        (
            torch.ones(2),
            torch.ones(2).double(),
            ("[1, 1], a tensor of float32", "[1, 1], a tensor of float64"),
        ),
        ([1, 1.0], [1.0, 1, 2], ("[1, 1.0]", "[1.0, 1, 2]")),
        ([1], (1,), ("[1]", "(1,)")),
        ({1, 2, 3}, {2, 3, 4, 5}, ("{1, 2, 3}", "missing {1}; too many {4, 5}")),
        (list(range(99)), [*range(50), *range(51, 99)], ("50 at [50]", "51 at [50]")),
        (list(range(99)), list(range(98)), ("98 at [98]", "nothing at [98]")),
        (
            {f"conv{i}": {"mean": 0.0, "std": 1.0} for i in range(9)},
            {f"conv{i}": {"mean": 0.0, "std": 1.0 + i} for i in range(9)},
            ("1.0 at ['conv1']['std']", "2.0 at ['conv1']['std']"),
        ),
        (
            {f"conv{i}": float(i) for i in range(20)},
            {f"conv{i}.weight": float(i) for i in range(20)},
            ("0.0 at ['conv0']", "nothing at ['conv0']"),
        ),
        (
            torch.zeros(6, 6),
            torch.eye(6),
            (
                "0.0 at [0, 0], the first of 6 differences",
                "1.0 at [0, 0], the first of 6",
            ),
        ),
        (torch.zeros(6, 6), torch.zeros(7, 6), ("shape (6, 6)", "shape (7, 6)")),
    ],
)
def test_long_values_are_told_apart_at_the_first_difference(expected, got, told):
    for text, part in zip(compare.difference(expected, got), told, strict=True):
        assert part in text


def test_a_clone_is_independent_and_keeps_strides_and_gradients():
    tensor = torch.ones(2, 3).t().requires_grad_()
    copy = compare.clone(tensor)
    assert copy.stride() == tensor.stride() and copy.requires_grad
    with torch.no_grad():
        copy.zero_()
    assert tensor.count_nonzero() == 6


# what a notebook shows


def test_a_notebook_shows_the_message_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.user_ns["check"] = TOTAL.check
    result = shell.run_cell("check(lambda tensor, twice=False: 4)")
    assert isinstance(result.error_in_exec, CheckFailed)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).rstrip("\n") == str(result.error_in_exec)
    assert shown.out.startswith("[9.1 total] FAILED at step 1 of 4: two values\n")


def test_a_profiler_that_runs_is_put_back():
    def profiler(frame, event, argument):
        pass

    sys.setprofile(profiler)
    try:
        TOTAL.run(endless)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
