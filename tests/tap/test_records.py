"""Rows: what is read of a page by its own types is what any JSON decoder reads, and what is written is the same."""

from __future__ import annotations

import contextlib
import io
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_restextract.plan.keys import content_hash
from tap_restextract.singer.record_lines import lacking, projected, record_lines
from tap_restextract.singer.stream import RestStream, reader_of
from tap_restextract.tap import TapRestextract
from tap_restextract.values.paths import MISSING, find
from tap_restextract.values.rows import MAX_LESSONS, Reader, Row, any_json, column
from tests.support.api import Reply, scripted, serving
from tests.support.streams import config

pytestmark = pytest.mark.in_process

NOW = "2026-01-01T00:00:00+00:00"
names = st.sampled_from(["id", "a", "b.c", "é", "@x y", "class", ""]) | st.text(max_size=3)
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.just(10**40)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
records = st.dictionaries(names, values, max_size=5)
pages = st.lists(st.lists(records, max_size=4), min_size=1, max_size=4)
spaces = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : "), (",\n ", ":\r\n")])


def written(value: Any, separators: tuple[str, str], *, ascii_only: bool) -> bytes:
    """The value as an API writes it, decimals with all their digits."""

    def text(part: Any) -> str:
        if isinstance(part, Decimal):
            return str(part)
        if isinstance(part, dict):
            pairs = (f"{text(key)}{separators[1]}{text(held)}" for key, held in part.items())
            return "{" + separators[0].join(pairs) + "}"
        if isinstance(part, list):
            return "[" + separators[0].join(map(text, part)) + "]"
        return json.dumps(part, ensure_ascii=ascii_only)

    return text(value).encode("utf-8", "surrogatepass")


def exact(line: bytes) -> Any:
    """A line with its numbers as they are, which Python's own decoder reads."""
    return json.loads(line, parse_float=Decimal)


@given(
    pages,
    spaces,
    st.sampled_from(["ascii", "utf-8"]),
    st.sampled_from([(), ("data",), ("result", "items")]),
    st.sets(names),
)
@example(
    [[{"id": 1}], [{"id": 2, "new": {"a": [1]}}], [{"new": "\u2028", "id": 3}]], (",", ":"), "utf-8", ("data",), {"id"}
)
def test_rows_read_and_write_what_dicts_do(
    given_pages: list[list[dict[str, Any]]],
    separators: tuple[str, str],
    encoding: str,
    path: tuple[str, ...],
    selected: set[str],
) -> None:
    reader = Reader(path, frozenset({"id", "a"}))
    for number, listed in enumerate(given_pages):
        body: Any = listed
        for key in reversed(path):
            body = {"next": number, key: body, "more": {"of": [number]}}
        content = written(body, separators, ascii_only=encoding == "ascii")
        plain, read = any_json.decode(content), reader.body(content)
        for key in path:
            assert {name: value for name, value in read.items() if name != key} == {
                name: value for name, value in plain.items() if name != key
            }
            plain, read = plain[key], read[key]
        assert [dict(record) for record in read] == plain
        assert [content_hash(record) for record in read] == [content_hash(record) for record in plain]
        known = frozenset(selected)
        assert lacking(read, known) == lacking(plain, known)
        for name in ("id", "a", "b.c", "missing"):
            assert column(read, name) == column(plain, name)
            assert [name in record for record in read] == [name in record for record in plain]
            assert [find(name, record) for record in read] == [find(name, record) for record in plain]
        for kept in (known, frozenset(name for record in plain for name in record)):
            ours = record_lines("s", projected(read, kept), NOW).splitlines()
            assert [exact(line) for line in ours] == [
                exact(line) for line in record_lines("s", projected(plain, kept), NOW).splitlines()
            ]
            assert [exact(line)["record"] for line in ours] == [
                {name: value for name, value in record.items() if name in kept} for record in plain
            ]


def read_twice(*contents: bytes, path: tuple[str, ...] = ("data",)) -> Any:
    """The last content's list, read behind the others."""
    reader = Reader(path, frozenset({"id"}))
    for content in contents:
        body = reader.body(content)
    return body["data"]


def test_from_the_second_page_on_records_are_rows() -> None:
    (row,) = read_twice(b'{"data":[{"id":1,"v":0.10}]}', b'{"data":[{"id":2,"v":0.20}]}')
    assert isinstance(row, Row)
    assert record_lines("s", [row], NOW) == (
        b'{"type":"RECORD","stream":"s","record":{"id":2,"v":0.20},"time_extracted":"' + NOW.encode() + b'"}\n'
    )
    assert (row["id"], row["v"], row.get("w", 5), find("v", row), find("w", row)) == (
        2,
        Decimal("0.20"),
        5,
        Decimal("0.20"),
        MISSING,
    )
    with pytest.raises(KeyError):
        row["w"]


