"""The values that walks and the shell exchange: what to ask, what came, what to write.

A walk is a generator that yields Steps and is sent Pages; it never sees a socket. Each Step carries the records of the
page before, the bookmark that is true once they are written, and what to ask next. A Step that asks nothing is the end:

    step = next(walk)
    while step.ask: step = walk.send(page_of(step.ask))
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.exchange.paginators import Continuation
from tap_restextract.exchange.stated_ends import StatedEnd
from tap_restextract.exchange.validators import Validator
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import Cursor

Record = dict[str, Any]


class PageRequest(Struct, frozen=True):
    """What to ask.

    Attributes:
        cursor: from where on; None for the whole list.
        at: which page of that list; None for its first.
        until: the last value of the replication key that is wanted; None without end.
        scope: values of more placeholders, such as a parent's.
        list_name: the list that is asked, where it isn't the walk's own.
        validator: of the answer before; where it still holds, the API need not send the answer again.
        probe: only a fact is checked by it: it is sent once, and an error in answer to it is an empty page.
    """

    cursor: Cursor | None = None
    at: Continuation | None = None
    until: Any = None
    scope: tuple[tuple[str, Any], ...] = ()
    list_name: str = ""
    validator: Validator | None = None
    probe: bool = False


class Page(Struct, frozen=True):
    """One answer.

    Attributes:
        records: as they came.
        following: what asks for the page after it; None where the API states the end.
        server_time: the server's clock (its Date header) in seconds since the epoch; None where it shows none.
        total: how many records the list has, where the API says so.
        validator: the answer's ETag or Last-Modified, where it has one.
        unchanged: the API says that it is the same answer as before, and leaves it out (304).
        length: what the API counts as records of the page, where it isn't their number.
        is_null: null stands where the list should be, so that nothing may rest on there being no record.
        unread: names the mark in the answer by which more follows, though nothing asks for it; empty where none does.
        ignored: a response rule takes the answer for an empty page.
        failed: the answer holds an error, and no records.
        end: the end that a flag or a total of a last page states, though more can be asked for behind it.
        untried: what looks like a token or a link of an only page, where the paginator's own path leads nowhere.
        missing: says that a total speaks of more records than came up to a last page; empty where none does.
        listed: the records as they came, those without replication key among them; None where `records` are all.
    """

    records: Sequence[Record]
    following: Continuation | None = None
    server_time: float | None = None
    total: int | None = None
    validator: Validator | None = None
    unchanged: bool = False
    length: int | None = None
    unread: str = ""
    ignored: bool = False
    failed: bool = False
    is_null: bool = False
    end: StatedEnd | None = None
    untried: tuple[tuple[str, Continuation], ...] = ()
    missing: str = ""
    listed: Sequence[Record] | None = None

    @property
    def counted(self) -> int:
        """What the API counts as records of the page."""
        return len(self.records) if self.length is None else self.length

    @property
    def is_unreadable(self) -> bool:
        """Whether the answer shows nothing of the list."""
        return self.ignored or self.failed

    @property
    def whole(self) -> Sequence[Record]:
        """All records as they came, with replication key or without."""
        return self.records if self.listed is None else self.listed

    def behind(self, count: int) -> Page:
        """Return the page without the first so many of all of its records."""
        if self.listed is None:
            return replace(self, records=self.records[count:])
        gone = {id(record) for record in self.listed[:count]}
        keyed = [record for record in self.records if id(record) not in gone]
        return replace(self, records=keyed, listed=self.listed[count:])


class Step(Struct, frozen=True):
    """Records to write, the bookmark that is true once they are written, and what to ask next (None: the end).

    Attributes:
        notices: what a person should know of the answers, though the walk goes on: a sentence each, with the remedy.
    """

    records: Sequence[Record] = ()
    bookmark: Bookmark | None = None
    request: PageRequest | None = None
    notices: tuple[str, ...] = ()


Steps = Generator[Step, Page, None]
Begin = Callable[[Plan, Bookmark | None], Steps]


def with_scope(steps: Steps, scope: tuple[tuple[str, Any], ...], list_name: str = "") -> Steps:
    """Yield a walk's steps, their requests with more placeholders' values, or for another stream's list."""
    step = next(steps)
    while True:
        page = (
            yield step
            if step.request is None
            else replace(step, request=replace(step.request, scope=step.request.scope + scope, list_name=list_name))
        )
        step = steps.send(page)
