"""What a message says of a wrong result that no known mistake explains."""

import math

import pytest
import torch
from torch import nn, tensor

from labcore.checks.engine.exercise import Exercise, Step
from labcore.checks.engine.likeness import changes, likeness
from labcore.checks.engine.message import parts

ROW = tensor([1.0, 2.0, 4.0])
SQUARE = tensor([[1.0, 2.0], [3.0, 4.0]])
MASK = tensor([True, True, False, False])


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        (ROW, -ROW, "the sign is wrong"),
        (tensor([1.0, -2]), tensor([1.0, 2]), "some signs are wrong"),
        (ROW, ROW.flip(0), "the values are right, but their order is reversed"),
        (ROW, ROW[[1, 0, 2]], "the numbers are right, but stand at wrong places"),
        (SQUARE, SQUARE.T, "the values are right, but rows and columns are swapped"),
        (ROW, ROW[:2], "its end is missing; what there is of it is right"),
        (ROW, ROW[1:], "its beginning is missing"),
        (
            ROW,
            ROW[None],
            "the values are right, but the shape is (1, 3) instead of (3,)",
        ),
        (SQUARE, SQUARE[:, :1], "the shape is (2, 1) instead of (2, 2)"),
        (ROW, ROW.double(), "the values are right, but the type is float64 instead of"),
        (ROW, ROW > 1, "the type is bool instead of float32"),
        (MASK, torch.arange(2), "the type is int64 instead of bool"),
        (ROW, ROW * 1j, "its values are complex"),
        (ROW, 0 * ROW, "all values are zero"),
        (ROW, tensor([1.0, 0, 0]), "too many values are zero; the others are right"),
        (tensor([1.0, 0, 0]), ROW, "values that should be zero are not; the others"),
        (0 * ROW, ROW, "values that should be zero are not"),
        (ROW, ROW / 0, "there is an infinite value in it"),
        (ROW, ROW * math.nan, "there is nan (not a number) in it"),
        (ROW, tensor([1.0, 2.0, 5.0]), "all values are right but the last"),
        (ROW, tensor([1.0, 3.0, 4.0]), "all values are right but one"),
        (ROW, tensor([7.0, 7.0, 7.0]), "all values are the same"),
        (MASK, ~MASK, "True and False are the wrong way round"),
        (MASK, MASK | True, "all places are True, and some should not be"),
        (tensor([True]), tensor([False]), "all places are False, and some should not"),
        (MASK, tensor([True] * 3 + [False]), "too many places are True"),
        (MASK, tensor([True] + [False] * 3), "too few places are True"),
        (MASK, tensor([True, False, True, False]), "the number of True is right"),
        ([1, 2, 4], [4, 2, 1], "the values are right, but their order is reversed"),
        (
            [ROW, MASK],
            [MASK, ROW],
            "the entries are right, but their order is reversed",
        ),
        (["a", "b"], ["a", "b", "c"], "it begins right, and then goes on for too long"),
        (["a", "b"], ["c", "a", "b"], "it ends right, but begins too early"),
        (["a", "b"], ["c"], "it has too few entries"),
        ({"a": 1, "b": 2}, {"a": 1}, "it lacks an entry for 'b'"),
        ({"a": 1}, {"a": 1, "b": 2}, "an entry for 'b' does not belong to it"),
        ({"a": 1}, {"b": 1}, "it has the key 'b' instead of 'a'"),
        ({"a": ROW, "b": ROW}, {"a": -ROW, "b": -ROW}, "the sign is wrong"),
        ({"a": ROW, "b": 1}, {"a": -ROW, "b": 1}, "in ['a']: the sign is wrong"),
        ([{"a": ROW, "b": 1}, 2], [{"a": -ROW, "b": 1}, 2], "in [0]['a']: the sign"),
        ([ROW, ROW, MASK], [-ROW, -ROW, MASK], "in [0] and others: the sign"),
        ({"a": ROW, "b": 1}, {"a": None, "b": 1}, "in ['a']: there is None"),
        (1 / 3, 0.33, "you rounded"),
        (0.5, math.nan, "this is nan"),
        (0.5, (-1) ** 0.5, "this is a complex number"),
        (0.5, [0.5], "return a number, not a list"),
        (0.5, tensor([0.5]), "return a number, not a tensor that holds it"),
        (0.5, ROW, "return a number, not a tensor of several values"),
        (["a"], {"a": 1}.keys(), "return a list, not something of type dict_keys"),
        (0.5, None, "the result is None: is a return missing?"),
    ],
)
def test_a_likeness_is_told(expected, got, said):
    assert likeness(expected, got).startswith(said)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (ROW, tensor([3.0, 1.0, 9.0])),
        (ROW, 2 * ROW),  # it may be true by chance: one of `changes`
        ({"a": ROW, "b": ROW}, {"a": -ROW, "b": ROW.flip(0)}),  # two likenesses
        (MASK, tensor([False, True, True, True])),
        (0.4, 0.7),
        (0.004, 0.0),  # no digit is left to know a rounded number by
        (99.996, 100),
        (tensor([3.0]), tensor([-3.0])),
        ("a", "b"),
        (True, False),
        ({1, 2}, {3}),
        (object(), object()),
    ],
)
def test_where_nothing_simple_is_true_nothing_is_told(expected, got):
    assert likeness(expected, got) == ""


