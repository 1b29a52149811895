"""What a byte of val and test costs TinyLM, compressors and n-grams, as a table:

python -m labcore run labcore.staff.compression
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from labcore import runtime
from labcore.tracks import workbench

__all__ = ["ngram_bits", "table"]

ORDERS = range(3, 9)


def table() -> Iterator[tuple[str, float, float]]:
    """Rows of a name and the bits a byte on val and test."""
    bench = workbench("tinylm")
    train, val, test = (bench.text(s).numpy() for s in ("train", "val", "test"))

    def primed(text: np.ndarray) -> float:
        return _packed(_xz, np.concatenate([train, text])) - _packed(_xz, train)

    for name, pack in {
        "gzip -9": partial(gzip.compress, mtime=0),
        "xz -9e": _xz,
    }.items():
        yield name, *(8 * _packed(pack, text) / len(text) for text in (val, test))
    yield "xz -9e after train", *(8 * primed(text) / len(text) for text in (val, test))
    order, best = min(
        ((n, ngram_bits(train, val, n)) for n in ORDERS), key=lambda f: f[1]
    )
    yield f"{order}-grams", best, ngram_bits(train, test, order)
    model = bench.dense()
    yield "TinyLM", *(bench.bits(model, split, None) for split in ("val", "test"))


def _packed(pack: Callable[[bytes], bytes], text: np.ndarray) -> int:
    return len(pack(text.tobytes()))


def _xz(text: bytes) -> bytes:
    return lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)


def ngram_bits(train: np.ndarray, text: np.ndarray, order: int) -> float:
    """Bits a byte of an interpolated Kneser-Ney model that looks back order - 1 bytes.

    A run of n bytes is kept as one number of 8 n bits, its last byte lowest. Counts of
    the longest runs are those of the text; a shorter run counts how many different
    bytes come before it.
    """
    runs, counts = np.unique(_runs(train, order), return_counts=True)
    levels = []
    for length in range(order, 0, -1):
        levels.append((length, runs, counts))
        runs, counts = np.unique(_last(runs, length - 1), return_counts=True)
    asked, chance = _runs(text, order), np.full(len(text) - order + 1, 1 / 256)
    for length, runs, counts in reversed(levels):
        chance = _refined(chance, _last(asked, length), runs, counts)
    return float(-np.log2(chance).mean())


def _runs(text: np.ndarray, length: int) -> np.ndarray:
    """Each run of `length` bytes as one number."""
    numbers = np.zeros(len(text) - length + 1, dtype=np.uint64)
    for i in range(length):
        numbers = numbers << np.uint64(8) | text[i : i + len(numbers)]
    return numbers


def _last(runs: np.ndarray, length: int) -> np.ndarray:
    """The last bytes of each run."""
    return runs & np.uint64((1 << 8 * length) - 1)


def _refined(
    chance: np.ndarray, asked: np.ndarray, runs: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """The chance of each byte that is asked for, given what shorter runs say of it.

    Every count gives up a discount, which is shared out as the shorter runs say.
    """
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    discount = once / (once + 2 * twice) if once else 0.5
    contexts, starts = np.unique(runs >> np.uint64(8), return_index=True)
    totals = np.add.reduceat(counts, starts)
    followers = np.diff(starts, append=len(runs))
    own = _found(asked, runs, counts)
    total = _found(asked >> np.uint64(8), contexts, totals)
    spread = discount * _found(asked >> np.uint64(8), contexts, followers)
    known = np.maximum(total, 1)
    refined = np.maximum(own - discount, 0) / known + spread / known * chance
    return np.where(total > 0, refined, chance)


def _found(asked: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each key that is asked for; 0 where there is no such key."""
    places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[places] == asked, values[places], 0)


if __name__ == "__main__":
    runtime.use_threads()
    print("| | val | test |\n|---|---|---|")
    for name, *found in table():
        print(f"| {name} | {found[0]:.3f} | {found[1]:.3f} |", flush=True)
