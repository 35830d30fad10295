"""From a stream's facts to the walk that is safe for them, and the reason why.

One row a rule, the first that fits; what fits no row is refused with what would make it safe.

    order  filter        paginator              walk
    asc    compound      any                    compound keyset
    asc    exclusive     any, on a unique key   unique keyset
    asc    >= or >       tokens, stable         stable tokens
    asc    >= or >       none                   single page
    asc    >= or >       any other              restart keyset
    desc   >=, > or none any                    descending
    none   >= or >       any                    unordered
    any    >= or >       any, with `step`       windows
    (no `incremental`)   any, with `feed`       feed
    (no `incremental`)   any, `sweep: true`     sweep
    (no `incremental`)   any                    traversal
    (no `path`)          `source: webhooks`     webhooks
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tap_restextract.config.paginators import SinglePage
from tap_restextract.config.streams import Feed, Incremental, Lookup, StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange import paginators
from tap_restextract.exchange.placeholders import FORMS, forms, names
from tap_restextract.exchange.request import cursor_names
from tap_restextract.values.cursor import Cursor, NoRankError, floor, precision_of, rank, resolution_of, step_back
from tap_restextract.values.paths import steps
from tap_restextract.values.spelling import nearest

EPOCHS: Final = {"s": Decimal(1), "ms": Decimal(1000), "us": Decimal(1_000_000)}
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"


class Walk(enum.Enum):
    """How a list is read."""

    KEYSET = "compound keyset"
    UNIQUE_KEYSET = "unique keyset"
    TOKENS = "stable tokens"
    RESTART = "restart keyset"
    SINGLE = "single page"
    DESCENDING = "descending"
    UNORDERED = "unordered"
    WINDOWS = "windows"
    FEED = "feed"
    SWEEP = "sweep"
    TRAVERSAL = "traversal"
    WEBHOOKS = "webhooks"


REASONS: Final = {
    Walk.KEYSET: (
        "each page is asked for behind the last record's (key, tie-breaker), so ties and a list that shifts skip nothing",
        "after each page, to that page's last (key, tie-breaker), exactly",
    ),
    Walk.UNIQUE_KEYSET: (
        "each page is asked for behind the last record's unique key; it finds new records, not changed ones",
        "after each page, to that page's last key, exactly",
    ),
    Walk.TOKENS: (
        "tokens that name a position are followed from the bookmark; the boundary's records are known by content, so that they come once",
        "after each page, to that page's last key; the boundary's hashes go with it",
    ),
    Walk.RESTART: (
        "after each page the list is asked for again from its last key, so that records which move can't shift the rest; pages are counted only inside a tie, and each seam is checked against the page before",
        "after each page, to that page's last key; the boundary's hashes go with it",
    ),
    Walk.SINGLE: (
        "one answer holds all from the bookmark on, or at most `limit` records, and then the next is asked for from the last key; a tie that fills a whole answer is an error",
        "after each answer, to its last key; the boundary's hashes go with it",
    ),
    Walk.DESCENDING: (
        "newest first, down to the old high-water mark and past the end of its tie and page; seams between pages are checked",
        "when the floor is reached; an interrupted pass keeps how far it came, so that nothing comes twice",
    ),
    Walk.UNORDERED: (
        "every pass reads all from the bookmark on, and the next bookmark is the server's clock at its start, less the lag",
        "at the end of a pass; the hashes of what is newer go with it",
    ),
    Walk.WINDOWS: (
        "the time since the bookmark is read in ranges without a gap, each as a whole; one that would not fit the API's result window is halved",
        "at the end of each range, once all before it are done; behind the last, to the server's clock at its start, less the lag",
    ),
    Walk.FEED: (
        "the list is read once, behind a look at the feed's end; then the events from there on tell what changed. A gap longer than the feed's retention reads the list again",
        "after each page of events, behind its last one",
    ),
    Walk.SWEEP: (
        "every record is compared with the hash cache; new and changed ones come out, and those gone from a complete sweep as deletions",
        "at the end of a complete sweep, naming it; what the cache learnt counts only once that STATE comes back",
    ),
    Walk.TRAVERSAL: ("every run reads the whole list from its beginning", "never: there is no bookmark"),
    Walk.WEBHOOKS: (
        "notifications wait in the queue until the STATE that covers them comes back; what was never sent is not found: give the stream a path for that",
        "behind each batch of the queue; what it covers leaves the queue once that STATE comes back",
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A stream with the walk derived for it."""

    stream: StreamSettings
    walk: Walk
    tie_floor: Any = None

    @property
    def safe_because(self) -> str:
        """Why the walk skips nothing."""
        return REASONS[self.walk][0]

    @property
    def state_moves(self) -> str:
        """When the bookmark may move."""
        return REASONS[self.walk][1]

    @property
    def is_combined(self) -> bool:
        """Whether the walk is followed by others: a sweep at an interval, or the records without replication key."""
        incremental = self.stream.incremental
        return incremental is not None and (self.stream.sweep_every is not None or incremental.null_params is not None)

    @property
    def tells_deletions(self) -> bool:
        """Whether records come out that are their keys and `_sdc_deleted_at` alone."""
        stream = self.stream
        return (
            self.walk in {Walk.SWEEP, Walk.FEED}
            or not (stream.sweep_every is None and stream.deleted_path is None)
            or stream.source == "webhooks"
        )

    @property
    def parent_names(self) -> list[str]:
        """The placeholders that a parent fills, such as `parent.orders.id`."""
        return sorted(name for name in cursor_names(self.stream) if name.startswith("parent."))

    @property
    def parent(self) -> str | None:
        """The parent stream's name."""
        return self.parent_names[0].split(".")[1] if self.parent_names else None

    @property
    def replication_key(self) -> str | None:
        """The Singer replication key: the cursor's path, its steps joined by two underscores."""
        return replication_key(self.stream.incremental) if self.stream.incremental else None


