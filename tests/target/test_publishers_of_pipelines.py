"""Publishers belong to the pipeline that configured them: what each gets, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen import publishers
from target_eventgen.delivery import registration
from target_eventgen.errors import SettingsError
from tests.support.messages import record, schema, state
from tests.support.relaying import Outbox, Receiver, lines_of
from tests.target.test_relay_processes import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.loading import Loader

LATER = "alter table eventgen.publishers drop column sources, drop column source, drop column address"
"""Gives a database the table of publishers of the code before."""

EARLIER_TRIGGER = """
create or replace function eventgen.enqueue() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $enqueue$
begin
  insert into eventgen.pending (publisher, slot, sequence)
  select publisher.number, (hashtextextended(event.subject, 0) & 63)::smallint, event.sequence
  from recorded as event join eventgen.publishers as publisher on true;
  return null;
end
$enqueue$
"""


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


def pipeline(source: str) -> Any:
    return lambda _: source


def add(outbox: Outbox, source: str, mark: str = "") -> None:
    """An event of a pipeline."""
    outbox.query(
        "insert into eventgen.events (id, source, type, subject, partitionkey, stream, key, data)"
        f" values ('{source}{mark}', '{source}', 'changed', 'orders/{source}', '1', 'orders', '{{}}', '{{\"new\": null}}')"
    )


def test_a_publisher_gets_the_events_of_its_pipeline(outbox: Outbox) -> None:
    a, b, all_ = Receiver(), Receiver(), Receiver()
    registration.announce(outbox.url, [a.delivery("a").route], pipeline("a%b"))
    add(outbox, "a%b")
    add(outbox, "aXb")
    everything = all_.delivery("all", sources=("%",))
    registration.announce(outbox.url, [b.delivery("b").route], pipeline("aXb"))
    registration.announce(outbox.url, [everything.route], pipeline("aXb"))
    add(outbox, "a%b", "2")
    add(outbox, "aXb", "2")
    outbox.drain(a.delivery("a"), b.delivery("b"), everything)
    assert a.ids == ["a%b", "a%b2"]
    assert b.ids == ["aXb", "aXb2"]
    assert sorted(all_.ids) == ["a%b", "a%b2", "aXb", "aXb2"]


def test_a_name_that_is_another_pipelines_is_refused_unless_both_share_it(outbox: Outbox) -> None:
    route = Receiver().delivery("file").route
    registration.announce(outbox.url, [route], pipeline("a"))
    registration.announce(outbox.url, [route], pipeline("a"))
    with pytest.raises(
        SettingsError, match=r'"file" belongs to the pipeline with the source "a"; give this one'
    ) as caught:
        registration.announce(outbox.url, [route], pipeline("b"))
    assert "sources" in str(caught.value)
    shared = Receiver().delivery("file", sources=("%",)).route
    registration.announce(outbox.url, [shared], pipeline("b"))
    registration.announce(outbox.url, [route], pipeline("a"))
    assert outbox.query("select source, sources from eventgen.publishers") == [("a", ["%"])]


def test_a_known_name_with_another_address_is_refused_until_it_is_moved(outbox: Outbox, tmp_path: Path) -> None:
    def route(*address: str) -> Any:
        return Receiver().delivery("hook", address=address).route

    registration.announce(outbox.url, [route("1", "2")], pipeline("a"))
    registration.announce(outbox.url, [route("2", "3")], pipeline("a"))  # one broker of a cluster was replaced
    for _ in range(2):
        with pytest.raises(
            SettingsError, match=r'"hook" is known to the database with another address.*publishers move'
        ):
            registration.announce(outbox.url, [route("4")], pipeline("a"))
    said = command(tmp_path, "publishers", "move", "hook", "--database-url", outbox.url)
    assert said.returncode == 0, said.stderr
    registration.announce(outbox.url, [route("4")], pipeline("a"))
    assert outbox.query("select address from eventgen.publishers") == [(["4"],)]


def test_a_publisher_of_earlier_code_keeps_getting_what_it_got(outbox: Outbox) -> None:
    receiver, new = Receiver(), Receiver()
    outbox.announce(receiver.delivery("old"))
    outbox.query(f"{LATER}; {EARLIER_TRIGGER}")
    add(outbox, "a")
    route = receiver.delivery("old", address=("1",)).route
    for source in ("a", "b"):
        registration.announce(outbox.url, [route], pipeline(source))
    registration.announce(outbox.url, [new.delivery("new").route], pipeline("b"))
    add(outbox, "a", "2")
    add(outbox, "b")
    outbox.drain(receiver.delivery("old"), new.delivery("new"))
    assert receiver.ids == ["a", "a2", "b"]
    assert new.ids == ["b"]
    with pytest.raises(SettingsError, match="another address"):
        registration.announce(outbox.url, [receiver.delivery("old", address=("2",)).route], pipeline("a"))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("file", {"path": "a"}, {"path": "b"}),
        ("webhook", {"url": "https://example.com/a"}, {"url": "https://example.com/b"}),
        ("kafka", {"servers": ["a:1"], "topic": "x"}, {"servers": ["a:1"], "topic": "y"}),
        ("nats", {"servers": ["nats://a"]}, {"servers": ["nats://b"]}),
        ("rabbitmq", {"servers": ["amqp://a"]}, {"servers": ["amqp://a"], "exchange": "e"}),
        ("redis", {"url": "redis://a"}, {"url": "redis://a", "stream": "s"}),
    ],
)
def test_each_type_says_where_its_events_go(kind: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    (first,), (second,) = (publishers.fingerprints("p", kind, given) for given in (one, other))
    assert first != second
    assert publishers.fingerprints("p", kind, {**one, "no_such": 1}) == ()


def test_an_address_is_remembered_without_secrets_and_a_changed_token_is_no_other_address() -> None:
    urls = ("https://example.com/a?token=secret", "https://example.com/a?token=later")
    first, second = (publishers.fingerprints("p", "webhook", {"url": url, "secrets": []}) for url in urls)
    assert first == second
    assert "secret" not in "".join(first)
    servers = (["amqp://a", "amqp://b"], ["amqp://b", "amqp://c"])
    before, after = (publishers.fingerprints("p", "rabbitmq", {"servers": each}) for each in servers)
    assert len(set(before) & set(after)) == 1


def test_two_projects_in_one_database_each_get_their_own_events_or_an_error_and_never_the_others(
    loader: Loader,
) -> None:
    """F6: with one name for two files the second is told so, before anything is loaded."""

    def sent(stream: str) -> list[dict[str, Any]]:
        return [schema(stream), record(stream, id=1, value=1, status="", updated_at="2026-01-01T00:00:00Z"), state(1)]

    def settings(stream: str, name: str, **more: Any) -> dict[str, Any]:
        rules = [{"type": f"{stream}.created", "stream": stream, "on": "created"}]
        return {"events": rules, "publishers": [{"type": "file", "name": name, "path": f"{stream}.jsonl"}], **more}

    assert loader.run(sent("orders"), **settings("orders", "file", source="a")).returncode == 0
    refused = loader.run(sent("invoices"), **settings("invoices", "file", source="b"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert 'the publisher "file" is known to the database with another address' in refused.stderr
    assert "Traceback" not in refused.stderr
    assert loader.run(sent("invoices"), **settings("invoices", "invoices", source="b")).returncode == 0
    assert loader.run(sent("orders"), **settings("orders", "file", source="a")).returncode == 0
    for stream in ("orders", "invoices"):
        assert [event.type for event in lines_of(loader.folder / f"{stream}.jsonl")] == [f"{stream}.created"]
