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

import random
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Final

from proofs.simulate.api import Row
from proofs.simulate.facts import INITIAL, source_of
from proofs.simulate.quirks import Quirks
from proofs.simulate.running import (
    HOLE,
    KINDS,
    REFUSAL,
    REPEAT,
    UNSAFE,
    WASTE,
    Outcome,
    Output,
    Runs,
    Size,
    State,
)
from proofs.simulate.transport import waiting_on
from tap_restextract.errors import ConfigurationError
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.plan.walks import KEYSET, TRAVERSAL

__all__ = ["HOLE", "KINDS", "REFUSAL", "Outcome", "Schedule", "Size"]
STATES_TRIED: Final = 3


@dataclass
class Schedule(Runs):
    """One seed's story; `told` hears it line by line."""

    def play(self) -> Outcome:
        """Run it from its first write to its last check."""
        self.rng = random.Random(self.seed)
        self.api = self._new_api(random.Random(self.seed + 1_000_003))
        self.api.found_parents()
        for _ in range(self.rng.randrange(self.size.rows)):
            self.api.mutate()
        if self.quirks.nulls and not self.quirks.null_request:
            self.api.give_some_no_time()
        self._tell_rows()
        try:
            self.source = source_of(self.claims)
        except ConfigurationError as error:
            self.outcome.walk = "refused by the plan"
            self.outcome.refused += 1
            self.outcome.reasons.append(str(error))
            return self.outcome
        self.outcome.walk = self.plan.walk.name
        remembers = self.claims.swept or (self.claims.parents and self.claims.filter != "traversal")
        with ExitStack() as opened:

            def cache_of(stream: str) -> SqliteHashes:
                return opened.enter_context(closing(SqliteHashes(":memory:", stream)))

            self.cache = cache_of("list") if remembers else None
            self.nulls = cache_of("list/nulls") if self.claims.null_request else None
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
        if not self.claims.audit:
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
        # Beside the pages: one that is empty, a question about the filter, and the list of records without time.
        most = -(-rows // page) * 1.01 + 2 + self.quirks.null_request
        if self.plan.walk is KEYSET and even and not self.quirks.parents and asked > most:
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
        if quirks.audit or quirks.null_request or quirks.nulls_told:
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
            case _ if self.claims.swept:
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
                self._find(kind, self._never_emitted(records, truth))

    def _never_emitted(self, records: list[dict[str, Any]], truth: list[Row]) -> list[str]:
        emitted = {(record["id"], record.get("rev")) for record in records}
        return [f"never emitted: {row}" for row in truth if (self.api.shown_id(row), row.rev) not in emitted]

    def _is_wanted(self, row: Row) -> bool:
        if row.updated is None:
            return self.claims.null_request or not any("it is null" in reason for reason in self.outcome.reasons)
        return not self.claims.initial or self.claims.timeless or row.updated >= INITIAL
