"""What `tap-restextract plan` prints: each stream's walk, why the walk is safe, when STATE moves, and two requests."""

from __future__ import annotations

import textwrap
from typing import Any

from msgspec.structs import replace
from typing_extensions import assert_never

from tap_restextract.config.paginators import (
    CursorToken,
    HeaderCursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    SinglePage,
)
from tap_restextract.exchange import paginators
from tap_restextract.exchange.auth import authenticated, secrets_of
from tap_restextract.exchange.paginators import Continuation, Link, Number, Start, Token
from tap_restextract.exchange.request import HIDDEN, Request, redacted, redacted_body, redacted_request, request_for
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.derived import feed_plan
from tap_restextract.plan.plan import NIL_UUID, Plan, incremental_of
from tap_restextract.plan.ranges import cursor_from
from tap_restextract.plan.walks import Continuing
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks.pages import undetected_shifts
from tap_restextract.walks.steps import PageRequest
from tap_restextract.walks.sweep import is_validated, proof_of
from tap_restextract.walks.table import first_request

EXAMPLE_INSTANT = "2026-01-01T00:00:00Z"
EXAMPLE_NUMBER = 1767225600


def preview(plan: Plan, bookmark: Bookmark | None) -> str:
    """Return the plan of one stream as text."""
    if not plan.walk.reads_list:
        head = [plan.stream.name, *_row("walk", plan.walk.name), *_row("safe", plan.safe_because)]
        return "\n".join(
            [*head, *_row("STATE", f"moves {plan.state_moves}"), *_row("first", "nothing: no list is asked for")]
        )
    parent = tuple((name, f"({name})") for name in plan.parent_names)
    first = replace(first_request(plan, None if parent else bookmark), scope=parent)
    second, place_or_end = _second(plan, first)
    lines = [
        plan.stream.name,
        *_row("walk", plan.walk.name),
        *_row("safe", plan.safe_because),
        *_row("STATE", f"moves {plan.state_moves}"),
        *_row("first", _line(plan, first)),
        *_row("then", f"{_line(plan, replace(second, scope=parent))}   ({place_or_end})" if second else place_or_end),
    ]
    if plan.stream.source == "webhooks":
        lines += _row("before", "what waits in the queue of webhooks comes out first")
    if plan.parent:
        lines += _row(
            "parent",
            f"{plan.parent}: its list is read whole in each run, and each of its records has a list of its own",
        )
    if shifts := undetected_shifts(plan):
        lines += _row("unless", shifts)
    if plan.walk.compares_with_cache or plan.stream.sweep_every:
        lines += _row("gone", proof_of(plan).value)
    if is_validated(plan):
        validators = "an ETag" if plan.stream.validator == "etag" else "an ETag, or else when it was modified last,"
        lines += _row(
            "304",
            f'where the API sends {validators} the next sweep asks by it, and "not modified" is a whole sweep that found nothing',
        )
    if plan.walk.follows_feed:
        events = feed_plan(plan)
        tie = _example_tie(events) if events.walk.has_compound_cursor else None
        example = PageRequest(Cursor(EXAMPLE_NUMBER, tie))
        lines += _row("events", f"{_line(events, example)}   (after an event)")
    return "\n".join(lines)


def _row(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        116,
        initial_indent=f"  {name:<7}",
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(plan: Plan, page_request: PageRequest) -> str:
    stream = plan.stream
    request = paginators.paged(
        stream.paginator,
        request_for(stream, page_request.cursor, page_request.until, page_request.scope),
        page_request.at,
    )
    secrets = secrets_of(stream)
    signed = authenticated(request, stream, HIDDEN)
    text = redacted_request(signed, secrets)
    added = [f"{name}: {_redacted_header(name, value, request, secrets)}" for name, value in signed.headers.items()]
    if request.json is not None:
        added.append(f"body {redacted_body(request.json, secrets)}")
    return text + (f"  [{'; '.join(added)}]" if added else "")


def _redacted_header(name: str, value: str, plain: Request, secrets: frozenset[str]) -> str:
    """Return a header as a person may see it: one that holds credentials, or may, hides its value."""
    harmless = {"accept", "content-type", "prefer"}
    return redacted(str(value), secrets) if name.lower() in harmless and name in plain.headers else HIDDEN


def _second(plan: Plan, first: PageRequest) -> tuple[PageRequest | None, str]:
    paginator = plan.stream.paginator
    match plan.walk.continuing:
        case Continuing.AFTER_RECORD:
            value, tie = (
                (_example(plan), _example_tie(plan)) if plan.walk.has_compound_cursor else (EXAMPLE_NUMBER, None)
            )
            return PageRequest(Cursor(value, tie)), "after a page that ends there"
        case Continuing.FROM_KEY:
            if isinstance(paginator, SinglePage) and not paginator.limit:
                return None, "nothing: one answer holds all"
            page = "an answer" if isinstance(paginator, SinglePage) else "a page"
            return PageRequest(cursor_from(incremental_of(plan), _example(plan))), f"again from {page}'s last key"
        case Continuing.NEXT_PAGE:
            at = _example_continuation(plan, first)
            return (replace(first, at=at), "the next page") if at else (None, "nothing: one answer holds all")
    assert_never(plan.walk.continuing)


def _example_continuation(plan: Plan, first: PageRequest) -> Continuation | None:
    paginator = plan.stream.paginator
    match paginator:
        case SinglePage():
            return None
        case CursorToken() | HeaderCursor():
            return Token("TOKEN")
        case JsonLink() | HeaderLink():
            return Link(request_for(plan.stream, first.cursor, first.until, first.scope).url + "?NEXT-LINK")
        case PageNumber(base_page=base):
            return Number(base + 1)
        case Offset(offset=offset, limit=limit):
            return Start(offset + limit)
    assert_never(paginator)


def _example(plan: Plan) -> Any:
    incremental = plan.stream.incremental
    assert incremental is not None
    if isinstance(incremental.initial_value, int):
        return EXAMPLE_NUMBER
    described = plan.stream.schema if isinstance(plan.stream.schema, dict) else {}
    kinds = described.get("properties", {}).get(incremental.cursor_path, {}).get("type", [])
    return EXAMPLE_NUMBER if "integer" in kinds or "number" in kinds else EXAMPLE_INSTANT


def _example_tie(plan: Plan) -> Any:
    return {0: 42, NIL_UUID: NIL_UUID}.get(plan.tie_floor, "ID")
