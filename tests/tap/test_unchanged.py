"""An API that stands still costs no record: each walk, run twice, brings everything once and then nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Asked, Reply, serving
from tests.support.processes import Run, tap

PAGE = 10
TIES = 7
ROWS: list[dict[str, Any]] = [
    {"id": number, "at": f"2024-01-01T00:00:{number // TIES:02d}Z", "rev": 0} for number in range(60)
]
PARENTS = [{"id": number} for number in range(4)]
EVENTS: list[dict[str, Any]] = [
    {"id": number, "type": "note.written", "data": {"id": number % 9, "rev": number}} for number in range(1, 35)
]
SCHEMA = {"type": "object", "properties": {name: {"type": ["integer", "string"]} for name in ("id", "at", "rev")}}
AT: dict[str, Any] = {"cursor_path": "at", "tie_breaker": "id"}
TOKENS = {"type": "cursor", "cursor_path": "next", "cursor_param": "token", "stable": True}
OFFSET = {"type": "offset", "limit": PAGE, "total_path": "total"}
SINCE = {"since": "{cursor.at}"}

WALKS: dict[str, dict[str, Any]] = {
    "compound keyset": {
        "incremental": {**AT, "filter": "compound"},
        "params": {"after": "{cursor.at}", "tie": "{cursor.id}"},
    },
    "unique keyset": {
        "incremental": {"cursor_path": "id", "filter": "exclusive"},
        "params": {"behind": "{cursor.id}"},
    },
    "stable tokens": {"incremental": AT, "params": SINCE, "paginator": TOKENS},
    "stable tokens, by >": {
        "incremental": {**AT, "filter": "exclusive"},
        "params": {"later": "{cursor.at}"},
        "paginator": TOKENS,
    },
    "restart keyset": {"incremental": AT, "params": SINCE, "paginator": OFFSET},
    "single page": {"incremental": AT, "params": SINCE, "paginator": {"type": "single_page", "limit": PAGE}},
    "descending": {"incremental": {**AT, "order": "desc"}, "params": {**SINCE, "desc": 1}, "paginator": TOKENS},
    "descending without a filter": {
        "incremental": {**AT, "order": "desc", "filter": "none"},
        "params": {"desc": 1},
        "paginator": OFFSET,
    },
    "unordered": {"incremental": {**AT, "order": "none"}, "params": SINCE, "paginator": OFFSET},
    "windows": {
        "incremental": {**AT, "step": "200d", "initial_value": "2023-01-01T00:00:00Z"},
        "params": {**SINCE, "until": "{until.at}"},
        "paginator": OFFSET,
        "concurrency": 2,
    },
    "lookback": {"incremental": {**AT, "lookback": "5s"}, "params": SINCE, "paginator": TOKENS},
    "children": {
        "path": "/parents/{parent.parents.id}/notes",
        "incremental": AT,
        "params": SINCE,
        "paginator": TOKENS,
        "concurrency": 2,
    },
    "sweep": {"sweep": True, "paginator": TOKENS},
    "sweep of pages": {"sweep": True, "paginator": OFFSET},
    "sweep at an interval": {"incremental": AT, "params": SINCE, "paginator": TOKENS, "sweep_every": "0s"},
    "feed": {
        "paginator": OFFSET,
        "feed": {
            "path": "/events",
            "params": {"behind": "{cursor.id}"},
            "incremental": {"cursor_path": "id", "filter": "exclusive"},
            "types": ["note.*"],
        },
    },
}


def _answer(asked: Asked) -> Reply:
    """The rows that the parameters ask for; a token is a position in the list."""
    params = asked.params
    if asked.path == "/parents":
        return Reply({"data": PARENTS})
    listed: list[dict[str, Any]] = EVENTS if asked.path == "/events" else ROWS
    if asked.path.startswith("/parents/"):
        listed = [row for row in ROWS if row["id"] % len(PARENTS) == int(asked.path.split("/")[2])]
    if "at" in listed[0]:
        listed = [row for row in listed if params.get("since", "") <= row["at"] <= params.get("until", "9")]
        listed = [row for row in listed if row["at"] > params.get("later", "")]
        after, tie = params.get("after", ""), int(params.get("tie") or -1)
        listed = [row for row in listed if (row["at"], row["id"]) > (after, tie)]
    listed = [row for row in listed if row["id"] > int(params.get("behind", -1))]
    listed = listed[::-1] if "desc" in params else listed
    start = int(params.get("token", params.get("offset", 0)))
    behind = start + PAGE
    following = str(behind) if behind < len(listed) else None
    return Reply({"data": listed[start:behind], "next": following, "total": len(listed)})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The tap, three times over all walks, each from the last STATE before it."""
    folder = tmp_path_factory.mktemp("unchanged")
    shared = {"path": "/notes", "records": "data", "primary_key": ["id"], "schema": SCHEMA}
    streams = [{**shared, "name": "parents", "path": "/parents"}]
    streams += [{**shared, "name": walk, **stream} for walk, stream in WALKS.items()]
    done: list[Run] = []
    with serving(_answer) as api:
        for _ in range(3):
            states = [state for run in done for state in run.states]
            config = {"base_url": api.url, "streams": streams}
            done.append(tap(folder, config, state=states[-1] if states else None))
            assert done[-1].code == 0, done[-1].err
    return done


@pytest.mark.parametrize("walk", WALKS)
def test_an_api_that_stands_still_costs_no_record(runs: list[Run], walk: str) -> None:
    came, *again = (
        [each["record"] for each in run.messages if each["type"] == "RECORD" and each["stream"] == walk] for run in runs
    )
    assert sorted(record["id"] for record in came) == [row["id"] for row in ROWS]
    assert again == [[], []]
