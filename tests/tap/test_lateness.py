"""Late records: what comes later than `lag` allows is told where a page that is read again shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Start
from tap_restextract.exchange.stated_ends import stated_end
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.lateness import LateWatch
from tap_restextract.walks.probing import Watch
from tap_restextract.walks.steps import Page, PageRequest, Record, Step, Steps
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan
from tests.support.walks import at

pytestmark = pytest.mark.pure


def told(made: Plan, *pages: tuple[Sequence[Record], float], request: Sequence[PageRequest] = ()) -> str:
    """What is told of pages, each with the second of the server's clock at which it came."""
    watch = LateWatch()
    texts: list[str] = []
    for index, (records, second) in enumerate(pages):
        clock = float(rank(at(0)["updated_at"])) + second
        texts += watch.look(made, request[index] if request else PageRequest(), Page(records, server_time=clock))
    return "\n".join(texts)


def facts(**more: Any) -> Plan:
    """The plan of a list sorted by time."""
    return plan(**INCLUSIVE | {"incremental": {"cursor_path": "updated_at", **more}})


LATE = at(4, 9)
EARLY, AGAIN = [at(2, 1), at(3, 2), at(6, 3)], [at(2, 1), at(3, 2), LATE, at(6, 3)]


def test_a_record_that_was_to_be_on_an_earlier_page_is_told_with_the_least_lag() -> None:
    assert told(facts(), (EARLY, 9), (AGAIN, 11)) == (
        "stream things (single page): a record at updated_at '2026-01-01T00:00:04Z' came 5 s or more after that time: an earlier "
        "answer had records before and after it, and not this one. What comes later than lag (none is declared) allows may be passed over; "
        "declare lag in incremental, at least 5s, or what the API may take to show a change"
    )
    assert "later than lag (2s) allows" in told(facts(lag="2s"), (EARLY, 9), (AGAIN, 11))
    assert "at least 5s" in told(facts(lag="2s"), (EARLY, 9), (AGAIN, 11))
    assert "later than lookback (1s) allows may be passed over; declare lookback" in told(
        facts(lookback="1s"), (EARLY, 9), (AGAIN, 11)
    )
    falling = facts(order="desc")
    assert "came 5 s or more" in told(falling, (EARLY[::-1], 9), (AGAIN[::-1], 11))
    assert told(facts(), (EARLY, 9), (AGAIN, 11), (EARLY, 12), (AGAIN, 13)).count("came 5 s") == 1


def test_a_compound_keysets_question_behind_a_record_may_show_a_late_one() -> None:
    assert "came 5 s or more" in told(plan(**COMPOUND), (EARLY, 9), (AGAIN[1:], 11))
    assert told(plan(**COMPOUND), (EARLY, 9), (AGAIN[3:], 11)) == ""


@pytest.mark.parametrize(("at_page", "count"), [(None, 1), (Start(3), 0)])
def test_a_probe_of_a_lists_beginning_may_show_a_late_record_and_one_of_another_page_tells_nothing(
    at_page: Start | None, count: int
) -> None:
    """What is asked for elsewhere may turn out to be a page of another list."""

    def walk() -> Steps:
        yield Step(request=PageRequest())
        yield Step(request=PageRequest(at=at_page, probe=True))
        yield Step()

    made, clock = facts(), float(rank(at(11)["updated_at"]))
    steps = Watch({"": made}, is_first=False).over(walk())
    next(steps)
    assert steps.send(Page(EARLY, Start(3), clock)).notices == ()
    assert len(steps.send(Page(AGAIN, Start(3), clock)).notices) == count


@pytest.mark.parametrize(
    ("more", "first", "then"),
    [
        ({"lag": "3s"}, (EARLY, 9), (AGAIN, 11)),  # the newest of the page wasn't settled
        ({}, (EARLY, 6), (AGAIN, 11)),  # likewise: its second may be joined
        ({}, (EARLY, 9), (EARLY, 11)),
        ({}, (EARLY[:2], 9), (AGAIN, 11)),  # it lies behind the page
        ({}, (EARLY[2:], 9), (AGAIN, 11)),
        ({}, (EARLY, 9), ([at(2, 1), at(5, 2), at(6, 3)], 11)),  # a record that was there, and moved
        ({"lookback": "1h"}, (EARLY, 9), (AGAIN, 11)),
        ({}, (EARLY, 9), (AGAIN, 8)),  # an answer of before, that came later
        ({"order": "none"}, (EARLY, 9), (AGAIN, 11)),
    ],
)
def test_what_an_honest_api_may_do_is_not_told(more: dict[str, Any], first: Any, then: Any) -> None:
    assert told(facts(**more), first, then) == ""


def test_lists_without_clock_key_or_time_and_of_other_parents_are_not_compared() -> None:
    watch, made = LateWatch(), facts()
    assert watch.look(made, PageRequest(), Page(EARLY)) == watch.look(made, PageRequest(), Page(AGAIN)) == ()
    keyless = plan(**INCLUSIVE | {"primary_key": []})
    assert told(keyless, (EARLY, 9), (AGAIN, 11)) == ""
    assert told(plan(**UNIQUE), (EARLY, 9), (AGAIN, 11)) == ""
    assert told(plan(), (EARLY, 9), (AGAIN, 11)) == ""
    parents = [PageRequest(scope=(("parent", 1),)), PageRequest(scope=(("parent", 2),))]
    assert told(made, (EARLY, 9), (AGAIN, 11), request=parents) == ""
    without_time = [{"id": 1, "updated_at": None}, *EARLY]
    assert told(made, (without_time, 9), (AGAIN, 11)) == ""


def test_a_list_that_ended_before_an_older_record_of_another_answer_is_told() -> None:
    made = plan(**INCLUSIVE | {"paginator": {"type": "page_number", "has_more_path": "more"}})
    end = stated_end(made.stream.paginator, Answer("http://x", facts_of(200, {}), {"more": False}), None, 2)
    clock = float(rank(at(9)["updated_at"]))
    ended = Page([at(2, 1), at(3, 2)], None, clock, end=end)

    def heard(*records: Record, first: Page = ended, until: str | None = None) -> str:
        watch = LateWatch()
        assert watch.look(made, PageRequest(until=until), first) == ()
        return "".join(watch.look(made, PageRequest(), Page([*records], None, clock + 5)))

    assert heard(at(3, 2), at(4, 3)).startswith(
        "stream things (restart keyset): a list said that it ended (more is false), and a record at updated_at '2026-01-01T00:00:04Z', "
        "which is older than that answer, and was not in it, came in another; set has_more_path"
    )
    assert heard(at(3, 2), at(4, 3), until=at(3)["updated_at"]) == ""
    assert heard(at(3, 2), at(9, 3)) == heard(at(3, 1), at(9, 3)) == ""
    assert heard(at(3, 2), at(4, 3), first=Page([at(2, 1), at(3, 2)], None, clock)) == ""
