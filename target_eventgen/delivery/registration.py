"""How publishers become known to the database, so that events are marked for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from psycopg2 import extensions

from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import registry, replays, tables
from target_eventgen.errors import SettingsError
from target_eventgen.model.routes import Route, literal
from target_eventgen.model.spelling import nearest
from target_eventgen.store import catalog


class Known(Struct, frozen=True):
    """A publisher as the database knows it.

    Attributes:
        number: by which it is marked.
        types: LIKE patterns; None: all.
        streams: LIKE patterns; None: all.
        sources: LIKE patterns; None: all.
        source: of the pipeline that it belongs to; None: of none, as of those that older code registered.
        address: fingerprints of where its events go; none: not known yet.
    """

    number: int
    types: list[str] | None
    streams: list[str] | None
    sources: list[str] | None
    source: str | None
    address: list[str]


def announce(dsn: str, wanted_routes: Sequence[Route], source_in: Callable[[str], str] | None = None) -> None:
    """Make publishers known before there are events for them; `register` says how."""
    with contextlib.closing(Session(dsn, "relay")) as session:
        register(session, wanted_routes, source_in)


def register(
    session: Session, wanted_routes: Sequence[Route], source_in: Callable[[str], str] | None = None
) -> dict[str, int]:
    """Make the tables where they are missing, and the publishers known; return the number of each publisher.

    A publisher that is known already keeps its marks; other patterns count for events from now on.

    Args:
        session: with the outbox's database.
        wanted_routes: of the publishers.
        source_in: returns the pipeline's source for the database's name; a new publisher gets its events. None: it gets
            those of all pipelines.

    Raises:
        SettingsError: a name is that of another pipeline's publisher, or of one with another address.
        DatabaseError: the server is read-only.
    """
    with session.transaction() as cursor:
        session.require_writable(cursor)
        for exist, create in ((catalog.EXIST, catalog.CREATE), (tables.EXIST, tables.CREATE)):
            cursor.execute(exist)
            if cursor.fetchall() != [(True,)]:
                cursor.execute(catalog.LOCK_TABLES)
                cursor.execute(create)
        known = registered(cursor)
        source = None if source_in is None else source_in(str(cursor.connection.info.dbname))
        if all(
            _is_known(known.get(route.name), route) and not _refusals(known, [route], source) for route in wanted_routes
        ):
            return {name: each.number for name, each in known.items()}
        cursor.execute(tables.LOCK_EVENTS)
        known = registered(cursor)
        if refusals := _refusals(known, wanted_routes, source):
            raise SettingsError(refusals)
        for route in wanted_routes:
            if _is_known(known.get(route.name), route):
                continue
            cursor.execute(registry.register(route, _sources(known.get(route.name), route, source), source))
            ((number,),) = cursor.fetchall()
            if route.name not in known:
                cursor.execute(registry.make_slots(number))
                if route.from_beginning:
                    cursor.execute(registry.mark_all(number))
        return {name: each.number for name, each in registered(cursor).items()}


def registered(cursor: extensions.cursor) -> dict[str, Known]:
    """Return the publishers that are known, by name."""
    cursor.execute(registry.REGISTERED)
    return {name: Known(*row) for name, *row in cursor.fetchall()}


def _is_known(known: Known | None, route: Route) -> bool:
    """Return whether the database knows all that a route says."""
    if known is None:
        return False
    patterns = [None if each is None else list(each) for each in (route.types, route.streams)]
    return (
        [known.types, known.streams] == patterns
        and (route.sources is None or list(route.sources) == known.sources)
        and (not route.address or list(route.address) == known.address)
    )


def _sources(known: Known | None, route: Route, source: str | None) -> Sequence[str] | None:
    """Return the sources that a publisher is to have: what is configured, what it has, or its pipeline's own."""
    if route.sources is not None:
        return route.sources
    if known is not None:
        return known.sources
    return None if source is None else (literal(source),)


def _refusals(known: Mapping[str, Known], wanted_routes: Sequence[Route], source: str | None) -> list[str]:
    """Return why publishers can't be known by their names."""
    refusals = []
    for route in wanted_routes:
        name, other = route.name, known.get(route.name)
        if other is None:
            continue
        if other.address and route.address and not set(other.address) & set(route.address):
            refusals.append(
                f'the publisher "{name}" is known to the database with another address; give the one with the new address a '
                "name of its own, or, where the receiver has moved and is to get what is undelivered, run "
                f"`target-eventgen publishers move {name}`"
            )
        elif None not in {other.source, source} and other.source != source and route.sources is None:
            refusals.append(
                f'the publisher "{name}" belongs to the pipeline with the source "{other.source}"; give this one\'s a name of '
                'its own, or, where both pipelines are to share it, say so with sources, such as sources: ["*"]'
            )
    return refusals


def number_of(cursor: extensions.cursor, name: str) -> int:
    """Return the number of a publisher that is known.

    Raises:
        SettingsError: it isn't.
    """
    known = registered(cursor) if exist(cursor) else {}
    if name not in known:
        among = f"known are {', '.join(known)}" if known else "none is known"
        raise SettingsError([f'no publisher "{name}" is known to the database{nearest(name, known)}; {among}'])
    return known[name].number


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


def move(dsn: str, name: str) -> None:
    """Have the next address that is configured for a publisher be its own, and deliver to it again.

    Raises:
        SettingsError: it is not known.
    """
    with contextlib.closing(Session(dsn, "publishers")) as session, session.transaction() as cursor:
        cursor.execute(registry.move(number_of(cursor, name)))
        cursor.execute(replays.NOTIFY)
