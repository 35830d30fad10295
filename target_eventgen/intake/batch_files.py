"""The records in the files of a BATCH message, one at a time: a file may be larger than the memory.

Files are those that the SDK writes: JSON lines, plain or gzipped, and Parquet where pyarrow is installed; in any
storage that fsspec reaches.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
from singer_sdk.helpers._batch import StorageTarget

from target_eventgen.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PARQUET_ROWS: Final = 1000
"""Rows of a Parquet file that are decoded at once."""

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def records(message: Mapping[str, Any], batch_config: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the records of a BATCH message, in the order of its manifest.

    Args:
        message: the BATCH message.
        batch_config: the setting, whose storage goes before the one that a file's address names.

    Raises:
        MessageError: a file is missing, broken, or of a format that can't be read.
    """
    encoding = message["encoding"]
    if not isinstance(encoding, dict) or not isinstance(message["manifest"], list):
        raise MessageError(
            f'stream "{message["stream"]}": a BATCH needs an object "encoding" and a list "manifest"; correct the tap'
        )
    storage = (batch_config or {}).get("storage")
    for address in message["manifest"]:
        head, name = StorageTarget.split_url(address)
        target = StorageTarget.from_dict(storage) if storage else StorageTarget.from_url(head)
        where = f'stream "{message["stream"]}": the BATCH file {name}'
        try:
            with target.open(name, mode="rb") as file:
                yield from _decoded(file, encoding, where)
        except (OSError, EOFError, zlib.error, ValueError, ArithmeticError) as error:
            raise MessageError(
                f"{where} can't be read ({type(error).__name__}); check that the tap's storage can be reached from here "
                "and that the tap wrote the file to its end"
            ) from error


def _decoded(file: IO[bytes], encoding: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    kind, compression = encoding.get("format"), encoding.get("compression")
    if kind == "jsonl" and compression in {None, "none", "gzip"}:
        for line in gzip.GzipFile(fileobj=file) if compression == "gzip" else file:
            if line.strip():
                record = _decode(line)
                if not isinstance(record, dict):
                    raise MessageError(f"{where} has a line that is not a JSON object; correct the tap")
                yield record
    elif kind == "parquet" and importlib.util.find_spec("pyarrow"):
        from pyarrow import parquet  # noqa: PLC0415  an optional dependency, and a slow import

        for rows in parquet.ParquetFile(file).iter_batches(PARQUET_ROWS):
            documents = [each.name for each in rows.schema if getattr(each.type, "extension_name", "") == "arrow.json"]
            # Dates, times and bytes become what a tap would have written in JSON.
            for row in msgspec.to_builtins(rows.to_pylist(), builtin_types=(Decimal,)):
                for name in documents:
                    row[name] = None if row[name] is None else _decode(row[name])
                yield row
    else:
        raise MessageError(
            f"{where} is of the format {kind!r}, compression {compression!r}, which can't be read here; "
            "set the tap's batch_config to jsonl, plain or gzip"
            + ("" if kind != "parquet" else ', or install the extra "parquet", which is pyarrow')
        )
