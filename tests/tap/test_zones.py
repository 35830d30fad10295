"""Instants without an offset: no clock decides about them unless their zone is declared, and no local hour is lost."""

from __future__ import annotations

import random
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import ConfigurationError, WalkError
from tap_restextract.exchange.paginators import Number, Token
from tap_restextract.exchange.placeholders import fill
from tap_restextract.exchange.request import request_for
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.values.cursor import Cursor, rank
from tap_restextract.values.zones import instant_rank, local_rank, odd_hour, settled_rank
from tap_restextract.walks.steps import Page, PageRequest, Step
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import config, plan, stream
from tests.support.walks import LATER, Read, drive, pages, run_once

pytestmark = pytest.mark.pure

LA = "America/Los_Angeles"
SINCE = {"since": "{cursor.updated_at}"}
BOTH = SINCE | {"until": "{until.updated_at}"}
STABLE = {"paginator": {"type": "cursor", "stable": True}}
NUMBERED = {"paginator": {"type": "page_number"}}


def facts(params: dict[str, str] | None = None, **incremental: Any) -> dict[str, Any]:
    """A stream by updated_at."""
    return {"params": params or SINCE, "incremental": {"cursor_path": "updated_at", **incremental}}


def second(text: str) -> int:
    """The rank of a local time, or of an instant."""
    return int(rank(text))


@pytest.mark.parametrize(
    ("name", "local", "odd"),
    [
        (LA, "2026-11-01T01:30:00", ("2026-11-01T01:00:00", "2026-11-01T02:00:00", True)),
        (LA, "2026-11-01T00:59:59", None),
        (LA, "2026-11-01T02:00:00", None),
        (LA, "2026-03-08T02:30:00", ("2026-03-08T02:00:00", "2026-03-08T03:00:00", False)),
        ("Australia/Lord_Howe", "2026-04-05T01:45:00", ("2026-04-05T01:30:00", "2026-04-05T02:00:00", True)),
        ("Pacific/Apia", "2011-12-30T12:00:00", ("2011-12-30T00:00:00", "2011-12-31T00:00:00", False)),
        ("UTC", "2026-11-01T01:30:00", None),
    ],
)
def test_hours_that_come_twice_or_not_at_all_are_known_by_their_first_and_last_second(
    name: str, local: str, odd: tuple[str, str, bool] | None
) -> None:
    expected = None if odd is None else (second(odd[0]), second(odd[1]), odd[2])
    assert odd_hour(name, second(local)) == expected


@pytest.mark.parametrize(
    ("clock", "settled"),
    [
        ("2026-11-01T07:30:00Z", "2026-11-01T00:30:00"),  # half past midnight
        ("2026-11-01T08:30:00Z", "2026-11-01T00:59:59"),  # half past one, which comes again
        ("2026-11-01T09:30:00Z", "2026-11-01T00:59:59"),  # half past one, again
        ("2026-11-01T10:00:00Z", "2026-11-01T02:00:00"),
        ("2026-03-08T10:00:00Z", "2026-03-08T03:00:00"),
        ("2026-07-01T12:00:00Z", "2026-07-01T05:00:00"),
    ],
)
def test_nothing_in_an_hour_that_comes_again_is_settled_before_it_has(clock: str, settled: str) -> None:
    assert settled_rank(LA, second(clock)) == second(settled)


def test_a_local_time_that_is_two_instants_is_the_earlier_or_the_later_one_as_needed() -> None:
    half = second("2026-11-01T01:30:00")
    assert instant_rank(LA, half) == second("2026-11-01T08:30:00Z")
    assert instant_rank(LA, half, latest=True) == second("2026-11-01T09:30:00Z")
    assert local_rank(LA, second("2026-11-01T08:30:00Z")) == half == local_rank(LA, second("2026-11-01T09:30:00Z"))


