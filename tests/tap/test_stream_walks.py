"""Windows, children and turns, of an API that changes between any two requests, with deaths at any step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import paged
from tap_restextract.exchange.request import request_for
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.http.pages import page_of
from tap_restextract.plan.bookmarks.state import checkpointed, from_state
from tap_restextract.plan.derived import lookup_plan, null_key_plan
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.walks.combined import NULLS
from tap_restextract.walks.protocol import SubWalk
from tap_restextract.walks.steps import Page, PageRequest, Step
from tap_restextract.walks.sweep import LOOKUP
from tap_restextract.walks.table import stream_walk_for

pytestmark = pytest.mark.in_process

START = 1_704_067_200
State = dict[str, Any]


class DiedError(Exception):
    """The process died here."""


@dataclass
class Shop:
    """Parents, and rows with `parent`, `updated_at` in seconds and `rev`; every write takes the clock's second."""

    rng: random.Random
    page: int = 4
    window: int | None = None
    moves: bool = False
    now: float = START
    parents: dict[int, int] = field(default_factory=dict)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    nulls: list[dict[str, Any]] = field(default_factory=list)
    rev: int = 0
    asked: int = 0

    def mutate(self) -> None:
        self.now += self.rng.random() * self.rng.choice([0.2, 40])
        self.rev += 1
        chance = self.rng.random()
        if chance < 0.15 or not self.parents:
            self.parents[self.rng.randrange(1000)] = self.rev
        elif chance < 0.2 and len(self.parents) > 2:
            gone = self.rng.choice(list(self.parents))
            del self.parents[gone]
            self.rows = {key: row for key, row in self.rows.items() if row["parent"] != gone}
        elif chance < 0.3 and self.rows and self.moves:
            row = self.rng.choice(list(self.rows.values()))  # a child that moves, with its old time, to a new parent
            parent = 1000 + self.rev
            self.parents[parent] = self.rev
            self.rows[row["id"]] = {**row, "parent": parent, "rev": self.rev}
        elif chance < 0.38 and self.rows:
            del self.rows[self.rng.choice(list(self.rows))]
        else:
            key = self.rng.randrange(400)
            self.rows[key] = {
                "id": key,
                "parent": self.rng.choice(list(self.parents)),
                "updated_at": int(self.now),
                "rev": self.rev,
            }

    def answer(self, params: dict[str, str], path: str) -> Answer:
        self.asked += 1
        headers = {"date": formatdate(int(self.now), usegmt=True)}
        if path.startswith("/one/"):
            if int(path.removeprefix("/one/")) not in self.rows:
                raise AnswerError("gone", 404)
            return Answer("http://shop" + path, facts_of(200, headers), self.rows[int(path.removeprefix("/one/"))])
        if path.endswith("/parents"):
            listed = [{"id": key, "name": f"p{key}"} for key in sorted(self.parents)]
        else:
            parent = int(path.split("/")[-2]) if path.endswith("/rows") else None
            if parent is not None and parent not in self.parents:
                raise AnswerError("gone", 404)
            since, until = int(params.get("since", 0)), int(params.get("until", 1 << 40))
            listed = [
                row
                for row in self.rows.values()
                if since <= row["updated_at"] <= until and parent in {None, row["parent"]}
            ]
            if "nulls" in params:
                listed = self.nulls
            listed.sort(key=lambda row: (row["updated_at"] or 0, row["id"]))
        start = int(params["offset"])
        if self.window is not None and start + self.page > self.window and path.endswith("/all"):
            raise AnswerError("beyond the result window", 400)
        body = {"data": listed[start : start + self.page], "total": len(listed)}
        return Answer("http://shop" + path, facts_of(200, headers), body)


