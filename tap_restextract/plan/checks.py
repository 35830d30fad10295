"""Checks of one stream's facts: each fault with what would make a walk safe."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Final

from tap_restextract.config.paginators import CursorToken
from tap_restextract.config.streams import Feed, Incremental, Lookup, StreamSettings
from tap_restextract.exchange.placeholders import FORMS, forms, names
from tap_restextract.exchange.request import cursor_names, has_joined_ends
from tap_restextract.plan.ranges import counted_time, counts_no_time, unit_beyond
from tap_restextract.values.cursor import NoRankError, precision_of, rank
from tap_restextract.values.spelling import nearest

END_NAME: Final = re.compile(
    r"^(is_?)?(last|end|ended|done|finished|complete|completed|final)(_?page)?$|end_?of", re.IGNORECASE
)


def stream_faults(stream: StreamSettings) -> Iterator[str]:
    """Yield the faults of a stream's facts, in words."""
    incremental = stream.incremental
    mentioned = cursor_names(stream)
    known = set()
    if stream.source == "webhooks":
        yield from _webhook_faults(stream, mentioned)
        if not stream.path:
            return
    if incremental:
        known.add(f"cursor.{incremental.cursor_path}")
        if incremental.tie_breaker and incremental.filter == "compound":
            known.add(f"cursor.{incremental.tie_breaker}")
        if incremental.step or incremental.max_window_results:
            known.add(f"until.{incremental.cursor_path}")
        yield from _incremental_faults(incremental, mentioned)
        yield from _serial_faults(stream, incremental)
    yield from _sweep_faults(stream, mentioned)
    yield from _end_faults(stream)
    mentioned = {name for name in mentioned if not name.startswith("parent.")}
    for name in sorted(mentioned - known):
        near = nearest(name, known)
        hint = (
            f"did you mean {{{near}}}?"
            if near
            else f"known are {', '.join(f'{{{name}}}' for name in sorted(known)) or 'none'}, and a brace itself is {{{{ or }}}}"
        )
        yield f"the request mentions {{{name}}}, which has no value; {hint}"
    for part in (stream.path, stream.params, stream.headers, stream.json):
        for form in forms(part):
            if form not in FORMS and "%" not in form:
                yield f"the placeholder form {form!r} is unknown; use {', '.join(FORMS)}, or a strftime form such as %Y-%m-%d"
    if any("cursor." in name for name in _path_names(stream)) and incremental and incremental.initial_value is None:
        yield "the path mentions a cursor, and the first run has none; set incremental.initial_value"


def _end_faults(stream: StreamSettings) -> Iterator[str]:
    """Yield the faults of a flag that is taken for the opposite of what its name says."""
    flag = getattr(stream.paginator, "has_more_path", None)
    if flag is not None and END_NAME.search(flag.rpartition(".")[2]):
        named = f"has_more_path: {flag} names a flag that is true at the end by its name, and has_more_path is true where more follows"
        tokens = isinstance(stream.paginator, CursorToken)
        yield (
            f"{named}; write end_path: {flag}" if tokens else f"{named}; leave it out, as an empty page is the end, too"
        )


def _path_names(stream: StreamSettings) -> set[str]:
    return {name for name in cursor_names(stream) if f"{{{name}" in stream.path}


