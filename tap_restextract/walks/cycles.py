"""Cycles: pages that lead back to a page that was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from tap_restextract.config.paginators import CursorToken, HeaderCursor, JsonLink
from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation, Link, Number, Start, Token
from tap_restextract.exchange.request import redacted
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.walks.steps import Page, Record

MAX_SHOWN_CHARACTERS: Final = 80
MAX_REPEATED_PAGES: Final = 10
"""Pages in a row that begin with the same record, each asked for by another token."""
MAX_REPEATED_KEYLESS_PAGES: Final = 100
"""Likewise that are the same, where records have no key, so that two pages may be alike by chance."""


class CycleGuard(Struct):
    """Remembers every token and page address of a pass, so that a cycle of any length is found.

    Attributes:
        records: the last page's that had any.
        repeat_count: how many pages in a row, up to that one, were as the page before.
    """

    plan: Plan
    continuations: set[Continuation] = field(default_factory=set)
    empty_count: int = 0
    records: Sequence[Record] = ()
    repeat_count: int = 0

    def admit(self, page: Page) -> Continuation:
        """Return the continuation behind a page, the first time that it comes.

        Raises:
            WalkError: the second time; or behind as many empty pages in a row as are allowed, or so many pages that are
                all alike.
        """
        continuation = page.following
        assert continuation is not None
        self._check_repeats(page, continuation)
        self.empty_count = 0 if page.counted else self.empty_count + 1
        if self.empty_count >= self.plan.stream.max_empty_pages:
            raise WalkError(
                f"{label_of(self.plan)}: {self.empty_count} pages in a row had no record, and each said that more follows, the last one by "
                f"{shown_continuation(continuation)}; declare empty_page: end where an empty page is the end, end_path or has_more_path where a "
                "flag says it, or a larger max_empty_pages"
            )
        if continuation in self.continuations:
            raise WalkError(
                f"{label_of(self.plan)}: the API gave the same {type(continuation).__name__.lower()} for the next page twice in one pass, after "
                f"{len(self.continuations)} others, so the pages go in a circle; check that the request sends it where the API "
                "expects it (cursor_param, cursor_body_path); where the last page has it, declare repeated_token: end, or the flag that says "
                "the end (end_path)"
            )
        self.continuations.add(continuation)
        return continuation

    def _check_repeats(self, page: Page, continuation: Continuation) -> None:
        records = page.whole
        if not records:
            return
        # With a key no two pages begin with one record, wherever the API cuts them.
        has_key = bool(self.plan.stream.primary_key)
        is_alike = records[:1] == self.records[:1] if has_key else records == self.records
        self.records = records
        if not is_alike:
            self.repeat_count = 0
            return
        self.repeat_count += 1
        most = MAX_REPEATED_PAGES if has_key else MAX_REPEATED_KEYLESS_PAGES
        if self.repeat_count >= most and isinstance(continuation, (Token, Link)):
            raise unread_token_error(self.plan, f"{self.repeat_count + 1} pages in a row begin with")


def unread_token_error(plan: Plan, found: str) -> WalkError:
    """Return the error of pages that are the same whatever token asks for them; `found` begins its sentence."""
    paginator = plan.stream.paginator
    if isinstance(paginator, CursorToken):
        name = paginator.cursor_body_path or paginator.cursor_param or "cursor"
        cause = (
            f"the API doesn't look at {name!r}: set cursor_param, or cursor_body_path, to where it expects the token"
        )
    elif isinstance(paginator, HeaderCursor):
        cause = f"the API doesn't look at {paginator.cursor_param!r}: set cursor_param to where it expects the token"
    else:
        key = "next_url_path" if isinstance(paginator, JsonLink) else "links_next_key"
        cause = f"the links lead to the page itself: set {key} to where the next page's address lies"
    return WalkError(
        f"{label_of(plan)}: {found} the same records, though each was asked for by another token or link; {cause}"
    )


def shown_continuation(continuation: Continuation) -> str:
    """Return what asks for a page as a message shows it: cut where it is long, secrets hidden."""
    match continuation:
        case Token(value):
            shown = f"the token {value!r}"
        case Link(url):
            shown = f"the link {redacted(url)}"
        case Number(page):
            shown = f"page {page}"
        case Start(offset):
            shown = f"offset {offset}"
    return shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}…"
