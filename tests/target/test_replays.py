"""What is taken for a repetition, and what has to wait, by contents as numbers."""

from __future__ import annotations

import itertools

import pytest

from target_eventgen.store.replays import MAX_HISTORY_CONTENTS, ReplayVerdict, judge

pytestmark = pytest.mark.pure

CASES = [
    # history, sent, how many of it are a repetition; None: that is not known yet
    ([1, 2], [2], 1),
    ([1, 2], [1, 2], 2),
    ([1, 2], [1, 1, 2, 2], 4),
    ([1, 2], [1, 2, 3], 2),
    ([1, 2], [3], 0),
    ([1, 2], [2, 1], 1),
    ([1, 2], [1], None),
    ([1, 2, 3, 4], [2, 3], None),
    ([1, 2, 3, 4], [2, 4], 0),
    ([1, 2, 3, 4], [2, 3, 4], 3),
    ([1, 2, 1, 2], [1, 2], None),
    ([1, 2, 1, 2], [1, 2, 1], None),
    ([1, 2, 1, 2], [1, 2, 3], 2),
    ([1, 2, 1], [1, 2], None),
]


@pytest.mark.parametrize(("history", "sent", "repeated"), CASES)
def test_the_end_of_a_history_is_a_repetition_and_a_piece_before_it_waits(
    history: list[int], sent: list[int], repeated: int | None
) -> None:
    assert judge(history, sent, ended=False) == ReplayVerdict(repeated or 0, parked=repeated is None)


@pytest.mark.parametrize(
    ("history", "sent", "repeated"), [([1, 2], [1], 0), ([1, 2, 1, 2], [1, 2, 1], 2), ([1, 2], [2], 1)]
)
def test_where_nothing_more_can_come_a_piece_is_news(history: list[int], sent: list[int], repeated: int) -> None:
    assert judge(history, sent, ended=True) == ReplayVerdict(repeated, parked=False)


def test_a_replay_from_any_place_and_in_any_pieces_is_recognised() -> None:
    history = [1, 2, 3, 4, 5]
    for first, cuts in itertools.product(range(5), itertools.product([False, True], repeat=4)):
        sent: list[int] = []
        left: list[int] = []
        for index in range(first, 5):
            sent.append(history[index])
            if index == 4 or cuts[index]:
                verdict = judge(history, sent, ended=False)
                left = sent[verdict.repeated :]
                assert verdict.parked is (index < 4)
        assert left == []


def test_of_a_long_history_only_the_end_is_remembered() -> None:
    history = list(range(10, 10 + MAX_HISTORY_CONTENTS))
    assert judge(history, list(range(10 + MAX_HISTORY_CONTENTS)), ended=False) == ReplayVerdict(
        10 + MAX_HISTORY_CONTENTS, parked=False
    )
    assert judge(history, list(range(12)), ended=False) == ReplayVerdict(0, parked=True)
    assert judge(history, list(range(9)), ended=False) == ReplayVerdict(0, parked=False)
