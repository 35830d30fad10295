"""The two passes: `claim` locks all keys of a batch, then `record` compares and writes what the locks protect.

One pass (`single_pass.upsert`) writes a batch where Postgres returns the row before an update (18 on), the table has
neither hard deletions nor added columns, and each record has a key and a version of its own, mentions every property
and deletes nothing. Two passes (`two_pass.claim`, then `two_pass.record`) write every other batch of a stream with key,
and those that meet a replay. Both have the same meaning: the campaign `proofs/histories` compares both with one
reference model.

`claim` is one INSERT … ON CONFLICT in key order: absent keys get their last version at once, and rows that exist are
locked by the conflict, without being written. One pass over all keys in one order prevents deadlocks between two
writers; and a row that doesn't exist can't be locked, so the insertion is the lock of an absent key: of two writers one
inserts, the other waits and then finds a row. What a statement sees is older than its locks, hence `record`, the second
statement: rows before and stage → transitions (`transitions`) → rows and events. Between both stand, where they are
needed, the statements of `deletions`, `added_columns`, `replays`, and `fill`.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import DELETED_AT, GENERATION, INSTANT
from target_eventgen.model.versions import FINE
from target_eventgen.store.sql import invalid_records
from target_eventgen.store.sql.deletions import is_gone
from target_eventgen.store.sql.events import counts, events
from target_eventgen.store.sql.instants import INSTANT_BEFORE, instant_of, staged_instant, version_of
from target_eventgen.store.sql.names import (
    ABSENT,
    ARRIVAL,
    AT,
    COUNT,
    NUMBER,
    ROW_HISTORY,
    ROW_INSTANT,
    ROW_VERSION,
    column_name,
    column_names,
    comma_list,
    key_array,
    qualified,
    same_key,
    stage_of,
)
from target_eventgen.store.sql.transitions import chain, inserted, not_stale, replaced, rows_before


def claim(plan: Plan, *, unversioned: bool, single: bool = False) -> sql.Composable:
    """Insert the last version of each absent key and lock every other row, in key order.

    Properties the last version omits are filled in by `record`. Keys with only a deletion are inserted, too;
    see `deletions.delete_gone_rows`.

    Args:
        plan: of the stream.
        unversioned: whether some staged record has no version.
        single: whether each staged record has a key of its own.
    """
    columns = column_names(plan.table.columns)
    return sql.SQL(
        "WITH {chain}"
        " INSERT INTO {table} AS stored ({columns}, {version}, {history}, {instant}{generation})"
        " SELECT {columns}, {count}, _eventgen_history, {instant}{knows} FROM transitions WHERE _eventgen_last ORDER BY {key}"
        " ON CONFLICT ({key}) DO UPDATE SET {version} = stored.{version} WHERE stored.{history}[1] <> {run}"
        " AND set_config('eventgen.replay_detected', 'yes', true) IS NULL"
    ).format(
        chain=inserted(plan) if single else chain(plan, with_before=False, sparse=(), unversioned=unversioned),
        table=qualified(plan.table),
        columns=columns,
        version=ROW_VERSION,
        history=ROW_HISTORY,
        run=sql.Literal(plan.run),
        instant=ROW_INSTANT,
        generation=sql.SQL(", {}").format(sql.Identifier(GENERATION)) if plan.generation else sql.SQL(""),
        knows=sql.SQL(", {}").format(sql.Literal(plan.generation)) if plan.generation else sql.SQL(""),
        count=COUNT,
        key=column_names(plan.table.key),
    )


def record(
    plan: Plan, *, sparse: Sequence[int], unversioned: bool, single: bool = False, may_hold: bool = False
) -> sql.Composable:
    """Write the last version of each row that was there, and the events of every transition.

    Args:
        plan: of the stream.
        sparse: indexes of the content columns that some staged record doesn't mention.
        unversioned: whether some staged record has no version.
        single: whether each staged record has a key of its own; else the stage must have been filled, if it is sparse.
        may_hold: whether events may be held, or wait for held ones.

    Returns one row: rows updated, events fired, events recorded by type and held by type (a smaller number means that
    the outbox knew some), versions dropped because they are older than the row, and the key of one of these, as a JSON
    array.
    """
    return sql.SQL(
        "WITH {chain}, written AS ({update} RETURNING transition._eventgen_base){events}"
        " SELECT (SELECT count(_eventgen_base) FROM written), {fired}, {recorded}, {held}, dropped.number, dropped.key"
        " FROM ({stale}) AS dropped"
    ).format(
        chain=replaced(plan, sparse)
        if single
        else chain(plan, with_before=True, sparse=sparse, unversioned=unversioned),
        update=_update(plan, created=bool(sparse) and not single),
        events=events(plan, may_hold=may_hold) if plan.rules else sql.SQL(""),
        stale=_stale(plan, single=single),
        **counts(plan, may_hold=may_hold),
    )


def fill(plan: Plan, *, sparse: Sequence[int], unversioned: bool) -> sql.Composable:
    """Fill a staged version's absent properties from the versions of its key before it, since the last deletion.

    Each step of the recursion takes the next version of each key by its ctid in the stage, so that each version is
    visited once, however many columns there are. A property that no version before mentions stays absent.
    """
    # What comes back begins with nothing; a deletion leaves what it doesn't mention as it was.
    continues = sql.SQL("(NOT f._eventgen_gone OR {})").format(is_gone(plan, "o"))
    filled = [(index, column_name(column)) for index, column in enumerate(plan.table.content) if index in sparse]
    next_values = comma_list(
        sql.SQL("CASE WHEN get_bit(o.{absent}, {index}) = 1 AND {continues} THEN f.{c} ELSE o.{c} END").format(
            absent=sql.Identifier(ABSENT), index=sql.Literal(index), continues=continues, c=name
        )
        for index, name in filled
    )
    return sql.SQL(
        "WITH RECURSIVE {before}, dated AS (SELECT {keys}, s.ctid AS _eventgen_tid, {at} AS {at_name}, s.{n},"
        " b._eventgen_gone AS _eventgen_was_gone FROM {stage} AS s LEFT JOIN before AS b ON {same} WHERE {accepted})"
        ", chains AS (SELECT array_agg(_eventgen_tid ORDER BY {at_name} NULLS FIRST, {n}) AS _eventgen_tids,"
        " bool_or(_eventgen_was_gone) AS _eventgen_was_gone FROM dated"
        " GROUP BY {key} HAVING count(*) > 1)"
        ", filled AS (SELECT c._eventgen_tids, 1 AS _eventgen_step,"
        " CASE WHEN c._eventgen_was_gone AND NOT {gone} THEN NULL ELSE o.{absent} END AS {absent}, {gone} AS _eventgen_gone, {first} FROM chains AS c"
        " CROSS JOIN LATERAL (SELECT * FROM {stage} AS o WHERE o.ctid = c._eventgen_tids[1] OFFSET 0) AS o"
        " UNION ALL SELECT f._eventgen_tids, f._eventgen_step + 1, CASE WHEN {continues} THEN o.{absent} & f.{absent} END,"
        " {gone}, {next_values} FROM filled AS f"
        " CROSS JOIN LATERAL (SELECT * FROM {stage} AS o WHERE o.ctid = f._eventgen_tids[f._eventgen_step + 1] OFFSET 0) AS o"
        " WHERE f._eventgen_step < cardinality(f._eventgen_tids))"
        " UPDATE {stage} AS s SET {absent} = f.{absent}, {values} FROM filled AS f"
        " WHERE s.ctid = f._eventgen_tids[f._eventgen_step] AND f._eventgen_step > 1"
    ).format(
        before=rows_before(plan),
        keys=column_names(plan.table.key, "s"),
        key=column_names(plan.table.key),
        at=staged_instant(plan, with_before=True, unversioned=unversioned),
        at_name=AT,
        n=NUMBER,
        stage=stage_of(plan),
        same=same_key(plan, "s", "b"),
        accepted=not_stale(plan),
        absent=sql.Identifier(ABSENT),
        gone=is_gone(plan, "o"),
        continues=continues,
        first=comma_list(sql.SQL("o.{}").format(name) for _, name in filled),
        next_values=next_values,
        values=comma_list(sql.SQL("{0} = f.{0}").format(name) for _, name in filled),
    )


def _update(plan: Plan, *, created: bool) -> sql.Composed:
    """Return the write of each row's last version.

    Args:
        plan: of the stream.
        created: whether rows that the claim inserted are written too, since it could not know all of their properties.
    """
    columns = [column for column in plan.table.columns if column.name not in plan.table.key]
    assignments = [
        sql.SQL("{} = {}").format(column_name(column), column_name(column, "transition")) for column in columns
    ]
    assignments.append(sql.SQL("{} = {}").format(ROW_VERSION, sql.Identifier("transition", "_eventgen_count")))
    assignments.append(sql.SQL("{} = {}").format(ROW_HISTORY, sql.Identifier("transition", "_eventgen_history")))
    assignments.append(sql.SQL("{} = {}").format(ROW_INSTANT, sql.Identifier("transition", INSTANT)))
    return sql.SQL(
        "UPDATE {table} AS stored SET {assignments} FROM transitions AS transition"
        " WHERE transition._eventgen_last{replaced} AND {same}"
    ).format(
        replaced=sql.SQL("" if created else " AND transition._eventgen_base IS NOT NULL"),
        table=qualified(plan.table),
        assignments=comma_list(assignments),
        same=same_key(plan, "stored", "transition"),
    )


def _stale(plan: Plan, *, single: bool) -> sql.Composable:
    """Return the number of staged versions that are older than their rows, and the key of one of them."""
    if plan.version is None:
        return sql.SQL("SELECT 0 AS number, NULL::text AS key")
    if single:
        return sql.SQL("SELECT count(*) AS number, min({}::text) AS key FROM compared WHERE _eventgen_stale").format(
            key_array(plan)
        )
    return sql.SQL(
        "SELECT count(*) AS number, min({key}::text) AS key FROM {stage} AS s JOIN before AS b ON {same} WHERE {new} < {old}"
    ).format(
        key=key_array(plan, "s"),
        stage=stage_of(plan),
        same=same_key(plan, "s", "b"),
        new=version_of(plan, "s"),
        old=INSTANT_BEFORE,
    )


def keep_stale(plan: Plan, reason: str, *, locked: bool) -> sql.Composable:
    """Store the staged records that are older than their rows among those that were not loaded.

    Args:
        plan: of the stream, which has versions.
        reason: why a record is there.
        locked: whether the rows are still those that the batch was staged against; else it was written in one pass,
            which leaves the rows of such records alone.
    """
    named = sql.SQL("unnest({}::text[]) WITH ORDINALITY AS c(name, number)").format(
        sql.Literal([column.name for column in plan.table.content])
    )
    ours = [ARRIVAL, ABSENT, FINE, *(column.name for column in plan.table.metadata if column.name != DELETED_AT)]
    if not plan.deletable:
        alive: sql.Composable = sql.SQL("")
    else:
        alive = sql.SQL(" - CASE WHEN {} IS NULL THEN {}::text ELSE '' END").format(
            column_name(DELETED_AT, "s"), sql.Literal(DELETED_AT)
        )
    return sql.SQL(
        "WITH {before}old AS (SELECT (to_jsonb(s.*) - {ours}::text[]{alive}"
        " - ARRAY(SELECT c.name FROM {named} WHERE get_bit(s.{absent}, c.number::int - 1) = 1))::text AS record"
        " FROM {stage} AS s JOIN {rows} AS b ON {same} WHERE s.{n} > 0 AND {new} < {since}) {kept}"
    ).format(
        before=sql.Composed([rows_before(plan), sql.SQL(", ")]) if locked else sql.SQL(""),
        rows=sql.SQL("before") if locked else qualified(plan.table),
        since=INSTANT_BEFORE if locked else instant_of(plan, "b"),
        ours=sql.Literal(ours),
        alive=alive,
        named=named,
        absent=sql.Identifier(ABSENT),
        stage=stage_of(plan),
        same=same_key(plan, "s", "b"),
        n=NUMBER,
        new=version_of(plan, "s"),
        kept=invalid_records.add_from(plan, reason, sql.SQL("old")),
    )
