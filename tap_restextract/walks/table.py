"""The plan's walk, as a generator of steps; the walks themselves stand in modules of their own."""

from __future__ import annotations

from typing_extensions import assert_never

from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan.bookmarks import Bookmark, ChildrenBookmark
from tap_restextract.plan.derived import feed_plan
from tap_restextract.plan.plan import Plan, Walk
from tap_restextract.walks import ascending, full_list
from tap_restextract.walks.children import ChildrenWalk
from tap_restextract.walks.combined import CombinedWalk, SweepWalk
from tap_restextract.walks.descending import descending
from tap_restextract.walks.event_feed import EventFeedWalk
from tap_restextract.walks.protocol import SingleWalk, StreamWalk
from tap_restextract.walks.steps import Steps
from tap_restextract.walks.sweep import sweep
from tap_restextract.walks.time_slices import TimeSlices


def walk(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """Return the plan's walk, from the bookmark on."""
    match plan.walk:
        case Walk.KEYSET | Walk.UNIQUE_KEYSET:
            return ascending.keyset(plan, bookmark)
        case Walk.TOKENS:
            return ascending.tokens(plan, bookmark)
        case Walk.RESTART:
            return ascending.restart(plan, bookmark)
        case Walk.SINGLE:
            return ascending.single(plan, bookmark)
        case Walk.DESCENDING:
            return descending(plan, bookmark)
        case Walk.UNORDERED:
            return full_list.unordered(plan, bookmark)
        case Walk.TRAVERSAL:
            return full_list.traversal(plan)
        case Walk.WINDOWS | Walk.FEED | Walk.SWEEP | Walk.WEBHOOKS:
            raise AssertionError  # they are stream walks of their own, or no walk of a list
    assert_never(plan.walk)


def stream_walk_for(  # noqa: PLR0913  each is something that only some walks need, and none can find by itself
    plan: Plan,
    bookmark: Bookmark | None,
    *,
    parents: Plan | None = None,
    cache: HashCache | None = None,
    nulls: HashCache | None = None,
    now: str = "",
) -> StreamWalk:
    """Return the walks of a stream: one, a slice of time each, or one a parent.

    Args:
        plan: the stream's.
        bookmark: where the run before came to.
        parents: the parents' plan, for a stream of children.
        cache: for sweeps, and for children with a bookmark.
        nulls: the part of the cache for records without replication key.
        now: the time that deletions are told with, ISO 8601.
    """
    if parents is not None:
        children = bookmark.children if bookmark and bookmark.children else ChildrenBookmark()
        return ChildrenWalk(plan, parents, children, cache, walk)
    if plan.is_combined:
        return CombinedWalk(plan, walk(plan, bookmark), bookmark or Bookmark(None), cache, nulls, now)
    if plan.walk is Walk.FEED:
        return EventFeedWalk(plan, feed_plan(plan), bookmark, now)
    if plan.walk is Walk.WINDOWS:
        return TimeSlices.resume(plan, bookmark)
    if plan.walk is Walk.SWEEP:
        assert cache is not None
        return SweepWalk(sweep(plan, bookmark, cache, now))
    return SingleWalk(walk(plan, bookmark))
