"""The SQL of a checkpoint, as values built by pure functions.

Theory of operation, one stream, one transaction:

    COPY → stage      every version of the checkpoint, typed, numbered in order of arrival
    claim             one INSERT … ON CONFLICT, in key order: absent keys get their last version at once, and rows that
                      exist are locked by the conflict, without being written. One pass over all keys in one order is
                      what keeps two writers from deadlock; and a lock can't hold a row that isn't there, so the
                      insertion is the lock of an absent key: of two writers one inserts, the other waits and then
                      finds a row. What a statement sees is older than its locks, hence the second statement:
    record            before and stage → chain → transitions → rows and events

`before` are the rows that other transactions wrote: xmin tells them from those that this one has just claimed, which
have no row before them. A checkpoint uses no savepoints, since these have transaction ids of their own.

`chain` puts the versions of a key in order: the row before, then by (version, arrival). A NULL version counts as new
as the newest that arrived before it in its checkpoint, else as new as the row before: it is applied, never dropped. A
property that a record doesn't mention has the value of the version before it: `fill` writes into the stage what it has
from others there, and what is still not said then is that of the row before. `transitions` are the versions that
differ in content from the one before; each raises the row's counter by one. Everything else follows from a transition's
old and new content, which stand side by side in it.

Where each key has one version, which is what most APIs give, transitions are a plain join of the stage with the rows
before; `_replaced` says so, with the same meaning.

Instants. Versions that are equal, and all of a stream without any, are of one instant. So is a NULL version and the one
that it is as new as, which the row remembers where its version is NULL. `retelling` says what becomes of a record that
may tell a story of its row's instant again: such ones are found by `retold`, laid aside by a negative number in the
stage, where nothing but `mark` sees them, and held back by `hold` until `take_back`.

Columns that are added later. What a row had in a column before there was one is not known: it isn't null. A row whose
generation is smaller than that of a widening of its table doesn't know the columns that came with it. The first version
that comes for it says what they are, and is taken to have been so before: `adopt` writes these values, `adapted` notes
that the row knows them. So no rule fires because of a column that is new, and each change from then on is one.

Deletions. A staged version whose `_sdc_deleted_at` is set is a deletion, and a row with it is gone: it goes on being the
end of its chain, but counts as no row. So a deletion is the transition from a row to none, a version behind it that from
none to a row, and a deletion of what isn't there is none at all. A deletion says nothing of the content, which stays as
it was; what comes back begins with nothing. A hard deletion is the same, after which rows that are gone leave the table.
They are kept as tombstones until what deleted them can't come again: `revive` gives a claimed key the row that it had, with
a negative count that says so, and `clear` takes it out once more if it is still gone.
The claim stores a key for each that came, for its lock's sake, even if nothing but a deletion came; `clear` takes that
out again.

Conditions of rules stand in the statements as they were written. They have been checked alone before (see `checks`):
there each of them had exactly these columns and this table name in sight, no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql
from typing_extensions import assert_never

from target_eventgen.model.rules import Changes, Created, Deleted, Enters, Leaves, Updated, When
from target_eventgen.model.tables import DELETED_AT, GENERATION, INSTANT, OWN, PER_BATCH, STORY, TABLE_VERSION, VERSION
from target_eventgen.model.trace import PATTERN
from target_eventgen.store.instants import comparable
from target_eventgen.store.replays import LONGEST_STORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_eventgen.model.plan import Plan
    from target_eventgen.model.rules import Rule
    from target_eventgen.model.tables import Column, Table

ARRIVAL = "_eventgen_n"
"""A staged version's place in its checkpoint, from 1; the row before is 0."""

ABSENT = "_eventgen_absent"
"""A bit for each content column, set where a staged record doesn't mention it; NULL where it mentions all."""

_AT = sql.Identifier("_eventgen_at")
_N = sql.Identifier(ARRIVAL)
_COUNT = sql.Identifier("_eventgen_count")
_GONE = sql.Identifier("_eventgen_gone")
_VERSION = sql.Identifier(VERSION)
_STORY = sql.Identifier(STORY)
_INSTANT = sql.Identifier(INSTANT)
_ORDER = sql.SQL("({n} > 0), {at} NULLS FIRST, {n}").format(n=_N, at=_AT)


def _list(items: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(items)


def _names(columns: Iterable[Column | str], qualifier: str | None = None) -> sql.Composed:
    """Return column names, separated by commas."""
    return _list(_name(column, qualifier) for column in columns)


def _name(column: Column | str, qualifier: str | None = None) -> sql.Identifier:
    name = column if isinstance(column, str) else column.name
    return sql.Identifier(qualifier, name) if qualifier else sql.Identifier(name)


def _old(place: int) -> sql.Identifier:
    """Return the name of a content column's value before the transition."""
    return sql.Identifier(f"_eventgen_old_{place}")


def qualified(table: Table) -> sql.Identifier:
    """Return the table's full name."""
    return sql.Identifier(table.schema, table.name)


def stage_of(plan: Plan) -> sql.Identifier:
    """Return the staging table's full name."""
    return sql.Identifier("pg_temp", plan.stage)


# -- tables -----------------------------------------------------------------------------------------------------------


def schema_exists(name: str) -> sql.Composable:
    """Return whether there is a schema; to ask for it to be made takes a right even where it is."""
    return sql.SQL("SELECT to_regnamespace({}) IS NOT NULL").format(sql.Literal('"' + name.replace('"', '""') + '"'))


def create_schema(name: str) -> sql.Composable:
    """Make a schema."""
    return sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name))


def create_table(table: Table) -> sql.Composable:
    """Make a stream's table. Only keys are NOT NULL: any other property may be missing from a record."""
    lines = [sql.SQL("{} {}").format(_name(column), sql.SQL(column.type)) for column in table.columns]
    lines += [sql.SQL("{} {}").format(_name(name), sql.SQL(type_)) for name, type_ in OWN]
    if table.key:
        lines.append(sql.SQL("PRIMARY KEY ({})").format(_names(table.key)))
    return sql.SQL("CREATE TABLE {} ({})").format(qualified(table), _list(lines))


def add_columns(table: Table, columns: Sequence[Column]) -> sql.Composable:
    """Add columns that the table lacks."""
    clauses = [
        sql.SQL("ADD COLUMN IF NOT EXISTS {} {}").format(_name(column), sql.SQL(column.type)) for column in columns
    ]
    return sql.SQL("ALTER TABLE {} {}").format(qualified(table), _list(clauses))


def add_generation(table: Table) -> sql.Composable:
    """Give the rows of a table that is widened the generation 0, whatever they know by now."""
    return sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} integer NOT NULL DEFAULT 0").format(
        qualified(table), sql.Identifier(GENERATION)
    )


def widen(table: Table, columns: Sequence[Column]) -> sql.Composable:
    """Give columns wider types; none of their values is lost."""
    using = {"jsonb": "to_jsonb({})"}
    clauses = [
        sql.SQL("ALTER COLUMN {} TYPE {} USING {}").format(
            _name(column),
            sql.SQL(column.type),
            sql.SQL(using.get(column.type, f"{{}}::{column.type}")).format(_name(column)),
        )
        for column in columns
    ]
    return sql.SQL("ALTER TABLE {} {}").format(qualified(table), _list(clauses))


def add_key(table: Table) -> sql.Composable:
    """Give the table its primary key."""
    return sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(qualified(table), _names(table.key))


def existing_columns(table: Table) -> sql.Composable:
    """Return (name, type) of each column, nothing where there is no such table."""
    return sql.SQL(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    ).format(_regclass(table))


