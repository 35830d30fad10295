"""An API with every habit that a walk is made for: a list of things, their parents, an events feed.

What happens in it is the same in each run, by a clock of 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.support.api import Api, Asked, Handler, Reply, serving

PAGE = 2
Row = dict[str, Any]


def at(second: int) -> str:
    """An instant of March 2021."""
    return f"2021-03-01T00:00:{second:02}Z"


def row(key: int, second: int | None, **more: Any) -> Row:
    """A thing as the API tells it."""
    return {
        "id": key,
        "parent": key % 2 + 1,
        "updated_at": None if second is None else at(second),
        "seconds": None if second is None else int(datetime(2021, 3, 1, 0, 0, second, tzinfo=timezone.utc).timestamp()),
        "value": key * 10,
        **more,
    }


class Things:
    """Things 1 to 7, of which 2 and 3 share an instant, as do 5, 6 and 7; and 8, which has none."""

    def __init__(self) -> None:
        self.seconds = 30
        seconds = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 5, 7: 5, 8: None}
        self.rows = {key: row(key, second) for key, second in seconds.items()}
        self.parents = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
        self.events: list[dict[str, Any]] = [
            {"id": 100 + key, "type": "thing.written", "data": self.rows[key]} for key in (1, 2, 3)
        ]

    def happen(self) -> None:
        """Thing 3 is changed, 9 is new, and 4 is gone without a trace in the list."""
        self.seconds = 50
        self.rows[3] = row(3, 40, value=31)
        self.rows[9] = row(9, 41)
        del self.rows[4]
        for key, kind in ((3, "written"), (9, "written"), (4, "deleted")):
            self.events.append(
                {"id": 200 + len(self.events), "type": f"thing.{kind}", "data": self.rows.get(key, {"id": key})}
            )

    @property
    def clock(self) -> str:
        """The API's `Date`."""
        return f"Mon, 01 Mar 2021 00:00:{self.seconds} GMT"

    def answers(self, asked: Asked) -> Reply:
        """What the API answers."""
        kind, _, rest = asked.path.lstrip("/").partition("/")
        if kind == "events":
            behind = int(asked.params.get("after", 0))
            return Reply({"data": [event for event in self.events if event["id"] > behind][:PAGE]})
        if kind == "parents" and not rest:
            return Reply({"data": self.parents})
        if kind == "things" and rest:
            found = self.rows.get(int(rest))
            return Reply(found) if found else Reply({"error": "gone"}, 404)
        listed = [each for each in self.rows.values() if (each["updated_at"] is None) == ("untimed" in asked.params)]
        if kind == "marked":  # a list that goes on telling of what is gone
            gone = {} if 4 in self.rows else {"id": 4, "updated_at": at(42), "deleted": True}
            listed += [gone] if gone else []
        if kind == "parents":
            listed = [each for each in listed if each["parent"] == int(rest.partition("/")[0])]
        return self._page(_filtered(listed, asked.params), asked.params)

    @staticmethod
    def _page(listed: list[Row], params: dict[str, str]) -> Reply:
        start = int(params.get("token", 0)) or int(params.get("offset", 0)) or int(params.get("page", 0)) * PAGE
        size = len(listed) if "whole" in params else PAGE
        more = start + size < len(listed)
        body = {"data": listed[start : start + size], "next": str(start + size) if more else None, "total": len(listed)}
        return Reply(body)


def _filtered(listed: list[Row], params: dict[str, str]) -> list[Row]:
    """The rows that the request's filter leaves, in the order that it asks for."""
    key = params.get("by", "updated_at")

    def value(given: str) -> Any:
        return int(given) if key == "seconds" else given

    listed = sorted(listed, key=lambda each: (str(each.get(key)), each["id"]), reverse=params.get("order") == "desc")
    if params.get("order") == "none":
        listed.sort(key=lambda each: each["id"] * 5 % 7)
    if params.get("order") == "id":
        listed.sort(key=lambda each: each["id"])
    if "since" in params and "after" in params:
        place = (value(params["since"]), int(params["after"]))
        return [each for each in listed if (each[key], each["id"]) > place]
    if "after" in params:
        return [each for each in listed if each["id"] > int(params["after"])]
    if "since" in params:
        listed = [each for each in listed if each[key] >= value(params["since"])]
    if "behind" in params:
        listed = [each for each in listed if each[key] > value(params["behind"])]
    if "until" in params:
        listed = [each for each in listed if each[key] <= value(params["until"])]
    return listed


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Things, Api]]:
    """The API over HTTP, while the block runs."""
    things = Things()
    monkeypatch.setattr(Handler, "date_time_string", lambda *_: things.clock)
    with serving(things.answers) as api:
        yield things, api
