"""Copies trained side by side are what each would be alone."""

import copy

import pytest
import torch
from torch.nn import functional as F

from labcore.nets import MLP, layers
from labcore.stack import Stack


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setenv("LABCORE_PRECISION", "fp32")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return MLP(inputs=12, hidden=(8, 6), classes=3)


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(1)
    images = torch.randn((40, 12), generator=draw)
    return images, torch.randint(3, (40,), generator=draw)


def random_masks(net, seed, share=0.5):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(layer.weight.shape, generator=draw) < share
        for name, layer in layers(net).items()
    }


def alone(net, masks, images, labels, epochs, seed, lr, batch_size):
    """Plain SGD on one network, its zeros put back after each step."""
    net = copy.deepcopy(net)
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr)

    def hold():
        for name, mask in masks.items():
            net.get_submodule(name).weight.data[~mask] = 0

    hold()
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=draw)
        for picked in order.split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(net(images[picked]), labels[picked]).backward()
            optimizer.step()
            hold()
    return net


def test_each_copy_learns_as_it_would_alone(net, data):
    masks = [random_masks(net, seed) for seed in (1, 2, 3)]
    how = {"epochs": 2, "seed": 5, "lr": 0.1, "batch_size": 16}
    stack = Stack(net, masks)
    stack.train(*data, **how)
    for k, mask in enumerate(masks):
        expected = alone(net, mask, *data, **how).state_dict()
        for name, value in stack.network(k).state_dict().items():
            torch.testing.assert_close(value, expected[name])


def test_scores_and_accuracies_are_those_of_the_networks(net, data):
    images, labels = data
    stack = Stack(net, [random_masks(net, 1), random_masks(net, 2)])
    for k, accuracy in enumerate(stack.accuracies(images, labels)):
        scores = stack.network(k)(images)
        torch.testing.assert_close(stack.scores(images)[k], scores)
        right = (scores.argmax(1) == labels).float().mean().item()
        assert accuracy == pytest.approx(100 * right)


def test_the_network_handed_over_stays_as_it_is(net, data):
    before = copy.deepcopy(net.state_dict())
    Stack(net, [random_masks(net, 1)]).train(*data, epochs=1, seed=0)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_new_mask_removes_at_once_and_grows_from_zero(net, data):
    stack = Stack(net, [random_masks(net, 1), random_masks(net, 2)])
    old, other = stack.masks["fc1"].bool().clone(), random_masks(net, 3)
    stack.put(0, other)
    weights = stack.weights["fc1"]
    assert (weights[0][~other["fc1"]] == 0).all()
    assert (weights[0][other["fc1"] & ~old[0]] == 0).all()
    assert (weights[1][old[1]] != 0).any()
    stack.train(*data, epochs=1, seed=0)
    grown = other["fc1"] & ~old[0]
    assert (weights[0][grown] != 0).any() and (weights[0][~other["fc1"]] == 0).all()


def test_after_a_step_come_its_number_and_dense_gradients(net, data):
    seen = []
    stack = Stack(net, [random_masks(net, 1, share=0.2)])

    def after_step(step, gradients):
        seen.append((step, set(gradients)))
        removed = stack.masks["fc2"][0] == 0
        assert gradients["fc2"].shape == stack.weights["fc2"].shape
        assert (gradients["fc2"][0][removed] != 0).any()

    stack.train(*data, epochs=2, seed=0, batch_size=20, after_step=after_step)
    assert seen == [(n, {"fc1", "fc2", "fc3"}) for n in (1, 2, 3, 4)]
