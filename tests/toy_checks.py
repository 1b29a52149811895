"""Checks of a toy lab: a number, a tensor changed in place, a function on another."""

import torch

from labcore.checks.engine.exercise import Lab, Step

_lab = Lab()
EXERCISES, lend = _lab.exercises, _lab.lend


def double(x):
    return x + x


check_double = _lab.exercise(
    "90.1",
    double,
    parameters=("x",),
    groups={"idea": 2, "any number": 1},
    read="the docstring",
    steps=(
        Step("idea", "four", lambda ask: ask(4)),
        Step(
            "idea",
            "any",
            lambda ask: ask(torch.randint(9, 999, (), generator=ask.rng).item()),
        ),
        Step("any number", "below zero", lambda ask: ask(-1.5)),
    ),
    mistakes={"you square": lambda x: x * x},
).check


def flip(tensor):
    tensor.neg_()
    return tensor.sum()


check_flip = _lab.exercise(
    "90.2",
    flip,
    parameters=("tensor",),
    groups={"idea": 2},
    read="the docstring",
    steps=(
        Step("idea", "three", lambda ask: ask(torch.tensor([1.0, -2.0, 4.0]))),
        Step("idea", "any", lambda ask: ask(torch.randn(5, generator=ask.rng))),
    ),
).check


def quadruple(x):
    return double(double(x))


check_quadruple = _lab.exercise(
    "90.3",
    quadruple,
    parameters=("x",),
    groups={"idea": 1},
    read="the docstring",
    steps=(
        Step("idea", "three", lambda ask: ask(3)),
        Step("idea", "five", lambda ask: ask(5)),
    ),
).check
