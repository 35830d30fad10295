"""How each walk is started: one entry for each row of `plan/walks` that reads a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.plan import walks
from tap_restextract.plan.bookmarks.children import ChildrenBookmark
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.sweeps import CombinedBookmark
from tap_restextract.plan.plan import Plan
from tap_restextract.plan.walks import Walk
from tap_restextract.walks import ascending, combined, event_feed, full_list, time_slices
from tap_restextract.walks.boundary import with_boundary_check
from tap_restextract.walks.children import ChildrenWalk
from tap_restextract.walks.combined import CombinedWalk
from tap_restextract.walks.descending import descending
from tap_restextract.walks.null_keys import with_null_keys
from tap_restextract.walks.pages import with_list_check
from tap_restextract.walks.protocol import SingleWalk, StreamWalk
from tap_restextract.walks.steps import PageRequest, Steps
from tap_restextract.walks.zones import with_zone_check

B = TypeVar("B", bound=Bookmark)
C = TypeVar("C", bound=CursorBookmark)


class Start(Struct, frozen=True):
    """How a walk is started, each time from the class of bookmark that its row names.

    Attributes:
        stream_walk: the stream's, with the hash cache, if there is one, and this moment (ISO 8601).
        first_request: what the walk asks first.
        begin: a walk that is one generator, and so can be that of each parent, or the first part of a combined walk.
    """

    stream_walk: Callable[[Plan, Any, HashCache | None, str], StreamWalk]
    first_request: Callable[[Plan, Any], PageRequest]
    begin: Callable[[Plan, Any], Steps] | None = None


def _one_generator(row: Walk[B], begin: Callable[[Plan, B | None], Steps]) -> tuple[Walk[Any], Start]:
    """Return the entry of a walk that is one generator."""

    def zoned(plan: Plan, bookmark: B | None) -> Steps:
        return with_null_keys(plan, bookmark, with_zone_check(plan, begin(plan, bookmark)))

    def stream_walk(plan: Plan, bookmark: B | None, cache: HashCache | None, now: str) -> StreamWalk:
        del cache, now
        return SingleWalk(zoned(plan, bookmark))

    def first_request(plan: Plan, bookmark: B | None) -> PageRequest:
        return next(begin(plan, bookmark)).request or PageRequest()

    return row, Start(stream_walk, first_request, zoned)


def _checked(begin: Callable[[Plan, C | None], Steps]) -> Callable[[Plan, C | None], Steps]:
    """Return the generator of a walk whose filter is checked for the bookmark's own records."""
    return lambda plan, bookmark: with_boundary_check(plan, bookmark, begin(plan, bookmark))


def _listed(begin: Callable[[Plan, C | None], Steps]) -> Callable[[Plan, C | None], Steps]:
    """Return the generator of a walk whose bookmark passes over what no page held."""
    return lambda plan, bookmark: with_list_check(plan, begin(plan, bookmark))


def _whole_list(plan: Plan, bookmark: Bookmark | None) -> PageRequest:
    del plan, bookmark
    return PageRequest()


def _sub_walks(
    row: Walk[B],
    stream_walk: Callable[[Plan, B | None, HashCache | None, str], StreamWalk],
    first_request: Callable[[Plan, B | None], PageRequest] = _whole_list,
) -> tuple[Walk[Any], Start]:
    """Return the entry of a walk that has a stream walk of its own."""
    return row, Start(stream_walk, first_request)


TABLE: Final[Mapping[Walk[Any], Start]] = dict(
    (
        _one_generator(walks.KEYSET, _checked(ascending.keyset)),
        _one_generator(walks.UNIQUE_KEYSET, ascending.keyset),
        _one_generator(walks.TOKENS, _checked(ascending.tokens)),
        _one_generator(walks.RESTART, _checked(ascending.restart)),
        _one_generator(walks.SINGLE, _checked(ascending.single)),
        _one_generator(walks.DESCENDING, _listed(_checked(descending))),
        _one_generator(walks.UNORDERED, _listed(_checked(full_list.unordered))),
        _one_generator(walks.TRAVERSAL, full_list.traversal),
        _sub_walks(walks.WINDOWS, time_slices.stream_walk, time_slices.first_request),
        _sub_walks(walks.FEED, event_feed.stream_walk),
        _sub_walks(walks.SWEEP, combined.sweep_walk),
    )
)


def walk(plan: Plan, bookmark: Bookmark | None) -> Steps:
    """Return the plan's walk, which is one generator, from the bookmark on."""
    begin = TABLE[plan.walk].begin
    assert begin is not None
    return begin(plan, bookmark)


def first_request(plan: Plan, bookmark: Bookmark | None) -> PageRequest:
    """Return what the plan's walk asks first, from the bookmark on."""
    own = bookmark.main if isinstance(bookmark, CombinedBookmark) else bookmark
    return TABLE[plan.walk].first_request(plan, own)


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
        children = bookmark if isinstance(bookmark, ChildrenBookmark) else ChildrenBookmark()
        return ChildrenWalk(plan, parents, children, cache, walk)
    if plan.is_combined:
        assert isinstance(bookmark, CombinedBookmark)
        return CombinedWalk(plan, walk, bookmark, cache, nulls, now)
    return TABLE[plan.walk].stream_walk(plan, bookmark, cache, now)
