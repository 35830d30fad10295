"""What one setting needs of another, which no struct can say; each fault with its remedy."""

from __future__ import annotations

import typing
from typing import Any
from urllib.parse import urlsplit

from tap_restextract.config.auth import ApiKey, Bearer, HttpBasic, OAuth2ClientCredentials, OAuth2RefreshToken
from tap_restextract.config.streams import Incremental, StreamSettings
from tap_restextract.config.webhooks import Ed25519, ReceiverSettings, Signature, Signing, Source, Token
from tap_restextract.errors import ConfigurationError
from tap_restextract.values.own_forms import form_fault
from tap_restextract.values.paths import find
from tap_restextract.values.spelling import hint
from tap_restextract.values.zones import zone_named

FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
CACHES = frozenset({"", "redis", "rediss", "postgresql", "postgres"})


OWN_ADDRESSES = {"/health", "/ready", "/metrics"}


def requirement_faults(stream: StreamSettings) -> typing.Iterator[str]:
    """Yield the faults of settings that need each other, which no struct can say."""
    if stream.source == "webhooks" and not stream.path and not stream.base_url:
        pass  # nothing is asked of any API
    elif not stream.base_url and "://" not in stream.path:
        yield "base_url is missing; set it at the top or in the stream, such as https://api.example.com/v1"
    elif "://" not in stream.path and not _is_web_address(stream.base_url):
        yield "base_url is not a web address; it is written like https://api.example.com/v1"
    if isinstance(stream.auth, (OAuth2ClientCredentials, OAuth2RefreshToken)) and not _is_web_address(
        stream.auth.access_token_url
    ):
        yield "auth.access_token_url is not a web address; it is written like https://api.example.com/oauth/token"
    needed: dict[type, tuple[str, ...]] = {
        Bearer: ("auth_token",),
        ApiKey: ("auth_api_key",),
        HttpBasic: ("auth_username", "auth_password"),
        OAuth2ClientCredentials: ("auth_client_id", "auth_client_secret"),
        OAuth2RefreshToken: ("auth_refresh_token",),
    }
    for name in needed.get(type(stream.auth), ()):
        if getattr(stream, name) in {None, ""}:
            kind = type(stream.auth).__struct_config__.tag
            yield f"auth type {kind} needs the setting {name}; set it, or the variable TAP_RESTEXTRACT_{name.upper()}"
    yield from _path_faults(stream)
    yield from _zone_faults(stream)
    yield from _rule_faults(stream)
    if stream.client_key and not stream.client_certificate:
        yield "client_key is set, but no client_certificate; set it, or leave both out"
    scheme = stream.hash_cache.partition("://")[0] if "://" in stream.hash_cache else ""
    if scheme not in CACHES:
        yield f"hash_cache has the scheme {scheme}, which is none of {', '.join(sorted(filter(None, CACHES)))}; a path is a SQLite file"
    if isinstance(stream.schema, str) and not stream.openapi:
        yield f"schema names the component {stream.schema!r}, but no `openapi` document is given"
    if stream.json is not None and _declares_a_form(stream):
        yield (
            "a JSON body is sent as JSON, and headers declare it to be a form, which can't be sent; take Content-Type out of headers, or write "
            "params instead of json, where the API reads its form's fields there, too"
        )
    if stream.json is not None and stream.method == "GET":
        yield "a JSON body is set, but the method is GET; set method: POST, or move the body to params"


def _declares_a_form(stream: StreamSettings) -> bool:
    typed = (str(value) for name, value in stream.headers.items() if name.lower() == "content-type")
    return any(value.partition(";")[0].strip().lower() in FORMS for value in typed)


