"""Children: a list for each record of a parent stream, as a fleet.

Theory of operation. Each run reads the parents' list whole, its seams checked, and walks each parent's children from
that parent's own bookmark. STATE stays small whatever the number of parents: once a pass over all parents is done,
everything up to the server's clock at its start, less the lag, was read, and this `floor` is the bookmark of them all;
only parents with newer records keep one of their own. The hash cache remembers which parents were read (STATE confirms
it, as with sweeps): one that it doesn't know begins at the beginning, however old its children are, and so does one that
a pass didn't list. In mid-pass the
parents that are done keep their bookmarks in STATE, up to a number; beyond it, an interrupted pass repeats some.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.hash_cache.protocol import HashCache, Key
from tap_restextract.plan.bookmarks import Bookmark, Family, Sweep
from tap_restextract.plan.plan import Plan, earliest
from tap_restextract.values.cursor import Cursor, Rank, rank, written
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.pages import Listing, MovedSeamError
from tap_restextract.walks.progress import SEAM_ATTEMPTS, horizon_at
from tap_restextract.walks.protocol import Unit
from tap_restextract.walks.steps import Record, Step, Steps, asking

MOST_PARENTS: Final = 300
GONE: Final = frozenset({404, 410})
Begin = Callable[[Plan, Bookmark | None], Steps]


@dataclass(slots=True)
class Children:
    """The children's walks, one a parent, behind the parents' own list.

    Attributes:
        plan: the children's.
        parents: the parents' plan, read whole.
        family: the bookmark of the run before.
        cache: which parents were read before; None where the children have no bookmark.
        begin: makes one parent's walk.
        floor: everything before it is read once this pass is done; known when the first page of parents has come.
    """

    plan: Plan
    parents: Plan
    family: Family
    cache: HashCache | None
    begin: Begin
    number: int = 0
    floor: Any = None
    listing: bool = False
    listed: bool = False
    waiting: deque[tuple[Key, Record]] = field(default_factory=deque)
    seen: set[Key] = field(default_factory=set)
    records: dict[Unit, Record] = field(default_factory=dict)
    kept: dict[Key, Bookmark] = field(default_factory=dict)
    at_work: int = 0
    gone: int = 0

    def __post_init__(self) -> None:
        self.kept = dict(self.family.parents)
        if self.cache is not None:
            named = self.family.pass_
            confirmed = named.number if named is not None and named.cache == self.cache.identity else None
            self.number = self.cache.begin(confirmed)

    def next(self) -> Unit | None:
        """The parents' list first, then each parent as it comes."""
        if not self.listing:
            self.listing = True
            return Unit(asking(self._parents(), (), of=self.parents.stream.name), "parents")
        if not self.waiting:
            return None
        key, record = self.waiting.popleft()
        unit = Unit(asking(self.begin(self.plan, self._bookmark(key)), scope_of(self.plan, self.parents, record)), key)
        self.records[unit] = record
        self.at_work += 1
        return unit

    def taken(self, unit: Unit, step: Step) -> Step:
        """The step, its records with what they take from their parent, and the family's bookmark."""
        if unit.name == "parents":
            return Step((), self._finished() if step.ask is None and self._is_done else None, step.ask)
        if step.bookmark is not None:
            self.kept.pop(unit.name, None)
            self.kept[unit.name] = step.bookmark
        records = self._with_parent(unit, step.records)
        if step.ask is None:
            self._done(unit)
        return Step(records, self._bookmarks(), step.ask)

    def absorbs(self, unit: Unit, error: AnswerError) -> Step | None:
        """A parent that vanished since it was listed has no children."""
        if unit.name == "parents" or error.status not in GONE:
            return None
        self.gone += 1
        self._done(unit, read=False)
        return Step((), self._bookmarks())

    def _parents(self) -> Steps:
        """Read the parents' list; they wait until there is room for their walks."""
        for _ in range(SEAM_ATTEMPTS):
            listing = Listing(self.parents, None)
            try:
                page = yield from listing.first()
                self._found(page.records, page.server_time)
                while not listing.ended:
                    page = yield from listing.behind(())
                    self._found(page.records, page.server_time)
            except MovedSeamError:
                continue
            self.listed = True
            yield Step()
            return
        raise WalkError(
            f"{self._place}: the parents' list shifted between two pages each "
            f"of {SEAM_ATTEMPTS} times that it was read; ask for larger pages, or declare that its paginator is stable, where it is"
        )

    @property
    def _place(self) -> str:
        return f"stream {self.plan.stream.name} (children of {self.parents.stream.name})"

    def _found(self, records: Sequence[Record], server_time: float | None) -> None:
        incremental = self.plan.stream.incremental
        if self.floor is None and incremental is not None:
            bound = horizon_at(incremental, server_time)
            if bound is None:
                raise WalkError(
                    f"{self._place}: the bookmark of all parents needs the server's clock, and its answers have no Date "
                    "header; leave `incremental` out to read all children in each run"
                )
            like = (
                incremental.initial_value
                or self.family.floor
                or ("1970-01-01T00:00:00Z" if incremental.epoch is None else 0)
            )
            least = incremental.initial_value
            self.floor = written(like, bound) if least is None or rank(least) < bound else least
        for record in records:
            key = msgspec.json.encode([record.get(name) for name in self.parents.stream.primary_key]).decode()
            if key not in self.seen:
                self.seen.add(key)
                self.waiting.append((key, record))

    def _bookmark(self, key: Key) -> Bookmark | None:
        """Where a parent's walk goes on: its own bookmark, the family's floor if it was read before, or the beginning."""
        own = self.family.parents.get(key)
        if own is not None or self.cache is None or self.family.floor is None:
            return own
        return Bookmark(Cursor(self.family.floor)) if self.cache.known([key]) else None

    def _done(self, unit: Unit, *, read: bool = True) -> None:
        self.at_work -= 1
        del self.records[unit]
        if self.cache is None or not read:
            return
        if self.cache.known([unit.name]):
            self.cache.seen([unit.name], self.number)
        else:
            self.cache.emitted({unit.name: "read"}, self.number)

    def _bookmarks(self) -> Bookmark | None:
        if self.plan.stream.incremental is None:
            return None
        if self._is_done:
            return self._finished()
        return Bookmark(None, family=replace(self.family, parents=_latest(self.kept)))

    @property
    def _is_done(self) -> bool:
        return self.listed and not self.waiting and self.at_work == 0

    def _finished(self) -> Bookmark | None:
        """The floor for all, and the bookmarks of those parents that have newer records."""
        if self.cache is None or self.plan.stream.incremental is None:
            return None
        floor = self.floor
        if floor is None:
            return None
        # A parent that wasn't listed, and comes back, wasn't read up to this floor.
        self.cache.buried(list(self.cache.missing(self.number)), self.number)
        self.cache.finish(self.number)
        first = rank(earliest(self.plan.stream.incremental, floor))
        newer = {key: bookmark for key, bookmark in self.kept.items() if _is_newer(bookmark, first)}
        return Bookmark(None, family=Family(floor, _latest(newer), Sweep(self.number, self.cache.identity)))

    def _with_parent(self, unit: Unit, records: Sequence[Record]) -> Sequence[Record]:
        include = self.plan.stream.include_from_parent
        parent = self.records.get(unit)
        if not include or parent is None:
            return records
        taken = {f"_{self.parents.stream.name}_{name}": parent.get(name) for name in include}
        return [{**record, **taken} for record in records]


def _is_newer(bookmark: Bookmark, first: Rank) -> bool:
    """Whether a parent has records that a run from the floor would read again; one that brought nothing keeps what it had."""
    newest = bookmark.newest
    return bool(bookmark.boundary) if newest is None else rank(newest) >= first


def _latest(kept: dict[Key, Bookmark]) -> dict[Key, Bookmark]:
    return dict(list(kept.items())[-MOST_PARENTS:])


def scope_of(plan: Plan, parents: Plan, record: Record) -> tuple[tuple[str, Any], ...]:
    """The values that a parent's record gives to the placeholders of its children's request.

    Raises:
        AnswerError: where it lacks one.
    """
    return tuple((name, _value(parents, name, record)) for name in plan.parent_names)


def _value(parents: Plan, name: str, record: Record) -> Any:
    path = name.removeprefix(f"parent.{parents.stream.name}.")
    value = find(path, record)
    if value is MISSING or value is None:
        raise AnswerError(
            f"stream {parents.stream.name}: a record has no {path}, which its children's request needs; mend the placeholder {{{name}}}"
        )
    return value
