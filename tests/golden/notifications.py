"""Notifications in the queue of a stream of webhooks, all of March 2021."""

from __future__ import annotations

from contextlib import closing

from tap_restextract.webhooks.notifications import Notification
from tap_restextract.webhooks.queues.locations import open_queue
from tests.golden.api import at

STREAM = "things"


def stored(database: str, *bodies: str) -> None:
    """Notifications, as a receiver stores them."""
    with closing(open_queue(database)) as queue:
        queue.store([Notification(STREAM, "billing", "thing.updated", body, None) for body in bodies])


def body(key: int, second: int) -> str:
    """A notification of a thing."""
    moment = at(second)
    return f'{{"type": "thing.updated", "timestamp": "{moment}", "data": {{"id": {key}, "updated_at": "{moment}"}}}}'
