"""Streams that follow an events feed, of an API that changes between any two requests, with deaths at any line."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import paged
from tap_restextract.exchange.request import request_for
from tap_restextract.http.pages import page_of
from tap_restextract.plan.bookmarks.state import from_state, to_state
from tap_restextract.plan.derived import event_object_plan, feed_plan
from tap_restextract.plan.plan import plans_for
from tap_restextract.plan.walks import FEED as FEED_WALK
from tap_restextract.walks.event_feed import EVENTS, EventFeedWalk
from tap_restextract.walks.steps import Page, PageRequest, Step
from tap_restextract.walks.table import stream_walk_for
from tap_restextract.walks.witnesses import OBJECT

pytestmark = pytest.mark.pure

State = dict[str, Any]
FEED: dict[str, Any] = {
    "path": "/events",
    "params": {"after": "{cursor.id}"},
    "incremental": {"cursor_path": "id", "filter": "exclusive"},
    "types": ["order.*"],
    "deleted_types": ["order.deleted"],
    "retention": "1d",
}


class DiedError(Exception):
    """The process died here."""


@dataclass
class Orders:
    """Orders without any timestamp, and a feed of what happened to them, of which only a part is kept."""

    rng: random.Random
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    rev: int = 0

    def mutate(self) -> None:
        self.rev += 1
        key = self.rng.randrange(60)
        kind = "deleted" if key in self.orders and self.rng.random() < 0.2 else "written"
        if kind == "deleted":
            gone = self.orders.pop(key)
            carried = {"id": gone["id"]}
        else:
            self.orders[key] = carried = {"id": key, "rev": self.rev}
        self.events.append({"id": self.rev, "type": f"order.{kind}", "data": carried})
        if self.rng.random() < 0.2:
            self.rev += 1
            self.events.append({"id": self.rev, "type": "customer.written", "data": {"id": 1}})

    def answer(self, path: str, params: dict[str, str]) -> Answer:
        if path == "/events":
            listed = [event for event in self.events if event["id"] > int(params.get("after", 0))][:4]
            return Answer("http://api" + path, facts_of(200, {}), {"data": listed})
        if path.startswith("/orders/"):
            key = int(path.rpartition("/")[2])
            if key not in self.orders:
                raise AnswerError("gone", 404)
            return Answer("http://api" + path, facts_of(200, {}), self.orders[key])
        listed = sorted(self.orders.values(), key=lambda order: order["id"])
        start = int(params["offset"])
        return Answer("http://api" + path, facts_of(200, {}), {"data": listed[start : start + 5]})


@dataclass
class Play:
    """Runs of the stream, their records and STATEs."""

    api: Orders
    facts: dict[str, Any]
    clock: float = 1_704_067_200
    records: list[dict[str, Any]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        stream = {
            "name": "orders",
            "path": "/orders",
            "records": "data",
            "primary_key": ["id"],
            "paginator": {"type": "offset", "limit": 5},
        }
        (self.plan,) = plans_for(
            read_settings({"base_url": "http://api", "streams": [{**stream, "feed": {**FEED, **self.facts}}]})
        )

    def run(self, *, busy: bool, lives: int | None = None) -> None:
        state = self.states[-1] if self.states else {}
        plans = {"": self.plan, EVENTS: feed_plan(self.plan), OBJECT: event_object_plan(self.plan)}
        now = datetime.fromtimestamp(self.clock, timezone.utc).isoformat()
        fleet = stream_walk_for(self.plan, from_state(self.plan, state), now=now)
        assert isinstance(fleet, EventFeedWalk)
        unit = fleet.next()
        assert unit is not None

        def fetched(ask: PageRequest) -> Page:
            for _ in range(self.api.rng.choice([0, 0, 1]) if busy else 0):
                self.api.mutate()
            stream = plans[ask.list_name].stream
            request = paged(stream.paginator, request_for(stream, ask.cursor, ask.until, ask.scope), ask.at)
            return page_of(stream, ask, self.api.answer(request.url.removeprefix("http://api"), dict(request.params)))

        def written(step: Step) -> None:
            nonlocal lives
            for record in step.records:
                lives = None if lives is None else lives - 1
                if lives is not None and lives < 0:
                    raise DiedError
                self.records.append(dict(record))
            if step.bookmark is not None:
                self.states.append(to_state(self.plan, step.bookmark))

        step = fleet.translate(unit, next(unit.steps))
        while step.request is not None:
            ask = step.request
            written(step)
            try:
                page = fetched(ask)
            except AnswerError as error:
                absorbed = fleet.recover(unit, error)
                assert absorbed is not None
                step = absorbed
            else:
                step = fleet.translate(unit, unit.steps.send(page))
        written(step)

    def check(self) -> None:
        last: dict[int, Any] = {}
        for record in self.records:
            last[record["id"]] = record.get("rev")
        assert {key: rev for key, rev in last.items() if rev is not None} == {
            key: order["rev"] for key, order in self.api.orders.items()
        }


@pytest.mark.parametrize("facts", [{}, {"fetch_path": "/orders/{event.data.id}"}], ids=["carried", "fetched"])
@pytest.mark.parametrize("seed", range(40))
def test_a_feed_emits_every_change_and_deletion_after_the_list(seed: int, facts: dict[str, Any]) -> None:
    rng = random.Random(seed)
    play = Play(Orders(rng), facts)
    for _ in range(rng.randrange(40)):
        play.api.mutate()
    for _ in range(rng.randrange(5)):
        with contextlib.suppress(DiedError, WalkError):
            play.run(busy=True, lives=rng.choice([None, rng.randrange(30)]))
    play.run(busy=False)
    play.check()
    before = len(play.records)
    play.run(busy=False)
    assert play.records[before:] == []


def test_a_gap_longer_than_the_retention_reads_the_list_again() -> None:
    play = Play(Orders(random.Random(1)), {})
    for _ in range(30):
        play.api.mutate()
    play.run(busy=False)
    for _ in range(30):
        play.api.mutate()
    play.api.events = play.api.events[-3:]
    play.clock += 90_000
    before = len(play.records)
    play.run(busy=False)
    alive = {record["id"]: record["rev"] for record in play.records[before:] if "rev" in record}
    assert alive == {key: order["rev"] for key, order in play.api.orders.items()}


def test_a_feed_that_can_not_be_read_after_its_last_event_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="after the last one"):
        Play(Orders(random.Random(1)), {"incremental": {"cursor_path": "id", "filter": "inclusive"}})


def test_the_plan_of_a_feed_names_its_walk() -> None:
    assert Play(Orders(random.Random(1)), {}).plan.walk is FEED_WALK
