"""Messages between a check and an answer: JSON and raw bytes over a socket.

Either side counts every byte that it takes in: the answer's side is hostile.
"""

from __future__ import annotations

import json
import socket
import struct
import time

__all__ = ["BadMessage", "Channel", "Closed", "TooLate"]

HEAD = struct.Struct("!4sIQ")  # mark, bytes of JSON, bytes of blobs
MARK = b"lab1"
MOST_JSON, MOST_BLOBS = 8_000_000, 100_000_000


class Closed(Exception):
    """The other side is gone."""


class TooLate(Exception):
    """The deadline passed while waiting for the other side."""


class BadMessage(Exception):
    """What came is none of our messages, or is too large."""


class Channel:
    """One end. Past `deadline`, a time of time.monotonic(), waiting raises TooLate."""

    def __init__(self, end: socket.socket, deadline: float | None = None) -> None:
        self.end, self.deadline = end, deadline

    def send(self, content: object, blobs: list[bytes]) -> None:
        text = json.dumps([content, [len(blob) for blob in blobs]]).encode()
        size = sum(map(len, blobs))
        if len(text) > MOST_JSON or size > MOST_BLOBS:
            raise BadMessage(f"a message of {(len(text) + size) / 1e6:.0f} MB")
        try:
            for part in (HEAD.pack(MARK, len(text), size), text, *blobs):
                self._set_limit()
                self.end.sendall(part)
        except TimeoutError:
            raise TooLate from None
        except OSError:
            raise Closed from None

    def receive(self) -> tuple[object, list[bytearray]]:
        mark, length, size = HEAD.unpack(self._take(HEAD.size))
        if mark != MARK or length > MOST_JSON or size > MOST_BLOBS:
            raise BadMessage("what came is no message, or too large")
        text, blobs = self._take(length), self._take(size)
        try:
            content, lengths = json.loads(text)
            fits = sum(lengths) == size and all(
                type(length) is int and length >= 0 for length in lengths
            )
        except Exception:  # whatever hostile text provokes in the parser
            fits = False
        if not fits:
            raise BadMessage("what came is no message")
        parts, start = [], 0
        for length in lengths:
            parts.append(blobs[start : start + length])
            start += length
        return content, parts

    def _take(self, count: int) -> bytearray:
        taken = bytearray()
        while len(taken) < count:
            self._set_limit()
            try:
                part = self.end.recv(min(count - len(taken), 1 << 20))
            except TimeoutError:
                raise TooLate from None
            except OSError:
                raise Closed from None
            if not part:
                raise Closed
            taken += part
        return taken

    def _set_limit(self) -> None:
        if self.deadline is None:
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooLate
        self.end.settimeout(left)
