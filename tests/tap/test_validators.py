"""A sweep of one answer asks only for changes since the pass that STATE confirms, and never takes a 304 for more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.cli.plan_report import preview
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.validators import Validator, fingerprint, validator_of
from tests.support.api import Asked, Reply, serving
from tests.support.processes import Run, tap
from tests.support.streams import config, plan, stream

NOW = 1_770_000_000
OLDER, NOW_TOLD = formatdate(NOW - 60, usegmt=True), formatdate(NOW, usegmt=True)
GET = {"name": "things", "path": "/things", "sweep": True}


@dataclass
class Shelf:
    """An API of one answer, with an ETag by its content where it has one."""

    rows: dict[int, int] = field(default_factory=lambda: {1: 1, 2: 1})
    weak: bool = False
    tagged: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    replies: list[int] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """What the list is known by."""
        return f'{"W/" if self.weak else ""}"{sorted(self.rows.items())}"'.replace(" ", "")

    def __call__(self, asked: Asked) -> Reply:
        known = asked.headers.get("if-none-match"), asked.headers.get("if-modified-since")
        headers = {"ETag": self.tag} if self.tagged else dict(self.headers)
        same = known[0] == self.tag if self.tagged else known[1] is not None and known[1] == headers["Last-Modified"]
        self.replies.append(304 if same else 200)
        if same:
            return Reply(status=304, headers=headers)
        return Reply([{"id": number, "rev": rev} for number, rev in self.rows.items()], headers=headers)


def swept(folder: Path, url: str, state: Any = None, **keys: Any) -> Run:
    """A run of the sweep."""
    schema = {"properties": {"id": {"type": "integer"}, "rev": {"type": ["integer", "null"]}}}
    run = tap(folder, config(url, **{"sweep": True, "schema": schema, **keys}), state=state)
    assert run.code == 0, run.err
    return run


@pytest.mark.parametrize("weak", [False, True])
def test_an_unchanged_list_is_not_sent_again_and_is_a_whole_sweep(tmp_path: Path, *, weak: bool) -> None:
    with serving(shelf := Shelf(weak=weak)) as api:
        first = swept(tmp_path, api.url)
        second = swept(tmp_path, api.url, first.states[-1])
        third = swept(tmp_path, api.url, second.states[-1])
        shelf.rows = {1: 1, 3: 1}
        fourth = swept(tmp_path, api.url, third.states[-1])
    assert shelf.replies == [200, 304, 304, 200]
    assert "if-none-match" not in api.asked[0].headers
    assert [len(run.records) for run in (first, second, third)] == [2, 0, 0]
    assert "304" in second.err
    numbers = [run.states[-1]["bookmarks"]["things"]["sweep"]["number"] for run in (first, second, third, fourth)]
    assert numbers == sorted(set(numbers))
    assert [(record["id"], "_sdc_deleted_at" in record) for record in fourth.records] == [(3, False), (2, True)]


def test_a_pass_that_state_does_not_confirm_is_asked_for_whole(tmp_path: Path) -> None:
    with serving(shelf := Shelf()) as api:
        confirmed = swept(tmp_path, api.url).states[-1]
        shelf.rows[2] = 2
        lost = swept(tmp_path, api.url, confirmed)
        again = swept(tmp_path, api.url, confirmed)
        anew = swept(tmp_path, api.url)
    assert shelf.replies == [200] * 4
    assert lost.records == again.records == [{"id": 2, "rev": 2}]
    assert len(anew.records) == 2
    assert ["if-none-match" in asked.headers for asked in api.asked] == [False, True, False, False]


def test_a_run_that_never_got_its_answer_costs_the_validator_nothing(tmp_path: Path) -> None:
    with serving(shelf := Shelf()) as api:
        state = swept(tmp_path, api.url).states[-1]
        broken = tap(tmp_path, config("http://127.0.0.1:9", sweep=True, max_attempts=1), state=state)
        assert broken.code == 1
        api.answers = lambda _: Reply(status=500)
        assert tap(tmp_path, config(api.url, sweep=True, max_attempts=1), state=state).code == 1
        api.answers = shelf
        assert swept(tmp_path, api.url, state).records == []
    assert shelf.replies == [200, 304]


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "/things?all=1"},
        {"params": {"all": 1}},
        {"headers": {"X-Tenant": "b"}},
        {"auth": {"type": "bearer"}, "auth_token": "t"},
        {"validator": "none"},
        {"method": "POST"},
        {"paginator": {"type": "single_page", "limit": 100}},
    ],
    ids=str,
)
def test_another_request_has_no_use_for_the_validator(tmp_path: Path, changed: dict[str, Any]) -> None:
    with serving(shelf := Shelf()) as api:
        state = swept(tmp_path, api.url).states[-1]
        swept(tmp_path, api.url, state, **changed)
    assert shelf.replies == [200, 200]
    assert "if-none-match" not in api.asked[-1].headers


def test_last_modified_is_believed_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    shelf = Shelf(tagged=False, headers={"Last-Modified": OLDER, "Date": NOW_TOLD})
    with serving(shelf) as api:
        state = swept(tmp_path, api.url).states[-1]
        state = swept(tmp_path, api.url, state).states[-1]
        state = swept(tmp_path, api.url, state, validator="last_modified").states[-1]
        swept(tmp_path, api.url, state, validator="last_modified")
    assert shelf.replies == [200, 200, 200, 304]
    assert api.asked[-1].headers["if-modified-since"] == OLDER


def test_a_304_that_nobody_asked_for_is_reported_with_its_remedy(tmp_path: Path) -> None:
    with serving(lambda _: Reply(status=304)) as api:
        run = tap(tmp_path, config(api.url, sweep=True))
        mine = tap(tmp_path, config(api.url, sweep=True, headers={"If-None-Match": '"x"'}))
    for each in (run, mine):
        assert each.code == 1
        (line,) = each.told
        assert "stream things: GET " in line
        assert "answered 304" in line
        assert "take If-None-Match and If-Modified-Since out of headers" in line


def test_a_304_to_a_cursor_in_if_modified_since_is_an_empty_list_by_a_rule(tmp_path: Path) -> None:
    """Row 9b: the filter is a header, and nothing is new."""

    def answers(asked: Asked) -> Reply:
        if "if-modified-since" in asked.headers:
            return Reply(status=304)
        return Reply([{"id": 1, "updated_at": "2025-01-01T00:00:00Z"}])

    with serving(answers) as api:
        settings = config(
            api.url,
            headers={"If-Modified-Since": "{cursor.updated_at}"},
            incremental={"cursor_path": "updated_at"},
            response_rules=[{"http_codes": [304], "action": "IGNORE"}],
        )
        first = tap(tmp_path, settings)
        second = tap(tmp_path, settings, state=first.states[-1])
    assert (first.code, second.code) == (0, 0), second.err
    assert "2025-01-01T00:00:00Z" in [asked.headers.get("if-modified-since") for asked in api.asked]
    assert second.records == []


def test_what_a_redirect_led_to_is_known_by_nothing(tmp_path: Path) -> None:
    shelf = Shelf()

    def answers(asked: Asked) -> Reply:
        return shelf(asked) if asked.path == "/there" else Reply(status=302, headers={"Location": "/there"})

    with serving(answers) as api:
        state = swept(tmp_path, api.url).states[-1]
        assert swept(tmp_path, api.url, state).records == []
    assert shelf.replies == [200, 200]
    assert not any("if-none-match" in asked.headers for asked in api.asked)


@pytest.mark.parametrize(
    ("headers", "believed", "known"),
    [
        ({"etag": '"a b"'}, "etag", None),
        ({"etag": "bare"}, "etag", None),
        ({"etag": 'w/"a"'}, "etag", None),
        ({"etag": '""'}, "etag", Validator("etag", '""')),
        ({"etag": ' W/"é" '}, "etag", Validator("etag", 'W/"é"')),
        ({"etag": '"a"', "last-modified": OLDER, "date": NOW_TOLD}, "last_modified", Validator("etag", '"a"')),
        ({"last-modified": OLDER, "date": NOW_TOLD}, "last_modified", Validator("last-modified", OLDER)),
        ({"last-modified": OLDER, "date": NOW_TOLD}, "etag", None),
        ({"last-modified": OLDER}, "last_modified", None),
        ({"last-modified": formatdate(NOW - 1, usegmt=True), "date": NOW_TOLD}, "last_modified", None),
        ({"last-modified": "yesterday", "date": NOW_TOLD}, "last_modified", None),
        ({"etag": '"a"'}, "none", None),
    ],
)
def test_an_answer_is_known_by_what_is_well_formed_and_believed(
    headers: dict[str, str], believed: str, known: Validator | None
) -> None:
    assert validator_of(stream(sweep=True, validator=believed), Answer("http://a", facts_of(200, headers), [])) == known
    assert validator_of(stream(sweep=True, validator=believed), Answer("http://a", facts_of(206, headers), [])) is None


def test_a_fingerprint_contains_no_secret_and_no_password_decides_it() -> None:
    basic = {"auth": {"type": "http_basic"}, "auth_username": "me"}
    one, other = (fingerprint(stream(**basic, auth_password=word)) for word in ("s3cret", "another"))
    assert one == other
    assert len(one) == 32
    assert one != fingerprint(stream(**{**basic, "auth_username": "you"}, auth_password="s3cret"))


def test_plan_says_where_an_etag_is_used() -> None:
    assert "304    where the API sends an ETag the next sweep asks by it" in preview(plan(sweep=True), None)
    assert "304 " not in preview(plan(sweep=True, validator="none"), None)
    assert "304 " not in preview(plan(sweep=True, paginator={"type": "offset", "limit": 5}), None)
