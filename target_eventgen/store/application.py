"""A rule applied to the rows that are there, so that it reports who satisfies it now; see `store.sql.application`.

Theory of operation. Each piece is a transaction: rows are locked, judged and reported. Nothing is remembered but the
events: an application that is repeated, or was killed, finds the rows that have none yet.
"""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from msgspec import Struct

from target_eventgen import failpoints
from target_eventgen.errors import RuleError
from target_eventgen.model import plan as plan_
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.tables import Table
from target_eventgen.model.trace import Trace
from target_eventgen.store import conditions, held, schema
from target_eventgen.store.connection import Connection, single_value
from target_eventgen.store.live import live_plan
from target_eventgen.store.postgres import BeforeCommit
from target_eventgen.store.sql import application, stage


class Reported(NamedTuple):
    """The events of an application: how many are recorded, and how many wait for held ones of their keys."""

    recorded: int
    waiting: int


class Application(Struct, frozen=True):
    """A rule, and the rows that it is applied to.

    Attributes:
        connection: to Postgres.
        plan: of the rule's stream, with this rule alone.
    """

    connection: Connection
    plan: Plan

    @classmethod
    def of(  # noqa: PLR0913  each is a fact of the rule's stream
        cls,
        connection: Connection,
        rule: Rule,
        *,
        source: str,
        described: Table | None,
        trace: Trace | None,
        emits_first_load: bool,
        place: tuple[str, str],
    ) -> Application:
        """Check that a rule can be applied to its stream's table.

        Args:
            connection: to Postgres.
            rule: of a form that can be applied.
            source: the CloudEvents source.
            described: the stream's table by a tap's catalog, if there is one.
            trace: where the trace of the events comes from.
            emits_first_load: whether a table's first load records events.
            place: schema and table that loads store the stream in.

        Raises:
            RuleError: there is no such table, it can't be watched, or its first load goes on.
            TableError: no load by this version has been here.
        """
        with connection.transaction(f'stream "{rule.stream}": looking for its table') as cursor:
            table = schema.table_of(cursor, rule.stream, place)
            if isinstance(table, str):
                raise RuleError(f'stream "{rule.stream}": {table}; load it first')
            schema.check_own_tables(cursor)
            plan, loaded = live_plan(cursor, table, [rule], source=source, described=described, trace=trace)
            if not (loaded or emits_first_load):
                raise RuleError(
                    f'stream "{rule.stream}": its first load has not ended, so rows still come without events; apply the '
                    "rule once a load has ended normally"
                )
            plan_.check(plan.table, [rule])
            conditions.check(cursor, plan.table, plan.types, [rule])
        return cls(connection, plan)

    def count(self) -> tuple[int, int, str | None]:
        """Return how many rows satisfy the rule, how many of them it would report, and the key of one of these."""
        with self.connection.transaction(f'stream "{self.plan.table.stream}": counting rows') as cursor:
            cursor.execute(stage.create_stage(self.plan, {}))
            cursor.execute(application.count(self.plan))
            satisfying, unreported, example = cursor.fetchone() or (0, 0, None)
            return satisfying, unreported, example

    def report(self, piece: int, before_commit: BeforeCommit | None = None) -> Reported:
        """Record an event of each row that satisfies the rule and has none, in pieces of so many rows."""
        recorded = waiting = 0
        after: str | None = None
        while True:
            work = functools.partial(self._piece, after, piece, before_commit)
            (now, later), after = self.connection.repeat_until_done(work)
            recorded, waiting = recorded + now, waiting + later
            if after is None:
                return Reported(recorded, waiting)

    def _piece(self, after: str | None, piece: int, before_commit: BeforeCommit | None) -> tuple[Reported, str | None]:
        """Report the next rows; return their events, and the last key, None where no row is left."""
        plan = self.plan
        doing = f'stream "{plan.table.stream}": applying the rule "{plan.rules[0].type}"'
        with self.connection.transaction(doing) as cursor:
            began = time.monotonic()
            above = 0 if before_commit is None else before_commit.begin(cursor)
            cursor.execute(stage.create_stage(plan, {}))
            cursor.execute(application.stage_rows(plan, after, piece))
            if cursor.rowcount == 0:
                return Reported(0, 0), None
            cursor.execute(application.last_staged(plan))
            last = str(single_value(cursor))
            failpoints.reach(failpoints.AFTER_STAGING)
            cursor.execute(application.lock_rows(plan))
            failpoints.reach(failpoints.AFTER_LOCK)
            cursor.execute(application.record(held.behind(cursor, plan)))
            types, waits = cursor.fetchone() or ({}, {})
            reported = Reported(sum(types.values()), sum(waiting for _, waiting in waits.values()))
            failpoints.reach(failpoints.AFTER_EVENTS)
            if before_commit is not None and reported.recorded:
                before_commit.publish(cursor, above, began)
            failpoints.reach(failpoints.BEFORE_COMMIT)
        return reported, last
