"""How credentials are put into a request: pure functions over values. Fetching an OAuth token is the client's work.

RFC 6750 (bearer), RFC 7617 (basic), RFC 6749 sections 2.3.1, 4.4 and 6 (OAuth 2.0).
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from typing_extensions import assert_never

from tap_restextract.config.auth import (
    ApiKey,
    Bearer,
    HttpBasic,
    NoAuth,
    OAuth2ClientCredentials,
    OAuth2RefreshToken,
    Plugin,
)
from tap_restextract.config.streams import SECRETS, StreamSettings
from tap_restextract.exchange.request import Request, host_address, origin_of


class TokenRequest(Struct, frozen=True):
    """A request to an OAuth 2.0 token endpoint: a form, and perhaps a Basic header."""

    url: str
    form: dict[str, str]
    headers: dict[str, str]


def authenticated(request: Request, stream: StreamSettings, access_token: str | None = None) -> Request:
    """Return the request with the stream's credentials; an OAuth type needs the access token."""
    auth = stream.auth
    match auth:
        case NoAuth() | Plugin():  # a signer adds its headers to each attempt
            return request
        case Bearer():
            return _with_header(request, "Authorization", f"Bearer {stream.auth_token}")
        case HttpBasic():
            return _with_header(
                request, "Authorization", _basic(stream.auth_username or "", stream.auth_password or "")
            )
        case OAuth2ClientCredentials() | OAuth2RefreshToken():
            return _with_header(request, "Authorization", f"Bearer {access_token}")
        case ApiKey(name=name, location=location):
            key = stream.auth_api_key or ""
            if location == "header":
                return _with_header(request, name, key)
            if location == "cookie":
                return _with_header(request, "Cookie", "; ".join([*_cookies(request), f"{name}={key}"]))
            linked = dict(parse_qsl(urlsplit(request.url).query))
            return request if name in linked else replace(request, params=(*request.params, (name, key)))
    assert_never(auth)


def token_request(stream: StreamSettings, refresh_token: str | None) -> TokenRequest:
    """Return what asks the token endpoint for an access token."""
    auth = stream.auth
    assert isinstance(auth, (OAuth2ClientCredentials, OAuth2RefreshToken))
    form: dict[str, str] = {}
    if isinstance(auth, OAuth2RefreshToken):
        form |= {"grant_type": "refresh_token", "refresh_token": refresh_token or stream.auth_refresh_token or ""}
    else:
        form["grant_type"] = "client_credentials"
    if auth.scope:
        form["scope"] = auth.scope
    headers = {"Accept": "application/json"}
    if auth.client_authentication == "header":
        # RFC 6749 2.3.1: both are form-encoded before they are joined.
        name, word = (quote(part or "", safe="") for part in (stream.auth_client_id, stream.auth_client_secret))
        headers["Authorization"] = _basic(name, word)
    else:
        form |= {
            name: value
            for name, value in (("client_id", stream.auth_client_id), ("client_secret", stream.auth_client_secret))
            if value
        }
    return TokenRequest(
        auth.access_token_url,
        form | {key: str(value) for key, value in auth.access_token_request_data.items()},
        headers,
    )


def auth_settings(stream: StreamSettings) -> dict[str, str]:
    """Return the stream's settings auth_…, where they are set, for a signer."""
    names = [field.name for field in msgspec.structs.fields(stream) if field.name.startswith("auth_")]
    return {name: value for name in names if (value := getattr(stream, name))}


def quota_identity(stream: StreamSettings) -> object:
    """Return what APIs count requests by: the host, and the credentials used there."""
    return origin_of(host_address(stream)), msgspec.json.encode(stream.auth), tuple(sorted(secrets_of(stream)))


def secrets_of(stream: StreamSettings) -> frozenset[str]:
    """Return every secret of the stream, in each form in which it goes over the wire."""
    plain = {value for name in SECRETS if (value := getattr(stream, name))}
    if stream.auth_password:
        plain.add(_basic(stream.auth_username or "", stream.auth_password).removeprefix("Basic "))
    return frozenset(plain | {urlencode({"": value})[1:] for value in plain})


def _with_header(request: Request, name: str, value: str) -> Request:
    headers: dict[str, Any] = {key: header for key, header in request.headers.items() if key.lower() != name.lower()}
    return replace(request, headers={**headers, name: value})


def _cookies(request: Request) -> list[str]:
    return [header for key, header in request.headers.items() if key.lower() == "cookie"]


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
