"""Paths: what lies where, and that nothing there and null stay different."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError
from tap_restextract.values.paths import MISSING, find, find_list, steps
from tap_restextract.values.rows import any_json

pytestmark = pytest.mark.pure

BODY: dict[str, Any] = {
    "data": {"items": [{"id": 1}], "none": [], "nothing": None},
    "@odata.nextLink": "https://api.example.com/next",
    "edges": [{"node": {"id": 1}}, {"node": {"id": 2}}],
    "groups": [{"members": []}, {"members": []}],
}


@pytest.mark.parametrize("path", ["data.items", "$.data.items", "$['data']['items']", "$..items"])
def test_a_path_is_found_in_each_of_its_writings(path: str) -> None:
    assert find(path, BODY) == [{"id": 1}]


@pytest.mark.parametrize("path", ["$", ""])
def test_the_root_is_the_body_itself(path: str) -> None:
    assert find(path, BODY) is BODY


def test_null_is_found_and_a_key_that_is_not_there_is_missing() -> None:
    assert find("data.nothing", BODY) is None
    assert find("data.nothing.more", BODY) is MISSING
    assert find("data.other", BODY) is MISSING
    assert not MISSING


def test_a_key_with_dots_in_it_is_found_as_it_is_written() -> None:
    assert find("@odata.nextLink", BODY) == BODY["@odata.nextLink"]
    assert find("$['@odata.nextLink']", BODY) == BODY["@odata.nextLink"]


@pytest.mark.parametrize(
    ("path", "records"),
    [
        ("data.items", [{"id": 1}]),
        ("data.items[*]", [{"id": 1}]),
        ("data.none", []),
        ("data.none[*]", []),
        ("data.nothing", []),
        ("data", [BODY["data"]]),
        ("edges[*].node", [{"id": 1}, {"id": 2}]),
        ("$.edges[?(@.node.id > 1)].node", [{"id": 2}]),
        ("$.edges[?(@.node.id > 9)]", []),
        ("groups[*].members[*]", []),
    ],
)
def test_records_are_the_list_at_the_path(path: str, records: list[Any]) -> None:
    assert find_list(path, BODY) == records


@pytest.mark.parametrize("path", ["rows", "data.rows", "rows[*]", "edges[*].record", "rows[*].node", "data.items.id"])
def test_records_that_are_nowhere_are_missing_and_not_none(path: str) -> None:
    assert find_list(path, BODY) is MISSING


@pytest.mark.parametrize(
    ("condition", "ids"),
    [("> 10", [1, 3]), (">= 10.9", [1, 3]), ("< 10.9", [2, 4]), ("== 10.9", [1, 3]), ("!= 10.9", [2, 4])],
)
def test_a_filter_compares_fractions_and_lets_them_through_with_all_their_digits(
    condition: str, ids: list[int]
) -> None:
    prices = (
        b'{"1": 10.9, "2": 10, "3": 10.90000000000000000001, "4": 1.5}'  # jsonpath-ng takes no Decimal for a number
    )
    items = [{"id": int(key), "price": price} for key, price in any_json.decode(prices).items()]
    wanted = [item for item in items if item["id"] in ids]
    assert find_list(f"$.items[?(@.price {condition})]", {"items": items}) == wanted


@pytest.mark.parametrize("price", [10, Decimal("10.5")])
def test_what_a_function_makes_of_what_a_filter_lets_through_is_found(price: Any) -> None:
    body = {"price": price, "links": [{"rel": "prev", "href": "/x"}, {"rel": "next", "href": "/x?cursor=abc"}]}
    assert find("links[?(@.rel=='next')].href.`sub(/.*cursor=/, )`", body) == "abc"


def test_a_filter_over_what_is_nested_deep_finds_it() -> None:
    deep: Any = Decimal("1.5")
    for _ in range(600):
        deep = [deep]
    assert find_list("$.items[?(@.id == 1)]", {"items": [{"id": 1, "deep": deep}]}) == [{"id": 1, "deep": deep}]


def test_a_page_without_edges_is_empty_and_not_a_fault() -> None:
    assert find_list("data.edges[*].node", {"data": {"edges": []}}) == []


@pytest.mark.parametrize("path", ["data[", "$..[", "data[?(@.x", ".."])
def test_what_is_not_a_path_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a JSONPath: .*write it like data\.items"):
        find_list(path, BODY)


def test_only_dotted_paths_have_steps() -> None:
    assert steps("$.a.b-c") == ("a", "b-c")
    assert steps("$") == ()
    assert steps("a[0]") is None
