"""The inputs, the same on every machine: subscription records of about 360 bytes, and some odd shapes.

`records` are what the API lists, in the order of (updated_at, id), three sharing each instant, over 300 days.
`changed` are the same subscriptions a day later: every one has a new value and a later updated_at, and one in a
hundred has passed a condition of `RULES`, as it is with data that people look at.

    python -m benchmarks.inputs KIND RECORDS PATH      writes Singer lines, and prints the sum of their values
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
MANY_RULES: Final = (
    *RULES,
    *({"type": f"subscription.over_{n}", "stream": STREAM, "enters": f"value > {20_000 + 100 * n}"} for n in range(30)),
    *({"type": f"subscription.state_{n}", "stream": STREAM, "enters": f"status = 'state {n}'"} for n in range(30)),
    *({"type": f"subscription.left_{n}", "stream": STREAM, "leaves": f"country = 'X{n}'"} for n in range(30)),
)
WIDE: Final = 300
LARGE: Final = 1_000_000
STREAMS: Final = 50

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


def changed(before: Iterable[dict[str, Any]], days: int = 1, apart: int = 1) -> Iterator[dict[str, Any]]:
    """Yield the subscriptions so many days later; ids so far apart, where others lie between them in the table."""
    chance = random.Random(SEED + days)
    for record in before:
        after = {
            **record,
            "value": chance.randrange(100, 900_000) / 100,
            "updated_at": stamp(datetime.fromisoformat(record["updated_at"][:-1]) + timedelta(days=days)),
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
        yield {**after, "id": apart * record["id"]}


def versions(count: int) -> Iterator[dict[str, Any]]:
    """One subscription, changed so many times, a second apart."""
    chance = random.Random(SEED)
    first = next(records(1))
    for number in range(count):
        value = 12_345.5 if number % FIRING == 0 else chance.randrange(100, 900_000) / 100
        yield {**first, "value": value, "updated_at": stamp(START + timedelta(seconds=number))}


def wide(count: int) -> Iterator[dict[str, Any]]:
    """Yield records of many properties."""
    chance = random.Random(SEED)
    for record in records(count):
        more: dict[str, Any] = {
            f"c{number}": chance.randrange(10**6) if number % 2 else chance.choice(WORDS)
            for number in range(WIDE - len(record))
        }
        yield record | more


def large(count: int) -> Iterator[dict[str, Any]]:
    """Yield records of a megabyte."""
    for record in records(count):
        yield record | {"note": f"{record['note']} {record['id']:07}" * (LARGE // (len(str(record["note"])) + 8))}


@dataclass(frozen=True)
class Shape:
    """What an input consists of; its streams hold the same records each."""

    rows: Callable[[int], Iterator[dict[str, Any]]]
    schema: dict[str, Any] = field(default_factory=lambda: SCHEMA)
    streams: tuple[str, ...] = (STREAM,)


PLAIN: Final = Shape(records)
MANY: Final = tuple(f"{STREAM}_{number}" for number in range(STREAMS))
WIDE_SCHEMA: Final = {
    **SCHEMA,
    "properties": SCHEMA["properties"]
    | {
        f"c{number}": {"type": "integer" if number % 2 else "string"}
        for number in range(WIDE - len(SCHEMA["properties"]))
    },
}
SHAPES: Final[dict[str, Shape]] = {
    "plain": PLAIN,
    "wide": Shape(wide, WIDE_SCHEMA),
    "large": Shape(large),
    "streams": Shape(records, streams=MANY),
    "versions": Shape(versions),
    # Days later, and the ids fifty apart where that stands behind it.
    **{f"changed-{days}": Shape(lambda count, days=days: changed(records(count), days)) for days in range(1, 20)},
    **{f"spread-{days}": Shape(lambda count, days=days: changed(records(count), days, 50)) for days in range(1, 20)},
}


def stamp(moment: datetime) -> str:
    """Return an instant as the API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def write_singer(path: Path, shape: Shape, count: int, every: int = 10_000) -> float:
    """Yield Singer lines: of each stream its SCHEMA, its records, a STATE after so many of them, and one at the end.

    Returns:
        The sum of the values of one stream's records.
    """
    total = 0.0
    with path.open("wb") as lines:
        for stream in shape.streams:
            schema = {"type": "SCHEMA", "stream": stream, "schema": shape.schema, "key_properties": ["id"]}
            lines.write(_encoder.encode(schema | {"bookmark_properties": ["updated_at"]}) + b"\n")
            number, last, total = 0, "", 0.0
            for number, row in enumerate(shape.rows(count), 1):
                message = {"type": "RECORD", "stream": stream, "record": row, "time_extracted": stamp(START)}
                lines.write(_encoder.encode(message) + b"\n")
                last = row["updated_at"]
                total += row["value"]
                if number % every == 0:
                    lines.write(_state(stream, last))
            if number % every:
                lines.write(_state(stream, last))
    return total


def _state(stream: str, value: str) -> bytes:
    bookmark = {"replication_key": "updated_at", "replication_key_value": value}
    return _encoder.encode({"type": "STATE", "value": {"bookmarks": {stream: bookmark}}}) + b"\n"


if __name__ == "__main__":
    print(write_singer(Path(sys.argv[3]), SHAPES[sys.argv[1]], int(sys.argv[2])))
