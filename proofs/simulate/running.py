"""Runs of the tap in a schedule: the production walk and client against the simulated API.

Others write between any two requests, and the process may die at any line.
"""

from __future__ import annotations

import json
import random
import traceback
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from proofs.simulate.api import EPOCH, Api, Row
from proofs.simulate.facts import Source, excused
from proofs.simulate.quirks import Quirks
from proofs.simulate.transport import Told
from tap_restextract.errors import AnswerError, TapError
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.plan.bookmarks.state import checkpointed
from tap_restextract.plan.plan import Plan
from tap_restextract.walks.probing import probed
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
ALARM: Final = "false alarm"
KINDS: Final = (HOLE, FALSE_DELETION, UNSAFE, REPEAT, ENDLESS, REFUSAL, CRASH, WASTE, ALARM)
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

    def fetch(self, story: Runs) -> None:
        """Get the page before it is needed."""
        try:
            self.came = story.fetched(self.request)
        except (TapError, EndlessError) as error:
            self.fault = error

    def page(self, story: Runs) -> Page:
        """The page, now that it is needed.

        Raises:
            TapError: what kept it from coming.
        """
        came, fault, self.came, self.fault = self.came, self.fault, None, None
        if fault is not None:
            raise fault
        return story.fetched(self.request) if came is None else came


@dataclass
class Runs:
    """What the runs of one schedule share: the API, the dice, and what came out; `told` hears it line by line."""

    quirks: Quirks
    seed: int
    size: Size = Size()
    told: Told = None
    outcome: Outcome = field(default_factory=Outcome)
    output: Output = field(default_factory=Output)
    rng: random.Random = field(init=False)
    api: Api = field(init=False)
    source: Source = field(init=False)
    cache: SqliteHashes | None = field(default=None, init=False)
    nulls: SqliteHashes | None = field(default=None, init=False)
    writes_a_run: int = field(default=WRITES_A_RUN, init=False)

    def _run(self, state: State, *, deadly: bool = False) -> bool:
        """One run of the tap; whether it finished."""
        self.left = self.rng.randrange(60) if deadly and self.size.deaths else None
        self.allowed = self._most_requests()
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
            self._judge_refusal(str(error))
            return False
        except Exception:  # noqa: BLE001  whatever it is, it is a finding
            self._find(CRASH, [traceback.format_exc()])
            return False
        finally:
            self.outcome.requests += self.api.requests - asked
        self._tell("finished")
        return True

    def _most_requests(self) -> int:
        """What a run may ask at most, before it counts as endless."""
        return 200 + 60 * len(self.api.parents) + 20 * (len(self.api.rows) + (WRITES_A_RUN if self.api.busy else 0))

    def _judge_refusal(self, message: str) -> None:
        if not excused(self.api.quirks, self.api, message, busy=self.api.busy):
            self._find(REFUSAL, [message])

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
        driven = probed(stream_walk, self.plan, self.source.bookmark(state), self.source.parents)
        flying: list[Flight] = []
        while True:
            while len(flying) < self.concurrency and (sub_walk := driven.next()) is not None:
                state = self._advance(driven, Flight(sub_walk), next(sub_walk.steps), flying, state)
            if not flying:
                self._end(stream_walk)
                return
            flight = flying.pop(self.rng.randrange(len(flying)))
            try:
                page = flight.page(self)
            except AnswerError as error:
                step = driven.recover(flight.sub_walk, error)
                if step is None:
                    raise
                if step.request is not None:
                    flight.request = step.request
                    flying.append(flight)
                state = self._write(step, state)
            else:
                state = self._advance(driven, flight, flight.sub_walk.steps.send(page), flying, state)

    def _end(self, stream_walk: StreamWalk) -> None:
        """What a run tells at its end is of no interest where the API does as the configuration says."""

    def _hear(self, notices: tuple[str, ...]) -> None:
        """Nothing is to be noticed where the API does as the configuration says."""
        self._find(ALARM, [*notices])

    def _advance(
        self, stream_walk: StreamWalk, flight: Flight, step: Step, flying: list[Flight], state: State
    ) -> State:
        if step.request is not None:
            flight.request = step.request
            flying.append(flight)
        self._hear(step.notices)
        step = stream_walk.translate(flight.sub_walk, step)
        if step.request is not None and self.rng.random() < 0.5:
            flight.fetch(self)
        return self._write(step, state)

    def fetched(self, ask: PageRequest) -> Page:
        """The page, others writing meanwhile."""
        if self.api.busy and self.size.writes and self.written_meanwhile < self.writes_a_run:
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
    def claims(self) -> Quirks:
        """What the configuration says of the API."""
        return self.quirks

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

    def _find(self, kind: str, texts: list[str]) -> None:
        self.outcome.findings += [(kind, text) for text in texts]
        for text in texts:
            self._tell(f"{kind.upper()}: {text}")

    def _new_api(self, rng: random.Random) -> Api:
        return Api(self.quirks, rng)


def _row(row: Row) -> str:
    return f"{row.id}@{row.updated}#{row.rev}, seen from {row.visible}"


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)
