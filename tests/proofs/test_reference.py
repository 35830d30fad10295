"""Postgres and the reference model agree on generated histories."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proofs.histories.campaign import assert_continuous
from proofs.histories.reference import Reference
from proofs.histories.vocabulary import RULES, in_order
from target_eventgen.target import TargetEventgen
from tests.support.messages import lines, record, schema, state
from tests.support.queries import query

PROPERTIES = {
    "id": {"type": "integer"},
    "version": {"type": ["integer", "null"]},
    "value": {"type": ["integer", "null"]},
    "status": {"type": ["string", "null"]},
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"id": draw(st.integers(1, 2))}
    for name, values in {
        "version": st.one_of(st.integers(1, 4), st.integers(1, 4), st.none()),
        "value": st.one_of(st.sampled_from([4, 8, 16]), st.none()),
        "status": st.sampled_from(["", "a"]),
    }.items():
        if draw(st.integers(0, 5)):
            found[name] = draw(values)
    return found


batches = st.lists(st.lists(records(), min_size=1, max_size=4), min_size=1, max_size=2)
histories = st.lists(batches, min_size=1, max_size=2)


@pytest.mark.parametrize("versioned", [True, False])
def test_postgres_agrees_with_the_reference_model(database: str, *, versioned: bool) -> None:
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(history=histories)
    def agree(history: list[list[list[dict[str, Any]]]]) -> None:
        forget(database)
        reference = Reference(versioned=versioned)
        for run, told in enumerate(history, start=1):
            for batch in told:
                reference.commit(batch, run)
            reference.end(run)
            load(database, told, versioned=versioned)
        rows = query(database, "select id, version, value, status, _eventgen_version from things order by id")
        edges = "select type, (key->>'id')::int, data->'old', data->'new' from eventgen.events order by sequence"
        events = query(database, edges)
        assert rows == [
            (key, *(row.content[name] for name in ("version", "value", "status")), row.count)
            for key, row in sorted(reference.rows.items())
        ]
        assert Counter((kind, key) for kind, key, *_ in events) == Counter(
            (kind, key) for kind, key, _ in reference.events
        )
        for key in reference.rows:
            assert [kind for kind, of, *_ in events if of == key] == [
                kind for kind, of, _ in sorted(reference.events, key=in_order) if of == key
            ]
            assert_continuous([(old, new) for _, of, old, new in events if of == key])

    agree()


def forget(database: str) -> None:
    query(database, "drop schema if exists eventgen cascade; drop table if exists things")


def load(database: str, batches: list[list[dict[str, Any]]], *, versioned: bool) -> None:
    """One run, one checkpoint for each batch."""
    config = {"database_url": database, "initial_load": "emit", "events": RULES, "batch_size_rows": 1}
    messages = [schema("things", PROPERTIES, version="version" if versioned else None)]
    for n, batch in enumerate(batches):
        messages += [*(record("things", **found) for found in batch), state(n)]
    TargetEventgen(config=config).listen(io.TextIOWrapper(io.BytesIO(lines(messages).encode())))


def test_the_reference_model_itself_follows_9000_11000_9500_11500() -> None:
    reference = Reference()
    reference.commit([{"id": 1, "version": n, "value": value, "status": ""} for n, value in enumerate([9, 11, 9, 12])])
    assert [kind for kind, _, _ in reference.events if kind == "entered"] == ["entered", "entered"]
    assert json.loads(json.dumps(reference.rows[1].content)) == {
        "id": 1,
        "version": 3,
        "value": 12,
        "status": "",
        "detail": None,
        "gone": False,
    }
