"""The language model: its text, its shapes, what it may look at, and its training."""

import hashlib
import io
import math
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from labcore import assets, lm, nets, texts
from labcore.lm import TinyLM, generate, to_bytes
from labcore.runtime import LabError
from labcore.staff import compression, stdlib, tinylm
from labcore.tracks import workbench

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def bench():
    return workbench("tinylm")


@pytest.fixture
def small():
    """An untrained model that is quick, with weights large enough to matter."""
    torch.manual_seed(0)
    model = TinyLM(width=16, blocks=2, head=8, hidden=24).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def library(tmp_path):
    """A folder that looks like a standard library, with 200 different files."""
    rng = np.random.default_rng(0)
    for number in range(200):
        lines = [f"value_{n} = {n}" for n in rng.integers(10**6, size=20)]
        (tmp_path / f"module{number}.py").write_text("\n".join(lines) + "\n")
    (tmp_path / "this.py").write_text("print('zen')\n")
    return tmp_path


# the text


def test_the_splits_share_no_file_and_no_content():
    hashes = {
        split: {hashlib.sha256(text).digest() for text in texts.files(split).values()}
        for split in SPLITS
    }
    names = {split: set(texts.files(split)) for split in SPLITS}
    for one, other in [("train", "val"), ("train", "test"), ("val", "test")]:
        assert not names[one] & names[other]
        assert not hashes[one] & hashes[other]


def test_each_file_is_in_the_split_of_its_name():
    for split in SPLITS:
        assert all(stdlib._split_of(name) == split for name in texts.files(split))


def test_no_file_of_test_is_a_copy_of_training_text():
    known = stdlib._all_runs(texts.files("train"))
    assert not any(stdlib._copies(text, known) for text in texts.files("test").values())


def test_the_splits_are_as_large_as_the_readme_says(bench):
    sizes = {split: len(bench.text(split)) for split in SPLITS}
    assert sizes == {"train": 8_969_561, "val": 465_975, "test": 463_993}
    assert assets.path(texts.TEXT).stat().st_size < 2.2e6


def test_each_file_ends_with_a_zero_byte(bench):
    content = bench.text("val").numpy().tobytes()
    assert content.split(b"\0") == [*texts.files("val").values(), b""]


def test_an_unknown_split_is_named(bench):
    with pytest.raises(LabError, match="no split 'valid': choose 'train', 'val'"):
        bench.text("valid")


def test_tinylm_is_no_track_of_the_environment(monkeypatch):
    monkeypatch.setenv("LABCORE_TRACK", "tinylm")
    with pytest.raises(LabError, match="no track 'tinylm': choose 'fashion'"):
        workbench()


def test_copies_of_training_files_are_left_out_of_val_and_test(library):
    files = stdlib._sources(library)
    parts = stdlib.splits(files)
    assert {name for part in parts.values() for name in part} == set(files)
    original, copy = next(iter(parts["train"])), next(iter(parts["val"]))
    parts = stdlib.splits(files | {copy: files[original] + b"print('end')\n"})
    assert copy not in parts["val"]
    assert original in parts["train"]


