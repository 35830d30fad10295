"""Stream maps beside deletions, and errors that name the expression that fails."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.singer.maps import inputs_of
from tests.support.api import Reply, scripted, serving
from tests.support.processes import Run, tap
from tests.support.streams import INCLUSIVE, config

GONE = {"id": 2, "deleted": "2026-01-01T00:00:00Z"}
THINGS: list[dict[str, Any]] = [{"id": 1, "amount": 1.5, "state": "a"}, {**GONE, "amount": 9.5, "state": "b"}]
TOMBSTONE = {"id": 2, "_sdc_deleted_at": GONE["deleted"]}


def run(folder: Path, definition: dict[str, Any], things: list[dict[str, Any]] | None = None) -> Run:
    """A run with this map; the second thing is deleted."""
    with serving(scripted(Reply(things or THINGS))) as api:
        whole = config(api.url, schema=None, deleted_path="deleted")
        return tap(folder, {**whole, "stream_maps": {"things": definition}})


@pytest.mark.pure
@pytest.mark.parametrize(
    ("expression", "inputs"),
    [
        ("float(a) * 1.2", {"a"}),
        ("_.get('a') or record['b']", {"a", "b"}),
        ("md5(self)", {"p"}),
        ("1 + 2", set()),
    ],
)
def test_the_inputs_of_an_expression_are_the_properties_that_it_speaks_of(expression: str, inputs: set[str]) -> None:
    assert inputs_of(ast.parse(expression), "p", {"a": {}, "b": {}, "p": {}}) == inputs


@pytest.mark.parametrize(
    ("definition", "mapped"),
    [
        ({"gross": "float(amount) * 2"}, {**THINGS[0], "gross": 3.0}),
        ({"gross": "float(_.get('amount')) * 2"}, {**THINGS[0], "gross": 3.0}),
        ({"amount": "float(self)"}, THINGS[0]),
        ({"__filter__": "state == 'a'"}, THINGS[0]),
        ({"__filter__": "_.get('state') == 'a'"}, THINGS[0]),
        ({"id": "id", "amount": "amount", "__else__": None}, {"id": 1, "amount": 1.5}),
        ({"state": None}, {"id": 1, "amount": 1.5}),
    ],
)
def test_a_deletion_goes_through_a_map_as_its_keys_and_its_mark(
    tmp_path: Path, definition: dict[str, Any], mapped: dict[str, Any]
) -> None:
    done = run(tmp_path, definition)
    assert done.code == 0, done.err
    assert done.records == [mapped, TOMBSTONE]
    (schema,) = [message["schema"] for message in done.messages if message["type"] == "SCHEMA"]
    assert "_sdc_deleted_at" in schema["properties"]


def test_what_a_map_says_of_the_mark_itself_holds(tmp_path: Path) -> None:
    assert run(tmp_path, {"_sdc_deleted_at": None}).records == [THINGS[0], {"id": 2}]


def test_a_map_without_the_replication_key_is_told_and_schema_names_none(tmp_path: Path) -> None:
    with serving(scripted(Reply([{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]))) as api:
        whole = config(api.url, schema=None, **INCLUSIVE)
        done = tap(tmp_path, {**whole, "stream_maps": {"things": {"at": "updated_at", "updated_at": None}}})
    assert done.code == 0, done.err
    (schema,) = [message for message in done.messages if message["type"] == "SCHEMA"]
    assert not schema.get("bookmark_properties")
    assert done.err.count("its stream map leaves out updated_at, the replication key") == 1
    assert done.states[-1]["bookmarks"]["things"]["replication_key_value"] == "2026-01-01T00:00:00Z"


def test_a_deletion_whose_key_the_map_makes_of_what_it_lacks_is_left_out_aloud(tmp_path: Path) -> None:
    done = run(tmp_path, {"key": "str(id) + state", "__key_properties__": ["key"]})
    assert done.code == 0, done.err
    assert [record["key"] for record in done.records] == ["1a"]
    assert "its stream map makes key, a key, of properties that a deletion hasn't" in done.err


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (
            {"gross": "amount * 1.2"},
            "the property 'gross' fails on a record (TypeError): amount * 1.2; numbers with a fraction are exact decimals here: write float(…) around them",
        ),
        (
            {"gross": "float(price)"},
            "the property 'gross' fails on a record (NameNotDefined): float(price); a record lacks price: write _.get('price'), which is None there",
        ),
        ({"n": "int(state)"}, "the property 'n' fails on a record (ValueError): int(state); correct it in stream_maps"),
        ({"__filter__": "state > 5"}, "its __filter__ fails on a record (TypeError): state > 5; correct it"),
    ],
)
def test_a_map_that_fails_is_the_maps_fault_and_named(tmp_path: Path, definition: dict[str, Any], said: str) -> None:
    done = run(tmp_path, definition, [THINGS[0], {"id": 3, "price": 5, "amount": 2.5, "state": "secret"}])
    assert done.code == 1
    assert len(done.told) == 1
    assert f"tap-restextract: stream things: the stream map of {said}" in done.told[0]
    assert "secret" not in json.dumps(done.told)
