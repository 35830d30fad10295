"""Values spelled so that Postgres plans and reads them fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg2 import sql


def texts(values: Sequence[str] | None) -> sql.Composable:
    """Return an array of texts, or NULL."""
    return sql.SQL("{}::text[]").format(sql.Literal(None if values is None else list(values)))


def integers(numbers: Iterable[object], type_: str) -> sql.Composable:
    """Return an array; psycopg2 would spell its elements one by one, at twenty times the cost."""
    return sql.SQL("{}::{}[]").format(sql.Literal("{" + ",".join(map(str, numbers)) + "}"), sql.SQL(type_))


def rows_of(rows: Iterable[tuple[object, ...]], *types: str) -> sql.Composable:
    """Return rows as a function over one array a column: its text is short, and the planner sees how many there are."""
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    arrays = (
        integers(column, type_)
        if type_.endswith("int")
        else sql.SQL("{}::{}[]").format(sql.Literal(list(column)), sql.SQL(type_))
        for column, type_ in zip(columns, types, strict=True)
    )
    return sql.SQL("unnest({})").format(sql.SQL(", ").join(arrays))
