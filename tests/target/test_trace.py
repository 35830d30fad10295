"""Traces, from records and runs to what receivers get."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.model import trace
from tests.support.messages import record, schema
from tests.support.receiver import Receiver

if TYPE_CHECKING:
    from tests.support.loading import Loader

OURS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THEIRS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
CREATED = {"type": "order.created", "stream": "orders", "on": "created"}
DELETED = {"type": "order.deleted", "stream": "orders", "on": "deleted"}
ORDERS = schema("orders", {"id": {"type": "integer"}, "trace": {"type": ["string", "null"]}}, version=None)
WRONG = [
    "",
    "x",
    OURS.upper(),
    OURS[:-1],
    OURS + "0",
    f"ff{OURS[2:]}",
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
]


@pytest.mark.parametrize("parent", WRONG)
def test_what_is_not_a_traceparent_is_none(loader: Loader, parent: str) -> None:
    assert trace.from_environment({"TRACEPARENT": parent, "TRACESTATE": "a=1"}, None) is None
    loader.load([ORDERS, record("orders", id=1, trace=parent)], events=[CREATED], trace_field="trace")
    assert loader.query("select traceparent from eventgen.events") == [(None,)]


@pytest.mark.parametrize(
    ("state", "kept"), [("a=1,b=2", "a=1,b=2"), ("", None), ("a" * 513, None), ("a=\x00", None), ("é", None)]
)
def test_a_tracestate_goes_along_where_it_can(state: str, kept: str | None) -> None:
    assert trace.from_environment({"TRACEPARENT": f" {OURS}\n", "TRACESTATE": state}, None) == trace.Trace(
        None, OURS, kept
    )


def test_an_event_carries_the_trace_of_its_record_else_that_of_its_run(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", OURS)
    monkeypatch.setenv("TRACESTATE", "run=1")
    records = [
        record("orders", id=1, trace=THEIRS),
        record("orders", id=2, trace=None),
        record("orders", id=3, trace="x"),
    ]
    loader.load([ORDERS, *records], events=[CREATED], trace_field="trace")
    found = loader.query("select key->>'id', traceparent, tracestate from eventgen.events order by 1")
    assert found == [("1", THEIRS, None), ("2", OURS, "run=1"), ("3", OURS, "run=1")]


def test_without_either_there_is_none_and_a_field_that_a_stream_lacks_is_not_a_fault(loader: Loader) -> None:
    loader.load([ORDERS, record("orders", id=1, trace=THEIRS)], events=[CREATED])
    loader.load([ORDERS, record("orders", id=2, trace=THEIRS)], events=[CREATED], trace_field="traceparent")
    assert loader.query("select traceparent, tracestate from eventgen.events") == [(None, None)] * 2


def test_the_trace_of_a_deletion_is_that_of_its_run(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"events": [CREATED, DELETED], "trace_field": "trace"}
    loader.load([ORDERS, record("orders", id=1, trace=THEIRS)], **given)
    monkeypatch.setenv("TRACEPARENT", OURS)
    loader.load([ORDERS, record("orders", id=1, _sdc_deleted_at="2026-01-01T00:00:00Z")], **given)
    assert loader.events("type, traceparent") == [(CREATED["type"], THEIRS), (DELETED["type"], OURS)]


def test_the_id_of_an_event_is_the_same_in_every_trace(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for parent in ("", OURS, THEIRS):
        monkeypatch.setenv("TRACEPARENT", parent)
        loader.load([ORDERS, record("orders", id=1, trace=None)], events=[CREATED])
        ids += [id_ for (id_,) in loader.events("id")]
        loader.query("drop table orders; delete from eventgen.events; delete from eventgen.streams")
    assert len(ids) == 3
    assert len(set(ids)) == 1


@pytest.mark.parametrize("delivery", ["after_load", "before_commit"])
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_receivers_get_it_as_attributes(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, delivery: str, mode: str
) -> None:
    monkeypatch.setenv("TRACEPARENT", OURS)
    monkeypatch.setenv("TRACESTATE", "run=1")
    with Receiver() as receiver:
        hook = {"type": "webhook", "url": receiver.url, "allow_private_addresses": True, "mode": mode}
        loader.load([ORDERS, record("orders", id=1)], events=[CREATED], publishers=[hook], delivery=delivery)
        (request,) = receiver.requests
    told = (
        json.loads(request.body)
        if mode == "structured"
        else {k.removeprefix("ce-"): v for k, v in request.headers.items()}
    )
    assert (told["traceparent"], told["tracestate"]) == (OURS, "run=1")
    done = loader.run_command(["events", "--json", "--database-url", loader.database])
    assert re.search(f'"traceparent":"{OURS}"', done.stdout)