@dataclass
class Play:
    """Runs of a stream, their records, and the last STATE."""

    shop: Shop
    plan: Plan
    parents: Plan | None
    cache: SqliteHashes
    nulls: SqliteHashes | None
    records: list[dict[str, Any]] = field(default_factory=list)
    states: list[tuple[int, State]] = field(default_factory=list)

    def run(self, state: State, *, busy: bool, lives: int | None = None, at_once: int = 3) -> None:  # noqa: C901  a driver in one piece, as it is read
        rng, shop = self.shop.rng, self.shop
        bookmark = from_state(self.plan, state)
        now = datetime.fromtimestamp(shop.now, timezone.utc).isoformat()
        fleet = stream_walk_for(self.plan, bookmark, parents=self.parents, cache=self.cache, nulls=self.nulls, now=now)
        flying: list[tuple[SubWalk, Page | AnswerError]] = []
        allowed = shop.asked + 12_000

        def taken(step: Step) -> None:
            nonlocal state, lives
            for record in step.records:
                lives = None if lives is None else lives - 1
                if lives is not None and lives < 0:
                    raise DiedError
                self.records.append(dict(record))
            if step.bookmark is not None:
                state = checkpointed(self.plan, state, step.bookmark)
                self.states.append((len(self.records), state))

        def fetched(ask: PageRequest) -> Page | AnswerError:
            assert shop.asked < allowed, "endless"
            for _ in range(rng.choice([0, 0, 0, 0, 1, 2]) if busy else 0):
                shop.mutate()
            shop.now += rng.random()
            asked = {"": self.plan} | ({"parents": self.parents} if self.parents else {})
            derived = {NULLS: null_key_plan, LOOKUP: lookup_plan}
            stream = (derived[ask.list_name](self.plan) if ask.list_name in derived else asked[ask.list_name]).stream
            request = paged(stream.paginator, request_for(stream, ask.cursor, ask.until, ask.scope), ask.at)
            try:
                return page_of(stream, ask, shop.answer(dict(request.params), request.url.removeprefix("http://shop")))
            except AnswerError as error:
                return error

        while True:
            while len(flying) < at_once and (unit := fleet.next()) is not None:
                step = next(unit.steps)
                if step.request:
                    flying.append((unit, fetched(step.request)))
                taken(fleet.translate(unit, step))
            if not flying:
                return
            unit, page = flying.pop(rng.randrange(len(flying)))
            if isinstance(page, AnswerError):
                absorbed = fleet.recover(unit, page)
                if absorbed is None:
                    raise page
                if absorbed.request:
                    flying.append((unit, fetched(absorbed.request)))
                taken(absorbed)
                continue
            step = unit.steps.send(page)
            if step.request:
                flying.append((unit, fetched(step.request)))
            taken(fleet.translate(unit, step))

    @property
    def last(self) -> State:
        return self.states[-1][1] if self.states else {}

    def missed(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        moved = {row["rev"] for row in self.shop.rows.values()}
        emitted = {(record["id"], record["rev"]) for record in records}
        return [
            row for row in self.shop.rows.values() if (row["id"], row["rev"]) not in emitted and row["rev"] in moved
        ]


@contextmanager
def _play(seed: int, stream: dict[str, Any], *, window: int | None = None, moves: bool = False) -> Iterator[Play]:
    rng = random.Random(seed)
    shop = Shop(rng, window=window, moves=moves or "{parent" in stream["path"])
    offset = {"type": "offset", "limit": 4, "total_path": "total"}
    incremental = {
        "cursor_path": "updated_at",
        "tie_breaker": "id",
        "order": "asc",
        "filter": "inclusive",
        "epoch": "s",
        **stream.pop("incremental", {}),
    }
    config = {
        "base_url": "http://shop",
        "records": "data",
        "primary_key": ["id"],
        "paginator": offset,
        "streams": [
            {"name": "parents", "path": "/parents"},
            {"name": "rows", "params": {"since": "{cursor.updated_at}"}, "incremental": incremental, **stream},
        ],
    }
    parents, plan = plans_for(read_settings(config))
    with closing(SqliteHashes(":memory:", "rows")) as cache, closing(SqliteHashes(":memory:", "rows/nulls")) as nulls:
        asks_for_nulls = "null_params" in incremental
        play = Play(shop, plan, parents if plan.parent else None, cache, nulls if asks_for_nulls else None)
        for _ in range(rng.randrange(120)):
            shop.mutate()
        for _ in range(rng.randrange(4)):
            with suppress(DiedError, WalkError):
                play.run(play.last, busy=True, lives=rng.choice([None, rng.randrange(40)]))
            for _ in range(rng.randrange(6)):
                shop.mutate()
        yield play


def _check(play: Play) -> None:
    play.shop.now += 100
    play.run(play.last, busy=False)
    assert play.missed(play.records) == []
    play.shop.now += 100
    before = len(play.records)
    play.run(play.last, busy=False)
    assert play.records[before:] == []
    for count, state in play.shop.rng.sample(play.states, min(3, len(play.states))):
        again = Play(play.shop, play.plan, play.parents, play.cache, play.nulls)
        again.run(state, busy=False)
        assert play.missed(play.records[:count] + again.records) == []


WINDOWS = {"path": "/all", "params": {"since": "{cursor.updated_at}", "until": "{until.updated_at}"}}


@pytest.mark.parametrize("seed", range(40))
def test_ranges_of_time_have_no_gap_between_them(seed: int) -> None:
    with _play(seed, {**WINDOWS, "incremental": {"step": "30s", "initial_value": START - 100}}) as play:
        _check(play)


@pytest.mark.parametrize("seed", range(40))
def test_a_range_that_does_not_fit_the_result_window_is_halved(seed: int) -> None:
    facts = {"step": "10000s", "initial_value": START, "max_window_results": 12}
    try:
        with _play(seed, {**WINDOWS, "incremental": facts}, window=12) as play:
            _check(play)
    except WalkError as error:
        assert "records or more lie at" in str(error)  # noqa: PT017  a tie wider than the window is T4's error, and only that


@pytest.mark.parametrize("seed", range(60))
def test_each_parent_has_its_own_floor_and_a_new_one_begins_at_the_beginning(seed: int) -> None:
    with _play(seed, {"path": "/parents/{parent.parents.id}/rows", "include_from_parent": ["name"]}) as play:
        _check(play)


def test_children_carry_what_they_take_from_their_parent() -> None:
    with _play(5, {"path": "/parents/{parent.parents.id}/rows", "include_from_parent": ["name"]}) as play:
        play.run({}, busy=False)
        assert play.records
        assert all(record["_parents_name"] == f"p{record['parent']}" for record in play.records)


def test_the_state_of_many_parents_is_small() -> None:
    with _play(0, {"path": "/parents/{parent.parents.id}/rows"}) as play:
        play.shop.parents = dict.fromkeys(range(500), 0)
        play.shop.rows = {key: {"id": key, "parent": key, "updated_at": START + key, "rev": 0} for key in range(500)}
        play.shop.now = START + 10_000
        play.run({}, busy=False)
        assert max(len(str(state)) for _, state in play.states) < 30_000
        assert len(str(play.last)) < 1_000


SINCE = {"path": "/all", "params": {"since": "{cursor.updated_at}"}}


@pytest.mark.parametrize("seed", range(60))
def test_a_sweep_at_an_interval_finds_silent_changes_and_deletions_and_only_these(seed: int) -> None:
    with _play(seed, {**SINCE, "sweep_every": "1h", "lookup": {"path": "/one/{key.id}"}}, moves=True) as play:
        play.shop.now += 100
        play.run(play.last, busy=False)
        play.shop.now += 4000
        play.run(play.last, busy=False)
        last = {record["id"]: record.get("rev") for record in play.records}
        assert {key: rev for key, rev in last.items() if rev is not None} == {
            key: row["rev"] for key, row in play.shop.rows.items()
        }
        before = len(play.records)
        play.shop.now += 4000
        play.run(play.last, busy=False)
        assert play.records[before:] == []


def test_records_without_replication_key_are_read_by_a_request_of_their_own_once() -> None:
    with _play(3, {**SINCE, "incremental": {"null_params": {"nulls": "1"}}}) as play:
        play.shop.nulls = [{"id": 5000 + key, "updated_at": None, "rev": key} for key in range(6)]
        play.run(play.last, busy=False)
        assert {record["id"] for record in play.records if record["id"] >= 5000} == set(range(5000, 5006))
        before = len(play.records)
        play.shop.now += 100
        play.run(play.last, busy=False)
        assert [record for record in play.records[before:] if record["id"] >= 5000] == []
