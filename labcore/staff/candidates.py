"""The recipe behind Lab 11's trained networks: `labcore train chip`.

Each is cut from the dense network and trained towards its scores.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from labcore import runtime, training
from labcore.nets import VGG, layers
from labcore.tracks import workbench

__all__ = ["trained"]

COMPACT = (8, 24, 32, 32, 48, 48, 48, 48)
NARROW = (8, 16, 24, 24, 32, 32, 32, 32)
EPOCHS = 6  # after channels are cut
ROUNDS = (0.6, 0.85, 1)  # of the zeros wanted: weights go in three rounds, each with
ROUND = 20_000  # images to train on


def trained() -> bytes:
    """The content of fashion-chip.npz: {network}/{parameter}, in float32."""
    runtime.use_threads()
    bench = workbench("fashion")
    images = bench.images("train")[0]
    shifted = training.augmented(images, torch.Generator().manual_seed(0))
    images = torch.cat([images, shifted])
    scores = training.predict(bench.dense(), images)

    def towards(model: nn.Module, epochs=EPOCHS, first=None, after_step=None):
        """The model, trained on the first images (or all) towards the dense scores."""
        training.distil(
            model,
            images[:first],
            scores[:first],
            epochs=epochs,
            lr=0.03,
            after_step=after_step,
        )
        return model

    def report(name: str, model: nn.Module) -> None:
        print(f"{name}: {bench.accuracy(model):.2f} % on val", flush=True)
        values = model.state_dict().items()
        arrays.update({f"{name}/{key}": value.numpy().copy() for key, value in values})

    arrays: dict[str, np.ndarray] = {}
    compact = towards(narrowed(bench.dense(), COMPACT))
    report("compact", compact)
    report("compact, 80 % zeros", thinned(compact, 0.8, towards))
    report("narrow", towards(narrowed(bench.dense(), NARROW)))
    report("90 % zeros", thinned(bench.dense(), 0.9, towards))
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def narrowed(dense: VGG, channels: Sequence[int]) -> VGG:
    """A smaller copy with the channels that the next layer reads most."""
    small, before = VGG(in_channels=1, channels=channels), torch.arange(1)
    chain = list(layers(dense).values())
    for i, (conv, following) in enumerate(zip(chain, chain[1:], strict=False)):
        sizes = following.weight.detach().transpose(0, 1).flatten(1).norm(dim=1)
        kept = sizes.topk(channels[i]).indices.sort().values
        norm = dense.backbone.get_submodule(f"bn{i}").state_dict()
        picked = {k: v[kept] if v.dim() else v for k, v in norm.items()}
        small.backbone.get_submodule(f"bn{i}").load_state_dict(picked)
        target = small.backbone.get_submodule(f"conv{i}")
        target.weight.data = conv.weight.data[kept][:, before]
        before = kept
    small.classifier.weight.data = dense.classifier.weight.data[:, before]
    small.classifier.bias.data = dense.classifier.bias.data.clone()
    return small


def thinned(model: nn.Module, sparsity: float, towards) -> nn.Module:
    """The smallest weights of all layers become zeros, in rounds, with training."""
    weights = [layer.weight for layer in layers(model).values()]
    for share in ROUNDS:
        threshold = _quantile(weights, share * sparsity)
        masks = [weight.detach().abs() > threshold for weight in weights]

        def hold(_model: nn.Module, masks: list[Tensor] = masks) -> None:
            for weight, mask in zip(weights, masks, strict=True):
                weight.data *= mask

        hold(model)
        model = towards(model, epochs=1, first=ROUND, after_step=hold)
    return model


def _quantile(weights: Sequence[Tensor], share: float) -> Tensor:
    """The magnitude below which this share of all weights lies."""
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    return sizes.kthvalue(round(share * len(sizes))).values
