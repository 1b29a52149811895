"""The networks: sizes that the course quotes, names that the public checkpoint has."""

import pytest
import torch

from labcore.nets import MLP, VGG, LeNet, ResNet8, layers


def size(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (VGG(), 9_228_362),
        (VGG(width=16, in_channels=1), 578_810),
        (MLP(), 266_610),  # LeNet-300-100
        (LeNet(), 61_706),
        # channels left of VGG() when 30 % of them are cut
        (VGG(channels=[45, 90, 179, 179, 358, 358, 358, 512]), 5_013_666),
    ],
)
def test_number_of_parameters(model, count):
    assert size(model) == count


def test_resnet8_has_about_80_000_parameters():
    assert 75_000 < size(ResNet8()) < 85_000


def test_vgg_has_the_names_of_the_public_checkpoint():
    names = ["classifier.weight", "classifier.bias"]
    for i in range(8):
        names.append(f"backbone.conv{i}.weight")
        for part in ("weight", "bias", "running_mean", "running_var"):
            names.append(f"backbone.bn{i}.{part}")
        names.append(f"backbone.bn{i}.num_batches_tracked")
    assert set(VGG(width=1).state_dict()) == set(names)


def test_vgg_takes_the_channels_it_is_given():
    channels = [3, 1, 4, 1, 5, 9, 2, 6]
    model = VGG(channels=channels)
    convs = [getattr(model.backbone, f"conv{i}") for i in range(8)]
    assert [conv.out_channels for conv in convs] == channels
    assert [conv.in_channels for conv in convs] == [3, *channels[:-1]]
    assert model.classifier.in_features == 6


@pytest.mark.parametrize(
    ("model", "image"),
    [
        (VGG(width=2, in_channels=1), (1, 32, 32)),
        (VGG(width=2, classes=7), (3, 32, 32)),
        (VGG(channels=[3, 1, 4, 1, 5, 9, 2, 6]), (3, 32, 32)),
        (LeNet(), (1, 32, 32)),
        (LeNet(in_channels=3, classes=7), (3, 32, 32)),
        (MLP(), (1, 28, 28)),
        (MLP(6, (5, 4), 7), (6,)),
        (ResNet8(), (1, 32, 32)),
        (ResNet8(in_channels=3, width=2, classes=7), (3, 32, 32)),
    ],
)
def test_a_batch_of_images_becomes_scores(model, image):
    classes = list(model.parameters())[-1].numel()
    assert classes in (7, 10)
    scores = model(torch.rand(2, *image))
    assert scores.shape == (2, classes)


def test_the_blocks_of_resnet8_add_their_shortcut():
    """With the last scale of a block at zero, only the shortcut is left."""
    block = ResNet8(width=2).eval().block1
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_the_layers_that_can_be_pruned_come_by_name_in_their_order():
    assert list(layers(LeNet())) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    net = VGG(width=1)
    convolutions = [f"backbone.conv{i}" for i in range(8)]
    assert list(layers(net)) == [*convolutions, "classifier"]
    assert layers(net)["classifier"] is net.classifier
