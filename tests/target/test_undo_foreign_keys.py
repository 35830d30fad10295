"""`undo` of rows that refer to one another: in the order of foreign keys; what these forbid is refused by key."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.errors import TableError
from target_eventgen.model import rules
from target_eventgen.model.foreign_keys import Phase, Place, phases
from target_eventgen.store.connection import Connection
from target_eventgen.store.undo import Undo
from tests.support.messages import record, schema, state
from tests.target.test_rights import restricted, user_of  # noqa: F401  a fixture

if TYPE_CHECKING:
    from tests.support.loading import Loader

ID = {"type": "integer"}
REFERENCE = {"type": ["integer", "null"]}
NAMES = ("zones", "people", "areas", "m", "n", "staff")
RULES = [
    {"type": f"{name}.{on}", "stream": name, "on": on} for name in NAMES for on in ("created", "updated", "deleted")
]
SETTINGS: dict[str, Any] = {"hard_delete": True, "undo_days": 7, "events": RULES}
UNDONE = "select type, key->>'id' from eventgen.events where data ? 'undone' order by type, 2"


def of(stream: str, *columns: str) -> dict[str, Any]:
    """A SCHEMA whose columns refer to rows."""
    return schema(stream, {"id": ID, **dict.fromkeys(columns, REFERENCE)}, version=None)


def gone(stream: str, key: int) -> dict[str, Any]:
    return record(stream, id=key, _sdc_deleted_at="2026-01-02T00:00:00Z")


def load(loader: Loader, *messages: Any, **settings: Any) -> int:
    """Load, and return the run's number."""
    loader.load([*messages, state(1)], **{**SETTINGS, **settings})
    ((run,),) = loader.query("select run from eventgen.replaced group by run order by max(recorded_at) desc limit 1")
    return int(run)


def undone(loader: Loader, run: int, *arguments: str, **settings: Any) -> tuple[int, str, str]:
    """Undo by the command; its status, output and complaints."""
    config = loader.write_config(**{**SETTINGS, **settings})
    done = loader.run_command(["undo", str(run), *arguments, "--config", str(config)])
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def take_back(
    loader: Loader, run: int, *, piece: int = 1, writes: bool = True, hard: bool = True, url: str | None = None
) -> tuple[Counter[str], dict[str, str]]:
    """Undo in pieces of so many keys; rows that were restored or deleted by stream, and the reasons of the others."""
    parsed, _ = rules.parse(RULES)
    changed: Counter[str] = Counter()
    refused: dict[str, str] = {}
    with closing(Connection(url or loader.database)) as connection:
        for stream, each in Undo(connection, parsed, "here", hard=hard).take_back(run, piece=piece, writes=writes):
            changed[stream] += each.restored + each.deleted
            refused |= {f"{stream}/{key}": reason for key, reason in each.refused}
    return changed, refused


def pairs(loader: Loader, table: str, column: str) -> list[tuple[Any, ...]]:
    return loader.query(f"select id, {column} from {table} order by id")


@pytest.mark.parametrize("parent", ["zones", "areas"])
@pytest.mark.parametrize("action", ["", "on delete restrict", "deferrable", "on delete cascade"])
def test_what_a_run_stored_changed_and_deleted_in_two_tables_is_undone(
    loader: Loader, parent: str, action: str
) -> None:
    loader.query(
        f"create table {parent} (id bigint primary key);"
        f" create table people (id bigint primary key, zone bigint references {parent} {action})"
    )
    both = [of(parent), of("people", "zone")]
    rows = [record("people", id=key, zone=1) for key in (1, 3)]
    load(loader, *both, record(parent, id=1), record(parent, id=4), *rows)
    before = [loader.query(f"select id from {parent} order by id"), pairs(loader, "people", "zone")]
    bad = load(
        loader,
        *both,
        gone(parent, 1),
        gone(parent, 4),
        gone("people", 1),
        *(record(parent, id=key) for key in (2, 5)),
        *(record("people", id=key, zone=2) for key in (2, 3)),
    )
    left = [loader.query(f"select id from {parent} order by id"), pairs(loader, "people", "zone")]
    assert left == [[(2,), (5,)], [(2, 2), (3, 2)]]
    status, said, _ = undone(loader, bad, "--dry-run")
    wanted = [
        f"{parent}: 2 rows would be restored, 2 would be deleted again",
        "people: 2 rows would be restored, 1 would",
    ]
    assert status == 0, said
    assert all(part in said for part in wanted), said
    assert left == [loader.query(f"select id from {parent} order by id"), pairs(loader, "people", "zone")]
    assert take_back(loader, bad) == ({parent: 4, "people": 3}, {})
    assert before == [loader.query(f"select id from {parent} order by id"), pairs(loader, "people", "zone")]
    told = [
        (f"{parent}.created", "1"),
        (f"{parent}.created", "4"),
        (f"{parent}.deleted", "2"),
        (f"{parent}.deleted", "5"),
    ]
    assert loader.query(UNDONE) == sorted(
        [*told, ("people.created", "1"), ("people.deleted", "2"), ("people.updated", "3")]
    )
    assert loader.query("select count(*) from eventgen.replaced where run = " + str(bad)) == [(0,)]