def existing_keys(table: Table) -> sql.Composable:
    """Return (is primary, names) of each unique index over whole columns and all rows."""
    return sql.SQL(
        "SELECT i.indisprimary, ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid"
        " AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))"
        " FROM pg_index i WHERE i.indrelid = to_regclass({}) AND i.indisunique AND i.indisvalid"
        " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    ).format(_regclass(table))


def has_rows(table: Table) -> sql.Composable:
    """Return whether the table holds anything."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {})").format(qualified(table))


def _regclass(table: Table) -> sql.Composable:
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))
    return sql.Literal(quoted)


# -- staging ----------------------------------------------------------------------------------------------------------


def create_stage(plan: Plan) -> sql.Composable:
    """Make the staging table, typed as the stream's table is; it ends with its transaction.

    One that outlived it would be met by strangers where a pooler shares connections.
    """
    return sql.SQL(
        "CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS"
        " SELECT NULL::bigint AS {n}, NULL::varbit AS {absent}, {columns} FROM {table} WITH NO DATA"
    ).format(
        stage=sql.Identifier(plan.stage),
        n=_N,
        absent=sql.Identifier(ABSENT),
        columns=_names(plan.table.columns),
        table=qualified(plan.table),
    )


def constants(plan: Plan, told: Sequence[tuple[str, str]]) -> sql.Composable:
    """Have the staging table's columns hold these texts where nothing else is said: so each is read once, not once a record."""
    clauses = [sql.SQL("ALTER {} SET DEFAULT {}").format(_name(name), sql.Literal(text)) for name, text in told]
    return sql.SQL("ALTER TABLE {} {}").format(stage_of(plan), _list(clauses))


def copy(plan: Plan) -> sql.Composable:
    """Fill the staging table; what is the same for all lines, `constants` has told."""
    names = [
        column.name
        for column in plan.table.columns
        if column not in plan.table.metadata or column.name not in PER_BATCH
    ]
    return sql.SQL("COPY {} ({}) FROM STDIN").format(stage_of(plan), _names([ARRIVAL, ABSENT, *names]))


def analyze(plan: Plan) -> sql.Composable:
    """Tell the planner how many versions and keys are staged; without it a fresh table may get a far slower plan."""
    return sql.SQL("ANALYZE {} ({})").format(stage_of(plan), _names([ARRIVAL, *plan.table.key]))


# -- a checkpoint -----------------------------------------------------------------------------------------------------


def append(plan: Plan) -> sql.Composable:
    """Store the versions of a stream without key: each is a row of its own."""
    columns = _names(plan.table.columns)
    return sql.SQL("INSERT INTO {} ({}, {}) SELECT {}, 1 FROM {} ORDER BY {}").format(
        qualified(plan.table), columns, _VERSION, columns, stage_of(plan), _N
    )


def upsertable(plan: Plan) -> bool:
    """Return whether a stream's records can be written in one pass, as far as its table goes; see `upsert`."""
    return plan.version is not None and not (plan.hard or plan.generation)


def upsert(plan: Plan, *, skims: bool) -> sql.Composable:
    """Claim, judge and record in one pass, where each staged record has a key and a version of its own and mentions all.

    It takes a server that gives the row before with the one that replaces it (Postgres 18). A row is locked, compared and
    replaced as it is then, whoever wrote it last; one that is not replaced stays locked.

    Args:
        plan: of the stream.
        skims: whether rows that are as their records say are left out first, without a lock: it is as if these records had
            come before whatever happens to the rows meanwhile. That pays where most are.

    Returns one row: rows created, rows updated, events fired, events recorded by type. A row that is newer than its staged
    record is left as it is, and one of which another run left a story that may be told again; `overtaken` says so.
    """
    written = [column for column in plan.table.columns if column.name not in plan.table.key]
    content = plan.table.content
    new, old = _version_of(plan, "excluded"), _instant_of(plan, "stored")
    gone = _is_gone(plan, "stored")
    values = [_name(column, "excluded") for column in content]
    before = [_name(column, "stored") for column in content]
    story = _latest(
        sql.SQL("(coalesce(stored.{story}[2:], ARRAY[{old}]) || {new})").format(
            story=_STORY, old=_hash(plan, _list(before), gone), new=_hash(plan, _list(values), sql.SQL("false"))
        )
    )
    judged: list[sql.Composable] = [sql.SQL("_eventgen_o.{} IS NOT NULL AS _eventgen_preceded").format(_VERSION)]
    if plan.rules:
        existed = "_eventgen_o.{} IS NOT NULL AND NOT {}" if plan.deletable else "_eventgen_o.{} IS NOT NULL"
        judged += [
            *(_name(column, "_eventgen_w") for column in content),
            *(_name(c, "_eventgen_w") for c in plan.table.metadata if c.name == DELETED_AT),
            *(sql.SQL("{} AS {}").format(_name(c, "_eventgen_o"), _old(place)) for place, c in enumerate(content)),
            sql.SQL("{} AS {}").format(_version_of(plan, "_eventgen_w"), _AT),
            sql.SQL("_eventgen_w.{} AS {}").format(_VERSION, _COUNT),
            sql.SQL(existed + " AS _eventgen_existed").format(_VERSION, _is_gone(plan, "_eventgen_o")),
            sql.SQL("false AS _eventgen_gone"),
        ]
    return sql.SQL(
        "WITH transitions AS (INSERT INTO {table} AS stored ({columns}, {version})"
        " SELECT {columns}, {origin} + 1 FROM {stage} AS s{changed} ORDER BY {key}"
        " ON CONFLICT ({key}) DO UPDATE SET {assignments}, {version} = stored.{version} + 1,"
        " {story} = CASE WHEN {new} IS NOT DISTINCT FROM {old} THEN {run}::bigint || {told} END, {instant} = NULL"
        " WHERE CASE WHEN ({new} < {old}) IS TRUE THEN set_config('eventgen.stale', 'yes', true) IS NULL"
        " WHEN stored.{story}[1] <> {run} AND ({new} > {old}) IS NOT TRUE"
        " THEN set_config('eventgen.heard', 'yes', true) IS NULL"
        " ELSE {gone} OR ROW({values}) IS DISTINCT FROM ROW({before}) END"
        " RETURNING WITH (OLD AS _eventgen_o, NEW AS _eventgen_w) {judged}){events}"
        " SELECT count(*) FILTER (WHERE NOT _eventgen_preceded), count(*) FILTER (WHERE _eventgen_preceded), {fired},"
        " {recorded} FROM transitions"
    ).format(
        table=qualified(plan.table),
        columns=_names(plan.table.columns),
        version=_VERSION,
        origin=_origin(plan),
        stage=stage_of(plan),
        key=_names(plan.table.key),
        changed=_unlike_rows(plan) if skims else sql.SQL(""),
        assignments=_list(sql.SQL("{} = {}").format(_name(column), _name(column, "excluded")) for column in written),
        story=_STORY,
        new=new,
        old=old,
        run=sql.Literal(plan.run),
        told=story,
        instant=_INSTANT,
        gone=gone,
        values=_list(values),
        before=_list(before),
        judged=_list(judged),
        events=_events(plan, placed=False) if plan.rules else sql.SQL(""),
        **_counts(plan),
    )


def _unlike_rows(plan: Plan) -> sql.Composable:
    """Return the condition by which staged records are left out that their rows are like; each is looked up by its key."""
    return sql.SQL(
        " WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {same} AND t.{story} IS NULL AND NOT {gone}"
        " AND ROW({old}) IS NOT DISTINCT FROM ROW({new}) OFFSET 0)"
    ).format(
        table=qualified(plan.table),
        same=_same_key(plan, "t", "s"),
        story=_STORY,
        gone=_is_gone(plan, "t"),
        old=_names(plan.table.content, "t"),
        new=_names(plan.table.content, "s"),
    )


def overtaken(plan: Plan) -> sql.Composable:
    """Return what `upsert` has met: a story that may be told again, records that are held back, rows that were newer."""
    return sql.SQL(
        "SELECT current_setting('eventgen.heard', true) = 'yes', EXISTS ({}), current_setting('eventgen.stale', true) = 'yes',"
        " set_config('eventgen.heard', '', true), set_config('eventgen.stale', '', true)"
    ).format(_held(plan))


def older(plan: Plan) -> sql.Composable:
    """Return how many staged records are older than their rows."""
    return sql.SQL("SELECT count(*) FROM {stage} AS s JOIN {table} AS t ON {same} WHERE {new} < {old}").format(
        stage=stage_of(plan),
        table=qualified(plan.table),
        same=_same_key(plan, "s", "t"),
        new=_version_of(plan, "s"),
        old=_instant_of(plan, "t"),
    )


def visit(*, by_key: bool) -> sql.Composable:
    """Have rows looked up by their keys, whatever the planner thinks of the sizes of tables that it has just met.

    A version for each key and an index on the keys: there is no better plan, be the table empty or huge.
    """
    names = ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material", "memoize")
    return sql.SQL("; ".join(f"SET LOCAL enable_{name} = {'off' if by_key else 'DEFAULT'}" for name in names))


def claim(plan: Plan, *, unversioned: bool, single: bool = False) -> sql.Composable:
    """Insert the last version of each absent key and lock every other row, in key order.

    What the versions before it say of a property that it doesn't mention, `record` puts in. A key of which nothing but a deletion came is inserted too, with a count of 0.

    Args:
        plan: of the stream.
        unversioned: whether some staged record has no version.
        single: whether each staged record has a key of its own.
    """
    columns = _names(plan.table.columns)
    return sql.SQL(
        "WITH {chain}"
        " INSERT INTO {table} AS stored ({columns}, {version}, {story}, {instant}{generation})"
        " SELECT {columns}, {count}, _eventgen_told, {instant}{knows} FROM transitions WHERE _eventgen_last ORDER BY {key}"
        " ON CONFLICT ({key}) DO UPDATE SET {version} = stored.{version} WHERE stored.{story}[1] <> {run}"
        " AND set_config('eventgen.heard', 'yes', true) IS NULL"
    ).format(
        chain=_alone(plan) if single else _chain(plan, with_before=False, sparse=(), unversioned=unversioned),
        table=qualified(plan.table),
        columns=columns,
        version=_VERSION,
        story=_STORY,
        run=sql.Literal(plan.run),
        instant=_INSTANT,
        generation=sql.SQL(", {}").format(sql.Identifier(GENERATION)) if plan.generation else sql.SQL(""),
        knows=sql.SQL(", {}").format(sql.Literal(plan.generation)) if plan.generation else sql.SQL(""),
        count=_COUNT,
        key=_names(plan.table.key),
    )


def record(plan: Plan, *, sparse: Sequence[int], unversioned: bool, single: bool = False) -> sql.Composable:
    """Write the last version of each row that was there, and the events of every transition.

    Args:
        plan: of the stream.
        sparse: places of the content columns that some staged record doesn't mention.
        unversioned: whether some staged record has no version.
        single: whether each staged record has a key of its own; else the stage must have been filled, if it is sparse.

    Returns one row: rows updated, events fired, events recorded by type (a smaller number means that the outbox knew
    some), versions dropped because they are older than the row.
    """
    return sql.SQL(
        "WITH {chain}, written AS ({update} RETURNING transition._eventgen_base){events}"
        " SELECT (SELECT count(_eventgen_base) FROM written), {fired}, {recorded}, {stale}"
    ).format(
        chain=_replaced(plan, sparse)
        if single
        else _chain(plan, with_before=True, sparse=sparse, unversioned=unversioned),
        update=_update(plan, created=bool(sparse) and not single),
        events=_events(plan) if plan.rules else sql.SQL(""),
        stale=_stale(plan, single=single),
        **_counts(plan),
    )


def _counts(plan: Plan) -> dict[str, sql.Composable]:
    """Return the expressions for the events that fired, and for those of them that were recorded, by type."""
    if not plan.rules:
        return {"fired": sql.SQL("0"), "recorded": sql.SQL("'{}'::jsonb")}
    return {
        "fired": sql.SQL("(SELECT count(*) FROM fired)"),
        "recorded": sql.SQL(
            "(SELECT coalesce(jsonb_object_agg(type, number), '{}')"
            " FROM (SELECT type, count(*) AS number FROM recorded GROUP BY type) AS told)"
        ),
    }


def adopt(plan: Plan) -> sql.Composable:
    """Give rows that don't know some columns the values that the first version which came for them says.

    Their generation is negative until `adapted`: so `record` takes them for rows that were there, though this transaction
    has written them.
    """
    table = plan.table
    places = {column.name: place for place, column in enumerate(table.content)}
    values = [
        sql.SQL(
            "{column} = CASE WHEN t.{generation} < {added} AND (get_bit(s.{absent}, {place}) = 1) IS NOT TRUE"
            " THEN s.{column} ELSE t.{column} END"
        ).format(
            column=sql.Identifier(name),
            generation=sql.Identifier(GENERATION),
            added=sql.Literal(added),
            place=sql.Literal(places[name]),
            absent=sql.Identifier(ABSENT),
        )
        for name, added in plan.generations.items()
        if name in places and name not in table.key
    ]
    return sql.SQL(
        "UPDATE {table} AS t SET {values} FROM (SELECT DISTINCT ON ({keys}) s.* FROM {stage} AS s JOIN {table} AS b"
        " ON {joined} WHERE ({new} < {old}) IS NOT TRUE ORDER BY {keys}, {new} NULLS FIRST, s.{n}) AS s"
        " WHERE {same} AND t.{generation} >= 0 AND t.{generation} < {last} AND t.xmin <> pg_current_xact_id()::xid"
    ).format(
        table=qualified(table),
        values=_list([*values, sql.SQL("{} = {}").format(sql.Identifier(GENERATION), sql.Literal(-plan.generation))]),
        keys=_names(table.key, "s"),
        stage=stage_of(plan),
        joined=_same_key(plan, "s", "b"),
        new=_version_of(plan, "s"),
        old=_instant_of(plan, "b"),
        n=_N,
        same=_same_key(plan, "t", "s"),
        generation=sql.Identifier(GENERATION),
        last=sql.Literal(plan.generation),
    )


def adapted(plan: Plan) -> sql.Composable:
    """Note that the rows of this checkpoint know all columns."""
    return sql.SQL(
        "UPDATE {table} AS t SET {generation} = {last} WHERE ({keys}) IN (SELECT {key} FROM {stage})"
        " AND t.{generation} < 0"
    ).format(
        table=qualified(plan.table),
        generation=sql.Identifier(GENERATION),
        last=sql.Literal(plan.generation),
        keys=_names(plan.table.key, "t"),
        key=_names(plan.table.key),
        stage=stage_of(plan),
    )


def revive(plan: Plan) -> sql.Composable:
    """Give keys that were claimed as absent the rows that they had, where what took these out may be told again."""
    columns = [column for column in plan.table.columns if column.name not in plan.table.key]
    own = [_STORY, _INSTANT, *([sql.Identifier(GENERATION)] if plan.generation else [])]
    names = [*(_name(column) for column in columns), *own]
    return sql.SQL(
        "UPDATE {table} AS t SET {values}, {version} = -b.{version} FROM (SELECT r.* FROM eventgen.tombstones AS d,"
        " jsonb_populate_record(NULL::{table}, d.record) AS r WHERE d.table_schema = {schema} AND d.table_name = {name}"
        " AND d.key IN (SELECT {key} FROM {stage}) AND d.run IN (SELECT run FROM eventgen.runs)) AS b"
        " WHERE {same} AND t.xmin = pg_current_xact_id()::xid"
    ).format(
        table=qualified(plan.table),
        values=_list(sql.SQL("{0} = b.{0}").format(name) for name in names),
        version=_VERSION,
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        key=_key_array(plan),
        stage=stage_of(plan),
        same=_same_key(plan, "t", "b"),
    )


def clear(plan: Plan, *, hard: bool, buries: bool = False) -> sql.Composable:
    """Take out the rows that a claim made for keys that were never there; with hard deletion, all that are gone.

    Args:
        plan: of the stream.
        hard: whether rows that are gone leave the table.
        buries: whether their deletion may be told again, so that a tombstone is kept of each.
    """
    never = sql.SQL("(t.xmin = pg_current_xact_id()::xid AND t.{} = {})").format(_VERSION, _origin(plan))
    cleared = sql.SQL(
        "DELETE FROM {table} AS t WHERE ({keys}) IN (SELECT {key} FROM {stage}) AND t.{deleted} IS NOT NULL{made}"
    ).format(
        table=qualified(plan.table),
        keys=_names(plan.table.key, "t"),
        key=_names(plan.table.key),
        stage=stage_of(plan),
        deleted=sql.Identifier(DELETED_AT),
        made=sql.SQL("" if hard else " AND {}").format(never),
    )
    if not buries:
        return cleared
    table = {"schema": sql.Literal(plan.table.schema), "name": sql.Literal(plan.table.name)}
    return sql.SQL(
        "WITH cleared AS ({cleared} RETURNING t.*, {never} AS _eventgen_never), risen AS (DELETE FROM eventgen.tombstones"
        " WHERE table_schema = {schema} AND table_name = {name} AND key IN (SELECT {key} FROM {stage})"
        " AND key NOT IN (SELECT {key} FROM cleared))"
        " INSERT INTO eventgen.tombstones AS b SELECT {schema}, {name}, {key}, coalesce({story}[1], {run}),"
        " to_jsonb(c.*) || jsonb_build_object({version_name}, abs({version})) FROM cleared AS c WHERE NOT _eventgen_never"
        " ON CONFLICT (table_schema, table_name, key) DO UPDATE SET run = excluded.run, record = excluded.record"
        " WHERE b.record - '_eventgen_never' IS DISTINCT FROM excluded.record - '_eventgen_never'"
    ).format(
        **table,
        cleared=cleared,
        never=never,
        key=_key_array(plan),
        stage=stage_of(plan),
        story=_STORY,
        run=sql.Literal(plan.run),
        version=_VERSION,
        version_name=sql.Literal(VERSION),
    )


def mark(plan: Plan) -> sql.Composable:
    """Note the table version of rows that came with one, though nothing else of them may have changed."""
    return sql.SQL(
        "UPDATE {table} AS t SET {version} = s.{version} FROM (SELECT {key}, max({version}) AS {version} FROM {stage}"
        " WHERE {version} IS NOT NULL AND {deleted} IS NULL GROUP BY {key}) AS s"
        " WHERE {same} AND t.{version} IS DISTINCT FROM s.{version}"
    ).format(
        table=qualified(plan.table),
        version=sql.Identifier(TABLE_VERSION),
        deleted=sql.Identifier(DELETED_AT),
        key=_names(plan.table.key),
        stage=stage_of(plan),
        same=_same_key(plan, "t", "s"),
    )


def stage_deletions(plan: Plan, version: int) -> sql.Composable:
    """Stage a deletion of each row of an older table version, and lock these rows."""
    absent = "".join("0" if column.name in plan.table.key else "1" for column in plan.table.content)
    return sql.SQL(
        "INSERT INTO {stage} ({n}, {absent}, {key}, {deleted}, {version}) SELECT row_number() OVER (), {places}::varbit,"
        " {key}, statement_timestamp(), {version} FROM (SELECT {key}, {version} FROM {table} WHERE {old}"
        " AND {deleted} IS NULL ORDER BY {key} FOR UPDATE) AS t"
    ).format(
        stage=stage_of(plan),
        n=_N,
        absent=sql.Identifier(ABSENT),
        key=_names(plan.table.key),
        deleted=sql.Identifier(DELETED_AT),
        version=sql.Identifier(TABLE_VERSION),
        places=sql.Literal(absent),
        table=qualified(plan.table),
        old=_of_older_version(version),
    )


def delete_older(plan: Plan, version: int, *, hard: bool) -> sql.Composable:
    """Delete the rows of an older table version from the table of a stream without key."""
    parts = {
        "table": qualified(plan.table),
        "deleted": sql.Identifier(DELETED_AT),
        "old": _of_older_version(version),
    }
    if hard:
        return sql.SQL("DELETE FROM {table} WHERE {old}").format(**parts)
    return sql.SQL("UPDATE {table} SET {deleted} = statement_timestamp() WHERE {old} AND {deleted} IS NULL").format(
        **parts
    )


def _of_older_version(version: int) -> sql.Composable:
    """Return whether a row came with an older table version, or with none."""
    return sql.SQL("({0} < {1} OR {0} IS NULL)").format(sql.Identifier(TABLE_VERSION), sql.Literal(version))


def _origin(plan: Plan) -> sql.Composable:
    """Return what a new row's count of versions begins behind.

    It is part of an event's id. Where rows leave the table, nothing remembers a key's count, so that of its next life
    begins with the number of the transaction that stores it: no id comes twice.
    """
    return sql.SQL("(pg_current_xact_id()::text::bigint << 20)" if plan.renewable else "0")


def _version_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return the version of a row, as it is compared."""
    column = plan.version
    if column is None:
        return sql.SQL("NULL::bigint")
    return _compared(plan, _name(column, qualifier))


def _compared(plan: Plan, version: sql.Composable) -> sql.Composable:
    texts = plan.version is not None and plan.version.type in {"text", "character varying"}
    return comparable(version) if texts else version


def _instant_of(plan: Plan, qualifier: str) -> sql.Composable:
    """Return of which instant a stored row is: its version, or the one that was the newest when it came without any."""
    column = plan.version
    if column is None:
        return _version_of(plan, qualifier)
    return _compared(
        plan,
        sql.SQL("(CASE WHEN {version} IS NULL THEN {instant}::{type} ELSE {version} END)").format(
            version=_name(column, qualifier), instant=_name(INSTANT, qualifier), type=sql.SQL(column.type)
        ),
    )


def _since(plan: Plan) -> sql.Composable:
    """Return the instant of a row of `before`."""
    return _compared(plan, sql.Identifier("b", "_eventgen_since"))


def _without_version(plan: Plan, version: sql.Composable, at: sql.Composable) -> sql.Composable:
    """Return what a row stores of its instant."""
    if plan.version is None:
        return sql.SQL("NULL::text")
    return sql.SQL("CASE WHEN {} IS NULL THEN {}::text END").format(version, at)


def _key_array(plan: Plan, qualifier: str | None = None) -> sql.Composed:
    """Return a key as a JSON array, under which the tables of `eventgen` know it."""
    return sql.SQL("jsonb_build_array({})").format(_names(plan.table.key, qualifier))


def _same_key(plan: Plan, left: str, right: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(_name(name, left), _name(name, right)) for name in plan.table.key
    )


def _alone(plan: Plan) -> sql.Composed:
    """Return `transitions` where no row was there and each key has one version: the staged versions as they are."""
    return sql.SQL(
        "transitions AS (SELECT {columns}, {origin} + 1 AS {count}, true AS _eventgen_last,"
        " NULL::bigint[] AS _eventgen_told, NULL::text AS {instant} FROM {stage})"
    ).format(
        columns=_names(plan.table.columns),
        origin=_origin(plan),
        count=_COUNT,
        instant=_INSTANT,
        stage=stage_of(plan),
    )


def _replaced(plan: Plan, sparse: Sequence[int]) -> sql.Composed:
    """Return `transitions` where each key has one version: it and the row that it replaces stand side by side.

    None of them is a deletion, and of none of these rows has another run left a story which could be told again.
    """
    gone = sql.SQL("b._eventgen_gone IS TRUE") if plan.deletable else sql.SQL("false")

    def remembered(column: Column) -> sql.Composable:
        if not plan.deletable:
            return _name(column, "b")
        return sql.SQL("CASE WHEN NOT b._eventgen_gone THEN {} END").format(_name(column, "b"))

    old = [_name(column, "b") for column in plan.table.content]
    new: list[sql.Composable] = [
        sql.SQL("CASE WHEN get_bit({}, {}) = 1 THEN {} ELSE {} END").format(
            _name(ABSENT, "s"), sql.Literal(place), remembered(column), _name(column, "s")
        )
        if place in sparse
        else _name(column, "s")
        for place, column in enumerate(plan.table.content)
    ]
    contents = [sql.SQL("{} AS {}").format(value, _name(c)) for value, c in zip(new, plan.table.content, strict=True)]
    olds = [sql.SQL("{} AS {}").format(value, _old(place)) for place, value in enumerate(old)]
    preceded = sql.SQL("b.{} IS NOT NULL").format(_VERSION)
    existed = sql.SQL("b.{} IS NOT NULL AND NOT b._eventgen_gone" if plan.deletable else "b.{} IS NOT NULL").format(
        _VERSION
    )
    at, still, version = _version_of(plan, "s"), preceded, _version_of(plan, "s")
    if plan.version is not None:
        at = sql.SQL("GREATEST({}, {})").format(at, _since(plan))
        still = sql.SQL("{} AND {} IS NOT DISTINCT FROM {}").format(preceded, at, _since(plan))
        version = new[[column.name for column in plan.table.content].index(plan.version.name)]
    story = _latest(
        sql.SQL("(coalesce(b.{story}[2:], ARRAY[{old}]) || {new})").format(
            story=_STORY, old=_hash(plan, _list(old), gone), new=_hash(plan, _list(new), sql.SQL("false"))
        )
    )
    return sql.SQL(
        "compared AS MATERIALIZED (SELECT {contents}{metadata}, {olds}, s.{n}, {at} AS {at_name},"
        " {stale} AS _eventgen_stale,"
        " {existed} AS _eventgen_existed, false AS _eventgen_gone, b.{version} AS _eventgen_base,"
        " coalesce(b.{version}, {origin}) + 1 AS {count},"
        " true AS _eventgen_last, CASE WHEN {still} THEN {run}::bigint || {story} END AS _eventgen_told,"
        " {instant} AS {instant_name} FROM {stage} AS s LEFT JOIN ({before}) AS b ON {same}"
        " WHERE {stale} OR NOT ({existed}) OR ROW({new}) IS DISTINCT FROM ROW({old}))"
        ", transitions AS NOT MATERIALIZED (SELECT * FROM compared WHERE NOT _eventgen_stale)"
    ).format(
        before=_others(plan),
        stale=sql.SQL("(({} < {}) IS TRUE)").format(_version_of(plan, "s"), _since(plan)),
        contents=_list(contents),
        metadata=sql.Composed([sql.SQL(", {}").format(_name(column, "s")) for column in plan.table.metadata]),
        olds=_list(olds),
        n=_N,
        at=at,
        at_name=_AT,
        instant=_without_version(plan, version, at),
        instant_name=_INSTANT,
        existed=existed,
        version=_VERSION,
        origin=_origin(plan),
        count=_COUNT,
        still=still,
        run=sql.Literal(plan.run),
        story=story,
        stage=stage_of(plan),
        same=_same_key(plan, "s", "b"),
        new=_list(new),
        old=_list(old),
    )


def _chain(plan: Plan, *, with_before: bool, sparse: Sequence[int], unversioned: bool) -> sql.Composed:
    """Return the common table expressions up to `transitions`."""
    parts: list[sql.Composable] = []
    if with_before:
        parts.append(_before(plan))
    parts.append(_history(plan, with_before=with_before, sparse=sparse, unversioned=unversioned))
    key = _names(plan.table.key)
    old = [_old(place) for place in range(len(plan.table.content))]
    before = [
        sql.SQL("lag({}) OVER w AS {}").format(_name(column), name)
        for column, name in zip(plan.table.content, old, strict=True)
    ]
    parts.append(
        sql.SQL(
            "chain AS (SELECT *, {existed} AS _eventgen_existed, {preceded} AS _eventgen_preceded, {before},"
            " {preceded} AND {at} IS NOT DISTINCT FROM lag({at}) OVER w AS _eventgen_still,"
            " max({version}) OVER k AS _eventgen_base, max({story}) OVER k AS _eventgen_base_story"
            " FROM history WINDOW k AS (PARTITION BY {key}), w AS (PARTITION BY {key} ORDER BY {order}))"
        ).format(
            at=_AT,
            existed=sql.SQL("coalesce(NOT lag(_eventgen_gone) OVER w, false)"),
            preceded=sql.SQL("lag({}) OVER w IS NOT NULL").format(_N),
            before=_list(before),
            version=_VERSION,
            story=_STORY,
            key=key,
            order=_ORDER,
        )
    )
    parts.append(
        sql.SQL(
            "changes AS (SELECT * FROM chain WHERE {n} > 0 AND CASE WHEN _eventgen_gone THEN {ends}"
            " ELSE NOT _eventgen_existed OR ROW({new}) IS DISTINCT FROM ROW({old}) END)"
        ).format(
            n=_N,
            ends=sql.SQL("_eventgen_existed" if with_before else "_eventgen_existed OR NOT _eventgen_preceded"),
            new=_names(plan.table.content),
            old=_list(old),
        )
    )
    parts.append(
        sql.SQL(
            "numbered AS (SELECT *, coalesce(_eventgen_base, {origin}) + row_number() OVER w{unsaid} AS {count},"
            " lead({n}) OVER w IS NULL AS _eventgen_last,"
            " count(*) FILTER (WHERE NOT _eventgen_still) OVER w AS _eventgen_turn,"
            " CASE WHEN _eventgen_still OR lead(_eventgen_still) OVER w THEN {new} END AS _eventgen_hash,"
            " CASE WHEN _eventgen_still AND row_number() OVER w = 1 THEN {old} END AS _eventgen_old_hash"
            " FROM changes WINDOW w AS (PARTITION BY {key} ORDER BY {order}))"
        ).format(
            origin=_origin(plan),
            unsaid=sql.SQL("" if with_before else " - (first_value(_eventgen_gone) OVER w)::int"),
            count=_COUNT,
            n=_N,
            new=_hash(plan, _names(plan.table.content), _GONE),
            old=_hash(plan, _list(old), sql.SQL("(_eventgen_preceded AND NOT _eventgen_existed)")),
            key=key,
            order=_ORDER,
        )
    )
    parts.append(
        sql.SQL(
            "transitions AS MATERIALIZED (SELECT *, CASE WHEN _eventgen_last AND _eventgen_still THEN"
            " {run}::bigint || {story} END AS _eventgen_told, {instant} AS {instant_name}"
            " FROM numbered WINDOW i AS (PARTITION BY {key}, _eventgen_turn ORDER BY {order}))"
        ).format(
            instant=_without_version(plan, _AT if plan.version is None else _name(plan.version), _AT),
            instant_name=_INSTANT,
            run=sql.Literal(plan.run),
            story=_latest(
                sql.SQL(
                    "(CASE WHEN _eventgen_turn = 0"
                    " THEN coalesce(_eventgen_base_story[2:], ARRAY[first_value(_eventgen_old_hash) OVER i]) END"
                    " || array_agg(_eventgen_hash) OVER i)"
                )
            ),
            key=key,
            order=_ORDER,
        )
    )
    return _list(parts)


def _before(plan: Plan) -> sql.Composed:
    """Return the rows that were there: locked by the claim, and not written by this transaction.

    Of a stream without versions, a story that was told by a run which ended well is over: see `retelling`.
    """
    return sql.SQL("before AS MATERIALIZED ({others} AND ({keys}) IN (SELECT {key} FROM {stage}))").format(
        others=_others(plan),
        keys=_names(plan.table.key, "t"),
        key=_names(plan.table.key),
        stage=stage_of(plan),
    )


def _others(plan: Plan) -> sql.Composed:
    """Return the query for all rows that are not this transaction's own."""
    return sql.SQL(
        "SELECT {content}, abs(t.{version}) AS {version},"
        " {told} AS {story},"
        " {since} AS _eventgen_since, {gone} AS _eventgen_gone FROM {table} AS t"
        " WHERE (t.xmin <> pg_current_xact_id()::xid OR t.{version} < 0{adopted})"
    ).format(
        content=_names(plan.table.content, "t"),
        version=_VERSION,
        story=_STORY,
        told=sql.SQL("CASE WHEN {} THEN t.{} END").format(_is_told(plan), _STORY),
        since=_instant_of(plan, "t"),
        gone=_is_gone(plan, "t"),
        adopted=sql.SQL(" OR t.{} < 0").format(sql.Identifier(GENERATION)) if plan.generation else sql.SQL(""),
        table=qualified(plan.table),
    )


def _is_told(plan: Plan) -> sql.Composable:
    """Return whether a row has a story that may be told again."""
    told = sql.SQL("t.{0} IS NOT NULL" if plan.version else "t.{0}[1] IN (SELECT run FROM eventgen.runs)")
    return told.format(_STORY)


def _is_gone(plan: Plan, qualifier: str) -> sql.Composable:
    """Return whether a row is gone, or a staged version a deletion."""
    return sql.SQL("({} IS NOT NULL)").format(_name(DELETED_AT, qualifier)) if plan.deletable else sql.SQL("false")


def _place_in_time(plan: Plan, *, with_before: bool, unversioned: bool) -> sql.Composable:
    """Return of which instant a staged version is: where it has none itself, of the newest before it, or of its row."""
    at = _version_of(plan, "s")
    if unversioned and plan.version is not None:
        at = sql.SQL("coalesce({at}, max({at}) OVER (PARTITION BY {key} ORDER BY s.{n}))").format(
            at=at, key=_names(plan.table.key, "s"), n=_N
        )
        if with_before:
            at = sql.SQL("GREATEST({}, {})").format(at, _since(plan))
    return at


def _not_stale(plan: Plan) -> sql.Composable:
    """Return whether a staged version belongs into its chain."""
    accepted = sql.SQL("s.{} > 0").format(_N)
    if plan.version is None:
        return accepted
    return sql.SQL("{} AND ({} < {}) IS NOT TRUE").format(accepted, _version_of(plan, "s"), _since(plan))


def _history(plan: Plan, *, with_before: bool, sparse: Sequence[int], unversioned: bool) -> sql.Composed:
    """Return the versions of every key, the row before among them, without those that are older than it."""
    table = plan.table
    past = with_before and (plan.version is not None or bool(sparse))
    columns = [
        sql.SQL(
            "CASE WHEN get_bit(s.{}, {}) = 1 THEN CASE WHEN NOT b._eventgen_gone THEN {} END ELSE {} END AS {}"
        ).format(sql.Identifier(ABSENT), sql.Literal(place), _name(column, "b"), _name(column, "s"), _name(column))
        if place in sparse
        else _name(column, "s")
        for place, column in enumerate(table.columns)
    ]
    history: sql.Composable = sql.SQL(
        "SELECT {columns}, s.{n}, {at} AS {at_name}, NULL::bigint AS {version}, NULL::bigint[] AS {story},"
        " {gone} AS _eventgen_gone FROM {stage} AS s{past} WHERE {accepted}"
    ).format(
        columns=_list(columns),
        n=_N,
        at=_place_in_time(plan, with_before=with_before, unversioned=unversioned),
        at_name=_AT,
        version=_VERSION,
        story=_STORY,
        gone=_is_gone(plan, "s"),
        stage=stage_of(plan),
        past=sql.SQL(" LEFT JOIN before AS b ON {}" if past else "").format(_same_key(plan, "s", "b")),
        accepted=_not_stale(plan) if with_before else sql.SQL("s.{} > 0").format(_N),
    )
    if with_before:
        history = sql.SQL(
            "{staged} UNION ALL SELECT {content}{metadata}, 0, {since}, {own}, _eventgen_gone FROM before AS b"
        ).format(
            staged=history,
            content=_names(table.content),
            metadata=sql.SQL(", NULL" * len(table.metadata)),
            since=_since(plan),
            own=_names([VERSION, STORY]),
        )
    return sql.SQL("history AS ({})").format(history)


def _hash(plan: Plan, columns: sql.Composable, gone: sql.Composable) -> sql.Composed:
    """Return a hash of a content: equal for what IS NOT DISTINCT, whatever its spelling; and of whether it is gone."""
    if plan.deletable:
        columns = sql.SQL("{}, {}").format(columns, gone)
    # To Postgres's hash NULL, [] and {} of jsonb are one. They differ as text, where numbers alone have many spellings.
    return sql.SQL(
        "(hash_record_extended(ROW({columns}), 0)"
        " # hashtextextended(translate(ROW({columns})::text, '0123456789.eE+-', ''), 0))"
    ).format(columns=columns)


def _latest(story: sql.Composable) -> sql.Composed:
    """Return the end of a story, as long as it is remembered."""
    return sql.SQL("({story})[greatest(1, cardinality({story}) - {most} + 1):]").format(
        story=story, most=sql.Literal(LONGEST_STORY)
    )


def fill(plan: Plan, *, sparse: Sequence[int], unversioned: bool) -> sql.Composable:
    """Give staged versions the values that others of their key in the stage say before them; a deletion ends these.

    Each step of the recursion takes the next version of each key by its place in the stage, so that the work is one
    visit a version, however many columns there are. What none before has said stays absent.
    """
    names = [(_name(column), place in sparse) for place, column in enumerate(plan.table.content)]
    places = {column.name: place for place, column in enumerate(plan.table.content)}
    said = _list(
        sql.SQL("CASE WHEN get_bit(o.{absent}, {place}) = 1 AND NOT f._eventgen_gone THEN f.{c} ELSE o.{c} END").format(
            absent=sql.Identifier(ABSENT), place=sql.Literal(places[column.name]), c=_name(column)
        )
        for column in plan.table.content
        if places[column.name] in sparse
    )
    filled = [name for name, is_sparse in names if is_sparse]
    return sql.SQL(
        "WITH RECURSIVE {before}, placed AS (SELECT {keys}, s.ctid AS tid, {at} AS {at_name}, s.{n} FROM {stage} AS s"
        " LEFT JOIN before AS b ON {same} WHERE {accepted})"
        ", chains AS (SELECT array_agg(tid ORDER BY {at_name} NULLS FIRST, {n}) AS tids FROM placed GROUP BY {key}"
        " HAVING count(*) > 1)"
        ", filled AS (SELECT c.tids, 1 AS place, o.{absent}, {gone} AS _eventgen_gone, {first} FROM chains AS c"
        " CROSS JOIN LATERAL (SELECT * FROM {stage} AS o WHERE o.ctid = c.tids[1] OFFSET 0) AS o"
        " UNION ALL SELECT f.tids, f.place + 1, CASE WHEN NOT f._eventgen_gone THEN o.{absent} & f.{absent} END,"
        " {gone}, {said} FROM filled AS f"
        " CROSS JOIN LATERAL (SELECT * FROM {stage} AS o WHERE o.ctid = f.tids[f.place + 1] OFFSET 0) AS o"
        " WHERE f.place < cardinality(f.tids))"
        " UPDATE {stage} AS s SET {absent} = f.{absent}, {values} FROM filled AS f"
        " WHERE s.ctid = f.tids[f.place] AND f.place > 1"
    ).format(
        before=_before(plan),
        keys=_names(plan.table.key, "s"),
        key=_names(plan.table.key),
        at=_place_in_time(plan, with_before=True, unversioned=unversioned),
        at_name=_AT,
        n=_N,
        stage=stage_of(plan),
        same=_same_key(plan, "s", "b"),
        accepted=_not_stale(plan),
        absent=sql.Identifier(ABSENT),
        gone=_is_gone(plan, "o"),
        first=_list(sql.SQL("o.{}").format(name) for name in filled),
        said=said,
        values=_list(sql.SQL("{0} = f.{0}").format(name) for name in filled),
    )


def _update(plan: Plan, *, created: bool) -> sql.Composed:
    """Return the write of each row's last version; of those that the claim has made too, where it could not know all."""
    columns = [column for column in plan.table.columns if column.name not in plan.table.key]
    assignments = [sql.SQL("{} = {}").format(_name(column), _name(column, "transition")) for column in columns]
    assignments.append(sql.SQL("{} = {}").format(_VERSION, sql.Identifier("transition", "_eventgen_count")))
    assignments.append(sql.SQL("{} = {}").format(_STORY, sql.Identifier("transition", "_eventgen_told")))
    assignments.append(sql.SQL("{} = {}").format(_INSTANT, sql.Identifier("transition", INSTANT)))
    return sql.SQL(
        "UPDATE {table} AS stored SET {assignments} FROM transitions AS transition"
        " WHERE transition._eventgen_last{replaced} AND {same}"
    ).format(
        replaced=sql.SQL("" if created else " AND transition._eventgen_base IS NOT NULL"),
        table=qualified(plan.table),
        assignments=_list(assignments),
        same=_same_key(plan, "stored", "transition"),
    )


def _stale(plan: Plan, *, single: bool) -> sql.Composable:
    if plan.version is None:
        return sql.SQL("0")
    if single:
        return sql.SQL("(SELECT count(*) FROM compared WHERE _eventgen_stale)")
    return sql.SQL("(SELECT count(*) FROM {stage} AS s JOIN before AS b ON {same} WHERE {new} < {old})").format(
        stage=stage_of(plan), same=_same_key(plan, "s", "b"), new=_version_of(plan, "s"), old=_since(plan)
    )


# -- what may be told again -------------------------------------------------------------------------------------------


def heard(plan: Plan) -> sql.Composable:
    """Return whether another run left a story of a row that the claim has locked; whether records are held back.

    The claim looks at each of these rows anyway: it leaves the answer in a setting of the transaction, which is taken out
    here for the next one.
    """
    return sql.SQL(
        "SELECT current_setting('eventgen.heard', true) = 'yes', EXISTS ({}), set_config('eventgen.heard', '', true)"
    ).format(_held(plan))


def recalls(plan: Plan) -> sql.Composable:
    """Return whether another run left a story of a staged key that may be told again."""
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM {table} AS t JOIN {stage} AS s ON {same} WHERE t.{story}[1] <> {run} AND {told})"
    ).format(
        run=sql.Literal(plan.run),
        table=qualified(plan.table),
        stage=stage_of(plan),
        same=_same_key(plan, "t", "s"),
        story=_STORY,
        told=_is_told(plan),
    )


