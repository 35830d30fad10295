"""Hash caches: one contract, kept by SQLite, Redis and Postgres alike, each a real one."""

from __future__ import annotations

import sqlite3
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import CacheError, ConfigurationError
from tap_restextract.exchange.validators import Validator
from tap_restextract.hash_cache.locations import open_cache, redacted_location
from tap_restextract.hash_cache.protocol import BATCH, HashCache
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.queries import execute
from tests.support.servers import Redis
from tests.support.streams import config

Open = Callable[[str], HashCache]
PASSWORD = "s3cr/t"


@pytest.fixture(scope="session")
def valkey() -> Iterator[Redis]:
    """A server that wants a password."""
    with Redis("--requirepass", PASSWORD) as server:
        yield server


@pytest.fixture
def redis_url(valkey: Redis) -> str:
    """An empty Redis."""
    url = f"redis://:s3cr%2Ft@127.0.0.1:{valkey.port}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty cache may lie."""
    if request.param == "sqlite":
        return str(tmp_path / "folder" / "hashes.db")
    url: str = request.getfixturevalue("redis_url" if request.param == "redis" else "database")
    return url


@pytest.fixture
def cache(location: str) -> Iterator[Open]:
    """Opens a stream's part; all parts are closed behind the test."""
    with ExitStack() as stack:
        yield lambda stream: stack.enter_context(closing(open_cache(location, stream)))


def test_a_new_cache_is_empty_and_names_itself_the_same_to_everyone(cache: Open) -> None:
    one, other = cache("a"), cache("b")
    assert one.is_empty()
    assert one.identity
    assert one.identity == other.identity == cache("a").identity


def test_what_was_emitted_is_known_and_the_rest_is_not(cache: Open) -> None:
    one = cache("a")
    one.record_emitted({'["1"]': "h1", '["ü \\u0000 \'"]': "h2"}, one.begin(None))
    assert one.known_hashes(['["1"]', '["2"]', '["ü \\u0000 \'"]']) == {'["1"]': "h1", '["ü \\u0000 \'"]': "h2"}
    assert not one.is_empty()


def test_streams_know_nothing_of_each_other(cache: Open) -> None:
    one, other = cache("a"), cache("a/nulls")
    one.record_emitted({"[1]": "h"}, one.begin(None))
    assert other.is_empty()
    assert other.known_hashes(["[1]"]) == {}
    assert list(other.missing(other.begin(None) + 5)) == []


def test_no_keys_cost_no_work(cache: Open) -> None:
    one = cache("a")
    number = one.begin(None)
    one.record_emitted({}, number)
    one.record_seen([], number)
    one.record_deleted([], number)
    assert one.known_hashes([]) == {}
    assert one.is_empty()


def test_passes_are_counted_up_for_ever_and_over_streams(cache: Open) -> None:
    numbers = [cache("a").begin(None), cache("b").begin(None), cache("a").begin(1), cache("a").begin(90)]
    assert numbers == [1, 2, 3, 91]


def test_a_confirmed_pass_stays_and_a_later_one_is_forgotten(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "old", "[2]": "same"}, first)
    one.finish(first)
    second = one.begin(first)
    one.record_emitted({"[1]": "new", "[3]": "new"}, second)
    again = cache("a")
    third = again.begin(first)
    assert again.known_hashes(["[1]", "[2]", "[3]"]) == {"[2]": "same"}
    again.record_seen(["[2]"], third)
    assert sorted(again.missing(third)) == ["[1]", "[3]"]


@pytest.mark.parametrize("confirmed", [None, 0])
def test_without_a_confirmed_pass_all_contents_are_forgotten(cache: Open, confirmed: int | None) -> None:
    one = cache("a")
    one.record_emitted({"[1]": "h"}, one.begin(None))
    number = one.begin(confirmed)
    assert one.known_hashes(["[1]"]) == {}
    assert list(one.missing(number)) == ["[1]"]
    assert not one.is_empty()


def test_a_pass_that_goes_on_forgets_nothing_of_the_one_it_goes_on_from(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "h"}, first)
    one.finish(first)
    assert one.begin(first) == first + 1
    assert one.known_hashes(["[1]"]) == {"[1]": "h"}


def test_a_validator_is_believed_only_while_state_confirms_its_pass(cache: Open) -> None:
    one, tag, newer = cache("a"), Validator("etag", 'W/"a: \'b"', "request"), Validator("etag", '"c"', "request")
    first = one.begin(None)
    assert one.validator is None
    one.finish(first, tag)
    died = cache("a")
    died.begin(first)
    assert died.validator == tag
    again = cache("a")
    second = again.begin(first)
    assert again.validator == tag
    again.finish(second, newer)
    for confirmed, known in ((None, None), (first, None), (second + 90, None)):
        later = cache("a")
        later.begin(confirmed)
        assert later.validator is known
    last = cache("a")
    third = last.begin(second)
    assert last.validator == newer
    last.finish(third)
    behind = cache("a")
    behind.begin(third)
    assert behind.validator is None
    other = cache("b")
    other.begin(first)
    assert other.validator is None


