"""Names that earlier code gave to what is stored, and the statements that rename it, once.

Each statement runs under the advisory lock by which targets create and alter tables, and changes nothing where it has
been run. An earlier and a later version of the code must not write one table at the same time: after the renaming, the
earlier one fails at its next checkpoint, with nothing of it written, and its input must be loaded by the later one.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.model.tables import INSTANT_HISTORY, Table
from target_eventgen.store.sql.names import qualified

FORMER_HISTORY: Final = "_eventgen_story"
"""The former name of the column `INSTANT_HISTORY`."""

PARKED: Final = sql.SQL("""\
do $$ begin
  if to_regclass('eventgen.held') is not null and to_regclass('eventgen.parked') is null then
    alter table eventgen.held rename to parked;
    alter index eventgen.held_key rename to parked_key;
    alter index eventgen.held_pkey rename to parked_pkey;
    alter sequence eventgen.held_sequence_seq rename to parked_sequence_seq;
  end if;
end $$;""")
"""Rename `eventgen.held`, the former name of `eventgen.parked`."""


def rename_history(table: Table) -> sql.Composable:
    """Rename the column of a stream's table that has the instant history under its former name."""
    return sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(
        qualified(table), sql.Identifier(FORMER_HISTORY), sql.Identifier(INSTANT_HISTORY)
    )


def rename_history_in_tombstones(table: Table) -> sql.Composable:
    """Rename the instant history in the tombstones of a table, which store rows as JSON."""
    return sql.SQL(
        "UPDATE eventgen.tombstones SET record = record - {former} || jsonb_build_object({name}, record -> {former})"
        " WHERE table_schema = {schema} AND table_name = {table} AND record ? {former}"
    ).format(
        former=sql.SQL("{}::text").format(sql.Literal(FORMER_HISTORY)),
        name=sql.SQL("{}::text").format(sql.Literal(INSTANT_HISTORY)),
        schema=sql.Literal(table.schema),
        table=sql.Literal(table.name),
    )
