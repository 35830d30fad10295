"""The receiver: an ASGI service that verifies, stores durably, and answers 2xx; only then.

What a request says is never written back, and no body, header or secret is logged: a refused request is a word in a
counter. The order of checks is that of their cost: rate, size, signature, content, and the disk last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as Address
from starlette.types import ASGIApp, Receive, Scope, Send

from tap_restextract.config.webhooks import ReceiverSettings, Source, Webhooks
from tap_restextract.exchange import rates
from tap_restextract.plan.plan import Plan
from tap_restextract.webhooks.bodies import content_of
from tap_restextract.webhooks.committer import Committer
from tap_restextract.webhooks.handshakes import Reply, reply_to_address, reply_to_body, slacks_reply
from tap_restextract.webhooks.notifications import channels_of, notifications
from tap_restextract.webhooks.queues.protocol import Queue
from tap_restextract.webhooks.signatures import Refusal, Request, keys_of, verify

MAX_TRACKED_ADDRESSES: Final = 10_000
SUMMARY_SECONDS: Final = 60.0
RETRY_SECONDS: Final = b"1"
ANSWERS: Final = {
    200: b"ok\n",
    400: b"not JSON\n",
    401: b"not signed as agreed\n",
    405: b"not this method\n",
    408: b"too slow\n",
    413: b"too large\n",
    422: b"not what was agreed\n",
    429: b"too many\n",
    503: b"try again\n",
}


class Receiver:
    """What all endpoints share: counters, and the committer while the service runs."""

    def __init__(
        self, settings: ReceiverSettings, webhooks: Webhooks, plans: Mapping[str, Plan], log: logging.Logger
    ) -> None:
        self.webhooks = webhooks
        self.log = log
        self.counts: Counter[tuple[str, str]] = Counter()
        self.committer: Committer | None = None
        self.endpoints = [Endpoint(self, source, settings, plans) for source in webhooks.sources]

    async def health(self, request: HttpRequest) -> Response:
        """Answer that the process runs."""
        del request
        return PlainTextResponse("ok\n")

    async def ready(self, request: HttpRequest) -> Response:
        """Answer whether notifications can be stored now."""
        del request
        committer = self.committer
        if committer is None or not committer.ready or committer.is_full:
            return PlainTextResponse("not now\n", 503)
        return PlainTextResponse("ok\n")

    def summary(self) -> str:
        """Return what was counted, in one line."""
        return ", ".join(f"{source} {reason} {count}" for (source, reason), count in sorted(self.counts.items()))


class Endpoint:
    """Where one source posts to: an ASGI application."""

    def __init__(
        self, receiver: Receiver, source: Source, settings: ReceiverSettings, plans: Mapping[str, Plan]
    ) -> None:
        self.source = source
        self._receiver = receiver
        self._counts = receiver.counts
        self._keys = keys_of(source.signature, settings.secrets[source.name])
        self._token = settings.tokens.get(source.name, "")
        self._channels = channels_of(source, plans)
        self._max_bytes = receiver.webhooks.max_body_bytes
        self._seconds = receiver.webhooks.body_timeout
        self._spacing = rates.spacing_of(source.rate_limit)
        self._due: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            self._check_rate(scope)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            request = Request(headers, scope["method"], _address(scope))
            reply = self._reply_to_address(request)
            if reply is None:
                reply = await self._take(request, await self._body(scope, receive))
            await _send_reply(send, reply)
        except Refusal as refusal:
            self._count(refusal.reason)
            if refusal.status:
                await _answer(send, refusal.status)

    def _reply_to_address(self, request: Request) -> Reply | None:
        """Answer a handshake without a body; None for a notification."""
        handshake = self.source.handshake
        reply = None if handshake is None else reply_to_address(handshake, request, self._token, self._keys)
        if reply is not None:
            self._count("challenge")
        elif request.method != "POST":  # of a handshake that is asked for otherwise
            raise Refusal("method", 405)
        return reply

    async def _take(self, request: Request, body: bytes) -> Reply:
        """Store what a request reports, and say so."""
        verify(self.source.signature, self._keys, request, body, time.time())
        content = content_of(request.headers, body, self._max_bytes, self.source.form_field)
        handshake = self.source.handshake
        reply = slacks_reply(self.source.signature, content.value)
        if reply is None and handshake is not None:
            reply = reply_to_body(handshake, content.value, self._keys)
        if reply is not None:
            self._count("challenge")
            return reply
        received = notifications(self.source, self._channels, request.headers, content)
        if received:
            assert self._receiver.committer is not None
            await self._receiver.committer.store(received)
        self._count("stored" if received else "ignored")
        return Reply(ANSWERS[200])

    def _count(self, reason: str) -> None:
        self._counts[self.source.name, reason] += 1

    def _check_rate(self, scope: Scope) -> None:
        """Let each address have its share, with a second's worth saved up."""
        if not self._spacing:
            return
        address = (scope.get("client") or ("", 0))[0]
        now = time.monotonic()
        due = max(self._due.pop(address, 0.0), now - max(1.0, self._spacing)) + self._spacing
        if due > now:
            self._due[address] = due - self._spacing
            raise Refusal("too_many", 429)
        self._due[address] = due
        if len(self._due) > MAX_TRACKED_ADDRESSES:
            self._due.popitem(last=False)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the whole body, never more of it into memory than allowed."""
        stated_bytes = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(stated_bytes) > self._max_bytes:  # the server has checked that it is a number
            raise Refusal("too_large", 413)
        body, more = b"", True
        with Deadline(self._seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal("truncated", 0)
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > self._max_bytes:
                    raise Refusal("too_large", 413)
        return body


class Deadline:
    """A block that must end in time; far cheaper than `asyncio.wait_for`, which makes a task of its own."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = task.get_loop().call_later(self._seconds, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._expired and kind is asyncio.CancelledError:
            if sys.version_info >= (3, 11):
                self._task.uncancel()
            raise Refusal("too_slow", 408) from None

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


