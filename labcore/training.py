"""Training and evaluation with all images in memory, one whole batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labcore import runtime

__all__ = ["augmented", "distil", "evaluate", "predict", "train"]

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, images, labels) -> loss


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images).float(), labels)


@runtime.reused_memory()
def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    lr: float = 0.1,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    warmup: float = 0.1,
    augment: bool = True,
    loss: Loss = cross_entropy,
    after_step: Callable[[nn.Module], object] | None = None,
    seed: int = 0,
) -> list[float]:
    """Train in place by SGD with Nesterov momentum; returns each epoch's mean loss.

    The learning rate rises to `lr` during the first share `warmup` of all steps, and
    then falls to zero along a half cosine, step by step.
    after_step   called with the model after every update, for example to apply a mask
    """
    runtime.use_threads()
    device, home = runtime.device(), _device_of(model)
    model.to(device, memory_format=torch.channels_last).train()
    images, labels = images.to(device), labels.to(device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=0.9,
        weight_decay=weight_decay,
        nesterov=True,
    )
    batches = len(images) // batch_size  # the few images left over wait for next epoch
    if batches == 0:
        raise runtime.LabError(
            f"Training needs at least one batch of {batch_size} images, "
            f"but got {len(images)}: pass more images or a smaller batch_size."
        )
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _warm_cosine(step / steps, warmup)
    )
    generator = torch.Generator().manual_seed(seed)
    losses = []
    try:
        with runtime.progress(total=steps, what="training") as bar:
            for _ in range(epochs):
                order = torch.randperm(len(images), generator=generator)
                total = 0.0
                for picked in order[: batches * batch_size].split(batch_size):
                    batch = images[picked.to(device)]
                    if augment:
                        batch = augmented(batch, generator)
                    with runtime.autocast():
                        batch_loss = loss(model, batch, labels[picked.to(device)])
                    optimizer.zero_grad()
                    batch_loss.backward()
                    optimizer.step()
                    schedule.step()
                    if after_step is not None:
                        after_step(model)
                    total += batch_loss.item()
                    bar.update()
                losses.append(total / batches)
    finally:
        model.eval().to(home)
    return losses


def distil(
    model: nn.Module, images: Tensor, scores: Tensor, *, soft: float = 4.0, **options
) -> list[float]:
    """Train towards another network's softened class scores instead of the labels.

    scores   predict(teacher, images); the images are used as they are, not augmented
    options  those of `train`
    """

    def loss(model: nn.Module, images: Tensor, scores: Tensor) -> Tensor:
        wanted = (scores / soft).softmax(dim=1)
        found = (model(images).float() / soft).log_softmax(dim=1)
        # soft**2 makes these gradients as large as those of the loss on labels
        return soft**2 * F.kl_div(found, wanted, reduction="batchmean")

    return train(model, images, scores, loss=loss, augment=False, **options)


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _warm_cosine(done: float, warmup: float) -> float:
    """Factor for the learning rate after the share `done` of all steps."""
    if done < warmup:
        return done / warmup
    half_turn = torch.pi * (done - warmup) / (1 - warmup)
    return 0.5 * (1 + torch.cos(torch.tensor(half_turn)).item())


def augmented(images: Tensor, generator: torch.Generator, shift: int = 3) -> Tensor:
    """Each image shifted by up to `shift` pixels and mirrored half of the time.

    At the border, the pixels that were there are repeated.
    """
    count, _, height, width = images.shape

    def moved(size: int) -> Tensor:
        by = torch.randint(-shift, shift + 1, (count, 1), generator=generator)
        return (torch.arange(size) + by).clamp(0, size - 1)  # (batch, size)

    rows, columns = moved(height), moved(width)
    mirror = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirror, columns.flip(1), columns)
    each = torch.arange(count)[:, None, None]
    # indexed as (batch, height, width, channels), so that channels-last is kept
    pixels = images.permute(0, 2, 3, 1)
    picked = pixels[
        each.to(images.device),
        rows[:, :, None].to(images.device),
        columns[:, None, :].to(images.device),
    ]
    return picked.permute(0, 3, 1, 2)


@runtime.reused_memory()
@torch.no_grad()  # inference_mode would prevent training the model later
def predict(model: nn.Module, images: Tensor, batch_size: int = 125) -> Tensor:
    """Class scores (logits) of all images in float32; the model does not change."""
    runtime.use_threads()
    device = runtime.device()
    was_training = model.training
    if _device_of(model).type != device.type:  # the caller's stays in place
        model = copy.deepcopy(model)
    model.to(device, memory_format=torch.channels_last).eval()
    batches = images.split(batch_size)
    try:
        with runtime.autocast():
            bar = runtime.progress(batches, what="evaluating")
            scores = [model(batch.to(device)).float() for batch in bar]
        return torch.cat(scores).to(images.device)
    finally:
        model.train(was_training)


def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 125
) -> float:
    """Share of images for which the label has the highest score, in percent."""
    best = predict(model, images, batch_size).argmax(dim=1)
    return 100 * (best == labels.to(best.device)).float().mean().item()
