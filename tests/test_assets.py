"""Assets: nothing is handed out unverified, and every mishap is one sentence."""

import errno
import hashlib
import http.client
import io
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from labcore import assets, runtime
from labcore.runtime import LabError

CONTENT = bytes(range(256)) * 10_000  # a chunk and a half
FIRST, SECOND = "https://first.example/net.pt", "https://second.example/net.pt"


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """A data folder with one shipped file and one that has to be fetched."""
    monkeypatch.setattr(assets, "SHIPPED", tmp_path)
    entry = {
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "licence": "MIT",
    }
    entries = {"data.npz": entry, "net.pt": entry | {"urls": [FIRST, SECOND]}}
    (tmp_path / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    (tmp_path / "data.npz").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def serve(monkeypatch, shipped):
    """Play the network: address -> bytes or exception; returns the calls made."""

    def play(answers) -> list[str]:
        calls = []

        def urlopen(url, timeout):
            assert timeout <= 60, "a silent server must not hold a student for ever"
            calls.append(url)
            answer = answers.get(url, urllib.error.URLError("no route to host"))
            if isinstance(answer, Exception):
                raise answer
            return answer if hasattr(answer, "read") else io.BytesIO(answer)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return calls

    return play


def mistake(name: str = "net.pt") -> str:
    with pytest.raises(LabError) as raised:
        assets.path(name)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")
    return str(raised.value)


def cached() -> list[str]:
    return sorted(path.name for path in runtime.cache_folder().iterdir())


def test_a_shipped_file_is_verified_and_needs_no_network_and_no_cache(
    serve, shipped, monkeypatch
):
    calls = serve({})
    monkeypatch.setenv("LABCORE_CACHE", str(shipped / "data.npz"))
    assert assets.path("data.npz") == shipped / "data.npz"
    assert calls == []


@pytest.mark.parametrize("damage", ["changed", "cut", "absent", "folder"])
def test_a_damaged_shipped_file_is_one_sentence(shipped, damage):
    file = shipped / "data.npz"
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "absent":
        content = CONTENT[:-1] if damage == "cut" else b"x" + CONTENT[1:]
        file.write_bytes(content)
    text = mistake("data.npz")
    assert str(file) in text
    assert "git checkout -- labcore/data/data.npz" in text
    assert assets.verify_shipped() == [text]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"])
def test_a_damaged_manifest_is_one_sentence(shipped, content):
    file = shipped / "manifest.json"
    file.unlink() if content is None else file.write_bytes(content)
    assert "git checkout -- labcore/data/manifest.json" in mistake("data.npz")


def test_sound_shipped_files_leave_nothing_to_say(shipped):
    assert assets.verify_shipped() == []


def test_a_download_is_verified_kept_and_not_repeated(serve):
    calls = serve({FIRST: CONTENT})
    first, second = assets.path("net.pt"), assets.path("net.pt")
    assert first == second == runtime.cache_folder() / "net.pt"
    assert first.read_bytes() == CONTENT
    assert calls == [FIRST]
    assert cached() == ["net.pt"]


def test_the_second_address_helps_out(serve):
    calls = serve({FIRST: b"an error page", SECOND: CONTENT})
    assert assets.path("net.pt").read_bytes() == CONTENT
    assert calls == [FIRST, SECOND]


class Interrupted(io.BytesIO):
    """A connection that ends, or falls silent, after the first chunk."""

    def __init__(self, error: Exception) -> None:
        super().__init__(CONTENT)
        self.error = error

    def read(self, size):
        if self.tell():
            raise self.error
        return super().read(size)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (urllib.error.URLError("Name or service not known"), "Name or service"),
        (urllib.error.HTTPError(FIRST, 404, "Not Found", None, None), "Not Found"),
        (TimeoutError("timed out"), "timed out"),
        (Interrupted(TimeoutError("the read timed out")), "the read timed out"),
        (Interrupted(http.client.IncompleteRead(b"", 9)), "IncompleteRead"),
        (Interrupted(ConnectionResetError(104, "reset by peer")), "reset by peer"),
        (CONTENT[:-1], "sha256"),
        (b"x" + CONTENT[1:], "sha256"),
        (b"", "sha256"),
        (CONTENT + b"x", "more than the expected 2560000 bytes"),
    ],
)
def test_a_failed_download_says_what_was_tried_and_what_to_do(serve, answer, said):
    serve({FIRST: answer})
    text = mistake()
    assert f"{FIRST} (" in text and f"{SECOND} (" in text
    assert said in text
    assert f"put the file at {runtime.cache_folder() / 'net.pt'} by hand" in text
    assert "default track" in text
    assert cached() == []


