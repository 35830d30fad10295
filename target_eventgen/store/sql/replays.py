"""Replays in the stage and in `eventgen.parked`: records that may repeat another run's, found, parked and judged.

`claim` and `upsert` notice an instant history of another run as they lock a row (`replay_detected`). `repeated` returns
what `store.replays.judge` needs to know of such rows. Their staged records are then applied, or skipped by a negative
number in the stage, where only `stamp_table_version` sees them; and parked in `eventgen.parked` while they may be a
piece of a replay whose end has not come. `unpark` stages parked records again with the next ones of their key,
`judge_parked` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.store.sql.instants import INSTANT_BEFORE, content_hash, is_recorded
from target_eventgen.store.sql.names import (
    ABSENT,
    AT,
    NUMBER,
    ROW_HISTORY,
    column_name,
    column_names,
    comma_list,
    key_array,
    qualified,
    same_key,
    stage_of,
)
from target_eventgen.store.sql.transitions import history_of_keys, rows_before


def replay_detected(plan: Plan) -> sql.Composable:
    """Return whether the claim has locked a row with an instant history of another run, and whether records are parked.

    The claim looks at each of these rows anyway: it leaves the answer in a setting of the transaction, which this
    statement resets for the next claim.
    """
    return sql.SQL(
        "SELECT current_setting('eventgen.replay_detected', true) = 'yes', EXISTS ({}), set_config('eventgen.replay_detected', '', true)"
    ).format(parked(plan))


def remembers(plan: Plan) -> sql.Composable:
    """Return whether the row of a staged key has an instant history of another run that may be replayed."""
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM {table} AS t JOIN {stage} AS s ON {same} WHERE t.{history}[1] <> {run} AND {recorded})"
    ).format(
        run=sql.Literal(plan.run),
        table=qualified(plan.table),
        stage=stage_of(plan),
        same=same_key(plan, "t", "s"),
        history=ROW_HISTORY,
        recorded=is_recorded(plan),
    )


def has_parked(plan: Plan) -> sql.Composable:
    """Return whether records of a stream are parked."""
    return sql.SQL("SELECT EXISTS ({})").format(parked(plan))


def parked(plan: Plan) -> sql.Composed:
    """Return the query for the parked records of a stream."""
    return sql.SQL("SELECT FROM eventgen.parked AS h WHERE h.table_schema = {} AND h.table_name = {}").format(
        sql.Literal(plan.table.schema), sql.Literal(plan.table.name)
    )


def number_after_parked(plan: Plan) -> sql.Composable:
    """Continue the numbers of the parked records in the staged ones."""
    return sql.SQL("UPDATE {} SET {n} = {n} + (SELECT count(*) FROM ({}) AS h)").format(
        stage_of(plan), parked(plan), n=NUMBER
    )


def unpark(plan: Plan) -> sql.Composable:
    """Stage what this run has parked of the staged keys; delete what other runs have parked of them."""
    of_staged_keys = sql.SQL("h.key IN (SELECT {} FROM {})").format(key_array(plan), stage_of(plan))
    return _stage_parked(plan, of_staged_keys, sql.SQL(" WHERE taken.run = {}").format(sql.Literal(plan.run)))


def judge_parked(plan: Plan) -> sql.Composable:
    """Stage, to be judged, a stream's parked records: those of this run and of runs that had ended before it."""
    ended = sql.SQL(
        "(h.run = {run} OR NOT EXISTS (SELECT FROM eventgen.runs AS r, eventgen.runs AS mine WHERE mine.run = {run}"
        " AND r.run = h.run AND r.committed_at > mine.began_at))"
    ).format(run=sql.Literal(plan.run))
    return _stage_parked(plan, ended, sql.SQL(""))


def _stage_parked(plan: Plan, chosen: sql.Composable, mine: sql.Composable) -> sql.Composed:
    """Delete the parked records that a condition chooses, and stage those of them that another condition admits."""
    columns = [column.name for column in plan.table.columns]
    return sql.SQL(
        "WITH taken AS (DELETE FROM eventgen.parked AS h WHERE h.sequence IN ({parked} AND {chosen}) RETURNING h.*)"
        " INSERT INTO {stage} ({n}, {absent}, {columns}) SELECT row_number() OVER (ORDER BY taken.sequence), {bits},"
        " {values} FROM taken, jsonb_populate_record(NULL::{stage}, taken.record) AS r{mine}"
    ).format(
        parked=sql.SQL(
            "SELECT h.sequence FROM eventgen.parked AS h WHERE h.table_schema = {} AND h.table_name = {}"
        ).format(sql.Literal(plan.table.schema), sql.Literal(plan.table.name)),
        chosen=chosen,
        stage=stage_of(plan),
        n=NUMBER,
        absent=sql.Identifier(ABSENT),
        bits=sql.SQL(
            "(SELECT string_agg(CASE WHEN taken.record ? c.name THEN '0' ELSE '1' END, '' ORDER BY c.number) FROM {})::varbit"
        ).format(_numbered_names(plan)),
        columns=column_names(columns),
        values=column_names(columns, "r"),
        mine=mine,
    )


