"""Stream maps of the target beside deletions, and errors that name the expression that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.messages import record, schema

if TYPE_CHECKING:
    from tests.support.loading import Loader

MARK = {"type": ["string", "null"], "format": "date-time"}
PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "n": {"type": ["number", "null"]},
    "s": {"type": ["string", "null"]},
}
DELETION = record("things", id=2, _sdc_deleted_at="2026-01-02T00:00:00Z")
RULES = [{"type": "gone", "stream": "things", "on": "deleted"}]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(
    "definition",
    [
        {"more": "float(n) * 1.5"},
        {"more": "float(_.get('n')) * 1.5"},
        {"s": "self + '!'"},
        {"__filter__": "n > 1"},
        {"__filter__": "_.get('n', 0) > 1"},
        {"id": "id", "n": "n", "__else__": None},
    ],
)
def test_a_deletion_of_its_keys_alone_goes_through_a_map(
    loader: Loader, definition: dict[str, Any], *, marked: bool
) -> None:
    things = schema("things", PROPERTIES | ({"_sdc_deleted_at": MARK} if marked else {}), version=None)
    messages = [things, record("things", id=1, n=2, s="a"), record("things", id=2, n=3, s="b")]
    loader.load(messages, stream_maps={"things": definition}, events=RULES)
    loader.load([things, DELETION], stream_maps={"things": definition}, events=RULES)
    assert loader.events() == [("gone", "2")]
    assert loader.query("select id, _sdc_deleted_at is not null from things order by id") == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"more": "float(n * 1.5)"}, 'the property "more" fails on a record (TypeError): float(n * 1.5); correct it'),
        ({"__filter__": "s > 1"}, "its __filter__ fails on a record (TypeError): s > 1; correct it in stream_maps"),
        ({"more": "float(t)"}, "(NameNotDefined): float(t); a record lacks t: write _.get('t'), which is None there"),
    ],
)
def test_a_map_that_fails_is_named_with_its_expression(loader: Loader, definition: dict[str, Any], said: str) -> None:
    things = schema("things", {**PROPERTIES, "t": {}}, version=None)
    message = loader.refused([things, record("things", id=1, n=None, s="secret")], stream_maps={"things": definition})
    assert 'stream "things": the stream map of ' in message
    assert said in message
    assert "secret" not in message


def test_a_deletion_whose_key_a_map_can_not_make_is_told_as_the_maps_fault(loader: Loader) -> None:
    things = schema("things", PROPERTIES | {"_sdc_deleted_at": MARK}, version=None)
    definition = {"__key_properties__": ["k"], "k": "str(s)"}
    message = loader.refused([things, DELETION], stream_maps={"things": definition})
    assert "its stream map makes k, a key, of properties that a deletion hasn't" in message
    assert "make the key of the stream's own key properties" in message
