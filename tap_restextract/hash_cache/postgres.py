"""A hash cache in Postgres, in a schema of its own: for taps that run on changing machines.

Theory of operation. The tables are those of the SQLite file. Each call is one statement over arrays and commits by
itself, so a page costs two round trips. `missing` goes on after the last key that it yielded, in the primary key's
order, so that keys may be buried meanwhile and no cursor is held open.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, Final

import psycopg2

from tap_restextract.errors import CacheError, ConfigurationError
from tap_restextract.exchange.validators import Validator, decode_validator, encoded_validator
from tap_restextract.hash_cache.protocol import BATCH, Key, confirmed_validator

EXISTS: Final = (
    "select to_regclass('tap_restextract.hashes') is not null and to_regclass('tap_restextract.cache') is not null "
    "and exists (select from pg_attribute where attrelid = to_regclass('tap_restextract.passes') and attname = 'validator')"
)
TABLES: Final = """
select pg_advisory_xact_lock(hashtext('tap_restextract.hashes'));
create schema if not exists tap_restextract;
create table if not exists tap_restextract.cache (
    single boolean primary key default true check (single), identity text not null, passes bigint not null
);
create table if not exists tap_restextract.passes (
    stream text primary key, begun bigint not null, finished bigint not null default 0
);
alter table tap_restextract.passes add column if not exists finished bigint not null default 0;
alter table tap_restextract.passes add column if not exists validator text, add column if not exists validated bigint not null default 0;
create table if not exists tap_restextract.hashes (
    stream text collate "C" not null, key text collate "C" not null, hash text not null, emitted bigint not null,
    seen bigint not null, deleted boolean not null default false, primary key (stream, key)
);
"""


class PostgresHashes:
    """One stream's hashes in Postgres."""

    def __init__(self, url: str, stream: str, location: str) -> None:
        self._label = f"stream {stream}: the hash cache {location}"
        self._stream = stream
        self.validator: Validator | None = None
        try:
            with ExitStack() as cleanup:  # closed again where a statement fails
                self._connection = cleanup.enter_context(
                    closing(psycopg2.connect(url, connect_timeout=10, application_name="tap-restextract"))
                )
                self._connection.autocommit = True
                with self._connection.cursor() as cursor:
                    cursor.execute(EXISTS)
                    if cursor.fetchone() != (True,):
                        cursor.execute(TABLES)
                    cursor.execute(
                        "insert into tap_restextract.cache (identity, passes) values (%s, 0) on conflict do nothing",
                        (uuid.uuid4().hex,),
                    )
                cleanup.pop_all()
        except (psycopg2.Error, UnicodeError) as error:
            raise ConfigurationError(
                [
                    f"{self._label} can't be opened ({_fault(error)}); check hash_cache, its password, and that it may create the schema tap_restextract"
                ]
            ) from error

    @property
    def identity(self) -> str:
        """What STATE names the cache by."""
        return str(self._rows("select identity from tap_restextract.cache")[0][0])

    def begin(self, confirmed: int | None) -> int:
        """Begin a pass and return its number; forget what passes after the confirmed one wrote (None: all of them)."""
        query = "select begun, finished, validator, validated from tap_restextract.passes where stream = %s"
        begun = self._rows(query, self._stream)
        (last, finished, validator, number), trusted = begun[0] if begun else (0, 0, None, 0), confirmed or 0
        if finished < trusted:
            trusted = 0  # the cache lost what STATE confirms: nothing in it can be trusted
        if last != trusted:
            self._do(
                "update tap_restextract.hashes set hash = '', deleted = false where stream = %s and emitted > %s and (hash <> '' or deleted)",
                self._stream,
                trusted,
            )
        self.validator = (
            confirmed_validator(decode_validator(validator), number, trusted=trusted) if validator else None
        )
        ((number,),) = self._rows(
            "with raised as (update tap_restextract.cache set passes = greatest(passes, %s) + 1 returning passes) "
            "insert into tap_restextract.passes select %s, passes from raised on conflict (stream) do update set begun = excluded.begun returning begun",
            max(confirmed or 0, last),
            self._stream,
        )
        return int(number)

    def known_hashes(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """Return the hashes of those keys whose content is known."""
        query = "select key, hash from tap_restextract.hashes where stream = %s and key = any(%s) and hash <> '' and not deleted"
        return dict(self._rows(query, self._stream, list(keys)) if keys else ())

    def record_emitted(self, hashes: Mapping[Key, str], number: int) -> None:
        """Record the hashes that a pass emitted."""
        if hashes:
            self._do(
                "insert into tap_restextract.hashes select %s, key, hash, %s, %s, false from unnest(%s::text[], %s::text[]) as page (key, hash) "
                "on conflict (stream, key) do update set hash = excluded.hash, emitted = excluded.emitted, seen = excluded.seen, deleted = false",
                self._stream,
                number,
                number,
                list(hashes),
                list(hashes.values()),
            )

    def record_seen(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass saw these keys, unchanged."""
        if keys:
            query = "update tap_restextract.hashes set seen = %s where stream = %s and key = any(%s)"
            self._do(query, number, self._stream, list(keys))

    def missing(self, since: int) -> Iterator[Key]:
        """Yield the keys that were live and that no pass from this one on saw."""
        query = (
            "select key from tap_restextract.hashes where stream = %s and key > %s and seen < %s and not deleted "
            "order by key limit %s"
        )
        last = ""
        while rows := self._rows(query, self._stream, last, since, BATCH):
            yield from (key for (key,) in rows)
            last = rows[-1][0]

    def record_deleted(self, keys: Collection[Key], number: int) -> None:
        """Record that a pass emitted these keys' deletion."""
        if keys:
            query = "update tap_restextract.hashes set deleted = true, hash = '', emitted = %s where stream = %s and key = any(%s)"
            self._do(query, number, self._stream, list(keys))

    def finish(self, number: int, validator: Validator | None = None) -> None:
        """Record that a pass was written whole, and its answer's validator; only then may STATE confirm the pass."""
        encoded = None if validator is None else encoded_validator(validator)
        query = "update tap_restextract.passes set finished = %s, validator = %s, validated = %s where stream = %s"
        self._do(query, number, encoded, number, self._stream)

    def is_empty(self) -> bool:
        """Return whether nothing is known of the stream."""
        return not self._rows("select 1 from tap_restextract.hashes where stream = %s limit 1", self._stream)

    def close(self) -> None:
        """Close the cache."""
        self._connection.close()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall()
        except psycopg2.Error as error:
            raise self._failure(error) from error

    def _do(self, query: str, *values: Any) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(query, values)
        except psycopg2.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: psycopg2.Error) -> CacheError:
        return CacheError(
            f"{self._label} failed ({_fault(error)}); see that Postgres runs and has room, then run again: STATE is where the last page was written"
        )


def _fault(error: Exception) -> str:
    """Return what happened without Postgres's own words: those of a connection hold its address and user."""
    code = getattr(error, "pgcode", None)
    return f"{type(error).__name__}{f', SQLSTATE {code}' if code else ''}"
