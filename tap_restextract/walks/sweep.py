"""The walk of a list without order or filter: every record, compared with what the hash cache remembers.

New and changed records come out, and the keys that are gone come out as deletions: a record of its primary key and
`_sdc_deleted_at`. A deletion is emitted only where it is proven. That a key didn't come proves nothing by itself: a
record that changes while the list is read may move from pages that are still to come to those that were read, and be in
none. So the whole list must have come in one answer; or records keep their positions when they change (`fixed_order`)
and the pages can't hide a shift (stable tokens, overlapping offsets); or else each key that didn't come is looked up by
a request of its own (`lookup`). Where none of this is declared, what didn't come is counted in the log, and stays
known. A lookup that finds nothing, whatever it is asked for, would report each record that a sweep misses as deleted;
so before the first deletion of a run is believed a listed record is looked up, unless one was found before.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.config.paginators import SinglePage
from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import is_stable
from tap_restextract.exchange.request import redacted_request, request_for
from tap_restextract.exchange.validators import Validator, fingerprint, is_conditional
from tap_restextract.hash_cache.protocol import HashCache, Key
from tap_restextract.plan.bookmarks.protocol import Bookmark, Sweep
from tap_restextract.plan.bookmarks.sweeps import SweepBookmark
from tap_restextract.plan.derived import lookup_plan
from tap_restextract.plan.keys import content_hash, key_of
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.plan.tombstones import is_tombstone
from tap_restextract.walks.boundary import is_cached
from tap_restextract.walks.cycles import CycleGuard
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    check_read,
    is_last_page,
    may_overlap,
    unstable_list_error,
)
from tap_restextract.walks.repeated_pages import check_distinct
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

LOOKUP: Final = "a record by its key"
LOOKUP_ROUNDS: Final = 2
"""How often the list shows what the lookup denies, before the lookup is called wrong."""
LOOKUP_ATTEMPTS: Final = 4
"""Of finding listed records that don't change meanwhile."""
LOOKUP_DOUBTED: Final = (
    "not reported: no lookup of this run found a record, neither one of these nor one that was listed, so that it may be that nothing is found "
    "so; it may as well be that those were deleted meanwhile, so the next sweep looks again. Where this is said each time, correct `lookup`"
)


class Proof(enum.Enum):
    """Why a key that a sweep lacks is gone; its value says it to people."""

    ANSWER = "reported for what the list lacks, as one answer is the whole list"
    ORDER = "reported for what a whole reading lacks: changes don't move records, and no seam can hide one"
    LOOKUP = "reported for what a sweep lacks, once the request for that one record says that it is gone"
    NONE = (
        "not reported: a record that moves while the list is read may be in none of its pages. Declare `lookup`, how one record is asked for; "
        "or `fixed_order: true`, where changes don't move records and offsets or stable tokens lead through the list"
    )


def proof_of(plan: Plan) -> Proof:
    """Return what makes a deletion certain that a sweep of this list reports."""
    stream = plan.stream
    paginator = stream.paginator
    led = plan.walk.is_keyset
    alone = stream.incremental is None or stream.incremental.null_params is None
    if alone and isinstance(paginator, SinglePage) and paginator.limit is None and not led:
        return Proof.ANSWER
    holds = is_stable(paginator) or may_overlap(plan)
    if alone and (plan.walk.has_unique_cursor or (stream.fixed_order and holds and not led)):
        return Proof.ORDER
    return Proof.LOOKUP if stream.lookup is not None else Proof.NONE


def sweep(plan: Plan, bookmark: SweepBookmark | None, cache: HashCache, now: str) -> Comparison:
    """Return the comparison that goes on from a bookmark, its deletions as of `now` (ISO 8601)."""
    number = cache.begin(confirmed_pass(bookmark.sweep if bookmark else None, cache))
    request = fingerprint(plan.stream) if is_validated(plan) else ""
    known = cache.validator if request and cache.validator and cache.validator.request == request else None
    return Comparison(plan, cache, number, now, request=request, validator=known)


