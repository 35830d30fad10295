"""Bodies: the JSON that a request holds, as it is or in a form, compressed or not."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from tap_restextract.exchange.answer import OUT_OF_RANGE, without_lone_surrogates
from tap_restextract.exchange.media import JSON_STARTS, media_type
from tap_restextract.webhooks.signatures import Headers, Refusal

FORM: Final = "application/x-www-form-urlencoded"
FORM_FIELD: Final = "payload"  # GitHub's and Slack's
MAX_FIELDS: Final = 1000
_GZIP: Final = zlib.MAX_WBITS | 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)


class Content(NamedTuple):
    """What a body holds.

    Attributes:
        text: JSON as it came; None for the fields of a form.
        value: what it says.
    """

    text: str | None
    value: Any


def content_of(headers: Headers, body: bytes, max_bytes: int, form_field: str | None = None) -> Content:
    """Return the JSON of a request.

    Args:
        headers: by lower-case name.
        body: as it came.
        max_bytes: to which a compressed body may grow.
        form_field: of a form, that holds the JSON.

    Raises:
        Refusal: 400 for what is no JSON, 413 for what is too large, 422 for what can't be read as agreed.
    """
    plain = _uncompressed(headers.get("content-encoding", ""), body, max_bytes).removeprefix(_BYTE_ORDER_MARK)
    # JSON comes under that name, too: many HTTP clients state it where nobody says what a body is.
    if media_type(headers) == FORM and not plain.lstrip().startswith(JSON_STARTS):
        fields = _fields(plain)
        if form_field is None and len(fields) == 1:
            form_field = FORM_FIELD if FORM_FIELD in fields else None
        if form_field is None:
            return Content(None, {name: values[0] if len(values) == 1 else values for name, values in fields.items()})
        if len(fields.get(form_field, [])) != 1:
            raise Refusal("unreadable", 422)
        plain = fields[form_field][0].encode()
    return _json(plain)


def _uncompressed(encoding: str, body: bytes, max_bytes: int) -> bytes:
    if encoding.strip().lower() not in {"gzip", "x-gzip"}:
        return body
    stream = zlib.decompressobj(_GZIP)
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error:
        raise Refusal("malformed", 400) from None
    if len(plain) > max_bytes:
        raise Refusal("too_large", 413)
    if not stream.eof:
        raise Refusal("malformed", 400)
    return plain


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:  # bytes that are no UTF-8, or too many fields
        raise Refusal("malformed", 400) from None


def _json(content: bytes) -> Content:
    for each in (content, without_lone_surrogates(content)):
        try:
            text = each.decode()
            return Content(text, _decoder.decode(text))
        except ArithmeticError:  # an exponent that nothing holds
            raise Refusal("unreadable", 422) from None
        except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
            if OUT_OF_RANGE in str(error):
                raise Refusal("unreadable", 422) from None
    raise Refusal("malformed", 400)
