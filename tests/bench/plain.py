"""The plain loops, as anyone would write them: what the fast paths are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from labcore import assets

Step = transforms.Normalize(mean=(0.286,), std=(0.353,))
TRAIN = transforms.Compose(
    [
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        Step,
    ]
)
TEST = transforms.Compose([transforms.Pad(2), transforms.ToTensor(), Step])


class Pictures(Dataset):
    """28x28 grey images, transformed one by one when asked for."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform) -> None:
        self.images = [Image.fromarray(image) for image in pixels]
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def pictures(split: str, count: int, transform) -> Pictures:
    """The first images of a split of the shipped data, as someone would load them."""
    with np.load(assets.path("fashion.npz")) as arrays:
        pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        return Pictures(pixels[:count], labels[:count], transform)


def evaluate(model: nn.Module, loader: DataLoader, device: str = "cpu") -> float:
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            right += (model(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return 100 * right / total


def train_epoch(model: nn.Module, loader: DataLoader, lr: float) -> None:
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(loader))
    for images, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        schedule.step()


def sensitivity_scan(
    model: nn.Module,
    loader: DataLoader,
    prune: Callable[[Tensor, float], Tensor],
    sparsities: Iterable[float],
    device: str = "cpu",
) -> dict[str, dict[float, float]]:
    accuracy: dict[str, dict[float, float]] = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        row = accuracy[name.removesuffix(".weight")] = {}
        for sparsity in sparsities:
            dense = parameter.detach().clone()
            parameter.data.mul_(prune(dense, sparsity))
            row[sparsity] = evaluate(model, loader, device)
            parameter.data.copy_(dense)
    return accuracy
