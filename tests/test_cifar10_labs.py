"""The same notebooks on the cifar10 track: a few clothes pass for its images."""

import numpy as np
import pytest
import torch
from notebooks import SOLUTIONS, read

from labcore import assets
from labcore.runtime import strict_environment
from labcore.staff.authoring.execute import client_for
from labcore.student.notebooks import tags
from labcore.tracks import TRACKS, fashion_weights

pytestmark = pytest.mark.long

IMAGES = {"train": 1024, "val": 256, "test": 128}
COPIES = 4  # of every channel of VGG(16), which make a VGG(64)


def widened(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of the shipped VGG(16) as those of a VGG(64) with the same answers.

    A network trained for seconds collapses under any pruning; this one is sensitive
    where a well-trained one is. A little noise tells the copies apart.
    """
    fashion = TRACKS["fashion"]
    random = torch.Generator().manual_seed(0)
    wide = {}
    for name, weight in weights.items():
        if weight.dim() and not name.startswith("classifier"):
            weight = weight.repeat_interleave(COPIES, dim=0)
        if weight.dim() > 1:  # (out, in, ...): what comes in is summed over the copies
            inputs = 3 if name == "backbone.conv0.weight" else COPIES
            weight = weight.repeat_interleave(inputs, dim=1) / inputs
            weight *= 1 + 0.01 * torch.randn(weight.shape, generator=random)
        wide[name] = weight
    # conv0 reads [0, 1], where the shipped one reads (x - mean) / deviation
    first = wide["backbone.conv0.weight"].div_(fashion.deviation)
    wide["backbone.bn0.running_mean"] += fashion.mean * first.sum(dim=(1, 2, 3))
    return wide


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
    torch.save(widened(fashion_weights()), folder / "cifar10-vgg64.pt")
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
    client_for(nb, path.parent).execute(env=strict_environment() | track)
