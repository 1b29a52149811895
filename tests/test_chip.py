"""Networks on the emulated board, against PyTorch."""

import os

import pytest
import torch
from torch import nn

pytest.importorskip("ziglang", reason="a part of its own: labcore setup chip")
pytest.importorskip("unicorn", reason="a part of its own: labcore setup chip")

from labcore.chip import counting, cycles  # noqa: E402
from labcore.chip import firmware as builder  # noqa: E402
from labcore.chip.board import Emulator  # noqa: E402
from labcore.chip.box import candidates  # noqa: E402
from labcore.chip.firmware import BOARD, IMAGINARY, Board, build, compiled  # noqa: E402
from labcore.chip.program import STORAGES, export, packed  # noqa: E402
from labcore.measure import paired  # noqa: E402
from labcore.nets import VGG, LeNet  # noqa: E402
from labcore.runtime import LabError  # noqa: E402
from labcore.tracks import workbench  # noqa: E402
from labcore.training import predict  # noqa: E402

SMALL = (3, 4, 1, 5, 6, 2, 7, 3)


def network(channels=SMALL, sparsity=0.0, in_channels=1, seed=0) -> VGG:
    """A VGG with drawn numbers, the BatchNorms' statistics too."""
    torch.manual_seed(seed)
    model = VGG(channels=channels, in_channels=in_channels).eval()
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.3)
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight[torch.rand_like(part.weight) < sparsity] = 0
    return model


def image(size=32, channels=1) -> torch.Tensor:
    return torch.randn(channels, size, size, generator=torch.Generator().manual_seed(1))


def on_board(model, storage, size=32, board=IMAGINARY):
    program = export(model, storage, size)
    emulator = Emulator(build(program, board))
    picture = image(size, model.backbone.conv0.in_channels)
    return emulator.scores(picture), program.scores(picture[None])[0], emulator


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_the_board_computes_what_pytorch_computes(storage, sparsity):
    got, expected, _ = on_board(network(sparsity=sparsity), storage)
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [16, 48])
def test_images_of_other_sizes_and_with_colours(size):
    got, expected, _ = on_board(network(in_channels=3), "float32", size)
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_network_of_zeros_gives_the_last_bias(storage):
    model = network(sparsity=1.0)
    got, _, _ = on_board(model, storage)
    assert torch.allclose(got, model.classifier.bias, atol=1e-3)


def test_folding_and_rounding_change_the_scores_little():
    model = network()
    with torch.no_grad():
        exact = model(image()[None])[0]
    folded = export(model).scores(image()[None])[0]
    rounded = export(model, "float16").scores(image()[None])[0]
    assert torch.allclose(folded, exact, atol=1e-5)
    assert not torch.equal(rounded, folded)
    assert torch.allclose(rounded, exact, atol=1e-2)


def test_zeros_take_no_flash_and_no_time_where_they_are_not_stored():
    model = network(channels=[8] * 8, sparsity=0.9)
    _, _, dense = on_board(model, "float16")
    _, _, sparse = on_board(model, "sparse")
    assert len(sparse.firmware.flash) < len(dense.firmware.flash)
    assert sparse.firmware.ram == dense.firmware.ram, "zeros save no activations"
    picture = image()
    work = {w.name: w.instructions for w in sparse.work(picture)}
    before = {w.name: w.instructions for w in dense.work(picture)}
    assert work["run_conv1"] < before["run_conv1"] / 2


def test_a_mask_that_takes_more_than_it_saves_is_not_stored():
    layers = export(network(sparsity=0.0), "sparse").layers
    assert {layer.stored for layer in layers} == {"float16"}


def test_the_bits_of_a_mask_start_with_a_new_word_for_each_output():
    weight = torch.zeros(2, 33)
    weight[0, 0] = weight[0, 32] = weight[1, 31] = 5
    assert packed(weight)[0].tolist() == [[1, 1], [2**31, 0]]


def test_another_image_takes_nearly_the_same_instructions():
    _, _, emulator = on_board(network(), "float16")
    first, second = (
        sum(work.instructions for work in emulator.work(picture))
        for picture in (image(), -image())
    )
    assert abs(first - second) < 0.01 * first


