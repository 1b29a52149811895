"""One manifest (name, sha256, bytes, licence, addresses) -> verified local paths.

A file either ships in labcore/data or is downloaded into the cache folder. Every file
is checked against its sha256 before use, whether it is new or was cached.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labcore import runtime
from labcore.files import written
from labcore.runtime import LabError

__all__ = ["Asset", "manifest", "path", "verify_shipped"]

SHIPPED = Path(__file__).parent / "data"
CHUNK = 1 << 20
NO_ROOM = "free some space or set LABCORE_CACHE to another folder"


@dataclass(frozen=True)
class Asset:
    name: str
    sha256: str
    bytes: int
    licence: str
    urls: tuple[str, ...] = ()  # empty: the file ships with labcore

    @property
    def local(self) -> Path:
        return (runtime.cache_folder() if self.urls else SHIPPED) / self.name


def manifest() -> dict[str, Asset]:
    listing = SHIPPED / "manifest.json"
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise LabError(
            f"{listing} is damaged or missing: restore it with "
            "'git checkout -- labcore/data/manifest.json'."
        ) from None
    return {
        name: Asset(name, **{**entry, "urls": tuple(entry.get("urls", ()))})
        for name, entry in entries.items()
    }


def path(name: str) -> Path:
    """The asset's verified local path; downloads the file if it is not there yet."""
    asset = manifest().get(name)
    if asset is None:
        raise LabError(
            f"{name} does not ship with this release: `python -m labcore train` makes "
            "such files."
        )
    if not asset.urls or asset.local.exists():
        _verify(asset)
    else:
        _fetch(asset)
    return asset.local


def verify_shipped() -> list[str]:
    """One sentence for each shipped file that is missing or damaged."""
    problems = []
    for asset in manifest().values():
        if not asset.urls:
            try:
                _verify(asset)
            except LabError as problem:
                problems.append(str(problem))
    return problems


def _verify(asset: Asset) -> None:
    try:
        found = sha256(asset.local)
    except FileNotFoundError:
        found = "no file"
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
    if found != asset.sha256:
        cure = (
            "delete it and run again to download it again"
            if asset.urls
            else f"restore it with 'git checkout -- labcore/data/{asset.name}'"
        )
        raise LabError(
            f"{asset.local} is damaged: expected sha256 {asset.sha256[:12]}..., "
            f"got {found if ' ' in found else found[:12] + '...'}; {cure}."
        )


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class FetchFailed(Exception):
    """One address did not deliver the file; the next one may."""


def _fetch(asset: Asset) -> None:
    """Try each address in turn; a file gets its name only after it was verified."""
    tried = []
    for url in asset.urls:
        try:
            _download(url, asset)
            return
        except FetchFailed as failure:
            tried.append(f"{url} ({failure})")
    raise LabError(
        f"{asset.name} could not be fetched; tried {', '.join(tried)}: put the file at "
        f"{asset.local} by hand, or unset LABCORE_TRACK for the default track, which "
        "needs no download."
    )


def _download(url: str, asset: Asset) -> None:
    digest, size = hashlib.sha256(), 0
    with (
        written(asset.local, NO_ROOM) as file,
        runtime.progress(total=asset.bytes, what=f"fetching {asset.name}") as bar,
    ):
        for chunk in _chunks(url):
            digest.update(chunk)
            size += len(chunk)
            if size > asset.bytes:
                raise FetchFailed(f"sent more than the expected {asset.bytes} bytes")
            file.write(chunk)
            bar.update(len(chunk))
        if digest.hexdigest() != asset.sha256:
            raise FetchFailed(
                f"sent {size} bytes with sha256 {digest.hexdigest()[:12]}..., "
                f"expected {asset.bytes} with {asset.sha256[:12]}..."
            )


def _chunks(url: str) -> Iterator[bytes]:
    if not url.startswith("https://"):
        raise FetchFailed("only https addresses are used")
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            while chunk := answer.read(CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise FetchFailed(getattr(error, "reason", None) or error) from error
