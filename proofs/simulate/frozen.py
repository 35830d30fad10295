"""Snapshots: what a suspended walk will do next, as a value that can be compared.

A walk is a generator, which can't be copied; but what it will do follows from where it stands and from its variables,
those of the generators that it delegates to, and those of the objects that they hold. Only the iterators of its `for`
loops are out of reach: whoever compares snapshots adds how many pages a walk has had, so that loops that are at
different rounds differ.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from decimal import Decimal
from types import FunctionType, GeneratorType, MethodType
from typing import Any, Final

from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.values.rows import Row

Met = dict[int, tuple[int, Any]]
"""By their identity, when objects were met first; with the objects, so that no other gets the identity meanwhile."""
Dump = tuple[tuple[str, tuple[tuple[Any, ...], ...]], ...]
TABLES: Final = ("cache", "hashes", "begun", "finished", "validators")
ATOMS: Final = frozenset({type(None), bool, int, str, bytes, float, Decimal})
FACTS: Final = frozenset({"tap_restextract.plan.plan", "tap_restextract.plan.walks"})
"""Modules of values that are the same in all walks of a stream, as the structs of its configuration are."""


def frozen(value: Any) -> Any:
    """Return a value that is equal where the other's behaviour is."""
    return _frozen(value, {})


def _frozen(value: Any, met: Met) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind.__module__ in FACTS or kind.__module__.startswith("tap_restextract.config"):
        return kind.__name__
    if kind is tuple:
        return tuple([_frozen(held, met) for held in value])
    if isinstance(value, Row):  # it never changes, so that it doesn't matter whether another is the same one
        return tuple([(name, value[name]) for name in value])
    # What is met again, such as a walk's object that its own generator holds, is told by when it was met first.
    if (before := met.get(id(value))) is not None:
        return "met", before[0]
    met[id(value)] = len(met), value
    match value:
        case SqliteHashes():
            return "cache"  # what it holds is a value of its own: see `dump_of`
        case Mapping():
            return tuple([(_frozen(key, met), _frozen(held, met)) for key, held in value.items()])
        case list():
            return tuple([_frozen(held, met) for held in value])
        case set() | frozenset():
            return frozenset(_frozen(held, met) for held in value)
        case GeneratorType():
            return _frozen_generator(value, met)
        case MethodType():
            return value.__name__, _frozen(value.__self__, met)
        case FunctionType() | type():
            return value.__qualname__
    return kind.__name__, tuple([_frozen(held, met) for held in _held(value)])


def dump_of(cache: SqliteHashes) -> Dump:
    """Return all that a hash cache holds: the rows of each table."""
    return tuple((table, tuple(cache._database.execute(f"select * from {table}").fetchall())) for table in TABLES)


def restore(cache: SqliteHashes, dump: Dump) -> None:
    """Let a hash cache hold this, and nothing else; without a dump it is as a new one."""
    database = cache._database
    for table in TABLES:
        database.execute(f"delete from {table}")
    for table, rows in dump or (("cache", ((1, "cache", 0),)),):
        for row in rows:
            database.execute(f"insert into {table} values ({','.join('?' * len(row))})", row)


def _frozen_generator(steps: GeneratorType[Any, Any, Any], met: Met) -> Any:
    if steps.gi_frame is None:
        return "over"
    here = _frozen(tuple(steps.gi_frame.f_locals.items()), met)
    return steps.__qualname__, steps.gi_frame.f_lasti, here, _frozen(steps.gi_yieldfrom, met)


@functools.cache
def _slots(kind: Any) -> tuple[str, ...]:
    return tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))


def _held(value: Any) -> list[Any]:
    """Return an object's attributes; of an iterator, what it would be made from again."""
    kind: Any = type(value)
    names = _slots(kind)
    if names:
        return [getattr(value, name, None) for name in names]
    if hasattr(value, "__dict__"):
        return list(value.__dict__.values())
    return list(value.__reduce__()[1:])
