"""Settings: every fault at once, with its place and the nearest known name; what merges and what replaces."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.config.auth import Bearer
from tap_restextract.config.json_schema import json_schema
from tap_restextract.config.paginators import CursorToken, JsonLink, Offset, SinglePage
from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import SECRETS, Incremental, StreamSettings
from tap_restextract.errors import ConfigurationError

pytestmark = pytest.mark.pure

URL = "https://api.example.com/v1"
ORDERS: dict[str, Any] = {"name": "orders", "path": "/orders"}


def one(top: dict[str, Any] | None = None, **keys: Any) -> StreamSettings:
    """The settings of a single stream."""
    (only,) = read_settings({"base_url": URL, **(top or {}), "streams": [{**ORDERS, **keys}]})
    return only


def faults(config: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings(config)
    return caught.value.faults


def test_a_stream_needs_only_its_name_its_path_and_the_base_url() -> None:
    stream = one()
    assert (stream.method, stream.records, stream.paginator, stream.incremental) == ("GET", "$", SinglePage(), None)


def test_every_fault_is_reported_at_once_each_with_its_place() -> None:
    config = {
        "base_ulr": URL,
        "max_attempts": 0,
        "auth": {"type": "bearer"},
        "streams": [
            {"name": "a", "pth": "/a", "paginator": {"type": "offset", "limt": 5}},
            {"name": "b", "path": "/b", "incremental": {"cursor_path": "at", "order": "up"}},
            {"name": "b", "path": "/c", "method": "PUT"},
            "d",
        ],
    }
    text = "\n".join(faults(config))
    for part in (
        "config: unknown key 'base_ulr'; did you mean 'base_url'?",
        "config.max_attempts: a whole number of at least 1 is needed, not 0",
        "stream a: unknown key 'pth'; did you mean 'path'?",
        "stream a: the key 'path' is missing",
        "stream a.paginator: unknown key 'limt'; did you mean 'limit'?",
        "stream a.paginator: the key 'limit' is missing",
        "stream b.incremental.order: 'up' is none of asc, desc, none",
        "stream b: the name is used twice",
        "stream b.method: 'PUT' is none of GET, POST",
        "config.streams[3]: a mapping is needed",
    ):
        assert part in text


def test_what_one_value_needs_of_another_is_reported_together_with_wrong_ones() -> None:
    config = {"auth": {"type": "bearer"}, "timeot": 5, "streams": [{**ORDERS, "schema": "Order", "json": {"a": 1}}]}
    text = "\n".join(faults(config))
    for part in (
        "unknown key 'timeot'; did you mean 'timeout'?",
        "stream orders: base_url is missing",
        "stream orders: auth type bearer needs the setting auth_token; set it, or the variable TAP_RESTEXTRACT_AUTH_TOKEN",
        "stream orders: schema names the component 'Order', but no `openapi` document is given",
        "stream orders: a JSON body is set, but the method is GET",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ({"type": "bearer"}, ["auth_token"]),
        ({"type": "api_key"}, ["auth_api_key"]),
        ({"type": "http_basic"}, ["auth_username", "auth_password"]),
        (
            {"type": "oauth2_client_credentials", "access_token_url": f"{URL}/token"},
            ["auth_client_id", "auth_client_secret"],
        ),
        ({"type": "oauth2_refresh_token", "access_token_url": f"{URL}/token"}, ["auth_refresh_token"]),
    ],
)
def test_each_type_of_auth_names_the_secrets_that_it_misses(auth: dict[str, Any], missing: list[str]) -> None:
    told = faults({"base_url": URL, "auth": auth, "streams": [ORDERS]})
    assert [fault.split("needs the setting ")[1].split(";")[0] for fault in told] == missing


@pytest.mark.parametrize("secret", ["", None])
def test_an_empty_secret_is_a_missing_one(secret: str | None) -> None:
    (told,) = faults({"base_url": URL, "auth": {"type": "bearer"}, "auth_token": secret, "streams": [ORDERS]})
    assert "needs the setting auth_token" in told


@pytest.mark.parametrize(
    "base_url",
    ["api.example.com", "ftp://u:pw@api.example.com", "http://", "http://[::1", "http://h:99999", "https:/api.example"],
)
def test_what_is_not_a_web_address_is_refused_without_showing_it(base_url: str) -> None:
    (told,) = faults({"base_url": base_url, "streams": [ORDERS]})
    assert told == "stream orders: base_url is not a web address; it is written like https://api.example.com/v1"


def test_a_token_endpoint_that_is_not_a_web_address_is_refused() -> None:
    auth = {"type": "oauth2_client_credentials", "access_token_url": "/token"}
    secrets = {"auth_client_id": "me", "auth_client_secret": "s"}
    (told,) = faults({"base_url": URL, "auth": auth, **secrets, "streams": [ORDERS]})
    assert "auth.access_token_url is not a web address" in told


@pytest.mark.parametrize("streams", [None, [], {}, "orders", 5])
def test_a_configuration_without_a_list_of_streams_is_refused_with_an_example(streams: Any) -> None:
    (told,) = faults({"base_url": URL, "streams": streams})
    assert told.startswith("config.streams: a list of at least one stream is needed, such as")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"path": None}, "stream orders: the key 'path' is missing"),
        ({"paginator": {"type": "offset", "limit": None}}, "stream orders.paginator: the key 'limit' is missing"),
        ({"paginator": {"type": "cursor", "stable": None}}, "stream orders.paginator.stable: it is null"),
        ({"paginator": {"type": ["cursor"]}}, "stream orders.paginator.type: ['cursor'] is none of cursor, "),
        ({"paginator": {"type": "curser"}}, "did you mean 'cursor'?"),
        ({"paginator": {}}, "stream orders.paginator.type: None is none of"),
        ({"paginator": "cursor"}, "stream orders.paginator: a mapping is needed, not a string"),
        ({"incremental": {}}, "stream orders.incremental: the key 'cursor_path' is missing"),
        ({"incremental": {"cursor_path": "at", "order": None}}, "stream orders.incremental.order: it is null"),
        (
            {"incremental": {"cursor_path": "at", "precision": "1 s"}},
            "precision: '1 s' is not of this setting's form. Of the API's filter, where coarser than its values: 1ms, 1s, 1m, 1d.",
        ),
        (
            {"rate_limit": "fast"},
            "stream orders.rate_limit: 'fast' is not of this setting's form. The most requests in",
        ),
        (
            {"timeout": "inf"},
            "stream orders.timeout: a number greater than 0 and at most 86400 is needed, not 'inf'",
        ),
        ({"timeout": 0}, "stream orders.timeout: a number greater than 0 and at most 86400 is needed, not 0"),
        ({"fixed_order": "si"}, "stream orders.fixed_order: true or false is needed, not 'si'"),
        ({"primary_key": "id"}, "stream orders.primary_key: a list is needed, not a string"),
        ({"primary_key": ["id", 5]}, "stream orders.primary_key[1]: a text is needed, not a number"),
        ({"primary_key": [None]}, "stream orders.primary_key[0]: it is null"),
        ({"headers": ["a"]}, "stream orders.headers: a mapping is needed, not a list"),
        ({"auth_token": ["s3cret"]}, "stream orders.auth_token: a text is needed, not a list"),
        ({"schema": 5}, "stream orders.schema: a mapping or a text is needed, not a number"),
        (
            {"validator": "ETag"},
            "stream orders.validator: 'ETag' is none of etag, last_modified, none; did you mean 'etag'?",
        ),
        (
            {"response_rules": [{"action": "fail", "http_codes": [20]}]},
            "did you mean 'FAIL'?\nstream orders.response_rules[0].http_codes[0]: a whole number of at least 200 and at most 599 is needed, not 20",
        ),
    ],
)
def test_a_wrong_value_is_a_fault_with_its_place_and_never_a_crash(keys: dict[str, Any], told: str) -> None:
    assert told.lower() in "\n".join(faults({"base_url": URL, "streams": [{**ORDERS, **keys}]})).lower()


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"records": "data[?("}, "records"),
        ({"deleted_path": "a[["}, "deleted_path"),
        ({"paginator": {"type": "json_link", "next_url_path": "a[["}}, "paginator.next_url_path"),
        ({"paginator": {"type": "offset", "limit": 5, "total_path": "$["}}, "paginator.total_path"),
        ({"incremental": {"cursor_path": "$..["}}, "incremental.cursor_path"),
        ({"lookup": {"path": "/orders/{key.id}", "records": "["}}, "lookup.records"),
        (
            {"feed": {"path": "/e", "types": ["a"], "incremental": {"cursor_path": "id"}, "object_path": "$[?"}},
            "feed.object_path",
        ),
    ],
)
def test_a_path_that_is_none_is_refused_before_any_request_with_its_place(keys: dict[str, Any], place: str) -> None:
    (told,) = faults({"base_url": URL, "streams": [{**ORDERS, **keys}]})
    assert told.startswith(f"stream orders: {place}: '")
    assert "is not a JSONPath" in told
    assert "write it like data.items or $.data[*]" in told


def test_mappings_merge_key_by_key_and_null_takes_a_key_away() -> None:
    top = {"headers": {"A": "1", "B": "2"}, "params": {"limit": 10, "sort": "id"}}
    stream = one(top, headers={"B": "3", "C": "4"}, params={"limit": None})
    assert stream.headers == {"A": "1", "B": "3", "C": "4"}
    assert stream.params == {"sort": "id"}


def test_all_else_replaces_and_null_takes_the_whole_away() -> None:
    top = {
        "paginator": {"type": "offset", "limit": 5},
        "incremental": {"cursor_path": "at"},
        "headers": {"A": "1"},
        "primary_key": ["id"],
    }
    stream = one(top, paginator={"type": "json_link"}, incremental=None, headers=None, primary_key=["a", "b"])
    assert (stream.paginator, stream.incremental, stream.headers) == (JsonLink(), None, {})
    assert stream.primary_key == ["a", "b"]
    assert one(top).paginator == Offset(limit=5)


def test_a_null_at_the_top_is_a_setting_that_is_not_set() -> None:
    assert one({"method": None, "paginator": None, "auth_token": None}).method == "GET"


def test_a_stream_may_have_secrets_of_its_own() -> None:
    stream = one({"auth": {"type": "bearer"}, "auth_token": "top"}, auth_token="own")
    assert (stream.auth, stream.auth_token) == (Bearer(), "own")


def test_a_whole_address_as_path_needs_no_base_url() -> None:
    (only,) = read_settings({"streams": [{"name": "orders", "path": f"{URL}/orders"}]})
    assert only.path == f"{URL}/orders"


def test_numbers_and_booleans_may_be_text_as_environment_variables_are() -> None:
    stream = one({"timeout": "2.5", "max_attempts": "3"}, paginator={"type": "cursor", "stable": "true"})
    assert (stream.timeout, stream.max_attempts, stream.paginator) == (2.5, 3, CursorToken(stable=True))


def test_keys_of_singer_sdk_are_left_to_it_at_the_top_alone() -> None:
    config = {"base_url": URL, "stream_maps": {}, "streams": [ORDERS]}
    assert read_settings(config, foreign={"stream_maps"})
    assert "config: unknown key 'stream_maps'" in faults(config)[0]
    with pytest.raises(ConfigurationError, match="stream orders: unknown key 'stream_maps'"):
        read_settings({"base_url": URL, "streams": [{**ORDERS, "stream_maps": {}}]}, foreign={"stream_maps"})


def test_no_fault_shows_a_secret() -> None:
    for name in SECRETS:
        told = "\n".join(faults({"base_url": URL, name: 987654321, "streams": [{**ORDERS, "pat": 1}]}))
        assert f"config.{name}: a text is needed, not a number" in told
        assert "987654321" not in told


def test_the_schema_marks_each_secret_and_only_those() -> None:
    properties = json_schema()["properties"]
    assert {name for name, described in properties.items() if described.get("secret")} == {
        *SECRETS,
        "hash_cache",  # an address of Redis or Postgres may hold a password
        "webhook_queue",  # likewise
        "webhook_secrets",
        "webhook_tokens",
    }
    assert set(SECRETS) == {
        "auth_token",
        "auth_api_key",
        "auth_password",
        "auth_client_secret",
        "auth_refresh_token",
    }


def test_the_schema_describes_every_setting() -> None:
    assert [name for name, described in json_schema()["properties"].items() if not described.get("description")] == []


def test_the_initial_value_keeps_its_type() -> None:
    for value in ("2020-01-01T00:00:00Z", 1577836800):
        incremental = one(incremental={"cursor_path": "at", "initial_value": value}).incremental
        assert isinstance(incremental, Incremental)
        assert incremental.initial_value == value
