"""The rows of the walk table: what is particular to each walk, as facts that the other layers ask for by name.

`plan` chooses a row, and `walks/table` starts the walk of a row. No other module names a walk: what depends on the walk
is a fact of the row, named by its reason.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from tap_restextract.plan.bookmarks.cursors import CursorBookmark, DescendingBookmark, KeysetBookmark
from tap_restextract.plan.bookmarks.feeds import FeedBookmark
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.sweeps import SweepBookmark

B = TypeVar("B", bound=Bookmark)


class Continuing(enum.Enum):
    """How a walk asks for more, once a page has come."""

    AFTER_RECORD = "strictly after the page's last record"
    FROM_KEY = "from the page's last key on, inclusively"
    NEXT_PAGE = "for the next page of the same list"


class Walk(Struct, Generic[B], frozen=True, kw_only=True, eq=False):
    """How a list is read.

    Attributes:
        name: of the walk, as messages and the plan have it.
        safe_because: why the walk skips nothing.
        state_moves: when the bookmark may move.
        bookmark: the class of the walk's bookmark; None where STATE keeps none.
        continuing: how the walk asks for more.
        has_compound_cursor: the cursor is (key, tie-breaker), so that each record needs both.
        has_unique_cursor: the cursor is a key that no two records share; texts will do, which have no rank.
        passes_newest_value: a run goes past the newest value without asking for the value again, so that records which
            join the value later are missed unless the bookmark stays before the value.
        pages_follow_records: a page is asked for by the last record of the page before, and by nothing else.
        rests_on_seams: the list is followed page by page, so that what no seam check detects may hide a record.
        may_ask_ahead: no request depends on the records of the page before, so that pages may be fetched at once.
        may_have_parent: the walk can be that of each parent's children.
        compares_with_cache: every record is compared with what the hash cache remembers.
        follows_feed: the walk asks an events feed, too.
        emits_deletions: records come out that are their keys and `_sdc_deleted_at` alone.
        takes_records_whole: the walk looks at more of a record than its keys, so that undecoded rows won't do.
        may_begin_empty: the first request may be answered with no record though the list has some.
        is_bounded_by_clock: a bookmark is the server's clock, not a record's value.
        reads_list: the stream's list is asked for at all.
    """

    name: str
    safe_because: str
    state_moves: str
    bookmark: type[B] | None
    continuing: Continuing = Continuing.NEXT_PAGE
    has_compound_cursor: bool = False
    has_unique_cursor: bool = False
    passes_newest_value: bool = False
    pages_follow_records: bool = False
    rests_on_seams: bool = False
    may_ask_ahead: bool = False
    may_have_parent: bool = True
    compares_with_cache: bool = False
    follows_feed: bool = False
    emits_deletions: bool = False
    takes_records_whole: bool = False
    may_begin_empty: bool = False
    is_bounded_by_clock: bool = False
    reads_list: bool = True

    @property
    def is_keyset(self) -> bool:
        """Whether the cursor names one record, and requests ask strictly after that record."""
        return self.has_compound_cursor or self.has_unique_cursor


KEYSET: Final = Walk(
    name="compound keyset",
    safe_because="each page is asked for after the last record's (key, tie-breaker), so ties and a list that shifts skip nothing",
    state_moves="after each page, to that page's last (key, tie-breaker), exactly",
    bookmark=KeysetBookmark,
    continuing=Continuing.AFTER_RECORD,
    has_compound_cursor=True,
    passes_newest_value=True,
    pages_follow_records=True,
)
UNIQUE_KEYSET: Final = Walk(
    name="unique keyset",
    safe_because="each page is asked for after the last record's unique key; it finds new records, not changed ones",
    state_moves="after each page, to that page's last key, exactly",
    bookmark=KeysetBookmark,
    continuing=Continuing.AFTER_RECORD,
    has_unique_cursor=True,
    pages_follow_records=True,
)
TOKENS: Final = Walk(
    name="stable tokens",
    safe_because="tokens that name a position are followed from the bookmark; the boundary's records are known by content, so that they come once",
    state_moves="after each page, to that page's last key; the boundary's hashes go with it",
    bookmark=CursorBookmark,
    passes_newest_value=True,
)
RESTART: Final = Walk(
    name="restart keyset",
    safe_because="after each page the list is asked for again from its last key, so that records which move can't shift the rest; pages are counted only inside a tie, and each seam is checked against the page before",
    state_moves="after each page, to that page's last key; the boundary's hashes go with it",
    bookmark=CursorBookmark,
    continuing=Continuing.FROM_KEY,
)
SINGLE: Final = Walk(
    name="single page",
    safe_because="one answer holds all from the bookmark on, or at most `limit` records, and then the next is asked for from the last key; a tie that fills a whole answer is an error",
    state_moves="after each answer, to its last key; the boundary's hashes go with it",
    bookmark=CursorBookmark,
    continuing=Continuing.FROM_KEY,
    pages_follow_records=True,
)
DESCENDING: Final = Walk(
    name="descending",
    safe_because="newest first, down to the old high-water mark and past the end of its tie and page; seams between pages are checked",
    state_moves="when the floor is reached; an interrupted pass keeps how far it came, so that nothing comes twice",
    bookmark=DescendingBookmark,
    rests_on_seams=True,
    may_have_parent=False,
)
UNORDERED: Final = Walk(
    name="unordered",
    safe_because="every pass reads all from the bookmark on, and the next bookmark is the server's clock at its start, less the lag",
    state_moves="at the end of a pass; the hashes of what is newer go with it",
    bookmark=CursorBookmark,
    rests_on_seams=True,
    is_bounded_by_clock=True,
)
WINDOWS: Final = Walk(
    name="windows",
    safe_because="the time since the bookmark is read in ranges without a gap, each as a whole; one that would not fit the API's result window is halved",
    state_moves="at the end of each range, once all before it are done; after the last, to the server's clock at its start, less the lag, "
    "or to the highest value where the key counts no time",
    bookmark=CursorBookmark,
    rests_on_seams=True,
    may_have_parent=False,
    may_begin_empty=True,
    is_bounded_by_clock=True,
)
FEED: Final = Walk(
    name="feed",
    safe_because="the list is read once, after a look at the feed's end; then the events from there on say what changed. A gap longer than the feed's retention reads the list again",
    state_moves="after each page of events, after its last one",
    bookmark=FeedBookmark,
    rests_on_seams=True,
    may_have_parent=False,
    follows_feed=True,
    emits_deletions=True,
    takes_records_whole=True,
)
SWEEP: Final = Walk(
    name="sweep",
    safe_because="every record is compared with the hash cache; new and changed ones come out, and those gone from a complete sweep as deletions",
    state_moves="at the end of a complete sweep, naming it; what the cache recorded counts only once that STATE comes back",
    bookmark=SweepBookmark,
    may_have_parent=False,
    compares_with_cache=True,
    emits_deletions=True,
    takes_records_whole=True,
)
TRAVERSAL: Final[Walk[Bookmark]] = Walk(
    name="traversal",
    safe_because="every run reads the whole list from its beginning",
    state_moves="never: there is no bookmark",
    bookmark=None,
    may_ask_ahead=True,
)
WEBHOOKS: Final[Walk[Bookmark]] = Walk(
    name="webhooks",
    safe_because="notifications wait in the queue until the STATE that covers them comes back; what was never sent is not found: give the stream a path for that",
    state_moves="after each batch of the queue; what it covers leaves the queue once that STATE comes back",
    bookmark=None,
    takes_records_whole=True,
    reads_list=False,
)
WALKS: Final[tuple[Walk[Any], ...]] = tuple(row for row in [*globals().values()] if isinstance(row, Walk))
"""Every row above."""
