"""The table that a stream is stored in: its name, its columns, their Postgres types; all derived from the SCHEMA.

Types are those that users of other Postgres targets of the SDK expect, but for two. `date-time` becomes timestamptz,
not timestamp: a timestamp without zone drops the offset, so that 12:00+02:00 and 10:00Z compare as different instants
and versions would be ordered wrongly. Arrays become jsonb, not Postgres arrays: items may be of mixed types or nested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from target_eventgen.errors import InvalidSchemaError
from target_eventgen.model.versions import DROP, FINE, HELD

METADATA: Final[Mapping[str, str]] = {
    "_sdc_extracted_at": "timestamp with time zone",
    "_sdc_received_at": "timestamp with time zone",
    "_sdc_batched_at": "timestamp with time zone",
    "_sdc_deleted_at": "timestamp with time zone",
    "_sdc_sequence": "bigint",
    "_sdc_table_version": "bigint",
    "_sdc_sync_started_at": "bigint",
}
"""The SDK's metadata columns. They describe the load, not the record: no content, no part of an event."""

EXTRACTED_AT: Final = "_sdc_extracted_at"
"""The metadata column that says when the tap had the record; the first of them."""

PER_BATCH: Final = ("_sdc_batched_at", "_sdc_sync_started_at")
"""The metadata columns that say the same of all records of a batch."""

DELETED_AT: Final = "_sdc_deleted_at"
"""The metadata column that marks a row as deleted."""

TABLE_VERSION: Final = "_sdc_table_version"
"""The metadata column that says with which version of its whole table a row came."""

PREFIX: Final = "_eventgen_"
"""Begins every name of ours beside the stream's columns; a property may not begin with it."""

VERSION: Final = "_eventgen_version"
"""The column that counts a row's accepted versions."""

INSTANT_HISTORY: Final = "_eventgen_instant_history"
"""The column that remembers a row's contents at its present instant: the run that recorded the last, then their hashes.

NULL while there was only one.
"""

INSTANT: Final = "_eventgen_instant"
"""The column that says, as text, the instant of a row that has no version of its own; else NULL."""

GENERATION: Final = "_eventgen_generation"
"""The column that numbers the widening of the table up to which a row knows its columns; see `added_columns`."""

OWN: Final[tuple[tuple[str, str], ...]] = (
    (VERSION, "bigint NOT NULL DEFAULT 0"),
    (INSTANT_HISTORY, "bigint[]"),
    (INSTANT, "text"),
)
"""The columns that every table of ours has beside the stream's and the SDK's, with their types."""

MAX_TABLE_COLUMNS: Final = 1600
"""Columns that a table of Postgres's can have."""

MAX_PAIRED_COLUMNS: Final = 500
"""Columns of a version that stand beside those of the one before it; where there are more, that one is a single value.

A version stands beside the one before it, and beside what is needed to fill what it doesn't mention, in a row of at
most 1,664 values.
"""

OUR_SCHEMA: Final = "eventgen"
"""The Postgres schema of our own tables, in which no stream's is made."""

MAX_IDENTIFIER_BYTES: Final = 63
"""Bytes of an identifier that Postgres keeps; it cuts the rest off silently, which would let two names collide."""

SYSTEM_NAMES: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Columns that every Postgres table has already."""

ORDERED_TYPES: Final = frozenset(
    {
        "timestamp with time zone",
        "timestamp without time zone",
        "date",
        "time without time zone",
        "time with time zone",
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "text",
        "character varying",
        "jsonb",
    }
)
"""Types whose values can say which of two versions is older."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_FORMATS: Final = {
    "date-time": "timestamp with time zone",
    "date": "date",
    "time": "time without time zone",
    "uuid": "uuid",
}
MOMENTS: Final = frozenset(
    {"timestamp with time zone", "timestamp without time zone", "date", "time without time zone"}
)
"""Types for whose values Postgres knows words, such as "now"."""

WORDS: Final = re.compile(r"(?<![a-z])(now|today|tomorrow|yesterday|epoch|infinity|allballs)(?![a-z])", re.IGNORECASE)
"""Those words."""

