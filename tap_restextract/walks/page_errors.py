"""What is said of a page's facts that probes prove to be false, or that speaks against them."""

from __future__ import annotations

from tap_restextract.config.paginators import CursorToken
from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation, Number
from tap_restextract.exchange.stated_ends import StatedEnd
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.walks.cycles import shown_continuation
from tap_restextract.walks.steps import PageRequest


def end_error(plan: Plan, request: PageRequest, end: StatedEnd, count: int) -> WalkError:
    """Return the error of a page behind a stated end that holds other records."""
    here = "the first page" if request.at is None else shown_continuation(request.at)
    return WalkError(
        f"{label_of(plan)}: {here} says that it is the last one ({end.sign}), and {shown_continuation(end.behind)} behind it holds "
        f"{count} other records, and did so each time; {end.remedy}"
    )


def end_doubt(plan: Plan, request: PageRequest, end: StatedEnd, count: int) -> str:
    """Return what is told of records behind a stated end that must have been there when it was stated."""
    here = "the first page" if request.at is None else shown_continuation(request.at)
    return (
        f"{label_of(plan)}: {here} says that it is the last one ({end.sign}), and {shown_continuation(end.behind)} behind it held {count} records "
        f"that are older than that answer, and were on no page before it; {end.remedy}"
    )


def too_small_error(plan: Plan, end: StatedEnd) -> WalkError:
    """Return the error of a total that is less than what came, though a page behind it holds records."""
    return WalkError(
        f"{label_of(plan)}: {end.sign}, which is less than what came, and {shown_continuation(end.behind)} holds records, too, so it "
        f"isn't the number that total_path is for; {end.remedy}"
    )


def first_page_error(plan: Plan, at: Continuation, count: int) -> WalkError:
    """Return the error of a list that begins before its first page."""
    key, value = ("base_page", at.page) if isinstance(at, Number) else ("offset", getattr(at, "offset", 0))
    return WalkError(
        f"{label_of(plan)}: the list begins before {key}: {value + 1}: {shown_continuation(at)} holds {count} records that come before "
        f"those of the first page, and did so each time; set {key}: {value}"
    )


def shared_key_doubt(plan: Plan, at: Continuation) -> str:
    """Return what is told of a page before the first whose records share keys, so that these prove nothing."""
    names = ", ".join(plan.stream.primary_key)
    key, value = ("base_page", at.page) if isinstance(at, Number) else ("offset", getattr(at, "offset", 0))
    return (
        f"{label_of(plan)}: {shown_continuation(at)} holds records that were on no page, and two of them share the primary key ({names}), and differ, so "
        f"that nothing proves whether the list begins there; if it does, set {key}: {value}; declare what parts them, such as primary_key: [{names}, …]"
    )


def untried_error(plan: Plan, path: str, continuation: Continuation, count: int) -> WalkError:
    """Return the error of a continuation that nothing reads and that brought other records."""
    kind = type(continuation).__name__.lower()
    paginator = plan.stream.paginator
    read = getattr(paginator, "cursor_path", None) or getattr(paginator, "next_url_path", "")
    return WalkError(
        f"{label_of(plan)}: no answer has anything at {read}, and the {kind} at {path}, asked for, brought {count} other records, each "
        f"time, so that more follows what would be the end; {_remedy(kind, path)}"
    )


def untried_doubt(plan: Plan, path: str, continuation: Continuation, count: int) -> str:
    """Return what is told of a continuation that nothing reads and that brought what the page should have held."""
    kind = type(continuation).__name__.lower()
    return (
        f"{label_of(plan)}: the {kind} at {path}, which nothing reads, brought {count} records that the page beside it should have held, if it "
        f"was the last one; if it asks for the next page, {_remedy(kind, path)}, or else ignored_marks: [{path}]"
    )


def same_page_doubt(plan: Plan, path: str, continuation: Continuation) -> str:
    """Return what is told of a continuation that nothing reads, and that isn't proven to lead to another page."""
    kind, paginator = type(continuation).__name__.lower(), plan.stream.paginator
    remedy, unread = _remedy(kind, path), ""
    if isinstance(paginator, CursorToken) and kind == "token":
        name = paginator.cursor_body_path or paginator.cursor_param or "cursor"
        remedy += f", and cursor_param, or cursor_body_path, to where the API expects it, if that isn't {name!r}"
        unread = f", as where the API doesn't look at {name!r}"
    return (
        f"{label_of(plan)}: the {kind} at {path}, which nothing reads, was answered by records of which none is proven to be missing in the page "
        f"beside it{unread}; if it asks for the next page, {remedy}; or else ignored_marks: [{path}]"
    )


def _remedy(kind: str, path: str) -> str:
    return (
        f"set next_url_path: {path}, in a paginator of type json_link" if kind == "link" else f"set cursor_path: {path}"
    )
