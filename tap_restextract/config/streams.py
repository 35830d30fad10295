"""The configuration as frozen values: one struct a table of the documentation, checked whole.

The structs are the only description of the settings: the JSON Schema that singer-sdk shows (`--about`) is made from
them. Key names follow dlt's `rest_api` source where it has one. Every key of `Shared` may stand at the top and in each
stream, where it is merged over the top's: mappings key by key (`null` takes a key away), all else replaces.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tap_restextract.config.annotations import Json, described, secret
from tap_restextract.config.auth import Auth, NoAuth
from tap_restextract.config.durations import DURATION, DURATION_OR_NUMBER
from tap_restextract.config.paginators import Paginator, SinglePage
from tap_restextract.config.webhooks import Webhooks

# The conditions of a response rule, and of an answer by which an events feed says that it has dropped an event.
StatusCodes = Annotated[list[Annotated[int, Meta(ge=200, le=599)]], described("HTTP statuses, any of them.")]
OwnWords = Annotated[str, Meta(min_length=1, description="A part of the API's own words, in any case.")]
Predicate = Annotated[
    str, described("JSONPath that finds something in the body, other than null, false and emptiness.")
]
Found = Annotated[str | int | float | bool, described("What the predicate must find, in place of anything.")]


class ResponseRule(Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer means that fits all of these conditions, whatever its status says."""

    action: Annotated[
        Literal["RETRY", "IGNORE", "FAIL", "RATE_LIMITED", "REFRESH_TOKEN"],
        described(
            "RETRY: try again. RATE_LIMITED: wait for the quota, then try again. IGNORE: an empty last page. FAIL: the "
            "stream stops. REFRESH_TOKEN: once more with another access token."
        ),
    ]
    http_codes: StatusCodes = []
    error_message_contains: OwnWords | None = None
    predicate: Predicate | None = None
    equals: Found | None = None
    error_message: Annotated[str, described("What to tell a person of such an answer: the remedy.")] | None = None


class Incremental(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about the API's order and filter, from which the walk is derived."""

    cursor_path: Annotated[str, described("Path of the replication key in a record, dotted where it is nested.")]
    tie_breaker: (
        Annotated[str, described("Path of a unique value by which the API orders ties; makes the cursor compound.")]
        | None
    ) = None
    order: Annotated[Literal["asc", "desc", "none"], described("How the API returns the list.")] = "asc"
    filter: Annotated[
        Literal["compound", "inclusive", "exclusive", "none"],
        described("What the request's filter does: after (key, tie-breaker), >= key, > key, or nothing."),
    ] = "inclusive"
    precision: (
        Annotated[
            str,
            Meta(
                pattern=DURATION_OR_NUMBER,
                description="Of the API's filter, where coarser than its values: 1ms, 1s, 1m, 1d.",
            ),
        ]
        | None
    ) = None
    lag: (
        Annotated[
            str,
            Meta(
                pattern=DURATION,
                description="How long records may still come late, after newer ones: 60s.",
            ),
        ]
        | None
    ) = None
    step: (
        Annotated[
            str,
            Meta(
                pattern=DURATION_OR_NUMBER,
                description="Length of the time ranges that a backfill is cut into: 30d.",
            ),
        ]
        | None
    ) = None
    end: Annotated[
        Literal["open", "required"],
        described("Whether the last time range has no end, or one like all others: the server's clock, less the lag."),
    ] = "open"
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
            Meta(pattern=DURATION, description="How far before the bookmark each run reads again: 1h."),
        ]
        | None
    ) = None
    epoch: (
        Annotated[Literal["s", "ms", "us"], described("Unit of a replication key that counts time since 1970.")] | None
    ) = None
    cursor_formats: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        described("How the API writes the replication key, unless in ISO 8601: strptime forms, rfc2822, dotnet."),
    ] = []
    timezone: (
        Annotated[str, described("Zone of instants without an offset, and of strftime forms: Area/City, or UTC.")]
        | None
    ) = None
    nulls: Annotated[
        Literal["none", "first", "last"],
        described("Where records without replication key (null or absent) stand in the list; none: they are refused."),
    ] = "none"
    null_params: (
        Annotated[Json, described("Parameters of one more request, for the records whose replication key is null.")]
        | None
    ) = None
    initial_value: Annotated[str | int, described("Where the first run begins, inclusively.")] | None = None


