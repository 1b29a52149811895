"""Exercise 4.4: the statistics of the BatchNorms measured again."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labcore.checks.engine.compare import same
from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.returned import drawn
from labcore.checks.engine.trial import Trial
from labcore.checks.engine.watch import handed
from labcore.nets import VGG

__all__ = ["lab", "recalibrate"]

lab = Lab(__package__)


@lab.exercise("4.4", points={"idea": 3, "nothing else": 2})
def recalibrate(model: nn.Module, batches: list[Tensor]) -> None:
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


class Recorder(nn.Module):
    """Passes its input on, and notes whether autograd was recording."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = False

    @handed
    def forward(self, x: Tensor) -> Tensor:
        self.recorded |= torch.is_grad_enabled()
        return x


def after_recalibration(read: Callable[[nn.Module], dict]) -> Callable:
    """A scenario: what `read` says of the network once the answer has run."""

    @functools.wraps(read)
    def scenario(answer: Callable, model: nn.Module, batches: list[Tensor]) -> dict:
        before = copy.deepcopy(batches)
        returned = answer(model, batches)
        changed = {} if same(before, batches) else {"batches": "changed"}
        if isinstance(returned, nn.Module) and returned is not model:
            changed["returned"] = "another network"
        return read(model) | changed

    return scenario


@after_recalibration
def _statistics(model):
    """the running statistics afterwards"""
    return {
        name: values.detach()
        for name, values in model.state_dict().items()
        if name.endswith(("running_mean", "running_var"))
    }


@after_recalibration
def _means(model):
    """running_mean afterwards, BatchNorm by BatchNorm"""
    return {"running_mean": [norm.running_mean.tolist() for norm in _norms(model)]}


@after_recalibration
def _modes(model):
    """mode and momentum afterwards"""
    return {
        "layers in training mode": [n for n, m in model.named_modules() if m.training],
        "momentum": [norm.momentum for norm in _norms(model)],
    }


@after_recalibration
def _untouched(model):
    """the parameters afterwards"""
    return {name: values.detach() for name, values in model.named_parameters()}


@after_recalibration
def _hooks(model):
    """hooks in the network afterwards"""
    parts = list(model.modules())
    return {"hooks": sum(len(m._forward_hooks | m._forward_pre_hooks) for m in parts)}


@after_recalibration
def _recorded(model):
    """whether autograd recorded the forward passes"""
    recorders = [m for m in model.modules() if isinstance(m, Recorder)]
    return {"recorded": any(recorder.recorded for recorder in recorders)}


def _worn(model: nn.Module, ask: Trial) -> nn.Module:
    """All numbers drawn, and BatchNorms that have counted many batches already."""
    drawn(model, ask.rng)
    for norm in _norms(model):
        norm.num_batches_tracked.fill_(1000)
    return model


def _batches(ask: Trial, count: int, channels: int = 1, size: int = 8) -> list[Tensor]:
    shape = (6, channels, size, size)
    return [2 * torch.randn(shape, generator=ask.rng) + i for i in range(count)]


@lab.step("idea", "one BatchNorm, two batches")
def _(ask: Trial) -> None:
    pixels = [[1.0, 3.0], [5.0, 7.0]], [[0.0, 2.0], [4.0, 10.0]]
    batches = [torch.tensor(values).view(2, 1, 1, 2) for values in pixels]
    model = _worn(nn.Sequential(nn.BatchNorm2d(1)), ask)
    model[0].running_mean.fill_(9.0)
    ask.through(_means, model, batches)
    ask.through(_statistics, model, batches)


@lab.step("idea", "layers behind each other")
def _(ask: Trial) -> None:
    ask.through(_statistics, _worn(_small_net(), ask), _batches(ask, 3))


def _small_net() -> nn.Module:
    return VGG(in_channels=1, classes=3, channels=[3, 4])


@lab.step("nothing else", "mode and momentum")
def _(ask: Trial) -> None:
    ask.through(_modes, _worn(_small_net(), ask), _batches(ask, 2))
    ask.through(_untouched, _worn(_small_net(), ask), _batches(ask, 2))


@lab.step("nothing else", "no gradient")
def _(ask: Trial) -> None:
    model = nn.Sequential(Recorder(), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    ask.through(_recorded, _worn(model, ask), _batches(ask, 2))


@lab.step("nothing else", "Dropout stays off")
def _(ask: Trial) -> None:
    model = nn.Sequential(nn.Dropout(1.0), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    ask.through(_statistics, _worn(model, ask), _batches(ask, 2))


@lab.step("nothing else", "any network")
def _(ask: Trial) -> None:
    inner = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Conv2d(2, 3, 3))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), inner, nn.BatchNorm2d(3, momentum=0.01))
    ask.through(_statistics, _worn(model, ask), _batches(ask, 4))
    ask.through(_modes, _worn(model, ask), _batches(ask, 1))


