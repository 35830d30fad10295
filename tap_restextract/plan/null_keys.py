"""Records without a replication key, null or absent: which walks read them, and which need a request of their own.

A filter by time leaves them out. So they are read where a list is asked for without one, and followed page by page to
its end: by a first run, and by each run of a list that has no filter. A walk that asks again from a page's last key
filters from its second request on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tap_restextract.config.paginators import SinglePage
from tap_restextract.config.streams import StreamSettings
from tap_restextract.plan.walks import Continuing, Walk

PLACES: Final = ("first", "last")
REQUEST: Final = "null_params, the parameters of one more request that asks for such records alone"


def null_faults(stream: StreamSettings, walk: Walk[Any]) -> Iterator[str]:
    """Yield why no walk reads the records without replication key that the facts speak of, each with its remedy."""
    incremental = stream.incremental
    if incremental is None or incremental.nulls == "none":
        return
    key, told = incremental.cursor_path, f"nulls: {incremental.nulls}"
    if walk.has_unique_cursor:
        yield f"{told} says that some records have no {key}, which is their primary_key; leave it out"
    elif incremental.step or incremental.max_window_results:
        yield f"{told} doesn't go with time ranges, each of which leaves out the records without {key}; leave it out, and read those by a stream of their own"
    elif _filters_again(stream, walk):
        if incremental.null_params is None:
            # Tokens that are stable are followed to the end of a first run, which then reads them.
            tokens = (
                ""
                if getattr(stream.paginator, "stable", None) is not False
                else (
                    "; or `stable: true` in the paginator, where its tokens name a position in the list, by which a first run reads them"
                )
            )
            yield (
                f"{told}: {walk.name} asks again from a page's last {key}, and that leaves out the records without {key}, wherever they "
                f"stand; declare {REQUEST}{tokens}; or leave `incremental` out to read the whole list each run"
            )
        elif incremental.nulls == "first" and incremental.initial_value is None:
            yield (
                f"{told}: {walk.name} goes on from a page's last {key}, and the first page may hold none; set initial_value, so that the first "
                "request leaves out the records that null_params asks for"
            )
    elif incremental.null_params is None and not _reads_nulls(stream):
        yield (
            f"{told}: from initial_value on no request shows the records without {key}; declare {REQUEST}, or leave initial_value or "
            "nulls out"
        )


def null_remedy(stream: StreamSettings, walk: Walk[Any], places: Sequence[str]) -> str:
    """Return what to declare where an answer holds records without replication key in one of the places."""
    incremental = stream.incremental
    assert incremental is not None
    other = "choose a cursor_path that each record has, or let the request leave such records out"
    if walk.has_unique_cursor or incremental.step or incremental.max_window_results or walk.follows_feed:
        return other
    named = " or ".join(f"nulls: {place}" for place in (places if incremental.order != "none" else ["last"]))
    if incremental.null_params is not None:
        return f"declare where they stand, {named}, as null_params asks for them; or {other}"
    if _filters_again(stream, walk) or not _reads_nulls(stream):
        return f"declare where they stand, {named}, with {REQUEST}; or {other}"
    return f"declare where they stand, {named}, by which the first run reads them, and {REQUEST}, for later ones; or {other}"


def holds_first_pass(stream: StreamSettings) -> bool:
    """Return whether the bookmark stays where it is until a first run has read the whole list.

    Records without replication key stand at the end of a list that rises, and a run from a bookmark leaves them out.
    """
    incremental = stream.incremental
    return (
        incremental is not None
        and incremental.order == "asc"
        and incremental.nulls == "last"
        and incremental.null_params is None
    )


def _filters_again(stream: StreamSettings, walk: Walk[Any]) -> bool:
    """Return whether a run asks with a filter, though it began without one."""
    is_one_answer = isinstance(stream.paginator, SinglePage) and stream.paginator.limit is None and not walk.is_keyset
    return walk.continuing is not Continuing.NEXT_PAGE and not is_one_answer


def _reads_nulls(stream: StreamSettings) -> bool:
    """Return whether a first run shows the records without replication key before it ends."""
    incremental = stream.incremental
    assert incremental is not None
    return incremental.initial_value is None or (incremental.filter == "none" and incremental.nulls == "first")
