"""What is behind a record: a compound filter that compares less than it is declared to is found at a seam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Token
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tests.support.streams import COMPOUND, plan
from tests.support.walks import LATER, Answers, at, compound, drive, pages

pytestmark = pytest.mark.pure

TIED = [at(1, 1), at(2, 2), at(2, 3), at(2, 4), at(3, 5), at(4, 6)]


def hourly(count: int) -> list[Record]:
    """A record for each hour of a day."""
    return [at(0, hour) | {"updated_at": f"2026-01-01T{hour:02}:00:00Z"} for hour in range(count)]


def other_filter(records: Sequence[Record], kind: str, size: int = 3) -> Answers:
    """An API that compares the key alone, or reads it in a zone two hours behind."""

    def answers(ask: PageRequest) -> Page:
        listed = [*records]
        if ask.cursor is not None:
            since = rank(ask.cursor.value) + (7200 if kind == "zone" else 0)
            listed = [
                record
                for record in records
                if rank(record["updated_at"]) > since
                or (kind == "zone" and (rank(record["updated_at"]), record["id"]) > (since, ask.cursor.tie))
            ]
        return Page(listed[:size], Token("more") if len(listed) > size else None, LATER)

    return answers


def test_a_filter_that_compares_the_key_alone_is_found_where_a_page_holds_a_tie() -> None:
    with pytest.raises(WalkError) as caught:
        drive(plan(**COMPOUND), other_filter(TIED, "key"))
    assert str(caught.value) == (
        "stream things (compound keyset): asked for what is after (updated_at, id) ('2026-01-01T00:00:02Z', 2) "
        "(since=2026-01-01T00:00:02Z), the API leaves out the record at ('2026-01-01T00:00:02Z', 3), which stands unchanged in the "
        "answer to the request without a cursor; the filter compares updated_at alone: let it compare both (updated_at equal, and id "
        "greater), or declare filter: exclusive. Or it reads updated_at in another zone: send it in a form that names its zone; then reset this "
        "stream's STATE, where it has one: what was read before may have passed over records"
    )


@pytest.mark.parametrize("count", [4, 12])
def test_a_filter_that_reads_another_zone_is_found_where_the_list_ends_or_goes_on_later(count: int) -> None:
    with pytest.raises(WalkError, match="reads updated_at in another zone"):
        drive(plan(**COMPOUND), other_filter(hourly(count), "zone"))


def in_short_pages(records: Sequence[Record], kind: str, sizes: Sequence[int]) -> Answers:
    """An API with such a filter, whose pages end anywhere; its tokens count the records before."""
    left = [*sizes]

    def answers(ask: PageRequest) -> Page:
        listed = other_filter(records, kind, len(records))(PageRequest(ask.cursor)).records
        start = int(ask.at.value) if isinstance(ask.at, Token) else 0
        end = start + (left.pop(0) if left else 3)
        return Page(listed[start:end], Token(str(end)) if end < len(listed) else None, LATER)

    return answers


@pytest.mark.parametrize("sizes", [[3, 3, 3, 1, 1, 1, 3], [3, 3, 3, 1, 2, 3]])
def test_a_page_that_is_shorter_when_it_is_asked_for_again_is_followed_to_the_record(sizes: list[int]) -> None:
    with pytest.raises(WalkError, match="compares updated_at alone"):
        drive(plan(**COMPOUND), in_short_pages(TIED, "key", sizes))


def test_a_page_of_one_record_whose_token_leads_on_is_asked_about_where_nothing_is_behind_the_record() -> None:
    with pytest.raises(WalkError, match="reads updated_at in another zone"):
        drive(plan(**COMPOUND), in_short_pages(TIED, "zone", [1]))
    read = drive(
        plan(**COMPOUND), pages(Page(TIED[:1], Token("1"), LATER), Page([], None, LATER), Page([], None, LATER))
    )
    assert (read.ids, len(read.asks)) == ([1], 2 + 1)


def test_an_honest_filter_is_asked_once_a_run_and_never_where_an_answer_proves_it() -> None:
    read = drive(plan(**COMPOUND), compound(TIED, 3))
    assert read.ids == [1, 2, 3, 4, 5, 6]
    assert len(read.asks) == 2 + 1  # the second page begins within the tie
    tied = [at(second, 2 * second + half) for second in range(9) for half in range(2)]
    read = drive(plan(**COMPOUND), compound(tied, 2))
    assert len(read.asks) == 9 + 1 + 1
    read = drive(plan(**COMPOUND), compound(hourly(9), 2))
    assert len(read.asks) == 5 + 1 + 1


@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_a_record_that_leaves_the_page_meanwhile_is_no_contradiction(change: str) -> None:
    held = [*TIED]
    asked: list[PageRequest] = []

    def answers(ask: PageRequest) -> Page:
        asked.append(ask)
        page = compound(held, 3)(ask)
        if len(asked) == 1:
            held.remove(TIED[2])
            held.remove(TIED[3])
            held.extend([at(9, 3)] if change == "changed" else [])
        return page

    assert drive(plan(**COMPOUND), answers).ids == [1, 2, 3, 5, 6, *([3] if change == "changed" else [])]


def test_a_run_that_goes_on_and_finds_one_page_asks_nothing_besides() -> None:
    single: dict[str, Any] = {**COMPOUND, "paginator": {"type": "single_page", "limit": 9}}
    state = drive(plan(**single), compound(TIED[:1], 9)).state
    assert len(drive(plan(**single), compound(TIED, 9), state).asks) == 2


def test_what_an_earlier_run_emitted_beyond_its_mark_must_come_again() -> None:
    """A zone that is read wrongly empties each later run; the records of the boundary show it."""
    clock = float(rank(at(3)["updated_at"]))
    state = drive(plan(**COMPOUND), compound(TIED[:5], 9, clock)).state
    assert len(state["boundary"]) == 1
    with pytest.raises(WalkError, match=r"isn't after \(updated_at, id\), as declared"):
        drive(plan(**COMPOUND), other_filter(TIED, "zone", 9), state)
    assert drive(plan(**COMPOUND), compound(TIED[:4], 9), state).ids == []


def test_an_answer_of_a_cache_is_no_contradiction() -> None:
    """A record is deleted, and the page that held it comes out of a cache, with the Date of then."""
    held, clock = [*TIED], [LATER]
    kept: dict[Any, Page] = {}

    def answers(ask: PageRequest) -> Page:
        clock[0] += 1
        page = kept.setdefault(ask.cursor, replace(compound(held, 3)(ask), server_time=clock[0]))
        held[:] = [record for record in held if record["id"] not in {3, 4}]
        return page

    assert drive(plan(**COMPOUND), answers).ids == [1, 2, 3, 5, 6]
