"""Marks in an answer that say that more follows, and that the paginator doesn't read.

A list whose end is reached by the paginator, though its answer holds such a mark, would be cut there without a word.
The names are those by which APIs that many people use tell of a next page; a mark counts only by its kind of value, so
that `next: null`, `has_more: false` and an empty text are none. `ignored_marks` names those that an API always sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from msgspec import Struct
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
from tap_restextract.config.streams import StreamSettings
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.paginators import Continuation, Link, Token, link_in, paths_of
from tap_restextract.values.paths import MISSING, find, steps

CONTAINERS: Final = (
    "paging",
    "pagination",
    "links",
    "_links",
    "meta",
    "metadata",
    "_metadata",
    "_meta",
    "pages",
    "page",
    "page_info",
    "pageInfo",
    "response_metadata",
    "cursors",
    "cursor",
)
"""Objects in which marks lie; one within another, too."""
CONTINUATIONS: Final = (
    "next",
    "next_cursor",
    "nextCursor",
    "next_page_token",
    "nextPageToken",
    "next_token",
    "nextToken",
    "NextToken",
    "next_page",
    "nextPage",
    "next_url",
    "nextUrl",
    "next_link",
    "nextLink",
    "@odata.nextLink",
    "odata.nextLink",
    "next_page_url",
    "next_page_uri",
    "next_href",
    "nextRecordsUrl",
    "nextPageUrl",
    "nextPageLink",
    "continuationToken",
    "continuation_token",
)
FLAGS: Final = (
    "has_more",
    "hasMore",
    "has_next",
    "hasNext",
    "has_next_page",
    "hasNextPage",
    "more",
    "moreResults",
    "more_results",
    "hasMoreItems",
    "is_truncated",
    "isTruncated",
    "IsTruncated",
)
"""True where more follows."""
END_FLAGS: Final = ("end_of_stream", "isLast", "is_last", "isLastPage", "is_last_page")
"""False where more follows."""
NESTED: Final = ("href", "url", "uri", "after", "cursor", "starting_after", "link", "offset", "page")
"""Where a continuation lies in an object that is one: `paging.next.after`."""
NONE: Final = frozenset({"", "null", "none", "false", "0"})
"""Texts by which APIs write that there is no continuation."""
PAGE_COUNTS: Final = ("total_pages", "totalPages", "last_page", "lastPage", "page_count", "pageCount", "pages")
"""Beside the number of a next page: how many pages there are."""
QUOTED: Final = re.compile(r"""\[(?P<quote>['"])(?P<key>[^'"]+)(?P=quote)\]""")
TOTALS: Final = (
    "total",
    "total_count",
    "totalCount",
    "total_results",
    "totalResults",
    "total_records",
    "totalRecords",
    "total_items",
    "totalItems",
    "total_size",
    "totalSize",
    "total_entries",
    "totalEntries",
    "total_elements",
    "totalElements",
    "totalHits",
    "num_found",
    "numFound",
    "count",
    "@odata.count",
)
"""How many records the whole list has."""
TOTAL_HEADERS: Final = ("x-total-count", "x-total")
LIKE_A_CONTINUATION: Final = re.compile(
    r"next|follow|contin|more|after|cursor|token|page|scroll|bookmark|marker|resum", re.IGNORECASE
)
UNLIKE_A_CONTINUATION: Final = re.compile(
    r"prev|before|first|last|self|current|access|auth|secret|refresh|csrf|session|delta|sync|size|per_?page",
    re.IGNORECASE,
)
"""Names of what may ask for a page, and of what doesn't ask for the one behind."""
NAMES_A_CONTINUATION: Final = re.compile(r"next|follow|contin|cursor|token|scroll|bookmark|marker|resum", re.IGNORECASE)
"""Names of what asks for a page, and hardly of anything else, as a `page_title` is."""
ADDRESSES: Final = ("http://", "https://", "/", "?")
"""How an address begins; anything else is a token."""
MAX_TOKEN_CHARACTERS: Final = 2000
HEADERS: Final = ("x-next-page", "x-next-cursor", "x-next-page-token", "x-continuation-token", "x-ms-continuation")


class UnreadMark(Struct, frozen=True):
    """A mark that says that more follows.

    Attributes:
        path: in the body; or `the header NAME`.
        value: what it is, not what it says: `a text of 24 characters`.
        remedy: the paginator to declare, as configuration.
    """

    path: str
    value: str
    remedy: str

    @property
    def told(self) -> str:
        """The mark and its remedy in words."""
        name = self.path.removeprefix("the header ")
        return (
            f"the answer says that more follows ({self.path} is {self.value}), and the paginator doesn't read it; declare {self.remedy}, or, "
            f"where it means nothing, ignored_marks: [{name}]"
        )


def unread_mark(stream: StreamSettings, answer: Answer, count: int) -> UnreadMark | None:
    """Return a mark of more in an answer behind which the paginator asks for nothing; None where there is none.

    Args:
        stream: whose answer it is.
        answer: the page as it came.
        count: records in it.
    """
    paginator, body = stream.paginator, answer.body
    if is_stated(paginator):
        return None
    read, ignored = {*map(_dotted, paths_of(paginator))}, {*map(_dotted, stream.ignored_marks)}
    # An address that is made for every page, also for one behind the end, says nothing where pages are counted.
    flags_only = isinstance(paginator, (PageNumber, Offset))
    for mark in _marks(stream, body):
        value = find(mark.path, body)
        is_read = mark.path in read or any(path.startswith(f"{mark.path}.") for path in read | ignored)
        is_known = is_read or is_ignored(stream, mark.path)
        if not (is_known or _is_here(answer, value)) and (not flags_only or isinstance(value, bool)):
            return mark
    return None if flags_only or not count else _in_headers(paginator, answer, {*stream.ignored_marks})


def is_ignored(stream: StreamSettings, path: str) -> bool:
    """Return whether a mark, or an object that holds it, is known to mean nothing; headers' names in any case."""
    ignored = {*map(_dotted, stream.ignored_marks)}
    here = f"{_dotted(path)}."
    return any(here.startswith(f"{each}.") or here.lower() == f"{each.lower()}." for each in ignored)


def _dotted(path: str) -> str:
    """Return a path without `$`, its quoted keys as plain ones: the form in which marks are named."""
    return QUOTED.sub(r".\g<key>", path).removeprefix("$").removeprefix(".")


def _is_here(answer: Answer, value: Any) -> bool:
    """Return whether an address is that of the answer itself: nothing that it hasn't said can be found there."""
    try:
        return isinstance(value, str) and bool(value) and urljoin(answer.url, value) == answer.url
    except ValueError:  # an IPv6 address that is none
        return False


def unread_total(stream: StreamSettings, answer: Answer, count: int) -> str:
    """Return in words that a list's only page has fewer records than a total in it says; empty where it doesn't.

    Args:
        stream: whose answer it is.
        answer: the first page, behind which nothing is asked for.
        count: records in it.
    """
    read = {*map(_dotted, paths_of(stream.paginator))}
    totals = {
        f"{prefix}{name}": held[name]
        for held, prefix in _beside(stream, answer.body)
        for name in TOTALS
        if name in held
    }
    totals |= {name: answer.headers.get(name) for name in TOTAL_HEADERS}
    for path, value in totals.items():
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if (
            path not in read
            and not is_ignored(stream, path)
            and (is_number or (isinstance(value, str) and value.isdecimal()))
            and int(value) > count > 0
        ):
            return (
                f"the answer says that the list has {int(value)} records ({path}), holds {count}, and nothing asks for the rest; declare a "
                f"paginator that reads to the end (total_path: {path}, where pages are counted), or, where it counts something else, "
                f"ignored_marks: [{path}]"
            )
    return ""


def untried(stream: StreamSettings, answer: Answer) -> tuple[tuple[str, Continuation], ...]:
    """Return what may ask for the next page, by its name, where the paginator's own path leads nowhere.

    A link counts only where it is the list's own address with another query, since it is to be asked for.
    """
    paginator = stream.paginator
    if not isinstance(paginator, (CursorToken, JsonLink)) or is_stated(paginator) or stream.method != "GET":
        return ()
    path = paginator.cursor_path if isinstance(paginator, CursorToken) else paginator.next_url_path
    if find(path, answer.body) is not MISSING:
        return ()
    found: list[tuple[str, Continuation]] = []
    for held, prefix in _beside(stream, answer.body):
        for name, value in held.items():
            is_like = LIKE_A_CONTINUATION.search(name) and not UNLIKE_A_CONTINUATION.search(name)
            if is_like and isinstance(value, str) and 0 < len(value) <= MAX_TOKEN_CHARACTERS:
                continuation = _tried(paginator, answer, value)
                if continuation is not None and not is_ignored(stream, f"{prefix}{name}"):
                    found.append((f"{prefix}{name}", continuation))
    return tuple(found)


def names_a_continuation(path: str) -> bool:
    """Return whether what lies at a path is named as what asks for the next page, and nothing else, is."""
    return NAMES_A_CONTINUATION.search(path.rpartition(".")[2]) is not None


def _tried(paginator: CursorToken | JsonLink, answer: Answer, value: str) -> Continuation | None:
    if not value.startswith(ADDRESSES):
        return Token(value) if isinstance(paginator, CursorToken) else None
    try:
        target, here = urlsplit(urljoin(answer.url, value)), urlsplit(answer.url)
    except ValueError:  # an IPv6 address that is none
        return None
    is_own = (target.scheme, target.netloc, target.path) == (here.scheme, here.netloc, here.path)
    return Link(target.geturl()) if is_own and target.query != here.query else None


def is_stated(paginator: Paginator) -> bool:
    """Return whether the end is one that the answer states, at a path of the paginator's own."""
    match paginator:
        case PageNumber() | Offset():
            return paginator.total_path is not None or paginator.has_more_path is not None
        case CursorToken():
            return paginator.has_more_path is not None or paginator.end_path is not None
        case JsonLink() | HeaderCursor():
            return paginator.end_path is not None
        case HeaderLink():
            return paginator.end_path is not None or paginator.end_attribute is not None
        case SinglePage():
            return False
    assert_never(paginator)


def _marks(stream: StreamSettings, body: Any) -> Iterator[UnreadMark]:
    for held, prefix in _beside(stream, body):
        yield from _marks_in(held, prefix)


def _beside(stream: StreamSettings, body: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects on the way to the records, and those in them that hold marks, each with its path and a dot."""
    keys = steps(stream.records.partition("[")[0].removesuffix(".*"))
    if not isinstance(body, dict) or not keys:
        return  # the body is the list, or one record
    here, prefix = body, ""
    for key in keys:
        yield from _containers(here, prefix)
        below = here.get(key)
        if not isinstance(below, dict):
            return
        here, prefix = below, f"{prefix}{key}."


def _containers(held: Mapping[str, Any], prefix: str, depth: int = 2) -> Iterator[tuple[Mapping[str, Any], str]]:
    yield held, prefix
    for name in CONTAINERS if depth else ():
        below = held.get(name)
        if isinstance(below, dict):
            yield from _containers(below, f"{prefix}{name}.", depth - 1)


def _marks_in(held: Mapping[str, Any], prefix: str) -> Iterator[UnreadMark]:
    for name in FLAGS:
        if held.get(name) is True:
            path = f"{prefix}{name}"
            yield UnreadMark(path, "true", f"a paginator with has_more_path: {path}")
    for name in END_FLAGS:
        if held.get(name) is False:
            path = f"{prefix}{name}"
            yield UnreadMark(path, "false", f"a paginator of type cursor with end_path: {path}")
    for name in CONTINUATIONS:
        mark = _continuation(f"{prefix}{name}", held.get(name))
        if mark is not None and not _is_behind_the_last(held, held[name]):
            yield mark
    # Airtable's is a text; other APIs tell by a number where this page began.
    offset = held.get("offset")
    if isinstance(offset, str) and offset and not offset.isdigit():
        yield _token(f"{prefix}offset", offset)


def _is_behind_the_last(held: Mapping[str, Any], value: Any) -> bool:
    """Return whether a page's number is more than there are pages, as the object that holds it says."""
    counts = [held[name] for name in PAGE_COUNTS if type(held.get(name)) is int]
    return type(value) is int and any(value > count for count in counts)


def _continuation(path: str, value: Any) -> UnreadMark | None:
    if isinstance(value, dict):
        found = (_continuation(f"{path}.{name}", value[name]) for name in NESTED if name in value)
        return next((mark for mark in found if mark is not None), None)
    if isinstance(value, str) and value.strip().lower() not in NONE:
        if value.startswith(ADDRESSES):
            return UnreadMark(path, "an address", f"paginator: {{type: json_link, next_url_path: {path}}}")
        return _token(path, value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return UnreadMark(
            path, "a number", f"paginator: {{type: cursor, cursor_path: {path}, cursor_param: …}} or page_number"
        )
    return None


def _token(path: str, value: str) -> UnreadMark:
    remedy = f"paginator: {{type: cursor, cursor_path: {path}, cursor_param: …}}"
    return UnreadMark(path, f"a text of {len(value)} characters", remedy)


def _in_headers(paginator: Paginator, answer: Answer, names: set[str]) -> UnreadMark | None:
    ignored = {name.lower() for name in names}
    link = link_in(answer.headers.get("link"), "next")
    reads_link = isinstance(paginator, HeaderLink) and (paginator.header.lower(), paginator.links_next_key) == (
        "link",
        "next",
    )
    leads_on = link is not None and link.attributes.get("results") != "false" and not _is_here(answer, link.url)
    if leads_on and not reads_link and "link" not in ignored:
        return UnreadMark("the header Link", 'an address with rel="next"', "paginator: {type: header_link}")
    reads_key = paginator.cursor_key.lower() if isinstance(paginator, HeaderCursor) else None
    for name in HEADERS:
        value = answer.headers.get(name, "").strip()
        if value.lower() not in NONE and name != reads_key and name not in ignored:
            remedy = f"paginator: {{type: header_cursor, cursor_key: {name}, cursor_param: …}}"
            return UnreadMark(f"the header {name}", f"a text of {len(value)} characters", remedy)
    return None
