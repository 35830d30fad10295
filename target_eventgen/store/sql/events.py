"""Events: each transition judged by every rule, in one pass, and what fires inserted into the outbox.

`judged` evaluates each condition once on the old and once on the new content; an edge is the difference of both.
`fired` has a row for each rule that fires, `described` what an event says, `recorded` the events that the outbox did
not know. An event's id is a hash of its rule, key, count and both contents, and of its table and source: a transition
that is computed again is the same event, and that of another pipeline's row never is.

The ids of earlier code left out table and source: of two pipelines with streams of one name, the second one's events
were taken for the first one's, and lost. Yet a transition which that code recorded must be recognised when it is
computed again, such as after a row was removed by hand. So the form of the ids belongs to the table
(`eventgen.streams.identity`): one that earlier code made keeps the earlier form for ever, any other has the present
one. Weighed against that:

- The present form everywhere, beside a look at the outbox for the earlier id: one look-up more for each event, for
  good; and an event that was published before its commit (`before_commit`) would come again with another id.
- The table of each event, written into an earlier outbox: its events don't say whose they are where the streams of two
  tables have one name, and millions of them would be rewritten.

Where earlier code made several tables for streams of one name, all of them get the present form as soon as one is
loaded: in the earlier form they would go on losing events, and what that form protects from takes a person who removes
rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql
from typing_extensions import assert_never

from target_eventgen.model.plan import Plan
from target_eventgen.model.rules import Changes, Created, Deleted, Enters, Leaves, Rule, Updated, When
from target_eventgen.model.tables import DELETED_AT
from target_eventgen.model.trace import PATTERN
from target_eventgen.model.versions import FINE
from target_eventgen.store.sql import guard
from target_eventgen.store.sql.names import (
    AT,
    COUNT,
    GONE,
    NUMBER,
    column_name,
    column_names,
    comma_list,
    old_value,
    origin,
    same_key,
    stage_of,
)


def _content(plan: Plan, *, new: bool) -> sql.Composed:
    """Return the new or old content of `_eventgen_transition` under the columns' names; NULLs where there is no row."""
    values = _values(plan, new=new)
    return comma_list(
        sql.SQL("{} AS {}").format(value, column_name(column))
        for value, column in zip(values, plan.table.content, strict=True)
        if column.name != FINE
    )


def _values(plan: Plan, *, new: bool) -> list[sql.Composable]:
    qualifier = "_eventgen_transition"
    names = [
        column_name(column, qualifier) if new else old_value(plan, index, qualifier)
        for index, column in enumerate(plan.table.content)
    ]
    if not plan.deletable:
        return names
    there = "NOT _eventgen_gone" if new else "_eventgen_existed"
    return [sql.SQL(f"CASE WHEN {there} THEN {{}} END").format(name) for name in names]


def condition(text: str) -> sql.Composable:
    """Return a condition as an expression that is true or false; its line break ends a comment at its end."""
    return sql.SQL("((") + sql.SQL(text) + sql.SQL("\n) IS TRUE)")


