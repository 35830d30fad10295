"""The configuration of webhooks: where notifications come in, how each is signed, and what it reports.

Key names are those of `feed`, where it has one: both are events about records.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tap_restextract.config.annotations import described

TOLERANCE = 300.0  # seconds; what Standard Webhooks, Stripe and Slack recommend
RATE = r"^[1-9][0-9]{0,8}/([1-9][0-9]{0,7})?[smhd]$"

Tolerance = Annotated[
    float, Meta(gt=0, le=86_400, description="Seconds by which a notification's time may differ from this clock.")
]


class StandardWebhooks(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="standard_webhooks"):
    """Standard Webhooks, as Svix and many APIs sign: HMAC-SHA256 of id, timestamp and body, in `webhook-signature`."""

    tolerance: Tolerance = TOLERANCE


class Stripe(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="stripe"):
    """Stripe: HMAC-SHA256 of timestamp and body, in `Stripe-Signature`."""

    tolerance: Tolerance = TOLERANCE


class GitHub(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="github"):
    """GitHub: HMAC-SHA256 of the body, in `X-Hub-Signature-256`; no timestamp is signed."""


class Shopify(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="shopify"):
    """Shopify: HMAC-SHA256 of the body, in `X-Shopify-Hmac-Sha256`; no timestamp is signed."""


class Slack(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="slack"):
    """Slack: HMAC-SHA256 of version, timestamp and body, in `X-Slack-Signature`."""

    tolerance: Tolerance = TOLERANCE


class Hmac(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hmac"):
    """Any HMAC of the body, or of a text that has it and a timestamp in it."""

    header: Annotated[str, Meta(min_length=1, description="Header that holds the signature.")]
    algorithm: Annotated[Literal["sha256", "sha512", "sha384", "sha1"], described("Hash of the HMAC.")] = "sha256"
    encoding: Annotated[Literal["hex", "base64"], described("How the signature is written.")] = "hex"
    prefix: Annotated[str, described("What stands before the signature in its header, such as sha256=.")] = ""
    signed: Annotated[
        str,
        Meta(
            pattern=r"^([^{}]|\{timestamp\})*\{body\}([^{}]|\{timestamp\})*$",
            description="What is signed: {body}, or a text with {timestamp} and {body} in it.",
        ),
    ] = "{body}"
    timestamp_header: Annotated[str, described("Header that holds the time in seconds since 1970.")] | None = None
    tolerance: Tolerance = TOLERANCE
    secret_encoding: Annotated[
        Literal["text", "base64", "hex"], described("How the key is written in webhook_secrets.")
    ] = "text"  # noqa: S105  the name of an encoding


Signature = StandardWebhooks | Stripe | GitHub | Shopify | Slack | Hmac


class Route(Struct, frozen=True, forbid_unknown_fields=True):
    """What a source's notifications report of one stream."""

    stream: Annotated[str, Meta(min_length=1, description="The stream, which has source: webhooks.")]
    types: Annotated[
        list[str], described("Types of events about this stream, with * for any text; all if not given.")
    ] = []
    deleted_types: Annotated[list[str], described("Types of events about a deletion.")] = []
    object_path: Annotated[str, described("JSONPath of the object in a notification; $ is all of it.")] = "data"
    key: Annotated[
        dict[str, str],
        described(
            "Where properties of primary_key lie in the notification, where they don't lie in the object: {id: data.id}."
        ),
    ] = {}
    fetch_path: (
        Annotated[
            str,
            described(
                "Path of the object's own request, with {event.PATH}; without it the notification carries the object."
            ),
        ]
        | None
    ) = None
    fetch_records: Annotated[str, described("JSONPath of the object in that answer.")] = "$"


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Who sends notifications, and where to."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.\-]{1,64}$",
            description="Its name, in logs and webhook_secrets: letters, digits, _ . and -, at most 64.",
        ),
    ]
    signature: Annotated[Signature, described("How its requests are signed, by its type.")]
    streams: Annotated[list[Route], Meta(min_length=1, description="The streams that it sends notifications of.")]
    path: (
        Annotated[str, Meta(pattern=r"^/[^{}]*$", description="Path that it posts to; / and its name if not given.")]
        | None
    ) = None
    events_path: Annotated[
        str, described("JSONPath of the notifications in a body that holds several; $ is one, or a list of them.")
    ] = "$"
    type_path: Annotated[str, described("JSONPath of a notification's type; type if nothing else is known.")] | None = (
        None
    )
    type_header: Annotated[str, described("Header of the type, where the body doesn't hold it.")] | None = None
    id_path: Annotated[str, described("JSONPath of a notification's own id, by which a repeat is known.")] | None = None
    id_header: Annotated[str, described("Header of that id, where the body doesn't hold it.")] | None = None
    time_path: (
        Annotated[
            str,
            described(
                "JSONPath of a notification's time: the version of an object, or a deletion, that doesn't have its own."
            ),
        ]
        | None
    ) = None
    rate_limit: (
        Annotated[str, Meta(pattern=RATE, description="The most requests of one address in a time: 100/s, 600/m.")]
        | None
    ) = None

    @property
    def address(self) -> str:
        """The path that it posts to."""
        return self.path or f"/{self.name}"


class Webhooks(Struct, frozen=True, forbid_unknown_fields=True):
    """The receiver."""

    sources: Annotated[list[Source], Meta(min_length=1, description="Who sends notifications.")]
    max_body_bytes: Annotated[int, Meta(ge=1, description="The largest body accepted, in bytes.")] = 1_048_576
    max_queued: Annotated[
        int, Meta(ge=1, description="Notifications that may wait in the queue; beyond it senders get 503.")
    ] = 10_000_000
    max_pending: Annotated[
        int, Meta(ge=1, description="Requests that may wait to be stored; beyond it senders get 503.")
    ] = 2_000
    body_timeout: Annotated[float, Meta(gt=0, le=3600, description="Seconds in which a body must have arrived.")] = 10.0


class ReceiverSettings(Struct, frozen=True):
    """The configuration of webhooks, with its secrets by source."""

    webhooks: Webhooks | None
    queue: str
    secrets: dict[str, list[str]]
