"""An API's own words for an error, form by form, and what is never shown of a body."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.exchange.answer import Answer, AnswerFacts
from tap_restextract.exchange.error_texts import FORMS, error_reason, error_texts, is_error
from tap_restextract.http.failures import reason_of

pytestmark = pytest.mark.pure

REASONS: dict[str, tuple[Any, str]] = {
    "Jira": (
        {"errorMessages": ["The value 'x' does not exist."], "errors": {"jql": "is invalid"}},
        "The value 'x' does not exist.; jql: is invalid",
    ),
    "Jira, fields alone": ({"errorMessages": [], "errors": {"startAt": "must be positive"}}, "startAt: must be positive"),
    "Salesforce": (
        [{"message": "No such column 'Foo'", "errorCode": "INVALID_FIELD"}],
        "INVALID_FIELD: No such column 'Foo'",
    ),
    "QuickBooks": (
        {"Fault": {"Error": [{"Message": "Invalid query", "Detail": "QueryParserError: x", "code": "4000"}]}},
        "Invalid query: QueryParserError: x",
    ),
    "QuickBooks, refused": (
        {"fault": {"error": [{"message": "message=AuthenticationFailed", "detail": "Token expired", "code": "3200"}]}},
        "message=AuthenticationFailed: Token expired",
    ),
    "OData 2 and 3": (
        {"error": {"code": "-1", "message": {"lang": "en-US", "value": "Property 'x' not found"},
                   "innererror": {"message": "stack trace"}}},
        "Property 'x' not found",
    ),
    "OData 4": ({"error": {"code": "400", "message": "Bad $filter", "innererror": {"message": "no"}}}, "Bad $filter"),
    "Dropbox": (
        {"error_summary": "path/not_found/..", "error": {".tag": "path", "path": {".tag": "not_found"}}},
        "path/not_found/..",
    ),
    "FastAPI": (
        {"detail": [{"loc": ["query", "page_size"], "msg": "Input should be less than or equal to 100",
                     "type": "less_than_equal", "input": "the secret value"},
                    {"loc": ["body", "ids", 0], "msg": "Field required"}]},
        "query.page_size: Input should be less than or equal to 100; body.ids.0: Field required",
    ),
    "FastAPI, a text": ({"detail": "Not authenticated"}, "Not authenticated"),
    "Slack": ({"ok": False, "error": "invalid_arguments", "response_metadata": {"messages": ["[ERROR] no channel"]}},
              "invalid_arguments; [ERROR] no channel"),
    "GraphQL": ({"data": None, "errors": [{"message": "Cannot query field 'x'", "path": ["items"]}]},
                "Cannot query field 'x'"),
    "RFC 9457": (
        {"type": "https://example.com/probs/range", "title": "Out of range", "status": 400, "detail": "since is too old"},
        "Out of range: since is too old",
    ),
    "RFC 9457, ASP.NET": (
        {"title": "One or more validation errors occurred.", "status": 400, "errors": {"Top": ["must be at most 50"]}},
        "One or more validation errors occurred.; Top: must be at most 50",
    ),
    "Google": (
        {"error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "x", "message": "Quota exceeded"}]}},
        "Quota exceeded",
    ),
    "Google, with a message": (
        {"error": {"code": 400, "message": "Invalid syncToken", "errors": [{"message": "Invalid syncToken"}]}},
        "Invalid syncToken",
    ),
    "HubSpot": (
        {"status": "error", "message": "Invalid input", "correlationId": "c", "errors": [{"message": "limit too large"}]},
        "Invalid input; limit too large",
    ),
    "Shopify, a text": ({"errors": "[API] Invalid API key"}, "[API] Invalid API key"),
    "Shopify, a map": ({"errors": {"limit": ["must be at most 250"], "since_id": "invalid"}},
                       "limit: must be at most 250; since_id: invalid"),
    "JSON:API": (
        {"errors": [{"title": "Invalid value", "detail": "size is too large", "source": {"parameter": "page[size]"}}]},
        "page[size]: Invalid value: size is too large",
    ),
    "OAuth": ({"error": "invalid_grant", "error_description": "The token was revoked"},
              "The token was revoked"),
    "Zendesk": ({"error": {"title": "Forbidden", "message": "No access"}}, "No access"),
    "a title within": ({"error": {"title": "Forbidden"}}, "Forbidden"),
    "a list of texts": ({"errors": ["one", "two"]}, "one; two"),
    "a text": ("Invalid token", "Invalid token"),
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_is_found_in_each_form(name: str) -> None:
    body, reason = REASONS[name]
    assert error_reason(body, str) == reason
    assert reason_of(body, set()) == f"({reason})"


@pytest.mark.parametrize(
    "body",
    [None, 5, [], {}, [{"id": 1, "message": "a record"}], {"error": None}, {"errors": []}, {"detail": []}, {"error": {}},
     {"message": {"text": "x"}}, {"errors": [5, None, {}]}, {"Fault": {"Error": "x"}}, {"detail": [{"input": "x"}]}],
)  # fmt: skip
def test_what_has_none_of_these_forms_has_no_reason(body: Any) -> None:
    assert error_reason(body, str) == ""
    assert reason_of(body, set()) == "without a reason"


def test_no_form_shows_the_values_beside_the_words() -> None:
    body = {
        "detail": [{"loc": ["body", "email"], "msg": "not an address", "input": "jane@example.com", "ctx": {"x": "y"}}]
    }
    assert "jane" not in " ".join(error_texts(body))


def test_a_reason_is_one_line_that_steers_no_terminal_and_is_bounded() -> None:
    shown = reason_of({"message": "\x1b]0;title\x07 a\nb\u202e " + "x" * 100_000}, set())
    assert shown.startswith("(]0;title a b xxx")
    assert shown[1:-1].isprintable()
    assert len(shown) <= 202
    assert len(error_reason({"errors": ["y" * 500] * 5000}, str)) < 1000


def test_a_secret_that_the_bound_would_cut_is_hidden_before() -> None:
    assert "abc" not in reason_of({"message": "x" * 195 + "abcdefghij"}, {"abcdefghij"})


@pytest.mark.parametrize("length", [87, 1230])
def test_a_secret_longer_than_any_bound_is_hidden(length: int) -> None:
    secret = "".join(chr(97 + place * 7 % 26) for place in range(length))
    for body in (
        f"Invalid token {secret}",
        {"errors": {secret: ["bad"]}},
        {"detail": [{"loc": [secret], "msg": "bad"}]},
    ):
        assert secret[:20] not in reason_of(body, {secret})


def test_errors_nested_without_end_are_read_to_some_depth() -> None:
    body: dict[str, Any] = {"message": "innermost"}
    for level in range(900):
        body = {"errors": [body], "message": f"level {level}"}
    assert error_reason(body, str) == "level 899; level 898; level 897"


@pytest.mark.parametrize(
    ("body", "expected"),
    [({"ok": False, "error": "x"}, True), ({"errors": []}, False), ({"message": "x", "data": []}, False), ([], False)],
)
def test_an_answer_says_by_its_keys_that_it_is_an_error(body: Any, *, expected: bool) -> None:
    assert is_error(body) is expected


@pytest.mark.parametrize(
    ("kind", "body", "fault", "words"),
    [
        ("text/plain; charset=utf-8", "no such report", "14 bytes that aren't JSON", "no such report"),
        ("", "no such report", "14 bytes that aren't JSON", "no such report"),
        ("text/html", "<h1>Not found</h1>", "18 bytes that aren't JSON", None),
        ("text/plain", " <h1>Not found</h1>", "19 bytes that aren't JSON", None),
        ("application/json", "a JSON text", "", "a JSON text"),
    ],
)
def test_plain_text_is_an_apis_own_words_and_a_page_is_not(kind: str, body: str, fault: str, words: str | None) -> None:
    assert Answer("", AnswerFacts(400, {"content-type": kind}), body, fault).own_words == words


def test_each_form_is_named() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
