"""The streams' tables, brought up to their SCHEMA: created, widened, given a key; and the tables of our own.

Two targets may prepare one table at the same time. Whoever finds something to do takes an advisory lock until the end
of its transaction, and looks again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import psycopg2
from psycopg2 import errors, extensions

from target_eventgen.errors import DatabaseError, InvalidSchemaError, TableError, first_line
from target_eventgen.model.column_types import widened_to
from target_eventgen.model.foreign_keys import Place
from target_eventgen.model.guard import MAX_COUNTED_ROWS
from target_eventgen.model.tables import INSTANT_HISTORY, METADATA, OWN, PREFIX, Column, Table
from target_eventgen.store import catalog
from target_eventgen.store.connection import single_value
from target_eventgen.store.sql import guard, renames, tables

CANT_WIDEN: Final = (errors.FeatureNotSupported, errors.DatatypeMismatch, errors.InvalidTableDefinition)
"""Errors of an ALTER by which Postgres says that something depends on a column."""


class Past(NamedTuple):
    """What the catalog knows of a table.

    Attributes:
        stream: whose table it is.
        loaded: whether its first load has ended.
        remade: whether it was dropped and made again.
        generations: columns that were added to it while it had rows, with the number of the widening that added each.
        was_named: whether the ids of its events have named it until now.
        is_ambiguous: whether another table whose ids don't name it has a stream of the same name.
    """

    stream: str
    loaded: bool
    remade: bool
    generations: Mapping[str, int]
    was_named: bool
    is_ambiguous: bool

    @property
    def names_table(self) -> bool:
        """Whether the ids of its events name it."""
        return self.was_named or self.is_ambiguous


def past_of(cursor: extensions.cursor, table: Table) -> Past | None:
    """Return what the catalog knows of a table; None where it doesn't know the table."""
    cursor.execute(catalog.first_load(table))
    row = cursor.fetchone()
    return None if row is None else Past(*row)


def create_own_tables(cursor: extensions.cursor) -> None:
    """Create the tables of the schema `eventgen` where they are missing, and alter those of earlier code.

    Raises:
        DatabaseError: they are of earlier code, and not this role's to alter.
    """
    cursor.execute(catalog.EXIST)
    if cursor.fetchone() == (True,):
        return
    cursor.execute("SELECT to_regclass('eventgen.events') IS NOT NULL")
    is_earlier = single_value(cursor)
    cursor.execute(catalog.LOCK_TABLES)
    try:
        cursor.execute(catalog.CREATE)
    except errors.InsufficientPrivilege as error:
        if not is_earlier:
            raise
        raise DatabaseError(
            f"the tables of the schema eventgen are of an earlier version, and Postgres says {first_line(error)}: run a target of "
            "this version once as their owner, who may alter them, and then go on as this user"
        ) from error


def count_rows(cursor: extensions.cursor, table: Table) -> int:
    """Return how many rows a table has, marked ones among them; of a large one, how many Postgres takes it to have."""
    cursor.execute(guard.rows_up_to(table))
    rows = int(single_value(cursor))
    if rows <= MAX_COUNTED_ROWS:
        return rows
    cursor.execute(guard.estimated_rows(table))
    return max(rows, int(single_value(cursor)[0]["Plan"]["Plan Rows"]))


def place_of(cursor: extensions.cursor, table: Table) -> Place:
    """Return where a table is among foreign keys."""
    cursor.execute(tables.place_among_foreign_keys(table))
    reach, in_circle = cursor.fetchone() or ([], False)
    return Place(frozenset(reach), in_circle)


def check_own_tables(cursor: extensions.cursor) -> None:
    """Refuse a database without the tables of the schema eventgen, or with those of an earlier version.

    Raises:
        TableError: it is such a one.
    """
    cursor.execute(catalog.EXIST)
    if not single_value(cursor):
        raise TableError(
            "the tables of the schema eventgen are missing, or an earlier version made them; load once with this version, "
            "which makes or alters them"
        )


def table_of(cursor: extensions.cursor, stream: str, place: tuple[str, str]) -> Table | str:
    """Return the table that a stream is stored in, as it is in the database, or in words why there is none.

    Args:
        cursor: of a transaction.
        stream: its name.
        place: schema and table where loads of the configuration store it; streams of other pipelines may have its name.
    """
    cursor.execute("SELECT to_regclass('eventgen.streams') IS NOT NULL")
    places: list[tuple[str, str]] = []
    if single_value(cursor):
        cursor.execute(catalog.tables_of_stream(stream))
        places = [(str(schema), str(name)) for schema, name in cursor.fetchall()]
    if place in places and (table := table_at(cursor, stream, *place)) is not None:
        return table
    others = ", ".join(Table(stream, *other, ()).title for other in places if other != place)
    return f"no table of it is known here yet in {Table(stream, *place, ()).title}, where loads store it" + (
        f" (default_target_schema and schema_mapping say where; streams of this name are in {others})" if others else ""
    )


