"""Webhooks and polling of one stream: what notifications tell of, in every form, and what polling finds they missed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.webhooks.notifications import Notification
from tap_restextract.webhooks.queues.locations import open_queue
from tests.support.api import Api, Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.receiving import SCHEMA, configuration, event

POLLED: dict[str, Any] = {
    "path": "/things",
    "params": {"since": "{cursor.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "filter": "inclusive"},
}


class Things:
    """An API's list, which a test may change."""

    def __init__(self) -> None:
        self.held: dict[int, dict[str, Any]] = {}
        self.lists = threading.Event()

    def put(self, key: int, second: int, **more: Any) -> dict[str, Any]:
        """A new version; its notification."""
        told = event(key, second, **more)
        self.held[key] = told["data"]
        return told

    def answer(self, asked: Asked) -> Reply:
        """The list from a time on, oldest first; or one thing."""
        if asked.path == "/things":
            since = asked.params.get("since", "")
            listed = [thing for thing in self.held.values() if thing["updated_at"] >= since]
            return Reply(sorted(listed, key=lambda thing: (thing["updated_at"], thing["id"])))
        thing = self.held.get(int(asked.path.rpartition("/")[2]))
        return Reply({"message": "gone"}, 404) if thing is None else Reply(thing)


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def api(things: Things) -> Iterator[Api]:
    with serving(things.answer) as running:
        yield running


def stored(database: str, *events: Mapping[str, Any], source: str = "billing") -> None:
    """As a receiver stores them."""
    with closing(open_queue(database)) as queue:
        queue.store([Notification("things", source, each["type"], json.dumps(each)) for each in events])


def missed(run: Run) -> int | None:
    """What a run counted; None where it didn't."""
    assert run.code == 0, run.err
    found = re.findall(r'"metric":\s*"webhooks_missed",\s*"value":\s*(\d+)', run.err)
    said = re.findall(r"polling found (\d+) records that webhooks missed", run.err)
    assert found == said
    return int(found[0]) if found else None


def ids(records: Sequence[Mapping[str, Any]]) -> list[int]:
    return [record["id"] for record in records]