class Expired(Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer of an events feed is like that has dropped the event which was asked from; all conditions hold."""

    http_codes: StatusCodes = []
    error_message_contains: OwnWords | None = None
    predicate: Predicate | None = None
    equals: Found | None = None


class Feed(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about an events feed that reports what changed in the stream's list."""

    path: Annotated[str, described("Path of the feed below base_url.")]
    incremental: Annotated[
        Incremental,
        described("How the feed is read after its last event: filter compound, or exclusive on a unique key."),
    ]
    types: Annotated[
        list[str], Meta(min_length=1, description="Types of events about this stream, with * for any text.")
    ]
    params: Annotated[Json, described("Query parameters of the feed.")] = {}
    records: Annotated[str, described("JSONPath of the events in the body.")] = "data"
    paginator: Annotated[Paginator, described("How the feed's end is stated.")] = SinglePage()
    type_path: Annotated[str, described("Path of an event's type.")] = "type"
    deleted_types: Annotated[list[str], described("Types of events about a deletion.")] = []
    object_path: Annotated[str, described("Path of the object, or of what names it, in an event.")] = "data"
    deleted_path: (
        Annotated[str, described("Path of the mark in an event that tells of a deletion, such as deleted.")] | None
    ) = None
    key: Annotated[
        dict[str, str],
        described("Where an event names its object: each property of the primary key, and its path in the event."),
    ] = {}
    fetch_path: (
        Annotated[
            str,
            described("Path of the object's own request, with {event.PATH}; without it the event carries the object."),
        ]
        | None
    ) = None
    fetch_records: Annotated[str, described("JSONPath of the object in that answer.")] = "$"
    retention: (
        Annotated[
            str,
            Meta(
                pattern=DURATION,
                description="How long the feed keeps events: 30d. A longer gap reads the list again.",
            ),
        ]
        | None
    ) = None
    expired: Annotated[
        Expired, described("The answer that says so of the event that was asked from; the list is read again.")
    ] = Expired(http_codes=[410])


class Lookup(Struct, frozen=True, forbid_unknown_fields=True):
    """How one record is asked for, to learn whether it is gone: 404, 410 or no record at all."""

    path: Annotated[str, described("Path below base_url, with {key.NAME} for the primary key's values.")]
    params: Annotated[Json, described("Query parameters; their values may hold {key.NAME} too.")] = {}
    records: Annotated[str, described("JSONPath of the record in the answer.")] = "$"


class Shared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that may stand at the top and in each stream."""

    base_url: Annotated[str, described("Address that paths are joined to, such as https://api.example.com/v1.")] = ""
    method: Annotated[Literal["GET", "POST"], described("HTTP method of the list requests.")] = "GET"
    headers: Annotated[Json, described("Request headers. Their values may hold placeholders.")] = {}
    params: Annotated[
        Json, described("Query parameters. Those that mention {cursor.…} are sent once there is a cursor.")
    ] = {}
    json: (
        Annotated[Json, described("JSON body. Top keys that mention {cursor.…} are sent once there is a cursor.")]
        | None
    ) = None
    records: Annotated[str, described("JSONPath of the records in the body; $ is the body itself.")] = "$"
    empty: Annotated[
        list[Literal["null", "missing"]],
        described("What counts as an empty list of records besides []: null in its place, or no such key (missing)."),
    ] = []
    null_records: Annotated[
        Literal["refuse", "skip"], described("What becomes of null among the records: an error, or nothing.")
    ] = "refuse"
    primary_key: Annotated[list[str], described("Properties that identify a record.")] = []
    deleted_path: (
        Annotated[
            str, described("Path of the mark that makes a listed record a deletion, such as deleted or deleted_at.")
        ]
        | None
    ) = None
    paginator: Annotated[Paginator, described("How the next page is asked for, by its type.")] = SinglePage()
    ignored_marks: Annotated[
        list[str],
        described("Paths of continuations and flags in answers, and headers, that are known and mean nothing."),
    ] = []
    max_empty_pages: Annotated[
        int, Meta(ge=1, description="Pages without a record in a row, after which the stream stops with an error.")
    ] = 100
    incremental: Annotated[
        Incremental | None, described("Facts about order and filter; without them every run reads all.")
    ] = None
    feed: Annotated[Feed | None, described("An events feed that reports what changed in the list.")] = None
    sweep: Annotated[
        bool, described("Compare the whole list with the hash cache: new, changed and deleted records come out.")
    ] = False
    sweep_every: (
        Annotated[
            str,
            Meta(
                pattern=DURATION,
                description="How often an incremental stream is also swept, for silent changes and deletions: P7D.",
            ),
        ]
        | None
    ) = None
    fixed_order: Annotated[
        bool,
        described(
            "Records keep their positions in the list when they change, as it is sorted by id or by creation: what a whole reading lacks is gone."
        ),
    ] = False
    lookup: Annotated[
        Lookup | None, described("How one record is asked for by its key; what a sweep misses is looked up so.")
    ] = None
    validator: Annotated[
        Literal["etag", "last_modified", "none"],
        described(
            "What is believed when it says that a swept list of one page is unchanged: its ETag, also its Last-Modified, or nothing."
        ),
    ] = "etag"
    hash_cache: Annotated[
        str,
        secret("Where a sweep remembers what it saw: a file (SQLite), or an address: redis://…, postgresql://…."),
    ] = ".tap-restextract/hashes.db"
    auth: Annotated[
        Auth, described("How requests are authenticated, by its type. Secrets are settings of their own.")
    ] = NoAuth()
    auth_token: Annotated[str, secret("Token of auth type bearer.")] | None = None
    auth_api_key: Annotated[str, secret("Key of auth type api_key.")] | None = None
    auth_username: Annotated[str, described("User name of auth type http_basic.")] | None = None
    auth_password: Annotated[str, secret("Password of auth type http_basic.")] | None = None
    auth_client_id: Annotated[str, described("Client id of the OAuth 2.0 types.")] | None = None
    auth_client_secret: Annotated[str, secret("Client secret of the OAuth 2.0 types.")] | None = None
    auth_refresh_token: Annotated[str, secret("Refresh token of auth type oauth2_refresh_token.")] | None = None
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
    max_response_seconds: Annotated[
        float,
        Meta(gt=0, le=86_400, description="Seconds that an answer may take from its first byte to its last."),
    ] = 600.0
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
        list[ResponseRule], described("What answers mean whose status doesn't say it; the first that fits decides.")
    ] = []
    ca_bundle: (
        Annotated[str, described("File with the certificates to trust, before REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.")]
        | None
    ) = None
    client_certificate: (
        Annotated[str, described("PEM file with this client's certificate, and its key unless client_key is set.")]
        | None
    ) = None
    client_key: Annotated[str, described("PEM file with the key of client_certificate, unencrypted.")] | None = None
    user_agent: Annotated[str, described("Value of the User-Agent header.")] | None = None
    openapi: Annotated[str, described("Address or path of an OpenAPI document, for schemas given by name.")] | None = (
        None
    )


class StreamSettings(Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream: its own keys, and those of `Shared` merged over the top's."""

    name: Annotated[str, Meta(min_length=1, description="The Singer stream's name.")]
    include_from_parent: Annotated[
        list[str], described("Fields of the parent's record that each child carries, as _PARENT_FIELD.")
    ] = []
    path: Annotated[str, described("Path below base_url, or a whole address on the same host.")] = ""
    source: Annotated[
        Literal["api", "webhooks"],
        described("Where records come from: the API's list, or webhooks, and its list besides where there is a path."),
    ] = "api"
    schema: (
        Annotated[
            Json | str,
            described("JSON Schema of a record, or a component's name in `openapi`; inferred from a sample otherwise."),
        ]
        | None
    ) = None


class Settings(Shared, frozen=True, kw_only=True):
    """The whole configuration; singer-sdk's own keys are its business."""

    streams: Annotated[list[Json], Meta(min_length=1, description="The streams, each a mapping.")]
    webhooks: Annotated[Webhooks | None, described("Who sends webhooks, how they are signed, what they report.")] = None
    webhook_queue: Annotated[
        str,
        secret(
            "Where notifications wait: postgresql://…, redis://…, nats://…, kafka://…; target-eventgen's embedded Postgres if not given."
        ),
    ] = ""
    webhook_secrets: Annotated[
        dict[str, str | list[str]], secret("Each source's signing secret, or several while they are rotated.")
    ] = {}
    webhook_tokens: Annotated[dict[str, str], secret("What the token_param of each source's handshake must hold.")] = {}


SECRETS = tuple(
    field.name
    for field in msgspec.structs.fields(Shared)
    if field.name in {"auth_token", "auth_api_key", "auth_password", "auth_client_secret", "auth_refresh_token"}
)
