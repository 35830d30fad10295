"""Schedules whose configuration lies: what becomes of a run that believes it."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, cast

from proofs.simulate.api import Api
from proofs.simulate.evidence import Answer, WitnessedApi
from proofs.simulate.facts import excused
from proofs.simulate.lies import Claim
from proofs.simulate.quirks import Quirks
from proofs.simulate.running import CRASH, ENDLESS, FALSE_DELETION, HOLE, UNSAFE, State
from proofs.simulate.schedule import Schedule
from proofs.simulate.transport import LOG
from proofs.simulate.unnoticeable import is_unseen
from tap_restextract.singer.stream import RestStream
from tap_restextract.walks.protocol import StreamWalk
from tap_restextract.walks.steps import Step

RIGHT: Final = "right all the same"
NAMED: Final = "named error"
REPORTED: Final = "reported"
SILENT: Final = "silent loss"
UNSEEN: Final = "no answer shows it"
VERDICTS: Final = (RIGHT, NAMED, REPORTED, SILENT, UNSEEN, ENDLESS, CRASH)
BAD: Final = frozenset({SILENT, ENDLESS, CRASH})
WRITES_MEANWHILE: Final = 40
OLD: Final = 20_000
"""Milliseconds."""
LOSSES: Final = frozenset({HOLE, UNSAFE, FALSE_DELETION})
ROUTINE: Final = "trying again in"
"""What warnings of the client say that aren't about a fact: a request is repeated."""


class Warnings(logging.Handler):
    """Keeps what is logged from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message, unless it is routine."""
        text = record.getMessage()
        if ROUTINE not in text:
            self.texts.append(text)


@contextmanager
def warnings_heard() -> Iterator[list[str]]:
    """Meanwhile the client and the walks may log; their warnings come into the list."""
    handler, root, before = Warnings(), logging.getLogger(), LOG.disabled
    root.addHandler(handler)
    LOG.disabled = False
    try:
        yield handler.texts
    finally:
        LOG.disabled = before
        root.removeHandler(handler)


@dataclass
class LyingSchedule(Schedule):
    """A schedule whose configuration states what `claimed` is, of an API with other quirks.

    The first named error ends it: who runs the tap learns of the lie then.

    Attributes:
        claimed: what the configuration states.
        noticed: the named errors that honest quirks don't excuse.
        reports: warnings that were logged.
        heard: of each loss, the answers that the runs of its story had had.
        heard_now: how many answers had come when the last step was made.
        heard_at: likewise for each STATE, by its identity.
    """

    claimed: Quirks = field(default_factory=Quirks)
    noticed: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    heard: list[tuple[Answer, ...]] = field(default_factory=list)
    heard_now: int = 0
    heard_at: dict[int, int] = field(default_factory=dict)
    witness: WitnessedApi = field(init=False)
    writes_a_run: int = field(default=WRITES_MEANWHILE, init=False)

    def verdict(self, claim: Claim) -> str:
        """Play it, and return what became of it."""
        with warnings_heard() as self.reports:
            kinds = set(self.play().kinds)
        if self.noticed:
            return NAMED
        if worst := kinds & {ENDLESS, CRASH}:
            return min(worst)
        if not kinds & LOSSES:
            return RIGHT
        if self.reports:
            return REPORTED
        return UNSEEN if all(is_unseen(claim, answers) for answers in self.heard) else SILENT

    @property
    def claims(self) -> Quirks:
        """What the configuration says of the API."""
        return self.claimed

    def _new_api(self, rng: random.Random) -> Api:
        self.witness = WitnessedApi(self.quirks, rng)
        return self.witness

    def _find(self, kind: str, texts: list[str]) -> None:
        if texts and kind in LOSSES:
            self.heard.append(tuple(self.witness.answers))
        super()._find(kind, texts)

    def _backfill(self) -> None:
        before, self.witness.answers = self.witness.answers, []
        super()._backfill()
        self.witness.answers = before

    def _resume(self, before: list[dict[str, Any]], state: State, way: str) -> None:
        answers = list(self.witness.answers)
        # A STATE that is cut to its value names no record, and nobody knows what came after it was written.
        self.witness.answers = [] if way == "cut" else answers[: self.heard_at.get(id(state))]
        super()._resume(before, state, way)
        self.witness.answers = answers

    def _write(self, step: Step, state: State) -> State:
        after = super()._write(step, state)
        if step.bookmark is not None:
            self.heard_at[id(after)] = self.heard_now
        return after

    def _busy_part(self) -> None:
        # Every second list is old when it is read first: a bookmark stands still before what the clock has not settled.
        self.api.now += OLD * (self.seed % 2)
        super()._busy_part()

    def _run(self, state: State, *, deadly: bool = False) -> bool:
        self.witness.begin(state)
        over = self.noticed or not {ENDLESS, CRASH}.isdisjoint(self.outcome.kinds)
        return not over and super()._run(state, deadly=deadly)

    def _most_requests(self) -> int:
        # What a lie makes endless is played to this end in many schedules; the longest honest run takes a third of it.
        if self.claims.ranges:
            # A range every three seconds: of an hour, where all of the list is in each, that is a lot, and has an end.
            return 60_000 if self.quirks.ignored == "since" or self.quirks.misread < 0 else 10_000
        return 400 + 8 * (len(self.api.rows) + WRITES_MEANWHILE) * (1 + bool(self.claims.parents))

    def _judge_refusal(self, message: str) -> None:
        if not excused(self.claimed, self.api, message, busy=self.api.busy):
            self.noticed.append(message)

    def _hear(self, notices: tuple[str, ...]) -> None:
        self.reports += notices
        self.heard_now = len(self.witness.answers)

    def _end(self, stream_walk: StreamWalk) -> None:
        """Let production's stream log what it learnt of the API."""
        stream = SimpleNamespace(name="list", logger=LOG, _plan=self.plan)
        RestStream._report(cast("RestStream", stream), stream_walk)

    def _other_walk(self) -> Quirks | None:
        return None

    def _whole(self, records: list[dict[str, Any]], kind: str) -> None:
        if not self.quirks.same_ids:
            super()._whole(records, kind)
            return
        self._find(kind, self._never_emitted(records, [row for row in self.api.truth() if self._is_wanted(row)]))

    def _check_deletion(self, record: Any) -> None:
        if not self.quirks.same_ids:
            super()._check_deletion(record)
        elif "_sdc_deleted_at" in record:
            sharing = [row for row in self.api.rows.values() if self.api.shown_id(row) == record["id"]]
            self._find(
                FALSE_DELETION, [f"it was there all the time: {row}" for row in sharing if row.born <= self.begun_at]
            )


def schedule_for(claim: Claim, seed: int, **others: Any) -> LyingSchedule:
    """Return the schedule of a configuration that tells lies."""
    return LyingSchedule(claim.real, seed, claimed=claim.claimed, **others)
