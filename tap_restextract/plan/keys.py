"""Keys: what tells one record from another, within a run, in STATE and in hash caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tap_restextract.plan.bookmarks import content_hash
from tap_restextract.plan.plan import Plan
from tap_restextract.values.paths import find


def record_identity(plan: Plan, record: Mapping[str, Any]) -> Any:
    """Return what tells records apart: the primary key, or the content's hash where there is none."""
    if plan.stream.primary_key:
        return [find(key, record) for key in plan.stream.primary_key]
    return content_hash(record)


def key_of(plan: Plan, record: Mapping[str, Any]) -> str:
    """Return a record's primary key as hash caches and STATE name it: JSON, decimal numbers as texts."""
    return msgspec.json.encode([record.get(name) for name in plan.stream.primary_key]).decode()
