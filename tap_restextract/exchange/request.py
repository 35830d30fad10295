"""Requests as values, and how a stream's settings become its next request.

A part (parameter, header, top key of the JSON body) that mentions `{cursor.…}` is sent only once there is a cursor; the
path has no such choice, so a path that mentions one needs `initial_value`. A cursor that has no tie-breaker yet (see
`keyset`) is sent without the parts that hold the tie-breaker alone; one that holds the replication key, too, gets an
empty text in its place, unless that would leave a hole.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct, field

from tap_restextract.config.streams import Incremental, StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.placeholders import OwnForm, fill, fill_path, leaves_hole, mentions, names, text
from tap_restextract.values.cursor import Cursor
from tap_restextract.values.own_forms import written

SECRET_NAME: Final = re.compile(r"token|key|secret|passw|sig(nature)?$|auth|credential", re.IGNORECASE)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
OPTIONAL: Final = frozenset({"cursor", "until"})
HIDDEN: Final = "•••"
MAX_SHOWN_CHARACTERS: Final = 120


class Request(Struct, frozen=True):
    """One HTTP request: params as pairs, so that a name may occur twice."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None


def request_for(
    stream: StreamSettings, cursor: Cursor | None, until: Any = None, more: Iterable[tuple[str, Any]] = ()
) -> Request:
    """Return the first request of a list after, or at, the cursor; paginators go on from it.

    Args:
        stream: whose list.
        cursor: from where on; None for the whole list.
        until: the last value of the replication key that is wanted; None without end.
        more: values of other placeholders, such as a parent's.

    Raises:
        ConfigurationError: for a placeholder without a value, or a parameter that is a mapping.
    """
    scope = _scope(stream, cursor) | dict(more)
    if until is not None and stream.incremental is not None:
        scope[f"until.{stream.incremental.cursor_path}"] = _in_own_form(stream.incremental, until)
    zone = None if stream.incremental is None else stream.incremental.timezone
    missing = _missing_tie(stream, cursor)
    if missing is not None and (holes := hole_faults(stream)):
        raise ConfigurationError([f"stream {stream.name}: {hole}" for hole in holes])
    try:
        path = fill_path(stream.path, scope, zone)
        params = tuple(
            pair for name, value in _sent(stream.params, scope, zone, missing).items() for pair in _pairs(name, value)
        )
        headers = {name: text(value) for name, value in _sent(stream.headers, scope, zone, missing).items()}
        body = None if stream.json is None else _sent(stream.json, scope, zone, missing)
    except ConfigurationError as error:
        raise ConfigurationError([f"stream {stream.name}: {fault}" for fault in error.faults]) from error
    below = path.lstrip("/")
    base = stream.base_url.rstrip("/")
    url = path if "://" in path else f"{base}/{below}" if below else base
    return Request(stream.method, url, params, headers, body)


class SentPart(Struct, frozen=True):
    """A part of a request that carries one of the replication key's values.

    Attributes:
        name: of the parameter, header or body key; `the path` for the path.
        value: as it is sent, its secrets hidden; at most `MAX_SHOWN_CHARACTERS`.
        forms: in which the placeholders are written; None for the value as it is.
    """

    name: str
    value: str
    forms: tuple[str | None, ...]


def sent_parts(stream: StreamSettings, family: str, cursor: Cursor | None, until: Any = None) -> list[SentPart]:
    """Return the parts of a list's request that carry a cursor, or the end of a range.

    Args:
        stream: whose list.
        family: `cursor` or `until`.
        cursor: from where on; None for the whole list.
        until: the last value that is wanted; None without end.
    """
    scope = _scope(stream, cursor)
    key = "" if stream.incremental is None else stream.incremental.cursor_path
    if until is not None:
        scope[f"until.{key}"] = until if stream.incremental is None else _in_own_form(stream.incremental, until)
    other = {name: f"({name})" for name in cursor_names(stream) if name.partition(".")[0] not in OPTIONAL}
    zone = None if stream.incremental is None else stream.incremental.timezone
    parts = []
    for part in ({"the path": stream.path}, stream.params, stream.headers, stream.json or {}):
        for name, value in _sent(part, scope | other, zone, _missing_tie(stream, cursor)).items():
            forms = tuple(form for named, form in mentions(part[name]) if named == f"{family}.{key}")
            if forms:
                shown = value if isinstance(value, str) else _encoder.encode(value).decode()
                shown = HIDDEN if SECRET_NAME.search(name) else shown
                cut = shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}…"
                parts.append(SentPart(name, cut, forms))
    return parts


def hole_faults(stream: StreamSettings) -> list[str]:
    """Return the faults of those parts of a request in which a cursor without tie-breaker would leave a hole."""
    incremental = stream.incremental
    if incremental is None or incremental.tie_breaker is None:
        return []
    tie = incremental.tie_breaker
    parts = {**stream.params, **stream.headers, **(stream.json or {})}
    holes = [
        name for name, part in parts.items() if _is_joined(part, incremental) and leaves_hole(part, f"cursor.{tie}")
    ]
    holes += ["the path"] * (f"cursor.{tie}" in names(stream.path))
    return [
        f"a request from a {incremental.cursor_path} alone (initial_value, lookback, STATE of another walk) has no {tie} yet, which leaves a hole in {hole}; "
        f"declare its type (schema: {{properties: {{{tie}: {{type: integer}}}}}}), by which the least one is sent; or, where it is a text, write quotes around "
        f"{{cursor.{tie}}}; or send it in a parameter of its own, which is left out then"
        for hole in holes
    ]