@lab.step("nothing else", "no hook left")
def _(ask: Trial) -> None:
    ask.through(_hooks, _worn(_small_net(), ask), _batches(ask, 2))


def _recalibrating(
    norms: Callable = _norms,
    reset: bool = True,
    momentum: Callable = lambda old: None,
    train: Callable = lambda model, norms: [norm.train() for norm in norms],
    batches: Callable = lambda batches: batches,
    grad: bool = False,
    restore: bool = True,
    end: Callable = lambda model: model.eval(),
) -> Callable:
    """Recalibration in which one part is another one."""

    def mistaken(model: nn.Module, given: list[Tensor]) -> None:
        found = norms(model)
        momenta = [norm.momentum for norm in found]
        model.eval()
        for norm in found:
            if reset:
                norm.reset_running_stats()
            norm.momentum = momentum(norm.momentum)
        train(model, found)
        with torch.set_grad_enabled(grad):
            for batch in batches(given):
                model(batch)
        if restore:
            for norm, old in zip(found, momenta, strict=True):
                norm.momentum = old
        end(model)

    return mistaken


lab.mistake(
    "the statistics are the old ones: put the BatchNorms into training mode first",
    lambda model, batches: None,
)
lab.mistake(
    "the old statistics are still in the average: call reset_running_stats() first",
    _recalibrating(reset=False),
)
lab.mistake(
    "momentum is not None: only a tenth of each batch enters, and the start stays in",
    _recalibrating(momentum=lambda old: old),
)
lab.mistake(
    "no reset, and momentum is not None: the old statistics are still in the average",
    _recalibrating(reset=False, momentum=lambda old: old),
)
lab.mistake(
    "only the last batch counts: momentum is 1, or you reset inside the loop",
    _recalibrating(momentum=lambda old: 1.0),
)
lab.mistake(
    "only the first batch counts: let all batches pass",
    _recalibrating(batches=lambda batches: batches[:1]),
)
lab.mistake(
    "the BatchNorms measure nothing: put them into training mode, and pass every batch "
    "through the model",
    _recalibrating(train=lambda model, norms: None),
)
lab.mistake(
    "one large batch is another average: let the batches pass one by one",
    _recalibrating(batches=lambda batches: [torch.cat(batches)]),
)
lab.mistake(
    "the BatchNorms are still in training mode: call model.eval() at the end",
    _recalibrating(end=lambda model: None),
)
lab.mistake(
    "the whole network is still in training mode: call model.eval() at the end",
    _recalibrating(
        train=lambda model, norms: model.train(), end=lambda model: model.train()
    ),
)
lab.mistake(
    "momentum is still None afterwards: remember the old values and put them back",
    _recalibrating(restore=False),
)


@lab.mistake(
    "reset_parameters() resets weight and bias too: call reset_running_stats()"
)
def _(model, batches):
    for norm in _norms(model):
        norm.reset_parameters()
    recalibrate(model, batches)


@lab.mistake("every momentum is 0.1 afterwards: put back the value that was there")
def _(model, batches):
    recalibrate(model, batches)
    for norm in _norms(model):
        norm.momentum = 0.1


lab.mistake(
    "autograd records the passes, which costs memory: use torch.no_grad()",
    _recalibrating(grad=True),
)
lab.mistake(
    "Dropout is in training mode too and drops values: call train() on the BatchNorms "
    "only",
    _recalibrating(train=lambda model, norms: model.train()),
)


@lab.mistake(
    "the BatchNorms measure one after the other: put all of them into training mode, "
    "then let the batches pass once"
)
def _(model, batches):
    for norm in _norms(model):
        momentum, norm.momentum = norm.momentum, None
        norm.reset_running_stats()
        norm.train()
        with torch.no_grad():
            for batch in batches:
                model(batch)
        norm.eval()
        norm.momentum = momentum


@lab.mistake("your hooks stay in the network: call remove() on each of them at the end")
def _(model, batches):
    recalibrate(model, batches)
    for norm in _norms(model):
        norm.register_forward_pre_hook(lambda *_: None)


@lab.mistake("you recalibrated a copy: work on the network you were given")
def _(model, batches):
    model = copy.deepcopy(model)
    recalibrate(model, batches)
    return model


lab.mistake(
    "only the BatchNorms right below model are found: use model.modules()",
    _recalibrating(
        norms=lambda model: [
            m for m in model.children() if isinstance(m, nn.BatchNorm2d)
        ]
    ),
)
