"""Children of parents: what can't be read for now, and what their keys and lists may contradict."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError, WalkError
from tap_restextract.plan.plan import plans_for
from tap_restextract.walks import child_keys
from tap_restextract.walks.child_keys import ChildKeys
from tests.support.api import Api, Asked, Reply, serving
from tests.support.processes import tap
from tests.support.runs import Runs

SINCE: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "order": "none", "filter": "inclusive"},
}
ASCENDING: dict[str, Any] = {"params": SINCE["params"], "incremental": {"cursor_path": "updated_at"}}
MESSAGE: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}},
}
IGNORED = [{"action": "IGNORE", "http_codes": [403]}]


def config(api: Api, **keys: Any) -> dict[str, Any]:
    """Channels, and the messages of each."""
    return config_at(api.url, **keys)


def config_at(url: str, **keys: Any) -> dict[str, Any]:
    """The same, of an API at this address."""
    channels = {"name": "channels", "path": "/channels", "primary_key": ["id"], **keys.pop("parents", {})}
    messages = {
        "name": "messages",
        "path": "/channels/{parent.channels.id}/messages",
        "primary_key": ["id"],
        "schema": MESSAGE,
        **keys,
    }
    return {"base_url": url, "records": "data", "streams": [channels, messages]}


class Channels:
    """Two channels with two old messages each; `refusal` is the answer of the second one's while it can't be read."""

    def __init__(self, refusal: Reply | None = None) -> None:
        self.refusal = refusal
        self.messages: dict[int, list[dict[str, Any]]] = {
            channel: [{"id": 10 * channel + each, "updated_at": f"2026-01-0{each}T00:00:00Z"} for each in (1, 2)]
            for channel in (1, 2)
        }
        self.since: list[str | None] = []

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply({"data": [{"id": channel} for channel in self.messages]})
        channel = int(asked.path.split("/")[2])
        since = asked.params.get("since")
        if channel == 2:
            self.since.append(since)
            if self.refusal is not None:
                return self.refusal
        return Reply(
            {"data": [each for each in self.messages[channel] if since is None or each["updated_at"] >= since]}
        )


REFUSALS = {
    "403, ignored": Reply({"error": "not_in_channel"}, 403),
    "an error beside an empty list": Reply({"data": [], "errors": [{"message": "try later"}]}),
    "404": Reply({}, 404),
}


BOTH = pytest.mark.parametrize("facts", [SINCE, ASCENDING], ids=["unordered", "ascending"])


@BOTH
@pytest.mark.in_process
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_parent_that_could_not_be_read_is_read_from_its_beginning_once_it_can_be(
    refusal: str, facts: dict[str, Any]
) -> None:
    channels = Channels(REFUSALS[refusal])
    with serving(channels.answer) as api, Runs(config(api, **facts, response_rules=IGNORED)) as runs:
        first = runs.run()
        assert first.ids == [11, 12]
        assert len(first.notices) == (refusal != "404")
        channels.refusal = None
        assert runs.run().ids == [21, 22]
        assert runs.run().ids == []


@BOTH
@pytest.mark.in_process
def test_a_parent_that_was_read_before_goes_on_from_where_it_was_once_it_can_be_read_again(
    facts: dict[str, Any],
) -> None:
    channels = Channels()
    with serving(channels.answer) as api, Runs(config(api, **facts, response_rules=IGNORED)) as runs:
        assert runs.run().ids == [11, 12, 21, 22]
        channels.refusal = REFUSALS["403, ignored"]
        for _ in range(2):
            assert runs.run().ids == []
        assert channels.since[-1] == channels.since[-2] is not None
        channels.refusal = None
        channels.messages[2].append({"id": 29, "updated_at": "2100-12-01T00:00:00Z"})
        assert runs.run().ids == [29]
        assert channels.since[-1] == channels.since[-2]


@pytest.mark.in_process
@pytest.mark.parametrize("order", ["asc", "none"])
@pytest.mark.parametrize(
    ("form", "facts"),
    [
        ("%Y-%m-%d", {"timezone": "UTC", "initial_value": "2026-01-01"}),
        ("%Y-%m-%d", {"timezone": "UTC", "initial_value": "2026-01-01T00:00:00"}),
        ("%d.%m.%Y", {"timezone": "UTC", "initial_value": "01.01.2026", "cursor_formats": ["%d.%m.%Y"]}),
    ],
)
def test_a_child_of_today_that_comes_later_today_is_not_before_the_bookmark(
    form: str, facts: dict[str, Any], order: str
) -> None:
    """The floor was a moment of the day, before which a date lies: an API that compares the two left it out."""
    today = datetime.now(timezone.utc).strftime(form)
    listed: dict[int, list[tuple[int, str]]] = {1: [(11, today)], 2: [(21, today)]}

    def place(value: str) -> datetime:
        try:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None)
        except ValueError:
            return datetime.strptime(value, form)  # noqa: DTZ007  what the API shows

    def answer(asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply({"data": [{"id": channel} for channel in listed]})
        found, since = listed[int(asked.path.split("/")[2])], asked.params.get("since")
        shown = [(key, value) for key, value in found if since is None or place(value) >= place(since)]
        return Reply({"data": [{"id": key, "updated_at": value} for key, value in shown]})

    keys = {"params": SINCE["params"], "incremental": {"cursor_path": "updated_at", "order": order, **facts}}
    with serving(answer) as api, Runs(config(api, **keys)) as runs:
        assert runs.run().ids == [11, 21]
        listed[1].append((12, today))
        assert runs.run().ids == [12]
        listed[2].append((22, today))
        assert runs.run().ids == [22]
        assert runs.run().ids == []


def test_a_parent_that_could_not_be_read_is_told_once_a_run(tmp_path: Path) -> None:
    channels = Channels(REFUSALS["403, ignored"])
    listed = {"data": [{"id": each} for each in (1, 2, 3)]}

    def answer(asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply(listed)
        return REFUSALS["403, ignored"] if asked.path.split("/")[2] == "3" else channels.answer(asked)

    with serving(answer) as api:
        run = tap(tmp_path, config(api, **SINCE, response_rules=IGNORED))
        assert run.code == 0
        assert run.err.count("couldn't be read") == 1


@pytest.mark.in_process
def test_an_ignored_answer_behind_pages_that_are_counted_is_their_end() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply({"data": [{"id": 1}]})
        page = int(asked.params["page"])
        listed = [{"id": page * 2 + each, "updated_at": f"2026-01-0{page}T00:00:00Z"} for each in (0, 1)]
        return Reply({"data": listed}) if page < 4 else Reply({"code": "rest_post_invalid_page_number"}, 400)

    counted: dict[str, Any] = {
        "paginator": {"type": "page_number", "base_page": 1},
        "response_rules": [{"action": "IGNORE", "http_codes": [400]}],
        "parents": {"paginator": {"type": "single_page"}, "response_rules": []},
    }
    with serving(answer) as api, Runs(config(api, **SINCE, **counted)) as runs:
        came = runs.run()
        assert came.ids == [2, 3, 4, 5, 6, 7]
        assert came.notices == []
        assert "parents" not in runs.state


@pytest.mark.in_process
@pytest.mark.parametrize("way", ["gone", "not listed"])
def test_a_parent_that_was_gone_keeps_no_bookmark_of_its_own(way: str) -> None:
    channels = Channels()
    channels.messages[2].append({"id": 29, "updated_at": "2100-12-24T00:00:00Z"})
    with serving(channels.answer) as api, Runs(config(api, **SINCE)) as runs:
        runs.run()
        assert runs.state["parents"]
        held = channels.messages[2]
        if way == "gone":
            channels.refusal = REFUSALS["404"]
        else:
            del channels.messages[2]
        runs.run()
        assert "parents" not in runs.state
        channels.refusal, channels.messages[2] = None, held
        assert runs.run().ids == [21, 22, 29]


class Lines:
    """Two orders, the lines of each numbered from 1; `lines` makes an order's."""

    def __init__(self, lines: Callable[[int], list[dict[str, Any]]]) -> None:
        self.lines = lines

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply({"data": [{"id": "a"}, {"id": "b"}]})
        return Reply({"data": self.lines("ab".index(asked.path.split("/")[2]))})