def test_what_polling_finds_without_a_notification_is_counted_once(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    config = configuration(database, **POLLED, base_url=api.url)
    for key in range(10):
        things.put(key, key)
    stored(database, things.put(0, 20))
    first = tap(tmp_path, config)
    assert missed(first) is None  # nobody was listening before
    told = [things.put(key, 30 + key) for key in range(6)]
    stored(database, *told[:4], told[1])
    second = tap(tmp_path, config, state=first.states[-1])
    assert missed(second) == 2
    assert ids(second.records)[:5] == [0, 1, 2, 3, 1]
    stored(database, things.put(9, 50), *told[4:])
    third = tap(tmp_path, config, state=second.states[-1])
    assert missed(third) == 0
    assert missed(tap(tmp_path, config, state=third.states[-1])) == 0


def test_the_queue_drains_into_files_too_and_state_names_its_place_and_the_polls(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    storage = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": (tmp_path / "f").as_uri()}}
    config = configuration(database, **POLLED, base_url=api.url) | {"batch_config": storage}
    stored(database, *[things.put(key, key) for key in range(4)])
    things.put(9, 9)
    states: list[Any] = [None]
    for files in (1, 0):
        done = tap(tmp_path, config, state=states[-1])
        assert done.code == 0, done.err
        assert sum(message["type"] == "BATCH" for message in done.messages) == files
        states.append(done.states[-1])
    assert states[1]["bookmarks"]["things"]["replication_key_value"] == things.held[9]["updated_at"]
    with closing(open_queue(database)) as queue:
        assert queue.length() == 0


def test_a_version_older_than_the_polled_one_does_not_hide_what_was_missed(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    config = configuration(database, **POLLED, base_url=api.url)
    things.put(1, 1)
    first = tap(tmp_path, config)
    stored(database, things.put(1, 2))
    things.put(1, 3)
    assert missed(tap(tmp_path, config, state=first.states[-1])) == 1


def test_a_notification_that_comes_while_the_list_is_polled_was_not_missed(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    config = configuration(database, **POLLED, base_url=api.url)
    things.put(1, 1)
    first = tap(tmp_path, config)
    late = things.put(1, 2)

    def answer(asked: Asked) -> Reply:
        stored(database, late)
        return things.answer(asked)

    api.answers = answer
    second = tap(tmp_path, config, state=first.states[-1])
    assert missed(second) == 0
    assert second.states[-1]["bookmarks"]["things"]["webhooks"]["position"]


def test_without_a_replication_key_contents_are_compared(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    config = configuration(database, path="/things", base_url=api.url, incremental=None)
    for key in range(3):
        things.put(key, key)
    first = tap(tmp_path, config)
    assert missed(tap(tmp_path, config, state=first.states[-1])) == 0
    stored(database, things.put(0, 10))
    things.put(1, 10)
    second = tap(tmp_path, config, state=first.states[-1])
    assert missed(second) == 1


def test_thin_notifications_fetch_the_object_as_it_is_now_once_a_batch_and_emit_what_is_gone(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    route = {"stream": "things", "key": {"id": "data.id"}, "fetch_path": "/things/{event.data.id}"}
    config = configuration(database, {"streams": [route]}, base_url=api.url, concurrency=3)
    thin = [{"type": "thing.updated", "timestamp": "2026-01-01T00:00:09Z", "data": {"id": key}} for key in range(4)]
    for key in range(3):
        things.put(key, key, value=7)
    stored(database, *thin, *thin)
    run = tap(tmp_path, config)
    assert run.code == 0, run.err
    assert sorted(ids(run.records)) == [0, 1, 2, 3]
    by_id = {record["id"]: record for record in run.records}
    assert all(by_id[key]["value"] == 7 for key in range(3))
    assert by_id[3]["_sdc_deleted_at"]
    assert len(api.asked) == 4


def test_a_request_for_one_object_that_finds_no_listed_one_either_makes_up_no_deletion(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    """Every notification would be taken for a deletion, though the list has its object."""
    route = {"stream": "things", "key": {"id": "data.id"}, "fetch_path": "/things/9{event.data.id}"}
    config = configuration(database, {"streams": [route]}, path="/things", base_url=api.url, incremental=None)
    stored(database, *(things.put(key, key) for key in range(3)))
    run = tap(tmp_path, config)
    assert run.code == 1
    assert "/things/90, GET http://127.0.0.1:" in run.err
    assert (
        "so that each object would be taken for deleted; correct fetch_path, what fills it, or fetch_records" in run.err
    )
    assert run.records == []
    stored(database, {"type": "thing.updated", "data": {"id": 7}})
    honest = {"streams": [{**route, "fetch_path": "/things/{event.data.id}"}]}
    right = tap(tmp_path, configuration(database, honest, path="/things", base_url=api.url, incremental=None))
    assert sorted(ids(right.records)) == [0, 0, 1, 1, 2, 2, 7]


def test_a_deletion_that_a_listed_object_belies_not_costs_two_requests(
    tmp_path: Path, database: str, things: Things, api: Api
) -> None:
    route = {"stream": "things", "key": {"id": "data.id"}, "fetch_path": "/things/{event.data.id}"}
    things.put(0, 0)
    stored(database, {"type": "thing.updated", "data": {"id": 7}}, {"type": "thing.updated", "data": {"id": 8}})
    config = configuration(database, {"streams": [route]}, path="/things", base_url=api.url, incremental=None)
    run = tap(tmp_path, config)
    assert run.code == 0, run.err
    assert [record["id"] for record in run.records if "_sdc_deleted_at" in record] == [7, 8]
    assert [each.path for each in api.asked] == ["/things/7", "/things/8", "/things", "/things/0", "/things"]


def test_deletions_and_versions_come_from_where_the_configuration_says(tmp_path: Path, database: str) -> None:
    source = {
        "time_path": "at",
        "streams": [
            {"stream": "things", "types": ["a"], "object_path": "many[*]"},
            {"stream": "things", "types": ["gone"], "deleted_types": ["gone"], "key": {"id": "thing.id"}},
        ],
    }
    config = configuration(
        database,
        source,
        incremental={"cursor_path": "meta.updated_at"},
        schema={**SCHEMA, "properties": {**SCHEMA["properties"], "meta": {"type": "object"}}},
    )
    at = "2026-01-01T00:00:09Z"
    stored(
        database,
        {"type": "a", "at": at, "many": [{"id": 1}, {"id": 2, "meta": {"updated_at": "2026-01-01T00:00:08Z"}}]},
        {"type": "gone", "at": at, "thing": {"id": 1}},
        {"type": "other", "at": at},
    )
    run = tap(tmp_path, config)
    assert run.code == 0, run.err
    assert run.records == [
        {"id": 1, "meta__updated_at": at},
        {"id": 2, "meta": {"updated_at": "2026-01-01T00:00:08Z"}, "meta__updated_at": "2026-01-01T00:00:08Z"},
        {"id": 1, "meta__updated_at": at, "_sdc_deleted_at": at},
    ]
    assert "1 notifications that were stored concern no stream" in run.err


def test_a_stored_notification_that_can_no_longer_be_read_stops_the_stream_and_stays(
    tmp_path: Path, database: str
) -> None:
    stored(database, event(1, 1))
    run = tap(tmp_path, configuration(database, {"streams": [{"stream": "things", "object_path": "nowhere"}]}))
    assert run.code == 1
    assert "a notification of source billing has no object at 'nowhere'; set object_path" in run.told[0]
    assert ids(tap(tmp_path, configuration(database)).records) == [1]


def test_a_position_of_another_queue_or_after_this_ones_end_is_none(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    stored(database, event(1, 1))
    held = json.dumps(tap(tmp_path, config).states[-1])
    for wrong in (
        held.replace('"position": "1"', '"position": "99"'),
        re.sub('"queue": "[^"]*"', '"queue": "x"', held),
    ):
        assert wrong != held
        run = tap(tmp_path, config, state=json.loads(wrong))
        assert ids(run.records) == [1]
        assert "a position that this queue of webhooks doesn't have" in run.err
    broken = json.loads(held)
    broken["bookmarks"]["things"]["webhooks"]["position"] = 1
    run = tap(tmp_path, config, state=broken)
    assert (run.code, run.records) == (1, [])
    assert "reset this stream's STATE" in run.told[0]
