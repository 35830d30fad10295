"""Event rules, checked against a catalog or the live tables, or tried on an input; nothing is changed."""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import IO, Any, Final, NamedTuple

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import make_dsn

from target_eventgen.cli import singer_target
from target_eventgen.errors import (
    DatabaseError,
    InvalidSchemaError,
    MessageError,
    RuleError,
    SettingsError,
)
from target_eventgen.model import database_address, plan, rules, settings
from target_eventgen.model.rules import Rule
from target_eventgen.model.spelling import nearest
from target_eventgen.model.tables import Table, table
from target_eventgen.store.connection import connect, location_of
from target_eventgen.store.postgres import Postgres
from target_eventgen.store.trial import Trial, TrialConnection

_OUTWARD: Final = ("publishers", "delivery", "metrics_textfile", "guard")
"""Settings by which a load has an effect outside of its database, or keeps events from having one."""


class Checked(NamedTuple):
    """A rule, its fault, None where it has none, and the live table that it was compared with, None where none was."""

    rule: Rule
    fault: str | None
    table: str | None = None


def check(config: Mapping[str, Any], dsn: str, catalog: Mapping[str, Any] | None) -> Iterator[Checked]:
    """Yield what is said of each rule.

    Args:
        config: the target's.
        dsn: a Postgres that judges the conditions; nothing in it changes.
        catalog: what a tap discovers; None: the rules are checked against the tables that loads by this configuration
            fill.

    Raises:
        SettingsError: the rules are not valid.
        MessageError: the catalog is not valid.
    """
    parsed, faults = rules.parse(config.get("events") or [])
    if faults:
        raise SettingsError(faults)
    appends = config.get("load_method") == "append-only"
    usable = settings.parse({**config, "database_url": dsn})
    described = None if catalog is None else dict(_tables(catalog, usable))
    with closing(Postgres(dsn, 0, creates=False)) as database:
        for rule in parsed:
            if described is None:
                live = database.table_of(rule.stream, usable.place_of(rule.stream))
                if isinstance(live, str):
                    yield Checked(rule, _of(rule, f"{live}; load it first, or give a catalog"))
                else:
                    yield Checked(rule, _fault(database, live, rule, appends=appends), live.title)
                continue
            table = described.get(rule.stream)
            if isinstance(table, str):
                yield Checked(rule, table)
            elif table is None:
                yield Checked(rule, _of(rule, f"the catalog has none{nearest(rule.stream, described)}"))
            else:
                yield Checked(rule, _fault(database, table, rule, appends=appends))


def tables(config: Mapping[str, Any], dsn: str | None, catalog: Mapping[str, Any] | None) -> dict[str, Table]:
    """Return the table of each stream that a rule watches.

    Args:
        config: the target's.
        dsn: the database whose tables are looked at where there is no catalog: those that loads fill.
        catalog: what a tap discovers.

    Raises:
        SettingsError: the rules are not valid.
        RuleError: a stream has no table that its rules could watch.
        MessageError: the catalog is not valid.
    """
    parsed = settings.parse(config)
    if catalog is None:
        assert dsn is not None
        with closing(Postgres(dsn, 0, creates=False)) as database:
            streams = {rule.stream for rule in parsed.rules}
            by_stream = {stream: database.table_of(stream, parsed.place_of(stream)) for stream in streams}
    else:
        by_stream = dict(_tables(catalog, parsed))
    watched: dict[str, Table] = {}
    for rule in parsed.rules:
        table = by_stream.get(rule.stream)
        if table is None:
            raise RuleError(_of(rule, f"the catalog has none{nearest(rule.stream, by_stream)}"))
        if isinstance(table, str):
            raise RuleError(table if catalog is not None else _of(rule, f"{table}; load it first, or give a catalog"))
        plan.check(table, [rule], appends=parsed.load_method == "append-only")
        watched[rule.stream] = table
    return watched