def _incremental_faults(incremental: Incremental, mentioned: set[str]) -> Iterator[str]:
    key, tie = incremental.cursor_path, incremental.tie_breaker
    if incremental.order != "asc" and incremental.filter == "compound":
        yield f"filter: compound needs order: asc, as it asks for what comes after (key, tie-breaker); sort ascending, or filter by {key} alone"
    if incremental.order == "asc" and incremental.filter == "none":
        yield (
            f"order: asc with filter: none reads the whole list each run; declare the filter by {key} that the API has, "
            "or leave `incremental` out"
        )
    if incremental.order == "none" and incremental.filter == "none":
        yield f"order: none with filter: none has no use for {key}; leave `incremental` out to read the whole list each run"
    if incremental.filter == "compound" and tie is None:
        yield "filter: compound needs tie_breaker, a unique value by which the API orders ties, such as tie_breaker: id"
    if incremental.filter != "none" and f"cursor.{key}" not in mentioned:
        yield (
            f"filter: {incremental.filter}{', the default,' if incremental.filter == 'inclusive' else ''} needs the cursor, and no part of the request "
            f"mentions {{cursor.{key}}}; "
            "put it where the API filters, such as params: {since: " + f'"{{cursor.{key}}}"' + "}"
        )
    if incremental.filter == "compound" and tie and f"cursor.{tie}" not in mentioned:
        yield f"filter: compound is declared, but no part of the request mentions {{cursor.{tie}}}"
    if incremental.step or incremental.max_window_results:
        yield from _window_faults(incremental, mentioned)
    if incremental.end == "required" and not (incremental.step or incremental.max_window_results):
        yield "end: required is for time ranges; declare how long one is, such as step: 30d"
    if incremental.initial_value is not None:
        try:
            rank(incremental.initial_value)
        except NoRankError:
            yield "incremental.initial_value is neither an instant (2020-01-01T00:00:00Z) nor a number"
        if (unit := unit_beyond(incremental, incremental.initial_value)) is not None:
            yield (
                f"incremental.initial_value is {counted_time(rank(incremental.initial_value), str(incremental.epoch))} by epoch: {incremental.epoch}; "
                f"declare epoch: {unit}, or count initial_value in the declared unit"
            )
    if incremental.precision is not None and precision_of(incremental.precision) <= 0:
        yield "incremental.precision must be more than nothing, such as 1s"


def _sweep_faults(stream: StreamSettings, mentioned: set[str]) -> Iterator[str]:
    incremental = stream.incremental
    if stream.sweep and incremental:
        yield "sweep: true compares the whole list each run and `incremental` reads on from a bookmark; declare one of them"
    if (stream.sweep or stream.sweep_every) and not stream.primary_key:
        yield "a sweep needs primary_key, to tell which records are gone"
    if (
        stream.fixed_order
        and incremental
        and incremental.order != "none"
        and stream.primary_key != [incremental.cursor_path]
    ):
        yield f"fixed_order: true says that changes move no record, and a list sorted by {incremental.cursor_path} moves those that change; leave it out, and declare `lookup` if deletions are wanted"
    if stream.lookup is not None:
        yield from _lookup_faults(stream, stream.lookup)
    if stream.deleted_path and not stream.primary_key:
        yield "deleted_path needs primary_key, which is all that a deletion has of a record"
    if stream.feed is not None:
        yield from _feed_faults(stream, stream.feed)
    if stream.sweep_every and incremental is None:
        yield "sweep_every is for incremental streams; for a list without order and filter declare sweep: true"
    if incremental and incremental.null_params is not None and not stream.primary_key:
        yield "null_params needs primary_key, to tell its records apart"
    if (stream.sweep_every or (incremental and incremental.null_params)) and (
        any(name.startswith("parent.") for name in mentioned)
        or (incremental and (incremental.step or incremental.max_window_results))
    ):
        yield "sweep_every and null_params don't go with time ranges or parents yet; declare them in a stream without"


def _webhook_faults(stream: StreamSettings, mentioned: set[str]) -> Iterator[str]:
    if not stream.primary_key:
        yield "source: webhooks needs primary_key, to put versions of one record in order"
    if stream.feed is not None:
        yield "feed and source: webhooks both report what changed in the list; declare one of them"
    if not stream.path and stream.schema is None:
        yield "source: webhooks without a path has no list to infer a schema from; declare `schema`"
    if any(name.startswith("parent.") for name in mentioned):
        yield "source: webhooks doesn't go with parents; declare it in a stream without"


def _lookup_faults(stream: StreamSettings, lookup: Lookup) -> Iterator[str]:
    known = {f"key.{name}" for name in stream.primary_key}
    asked_for = {name for part in (lookup.path, lookup.params) for name in names(part)}
    for name in sorted(asked_for - known):
        yield f"lookup mentions {{{name}}}, which has no value; known are {', '.join(f'{{{each}}}' for each in sorted(known)) or 'none'}"
    if known - asked_for:
        yield f"lookup asks for one record, but mentions no {', '.join(f'{{{name}}}' for name in sorted(known - asked_for))}; put it into its path or params"


