"""The same notebooks on the cifar10 track: a few clothes pass for its images."""

import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from notebooks import ROOT, SOLUTIONS, read

from labcore import assets
from labcore.authoring.execute import strict_environment
from labcore.authoring.notebooks import tags
from labcore.nets import VGG
from labcore.training import train

pytestmark = pytest.mark.long

IMAGES = {"train": 1024, "val": 256, "test": 128}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder with all that the track would otherwise download."""
    folder = tmp_path_factory.mktemp("cache")
    arrays = {}
    with np.load(assets.path("fashion.npz")) as fashion:
        for split, count in IMAGES.items():
            grey = np.pad(fashion[f"{split}_images"][:count], [(0, 0), (2, 2), (2, 2)])
            arrays[f"{split}_images"] = np.repeat(grey[:, None], 3, axis=1)
            arrays[f"{split}_labels"] = fashion[f"{split}_labels"][:count]
    np.savez(folder / "cifar10.npz", **arrays)
    torch.manual_seed(0)
    net = VGG(width=64)
    images = torch.from_numpy(arrays["train_images"]).float() / 255
    train(net, images, torch.from_numpy(arrays["train_labels"]).long(), epochs=4)
    torch.save(net.state_dict(), folder / "cifar10-vgg64.pt")
    return folder


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_cifar10_but_for_the_claims_on_fashion(path, cache):
    nb = read(path)
    nb.cells = [cell for cell in nb.cells if "claim" not in tags(cell)]
    track = {
        "LABCORE_TRACK": "cifar10",
        "LABCORE_CACHE": str(cache),
        "LABCORE_DEVICE": "cpu",
    }
    NotebookClient(
        nb,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(ROOT / "solutions")}},
    ).execute(env=strict_environment() | track)