def test_blocks_are_counted_alike_in_c_and_where_that_c_does_not_compile(monkeypatch):
    _, _, emulator = on_board(network(sparsity=0.7), "sparse")
    assert counting._quick()
    in_c = emulator.work(image())
    monkeypatch.setattr(counting, "LIBRARY", ("cc", "-no-such-option"))
    counting._quick.cache_clear()
    assert counting._quick() is None
    in_python = emulator.work(image())
    counting._quick.cache_clear()
    assert in_python == in_c


def test_every_byte_of_the_memory_has_a_name():
    _, _, emulator = on_board(network(sparsity=0.8), "sparse")
    firmware = emulator.firmware
    parts = firmware.memory_map()
    assert sum(parts["flash"].values()) == len(firmware.flash)
    assert sum(parts["RAM"].values()) == firmware.ram
    assert {"code", "conv0", "conv7", "classifier"} <= set(parts["flash"])
    program = firmware.program
    assert parts["RAM"]["activations"] == 4 * program.arena
    assert parts["RAM"]["one channel"] == 4 * program.plane
    assert 0 < emulator.stack_used() < builder.STACK


@pytest.mark.parametrize("storage", STORAGES)
def test_what_a_program_says_of_its_memory_is_what_the_linker_finds(storage):
    program = export(network(sparsity=0.8), storage)
    linked = build(program, IMAGINARY).memory_map()
    for memory, parts in program.memory_map().items():
        assert parts.items() <= linked[memory].items()


def test_a_call_never_reads_where_it_writes():
    program = export(network())
    buffers = program.buffers()
    for (start, size), (other, length) in zip(buffers, buffers[1:], strict=False):
        assert start + size <= other or other + length <= start
        assert max(start + size, other + length) <= program.arena


def test_a_network_that_is_too_large_is_told_by_how_much():
    program = export(network())
    exact = len(build(program, IMAGINARY).flash), build(program, IMAGINARY).ram
    assert build(program, Board("a small board", *exact))
    for flash, ram, said in (
        (exact[0] - 8, exact[1], f"bytes more flash than the {exact[0] - 8:,}"),
        (exact[0], exact[1] - 8, f"8 bytes more RAM than the {exact[1] - 8:,} there"),
    ):
        with pytest.raises(LabError, match="does not fit a small board") as error:
            build(program, Board("a small board", flash, ram))
        assert said in str(error.value)


def test_the_dense_network_of_the_course_does_not_fit_the_board():
    with pytest.raises(LabError, match=r"more flash than.*and.*more RAM than"):
        build(export(VGG(16, in_channels=1).eval()), BOARD)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: export(LeNet()), "Only a VGG"),
        (lambda: export(network(), "int8"), "There is no storage 'int8'"),
        (lambda: compiled("int f(void) { return x; }"), "line 1: x has no type yet"),
        (
            lambda: compiled("void entry(void) {}"),
            "entry is there already, so rename yours",
        ),
        (lambda: compiled("int g(int); int f(void) { return g(3); }"), "no function g"),
    ],
)
def test_a_mistake_is_one_sentence(make, said):
    with pytest.raises(LabError, match=said):
        make()


@pytest.mark.parametrize("part", ["ziglang", "unicorn"])
def test_a_missing_package_is_named_with_its_command(monkeypatch, part):
    firmware = compiled("")
    found = builder.importlib.util.find_spec
    monkeypatch.setattr(
        builder.importlib.util, "find_spec", lambda n: None if n == part else found(n)
    )
    with pytest.raises(LabError, match="labcore setup chip"):
        compiled("") if part == "ziglang" else Emulator(firmware)


# C of one's own


def test_a_function_of_ones_own_is_called_with_numbers():
    emulator = Emulator(compiled("int less(int a, int b) { return a - b; }"))
    emulator.call("less", 50, 8)
    assert emulator.returned()[0] == 42


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 70])
def test_a_sparse_product_is_right_and_its_work_follows_the_kept_weights(kept):
    n = 71
    generator = torch.Generator().manual_seed(kept)
    weight = torch.zeros(1, n)
    places = torch.randperm(n, generator=generator)[:kept]
    weight[0, places] = torch.randn(kept, generator=generator).half().float()
    x = torch.randn(n, generator=generator)
    emulator = Emulator(compiled(""))
    mask, values = emulator.arena, emulator.arena + 1024
    emulator.write(mask, packed(weight)[0].to(torch.uint32))
    emulator.write(values, weight[weight != 0].half())
    emulator.write(values + 1024, x)
    work = emulator.call("sparse_dot", mask, values, values + 1024, n, count=True)
    got = emulator.returned()[1]
    assert got == pytest.approx((weight[0] @ x).item(), abs=1e-4)
    assert 3 * kept < work.instructions < 20 * kept + 60


