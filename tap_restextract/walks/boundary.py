"""The boundary of a list: the check that a filter by >= answers the record whose value was asked for.

Theory of operation. A record that a walk has seen at T, and that isn't in the answer to "from T on", may have changed
or may have been deleted since. So its absence proves nothing. What does prove that the filter isn't >= is the same
record, unchanged, in the answer to "from a little before T on", while the answer to "from T on" lacks it before and
afterwards: what has changed can't be there, and what was deleted neither. So where nothing of a boundary has come, the
walk asks from a step before it, then from a second, a minute, an hour and a day before it, since a filter may round
up, or take its value for a time of another zone; and whatever is found there must be found so twice. Where nothing is
found the records are gone, and the walk goes on.

It is asked so in two places: where a run that began at a bookmark found nothing at all, though the bookmark names
records; and where a restart keyset asks from the last key of a page, and nothing of that key comes, until once
something has come. Each is rare with an API whose filter is as declared, and costs five requests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tap_restextract.errors import WalkError
from tap_restextract.exchange.request import sent_parts
from tap_restextract.plan.bookmarks.cursors import CursorBookmark
from tap_restextract.plan.keys import content_hash
from tap_restextract.plan.plan import Plan, incremental_of, label_of
from tap_restextract.plan.ranges import cursor_from, measure
from tap_restextract.values.cursor import Cursor, resolution_of, step_back
from tap_restextract.walks.order import cursor_of
from tap_restextract.walks.steps import Page, PageRequest, Step, Steps

ROUNDS: Final = 2
"""How often an answer must hold the boundary, and another one lack it."""
MAX_SEAMS_ASKED_ABOUT: Final = 2
DISTANCES: Final = ("1s", "1m", "1h", "1d")


@dataclass(slots=True)
class SeamWatch:
    """Watches the seams of a restart keyset until the filter has once answered what was asked for.

    Attributes:
        seen: a record came whose value was asked for, so that the filter is >=.
        asked_about: seams at which nothing of the boundary came.
    """

    plan: Plan
    seen: bool = False
    asked_about: int = 0

    def check(self, asked: Cursor | None, boundary: Collection[str], page: Page) -> Generator[Step, Page, None]:
        """Check the first page of a list that was asked for from a boundary on.

        Args:
            asked: from where on.
            boundary: content hashes of records at this value, seen a moment ago.
            page: the list's first.

        Raises:
            WalkError: where it is proven that the filter leaves the boundary out.
        """
        if self.seen or asked is None or not boundary or (not page.records and page.following is not None):
            return  # an empty page with a token says nothing of what is behind it
        if not self._lacks(asked, page):
            self.seen = True
        elif self.asked_about < MAX_SEAMS_ASKED_ABOUT:
            self.asked_about += 1
            yield from _ask_before(self.plan, asked, boundary, lambda page: self._lacks(asked, page))

    def _lacks(self, asked: Cursor, page: Page) -> bool:
        """Return whether no record of the boundary's window is on a rising list's first page: then it is on none."""
        if not page.records:
            return _is_empty(page)
        incremental = incremental_of(self.plan)
        return all(cursor_from(incremental, cursor_of(self.plan, record).value) != asked for record in page.records)


def with_boundary_check(plan: Plan, bookmark: CursorBookmark | None, steps: Steps) -> Steps:
    """Yield a walk's steps; where nothing at all came, ask for the records that the bookmark names before its end.

    Raises:
        WalkError: where it is proven that the filter leaves the boundary out.
    """
    step = next(steps)
    asked, came = None if step.request is None else step.request.cursor, False
    while step.request is not None:
        page = yield step
        came = came or bool(page.records) or page.following is not None
        step = steps.send(page)
    if not came and asked is not None and bookmark is not None and bookmark.boundary:
        yield from _ask_before(plan, asked, bookmark.boundary, _is_empty)
    yield step


def _ask_before(
    plan: Plan, asked: Cursor, boundary: Collection[str], lacks: Callable[[Page], bool]
) -> Generator[Step, Page, None]:
    """Ask from a little before the boundary for its records.

    Args:
        plan: the stream's.
        asked: from where on the boundary wasn't found.
        boundary: content hashes of its records.
        lacks: says of the first page of an answer that the whole answer lacks the boundary.
    """
    for distance, cursor in _earlier(plan, asked):
        for _ in range(ROUNDS):
            if not _meets(boundary, (yield Step(request=PageRequest(cursor)))):
                break
            if not lacks((yield Step(request=PageRequest(asked)))):
                return  # it is there again
        else:
            raise _excluded(plan, asked, cursor, distance)


def _is_empty(page: Page) -> bool:
    return not page.records and page.following is None


def _earlier(plan: Plan, asked: Cursor) -> Iterator[tuple[str | None, Cursor]]:
    """Yield cursors before the one that was asked from, each with its distance; the first is one step before it."""
    incremental = incremental_of(plan)
    least = measure(incremental, incremental.precision) if incremental.precision else resolution_of(asked.value)
    yield None, Cursor(step_back(asked.value, least))
    timed = incremental.epoch is not None or isinstance(asked.value, str)
    for distance in DISTANCES if timed and not str(asked.value).isdigit() else ():
        if measure(incremental, distance) > least:
            yield distance, Cursor(step_back(asked.value, measure(incremental, distance)))


def _meets(boundary: Collection[str], page: Page) -> bool:
    return any(content_hash(record) in boundary for record in page.records)


def _excluded(plan: Plan, asked: Cursor, before: Cursor, distance: str | None) -> WalkError:
    incremental = incremental_of(plan)
    key, declared = incremental.cursor_path, ">=" if incremental.filter == "inclusive" else ">"

    def pairs(cursor: Cursor) -> Any:
        return (
            ", ".join(f"{part.name}={part.value}" for part in sent_parts(plan.stream, "cursor", cursor)) or cursor.value
        )

    remedy = (
        "the filter is > and not >=: declare filter: exclusive"
        if distance is None and incremental.filter == "inclusive"
        else f"the filter compares less than the whole value: declare precision: {distance or '1s'}; or it reads the value in "
        "another zone: send it in a form that names its zone"
    )
    return WalkError(
        f"{label_of(plan)}: a record that the last page held is missing from the answer to {pairs(asked)}, and is there, unchanged, in the "
        f"answer to {pairs(before)}, so the filter by {key} isn't {declared}, as declared, and leaves out what it should hold; {remedy}"
    )
