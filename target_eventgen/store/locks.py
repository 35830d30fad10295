"""Waits for locks: short ones where tables are altered, and a line in the log about each that takes seconds.

Whoever waits for a table's exclusive lock stands in a queue, and all who come behind, readers too, wait with him for
whoever holds it. So a table is altered in tries that wait shortly, with pauses in which the others get on. Whatever
waits longer than some seconds, a checkpoint too, is told: a thread asks by another connection whom the transaction
waits for.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

import psycopg2
from psycopg2 import extensions, sql

from target_eventgen.errors import EventgenError

TRY_SECONDS: Final = 1.0
"""How long a try to alter a table may wait for a lock."""

MAX_PAUSE_SECONDS: Final = 2.0
"""At most between two tries."""

TOLD_SECONDS: Final = 5.0
"""After so many seconds of waiting there is a line in the log, and after twice as many another, and so on."""

ROLES_TIMEOUT: Final = sql.SQL("SELECT setting::float8 / 1000 FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'")
"""The query for the seconds that the role may wait for a lock; 0: as long as it takes."""

_BLOCKERS: Final = sql.SQL(
    "SELECT DISTINCT pid, application_name FROM pg_catalog.pg_stat_activity"
    " WHERE pid = ANY (pg_catalog.pg_blocking_pids({})) ORDER BY pid"
)
_HOLDERS: Final = sql.SQL(
    "SELECT DISTINCT pid, application_name FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid)"
    " WHERE relation = to_regclass({}) AND granted AND pid <> pg_catalog.pg_backend_pid() ORDER BY pid"
)

logger = logging.getLogger("target-eventgen")


def tell(doing: str, seconds: float, holders: list[tuple[int, str | None]]) -> None:
    """Log that something waits for a lock, and for whom.

    Args:
        doing: what waits.
        seconds: since it began.
        holders: process id and application of those who hold the lock, where that is known.
    """
    by = " and ".join(f"process {pid}" + (f" ({name})" if name else "") for pid, name in holders)
    logger.warning(
        "%s: after %d seconds it waits for a lock%s; lock_timeout bounds that",
        doing,
        seconds,
        f" of {by}" if by else "; pg_locks shows who holds it",
    )


def holders_of(cursor: extensions.cursor, relation: str | None) -> list[tuple[int, str | None]]:
    """Return who holds locks on a table at the moment, where its quoted name is given."""
    if relation is None:
        return []
    cursor.execute(_HOLDERS.format(sql.Literal(relation)))
    return [(pid, name) for pid, name in cursor.fetchall()]


@contextlib.contextmanager
def watched(connect: Callable[[], extensions.connection], doing: str, pid: int) -> Iterator[None]:
    """Log it where a transaction waits for a lock for long.

    Args:
        connect: returns another connection to the same database.
        doing: what the transaction does, as messages name it.
        pid: the process id of its server.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(connect, doing, pid, over), name="locks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _watch(connect: Callable[[], extensions.connection], doing: str, pid: int, over: threading.Event) -> None:
    seconds = waited = TOLD_SECONDS
    while not over.wait(seconds):
        with contextlib.suppress(psycopg2.Error, EventgenError), contextlib.closing(connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(_BLOCKERS.format(sql.Literal(pid)))
                if (found := cursor.fetchall()) and not over.is_set():
                    tell(doing, waited, found)
        seconds, waited = waited, 2 * waited
