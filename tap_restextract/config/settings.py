"""The configuration as frozen values: one struct a table of the documentation, checked whole.

The structs are the only description of the settings: the JSON Schema that singer-sdk shows (`--about`) is made from
them. Key names follow dlt's `rest_api` source where it has one. Every key of `Shared` may stand at the top and in each
stream, where it is merged over the top's: mappings key by key (`null` takes a key away), all else replaces.
"""

from __future__ import annotations

import difflib
import functools
import types
import typing
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tap_restextract.config.webhooks import Webhooks
from tap_restextract.errors import ConfigurationError
from tap_restextract.values.paths import find

Json = dict[str, Any]
CACHES = frozenset({"", "redis", "rediss", "postgresql", "postgres"})


def _described(text: str) -> Any:
    return Meta(description=text)


def _secret(text: str) -> Any:
    return Meta(description=text, extra_json_schema={"secret": True, "writeOnly": True})


class SinglePage(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="single_page"):
    """The API answers all at once, or at most `limit` records, and has no way to ask for more."""

    limit: (
        Annotated[int, Meta(ge=1, description="The most records that one answer holds, where there is a most.")] | None
    ) = None


class CursorToken(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="cursor"):
    """A token in the body asks for the next page."""

    cursor_path: Annotated[str, _described("JSONPath of the token in the body.")] = "cursors.next"
    cursor_param: Annotated[str, _described("Query parameter that carries the token.")] | None = None
    cursor_body_path: Annotated[str, _described("Dotted path in the JSON body that carries the token.")] | None = None
    has_more_path: Annotated[str, _described("JSONPath of a boolean that says whether more follows.")] | None = None
    total_path: (
        Annotated[str, _described("JSONPath of the number of records, which tells a full result window at once.")]
        | None
    ) = None
    stable: Annotated[bool, _described("The token names a position or a snapshot, not an offset in disguise.")] = False


class HeaderCursor(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="header_cursor"):
    """A token in a response header asks for the next page."""

    cursor_key: Annotated[str, _described("Response header that holds the token.")] = "next"
    cursor_param: Annotated[str, _described("Query parameter that carries the token.")] = "cursor"
    stable: Annotated[bool, _described("The token names a position or a snapshot, not an offset in disguise.")] = False


class JsonLink(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_link"):
    """The body holds the next page's address."""

    next_url_path: Annotated[str, _described("JSONPath of the address in the body.")] = "next"
    stable: Annotated[bool, _described("The link names a position or a snapshot, not an offset in disguise.")] = False


class HeaderLink(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="header_link"):
    """A response header holds the next page's address: RFC 8288's `Link`, or one that is the bare address."""

    links_next_key: Annotated[str, _described("The link's relation in a Link header.")] = "next"
    header: Annotated[str, _described("Another header than Link, whose value is the address itself.")] = "Link"
    stable: Annotated[bool, _described("The link names a position or a snapshot, not an offset in disguise.")] = False


class PageNumber(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="page_number"):
    """Pages are counted."""

    base_page: Annotated[int, Meta(ge=0, description="The first page's number.")] = 0
    page_param: Annotated[str, _described("Query parameter that carries the number.")] | None = None
    page_body_path: Annotated[str, _described("Dotted path in the JSON body that carries the number.")] | None = None
    total_path: Annotated[str, _described("JSONPath of the number of pages.")] | None = None
    has_more_path: Annotated[str, _described("JSONPath of a boolean that says whether more follows.")] | None = None


class Offset(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="offset"):
    """Records are counted."""

    limit: Annotated[int, Meta(ge=1, description="Records to ask for.")]
    offset: Annotated[int, Meta(ge=0, description="The first record's offset.")] = 0
    offset_param: Annotated[str, _described("Query parameter that carries the offset.")] | None = None
    limit_param: Annotated[str, _described("Query parameter that carries the limit.")] | None = None
    offset_body_path: Annotated[str, _described("Dotted path in the JSON body that carries the offset.")] | None = None
    limit_body_path: Annotated[str, _described("Dotted path in the JSON body that carries the limit.")] | None = None
    total_path: Annotated[str, _described("JSONPath of the number of records.")] | None = None
    has_more_path: Annotated[str, _described("JSONPath of a boolean that says whether more follows.")] | None = None


Paginator = SinglePage | CursorToken | HeaderCursor | JsonLink | HeaderLink | PageNumber | Offset


class NoAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="none"):
    """No credentials are sent."""


