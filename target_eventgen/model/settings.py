"""The settings: what they are called, what they mean, and whether a given configuration is usable.

`Settings` is their only description: the JSON Schema that singer-sdk shows (`--about`) is made from it. Names that
other Postgres targets of the SDK have are kept (host, port, user, password, database, default_target_schema,
add_record_metadata), so that a configuration moves over.
"""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from target_eventgen.errors import SettingsError
from target_eventgen.model import database_address, database_settings, foreign_settings, tables, versions
from target_eventgen.model import guard as guards
from target_eventgen.model import routes as routes_
from target_eventgen.model import rules as rules_
from target_eventgen.model.database_settings import DatabaseSettings
from target_eventgen.model.entries import PublisherEntry, RuleEntry
from target_eventgen.model.guard import Guard
from target_eventgen.model.json_schema import described, object_schema
from target_eventgen.model.routes import Route
from target_eventgen.model.rules import Rule
from target_eventgen.model.spelling import nearest

T = TypeVar("T")

BATCH_SIZE_ROWS: Final = 10_000
CHECKPOINT_SECONDS: Final = 5
DELIVERY_TIMEOUT_SECONDS: Final = 60
MAX_LOCK_SECONDS: Final = 30
MAX_TIMEOUT_SECONDS: Final = 86_400
"""Seconds; Postgres counts its timeouts as 32 bits of milliseconds."""


