"""The statements of `undo`: rows of a run restored as `eventgen.replaced` has them, a piece of its keys at a time.

`next_keys` chooses the keys of a piece and `stage_keys` gives them the types of the table; `lock_rows` locks their rows
in key order. `judge` then decides for each key whether the row is still as the run left it: the same count, written by
the same transaction; `references` adds what foreign keys forbid. `restore_absent` stores rows that the run took out,
`record` the events of what is restored, `restore` and `delete` write, and `settle` forgets what is done, so that the
change before can be undone in turn.

A piece may have keys of several tables. `at_once` makes one statement of what is stored, or deleted, in all of them:
Postgres looks at foreign keys at the end of a statement, so rows may refer to one another in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg2 import sql

from target_eventgen.model.foreign_keys import Phase
from target_eventgen.model.plan import Plan
from target_eventgen.model.recorded import UNDONE
from target_eventgen.model.tables import DELETED_AT, GENERATION, VERSION
from target_eventgen.store.sql.deletions import is_gone
from target_eventgen.store.sql.events import counts, events
from target_eventgen.store.sql.names import (
    ARRIVAL,
    AT,
    COUNT,
    NUMBER,
    ROW_HISTORY,
    ROW_VERSION,
    column_name,
    column_names,
    comma_list,
    old_content,
    qualified,
    same_key,
    stage_of,
)
from target_eventgen.store.sql.replaced import of_table, tombstone_count


def _keys_of(plan: Plan) -> sql.Identifier:
    """Return the name of the table that has the keys of the piece."""
    return sql.Identifier("pg_temp", f"{plan.stage}_keys")


def entries_of(plan: Plan) -> sql.Identifier:
    """Return the name of the table that has the entries of the piece, each with why it is refused."""
    return sql.Identifier("pg_temp", f"{plan.stage}_entries")


RUNS: Final = sql.SQL(
    "SELECT run, min(recorded_at)::timestamptz(0)::text, count(*), string_agg(DISTINCT coalesce(stream, table_name), ', ')"
    " FROM eventgen.replaced LEFT JOIN eventgen.streams USING (table_schema, table_name) GROUP BY run"
    " ORDER BY min(recorded_at)"
)
"""Returns (run, its first change, rows, streams) of each run that can be undone, the oldest first."""


def tables_of(run: int) -> sql.Composable:
    """Return (schema, table, stream, rows) of the tables that a run has changed; the stream is NULL of unknown ones."""
    return sql.SQL(
        "SELECT table_schema, table_name, max(stream), count(*) FROM eventgen.replaced"
        " LEFT JOIN eventgen.streams USING (table_schema, table_name) WHERE run = {}"
        " GROUP BY table_schema, table_name ORDER BY table_schema, table_name"
    ).format(sql.Literal(run))


def runs_since(run: int) -> sql.Composable:
    """Return the later runs that have changed rows of which a run has entries left, the last run first."""
    return sql.SQL(
        "SELECT o.run FROM eventgen.replaced AS r JOIN eventgen.replaced AS o USING (table_schema, table_name, key)"
        " WHERE r.run = {} AND o.run <> r.run AND o.recorded_at > r.recorded_at GROUP BY o.run ORDER BY max(o.recorded_at) DESC"
    ).format(sql.Literal(run))


def assignable_columns(plan: Plan) -> sql.Composable:
    """Return the names of the table's columns that a statement may write, but for the key's and the count."""
    return sql.SQL(
        "SELECT attname FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND attidentity <> 'a' AND attname <> ALL ({}::text[]) ORDER BY attnum"
    ).format(sql.Literal(plan.table.quoted), sql.Literal([*plan.table.key, VERSION]))


def next_keys(plan: Plan, run: int, phase: Phase, after: str | None, limit: int | None) -> sql.Composable:
    """Choose the next keys that a run has changed, in the order of the entries.

    Args:
        plan: of the stream.
        run: the run's number.
        phase: of the undo, which says whether rows are restored, deleted, or both.
        after: the last key of the piece before, as JSON.
        limit: keys at most; None: all.
    """
    are_new = [*([False] if phase.restores else []), *([True] if phase.deletes else [])]
    return sql.SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT row_number() OVER (ORDER BY key) AS n, key"
        " FROM (SELECT r.key FROM eventgen.replaced AS r WHERE r.run = {} AND {} AND (r.record IS NULL) = ANY ({}){}"
        " ORDER BY r.key LIMIT {}) AS next"
    ).format(
        sql.Identifier(f"{plan.stage}_keys"),
        sql.Literal(run),
        of_table(plan, "r"),
        sql.Literal(are_new),
        sql.SQL("") if after is None else sql.SQL(" AND r.key > {}::jsonb").format(sql.Literal(after)),
        sql.Literal(limit),
    )


def last_key(plan: Plan) -> sql.Composable:
    """Return the last of the chosen keys, as JSON; nothing where none is left."""
    return sql.SQL("SELECT key::text FROM {} ORDER BY n DESC LIMIT 1").format(_keys_of(plan))


def stage_keys(plan: Plan) -> sql.Composable:
    """Stage the chosen keys in the types of the table."""
    return sql.SQL(
        "INSERT INTO {stage} ({n}, {key}) SELECT u.n, {values} FROM {keys} AS u,"
        " jsonb_populate_record(NULL::{table}, jsonb_build_object({pairs})) AS k"
    ).format(
        stage=stage_of(plan),
        n=NUMBER,
        key=column_names(plan.table.key),
        values=column_names(plan.table.key, "k"),
        keys=_keys_of(plan),
        table=qualified(plan.table),
        pairs=comma_list(
            sql.SQL("{}::text, u.key -> {}").format(sql.Literal(name), sql.Literal(index))
            for index, name in enumerate(plan.table.key)
        ),
    )


def lock_rows(plan: Plan) -> sql.Composable:
    """Lock the rows of the staged keys in key order, as writers do; return how many there are."""
    return sql.SQL(
        "SELECT count(*) FROM (SELECT FROM {table} AS t WHERE ({keys}) IN (SELECT {key} FROM {stage}) ORDER BY {keys}"
        " FOR UPDATE) AS locked"
    ).format(
        table=qualified(plan.table),
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
    )


def judge(plan: Plan, run: int) -> sql.Composable:
    """Lock the entries of the chosen keys, and say of each why it is refused; NULL where it can be restored."""
    return sql.SQL(
        "CREATE TEMPORARY TABLE {made} ON COMMIT DROP AS WITH entries AS MATERIALIZED (SELECT u.n, r.*"
        " FROM {keys} AS u JOIN eventgen.replaced AS r ON r.key = u.key WHERE r.run = {run} AND {ours} FOR UPDATE OF r)"
        " SELECT r.*, CASE WHEN r.present AND t.{version} IS NULL THEN 'it was taken out since'"
        " WHEN r.present AND (t.{version} <> r.count OR t.xmin <> r.written) THEN 'it was changed since'"
        " WHEN NOT r.present AND t.{version} IS NOT NULL THEN 'it came back since'"
        " WHEN NOT r.present AND ({buried} <> r.count OR EXISTS (SELECT FROM eventgen.replaced AS o WHERE {others}"
        " AND o.key = r.key AND o.run <> r.run AND o.present AND o.recorded_at > r.recorded_at))"
        " THEN 'it came back and was taken out since' END AS refused"
        " FROM entries AS r JOIN {stage} AS s ON s.{number} = r.n LEFT JOIN {table} AS t ON {same}"
    ).format(
        made=sql.Identifier(f"{plan.stage}_entries"),
        keys=_keys_of(plan),
        run=sql.Literal(run),
        ours=of_table(plan, "r"),
        version=ROW_VERSION,
        buried=tombstone_count(plan, sql.SQL("r.key")),
        others=of_table(plan, "o"),
        stage=stage_of(plan),
        number=NUMBER,
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
    )


def analyze(plan: Plan) -> sql.Composable:
    """Tell the planner what there is in a piece of any size, which it else takes for a row or two."""
    return sql.SQL("ANALYZE {} (n, record, present, refused), {} ({})").format(
        entries_of(plan), stage_of(plan), column_names([ARRIVAL, *plan.table.key])
    )


_NEW_COUNT: Final = sql.SQL("(pg_current_xact_id()::text::bigint << 20) + 1")
"""The count of a row that is stored anew, which no row of its key has had."""


def _values(names: Sequence[str]) -> list[sql.Composable]:
    """Return the values of columns in a kept row `k`; a row that was kept before a widening doesn't know of it."""
    return [
        sql.SQL("coalesce({}, 0)").format(column_name(name, "k")) if name == GENERATION else column_name(name, "k")
        for name in names
    ]


