"""The promises E1 to E4, each by name, through the real command on a real Postgres."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.messages import record, schema, state, version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.loading import Loader

PASSED = {"type": "passed", "stream": "subscriptions", "enters": "value > 10000"}
FELL = {"type": "fell", "stream": "subscriptions", "leaves": "value > 10000"}
CREATED = {"type": "created", "stream": "subscriptions", "on": "created"}
UPDATED = {"type": "updated", "stream": "subscriptions", "on": "updated"}
STATUS = {"type": "status", "stream": "subscriptions", "changes": ["status"]}
DOUBLED = {"type": "doubled", "stream": "subscriptions", "when": "new.value >= 2 * old.value"}


# -- E1: one event per transition -------------------------------------------------------------------------------------


def test_e1_a_value_that_passes_falls_and_passes_again_in_one_batch_fires_twice(loader: Loader) -> None:
    values = [9000, 11000, 9500, 11500]
    loader.load([schema(), *(version(1, n, value) for n, value in enumerate(values))], events=[PASSED, FELL, UPDATED])
    assert [kind for kind, _ in loader.events()] == ["passed", "updated", "fell", "updated", "passed", "updated"]
    assert loader.events("data->'old'->'value', data->'new'->'value'")[::2] == [
        (9000, 11000),
        (11000, 9500),
        (9500, 11500),
    ]


def test_e1_versions_of_one_instant_are_followed_in_order_of_arrival(loader: Loader) -> None:
    loader.load([schema(), *(version(1, 7, value) for value in (9000, 11000, 9500, 11500))], events=[PASSED, FELL])
    assert [kind for kind, _ in loader.events()] == ["passed", "fell", "passed"]


def test_e1_versions_of_a_batch_are_followed_in_the_order_of_their_replication_key(loader: Loader) -> None:
    loader.load([schema(), version(1, 3, 12000), version(1, 1, 9000), version(1, 2, 11000)], events=[PASSED, UPDATED])
    assert loader.events("type, data->'new'->'value'") == [("passed", 11000), ("updated", 11000), ("updated", 12000)]


@pytest.mark.parametrize("key", ["updated_at", None])
def test_e1_a_replay_fires_nothing(loader: Loader, key: str | None) -> None:
    rules = [CREATED, PASSED, FELL, UPDATED, STATUS, DOUBLED]
    messages = [
        schema(version=key),
        *(version(1, second, value) for second, value in [(1, 9000), (2, 11000), (2, 9500), (2, 30000)]),
        version(2, 1, 5),
        version(2, 1, 6),
    ]
    loader.load(messages, events=rules)
    first = loader.events("id")
    loader.load(messages, events=rules)
    loader.load(messages[:1] + messages[-1:], events=rules)
    assert loader.events("id") == first
    assert len(first) == 10


def test_e1_a_row_that_goes_back_and_forth_in_one_instant_is_followed_within_a_run(loader: Loader) -> None:
    messages = [schema()]
    for n, statuses in enumerate(["a", "bab", "a", "b", "ab", "ab", "cba"]):
        messages += [*(version(1, 1, 1, status) for status in statuses), state(n)]
    loader.load(messages, events=[STATUS], batch_size_rows=1)
    assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "babab" + "abab" + "cba"


def test_e1_a_row_that_goes_back_and_forth_in_one_instant_is_followed_over_runs_but_where_it_repeats_itself(
    loader: Loader,
) -> None:
    for statuses in ["a", "bab", "a", "b", "ab", "cba"]:
        loader.load([schema(), *(version(1, 1, 1, status) for status in statuses)], events=[STATUS])
    assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "babab" + "" + "cba"
    assert loader.query("select status, _eventgen_version from subscriptions") == [("a", 9)]


@pytest.mark.parametrize("key", ["updated_at", None])
def test_e1_a_run_that_died_is_replayed_once_wherever_the_checkpoints_are_cut(loader: Loader, key: str | None) -> None:
    told = [version(1, 1, 1, status) for status in "abcd"]
    loader.load([schema(version=key), told[0], state(0), *told[1:]], events=[STATUS])
    for cut in (1, 2, 3):
        again = [schema(version=key), *told[:cut], state(1), *told[cut:]]
        loader.load(again if cut < 3 else [*again, state(2)], events=[STATUS], batch_size_rows=1)
        assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "bcd"
    assert loader.query("select status, _eventgen_version from subscriptions") == [("d", 4)]
    assert loader.query("select count(*) from eventgen.parked") == [(0,)]


@pytest.mark.parametrize("key", ["updated_at", None])
def test_e1_a_row_that_went_back_after_a_run_died_is_followed_at_the_end_of_the_next(
    loader: Loader, key: str | None
) -> None:
    told = [version(1, 1, 1, status) for status in "aba"]
    loader.load([schema(version=key), told[0], state(0), told[1]], events=[STATUS])
    loader.load([schema(version=key), told[2]], events=[STATUS])
    assert loader.query("select status from subscriptions") == [("a",)]
    assert loader.events("data->'old'->>'status', data->'new'->>'status'") == [("a", "b"), ("b", "a")]


def test_e1_a_run_that_has_replayed_a_dead_one_to_its_end_is_followed_from_there_on(loader: Loader) -> None:
    a, b = version(1, 1, 1, "a"), version(1, 1, 1, "b")
    loader.load([schema(), a, state(0), b], events=[STATUS])
    loader.load([schema(), a, b, state(1), a, state(2), b, state(3)], events=[STATUS], batch_size_rows=1)
    assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "bab"


def test_e1_what_a_dead_run_parked_is_judged_at_the_end_of_the_next(loader: Loader) -> None:
    a, b, other = version(1, 1, 1, "a"), version(1, 1, 1, "b"), version(2, 1, 1, "a")
    loader.load([schema(), a, state(0), b], events=[STATUS])
    loader.load([schema(), a, state(1), other], events=[STATUS], batch_size_rows=1)  # its tap died
    assert loader.query("select status from subscriptions where id = 1") == [("b",)]
    assert loader.query("select count(*) from eventgen.parked") == [(1,)]
    loader.load([schema(), other, state(2)], events=[STATUS])
    assert loader.query("select status from subscriptions where id = 1") == [("a",)]
    assert loader.query("select count(*) from eventgen.parked") == [(0,)]
    assert loader.events("data->'new'->>'status'") == [("b",), ("a",)]


def test_e1_without_versions_a_row_that_goes_back_and_forth_in_each_run_is_followed(loader: Loader) -> None:
    for n, statuses in enumerate(["a", "ba", "ba", "ba"]):
        messages = [schema(version=None), *(version(1, 1, 1, status) for status in statuses), state(n)]
        loader.load(messages, events=[STATUS])
    assert "".join(new for (new,) in loader.events("data->'new'->>'status'")) == "bababa"
    assert loader.query("select count(*) from eventgen.runs") == [(0,)]


def test_e3_a_row_without_version_is_as_new_as_the_newest_before_it(loader: Loader) -> None:
    unversioned = record(id=1, value=2, status="", updated_at=None)
    loader.load([schema(), version(1, 5, 1), unversioned, version(1, 3, 9)], events=[UPDATED])
    loader.load([schema(), version(1, 3, 9), version(1, 5, 1), unversioned], events=[UPDATED])
    assert loader.query("select value, updated_at from subscriptions") == [(2, None)]
    assert len(loader.events()) == 2


def test_e1_many_versions_of_many_keys_fire_the_same_whatever_the_batches(loader: Loader) -> None:
    drawn = random.Random(5)
    versions = [version(drawn.randint(1, 30), n // 60, drawn.choice([9000, 11000])) for n in range(3000)]
    counted: dict[int, int] = {}
    last: dict[int, float] = {}
    for message in versions:
        found = message["record"]
        counted[found["id"]] = counted.get(found["id"], 0) + (found["value"] > 10000 >= last.get(found["id"], 0))
        last[found["id"]] = found["value"]
    messages = [schema()]
    for n, message in enumerate(versions):
        messages += [message, state(n)]
    loader.load(messages, events=[PASSED], batch_size_rows=97)
    found = loader.query("select key->>'id', count(*), count(distinct id) from eventgen.events group by 1")
    assert {int(key): count for key, count, _ in found} == counted
    assert all(count == ids for _, count, ids in found)


def test_e1_leaves_is_the_mirror_of_enters_and_null_is_not_true(loader: Loader) -> None:
    values = [None, 11000, None, 20000, 5]
    loader.load([schema(), *(version(1, n, value) for n, value in enumerate(values))], events=[PASSED, FELL])
    assert [kind for kind, _ in loader.events()] == ["passed", "fell", "passed", "fell"]


def test_e1_enters_fires_for_a_row_that_is_created_within_the_condition_even_if_nulls_satisfy_it(
    loader: Loader,
) -> None:
    rule = {"type": "unset", "stream": "subscriptions", "enters": "status is null"}
    loader.load([schema(), version(1, 1, 1, None), version(2, 1, 1, "x")], events=[rule])
    assert loader.events() == [("unset", "1")]


def test_e1_events_of_a_key_have_ascending_sequences_and_link_old_to_new(loader: Loader) -> None:
    messages = [version(n % 3, n, n) for n in range(30)]
    loader.load([schema(), *messages], events=[CREATED, UPDATED])
    for key in "012":
        told = loader.query(
            f"select data->'old', data->'new' from eventgen.events where partitionkey = '{key}' order by sequence"
        )
        assert [new["value"] for _, new in told] == [n for n in range(30) if str(n % 3) == key]
        assert all(old == before for (_, before), (old, _) in itertools.pairwise(told))


def test_e1_an_event_is_a_cloud_event_with_the_records_own_time(loader: Loader) -> None:
    loader.load([schema(), version(1, 4, 1), version(1, 5, 2, "x")], events=[UPDATED], source="here")
    assert loader.events("source, type, subject, time::text, partitionkey, stream, key, data") == [
        (
            "here", "updated", "subscriptions/1", "2026-01-01 00:00:05+00", "1", "subscriptions", {"id": 1},
            {
                "old": {"id": 1, "value": 1, "status": "active", "updated_at": "2026-01-01T00:00:04+00:00"},
                "new": {"id": 1, "value": 2, "status": "x", "updated_at": "2026-01-01T00:00:05+00:00"},
                "changed": ["value", "status", "updated_at"],
            },
        )
    ]  # fmt: skip


def test_e1_the_id_is_the_same_wherever_the_same_history_is_loaded(loader: Loader) -> None:
    messages = [schema(), version(1, 1, 1), version(1, 2, 2)]
    loader.load(messages, events=[CREATED, UPDATED])
    first = loader.events("id")
    loader.query("drop schema eventgen cascade; drop table subscriptions")
    loader.load([*messages[:2], state(1), messages[2]], events=[CREATED, UPDATED], batch_size_rows=1)
    assert loader.events("id") == first
    assert len(set(first)) == 2


def test_e1_rules_of_one_type_with_other_conditions_stay_apart(loader: Loader) -> None:
    rules = [{"type": "big", "stream": "subscriptions", "enters": f"value > {n}"} for n in (1, 2)]
    loader.load([schema(), version(1, 1, 3)], events=rules)
    assert len(set(loader.events("id"))) == 2


def test_e1_a_compound_key_is_distinguished_in_subject_and_key(loader: Loader) -> None:
    properties = {"a": {"type": "string"}, "b": {"type": "string"}}
    rule = {"type": "made", "stream": "pairs", "on": "created"}
    messages = [record("pairs", a="x,y", b="z"), record("pairs", a="x", b="y,z")]
    loader.load([schema("pairs", properties, key=["a", "b"], version=None), *messages], events=[rule])
    assert sorted(loader.events("subject, key")) == [
        ('pairs/["x", "y,z"]', {"a": "x", "b": "y,z"}),
        ('pairs/["x,y", "z"]', {"a": "x,y", "b": "z"}),
    ]


# -- the first load ---------------------------------------------------------------------------------------------------


def test_the_very_first_load_of_a_table_fires_nothing_and_later_ones_do(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 11000), state(1)], events=[CREATED, PASSED], initial_load="suppress")
    assert loader.events() == []
    loader.load([schema(), version(2, 2, 11000), state(2)], events=[CREATED, PASSED], initial_load="suppress")
    assert loader.events() == [("created", "2"), ("passed", "2")]


@pytest.mark.parametrize(
    "unfinished",
    [
        [version(1, 1, 1), state({"currently_syncing": "subscriptions"})],
        [version(1, 1, 1), state({"bookmarks": 1}), version(2, 1, 1)],
    ],
)
def test_a_first_load_whose_tap_died_goes_on_being_the_first(loader: Loader, unfinished: list[dict[str, Any]]) -> None:
    settings = {"events": [CREATED], "initial_load": "suppress"}
    loader.load([schema(), *unfinished], **settings)
    loader.load([schema(), version(3, 1, 1), state({"bookmarks": 2})], **settings)
    assert loader.events() == []
    loader.load([schema(), version(4, 1, 1)], **settings)
    assert loader.events() == [("created", "4")]


def test_a_table_that_had_rows_before_has_had_its_first_load(loader: Loader) -> None:
    loader.query(
        "create table public.subscriptions (id bigint primary key, value numeric); insert into subscriptions values (1, 5)"
    )
    loader.load([schema(), version(1, 1, 11000), version(2, 1, 1)], events=[CREATED, PASSED], initial_load="suppress")
    assert sorted(loader.events()) == [("created", "2"), ("passed", "1")]


# -- E2: together or not at all ---------------------------------------------------------------------------------------


def test_e2_where_the_outbox_refuses_an_event_no_row_of_any_stream_is_written(loader: Loader) -> None:
    other = schema("other", {"id": {"type": "integer"}}, version=None)
    loader.load([schema(), other, version(1, 1, 1)], events=[UPDATED])
    loader.query("alter table eventgen.events add constraint refusing check (key->>'id' <> '1')")
    message = loader.refused([schema(), other, record("other", id=1), version(1, 2, 2), state(1)], events=[UPDATED])
    assert "refusing" in message
    assert loader.query("select value from subscriptions") == [(1,)]
    assert loader.query("select * from other") == []
    assert loader.events() == []


def test_e2_where_a_row_is_refused_no_event_is_written(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 1)], events=[UPDATED])
    loader.query("alter table subscriptions add constraint small check (value < 5)")
    message = loader.refused([schema(), version(1, 2, 9), version(2, 1, 1), state(1)], events=[UPDATED, CREATED])
    assert "small" in message
    assert loader.events() == []
    assert loader.query("select id, value from subscriptions") == [(1, 1)]


def test_e2_rows_and_events_of_a_checkpoint_have_one_transaction(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 1), version(1, 2, 2), version(2, 2, 2)], events=[CREATED, UPDATED])
    found = loader.query("select distinct transaction_id::text from eventgen.events")
    rows = loader.query("select distinct xmin::text from subscriptions")
    assert len(found) == 1
    assert found == rows


# -- E3: never backwards ----------------------------------------------------------------------------------------------


def test_e3_an_older_version_changes_nothing_and_is_counted(loader: Loader) -> None:
    loader.load([schema(), version(1, 5, 5)], events=[UPDATED])
    done = loader.run([schema(), version(1, 4, 4), version(1, 3, 3), state(1)], events=[UPDATED])
    assert done.returncode == 0
    (said,) = [line for line in done.stderr.splitlines() if "older than their rows" in line]
    assert "WARNING" in said
    assert (
        'stream "subscriptions": 2 records were older than their rows and were dropped, such as one of the key [1]'
        in said
    )
    assert loader.query("select value, _eventgen_version from subscriptions") == [(5, 1)]
    assert loader.events() == []


def test_e3_an_older_instant_is_known_by_its_offset_not_by_its_text(loader: Loader) -> None:
    loader.load([schema(), record(id=1, value=1, updated_at="2026-01-01T10:30:00Z")])
    loader.load([schema(), record(id=1, value=2, updated_at="2026-01-01T12:00:00+02:00")])
    assert loader.query("select value, updated_at::text from subscriptions") == [(1, "2026-01-01 10:30:00+00")]


def test_e3_instants_that_the_schema_calls_texts_are_compared_as_instants(loader: Loader) -> None:
    described = schema(
        properties={"id": {"type": "integer"}, "value": {"type": "integer"}, "updated_at": {"type": "string"}}
    )
    told = [
        "2026-01-01T10:30:00Z",
        "2026-01-01T10:30:00.5Z",
        "2026-01-01T10:30:00.500Z",
        "2026-01-01T12:30:00.25+02:00",
    ]
    for value, instant in enumerate(told):
        loader.load([described, record(id=1, value=value, updated_at=instant)])
    assert loader.query("select value, updated_at from subscriptions") == [(2, told[2])]


def test_e3_numbers_compare_as_numbers(loader: Loader) -> None:
    properties = {"id": {"type": "integer"}, "n": {"type": "integer"}}
    described = schema("counters", properties, version="n")
    loader.load([described, record("counters", id=1, n=10), state(1), record("counters", id=1, n=9)], batch_size_rows=1)
    assert loader.query("select n from counters") == [(10,)]


def test_an_equal_instant_with_other_content_is_applied(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 1)], events=[UPDATED])
    loader.load([schema(), version(1, 1, 2)], events=[UPDATED])
    assert loader.query("select value from subscriptions") == [(2,)]
    assert loader.events() == [("updated", "1")]


def test_a_null_version_is_applied_in_order_of_arrival(loader: Loader) -> None:
    loader.load([schema(), version(1, 5, 5)])
    unversioned = record(id=1, value=6, updated_at=None)
    loader.load([schema(), version(1, 4, 4), unversioned, version(1, 6, 7), record(id=1, value=8, updated_at=None)])
    assert loader.query("select value, updated_at, _eventgen_version from subscriptions") == [(8, None, 4)]


def test_equal_content_causes_no_write_and_no_event(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 1)], events=[UPDATED])
    before = loader.query("select xmin::text, ctid::text, * from subscriptions")
    loader.load(
        [schema(), record(id=1, value=1.0, status="active", updated_at="2026-01-01T01:00:01+01:00")], events=[UPDATED]
    )
    assert loader.query("select value, _eventgen_version, _sdc_received_at from subscriptions") == [
        (before[0][3], 1, loader.query("select _sdc_received_at from subscriptions")[0][0])
    ]
    assert loader.query("select ctid::text from subscriptions") == [(before[0][1],)]
    assert loader.events() == []


# -- E4: honest STATE -------------------------------------------------------------------------------------------------


def test_e4_state_leaves_after_its_commit_and_only_when_it_changed(loader: Loader) -> None:
    messages: list[Any] = [schema()]
    for n in range(10):
        messages += [version(n, 1, n), state({"n": n // 2})]
    assert loader.load(messages, batch_size_rows=1) == [{"n": n} for n in range(5)]
    assert loader.load(messages, batch_size_rows=5) == [{"n": 2}, {"n": 4}]
    assert loader.load(messages) == [{"n": 4}]


def test_e4_no_state_leaves_for_a_checkpoint_that_is_refused(loader: Loader) -> None:
    messages = [schema(), version(1, 1, 1), state(1), version(2, 1, 2), record(id=3, updated_at="never"), state(2)]
    done = loader.run(messages, batch_size_rows=1)
    assert done.returncode == 1
    assert done.stdout == "1\n"
    assert loader.query("select id from subscriptions") == [(1,)]


def test_e4_state_of_one_stream_waits_for_the_records_of_all(loader: Loader) -> None:
    def messages() -> Iterator[dict[str, Any]]:
        yield schema()
        yield schema("other", {"id": {"type": "integer"}, "day": {"type": "string", "format": "date"}}, version=None)
        yield record("other", id=1, day="never")
        yield version(1, 1, 1)
        yield state({"subscriptions": 1})

    assert "never" not in loader.refused(messages(), batch_size_rows=1)
    assert loader.query("select * from subscriptions") == []


def test_e4_rows_without_any_state_are_committed_in_pieces_that_say_nothing(loader: Loader) -> None:
    messages = [schema(), *(version(n, 1, n) for n in range(60))]
    assert loader.load([*messages, "", state(7)], batch_size_rows=10) == [7]
    assert len(loader.query("select distinct xmin::text from subscriptions")) == 2


def test_e4_state_keeps_all_digits_and_its_order(loader: Loader) -> None:
    value = '{"z": 1.10, "a": 12345678901234567890.5}'
    done = loader.run([schema(), '{"type": "STATE", "value": ' + value + "}"])
    assert done.stdout.replace(" ", "") == value.replace(" ", "") + "\n"