def webhook_faults(received: ReceiverSettings, streams: list[Any], base_url: str | None) -> typing.Iterator[str]:
    """Yield the faults of sources, secrets and streams that need each other."""
    by_name = {stream.get("name"): stream for stream in streams if isinstance(stream, dict)}
    taking_webhooks = {name for name, stream in by_name.items() if stream.get("source") == "webhooks"}
    sources = received.webhooks.sources if received.webhooks else []
    for index, source in enumerate(sources):
        location = f"webhooks source {source.name}"
        if source.name in {other.name for other in sources[:index]}:
            yield f"{location}: the name is used twice; give each source its own"
        if source.address in {other.address for other in sources[:index]} | OWN_ADDRESSES:
            yield f"{location}: the path {source.address} is taken; give each source its own"
        if not [secret for secret in received.secrets.get(source.name, ()) if secret]:
            yield f"{location}: it has no secret; set webhook_secrets: {{{source.name}: …}}, or the variable TAP_RESTEXTRACT_WEBHOOK_SECRETS as JSON"
        for name in ("events_path", "type_path", "id_path", "time_path"):
            yield from (f"{location}: {name}: {fault}" for fault in _no_path(getattr(source, name)))
        yield from (f"{location}: signature: {fault}" for fault in _signature_faults(source.signature))
        yield from (f"{location}: handshake: {fault}" for fault in _handshake_faults(source, received.tokens))
        for route in source.streams:
            for path in (route.object_path, route.fetch_records, *route.key.values()):
                yield from (f"{location}: stream {route.stream}: {fault}" for fault in _no_path(path))
            if route.stream not in taking_webhooks:
                yield f"{location}: the stream {route.stream} doesn't take webhooks; declare it with source: webhooks"
            elif (
                route.fetch_path
                and "://" not in route.fetch_path
                and not (by_name[route.stream].get("base_url") or base_url)
            ):
                yield f"{location}: fetch_path is a path of the API, and the stream {route.stream} has no base_url; set it"
    names = [source.name for source in sources]
    yield from (
        f"config.{setting}: there is no source {name!r}{hint(name, names)}"
        for setting, given in (("webhook_secrets", received.secrets), ("webhook_tokens", received.tokens))
        for name in given
        if name not in names
    )
    sent = {route.stream for source in sources for route in source.streams}
    yield from (
        f"stream {name}: source is webhooks, but no source sends notifications of it; name it in the streams of one of webhooks.sources"
        for name in sorted(taking_webhooks - sent, key=str)
    )


def _signature_faults(signature: Signature) -> typing.Iterator[str]:
    """Yield what a signature needs and doesn't have."""
    if isinstance(signature, Token):
        if sum(each is not None for each in (signature.header, signature.param, signature.path)) != 1:
            yield "a token lies in one place; set one of header, param and path"
        yield from (f"path: {fault}" for fault in _no_path(signature.path))
    elif isinstance(signature, Signing):
        needs = {"timestamp": "timestamp_header", "id": "id_header", "url": "url"}
        for name, key in needs.items():
            if f"{{{name}}}" in signature.signed and getattr(signature, key) is None:
                yield f"signed has {{{name}}} in it, and nothing says what that is; set {key}"


def _handshake_faults(source: Source, tokens: typing.Mapping[str, str]) -> typing.Iterator[str]:
    """Yield what a handshake needs and doesn't have, and what it can't have together."""
    handshake = source.handshake
    if handshake is None:
        return
    places = [name for name in ("param", "header", "path") if getattr(handshake, name) is not None]
    answers = [name for name in ("answer_key", "answer_header", "hmac_key") if getattr(handshake, name) is not None]
    if len(places) > 1:
        yield f"the challenge lies in one place; leave out all of {', '.join(places)} but one"
    if answers and not places:
        yield f"{answers[0]} gives a challenge back, and nothing says where it lies; set param, header or path"
    if handshake.path is not None and handshake.method != "POST":
        yield f"path is of a body, which a {handshake.method} request doesn't have; set method: POST, or param"
    if handshake.method == "POST" and not places:
        yield "a POST without a challenge looks like any notification; set param, header or path"
    if handshake.answer_header is not None and len(answers) > 1:
        yield "answer_header answers without a body; leave it, or answer_key and hmac_key, out"
    if handshake.token_param is not None and not tokens.get(source.name):
        yield f"there is no token that {handshake.token_param} must hold; set webhook_tokens: {{{source.name}: …}}"
    if handshake.hmac_key is not None and isinstance(source.signature, (Token, Ed25519)):
        yield "hmac_key answers with an HMAC by the secret of an HMAC; leave it out"
    yield from (f"path: {fault}" for fault in _no_path(handshake.path))


