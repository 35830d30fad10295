"""What an answer says of more: marks that no paginator reads, other ends, pages that are counted by lists."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.config.reading import read_settings
from tap_restextract.errors import AnswerError, ConfigurationError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Token, following, link_in
from tap_restextract.exchange.unread_marks import unread_mark
from tap_restextract.hash_cache.sqlite import SqliteHashes
from tap_restextract.plan.plan import plans_for
from tap_restextract.values.paths import list_length
from tap_restextract.walks.steps import Page, PageRequest
from tap_restextract.walks.table import stream_walk_for
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import COMPOUND, INCLUSIVE, config, plan, stream
from tests.support.walks import LATER, at, drive, pages

URL = "https://api.example.com/things"
TOKEN: dict[str, Any] = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}


def marked(body: Any, headers: dict[str, str] | None = None, **keys: Any) -> str | None:
    """The mark that the stream's last page holds, if it holds one."""
    mark = unread_mark(stream(records="data", **keys), Answer(URL, facts_of(200, headers or {}), body), 2)
    return None if mark is None else mark.path


@pytest.mark.pure
@pytest.mark.parametrize(
    ("api", "body", "path"),
    [
        ("Stripe", {"has_more": True}, "has_more"),
        ("HubSpot", {"paging": {"next": {"after": "20", "link": "https://…"}}}, "paging.next.after"),
        ("Slack", {"response_metadata": {"next_cursor": "dXNlcjpVMDYx"}}, "response_metadata.next_cursor"),
        ("Notion", {"next_cursor": "33e19cb9", "has_more": True}, "has_more"),
        ("Airtable", {"offset": "itrEN2TCbrcSN2BMs/recosGOqb9WNAFlLi"}, "offset"),
        ("Zendesk", {"meta": {"has_more": True, "after_cursor": "xxx"}, "links": {"next": "https://…"}}, "links.next"),
        ("Zendesk's export", {"end_of_stream": False, "after_url": "https://…"}, "end_of_stream"),
        ("Jira", {"isLast": False, "nextPageToken": "abc"}, "isLast"),
        ("Salesforce", {"done": False, "nextRecordsUrl": "/services/data/query/01g-2000"}, "nextRecordsUrl"),
        ("Microsoft Graph", {"@odata.nextLink": "https://graph/…"}, "@odata.nextLink"),
        ("Google", {"nextPageToken": "abc"}, "nextPageToken"),
        ("Intercom", {"pages": {"next": {"page": 2, "starting_after": "abc"}}}, "pages.next.starting_after"),
        ("Klaviyo", {"links": {"next": "https://…"}}, "links.next"),
        ("JSON:API", {"links": {"next": {"href": "https://…"}}}, "links.next.href"),
        ("HAL", {"_links": {"next": {"href": "/x"}}}, "_links.next.href"),
        ("Twilio", {"next_page_uri": "/2010/x"}, "next_page_uri"),
        ("Asana", {"next_page": {"offset": "abc", "uri": "https://…"}}, "next_page.uri"),
        ("Laravel", {"next_page_url": "https://…"}, "next_page_url"),
        ("Facebook", {"paging": {"cursors": {"after": "x"}, "next": "https://…"}}, "paging.next"),
        ("Shopify's and GitHub's Link", {}, None),
    ],
)
def test_marks_of_more_are_known_by_the_names_that_apis_give_them(api: str, body: Any, path: str | None) -> None:
    assert marked({"data": [{}], **body}) == path, api


@pytest.mark.pure
@pytest.mark.parametrize(
    "body",
    [
        {"next": None, "has_more": False, "next_cursor": "", "paging": {}, "links": {"next": None, "self": "/x"}},
        {"offset": 20, "limit": 10, "offset_": "x", "cursor": "here", "paging": {"cursors": {"after": "x"}}},
        {"isLast": True, "end_of_stream": True, "next_page": 0, "next_sync_token": "x", "nextSyncToken": "x"},
        {"has_more": "true", "more": "see below"},
    ],
)
def test_ends_positions_and_other_kinds_of_values_are_no_marks(body: dict[str, Any]) -> None:
    assert marked({"data": [{}], **body}) is None


