"""Credentials in requests, as the RFCs write them."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from tap_restextract.config.streams import StreamSettings
from tap_restextract.exchange.auth import authenticated, secrets_of, token_request
from tap_restextract.exchange.request import Request
from tests.support.streams import stream

pytestmark = pytest.mark.pure

PLAIN = Request(
    "GET", "https://api.example.com/v1/things", (("limit", "2"),), {"authorization": "old", "Cookie": "a=1"}
)
SECRETS = {
    "auth_token": "t0ken",
    "auth_api_key": "k&y",
    "auth_username": "me",
    "auth_password": "wörd:1",
    "auth_client_id": "client:1",
    "auth_client_secret": "s/cret",
    "auth_refresh_token": "refr&sh",
}


def authorised(auth: dict[str, Any]) -> StreamSettings:
    """A stream with this type of auth and every secret."""
    return stream(auth=auth, **SECRETS)


def test_without_auth_nothing_is_added() -> None:
    assert authenticated(PLAIN, stream()) is PLAIN


def test_a_bearer_token_replaces_the_header_whatever_its_case() -> None:
    headers = authenticated(PLAIN, authorised({"type": "bearer"})).headers
    assert headers == {"Cookie": "a=1", "Authorization": "Bearer t0ken"}


def test_basic_is_the_utf_8_of_user_and_password() -> None:
    header = authenticated(PLAIN, authorised({"type": "http_basic"})).headers["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "me:wörd:1"


def test_an_api_key_goes_where_the_configuration_says() -> None:
    header = authorised({"type": "api_key", "name": "X-Key"})
    query = authorised({"type": "api_key", "name": "key", "location": "query"})
    cookie = authorised({"type": "api_key", "name": "session", "location": "cookie"})
    assert authenticated(PLAIN, header).headers["X-Key"] == "k&y"
    assert authenticated(PLAIN, query).params == (("limit", "2"), ("key", "k&y"))
    assert authenticated(PLAIN, cookie).headers["Cookie"] == "a=1; session=k&y"


def test_a_link_that_carries_the_key_already_is_not_given_it_twice() -> None:
    query = authorised({"type": "api_key", "name": "key", "location": "query"})
    linked = Request("GET", "https://api.example.com/v1/things?page=2&key=k%26y")
    assert authenticated(linked, query).params == ()
    assert authenticated(Request("GET", "https://api.example.com/v1/things?page=2"), query).params == (("key", "k&y"),)


@pytest.mark.parametrize("kind", ["oauth2_client_credentials", "oauth2_refresh_token"])
def test_the_oauth_types_carry_the_access_token(kind: str) -> None:
    only = authorised({"type": kind, "access_token_url": "https://id.example.com/token"})
    assert authenticated(PLAIN, only, "acc").headers["Authorization"] == "Bearer acc"


def test_client_credentials_go_into_the_form() -> None:
    auth = {
        "type": "oauth2_client_credentials",
        "access_token_url": "https://id.example.com/token",
        "scope": "a b",
        "access_token_request_data": {"audience": "x", "n": 1},
    }
    asked = token_request(authorised(auth), None)
    assert asked.url == "https://id.example.com/token"
    assert asked.form == {
        "grant_type": "client_credentials",
        "client_id": "client:1",
        "client_secret": "s/cret",
        "scope": "a b",
        "audience": "x",
        "n": "1",
    }
    assert "Authorization" not in asked.headers


def test_or_into_a_basic_header_each_encoded_before_they_are_joined() -> None:
    auth = {
        "type": "oauth2_client_credentials",
        "access_token_url": "https://id.example.com/token",
        "client_authentication": "header",
    }
    asked = token_request(authorised(auth), None)
    assert asked.form == {"grant_type": "client_credentials"}
    joined = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert joined == "client%3A1:s%2Fcret"


def test_the_newest_refresh_token_is_used_and_the_configured_one_before_there_is_any() -> None:
    only = authorised({"type": "oauth2_refresh_token", "access_token_url": "https://id.example.com/token"})
    assert token_request(only, None).form["refresh_token"] == "refr&sh"
    assert token_request(only, "rotated").form["refresh_token"] == "rotated"


def test_every_secret_is_known_in_each_of_its_writings() -> None:
    known = secrets_of(authorised({"type": "http_basic"}))
    for name in ("auth_token", "auth_api_key", "auth_password", "auth_client_secret", "auth_refresh_token"):
        assert {SECRETS[name], quote(SECRETS[name], safe="")} <= known
    assert base64.b64encode("me:wörd:1".encode()).decode() in known
    assert "" not in secrets_of(stream(auth_token=""))