class Settings(DatabaseSettings, msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A usable configuration, under the names of its settings; derived values are properties."""

    default_target_schema: Annotated[
        str | None,
        described(
            "Default schema",
            "The Postgres schema of every stream. Without it a stream named schema-table goes into that "
            "schema, any other into public.",
        ),
    ] = None
    schema_mapping: Annotated[
        dict[str, str | dict[str, Any]],
        described(
            "Schema mapping",
            "Postgres schemas for the prefixes of streams named prefix-table: {prefix: schema}, or "
            "{prefix: {target_schema: schema}}. A prefix that is not here goes into the default schema.",
        ),
    ] = {}
    events: Annotated[
        list[dict[str, Any]],
        described(
            "Event rules",
            "Each has a type, a stream, and one of enters, leaves, changes, on, when.",
            items=object_schema(RuleEntry),
        ),
    ] = []
    initial_load: Annotated[
        Literal["suppress", "emit"],
        described(
            "Initial load", "Whether a table's very first load, until an input has ended normally, records events."
        ),
    ] = "suppress"
    backfill: Annotated[
        bool,
        described(
            "Backfill",
            "Whether loads store rows and record no events, for a backfill in pieces; transitions count from the first load "
            "without it.",
        ),
    ] = False
    load_method: Annotated[
        Literal["upsert", "append-only", "overwrite"],
        described(
            "Load method",
            "upsert keeps the newest version of each key; append-only makes each record a row, without "
            "events; overwrite is an upsert after which rows that did not come are deleted.",
        ),
    ] = "upsert"
    hard_delete: Annotated[
        bool,
        described("Hard delete", "Whether a deletion takes the row out of the table; else _sdc_deleted_at marks it."),
    ] = False
    on_invalid_record: Annotated[
        Literal["fail", "dead_letter"],
        described(
            "On an invalid record",
            "Whether a record that can't be loaded ends the run, or goes to eventgen.invalid_records with the reason.",
        ),
    ] = "fail"
    version_order: Annotated[
        dict[str, str],
        described(
            "Order of versions",
            "By stream (or a pattern with *): instant, number, text or arrival: how values of its replication key are "
            "ordered where their type doesn't say it. Without it instants and numbers order as such, other texts by arrival.",
        ),
    ] = {}
    stale: Annotated[
        dict[str, str],
        described(
            "Stale records",
            "By stream (or a pattern with *): drop, keep or apply: what becomes of a record that is older than its row. "
            "drop leaves it out, keep stores it in eventgen.invalid_records, apply takes records as they come.",
        ),
    ] = {}
    guard: Annotated[
        dict[str, Any],
        described(
            "Guard",
            "events_per_run and share_of_rows (of the table's rows as the run begins): how many events of one rule a run may "
            "hand on. Those beyond are held until `target-eventgen events release` or `discard`. streams: {stream or pattern: "
            "the same}; a rule may have a guard of its own.",
        ),
    ] = {}
    source: Annotated[
        str | None, described("Event source", "The CloudEvents source; target-eventgen/<database> if not given.")
    ] = None
    batch_size_rows: Annotated[
        int, described("Rows a checkpoint", "A STATE commits once this many records have gathered.")
    ] = BATCH_SIZE_ROWS
    checkpoint_seconds: Annotated[
        float,
        described(
            "Seconds a checkpoint",
            "A STATE commits once this many seconds have passed since the last commit, and so do as many "
            "without input.",
        ),
    ] = CHECKPOINT_SECONDS
    publishers: Annotated[
        list[dict[str, Any]],
        described(
            "Publishers",
            "Where events are delivered to: each has a type, its type's own settings, and the events it gets.",
            items=object_schema(PublisherEntry),
        ),
    ] = []
    publisher_secrets: Annotated[
        dict[str, Any],
        described(
            "Secrets of publishers",
            "By names of your choice: a publisher's setting {secret: NAME} stands for one of them.",
            secret=True,
            writeOnly=True,
        ),
    ] = {}
    delivery: Annotated[
        Literal["after_load", "relay", "before_commit"],
        described(
            "Delivery",
            "after_load delivers at the end of each load; relay leaves it to `target-eventgen relay`; "
            "before_commit publishes within the transaction that records the events.",
        ),
    ] = "after_load"
    max_lock_seconds: Annotated[
        float,
        described(
            "Longest lock",
            "With delivery before_commit: seconds after which a transaction that still publishes is rolled back.",
        ),
    ] = MAX_LOCK_SECONDS
    on_delivery_failure: Annotated[
        Literal["warn", "fail"],
        described(
            "On a failed delivery",
            "Whether a load whose events could not all be delivered at its end warns, or ends with exit "
            "status 1; they stay in the outbox either way. So does a load or a relay that made dead letters.",
        ),
    ] = "warn"
    delivery_timeout: Annotated[
        float,
        described(
            "Delivery timeout",
            "Seconds without any progress after which a load, or a relay that doesn't follow, leaves a "
            "publisher's events for later.",
        ),
    ] = DELIVERY_TIMEOUT_SECONDS
    retention_days: Annotated[
        float | None,
        described(
            "Retention",
            "Age in days at which a relay deletes events that were delivered to every publisher; without "
            "it they are kept.",
        ),
    ] = None
    undo_days: Annotated[
        float | None,
        described(
            "Days to undo",
            "For how many days the rows that a run replaces are kept, so that `target-eventgen undo` can restore them; "
            "without it none are.",
        ),
    ] = None
    trace_field: Annotated[
        str | None,
        described(
            "Trace field",
            "Property of records that holds their W3C traceparent, which their events carry on; else they "
            "carry TRACEPARENT of the environment, if there is one.",
        ),
    ] = None
    metrics_textfile: Annotated[
        str | None,
        described(
            "Metrics file", "A file in Prometheus' text format, for node_exporter; its counters go on from run to run."
        ),
    ] = None
    add_record_metadata: Annotated[
        bool, described("Add record metadata", "Whether tables have the SDK's _sdc_ columns.")
    ] = True
    process_activate_version_messages: bool = True  # singer-sdk describes these two
    validate_records: bool = True

    @property
    def schemas_by_prefix(self) -> Mapping[str, str]:
        """Postgres schemas for prefixes of streams' names."""
        return {prefix: _target_schema(value) for prefix, value in self.schema_mapping.items()}

    def place_of(self, stream: str) -> tuple[str, str]:
        """Return schema and table that a stream is stored in."""
        return tables.location(stream, self.default_schema, self.schemas_by_prefix)

    def version_order_of(self, stream: str) -> str:
        """Return how versions of a stream are ordered where their type doesn't say it."""
        return _of_stream(self.version_order, stream, versions.HELD)

    def stale_of(self, stream: str) -> str:
        """Return what becomes of a stream's records that are older than their rows."""
        return _of_stream(self.stale, stream, versions.DROP)

    def guard_of(self, rule: Rule) -> Guard:
        """Return the guard of a rule: its own, or else that of its stream, or else that of all."""
        if rule.guard is not None:
            return rule.guard
        return guards.parse(_of_stream(self.guard.get("streams") or {}, rule.stream, self.guard))

    @functools.cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The event rules, in the order of the configuration."""
        return rules_.parse(self.events)[0]

    @functools.cached_property
    def routes(self) -> tuple[Route, ...]:
        """The publishers, in the order of the configuration."""
        return routes_.parse(self.publishers)[0]

    def source_in(self, database: str) -> str:
        """Return the CloudEvents source of this pipeline's events, in a database of this name."""
        return self.source or f"target-eventgen/{database}"

    @property
    def default_schema(self) -> str | None:
        """The Postgres schema of every stream; None: the stream's prefix, or public."""
        return self.default_target_schema

    @property
    def with_metadata(self) -> bool:
        """Whether tables have the SDK's columns."""
        return self.add_record_metadata

    @property
    def activates(self) -> bool:
        """Whether ACTIVATE_VERSION messages are followed."""
        return self.process_activate_version_messages

    @property
    def validate(self) -> bool:
        """Whether records are validated against their SCHEMA."""
        return self.validate_records

    @property
    def dead_letter(self) -> bool:
        """Whether invalid records go to eventgen.invalid_records; else they end the run."""
        return self.on_invalid_record == "dead_letter"

    @property
    def emit_first_load(self) -> bool:
        """Whether a table's very first load records events."""
        return self.initial_load == "emit"

    @property
    def fails_undelivered(self) -> bool:
        """Whether a load that could not deliver all ends with an error."""
        return self.on_delivery_failure == "fail"

    @property
    def appends(self) -> bool:
        """Whether each record is a row."""
        return self.load_method == "append-only"

    @property
    def overwrites(self) -> bool:
        """Whether rows that don't come in a run are deleted at its end."""
        return self.load_method == "overwrite"


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": object_schema(Settings)["properties"],
    "$schema": "https://json-schema.org/draft/2020-12/schema",
}
"""The JSON Schema of the settings."""


