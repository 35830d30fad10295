"""Schedules: the production walk and client against the simulated API, with writes between any two requests and deaths
at any line.

What is checked after each schedule, by the names of the promises:
    T1  once the API is quiet and one run has finished, the newest version of every record was emitted; a deletion is
        told of every record that is gone, where the walk tells them, and of no other
    T2  a run from any STATE that was ever emitted, also cut to its replication_key_value, also read by another walk,
        together with what was emitted before it, has every newest version
    T3  another run on the quiet API emits nothing, and a backfill asks no more than it must
    T4  no run asks without end; an error is a named one, and only where the quirks make the walk unsafe
"""

from __future__ import annotations

import json
import random
import traceback
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from proofs.simulate.api import EPOCH, Api, Row
from proofs.simulate.facts import INITIAL, excused, source_of
from proofs.simulate.quirks import Quirks
from proofs.simulate.transport import Told, waiting_on
from tap_restextract.errors import AnswerError, ConfigurationError, TapError
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.plan.bookmarks.state import checkpointed
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.walks import KEYSET, TRAVERSAL
from tap_restextract.walks.protocol import StreamWalk, SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Step
from tap_restextract.walks.table import stream_walk_for

State = dict[str, Any]

HOLE: Final = "hole"
FALSE_DELETION: Final = "false deletion"
UNSAFE: Final = "unsafe STATE"
REPEAT: Final = "repeat"
ENDLESS: Final = "endless"
REFUSAL: Final = "wrong refusal"
CRASH: Final = "crash"
WASTE: Final = "waste"
KINDS: Final = (HOLE, FALSE_DELETION, UNSAFE, REPEAT, ENDLESS, REFUSAL, CRASH, WASTE)
STATES_TRIED: Final = 3
WRITES_A_RUN: Final = 200  # then the list stands still, so that a walk has to end


class Killed(Exception):  # noqa: N818  it is the schedule's own doing
    """The process died here."""


class EndlessError(AssertionError):
    """A run asked more than any list of its size can need."""


@dataclass(frozen=True)
class Size:
    """A schedule's length: the most rows at its start, runs, writes between two requests; and whether processes die."""

    rows: int = 40
    runs: int = 4
    writes: int = 2
    deaths: bool = True


