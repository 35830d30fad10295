"""The general encoder: any record as a line of Postgres's COPY text format, ready for a staging table.

One encoder a column, chosen once by the column's type. Values are written as the tap sent them: Postgres parses
timestamps, numbers and JSON, so that there is one opinion on what they mean. A property that a record doesn't have is
named in the line's bits of absent columns, which is how "absent" stays apart from null and from an empty string.

Postgres can't store NUL characters. Each becomes U+FFFD, the character that stands for one which could not be stored:
the rest of the record is worth more than an end of the run, and a text of another length would hide it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from target_eventgen.errors import InvalidRecordError, MissingKeyError
from target_eventgen.model.arrival import PLAIN, encoded_as
from target_eventgen.model.column_types import decoded
from target_eventgen.model.tables import PER_BATCH, Column, Table
from target_eventgen.model.versions import FINE, split

NULL: Final = "\\N"
"""What COPY reads as NULL."""

MAX_INTEGER_DIGITS: Final = 100
"""Digits of an integer that are written out where it is spelt with an exponent; no integer column holds as many."""

_FIELD: Final = "\t"
_SPECIAL: Final = re.compile(r"[\\\n\r\t\0]")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_JSON: Final = msgspec.json.Encoder(decimal_format="number")


class _NulError(ValueError):
    """A text holds NUL."""


def _escaped(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return text
    if "\0" in text:
        raise _NulError
    return text.translate(_ESCAPES)


def as_text(value: Any) -> str:
    """Return a value for a text column: strings as they are, the rest as JSON writes it."""
    if type(value) is str:
        return _escaped(value)
    return as_json(value)


def as_moment(value: Any) -> str:
    """Return a metadata column's instant; a text that is not an instant, Postgres refuses in its own words."""
    return NULL if value is None else as_text(_without_nul(value))


def as_json(value: Any) -> str:
    """Return a value for a jsonb column."""
    text = _JSON.encode(value).decode()
    if "\\" not in text:
        return text
    if "\\u0000" in text and _without_nul(value) != value:
        raise _NulError
    return text.translate(_ESCAPES)


def as_line(record: Mapping[str, Any]) -> str:
    """Return a record as JSON, on one line."""
    return _JSON.encode(record).decode()


def without_line(lines: str, number: int) -> str:
    """Return COPY lines without one, by its number from 1; a line break within a value is always escaped."""
    rest = lines.split("\n")
    del rest[number - 1]
    return "\n".join(rest)