def holds(plan: Plan) -> sql.Composable:
    """Return whether records of a stream are held back."""
    return sql.SQL("SELECT EXISTS ({})").format(_held(plan))


def _held(plan: Plan) -> sql.Composed:
    return sql.SQL("SELECT FROM eventgen.held AS h WHERE h.table_schema = {} AND h.table_name = {}").format(
        sql.Literal(plan.table.schema), sql.Literal(plan.table.name)
    )


def make_room(plan: Plan) -> sql.Composable:
    """Number the staged records behind those that are held back."""
    return sql.SQL("UPDATE {} SET {n} = {n} + (SELECT count(*) FROM ({}) AS h)").format(
        stage_of(plan), _held(plan), n=_N
    )


def take_back(plan: Plan) -> sql.Composable:
    """Stage the records that this run holds back of the staged keys; what other runs held of these is void."""
    taken = sql.SQL("h.key IN (SELECT {} FROM {})").format(_key_array(plan), stage_of(plan))
    return _taken(plan, taken, sql.SQL(" WHERE taken.run = {}").format(sql.Literal(plan.run)))


def settle(plan: Plan) -> sql.Composable:
    """Stage all that is held back of a stream, by this run or by one that had ended before this one began."""
    ended = sql.SQL(
        "(h.run = {run} OR NOT EXISTS (SELECT FROM eventgen.runs AS r, eventgen.runs AS mine WHERE mine.run = {run}"
        " AND r.run = h.run AND r.committed_at > mine.began_at))"
    ).format(run=sql.Literal(plan.run))
    return _taken(plan, ended, sql.SQL(""))


