"""The one pass: a single statement that locks, compares and writes rows, and records their events.

One pass (`single_pass.upsert`) writes a batch where Postgres returns the row before an update (18 on), the table has
neither hard deletions nor added columns, and each record has a key and a version of its own, mentions every property
and deletes nothing. Two passes (`two_pass.claim`, then `two_pass.record`) write every other batch of a stream with key,
and those that meet a replay. Both have the same meaning: the campaign `proofs/histories` compares both with one
reference model.

A row is locked, compared and replaced as it is at that moment, whoever wrote it last. What the statement meets on the
way (a row with an instant history of another run, a row newer than its record) it leaves in settings of the
transaction, which `overtaken` reads; the caller then repeats the transaction in two passes, or counts stale records
with `older`. Streams without key need neither way: `append`.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import DELETED_AT
from target_eventgen.store.sql import guard
from target_eventgen.store.sql.deletions import count_origin, is_gone
from target_eventgen.store.sql.events import counts, events
from target_eventgen.store.sql.instants import content_hash, instant_of, latest, version_of
from target_eventgen.store.sql.names import (
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
    old_content,
    qualified,
    same_key,
    stage_of,
)
from target_eventgen.store.sql.replays import parked


def append(plan: Plan) -> sql.Composable:
    """Store the versions of a stream without key: each is a row of its own."""
    columns = column_names(plan.table.columns)
    return sql.SQL("INSERT INTO {} ({}, {}) SELECT {}, 1 FROM {} ORDER BY {}").format(
        qualified(plan.table), columns, ROW_VERSION, columns, stage_of(plan), NUMBER
    )


def upsertable(plan: Plan) -> bool:
    """Return whether a stream's table and versions allow `upsert`; the caller judges the batch."""
    return plan.version is not None and not (plan.hard or plan.generation)


def upsert(plan: Plan, *, skip_unchanged: bool) -> sql.Composable:
    """Claim, judge and record in one statement; rows that are not replaced stay locked.

    Args:
        plan: of the stream.
        skip_unchanged: whether records that equal their rows are left out first, without a lock, as if these records
            had been written before whatever happens to the rows meanwhile. That pays where most records equal their
            rows.

    Returns one row: rows created, rows updated, events fired, events recorded by type and held by type. Left as it is,
    and reported by `overtaken`, is a row that is newer than its record, or has an instant history of another run which
    may be replayed.
    """
    written = [column for column in plan.table.columns if column.name not in plan.table.key]
    content = plan.table.content
    new, old = version_of(plan, "excluded"), instant_of(plan, "stored")
    gone = is_gone(plan, "stored")
    values = [column_name(column, "excluded") for column in content]
    before = [column_name(column, "stored") for column in content]
    hashes = latest(
        sql.SQL("(coalesce(stored.{history}[2:], ARRAY[{old}]) || {new})").format(
            history=ROW_HISTORY,
            old=content_hash(plan, comma_list(before), gone),
            new=content_hash(plan, comma_list(values), sql.SQL("false")),
        )
    )
    return sql.SQL(
        "WITH transitions AS (INSERT INTO {table} AS stored ({columns}, {version})"
        " SELECT {columns}, {origin} + 1 FROM {stage} AS s{changed} ORDER BY {key}"
        " ON CONFLICT ({key}) DO UPDATE SET {assignments}, {version} = stored.{version} + 1,"
        " {history} = CASE WHEN {new} IS NOT DISTINCT FROM {old} THEN {run}::bigint || {hashes} END, {instant} = NULL"
        " WHERE CASE WHEN ({new} < {old}) IS TRUE THEN set_config('eventgen.stale', 'yes', true) IS NULL"
        " WHEN stored.{history}[1] <> {run} AND ({new} > {old}) IS NOT TRUE"
        " THEN set_config('eventgen.replay_detected', 'yes', true) IS NULL"
        " ELSE {gone} OR ROW({values}) IS DISTINCT FROM ROW({before}) END"
        " RETURNING WITH (OLD AS _eventgen_o, NEW AS _eventgen_w) {transition}){events}"
        " SELECT count(*) FILTER (WHERE NOT _eventgen_preceded), count(*) FILTER (WHERE _eventgen_preceded), {fired},"
        " {recorded}, {held} FROM transitions"
    ).format(
        table=qualified(plan.table),
        columns=column_names(plan.table.columns),
        version=ROW_VERSION,
        origin=count_origin(plan),
        stage=stage_of(plan),
        key=column_names(plan.table.key),
        changed=_unlike_rows(plan) if skip_unchanged else sql.SQL(""),
        assignments=comma_list(
            sql.SQL("{} = {}").format(column_name(column), column_name(column, "excluded")) for column in written
        ),
        history=ROW_HISTORY,
        new=new,
        old=old,
        run=sql.Literal(plan.run),
        hashes=hashes,
        instant=ROW_INSTANT,
        gone=gone,
        values=comma_list(values),
        before=comma_list(before),
        transition=_transition(plan),
        events=events(plan, with_numbers=False, may_hold=plan.may_hold) if plan.rules else sql.SQL(""),
        **counts(plan, may_hold=plan.may_hold),
    )


