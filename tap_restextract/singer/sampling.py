"""The sample that a schema is inferred from: the first page, asked for as the stream's walk asks for it.

The page is kept: a walk that begins soon enough takes it as the answer to its own first request, and to no later one.
Not so where the order of requests is part of what makes a walk safe, so that an older answer may not come first:
children, whose bookmark is the clock of their parents' list (only their sample takes the parents that another sample
has seen); feeds, whose list is read behind a look at their end; webhooks, whose queue comes before the list.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import GONE
from tap_restextract.plan.plan import Plan
from tap_restextract.singer.nested_keys import with_nested_key
from tap_restextract.singer.schema import Schema
from tap_restextract.values.rows import Reader
from tap_restextract.walks import time_slices
from tap_restextract.walks.children import scope_of
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import first_request

if TYPE_CHECKING:
    from tap_restextract.http.client import Client

SAMPLED_PARENTS: Final = 5
MAX_ASKED_PARENTS: Final = 20
MAX_KEPT_SECONDS: Final = 60.0  # a page token may not live longer


class KeptPage(Struct):
    """A page of the sample, until a walk takes it.

    Attributes:
        request: what it answers.
        page: the answer.
        reader: what decoded it, and learnt from it how to decode the next; None where it can't.
        at: when it was asked for, on the monotonic clock.
    """

    request: PageRequest
    page: Page | None
    reader: Reader | None = None
    at: float = field(default_factory=time.monotonic)

    def take(self, request: PageRequest) -> Page | None:
        """Return the page where it is the request's answer, once; None where it isn't, or is too old."""
        page, is_asked = self.page, request == self.request
        if page is None or not is_asked:
            return None
        self.page = None
        return page if time.monotonic() - self.at < MAX_KEPT_SECONDS else None


class Sample(Struct, frozen=True):
    """Records as the stream emits them, and the page to keep."""

    records: Sequence[Record]
    kept: KeptPage | None = None


class Described(Struct, frozen=True):
    """A stream's schema, and what may become of it.

    Attributes:
        schema: complete for the plan.
        pinned: the properties that are declared.
        follows: whether the other properties follow their values: the schema was inferred, here or for a catalog.
        adds: whether properties that come later are added: a catalog leaves out what it doesn't name.
        kept: the sample's page.
    """

    schema: Schema
    pinned: frozenset[str] = frozenset()
    follows: bool = False
    adds: bool = False
    kept: KeptPage | None = None


class OpenClient(Protocol):
    """Makes the client of a plan's list."""

    def __call__(self, plan: Plan, reader: Reader | None = None, /) -> Client:
        """Return the client, which decodes pages with the reader."""
        ...


def sampled(
    plan: Plan,
    parents: Plan | None,
    open_client: OpenClient,
    reader: Reader | None,
    listed: dict[str, Sequence[Record]],
) -> Sample:
    """Return the sample; no records where the API has none, or none where the walk asks first.

    Args:
        plan: the stream's.
        parents: the parents' plan, for a stream of children.
        open_client: makes a client.
        reader: that of the stream's pages, where its walk takes rows.
        listed: the first records of each list that a sample has seen, by stream; it grows.

    Raises:
        ApiError: what the walk wouldn't go on from either.
    """
    with closing(open_client(plan, reader)) as client:
        if parents is not None:
            return Sample(with_nested_key(plan, _of_children(plan, parents, client, open_client, listed)))
        now = datetime.now(timezone.utc).isoformat()
        request = time_slices.first_request(plan, None, now) if plan.walk.may_begin_empty else first_request(plan, None)
        kept = KeptPage(request, client.page(request), reader)
        assert kept.page is not None
        listed[plan.stream.name] = kept.page.records[:MAX_ASKED_PARENTS]
        records = kept.page.records or _after_first_range(plan, now, client)
    keeps = not plan.walk.follows_feed and plan.stream.source != "webhooks"
    return Sample(with_nested_key(plan, records), kept if keeps else None)


def _after_first_range(plan: Plan, now: str, client: Client) -> Sequence[Record]:
    """Return records of the whole time, where the first range of a walk in ranges has none."""
    if not plan.walk.may_begin_empty:
        return ()
    try:
        return [dict(record) for record in client.page(time_slices.whole_range(plan, now)).records]
    except AnswerError:  # an API that wants the end of each range, or a short one
        return ()


def _of_children(
    plan: Plan, parents: Plan, client: Client, open_client: OpenClient, listed: dict[str, Sequence[Record]]
) -> list[Record]:
    """Return the first children of the first parents that have some."""
    name = parents.stream.name
    if not listed.get(name):
        with closing(open_client(parents)) as parent_client:
            listed[name] = parent_client.page(PageRequest()).records[:MAX_ASKED_PARENTS]
    records: list[Record] = []
    for asked, parent in enumerate(listed[name]):
        if records and asked >= SAMPLED_PARENTS:
            break
        request = replace(first_request(plan, None), scope=scope_of(plan, parents, parent))
        try:
            children = client.page(request).records
        except AnswerError as error:
            if error.status not in GONE:
                raise
            continue
        from_parent: dict[str, Any] = {
            f"_{name}_{field}": parent.get(field) for field in plan.stream.include_from_parent
        }
        records += [{**child, **from_parent} for child in children]
    return records
