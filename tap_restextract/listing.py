"""A list that is followed page by page, each seam between two pages being checked.

Pages and offsets are safe only while the list stands still, and so are tokens that are an offset in disguise. So an
offset is asked for one record early, and that record must be the last one of the page before; a page or token is
accepted once the page before, asked for again, holds the same records. Tokens that are declared stable need no check.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from tap_restextract import paginators
from tap_restextract.bookmarks import Bookmark
from tap_restextract.cursor import Cursor
from tap_restextract.paginators import Continuation, Start
from tap_restextract.plan import Plan
from tap_restextract.progress import Seen, identity
from tap_restextract.steps import Ask, Page, Record, Step

Pages = Generator[Step, Page, Page]


class MovedSeamError(Exception):
    """The list shifted between two pages, so that a record may have slipped through: read it again from its start."""


@dataclass(slots=True)
class Listing:
    """One list, from its first page to its stated end; `ended` is true once there is nothing behind the last page."""

    plan: Plan
    start: Cursor | None
    page: Page = field(default_factory=lambda: Page(()))
    at: Continuation | None = None
    seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Seen(self.plan)

    @property
    def ended(self) -> bool:
        """Whether the API stated the end."""
        return self.page.following is None

    def first(self, records: Sequence[Record] = (), bookmark: Bookmark | None = None) -> Pages:
        """The list's first page; `records` and `bookmark` are written meanwhile."""
        self.page = yield Step(records, bookmark, Ask(self.start))
        return self.page

    def behind(self, records: Sequence[Record], bookmark: Bookmark | None = None) -> Pages:
        """The page behind, without what overlaps.

        Raises:
            MovedSeamError: where the seam has moved; what was given to be written has been written.
            WalkError: where the pages go in a circle.
        """
        assert self.page.following is not None
        ahead = self.seen.new(self.page.following)
        if isinstance(ahead, Start) and self.page.records:
            return (yield from self._overlapping(Start(ahead.offset - 1), records, bookmark))
        page = yield Step(records, bookmark, Ask(self.start, ahead))
        if not paginators.is_stable(self.plan.stream.paginator):
            again = yield Step(ask=Ask(self.start, self.at))
            if self._identities(again) != self._identities(self.page):
                raise MovedSeamError
        self.page, self.at = page, ahead
        return page

    def _overlapping(self, ahead: Start, records: Sequence[Record], bookmark: Bookmark | None) -> Pages:
        page = yield Step(records, bookmark, Ask(self.start, ahead))
        if self._identities(page)[:1] != self._identities(self.page)[-1:]:
            raise MovedSeamError
        # Nothing but the overlap is the empty page that states the end where records are counted.
        following = page.following if len(page.records) > 1 else None
        self.page, self.at = Page(page.records, following, page.server_time), ahead
        return Page(page.records[1:], following, page.server_time)

    def _identities(self, page: Page) -> list[object]:
        return [identity(self.plan, record) for record in page.records]