def _path_faults(stream: StreamSettings) -> typing.Iterator[str]:
    """Paths that no JSONPath engine can read, before a request is made for what would then be looked at."""
    tables: dict[str, tuple[object, tuple[str, ...]]] = {
        "": (stream, ("records", "deleted_path")),
        "paginator.": (stream.paginator, ("cursor_path", "next_url_path", "has_more_path", "total_path", "end_path")),
        "incremental.": (stream.incremental, ("cursor_path", "tie_breaker")),
        "lookup.": (stream.lookup, ("records",)),
        "feed.": (stream.feed, ("records", "type_path", "object_path", "fetch_records")),
        "feed.incremental.": (stream.feed and stream.feed.incremental, ("cursor_path", "tie_breaker")),
        "feed.paginator.": (
            stream.feed and stream.feed.paginator,
            ("cursor_path", "next_url_path", "has_more_path", "total_path", "end_path"),
        ),
    }
    for location, (table, names) in tables.items():
        for name in names:
            yield from (f"{location}{name}: {fault}" for fault in _no_path(getattr(table, name, None)))


def _no_path(path: str | None) -> list[str]:
    try:
        find(path or "$", None)
    except ConfigurationError as error:
        return error.faults
    return []


def _zone_faults(stream: StreamSettings) -> typing.Iterator[str]:
    feed = None if stream.feed is None else stream.feed.incremental
    for location, incremental in (("incremental", stream.incremental), ("feed.incremental", feed)):
        if incremental is not None:
            yield from (f"{location}.{fault}" for fault in _form_faults(stream, incremental))
        if incremental is not None and incremental.timezone is not None:
            try:
                zone_named(incremental.timezone)
            except ConfigurationError as error:
                yield from (f"{location}: {fault}" for fault in error.faults)


def _form_faults(stream: StreamSettings, incremental: Incremental) -> typing.Iterator[str]:
    for form in incremental.cursor_formats:
        if (fault := form_fault(form)) is not None:
            yield f"cursor_formats: {form!r} {fault}"
    if incremental.cursor_formats and incremental.epoch is not None:
        yield "cursor_formats is set, and epoch, which says that the key is a number; leave one of them out"
    if incremental.cursor_formats and stream.source == "webhooks":
        yield "cursor_formats doesn't go with source: webhooks, whose records come as they were sent; leave it out"


def _rule_faults(stream: StreamSettings) -> typing.Iterator[str]:
    for index, rule in enumerate(stream.response_rules):
        location = f"response_rules[{index}]"
        if not rule.http_codes and rule.error_message_contains is None and rule.predicate is None:
            yield f"{location} fits every answer; give it http_codes, error_message_contains or predicate"
        if rule.equals is not None and rule.predicate is None:
            yield f"{location} has equals without a predicate; say where the value lies"
        yield from (f"{location}.predicate: {fault}" for fault in _no_path(rule.predicate))
        if rule.action == "REFRESH_TOKEN" and not isinstance(
            stream.auth, (OAuth2ClientCredentials, OAuth2RefreshToken)
        ):
            yield f"{location}: REFRESH_TOKEN needs an auth type with a token to refresh, oauth2_client_credentials or oauth2_refresh_token"
        if rule.action == "IGNORE" and (stream.sweep or stream.sweep_every):
            yield f"{location}: IGNORE would make a sweep take what an answer hides for deleted; use FAIL or RETRY, or leave the sweep out"


def _is_web_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:  # an IPv6 address or a port that is none
        return False
