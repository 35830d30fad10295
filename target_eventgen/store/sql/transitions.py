"""Transitions: the versions of each key that differ from the one before, with the old and the new content side by side.

`before` are the rows that other transactions wrote: xmin distinguishes them from those that this one has just claimed,
which have no row before them. `history` puts the versions of a key in order: the row before, then by (version,
arrival). A NULL version counts as new as the newest that arrived before it in its checkpoint, else as new as the row
before: it is applied, never dropped. A property that a record doesn't mention has the value of the version before it:
`two_pass.fill` takes into the stage what other staged versions have of it, and what is absent then is that of the row
before. `transitions` are the versions that differ in content from the one before; each raises the row's counter by one.
Everything else follows from a transition.

Three forms with the same meaning: `chain` for any number of versions a key; `replaced`, a plain join of the stage with
the rows before, where each key has one version, which is what most APIs give; `inserted` where there is no row before
either.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import GENERATION, INSTANT_HISTORY, VERSION, Column
from target_eventgen.store.sql.deletions import count_origin, is_gone
from target_eventgen.store.sql.instants import (
    INSTANT_BEFORE,
    content_hash,
    instant_of,
    is_recorded,
    latest,
    staged_instant,
    stored_instant,
    version_of,
)
from target_eventgen.store.sql.names import (
    ABSENT,
    AT,
    CHAIN_ORDER,
    COUNT,
    GONE,
    NUMBER,
    ROW_HISTORY,
    ROW_INSTANT,
    ROW_VERSION,
    column_name,
    column_names,
    comma_list,
    old_content,
    old_value,
    qualified,
    same_key,
    stage_of,
)


def inserted(plan: Plan) -> sql.Composed:
    """Return `transitions` where no row was there and each key has one version: the staged versions themselves."""
    return sql.SQL(
        "transitions AS (SELECT {columns}, {origin} + 1 AS {count}, true AS _eventgen_last,"
        " NULL::bigint[] AS _eventgen_history, NULL::text AS {instant} FROM {stage})"
    ).format(
        columns=column_names(plan.table.columns),
        origin=count_origin(plan),
        count=COUNT,
        instant=ROW_INSTANT,
        stage=stage_of(plan),
    )


def replaced(plan: Plan, sparse: Sequence[int]) -> sql.Composed:
    """Return `transitions` where each key has one version: it and the row that it replaces stand side by side.

    None of these versions is a deletion, and no row of them has an instant history of another run that may be replayed.
    """
    old, new = [column_name(column, "b") for column in plan.table.content], _new_values(plan, sparse)
    contents = [
        sql.SQL("{} AS {}").format(value, column_name(c)) for value, c in zip(new, plan.table.content, strict=True)
    ]
    olds = old_content(plan, old)
    preceded = sql.SQL("b.{} IS NOT NULL").format(ROW_VERSION)
    existed = sql.SQL("b.{} IS NOT NULL AND NOT b._eventgen_gone" if plan.deletable else "b.{} IS NOT NULL").format(
        ROW_VERSION
    )
    at, still = version_of(plan, "s"), preceded
    values = dict(zip((column.name for column in plan.table.content), new, strict=True))
    if plan.version is not None:
        at = sql.SQL("GREATEST({}, {})").format(at, INSTANT_BEFORE)
        still = sql.SQL("{} AND {} IS NOT DISTINCT FROM {}").format(preceded, at, INSTANT_BEFORE)
    return sql.SQL(
        "compared AS MATERIALIZED (SELECT {contents}{metadata}, {olds}, s.{n}, {at} AS {at_name},"
        " {stale} AS _eventgen_stale,"
        " {existed} AS _eventgen_existed, false AS _eventgen_gone, b.{version} AS _eventgen_base,"
        " coalesce(b.{version}, {origin}) + 1 AS {count},"
        " true AS _eventgen_last, CASE WHEN {still} THEN {run}::bigint || {hashes} END AS _eventgen_history,"
        " {instant} AS {instant_name} FROM {stage} AS s LEFT JOIN ({before}) AS b ON {same}"
        " WHERE {stale} OR NOT ({existed}) OR ROW({new}) IS DISTINCT FROM ROW({old}))"
        ", transitions AS NOT MATERIALIZED (SELECT * FROM compared WHERE NOT _eventgen_stale)"
    ).format(
        before=rows_of_others(plan),
        stale=sql.SQL("(({} < {}) IS TRUE)").format(version_of(plan, "s"), INSTANT_BEFORE),
        contents=comma_list(contents),
        metadata=sql.Composed([sql.SQL(", {}").format(column_name(column, "s")) for column in plan.table.metadata]),
        olds=comma_list(olds),
        n=NUMBER,
        at=at,
        at_name=AT,
        instant=stored_instant(plan, values.__getitem__, at),
        instant_name=ROW_INSTANT,
        existed=existed,
        version=ROW_VERSION,
        origin=count_origin(plan),
        count=COUNT,
        still=still,
        run=sql.Literal(plan.run),
        hashes=_replaced_hashes(plan, comma_list(old), comma_list(new)),
        stage=stage_of(plan),
        same=same_key(plan, "s", "b"),
        new=comma_list(new),
        old=comma_list(old),
    )


def _new_values(plan: Plan, sparse: Sequence[int]) -> list[sql.Composable]:
    """Return the content of a staged version `s`; properties that it may not mention are those of the row `b`."""

    def of_row(column: Column) -> sql.Composable:
        if not plan.deletable:
            return column_name(column, "b")
        return sql.SQL("CASE WHEN NOT b._eventgen_gone THEN {} END").format(column_name(column, "b"))

    return [
        sql.SQL("CASE WHEN get_bit({}, {}) = 1 THEN {} ELSE {} END").format(
            column_name(ABSENT, "s"), sql.Literal(index), of_row(column), column_name(column, "s")
        )
        if index in sparse
        else column_name(column, "s")
        for index, column in enumerate(plan.table.content)
    ]


def _replaced_hashes(plan: Plan, old: sql.Composable, new: sql.Composable) -> sql.Composed:
    """Return the hashes of the row's instant history with those of the version that replaces the row."""
    gone = sql.SQL("b._eventgen_gone IS TRUE") if plan.deletable else sql.SQL("false")
    return latest(
        sql.SQL("(coalesce(b.{history}[2:], ARRAY[{old}]) || {new})").format(
            history=ROW_HISTORY,
            old=content_hash(plan, old, gone),
            new=content_hash(plan, new, sql.SQL("false")),
        )
    )


