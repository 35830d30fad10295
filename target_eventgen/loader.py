"""The loader: gathers the records of all streams, commits them in checkpoints, and lets STATE out after them.

Theory of operation. Every stream's records gather in its sink. A STATE is only kept, until a checkpoint commits all
that came before it; which it does at the first STATE after enough records or seconds, at the end of the input, and
where memory needs it; so that an open pipe without input holds nothing back, also where none came for as long as
checkpoints may be apart. A checkpoint takes the records of all streams, so STATE can never be ahead of any of them.

Committing is the work of one other thread (`Committer`), so that lines are decoded while Postgres works. It gets one
checkpoint at a time and writes the STATE itself, right after the commit. Whatever needs the database meanwhile (a
SCHEMA) waits for it first. An error there ends the run at the next checkpoint, before anything later is committed.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from target_eventgen import failpoints
from target_eventgen.delivery import registration
from target_eventgen.delivery.before_commit import Publication
from target_eventgen.delivery.configured import ConfiguredPublisher, configured_publishers
from target_eventgen.delivery.relay import Relay
from target_eventgen.delivery.result import complaints_of
from target_eventgen.errors import DeliveryError, EventgenError, EventsHeldError, OutputError, SettingsError
from target_eventgen.intake import blocks
from target_eventgen.intake.sink import EventgenSink
from target_eventgen.model import trace, unused
from target_eventgen.model.checkpoint import Activations, Batch, Checkpoint, activation, judgement_of_parked
from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Rule
from target_eventgen.model.settings import Settings
from target_eventgen.model.tables import Table
from target_eventgen.observe import metrics
from target_eventgen.observe.outcomes import OutcomeLog
from target_eventgen.observe.tallies import Tallies
from target_eventgen.store import opening
from target_eventgen.store.postgres import Postgres

T = TypeVar("T")

MAX_CHARACTERS: Final = 32 * 1024 * 1024
"""Characters of COPY text that gather at most before rows are committed without a STATE."""

MAX_BATCHES: Final = 5
"""Multiples of `batch_size_rows` that may gather before rows are committed without a STATE."""

SWITCH_SECONDS: Final = 0.0005
"""Seconds after which the thread that decodes lets the one that commits run."""


class Loader:
    """Gathers the records of all streams, and hands them to the committing thread, which is the `committer`'s."""

    def __init__(self, settings: Settings, started_at: int, logger: logging.Logger) -> None:
        """Connect to nothing yet.

        Args:
            settings: the target's.
            started_at: the moment of the run's start, in ms; the table version of an overwrite.
            logger: of the target.
        """
        self._settings = settings
        self._started_at = started_at
        self._logger = logger
        # A target's standard output is STATE's.
        self._publishers = [each for each in configured_publishers(settings, os.environ) if each.route.kind != "stdout"]
        self._relay: Relay | None = None
        self._tallies = Tallies()
        if settings.metrics_textfile is not None:
            metrics.read(self._tallies, Path(settings.metrics_textfile))
        self.committer = Committer(settings, self._publishers, self._tallies, logger)
        self._streams: dict[str, Sequence[EventgenSink]] = {}
        self._unmapped: dict[str, EventgenSink] = {}
        self._rows = 0
        self._max_rows = MAX_BATCHES * settings.batch_size_rows
        self._characters = 0
        self._state: Any = None
        self._written_state: str | None = None
        self._activations = Activations()
        self._after_state = False
        self._uncommitted = False
        self._committed_at = time.monotonic()

    def prepare(self, table: Table, rules: tuple[Rule, ...]) -> Plan:
        """Bring the database up to a SCHEMA; return how its stream is stored."""
        return self.committer.prepare(table, rules)

    def route(self, stream: str, sinks: Sequence[EventgenSink], *, unmapped: bool) -> None:
        """Give a stream its sinks, instead of those that it had.

        Args:
            stream: its name in the input.
            sinks: one for each stream map.
            unmapped: whether there is one sink, which takes the records as they are.
        """
        for sink in self._streams.get(stream, ()):
            sink.clean_up()
        self._streams[stream] = sinks
        self._unmapped.pop(stream, None)
        if unmapped:
            self._unmapped[stream] = sinks[0]

    def take(self, text: bytes) -> tuple[int, Sequence[int]]:
        """Take lines that are plain records of unmapped streams; return their number, and the indexes of the others.

        Of each stream all of them are taken or none. Records of different streams are in no order before their
        checkpoint.
        """
        run = blocks.LineBlock(text)
        if 1 < run.count > self._max_rows - self._rows:
            return run.count, range(run.count)
        if self._accepts(run, run.stream):
            return run.count, ()
        left: list[int] = []
        streams = run.by_stream() if run.count > 1 else {}
        for stream, indexes in streams.items():
            if len(streams) == 1 or not self._accepts(run.part(indexes), stream):
                left += indexes
        return run.count, sorted(left) if streams else range(run.count)

    def _accepts(self, run: blocks.LineBlock, stream: str | None) -> bool:
        """Return whether a stream takes all lines of a run; if not, it has taken none."""
        sink = self._unmapped.get(stream or "")
        size = None if sink is None else sink.accept(run)
        if size is None:
            return False
        self.add(run.count, size)
        return True

    def add(self, rows: int, characters: int) -> None:
        """Count records that sinks have taken, and commit them where memory needs it."""
        self._rows += rows
        self._characters += characters
        self._after_state = self._uncommitted = True
        if self._rows >= self._max_rows or self._characters >= MAX_CHARACTERS:
            self.checkpoint()

    def keep_state(self, value: Any) -> None:
        """Keep a STATE; commit where enough has gathered for it."""
        self._state = value
        self._activations.keep_state(value)
        self._after_state, self._uncommitted = False, True
        seconds = time.monotonic() - self._committed_at
        if self._rows >= self._settings.batch_size_rows or seconds >= self._settings.checkpoint_seconds:
            self.checkpoint()

    def activate(self, versions: Mapping[str, int]) -> None:
        """Commit what has gathered, and delete the rows of older table versions, as soon as these may go."""
        self._activations.add(versions)
        self.checkpoint(ends=self._activations.release(sink.plan for sink in self._sinks()))

    def idle(self) -> None:
        """Commit what has gathered, since more may never come; raise the error of the checkpoint before."""
        self.committer.raise_error()
        if self._uncommitted:
            self.checkpoint()

    def finish(self, is_interrupted: Callable[[], bool]) -> None:
        """Commit what is left, end the first load of the streams that came, and deliver.

        Args:
            is_interrupted: whether a signal has ended the input; asked again at each step.

        Raises:
            EventsHeldError: a guard held events; all else of the run went well.
        """
        try:
            if is_interrupted():
                # Not logged in the handler: it may have interrupted a writer of the log.
                self._logger.info("A signal ends the run: what has gathered is committed")
            ended = not is_interrupted() and not self._unfinished()
            plans = [sink.plan for sink in self._sinks()]
            ends = () if is_interrupted() else self._activations.release(plans, everything=True)
            if ended and self._settings.overwrites:
                ends = tuple(activation(plan, self._started_at) for plan in plans)
            self.checkpoint(ended=ended, wait=True, ends=ends)
            for sink in self._sinks():
                sink.clean_up()
            for sentence in (
                *unused.by_rules(self._settings),
                *unused.by_streams(self._settings, {sink.stream_name for sink in self._sinks()}),
            ):
                self._logger.warning("%s", sentence)
            self.committer.log.stale.warn(self._logger, self._settings.stale_of)
            too_many = self.committer.held()
            if not self._comes_again():
                self.committer.forget()
            if ended:
                self.committer.execute_after_run()
            self.committer.close()
            if not is_interrupted():
                self._deliver()
        except BaseException:
            self.committer.close()
            self.write_metrics()
            raise
        self.write_metrics("interrupted" if is_interrupted() else "finished")
        if too_many is not None:
            raise too_many

    def stop(self) -> None:
        """End a delivery that is under way. May be called from a signal handler."""
        if self._relay is not None:
            self._relay.stop()

    def write_metrics(self, result: str = "failed") -> None:
        """Write the metrics of a run that has ended; what was loaded is loaded, even where they can't be."""
        if self._settings.metrics_textfile is None:
            return
        self._tallies.add("eventgen_runs", result)
        try:
            metrics.write(self._tallies, Path(self._settings.metrics_textfile))
        except SettingsError as error:
            self._logger.warning("%s", error)

    def _deliver(self) -> None:
        """Deliver what the outbox holds, now that all STATE has left; what can't be delivered stays there.

        Raises:
            DeliveryError: something could not be delivered, or became a dead letter, and `on_delivery_failure` is
                `fail`.
        """
        if not self._publishers or self._settings.delivery != "after_load":
            return
        try:
            self._relay = Relay(
                opening.address(self._settings),
                self._publishers,
                patience=self._settings.delivery_timeout,
                reconnect_seconds=self._settings.reconnect_seconds,
                retention_days=self._settings.retention_days,
                source=self._settings.source_in,
                observer=metrics.Meter(self._tallies),
            )
            results = self._relay.run(follow=False)
            for result in results:
                self._logger.info("%s", result)
                if result.dead:
                    self._logger.warning("%s", result.warning)
            if complaints := complaints_of(results, dead_too=self._settings.fails_undelivered):
                raise DeliveryError("; ".join(complaints))
        except EventgenError as error:
            if self._settings.fails_undelivered:
                raise
            self._logger.warning("%s; the next load, or `target-eventgen relay`, delivers what is left", error)

    def _unfinished(self) -> bool:
        """Return whether the input looks like that of a tap which died, though it ended plainly.

        A tap that sends STATE ends with one, and Singer's `currently_syncing` in it is empty once the tap is through.
        """
        if self._state is None:
            return False
        syncing = self._state.get("currently_syncing") if isinstance(self._state, dict) else None
        return self._after_state or bool(syncing)

    def _comes_again(self) -> bool:
        """Return whether the next run begins with records that this one has committed already."""
        return self._state is None or self._after_state or bool(self._activations)

    def _sinks(self) -> list[EventgenSink]:
        return [sink for sinks in self._streams.values() for sink in sinks]

    def checkpoint(self, *, ended: bool = False, wait: bool = False, ends: tuple[Batch, ...] = ()) -> None:
        """Hand all that has gathered to the committing thread.

        Args:
            ended: whether the input is through, so that first loads end, and parked records are judged.
            wait: until it is committed.
            ends: activations of table versions. What is deleted with them, or judged at the end, is a checkpoint of
                its own: rows of one transaction are indistinguishable.
        """
        sinks = self._sinks()
        gathered = tuple(sink.take() for sink in sinks if sink.pending)
        loaded = tuple(sink.plan.table for sink in sinks) if ended else ()
        settled = tuple(judgement_of_parked(sink.plan) for sink in sinks if sink.plan.table.key) if ended else ()
        value = self._activations.state
        state = None if value is None else msgspec.json.Encoder(decimal_format="number").encode(value).decode()
        if state == self._written_state:
            state = None
        self.committer.join()
        if gathered or ends or loaded or state is not None:
            parts = [part for part in (gathered, settled, ends) if part] or [()]
            checkpoints = [*map(Checkpoint, parts[:-1]), Checkpoint(parts[-1], state, loaded)]
            self._written_state = state or self._written_state
            self.committer.commit(checkpoints)
        self._rows = self._characters = 0
        self._uncommitted = False
        self._committed_at = time.monotonic()
        if wait:
            self.committer.join()