def _without_nul(value: Any) -> Any:
    """Return JSON with each NUL replaced."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value


def as_number(value: Any) -> str:
    """Return a value for a number column, all of its digits."""
    if type(value) is int or type(value) is Decimal:
        return str(value)
    return as_text(value)


def as_integer(value: Any) -> str:
    """Return a value for an integer column; 1.0 and 1e3 are integers in JSON Schema."""
    if type(value) is int:
        return str(value)
    # To write out a number with a huge exponent takes hours; Postgres refuses it as it is spelt.
    if type(value) is Decimal and value.adjusted() < MAX_INTEGER_DIGITS and value == value.to_integral_value():
        return str(int(value))
    return as_number(value)


def as_boolean(value: Any) -> str:
    """Return a value for a boolean column."""
    if value is True:
        return "t"
    if value is False:
        return "f"
    return as_text(value)


def encoder(type_: str) -> Callable[[Any], str]:
    """Return the encoder for a column type, as Postgres spells it."""
    if type_ in {"jsonb", "json"}:
        return as_json
    if type_ in {"bigint", "integer", "smallint"}:
        return as_integer
    if type_.startswith("numeric") or type_ in {"real", "double precision"}:
        return as_number
    if type_ == "boolean":
        return as_boolean
    return as_text


def is_binary(column: Column, wanted: Column) -> bool:
    """Return whether a column holds the bytes that texts stand for.

    Args:
        column: as it is in the database.
        wanted: for its SCHEMA.
    """
    return wanted.encoding is not None and column.bare == "bytea"


def bytes_encoder(stream: str, name: str, encoding: str) -> Callable[[Any], str]:
    """Return the encoder for a bytea column whose values are texts in an encoding."""

    def encode(text: Any) -> str:
        data = decoded(text, encoding)
        if data is None:
            raise InvalidRecordError(
                f'stream "{stream}", property "{name}": a record has a value there that is not {encoding}, though its SCHEMA '
                "says so (contentEncoding), and its column is bytea; correct the record or the SCHEMA in the tap"
            )
        return "\\\\x" + data.hex()

    return encode


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def identity(type_: str) -> Callable[[Any], Any]:
    """Return the function that gives values of a key column an identity: equal exactly where they are stored as equal.

    The identity is None for values that may be spelt in more ways than one; only Postgres can compare these.
    """

    def of_integer(value: Any) -> int | None:
        return value if type(value) is int else None

    def of_text(value: Any) -> str | None:
        return str(value).replace("\0", "\ufffd") if type(value) in {int, str} else None

    def of_uuid(value: Any) -> str | None:
        return value.lower() if type(value) is str and _UUID.fullmatch(value) else None

    def unknown(_: Any) -> None:
        return None

    integers = dict.fromkeys(("smallint", "integer", "bigint"), of_integer)
    return {**integers, "text": of_text, "uuid": of_uuid}.get(type_, unknown)


def noting(name: str, bare: str, loose: set[str]) -> Callable[[Any], Any]:
    """Return the function that returns a field as it is, and adds its column to those with texts that would be cut.

    Args:
        name: of the column.
        bare: its type, one of `PLAIN`.
        loose: the columns so far.
    """
    is_plain = PLAIN[bare]

    def noted(field: Any) -> Any:
        if type(field) is str and field != NULL and is_plain(field) is None:
            loose.add(name)
        return field

    return noted


class Metadata(Struct, frozen=True):
    """The SDK's metadata of one record, without what is the same for a whole batch.

    Times as ISO 8601, the rest as Singer has it.
    """

    extracted_at: str | None
    received_at: str
    deleted_at: str | None
    sequence: int
    table_version: int | None


class GeneralEncoder:
    """Turns records of one table into COPY lines.

    Attributes:
        replaced_nul: columns in which a NUL character was replaced.
        loose: columns of dates and times in which some text was more than that.
    """

    def __init__(self, table: Table, types: Sequence[Column]) -> None:
        """Take the types from the table as it is in the database: an older table may have others than the SCHEMA."""
        by_name = {column.name: column for column in types}
        self._stream = table.stream
        self._key = table.key
        self.loose: set[str] = set()
        self._content = [(column.name, self._encoder_of(by_name[column.name], column)) for column in table.content]
        self._names = frozenset(column.name for column in table.content)
        self._metadata = tuple(column.name for column in table.metadata if column.name not in PER_BATCH)
        ordering = [column.name for column in (table.replication_key, *table.further_keys) if column is not None]
        of_deletions = {*table.key, *ordering, FINE}
        self._fine = ordering[0] if table.is_fine else None
        self._not_of_deletions = frozenset(self._names - of_deletions)
        self.replaced_nul: set[str] = set()

    def _encoder_of(self, column: Column, wanted: Column) -> Callable[[Any], str]:
        """Return the encoder of a column, which notes texts that the column's type would cut."""
        if is_binary(column, wanted):
            return bytes_encoder(self._stream, column.name, wanted.encoding or "")
        encode = encoder(encoded_as(column, wanted.type))
        if column.bare not in PLAIN:
            return encode
        note = noting(column.name, column.bare, self.loose)
        return lambda value: note(encode(value))

    def surplus(self, record: Mapping[str, Any]) -> set[str]:
        """Return the properties of a record that have no column."""
        return set() if self._names.issuperset(record) else set(record) - self._names

    def of_deletion(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a deletion says: a record of nothing but keys and nulls says nothing of the row's content."""
        return record if self.has_content(record) else self.bare(record)

    def has_content(self, record: Mapping[str, Any]) -> bool:
        """Return whether a deletion has values beside its key and its replication key."""
        return any(record.get(name) is not None for name in self._not_of_deletions.intersection(record))

    def bare(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a deletion without its content: which row is gone, and since which version."""
        return {
            name: value for name, value in record.items() if name not in self._not_of_deletions and value is not None
        }

    def line(self, number: int, record: Mapping[str, Any], metadata: Metadata | None) -> tuple[str, list[int]]:
        """Return the COPY line of a record, and the indexes of the columns that it doesn't mention.

        Args:
            number: the record's number in its checkpoint, in order of arrival.
            record: property names to decoded JSON.
            metadata: None where the table has no metadata columns.

        Raises:
            MissingKeyError: a key property is absent or null.
        """
        for name in self._key:
            if record.get(name) is None:
                fault = "is null" if name in record else "is missing"
                raise MissingKeyError(
                    f'stream "{self._stream}": the key property "{name}" {fault} in a record; '
                    "the tap must send it in every record, or declare other key properties"
                )
        if metadata is not None and metadata.deleted_at is not None and self._key:
            record = self.of_deletion(record)
        values = [record.get(name, msgspec.UNSET) for name, _ in self._content]
        if self._fine is not None:
            self._split_version(values)
        return self.line_of_values(number, values, "" if metadata is None else self.tail(metadata))

    def _split_version(self, values: list[Any]) -> None:
        """Part the version of a record in what Postgres keeps and what is finer, the last value."""
        index = next(index for index, (name, _) in enumerate(self._content) if name == self._fine)
        version = values[index]
        if type(version) is str:
            values[index], values[-1] = split(version)
        else:
            values[-1] = None if version is not msgspec.UNSET else version

    def line_of_values(self, number: int, values: Sequence[Any], tail: str) -> tuple[str, list[int]]:
        """Return the COPY line of a record, and the indexes of the columns that it doesn't mention.

        Args:
            number: the record's number in its checkpoint, in order of arrival.
            values: of the content columns, decoded; UNSET where the record doesn't mention one.
            tail: what follows them; see `tail`.
        """
        fields: list[str] = []
        absent: list[int] = []
        for (name, encode), value in zip(self._content, values, strict=True):
            if value is None:
                fields.append(NULL)
            elif value is msgspec.UNSET:
                absent.append(len(fields))
                fields.append(NULL)
            else:
                try:
                    fields.append(encode(value))
                except _NulError:
                    self.replaced_nul.add(name)
                    fields.append(encode(_without_nul(value)))
        bits = _bits(absent, len(self._content)) if absent else NULL
        return f"{number}\t{bits}\t{_FIELD.join(fields)}{tail}\n", absent

    def tail(self, metadata: Metadata) -> str:
        """Return what the metadata columns add to a line, with the tab before it; nothing where there are none."""
        return "".join(f"\t{field}" for field in _metadata_fields(metadata, self._metadata))


def _bits(indexes: Sequence[int], count: int) -> str:
    """Return so many bits, of which those at these indexes are set."""
    bits = bytearray(b"0" * count)
    for index in indexes:
        bits[index] = 49
    return bits.decode()


def _metadata_fields(metadata: Metadata, names: Sequence[str]) -> list[str]:
    fields = {
        "_sdc_extracted_at": as_moment(metadata.extracted_at),
        "_sdc_received_at": metadata.received_at,
        "_sdc_deleted_at": as_moment(metadata.deleted_at),
        "_sdc_sequence": str(metadata.sequence),
        "_sdc_table_version": NULL if metadata.table_version is None else as_integer(metadata.table_version),
    }
    return [fields[name] for name in names]