def chain(plan: Plan, *, with_before: bool, sparse: Sequence[int], unversioned: bool) -> sql.Composed:
    """Return the common table expressions up to `transitions`, where a key may have several versions.

    Args:
        plan: of the stream.
        with_before: whether each chain begins with the row that was there, which must be locked then.
        sparse: indexes of the content columns that some staged record doesn't mention.
        unversioned: whether some staged record has no version.
    """
    parts = [rows_before(plan)] if with_before else []
    parts += [
        history_of_keys(plan, with_before=with_before, sparse=sparse, unversioned=unversioned),
        _linked(plan),
        _changes(plan),
        _numbered(plan),
        _transitions(plan),
    ]
    return comma_list(parts)


def _old_names(plan: Plan) -> list[sql.Composable]:
    return [old_value(plan, index) for index in range(len(plan.table.content))]


def _linked(plan: Plan) -> sql.Composed:
    """Return `chain`: each version beside the content before it."""
    olds = old_content(plan, [*map(column_name, plan.table.content)], "lag({}) OVER w")
    return sql.SQL(
        "chain AS (SELECT *, {existed} AS _eventgen_existed, {preceded} AS _eventgen_preceded, {olds},"
        " {preceded} AND {at} IS NOT DISTINCT FROM lag({at}) OVER w AS _eventgen_still,"
        " max({version}) OVER k AS _eventgen_base, max({history}) OVER k AS _eventgen_base_story"
        " FROM history WINDOW k AS (PARTITION BY {key}), w AS (PARTITION BY {key} ORDER BY {order}))"
    ).format(
        at=AT,
        existed=sql.SQL("coalesce(NOT lag(_eventgen_gone) OVER w, false)"),
        preceded=sql.SQL("lag({}) OVER w IS NOT NULL").format(NUMBER),
        olds=comma_list(olds),
        version=ROW_VERSION,
        history=ROW_HISTORY,
        key=column_names(plan.table.key),
        order=CHAIN_ORDER,
    )


