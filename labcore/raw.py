"""Turn public raw files into one .npz per dataset: {split}_images, {split}_labels.

The splits follow a fixed rule without random numbers: the official order is already
shuffled, and the first 500 training images of each class become val.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from labcore import assets, runtime
from labcore.files import written
from labcore.runtime import LabError

__all__ = ["cifar10_npz", "fashion_images", "fashion_npz", "first_of_each_class"]

VAL_PER_CLASS = 500
TRAIN_PER_CLASS = 2000  # out of the 5,500 left, to keep the shipped subset small

# sha256 of the unpacked official files: distributors pack them differently
FASHION_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",  # noqa: E501
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",  # noqa: E501
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",  # noqa: E501
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",  # noqa: E501
}


def first_of_each_class(labels: np.ndarray, count: int, skip: int = 0) -> np.ndarray:
    """A bool array that selects `count` entries per class after the first `skip`."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[skip : skip + count]] = True
    return chosen


def fashion_images(folder: Path) -> dict[str, np.ndarray]:
    """The splits; "dense" is the official training set without the images in val."""
    train, train_labels, test, test_labels = (
        _read_idx(folder / f"{name}.gz", digest)
        for name, digest in FASHION_FILES.items()
    )
    val = first_of_each_class(train_labels, VAL_PER_CLASS)
    subset = first_of_each_class(train_labels, TRAIN_PER_CLASS, skip=VAL_PER_CLASS)
    splits = {}
    for split, chosen in {"train": subset, "val": val, "dense": ~val}.items():
        splits[f"{split}_images"] = train[chosen]
        splits[f"{split}_labels"] = train_labels[chosen]
    return splits | {"test_images": test, "test_labels": test_labels}


def _read_idx(file: Path, digest: str) -> np.ndarray:
    """An array in the IDX format: magic number, sizes (big-endian), then the bytes."""
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError) as error:
        raise LabError(
            f"{file} cannot be read ({getattr(error, 'strerror', None) or error}): "
            "name the folder that holds the four Fashion-MNIST files (*-ubyte.gz) by "
            "--source (Debian's package dataset-fashion-mnist has them)."
        ) from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise LabError(
            f"{file} is not the official Fashion-MNIST file: download it again."
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header], dtype=">u4")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def fashion_npz(splits: Mapping[str, np.ndarray], target: Path) -> None:
    """Write the shipped subset; LZMA saves 2 of 15 MB, fixed dates keep it the same."""
    with (
        written(target) as file,
        zipfile.ZipFile(file, "w", compression=zipfile.ZIP_LZMA) as archive,
    ):
        for name, array in splits.items():
            if name.startswith("dense"):
                continue
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def cifar10_npz() -> Path:
    """CIFAR-10 in the cache folder, unpacked once from the verified public archive."""
    own = runtime.cache_folder() / "cifar10.npz"
    if not own.exists():
        train, test = _read_cifar10(assets.path("cifar-10-binary.tar.gz"))
        val = first_of_each_class(train[:, 0], VAL_PER_CLASS)
        arrays = {}
        for split, rows in {
            "train": train[~val],
            "val": train[val],
            "test": test,
        }.items():
            arrays[f"{split}_images"] = rows[:, 1:].reshape(-1, 3, 32, 32)
            arrays[f"{split}_labels"] = rows[:, 0]
        with written(own, assets.NO_ROOM) as file:
            np.savez(file, **arrays)
    return own


def _read_cifar10(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """(train, test) records; each is a label byte and 3 x 32 x 32 bytes of pixels.

    We use the binary edition of the archive because it contains no pickles.
    """
    folder = "cifar-10-batches-bin"

    def records(*files: str) -> np.ndarray:
        content = b"".join(opened.extractfile(f"{folder}/{f}").read() for f in files)
        return np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)

    with tarfile.open(archive) as opened:
        train = records(*(f"data_batch_{number}.bin" for number in range(1, 6)))
        return train, records("test_batch.bin")
