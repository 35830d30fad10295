"""Pages that are the same: what proves that an API doesn't look at what asks for the next page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from tap_restextract.config.paginators import Offset, PageNumber
from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation, Number, Start
from tap_restextract.plan.keys import record_identity
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.walks.cycles import unread_token_error
from tap_restextract.walks.steps import Page, PageRequest, Step

DISTINCT_ROUNDS: Final = 2
"""How often two pages are asked for again before they are said to be the same."""


def repeated_page_error(plan: Plan, at: Continuation | None) -> WalkError:
    """Return the error of two page numbers, two offsets or two tokens that have the same page."""
    paginator = plan.stream.paginator
    if not is_counted(plan):
        return unread_token_error(plan, "two pages hold, and did again,")
    if isinstance(paginator, Offset):
        here, sent = (
            f"pages at offset {at.offset if isinstance(at, Start) else paginator.offset} and after it",
            "offset",
        )
        named = paginator.offset_body_path or paginator.offset_param or sent
    else:
        assert isinstance(paginator, PageNumber)
        number = at.page if isinstance(at, Number) else paginator.base_page
        here, sent = f"pages {number} and {number + 1}", "page"
        named = paginator.page_body_path or paginator.page_param or sent
    if at is not None:
        cause = "the API seems to answer its last page for all after it: set total_path or has_more_path, which state the end"
    else:
        cause = (
            f"the API doesn't look at {named!r}: set {sent}_param, or {sent}_body_path, to where it expects the number"
        )
        if isinstance(paginator, PageNumber) and paginator.base_page == 0:
            cause = f"the API seems to count its pages from 1: set base_page: 1; or {cause}"
    return WalkError(f"{label_of(plan)}: {here} hold the same records, and did again; {cause}")


def check_distinct(  # noqa: PLR0913  two pages, and what asked for each
    plan: Plan,
    page: Page,
    next_page: Page,
    request: PageRequest,
    next_request: PageRequest,
    *,
    may_ask_twice: bool = False,
) -> Generator[Step, Page, None]:
    """Check that a counted page holds other records than the one before it; else ask for both again, in turn.

    A whole page of records that joins the list pushes a page to the next number, but then it isn't where it was; and
    one that leaves it pulls it back.

    Args:
        plan: the stream's.
        page: the one before.
        next_page: the page after it.
        request: what asked for `page`.
        next_request: what asked for `next_page`.
        may_ask_twice: a page that a token asks for is asked for again, too.

    Raises:
        WalkError: if the API returned the same page each time, so that paging would never end or repeat records.
    """
    if not ((is_counted(plan) or may_ask_twice) and plan.stream.primary_key and next_page.whole) or len(
        page.whole
    ) != len(next_page.whole):
        return
    if record_identity(plan, page.whole[0]) != record_identity(plan, next_page.whole[0]) or not _are_the_same(
        plan, page, next_page
    ):
        return
    for round_number in range(DISTINCT_ROUNDS):
        if round_number and not _are_the_same(plan, next_page, (yield Step(request=next_request))):
            return
        again = yield Step(request=request)
        # It is the last one now where the list has lost a page, in whose place some APIs answer the last one.
        if again.following is None or not _are_the_same(plan, again, next_page):
            return
    raise repeated_page_error(plan, request.at)


def is_counted(plan: Plan) -> bool:
    """Return whether pages are asked for by their number, or by how many records lie before them."""
    return isinstance(plan.stream.paginator, (PageNumber, Offset))


def _are_the_same(plan: Plan, one: Page, other: Page) -> bool:
    return [record_identity(plan, record) for record in one.whole] == [
        record_identity(plan, record) for record in other.whole
    ]
