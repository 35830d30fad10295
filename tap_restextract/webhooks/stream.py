"""A stream of webhooks: what waits in the queue comes out first, then, where the stream has a path, its list is polled.

Theory of operation. The STATE that came as input names a position in the queue: all up to there is known to be loaded
and is released; what lies after it is emitted, a batch a STATE. So a notification leaves the queue only when the STATE
that covers it has come back. A position of another queue, or of one that was lost or restored, is none: then all that
is kept is emitted.

After the queue's end comes the poll, from its own bookmark; what it finds that no notification brought is counted (see
`drain`).
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from msgspec.structs import replace
from singer_sdk import metrics
from singer_sdk.singerlib import StateMessage

from tap_restextract.config.webhooks import ReceiverSettings, Route
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import GONE
from tap_restextract.hash_cache.locations import open_cache
from tap_restextract.plan.derived import webhook_object_plan
from tap_restextract.plan.plan import Plan
from tap_restextract.singer.sampling import Described, OpenClient
from tap_restextract.singer.stream import RestStream
from tap_restextract.values.paths import MISSING, find
from tap_restextract.walks.pages import check_list
from tap_restextract.walks.steps import Page, PageRequest, Record, Step
from tap_restextract.walks.witnesses import OBJECT, Scope, filled_by_key, unfound_error, unfound_witnesses
from tap_restextract.webhooks.drain import Drain, DrainStorage
from tap_restextract.webhooks.notifications import channels_of
from tap_restextract.webhooks.position import QueuePosition, position_in
from tap_restextract.webhooks.queues.locations import open_queue
from tap_restextract.webhooks.queues.protocol import Queue

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_restextract.http.client import Client


class WebhookStream(RestStream):
    """One stream that webhooks report on, and polled where it has a path."""

    def __init__(
        self, tap: Tap, plan: Plan, described: Described, open_client: OpenClient, received: ReceiverSettings
    ) -> None:
        sources = received.webhooks.sources if received.webhooks else []
        self._channels = {source.name: channels_of(source, {plan.stream.name: plan}) for source in sources}
        self._queue_location = received.queue
        self._checked_routes: set[str | None] = set()
        super().__init__(tap, plan, described, open_client)

    @property
    def plan(self) -> Plan:
        """The plan of what is polled."""
        return self._plan

    def _steps(self) -> Iterator[Step]:
        with ExitStack() as stack:
            queue = stack.enter_context(closing(open_queue(self._queue_location)))
            drain = stack.enter_context(closing(self.drain(queue)))
            yield from drain.steps()
            if not self._plan.walk.reads_list:
                self._warn_unrouted(drain)
                return
            for step in super()._steps():
                drain.compare_polled(self._complete(step.records))
                yield step
            drain.finish_polling()
            yield from drain.steps()
            drain.reconcile()
            self._warn_unrouted(drain)
            self._report_missed(drain)

    def drain(self, queue: Queue) -> Drain:
        """Return the queue's part of this stream, from the STATE on; what that STATE covers is released.

        Raises:
            StateError: where STATE names a position that can't be read.
            QueueError: where the queue fails.
        """
        stored = position_in(self.name, self.stream_state)
        cache = None
        if self._plan.walk.reads_list:
            cache = open_cache(self._plan.stream.hash_cache, f"{self.name}/webhooks")
        if stored is not None and (
            stored.queue != queue.identity or (stored.position and not queue.contains(self.name, stored.position))
        ):
            self.logger.warning(
                "stream %s: STATE names a position that this queue of webhooks doesn't have; all notifications in it come out",
                self.name,
            )
            stored = replace(stored, position=None)
        if stored is not None and stored.position is not None:
            queue.acknowledge(self.name, stored.position)
        return Drain(self._plan, self._channels, DrainStorage(queue, cache), stored, self._fetch_objects)

    def _fetch_objects(self, route: Route, scopes: Mapping[Scope, Record]) -> list[Record | None]:
        """Return the current objects; None for one that is gone.

        Raises:
            WalkError: where the request for one finds none of them, and none that the stream's list holds.
        """
        plan = webhook_object_plan(self._plan, route)
        with closing(self._open_client(plan)) as client:
            objects = fetch_objects(client, plan, [*scopes])
            if any(each is not None for each in objects):
                self._checked_routes.add(route.fetch_path)
            elif objects and route.fetch_path not in self._checked_routes and self._plan.walk.reads_list:
                self._checked_routes.add(route.fetch_path)
                self._check_the_request(client, plan, route, scopes)
            return objects

    def _check_the_request(self, client: Client, plan: Plan, route: Route, gone: Mapping[Scope, Record]) -> None:
        """Check that the request for one object finds what the list holds; `gone` are objects that it doesn't."""
        scope, record = next(iter(gone.items()))
        filled = filled_by_key(scope, {name: record.get(name) for name in self._plan.stream.primary_key})
        if filled is None:
            return
        with closing(self._open_client(self._plan)) as lists:
            scopes = witnesses_unfound(self._plan, filled, [*gone], lists, client)
        if scopes:
            names = f"fetch_path, what fills it, or fetch_records of the route to {route.stream}"
            raise unfound_error(self._plan, plan, scopes, names)

    def _complete(self, records: Sequence[Record]) -> Sequence[Record]:
        """Complete polled records; those without a nested replication key to copy are complete, as deletions are."""
        incremental, key = self._plan.stream.incremental, self._plan.replication_key
        if incremental is None or key == incremental.cursor_path:
            return super()._complete(records)
        whole = [key in record or find(incremental.cursor_path, record) is MISSING for record in records]
        return [
            record if ready else super(WebhookStream, self)._complete([record])[0]
            for record, ready in zip(records, whole, strict=True)
        ]

    def emit(self, records: Sequence[Record]) -> None:
        """Write records outside of a run of all streams."""
        self._write(self._complete(records))

    def keep_position(self, position: QueuePosition) -> None:
        """Keep the position for the next STATE."""
        self.stream_state.update(position.to_state(self._plan.stream))

    def write_state(self) -> None:
        """Write the STATE of all streams; the SDK's own writer would keep one back that says nothing new."""
        self._tap.message_writer.write_message(StateMessage(value=self.tap_state))

    def _warn_unrouted(self, drain: Drain) -> None:
        if drain.unrouted:
            self.logger.warning(
                "stream %s: %d notifications that were stored concern no stream by today's configuration; they are left out",
                self.name,
                drain.unrouted,
            )

    def _report_missed(self, drain: Drain) -> None:
        """Report what webhooks missed, in the log and as a metric."""
        if not drain.counts:
            return
        level = logging.WARNING if drain.missed else logging.INFO
        self.logger.log(level, "stream %s: polling found %d records that webhooks missed", self.name, drain.missed)
        point: metrics.Point[int] = metrics.Point("counter", WebhookMetric.MISSED, drain.missed, {"stream": self.name})  # type: ignore[arg-type]  # an enum of ours
        metrics.log(metrics.get_metrics_logger(), point)


