"""Paginators answer two questions: what asks for the next page, and how that is written into a request.

An end is stated, never guessed: no token or link, `has_more` false, the total reached, or, where pages or records are
counted, an empty page. A short page is no end, and an empty page with a token is none either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace
from typing_extensions import assert_never

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
from tap_restextract.exchange.answer import Answer, shown
from tap_restextract.exchange.request import Request
from tap_restextract.values.paths import MISSING, find, match_count, steps

# A link's target and its parameters (RFC 8288, section 3): blanks may surround every mark, a text in quotation marks
# may hold any mark, escaped quotation marks too, and a parameter may be empty.
# Quotation marks in other places are taken as they are.
_PARAMETER: Final = r"\s*;\s*(?:[^\s=;,]+(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,\"][^\s;,]*)?)?)?"
LINK: Final = re.compile(rf"<(?P<target>[^<>]*)>(?P<parameters>(?:{_PARAMETER})*)")
DIGITS: Final = re.compile(r"^[0-9]{1,18}$")
MAX_FLAG_CHARACTERS: Final = 8
FLAGS: Final = {
    **dict.fromkeys(("true", "1", "y", "yes"), True),
    **dict.fromkeys(("false", "0", "n", "no"), False),
}
"""How APIs without booleans write has_more, in any case."""
PARAMETER: Final = re.compile(
    r";\s*(?P<name>[^\s=;,]+)(?:\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<bare>[^\s;,\"][^\s;,]*))?)?"
)


REFUSED: Final = frozenset({400, 404, 410, 422})
"""Statuses by which a page is refused that isn't there, or not any more."""


class Token(Struct, frozen=True):
    """What the API gave to ask for the next page."""

    value: str | int


class Link(Struct, frozen=True):
    """The next page's whole address."""

    url: str


class Number(Struct, frozen=True):
    """A page's number."""

    page: int


class Start(Struct, frozen=True):
    """The number of records before a page."""

    offset: int


Continuation = Token | Link | Number | Start


class LinkTarget(Struct, frozen=True):
    """One link of a Link header: its address, and its attributes without quotes."""

    url: str
    attributes: Mapping[str, str]


def following(paginator: Paginator, answer: Answer, at: Continuation | None, count: int) -> Continuation | None:
    """Return the continuation that asks for the page after this answer; None where the API states the end.

    Args:
        paginator: the stream's.
        answer: the page as it came.
        at: what asked for it; None for the first page.
        count: what the API counts as records in it, before any was filtered out or taken apart.

    Raises:
        AnswerError: where the answer lacks what the paginator needs.
    """
    continuation = _stated(paginator, answer, at, count)
    if not isinstance(paginator, (CursorToken, HeaderCursor, JsonLink, HeaderLink)):
        return continuation
    ended = (
        (paginator.end_path is not None and _flag("end_path", paginator.end_path, answer.body, "this is the last page"))
        or (paginator.empty_page == "end" and count == 0)
        or (paginator.repeated_token == "end" and continuation == at)  # noqa: S105  what a token means, and none itself
    )
    return None if ended else continuation


def _stated(paginator: Paginator, answer: Answer, at: Continuation | None, count: int) -> Continuation | None:
    """Return likewise what the answer states by itself."""
    body = answer.body
    match paginator:
        case SinglePage():
            return None
        case CursorToken():
            more = _more(paginator.has_more_path, body)
            if more is False:
                return None
            if (several := match_count(paginator.cursor_path, body)) > 1:
                raise AnswerError(
                    f"there are {several} values at {paginator.cursor_path}, and a token is one; set cursor_path to one of them, such as data[-1].id"
                )
            token = find(paginator.cursor_path, body)
            if more and (token is MISSING or token is None or token == ""):
                raise AnswerError(
                    f"{paginator.has_more_path} is true, but there is no token at {paginator.cursor_path}; set cursor_path to where it lies, "
                    f"or, where true is the end, end_path: {paginator.has_more_path} in place of has_more_path"
                )
            return _token(token, paginator.cursor_path)
        case HeaderCursor():
            return _token(answer.headers.get(paginator.cursor_key.lower()), f"the header {paginator.cursor_key}")
        case JsonLink():
            path = paginator.next_url_path
            if (several := match_count(path, body)) > 1:
                raise AnswerError(
                    f"there are {several} values at {path}, and the next page has one address; set next_url_path to it, such as "
                    "links[?(@.rel=='next')].href"
                )
            return _link(find(path, body), answer.url, path)
        case HeaderLink():
            value = answer.headers.get(paginator.header.lower())
            if paginator.header.lower() == "link":
                link = link_in(value, paginator.links_next_key)
                name, _, ends = (paginator.end_attribute or "").partition("=")
                value = None if link is None or (name and link.attributes.get(name) == ends) else link.url
            return _link(value, answer.url, f"the header {paginator.header}")
        case PageNumber():
            page = at.page if isinstance(at, Number) else paginator.base_page
            total = None if answer.status == 204 else _total(paginator.total_path, body)
            # Where a total is stated it decides, even about an empty page: its records may be hidden from this reader.
            ended = page - paginator.base_page + 1 >= total if total is not None else count == 0
            more = _more_behind(paginator.has_more_path, answer, count)
            return None if ended or more is False else Number(page + 1)
        case Offset():
            next_offset = (at.offset if isinstance(at, Start) else paginator.offset) + count
            total = None if answer.status == 204 else _total(paginator.total_path, body)
            more = _more_behind(paginator.has_more_path, answer, count)
            return (
                None
                if more is False or count == 0 or (total is not None and next_offset - paginator.offset >= total)
                else Start(next_offset)
            )
    assert_never(paginator)