@pytest.mark.parametrize("action", ["restrict", "cascade", "set null"])
def test_a_row_that_others_refer_to_is_refused_by_key_and_the_rest_is_undone(loader: Loader, action: str) -> None:
    loader.query(
        "create table zones (id bigint primary key); create table people (id bigint primary key, zone bigint references"
        f" zones); create table notes (zone bigint references zones on delete {action})"
    )
    both = [of("zones"), of("people", "zone")]
    load(loader, *both, record("zones", id=9))
    bad = load(loader, *both, *(record("zones", id=key) for key in (1, 2, 3)), record("people", id=1, zone=1))
    load(loader, *both, record("people", id=5, zone=2))
    loader.query("insert into notes values (3)")
    status, said, complaint = undone(loader, bad)
    assert status == 1
    assert 'refused zones/2: rows of "public"."people" refer to it (foreign key "people_zone_fkey")' in said
    assert 'refused zones/3: rows of "public"."notes" refer to it (foreign key "notes_zone_fkey")' in said
    assert "zones: 0 rows restored, 1 deleted again" in said
    assert "people: 0 rows restored, 1 deleted again" in said
    assert f"2 rows of the run {bad} are left as they are" in complaint
    assert loader.query("select id from zones order by id") == [(2,), (3,), (9,)]
    loader.query("delete from people; delete from notes")
    assert take_back(loader, bad) == ({"zones": 2}, {})
    assert loader.query("select id from zones") == [(9,)]


def test_a_row_that_would_refer_to_what_is_not_there_is_refused_by_key(loader: Loader) -> None:
    loader.query(
        "create table zones (id bigint primary key); create table people (id bigint primary key, zone bigint references zones)"
    )
    both = [of("zones"), of("people", "zone")]
    people = [record("people", id=key, zone=zone) for key, zone in ((1, 1), (2, 2), (3, 1), (4, None))]
    load(loader, *both, *(record("zones", id=key) for key in (1, 2)), *people)
    bad = load(loader, *both, *(gone("people", key) for key in (1, 2, 4)), record("people", id=3, zone=2))
    load(loader, *both, gone("zones", 1))
    changed, refused = take_back(loader, bad)
    reason = 'it refers to a row of "public"."zones" that is not there (foreign key "people_zone_fkey")'
    assert refused == {"people/1": reason, "people/3": reason}
    assert changed == {"people": 2}
    assert pairs(loader, "people", "zone") == [(2, 2), (3, 2), (4, None)]
    load(loader, *both, record("zones", id=1))
    assert take_back(loader, bad) == ({"people": 2}, {})
    assert pairs(loader, "people", "zone") == [(1, 1), (2, 2), (3, 1), (4, None)]


@pytest.mark.parametrize("action", ["", "on delete restrict"])
@pytest.mark.parametrize("writes", [True, False])
def test_rows_of_a_table_that_refer_to_one_another_are_undone_together(
    loader: Loader, action: str, *, writes: bool
) -> None:
    loader.query(f"create table people (id bigint primary key, boss bigint references people {action})")
    load(loader, of("people", "boss"), record("people", id=9), record("people", id=8, boss=9))
    circle = [record("people", id=key, boss=key % 3 + 1) for key in (1, 2, 3)]
    came = load(loader, of("people", "boss"), *circle, record("people", id=4, boss=4), record("people", id=8, boss=1))
    left = [(1, 2), (2, 3), (3, 1), (4, 4), (8, 1), (9, None)]
    if not writes:
        assert take_back(loader, came, writes=False) == ({"people": 5}, {})
        assert pairs(loader, "people", "boss") == left
        return
    loader.query("insert into people (id, boss, _eventgen_version) values (7, 2, 1)")
    changed, refused = take_back(loader, came)
    assert changed == {"people": 2}
    assert set(refused) == {"people/1", "people/2", "people/3"}
    loader.query("delete from people where id = 7")
    assert take_back(loader, came) == ({"people": 3}, {})
    assert pairs(loader, "people", "boss") == [(8, 9), (9, None)]
    load(loader, of("people", "boss"), *circle)
    went = load(loader, of("people", "boss"), *(gone("people", key) for key in (1, 2, 3, 8)))
    assert take_back(loader, went) == ({"people": 4}, {})
    assert pairs(loader, "people", "boss") == [(1, 2), (2, 3), (3, 1), (8, 9), (9, None)]


