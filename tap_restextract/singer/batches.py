"""Files of BATCH messages: what is gathered between two of them, and how a file is written.

A file's columns are the stream's, whatever its first record has. Numbers keep their digits; what has no type of
Parquet's own (objects, arrays, several types) is a column of JSON, so that a nested property which one record lacks
isn't null there.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.singer.schema import Schema, kinds_in
from tap_restextract.walks.steps import Record

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BatchConfig

MAX_INT64: Final = 2**63 - 1
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class Batches(Struct):
    """What a stream has gathered for its next files.

    Attributes:
        config: format, storage and size.
        prefix: how the files' names begin.
        records: as they are to be written, in order.
        bookmarks: what is true once they are written, the last of each class; a queue's and a walk's share one STATE.
    """

    config: BatchConfig
    prefix: str
    records: list[Record] = field(default_factory=list)
    bookmarks: dict[type[Bookmark], Bookmark] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        if self.config.encoding.format == "parquet":
            _pyarrow()

    @property
    def is_full(self) -> bool:
        """Whether enough has gathered for a file."""
        return len(self.records) >= self.config.batch_size

    def file(self, stream: str, schema: Schema, records: Sequence[Any]) -> str:
        """Write a file with these records, in the columns of the schema; return its address.

        Raises:
            ConfigurationError: where Parquet can't hold a value, or the storage can't be written to.
        """
        self.count += 1
        name = f"{self.config.storage.prefix or ''}{self.prefix}-{stream}-{uuid4()}-{self.count}"
        compression = self.config.encoding.compression or "none"
        if self.config.encoding.format == "jsonl":
            content = _encoder.encode_lines(records)
            suffix = ".json.gz" if compression == "gzip" else ".json"
            return self._written(stream, name + suffix, gzip.compress(content, 6) if compression == "gzip" else content)
        from pyarrow import BufferOutputStream, parquet  # noqa: PLC0415  an optional dependency, and a slow import

        buffer = BufferOutputStream()
        parquet.write_table(table_of(stream, schema, records), buffer, compression=compression)
        return self._written(stream, f"{name}.parquet", buffer.getvalue())

    def _written(self, stream: str, name: str, content: Any) -> str:
        """Write a file into the storage; return its address."""
        try:
            with self.config.storage.open(name, "wb") as file:
                file.write(content)
            return self.config.storage.get_url(name)
        except (OSError, ImportError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            message = (
                f"stream {stream}: a BATCH file can't be written ({cause}); check batch_config.storage: its root must be "
                "a folder that exists or can be made, with rights and room, and the package of its file system installed"
            )
            raise ConfigurationError([message]) from error


def faults_in(batch_config: Mapping[str, Any]) -> list[str]:
    """Return what singer-sdk's schema of `batch_config` doesn't find, though no file can be written with it."""
    place = "config.batch_config"
    faults = [
        f"{place}: it lacks {parent}.{name}; {remedy}"
        for parent, name, remedy in (
            ("encoding", "format", "set it to jsonl or parquet"),
            ("storage", "root", "set it to where the files are to be, such as file:///data/batches"),
        )
        if not (batch_config.get(parent) or {}).get(name)
    ]
    size = batch_config.get("batch_size")
    return faults if size is None or size > 0 else [*faults, f"{place}.batch_size: it is {size}; set it to 1 or more"]


def table_of(stream: str, schema: Schema, records: Sequence[Any]) -> Any:
    """Return the Arrow table of records, with a column for each property of the schema.

    Raises:
        ConfigurationError: where Parquet can't hold a value, or it isn't what its schema says.
    """
    pa = _pyarrow()
    rows: list[Mapping[str, Any]] = [record if isinstance(record, dict) else dict(record) for record in records]
    columns = {}
    for name, definition in schema["properties"].items():
        values = [row.get(name) for row in rows]
        try:
            columns[name] = _column(pa, values, kinds_in(definition))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            message = (
                f"stream {stream}: a value of {name} is not what its SCHEMA says, or a number of more than 76 digits, which "
                f"Parquet can't hold; set batch_config's format to jsonl, or correct `schema` ({type(error).__name__})"
            )
            raise ConfigurationError([message]) from error
    return pa.table(columns)


def _column(pa: Any, values: list[Any], kinds: frozenset[str] | None) -> Any:
    if kinds is not None:
        if kinds <= {"string"} or kinds == {"date-time"}:
            return pa.array(values, pa.string())
        if kinds == {"boolean"}:
            return pa.array(values, pa.bool_())
        if kinds <= {"integer", "number"}:
            return _numbers(pa, values)
    texts = [None if value is None else _encoder.encode(value).decode() for value in values]
    return pa.array(texts, pa.json_())


def _numbers(pa: Any, values: list[Any]) -> Any:
    """Return whole numbers as int64 where it holds them, and all others as decimals of as many digits as needed."""
    if all(value is None or (type(value) is int and -MAX_INT64 <= value <= MAX_INT64) for value in values):
        return pa.array(values, pa.int64())
    if any(isinstance(value, bool | str) for value in values):
        raise TypeError
    return pa.array([None if value is None else Decimal(str(value)) for value in values])


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional dependency, and a slow import
    except ImportError as error:
        message = (
            "config.batch_config: Parquet needs pyarrow; install the extra: pip install 'tap-restextract[parquet]', "
            "or set format to jsonl"
        )
        raise ConfigurationError([message]) from error
    return pa
