"""The recipes behind what ships: `labcore train`."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from labcore import assets, nets, raw, runtime, texts, training
from labcore.files import write_bytes
from labcore.runtime import LabError
from labcore.staff import candidates, stdlib, tickets, tinylm
from labcore.tracks import TRACKS, normalised, workbench

__all__ = ["train_track"]

FASHION_NETS = {
    "fashion-vgg16.pt": lambda: nets.VGG(width=16, in_channels=1),
    "fashion-resnet8.pt": lambda: nets.ResNet8(in_channels=1),
}
OURS = "MIT (trained by labcore train fashion)"
MADE = {  # what is trained -> the file that ships, and the function that makes it
    "tickets": ("fashion-tickets.npz", tickets.played),
    "chip": ("fashion-chip.npz", candidates.trained),
}


def train_track(track: str, raw_folder: Path | None) -> None:
    """Train what ships again, and print how good it is on val and test, or val."""
    runtime.use_threads()
    if track == "fashion":
        _train_fashion(raw_folder or Path("/usr/share/datasets/fashion-mnist"))
    elif track == "cifar10":
        _train_cifar10()
    elif track in MADE:
        name, make = MADE[track]
        write_bytes(assets.SHIPPED / name, make())
        _enter(name, f"MIT (trained by labcore train {track})")
    elif track == "tinylm":
        _train_tinylm(raw_folder)
    else:
        raise LabError(
            f"There is no track {track!r}: choose 'fashion', 'cifar10', 'tickets', "
            "'chip' or 'tinylm'."
        )


def _train_fashion(folder: Path) -> None:
    """Pack the shipped subset, then train on all 55,000 images that are not in val."""
    splits = raw.fashion_images(folder)
    raw.fashion_npz(splits, assets.SHIPPED / "fashion.npz")
    _enter("fashion.npz", "MIT (Fashion-MNIST, Zalando SE)")
    for name, make in FASHION_NETS.items():
        net = _trained(name, make, splits, "dense", TRACKS["fashion"], epochs=18)
        _save(net, assets.SHIPPED / name)
        _enter(name, OURS)


def _train_cifar10() -> None:
    """Train on the 45,000 images of the train split; the result goes to the cache."""
    track = TRACKS["cifar10"]
    with np.load(track.archive()) as arrays:
        splits = dict(arrays)
    net = _trained("cifar10-vgg64.pt", track.net, splits, "train", track, epochs=30)
    _save(net, runtime.cache_folder() / "cifar10-vgg64.pt")


def _train_tinylm(library: Path | None) -> None:
    """Pack the text again if a library is named, then train on its train split."""
    if library is not None:
        write_bytes(assets.SHIPPED / texts.TEXT, stdlib.packed(library))
        _enter(
            texts.TEXT, "PSF-2.0 (Python's standard library, see stdlib-LICENSE.txt)"
        )
    write_bytes(assets.SHIPPED / texts.WEIGHTS, tinylm.trained())
    _enter(texts.WEIGHTS, "MIT (trained by labcore train tinylm)")
    bench = workbench("tinylm")
    found = {split: bench.bits(bench.dense(), split, None) for split in ("val", "test")}
    print(f"bits a byte: val {found['val']:.3f}, test {found['test']:.3f}")


def _trained(name, make, splits, train_split, track, epochs) -> nn.Module:
    def tensors(split: str):
        images = normalised(splits[f"{split}_images"], track)
        return images, torch.from_numpy(splits[f"{split}_labels"]).long()

    runtime.seed_everything(0)
    net, start = make(), time.perf_counter()
    training.train(net, *tensors(train_split), epochs=epochs, lr=0.1)
    minutes = (time.perf_counter() - start) / 60
    scores = {
        split: training.evaluate(net, *tensors(split)) for split in ("val", "test")
    }
    print(
        f"{name}: {epochs} epochs in {minutes:.1f} min ({runtime.precision()}), "
        f"val {scores['val']:.2f} %, test {scores['test']:.2f} %"
    )
    return net


def _save(net: nn.Module, target: Path) -> None:
    weights = {key: value.cpu() for key, value in net.state_dict().items()}
    content = io.BytesIO()  # torch.save stores the file's name in its bytes
    torch.save(weights, content)
    write_bytes(target, content.getvalue())


def _enter(name: str, licence: str) -> None:
    """Write a shipped file's hash and size into the manifest."""
    target, file = assets.SHIPPED / "manifest.json", assets.SHIPPED / name
    entries = json.loads(target.read_text(encoding="utf-8"))
    entries[name] = {
        "sha256": assets.sha256(file),
        "bytes": file.stat().st_size,
        "licence": licence,
    }
    write_bytes(target, (json.dumps(entries, indent=2) + "\n").encode())