def numbered(order: int) -> list[dict[str, Any]]:
    """The lines of an order."""
    return [{"id": line, "text": f"line {line} of {order}"} for line in (1, 2)]


@pytest.mark.in_process
def test_children_of_two_parents_with_the_same_key_are_told_with_the_key_to_add() -> None:
    with serving(Lines(numbered).answer) as api, Runs(config(api)) as runs:
        (notice,) = runs.run().notices
        assert "two parents have different records with the same primary key (id)" in notice
        assert notice.endswith("include_from_parent: [id], primary_key: [_channels_id, id]")
    with serving(Lines(numbered).answer) as api, Runs(config(api, include_from_parent=["name"])) as runs:
        (notice,) = runs.run().notices
        assert notice.endswith("include_from_parent: [name, id], primary_key: [_channels_id, id]")


def test_the_key_that_is_told_is_one_by_which_a_target_tells_the_children_apart(tmp_path: Path) -> None:
    with serving(Lines(numbered).answer) as api:
        said = tap(tmp_path, config(api, schema=None))
        assert said.err.count("primary_key: [_channels_id, id]") == 1
        told: dict[str, Any] = {"include_from_parent": ["id"], "primary_key": ["_channels_id", "id"]}
        run = tap(tmp_path, config(api, schema=None, **told))
        assert run.code == 0
        assert "primary_key" not in run.err
        keys = [(record["_channels_id"], record["id"]) for record in run.records if "text" in record]
        assert keys == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.in_process