def _judgements(plan: Plan, rules: Sequence[Rule]) -> tuple[sql.Composed, list[sql.Composable]]:
    """Return lateral sub-selects that evaluate the conditions, and for each rule the expression by which it fires.

    The expressions are never NULL.
    """
    now: list[sql.Composable] = []
    was: list[sql.Composable] = []
    when: list[sql.Composable] = []
    fires: list[sql.Composable] = []
    indexes = {column.name: index for index, column in enumerate(plan.table.content)}
    for number, rule in enumerate(rules):
        now_name, was_name = sql.Identifier(f"_eventgen_now_{number}"), sql.Identifier(f"_eventgen_was_{number}")
        match rule.trigger:
            case Enters(text) | Leaves(text):
                now.append(sql.SQL("{} AS {}").format(condition(text), now_name))
                was.append(sql.SQL("{} AS {}").format(condition(text), was_name))
                edge = (
                    "({now} AND NOT _eventgen_gone AND NOT (_eventgen_existed AND {was}))"
                    if isinstance(rule.trigger, Enters)
                    else "(_eventgen_existed AND {was} AND (_eventgen_gone OR NOT {now}))"
                )
                fires.append(sql.SQL(edge).format(now=now_name, was=was_name))
            case Changes(columns):
                fires.append(
                    sql.SQL("(_eventgen_existed AND NOT _eventgen_gone AND ROW({}) IS DISTINCT FROM ROW({}))").format(
                        column_names(columns, "_eventgen_transition"),
                        comma_list(old_value(plan, indexes[name]) for name in columns),
                    )
                )
            case Created():
                fires.append(sql.SQL("NOT _eventgen_existed"))
            case Updated():
                fires.append(sql.SQL("(_eventgen_existed AND NOT _eventgen_gone)"))
            case Deleted():
                fires.append(GONE)
            case When(text):
                when.append(sql.SQL("{} AS {}").format(condition(text), now_name))
                fires.append(now_name)
            case _ as never:
                assert_never(never)
    new, old = _content(plan, new=True), _content(plan, new=False)
    alias = sql.Identifier(plan.table.name)
    laterals: list[sql.Composable] = []
    if now:
        lateral = sql.SQL(" CROSS JOIN LATERAL (SELECT {} FROM (SELECT {}) AS {}) AS {}")
        laterals.append(lateral.format(comma_list(now), new, alias, sql.Identifier("_eventgen_now")))
        laterals.append(lateral.format(comma_list(was), old, alias, sql.Identifier("_eventgen_was")))
    if when:
        laterals.append(
            sql.SQL(
                ' CROSS JOIN LATERAL (SELECT {} FROM (SELECT {}) AS "new", (SELECT {}) AS "old") AS _eventgen_when'
            ).format(comma_list(when), new, old)
        )
    return sql.Composed(laterals), fires


def judged(plan: Plan) -> sql.Composed:
    """Return the expression for the transitions of which some rule fires."""
    laterals, fires = _judgements(plan, plan.rules)
    return sql.SQL(
        ", judged AS (SELECT _eventgen_transition.*, ARRAY[{fires}] AS _eventgen_fires"
        " FROM transitions AS _eventgen_transition{laterals} WHERE {told}({any}))"
    ).format(
        fires=comma_list(fires),
        any=sql.SQL(" OR ").join(fires),
        laterals=laterals,
        # From no row to none, as where a deleted row is deleted once more, there is nothing to tell.
        told=sql.SQL("(_eventgen_existed OR NOT _eventgen_gone) AND " if plan.deletable else ""),
    )


def events(plan: Plan, *, with_numbers: bool = True, may_hold: bool = False, mark: str | None = None) -> sql.Composed:
    """Return the expressions that judge the transitions and insert what fires into the outbox.

    Args:
        plan: of the stream.
        with_numbers: whether transitions have the numbers of their records in the stage; else these are joined by key.
        may_hold: whether events may be held, or wait for held ones.
        mark: a key of `data` that is true in these events, and is no part of their ids.
    """
    fired = sql.SQL(
        ", fired AS MATERIALIZED (SELECT judged.*, edge.rule AS _eventgen_rule FROM judged"
        " CROSS JOIN LATERAL unnest(_eventgen_fires) WITH ORDINALITY AS edge (fires, rule)"
        " WHERE edge.fires)"
    )
    described = _described(plan, with_numbers=with_numbers)
    return judged(plan) + fired + described + _recorded(plan, mark, may_hold=may_hold)


