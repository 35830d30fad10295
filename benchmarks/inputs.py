"""The inputs: subscription records of about 360 bytes, the same on every machine.

`records` are what the API lists, in the order of (updated_at, id), three sharing each instant, over 300 days. `changed` are the same
subscriptions a day later: every one has a new value and a later updated_at, and one in a hundred has passed a condition of
`RULES`, as it is with data that people look at.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import msgspec

SEED: Final = 20_260_101
START: Final = datetime(2025, 1, 1, tzinfo=timezone.utc)
FIRST: Final = "2025-01-01T00:00:00Z"
STREAM: Final = "subscriptions"
TIED: Final = 3
SPAN: Final = timedelta(days=300)
FIRING: Final = 100  # one record in so many
PLANS: Final = ("starter", "team", "business", "enterprise")
COUNTRIES: Final = ("DE", "FR", "GB", "NL", "PL", "US", "JP", "BR")
WORDS: Final = (
    "annual",
    "renewal",
    "discount",
    "référence",
    "partner",
    "upgrade",
    "trial",
    "invoice",
    "région",
    "seat",
)
MOMENT: Final = {"type": "string", "format": "date-time"}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "updated_at"],
    "properties": {
        "id": {"type": "integer"},
        "customer_id": {"type": "string"},
        "email": {"type": "string"},
        "plan": {"type": "string"},
        "status": {"type": "string"},
        "quantity": {"type": "integer"},
        "value": {"type": "number"},
        "currency": {"type": "string"},
        "country": {"type": ["string", "null"]},
        "trial_ends_at": {**MOMENT, "type": ["string", "null"]},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "auto_renew": {"type": "boolean"},
        "note": {"type": ["string", "null"]},
    },
}
RULES: Final = (
    *(
        {"type": f"subscription.passed_{n}", "stream": STREAM, "enters": f"value > {n}"}
        for n in (10_000, 20_000, 50_000)
    ),
    {"type": "subscription.canceled", "stream": STREAM, "enters": "status = 'canceled'"},
    {"type": "subscription.paused", "stream": STREAM, "enters": "status = 'paused'"},
    {"type": "subscription.lapsed", "stream": STREAM, "leaves": "status in ('active', 'trialing')"},
    {"type": "subscription.grew", "stream": STREAM, "when": "new.quantity >= 10 * old.quantity"},
    {"type": "subscription.moved", "stream": STREAM, "changes": ["country"]},
    {"type": "subscription.replanned", "stream": STREAM, "changes": ["plan", "currency"]},
    {"type": "subscription.deleted", "stream": STREAM, "on": "deleted"},
)

_encoder: Final = msgspec.json.Encoder()


def records(count: int) -> Iterator[dict[str, Any]]:
    """So many subscriptions."""
    chance = random.Random(SEED)
    apart = int(SPAN.total_seconds() // max(1, count // TIED))
    for index in range(count):
        created = START + timedelta(minutes=chance.randrange(400_000))
        yield {
            "id": index + 1,
            "customer_id": f"cus_{chance.getrandbits(72):018x}",
            "email": f"person{chance.randrange(10**7)}@{chance.choice(WORDS).encode('ascii', 'ignore').decode()}.example",
            "plan": chance.choice(PLANS),
            "status": "trialing" if chance.random() < 0.1 else "active",
            "quantity": chance.randrange(1, 50),
            "value": chance.randrange(100, 900_000) / 100,
            "currency": "EUR",
            "country": chance.choice(COUNTRIES),
            "trial_ends_at": None if chance.random() < 0.5 else stamp(created + timedelta(days=14)),
            "created_at": stamp(created),
            "updated_at": stamp(START + timedelta(seconds=apart * (index // TIED))),
            "auto_renew": chance.random() < 0.8,
            "note": " ".join(chance.choices(WORDS, k=6)) if chance.random() < 0.7 else None,
        }


def changed(before: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The subscriptions a day later."""
    chance = random.Random(SEED + 1)
    for record in before:
        after = {
            **record,
            "value": chance.randrange(100, 900_000) / 100,
            "updated_at": stamp(datetime.fromisoformat(record["updated_at"][:-1]) + timedelta(days=1)),
        }
        if record["id"] % FIRING == 0:
            after |= chance.choice(
                (
                    {"value": 12_345.5},
                    {"status": "canceled"},
                    {"status": "paused"},
                    {"quantity": 10 * record["quantity"]},
                    {"country": "CH"},
                    {"plan": "legacy"},
                )
            )
        yield after


def stamp(moment: datetime) -> str:
    """An instant as the API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def write_singer(path: Path, rows: Iterable[dict[str, Any]], every: int = 10_000) -> None:
    """A Singer stream of the rows: its SCHEMA, a STATE after each so many records, and one at the end."""
    schema = {
        "type": "SCHEMA",
        "stream": STREAM,
        "schema": SCHEMA,
        "key_properties": ["id"],
        "bookmark_properties": ["updated_at"],
    }
    with path.open("wb") as lines:
        lines.write(_encoder.encode(schema) + b"\n")
        number, last = 0, ""
        for number, row in enumerate(rows, 1):
            message = {"type": "RECORD", "stream": STREAM, "record": row, "time_extracted": stamp(START)}
            lines.write(_encoder.encode(message) + b"\n")
            last = row["updated_at"]
            if number % every == 0:
                lines.write(_state(last))
        if number % every:
            lines.write(_state(last))


def _state(value: str) -> bytes:
    bookmark = {"replication_key": "updated_at", "replication_key_value": value}
    return _encoder.encode({"type": "STATE", "value": {"bookmarks": {STREAM: bookmark}}}) + b"\n"