def test_the_same_record_below_two_parents_and_one_that_left_one_of_them_are_told_as_nothing() -> None:
    with serving(Lines(lambda _: [{"id": 7, "text": "a user of both"}]).answer) as api, Runs(config(api)) as runs:
        assert runs.run().notices == []

    def moved(order: int) -> list[dict[str, Any]]:
        return [{"id": 7, "deleted": True}, {"id": 8}] if order == 0 else [{"id": 7, "deleted": False}]

    with serving(Lines(moved).answer) as api, Runs(config(api, deleted_path="deleted")) as runs:
        assert runs.run().notices == []


@pytest.mark.pure
def test_keys_of_children_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_keys, "MAX_REMEMBERED_KEYS", 3)
    listed = read_settings(config_at("http://api.test"))
    parents, plan = plans_for(listed)
    keys = ChildKeys(plan, parents)
    assert keys.shared("[1]", [{"id": 1}, {"id": 2}]) is None
    assert len(keys.seen) == 2
    assert keys.shared("[1]", [{"id": 3}]) is None
    assert keys.ended
    assert not keys.seen
    assert keys.shared("[2]", [{"id": 1, "other": True}]) is None


def test_a_stream_without_a_primary_key_is_told_once_a_run(tmp_path: Path) -> None:
    with serving(Lines(numbered).answer) as api:
        run = tap(tmp_path, config(api, primary_key=[]))
        assert run.err.count("has no primary_key") == 1
        assert "two parents" not in run.err


def test_a_parents_list_is_asked_for_once_for_all_samples_and_once_by_each_walk_of_children(tmp_path: Path) -> None:
    channels = Channels()
    with serving(channels.answer) as api:
        made = config(api, schema=None)
        made["streams"].append({**made["streams"][1], "name": "again"})
        run = tap(tmp_path, made)
        assert run.code == 0
        assert len(run.records) == 2 + 4 + 4
        assert [asked.path for asked in api.asked].count("/channels") == 1 + 2
        declared = {**made["streams"][0], "schema": MESSAGE}
        api.asked.clear()
        assert tap(tmp_path, {**made, "streams": [declared, *made["streams"][1:]]}).code == 0
        assert [asked.path for asked in api.asked].count("/channels") == 1 + 3


