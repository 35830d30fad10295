"""How each walk is started: one entry for each row of `plan/walks` that reads a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan import walks
from tap_restextract.plan.bookmarks import Bookmark, ChildrenBookmark
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.walks import Walk
from tap_restextract.walks import ascending, combined, event_feed, full_list, time_slices
from tap_restextract.walks.children import ChildrenWalk
from tap_restextract.walks.combined import CombinedWalk
from tap_restextract.walks.descending import descending
from tap_restextract.walks.protocol import SingleWalk, StreamWalk
from tap_restextract.walks.steps import Begin, PageRequest, Steps


@dataclass(frozen=True, slots=True)
class OneRequestAtATime:
    """A walk that is one generator: the stream's only sub-walk, or one parent's, or the first part of a combined walk."""

    begin: Begin

    def first_request(self, plan: Plan, bookmark: Bookmark | None) -> PageRequest:
        """Return what the walk asks first."""
        return next(self.begin(plan, bookmark)).request or PageRequest()

    def stream_walk(self, plan: Plan, bookmark: Bookmark | None, cache: HashCache | None, now: str) -> StreamWalk:
        """Return the stream walk of this one sub-walk."""
        del cache, now
        return SingleWalk(self.begin(plan, bookmark))


def _whole_list(plan: Plan, bookmark: Bookmark | None) -> PageRequest:
    del plan, bookmark
    return PageRequest()


@dataclass(frozen=True, slots=True)
class OwnStreamWalk:
    """A walk with a stream walk of its own, which gets the hash cache, if there is one, and this moment (ISO 8601)."""

    stream_walk: Callable[[Plan, Bookmark | None, HashCache | None, str], StreamWalk]
    first_request: Callable[[Plan, Bookmark | None], PageRequest] = _whole_list


TABLE: Final[Mapping[Walk, OneRequestAtATime | OwnStreamWalk]] = {
    walks.KEYSET: OneRequestAtATime(ascending.keyset),
    walks.UNIQUE_KEYSET: OneRequestAtATime(ascending.keyset),
    walks.TOKENS: OneRequestAtATime(ascending.tokens),
    walks.RESTART: OneRequestAtATime(ascending.restart),
    walks.SINGLE: OneRequestAtATime(ascending.single),
    walks.DESCENDING: OneRequestAtATime(descending),
    walks.UNORDERED: OneRequestAtATime(full_list.unordered),
    walks.TRAVERSAL: OneRequestAtATime(full_list.traversal),
    walks.WINDOWS: OwnStreamWalk(time_slices.stream_walk, time_slices.first_request),
    walks.FEED: OwnStreamWalk(event_feed.stream_walk),
    walks.SWEEP: OwnStreamWalk(combined.sweep_walk),
}


def walk(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """Return the plan's walk, which is one generator, from the bookmark on."""
    row = TABLE[plan.walk]
    assert isinstance(row, OneRequestAtATime)
    return row.begin(plan, bookmark)


def first_request(plan: Plan, bookmark: Bookmark | None) -> PageRequest:
    """Return what the plan's walk asks first, from the bookmark on."""
    return TABLE[plan.walk].first_request(plan, bookmark)


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
        now: the time of deletions, ISO 8601.
    """
    if parents is not None:
        children = bookmark.children if bookmark and bookmark.children else ChildrenBookmark()
        return ChildrenWalk(plan, parents, children, cache, walk)
    if plan.is_combined:
        return CombinedWalk(plan, walk, bookmark or Bookmark(None), cache, nulls, now)
    return TABLE[plan.walk].stream_walk(plan, bookmark, cache, now)
