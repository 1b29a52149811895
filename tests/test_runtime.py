"""What the machine offers and what the environment asks for."""

import io
import random
import urllib.request

import pytest
import torch

from labcore import runtime
from labcore.runtime import LabError


def test_tests_are_strict_and_have_no_network():
    assert runtime.strict()
    with pytest.raises(OSError):
        urllib.request.urlopen("https://example.org", timeout=1)


@pytest.mark.parametrize(
    ("variable", "read", "default", "value", "then"),
    [
        ("TRACK", runtime.track_name, "fashion", "cifar10", "cifar10"),
        ("STRICT", runtime.strict, False, "1", True),
        ("CHECK_SEED", runtime.check_seed, 0, "7", 7),
        ("THREADS", runtime.use_threads, runtime.cpu_count(), "1", 1),
        ("DEVICE", lambda: runtime.device().type, "cpu", "cpu", "cpu"),
        ("PRECISION", runtime.precision, "fp32", "bf16", "bf16"),
    ],
)
def test_a_variable_is_read_again_at_each_call(
    monkeypatch, variable, read, default, value, then
):
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: False)
    monkeypatch.delenv(f"LABCORE_{variable}", raising=False)
    assert read() == default
    monkeypatch.setenv(f"LABCORE_{variable}", value)
    assert read() == then
    monkeypatch.setenv(f"LABCORE_{variable}", " ")  # empty counts as unset
    assert read() == default


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("STRICT", "yes", runtime.strict),
        ("CHECK_SEED", "-1", runtime.check_seed),
        ("CHECK_SEED", "two", runtime.check_seed),
        ("CHECK_SEED", "9" * 30, runtime.check_seed),
        ("THREADS", "0", runtime.use_threads),
        ("THREADS", "many", runtime.use_threads),
        ("THREADS", "9" * 30, runtime.use_threads),
        ("DEVICE", "tpu", runtime.device),
        ("PRECISION", "fp16", runtime.precision),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch, variable, value, read
):
    monkeypatch.setenv(f"LABCORE_{variable}", value)
    with pytest.raises(LabError) as mistake:
        read()
    assert f"LABCORE_{variable}" in str(mistake.value)
    assert repr(value) in str(mistake.value)
    assert "must be" in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_the_cache_folder_is_created_and_re_read(monkeypatch, tmp_path):
    for name in ("one", "two"):
        monkeypatch.setenv("LABCORE_CACHE", str(tmp_path / name / "deep"))
        assert runtime.cache_folder() == tmp_path / name / "deep"
        assert runtime.cache_folder().is_dir()


def test_without_a_setting_the_cache_is_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LABCORE_CACHE")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    assert runtime.cache_folder() == tmp_path / ".cache" / "pruning-lab"


def test_a_file_in_place_of_the_cache_folder_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "cache").touch()
    for folder in (tmp_path / "cache", tmp_path / "cache" / "below"):
        monkeypatch.setenv("LABCORE_CACHE", str(folder))
        with pytest.raises(LabError, match="cannot be read and written: set LABCORE_"):
            runtime.cache_folder()


def test_a_cache_folder_without_permission_is_one_sentence(monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(LabError, match="LABCORE_CACHE"):
        runtime.cache_folder()


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [("fpu avx512_bf16", "bf16"), ("amx_bf16 fpu", "bf16"), ("fpu avx512f", "fp32")],
)
def test_bfloat16_is_chosen_only_where_the_cpu_has_it(monkeypatch, flags, chosen):
    listing = f"processor : 0\nflags\t\t: {flags}\n"
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(listing))
    assert runtime.precision() == chosen


def test_without_a_list_of_cpu_flags_float32_is_chosen(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", absent)
    assert runtime.precision() == "fp32"


@pytest.mark.parametrize(
    ("asked", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_autocast_computes_in_the_precision(monkeypatch, asked, dtype):
    monkeypatch.setenv("LABCORE_PRECISION", asked)
    with runtime.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_cuda_is_the_default_on_cifar10_only_and_given_up_where_there_is_none(
    monkeypatch,
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert runtime.device().type == "cpu"
    monkeypatch.setenv("LABCORE_TRACK", "cifar10")
    assert runtime.device().type == "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert runtime.device().type == "cpu"


def test_a_seed_repeats_torch_and_python():
    def drawn():
        runtime.seed_everything(3)
        return torch.rand(3).tolist(), random.random()

    assert drawn() == drawn()


def test_a_bar_is_made_after_two_seconds_of_work_only(monkeypatch):
    now, made = [0.0], []

    class Bar:
        def __init__(self, **options):
            made.append(options)

        def update(self, count):
            made.append(count)

        def close(self):
            made.append("closed")

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for now[0] in runtime.progress([0.5, 1.0, 1.9]):
        pass
    assert made == []
    now[0] = 0.0
    with pytest.raises(ValueError), runtime.progress(total=9, what="work") as bar:
        for now[0] in (1.0, 2.5, 3.0):
            bar.update(3)
        raise ValueError
    expected = {"total": 9, "desc": "work", "leave": False, "initial": 6}
    assert made == [expected, 3, "closed"]


def test_progress_hands_on_the_items():
    assert list(runtime.progress([1, 2, 3], what="counting")) == [1, 2, 3]


def test_a_user_mistake_is_shown_as_its_sentence():
    assert LabError("one sentence")._render_traceback_() == ["one sentence"]


def test_a_loop_left_by_an_exception_shows_no_bar_of_its_own(monkeypatch):
    """tqdm's own notebook loop displays a bar then, and an error with it."""
    notebook = pytest.importorskip("tqdm.notebook")
    shown = []
    monkeypatch.setattr("tqdm.auto.tqdm", notebook.tqdm)
    monkeypatch.setattr(notebook, "display", shown.append)
    with pytest.raises(ZeroDivisionError):
        for item in runtime.progress(range(3)):
            item / 0
    assert list(runtime.progress(iter("abc"))) == ["a", "b", "c"]
    assert shown == []
