"""Several pipelines in one database: streams of one name in tables of their own, each with its events and order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.delivery import redelivery
from target_eventgen.publishers.protocol import Delivered, Failed
from tests.support.messages import record, schema, state
from tests.support.relaying import EMPTY, Outbox, Receiver

if TYPE_CHECKING:
    from tests.support.loading import Loader

RULES = [
    {"type": "made", "stream": "orders", "on": "created"},
    {"type": "changed", "stream": "orders", "changes": ["value"]},
]


def version(key: int, value: float, second: int) -> dict[str, Any]:
    return record("orders", id=key, value=value, status="", updated_at=f"2026-01-01T00:00:{second:02}Z")


def sent(*versions: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema("orders"), *versions, state(1)]


def load(loader: Loader, place: str, *versions: dict[str, Any], **settings: Any) -> None:
    loader.load(sent(*versions), events=RULES, default_target_schema=place, **settings)


EARLIER = """
alter table eventgen.events drop column table_schema, drop column table_name;
alter table eventgen.invalid_records drop column table_schema, drop column table_name, drop column source;
alter table eventgen.streams drop column identity;
"""
"""Gives a database the tables that code made which didn't know whose an event is."""

EARLIER_DELIVERY = """
alter table eventgen.dead_letters drop column table_schema, drop column table_name, drop column source
"""


def load_by_earlier_code(loader: Loader, place: str, *versions: dict[str, Any], **settings: Any) -> None:
    """Load as earlier code did, and leave the database as it did: the ids are its ids (see tests/golden)."""
    load(loader, place, **settings)
    loader.query("update eventgen.streams set identity = 0")
    if len(loader.query("select from eventgen.streams")) == 1:
        load(loader, place, *versions, **settings)
    else:  # it would find that another table has the stream's name, too
        loader.query(
            "update eventgen.streams set stream = table_schema || stream where table_schema <> '" + place + "'"
        )
        load(loader, place, *versions, **settings)
        loader.query("update eventgen.streams set stream = 'orders'")
    loader.query(EARLIER)


def told(loader: Loader, place: str) -> list[tuple[Any, ...]]:
    """The events of the table in a schema."""
    return loader.query(f"select type, subject from eventgen.events where table_schema = '{place}' order by sequence")


@pytest.mark.parametrize("sources", [("s", "s"), ("north", "south")])
def test_each_pipeline_fires_its_own_events_where_streams_keys_and_contents_are_equal(
    loader: Loader, sources: tuple[str, str]
) -> None:
    for value, second in ((1, 1), (2, 2)):
        for place, source in zip(("a", "b"), sources, strict=True):
            load(loader, place, version(1, value, second), version(2, value, second), source=source)
    both = [("made", "orders/1"), ("made", "orders/2"), ("changed", "orders/1"), ("changed", "orders/2")]
    assert told(loader, "a") == both
    assert told(loader, "b") == both
    assert loader.query("select count(distinct id) from eventgen.events") == [(8,)]


def test_what_is_loaded_again_is_not_recorded_again(loader: Loader) -> None:
    for _ in range(2):
        for place in "ab":
            load(loader, place, version(1, 1, 1), version(1, 2, 2))
            loader.query(f"delete from {place}.orders")  # the same transition, computed once more
    assert told(loader, "a") == told(loader, "b") == [("made", "orders/1"), ("changed", "orders/1")]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_key_that_one_pipeline_blocks_blocks_none_of_another_s(loader: Loader, *, ordered: bool) -> None:
    outbox = Outbox(loader.database)
    receiver = Receiver(ordered=ordered)
    receiver.answer = lambda event: Failed("no", permanent=True) if event.source == "a" else Delivered()
    outbox.announce(receiver.delivery(waits=True))
    for value, second in ((1, 1), (2, 2)):
        for place in "ab":
            load(loader, place, version(1, value, second), source=place)
            outbox.drain(receiver.delivery(waits=True))
    assert [(event.source, event.type) for event in receiver.got] == [("b", "made"), ("b", "changed")]
    assert outbox.marks() == {"pending": 0, "blocked": 1, "waiting": 1, "dead_letters": 1}
    assert outbox.query("select source, table_schema, table_name from eventgen.dead_letters") == [("a", "a", "orders")]