def test_a_cache_that_lost_a_confirmed_pass_forgets_all(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "h"}, first)
    one.begin(first + 7)
    assert one.known_hashes(["[1]"]) == {}


def test_a_cache_that_lost_the_tail_of_a_confirmed_pass_forgets_all(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "h"}, first)
    one.begin(first)
    assert one.known_hashes(["[1]"]) == {}


def test_only_what_no_pass_saw_since_is_missing(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({f"[{key}]": "h" for key in range(5)}, first)
    one.finish(first)
    second = one.begin(first)
    one.record_seen(["[0]", "[1]", "[9]"], second)
    one.record_emitted({"[2]": "new"}, second)
    assert sorted(one.missing(second)) == ["[3]", "[4]"]
    one.finish(second)
    third = one.begin(second)
    one.record_seen(["[3]"], third)
    assert sorted(one.missing(second)) == ["[4]"]
    assert one.known_hashes(["[9]"]) == {}


def test_what_is_buried_is_missing_no_more_until_it_comes_back(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "h"}, first)
    one.finish(first)
    second = one.begin(first)
    one.record_deleted(["[1]"], second)
    one.finish(second)
    third = one.begin(second)
    assert list(one.missing(third)) == []
    assert one.known_hashes(["[1]"]) == {}
    one.record_emitted({"[1]": "h"}, third)
    assert one.known_hashes(["[1]"]) == {"[1]": "h"}
    one.finish(third)
    assert list(one.missing(one.begin(third))) == ["[1]"]


def test_a_deletion_that_was_not_confirmed_is_emitted_again(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    one.record_emitted({"[1]": "h"}, first)
    one.finish(first)
    one.record_deleted(["[1]"], one.begin(first))
    assert list(one.missing(one.begin(first))) == ["[1]"]


def test_many_keys_may_be_removed_while_they_are_emitted(cache: Open) -> None:
    one = cache("a")
    keys = [f"[{key}]" for key in range(2 * BATCH + 7)]
    first = one.begin(None)
    one.record_emitted(dict.fromkeys(keys, "h"), first)
    assert one.known_hashes(keys) == dict.fromkeys(keys, "h")
    one.finish(first)
    second = one.begin(first)
    told = []
    for key in one.missing(second):
        told.append(key)
        if len(told) % 100 == 1:
            one.record_deleted(told[-100:], second)
    one.record_deleted(told, second)
    assert sorted(told) == sorted(keys)
    assert list(one.missing(second)) == []
    assert sorted(one.missing(one.begin(first))) == sorted(keys)


def test_memory_does_not_grow_with_what_is_missing(cache: Open) -> None:
    one = cache("a")
    first = one.begin(None)
    for start in range(0, 60_000, 5000):
        one.record_emitted({f'["{key:0>60}"]': "hash" for key in range(start, start + 5000)}, first)
    one.finish(first)
    second = one.begin(first)
    tracemalloc.start()
    try:
        assert sum(1 for _ in one.missing(second)) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_sweep_remembers_wherever_its_cache_lies(location: str, tmp_path: Path) -> None:
    records = [{"id": key, "value": "a"} for key in range(3)]
    schema = {"properties": {"id": {"type": "integer"}, "value": {"type": "string"}}}
    with serving(lambda _: Reply(records)) as api:
        configured = config(api.url, sweep=True, hash_cache=location, schema=schema)
        first = tap(tmp_path, configured)
        assert [record["id"] for record in first.records] == [0, 1, 2]
        assert tap(tmp_path, configured, state=first.states[-1]).records == []
        records[1:] = [{"id": 1, "value": "b"}]
        changed, deleted = tap(tmp_path, configured, state=first.states[-1]).records
    assert changed == {"id": 1, "value": "b"}
    assert deleted["id"] == 2
    assert deleted["_sdc_deleted_at"]


def refused(location: str, kind: type[Exception] = ConfigurationError) -> str:
    with pytest.raises(kind) as caught, closing(open_cache(location, "a")):
        pass
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_cache_that_is_not_there_is_reported_without_its_password(scheme: str) -> None:
    told = refused(f"{scheme}://me:s3cret@127.0.0.1:9/0")
    assert f"stream a: the hash cache {scheme}://127.0.0.1:9/0 can't be opened" in told
    assert "s3cret" not in told
    assert "me" not in told.replace("remembers", "").split("can't")[0].replace("stream", "")


def test_a_wrong_password_is_reported_without_it(redis_url: str, database: str) -> None:
    assert "AuthenticationError" in refused(redis_url.replace("s3cr%2Ft", "wr0ng"))
    assert "wr0ng" not in refused(redis_url.replace("s3cr%2Ft", "wr0ng"))
    nobody = urlsplit(database)._replace(path="/nowhere_at_all").geturl()
    assert "can't be opened (OperationalError" in refused(nobody)


def test_a_missing_client_is_reported_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert "pip install 'tap-restextract[redis]'" in refused("redis://localhost")


def test_a_redis_that_goes_away_is_reported_in_one_message_without_its_password(tmp_path: Path) -> None:
    with Redis("--requirepass", PASSWORD) as server:
        port = server.port
        url = f"redis://:s3cr%2Ft@127.0.0.1:{port}/0"
        with closing(open_cache(url, "a")) as one:
            assert one.begin(None) == 1

            def answers(_: Asked) -> Reply:
                server.kill()
                return Reply([{"id": 1}])

            with serving(answers) as api:
                run = tap(tmp_path, config(api.url, sweep=True, hash_cache=url))
            with pytest.raises(CacheError):
                one.known_hashes(["[1]"])
    assert run.code == 1
    (told,) = run.told
    assert told.startswith(f"tap-restextract: stream things: the hash cache redis://127.0.0.1:{port}/0 failed (")
    assert "s3cr" not in run.err


def test_a_postgres_that_ends_the_connection_is_reported(database: str) -> None:
    with closing(open_cache(database, "a")) as one:
        execute(
            database,
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tap-restextract'",
        )
        with pytest.raises(CacheError, match=r"stream a: the hash cache postgresql://.* failed"):
            one.begin(None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (".tap-restextract/hashes.db", ".tap-restextract/hashes.db"),
        ("redis://:pw@host:6379/1?password=pw", "redis://host:6379/1"),
        ("postgresql://me:p/w@host/db", "postgresql://…"),
        ("postgresql://me:pw@[::1/db", "postgresql://…"),
        ("rediss://host", "rediss://host"),
    ],
)
def test_a_location_is_shown_without_its_secrets(given: str, expected: str) -> None:
    assert redacted_location(given) == expected


