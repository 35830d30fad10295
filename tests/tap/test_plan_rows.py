"""Each row of the walk table: its facts, its walk, and what `plan` says of it; and what no row is safe for."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.cli.plan_report import preview
from tap_restextract.config.reading import read_settings
from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.plan.walks import WALKS
from tap_restextract.walks.table import TABLE

pytestmark = pytest.mark.pure

SINCE = {"since": "{cursor.at}"}
TOKEN = {"type": "cursor", "cursor_path": "next", "stable": True}
PAGES = {"type": "page_number"}
FEED = {
    "path": "/events",
    "params": {"after": "{cursor.id}"},
    "incremental": {"cursor_path": "id", "filter": "exclusive"},
    "types": ["x.*"],
}
RANGE = {"since": "{cursor.at}", "until": "{until.at}"}

ROWS: list[tuple[str, dict[str, Any]]] = [
    (
        "compound keyset",
        {
            "params": {**SINCE, "after": "{cursor.id}"},
            "incremental": {"cursor_path": "at", "tie_breaker": "id", "filter": "compound"},
        },
    ),
    (
        "unique keyset",
        {"params": {"after": "{cursor.id}"}, "incremental": {"cursor_path": "id", "filter": "exclusive"}},
    ),
    ("stable tokens", {"params": SINCE, "paginator": TOKEN, "incremental": {"cursor_path": "at"}}),
    (
        "restart keyset",
        {"params": SINCE, "paginator": PAGES, "incremental": {"cursor_path": "at", "filter": "exclusive"}},
    ),
    ("single page", {"params": SINCE, "incremental": {"cursor_path": "at"}}),
    ("descending", {"paginator": PAGES, "incremental": {"cursor_path": "at", "order": "desc", "filter": "none"}}),
    ("unordered", {"params": SINCE, "paginator": PAGES, "incremental": {"cursor_path": "at", "order": "none"}}),
    (
        "windows",
        {
            "params": RANGE,
            "paginator": PAGES,
            "incremental": {"cursor_path": "at", "step": "30d", "initial_value": "2024-01-01T00:00:00Z"},
        },
    ),
    ("feed", {"feed": FEED}),
    ("sweep", {"sweep": True, "paginator": TOKEN}),
    ("traversal", {"paginator": PAGES}),
]


def planned(**keys: Any) -> Plan:
    config = {"base_url": "https://api.example.com", "auth": {"type": "bearer"}, "auth_token": "S3cret"}
    parents = {"name": "parents", "path": "/parents", "primary_key": ["id"]}
    stream = {"name": "things", "path": "/things", "primary_key": ["id"], **keys}
    return plans_for(read_settings({**config, "streams": [parents, stream]}))[1]


def test_each_walk_that_reads_a_list_has_facts_that_choose_it_and_an_entry_that_starts_it() -> None:
    assert set(TABLE) == {walk for walk in WALKS if walk.reads_list}
    assert {walk.name for walk in TABLE} == {name for name, _ in ROWS}


@pytest.mark.parametrize(("walk", "facts"), ROWS, ids=[walk for walk, _ in ROWS])
def test_each_row_of_the_table_is_derived_from_its_facts_and_explained(walk: str, facts: dict[str, Any]) -> None:
    plan = planned(**facts)
    assert plan.walk.name == walk
    text = preview(plan, None)
    assert f"walk   {walk}" in text
    assert "safe   " in text
    assert "STATE  moves" in text
    assert text.count("https://api.example.com/") >= 1
    assert "S3cret" not in text


def test_the_plan_of_children_shows_what_their_parent_fills() -> None:
    text = preview(planned(path="/parents/{parent.parents.id}/things"), None)
    assert "parent.parents.id" in text
    assert "parent parents: its list is read whole" in text


def test_the_plan_of_a_feed_shows_how_its_events_are_asked_for() -> None:
    assert "/events?after=" in preview(planned(feed=FEED), None)


LIMITED = {"type": "single_page", "limit": 9}
LOOKUP = {"path": "/things/{key.id}"}
OFFSET = {"type": "offset", "limit": 9}
PROOFS: list[tuple[str, dict[str, Any]]] = [
    ("as one answer is the whole list", {"sweep": True}),
    ("changes don't move records", {"sweep": True, "fixed_order": True, "paginator": TOKEN}),
    ("changes don't move records", {"sweep": True, "fixed_order": True, "paginator": OFFSET}),
    ("says that it is gone", {"sweep": True, "fixed_order": True, "paginator": PAGES, "lookup": LOOKUP}),
    ("says that it is gone", {"sweep": True, "paginator": TOKEN, "lookup": LOOKUP}),
    ("not reported: a record that moves", {"sweep": True, "paginator": TOKEN}),
    ("not reported: a record that moves", {"sweep": True, "fixed_order": True, "paginator": PAGES}),
    ("not reported: a record that moves", {"sweep": True, "paginator": LIMITED}),
    (
        "not reported: a record that moves",
        {"sweep_every": "P7D", "paginator": TOKEN, "params": SINCE, "incremental": {"cursor_path": "at"}},
    ),
    (
        "changes don't move records",
        {
            "sweep_every": "P7D",
            "params": {"after": "{cursor.id}"},
            "incremental": {"cursor_path": "id", "filter": "exclusive"},
        },
    ),
]


@pytest.mark.parametrize(("words", "facts"), PROOFS)
def test_the_plan_says_what_proves_a_deletion_that_a_sweep_emits(words: str, facts: dict[str, Any]) -> None:
    assert words in " ".join(preview(planned(**facts), None).split())


FALLING = {"cursor_path": "at", "order": "desc", "filter": "none"}


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("shift the list up, down and up again", {"paginator": PAGES, "incremental": FALLING}),
        ("shift the list up, down", {"paginator": {**TOKEN, "stable": False}, "incremental": FALLING}),
        (
            "an order that changes",
            {"paginator": OFFSET, "params": SINCE, "incremental": {**FALLING, "order": "none", "filter": "inclusive"}},
        ),
        ("shift the list up, down", {"paginator": OFFSET, "incremental": FALLING}),
        (None, {"paginator": OFFSET, "incremental": {**FALLING, "tie_breaker": "id"}}),
        (None, {"paginator": TOKEN, "incremental": FALLING}),
        (None, {"incremental": FALLING}),
        (None, {"paginator": PAGES, "params": SINCE, "incremental": {"cursor_path": "at"}}),
    ],
)
def test_the_plan_says_what_could_still_hide_a_record(words: str | None, facts: dict[str, Any]) -> None:
    text = " ".join(preview(planned(**facts), None).split())
    assert ("unless " in text.partition("safe ")[2]) is bool(words)
    assert (words or "walk") in text


UNSAFE: list[tuple[str, dict[str, Any]]] = [
    (
        "needs order: asc",
        {
            "params": {**SINCE, "after": "{cursor.id}"},
            "incremental": {"cursor_path": "at", "tie_breaker": "id", "filter": "compound", "order": "desc"},
        },
    ),
    ("reads the whole list each run", {"incremental": {"cursor_path": "at", "filter": "none"}}),
    ("has no use for at", {"incremental": {"cursor_path": "at", "order": "none", "filter": "none"}}),
    ("needs tie_breaker", {"params": SINCE, "incremental": {"cursor_path": "at", "filter": "compound"}}),
    ("no part of the request mentions", {"incremental": {"cursor_path": "at"}}),
    (
        "need filter: inclusive or exclusive",
        {
            "params": RANGE,
            "paginator": PAGES,
            "incremental": {"cursor_path": "at", "filter": "none", "order": "desc", "step": "1d", "initial_value": 0},
        },
    ),
    (
        "need the end of a range",
        {"params": SINCE, "incremental": {"cursor_path": "at", "step": "1d", "initial_value": 0}},
    ),
    ("where the first range begins", {"params": RANGE, "incremental": {"cursor_path": "at", "step": "1d"}}),
    ("declare one of them", {"sweep": True, "params": SINCE, "incremental": {"cursor_path": "at"}}),
    ("needs primary_key", {"sweep": True, "primary_key": []}),
    ("for incremental streams", {"sweep_every": "P7D"}),
    (
        "needs primary_key, to tell its records apart",
        {"params": SINCE, "primary_key": [], "incremental": {"cursor_path": "at", "null_params": {"x": 1}}},
    ),
    (
        "don't go with time ranges",
        {"params": RANGE, "sweep_every": "P1D", "incremental": {"cursor_path": "at", "step": "1d", "initial_value": 0}},
    ),
    (
        "changes move no record",
        {"params": SINCE, "fixed_order": True, "incremental": {"cursor_path": "at"}},
    ),
    ("lookup mentions {key.idd}", {"sweep": True, "lookup": {"path": "/things/{key.idd}"}}),
    ("mentions no {key.id}", {"sweep": True, "lookup": {"path": "/thing"}}),
    (
        "the bookmark of all parents is a time",
        {"path": "/x/{parent.parents.id}", "params": SINCE, "incremental": {"cursor_path": "at", "initial_value": 0}},
    ),
    ("is not a stream; did you mean 'parents'", {"path": "/x/{parent.parent.id}"}),
    ("a stream has one", {"path": "/x/{parent.parents.id}/{parent.others.id}"}),
    ("no part of the request mentions a parent", {"include_from_parent": ["id"]}),
    ("can't be read as sweep yet", {"path": "/x/{parent.parents.id}", "sweep": True}),
    ("have nothing to do", {"feed": FEED, "sweep": True}),
    ("feed needs primary_key", {"feed": FEED, "primary_key": []}),
    ("after the last one", {"feed": {**FEED, "incremental": {"cursor_path": "id"}}}),
    ("write {event.PATH}", {"feed": {**FEED, "fetch_path": "/x/{cursor.id}"}}),
    ("neither an instant", {"params": SINCE, "incremental": {"cursor_path": "at", "initial_value": "yesterday"}}),
    ("which has no value", {"params": {"a": "{cursor.att}"}}),
    ("set incremental.initial_value", {"path": "/x/{cursor.at}", "incremental": {"cursor_path": "at"}}),
]


@pytest.mark.parametrize(("reason", "facts"), UNSAFE, ids=[reason for reason, _ in UNSAFE])
def test_what_no_walk_is_safe_for_is_refused_with_what_would_make_it_safe(reason: str, facts: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        planned(**facts)
    assert reason in str(refusal.value)
    assert "stream things: " in str(refusal.value)