def _feed_faults(stream: StreamSettings, feed: Feed) -> Iterator[str]:
    if stream.incremental is not None or stream.sweep:
        yield "feed reports what changed, so incremental and sweep have nothing to do; declare one of them"
    if not stream.primary_key:
        yield "feed needs primary_key, to tell objects apart"
    if feed.incremental.order != "asc" or feed.incremental.filter not in {"compound", "exclusive"}:
        yield "feed.incremental must read the events after the last one: order: asc with filter: exclusive on the event's id, or compound"
    if feed.incremental.nulls != "none":
        yield f"feed.incremental.nulls: {feed.incremental.nulls} says that some events have no {feed.incremental.cursor_path}, after which nothing is asked for; leave it out"
    inner = {name for part in (feed.path, feed.params) for name in names(part)}
    yield from (f"feed: {fault}" for fault in _incremental_faults(feed.incremental, inner))
    foreign = sorted(name for name in names(feed.fetch_path or "") if not name.startswith("event."))
    for name in foreign:
        yield f"feed.fetch_path mentions {{{name}}}, which has no value; write {{event.PATH}}"
    yield from _event_faults(stream, feed)


def _event_faults(stream: StreamSettings, feed: Feed) -> Iterator[str]:
    """Yield the faults of what is read of an event."""
    paths = ", ".join(f"{name}: PATH" for name in stream.primary_key)
    if feed.key and {*feed.key} != {*stream.primary_key}:
        yield f"feed.key names {', '.join(sorted(feed.key))}, and the primary_key is {', '.join(stream.primary_key)}; write key: {{{paths}}}"
    own = feed.incremental.cursor_path if feed.incremental.filter == "exclusive" else feed.incremental.tie_breaker
    if feed.object_path in {"", "$"} and not feed.key and stream.primary_key == [own]:
        yield f"feed.object_path is the event itself, whose {own} is the event's own and not its object's; write where it names its object, key: {{{paths}}}"
    for kind in feed.deleted_types:
        if not any(fnmatch.fnmatchcase(kind, pattern) for pattern in feed.types) and not {*"*?["} & {*kind}:
            yield f"feed.deleted_types has {kind!r}, which is none of feed.types, so that no such event is looked at; add it to types"
    expired = feed.expired
    if not (expired.http_codes or expired.error_message_contains or expired.predicate):
        yield "feed.expired has no condition; write expired: {http_codes: [410]}, or another one"


def _window_faults(incremental: Incremental, mentioned: set[str]) -> Iterator[str]:
    key = incremental.cursor_path
    if incremental.filter not in {"inclusive", "exclusive"}:
        yield f"step and max_window_results cut the list by {key}, so they need filter: inclusive or exclusive"
    if f"until.{key}" not in mentioned:
        yield f"step and max_window_results need the end of a range in the request, such as params: {{before: '{{until.{key}}}'}}"
    if incremental.initial_value is None:
        yield "step and max_window_results need initial_value, where the first range begins"


def _serial_faults(stream: StreamSettings, incremental: Incremental) -> Iterator[str]:
    """Yield the faults of time ranges over a number that isn't declared to count time."""
    try:
        is_serial = counts_no_time(incremental)
    except NoRankError:
        return
    if not is_serial or not (incremental.step or incremental.max_window_results):
        return
    key = incremental.cursor_path
    timed = [name for name in ("step", "lag", "lookback", "precision") if _has_unit(getattr(incremental, name))]
    if timed:
        yield (
            f"initial_value {incremental.initial_value} is a number, and {' and '.join(timed)} {'measures' if len(timed) == 1 else 'measure'} "
            f"time; declare the unit of {key} if it counts time since 1970 (epoch: s), its form if it is a date in digits "
            '(cursor_formats: ["%Y%m%d"]), or, where it counts no time, step in its own unit, such as step: "1000"'
        )
    if incremental.end == "required" or has_joined_ends(stream):
        yield (
            f"ranges over {key}, a number that counts no time, end with one that has no end, and "
            f"{'end: required' if incremental.end == 'required' else 'one part of the request holds both ends'}; put the ends into parts "
            "of their own, of which the API needs the first alone, or declare `epoch` where the key counts time"
        )


def _has_unit(duration: str | None) -> bool:
    return duration is not None and not duration.isdigit()
