"""What answers may contradict of a feed's facts: whose events they are, of which object, and what has expired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError, TapError, WalkError
from tap_restextract.plan.plan import plans_for
from tests.support.api import Api, Asked, Reply, serving
from tests.support.processes import tap
from tests.support.runs import Came, Runs

SCHEMA = {"type": "object", "properties": {"id": {"type": ["integer", "string"]}}}
FEED: dict[str, Any] = {
    "path": "/events",
    "params": {"after": "{cursor.n}"},
    "incremental": {"cursor_path": "n", "filter": "exclusive"},
    "types": ["item.*"],
    "deleted_types": ["item.deleted"],
}
FETCHED: dict[str, Any] = {"fetch_path": "/items/{event.item}", "key": {"id": "item"}}


@dataclass
class Items:
    """Items by their ids, and events by their numbers.

    Attributes:
        feed: answers the feed instead, where it does.
        listed: what the list shows instead; None for the items.
    """

    items: dict[int, Any] = field(default_factory=lambda: {1: {"id": 1, "rev": 0}, 2: {"id": 2, "rev": 0}})
    events: list[dict[str, Any]] = field(default_factory=lambda: [{"n": 1, "type": "other", "item": 1}])
    feed: Callable[[int], Reply | None] = lambda _: None
    asked: list[str] = field(default_factory=list)
    listed: list[dict[str, Any]] | None = None

    def add(self, number: int, **event: Any) -> None:
        self.events.append({"n": number, "type": "item.changed", **event})

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked.path)
        if asked.path == "/events":
            after = int(asked.params.get("after", 0))
            return self.feed(after) or Reply({"data": [event for event in self.events if event["n"] > after][:4]})
        if asked.path == "/items" and self.listed is not None:
            return Reply({"data": self.listed})
        if asked.path == "/items":
            return Reply({"data": [item for item in self.items.values() if isinstance(item, dict)]})
        item = self.items.get(int(asked.path.split("/")[2]), Reply({}, 404))
        item = item.pop(0) if isinstance(item, list) else item
        return item if isinstance(item, Reply) else Reply(item)


@dataclass
class Changing(Items):
    """Items of which the list, once it is changing, shows another version each time."""

    is_changing: bool = False

    def answer(self, asked: Asked) -> Reply:
        reply = super().answer(asked)
        return (
            Reply({"data": [{"id": 4, "rev": len(self.asked)}]})
            if self.is_changing and asked.path == "/items"
            else reply
        )


def config(api: Api, *, rules: list[dict[str, Any]] | None = None, **facts: Any) -> dict[str, Any]:
    items = {
        "name": "items",
        "path": "/items",
        "primary_key": ["id"],
        "schema": SCHEMA,
        "response_rules": rules or [],
        "feed": {**FEED, **facts},
    }
    return {"base_url": api.url, "records": "data", "streams": [items]}


def followed(items: Items, change: Callable[[], None], **facts: Any) -> Came:
    """What a second run wrote, after a change."""
    with serving(items.answer) as api, Runs(config(api, **facts)) as runs:
        first = runs.run()
        assert first.ids == [1, 2]
        assert first.notices == []
        change()
        return runs.run(now="2026-01-01T00:00:00Z")


def refused(items: Items, change: Callable[[], None], kind: type[TapError] = AnswerError, **facts: Any) -> str:
    """The error that a second run ends with."""
    with pytest.raises(kind) as caught:
        followed(items, change, **facts)
    return str(caught.value)


def deleted(key: Any) -> dict[str, Any]:
    return {"id": key, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}


@pytest.mark.in_process
def test_an_event_names_its_object_where_key_says() -> None:
    items = Items()

    def change() -> None:
        items.items[1]["rev"] = 1
        del items.items[2]
        items.add(7, item=1)
        items.add(8, item=2)
        items.add(9, item=5, type="item.deleted")

    assert followed(items, change, **FETCHED).records == [{"id": 1, "rev": 1}, deleted(2), deleted(5)]


@pytest.mark.in_process
def test_objects_come_in_the_order_of_their_last_events() -> None:
    items = Items()

    def change() -> None:
        for number, item in ((7, 1), (8, 2), (9, 1)):
            items.add(number, item=item)

    assert [record["id"] for record in followed(items, change, **FETCHED).records] == [2, 1]


@pytest.mark.in_process
def test_an_event_that_carries_its_object_takes_the_key_from_where_key_says_and_may_not_contradict_it() -> None:
    items = Items()
    facts: dict[str, Any] = {"object_path": "is", "key": {"id": "item"}}
    came = followed(items, lambda: items.add(7, item=1, **{"is": {"rev": 4}}), **facts)
    assert came.records == [{"id": 1, "rev": 4}]
    other = Items()
    said = refused(other, lambda: other.add(7, item=1, **{"is": {"id": 9}}), **facts)
    assert "names another object by feed.key than it carries at is" in said
    nameless = Items()
    said = refused(nameless, lambda: nameless.add(7, item=None, **{"is": {"id": 9}}), **facts)
    assert "an event has no item, where feed.key says that it names its object's id" in said


@pytest.mark.in_process
@pytest.mark.parametrize(
    ("facts", "event"),
    [
        ({}, {"type": "item.deleted"}),
        ({}, {"type": "item.deleted", "data": {"change": 12}}),
        ({"fetch_path": "/items/{event.item}"}, {"item": 2, "data": {"id": 12}, "type": "item.deleted"}),
        ({"fetch_path": "/items/{event.item}"}, {"item": 3, "data": {"id": 12}}),
        ({"fetch_path": "/items/{event.item}"}, {"item": 3}),
    ],
    ids=["no object", "no key", "another value than is fetched", "the same, gone", "nothing that names it, gone"],
)
def test_a_deletion_whose_object_can_not_be_told_is_no_deletion_but_an_error_that_shows_key(
    facts: dict[str, Any], event: dict[str, Any]
) -> None:
    items = Items()
    said = refused(items, lambda: items.add(7, **event), **facts)
    assert "its event doesn't say which one" in said
    assert said.endswith("write where an event names its object, key: {id: PATH}")


@pytest.mark.in_process
def test_what_events_have_for_a_key_is_believed_once_an_object_that_was_fetched_has_it_and_not_once_one_has_another() -> (
    None
):
    facts: dict[str, Any] = {"fetch_path": "/items/{event.item}"}
    items = Items()

    def consistent() -> None:
        items.items[100] = {"id": 1}  # fetched by what is no key of it
        items.add(7, item=100, data={"id": 1})
        items.add(8, item=200, data={"id": 2})

    assert followed(items, consistent, **facts).records == [{"id": 1}, deleted(2)]
    other = Items()

    def contradicting() -> None:
        other.add(7, item=1, data={"id": 71})
        other.add(8, item=2, data={"id": 2})
        other.add(9, item=72, data={"id": 72})

    assert "isn't what its object is fetched by" in refused(other, contradicting, **facts)
    named = Items()

    def merged() -> None:
        named.items[1] = {"id": 2}  # what `key` says of one event holds, whatever another's object has become
        named.add(7, item=1)
        named.add(8, item=5, type="item.deleted")

    assert followed(named, merged, **FETCHED).records == [{"id": 2}, deleted(5)]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (
            {
                "object_path": "$",
                "incremental": {"cursor_path": "id", "filter": "exclusive"},
                "params": {"after": "{cursor.id}"},
            },
            "whose id is the event's own",
        ),
        ({"key": {"uid": "item"}}, "feed.key names uid, and the primary_key is id; write key: {id: PATH}"),
        ({"deleted_types": ["items.gone"]}, "feed.deleted_types has 'items.gone', which is none of feed.types"),
        ({"expired": {}}, "feed.expired has no condition"),
    ],
)
def test_facts_of_a_feed_that_contradict_each_other_are_refused(facts: dict[str, Any], fault: str) -> None:
    stream = {"name": "items", "path": "/items", "primary_key": ["id"], "feed": {**FEED, **facts}}
    with pytest.raises(ConfigurationError, match="feed") as caught:
        plans_for(read_settings({"base_url": "http://api.test", "streams": [stream]}))
    assert fault in str(caught.value)


@pytest.mark.in_process
def test_types_are_compared_as_json_writes_them_and_a_mark_in_the_event_tells_a_deletion() -> None:
    items = Items(events=[])

    def change() -> None:
        items.add(7, type=True, data={"id": 1, "rev": 1})
        items.add(8, type=False, data={"id": 2, "rev": 1})
        items.add(9, type=1, data={"id": 3}, removed="false")
        items.add(10, type=None, data={"id": 4}, removed=1)

    facts = {"types": ["true", "1", "null"], "deleted_types": [], "deleted_path": "removed"}
    assert followed(items, change, **facts).records == [{"id": 1, "rev": 1}, {"id": 3}, deleted(4)]


@pytest.mark.in_process
def test_events_without_a_type_are_an_error_unless_all_types_are_asked_for() -> None:
    items = Items(events=[])
    said = refused(items, lambda: items.add(7, data={"id": 1}), type_path="kind")
    assert "no event has a kind, which feed.types are compared with" in said
    other = Items(events=[])
    assert followed(
        other, lambda: other.add(7, data={"id": 1}), type_path="kind", types=["*"], deleted_types=[]
    ).ids == [1]


def test_a_deletion_has_its_key_as_the_schema_has_it_however_the_event_writes_it(tmp_path: Path) -> None:
    """The text "2" is no key of a column of integers: the target refused it, or made its key a text."""
    items = Items()
    with serving(items.answer) as api:
        made = config(api, fetch_path="/items/{event.item}", key={"id": "item"})
        made["streams"][0]["schema"] = None
        first = tap(tmp_path, made)
        items.add(7, item="1")
        items.add(8, item="2", type="item.deleted")
        items.add(9, item="3")
        run = tap(tmp_path, made, state=first.states[-1])
    assert run.code == 0, run.err
    assert [(record["id"], "_sdc_deleted_at" in record) for record in run.records] == [(1, False), (2, True), (3, True)]
    assert len([message for message in run.messages if message["type"] == "SCHEMA"]) == 1


def test_types_that_never_come_are_told_with_those_that_do(tmp_path: Path) -> None:
    items = Items()
    with serving(items.answer) as api:
        made = config(api, types=["orders.*"], deleted_types=[])
        first = tap(tmp_path, made)
        items.add(7, data={"id": 1})
        run = tap(tmp_path, made, state=first.states[-1])
        assert run.code == 0
        assert "no event that came is one of feed.types (orders.*); there were item.changed" in run.err


EXPIRIES: dict[str, tuple[Reply, dict[str, Any]]] = {
    "410": (Reply({"error": "sync token is gone"}, 410), {}),
    "400": (
        Reply({"error": "cursor too old"}, 400),
        {"expired": {"http_codes": [400], "error_message_contains": "TOO OLD"}},
    ),
    "200": (
        Reply({"data": None, "error": "cursor_expired"}),
        {"expired": {"predicate": "error", "equals": "cursor_expired"}},
    ),
}


@pytest.mark.in_process
@pytest.mark.parametrize("expiry", EXPIRIES)
def test_a_cursor_that_has_expired_makes_the_list_be_read_again_once(expiry: str) -> None:
    reply, facts = EXPIRIES[expiry]
    items = Items()
    with serving(items.answer) as api, Runs(config(api, **facts)) as runs:
        assert runs.run().ids == [1, 2]
        items.items[3] = {"id": 3}
        items.add(70, data={"id": 1})
        items.feed = lambda after: reply if 0 < after < 70 else None
        came = runs.run()
        assert came.ids == [1, 2, 3]
        (notice,) = came.notices
        assert "the whole list is read again, and what was deleted meanwhile isn't told" in notice
        items.add(71, data={"id": 3, "rev": 1})
        again = runs.run()
        assert again.records == [{"id": 3, "rev": 1}]
        assert again.notices == []
        items.feed = lambda after: reply if after else None
        with pytest.raises(AnswerError, match="though it comes from an answer of this run"):
            runs.run()


@pytest.mark.in_process
def test_a_run_that_dies_while_the_list_is_read_again_reads_it_again() -> None:
    items = Items()
    gone = Reply({}, 410)
    with serving(items.answer) as api, Runs(config(api)) as runs:
        runs.run()
        items.add(70, data={"id": 1})
        items.feed = lambda after: gone if 0 < after < 70 else None
        api.answers = lambda asked: Reply({}, 403) if asked.path == "/items" else items.answer(asked)
        with pytest.raises(AnswerError, match="was answered 403"):
            runs.run()
        api.answers = items.answer
        assert runs.run().ids == [1, 2]


@pytest.mark.in_process
def test_another_refusal_of_the_feed_still_ends_the_run() -> None:
    items = Items()

    def change() -> None:
        items.feed = lambda _: Reply({"error": "cursor too old"}, 400)

    assert "was answered 400" in refused(items, change)


@pytest.mark.in_process
def test_an_object_that_is_there_when_it_is_asked_for_again_is_not_deleted() -> None:
    items = Items()

    def change() -> None:
        items.items[3] = [Reply({}, 404), {"id": 3, "rev": 1}]
        items.add(7, item=3)
        items.add(8, item=1)

    assert followed(items, change, **FETCHED).records == [{"id": 3, "rev": 1}, {"id": 1, "rev": 0}]
    assert items.asked[-4:-1] == ["/items/3", "/items/1", "/items/3"]


@pytest.mark.in_process
def test_a_request_that_finds_no_listed_object_either_makes_up_no_deletion() -> None:
    """Each object would be reported as deleted, though the list has it."""
    items = Items()
    said = refused(items, lambda: items.add(7, item=1), WalkError, **FETCHED | {"fetch_path": "/items/9{event.item}"})
    assert "doesn't find (GET http://127.0.0.1:" in said
    assert "/items/92; records: $), so that each object would be taken for deleted; correct feed.fetch_path" in said


@pytest.mark.in_process
def test_the_first_object_that_is_gone_costs_two_requests_and_each_other_one_none() -> None:
    items = Items()

    def change() -> None:
        items.asked.clear()
        for number, key in enumerate((3, 4, 5), 7):
            items.add(number, item=key)

    assert followed(items, change, **FETCHED).records == [deleted(3), deleted(4), deleted(5)]
    gone = ["/items/3", "/items/4", "/items/5"]
    assert items.asked == ["/events", *gone, "/items/3", "/items", "/items/1", "/items/4", "/items/5", "/events"]


@pytest.mark.in_process
@pytest.mark.parametrize("order", [1, -1])
def test_a_list_that_lags_behind_deletions_contradicts_none_of_them(order: int) -> None:
    """Its first and its last record are gone already."""
    items = Items()

    def change() -> None:
        items.items |= {key: {"id": key, "rev": 0} for key in (3, 4)}
        items.listed = [*items.items.values()][::order]
        items.add(7, item=1)
        items.add(8, item=4)
        del items.items[1], items.items[4]

    assert followed(items, change, **FETCHED).records == [deleted(1), deleted(4)]


@pytest.mark.in_process
def test_what_two_parts_of_the_key_share_does_not_tell_by_which_one_an_object_is_asked_for() -> None:
    """Item 7 of account 7 is gone; items of account 7 aren't each asked for as item 7."""
    items = Items({key: {"id": key, "account": 7} for key in (1, 2, 7)})
    with serving(items.answer) as api:
        facts = config(api, **FETCHED | {"key": {"account": "account", "id": "item"}})
        facts["streams"][0] |= {"primary_key": ["account", "id"], "schema": {"type": "object"}}
        with Runs(facts) as runs:
            runs.run()
            del items.items[7]
            items.add(7, item=7, account=7)
            (gone,) = runs.run(now="2026-01-01T00:00:00Z").records
    assert gone == {"account": 7, **deleted(7)}


