"""The contenders: ours, the peers, the floors; how each is installed, configured and started.

Every peer runs in an environment of its own, made once below `.cache` from the package index, in the version named
here. Each extracts the same list from the same API, or loads the same file into a schema of its own in the same
Postgres.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks import inputs
from tests.support.environments import environment

HERE: Final = Path(__file__).parent
OURS: Final = Path(sys.executable).parent
TOKENS: Final = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor", "stable": True}
Command = list[str | Path]


@dataclass(frozen=True)
class Contender:
    """One program.

    Attributes:
        name: as the report shows it.
        requirement: what pip installs; none for ours and the floors.
        command: its command line, from the folder of its programs, a folder for its files, and the address of the list
            (taps) or of the database (targets).
        note: what it does less or otherwise.
        peer: whether it is another's program.
        slow: whether it takes so long that it takes fewer turns where no goal looks at it.
        share: the part of the records that it gets, where it takes too long for all of them.
        counts: whether it prints how many records it read, instead of the records.
    """

    name: str
    requirement: str | None
    command: Callable[[Path, Path, str], Command]
    note: str = ""
    peer: bool = True
    slow: bool = False
    share: float = 1.0
    counts: bool = False

    def installed(self) -> Path:
        """Return the folder of its programs."""
        if self.requirement is None:
            return OURS
        name = self.requirement.partition("==")[0]
        shared = name in {"dlt", "airbyte-cdk", "singer-sdk", "tap-rest-api-msdk"}
        return environment(f"{'scoreboard' if shared else 'bench'}-{name}", self.requirement)


def _written(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(value))
    return path


def our_tap(
    kind: str, concurrency: int = 1, shape: inputs.Shape = inputs.PLAIN, **stream: Any
) -> Callable[[Path, Path, str], Command]:
    """Our tap on one of the API's lists; `url` is that of the token list."""

    def command(programs: Path, folder: Path, url: str) -> Command:
        base = url.rpartition("/")[0]
        described = {
            "path": kind,
            "records": "data",
            "primary_key": ["id"],
            "schema": shape.schema,
            "paginator": TOKENS,
        }
        described |= stream
        if kind == "offsets":
            described["paginator"] = {**stream["paginator"], "limit": int(base.split("/")[3])}
        config = {
            "base_url": base,
            "concurrency": concurrency,
            "streams": [{"name": name, **described} for name in shape.streams],
        }
        return [programs / "tap-restextract", "--config", _written(folder, "tap.json", config)]

    return command


def _floor_tap(programs: Path, folder: Path, url: str) -> Command:
    del folder
    return [programs / "python", HERE / "floors.py", "tap", url]


def _dlt(programs: Path, folder: Path, url: str) -> Command:
    del folder
    return [programs / "python", HERE / "programs" / "dlt_source.py", url]


def _singer_sdk(programs: Path, folder: Path, url: str) -> Command:
    config = _written(folder, "config.json", {"api_url": url, "schema": inputs.SCHEMA})
    return [programs / "python", HERE / "programs" / "singer_sdk_tap.py", "--config", config]


def _airbyte(programs: Path, folder: Path, url: str) -> Command:
    base, _, path = url.rpartition("/")
    manifest = {
        "version": "7.39.1",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [inputs.STREAM]},
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
        "streams": [
            {
                "type": "DeclarativeStream",
                "name": inputs.STREAM,
                "primary_key": ["id"],
                "schema_loader": {"type": "InlineSchemaLoader", "schema": inputs.SCHEMA},
                "retriever": {
                    "type": "SimpleRetriever",
                    "requester": {"type": "HttpRequester", "url_base": base, "path": f"/{path}", "http_method": "GET"},
                    "record_selector": {
                        "type": "RecordSelector",
                        "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
                    },
                    "paginator": {
                        "type": "DefaultPaginator",
                        "page_token_option": {
                            "type": "RequestOption",
                            "inject_into": "request_parameter",
                            "field_name": "cursor",
                        },
                        "pagination_strategy": {
                            "type": "CursorPagination",
                            "cursor_value": "{{ response['next'] }}",
                            "stop_condition": "{{ not response['has_more'] }}",
                        },
                    },
                },
            }
        ],
    }
    stream = {"name": inputs.STREAM, "json_schema": inputs.SCHEMA, "supported_sync_modes": ["full_refresh"]}
    chosen = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
    config = _written(folder, "config.json", {"__injected_declarative_manifest": manifest})
    catalog = _written(folder, "catalog.json", {"streams": [chosen]})
    return [programs / "source-declarative-manifest", "read", "--config", config, "--catalog", catalog]


def _msdk(programs: Path, folder: Path, url: str) -> Command:
    base, _, path = url.rpartition("/")
    stream = {"name": inputs.STREAM, "path": f"/{path}", "records_path": "$.data[*]", "primary_keys": ["id"]}
    config = {
        "api_url": base,
        "pagination_request_style": "jsonpath_paginator",
        "next_page_token_path": "$.next",
        "pagination_next_page_param": "cursor",
        "streams": [{**stream, "schema": inputs.SCHEMA}],
    }
    return [programs / "tap-rest-api-msdk", "--config", _written(folder, "config.json", config)]


