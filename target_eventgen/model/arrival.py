"""The types in which values arrive in the stage, where a column's own type would change them on the way.

Tables of other tools have columns that are narrower than what a SCHEMA allows, and whose types take such a value
without a word: a timestamp without time zone cuts an offset off, a `numeric(10,2)`, a `real` and a `timestamptz(0)`
round, an array column reads no JSON. Values of these columns are staged in a type that holds them as they were sent,
compared with what the column can hold, and only then brought into its type (`store.sql.arrival`). A column that would
change a value is widened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import Column

PLAIN: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "date": re.compile(r"\d{4}-\d\d-\d\d").fullmatch,
        "time without time zone": re.compile(r"[\d:.]+").fullmatch,
    }
)
"""For types that cut a value's end off, whether a text has no such end."""

_FROM_JSON: Final = frozenset(
    f"{element}[]" for element in ("text", "character varying", "smallint", "integer", "bigint", "numeric", "boolean")
)
"""Array types that take a JSON array whose items are of one kind; an array of any other type is widened to jsonb."""

_INSTANTS: Final = "timestamp with time zone"


def arrival(column: Column, wanted: str, *, loose: bool = False) -> str:
    """Return the type in which a column's values arrive in the stage.

    Args:
        column: as it is in the database.
        wanted: the type for its SCHEMA.
        loose: whether some value of the batch may be more than a date, or than a time without an offset.
    """
    stored, bare = column.domain_of or column.type, column.bare
    if stored.endswith("[]"):
        return "jsonb" if wanted == "jsonb" else column.type
    if bare == "timestamp without time zone" or (loose and bare == "date"):
        return _INSTANTS
    if loose and bare == "time without time zone":
        return "time with time zone"
    if bare in {"real", "double precision"}:
        return "numeric"
    if bare == "numeric" or bare.startswith("time"):
        return bare if stored != bare else column.type
    return column.type


def encoded_as(column: Column, wanted: str) -> str:
    """Return the type that a column's values are encoded for: that of their arrival, or what a domain is made of."""
    arriving = arrival(column, wanted)
    return arriving if arriving != column.type else column.domain_of or arriving


def arrivals(plan: Plan, loose: AbstractSet[str] = frozenset()) -> Mapping[str, str]:
    """Return the types of the columns whose values arrive in another type than their own, by name.

    Args:
        plan: of the stream.
        loose: columns of dates and times in which some value of the batch may be more than that.
    """
    wanted = {column.name: column.type for column in plan.table.columns}
    types = {
        column.name: arrival(column, wanted[column.name], loose=column.name in loose)
        for column in plan.types
        if column.name in wanted
    }
    return {
        column.name: types[column.name] for column in plan.types if types.get(column.name, column.type) != column.type
    }


def wide_enough(column: Column, arriving: str) -> str:
    """Return the type that a column must get where it would change a value that has come."""
    return column.bare if column.bare == "timestamp without time zone" else arriving


def reads_json(type_: str) -> bool:
    """Return whether a column of this array type may hold JSON arrays; of any other, none fits."""
    return type_ in _FROM_JSON
