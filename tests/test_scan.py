"""The fast scan gives what a plain loop gives, and says what it cannot follow."""

import copy

import pytest
import torch
from torch import nn

from labcore import runtime
from labcore.nets import MLP, VGG, LeNet, ResNet8
from labcore.runtime import LabError
from labcore.scan import Scan, sensitivity_scan
from labcore.scan.replay import Replay, max_pooled

LEVELS = [0.3, 0.6, 0.9]


@pytest.fixture(autouse=True)
def float32_on_the_cpu(monkeypatch):
    monkeypatch.setenv("LABCORE_PRECISION", "fp32")
    monkeypatch.setenv("LABCORE_DEVICE", "cpu")


def magnitude(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    removed = round(sparsity * weight.numel())
    if removed == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    size = weight.abs()
    return size > size.flatten().kthvalue(removed).values


def lived_in(model: nn.Module) -> nn.Module:
    """Random BatchNorm statistics and factors, so that folding has work to do."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()


def resnet18() -> nn.Module:
    return pytest.importorskip("torchvision").models.resnet18(num_classes=10)


class InPlace(nn.Module):
    """In-place changes of values that other steps still read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 8, 1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(8, 10)

    def forward(self, images):
        x = self.stem(images)
        left = self.left(x)
        x.relu_()
        right = self.relu(self.right(x))
        nn.functional.relu(left, inplace=True)
        torch.sigmoid_(right)
        sums = left.add(x).mul_(right)
        return self.last(sums.mean(dim=(2, 3)).view(images.size(0), -1))


class Sequence(nn.Module):
    """1-d layers, a BatchNorm behind a linear layer, a layer without effect."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(6, affine=True)
        self.hidden = nn.Linear(6, 8)
        self.normed = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 10)
        self.idle = nn.Linear(6, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x))).mean(dim=2)
        self.idle(x)
        return self.last(self.normed(self.hidden(x)))


NETS = {
    "VGG": (lambda: VGG(width=4, in_channels=1), (1, 32, 32)),
    "LeNet": (LeNet, (1, 32, 32)),
    "MLP": (lambda: MLP(36, hidden=(20, 15)), (1, 6, 6)),
    "ResNet8": (lambda: ResNet8(width=4), (1, 16, 16)),
    "resnet18": (resnet18, (3, 32, 32)),
    "in place": (InPlace, (1, 8, 8)),
    "one-dimensional": (Sequence, (4, 12)),
}


@pytest.fixture(params=NETS)
def case(request):
    make, shape = NETS[request.param]
    torch.manual_seed(0)
    count = 12 if request.param == "resnet18" else 70  # 70: a whole batch and a rest
    return lived_in(make()), torch.randn(count, *shape), torch.arange(count) % 10


def plainly(model, images, name, mask):
    """The scores of a copy with one weight masked: the definition."""
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        pruned.get_submodule(name).weight.mul_(mask)
        return pruned(images.clone())


def test_scores_agree_with_a_plain_loop(case):
    model, images, _ = case
    with torch.no_grad():
        replay = Replay(model, images[:4])
        replay.start(images)
        for name, layer in replay.layers.items():
            for level in LEVELS:
                mask = magnitude(layer.plain, level)
                expected = plainly(model, images, name, mask)
                scores = replay.again(name, layer.weight * mask)
                error = (scores - expected).abs().max() / expected.abs().max()
                assert error <= 1e-4, (name, level)
            replay.leave(name)


def test_counts_agree_but_for_ties(case):
    model, images, labels = case
    scan = sensitivity_scan(model, images, labels, magnitude, LEVELS)
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
    ]
    assert set(scan.counts) == set(names)
    assert scan.images == len(images)
    for name in names:
        weight = model.get_submodule(name).weight
        for level in LEVELS:
            scores = plainly(model, images, name, magnitude(weight.detach(), level))
            right = (scores.argmax(dim=1) == labels).sum().item()
            best = scores.topk(2).values
            close = best[:, 0] - best[:, 1] <= 2e-4 * scores.abs().max()
            assert abs(scan.counts[name][level] - right) <= close.sum().item()
            assert scan.accuracy[name][level] == pytest.approx(
                100 * scan.counts[name][level] / len(images)
            )


def test_bfloat16_stays_near(monkeypatch):
    images, labels = torch.randn(200, 1, 16, 16), torch.arange(200) % 10
    model = lived_in(ResNet8())
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    exact = sensitivity_scan(model, images, labels, magnitude, [0.2])
    monkeypatch.setenv("LABCORE_PRECISION", "bf16")
    rounded = sensitivity_scan(model, images, labels, magnitude, [0.2])
    for name in exact.counts:
        assert rounded.accuracy[name][0.2] == pytest.approx(
            exact.accuracy[name][0.2], abs=2
        )


def state(model):
    mode = [module.training for module in model.modules()]
    return mode, {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_untouched(end, training):
    model = InPlace().train(training)
    modes, weights = state(model)
    calls = []

    def prune(weight, sparsity):
        weight.zero_()  # in place: only the mask counts
        calls.append(sparsity)
        if end is not None and len(calls) == 5:
            raise end
        return torch.ones_like(weight, dtype=torch.bool)

    images, labels = torch.randn(9, 1, 8, 8), torch.arange(9)
    if end is None:
        scan = sensitivity_scan(model, images, labels, prune, LEVELS)
        counts = {count for row in scan.counts.values() for count in row.values()}
        assert counts == {scan.dense_count}
    else:
        with pytest.raises(end):
            sensitivity_scan(model, images, labels, prune, LEVELS)
    after_modes, after = state(model)
    assert modes == after_modes
    assert all(torch.equal(after[key], value) for key, value in weights.items())
    assert model.relu.inplace
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_prune_gets_the_plain_weight_and_the_sparsity_meant():
    model = lived_in(VGG(width=2, in_channels=1)).to(memory_format=torch.channels_last)
    seen = []

    def prune(weight, sparsity):
        seen.append((weight.view(-1), sparsity))  # contiguous, whatever the model is
        return torch.ones_like(weight, dtype=torch.bool)

    arange = [0.1 * 3, 0.7999999999999999]
    images, labels = torch.randn(3, 1, 32, 32), torch.arange(3)
    scan = sensitivity_scan(model, images, labels, prune, arange)
    assert list(scan.counts["classifier"]) == [0.3, 0.8] == [s for _, s in seen[:2]]
    assert torch.equal(seen[0][0], model.backbone.conv0.weight.flatten())


@pytest.mark.parametrize(
    ("mask", "got"),
    [
        (lambda w: None, "NoneType"),
        (lambda w: w * 0, "torch.float32"),
        (lambda w: torch.ones(3, dtype=torch.bool), r"shape \(3,\)"),
    ],
)
def test_a_bad_mask_is_one_sentence_that_names_the_layer(mask, got):
    images, labels = torch.randn(4, 1, 6, 6), torch.arange(4)
    with pytest.raises(LabError, match=rf"fc1 at sparsity 0.5 .* {got}.*\(20, 36\)"):
        sensitivity_scan(
            MLP(36, hidden=(20,)), images, labels, lambda w, s: mask(w), [0.5]
        )


class Custom(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Twice(nn.Module):
    def __init__(self, how) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = Custom(4, 4) if how == "custom" else nn.Linear(4, 4)
        self.how = how
        if how == "tied":
            self.second.weight = self.first.weight
        if how == "replaced":
            self.second.forward = torch.relu
        if how == "hook":
            self.second.register_forward_hook(lambda *_: None)

    def forward(self, x):
        x = self.second(self.first(x))
        if self.how == "twice":
            x = self.second(x)
        if self.how == "read":
            x = x @ self.second.weight
        if self.how == "condition" and x.sum() > 0:
            x = x + 1
        return (x, x) if self.how == "pair" else x


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("twice", "second is called 2 times"),
        ("custom", "second has a forward"),
        ("replaced", "second has a forward"),
        ("tied", "(first|second) shares its weight"),
        ("read", "second shares its weight"),
        ("hook", "second carries a forward hook"),
        ("condition", "cannot follow"),
        ("pair", "one tensor of scores"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(how, message):
    with pytest.raises(LabError, match=message) as caught:
        sensitivity_scan(Twice(how), torch.randn(5, 4), torch.arange(5), magnitude, [0])
    assert "\n" not in str(caught.value)


def test_a_model_that_gives_other_scores_than_its_graph_is_refused():
    class Escapes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 3)
            self.offset = 0

        def forward(self, x):
            y = self.last(x)
            y += 1 + x[:, :1]
            doubled = y * 2
            return doubled if isinstance(x, torch.fx.Proxy) else doubled * 2

    with pytest.raises(LabError, match="escapes torch.fx"):
        sensitivity_scan(
            Escapes(), torch.randn(5, 4), torch.arange(5), magnitude, [0.5]
        )


@pytest.mark.parametrize("levels", [[], [1.5], [-0.1, 0.5], [float("nan")]])
def test_bad_sparsities_are_one_sentence(levels):
    with pytest.raises(LabError, match="between 0 and 1"):
        sensitivity_scan(MLP(4), torch.randn(5, 4), torch.arange(5), magnitude, levels)


@pytest.mark.parametrize(("images", "labels"), [(0, 0), (4, 5)])
def test_images_without_labels_are_one_sentence(images, labels):
    with pytest.raises(LabError, match=f"{images} images and {labels} labels"):
        sensitivity_scan(
            MLP(4), torch.randn(images, 4), torch.arange(labels), magnitude, [0.5]
        )


def test_a_model_without_layers_is_one_sentence():
    with pytest.raises(LabError, match="nothing to scan"):
        sensitivity_scan(
            nn.Flatten(), torch.randn(5, 4), torch.arange(5), magnitude, [0.5]
        )


def test_intervals_are_wilsons():
    scan = Scan(images=100, dense_count=90, counts={"fc": {0.5: 90, 0.9: 0, 0.1: 100}})
    assert scan.dense == 90
    assert scan.interval["fc"][0.5] == (
        pytest.approx(82.56, abs=0.01),
        pytest.approx(94.48, abs=0.01),
    )
    assert scan.interval["fc"][0.9] == (0, pytest.approx(3.70, abs=0.01))
    assert scan.interval["fc"][0.1] == pytest.approx((96.30, 100), abs=0.01)


def test_threads_and_precision_come_from_the_runtime(monkeypatch):
    asked = []
    monkeypatch.setattr(runtime, "use_threads", lambda: asked.append("threads"))
    monkeypatch.setattr(runtime, "precision", lambda: asked.append("precision"))
    sensitivity_scan(MLP(4), torch.randn(5, 4), torch.arange(5), magnitude, [0.5])
    assert asked == ["threads", "precision"]


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7)], ids=str)
@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True)],
    ids=str,
)
def test_pooling_by_two_maxima_is_pooling(pool, size):
    images = torch.randn(3, 5, *size)
    assert torch.equal(max_pooled(pool, images), pool(images))
