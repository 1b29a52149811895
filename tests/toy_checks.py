"""Checks of a toy lab: a number, a tensor changed in place, a function on another."""

import torch

from labcore.checks.engine.exercise import REFUSED, Lab

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


@lab.exercise(
    "90.1", points={"idea": 2, "any number": 1}, refused=(*REFUSED, "toy_checks")
)
def double(x):
    return x + x


lab.step("idea", "four", lambda ask: ask(4))
lab.step(
    "idea", "any", lambda ask: ask(torch.randint(9, 999, (), generator=ask.rng).item())
)
lab.step("any number", "below zero", lambda ask: ask(-1.5))
lab.mistake("you square", lambda x: x * x)


@lab.exercise("90.2", points={"idea": 2})
def flip(tensor):
    tensor.neg_()
    return tensor.sum()


lab.step("idea", "three", lambda ask: ask(torch.tensor([1.0, -2.0, 4.0])))
lab.step("idea", "any", lambda ask: ask(torch.randn(5, generator=ask.rng)))


@lab.exercise("90.3", points={"idea": 1})
def quadruple(x):
    return double(double(x))


lab.step("idea", "three", lambda ask: ask(3))
lab.step("idea", "five", lambda ask: ask(5))