@pytest.mark.pure
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"_links": {"self": {"href": "/things"}, "next": {"href": "/things"}}}, {}),
        ({"links": {"self": URL, "next": URL}}, {}),
        ({}, {"link": f'<{URL}>; rel="next"'}),
        ({"next": "0", "next_page": "null", "next_cursor": " "}, {"x-next-page": "0", "x-next-cursor": "null"}),
        ({"pagination": {"page": 3, "next_page": 4, "total_pages": 3}}, {}),
    ],
    ids=["HAL", "JSON:API", "Link", "texts", "page numbers"],
)
def test_what_leads_nowhere_else_is_no_mark(body: dict[str, Any], headers: dict[str, str]) -> None:
    assert marked({"data": [{}], **body}, headers) is None


@pytest.mark.pure
def test_the_number_of_a_page_that_there_is_and_an_address_elsewhere_stay_marks() -> None:
    assert marked({"data": [{}], "page": 2, "next_page": 3, "total_pages": 3}) == "next_page"
    assert marked({"data": [{}], "links": {"self": URL, "next": f"{URL}?page=2"}}) == "links.next"


@pytest.mark.pure
@pytest.mark.parametrize("ignored", ["links", "links.next", "$.links.next", "$['links']['next']", "links.next.href"])
def test_a_mark_is_silenced_by_its_path_however_that_is_written(ignored: str) -> None:
    body = {"data": [{}], "links": {"next": {"href": "/other"}}}
    assert marked(body, ignored_marks=["link", "links.nex"]) == "links.next.href"
    assert marked(body, ignored_marks=[ignored]) is None


@pytest.mark.pure
@pytest.mark.parametrize(
    ("path", "key"), [("$.next", "next"), ("$['@odata.nextLink']", "@odata.nextLink"), ('["next"]', "next")]
)
def test_a_mark_is_read_by_the_paginator_however_its_path_is_written(path: str, key: str) -> None:
    paginator = {"type": "json_link", "next_url_path": path, "empty_page": "end"}
    assert marked({"data": [], key: "/other"}, paginator=paginator) is None


@pytest.mark.pure
def test_links_and_tokens_in_headers_are_marks_unless_they_are_read_or_say_that_nothing_follows() -> None:
    link = {"link": '<https://api.example.com/x?page=2>; rel="next"; results="true"'}
    assert marked({"data": []}, link) == "the header Link"
    assert marked({"data": []}, {"link": link["link"].replace('"true"', '"false"')}) is None
    assert marked({"data": []}, link, ignored_marks=["Link"]) is None
    assert marked({"data": []}, link, paginator={"type": "header_link"}) is None
    assert (
        marked({"data": []}, link, paginator={"type": "header_link", "links_next_key": "nextpage"}) == "the header Link"
    )
    assert marked({"data": []}, {"x-next-page": "2"}) == "the header x-next-page"
    assert marked({"data": []}, {"x-next-page": ""}) is None


@pytest.mark.pure
def test_marks_beside_the_records_are_found_wherever_the_records_lie_and_a_single_object_has_none() -> None:
    inner = {"data": {"items": {"nodes": [{}], "pageInfo": {"hasNextPage": True, "endCursor": "x"}}}}
    answer = Answer(URL, facts_of(200, {}), inner)
    mark = unread_mark(stream(records="data.items.nodes"), answer, 1)
    assert mark is not None
    assert mark.path == "data.items.pageInfo.hasNextPage"
    one = Answer(URL, facts_of(200, {}), {"id": 1, "next": "see issue 2", "more": True})
    assert unread_mark(stream(), one, 1) is None


@pytest.mark.pure
def test_an_end_that_the_configuration_reads_is_no_unread_mark() -> None:
    body = {"data": [{}], "next": "x", "has_more": True}
    for paginator in (
        {"type": "page_number", "total_path": "pages"},
        {"type": "offset", "limit": 2, "has_more_path": "more"},
        {**TOKEN, "has_more_path": "more"},
        {**TOKEN, "end_path": "end"},
    ):
        assert marked(body, paginator=paginator) is None
    assert marked(body, ignored_marks=["next", "has_more"]) is None
    assert marked({"data": [], "next": "/x?page=9"}, paginator={"type": "page_number"}) is None
    assert marked({"data": [], "has_more": True}, paginator={"type": "page_number"}) == "has_more"


MORE = Page([at(1, 1)], None, LATER, unread="the answer says that more follows")
EMPTY = Page([], None, LATER)


@pytest.mark.pure
@pytest.mark.parametrize(
    "facts",
    [
        {"paginator": TOKEN},
        {},
        {**INCLUSIVE, "paginator": {**TOKEN, "stable": True}},
        INCLUSIVE,
        {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "desc"}, "paginator": TOKEN},
        {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}, "paginator": TOKEN},
        {**COMPOUND, "paginator": TOKEN},
    ],
)
def test_a_mark_of_more_at_the_end_of_a_list_stops_each_walk_that_would_end_there(facts: dict[str, Any]) -> None:
    with pytest.raises(WalkError, match="says that more follows"):
        drive(plan(**facts), pages(MORE))


