"""The JSON Schema of the entries of `events` and `publishers`, as structs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from target_eventgen.model.json_schema import described


class RuleEntry(msgspec.Struct):
    """An entry of `events`, which `rules.parse` reads."""

    type: Annotated[str, described(None, "The event's type, such as order.paid.")]
    stream: Annotated[str, described(None, "The stream whose rows the rule watches.")]
    enters: Annotated[str | None, described(None, "Fires where this condition becomes true.")] = None
    leaves: Annotated[str | None, described(None, "Fires where this condition stops being true.")] = None
    changes: Annotated[list[str] | None, described(None, "Fires where one of these columns changes.")] = None
    on: Annotated[str | None, described(None, "created, updated or deleted.")] = None
    when: Annotated[str | None, described(None, "Fires where this condition over old and new is true.")] = None
    payload: Annotated[str | None, described(None, "full, changed or key: what of both versions the event holds.")] = (
        None
    )
    include: Annotated[list[str] | None, described(None, "Columns that the event may hold beside the key.")] = None
    guard: Annotated[
        dict[str, Any] | None, described(None, "This rule's own events_per_run and share_of_rows; {} is no guard.")
    ] = None


class PublisherEntry(msgspec.Struct):
    """An entry of `publishers`, which `routes.parse` reads."""

    type: Annotated[str, described(None, "Such as file, webhook, kafka.")]
    name: Annotated[str | None, described(None, "By which its progress is known; its type if not given.")] = None
    events: Annotated[list[str] | None, described(None, "Event types; * stands for any characters.")] = None
    streams: Annotated[list[str] | None, described(None, "Streams; * stands for any characters.")] = None
    sources: Annotated[
        list[str] | None,
        described(None, "Sources, of which it is this pipeline's if not given; * stands for any characters."),
    ] = None
    start: Annotated[str | None, described(None, "beginning or now: whether it gets the events of the past.")] = None
    max_attempts: Annotated[int | None, described(None, "Failures after which an event is a dead letter.")] = None
    schedule: Annotated[
        str | list[float] | None,
        described(None, "standard_webhooks, or the seconds between attempts, instead of max_attempts."),
    ] = None
    rate_limit: Annotated[float | None, described(None, "Events a second that a relay gives to it, at most.")] = None
    after_dead_letter: Annotated[str | None, described(None, "wait or pass: what its key's later events do.")] = None
    workers: Annotated[int | None, described(None, "Threads of a relay that deliver to it.")] = None
