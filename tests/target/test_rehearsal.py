"""`rules check` and `rules try`, as commands: they tell, and change nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.messages import lines, record, schema
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.support.loading import Loader

GOOD = {"type": "order.large", "stream": "orders", "enters": "total > 100"}
GONE = {"type": "order.deleted", "stream": "orders", "on": "deleted"}
TYPO = {"type": "order.typo", "stream": "orders", "enters": "totl > 100"}
ORDERS = schema("orders", {"id": {"type": "integer"}, "total": {"type": "number"}}, version=None)
TRIALS = "select datname from pg_database where datname like 'eventgen_try%'"
"""The databases in which rules are tried, also those of other tests that run at the same time."""

RELATIONS = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"


def commanded(loader: Loader, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return loader.run_command(["rules", *arguments, "--config", str(loader.write_config(**settings))])


def catalog(loader: Loader) -> str:
    path = loader.folder / "catalog.json"
    path.write_text(json.dumps({"streams": [{**ORDERS, "tap_stream_id": "orders"}]}))
    return str(path)


def test_check_finds_the_faults_of_rules_in_a_catalog_and_makes_nothing(loader: Loader) -> None:
    other = {"type": "x", "stream": "ordres", "on": "created"}
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[GOOD, GONE, TYPO, other])
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == ["ok", "ok", "FAULT", "FAULT"]
    assert "events[2].enters" in said[2]
    assert 'did you mean "total"' in said[2]
    assert 'did you mean "orders"' in said[3]
    assert "Traceback" not in done.stderr
    assert loader.query("select to_regnamespace('eventgen'), to_regclass('orders')") == [(None, None)]


def test_check_passes_rules_that_can_be_followed(loader: Loader) -> None:
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[GOOD, GONE])
    assert done.returncode == 0, done.stderr


def test_check_says_that_there_are_no_rules(loader: Loader) -> None:
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[])
    assert (done.returncode, done.stdout) == (0, "")
    assert 'no rules: the setting "events"' in done.stderr


def test_check_notes_a_rule_that_waits_for_the_time_to_pass(loader: Loader) -> None:
    rule = {"type": "order.old", "stream": "orders", "enters": "total > extract(epoch from now())"}
    done = commanded(loader, "check", "--catalog", catalog(loader), events=[rule])
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok", "note"]


def test_check_compares_rules_with_the_live_tables(loader: Loader) -> None:
    assert commanded(loader, "check", events=[GOOD]).returncode == 1
    loader.load([ORDERS, record("orders", id=1, total=1)])
    assert commanded(loader, "check", events=[GOOD, GONE]).returncode == 0
    done = commanded(loader, "check", events=[TYPO, {"type": "x", "stream": "orders", "changes": ["_sdc_sequence"]}])
    assert done.returncode == 1
    assert done.stdout.count("FAULT") == 2


def test_try_prints_the_events_of_an_input_and_leaves_no_trace(loader: Loader) -> None:
    source = loader.folder / "orders.singer"
    source.write_text(lines([ORDERS, record("orders", id=1, total=50), record("orders", id=1, total=150)]))
    before = set(loader.query(TRIALS))
    done = commanded(loader, "try", "--json", "--input", str(source), events=[GOOD, GONE])
    assert done.returncode == 0, done.stderr
    (event,) = map(json.loads, done.stdout.splitlines())
    assert (event["type"], event["subject"]) == ("order.large", "orders/1")
    assert event["data"]["old"] == {"id": 1, "total": 50}
    assert loader.query(RELATIONS) == [(0,)]
    wait_until(lambda: set(loader.query(TRIALS)) <= before, what="a server without further databases")


def test_try_reports_what_is_wrong_with_an_input_and_leaves_no_trace(loader: Loader) -> None:
    source = loader.folder / "orders.singer"
    source.write_text(lines([ORDERS, "no message"]))
    done = commanded(loader, "try", "--input", str(source), events=[GOOD])
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert loader.query("select to_regnamespace('eventgen')") == [(None,)]
