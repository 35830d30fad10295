"""Schedules: the production walk against the simulated API, with writes between any two requests and deaths at any line.

What is checked after each schedule, by the names of the promises:
    T1  once the API is quiet and one run has finished, the newest version of every record was emitted
    T2  a run from any STATE that was ever emitted, together with what was emitted before it, has every newest version
    T3  another run on the quiet API emits nothing
    T4  no run asks without end; an error is a named one, and only where the quirks make the walk unsafe
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tap_restextract.bookmarks import checkpointed, from_state
from tap_restextract.client import page_of
from tap_restextract.errors import WalkError
from tap_restextract.hashes.sqlite import SqliteHashes
from tap_restextract.paginators import paged
from tap_restextract.plan import plan_for
from tap_restextract.request import request_for
from tap_restextract.settings import StreamSettings, read
from tap_restextract.steps import Page, Step
from tap_restextract.walk import walk
from tests.simulator.api import Api, Quirks

State = dict[str, Any]


class Killed(Exception):  # noqa: N818  it is the schedule's own doing
    """The process died here."""


class EndlessError(AssertionError):
    """A run asked more than any list of its size can need."""


@dataclass
class Outcome:
    """What one schedule showed; every list of findings is empty where the promises held."""

    records: int = 0
    requests: int = 0
    refused: int = 0
    worst: float = 0.0
    holes: list[str] = field(default_factory=list)
    unsafe_states: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether a promise broke."""
        return bool(self.holes or self.unsafe_states or self.repeats or self.endless)


@dataclass
class Output:
    """Standard output: records, and after how many of them each STATE came."""

    records: list[dict[str, Any]] = field(default_factory=list)
    states: list[tuple[int, State]] = field(default_factory=list)


def settings_for(quirks: Quirks, **facts: Any) -> StreamSettings:
    """The stream's configuration that states the quirks' facts honestly."""
    paginators: dict[str, dict[str, Any]] = {
        "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "token", "stable": quirks.stable},
        "json_link": {"type": "json_link", "next_url_path": "next", "stable": quirks.stable},
        "page_number": {"type": "page_number", **({"total_path": "total"} if quirks.total else {})},
        "offset": {"type": "offset", "limit": quirks.page, **({"total_path": "total"} if quirks.total else {})},
        "single_page": {"type": "single_page", "limit": quirks.page},
    }
    paginator = paginators[quirks.paginator] | (
        {"has_more_path": "has_more"}
        if quirks.has_more and quirks.paginator in {"page_number", "offset", "cursor"}
        else {}
    )
    stream: dict[str, Any]
    if quirks.filter == "sweep":
        stream = {
            "name": "list",
            "path": "/list",
            "records": "data",
            "primary_key": ["id"],
            "sweep": True,
            "paginator": paginator,
        }
        (read_stream,) = read({"base_url": "http://api", "streams": [stream]})
        return read_stream
    if quirks.filter == "unique":
        incremental: dict[str, Any] = {"cursor_path": "id", "order": "asc", "filter": "exclusive"}
        params = {"after": "{cursor.id}"}
    else:
        incremental = {"cursor_path": "updated_at", "order": quirks.order, "filter": quirks.filter}
        params = {} if quirks.filter == "none" else {"since": "{cursor.updated_at}"}
        if quirks.filter == "compound":
            incremental["tie_breaker"] = "id"
            params["after"] = "{cursor.id}"
        if quirks.order == "desc" and not quirks.unstable_ties:
            incremental["tie_breaker"] = "id"
        if quirks.precision > 1:
            incremental["precision"] = f"{quirks.precision}ms" if not quirks.epoch else str(quirks.precision)
        if quirks.late:
            incremental["lag"] = f"{quirks.late + quirks.tick}ms"
        if quirks.lookback:
            incremental["lookback"] = f"{quirks.lookback}ms"
        if quirks.epoch:
            incremental["epoch"] = "ms"
    incremental |= facts
    schema = {"properties": {"id": {"type": "integer"}}}
    stream = {
        "name": "list",
        "path": "/list",
        "records": "data",
        "primary_key": ["id"],
        "params": params,
        "schema": schema,
    }
    (read_stream,) = read(
        {"base_url": "http://api", "streams": [{**stream, "paginator": paginator, "incremental": incremental}]}
    )
    return read_stream


