"""Pages: what an answer is to a walk."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from tap_restextract.config.paginators import Offset, PageNumber
from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.error_texts import error_key
from tap_restextract.exchange.paginators import following, total_of
from tap_restextract.exchange.records import records_of
from tap_restextract.exchange.stated_ends import missing_records, stated_end
from tap_restextract.exchange.unread_marks import is_ignored, is_stated, unread_mark, unread_total, untried
from tap_restextract.exchange.validators import validator_of
from tap_restextract.walks.steps import Page, PageRequest

NOT_FOUND: Final = 404


def page_of(stream: StreamSettings, request: PageRequest, answer: Answer) -> Page:
    """Read the page that an answer is.

    Raises:
        AnswerError: where its records, or what its paginator needs, don't lie where the configuration says.
    """
    records, length, is_null = records_of(stream, answer)
    try:
        continuation = following(stream.paginator, answer, request.at, length)
        total = total_of(stream.paginator, answer)
    except AnswerError:
        if not request.probe:
            raise
        continuation = total = None  # behind a stated end, or before a first page, it need not be there
    fault = None if records else error_key(answer.body)
    page = Page(
        records,
        continuation,
        answer.facts.server_time,
        total,
        validator_of(stream, answer),
        length=None if length == len(records) else length,
        failed=fault is not None and not is_ignored(stream, fault),
        is_null=is_null,
    )
    return page if continuation is not None or answer.status == 204 else _last(page, stream, request, answer)


def _last(page: Page, stream: StreamSettings, request: PageRequest, answer: Answer) -> Page:
    """Return a page behind which nothing is asked for, with what its answer says of that."""
    paginator, at, length = stream.paginator, request.at, page.counted
    mark = unread_mark(stream, answer, length)
    is_known = is_ignored(stream, getattr(paginator, "total_path", None) or "")
    missing = "" if is_known else missing_records(paginator, answer, at, length)
    return replace(
        page,
        unread=mark.told if mark else "",
        end=stated_end(paginator, answer, at, length),
        untried=untried(stream, answer) if at is None or request.probe else (),
        missing=missing if missing or at is not None else unread_total(stream, answer, length),
    )


def is_behind_the_end(stream: StreamSettings, request: PageRequest, status: int | None) -> bool:
    """Return whether an answer says that there is no such page, of pages that are counted, behind the first one.

    Where a total or a flag states the end, no page behind it is asked for; and of a parent's list 404 says that the
    parent is gone.
    """
    return _has_no_page(stream, request, status) and not request.scope and not is_stated(stream.paginator)


def may_have_vanished(stream: StreamSettings, request: PageRequest, status: int | None) -> bool:
    """Return whether an answer says that there is no such page, of counted pages of which an answer states the last.

    The page before it said that more follows; where the list has shrunk since, it says otherwise now.
    """
    return _has_no_page(stream, request, status) and is_stated(stream.paginator)


def _has_no_page(stream: StreamSettings, request: PageRequest, status: int | None) -> bool:
    return (
        status == NOT_FOUND
        and isinstance(stream.paginator, (PageNumber, Offset))
        and request.at is not None
        and not request.probe
        and not any(NOT_FOUND in rule.http_codes for rule in stream.response_rules)
    )