def _taken(plan: Plan, taken: sql.Composable, mine: sql.Composable) -> sql.Composed:
    columns = [column.name for column in plan.table.columns]
    return sql.SQL(
        "WITH taken AS (DELETE FROM eventgen.held AS h WHERE h.sequence IN ({held} AND {taken}) RETURNING h.*)"
        " INSERT INTO {stage} ({n}, {absent}, {columns}) SELECT row_number() OVER (ORDER BY taken.sequence), {places},"
        " {values} FROM taken, jsonb_populate_record(NULL::{stage}, taken.record) AS r{mine}"
    ).format(
        held=sql.SQL(
            "SELECT h.sequence FROM eventgen.held AS h WHERE h.table_schema = {} AND h.table_name = {}"
        ).format(sql.Literal(plan.table.schema), sql.Literal(plan.table.name)),
        taken=taken,
        stage=stage_of(plan),
        n=_N,
        absent=sql.Identifier(ABSENT),
        places=sql.SQL(
            "(SELECT string_agg(CASE WHEN taken.record ? c.name THEN '0' ELSE '1' END, '' ORDER BY c.place) FROM {})::varbit"
        ).format(_content_names(plan)),
        columns=_names(columns),
        values=_names(columns, "r"),
        mine=mine,
    )


def _content_names(plan: Plan) -> sql.Composable:
    """Return the content columns as rows (name, place), places from 1 on."""
    return sql.SQL("unnest({}::text[]) WITH ORDINALITY AS c(name, place)").format(
        sql.Literal([column.name for column in plan.table.content])
    )