class WebhookMetric(str, enum.Enum):
    """Metrics besides singer-sdk's own."""

    MISSED = "webhooks_missed"


def fetch_objects(client: Client, plan: Plan, scopes: Sequence[Scope]) -> list[Record | None]:
    """Return each object as it is now, some at once; None for one that is gone."""

    def one(scope: Scope) -> Record | None:
        page = _object_page(client, PageRequest(scope=scope))
        check_list(plan, page)
        return page.records[0] if page.records else None

    concurrency = plan.stream.concurrency
    if concurrency == 1:
        return [one(scope) for scope in scopes]
    with ThreadPoolExecutor(concurrency, thread_name_prefix="objects") as pool:
        return list(pool.map(one, scopes))


def witnesses_unfound(
    plan: Plan, filled: Mapping[str, str], gone: Sequence[Scope], lists: Client, objects: Client
) -> Sequence[Scope]:
    """Ask for what the list holds, one by one; return what `unfound_witnesses` returns."""
    steps = unfound_witnesses(plan, filled, gone)
    step = next(steps)
    while True:
        request = step.request or PageRequest()
        page = _object_page(objects, request) if request.list_name == OBJECT else lists.page(request)
        try:
            step = steps.send(page)
        except StopIteration as end:
            found: Sequence[Scope] = end.value
            return found


def _object_page(client: Client, request: PageRequest) -> Page:
    """Return the page that is one object; an empty one where the object is gone."""
    try:
        return client.page(request)
    except AnswerError as error:
        if error.status in GONE:
            return Page(())
        raise
