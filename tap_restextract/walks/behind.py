"""What is behind a record: the check that a compound filter compares key and tie-breaker, as declared.

Theory of operation. A compound keyset asks after each page for what is behind its last record. A filter that compares
the key alone leaves out the rest of a tie that the page's end cut, and one that reads the key in another zone leaves
out hours; the pages that come are in order all the same. What shows it is the page itself: behind a record in its
middle comes the one after it. So at the first seams of a run that question is asked once about two records that share a
key, where the page has such, and once about two others where the list seems to end, or goes on a quarter of an hour
later. An answer that begins with the key that was asked for proves the filter without a question.

A record that isn't in the answer is missing there only if it stands, unchanged, in the page before and afterwards; all
is asked in an order in which two copies of the data, that answer by turns, can't look so (see `boundary`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import measure
from tap_restextract.values.cursor import INSTANT, Cursor, Rank
from tap_restextract.walks.asking import answered
from tap_restextract.walks.boundary import is_cached
from tap_restextract.walks.filter_errors import pairs_of
from tap_restextract.walks.order import RESET, cursor_of, rank_in
from tap_restextract.walks.steps import Page, PageRequest, Record, Step

LEAST_ZONE: Final = "15m"
MIN_RECORDS: Final = 2
MAX_INCONCLUSIVE: Final = 3
"""Questions of a run, each of five answers at most."""
MAX_PAGES_FOLLOWED: Final = 3
"""Of one answer, whose page ends before the record that is asked about."""


class CompoundWatch(Struct):
    """Watches the seams of a compound keyset until an answer shows that the filter is as declared.

    Attributes:
        is_first_run: nothing of the list was read by earlier runs.
        is_proven: an answer began within the tie that was asked for, so that key and tie-breaker are compared.
        is_proven_by_key: one began with the record that was asked for, of a greater key.
        inconclusive_count: questions to which what came proved nothing.
    """

    plan: Plan
    is_first_run: bool
    is_proven: bool = False
    is_proven_by_key: bool = False
    inconclusive_count: int = 0

    def check(
        self, source: PageRequest, above: Page, ranks: Sequence[Rank | None], page: Page
    ) -> Generator[Step, Page, None]:
        """Check the seam between two pages, the later of which was asked for from the last record of the other.

        Args:
            source: what asked for the page above the seam.
            above: that page.
            ranks: of its records.
            page: the one below the seam.

        Raises:
            WalkError: where it is proven that the filter leaves out what is behind a record.
        """
        if self.is_proven or not self.plan.walk.has_compound_cursor or self.inconclusive_count == MAX_INCONCLUSIVE:
            return
        if not page.records and (page.following is not None or not self.is_first_run):
            return
        below = rank_in(self.plan, cursor_of(self.plan, page.records[0]).value) if page.records else None
        if below is not None and below == ranks[-1]:
            self.is_proven = True
            return
        # What asks for a page may do so once.
        asked = source if source.at is None else replace(source, probe=True)
        if len(ranks) < MIN_RECORDS:
            if not page.records and above.following is not None:
                yield from self._check_only(asked, above, above.following)
            return
        tied = len({*ranks}) < len(ranks)
        if not tied and (self.is_proven_by_key or not self._may_be_late(above.records[-1], ranks[-1], below)):
            return
        place = next(each for each in range(len(ranks) - 2, -1, -1) if not tied or ranks[each] == ranks[each + 1])
        if (yield from self._is_as_declared(asked, above.records[place], above.records[place + 1])):
            self.is_proven, self.is_proven_by_key = tied, True
        else:
            self.inconclusive_count += 1

    def _check_only(self, source: PageRequest, above: Page, following: Continuation) -> Generator[Step, Page, None]:
        """Check that what a token says to follow a page of one record is behind that record, where nothing else is."""
        self.inconclusive_count += 1
        more = yield Step(request=replace(source, at=following, probe=True))
        if more.records and (yield from self._is_as_declared(source, above.records[-1], more.records[0])):
            self.is_proven_by_key = True

    def _may_be_late(self, record: Record, rank: Rank | None, below: Rank | None) -> bool:
        """Return whether the list ends, or goes on so much later that the filter may have read another zone."""
        incremental = incremental_of(self.plan)
        value = cursor_of(self.plan, record).value
        is_time = incremental.epoch is not None or (isinstance(value, str) and INSTANT.match(value) is not None)
        return is_time and (below is None or rank is None or below - rank >= measure(incremental, LEAST_ZONE))

    def _is_as_declared(self, source: PageRequest, before: Record, behind: Record) -> Generator[Step, Page, bool]:
        """Ask for what is behind a record; return whether the answer holds the one behind it, and so proves the filter.

        Raises:
            WalkError: where it is proven that the filter leaves that one out.
        """
        asked = PageRequest(cursor_of(self.plan, before))
        clock: float | None = None
        for request, holds in ((asked, False), (source, True), (source, True), (asked, False), (source, True)):
            page = yield from self._answer_with(source, behind) if holds else answered(request)
            has = _holds(page, behind)
            if has != holds or not (has or self._reaches(page, behind)) or is_cached(clock, page):
                return has and not holds
            clock = page.server_time
        raise self._error(cursor_of(self.plan, before), cursor_of(self.plan, behind), source.cursor)

    def _answer_with(self, source: PageRequest, behind: Record) -> Generator[Step, Page, Page]:
        """Ask for the page that held a record, and for those behind it, as it may be shorter now than it was."""
        page = yield from answered(source)
        for _ in range(MAX_PAGES_FOLLOWED):
            if page.following is None or _holds(page, behind) or self._reaches(page, behind):
                break
            page = yield Step(request=replace(source, at=page.following, probe=True))
        return page

    def _reaches(self, page: Page, behind: Record) -> bool:
        """Return whether a record would be on this page if it were in the list."""
        if page.following is None or not page.records:
            return page.following is None
        here, last = (rank_in(self.plan, cursor_of(self.plan, record).value) for record in (behind, page.records[-1]))
        return here is None or last is None or last > here

    def _error(self, before: Cursor, behind: Cursor, source: Cursor | None) -> WalkError:
        incremental = incremental_of(self.plan)
        key, tie = incremental.cursor_path, incremental.tie_breaker
        is_tied = before.value == behind.value
        remedy = (
            f"the filter compares {key} alone: let it compare both ({key} equal, and {tie} greater), or declare filter: exclusive. Or it "
            f"reads {key} in another zone: send it in a form that names its zone"
            if is_tied
            else f"the filter begins later than it was asked to: it reads {key} in another zone (send it in a form that names its "
            "zone), or rounds it up (declare filter: inclusive, and its precision)"
        )
        return WalkError(
            f"{label_of(self.plan)}: asked for what is after ({key}, {tie}) ({before.value!r}, {before.tie!r}) ({pairs_of(self.plan, before)}), the API leaves "
            f"out the record at ({behind.value!r}, {behind.tie!r}), which stands unchanged in the answer to {pairs_of(self.plan, source)}; {remedy}; {RESET}"
        )


def _holds(page: Page, behind: Record) -> bool:
    digest = content_hash(behind)
    return any(content_hash(record) == digest for record in page.records)
