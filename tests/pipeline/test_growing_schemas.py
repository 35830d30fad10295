"""An API whose first page shows little of its records, into our target and another's, without a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Asked, Reply, serving
from tests.support.environments import environment
from tests.support.processes import TAP, TARGET, PipeRun, ran, written
from tests.support.queries import rows

ORDERS: list[dict[str, Any]] = [
    {
        "id": number,
        "customer_id": 2**53 + number,
        "amount": number if number <= 50 else number + 0.5,
        "note": None if number <= 100 else f"note {number}",
        "paid_at": None if number <= 200 else f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
        "updated_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
        **({"channel": "web"} if number > 300 else {}),
        "code": number if number <= 400 else f"C{number}",
    }
    for number in range(1, 501)
]


def answers(asked: Asked) -> Reply:
    """Fifty orders of those since an instant, from the token on, and the token of the next fifty."""
    orders = [order for order in ORDERS if order["updated_at"] >= asked.params.get("since", "")]
    start = int(asked.params.get("page_token", 0))
    more = {"next_page_token": str(start + 50)} if start + 50 < len(orders) else {}
    return Reply({"orders": orders[start : start + 50], **more})


def piped(folder: Path, url: str, target: list[str | Path], **keys: Any) -> PipeRun:
    """A run of the tap into a target."""
    paginator = {"type": "cursor", "cursor_path": "next_page_token", "cursor_param": "page_token"}
    stream = {"name": "orders", "path": "/orders", "records": "orders", "primary_key": ["id"], "paginator": paginator}
    config = written(folder, "tap.json", {"base_url": url, "streams": [{**stream, **keys}]})
    return ran([TAP, "--config", config], target, folder / "run")


@pytest.mark.parametrize("incremental", [False, True])
def test_orders_whose_first_page_is_whole_and_null_load_into_our_target_with_the_defaults(
    database: str, tmp_path: Path, *, incremental: bool
) -> None:
    rule = {"type": "order.noted", "stream": "orders", "enters": "note = 'note 101'"}
    settings = {"database_url": database, "initial_load": "emit", "events": [rule], "default_target_schema": "public"}
    target: list[str | Path] = [TARGET, "--config", written(tmp_path, "target.json", settings)]
    ordered = {"params": {"since": "{cursor.updated_at}"}, "incremental": {"cursor_path": "updated_at"}}
    with serving(answers) as api:
        done = piped(tmp_path, api.url, target, **(ordered if incremental else {}))
    assert len(done.records) == 500
    columns = ", ".join(ORDERS[-1])
    found = rows(database, f"select {columns} from orders order by id")
    assert [{name: str(value) for name, value in row.items() if not name.endswith("_at")} for row in found] == [
        {name: str(order.get(name)) for name in ORDERS[-1] if not name.endswith("_at")} for order in ORDERS
    ]
    types = rows(database, "select column_name, data_type from information_schema.columns where table_name = 'orders'")
    assert {row["column_name"]: row["data_type"] for row in types if row["column_name"] in ORDERS[-1]} == {
        "id": "bigint",
        "customer_id": "bigint",
        "amount": "numeric",
        "note": "text",
        "paid_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
        "channel": "text",
        "code": "text",
    }
    assert rows(database, "select key->>'id' as id from eventgen.events") == [{"id": "101"}]


def test_the_same_orders_load_into_target_jsonl(tmp_path: Path) -> None:
    target = environment("target-jsonl", "target-jsonl==0.1.4", "setuptools<81") / "target-jsonl"
    settings = {"destination_path": str(tmp_path), "do_timestamp_file": False}
    with serving(answers) as api:
        piped(tmp_path, api.url, [target, "--config", written(tmp_path, "target.json", settings)])
    assert [json.loads(line) for line in (tmp_path / "orders.jsonl").read_text().splitlines()] == ORDERS
