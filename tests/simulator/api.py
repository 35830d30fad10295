"""An API in memory with every quirk as a switch; it answers production's Requests with production's Answers.

Time is its own: a clock in milliseconds that moves between requests. Every write takes the clock's value, cut to the
API's tick, as `updated_at`, so that ties are many; with `late` a write becomes visible up to that long after its time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tap_restextract.request import Answer, Request

EPOCH = datetime(2024, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Quirks:
    """What the API does; times in milliseconds."""

    order: str = "asc"
    filter: str = "compound"
    paginator: str = "cursor"
    stable: bool = True
    tick: int = 1000
    precision: int = 1
    page: int = 5
    late: int = 0
    future: bool = False
    unstable_ties: bool = False
    short_pages: bool = False
    empty_pages: bool = False
    total: bool = False
    has_more: bool = False
    clock: bool = True
    epoch: bool = False
    monotonic_ids: bool = False
    silent: bool = False
    lookback: int = 0


@dataclass
class Row:
    """A record, the time of its last write, and when that write becomes visible."""

    id: int
    updated: int
    rev: int
    visible: int


@dataclass
class Api:
    """The state of the API; `rng` decides all."""

    quirks: Quirks
    rng: random.Random
    now: int = 3_600_000
    rows: dict[int, Row] = field(default_factory=dict)
    before: dict[int, Row] = field(default_factory=dict)
    rev: int = 0
    next_id: int = 1
    requests: int = 0

    def pass_time(self, most: int = 1500) -> None:
        """Let the clock move on."""
        self.now += self.rng.randrange(most)

    def mutate(self) -> None:
        """One write: an insert, an update or a delete."""
        if self.rng.random() < 0.5:
            self.pass_time(300)
        kind = self.rng.random()
        self.rev += 1
        if self.quirks.silent and kind < 0.2 and self.rows:
            key = self.rng.choice(list(self.rows))
            self.rows[key] = replace(self.rows[key], rev=self.rev)
        elif kind < 0.35 or not self.rows:
            self._write(self._new_id())
        elif kind < 0.9:
            self._write(self.rng.choice(list(self.rows)))
        else:
            self.rows.pop(self.rng.choice(list(self.rows)))

    def _new_id(self) -> int:
        if self.quirks.monotonic_ids:
            self.next_id += 1
            return self.next_id
        return self.rng.randrange(1, 10_000)

    def _write(self, key: int) -> None:
        updated = self.now - self.now % self.quirks.tick
        if self.quirks.future and self.rng.random() < 0.1:
            updated += 86_400_000
        delay = self.rng.randrange(self.quirks.late) if self.quirks.late else 0
        if key in self.rows and self.rows[key].visible <= self.now:
            self.before[key] = self.rows[key]
        self.rows[key] = Row(key, updated, self.rev, self.now + delay)

    def settle(self) -> None:
        """Let every write become visible, and the current tick end."""
        self.now += self.quirks.late + 2 * self.quirks.tick + 1000

    def truth(self) -> dict[int, dict[str, Any]]:
        """Every record as it is."""
        return {key: self._shown(row) for key, row in self.rows.items()}

    def answer(self, request: Request) -> Answer:
        """What the API answers now."""
        self.requests += 1
        params = dict(request.params) | dict(parse_qsl(urlsplit(request.url).query))
        rows = list(self._selected(params))
        quirks = self.quirks
        start = 0
        if quirks.paginator == "page_number":
            start = int(params["page"]) * quirks.page
        elif quirks.paginator == "offset":
            start = int(params["offset"])
        elif "token" in params and quirks.stable:
            place = tuple(int(part) for part in params["token"].split(",")[:2])
            start = next((index for index, row in enumerate(rows) if self._key(row) > place), len(rows))
        elif "token" in params:
            start = int(params["token"].split(",")[0])
        size = quirks.page
        if quirks.short_pages and self.rng.random() < 0.3 and quirks.paginator in {"cursor", "json_link"}:
            size = self.rng.randrange(1, quirks.page + 1)
        if quirks.empty_pages and self.rng.random() < 0.2 and quirks.paginator in {"cursor", "json_link"} and start:
            size = 0
        page = rows[start : start + size]
        more = start + size < len(rows)
        body: dict[str, Any] = {"data": [self._shown(row) for row in page]}
        if quirks.paginator in {"cursor", "json_link"} and more:
            place = self._key(page[-1]) if page else tuple(int(part) for part in params["token"].split(",")[:2])
            self.rev += 1  # no two tokens are alike, also where a page is empty
            token = ",".join(map(str, (*place, self.rev))) if quirks.stable else f"{start + size},{self.rev}"
            body["next"] = token if quirks.paginator == "cursor" else f"/list?{self._query(params, token)}"
        if quirks.total:
            body["total"] = -(-len(rows) // quirks.page) if quirks.paginator == "page_number" else len(rows)
        if quirks.has_more:
            body["has_more"] = more
        headers = (
            {"date": format_datetime(EPOCH + timedelta(seconds=self.now // 1000), usegmt=True)} if quirks.clock else {}
        )
        return Answer("http://api/list", 200, headers, body)

    def _query(self, params: dict[str, str], token: str) -> str:
        kept = "&".join(f"{name}={value}" for name, value in params.items() if name != "token")
        return f"{kept}&token={token}"

    def _selected(self, params: dict[str, str]) -> Iterator[Row]:
        visible = [
            seen for key, row in self.rows.items() if (seen := row if row.visible <= self.now else self.before.get(key))
        ]
        order = {row.id: (self.rng.random() if self.quirks.unstable_ties else row.id) for row in visible}
        visible.sort(key=lambda row: (row.updated, order[row.id]))
        if self.quirks.order == "desc":
            visible.reverse()
        if self.quirks.order == "none":
            visible.sort(key=lambda row: (row.id * 7919) % 10_007)
        if self.quirks.filter == "unique":
            visible.sort(key=lambda row: row.id)
            after = int(params.get("after", 0))
            yield from (row for row in visible if row.id > after)
            return
        since = self._parsed(params["since"]) if "since" in params else None
        cut = self.quirks.precision
        for row in visible:
            if since is None or self.quirks.filter in {"none", "sweep"}:
                yield row
            elif self.quirks.filter == "compound":
                if (row.updated, row.id) > (since, int(params["after"])):
                    yield row
            elif self.quirks.filter == "inclusive":
                if row.updated // cut >= since // cut:
                    yield row
            elif row.updated // cut > since // cut:
                yield row

    def _key(self, row: Row) -> tuple[int, int]:
        if self.quirks.order == "none":
            return ((row.id * 7919) % 10_007, row.id)
        sign = -1 if self.quirks.order == "desc" else 1
        return (sign * row.updated, sign * row.id)

    def _shown(self, row: Row) -> dict[str, Any]:
        return {"id": row.id, "updated_at": self._written(row.updated), "rev": row.rev}

    def _written(self, moment: int) -> Any:
        if self.quirks.epoch:
            return int(EPOCH.timestamp()) * 1000 + moment
        text = (EPOCH + timedelta(milliseconds=moment)).isoformat(
            timespec="milliseconds" if self.quirks.tick < 1000 else "seconds"
        )
        return text.replace("+00:00", "Z")

    def _parsed(self, text: str) -> int:
        if self.quirks.epoch:
            return int(text) - int(EPOCH.timestamp()) * 1000
        return round((datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH).total_seconds() * 1000)
