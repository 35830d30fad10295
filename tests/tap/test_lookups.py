"""Lookups are believed where they find a record that is listed: a wrong one reports no record as deleted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import NoAnswerError, WalkError
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.runs import Came, Runs
from tests.support.streams import COMPOUND, config

LOOKED_UP = {"path": "/things/{key.id}"}
WRONG = {"path": "/thing/{key.id}"}
PAGED: dict[str, Any] = {"paginator": {"type": "page_number"}}
SWEEP: dict[str, Any] = {**PAGED, "sweep": True, "max_attempts": 1}
AT_AN_INTERVAL: dict[str, Any] = {**PAGED, **COMPOUND, "sweep_every": "1h", "max_attempts": 1}
KINDS = pytest.mark.parametrize("keys", [SWEEP, AT_AN_INTERVAL], ids=["sweep", "at an interval"])
TIME = "2026-01-01T00:00:0{}Z"


class Things:
    """Two records a page, and each by its id; some are in no page.

    Attributes:
        hidden: ids that are in no page.
        looked_up: the paths of the lookups, in order.
        most: requests that are answered, before all are refused; None for all.
        meanwhile: is called before each lookup is answered.
    """

    def __init__(self, count: int = 6) -> None:
        self.held = {key: {"id": key, "updated_at": TIME.format(key)} for key in range(count)}
        self.hidden: set[int] = set()
        self.looked_up: list[str] = []
        self.listed: list[int] = []
        self.most: int | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, asked: Asked) -> Reply:
        if self.most is not None:
            self.most -= 1
            if self.most < 0:
                return Reply({}, status=503)
        if asked.path == "/things":
            self.listed.append(int(asked.params["page"]))
            return Reply(self.page(int(asked.params["page"]), asked.params))
        self.looked_up.append(asked.path)
        self.meanwhile()
        record = self.held.get(int(asked.path.rpartition("/")[2])) if asked.path.startswith("/things/") else None
        return Reply({"message": "there is none"}, status=404) if record is None else Reply(record)

    def page(self, number: int, params: dict[str, str]) -> list[dict[str, Any]]:
        since = params.get("since", ""), int(params.get("after", -1))
        rows = [row for key, row in self.held.items() if key not in self.hidden and (row["updated_at"], key) > since]
        return rows[2 * number : 2 * number + 2]


def run(runs: Runs, hour: int, came: Came | None = None) -> Came:
    return runs.run(now=f"2026-01-01T{hour:02}:00:00Z", came=came)


def deleted(came: Iterable[Came]) -> list[int]:
    return [record["id"] for each in came for record in each.records if "_sdc_deleted_at" in record]


@pytest.mark.in_process
@KINDS
def test_a_lookup_that_finds_no_listed_record_either_is_an_error_and_no_deletion(keys: dict[str, Any]) -> None:
    things, came = Things(), Came()
    with serving(things) as api, Runs(config(api.url, **keys, lookup=WRONG)) as runs:
        run(runs, 1)
        before = runs.state
        things.hidden.add(3)  # in no page, as a record that moved while the list was read
        with pytest.raises(WalkError) as caught:
            run(runs, 3, came)
        assert str(caught.value).partition("): ")[2] == (
            f"the list holds records, before and afterwards, that the lookup doesn't find (GET {api.url}/thing/0, GET {api.url}/thing/1; "
            "records: $), so that what a sweep misses would be taken for deleted; correct lookup.path, lookup.params or lookup.records, or "
            "leave out lookup"
        )
    assert deleted([came]) == []
    if keys is SWEEP:
        assert runs.state == before
    assert things.looked_up == ["/thing/3", *["/thing/0", "/thing/1"] * 2]


@pytest.mark.in_process
@KINDS
def test_one_listed_record_is_looked_up_before_the_first_deletion_of_a_run(keys: dict[str, Any]) -> None:
    things = Things()
    with serving(things) as api, Runs(config(api.url, **keys, lookup=LOOKED_UP)) as runs:
        run(runs, 1)
        del things.held[3], things.held[4]
        assert deleted([run(runs, 3)]) == [3, 4]
        assert things.looked_up == ["/things/3", "/things/0", "/things/4"]
        assert run(runs, 5).records == []
        assert len(things.looked_up) == 3


@pytest.mark.in_process
def test_where_a_lookup_found_a_record_or_nothing_is_missing_no_other_one_is_looked_up() -> None:
    things = Things()
    with serving(things) as api, Runs(config(api.url, **SWEEP, lookup=LOOKED_UP)) as runs:
        run(runs, 1)
        things.hidden.add(2)
        del things.held[3]
        assert deleted([run(runs, 3)]) == [3]
    assert things.looked_up == ["/things/2", "/things/3"]


@pytest.mark.in_process
def test_a_listed_record_that_is_deleted_meanwhile_is_no_contradiction() -> None:
    things = Things()
    with serving(things) as api, Runs(config(api.url, **SWEEP, lookup=LOOKED_UP)) as runs:
        run(runs, 1)
        del things.held[3]
        things.meanwhile = lambda: things.held.pop(0, None)
        second = run(runs, 3)
        assert things.looked_up == ["/things/3", "/things/0", "/things/1"]
        assert deleted([second, run(runs, 5)]) == [3, 0]


@pytest.mark.in_process
def test_records_that_are_all_deleted_while_they_are_looked_up_are_reported_by_the_next_sweep() -> None:
    things = Things()
    with serving(things) as api, Runs(config(api.url, **SWEEP, lookup=LOOKED_UP)) as runs:
        run(runs, 1)
        del things.held[5]
        things.meanwhile = lambda: [things.held.pop(key, None) for key in (0, 1)]
        second = run(runs, 3)
        # The page has others now, and these are found.
        assert deleted([second]) == [5]
        assert things.looked_up[-3:] == ["/things/0", "/things/1", "/things/2"]
        things.meanwhile = things.held.clear
        things.held[7] = {"id": 7, "updated_at": TIME.format(7)}
        del things.held[4]
        third = run(runs, 5)
        assert deleted([third]) == []
        things.held[8] = {"id": 8, "updated_at": TIME.format(8)}
        things.meanwhile = lambda: None
        assert sorted(deleted([run(runs, 7)])) == [0, 1, 2, 3, 4, 7]


@pytest.mark.in_process
def test_a_record_that_comes_back_as_another_one_is_no_contradiction() -> None:
    """It is gone each time that it is looked up, and listed with another content each time."""
    contents, held = itertools.count(), {0, 1}

    def answers(asked: Asked) -> Reply:
        if asked.path != "/things":
            return Reply(status=404)
        return Reply(
            [{"id": key, "rev": next(contents)} for key in sorted(held)] if asked.params["page"] == "0" else []
        )

    with serving(answers) as api, Runs(config(api.url, **SWEEP, lookup=LOOKED_UP)) as runs:
        assert [record["id"] for record in run(runs, 1).records] == [0, 1]
        held.remove(1)
        before = len(api.asked)
        assert deleted([run(runs, 3)]) == []
        assert len(api.asked) - before < 20


@pytest.mark.in_process
@KINDS
@pytest.mark.parametrize("most", range(9))
def test_a_run_that_dies_between_lookups_reports_the_deletion_when_it_goes_on(keys: dict[str, Any], most: int) -> None:
    """What died is a run whose `most`th request was the last one that was answered."""
    things, died, after = Things(), Came(), Came()
    with serving(things) as api, Runs(config(api.url, **keys, lookup=LOOKED_UP)) as runs:
        run(runs, 1)
        del things.held[3]
        things.hidden.add(4)
        things.most = most
        try:
            run(runs, 3, died)
        except NoAnswerError:
            assert deleted([died]) == []
        things.most = None
        run(runs, 5, after)
        assert deleted([died, after]) == [3]


def test_a_wrong_lookup_is_the_same_error_each_run_until_it_is_corrected(tmp_path: Path) -> None:
    things = Things()
    with serving(things) as api:
        keys = {**SWEEP, "hash_cache": str(tmp_path / "hashes.db")}
        first = tap(tmp_path, config(api.url, **keys, lookup=WRONG))
        things.hidden.add(1)
        del things.held[3]
        state = first.states[-1]
        for _ in range(2):
            failed = tap(tmp_path, config(api.url, **keys, lookup=WRONG), state=state)
            assert failed.code == 1
            assert [line for line in failed.told if "correct lookup.path" in line] == failed.told
            assert failed.records == []
            state = {**state, **(failed.states[-1] if failed.states else {})}
        right = tap(tmp_path, config(api.url, **keys, lookup=LOOKED_UP), state=state)
        assert [record["id"] for record in right.records] == [3]
        assert right.records[0]["_sdc_deleted_at"]


def test_a_lookup_that_can_not_be_judged_reports_nothing_and_says_so(tmp_path: Path) -> None:
    things = Things(3)
    with serving(things) as api:
        configured = config(api.url, **SWEEP, lookup=LOOKED_UP, hash_cache=str(tmp_path / "hashes.db"))
        first = tap(tmp_path, configured)
        del things.held[2]
        things.meanwhile = things.held.clear
        second = tap(tmp_path, configured, state=first.states[-1])
        assert second.records == []
        assert (
            "1 records were in no page of this sweep; their deletion is not reported: no lookup of this run"
            in second.err
        )
        third = tap(tmp_path, configured, state=second.states[-1])
        assert [record["id"] for record in third.records] == [0, 1, 2]