NAIVE = {"id": 1, "updated_at": "2026-01-01T09:00:00"}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (facts(order="none"), "the walk's bookmark is the server's clock"),
        (facts(BOTH, step="7d", initial_value="2026-01-01T00:00:00"), "the walk's bookmark is the server's clock"),
        (facts(lag="1h"), "the lag is measured by the server's clock"),
        (facts(lookback="1h", order="desc"), "the lookback is measured by the server's clock"),
    ],
)
@pytest.mark.parametrize("value", ["2026-01-01T09:00:00", "2026-01-01"])
def test_a_local_time_without_a_declared_zone_is_refused_where_a_clock_decides(
    keys: dict[str, Any], reason: str, value: str
) -> None:
    made = plan(**STABLE, **keys)
    with pytest.raises(WalkError) as refused:
        run(made, lambda _: Page([{**NAIVE, "updated_at": value}], None, LATER), {})
    assert f"updated_at {value!r} has no offset from UTC, and {reason}" in str(refused.value)
    assert "declare timezone: UTC in incremental where the API writes UTC, or else its zone" in str(refused.value)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_local_time_that_no_clock_decides_about_is_read_with_a_warning(order: str) -> None:
    steps = noticed(plan(**STABLE, **facts(order=order)), [NAIVE, NAIVE])
    assert [len(step.notices) for step in steps if step.notices] == [1]
    assert "declare timezone: UTC" in next(step for step in steps if step.notices).notices[0]
    for zone in ("UTC", LA):
        assert not any(step.notices for step in noticed(plan(**STABLE, **facts(order=order, timezone=zone)), [NAIVE]))
    zoned = {**NAIVE, "updated_at": "2026-01-01T09:00:00Z"}
    assert not any(step.notices for step in noticed(plan(**STABLE, **facts(order=order)), [zoned]))


def test_values_with_and_without_an_offset_do_not_meet_on_any_page() -> None:
    """The first record of the first page had an offset, and nobody looked at the others."""
    zoned: dict[str, Any] = {"id": 2, "updated_at": "2026-01-01T08:00:00Z"}
    zones: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "'2026-01-01T09:00:00' has no offset from UTC, and the walk's"),
        ({"timezone": LA}, "one"),
    )
    for zone, said in zones:
        for script in (
            [Page([zoned, NAIVE], None, LATER)],
            [Page([zoned], Token("b"), LATER), Page([NAIVE], None, LATER)],
        ):
            with pytest.raises(WalkError) as refused:
                drive(plan(**STABLE, **facts(order="none", **zone)), pages(*script))
            assert said in str(refused.value)
            assert ("have no order in a zone whose clocks change" in str(refused.value)) == bool(zone)
    in_utc = plan(**STABLE, **facts(order="none", timezone="UTC"))
    assert drive(in_utc, pages(Page([zoned, NAIVE], None, LATER))).ids == [2, 1]
    mixed = noticed(plan(**STABLE, **facts()), [zoned, NAIVE])
    assert sum("declare timezone: UTC" in notice for step in mixed for notice in step.notices) == 1


@pytest.mark.parametrize(
    ("initial", "said"),
    [("2026-01-01T00:00:00", 1), ("2026-01-01T00:00:00Z", 0), ("2026-01-01T02:00:00+02:00", 0), ("2026-01-01", 0)],
)
def test_an_initial_time_without_the_offset_that_values_have_is_told(initial: str, said: int) -> None:
    """Meltano drops the offset of a time in meltano.yml that has no quotes."""
    zoned = {**NAIVE, "updated_at": "2026-01-01T09:00:00Z"}
    steps = noticed(plan(**STABLE, **facts(initial_value=initial)), [zoned, zoned])
    assert [("in quotes in YAML" in notice) for step in steps for notice in step.notices] == [True] * said


def test_a_bookmark_without_the_offset_that_values_have_now_is_told_as_one_of_state() -> None:
    made = plan(**STABLE, **facts(initial_value="2025-01-01T00:00:00Z"))
    zoned = {**NAIVE, "updated_at": "2026-01-01T09:00:00Z"}
    steps = noticed(made, [zoned], CursorBookmark(Cursor("2026-01-01T08:00:00")))
    (notice,) = [notice for step in steps for notice in step.notices]
    assert "from '2026-01-01T08:00:00', which has no offset" in notice
    assert "reset this stream's STATE" in notice
    assert "initial_value" not in notice


def noticed(made: Plan, records: list[dict[str, Any]], bookmark: CursorBookmark | None = None) -> list[Step]:
    """The steps of a walk of one page."""
    sub_walk = stream_walk_for(made, bookmark).next()
    assert sub_walk is not None
    steps = [next(sub_walk.steps)]
    while steps[-1].request is not None:
        steps.append(sub_walk.steps.send(Page(records, None, LATER)))
    return steps


