"""Children: a list for each record of a parent stream, a sub-walk each.

Theory of operation. Each run reads the parents' list whole, its seams checked, and walks each parent's children from
that parent's own bookmark. STATE stays small whatever the number of parents: once a pass over all parents is done,
everything up to the server's clock at its start, less the lag, was read, and this `floor` is the bookmark of them all;
only parents with newer records keep one of their own. The hash cache remembers which parents were read (STATE confirms
it, as with sweeps): one that it doesn't know begins at the beginning, however old its children are, and so does one
that a pass didn't list, or that was gone. One whose children couldn't be read (a response rule takes the answer for an
empty page, or it holds an error and no records) isn't covered by the floor: it goes on from where it was. In mid-pass
the parents that are done keep their bookmarks in STATE, at most `MAX_PARENT_BOOKMARKS`; beyond it, an interrupted pass
repeats some.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from msgspec import structs
from msgspec.structs import replace

from tap_restextract.config.paginators import SinglePage
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.answer import GONE
from tap_restextract.exchange.placeholders import names
from tap_restextract.hash_cache.protocol import HashCache, Key
from tap_restextract.plan.bookmarks.children import ChildrenBookmark
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Sweep
from tap_restextract.plan.keys import key_of
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.ranges import earliest
from tap_restextract.values.cursor import Cursor, Rank, format_like, rank, resolution_of
from tap_restextract.values.cursor import floor as floor_to
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.child_keys import ChildKeys
from tap_restextract.walks.pages import (
    SEAM_ATTEMPTS,
    Listing,
    MovedSeamError,
    with_list_check,
)
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.repeated_pages import is_counted
from tap_restextract.walks.settling import horizon_at
from tap_restextract.walks.steps import Begin, Page, Record, Step, Steps, with_scope

MAX_PARENT_BOOKMARKS: Final = 300
Scope = tuple[tuple[str, Any], ...]


@dataclass(slots=True)
class ChildrenWalk:
    """The children's walks, one a parent, after the parents' own list.

    Attributes:
        plan: the children's.
        parents: the parents' plan, read whole.
        bookmark: the bookmark of the run before.
        cache: which parents were read before; None where the children have no bookmark.
        begin: makes one parent's walk.
        floor: everything before it is read once this pass is done; known when the first page of parents has come.
        listed_keys: the parents that were listed: in which reading last, and what their children are asked by.
        conflict: the parent's key that the last reading had for two parents.
        is_list_unread: the parents' list couldn't be read, so that nothing is known of the parents that it lacks.
        unread: the parents whose children couldn't be read in this pass.
        coarsest: the smallest step that the children's values show, a day or a minute; None before the first.
        gone: how many parents vanished since they were listed, of those whose walks were started.
    """

    plan: Plan
    parents: Plan
    bookmark: ChildrenBookmark
    cache: HashCache | None
    begin: Begin
    number: int = 0
    floor: Any = None
    listing: bool = False
    listed: bool = False
    waiting: deque[tuple[Key, Scope, Record]] = field(default_factory=deque)
    listed_keys: dict[Key, tuple[int, Scope]] = field(default_factory=dict)
    conflict: Key | None = None
    is_list_unread: bool = False
    bookmarks: dict[Key, CursorBookmark] = field(default_factory=dict)
    unread: set[Key] = field(default_factory=set)
    active_count: int = 0
    started_count: int = 0
    coarsest: Decimal | None = None
    gone: int = 0
    keys: ChildKeys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = ChildKeys(self.plan, self.parents)
        self.bookmarks = dict(self.bookmark.parents)
        if self.cache is not None:
            named = self.bookmark.pass_
            confirmed = named.number if named is not None and named.cache == self.cache.identity else None
            self.number = self.cache.begin(confirmed)

    def next(self) -> SubWalk | None:
        """Return the parents' list first, then each parent's walk as the parent comes."""
        if not self.listing:
            self.listing = True
            listing = with_scope(self._parents(), (), list_name=self.parents.stream.name)
            return SubWalk(self._checked(self.parents, listing), "parents")
        if not self.waiting:
            return None
        key, scope, record = self.waiting.popleft()
        own = self._checked(self.plan, self.begin(self.plan, self._bookmark(key)))
        steps = self._children(own, key, record)
        self.active_count += 1
        self.started_count += 1
        return SubWalk(with_scope(steps, scope), key)

    def _checked(self, plan: Plan, steps: Steps) -> Steps:
        """Return the steps of a list whose emptiness lets the floor pass over a parent's children."""
        return steps if self.cache is None else with_list_check(plan, steps)

    def translate(self, sub_walk: SubWalk, step: Step) -> Step:
        """Translate a sub-walk's step: the bookmark is that of all children."""
        if sub_walk.name == "parents":
            return Step((), self._bookmarks() if step.request is None and self._is_done else None, step.request)
        if isinstance(step.bookmark, CursorBookmark) and sub_walk.name not in self.unread:
            self.bookmarks.pop(sub_walk.name, None)
            self.bookmarks[sub_walk.name] = step.bookmark
        if step.request is None:
            self._finish_parent(sub_walk, read=sub_walk.name not in self.unread)
        return Step(step.records, self._bookmarks(), step.request)

    def recover(self, sub_walk: SubWalk, error: AnswerError) -> Step | None:
        """Recover from a parent that vanished since it was listed: it has no children."""
        if sub_walk.name == "parents" or error.status not in GONE:
            return None
        self.gone += 1
        self._finish_parent(sub_walk, read=False)
        self.bookmarks.pop(sub_walk.name, None)
        return Step((), self._bookmarks())

    def _children(self, steps: Steps, key: Key, parent: Record) -> Steps:
        """Yield the steps of a parent's walk: records with their parent's part, and what answers show of their facts.

        An answer that shows nothing of the children is the end where it comes behind the first of counted pages.
        """
        step, notices = next(steps), []
        while True:
            request, records = step.request, self._with_parent(parent, step.records)
            notices += [*step.notices, *filter(None, [self.keys.shared(key, records)])]
            page = yield replace(step, records=records, notices=tuple(notices))
            notices = []
            self._note_step(page)
            if page.is_unreadable and not (request and request.at is not None and is_counted(self.plan)):
                self.unread.add(key)
                notices = [] if self.cache is None else [self._unread_notice]
            # The parent stays unread, and the walks of the others go on.
            step = steps.send(replace(page, failed=False) if page.failed else page)

    @property
    def _unread_notice(self) -> str:
        return (
            f"{self._place}: the children of a parent couldn't be read: a response rule ignores the answer, or it holds an error and "
            "no records. Such a parent is read on from where it was, or from its beginning, once it can be read"
        )

    def _parents(self) -> Steps:
        """Read the parents' list; parents wait until there is room for their walks."""
        read = self._guided_list if _is_guided(self.parents) else self._paged_list
        for reading in range(SEAM_ATTEMPTS):
            try:
                self.is_list_unread = yield from read(reading)
            except MovedSeamError:
                continue
            self.listed = True
            yield Step(notices=(self._unlisted_notice,) if self.is_list_unread else ())
            return
        raise WalkError(
            f"{self._place}: the parents' list shifted between two pages each "
            f"of {SEAM_ATTEMPTS} times that it was read; ask for larger pages, or declare that its paginator is stable, where it is"
        )

    def _paged_list(self, reading: int) -> Generator[Step, Page, bool]:
        """Read the list page by page; return whether an answer showed nothing of it."""
        listing = Listing(self.parents, None)
        page = yield from listing.first_page()
        self._queue_parents(page, reading)
        while not listing.ended:
            page = yield from listing.next_page(())
            self._queue_parents(page, reading)
        return listing.page.is_unreadable and not (listing.at is not None and is_counted(self.parents))

    def _guided_list(self, reading: int) -> Generator[Step, Page, bool]:
        """Read a list in which records alone lead from page to page; return whether an answer showed nothing of it."""
        steps, is_unread = self.begin(_from_the_beginning(self.parents), None), False
        step = next(steps)
        while step.request is not None:
            page = yield Step(request=step.request, notices=step.notices)
            self._queue_parents(page, reading)
            is_unread = is_unread or page.is_unreadable
            step = steps.send(page)
        return is_unread

    @property
    def _unlisted_notice(self) -> str:
        return (
            f"{self._place}: the parents' list couldn't be read: a response rule ignores the answer, or it holds an error and no records; "
            "the bookmark of all parents stays where it was"
        )

    @property
    def _place(self) -> str:
        return f"stream {self.plan.stream.name} (children of {self.parents.stream.name})"

    def _queue_parents(self, page: Page, reading: int) -> None:
        """Queue the parents of a page that weren't listed yet.

        Raises:
            MovedSeamError: where two parents have one key, for the first time.
            WalkError: where they have it in another reading, too.
            AnswerError: where a parent lacks its key, or what its children are asked by.
        """
        self._read_clock(page.server_time)
        key_names = self.parents.stream.primary_key
        for record in page.records:
            if any(record.get(name) is None for name in key_names):
                raise AnswerError(
                    f"{self._place}: a parent has no {' or '.join(key_names)}, its primary_key, by which parents are told apart; correct "
                    "primary_key, or let the parents' request leave such records out"
                )
            key, scope = key_of(self.parents, record), scope_of(self.plan, self.parents, record)
            known = self.listed_keys.get(key)
            if known is not None and known[0] == reading and known[1] != scope:
                self._note_conflict(key)
            self.listed_keys[key] = reading, scope
            if known is None:
                self.waiting.append((key, scope, record))

    def _note_conflict(self, key: Key) -> None:
        if self.conflict == key:
            raise WalkError(
                f"{self._place}: two parents have the same primary key ({', '.join(self.parents.stream.primary_key)}), and their children are "
                f"asked for by different values of {', '.join(f'{{{name}}}' for name in self.plan.parent_names)}; correct the parents' primary_key"
            )
        # One parent that changed, and moved over a seam, may look so once.
        self.conflict = key
        raise MovedSeamError

    def _read_clock(self, server_time: float | None) -> None:
        incremental = self.plan.stream.incremental
        if self.floor is None and incremental is not None:
            bound = horizon_at(incremental, server_time, incremental.initial_value)
            if bound is None:
                raise WalkError(
                    f"{self._place}: the bookmark of all parents needs the server's clock, and its answers have no Date "
                    "header; leave `incremental` out to read all children in each run"
                )
            like = self._like
            least = incremental.initial_value
            self.floor = format_like(like, bound) if least is None or rank(least) < bound else least

    def _note_step(self, page: Page) -> None:
        """Note how coarse the children's values are: one of today stands for all of it, and isn't before now."""
        incremental = self.plan.stream.incremental
        if incremental is None or not page.records:
            return
        value = find(incremental.cursor_path, page.records[0])
        if isinstance(value, str):
            self.coarsest = max(resolution_of(value), self.coarsest or Decimal(0))

    @property
    def _like(self) -> Any:
        """A value that is written as the children's are."""
        incremental = self.plan.stream.incremental
        counted = incremental is not None and incremental.epoch is not None
        return (
            (incremental and incremental.initial_value)
            or self.bookmark.floor
            or (0 if counted else "1970-01-01T00:00:00Z")
        )

    @property
    def _whole_floor(self) -> Any:
        """The floor, less what the children's values don't show of it."""
        like = self._like
        return format_like(like, rank(floor_to(self.floor, self.coarsest or resolution_of(like))))

    def _bookmark(self, key: Key) -> CursorBookmark | None:
        """Return where a parent's walk goes on: its own bookmark, or the floor if it was read before, or None."""
        own = self.bookmark.parents.get(key)
        if own is not None or self.cache is None or self.bookmark.floor is None:
            return own
        kind = self.plan.walk.bookmark or CursorBookmark
        return kind(Cursor(self.bookmark.floor)) if self.cache.known_hashes([key]) else None

    def _finish_parent(self, sub_walk: SubWalk, *, read: bool = True) -> None:
        self.active_count -= 1
        if self.cache is None:
            return
        if not read:
            self._keep_position(sub_walk.name)
            return
        if self.cache.known_hashes([sub_walk.name]):
            self.cache.record_seen([sub_walk.name], self.number)
        else:
            self.cache.record_emitted({sub_walk.name: "read"}, self.number)

    def _keep_position(self, key: Key) -> None:
        """Keep where a parent's walk began, as nothing that came since counts."""
        self.bookmarks.pop(key, None)
        position = self._bookmark(key)
        if position is not None:
            self.bookmarks[key] = position

    def _bookmarks(self) -> ChildrenBookmark | None:
        if self.plan.stream.incremental is None:
            return None
        if self._is_done and not self.is_list_unread:
            return self._final_bookmark()
        return replace(self.bookmark, parents=_latest(self.bookmarks))

    @property
    def _is_done(self) -> bool:
        return self.listed and not self.waiting and self.active_count == 0

    def _final_bookmark(self) -> ChildrenBookmark | None:
        """Return the floor for all, and the bookmarks of those parents that have newer records."""
        if self.cache is None or self.plan.stream.incremental is None:
            return None
        if self.floor is None:
            return None
        floor = self._whole_floor
        # A parent that wasn't listed, and comes back, wasn't read up to this floor.
        self.cache.record_deleted(list(self.cache.missing(self.number)), self.number)
        self.cache.finish(self.number)
        first = rank(earliest(self.plan.stream.incremental, floor))
        newer = {
            key: bookmark
            for key, bookmark in self.bookmarks.items()
            if key in self.listed_keys and (key in self.unread or _is_newer(bookmark, first))
        }
        return ChildrenBookmark(floor, _latest(newer), Sweep(self.number, self.cache.identity))

    def _with_parent(self, parent: Record, records: Sequence[Record]) -> Sequence[Record]:
        include = self.plan.stream.include_from_parent
        if not include:
            return records
        from_parent = {f"_{self.parents.stream.name}_{name}": parent.get(name) for name in include}
        return [{**record, **from_parent} for record in records]


