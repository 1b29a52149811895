"""The networks of the course; VGG's parameter names match the public checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLP", "VGG", "LeNet", "ResNet8", "layers", "output_shapes"]


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers that can be pruned, by name and in order."""
    kinds = nn.Conv2d | nn.Linear
    return {n: m for n, m in model.named_modules() if isinstance(m, kinds)}


def output_shapes(model: nn.Module, images: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape of the image, and of what each layer produces, without the batch."""
    shapes = {"image": tuple(images.shape[1:])}
    names = {layer: name for name, layer in layers(model).items()}

    def note(layer: nn.Module, inputs, output: Tensor) -> None:
        shapes[names[layer]] = tuple(output.shape[1:])

    handles = [layer.register_forward_hook(note) for layer in names]
    try:
        with torch.no_grad():
            model(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    return shapes


class VGG(nn.Module):
    """Eight 3x3 convolutions with BatchNorm in four stages, then one linear layer.

    width      channels of the first convolution; the others are multiples of it
    channels   output channels of the eight convolutions, if they are not such
               multiples (for a network with channels removed)
    """

    MULTIPLES = (1, 2, 4, 4, 8, 8, 8, 8)
    POOL_AFTER = (1, 3, 5, 7)  # halves height and width

    def __init__(
        self,
        width: int = 64,
        in_channels: int = 3,
        classes: int = 10,
        channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        channels = channels or [width * multiple for multiple in self.MULTIPLES]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, out_channels in enumerate(channels):
            layers[f"conv{i}"] = nn.Conv2d(
                in_channels, out_channels, kernel_size=3, padding=1, bias=False
            )
            layers[f"bn{i}"] = nn.BatchNorm2d(out_channels)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
            if i in self.POOL_AFTER:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
            in_channels = out_channels
        self.backbone = nn.Sequential(layers)
        self.classifier = nn.Linear(in_channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)  # (batch, channels, 2, 2) for 32x32 images
        return self.classifier(features.mean(dim=(2, 3)))


class LeNet(nn.Module):
    """Two 5x5 convolutions and three linear layers, for 32x32 images."""

    def __init__(self, in_channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.conv1(images)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class MLP(nn.Module):
    """Linear layers with ReLU between them; by default LeNet-300-100."""

    def __init__(
        self,
        inputs: int = 28 * 28,
        hidden: Sequence[int] = (300, 100),
        classes: int = 10,
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden, classes]
        for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
            setattr(self, f"fc{i}", nn.Linear(fan_in, fan_out))

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; both paths end in the same channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """A stem and three residual blocks of 16, 32 and 64 channels."""

    def __init__(
        self, in_channels: int = 1, classes: int = 10, width: int = 16
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.block1 = ResidualBlock(width, width, stride=1)
        self.block2 = ResidualBlock(width, 2 * width, stride=2)
        self.block3 = ResidualBlock(2 * width, 4 * width, stride=2)
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.block3(self.block2(self.block1(x)))
        return self.classifier(x.mean(dim=(2, 3)))
