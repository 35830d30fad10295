"""Bookmarks: what STATE keeps, and that a STATE of another walk or another tap loses nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.errors import StateError
from tap_restextract.exchange.request import request_for
from tap_restextract.plan.bookmarks.children import ChildrenBookmark
from tap_restextract.plan.bookmarks.cursors import (
    MAX_BOUNDARY_HASHES,
    CursorBookmark,
    DescendingBookmark,
    EmittedRange,
    KeysetBookmark,
)
from tap_restextract.plan.bookmarks.feeds import FeedBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark, Sweep
from tap_restextract.plan.bookmarks.state import checkpointed, from_state, to_state
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark, SweepBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan
from tests.support.walks import run_once

pytestmark = pytest.mark.pure

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
FALLING: dict[str, Any] = {"incremental": {"cursor_path": "updated_at", "order": "desc", "filter": "none"}}
SWEPT: dict[str, Any] = {**COMPOUND, "sweep_every": "P1D"}
OF_PARENTS: dict[str, Any] = {**COMPOUND, "path": "/parents/{parent.parents.id}/things"}
EVENTS: dict[str, Any] = {**UNIQUE, "path": "/events", "types": ["thing.*"]}
FEED: dict[str, Any] = {"feed": EVENTS}


@pytest.mark.parametrize(
    ("keys", "bookmark"),
    [
        (COMPOUND, KeysetBookmark(Cursor(NOON, 42))),
        (COMPOUND, KeysetBookmark(Cursor(NOON, "a"), frozenset({"x"}))),
        (UNIQUE, KeysetBookmark(Cursor(7))),
        (INCLUSIVE, CursorBookmark(Cursor(NOON), frozenset({"a", "b"}))),
        (INCLUSIVE, CursorBookmark(Cursor(1767225600))),
        (FALLING, DescendingBookmark(Cursor(NOON), emitted_range=EmittedRange(LATER, NOON))),
        (FALLING, DescendingBookmark(None, emitted_range=EmittedRange(LATER, NOON))),
        ({"sweep": True}, SweepBookmark(Sweep(4, "cache"))),
        (SWEPT, CombinedBookmark(KeysetBookmark(Cursor(NOON, 42)), Sweep(4, "cache", LATER))),
        (SWEPT, CombinedBookmark(KeysetBookmark(None), Sweep(4, "cache"), Sweep(5, "nulls", NOON))),
        (FEED, FeedBookmark(KeysetBookmark(Cursor(7)), NOON)),
        (FEED, FeedBookmark(KeysetBookmark(None), NOON, is_listed=False)),
        (OF_PARENTS, ChildrenBookmark(NOON, {"[1]": KeysetBookmark(Cursor(LATER, 42))}, Sweep(4, "cache"))),
        (OF_PARENTS, ChildrenBookmark()),
        (INCLUSIVE, CursorBookmark(Cursor(Decimal("1700000000.123456799")))),
        (INCLUSIVE, CursorBookmark(Cursor("1700000000.123456799"))),
        (COMPOUND, KeysetBookmark(Cursor(Decimal("1.10"), 42))),
        (COMPOUND, KeysetBookmark(Cursor("1.10", "1.5"))),
        (FALLING, DescendingBookmark(Cursor(Decimal("0.1")), emitted_range=EmittedRange(Decimal("0.3"), 0))),
        (OF_PARENTS, ChildrenBookmark(Decimal("0.1"), {"[1]": KeysetBookmark(Cursor(Decimal("0.2"), 42))})),
    ],
)
def test_a_bookmark_survives_state_as_json(keys: dict[str, Any], bookmark: Bookmark) -> None:
    made = plan(**keys)
    assert from_state(made, json.loads(json.dumps(to_state(made, bookmark)))) == bookmark


def test_state_has_the_standard_singer_keys_that_people_and_meltano_read() -> None:
    state = to_state(plan(**COMPOUND), KeysetBookmark(Cursor(NOON, 42)))
    assert state["replication_key"] == "updated_at"
    assert state["replication_key_value"] == NOON
    assert state["cursor"] == {"updated_at": NOON, "id": 42}


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (COMPOUND, KeysetBookmark),
        (INCLUSIVE, CursorBookmark),
        ({**INCLUSIVE, "paginator": {"type": "page_number"}}, CursorBookmark),
    ],
)
def test_a_state_of_another_tap_degrades_to_its_value(keys: dict[str, Any], kind: type[CursorBookmark]) -> None:
    state = {"replication_key": "updated_at", "replication_key_value": NOON, "starting_replication_value": "x"}
    assert from_state(plan(**keys), state) == kind(Cursor(NOON))


def test_state_has_of_a_wide_tie_as_many_hashes_as_it_has_room_for() -> None:
    wide = frozenset(content_hash({"id": number}) for number in range(50_000))
    state = to_state(plan(**INCLUSIVE), CursorBookmark(Cursor(NOON), wide))
    assert len(json.dumps(state)) < 64 * 1024
    assert len(state["boundary"]) == MAX_BOUNDARY_HASHES
    assert set(state["boundary"]) <= wide


DAYS: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "until": "{until.updated_at}"},
    "incremental": {
        "cursor_path": "updated_at",
        "order": "none",
        "filter": "exclusive",
        "step": "7d",
        "cursor_formats": ["%Y%m%d"],
        "timezone": "UTC",
        "initial_value": 20261001,
    },
}


def test_a_state_that_is_older_than_cursor_formats_goes_on_as_an_instant() -> None:
    """A range from 20261124 on took 2,900 requests, and ended in 1795852800, after which the API has no day."""
    made = plan(**DAYS)
    asked = []

    def answers(request: PageRequest) -> Page:
        asked.append(request_for(made.stream, request.cursor, request.until).params[0])
        return Page((), None, 1_795_852_800.0)  # 2026-11-28

    state = {"replication_key": "updated_at", "replication_key_value": 20261124, "boundary": ["x"]}
    _, after = run_once(made, answers, state, now="2026-11-28T12:00:00Z", most=9)
    assert asked[0] == ("since", "20261123")
    assert after["replication_key_value"] == "2026-11-28"
    falling = plan(**{**FALLING, "incremental": {**FALLING["incremental"], "cursor_formats": ["%Y%m%d"]}})
    assert from_state(falling, {"high": 20261124, "low": 20261101}) == DescendingBookmark(
        None, emitted_range=EmittedRange("2026-11-24", "2026-11-01")
    )


def test_a_state_of_another_kind_than_the_values_is_refused() -> None:
    with pytest.raises(
        StateError, match=r"holds 5, which is written in none of cursor_formats \(%Y%m%d\); correct them"
    ):
        from_state(plan(**DAYS), {"replication_key_value": 5})
    numbers = {"params": DAYS["params"], "incremental": {**DAYS["incremental"], "cursor_formats": [], "step": "100"}}
    with pytest.raises(StateError, match="holds the instant '2026-11-24', and initial_value is the number 20261001"):
        from_state(plan(**numbers), {"replication_key_value": "2026-11-24"})


def test_a_cursor_that_belongs_to_another_value_is_not_believed() -> None:
    state = {"replication_key_value": NOON, "cursor": {"updated_at": "2030-01-01T00:00:00Z", "id": 9}}
    assert from_state(plan(**COMPOUND), state) == KeysetBookmark(Cursor(NOON))


@pytest.mark.parametrize("cursor", [None, 5, [], {}, {"updated_at": NOON}, {"updated_at": NOON, "id": None}])
def test_a_cursor_without_both_parts_degrades_too(cursor: Any) -> None:
    state = {"replication_key_value": NOON, "cursor": cursor}
    assert from_state(plan(**COMPOUND), state) == KeysetBookmark(Cursor(NOON))


def test_a_decimal_of_an_earlier_version_is_a_number_still() -> None:
    found = from_state(plan(**INCLUSIVE), {"replication_key_value": Decimal("0.1")})
    assert found == CursorBookmark(Cursor(Decimal("0.1")))


@pytest.mark.parametrize("decimals", [["replication_key_value"], 5])
def test_a_number_that_is_none_is_refused(decimals: Any) -> None:
    with pytest.raises(StateError, match="holds a number that can't be read"):
        from_state(plan(**INCLUSIVE), {"replication_key_value": "soon", "decimals": decimals})


def test_no_state_is_a_first_run() -> None:
    for keys in (COMPOUND, INCLUSIVE, UNIQUE, {}):
        assert from_state(plan(**keys), {}) is None


def test_a_state_of_another_replication_key_is_refused() -> None:
    with pytest.raises(
        StateError, match=r"stream things: STATE was written for the replication key 'created_at'.*reset"
    ):
        from_state(plan(**INCLUSIVE), {"replication_key": "created_at", "replication_key_value": NOON})


@pytest.mark.parametrize("value", ["soon", True, [], {}])
def test_a_value_that_has_no_place_in_an_order_is_refused(value: Any) -> None:
    with pytest.raises(StateError, match="neither an instant nor a number; reset this stream's STATE"):
        from_state(plan(**INCLUSIVE), {"replication_key_value": value})


@pytest.mark.parametrize("boundary", ["abc", {"a": 1}, [1], [None]])
def test_a_boundary_that_is_not_a_list_of_hashes_is_refused(boundary: Any) -> None:
    with pytest.raises(StateError, match="boundary that is not a list of hashes"):
        from_state(plan(**INCLUSIVE), {"replication_key_value": NOON, "boundary": boundary})


def test_a_checkpoint_keeps_what_is_not_its_own_and_drops_what_is_no_longer_true() -> None:
    before = {"theirs": 1, "boundary": ["old"], "cursor": {"updated_at": "old"}, "replication_key_value": "old"}
    after = checkpointed(plan(**INCLUSIVE), before, CursorBookmark(Cursor(NOON)))
    assert after == {"theirs": 1, "replication_key": "updated_at", "replication_key_value": NOON}


def test_a_checkpoint_of_a_feed_is_all_that_its_stream_has() -> None:
    after = checkpointed(plan(**FEED), {"listed": False, "theirs": 1}, FeedBookmark(KeysetBookmark(Cursor(7)), NOON))
    events = {"replication_key": "id", "replication_key_value": 7, "cursor": {"id": 7}}
    assert after == {"feed": events, "read_at": NOON}


def test_a_hash_stands_for_content_and_not_for_the_order_of_keys() -> None:
    assert content_hash({"a": 1, "b": {"c": 2, "d": 3}}) == content_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert content_hash({"a": [1, 2]}) != content_hash({"a": [2, 1]})


@given(st.integers() | st.text() | st.none() | st.booleans(), st.integers() | st.text() | st.none() | st.booleans())
def test_other_content_has_another_hash(one: Any, two: Any) -> None:
    same = type(one) is type(two) and one == two
    assert (content_hash({"a": one}) == content_hash({"a": two})) == same


def test_digits_of_a_decimal_are_content() -> None:
    assert content_hash({"a": Decimal("1.00000000000000000001")}) != content_hash({"a": Decimal(1)})
