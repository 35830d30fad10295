"""The settings: what they are called, what they mean, and whether a given configuration is usable.

Names that other Postgres targets of the SDK have are kept (host, port, user, password, database,
default_target_schema, add_record_metadata), so that a configuration moves over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn
from singer_sdk import typing as th

from target_eventgen.errors import SettingsError
from target_eventgen.model import routes as routes_
from target_eventgen.model import rules as rules_

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from target_eventgen.model.routes import Route
    from target_eventgen.model.rules import Rule

BATCH_SIZE_ROWS = 10_000
CHECKPOINT_SECONDS = 5
RECONNECT_SECONDS = 60
DELIVERY_TIMEOUT = 60
MAX_LOCK_SECONDS = 30
MAX_TIMEOUT_SECONDS = 86_400
"""Seconds; Postgres counts its timeouts as 32 bits of milliseconds."""


_RULE = th.ObjectType(
    th.Property("type", th.StringType, required=True, description="The event's type, such as order.paid."),
    th.Property("stream", th.StringType, required=True, description="The stream whose rows the rule watches."),
    th.Property("enters", th.StringType, description="Fires where this condition becomes true."),
    th.Property("leaves", th.StringType, description="Fires where this condition stops being true."),
    th.Property("changes", th.ArrayType(th.StringType), description="Fires where one of these columns changes."),
    th.Property("on", th.StringType, description="created, updated or deleted."),
    th.Property("when", th.StringType, description="Fires where this condition over old and new is true."),
    th.Property("payload", th.StringType, description="full, changed or key: what of both versions the event holds."),
    th.Property("include", th.ArrayType(th.StringType), description="Columns that the event may hold beside the key."),
)

_PUBLISHER = th.ObjectType(
    th.Property("type", th.StringType, required=True, description="Such as file, webhook, kafka."),
    th.Property("name", th.StringType, description="By which its progress is known; its type if not given."),
    th.Property("events", th.ArrayType(th.StringType), description="Event types; * stands for any characters."),
    th.Property("streams", th.ArrayType(th.StringType), description="Streams; * stands for any characters."),
    th.Property("start", th.StringType, description="beginning or now: whether it gets the events of the past."),
    th.Property("max_attempts", th.IntegerType, description="Failures after which an event is a dead letter."),
    th.Property("after_dead_letter", th.StringType, description="wait or pass: what its key's later events do."),
    th.Property("workers", th.IntegerType, description="Threads of a relay that deliver to it."),
    additional_properties=True,
)

SCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "database_url",
        th.StringType,
        secret=True,
        title="Database URL",
        description="postgresql://user:password@host:port/database. Without it, and without the parts below, a Postgres "
        "of the project's own is started in the folder .eventgen/postgres.",
    ),
    th.Property("host", th.StringType, title="Host", description="Of Postgres; not beside database_url."),
    th.Property("port", th.IntegerType, title="Port", description="Of Postgres, 5432 if not given."),
    th.Property("user", th.StringType, title="User", description="Of Postgres; not beside database_url."),
    th.Property("password", th.StringType, secret=True, title="Password", description="Of the user."),
    th.Property("database", th.StringType, title="Database", description="Its name; not beside database_url."),
    th.Property(
        "default_target_schema",
        th.StringType,
        title="Default schema",
        description="The Postgres schema of every stream. Without it a stream named schema-table goes into that schema, "
        "any other into public.",
    ),
    th.Property(
        "schema_mapping",
        th.ObjectType(additional_properties=th.CustomType({"type": ["string", "object"]})),
        title="Schema mapping",
        description="Postgres schemas for the prefixes of streams named prefix-table: {prefix: schema}, or "
        "{prefix: {target_schema: schema}}. A prefix that is not here goes into the default schema.",
    ),
    th.Property(
        "events",
        th.ArrayType(_RULE),
        default=[],
        title="Event rules",
        description="Each has a type, a stream, and one of enters, leaves, changes, on, when.",
    ),
    th.Property(
        "initial_load",
        th.StringType,
        default="suppress",
        allowed_values=["suppress", "emit"],
        title="Initial load",
        description="Whether a table's very first load, until an input has ended normally, records events.",
    ),
    th.Property(
        "load_method",
        th.StringType,
        default="upsert",
        allowed_values=["upsert", "append-only", "overwrite"],
        title="Load method",
        description="upsert keeps the newest version of each key; append-only makes each record a row, without events; "
        "overwrite is an upsert after which rows that did not come are deleted.",
    ),
    th.Property(
        "hard_delete",
        th.BooleanType,
        default=False,
        title="Hard delete",
        description="Whether a deletion takes the row out of the table; else _sdc_deleted_at marks it.",
    ),
    th.Property(
        "on_invalid_record",
        th.StringType,
        default="fail",
        allowed_values=["fail", "dead_letter"],
        title="On an invalid record",
        description="Whether a record that can't be loaded ends the run, or goes to eventgen.invalid_records with the reason.",
    ),
    th.Property(
        "ssl_mode",
        th.StringType,
        allowed_values=["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        title="TLS mode",
        description="libpq's sslmode: whether the connection is encrypted, and how the server is verified.",
    ),
    th.Property(
        "ssl_certificate_authority",
        th.StringType,
        title="TLS authority",
        description="File of the certificates that the server's is verified with.",
    ),
    th.Property(
        "ssl_client_certificate",
        th.StringType,
        title="TLS client certificate",
        description="File of the client's certificate.",
    ),
    th.Property(
        "ssl_client_private_key",
        th.StringType,
        title="TLS client key",
        description="File of the client certificate's private key, readable by nobody else.",
    ),
    th.Property(
        "source",
        th.StringType,
        title="Event source",
        description="The CloudEvents source; target-eventgen/<database> if not given.",
    ),
    th.Property(
        "batch_size_rows",
        th.IntegerType,
        default=BATCH_SIZE_ROWS,
        title="Rows a checkpoint",
        description="A STATE commits once this many records have gathered.",
    ),
    th.Property(
        "checkpoint_seconds",
        th.NumberType,
        default=CHECKPOINT_SECONDS,
        title="Seconds a checkpoint",
        description="A STATE commits once this many seconds have passed since the last commit, and so do as many without input.",
    ),
    th.Property(
        "lock_timeout",
        th.IntegerType,
        default=0,
        title="Lock timeout",
        description="Seconds that a statement may wait for a lock before the run ends; 0 is as long as it takes.",
    ),
    th.Property(
        "statement_timeout",
        th.IntegerType,
        default=0,
        title="Statement timeout",
        description="Seconds that a statement may take before the run ends; 0 is as long as it takes.",
    ),
    th.Property(
        "reconnect_seconds",
        th.IntegerType,
        default=RECONNECT_SECONDS,
        title="Seconds of reconnecting",
        description="For how long a lost connection is made anew before the run ends; 0 ends it at once.",
    ),
    th.Property(
        "publishers",
        th.ArrayType(_PUBLISHER),
        default=[],
        title="Publishers",
        description="Where events are delivered to: each has a type, its type's own settings, and the events it gets.",
    ),
    th.Property(
        "publisher_secrets",
        th.ObjectType(additional_properties=True),
        secret=True,
        title="Secrets of publishers",
        description="By names of your choice: a publisher's setting {secret: NAME} stands for one of them.",
    ),
    th.Property(
        "delivery",
        th.StringType,
        default="after_load",
        allowed_values=["after_load", "relay", "before_commit"],
        title="Delivery",
        description="after_load delivers at the end of each load; relay leaves it to `target-eventgen relay`; "
        "before_commit publishes within the transaction that records the events.",
    ),
    th.Property(
        "max_lock_seconds",
        th.NumberType,
        default=MAX_LOCK_SECONDS,
        title="Longest lock",
        description="With delivery before_commit: seconds after which a transaction that still publishes is rolled back.",
    ),
    th.Property(
        "on_delivery_failure",
        th.StringType,
        default="warn",
        allowed_values=["warn", "fail"],
        title="On a failed delivery",
        description="Whether a load whose events could not all be delivered at its end warns, or ends with exit status 1; "
        "they stay in the outbox either way.",
    ),
    th.Property(
        "delivery_timeout",
        th.NumberType,
        default=DELIVERY_TIMEOUT,
        title="Delivery timeout",
        description="Seconds without any progress after which a load, or a relay that doesn't follow, leaves a publisher's "
        "events for later.",
    ),
    th.Property(
        "retention_days",
        th.NumberType,
        title="Retention",
        description="Age in days at which a relay deletes events that were delivered to every publisher; without it they "
        "are kept.",
    ),
    th.Property(
        "trace_field",
        th.StringType,
        title="Trace field",
        description="Property of records that holds their W3C traceparent, which their events carry on; else they carry "
        "TRACEPARENT of the environment, if there is one.",
    ),
    th.Property(
        "metrics_textfile",
        th.StringType,
        title="Metrics file",
        description="A file in Prometheus' text format, for node_exporter; its counters go on from run to run.",
    ),
    th.Property(
        "add_record_metadata",
        th.BooleanType,
        default=True,
        title="Add record metadata",
        description="Whether tables have the SDK's _sdc_ columns.",
    ),
).to_dict()

PARTS = ("host", "port", "user", "password", "database")
"""The settings that make up a URL."""

_TLS = {
    "ssl_mode": "sslmode",
    "ssl_certificate_authority": "sslrootcert",
    "ssl_client_certificate": "sslcert",
    "ssl_client_private_key": "sslkey",
}
"""Our settings of TLS, which are called as in another target of the SDK, with libpq's names for them."""


