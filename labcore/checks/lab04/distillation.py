"""Exercise 4.5: the loss with which a student learns from a teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.trial import Trial

__all__ = ["distillation_loss", "lab"]

lab = Lab(__package__)


@lab.exercise("4.5", points={"idea": 3, "any scores": 1})
def distillation_loss(
    student_scores: Tensor, teacher_scores: Tensor, temperature: float
) -> Tensor:
    student = (student_scores / temperature).log_softmax(dim=1)
    teacher = (teacher_scores / temperature).log_softmax(dim=1)
    each = (teacher.exp() * (teacher - student)).sum(dim=1)  # one number an image
    return temperature**2 * each.mean()


def _loss(answer: Callable, student: Tensor, teacher: Tensor, temperature: float):
    """the loss"""
    loss = answer(student, teacher, temperature)
    return loss.detach() if isinstance(loss, Tensor) else loss


def _gradient(answer: Callable, student: Tensor, teacher: Tensor, temperature: float):
    """the gradient of the loss for the student's scores"""
    student = student.clone().requires_grad_()
    loss = answer(student, teacher, temperature)
    if not isinstance(loss, Tensor):
        return {"loss": "a plain number, without backward()"}
    if not loss.requires_grad:
        return {"loss": "a tensor cut off from the student's scores"}
    return {"gradient": torch.autograd.grad(loss, student)[0]}


def _two(ask: Trial, images: int, classes: int) -> tuple[Tensor, Tensor]:
    shape = (2, images, classes)
    drawn_scores = 3 * torch.randn(shape, generator=ask.rng)
    return tuple(drawn_scores.double())  # so that no rounding decides


@lab.step("idea", "one image, temperature 1")
def _(ask: Trial) -> None:
    ask.through(_loss, torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0, 1, 0]]), 1)


@lab.step("idea", "one image, temperature 2")
def _(ask: Trial) -> None:
    ask.through(_loss, torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0, 1, 0]]), 2)


@lab.step("idea", "two images")
def _(ask: Trial) -> None:
    student = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    teacher = torch.tensor([[3.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    ask.through(_loss, student, teacher, 2)


@lab.step("idea", "scores below zero")
def _(ask: Trial) -> None:
    ask.through(_loss, torch.tensor([[1.0, 2, -1]]), torch.tensor([[3.0, 1, -2]]), 2)


@lab.step("any scores", "a gradient")
def _(ask: Trial) -> None:
    ask.through(_gradient, *_two(ask, 3, 4), 4.0)


@lab.step("any scores", "large scores")
def _(ask: Trial) -> None:
    scores = torch.tensor([[200.0, 0.0, -50.0]])
    ask.through(_loss, scores, torch.tensor([[2.0, 1.0, 0.0]]), 1.0)


@lab.step("any scores", "any batch")
def _(ask: Trial) -> None:
    for images, classes, temperature in ((5, 10, 4.0), (7, 3, 0.5), (1, 2, 20)):
        ask.through(_loss, *_two(ask, images, classes), temperature)
        ask.through(_gradient, *_two(ask, images, classes), temperature)


def _distilling(
    loss: Callable = lambda found, wanted: F.kl_div(
        found, wanted, reduction="batchmean"
    ),
    found: Callable = lambda scores, t: (scores / t).log_softmax(dim=1),
    wanted: Callable = lambda scores, t: (scores / t).softmax(dim=1),
    factor: Callable = lambda t: t**2,
) -> Callable:
    """The loss in which one part is another one."""
    return lambda student, teacher, t: (
        factor(t) * loss(found(student, t), wanted(teacher, t))
    )


def _kl(**options) -> Callable:
    return lambda found, wanted: F.kl_div(found, wanted, **options)


lab.mistake(
    "the factor temperature**2 is missing",
    _distilling(factor=lambda t: 1),
)
lab.mistake(
    "multiply by temperature**2, not by temperature",
    _distilling(factor=lambda t: t),
)
lab.mistake(
    "reduction 'mean' divides by images times classes: use 'batchmean'",
    _distilling(lambda found, wanted: F.kl_div(found, wanted, reduction="none").mean()),
)
lab.mistake(
    "that is the sum over all images: use reduction='batchmean'",
    _distilling(_kl(reduction="sum")),
)
lab.mistake(
    "that is a value for each entry: use reduction='batchmean'",
    _distilling(_kl(reduction="none")),
)
lab.mistake(
    "the second argument is a log_softmax: pass softmax there, or say log_target=True",
    _distilling(wanted=lambda scores, t: (scores / t).log_softmax(dim=1)),
)
lab.mistake(
    "log_target=True, but the target is a softmax: leave log_target out",
    _distilling(_kl(reduction="batchmean", log_target=True)),
)
lab.mistake(
    "the first argument of kl_div is a logarithm: use log_softmax for the student",
    _distilling(found=lambda scores, t: (scores / t).softmax(dim=1)),
)
lab.mistake(
    "kl_div got raw scores: turn them into log_softmax and softmax",
    _distilling(
        found=lambda scores, t: scores / t, wanted=lambda scores, t: scores / t
    ),
)
lab.mistake(
    "student and teacher are swapped: the student's log_softmax comes first",
    lambda student, teacher, t: distillation_loss(teacher, student, t),
)
lab.mistake(
    "only the student is softened: divide the teacher's scores by temperature too",
    _distilling(wanted=lambda scores, t: scores.softmax(dim=1)),
)
lab.mistake(
    "only the teacher is softened: divide the student's scores by temperature too",
    _distilling(found=lambda scores, t: scores.log_softmax(dim=1)),
)
lab.mistake(
    "no scores are divided by temperature",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1),
        wanted=lambda scores, t: scores.softmax(dim=1),
    ),
)
lab.mistake(
    "no scores are divided by temperature, and the factor temperature**2 is missing",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1),
        wanted=lambda scores, t: scores.softmax(dim=1),
        factor=lambda t: 1,
    ),
)
lab.mistake(
    "you multiply the scores by temperature: divide",
    _distilling(
        found=lambda scores, t: (scores * t).log_softmax(dim=1),
        wanted=lambda scores, t: (scores * t).softmax(dim=1),
    ),
)
lab.mistake(
    "divide before the softmax, not after it",
    _distilling(
        found=lambda scores, t: scores.log_softmax(dim=1) / t,
        wanted=lambda scores, t: scores.softmax(dim=1) / t,
    ),
)
lab.mistake(
    "the softmax runs over the images: use dim=1, the classes",
    _distilling(
        found=lambda scores, t: (scores / t).log_softmax(dim=0),
        wanted=lambda scores, t: (scores / t).softmax(dim=0),
    ),
)
lab.mistake(
    "that is the cross-entropy: subtract the teacher's own entropy, as kl_div does",
    _distilling(lambda found, wanted: -(wanted * found).sum(dim=1).mean()),
)
lab.mistake(
    "that is negative: the student's logarithm is subtracted from the teacher's",
    lambda student, teacher, t: -distillation_loss(student, teacher, t),
)
lab.mistake(
    "the result is a plain number (item()), and backward() needs the tensor",
    lambda student, teacher, t: distillation_loss(student, teacher, t).item(),
)
lab.mistake(
    "the student's scores are detached: backward() finds no way back",
    lambda student, teacher, t: distillation_loss(student.detach(), teacher, t),
)
lab.mistake(
    "a probability rounds to 0 here, so the loss is infinite: use log_softmax",
    _distilling(found=lambda scores, t: (scores / t).softmax(dim=1).log()),
)
