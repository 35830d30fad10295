"""Tables that the real targets of MeltanoLabs and pipelinewise have made, taken over: every value is what was sent."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.support.environments import environment
from tests.support.messages import lines, record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.loading import Loader

TEXT = ["null", "string"]
UUID = "0e37df36-f698-11e6-8dd4-cb9ced3df976"
MOMENT = {"type": TEXT, "format": "date-time"}
KINDS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "smallint": ({"type": ["null", "integer"], "minimum": -32768, "maximum": 32767}, 5, -32768),
    "int": ({"type": ["null", "integer"], "minimum": -2147483648, "maximum": 2147483647}, 70000, 2147483647),
    "bigint": ({"type": ["null", "integer"]}, 1, 9007199254740993),
    "number": ({"type": ["null", "number"]}, 0.5, 0.1),
    "double": ({"type": ["null", "number"]}, 1.5, 0.30000000000000004),
    "cents": ({"type": ["null", "number"], "multipleOf": 0.01}, 12.25, 19.99),
    "large": ({"type": ["null", "number"]}, 1000000, 12345678901234567890),
    "boolean": ({"type": ["null", "boolean"]}, True, False),
    "text": ({"type": TEXT}, "a 'b' \"c\"", "a\tb\\n 漢字 🐘 \"q\" 'q'\r\n"),
    "varchar": ({"type": TEXT, "maxLength": 16}, "short", "sixteen letters!"),
    "empty": ({"type": TEXT}, "x", ""),
    "long": ({"type": TEXT}, "x", "é" * 5000),
    "moment": (MOMENT, "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"),
    "offset": (MOMENT, "2026-01-01T12:00:00+00:00", "2026-01-02T08:30:00-04:00"),
    "fraction": (MOMENT, "2026-01-01T12:00:00.123456Z", "2026-01-02T00:00:00.654321+05:30"),
    "date": ({"type": TEXT, "format": "date"}, "2026-01-01", "2026-02-28"),
    "time": ({"type": TEXT, "format": "time"}, "10:11:12", "23:59:59.5"),
    "uuid": ({"type": TEXT, "format": "uuid"}, UUID, UUID.replace("0e", "1e")),
    "email": ({"type": TEXT, "format": "email"}, "a@b.example", "c@d.example"),
    "object": ({"type": ["null", "object"]}, {"a": [1, {"b": None}]}, {"a": 2.5, "é": "\\"}),
    "object_of": ({"type": ["null", "object"], "properties": {"a": {"type": "integer"}}}, {"a": 1}, {"a": 2}),
    "texts": ({"type": ["null", "array"], "items": {"type": TEXT}}, ["a", "b"], ["c", 'q"\\', "", "null", "é"]),
    "integers": ({"type": ["null", "array"], "items": {"type": "integer"}}, [1, 2], [3, -4]),
    "numbers": ({"type": ["null", "array"], "items": {"type": "number"}}, [1.5], [0.1, 2]),
    "booleans": ({"type": ["null", "array"], "items": {"type": "boolean"}}, [True], [False, True]),
    "objects": ({"type": ["null", "array"], "items": {"type": "object"}}, [{"a": 1}], [{"b": [2]}, {}]),
    "nothing": ({"type": TEXT}, None, "now something"),
    "something": ({"type": ["null", "integer"]}, 3, None),
}
"""A SCHEMA's property, a value that the other target stores, and one that comes to ours."""

PACKAGES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "meltanolabs": (("meltanolabs-target-postgres==0.8.1",), None),
    "pipelinewise": (
        ("pipelinewise-singer-python==1.3.0", "psycopg2-binary==2.9.13", "inflection==0.3.1", "joblib==1.2.0"),
        "pipelinewise-target-postgres==2.1.2",  # pins psycopg2-binary 2.9.5, which Python 3.13 can't load
    ),
}
"""What is installed for each peer, and what is installed then, without what it asks for."""
TOLD = schema(
    "things", {"id": {"type": "integer"}, **{name: kind for name, (kind, *_) in KINDS.items()}}, version="moment"
)
FIRST = {name: first for name, (_, first, _) in KINDS.items()}
SECOND = {name: second for name, (*_, second) in KINDS.items()}


