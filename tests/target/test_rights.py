"""A user who may use what is there and make nothing; and a table that went."""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from target_eventgen.delivery.outbox import Outbox, Selection
from target_eventgen.errors import ConnectionLostError, DatabaseError
from tests.support.messages import record, schema
from tests.target.test_several_pipelines import EARLIER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.loading import Loader

RULES = [{"type": "made", "stream": "subscriptions", "on": "created"}]
ONE = record(id=1, value=1, status="a", updated_at="2026-01-01T00:00:00Z")
TWO = record(id=2, value=1, status="a", updated_at="2026-01-01T00:00:00Z")


@pytest.fixture
def restricted(loader: Loader) -> Iterator[str]:
    """The URL of a user without the right to make anything but temporary tables."""
    user, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    loader.query(f"create role {user} login password '{password}'; revoke create on schema public from public")
    parts = urlsplit(loader.database)
    yield parts._replace(netloc=f"{user}:{quote(password)}@{parts.hostname}:{parts.port}").geturl()
    loader.query(f"drop owned by {user}; drop role {user}")


def user_of(url: str) -> str:
    return str(urlsplit(url).username)


def test_a_user_without_create_loads_into_tables_that_exist(loader: Loader, restricted: str) -> None:
    loader.load([schema(), ONE], events=RULES)
    user = user_of(restricted)
    loader.query(
        f"grant usage on schema public, eventgen to {user};"
        f" grant select, insert, update, delete on all tables in schema public, eventgen to {user}"
    )
    loader.load([schema(), ONE, TWO], events=RULES, database_url=restricted)
    assert loader.events() == [("made", "1"), ("made", "2")]


def test_a_user_who_may_not_make_schemas_makes_its_tables_in_those_that_it_was_given(
    loader: Loader, restricted: str
) -> None:
    user = user_of(restricted)
    loader.query(
        f"create schema eventgen authorization {user}; create schema app; grant usage, create on schema app to {user}"
    )
    publishers = [{"type": "file", "path": "events.jsonl"}]
    for _ in range(2):
        loader.load(
            [schema(), ONE],
            events=RULES,
            database_url=restricted,
            default_target_schema="app",
            publishers=publishers,
            delivery="relay",
        )
    assert loader.events() == [("made", "1")]
    assert loader.query("select tableowner from pg_tables where tablename = 'subscriptions'") == [(user,)]
    assert loader.query("select count(*) from eventgen.pending") == [(1,)]


def test_a_user_without_create_gets_an_error_that_names_the_missing_right(loader: Loader, restricted: str) -> None:
    message = loader.refused([schema(), ONE], database_url=restricted)
    assert "permission denied" in message
    assert "grant" in message


def test_a_user_who_may_not_alter_what_earlier_code_made_is_told_who_must(loader: Loader, restricted: str) -> None:
    loader.load([schema(), ONE], events=RULES)
    loader.query(EARLIER)
    user = user_of(restricted)
    loader.query(
        f"grant usage on schema public, eventgen to {user};"
        f" grant select, insert, update, delete on all tables in schema public, eventgen to {user}"
    )
    message = loader.refused([schema(), ONE, TWO], events=RULES, database_url=restricted)
    assert "the tables of the schema eventgen are of an earlier version" in message
    assert "run a target of this version once as their owner" in message
    assert loader.query("select count(*) from subscriptions") == [(1,)]
    loader.load([schema(), ONE], events=RULES)
    loader.load([schema(), ONE, TWO], events=RULES, database_url=restricted)
    assert loader.query("select type, key->>'id' from eventgen.events order by sequence") == [
        ("made", "1"),
        ("made", "2"),
    ]


def test_a_reader_of_events_without_the_right_is_told_which_one_is_missing(loader: Loader, restricted: str) -> None:
    loader.load([schema(), ONE], events=RULES)
    loader.query(f"grant usage on schema eventgen to {user_of(restricted)}")
    outbox = Outbox(restricted)
    with (
        closing(outbox),
        pytest.raises(DatabaseError, match=r"permission denied .*SELECT on eventgen\.events") as refusal,
    ):
        list(outbox.newest(Selection()))
    assert not isinstance(refusal.value, ConnectionLostError)
    loader.query(f"grant select on eventgen.events to {user_of(restricted)}")
    with closing(Outbox(restricted)) as allowed:
        assert [event.type for event in allowed.newest(Selection())] == ["made"]


def test_a_table_that_was_dropped_has_another_first_load(loader: Loader) -> None:
    for _ in range(2):
        loader.load([schema(), ONE], events=RULES, initial_load="suppress")
        loader.query("drop table subscriptions")
    assert loader.events() == []
    loader.load([schema(), ONE], events=RULES, initial_load="suppress")
    loader.load([schema(), TWO], events=RULES, initial_load="suppress")
    assert loader.events() == [("made", "2")]


def test_a_table_that_was_dropped_emits_its_rows_again_where_first_loads_emit(loader: Loader) -> None:
    for _ in range(3):
        loader.load([schema(), ONE], events=RULES)
        loader.query("drop table subscriptions")
    assert loader.events() == [("made", "1")] * 3
    assert loader.query("select count(distinct id) from eventgen.events") == [(3,)]