@pytest.mark.in_process
@pytest.mark.parametrize("listed", ["nothing", "another object each time"])
def test_where_the_list_shows_nothing_that_stays_what_is_not_found_is_deleted(listed: str) -> None:
    """The list is empty, or what it shows changes each time that it is read, and isn't found."""
    items = Changing()

    def change() -> None:
        items.items, items.is_changing = {}, listed != "nothing"
        items.add(7, item=3)

    assert followed(items, change, **FETCHED).records == [deleted(3)]


@pytest.mark.in_process
def test_an_object_that_comes_with_a_later_event_is_not_asked_for_again() -> None:
    items = Items()

    def change() -> None:
        items.items[3] = [Reply({}, 404), {"id": 3, "rev": 1}]
        items.add(7, item=3)
        items.add(8, item=3)

    assert followed(items, change, **FETCHED).records == [{"id": 3, "rev": 1}]
    assert items.asked.count("/items/3") == 2


@pytest.mark.in_process
def test_an_object_that_a_rule_hides_is_no_deletion_and_an_error_in_its_place_ends_the_run() -> None:
    rules = [{"action": "IGNORE", "http_codes": [403]}]
    items = Items()

    def change() -> None:
        items.items[2] = Reply({}, 403)
        items.add(7, item=2)
        items.add(8, item=1)

    came = followed(items, change, rules=rules, **FETCHED)
    assert came.records == [{"id": 1, "rev": 0}]
    (notice,) = came.notices
    assert "an event's object couldn't be read" in notice
    for answer in ({"error": "try later"}, {"data": None, "error": "try later"}):
        other = Items()
        other.items[1] = {"id": 1}

        def fail(other: Items = other, answer: dict[str, Any] = answer) -> None:
            other.items[1] = answer
            other.add(7, item=1)

        path, told = ("data", "null stands at 'data'") if "data" in answer else ("$", "holds no object with id")
        assert told in refused(other, fail, fetch_records=path, **FETCHED)


