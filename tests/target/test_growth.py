"""What statements look at grows as their rows do: counted in Postgres' plans, not timed."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2 import extensions

from target_eventgen.store import connection
from tests.support.messages import PROPERTIES, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.loading import Loader

DELETABLE = {**PROPERTIES, "_sdc_deleted_at": {"type": ["string", "null"], "format": "date-time"}}
RULES = [{"type": "gone", "stream": "subscriptions", "on": "deleted"}]


def seen(plan: dict[str, Any]) -> float:
    """Rows that the nodes of a plan returned or threw away, all together."""
    own = sum(plan.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter"))
    return float(own * plan["Actual Loops"] + sum(map(seen, plan.get("Plans", ()))))


def rows_seen(loader: Loader, monkeypatch: pytest.MonkeyPatch, messages: list[Any], **settings: Any) -> float:
    """How many rows the statements of a load looked at, by auto_explain."""
    notices: list[str] = []
    connect: Callable[..., extensions.connection] = connection.connect

    def explaining(*arguments: Any, **options: Any) -> extensions.connection:
        made = connect(*arguments, **options)
        made.notices = notices
        with made.cursor() as cursor:
            cursor.execute(
                "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;"
                " set auto_explain.log_timing = off; set auto_explain.log_format = json;"
                " set auto_explain.log_level = warning"
            )
        made.commit()
        return made

    with monkeypatch.context() as patched:
        patched.setattr(connection, "connect", explaining)
        loader.load(messages, **settings)
    plans = [json.loads(text[text.index("{") :]) for text in notices if "plan:" in text]
    assert any("INSERT INTO" in plan["Query Text"] for plan in plans)
    return sum(seen(plan["Plan"]) for plan in plans if "subscriptions" in plan["Query Text"])


def at(second: int) -> str:
    return f"2026-01-01T00:00:0{second}Z"


@pytest.mark.parametrize("again", [False, True])
def test_many_hard_deletions_in_one_checkpoint_look_at_rows_in_proportion(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    settings = {"hard_delete": True, "events": RULES}
    counts: list[float] = []
    for number in (500, 4000):
        with closing(psycopg2.connect(loader.database)) as connected, connected, connected.cursor() as cursor:
            cursor.execute("drop table if exists subscriptions; drop schema if exists eventgen cascade")
        keys = range(number)
        there = [record(id=key, value=1, status="a", updated_at=at(1)) for key in keys]
        gone = [record(id=key, updated_at=at(2), _sdc_deleted_at=at(2)) for key in keys]
        loader.load([schema(properties=DELETABLE), *there, state(1)], **settings)
        if again:  # they come back from tombstones, and go once more
            loader.load([schema(properties=DELETABLE), *gone, state(2)], **settings)
            back = [record(id=key, value=2, status="b", updated_at=at(3)) for key in keys]
            gone = [record(id=key, updated_at=at(4), _sdc_deleted_at=at(4)) for key in keys]
            gone = [each for pair in zip(back, gone, strict=True) for each in pair]
        messages = [schema(properties=DELETABLE), *gone, state(3)]
        counts.append(rows_seen(loader, monkeypatch, messages, **settings))
        assert loader.query("select count(*) from subscriptions") == [(0,)]
    assert counts[1] / counts[0] < 8 * 1.25, counts


def test_what_a_load_keeps_for_an_undo_looks_at_rows_in_proportion(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[float] = []
    for number in (500, 4000):
        with closing(psycopg2.connect(loader.database)) as connected, connected, connected.cursor() as cursor:
            cursor.execute("drop table if exists subscriptions; drop schema if exists eventgen cascade")
        messages = [
            schema(),
            *(record(id=key, value=1, status="a", updated_at=at(1)) for key in range(number)),
            state(1),
        ]
        counts.append(rows_seen(loader, monkeypatch, messages, undo_days=1, events=RULES))
        assert loader.query("select count(*) from eventgen.replaced") == [(number,)]
    assert counts[1] / counts[0] < 8 * 1.25, counts