def restore_absent(plan: Plan, names: Sequence[str]) -> sql.Composable:
    """Store the rows that the run took out, but those whose keys have come meanwhile; `settle_absent` follows.

    Args:
        plan: of the stream.
        names: of the columns to write, as `assignable_columns` has them.
    """
    return sql.SQL(
        "INSERT INTO {table} ({key}, {version}, {columns}) SELECT {kept_key}, {count}, {values} FROM {entries} AS e,"
        " jsonb_populate_record(NULL::{table}, e.record) AS k WHERE e.refused IS NULL AND NOT e.present"
        " ORDER BY {kept_key} ON CONFLICT DO NOTHING"
    ).format(
        table=qualified(plan.table),
        key=column_names(plan.table.key),
        version=ROW_VERSION,
        columns=column_names(names),
        kept_key=column_names(plan.table.key, "k"),
        count=_NEW_COUNT,
        values=comma_list(_values(names)),
        entries=entries_of(plan),
    )


def settle_absent(plan: Plan) -> sql.Composable:
    """Refuse the rows that have not been stored, since their keys have come; forget the tombstones of the others."""
    return sql.SQL(
        "UPDATE {entries} AS e SET refused = 'it came back since' WHERE e.refused IS NULL AND NOT e.present"
        " AND NOT EXISTS (SELECT FROM {stage} AS s JOIN {table} AS t ON {same} WHERE s.{number} = e.n"
        " AND t.xmin = pg_current_xact_id()::xid);"
        " DELETE FROM eventgen.tombstones AS d USING {entries} AS e WHERE e.refused IS NULL AND NOT e.present"
        " AND {buried} AND d.key = e.key"
    ).format(
        table=qualified(plan.table),
        entries=entries_of(plan),
        stage=stage_of(plan),
        same=same_key(plan, "s", "t"),
        number=NUMBER,
        buried=of_table(plan, "d"),
    )


