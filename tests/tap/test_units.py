"""The unit of a key that counts time: what the values themselves say of it, and when they say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError, StateError, WalkError
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.ranges import counted_time, counted_unit
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import plan
from tests.support.walks import LATER, drive

pytestmark = pytest.mark.pure

NOW = 1_767_225_600
"""2026-01-01, in seconds."""
TOKEN = {"type": "cursor", "stable": True}
WALKS: dict[str, dict[str, Any]] = {
    "compound keyset": {"filter": "compound", "tie_breaker": "id"},
    "stable tokens": {},
    "restart keyset": {},
    "single page": {},
    "descending": {"order": "desc", "tie_breaker": "id"},
    "unordered": {"order": "none"},
}
PAGINATORS: dict[str, dict[str, Any]] = {
    "restart keyset": {"type": "page_number"},
    "single page": {"type": "single_page"},
}


def counting(walk: str, epoch: str, **more: Any) -> Plan:
    """The plan of this walk, whose key counts time in this unit."""
    facts = {"cursor_path": "at", "epoch": epoch} | WALKS[walk] | more
    params = {"since": "{cursor.at}"} | ({"after": "{cursor.id}"} if walk == "compound keyset" else {})
    made = plan(params=params, incremental=facts, paginator=PAGINATORS.get(walk, TOKEN))
    assert made.walk.name == walk
    return made


def records(*numbers: Any) -> list[Record]:
    """A record for each number, with ids from 1 on."""
    return [{"id": place, "at": number} for place, number in enumerate(numbers, 1)]


def one_page(made: Plan, listed: list[Record], state: dict[str, Any] | None = None) -> list[Any]:
    """The ids that come out of one page, sorted as the walk expects."""
    falls = made.walk.name == "descending"
    ordered = sorted(listed, key=lambda record: (rank(record["at"]), record["id"]), reverse=falls)

    def answers(ask: PageRequest) -> Page:
        since = None if ask.cursor is None else rank(ask.cursor.value)
        kept = [record for record in ordered if ask.at is None and (since is None or rank(record["at"]) >= since)]
        return Page(kept if ask.cursor is None or made.walk.name != "compound keyset" else [], None, LATER)

    return drive(made, answers, state).ids


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize(
    ("declared", "actual", "said"),
    [
        ("ms", "s", "1970-01-21; it counts seconds: declare epoch: s"),
        ("s", "ms", "the year 57971; it counts milliseconds: declare epoch: ms"),
        ("us", "ms", "1970-01-21; it counts milliseconds: declare epoch: ms"),
    ],
)
def test_values_that_are_times_in_another_unit_than_the_declared_one_stop_each_walk(
    walk: str, declared: str, actual: str, said: str
) -> None:
    count = {"s": 1, "ms": 1000}[actual]
    listed = records(*((NOW + second) * count for second in range(3)))
    with pytest.raises(WalkError, match=rf"a record's at is \d+, which epoch: {declared} makes {said}$"):
        one_page(counting(walk, declared), listed)
    assert sorted(one_page(counting(walk, actual), listed)) == [1, 2, 3]


def test_time_ranges_stop_likewise() -> None:
    made = plan(
        params={"since": "{cursor.at}", "before": "{until.at}"},
        incremental={"cursor_path": "at", "epoch": "ms", "step": "1d", "initial_value": 0},
        paginator=TOKEN,
    )
    sub_walk = stream_walk_for(made, None).next()
    assert sub_walk is not None
    next(sub_walk.steps)
    with pytest.raises(WalkError, match="it counts seconds: declare epoch: s"):
        sub_walk.steps.send(Page(records(NOW, NOW + 1), None, LATER))


def test_instants_do_not_count_time() -> None:
    listed = records("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z")
    with pytest.raises(
        WalkError, match="an instant, and epoch: s says that it counts time since 1970; leave epoch out"
    ):
        one_page(counting("stable tokens", "s"), listed)


@pytest.mark.parametrize(
    ("epoch", "numbers"),
    [
        ("s", (0, 0)),
        ("s", (1, 100_000_000)),
        ("s", (NOW, NOW + 40 * 31_556_952)),
        ("s", (32_503_680_000, 253_402_300_799)),
        ("ms", (0, NOW)),
        ("ms", (NOW, NOW * 1000)),
        ("ms", (-NOW * 1000, 100_000_000_000)),
        ("us", (NOW * 1_000_000, 8_640_000_000_000_000)),
        ("s", (NOW * 1_000_000_000, NOW * 1_000_000_000 + 1)),
        ("ms", (str(NOW * 1000), f"{NOW * 1000}.5")),
    ],
)
def test_old_times_times_to_come_zeros_and_a_record_of_another_unit_are_no_contradiction(
    epoch: str, numbers: tuple[Any, ...]
) -> None:
    assert one_page(counting("stable tokens", epoch), records(*numbers)) == [1, 2]


def test_no_number_is_a_time_of_these_years_in_two_units() -> None:
    assert [counted_unit(NOW * 1000**power) for power in range(4)] == ["s", "ms", "us", None]
    edges = [315_532_799, 315_532_800, 4_102_444_799, 4_102_444_800, 315_532_800_000]
    assert [counted_unit(edge) for edge in edges] == [None, "s", "s", None, "ms"]
    assert [counted_time(NOW, "s"), counted_time(253_402_300_800, "s")] == ["2026-01-01", "the year 10000"]


def test_a_bookmark_or_an_initial_value_so_far_ahead_that_nothing_would_come_is_refused() -> None:
    """A clock in milliseconds that STATE holds goes on asking for what is to come, once `epoch` is corrected."""
    state = {"replication_key": "at", "replication_key_value": NOW * 1000}
    with pytest.raises(
        StateError, match=r"holds 1767225600000, which epoch: s makes the year .*reset this stream's STATE"
    ):
        one_page(counting("unordered", "s"), [], state)
    assert one_page(counting("unordered", "ms"), records(NOW * 1000), state) == [1]
    with pytest.raises(ConfigurationError, match=r"initial_value is the year .* by epoch: s; declare epoch: ms"):
        counting("stable tokens", "s", initial_value=NOW * 1000)
    assert counting("stable tokens", "ms", initial_value=NOW).stream.incremental is not None
