"""How publishers become known to the database, so that events are marked for them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from psycopg2 import extensions

from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import registry, replays, tables
from target_eventgen.errors import SettingsError
from target_eventgen.model.routes import Route
from target_eventgen.model.spelling import nearest
from target_eventgen.store import catalog


def announce(dsn: str, wanted_routes: Sequence[Route]) -> None:
    """Make publishers known before there are events for them."""
    with contextlib.closing(Session(dsn, "relay")) as session:
        register(session, wanted_routes)


def register(session: Session, wanted_routes: Sequence[Route]) -> dict[str, int]:
    """Make the tables where they are missing, and the publishers known; return the number of each publisher.

    A publisher that is known already keeps its marks; other patterns count for events from now on.
    """
    with session.transaction() as cursor:
        for exist, create in ((catalog.EXIST, catalog.CREATE), (tables.EXIST, tables.CREATE)):
            cursor.execute(exist)
            if cursor.fetchall() != [(True,)]:
                cursor.execute(catalog.LOCK_TABLES)
                cursor.execute(create)
        if all(_is_known(registered(cursor), route) for route in wanted_routes):
            return {name: number for name, (number, *_) in registered(cursor).items()}
        cursor.execute(tables.LOCK_EVENTS)
        known = registered(cursor)
        for route in wanted_routes:
            if _is_known(known, route):
                continue
            cursor.execute(registry.register(route))
            ((number,),) = cursor.fetchall()
            if route.name not in known:
                cursor.execute(registry.make_slots(number))
                if route.from_beginning:
                    cursor.execute(registry.mark_all(number))
        return {name: number for name, (number, *_) in registered(cursor).items()}


def registered(cursor: extensions.cursor) -> dict[str, tuple[int, list[str] | None, list[str] | None]]:
    """Return the publishers that are known: number, patterns of types, patterns of streams."""
    cursor.execute(registry.REGISTERED)
    return {name: (number, types, streams) for name, number, types, streams in cursor.fetchall()}


def _is_known(known: dict[str, tuple[int, list[str] | None, list[str] | None]], route: Route) -> bool:
    patterns = [None if each is None else list(each) for each in (route.types, route.streams)]
    return route.name in known and list(known[route.name][1:]) == patterns


def number_of(cursor: extensions.cursor, name: str) -> int:
    """Return the number of a publisher that is known.

    Raises:
        SettingsError: it isn't.
    """
    known = registered(cursor) if exist(cursor) else {}
    if name not in known:
        among = f"known are {', '.join(known)}" if known else "none is known"
        raise SettingsError([f'no publisher "{name}" is known to the database{nearest(name, known)}; {among}'])
    return known[name][0]


def exist(cursor: extensions.cursor) -> bool:
    """Return whether there are tables of delivery."""
    for statement in (catalog.EXIST, tables.EXIST):
        cursor.execute(statement)
        if cursor.fetchall() != [(True,)]:
            return False
    return True


def forget(dsn: str, name: str) -> None:
    """Remove a publisher with all that is undelivered to it, and its dead letters.

    Raises:
        SettingsError: it is not known.
    """
    with contextlib.closing(Session(dsn, "publishers")) as session, session.transaction() as cursor:
        number = number_of(cursor, name)
        cursor.execute(tables.LOCK_EVENTS)
        cursor.execute(registry.lock_all_slots(number))
        cursor.execute(registry.forget(number))


def switch_on(dsn: str, name: str) -> bool:
    """Have a publisher delivered to again that was switched off, or that pauses; return whether it was.

    Raises:
        SettingsError: it is not known.
    """
    with contextlib.closing(Session(dsn, "publishers")) as session, session.transaction() as cursor:
        cursor.execute(registry.switch_on(number_of(cursor, name)))
        changed = bool(cursor.rowcount)
        cursor.execute(replays.NOTIFY)
        return changed
