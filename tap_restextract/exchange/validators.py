"""Validators (RFC 9110, 8.8): what an answer is known by, so that the next request may be answered "not modified", 304.

Only a sweep whose one request is the whole list asks so. There a 304 says all that a sweep could find out: nothing is
new, changed or gone since the answer that the validator came with. Where a list has several pages it would say so of
one page alone: a record may have moved over a seam, what asks for the next page is in the body that didn't come, and
each page would cost its request still.

`If-None-Match` compares weakly (RFC 9110, 13.1.2), so a weak ETag (`W/"…"`) serves as well as a strong one: it leaves
out what its server takes for no change. `Last-Modified` counts whole seconds, and many servers take it from the newest
`updated_at`, which no deletion moves: it is believed only where the configuration says so, and only where it is older
than its answer by more than a second, since a change within the same second would never show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.config.streams import StreamSettings
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.request import Request, request_for
from tap_restextract.exchange.retry import http_date

ETAG: Final = re.compile(r'^(?:W/)?"[\x21\x23-\x7e\x80-\xff]{0,1000}"$')
CONDITIONS: Final = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
SETTLED_SECONDS: Final = 2.0
DIGEST_BYTES: Final = 16


class Validator(Struct, frozen=True):
    """What one answer is known by.

    Attributes:
        name: the header that it came in, in lower case.
        value: as it was sent.
        request: the fingerprint of the request that it answered.
    """

    name: str
    value: str
    request: str = ""


def validator_of(stream: StreamSettings, answer: Answer) -> Validator | None:
    """Return the validator of a good answer: its ETag or Last-Modified; None where the configuration trusts neither."""
    if answer.status != 200 or stream.validator == "none" or CONDITIONS.keys().isdisjoint(answer.headers):
        return None
    tag = answer.headers.get("etag", "").strip()
    if ETAG.match(tag):
        return Validator("etag", tag)
    modified, answered_at = (http_date(answer.headers.get(name, "")) for name in ("last-modified", "date"))
    if (
        stream.validator == "etag"
        or modified is None
        or answered_at is None
        or answered_at - modified < SETTLED_SECONDS
    ):
        return None
    return Validator("last-modified", answer.headers["last-modified"].strip())


def asked_unless(request: Request, validator: Validator | None) -> Request:
    """Return the request for what has changed since the validator's answer."""
    if validator is None:
        return request
    return replace(request, headers={**request.headers, CONDITIONS[validator.name]: validator.value})


def without_condition(request: Request) -> Request:
    """Return the request for the whole answer, whatever it was before."""
    conditions = {name.lower() for name in CONDITIONS.values()}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in conditions}
    return request if len(headers) == len(request.headers) else replace(request, headers=headers)


def without_validators(answer: Answer) -> Answer:
    """Return the answer without its validators."""
    headers = {name: value for name, value in answer.headers.items() if name not in CONDITIONS}
    return replace(answer, facts=replace(answer.facts, headers=headers))


def is_conditional(headers: Mapping[str, object]) -> bool:
    """Return whether the configuration's own headers have a condition: then none is added."""
    return any(name.lower() in {"if-none-match", "if-modified-since"} for name in headers)


def fingerprint(stream: StreamSettings) -> str:
    """Return a fingerprint of a request for a whole list, and of what is read of its answer; it reveals no secret.

    Passwords and what OAuth 2.0 renews are left out: who asks is identified by the user's name or the client's id.
    """
    request = request_for(stream, None)
    request_parts = (request.method, request.url, request.params, sorted(request.headers.items()), request.json)
    who = (stream.auth, stream.auth_token, stream.auth_api_key, stream.auth_username, stream.auth_client_id)
    reading = (stream.records, stream.primary_key, stream.deleted_path, stream.validator)
    return blake2b(
        msgspec.json.encode((request_parts, who, reading), order="sorted"), digest_size=DIGEST_BYTES
    ).hexdigest()


def encoded_validator(validator: Validator) -> str:
    """Return the validator as caches hold it."""
    return msgspec.json.encode(validator).decode()


def decode_validator(text: str) -> Validator:
    """Return the validator that `encoded_validator` wrote."""
    return msgspec.json.decode(text, type=Validator)