def test_a_location_of_another_kind_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(config(hash_cache="mysql://me:s3cret@host/db"))
    assert "hash_cache has the scheme mysql, which is none of postgres, postgresql, redis, rediss" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_warning_of_another_cache_shows_no_password(redis_url: str, tmp_path: Path) -> None:
    state: dict[str, Any] = {"bookmarks": {"things": {"sweep": {"number": 3, "cache": "another"}}}}
    with serving(lambda _: Reply([{"id": 1}])) as api:
        run = tap(tmp_path, config(api.url, sweep=True, hash_cache=redis_url), state=state)
    assert run.code == 0
    assert "STATE names another hash cache than redis://127.0.0.1:" in run.err
    assert "s3cr" not in run.err


def test_a_sqlite_file_that_breaks_while_it_is_used_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "hashes.db"
    with closing(open_cache(str(file), "a")) as one:
        number = one.begin(None)
        with closing(sqlite3.connect(file)) as other:
            other.execute("drop table hashes")
        for use in (
            lambda: one.record_emitted({"[1]": "h"}, number),
            lambda: one.known_hashes(["[1]"]),
            lambda: list(one.missing(number)),
            one.is_empty,
        ):
            with pytest.raises(
                CacheError, match=r"stream a: the hash cache .*hashes\.db failed \(no such table.*run again"
            ):
                use()


LOOKED_UP = {"path": "/things/{key.id}"}


@pytest.mark.parametrize("lookup", [LOOKED_UP, None])
def test_what_a_sweep_by_page_numbers_misses_is_looked_up_and_emitted_once_it_is_gone(
    lookup: dict[str, str] | None, tmp_path: Path
) -> None:
    held, hidden = {key: {"id": key} for key in range(5)}, set[int]()

    def answers(asked: Asked) -> Reply:
        if "page" not in asked.params:
            key = int(asked.path.rpartition("/")[2])
            return Reply(held[key]) if key in held else Reply({"message": "there is none"}, status=404)
        page = int(asked.params["page"])
        return Reply([row for key, row in held.items() if key not in hidden][2 * page : 2 * page + 2])

    schema = {"properties": {"id": {"type": "integer"}}}
    keys: dict[str, Any] = {"sweep": True, "paginator": {"type": "page_number"}, "schema": schema}
    if lookup:
        keys["lookup"] = lookup
    with serving(answers) as api:
        configured = config(api.url, hash_cache=str(tmp_path / "hashes.db"), **keys)
        first = tap(tmp_path, configured)
        del held[3]
        hidden.add(1)  # it is in no page, as a record that moved while the list was read
        second = tap(tmp_path, configured, state=first.states[-1])
        third = tap(tmp_path, configured, state=second.states[-1])
    assert [record["id"] for record in second.records] == ([3] if lookup else [])
    assert third.records == []
    assert ("2 records were in no page of this sweep; their deletion is not reported" in second.err) is not bool(lookup)