DATED: Final = MOMENTS - {"time without time zone"}
"""Those of them whose values have a year."""

_CLOCK: Final = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[+-]\d{1,2}(?::?\d{2}){0,2})?|(?<=[A-Za-z])[+-]\d{1,4}"
)
"""A time of day, with its offset, or an offset behind the name of a zone."""

_YEAR: Final = re.compile(r"(?<!\d)(?:\d{4,5}|\d{6}(?=-)|\d{7,})(?!\d)")
"""A year, alone or at the beginning of a date in digits; six digits are one with a year of two."""

_DATE_BEGINS: Final = re.compile(
    r"\s*\d|.*(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE | re.DOTALL
)
"""What a text that Postgres may take for a date begins with, or has in it: a digit, a month."""


def has_whole_year(text: str) -> bool:
    """Return whether a date or an instant names its year with four digits or more; Postgres guesses shorter ones."""
    return (text[:4].isdigit() and text[4:5] == "-") or _YEAR.search(_CLOCK.sub(" ", text)) is not None


def may_lack_century(text: str) -> bool:
    """Return whether a text may be a date to Postgres, which guesses the century of a shorter year."""
    return _DATE_BEGINS.match(text) is not None and not has_whole_year(text)


_SCALARS: Final = {"integer": "bigint", "number": "numeric", "boolean": "boolean"}


_MODIFIER: Final = re.compile(r"\(\d+(?:,-?\d+)?\)")
"""A type's length, precision or scale, as Postgres spells it."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the SCHEMA.
        type: as Postgres spells it.
        domain_of: what the type is made of, where it is a domain.
        natural: the type for the property's JSON types, where a new column has another; see `column_types`.
        encoding: the `contentEncoding` of its texts.
        fault: why a new column can't be made for the property.
    """

    name: str
    type: str
    domain_of: str | None = field(default=None, compare=False)
    natural: str | None = field(default=None, compare=False)
    encoding: str | None = field(default=None, compare=False)
    fault: str | None = field(default=None, compare=False)

    @property
    def bare(self) -> str:
        """The type of the column's values, without length, precision or scale."""
        return _MODIFIER.sub("", self.domain_of or self.type)

    @property
    def ignores_case(self) -> bool:
        """Whether values that differ in case alone are equal to Postgres."""
        return self.bare.rpartition(".")[2] == "citext"


