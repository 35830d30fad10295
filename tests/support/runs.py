"""Runs of one stream within this process, without singer-sdk: its walk and the real client, STATE from run to run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from typing_extensions import Self

from tap_restextract.config.reading import read_settings
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.http.client import Client
from tap_restextract.http.fetching import run_walks
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.plan.bookmarks.state import checkpointed, from_state
from tap_restextract.plan.derived import event_object_plan, feed_plan, lookup_plan
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.walks.event_feed import EVENTS
from tap_restextract.walks.protocol import StreamWalk
from tap_restextract.walks.sweep import LOOKUP
from tap_restextract.walks.table import stream_walk_for
from tap_restextract.walks.witnesses import OBJECT

LOG = logging.getLogger("test")


@dataclass
class Came:
    """What one run wrote and told."""

    records: list[dict[str, Any]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    walk: StreamWalk | None = None

    @property
    def ids(self) -> list[Any]:
        """The records' ids, sorted."""
        return sorted(record["id"] for record in self.records)


class Runs:
    """Runs of a configuration's last stream, which keeps its STATE and its hash cache; close it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        *others, self.plan = plans_for(read_settings(config))
        self.parents = next((each for each in others if each.stream.name == self.plan.parent), None)
        self.cache = SqliteHashes(":memory:", self.plan.stream.name)
        self.state: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()

    @property
    def _plans(self) -> dict[str, Plan]:
        plans = {"": self.plan}
        if self.parents is not None:
            plans[self.parents.stream.name] = self.parents
        if self.plan.walk.follows_feed:
            plans |= {EVENTS: feed_plan(self.plan), OBJECT: event_object_plan(self.plan)}
        if self.plan.stream.lookup is not None:
            plans[LOOKUP] = lookup_plan(self.plan)
        return plans

    def run(self, *, now: str = "", came: Came | None = None) -> Came:
        """One run to its end; `came` holds what it wrote, also where it ends in an error."""
        came = Came() if came is None else came
        bookmark = from_state(self.plan, self.state)
        cache = self.cache if self.plan.needs_hash_cache else None
        moment = now or datetime.now(timezone.utc).isoformat()
        came.walk = stream_walk_for(self.plan, bookmark, parents=self.parents, cache=cache, now=moment)
        with ExitStack() as stack:
            clients = {
                name: stack.enter_context(closing(Client(each.stream, TokenKeeper(), LOG, "0")))
                for name, each in self._plans.items()
            }
            for step in run_walks(came.walk, lambda ask: clients[ask.list_name].page(ask), 1):
                came.records += [dict(record) for record in step.records]
                came.notices += [notice for notice in step.notices if notice not in came.notices]
                if step.bookmark is not None:
                    self.state = checkpointed(self.plan, self.state, step.bookmark)
                    came.states.append(self.state)
        return came
