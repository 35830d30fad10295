"""Records without a replication key: taken out of each page, so that walks see those alone that have a position.

Theory of operation. Such a record is refused unless `nulls` says where they stand in the list. Then each is emitted as
it comes, once by its content, and the walk is given the others; `Page.whole` has all of them, as seams between pages
are checked by what the list holds. Where `null_params` asks for them, they are left to that request.

A filter by time leaves them out, so they come while a list is read without one. Where they stand at the end of a list
that rises, the bookmark of a first run stays where it is until the end was read: a run from a bookmark in mid-list
would never see them. Where the next run reads them again, as its list has no filter either, their hashes go with the
bookmark.

An answer that has them at the other end contradicts the fact: within one page, and from page to page by stable tokens,
which name a position. A page that is counted may move between two requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.paginators import is_stable
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.null_keys import holds_first_pass
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.values.paths import Missing, find_each
from tap_restextract.walks.order import MIN_TELLING_RECORDS, is_given, no_key_text
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps

ABSENT: Final = frozenset({type(None), Missing})


def with_null_keys(plan: Plan, bookmark: Bookmark | None, steps: Steps) -> Steps:
    """Yield a walk's steps; records without replication key come out by them, and don't come to the walk.

    Raises:
        AnswerError: where there is such a record, and no fact says that there are some.
        WalkError: where they stand elsewhere than declared.
    """
    if plan.stream.incremental is None:
        return (yield from steps)
    step = next(steps)
    apart = NullKeys.resume(plan, bookmark, step.request)
    while step.request is not None:
        page = yield step
        keyed = apart.taken_from(step.request, page)
        step = apart.told(steps.send(keyed))
    yield step
    return None


class NullKeys(Struct):
    """The records without replication key of one list.

    Attributes:
        plan: the list's.
        bookmark: of the run before.
        is_whole: the list is asked for without a filter.
        known: content hashes of those that were emitted.
        here: content hashes of those that came in this run.
        taken: those of the last page that are still to be emitted.
        had_key: whether the last record of the last page has a replication key; None where there is no such page.
        has_met_key: a record with one came.
        has_met_null: one whose key is null, and not absent, came.
    """

    plan: Plan
    bookmark: CursorBookmark | None
    is_whole: bool
    known: set[str]
    here: set[str] = field(default_factory=set)
    taken: list[Record] = field(default_factory=list)
    had_key: bool | None = None
    has_met_key: bool = False
    has_met_null: bool = False

    @classmethod
    def resume(cls, plan: Plan, bookmark: Bookmark | None, request: PageRequest | None) -> NullKeys:
        """Return what is known of them before a walk's first request."""
        own = bookmark if isinstance(bookmark, CursorBookmark) else None
        is_whole = request is not None and request.cursor is None and request.until is None
        return cls(plan, own, is_whole, set() if own is None else {*own.boundary})

    def taken_from(self, request: PageRequest, page: Page) -> Page:
        """Return a page without them.

        Raises:
            AnswerError: where there is one, and no fact says so.
            WalkError: where one stands elsewhere than declared.
        """
        values = find_each(incremental_of(self.plan).cursor_path, page.records)
        has_nulls = not ABSENT.isdisjoint(map(type, values))
        if has_nulls and incremental_of(self.plan).nulls == "none":
            raise self._refusal(page.records, values)
        self._check_place(request, page.records, values)
        self.has_met_key = self.has_met_key or (len(values) > 0 and not has_nulls)
        if not has_nulls:
            return page
        keyed: list[Record] = []
        for value, record in zip(values, page.records, strict=True):
            if is_given(value):
                self.has_met_key = True
                keyed.append(record)
            else:
                self.has_met_null = self.has_met_null or value is None
                self._take(record)
        return replace(page, records=keyed, listed=page.records, length=page.counted)

    def told(self, step: Step) -> Step:
        """Return a walk's step with those that came with the last page, and with the bookmark that is true then."""
        records, self.taken = self.taken, []
        bookmark, notices = self._bookmark(step), step.notices
        if step.request is None and self._is_keyless:
            notices = (*notices, self._keyless_notice)
        if not records and bookmark is step.bookmark and notices is step.notices:
            return step
        return Step([*step.records, *records], bookmark, step.request, notices)

    def _take(self, record: Record) -> None:
        if incremental_of(self.plan).null_params is not None:
            return
        digest = content_hash(record)
        if digest not in self.known:
            self.known.add(digest)
            self.taken.append(record)
        self.here.add(digest)

    def _bookmark(self, step: Step) -> Bookmark | None:
        """Return the bookmark: none before the end of a first pass that may not have shown them; with their hashes."""
        if self.is_whole and step.request is not None and holds_first_pass(self.plan.stream):
            return None
        bookmark = step.bookmark
        if not self.here:
            return bookmark
        has_none = bookmark is None and (self.bookmark is None or self.bookmark.cursor is None)
        if has_none and step.request is None and self.plan.parent is None:
            bookmark = (self.plan.walk.bookmark or CursorBookmark)(None)
        if not isinstance(bookmark, CursorBookmark):
            return bookmark
        reads_again = bookmark.cursor is None or incremental_of(self.plan).filter == "none"
        return replace(bookmark, boundary=bookmark.boundary | self.here) if reads_again else bookmark

    def _check_place(self, request: PageRequest, records: Sequence[Record], values: Sequence[Any]) -> None:
        """Check that records without replication key stand where it is declared, within a page and behind another."""
        incremental = incremental_of(self.plan)
        if not records or incremental.order == "none" or incremental.nulls == "none":
            return
        keyed_first = incremental.nulls == "last"
        given = [*map(is_given, values)]
        # A page may begin with the last record of the page before, as that is now.
        follows = is_stable(self.plan.stream.paginator) and request.at is not None and len(given) >= MIN_TELLING_RECORDS
        place = next(
            (at for at in range(1, len(given)) if (given[at - 1], given[at]) == (not keyed_first, keyed_first)), None
        )
        if place is None and follows and (self.had_key, given[-1]) == (not keyed_first, keyed_first):
            place = len(given) - 1
        self.had_key = given[-1]
        if place is not None:
            raise self._contradiction(records[place])

    def _refusal(self, records: Sequence[Record], values: Sequence[Any]) -> AnswerError:
        given = [*map(is_given, values)]
        place = given.index(False)
        places = [name for name, at in (("first", 0), ("last", -1)) if not given[at]] if True in given else []
        return AnswerError(no_key_text(self.plan, records[place], *([places] if places else [])))

    def _contradiction(self, record: Record) -> WalkError:
        incremental, key = incremental_of(self.plan), self.plan.stream.primary_key
        named = ", ".join(f"{name} {record.get(name)!r}" for name in key)
        here, before = (
            ("one with it", "one without it") if incremental.nulls == "last" else ("one without it", "one with it")
        )
        end, other = ("behind", "first") if incremental.nulls == "last" else ("before", "last")
        return WalkError(
            f"{label_of(self.plan)}: nulls: {incremental.nulls} says that the records without {incremental.cursor_path} stand {end} all others, and {here}"
            f"{named and f' ({named})'} follows {before}; declare nulls: {other} where they stand there, or let the request sort by {incremental.cursor_path}"
        )

    @property
    def _is_keyless(self) -> bool:
        """Whether a whole list has shown that its records haven't this property at all."""
        return self.is_whole and bool(self.here) and not (self.has_met_key or self.has_met_null or self.plan.parent)

    @property
    def _keyless_notice(self) -> str:
        key = incremental_of(self.plan).cursor_path
        return f"{label_of(self.plan)}: no record of the whole list has {key}, so that each run reads all of it; correct cursor_path"