@pytest.mark.parametrize(
    "second",
    [
        b'{"data":[{"id":2,"v":1,"new":3}]}',
        b'{"data":{"id":2}}',
        b'{"data":null}',
        b'{"data":[2]}',
        b'{"other":[],"data":[{"id":2}]}',
        b'{"data":[{"id":2,"v":{"a":\n[1]}}]}',
        b'{"data":[{"id":2,"v":1.50}]}',
        b'{"data":[{"id":2,"v":1e400}]}',
        b'{"data":[{"id":2,"v":"text"},{"id":3,"v":true},{"id":4,"v":null}]}',
        b'[{"id":2}]',
        b'{"error":"none"}',
    ],
)
def test_what_does_not_fit_the_types_is_read_as_any_json(second: bytes) -> None:
    reader = Reader(("data",), frozenset({"id"}))
    reader.body(b'{"data":[{"id":1,"v":0}]}')
    body = reader.body(second)
    assert body == any_json.decode(second) or [dict(row) for row in body["data"]] == any_json.decode(second)["data"]
    assert isinstance(reader.body(b'{"data":[{"id":3,"v":0}]}')["data"][0], Row)


@pytest.mark.parametrize(
    "broken", [b'{"data":[{"id":2,"v":"\xff"}]}', b'{"data":[{"id":2,"v":"\\ud800"}]}', b'{"data":[{"id":2']
)
def test_what_is_not_json_raises_by_types_too(broken: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        read_twice(b'{"data":[{"id":1,"v":0}]}', broken)


def test_records_with_ever_new_keys_are_not_learned_for_ever() -> None:
    reader = Reader(("data",), frozenset({"id"}))
    for number in range(MAX_LESSONS * 3):
        assert dict(reader.body(b'{"data":[{"k%d":1}]}' % number)["data"][0]) == {f"k{number}": 1}
    assert reader.lessons == MAX_LESSONS


def test_a_property_of_one_type_is_decoded_as_it_until_the_reader_has_learned_enough() -> None:
    reader = Reader(("data",), frozenset({"id"}))
    reader.body(
        b'{"data":[{"id":1,"text":"a","whole":1,"flag":true,"nothing":null,"part":{},"mixed":1},{"mixed":"a"}]}'
    )
    (row,) = reader.body(b'{"data":[{"id":2,"text":null,"whole":2,"flag":false,"part":[]}]}')["data"]
    assert row.types == {"id": int, "text": str, "whole": int, "flag": bool, "nothing": type(None)}
    assert row.raw == {"part", "mixed"}
    for number in range(MAX_LESSONS):
        reader.body(b'{"data":[{"k%d":1}]}' % number)
    (row,) = reader.body(b'{"data":[{"id":3,"text":5,"whole":2.5}]}')["data"]
    assert row.types == {}
    assert dict(row) == {"id": 3, "text": 5, "whole": Decimal("2.5")}


def test_keys_that_no_type_can_have_stay_dicts() -> None:
    content = b'{"data":[{"id":1,"a\\"b":2}]}'
    assert read_twice(content, content) == [{"id": 1, 'a"b': 2}]


def test_the_tap_reads_rows_and_reports_a_property_that_comes_late() -> None:
    replies = [
        Reply(json.dumps({"data": [{"id": 1, "v": 1}], "next": "a"}).encode()),
        Reply(json.dumps({"data": [{"id": 2, "v": 2}], "next": "b"}).encode()),
        Reply(json.dumps({"data": [{"id": 3, "v": 3, "late": 1}], "next": None}).encode()),
    ]
    declared = {"type": "object", "properties": {"id": {"type": "integer"}, "v": {"type": "integer"}}}
    with serving(scripted(*replies)) as api:
        paginator = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}
        extractor = TapRestextract(config=config(api.url, schema=declared, records="data", paginator=paginator))
        stream = extractor.streams["things"]
        assert isinstance(stream, RestStream)
        assert reader_of(stream._plan, None) is not None
        with contextlib.redirect_stdout(io.StringIO()) as out:
            stream.sync()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["record"] for line in lines if line["type"] == "RECORD"] == [{"id": n, "v": n} for n in (1, 2, 3)]
    assert stream._warned == {"late"}
