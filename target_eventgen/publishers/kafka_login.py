"""How a publisher to Kafka logs in: a user and a password, an OAuth token, or Kerberos.

A token comes from a server by client credentials: the client library itself asks for it, in a thread of its own, and
again before it expires. One that the settings hold is shown for as long as it lasts.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from target_eventgen.publishers.protocol import Secret

Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]

LASTING_SECONDS: Final = 86_400.0
"""Seconds for which a token of the settings is taken to last that doesn't say when it expires."""

NO_PROVIDER: Final = "No provider for SASL mechanism"
"""Begins librdkafka's message that it was built without a mechanism."""

KERBEROS_MISSING: Final = (
    "the installed confluent-kafka was built without GSSAPI (Kerberos), as its wheels on PyPI are. Build it over a librdkafka "
    "that has it: install librdkafka of at least its version with libsasl2 and libsasl2-modules-gssapi-mit, then "
    "`pip install --no-binary confluent-kafka --force-reinstall confluent-kafka`; or log in by another mechanism"
)


EXPIRED: Final = "its token has expired; give it another one, or have tokens handed out by a server (token_url)"


class Login(Protocol):
    """The settings of a login."""

    @property
    def sasl_mechanism(self) -> Mechanism | None:
        """How the user is verified."""

    @property
    def username(self) -> str | None:
        """Of the user."""

    @property
    def password(self) -> Secret | None:
        """Of the user."""

    @property
    def token_url(self) -> str | None:
        """The server's endpoint that hands tokens out."""

    @property
    def client_id(self) -> str | None:
        """Of the client at that server."""

    @property
    def client_secret(self) -> Secret | None:
        """Of the client at that server."""

    @property
    def scope(self) -> str | None:
        """That the token is to have."""

    @property
    def token_certificate_authority(self) -> str | None:
        """File of the certificates that the server's is verified with."""

    @property
    def token(self) -> Secret | None:
        """A token, instead of a server."""

    @property
    def sasl_extensions(self) -> Mapping[str, str]:
        """Names and values that go to the brokers beside the token."""


_SERVER: Final = ("token_url", "client_id", "client_secret")
_OPTIONAL: Final = ("scope", "token_certificate_authority")
_NEEDED: Final[Mapping[Mechanism, tuple[str, ...]]] = {
    "PLAIN": ("username", "password"),
    "SCRAM-SHA-256": ("username", "password"),
    "SCRAM-SHA-512": ("username", "password"),
    "OAUTHBEARER": _SERVER,
    "GSSAPI": (),
}
_ALL: Final = ("username", "password", *_SERVER, *_OPTIONAL, "token", "sasl_extensions")


def faults(login: Login) -> Iterator[str]:
    """Yield what is missing in a login, or would not be heeded."""
    given = {name for name in _ALL if getattr(login, name)}
    mechanism = login.sasl_mechanism
    if mechanism is None:
        if given:
            yield f"{', '.join(sorted(given))} and sasl_mechanism go together"
        return
    wanted = set(_NEEDED[mechanism])
    if mechanism == "OAUTHBEARER":
        wanted = {"token"} if "token" in given else wanted
        given -= {"sasl_extensions"} if "token" in given else {"sasl_extensions", *_OPTIONAL}
    if missing := sorted(wanted - given):
        choice = ", or a token" if mechanism == "OAUTHBEARER" else ""
        yield f"sasl_mechanism {mechanism} and {', '.join(missing)}{choice} go together"
    if foreign := sorted(given - wanted):
        yield f"{', '.join(foreign)} is not for sasl_mechanism {mechanism}" + (
            "" if "token" not in given else " with a token"
        )
    if login.token_url is not None:
        parts = urlsplit(login.token_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            yield "token_url must be like https://login.example.com/oauth2/token"


def configuration(login: Login) -> dict[str, Any]:
    """Return what librdkafka is to know of a login, in its names."""
    if login.sasl_mechanism is None:
        return {}
    found: dict[str, Any] = {
        "sasl.mechanism": login.sasl_mechanism,
        "sasl.username": login.username,
        "sasl.password": login.password and login.password.value,
    }
    if login.token is not None:
        found["oauth_cb"] = _shown(login.token.value, login.sasl_extensions)
    elif login.token_url is not None:
        found |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": login.token_url,
            "sasl.oauthbearer.client.id": login.client_id,
            "sasl.oauthbearer.client.secret": login.client_secret and login.client_secret.value,
            "sasl.oauthbearer.scope": login.scope,
            "sasl.oauthbearer.extensions": ",".join(f"{name}={value}" for name, value in login.sasl_extensions.items())
            or None,
            "https.ca.location": login.token_certificate_authority,
        }
    return {name: value for name, value in found.items() if value is not None}


def _shown(token: str, extensions: Mapping[str, str]) -> Callable[[str], tuple[str, float, str, dict[str, str]]]:
    """Return what the client calls for a token: it is given the token, when it expires, whose it is, and extensions."""

    def show(_: str) -> tuple[str, float, str, dict[str, str]]:
        claims = claims_of(token)
        expires = claims.get("exp")
        until = float(expires) if isinstance(expires, int | float) else time.time() + LASTING_SECONDS
        return token, until, str(claims.get("sub") or "target-eventgen"), dict(extensions)

    return show


def has_expired(login: Login) -> bool:
    """Return whether a token of the settings says that it is of no use any more; the client would wait in vain."""
    expires = None if login.token is None else claims_of(login.token.value).get("exp")
    return isinstance(expires, int | float) and expires <= time.time()


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JSON Web Token says, unverified; nothing of any other token."""
    parts = token.split(".")
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="), type=dict[str, Any])
    except (IndexError, ValueError, msgspec.DecodeError):
        return {}
