"""A slice of the enumeration: every schedule of one or two changes, and that a fault in a walk is found by it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from proofs.simulate import player
from proofs.simulate.exhaustive import explored
from proofs.simulate.small_api import Change, Entry, World, changed, changes
from proofs.simulate.small_cases import CASES
from tap_restextract.plan.walks import FEED, WALKS, WEBHOOKS
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks.deduplication import Deduplicator
from tap_restextract.walks.settling import Settling

NOT_ENUMERATED = {FEED, WEBHOOKS}
TWO_CHANGES = (
    "compound keyset",
    "unique keyset",
    "descending, tokens",
    "unordered, tokens",
    "traversal",
)
"""Those of which two changes take a few seconds; of the others it is one."""


@pytest.mark.parametrize("name", CASES)
def test_no_schedule_of_a_few_changes_breaks_a_promise(name: str) -> None:
    counted = explored(name, 2 if name in TWO_CHANGES else 1)
    assert counted.findings == ()
    assert counted.errors == ()
    assert sum(counted.schedules) >= counted.schedules[0] > 0


def test_the_cases_cover_every_walk() -> None:
    walks = set()
    for case in CASES.values():
        with closing(player.Player(case.quirks)) as played:
            walks.add(played.plan.walk)
    assert walks == set(WALKS) - NOT_ENUMERATED


def test_schedules_are_counted_as_if_each_were_played(monkeypatch: pytest.MonkeyPatch) -> None:
    merged = explored("stable tokens", 1)
    numbers = count()
    monkeypatch.setattr(player, "frozen", lambda _: next(numbers))  # no two walks are alike any more
    alone = explored("stable tokens", 1)
    assert alone.schedules == merged.schedules
    assert alone.states > merged.states


@pytest.mark.parametrize("name", ["descending, tokens", "sweep, tokens"])
def test_a_walk_that_waited_goes_on_as_one_that_is_played_again(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    waited = explored(name, 1)
    monkeypatch.setattr(player, "MOST_WAITING", 0)
    again = explored(name, 1)
    assert (again.schedules, again.states) == (waited.schedules, waited.states)


def test_every_change_of_a_list_is_enumerated() -> None:
    world = World((Entry(0, 1), Entry(1, 1), Entry(-1, 0, gone=True)), 1)
    told = [str(change) for change in changes(world, late=True, rising=False)]
    now = ["delete 1", "write 1", "late write 1", "delete 2", "write 2", "write 3", "late write 3"]
    later = [f"{each} in the next second" for each in now if "late write" not in each]
    assert told == now + later
    after = changed(world, Change("write", 2, later=False))
    assert after.entries[1] == Entry(1, 2)
    moved = changed(world, Change("write", 2, later=True))
    assert (moved.entries[1], moved.now, moved.moved) == (Entry(2, 1), 2, 1)
    assert len(list(changes(moved, late=False, rising=False))) == 5


def one_later(cursor: Any) -> Any:
    return None if cursor is None else Cursor(f"{cursor.value[:-3]}{int(cursor.value[-3:-1]) + 1:02}Z", cursor.tie)


def skips_the_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = vars(Deduplicator)["request_cursor"].fget
    monkeypatch.setattr(Deduplicator, "request_cursor", property(lambda self: one_later(honest(self))))


def ignores_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settling, "count", lambda _self, _page, ranks: len(ranks))


@pytest.mark.parametrize(
    ("fault", "name", "shown_by"),
    [
        (skips_the_boundary, "restart keyset, offsets", "the last run stopped: "),
        (skips_the_boundary, "stable tokens", "the last run stopped: "),
        (ignores_the_clock, "compound keyset", "never emitted: "),
    ],
)
def test_a_fault_in_a_walk_is_found(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None], name: str, shown_by: str
) -> None:
    fault(monkeypatch)
    counted = explored(name, 1)
    assert counted.broken
    kind, story = counted.findings[0]
    assert kind == "hole"
    assert story[0].startswith("there is ")
    assert story[-1].startswith(shown_by)