def test_a_network_is_seen_as_its_parameters():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    with torch.no_grad():
        for mine, yours in zip(one.parameters(), other.parameters(), strict=True):
            yours.copy_(-mine)
    assert likeness(one, other).startswith("the sign is wrong")
    assert likeness(one, nn.Linear(2, 2, bias=False)) == "", "its keys are not known"


def test_of_what_a_check_has_noted_neither_keys_nor_kinds_are_told():
    for got in ({"b": 1}, {"a": "text"}, {"a": None}):
        assert likeness({"a": 1}, got) and likeness({"a": 1}, got, seen=True) == ""


def half(value):
    return value / 2


def said_of(answer, *inputs):
    def ask_for(value):
        return lambda ask: ask(value)

    exercise = Exercise("9.9", half, {"all": 1})
    exercise.steps = [Step("all", f"of {value}", ask_for(value)) for value in inputs]
    return parts(exercise.run(answer).message)[1].get("likely", "")


def test_a_change_of_a_number_is_told_only_if_it_explains_the_other_inputs_too():
    assert said_of(lambda value: -value / 2, 3, 5).startswith("the sign is wrong")
    assert said_of(lambda value: value * 2, 3, 5).startswith("this is 4 times")
    assert said_of(lambda value: -value / 2 if value == 3 else value, 3, 5) == ""
    assert said_of(lambda value: value / 2 if value == 3 else -value / 2, 3, 5) == ""


def test_a_change_may_be_that_of_each_number_in_a_list():
    told = [sentence for sentence, _ in changes([0.5, 0.25], [0.5, 0.75])]
    assert told == ["of each number: this is 1 minus the right number"]
    for expected, got in ((ROW, 3 * ROW), ({"a": ROW}, {"a": 3 * ROW})):
        told = [sentence for sentence, _ in changes(expected, got)]
        assert told == ["of each number: this is 3 times the right number"]


def test_of_two_single_numbers_several_changes_may_be_true():
    told = [sentence for sentence, _ in changes(2.0, 4.0)]
    assert "this is the square of the right number" in told
    assert "this is 2 times the right number" in told
    for value in ([4.0], "4", True, None):
        assert list(changes(2.0, value)) == []


def double_in_place(values):
    values *= 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda values: None, "values is unchanged"),
        (lambda values: [values.mul_(-2)].clear(), "in values: the sign is wrong"),
        (lambda values: [values.zero_()].clear(), "in values: all values are zero"),
    ],
)
def test_an_input_that_should_change_is_looked_at_too(answer, said):
    exercise = Exercise("9.9", double_in_place, {"all": 1})
    exercise.steps = [Step("all", "three", lambda ask: ask(ROW.clone()))]
    message = exercise.run(answer).message
    assert parts(message)[1].get("likely", "").startswith(said), message
