"""HTTP webhooks: each event a POST, signed as Standard Webhooks has it, acknowledged by the status of the answer.

Theory of operation. The events of one call are dealt out to lanes: each key's events are one lane, and a lane's are
sent one after the other, the next only once the one before is answered; what follows a failure in its lane is not sent.
Up to `connections` lanes run at once, each on a connection of its own that is kept for later ones. In the mode `batch`
there are `connections` lanes of many keys each, and one request carries many events; one that is refused for good is
sent again in halves, until it is known which event of it is the one.

The calling thread watches the lanes: a request that isn't answered in time is cut off, whether the receiver is silent
or answers a byte a second. A lane that is cut sends nothing any more. So when a call has returned, nothing of it will
arrive later, after a redelivery. Where a receiver is busy (429, or 503 with Retry-After) or gone (410), no lane
makes another request.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPException
from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct, field

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers import cloudevent, webhook_decisions
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.connection import (
    ConnectError,
    Connection,
    CutError,
    Origin,
    joined,
    reason_of,
    split_url,
    url_fault,
)
from target_eventgen.publishers.payload import CONTENT_TYPE, Payload
from target_eventgen.publishers.protocol import Failed, Outcome
from target_eventgen.publishers.proxy import Proxy, proxy_of
from target_eventgen.publishers.webhook_settings import Settings

BATCH: Final = "application/cloudevents-batch+json"

ROUNDS: Final = 8
MAX_ROUNDS: Final = 64
"""How many requests each connection makes in one call, at first and at most: its slowest lane holds the others back."""

QUICK_SECONDS: Final = 0.5
"""Seconds from which on a call has enough rounds."""

AGENT: Final = "target-eventgen"

MAX_REDIRECTS: Final = 3

CALL_SECONDS: Final = 60.0
"""After which a call makes no more requests: it must be over long before its relay is thought to be dead."""

GRACE_SECONDS: Final = 1.0
"""Between a request's deadline and the moment when its lane is given up, though its thread may still hang."""

NOT_SENT: Final = Failed(
    "not sent yet, since an event of its key before it was not taken, or others took too long", cause="unsent"
)


def places(settings: Settings) -> list[str]:
    """Return the URL without its query, which may hold a token that changes."""
    origin, target = split_url(urlsplit(settings.url.value))
    return [f"{origin}{target.partition('?')[0]}"]


def open_publisher(name: str, settings: Settings) -> WebhookPublisher:
    """Return a publisher; it connects with the first event."""
    return WebhookPublisher(name, settings)


def tls(name: str, settings: Settings) -> ssl.SSLContext:
    """Return how certificates are verified and shown.

    Raises:
        SettingsError: a file can't be read, or has no certificate in it.
    """
    try:
        context = ssl.create_default_context(cafile=settings.certificate_authority)
        if settings.client_certificate:
            # Without a password it would ask for one on the terminal.
            context.load_cert_chain(settings.client_certificate, settings.client_private_key, password="")
    except (OSError, ssl.SSLError) as error:
        fault = (
            f'the publisher "{name}": a file of certificate_authority, client_certificate or client_private_key can not be '
            f"used ({reason_of(error)}); it must be PEM, and a key without a password"
        )
        raise SettingsError([fault]) from error
    return context


def proxy(name: str, settings: Settings) -> Proxy | None:
    """Return the proxy through which requests go.

    Raises:
        SettingsError: the certificates that its own is verified with can't be read.
    """
    try:
        return None if settings.proxy is None else proxy_of(settings.proxy.value, settings.certificate_authority)
    except OSError as error:
        fault = f'the publisher "{name}": the file of certificate_authority can not be used ({reason_of(error)})'
        raise SettingsError([fault]) from error


class Lane(Struct):
    """Events that are sent one after the other, or in one request after the other.

    Attributes:
        units: indexes of the events of each request that is still to be made.
        outcomes: by index, of those that are known.
        deadline: of the request that is under way, in seconds of the monotonic clock.
        connection: that it runs on.
        cut: whether it was given up.
        reached: whether anything was answered, or may have been.
    """

    units: deque[tuple[int, ...]]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    deadline: float | None = None
    connection: Connection | None = None
    cut: bool = False
    reached: bool = False

    def close(self) -> None:
        """End the lane: nothing of it is sent any more."""
        self.cut = True
        if self.connection is not None:
            self.connection.cut()


class WorkerSlot(Struct):
    """The part of one thread in a call.

    Attributes:
        lane: that it is at.
        left: whether the call no longer waits for the thread, so that it must take no other lane.
    """

    lane: Lane = field(default_factory=lambda: Lane(deque()))
    left: bool = False


class Message(Struct, frozen=True):
    """A request's headers and body, but for its signature, which is made for each attempt."""

    id: str
    headers: Mapping[str, str]
    body: bytes