def _changes(plan: Plan) -> sql.Composed:
    """Return `changes`: the versions that differ from the one before.

    A deletion of what isn't there is one of them where it says something new, such as its version: no rule looks at it.
    """
    return sql.SQL(
        "changes AS (SELECT * FROM chain WHERE {n} > 0 AND (_eventgen_existed IS NOT DISTINCT FROM _eventgen_gone"
        " OR NOT _eventgen_preceded OR ROW({new}) IS DISTINCT FROM ROW({old})))"
    ).format(
        n=NUMBER,
        new=column_names(plan.table.content),
        old=comma_list(_old_names(plan)),
    )


def _numbered(plan: Plan) -> sql.Composed:
    """Return `numbered`: changes with their count, which is the last, and hashes where several are of one instant.

    A deletion of a key that was never there doesn't count.
    """
    return sql.SQL(
        "numbered AS (SELECT *, coalesce(_eventgen_base, {origin}) + row_number() OVER w"
        " - (first_value(_eventgen_gone AND NOT _eventgen_preceded) OVER w)::int AS {count},"
        " lead({n}) OVER w IS NULL AS _eventgen_last,"
        " count(*) FILTER (WHERE NOT _eventgen_still) OVER w AS _eventgen_turn,"
        " CASE WHEN _eventgen_still OR lead(_eventgen_still) OVER w THEN {new} END AS _eventgen_hash,"
        " CASE WHEN _eventgen_still AND row_number() OVER w = 1 THEN {old} END AS _eventgen_old_hash"
        " FROM changes WINDOW w AS (PARTITION BY {key} ORDER BY {order}))"
    ).format(
        origin=count_origin(plan),
        count=COUNT,
        n=NUMBER,
        new=content_hash(plan, column_names(plan.table.content), GONE),
        old=content_hash(plan, comma_list(_old_names(plan)), sql.SQL("(_eventgen_preceded AND NOT _eventgen_existed)")),
        key=column_names(plan.table.key),
        order=CHAIN_ORDER,
    )


def _transitions(plan: Plan) -> sql.Composed:
    """Return `transitions`: numbered changes with the instant and the instant history that their row is to store."""
    return sql.SQL(
        "transitions AS MATERIALIZED (SELECT *, CASE WHEN _eventgen_last AND _eventgen_still THEN"
        " {run}::bigint || {hashes} END AS _eventgen_history, {instant} AS {instant_name}"
        " FROM numbered WINDOW i AS (PARTITION BY {key}, _eventgen_turn ORDER BY {order}))"
    ).format(
        instant=stored_instant(plan, column_name, AT),
        instant_name=ROW_INSTANT,
        run=sql.Literal(plan.run),
        hashes=latest(
            sql.SQL(
                "(CASE WHEN _eventgen_turn = 0"
                " THEN coalesce(_eventgen_base_story[2:], ARRAY[first_value(_eventgen_old_hash) OVER i]) END"
                " || array_agg(_eventgen_hash) OVER i)"
            )
        ),
        key=column_names(plan.table.key),
        order=CHAIN_ORDER,
    )


