"""A value that its form cuts to a minute, a day or a month stands for all of it: what comes later in it isn't lost."""

from __future__ import annotations

import random
import zoneinfo
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tap_restextract.exchange.paginators import Number, Token
from tap_restextract.exchange.request import request_for
from tap_restextract.plan.bookmarks.state import from_state, to_state
from tap_restextract.plan.plan import Plan, incremental_of
from tap_restextract.plan.ranges import first_shown, past_odd_hour, window
from tap_restextract.values.cursor import rank
from tap_restextract.values.own_forms import coarsest_unit, first_of_unit, instant_of
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import plan

pytestmark = pytest.mark.pure

SINCE = {"since": "{cursor.updated_at}"}
BOTH = SINCE | {"until": "{until.updated_at}"}
STABLE = {"paginator": {"type": "cursor", "stable": True}}
PAGE = 4


def facts(params: dict[str, str], **incremental: Any) -> dict[str, Any]:
    """A stream by updated_at."""
    return {"params": params, "incremental": {"cursor_path": "updated_at", **incremental}}


WALKS = {
    "stable tokens": STABLE | facts(SINCE),
    "restart keyset, exclusive": {"paginator": {"type": "cursor"}} | facts(SINCE, tie_breaker="id", filter="exclusive"),
    "descending": STABLE | facts(SINCE, order="desc", filter="none", tie_breaker="id"),
    "unordered": STABLE | facts(SINCE, order="none"),
    "unordered, a lookback": STABLE | facts(SINCE, order="none", lookback="UNIT"),
    "compound": STABLE | facts(SINCE | {"after": "{cursor.id}"}, filter="compound", tie_breaker="id"),
    "compound, a lookback": STABLE
    | facts(SINCE | {"after": "{cursor.id}"}, filter="compound", tie_breaker="id", lookback="UNIT"),
    "windows": STABLE | facts(BOTH, order="none", step="90m"),
    "windows, exclusive": STABLE | facts(BOTH, order="none", step="50d", filter="exclusive"),
    "windows, a result window": STABLE | facts(BOTH, order="none", max_window_results=60, end="required"),
}
FORMS = {
    "%d.%m.%Y %H:%M": 60,
    "%d %b %Y, %I%p": 3600,
    "%Y%m%d": 86_400,
    "%Y-%m": 2_678_400,
    "%Y": 31_622_400,
    "%Y-%m-%dT%H:%MZ": 60,  # ISO 8601 without seconds, which needs no form
}