class Table(Struct, frozen=True):
    """Where a stream is stored.

    Attributes:
        stream: the stream's name.
        schema: the Postgres schema.
        name: the table's name within it.
        content: the columns of the stream's properties, in their order.
        metadata: the SDK's columns, none where they are turned off.
        key: names of the key columns; empty where every record is a row of its own.
        replication_key: the column that says which of two versions is older; None where arrival does.
        further_keys: columns that say it where those before are equal.
        order: how they are ordered where their type doesn't say it; see `versions`.
        stale: what becomes of a record that is older than its row; see `versions`.
        untyped: the columns whose SCHEMA says that they only ever were null: what they are is still to come.
        needed: those of them that have the type which rules need, until then.
    """

    stream: str
    schema: str
    name: str
    content: tuple[Column, ...]
    metadata: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    replication_key: Column | None = None
    untyped: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    further_keys: tuple[Column, ...] = ()
    order: str = HELD
    stale: str = DROP

    @property
    def is_fine(self) -> bool:
        """Whether it has the column for what versions have beyond microseconds."""
        return any(column.name == FINE for column in self.content)

    def with_fine(self) -> Table:
        """Return the table with that column."""
        return self if self.is_fine else replace(self, content=(*self.content, Column(FINE, "numeric")))

    @property
    def properties(self) -> tuple[Column, ...]:
        """The content without columns of ours."""
        return tuple(column for column in self.content if column.name != FINE)

    def with_needed(self, types: Mapping[str, str]) -> Table:
        """Return the table with columns of properties that only ever were null in the types that rules need."""
        content = tuple(
            Column(column.name, types[column.name]) if column.name in types else column for column in self.content
        )
        return replace(self, content=content, needed=frozenset(types))

    @property
    def columns(self) -> tuple[Column, ...]:
        """Content, then metadata."""
        return self.content + self.metadata

    @property
    def title(self) -> str:
        """The table as a message names it."""
        return f'"{self.schema}"."{self.name}"'

    @property
    def quoted(self) -> str:
        """The table's full name as SQL has it."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.schema, self.name))


def location(stream: str, default_schema: str | None, mapping: Mapping[str, str] = _NOTHING) -> tuple[str, str]:
    """Return (schema, table) for a stream: `schema-table`, as SQL targets of the SDK read it.

    A prefix that is mapped goes where it is mapped to; any other gives the schema unless a default is configured.
    Without either it is `public`.
    """
    parts = stream.split("-")
    if len(parts) in {2, 3} and all(parts):
        return mapping.get(parts[-2]) or default_schema or parts[-2], parts[-1]
    return default_schema or "public", stream


def table(  # noqa: PLR0913  each is a fact of the SCHEMA message or of the settings
    stream: str,
    schema: Mapping[str, Any],
    *,
    key: Sequence[str],
    replication_key: str | Sequence[str] | None,
    default_schema: str | None,
    with_metadata: bool,
    with_marks: bool = False,
    mapping: Mapping[str, str] = _NOTHING,
    column: Callable[[str, str, Any], Column] | None = None,
) -> Table:
    """Return the table for a SCHEMA message.

    Args:
        stream: its name.
        schema: its JSON Schema.
        key: its key properties.
        replication_key: the property that says which of two versions is older, or several, the first of them first.
        default_schema: the Postgres schema of every stream, if there is one.
        with_metadata: whether the table gets all of the SDK's columns.
        mapping: Postgres schemas for prefixes of streams' names.
        column: makes the column of a stream, a property and its definition; by its JSON types alone if not given.
        with_marks: whether it gets at least those that mark deletions, as a SCHEMA with `_sdc_deleted_at` has it.

    Raises:
        InvalidSchemaError: no properties, or names that Postgres can't hold.
    """
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise InvalidSchemaError(
            f'stream "{stream}": its SCHEMA has no properties, so there is nothing to make columns of; '
            "the tap must describe the stream's properties"
        )
    column = column or (lambda _, name, definition: Column(name, postgres_type(definition)))
    content = tuple(column(stream, name, given) for name, given in properties.items() if name not in METADATA)
    _check_count(stream, content, has_key=bool(key))
    schema_name, table_name = location(stream, default_schema, mapping)
    _check_names(stream, schema_name, table_name, content)
    marks = {DELETED_AT, TABLE_VERSION} if with_marks else {DELETED_AT} & set(properties)
    by_name = {each.name: each for each in content}
    for name in key:
        if name not in by_name:
            raise InvalidSchemaError(
                f'stream "{stream}": key property "{name}" is not among the properties of its SCHEMA; '
                "the tap must send both alike"
            )
    names = [replication_key] if isinstance(replication_key, str) else replication_key or ()
    ordering = tuple(by_name[name] for name in dict.fromkeys(names) if name in by_name)
    return Table(
        stream,
        schema_name,
        table_name,
        content,
        tuple(Column(name, METADATA[name]) for name in METADATA if with_metadata or name in marks),
        tuple(key),
        ordering[0] if ordering else None,
        frozenset(name for name in by_name if set(_types(properties[name])) == {"null"}),
        further_keys=ordering[1:],
    )


def _check_count(stream: str, content: Sequence[Column], *, has_key: bool) -> None:
    # A table with a key may get GENERATION, too.
    most = MAX_TABLE_COLUMNS - len(METADATA) - len(OWN) - has_key
    if len(content) > most:
        raise InvalidSchemaError(
            f'stream "{stream}": it has {len(content)} properties, and a table can have {most} columns for a stream '
            f"{'with' if has_key else 'without'} key properties; leave some out with a stream map, or keep them in an object"
        )


def _check_names(stream: str, schema_name: str, table_name: str, content: Sequence[Column]) -> None:
    for kind, name in (
        ("schema", schema_name),
        ("table", table_name),
        *(("column", column.name) for column in content),
    ):
        fault = name_fault(name, is_column=kind == "column")
        if fault:
            raise InvalidSchemaError(
                f'stream "{stream}": the {kind} name "{name[:80]}" {fault}; rename it with a stream map'
            )
    if schema_name == OUR_SCHEMA:
        raise InvalidSchemaError(
            f'stream "{stream}": its table would lie in the Postgres schema "{OUR_SCHEMA}", which holds the outbox and is '
            "target-eventgen's own; set default_target_schema or schema_mapping, or rename the stream with a stream map"
        )


def name_fault(name: str, *, is_column: bool) -> str | None:
    """Return why Postgres can't hold the name, or None."""
    if not name or "\0" in name:
        return "is not an identifier"
    if len(name.encode()) > MAX_IDENTIFIER_BYTES:
        return f"is longer than the {MAX_IDENTIFIER_BYTES} bytes that Postgres keeps of an identifier"
    if is_column and (name in SYSTEM_NAMES or name.startswith(PREFIX)):
        return "is taken by Postgres or by target-eventgen"
    return None


