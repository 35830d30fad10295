"""Other tools' names: each is answered by ours, in the place where it stands; no table shadows a key that there is."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from tap_restextract.config import foreign_names
from tap_restextract.config.auth import Auth
from tap_restextract.config.faults import FOREIGN_KEYS
from tap_restextract.config.paginators import Paginator
from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import Incremental, ResponseRule, Settings, StreamSettings
from tap_restextract.errors import ConfigurationError

pytestmark = pytest.mark.pure

URL = "https://api.example.com/v1"
TABLES = {
    "stream": foreign_names.STREAM, "paginator": foreign_names.PAGINATOR, "incremental": foreign_names.INCREMENTAL,
    "auth": foreign_names.AUTH, "rule": foreign_names.RULE,
}  # fmt: skip


def faults(**keys: Any) -> list[str]:
    """What is wrong with a stream of these keys."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"base_url": URL, "streams": [{"name": "orders", "path": "/orders", **keys}]})
    return caught.value.faults


def placed(place: str, name: str) -> dict[str, Any]:
    """A stream's keys, with a foreign one where it stands."""
    at: dict[str, dict[str, Any]] = {
        "stream": {name: "x"},
        "paginator": {"paginator": {"type": "cursor", name: "x"}},
        "incremental": {"incremental": {"cursor_path": "at", name: "x"}},
        "auth": {"auth": {"type": "none", name: "x"}},
        "rule": {"response_rules": [{"action": "FAIL", "http_codes": [404], name: "x"}]},
    }
    return at[place]


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, table in TABLES.items() for name in table])
def test_each_foreign_name_is_answered_by_whose_it_is_and_what_to_write(place: str, name: str) -> None:
    tool, remedy = TABLES[place][name]
    (told,) = faults(**placed(place, name))
    assert told.startswith("stream orders")
    assert f": unknown key {name!r}; {tool} has it" in told
    assert told.endswith(remedy)


KNOWN = {
    field.encode_name
    for struct in (Settings, StreamSettings, Incremental, ResponseRule, *Paginator.__args__, *Auth.__args__)
    for field in msgspec.structs.fields(struct)
} | {"type", "stream_maps", "STREAM"}


@pytest.mark.parametrize("place", TABLES)
def test_a_remedy_names_only_keys_that_there_are(place: str) -> None:
    for _, remedy in TABLES[place].values():
        for quoted in re.findall(r"`([^`]+)`", remedy):
            if quoted.startswith("tap-restextract ") or quoted == "…_body_path":
                continue
            for name in re.findall(r"(?:^|[{,] ?)([a-z_0-9]+)(?=:|$)", quoted):
                assert name in KNOWN, (quoted, name)


def test_no_table_has_a_key_that_there_is() -> None:
    for structs, table in FOREIGN_KEYS:
        below = [*structs] if isinstance(structs, tuple) else [structs, *structs.__subclasses__()]
        for struct in below:
            assert not table.keys() & {field.encode_name for field in msgspec.structs.fields(struct)}
    assert not foreign_names.PAGINATOR_TYPES.keys() & {each.__struct_config__.tag for each in Paginator.__args__}
    assert not foreign_names.AUTH_TYPES.keys() & {each.__struct_config__.tag for each in Auth.__args__}


def test_a_foreign_name_at_the_top_is_answered_there() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"client": {"base_url": URL}, "resources": [], "streams": []})
    assert "config: unknown key 'resources'; dlt has it, and here write `streams`" in caught.value.faults


@pytest.mark.parametrize("name", foreign_names.PAGINATOR_TYPES)
def test_a_foreign_type_of_paginator_is_answered_and_the_known_ones_are_listed_once(name: str) -> None:
    (told,) = faults(paginator={"type": name})
    known = "cursor, header_cursor, header_link, json_link, offset, page_number, single_page"
    assert told.startswith(f"stream orders.paginator.type: {name!r} is none of {known}; ")
    assert told.count("header_link, json_link") == 1


@pytest.mark.parametrize("name", foreign_names.AUTH_TYPES)
def test_a_foreign_type_of_auth_is_answered(name: str) -> None:
    (told,) = faults(auth={"type": name})
    assert told.endswith(foreign_names.AUTH_TYPES[name][1])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"auth": {"type": "baerer"}}, "; did you mean 'bearer'?"),
        ({"auth": {"type": "xyz"}}, "oauth2_refresh_token, plugin"),
        ({"paginator": {"type": "of_set"}}, "; did you mean 'offset'?"),
        ({"paginator": "json_link"}, "a mapping is needed, not a string; write {type: json_link}"),
        ({"paginator": "auto"}, "a mapping is needed, not a string"),
        ({"paginator": {"type": "json_link", "total_path": "n"}}, "it is a key of types cursor, offset, page_number"),
        ({"paginator": {"type": "offset", "limit": 1, "limt": 5}}, "; did you mean 'limit'?"),
        ({"auth": {"type": "bearer", "access_token_url": URL}, "auth_token": "t"},
         "it is a key of types oauth2_client_credentials, oauth2_refresh_token"),
        ({"cursor_path": "updated_at"}, "unknown key 'cursor_path'; it stands in `incremental`"),
        ({"initial_value": "2024-01-01"}, "unknown key 'initial_value'; it stands in `incremental`"),
        ({"params": {"since": {"type": "incremental", "cursor_path": "at", "initial_value": 1}}},
         'stream orders.params.since: dlt writes it so; here write "{cursor.PATH}", and its keys into `incremental` of the stream'),
        ({"params": {"id": {"type": "resolve", "resource": "posts", "field": "id"}}},
         "dlt writes it so; here a child names its parent in its `path`: {parent.STREAM.PATH}"),
    ],
)  # fmt: skip
def test_what_is_nearly_right_is_answered_by_what_was_meant(keys: dict[str, Any], told: str) -> None:
    (said,) = faults(**keys)
    assert said.endswith(told)


def test_a_parameter_of_json_may_have_a_type() -> None:
    keys = {"params": {"filter": {"json": {"type": "incremental"}}, "a": {"json": {"type": "resolve"}}}}
    (stream,) = read_settings({"base_url": URL, "streams": [{"name": "orders", "path": "/orders", **keys}]})
    assert stream.params == keys["params"]
