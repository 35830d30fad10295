"""What is taken for a repetition, and what has to wait, by contents as numbers."""

from __future__ import annotations

import itertools

import pytest

from target_eventgen.store.replays import LONGEST_STORY, Retelling, judge

TOLD = [
    # story, said, how many of it are a repetition; None: that is not known yet
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


@pytest.mark.parametrize(("story", "said", "told"), TOLD)
def test_the_end_of_a_story_is_a_repetition_and_a_piece_before_it_waits(
    story: list[int], said: list[int], told: int | None
) -> None:
    assert judge(story, said, ended=False) == Retelling(told or 0, held=told is None)


@pytest.mark.parametrize(("story", "said", "told"), [([1, 2], [1], 0), ([1, 2, 1, 2], [1, 2, 1], 2), ([1, 2], [2], 1)])
def test_where_nothing_more_can_come_a_piece_is_news(story: list[int], said: list[int], told: int) -> None:
    assert judge(story, said, ended=True) == Retelling(told, held=False)


def test_a_story_told_again_from_any_place_and_in_any_pieces_is_no_news() -> None:
    story = [1, 2, 3, 4, 5]
    for first, cuts in itertools.product(range(5), itertools.product([False, True], repeat=4)):
        held: list[int] = []
        left: list[int] = []
        for place in range(first, 5):
            held.append(story[place])
            if place == 4 or cuts[place]:
                found = judge(story, held, ended=False)
                left = held[found.told :]
                assert found.held is (place < 4)
        assert left == []


def test_of_a_long_story_only_the_end_is_remembered() -> None:
    story = list(range(10, 10 + LONGEST_STORY))
    assert judge(story, list(range(10 + LONGEST_STORY)), ended=False) == Retelling(10 + LONGEST_STORY, held=False)
    assert judge(story, list(range(12)), ended=False) == Retelling(0, held=True)
    assert judge(story, list(range(9)), ended=False) == Retelling(0, held=False)
