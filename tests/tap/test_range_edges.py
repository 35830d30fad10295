"""The edge of two time ranges: what is at a range's end must be in the next one, which begins with it."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import plan
from tests.support.walks import at

pytestmark = pytest.mark.pure

WINDOWS: dict[str, Any] = {
    "params": {"since": "{cursor.updated_at}", "before": "{until.updated_at}"},
    "incremental": {"cursor_path": "updated_at", "step": "10s", "initial_value": "2026-01-01T00:00:00Z"},
    "paginator": {"type": "cursor", "stable": True},
}
CLOCK = float(rank(at(40)["updated_at"]))
RECORDS = [at(5, 1), at(10, 2), at(15, 3), at(20, 4), at(20, 5)]


def read(held: list[Record], *, strict: bool, gone: int | None = None) -> tuple[list[Any], int]:
    """What comes out of all ranges, and how many requests they took; one record may go when it has been shown."""
    stream_walk, asked, written = stream_walk_for(plan(**WINDOWS), None), 0, []

    def answer(ask: PageRequest) -> Page:
        assert ask.cursor is not None
        low, high = rank(ask.cursor.value), None if ask.until is None else rank(ask.until)
        kept = [
            record
            for record in held
            if (place := rank(record["updated_at"])) >= low + strict and (high is None or place <= high)
        ]
        held[:] = [record for record in held if record not in kept or record["id"] != gone]
        return Page(kept, None, CLOCK)

    while (sub_walk := stream_walk.next()) is not None:
        step = next(sub_walk.steps)
        while step.request is not None:
            asked += 1
            step = sub_walk.steps.send(answer(step.request))
            written += [record["id"] for record in step.records]
    return written, asked


def test_a_strict_filter_leaves_out_what_is_at_an_edge_and_is_found_there() -> None:
    with pytest.raises(WalkError, match=r"since=2026-01-01T00:00:10Z, and is there, .*09Z.*declare filter: exclusive"):
        read([*RECORDS], strict=True)


def test_an_honest_filter_is_asked_nothing_besides() -> None:
    assert read([*RECORDS], strict=False) == ([1, 2, 3, 4, 5], 5)


def test_what_is_gone_from_an_edge_costs_one_request() -> None:
    assert read([*RECORDS], strict=False, gone=4) == ([1, 2, 3, 5], 5 + 1)
