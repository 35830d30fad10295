"""The order of a compound list: a look at a whole page at once says what a look at each record says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tap_restextract.errors import TapError
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor
from tap_restextract.walks import order as walk_order
from tap_restextract.walks.order import OrderCheck
from tests.support.streams import COMPOUND, plan
from tests.support.walks import at

pytestmark = pytest.mark.pure

TIES: dict[str, list[Any]] = {
    "numbers": [1, 2, 3, 4, 5],
    "texts": ["b", "a", "c", "e", "d"],
    "mixed": [1, 2, "a", "b", True],
}


def told(plan_: Plan, cursor: Cursor | None, pages: Sequence[Sequence[dict[str, Any]]]) -> tuple[Any, ...]:
    """What an order says of one page after the other, and what it remembers."""
    order = OrderCheck(plan_)
    for page in pages:
        try:
            order.check(cursor, page)
        except TapError as error:
            return str(error), order.ties, order.ends
        if page:
            cursor = walk_order.cursor_of(plan_, page[-1])
    return order.ties, order.ends


@pytest.mark.parametrize("kind", TIES)
def test_a_page_at_once_is_checked_as_record_by_record(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(**COMPOUND)
    chance, refused, passed = random.Random(kind), 0, 0
    for _ in range(3000):
        count = chance.randrange(9)
        ids = [chance.choice(TIES[kind]) for _ in range(count)]
        records = [{**at(chance.randrange(1, 5), 1), "id": tie} for tie in ids]
        by_id = chance.random() < 0.5
        if chance.random() < 0.8:
            records.sort(key=lambda record: (record["updated_at"], str(record["id"]) if by_id else ""))
        if chance.random() < 0.7:
            records = [record for place, record in enumerate(records) if record not in records[:place]]
        cut = chance.randrange(count + 1)
        pages = [records[:cut], records[cut:]]
        start = chance.choice([None, Cursor(at(1, 1)["updated_at"], chance.choice(TIES[kind]))])
        quick = told(made, start, pages)
        with monkeypatch.context() as context:
            context.setattr(walk_order, "_go_forward", lambda *_: False)
            slow = told(made, start, pages)
        assert quick == slow, (start, pages)
        refused, passed = refused + (len(quick) == 3), passed + (len(quick) == 2 and count > 3)
    assert refused > 100
    assert passed > 20