def test_a_mark_of_more_stops_a_sweep_that_takes_one_answer_for_the_whole_list() -> None:
    with closing(SqliteHashes(":memory:", "things")) as cache:
        stream_walk = stream_walk_for(plan(sweep=True), None, cache=cache, now="2026-01-01T00:00:00Z")
        sub_walk = stream_walk.next()
        assert sub_walk is not None
        next(sub_walk.steps)
        with pytest.raises(WalkError, match="says that more follows"):
            sub_walk.steps.send(MORE)


@pytest.mark.pure
@pytest.mark.parametrize(
    "facts",
    [COMPOUND, {**INCLUSIVE, "paginator": {"type": "single_page", "limit": 5}}],
)
def test_a_walk_that_asks_again_by_its_last_key_needs_no_mark(facts: dict[str, Any]) -> None:
    last = MORE if facts is not COMPOUND else EMPTY
    assert drive(plan(**facts), pages(MORE, last)).ids == [1]


@pytest.mark.pure
def test_a_restart_keyset_goes_on_by_key_and_stops_where_a_tie_is_wider_than_a_page() -> None:
    made = plan(**INCLUSIVE, paginator=TOKEN)
    with pytest.raises(WalkError, match="says that more follows"):
        drive(made, pages(MORE, MORE))


def things(count: int) -> list[dict[str, Any]]:
    """Records with ids."""
    return [{"id": number, "updated_at": "2026-01-01T00:00:00Z"} for number in range(count)]


@pytest.mark.parametrize(
    ("paginator", "extra", "headers", "named"),
    [
        (None, {"next_page_token": "b"}, {}, "next_page_token is a text of 1 characters"),
        (None, {}, {"Link": '<http://x/2>; rel="next"'}, 'the header Link is an address with rel="next"'),
        ({**TOKEN, "cursor_path": "next_token"}, {"next_page_token": "b"}, {}, "cursor_path: next_page_token"),
        ({"type": "header_link", "links_next_key": "nextpage"}, {}, {"Link": '</2>; rel="next"'}, "type: header_link"),
    ],
)
def test_a_first_page_alone_is_no_success_where_the_answer_says_more(
    paginator: Any, extra: dict[str, Any], headers: dict[str, str], named: str, tmp_path: Path
) -> None:
    """The newcomer's table: 100 of 500, 30 of 350, 100 of 500, all with exit code 0."""
    keys = {} if paginator is None else {"paginator": paginator}
    with serving(lambda _: Reply({"data": things(3), **extra}, headers=headers)) as api:
        run = tap(tmp_path, config(api.url, records="data", **keys))
    assert run.code == 1
    assert named in run.told[-1]
    assert "ignored_marks" in run.told[-1]


@pytest.mark.pure
def test_a_token_path_that_leads_to_several_values_is_refused() -> None:
    (only,) = read_settings(config(paginator={**TOKEN, "cursor_path": "data[*].id"}))
    answer = Answer(URL, facts_of(200, {}), {"data": things(3)})
    with pytest.raises(AnswerError, match=r"3 values at data\[\*\]\.id, and a token is one; .*data\[-1\]\.id"):
        following(only.paginator, answer, None, 3)


@pytest.mark.pure
@pytest.mark.parametrize("name", ["end_of_stream", "meta.is_last", "isLast", "done", "last_page", "data.endOfStream"])
def test_a_flag_that_names_the_end_is_refused_as_has_more_path(name: str) -> None:
    facts = read_settings(config(paginator={**TOKEN, "has_more_path": name}))
    with pytest.raises(ConfigurationError, match=f"write end_path: {name}"):
        plans_for(facts)
    plans_for(read_settings(config(paginator={**TOKEN, "end_path": name})))


def behind(body: Any, at: Any = None, count: int = 2, headers: dict[str, str] | None = None, **keys: Any) -> Any:
    """What asks for the page behind an answer."""
    (only,) = read_settings(config(paginator={**TOKEN, **keys} if "type" not in keys else keys))
    return following(only.paginator, Answer(URL, facts_of(200, headers or {}), body), at, count)