@pytest.mark.in_process
@pytest.mark.parametrize(
    "refusal", [Reply({}, 403), Reply({"data": [], "error": "try later"})], ids=["ignored", "an error"]
)
def test_a_list_that_could_not_be_read_is_read_by_the_next_run(refusal: Reply) -> None:
    items = Items()
    made: dict[str, Any] = {"rules": [{"action": "IGNORE", "http_codes": [403]}]}
    with serving(items.answer) as api, Runs(config(api, **made)) as runs:
        api.answers = lambda asked: refusal if asked.path == "/items" else items.answer(asked)
        came = runs.run()
        assert came.ids == []
        assert "the next run reads it again" in came.notices[0]
        api.answers = items.answer
        assert runs.run().ids == [1, 2]
        assert runs.run().ids == []


@pytest.mark.in_process
def test_an_error_in_place_of_events_is_told_and_no_event_is_lost() -> None:
    items = Items()
    with serving(items.answer) as api, Runs(config(api)) as runs:
        runs.run()
        items.add(7, data={"id": 1, "rev": 1})
        items.feed = lambda _: Reply({"data": [], "error": "try later"})
        (notice,) = runs.run().notices
        assert "the feed's answer holds an error and no events" in notice
        items.feed = lambda _: None
        assert runs.run().records == [{"id": 1, "rev": 1}]


@pytest.mark.in_process
@pytest.mark.parametrize(
    "answered",
    [
        lambda events, _: [*reversed(events)],
        lambda events, after: [event for event in events if event["n"] >= after][:2],
        lambda events, _: events[:2],
    ],
    ids=["newest first", "from the cursor on", "whatever the cursor"],
)
def test_a_feed_that_is_not_read_behind_its_cursor_stops_with_an_error(answered: Callable[[Any, int], Any]) -> None:
    items = Items(events=[])

    def change() -> None:
        for number in (7, 8, 9):
            items.add(number, data={"id": number})
        items.feed = lambda after: Reply({"data": answered(items.events, after)})

    assert "n" in refused(items, change, WalkError)
