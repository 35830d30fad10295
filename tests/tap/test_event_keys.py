"""What one event of a feed says of its object: its key, however it is written, and when it happened."""

from __future__ import annotations

import pytest

from tap_restextract.errors import AnswerError
from tap_restextract.singer.schema import typed_key
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks.feed_events import (
    MAX_SHOWN_TYPES,
    SeenTypes,
    carried_object,
    deleted_key,
    key_text,
    object_scope,
)
from tap_restextract.walks.steps import Page
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import COMPOUND, UNIQUE, plan
from tests.support.walks import LATER

pytestmark = pytest.mark.pure


def test_one_object_is_one_whether_its_key_is_a_text_or_a_number() -> None:
    made = plan(feed={"path": "/events", **UNIQUE, "types": ["*"], "object_path": "is", "key": {"id": "item"}})
    assert carried_object(made, {"item": "1", "is": {"id": 1, "rev": 2}}) == {"id": 1, "rev": 2}
    assert key_text(made, {"id": 1}) == key_text(made, {"id": "1"}) != key_text(made, {"id": "01"})
    given = [
        ({"type": "integer"}, "12", 12),
        ({"type": "integer"}, "012", "012"),
        ({"type": ["string", "null"]}, 12, "12"),
    ]
    assert [typed_key(definition, key) for definition, key, _ in given] == [key for *_, key in given]
    assert typed_key({"type": ["integer", "string"]}, "12") == "12"
    assert typed_key(None, 12) == 12


def test_an_event_without_what_its_object_is_fetched_by_is_an_error_and_no_deletion() -> None:
    made = plan(feed={"path": "/events", **UNIQUE, "types": ["*"], "fetch_path": "/things/{event.item}"})
    for event in ({"id": 7}, {"id": 7, "item": None}):
        with pytest.raises(AnswerError, match="an event has no item, which fetch_path needs"):
            object_scope(made, event)


@pytest.mark.parametrize(("zone", "is_told"), [({}, True), ({"timezone": "UTC"}, False)])
def test_events_at_times_of_no_zone_are_told(zone: dict[str, str], *, is_told: bool) -> None:
    facts = {"cursor_path": "updated_at", "tie_breaker": "id", "filter": "compound", "initial_value": "24.11.2026"}
    incremental = {**facts, **zone, "cursor_formats": ["%d.%m.%Y", "%d.%m.%Y %H:%M:%S"]}
    made = plan(feed={**COMPOUND, "path": "/events", "types": ["*"], "incremental": incremental})
    sub_walk = stream_walk_for(made, None, now="2026-11-24T12:00:00Z").next()
    assert sub_walk is not None
    step, events, told = next(sub_walk.steps), [{"id": 1, "updated_at": "2026-11-24T10:00:00", "data": {"id": 2}}], 0
    assert step.request is not None
    assert step.request.cursor == Cursor("2026-11-23")
    while step.request is not None:
        page, events = Page(events, None, LATER), []
        step = sub_walk.steps.send(page)
        told += sum("has no offset from UTC" in notice for notice in step.notices)
    assert told == is_told


@pytest.mark.parametrize(
    ("path", "key"), [("/shops/{event.data.shop}/{event.data.id}", (1, 12)), ("/things/{event.data.id}", None)]
)
def test_what_an_event_has_for_a_key_of_two_parts_is_believed_where_the_object_is_fetched_by_both(
    path: str, key: tuple[int, int] | None
) -> None:
    feed = {"path": "/events", **UNIQUE, "types": ["*"], "object_path": "data", "fetch_path": path}
    made, event = plan(primary_key=["shop", "id"], feed=feed), {"id": 7, "data": {"shop": 1, "id": 12}}
    if key is not None:
        assert deleted_key(made, event, is_confirmed=None) == key
    else:
        with pytest.raises(AnswerError, match="isn't what its object is fetched by"):
            deleted_key(made, event, is_confirmed=None)


def test_as_many_types_of_other_events_are_kept_as_are_shown() -> None:
    seen = SeenTypes()
    for number in range(50):
        seen.take(f"kind.{number}", is_told=False)
    seen.take("mine", is_told=True)
    assert (len(seen.others), seen.told_count) == (MAX_SHOWN_TYPES, 1)