def is_validated(plan: Plan) -> bool:
    """Return whether one request is the whole list of a sweep, so that the API may answer that nothing has changed."""
    stream = plan.stream
    whole = (
        plan.walk.compares_with_cache and isinstance(stream.paginator, SinglePage) and stream.paginator.limit is None
    )
    return whole and stream.method == "GET" and stream.validator != "none" and not is_conditional(stream.headers)


def confirmed_pass(named: Sweep | None, cache: HashCache) -> int | None:
    """Return the pass that STATE confirms; None where it names another cache, or none."""
    return named.number if named is not None and named.cache == cache.identity else None


class Witnesses(Struct, frozen=True):
    """Records that the list has, by which a lookup is checked: it must find them.

    Attributes:
        request: what asked for their page.
        hashes: of their contents, by key.
        clock: the Date of the page, in seconds; None where it had none.
    """

    request: PageRequest
    hashes: Mapping[Key, str]
    clock: float | None


class Comparison(Struct):
    """One pass of the list against the cache.

    Attributes:
        null_list: a second list that belongs to the stream, and its name in requests.
        unproven: keys that didn't come and may not be gone.
        is_looking_up: a record is being looked up, so that an answer of 404 says that it is gone.
        witnesses: of the first page with records; None before it, and where nothing is looked up.
        is_lookup_doubted: no lookup found a record, so that the keys that didn't come are unproven.
        guiding_walk: the walk whose requests lead through the whole list, where pages don't lead on by themselves.
        request: the fingerprint of the one request that is the whole list; empty where there is no such one.
        validator: ETag or Last-Modified of the list: first the confirmed pass's, then this pass's.
        unchanged: the API said that nothing has changed since the confirmed pass.
    """

    plan: Plan
    cache: HashCache
    number: int
    now: str
    guiding_walk: Callable[[Plan, Bookmark | None], Steps] | None = None
    changed: int = 0
    new: int = 0
    gone: int = 0
    whole: bool = False
    null_list: tuple[Plan, str] | None = None
    unproven: int = 0
    is_looking_up: bool = False
    witnesses: Witnesses | None = None
    is_lookup_doubted: bool = False
    request: str = ""
    validator: Validator | None = None
    unchanged: bool = False

    @property
    def as_sweep(self) -> Sweep:
        """What STATE says once the pass is complete."""
        return Sweep(self.number, self.cache.identity, self.now)

    def complete(self) -> Generator[Step, Page, Sequence[Record]]:
        """Read the whole list, and report what is gone from it; return the last records, still to be written."""
        self.whole = True
        records = yield from self.read_changes()
        if self.null_list is not None:
            records = yield from self._listed(*self.null_list, records)
        if self.unchanged:
            return records
        gone = list(self.cache.missing(self.number))
        match proof_of(self.plan):
            case Proof.LOOKUP:
                gone, records = yield from self._looked_up(gone, records)
            case Proof.NONE:
                self.unproven, gone = len(gone), []
        self.cache.record_deleted(gone, self.number)
        self.gone = len(gone)
        return [*records, *(self.deletion(key) for key in gone)]

    def forget_the_missing(self) -> None:
        """Forget the keys that didn't come, so that each is emitted again if it comes back as it was."""
        self.cache.record_deleted(list(self.cache.missing(self.number)), self.number)

    def read_changes(self, records: Sequence[Record] = ()) -> Generator[Step, Page, Sequence[Record]]:
        """Read the whole list; return the last page's records, which are still to be written."""
        if self.guiding_walk is not None:
            return (yield from self._follow_guiding_walk(self.guiding_walk(self.plan, None), records))
        if self.whole and proof_of(self.plan) is Proof.ORDER and not is_stable(self.plan.stream.paginator):
            return (yield from self._checked(records))
        if self.request:
            return (yield from self._asked_once(records))
        return (yield from self._listed(self.plan, "", records))

    def _listed(self, plan: Plan, list_name: str, records: Sequence[Record]) -> Generator[Step, Page, Sequence[Record]]:
        guard = CycleGuard(plan)
        request = PageRequest(list_name=list_name)
        page = yield Step(records, None, request)
        self._keep_witnesses(request, page)
        while page.following is not None:
            next_request = PageRequest(at=guard.admit(page), list_name=list_name)
            next_page = yield Step(self._fresh(page), None, next_request)
            yield from check_distinct(plan, page, next_page, request, next_request)
            page, request = next_page, next_request
            self._keep_witnesses(request, page)
        is_last_page(plan, page)
        return self._fresh(page)

    def _asked_once(self, records: Sequence[Record]) -> Generator[Step, Page, Sequence[Record]]:
        page = yield Step(records, None, PageRequest(validator=self.validator))
        self.unchanged = page.unchanged
        if page.unchanged:
            return ()
        check_read(self.plan, page)
        self.validator = None if page.validator is None else replace(page.validator, request=self.request)
        return self._fresh(page)

    def _checked(self, records: Sequence[Record]) -> Generator[Step, Page, Sequence[Record]]:
        for _ in range(SEAM_ATTEMPTS):
            listing = Listing(self.plan, None)
            try:
                records = self._fresh((yield from listing.first_page(records)))
                while not listing.ended:
                    records = self._fresh((yield from listing.next_page(records)))
            except MovedSeamError:
                records = ()
                continue
            return records
        raise unstable_list_error(self.plan)

    def _looked_up(
        self, keys: Sequence[Key], records: Sequence[Record]
    ) -> Generator[Step, Page, tuple[list[Key], Sequence[Record]]]:
        """Ask for each record by itself; return the keys of those that are gone.

        Raises:
            WalkError: where the lookup doesn't find records that are listed either.
        """
        gone: list[Key] = []
        finds: bool | None = None
        for key in keys:
            is_there = yield from self._is_found(key, records)
            records = ()
            if is_there:
                self.cache.record_seen([key], self.number)
                finds = True
            else:
                gone.append(key)
                if finds is None:
                    finds = yield from self._finds_a_listed_one()
        if finds is False:
            self.unproven, gone = len(gone), []
        return gone, records

    def _is_found(self, key: Key, records: Sequence[Record] = ()) -> Generator[Step, Page, bool]:
        """Ask for one record by its key; return whether it is there."""
        self.is_looking_up = True
        page = yield Step(records, None, PageRequest(scope=_scope(self.plan, key), list_name=LOOKUP))
        self.is_looking_up = False
        return bool(page.records) and not is_tombstone(self.plan.stream, page.records[0])

    def _finds_a_listed_one(self) -> Generator[Step, Page, bool]:
        """Look up records that the list has, before the first deletion is believed.

        A listed record that isn't found may have been deleted since it was listed. So another one is looked up, and
        then the page is asked for again. What it shows unchanged, and each lookup denies, contradicts the lookup.

        Returns:
            Whether one of them is found, or the list has none; where it is False, nothing is known of the lookup.

        Raises:
            WalkError: where the list shows what the lookup denies, `LOOKUP_ROUNDS` times.
        """
        if self.witnesses is None:
            return True
        witnesses, strikes = self.witnesses, 0
        for _ in range(LOOKUP_ATTEMPTS):
            for key in witnesses.hashes:
                if (yield from self._is_found(key)):
                    return True
            page = yield Step(request=replace(witnesses.request, probe=True))
            if is_cached(witnesses.clock, page):
                break
            again = self._witnesses_of(witnesses.request, page)
            if again is None:
                break
            shown = {key_of(self.plan, record): content_hash(record) for record in page.records}
            if any(shown.get(key) != digest for key, digest in witnesses.hashes.items()):
                witnesses, strikes = again, 0
                continue
            strikes += 1
            if strikes == LOOKUP_ROUNDS:
                raise _lookup_error(self.plan, witnesses)
        self.is_lookup_doubted = True
        return False

    def _witnesses_of(self, request: PageRequest, page: Page) -> Witnesses | None:
        """Return the first and the last record of a page; None where it has none that can be looked up."""
        names = self.plan.stream.primary_key
        ends = {key_of(self.plan, record): record for record in (*page.records[:1], *page.records[-1:])}
        hashes = {
            key: content_hash(record)
            for key, record in ends.items()
            if not is_tombstone(self.plan.stream, record) and None not in [record.get(name) for name in names]
        }
        return Witnesses(request, hashes, page.server_time) if hashes else None

    def _keep_witnesses(self, request: PageRequest, page: Page) -> None:
        if self.whole and self.witnesses is None and self.plan.stream.lookup is not None:
            self.witnesses = self._witnesses_of(request, page)

    def _follow_guiding_walk(self, steps: Steps, records: Sequence[Record]) -> Generator[Step, Page, Sequence[Record]]:
        step = next(steps)
        while step.request is not None:
            page = yield Step(records, None, step.request)
            self._keep_witnesses(step.request, page)
            records = self._fresh(page)
            step = steps.send(page)
        return records

    def deletion(self, key: Key) -> Record:
        """Return the record that reports a deletion to a target."""
        values = msgspec.json.decode(key)
        return {**dict(zip(self.plan.stream.primary_key, values, strict=True)), "_sdc_deleted_at": self.now}

    def _fresh(self, page: Page) -> list[Record]:
        # A tombstone means what a key's absence means: in a comparison of the whole list it is one of the missing.
        listed = [record for record in page.records if not (self.whole and is_tombstone(self.plan.stream, record))]
        keyed = {key_of(self.plan, record): record for record in listed}
        hashes = {key: content_hash(record) for key, record in keyed.items()}
        if len(keyed) < len(listed):
            self._check_repeats(listed, hashes)
        known = self.cache.known_hashes(hashes.keys())
        changed = {key: digest for key, digest in hashes.items() if known.get(key) != digest}
        self.changed += len(changed.keys() & known.keys())
        self.new += len(changed.keys() - known.keys())
        self.cache.record_emitted(changed, self.number)
        self.cache.record_seen(hashes.keys() - changed.keys(), self.number)
        return [keyed[key] for key in changed]

    def _check_repeats(self, listed: Sequence[Record], hashes: Mapping[Key, str]) -> None:
        """Check that records of one answer which share a primary key are one record that is listed twice.

        Raises:
            WalkError: where their content differs: one answer has one version of a record.
        """
        names = self.plan.stream.primary_key
        differing = (record for record in listed if content_hash(record) != hashes[key_of(self.plan, record)])
        record = next((record for record in differing if not is_tombstone(self.plan.stream, record)), None)
        if record is None or None in [record.get(name) for name in names]:
            return  # whoever writes a record without a key refuses it
        shown = ", ".join(f"{name} {record.get(name)!r}" for name in names)
        raise WalkError(
            f"{label_of(self.plan)}: two records of one answer share the primary key ({shown}), and differ, so that a sweep would keep one of "
            f"them; declare what parts them, such as primary_key: [{', '.join(names)}, …]"
        )


def _scope(plan: Plan, key: Key) -> tuple[tuple[str, Any], ...]:
    """Return the placeholders' values of the request for one record."""
    values = zip(plan.stream.primary_key, msgspec.json.decode(key), strict=True)
    return tuple((f"key.{name}", value) for name, value in values)


def _lookup_error(plan: Plan, witnesses: Witnesses) -> WalkError:
    stream = lookup_plan(plan).stream
    sent = ", ".join(redacted_request(request_for(stream, None, more=_scope(plan, key))) for key in witnesses.hashes)
    return WalkError(
        f"{label_of(plan)}: the list holds records, before and afterwards, that the lookup doesn't find ({sent}; records: {stream.records}), so "
        "that what a sweep misses would be taken for deleted; correct lookup.path, lookup.params or lookup.records, or leave out lookup"
    )
