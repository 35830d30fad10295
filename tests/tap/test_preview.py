"""What `plan` prints: the walk, why it is safe, when STATE moves, two requests, and no secret."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.cli.plan_report import preview
from tap_restextract.plan.bookmarks.cursors import KeysetBookmark
from tap_restextract.values.cursor import Cursor
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan

pytestmark = pytest.mark.pure

SECRETS = {
    "auth_token": "s3cret-token",
    "auth_api_key": "s3cret/key",
    "auth_username": "me",
    "auth_password": "s3cret-word",
    "auth_client_id": "client",
    "auth_client_secret": "s3cret-client",
    "auth_refresh_token": "s3cret-refresh",
}
AUTHS: list[dict[str, Any]] = [
    {"type": "bearer"},
    {"type": "api_key", "name": "X-Header"},
    {"type": "api_key", "name": "q", "location": "query"},
    {"type": "api_key", "name": "session", "location": "cookie"},
    {"type": "http_basic"},
    {"type": "oauth2_client_credentials", "access_token_url": "https://id.example.com/token"},
    {"type": "oauth2_refresh_token", "access_token_url": "https://id.example.com/token"},
]


def row(text: str, name: str) -> str:
    """One row of the plan, its lines joined."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"  {name}"))
    more = [line.strip() for line in lines[start + 1 :]]
    stop = next((index for index, line in enumerate(lines[start + 1 :]) if not line.startswith(" " * 9)), len(more))
    return " ".join(" ".join([lines[start].strip().removeprefix(name), *more[:stop]]).split())


@pytest.mark.parametrize("auth", AUTHS, ids=lambda auth: f"{auth['type']}-{auth.get('location')}")
def test_no_secret_is_shown_whatever_the_auth(auth: dict[str, Any]) -> None:
    text = preview(plan(auth=auth, base_url="https://me:s3cret@api.example.com", **SECRETS, **COMPOUND), None)
    assert "s3cret" not in text
    assert "•••" in text


def test_secrets_in_headers_params_and_bodies_are_hidden_too() -> None:
    made = plan(
        method="POST",
        headers={"X-Api-Key": "s3cret", "Accept": "application/json", "X-Other": "s3cret"},
        params={"access_token": "s3cret", "limit": 5},
        json={"login": {"password": "s3cret"}, "size": 10},
    )
    text = preview(made, None)
    assert "s3cret" not in text
    assert "Accept: application/json" in text
    assert "'size': 10" in text
    assert "limit=5" in text


def test_the_first_request_has_no_cursor_and_the_second_is_after_a_page() -> None:
    text = preview(plan(**COMPOUND), None)
    assert row(text, "walk") == "compound keyset"
    assert row(text, "first") == "GET https://api.example.com/v1/things"
    assert "since=2026-01-01T00%3A00%3A00Z&after=42" in row(text, "then")
    assert row(text, "STATE").startswith("moves after each page")


def test_with_a_state_the_first_request_is_the_next_runs() -> None:
    text = preview(plan(**COMPOUND), KeysetBookmark(Cursor("2026-05-05T05:05:05Z", 7)))
    assert "since=2026-05-05T05%3A05%3A05Z&after=7" in row(text, "first")


@pytest.mark.parametrize(
    ("keys", "then"),
    [
        ({"paginator": {"type": "cursor", "cursor_param": "after"}}, "things?after=TOKEN (the next page)"),
        ({"paginator": {"type": "header_cursor"}}, "things?cursor=TOKEN (the next page)"),
        ({"paginator": {"type": "json_link"}}, "things?NEXT-LINK (the next page)"),
        ({"paginator": {"type": "page_number", "base_page": 1}}, "things?page=2 (the next page)"),
        ({"paginator": {"type": "offset", "limit": 5}}, "things?offset=5&limit=5 (the next page)"),
        ({}, "nothing: one answer holds all"),
        (INCLUSIVE, "nothing: one answer holds all"),
        (UNIQUE, "things?after=1767225600 (after a page that ends there)"),
        ({**INCLUSIVE, "paginator": {"type": "page_number"}}, "(again from a page's last key)"),
        ({**INCLUSIVE, "paginator": {"type": "single_page", "limit": 5}}, "(again from an answer's last key)"),
    ],
)
def test_the_second_request_is_the_walks_own(keys: dict[str, Any], then: str) -> None:
    assert row(preview(plan(**keys), None), "then").endswith(then)


def test_a_cursor_in_the_path_is_shown_with_the_initial_value() -> None:
    made = plan(
        path="/since/{cursor.updated_at:%Y-%m-%d}",
        incremental={"cursor_path": "updated_at", "initial_value": "2020-01-01T00:00:00Z"},
        paginator={"type": "json_link", "stable": True},
    )
    text = preview(made, None)
    assert row(text, "first") == "GET https://api.example.com/v1/since/2020-01-01"
    assert "since/2020-01-01?NEXT-LINK" in row(text, "then")
