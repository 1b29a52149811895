"""From the public raw files to one .npz a dataset, on tiny fakes of the files."""

import gzip
import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest

from labcore import assets, raw
from labcore.runtime import LabError

CLASSES = 10


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    """60 training and 20 test images of 4x4; pixel [0, 0] is the image's number."""
    monkeypatch.setattr(raw, "VAL_PER_CLASS", 1)
    monkeypatch.setattr(raw, "TRAIN_PER_CLASS", 2)
    rng = np.random.default_rng(0)
    files = {}
    for part, count in (("train", 60), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)
        images[:, 0, 0] = range(count)
        labels = rng.permutation(np.arange(count, dtype=np.uint8) % CLASSES)
        files[f"{part}-images-idx3-ubyte"] = images
        files[f"{part}-labels-idx1-ubyte"] = labels
    digests = {}
    for name in raw.FASHION_FILES:
        content = idx(files[name])
        digests[name] = hashlib.sha256(content).hexdigest()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(raw, "FASHION_FILES", digests)
    return tmp_path, files


def counts(labels) -> list[int]:
    return np.bincount(labels, minlength=CLASSES).tolist()


def numbers(images) -> set[int]:
    return set(images[:, 0, 0].tolist())


def test_the_first_of_each_class_are_chosen_in_the_official_order():
    labels = np.array([2, 0, 2, 2, 0, 1, 2])
    chosen = raw.first_of_each_class(labels, count=2)
    assert np.flatnonzero(chosen).tolist() == [0, 1, 2, 4, 5]
    later = raw.first_of_each_class(labels, count=1, skip=2)
    assert np.flatnonzero(later).tolist() == [3]


def test_fashion_splits_are_stratified_and_val_and_test_are_never_trained_on(fashion):
    folder, files = fashion
    splits = raw.fashion_images(folder)
    assert counts(splits["val_labels"]) == [1] * CLASSES
    assert counts(splits["train_labels"]) == [2] * CLASSES
    assert counts(splits["dense_labels"]) == [5] * CLASSES
    val, train, dense = (
        numbers(splits[f"{s}_images"]) for s in ("val", "train", "dense")
    )
    assert val.isdisjoint(dense) and train < dense
    assert val | dense == set(range(60))
    np.testing.assert_array_equal(
        splits["test_images"], files["t10k-images-idx3-ubyte"]
    )
    np.testing.assert_array_equal(
        splits["test_labels"], files["t10k-labels-idx1-ubyte"]
    )


def test_images_keep_their_labels(fashion):
    folder, files = fashion
    splits = raw.fashion_images(folder)
    for split in ("val", "train", "dense"):
        order = splits[f"{split}_images"][:, 0, 0]
        expected = files["train-labels-idx1-ubyte"][order]
        np.testing.assert_array_equal(splits[f"{split}_labels"], expected)


def test_the_packed_subset_is_byte_stable_and_leaves_out_what_only_training_needs(
    fashion, tmp_path
):
    splits = raw.fashion_images(fashion[0])
    for name in ("one.npz", "two.npz"):
        raw.fashion_npz(splits, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_LZMA
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {key for key in splits if not key.startswith("dense")}
        for key in arrays:
            np.testing.assert_array_equal(arrays[key], splits[key])


@pytest.mark.parametrize("damage", ["absent", "no gzip", "cut", "other content"])
def test_a_raw_file_that_is_not_the_official_one_is_one_sentence(fashion, damage):
    file = fashion[0] / "train-labels-idx1-ubyte.gz"
    content = file.read_bytes()
    file.unlink()
    if damage != "absent":
        other = {
            "no gzip": b"<html>",
            "cut": content[:-12],
            "other content": gzip.compress(b"something else"),
        }
        file.write_bytes(other[damage])
    with pytest.raises(LabError, match=str(file)) as mistake:
        raw.fashion_images(fashion[0])
    assert "\n" not in str(mistake.value)
    said = "download it again" if damage == "other content" else "--"
    assert said in str(mistake.value)


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    """The archive's binary edition with 4 records a file, instead of 10,000."""
    monkeypatch.setattr(raw, "VAL_PER_CLASS", 1)
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (6, 4, 3073), dtype=np.uint8)
    records[:, :, 0] = [0, 1, 0, 1]
    archive = tmp_path / "cifar-10-binary.tar.gz"
    names = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
    with tarfile.open(archive, "w:gz") as opened:
        for name, batch in zip(names, records, strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = batch.nbytes
            opened.addfile(member, io.BytesIO(batch.tobytes()))
    opened = []

    def path(name):
        opened.append(name)
        return tmp_path / name

    monkeypatch.setattr(assets, "path", path)
    return records, opened


def test_cifar10_is_unpacked_into_stratified_splits_without_pickles(cifar10):
    records, _ = cifar10
    with np.load(raw.cifar10_npz(), allow_pickle=False) as arrays:
        splits = dict(arrays)
    assert splits["val_labels"].tolist() == [0, 1]
    assert splits["train_labels"].tolist() == [0, 1] * 9
    assert splits["test_labels"].tolist() == [0, 1, 0, 1]
    # the first image of each class is val; a record is its label, then its pixels
    train = records[:5].reshape(-1, 3073)
    pixels = train[:, 1:].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(splits["val_images"], pixels[:2])
    np.testing.assert_array_equal(splits["train_images"], pixels[2:])
    test = records[5, :, 1:].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(splits["test_images"], test)


def test_cifar10_is_unpacked_only_once(cifar10):
    first, second = raw.cifar10_npz(), raw.cifar10_npz()
    assert first == second
    assert cifar10[1] == ["cifar-10-binary.tar.gz"]
