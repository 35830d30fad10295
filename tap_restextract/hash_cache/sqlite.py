"""A hash cache in a SQLite file: the default, beside the project."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tap_restextract.errors import CacheError, ConfigurationError
from tap_restextract.exchange.validators import Validator, decode_validator, encoded_validator
from tap_restextract.hash_cache.protocol import BATCH, Key, confirmed_validator

TABLES = """
create table if not exists cache (only integer primary key check (only = 1), identity text not null, passes integer not null);
create table if not exists hashes (
    stream text not null, key text not null, hash text not null, emitted integer not null, seen integer not null,
    deleted integer not null default 0, primary key (stream, key)
) without rowid;
create table if not exists begun (stream text primary key, number integer not null) without rowid;
create table if not exists finished (stream text primary key, number integer not null) without rowid;
create table if not exists validators (stream text primary key, number integer not null, held text not null) without rowid;
create index if not exists hashes_seen on hashes (stream, seen);
"""
CHUNK = 500


class SqliteHashes:
    """One stream's hashes in a SQLite file; each page is one transaction."""

    def __init__(self, path: str, stream: str) -> None:
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as cleanup:  # closed again where a statement fails
                self._database = cleanup.enter_context(
                    closing(sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False))
                )
                self._database.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + TABLES)
                self._database.execute("insert or ignore into cache values (1, ?, 0)", (uuid.uuid4().hex,))
                cleanup.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                [
                    f"stream {stream}: the hash cache {path} can't be opened ({error}); set hash_cache to a file that can be written"
                ]
            ) from error
        self._stream, self._path = stream, path
        self.validator: Validator | None = None

    @property
    def identity(self) -> str:
        """What STATE names the cache by."""
        with self._named_errors():
            return str(self._database.execute("select identity from cache").fetchone()[0])

    def begin(self, confirmed: int | None) -> int:
        """Begin a pass and return its number; forget what passes after the confirmed one wrote (None: all of them)."""
        with self._transaction():
            begun = self._database.execute("select number from begun where stream = ?", (self._stream,)).fetchone()
            last, trusted = begun[0] if begun else 0, confirmed or 0
            done = self._database.execute("select number from finished where stream = ?", (self._stream,)).fetchone()
            if (done[0] if done else 0) < trusted:
                trusted = 0  # the cache lost what STATE confirms: nothing in it can be trusted
            if last != trusted:
                self._database.execute(
                    "update hashes set hash = '', deleted = 0 where stream = ? and emitted > ?", (self._stream, trusted)
                )
            query = "select held, number from validators where stream = ?"
            row = self._database.execute(query, (self._stream,)).fetchone()
            self.validator = confirmed_validator(decode_validator(row[0]), row[1], trusted=trusted) if row else None
            self._database.execute("update cache set passes = max(passes, ?) + 1", (max(confirmed or 0, last),))
            number = int(self._database.execute("select passes from cache").fetchone()[0])
            self._database.execute("insert or replace into begun values (?, ?)", (self._stream, number))
            return number

    def known_hashes(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """Return the hashes of those keys whose content is known."""
        result: dict[Key, str] = {}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            query = f"select key, hash from hashes where stream = ? and deleted = 0 and hash <> '' and key in ({marks})"  # noqa: S608  marks are question marks
            with self._named_errors():
                result.update(self._database.execute(query, (self._stream, *chunk)))
        return result

    def record_emitted(self, hashes: Mapping[Key, str], number: int) -> None:
        """Record the hashes that a pass emitted."""
        with self._transaction():
            self._database.executemany(
                "insert or replace into hashes values (?, ?, ?, ?, ?, 0)",
                [(self._stream, key, digest, number, number) for key, digest in hashes.items()],
            )

    def record_seen(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass saw these keys, unchanged."""
        with self._transaction():
            self._database.executemany(
                "update hashes set seen = ? where stream = ? and key = ?", [(number, self._stream, key) for key in keys]
            )

    def missing(self, since: int) -> Iterator[Key]:
        """Yield the keys that were live and that no pass from this one on saw."""
        query = "select key from hashes where stream = ? and key > ? and deleted = 0 and seen < ? order by key limit ?"
        last = ""
        while True:
            with self._named_errors():
                rows = self._database.execute(query, (self._stream, last, since, BATCH)).fetchall()
            if not rows:
                return
            yield from (key for (key,) in rows)
            last = rows[-1][0]

    def record_deleted(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass emitted these keys' deletion."""
        with self._transaction():
            self._database.executemany(
                "update hashes set deleted = 1, hash = '', emitted = ? where stream = ? and key = ?",
                [(number, self._stream, key) for key in keys],
            )

    def finish(self, number: int, validator: Validator | None = None) -> None:
        """Record that a pass was written whole, and its answer's validator; only then may STATE confirm the pass."""
        with self._transaction():
            self._database.execute("delete from validators where stream = ?", (self._stream,))
            if validator is not None:
                row = self._stream, number, encoded_validator(validator)
                self._database.execute("insert into validators values (?, ?, ?)", row)
            self._database.execute("insert or replace into finished values (?, ?)", (self._stream, number))

    def is_empty(self) -> bool:
        """Return whether nothing is known of the stream."""
        with self._named_errors():
            rows = self._database.execute("select 1 from hashes where stream = ? limit 1", (self._stream,))
            return rows.fetchone() is None

    def close(self) -> None:
        """Close the cache."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._named_errors(), self._database:
            self._database.execute("begin immediate")
            yield

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Translate what SQLite raises into an error that names the file.

        Raises:
            CacheError: where it can't be read or written.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise CacheError(
                f"stream {self._stream}: the hash cache {self._path} failed ({error}); see that its disk has room, that the file is whole and "
                "may be written, and that nothing else holds it, then run again: STATE is where the last page was written"
            ) from error


def _chunks(keys: list[Key]) -> Iterator[list[Key]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
