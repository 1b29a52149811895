"""What a network costs, on models small enough to count by hand."""

import pytest
import torch
from torch import nn

from labcore import measure
from labcore.nets import VGG

KIB, MIB = 1024, 1024**2


def linear(rows, bias=False) -> nn.Linear:
    weight = torch.tensor(rows)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight = nn.Parameter(weight)
    return layer


def test_parameters_are_all_learnable_numbers():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert measure.parameters(model) == 18 + 2 + 2 + 2
    nn.init.zeros_(model[0].weight)
    assert measure.parameters(model) == 24
    assert measure.parameters(model[0], nonzero_only=True) == 2
    assert measure.parameters(model.requires_grad_(False)) == 24


def test_sparsity_of_a_tensor_and_of_a_model():
    assert measure.sparsity(torch.tensor([[0.0, 1], [-1e-9, 0]])) == 0.5
    model = nn.Sequential(linear([[0.0, 0.5]]), linear([[0.0], [1], [2]]))
    assert measure.sparsity(model) == 2 / 5


def test_vgg_64_is_as_large_as_the_course_says():
    model = VGG(width=64)
    assert measure.macs(model, torch.zeros(1, 3, 32, 32)) == 605_754_368
    ones = torch.ones(measure.parameters(model))  # a new network's biases are zero
    torch.nn.utils.vector_to_parameters(ones, model.parameters())
    assert f"{measure.stored_bytes(model).formula / MIB:.2f}" == "35.20"


def test_macs_of_a_linear_layer_and_a_convolution():
    assert measure.macs(nn.Linear(3, 5), torch.zeros(1, 3)) == 15
    conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
    assert measure.macs(conv, torch.zeros(1, 2, 8, 8)) == 4 * 2 * 9 * 64


def test_macs_by_layer_add_up_to_all_macs():
    model, example = VGG(width=2), torch.zeros(1, 3, 32, 32)
    counts = measure.macs_by_layer(model, example)
    assert list(counts)[0] == "backbone.conv0" and list(counts)[-1] == "classifier"
    assert counts["backbone.conv0"] == 2 * 3 * 9 * 32 * 32
    assert counts["classifier"] == 16 * 10
    assert sum(counts.values()) == measure.macs(model, example)


def test_counting_macs_leaves_the_model_as_it_was():
    model = VGG(width=2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure.macs(model, torch.rand(1, 3, 32, 32))
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_three_ways_to_store_a_model():
    model = linear([[0.0, 2, 0], [3, 0, 0]], bias=True)
    model.bias = nn.Parameter(torch.tensor([0.0, 1]))
    stored = measure.stored_bytes(model)
    assert stored.formula == 4 * 3
    assert stored.bitmask == 4 * 3 + 1  # 8 parameters: one byte of bits
    # two values and their columns, three row starts; the bias as it is
    assert stored.csr == 2 * (4 + 4) + 3 * 4 + 2 * 4


def test_ten_percent_of_vgg_16_fit_only_by_the_formula():
    """The course's story: 226 KiB of values, 297 KiB with the bitmask; 8 % do fit."""
    model = VGG(width=16, in_channels=1)
    count = measure.parameters(model)
    assert f"{4 * count / MIB:.1f}" == "2.2"
    flat = torch.zeros(count)
    for share, formula, bitmask in ((0.10, 226, 297), (0.08, 181, 252)):
        flat[: round(share * count)] = 1
        flat[round(share * count) :] = 0
        torch.nn.utils.vector_to_parameters(flat, model.parameters())
        stored = measure.stored_bytes(model)
        assert round(stored.formula / KIB) == formula
        assert round(stored.bitmask / KIB) == bitmask


def test_the_margin_of_an_accuracy_narrows_with_the_square_root_of_the_images():
    assert measure.margin(50, 100) == pytest.approx(9.8)
    assert measure.margin(50, 10_000) == pytest.approx(0.98)
    assert measure.margin(100, 100) == 0


class Clock:
    """Time passes only when a variant says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def variant(self, name: str, seconds):
        seconds = iter(seconds)

        def run():
            self.calls.append(name)
            self.now += next(seconds)

        return run


def test_latency_interleaves_and_leaves_the_warm_up_out():
    clock = Clock()
    variants = {
        "slow": clock.variant("slow", [900, 900, 4, 8, 6, 2, 10]),
        "fast": clock.variant("fast", [900, 900, 1, 1, 1, 1, 1]),
    }
    result = measure.latency(variants, rounds=5, warmup=2, clock=clock)
    assert clock.calls == ["slow", "fast"] * 7
    assert result["slow"].median == 6
    assert 2 <= result["slow"].lower < 6 < result["slow"].upper <= 10
    assert result["fast"] == measure.Latency(1, 1, 1)


def test_latency_runs_on_one_thread_without_gradients_and_restores_the_threads(
    monkeypatch,
):
    threads = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    seen = []

    def variant():
        seen.append((threads[-1], torch.is_grad_enabled()))
        if len(seen) > 3:
            raise ZeroDivisionError

    measure.latency({"one": variant}, rounds=2, warmup=1)
    assert seen == [(1, False)] * 3
    assert threads[-1] == 2
    with pytest.raises(ZeroDivisionError):
        measure.latency({"one": variant}, rounds=2, warmup=1)
    assert threads[-1] == 2


def test_networks_are_compared_image_by_image():
    labels = torch.zeros(100, dtype=torch.long)
    first, second = labels.clone(), labels.clone()
    first[:3], second[1:11] = 1, 1  # 1 image gets right, 8 get wrong, 2 stay wrong
    found = measure.paired(first, second, labels)
    assert (found.to_wrong, found.to_right) == (8, 1)
    assert found.difference == pytest.approx(-7)
    assert found.margin == pytest.approx(196 * ((0.09 - 0.07**2) / 100) ** 0.5)
    assert str(found) == "-7.00 ± 5.72 points"


def test_equal_answers_differ_by_nothing_however_few_the_images():
    same = torch.tensor([0, 1])
    assert str(measure.paired(same, same, same)) == "+0.00 ± 0.00 points"
