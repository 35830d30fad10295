"""`delivery: before_commit`: a real receiver, a real Postgres, and what either must not see of the other too early."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from target_eventgen import failpoints
from tests.support.loading import Loader
from tests.support.messages import lines, record, schema, state
from tests.support.ports import free_port
from tests.support.receiver import Answer, Receiver, Request
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

CREATED = {"type": "subscription.created", "stream": "subscriptions", "on": "created"}
PASSED = {"type": "subscription.passed", "stream": "subscriptions", "enters": "value > 100"}
ORDERED = {"type": "order.created", "stream": "orders", "on": "created"}


def webhook(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": url, "allow_private_addresses": True, "timeout": 20, **settings}


def settings(*urls: str, events: Any = (CREATED, PASSED), **others: Any) -> dict[str, Any]:
    publishers = [webhook(url, name=f"hook-{number}") for number, url in enumerate(urls)]
    return {"delivery": "before_commit", "publishers": publishers, "events": list(events), **others}


def version(value: float, day: int = 1, id_: int = 1) -> dict[str, Any]:
    return record(id=id_, value=value, status="active", updated_at=f"2026-01-{day:02}T00:00:00Z")


def recorded(loader: Loader) -> list[str]:
    return [id_ for (id_,) in loader.events("id")]


def rows(loader: Loader) -> list[tuple[Any, ...]]:
    return loader.query("select id, value from subscriptions order by id")


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """The one message of a run that committed nothing."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_an_event_is_out_before_its_row_can_be_seen_and_state_comes_after_both(
    loader: Loader, receiver: Receiver
) -> None:
    seen: list[Any] = []

    def look(_: Request) -> Answer:
        seen.append((loader.query("select count(*) from subscriptions"), recorded(loader)))
        return Answer()

    receiver.answer = look
    assert loader.load([schema(), version(150), state({"a": 1})], **settings(receiver.url)) == [{"a": 1}]
    assert seen == [([(0,)], [])] * 2
    assert receiver.ids == recorded(loader)
    assert [json.loads(request.body)["type"] for request in receiver.requests] == [CREATED["type"], PASSED["type"]]
    assert rows(loader) == [(1, 150)]


@pytest.mark.parametrize("how", ["down", "refuses for good", "fails for the moment", "hangs up"])
def test_a_receiver_that_fails_leaves_rows_and_state_as_they_were_and_the_next_run_delivers(
    loader: Loader, receiver: Receiver, how: str
) -> None:
    loader.load([schema(), version(50)], **settings(receiver.url))
    before, told = rows(loader), recorded(loader)
    receiver.requests.clear()
    nowhere = f"http://localhost:{free_port()}/"
    statuses = {"refuses for good": 400, "fails for the moment": 503, "hangs up": 0}
    receiver.answer = lambda _: Answer(statuses.get(how, 200))
    messages = [schema(), version(150, 2), state({"a": 2})]
    message = failed(loader.run(messages, **settings(nowhere if how == "down" else receiver.url)))
    assert "nothing since the last STATE is committed" in message
    assert rows(loader) == before
    assert recorded(loader) == told
    ghosts = receiver.ids
    receiver.requests.clear()
    receiver.answer = lambda _: Answer()
    assert loader.load(messages, **settings(receiver.url)) == [{"a": 2}]
    assert rows(loader) == [(1, 150)]
    assert receiver.ids == recorded(loader)[len(told) :]
    assert set(ghosts) <= set(receiver.ids)


def killed_before_commit(loader: Loader, messages: list[Any], tmp_path: Path, **given: Any) -> None:
    place = tmp_path / "reached"
    environment = {**loader.environment(), "TARGET_EVENTGEN_FAILPOINT": f"{failpoints.BEFORE_COMMIT}:1:{place}"}
    loader.environment = lambda: environment  # type: ignore[method-assign]  # for one process
    process = loader.start(**given)
    del loader.environment
    assert process.stdin is not None
    process.stdin.write(lines(messages))
    process.stdin.flush()
    wait_until(place.exists, what=lambda: f"the failpoint of a process whose status is {process.poll()}")
    process.kill()
    out, _ = process.communicate()
    assert out == ""
    place.unlink()


def test_a_crash_between_publication_and_commit_brings_the_same_ids_again(
    loader: Loader, receiver: Receiver, tmp_path: Path
) -> None:
    messages = [schema(), version(150), version(80, 2), state({"a": 1})]
    killed_before_commit(
        loader, [*messages, *[state({"a": 1})] * 2], tmp_path, **settings(receiver.url, batch_size_rows=1)
    )
    ghosts = receiver.ids
    assert ghosts
    assert loader.query("select to_regclass('subscriptions') is null or not exists (select from subscriptions)") == [
        (True,)
    ]
    assert recorded(loader) == []
    receiver.requests.clear()
    loader.load(messages, **settings(receiver.url))
    assert receiver.ids == ghosts == recorded(loader)


def test_the_id_of_a_ghost_is_never_among_the_recorded_ones(loader: Loader, receiver: Receiver, tmp_path: Path) -> None:
    given = settings(receiver.url, batch_size_rows=1)
    loader.load([schema(), version(50)], **given)
    receiver.requests.clear()
    killed_before_commit(loader, [schema(), version(150, 2), state({})], tmp_path, **given)
    (ghost,) = receiver.ids
    # Before the next run the source has changed its mind.
    loader.load([schema(), version(90, 3), version(300, 4)], **given)
    assert ghost not in recorded(loader)
    assert receiver.ids[0] == ghost
    assert receiver.ids[1:] == recorded(loader)[-1:]
    assert loader.query(f"select exists (select from eventgen.events where id = '{ghost}')") == [(False,)]


