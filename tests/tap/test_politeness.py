"""A polite client: it keeps to rates, slows down before it is refused, ends where a quota is empty, and obeys rules."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError, NoAnswerError, QuotaError
from tap_restextract.http.client import Client
from tap_restextract.http.pacing import Pacers
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Answers, Asked, Reply, scripted, serving
from tests.support.processes import tap
from tests.support.streams import COMPOUND, SCHEMA, config, stream

LOG = logging.getLogger("test")
GOOD = Reply([{"id": 1}])


def client(url: str, pacers: Pacers | None = None, **keys: Any) -> Client:
    return Client(stream(base_url=url, **keys), TokenKeeper(), LOG, "0", pacers)


def fetched(answers: Answers, **keys: Any) -> tuple[Page, list[Asked]]:
    with serving(answers) as api, closing(client(api.url, **keys)) as only:
        return only.page(PageRequest()), api.asked


class Limited:
    """An API that allows so many requests a window, says so as it is told to, and counts its refusals."""

    def __init__(self, limit: int, window: float, told: Any) -> None:
        self.limit, self.window, self.told = limit, window, told
        self.began = self.spent = self.refused = 0.0
        self.lock = threading.Lock()

    def __call__(self, _: Asked) -> Reply:
        with self.lock:
            now = time.monotonic()
            if now - self.began >= self.window:
                self.began, self.spent = now, 0
            self.spent += 1
            left, reset = self.limit - self.spent, self.window - (now - self.began)
            if left < 0:
                self.refused += 1
                self.began = -self.window  # who comes again has waited
                return Reply({"message": "slow down"}, 429, {"Retry-After": "1"})
            return Reply([{"id": 1}], 200, self.told(self.limit, left, reset))


WRITINGS = {
    "structured": lambda limit, left, reset: {
        "RateLimit": f'"default";r={left};t={reset + 1:.0f}',
        "RateLimit-Policy": f'"default";q={limit};w=2',
    },
    "three fields": lambda limit, left, reset: {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": f"{reset + 1:.0f}",
    },
    "X-RateLimit, epoch": lambda limit, left, reset: {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": f"{time.time() + reset + 1:.0f}",
    },
    "seconds": lambda _, left, reset: {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": f"{reset:.3f}"},
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("threads", [1, 4])
def test_a_quota_in_headers_is_obeyed_without_one_refusal(writing: str, threads: int) -> None:
    api = Limited(20, 1.0, WRITINGS[writing])
    with serving(api) as server, closing(client(server.url)) as only:

        def work() -> None:
            for _ in range(28 // threads):
                only.page(PageRequest())

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(server.asked) == 28
    assert api.refused == 0


def test_without_quota_headers_the_same_api_refuses() -> None:
    api = Limited(20, 3600.0, lambda *_: {})
    with serving(api) as server, closing(client(server.url)) as only:
        for _ in range(28):
            only.page(PageRequest())
    assert api.refused > 0


def test_a_rate_limit_is_shared_by_threads_and_streams_of_one_host() -> None:
    pacers = Pacers()
    with serving(scripted(GOOD)) as api:
        clients = [client(api.url, pacers, rate_limit="10/s", path=path) for path in ("/a", "/b")]
        threads = [
            threading.Thread(target=lambda only=only: [only.page(PageRequest()) for _ in range(4)])
            for only in clients * 2
        ]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - start
        for only in clients:
            only.close()
    assert len(api.asked) == 16
    assert took >= 15 * 0.1


def test_other_credentials_have_a_pace_of_their_own() -> None:
    pacers = Pacers()
    with serving(scripted(GOOD)) as api:
        start = time.monotonic()
        for token in ("a", "b", "c", "d"):
            keys = {"rate_limit": "1/m", "auth": {"type": "bearer"}, "auth_token": token}
            with closing(client(api.url, pacers, **keys)) as only:
                only.page(PageRequest())
        assert time.monotonic() - start < 50


def test_retries_keep_to_the_rate_too() -> None:
    soon = Reply(b"", 503, {"Retry-After": "0"})
    start = time.monotonic()
    fetched(scripted(soon, soon, GOOD), rate_limit="5/s")
    assert time.monotonic() - start >= 0.4


def test_rate_limits_do_not_count_as_attempts() -> None:
    busy = [Reply(b"", 429, {"Retry-After": "0"})] * 3
    _, asked = fetched(scripted(*busy, GOOD), max_attempts=3)
    assert len(asked) == 4


def test_a_server_that_says_now_for_ever_is_asked_more_slowly_and_then_given_up() -> None:
    with serving(scripted(Reply(b"", 429, {"Retry-After": "0"}))) as api:
        with closing(client(api.url, max_attempts=2, max_wait=2)) as only, pytest.raises(QuotaError) as caught:
            only.page(PageRequest())
        assert len(api.asked) < 10
    assert "answered 429" in str(caught.value)
    assert "more than max_wait (2 s) allows" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (429, {"Retry-After": "4000"}, "answered 429 with Retry-After 4000 s"),
        (503, {"Retry-After": "4000"}, "answered 503 with Retry-After 4000 s"),
        (
            429,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000"},
            "answered 429 with a quota that is empty for 4000 s",
        ),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000"},
            "answered 403 with a quota that is empty for 4000 s",
        ),
        (403, {"Retry-After": "4000"}, "answered 403 with Retry-After 4000 s"),
    ],
)
def test_a_wait_beyond_max_wait_ends_the_run_at_once(status: int, headers: dict[str, str], told: str) -> None:
    with pytest.raises(QuotaError) as caught:
        fetched(scripted(Reply(b"", status, headers)))
    assert told in str(caught.value)
    assert "stream things: GET " in str(caught.value)


def test_a_403_with_something_left_of_the_quota_is_not_a_rate_limit() -> None:
    with pytest.raises(AnswerError, match="answered 403"):
        fetched(scripted(Reply(b"", 403, {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "4000"})))


def test_a_403_with_an_empty_quota_is_tried_again_after_its_reset() -> None:
    page, asked = fetched(scripted(Reply(b"", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), GOOD))
    assert len(page.records) == 1
    assert len(asked) == 2


def test_a_403_that_says_how_long_to_wait_is_a_limit_though_something_is_left_of_the_quota() -> None:
    secondary = {"Retry-After": "1", "X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": "9"}
    refusal = Reply({"message": "You have exceeded a secondary rate limit"}, 403, secondary)
    page, asked = fetched(scripted(refusal, GOOD), max_attempts=1)
    assert len(page.records) == 1
    assert len(asked) == 2


@pytest.mark.parametrize("header", ["", "soon", "-1", "0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_403_that_says_no_time_to_wait_is_a_refusal(header: str) -> None:
    with pytest.raises(AnswerError, match="answered 403 without a reason; the credentials lack the right"):
        fetched(scripted(Reply(b"", 403, {"Retry-After": header})))


def test_a_403_that_stays_ends_by_max_wait_with_the_apis_words() -> None:
    reply = Reply({"message": "banned"}, 403, {"Retry-After": "0.2"})
    with pytest.raises(QuotaError, match=r"answered 403 \(banned\) for 1 s of waiting, more than max_wait"):
        fetched(scripted(reply), max_wait=1)


PAGES = {**COMPOUND, "records": "$"}


@pytest.mark.parametrize(("keys", "code"), [({}, 75), ({"quota_exit_code": 0}, 0), ({"quota_exit_code": 3}, 3)])
def test_an_empty_quota_ends_the_run_with_its_code_and_the_next_run_goes_on(
    tmp_path: Path, keys: dict[str, Any], code: int
) -> None:
    records = [{"id": key, "updated_at": f"2026-01-01T00:00:0{key}Z"} for key in range(1, 6)]

    def answers(asked: Asked) -> Reply:
        behind = [record for key, record in enumerate(records, 1) if key > int(asked.params.get("after", 0))][:2]
        left = 0 if limited and len(api.asked) > 1 else 50
        return Reply(behind, 200, {"RateLimit": f'"day";r={left};t={9000 if limited else 1}'})

    limited = True
    with serving(answers) as api:
        first = tap(tmp_path, config(api.url, **PAGES, **keys))
        assert first.code == code
        (told,) = first.told
        assert "would be refused: the API's quota is empty for 9000 s, more than max_wait (3600 s) allows" in told
        assert "Traceback" not in first.err
        assert len(api.asked) == 2
        limited = False
        second = tap(tmp_path, config(api.url, **PAGES, **keys), state=first.states[-1])
        assert second.code == 0
    assert [record["id"] for record in first.records + second.records] == [1, 2, 3, 4, 5]


def rule(action: str, **conditions: Any) -> dict[str, Any]:
    return {"response_rules": [{"action": action, **conditions}]}


SLACK = Reply({"ok": False, "error": "ratelimited"}, 200, {"Retry-After": "0"})


@pytest.mark.parametrize(
    ("keys", "reply"),
    [
        (rule("RETRY", http_codes=[404]), Reply({"message": "not yet"}, 404, {"Retry-After": "0"})),
        (rule("RETRY", error_message_contains="NOT yet"), Reply({"errors": [{"message": "not Yet there"}]}, 400)),
        (rule("RETRY", error_message_contains="maintenance"), Reply(b"<h1>Maintenance</h1>", 404)),
        (rule("RETRY", error_message_contains="maintenance"), Reply(b"<h1>Maintenance</h1>")),
        (rule("RATE_LIMITED", predicate="error", equals="ratelimited"), SLACK),
        (rule("RATE_LIMITED", predicate="ok", equals=False), SLACK),
        (
            rule("RATE_LIMITED", predicate="$.errors[?(@.code=='THROTTLED')]"),
            Reply({"errors": [{"code": "THROTTLED"}]}),
        ),
    ],
)
def test_a_rule_may_call_for_another_try(keys: dict[str, Any], reply: Reply) -> None:
    page, asked = fetched(scripted(reply, GOOD), **keys)
    assert len(page.records) == 1
    assert len(asked) == 2


def test_an_ignored_answer_is_an_empty_last_page_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    paginator = {"type": "page_number", "has_more_path": "more"}
    keys = {**rule("IGNORE", http_codes=[404, 410]), "paginator": paginator, "records": "data"}
    page, _ = fetched(scripted(Reply({"message": "no such list"}, 404)), **keys)
    assert (list(page.records), page.following) == ([], None)
    assert "answered 404, which response_rules[0] (IGNORE) takes for an empty last page" in caplog.text


def test_a_rule_may_refuse_what_has_a_good_status_and_states_its_remedy() -> None:
    keys = rule("FAIL", predicate="error", error_message="ask for the scope channels:read")
    with pytest.raises(AnswerError) as caught:
        fetched(scripted(Reply({"ok": False, "error": "missing_scope"})), **keys)
    assert "was answered 200 (missing_scope); response_rules[0] (FAIL) refuses it: ask for the scope" in str(
        caught.value
    )


def test_a_rule_may_refuse_at_once_what_would_be_tried_again() -> None:
    with (
        serving(scripted(Reply({"message": "bad query"}, 500))) as api,
        closing(client(api.url, **rule("FAIL", http_codes=[500], error_message_contains="bad query"))) as only,
    ):
        with pytest.raises(AnswerError):
            only.page(PageRequest())
        assert len(api.asked) == 1


def test_a_retry_that_never_helps_names_its_rule() -> None:
    with pytest.raises(NoAnswerError, match=r"answered 404, which is a case of response_rules\[0\] \(RETRY\), 2 times"):
        fetched(scripted(Reply(b"", 404, {"Retry-After": "0"})), **rule("RETRY", http_codes=[404]), max_attempts=2)


def test_the_first_rule_whose_conditions_are_all_true_decides() -> None:
    rules = [
        {"action": "IGNORE", "http_codes": [403], "error_message_contains": "archived"},
        {"action": "FAIL", "http_codes": [403], "error_message": "second"},
        {"action": "IGNORE", "http_codes": [403]},
    ]
    with pytest.raises(AnswerError, match=r"response_rules\[1\] \(FAIL\) refuses it: second"):
        fetched(scripted(Reply({"message": "forbidden"}, 403)), response_rules=rules)
    assert fetched(scripted(Reply({"message": "it is Archived"}, 403)), response_rules=rules)[0].records == []


def test_a_good_page_that_fits_no_rule_is_a_page() -> None:
    rules = [
        {"action": "FAIL", "predicate": "error"},
        {"action": "FAIL", "error_message_contains": "x"},
        {"action": "FAIL", "predicate": "ok", "equals": 1},
    ]
    reply = Reply({"data": [{"id": 1, "message": "x"}], "error": None, "ok": True})
    assert len(fetched(scripted(reply), response_rules=rules, records="data")[0].records) == 1


def test_a_rule_may_ask_for_another_access_token() -> None:
    issued: list[str] = []

    def answers(asked: Asked) -> Reply:
        if asked.path == "/token":
            issued.append(f"t{len(issued)}")
            return Reply({"access_token": issued[-1]})
        old = asked.headers["authorization"] == "Bearer t0"
        return Reply({"error": {"message": "session expired"}}, 400) if old else GOOD

    with serving(answers) as api:
        keys: dict[str, Any] = rule("REFRESH_TOKEN", http_codes=[400], error_message_contains="expired")
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"{api.url}/token"}
        with closing(client(api.url, auth=auth, auth_client_id="i", auth_client_secret="s", **keys)) as only:
            assert len(only.page(PageRequest()).records) == 1
    assert issued == ["t0", "t1"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"action": "IGNORE"}, "response_rules[0] fits every answer; give it http_codes"),
        ({"action": "IGNOER", "http_codes": [404]}, "response_rules[0].action: 'IGNOER' is none of RETRY, "),
        ({"http_codes": [404]}, "response_rules[0]: the key 'action' is missing"),
        ({"action": "FAIL", "http_code": [404]}, "unknown key 'http_code'; did you mean 'http_codes'?"),
        ({"action": "FAIL", "http_codes": [99]}, "response_rules[0].http_codes[0]: a whole number of at least 200"),
        ({"action": "FAIL", "predicate": "a["}, "response_rules[0].predicate: 'a[' is not a JSONPath"),
        ({"action": "FAIL", "http_codes": [404], "equals": 1}, "has equals without a predicate"),
        ({"action": "REFRESH_TOKEN", "http_codes": [400]}, "REFRESH_TOKEN needs an auth type with a token to refresh"),
        ({"action": "IGNORE", "http_codes": [404]}, "IGNORE would make a sweep take what an answer hides for deleted"),
        ("IGNORE", "response_rules[0]: a mapping is needed, not a string"),
    ],
)
def test_faults_of_rules_are_reported_with_all_others(given: Any, told: str) -> None:
    faulty = config(response_rules=[given], sweep=True, pat="x", schema=SCHEMA)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(faulty)
    assert told in str(caught.value)
    assert "unknown key 'pat'" in str(caught.value)


@pytest.mark.parametrize("rate", ["0/s", "10", "10/", "ten/s", "10/0s", "-1/s", "1/s ", 10])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="rate_limit"):
        read_settings(config(rate_limit=rate))
