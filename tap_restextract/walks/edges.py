"""The edges of time ranges: the check that what is at a range's end is in the next one, which begins with it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from msgspec.structs import replace

from tap_restextract.plan.plan import Plan, incremental_of
from tap_restextract.walks.asking import Lacks, whole_answer
from tap_restextract.walks.boundary import Asking, ask_before, is_beyond, meets_any
from tap_restextract.walks.steps import Page, PageRequest


def check_edge(plan: Plan, asked: PageRequest, begin: Any, edge: Collection[str], source: PageRequest) -> Asking:
    """Ask for records at the begin of a time range, which the range before it showed, and which aren't in it.

    They are asked for by a range that ends with them, as many APIs refuse one that is longer than their most.

    Args:
        plan: the stream's.
        asked: the range's request.
        begin: where the range begins, which is where the one before it ends.
        edge: content hashes of the records.
        source: what asked for a page that held some of them.

    Raises:
        WalkError: where it is proven that the filter leaves them out.
    """
    assert asked.cursor is not None
    meets = meets_any(edge)
    lacks = partial(_lacks_edge, plan, asked, meets)
    if incremental_of(plan).order == "asc":
        ask = partial(whole_answer, until=partial(is_beyond, plan, asked.cursor))
        yield from ask_before(plan, asked, meets, lacks, source, begin, ask=ask)
        return
    # Of another list the edge may be on any page of the range; so what is at the edge alone is asked for.
    at_edge = replace(asked, until=begin, probe=True)
    if _lacks_whole_edge(meets, (yield from whole_answer(at_edge))):
        # A copy of the API's data may have lagged behind, and an API may take a range without length for an empty one.
        if meets((yield from whole_answer(replace(asked, probe=True), until=meets))):
            return
        yield from ask_before(plan, at_edge, meets, partial(_lacks_whole_edge, meets), source, ask=whole_answer)


def has_passed(plan: Plan, asked: PageRequest, page: Page) -> bool:
    """Return whether a page of a rising range has come beyond the edge; of ranges read at once, no page tells."""
    assert asked.cursor is not None
    rises = incremental_of(plan).order == "asc" and plan.stream.concurrency == 1
    return rises and bool(page.records) and is_beyond(plan, asked.cursor, page)


def _lacks_edge(plan: Plan, asked: PageRequest, meets: Lacks, page: Page) -> bool:
    """Return whether nothing of the edge is on a rising range's first pages, or can be on another."""
    assert asked.cursor is not None
    if meets(page):
        return False
    if page.following is None or not page.records:
        return page.following is None
    # The edge's window is the first of the range.
    return is_beyond(plan, asked.cursor, page)


def _lacks_whole_edge(meets: Lacks, answer: Page) -> bool:
    """Return whether nothing of the edge is in an answer that is whole; one that was refused has no clock."""
    return answer.server_time is not None and answer.following is None and not meets(answer)