@pytest.mark.pure
def test_an_end_is_stated_by_a_flag_an_empty_page_a_repeated_token_or_an_attribute_of_the_link() -> None:
    assert behind({"next": "b", "end": True}, end_path="end") is None
    assert behind({"next": "b", "end": False}, end_path="end") == Token("b")
    with pytest.raises(AnswerError, match="no boolean at end; set end_path"):
        behind({"next": "b"}, end_path="end")
    assert behind({"next": "b"}, count=0) == Token("b")
    assert behind({"next": "b"}, count=0, empty_page="end") is None
    assert behind({"next": "b"}, Token("b")) == Token("b")
    assert behind({"next": "b"}, Token("b"), repeated_token="end") is None
    link = '<https://api.example.com/p>; rel="previous"; results="true", <https://api.example.com/n>; rel="next"; results="{}"'
    for results, more in (("true", True), ("false", False)):
        headers = {"link": link.format(results)}
        found = behind({}, headers=headers, type="header_link", end_attribute="results=false")
        assert (found is not None) is more
    target = link_in(link.format("x"), "next")
    assert target is not None
    assert target.attributes == {"rel": "next", "results": "x"}


def test_an_export_whose_last_page_has_a_token_too_is_read_to_its_end(tmp_path: Path) -> None:
    """Row 7: the token of the last page asks for nothing; it ended by "pages go in a circle" in every run."""
    rows = things(13)

    def answers(asked: Asked) -> Reply:
        start = int(asked.params.get("cursor", 0))
        end = min(start + 5, len(rows))
        return Reply({"data": rows[start:end], "next": str(end), "end_of_stream": end == len(rows)})

    with serving(answers) as api:
        for keys in ({"end_path": "end_of_stream"}, {"repeated_token": "end"}, {"empty_page": "end"}):
            run = tap(tmp_path, config(api.url, records="data", paginator=TOKEN | keys))
            assert (run.code, len(run.records)) == (0, 13), run.err
        run = tap(tmp_path, config(api.url, records="data", paginator=TOKEN))
    assert "declare repeated_token: end" in run.told[-1]


@pytest.mark.pure
@pytest.mark.parametrize(
    "facts",
    [{"paginator": TOKEN}, {**COMPOUND, "paginator": TOKEN}, {**INCLUSIVE, "paginator": {**TOKEN, "stable": True}}],
)
def test_pages_without_a_record_are_followed_up_to_a_number_and_the_last_token_is_shown(facts: dict[str, Any]) -> None:
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        return Page([], Token(f"t{len(asked)}"), LATER)

    with pytest.raises(WalkError, match=r"7 pages in a row had no record.*the token 't7'; declare empty_page: end"):
        drive(plan(**facts, max_empty_pages=7), answers)
    assert len(asked) == 7


COUNTED: dict[str, Any] = {"type": "page_number", "base_page": 1}


@pytest.mark.parametrize(
    "paginator",
    [COUNTED, {"type": "offset", "limit": 3}, {**COUNTED, "total_path": "pages"}],
    ids=["page", "offset", "total"],
)
def test_no_page_behind_the_last_one_is_the_end_where_pages_are_counted(paginator: Any, tmp_path: Path) -> None:
    rows = things(9)

    def answers(asked: Asked) -> Reply:
        start = int(asked.params["offset"]) if "offset" in asked.params else 3 * int(asked.params["page"]) - 3
        page = rows[start : start + 3]
        return Reply({"data": page, "pages": 4}) if page else Reply({"detail": "Invalid page."}, 404)

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, records="data", paginator=paginator))
    if "total_path" in paginator:  # it says that there is a fourth page
        assert run.code == 1
        assert "was answered 404" in run.told[-1]
    else:
        assert (run.code, len(run.records)) == (0, 9), run.err


@pytest.mark.parametrize("keys", [{"page_param": "page"}, {"type": "offset", "limit": 2, "offset_param": "page"}])
def test_a_404_that_passes_is_no_end_of_a_list(keys: dict[str, Any], tmp_path: Path) -> None:
    asked_before: set[str] = set()
    rows = things(7)

    def answers(asked: Asked) -> Reply:
        page = asked.params["page"]
        start = int(page) * (1 if "limit" in asked.params else 2)
        if start == 4 and page not in asked_before:
            asked_before.add(page)
            return Reply({"detail": "no route"}, 404)
        return Reply(rows[start : start + 2]) if start < len(rows) else Reply({"detail": "no such page"}, 404)

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, fixed_order=True, paginator={"type": "page_number", **keys}))
    assert (run.code, sorted(record["id"] for record in run.records)) == (0, list(range(7))), run.err
    assert asked_before


