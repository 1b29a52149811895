"""Files are replaced in one step, or stay as they were."""

import errno
import io
import os
from pathlib import Path

import pytest

from labcore.files import write_bytes, written
from labcore.runtime import LabError


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"old")
    return path


def test_a_file_is_replaced_and_its_folder_made(target, tmp_path):
    for path in (target, tmp_path / "new" / "folder" / "net.pt"):
        write_bytes(path, b"new")
        assert path.read_bytes() == b"new"
        assert [file for file in path.parent.iterdir() if file.is_file()] == [path]


def test_an_old_file_stays_until_the_new_one_is_whole(target, tmp_path):
    with pytest.raises(ZeroDivisionError), written(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_file_keeps_its_mode_also_while_it_is_written(target, tmp_path):
    target.chmod(0o600)
    with written(target) as file:
        file.write(b"new")
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert target.read_bytes() == b"new" and target.stat().st_mode & 0o777 == 0o600


class FullAtOnce(io.BytesIO):
    """A file on a disk with no space left."""

    def write(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")


class FullAtTheEnd(io.BytesIO):
    """The same, where the system notices only as it empties its buffers."""

    def close(self):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full", [FullAtOnce, FullAtTheEnd])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(
    target, tmp_path, monkeypatch, full
):
    really_open = Path.open

    def opened(self, mode="r", *args, **kwargs):
        file = really_open(self, mode, *args, **kwargs)
        if "x" not in mode:
            return file
        file.close()
        return full()

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(LabError) as raised:
        write_bytes(target, b"new", "buy a disk")
    reason = "cannot be written (No space left on device): buy a disk."
    assert str(raised.value) == f"{target} {reason}"
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_of_that_name_or_a_file_in_its_way_is_one_sentence(target, tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", target / "net.pt"):
        with pytest.raises(LabError, match="net.pt|folder.* cannot be written"):
            write_bytes(path, b"new")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "net.pt"]
