"""Cycles: pages that lead back to a page that was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation, Link, Number, Start, Token
from tap_restextract.exchange.request import redacted
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.walks.steps import Page

MAX_SHOWN_CHARACTERS: Final = 80


@dataclass(slots=True)
class CycleGuard:
    """Remembers every token and page address of a pass, so that a cycle of any length is found."""

    plan: Plan
    continuations: set[Continuation] = field(default_factory=set)
    empty_count: int = 0

    def admit(self, page: Page) -> Continuation:
        """Return the continuation behind a page, the first time that it comes.

        Raises:
            WalkError: the second time; or behind as many empty pages in a row as are allowed.
        """
        continuation = page.following
        assert continuation is not None
        self.empty_count = 0 if page.counted else self.empty_count + 1
        if self.empty_count >= self.plan.stream.max_empty_pages:
            raise WalkError(
                f"{label_of(self.plan)}: {self.empty_count} pages in a row had no record, and each said that more follows, the last one by "
                f"{_shown(continuation)}; declare empty_page: end where an empty page is the end, end_path or has_more_path where a "
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


def _shown(continuation: Continuation) -> str:
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
