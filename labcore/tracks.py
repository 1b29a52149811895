"""A track is a dataset with a trained dense network; a workbench gives access to it.

>>> bench = workbench()
>>> bench.accuracy(bench.dense(), "val")
"""

from __future__ import annotations

import copy
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore import assets, nets, raw, runtime, training
from labcore.runtime import LabError
from labcore.texts import TextBench

__all__ = ["TRACKS", "Track", "Workbench", "workbench"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Track:
    """What a lab needs to know about a dataset and its dense network."""

    name: str
    classes: tuple[str, ...]
    mean: float
    deviation: float
    pad: int  # background pixels added on each side
    archive: Callable[
        [], Path
    ]  # -> .npz with {split}_images (uint8) and {split}_labels
    net: Callable[[], nn.Module]
    weights: Callable[[], dict[str, Tensor]]
    others: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)


def fashion_weights(name: str = "fashion-vgg16.pt") -> dict[str, Tensor]:
    return torch.load(assets.path(name), weights_only=True)


def fashion_resnet8() -> nn.Module:
    net = nets.ResNet8(in_channels=1)
    net.load_state_dict(fashion_weights("fashion-resnet8.pt"))
    return net


def cifar10_weights() -> dict[str, Tensor]:
    """The weights from `labcore train cifar10` if they exist, else the public ones."""
    own = runtime.cache_folder() / "cifar10-vgg64.pt"
    if own.exists():
        try:
            return torch.load(own, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError):
            raise LabError(
                f"{own} is damaged: delete it to use the public checkpoint, "
                "or train it again with 'labcore train cifar10'."
            ) from None
    public = assets.path("vgg.cifar.pretrained.pth")
    return torch.load(public, map_location="cpu", weights_only=True)["state_dict"]


TRACKS = {
    "fashion": Track(
        name="fashion",
        classes=(
            *("T-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "boot"),
        ),
        mean=0.286,
        deviation=0.353,
        pad=2,  # 28x28 -> 32x32
        archive=lambda: assets.path("fashion.npz"),
        net=lambda: nets.VGG(width=16, in_channels=1),
        weights=fashion_weights,
        others={"resnet8": fashion_resnet8},
    ),
    "cifar10": Track(
        name="cifar10",
        classes=(
            *("airplane", "car", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        mean=0.0,  # the public checkpoint was trained on plain pixels in [0, 1]
        deviation=1.0,
        pad=0,
        archive=raw.cifar10_npz,
        net=lambda: nets.VGG(width=64, in_channels=3),
        weights=cifar10_weights,
    ),
}


def normalised(pixels: np.ndarray, track: Track) -> Tensor:
    """uint8, (n, h, w) or (n, channels, h, w) -> float32, padded, channels-last."""
    images = torch.from_numpy(pixels)
    images = images[:, None] if images.dim() == 3 else images
    images = F.pad(images, [track.pad] * 4).contiguous(
        memory_format=torch.channels_last
    )
    return images.float().div_(255).sub_(track.mean).div_(track.deviation)


class Workbench:
    """The splits and the dense network of one track, each loaded when first needed."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.classes = track.classes
        self.test_looks = 0  # choices are made on val, so this should stay at 1
        self._images: dict[str, tuple[Tensor, Tensor]] = {}
        self._dense: dict[str, nn.Module] = {}

    def dense(self, name: str = "vgg") -> nn.Module:
        """A fresh copy of a trained dense network, in eval mode: the track's own, or
        another that it offers ("resnet8" on fashion)."""
        if name not in self._dense:
            net = self._trained(name)
            self._dense[name] = net.to(memory_format=torch.channels_last).eval()
        return copy.deepcopy(self._dense[name])

    def _trained(self, name: str) -> nn.Module:
        if name in self.track.others:
            return self.track.others[name]()
        if name != "vgg":
            having = [t.name for t in TRACKS.values() if name in t.others]
            where = f" Take workbench({having[0]!r}), which does." if having else ""
            raise LabError(
                f"The track {self.track.name!r} has no trained network {name!r}.{where}"
            )
        net = self.track.net()
        net.load_state_dict(self.track.weights())
        return net

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """(float32 normalised images (n, channels, 32, 32), labels (n,))."""
        if split not in SPLITS:
            raise LabError(
                f"There is no split {split!r}: choose 'train', 'val' or 'test'."
            )
        if split not in self._images:
            archive = self.track.archive()
            try:
                with np.load(archive, allow_pickle=False) as arrays:
                    pixels = arrays[f"{split}_images"]
                    labels = arrays[f"{split}_labels"]
            except RuntimeError as missing:  # a Python without lzma
                raise LabError(
                    f"This Python cannot unpack the images ({missing}): "
                    "use a Python from python.org, conda or your system."
                ) from None
            except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
                raise LabError(
                    f"{archive} is damaged: delete it and run again to rebuild it."
                ) from None
            self._images[split] = (
                normalised(pixels, self.track),
                torch.from_numpy(labels).long(),
            )
        return self._images[split]

    @property
    def example(self) -> Tensor:
        """One input, as a batch of 1."""
        return self.images("val")[0][:1]

    def accuracy(self, model: nn.Module, split: str = "val") -> float:
        """The share of the split that the model classifies correctly, in percent."""
        self.test_looks += split == "test"
        return training.evaluate(model, *self.images(split))

    def finetune(
        self,
        model: nn.Module,
        epochs: int,
        *,
        lr: float = 0.02,
        after_step: Callable[[nn.Module], object] | None = None,
        seed: int = 0,
        **options,
    ) -> list[float]:
        """Train on the train split as the learning rate falls to zero; -> losses."""
        images, labels = self.images("train")
        return training.train(
            model,
            images,
            labels,
            epochs=epochs,
            lr=lr,
            after_step=after_step,
            seed=seed,
            **options,
        )


@cache
def _bench(name: str) -> Workbench | TextBench:
    return TextBench() if name == "tinylm" else Workbench(TRACKS[name])


def workbench(track: str | None = None) -> Workbench | TextBench:
    """The bench of `track`, else LABCORE_TRACK, else "fashion"; cached per kernel.

    "tinylm" gives a TextBench; it is there by argument only.
    """
    name = track or runtime.track_name()
    if name not in TRACKS and track != "tinylm":
        raise LabError(
            f"There is no track {name!r}: choose 'fashion' (the default, nothing to "
            "download) or 'cifar10', by argument or by LABCORE_TRACK."
        )
    runtime.use_threads()
    return _bench(name)