def _of(rule: Rule, fault: str) -> str:
    return f'stream "{rule.stream}", {rule.location} of the rule "{rule.type}": {fault}'


def _fault(database: Postgres, table: Table, rule: Rule, *, appends: bool) -> str | None:
    try:
        plan.check(table, [rule], appends=appends)
        database.check(table, [rule])
    except RuleError as error:
        return str(error)
    return None


def _tables(catalog: Mapping[str, Any], parsed: settings.Settings) -> Iterator[tuple[str, Table | str]]:
    """Yield each stream of a catalog with its table, or why it can have none."""
    entries = catalog.get("streams")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MessageError('the catalog has no list "streams"; make it with the tap\'s --discover')
    for entry in entries:
        name = entry.get("stream") or entry.get("tap_stream_id")
        metadata = entry.get("metadata") if isinstance(entry.get("metadata"), list) else []
        top: Mapping[str, Any] = next((m.get("metadata", {}) for m in metadata if not m.get("breadcrumb")), {})
        try:
            yield (
                name,
                table(
                    name,
                    entry.get("schema") or {},
                    key=entry.get("key_properties") or top.get("table-key-properties") or [],
                    replication_key=entry.get("replication_key"),
                    default_schema=parsed.default_schema,
                    mapping=parsed.schemas_by_prefix,
                    with_metadata=parsed.with_metadata,
                    column=parsed.column_types.column,
                ),
            )
        except InvalidSchemaError as error:
            yield name, str(error)


@contextlib.contextmanager
def rehearsed(config: Mapping[str, Any], dsn: str, source: IO[str]) -> Iterator[str]:
    """Load an input into a throw-away database on a server; yield its dsn, from which the events can be read meanwhile.

    All is as in a first load, but that its events are recorded.

    Raises:
        ConnectionLostError: nothing answers there, or it refuses.
        DatabaseError: the user may not make a database there.
        EventgenError: whatever the load meets.
    """
    name = f"eventgen_try_{secrets.token_hex(6)}"
    with closing(connect(dsn, "target-eventgen rules try")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            try:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except errors.InsufficientPrivilege as error:
                raise DatabaseError(
                    f"at {location_of(dsn)} this user may not make a database to try rules in; name one where it may with "
                    "--database-url, or try them in another folder without a database's name, in an embedded Postgres"
                ) from error
            try:
                throw_away = str(make_dsn(dsn, dbname=name))
                # The dsn says how the database is reached.
                address = {*database_address.PARTS, *database_address.TLS, "ssh_tunnel"}
                given = {key: value for key, value in config.items() if key not in {*address, *_OUTWARD}}
                given["events"] = [
                    {key: value for key, value in rule.items() if key != "guard"} for rule in given.get("events") or []
                ]
                with contextlib.redirect_stdout(io.StringIO()):
                    singer_target.load({**given, "database_url": throw_away, "initial_load": "emit"}, source)
                yield throw_away
            finally:
                with contextlib.suppress(psycopg2.Error):
                    cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def tried_live(config: Mapping[str, Any], dsn: str, source: IO[str], max_seconds: float) -> Trial:
    """Load an input into the live tables in one transaction that is rolled back; return what would have become of it.

    The input is read to its end before anything is locked.

    Raises:
        ConnectionLostError: nothing answers there, or it refuses.
        DatabaseError: it takes too long, waits too long for a lock, or meets what a load would end with.
        EventgenError: whatever else the load meets.
    """
    given = {key: value for key, value in config.items() if key not in {*database_address.PARTS, *_OUTWARD}}
    given["database_url"] = dsn
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as whole:
        shutil.copyfileobj(source, whole)
        whole.seek(0)
        connection = TrialConnection(dsn, lock_timeout=config.get("lock_timeout"), max_seconds=max_seconds)
        trial = Trial(dsn, secrets.randbits(62), connection)
        with closing(trial), contextlib.redirect_stdout(io.StringIO()):
            singer_target.load(given, whole, trial)
    return trial
