"""A stream that is read in turns: its walk, then the records that have no replication key, then perhaps a sweep.

Theory of operation. The walk's records are remembered in the hash cache as they are emitted. So a sweep at an interval
(`sweep_every`) finds exactly what the walk could not: records that changed without moving their replication key, and
deletions. What the run wrote into the cache counts once the STATE at its end comes back; a run that dies before leaves
the cache unconfirmed, and the next sweep tells some records again. Records whose replication key is null have no place
in the walk's order; a request of their own (`null_params`) reads them whole, against a part of the cache of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from tap_restextract.errors import AnswerError
from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks import Bookmark, Sweep, content_hash
from tap_restextract.plan.plan import Plan, Walk
from tap_restextract.plan.tombstones import is_tombstone
from tap_restextract.values.cursor import precision_of, rank
from tap_restextract.walks import ascending
from tap_restextract.walks.protocol import Unit
from tap_restextract.walks.steps import Page, Step, Steps, asking
from tap_restextract.walks.sweep import GONE, Comparison, confirmed, key_of

NULLS: Final = "null replication key"
# Where pages are asked for by the last record of the one before, and by nothing else, the whole list is read so too.
_READ_BY: Final[Mapping[Walk, Callable[[Plan, Bookmark | None], Steps]]] = {
    Walk.KEYSET: ascending.keyset,
    Walk.UNIQUE_KEYSET: ascending.keyset,
    Walk.SINGLE: ascending.single,
}


@dataclass(slots=True)
class Turns:
    """The stream's walk and what follows it, one at a time.

    Attributes:
        walk: the stream's own.
        held: what STATE may say, all parts of it.
        cache: remembers the walk's records, where `sweep_every` is set.
        nulls: remembers the records without replication key, where `null_params` is set.
        now: this moment, ISO 8601.
    """

    plan: Plan
    walk: Steps
    held: Bookmark
    cache: HashCache | None
    nulls: HashCache | None
    now: str
    number: int = 0
    turn: int = 0
    busy: bool = False
    audit: Comparison | None = None
    due: bool = False

    def __post_init__(self) -> None:
        self.due = self._is_due
        if self.cache is not None:
            self.number = self.cache.begin(confirmed(self.held.audit, self.cache))

    def next(self) -> Unit | None:
        """The walk, then each turn behind it, when the one before has ended."""
        if self.busy or self.turn == len(self._turns):
            return None
        name = self._turns[self.turn]
        self.turn, self.busy = self.turn + 1, True
        return Unit({"walk": lambda: self.walk, "nulls": self._null_steps, "audit": self._audit_steps}[name](), name)

    @property
    def _turns(self) -> list[str]:
        return ["walk", *(["nulls"] if self.nulls is not None else []), *(["audit"] if self.due else [])]

    def taken(self, unit: Unit, step: Step) -> Step:
        """The step, with what STATE may say of all parts."""
        self.busy = step.ask is not None
        if unit.name == "walk":
            return self._walked(step)
        if unit.name == "nulls" and self.cache is not None:
            self._remember(step)
            if step.ask is None:
                self.cache.finish(self.number)
        if step.bookmark is None:
            return step
        named = step.bookmark.sweep
        self.held = replace(self.held, nulls=named) if unit.name == "nulls" else replace(self.held, audit=named)
        return Step(step.records, self.held, step.ask)

    def absorbs(self, unit: Unit, error: AnswerError) -> Step | None:
        """A record that is looked up and gone; its walk goes on."""
        return self.taken(unit, unit.steps.send(Page(()))) if _is_gone(self.audit, error) else None

    def _walked(self, step: Step) -> Step:
        if self.cache is not None and step.records:
            self._remember(step)
        moved = step.bookmark is not None
        if step.bookmark is not None:
            self.held = replace(step.bookmark, audit=self.held.audit, nulls=self.held.nulls)
        if step.ask is None and self.cache is not None:
            self.cache.finish(self.number)
            at = self.held.audit.at if self.held.audit and self.held.audit.at else self.now
            self.held, moved = replace(self.held, audit=Sweep(self.number, self.cache.identity, at)), True
        return Step(step.records, self.held if moved else None, step.ask)

    def _remember(self, step: Step) -> None:
        assert self.cache is not None
        if not step.records:
            return
        latest = {key_of(self.plan, record): record for record in step.records}
        gone = {key for key, record in latest.items() if is_tombstone(self.plan.stream, record)}
        self.cache.emitted(
            {key: content_hash(record) for key, record in latest.items() if key not in gone}, self.number
        )
        self.cache.buried(gone, self.number)

    @property
    def _is_due(self) -> bool:
        """Whether the last sweep is an interval ago; a stream that begins now has just been read whole."""
        every = self.plan.stream.sweep_every
        if self.cache is None or every is None:
            return False
        audit = self.held.audit
        if audit is None or audit.at is None:
            return self.held.cursor is not None
        return rank(self.now) - rank(audit.at) >= precision_of(
            every.upper().removeprefix("P").removeprefix("T").lower()
        )

    def _null_steps(self) -> Steps:
        assert self.nulls is not None
        number = self.nulls.begin(confirmed(self.held.nulls, self.nulls))
        steps = compared(Comparison(of_nulls(self.plan), self.nulls, number, self.now))
        return asking(steps, (), of=NULLS)

    def _audit_steps(self) -> Steps:
        assert self.cache is not None
        self.audit = Comparison(
            self.plan, self.cache, self.cache.begin(self.number), self.now, _READ_BY.get(self.plan.walk)
        )
        if self.nulls is not None:
            self.audit.beside = of_nulls(self.plan), NULLS
        return compared(self.audit, whole=True)


def of_nulls(plan: Plan) -> Plan:
    """The plan of the records that have no replication key: all that `null_params` asks for."""
    incremental = plan.stream.incremental
    assert incremental is not None
    params = {**plan.stream.params, **(incremental.null_params or {})}
    return Plan(structs.replace(plan.stream, params=params, incremental=None, sweep=True), Walk.SWEEP)


@dataclass(slots=True)
class Sweeping:
    """A sweep as a fleet of one."""

    comparison: Comparison
    started: bool = False

    def next(self) -> Unit | None:
        """The sweep, once."""
        if self.started:
            return None
        self.started = True
        return Unit(compared(self.comparison, whole=True))

    def taken(self, unit: Unit, step: Step) -> Step:
        """The step as it is."""
        del unit
        return step

    def absorbs(self, unit: Unit, error: AnswerError) -> Step | None:
        """A record that is looked up and gone; the sweep goes on."""
        return unit.steps.send(Page(())) if _is_gone(self.comparison, error) else None


def _is_gone(comparison: Comparison | None, error: AnswerError) -> bool:
    return comparison is not None and comparison.looking and error.status in GONE


def compared(comparison: Comparison, *, whole: bool = False) -> Steps:
    """The list against the cache; deletions are told of a whole one alone."""
    records = yield from comparison.complete() if whole else comparison.passed()
    if not whole:
        comparison.forget_the_missing()
    comparison.cache.finish(comparison.number, comparison.validator)
    yield Step(records, Bookmark(None, sweep=comparison.named))
