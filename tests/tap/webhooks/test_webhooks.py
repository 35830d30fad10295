"""From a POST to a row: what was answered 2xx is in the queue, and leaves it once it is known to be loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_restextract.config.reading import read_settings, webhooks_in
from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.plan import plans_for
from tap_restextract.webhooks.bodies import content_of
from tap_restextract.webhooks.notifications import changes_in, channels_of, notifications
from tap_restextract.webhooks.queues.locations import open_queue
from tap_restextract.webhooks.signatures import Refusal
from target_eventgen import embedded
from tests.support.processes import tap
from tests.support.receiving import configuration, event, receiving


def test_a_notification_that_was_answered_comes_out_as_a_record(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    with receiving(tmp_path, config) as receiver:
        assert receiver.post(event(1, 5, value=1.50, status="new")).status == 200
        assert receiver.stop() == 0
    run = tap(tmp_path, config)
    assert run.code == 0, run.err
    assert run.records == [{"id": 1, "updated_at": "2026-01-01T00:00:05Z", "value": 1.5, "status": "new"}]


def test_what_a_state_covers_leaves_the_queue_when_it_comes_back_and_not_before(tmp_path: Path, database: str) -> None:
    config = configuration(database)
    with receiving(tmp_path, config) as receiver:
        assert receiver.post(event(1, 5)).status == 200
        first, again = tap(tmp_path, config), tap(tmp_path, config)
        assert [record["id"] for record in first.records] == [record["id"] for record in again.records] == [1]
        assert receiver.post(event(2, 6)).status == 200
    later = tap(tmp_path, config, state=first.states[-1])
    assert [record["id"] for record in later.records] == [2]
    assert [record["id"] for record in tap(tmp_path, config).records] == [2]


def test_without_a_queue_of_its_own_the_projects_postgres_is_made_and_used(tmp_path: Path) -> None:
    config = {key: value for key, value in configuration("").items() if key != "webhook_queue"}
    folder = tmp_path / ".eventgen" / "postgres"
    try:
        with receiving(tmp_path, config) as receiver:
            assert receiver.post(event(1, 5)).status == 200
        run = tap(tmp_path, config)
        assert [record["id"] for record in run.records] == [1]
        assert embedded.url(folder) is not None
    finally:
        embedded.remove(folder)


def test_without_a_queue_and_without_the_target_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(
        ConfigurationError,
        match="target-eventgen, whose embedded Postgres it would be, is not installed; set webhook_queue",
    ):
        open_queue("")


def test_the_plan_of_webhooks_says_what_they_can_not_promise(tmp_path: Path) -> None:
    config = configuration("")
    said = tap(tmp_path, config, "plan").out
    assert "what was never sent is not found: give the stream a path for that" in " ".join(said.split())
    polled = configuration("", path="/things", base_url="http://127.0.0.1:9", params={"since": "{cursor.updated_at}"})
    assert "what waits in the queue of webhooks comes out first" in tap(tmp_path, polled, "plan").out


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"primary_key": []}, "source: webhooks needs primary_key"),
    "no schema": ({"schema": None}, "has no list to infer a schema from; declare `schema`"),
    "no source": ({"name": "other"}, "stream other: source is webhooks, but no source sends notifications of it"),
    "children": ({"path": "/a/{parent.x.id}", "base_url": "http://x"}, "source: webhooks doesn't go with parents"),
}


def test_an_object_that_is_to_be_fetched_needs_an_api() -> None:
    route = {"stream": "things", "fetch_path": "/things/{event.data.id}"}
    with pytest.raises(ConfigurationError, match="the stream things has no base_url; set it"):
        read_settings(configuration("", {"streams": [route]}))


@pytest.mark.parametrize("what", FAULTS)
def test_a_stream_that_can_not_take_webhooks_is_a_fault_with_a_remedy(what: str) -> None:
    changed, said = FAULTS[what]
    config = configuration("", **changed)
    with pytest.raises(ConfigurationError) as caught:
        plans_for(read_settings(config))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "kind"), [("github", "X-GitHub-Event"), ("shopify", "X-Shopify-Topic"), ("stripe", "")]
)
def test_type_and_id_lie_where_the_senders_of_a_scheme_put_them(scheme: str, kind: str) -> None:
    config = configuration("", {"signature": {"type": scheme}, "streams": [{"stream": "things", "types": ["a/b"]}]})
    received = webhooks_in(config)
    assert received.webhooks is not None
    (source,) = received.webhooks.sources
    channels = channels_of(source, {plan.stream.name: plan for plan in plans_for(read_settings(config))})
    body = b'{"type": "a/b", "data": {"id": 1}}'
    ids = {"x-github-delivery": "1", "x-shopify-webhook-id": "1"}
    headers = {kind.lower(): "a/b"} if kind else {}
    (found,) = notifications(source, channels, {**headers, **ids}, content_of({}, body, 1000))
    assert (found.kind, found.digest is not None) == ("a/b", bool(kind))
    assert (
        not notifications(source, channels, {**headers, **ids, kind.lower(): "a/c"}, content_of({}, body, 1000))
        or not kind
    )


RECEIVED = webhooks_in(configuration(""))
assert RECEIVED.webhooks is not None
(SOURCE,) = RECEIVED.webhooks.sources
CHANNELS = channels_of(SOURCE, {plan.stream.name: plan for plan in plans_for(read_settings(configuration("")))})


@settings(max_examples=50, deadline=None)
@given(
    body=st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["type", "data", "id", "x", "updated_at"]), inner)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_an_authentic_sender_sends_is_stored_as_it_came_or_refused(body: bytes) -> None:
    try:
        found = notifications(SOURCE, CHANNELS, {"webhook-id": "x"}, content_of({}, body, 100_000))
    except Refusal:
        return
    assert all(each.body == body.decode() or isinstance(json.loads(body), list) for each in found)
    for each in found:  # what was taken can be drained
        assert changes_in(CHANNELS[0], each.kind, json.loads(each.body), "2026-01-01T00:00:00Z")