def gaps(plan: Plan) -> sql.Composable:
    """Return the places of the content columns that some staged record doesn't mention."""
    return sql.SQL(
        "SELECT c.place::int - 1 FROM {} WHERE EXISTS (SELECT FROM {} WHERE get_bit({}, c.place::int - 1) = 1) ORDER BY 1"
    ).format(_content_names(plan), stage_of(plan), sql.Identifier(ABSENT))


def retold(plan: Plan, *, sparse: Sequence[int]) -> sql.Composable:
    """Return, for each staged key whose row has a story of another run, what `retelling.judge` wants to know.

    That is (story, numbers of the staged versions in their order, hashes of their contents, whether each is of the row's
    instant).
    """
    parts = [_before(plan), _history(plan, with_before=True, sparse=sparse, unversioned=True)]
    key = _names(plan.table.key, "h")
    order = sql.SQL("h.{} NULLS FIRST, h.{}").format(_AT, _N)
    return sql.SQL(
        "WITH {parts} SELECT max(b.{story}[2:]), array_agg(h.{n} ORDER BY {order}), array_agg({hash} ORDER BY {order}),"
        " array_agg(h.{at} IS NOT DISTINCT FROM {since} ORDER BY {order}) FROM history AS h JOIN before AS b ON {same}"
        " WHERE h.{n} > 0 AND b.{story}[1] <> {run} GROUP BY {key}"
    ).format(
        parts=_list(parts),
        story=_STORY,
        n=_N,
        order=order,
        hash=_hash(plan, _names(plan.table.content, "h"), _name("_eventgen_gone", "h")),
        at=_AT,
        since=_since(plan),
        same=_same_key(plan, "h", "b"),
        run=sql.Literal(plan.run),
        key=key,
    )


