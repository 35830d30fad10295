"""The ends of time ranges: none to come, and none missing where the API, or the request's own form, needs both."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.request import has_joined_ends
from tap_restextract.plan.plan import plans_for
from tap_restextract.walks.steps import Page, PageRequest
from tap_restextract.walks.table import stream_walk_for
from tests.support.api import Answers, Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import config, plan, stream

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def moment(ago: timedelta) -> str:
    """A moment so long ago, as the APIs here write it."""
    return (NOW - ago).strftime("%Y-%m-%dT%H:%M:%SZ")


ROWS: list[dict[str, Any]] = [{"id": number, "updated_at": moment(timedelta(days=40 - number))} for number in range(40)]
INCREMENTAL: dict[str, Any] = {
    "cursor_path": "updated_at",
    "order": "none",
    "step": "7d",
    "initial_value": moment(timedelta(days=60)),
}
ENDS = re.compile(r">=\s*(?P<since>\S+Z) (and )?updated_at ?<=\s*(?P<until>\S+Z)")


def answer(since: str | None, until: str | None, *, needs_end: bool = True) -> Reply:
    """What an API answers that refuses an end that is to come, or that is missing."""
    if (until is None and needs_end) or (
        until is not None and until > f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    ):
        return Reply({"message": "the end is missing, or to come"}, 400)
    return Reply([row for row in ROWS if (since or "") <= row["updated_at"] <= (until or "9")])


def by_params(asked: Asked) -> Reply:
    """Both ends as parameters, the end required."""
    return answer(asked.params.get("from"), asked.params.get("to"))


def open_at_last(asked: Asked) -> Reply:
    """Likewise, the end not required."""
    return answer(asked.params.get("from"), asked.params.get("to"), needs_end=False)


def by_text(asked: Asked) -> Reply:
    """Both ends in one text, which must be there."""
    found = ENDS.search(asked.params.get("q") or json.loads(asked.body or b"{}").get("filter", ""))
    return Reply({"message": "q is missing"}, 422) if found is None else answer(found["since"], found["until"])


APART: dict[str, Any] = {"params": {"from": "{cursor.updated_at}", "to": "{until.updated_at}"}}
TEXT = "updated_at >= {cursor.updated_at} and updated_at <= {until.updated_at}"
JOINED: dict[str, Any] = {"params": {"q": TEXT, "limit": 100}}
BODY: dict[str, Any] = {"method": "POST", "json": {"filter": TEXT, "limit": 100}}


def runs(answers: Answers, folder: Path, **keys: Any) -> tuple[list[Run], list[Asked]]:
    """Two runs, the second from the STATE of the first, and what the second one asked."""
    with serving(answers) as api:
        settings = config(api.url, **{"incremental": INCREMENTAL, **keys})
        first = tap(folder, settings)
        before = len(api.asked)
        second = tap(folder, settings, state=first.states[-1])
        return [first, second], api.asked[before:]


@pytest.mark.parametrize(
    ("answers", "keys"),
    [
        (open_at_last, APART),
        (by_params, APART | {"incremental": INCREMENTAL | {"end": "required"}}),
        (by_params, APART | {"incremental": INCREMENTAL | {"end": "required", "lag": "1h"}}),
        (by_text, JOINED),
        (by_text, BODY),
    ],
    ids=["6: no end to come", "6b: both required", "6b, with a lag", "6c, 6e: in one parameter", "6d: in one body key"],
)
def test_ranges_are_read_in_every_run_and_the_second_one_asks_for_what_is_new_alone(
    answers: Answers, keys: dict[str, Any], tmp_path: Path
) -> None:
    (first, second), asked = runs(answers, tmp_path, **keys)
    assert first.code == 0, first.err
    assert [record["id"] for record in first.records] == [*range(40)]
    assert second.code == 0, second.err
    assert second.records == []
    assert len(asked) <= 3


def test_a_schema_is_inferred_from_a_range_that_has_both_ends(tmp_path: Path) -> None:
    """Row 6c: the sample was asked for without `q`, and refused."""
    with serving(by_text) as api:
        run = tap(tmp_path, config(api.url, incremental=INCREMENTAL, schema=None, **JOINED))
    assert run.code == 0, run.err
    assert len(run.records) == 40


def test_what_is_dated_ahead_of_a_closed_range_comes_once_its_time_has_come() -> None:
    made = plan(**APART, incremental=INCREMENTAL | {"end": "required"}, paginator={"type": "cursor", "stable": True})
    stream_walk = stream_walk_for(made, None, now=moment(timedelta(0)))
    asked: list[PageRequest] = []
    while (sub_walk := stream_walk.next()) is not None:
        step = next(sub_walk.steps)
        while step.request is not None:
            asked.append(step.request)
            step = sub_walk.steps.send(Page([], None, NOW.timestamp()))
        stream_walk.translate(sub_walk, step)
    assert all(request.until is not None and request.until <= moment(timedelta(0)) for request in asked)
    assert asked[-1].until == moment(timedelta(0))


@pytest.mark.pure
@pytest.mark.parametrize(("keys", "joined"), [(APART, False), (JOINED, True), (BODY, True)])
def test_ends_are_joined_where_one_part_of_the_request_mentions_both(keys: dict[str, Any], joined: bool) -> None:  # noqa: FBT001  a parameter of the test
    assert has_joined_ends(stream(**keys, incremental=INCREMENTAL)) is joined


@pytest.mark.pure
def test_a_required_end_is_for_ranges() -> None:
    without = {key: value for key, value in INCREMENTAL.items() if key != "step"}
    facts = read_settings(config(params={"from": "{cursor.updated_at}"}, incremental=without | {"end": "required"}))
    with pytest.raises(ConfigurationError, match="end: required is for time ranges"):
        plans_for(facts)