def paged(paginator: Paginator, request: Request, at: Continuation | None) -> Request:
    """Return the request for a page: the first one where `at` is None."""
    match paginator:
        case SinglePage():
            return request
        case CursorToken():
            if isinstance(at, Link):  # a probe's: it may turn out to be what asks for the next page
                return _linked(request, at.url)
            if at is None:
                return request
            assert isinstance(at, Token)
            if paginator.cursor_body_path:
                return _with_json(request, paginator.cursor_body_path, at.value)
            return _with_param(request, paginator.cursor_param or "cursor", at.value)
        case HeaderCursor():
            return _with_param(request, paginator.cursor_param, at.value) if isinstance(at, Token) else request
        case JsonLink() | HeaderLink():
            return _linked(request, at.url) if isinstance(at, Link) else request
        case PageNumber():
            page = at.page if isinstance(at, Number) else paginator.base_page
            if paginator.page_body_path:
                return _with_json(request, paginator.page_body_path, page)
            return _with_param(request, paginator.page_param or "page", page)
        case Offset():
            offset = at.offset if isinstance(at, Start) else paginator.offset
            if paginator.offset_body_path:
                request = _with_json(request, paginator.offset_body_path, offset)
            else:
                request = _with_param(request, paginator.offset_param or "offset", offset)
            if paginator.limit_body_path:
                return _with_json(request, paginator.limit_body_path, paginator.limit)
            return _with_param(request, paginator.limit_param or "limit", paginator.limit)
    assert_never(paginator)


def total_of(paginator: Paginator, answer: Answer) -> int | None:
    """Return how many records the whole list has, where the answer says so."""
    return _total(paginator.total_path, answer.body) if isinstance(paginator, (Offset, CursorToken)) else None


def next_continuation(paginator: Paginator, at: Continuation | None) -> Continuation | None:
    """Return the continuation for the page after this one, should that one be full; None where only its answer says."""
    match paginator:
        case PageNumber():
            return Number((at.page if isinstance(at, Number) else paginator.base_page) + 1)
        case Offset():
            return Start((at.offset if isinstance(at, Start) else paginator.offset) + paginator.limit)
        case _:
            return None


def paths_of(paginator: Paginator) -> list[str]:
    """Return the paths that the paginator looks at in an answer."""
    names = ("cursor_path", "has_more_path", "total_path", "next_url_path", "end_path")
    return [path for name in names if (path := getattr(paginator, name, None)) is not None]


def is_stable(paginator: Paginator) -> bool:
    """Return whether the paginator's tokens name a position or a snapshot, as the configuration states."""
    return isinstance(paginator, (CursorToken, HeaderCursor, JsonLink, HeaderLink)) and paginator.stable


def _token(value: Any, path: str) -> Token | None:
    if value is MISSING or value is None or value == "" or value is False:
        return None
    if isinstance(value, (str, int)) and value is not True:
        return Token(value)
    raise AnswerError(f"the token at {path} is neither a string nor a number; set the path of the token itself")


def _link(value: Any, base: str, path: str) -> Link | None:
    if value is MISSING or value is None or value == "" or value is False:
        return None
    if not isinstance(value, str):
        raise AnswerError(f"the next page's address at {path} is no string; set the path of the address itself")
    try:
        return Link(_on_the_same_origin(urljoin(base, value), base, path))
    except ValueError as error:  # a port or an IPv6 address that is none
        raise AnswerError(f"the next page's address at {path} is not a web address") from error