def rows_before(plan: Plan) -> sql.Composed:
    """Return `before`: the rows of staged keys, locked by the claim, that this transaction has not written."""
    return sql.SQL("before AS MATERIALIZED ({others} AND ({keys}) IN (SELECT {key} FROM {stage}))").format(
        others=rows_of_others(plan),
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
    )


def rows_of_others(plan: Plan) -> sql.Composed:
    """Return the query for all rows that other transactions wrote."""
    return sql.SQL(
        "SELECT {content}, abs(t.{version}) AS {version},"
        " {recorded} AS {history},"
        " {since} AS _eventgen_since, {gone} AS _eventgen_gone FROM {table} AS t"
        " WHERE (t.xmin <> pg_current_xact_id()::xid OR t.{version} < 0{backfilled})"
    ).format(
        content=column_names(plan.table.content, "t"),
        version=ROW_VERSION,
        history=ROW_HISTORY,
        recorded=sql.SQL("CASE WHEN {} THEN t.{} END").format(is_recorded(plan), ROW_HISTORY),
        since=instant_of(plan, "t"),
        gone=is_gone(plan, "t"),
        backfilled=sql.SQL(" OR t.{} < 0").format(sql.Identifier(GENERATION)) if plan.generation else sql.SQL(""),
        table=qualified(plan.table),
    )


def not_stale(plan: Plan) -> sql.Composable:
    """Return whether a staged version belongs into its chain: neither skipped nor older than the row before."""
    accepted = sql.SQL("s.{} > 0").format(NUMBER)
    if plan.version is None:
        return accepted
    return sql.SQL("{} AND ({} < {}) IS NOT TRUE").format(accepted, version_of(plan, "s"), INSTANT_BEFORE)


def history_of_keys(plan: Plan, *, with_before: bool, sparse: Sequence[int], unversioned: bool) -> sql.Composed:
    """Return `history`: the versions of every key, the row before among them, without versions older than that row."""
    table = plan.table
    joined = with_before and (plan.version is not None or bool(sparse))
    columns = [
        sql.SQL(
            "CASE WHEN get_bit(s.{}, {}) = 1 THEN CASE WHEN NOT b._eventgen_gone OR {} THEN {} END ELSE {} END AS {}"
        ).format(
            sql.Identifier(ABSENT),
            sql.Literal(index),
            is_gone(plan, "s"),
            column_name(column, "b"),
            column_name(column, "s"),
            column_name(column),
        )
        if index in sparse
        else column_name(column, "s")
        for index, column in enumerate(table.columns)
    ]
    versions: sql.Composable = sql.SQL(
        "SELECT {columns}, s.{n}, {at} AS {at_name}, NULL::bigint AS {version}, NULL::bigint[] AS {history},"
        " {gone} AS _eventgen_gone FROM {stage} AS s{row_before} WHERE {accepted}"
    ).format(
        columns=comma_list(columns),
        n=NUMBER,
        at=staged_instant(plan, with_before=with_before, unversioned=unversioned),
        at_name=AT,
        version=ROW_VERSION,
        history=ROW_HISTORY,
        gone=is_gone(plan, "s"),
        stage=stage_of(plan),
        row_before=sql.SQL(" LEFT JOIN before AS b ON {}" if joined else "").format(same_key(plan, "s", "b")),
        accepted=not_stale(plan) if with_before else sql.SQL("s.{} > 0").format(NUMBER),
    )
    if with_before:
        versions = sql.SQL(
            "{staged} UNION ALL SELECT {content}{metadata}, 0, {since}, {own}, _eventgen_gone FROM before AS b"
        ).format(
            staged=versions,
            content=column_names(table.content),
            metadata=sql.SQL(", NULL" * len(table.metadata)),
            since=INSTANT_BEFORE,
            own=column_names([VERSION, INSTANT_HISTORY]),
        )
    return sql.SQL("history AS ({})").format(versions)
