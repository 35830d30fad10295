"""Pages asked for before their turn: the same records in the same order, and few requests too many."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.paginators import Number
from tap_restextract.http.fetching import Prefetcher
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import config

SIZE = 10
PAGES: dict[str, Any] = {"paginator": {"type": "page_number", "base_page": 0, "page_param": "page"}}
OFFSETS: dict[str, Any] = {"paginator": {"type": "offset", "limit": SIZE}}


def listed(count: int, *, most: int = SIZE, beyond: int = 200) -> Any:
    """An API of so many records, `most` of them a page, which answers what is beyond its end with this status."""

    def answers(asked: Asked) -> Reply:
        first = int(asked.params.get("page", 0)) * SIZE if "page" in asked.params else int(asked.params["offset"])
        if first >= count + SIZE and beyond != 200:
            return Reply({"error": "beyond the end"}, beyond)
        return Reply([{"id": number} for number in range(first, min(first + most, count))], delay=0.01)

    return answers


def extracted(folder: Path, api: Any, *, concurrency: int, **keys: Any) -> list[int]:
    """The ids in their order."""
    run = tap(folder, config(api.url, **keys) | {"concurrency": concurrency})
    assert run.code == 0, run.err
    messages = [json.loads(line) for line in run.out.splitlines()]
    return [message["record"]["id"] for message in messages if message["type"] == "RECORD"]


@pytest.mark.parametrize("paginator", [PAGES, OFFSETS], ids=["pages", "offsets"])
@pytest.mark.parametrize("beyond", [200, 404])
def test_a_counted_list_read_ahead_is_the_list(tmp_path: Path, paginator: dict[str, Any], beyond: int) -> None:
    total = SIZE * 12 if beyond == 200 else SIZE * 12 - 3
    with serving(listed(total, beyond=beyond)) as api:
        assert extracted(tmp_path, api, concurrency=4, **paginator) == [*range(total)]
        # A page that isn't there is asked for twice, and up to three are read ahead.
        assert len(api.asked) <= 13 + (1 + 3) * (2 if beyond == 404 else 1)


def test_an_api_that_gives_less_than_asked_for_is_followed(tmp_path: Path) -> None:
    with serving(listed(95, most=7)) as api:
        assert extracted(tmp_path, api, concurrency=4, **OFFSETS) == [*range(95)]


def test_a_list_of_one_page_costs_no_request_too_many(tmp_path: Path) -> None:
    with serving(listed(0)) as api:
        assert extracted(tmp_path, api, concurrency=8, **PAGES) == []
        # An empty page 0 is asked about: this API might count its pages from 1.
        assert [asked.params["page"] for asked in api.asked] == ["0", "1"]


def test_several_pages_are_under_way_at_once_and_come_in_their_order() -> None:
    flying, most, lock, all_ = 0, 0, threading.Lock(), threading.Event()

    def fetch(ask: PageRequest) -> Page:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
            if most == 4:
                all_.set()
        if isinstance(ask.at, Number) and ask.at.page >= 10:  # by then it looks as far ahead as it may
            all_.wait(30)
        time.sleep(0.02)
        with lock:
            flying -= 1
        return Page([{"id": ask.at.page if isinstance(ask.at, Number) else 0}])

    ahead = Prefetcher(
        fetch, lambda ask: PageRequest(at=Number(ask.at.page + 1 if isinstance(ask.at, Number) else 1)), 4
    )
    found = [ahead(PageRequest(at=Number(number) if number else None)).records[0]["id"] for number in range(30)]
    ahead.close()
    assert found == [*range(30)]
    assert most == 4


def test_a_fault_comes_out_at_the_page_that_has_it_and_none_of_a_page_that_nobody_wants() -> None:
    def fetch(ask: PageRequest) -> Page:
        if isinstance(ask.at, Number) and ask.at.page >= 5:
            raise AnswerError("beyond the end")
        return Page([{}])

    ahead = Prefetcher(
        fetch, lambda ask: PageRequest(at=Number(ask.at.page + 1 if isinstance(ask.at, Number) else 1)), 4
    )
    for number in range(5):
        assert ahead(PageRequest(at=Number(number))).records == [{}]
    with pytest.raises(AnswerError):
        ahead(PageRequest(at=Number(5)))
    ahead.close()


def test_a_probe_is_asked_for_beside_the_pages_that_are_read_ahead() -> None:
    """It neither has pages behind it asked for, nor drops those that are on their way."""
    asked: list[PageRequest] = []

    def fetch(ask: PageRequest) -> Page:
        asked.append(ask)
        return Page([{}])

    def foreseen(ask: PageRequest) -> PageRequest:
        return replace(ask, at=Number(ask.at.page + 1 if isinstance(ask.at, Number) else 1))

    ahead = Prefetcher(fetch, foreseen, 4)
    for number in range(3):
        ahead(PageRequest(at=Number(number)))
    ahead(PageRequest(at=Number(90), probe=True))
    ahead(PageRequest(at=Number(3)))
    ahead.close()
    assert [ask.at for ask in asked if ask.probe] == [Number(90)]
    assert len(asked) == len({*asked})
