"""Derived plans: the other requests of a stream, each as the plan of a list of its own."""

from __future__ import annotations

from msgspec import structs

from tap_restextract.config.paginators import SinglePage
from tap_restextract.config.streams import Feed, ResponseRule
from tap_restextract.config.webhooks import Route
from tap_restextract.exchange.placeholders import names
from tap_restextract.plan import walks
from tap_restextract.plan.plan import Plan, plan_for


def feed_of(plan: Plan) -> Feed:
    """Return the facts about the feed, which the plan of a feed's stream has."""
    assert plan.stream.feed is not None
    return plan.stream.feed


def feed_plan(plan: Plan) -> Plan:
    """Return the plan of the feed itself: a list of events, read after the last one."""
    feed, stream = feed_of(plan), plan.stream
    events = structs.replace(
        stream,
        path=feed.path,
        params=feed.params,
        records=feed.records,
        paginator=feed.paginator,
        primary_key=[feed.incremental.cursor_path] if feed.incremental.filter == "exclusive" else [],
        incremental=feed.incremental,
        feed=None,
        json=None,
        method="GET",
        response_rules=[*stream.response_rules, _expiry(feed)],
    )
    made = plan_for(events)
    assert made.walk.is_keyset
    return made


def expiry_rule(plan: Plan) -> int:
    """Return the index, among the rules of the feed's plan, of the one that says that the cursor has expired."""
    return len(plan.stream.response_rules)


def _expiry(feed: Feed) -> ResponseRule:
    expired = feed.expired
    return ResponseRule(
        action="FAIL",
        http_codes=expired.http_codes,
        error_message_contains=expired.error_message_contains,
        predicate=expired.predicate,
        equals=expired.equals,
        error_message="by feed.expired the cursor has expired, though it comes from an answer of this run; check feed.params and feed.expired",
    )


def event_object_plan(plan: Plan) -> Plan:
    """Return the plan of the request for an event's object."""
    feed = feed_of(plan)
    stream = structs.replace(
        plan.stream,
        path=feed.fetch_path or "",
        params={},
        records=feed.fetch_records,
        paginator=SinglePage(),
        feed=None,
        json=None,
        method="GET",
    )
    return Plan(stream, walks.TRAVERSAL)


def feed_names(plan: Plan) -> list[str]:
    """Return the placeholders of `fetch_path` that an event fills."""
    return sorted(set(names(feed_of(plan).fetch_path or "")))


def lookup_plan(plan: Plan) -> Plan:
    """Return the plan of the request for one record."""
    lookup = plan.stream.lookup
    assert lookup is not None
    stream = structs.replace(
        plan.stream,
        path=lookup.path,
        params=lookup.params,
        records=lookup.records,
        paginator=SinglePage(),
        incremental=None,
        json=None,
        method="GET",
    )
    return Plan(stream, walks.TRAVERSAL)


def null_key_plan(plan: Plan) -> Plan:
    """Return the plan of the records that have no replication key: all that `null_params` asks for."""
    incremental = plan.stream.incremental
    assert incremental is not None
    params = {**plan.stream.params, **(incremental.null_params or {})}
    return Plan(structs.replace(plan.stream, params=params, incremental=None, sweep=True), walks.SWEEP)


def webhook_object_plan(plan: Plan, route: Route) -> Plan:
    """Return the plan of the request for a notification's object: the polled stream's, but for its address."""
    stream = structs.replace(
        plan.stream,
        path=route.fetch_path or "",
        source="api",
        params={},
        records=route.fetch_records,
        paginator=SinglePage(),
        incremental=None,
        json=None,
        method="GET",
    )
    return Plan(stream, walks.TRAVERSAL)