@pytest.mark.parametrize("action", ["", "deferrable"])
def test_tables_in_a_circle_are_undone_together(loader: Loader, action: str) -> None:
    loader.query(
        "create table n (id bigint primary key, other bigint); create table zones (id bigint primary key);"
        f" create table m (id bigint primary key, other bigint references n {action}, zone bigint references zones);"
        f" alter table n add foreign key (other) references m {action};"
        " create table a (id bigint primary key, other bigint references m)"
    )
    schemas = [of("zones"), of("m", "other", "zone"), of("n", "other"), of("a", "other")]
    load(loader, *schemas, record("zones", id=9))
    # A checkpoint a STATE: rows come before they refer to one another.
    rows = [
        *(record("zones", id=1), record("m", id=1, other=None, zone=1), state(1), record("n", id=1, other=1), state(2)),
        *(record("m", id=1, other=1), record("a", id=1, other=1)),
    ]
    came = load(loader, *schemas, *rows, batch_size_rows=1)
    assert pairs(loader, "m", "other") == pairs(loader, "n", "other") == [(1, 1)]
    assert take_back(loader, came, writes=False) == ({"zones": 1, "m": 1, "n": 1, "a": 1}, {})
    assert take_back(loader, came) == ({"zones": 1, "m": 1, "n": 1, "a": 1}, {})
    for name in ("m", "n", "a"):
        assert pairs(loader, name, "other") == []
    load(loader, *schemas, *rows, batch_size_rows=1)
    parted = [
        gone("a", 1),
        record("m", id=1, other=None),
        state(1),
        gone("n", 1),
        state(2),
        gone("m", 1),
        gone("zones", 1),
    ]
    went = load(loader, *schemas, *parted, batch_size_rows=1)
    assert pairs(loader, "m", "other") == pairs(loader, "n", "other") == []
    assert take_back(loader, went) == ({"zones": 1, "m": 1, "n": 1, "a": 1}, {})
    assert pairs(loader, "m", "other") == pairs(loader, "n", "other") == pairs(loader, "a", "other") == [(1, 1)]
    assert loader.query("select id from zones order by id") == [(1,), (9,)]


@pytest.mark.parametrize("action", ["", "deferrable"])
def test_a_key_that_no_order_satisfies_must_be_deferrable(loader: Loader, action: str) -> None:
    loader.query(
        "create table staff (id bigint primary key, code bigint unique,"
        f" boss bigint constraint bosses references staff (code) {action})"
    )
    load(loader, of("staff", "code", "boss"), record("staff", id=1, code=10), record("staff", id=2, code=20, boss=10))
    went = load(
        loader,
        of("staff", "code", "boss"),
        gone("staff", 2),
        state(1),
        record("staff", id=1, code=11),
        batch_size_rows=1,
    )
    assert pairs(loader, "staff", "code") == [(1, 11)]
    if action:
        assert take_back(loader, went) == ({"staff": 2}, {})
        assert loader.query("select id, code, boss from staff order by id") == [(1, 10, None), (2, 20, 10)]
        return
    status, said, complaint = undone(loader, went)
    assert (status, said) == (1, "")
    assert all(part in complaint for part in ['stream "staff"', '"bosses"', "DEFERRABLE"]), complaint
    assert pairs(loader, "staff", "code") == [(1, 11)]
    with pytest.raises(TableError, match="bosses"):
        take_back(loader, went, writes=False)


def test_what_a_user_may_not_read_is_found_by_postgres_and_named(loader: Loader, restricted: str) -> None:  # noqa: F811
    loader.query("create table zones (id bigint primary key)")
    bad = load(loader, of("zones"), record("zones", id=1))
    loader.query(
        "create table secrets (zone bigint constraint hidden references zones); insert into secrets values (1);"
        f" grant usage on schema public, eventgen to {user_of(restricted)};"
        f" grant select, insert, update, delete on zones to {user_of(restricted)};"
        f" grant select, insert, update, delete on all tables in schema eventgen to {user_of(restricted)}"
    )
    with pytest.raises(TableError, match=r'"hidden".*SELECT'):
        take_back(loader, bad, url=restricted)
    assert take_back(loader, bad)[1] == {"zones/1": 'rows of "public"."secrets" refer to it (foreign key "hidden")'}