def test_a_loop_without_end_is_stopped_after_a_number_of_blocks():
    source = "int f(void) { volatile int on = 1; while (on); return 0; }"
    with pytest.raises(LabError, match="still running after 5,000 basic blocks"):
        Emulator(compiled(source)).call("f", blocks=5_000)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limits")
@pytest.mark.parametrize(
    "size", ["[200000000] = {1}", "[100000000] = {[99999999] = 1}"]
)
def test_c_that_asks_for_much_memory_is_refused(size):
    with pytest.raises(LabError, match="too large"):
        compiled(f"static const int much{size}; int f(int n) {{ return much[n]; }}")


def test_a_wild_pointer_stops_the_board_and_nothing_else():
    emulator = Emulator(
        compiled("int f(int *p) { return *p; } int g(void) {return 7;}")
    )
    with pytest.raises(LabError, match="stopped in f: .* where there is no memory"):
        emulator.call("f", 16)
    emulator.call("g")
    assert emulator.returned()[0] == 7


@pytest.mark.parametrize(
    ("code", "cost"),
    [
        (b"\x08\x68", (1, 2, 2)),  # ldr r0, [r1]
        (b"\x2d\xe9\xf0\x41", (1, 7, 7)),  # push {r4-r8, lr}
        (b"\xa0\xee\x20\x0a", (1, 3, 3)),  # vfma.f32
        (b"\x20\xee\x20\x0a", (1, 1, 1)),  # vmul.f32
        (b"\xd1\xed\x00\x0a", (1, 2, 2)),  # vldr
        (b"\xb0\xfb\xf1\xf0", (1, 2, 12)),  # udiv
        (b"\x00\x20\x01\x30", (2, 2, 2)),  # movs, adds
    ],
)
def test_instructions_cost_what_arms_table_says(code, cost):
    found = cycles.cost_of(code)
    assert (found.instructions, found.fewest, found.most) == cost


# the networks of Lab 11


def fifty_and_the_hardest_fifty(program) -> torch.Tensor:
    """Fifty random images of val, and those with the smallest margins."""
    images = workbench("fashion").images("val")[0]
    best = torch.cat([program.scores(part) for part in images.split(250)]).topk(2)
    hardest = (best.values[:, 0] - best.values[:, 1]).argsort()[:50]
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[torch.cat([drawn[:50], hardest])]


@pytest.mark.parametrize(
    "name",
    [
        "narrow",
        pytest.param("compact", marks=pytest.mark.long),
        pytest.param("compact, 80 % zeros", marks=pytest.mark.long),
    ],
)
def test_the_board_gives_pytorchs_labels_on_a_hundred_images(name):
    program = export(candidates()[name], "sparse")
    board, images = (
        Emulator(build(program, BOARD)),
        fifty_and_the_hardest_fifty(program),
    )
    got = torch.stack([board.scores(picture) for picture in images])
    expected = program.scores(images)
    assert torch.equal(got.argmax(dim=1), expected.argmax(dim=1))
    assert torch.allclose(got, expected, atol=1e-4)
    assert 0 < board.stack_used() < builder.STACK


@pytest.mark.parametrize("name", ["narrow", "compact", "compact, 80 % zeros"])
def test_the_networks_fit_the_board_and_are_near_the_dense_one(name):
    bench, network = workbench("fashion"), candidates()[name]
    build(export(network, "sparse"), BOARD)
    labels = bench.images("val")[1]
    dense, small = (
        predict(model, bench.images("val")[0]).argmax(dim=1)
        for model in (bench.dense(), network)
    )
    assert paired(dense, small, labels).difference > -1


def test_a_network_with_the_dense_shape_overflows_the_ram_and_nothing_else():
    with pytest.raises(LabError) as refused:
        build(export(candidates()["90 % zeros"], "sparse"), BOARD)
    assert "RAM" in str(refused.value) and "flash" not in str(refused.value)