class Bearer(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """`Authorization: Bearer` with the setting auth_token (RFC 6750)."""


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="api_key"):
    """The setting auth_api_key in a header, a query parameter or a cookie."""

    name: Annotated[str, _described("Name of the header, parameter or cookie.")] = "Authorization"
    location: Annotated[Literal["header", "query", "cookie"], _described("Where the key goes.")] = "header"


class HttpBasic(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="http_basic"):
    """HTTP Basic (RFC 7617) with the settings auth_username and auth_password."""


class OAuth2ClientCredentials(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth2_client_credentials"
):
    """OAuth 2.0 client credentials (RFC 6749, 4.4) with auth_client_id and auth_client_secret."""

    access_token_url: Annotated[str, _described("Address of the token endpoint.")]
    scope: Annotated[str, _described("Scopes, separated by blanks.")] | None = None
    access_token_request_data: Annotated[Json, _described("More form fields of the token request.")] = {}
    client_authentication: Annotated[
        Literal["body", "header"], _described("Whether the client's id and secret go in the form or in a Basic header.")
    ] = "body"


class OAuth2RefreshToken(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth2_refresh_token"):
    """OAuth 2.0 refresh token (RFC 6749, 6) with auth_refresh_token; a rotated token is kept in `token_file`."""

    access_token_url: Annotated[str, _described("Address of the token endpoint.")]
    scope: Annotated[str, _described("Scopes, separated by blanks.")] | None = None
    access_token_request_data: Annotated[Json, _described("More form fields of the token request.")] = {}
    client_authentication: Annotated[
        Literal["body", "header"], _described("Whether the client's id and secret go in the form or in a Basic header.")
    ] = "body"
    token_file: Annotated[str, _described("Where a rotated refresh token is kept, readable by its owner alone.")] = (
        ".tap-restextract/refresh_token.json"  # noqa: S105  a path
    )


class Plugin(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="plugin"):
    """A signer of another package: it receives each request as it is sent, and returns headers."""

    name: Annotated[str, Meta(min_length=1, description="Its name in the entry points tap_restextract.signers.")]
    options: Annotated[Json, _described("What it needs besides the settings auth_…, such as a region.")] = {}


Auth = NoAuth | Bearer | ApiKey | HttpBasic | OAuth2ClientCredentials | OAuth2RefreshToken | Plugin


class ResponseRule(Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer means that fits all of these conditions, whatever its status says."""

    action: Annotated[
        Literal["RETRY", "IGNORE", "FAIL", "RATE_LIMITED", "REFRESH_TOKEN"],
        _described(
            "RETRY: try again. RATE_LIMITED: wait for the quota, then try again. IGNORE: an empty last page. FAIL: the "
            "stream stops. REFRESH_TOKEN: once more with another access token."
        ),
    ]
    http_codes: Annotated[list[Annotated[int, Meta(ge=200, le=599)]], _described("HTTP statuses, any of them.")] = []
    error_message_contains: (
        Annotated[str, Meta(min_length=1, description="A part of the API's own words, in any case.")] | None
    ) = None
    predicate: (
        Annotated[str, _described("JSONPath that finds something in the body, other than null, false and emptiness.")]
        | None
    ) = None
    equals: (
        Annotated[str | int | float | bool, _described("What the predicate must find, in place of anything.")] | None
    ) = None
    error_message: Annotated[str, _described("What to tell a person of such an answer: the remedy.")] | None = None


class Incremental(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about the API's order and filter, from which the walk is derived."""

    cursor_path: Annotated[str, _described("Path of the replication key in a record, dotted where it is nested.")]
    tie_breaker: (
        Annotated[str, _described("Path of a unique value by which the API orders ties; makes the cursor compound.")]
        | None
    ) = None
    order: Annotated[Literal["asc", "desc", "none"], _described("How the API returns the list.")] = "asc"
    filter: Annotated[
        Literal["compound", "inclusive", "exclusive", "none"],
        _described("What the request's filter does: behind (key, tie-breaker), >= key, > key, or nothing."),
    ] = "inclusive"
    precision: (
        Annotated[
            str,
            Meta(
                pattern=r"^\d+(ms|us|s|m|h|d)?$",
                description="Of the API's filter, where coarser than its values: 1ms, 1s, 1m, 1d.",
            ),
        ]
        | None
    ) = None
    lag: (
        Annotated[
            str,
            Meta(
                pattern=r"^\d+(ms|us|s|m|h|d)$",
                description="How long records may still come late, behind newer ones: 60s.",
            ),
        ]
        | None
    ) = None
    step: (
        Annotated[
            str,
            Meta(
                pattern=r"^\d+(ms|us|s|m|h|d)?$",
                description="Length of the time ranges that a backfill is cut into: 30d.",
            ),
        ]
        | None
    ) = None
    max_window_results: (
        Annotated[
            int,
            Meta(
                ge=1, description="The most records that the API gives for one question; ranges with more are halved."
            ),
        ]
        | None
    ) = None
    lookback: (
        Annotated[
            str,
            Meta(pattern=r"^\d+(ms|us|s|m|h|d)$", description="How far behind the bookmark each run reads again: 1h."),
        ]
        | None
    ) = None
    epoch: (
        Annotated[Literal["s", "ms", "us"], _described("Unit of a replication key that counts time since 1970.")] | None
    ) = None
    null_params: (
        Annotated[Json, _described("Parameters of one more request, for the records whose replication key is null.")]
        | None
    ) = None
    initial_value: Annotated[str | int, _described("Where the first run begins, inclusively.")] | None = None


class Feed(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about an events feed that tells what changed in the stream's list."""

    path: Annotated[str, _described("Path of the feed below base_url.")]
    incremental: Annotated[
        Incremental,
        _described("How the feed is read behind its last event: filter compound, or exclusive on a unique key."),
    ]
    types: Annotated[
        list[str], Meta(min_length=1, description="Types of events that tell of this stream, with * for any text.")
    ]
    params: Annotated[Json, _described("Query parameters of the feed.")] = {}
    records: Annotated[str, _described("JSONPath of the events in the body.")] = "data"
    paginator: Annotated[Paginator, _described("How the feed's end is stated.")] = SinglePage()
    type_path: Annotated[str, _described("Path of an event's type.")] = "type"
    deleted_types: Annotated[list[str], _described("Types that tell of a deletion.")] = []
    object_path: Annotated[str, _described("Path of the object, or of what names it, in an event.")] = "data"
    fetch_path: (
        Annotated[
            str,
            _described("Path of the object's own request, with {event.PATH}; without it the event carries the object."),
        ]
        | None
    ) = None
    fetch_records: Annotated[str, _described("JSONPath of the object in that answer.")] = "$"
    retention: (
        Annotated[
            str,
            Meta(
                pattern=r"^\d+[smhd]$",
                description="How long the feed keeps events: 30d. A longer gap reads the list again.",
            ),
        ]
        | None
    ) = None


class Lookup(Struct, frozen=True, forbid_unknown_fields=True):
    """How one record is asked for, to learn whether it is gone: 404, 410 or no record at all."""

    path: Annotated[str, _described("Path below base_url, with {key.NAME} for the primary key's values.")]
    params: Annotated[Json, _described("Query parameters; their values may hold {key.NAME} too.")] = {}
    records: Annotated[str, _described("JSONPath of the record in the answer.")] = "$"


class Shared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that may stand at the top and in each stream."""

    base_url: Annotated[str, _described("Address that paths are joined to, such as https://api.example.com/v1.")] = ""
    method: Annotated[Literal["GET", "POST"], _described("HTTP method of the list requests.")] = "GET"
    headers: Annotated[Json, _described("Request headers. Their values may hold placeholders.")] = {}
    params: Annotated[
        Json, _described("Query parameters. Those that mention {cursor.…} are sent once there is a cursor.")
    ] = {}
    json: (
        Annotated[Json, _described("JSON body. Top keys that mention {cursor.…} are sent once there is a cursor.")]
        | None
    ) = None
    records: Annotated[str, _described("JSONPath of the records in the body; $ is the body itself.")] = "$"
    primary_key: Annotated[list[str], _described("Properties that identify a record.")] = []
    deleted_path: (
        Annotated[
            str, _described("Path of the mark that makes a listed record a deletion, such as deleted or deleted_at.")
        ]
        | None
    ) = None
    paginator: Annotated[Paginator, _described("How the next page is asked for, by its type.")] = SinglePage()
    incremental: Annotated[
        Incremental | None, _described("Facts about order and filter; without them every run reads all.")
    ] = None
    feed: Annotated[Feed | None, _described("An events feed that tells what changed in the list.")] = None
    sweep: Annotated[
        bool, _described("Compare the whole list with the hash cache: new, changed and deleted records come out.")
    ] = False
    sweep_every: (
        Annotated[
            str,
            Meta(
                pattern=r"^(P?\d+[Dd]|PT\d+[HhMmSs]|\d+[hms])$",
                description="How often an incremental stream is also swept, for silent changes and deletions: P7D.",
            ),
        ]
        | None
    ) = None
    fixed_order: Annotated[
        bool,
        _described(
            "Records keep their places in the list when they change, as it is sorted by id or by creation: what a whole reading lacks is gone."
        ),
    ] = False
    lookup: Annotated[
        Lookup | None, _described("How one record is asked for by its key; what a sweep misses is looked up so.")
    ] = None
    validator: Annotated[
        Literal["etag", "last_modified", "none"],
        _described(
            "What is believed when it says that a swept list of one page is unchanged: its ETag, also its Last-Modified, or nothing."
        ),
    ] = "etag"
    hash_cache: Annotated[
        str,
        _secret("Where a sweep remembers what it saw: a file (SQLite), or an address: redis://…, postgresql://…."),
    ] = ".tap-restextract/hashes.db"
    auth: Annotated[
        Auth, _described("How requests are authenticated, by its type. Secrets are settings of their own.")
    ] = NoAuth()
    auth_token: Annotated[str, _secret("Token of auth type bearer.")] | None = None
    auth_api_key: Annotated[str, _secret("Key of auth type api_key.")] | None = None
    auth_username: Annotated[str, _described("User name of auth type http_basic.")] | None = None
    auth_password: Annotated[str, _secret("Password of auth type http_basic.")] | None = None
    auth_client_id: Annotated[str, _described("Client id of the OAuth 2.0 types.")] | None = None
    auth_client_secret: Annotated[str, _secret("Client secret of the OAuth 2.0 types.")] | None = None
    auth_refresh_token: Annotated[str, _secret("Refresh token of auth type oauth2_refresh_token.")] | None = None
    concurrency: Annotated[
        int, Meta(ge=1, le=64, description="Pages fetched at once, where slices or parents are independent.")
    ] = 1
    timeout: Annotated[float, Meta(gt=0, le=86_400, description="Seconds to wait for an answer's next byte.")] = 60.0
    max_attempts: Annotated[
        int, Meta(ge=1, description="Tries of one request before the stream stops with an error.")
    ] = 6
    max_response_bytes: Annotated[
        int, Meta(ge=1, description="The largest answer accepted, in bytes, decompressed.")
    ] = 268_435_456
    rate_limit: (
        Annotated[
            str,
            Meta(
                pattern=r"^[1-9][0-9]{0,8}/([1-9][0-9]{0,7})?[smhd]$",
                description="The most requests in a time, evenly spaced: 10/s, 600/m, 1/2s.",
            ),
        ]
        | None
    ) = None
    max_wait: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="The longest wait that the API may ask for, in seconds; beyond it the run ends.",
        ),
    ] = 3600.0
    quota_exit_code: Annotated[
        int, Meta(ge=0, le=125, description="Exit code of a run that ends by max_wait; 0 makes it a success.")
    ] = 75
    response_rules: Annotated[
        list[ResponseRule], _described("What answers mean whose status doesn't say it; the first that fits decides.")
    ] = []
    ca_bundle: (
        Annotated[str, _described("File with the certificates to trust, before REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.")]
        | None
    ) = None
    client_certificate: (
        Annotated[str, _described("PEM file with this client's certificate, and its key unless client_key is set.")]
        | None
    ) = None
    client_key: Annotated[str, _described("PEM file with the key of client_certificate, unencrypted.")] | None = None
    user_agent: Annotated[str, _described("Value of the User-Agent header.")] | None = None
    openapi: Annotated[str, _described("Address or path of an OpenAPI document, for schemas given by name.")] | None = (
        None
    )


class StreamSettings(Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream: its own keys, and those of `Shared` merged over the top's."""

    name: Annotated[str, Meta(min_length=1, description="The Singer stream's name.")]
    include_from_parent: Annotated[
        list[str], _described("Fields of the parent's record that each child carries, as _PARENT_FIELD.")
    ] = []
    path: Annotated[str, _described("Path below base_url, or a whole address on the same host.")] = ""
    source: Annotated[
        Literal["api", "webhooks"],
        _described("Where records come from: the API's list, or webhooks, and its list besides where there is a path."),
    ] = "api"
    schema: (
        Annotated[
            Json | str,
            _described(
                "JSON Schema of a record, or a component's name in `openapi`; inferred from a sample otherwise."
            ),
        ]
        | None
    ) = None


class Settings(Shared, frozen=True, kw_only=True):
    """The whole configuration; singer-sdk's own keys are its business."""

    streams: Annotated[list[Json], Meta(min_length=1, description="The streams, each a mapping.")]
    webhooks: Annotated[Webhooks | None, _described("Who sends webhooks, how they are signed, what they tell.")] = None
    webhook_queue: Annotated[
        str,
        _secret(
            "Where notifications wait: postgresql://…, redis://…, nats://…, kafka://…; target-eventgen's embedded Postgres if not given."
        ),
    ] = ""
    webhook_secrets: Annotated[
        dict[str, str | list[str]], _secret("Each source's signing secret, or several while they are rotated.")
    ] = {}


SECRETS = tuple(
    field.name
    for field in msgspec.structs.fields(Shared)
    if field.name in {"auth_token", "auth_api_key", "auth_password", "auth_client_secret", "auth_refresh_token"}
)


def json_schema() -> Json:
    """The settings' JSON Schema, for singer-sdk's `--about` and for Meltano."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    own = components.pop("Settings")
    properties = {name: _without_null(described) for name, described in own["properties"].items()}
    return {"type": "object", "properties": properties, "required": own["required"], "$defs": components}


def _without_null(described: Json) -> Json:
    """An optional setting as singer-sdk's users read it: its own type, and no null as its default."""
    kept = {key: value for key, value in described.items() if key != "default" or value is not None}
    members = [member for member in kept.get("anyOf", []) if member != {"type": "null"}]
    if len(members) == 1 and "$ref" not in members[0]:
        return {**{key: value for key, value in kept.items() if key != "anyOf"}, **members[0]}
    if not members:
        return kept
    # singer-sdk reads a variable as JSON only where its setting says that it is an object, and no anyOf with references.
    return {**{key: value for key, value in kept.items() if key != "anyOf"}, "type": "object", "oneOf": members}


def read(config: typing.Mapping[str, Any], *, foreign: typing.Collection[str] = ()) -> tuple[StreamSettings, ...]:
    """Every stream's settings, the top's merged below them.

    Args:
        config: the whole configuration, as JSON values.
        foreign: keys at the top that belong to singer-sdk.

    Raises:
        ConfigurationError: with every fault of the configuration at once.
    """
    top = {key: value for key, value in config.items() if key not in foreign}
    faults: list[str] = []
    streams = top.get("streams")
    if not isinstance(streams, list) or not streams:
        faults += _faults(
            Settings,
            {key: value for key, value in top.items() if key != "streams"} | {"streams": [{}]},
            "config",
            foreign,
        )
        faults.append(
            "config.streams: a list of at least one stream is needed, such as [{name: orders, path: /orders}]"
        )
        raise ConfigurationError(faults)
    faults += _faults(Settings, {**top, "streams": [{}]}, "config", foreign)
    if not faults:
        faults += _webhook_faults(webhooks_in(top), streams, top.get("base_url"))
    shared = {key: value for key, value in top.items() if key != "streams"}
    read_streams = []
    names: set[str] = set()
    for index, stream in enumerate(streams):
        place = f"config.streams[{index}]"
        if not isinstance(stream, dict):
            faults.append(f"{place}: a mapping is needed, such as {{name: orders, path: /orders}}")
            continue
        name = stream.get("name")
        if isinstance(name, str) and name:
            place = f"stream {name}"
            if name in names:
                faults.append(f"{place}: the name is used twice; give each stream its own")
            names.add(name)
        found = _faults(StreamSettings, stream, place, ())
        if stream.get("path") is None and stream.get("source") != "webhooks":
            found.append(f"{place}: the key 'path' is missing")
        merged = _merged({key: value for key, value in shared.items() if key in _SHARED}, stream)
        faults += found
        try:
            settings = msgspec.convert(
                {key: value for key, value in merged.items() if key in _OWN}, StreamSettings, strict=False
            )
        except msgspec.ValidationError as error:
            faults += [] if faults else [f"{place}: {error}"]
            continue
        faults += [f"{place}: {fault}" for fault in _missing(settings)]
        read_streams.append(settings)
    if faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    return tuple(read_streams)


_SHARED = {field.name for field in msgspec.structs.fields(Shared)}
_OWN = {field.name for field in msgspec.structs.fields(StreamSettings)}


def _merged(below: Json, over: Json) -> Json:
    merged = dict(below)
    for key, value in over.items():
        if key in {"headers", "params", "json"} and isinstance(value, dict) and isinstance(merged.get(key), dict):
            both = {**merged[key], **value}
            merged[key] = {name: held for name, held in both.items() if held is not None}
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


class ReceiverSettings(Struct, frozen=True):
    """The configuration of webhooks, with its secrets by source."""

    webhooks: Webhooks | None
    queue: str
    secrets: dict[str, list[str]]


def webhooks_in(config: typing.Mapping[str, Any]) -> ReceiverSettings:
    """What a configuration that was read says of webhooks."""
    held = config.get("webhooks")
    secrets = msgspec.convert(config.get("webhook_secrets") or {}, dict[str, str | list[str]], strict=False)
    return ReceiverSettings(
        None if held is None else msgspec.convert(held, Webhooks, strict=False),
        config.get("webhook_queue") or "",
        {name: [value] if isinstance(value, str) else value for name, value in secrets.items()},
    )


def _webhook_faults(received: ReceiverSettings, streams: list[Any], base_url: str | None) -> typing.Iterator[str]:
    """What sources, secrets and streams need of each other."""
    held = {stream.get("name"): stream for stream in streams if isinstance(stream, dict)}
    fed = {name for name, stream in held.items() if stream.get("source") == "webhooks"}
    sources = received.webhooks.sources if received.webhooks else []
    for index, source in enumerate(sources):
        place = f"webhooks source {source.name}"
        if source.name in {other.name for other in sources[:index]}:
            yield f"{place}: the name is used twice; give each source its own"
        if source.address in {other.address for other in sources[:index]} | OWN_ADDRESSES:
            yield f"{place}: the path {source.address} is taken; give each source its own"
        if not [secret for secret in received.secrets.get(source.name, ()) if secret]:
            yield f"{place}: it has no secret; set webhook_secrets: {{{source.name}: …}}, or the variable TAP_RESTEXTRACT_WEBHOOK_SECRETS as JSON"
        for name in ("events_path", "type_path", "id_path", "time_path"):
            yield from (f"{place}: {name}: {fault}" for fault in _no_path(getattr(source, name)))
        for route in source.streams:
            for path in (route.object_path, route.fetch_records, *route.key.values()):
                yield from (f"{place}: stream {route.stream}: {fault}" for fault in _no_path(path))
            if route.stream not in fed:
                yield f"{place}: the stream {route.stream} doesn't take webhooks; declare it with source: webhooks"
            elif (
                route.fetch_path
                and "://" not in route.fetch_path
                and not (held[route.stream].get("base_url") or base_url)
            ):
                yield f"{place}: fetch_path is a path of the API, and the stream {route.stream} has no base_url; set it"
    names = [source.name for source in sources]
    yield from (
        f"config.webhook_secrets: there is no source {name!r}{_nearest(name, names)}"
        for name in received.secrets
        if name not in names
    )
    told = {route.stream for source in sources for route in source.streams}
    yield from (
        f"stream {name}: source is webhooks, but no source tells of it; name it in the streams of one of webhooks.sources"
        for name in sorted(fed - told, key=str)
    )


OWN_ADDRESSES = {"/health", "/ready", "/metrics"}


def _missing(stream: StreamSettings) -> typing.Iterator[str]:
    """What one value needs of another, which no struct can say."""
    if stream.source == "webhooks" and not stream.path and not stream.base_url:
        pass  # nothing is asked of any API
    elif not stream.base_url and "://" not in stream.path:
        yield "base_url is missing; set it at the top or in the stream, such as https://api.example.com/v1"
    elif "://" not in stream.path and not _is_web_address(stream.base_url):
        yield "base_url is no web address; it is written like https://api.example.com/v1"
    if isinstance(stream.auth, (OAuth2ClientCredentials, OAuth2RefreshToken)) and not _is_web_address(
        stream.auth.access_token_url
    ):
        yield "auth.access_token_url is no web address; it is written like https://api.example.com/oauth/token"
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
    yield from _rule_faults(stream)
    if stream.client_key and not stream.client_certificate:
        yield "client_key is set, but no client_certificate; set it, or leave both out"
    scheme = stream.hash_cache.partition("://")[0] if "://" in stream.hash_cache else ""
    if scheme not in CACHES:
        yield f"hash_cache has the scheme {scheme}, which is none of {', '.join(sorted(filter(None, CACHES)))}; a path is a SQLite file"
    if isinstance(stream.schema, str) and not stream.openapi:
        yield f"schema names the component {stream.schema!r}, but no `openapi` document is given"
    if stream.json is not None and stream.method == "GET":
        yield "a JSON body is set, but the method is GET; set method: POST, or move the body to params"


def _path_faults(stream: StreamSettings) -> typing.Iterator[str]:
    """Paths that no JSONPath engine can read, before a request is made for what would then be looked at."""
    tables: dict[str, tuple[object, tuple[str, ...]]] = {
        "": (stream, ("records", "deleted_path")),
        "paginator.": (stream.paginator, ("cursor_path", "next_url_path", "has_more_path", "total_path")),
        "incremental.": (stream.incremental, ("cursor_path", "tie_breaker")),
        "lookup.": (stream.lookup, ("records",)),
        "feed.": (stream.feed, ("records", "type_path", "object_path", "fetch_records")),
        "feed.incremental.": (stream.feed and stream.feed.incremental, ("cursor_path", "tie_breaker")),
        "feed.paginator.": (
            stream.feed and stream.feed.paginator,
            ("cursor_path", "next_url_path", "has_more_path", "total_path"),
        ),
    }
    for place, (table, names) in tables.items():
        for name in names:
            yield from (f"{place}{name}: {fault}" for fault in _no_path(getattr(table, name, None)))


def _no_path(path: str | None) -> list[str]:
    try:
        find(path or "$", None)
    except ConfigurationError as error:
        return error.faults
    return []


def _rule_faults(stream: StreamSettings) -> typing.Iterator[str]:
    for index, rule in enumerate(stream.response_rules):
        place = f"response_rules[{index}]"
        if not rule.http_codes and rule.error_message_contains is None and rule.predicate is None:
            yield f"{place} fits every answer; give it http_codes, error_message_contains or predicate"
        if rule.equals is not None and rule.predicate is None:
            yield f"{place} has equals without a predicate; say where the value lies"
        yield from (f"{place}.predicate: {fault}" for fault in _no_path(rule.predicate))
        if rule.action == "REFRESH_TOKEN" and not isinstance(
            stream.auth, (OAuth2ClientCredentials, OAuth2RefreshToken)
        ):
            yield f"{place}: REFRESH_TOKEN needs an auth type with a token to refresh, oauth2_client_credentials or oauth2_refresh_token"
        if rule.action == "IGNORE" and (stream.sweep or stream.sweep_every):
            yield f"{place}: IGNORE would make a sweep take what an answer hides for deleted; use FAIL or RETRY, or leave the sweep out"


def _is_web_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:  # an IPv6 address or a port that is none
        return False


@functools.lru_cache(maxsize=256)
def _fields(struct: Any) -> dict[str, msgspec.structs.FieldInfo]:
    """A struct's fields by their keys; msgspec reads all annotations each time that it is asked."""
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def _faults(struct: Any, value: Any, place: str, foreign: typing.Collection[str]) -> list[str]:
    """Every fault of a mapping against a struct: unknown keys with the nearest known name, missing ones, wrong values."""
    if not isinstance(value, dict):
        return [f"{place}: a mapping is needed, not {_kind(value)}"]
    faults: list[str] = []
    fields = _fields(struct)
    tag_field = struct.__struct_config__.tag_field
    unknown = [key for key in value if key not in fields and key != tag_field]
    faults += [
        f"{place}: unknown key {key!r}; secrets are settings of their own, auth_{key} beside auth"
        if place.endswith(".auth") and f"auth_{key}" in {*SECRETS, "auth_username", "auth_client_id"}
        else f"{place}: unknown key {key!r}{_nearest(key, [*fields, *foreign])}"
        for key in unknown
    ]
    for key, field in fields.items():
        if key not in value or (value[key] is None and field.required):
            if field.required:
                faults.append(f"{place}: the key {key!r} is missing")
            continue
        nested = tag_field or not issubclass(struct, Shared)
        if value[key] is None and nested and type(None) not in _members(field.type):
            faults.append(f"{place}.{key}: it is null; give it a value, or leave the key out")
        faults += _value_faults(field.type, value[key], f"{place}.{key}")
    return faults


def _value_faults(kind: Any, value: Any, place: str) -> list[str]:
    if value is None:
        return []
    listed = _listed_struct(kind)
    if listed is not None and isinstance(value, list):
        return [fault for index, each in enumerate(value) for fault in _faults(listed, each, f"{place}[{index}]", ())]
    structs = [member for member in _members(kind) if isinstance(member, type) and issubclass(member, Struct)]
    if structs:
        if not isinstance(value, dict):
            return [f"{place}: a mapping is needed, not {_kind(value)}"]
        tags = {member.__struct_config__.tag: member for member in structs}
        if None in tags:
            return _faults(tags[None], value, place, ())
        tag = value.get("type")
        if not isinstance(tag, str) or tag not in tags:
            known = ", ".join(sorted(str(name) for name in tags))
            return [f"{place}.type: {tag!r} is none of {known}{_nearest(str(tag), [str(name) for name in tags])}"]
        return _faults(tags[tag], value, place, ())
    try:
        msgspec.convert(value, kind, strict=False)  # environment variables are strings
    except msgspec.ValidationError as error:
        return _wrong_members(kind, value, place) or [f"{place}: {_in_words(kind, value) or _lowered(str(error))}"]
    return []


def _wrong_members(kind: Any, value: Any, place: str) -> list[str]:
    """The faults of a list's or a mapping's own members, each with its place."""
    held = next((member for member in _members(kind) if typing.get_origin(member) is type(value)), None)
    if held is None:
        return []
    inner = typing.get_args(held)[-1]
    members = enumerate(value) if isinstance(value, list) else value.items()
    return [
        fault
        for key, each in members
        for fault in (
            _value_faults(inner, each, f"{place}[{key}]" if isinstance(value, list) else f"{place}.{key}")
            if each is not None
            else [f"{place}[{key}]: it is null; give it a value, or leave it out"]
        )
    ]


def _in_words(kind: Any, value: Any) -> str:
    """What is needed instead of a wrong value; the value itself is told only where it can be no secret."""
    given = repr(value) if isinstance(value, (str, bool, int, float)) else _kind(value)
    metas = [meta for meta in _metas(kind) if isinstance(meta, Meta)]
    members = [member for member in _members(kind) if member is not type(None)]
    if any(meta.pattern for meta in metas):
        return f"{given} is not of this setting's form. {next((meta.description for meta in metas if meta.description), '')}"
    names = [
        str(name) for member in members for name in typing.get_args(member) if typing.get_origin(member) is Literal
    ]
    if names:
        near = [name for name in names if name.casefold() == str(value).casefold()]
        near = near or difflib.get_close_matches(str(value), names, n=1)
        return f"{given} is none of {', '.join(names)}" + (f"; did you mean {near[0]!r}?" if near else "")
    bounds = _bounds(metas)
    needed = {str: "a text", bool: "true or false", list: "a list", dict: "a mapping"}
    needed |= {int: f"a whole number{bounds}", float: f"a number{bounds}"}
    told = dict.fromkeys(needed.get(typing.get_origin(member) or member, "") for member in members)
    if not told or "" in told:
        return ""
    shown = (
        given
        if {int, float, bool} & {*members} and str not in members
        else "an empty text"
        if value == ""
        else _kind(value)
    )
    return f"{' or '.join(told)} is needed, not {shown}"


def _bounds(metas: list[Meta]) -> str:
    low, over, high = (
        next((found for meta in metas if (found := getattr(meta, bound)) is not None), None)
        for bound in ("ge", "gt", "le")
    )
    first = f" of at least {low:g}" if low is not None else f" greater than {over:g}" if over is not None else ""
    return first + (f"{' and' if first else ' of'} at most {high:g}" if high is not None else "")


def _metas(kind: Any) -> list[Any]:
    """What a field's annotation says beside its type."""
    if typing.get_origin(kind) is Annotated:
        inner, *metas = typing.get_args(kind)
        return [*metas, *_metas(inner)]
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return [meta for member in typing.get_args(kind) for meta in _metas(member)]
    return []


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _listed_struct(kind: Any) -> Any:
    """The struct that a list's members are, where they are one."""
    for member in _members(kind):
        if typing.get_origin(member) is list:
            (held,) = typing.get_args(member)
            return held if isinstance(held, type) and issubclass(held, Struct) else None
    return None


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return tuple(inner for member in typing.get_args(kind) for inner in _members(member))
    return (kind,)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known)) or 'none'}"


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
