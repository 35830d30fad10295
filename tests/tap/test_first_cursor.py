"""A compound cursor that has no tie-breaker yet: what is sent of it, and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.request import Request, request_for
from tap_restextract.plan.bookmarks.state import from_state
from tap_restextract.plan.plan import plan_for
from tap_restextract.walks.table import first_request
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import config, plan, stream
from tests.support.walks import at

BEGIN = "2026-01-01T00:00:00Z"
BEFORE = "2025-12-31T23:59:59Z"
INCREMENTAL: dict[str, Any] = {
    "cursor_path": "updated_at", "tie_breaker": "id", "filter": "compound", "initial_value": BEGIN
}  # fmt: skip
FROM_STATE = {name: value for name, value in INCREMENTAL.items() if name != "initial_value"}
SINCE = {"since": "{cursor.updated_at}"}
UNTYPED = {"properties": {"name": {"type": "string"}}}
TEXT = "updated_at > '{cursor.updated_at}' or id > {cursor.id}"
QUOTED = "updated_at > '{cursor.updated_at}' or id > '{cursor.id}'"
WHERE = {"$or": [{"updated_at": {"$gt": "{cursor.updated_at}"}}, {"id": {"$gt": "{cursor.id}"}}]}


def asked_first(state: dict[str, Any] | None = None, **keys: Any) -> Request:
    """The first request of a run."""
    made = plan(**{"incremental": INCREMENTAL, "schema": UNTYPED, **keys})
    return request_for(made.stream, first_request(made, from_state(made, state or {})).cursor)


@pytest.mark.parametrize("schema", [UNTYPED, {"properties": {"id": {"type": "string"}}}])
def test_a_part_of_the_tie_breaker_alone_is_left_out(schema: dict[str, Any]) -> None:
    request = asked_first(
        schema=schema,
        method="POST",
        params={**SINCE, "after": "{cursor.id}", "behind": {"json": {"id": "{cursor.id}"}}, "sort": "updated_at,id"},
        headers={"X-After": "{cursor.id}", "X-Since": "{cursor.updated_at}"},
        json={"since": "{cursor.updated_at}", "after": "{cursor.id}", "page": {"after": ["{cursor.id}"]}},
    )
    assert request.params == (("since", BEFORE), ("sort", "updated_at,id"))
    assert request.headers == {"X-Since": BEFORE}
    assert request.json == {"since": BEFORE}


@pytest.mark.parametrize(
    ("kind", "least"),
    [({"type": "integer"}, "0"), ({"type": "string", "format": "uuid"}, "00000000-0000-0000-0000-000000000000")],
)
def test_the_least_of_a_declared_type_is_sent(kind: dict[str, Any], least: str) -> None:
    schema = {"properties": {"id": kind}}
    assert asked_first(schema=schema, params={**SINCE, "after": "{cursor.id}"}).params[1] == ("after", least)
    written = f"updated_at > '{BEFORE}' or id > {least}"
    assert asked_first(schema=schema, params={"where": TEXT}).params == (("where", written),)


def test_a_structure_of_both_has_an_empty_text_in_its_place() -> None:
    request = asked_first(params={"where": {"json": WHERE}})
    assert request.params[0][1] == '{"$or":[{"updated_at":{"$gt":"' + BEFORE + '"}},{"id":{"$gt":""}}]}'


def test_a_text_of_both_has_it_within_quotes() -> None:
    assert asked_first(params={"where": QUOTED}).params == (("where", f"updated_at > '{BEFORE}' or id > ''"),)


HOLES: list[tuple[str, dict[str, Any]]] = [
    ("where", {"params": {"where": TEXT}}),
    ("where", {"params": {"where": TEXT}, "schema": {"properties": {"id": {"type": "string"}}}}),
    ("X-Where", {"params": {}, "headers": {"X-Where": TEXT}}),
    ("query", {"method": "POST", "json": {"query": [TEXT]}}),
    ("filter", {"params": {"filter": {"json": {"text": TEXT}}}}),
    ("the path", {"path": "/changes/{cursor.updated_at}/{cursor.id}"}),
]


@pytest.mark.parametrize(("part", "keys"), HOLES)
def test_a_text_that_would_have_a_hole_is_refused_with_what_to_declare(part: str, keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asked_first(**keys)
    told = " ".join(caught.value.faults)
    assert (
        f"has no id yet, which leaves a hole in {part}; declare its type (schema: {{properties: {{id: {{type: integer}}}}}})"
        in told
    )
    with pytest.raises(ConfigurationError, match="leaves a hole"):
        asked_first(params={"where": TEXT}, incremental={**FROM_STATE, "lookback": "1h"})


def test_state_of_another_walk_is_refused_likewise_and_state_of_its_own_is_not() -> None:
    given = {"incremental": FROM_STATE, "params": {"where": TEXT}}
    with pytest.raises(ConfigurationError, match=r"stream things: .* leaves a hole in where"):
        asked_first({"replication_key_value": BEGIN}, **given)
    own = {"replication_key_value": BEGIN, "cursor": {"updated_at": BEGIN, "id": 7}}
    assert asked_first(own, **given).params == (("where", f"updated_at > '{BEGIN}' or id > 7"),)
    assert asked_first(None, **given).params == ()
    assert plan_for(stream(**given, schema=UNTYPED)).tie_floor is None


def test_an_api_that_refuses_an_empty_tie_breaker_is_read_from_an_initial_value_on(tmp_path: Path) -> None:
    rows = [at(second, key) for second, key in ((0, 5), (1, 1), (1, 2), (1, 3), (2, 4))]
    asked_for: list[dict[str, str]] = []

    def answered(asked: Asked) -> Reply:
        params = dict(asked.params)
        asked_for.append(params)
        if params.get("after") == "":
            return Reply({"message": "after must not be empty"}, status=400)
        since, after = params.get("since", ""), int(params.get("after", 10**9))
        return Reply([row for row in rows if (row["updated_at"], row["id"]) > (since, after)][:2])

    facts = {**INCREMENTAL, "initial_value": "2026-01-01T00:00:01Z"}
    with serving(answered) as api:
        settings = config(
            api.url, incremental=facts, params={**SINCE, "after": "{cursor.id}"}, schema={"properties": {"a": {}}}
        )
        run = tap(tmp_path, settings)
    assert (run.code, [record["id"] for record in run.records]) == (0, [1, 2, 3, 4]), run.err
    assert asked_for[0] == {"since": BEGIN}
    assert {"since": "2026-01-01T00:00:01Z", "after": "2"} in asked_for
