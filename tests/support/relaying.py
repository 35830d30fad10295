"""Events in the outbox, receivers that remember what they got, and relays between the two."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  it is a class

from target_eventgen.delivery import registration
from target_eventgen.delivery.configured import ConfiguredPublisher
from target_eventgen.delivery.relay import Relay
from target_eventgen.delivery.result import Result
from target_eventgen.errors import UnreachableError
from target_eventgen.model.routes import Route
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Outcome
from tests.support.processes import written
from tests.support.queries import query

INSERT = """
insert into eventgen.events (id, source, type, subject, partitionkey, stream, key, data)
select %(stream)s || '-' || k || '-' || n || %(mark)s, 'test', %(type)s, %(stream)s || '/' || k, k::text, %(stream)s,
  jsonb_build_object('id', k), jsonb_build_object('new', jsonb_build_object('id', k, 'n', n))
from generate_series(1, %(each)s) n, generate_series(1, %(keys)s) k order by n, k
"""

EMPTY = {"pending": 0, "blocked": 0, "waiting": 0, "dead_letters": 0}
"""The marks of an outbox whose events are all delivered."""


def add(
    connection: Connection,
    *,
    keys: int = 1,
    each: int = 1,
    stream: str = "orders",
    type_: str = "changed",
    mark: str = "",
) -> None:
    """Record `each` events of `keys` keys, in the connection's transaction."""
    with connection.cursor() as cursor:
        values = {"keys": keys, "each": each, "stream": stream, "type": type_, "mark": mark}
        cursor.execute(INSERT, values)


@dataclass
class Receiver:
    """Remembers what it was given, from any number of publishers, and answers as it is told to."""

    ordered: bool = True
    most: int = 100
    answer: Callable[[CloudEvent], Outcome] = lambda _: Delivered()
    before: Callable[[Sequence[CloudEvent]], None] = lambda _: None
    got: list[CloudEvent] = field(default_factory=list)
    calls: int = 0
    closed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        assert 0 < len(events) <= self.most
        subjects = [event.subject for event in events]
        assert self.ordered or len(set(subjects)) == len(subjects)
        self.before(events)
        outcomes: list[Outcome] = []
        refused: dict[str, Outcome] = {}
        with self.lock:
            self.calls += 1
            for event in events:
                outcome = refused.get(event.subject) or self.answer(event)
                if isinstance(outcome, Delivered):
                    self.got.append(event)
                else:
                    refused[event.subject] = outcome
                outcomes.append(outcome)
        return outcomes

    def close(self) -> None:
        self.closed += 1

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.got]

    def delivery(self, name: str = "test", **route: Any) -> ConfiguredPublisher:
        given: dict[str, Any] = {"name": name, "kind": "test", "types": None, "streams": None, "given": {}, **route}
        return ConfiguredPublisher(Route(**given), lambda: self)


def unreachable(_: Sequence[CloudEvent]) -> None:
    raise UnreachableError("nobody is there")


def in_order(events: Sequence[CloudEvent]) -> None:
    """Of each key, events are seen for the first time in the order of their sequence."""
    seen: dict[str, str] = defaultdict(str)
    ids: set[str] = set()
    for event in events:
        if event.id not in ids:
            assert event.sequence > seen[event.subject], f"{event.id} is late"
            seen[event.subject] = event.sequence
            ids.add(event.id)


@dataclass
class Outbox:
    """The outbox of a test's own database."""

    url: str

    def announce(self, *wanted: ConfiguredPublisher) -> None:
        registration.announce(self.url, [each.route for each in wanted])

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with closing(psycopg2.connect(self.url)) as connection:
            yield connection
            connection.commit()

    def add(self, **options: Any) -> None:
        with self.transaction() as connection:
            add(connection, **options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return query(self.url, statement)

    def relay(self, *wanted: ConfiguredPublisher, **options: Any) -> Relay:
        return Relay(self.url, wanted, **{"patience": 5, "reconnect_seconds": 10, **options})

    def drain(self, *wanted: ConfiguredPublisher, **options: Any) -> list[Result]:
        return self.relay(*wanted, **options).run(follow=False)

    def marks(self) -> dict[str, int]:
        """How many events there are in each table of marks."""
        tables = ("pending", "blocked", "waiting", "dead_letters")
        return {table: self.query(f"select count(*) from eventgen.{table}")[0][0] for table in tables}

    @contextmanager
    def following(self, *wanted: ConfiguredPublisher, **options: Any) -> Iterator[Relay]:
        """A relay that follows, in a thread, until the end of the block."""
        relay = self.relay(*wanted, **options)
        errors: list[BaseException] = []

        def run() -> None:
            try:
                relay.run(follow=True)
            except BaseException as error:
                errors.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield relay
        finally:
            relay.stop()
            thread.join(30)
            assert not thread.is_alive()
            assert not errors


def lines_of(*paths: Path) -> list[CloudEvent]:
    """The events in files of JSON lines, each of which is whole."""
    decode = msgspec.json.Decoder(CloudEvent).decode
    return [decode(line) for path in paths for line in path.read_bytes().splitlines()]


def configuration(folder: Path, url: str, publishers: Sequence[Mapping[str, Any]], **settings: Any) -> Path:
    """A relay's, in a file."""
    return written(folder, "relay.json", {"database_url": url, "events": [], "publishers": publishers, **settings})