@dataclass
class Schedule:
    """One seed's story."""

    quirks: Quirks
    seed: int
    runs: int = 4
    rows: int = 40
    outcome: Outcome = field(default_factory=Outcome)
    output: Output = field(default_factory=Output)

    def play(self) -> Outcome:
        """Run it from its first write to its last check."""
        self.rng = random.Random(self.seed)
        self.api = Api(self.quirks, self.rng)
        self.cache = SqliteHashes(":memory:", "list") if self.quirks.filter == "sweep" else None
        self.plan = plan_for(settings_for(self.quirks), {"properties": {"id": {"type": "integer"}}})
        for _ in range(self.rng.randrange(self.rows)):
            self.api.mutate()
        for _ in range(self.rng.randrange(self.runs)):
            self._run(self._last_state, deadly=self.rng.random() < 0.7, busy=True)
            for _ in range(self.rng.randrange(4)):
                self.api.mutate()
        self.api.settle()
        self._checks()
        return self.outcome

    @property
    def _last_state(self) -> State:
        return self.output.states[-1][1] if self.output.states else {}

    def _checks(self) -> None:
        story = self.output
        if not self._run(self._last_state, deadly=False, busy=False):
            return
        self._whole(story.records, self.outcome.holes)
        # An unchanged API, some time later: what was too near the clock to be settled is settled now.
        self.api.settle()
        before = len(story.records)
        self._run(self._last_state, deadly=False, busy=False)
        self.outcome.repeats += [f"emitted again: {record}" for record in story.records[before:]]
        self.outcome.records = before
        for count, state in self.rng.sample(story.states, min(3, len(story.states))):
            self.output = Output()
            if self._run(state, deadly=False, busy=False):
                self._whole(story.records[:count] + self.output.records, self.outcome.unsafe_states)
        self.output = story

    def _whole(self, records: list[dict[str, Any]], findings: list[str]) -> None:
        if self.quirks.filter == "sweep":
            last = {record["id"]: record.get("rev") for record in records}
            truth = {key: row["rev"] for key, row in self.api.truth().items()}
            findings += [
                f"emitted last as {last.get(key)}, is {rev}: {key}"
                for key, rev in truth.items()
                if last.get(key) != rev
            ]
            findings += [
                f"deletion not told: {key}" for key, rev in last.items() if rev is not None and key not in truth
            ]
            return
        emitted = {(record["id"], record["rev"]) for record in records}
        if self.quirks.filter == "unique":
            keys = {record["id"] for record in records}
            findings += [f"never emitted: {row}" for key, row in self.api.truth().items() if key not in keys]
            return
        findings += [
            f"never emitted: {row}" for row in self.api.truth().values() if (row["id"], row["rev"]) not in emitted
        ]

    def _run(self, state: State, *, deadly: bool, busy: bool) -> bool:
        """One run of the tap; whether it finished."""
        self.left = self.rng.randrange(60) if deadly else None
        self.allowed = 200 + 20 * len(self.api.rows)
        asked = self.api.requests
        try:
            self._drive(state, busy=busy)
        except Killed:
            return False
        except EndlessError as error:
            self.outcome.endless.append(str(error))
            return False
        except WalkError as error:
            self.outcome.reasons.append(str(error))
            self.outcome.refused += 1
            return False
        finally:
            self.outcome.requests += self.api.requests - asked
        return True

    def _drive(self, state: State, *, busy: bool) -> None:
        steps = walk(self.plan, from_state(self.plan, state), self.cache, "now")
        step = next(steps)
        while True:
            ahead = self.rng.random() < 0.5
            page = self._fetched(step, busy=busy) if ahead else None
            state = self._written(step, state)
            if step.ask is None:
                return
            step = steps.send(page or self._fetched(step, busy=busy) or Page(()))

    def _fetched(self, step: Step, *, busy: bool) -> Page | None:
        if step.ask is None:
            return None
        stream = self.plan.stream
        for _ in range(self.rng.choice([0, 0, 1, 2]) if busy else 0):
            self.api.mutate()
        self.allowed -= 1
        if self.allowed < 0:
            raise EndlessError(f"{self.api.requests} requests for {len(self.api.rows)} records")
        request = paged(stream.paginator, request_for(stream, step.ask.cursor), step.ask.at)
        page = page_of(stream, step.ask, self.api.answer(request))
        self.api.pass_time()
        return page

    def _written(self, step: Step, state: State) -> State:
        for record in step.records:
            self._die_here()
            self.output.records.append(dict(record))
        if step.bookmark is None:
            return state
        self._die_here()
        after = checkpointed(self.plan, state, step.bookmark)
        self.output.states.append((len(self.output.records), after))
        return after

    def _die_here(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
