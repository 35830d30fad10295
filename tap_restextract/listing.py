"""A list that is followed page by page, each seam between two pages being checked.

Pages and offsets are safe only while the list stands still, and so are tokens that are an offset in disguise. So each
page is asked for again once the one behind it has come: it must hold the same records still, or they must have moved
over to the page behind, which is what records that join a list do. Records that left it would have drawn others over
the seam, unseen. Tokens that are declared stable need no check.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tap_restextract import paginators
from tap_restextract.bookmarks import Bookmark
from tap_restextract.cursor import Cursor
from tap_restextract.errors import WalkError
from tap_restextract.paginators import Continuation
from tap_restextract.plan import Plan
from tap_restextract.progress import Seen, identity, place_of
from tap_restextract.settings import SinglePage
from tap_restextract.steps import Ask, Page, Record, Step

Pages = Generator[Step, Page, Page]


class MovedSeamError(Exception):
    """The list shifted between two pages, so that a record may have slipped through: read it again from its start."""


@dataclass(slots=True)
class Listing:
    """One list, from its first page to its stated end; `ended` is true once there is nothing behind the last page."""

    plan: Plan
    start: Cursor | None
    until: Any = None
    page: Page = field(default_factory=lambda: Page(()))
    at: Continuation | None = None
    seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Seen(self.plan)

    @property
    def ended(self) -> bool:
        """Whether the API stated the end.

        Raises:
            WalkError: where the only page is as full as it can be, so that more may lie behind it.
        """
        return ended(self.plan, self.page)

    def first(self, records: Sequence[Record] = (), bookmark: Bookmark | None = None) -> Pages:
        """The list's first page; `records` and `bookmark` are written meanwhile."""
        self.page = yield Step(records, bookmark, Ask(self.start, until=self.until))
        return self.page

    def behind(self, records: Sequence[Record], bookmark: Bookmark | None = None) -> Pages:
        """The page behind the last one; what is given is written meanwhile.

        Raises:
            MovedSeamError: where the seam has moved; what was given to be written has been written.
            WalkError: where the pages go in a circle.
        """
        assert self.page.following is not None
        ahead = self.seen.new(self.page.following)
        page = yield Step(records, bookmark, Ask(self.start, ahead, self.until))
        before, self.at, at = self.page, ahead, self.at
        self.page = page
        if paginators.is_stable(self.plan.stream.paginator):
            return page
        again = yield Step(ask=Ask(self.start, at, self.until))
        moved = moved_over(self._identities(before), self._identities(page), self._identities(again))
        if moved is None:
            raise MovedSeamError
        return replace(page, records=page.records[moved:])

    def _identities(self, page: Page) -> list[object]:
        return [identity(self.plan, record) for record in page.records]


def ended(plan: Plan, page: Page) -> bool:
    """Whether a page is the last one.

    Raises:
        WalkError: where it is the only one, and as full as it can be: more may lie behind it.
    """
    paginator = plan.stream.paginator
    if isinstance(paginator, SinglePage) and paginator.limit is not None and len(page.records) >= paginator.limit:
        raise WalkError(
            f"{place_of(plan)}: the answer is full ({len(page.records)} records of at most {paginator.limit}), and there is no way to ask "
            "for what lies behind it; declare a paginator, or a larger limit that the API grants"
        )
    return page.following is None


def moved_over(before: Sequence[object], behind: Sequence[object], again: Sequence[object]) -> int | None:
    """How many records of a page moved over to the one behind it; None where others may have slipped through.

    Args:
        before: a page's records.
        behind: those of the page behind it, read next.
        again: the first page's, read once more.
    """
    left = [record for record in again if record in before]
    moved = len(before) - len(left)
    if moved == 0:
        return 0 if again == before else None
    # What joined stands before what was there; a new record at the page's end may have been drawn from the page behind.
    joined = left == before[: len(left)] and again[-1:] == left[-1:] and behind[:moved] == before[len(left) :]
    return moved if joined else None
