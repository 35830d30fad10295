"""Pages that aren't there any more: a counted list that shrinks while it is read, where its end is stated."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import pytest

from tap_restextract.errors import AnswerError
from tap_restextract.http.client import MAX_VANISHED_PAGES
from tests.support.api import Asked, Reply, serving
from tests.support.runs import Runs
from tests.support.walks import at

pytestmark = pytest.mark.in_process

SIZE = 3
FACTS: dict[str, dict[str, Any]] = {
    "traversal": {},
    "restart": {
        "params": {"since": "{cursor.updated_at}"},
        "incremental": {"cursor_path": "updated_at", "tie_breaker": "id"},
    },
    "unordered": {
        "params": {"since": "{cursor.updated_at}"},
        "incremental": {"cursor_path": "updated_at", "order": "none"},
    },
}
PAGES: dict[str, Any] = {"type": "page_number", "base_page": 1}


class Shrinking:
    """An API that answers 404 to pages that aren't there; its list loses `lost` records once page 2 was answered."""

    def __init__(self, count: int, lost: int, *, gaps: Container[int] = ()) -> None:
        self.rows = [at(1, key) for key in range(1, count + 1)]
        self.lost = lost
        self.gaps = gaps
        self.asked: list[int] = []

    def answer(self, asked: Asked) -> Reply:
        number = int(asked.params["page"])
        self.asked.append(number)
        pages = max(1, -(-len(self.rows) // SIZE))
        if number > pages or number in self.gaps:
            return Reply({"message": "no such page"}, 404)
        shown = {"data": self.rows[SIZE * number - SIZE : SIZE * number], "pages": pages, "more": number < pages}
        if number == 2 and self.lost:
            self.rows, self.lost = self.rows[: len(self.rows) - self.lost], 0
        return Reply(shown)


def runs(api: Any, facts: str, **stated: str) -> Runs:
    stream = {"name": "things", "path": "/things", "primary_key": ["id"], "schema": {"type": "object"}}
    listed = {"records": "data", "paginator": PAGES | stated}
    return Runs({"base_url": api.url, "streams": [{**stream, **FACTS[facts], **listed}]})


@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("stated", [{"total_path": "pages"}, {"has_more_path": "more"}], ids=["total", "flag"])
@pytest.mark.parametrize("lost", [1, 4])
def test_a_page_that_has_vanished_is_the_end_where_the_page_before_it_says_so_by_now(
    facts: str, stated: dict[str, str], lost: int
) -> None:
    """Page 3 holds one record, and page 2 says that it is there; with four less page 2 is gone as well."""
    listed = Shrinking(2 * SIZE + 1, lost)
    with serving(listed.answer) as api, runs(api, facts, **stated) as made:
        came = made.run()
    assert {*range(1, 2 * SIZE + 2 - lost)} <= {*came.ids}
    assert came.notices == []
    assert 3 in listed.asked


@pytest.mark.parametrize("facts", FACTS)
def test_a_page_that_is_missing_though_the_one_before_it_says_that_it_is_there_stops_the_run(facts: str) -> None:
    with (
        serving(Shrinking(3 * SIZE, 0, gaps=(3,)).answer) as api,
        runs(api, facts, total_path="pages") as made,
        pytest.raises(
            AnswerError, match=r"answered 404 .*; the page before it, .*, doesn't say that it is the last one"
        ),
    ):
        made.run()


class Vanishing(Shrinking):
    """An API that answers 404 to all once page `last` was answered; where it `refuses`, an error to that page."""

    def __init__(self, last: int, *, refuses: bool = False) -> None:
        super().__init__(SIZE * last + SIZE, 0)
        self.last = last
        self.refuses = refuses

    def answer(self, asked: Asked) -> Reply:
        reply = super().answer(asked)
        if self.asked[-1] != self.last or self.last not in self.asked[:-1]:
            self.gaps = range(self.last * 2) if self.asked[-1] == self.last else self.gaps
            return reply
        return Reply({"error": "no right to read this"}) if self.refuses else reply


def test_a_list_of_many_pages_that_vanishes_as_a_whole_is_an_error_after_a_few_requests() -> None:
    listed = Vanishing(40)
    with (
        serving(listed.answer) as api,
        runs(api, "traversal", has_more_path="more") as made,
        pytest.raises(AnswerError, match=r"page=41 was answered 404"),
    ):
        made.run()
    assert listed.asked[listed.asked.index(41) :] == [41, *range(40, 40 - MAX_VANISHED_PAGES, -1)]


def test_an_error_in_place_of_the_page_before_does_not_say_that_it_is_the_last_one() -> None:
    with (
        serving(Vanishing(2, refuses=True).answer) as api,
        runs(api, "traversal", has_more_path="more") as made,
        pytest.raises(AnswerError, match=r"page=3 was answered 404"),
    ):
        made.run()


def test_a_list_whose_first_page_is_missing_has_no_page_before_it() -> None:
    with (
        serving(Shrinking(3, 0, gaps=(1,)).answer) as api,
        runs(api, "traversal", total_path="pages") as made,
        pytest.raises(AnswerError, match="answered 404"),
    ):
        made.run()