def answering(parents: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    """An API with one old message below each channel, whose list answers what a function says."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/channels":
            return parents(asked)
        message: dict[str, Any] = {"id": ord(asked.path.split("/")[2]), "updated_at": "2026-01-01T00:00:00Z"}
        return Reply({"data": [message] if asked.params.get("since", "") <= message["updated_at"] else []})

    return answer


@pytest.mark.in_process
@pytest.mark.parametrize(
    "facts",
    [
        {"params": {"after": "{cursor.id}"}, "incremental": {"cursor_path": "id", "filter": "exclusive"}},
        {
            "params": {"since": "{cursor.at}", "after": "{cursor.id}"},
            "incremental": {"cursor_path": "at", "tie_breaker": "id", "filter": "compound", "initial_value": 3},
        },
        {
            "params": {"since": "{cursor.at}"},
            "paginator": {"type": "single_page", "limit": 2},
            "incremental": {"cursor_path": "at"},
        },
    ],
    ids=["unique keyset", "compound keyset", "single page with a limit"],
)
def test_parents_whose_records_alone_lead_from_page_to_page_are_all_listed(facts: dict[str, Any]) -> None:
    names = "abcde"
    rows: list[dict[str, Any]] = [{"id": name, "at": place} for place, name in enumerate(names)]

    def parents(asked: Asked) -> Reply:
        since, after = asked.params.get("since"), asked.params.get("after")
        listed = [row for row in rows if after is None or row["id"] > after]
        listed = [row for row in listed if since is None or row["at"] >= int(since)]
        return Reply({"data": listed[:2]})

    with serving(answering(parents)) as api, Runs(config(api, **SINCE, parents=facts)) as runs:
        assert runs.run().ids == [*map(ord, names)]
        assert runs.run().ids == []


@pytest.mark.in_process
def test_parents_that_some_records_without_a_key_belong_to_need_a_paginator() -> None:
    facts = {
        "params": {"since": "{cursor.at}", "after": "{cursor.id}"},
        "incremental": {"cursor_path": "at", "tie_breaker": "id", "filter": "compound", "null_params": {"at": "null"}},
    }
    with pytest.raises(ConfigurationError, match="list parents by the paginator alone"):
        Runs(config_at("http://api.test", **SINCE, parents=facts))


@pytest.mark.in_process
@pytest.mark.parametrize("lacking", [{"name": "b"}, {"id": None, "name": "b"}])
def test_a_parent_without_its_key_stops_the_walk(lacking: dict[str, Any]) -> None:
    listed = Reply({"data": [{"id": "a"}, lacking]})
    error = "a parent has no id, its primary_key"
    with (
        serving(answering(lambda _: listed)) as api,
        Runs(config(api, **SINCE)) as runs,
        pytest.raises(AnswerError, match=error),
    ):
        runs.run()


@pytest.mark.in_process
def test_two_parents_with_one_key_whose_children_lie_apart_stop_the_walk() -> None:
    listed = Reply({"data": [{"id": "a", "kind": 1}, {"id": "b", "kind": 1}]})
    facts = {**SINCE, "parents": {"primary_key": ["kind"]}}
    with serving(answering(lambda _: listed)) as api, Runs(config(api, **facts)) as runs:
        with pytest.raises(WalkError, match=r"same primary key \(kind\).*\{parent.channels.id\}; correct the parents'"):
            runs.run()
        assert [asked.path for asked in api.asked].count("/channels") == 2


@pytest.mark.in_process
def test_a_parent_that_changes_and_moves_to_a_page_behind_while_the_list_is_read_is_no_fault() -> None:
    keys = {"a": 1, "b": 2, "c": 1}
    asked_for: list[int] = []

    def parents(asked: Asked) -> Reply:
        page = int(asked.params.get("cursor", 0))
        asked_for.append(page)
        # In the first reading a parent (1) is renamed, and moves to the second page.
        first = asked_for.count(0) == 1
        listed = (["a", "b"], ["c"])[page] if first else (["b"], ["c"])[page]
        following = 1 if page == 0 else None
        return Reply({"data": [{"key": keys[name], "id": name} for name in listed], "next": following})

    stable = {"type": "cursor", "cursor_path": "next", "stable": True}
    facts = {**SINCE, "parents": {"primary_key": ["key"], "paginator": stable}}
    with serving(answering(parents)) as api, Runs(config(api, **facts)) as runs:
        assert {*runs.run().ids} >= {ord("b")}
        assert asked_for == [0, 1, 0, 1]


@pytest.mark.in_process
def test_a_parents_list_that_could_not_be_read_leaves_state_where_it_was() -> None:
    channels = Channels()
    made: dict[str, Any] = {"response_rules": IGNORED, "parents": {"response_rules": IGNORED}}
    with serving(channels.answer) as api, Runs(config(api, **SINCE, **made)) as runs:
        assert runs.run().ids == [11, 12, 21, 22]
        state = runs.state
        api.answers = lambda asked: Reply({}, 403) if asked.path == "/channels" else channels.answer(asked)
        (notice,) = runs.run().notices
        assert "the parents' list couldn't be read" in notice
        assert runs.state == state
        failed = Reply({"data": [], "error": "try later"})
        api.answers = lambda asked: failed if asked.path == "/channels" else channels.answer(asked)
        with pytest.raises(WalkError, match="an empty list stands beside an error"):
            runs.run()
        assert runs.state == state
        api.answers = channels.answer
        channels.messages[2].append({"id": 29, "updated_at": "2100-01-01T00:00:00Z"})
        assert runs.run().ids == [29]


def test_a_path_below_which_no_parent_has_children_is_told(tmp_path: Path) -> None:
    channels = Channels()

    def answer(asked: Asked) -> Reply:
        return channels.answer(asked) if asked.path == "/channels" else Reply({"message": "no such route"}, 404)

    with serving(answer) as api:
        run = tap(tmp_path, config(api, **SINCE))
        assert run.code == 0
        assert "the children of all 2 parents were answered 404 or 410; correct path" in run.err