def test_values_with_and_without_an_offset_do_not_meet_in_a_zone() -> None:
    made = plan(**STABLE, **facts(order="none", timezone=LA, initial_value="2026-01-01T00:00:00Z"))
    with pytest.raises(WalkError, match="which has no offset; write initial_value as the API writes its values"):
        drive(made, pages(Page([NAIVE], None, LATER)))
    in_utc = plan(**STABLE, **facts(order="none", timezone="UTC", initial_value="2026-01-01T00:00:00Z"))
    assert drive(in_utc, pages(Page([NAIVE], None, LATER)), read=Read()).ids == [1]


def test_an_unordered_list_is_asked_for_by_the_clock_of_its_own_zone() -> None:
    """Row 4, F4: the bookmark was eight hours ahead, and what changed in them never came."""
    made = plan(**STABLE, **facts(order="none", timezone=LA))
    clock = datetime(2026, 11, 27, 6, 0, tzinfo=timezone.utc).timestamp()
    read = drive(made, pages(Page([{"id": 1, "updated_at": "2026-11-26T20:00:00"}], None, clock)))
    assert read.state["replication_key_value"] == "2026-11-26T22:00:00"
    later = {"id": 2, "updated_at": "2026-11-26T23:00:00"}
    again = drive(made, pages(Page([later], None, clock + 7200)), read.state)
    assert again.asks[0].cursor == Cursor("2026-11-26T22:00:00")
    assert again.ids == [2]


@dataclass
class Site:
    """An API that knows instants, and shows, sorts and filters by the clocks of its zone.

    Attributes:
        reads: how it takes a local time that came twice: the first one, the last one, or by its letters (text).
    """

    order: str
    reads: str
    name: str
    clock: int = 0
    rows: list[tuple[int, int]] = field(default_factory=list)
    page: int = 4

    def shown(self, instant: int) -> str:
        """An instant as the site writes it."""
        wall = datetime.fromtimestamp(instant, zoneinfo.ZoneInfo(self.name))
        return wall.replace(tzinfo=None).isoformat()

    def place(self, local: str) -> Any:
        """Where a local time lies for the filter."""
        if self.reads == "text":
            return local
        return int(instant_rank(self.name, rank(local), latest=self.reads == "last"))

    def own_place(self, instant: int) -> Any:
        """Where a row lies for the filter, and in the order."""
        return self.shown(instant) if self.reads == "text" else instant

    def __call__(self, request: PageRequest) -> Page:
        """Answer a page."""
        found = sorted(self.rows, key=lambda row: (self.own_place(row[1]), row[0]), reverse=self.order == "desc")
        if request.cursor is not None:
            found = [row for row in found if self.own_place(row[1]) >= self.place(request.cursor.value)]
        if request.until is not None:
            found = [row for row in found if self.own_place(row[1]) <= self.place(request.until)]
        at = request.at
        start = int(at.value) if isinstance(at, Token) else self.page * at.page if isinstance(at, Number) else 0
        rows = found[start : start + self.page]
        more = Token(str(start + self.page)) if start + self.page < len(found) else None
        return Page([{"id": key, "updated_at": self.shown(at)} for key, at in rows], more, float(self.clock))


