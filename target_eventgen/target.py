"""The target: singer-sdk's hooks. Settings, messages and signals are read here; the `Loader` does the work.

Theory of operation. A signal to end (SIGTERM, SIGINT) ends the input, between two messages: what has gathered is
committed with the last STATE that came, and the exit code is 0 as the SDK has it. A second signal ends the process at
once, whatever it waits for; Postgres rolls back what it has not committed. One signal may arrive twice, from the
terminal and from a runner, so a signal within a second of the first is taken for the first. Handlers run in the main
thread between two steps of Python: it never waits within Postgres itself, only for the committing thread.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import click
from msgspec.structs import replace
from singer_sdk import Target
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform, StreamMap
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput

from target_eventgen.delivery import configured
from target_eventgen.errors import InvalidSchemaError, MessageError, MissingSchemaError, SettingsError
from target_eventgen.intake import batch_files, sdk_errors
from target_eventgen.intake.reader import LineReader
from target_eventgen.intake.sink import EventgenSink
from target_eventgen.intake.stream_maps import adapt, transformed
from target_eventgen.loader import Loader
from target_eventgen.model import plan, settings, tables, versions
from target_eventgen.store.postgres import Postgres

SAME_SIGNAL_SECONDS: Final = 1.0
"""A signal within this many seconds of the first is treated as the same one (shell and supervisor both forward it)."""

METADATA_OF_DELETIONS: Final = (tables.DELETED_AT, tables.TABLE_VERSION)
"""The metadata columns without which a table version can't be activated."""


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
        self._loader = Loader(self._settings, self.initialized_at, self.logger)
        self._reader.failed = self._loader.write_metrics
        self._reader.idle, self._reader.idle_seconds = self._loader.idle, self._settings.checkpoint_seconds
        self._reader.take = self._loader.take
        self._routes: dict[str, list[tuple[StreamMap | None, EventgenSink]]] = {}
        self._schemas: dict[str, tuple[Any, Any, Any]] = {}
        self._marked: set[str] = set()
        self._fine: set[str] = set()

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

    def use(self, database: Postgres) -> None:
        """Load into a database that is connected already."""
        self._loader.committer.postgres = database

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Return, or raise, all faults of the configuration at once; no message holds a value."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        ours = settings.faults(self._config, schema["properties"])
        faults = [
            f"{settings.location(error.absolute_path) or 'the configuration'} must match"
            f" {error.validator} {json.dumps(error.validator_value)[:120]}"
            for error in JSONSchemaValidator(schema).iter_errors(self._config)
            if not settings.tells(ours, error.absolute_path)
        ]
        faults += ours
        faults += [] if faults else configured.faults(settings.parse(self._config), os.environ)
        if faults and raise_errors:
            raise SettingsError(faults)
        return faults

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """Bring the stream's table up to its SCHEMA; what came under the old one is committed first."""
        stream, schema = message_dict["stream"], message_dict["schema"]
        key = message_dict.get("key_properties") or []
        bookmarks = message_dict.get("bookmark_properties") or []
        replication_keys = [bookmarks] if isinstance(bookmarks, str) else list(bookmarks)
        if self._schemas.get(stream) == (schema, key, replication_keys):
            return
        if not isinstance(schema.get("properties"), dict) or not schema["properties"]:
            raise InvalidSchemaError(
                f'stream "{stream}": its SCHEMA has no properties, so there is nothing to make columns of; '
                "the tap must describe the stream's properties"
            )
        self._loader.checkpoint(wait=True)
        try:
            self.mapper.register_raw_stream_schema(stream, schema, key)
        except (SingerSDKError, ValueError) as error:  # the latter of flattening: two properties for one column
            raise InvalidSchemaError(f'stream "{stream}": its stream map can not be applied: {error}') from error
        routes: list[tuple[StreamMap | None, EventgenSink]] = []
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            adapt(stream_map, self.config.get("stream_maps") or {})
            plain = type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            routes.append((None if plain else stream_map, self._open(stream_map, replication_keys)))
        unmapped = len(routes) == 1 and routes[0][0] is None
        self._loader.route(stream, [sink for _, sink in routes], unmapped=unmapped)
        self._routes[stream] = routes
        self._schemas[stream] = (schema, key, replication_keys)

    def _open(self, stream_map: StreamMap, replication_keys: Sequence[str]) -> EventgenSink:
        """Make the sink of a stream, and its table."""
        name = stream_map.stream_alias
        table = tables.table(
            name,
            stream_map.transformed_schema,
            key=[] if self._settings.appends else stream_map.transformed_key_properties or [],
            # What is to overwrite all is true as it comes, even where it is older.
            replication_key=None if self._settings.overwrites else replication_keys,
            default_schema=self._settings.default_schema,
            mapping=self._settings.schemas_by_prefix,
            with_metadata=self._settings.with_metadata,
            with_marks=self._settings.overwrites or name in self._marked,
            column=self._settings.column_types.column,
        )
        order, stale = self._settings.version_order_of(name), self._settings.stale_of(name)
        table = replace(table, order=order, stale=stale)
        if name in self._fine:
            table = table.with_fine()
        rules = plan.rules_for(name, self._settings.rules)
        plan.check(table, rules, appends=self._settings.appends)
        sink = self.add_sink(name, stream_map.transformed_schema, stream_map.transformed_key_properties)
        assert isinstance(sink, EventgenSink)
        # The moment of the run's start, in ms: greater than any run's before, as a table version is.
        version = self.initialized_at if self._settings.overwrites else None
        prepared = self._loader.prepare(table, rules)
        if prepared.type_of(versions.FINE) is not None and table.replication_key is not None:
            prepared = replace(prepared, table=prepared.table.with_fine())
        if self._settings.undo_days is not None:
            if not self._routes:
                self.logger.info("This run is %d: `target-eventgen undo %d` takes it back", prepared.run, prepared.run)
            prepared = replace(prepared, undo_days=self._settings.undo_days)
        if self._settings.backfill and rules:
            self.logger.warning('stream "%s": backfill is on, so its %d rules record no events', name, len(rules))
            prepared = replace(prepared, rules=())
        sink.set_plan(prepared, version)
        return sink

    def _mark(self, stream: str) -> None:
        """Give a stream's tables the columns that mark deletions, which nothing had needed so far."""
        self._marked |= {sink.stream_name for _, sink in self._routes[stream]}
        self._reopen(stream)

    def _reopen(self, stream: str) -> None:
        """Make a stream's sinks and tables anew."""
        schema, key, replication_keys = self._schemas.pop(stream)
        self._process_schema_message(
            {"stream": stream, "schema": schema, "key_properties": key, "bookmark_properties": replication_keys}
        )

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """Give a record to its sinks, one for each stream map."""
        stream = message_dict["stream"]
        routes = self._routes.get(stream)
        if routes is None:
            raise MissingSchemaError(
                f'stream "{stream}": a RECORD came before its SCHEMA; the tap must send the SCHEMA first'
            )
        record = message_dict["record"]
        if not self._settings.with_metadata and any(
            _lacks_marks(sink.plan, record, message_dict) for _, sink in routes
        ):
            self._mark(stream)
            routes = self._routes[stream]
        if finer := {sink.stream_name for _, sink in routes if sink.needs_fine(record)}:
            self._fine |= finer
            self._reopen(stream)
            routes = self._routes[stream]
        rows = characters = 0
        for stream_map, sink in routes:
            try:
                stored = record if stream_map is None else transformed(stream_map, record)
                if stored is not None:
                    characters += sink.add(stored, message_dict)
                    rows += 1
            except MessageError as error:
                if not self._settings.dead_letter:
                    raise
                characters += sink.reject(record, str(error))
                rows += 1
        self._loader.add(rows, characters)

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Keep a STATE; commit where enough has gathered for it."""
        self._loader.keep_state(message_dict["value"])

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Delete the rows of a stream that came with an older version of its table, once all before is committed."""
        stream, version = message_dict["stream"], message_dict["version"]
        if not self._settings.activates:
            return
        if stream not in self._routes:
            # Some taps begin with one. Whatever it is to delete, the one at the end of the stream does, too.
            self.logger.warning(
                'stream "%s": an ACTIVATE_VERSION came before its SCHEMA and deletes nothing; the next one does', stream
            )
            return
        if type(version) is not int:
            raise MessageError(
                f'stream "{stream}": the version of an ACTIVATE_VERSION must be an integer; correct the tap'
            )
        if any(len(sink.plan.table.metadata) < len(METADATA_OF_DELETIONS) for _, sink in self._routes[stream]):
            self._mark(stream)
        # An overwrite knows better, and at its end.
        if not self._settings.overwrites and not self._settings.appends:
            self._loader.activate({sink.stream_name: version for _, sink in self._routes[stream]})

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Load the records of a BATCH's files, one by one, as if each had come in a RECORD."""
        stream = message_dict["stream"]
        for record in batch_files.records(message_dict, self.config.get("batch_config")):
            if self._reader.interrupted:
                # The records so far are committed; the STATE after the batch never arrives, so the batch comes again.
                return
            self._process_record_message(
                {"type": "RECORD", "stream": stream, "record": record, "version": message_dict.get("version")}
            )

    def process_endofpipe(self) -> None:
        """Commit what is left, end the first load of the streams that came, and deliver."""
        self._loader.finish(lambda: self._reader.interrupted)

    @property
    def _reader(self) -> LineReader:
        assert isinstance(self.message_reader, LineReader)
        return self.message_reader

    def _handle_termination(self, signum: int, frame: Any) -> None:  # noqa: ARG002  the handler's form
        """End the input at the next safe point, where what has gathered is committed; the second time, end at once."""
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
            self._reader.interrupt()
            if loader := vars(self).get("_loader"):  # none yet where the signal comes early
                loader.stop()
        elif now - self._signalled_at >= SAME_SIGNAL_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


def _lacks_marks(stream: plan.Plan, record: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Return whether a record needs the columns that mark deletions, which its table lacks."""
    if len(stream.table.metadata) > 1:
        return False
    return message.get("version") is not None or (record.get("_sdc_deleted_at") is not None and not stream.deletable)