def test_a_record_that_two_pipelines_can_t_load_is_kept_for_each(loader: Loader) -> None:
    for _ in range(2):
        for place in "ab":
            wrong = record("orders", id=1, value="much")
            load(loader, place, wrong, on_invalid_record="dead_letter", source=place)
    kept = loader.query("select source, table_schema, table_name, stream from eventgen.invalid_records order by 1")
    assert kept == [("a", "a", "orders", "orders"), ("b", "b", "orders", "orders")]


def test_a_database_of_earlier_code_goes_on_with_no_event_twice_and_none_lost(loader: Loader) -> None:
    wrong = record("orders", id=9, value="much")
    kept = {"on_invalid_record": "dead_letter", "source": "s"}
    load_by_earlier_code(loader, "a", version(1, 1, 1), version(2, 1, 1), wrong, **kept)
    before = loader.events("id, type, subject")
    loader.query("delete from a.orders where id = 1")  # the same transition, computed once more
    load(loader, "a", version(1, 1, 1), version(2, 1, 1), version(2, 2, 2), wrong, **kept)
    load(loader, "b", version(1, 1, 1), version(2, 1, 1), version(2, 2, 2), wrong, **kept)
    after = loader.events("id, type, subject")
    assert after[:2] == before
    assert told(loader, "a") == [("changed", "orders/2")]
    assert told(loader, "b") == [("made", "orders/1"), ("made", "orders/2"), ("changed", "orders/2")]
    assert len({id_ for id_, *_ in after}) == len(after) == 6
    assert loader.query("select table_schema from eventgen.invalid_records order by sequence") == [(None,), ("b",)]
    loader.query("delete from a.orders; delete from b.orders")
    for place in "ab":
        load(loader, place, version(1, 1, 1), version(2, 1, 1), version(2, 2, 2), **kept)
    assert loader.events("id, type, subject") == after


def test_tables_of_earlier_code_whose_streams_have_one_name_lose_no_event_any_more(loader: Loader) -> None:
    for place in "ab":
        load_by_earlier_code(loader, place, version(1, 1, 1))
    assert loader.events() == [("made", "1")]  # what was lost is lost
    for _ in range(2):
        for place in "ab":
            load(loader, place, version(1, 2, 2), version(2, 1, 3))
    assert told(loader, "a") == told(loader, "b") == [("changed", "orders/1"), ("made", "orders/2")]


@pytest.mark.parametrize("ordered", [True, False])
def test_what_earlier_code_recorded_keeps_its_place_in_the_order_of_its_row(loader: Loader, *, ordered: bool) -> None:
    """Of which table it is isn't known, so that what comes after it waits for it, of either."""
    outbox, receiver = Outbox(loader.database), Receiver(ordered=ordered)
    outbox.announce(receiver.delivery())
    load_by_earlier_code(loader, "a", version(1, 1, 1), version(2, 1, 1))
    for place in "ab":
        load(loader, place, version(1, 2, 2))
    loader.query(EARLIER_DELIVERY)
    receiver.answer = lambda event: Failed("no", permanent=True) if event.subject == "orders/1" else Delivered()
    outbox.drain(receiver.delivery())
    assert [event.subject for event in receiver.got] == ["orders/2"]
    assert outbox.marks() == {"pending": 0, "blocked": 1, "waiting": 2, "dead_letters": 1}
    receiver.answer = lambda _: Delivered()
    assert redelivery.retry(loader.database, redelivery.LetterFilter()) == 1
    load(loader, "a", version(1, 3, 3))
    outbox.drain(receiver.delivery())
    assert [event.type for event in receiver.got[1:]] == ["made", "changed", "made", "changed"]
    assert outbox.marks() == EMPTY