KEYSET: Final = {
    "incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "order": "asc", "filter": "compound"},
    "params": {"behind": "{cursor.updated_at}", "after": "{cursor.id}"},
}
SLICES: Final = {
    "incremental": {
        "cursor_path": "updated_at",
        "order": "asc",
        "filter": "inclusive",
        "step": "10d",
        "initial_value": inputs.FIRST,
    },
    "params": {"since": "{cursor.updated_at}", "until": "{until.updated_at}"},
}
PAGES: Final = {
    "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "has_more_path": "has_more"},
}
OFFSETS: Final = {"paginator": {"type": "offset", "offset_param": "offset", "has_more_path": "has_more"}}

OUR_TAP: Final = Contender("tap-restextract", None, our_tap("tokens"), peer=False)
OUR_KEYSET: Final = Contender(
    "tap-restextract, compound keyset",
    None,
    our_tap("keyset", **KEYSET),
    "order checked, STATE after each page",
    peer=False,
)
TAP_FLOOR: Final = Contender("floor: requests, msgspec", None, _floor_tap, peer=False)
TAP_PEERS: Final = (
    Contender("dlt rest_api", "dlt==1.31.0", _dlt, "counts the records and writes nothing", counts=True),
    Contender(
        "singer-sdk RESTStream", "singer-sdk==0.54.9", _singer_sdk, "a tap of thirty lines on its defaults", slow=True
    ),
    Contender("Airbyte declarative", "airbyte-cdk==7.39.1", _airbyte, "Airbyte's messages, no Singer lines", slow=True),
    Contender("tap-rest-api-msdk", "tap-rest-api-msdk==1.4.2", _msdk, "", slow=True),
)
TAPS: Final = (OUR_TAP, OUR_KEYSET, TAP_FLOOR, *TAP_PEERS)
SLOW_TAPS: Final = (
    Contender("tap-restextract, tokens", None, our_tap("tokens"), peer=False),
    Contender("tap-restextract, pages", None, our_tap("pages", 8, **PAGES), "concurrency: 8", peer=False),
    Contender("tap-restextract, offsets", None, our_tap("offsets", 8, **OFFSETS), "concurrency: 8", peer=False),
    Contender("tap-restextract, slices", None, our_tap("slices", 8, **SLICES), "concurrency: 8", peer=False),
    TAP_FLOOR,
    *TAP_PEERS,
)


def our_target(rules: Sequence[Mapping[str, Any]] = inputs.RULES) -> Callable[[Path, Path, str], Command]:
    """Our target with these rules."""

    def command(programs: Path, folder: Path, url: str) -> Command:
        config = {"database_url": url, "default_target_schema": "ours", "events": [*rules]}
        return [programs / "target-eventgen", "--config", _written(folder, "target.json", config)]

    return command


def _floor_target(programs: Path, folder: Path, url: str) -> Command:
    del folder
    return [programs / "python", HERE / "floors.py", "target", url]


def _meltano(**settings: Any) -> Callable[[Path, Path, str], Command]:
    def command(programs: Path, folder: Path, url: str) -> Command:
        config = {**_parts(url), "default_target_schema": "peer", **settings}
        return [programs / "target-postgres", "--config", _written(folder, "config.json", config)]

    return command


def _pipelinewise(programs: Path, folder: Path, url: str) -> Command:
    parts = _parts(url)
    config = {**parts, "dbname": parts["database"], "default_target_schema": "peer"}
    return [programs / "target-postgres", "--config", _written(folder, "config.json", config)]


def _parts(url: str) -> dict[str, Any]:
    split = urlsplit(url)
    return {
        "host": split.hostname,
        "port": split.port,
        "user": split.username,
        "password": split.password,
        "database": split.path.lstrip("/"),
    }


OUR_TARGET: Final = Contender("target-eventgen", None, our_target(), "validates, 10 rules", peer=False)
TARGET_FLOOR: Final = Contender("floor: thread, COPY, FOR UPDATE, upsert", None, _floor_target, peer=False)
TARGETS: Final = (
    OUR_TARGET,
    Contender("target-eventgen, no rules", None, our_target(()), "validates", peer=False),
    TARGET_FLOOR,
    Contender(
        "MeltanoLabs target-postgres, COPY",
        "meltanolabs-target-postgres==0.8.1",
        _meltano(use_copy=True),
        "validates; no events",
        share=0.5,
    ),
    Contender(
        "MeltanoLabs target-postgres",
        "meltanolabs-target-postgres==0.8.1",
        _meltano(),
        "validates; no events",
        slow=True,
        share=0.25,
    ),
    Contender(
        "pipelinewise target-postgres",
        "pipelinewise-target-postgres==2.1.2",
        _pipelinewise,
        "validates nothing; no events",
    ),
)