@dataclass(frozen=True)
class Settings:
    """A configuration that was found usable.

    Attributes:
        dsn: where Postgres is; None: the project's own.
        default_schema: of every stream; None: the stream's prefix, or public.
        schema_mapping: schemas for prefixes of streams' names.
        rules: in the order of the configuration.
        load_method: upsert, append-only or overwrite.
        hard_delete: whether deletions take rows out.
        dead_letter: whether invalid records are kept aside; else they end the run.
        activates: whether ACTIVATE_VERSION messages are followed.
        emit_first_load: whether a table's very first load records events.
        source: the CloudEvents source; None: made of the database's name.
        batch_size_rows: records that make a STATE commit.
        checkpoint_seconds: seconds since the last commit that make a STATE commit, and seconds without input that commit what has gathered.
        lock_timeout: seconds that a statement may wait for a lock; 0: as long as it takes.
        statement_timeout: seconds that a statement may take; 0: as long as it takes.
        reconnect_seconds: for how long a lost connection is made anew; 0: it ends the run.
        routes: the publishers, in the order of the configuration.
        publisher_secrets: by name.
        delivery: after_load, relay or before_commit.
        max_lock_seconds: how long a transaction that publishes may hold its locks.
        fails_undelivered: whether a load that could not deliver all ends with an error.
        delivery_timeout: seconds without progress after which a publisher is given up for now.
        retention_days: the age of events that are deleted; None: none are.
        trace_field: the column that holds a record's traceparent; None: there is none.
        metrics_textfile: where metrics are written; None: nowhere.
        with_metadata: whether tables have the SDK's columns.
        validate: whether records are held against their SCHEMA.
    """

    dsn: str | None
    default_schema: str | None
    schema_mapping: Mapping[str, str]
    rules: tuple[Rule, ...]
    load_method: str
    hard_delete: bool
    dead_letter: bool
    activates: bool
    emit_first_load: bool
    source: str | None
    batch_size_rows: int
    checkpoint_seconds: float
    lock_timeout: int
    statement_timeout: int
    reconnect_seconds: int
    routes: tuple[Route, ...]
    publisher_secrets: Mapping[str, Any]
    delivery: str
    max_lock_seconds: float
    fails_undelivered: bool
    delivery_timeout: float
    retention_days: float | None
    trace_field: str | None
    metrics_textfile: str | None
    with_metadata: bool
    validate: bool

    @property
    def appends(self) -> bool:
        """Whether each record is a row."""
        return self.load_method == "append-only"

    @property
    def overwrites(self) -> bool:
        """Whether rows that don't come in a run are deleted at its end."""
        return self.load_method == "overwrite"