@pytest.mark.parametrize("paginator", [COUNTED, {"type": "offset", "limit": 3}, COUNTED | {"total_path": "pages"}])
def test_a_404_for_the_first_page_is_an_error(paginator: Any, tmp_path: Path) -> None:
    with serving(lambda _: Reply({"detail": "no such list"}, 404)) as api:
        assert tap(tmp_path, config(api.url, records="data", paginator=paginator)).code == 1


@pytest.mark.pure
@pytest.mark.parametrize(
    ("path", "body", "length"),
    [
        ("data[*].lines[*]", {"data": [{"lines": [{}, {}, {}]}, {"lines": []}]}, 2),
        ("data[?(@.kind=='x')]", {"data": [{"kind": "y"}, {"kind": "x"}, {"kind": "y"}]}, 3),
        ("edges[*].node", {"edges": [{"node": {}}, {"node": {}}]}, 2),
        ("data.*", {"data": {"a": {}, "b": {}}}, 2),
        ("data[*]", {"data": [{}, {}, {}, {}, {}]}, 5),
        ("$", [{}] * 5, 5),
        ("$[*].lines[*]", [{"lines": []}] * 3, 3),
    ],
)
def test_a_pages_length_is_that_of_the_outermost_list_on_the_way_to_the_records(
    path: str, body: Any, length: int
) -> None:
    assert list_length(path, body, 5) == length


ORDERS: list[dict[str, Any]] = [
    {"id": order, "lines": [{"id": 10 * order + line} for line in range(order % 3)]} for order in range(1, 13)
]
LINES = sorted(line["id"] for order in ORDERS for line in order["lines"])


def orders(asked: Asked) -> Reply:
    """Orders with none to two lines each, two orders a page."""
    start = int(asked.params["offset"]) if "offset" in asked.params else 2 * int(asked.params["page"]) - 2
    page = [] if "kind" in asked.params else ORDERS[start : start + 2]
    return Reply({"data": page, "total": len(ORDERS), "has_more": start + 2 < len(ORDERS)})


@pytest.mark.parametrize(
    "paginator",
    [
        {"type": "offset", "limit": 2},
        {"type": "offset", "limit": 2, "total_path": "total"},
        {"type": "offset", "limit": 2, "has_more_path": "has_more"},
        COUNTED,
        COUNTED | {"has_more_path": "has_more"},
    ],
)
@pytest.mark.parametrize("more", [{}, {"sweep": True, "fixed_order": True}], ids=["", "swept"])
def test_records_within_each_element_are_read_whole_whatever_counts_their_pages(
    paginator: dict[str, Any],
    more: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Rows 2, 2b and 2e: half of the lines were lost, or a page without lines was taken for the end."""
    keys: dict[str, Any] = {
        "records": "data[*].lines[*]",
        "paginator": paginator,
        "schema": {"properties": {"id": {"type": "integer"}}},
    }
    with serving(orders) as api:
        run = tap(tmp_path, config(api.url, **keys, **more))
    assert run.code == 0, run.err
    assert sorted(record["id"] for record in run.records) == LINES


def test_a_filter_in_the_path_hides_no_page(tmp_path: Path) -> None:
    """Row 2c: one page without a match was the end."""
    rows = [{"id": number, "kind": "x" if number in {0, 1, 8, 9} else "y"} for number in range(10)]

    def answers(asked: Asked) -> Reply:
        start = 2 * int(asked.params["page"]) - 2
        return Reply({"data": rows[start : start + 2]})

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, records="data[?(@.kind=='x')]", paginator=COUNTED))
    assert [record["id"] for record in run.records] == [0, 1, 8, 9]


def test_an_incremental_list_of_lines_goes_on_behind_parents_without_lines(tmp_path: Path) -> None:
    """Row 2d: 8 of 16, and the mark stood before the gap in every run."""
    lines = {order: [{"id": order, "updated_at": f"2026-01-01T00:00:{order:02}Z"}] for order in (1, 2, 3, 8, 9, 10)}

    def answers(asked: Asked) -> Reply:
        since = asked.params.get("since", "")
        kept = [order for order in range(1, 11) if f"2026-01-01T00:00:{order:02}Z" >= since]
        start = 2 * int(asked.params["page"]) - 2
        return Reply({"data": [{"lines": lines.get(order, [])} for order in kept[start : start + 2]]})

    with serving(answers) as api:
        run = tap(tmp_path, config(api.url, **{**INCLUSIVE, "records": "data[*].lines[*]", "paginator": COUNTED}))
    assert run.code == 0, run.err
    assert [record["id"] for record in run.records] == [1, 2, 3, 8, 9, 10]
