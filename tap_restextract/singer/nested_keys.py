"""A nested replication key, copied to the top of each record, where targets can order by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import NoRankError, kind_and_rank
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.steps import Record


def with_nested_key(plan: Plan, records: Sequence[Record]) -> Sequence[Record]:
    """Return the records with their nested replication key as a property of the record; as they are without one."""
    incremental, key = plan.stream.incremental, plan.replication_key
    if incremental is None or key is None or key == incremental.cursor_path:
        return records
    values = [find(incremental.cursor_path, record) for record in records]
    return [
        record if value is MISSING else {**record, key: _ordered(value)}
        for record, value in zip(records, values, strict=True)
    ]


def _ordered(value: Any) -> Any:
    """Return a number that is written as a text as the number: as a text, 10 would come before 9."""
    if not isinstance(value, str):
        return value
    try:
        kind, rank = kind_and_rank(value)
    except NoRankError:
        return value
    return rank if kind == "number" else value
