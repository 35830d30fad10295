"""A real HTTP server for one test: it answers what a function says, and remembers what it was asked."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The body of a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Reply:
    """An answer: anything but bytes is sent as JSON. `cut` bytes of the promised body never come."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    delay: float = 0.0
    gzipped: bool = False


Answers = Callable[[Asked], Reply]


class Api(ThreadingHTTPServer):
    """A server on a free loopback port."""

    daemon_threads = True

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    """Reads a request whole, asks the test's function, and writes its reply."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Api

    def do_GET(self) -> None:
        """Answer what the test's function says."""
        self._answer()

    def do_POST(self) -> None:
        """Likewise."""
        self._answer()

    def _answer(self) -> None:
        split = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, split.path, dict(parse_qsl(split.query)), headers, body)
        self.server.asked.append(asked)
        reply = self.server.answers(asked)
        time.sleep(reply.delay)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        content = gzip.compress(content) if reply.gzipped else content
        self.send_response(reply.status)
        given = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if reply.gzipped else {})
        for name, value in (given | dict(reply.headers)).items():
            self.send_header(name, value)
        if reply.status not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - reply.cut])
        self.close_connection = bool(reply.cut)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        """Quietly."""


@contextmanager
def serving(answers: Answers) -> Iterator[Api]:
    """The server, while the block runs."""
    with Api(answers) as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()


def scripted(*replies: Reply) -> Answers:
    """The replies in turn, the last one for ever."""
    left = list(replies)
    lock = threading.Lock()

    def answers(_: Asked) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answers
