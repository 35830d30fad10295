"""What the simulated API does, each quirk a switch; a case is written `filter=inclusive paginator=offset late=2000`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

BASE = 3_600_000


@dataclass(frozen=True)
class Quirks:
    """What the API does; times in milliseconds.

    Attributes:
        order: how it sorts: asc, desc, none.
        hidden: where it sorts by nothing that it tells: by hash, or oldest or newest change first.
        filter: compound, inclusive, exclusive or none by `updated_at`; unique: `id` alone; sweep, traversal: no cursor.
        paginator: cursor, json_link, page_number, offset, single_page.
        stable: its tokens name a position; otherwise they are an offset in disguise.
        tick: what `updated_at` is a multiple of.
        precision: what its filter rounds down to.
        late: how long a write may take until it is seen.
        future: how far ahead of the clock some writes are dated.
        skew: how far its Date header is ahead of the clock of its data.
        clock: whether it has a Date header.
        writing: how it writes `updated_at`: Z, trimmed (no more digits than needed), epoch_ms, epoch_s, text_ms.
        zone: minutes that its time is ahead of UTC.
        unstable_ties: records of one value come in another order at each request.
        short_pages, empty_pages: pages hold fewer records than they could, or none, before the end.
        total, has_more: how an end is stated.
        duplicates: a record comes twice within a page.
        overlap: a page begins with the last record of the page before.
        window: it refuses pages that reach beyond so many records of a list; 0: never.
        cycle: after so many pages its tokens lead to the first one again; 0: never.
        expiring: tokens are refused at times, and the second time that they are used.
        ids: random, rising, or text that is sorted by a collation of the API's own.
        revive: deleted records come back.
        silent: records change and no time moves.
        nulls: some records have no time.
        initial: the configuration says where the first run begins.
        faults: answers get lost or cut, or are 429 and 5xx.
        parents: the list is one for each of so many parents, which come and go; 0: there is one list.
        step: the configuration cuts the time into ranges of so many milliseconds; 0: it doesn't.
        declared: the configuration tells of the `window`.
        ends: required: it refuses a range without an end, or with one that is to come, which the configuration says.
        concurrency: pages that are asked for at once.
        lookback: the configuration has a lookback for what is late, instead of a lag.
        audit: the configuration has the incremental list swept too, every second.
        undone: writes are taken back at times, so that the list is again what it was.
        etag: weak or strong: the answer has an ETag, by its content, and 304 where the request says that it is known.
        null_request: records without time are in no list but one of their own, which the configuration asks for.
        nulls_told: the configuration says where in the list records without time are; those that a request of its own
            asks for (`null_request`) are in the list as well.
        tie: the tie-breaker: id; rank, a unique number beside it; shared, a rank that several records have.
        first: the number of its first page, where they are counted.

    Of what follows no configuration tells; each makes one false that states a fact about it (see `lies`).

        ignored: the name of a parameter that it doesn't look at.
        renamed: where the next token or link lies instead of `next`.
        flag: has_more is inverted, missing, never or always.
        totals: the total is of the page, one short, long by a page, or missing.
        digits: milliseconds that written times are cut to, while the filter takes them whole; 0: they aren't.
        local: times are written in the zone, and no offset with them.
        misread: minutes that the filter takes a time of a request for later than it is.
        filters_by: updated, or born: when the record came.
        until_exclusive: a range's end isn't in it.
        same_ids: records share ids.
        nulls_turned: records without time are at the other end of the list.
        omits: some records are in no list.
        unmoved: records change and no time moves, though nothing else tells of the change.
        forgetful: no record is found by its id.
    """

    order: str = "asc"
    hidden: str = "hash"
    filter: str = "compound"
    paginator: str = "cursor"
    stable: bool = True
    tick: int = 1000
    precision: int = 1
    page: int = 5
    late: int = 0
    future: int = 0
    skew: int = 0
    clock: bool = True
    writing: str = "Z"
    zone: int = 0
    unstable_ties: bool = False
    short_pages: bool = False
    empty_pages: bool = False
    total: bool = False
    has_more: bool = False
    duplicates: bool = False
    overlap: bool = False
    window: int = 0
    cycle: int = 0
    expiring: bool = False
    ids: str = "random"
    revive: bool = False
    silent: bool = False
    nulls: bool = False
    initial: bool = False
    faults: bool = False
    parents: int = 0
    step: int = 0
    declared: bool = False
    ends: str = ""
    concurrency: int = 1
    lookback: bool = False
    audit: bool = False
    undone: bool = False
    etag: str = ""
    null_request: bool = False
    nulls_told: bool = field(default=False, repr=False)
    tie: str = field(default="id", repr=False)
    first: int = field(default=0, repr=False)
    ignored: str = field(default="", repr=False)
    renamed: str = field(default="", repr=False)
    flag: str = field(default="", repr=False)
    totals: str = field(default="", repr=False)
    digits: int = field(default=0, repr=False)
    local: bool = field(default=False, repr=False)
    misread: int = field(default=0, repr=False)
    filters_by: str = field(default="updated", repr=False)
    until_exclusive: bool = field(default=False, repr=False)
    same_ids: bool = field(default=False, repr=False)
    nulls_turned: bool = field(default=False, repr=False)
    omits: bool = field(default=False, repr=False)
    unmoved: bool = field(default=False, repr=False)
    forgetful: bool = field(default=False, repr=False)

    def __str__(self) -> str:
        told = {held.name: getattr(self, held.name) for held in fields(self)}
        return " ".join(
            f"{name}={int(value) if isinstance(value, bool) else value}"
            for name, value in told.items()
            if value != _DEFAULTS[name]
        )

    @property
    def counted(self) -> bool:
        """Whether pages or records are counted."""
        return self.paginator in {"page_number", "offset"}

    @property
    def tokens(self) -> bool:
        """Whether the answer holds what asks for the next page."""
        return self.paginator in {"cursor", "json_link"}

    @property
    def timeless(self) -> bool:
        """Whether the walk has no use for times."""
        return self.filter in {"unique", "sweep", "traversal"}

    @property
    def epoch(self) -> str | None:
        """The unit of a number that counts time."""
        return {"epoch_ms": "ms", "text_ms": "ms", "epoch_s": "s"}.get(self.writing)

    @property
    def ranges(self) -> bool:
        """Whether the list is read in time ranges."""
        return bool(self.step) or self.declared

    @property
    def swept(self) -> bool:
        """Whether changes come out that move no time, and deletions."""
        return self.filter == "sweep" or self.audit

    @property
    def keeps_places(self) -> bool:
        """Whether a record that changes keeps its place in the list that is swept."""
        return self.filter == "sweep" and self.order == "none" and self.hidden == "hash"

    @property
    def whole(self) -> bool:
        """Whether one answer is the whole list."""
        return self.filter == "sweep" and self.paginator == "single_page"

    @property
    def looked_up(self) -> bool:
        """Whether the configuration says how one record is asked for: where nothing else proves that it is gone."""
        return (
            self.swept
            and not self.whole
            and not (self.keeps_places and ((self.tokens and self.stable) or self.paginator == "offset"))
        )

    @property
    def nulls_at(self) -> str:
        """Where records without time are in the list."""
        if self.order == "none":
            return "last"
        return "first" if (self.order == "asc") != self.nulls_turned else "last"

    @property
    def lag(self) -> int:
        """The least lag that is honest."""
        late = (0 if self.lookback else self.late) + max(0, self.skew)
        if (self.ranges or self.parents) and (late or self.tick > 1000):
            return late + self.tick
        if self.filter == "compound" and (late or self.tick > 1000):
            return late + self.tick
        if self.order == "none" and not self.timeless and (late or self.tick > 1000):
            return late + self.tick
        if self.order == "asc" and not self.timeless and self.paginator != "single_page" and self.tick > 1000:
            return late + self.tick
        return late

    def without(self, name: str) -> Quirks:
        """The same with one quirk less."""
        return replace(self, **{name: _DEFAULTS[name]})


_DEFAULTS: dict[str, Any] = {held.name: held.default for held in fields(Quirks)}
NAMES = tuple(_DEFAULTS)


def parsed(text: str) -> Quirks:
    """The quirks that `str` wrote."""
    given: dict[str, Any] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in _DEFAULTS:
            raise ValueError(f"unknown quirk {name}; known are {', '.join(NAMES)}")
        kind = type(_DEFAULTS[name])
        given[name] = bool(int(value)) if kind is bool else kind(value)
    return Quirks(**given)
