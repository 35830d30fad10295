"""The transport between production's client and the simulated API: what `requests` would be, without a socket.

All of the client runs as in production: its requests, retries, decoding, errors. Time it waits passes on the API's
clock.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import requests
from typing_extensions import Self

from proofs.simulate.api import Api, Reply
from tap_restextract.config.streams import StreamSettings
from tap_restextract.http import retrying
from tap_restextract.http.client import Client
from tap_restextract.http.pacing import Pacer
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.values.rows import Reader

FAULTS: Final = ("lost", "reset", "late", "429", "500", "cut", "empty", "html")
LOG: Final = logging.getLogger("simulator")
LOG.disabled = True
Told = Callable[[str], None] | None


class Response:
    """An answer on its way: its body comes in chunks."""

    def __init__(self, url: str, reply: Reply, content: bytes) -> None:
        self.url, self.status_code, self.headers, self._content = url, reply.status, reply.headers, content
        self.received = {name.lower(): value for name, value in reply.headers.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """There is nothing to close."""

    def iter_content(self, _: int) -> Iterator[bytes]:
        """The body's bytes."""
        yield self._content


class Transport:
    """Takes the place of a `requests.Session`; `told` hears of each request and its answer."""

    def __init__(self, api: Api, rng: random.Random, told: Told) -> None:
        self._api, self._rng, self._told = api, rng, told

    def close(self) -> None:
        """There is nothing to close."""

    def _tell(self, path: str, query: dict[str, str], what: str) -> None:
        if self._told is not None:
            self._told(f"{self._api.now} asked {path}?{urlencode(query, safe=':')}: {what}")

    def request(self, _method: str, url: str, params: Any = (), headers: Any = (), **_: Any) -> Response:
        """The API's answer, or what became of it on its way.

        Raises:
            requests.RequestException: where it was lost.
        """
        path = urlsplit(url).path
        query = dict(params) | dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        fault = None
        if self._api.quirks.faults and self._api.busy and self._rng.random() < 0.2:
            fault = self._rng.choice(FAULTS)
        if fault == "reset":
            self._tell(path, query, "the connection was reset")
            raise requests.ConnectionError("Connection reset")
        if fault in {"429", "500"}:
            self._tell(path, query, fault)
            return Response(url, Reply(int(fault), {"Retry-After": "1"}, None), b"{}")
        reply = self._api.answer(path, query, dict(headers).get("If-None-Match"))
        if self._told is not None:
            self._tell(path, query, f"{reply.status} {outlined(reply)}{f' ({fault})' if fault else ''}")
        if fault == "lost":
            raise requests.ConnectionError("RemoteDisconnected")
        if fault == "late":
            raise requests.ReadTimeout
        content = b"" if reply.status == 304 else msgspec.json.encode(reply.body)
        if fault == "cut" and content:
            content = content[: self._rng.randrange(len(content))]
        elif fault in {"empty", "html"}:
            content = b"<html>" if fault == "html" else b""
        return Response(url, reply, content)


class SimulatedClient(Client):
    """Production's client with the simulated transport below it, and the API's clock beside it."""

    transport: Transport

    def __init__(self, settings: StreamSettings, reader: Reader | None) -> None:
        super().__init__(settings, TokenKeeper(), LOG, "simulated", reader=reader)

    def use(self, api: Api, rng: random.Random, told: Told) -> None:
        """From now on ask this API."""
        self.transport = Transport(api, rng, told)
        self._pacer = Pacer(lambda: api.now / 1000, Waits(api, rng).sleep)

    @property
    def _session(self) -> Any:
        return self.transport

    @_session.setter
    def _session(self, _: Any) -> None:
        """Production's own is not wanted."""


class Waits:
    """Takes the place of `time` where retries wait: it is the API's clock that moves."""

    def __init__(self, api: Api, rng: random.Random) -> None:
        self._api, self._rng = api, rng

    def sleep(self, _: float) -> None:
        """Time passes, and meanwhile others write."""
        self._api.now += 1000
        if self._api.busy and self._rng.random() < 0.5:
            self._api.mutate()


@contextmanager
def waiting_on(api: Api, rng: random.Random) -> Iterator[None]:
    """Meanwhile retries in this process wait on this API's clock."""
    waits: Any = retrying
    before, waits.time = waits.time, Waits(api, rng)
    try:
        yield
    finally:
        waits.time = before


def outlined(reply: Reply) -> str:
    """A reply in a line."""
    if not isinstance(reply.body, dict) or "data" not in reply.body:
        return ""
    data = reply.body["data"]
    listed = [data] if isinstance(data, dict) else data
    records = " ".join(f"{record['id']}@{record['updated_at']}#{record['rev']}" for record in listed)
    rest = {key: value for key, value in reply.body.items() if key != "data"}
    return f"[{records}] {rest or ''} {reply.headers.get('Date', '')[17:25]}"
