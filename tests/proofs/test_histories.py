"""Postgres and the reference model agree on generated histories of several writers, with kills between statements."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import Any

import pytest

from proofs.histories import enumeration
from proofs.histories.campaign import History, Stage, Step, tell


def test_five_hundred_histories_agree_with_the_reference_model(database: str) -> None:
    tell(database, 500)


@pytest.mark.parametrize("empty", [[], {}])
def test_null_and_empty_json_are_two_contents_of_one_instant(database: str, empty: Any) -> None:
    told: list[list[dict[str, Any]]] = [
        [{"id": 1}],
        [{"id": 1}, {"id": 1, "detail": None}, {"id": 1, "detail": empty}],
        [{"id": 1}],
    ]
    with closing(Stage(database)) as stage:
        # The run that begins again tells empty → null → empty; the killed one told null → empty.
        stage.follow(History("none", [told], [Step(0), Step(0, "before_state"), Step(0)]))
        stage.follow(
            History(
                "none",
                [[[{"id": 1}], [{"id": 1, "detail": empty}]], [[{"id": 1, "detail": None}]]],
                [Step(0), Step(0), Step(1)],
            )
        )


def test_a_feed_fires_once_whoever_is_killed_and_wherever_its_checkpoints_are_cut(database: str) -> None:
    tell(database, 200, feed=True)


def test_every_history_of_two_messages_and_many_of_three_agree_with_the_reference_model(database: str) -> None:
    count = 0
    for way, number, differences in itertools.chain(
        enumeration.tell_all(database, [1, 2]), enumeration.tell_all(database, [3], every=5)
    ):
        assert differences == [], way
        count += number
    assert count > 14_000
