"""Witnesses: records of a stream's list, by which the request for one object is checked before a deletion rests on it.

A request that finds nothing, whatever object it asks for, would have each object taken for deleted. So before the first
object of a run that isn't found is told as deleted, where none was found, one that the list holds is asked for. Where
that isn't found either it may have been deleted since; so the list is read again. What it shows unchanged, before and
afterwards, and what is found none of the times, contradicts the request.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, Final

from tap_restextract.errors import WalkError
from tap_restextract.exchange.request import redacted_request, request_for
from tap_restextract.plan.keys import content_hash, key_of
from tap_restextract.plan.plan import Plan, label_of
from tap_restextract.plan.tombstones import is_tombstone
from tap_restextract.walks.boundary import is_cached
from tap_restextract.walks.steps import Page, PageRequest, Record, Step

OBJECT: Final = "object of an event"
"""The name of the list that is one object."""
ROUNDS: Final = 2
"""How often the list shows what isn't found, before the request is called wrong."""
ATTEMPTS: Final = 4
"""Of finding listed records that don't change meanwhile."""
Scope = tuple[tuple[str, Any], ...]


def filled_by_key(scope: Scope, key: Mapping[str, Any]) -> dict[str, str] | None:
    """Return by which part of the primary key each placeholder of the request is filled; None where one is by no part.

    Where two parts, or two placeholders, share a value, nothing tells which is which: None as well.

    Args:
        scope: the placeholders' values, for an object.
        key: the object's primary key.
    """
    matching = [[part for part, held in key.items() if str(held) == str(value)] for _, value in scope]
    parts = [each[0] for each in matching if len(each) == 1]
    is_clear = parts and len({*parts}) == len(scope)
    return {name: part for (name, _), part in zip(scope, parts, strict=True)} if is_clear else None


def unfound_witnesses(
    plan: Plan, filled: Mapping[str, str], gone: Collection[Scope]
) -> Generator[Step, Page, Sequence[Scope]]:
    """Ask for records that the list holds; return those that the list shows, before and afterwards, and nothing finds.

    A request for one of them has the name `OBJECT`; an answer that says that it is gone is an empty page. The list's
    have none.

    Args:
        plan: the stream's.
        filled: by which part of the primary key each placeholder is filled.
        gone: placeholders, filled, of objects not found. A list may lag behind deletions, and show those still: so
            others are asked for, where it has some.

    Returns:
        Those records' placeholders; none where one is found, and where nothing is proven.
    """
    before: dict[str, str] = {}
    strikes, clock = 0, None
    scopes: dict[str, Scope] = {}
    known = {*map(_text, gone)}
    for _ in range(ATTEMPTS):
        page = yield Step(request=PageRequest(probe=True))
        others = [record for record in page.records if _text(_scope(filled, record)) not in known]
        held = _witnesses(plan, others or page.records)
        if not held or is_cached(clock, page):
            break
        clock = page.server_time
        here = {key_of(plan, record): content_hash(record) for record in page.records} if before else {}
        strikes = strikes + 1 if before and all(here.get(key) == digest for key, digest in before.items()) else 0
        if strikes == ROUNDS:
            return [*scopes.values()]
        if not strikes:
            before = {key: content_hash(record) for key, record in held.items()}
            scopes = {key: _scope(filled, record) for key, record in held.items()}
        for scope in scopes.values():
            answer = yield Step(request=PageRequest(scope=scope, list_name=OBJECT))
            if answer.records or answer.is_unreadable:
                return []
    return []


def _witnesses(plan: Plan, records: Sequence[Record]) -> dict[str, Record]:
    """Return the first and the last record by their keys, where they have one, and aren't deleted."""
    names, stream = plan.stream.primary_key, plan.stream
    ends = (*records[:1], *records[-1:])
    whole = [record for record in ends if None not in [record.get(name) for name in names]]
    return {key_of(plan, record): record for record in whole if not is_tombstone(stream, record)}


def _scope(filled: Mapping[str, str], record: Record) -> Scope:
    return tuple((name, record.get(part)) for name, part in filled.items())


def _text(scope: Scope) -> tuple[str, ...]:
    return tuple(str(value) for _, value in scope)


def unfound_error(plan: Plan, object_plan: Plan, scopes: Sequence[Scope], names: str) -> WalkError:
    """Return the error of a request that doesn't find what the list holds; `names` are the facts to correct."""
    stream = object_plan.stream
    sent = ", ".join(redacted_request(request_for(stream, None, more=scope)) for scope in scopes)
    return WalkError(
        f"{label_of(plan)}: the list holds records, before and afterwards, that the request for one object doesn't find ({sent}; records: "
        f"{stream.records}), so that each object would be taken for deleted; correct {names}"
    )
