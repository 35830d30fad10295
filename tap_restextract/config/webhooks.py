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
    """Standard Webhooks, in its headers or Svix's: HMAC-SHA256, or Ed25519 where a secret is a public key (whpk_…)."""

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


SIGNED_NAMES = "timestamp|id|url|method"
Encoding = Annotated[Literal["hex", "base64"], described("How the signature is written.")]
Signed = Annotated[
    str,
    Meta(
        pattern=rf"^([^{{}}]|\{{({SIGNED_NAMES})\}})*\{{body\}}([^{{}}]|\{{({SIGNED_NAMES})\}})*$",
        description="What is signed: {body}, or a text with {body} and {timestamp}, {id}, {url} or {method} in it.",
    ),
]


class Signing(Struct, frozen=True, forbid_unknown_fields=True):
    """A signature in a header, of a text that has the body in it."""

    header: Annotated[str, Meta(min_length=1, description="Header that holds the signature.")]
    encoding: Encoding = "hex"
    prefix: Annotated[str, described("What stands before the signature in its header, such as sha256=.")] = ""
    signed: Signed = "{body}"
    timestamp_header: (
        Annotated[str, described("Header that holds the time in seconds, or milliseconds, since 1970.")] | None
    ) = None
    id_header: Annotated[str, described("Header that holds what stands for {id} in signed.")] | None = None
    url: (
        Annotated[
            str,
            Meta(
                pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
                description="The address that senders know this service by, without the source's path, for {url} in signed.",
            ),
        ]
        | None
    ) = None
    tolerance: Tolerance = TOLERANCE


class Hmac(Signing, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hmac"):
    """Any HMAC of the body, or of a text that has it and what else is signed in it."""

    algorithm: Annotated[Literal["sha256", "sha512", "sha384", "sha1"], described("Hash of the HMAC.")] = "sha256"
    secret_encoding: Annotated[
        Literal["text", "base64", "hex"], described("How the key is written in webhook_secrets.")
    ] = "text"  # noqa: S105  the name of an encoding


class Ed25519(Signing, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="ed25519"):
    """An Ed25519 signature of the body, or of a text that has it in it; webhook_secrets has the sender's public key."""

    secret_encoding: Annotated[
        Literal["hex", "base64"], described("How the public key's 32 bytes are written in webhook_secrets.")
    ] = "hex"  # noqa: S105  the name of an encoding


class Token(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="token"):
    """No signature, but a secret that each request holds: in a header, a parameter, or the body."""

    header: Annotated[str, Meta(min_length=1, description="Header that holds the secret.")] | None = None
    param: Annotated[str, Meta(min_length=1, description="Parameter of the address that holds it.")] | None = None
    path: (
        Annotated[str, Meta(min_length=1, description="JSONPath of it in the body; where it finds several, all count.")]
        | None
    ) = None


Signature = StandardWebhooks | Stripe | GitHub | Shopify | Slack | Hmac | Ed25519 | Token


class Handshake(Struct, frozen=True, forbid_unknown_fields=True):
    """How a sender asks, before it sends anything, whether its notifications are wanted here."""

    method: Annotated[Literal["GET", "HEAD", "OPTIONS", "POST"], described("Method of that request.")] = "GET"
    param: (
        Annotated[str, Meta(min_length=1, description="Parameter of its address that holds the challenge.")] | None
    ) = None
    header: Annotated[str, Meta(min_length=1, description="Header that holds the challenge.")] | None = None
    path: (
        Annotated[
            str, Meta(min_length=1, description="JSONPath of the challenge in its body, which is signed as others are.")
        ]
        | None
    ) = None
    token_param: (
        Annotated[str, Meta(min_length=1, description="Parameter that must hold the source's webhook_tokens.")] | None
    ) = None
    answer_key: (
        Annotated[str, Meta(min_length=1, description="Key that the challenge has in the answer, which is JSON then.")]
        | None
    ) = None
    answer_header: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9\-]+$", description="Header of the answer that holds the challenge, and no body."
            ),
        ]
        | None
    ) = None
    hmac_key: (
        Annotated[
            str,
            Meta(min_length=1, description="Key of the challenge's HMAC-SHA256 in the answer, by the source's secret."),
        ]
        | None
    ) = None
    hmac_encoding: Annotated[Literal["hex", "base64"], described("How that HMAC is written.")] = "hex"
    hmac_prefix: Annotated[str, described("What stands before that HMAC, such as sha256=.")] = ""


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
    form_field: (
        Annotated[
            str,
            described(
                "Field of a form that holds the JSON; if not given, payload where it is the only field, else all fields are the notification."
            ),
        ]
        | None
    ) = None
    handshake: Annotated[Handshake, described("How the sender asks first whether it may send.")] | None = None
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
    tokens: dict[str, str] = {}