def _on_the_same_origin(url: str, base: str, path: str) -> str:
    """Return the link, unless it would carry credentials elsewhere; a proxied http link is followed as https."""
    link, origin = urlsplit(url), urlsplit(base)
    if link.hostname == origin.hostname and link.scheme in {"http", "https"}:
        ports = {80, 443, None}
        if link.port == origin.port or (link.port in ports and origin.port in ports):
            return urlunsplit((origin.scheme, origin.netloc, link.path, link.query, ""))
    raise AnswerError(
        f"the next page's address at {path} leads to another host, {link.hostname}; credentials aren't sent there. "
        "Set base_url to the host that the links name; where that is an inner name that can't be asked, leave the links, and ask for pages "
        "by what they carry: a paginator of type page_number, offset or cursor"
    )


def page_remedy(paginator: Paginator, at: Continuation | None, status: int) -> str:
    """Say what else than the request may be wrong where a page is refused; "" where nothing is."""
    if status not in REFUSED:
        return ""
    if at is None and isinstance(paginator, PageNumber) and paginator.base_page == 0:
        return "; where this API counts its pages from 1, set base_page: 1"
    if isinstance(at, (Token, Link)):
        return (
            "; this page was asked for by what the answer before it gave, and where that expires while the list is read, `incremental` with "
            "order: asc and without `stable: true` goes on by the last record instead"
        )
    return ""


def page_before(paginator: Paginator, at: Continuation | None) -> Continuation | None:
    """Return what asks for the counted page before one; None where there is none, or pages aren't counted."""
    if isinstance(paginator, PageNumber) and isinstance(at, Number) and at.page > paginator.base_page:
        return Number(at.page - 1)
    if isinstance(paginator, Offset) and isinstance(at, Start) and at.offset > paginator.offset:
        return Start(max(at.offset - paginator.limit, paginator.offset))
    return None


def link_in(header: str | None, relation: str) -> LinkTarget | None:
    """Return a Link header's link of a relation (RFC 8288); None where there is none."""
    for link in LINK.finditer(header or ""):
        attributes: dict[str, str] = {}
        for parameter in PARAMETER.finditer(link["parameters"]):
            # A further parameter of the same name counts for nothing.
            attributes.setdefault(parameter["name"].lower(), parameter["quoted"] or parameter["bare"] or "")
        if relation.lower() in attributes.get("rel", "").lower().split():
            return LinkTarget(link["target"], attributes)
    return None


def _more(path: str | None, body: Any) -> bool | None:
    return None if path is None else _flag("has_more_path", path, body, "more follows")


def _flag(key: str, path: str, body: Any, meaning: str) -> bool:
    value = find(path, body)
    if isinstance(value, bool):
        return value
    flag = FLAGS.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
    if flag is not None:
        return flag
    # A longer text may be a token, which no message shows.
    named = "a longer text" if isinstance(value, str) and len(value) > MAX_FLAG_CHARACTERS else shown(value)
    there = "" if value is MISSING else f"; {named} stands there, and true or false, 1 or 0, Y or N are read"
    raise AnswerError(f"there is no boolean at {path}; set {key} to where the answer says whether {meaning}{there}")


def _more_behind(path: str | None, answer: Answer, count: int) -> bool | None:
    """Return whether more follows a page that is counted; an empty one that says so can't be continued."""
    if answer.status == 204:
        return False
    more = _more(path, answer.body)
    if more and not count:
        raise AnswerError(
            f"{path} is true, but the page is empty; where an empty page is the end, leave has_more_path out, and declare ignored_marks: [{path}]"
        )
    return more


def _total(path: str | None, body: Any) -> int | None:
    if path is None:
        return None
    value = find(path, body)
    if isinstance(value, str) and DIGITS.match(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise AnswerError(f"there is no number at {path}; set total_path to where the answer gives the total")


def _with_param(request: Request, name: str, value: object) -> Request:
    others = tuple(pair for pair in request.params if pair[0] != name)
    return Request(request.method, request.url, (*others, (name, str(value))), request.headers, request.json)


def _linked(request: Request, url: str) -> Request:
    """Return the link as the API wrote it: it is an address that is whole, so nothing is added to it."""
    return replace(request, url=url, params=())


def _with_json(request: Request, path: str, value: object) -> Request:
    keys = steps(path) or (path,)
    return replace(request, json=_set(request.json if isinstance(request.json, Mapping) else {}, keys, value))


def _set(body: Mapping[str, Any], keys: tuple[str, ...], value: object) -> dict[str, Any]:
    first, *rest = keys
    below = body.get(first)
    return {**body, first: _set(below if isinstance(below, Mapping) else {}, tuple(rest), value) if rest else value}
