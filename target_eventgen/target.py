"""The target: reads Singer messages, gathers records, commits them in checkpoints, and lets STATE out after them.

Theory of operation. Every stream's records gather in its sink. A STATE is only kept, until a checkpoint commits all
that came before it; which it does at the first STATE after enough records or seconds, at the end of the input, and
where memory needs it; so that an open pipe without input holds nothing back, also where none came for as long as
checkpoints may be apart. A checkpoint takes the records of all streams, so STATE can never be ahead of any of them.

Committing is the work of one other thread, so that lines are decoded while Postgres works. It gets one checkpoint at a
time and writes the STATE itself, right behind the commit. Whatever needs the database meanwhile (a SCHEMA) waits for
it first. An error there ends the run at the next checkpoint, before anything later is committed.

A signal to end (SIGTERM, SIGINT) ends the input, between two messages: what has gathered is committed with the last
STATE that came, and the exit code is 0 as the SDK has it. A second signal ends the process at once, whatever it waits
for; Postgres rolls back what it has not committed. One signal may arrive twice, from the terminal and from a runner, so
what follows within a second is the same. Handlers run in the main thread between two steps of Python: it never waits
within Postgres itself, only for the other thread.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from singer_sdk import Target
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import CustomStreamMap, RemoveRecordTransform, SameRecordTransform
from singer_sdk.plugin_base import JSONSchemaValidator

from target_eventgen import embedded, failpoints
from target_eventgen.delivery import configured, registration, relay
from target_eventgen.delivery.before_commit import Publication
from target_eventgen.errors import (
    DeliveryError,
    EventgenError,
    InvalidSchemaError,
    MessageError,
    MissingSchemaError,
    OutputError,
    SettingsError,
)
from target_eventgen.intake import batch_files, compiled, sdk_errors, validation
from target_eventgen.intake.reader import LineReader
from target_eventgen.intake.sink import EventgenSink
from target_eventgen.model import plan, settings, tables, trace
from target_eventgen.model.checkpoint import Checkpoint, Outcome
from target_eventgen.model.rules import nearest
from target_eventgen.observe import metrics
from target_eventgen.observe.tallies import Tallies
from target_eventgen.store.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import click
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.mapper import StreamMap
    from singer_sdk.plugin_base import _ConfigInput

    from target_eventgen.model.plan import Plan
    from target_eventgen.model.rules import Rule
    from target_eventgen.model.tables import Table

T = TypeVar("T")

MOST_CHARACTERS = 32 * 1024 * 1024
"""Characters of COPY text that are held at most before rows are committed without a STATE."""

PROGRESS_SECONDS = 30.0
"""Between two lines that say how far a load has come."""

SAME_SIGNAL_SECONDS = 1.0
"""A signal that follows another within so many seconds is the same wish to end, sent by somebody else."""

METADATA_OF_DELETIONS = (tables.DELETED_AT, tables.TABLE_VERSION)
"""The metadata columns without which a table version can't be activated."""

SWITCH_SECONDS = 0.0005
"""After which the thread that decodes lets the one that commits go on."""

MOST_BATCHES = 5
"""How many times `batch_size_rows` may gather without a STATE before rows are committed without one."""


