"""Requests: cursor parts only once there is a cursor, and no secret in what is shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.request import (
    HIDDEN,
    Request,
    cursor_names,
    redacted,
    redacted_body,
    redacted_request,
    request_for,
)
from tap_restextract.values.cursor import Cursor
from tests.support.streams import stream

pytestmark = pytest.mark.pure

INCREMENTAL = {"cursor_path": "updated_at", "tie_breaker": "id", "filter": "compound"}
CURSOR = Cursor("2026-01-01T00:00:00Z", 42)
SECRET = "a+b/c d&é=%"


def test_parts_that_mention_the_cursor_are_sent_only_once_there_is_one() -> None:
    only = stream(
        method="POST",
        incremental=INCREMENTAL,
        params={"limit": 2, "where": {"json": {"updated_at": {"$gt": "{cursor.updated_at}"}}}},
        headers={"X-Since": "{cursor.updated_at}", "X-Tenant": "me"},
        json={"filters": [{"after": "{cursor.id}"}], "sort": "updated_at"},
    )
    first, later = request_for(only, None), request_for(only, CURSOR)
    assert (first.params, first.headers, first.json) == (
        (("limit", "2"),),
        {"X-Tenant": "me"},
        {"sort": "updated_at"},
    )
    assert later.params == (("limit", "2"), ("where", '{"updated_at":{"$gt":"2026-01-01T00:00:00Z"}}'))
    assert later.headers == {"X-Since": "2026-01-01T00:00:00Z", "X-Tenant": "me"}
    assert later.json == {"filters": [{"after": 42}], "sort": "updated_at"}


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        (True, [("p", "true")]),
        (7, [("p", "7")]),
        (Decimal("1E+3"), [("p", "1000")]),
        (["a", 1], [("p", "a"), ("p", "1")]),
        ("", [("p", "")]),
    ],
)
def test_parameters_are_written_as_queries_write_them(value: Any, pairs: list[tuple[str, str]]) -> None:
    assert list(request_for(stream(params={"p": value}), None).params) == pairs


def test_a_mapping_as_parameter_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(
        ConfigurationError, match=r"stream things: params\.where: a mapping can't be sent as it is; write where: \{json"
    ):
        request_for(stream(params={"where": {"a": 1, "b": 2}}), None)


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("https://a.example/v1", "/things", "https://a.example/v1/things"),
        ("https://a.example/v1/", "things", "https://a.example/v1/things"),
        ("https://a.example/v1/", "/things/", "https://a.example/v1/things/"),
        ("https://a.example/v1", "", "https://a.example/v1"),
        ("https://a.example/v1/", "/", "https://a.example/v1"),
        ("https://a.example/v1", "https://a.example/other", "https://a.example/other"),
    ],
)
def test_a_path_is_joined_to_the_base_and_keeps_its_last_slash(base_url: str, path: str, url: str) -> None:
    assert request_for(stream(base_url=base_url, path=path), None).url == url


def test_a_cursor_in_the_path_can_not_leave_its_segment() -> None:
    only = stream(path="/since/{cursor.updated_at}", incremental=INCREMENTAL)
    assert request_for(only, Cursor("../a?b", 1)).url == "https://api.example.com/v1/since/..%2Fa%3Fb"


def test_every_part_of_the_request_is_searched_for_placeholders() -> None:
    only = stream(
        method="POST",
        path="/{cursor.a}",
        params={"p": {"json": ["{cursor.b}"]}},
        headers={"H": "{cursor.c}"},
        json={"x": [{"y": "{cursor.d}"}]},
    )
    assert cursor_names(only) == {"cursor.a", "cursor.b", "cursor.c", "cursor.d"}


@given(st.text(min_size=4))
def test_a_secret_is_hidden_in_each_writing_that_a_query_has(secret: str) -> None:
    secret = secret.encode(errors="ignore").decode() + "#&/ ü"
    for written in (secret, quote(secret), quote(secret, safe=""), urlencode({"": secret})[1:]):
        assert written not in redacted(f"GET https://a.example/x?p={written}&q=1", {secret})


@pytest.mark.parametrize(
    "name", ["api_key", "apikey", "access_token", "client_secret", "password", "sig", "X-Amz-Signature", "auth"]
)
def test_values_of_names_that_sound_secret_are_hidden_though_nobody_declared_them(name: str) -> None:
    request = Request("GET", f"https://a.example/x?{name}=s3cret&limit=5", ((name, "s3cret2"),))
    assert redacted_request(request) == f"GET https://a.example/x?{name}={HIDDEN}&limit=5&{name}={HIDDEN}"


def test_credentials_in_the_address_are_not_shown() -> None:
    assert redacted_request(Request("GET", "https://me:word@a.example/x")) == "GET https://a.example/x"


def test_a_secret_is_hidden_wherever_it_stands() -> None:
    request = Request("GET", f"https://a.example/{quote(SECRET)}", (("q", SECRET),))
    assert redacted_request(request, {SECRET}) == f"GET https://a.example/{HIDDEN}?q={HIDDEN}"


def test_a_body_is_shown_without_secrets_at_any_depth() -> None:
    body = {"login": {"password": "w0rd", "user": "me"}, "list": [{"api_key": "k", "n": 1}], "text": f"x {SECRET}"}
    text = redacted_body(body, {SECRET})
    assert "'user': 'me'" in text
    assert "'n': 1" in text
    for secret in ("w0rd", "'k'", SECRET):
        assert secret not in text
    assert body["login"] == {"password": "w0rd", "user": "me"}