def test_a_file_put_there_by_hand_is_taken(serve):
    calls = serve({})
    (runtime.cache_folder() / "net.pt").write_bytes(CONTENT)
    assert assets.path("net.pt").read_bytes() == CONTENT
    assert calls == []


def test_a_download_without_end_is_cut(serve):
    class Endless(io.BytesIO):
        chunks = 0

        def read(self, size):
            self.chunks += 1
            return bytes(size)

    endless = Endless()
    serve({FIRST: endless})
    assert "more than the expected" in mistake()
    assert endless.chunks < 5
    assert cached() == []


def test_plain_http_is_never_used(serve, shipped):
    manifest = shipped / "manifest.json"
    plain = manifest.read_text(encoding="utf-8").replace("https:", "http:")
    manifest.write_text(plain, encoding="utf-8")
    calls = serve({})
    assert "only https" in mistake()
    assert calls == []


def test_a_damaged_cached_file_is_found_before_use(serve):
    calls = serve({FIRST: CONTENT})
    file = assets.path("net.pt")
    file.write_bytes(CONTENT[:1000])
    text = mistake()
    assert f"{file} is damaged" in text
    assert "delete it and run again" in text
    assert calls == [FIRST]


def test_a_file_in_place_of_the_cache_folder_is_one_sentence(
    serve, monkeypatch, tmp_path
):
    calls = serve({FIRST: CONTENT})
    monkeypatch.setenv("LABCORE_CACHE", str(tmp_path / "manifest.json"))
    assert "set LABCORE_CACHE to a folder of your own" in mistake()
    assert calls == []


def test_a_full_disk_asks_no_second_address_and_leaves_nothing(serve, monkeypatch):
    calls = serve({FIRST: CONTENT})

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    text = mistake()
    assert "cannot be written (No space left on device)" in text
    assert "free some space or set LABCORE_CACHE" in text
    assert calls == [FIRST] and cached() == []


def test_ctrl_c_leaves_no_half_written_file(serve):
    serve({FIRST: Interrupted(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        assets.path("net.pt")
    assert cached() == []


def test_two_that_fetch_the_same_asset_at_once_do_no_harm(serve):
    """Both are held in the middle of the download until the other is there too."""
    meeting = threading.Barrier(2, timeout=30)

    class Slow(io.BytesIO):
        def read(self, size):
            if self.tell():
                meeting.wait()
            return super().read(size)

    class Fresh(dict):
        def get(self, url, default):
            return Slow(CONTENT)

    serve(Fresh())
    got = []
    both = [
        threading.Thread(target=lambda: got.append(assets.path("net.pt")))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(got) == 2
    assert got[0].read_bytes() == CONTENT
    assert cached() == ["net.pt"]


def test_the_real_manifest_is_complete_and_its_files_sound():
    listed = assets.manifest()
    assert {"fashion.npz", "fashion-vgg16.pt", "vgg.cifar.pretrained.pth"} <= set(
        listed
    )
    for asset in listed.values():
        assert len(asset.sha256) == 64 and asset.bytes > 0 and asset.licence
        assert all(url.startswith("https://") for url in asset.urls)
        if not asset.urls:
            assert asset.local.stat().st_size == asset.bytes
    assert assets.verify_shipped() == []