def _transition(plan: Plan) -> sql.Composed:
    """Return what is returned of a written row: whether it replaced one, and with rules both of its contents."""
    content = plan.table.content
    columns: list[sql.Composable] = [sql.SQL("_eventgen_o.{} IS NOT NULL AS _eventgen_preceded").format(ROW_VERSION)]
    if plan.rules:
        existed = "_eventgen_o.{} IS NOT NULL AND NOT {}" if plan.deletable else "_eventgen_o.{} IS NOT NULL"
        columns += [
            *(column_name(column, "_eventgen_w") for column in content),
            *(column_name(c, "_eventgen_w") for c in plan.table.metadata if c.name == DELETED_AT),
            *old_content(plan, [column_name(column, "_eventgen_o") for column in content]),
            sql.SQL("{} AS {}").format(version_of(plan, "_eventgen_w"), AT),
            sql.SQL("_eventgen_w.{} AS {}").format(ROW_VERSION, COUNT),
            sql.SQL(existed + " AS _eventgen_existed").format(ROW_VERSION, is_gone(plan, "_eventgen_o")),
            sql.SQL("false AS _eventgen_gone"),
        ]
    return comma_list(columns)


def _unlike_rows(plan: Plan) -> sql.Composable:
    """Return the condition that a staged record differs from its row, which is looked up by its key."""
    return sql.SQL(
        " WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {same} AND t.{history} IS NULL AND NOT {gone}"
        " AND ROW({old}) IS NOT DISTINCT FROM ROW({new}) OFFSET 0)"
    ).format(
        table=qualified(plan.table),
        same=same_key(plan, "t", "s"),
        history=ROW_HISTORY,
        gone=is_gone(plan, "t"),
        old=column_names(plan.table.content, "t"),
        new=column_names(plan.table.content, "s"),
    )


def overtaken(plan: Plan) -> sql.Composable:
    """Return what `upsert` has met: a history that may be replayed, parked records, held events, newer rows."""
    return sql.SQL(
        "SELECT current_setting('eventgen.replay_detected', true) = 'yes', EXISTS ({parked}), {held},"
        " current_setting('eventgen.stale', true) = 'yes',"
        " set_config('eventgen.replay_detected', '', true), set_config('eventgen.stale', '', true)"
    ).format(
        parked=parked(plan),
        held=sql.SQL("EXISTS ({})").format(guard.others(plan)) if plan.rules else sql.SQL("false"),
    )


def older(plan: Plan) -> sql.Composable:
    """Return how many staged records are older than their rows, and the key of one of them, as a JSON array."""
    return sql.SQL(
        "SELECT count(*), min({key}::text) FROM {stage} AS s JOIN {table} AS t ON {same} WHERE {new} < {old}"
    ).format(
        key=key_array(plan, "s"),
        stage=stage_of(plan),
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
        new=version_of(plan, "s"),
        old=instant_of(plan, "t"),
    )