def incremental_of(plan: Plan) -> Incremental:
    """Return the stream's facts about order and filter, which every walk but the traversal has."""
    assert plan.stream.incremental is not None
    return plan.stream.incremental


def label_of(plan: Plan) -> str:
    """Name the stream and its walk as messages do."""
    return f"stream {plan.stream.name} ({plan.walk.value})"


def replication_key(incremental: Incremental) -> str:
    """A property's name for the cursor's path: a nested one is copied to the top, where targets can see it."""
    return "__".join(steps(incremental.cursor_path) or (incremental.cursor_path,))


def plans_for(streams: Sequence[StreamSettings]) -> list[Plan]:
    """The plans of all streams, parents and children checked against each other.

    Raises:
        ConfigurationError: with the faults of all streams' facts at once.
    """
    faults: list[str] = []
    plans = []
    for stream in streams:
        try:
            plans.append(plan_for(stream, stream.schema if isinstance(stream.schema, dict) else None))
        except ConfigurationError as error:
            faults += error.faults
    by_name = {plan.stream.name: plan for plan in plans}
    for plan in plans:
        faults += [f"stream {plan.stream.name}: {fault}" for fault in _parent_faults(plan, by_name)]
    if faults:
        raise ConfigurationError(faults)
    return plans


def _parent_faults(plan: Plan, by_name: Mapping[str, Plan]) -> Iterator[str]:
    if plan.parent is None:
        if plan.stream.include_from_parent:
            yield "include_from_parent is set, but no part of the request mentions a parent; write {parent.STREAM.FIELD} where it is needed"
        return
    names = {name.split(".")[1] for name in plan.parent_names}
    if len(names) > 1:
        yield f"the request mentions the parents {', '.join(sorted(names))}; a stream has one"
        return
    parent = by_name.get(plan.parent)
    if parent is None:
        near = nearest(plan.parent, by_name)
        yield f"its parent {plan.parent!r} is no stream" + (
            f"; did you mean {near!r}?" if near else "; declare it under streams"
        )
    elif parent.parent is not None:
        yield f"its parent {plan.parent!r} has a parent itself; give the grandparent's field to {plan.parent!r} by include_from_parent, and its list a path of its own"
    elif not parent.stream.primary_key:
        yield f"its parent {plan.parent!r} has no primary_key, which tells the parents apart; declare it"
    incremental = plan.stream.incremental
    if incremental and incremental.epoch is None and isinstance(incremental.initial_value, int):
        yield f"the bookmark of all parents is a time, and {incremental.cursor_path} is a number; declare `epoch` if it counts time, or leave `incremental` out"
    if plan.walk in {Walk.SWEEP, Walk.WINDOWS, Walk.DESCENDING, Walk.FEED}:
        yield f"the children of a parent can't be read as {plan.walk.value} yet; sort them ascending, or leave `incremental` out"


def plan_for(stream: StreamSettings, schema: dict[str, Any] | None = None) -> Plan:
    """The walk that is safe for the stream's facts.

    Raises:
        ConfigurationError: with every reason why no walk is, each with what would make it safe.
    """
    faults = [f"stream {stream.name}: {fault}" for fault in _faults(stream)]
    if faults:
        raise ConfigurationError(faults)
    return Plan(stream, _walk(stream), _tie_floor(stream.incremental, schema))


def _walk(stream: StreamSettings) -> Walk:
    incremental = stream.incremental
    if stream.source == "webhooks" and not stream.path:
        return Walk.WEBHOOKS
    if incremental is None:
        return Walk.FEED if stream.feed else Walk.SWEEP if stream.sweep else Walk.TRAVERSAL
    if incremental.step or incremental.max_window_results:
        return Walk.WINDOWS
    if incremental.order == "desc":
        return Walk.DESCENDING
    if incremental.order == "none":
        return Walk.UNORDERED
    if incremental.filter == "compound":
        return Walk.KEYSET
    if incremental.filter == "exclusive" and stream.primary_key == [incremental.cursor_path]:
        return Walk.UNIQUE_KEYSET
    if isinstance(stream.paginator, SinglePage):
        return Walk.SINGLE
    return Walk.TOKENS if paginators.is_stable(stream.paginator) else Walk.RESTART