def faults(config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Return the faults that a JSON Schema can't find, each a sentence without any value of a secret.

    Args:
        config: the configuration.
        known: the settings that exist.
    """
    found = [
        f'there is no setting "{name}"{foreign_settings.hint(name) or nearest(name, known)}'
        for name in config
        if name not in known
    ]
    parts = [name for name in database_address.PARTS if config.get(name) not in {None, ""}]
    if config.get("database_url") and parts:
        found.append(f"database_url and {', '.join(parts)} are both given: give the URL or its parts")
    elif parts and "host" not in parts:
        found.append(f"host is missing beside {', '.join(parts)}")
    tls = [name for name in database_address.TLS if config.get(name)]
    if tls and not config.get("database_url") and "host" not in parts:
        found.append(f"{', '.join(tls)} needs a database_url or a host; the embedded Postgres has no TLS")
    found.extend(database_settings.faults(config))
    found.extend(_out_of_bounds(config))
    mapping = config.get("schema_mapping")
    for prefix, value in mapping.items() if isinstance(mapping, dict) else ():
        beside = sorted(set(value) - {"target_schema"}) if isinstance(value, dict) else []
        if not _target_schema(value) or beside:
            named = ", ".join(f'not "{name}"{foreign_settings.hint(name)}' for name in beside)
            found.append(
                f'schema_mapping.{prefix} must be the name of a schema, or {{"target_schema": name}} alone'
                f"{', and ' if named else ''}{named}"
            )
    for name, choices in (("version_order", versions.ORDERS), ("stale", versions.STALE)):
        given = config.get(name)
        found.extend(
            f"{name}.{stream} must be one of {', '.join(choices)}"
            for stream, choice in (given.items() if isinstance(given, dict) else ())
            if choice not in choices
        )
    entries = config.get("events")
    rules, faults_of_rules = rules_.parse(entries if isinstance(entries, list) else [])
    watched = () if faults_of_rules else {rule.stream for rule in rules}
    found.extend(guards.faults_of_setting(config.get("guard"), watched))
    found.extend(faults_of_rules)
    entries = config.get("publishers")
    if isinstance(entries, list):
        found.extend(routes_.parse(entries)[1])
    # A load's standard output is for STATE.
    others = [each for each in entries or () if not isinstance(each, dict) or each.get("type") != "stdout"]
    if config.get("delivery") == "before_commit" and not others:
        found.append(
            "delivery is before_commit, but there are no publishers that a load could publish to; add some, or leave "
            "delivery out"
        )
    return found


def location(path: Sequence[str | int]) -> str:
    """Return the place of a value in the configuration, such as `grants[0].role`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def tells(found: Sequence[str], path: Sequence[str | int]) -> bool:
    """Return whether faults that were found are of the same entry of a setting as a fault of the JSON Schema's."""
    entry = location(list(path)[:2])
    return len(path) > 1 and any(re.match(re.escape(entry) + r"(?!\w)", fault) for fault in found)


def _out_of_bounds(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with numbers."""
    for name in ("batch_size_rows", "checkpoint_seconds", "max_lock_seconds"):
        value = config.get(name)
        if isinstance(value, int | float) and value <= 0:
            yield f"{name} must be greater than 0"
    for name in ("delivery_timeout", "retention_days", "undo_days"):
        value = config.get(name)
        if isinstance(value, int | float) and value < 0:
            yield f"{name} must be 0 or more"
    for name in ("lock_timeout", "statement_timeout", "reconnect_seconds"):
        value = config.get(name)
        if isinstance(value, int) and not 0 <= value <= MAX_TIMEOUT_SECONDS:
            yield f"{name} must be from 0 to {MAX_TIMEOUT_SECONDS} seconds"


def parse(config: Mapping[str, Any]) -> Settings:
    """Return the settings of a configuration; those that are null or empty are as if not given.

    Raises:
        SettingsError: a rule or a publisher is not valid.
    """
    faults = [*rules_.parse(config.get("events") or [])[1], *routes_.parse(config.get("publishers") or [])[1]]
    if faults:
        raise SettingsError(faults)
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        value = config.get(field.name)
        kind = typing.get_args(field.type)[0] if typing.get_origin(field.type) is Annotated else field.type
        if kind is bool:
            given[field.name] = bool(config.get(field.name, field.default))
        elif kind is float:
            given[field.name] = float(field.default if value is None or value == "" else value)
        elif value is not None and value != "":
            given[field.name] = value
    return Settings(**given)


def _of_stream(choices: Mapping[str, T], stream: str, default: T) -> T:
    """Return the choice for a stream: that of its name, or else of the first pattern that fits."""
    fitting = (choice for pattern, choice in choices.items() if "*" in pattern and fnmatchcase(stream, pattern))
    return choices[stream] if choices.get(stream) is not None else next(fitting, default)


def _target_schema(value: Any) -> str:
    """Return the schema that an entry of the mapping names, nothing where it names none."""
    named = value.get("target_schema") if isinstance(value, dict) else value
    return named if isinstance(named, str) else ""