def _rows(plan: Plan) -> sql.Composed:
    """Return the FROM and WHERE of what is restored: entries `e`, their rows `t`, kept rows `k`."""
    return sql.SQL(
        " FROM {entries} AS e JOIN {stage} AS s ON s.{number} = e.n JOIN {table} AS t ON {same}"
        " LEFT JOIN LATERAL jsonb_populate_record(NULL::{table}, e.record) AS k ON true WHERE e.refused IS NULL"
    ).format(
        entries=entries_of(plan),
        stage=stage_of(plan),
        number=NUMBER,
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
    )


def record(plan: Plan) -> sql.Composable:
    """Record the events of what is restored, as of transitions; return how many, and (held, waiting) ones, by type."""
    content = plan.table.content
    new = [
        sql.SQL("CASE WHEN e.record IS NULL THEN {} ELSE {} END").format(column_name(c, "t"), column_name(c, "k"))
        for c in content
    ]
    old = [sql.SQL("CASE WHEN e.present THEN {} END").format(column_name(c, "t")) for c in content]
    gone = sql.SQL("(e.record IS NULL OR {})").format(is_gone(plan, "k"))
    existed = sql.SQL("(e.present AND NOT {})").format(is_gone(plan, "t"))
    columns: list[sql.Composable] = [
        *(sql.SQL("{} AS {}").format(value, column_name(c)) for value, c in zip(new, content, strict=True)),
        *old_content(plan, old),
        sql.SQL("NULL::bigint AS {}, e.n AS {}").format(AT, NUMBER),
        sql.SQL("t.{} + e.present::int AS {}").format(ROW_VERSION, COUNT),
        sql.SQL("{} AS _eventgen_existed, {} AS _eventgen_gone").format(existed, gone),
    ]
    if plan.deletable:
        deleted = sql.SQL("CASE WHEN e.record IS NULL THEN statement_timestamp() ELSE {} END AS {}")
        columns.append(deleted.format(column_name(DELETED_AT, "k"), column_name(DELETED_AT)))
    return sql.SQL(
        "WITH transitions AS (SELECT {columns}{rows} AND ({existed} = {gone} OR ROW({new}) IS DISTINCT FROM ROW({old})))"
        "{events} SELECT {recorded}, {held}"
    ).format(
        columns=comma_list(columns),
        rows=_rows(plan),
        existed=existed,
        gone=gone,
        new=comma_list(new),
        old=comma_list(old),
        events=events(plan, may_hold=plan.may_hold, mark=UNDONE),
        **counts(plan, may_hold=plan.may_hold),
    )