def _described(plan: Plan, *, with_numbers: bool) -> sql.Composed:
    """Return `described`: one row an event, with everything that the event says."""
    changed = comma_list(
        sql.SQL("CASE WHEN {} IS DISTINCT FROM {} THEN {} END").format(new, old, sql.Literal(column.name))
        for new, old, column in zip(_values(plan, new=True), _values(plan, new=False), plan.table.content, strict=True)
        if column.name != FINE
    )
    key_object = comma_list(
        sql.SQL("{}::text, {}").format(sql.Literal(name), column_name(name, "_eventgen_transition"))
        for name in plan.table.key
    )
    stage = sql.SQL(" JOIN (SELECT {}, {} FROM {}) AS _eventgen_stage ON {}").format(
        NUMBER, column_names(plan.table.key), stage_of(plan), same_key(plan, "_eventgen_stage", "_eventgen_transition")
    )
    return sql.SQL(
        ", described AS (SELECT {at} AS _eventgen_at, {n} AS _eventgen_n, {count} AS _eventgen_count,"
        " rule.number AS _eventgen_rule, rule.type AS _eventgen_type, rule.definition AS _eventgen_definition,"
        " rule.payload AS _eventgen_payload, rule.include AS _eventgen_include,"
        " {time} AS _eventgen_time, {trace} AS _eventgen_trace, {subject} AS _eventgen_subject, jsonb_build_object({key_object}) AS _eventgen_key,"
        " CASE WHEN NOT _eventgen_gone THEN to_jsonb(_eventgen_new) END AS _eventgen_new,"
        " CASE WHEN _eventgen_existed THEN to_jsonb(_eventgen_old) END AS _eventgen_old,"
        " to_jsonb(array_remove(ARRAY[{changed}]::text[], NULL)) AS _eventgen_changed"
        " FROM fired AS _eventgen_transition{stage}"
        " JOIN (VALUES {rules}) AS rule (number, type, definition, payload, include) ON rule.number = _eventgen_transition._eventgen_rule"
        " CROSS JOIN LATERAL (SELECT {new}) AS _eventgen_new CROSS JOIN LATERAL (SELECT {old}) AS _eventgen_old)"
    ).format(
        at=AT,
        n=NUMBER,
        stage=sql.SQL("") if with_numbers else stage,
        count=COUNT,
        time=_time(plan),
        trace=_trace(plan),
        subject=subject(plan),
        key_object=key_object,
        changed=changed,
        rules=_rules(plan),
        new=_content(plan, new=True),
        old=_content(plan, new=False),
    )


def _rules(plan: Plan) -> sql.Composed:
    """Return the rules as rows (number from 1, type, definition, payload, include)."""
    return comma_list(
        sql.SQL("({}, {}, {}, {}, {}::text[])").format(
            sql.Literal(number),
            sql.Literal(rule.type),
            sql.Literal(rule.definition),
            sql.Literal(rule.payload),
            sql.Literal(None if rule.include is None else list(rule.include)),
        )
        for number, rule in enumerate(plan.rules, start=1)
    )


def _recorded(plan: Plan, mark: str | None, *, may_hold: bool) -> sql.Composed:
    """Return `recorded`: the events that were inserted, in the order of their transitions."""
    values = sql.SQL(
        "encode(sha256(convert_to(jsonb_build_array(_eventgen_type, _eventgen_definition, {stream}::text,"
        " _eventgen_key, _eventgen_count, _eventgen_old, _eventgen_new{origin})::text, 'UTF8')), 'hex'),"
        " {source}, _eventgen_type, {stream} || '/' || _eventgen_subject, _eventgen_time, _eventgen_subject, {stream},"
        " _eventgen_key, {data}, _eventgen_trace, CASE WHEN _eventgen_trace = {parent} THEN {state} END, {schema}, {name}"
    ).format(
        stream=sql.Literal(plan.table.stream),
        source=sql.Literal(plan.source),
        origin=origin(plan),
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        data=_data(plan)
        if mark is None
        else sql.SQL("{} || jsonb_build_object({}, true)").format(_data(plan), sql.Literal(mark)),
        parent=sql.Literal(None if plan.trace is None else plan.trace.parent),
        state=sql.Literal(None if plan.trace is None else plan.trace.state),
    )
    if may_hold:
        return guard.recorded(plan, values)
    return sql.SQL(
        ", recorded AS (INSERT INTO eventgen.events ({columns}) SELECT {values} FROM described ORDER BY {order}"
        " ON CONFLICT (id) DO NOTHING RETURNING type)"
    ).format(columns=guard.COLUMNS, values=values, order=guard.ORDER)


