"""A stream for each walk, and for each thing that walks are combined with; what a second run of each has to find."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.golden.forking import Programs, Said
from tests.support.processes import written

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "parent": {"type": ["integer", "null"]},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
        "seconds": {"type": ["integer", "null"]},
        "value": {"type": ["number", "null"]},
    },
}
CHANGED = [3, 9]
ALL = [1, 2, 3, 5, 6, 7, 9]
SINCE = {"since": "{cursor.updated_at}"}
TOKENS = {"type": "cursor", "cursor_path": "next", "cursor_param": "token", "stable": True}
PAGES = {"type": "page_number", "page_param": "page"}
OFFSET = {"type": "offset", "limit": 2, "total_path": "total"}
BY_TIME = {"cursor_path": "updated_at", "tie_breaker": "id"}
COMPOUND: dict[str, Any] = {
    "params": {**SINCE, "after": "{cursor.id}"},
    "incremental": {**BY_TIME, "filter": "compound"},
}
FEED = {
    "path": "/events",
    "params": {"after": "{cursor.id}"},
    "incremental": {"cursor_path": "id", "filter": "exclusive"},
    "types": ["thing.*"],
    "deleted_types": ["thing.deleted"],
}
LOOKUP = {"path": "/things/{key.id}"}


@dataclass(frozen=True)
class Case:
    """A stream over the API of these tests.

    Attributes:
        walk: as `plan` calls it.
        keys: of the stream.
        finds: the ids of the records of a second run, after what happened.
        gone: the ids that it tells as deleted.
        again: the ids of a third one, after nothing happened.
    """

    walk: str
    keys: dict[str, Any]
    finds: list[int] = field(default_factory=lambda: CHANGED)
    gone: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)


CASES: dict[str, Case] = {
    "compound_keyset": Case("compound keyset", COMPOUND),
    "unique_keyset": Case(
        "unique keyset",
        {
            "params": {"after": "{cursor.id}", "by": "id", "order": "id"},
            "incremental": {"cursor_path": "id", "filter": "exclusive"},
        },
        finds=[9],
    ),
    "stable_tokens": Case("stable tokens", {"params": SINCE, "paginator": TOKENS, "incremental": BY_TIME}),
    "restart_keyset": Case("restart keyset", {"params": SINCE, "paginator": PAGES, "incremental": BY_TIME}),
    "restart_keyset_exclusive_over_numbers": Case(
        "restart keyset",
        {
            "params": {"behind": "{cursor.seconds}", "by": "seconds"},
            "paginator": OFFSET,
            "incremental": {"cursor_path": "seconds", "filter": "exclusive", "epoch": "s"},
        },
    ),
    "single_page": Case("single page", {"params": {**SINCE, "whole": 1}, "incremental": BY_TIME}),
    "single_page_with_a_lookback": Case(
        "single page", {"params": {**SINCE, "whole": 1}, "incremental": {**BY_TIME, "lookback": "3s"}}
    ),
    "descending": Case(
        "descending",
        {
            "params": {"order": "desc"},
            "paginator": OFFSET,
            "incremental": {**BY_TIME, "order": "desc", "filter": "none"},
        },
    ),
    "unordered": Case(
        "unordered",
        {"params": {**SINCE, "order": "none"}, "paginator": OFFSET, "incremental": {**BY_TIME, "order": "none"}},
    ),
    "windows": Case(
        "windows",
        {
            "params": {**SINCE, "until": "{until.updated_at}"},
            "paginator": OFFSET,
            "incremental": {**BY_TIME, "step": "3s", "initial_value": "2021-03-01T00:00:00Z"},
        },
    ),
    "feed": Case("feed", {"feed": FEED, "paginator": OFFSET}, gone=[4]),
    "feed_that_names_objects": Case(
        "feed", {"feed": {**FEED, "fetch_path": "/things/{event.data.id}"}, "paginator": OFFSET}, gone=[4]
    ),
    "sweep": Case("sweep", {"sweep": True, "params": {"whole": 1}}, gone=[4]),
    "sweep_with_lookup": Case("sweep", {"sweep": True, "paginator": TOKENS, "lookup": LOOKUP}, gone=[4]),
    "traversal": Case("traversal", {"paginator": PAGES}, finds=ALL, again=ALL),
    "children": Case(
        "restart keyset",
        {
            "path": "/parents/{parent.parents.id}/things",
            "include_from_parent": ["name"],
            "params": SINCE,
            "paginator": OFFSET,
            "incremental": BY_TIME,
        },
    ),
    "children_without_order": Case(
        "traversal",
        {"path": "/parents/{parent.parents.id}/things", "paginator": OFFSET},
        finds=ALL,
        again=ALL,
    ),
    "sweep_at_an_interval": Case("compound keyset", {**COMPOUND, "sweep_every": "1h", "lookup": LOOKUP}, gone=[4]),
    "records_without_a_time": Case(
        "compound keyset", {**COMPOUND, "incremental": {**COMPOUND["incremental"], "null_params": {"untimed": 1}}}
    ),
    "records_marked_as_deleted": Case(
        "compound keyset", {**COMPOUND, "path": "/marked", "deleted_path": "deleted"}, gone=[4]
    ),
}

_PRESENT = re.compile(r'(?<=at": ")20(?:2[5-9]|[3-9]\d)-[^"]*')
LONG_AGO = "2021-03-01T00:00:30+00:00"


def configuration(name: str, url: str, **more: Any) -> dict[str, Any]:
    """The case's stream, named as the case is."""
    keys = CASES[name].keys
    stream = {"name": name, "path": "/things", "records": "data", "primary_key": ["id"], "schema": SCHEMA, **keys}
    parents = {"name": "parents", "path": "/parents", "records": "data", "primary_key": ["id"]}
    family = [parents] if "parent." in stream["path"] else []
    return {"base_url": url, "streams": [*family, stream], "hash_cache": "hashes.db", **more}


def run(programs: Programs, folder: Path, config: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> Said:
    """A run of the tap, from this STATE."""
    arguments: list[str | Path] = ["--config", written(folder, "config.json", config)]
    if state is not None:
        arguments += ["--state", written(folder, "state.json", state)]
    said = programs.run("tap-restextract", *arguments, folder=folder)
    assert said.code == 0, said
    return said


def messages(said: Said, kind: str, stream: str) -> list[dict[str, Any]]:
    """The messages of a kind; all STATEs, and what else is the stream's."""
    found = [json.loads(line) for line in said.out.splitlines()]
    return [each for each in found if each["type"] == kind and each.get("stream", stream) == stream]


def last_state(said: Said) -> dict[str, Any]:
    """The last STATE of a run, which was long ago: what is due by an interval is due again."""
    (*_, last) = (message for line in said.out.splitlines() if (message := json.loads(line))["type"] == "STATE")
    state: dict[str, Any] = json.loads(_PRESENT.sub(LONG_AGO, json.dumps(last["value"])))
    return state


def found(said: Said, stream: str) -> tuple[list[int], list[int]]:
    """The ids of the records, and of the deletions among them, each as often as it came."""
    records = [message["record"] for message in messages(said, "RECORD", stream)]
    gone = [record["id"] for record in records if record.get("_sdc_deleted_at")]
    return sorted(record["id"] for record in records if not record.get("_sdc_deleted_at")), sorted(gone)
