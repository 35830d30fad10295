"""Bounds of one answer: one that drips ends, and one that states a false length is never read beyond the largest."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from tap_restextract.errors import ApiError
from tap_restextract.http.bounded import bound_answers
from tap_restextract.http.client import Client
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.walks.steps import PageRequest
from tests.support.api import Reply, scripted, serving
from tests.support.streams import stream

pytestmark = pytest.mark.in_process

LOG = logging.getLogger("test")
DRIP_SECONDS = 0.02
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MEGABYTE = 1 << 20


class Talker:
    """A server that sends the same bytes to each connection, then goes on with others for as long as they are taken."""

    def __init__(self, first: bytes, then: bytes, wait: float) -> None:
        self.first, self.then, self.wait = first, then, wait
        self.connections = 0
        self.sent = 0
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(self.first)
                    while not self._over.wait(self.wait):
                        connection.sendall(self.then)
                        self.sent += len(self.then)


@contextmanager
def talking(first: bytes, then: bytes, wait: float = DRIP_SECONDS) -> Iterator[Talker]:
    talker = Talker(first, then, wait)
    with closing(talker):
        yield talker


def refused(url: str, **keys: Any) -> str:
    """The message of the error that the answer leads to."""
    with closing(Client(stream(base_url=url, **keys), TokenKeeper(), LOG, "0")) as client:
        with pytest.raises(ApiError) as caught:
            client.page(PageRequest())
        return str(caught.value)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (HEAD + b"Content-Length: 100000\r\n\r\n[", b" "),
        (HEAD + b"\r\n[", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"[" + b" " * 999)[:20], b"\x00"),
        (HEAD + b"X-Endless: ", b"x"),
        (HEAD, b"X: y\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["of a stated length", "until the end", "in chunks", "packed", "in a header", "in headers", "going on"],
)
def test_an_answer_that_drips_ends_with_an_error_after_one_request(first: bytes, then: bytes) -> None:
    with talking(first, then) as server:
        message = refused(server.url, max_response_seconds=0.2, timeout=30)
        assert "stream things: GET http://127.0.0.1:" in message
        assert (
            "/things: its answer took longer than max_response_seconds (0.2 s) from its first byte on; ask for "
            in message
        )
        assert server.connections == 1


def test_a_post_and_a_token_endpoint_that_drip_end_as_well() -> None:
    with talking(HEAD + b"Content-Length: 9999\r\n\r\n", b" ") as server:
        assert "POST http://127.0.0.1" in refused(server.url, method="POST", json={"a": 1}, max_response_seconds=0.2)
        bound_answers(600)  # what this thread waited for before
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{server.url}/token"}
        message = refused(
            server.url, auth=auth, auth_client_id="i", auth_client_secret="s3cret", max_response_seconds=0.2
        )
        assert "the token endpoint POST" in message
        assert "longer than max_response_seconds (0.2 s)" in message
        assert "s3cret" not in message


def test_the_wait_for_the_first_byte_is_the_timeouts_matter() -> None:
    with serving(scripted(Reply([{"id": 1}], delay=0.5))) as api:
        settings = stream(base_url=api.url, max_response_seconds=0.1)
        with closing(Client(settings, TokenKeeper(), LOG, "0")) as client:
            for _ in range(2):
                assert len(client.page(PageRequest()).records) == 1


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 629145600\r\nContent-Length: 629145600\r\n",
        b"Content-Length: +629145600\r\n",
        b"Content-Length: abc\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"",
    ],
)
def test_no_length_that_is_stated_makes_the_tap_read_beyond_the_largest_answer(length: bytes) -> None:
    chunked = b"chunked" in length
    space = b" " * MEGABYTE
    then = b"%x\r\n%s\r\n" % (len(space), space) if chunked else space
    with talking(HEAD + length + b"\r\n", then, wait=0) as server:
        message = refused(server.url, max_response_bytes=10 * MEGABYTE)
        assert f"larger than max_response_bytes ({10 * MEGABYTE})" in message
        assert server.sent < 40 * MEGABYTE  # what the sockets hold is sent, too
        assert server.connections == 1


def test_a_token_endpoint_that_answers_without_end_is_told() -> None:
    with talking(HEAD + b"\r\n", b" " * MEGABYTE, wait=0) as server:
        bound_answers(600)  # what this thread waited for before
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{server.url}/token"}
        message = refused(
            server.url, auth=auth, auth_client_id="i", auth_client_secret="s", max_response_bytes=MEGABYTE
        )
        assert "its answer is too large for one with a token; check auth.access_token_url" in message
        assert server.sent < 40 * MEGABYTE
