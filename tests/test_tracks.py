"""Tracks: the shipped default one as it is, cifar10 on tiny fakes."""

import zipfile

import numpy as np
import pytest
import torch

import labcore
from labcore import assets, raw, runtime, tracks, training
from labcore.nets import VGG, ResNet8
from labcore.runtime import LabError

COUNTS = {"train": 20_000, "val": 5_000, "test": 10_000}


@pytest.fixture(scope="module")
def bench():
    """The default track's workbench, as a notebook gets it; shared, as in a kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LABCORE_TRACK", raising=False)
        patch.setenv("LABCORE_CACHE", "never needed")
        return labcore.workbench()


@pytest.fixture
def members_read(monkeypatch):
    """Names of the archive's members that are unpacked from now on."""
    read = []
    really_open = zipfile.ZipFile.open

    def spied(self, name, *args, **kwargs):
        read.append(getattr(name, "filename", name))
        return really_open(self, name, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", spied)
    return read


def test_loading_val_unpacks_val_alone(members_read):
    fresh = tracks.Workbench(tracks.TRACKS["fashion"])
    images, labels = fresh.images("val")
    assert images.shape == (5_000, 1, 32, 32) and labels.shape == (5_000,)
    assert set(members_read) == {"val_images.npy", "val_labels.npy"}
    assert fresh.images("val")[0] is images
    assert len(members_read) == 2


def test_the_shipped_subset_is_complete_and_stratified():
    with np.load(assets.path("fashion.npz"), allow_pickle=False) as arrays:
        assert len(arrays.files) == 6
        for split, count in COUNTS.items():
            labels = arrays[f"{split}_labels"]
            assert np.bincount(labels).tolist() == [count // 10] * 10
        assert arrays["test_images"].shape == (10_000, 28, 28)
        assert arrays["test_images"].dtype == np.uint8


def test_images_are_normalised_padded_float32_and_channels_last(bench):
    images, labels = bench.images("val")
    assert images.dtype == torch.float32 and labels.dtype == torch.int64
    assert images.is_contiguous(memory_format=torch.channels_last)
    background = (0 - 0.286) / 0.353
    border = torch.cat([images[:, :, :2].flatten(), images[..., -2:].flatten()])
    torch.testing.assert_close(border, torch.full_like(border, background))
    assert abs(images[:, :, 2:-2, 2:-2].mean().item()) < 0.05
    assert abs(images[:, :, 2:-2, 2:-2].std().item() - 1) < 0.05


def test_the_dense_network_is_a_fresh_trained_copy_in_eval_mode(bench):
    model, again = bench.dense(), bench.dense()
    assert isinstance(model, VGG) and not model.training
    assert sum(p.numel() for p in model.parameters()) == 578_810
    torch.nn.init.zeros_(model.classifier.weight)
    assert again.classifier.weight.count_nonzero() > 0
    assert bench.dense().classifier.weight.count_nonzero() > 0


@pytest.mark.parametrize("name", ["vgg", "resnet8"])
def test_a_dense_network_knows_its_images(bench, name):
    images, labels = bench.images("val")
    tenth = slice(None, None, 10)  # val is in an order of its own: 500 images
    right = training.evaluate(bench.dense(name), images[tenth], labels[tenth])
    assert right > 90


def test_the_residual_network_is_a_fresh_copy_beside_the_other(bench):
    model, again = bench.dense("resnet8"), bench.dense("resnet8")
    assert isinstance(model, ResNet8) and not model.training
    torch.nn.init.zeros_(model.classifier.weight)
    assert again.classifier.weight.count_nonzero() > 0
    assert isinstance(bench.dense(), VGG)


def test_a_network_that_a_track_lacks_is_one_sentence(bench):
    with pytest.raises(LabError, match="'fashion' has no trained network 'resnet9'"):
        bench.dense("resnet9")
    with pytest.raises(LabError, match=r"'cifar10' has no .*workbench\('fashion'\)"):
        tracks.Workbench(tracks.TRACKS["cifar10"]).dense("resnet8")


def test_the_example_is_a_batch_of_one(bench):
    assert bench.example.shape == (1, 1, 32, 32)
    assert bench.dense()(bench.example).shape == (1, len(bench.classes))


def test_a_kernel_has_one_bench_a_track(bench):
    assert labcore.workbench("fashion") is bench is labcore.workbench()


def test_the_default_track_needs_neither_network_nor_cache(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABCORE_CACHE", str(tmp_path / "file"))
    fresh = tracks.Workbench(tracks.TRACKS["fashion"])
    fresh.dense()
    fresh.images("val")


@pytest.mark.parametrize("by_variable", [False, True])
def test_an_unknown_track_is_one_sentence(monkeypatch, by_variable):
    monkeypatch.setenv("LABCORE_TRACK", "mnist" if by_variable else "fashion")
    with pytest.raises(LabError, match="no track 'mnist': choose 'fashion'") as mistake:
        labcore.workbench(None if by_variable else "mnist")
    assert "cifar10" in str(mistake.value)


def test_an_unknown_split_is_one_sentence(bench):
    with pytest.raises(LabError, match="no split 'valid': choose 'train', 'val'"):
        bench.images("valid")


def test_looks_at_test_are_counted(monkeypatch):
    fresh = tracks.Workbench(tracks.TRACKS["fashion"])
    monkeypatch.setattr(fresh, "images", lambda split: (split, None))
    monkeypatch.setattr(training, "evaluate", lambda model, images, labels: 50.0)
    for split, looks in (("val", 0), ("train", 0), ("test", 1), ("test", 2)):
        assert fresh.accuracy(None, split) == 50.0
        assert fresh.test_looks == looks


def test_finetune_trains_on_the_train_split_with_the_hook(monkeypatch):
    monkeypatch.setenv("LABCORE_PRECISION", "fp32")
    fresh = tracks.Workbench(tracks.TRACKS["fashion"])
    small = torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 3])
    splits = []
    monkeypatch.setattr(fresh, "images", lambda s: splits.append(s) or small)
    model, calls = VGG(width=1, in_channels=1), []
    losses = fresh.finetune(
        model, epochs=3, after_step=calls.append, batch_size=2, augment=False
    )
    assert splits == ["train"]
    assert len(losses) == 3
    assert calls == [model] * 6


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    """The cifar10 track with 20 images and a random checkpoint, nothing downloaded."""
    monkeypatch.setenv("LABCORE_TRACK", "cifar10")
    monkeypatch.setenv("LABCORE_DEVICE", "cpu")
    archive = runtime.cache_folder() / "cifar10.npz"
    rng = np.random.default_rng(0)
    arrays = {}
    for split in COUNTS:
        arrays[f"{split}_images"] = rng.integers(0, 256, (20, 3, 32, 32), np.uint8)
        arrays[f"{split}_labels"] = np.arange(20, dtype=np.uint8) % 10
    np.savez(archive, **arrays)
    public = VGG(width=64)
    torch.save({"state_dict": public.state_dict()}, tmp_path / "public.pth")
    monkeypatch.setattr(assets, "path", lambda name: tmp_path / "public.pth")
    return tracks.Workbench(tracks.TRACKS["cifar10"]), arrays, public


def test_cifar10_loads_the_public_checkpoint_and_plain_pixels(cifar10):
    bench, arrays, public = cifar10
    model = bench.dense()
    assert not model.training
    names = [name for name, _ in model.named_parameters()]
    assert names[0] == "backbone.conv0.weight" and names[-1] == "classifier.bias"
    for name, value in public.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    images, labels = bench.images("test")
    expected = torch.from_numpy(arrays["test_images"]).float() / 255
    torch.testing.assert_close(images, expected)
    assert labels.tolist() == arrays["test_labels"].tolist()
    right = bench.accuracy(model, "val") / 5  # of 20 images
    assert right == pytest.approx(round(right))


def test_weights_of_labcore_train_cifar10_come_before_the_public_ones(cifar10):
    own = VGG(width=64).state_dict()
    torch.save(own, runtime.cache_folder() / "cifar10-vgg64.pt")
    weight = cifar10[0].dense().classifier.weight
    assert torch.equal(weight, own["classifier.weight"])


def test_a_damaged_file_of_our_own_making_is_one_sentence(cifar10):
    bench, own = cifar10[0], runtime.cache_folder() / "cifar10-vgg64.pt"
    for content in (b"", b"no weights", b"PK\x03\x04 cut"):
        own.write_bytes(content)
        with pytest.raises(LabError, match="cifar10-vgg64.pt is damaged: delete it"):
            bench.dense()


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "other arrays"])
def test_a_damaged_archive_in_the_cache_is_one_sentence(cifar10, damage):
    archive = raw.cifar10_npz()
    content = archive.read_bytes()
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "changed": content.replace(content[5_000:5_010], bytes(10)),
    }
    if damage == "other arrays":
        np.savez(archive, images=np.zeros(3))
    else:
        archive.write_bytes(damaged[damage])
    with pytest.raises(LabError, match="cifar10.npz is damaged: delete it and run"):
        cifar10[0].images("train")


def test_a_python_without_lzma_is_one_sentence(monkeypatch):
    def without(self, *_, **__):
        raise RuntimeError("Compression requires the (missing) lzma module")

    monkeypatch.setattr(zipfile.ZipFile, "open", without)
    fresh = tracks.Workbench(tracks.TRACKS["fashion"])
    with pytest.raises(LabError, match=r"cannot unpack .* use a Python from"):
        fresh.images("val")
