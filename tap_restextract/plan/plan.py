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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tap_restextract.config.paginators import SinglePage
from tap_restextract.config.streams import Incremental, StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange import paginators
from tap_restextract.exchange.request import cursor_names, hole_faults
from tap_restextract.plan import walks
from tap_restextract.plan.bookmarks.cursors import replication_key
from tap_restextract.plan.checks import stream_faults
from tap_restextract.plan.null_keys import holds_first_pass, null_faults
from tap_restextract.plan.walks import Walk
from tap_restextract.values.spelling import nearest

NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"


class Plan(Struct, frozen=True):
    """A stream with the walk derived for it."""

    stream: StreamSettings
    walk: Walk[Any]
    tie_floor: Any = None

    @property
    def safe_because(self) -> str:
        """Why the walk skips nothing."""
        return self.walk.safe_because

    @property
    def state_moves(self) -> str:
        """When the bookmark may move."""
        moves = self.walk.state_moves
        return (
            f"{moves}; in a first run at its end alone, where the records without replication key stand"
            if holds_first_pass(self.stream)
            else moves
        )

    @property
    def zone_reason(self) -> str | None:
        """Why instants need an offset, or a declared zone: what compares them with a clock; None where nothing does."""
        incremental = self.stream.incremental
        if incremental is None:
            return None
        if self.parent is not None:
            return "the bookmark of all parents is the server's clock"
        if self.walk.is_bounded_by_clock:
            return "the walk's bookmark is the server's clock"
        named = next((name for name in ("lag", "lookback") if getattr(incremental, name)), None)
        return None if named is None else f"the {named} is measured by the server's clock"

    @property
    def is_combined(self) -> bool:
        """Whether the walk is followed by others: a sweep at an interval, or the records without replication key."""
        incremental = self.stream.incremental
        return incremental is not None and (self.stream.sweep_every is not None or incremental.null_params is not None)

    @property
    def emits_deletions(self) -> bool:
        """Whether records come out that are their keys and `_sdc_deleted_at` alone."""
        stream = self.stream
        return (
            self.walk.emits_deletions
            or not (stream.sweep_every is None and stream.deleted_path is None)
            or stream.source == "webhooks"
        )

    @property
    def needs_hash_cache(self) -> bool:
        """Whether a hash cache remembers the records, or the parents that were read."""
        stream = self.stream
        children = bool(self.parent_names) and stream.incremental is not None
        return self.walk.compares_with_cache or stream.sweep_every is not None or children

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
    return f"stream {plan.stream.name} ({plan.walk.name})"


def plans_for(streams: Sequence[StreamSettings]) -> list[Plan]:
    """Return the plans of all streams, parents and children checked against each other.

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
        yield f"its parent {plan.parent!r} is not a stream" + (
            f"; did you mean {near!r}?" if near else "; declare it under streams"
        )
    elif parent.parent is not None:
        yield f"its parent {plan.parent!r} has a parent itself; give the grandparent's field to {plan.parent!r} by include_from_parent, and its list a path of its own"
    elif not parent.stream.primary_key:
        yield f"its parent {plan.parent!r} has no primary_key, which identifies its records; declare it"
    elif (
        parent.walk.pages_follow_records
        and isinstance(parent.stream.paginator, SinglePage)
        and parent.stream.incremental is not None
        and parent.stream.incremental.null_params is not None
    ):
        yield f"its parent {plan.parent!r} asks for some records by null_params, and children's walks list parents by the paginator alone; declare one for {plan.parent!r}"
    incremental = plan.stream.incremental
    if incremental and incremental.epoch is None and isinstance(incremental.initial_value, int):
        yield f"the bookmark of all parents is a time, and {incremental.cursor_path} is a number; declare `epoch` if it counts time, or leave `incremental` out"
    if incremental and incremental.timezone and incremental.initial_value is None:
        yield "the bookmark of all parents is written as the children's values are: a timezone needs initial_value, written so"
    if not plan.walk.may_have_parent:
        yield f"the children of a parent can't be read as {plan.walk.name} yet; sort them ascending, or leave `incremental` out"


def plan_for(stream: StreamSettings, schema: dict[str, Any] | None = None) -> Plan:
    """Return the plan with the walk that is safe for the stream's facts.

    Raises:
        ConfigurationError: with every reason why no walk is, each with what would make it safe.
    """
    walk = _walk(stream)
    floor = _tie_floor(stream.incremental, schema)
    found = (*stream_faults(stream), *null_faults(stream, walk), *_tie_faults(stream, floor))
    if faults := [f"stream {stream.name}: {fault}" for fault in found]:
        raise ConfigurationError(faults)
    return Plan(stream, walk, floor)


def _walk(stream: StreamSettings) -> Walk[Any]:
    incremental = stream.incremental
    if stream.source == "webhooks" and not stream.path:
        return walks.WEBHOOKS
    if incremental is None:
        return walks.FEED if stream.feed else walks.SWEEP if stream.sweep else walks.TRAVERSAL
    if incremental.step or incremental.max_window_results:
        return walks.WINDOWS
    if incremental.order == "desc":
        return walks.DESCENDING
    if incremental.order == "none":
        return walks.UNORDERED
    if incremental.filter == "compound":
        return walks.KEYSET
    if incremental.filter == "exclusive" and stream.primary_key == [incremental.cursor_path]:
        return walks.UNIQUE_KEYSET
    if isinstance(stream.paginator, SinglePage):
        return walks.SINGLE
    return walks.TOKENS if paginators.is_stable(stream.paginator) else walks.RESTART


def _tie_faults(stream: StreamSettings, floor: Any) -> list[str]:
    """Return the faults of a request that is sent with a replication key alone, though it needs both."""
    incremental = stream.incremental
    begins_so = incremental is not None and (incremental.initial_value is not None or incremental.lookback is not None)
    return hole_faults(stream) if begins_so and floor is None else []


def _tie_floor(incremental: Incremental | None, schema: dict[str, Any] | None) -> Any:
    """Return the least tie-breaker of its type, with which a cursor that has none is asked for; None of texts.

    Nothing is before the least text, the empty one, but many APIs refuse that.
    """
    if incremental is None or incremental.tie_breaker is None:
        return None
    described = _described(schema, incremental.tie_breaker)
    if {"integer", "number"} & set(described["type"]):
        return 0
    return NIL_UUID if described.get("format") == "uuid" else None


def _described(schema: Any, name: str) -> dict[str, Any]:
    """Return a property's description with its types as a list, whatever the schema is: a later check judges it."""
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
