"""What a body is that can't be decoded as JSON: what another try may change, and what none ever will.

A body that is cut or garbled is worth another try, and so is a page of HTML with a good status: gateways, captive
portals and sites in maintenance send such pages in passing. A table, a document or an archive comes again each time.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

JSON_STARTS: Final = (b"{", b"[")
MAX_TYPE_CHARACTERS: Final = 80
MAX_TRIED_BYTES: Final = 1 << 25
"""Of a body that is read once more, more leniently."""
ASK_FOR_JSON: Final = (
    "only JSON is read, so ask the API for it (a parameter such as format=json, another path, or a header), or leave the "
    "stream out"
)

FORMATS: Final = (
    (re.compile(r"(text|application)/(x-)?(csv|tab-separated-values|comma-separated-values)"), "a table (CSV)"),
    (re.compile(r"(text|application)/xml|(?!application/xhtml)[a-z0-9.+/-]+\+xml"), "XML"),
    (re.compile(r"application/(x-)?(ndjson|jsonl|jsonlines|json-lines|json-seq|json-stream|stream\+json)"), "JSON, a line a record"),
    (re.compile(r"text/event-stream"), "a stream of events"),
    (re.compile(r"application/(x-)?(zip|gzip|zip-compressed|tar|bzip2|xz|zstd|7z-compressed)"), "an archive"),
    (re.compile(r"application/(x-)?(protobuf|msgpack|cbor|avro|grpc[a-z+-]*|vnd\.(google\.protobuf|msgpack|apache\.(parquet|arrow\..*)))"),
     "a binary form of records"),
    (re.compile(r"application/(pdf|vnd\.ms-.*|vnd\.openxmlformats-.*|vnd\.oasis\.opendocument\..*)"), "a document"),
    (re.compile(r"(image|audio|video|font|multipart)/.*"), "no data that a list could be in"),
)  # fmt: skip
"""Content types that are never JSON, and what they are."""
LINES: Final = "JSON, a line a record"

SIGNATURES: Final = (
    (b"\x1f\x8b", "gzip without the header Content-Encoding", "have the API say Content-Encoding: gzip, or ask for the file's content uncompressed"),
    (b"PK\x03\x04", "a ZIP archive", ASK_FOR_JSON),
    (b"%PDF-", "a PDF document", ASK_FOR_JSON),
    (b"BZh", "bzip2", ASK_FOR_JSON),
    (b"\xfd7zXZ\x00", "xz", ASK_FOR_JSON),
    (b"\x28\xb5\x2f\xfd", "zstd without the header Content-Encoding", ASK_FOR_JSON),
    (b"PAR1", "Parquet", ASK_FOR_JSON),
)  # fmt: skip
"""First bytes that no JSON has, what they begin, and the remedy."""

BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
)  # fmt: skip
CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
NO_CHARSETS: Final = frozenset(
    {"utf-8", "ascii", "punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape"}
)
"""JSON's own, and Python's codecs that are no character sets of documents: the first of these is quadratic."""


def media_type(headers: Mapping[str, str]) -> str:
    """Return what the Content-Type header says, in small letters and without parameters; "" where there is none.

    Args:
        headers: under lower-case names.
    """
    return headers.get("content-type", "").partition(";")[0].strip().lower()[:MAX_TYPE_CHARACTERS]


def is_page(headers: Mapping[str, str]) -> bool:
    """Return whether the answer is a page of HTML, which a gateway may have sent in passing."""
    return media_type(headers) in {"text/html", "application/xhtml+xml"}


def never_json(headers: Mapping[str, str], content: bytes) -> str | None:
    """Say what a body is that no other try will turn into JSON, and the remedy; None where another try may.

    Args:
        headers: under lower-case names.
        content: the whole body, without its encoding, of which it is known that it can't be decoded as JSON.
    """
    for signature, packed, remedy in SIGNATURES:
        if content.startswith(signature):
            return f"it is {packed}; {remedy}"
    charset = _charset(headers, content)
    if charset is not None:
        return (
            f"it is JSON in {charset}, and JSON is UTF-8 (RFC 8259); have the API send that, perhaps by the header "
            "Accept-Charset: utf-8 in `headers`"
        )
    if (extra := _beyond_json(content)) is not None:
        return (
            f"it is JSON but for {extra}, which JSON has no writing for (RFC 8259); have the API leave that out, let the request leave out the "
            "property that holds it, or leave the stream out"
        )
    kind = media_type(headers)
    form = next((form for types, form in FORMATS if types.fullmatch(kind)), None)
    # What begins like JSON is perhaps JSON that was cut, under a wrong name; but records in lines begin like JSON, too.
    if form is None or (content.lstrip().startswith(JSON_STARTS) and form != LINES):
        return None
    return f"it is {form}; {ASK_FOR_JSON}"


def _beyond_json(content: bytes) -> str | None:
    """Return what keeps a body from being JSON that is whole otherwise; None where it isn't."""
    if len(content) > MAX_TRIED_BYTES:
        return None
    numbers: list[str] = []
    with contextlib.suppress(ValueError, RecursionError):
        text = content.decode()
        with contextlib.suppress(ValueError):
            json.loads(text, parse_constant=numbers.append)
            return numbers[0] if numbers else None
        json.loads(text, strict=False)
        return "a control character within a text"
    return None


def _charset(headers: Mapping[str, str], content: bytes) -> str | None:
    """Return the character set in which the body is JSON: the one declared, or the one of its byte order mark."""
    declared = CHARSET.search(headers.get("content-type", ""))
    marked = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), None)
    for name in (declared and declared[1], marked):
        with contextlib.suppress(LookupError, ValueError, RecursionError, msgspec.MsgspecError):
            if name and codecs.lookup(name).name not in NO_CHARSETS:
                msgspec.json.decode(content.decode(name).removeprefix("\ufeff"))
                return name
    return None
