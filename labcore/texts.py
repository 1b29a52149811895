"""The language track: its text, its trained model, and what a model makes of the text.

bench = workbench("tinylm")
bench.bits(bench.dense(), "val")
"""

from __future__ import annotations

import copy
import math
import tarfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore import assets, runtime
from labcore.files import written
from labcore.lm import CONTEXT, TinyLM
from labcore.runtime import LabError

__all__ = ["TEXT", "WEIGHTS", "TextBench", "bits", "draw", "files", "train"]

TEXT, WEIGHTS = "stdlib.tar.xz", "tinylm.pt"
SPLITS = ("train", "val", "test")
FALL = 0.25  # the share of all steps in which the learning rate falls
BETWEEN_SAVES = 120  # seconds

Loss = Callable[[nn.Module, Tensor], Tensor]  # (model, windows) -> loss


@cache
def files(split: str) -> dict[str, bytes]:
    """The Python files of the split, by their path in the standard library."""
    if split not in SPLITS:
        raise LabError(f"There is no split {split!r}: choose 'train', 'val' or 'test'.")
    with tarfile.open(assets.path(TEXT)) as tar:
        return {
            member.name.removeprefix(f"{split}/"): tar.extractfile(member).read()
            for member in tar
            if member.name.startswith(f"{split}/")
        }


class TextBench:
    """The text and the dense model of the language track, loaded when first needed."""

    def __init__(self) -> None:
        self.test_looks = 0  # choices are made on val, so this should stay at 1
        self._texts: dict[str, Tensor] = {}
        self._dense: TinyLM | None = None

    def dense(self) -> TinyLM:
        """A fresh copy of the trained model, in eval mode."""
        if self._dense is None:
            self._dense = TinyLM()
            weights = torch.load(assets.path(WEIGHTS), weights_only=True)
            self._dense.load_state_dict(weights)  # stored in float16, used in float32
        return copy.deepcopy(self._dense).eval()

    def text(self, split: str) -> Tensor:
        """All files of the split as bytes (uint8), each with a zero byte at its end."""
        if split not in self._texts:
            content = b"".join(file + b"\0" for file in files(split).values())
            self._texts[split] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return self._texts[split]

    def windows(self, split: str, count: int, seed: int = 0) -> Tensor:
        """(count, 257): random windows, 256 bytes and the one that follows."""
        return draw(self.text(split), count, torch.Generator().manual_seed(seed))

    def bits(
        self, model: nn.Module, split: str = "val", count: int | None = 64
    ) -> float:
        """What the model needs for a byte of the split: the mean of `bits` over `count`
        windows at equal distances, or over all (None), which takes minutes."""
        self.test_looks += split == "test"
        return bits(model, self.spread(split, count)).mean().item()

    def spread(self, split: str, count: int | None = None) -> Tensor:
        """(count, 257): windows at equal distances; all of them half overlap."""
        text, half = self.text(split), CONTEXT // 2
        starts = torch.arange(0, len(text) - CONTEXT, half)
        if count is not None:
            starts = starts[torch.linspace(0, len(starts) - 1, count).long()]
        return _cut(text, starts)


def draw(text: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, 257): windows that begin anywhere in the text."""
    starts = torch.randint(len(text) - CONTEXT, (count,), generator=generator)
    return _cut(text, starts)


def _cut(text: Tensor, starts: Tensor) -> Tensor:
    return text[starts[:, None] + torch.arange(CONTEXT + 1)].long()


@runtime.reused_memory()
@torch.no_grad()
def bits(model: nn.Module, windows: Tensor, batch: int = 16) -> Tensor:
    """(count,): the bits that each window needs for a byte of its second half, so that
    each byte is predicted from 129 to 256 bytes before it."""
    runtime.use_threads()
    device = next(model.parameters()).device
    found = []
    for some in runtime.progress(windows.split(batch), what="reading"):
        losses = _losses(model, some.to(device))
        found.append(losses[:, CONTEXT // 2 :].mean(dim=1) / math.log(2))
    return torch.cat(found).cpu()


def _losses(model: nn.Module, windows: Tensor) -> Tensor:
    """(count, 256): the cross-entropy of each byte but the first, in nats."""
    scores, following = model(windows[:, :-1]).flatten(0, 1), windows[:, 1:]
    losses = F.cross_entropy(scores, following.flatten(), reduction="none")
    return losses.view(following.shape)


def cross_entropy(model: nn.Module, windows: Tensor) -> Tensor:
    return _losses(model, windows).mean()


@runtime.reused_memory()
def train(
    model: nn.Module,
    text: Tensor,
    *,
    steps: int,
    lr: float = 3e-3,
    batch: int = 8,
    loss: Loss = cross_entropy,
    after_step: Callable[[nn.Module], object] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> list[float]:
    """Train in place by AdamW on random windows; -> the loss of each step.

    The learning rate rises to `lr` in 100 steps or a tenth of all, stays there, and
    falls to zero during the last quarter.
    after_step   called with the model after every update, for example to apply a mask
    checkpoint   a file to continue from if it exists, and to save to every two minutes
    """
    runtime.use_threads()
    device, home = runtime.device(), next(model.parameters()).device
    model.to(device).train()
    try:
        run = _Run(model, _optimizer(model), checkpoint)
        with runtime.progress(total=steps, what="training") as bar:
            bar.update(len(run.losses))
            for step in range(len(run.losses), steps):
                for group in run.optimizer.param_groups:
                    group["lr"] = lr * _rise_and_fall(step + 1, steps)
                drawing = torch.Generator().manual_seed(seed * 1_000_003 + step)
                run.update(loss, draw(text, batch, drawing).to(device))
                if after_step is not None:
                    after_step(model)
                run.save_now_and_then()
                bar.update()
    finally:
        model.eval().to(home)
    return run.losses


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW that lets matrices shrink, but not the gains of the norms."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99))


def _rise_and_fall(step: int, steps: int) -> float:
    """Factor for the learning rate in this step, counted from 1."""
    rise = min(100, steps / 10)
    return min(1.0, step / rise, (1 - (step - 1) / steps) / FALL)


class _Run:
    """A training that can be saved, and continued from its file."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, file: Path | None
    ) -> None:
        self.model, self.optimizer, self.file = model, optimizer, file
        self.losses: list[float] = []
        self._saved = time.monotonic()
        if file is not None and file.exists():
            state = torch.load(file, weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            self.losses = state["losses"]

    def update(self, loss: Loss, windows: Tensor) -> None:
        found = loss(self.model, windows)
        self.optimizer.zero_grad()
        found.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.losses.append(found.item())

    def save_now_and_then(self) -> None:
        if self.file is None or time.monotonic() < self._saved + BETWEEN_SAVES:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
        }
        with written(self.file) as opened:
            torch.save(state, opened)
        self._saved = time.monotonic()
