"""Paginators: what asks for the next page; the end is stated, never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.config.paginators import (
    CursorToken,
    HeaderCursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    Paginator,
    SinglePage,
)
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Continuation, Link, Number, Start, Token, following, is_stable, paged
from tap_restextract.exchange.request import Request

pytestmark = pytest.mark.pure

URL = "https://api.example.com/v1/things?limit=2"
ASKED = Request("GET", "https://api.example.com/v1/things", (("limit", "2"),))


def behind(
    paginator: Paginator,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    at: Continuation | None = None,
    count: int = 2,
    status: int = 200,
) -> Continuation | None:
    """What asks for the page behind an answer of `count` records."""
    return following(paginator, Answer(URL, facts_of(status, headers or {}), body), at, count)


@pytest.mark.parametrize("count", [2, 1, 0])
def test_a_token_asks_for_more_however_few_records_came(count: int) -> None:
    assert behind(CursorToken(cursor_path="next"), {"next": "abc"}, count=count) == Token("abc")
    assert behind(HeaderCursor(cursor_key="X-Next"), headers={"x-next": "abc"}, count=count) == Token("abc")
    assert behind(JsonLink(), {"next": "/more?page=2"}, count=count) == Link("https://api.example.com/more?page=2")
    link = {"link": '<https://api.example.com/more>; rel="next"'}
    assert behind(HeaderLink(), headers=link, count=count) == Link("https://api.example.com/more")


@pytest.mark.parametrize("token", [None, "", False])
def test_no_token_is_the_end(token: Any) -> None:
    assert behind(CursorToken(cursor_path="next"), {"next": token}) is None
    assert behind(CursorToken(cursor_path="next"), {}) is None
    assert behind(JsonLink(), {"next": token}) is None
    assert behind(HeaderCursor()) is None
    assert behind(HeaderLink()) is None


def test_the_number_0_is_a_token() -> None:
    assert behind(CursorToken(cursor_path="next"), {"next": 0}) == Token(0)


@pytest.mark.parametrize(
    "parameters",
    [
        'rel = "next"',
        "REL=next",
        'rel="first next"',
        'title="see; rel=prev"; rel="next"',
        r'title="a \"q\"; b"; rel="next"',
        '; rel="next"',
        'rel="next"; rel="prev"',
        'title=5"; rel="next"',
        'title=a"b"; rel="next"',
        '"x"; rel="next"',
    ],
)
def test_a_link_is_found_in_each_of_its_valid_writings(parameters: str) -> None:
    header = (
        f'<https://api.example.com/first>; rel="first", <https://api.example.com/2?b=1,2>; {parameters}, </3>; rel=last'
    )
    assert behind(HeaderLink(), headers={"link": header}) == Link("https://api.example.com/2?b=1,2")


@pytest.mark.parametrize("parameters", ["rel=prev; rel=next", 'rel="last"; title="rel=next"', 'title="; rel=next"', ""])
def test_a_link_of_another_relation_is_not_followed(parameters: str) -> None:
    assert behind(HeaderLink(), headers={"link": f"<https://api.example.com/2>; {parameters}"}) is None


@pytest.mark.parametrize("token", [{"after": "abc"}, ["abc"], True, 1.5])
@pytest.mark.parametrize("has_more_path", [None, "more"])
def test_what_can_not_be_a_token_is_a_fault_with_its_path(token: Any, has_more_path: str | None) -> None:
    paginator = CursorToken(cursor_path="next", has_more_path=has_more_path)
    with pytest.raises(AnswerError, match="the token at next is neither a string nor a number"):
        behind(paginator, {"next": token, "more": True})


def test_has_more_ends_a_list_although_there_is_a_token() -> None:
    paginator = CursorToken(cursor_path="next", has_more_path="more")
    assert behind(paginator, {"next": "abc", "more": False}) is None
    assert behind(paginator, {"next": "abc", "more": True}) == Token("abc")


@pytest.mark.parametrize("body", [{"more": True}, {"more": True, "next": None}, {"more": True, "next": ""}])
def test_more_without_a_token_is_a_fault_and_no_end(body: dict[str, Any]) -> None:
    with pytest.raises(AnswerError, match="more is true, but there is no token at next; set cursor_path"):
        behind(CursorToken(cursor_path="next", has_more_path="more"), body)


FLAGGED = (
    CursorToken(cursor_path="next", has_more_path="more"),
    PageNumber(has_more_path="more"),
    Offset(limit=2, has_more_path="more"),
)


@pytest.mark.parametrize(
    ("more", "there"),
    [
        (None, "null stands there"), ("", "'' stands there"), ("maybe", "'maybe' stands there"), (2, "2 stands there"),
        (-1, "-1 stands there"), (1.5, "1.5 stands there"), ([True], "a list stands there"),
        ({"more": True}, "an object with the keys more stands there"), ("secret-token-value", "a longer text stands there"),
    ],
)  # fmt: skip
def test_has_more_that_is_not_a_boolean_is_a_fault(more: Any, there: str) -> None:
    for paginator in FLAGGED:
        with pytest.raises(AnswerError, match="there is no boolean at more; set has_more_path") as caught:
            behind(paginator, {"more": more, "next": "abc"})
        assert there in str(caught.value)


@pytest.mark.parametrize(
    "spellings", [["true", "True", "TRUE", "1", "y", "Y", "Yes"], ["false", "False", "FALSE", "0", "n", "N", "No"]]
)
def test_has_more_is_read_in_the_spellings_of_apis_without_booleans(spellings: list[str]) -> None:
    follows = "1" in spellings
    for more in (*spellings, int(follows), f" {spellings[0]} "):
        for paginator in FLAGGED:
            assert (behind(paginator, {"more": more, "next": "abc"}) is not None) is follows


@pytest.mark.parametrize("count", [2, 1])
def test_pages_and_records_are_counted_on_after_a_short_page(count: int) -> None:
    assert behind(PageNumber(base_page=1), count=count) == Number(2)
    assert behind(PageNumber(base_page=1), at=Number(7), count=count) == Number(8)
    assert behind(Offset(limit=2), at=Start(10), count=count) == Start(10 + count)


def test_an_empty_page_ends_what_is_counted() -> None:
    assert behind(PageNumber(), count=0, at=Number(3)) is None
    assert behind(Offset(limit=2), count=0, at=Start(6)) is None


def test_an_answer_without_content_ends_what_is_counted_though_it_states_nothing() -> None:
    assert behind(PageNumber(total_path="total", has_more_path="more"), count=0, status=204) is None
    assert behind(Offset(limit=2, total_path="total", has_more_path="more"), count=0, status=204) is None


def test_the_first_record_is_at_offset_0_and_not_skipped() -> None:
    """P8: an offset that begins at 1 skips a record."""
    assert dict(paged(Offset(limit=2), ASKED, None).params)["offset"] == "0"
    assert behind(Offset(limit=2)) == Start(2)
    assert behind(Offset(limit=2, offset=1)) == Start(3)


def test_a_total_is_counted_from_the_first_page_and_the_first_offset() -> None:
    pages = PageNumber(base_page=1, total_path="pages")
    assert behind(pages, {"pages": 2}) == Number(2)
    assert behind(pages, {"pages": 2}, at=Number(2)) is None
    records = Offset(limit=2, offset=1, total_path="total")
    assert behind(records, {"total": "5"}, at=Start(3)) == Start(5)
    assert behind(records, {"total": 5}, at=Start(4)) is None


def test_a_page_whose_records_are_all_hidden_does_not_end_a_list_whose_number_of_pages_is_stated() -> None:
    assert behind(PageNumber(total_path="pages"), {"pages": 3}, at=Number(1), count=0) == Number(2)
    assert behind(PageNumber(total_path="pages"), {"pages": 3}, at=Number(2), count=0) is None


@pytest.mark.parametrize("paginator", [PageNumber(has_more_path="more"), Offset(limit=2, has_more_path="more")])
def test_an_empty_page_that_says_that_more_follows_is_a_fault_and_not_the_end(paginator: Paginator) -> None:
    with pytest.raises(AnswerError, match="more is true, but the page is empty"):
        behind(paginator, {"more": True}, at=None, count=0)


@pytest.mark.parametrize("total", [None, "many", "²", "9" * 5000, 1.5, True, [3]])
def test_a_total_that_is_not_a_number_is_a_fault(total: Any) -> None:
    for paginator in (PageNumber(total_path="total"), Offset(limit=2, total_path="total")):
        with pytest.raises(AnswerError, match="there is no number at total; set total_path"):
            behind(paginator, {"total": total})


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/more",
        "https://api.example.com.evil.com/more",
        "https://api.example.com:8443/more",
        "https://api.example.com@evil.com/more",
        "//evil.com/more",
        "ftp://api.example.com/more",
        "file:///etc/passwd",
    ],
)
def test_a_link_to_another_host_is_refused_because_credentials_would_go_there(link: str) -> None:
    for paginator, body, headers in (
        (JsonLink(), {"next": link}, {}),
        (HeaderLink(), None, {"link": f'<{link}>; rel="next"'}),
    ):
        with pytest.raises(AnswerError, match=r"leads to another host, .*credentials aren't sent there"):
            behind(paginator, body, headers=headers)


@pytest.mark.parametrize("link", ["http://[::1", "https://api.example.com:99999/", "https://api.example.com:port/"])
def test_a_link_that_is_not_an_address_is_a_fault_and_not_a_crash(link: str) -> None:
    with pytest.raises(AnswerError, match="the next page's address at next is not a web address"):
        behind(JsonLink(), {"next": link})


@pytest.mark.parametrize("link", [5, ["/more"], {"href": "/more"}, True])
def test_a_link_that_is_not_a_string_is_a_fault(link: Any) -> None:
    with pytest.raises(AnswerError, match="address at next is no string"):
        behind(JsonLink(), {"next": link})


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("?page=2", "https://api.example.com/v1/things?page=2"),
        ("/v1/things?page=2", "https://api.example.com/v1/things?page=2"),
        ("http://api.example.com/v1/things?page=2", "https://api.example.com/v1/things?page=2"),
        ("https://API.example.com:443/v1/things?page=2#top", "https://api.example.com/v1/things?page=2"),
        ("https://user:word@api.example.com/x", "https://api.example.com/x"),
    ],
)
def test_a_link_on_the_same_host_is_followed_by_the_scheme_that_was_asked(link: str, address: str) -> None:
    assert behind(JsonLink(), {"next": link}) == Link(address)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://api.example.com/a?x=1,2>; rel="prev", <https://api.example.com/b>; rel="next"', "/b"),
        ("<https://api.example.com/b>; rel=next", "/b"),
        ('<https://api.example.com/b>; title="a, b"; rel="last next"', "/b"),
        ('<https://api.example.com/b>;REL="NEXT"', "/b"),
        ('</b>; rel="next"', "/b"),
        ('<https://api.example.com/a>; rel="nextish"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_link_headers_are_read_as_the_rfc_writes_them(header: str, target: str | None) -> None:
    expected = None if target is None else Link(f"https://api.example.com{target}")
    assert behind(HeaderLink(), headers={"link": header}) == expected


def test_another_header_may_be_the_bare_address() -> None:
    assert behind(HeaderLink(header="Next-Page"), headers={"next-page": URL}) == Link(URL)


def test_a_single_page_has_nothing_after_it() -> None:
    assert behind(SinglePage(), {"next": "abc"}) is None


@pytest.mark.parametrize(
    ("paginator", "at", "params"),
    [
        (SinglePage(), None, {"limit": "2"}),
        (CursorToken(), None, {"limit": "2"}),
        (CursorToken(), Token("a b"), {"limit": "2", "cursor": "a b"}),
        (CursorToken(cursor_param="after"), Token(7), {"limit": "2", "after": "7"}),
        (HeaderCursor(cursor_param="after"), Token("x"), {"limit": "2", "after": "x"}),
        (PageNumber(), None, {"limit": "2", "page": "0"}),
        (PageNumber(base_page=1, page_param="p"), Number(3), {"limit": "2", "p": "3"}),
        (Offset(limit=50), Start(4), {"limit": "50", "offset": "4"}),
        (Offset(limit=50, offset_param="skip", limit_param="take"), None, {"limit": "2", "skip": "0", "take": "50"}),
    ],
)
def test_each_paginator_writes_its_page_into_the_query(
    paginator: Paginator, at: Continuation | None, params: dict[str, str]
) -> None:
    assert dict(paged(paginator, ASKED, at).params) == params


def test_a_page_replaces_the_parameter_that_asked_for_the_one_before() -> None:
    request = paged(CursorToken(), paged(CursorToken(), ASKED, Token("one")), Token("two"))
    assert request.params == (("limit", "2"), ("cursor", "two"))


def test_pages_go_into_json_bodies_beside_what_is_there() -> None:
    request = Request("POST", URL, json={"variables": {"first": 10}, "query": "…"})
    asked = paged(CursorToken(cursor_body_path="variables.after"), request, Token("abc"))
    assert asked.json == {"variables": {"first": 10, "after": "abc"}, "query": "…"}
    assert request.json == {"variables": {"first": 10}, "query": "…"}
    assert paged(PageNumber(page_body_path="page.number"), request, Number(2)).json["page"] == {"number": 2}
    both = Offset(limit=5, offset_body_path="skip", limit_body_path="take")
    assert paged(both, Request("POST", URL), None).json == {"skip": 0, "take": 5}


def test_a_link_is_the_whole_address_and_nothing_is_added_to_it() -> None:
    for paginator in (JsonLink(), HeaderLink()):
        asked = paged(paginator, ASKED, Link("https://api.example.com/more?page=2"))
        assert (asked.url, asked.params) == ("https://api.example.com/more?page=2", ())
        assert paged(paginator, ASKED, None) == ASKED


def test_only_tokens_and_links_that_are_declared_so_are_stable() -> None:
    assert is_stable(CursorToken(stable=True))
    assert is_stable(JsonLink(stable=True))
    for paginator in (CursorToken(), HeaderLink(), PageNumber(), Offset(limit=1), SinglePage()):
        assert not is_stable(paginator)
