"""The client against a real server: what is tried again, what is refused, and what is never sent or shown."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from typing import Any

import pytest
import requests
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError

from tap_restextract.errors import AnswerError, ApiError, ConfigurationError, NoAnswerError, TapError
from tap_restextract.exchange.auth import quota_identity
from tap_restextract.exchange.paginators import Link, Token
from tap_restextract.exchange.retry import TransientError
from tap_restextract.http.client import Client
from tap_restextract.http.failures import error_of
from tap_restextract.http.pacing import Pacers
from tap_restextract.http.session import _Pool
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Answers, Api, Asked, Reply, scripted, serving
from tests.support.streams import stream

pytestmark = pytest.mark.in_process

RECORDS = [{"id": 1}, {"id": 2}]
GOOD = Reply(RECORDS)
SOON = {"Retry-After": "0"}
LOG = logging.getLogger("test")


def fetched(api: Api, ask: PageRequest | None = None, **keys: Any) -> Page:
    """The page that the client makes of an answer."""
    with closing(Client(stream(base_url=api.url, **keys), TokenKeeper(), LOG, "0")) as client:
        return client.page(ask or PageRequest())


def refused(answers: Answers, kind: type[TapError] = ApiError, **keys: Any) -> tuple[str, list[Asked]]:
    """The message of the error that the answers lead to, and what was asked until then."""
    with serving(answers) as api:
        with pytest.raises(kind) as caught:
            fetched(api, **keys)
        assert "stream things" in str(caught.value)
        return str(caught.value), api.asked


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again_until_the_answer_is_good(status: int) -> None:
    with serving(scripted(Reply(b"", status, SOON), Reply(b"<html>", status, SOON), GOOD)) as api:
        assert list(fetched(api).records) == RECORDS
        assert len(api.asked) == 3


def test_retry_after_is_obeyed_whole_in_seconds_and_as_a_date() -> None:
    for header in (lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)):

        def answers(_: Asked, header: Callable[[], str] = header) -> Reply:
            return Reply(b"", 429, {"Retry-After": header()}) if len(api.asked) == 1 else GOOD

        with serving(answers) as api:
            start = time.monotonic()
            fetched(api)
            assert 0.9 <= time.monotonic() - start < 30


def test_a_wait_beyond_an_hour_ends_the_run_with_the_seconds_to_wait() -> None:
    message, asked = refused(scripted(Reply(b"", 429, {"Retry-After": "7200"})))
    assert "429 with Retry-After 7200 s" in message
    assert len(asked) == 1


def test_after_max_attempts_the_fault_is_reported_with_place_and_remedy() -> None:
    message, asked = refused(scripted(Reply(b"", 503, SOON)), NoAnswerError, max_attempts=3)
    assert len(asked) == 3
    assert "/things: answered 503, 3 times; check base_url, the API's health" in message


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "`tap-restextract plan` shows what is sent"),
        (401, "check the credentials"),
        (403, "the credentials lack the right"),
        (404, "check base_url and path"),
        (405, "check method"),
        (410, "check the request"),
        (422, "check params, headers and json"),
    ],
)
def test_a_refusal_is_not_tried_again_and_names_status_reason_and_remedy(status: int, remedy: str) -> None:
    message, asked = refused(scripted(Reply({"message": "no,\n  not you"}, status)), AnswerError)
    assert len(asked) == 1
    assert f"was answered {status} (no, not you); " in message
    assert remedy in message


def test_a_refusals_own_words_show_no_secret_and_are_bounded() -> None:
    answer = scripted(Reply({"error": {"message": "bad key s3cret " + "x" * 5000}}, 401))
    message, _ = refused(answer, AnswerError, auth={"type": "bearer"}, auth_token="s3cret")
    assert "s3cret" not in message
    assert len(message) < 600


def test_the_apis_own_reason_is_told_of_a_refusal_a_fault_that_stays_and_an_answer_without_records() -> None:
    reason = {"detail": [{"loc": ["query", "size"], "msg": "at most 100"}]}
    message, _ = refused(scripted(Reply(reason, 422)), AnswerError)
    assert "was answered 422 (query.size: at most 100); check params" in message
    message, _ = refused(scripted(Reply(b"too many ids", 400, {"Content-Type": "text/plain"})), AnswerError)
    assert "was answered 400 (too many ids); " in message
    message, _ = refused(scripted(Reply([{"message": "down", "errorCode": "E1"}], 503, SOON)), max_attempts=2)
    assert "answered 503, 2 times; check base_url" in message
    assert message.endswith(". The API says (E1: down)")
    message, _ = refused(scripted(Reply({"ok": False, "error": "not_in_channel"})), AnswerError, records="messages")
    assert "(an object with the keys ok, error)" in message
    assert message.endswith(". The API says what went wrong (not_in_channel)")


def test_a_rule_reads_no_list_of_records_for_an_errors_words() -> None:
    records = [{"id": 1, "errorCode": "E1", "message": "archived"}]
    rules = [{"action": "IGNORE", "error_message_contains": "archived"}]
    with serving(scripted(Reply(records))) as api:
        assert list(fetched(api, response_rules=rules).records) == records
    with serving(scripted(Reply(records, 400))) as api:
        assert list(fetched(api, response_rules=rules).records) == []


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            Reply(b"<html>sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
            "20 bytes of text/html that aren't JSON",
        ),
        (Reply(b'[{"id": 1}'), "that aren't JSON"),
        (Reply(b"\xff\xfe[]"), "that aren't JSON"),
        (Reply(b"[" * 200_000), "that aren't JSON"),
        (Reply(b""), "an empty body"),
        (Reply(b"  \n"), "an empty body"),
        (Reply(RECORDS, cut=3), "the answer was cut off"),
        (Reply(RECORDS, cut=3, gzipped=True), "the answer was cut off"),
        (Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), "failed (ContentDecodingError)"),
    ],
)
def test_an_answer_that_is_not_whole_json_is_reported_and_worth_another_try(reply: Reply, told: str) -> None:
    message, _ = refused(scripted(reply), NoAnswerError, max_attempts=1)
    assert told in message
    with serving(scripted(reply, GOOD)) as api:
        assert list(fetched(api, max_attempts=2).records) == RECORDS


@pytest.mark.parametrize(
    "reply",
    [
        Reply(RECORDS, gzipped=True),
        Reply(b"\xef\xbb\xbf" + json.dumps(RECORDS).encode()),
        Reply(RECORDS, headers={"Content-Type": "text/plain"}),
        Reply(RECORDS, status=201),
    ],
)
def test_a_good_answer_is_good_in_each_of_its_writings(reply: Reply) -> None:
    with serving(scripted(reply)) as api:
        assert list(fetched(api).records) == RECORDS


def test_half_of_a_surrogate_pair_does_not_stop_a_stream() -> None:
    body = rb'[{"id": "cut \ud83d"}, {"id": "\ud83d\ude00 \uDE00"}, {"id": "a path \\ud83d"}]'
    with serving(scripted(Reply(body))) as api:
        assert [record["id"] for record in fetched(api).records] == [
            "cut \ufffd",
            "\U0001f600 \ufffd",
            "a path \\ud83d",
        ]


def test_no_content_is_an_empty_page() -> None:
    with serving(scripted(Reply(status=204))) as api:
        page = fetched(api, records="data.items")
    assert page == Page([], None, page.server_time)


@pytest.mark.parametrize("gzipped", [False, True])
def test_an_answer_beyond_max_response_bytes_is_refused_before_it_fills_the_memory(*, gzipped: bool) -> None:
    reply = Reply([{"id": 1, "text": "x" * 100_000}], gzipped=gzipped)
    message, asked = refused(scripted(reply), max_response_bytes=50_000)
    assert "larger than max_response_bytes (50000); ask for smaller pages, or raise it" in message
    assert len(asked) == 1
    with serving(scripted(reply)) as api:
        assert len(fetched(api, max_response_bytes=200_000).records) == 1


@pytest.mark.parametrize(
    ("body", "records", "told"),
    [
        (
            {"data": {"rows": []}},
            "data.items",
            "no list of records at 'data.items' in the answer (an object with the keys data)",
        ),
        ([], "data", "(a list)"),
        ({}, "data", "(an empty object)"),
        ("hello", "$", "(a string)"),
        (5, "$", "(a number)"),
        (None, "data", "(null)"),
        ({"data": ["a"]}, "data", "a record at 'data' is not a JSON object"),
        ({"data": [{"id": 1}, None]}, "data", "a record at 'data' is not a JSON object"),
        ({"k" * 9000: 1}, "data", "no list of records"),
    ],
)
def test_records_that_are_not_where_they_should_be_are_reported_with_the_bodys_outline(
    body: Any, records: str, told: str
) -> None:
    message, asked = refused(scripted(Reply(body)), AnswerError, records=records)
    assert told in message
    assert "set `records`" in message
    assert len(asked) == 1
    assert len(message) < 600


def test_a_path_that_is_not_one_is_reported_with_its_stream() -> None:
    message, _ = refused(scripted(GOOD), ConfigurationError, records="data[")
    assert "'data[' is not a JSONPath" in message


def test_a_paginators_fault_names_stream_and_address() -> None:
    paginator = {"type": "page_number", "has_more_path": "more"}
    message, _ = refused(scripted(Reply({"data": RECORDS})), AnswerError, records="data", paginator=paginator)
    assert "/things?page=0: there is no boolean at more" in message


def test_a_connection_that_nobody_takes_is_reported_without_a_traceback() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with (
            closing(Client(stream(base_url=url, max_attempts=1), TokenKeeper(), LOG, "0")) as client,
            pytest.raises(NoAnswerError, match=r"/things: the connection was refused, 1 time; check base_url"),
        ):
            client.page(PageRequest())


def test_a_server_without_tls_is_distinguished_from_one_whose_certificate_is_invalid() -> None:
    with serving(scripted(Reply([]))) as api, pytest.raises(NoAnswerError, match="doesn't speak TLS"):
        fetched(api, path=api.url.replace("http:", "https:"), max_attempts=1)


def test_a_host_without_an_address_is_reported() -> None:
    with (
        closing(Client(stream(base_url="http://nowhere.invalid", max_attempts=1), TokenKeeper(), LOG, "0")) as client,
        pytest.raises(NoAnswerError, match="the host's name can't be resolved"),
    ):
        client.page(PageRequest())


def test_an_answer_that_does_not_come_in_time_is_reported() -> None:
    message, _ = refused(scripted(Reply(RECORDS, delay=10.0)), NoAnswerError, timeout=0.2, max_attempts=1)
    assert "no answer in time, 1 time;" in message


def test_a_redirect_on_the_same_origin_is_followed_with_the_credentials() -> None:
    def answers(asked: Asked) -> Reply:
        return GOOD if asked.path == "/new" else Reply(b"moved", 301, {"Location": "/new?x=1"})

    with serving(answers) as api:
        assert list(fetched(api, auth={"type": "bearer"}, auth_token="t", params={"y": 2}).records) == RECORDS
        assert api.asked[1].headers["authorization"] == "Bearer t"
        assert api.asked[1].params == {"x": "1"}


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://localhost:{port}/things?token=s3cret", "http://localhost, another origin"),
        ("//127.0.0.1:1/x", "http://127.0.0.1, another origin"),
        ("https://127.0.0.1:{port}/", "https://127.0.0.1, another origin"),
        ("http://[::1", "what is not a web address"),
    ],
)
def test_a_redirect_to_another_origin_is_not_followed(location: str, why: str) -> None:
    with serving(scripted(GOOD)) as other:
        target = location.format(port=other.server_address[1])
        message, asked = refused(
            scripted(Reply(b"", 302, {"Location": target})), AnswerError, auth={"type": "bearer"}, auth_token="s3cret"
        )
        assert message.startswith("stream things: GET http://127.0.0.1:")
        assert f"was answered 302 and redirects to {why}" in message
        assert "set base_url to where the API is now" in message
        assert "s3cret" not in message
        assert len(asked) == 1
        assert other.asked == []


def test_redirects_that_go_in_a_circle_end() -> None:
    message, asked = refused(scripted(Reply(b"", 302, {"Location": "/things"})), AnswerError)
    assert "/things was answered 302 the 5th time in a row: its redirects have no end; " in message
    assert len(asked) == 5


def test_a_login_page_is_reported_at_once_and_a_page_of_maintenance_is_waited_out() -> None:
    html = {"Content-Type": "text/html"}
    login = Reply(b"<form><INPUT name=p\n type='password'></form>", headers=html)
    message, asked = refused(scripted(login), AnswerError, auth={"type": "bearer"}, auth_token="s3cret")
    assert "was answered by a login page (44 bytes of text/html that aren't JSON); check the credentials" in message
    assert len(asked) == 1
    with serving(scripted(Reply(b"<p>Back soon, no password needed", headers=html), GOOD)) as api:
        assert list(fetched(api).records) == RECORDS


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (
            b"id\n1\n",
            "text/csv",
            "was answered 5 bytes of text/csv that aren't JSON, and isn't tried again: it is a table",
        ),
        (b"<a/>", "application/xml", "it is XML; only JSON is read, so ask the API for it"),
        (b"\x1f\x8b\x08\x00", "application/json", "it is gzip without the header Content-Encoding"),
        ('["ü"]'.encode("latin-1"), "application/json; charset=latin-1", "it is JSON in latin-1, and JSON is UTF-8"),
    ],
)
def test_what_is_never_json_is_asked_for_once(body: bytes, kind: str, told: str) -> None:
    message, asked = refused(scripted(Reply(body, headers={"Content-Type": kind})), AnswerError)
    assert told in message
    assert len(asked) == 1


def test_a_rule_may_try_again_what_is_never_json() -> None:
    odd = Reply(b"<busy/>", headers={"Content-Type": "text/xml"} | SOON)
    with serving(scripted(odd, GOOD)) as api:
        rules = [{"action": "RETRY", "error_message_contains": "busy"}]
        assert list(fetched(api, response_rules=rules).records) == RECORDS


def test_a_page_of_html_that_stays_is_told_as_one_of_a_gateway() -> None:
    page = Reply(b"<html>", headers={"Content-Type": "text/html"})
    message, _ = refused(scripted(page), NoAnswerError, max_attempts=1)
    assert "6 bytes of text/html that aren't JSON (a page for people, as gateways send in passing), 1 time; " in message


def test_a_rate_limit_is_not_reported_as_a_failed_try(caplog: pytest.LogCaptureFixture) -> None:
    replies = Reply(b"", 429, SOON), Reply(b"", 503, SOON), GOOD
    with serving(scripted(*replies)) as api, caplog.at_level(logging.WARNING):
        fetched(api)
    assert "answered 429; trying again in" in caplog.messages[0]
    assert "(a rate limit is not a failed try; up to 3600 s of them are waited for (max_wait))" in caplog.messages[0]
    assert "(try 1 of " in caplog.messages[1]


def test_a_redirect_of_a_post_is_not_followed() -> None:
    message, asked = refused(scripted(Reply(b"", 302, {"Location": "/new"})), AnswerError, method="POST", json={"a": 1})
    assert "which a POST isn't sent to again; it redirects to another address" in message
    assert len(asked) == 1


def test_a_link_to_another_host_is_not_followed() -> None:
    with serving(scripted(GOOD)) as other:
        body = {"data": RECORDS, "next": f"http://localhost:{other.server_address[1]}/"}
        message, _ = refused(scripted(Reply(body)), AnswerError, records="data", paginator={"type": "json_link"})
        assert "leads to another host" in message
        assert other.asked == []


def test_a_link_is_asked_as_it_was_written() -> None:
    with serving(scripted(Reply({"data": RECORDS, "next": "?page=2&filter=a%2Bb"}))) as api:
        paginator = {"type": "json_link"}
        page = fetched(api, records="data", paginator=paginator, params={"limit": 5})
        assert page.following == Link(f"{api.url}/things?page=2&filter=a%2Bb")
        fetched(api, PageRequest(None, page.following), records="data", paginator=paginator, params={"limit": 5})
        assert api.asked[1].params == {"page": "2", "filter": "a+b"}


def test_a_post_sends_its_json_and_its_token() -> None:
    with serving(scripted(Reply({"data": RECORDS, "next": "abc"}))) as api:
        paginator = {"type": "cursor", "cursor_path": "next", "cursor_body_path": "page.after"}
        page = fetched(
            api, PageRequest(None, Token("t")), records="data", method="POST", json={"q": "ü"}, paginator=paginator
        )
        assert page.following == Token("abc")
        assert json.loads(api.asked[0].body) == {"q": "ü", "page": {"after": "t"}}
        assert api.asked[0].headers["content-type"] == "application/json"


def test_a_post_may_say_itself_what_its_json_is() -> None:
    with serving(scripted(GOOD)) as api:
        fetched(api, method="POST", json={}, headers={"content-type": "application/vnd.api+json"})
        assert api.asked[0].headers["content-type"] == "application/vnd.api+json"


def test_numbers_keep_all_their_digits() -> None:
    text = b'[{"id": 12345678901234567890123, "price": 0.1234567890123456789, "big": 1E+400}]'
    with serving(scripted(Reply(text))) as api:
        (record,) = fetched(api).records
        assert record["id"] == 12345678901234567890123
        assert str(record["price"]) == "0.1234567890123456789"
        assert str(record["big"]) == "1E+400"


@pytest.mark.parametrize(
    "keys",
    [
        {"auth": {"type": "bearer"}, "auth_token": "abc\n"},
        {"auth": {"type": "bearer"}, "auth_token": "ab\r\nX-Evil: 1"},
        {"auth": {"type": "bearer"}, "auth_token": "ab•c"},
        {"auth": {"type": "api_key", "name": "X-Kéy"}, "auth_api_key": "abc"},
        {"headers": {"X": "a\nb"}},
        {"user_agent": "a\nb"},
    ],
)
def test_a_header_that_can_not_be_sent_is_reported_at_once_without_its_value(keys: dict[str, Any]) -> None:
    message, asked = refused(scripted(GOOD), ConfigurationError, **keys)
    assert "has a header that can't be sent" in message
    assert "the secret that auth puts there" in message
    assert "abc" not in message
    assert asked == []


@pytest.mark.parametrize("base_url", ["http://exa mple.com", "http://.example.com", "http://" + "a" * 70 + ".example"])
def test_an_address_that_can_not_be_one_is_reported_and_not_tried_again(base_url: str) -> None:
    with (
        closing(Client(stream(base_url=base_url), TokenKeeper(), LOG, "0")) as client,
        pytest.raises(AnswerError, match="is not a web address; set base_url"),
    ):
        client.page(PageRequest())


CREDENTIALS = {
    "auth_token": "t0ken",
    "auth_api_key": "k&y=",
    "auth_username": "me",
    "auth_password": "wörd",
}


@pytest.mark.parametrize(
    ("auth", "seen"),
    [
        ({"type": "bearer"}, lambda asked: asked.headers["authorization"] == "Bearer t0ken"),
        ({"type": "http_basic"}, lambda asked: asked.headers["authorization"] == "Basic bWU6d8O2cmQ="),
        ({"type": "api_key", "name": "X-Key"}, lambda asked: asked.headers["x-key"] == "k&y="),
        ({"type": "api_key", "name": "key", "location": "query"}, lambda asked: asked.params["key"] == "k&y="),
        ({"type": "api_key", "name": "sid", "location": "cookie"}, lambda asked: asked.headers["cookie"] == "sid=k&y="),
    ],
)
def test_the_server_sees_the_credentials_of_each_type_also_after_it_set_cookies(
    auth: dict[str, Any], seen: Any
) -> None:
    def answers(asked: Asked) -> Reply:
        return GOOD if seen(asked) else Reply({"message": "who?"}, 401)

    with serving(lambda asked: Reply(RECORDS, answers(asked).status, {"Set-Cookie": "sid=other"})) as api:
        only = stream(base_url=api.url, auth=auth, **CREDENTIALS)
        with closing(Client(only, TokenKeeper(), LOG, "0")) as client:
            assert list(client.page(PageRequest()).records) == RECORDS
            assert list(client.page(PageRequest()).records) == RECORDS


def test_no_credentials_of_a_netrc_are_sent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(scripted(GOOD)) as api:
        fetched(api)
        assert "authorization" not in api.asked[0].headers


def test_debug_logs_contain_no_secret_and_no_address_with_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(scripted(Reply(b"", 503, SOON), GOOD)) as api:
        auth = {"type": "api_key", "name": "appid", "location": "query"}
        fetched(api, auth=auth, auth_api_key="s3cr&t", headers={"X": "1"})
    assert "answered 503" in caplog.text
    assert "was answered 200" in caplog.text
    for form in ("s3cr&t", "s3cr%26t"):
        assert form not in caplog.text


def test_the_servers_clock_comes_with_the_page() -> None:
    with serving(scripted(Reply(RECORDS, headers={"X": "1"}))) as api:
        server_time = fetched(api).server_time
        assert server_time is not None
        assert abs(server_time - time.time()) < 5


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and closes them without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def close_each() -> None:
            listener.settimeout(0.05)
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.recv(1)
                connection.close()

        thread = threading.Thread(target=close_each)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def test_a_connection_that_is_closed_without_an_answer_is_reported() -> None:
    with (
        silent() as url,
        closing(Client(stream(base_url=url, max_attempts=1), TokenKeeper(), LOG, "0")) as client,
        pytest.raises(NoAnswerError, match=r"connection was (closed without an answer|reset), 1 time;"),
    ):
        client.page(PageRequest())


def test_closing_a_client_ends_a_request_that_another_thread_still_waits_for() -> None:
    asked, released, errors = threading.Event(), threading.Event(), list[ApiError]()

    def answers(_: Asked) -> Reply:
        asked.set()
        released.wait(60)
        return GOOD

    with serving(answers) as api:
        client = Client(stream(base_url=api.url), TokenKeeper(), LOG, "0")

        def ask() -> None:
            try:
                client.page(PageRequest())
            except ApiError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(30)
        client.close()
        thread.join(30)
        assert not thread.is_alive()
        released.set()
    assert len(errors) == len(api.asked) == 1


def test_a_client_that_is_closed_leaves_no_request_counted() -> None:
    pacers = Pacers()
    settings = stream(base_url="http://127.0.0.1:9", rate_limit="1/s")
    client = Client(settings, TokenKeeper(), LOG, "0", pacers)
    client.close()
    with pytest.raises(ApiError, match="the run has ended"):
        client.page(PageRequest())
    assert pacers.of(quota_identity(settings))._flying == 0


def test_a_rule_reads_no_errors_of_some_records_beside_the_others() -> None:
    rules = [{"action": "IGNORE", "error_message_contains": "not found"}]
    body = {"data": RECORDS, "errors": {"row 7": ["not found"]}}
    with serving(scripted(Reply(body))) as api:
        assert list(fetched(api, records="data", response_rules=rules).records) == RECORDS


def test_a_tls_fault_after_an_answer_is_one_in_passing() -> None:
    fault = requests.exceptions.SSLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    assert isinstance(error_of("stream things", fault), NoAnswerError)
    assert isinstance(error_of("stream things", fault, may_pass=True), TransientError)
    refused = requests.exceptions.ConnectionError(
        MaxRetryError(HTTPConnectionPool("127.0.0.1"), "/?reason=UNSUPPORTED_PROTOCOL", OSError("Connection refused"))
    )
    assert isinstance(error_of("stream things", refused), TransientError)


def test_tls_within_tls_is_ended_by_the_socket_below() -> None:
    class Layer:  # as urllib3's SSLTransport: it has no shutdown of its own
        def __init__(self, below: socket.socket) -> None:
            self.socket = below

    class Connection:
        def __init__(self, sock: Layer) -> None:
            self.sock = sock

    ours, theirs = socket.socketpair()
    with ours, theirs:
        pool, connection = _Pool("127.0.0.1"), Connection(Layer(ours))
        pool._made = [weakref.ref(connection)]
        pool.abort()
        assert theirs.recv(1) == b""