def _is_guided(parents: Plan) -> bool:
    """Return whether the parents' records alone lead from page to page."""
    return parents.walk.pages_follow_records and isinstance(parents.stream.paginator, SinglePage)


def _from_the_beginning(parents: Plan) -> Plan:
    """Return the parents' plan without the value that their own stream begins at, where the path doesn't need it."""
    incremental = parents.stream.incremental
    if incremental is None or any(name.startswith("cursor.") for name in names(parents.stream.path)):
        return parents
    stream = structs.replace(parents.stream, incremental=structs.replace(incremental, initial_value=None))
    return replace(parents, stream=stream)


def _is_newer(bookmark: CursorBookmark, first: Rank) -> bool:
    """Return whether a run from the floor would read records of a parent again, by its bookmark."""
    newest = bookmark.newest
    return bool(bookmark.boundary) if newest is None else rank(newest) >= first


def _latest(bookmarks: dict[Key, CursorBookmark]) -> dict[Key, CursorBookmark]:
    return dict(list(bookmarks.items())[-MAX_PARENT_BOOKMARKS:])


def scope_of(plan: Plan, parents: Plan, record: Record) -> Scope:
    """Return the values that a parent's record gives to the placeholders of its children's request.

    Raises:
        AnswerError: where it lacks one.
    """
    return tuple((name, _value(parents, name, record)) for name in plan.parent_names)


def _value(parents: Plan, name: str, record: Record) -> Any:
    path = name.removeprefix(f"parent.{parents.stream.name}.")
    value = find(path, record)
    if value is MISSING or value is None:
        raise AnswerError(
            f"stream {parents.stream.name}: a record has no {path}, which its children's request needs; correct the placeholder {{{name}}}"
        )
    return value
