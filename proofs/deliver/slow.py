"""Receivers that are slow or away, by a clock that stands still until somebody waits: hours take seconds.

The relay, Postgres, the webhooks and their receiver are real; the clock is held, for the relay and for the database.
Each case is a receiver that answers by the time. What it answers for good, and all that it took, is held against the
outbox: nothing lost, no key out of order, and no dead letter but of what only one event is to blame for.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from proofs.deliver import chaos
from target_eventgen.delivery.configured import ConfiguredPublisher
from target_eventgen.model.routes import Route
from target_eventgen.publishers import open_publisher
from tests.support.clocks import HeldClock
from tests.support.receiver import Answer, Receiver, Request
from tests.support.relaying import Outbox
from tests.support.rigs import Arrived, arrived

REQUEST_SECONDS = 0.005
"""Seconds that a request takes by the clock."""

KEYS = 200
HOUR = 3600.0
OUTAGE_HOURS = 30

Answering = Callable[[float, Request], Answer]
"""The answer to a request, by the time."""


def a_rate(number: int, answer: Answer) -> Answering:
    """A receiver that takes so many requests in any second, and answers so else."""
    taken: deque[float] = deque()

    def answered(now: float, _: Request) -> Answer:
        while taken and taken[0] <= now - 1.0:
            taken.popleft()
        if len(taken) >= number:
            return answer
        taken.append(now)
        return Answer()

    return answered


def an_outage(answer: Answer, hours: float = OUTAGE_HOURS, after: int = 100) -> Answering:
    """A receiver that takes some requests, is then away for hours, and comes back."""
    came = 0
    back: float | None = None

    def answered(now: float, _: Request) -> Answer:
        nonlocal came, back
        came += 1
        if came <= after:
            return Answer()
        back = now + hours * HOUR if back is None else back
        return answer if now < back else Answer()

    return answered


def an_event(place: bytes, answer: Answer) -> Answering:
    """A receiver that never takes what has these characters in it."""
    return lambda _, request: answer if place in request.body else Answer()


@dataclass(frozen=True)
class Case:
    """A receiver, and what may come of it.

    Attributes:
        name: of the receiver.
        answering: makes its answers.
        events: recorded.
        most: requests for an event, at most; None: any number.
        dead: dead letters that there are to be.
    """

    name: str
    answering: Callable[[], Answering]
    events: int = 3000
    most: float | None = None
    dead: int = 0


LATER = {"Retry-After": "1"}
ONE_KEY = b'"subject":"orders/7"'
CASES = (
    Case("5/s, else 429 and 1 s", lambda: a_rate(5, Answer(429, LATER)), most=1.2),
    Case("5/s, else 429", lambda: a_rate(5, Answer(429)), most=1.2),
    Case("5/s, else 503 and 1 s", lambda: a_rate(5, Answer(503, LATER)), most=1.2),
    Case(f"503 for {OUTAGE_HOURS} h", lambda: an_outage(Answer(503)), 1000),
    Case(f"504 for {OUTAGE_HOURS} h", lambda: an_outage(Answer(504)), 1000),
    Case(f"hangs up for {OUTAGE_HOURS} h", lambda: an_outage(Answer(0)), 1000),
    Case(f"401 for {OUTAGE_HOURS} h", lambda: an_outage(Answer(401)), 1000),
    Case(f"500 for {OUTAGE_HOURS} h", lambda: an_outage(Answer(500)), 1000),
    Case("500 to one key", lambda: an_event(ONE_KEY, Answer(500)), 1000, dead=1),
    Case("400 to one key", lambda: an_event(ONE_KEY, Answer(400)), 1000, dead=1),
)


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        case: that was played.
        lost: events that never arrived, and neither died nor waited behind one that did.
        disordered: keys of which an event was seen before one that is earlier.
        dead: letters.
        requests: for an event.
        hours: by the clock.
    """

    case: Case
    lost: int
    disordered: int
    dead: int
    requests: float
    hours: float

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost or out of order, and no event died or was sent more often than it may."""
        few = self.case.most is None or self.requests <= self.case.most
        return not (self.lost or self.disordered) and self.dead == self.case.dead and few


@dataclass
class Delivered:
    """What a receiver took."""

    answering: Answering
    clock: HeldClock
    taken: list[Arrived] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """Answer a request, and remember what was in it if it was taken."""
        self.clock.advance(REQUEST_SECONDS)
        answer = self.answering(self.clock.now(), request)
        if answer.status == 200:
            self.taken.append(arrived(request.body))
        return answer


def play(case: Case, url: str, events: int | None = None) -> Verdict:
    """Deliver events to the case's receiver until nothing is left that may still be delivered.

    Args:
        case: whose receiver it is.
        url: of an empty database.
        events: how many; None: as many as the case has.
    """
    count = events or case.events
    with HeldClock(url) as clock, Receiver() as receiver:
        outbox, found = Outbox(url), Delivered(case.answering(), clock)
        receiver.answer = found.answer
        given = {"url": receiver.url, "allow_private_addresses": True}
        route = Route("receiver", "webhook", None, None, given, workers=1)
        delivery = ConfiguredPublisher(route, functools.partial(open_publisher, route.name, route.kind, given))
        outbox.announce(delivery)
        outbox.add(keys=KEYS, each=max(1, count // KEYS))
        outbox.drain(delivery, patience=1e9, clock=clock)
        marks = outbox.marks()
        recorded = outbox.query("select id, partitionkey, sequence from eventgen.events order by sequence")
        hours = clock.now() / HOUR
    judged = chaos.judge(
        case.name,
        [Arrived(id_, key, sequence) for id_, key, sequence in recorded],
        found.taken,
        dead=marks["dead_letters"],
        troubles=0,
        seconds=0,
    )
    lost = judged.lost - marks["dead_letters"] - marks["waiting"]
    return Verdict(
        case, lost, judged.disordered + judged.foreign, judged.dead, len(receiver.requests) / len(recorded), hours
    )


def table(verdicts: list[Verdict]) -> str:
    """One line a case."""
    head = ("receiver", "events", "lost", "keys out of order", "dead", "requests per event", "hours")
    rows = [
        (v.case.name, v.case.events, v.lost, v.disordered, v.dead, f"{v.requests:.2f}", f"{v.hours:.1f}")
        for v in verdicts
    ]
    return chaos.columns([head, *rows])