def message(events: Sequence[CloudEvent], mode: str, payload: Payload | None = None) -> Message:
    """Return what carries events.

    The id of many is made of theirs: equal for equal ones, so that a redelivery of a batch can be known.
    """
    body = cloudevent.structured if payload is None else payload.body
    if mode == "batch":
        named = hashlib.sha256("\n".join(event.id for event in events).encode()).hexdigest()
        return Message(named, {"content-type": BATCH if payload is None else CONTENT_TYPE}, _array(map(body, events)))
    (event,) = events
    if mode == "structured":
        headers = {"content-type": cloudevent.STRUCTURED if payload is None else CONTENT_TYPE}
        return Message(event.id, headers, body(event))
    # The binding of CloudEvents to HTTP encodes what headers can't hold.
    headers = {f"ce-{name}": quote(value, safe=SAFE) for name, value in cloudevent.attributes(event).items()}
    kind = event.datacontenttype if payload is None else CONTENT_TYPE
    return Message(event.id, {"content-type": kind, **headers}, bytes(event.data) if payload is None else body(event))


def _array(bodies: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(bodies) + b"]"


SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Characters that stand for themselves in a header of CloudEvents."""


def lanes_of(events: Sequence[CloudEvent], settings: Settings) -> list[deque[tuple[int, ...]]]:
    """Deal events out to lanes, by key: the units of each lane, a unit as indexes of events that go in one request."""
    by_key: dict[str, list[int]] = {}
    for index, event in enumerate(events):
        by_key.setdefault(event.order_key, []).append(index)
    if settings.mode != "batch":
        return [deque((index,) for index in indices) for indices in by_key.values()]
    shares: list[list[int]] = [[] for _ in range(min(settings.connections, len(by_key)))]
    for indices in by_key.values():
        min(shares, key=len).extend(indices)
    size = settings.batch_size
    return [
        deque(tuple(share[start : start + size]) for start in range(0, len(share), size))
        for share in map(sorted, shares)
    ]


class WebhookPublisher:
    """Sends events to one URL. One call at a time."""

    ordered = True

    def __init__(self, name: str, settings: Settings) -> None:
        """Connect to nothing yet.

        Raises:
            SettingsError: a certificate's file can't be read.
        """
        self._settings = settings
        self._origin, self._target = split_url(urlsplit(settings.url.value))
        self._context = tls(name, settings)
        self._proxy = proxy(name, settings)
        self._payload = None if settings.payload is None else Payload(settings.payload)
        self._secrets = [
            key for text in settings.secrets if (key := webhook_decisions.secret_bytes(text.value)) is not None
        ]
        self._idle: list[Connection] = []
        self._away: str | None = None  # why no connection was made in the present call
        self._rounds = ROUNDS
        self._closed = False  # whether the receiver wanted no more requests in the present call
        self._ends = 0.0  # when the present call makes no more requests
        self._workers = ThreadPoolExecutor(settings.connections, thread_name_prefix="webhook")

    @property
    def most(self) -> int:
        """Events in one call, at most."""
        batch = self._settings.batch_size if self._settings.mode == "batch" else 1
        return self._rounds * self._settings.connections * batch

    def publish(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        """Send events and wait for their answers; the law is that of `publisher.Publisher`."""
        self._away, self._closed = None, False
        began = time.monotonic()
        self._ends = began + CALL_SECONDS
        lanes = [Lane(units) for units in lanes_of(events, self._settings)]
        queue = deque(lanes)
        slots = [WorkerSlot() for _ in range(min(len(lanes), self._settings.connections))]
        self._watch({self._workers.submit(self._work, slot, queue, events): slot for slot in slots})
        queue.clear()
        if time.monotonic() - began >= QUICK_SECONDS:
            self._rounds = max(ROUNDS, self._rounds // 2)
        elif len(events) == self.most:
            self._rounds = min(MAX_ROUNDS, self._rounds * 2)
        outcomes: dict[int, Outcome] = {}
        for lane in lanes:
            outcomes |= lane.outcomes
        if self._away is not None and not any(lane.reached for lane in lanes):
            raise UnreachableError(self._away)
        return [outcomes.get(index, NOT_SENT) for index in range(len(events))]

    def close(self) -> None:
        """Close the connections."""
        self._workers.shutdown(wait=False)
        while self._idle:
            self._idle.pop().close()

    @property
    def _silence(self) -> str:
        return f"no answer within {self._settings.timeout:g} seconds"

    def _watch(self, running: Mapping[Future[None], WorkerSlot]) -> None:
        """Wait for the threads, and cut off what takes too long."""
        left = set(running)
        while left:
            now = time.monotonic()
            deadlines = [deadline for future in left if (deadline := running[future].lane.deadline) is not None]
            done, left = wait(left, timeout=max(0.0, min(deadlines, default=now + self._settings.timeout) - now) + 0.05)
            for future in done:
                future.result()
            now = time.monotonic()
            for future in tuple(left):
                lane = running[future].lane
                if lane.deadline is None or now < lane.deadline:
                    continue
                lane.close()
                if now >= lane.deadline + GRACE_SECONDS:
                    # It waits for a name server, and will send nothing when that has answered.
                    self._away = f"{self._origin} can't be reached (no name server answers in time)"
                    running[future].left = True
                    left.discard(future)

    def _work(self, slot: WorkerSlot, queue: deque[Lane], events: Sequence[CloudEvent]) -> None:
        """Take one lane after the other. Runs in a thread of its own."""
        while not slot.left:
            try:
                slot.lane = queue.popleft()
            except IndexError:
                return
            self._run(slot.lane, events)

    def _run(self, lane: Lane, events: Sequence[CloudEvent]) -> None:
        """Send a lane's events."""
        barred: set[str] = set()
        lane.connection = self._taken()
        try:
            while lane.units:
                unit = tuple(index for index in lane.units.popleft() if events[index].order_key not in barred)
                if not unit:
                    continue
                if lane.cut or self._away is not None:
                    # Whoever tried all that is left, each until its deadline, would be at it for long.
                    outcome: Outcome = Failed(self._away or self._silence, cause="away")
                elif self._closed or time.monotonic() > self._ends:
                    return
                else:
                    outcome = self._send(lane, [events[index] for index in unit])
                if isinstance(outcome, Failed) and outcome.permanent and len(unit) > 1:
                    middle = len(unit) // 2
                    lane.units.extendleft((unit[middle:], unit[:middle]))
                    continue
                lane.outcomes |= dict.fromkeys(unit, outcome)
                if isinstance(outcome, Failed):
                    self._closed |= outcome.cause in {"busy", "gone"}
                    barred.update(events[index].order_key for index in unit)
        finally:
            if lane.cut:
                lane.connection.close()
            elif lane.connection.sock is not None:
                self._idle.append(lane.connection)

    def _taken(self) -> Connection:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return self._connection(self._origin)

    def _connection(self, origin: Origin) -> Connection:
        context = self._context if origin.scheme == "https" else None
        return Connection(origin, context, private=self._settings.allow_private_addresses, proxy=self._proxy)

    def _send(self, lane: Lane, events: Sequence[CloudEvent]) -> Outcome:
        """Make one request, and say what became of it."""
        lane.deadline = time.monotonic() + self._settings.timeout
        try:
            status, headers = self._answered(lane, message(events, self._settings.mode, self._payload))
        except ConnectError as error:
            if not lane.reached and not lane.cut:
                self._away = str(error)
            return Failed(str(error), cause="away")
        except (CutError, TimeoutError):
            lane.cut = True
            outcome = Failed(self._silence, cause="away")
        except (OSError, HTTPException) as error:
            outcome = Failed(f"no answer: {reason_of(error)}", cause="away")
        else:
            return webhook_decisions.verdict(status, headers, time.time())
        lane.reached = True  # perhaps it was
        return outcome

    def _answered(self, lane: Lane, sent: Message) -> tuple[int, dict[str, str]]:
        """Post a message, follow redirects where that is allowed; return the last answer's status and headers."""
        assert lane.connection is not None
        first, target, url = lane.connection, self._target, self._settings.url.value
        own = {name: value.value for name, value in self._settings.headers.items()}
        try:
            for _ in range(1 + MAX_REDIRECTS):
                status, headers = self._post(lane, target, {**own, **sent.headers}, sent)
                if status not in {307, 308} or not self._settings.follow_redirects:
                    break
                url = joined(url, headers.get("location", ""))
                if url_fault(url) or (lane.connection.origin.scheme == "https" and not url.startswith("https:")):
                    break
                origin, target = split_url(urlsplit(url))
                if origin != lane.connection.origin:
                    own = {}  # what the configured receiver is trusted with is not for another
                    self._let_go(lane, first)
                    lane.connection = self._connection(origin)
        finally:
            self._let_go(lane, first)
            lane.connection = first
        return status, headers

    @staticmethod
    def _let_go(lane: Lane, first: Connection) -> None:
        if lane.connection is not None and lane.connection is not first:
            lane.connection.close()

    def _post(self, lane: Lane, target: str, headers: Mapping[str, str], sent: Message) -> tuple[int, dict[str, str]]:
        assert lane.connection is not None
        assert lane.deadline is not None
        lane.connection.deadline = lane.deadline
        if lane.cut:
            raise CutError
        timestamp = int(time.time())
        signed = {"webhook-id": sent.id, "webhook-timestamp": str(timestamp)}
        if self._secrets:
            signed["webhook-signature"] = webhook_decisions.signatures(self._secrets, sent.id, timestamp, sent.body)
        answer = lane.connection.post(target, {"user-agent": AGENT, **headers, **signed}, sent.body)
        lane.reached = True
        return answer