def restore(plan: Plan, names: Sequence[str]) -> sql.Composable:
    """Give rows that the run changed, or marked as deleted, the content that they had.

    Args:
        plan: of the stream.
        names: of the columns to write, as `assignable_columns` has them.
    """
    return sql.SQL(
        "UPDATE {table} AS w SET {assignments}, {version} = w.{version} + 1 FROM (SELECT e.n AS _eventgen_undo_n, k.*{rows}"
        " AND e.present AND e.record IS NOT NULL) AS k JOIN {stage} AS s ON s.{number} = k._eventgen_undo_n WHERE {same}"
    ).format(
        table=qualified(plan.table),
        assignments=comma_list(
            sql.SQL("{} = {}").format(column_name(name), value)
            for name, value in zip(names, _values(names), strict=True)
        ),
        version=ROW_VERSION,
        rows=_rows(plan),
        stage=stage_of(plan),
        number=NUMBER,
        same=same_key(plan, "s", "w"),
    )


def takes_out(plan: Plan) -> bool:
    """Return whether rows that are deleted leave the table; else they are marked."""
    return plan.hard or not plan.deletable


def delete(plan: Plan) -> sql.Composable:
    """Delete the rows that the run had stored as new: take them out, or mark them, as the stream's deletions do."""
    inserted = sql.SQL(
        " {entries} AS e JOIN {stage} AS s ON s.{number} = e.n WHERE {same} AND e.refused IS NULL AND e.record IS NULL"
    ).format(entries=entries_of(plan), stage=stage_of(plan), number=NUMBER, same=same_key(plan, "s", "w"))
    if takes_out(plan):
        return sql.SQL("DELETE FROM {} AS w USING{}").format(qualified(plan.table), inserted)
    return sql.SQL(
        "UPDATE {} AS w SET {} = statement_timestamp(), {} = NULL, {version} = w.{version} + 1 FROM{}"
    ).format(qualified(plan.table), column_name(DELETED_AT), ROW_HISTORY, inserted, version=ROW_VERSION)


def settle(plan: Plan, run: int) -> sql.Composable:
    """Forget what is done, and what the run has parked; let the change before each restored row be undone in turn."""
    return sql.SQL(
        "UPDATE eventgen.replaced AS r SET count = t.{version}, written = pg_current_xact_id()::xid"
        "{rows} AND e.record IS NOT NULL AND {ours} AND r.key = e.key AND r.run <> e.run AND r.present"
        " AND r.written = e.before;"
        " DELETE FROM eventgen.replaced AS r USING {entries} AS e WHERE {ours} AND r.key = e.key AND r.run = e.run"
        " AND e.refused IS NULL;"
        " DELETE FROM eventgen.parked AS h WHERE {parked} AND h.run = {run}"
    ).format(
        version=ROW_VERSION,
        rows=_rows(plan),
        ours=of_table(plan, "r"),
        entries=entries_of(plan),
        parked=of_table(plan, "h"),
        run=sql.Literal(run),
    )


def result(plan: Plan) -> sql.Composable:
    """Return how many rows were restored, how many deleted again, and (key, reason) of those that were refused."""
    return sql.SQL(
        "SELECT count(*) FILTER (WHERE refused IS NULL AND record IS NOT NULL),"
        " count(*) FILTER (WHERE refused IS NULL AND record IS NULL),"
        " coalesce(jsonb_agg(jsonb_build_array(key, refused) ORDER BY n) FILTER (WHERE refused IS NOT NULL), '[]') FROM {}"
    ).format(entries_of(plan))


def at_once(writes: Iterable[sql.Composable]) -> sql.Composable:
    """Return one statement of several that write, each to another table."""
    named = (sql.SQL("w{} AS ({})").format(sql.SQL(str(number)), each) for number, each in enumerate(writes))
    return sql.SQL("WITH {} SELECT").format(comma_list(named))