def _is_joined(part: Any, incremental: Incremental) -> bool:
    """Return whether a part of the request holds both the replication key and the tie-breaker."""
    return {f"cursor.{incremental.cursor_path}", f"cursor.{incremental.tie_breaker}"} <= {*names(part)}


def has_joined_ends(stream: StreamSettings) -> bool:
    """Return whether one part of the request holds both ends of a time range, so that they are sent together."""
    parts = [stream.path, *stream.params.values(), *stream.headers.values(), *(stream.json or {}).values()]
    return any({name.partition(".")[0] for name in names(part)} >= OPTIONAL for part in parts)


def headers_of(request: Request) -> dict[str, str]:
    """Return the request's headers; a body is declared to be JSON unless the configuration says what it is."""
    typed = request.json is None or any(name.lower() == "content-type" for name in request.headers)
    return dict(request.headers) if typed else {"Content-Type": "application/json", **request.headers}


def host_address(stream: StreamSettings) -> str:
    """Return the address whose host the stream's requests go to."""
    return stream.path if "://" in stream.path else stream.base_url


@functools.lru_cache(maxsize=256)
def origin_of(address: str) -> str:
    """Return scheme, host and port of an address; the address itself where it has none."""
    try:
        split = urlsplit(address)
    except ValueError:  # an IPv6 address that is none
        return address
    return f"{split.scheme}://{split.netloc}"


def redacted_request(request: Request, secrets: Collection[str] = ()) -> str:
    """Return the request as a person may see it: secrets, and values of names that sound like secrets, hidden."""
    split = urlsplit(request.url)
    host = split.netloc.rpartition("@")[2]
    query = split.query + ("&" if split.query and request.params else "") + urlencode(request.params)
    return redacted(f"{request.method} {split.scheme}://{host}{split.path}{'?' + query if query else ''}", secrets)


def redacted_body(body: Any, secrets: Collection[str] = ()) -> str:
    """Return a JSON body as a person may see it, likewise."""
    return redacted(str(_without_secrets(body)), secrets)


def _without_secrets(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {
            name: HIDDEN if isinstance(value, str) and SECRET_NAME.search(name) else _without_secrets(value)
            for name, value in body.items()
        }
    return [_without_secrets(member) for member in body] if isinstance(body, list) else body


def redacted(line: str, secrets: Collection[str] = ()) -> str:
    """Return the text without secrets: the given ones, in each encoding, and values of names that sound secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret, safe=""), quote(secret), urlencode({"": secret})[1:]}:
            line = line.replace(form, HIDDEN)
    return re.sub(
        r"(?P<name>[?&;][^=&#\s]*)=(?P<value>[^&#\s]*)",
        lambda pair: f"{pair['name']}={HIDDEN}" if SECRET_NAME.search(pair["name"]) else pair[0],
        line,
    )


def cursor_names(stream: StreamSettings) -> set[str]:
    """Return every placeholder name in the parts of the stream's request."""
    return {name for part in (stream.path, stream.params, stream.headers, stream.json) for name in names(part)}


def _scope(stream: StreamSettings, cursor: Cursor | None) -> dict[str, Any]:
    if cursor is None or stream.incremental is None:
        return {}
    scope = {f"cursor.{stream.incremental.cursor_path}": _in_own_form(stream.incremental, cursor.value)}
    if stream.incremental.tie_breaker and cursor.tie is not None:
        scope[f"cursor.{stream.incremental.tie_breaker}"] = cursor.tie
    return scope


def _missing_tie(stream: StreamSettings, cursor: Cursor | None) -> str | None:
    """Return the placeholder of the tie-breaker where the cursor has none; None where it has one, or there is none."""
    incremental = stream.incremental
    if cursor is None or cursor.tie is not None or incremental is None or incremental.filter != "compound":
        return None
    return f"cursor.{incremental.tie_breaker}"


def _in_own_form(incremental: Incremental, value: Any) -> Any:
    """Return a value of the replication key as the API writes it, by the first of `cursor_formats`."""
    if not incremental.cursor_formats or not isinstance(value, str):
        return value
    return OwnForm(value, written(value, incremental.cursor_formats[0], incremental.timezone))


def _sent(
    part: Mapping[str, Any], scope: Mapping[str, Any], zone: str | None, missing: str | None = None
) -> dict[str, Any]:
    """Return the parts whose cursor or end there is; a compound cursor's parts come together.

    Args:
        part: the parameters, headers or top keys of the body.
        scope: the values by their names.
        zone: of instants without an offset.
        missing: the tie-breaker's name, where the cursor has none yet.
    """
    families = {name.partition(".")[0] for name in scope}
    filled = scope if missing is None else {**scope, missing: ""}
    return {
        name: fill(template, filled, zone)
        for name, template in part.items()
        if not {mentioned.partition(".")[0] for mentioned in names(template)} & (OPTIONAL - families)
        and not (missing is not None and {each for each in names(template) if each.startswith("cursor.")} == {missing})
    }


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        raise ConfigurationError([f"params.{name}: a mapping can't be sent as it is; write {name}: {{json: …}}"])
    if isinstance(value, list):
        return [(name, text(member)) for member in value]
    return [] if value is None else [(name, text(value))]