def test_nothing_is_published_before_the_decisions_of_all_streams_are_final(loader: Loader, receiver: Receiver) -> None:
    """A stream whose write asks for a retry comes behind one whose events were decided already."""
    orders = schema("orders", {"id": {"type": "integer"}}, version=None)
    given = settings(receiver.url, events=[CREATED, ORDERED])
    loader.load([orders, schema()], **given)
    loader.query(
        "create sequence attempts; create function once() returns trigger language plpgsql as $$ begin"
        " if nextval('attempts') = 1 then raise exception using errcode = '40001', message = 'again'; end if;"
        " return new; end $$; create trigger once before insert on subscriptions for each row execute function once()"
    )
    loader.load([orders, schema(), record("orders", id=1), version(1)], **given)
    assert loader.query("select last_value >= 2 from attempts") == [(True,)]
    assert sorted(receiver.ids) == sorted(recorded(loader))
    assert len(receiver.ids) == 2


def test_what_would_forbid_the_commit_forbids_the_publication(loader: Loader, receiver: Receiver) -> None:
    given = settings(receiver.url)
    loader.load([schema()], **given)
    loader.query("alter table subscriptions add unique (status) deferrable initially deferred")
    message = failed(loader.run([schema(), version(1), version(2, id_=2)], **given))
    assert "constraint" in message
    assert receiver.requests == []
    assert rows(loader) == []


def test_locks_are_let_go_after_so_many_seconds_though_the_receiver_still_thinks(
    loader: Loader, receiver: Receiver
) -> None:
    given = settings(receiver.url, max_lock_seconds=3)
    loader.load([schema(), version(50)], **given)
    waited: list[float] = []

    def think(_: Request) -> Answer:
        started = time.monotonic()
        loader.query("update subscriptions set status = 'mine' where id = 1")
        waited.append(time.monotonic() - started)
        return Answer(wait=8)

    receiver.answer = think
    message = failed(loader.run([schema(), version(150, 2)], **given))
    assert "max_lock_seconds (3)" in message
    assert 0.05 < waited[0] < 15  # or it would be as long as the receiver's time for an answer
    assert loader.query("select value, status from subscriptions") == [(50, "mine")]


def test_a_transaction_that_publishes_too_slowly_ends_and_says_what_to_do(loader: Loader, receiver: Receiver) -> None:
    receiver.answer = lambda _: Answer(wait=0.3)
    given = settings(receiver.url, max_lock_seconds=1)
    given["publishers"][0]["connections"] = 1
    started = time.monotonic()
    message = failed(loader.run([schema(), *(version(1, id_=number) for number in range(60))], **given))
    assert "batch_size_rows" in message
    assert time.monotonic() - started < 60
    assert rows(loader) == []


def test_every_publisher_gets_its_own_and_one_that_fails_rolls_all_back(loader: Loader, receiver: Receiver) -> None:
    with Receiver() as other:
        given = settings(receiver.url, other.url)
        given["publishers"][1]["events"] = ["*.passed"]
        other.answer = lambda _: Answer(503)
        failed(loader.run([schema(), version(150)], **given))
        assert len(receiver.ids) == 2
        assert len(other.ids) == 1
        assert rows(loader) == []
        other.answer = lambda _: Answer()
        loader.load([schema(), version(150)], **given)
        assert receiver.ids == recorded(loader) * 2
        assert other.ids == recorded(loader)[1:] * 2


def test_nothing_is_left_for_a_relay(loader: Loader, receiver: Receiver) -> None:
    given = settings(receiver.url)
    loader.load([schema(), version(1)], **{**given, "delivery": "after_load"})
    assert receiver.ids == recorded(loader)
    loader.load([schema(), version(1, id_=2)], **given)
    assert receiver.ids == recorded(loader)
    assert loader.query("select count(*) from eventgen.pending") == [(0,)]


def test_a_large_checkpoint_is_published_whole_and_each_key_in_its_order(loader: Loader, receiver: Receiver) -> None:
    given = settings(receiver.url)
    given["publishers"][0] |= {"mode": "batch", "connections": 2}
    versions = [version(value, day, id_) for day, value in ((1, 1), (2, 150), (3, 1), (4, 160)) for id_ in range(700)]
    loader.load([schema(), *versions], **given)
    came = [event for request in receiver.requests for event in json.loads(request.body)]
    assert sorted(event["id"] for event in came) == sorted(recorded(loader))
    assert len(came) == 700 * 3
    by_key: dict[str, list[str]] = {}
    for event in came:
        by_key.setdefault(event["subject"], []).append(event["sequence"])
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


def test_a_connection_that_breaks_after_the_publication_repeats_the_whole_with_the_same_ids(
    loader: Loader, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = False

    def break_once(name: str) -> None:
        nonlocal broken
        if name == failpoints.BEFORE_COMMIT and not broken:
            broken = True
            with closing(psycopg2.connect(loader.database)) as connection, connection.cursor() as cursor:
                cursor.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'target-eventgen' and datname = current_database()"
                )

    monkeypatch.setattr(failpoints, "action", break_once)
    loader.load([schema(), version(150)], **settings(receiver.url))
    assert broken
    assert receiver.ids == recorded(loader) * 2
    assert rows(loader) == [(1, 150)]


@pytest.mark.parametrize("publishers", [[], [{"type": "stdout"}]])
def test_without_publishers_the_setting_is_refused(loader: Loader, publishers: list[Any]) -> None:
    message = failed(loader.run([], delivery="before_commit", publishers=publishers))
    assert re.search("delivery is before_commit, but there are no publishers", message)
