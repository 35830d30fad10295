"""Marks in an answer that say that more follows, and that the paginator doesn't read.

A list whose end is reached by the paginator, though its answer holds such a mark, would be cut there without a word.
The names are those by which APIs that many people use tell of a next page; a mark counts only by its kind of value, so
that `next: null`, `has_more: false` and an empty text are none. `ignored_marks` names those that an API always sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

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
from tap_restextract.exchange.paginators import link_in, paths_of
from tap_restextract.values.paths import find, steps

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
HEADERS: Final = ("x-next-page", "x-next-cursor", "x-next-page-token", "x-continuation-token", "x-ms-continuation")


@dataclass(frozen=True, slots=True)
class UnreadMark:
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
        is_ignored = any(f"{mark.path}.".startswith(f"{path}.") for path in ignored)
        if not (is_read or is_ignored or _is_here(answer, value)) and (not flags_only or isinstance(value, bool)):
            return mark
    return None if flags_only or not count else _in_headers(paginator, answer, {*stream.ignored_marks})


def _dotted(path: str) -> str:
    """Return a path without `$`, its quoted keys as plain ones: the form in which marks are named."""
    return QUOTED.sub(r".\g<key>", path).removeprefix("$").removeprefix(".")


def _is_here(answer: Answer, value: Any) -> bool:
    """Return whether an address is that of the answer itself: nothing that it hasn't said can be found there."""
    try:
        return isinstance(value, str) and bool(value) and urljoin(answer.url, value) == answer.url
    except ValueError:  # an IPv6 address that is none
        return False


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
    keys = steps(stream.records.partition("[")[0].removesuffix(".*"))
    if not isinstance(body, dict) or not keys:
        return  # the body is the list, or one record
    here, prefix = body, ""
    for key in keys:
        yield from _marks_in(here, prefix)
        below = here.get(key)
        if not isinstance(below, dict):
            return
        here, prefix = below, f"{prefix}{key}."


def _marks_in(held: Mapping[str, Any], prefix: str, depth: int = 2) -> Iterator[UnreadMark]:
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
    if depth:
        for name in CONTAINERS:
            below = held.get(name)
            if isinstance(below, dict):
                yield from _marks_in(below, f"{prefix}{name}.", depth - 1)


def _is_behind_the_last(held: Mapping[str, Any], value: Any) -> bool:
    """Return whether a page's number is more than there are pages, as the object that holds it says."""
    counts = [held[name] for name in PAGE_COUNTS if type(held.get(name)) is int]
    return type(value) is int and any(value > count for count in counts)


def _continuation(path: str, value: Any) -> UnreadMark | None:
    if isinstance(value, dict):
        found = (_continuation(f"{path}.{name}", value[name]) for name in NESTED if name in value)
        return next((mark for mark in found if mark is not None), None)
    if isinstance(value, str) and value.strip().lower() not in NONE:
        if value.startswith(("http://", "https://", "/", "?")):
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
