"""What an extraction missed: its records against the rows that are really there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Row = dict[str, Any]


class Verdict(NamedTuple):
    """Keys that the extraction never emitted, and keys whose last emitted version is not the newest one."""

    missing: list[object]
    stale: list[object]


def undeleted(truth: Iterable[Row], records: Iterable[Row], key: Sequence[str]) -> list[object]:
    """Keys of rows that are gone, and whose last record is no deletion."""
    there = {tuple(row[name] for name in key) for row in truth}
    last = {tuple(record[name] for name in key): record for record in records}
    return [named for named, record in last.items() if named not in there and not record.get("_sdc_deleted_at")]


def judge(truth: Iterable[Row], records: Iterable[Row], key: Sequence[str]) -> Verdict:
    """Compares each true row with the last record of its key; records of rows deleted meanwhile are no fault."""

    def named(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in key)

    last = {named(record): record for record in records}
    missing: list[object] = []
    stale: list[object] = []
    for row in truth:
        record = last.get(named(row))
        if record is None:
            missing.append(named(row))
        elif any(record.get(name) != value for name, value in row.items()):
            stale.append(named(row))
    return Verdict(missing, stale)
