"""Keys: what identifies a record, within a run, in STATE and in hash caches."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tap_restextract.plan.plan import Plan
from tap_restextract.values.paths import find

DIGEST_BYTES: Final = 9
_encoder: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")


def content_hash(record: Mapping[str, Any]) -> str:
    """Return twelve characters that stand for a record's whole content, whatever the order of its keys."""
    if not isinstance(record, dict):
        record = dict(record)  # a row's raw values are decoded: numbers and blanks are written in many ways
    digest = hashlib.blake2b(_encoder.encode(record), digest_size=DIGEST_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def record_identity(plan: Plan, record: Mapping[str, Any]) -> Any:
    """Return what identifies a record: the primary key, or the content's hash where there is none."""
    if plan.stream.primary_key:
        return [find(key, record) for key in plan.stream.primary_key]
    return content_hash(record)


def key_of(plan: Plan, record: Mapping[str, Any]) -> str:
    """Return a record's primary key as hash caches and STATE name it: JSON, decimal numbers as texts."""
    return msgspec.json.encode([record.get(name) for name in plan.stream.primary_key]).decode()


def share_a_key(plan: Plan, records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether two records of an answer have one primary key, and differ, so that it doesn't part them."""
    keys = [str(record_identity(plan, record)) for record in records]
    distinct = len({*keys})
    return distinct < len(keys) and len({*zip(keys, map(content_hash, records), strict=True)}) > distinct