def _faults(stream: StreamSettings) -> Iterator[str]:
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
    yield from _sweep_faults(stream, mentioned)
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


def _path_names(stream: StreamSettings) -> set[str]:
    return {name for name in cursor_names(stream) if f"{{{name}" in stream.path}


def _incremental_faults(incremental: Incremental, mentioned: set[str]) -> Iterator[str]:
    key, tie = incremental.cursor_path, incremental.tie_breaker
    if incremental.order != "asc" and incremental.filter == "compound":
        yield f"filter: compound needs order: asc, as it asks behind (key, tie-breaker); sort ascending, or filter by {key} alone"
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
            f"filter: {incremental.filter} is declared, but no part of the request mentions {{cursor.{key}}}; "
            "put it where the API filters, such as params: {since: " + f'"{{cursor.{key}}}"' + "}"
        )
    if incremental.filter == "compound" and tie and f"cursor.{tie}" not in mentioned:
        yield f"filter: compound is declared, but no part of the request mentions {{cursor.{tie}}}"
    if incremental.step or incremental.max_window_results:
        yield from _window_faults(incremental, mentioned)
    if incremental.initial_value is not None:
        try:
            rank(incremental.initial_value)
        except NoRankError:
            yield "incremental.initial_value is neither an instant (2020-01-01T00:00:00Z) nor a number"
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
        yield "deleted_path needs primary_key, which is what a deletion tells of a record"
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
        yield "feed and source: webhooks both tell what changed in the list; declare one of them"
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
        yield "feed tells what changed, so incremental and sweep have nothing to do; declare one of them"
    if not stream.primary_key:
        yield "feed needs primary_key, to tell objects apart"
    if feed.incremental.order != "asc" or feed.incremental.filter not in {"compound", "exclusive"}:
        yield "feed.incremental must read the events behind the last one: order: asc with filter: exclusive on the event's id, or compound"
    inner = {name for part in (feed.path, feed.params) for name in names(part)}
    yield from (f"feed: {fault}" for fault in _incremental_faults(feed.incremental, inner))
    foreign = sorted(name for name in names(feed.fetch_path or "") if not name.startswith("event."))
    for name in foreign:
        yield f"feed.fetch_path mentions {{{name}}}, which has no value; write {{event.PATH}}"


def _window_faults(incremental: Incremental, mentioned: set[str]) -> Iterator[str]:
    key = incremental.cursor_path
    if incremental.filter not in {"inclusive", "exclusive"}:
        yield f"step and max_window_results cut the list by {key}, so they need filter: inclusive or exclusive"
    if f"until.{key}" not in mentioned:
        yield f"step and max_window_results need the end of a range in the request, such as params: {{before: '{{until.{key}}}'}}"
    if incremental.initial_value is None:
        yield "step and max_window_results need initial_value, where the first range begins"


def _tie_floor(incremental: Incremental | None, schema: dict[str, Any] | None) -> Any:
    """A tie-breaker that is before or among all others of an earlier key: what a cursor without one is asked with."""
    if incremental is None or incremental.tie_breaker is None:
        return None
    described = _described(schema, incremental.tie_breaker)
    if {"integer", "number"} & set(described["type"]):
        return 0
    return NIL_UUID if described.get("format") == "uuid" else ""


def _described(schema: Any, name: str) -> dict[str, Any]:
    """A property's description with its types as a list, whatever the schema is: what it must be is checked later."""
    for key in ("properties", name):
        schema = schema.get(key) if isinstance(schema, dict) else None
    described = schema if isinstance(schema, dict) else {}
    kinds = described.get("type", [])
    return {
        **described,
        "type": [kinds]
        if isinstance(kinds, str)
        else [kind for kind in kinds if isinstance(kind, str)]
        if isinstance(kinds, list)
        else [],
    }


def measure(incremental: Incremental, duration: str) -> Decimal:
    """A duration in the replication key's own unit: seconds for instants, `epoch` for counted time."""
    return precision_of(duration) * (EPOCHS[incremental.epoch] if incremental.epoch and not duration.isdigit() else 1)


def window(incremental: Incremental, value: Any) -> Any:
    """The first value that the API's filter can't tell from this one: itself, or its multiple of `precision`."""
    return floor(value, measure(incremental, incremental.precision)) if incremental.precision else value


def earliest(incremental: Incremental, mark: Any) -> Any:
    """The first value that a run reads again when its bookmark is at this one: the mark's window, less the lookback.

    A lookback ends at the initial value: what is before it was never wanted.
    """
    if not incremental.lookback:
        return window(incremental, mark)
    first = step_back(mark, measure(incremental, incremental.lookback))
    least = min(incremental.initial_value or first, mark, key=rank)
    return window(incremental, max(first, least, key=rank))


def cursor_from(incremental: Incremental, value: Any) -> Cursor:
    """The cursor that makes the API answer all records from this value on: a filter by > is asked one step back."""
    first = window(incremental, value)
    if incremental.filter != "exclusive":
        return Cursor(first)
    step = measure(incremental, incremental.precision) if incremental.precision else resolution_of(first)
    return Cursor(step_back(first, step))