@dataclass
class Site:
    """An API that shows, sorts and filters by values in its form, in its zone, and knows no other values.

    Attributes:
        rows: by id, the instant at which it changed last, and its version.
    """

    made: Plan
    form: str
    zone: zoneinfo.ZoneInfo
    clock: int
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def shown(self, instant: int) -> str:
        """An instant as the site writes it."""
        return datetime.fromtimestamp(instant, self.zone).strftime(self.form)

    def place(self, sent: str) -> datetime:
        """Where a value lies."""
        if self.made.stream.incremental and self.made.stream.incremental.cursor_formats:
            return datetime.strptime(sent, self.form)  # noqa: DTZ007  what the site shows
        return datetime.fromtimestamp(int(rank(sent)), self.zone).replace(tzinfo=None)

    def __call__(self, request: PageRequest) -> Page:
        """Answer a page; no end of a range is within what the form shows alike."""
        assert request.until is None or first_shown(incremental_of(self.made), request.until) == request.until
        sent = dict(request_for(self.made.stream, request.cursor, request.until).params)
        incremental = self.made.stream.incremental
        assert incremental is not None
        found = sorted(
            ((self.place(self.shown(at)), key, version) for key, (at, version) in self.rows.items()),
            reverse=incremental.order == "desc",
        )
        if "since" in sent and incremental.filter != "none":
            since, after = self.place(sent["since"]), int(sent.get("after") or -1)
            place = (since, {"compound": after, "exclusive": len(self.rows)}.get(incremental.filter, -1))
            found = [row for row in found if row[:2] > place]
        if "until" in sent:
            found = [row for row in found if row[0] <= self.place(sent["until"])]
        at = request.at
        start = int(at.value) if isinstance(at, Token) else PAGE * at.page if isinstance(at, Number) else 0
        more = Token(str(start + PAGE)) if start + PAGE < len(found) else None
        return Page([self._record(*row) for row in found[start : start + PAGE]], more, float(self.clock))

    def _record(self, place: datetime, key: int, version: int) -> Record:
        value = place.strftime(self.form)
        forms = self.made.stream.incremental.cursor_formats if self.made.stream.incremental else []
        return {"id": key, "updated_at": instant_of(value, forms) if forms else value, "version": version}

    def read(self, state: dict[str, Any], emitted: set[tuple[int, int]]) -> tuple[dict[str, Any], int]:
        """One run: STATE at its end, and how many records came."""
        now = datetime.fromtimestamp(self.clock, zoneinfo.ZoneInfo("UTC")).isoformat()
        walk, count, asked = stream_walk_for(self.made, from_state(self.made, state), now=now), 0, 0
        while (sub_walk := walk.next()) is not None:
            step = next(sub_walk.steps)
            while True:
                emitted |= {(record["id"], record["version"]) for record in step.records}
                count += len(step.records)
                bookmark = walk.translate(sub_walk, step).bookmark
                state = state if bookmark is None else to_state(self.made, bookmark)
                if step.request is None:
                    break
                asked += 1
                assert asked < 999, "the walk asks without end"
                step = sub_walk.steps.send(self(step.request))
        return state, count


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("walk", WALKS)
def test_what_changes_later_in_what_a_value_stands_for_is_not_lost(walk: str, form: str) -> None:
    """A bookmark of 10:37:30 passed over what changed at 10:37:45, which is written 10:37."""
    unit, is_iso, rng = FORMS[form], form.endswith("Z"), random.Random(5)
    # Two hours before the clocks of Havana are set back, at midnight.
    zone, clock = "UTC" if is_iso else "America/Havana", int(rank("2026-11-01T03:00:00Z"))
    site = Site(plan(), form, zoneinfo.ZoneInfo(zone), clock)
    keys = {**WALKS[walk]}
    incremental: dict[str, Any] = keys["incremental"] | {"timezone": zone}
    incremental |= {} if is_iso else {"cursor_formats": [form]}
    incremental |= {"lookback": f"{3 * unit // 2}s"} if "lookback" in incremental else {}
    if "until" in keys["params"]:
        incremental["initial_value"] = site.shown(site.clock - 3 * unit)
    site.made = plan(**keys | {"incremental": incremental})
    state: dict[str, Any] = {}
    emitted: set[tuple[int, int]] = set()
    for version in range(40):
        site.clock += rng.randrange(1, max(unit // 5, 2))
        site.rows[rng.randrange(12)] = (site.clock, version)
        if not rng.randrange(4):
            site.clock += 2
            state, _ = site.read(state, emitted)
    for _ in range(2):
        site.clock += 3 * unit + 7200
        state, _ = site.read(state, emitted)
    assert {(key, version) for key, (_, version) in site.rows.items()} <= emitted
    assert site.read(state, emitted)[1] == 0


@pytest.mark.parametrize(
    ("unit", "value", "first"),
    [
        ("1m", "2026-11-24T10:37:30Z", "2026-11-24T10:37:00Z"),
        ("1h", "2026-11-24T10:37:30+05:30", "2026-11-24T10:00:00+05:30"),
        ("1d", "2026-11-24T02:00:00+05:30", "2026-11-24T00:00:00+05:30"),
        ("31d", "2026-11-24", "2026-11-01"),
        ("31d", "2026-03-01T00:00:00", "2026-03-01"),
        ("1d", "2026-03-02T10:30:00", "2026-03-02"),
        ("366d", "1969-12-31T23:59:59.5Z", "1969-01-01T00:00:00.0Z"),
    ],
)
def test_a_unit_begins_by_the_clock_that_the_value_is_written_by(unit: str, value: str, first: str) -> None:
    assert first_of_unit(value, unit) == first


def test_the_coarsest_of_several_forms_counts() -> None:
    assert coarsest_unit(("rfc2822",)) == "1s"
    assert coarsest_unit(("dotnet", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f")) == "1m"


def test_a_day_is_one_value_whatever_its_clocks_do_and_an_end_that_is_a_day_stays_one() -> None:
    """In Havana, midnight comes twice on the first of November."""
    zone = {"order": "none", "timezone": "America/Havana"}
    days = incremental_of(plan(**facts(SINCE, cursor_formats=["%Y%m%d"], **zone)))
    assert window(days, "2026-11-01") == past_odd_hour(days, "2026-11-01") == "2026-11-01"
    times = incremental_of(plan(**facts(SINCE, **zone)))
    assert (window(times, "2026-11-01"), past_odd_hour(times, "2026-11-01")) == ("2026-10-31", "2026-11-02")


@pytest.mark.parametrize("months", [2, 3, 7])
def test_ranges_over_months_are_halved_between_any_two_of_them(months: int) -> None:
    made = plan(
        **STABLE
        | facts(
            BOTH,
            order="none",
            cursor_formats=["%Y-%m"],
            max_window_results=2 * PAGE,
            end="required",
            timezone="UTC",
            initial_value="2026-01",
        )
    )
    site = Site(made, "%Y-%m", zoneinfo.ZoneInfo("UTC"), clock=int(rank(f"2026-{months + 1:02}-02T00:00:00Z")))
    for key in range(3 * months + 3):
        site.rows[key] = (int(rank(f"2026-{key // 3 + 1:02}-15T00:00:00Z")), key)
    emitted: set[tuple[int, int]] = set()
    site.read({}, emitted)
    assert {key for key, _ in emitted} == {*range(3 * months)}  # what the current month has comes once it is over


def test_a_first_value_within_a_minute_begins_with_all_of_it() -> None:
    made = plan(
        **STABLE
        | facts(
            SINCE | {"after": "{cursor.id}"},
            filter="compound",
            tie_breaker="id",
            cursor_formats=["%d.%m.%Y %H:%M"],
            timezone="UTC",
            initial_value="2026-11-24T10:37:30",
        )
    )
    site = Site(made, "%d.%m.%Y %H:%M", zoneinfo.ZoneInfo("UTC"), clock=int(rank("2026-11-24T12:00:00Z")))
    site.rows = {1: (int(rank("2026-11-24T10:36:59Z")), 1), 2: (int(rank("2026-11-24T10:37:45Z")), 2)}
    emitted: set[tuple[int, int]] = set()
    site.read({}, emitted)
    assert emitted == {(2, 2)}