def hold(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Keep staged records until more of their rows is heard."""
    return sql.SQL(
        "INSERT INTO eventgen.held (table_schema, table_name, key, run, record) SELECT {schema}, {name}, {key}, {run},"
        " to_jsonb(s.*) - ARRAY(SELECT c.name FROM {names} WHERE get_bit(s.{absent}, c.place::int - 1) = 1)"
        " FROM {stage} AS s WHERE s.{n} = ANY ({numbers}::bigint[]) ORDER BY s.{n}"
    ).format(
        names=_content_names(plan),
        absent=sql.Identifier(ABSENT),
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        key=_key_array(plan, "s"),
        run=sql.Literal(plan.run),
        stage=stage_of(plan),
        n=_N,
        numbers=sql.Literal(list(numbers)),
    )


def lay_aside(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Take staged records out of their chains."""
    return sql.SQL("UPDATE {} SET {n} = -{n} WHERE {n} = ANY ({}::bigint[])").format(
        stage_of(plan), sql.Literal(list(numbers)), n=_N
    )


def take_over(plan: Plan, numbers: Sequence[int]) -> sql.Composable:
    """Note that this run has gone through the stories of the rows of these staged records: what it says now is new."""
    return sql.SQL(
        "UPDATE {table} AS t SET {story}[1] = {run} WHERE ({keys}) IN (SELECT {key} FROM {stage}"
        " WHERE abs({n}) = ANY ({numbers}::bigint[])) AND t.{story}[1] <> {run}"
    ).format(
        table=qualified(plan.table),
        story=_STORY,
        run=sql.Literal(plan.run),
        keys=_names(plan.table.key, "t"),
        key=_names(plan.table.key),
        stage=stage_of(plan),
        n=_N,
        numbers=sql.Literal(list(numbers)),
    )


# -- events -----------------------------------------------------------------------------------------------------------


def _content(plan: Plan, *, new: bool) -> sql.Composed:
    """Return the new or the old content of `_eventgen_transition`, under the columns' own names; none of no row."""
    values = _values(plan, new=new)
    return _list(
        sql.SQL("{} AS {}").format(value, _name(column))
        for value, column in zip(values, plan.table.content, strict=True)
    )


def _values(plan: Plan, *, new: bool) -> list[sql.Composable]:
    qualifier = "_eventgen_transition"
    names = [
        sql.Identifier(qualifier, column.name if new else f"_eventgen_old_{place}")
        for place, column in enumerate(plan.table.content)
    ]
    if not plan.deletable:
        return list(names)
    there = "NOT _eventgen_gone" if new else "_eventgen_existed"
    return [sql.SQL(f"CASE WHEN {there} THEN {{}} END").format(name) for name in names]


def condition(text: str) -> sql.Composable:
    """Return a condition as an expression that is true or false; its line break ends a comment at its end."""
    return sql.SQL("((") + sql.SQL(text) + sql.SQL("\n) IS TRUE)")


def _judgements(plan: Plan, rules: Sequence[Rule]) -> tuple[sql.Composed, list[sql.Composable]]:
    """Return (lateral sub-selects that evaluate each condition, what makes each rule fire, never NULL)."""
    now: list[sql.Composable] = []
    was: list[sql.Composable] = []
    when: list[sql.Composable] = []
    fires: list[sql.Composable] = []
    places = {column.name: place for place, column in enumerate(plan.table.content)}
    for index, rule in enumerate(rules):
        now_name, was_name = sql.Identifier(f"_eventgen_now_{index}"), sql.Identifier(f"_eventgen_was_{index}")
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
                        _names(columns, "_eventgen_transition"), _list(_old(places[name]) for name in columns)
                    )
                )
            case Created():
                fires.append(sql.SQL("NOT _eventgen_existed"))
            case Updated():
                fires.append(sql.SQL("(_eventgen_existed AND NOT _eventgen_gone)"))
            case Deleted():
                fires.append(_GONE)
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
        laterals.append(lateral.format(_list(now), new, alias, sql.Identifier("_eventgen_now")))
        laterals.append(lateral.format(_list(was), old, alias, sql.Identifier("_eventgen_was")))
    if when:
        laterals.append(
            sql.SQL(
                ' CROSS JOIN LATERAL (SELECT {} FROM (SELECT {}) AS "new", (SELECT {}) AS "old") AS _eventgen_when'
            ).format(_list(when), new, old)
        )
    return sql.Composed(laterals), fires


