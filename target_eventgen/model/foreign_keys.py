"""Foreign keys between tables, and the order that they give to what is written to several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

T = TypeVar("T")


class ForeignKey(Struct, frozen=True):
    """A foreign key: rows of one table refer to rows of another, or of the same one.

    Attributes:
        name: of the constraint.
        referring: schema and name of the table whose rows refer.
        columns: by which they do.
        referred: schema and name of the table that they refer to.
        referred_columns: what `columns` equal, one each.
    """

    name: str
    referring: tuple[str, str]
    columns: tuple[str, ...]
    referred: tuple[str, str]
    referred_columns: tuple[str, ...]


class Place(NamedTuple):
    """Where a table is among foreign keys.

    Attributes:
        reach: the table and all those that its foreign keys lead to, over any number of tables, as numbers.
        in_circle: whether they lead back to the table.
    """

    reach: frozenset[int]
    in_circle: bool = False

    @property
    def depth(self) -> int:
        """A number that is smaller of what a table refers to than of the table, and equal within a circle."""
        return len(self.reach)


class Phase(Struct, frozen=True):
    """A part of an undo: which tables, and what of them.

    Attributes:
        tables: by their numbers; what others of them refer to comes first.
        restores: whether the rows that the run has changed or deleted are restored.
        deletes: whether the rows that the run has stored as new are deleted.
        whole: whether all is one transaction; else it is done in pieces of one table.
    """

    tables: tuple[int, ...]
    restores: bool
    deletes: bool
    whole: bool


def groups(places: Mapping[T, Place]) -> list[tuple[T, ...]]:
    """Return tables in groups, what others refer to first; a circle of tables is one group.

    Args:
        places: of the tables, in the order that those get which no foreign key orders.
    """
    found: dict[frozenset[int], list[T]] = {}
    for table, place in sorted(places.items(), key=lambda item: item[1].depth):
        found.setdefault(place.reach, []).append(table)
    return [tuple(tables) for tables in found.values()]


def phases(places: Sequence[Place], *, writes: bool) -> list[Phase]:
    """Return the phases in which a run is undone.

    First rows are restored, what others refer to before them; then rows are deleted, after what refers to them: a row
    that is restored may let go of one that is deleted. Tables in a circle are undone together, since neither can be the
    first. Where nothing is to remain, each phase would find the rows as they were before the others: so all is one
    phase, unless no table refers to another.

    Args:
        places: of the tables that the run has changed, in the order of their names.
        writes: whether the phases are committed.
    """
    in_order = groups(dict(enumerate(places)))
    are_linked = any(place.in_circle or any(other.reach < place.reach for other in places) for place in places)
    if are_linked and not writes:
        return [Phase(tuple(table for group in in_order for table in group), restores=True, deletes=True, whole=True)]
    return [
        *(Phase(group, restores=True, deletes=False, whole=places[group[0]].in_circle) for group in in_order),
        *(Phase(group, restores=False, deletes=True, whole=places[group[0]].in_circle) for group in reversed(in_order)),
    ]