WIDER: Final[Mapping[str, tuple[str, ...]]] = {
    "smallint": ("integer", "bigint", "numeric", "text", "jsonb"),
    "integer": ("bigint", "numeric", "text", "jsonb"),
    "bigint": ("numeric", "text", "jsonb"),
    "numeric": ("text", "jsonb"),
    "boolean": ("text", "jsonb"),
    "date": ("timestamp with time zone", "text", "jsonb"),
    "timestamp with time zone": ("text", "jsonb"),
    "time without time zone": ("time with time zone", "text", "jsonb"),
    "time with time zone": ("text", "jsonb"),
    "uuid": ("text", "jsonb"),
    "text": ("jsonb",),
}
"""To which types a column can go without a loss."""


def widened(stored: str, wanted: str) -> str | None:
    """Return the type that a column must get, so that it holds its present values and those of its SCHEMA.

    None where it may stay: it is that type, a wider one, or one that no SCHEMA asks for, which is its owner's choice.

    Args:
        stored: the column's type.
        wanted: the type for its SCHEMA.
    """
    if stored == "json":
        # Postgres can't tell whether two of these are equal.
        return "jsonb"
    if stored.startswith("character varying") and not stored.endswith("[]"):
        return wanted if wanted in {"text", "jsonb"} else None
    if stored == wanted or stored not in WIDER or stored in WIDER.get(wanted, ()):
        return None
    if wanted in WIDER[stored]:
        return wanted
    return _common({stored, wanted})


def postgres_type(definition: Any) -> str:
    """Return the Postgres type for a property's JSON Schema; jsonb holds whatever has no single type.

    A property that only ever was null is a text until its SCHEMA says what it is.
    """
    types = set(_types(definition))
    if types == {"null"}:
        return "text"
    types.discard("null")
    return _common(types)


def _common(types: set[str]) -> str:
    """Return the type that holds what each of these does."""
    if not types:
        return "jsonb"
    if len(types) == 1:
        return next(iter(types))
    if types <= {"bigint", "numeric"}:
        return "numeric"
    if "jsonb" in types or not types & {"text", *_FORMATS.values()}:
        return "jsonb"
    # A string beside any scalar: text holds each of them as it was written.
    return "text"


def _types(definition: Any) -> Iterator[str]:
    """Yield the Postgres type of each alternative of a JSON Schema, and "null"."""
    if not isinstance(definition, dict):
        return
    for union in ("anyOf", "oneOf", "allOf"):
        for alternative in definition.get(union) or ():
            yield from _types(alternative)
    named = definition.get("type", ())
    for name in [named] if isinstance(named, str) else named:
        if name == "null":
            yield "null"
        elif name == "string":
            yield _FORMATS.get(definition.get("format", ""), "text")
        else:
            yield _SCALARS.get(name, "jsonb")
