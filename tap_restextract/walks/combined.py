"""A combined walk: the stream's own, then the records without replication key, then a sweep where one is due.

Theory of operation. The walk's records are remembered in the hash cache as they are emitted. So a sweep at an interval
(`sweep_every`) finds exactly what the walk could not: records that changed without moving their replication key, and
deletions. What the run wrote into the cache counts once the STATE at its end comes back; a run that dies before leaves
the cache unconfirmed, and the next sweep emits some records again. Records whose replication key is null have no
position in the walk's order; a request of their own (`null_params`) reads them whole, against a part of the cache of
their own.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.answer import GONE
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Sweep
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark, SweepBookmark
from tap_restextract.plan.derived import null_key_plan
from tap_restextract.plan.keys import content_hash, key_of
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.tombstones import is_tombstone
from tap_restextract.values.cursor import precision_of, rank
from tap_restextract.values.paths import MISSING, find_each
from tap_restextract.walks.pages import with_list_check
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.steps import Begin, Page, Step, Steps, with_scope
from tap_restextract.walks.sweep import Comparison, confirmed_pass, sweep

NULLS: Final = "null replication key"


class CombinedWalk(Struct):
    """The stream's own walk and the sub-walks that follow it, one at a time.

    Attributes:
        begin: starts the stream's own walk, from a bookmark on.
        bookmark: what STATE may say, all parts of it.
        cache: remembers the walk's records, where `sweep_every` is set.
        nulls: remembers the records without replication key, where `null_params` is set.
        now: this moment, ISO 8601.
    """

    plan: Plan
    begin: Begin
    bookmark: CombinedBookmark
    cache: HashCache | None
    nulls: HashCache | None
    now: str
    number: int = 0
    started_count: int = 0
    busy: bool = False
    reconciliation: Comparison | None = None
    is_reconciliation_due: bool = False

    def __post_init__(self) -> None:
        self.is_reconciliation_due = self._is_due
        if self.cache is not None:
            self.number = self.cache.begin(confirmed_pass(self.bookmark.reconciliation, self.cache))

    def next(self) -> SubWalk | None:
        """Return the next sub-walk, when the one before has ended."""
        if self.busy or self.started_count == len(self._sub_walk_names):
            return None
        name = self._sub_walk_names[self.started_count]
        self.started_count, self.busy = self.started_count + 1, True
        steps = {"walk": self._own_steps, "nulls": self._null_steps, "reconciliation": self._reconciliation_steps}
        own = steps[name]()
        return SubWalk(own if name == "walk" else with_list_check(self.plan, own), name)

    @property
    def _sub_walk_names(self) -> list[str]:
        return [
            "walk",
            *(["nulls"] if self.nulls is not None else []),
            *(["reconciliation"] if self.is_reconciliation_due else []),
        ]

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step: STATE speaks of all parts."""
        self.busy = step.request is not None
        if sub_walk.name == "walk":
            return self._after_walk(step)
        if sub_walk.name == "nulls" and self.cache is not None:
            self._remember(step)
            if step.request is None:
                self.cache.finish(self.number)
        if not isinstance(step.bookmark, SweepBookmark):
            return step
        swept = step.bookmark.sweep
        self.bookmark = (
            replace(self.bookmark, nulls=swept)
            if sub_walk.name == "nulls"
            else replace(self.bookmark, reconciliation=swept)
        )
        return Step(step.records, self.bookmark, step.request)

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Recover from a record that is looked up and gone; its walk goes on."""
        return self.translate(sub_walk, sub_walk.steps.send(Page(()))) if _is_gone(self.reconciliation, error) else None

    def _after_walk(self, step: Step) -> Step:
        if self.cache is not None and step.records:
            self._remember(step)
        moved = step.bookmark is not None
        if isinstance(step.bookmark, CursorBookmark):
            self.bookmark = replace(self.bookmark, main=step.bookmark)
        if step.request is None and self.cache is not None:
            self.cache.finish(self.number)
            at = (
                self.bookmark.reconciliation.at
                if self.bookmark.reconciliation and self.bookmark.reconciliation.at
                else self.now
            )
            self.bookmark, moved = (
                replace(self.bookmark, reconciliation=Sweep(self.number, self.cache.identity, at)),
                True,
            )
        return Step(step.records, self.bookmark if moved else None, step.request)

    def _remember(self, step: Step) -> None:
        assert self.cache is not None
        if not step.records:
            return
        latest = {key_of(self.plan, record): record for record in step.records}
        gone = {key for key, record in latest.items() if is_tombstone(self.plan.stream, record)}
        self.cache.record_emitted(
            {key: content_hash(record) for key, record in latest.items() if key not in gone}, self.number
        )
        self.cache.record_deleted(gone, self.number)

    @property
    def _is_due(self) -> bool:
        """Whether the last sweep is an interval ago; a stream that begins now has just been read whole."""
        every = self.plan.stream.sweep_every
        if self.cache is None or every is None:
            return False
        last = self.bookmark.reconciliation
        if last is None or last.at is None:
            return self.bookmark.main.cursor is not None
        return rank(self.now) - rank(last.at) >= precision_of(every.upper().removeprefix("P").removeprefix("T").lower())

    def _own_steps(self) -> Steps:
        return self.begin(self.plan, self.bookmark.main)

    def _null_steps(self) -> Steps:
        assert self.nulls is not None
        number = self.nulls.begin(confirmed_pass(self.bookmark.nulls, self.nulls))
        steps = compare(Comparison(null_key_plan(self.plan), self.nulls, number, self.now))
        return with_scope(self._checked_nulls(steps), (), list_name=NULLS)

    def _checked_nulls(self, steps: Steps) -> Steps:
        """Yield the steps of the records without replication key, the request for them checked.

        Raises:
            WalkError: where it was answered by records with one alone, as an API does that doesn't look at it.
        """
        key, params = incremental_of(self.plan).cursor_path, incremental_of(self.plan).null_params or {}
        step, with_key, has_null = next(steps), None, False
        while step.request is not None:
            page = yield step
            for value in find_each(key, page.records):
                is_null = value is None or value is MISSING
                has_null, with_key = has_null or is_null, with_key if is_null else value
            step = steps.send(page)
        if with_key is not None and not has_null:
            raise WalkError(
                f"{label_of(self.plan)}: asked by null_params ({', '.join(params)}) for the records without {key}, the API answered records with one alone, "
                f"such as {with_key!r}; the API doesn't look at the parameters: correct null_params, or leave it out"
            )
        yield step

    def _reconciliation_steps(self) -> Steps:
        assert self.cache is not None
        # Where records alone lead from page to page, they lead through the whole list, too.
        guiding_walk = self.begin if self.plan.walk.pages_follow_records else None
        self.reconciliation = Comparison(self.plan, self.cache, self.cache.begin(self.number), self.now, guiding_walk)
        if self.nulls is not None:
            self.reconciliation.null_list = null_key_plan(self.plan), NULLS
        return compare(self.reconciliation, whole=True)


class SweepWalk(Struct):
    """A sweep as a stream's only sub-walk."""

    comparison: Comparison
    started: bool = False

    def next(self) -> SubWalk | None:
        """Return the next sub-walk, when the one before has ended."""
        if self.started:
            return None
        self.started = True
        return SubWalk(with_list_check(self.comparison.plan, compare(self.comparison, whole=True)))

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step: STATE speaks of all parts."""
        del sub_walk
        return step

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Recover from a record that is looked up and gone; its walk goes on."""
        return sub_walk.steps.send(Page(())) if _is_gone(self.comparison, error) else None


def sweep_walk(plan: Plan, bookmark: SweepBookmark | None, cache: HashCache | None, now: str) -> SweepWalk:
    """Return the sweep that goes on from a bookmark, its deletions as of `now` (ISO 8601)."""
    assert cache is not None
    return SweepWalk(sweep(plan, bookmark, cache, now))


def _is_gone(comparison: Comparison | None, error: AnswerError) -> bool:
    return comparison is not None and comparison.is_looking_up and error.status in GONE


def compare(comparison: Comparison, *, whole: bool = False) -> Steps:
    """Compare the list with the cache; only a whole list proves deletions."""
    records = yield from comparison.complete() if whole else comparison.read_changes()
    if not whole:
        comparison.forget_the_missing()
    comparison.cache.finish(comparison.number, comparison.validator)
    yield Step(records, SweepBookmark(comparison.as_sweep))