@dataclass
class Outcome:
    """What one schedule showed; `findings` are empty where the promises held."""

    walk: str = ""
    records: int = 0
    requests: int = 0
    runs: int = 0
    deaths: int = 0
    refused: int = 0
    worst: float = 0.0
    findings: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The kinds of findings, each once."""
        return list(dict.fromkeys(kind for kind, _ in self.findings))


@dataclass
class Output:
    """Standard output: records, and after how many of them each STATE came."""

    records: list[dict[str, Any]] = field(default_factory=list)
    states: list[tuple[int, State]] = field(default_factory=list)

    @property
    def last_state(self) -> State:
        """The STATE that the next run begins with."""
        return self.states[-1][1] if self.states else {}


@dataclass
class Flight:
    """A unit whose page is on its way, or has come, or has failed to."""

    sub_walk: SubWalk
    request: PageRequest = field(default_factory=PageRequest)
    came: Page | None = None
    fault: Exception | None = None

    def fetch(self, schedule: Schedule) -> None:
        """Get the page before it is needed."""
        try:
            self.came = schedule.fetched(self.request)
        except (TapError, EndlessError) as error:
            self.fault = error

    def page(self, schedule: Schedule) -> Page:
        """The page, now that it is needed.

        Raises:
            TapError: what kept it from coming.
        """
        came, fault, self.came, self.fault = self.came, self.fault, None, None
        if fault is not None:
            raise fault
        return schedule.fetched(self.request) if came is None else came


@dataclass
class Schedule:
    """One seed's story; `told` hears it line by line."""

    quirks: Quirks
    seed: int
    size: Size = Size()
    told: Told = None
    outcome: Outcome = field(default_factory=Outcome)
    output: Output = field(default_factory=Output)

    def play(self) -> Outcome:
        """Run it from its first write to its last check."""
        self.rng = random.Random(self.seed)
        self.api = Api(self.quirks, random.Random(self.seed + 1_000_003))
        self.api.found_parents()
        for _ in range(self.rng.randrange(self.size.rows)):
            self.api.mutate()
        if self.quirks.nulls and not self.quirks.null_request:
            self.api.give_some_no_time()
        self._tell_rows()
        try:
            self.source = source_of(self.quirks)
        except ConfigurationError as error:
            self.outcome.walk = "refused by the plan"
            self.outcome.refused += 1
            self.outcome.reasons.append(str(error))
            return self.outcome
        self.outcome.walk = self.plan.walk.name
        remembers = self.quirks.swept or (self.quirks.parents and self.quirks.filter != "traversal")
        with ExitStack() as opened:

            def cache_of(stream: str) -> SqliteHashes:
                return opened.enter_context(closing(SqliteHashes(":memory:", stream)))

            self.cache = cache_of("list") if remembers else None
            self.nulls = cache_of("list/nulls") if self.quirks.null_request else None
            opened.enter_context(waiting_on(self.api, self.rng))
            self._busy_part()
            self.api.settle()
            self.api.busy = False
            self._quiet_part()
        return self.outcome

    def _busy_part(self) -> None:
        for _ in range(self.rng.randrange(self.size.runs) if self.size.runs else 0):
            self._run(self.output.last_state, deadly=self.rng.random() < 0.7)
            for _ in range(self.rng.randrange(4)):
                self._mutate()

    def _quiet_part(self) -> None:
        story = self.output
        self._tell("quiet from here on")
        if self.rng.random() < 0.3:
            self._run(story.last_state, deadly=True)
        before = len(story.records)
        if not self._finish(story.last_state):
            return
        self._whole(story.records[before:] if self.plan.walk is TRAVERSAL else story.records, HOLE)
        self.outcome.records = len(story.records)
        # An unchanged API, some time later: what was too near the clock to be settled is settled now.
        self.api.settle()
        before = len(story.records)
        if self._run(story.last_state) and self.plan.walk is not TRAVERSAL:
            self._find(REPEAT, [f"emitted again: {record}" for record in story.records[before:]])
        self._backfill()
        states = self.rng.sample(story.states, min(STATES_TRIED, len(story.states)))
        for (count, state), way in zip(states, ("whole", "cut", "other"), strict=False):
            self._resume(story.records[:count], state, way)
        self.output = story

    def _finish(self, state: State) -> bool:
        """A run to its end; and another one, a while later, where a sweep may not have been due in it."""
        if not self._run(state):
            return False
        if not self.quirks.audit:
            return True
        self.api.settle()
        return self._run(self.output.last_state)

    def _backfill(self) -> None:
        """A first run on a quiet list: what it asks at most."""
        self._tell("a backfill")
        asked, self.output = self.api.requests, Output()
        if not self._run({}):
            return
        self._whole(self.output.records, HOLE)
        asked, rows, page = self.api.requests - asked, len(self.api.rows), self.quirks.page
        if rows >= page:
            self.outcome.worst = asked / rows
        even = not (self.quirks.short_pages or self.quirks.empty_pages or self.quirks.initial)
        if self.plan.walk is KEYSET and even and not self.quirks.parents and asked > -(-rows // page) * 1.01 + 2:
            self._find(WASTE, [f"{asked} requests for {rows} records in pages of {page}"])

    def _resume(self, before: list[dict[str, Any]], state: State, way: str) -> None:
        """A run from an earlier STATE, which may be of another walk, or keep no more than any tap's STATE does."""
        source, self.output = self.source, Output()
        if way == "cut":
            state = {key: state[key] for key in ("replication_key", "replication_key_value") if key in state}
        elif way == "other" and (other := self._other_walk()):
            quirks = self.api.quirks
            self.api.quirks = other
            self.source = source_of(other)
            self._tell(f"resumed by the walk {self.plan.walk.name}")
            if self._finish(state):
                self._whole(before + self.output.records, UNSAFE)
            self.api.quirks, self.source = quirks, source
            return
        self._tell(f"resumed from an earlier STATE, {way}")
        if self._finish(state):
            self._whole(before + self.output.records, UNSAFE)

    def _other_walk(self) -> Quirks | None:
        quirks = self.quirks
        if quirks.timeless or quirks.nulls or quirks.initial or quirks.parents or quirks.ranges or quirks.lookback:
            return None
        if quirks.audit or quirks.null_request:
            return None
        others: dict[str, dict[str, Any]] = {
            "compound": {"filter": "compound", "order": "asc", "precision": 1},
            "tokens": {"filter": "inclusive", "order": "asc", "paginator": "cursor", "stable": True},
            "restart": {"filter": "exclusive", "order": "asc", "paginator": "page_number"},
            "desc": {"filter": "inclusive", "order": "desc", "paginator": "cursor", "stable": True},
            "unordered": {"filter": "inclusive", "order": "none", "paginator": "cursor", "stable": True},
        }
        chosen = others[self.rng.choice(list(others))]
        plain: dict[str, Any] = {"duplicates": False, "overlap": False, "window": 0, "cycle": 0, "unstable_ties": False}
        return replace(self.quirks, **chosen, **plain)

    def _whole(self, records: list[dict[str, Any]], kind: str) -> None:
        truth = [row for row in self.api.truth() if self._is_wanted(row)]
        match self.plan.walk:
            case _ if self.quirks.swept:
                last = {record["id"]: record.get("rev") for record in records}
                here = {row.id: row.rev for row in truth}
                self._find(
                    kind,
                    [f"emitted last as {last.get(key)}: {row}" for row in truth if last.get(key := row.id) != row.rev],
                )
                gone = [
                    f"its deletion was not told: {key}"
                    for key, rev in last.items()
                    if rev is not None and key not in here
                ]
                self._find(kind, gone)
            case walk if walk.has_unique_cursor:
                keys = {record["id"] for record in records}
                self._find(kind, [f"never emitted: {row}" for row in truth if row.id not in keys])
            case _:
                emitted = {(record["id"], record["rev"]) for record in records}
                self._find(kind, [f"never emitted: {row}" for row in truth if (row.id, row.rev) not in emitted])

    def _is_wanted(self, row: Row) -> bool:
        if row.updated is None:
            return self.quirks.null_request or not any("it is null" in reason for reason in self.outcome.reasons)
        return not self.quirks.initial or self.quirks.timeless or row.updated >= INITIAL

    def _find(self, kind: str, texts: list[str]) -> None:
        self.outcome.findings += [(kind, text) for text in texts]
        for text in texts:
            self._tell(f"{kind.upper()}: {text}")

    def _run(self, state: State, *, deadly: bool = False) -> bool:
        """One run of the tap; whether it finished."""
        self.left = self.rng.randrange(60) if deadly and self.size.deaths else None
        self.allowed = (
            200 + 60 * len(self.api.parents) + 20 * (len(self.api.rows) + (WRITES_A_RUN if self.api.busy else 0))
        )
        self.written_meanwhile = 0
        self.begun_at = self.api.now
        self.outcome.runs += 1
        asked = self.api.requests
        self._tell(f"a run from {_written(state) if self.told is not None else ''}")
        try:
            self._drive(state)
        except Killed:
            self._tell("killed")
            self.outcome.deaths += 1
            return False
        except EndlessError as error:
            self._find(ENDLESS, [str(error)])
            return False
        except TapError as error:
            self._tell(f"refused: {error}")
            self.outcome.reasons.append(str(error))
            self.outcome.refused += 1
            if not excused(self.api.quirks, self.api, str(error), busy=self.api.busy):
                self._find(REFUSAL, [str(error)])
            return False
        except Exception:  # noqa: BLE001  whatever it is, it is a finding
            self._find(CRASH, [traceback.format_exc()])
            return False
        finally:
            self.outcome.requests += self.api.requests - asked
        self._tell("finished")
        return True

    def _drive(self, state: State) -> None:
        """What the tap's driver does, in one thread: a page may come before the step that asked for it is written."""
        for client in self.source.clients.values():
            client.use(self.api, self.rng, self.told)
        stream_walk = stream_walk_for(
            self.plan,
            self.source.bookmark(state),
            parents=self.source.parents,
            cache=self.cache,
            nulls=self.nulls,
            now=(EPOCH + timedelta(milliseconds=self.api.now)).isoformat(),
        )
        flying: list[Flight] = []
        while True:
            while len(flying) < self.concurrency and (sub_walk := stream_walk.next()) is not None:
                state = self._advance(stream_walk, Flight(sub_walk), next(sub_walk.steps), flying, state)
            if not flying:
                return
            flight = flying.pop(self.rng.randrange(len(flying)))
            try:
                page = flight.page(self)
            except AnswerError as error:
                step = stream_walk.recover(flight.sub_walk, error)
                if step is None:
                    raise
                if step.request is not None:
                    flight.request = step.request
                    flying.append(flight)
                state = self._write(step, state)
            else:
                state = self._advance(stream_walk, flight, flight.sub_walk.steps.send(page), flying, state)

    def _advance(
        self, stream_walk: StreamWalk, flight: Flight, step: Step, flying: list[Flight], state: State
    ) -> State:
        if step.request is not None:
            flight.request = step.request
            flying.append(flight)
        step = stream_walk.translate(flight.sub_walk, step)
        if step.request is not None and self.rng.random() < 0.5:
            flight.fetch(self)
        return self._write(step, state)

    def fetched(self, ask: PageRequest) -> Page:
        """The page, others writing meanwhile."""
        if self.api.busy and self.size.writes and self.written_meanwhile < WRITES_A_RUN:
            for _ in range(self.rng.choice([0, 0, 1, self.size.writes])):
                self._mutate()
                self.written_meanwhile += 1
        self.allowed -= 1
        if self.allowed < 0:
            raise EndlessError(f"{self.api.requests} requests for {len(self.api.rows)} records")
        page = self.source.clients[ask.list_name].page(ask)
        self.api.pass_time()
        return page

    def _write(self, step: Step, state: State) -> State:
        for record in step.records:
            self._die_here()
            if self.told is not None:
                self._tell(f"wrote {_written(dict(record))}")
            self.output.records.append(dict(record))
            self._check_deletion(record)
        if step.bookmark is None:
            return state
        self._die_here()
        after = checkpointed(self.plan, state, step.bookmark)
        if self.told is not None:
            self._tell(f"wrote STATE {_written(after)}")
        self.output.states.append((len(self.output.records), after))
        return after

    def _check_deletion(self, record: Any) -> None:
        row = self.api.rows.get(record["id"])
        if "_sdc_deleted_at" in record and row is not None and row.born <= self.begun_at:
            self._find(FALSE_DELETION, [f"it was there all the time: {row}"])

    def _die_here(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    @property
    def plan(self) -> Plan:
        """The stream's walk."""
        return self.source.plan

    @property
    def concurrency(self) -> int:
        """Pages on their way at once."""
        return self.plan.stream.concurrency

    def _mutate(self) -> None:
        before = dict(self.api.rows) if self.told is not None else {}
        self.api.mutate()
        for key, row in self.api.rows.items() if self.told is not None else ():
            if before.get(key) != row:
                self._tell(f"changed {_row(row)}")
        for key in before.keys() - self.api.rows.keys():
            self._tell(f"deleted {key}")

    def _tell_rows(self) -> None:
        rows = self.api.rows.values() if self.told is not None else ()
        for row in sorted(rows, key=lambda row: (row.updated or 0, self.api.collated(row.id))):
            self._tell(f"there is {_row(row)}")

    def _tell(self, line: str) -> None:
        if self.told is not None:
            self.told(f"{self.api.now} {line}")


def _row(row: Row) -> str:
    return f"{row.id}@{row.updated}#{row.rev}, seen from {row.visible}"


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)
