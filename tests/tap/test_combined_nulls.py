"""The request for records without a replication key is believed only where it is answered by such records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Asked, Reply, serving
from tests.support.processes import tap
from tests.support.streams import config

TIMED: list[dict[str, Any]] = [{"id": number, "updated_at": f"2026-01-01T00:00:0{number}Z"} for number in range(4)]
UNTIMED: list[dict[str, Any]] = [{"id": 9, "updated_at": None}]


@pytest.mark.parametrize(
    ("answer", "noticed"), [(UNTIMED, False), ([], False), (TIMED + UNTIMED, False), (TIMED, True)]
)
def test_an_api_that_ignores_the_parameters_for_null_keys_is_noticed(
    tmp_path: Path,
    answer: list[dict[str, Any]],
    noticed: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    def answered(asked: Asked) -> Reply:
        return Reply(
            answer
            if "untimed" in asked.params
            else [row for row in TIMED if row["updated_at"] >= asked.params.get("since", "")]
        )

    facts = {"cursor_path": "updated_at", "null_params": {"untimed": "1"}}
    with serving(answered) as api:
        run = tap(tmp_path, config(api.url, params={"since": "{cursor.updated_at}"}, incremental=facts))
    assert run.code == int(noticed), run.err
    if noticed:
        assert "asked by null_params (untimed) for the records without updated_at" in run.told[0]
    else:
        assert {record["id"] for record in run.records} >= {0, 1, 2, 3, *(row["id"] for row in answer)}
