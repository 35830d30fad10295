"""Proofs: what shows that a probe's records aren't in a page, and are in the list, while the list changes.

A probe and the page are asked for in turn. Only records that the probe brings each time, and the page never has, are
proven to be missing; where the page is no longer what the fact is about, or an answer is a cache's, nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from tap_restextract.plan.keys import content_hash, record_identity
from tap_restextract.plan.plan import Plan, incremental_of
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.boundary import is_cached
from tap_restextract.walks.order import rank_in
from tap_restextract.walks.settling import is_settled
from tap_restextract.walks.steps import Page, PageRequest, Record, Step

ROUNDS: Final = 2
ATTEMPTS: Final = 2
"""How often a probe is sent whose answer is empty, and yet has what asks for the page behind it."""
Probing = Generator[Step, Page, None]


@dataclass(slots=True)
class Proof:
    """The proof that a probe's records aren't in a page, and are in the list.

    Attributes:
        plan: the list's.
        request: what asked for the page.
        page: the page.
        probe: what is asked besides.
        others: records of other pages of the list, which prove nothing.
        probed: what the probe was answered last.
        count: how many records are proven to be there; 0 without proof.
        clock: the Date of the last answer that had one, in seconds.
        found: what the probe's first answer held besides the page's records.
        joined_count: how many of these stood on the page once it was no longer what the fact is about.
        is_over: the page was no longer that.
    """

    plan: Plan
    request: PageRequest
    page: Page
    probe: PageRequest
    others: Sequence[Record] = ()
    probed: Page = field(default_factory=lambda: Page(()))
    count: int = 0
    clock: float | None = field(init=False)
    found: Sequence[Record] = ()
    joined_count: int = 0
    is_over: bool = False

    def __post_init__(self) -> None:
        self.clock = self.page.server_time

    def seek(self, holds: Callable[[Page], bool]) -> Probing:
        """Ask in turn for the probe and the page; `holds` says of the page that it is still what the fact is about."""
        found = yield from self._missing_in(self.page)
        self.found = [record for record in self.probed.records if content_hash(record) in found]
        for _ in range(ROUNDS):
            if not found:
                return
            again = yield Step(request=replace(self.request, probe=True))
            if not self._is_new(again):
                return
            if not holds(again):
                self.is_over = True
                self.joined_count = len(found & {*map(content_hash, again.records)})
                return
            found &= yield from self._missing_in(again)
        self.count = len(found)

    @property
    def is_open(self) -> bool:
        """Whether the probe brought records, and proves nothing of a page that is still what the fact is about."""
        return bool(self.probed.records) and not self.count and not self.is_over

    def older_count(self, read: Iterable[Sequence[Record]]) -> int:
        """Return how many of the records that were found must have been there when the page came, and weren't read."""
        if self.plan.stream.incremental is None or not self.plan.stream.primary_key or self.page.server_time is None:
            return 0
        known = identities(self.plan, (record for records in read for record in records))
        return sum(
            str(record_identity(self.plan, record)) not in known and _is_older(self.plan, self.page, record)
            for record in self.found
        )

    def _missing_in(self, page: Page) -> Generator[Step, Page, set[str]]:
        """Ask for the probe; return the content of those records in its answer that aren't in the page."""
        for _ in range(ATTEMPTS):
            self.probed = yield Step(request=self.probe)
            if not self._is_new(self.probed):
                return set()
            if self.probed.records or not _goes_on(self.probed):
                break
        held = identities(self.plan, (*page.records, *self.others))
        return {
            content_hash(record)
            for record in self.probed.records
            if str(record_identity(self.plan, record)) not in held
        }

    def _is_new(self, answer: Page) -> bool:
        """Return whether an answer is no older than the one before it, and so no cache's."""
        is_new = not is_cached(self.clock, answer)
        self.clock = answer.server_time if answer.server_time is not None else self.clock
        return is_new


def identities(plan: Plan, records: Iterable[Record]) -> set[str]:
    """Return what identifies the records, as texts."""
    return {str(record_identity(plan, record)) for record in records}


def _goes_on(page: Page) -> bool:
    """Return whether a page has what asks for the page behind it, whether or not the paginator reads it."""
    return page.following is not None or bool(page.untried) or bool(page.unread)


def _is_older(plan: Plan, page: Page, record: Record) -> bool:
    value = find(incremental_of(plan).cursor_path, record)
    value_rank = None if value is None or value is MISSING else rank_in(plan, value)
    return value_rank is not None and is_settled(plan, page.server_time, record, value_rank)
