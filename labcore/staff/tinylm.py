"""The recipe behind the language model: `labcore train tinylm`."""

from __future__ import annotations

import io

import torch

from labcore import runtime, texts
from labcore.lm import TinyLM
from labcore.tracks import workbench

__all__ = ["trained"]

STEPS = 10_000  # of 8 windows of 256 bytes, as if each byte were seen twice


def trained() -> bytes:
    """The content of tinylm.pt: the trained weights in float16.

    A run that was interrupted goes on where it was saved, in the cache folder.
    """
    checkpoint = runtime.cache_folder() / "tinylm-training.pt"
    runtime.seed_everything(0)
    model, text = TinyLM(), workbench("tinylm").text("train")
    texts.train(model, text, steps=STEPS, checkpoint=checkpoint)
    checkpoint.unlink(missing_ok=True)
    return stored(model)


def stored(model: TinyLM) -> bytes:
    content = io.BytesIO()
    torch.save({n: value.half() for n, value in model.state_dict().items()}, content)
    return content.getvalue()