class TargetEventgen(Target):
    """Loads any Singer stream into Postgres and records an event for each state transition, once."""

    name = "target-eventgen"
    package_name = "tap-restextract"
    config_jsonschema: ClassVar[dict[str, Any]] = settings.SCHEMA
    default_sink_class = EventgenSink
    message_reader_class = LineReader
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.BATCH,
        TargetCapabilities.HARD_DELETE,
        TargetCapabilities.VALIDATE_RECORDS,
    ]
    _signalled_at: float | None = None  # the SDK sets the handlers up before this class has a say

    def __init__(self, **options: Any) -> None:
        """Read the settings. Nothing is connected before the first message needs it."""
        with sdk_errors.of_the_sdk():
            super().__init__(**options)
            self._settings = settings.parse(self.config)
        # A target's standard output is STATE's.
        self._wanted = [
            each for each in configured.configured_publishers(self._settings, os.environ) if each.route.kind != "stdout"
        ]
        self._relay: relay.Relay | None = None
        self._publication: Publication | None = None
        self._tallies = Tallies()
        if self._settings.metrics_textfile is not None:
            metrics.read(self._tallies, Path(self._settings.metrics_textfile))
        self._reader.failed = self._write_metrics
        self._reader.idle, self._reader.idle_seconds = self._idle, self._settings.checkpoint_seconds
        self._reader.take = self._take
        self._postgres: Postgres | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._committing: Future[None] | None = None
        self._routes: dict[str, list[tuple[StreamMap | None, EventgenSink]]] = {}
        self._unmapped: dict[str, EventgenSink] = {}
        self._schemas: dict[str, tuple[Any, Any, Any]] = {}
        self._marked: set[str] = set()
        self._rows = 0
        self._most_rows = MOST_BATCHES * self._settings.batch_size_rows
        self._size = 0
        self._state: Any = None
        self._stated: str | None = None
        self._after_state = False
        self._news = False
        self._committed_at = self._told_at = time.monotonic()
        self._loaded = self._told_events = 0

    # -- settings -----------------------------------------------------------------------------------------------------

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Read the files of `--config`.

        Raises:
            SettingsError: a file is missing or is not JSON.
        """
        for name in value:
            if name == "ENV":
                continue
            try:
                content = json.loads(Path(name).read_text(encoding="utf-8"))
            except OSError as error:
                raise SettingsError([f"the file {name} can't be read ({error.strerror})"]) from error
            except ValueError as error:
                raise SettingsError([f"the file {name} is not JSON"]) from error
            if not isinstance(content, dict):
                raise SettingsError([f"the file {name} must hold one JSON object"])
        return super().cb_config(ctx, param, value)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Return, or raise, all faults of the configuration at once; no message holds a value."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        found = [
            f"{'.'.join(map(str, error.absolute_path)) or 'the configuration'} must match"
            f" {error.validator} {json.dumps(error.validator_value)[:120]}"
            for error in JSONSchemaValidator(schema).iter_errors(self._config)
        ]
        found += settings.faults(self._config, schema["properties"])
        found += [] if found else configured.faults(settings.parse(self._config), os.environ)
        if found and raise_errors:
            raise SettingsError(found)
        return found

    # -- messages -----------------------------------------------------------------------------------------------------

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Bring the stream's table up to its SCHEMA; what came under the old one is committed first."""
        stream, schema = message_dict["stream"], message_dict["schema"]
        key = message_dict.get("key_properties") or []
        bookmarks = message_dict.get("bookmark_properties") or []
        replication_key = bookmarks if isinstance(bookmarks, str) else next(iter(bookmarks), None)
        if self._schemas.get(stream) == (schema, key, replication_key):
            return
        if not isinstance(schema.get("properties"), dict) or not schema["properties"]:
            raise InvalidSchemaError(
                f'stream "{stream}": its SCHEMA has no properties, so there is nothing to make columns of; '
                "the tap must describe the stream's properties"
            )
        self._checkpoint(wait=True)
        try:
            self.mapper.register_raw_stream_schema(stream, schema, key)
        except SingerSDKError as error:
            raise InvalidSchemaError(f'stream "{stream}": its stream map can not be applied: {error}') from error
        routes: list[tuple[StreamMap | None, EventgenSink]] = []
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            plain = type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            routes.append((None if plain else stream_map, self._open(stream_map, replication_key)))
        for _, sink in self._routes.get(stream, ()):
            sink.clean_up()
        self._routes[stream] = routes
        self._unmapped.pop(stream, None)
        if len(routes) == 1 and routes[0][0] is None:
            self._unmapped[stream] = routes[0][1]
        self._schemas[stream] = (schema, key, replication_key)

    def _open(self, stream_map: StreamMap, replication_key: str | None) -> EventgenSink:
        """Make the sink of a stream, and its table."""
        name = stream_map.stream_alias
        table = tables.table(
            name,
            stream_map.transformed_schema,
            key=[] if self._appends else stream_map.transformed_key_properties or [],
            # What is to overwrite all is true as it comes, even where it is older.
            replication_key=None if self._overwrites else replication_key,
            default_schema=self._settings.default_schema,
            mapping=self._settings.schema_mapping,
            with_metadata=self._settings.with_metadata,
            with_marks=self._overwrites or name in self._marked,
        )
        rules = plan.rules_for(name, self._settings.rules)
        plan.check(table, rules, appends=self._appends)
        sink = self.add_sink(name, stream_map.transformed_schema, stream_map.transformed_key_properties)
        assert isinstance(sink, EventgenSink)
        # The moment of the run's start, in ms: greater than any run's before, as a table version is.
        version = self.initialized_at if self._overwrites else None
        sink.follow(self._at_work(lambda: self._prepare(table, rules)), version)
        return sink

    @property
    def _appends(self) -> bool:
        return self._settings.load_method == "append-only"

    @property
    def _overwrites(self) -> bool:
        return self._settings.load_method == "overwrite"

    def _reopen(self, stream: str) -> None:
        """Give a stream's tables the columns that tell of deletions, for which nothing had asked so far."""
        self._marked |= {sink.stream_name for _, sink in self._routes[stream]}
        schema, key, replication_key = self._schemas.pop(stream)
        self._process_schema_message(
            {"stream": stream, "schema": schema, "key_properties": key, "bookmark_properties": [replication_key]}
        )

    def _prepare(self, table: Table, rules: tuple[Rule, ...]) -> Plan:
        """Bring the database up to a SCHEMA. Runs in the committing thread."""
        database = self._database()
        found = database.prepare(
            table,
            rules,
            source=self._settings.source or f"target-eventgen/{database.database}",
            emit_first_load=self._settings.emit_first_load,
            hard=self._settings.hard_delete,
            overwrite=self._overwrites,
        )
        return replace(found, trace=trace.from_environment(os.environ, self._settings.trace_field))

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """Give a record to its sinks, one for each stream map."""
        stream = message_dict["stream"]
        routes = self._routes.get(stream)
        if routes is None:
            raise MissingSchemaError(
                f'stream "{stream}": a RECORD came before its SCHEMA; the tap must send the SCHEMA first'
            )
        record = message_dict["record"]
        if not self._settings.with_metadata and any(sink.lacks_marks_for(record, message_dict) for _, sink in routes):
            self._reopen(stream)
            routes = self._routes[stream]
        for stream_map, sink in routes:
            try:
                stored = record if stream_map is None else _transformed(stream_map, record)
                if stored is not None:
                    self._size += sink.add(stored, message_dict)
                    self._rows += 1
            except MessageError as error:
                if not self._settings.dead_letter:
                    raise
                self._size += sink.reject(record, str(error))
                self._rows += 1
        self._gathered()

    def _take(self, text: bytes) -> tuple[int, Sequence[int]]:
        """Take lines that are plain records of unmapped streams; return their number, and the places of those that are left.

        Of each stream all of them are taken or none. Records of different streams are in no order before their checkpoint.
        """
        run = compiled.Run(text)
        if 1 < run.count > self._most_rows - self._rows:
            return run.count, range(run.count)
        if self._accepts(run, run.stream):
            return run.count, ()
        left: list[int] = []
        streams = run.by_stream() if run.count > 1 else {}
        for stream, places in streams.items():
            if len(streams) == 1 or not self._accepts(run.part(places), stream):
                left += places
        return run.count, sorted(left) if streams else range(run.count)

    def _accepts(self, run: compiled.Run, stream: str | None) -> bool:
        """Return whether a stream takes all lines of a run; else nothing has happened."""
        sink = self._unmapped.get(stream or "")
        size = None if sink is None else sink.accept(run)
        if size is None:
            return False
        self._size += size
        self._rows += run.count
        self._gathered()
        return True

    def _gathered(self) -> None:
        self._after_state = self._news = True
        if self._rows >= self._most_rows or self._size >= MOST_CHARACTERS:
            self._checkpoint()

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Keep a STATE; commit where enough has gathered for it."""
        self._state = message_dict["value"]
        self._after_state, self._news = False, True
        seconds = time.monotonic() - self._committed_at
        if self._rows >= self._settings.batch_size_rows or seconds >= self._settings.checkpoint_seconds:
            self._checkpoint()

    def _idle(self) -> None:
        """Commit what has gathered, since nobody knows when more comes; raise what went wrong with what came before."""
        if self._committing is not None and self._committing.done():
            self._join()
        if self._news:
            self._checkpoint()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Delete the rows of a stream that came with an older version of its table, once all before is committed."""
        stream, version = message_dict["stream"], message_dict["version"]
        if stream not in self._routes:
            raise MissingSchemaError(
                f'stream "{stream}": an ACTIVATE_VERSION came before its SCHEMA; the tap must send the SCHEMA first'
            )
        if not self._settings.activates:
            return
        if type(version) is not int:
            raise MessageError(
                f'stream "{stream}": the version of an ACTIVATE_VERSION must be an integer; correct the tap'
            )
        if any(len(sink.plan.table.metadata) < len(METADATA_OF_DELETIONS) for _, sink in self._routes[stream]):
            self._reopen(stream)
        # An overwrite knows better, and at its end.
        if not self._overwrites and not self._appends:
            self._checkpoint(activated={sink.stream_name: version for _, sink in self._routes[stream]})

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Load the records of a BATCH's files, one by one, as if each had come in a RECORD."""
        stream = message_dict["stream"]
        for record in batch_files.records(message_dict, self.config.get("batch_config")):
            if self._reader.interrupted:
                # What came of the batch is committed; the STATE behind it never arrives, so it comes again.
                return
            self._process_record_message(
                {"type": "RECORD", "stream": stream, "record": record, "version": message_dict.get("version")}
            )

    def process_endofpipe(self) -> None:
        """Commit what is left, end the first load of the streams that came, and say what was done."""
        try:
            if self._reader.interrupted:
                # Not said in the handler: it may have interrupted a writer of the log.
                self.logger.info("A signal ends the run: what has gathered is committed")
            ended = not self._reader.interrupted and not self._unfinished()
            overwritten = {sink.stream_name: self.initialized_at for sink in self._sinks()}
            self._checkpoint(ended=ended, wait=True, activated=overwritten if ended and self._overwrites else {})
            for sink in self._sinks():
                sink.clean_up()
            self._warn_of_idle_rules()
            if self._postgres is not None and not self._comes_again():
                self._at_work(self._postgres.forget)
            self._close()
            self._deliver()
        except BaseException:
            self._close()
            self._write_metrics()
            raise
        self._write_metrics("interrupted" if self._reader.interrupted else "finished")

    def _write_metrics(self, result: str = "failed") -> None:
        """Write the metrics of a run that has ended; what was loaded is loaded, even where they can't be."""
        if self._settings.metrics_textfile is None:
            return
        self._tallies.add("eventgen_runs", result)
        try:
            metrics.write(self._tallies, Path(self._settings.metrics_textfile))
        except SettingsError as error:
            self.logger.warning("%s", error)

    def _deliver(self) -> None:
        """Deliver what the outbox holds, now that all STATE has left; what can't be delivered stays there.

        Raises:
            DeliveryError: something could not be, and the settings have it that this is an error.
        """
        if not self._wanted or self._settings.delivery != "after_load" or self._reader.interrupted:
            return
        try:
            self._relay = relay.Relay(
                embedded.resolve(self._settings.dsn),
                self._wanted,
                patience=self._settings.delivery_timeout,
                reconnect_seconds=self._settings.reconnect_seconds,
                retention_days=self._settings.retention_days,
                observer=metrics.Meter(self._tallies),
            )
            results = self._relay.run(follow=False)
            for result in results:
                self.logger.info("%s", result)
            if any(result.left for result in results):
                raise DeliveryError("; ".join(result.complaint for result in results if result.left))
        except EventgenError as error:
            if self._settings.fails_undelivered:
                raise
            self.logger.warning("%s; the next load, or `target-eventgen relay`, delivers what is left", error)

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
        return self._state is None or self._after_state

    def _warn_of_idle_rules(self) -> None:
        seen = {sink.stream_name for sink in self._sinks()}
        for stream in sorted({rule.stream for rule in self._settings.rules} - seen):
            self.logger.warning(
                'no stream "%s" came, so its event rules were not used%s', stream, nearest(stream, seen)
            )

    # -- checkpoints --------------------------------------------------------------------------------------------------

    @property
    def _reader(self) -> LineReader:
        assert isinstance(self.message_reader, LineReader)
        return self.message_reader

    def _sinks(self) -> list[EventgenSink]:
        return [sink for routes in self._routes.values() for _, sink in routes]

    def _checkpoint(
        self, *, ended: bool = False, wait: bool = False, activated: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Hand all that has gathered to the committing thread.

        Args:
            ended: whether the input is through, so that first loads end, and what was held back is judged.
            wait: until it is committed.
            activated: streams of whose table a version is complete, with that version. What is deleted with it, or
                judged at the end, is a checkpoint of its own: rows of one transaction can't be told from each other.
        """
        sinks = self._sinks()
        gathered = tuple(sink.take() for sink in sinks if sink.pending)
        ends = tuple(sink.activation(activated[sink.stream_name]) for sink in sinks if sink.stream_name in activated)
        loaded = tuple(sink.plan.table for sink in sinks) if ended else ()
        settled = tuple(sink.settlement() for sink in sinks if sink.plan.table.key) if ended else ()
        state = (
            None if self._state is None else msgspec.json.Encoder(decimal_format="number").encode(self._state).decode()
        )
        if state == self._stated:
            state = None
        self._join()
        if gathered or ends or loaded or state is not None:
            parts = [part for part in (gathered, settled, ends) if part] or [()]
            checkpoints = [*map(Checkpoint, parts[:-1]), Checkpoint(parts[-1], state, loaded)]
            self._stated = state or self._stated
            self._committing = self._submit(lambda: self._commit_all(checkpoints))
        self._rows = self._size = 0
        self._news = False
        self._committed_at = time.monotonic()
        if wait:
            self._join()

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
            self._tell(outcomes)
            for outcome in outcomes:
                self._report(outcome)
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

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Say now and then how far a long load has come."""
        self._loaded += sum(outcome.records for outcome in outcomes)
        self._told_events += sum(outcome.recorded for outcome in outcomes)
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self.logger.info("%d records are committed so far, %d events recorded", self._loaded, self._told_events)

    def _report(self, outcome: Outcome) -> None:
        if outcome.rejected:
            self.logger.warning("%d invalid records went to eventgen.invalid_records", outcome.rejected)
        if outcome.stale:
            self.logger.info("%d records were older than their rows and were dropped", outcome.stale)
        if outcome.fired != outcome.recorded:
            self.logger.warning("%d events were in the outbox already", outcome.fired - outcome.recorded)

    def _join(self) -> None:
        """Wait for the checkpoint that is under way; its error is raised here."""
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        if self._worker is None:
            # The committing thread has little to do, but at once: Postgres waits for it.
            sys.setswitchinterval(SWITCH_SECONDS)
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        return self._worker.submit(work)

    def _at_work(self, work: Callable[[], T]) -> T:
        """Do something in the committing thread, and wait for it: a signal is heard meanwhile."""
        return self._submit(work).result()

    def _database(self) -> Postgres:
        if self._postgres is None:
            if self._settings.delivery == "before_commit":
                self._publication = Publication(
                    self._wanted, self._settings.max_lock_seconds, metrics.Meter(self._tallies)
                )
            self._postgres = Postgres(
                embedded.resolve(self._settings.dsn),
                secrets.randbits(62),
                lock_timeout=self._settings.lock_timeout,
                statement_timeout=self._settings.statement_timeout,
                reconnect_seconds=self._settings.reconnect_seconds,
                before_commit=self._publication,
            )
            if self._settings.routes and self._settings.delivery != "before_commit":
                registration.announce(embedded.resolve(self._settings.dsn), self._settings.routes)
        return self._postgres

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None
        if self._publication is not None:
            self._publication.close()
            self._publication = None
        if self._postgres is not None:
            self._postgres.close()
            self._postgres = None

    def _handle_termination(self, signum: int, frame: Any) -> None:  # noqa: ARG002  the handler's form
        """End the input at the next safe point, where what has gathered is committed; the second time, end at once."""
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
            self._reader.interrupt()
            if self._relay is not None:
                self._relay.stop()
        elif now - self._signalled_at >= SAME_SIGNAL_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


def _transformed(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a stream map makes of a record, None where it filters the record out.

    The expressions of a map compute with Python's floats, as they do everywhere else.
    """
    given = validation.plain(record) if isinstance(stream_map, CustomStreamMap) else dict(record)
    try:
        return stream_map.transform(given)
    except Exception as error:  # a map's expression may raise anything
        raise MessageError(
            f'stream "{stream_map.stream_alias}": its stream map fails on a record ({type(error).__name__}); '
            "correct the expressions in stream_maps"
        ) from error