def loaded_by(peer: str, loader: Loader, folder: Path, *messages: dict[str, Any]) -> None:
    """Load messages with the real target of this name, into the schema `peer`."""
    requirements, alone = PACKAGES[peer]
    program = environment(f"target-postgres-{peer}", *requirements, alone=alone) / "target-postgres"
    parts = urlsplit(loader.database)
    database = parts.path[1:]
    config = {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "default_target_schema": "peer",
        **({"database": database} if peer == "meltanolabs" else {"dbname": database, "add_metadata_columns": True}),
    }
    (folder / "peer.json").write_text(json.dumps(config))
    done = subprocess.run(
        [program, "--config", folder / "peer.json"],
        input=lines(messages),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def stored(loader: Loader, key: int) -> dict[str, Any]:
    """The row of a key as JSON, with all digits."""
    ((text,),) = loader.query(f"select to_jsonb(t)::text from peer.things t where id = {key}")
    row: dict[str, Any] = msgspec.json.Decoder(float_hook=Decimal).decode(text)
    return row


def differences(row: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """The values of a row that are not what was sent."""
    return {
        name: (value, row[name])
        for name, value in sent.items()
        if comparable(name, value) != comparable(name, row[name])
    }


def comparable(name: str, value: Any) -> Any:
    """An instant, a date, a number or any other value, so that it is equal however it is spelt."""
    definition = KINDS[name][0]
    if value is None:
        return None
    if definition.get("format") == "date-time":
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    if definition.get("format") == "date":
        return value.removesuffix("T00:00:00")
    return exact(value)


def exact(value: Any) -> Any:
    """JSON with a Decimal for each float, in the digits that the float is written with."""
    if isinstance(value, list):
        return [*map(exact, value)]
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return Decimal(repr(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("peer", PACKAGES)
def test_a_table_of_another_target_is_taken_over_with_every_value(peer: str, loader: Loader, tmp_path: Path) -> None:
    assert len(KINDS) == 28
    loaded_by(peer, loader, tmp_path, TOLD, record("things", id=1, **FIRST), record("things", id=2, **FIRST))
    before = stored(loader, 1)
    assert differences(before, FIRST) == {}
    rules = [{"type": "touched", "stream": "things", "on": "updated"}]
    settings: dict[str, Any] = {"default_target_schema": "peer", "events": rules}

    loader.load([TOLD, record("things", id=1, **FIRST), state(1)], **settings)
    assert differences(stored(loader, 1), FIRST) == {}
    assert loader.events() == []  # it is what was there

    for _ in range(2):
        loader.load([TOLD, record("things", id=2, **SECOND), record("things", id=3, **SECOND), state(1)], **settings)
        for key, sent in ((1, FIRST), (2, SECOND), (3, SECOND)):
            assert differences(stored(loader, key), sent) == {}, key
    assert loader.events("type, key->>'id'") == [("touched", "2")]
    ((changed,),) = loader.query("select data->'changed' from eventgen.events")
    assert sorted(changed) == sorted(KINDS)

    older = {**FIRST, "moment": "2026-01-02T13:00:00+05:00"}
    loader.load([TOLD, record("things", id=2, **older), state(1)], **settings)
    assert differences(stored(loader, 2), SECOND) == {}  # an older version changes nothing
    gone = {"id": 2, "moment": "2026-01-03T12:00:00+05:00", "_sdc_deleted_at": "2026-01-03T17:00:00+05:00"}
    loader.load([TOLD, record("things", **gone), state(1)], **settings)
    ((deleted,),) = loader.query("select _sdc_deleted_at::timestamptz from peer.things where id = 2")
    assert deleted == datetime(2026, 1, 3, 12, tzinfo=timezone.utc)