def faults(config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Return what a JSON Schema can't say of a configuration, each fault in a sentence without any value of a secret.

    Args:
        config: the configuration.
        known: the settings that exist.
    """
    found = [f'there is no setting "{name}"{rules_.nearest(name, known)}' for name in config if name not in known]
    parts = [name for name in PARTS if config.get(name) not in {None, ""}]
    if config.get("database_url") and parts:
        found.append(f"database_url and {', '.join(parts)} are both given: give the URL or its parts")
    elif parts and "host" not in parts:
        found.append(f"host is missing beside {', '.join(parts)}")
    tls = [name for name in _TLS if config.get(name)]
    if tls and not config.get("database_url") and "host" not in parts:
        found.append(f"{', '.join(tls)} needs a database_url or a host; the embedded Postgres has no TLS")
    found.extend(_out_of_bounds(config))
    mapping = config.get("schema_mapping")
    for prefix, value in mapping.items() if isinstance(mapping, dict) else ():
        if not _target_schema(value) or (isinstance(value, dict) and set(value) != {"target_schema"}):
            found.append(f'schema_mapping.{prefix} must be the name of a schema, or {{"target_schema": name}} alone')
    entries = config.get("events")
    if isinstance(entries, list):
        found.extend(rules_.parse(entries)[1])
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


def _out_of_bounds(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with numbers."""
    for name in ("batch_size_rows", "checkpoint_seconds", "max_lock_seconds"):
        value = config.get(name)
        if isinstance(value, int | float) and value <= 0:
            yield f"{name} must be greater than 0"
    for name in ("delivery_timeout", "retention_days"):
        value = config.get(name)
        if isinstance(value, int | float) and value < 0:
            yield f"{name} must be 0 or more"
    for name in ("lock_timeout", "statement_timeout", "reconnect_seconds"):
        value = config.get(name)
        if isinstance(value, int) and not 0 <= value <= MAX_TIMEOUT_SECONDS:
            yield f"{name} must be from 0 to {MAX_TIMEOUT_SECONDS} seconds"


def parse(config: Mapping[str, Any]) -> Settings:
    """Return the settings of a configuration.

    Raises:
        SettingsError: a rule or a publisher is not one.
    """
    parsed, found = rules_.parse(config.get("events") or [])
    parsed_routes, found_routes = routes_.parse(config.get("publishers") or [])
    if found or found_routes:
        raise SettingsError(found + found_routes)
    return Settings(
        dsn=_dsn(config),
        default_schema=config.get("default_target_schema") or None,
        schema_mapping={
            prefix: _target_schema(value) for prefix, value in (config.get("schema_mapping") or {}).items()
        },
        rules=parsed,
        load_method=config.get("load_method") or "upsert",
        hard_delete=bool(config.get("hard_delete")),
        dead_letter=config.get("on_invalid_record") == "dead_letter",
        activates=config.get("process_activate_version_messages", True),
        emit_first_load=config.get("initial_load") == "emit",
        source=config.get("source") or None,
        batch_size_rows=config.get("batch_size_rows") or BATCH_SIZE_ROWS,
        checkpoint_seconds=float(config.get("checkpoint_seconds") or CHECKPOINT_SECONDS),
        lock_timeout=config.get("lock_timeout") or 0,
        statement_timeout=config.get("statement_timeout") or 0,
        reconnect_seconds=RECONNECT_SECONDS if (seconds := config.get("reconnect_seconds")) is None else seconds,
        routes=parsed_routes,
        publisher_secrets=config.get("publisher_secrets") or {},
        delivery=config.get("delivery") or "after_load",
        max_lock_seconds=float(config.get("max_lock_seconds") or MAX_LOCK_SECONDS),
        fails_undelivered=config.get("on_delivery_failure") == "fail",
        delivery_timeout=float(DELIVERY_TIMEOUT if (patience := config.get("delivery_timeout")) is None else patience),
        retention_days=config.get("retention_days"),
        trace_field=config.get("trace_field") or None,
        metrics_textfile=config.get("metrics_textfile") or None,
        with_metadata=config.get("add_record_metadata", True),
        validate=config.get("validate_records", True),
    )


def _target_schema(value: Any) -> str:
    """Return the schema that an entry of the mapping names, nothing where it names none."""
    named = value.get("target_schema") if isinstance(value, dict) else value
    return named if isinstance(named, str) else ""


def _dsn(config: Mapping[str, Any]) -> str | None:
    if url := config.get("database_url"):
        # SQLAlchemy's way of naming the driver; libpq knows only the scheme.
        return _with_tls(str(url).replace("postgresql+psycopg2://", "postgresql://", 1), config)
    if not config.get("host"):
        return None
    given = {name: config.get(name) for name in PARTS if config.get(name) not in {None, ""}}
    return _with_tls(
        str(make_dsn(**{"dbname" if name == "database" else name: value for name, value in given.items()})), config
    )


def _with_tls(dsn: str, config: Mapping[str, Any]) -> str:
    given = {libpq: config[name] for name, libpq in _TLS.items() if config.get(name)}
    try:
        return str(make_dsn(dsn, **given)) if given else dsn
    except ProgrammingError:
        return dsn  # whoever connects says that it is none, without quoting it