def run(made: Plan, answers: Callable[[PageRequest], Page], state: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    """One run: the ids that came out, and STATE at its end."""
    now = datetime.fromtimestamp(getattr(answers, "clock", LATER), timezone.utc).isoformat()
    return run_once(made, answers, state, now=now, most=1999)


CHANGES = {
    LA: ("2026-11-01T05:00:00Z", "2026-03-08T06:00:00Z"),
    "Europe/Berlin": ("2026-10-24T21:00:00Z", "2026-03-28T21:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T11:00:00Z", "2026-10-03T11:00:00Z"),
}
WALKS = {
    "stable tokens": STABLE | facts(),
    "restart keyset": {"paginator": {"type": "cursor"}} | facts(),
    "restart keyset, exclusive": {"paginator": {"type": "cursor"}} | facts(filter="exclusive"),
    "descending": STABLE | facts(order="desc", filter="none", tie_breaker="id"),
    "unordered": STABLE | facts(order="none"),
    "unordered, a lookback": STABLE | facts(order="none", lookback="90m"),
    "windows": STABLE | facts(BOTH, order="none", step="40m"),
    "windows, a result window": STABLE | facts(BOTH, order="none", max_window_results=60, end="required"),
}


@pytest.mark.parametrize("reads", ["first", "last", "text"])
@pytest.mark.parametrize("walk", WALKS)
def test_no_record_of_a_repeated_or_skipped_hour_is_lost(walk: str, reads: str) -> None:
    """Row 4c: what came in the second of two hours from one to two was behind the bookmark."""
    for seed, (name, start) in enumerate((name, start) for name, starts in CHANGES.items() for start in starts):
        rng = random.Random(seed)
        keys = {**WALKS[walk]}
        site = Site(keys["incremental"].get("order", "asc"), reads, name, clock=second(start))
        keys["incremental"] = keys["incremental"] | {"timezone": name}
        if "until" in keys["params"]:
            keys["incremental"] |= {"initial_value": site.shown(second(start) - 3600)}
        made = plan(**keys)
        state: dict[str, Any] = {}
        emitted: set[int] = set()
        for _ in range(14):
            for _ in range(rng.randrange(12)):
                site.clock += rng.randrange(1, 400)
                site.rows.append((len(site.rows), site.clock))
            site.clock += 2
            ids, state = run(made, site, state)
            emitted |= {*ids}
            # What is of the last second, or ahead of what is settled, may come in the next run.
            due = {key for key, at in site.rows if keys["incremental"].get("end") != "required"}
            assert due <= emitted, (name, walk, reads, due - emitted)
        site.clock += timedelta(hours=4) // timedelta(seconds=1)
        site.rows.append((len(site.rows), site.clock - 60))
        ids, _ = run(made, site, state)
        assert emitted | {*ids} == {key for key, _ in site.rows}, (name, walk, reads)
        assert {*run(made, site, {})[0]} == {key for key, _ in site.rows}


@pytest.mark.parametrize(
    ("form", "value", "sent"),
    [
        ("%Y-%m-%d %H:%M", "2026-07-01T12:00:00Z", "2026-07-01 05:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "2026-07-01T12:00:00Z", "2026-07-01T05:00:00-0700"),
        ("iso", "2026-07-01T05:00:00", "2026-07-01T12:00:00Z"),
        ("unix", "2026-07-01T05:00:00", second("2026-07-01T12:00:00Z")),
        ("%H:%M:%S", "2026-11-01T09:30:00Z", "00:59:59"),
        ("%H:%M:%S", "2026-07-01T05:00:00", "05:00:00"),
    ],
)
def test_a_placeholder_is_written_in_the_declared_zone(form: str, value: str, sent: Any) -> None:
    assert fill(f"{{cursor.at:{form}}}", {"cursor.at": value}, LA) == sent


def test_a_range_ends_behind_an_hour_that_comes_twice() -> None:
    assert fill("{until.at:%H:%M:%S}", {"until.at": "2026-11-01T08:30:00Z"}, LA) == "02:00:00"
    made = stream(**facts({"since": "{cursor.updated_at:%H:%M}"}, timezone=LA))
    assert request_for(made, Cursor("2026-07-01T12:00:00Z")).params == (("since", "05:00"),)


def test_children_in_a_zone_need_an_initial_value_which_shows_how_values_are_written() -> None:
    child: dict[str, Any] = {"name": "lines", "path": "/{parent.things.id}/lines", "primary_key": ["id"]}
    keys: dict[str, Any] = config()["streams"][0]
    given: list[dict[str, Any]] = [{}, {"initial_value": "2026-01-01T00:00:00"}]
    for more, refused in zip(given, (True, False), strict=True):
        streams: list[dict[str, Any]] = [keys, {**child, **facts(timezone=LA, **more), "schema": keys["schema"]}]
        settings = read_settings({"base_url": "https://api.example.com", "streams": streams})
        if refused:
            with pytest.raises(ConfigurationError, match="timezone needs initial_value"):
                plans_for(settings)
        else:
            assert len(plans_for(settings)) == 2


def test_a_zone_that_is_none_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'America/Los_Angeles'"):
        read_settings(config(**facts(timezone="America/Los_Angles")))
    for odd in ("/etc/passwd", "..", ""):
        with pytest.raises(ConfigurationError, match="is no name of the IANA database"):
            read_settings(config(**facts(timezone=odd)))
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ConfigurationError, match="pip install tzdata"):
        read_settings(config(**facts(timezone="Nowhere/Known")))
