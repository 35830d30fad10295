"""The life of a database: loads that end well, that die, that repeat themselves; events delivered, refused and waiting.

It leaves rows in each table that the target keeps, for the tests of what commands answer and of what another version
finds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.golden.api import at
from tests.golden.forking import Programs, Said
from tests.support import messages
from tests.support.messages import PROPERTIES, lines, schema, state
from tests.support.queries import query
from tests.support.receiver import Answer, Receiver, Request

Message = dict[str, Any]

RULES: list[dict[str, Any]] = [
    {"type": "subscription.created", "stream": "subscriptions", "on": "created"},
    {"type": "subscription.passed_100", "stream": "subscriptions", "enters": "value > 100"},
    {"type": "subscription.fell", "stream": "subscriptions", "leaves": "value > 100"},
    {"type": "subscription.status", "stream": "subscriptions", "changes": ["status"], "payload": "changed"},
    {"type": "order.deleted", "stream": "orders", "on": "deleted"},
    {"type": "order.doubled", "stream": "orders", "when": "new.total >= 2 * old.total", "include": ["total"]},
]
WIDE = {**PROPERTIES, "plan": {"type": ["string", "null"]}}
ORDER: dict[str, Any] = {
    "shop": {"type": "string"},
    "number": {"type": "integer"},
    "total": {"type": ["number", "null"]},
    "lines": {"type": ["array", "null"]},
    "paid": {"type": ["boolean", "null"]},
    "paid_on": {"type": ["string", "null"], "format": "date"},
    "at": {"type": ["string", "null"], "format": "time"},
    "token": {"type": ["string", "null"], "format": "uuid"},
    "_sdc_deleted_at": {"type": ["string", "null"], "format": "date-time"},
}
VISIT: dict[str, Any] = {"page": {"type": "string"}, "details": {"type": "object"}}


def record(stream: str, **properties: Any) -> Message:
    """A RECORD message, extracted in March 2021."""
    return {**messages.record(stream, **properties), "time_extracted": at(59)}


def version(key: int, second: int | None, value: float, status: str = "active", **more: Any) -> Message:
    """A version of a subscription."""
    updated = None if second is None else at(second)
    return record("subscriptions", id=key, value=value, status=status, updated_at=updated, **more)


def order(number: int, total: float | None = None, **more: Any) -> Message:
    """An order as it is now."""
    return record("orders", shop="north", number=number, total=total, **more)


SUBSCRIPTIONS = schema()
WIDENED = schema(properties=WIDE)
ORDERS = schema("orders", ORDER, key=["shop", "number"], version=None)
VISITS = schema("visits", VISIT, key=[], version=None)

FIRST: list[Message] = [
    SUBSCRIPTIONS,
    *(version(key, 1, value) for key, value in ((1, 50), (2, 150), (3, 250), (4, 40))),
    record("subscriptions", id=5, value="much"),
    ORDERS,
    order(1, 10, lines=[{"sku": "a", "count": 2}], paid=True, paid_on="2021-03-01", at="12:30:00"),
    order(2, 20, token="8d7f2c1e-0000-4000-8000-000000000001"),
    VISITS,
    record("visits", page="/", details={"from": "a"}),
    state({"bookmarks": {"first": 1}}),
]
"""A load that ends well; one of its records is invalid."""

TOLD: list[Message] = [
    WIDENED,
    version(1, 7, 60, "active", plan="small"),
    version(1, 7, 120, "trial", plan="small"),
    version(1, 7, 90, "active", plan="small"),
    version(2, 8, 90, plan="small"),
    version(2, 9, 160, plan="large"),
    version(3, 9, 50, plan="small"),
    version(4, None, 45, "paused", plan="small"),
]
"""A load that dies behind the last of these lines: of subscription 1 it told three contents of one instant."""

AGAIN: list[Message] = [
    *TOLD[:3],
    state({"bookmarks": {"first": 2}}),
    version(6, 10, 1, plan="small"),
    version(3, 11, 260, plan="small"),
]
"""A load that begins to tell the same again, and dies."""

DELETED: list[Message] = [ORDERS, order(1, _sdc_deleted_at=at(20)), order(2, 45)]
"""A load that takes an order out of its table, and dies."""


@dataclass
class Shop:
    """A database, and the programs that load it and deliver its events."""

    programs: Programs
    database: str
    folder: Path
    receiver: Receiver

    @property
    def settings(self) -> dict[str, Any]:
        """The target's configuration."""
        hook = {
            "type": "webhook",
            "name": "hook",
            "url": self.receiver.url,
            "allow_private_addresses": True,
            "workers": 1,
        }
        return {
            "database_url": self.database,
            "source": "golden",
            "initial_load": "emit",
            "hard_delete": True,
            "on_invalid_record": "dead_letter",
            "delivery": "relay",
            "delivery_timeout": 5,
            "events": RULES,
            "publishers": [
                {"type": "file", "name": "archive", "path": "archive.jsonl", "fsync": False},
                {**hook, "events": ["subscription.*"]},
            ],
        }

    def command(self, *arguments: str, given: str = "", **settings: Any) -> Said:
        """Run a command of the target with its configuration."""
        path = self.folder / "target.json"
        path.write_text(json.dumps({**self.settings, **settings}))
        return self.programs.run("target-eventgen", *arguments, "--config", path, folder=self.folder, given=given)

    def load(self, messages: Iterable[Message], **settings: Any) -> list[Any]:
        """Load these lines; the STATEs that came out."""
        said = self.command(given=lines(messages), **settings)
        assert said.code == 0, said
        return [json.loads(line) for line in said.out.splitlines()]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        return query(self.database, statement)

    def events(self) -> list[tuple[Any, ...]]:
        """What was recorded, in its order."""
        return self.query("select id, type, subject from eventgen.events order by sequence")

    def live(self) -> None:
        """All that happens in this shop."""
        self.load(FIRST)
        said = self.command("relay")
        assert said.code == 0, said
        self.load(TOLD)
        self.load(AGAIN, batch_size_rows=1)
        self.load(DELETED)
        said = self.command("relay", "--publisher", "hook")
        assert said.code == 1, said


def refusing(request: Request) -> Answer:
    """What the receiver answers: it will never have subscription 2, and not for now that 3 fell."""
    event = json.loads(request.body)
    if event["subject"] == "subscriptions/2":
        return Answer(400, body=b"no such customer")
    if (event["subject"], event["type"]) == ("subscriptions/3", "subscription.fell"):
        return Answer(500, {"Retry-After": "86400"}, body=b"later")
    return Answer()


@contextmanager
def opened(programs: Programs, database: str, folder: Path) -> Iterator[Shop]:
    """A shop, with its receiver, while the block runs."""
    with Receiver() as receiver:
        receiver.answer = refusing
        yield Shop(programs, database, folder, receiver)
