"""Every pytest run is strict and offline, in this process and in the kernels it starts.

The settings go into the environment, because nbval's kernels inherit only that.
"""

import os
import socket
import warnings

import matplotlib
import pytest
from nbval.plugin import IPyNbCell

from labcore.runtime import cpu_count, let_threads_sleep


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, as many tests wait; a notebook's kernel takes a gigabyte."""
    return min(cpu_count() + 1, 4)


EARLY = ("test_grading_corpus.py", "test_grading_batch.py", "test_submit.py")


@pytest.hookimpl(tryfirst=True)  # before the choice by `-m`
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a minute comes first; a notebook's cell tagged `long` is long."""
    items.sort(
        key=lambda item: item.path.suffix == ".py" and item.path.name not in EARLY
    )
    for item in items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = 60  # seconds; a busy machine needs more than 5
            if "long" in item.cell.metadata.get("tags", ()):
                item.add_marker("long")


# One of several workers: its share of the cores, for its kernels too.
COUNT = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
THREADS = str(max(1, cpu_count() // COUNT))
os.environ["OMP_NUM_THREADS"] = os.environ["LABCORE_THREADS"] = THREADS

NOBODY = "http://127.0.0.1:9"  # the discard port: a download ends at once, refused

os.environ["LABCORE_STRICT"] = "1"
os.environ.update(
    {"http_proxy": NOBODY, "https_proxy": NOBODY, "no_proxy": "127.0.0.1"}
)
let_threads_sleep()
if "MPLBACKEND" not in os.environ:
    matplotlib.use("agg")  # here only: kernels draw into their notebooks

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")
SETTINGS = ("TRACK", "CHECK_SEED", "DEVICE", "PRECISION")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path_factory):
    """No LABCORE_* setting of the user's shell; a cache folder of the test's own."""
    monkeypatch.setenv("LABCORE_THREADS", THREADS)
    for name in SETTINGS:
        monkeypatch.delenv(f"LABCORE_{name}", raising=False)
    monkeypatch.setenv("LABCORE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Names are not looked up and nothing but this machine is connected to."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def local_connect(self, address):
        if isinstance(address, tuple) and address[0] not in LOCAL:
            raise OSError(f"tests have no network: {address[0]}")
        return connect(self, address)

    def local_look_up(host, *args, **kwargs):
        if host is not None and host not in LOCAL:
            raise OSError(f"tests have no network: {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", local_connect)
    monkeypatch.setattr(socket, "getaddrinfo", local_look_up)


@pytest.fixture
def nothing_is_shown(monkeypatch):
    """For tests of figures: they are returned, without a warning, and closed here."""
    from matplotlib import pyplot

    def show(*_, **__):
        raise AssertionError("figures are returned, never shown")

    monkeypatch.setattr(pyplot, "show", show)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    pyplot.close("all")