def _events(plan: Plan, *, placed: bool = True) -> sql.Composed:
    """Return the expressions that judge the transitions and insert what fires into the outbox.

    Args:
        plan: of the stream.
        placed: whether transitions know the places of their records in the stage.
    """
    laterals, fires = _judgements(plan, plan.rules)
    rules = _list(
        sql.SQL("({}, {}, {}, {}, {}::text[])").format(
            sql.Literal(index),
            sql.Literal(rule.type),
            sql.Literal(rule.definition),
            sql.Literal(rule.payload),
            sql.Literal(None if rule.include is None else list(rule.include)),
        )
        for index, rule in enumerate(plan.rules, start=1)
    )
    changed = _list(
        sql.SQL("CASE WHEN {} IS DISTINCT FROM {} THEN {} END").format(new, old, sql.Literal(column.name))
        for new, old, column in zip(_values(plan, new=True), _values(plan, new=False), plan.table.content, strict=True)
    )
    key_object = _list(
        sql.SQL("{}::text, {}").format(sql.Literal(name), _name(name, "_eventgen_transition"))
        for name in plan.table.key
    )
    return sql.SQL(
        ", judged AS (SELECT _eventgen_transition.*, ARRAY[{fires}] AS _eventgen_fires"
        " FROM transitions AS _eventgen_transition{laterals} WHERE {any})"
        ", fired AS MATERIALIZED (SELECT judged.*, edge.rule AS _eventgen_rule FROM judged"
        " CROSS JOIN LATERAL unnest(_eventgen_fires) WITH ORDINALITY AS edge (fires, rule)"
        " WHERE edge.fires)"
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
        ", recorded AS (INSERT INTO eventgen.events"
        " (id, source, type, subject, time, partitionkey, stream, key, data, traceparent, tracestate)"
        " SELECT encode(sha256(convert_to(jsonb_build_array(_eventgen_type, _eventgen_definition, {stream}::text,"
        " _eventgen_key, _eventgen_count, _eventgen_old, _eventgen_new)::text, 'UTF8')), 'hex'),"
        " {source}, _eventgen_type, {stream} || '/' || _eventgen_subject, _eventgen_time, _eventgen_subject, {stream},"
        " _eventgen_key, {data}, _eventgen_trace, CASE WHEN _eventgen_trace = {parent} THEN {state} END"
        " FROM described ORDER BY _eventgen_at NULLS FIRST, _eventgen_n, _eventgen_rule"
        " ON CONFLICT (id) DO NOTHING RETURNING type)"
    ).format(
        fires=_list(fires),
        any=sql.SQL(" OR ").join(fires),
        laterals=laterals,
        at=_AT,
        n=_N,
        stage=sql.SQL("")
        if placed
        else sql.SQL(" JOIN (SELECT {}, {} FROM {}) AS _eventgen_stage ON {}").format(
            _N,
            _names(plan.table.key),
            stage_of(plan),
            _same_key(plan, "_eventgen_stage", "_eventgen_transition"),
        ),
        count=_COUNT,
        time=_time(plan),
        trace=_trace(plan),
        parent=sql.Literal(None if plan.trace is None else plan.trace.parent),
        state=sql.Literal(None if plan.trace is None else plan.trace.state),
        subject=_subject(plan),
        key_object=key_object,
        changed=changed,
        rules=rules,
        new=_content(plan, new=True),
        old=_content(plan, new=False),
        stream=sql.Literal(plan.table.stream),
        source=sql.Literal(plan.source),
        data=_data(plan),
    )