def table_at(cursor: extensions.cursor, stream: str, schema: str, name: str) -> Table | None:
    """Return a stream's table as it is in the database; None where there is none of this name."""
    bare = Table(stream, schema, name, ())
    content = tuple(
        column for column in columns(cursor, bare) if column.name not in METADATA and not column.name.startswith(PREFIX)
    )
    cursor.execute(tables.existing_keys(bare))
    keys = [tuple(names) for primary, names in cursor.fetchall() if primary]
    return Table(stream, schema, name, content, key=keys[0] if keys else ()) if content else None


def columns(cursor: extensions.cursor, table: Table) -> tuple[Column, ...]:
    """Return the table's columns as they are in the database; none where the table doesn't exist."""
    cursor.execute(tables.existing_columns(table))
    return tuple(Column(name, type_, domain_of) for name, type_, domain_of in cursor.fetchall())


def adapt(cursor: extensions.cursor, table: Table, types: tuple[Column, ...]) -> tuple[tuple[Column, ...], Past]:
    """Create or alter a table so that it can hold its stream.

    Args:
        cursor: of a transaction.
        table: what the SCHEMA asks for.
        types: its columns as they are; none where it doesn't exist.

    Returns the columns that it has then, and what the catalog knows of it.

    Raises:
        TableError: the table belongs to another stream, has another key, or can't be widened.
        InvalidSchemaError: a column that is missing can't be made.
    """
    existing = {column.name for column in types}
    for column in table.content:
        if column.fault is not None and column.name not in existing:
            raise InvalidSchemaError(column.fault)
    wanted = (*table.columns, *(Column(name, type_) for name, type_ in OWN))
    if (
        {column.name for column in wanted} - existing
        or to_widen(table, types)
        or to_type(cursor, table, types)
        or past_of(cursor, table) is None
    ):
        types = _create_or_alter(cursor, table, wanted)
    if table.key:
        _ensure_key(cursor, table)
    past = past_of(cursor, table)
    assert past is not None
    if past.stream != table.stream:
        raise TableError(
            f'stream "{table.stream}": its table {table.title} is that of the stream "{past.stream}"; '
            "give one of them another name with a stream map's __alias__, or unset default_target_schema"
        )
    if past.is_ambiguous and not past.was_named:
        cursor.execute(catalog.name_tables_in_ids(table.stream))
    return types, past


def _create_or_alter(cursor: extensions.cursor, table: Table, wanted: tuple[Column, ...]) -> tuple[Column, ...]:
    """Create or alter a table under the lock that keeps other targets from doing so; return its columns."""
    cursor.execute(catalog.LOCK_TABLES)
    types = columns(cursor, table)
    if not types:
        cursor.execute(tables.schema_exists(table.schema))
        if not single_value(cursor):
            cursor.execute(tables.create_schema(table.schema))
        cursor.execute(tables.create_table(table))
        _mark_untyped(cursor, table, table.untyped)
        cursor.execute(catalog.forget_first_load(table))
    if past_of(cursor, table) is None:
        cursor.execute(tables.has_rows(table))
        cursor.execute(catalog.add_table(table, loaded=single_value(cursor)))
    if types:
        _rename(cursor, table, types)
        _alter(cursor, table, columns(cursor, table), wanted)
    return columns(cursor, table)


def _rename(cursor: extensions.cursor, table: Table, types: tuple[Column, ...]) -> None:
    """Rename a column of ours that earlier code made under another name."""
    names = {column.name for column in types}
    if renames.FORMER_HISTORY in names and INSTANT_HISTORY not in names:
        cursor.execute(renames.rename_history(table))
        cursor.execute(renames.rename_history_in_tombstones(table))


def _alter(cursor: extensions.cursor, table: Table, types: tuple[Column, ...], wanted: tuple[Column, ...]) -> None:
    """Add the columns that a table lacks, and widen those whose SCHEMA says so."""
    existing = {column.name for column in types}
    if missing := [column for column in wanted if column.name not in existing]:
        cursor.execute(tables.add_columns(table, missing))
        _mark_untyped(cursor, table, table.untyped - existing)
    added = [column.name for column in table.properties if column.name not in existing]
    cursor.execute(tables.has_rows(table))
    if added and table.key and single_value(cursor):
        cursor.execute(tables.add_generation(table))
        past = past_of(cursor, table)
        generations = {} if past is None else past.generations
        number = max(generations.values(), default=0) + 1
        cursor.execute(catalog.store_generations(table, {**generations, **dict.fromkeys(added, number)}))
    typed = to_type(cursor, table, types)
    names_of_typed = {column.name for column in typed}
    wider = [column for column in to_widen(table, types) if column.name not in names_of_typed]
    try:
        for column in typed:
            cursor.execute(tables.give_type(table, column))
            if column.name not in table.untyped:
                cursor.execute(tables.unmark_untyped(table, column.name))
        if wider:
            cursor.execute(tables.widen(table, wider, types))
    except CANT_WIDEN as error:
        raise _cant_widen(table, (*typed, *wider), "its SCHEMA", error) from error