class Committer:
    """The one thread that works with Postgres: it makes tables, commits checkpoints, and writes STATE after them.

    Its `postgres` is connected once it is needed, unless it is given before.
    """

    def __init__(
        self,
        settings: Settings,
        publishers: Sequence[ConfiguredPublisher],
        tallies: Tallies,
        logger: logging.Logger,
    ) -> None:
        """Start and connect nothing yet."""
        self._settings = settings
        self._publishers = publishers
        self._tallies = tallies
        self._logger = logger
        self.postgres: Postgres | None = None
        self._publication: Publication | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._committing: Future[None] | None = None
        self._run = secrets.randbits(62)
        self.log = OutcomeLog(logger)

    def prepare(self, table: Table, rules: tuple[Rule, ...]) -> Plan:
        """Bring the database up to a SCHEMA, and wait for it."""
        return self._at_work(lambda: self._prepare(table, rules))

    def commit(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Begin to commit checkpoints, one after the other."""
        self._committing = self._submit(lambda: self._commit_all(checkpoints))

    def raise_error(self) -> None:
        """Raise the error of the checkpoint that has ended last, if there is one."""
        if self._committing is not None and self._committing.done():
            self.join()

    def join(self) -> None:
        """Wait for the checkpoint that is under way; raise its error."""
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()

    def held(self) -> EventsHeldError | None:
        """Say what waits, and what earlier runs have left; return the error where guards hold events of this run."""
        if self.postgres is None:
            return None
        return self.log.held.summed(self._run, self._at_work(self.postgres.held))

    def forget(self) -> None:
        """Forget what a repetition of this run would need."""
        if self.postgres is not None:
            self._at_work(self.postgres.forget)

    def execute_after_run(self) -> None:
        """Execute `after_run_sql`, where a stream has come."""
        postgres, statements = self.postgres, self._settings.after_run_sql
        if postgres is not None and statements:
            self._at_work(lambda: postgres.execute("after_run_sql", statements))

    def close(self) -> None:
        """End the thread, once its work is done, and close what it has opened."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        if self._publication is not None:
            self._publication.close()
            self._publication = None
        if self.postgres is not None:
            self.postgres.close()
            self.postgres = None

    def _prepare(self, table: Table, rules: tuple[Rule, ...]) -> Plan:
        """Bring the database up to a SCHEMA. Runs in the committing thread."""
        database = self._database()
        plan = database.prepare(
            table,
            rules,
            source=self._settings.source_in(database.database),
            emit_first_load=self._settings.emit_first_load,
            guards=tuple(map(self._settings.guard_of, rules)),
            hard=self._settings.hard_delete,
            overwrite=self._settings.overwrites,
        )
        return replace(plan, trace=trace.from_environment(os.environ, self._settings.trace_field))

    def _commit_all(self, checkpoints: Sequence[Checkpoint]) -> None:
        for checkpoint in checkpoints:
            self._commit(checkpoint)

    def _commit(self, checkpoint: Checkpoint) -> None:
        """Commit, then let the STATE out. Runs in the committing thread."""
        if checkpoint.batches or checkpoint.loaded:
            database = self._database()
            began = time.monotonic()
            outcomes = database.commit(checkpoint)
            metrics.committed(self._tallies, outcomes, time.monotonic() - began)
            self.log.add(outcomes)
        if checkpoint.state is not None:
            failpoints.reach(failpoints.BEFORE_STATE)
            line = checkpoint.state + "\n"
            try:
                if half := failpoints.split(line):
                    sys.stdout.write(line[:half])
                    sys.stdout.flush()
                    failpoints.reach(failpoints.STATE_HALF_WRITTEN)
                sys.stdout.write(line[half:])
                sys.stdout.flush()
            except OSError as error:
                raise OutputError(
                    f"STATE can't be written to standard output ({error.strerror}), though its records are committed; "
                    "check what reads the target's output"
                ) from error

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        if self._thread is None:
            # The committing thread has little to do, but at once: Postgres waits for it.
            sys.setswitchinterval(SWITCH_SECONDS)
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        return self._thread.submit(work)

    def _at_work(self, work: Callable[[], T]) -> T:
        """Do something in the committing thread, and wait for it: signals are handled meanwhile."""
        return self._submit(work).result()

    def _database(self) -> Postgres:
        if self.postgres is None:
            if self._settings.delivery == "before_commit":
                self._publication = Publication(
                    self._publishers, self._settings.max_lock_seconds, metrics.Meter(self._tallies)
                )
            self.postgres = opening.opened(self._settings, self._run, self._publication)
            if self._settings.routes and self._settings.delivery != "before_commit":
                wanted = [each.route for each in configured_publishers(self._settings, os.environ)]
                registration.announce(opening.address(self._settings), wanted, self._settings.source_in)
        return self.postgres