def test_rows_that_are_marked_as_deleted_may_be_referred_to(loader: Loader) -> None:
    loader.query(
        "create table zones (id bigint primary key); create table people (id bigint primary key, zone bigint references zones)"
    )
    both = [of("zones"), of("people", "zone")]
    load(loader, *both, record("zones", id=9), hard_delete=False)
    bad = load(loader, *both, record("zones", id=1), hard_delete=False)
    load(loader, *both, record("people", id=1, zone=1), hard_delete=False)
    assert take_back(loader, bad, hard=False) == ({"zones": 1}, {})
    assert loader.query("select id from zones where _sdc_deleted_at is null") == [(9,)]


def test_what_a_deferred_constraint_forbids_is_found_before_events_are_published_and_in_a_dry_run(
    loader: Loader,
) -> None:
    loader.query(
        "create table staff (id bigint primary key, code bigint unique deferrable initially deferred, boss bigint)"
    )
    load(loader, of("staff", "code"), record("staff", id=1, code=10))
    bad = load(loader, of("staff", "code"), record("staff", id=1, code=11))
    load(loader, of("staff", "code"), record("staff", id=2, code=10))
    path = loader.folder / "published.jsonl"
    publishers = [{"type": "file", "path": str(path)}]
    for arguments in ([], ["--dry-run"]):
        status, _, complaint = undone(loader, bad, *arguments, publishers=publishers, delivery="before_commit")
        assert status == 1
        assert "staff_code_key" in complaint
    assert not path.exists() or path.read_text() == ""


@pytest.mark.parametrize("seed", range(4))
def test_runs_that_are_undone_from_the_last_on_leave_the_rows_as_they_were(loader: Loader, seed: int) -> None:
    drawn = random.Random(seed)
    loader.query(
        "create table zones (id bigint primary key, outer_zone bigint references zones);"
        " create table people (id bigint primary key, zone bigint references zones, boss bigint references people)"
    )
    both = [of("zones", "outer_zone"), of("people", "zone", "boss")]
    zones: dict[int, int | None] = {}
    people: dict[int, tuple[int | None, int | None]] = {}
    past: list[tuple[int, Any, Any]] = []
    for _ in range(4):
        was = (dict(zones), dict(people))
        kept = [key for key in range(1, 7) if drawn.random() < 0.6]
        zones = {key: drawn.choice([None, *kept]) for key in kept}
        hired = [key for key in range(1, 9) if drawn.random() < 0.6]
        people = {key: (drawn.choice([None, *kept]), drawn.choice([None, *hired])) for key in hired}
        messages = [
            *(record("zones", id=key, outer_zone=outer) for key, outer in zones.items()),
            *(gone("zones", key) for key in was[0].keys() - zones.keys()),
            *(record("people", id=key, zone=zone, boss=boss) for key, (zone, boss) in people.items()),
            *(gone("people", key) for key in was[1].keys() - people.keys()),
        ]
        run = load(loader, *both, *drawn.sample(messages, len(messages)))
        assert loader.query("select id, outer_zone from zones order by id") == sorted(zones.items())
        past.append((run, sorted(was[0].items()), sorted((key, *value) for key, value in was[1].items())))
    for run, zones_before, people_before in reversed(past):
        assert take_back(loader, run, piece=drawn.choice([1, 2, 1000]))[1] == {}
        assert loader.query("select id, outer_zone from zones order by id") == zones_before
        assert loader.query("select id, zone, boss from people order by id") == people_before


def place(*reach: int, in_circle: bool = False) -> Place:
    return Place(frozenset(reach), in_circle)


def test_phases_restore_what_is_referred_to_first_and_delete_it_last() -> None:
    people, zones, m, n = place(1, 2), place(2), place(3, 4, 2, in_circle=True), place(3, 4, 2, in_circle=True)
    orders = phases([people, m, n, zones], writes=True)
    assert [(phase.tables, phase.restores, phase.deletes, phase.whole) for phase in orders] == [
        ((3,), True, False, False),
        ((0,), True, False, False),
        ((1, 2), True, False, True),
        ((1, 2), False, True, True),
        ((0,), False, True, False),
        ((3,), False, True, False),
    ]


def test_phases_of_a_dry_run_are_one_where_tables_refer_to_others() -> None:
    one, other, referring = place(1), place(2), place(3, 1)
    assert len(phases([one, other], writes=False)) == 4
    whole = Phase((0, 1, 2), restores=True, deletes=True, whole=True)
    assert phases([one, other, referring], writes=False) == [whole]
    assert phases([place(1, in_circle=True)], writes=False) == [Phase((0,), restores=True, deletes=True, whole=True)]
