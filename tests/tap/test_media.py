"""What a body is that is no JSON: what is tried again, and what is told at once with its remedy."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.exchange.answer import answer_of, facts_of
from tap_restextract.exchange.media import is_page, never_json

pytestmark = pytest.mark.pure

ROWS = b"id,name\n1,Jane Doe\n"
UMLAUT = '[{"name": "Müller"}]'


@pytest.mark.parametrize("codec", ["punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"])
def test_a_codec_that_is_not_a_character_set_of_documents_is_not_tried(codec: str) -> None:
    assert never_json({"content-type": f"text/plain; charset={codec}"}, b"[1]-") is None


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("text/csv; charset=utf-8", ROWS, "it is a table (CSV); only JSON is read"),
        ("Text/CSV", ROWS, "a table (CSV)"),
        ("application/csv", ROWS, "a table (CSV)"),
        ("text/tab-separated-values", ROWS, "a table (CSV)"),
        ("application/xml", b"<items><item/></items>", "it is XML; only JSON is read"),
        ("text/xml", b"<items/>", "it is XML"),
        ("application/atom+xml", b"<feed/>", "it is XML"),
        ("application/x-ndjson", b'{"id": 1}\n{"id": 2}\n', "it is JSON, a line a record"),
        ("application/jsonl", b'{"id": 1}\n{"id": 2}\n', "it is JSON, a line a record"),
        ("text/event-stream", b"data: {}\n\n", "a stream of events"),
        ("application/pdf", b"x", "a document"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"x", "a document"),
        ("application/zip", b"x", "an archive"),
        ("application/x-protobuf", b"\x08\x01", "a binary form"),
        ("application/vnd.apache.parquet", b"x", "a binary form"),
        ("image/png", b"\x89PNG", "no data that a list could be in"),
        ("multipart/mixed; boundary=x", b"--x", "no data that a list could be in"),
        ("application/json", gzip.compress(UMLAUT.encode(), mtime=0), "it is gzip without the header Content-Encoding; have the API"),
        ("", gzip.compress(b"[]", mtime=0), "it is gzip"),
        ("application/octet-stream", b"PK\x03\x04...", "a ZIP archive"),
        ("application/octet-stream", b"%PDF-1.7", "a PDF document"),
        ("application/json", b"\x28\xb5\x2f\xfd...", "zstd"),
        ("application/json; charset=ISO-8859-1", UMLAUT.encode("iso-8859-1"), "it is JSON in ISO-8859-1, and JSON is UTF-8"),
        ('application/json;charset="windows-1253"', '["Αθήνα"]'.encode("windows-1253"), "JSON in windows-1253"),
        ("application/json; charset=utf-16", UMLAUT.encode("utf-16"), "JSON in utf-16"),
        ("application/json", UMLAUT.encode("utf-16"), "JSON in utf-16"),
        ("application/json; charset=utf-8", UMLAUT.encode("utf-32"), "JSON in utf-32"),
        ("application/json", b'[{"id": 1, "price": NaN}]', "it is JSON but for NaN, which JSON has no writing for"),
        ("application/json", b'{"data": [-Infinity]}', "it is JSON but for -Infinity"),
        ("application/json", b'[{"name": "Jane\tDoe"}]', "it is JSON but for a control character within a text"),
        ("text/csv; charset=utf-16", UMLAUT.encode("utf-16"), "JSON in utf-16"),
    ],
)  # fmt: skip
def test_what_is_never_json_is_named_with_its_remedy_and_without_its_values(
    kind: str, content: bytes, told: str
) -> None:
    said = never_json({"content-type": kind}, content) or ""
    assert told in said
    assert "Jane" not in said
    assert answer_of("", facts_of(200, {"content-type": kind}), content).remedy == said


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b'[{"id": 1}'),
        ("application/json", b"[NaN"),
        ("application/json", b'["\t"'),
        ("application/json", b'["\xff"]'),
        ("application/json", b"Service Unavailable"),
        ("application/json; charset=utf-8", b'["\xfc"]'),
        ("application/json; charset=none-such", b'["\xfc"]'),
        ("application/json; charset=iso-8859-1", b'["\xfc"'),
        ("application/json; charset=rot13", b'["\xfc"]'),
        ("application/vnd.api+json", b"[" * 200_000),
        ("application/vnd.api+json; charset=utf-16", b"[" * 200_000),
        ("", b"\xff\xfe[]"),
        ("text/html; charset=utf-8", b"<html>Back soon</html>"),
        ("application/xhtml+xml", b"<html>Back soon</html>"),
        ("text/plain", b"upstream timed out"),
        ("application/octet-stream", b"\x00\x01"),
        ("text/csv", b' [{"id": 1}'),
        ("application/xml", b'{"id": '),
    ],
)
def test_what_another_try_may_change_is_not_given_up(kind: str, content: bytes) -> None:
    assert never_json({"content-type": kind}, content) is None


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/xml", "application/x-ndjson", "application/json; charset=utf-16", ""]
)
def test_json_under_any_name_is_json(kind: str) -> None:
    answer = answer_of("", facts_of(200, {"content-type": kind}), UMLAUT.encode())
    assert (answer.body, answer.fault, answer.remedy) == ([{"name": "Müller"}], "", "")


def test_only_html_is_a_page_of_a_gateway() -> None:
    assert [is_page({"content-type": kind}) for kind in ("text/html; charset=x", "TEXT/HTML", "text/plain", "")] == [
        True, True, False, False,
    ]  # fmt: skip


@given(kind=st.text(max_size=60), content=st.binary(max_size=60))
def test_no_header_and_no_body_is_too_odd_to_be_judged(kind: str, content: bytes) -> None:
    never_json({"content-type": kind}, content)
