"""Tombstones: records by which an API lists what was deleted, emitted as deletions.

A record whose mark (`deleted_path`) is true comes out as its primary key, its replication key and `_sdc_deleted_at`:
the mark itself where it is a time, else the replication key where that is one, else the moment of the extraction.
Walks see the tombstone as the API sent it, so that order, repeats and STATE are what they are for any record.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tap_restextract.config.streams import StreamSettings
from tap_restextract.exchange.paginators import FLAGS
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.ranges import EPOCHS
from tap_restextract.values.cursor import INSTANT, NoRankError, format_like, kind_and_rank
from tap_restextract.values.paths import find

DELETED_AT: Final = "_sdc_deleted_at"
NO_DATE: Final = "0000-00-00"


def is_tombstone(stream: StreamSettings, record: Mapping[str, Any]) -> bool:
    """Return whether the record says that it is deleted."""
    return stream.deleted_path is not None and is_marked(find(stream.deleted_path, record))


def is_marked(mark: Any) -> bool:
    """Return whether a mark says that something is deleted: it is neither null, false, zero nor empty, also as a text.

    MySQL's zero date is one, as in `deleted_at`.
    """
    if not isinstance(mark, str):
        return bool(mark)
    text = mark.strip()
    return bool(text) and FLAGS.get(text.lower(), True) and not text.startswith(NO_DATE)


def as_deletion(plan: Plan, record: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return the record as the deletion that it stands for; `now` is ISO 8601."""
    keys = (*plan.stream.primary_key, *filter(None, [plan.replication_key]))
    return {name: record[name] for name in keys if name in record} | {DELETED_AT: _moment(plan, record, now)}


def _moment(plan: Plan, record: Mapping[str, Any], now: str) -> str:
    incremental = plan.stream.incremental
    mark = find(plan.stream.deleted_path or "", record)
    value = find(incremental.cursor_path, record) if incremental else None
    for instant in (mark, value):
        if isinstance(instant, str) and (match := INSTANT.match(instant)) and match["time"]:
            return instant
    if incremental is None or incremental.epoch is None:
        return now
    try:
        counted = Decimal(kind_and_rank(value)[1]) / EPOCHS[incremental.epoch]
    except NoRankError:
        return now
    return str(format_like("1970-01-01T00:00:00Z", counted))