def _data(plan: Plan) -> sql.Composable:
    """Return the `data` of an event: both versions, cut to the rule's payload; the id is made of whole versions."""
    if all(rule.payload == "full" and rule.include is None for rule in plan.rules):
        return sql.SQL("jsonb_build_object('old', _eventgen_old, 'new', _eventgen_new, 'changed', _eventgen_changed)")
    visible = (
        "CASE WHEN _eventgen_payload = 'full' AND _eventgen_include IS NULL THEN {version} ELSE"
        " (SELECT jsonb_object_agg(key, value) FROM jsonb_each({version}) WHERE key = ANY ({keys}::text[])"
        " OR (_eventgen_payload <> 'key' AND key = ANY (coalesce(_eventgen_include, ARRAY[key]))"
        " AND (_eventgen_payload = 'full' OR _eventgen_changed ? key))) END"
    )
    changed = (
        "CASE WHEN _eventgen_include IS NULL THEN _eventgen_changed ELSE (SELECT coalesce(jsonb_agg(name), '[]')"
        " FROM jsonb_array_elements_text(_eventgen_changed) AS name"
        " WHERE name = ANY (_eventgen_include || {keys}::text[])) END"
    )
    keys = sql.Literal(list(plan.table.key))
    return sql.SQL("jsonb_build_object('old', {}, 'new', {}, 'changed', {})").format(
        sql.SQL(visible).format(version=sql.Identifier("_eventgen_old"), keys=keys),
        sql.SQL(visible).format(version=sql.Identifier("_eventgen_new"), keys=keys),
        sql.SQL(changed).format(keys=keys),
    )


def _time(plan: Plan) -> sql.Composable:
    """Return the record's own time, where its version is one, or that of its deletion; one without zone is UTC."""
    column = plan.moment
    if column is None or not (column.type.startswith("timestamp") or column.type == "date"):
        time: sql.Composable = sql.SQL("NULL::timestamptz")
    else:
        time = sql.SQL("{}::timestamptz").format(column_name(column, "_eventgen_transition"))
        time = _readable(time)
    if not plan.deletable:
        return time
    deleted = column_name(DELETED_AT, "_eventgen_transition")
    return sql.SQL("CASE WHEN _eventgen_gone THEN {} ELSE {} END").format(
        _readable(sql.SQL("{}::timestamptz").format(deleted)), time
    )


def _readable(time: sql.Composable) -> sql.Composable:
    """Return an instant that RFC 3339 can write, which knows the years 1 to 9999; NULL for any other one."""
    return sql.SQL(
        "(CASE WHEN {0} >= '0001-01-01 00:00:00+00' AND {0} < '10000-01-01 00:00:00+00' THEN {0} END)"
    ).format(time)


def _trace(plan: Plan) -> sql.Composable:
    """Return the traceparent of a transition: the record's own, where it has one, else that of the run."""
    if plan.trace is None:
        return sql.SQL("NULL::text")
    parent = sql.SQL("{}::text").format(sql.Literal(plan.trace.parent))
    if plan.trace.field not in {column.name for column in plan.table.content}:
        return parent
    # A deletion says nothing of the content, so the column is that of the version before.
    return sql.SQL(
        "CASE WHEN NOT _eventgen_gone AND {own}::text ~ {pattern} THEN {own}::text ELSE {parent} END"
    ).format(
        own=column_name(str(plan.trace.field), "_eventgen_transition"), pattern=sql.Literal(PATTERN), parent=parent
    )


def subject(plan: Plan) -> sql.Composable:
    """Return the key as text: the value itself, or a JSON array of a compound key's values."""
    stored = {column.name: column for column in plan.types}
    # One row has one subject, in whatever case its key comes.
    names = [
        sql.SQL("lower({}::text)" if name in stored and stored[name].ignores_case else "{}").format(
            column_name(name, "_eventgen_transition")
        )
        for name in plan.table.key
    ]
    if len(names) == 1:
        return sql.SQL("{}::text").format(names[0])
    return sql.SQL("jsonb_build_array({})::text").format(comma_list(names))


def counts(plan: Plan, *, may_hold: bool = False) -> dict[str, sql.Composable]:
    """Return the expressions for the events that fired, and for those of them that were recorded or held, by type."""
    if not plan.rules:
        return {"fired": sql.SQL("0"), "recorded": sql.SQL("'{}'::jsonb"), "held": sql.SQL("'{}'::jsonb")}
    return {
        "fired": sql.SQL("(SELECT count(*) FROM fired)"),
        "recorded": sql.SQL(
            "(SELECT coalesce(jsonb_object_agg(type, number), '{}')"
            " FROM (SELECT type, count(*) AS number FROM recorded GROUP BY type) AS by_type)"
        ),
        "held": guard.HELD_BY_TYPE if may_hold else sql.SQL("'{}'::jsonb"),
    }
