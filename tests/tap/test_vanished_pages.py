"""Pages that aren't there any more: a counted list that shrinks while it is read, where its end is stated."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import AnswerError
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

    def __init__(self, count: int, lost: int, *, gaps: tuple[int, ...] = ()) -> None:
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


def test_a_list_whose_first_page_is_missing_has_no_page_before_it() -> None:
    with (
        serving(Shrinking(3, 0, gaps=(1,)).answer) as api,
        runs(api, "traversal", total_path="pages") as made,
        pytest.raises(AnswerError, match="answered 404"),
    ):
        made.run()
