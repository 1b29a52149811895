"""Training and evaluation by what they do, on sets that take no time."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labcore import runtime, training
from labcore.runtime import LabError


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("LABCORE_PRECISION", "fp32")
    monkeypatch.setenv("LABCORE_THREADS", "1")
    torch.manual_seed(0)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 2),
    )


def bright_and_dark(count: int = 64):
    """Images that are bright (class 1) or dark (class 0)."""
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 1, 8, 8) * 0.1
    return noise + (2.0 * labels - 1)[:, None, None, None], labels


def test_training_lowers_the_loss_and_learns_the_classes():
    images, labels = bright_and_dark()
    model = net()
    losses = training.train(model, images, labels, epochs=4, lr=0.05, batch_size=16)
    assert len(losses) == 4
    assert losses[-1] < 0.5 * losses[0]
    assert training.evaluate(model, images, labels) == 100


def test_a_network_distilled_from_another_answers_as_it_does():
    images, labels = bright_and_dark()
    teacher, model = net(), net()
    training.train(teacher, images, 1 - labels, epochs=4, lr=0.05, batch_size=16)
    scores = training.predict(teacher, images)
    training.distil(model, images, scores, epochs=4, lr=0.05, batch_size=16)
    assert training.evaluate(model, images, 1 - labels) == 100  # not the true labels


def test_a_distilling_loss_is_the_divergence_of_softened_scores():
    images, scores = torch.randn(5, 3), torch.randn(5, 2)
    model = nn.Linear(3, 2, bias=False)
    wanted, found = ((s / 2).softmax(1) for s in (scores, model(images)))
    expected = 4 * (wanted * (wanted / found).log()).sum(1).mean().item()
    options = {"epochs": 1, "lr": 0.0, "batch_size": 5}
    [loss] = training.distil(model, images, scores, soft=2.0, **options)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_distilling_shows_the_images_as_they_are():
    images, labels = bright_and_dark()
    seen = []
    model = net()
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    scores = torch.zeros(len(images), 2)
    training.distil(model, images, scores, epochs=1, batch_size=16)
    known = {image.numpy().tobytes() for image in images}
    assert {image.numpy().tobytes() for batch in seen for image in batch} <= known


def test_a_seed_repeats_a_training_run():
    images, labels = bright_and_dark()
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = net()
        training.train(model, images, labels, epochs=1, batch_size=16, seed=seed)
        runs.append(model[4].weight.detach())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_learning_rate_rises_to_lr_and_ends_at_zero(monkeypatch):
    rates = []

    class Spied(torch.optim.SGD):
        def step(self, *args, **kwargs):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args, **kwargs)

    monkeypatch.setattr(torch.optim, "SGD", Spied)
    images, labels = bright_and_dark(400)
    training.train(net(), images, labels, epochs=2, lr=0.5, batch_size=4)
    assert len(rates) == 200
    peak = rates.index(max(rates))
    assert rates[0] < 0.05 and 0.45 < rates[peak] <= 0.5
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.001


def test_after_step_is_called_after_every_update_and_may_change_the_weights():
    images, labels = bright_and_dark()
    model, seen = net(), []

    def put_mask_back(given):
        assert given is model
        seen.append(given[4].weight[:, 0].abs().sum().item())
        with torch.no_grad():
            given[4].weight[:, 0] = 0

    put_mask_back(model)
    training.train(
        model, images, labels, epochs=2, batch_size=16, after_step=put_mask_back
    )
    assert len(seen) == 1 + 2 * 4
    assert any(seen[2:]), "an update moves what the hook had set to zero"
    assert (model[4].weight[:, 0] == 0).all(), "the last word is the hook's"


def test_a_loss_of_ones_own_is_minimised_in_train_mode():
    images, labels = bright_and_dark()
    modes = []

    def loss(model, batch, batch_labels):
        modes.append(model.training)
        return F.cross_entropy(model(batch), 1 - batch_labels)

    model = net()
    training.train(model, images, labels, epochs=3, lr=0.05, batch_size=16, loss=loss)
    assert modes == [True] * 12
    assert training.evaluate(model, images, labels) == 0
    assert not model.training


def test_training_leaves_the_images_as_they_were():
    images, labels = bright_and_dark()
    before = images.clone()
    training.train(net(), images, labels, epochs=1, batch_size=16)
    assert torch.equal(images, before)


def test_too_few_images_for_a_batch_is_one_sentence():
    images, labels = bright_and_dark(6)
    with pytest.raises(LabError, match="one batch of 8 images, but got 6"):
        training.train(net(), images, labels, epochs=1, batch_size=8)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_equals_a_naive_loop_and_restores_the_mode(mode):
    images = torch.randn(23, 1, 8, 8)
    labels = torch.randint(2, (23,))
    model = net()
    with torch.no_grad():
        model(torch.randn(64, 1, 8, 8))  # so that train and eval mode differ
        model.eval()
        right = 0
        for image, label in zip(images, labels, strict=True):
            right += model(image[None]).argmax().item() == label.item()
    model.train(mode)
    before = model[1].running_mean.clone()
    assert training.evaluate(model, images, labels, batch_size=5) == pytest.approx(
        100 * right / 23
    )
    assert model.training is mode
    assert torch.equal(model[1].running_mean, before)


def test_the_mode_is_restored_where_evaluation_fails():
    model = net().train()
    with pytest.raises(RuntimeError):
        training.evaluate(model, torch.zeros(4, 3, 8, 8), torch.zeros(4))
    assert model.training


def test_a_new_network_can_still_be_trained_after_it_was_evaluated():
    """Whatever moves it to another memory layout must not bind it to inference."""
    images, labels = bright_and_dark()
    model = net()
    training.evaluate(model, images, labels)
    model(images).sum().backward()
    scores = training.predict(model, images)
    scores += 1


def test_predict_gives_the_models_scores_in_float32(monkeypatch):
    images = torch.randn(7, 1, 8, 8)
    model = net().eval()
    scores = training.predict(model, images, batch_size=3)
    torch.testing.assert_close(scores, model(images).detach())
    monkeypatch.setenv("LABCORE_PRECISION", "bf16")
    rounded = training.predict(model, images)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, scores, rtol=0.05, atol=0.05)


def test_a_network_stays_where_it_is_while_a_copy_runs_on_the_device(monkeypatch):
    """The device is torch's pretended one, from which no scores come back."""
    monkeypatch.setattr(runtime, "device", lambda: torch.device("meta"))
    monkeypatch.setattr(runtime, "autocast", nullcontext)
    model = net()
    weight = model[0].weight.data
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        training.predict(model, torch.randn(7, 1, 8, 8))
    assert model[0].weight.data_ptr() == weight.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_comes_home_from_the_gpu(monkeypatch):
    monkeypatch.setenv("LABCORE_DEVICE", "cuda")
    model = net()
    losses = training.train(model, *bright_and_dark(), epochs=3, batch_size=16)
    assert losses[-1] < losses[0]
    assert {p.device.type for p in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("channels", [1, 3])
def test_augmented_images_keep_shape_dtype_and_layout(channels):
    images = torch.rand(16, channels, 8, 8).to(memory_format=torch.channels_last)
    before = images.clone()
    changed = training.augmented(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape and changed.dtype == images.dtype
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_augmented_pixels_come_from_the_same_image_and_stay_whole():
    """Every pixel has a colour of its own, so that a foreign or torn one is found."""
    images = torch.arange(10 * 3 * 8 * 8).float().view(10, 3, 8, 8)
    changed = training.augmented(images, torch.Generator().manual_seed(0))
    for before, after in zip(images, changed, strict=True):
        colours = {tuple(c) for c in before.flatten(1).T.tolist()}
        assert {tuple(c) for c in after.flatten(1).T.tolist()} <= colours
    assert not torch.equal(images, changed)


def test_augmentation_moves_and_mirrors_some_but_not_all():
    ramp = torch.arange(8.0).expand(200, 1, 8, 8)  # grows from left to right
    changed = training.augmented(ramp, torch.Generator().manual_seed(0))
    mirrored = (changed[:, 0, 0, 0] > changed[:, 0, 0, -1]).sum().item()
    assert 60 < mirrored < 140
    assert 1 < len({tuple(row) for row in changed[:, 0, 0].tolist()})