def _data(plan: Plan) -> sql.Composable:
    """Return what an event of `described` tells of both versions; its id is made of all of them."""
    if all(rule.payload == "full" and rule.include is None for rule in plan.rules):
        return sql.SQL("jsonb_build_object('old', _eventgen_old, 'new', _eventgen_new, 'changed', _eventgen_changed)")
    kept = (
        "CASE WHEN _eventgen_payload = 'full' AND _eventgen_include IS NULL THEN {version} ELSE"
        " (SELECT jsonb_object_agg(key, value) FROM jsonb_each({version}) WHERE key = ANY ({keys}::text[])"
        " OR (_eventgen_payload <> 'key' AND key = ANY (coalesce(_eventgen_include, ARRAY[key]))"
        " AND (_eventgen_payload = 'full' OR _eventgen_changed ? key))) END"
    )
    told = (
        "CASE WHEN _eventgen_include IS NULL THEN _eventgen_changed ELSE (SELECT coalesce(jsonb_agg(name), '[]')"
        " FROM jsonb_array_elements_text(_eventgen_changed) AS name"
        " WHERE name = ANY (_eventgen_include || {keys}::text[])) END"
    )
    keys = sql.Literal(list(plan.table.key))
    return sql.SQL("jsonb_build_object('old', {}, 'new', {}, 'changed', {})").format(
        sql.SQL(kept).format(version=sql.Identifier("_eventgen_old"), keys=keys),
        sql.SQL(kept).format(version=sql.Identifier("_eventgen_new"), keys=keys),
        sql.SQL(told).format(keys=keys),
    )


def _time(plan: Plan) -> sql.Composable:
    """Return the record's own time, where its version is one, or that of its deletion; one without zone is UTC."""
    column = plan.version
    if column is None or not (column.type.startswith("timestamp") or column.type == "date"):
        time: sql.Composable = sql.SQL("NULL::timestamptz")
    else:
        time = sql.SQL("{}::timestamptz").format(_name(column, "_eventgen_transition"))
    if not plan.deletable:
        return time
    deleted = _name(DELETED_AT, "_eventgen_transition")
    return sql.SQL("CASE WHEN _eventgen_gone THEN {}::timestamptz ELSE {} END").format(deleted, time)


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
    ).format(own=_name(str(plan.trace.field), "_eventgen_transition"), pattern=sql.Literal(PATTERN), parent=parent)


def _subject(plan: Plan) -> sql.Composable:
    """Return the key as text: the value itself, or a JSON array of a compound key's values."""
    names = [_name(name, "_eventgen_transition") for name in plan.table.key]
    if len(names) == 1:
        return sql.SQL("{}::text").format(names[0])
    return sql.SQL("jsonb_build_array({})::text").format(_list(names))