def test_packing_skips_tests_and_what_one_machine_wrote(library):
    for name in ("test/test_this.py", "json/tests/a.py", "config-3.11/b.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("pass\n")
    (library / "_sysconfigdata__linux.py").write_text("pass\n")
    (library / "empty.py").write_text("\n")
    assert len(stdlib._sources(library)) == 201
    assert stdlib.packed(library) == stdlib.packed(library)


def test_packing_says_where_a_library_is_expected(tmp_path):
    with pytest.raises(LabError, match="no standard library in"):
        stdlib.packed(tmp_path)


# the model


def test_number_of_parameters():
    model = TinyLM()
    assert sum(p.numel() for p in model.parameters()) == 1_238_656
    kinds = {name.rpartition(".")[2] for name in nets.layers(model)}
    assert kinds == {"q", "k", "v", "o", "gate", "up", "down"}
    assert len(nets.layers(model)) == 42


def test_a_later_byte_changes_no_earlier_prediction(small):
    read = torch.randint(256, (1, 40))
    changed = read.clone()
    changed[0, 20] += 1
    before, after = small(read), small(changed % 256)
    assert before.shape == (1, 40, 256)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_positions_are_relative(small):
    """The second half of a repeated text looks back at the same distances."""
    read = torch.randint(256, (1, 40))
    moved = small(read, start=100)
    torch.testing.assert_close(small(read), moved, rtol=1e-3, atol=1e-3)


def test_the_order_of_bytes_matters(small):
    one, other = small(to_bytes("abc")[None]), small(to_bytes("bac")[None])
    assert not torch.allclose(one[0, -1], other[0, -1], atol=1e-3)


def test_reading_byte_by_byte_gives_the_same_scores(small):
    read, caches = torch.randint(256, (1, 30)), [{} for _ in small.blocks]
    found = [small(read[:, :10], 0, caches)]
    for i in range(10, 30):
        found.append(small(read[:, i : i + 1], i, caches))
    torch.testing.assert_close(torch.cat(found, dim=1), small(read))


def test_heads_can_be_removed(small):
    """Without its first head, attention gives what it gave with that head at zero."""
    attention, x = small.blocks[0].attention, torch.randn(1, 5, 16)
    turns = lm._turns(torch.arange(5), 8)
    with torch.no_grad():
        attention.o.weight[:, :8] = 0
        expected = attention(x, turns)
        for layer in (attention.q, attention.k, attention.v):
            layer.weight = torch.nn.Parameter(layer.weight[8:])
        attention.o.weight = torch.nn.Parameter(attention.o.weight[:, 8:])
        torch.testing.assert_close(attention(x, turns), expected)


def test_generation_is_deterministic_and_draws_by_its_generator(small):
    def written(seed, temperature):
        generator = torch.Generator().manual_seed(seed)
        return generate(small, "def f", 20, temperature, generator)

    assert written(0, 0.0) == written(1, 0.0) == generate(small, "def f", 20)
    assert written(0, 1.0) == written(0, 1.0) != written(1, 1.0)


def test_generation_goes_on_beyond_the_context(small):
    assert generate(small, "x" * 300, 20)
    assert generate(small, "", 5)


# measuring and training


def test_windows_are_random_but_the_same_for_a_seed(bench):
    windows = bench.windows("train", 4, seed=1)
    assert windows.shape == (4, 257)
    assert torch.equal(windows, bench.windows("train", 4, seed=1))
    assert not torch.equal(windows, bench.windows("train", 4, seed=2))


def test_all_windows_score_each_byte_once_but_the_first_and_last(bench):
    text, windows = bench.text("val"), bench.spread("val")
    scored = windows[:, 129:].flatten()
    assert torch.equal(scored, text[129 : 129 + len(scored)].long())
    assert len(text) - len(scored) < 2 * 129


def test_a_model_that_knows_nothing_needs_eight_bits(bench):
    model = TinyLM(width=16, blocks=1, head=8, hidden=8)
    torch.nn.init.zeros_(model.embedding.weight)
    assert bench.bits(model, "val", 4) == pytest.approx(8)


def test_bits_counts_looks_at_test(bench):
    looks = bench.test_looks
    bench.bits(TinyLM(width=8, blocks=1, head=8, hidden=8), "test", 2)
    assert bench.test_looks == looks + 1


def test_training_lowers_the_loss_and_goes_on_where_it_was_stopped(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(texts, "BETWEEN_SAVES", -1)  # save after each step
    text = to_bytes("the cat sat on the mat. " * 50).to(torch.uint8)

    def trained(steps_before_stop, checkpoint):
        torch.manual_seed(0)
        model = TinyLM(width=16, blocks=1, head=8, hidden=24)

        def stop(_):
            stop.done += 1
            if stop.done == steps_before_stop:
                raise KeyboardInterrupt

        stop.done = 0
        options = {"steps": 20, "lr": 0.01, "batch": 2, "checkpoint": checkpoint}
        try:
            return model, texts.train(model, text, after_step=stop, **options)
        except KeyboardInterrupt:
            return trained(None, checkpoint)

    whole, losses = trained(None, None)
    stopped, again = trained(12, tmp_path / "training.pt")
    assert again == losses
    assert losses[-1] < losses[0] - 0.5
    for one, other in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_that_is_interrupted_leaves_the_model_in_eval_mode(small):
    text = to_bytes("the cat sat on the mat. " * 50).to(torch.uint8)
    stop = Mock(side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        texts.train(small, text, steps=1, batch=1, after_step=stop)
    assert not small.training


def test_the_rate_rises_holds_and_falls():
    rate = [texts._rise_and_fall(step, 1000) for step in range(1, 1001)]
    assert rate[0] == 0.01 and rate[99] == rate[749] == 1
    assert rate[874] == pytest.approx(0.504) and rate[999] == pytest.approx(0.004)


def test_the_weights_are_stored_in_half_precision(small):
    content = torch.load(io.BytesIO(tinylm.stored(small)), weights_only=True)
    assert {weight.dtype for weight in content.values()} == {torch.float16}
    again = TinyLM(width=16, blocks=2, head=8, hidden=24)
    again.load_state_dict(content)
    torch.testing.assert_close(again.norm.weight, small.norm.weight, rtol=1e-3, atol=0)


# what it is compared with


def test_ngrams_give_chances_that_add_up_to_one():
    rng = np.random.default_rng(0)
    train = rng.integers(97, 100, 400).astype(np.uint8)
    context = train[:3]
    asked = np.array([[*context, byte] for byte in range(256)], dtype=np.uint8)
    chances = [2 ** -compression.ngram_bits(train, run, 4) for run in asked]
    assert sum(chances) == pytest.approx(1)


def test_ngrams_learn_a_periodic_text():
    text = np.tile(np.arange(7, dtype=np.uint8), 300)
    assert compression.ngram_bits(text, text, 3) < 0.1
    noise = np.random.default_rng(0).integers(256, size=5000).astype(np.uint8)
    assert compression.ngram_bits(noise[:4000], noise[4000:], 3) > math.log2(200)


def test_the_trained_model_ships_and_reads_python(bench):
    model = bench.dense()
    assert 1_000_000 < sum(p.numel() for p in model.parameters()) < 1_500_000
    assert bench.bits(model, "val", 8) < 2


@pytest.mark.long
def test_the_trained_model_beats_what_compressors_and_ngrams_need(bench):
    """labcore/data/README.md: 1.922 by gzip, 1.616 by the best n-grams, 1.341 by xz."""
    found = bench.bits(bench.dense(), "val", None)
    assert found == pytest.approx(1.210, abs=0.005)
