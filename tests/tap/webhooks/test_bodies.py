"""What a body holds: JSON as it is, in a form, compressed; and what is refused, with the status that says why."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from tap_restextract.webhooks.bodies import content_of
from tap_restextract.webhooks.signatures import Refusal

EVENT = {"type": "a", "data": {"id": 1}}
JSON = json.dumps(EVENT)
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def form(*fields: tuple[str, str]) -> bytes:
    return urlencode(fields).encode()


@pytest.mark.parametrize(
    ("headers", "body", "field", "value"),
    [
        ({}, JSON.encode(), None, EVENT),
        ({"content-type": "text/plain"}, JSON.encode(), None, EVENT),
        ({}, b"\xef\xbb\xbf" + JSON.encode(), None, EVENT),
        ({}, b'{"text": "\\ud83d and"}', None, {"text": "\ufffd and"}),
        ({"content-encoding": "gzip"}, gzip.compress(JSON.encode(), mtime=0), None, EVENT),
        (FORM, form(("payload", JSON)), None, EVENT),
        (FORM, JSON.encode(), None, EVENT),
        (FORM, form(("event", JSON), ("v", "2")), "event", EVENT),
        (FORM, form(("SmsSid", "1"), ("Body", ""), ("To", "a"), ("To", "b")), None, {"SmsSid": "1", "Body": "", "To": ["a", "b"]}),
        (FORM, form(("payload", JSON), ("v", "2")), None, {"payload": JSON, "v": "2"}),
        ({}, b'{"id": 18446744073709551617, "value": 0.10}', None, {"id": 2**64 + 1, "value": Decimal("0.10")}),
    ],
)  # fmt: skip
def test_a_body_is_the_json_that_its_sender_means(
    headers: dict[str, str], body: bytes, field: str | None, value: Any
) -> None:
    assert content_of(headers, body, 1000, field).value == value


@pytest.mark.parametrize(
    ("headers", "body", "field", "status"),
    [
        ({}, b"{", None, 400),
        ({}, b"", None, 400),
        ({}, b'\xff"', None, 400),
        ({}, b"[" * 900, None, 400),
        ({}, b'{"id": 1e99999999999999999999}', None, 422),
        ({}, b'{"id": ' + b"9" * 5000 + b"}", None, 422),
        (FORM, form(("payload", "{")), None, 400),
        (FORM, form(("payload", JSON)), "event", 422),
        (FORM, form(("event", JSON), ("event", JSON)), "event", 422),
        (FORM, b"a=%ff", None, 400),
        (FORM, b"&".join([b"a=1"] * 1001), None, 400),
        ({"content-encoding": "gzip"}, JSON.encode(), None, 400),
        ({"content-encoding": "gzip"}, gzip.compress(JSON.encode(), mtime=0)[:-1], None, 400),
        ({"content-encoding": "gzip"}, gzip.compress(b" " * 1001, mtime=0), None, 413),
    ],
)
def test_a_body_that_can_not_be_read_is_refused_by_its_kind(
    headers: dict[str, str], body: bytes, field: str | None, status: int
) -> None:
    with pytest.raises(Refusal) as caught:
        content_of(headers, body, 1000, field)
    assert caught.value.status == status
