"""singer-sdk's standard tests of a tap, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import get_tap_test_class

from tap_restextract.tap import TapRestextract
from tests.support.api import Asked, Reply, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.in_process

RECORDS: list[dict[str, Any]] = [
    {"id": key, "updated_at": f"2026-01-01T00:00:{key:02}Z", "name": f"thing {key}", "price": key + 0.5}
    for key in range(1, 6)
]


def answers(asked: Asked) -> Reply:
    """The records behind (since, after), two at a time; or all of them, where neither is asked for."""
    if asked.path == "/all":
        return Reply(RECORDS)
    place = (asked.params.get("since", ""), int(asked.params.get("after", 0)))
    return Reply([record for record in RECORDS if (record["updated_at"], record["id"]) > place][:2])


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "updated_at": {"type": "string", "format": "date-time"},
        "name": {"type": ["string", "null"]},
        "price": {"type": ["number", "null"]},
    },
}
CONFIG: dict[str, Any] = {
    "base_url": "http://127.0.0.1:1",  # the fixture below knows the server's
    "primary_key": ["id"],
    "streams": [
        {
            "name": "incremental",
            "path": "/some",
            "params": {"since": "{cursor.updated_at}", "after": "{cursor.id}"},
            "incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "filter": "compound"},
            "schema": SCHEMA,
        },
        {"name": "whole", "path": "/all", "schema": SCHEMA},
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with serving(answers) as api:
        CONFIG["base_url"] = api.url
        yield


TestStandard: Any = get_tap_test_class(TapRestextract, config=CONFIG, parse_env_config=False)