def _numbered_names(plan: Plan) -> sql.Composable:
    """Return the content columns as rows (name, number), numbered from 1."""
    return sql.SQL("unnest({}::text[]) WITH ORDINALITY AS c(name, number)").format(
        sql.Literal([column.name for column in plan.table.content])
    )


def gaps(plan: Plan) -> sql.Composable:
    """Return the indexes of the content columns that some staged record doesn't mention."""
    return sql.SQL(
        "SELECT c.number::int - 1 FROM {} WHERE EXISTS (SELECT FROM {} WHERE get_bit({}, c.number::int - 1) = 1) ORDER BY 1"
    ).format(_numbered_names(plan), stage_of(plan), sql.Identifier(ABSENT))


def repeated(plan: Plan, *, sparse: Sequence[int]) -> sql.Composable:
    """Return the arguments of `store.replays.judge` for each staged key whose row has another run's instant history.

    These are (hashes of the history, numbers of the staged versions in their order, hashes of their contents, whether
    each is of the row's instant).
    """
    parts = [rows_before(plan), history_of_keys(plan, with_before=True, sparse=sparse, unversioned=True)]
    key = column_names(plan.table.key, "h")
    order = sql.SQL("h.{} NULLS FIRST, h.{}").format(AT, NUMBER)
    return sql.SQL(
        "WITH {parts} SELECT max(b.{history}[2:]), array_agg(h.{n} ORDER BY {order}), array_agg({hash} ORDER BY {order}),"
        " array_agg(h.{at} IS NOT DISTINCT FROM {since} ORDER BY {order}) FROM history AS h JOIN before AS b ON {same}"
        " WHERE h.{n} > 0 AND b.{history}[1] <> {run} GROUP BY {key}"
    ).format(
        parts=comma_list(parts),
        history=ROW_HISTORY,
        n=NUMBER,
        order=order,
        hash=content_hash(plan, column_names(plan.table.content, "h"), column_name("_eventgen_gone", "h")),
        at=AT,
        since=INSTANT_BEFORE,
        same=same_key(plan, "h", "b"),
        run=sql.Literal(plan.run),
        key=key,
    )


def park(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Park staged records until more records of their keys come, or the input ends."""
    return sql.SQL(
        "INSERT INTO eventgen.parked (table_schema, table_name, key, run, record) SELECT {schema}, {name}, {key}, {run},"
        " to_jsonb(s.*) - ARRAY(SELECT c.name FROM {names} WHERE get_bit(s.{absent}, c.number::int - 1) = 1)"
        " FROM {stage} AS s WHERE s.{n} = ANY ({numbers}::bigint[]) ORDER BY s.{n}"
    ).format(
        names=_numbered_names(plan),
        absent=sql.Identifier(ABSENT),
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        key=key_array(plan, "s"),
        run=sql.Literal(plan.run),
        stage=stage_of(plan),
        n=NUMBER,
        numbers=sql.Literal(list(numbers)),
    )


def skip(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Skip staged records: a negative number takes them out of their chains."""
    return sql.SQL("UPDATE {} SET {n} = -{n} WHERE {n} = ANY ({}::bigint[])").format(
        stage_of(plan), sql.Literal(list(numbers)), n=NUMBER
    )


def mark_history_checked(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Mark these rows' replay history as checked by this run: what the run sends of them from here on is new."""
    return sql.SQL(
        "UPDATE {table} AS t SET {history}[1] = {run} WHERE ({keys}) IN (SELECT {key} FROM {stage}"
        " WHERE abs({n}) = ANY ({numbers}::bigint[])) AND t.{history}[1] <> {run}"
    ).format(
        table=qualified(plan.table),
        history=ROW_HISTORY,
        run=sql.Literal(plan.run),
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
        n=NUMBER,
        numbers=sql.Literal(list(numbers)),
    )