def widen(cursor: extensions.cursor, table: Table, narrow: Sequence[tuple[Column, Column]]) -> tuple[Column, ...]:
    """Widen columns for values that these would change; return the table's columns then.

    Args:
        cursor: of a transaction.
        table: of the stream.
        narrow: each column as it was thought to be, and as it must be; another target may have widened it since.

    Raises:
        TableError: a column can't be widened.
    """
    cursor.execute(catalog.LOCK_TABLES)
    types = columns(cursor, table)
    wider = [wide for column, wide in narrow if column in types]
    for column in wider:
        if next(each.domain_of for each in types if each.name == column.name) is not None:
            raise TableError(
                f'stream "{table.stream}", column "{column.name}" of {table.title}: its domain would change a value that '
                f"has come; give the column the type {column.type}, or the domain a wider one"
            )
    if not wider:
        return types
    try:
        cursor.execute(tables.widen(table, wider, types))
    except CANT_WIDEN as error:
        raise _cant_widen(table, wider, "a value that has come", error) from error
    return columns(cursor, table)


def _cant_widen(table: Table, columns: Sequence[Column], cause: str, error: psycopg2.Error) -> TableError:
    """Return the error for columns that something else depends on, which Postgres names in a detail."""
    names = ", ".join(f'"{column.name}" to {column.type}' for column in columns)
    # Such as: rule _RETURN on view seen depends on column "v"
    dependent = re.match(r"(?:rule .+? on )?(.+?) depends on column ", error.diag.message_detail or "")
    detail = f" ({dependent.group(1)})" if dependent else ""
    return TableError(
        f'stream "{table.stream}": {table.title} must be widened for {cause}, {names}, but Postgres says '
        f"{first_line(error)}{detail}; drop what depends on the column, run again, and create it again"
    )


def _mark_untyped(cursor: extensions.cursor, table: Table, names: AbstractSet[str]) -> None:
    for name in sorted(names):
        cursor.execute(tables.mark_untyped(table, name))


def _ensure_key(cursor: extensions.cursor, table: Table) -> None:
    """Add the primary key where no unique index of the table has its columns.

    Raises:
        TableError: the table has another primary key, or duplicates.
    """
    cursor.execute(tables.existing_keys(table))
    keys = cursor.fetchall()
    if any(set(names) == set(table.key) for _, names in keys):
        return
    if any(primary for primary, _ in keys):
        primary = next(names for is_primary, names in keys if is_primary)
        raise TableError(
            f'stream "{table.stream}": its key properties are ({", ".join(table.key)}), but the primary key of '
            f"{table.title} is ({', '.join(primary)}); change the table's key, or load into another table"
        )
    cursor.execute(catalog.LOCK_TABLES)
    try:
        cursor.execute(tables.add_key(table))
    except (errors.UniqueViolation, errors.NotNullViolation) as error:
        raise TableError(
            f'stream "{table.stream}": {table.title} has no primary key, and its rows are not distinct by '
            f"({', '.join(table.key)}), the stream's key properties; remove the duplicates, or load into another table"
        ) from error


def to_widen(table: Table, types: Sequence[Column]) -> list[Column]:
    """Return the columns whose SCHEMA asks for a wider type, with that type."""
    stored = {column.name: column.type for column in types}
    wider = [
        (column.name, widened_to(stored[column.name], column))
        for column in table.columns
        if column.name in stored and column.name not in table.untyped
    ]
    return [Column(name, type_) for name, type_ in wider if type_ is not None]


def to_type(cursor: extensions.cursor, table: Table, types: Sequence[Column]) -> list[Column]:
    """Return the columns of properties that only ever were null, hold nothing else, and now have a type.

    That type is the SCHEMA's, or else the one that rules need.
    """
    stored = {column.name: column.type for column in types}
    typed = [
        column
        for column in table.content
        if (column.name in table.needed or column.name not in table.untyped)
        and stored.get(column.name, column.type) != column.type
    ]
    free = free_columns(cursor, table, types, [column.name for column in typed])
    return [column for column in typed if column.name in free]


def free_columns(
    cursor: extensions.cursor, table: Table, types: Sequence[Column], names: Sequence[str] | None = None
) -> set[str]:
    """Return the columns of properties that only ever were null which may have any type yet.

    Args:
        cursor: of a transaction.
        table: what the SCHEMA asks for.
        types: its columns as they are; none where it doesn't exist.
        names: which columns to look at; without them, those of which the SCHEMA says so.
    """
    asked = table.untyped if names is None else {*names}
    existing = asked & {column.name for column in types}
    if not existing:
        return {*asked}
    cursor.execute(tables.untyped_columns(table))
    marked = {name for (name,) in cursor.fetchall()}
    return {name for name in asked if name not in existing or (name in marked and not _has_values(cursor, table, name))}


def _has_values(cursor: extensions.cursor, table: Table, name: str) -> bool:
    cursor.execute(tables.has_values(table, name))
    return bool(single_value(cursor))