def _address(scope: Scope) -> str:
    """Return the path and the query as they came."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


async def _send_reply(send: Send, reply: Reply) -> None:
    kind = b"application/json" if reply.is_json else b"text/plain; charset=utf-8"
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    headers += [(b"content-type", kind), (b"content-length", str(len(reply.body)).encode())]
    headers.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _answer(send: Send, status: int) -> None:
    content = ANSWERS[status]
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(content)).encode())]
    if status in {429, 503}:
        headers.append((b"retry-after", RETRY_SECONDS))
    if status in {408, 413}:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def application(receiver: Receiver, open_queue: Callable[[], Queue]) -> ASGIApp:
    """Return the service; it opens the queue when it starts, and stores what waits before it ends."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        webhooks = receiver.webhooks
        committer = receiver.committer = Committer(open_queue, webhooks.max_pending, webhooks.max_queued, receiver.log)
        committer.start()
        summaries = asyncio.create_task(_log_summaries(receiver))
        try:
            yield
        finally:
            summaries.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await summaries
            await asyncio.to_thread(committer.close)
            receiver.log.info("received: %s", receiver.summary() or "nothing")

    addresses = [Address("/health", receiver.health), Address("/ready", receiver.ready)]
    if (exposition := metrics(receiver)) is not None:
        addresses.append(Address("/metrics", exposition))
    endpoints = {each.source.address.rstrip("/"): each for each in receiver.endpoints}
    rest = Starlette(routes=addresses, lifespan=lifespan)
    rest.router.redirect_slashes = False  # senders don't follow redirects

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        # Where nearly all requests go, past the layers that this path needs none of.
        endpoint = endpoints.get(scope["path"].rstrip("/")) if scope["type"] == "http" else None
        await (rest if endpoint is None else endpoint)(scope, receive, send)

    return service


async def _log_summaries(receiver: Receiver) -> None:
    """Log each minute what was received, where it changed."""
    before = ""
    while True:
        await asyncio.sleep(SUMMARY_SECONDS)
        if (now := receiver.summary()) != before:
            receiver.log.info("received: %s", now)
            before = now


def metrics(receiver: Receiver) -> Callable[[HttpRequest], Any] | None:
    """Return an endpoint of the counters in the Prometheus text format; None where its client isn't installed."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  an extra
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415
        from prometheus_client.registry import Collector  # noqa: PLC0415
    except ImportError:
        return None

    class Counts(Collector):
        """The receiver's counters, as they are when they are asked for."""

        def collect(self) -> Any:
            """Yield every family."""
            requests = CounterMetricFamily(
                "tap_restextract_webhook_requests", "Requests by what became of them.", labels=["source", "outcome"]
            )
            for (source, reason), count in sorted(receiver.counts.items()):
                requests.add_metric([source, reason], count)
            yield requests
            committer = receiver.committer
            if committer is not None:
                yield CounterMetricFamily("tap_restextract_webhook_commits", "Batches stored.", committer.batches)
                yield CounterMetricFamily(
                    "tap_restextract_webhook_commit_seconds", "Time that storing them took.", committer.seconds
                )
                yield GaugeMetricFamily(
                    "tap_restextract_webhook_queued", "Notifications in the queue.", committer.length
                )
                yield GaugeMetricFamily("tap_restextract_webhook_ready", "Whether it stores.", int(committer.ready))

    registry = CollectorRegistry()
    registry.register(Counts())

    async def exposition(request: HttpRequest) -> Response:
        del request
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return exposition
