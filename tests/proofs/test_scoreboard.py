"""The scoreboard's fixture, and the row of this project's tap: complete in each case, or an error where none can be."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proofs.scoreboard.board import Outcome, control, fixture, outcome
from proofs.scoreboard.cases import CASES
from proofs.scoreboard.model import Case, child, record
from proofs.scoreboard.report import Row, cell, page
from proofs.scoreboard.server import MOST_REQUESTS, RETRY_AFTER
from proofs.scoreboard.tools import OURS, TOOLS, merged
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[2]
NAMED = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The fixture's address."""
    with fixture() as address:
        yield address


def asked(address: str) -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers of a GET."""
    split = urlsplit(address)
    connection = http.client.HTTPConnection(split.netloc, timeout=120)
    try:
        connection.request("GET", f"{split.path}?{split.query}")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def ids(body: Any) -> list[int]:
    """The ids of a page."""
    return [shown["id"] for shown in body["data"]]


@pytest.mark.parametrize(
    "case", [case for case in CASES if list(OURS.configurations(case.name))], ids=lambda case: case.name
)
def test_our_tap_is_complete_or_says_why_no_client_can_be(case: Case, server: str, tmp_path: Path) -> None:
    ((_, config),) = OURS.configurations(case.name)
    made = outcome(OURS, case, config, server=server, reader="ours", folder=tmp_path)
    assert not made.hung
    assert not made.early, "a request was sent before Retry-After was over"
    if case.best == "named error":
        assert "stream items" in made.error
    else:
        assert (made.lost, made.error) == ((), "")
        assert not made.repeated, "an unchanged record came twice"


def test_every_tool_has_a_configuration_for_every_case_or_says_why_not() -> None:
    for tool in TOOLS:
        described = tool.described()
        without = {case.name for case in CASES if not list(tool.configurations(case.name))}
        assert without == set(described.get("cannot", {})), tool.name
        assert set(described["cases"]) | set(described.get("variants", {})) <= set(NAMED), tool.name


def test_the_written_page_has_every_case_and_every_version() -> None:
    written = (PROJECT / "docs" / "scoreboard.md").read_text()
    for case in CASES:
        assert f"{case.name} | {case.story}" in written, case.name
    for tool in TOOLS:
        assert f"| {(tool.requirement or tool.name).replace('==', ' ')} |" in written, tool.name
        for file in tool.files:
            assert f"../proofs/scoreboard/{file}" in written
            assert (PROJECT / "proofs" / "scoreboard" / file).is_file()


def test_each_reader_has_the_api_to_itself_and_is_counted(server: str) -> None:
    for reader, times in (("one", 3), ("two", 1)):
        for _ in range(times):
            asked(f"{server}/{reader}/plain/items")
        assert control(f"{server}/control/{reader}/plain")["requests"] == times


def test_a_client_without_an_end_is_cut_off(server: str) -> None:
    address = f"{server}/endless/tokens-in-a-circle"
    token = ""
    for _ in range(MOST_REQUESTS):
        status, body, _ = asked(f"{address}/items?cursor={token}")
        assert status == 200
        token = body["next"]
    assert asked(f"{address}/items?cursor={token}")[0] == 410
    assert control(f"{server}/control/endless/tokens-in-a-circle")["cut_off"]


def test_tokens_go_in_a_circle_after_the_second_page(server: str) -> None:
    pages = [asked(f"{server}/circle/tokens-in-a-circle/items?cursor={token}")[1] for token in ("", "t3", "t6")]
    assert [page["next"] for page in pages] == ["t3", "t6", "t3"]
    assert [ids(page) for page in pages] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_request_that_stalls_is_let_go_by_the_next_phase(server: str) -> None:
    address, told = f"{server}/stalls/ties-wider-than-a-page", f"{server}/control/stalls/ties-wider-than-a-page"
    for number in (1, 2, 3):
        assert asked(f"{address}/items?page={number}")[0] == 200

    def stall() -> None:
        with pytest.raises(http.client.RemoteDisconnected):
            asked(f"{address}/items?page=4")

    client = threading.Thread(target=stall)
    client.start()
    wait_until(lambda: bool(control(told)["stalled"]), what="a request that stalls")
    control(told, 1)
    client.join(60)
    assert not client.is_alive()
    assert asked(f"{address}/items?page=4")[0] == 200


def test_asking_before_retry_after_is_over_starts_the_wait_again(server: str) -> None:
    address = f"{server}/hasty/rate-limit/items"
    assert asked(address)[0] == 200
    status, _, headers = asked(address)
    assert (status, headers["retry-after"]) == (429, str(RETRY_AFTER))
    assert asked(address)[0] == 429
    assert control(f"{server}/control/hasty/rate-limit")["early"] == 1


def test_a_record_that_moves_shifts_the_pages_after_it(server: str) -> None:
    address = f"{server}/shift/pages-that-shift/items"
    assert ids(asked(f"{address}?page=1")[1]) == [1, 2, 3, 4, 5]
    assert ids(asked(f"{address}?page=2")[1]) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("case", "query", "found"),
    [
        ("plain", "since=2025-01-01T00:00:11Z", [11, 12]),
        ("plain", "since=2025-01-01T00:00:11Z&until=2025-01-01T00:00:11Z", [11]),
        ("plain", "since=2025-01-01T01:00:11%2B01:00", [11, 12]),
        ("plain", "limit=2&page=2", [3, 4]),
        ("exclusive-filter", "since=2025-01-01T00:00:01Z", [2]),
        ("coarse-exclusive-filter", "since=2025-01-01T00:00:10.100Z", []),
        ("coarse-exclusive-filter", "since=2025-01-01T00:00:09.900Z", [2]),
        ("milliseconds-and-whole-seconds", "since=2025-01-11T00:00:00.900Z", [1, 2, 3, 4, 5]),
        ("milliseconds-and-whole-seconds", "until=2025-01-30T23:59:59Z", [1]),
        ("milliseconds-and-whole-seconds", "since=2025-01-31T00:00:00Z&until=2025-03-01T23:59:59Z", [3]),
        ("result-window", "since=2025-01-01T00:00:10Z&after_id=26", [27, 28, 29, 30]),
        ("newest-first", "page=1", [6, 5]),
        ("short-page", "page=1", [1, 3, 5]),
        ("empty-page-with-a-token", "cursor=t5", []),
        ("duplicates-across-pages", "cursor=t5", [5, 6, 7, 8, 9, 10]),
        ("smaller-pages-than-asked", "offset=3&limit=5", [4, 5, 6]),
        ("filter-in-another-zone", "since=2025-01-01T05:00:00Z", [12]),
        ("ignored-page-parameter", "page=3", [1, 2, 3, 4, 5]),
        ("empty-pages-without-end", "cursor=t15", []),
    ],
)
def test_the_api_filters_and_pages_as_its_case_says(case: str, query: str, found: list[int], server: str) -> None:
    status, body, headers = asked(f"{server}/asks/{case}/items?{query}")
    assert (status, ids(body)) == (200, found)
    assert headers["date"].endswith("GMT")


def test_an_api_says_otherwise_than_documented_whether_more_follows(server: str) -> None:
    def answered(case: str, query: str) -> tuple[int, Any, dict[str, str]]:
        return asked(f"{server}/says/{case}/items?{query}")

    assert answered("unread-link", "")[2]["link"] == f'<{server}/says/unread-link/items?page=2>; rel="next"'
    assert "link" not in answered("unread-link", "page=3")[2]
    assert answered("token-elsewhere", "cursor=t5")[1].keys() == {"data", "paging"}
    assert [answered("token-on-the-last-page", f"cursor={token}")[1]["end"] for token in ("", "t5", "t10")] == [
        False,
        False,
        True,
    ]
    assert [answered("404-after-the-last-page", f"page={number}")[0] for number in (1, 3, 4)] == [200, 200, 404]
    assert answered("empty-pages-without-end", "cursor=t15")[1] == {"data": [], "next": "t20"}
    orders = answered("lines-of-orders", "offset=0&limit=5")[1]["data"]
    assert [len(order["lines"]) for order in orders] == [5, 3, 0, 4, 1]
    assert answered("nothing-is-left-out", "since=2025-01-01T00:00:12Z")[1] == {"hasMore": False}
    barred = f"{server}/says/parent-that-cannot-be-read-yet/parents"
    assert [asked(f"{barred}/{parent}/children")[0] for parent in (1, 2, 3)] == [200, 403, 200]
    status, body, _ = [answered("error-with-status-200", f"page={number}") for number in (1, 2, 3)][-1]
    assert (status, body["data"], body["error"]["code"]) == (200, None, "internal")


@pytest.mark.parametrize("query", ["page=0", "page=x", "since=yesterday", "limit=-1"])
def test_what_the_api_does_not_understand_it_refuses(query: str, server: str) -> None:
    assert asked(f"{server}/refused/plain/items?{query}")[0] == 400
    assert asked(f"{server}/refused/result-window/items?offset=10")[0] == 400
    assert asked(f"{server}/refused/nowhere/items")[0] == 404
    assert asked(f"{server}/refused/plain/nothing")[0] == 404


def test_parents_lie_a_page_each_and_children_below_them(server: str) -> None:
    address = f"{server}/family/children-of-many-parents"
    assert [ids(asked(f"{address}/parents?page={number}")[1]) for number in (1, 2, 3, 4)] == [[1], [2], [3], []]
    assert asked(f"{address}/parents/2/children")[1]["data"] == [dict(child(2, 2, 20))]


def test_the_truth_is_the_last_phase_without_what_is_hidden_and_with_what_is_gone() -> None:
    phases = ((record(1, 1), record(2, 2), record(3, 3)), (record(1, 1), record(2, 4, 2)))
    assert Case("any", "", phases).truth == {(1, 1), (2, 2)}
    assert Case("any", "", phases, deletions=True).truth == {(1, 1), (2, 2), (3, "deleted")}
    assert NAMED["short-page"].truth == {(key, 1) for key in (1, 3, 5, 6, 7, 8, 9, 10, 11, 12)}


def test_a_case_changes_its_tools_base_key_by_key() -> None:
    base = {"a": {"type": "x", "b": 1, "c": None}, "d": 4, "e": [1]}
    assert merged(base, {"a": {"b": 2}, "d": None, "e": [2]}) == {"a": {"type": "x", "b": 2, "c": None}, "e": [2]}
    assert merged(base, {"a": {"type": "y"}})["a"] == {"type": "y"}


def test_a_cell_says_what_was_found_lost_repeated_and_how_it_ended() -> None:
    def said(case: str, made: Outcome) -> str:
        return cell(Row(NAMED[case], OURS, "", made))

    assert said("plain", Outcome(13, (), 2, 9, hung=False, error="", early=0)) == "✓ 13 of 13, 2 repeated"
    assert (
        said("plain", Outcome(13, ((1, 2),), 0, 9, hung=True, error="x", early=0)) == "12 of 13, **1 lost**, **hung**"
    )
    assert said("plain", Outcome(13, (), 0, 9, hung=False, error="x", early=1)) == "13 of 13, error, 1 too early"
    assert said("tokens-in-a-circle", Outcome(9, (), 0, 9, hung=False, error="x", early=0)) == "✓ 9 of 9, error"
    unsure = Outcome(13, ((1, 1),), 0, 9, hung=False, error="x", early=0)
    assert said("ties-without-an-order", unsure) == "✓ 12 of 13, 1 lost, error"
    row = Row(NAMED["plain"], OURS, "", Outcome(13, ((1, 2),), 0, 9, hung=False, error="", early=0))
    assert "| tap-restextract | 1 | 0 | 1 records in 1 cases | 0 | 0 | 0 |" in page([row.case], [OURS], [row])
