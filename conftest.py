"""Every pytest run is strict and offline, in this process and in the kernels it starts.

The settings go into the environment, because nbval's kernels inherit only that.
"""

import os
import socket
import warnings

import matplotlib
import pytest

from labcore.runtime import let_threads_sleep


def keep_to_own_cores() -> None:
    """One of several pytest workers: its share of the cores, its kernels' too."""
    number, count = (
        os.environ.get(f"PYTEST_XDIST_WORKER{name}") for name in ("", "_COUNT")
    )
    if number and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[int(number.removeprefix("gw")) :: int(count)]
        os.sched_setaffinity(0, own or cores)


keep_to_own_cores()

NOBODY = "http://127.0.0.1:9"  # the discard port: a download ends at once, refused

os.environ["LABCORE_STRICT"] = "1"
os.environ.update(
    {"http_proxy": NOBODY, "https_proxy": NOBODY, "no_proxy": "127.0.0.1"}
)
let_threads_sleep()
if "MPLBACKEND" not in os.environ:
    matplotlib.use("agg")  # here only: kernels draw into their notebooks

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")
SETTINGS = ("TRACK", "CHECK_SEED", "THREADS", "DEVICE", "PRECISION")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path_factory):
    """No LABCORE_* setting of the user's shell; a cache folder of the test's own."""
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
