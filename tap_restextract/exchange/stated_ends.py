"""Ends that an answer states though a page behind it can be asked for, and totals that speak of more than came.

A flag or a total says where a list ends, and the walk believes it. What it says is shown to be false only by the page
behind it, or by the answer itself, where its total is less than what it holds.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, structs

from tap_restextract.config.paginators import CursorToken, HeaderCursor, Offset, PageNumber, Paginator
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import Answer, shown
from tap_restextract.exchange.paginators import Continuation, Number, Start, following
from tap_restextract.values.paths import find

FACTS: Final = ("has_more_path", "end_path", "end_attribute", "total_path")
"""The keys of paginators that say where an end is stated."""


class StatedEnd(Struct, frozen=True):
    """An end that an answer states.

    Attributes:
        fact: the key of the paginator that says where the end is stated.
        sign: what the answer says, such as `total is 4`.
        behind: what would ask for the page behind it.
        is_too_small: the total is less than what came up to this page.
        remedy: what to set, where the page behind it has records.
    """

    fact: str
    sign: str
    behind: Continuation
    is_too_small: bool
    remedy: str


def stated_end(paginator: Paginator, answer: Answer, at: Continuation | None, count: int) -> StatedEnd | None:
    """Return the end that an answer states by a flag or a total; None where it has none, or nothing asks for more.

    Args:
        paginator: the stream's.
        answer: the last page as it came.
        at: what asked for it; None for the first page.
        count: what the API counts as records in it.
    """
    declared = [fact for fact in FACTS if getattr(paginator, fact, None) is not None]
    is_counted = isinstance(paginator, (PageNumber, Offset))
    if not declared or (is_counted and not count) or answer.status == 204:
        return None
    try:
        behind = following(structs.replace(paginator, **dict.fromkeys(declared)), answer, at, count)
        if behind is None:
            return None
        for fact in declared:
            others = dict.fromkeys(set(declared) - {fact})
            if following(structs.replace(paginator, **others), answer, at, count) is None:
                return _end(paginator, fact, answer, behind)
    except AnswerError:
        return None  # what stands where the token is looked for asks for nothing
    return None


def _end(paginator: Paginator, fact: str, answer: Answer, behind: Continuation) -> StatedEnd:
    path = getattr(paginator, fact)
    value = find(path, answer.body) if fact != "end_attribute" else None
    sign = f"the link has {path}" if fact == "end_attribute" else f"{path} is {shown(value)}"
    return StatedEnd(
        fact,
        sign,
        behind,
        fact == "total_path" and _reached(paginator, behind) > int(str(value)),
        _remedy(paginator, fact),
    )


def _reached(paginator: Paginator, behind: Continuation) -> int:
    """Return how many pages, or records, come before the page that is asked for."""
    match paginator, behind:
        case PageNumber(), Number(page):
            return page - paginator.base_page
        case Offset(), Start(offset):
            return offset - paginator.offset
    return 0


def _remedy(paginator: Paginator, fact: str) -> str:
    if fact == "total_path":
        counted = "pages" if isinstance(paginator, PageNumber) else "records"
        return f"set total_path to where the number of {counted} of the whole list lies, or leave it out, so that an empty page is the end"
    end = "a missing token" if isinstance(paginator, (CursorToken, HeaderCursor)) else "an empty page"
    if fact == "has_more_path":
        return (
            f"set has_more_path to the flag that is true where more follows, or leave it out, so that {end} is the end"
            + (
                f"; where true is the end, declare end_path: {paginator.has_more_path}"
                if isinstance(paginator, CursorToken)
                else ""
            )
        )
    return f"set {fact} to what is true on the last page alone, or leave it out, so that the last page is the one without a token or link"


def missing_records(paginator: Paginator, answer: Answer, at: Continuation | None, count: int) -> str:
    """Return in words that the total which the paginator reads speaks of more records than came; empty where not.

    One answer says both, so that no list that changes explains it: records may be hidden from this reader, or the API
    lets nobody reach them.
    """
    path: str | None = getattr(paginator, "total_path", None)
    if path is None or answer.status == 204 or (not isinstance(paginator, Offset) and at is not None):
        return ""
    total: Any = find(path, answer.body)
    reached = count
    if isinstance(paginator, Offset):
        reached += (at.offset if isinstance(at, Start) else paginator.offset) - paginator.offset
    if isinstance(paginator, PageNumber) or not str(total).isdigit() or int(total) <= reached:
        return ""
    return (
        f"the list ends after {reached} records, though {path} is {shown(total)}: the rest is hidden from this reader, or the API lets "
        f"nobody reach it; ask for less at once (step, max_window_results), or, where that is known, declare ignored_marks: [{path}]"
    )
