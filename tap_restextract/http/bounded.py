"""Bounds of one answer: how long it may take from its first byte to its last, and how large its body may be.

Theory of operation. A socket's timeout bounds the wait for the next byte, so that a server that sends one byte a second
is never late. Each read of an answer's socket, of its head and of its body, passes `_BoundedReader`, which knows when
the first byte came. The bound is the thread's: a connection is made by a pool, which can't hand anything to an answer.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import requests
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError, SSLError

CHUNK_BYTES: Final = 1 << 16
MAX_LENGTH_DIGITS: Final = 20

_here = threading.local()


class TooLargeError(Exception):
    """A body is larger than it may be."""


class TooSlowError(Exception):
    """An answer takes longer, from its first byte on, than it may."""


def bound_answers(max_seconds: float) -> None:
    """Bound the answers that this thread waits for from now on."""
    _here.max_seconds = max_seconds


class _BoundedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, max_seconds: float) -> None:
        self._raw = raw
        self._max_seconds = max_seconds
        self._until: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None and time.monotonic() > self._until:
            raise TooSlowError
        count: int | None = self._raw.readinto(buffer)
        if self._until is None:
            self._until = time.monotonic() + self._max_seconds
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class BoundedResponse(http.client.HTTPResponse):
    """An answer whose reads end once it takes too long.

    Raises:
        TooSlowError: in any read of its head or body.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        max_seconds: float | None = getattr(_here, "max_seconds", None)
        if max_seconds is not None:
            raw: Any = self.fp.detach()  # of the BufferedReader that makefile made
            self.fp = io.BufferedReader(_BoundedReader(raw, max_seconds))


def read_content(response: Any, max_bytes: int) -> bytes:
    """Read a body, of so many bytes at most, as bytes without their encoding.

    Raises:
        TooLargeError: where there are more, as stated or as counted.
        TooSlowError: where it takes too long.
        requests.RequestException: where it ends before its end.
    """
    text = response.headers.get("Content-Length", "")
    stated = int(text[:MAX_LENGTH_DIGITS]) if text.isdecimal() else 0
    if stated > max_bytes:
        raise TooLargeError
    chunks = []
    size = 0
    for chunk in _content_of(response, max(CHUNK_BYTES, stated)):
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


def _content_of(response: Any, chunk_bytes: int) -> Iterable[bytes]:
    """Yield the body in chunks, as bytes without their encoding; one chunk, where its length is stated.

    A length may be stated falsely, or twice, or beside chunks: no read takes more than `chunk_bytes` for that.

    Raises:
        requests.RequestException: where it ends before its end.
    """
    raw = getattr(response, "raw", None)
    if raw is None or "content-length" not in response.headers or "content-encoding" in response.headers:
        yield from response.iter_content(chunk_bytes)
        return
    try:
        while chunk := raw.read(chunk_bytes, decode_content=False):
            yield chunk
            if raw.length_remaining == 0:  # a read that finds nothing costs as much as this one
                return
    except ProtocolError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error
    except (ReadTimeoutError, DecodeError) as error:
        raise requests.exceptions.ConnectionError(error) from error
    except SSLError as error:
        raise requests.exceptions.SSLError(error) from error
